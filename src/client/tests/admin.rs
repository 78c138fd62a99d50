//! What an admin client asks, and when it gives up.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{CreateTopicsResponse, RequestKind};

use super::fixture::*;
use crate::client::Role;
use crate::ids::Topic;
use crate::node::{Command, Outcome};

fn admin(leaders: &[i32]) -> Bench {
    Bench::new(Role::Admin { request_timeout_ms: 5_000 }, leaders)
}
fn create(assignments: Vec<Vec<i32>>) -> Command {
    Command::CreateTopic {
        topic: Topic::new(TOPIC),
        partitions: 2,
        replication_factor: 3,
        assignments,
        configs: vec![("min.insync.replicas".to_string(), "2".to_string())],
    }
}
impl Bench {
    fn answer_create(&mut self, call: Call, error: Option<ResponseError>) {
        let RequestKind::CreateTopics(request) = &call.request else { panic!("not CreateTopics: {call:?}") };
        let topic = CreatableTopicResult::default()
            .with_name(request.topics[0].name.clone())
            .with_error_code(error.map_or(0, |e| e.code()));
        self.answer(call, CreateTopicsResponse::default().with_topics(vec![topic]).into());
    }
}
fn refused(error: &str) -> Outcome {
    Outcome::Refused { error: error.to_string() }
}

#[test]
fn creating_a_topic_is_any_brokers_affair_and_is_tried_again_while_there_is_no_controller() {
    let mut bench = admin(&[]);
    bench.command(1, create(vec![]));
    let call = bench.next_call();
    let RequestKind::CreateTopics(request) = &call.request else { panic!("{call:?}") };
    assert_eq!((request.topics[0].num_partitions, request.topics[0].replication_factor), (2, 3));
    assert_eq!(request.topics[0].configs[0].name.as_str(), "min.insync.replicas");
    bench.answer_create(call, Some(ResponseError::NotController));
    assert!(!bench.is_settled(1));
    bench.sleep(150);
    let call = bench.next_call();
    bench.answer_create(call, None);
    assert_eq!(bench.outcome(1), &Outcome::Done);
}

#[test]
fn a_manual_assignment_leaves_the_counts_open() {
    let mut bench = admin(&[]);
    bench.command(1, create(vec![vec![1, 2], vec![2, 3]]));
    let RequestKind::CreateTopics(request) = bench.next_call().request else { panic!("not CreateTopics") };
    let topic = &request.topics[0];
    assert_eq!((topic.num_partitions, topic.replication_factor, topic.assignments.len()), (-1, -1, 2));
    assert_eq!(topic.assignments[1].partition_index, 1);
}

#[test]
fn a_final_error_is_the_outcome() {
    let mut bench = admin(&[]);
    bench.command(1, create(vec![]));
    let call = bench.next_call();
    bench.answer_create(call, Some(ResponseError::TopicAlreadyExists));
    assert_eq!(bench.outcome(1), &refused("TOPIC_ALREADY_EXISTS"));
}

#[test]
fn an_offset_is_asked_of_the_leader_until_the_leader_knows_it() {
    let mut bench = admin(&[3]);
    bench.command(1, Command::ListOffset { partition: partition(0), timestamp: -1 });
    let call = bench.next_call();
    assert_eq!(call.broker, 3);
    bench.answer_list_offsets(call, Err(ResponseError::OffsetNotAvailable));
    bench.leaders[0] = (2, 6);
    bench.sleep(150);
    let call = bench.next_call();
    assert_eq!(call.broker, 3, "that error is no reason to look for another leader");
    bench.answer_list_offsets(call, Err(ResponseError::NotLeaderOrFollower));
    bench.sleep(400);
    let call = bench.next_call();
    assert_eq!(call.broker, 2);
    assert_eq!(bench.answer_list_offsets(call, Ok(41)), [-1]);
    assert_eq!(bench.outcome(1), &Outcome::Offset { offset: 41, leader_epoch: 5 });
}

#[test]
fn what_nobody_answers_is_given_up_after_twice_the_request_timeout() {
    let mut bench = admin(&[]);
    bench.command(1, Command::ListOffset { partition: partition(0), timestamp: -2 }).sleep(9_999);
    assert!(!bench.is_settled(1));
    bench.sleep(1);
    assert_eq!(bench.outcome(1), &refused("TIMEOUT"));
    bench.command(2, create(vec![])).sleep(10_000);
    assert_eq!(bench.outcome(2), &refused("REQUEST_TIMED_OUT"));
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    let mut bench = admin(&[]);
    bench.command(1, create(vec![]));
    let call = bench.next_call();
    bench.kill(call.broker).sleep(2_000);
    let call = bench.next_call();
    bench.answer_create(call, Some(ResponseError::TopicAlreadyExists));
    assert_eq!(bench.outcome(1), &refused("TOPIC_ALREADY_EXISTS"), "as a real admin client would report it");
}

#[test]
fn close_refuses_what_is_pending() {
    let mut bench = admin(&[]);
    bench.command(1, create(vec![])).command(2, Command::Close).command(3, create(vec![]));
    assert_eq!(bench.outcome(1), &refused("CLOSED"));
    assert_eq!(bench.outcome(2), &Outcome::Done);
    assert_eq!(bench.outcome(3), &refused("CLOSED"));
}
