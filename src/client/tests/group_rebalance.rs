//! Rebalances, from the side of the members.

use kafka_protocol::messages::RequestKind;

use super::group_fixture::*;
use crate::config::ConsumerConfig;
use crate::ids::Topic;
use crate::node::{Command, Outcome, Subscription};
use crate::zoo::{Switch, Zoo};

fn auto(config: ConsumerConfig) -> ConsumerConfig {
    ConsumerConfig { enable_auto_commit: true, ..config }
}
fn statically(config: ConsumerConfig) -> ConsumerConfig {
    ConsumerConfig { group_instance_id: "i".into(), ..config }
}

#[test]
fn one_member_has_everything_and_two_share_it() {
    for config in [classic(), cooperative(), modern()] {
        let mut cluster = Cluster::new(4);
        let first = cluster.member(config.clone());
        cluster.until_shared(&[(first, 4)]);
        assert_eq!(cluster.apps[first].told, ["assigned [0 1 2 3]"]);
        assert_eq!(cluster.apps[first].events("coordinator-found").len(), 1);
        let second = cluster.member(config);
        cluster.until_shared(&[(first, 2), (second, 2)]);
        cluster.done(second, Command::Unsubscribe);
        cluster.apps[second].polls = false;
        cluster.until_shared(&[(first, 4), (second, 0)]);
        assert_eq!(cluster.apps[first].refused, [""; 0]);
    }
}

#[test]
fn an_eager_member_gives_up_everything_before_it_joins() {
    let mut cluster = Cluster::new(2);
    let first = cluster.member(classic());
    cluster.until_shared(&[(first, 2)]);
    let second = cluster.member(classic());
    cluster.until_shared(&[(first, 1), (second, 1)]);
    assert_eq!(cluster.apps[first].told, ["assigned [0 1]", "revoked [0 1]", "assigned [0]"]);
    assert_eq!(cluster.apps[second].told, ["assigned [1]"]);
}

#[test]
fn a_cooperative_member_gives_up_one_partition_and_keeps_the_others() {
    let mut cluster = Cluster::new(2);
    let first = cluster.member(cooperative());
    cluster.until_shared(&[(first, 2)]);
    let second = cluster.member(cooperative());
    cluster.until_shared(&[(first, 1), (second, 1)]);
    cluster.pass(5_000);
    let told = &cluster.apps[first].told;
    assert_eq!(told[..3], ["assigned [0 1]", "revoked [1]", "assigned []"], "only one goes");
    assert_eq!(cluster.apps[second].told.last().map(String::as_str), Some("assigned [1]"));
}

#[test]
fn a_member_that_dies_is_replaced_after_its_session() {
    for config in [classic(), cooperative(), modern()] {
        let mut cluster = Cluster::new(2);
        let (first, second) = (cluster.member(config.clone()), cluster.member(config));
        cluster.until_shared(&[(first, 1), (second, 1)]);
        cluster.kill(second);
        cluster.pass(60_000);
        assert_eq!(cluster.apps[first].owned().len(), 2);
    }
}

#[test]
fn what_was_read_is_committed_before_it_is_given_up() {
    for config in [classic(), modern()] {
        let mut cluster = Cluster::new(2);
        let first = cluster.member(auto(config.clone()));
        (0..2).for_each(|partition| cluster.produce(partition, 3));
        cluster.until("it has read all", |cluster| cluster.apps[0].read.len() == 6);
        let second = cluster.member(auto(config));
        cluster.until_shared(&[(first, 1), (second, 1)]);
        cluster.pass(1_000);
        assert_eq!(cluster.apps[second].read, [], "nothing is read twice");
        assert_eq!((cluster.committed(second, 0), cluster.committed(second, 1)), (3, 3));
    }
}

#[test]
fn a_listener_commits_in_the_old_generation() {
    for config in [classic(), cooperative(), modern()] {
        let mut cluster = Cluster::new(2);
        let first = cluster.member(config.clone());
        cluster.apps[first].commits_on_revoke = true;
        (0..2).for_each(|partition| cluster.produce(partition, 3));
        cluster.until("it has read all", |cluster| cluster.apps[0].read.len() == 6);
        let second = cluster.member(config);
        cluster.until_shared(&[(first, 1), (second, 1)]);
        cluster.pass(1_000);
        assert_eq!(cluster.apps[second].read, [], "nothing is read twice");
        let answers = cluster.apps[first].events("commit-answered");
        assert!(answers.iter().all(|answer| answer.contains("is committed")), "{answers:?}");
    }
}

/// The commit before a revocation is held up, and meanwhile records come. How many of them are read twice, though nobody dies.
fn read_twice(config: ConsumerConfig, zoo: Zoo) -> usize {
    let mut cluster = Cluster::with(2, zoo);
    let first = cluster.member(auto(config.clone()));
    (0..2).for_each(|partition| cluster.produce(partition, 3));
    cluster.until("it has read all", |cluster| cluster.apps[0].read.len() == 6);
    cluster.held.insert("OffsetCommit");
    let second = cluster.member(auto(config));
    cluster.until("the positions are being committed", |cluster| !cluster.apps[0].events("commit-sent").is_empty());
    (0..2).for_each(|partition| cluster.produce(partition, 2));
    cluster.pass(1_000);
    cluster.release("OffsetCommit");
    cluster.until_shared(&[(first, 1), (second, 1)]);
    cluster.pass(2_000);
    let mut read: Vec<(i32, i64)> = [first, second].iter().flat_map(|app| cluster.apps[*app].read.clone()).collect();
    let all = read.len();
    read.sort();
    read.dedup();
    assert_eq!(read.len(), 10, "every record is read");
    all - read.len()
}

#[test]
fn nothing_is_handed_out_of_what_is_about_to_be_given_up() {
    for config in [classic(), modern()] {
        assert_eq!(read_twice(config.clone(), Zoo::default()), 0);
        assert!(read_twice(config, zoo(Switch::FetchWhileRevoking)) > 0);
    }
}

#[test]
fn partitions_that_come_are_assigned() {
    for config in [classic(), cooperative(), modern()] {
        let mut cluster = Cluster::new(1);
        let config = ConsumerConfig { metadata_max_age_ms: 2_000, ..config };
        let (first, second) = (cluster.member(config.clone()), cluster.member(config));
        cluster.pass(10_000);
        cluster.topic(TOPIC, 4);
        cluster.until_shared(&[(first, 2), (second, 2)]);
    }
}

#[test]
fn a_zombie_may_not_commit_and_learns_that_it_has_lost_everything() {
    for config in [classic(), cooperative(), modern()] {
        let mut cluster = Cluster::new(1);
        let zombie = cluster.member(config.clone());
        cluster.produce(0, 3);
        cluster.until("it has read all", |cluster| cluster.apps[0].read.len() == 3);
        cluster.apps[zombie].polls = false;
        cluster.pass(200);
        cluster.pause(zombie);
        let heir = cluster.member(config);
        cluster.until_shared(&[(heir, 1)]);
        cluster.resume(zombie);
        let end = cluster.done(zombie, Command::Commit { offsets: Some(vec![(at(0), 2)]), wait: true });
        assert_eq!(end, Outcome::Refused { error: "COMMIT_FAILED".into() });
        cluster.apps[zombie].polls = true;
        cluster.pass(10_000);
        assert_eq!(cluster.apps[zombie].told[..2], ["assigned [0]", "lost [0]"]);
        assert_eq!(cluster.apps[heir].owned().len() + cluster.apps[zombie].owned().len(), 1, "one of them has it");
        assert_eq!(cluster.committed(heir, 0), -1);
    }
}

#[test]
fn who_does_not_poll_leaves_and_comes_again() {
    for config in [classic(), cooperative(), modern()] {
        let mut cluster = Cluster::new(2);
        let (slow, other) = (cluster.member(config.clone()), cluster.member(config));
        cluster.until_shared(&[(slow, 1), (other, 1)]);
        cluster.pass(1_000);
        let had = cluster.apps[slow].told.len();
        cluster.apps[slow].polls = false;
        cluster.pass(59_000);
        assert_eq!(cluster.apps[other].owned().len(), 1, "it heartbeats");
        cluster.pass(10_000);
        assert_eq!(cluster.apps[other].owned().len(), 2);
        assert!(cluster.apps[slow].last_event("group-left").contains("poll timeout"));
        cluster.apps[slow].polls = true;
        cluster.until_shared(&[(slow, 1), (other, 1)]);
        assert!(cluster.apps[slow].told[had].starts_with("lost"), "{:?}", cluster.apps[slow].told);
    }
}

#[test]
fn a_static_member_bounces_without_a_rebalance() {
    for config in [classic(), cooperative(), modern()] {
        let mut cluster = Cluster::new(2);
        let first = cluster.member(statically(config.clone()));
        cluster.until_shared(&[(first, 2)]);
        let other = cluster.member(config.clone());
        cluster.until_shared(&[(first, 1), (other, 1)]);
        cluster.pass(10_000);
        let told = cluster.apps[other].told.clone();
        cluster.apps[first].polls = false;
        cluster.pass(200);
        let had = cluster.apps[first].owned();
        let op = cluster.command(first, Command::Close);
        cluster.pass(1_000);
        assert_eq!(cluster.outcome(op), Some(&Outcome::Done));
        let leaves = |(_, request): &(usize, RequestKind)| matches!(request, RequestKind::LeaveGroup(_));
        assert!(!cluster.requests.iter().any(leaves), "it will come again");
        let bounced = cluster.member(statically(config));
        cluster.until("it is back", |cluster| cluster.apps[bounced].owned() == had);
        cluster.pass(10_000);
        assert_eq!(cluster.apps[other].told, told, "the other has not noticed");
        let assigns = |(app, request): &(usize, RequestKind)| matches!(request, RequestKind::SyncGroup(sync) if *app == bounced && !sync.assignments.is_empty());
        assert!(!cluster.requests.iter().any(assigns), "though it leads it leaves the assignment as it is");
    }
}

#[test]
fn a_second_of_the_same_name_fences_the_first() {
    let mut cluster = Cluster::new(1);
    let first = cluster.member(statically(classic()));
    cluster.until_shared(&[(first, 1)]);
    let second = cluster.member(statically(classic()));
    cluster.until("the second has it", |cluster| cluster.apps[second].owned().len() == 1);
    cluster.until("the first is told", |cluster| !cluster.apps[first].refused.is_empty());
    assert_eq!(cluster.apps[first].refused, ["FENCED_INSTANCE_ID"]);
    // With KIP-848 the one that comes second has to wait until the first has left.
    let mut cluster = Cluster::new(1);
    let first = cluster.member(statically(modern()));
    cluster.until_shared(&[(first, 1)]);
    let second = cluster.member(statically(modern()));
    cluster.pass(1_000);
    assert_eq!(cluster.apps[second].refused, ["UNRELEASED_INSTANCE_ID"]);
}

#[test]
fn a_pattern_is_resolved_and_followed() {
    for config in [classic(), cooperative(), modern()] {
        let config = ConsumerConfig { metadata_max_age_ms: 2_000, ..config };
        let mut cluster = Cluster::new(1);
        cluster.topic("other", 1);
        let app = cluster.consumer(config);
        cluster.done(app, Command::Subscribe { to: Subscription::Pattern("t.*".into()) });
        cluster.apps[app].polls = true;
        cluster.until_shared(&[(app, 1)]);
        cluster.topic("two", 1);
        cluster
            .until("it has both", |cluster| cluster.apps[app].events("partitions-assigned").concat().contains("two-0"));
        assert!(!cluster.apps[app].events("partitions-assigned").concat().contains("other"));
    }
}

#[test]
fn another_subscription_takes_the_place_of_the_first() {
    for config in [classic(), cooperative(), modern()] {
        let mut cluster = Cluster::new(1);
        cluster.topic("u", 1);
        let app = cluster.member(config);
        cluster.until_shared(&[(app, 1)]);
        cluster.done(app, Command::Subscribe { to: Subscription::Topics(vec![Topic::new("u")]) });
        cluster
            .until("it has the other", |cluster| cluster.apps[app].last_event("partitions-assigned").contains("u-0"));
        assert!(cluster.apps[app].last_event("partitions-revoked").contains("t-0"));
    }
}

#[test]
fn a_coordinator_failover_interrupts_nobody_for_long() {
    for config in [classic(), cooperative(), modern()] {
        let mut cluster = Cluster::new(2);
        let (first, second) = (cluster.member(config.clone()), cluster.member(config));
        cluster.until_shared(&[(first, 1), (second, 1)]);
        cluster.pass(5_000);
        let told = (cluster.apps[first].told.clone(), cluster.apps[second].told.clone());
        cluster.fail_over(2);
        cluster.pass(60_000);
        assert_eq!((cluster.apps[first].told.clone(), cluster.apps[second].told.clone()), told);
        cluster.kill(second);
        cluster.until_shared(&[(first, 2)]);
    }
}
