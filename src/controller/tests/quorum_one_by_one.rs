//! Rules of the quorum that the other stories only tell together with another rule, each by itself: node 1 of three, the
//! others being played by the story.

use std::collections::BTreeSet;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_response::{PartitionData as Fetched, SnapshotId as WireSnapshotId};
use kafka_protocol::messages::{BeginQuorumEpochResponse, FetchSnapshotResponse, RequestKind, ResponseKind};

use super::cluster::{Cluster, voter};
use super::quorum_rules::{
    ask_vote, elect, fetch, fetch_of, follow, following, granted, no_ops, serve, serve_in, topic_name, vote_request,
};
use crate::controller::{Controller, ControllerSetup, QuorumRole};
use crate::event::Event;
use crate::metadata::MetadataImage;
use crate::metadata::snapshot::{SnapshotId, encode};
use crate::node::{Command, Input, OpId};
use crate::zoo::Zoo;

/// Node 1 starts anew, on an empty disk and otherwise set up.
fn replace(cluster: &mut Cluster, change: impl FnOnce(&mut ControllerSetup)) {
    cluster.crash(1);
    let machine = cluster.machines.get_mut(&1).unwrap();
    let mut setup = machine.controller.setup().clone();
    change(&mut setup);
    (machine.controller, machine.disk) = (Controller::new(setup), Default::default());
    cluster.start(1);
}

// ── elections ────────────────────────────────────────────────────────────────────────────────────────────────────────
#[test]
fn the_patience_of_voters_differs() {
    let patience = |seed| {
        let mut cluster = Cluster::of(3, seed, Zoo::default());
        cluster.puppets = BTreeSet::from([2, 3]);
        cluster.start(1);
        assert!(cluster.run_until(5_000, |c| c.role(1) == QuorumRole::Prospective));
        cluster.now.mono / 1_000_000
    };
    let patience: BTreeSet<_> = (0..8).map(patience).collect();
    assert!(patience.iter().all(|millis| (1_000..2_000).contains(millis)) && patience.len() > 1, "{patience:?}");
}

/// The puppets grant a pre-vote, and say nothing else.
fn encouraged(puppet: i32, request: &RequestKind) -> Option<ResponseKind> {
    match request {
        RequestKind::Vote(vote) if vote.topics[0].partitions[0].pre_vote => granted(puppet, request),
        _ => None,
    }
}
/// They grant the pre-vote, and then vote for another.
fn deceived(puppet: i32, request: &RequestKind) -> Option<ResponseKind> {
    let response = granted(puppet, request);
    match (request, response) {
        (RequestKind::Vote(vote), Some(ResponseKind::Vote(mut response))) => {
            response.topics[0].partitions[0].vote_granted = vote.topics[0].partitions[0].pre_vote;
            Some(response.into())
        }
        (_, response) => response,
    }
}
/// Node 1 stands for election; its votes are still to be asked for, or to be answered.
fn candidate(respond: fn(i32, &RequestKind) -> Option<ResponseKind>) -> Cluster {
    let mut cluster = Cluster::with_puppets(Zoo::default());
    for _ in 0..200 {
        cluster.run(20);
        if cluster.role(1) == QuorumRole::Candidate {
            return cluster;
        }
        cluster.reply(respond);
    }
    panic!("it does not stand: {:?}", cluster.role(1));
}

#[test]
fn a_candidate_that_hears_nothing_tries_again() {
    let mut cluster = candidate(encouraged);
    assert!(!cluster.run_until(900, |c| c.role(1) == QuorumRole::Prospective), "it is patient");
    assert!(cluster.run_until(1_200, |c| c.role(1) == QuorumRole::Prospective));
}

#[test]
fn a_candidate_that_loses_tries_again_after_a_pause() {
    let mut cluster = candidate(deceived);
    cluster.reply(deceived);
    assert!(cluster.run_until(300, |c| c.role(1) == QuorumRole::Prospective), "at most 100 ms at the first time");
}

#[test]
fn one_voter_of_three_elects_nobody() {
    let mut cluster = candidate(encouraged);
    cluster.run(5_000);
    assert!(!cluster.events.iter().any(|(_, event)| matches!(event, Event::BecameQuorumLeader { .. })));
}

#[test]
fn a_vote_is_for_a_candidate_on_its_disk() {
    let mut cluster = Cluster::with_puppets(Zoo::default());
    cluster.run(20);
    assert_eq!(ask_vote(&mut cluster, vote_request(2, 5, 0, 0, false)), (0, true, 5));
    let mut on_another_disk = vote_request(2, 5, 0, 0, false);
    on_another_disk.topics[0].partitions[0].replica_directory_id = voter(9).directory_id;
    assert_eq!(ask_vote(&mut cluster, on_another_disk), (0, false, 5));
}

#[test]
fn who_has_most_is_the_first_successor() {
    let mut cluster = Cluster::with_puppets(Zoo::default());
    elect(&mut cluster);
    cluster.reply(|_, request| {
        matches!(request, RequestKind::BeginQuorumEpoch(_)).then(|| BeginQuorumEpochResponse::default().into())
    });
    let epoch = cluster.node(1).epoch();
    fetch(&mut cluster, fetch_of(2, epoch, 0, 0));
    fetch(&mut cluster, fetch_of(3, epoch, 1, epoch));
    cluster.run(100);
    cluster.feed(1, Input::Command { op: OpId(1), command: Command::ShutDown });
    cluster.run(100);
    let successors = cluster.asked.iter().find_map(|(.., request)| match request {
        RequestKind::EndQuorumEpoch(request) => Some(&request.topics[0].partitions[0].preferred_candidates),
        _ => None,
    });
    let successors: Vec<i32> = successors.expect("it says that it ends").iter().map(|c| c.candidate_id.0).collect();
    assert_eq!(successors, [3, 2]);
}

#[test]
fn only_the_leader_serves_fetches() {
    let mut cluster = following(Zoo::default());
    let answer = fetch(&mut cluster, fetch_of(3, 1, 0, 0));
    assert_eq!(answer.error_code, ResponseError::NotLeaderOrFollower.code());
    assert_eq!((answer.current_leader.leader_id.0, answer.current_leader.leader_epoch), (2, 1), "it says who does");
}

// ── snapshots ────────────────────────────────────────────────────────────────────────────────────────────────────────
#[test]
fn a_snapshot_has_the_epoch_of_its_last_record() {
    let mut cluster = Cluster::with_puppets(Zoo::default());
    replace(&mut cluster, |setup| setup.config.metadata_log_max_record_bytes_between_snapshots = 1);
    // In epoch 2 it is given what was decided in epoch 1.
    follow(&mut cluster, 2);
    let records = Fetched::default().with_high_watermark(3).with_records(Some(no_ops(0, 1, 3)));
    serve_in(&mut cluster, 2, &records);
    cluster.run(50);
    let written = |(_, event): &(i32, Event)| match event {
        Event::SnapshotWritten { end_offset, epoch } => Some((*end_offset, *epoch)),
        _ => None,
    };
    assert_eq!(cluster.events.iter().find_map(written), Some((3, 1)), "{:?}", cluster.machines[&1].halted);
}

/// The leader sends node 1 to this snapshot.
fn sent_to(id: SnapshotId) -> Fetched {
    let id = WireSnapshotId::default().with_end_offset(id.end_offset).with_epoch(id.epoch);
    Fetched::default().with_high_watermark(0).with_snapshot_id(id).with_records(Some(Bytes::new()))
}

#[test]
fn a_snapshot_below_the_own_high_watermark_is_fatal() {
    let mut cluster = following(Zoo::default());
    serve(&mut cluster, &Fetched::default().with_high_watermark(2).with_records(Some(no_ops(0, 1, 4))));
    serve(&mut cluster, &sent_to(SnapshotId { end_offset: 1, epoch: 1 }));
    cluster.run(20);
    let halted = cluster.machines[&1].halted.clone();
    assert!(halted.as_ref().is_some_and(|why| why.contains("committed metadata would be lost")), "{halted:?}");
}

/// The whole snapshot in one chunk.
fn chunk(id: SnapshotId) -> ResponseKind {
    use kafka_protocol::messages::fetch_snapshot_response as wire;
    let bytes = encode(id, &MetadataImage { next_offset: id.end_offset, ..MetadataImage::default() }, 0);
    let partition = wire::PartitionSnapshot::default()
        .with_current_leader(wire::LeaderIdAndEpoch::default().with_leader_id(2.into()).with_leader_epoch(1))
        .with_snapshot_id(wire::SnapshotId::default().with_end_offset(id.end_offset).with_epoch(id.epoch))
        .with_size(bytes.len() as i64)
        .with_unaligned_records(bytes);
    let topic = wire::TopicSnapshot::default().with_name(topic_name()).with_partitions(vec![partition]);
    FetchSnapshotResponse::default().with_topics(vec![topic]).into()
}

#[test]
fn who_follows_no_more_loads_no_snapshot() {
    let id = SnapshotId { end_offset: 10, epoch: 1 };
    let was_loaded = |cluster: &Cluster| cluster.names_of(1).contains(&"snapshot-loaded");
    for leader_falls_silent in [false, true] {
        let mut cluster = following(Zoo::default());
        serve(&mut cluster, &sent_to(id));
        cluster.run(50);
        cluster.machines.get_mut(&1).unwrap().disk_stalls = true;
        cluster.reply(|_, request| matches!(request, RequestKind::FetchSnapshot(_)).then(|| chunk(id)));
        if leader_falls_silent {
            // It is being written when the follower's patience ends.
            assert!(cluster.run_until(4_000, |c| c.role(1) == QuorumRole::Prospective));
        }
        cluster.release_disk(1);
        cluster.run(50);
        assert_eq!(was_loaded(&cluster), !leader_falls_silent);
    }
}
