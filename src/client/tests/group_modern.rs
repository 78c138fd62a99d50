//! The consumer protocol (KIP-848), where it is not as the classic one.

use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, RequestKind};

use super::group_fixture::*;
use crate::config::ConsumerConfig;
use crate::node::Command;

fn heartbeats(cluster: &Cluster, of: usize) -> Vec<ConsumerGroupHeartbeatRequest> {
    let of_it = cluster.requests.iter().filter(|(app, _)| *app == of);
    let heartbeat = |request: &RequestKind| match request {
        RequestKind::ConsumerGroupHeartbeat(request) => Some(request.clone()),
        _ => None,
    };
    of_it.filter_map(|(_, request)| heartbeat(request)).collect()
}
fn says_all(request: &ConsumerGroupHeartbeatRequest) -> bool {
    request.rebalance_timeout_ms != -1 && request.subscribed_topic_names.is_some() && request.topic_partitions.is_some()
}

#[test]
fn a_heartbeat_says_only_what_has_changed() {
    let mut cluster = Cluster::new(1);
    let app = cluster.member(ConsumerConfig { group_remote_assignor: "range".into(), ..modern() });
    cluster.until_shared(&[(app, 1)]);
    cluster.pass(10_000);
    let all = heartbeats(&cluster, app);
    assert!(all.len() >= 4, "{all:?}");
    assert!(says_all(&all[0]) && all[0].member_epoch == 0 && all[0].server_assignor.is_some());
    assert_eq!(all[0].topic_partitions, Some(vec![]));
    let ack = &all[1];
    assert!(ack.member_epoch > 0 && ack.topic_partitions.as_ref().is_some_and(|owned| owned.len() == 1), "{ack:?}");
    assert!(ack.subscribed_topic_names.is_none() && ack.rebalance_timeout_ms == -1);
    for later in &all[2..] {
        assert!(later.topic_partitions.is_none() && later.server_assignor.is_none(), "{later:?}");
    }
    // After a failure nobody knows what was heard.
    cluster.disconnect(1);
    let before = heartbeats(&cluster, app).len();
    cluster.held.insert("ConsumerGroupHeartbeat");
    cluster.pass(4_000);
    cluster.disconnect(1);
    cluster.release("ConsumerGroupHeartbeat");
    cluster.pass(4_000);
    assert!(heartbeats(&cluster, app)[before..].iter().any(says_all));
}

#[test]
fn a_partition_goes_only_after_it_was_given_back() {
    let mut cluster = Cluster::new(2);
    let first = cluster.member(modern());
    cluster.until_shared(&[(first, 2)]);
    let second = cluster.member(modern());
    cluster.until("one is told to give up", |cluster| cluster.apps[first].told.len() >= 2);
    cluster.until_shared(&[(first, 1), (second, 1)]);
    assert!(cluster.apps[first].told[1].starts_with("revoked"), "{:?}", cluster.apps[first].told);
    // While the application has not come back from its listener, nobody gets what it has.
    let third = cluster.member(modern());
    cluster.apps[first].polls = false;
    cluster.pass(30_000);
    let sum: usize = [first, second, third].iter().map(|app| cluster.apps[*app].owned().len()).sum();
    assert_eq!(sum, 2);
}

#[test]
fn a_member_keeps_its_id_and_comes_again_in_epoch_0() {
    let mut cluster = Cluster::new(1);
    let app = cluster.member(modern());
    cluster.until_shared(&[(app, 1)]);
    cluster.pass(1_000);
    cluster.pause(app);
    cluster.pass(50_000);
    cluster.resume(app);
    cluster.pass(5_000);
    assert_eq!(cluster.apps[app].told, ["assigned [0]", "lost [0]", "assigned [0]"]);
    let all = heartbeats(&cluster, app);
    assert!(all.iter().all(|heartbeat| heartbeat.member_id == all[0].member_id));
    assert_eq!(all.iter().filter(|heartbeat| heartbeat.member_epoch == 0).count(), 2);
}

#[test]
fn a_static_member_says_that_it_will_come_again() {
    for (instance, epoch) in [("i", -2), ("", -1)] {
        let mut cluster = Cluster::new(1);
        let app = cluster.member(ConsumerConfig { group_instance_id: instance.into(), ..modern() });
        cluster.until_shared(&[(app, 1)]);
        cluster.apps[app].polls = false;
        cluster.command(app, Command::Close);
        cluster.pass(500);
        assert_eq!(heartbeats(&cluster, app).last().map(|last| last.member_epoch), Some(epoch));
    }
}

#[test]
fn a_commit_that_a_new_epoch_overtook_is_made_again() {
    let mut cluster = Cluster::new(2);
    let config = ConsumerConfig { enable_auto_commit: true, ..modern() };
    let first = cluster.member(config.clone());
    (0..2).for_each(|partition| cluster.produce(partition, 3));
    cluster.until("it has read all", |cluster| cluster.apps[0].read.len() == 6);
    cluster.held.insert("OffsetCommit");
    let second = cluster.member(config.clone());
    cluster.until("it commits before it gives up", |cluster| !cluster.apps[0].events("commit-sent").is_empty());
    // The commit is overtaken on the way: it says an epoch that the member has no more.
    cluster.spoil_epoch_of_held_commits();
    cluster.release("OffsetCommit");
    cluster.until_shared(&[(first, 1), (second, 1)]);
    cluster.pass(1_000);
    let answers = cluster.apps[first].events("commit-answered");
    assert!(answers[0].contains("STALE_MEMBER_EPOCH") && answers[1].contains("is committed"), "{answers:?}");
    assert_eq!(cluster.apps[second].read, [], "nothing is read twice");
}
