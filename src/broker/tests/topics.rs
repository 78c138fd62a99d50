//! Topics that go and come, replicas that move, and configs that change at run time, as one broker lives through it.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, CreatePartitionsRequest, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DescribeConfigsRequest, DescribeQuorumRequest, ElectLeadersRequest,
    IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest,
};
use kafka_protocol::protocol::StrBytes;
use trial_storage::Disk;

use super::*;
use crate::metadata::{ALL_BROKERS, BROKER_RESOURCE, TOPIC_RESOURCE};

const AGAIN: Uuid = Uuid::from_u128(8);

fn config(resource_type: i8, resource: &str, name: &str, value: Option<&str>) -> MetadataRecord {
    MetadataRecord::Config {
        resource_type,
        resource_name: resource.to_string(),
        name: name.to_string(),
        value: value.map(str::to_string),
    }
}
/// `orders` with that id and one partition.
fn created(topic_id: Uuid, replicas: &[BrokerId], leader: BrokerId) -> Vec<MetadataRecord> {
    vec![
        MetadataRecord::Topic { name: Topic::new("orders"), topic_id },
        placed(topic_id, 0, replicas, replicas, leader),
    ]
}

impl Room {
    fn deleted(&self) -> Vec<Uuid> {
        let of = |(event, _): &(Event, _)| match event {
            Event::ReplicaDeleted { topic_id, .. } => Some(*topic_id),
            _ => None,
        };
        self.host.events.iter().filter_map(of).collect()
    }
    fn dirs(&self) -> Vec<String> {
        self.disk.list_dirs().expect("readable").into_iter().filter(|dir| dir.starts_with("orders")).collect()
    }
    /// (value, source, read-only) of a key.
    fn described(
        &mut self,
        resource_type: i8,
        resource: &str,
        key: &'static str,
    ) -> Result<(String, i8, bool), String> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(resource_type)
            .with_resource_name(StrBytes::from_string(resource.to_string()))
            .with_configuration_keys(Some(vec![StrBytes::from_static_str(key)]));
        let req = self.send(4, DescribeConfigsRequest::default().with_resources(vec![resource]));
        let Some(ResponseKind::DescribeConfigs(response)) = self.answers.get(&req) else { panic!("no answer") };
        let result = &response.results[0];
        match result.configs.first() {
            Some(config) => {
                Ok((config.value.clone().expect("a value").to_string(), config.config_source, config.read_only))
            }
            None => Err(code_name(result.error_code)),
        }
    }
}

#[test]
fn a_topic_created_again_while_the_broker_slept_does_not_find_the_old_log() {
    let mut room = Room::leads(&[1]);
    room.produce(-1);
    room.pass(5_000);
    room.restart();
    let mut records = vec![registered(1, 0)];
    records.extend(created(ORDERS, &[1], 1));
    records.push(MetadataRecord::RemoveTopic { topic_id: ORDERS });
    records.extend(created(AGAIN, &[1], 1));
    room.metadata(records);
    assert_eq!(room.deleted(), [ORDERS]);
    assert_eq!((room.ends(), room.orders().topic_id), ((0, 0), AGAIN));
    assert_eq!(room.fetch(Fetching::default()).error_code, ResponseError::UnknownTopicId.code(), "the stale id");
}

#[test]
fn what_was_deleted_while_the_broker_slept_is_deleted_when_it_wakes() {
    let mut room = Room::leads(&[1]);
    room.produce(-1);
    room.restart();
    assert_eq!(room.dirs(), ["orders-0"], "nobody knows yet");
    room.metadata(vec![registered(1, 0)]);
    assert_eq!((room.deleted(), room.dirs()), (vec![ORDERS], Vec::<String>::new()));
}

#[test]
fn a_deletion_outlives_a_loss_of_power_and_the_next_topic_finds_no_high_watermark() {
    let mut room = Room::leads(&[1]);
    room.produce(-1);
    room.pass(5_000);
    room.metadata(vec![MetadataRecord::RemoveTopic { topic_id: ORDERS }]);
    assert!(room.dirs().is_empty());
    room.metadata(created(AGAIN, &[1, 2], 1));
    room.produce(1);
    let at_zero = room.ends();
    room.restart();
    let mut records = vec![registered(1, 0), registered(2, 1)];
    records.extend(created(AGAIN, &[1, 2], 1));
    room.metadata(records);
    assert_eq!((at_zero, room.ends()), ((1, 0), (1, 0)), "not the checkpoint of another topic's orders-0");
}

#[test]
fn a_replica_that_is_taken_away_goes_with_its_log() {
    let mut room = Room::leads(&[1, 2, 3]);
    let waiting = room.produce(-1);
    room.change(PartitionChange {
        replicas: Some(vec![2, 3]),
        isr: Some(vec![2, 3]),
        leader: Some(2),
        ..PartitionChange::default()
    });
    assert_eq!((room.deleted(), room.dirs()), (vec![ORDERS], Vec::<String>::new()));
    assert_eq!(room.produce_error(waiting), "NOT_LEADER_OR_FOLLOWER", "the topic is there, its replica is not");
    assert_eq!(room.fetch(Fetching::default()).error_code, ResponseError::NotLeaderOrFollower.code());
}

#[test]
fn a_replica_that_is_given_follows_from_an_empty_log() {
    let mut room = Room::with(Story::default(), 2, &[1, 2, 3]);
    room.metadata(vec![MetadataRecord::RemoveTopic { topic_id: ORDERS }]);
    room.leader_refuses(ResponseError::UnknownTopicId);
    room.pass(1_500);
    assert_eq!(room.asks_leader(), None, "nothing is fetched for a topic that is gone");
    room.metadata(created(AGAIN, &[2, 3], 2));
    assert!(room.dirs().is_empty());
    room.metadata(vec![MetadataRecord::PartitionChange(PartitionChange {
        topic_id: AGAIN,
        replicas: Some(vec![2, 3, 1]),
        adding_replicas: Some(vec![1]),
        ..PartitionChange::default()
    })]);
    assert_eq!(room.dirs(), ["orders-0"]);
    let call = room.calls.iter().rev().find(|call| call.purpose == Purpose::Fetcher).expect("it fetches");
    let RequestKind::Fetch(request) = &call.request else { panic!("{:?}", call.request) };
    assert_eq!((request.topics[0].topic_id, request.topics[0].partitions[0].fetch_offset), (AGAIN, 0));
}

/// The leader does not know the id yet, or no longer: the follower tries again and cuts nothing.
#[test]
fn a_follower_that_is_told_of_an_unknown_topic_id_waits() {
    let mut room = Room::follows();
    room.leader_sends(0, &[0], 0);
    room.leader_refuses(ResponseError::UnknownTopicId);
    assert_eq!(room.asks_leader(), None);
    room.pass(1_000);
    assert_eq!((room.asks_leader(), room.ends()), (Some((0, 1, 0)), (1, 0)));
}

#[test]
fn min_insync_replicas_count_as_soon_as_they_are_set_for_whomever() {
    let mut room = Room::leads(&[1, 2]);
    let min_isr = "min.insync.replicas";
    let refused = |room: &mut Room| {
        let req = room.produce(-1);
        room.produced(req).map(|parts| parts[0].0.clone())
    };
    assert_eq!(refused(&mut room), None, "it waits for the follower");
    let too_few = Some("NOT_ENOUGH_REPLICAS".to_string());
    room.metadata(vec![config(BROKER_RESOURCE, ALL_BROKERS, min_isr, Some("3"))]);
    assert_eq!(refused(&mut room), too_few);
    room.metadata(vec![config(BROKER_RESOURCE, "1", min_isr, Some("2"))]);
    assert_eq!(refused(&mut room), None, "this broker's own comes first");
    room.metadata(vec![config(BROKER_RESOURCE, "2", min_isr, Some("1"))]);
    room.metadata(vec![config(TOPIC_RESOURCE, "orders", min_isr, Some("3"))]);
    assert_eq!(refused(&mut room), too_few, "and the topic's before that");
    room.metadata(vec![config(TOPIC_RESOURCE, "orders", min_isr, None)]);
    assert_eq!(refused(&mut room), None);
    assert_eq!(
        room.count(|event| matches!(event, Event::IsrAdopted { .. } | Event::BecameLeader { .. })),
        1,
        "no config makes a new leader"
    );
}

#[test]
fn sizes_of_segments_and_batches_change_at_run_time() {
    let mut room = Room::leads(&[1]);
    room.metadata(vec![config(BROKER_RESOURCE, ALL_BROKERS, "message.max.bytes", Some("10"))]);
    let req = room.produce(-1);
    assert_eq!(room.produce_error(req), "MESSAGE_TOO_LARGE");
    room.metadata(vec![
        config(BROKER_RESOURCE, ALL_BROKERS, "message.max.bytes", None),
        config(TOPIC_RESOURCE, "orders", "segment.bytes", Some("100")),
    ]);
    let before = room.orders().log.segment_count();
    for _ in 0..3 {
        let req = room.produce(-1);
        assert_eq!(room.produce_error(req), "NONE");
    }
    assert!(room.orders().log.segment_count() > before);
}

#[test]
fn described_configs_tell_their_source() {
    let mut room = Room::leads(&[1]);
    let min_isr = "min.insync.replicas";
    assert_eq!(room.described(TOPIC_RESOURCE, "orders", min_isr), Ok(("1".to_string(), 5, false)));
    room.metadata(vec![config(BROKER_RESOURCE, ALL_BROKERS, min_isr, Some("2"))]);
    assert_eq!(room.described(TOPIC_RESOURCE, "orders", min_isr), Ok(("2".to_string(), 3, false)));
    assert_eq!(room.described(BROKER_RESOURCE, "1", min_isr), Ok(("2".to_string(), 3, false)));
    assert_eq!(room.described(BROKER_RESOURCE, ALL_BROKERS, min_isr), Ok(("2".to_string(), 3, false)));
    room.metadata(vec![config(TOPIC_RESOURCE, "orders", min_isr, Some("3"))]);
    assert_eq!(room.described(TOPIC_RESOURCE, "orders", min_isr), Ok(("3".to_string(), 1, false)));
    let lag = room.described(BROKER_RESOURCE, "1", "replica.lag.time.max.ms");
    assert_eq!(lag, Ok(("30000".to_string(), 5, true)), "read-only");
    let unknown = Err("UNKNOWN_TOPIC_OR_PARTITION".to_string());
    assert_eq!(room.described(TOPIC_RESOURCE, "nobody", min_isr), unknown);
    assert_eq!(room.described(BROKER_RESOURCE, "2", min_isr), Err("INVALID_REQUEST".to_string()), "ask that one");
}

#[test]
fn what_only_the_controller_can_do_is_handed_on_and_its_answer_back() {
    let mut room = Room::leads(&[1]);
    let bodies: [RequestKind; 8] = [
        CreateTopicsRequest::default().into(),
        DeleteTopicsRequest::default().into(),
        CreatePartitionsRequest::default().into(),
        IncrementalAlterConfigsRequest::default().into(),
        ElectLeadersRequest::default().into(),
        AlterPartitionReassignmentsRequest::default().into(),
        ListPartitionReassignmentsRequest::default().into(),
        DescribeQuorumRequest::default().into(),
    ];
    for body in bodies {
        let req = room.send(0, body.clone());
        let call = room.take_call(Purpose::Forwarding);
        assert_eq!(call.request, body);
        // Whatever the controller says.
        room.reply(&call, CreateTopicsResponse::default());
        assert!(room.answers.contains_key(&req), "{body:?}");
    }
    assert!(!room.hung_up);
}
