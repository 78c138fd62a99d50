//! Stories of one voter of three, the others being played by the story: each rule by itself.

use std::collections::BTreeSet;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::{
    EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData as Fetched,
};
use kafka_protocol::messages::vote_request::{PartitionData as VotePartition, TopicData as VoteTopic};
use kafka_protocol::messages::vote_response;
use kafka_protocol::messages::{
    BeginQuorumEpochRequest, EndQuorumEpochRequest, FetchRequest, FetchResponse, RequestKind, ResponseKind, TopicName,
    VoteRequest, VoteResponse,
};
use trial_storage::{BuildOptions, NewRecord, build_batch, set_base_offset_and_epoch};

use super::cluster::{CLUSTER, Cluster, voter};
use crate::controller::QuorumRole;
use crate::metadata::{METADATA_TOPIC_ID, MetadataRecord};
use crate::zoo::{Switch, Zoo};

pub(super) fn topic_name() -> TopicName {
    TopicName("__cluster_metadata".into())
}
pub(super) fn vote_request(
    candidate: i32,
    epoch: i32,
    last_epoch: i32,
    last_offset: i64,
    pre_vote: bool,
) -> VoteRequest {
    let partition = VotePartition::default()
        .with_replica_epoch(epoch)
        .with_replica_id(candidate.into())
        .with_replica_directory_id(voter(candidate).directory_id)
        .with_voter_directory_id(voter(1).directory_id)
        .with_last_offset_epoch(last_epoch)
        .with_last_offset(last_offset)
        .with_pre_vote(pre_vote);
    VoteRequest::default()
        .with_cluster_id(Some(CLUSTER.into()))
        .with_voter_id(1.into())
        .with_topics(vec![VoteTopic::default().with_topic_name(topic_name()).with_partitions(vec![partition])])
}
/// Error, granted, epoch.
fn vote_answer(response: ResponseKind) -> (i16, bool, i32) {
    let ResponseKind::Vote(response) = response else { panic!("{response:?}") };
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.vote_granted, partition.leader_epoch)
}
pub(super) fn ask_vote(cluster: &mut Cluster, request: VoteRequest) -> (i16, bool, i32) {
    let req = cluster.send(1, 2, request);
    cluster.run(20);
    vote_answer(cluster.answers.remove(&req).expect("the vote is answered"))
}
/// The puppets vote as asked.
pub(super) fn granted(_: i32, request: &RequestKind) -> Option<ResponseKind> {
    let RequestKind::Vote(request) = request else { return None };
    let epoch = request.topics[0].partitions[0].replica_epoch;
    let partition = vote_response::PartitionData::default()
        .with_leader_id((-1).into())
        .with_leader_epoch(epoch)
        .with_vote_granted(true);
    let topic = vote_response::TopicData::default().with_topic_name(topic_name()).with_partitions(vec![partition]);
    Some(VoteResponse::default().with_topics(vec![topic]).into())
}
/// Node 1 is elected by puppets that grant everything.
pub(super) fn elect(cluster: &mut Cluster) {
    for _ in 0..400 {
        cluster.run(20);
        if cluster.role(1) == QuorumRole::Leader {
            return;
        }
        cluster.reply(granted);
    }
    panic!("it is not elected: {:?}", cluster.role(1));
}
pub(super) fn fetch_of(replica: i32, epoch: i32, offset: i64, last_epoch: i32) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_current_leader_epoch(epoch)
        .with_fetch_offset(offset)
        .with_last_fetched_epoch(last_epoch)
        .with_partition_max_bytes(1 << 20)
        .with_replica_directory_id(voter(replica).directory_id);
    FetchRequest::default()
        .with_cluster_id(Some(CLUSTER.into()))
        .with_replica_state(ReplicaState::default().with_replica_id(replica.into()))
        .with_max_bytes(1 << 20)
        .with_topics(vec![FetchTopic::default().with_topic_id(METADATA_TOPIC_ID).with_partitions(vec![partition])])
}
pub(super) fn fetch(cluster: &mut Cluster, request: FetchRequest) -> Fetched {
    let req = cluster.send(1, 17, request);
    let Some(ResponseKind::Fetch(response)) = cluster.answers.remove(&req) else { panic!("no answer") };
    response.responses[0].partitions[0].clone()
}
/// What a leader in this epoch answers to a fetch.
pub(super) fn served(leader: i32, epoch: i32, partition: Fetched) -> ResponseKind {
    let leader = LeaderIdAndEpoch::default().with_leader_id(leader.into()).with_leader_epoch(epoch);
    let topic = FetchableTopicResponse::default()
        .with_topic_id(METADATA_TOPIC_ID)
        .with_partitions(vec![partition.with_current_leader(leader)]);
    FetchResponse::default().with_responses(vec![topic]).into()
}
pub(super) fn no_ops(base_offset: i64, epoch: i32, count: usize) -> Bytes {
    let record = NewRecord { value: Some(MetadataRecord::NoOp.encode()), ..NewRecord::default() };
    let mut batches = bytes::BytesMut::new();
    for i in 0..count {
        let mut batch = bytes::BytesMut::from(&build_batch(std::slice::from_ref(&record), BuildOptions::default())[..]);
        set_base_offset_and_epoch(&mut batch, base_offset + i as i64, epoch);
        batches.extend_from_slice(&batch);
    }
    batches.freeze()
}
/// Node 1 follows puppet 2 in epoch 1.
pub(super) fn following(zoo: Zoo) -> Cluster {
    let mut cluster = Cluster::with_puppets(zoo);
    follow(&mut cluster, 1);
    cluster
}
/// Puppet 2 tells node 1 that it leads this epoch.
pub(super) fn follow(cluster: &mut Cluster, epoch: i32) {
    use kafka_protocol::messages::begin_quorum_epoch_request::{PartitionData, TopicData};
    cluster.run(50);
    let partition = PartitionData::default()
        .with_leader_id(2.into())
        .with_leader_epoch(epoch)
        .with_voter_directory_id(voter(1).directory_id);
    let request = BeginQuorumEpochRequest::default()
        .with_cluster_id(Some(CLUSTER.into()))
        .with_voter_id(1.into())
        .with_topics(vec![TopicData::default().with_topic_name(topic_name()).with_partitions(vec![partition])]);
    cluster.send(1, 1, request);
    cluster.run(50);
    assert_eq!(cluster.role(1), QuorumRole::Follower { leader: 2 });
}
/// The next fetch of node 1, answered so by the leader of epoch 1.
pub(super) fn serve(cluster: &mut Cluster, partition: &Fetched) -> i64 {
    serve_in(cluster, 1, partition)
}
/// The next fetch of node 1, answered so by the leader of that epoch.
pub(super) fn serve_in(cluster: &mut Cluster, epoch: i32, partition: &Fetched) -> i64 {
    for _ in 0..100 {
        cluster.run(10);
        let offset = cluster.asked.iter().find_map(|(_, _, _, request)| match request {
            RequestKind::Fetch(request) => Some(request.topics[0].partitions[0].fetch_offset),
            _ => None,
        });
        if let Some(offset) = offset {
            cluster.reply(|_, request| {
                matches!(request, RequestKind::Fetch(_)).then(|| served(2, epoch, partition.clone()))
            });
            return offset;
        }
    }
    panic!("it does not fetch");
}

#[test]
fn a_vote_is_durable_before_it_is_told() {
    // The disk stalls: nothing is said. After a loss of power the vote was never given, and may go to another.
    let mut cluster = Cluster::with_puppets(Zoo::default());
    cluster.run(20);
    cluster.machines.get_mut(&1).unwrap().disk_stalls = true;
    let req = cluster.send(1, 2, vote_request(2, 5, 0, 0, false));
    cluster.run(500);
    assert!(!cluster.answers.contains_key(&req), "it waits for the disk");
    cluster.lose_power(1);
    cluster.machines.get_mut(&1).unwrap().disk_stalls = false;
    cluster.start(1);
    cluster.run(20);
    assert_eq!(ask_vote(&mut cluster, vote_request(3, 5, 0, 0, false)), (0, true, 5));
    // That one was told: it stands, whatever happens.
    cluster.lose_power(1);
    cluster.start(1);
    cluster.run(20);
    assert_eq!(ask_vote(&mut cluster, vote_request(2, 5, 0, 0, false)), (0, false, 5));
    assert_eq!(
        ask_vote(&mut cluster, vote_request(3, 5, 0, 0, false)),
        (0, true, 5),
        "the same candidate may ask again"
    );
}

/// A new epoch and the vote in it are two states of one handler, and the second overtakes the first on its way to the disk.
#[test]
fn a_state_that_is_written_over_before_it_is_durable_leaves_the_later_one() {
    use trial_storage::Disk;
    let mut cluster = Cluster::with_puppets(Zoo::default());
    cluster.run(20);
    assert_eq!(ask_vote(&mut cluster, vote_request(2, 5, 0, 0, false)), (0, true, 5));
    assert_eq!(cluster.machines[&1].halted, None);
    let dir = cluster.node(1).log().unwrap().dir();
    let files = cluster.machines[&1].disk.list(dir).unwrap();
    assert!(files.contains(&"quorum-state".to_string()) && !files.contains(&"quorum-state.tmp".to_string()));
    cluster.lose_power(1);
    cluster.start(1);
    cluster.run(20);
    assert_eq!(ask_vote(&mut cluster, vote_request(3, 5, 0, 0, false)), (0, false, 5), "the vote was the later state");
}

#[test]
fn a_vote_that_is_not_persisted_is_given_twice() {
    let mut cluster = Cluster::with_puppets(Zoo::from_iter([Switch::RaftVoteNotPersisted]));
    cluster.run(20);
    assert_eq!(ask_vote(&mut cluster, vote_request(2, 5, 0, 0, false)), (0, true, 5));
    cluster.lose_power(1);
    cluster.start(1);
    cluster.run(20);
    assert_eq!(ask_vote(&mut cluster, vote_request(3, 5, 0, 0, false)), (0, true, 5));
}

#[test]
fn every_check_of_a_vote_request_has_its_error() {
    let mut cluster = Cluster::with_puppets(Zoo::default());
    cluster.run(20);
    assert_eq!(ask_vote(&mut cluster, vote_request(2, 5, 0, 0, false)), (0, true, 5));
    let code = |error: ResponseError| error.code();
    let fenced = vote_request(3, 4, 0, 0, false);
    assert_eq!(ask_vote(&mut cluster, fenced), (code(ResponseError::FencedLeaderEpoch), false, 5));
    for (last_epoch, pre_vote, error) in [(6, false, 42), (7, true, 42), (6, true, 0)] {
        let illegal = vote_request(3, 6, last_epoch, 0, pre_vote);
        assert_eq!(ask_vote(&mut cluster, illegal).0, error, "last epoch {last_epoch}, pre-vote {pre_vote}");
    }
    let mut elsewhere = vote_request(3, 6, 0, 0, false);
    elsewhere.topics[0].partitions[0].voter_directory_id = voter(9).directory_id;
    assert_eq!(ask_vote(&mut cluster, elsewhere).0, code(ResponseError::InvalidVoterKey));
    let nobody = vote_request(3, 6, 0, 0, false);
    let mut nobody = nobody;
    nobody.topics[0].partitions[0].replica_id = (-1).into();
    assert_eq!(ask_vote(&mut cluster, nobody).0, code(ResponseError::InvalidRequest));
    let foreign = vote_request(3, 6, 0, 0, false).with_cluster_id(Some("elsewhere".into()));
    let req = cluster.send(1, 2, foreign);
    let Some(ResponseKind::Vote(response)) = cluster.answers.remove(&req) else { panic!("no answer") };
    assert_eq!(response.error_code, code(ResponseError::InconsistentClusterId));
}

#[test]
fn a_follower_grants_a_pre_vote_only_until_it_has_fetched() {
    let mut cluster = following(Zoo::default());
    assert_eq!(ask_vote(&mut cluster, vote_request(3, 1, 0, 0, true)), (0, true, 1));
    assert_eq!(ask_vote(&mut cluster, vote_request(3, 1, 0, 0, false)), (0, false, 1), "a vote it never grants");
    serve(&mut cluster, &Fetched::default().with_high_watermark(0).with_records(Some(Bytes::new())));
    assert_eq!(ask_vote(&mut cluster, vote_request(3, 1, 0, 0, true)), (0, false, 1));
}

#[test]
fn a_candidate_that_is_behind_gets_no_vote() {
    let mut cluster = following(Zoo::default());
    serve(&mut cluster, &Fetched::default().with_high_watermark(0).with_records(Some(no_ops(0, 1, 3))));
    cluster.run(20);
    assert_eq!(ask_vote(&mut cluster, vote_request(3, 2, 1, 2, false)), (0, false, 2), "shorter");
    assert_eq!(ask_vote(&mut cluster, vote_request(3, 2, 0, 9, false)), (0, false, 2), "of an older epoch");
    assert_eq!(ask_vote(&mut cluster, vote_request(3, 2, 1, 3, false)), (0, true, 2));
}

#[test]
fn a_follower_syncs_before_it_fetches_on() {
    for zoo in [Zoo::default(), Zoo::from_iter([Switch::RaftNoFlush])] {
        let mut cluster = following(zoo);
        cluster.machines.get_mut(&1).unwrap().disk_stalls = true;
        let first = serve(&mut cluster, &Fetched::default().with_high_watermark(0).with_records(Some(no_ops(0, 1, 3))));
        assert_eq!(first, 0);
        cluster.run(100);
        let fetches_on = cluster.asked.iter().any(|(_, _, _, request)| matches!(request, RequestKind::Fetch(_)));
        assert_eq!(fetches_on, !zoo.is_empty());
        cluster.release_disk(1);
        assert_eq!(serve(&mut cluster, &Fetched::default().with_high_watermark(2).with_records(Some(Bytes::new()))), 3);
        assert_eq!(cluster.node(1).high_watermark(), 2);
    }
}

/// Else it could win with records that a loss of power takes from it, and be granted the same vote again without them.
#[test]
fn a_vote_is_asked_for_only_with_a_log_that_is_durable() {
    let mut cluster = following(Zoo::default());
    cluster.machines.get_mut(&1).unwrap().disk_stalls = true;
    serve(&mut cluster, &Fetched::default().with_high_watermark(0).with_records(Some(no_ops(0, 1, 3))));
    let asks =
        |cluster: &Cluster| cluster.asked.iter().any(|(_, _, _, request)| matches!(request, RequestKind::Vote(_)));
    // It hears of a later epoch, which becomes durable before its log does, and of nobody who leads it.
    cluster.send(1, 2, vote_request(3, 2, 0, 0, false));
    for _ in 0..3 {
        cluster.run(20);
        cluster.release_all_but_the_first_sync(1);
    }
    cluster.run(6_000);
    assert_eq!((cluster.role(1), cluster.node(1).epoch()), (QuorumRole::Prospective, 2));
    assert!(!asks(&cluster));
    cluster.release_disk(1);
    assert!(cluster.run_until(6_000, asks));
}

/// Kafka's thread stands still while it flushes, and looks at its clock afterwards.
#[test]
fn a_follower_that_flushes_finds_its_leader_silent_only_when_it_has_flushed() {
    let mut cluster = following(Zoo::default());
    cluster.machines.get_mut(&1).unwrap().disk_stalls = true;
    serve(&mut cluster, &Fetched::default().with_high_watermark(0).with_records(Some(no_ops(0, 1, 3))));
    cluster.run(10_000);
    assert_eq!(cluster.role(1), QuorumRole::Follower { leader: 2 });
    cluster.release_disk(1);
    cluster.run(20);
    assert_eq!(cluster.role(1), QuorumRole::Prospective, "ten seconds have passed since its leader's last word");
}

#[test]
fn a_fetch_counts_for_check_quorum_when_it_arrives_and_not_again_while_it_waits() {
    let mut cluster = Cluster::with_puppets(Zoo::default());
    elect(&mut cluster);
    cluster.run(20);
    let epoch = cluster.node(1).epoch();
    fetch(&mut cluster, fetch_of(2, epoch, 1, epoch));
    cluster.run(20);
    let end = cluster.node(1).log().unwrap().log_end_offset();
    let waiting = cluster.send(1, 17, fetch_of(2, epoch, end, epoch).with_max_wait_ms(500));
    assert!(!cluster.answers.contains_key(&waiting));
    let is_answered = |cluster: &Cluster| cluster.answers.contains_key(&waiting);
    assert!(cluster.run_until(600, is_answered), "a NoOp is written meanwhile");
    let answered_at = cluster.now.mono;
    assert!(cluster.run_until(4_000, |cluster| cluster.role(1) != QuorumRole::Leader));
    let after = cluster.now.mono - answered_at;
    assert!(after < crate::node::ms(2_900), "three seconds after it came, {after} ns after it was answered");
}

#[test]
fn committed_metadata_is_never_cut() {
    let diverging = |end| {
        let end = EpochEndOffset::default().with_epoch(1).with_end_offset(end);
        Fetched::default().with_high_watermark(0).with_diverging_epoch(end).with_records(Some(Bytes::new()))
    };
    for zoo in [Zoo::default(), Zoo::from_iter([Switch::RaftTruncateBelowHw])] {
        let mut cluster = following(zoo);
        serve(&mut cluster, &Fetched::default().with_high_watermark(2).with_records(Some(no_ops(0, 1, 4))));
        serve(&mut cluster, &diverging(3));
        assert_eq!(cluster.node(1).log().unwrap().log_end_offset(), 3, "above the high watermark it is");
        serve(&mut cluster, &diverging(1));
        cluster.run(20);
        let halted = cluster.machines[&1].halted.clone();
        assert_eq!(halted.is_some_and(|why| why.contains("committed metadata would be lost")), zoo.is_empty());
        if !zoo.is_empty() {
            assert_eq!(cluster.node(1).log().unwrap().log_end_offset(), 1);
        }
    }
}

#[test]
fn records_of_older_epochs_are_committed_only_with_one_of_the_own() {
    for zoo in [Zoo::default(), Zoo::from_iter([Switch::RaftCommitOldEpoch])] {
        let mut cluster = Cluster::with_puppets(zoo);
        elect(&mut cluster);
        // Nobody fetches: it resigns with one record that is on no majority, and is elected again.
        cluster.run(6_000);
        elect(&mut cluster);
        cluster.run(20);
        let (epoch, end) = (cluster.node(1).epoch(), cluster.node(1).log().unwrap().log_end_offset());
        assert!(epoch > 1 && end == 2);
        fetch(&mut cluster, fetch_of(2, epoch, 1, 1));
        let expected = if zoo.is_empty() { -1 } else { 1 };
        assert_eq!(cluster.node(1).high_watermark(), expected, "the record of epoch 1 is on two of three");
        assert!(!cluster.node(1).is_active());
        fetch(&mut cluster, fetch_of(2, epoch, 2, epoch));
        assert_eq!(cluster.node(1).high_watermark(), 2);
        assert!(cluster.node(1).is_active(), "it has replayed its epoch's start");
    }
}

#[test]
fn the_zoo_lets_a_leader_decide_before_it_has_replayed() {
    let mut cluster = Cluster::with_puppets(Zoo::from_iter([Switch::LeaderCallbackBeforeCatchup]));
    elect(&mut cluster);
    assert!(cluster.node(1).is_active());
    assert_eq!(cluster.node(1).high_watermark(), -1);
}

#[test]
fn a_leader_counts_itself_with_what_it_has_synced() {
    for zoo in [Zoo::default(), Zoo::from_iter([Switch::RaftNoFlush])] {
        let mut cluster = Cluster::with_puppets(zoo);
        elect(&mut cluster);
        cluster.run(20);
        let epoch = cluster.node(1).epoch();
        fetch(&mut cluster, fetch_of(2, epoch, 1, epoch));
        assert_eq!(cluster.node(1).high_watermark(), 1);
        cluster.run(20);
        // The bootstrap record was appended on activation; the next NoOp is not synced.
        cluster.machines.get_mut(&1).unwrap().disk_stalls = true;
        let synced = cluster.node(1).log().unwrap().log_end_offset();
        cluster.run(600);
        let end = cluster.node(1).log().unwrap().log_end_offset();
        assert!(end > synced);
        fetch(&mut cluster, fetch_of(2, epoch, end, epoch));
        assert_eq!(cluster.node(1).high_watermark(), if zoo.is_empty() { synced } else { end });
        cluster.release_disk(1);
        cluster.run(20);
        assert_eq!(cluster.node(1).high_watermark(), end);
    }
}

#[test]
fn voters_get_what_is_not_committed_and_observers_do_not() {
    let mut cluster = Cluster::with_puppets(Zoo::default());
    elect(&mut cluster);
    let epoch = cluster.node(1).epoch();
    assert!(!fetch(&mut cluster, fetch_of(2, epoch, 0, 0)).records.unwrap().is_empty());
    assert!(fetch(&mut cluster, fetch_of(7, epoch, 0, 0)).records.unwrap().is_empty());
    // Voter 2 on another disk is an observer.
    let mut other_disk = fetch_of(2, epoch, 0, 0);
    other_disk.topics[0].partitions[0].replica_directory_id = voter(9).directory_id;
    assert!(fetch(&mut cluster, other_disk).records.unwrap().is_empty());
    // And whoever is behind or ahead is told of the leader.
    for (asked, error) in
        [(epoch - 1, ResponseError::FencedLeaderEpoch), (epoch + 1, ResponseError::UnknownLeaderEpoch)]
    {
        let answer = fetch(&mut cluster, fetch_of(7, asked, 0, 0));
        assert_eq!((answer.error_code, answer.current_leader.leader_id.0), (error.code(), 1));
    }
}

#[test]
fn successors_stand_in_their_order() {
    use kafka_protocol::messages::end_quorum_epoch_request::{PartitionData, ReplicaInfo, TopicData};
    let ended = |candidates: &[i32]| {
        let mut cluster = following(Zoo::default());
        let info = |id: &i32| {
            ReplicaInfo::default().with_candidate_id((*id).into()).with_candidate_directory_id(voter(*id).directory_id)
        };
        let partition = PartitionData::default()
            .with_leader_id(2.into())
            .with_leader_epoch(1)
            .with_preferred_candidates(candidates.iter().map(info).collect());
        let request = EndQuorumEpochRequest::default()
            .with_cluster_id(Some(CLUSTER.into()))
            .with_topics(vec![TopicData::default().with_topic_name(topic_name()).with_partitions(vec![partition])]);
        let begun = cluster.now.mono;
        cluster.send(1, 1, request);
        assert!(cluster.run_until(3_000, |c| c.role(1) == QuorumRole::Prospective));
        (cluster.now.mono - begun) / 1_000_000
    };
    assert_eq!(ended(&[1, 3]), 0, "the first at once");
    assert_eq!(ended(&[3, 1]), 500, "the next after half the longest backoff");
    assert_eq!(ended(&[3]), 1_000, "who is not named last");
}

#[test]
fn who_is_behind_gets_no_pre_vote() {
    let mut cluster = following(Zoo::default());
    serve(&mut cluster, &Fetched::default().with_high_watermark(0).with_records(Some(no_ops(0, 1, 3))));
    cluster.run(20);
    // A vote request of a higher epoch leaves it without a leader.
    assert_eq!(ask_vote(&mut cluster, vote_request(3, 2, 1, 2, false)), (0, false, 2));
    assert_eq!(ask_vote(&mut cluster, vote_request(3, 2, 1, 2, true)), (0, false, 2));
    assert_eq!(ask_vote(&mut cluster, vote_request(3, 2, 1, 3, true)), (0, true, 2));
}

#[test]
fn a_leader_tells_silent_voters_that_it_leads() {
    let mut cluster = Cluster::with_puppets(Zoo::default());
    elect(&mut cluster);
    let told = |cluster: &Cluster| {
        let begun = cluster.asked.iter().filter(|(.., request)| matches!(request, RequestKind::BeginQuorumEpoch(_)));
        begun.map(|(puppet, ..)| *puppet).collect::<BTreeSet<_>>()
    };
    cluster.run(20);
    assert_eq!(told(&cluster), BTreeSet::from([2, 3]));
}

#[test]
fn the_high_watermark_never_goes_back() {
    let mut cluster = Cluster::with_puppets(Zoo::default());
    elect(&mut cluster);
    cluster.run(20);
    let epoch = cluster.node(1).epoch();
    fetch(&mut cluster, fetch_of(2, epoch, 1, epoch));
    cluster.run(20);
    let end = cluster.node(1).log().unwrap().log_end_offset();
    assert!(end > 1, "it has begun to decide");
    fetch(&mut cluster, fetch_of(2, epoch, end, epoch));
    assert_eq!(cluster.node(1).high_watermark(), end);
    fetch(&mut cluster, fetch_of(2, epoch, end - 1, epoch));
    assert_eq!(cluster.node(1).high_watermark(), end, "a voter that lost something had it once");
}
