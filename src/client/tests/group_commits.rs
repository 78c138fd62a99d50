//! Commits, and where consumers begin.

use super::group_fixture::*;
use crate::config::{ConsumerConfig, OffsetReset};
use crate::ids::TopicPartition;
use crate::node::{Command, OpId, Outcome};

fn commit(offset: i64, wait: bool) -> Command {
    Command::Commit { offsets: Some(vec![(at(0), offset)]), wait }
}
fn refused(error: &str) -> Option<Outcome> {
    Some(Outcome::Refused { error: error.into() })
}

#[test]
fn who_comes_next_goes_on_where_the_group_has_come_to() {
    for config in [classic(), cooperative(), modern()] {
        let mut cluster = Cluster::new(1);
        let first = cluster.member(config.clone());
        cluster.apps[first].commits_what_it_reads = true;
        cluster.produce(0, 3);
        cluster.until("it has read all", |cluster| cluster.apps[0].read.len() == 3);
        cluster.apps[first].polls = false;
        let op = cluster.command(first, Command::Close);
        cluster.pass(100);
        assert_eq!(cluster.outcome(op), Some(&Outcome::Done));
        let second = cluster.member(config);
        cluster.produce(0, 2);
        cluster.until("it has read the rest", |cluster| cluster.apps[1].read.len() == 2);
        assert_eq!(cluster.apps[second].read_of(0), [3, 4]);
        assert!(cluster.apps[second].last_event("position-reset").contains("to 3: the group has come there"));
    }
}

#[test]
fn who_closes_commits_and_leaves() {
    for config in [classic(), cooperative(), modern()] {
        let mut cluster = Cluster::new(1);
        let first = cluster.member(ConsumerConfig { enable_auto_commit: true, ..config.clone() });
        cluster.produce(0, 3);
        cluster.until("it has read all", |cluster| cluster.apps[0].read.len() == 3);
        cluster.apps[first].polls = false;
        let op = cluster.command(first, Command::Close);
        cluster.pass(200);
        assert_eq!(cluster.outcome(op), Some(&Outcome::Done));
        assert!(cluster.apps[first].last_event("group-left").contains("closed"));
        let second = cluster.member(config);
        cluster.until("it is assigned at once", |cluster| cluster.apps[second].owned().len() == 1);
        assert_eq!(cluster.committed(second, 0), 3);
        assert_eq!(cluster.done(first, Command::Poll { max_wait_ms: 0 }), refused("CLOSED").unwrap());
    }
}

#[test]
fn positions_are_committed_now_and_then_while_it_polls() {
    for config in [classic(), modern()] {
        let mut cluster = Cluster::new(1);
        let config = ConsumerConfig { enable_auto_commit: true, auto_commit_interval_ms: 5_000, ..config };
        let app = cluster.member(config);
        cluster.until_shared(&[(app, 1)]);
        cluster.produce(0, 3);
        cluster.pass(2_000);
        assert_eq!((cluster.apps[app].read.len(), cluster.committed(app, 0)), (3, -1));
        cluster.pass(5_000);
        assert_eq!(cluster.committed(app, 0), 3);
        cluster.produce(0, 1);
        cluster.pass(200);
        cluster.apps[app].polls = false;
        cluster.pass(20_000);
        assert_eq!(cluster.committed(app, 0), 3, "who does not poll commits nothing");
    }
}

#[test]
fn a_synchronous_commit_survives_a_failover_an_asynchronous_one_does_not() {
    for config in [classic(), modern()] {
        let mut cluster = Cluster::new(1);
        let app = cluster.member(config);
        cluster.until_shared(&[(app, 1)]);
        cluster.pass(1_000);
        cluster.followers_are_away = true;
        let waits = cluster.command(app, commit(7, true));
        let does_not = cluster.command(app, commit(8, false));
        assert_eq!((cluster.outcome(waits), cluster.outcome(does_not)), (None, None));
        cluster.fail_over(2);
        cluster.commit_log();
        cluster.pass(5_000);
        assert_eq!(cluster.outcome(waits), Some(&Outcome::Done));
        assert_eq!(cluster.outcome(does_not).cloned(), refused("NETWORK_EXCEPTION"));
        assert_eq!(cluster.committed(app, 0), 7, "what was tried again came last");
    }
}

#[test]
fn a_commit_that_cannot_be_made_ends_with_a_time_out() {
    let mut cluster = Cluster::new(1);
    cluster.coordinator = None;
    let app = cluster.consumer(ConsumerConfig { default_api_timeout_ms: 5_000, ..classic() });
    cluster.done(app, Command::Assign { partitions: vec![(at(0), Some(0))] });
    let waits = cluster.command(app, commit(1, true));
    let does_not = cluster.command(app, commit(1, false));
    let query = cluster.command(app, Command::Committed { partitions: vec![at(0)] });
    cluster.pass(4_900);
    assert_eq!(cluster.outcome(does_not).cloned(), refused("COORDINATOR_NOT_AVAILABLE"));
    assert_eq!((cluster.outcome(waits), cluster.outcome(query)), (None, None));
    cluster.pass(200);
    assert_eq!(
        (cluster.outcome(waits).cloned(), cluster.outcome(query).cloned()),
        (refused("TIMEOUT"), refused("TIMEOUT"))
    );
}

#[test]
fn who_reads_what_is_assigned_by_hand_commits_in_nobodys_name() {
    for config in [classic(), modern()] {
        let mut cluster = Cluster::new(1);
        let app = cluster.consumer(config.clone());
        cluster.produce(0, 3);
        cluster.done(app, Command::Assign { partitions: vec![(at(0), None)] });
        cluster.apps[app].polls = true;
        cluster.until("it has read all", |cluster| cluster.apps[0].read.len() == 3);
        assert_eq!(cluster.done(app, Command::Commit { offsets: None, wait: true }), Outcome::Done);
        assert!(cluster.apps[app].last_event("commit-answered").contains("3 of t-0 is committed"));
        assert!(cluster.apps[app].last_event("commit-answered").ends_with("in generation -1"));
        // Not while the group has members.
        let member = cluster.member(config);
        cluster.until("it has members", |cluster| cluster.apps[member].owned().len() == 1);
        let end = cluster.done(app, commit(1, true));
        assert_eq!(Some(end), refused("COMMIT_FAILED"));
        assert_eq!(cluster.committed(app, 0), 3);
    }
}

#[test]
fn offsets_asked_for_in_another_assignment_are_no_positions() {
    let mut cluster = Cluster::new(1);
    let app = cluster.consumer(classic());
    cluster.produce(0, 9);
    let by_hand = |partitions: Vec<(TopicPartition, Option<i64>)>| Command::Assign { partitions };
    cluster.held.insert("OffsetFetch");
    cluster.done(app, by_hand(vec![(at(0), None)]));
    let poll = cluster.command(app, Command::Poll { max_wait_ms: 5_000 });
    cluster.pass(100);
    // Another consumer of the group commits while the answer, which says that nothing is committed, is on its way; and the
    // partition goes and comes.
    cluster.release("OffsetFetch");
    assert!(cluster.outcome(poll).is_some());
    let second = cluster.consumer(classic());
    cluster.done(second, by_hand(vec![(at(0), None)]));
    cluster.held.insert("OffsetFetch");
    let poll = cluster.command(second, Command::Poll { max_wait_ms: 60_000 });
    cluster.done(second, by_hand(vec![]));
    cluster.done(second, by_hand(vec![(at(0), None)]));
    cluster.held.remove("OffsetFetch");
    cluster.done(app, commit(5, true));
    cluster.held.insert("OffsetFetch");
    cluster.release("OffsetFetch");
    cluster.pass(2_000);
    let first = first_offset(&cluster, poll);
    assert_eq!(first, Some(5));
}
fn first_offset(cluster: &Cluster, op: OpId) -> Option<i64> {
    match cluster.outcome(op)? {
        Outcome::Polled { records, .. } => records.first().map(|record| record.offset),
        _ => None,
    }
}

#[test]
fn without_a_committed_offset_and_a_policy_the_application_must_say() {
    let mut cluster = Cluster::new(1);
    let app = cluster.consumer(ConsumerConfig { auto_offset_reset: OffsetReset::None, ..classic() });
    cluster.done(app, Command::Assign { partitions: vec![(at(0), None)] });
    match cluster.done(app, Command::Poll { max_wait_ms: 1_000 }) {
        Outcome::Polled { errors, .. } => assert_eq!(errors, [(at(0), "NO_OFFSET_FOR_PARTITION".to_string())]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_paused_is_not_handed_out() {
    let mut cluster = Cluster::new(2);
    let app = cluster.member(classic());
    cluster.until_shared(&[(app, 2)]);
    cluster.pass(1_000);
    assert_eq!(cluster.done(app, Command::Pause { partitions: vec![at(0)] }), Outcome::Done);
    (0..2).for_each(|partition| cluster.produce(partition, 2));
    cluster.pass(1_000);
    assert_eq!((cluster.apps[app].read_of(0), cluster.apps[app].read_of(1)), (vec![], vec![0, 1]));
    assert_eq!(cluster.done(app, Command::Resume { partitions: vec![at(0)] }), Outcome::Done);
    cluster.pass(1_000);
    assert_eq!(cluster.apps[app].read_of(0), [0, 1]);
    let not_its_own = Command::Pause { partitions: vec![at(7)] };
    assert_eq!(Some(cluster.done(app, not_its_own)), refused("INVALID_REQUEST"));
}

#[test]
fn without_a_group_there_is_nothing_to_commit_to() {
    let mut cluster = Cluster::new(1);
    let app = cluster.consumer(ConsumerConfig { group_id: String::new(), ..classic() });
    for command in [commit(1, true), Command::Committed { partitions: vec![at(0)] }] {
        assert_eq!(Some(cluster.done(app, command)), refused("INVALID_GROUP_ID"));
    }
}
