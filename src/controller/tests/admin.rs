//! What an admin does to topics and configs, and how a partition moves.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionRequest, CreatePartitionsRequest, DeleteTopicsRequest,
    IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::event::Event;
use crate::metadata::{ALL_BROKERS, BROKER_RESOURCE, TOPIC_RESOURCE};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

fn named(name: &str) -> DeleteTopicState {
    DeleteTopicState::default().with_name(Some(TopicName(name.to_string().into())))
}
fn by_id(id: Uuid) -> DeleteTopicState {
    DeleteTopicState::default().with_topic_id(id)
}
fn code(error: ResponseError) -> i16 {
    error.code()
}

impl Room {
    /// What was decided since the last look, without what the quorum did for it.
    fn decided(&mut self) -> Vec<String> {
        let of_the_quorum =
            |event: &Event| matches!(event, Event::MetadataAppended { .. } | Event::MetadataHighWatermark { .. });
        let events = std::mem::take(&mut self.host.events).into_iter().map(|(event, _)| event);
        events.filter(|event| !of_the_quorum(event)).map(|event| event.to_string()).collect()
    }
    fn delete(&mut self, topics: Vec<DeleteTopicState>) -> Vec<i16> {
        match self.ask(6, DeleteTopicsRequest::default().with_topics(topics)) {
            ResponseKind::DeleteTopics(response) => response.responses.iter().map(|r| r.error_code).collect(),
            other => panic!("{other:?}"),
        }
    }
    fn grow(&mut self, topic: &str, count: i32, assignments: Option<&[&[BrokerId]]>) -> i16 {
        let assignment = |replicas: &&[BrokerId]| {
            CreatePartitionsAssignment::default().with_broker_ids(replicas.iter().copied().map(WireBrokerId).collect())
        };
        let topic = CreatePartitionsTopic::default()
            .with_name(TopicName(topic.to_string().into()))
            .with_count(count)
            .with_assignments(assignments.map(|all| all.iter().map(assignment).collect()));
        match self.ask(3, CreatePartitionsRequest::default().with_topics(vec![topic])) {
            ResponseKind::CreatePartitions(response) => response.results[0].error_code,
            other => panic!("{other:?}"),
        }
    }
    fn alter_config(&mut self, resource_type: i8, resource: &str, config: (&str, i8, Option<&str>)) -> (i16, String) {
        self.alter_configs(resource_type, resource, &[config], false)
    }
    fn alter_configs(
        &mut self,
        resource_type: i8,
        resource: &str,
        configs: &[(&str, i8, Option<&str>)],
        validate_only: bool,
    ) -> (i16, String) {
        let config = |(name, operation, value): &(&str, i8, Option<&str>)| {
            AlterableConfig::default()
                .with_name(StrBytes::from_string(name.to_string()))
                .with_config_operation(*operation)
                .with_value(value.map(|value| StrBytes::from_string(value.to_string())))
        };
        let resource = AlterConfigsResource::default()
            .with_resource_type(resource_type)
            .with_resource_name(StrBytes::from_string(resource.to_string()))
            .with_configs(configs.iter().map(config).collect());
        let request =
            IncrementalAlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(validate_only);
        match self.ask(1, request) {
            ResponseKind::IncrementalAlterConfigs(response) => {
                let response = &response.responses[0];
                (response.error_code, response.error_message.as_ref().map_or(String::new(), |m| m.to_string()))
            }
            other => panic!("{other:?}"),
        }
    }
    /// Of `orders-0`; `None` cancels.
    pub(super) fn reassign(&mut self, replicas: Option<&[BrokerId]>) -> i16 {
        self.reassign_keeping_the_factor(replicas, false)
    }
    fn reassign_keeping_the_factor(&mut self, replicas: Option<&[BrokerId]>, keeping: bool) -> i16 {
        let replicas = replicas.map(|all| all.iter().copied().map(WireBrokerId).collect());
        let topic = ReassignableTopic::default()
            .with_name(TopicName("orders".into()))
            .with_partitions(vec![ReassignablePartition::default().with_replicas(replicas)]);
        let request = AlterPartitionReassignmentsRequest::default()
            .with_topics(vec![topic])
            .with_allow_replication_factor_change(!keeping);
        match self.ask(1, request) {
            ResponseKind::AlterPartitionReassignments(response) => response.responses[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    }
    /// The leader of `orders-0` asks for this ISR.
    fn leader_asks_for_isr(&mut self, isr: &[BrokerId]) -> i16 {
        let partition = self.orders_0();
        let member = |broker: &BrokerId| {
            let broker_epoch = self.broker_epochs[broker];
            BrokerState::default().with_broker_id(WireBrokerId(*broker)).with_broker_epoch(broker_epoch)
        };
        let data = PartitionData::default()
            .with_leader_epoch(partition.leader_epoch)
            .with_partition_epoch(partition.partition_epoch)
            .with_new_isr_with_epochs(isr.iter().map(member).collect());
        let topic = TopicData::default().with_topic_id(self.topic_id("orders")).with_partitions(vec![data]);
        let request = AlterPartitionRequest::default()
            .with_broker_id(WireBrokerId(partition.leader))
            .with_broker_epoch(self.broker_epochs[&partition.leader])
            .with_topics(vec![topic]);
        match self.ask(3, request) {
            ResponseKind::AlterPartition(response) => response.topics[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    }
    fn four_brokers() -> Room {
        let mut room = Room::orders();
        room.register(4, 1);
        room.heartbeat(4);
        room
    }
    /// Replicas, those to come, those to go.
    fn assignment(&self) -> (Vec<BrokerId>, Vec<BrokerId>, Vec<BrokerId>) {
        let partition = self.orders_0();
        (partition.replicas, partition.adding_replicas, partition.removing_replicas)
    }
    fn listed_reassignments(&mut self) -> usize {
        match self.ask(0, ListPartitionReassignmentsRequest::default().with_topics(None)) {
            ResponseKind::ListPartitionReassignments(response) => response.topics.len(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_topic_created_again_is_another_topic_without_the_configs_of_the_first() {
    let mut room = Room::orders_with(BrokerConfig::default(), &[("min.insync.replicas", "2")]);
    let first = room.topic_id("orders");
    room.decided();
    assert_eq!(room.delete(vec![named("orders")]), [0]);
    assert!(room.image().topic("orders").is_none());
    assert_eq!(room.decided(), [format!("deleted topic orders (id {first})")]);
    // The host of this room gives the same random number each time; ids in use are passed over, this one is free again.
    room.host.random = 1;
    room.create("orders", &[&[2, 1]], &[]);
    assert_ne!(room.topic_id("orders"), first);
    assert!(room.image().topic("orders").unwrap().configs.is_empty());
    assert_eq!((room.orders_0().leader_epoch, room.orders_0().partition_epoch), (0, 0));
}

#[test]
fn a_topic_is_deleted_by_name_or_by_id_and_each_error_is_its_own() {
    let mut room = Room::orders();
    room.create("payments", &[&[1]], &[]);
    let payments = room.topic_id("payments");
    assert_eq!(
        room.delete(vec![by_id(payments), by_id(Uuid::from_u128(99))]),
        [0, code(ResponseError::UnknownTopicId)]
    );
    assert!(room.image().topic("payments").is_none());
    let orders = room.topic_id("orders");
    let invalid = code(ResponseError::InvalidRequest);
    assert_eq!(room.delete(vec![named("nobody")]), [code(ResponseError::UnknownTopicOrPartition)]);
    assert_eq!(room.delete(vec![DeleteTopicState::default()]), [invalid]);
    assert_eq!(room.delete(vec![named("orders").with_topic_id(orders)]), [invalid], "one or the other");
    assert_eq!(room.delete(vec![named("orders"), named("orders")]), [invalid], "twice, so not at all");
    assert_eq!(room.delete(vec![named("orders"), by_id(orders)]), [invalid, 0], "the name of an id that is given too");
    assert!(room.image().topics.is_empty());
}

#[test]
fn a_deleted_topic_stays_deleted_when_the_controller_restarts() {
    let mut room = Room::orders();
    room.alter_config(BROKER_RESOURCE, ALL_BROKERS, ("min.insync.replicas", SET, Some("2")));
    room.delete(vec![named("orders")]);
    room.restart();
    assert!(room.image().topic("orders").is_none());
    assert_eq!(room.image().broker_configs[ALL_BROKERS]["min.insync.replicas"], "2", "and configs stay set");
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    let mut room = Room::orders();
    let invalid = code(ResponseError::InvalidPartitions);
    assert_eq!((room.grow("orders", 1, None), room.grow("orders", 0, None)), (invalid, invalid));
    assert_eq!(room.grow("nobody", 2, None), code(ResponseError::UnknownTopicOrPartition));
    let bad = code(ResponseError::InvalidReplicaAssignment);
    assert_eq!(room.grow("orders", 3, Some(&[&[1, 2, 3]])), bad, "two are added, one is placed");
    assert_eq!(room.grow("orders", 2, Some(&[&[1, 2]])), bad, "another number of replicas");
    assert_eq!(room.grow("orders", 2, Some(&[&[1, 2, 9]])), bad, "no such broker");
    assert_eq!(room.grow("orders", 2, Some(&[&[3, 2, 1]])), 0);
    assert_eq!(room.grow("orders", 4, None), 0);
    let id = room.topic_id("orders");
    let topic = room.image().topics[&id].clone();
    assert_eq!(topic.partitions.len(), 4);
    assert_eq!((topic.partitions[1].leader, &topic.partitions[1].replicas[..]), (3, &[3, 2, 1][..]));
    assert!(topic.partitions.iter().all(|partition| partition.replicas.len() == 3));
}

#[test]
fn configs_are_set_and_removed_one_by_one() {
    let mut room = Room::orders_with(BrokerConfig::default(), &[("flush.messages", "7")]);
    room.decided();
    let min_isr = "min.insync.replicas";
    assert_eq!(room.alter_config(TOPIC_RESOURCE, "orders", (min_isr, SET, Some("2"))).0, 0);
    assert_eq!(room.alter_config(BROKER_RESOURCE, "2", ("log.segment.bytes", SET, Some("1000"))).0, 0);
    assert_eq!(room.alter_config(TOPIC_RESOURCE, "orders", ("flush.messages", DELETE, None)).0, 0);
    assert_eq!(
        room.decided(),
        [
            "set min.insync.replicas=2 for topic orders",
            "set log.segment.bytes=1000 for broker 2",
            "removed flush.messages from topic orders",
        ]
    );
    let configs = room.image().topic("orders").unwrap().configs.clone();
    assert_eq!(configs.into_iter().collect::<Vec<_>>(), [(min_isr.to_string(), "2".to_string())]);
    let end = room.controller.log().unwrap().log_end_offset();
    assert_eq!(room.alter_config(TOPIC_RESOURCE, "orders", (min_isr, SET, Some("2"))).0, 0);
    assert_eq!(room.alter_configs(TOPIC_RESOURCE, "orders", &[(min_isr, SET, Some("3"))], true).0, 0);
    assert_eq!(room.controller.log().unwrap().log_end_offset(), end, "nothing new, and nothing only validated");
}

#[test]
fn each_config_that_cannot_be_is_refused_with_its_error() {
    let mut room = Room::orders();
    let before = room.image().broker_configs.clone();
    let (config, request) = (ResponseError::InvalidConfig, ResponseError::InvalidRequest);
    let min_isr = "min.insync.replicas";
    /// A key, what is to be done with it, and the value.
    type Change = (&'static str, i8, Option<&'static str>);
    let cases: [(i8, &str, Change, ResponseError); 16] = [
        (TOPIC_RESOURCE, "nobody", (min_isr, SET, Some("1")), ResponseError::UnknownTopicOrPartition),
        (TOPIC_RESOURCE, "orders", (min_isr, SET, Some("many")), config),
        (TOPIC_RESOURCE, "orders", (min_isr, SET, Some("0")), config),
        (TOPIC_RESOURCE, "orders", (min_isr, SET, Some("3000000000")), config),
        (TOPIC_RESOURCE, "orders", (min_isr, SET, None), request),
        (TOPIC_RESOURCE, "orders", (min_isr, APPEND, Some("1")), config),
        (TOPIC_RESOURCE, "orders", (min_isr, 9, Some("1")), request),
        (TOPIC_RESOURCE, "orders", ("no.such.thing", SET, Some("1")), config),
        (TOPIC_RESOURCE, "orders", ("no.such.thing", DELETE, None), config),
        (BROKER_RESOURCE, "x", (min_isr, SET, Some("1")), request),
        (BROKER_RESOURCE, "-4", (min_isr, SET, Some("1")), request),
        (BROKER_RESOURCE, "9", (min_isr, SET, Some("1")), ResponseError::BrokerIdNotRegistered),
        (BROKER_RESOURCE, "1", ("replica.lag.time.max.ms", SET, Some("1")), request),
        (BROKER_RESOURCE, ALL_BROKERS, ("unclean.leader.election.enable", SET, Some("maybe")), request),
        (BROKER_RESOURCE, ALL_BROKERS, ("no.such.thing", SET, Some("1")), request),
        (8, "1", (min_isr, SET, Some("1")), request),
    ];
    for (resource_type, resource, change, expected) in cases {
        let (error, message) = room.alter_config(resource_type, resource, change);
        assert_eq!(error, code(expected), "{resource}: {change:?}");
        assert!(!message.is_empty());
    }
    let twice = [(min_isr, SET, Some("1")), (min_isr, DELETE, None)];
    assert_eq!(room.alter_configs(TOPIC_RESOURCE, "orders", &twice, false).0, code(request));
    let (error, message) = room.alter_config(TOPIC_RESOURCE, "orders", ("file.delete.delay.ms", SET, Some("1")));
    assert_eq!(error, code(config));
    assert!(message.contains("known to Kafka, not modelled"), "{message}");
    assert_eq!(room.image().broker_configs, before);
}

/// KAFKA-16540: with eligible leader replicas every node must mean the same by min.insync.replicas.
#[test]
fn with_eligible_leaders_min_insync_replicas_are_the_clusters_and_stay() {
    let mut room = Room::orders();
    let min_isr = "min.insync.replicas";
    let invalid = code(ResponseError::InvalidConfig);
    assert_eq!(room.alter_config(BROKER_RESOURCE, "1", (min_isr, SET, Some("2"))).0, invalid);
    assert_eq!(room.alter_config(BROKER_RESOURCE, ALL_BROKERS, (min_isr, DELETE, None)).0, invalid);
    assert_eq!(room.alter_config(BROKER_RESOURCE, ALL_BROKERS, (min_isr, SET, Some("2"))).0, 0);
}

#[test]
fn all_of_a_resource_is_changed_or_nothing() {
    let mut room = Room::orders();
    let changes = [("min.insync.replicas", SET, Some("2")), ("flush.messages", SET, Some("none"))];
    assert_eq!(room.alter_configs(TOPIC_RESOURCE, "orders", &changes, false).0, code(ResponseError::InvalidConfig));
    assert!(room.image().topic("orders").unwrap().configs.is_empty());
}

/// Dynamic configs of all brokers lie between a topic's own and those that the controller was started with.
#[test]
fn unclean_elections_follow_what_was_set_at_run_time() {
    let mut room = Room::orders();
    let unclean = "unclean.leader.election.enable";
    let allowed = |room: &Room| {
        let setup = room.controller.setup();
        let cluster = crate::controller::Cluster { image: room.image(), config: &setup.config, zoo: setup.zoo };
        cluster.unclean_election_is_allowed(room.image().topic("orders").unwrap())
    };
    assert!(!allowed(&room));
    room.alter_config(BROKER_RESOURCE, ALL_BROKERS, (unclean, SET, Some("true")));
    assert!(allowed(&room));
    room.alter_config(TOPIC_RESOURCE, "orders", (unclean, SET, Some("false")));
    assert!(!allowed(&room));
    room.alter_config(TOPIC_RESOURCE, "orders", (unclean, DELETE, None));
    room.alter_config(BROKER_RESOURCE, ALL_BROKERS, (unclean, DELETE, None));
    assert!(!allowed(&room));
}

#[test]
fn a_partition_moves_when_the_new_replica_is_in_sync_and_its_leader_must_learn_of_it() {
    let mut room = Room::four_brokers();
    room.decided();
    assert_eq!(room.reassign(Some(&[2, 3, 4])), 0);
    assert_eq!(room.assignment(), (vec![2, 3, 4, 1], vec![4], vec![1]));
    let begun = room.orders_0();
    assert_eq!((begun.leader, begun.leader_epoch, begun.partition_epoch), (1, 0, 1), "nobody has left yet");
    assert_eq!(room.decided(), ["assigns orders-0 to brokers 2,3,4,1, adding [4], removing [1]"]);
    assert_eq!(room.listed_reassignments(), 1);
    // 4 joins; the change that says so ends the reassignment, and with it the reign of 1.
    assert_eq!(room.leader_asks_for_isr(&[1, 2, 3, 4]), code(ResponseError::NewLeaderElected));
    assert_eq!(room.assignment(), (vec![2, 3, 4], vec![], vec![]));
    let ended = room.orders_0();
    assert_eq!((ended.leader, ended.leader_epoch, &ended.isr[..]), (2, 1, &[2, 3, 4][..]));
    assert_eq!(room.listed_reassignments(), 0);
}

/// KAFKA-15665: every target replica, not only the one that was added.
#[test]
fn a_reassignment_does_not_end_while_a_target_replica_is_out_of_sync() {
    let mut room = Room::four_brokers();
    assert_eq!(room.leader_asks_for_isr(&[1, 2]), 0);
    assert_eq!(room.reassign(Some(&[1, 3, 4])), 0);
    assert_eq!(room.leader_asks_for_isr(&[1, 2, 4]), 0);
    assert!(room.orders_0().is_reassigning(), "3 lacks records");
    assert_eq!(room.leader_asks_for_isr(&[1, 2, 3, 4]), 0);
    assert_eq!(room.assignment(), (vec![1, 3, 4], vec![], vec![]));
    let ended = room.orders_0();
    assert_eq!((ended.leader, ended.leader_epoch, &ended.isr[..]), (1, 1, &[1, 3, 4][..]), "a new epoch, for 2 left");
}

#[test]
fn what_only_changes_the_order_is_done_at_once_and_in_the_same_leader_epoch() {
    let mut room = Room::orders();
    assert_eq!(room.reassign(Some(&[3, 1, 2])), 0);
    assert_eq!(room.assignment(), (vec![3, 1, 2], vec![], vec![]));
    assert_eq!((room.orders_0().leader, room.orders_0().leader_epoch), (1, 0));
}

#[test]
fn fewer_replicas_are_given_up_at_once() {
    let mut room = Room::orders();
    assert_eq!(room.reassign(Some(&[2, 3])), 0);
    assert_eq!(room.assignment(), (vec![2, 3], vec![], vec![]));
    assert_eq!((room.orders_0().leader, room.orders_0().leader_epoch), (2, 1));
    let factor = code(ResponseError::InvalidReplicationFactor);
    assert_eq!(room.reassign_keeping_the_factor(Some(&[1, 2, 3]), true), factor, "unless that is forbidden (KIP-860)");
}

#[test]
fn a_cancelled_reassignment_goes_back_to_the_replicas_of_before() {
    let mut room = Room::four_brokers();
    assert_eq!(room.reassign(None), code(ResponseError::NoReassignmentInProgress));
    // 3 cannot catch up, so that the reassignment stands when 4 has joined.
    assert_eq!(room.leader_asks_for_isr(&[1, 2]), 0);
    room.reassign(Some(&[3, 2, 4]));
    assert_eq!(room.leader_asks_for_isr(&[1, 2, 4]), 0);
    assert_eq!(room.reassign(None), 0);
    assert_eq!(room.assignment(), (vec![3, 2, 1], vec![], vec![]));
    let back = room.orders_0();
    assert_eq!((back.leader, back.leader_epoch, &back.isr[..]), (1, 1, &[1, 2][..]), "a new epoch, for 4 left");
}

/// All that is left in sync is a replica that was to come: going back would lose what it has.
#[test]
fn a_reassignment_is_not_cancelled_where_that_would_be_an_unclean_election() {
    let mut room = Room::four_brokers();
    room.reassign(Some(&[2, 3, 4]));
    assert_eq!(room.leader_asks_for_isr(&[1, 4]), 0);
    room.silence(&[1]);
    assert_eq!((room.orders_0().leader, &room.orders_0().isr[..]), (4, &[4][..]));
    assert_eq!(room.reassign(None), code(ResponseError::InvalidReplicaAssignment));
    room.alter_config(TOPIC_RESOURCE, "orders", ("unclean.leader.election.enable", SET, Some("true")));
    assert_eq!(room.reassign(None), 0);
    assert_eq!((room.orders_0().leader, &room.orders_0().isr[..]), (2, &[2][..]));
}

#[test]
fn an_impossible_reassignment_changes_nothing() {
    let mut room = Room::orders();
    let before = room.orders_0();
    for replicas in [&[][..], &[1, 1, 2], &[1, 2, 9]] {
        assert_eq!(room.reassign(Some(replicas)), code(ResponseError::InvalidReplicaAssignment), "{replicas:?}");
    }
    assert_eq!(room.orders_0(), before);
}
