//! What a client believes about leaders.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::fixture::{TOPIC, partition};
use crate::client::view::{Leader, View};
use crate::ids::Topic;
use crate::protocol::topic_name;

fn answer(topic_id: u128, leader: i32, epoch: i32) -> MetadataResponse {
    let broker = |id: i32| {
        let host = StrBytes::from_string(format!("b{id}"));
        MetadataResponseBroker::default().with_node_id(id.into()).with_host(host).with_port(9092)
    };
    let partition = MetadataResponsePartition::default().with_leader_id(leader.into()).with_leader_epoch(epoch);
    let topic = MetadataResponseTopic::default()
        .with_name(Some(topic_name(&Topic::new(TOPIC))))
        .with_topic_id(Uuid::from_u128(topic_id))
        .with_partitions(vec![partition]);
    MetadataResponse::default().with_brokers(vec![broker(1), broker(2)]).with_topics(vec![topic])
}
fn leader(broker: i32, epoch: i32) -> Option<Leader> {
    Some(Leader { broker, epoch })
}

#[test]
fn leader_epochs_never_go_back() {
    let mut view = View::default();
    assert!(!view.update(&answer(1, 1, 7)));
    view.update(&answer(1, 2, 6));
    assert_eq!(view.leader(&partition(0)), leader(1, 7), "a broker that lags behind is not believed");
    view.update(&answer(1, 2, 8));
    assert_eq!(view.leader(&partition(0)), leader(2, 8));
    assert!(!view.learn_leader(&partition(0), Leader { broker: 1, epoch: 8 }));
    assert!(view.learn_leader(&partition(0), Leader { broker: 1, epoch: 9 }));
    assert!(!view.learn_leader(&partition(0), Leader { broker: 3, epoch: 10 }), "nobody knows where broker 3 is");
    assert_eq!(view.leader(&partition(0)), leader(1, 9));
}

#[test]
fn another_topic_of_the_same_name_starts_its_epochs_anew() {
    let mut view = View::default();
    view.update(&answer(1, 1, 7));
    view.update(&answer(2, 2, 0));
    assert_eq!(view.leader(&partition(0)), leader(2, 0));
    assert_eq!(view.topic_id(&Topic::new(TOPIC)), Some(Uuid::from_u128(2)));
}

#[test]
fn a_topic_that_vanishes_for_a_moment_keeps_its_epochs() {
    let mut view = View::default();
    view.update(&answer(1, 1, 7));
    let mut gone = answer(0, 1, 0);
    gone.topics[0].error_code = ResponseError::UnknownTopicOrPartition.code();
    gone.topics[0].partitions.clear();
    assert!(view.update(&gone), "worth asking again");
    assert_eq!((view.leader(&partition(0)), view.partition_count(&Topic::new(TOPIC))), (None, None));
    view.update(&answer(1, 2, 6));
    assert_eq!(view.leader(&partition(0)), leader(1, 7));
}

#[test]
fn a_partition_without_a_leader_is_worth_asking_again() {
    let mut view = View::default();
    assert!(view.update(&answer(1, -1, 3)));
    assert_eq!(view.leader(&partition(0)), None);
    assert_eq!(view.partition_count(&Topic::new(TOPIC)), Some(1));
}
