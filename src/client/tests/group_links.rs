//! The way to the coordinator, and answers that come late.

use super::group_fixture::*;
use crate::config::ConsumerConfig;
use crate::zoo::{Switch, Zoo};

#[test]
fn a_coordinator_that_is_not_there_is_looked_for_after_pauses() {
    let mut cluster = Cluster::new(1);
    cluster.coordinator = None;
    let app = cluster.member(classic());
    cluster.pass(10_000);
    let asked = cluster.requests.iter().filter(|(_, request)| name_of(request) == "FindCoordinator").count();
    assert!((10..30).contains(&asked), "{asked} times in ten seconds");
    cluster.coordinator = Some(3);
    cluster.until_shared(&[(app, 1)]);
    assert_eq!(cluster.apps[app].last_event("coordinator-found"), "learnt that broker 3 coordinates group g");
}

#[test]
fn a_broker_that_is_not_the_coordinator_is_left() {
    for config in [classic(), modern()] {
        let mut cluster = Cluster::new(1);
        cluster.rumoured = Some(2);
        let app = cluster.member(config);
        cluster.pass(1_000);
        assert_eq!(cluster.apps[app].owned().len(), 0);
        cluster.rumoured = None;
        cluster.until_shared(&[(app, 1)]);
    }
}

#[test]
fn a_coordinator_that_is_silent_for_a_session_is_looked_for_anew() {
    let mut cluster = Cluster::new(1);
    let app = cluster.member(classic());
    cluster.until_shared(&[(app, 1)]);
    cluster.pass(2_000);
    cluster.held.insert("Heartbeat");
    cluster.pass(13_500);
    assert_eq!(cluster.apps[app].events("coordinator-found").len(), 2);
}

#[test]
fn a_connection_that_ends_is_opened_again() {
    for config in [classic(), cooperative(), modern()] {
        let mut cluster = Cluster::new(2);
        let app = cluster.member(config);
        cluster.until_shared(&[(app, 2)]);
        cluster.pass(1_000);
        let told = cluster.apps[app].told.clone();
        cluster.disconnect(1);
        cluster.pass(30_000);
        assert_eq!(cluster.apps[app].told, told);
        cluster.produce(0, 1);
        cluster.until("it reads", |cluster| cluster.apps[app].read.len() == 1);
    }
}

/// Two heartbeats are on their way when the coordinator forgets a member that has nothing. The answer to the first makes it
/// join again; the answer to the second comes after that. How often it joins.
fn joins_after_two_refused_heartbeats(zoo: Zoo) -> usize {
    let mut cluster = Cluster::with(1, zoo);
    let named = |instance: &str| ConsumerConfig { group_instance_id: instance.into(), ..classic() };
    let busy = cluster.member(named("a"));
    cluster.until_shared(&[(busy, 1)]);
    let idle = cluster.member(named("b"));
    cluster.until("it is a member", |cluster| cluster.apps[idle].told == ["assigned []"]);
    cluster.pass(1_000);
    cluster.held.insert("Heartbeat");
    cluster.pass(7_000);
    let before = cluster.requests.len();
    cluster.forget_groups();
    cluster.release("Heartbeat");
    cluster.pass(5_000);
    cluster.until_shared(&[(busy, 1), (idle, 0)]);
    let since = cluster.requests[before..].iter();
    since.filter(|(of, request)| *of == idle && name_of(request) == "JoinGroup").count()
}

#[test]
fn an_answer_of_an_earlier_generation_says_nothing() {
    let without = joins_after_two_refused_heartbeats(Zoo::default());
    let with_the_bug = joins_after_two_refused_heartbeats(zoo(Switch::ClientStaleGenerationResponse));
    assert!(with_the_bug > without, "{with_the_bug} and {without}: what it had joined is thrown away");
}
