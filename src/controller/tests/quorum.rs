//! Commitment, recovery, and what observers see.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::ReassignableTopic;
use kafka_protocol::messages::alter_partition_request::{PartitionData as AlterData, TopicData as AlterTopic};
use kafka_protocol::messages::describe_quorum_request::{PartitionData as DescribePartition, TopicData};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions as ElectTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::vote_request::TopicData as VoteTopic;
use kafka_protocol::messages::{
    AddRaftVoterRequest, AllocateProducerIdsRequest, AlterPartitionReassignmentsRequest, AlterPartitionRequest,
    ApiVersionsRequest, BeginQuorumEpochRequest, CreatePartitionsRequest, DeleteTopicsRequest, DescribeQuorumRequest,
    ElectLeadersRequest, EndQuorumEpochRequest, FetchRequest, FetchSnapshotRequest, IncrementalAlterConfigsRequest,
    ListOffsetsRequest, ListPartitionReassignmentsRequest, MetadataRequest, RemoveRaftVoterRequest,
    UpdateRaftVoterRequest, VoteRequest,
};
use trial_storage::Batches;

use super::*;
use crate::controller::QuorumRole;
use crate::metadata::{METADATA_TOPIC_ID, MetadataRecord};

fn fetch_request(room: &Room, offset: i64, last_fetched_epoch: i32, max_wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_current_leader_epoch(room.controller.epoch())
        .with_fetch_offset(offset)
        .with_last_fetched_epoch(last_fetched_epoch)
        .with_partition_max_bytes(1 << 20);
    FetchRequest::default()
        .with_cluster_id(Some(CLUSTER.into()))
        .with_replica_state(ReplicaState::default().with_replica_id(WireBrokerId(1)))
        .with_max_wait_ms(max_wait_ms)
        .with_max_bytes(1 << 20)
        .with_topics(vec![FetchTopic::default().with_topic_id(METADATA_TOPIC_ID).with_partitions(vec![partition])])
}
fn fetched(response: ResponseKind) -> PartitionData {
    match response {
        ResponseKind::Fetch(response) => {
            assert_eq!(response.error_code, 0);
            response.responses[0].partitions[0].clone()
        }
        other => panic!("{other:?}"),
    }
}
fn fetch(room: &mut Room, offset: i64, last_fetched_epoch: i32) -> PartitionData {
    let request = fetch_request(room, offset, last_fetched_epoch, 0);
    fetched(room.ask(17, request))
}
/// An image made as a broker makes it: from fetched bytes alone.
fn observe(room: &mut Room) -> MetadataImage {
    let mut image = MetadataImage::default();
    let (mut offset, mut epoch) = (0, 0);
    loop {
        let answer = fetch(room, offset, epoch);
        assert_eq!(answer.error_code, 0);
        let bytes = answer.records.unwrap();
        if bytes.is_empty() {
            assert_eq!(answer.high_watermark, offset);
            return image;
        }
        for batch in Batches::new(bytes) {
            let batch = batch.unwrap();
            (offset, epoch) = (batch.header.next_offset(), batch.header.partition_leader_epoch);
            if !batch.header.is_control() {
                for record in trial_storage::records(&batch.bytes).unwrap() {
                    image.apply(record.offset, &MetadataRecord::decode(&record.value.unwrap()).unwrap());
                }
            }
        }
    }
}

#[test]
fn the_epoch_is_durable_before_anything_is_appended_in_it() {
    let mut room = Room::not_started(BrokerConfig::default());
    room.syncs_end_at_once = false;
    room.start();
    assert_eq!(room.try_register(1, 1).error_code, ResponseError::NotController.code());
    let request = fetch_request(&room, 0, 0, 0);
    let early = room.send(17, request);
    // Content and name of meta.properties, of the vote for itself, and of the leadership.
    for _ in 0..6 {
        assert_eq!(room.controller.log().unwrap().log_end_offset(), 0, "only files beside the log were written");
        assert!(!room.answers.contains_key(&early), "what would tell of the epoch waits");
        room.end_one_sync(Ok(()));
    }
    assert_eq!(room.controller.log().unwrap().log_end_offset(), 1, "the LeaderChange record");
    assert_eq!(room.controller.high_watermark(), -1);
    assert!(!room.controller.is_active());
    assert_eq!(fetched(room.answers.remove(&early).unwrap()).error_code, ResponseError::FencedLeaderEpoch.code());
    assert_eq!(fetch(&mut room, 0, 0).records.unwrap().len(), 0, "nothing is committed");
    room.end_one_sync(Ok(()));
    assert!(room.controller.is_active());
    assert_eq!((room.controller.epoch(), room.controller.high_watermark()), (1, 1));
}

#[test]
fn nothing_is_answered_or_fetched_before_it_is_synced() {
    let mut room = Room::three_brokers();
    room.syncs_end_at_once = false;
    let committed = room.controller.high_watermark();
    let request = CreateTopicsRequest::default().with_topics(vec![room.creation("orders", &[&[1, 2, 3]], &[])]);
    let create = room.send(7, request);
    let heartbeat = room.heartbeat_request(1);
    let heartbeat = room.send(1, heartbeat);
    assert!(room.image().topic("orders").is_some(), "it is applied at once");
    assert!(room.controller.committed_image().topic("orders").is_none());
    assert!(room.answers.is_empty(), "not even a heartbeat that wrote nothing is answered ahead of it");
    assert_eq!(fetch(&mut room, committed, 1).records.unwrap().len(), 0);
    assert_eq!(room.syncs.len(), 1);
    room.end_one_sync(Ok(()));
    assert!(room.answers.contains_key(&create) && room.answers.contains_key(&heartbeat));
    assert!(room.controller.committed_image().topic("orders").is_some());
    assert!(!fetch(&mut room, committed, 1).records.unwrap().is_empty());
}

#[test]
fn an_answer_waits_for_the_very_record_it_wrote() {
    let mut room = Room::with(BrokerConfig::default());
    room.syncs_end_at_once = false;
    let end = room.controller.high_watermark();
    let request = room.registration(1, 1);
    let register = room.send(4, request);
    assert_eq!(room.controller.log().unwrap().log_end_offset(), end + 1, "one record");
    let again = room.registration(1, 1);
    let again = room.send(4, again);
    assert!(room.answers.is_empty());
    room.end_one_sync(Ok(()));
    assert!(room.answers.contains_key(&register) && !room.answers.contains_key(&again));
    room.end_one_sync(Ok(()));
    assert!(room.answers.contains_key(&again));
}

#[test]
fn what_is_appended_during_a_sync_shares_the_next() {
    let mut room = Room::three_brokers();
    room.syncs_end_at_once = false;
    let requests: Vec<ReqId> = ["a", "b", "c"]
        .into_iter()
        .map(|name| {
            let topic = room.creation(name, &[&[1]], &[]);
            room.send(7, CreateTopicsRequest::default().with_topics(vec![topic]))
        })
        .collect();
    assert_eq!(room.syncs.len(), 1);
    room.end_one_sync(Ok(()));
    assert_eq!(room.answers.keys().collect::<Vec<_>>(), [&requests[0]]);
    assert_eq!(room.syncs.len(), 1);
    room.end_one_sync(Ok(()));
    assert_eq!(room.answers.len(), 3);
    assert!(room.syncs.is_empty());
}

#[test]
fn a_failed_sync_halts_the_controller_and_nobody_was_told() {
    let mut room = Room::three_brokers();
    room.syncs_end_at_once = false;
    let request = CreateTopicsRequest::default().with_topics(vec![room.creation("orders", &[&[1]], &[])]);
    room.send(7, request);
    room.end_one_sync(Err(DiskError::Io("gone".to_string())));
    assert!(room.halted.as_ref().is_some_and(|why| why.contains("gone")));
    assert!(room.answers.is_empty());
    assert_eq!(room.controller.next_deadline(), None);
}

/// The same metadata, and the control record that opens the next epoch has been seen.
fn behind_a_leader_change(image: &MetadataImage) -> MetadataImage {
    MetadataImage { next_offset: image.next_offset + 1, ..image.clone() }
}

#[test]
fn a_restart_replays_to_the_same_image_in_a_new_epoch() {
    let mut room = Room::orders_with(BrokerConfig::default(), &[("min.insync.replicas", "2")]);
    room.silence(&[1]);
    let before = room.image().clone();
    room.restart();
    assert_eq!(room.controller.epoch(), 2);
    assert_eq!(room.image(), &behind_a_leader_change(&before));
    assert_eq!(room.controller.committed_image(), &behind_a_leader_change(&before));
    assert_eq!(observe(&mut room), before, "and so does a broker that fetches");
    room.restart();
    assert_eq!(room.controller.epoch(), 3);
    assert_eq!(room.image().partition(room.topic_id("orders"), 0), before.partition(room.topic_id("orders"), 0));
}

#[test]
fn power_loss_takes_what_was_not_answered_and_nothing_else() {
    let mut room = Room::orders();
    let committed = room.image().clone();
    room.syncs_end_at_once = false;
    let request = CreateTopicsRequest::default().with_topics(vec![room.creation("lost", &[&[1]], &[])]);
    room.send(7, request);
    room.disk.lose_power();
    room.syncs_end_at_once = true;
    room.restart();
    assert_eq!(room.image(), &behind_a_leader_change(&committed));
    assert_eq!(room.controller.epoch(), 2, "the epoch before was durable");
}

#[test]
fn an_epoch_is_never_used_twice_even_if_its_start_was_cut_short() {
    let mut room = Room::orders();
    room.syncs_end_at_once = false;
    room.restart();
    while room.controller.role() != QuorumRole::Leader {
        room.end_one_sync(Ok(()));
    }
    // The quorum state of epoch 2 is durable, its LeaderChange is not.
    room.disk.lose_power();
    room.syncs_end_at_once = true;
    room.restart();
    assert_eq!(room.controller.epoch(), 3);
}

#[test]
fn power_loss_at_any_sync_of_a_start_leaves_a_disk_that_starts() {
    for survived in 0..8 {
        let mut room = Room::not_started(BrokerConfig::default());
        room.syncs_end_at_once = false;
        room.start();
        for _ in 0..survived.min(7) {
            room.end_one_sync(Ok(()));
        }
        room.disk.lose_power();
        room.syncs_end_at_once = true;
        room.restart();
        assert!(room.controller.is_active(), "after {survived} syncs: {:?}", room.halted);
    }
}

#[test]
fn a_fetch_waits_for_records_and_gets_them_when_they_are_committed() {
    let mut room = Room::three_brokers();
    let end = room.controller.high_watermark();
    let request = fetch_request(&room, end, 1, 500);
    let waiting = room.send(17, request);
    assert!(!room.answers.contains_key(&waiting));
    room.create("orders", &[&[1]], &[]);
    let answer = fetched(room.answers.remove(&waiting).expect("the commit answered it"));
    assert_eq!(answer.high_watermark, room.controller.high_watermark());
    assert!(!answer.records.unwrap().is_empty());
}

#[test]
fn a_fetch_that_waited_long_enough_is_answered_empty() {
    let mut room = Room::with(BrokerConfig { metadata_max_idle_interval_ms: 0, ..BrokerConfig::default() });
    let end = room.controller.high_watermark();
    let request = fetch_request(&room, end, 1, 500);
    let waiting = room.send(17, request);
    room.pass(499);
    assert!(!room.answers.contains_key(&waiting));
    room.pass(1);
    let answer = fetched(room.answers.remove(&waiting).expect("its time is up"));
    assert_eq!((answer.error_code, answer.records.unwrap().len(), answer.high_watermark), (0, 0, end));
}

#[test]
fn an_observer_is_told_of_epochs_and_of_a_history_that_differs() {
    let mut room = Room::three_brokers();
    room.restart();
    let end = room.controller.log().unwrap().log_end_offset();
    let with_epoch = |room: &Room, epoch| {
        let mut request = fetch_request(room, 0, 0, 0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        request
    };
    for (epoch, error) in [(1, ResponseError::FencedLeaderEpoch), (3, ResponseError::UnknownLeaderEpoch)] {
        let request = with_epoch(&room, epoch);
        let answer = fetched(room.ask(17, request));
        assert_eq!(answer.error_code, error.code());
        assert_eq!((answer.current_leader.leader_id.0, answer.current_leader.leader_epoch), (100, 2));
    }
    // Epoch 1 ended where epoch 2 begins; who has more of it has what was lost here.
    let epoch_2_start = room.controller.log().unwrap().epochs()[1].start_offset;
    let diverging = fetch(&mut room, epoch_2_start + 5, 1);
    assert_eq!((diverging.error_code, diverging.records.unwrap().len()), (0, 0));
    assert_eq!((diverging.diverging_epoch.epoch, diverging.diverging_epoch.end_offset), (1, epoch_2_start));
    let beyond = fetch(&mut room, end + 1, 2);
    assert_eq!((beyond.diverging_epoch.epoch, beyond.diverging_epoch.end_offset), (2, end));
    let fine = fetch(&mut room, epoch_2_start, 1);
    assert_eq!((fine.diverging_epoch.epoch, fine.records.unwrap().is_empty()), (-1, false));
}

#[test]
fn an_impossible_fetch_is_refused() {
    let mut room = Room::with(BrokerConfig::default());
    for (offset, epoch) in [(-1, 0), (0, -1), (0, 9)] {
        assert_eq!(fetch(&mut room, offset, epoch).error_code, ResponseError::InvalidRequest.code());
    }
    let mut other_topic = fetch_request(&room, 0, 0, 0);
    other_topic.topics[0].topic_id = Uuid::from_u128(5);
    let mut other_cluster = fetch_request(&room, 0, 0, 0);
    other_cluster.cluster_id = Some("elsewhere".into());
    for (request, error) in
        [(other_topic, ResponseError::InvalidRequest), (other_cluster, ResponseError::InconsistentClusterId)]
    {
        match room.ask(17, request) {
            ResponseKind::Fetch(response) => assert_eq!(response.error_code, error.code()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_idle_controller_writes_a_no_op_twice_a_second() {
    let mut room = Room::with(BrokerConfig::default());
    let end = room.controller.high_watermark();
    room.pass(2_000);
    assert_eq!(room.controller.high_watermark(), end + 4);
    assert_eq!(room.image().next_offset, end + 4);
}

#[test]
fn the_quorum_describes_itself_and_its_observers() {
    let mut room = Room::with(BrokerConfig::default());
    let end = room.controller.high_watermark();
    fetch(&mut room, end, 1);
    let topic = TopicData::default()
        .with_topic_name(TopicName("__cluster_metadata".into()))
        .with_partitions(vec![DescribePartition::default()]);
    match room.ask(2, DescribeQuorumRequest::default().with_topics(vec![topic])) {
        ResponseKind::DescribeQuorum(response) => {
            let partition = &response.topics[0].partitions[0];
            assert_eq!((partition.leader_id.0, partition.leader_epoch, partition.high_watermark), (100, 1, end));
            assert_eq!(partition.current_voters[0].replica_id.0, 100);
            assert_eq!((partition.observers[0].replica_id.0, partition.observers[0].log_end_offset), (1, end));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_served_ends_the_connection() {
    let mut room = Room::with(BrokerConfig::default());
    match room.ask(99, ApiVersionsRequest::default()) {
        ResponseKind::ApiVersions(response) => {
            assert_eq!(response.error_code, ResponseError::UnsupportedVersion.code());
        }
        other => panic!("{other:?}"),
    }
    assert!(!room.hung_up);
    room.send(9, MetadataRequest::default());
    assert!(std::mem::take(&mut room.hung_up));
    room.send(9, ListOffsetsRequest::default());
    assert!(std::mem::take(&mut room.hung_up));
    let request = fetch_request(&room, 0, 0, 0);
    room.send(4, request);
    assert!(room.hung_up, "a fetch by topic name is of a time before topic ids");
}

#[test]
fn a_torn_record_at_the_end_is_cut_and_a_foreign_one_halts() {
    use trial_storage::{Disk, OpenMode};
    let mut room = Room::orders();
    let before = room.image().clone();
    let dir = room.disk.open_dir("__cluster_metadata-0").unwrap();
    let log = room.disk.open(dir, "00000000000000000000.log", OpenMode::Existing).unwrap();
    let end = room.disk.len(log).unwrap();
    room.disk.write(log, end, bytes::Bytes::from_static(b"torn")).unwrap();
    room.restart();
    assert_eq!(room.image(), &behind_a_leader_change(&before));

    let state = room.disk.open(dir, "quorum-state", OpenMode::CreateEmpty).unwrap();
    room.disk.write(state, 0, bytes::Bytes::from_static(b"not a state")).unwrap();
    room.controller = Controller::new(room.controller.setup().clone());
    room.start();
    assert!(room.halted.as_ref().is_some_and(|why| why.contains("quorum-state")), "{:?}", room.halted);
}

/// The harness encodes every answer at the version of its request.
#[test]
fn every_request_is_answered_at_every_version_served() {
    for active in [true, false] {
        let mut room = Room::orders();
        room.create("payments", &[&[2, 1]], &[]);
        if !active {
            // With voters that cannot be reached nobody leads.
            let mut setup = room.controller.setup().clone();
            for id in [101, 102] {
                let endpoint = Endpoint { host: format!("c{id}"), port: 9093 };
                setup.voters.push(Voter { id, directory_id: Uuid::from_u128(id as u128), endpoint });
            }
            room.controller = Controller::new(setup);
            room.restart();
            assert!(!room.controller.is_active());
        }
        let orders = ElectTopic::default().with_topic(TopicName("orders".into())).with_partitions(vec![0, 9]);
        let alter = AlterTopic::default()
            .with_topic_id(Uuid::from_u128(9))
            .with_partitions(vec![AlterData::default().with_new_isr(vec![WireBrokerId(1)])]);
        let topics = vec![room.creation("orders", &[&[1]], &[]), room.creation("new", &[&[1]], &[])];
        let described = TopicData::default()
            .with_topic_name(TopicName("__cluster_metadata".into()))
            .with_partitions(vec![DescribePartition::default()]);
        let bodies: [RequestKind; crate::controller::SERVED.len()] = [
            FetchSnapshotRequest::default().into(),
            fetch_request(&room, 0, 0, 0).into(),
            ApiVersionsRequest::default().into(),
            CreateTopicsRequest::default().with_topics(topics).with_validate_only(true).into(),
            ElectLeadersRequest::default().with_topic_partitions(Some(vec![orders])).into(),
            DescribeQuorumRequest::default().with_topics(vec![described]).into(),
            AlterPartitionRequest::default()
                .with_broker_id(WireBrokerId(1))
                .with_broker_epoch(room.broker_epochs[&1])
                .with_topics(vec![alter])
                .into(),
            room.registration(1, 1).into(),
            room.heartbeat_request(1).into(),
            DeleteTopicsRequest::default().with_topic_names(vec![TopicName("nobody".into())]).into(),
            CreatePartitionsRequest::default().with_validate_only(true).into(),
            IncrementalAlterConfigsRequest::default().with_resources(vec![AlterConfigsResource::default()]).into(),
            AlterPartitionReassignmentsRequest::default().with_topics(vec![ReassignableTopic::default()]).into(),
            ListPartitionReassignmentsRequest::default().into(),
            AllocateProducerIdsRequest::default().with_broker_id(WireBrokerId(1)).into(),
            VoteRequest::default().with_topics(vec![VoteTopic::default()]).into(),
            BeginQuorumEpochRequest::default().into(),
            EndQuorumEpochRequest::default().into(),
            AddRaftVoterRequest::default().into(),
            RemoveRaftVoterRequest::default().into(),
            UpdateRaftVoterRequest::default().into(),
        ];
        for ((_, least, greatest), body) in crate::controller::SERVED.into_iter().zip(bodies) {
            for version in least..=greatest {
                room.ask(version, body.clone());
            }
        }
    }
}
