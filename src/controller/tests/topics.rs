//! CreateTopics.

use kafka_protocol::ResponseError;

use super::*;

fn placed(room: &Room, name: &str, partitions: i32, replication_factor: i16) -> CreatableTopic {
    room.creation(name, &[], &[]).with_num_partitions(partitions).with_replication_factor(replication_factor)
}
fn refused(room: &mut Room, topic: CreatableTopic) -> Option<ResponseError> {
    let end = room.controller.log().unwrap().log_end_offset();
    let response = room.create_topics(vec![topic]);
    if response.topics[0].error_code != 0 {
        assert_eq!(room.controller.log().unwrap().log_end_offset(), end, "a refusal writes nothing");
    }
    ResponseError::try_from_code(response.topics[0].error_code)
}

#[test]
fn replicas_and_leaders_are_spread() {
    let mut room = Room::three_brokers();
    room.events();
    let topic = placed(&room, "orders", 3, 3);
    let response = room.create_topics(vec![topic]);
    let created = &response.topics[0];
    assert_eq!((created.error_code, created.num_partitions, created.replication_factor), (0, 3, 3));
    let topic = room.image().topic("orders").unwrap().clone();
    assert_eq!(topic.topic_id, created.topic_id);
    let mut leaders: Vec<_> = topic.partitions.iter().map(|p| p.leader).collect();
    leaders.sort();
    assert_eq!(leaders, [1, 2, 3]);
    for partition in &topic.partitions {
        assert_eq!(partition.isr, partition.replicas);
        assert_eq!((partition.leader_epoch, partition.partition_epoch), (0, 0));
    }
    assert_eq!(
        room.events(),
        [
            "created topic orders with 3 partitions of 3 replicas",
            "placed orders-0 on brokers 1,2,3 with leader 1",
            "placed orders-1 on brokers 2,3,1 with leader 2",
            "placed orders-2 on brokers 3,1,2 with leader 3",
        ]
    );
}

#[test]
fn defaults_are_the_controllers() {
    let config = BrokerConfig { num_partitions: 2, default_replication_factor: 3, ..BrokerConfig::default() };
    let mut room = Room::three_brokers_with(config);
    let topic = placed(&room, "orders", -1, -1);
    let response = room.create_topics(vec![topic]);
    assert_eq!((response.topics[0].num_partitions, response.topics[0].replication_factor), (2, 3));
}

#[test]
fn impossible_sizes_and_names_are_refused() {
    let mut room = Room::orders();
    room.create("a.b", &[&[1]], &[]);
    let cases = [
        (placed(&room, "t", 1, 4), ResponseError::InvalidReplicationFactor),
        (placed(&room, "t", 1, 0), ResponseError::InvalidReplicationFactor),
        (placed(&room, "t", 1, -2), ResponseError::InvalidReplicationFactor),
        (placed(&room, "t", 0, 1), ResponseError::InvalidPartitions),
        (placed(&room, "t", -2, 1), ResponseError::InvalidPartitions),
        (placed(&room, "t", i32::MAX, 1), ResponseError::PolicyViolation),
        (placed(&room, "orders", 1, 1), ResponseError::TopicAlreadyExists),
        (placed(&room, "", 1, 1), ResponseError::InvalidTopicException),
        (placed(&room, "..", 1, 1), ResponseError::InvalidTopicException),
        (placed(&room, "no/slash", 1, 1), ResponseError::InvalidTopicException),
        (placed(&room, &"x".repeat(250), 1, 1), ResponseError::InvalidTopicException),
        (placed(&room, "a_b", 1, 1), ResponseError::InvalidTopicException),
        (placed(&room, "__cluster_metadata", 1, 1), ResponseError::TopicAuthorizationFailed),
    ];
    for (topic, expected) in cases {
        let name = topic.name.to_string();
        assert_eq!(refused(&mut room, topic), Some(expected), "{name}");
    }
}

#[test]
fn impossible_assignments_are_refused() {
    let mut room = Room::three_brokers();
    let topic = |room: &Room, assignments: &[&[BrokerId]]| room.creation("t", assignments, &[]);
    let mut repeated = topic(&room, &[&[1], &[2]]);
    repeated.assignments[1].partition_index = 0;
    let mut gap = topic(&room, &[&[1], &[2]]);
    gap.assignments[1].partition_index = 2;
    let cases = [
        topic(&room, &[&[1, 1]]),
        topic(&room, &[&[1, 9]]),
        topic(&room, &[&[]]),
        topic(&room, &[&[1], &[1, 2]]),
        repeated,
        gap,
    ];
    for topic in cases {
        assert_eq!(refused(&mut room, topic), Some(ResponseError::InvalidReplicaAssignment));
    }
    let both = topic(&room, &[&[1]]).with_num_partitions(1);
    assert_eq!(refused(&mut room, both), Some(ResponseError::InvalidRequest));
    room.silence(&[3]);
    let dead = topic(&room, &[&[3]]);
    assert_eq!(refused(&mut room, dead), Some(ResponseError::InvalidReplicaAssignment));
}

#[test]
fn a_replica_that_is_fenced_at_birth_is_not_in_sync() {
    let mut room = Room::three_brokers();
    room.silence(&[1]);
    room.create("orders", &[&[1, 2, 3]], &[]);
    let partition = room.orders_0();
    assert_eq!((partition.leader, &partition.isr[..]), (2, &[2, 3][..]));
}

#[test]
fn configs_are_checked_and_kept() {
    let mut room = Room::three_brokers();
    for (name, value) in [
        ("min.insync.replicas", "many"),
        ("min.insync.replicas", "0"),
        ("unclean.leader.election.enable", "1"),
        ("retention.ms", "-2"),
        ("segment.ms", "0"),
        ("compression.type", "tar"),
        ("compression.gzip.level", "10"),
        ("message.timestamp.type", "Never"),
        ("file.delete.delay.ms", "1"),
        ("no.such.thing", "1"),
    ] {
        let topic = room.creation("t", &[&[1]], &[(name, value)]);
        assert_eq!(refused(&mut room, topic), Some(ResponseError::InvalidConfig), "{name}={value}");
    }
    room.create("orders", &[&[1, 2]], &[("min.insync.replicas", "2")]);
    assert_eq!(room.image().topic("orders").unwrap().configs["min.insync.replicas"], "2");
}

#[test]
fn one_topic_fails_without_the_others_and_validation_writes_nothing() {
    let mut room = Room::three_brokers();
    let topics = || {
        let room = &room;
        vec![
            placed(room, "good", 1, 1),
            placed(room, "also-good", 1, 1),
            placed(room, "bad", 0, 1),
            placed(room, "twice", 1, 1),
            placed(room, "twice", 1, 1),
        ]
    };
    let only_validate = CreateTopicsRequest::default().with_validate_only(true).with_topics(topics());
    let request = CreateTopicsRequest::default().with_topics(topics());
    let codes = |response| match response {
        ResponseKind::CreateTopics(response) => response.topics.iter().map(|t| t.error_code).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let invalid = ResponseError::InvalidRequest.code();
    let expected = [0, 0, ResponseError::InvalidPartitions.code(), invalid, invalid];
    assert_eq!(codes(room.ask(7, only_validate)), expected);
    assert!(room.image().topics.is_empty());
    assert_eq!(codes(room.ask(7, request)), expected);
    assert_eq!(room.image().topics.len(), 2, "with ids of their own, though the host's randomness repeats itself");
}
