//! Whom a broker sends a consumer to, what a follower serves, and what a leader says of epochs.

use super::*;
use crate::config::ReplicaSelector;

fn in_rack(broker: BrokerId, rack: &str) -> MetadataRecord {
    match registered(broker, i64::from(broker) - 1) {
        MetadataRecord::RegisterBroker { broker, incarnation, broker_epoch, host, port, .. } => {
            MetadataRecord::RegisterBroker {
                broker,
                incarnation,
                broker_epoch,
                host,
                port,
                rack: Some(rack.to_string()),
                fenced: false,
                in_controlled_shutdown: false,
            }
        }
        other => other,
    }
}

/// A consumer's fetch, at a version at which it may tell its rack, or at an older one.
fn consumer_asks(room: &mut Room, version: i16, rack: &str, offset: i64, leader_epoch: i32) -> PartitionData {
    let partition = FetchPartition::default()
        .with_current_leader_epoch(leader_epoch)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = match version {
        13.. => FetchTopic::default().with_topic_id(ORDERS),
        _ => FetchTopic::default().with_topic(topic_name(&Topic::new("orders"))),
    };
    let request = FetchRequest::default()
        .with_replica_state(ReplicaState::default())
        .with_max_bytes(1 << 20)
        .with_rack_id(kafka_protocol::protocol::StrBytes::from_string(rack.to_string()))
        .with_topics(vec![topic.with_partitions(vec![partition])]);
    let req = room.send(version, request);
    room.fetched(req).expect("the request is answered")
}

#[test]
fn the_leader_names_the_replica_in_the_consumers_rack() {
    let config = BrokerConfig { replica_selector_class: ReplicaSelector::RackAware, ..BrokerConfig::default() };
    let mut room = Room::with(Story { config, ..Story::default() }, 1, &[1, 2, 3]);
    room.metadata(vec![in_rack(1, "east"), in_rack(2, "west"), in_rack(3, "east")]);
    room.produce(1);
    room.produce(1);
    room.follower_fetches(2, 1);
    room.follower_fetches(3, 2);
    let named = |room: &mut Room, rack, offset| {
        let data = consumer_asks(room, versions::FETCH, rack, offset, 0);
        let is_empty = data.records.as_ref().is_none_or(|records| records.is_empty());
        (error_of(&data), data.preferred_read_replica.0, is_empty)
    };
    let none = "NONE".to_string();
    assert_eq!(named(&mut room, "west", 0), (none.clone(), 2, true), "nothing is read where another is named");
    assert_eq!(named(&mut room, "east", 0), (none.clone(), -1, false), "the leader stands there itself");
    assert_eq!(named(&mut room, "north", 0), (none.clone(), -1, false), "nobody stands there");
    assert_eq!(named(&mut room, "", 0), (none.clone(), -1, false));
    assert_eq!(named(&mut room, "west", 2), (none.clone(), -1, true), "2 has not got that offset yet");
    room.set_isr(&[1, 3]);
    assert_eq!(named(&mut room, "west", 0), (none.clone(), -1, false), "2 may lag behind for ever");
    room.set_isr(&[1, 2, 3]);
    assert_eq!(named(&mut room, "west", 0), (none.clone(), 2, true));
    room.fence(2, true);
    assert_eq!(named(&mut room, "west", 0), (none, -1, false), "2 is dead");
    assert_eq!(room.follower_fetches(2, 0).preferred_read_replica.0, -1, "replication is no reading");
}

#[test]
fn without_a_selector_nobody_is_named() {
    let mut room = Room::leads(&[1, 2, 3]);
    room.metadata(vec![in_rack(1, "east"), in_rack(2, "west"), in_rack(3, "west")]);
    assert_eq!(consumer_asks(&mut room, versions::FETCH, "west", 0, 0).preferred_read_replica.0, -1);
}

#[test]
fn a_follower_serves_consumers_up_to_its_own_high_watermark() {
    let mut room = Room::follows();
    room.leader_sends(0, &[0, 0], 1);
    let one = batch(0, 0, [value()].into_iter()).len();
    let served = |room: &mut Room, version, offset, epoch| {
        let data = consumer_asks(room, version, "", offset, epoch);
        (error_of(&data), data.records.map_or(0, |records| records.len()))
    };
    let newest = versions::FETCH;
    assert_eq!(served(&mut room, newest, 0, 0), ("NONE".to_string(), one));
    assert_eq!(
        served(&mut room, newest, 0, -1),
        ("NONE".to_string(), one),
        "who does not tell an epoch is not checked"
    );
    assert_eq!(served(&mut room, newest, 2, 0), ("NONE".to_string(), 0), "not committed as far as it knows");
    assert_eq!(served(&mut room, newest, 3, 0).0, "OFFSET_OUT_OF_RANGE");
    assert_eq!(served(&mut room, newest, 0, 1).0, "UNKNOWN_LEADER_EPOCH");
    assert_eq!(served(&mut room, 10, 0, 0).0, "NOT_LEADER_OR_FOLLOWER", "an old client is not meant to read here");
    let req = room.send_fetch(Fetching { offset: 1, leader_epoch: 0, max_wait_ms: 500, ..Fetching::default() });
    assert_eq!(room.fetched(req), None);
    room.leader_sends(2, &[], 2);
    let data = room.fetched(req).expect("its high watermark has moved");
    assert_eq!(data.records.map(|records| records.len()), Some(one));
}

#[test]
fn who_waits_at_a_follower_is_told_of_a_new_epoch() {
    let mut room = Room::follows();
    let req = room.send_fetch(Fetching { leader_epoch: 0, max_wait_ms: 500, ..Fetching::default() });
    assert_eq!(room.fetched(req), None);
    room.elect(3, &[1, 2, 3]);
    assert_eq!(room.fetched(req).map(|data| error_of(&data)), Some("FENCED_LEADER_EPOCH".to_string()));
}

#[test]
fn where_an_epoch_ends_is_told_by_the_leader_of_that_epoch() {
    // Epoch 0: offsets 0 and 1. Epoch 2: offset 2.
    let mut room = Room::leads(&[1, 2, 3]);
    room.produce(1);
    room.produce(1);
    room.elect(1, &[1, 2, 3]);
    room.elect(1, &[1, 2, 3]);
    room.produce(1);
    let told = |epoch, end| ("NONE".to_string(), epoch, end);
    assert_eq!(room.end_of_epoch(2, 0), told(0, 2));
    assert_eq!(room.end_of_epoch(2, 1), told(0, 2), "an epoch without records");
    assert_eq!(room.end_of_epoch(2, 2), told(2, 3), "the latest ends where the log does");
    assert_eq!(room.end_of_epoch(-1, 3), told(-1, -1), "never heard of");
    assert_eq!(room.end_of_epoch(1, 0), ("FENCED_LEADER_EPOCH".to_string(), -1, -1));
    assert_eq!(room.end_of_epoch(3, 0), ("UNKNOWN_LEADER_EPOCH".to_string(), -1, -1));
    room.elect(2, &[1, 2, 3]);
    assert_eq!(room.end_of_epoch(3, 0), ("NOT_LEADER_OR_FOLLOWER".to_string(), -1, -1));
}

#[test]
fn the_first_batch_is_sent_whole_and_limits_hold_for_the_rest() {
    let mut room = Room::leads(&[1]);
    room.second_partition(&[1]);
    room.produce_to(1, &[0, 1]);
    room.produce_to(1, &[0, 1]);
    let one = batch(0, 0, [value()].into_iter()).len();
    let sizes = |room: &mut Room, max_bytes: i32, partition_max_bytes: i32| {
        let partition = |n| FetchPartition::default().with_partition(n).with_partition_max_bytes(partition_max_bytes);
        let topic = FetchTopic::default().with_topic_id(ORDERS).with_partitions(vec![partition(0), partition(1)]);
        let request = FetchRequest::default().with_session_epoch(-1).with_max_bytes(max_bytes).with_topics(vec![topic]);
        let req = room.send(versions::FETCH, request);
        let Some(ResponseKind::Fetch(response)) = room.answers.get(&req) else { panic!("not answered") };
        let size = |data: &PartitionData| data.records.as_ref().map_or(0, |records| records.len()) / one;
        response.responses[0].partitions.iter().map(size).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&mut room, 1, 1 << 20), [1, 0]);
    assert_eq!(sizes(&mut room, 1 << 20, 1), [1, 0], "the partition's limit gives way to the first batch alone");
    assert_eq!(sizes(&mut room, 3 * one as i32, 1 << 20), [2, 1]);
    assert_eq!(sizes(&mut room, 1 << 20, one as i32), [1, 1]);
}

/// However long the fetch would wait, the end of a segment is the end of its answer.
#[test]
fn the_end_of_a_segment_is_not_waited_for() {
    let config = BrokerConfig { log_segment_bytes: 100, ..BrokerConfig::default() };
    let mut room = Room::with(Story { config, ..Story::default() }, 1, &[1]);
    let wants_much = |offset| Fetching { offset, max_wait_ms: 5_000, min_bytes: 10_000, ..Fetching::default() };
    room.produce(1);
    let parked = room.send_fetch(wants_much(0));
    assert!(room.fetched(parked).is_none(), "more may come into this segment");
    room.produce(1);
    assert_eq!(room.orders().log.segment_count(), 2);
    let one_batch = |data: Option<PartitionData>| data.and_then(|data| data.records).map(|records| records.len() < 100);
    assert_eq!(one_batch(room.fetched(parked)), Some(true), "it was rolled");
    let late = room.send_fetch(wants_much(0));
    assert_eq!(one_batch(room.fetched(late)), Some(true));
    let at_the_end = room.send_fetch(wants_much(1));
    assert!(room.fetched(at_the_end).is_none());
}
