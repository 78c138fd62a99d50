//! AlterPartition and elections.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::alter_partition_response::PartitionData as PartitionResponse;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, ElectLeadersRequest};

use super::*;
use crate::event::Event;

/// What broker 1 sends as leader in the state the controller has.
pub(super) fn alter(room: &Room, isr: &[BrokerId]) -> PartitionData {
    let partition = room.orders_0();
    let member = |broker: &BrokerId| {
        let broker_epoch = room.broker_epochs.get(broker).copied().unwrap_or(-1);
        BrokerState::default().with_broker_id(WireBrokerId(*broker)).with_broker_epoch(broker_epoch)
    };
    PartitionData::default()
        .with_leader_epoch(partition.leader_epoch)
        .with_partition_epoch(partition.partition_epoch)
        .with_new_isr_with_epochs(isr.iter().map(member).collect())
}
pub(super) fn request(room: &Room, sender: BrokerId, partition: PartitionData) -> AlterPartitionRequest {
    let topic = TopicData::default().with_topic_id(room.topic_id("orders")).with_partitions(vec![partition]);
    AlterPartitionRequest::default()
        .with_broker_id(WireBrokerId(sender))
        .with_broker_epoch(room.broker_epochs[&sender])
        .with_topics(vec![topic])
}
pub(super) fn send(room: &mut Room, request: AlterPartitionRequest) -> AlterPartitionResponse {
    match room.ask(3, request) {
        ResponseKind::AlterPartition(response) => response,
        other => panic!("{other:?}"),
    }
}
pub(super) fn send_one(room: &mut Room, sender: BrokerId, partition: PartitionData) -> PartitionResponse {
    let request = request(room, sender, partition);
    let response = send(room, request);
    assert_eq!(response.error_code, 0);
    response.topics[0].partitions[0].clone()
}

#[test]
fn the_leader_shrinks_and_expands_its_isr() {
    let mut room = Room::orders();
    room.events();
    let data = alter(&room, &[1, 2]);
    let shrunk = send_one(&mut room, 1, data);
    assert_eq!((shrunk.error_code, shrunk.leader_id.0, shrunk.leader_epoch, shrunk.partition_epoch), (0, 1, 0, 1));
    assert_eq!(room.orders_0().isr, [1, 2]);
    let data = alter(&room, &[1, 2, 3]);
    assert_eq!(send_one(&mut room, 1, data).partition_epoch, 2);
    assert_eq!(
        room.events(),
        [
            "changed the in-sync replicas of orders-0 from 1,2,3 to 1,2 (partition epoch 1)",
            "changed the in-sync replicas of orders-0 from 1,2 to 1,2,3 (partition epoch 2)",
        ]
    );
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let mut room = Room::orders();
    let end = room.controller.log().unwrap().log_end_offset();
    let data = alter(&room, &[1, 2, 3]);
    assert_eq!(send_one(&mut room, 1, data).partition_epoch, 0);
    assert_eq!(room.controller.log().unwrap().log_end_offset(), end);
}

/// Each request is wrong in one more way than the one before; the error is always that of the first check it fails.
#[test]
fn checks_come_in_kafkas_order() {
    let mut room = Room::orders();
    // Leader epoch 1, partition epoch 2, broker 2 leads, broker 1 is fenced and back as another incarnation.
    room.silence(&[1]);
    let old_epoch = room.broker_epochs[&1];
    room.register(1, 2);
    room.heartbeat(1);
    let data = alter(&room, &[2]);
    assert_eq!(send_one(&mut room, 2, data).error_code, 0);
    let good = || alter(&room, &[2, 1]);
    let stale_member = {
        let mut data = good();
        data.new_isr_with_epochs[1].broker_epoch = old_epoch;
        data
    };
    let recovering = stale_member.clone().with_leader_recovery_state(1);
    let not_self = {
        let mut data = recovering.clone();
        data.new_isr_with_epochs.remove(0);
        data
    };
    let stranger = {
        let mut data = recovering.clone();
        data.new_isr_with_epochs[0].broker_id = WireBrokerId(7);
        data
    };
    let old_partition_epoch = stranger.clone().with_partition_epoch(1);
    let old_leader_epoch = old_partition_epoch.clone().with_leader_epoch(0);
    let future_partition_epoch = old_leader_epoch.clone().with_partition_epoch(9);
    let unknown_partition = future_partition_epoch.clone().with_partition_index(1);
    let cases = [
        (2, stale_member, ResponseError::IneligibleReplica),
        (2, recovering, ResponseError::InvalidRequest),
        (2, not_self, ResponseError::InvalidRequest),
        (2, stranger, ResponseError::InvalidRequest),
        (2, old_partition_epoch.clone(), ResponseError::InvalidUpdateVersion),
        (3, old_partition_epoch, ResponseError::InvalidRequest),
        (3, old_leader_epoch, ResponseError::FencedLeaderEpoch),
        (3, future_partition_epoch, ResponseError::NotController),
        (3, unknown_partition, ResponseError::UnknownTopicOrPartition),
    ];
    let before = room.orders_0();
    room.events();
    for (sender, data, expected) in cases {
        let shown = format!("{data:?}");
        let answer = send_one(&mut room, sender, data);
        assert_eq!(ResponseError::try_from_code(answer.error_code), Some(expected), "{shown}");
        let refused = matches!(room.host.events.pop(), Some((Event::AlterPartitionRefused { .. }, _)));
        assert!(refused, "the trace knows of the refusal");
    }
    assert_eq!(room.orders_0(), before, "a refusal changes nothing");
}

#[test]
fn a_future_leader_epoch_is_for_another_controller() {
    let mut room = Room::orders();
    let data = alter(&room, &[1]).with_leader_epoch(1);
    assert_eq!(send_one(&mut room, 1, data).error_code, ResponseError::NotController.code());
}

#[test]
fn an_unknown_topic_and_a_stale_sender_are_refused() {
    let mut room = Room::orders();
    let mut unknown = request(&room, 1, alter(&room, &[1]));
    unknown.topics[0].topic_id = Uuid::from_u128(77);
    let answer = send(&mut room, unknown);
    assert_eq!(answer.topics[0].partitions[0].error_code, ResponseError::UnknownTopicId.code());

    let mut stale = request(&room, 1, alter(&room, &[1]));
    stale.broker_epoch -= 1;
    let answer = send(&mut room, stale);
    assert_eq!((answer.error_code, answer.topics.len()), (ResponseError::StaleBrokerEpoch.code(), 0));
    assert_eq!(room.orders_0().isr, [1, 2, 3]);
}

#[test]
fn fenced_stopping_and_repeated_members_are_not_let_in() {
    let mut room = Room::orders();
    let ineligible = ResponseError::IneligibleReplica.code();
    let data = alter(&room, &[1, 2, 2]);
    assert_eq!(send_one(&mut room, 1, data).error_code, ResponseError::InvalidRequest.code());
    let data = alter(&room, &[]);
    assert_eq!(send_one(&mut room, 1, data).error_code, ResponseError::InvalidRequest.code());
    let without_itself = alter(&room, &[2, 3]);
    assert_eq!(send_one(&mut room, 1, without_itself).error_code, ResponseError::InvalidRequest.code());
    room.silence(&[3]);
    let data = alter(&room, &[1, 2, 3]);
    assert_eq!(send_one(&mut room, 1, data).error_code, ineligible);
    // Broker 2 leads payments and so stays in controlled shutdown until the others know who leads now.
    room.create("payments", &[&[2, 1]], &[]);
    let heartbeat = room.heartbeat_request(2).with_want_shut_down(true);
    assert!(!room.send_heartbeat(heartbeat).should_shut_down);
    let data = alter(&room, &[1, 2]);
    assert_eq!(send_one(&mut room, 1, data).error_code, ineligible);
}

#[test]
fn version_two_names_members_without_epochs() {
    let mut room = Room::orders();
    let mut data = alter(&room, &[]);
    data.new_isr = vec![WireBrokerId(1), WireBrokerId(3)];
    let request = request(&room, 1, data);
    room.ask(2, request);
    assert_eq!(room.orders_0().isr, [1, 3]);
}

/// Broker 3 falls out of the ISR, then 1 and 2 die. Gives the partition.
fn only_an_out_of_sync_replica_is_left(room: &mut Room) -> PartitionRegistration {
    let data = alter(room, &[1, 2]);
    assert_eq!(send_one(room, 1, data).error_code, 0);
    room.silence(&[1, 2]);
    room.orders_0()
}

#[test]
fn without_unclean_election_the_partition_has_no_leader() {
    let partition = only_an_out_of_sync_replica_is_left(&mut Room::orders());
    assert_eq!((partition.leader, &partition.isr[..], &partition.elr[..]), (-1, &[][..], &[2][..]));
}

#[test]
fn with_unclean_election_the_out_of_sync_replica_leads_and_recovers() {
    let config = BrokerConfig { unclean_leader_election_enable: true, ..BrokerConfig::default() };
    let topic_config: &[(&str, &str)] = &[("unclean.leader.election.enable", "true")];
    for mut room in [Room::orders_with(config, &[]), Room::orders_with(BrokerConfig::default(), topic_config)] {
        room.events();
        let partition = only_an_out_of_sync_replica_is_left(&mut room);
        assert_eq!((partition.leader, &partition.isr[..], partition.recovering), (3, &[3][..], true));
        let events = room.events();
        assert!(events.iter().any(|event| event.starts_with("elected broker 3 uncleanly")), "{events:?}");
        // While it recovers it is alone.
        room.register(1, 2);
        room.heartbeat(1);
        let data = alter(&room, &[3, 1]).with_leader_recovery_state(1);
        assert_eq!(send_one(&mut room, 3, data).error_code, ResponseError::InvalidRequest.code());
        let data = alter(&room, &[3]).with_leader_recovery_state(1);
        assert_eq!(send_one(&mut room, 3, data).leader_recovery_state, 1);
        // An AlterPartition that says so ends the recovery.
        let data = alter(&room, &[3]);
        assert_eq!(send_one(&mut room, 3, data).leader_recovery_state, 0);
        assert!(!room.orders_0().recovering);
    }
}

#[test]
fn a_topic_may_forbid_what_the_cluster_allows() {
    let config = BrokerConfig { unclean_leader_election_enable: true, ..BrokerConfig::default() };
    let mut room = Room::orders_with(config, &[("unclean.leader.election.enable", "false")]);
    assert_eq!(only_an_out_of_sync_replica_is_left(&mut room).leader, -1);
}

pub(super) fn elect(room: &mut Room, election_type: i8) -> Option<ResponseError> {
    let orders = TopicPartitions::default().with_topic(TopicName("orders".into())).with_partitions(vec![0]);
    let request =
        ElectLeadersRequest::default().with_election_type(election_type).with_topic_partitions(Some(vec![orders]));
    match room.ask(2, request) {
        ResponseKind::ElectLeaders(response) => {
            ResponseError::try_from_code(response.replica_election_results[0].partition_result[0].error_code)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_preferred_election_gives_leadership_back() {
    let mut room = Room::orders();
    assert_eq!(elect(&mut room, 0), Some(ResponseError::ElectionNotNeeded));
    room.silence(&[1]);
    assert_eq!(elect(&mut room, 0), Some(ResponseError::PreferredLeaderNotAvailable));
    room.register(1, 2);
    room.heartbeat(1);
    let data = alter(&room, &[2, 3, 1]);
    assert_eq!(send_one(&mut room, 2, data).error_code, 0);
    room.events();
    assert_eq!(elect(&mut room, 0), None);
    let partition = room.orders_0();
    assert_eq!((partition.leader, partition.leader_epoch, partition.partition_epoch), (1, 2, 3));
    assert_eq!(
        room.events(),
        ["elected broker 1 as preferred replica to lead orders-0 in epoch 2 after 2; in-sync replicas 2,3,1"]
    );
}

#[test]
fn an_unclean_election_may_be_asked_for_by_hand() {
    let mut room = Room::orders();
    assert_eq!(elect(&mut room, 1), Some(ResponseError::ElectionNotNeeded));
    only_an_out_of_sync_replica_is_left(&mut room);
    assert_eq!(elect(&mut room, 1), None);
    assert_eq!(room.orders_0().leader, 3);
    room.pass(20_000);
    assert_eq!(room.orders_0().leader, -1);
    assert_eq!(elect(&mut room, 1), Some(ResponseError::EligibleLeadersNotAvailable));
}

/// KIP-903: the leader means an incarnation of broker 3 that is gone. Without the check it gets one it knows nothing of.
#[test]
fn a_leader_cannot_admit_a_later_incarnation_than_it_heard_of() {
    for switch in [None, Some(Switch::NoBrokerEpochCheck)] {
        let mut room = Room::orders_in_the_zoo(BrokerConfig::default(), switch);
        room.silence(&[3]);
        let delayed = alter(&room, &[1, 2, 3]);
        room.restart_broker(3, 2, false);
        room.heartbeat(3);
        let error = send_one(&mut room, 1, delayed).error_code;
        let expected = if switch.is_none() { ResponseError::IneligibleReplica.code() } else { 0 };
        assert_eq!(error, expected, "{switch:?}");
    }
}

/// KIP-841.
#[test]
fn a_leader_cannot_admit_a_fenced_replica() {
    for switch in [None, Some(Switch::FencedJoinsIsr)] {
        let mut room = Room::orders_in_the_zoo(BrokerConfig::default(), switch);
        room.silence(&[3]);
        let data = alter(&room, &[1, 2, 3]);
        let error = send_one(&mut room, 1, data).error_code;
        let expected = if switch.is_none() { ResponseError::IneligibleReplica.code() } else { 0 };
        assert_eq!(error, expected, "{switch:?}");
    }
}

#[test]
fn elections_of_what_is_unknown_and_of_unknown_kind_are_refused() {
    let mut room = Room::orders();
    assert_eq!(elect(&mut room, 1), Some(ResponseError::ElectionNotNeeded));
    let topic = |name: &str, partition| {
        let name = TopicName(name.to_string().into());
        TopicPartitions::default().with_topic(name).with_partitions(vec![partition])
    };
    let request = |kind| {
        ElectLeadersRequest::default()
            .with_election_type(kind)
            .with_topic_partitions(Some(vec![topic("orders", 1), topic("nowhere", 0)]))
    };
    let ResponseKind::ElectLeaders(response) = room.ask(2, request(0)) else { panic!("another answer") };
    let errors: Vec<_> = response.replica_election_results.iter().map(|r| r.partition_result[0].error_code).collect();
    assert_eq!(errors, [ResponseError::UnknownTopicOrPartition.code(); 2]);
    let ResponseKind::ElectLeaders(response) = room.ask(2, request(2)) else { panic!("another answer") };
    assert_eq!(response.error_code, ResponseError::InvalidRequest.code());
}
