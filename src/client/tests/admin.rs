//! What an admin client asks, and when it gives up.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsResponse, CreatePartitionsResponse, CreateTopicsResponse, DeleteGroupsResponse,
    DeleteRecordsResponse, DeleteTopicsResponse, ElectLeadersResponse, FindCoordinatorResponse,
    IncrementalAlterConfigsResponse, OffsetDeleteResponse, RequestKind, ResponseKind, delete_groups_response,
    find_coordinator_response, offset_delete_request, offset_delete_response,
};
use kafka_protocol::protocol::StrBytes;

use super::fixture::*;
use crate::client::Role;
use crate::ids::Topic;
use crate::node::{Command, ConfigResource, ElectionType, Outcome};

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
fn records_are_deleted_by_the_leader_and_the_answer_is_the_low_watermark() {
    let deleted = |code: i16, low_watermark| {
        let result = DeleteRecordsPartitionResult::default().with_error_code(code).with_low_watermark(low_watermark);
        let topic = DeleteRecordsTopicResult::default()
            .with_name(crate::protocol::topic_name(&Topic::new(TOPIC)))
            .with_partitions(vec![result]);
        ResponseKind::DeleteRecords(DeleteRecordsResponse::default().with_topics(vec![topic]))
    };
    let mut bench = admin(&[3]);
    bench.command(1, Command::DeleteRecords { partition: partition(0), before: 7 });
    let call = bench.next_call();
    let RequestKind::DeleteRecords(request) = &call.request else { panic!("{call:?}") };
    assert_eq!((call.broker, request.topics[0].partitions[0].offset), (3, 7));
    bench.leaders[0] = (2, 6);
    bench.answer(call, deleted(ResponseError::NotLeaderOrFollower.code(), -1));
    bench.sleep(400);
    let call = bench.next_call();
    assert_eq!(call.broker, 2, "another leads by now");
    bench.answer(call, deleted(0, 7));
    assert_eq!(bench.outcome(1), &Outcome::Offset { offset: 7, leader_epoch: -1 });

    bench.command(2, Command::DeleteRecords { partition: partition(0), before: 70 });
    let call = bench.next_call();
    bench.answer(call, deleted(ResponseError::OffsetOutOfRange.code(), -1));
    assert_eq!(bench.outcome(2), &refused("OFFSET_OUT_OF_RANGE"), "that is not committed");
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

/// An answer with this error.
type Respond = fn(i16) -> ResponseKind;

/// A command for the controller, and an answer to it with this error.
fn commands() -> Vec<(Command, Respond)> {
    let topic = Topic::new(TOPIC);
    vec![
        (Command::DeleteTopic { topic: topic.clone() }, |code| {
            let result = DeletableTopicResult::default().with_error_code(code);
            DeleteTopicsResponse::default().with_responses(vec![result]).into()
        }),
        (Command::CreatePartitions { topic: topic.clone(), count: 4 }, |code| {
            let result = CreatePartitionsTopicResult::default().with_error_code(code);
            CreatePartitionsResponse::default().with_results(vec![result]).into()
        }),
        (
            Command::AlterConfigs {
                resource: ConfigResource::Topic(topic),
                changes: vec![("min.insync.replicas".to_string(), Some("2".to_string()))],
            },
            |code| {
                let result = AlterConfigsResourceResponse::default().with_error_code(code);
                IncrementalAlterConfigsResponse::default().with_responses(vec![result]).into()
            },
        ),
        (Command::ElectLeaders { election: ElectionType::Unclean, partitions: vec![partition(0)] }, |code| {
            let result = PartitionResult::default().with_error_code(code);
            let topic = ReplicaElectionResult::default().with_partition_result(vec![result]);
            ElectLeadersResponse::default().with_replica_election_results(vec![topic]).into()
        }),
        (Command::Reassign { partition: partition(0), replicas: Some(vec![3, 2]) }, |code| {
            let result = ReassignablePartitionResponse::default().with_error_code(code);
            let topic = ReassignableTopicResponse::default().with_partitions(vec![result]);
            AlterPartitionReassignmentsResponse::default().with_responses(vec![topic]).into()
        }),
    ]
}

#[test]
fn what_the_controller_is_asked_is_asked_again_only_while_there_is_no_controller() {
    for (command, answer) in commands() {
        let mut bench = admin(&[]);
        bench.command(1, command.clone());
        let call = bench.next_call();
        bench.answer(call, answer(ResponseError::NotController.code()));
        assert!(!bench.is_settled(1), "{command:?}");
        bench.sleep(150);
        let call = bench.next_call();
        bench.answer(call, answer(0));
        assert_eq!(bench.outcome(1), &Outcome::Done, "{command:?}");

        bench.command(2, command.clone());
        let call = bench.next_call();
        bench.answer(call, answer(ResponseError::UnknownTopicOrPartition.code()));
        assert_eq!(bench.outcome(2), &refused("UNKNOWN_TOPIC_OR_PARTITION"), "{command:?}");
    }
}

#[test]
fn a_broker_has_configs_of_its_own_and_all_brokers_have_theirs() {
    let change = |resource, value: Option<&str>| Command::AlterConfigs {
        resource,
        changes: vec![("min.insync.replicas".to_string(), value.map(str::to_string))],
    };
    let asked = |command| {
        let mut bench = admin(&[]);
        bench.command(1, command);
        let RequestKind::IncrementalAlterConfigs(request) = bench.next_call().request else { panic!("not that") };
        let resource = &request.resources[0];
        (resource.resource_type, resource.resource_name.to_string(), resource.configs[0].config_operation)
    };
    assert_eq!(asked(change(ConfigResource::Broker(3), Some("2"))), (4, "3".to_string(), 0));
    assert_eq!(asked(change(ConfigResource::AllBrokers, None)), (4, String::new(), 1));
}

#[test]
fn a_leader_that_needs_no_election_is_what_was_asked_for() {
    let mut bench = admin(&[]);
    bench.command(1, Command::ElectLeaders { election: ElectionType::Preferred, partitions: vec![] });
    let call = bench.next_call();
    let RequestKind::ElectLeaders(request) = &call.request else { panic!("{call:?}") };
    assert_eq!((request.election_type, &request.topic_partitions), (0, &None), "of all partitions");
    let result = PartitionResult::default().with_error_code(ResponseError::ElectionNotNeeded.code());
    let topic = ReplicaElectionResult::default().with_partition_result(vec![result]);
    bench.answer(call, ElectLeadersResponse::default().with_replica_election_results(vec![topic]).into());
    assert_eq!(bench.outcome(1), &Outcome::Done);
}

// ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────────

fn coordinator_is(bench: &mut Bench, end: Result<i32, ResponseError>) {
    let call = bench.next_call();
    let RequestKind::FindCoordinator(request) = call.request.clone() else { panic!("not a FindCoordinator: {call:?}") };
    let found = find_coordinator_response::Coordinator::default().with_key(request.coordinator_keys[0].clone());
    let found = match end {
        Ok(id) => found.with_node_id(id.into()).with_host(StrBytes::from_string(format!("b{id}"))).with_port(9092),
        Err(error) => found.with_node_id((-1).into()).with_error_code(error.code()),
    };
    bench.answer(call, FindCoordinatorResponse::default().with_coordinators(vec![found]).into());
}
fn group_is_deleted(bench: &mut Bench, broker: i32, code: i16) {
    let call = bench.next_call();
    assert_eq!(call.broker, broker, "the coordinator is asked");
    let RequestKind::DeleteGroups(request) = call.request.clone() else { panic!("not a DeleteGroups: {call:?}") };
    let result = delete_groups_response::DeletableGroupResult::default()
        .with_group_id(request.groups_names[0].clone())
        .with_error_code(code);
    bench.answer(call, DeleteGroupsResponse::default().with_results(vec![result]).into());
}

#[test]
fn a_group_is_deleted_by_its_coordinator_wherever_that_is() {
    let mut bench = admin(&[2]);
    bench.command(1, Command::DeleteGroup { group: "g".into() });
    coordinator_is(&mut bench, Err(ResponseError::CoordinatorNotAvailable));
    bench.sleep(200);
    coordinator_is(&mut bench, Ok(3));
    group_is_deleted(&mut bench, 3, ResponseError::NotCoordinator.code());
    bench.sleep(500);
    coordinator_is(&mut bench, Ok(2));
    group_is_deleted(&mut bench, 2, 0);
    assert_eq!(bench.outcome(1), &Outcome::Done);
    bench.command(2, Command::DeleteGroup { group: "g".into() });
    coordinator_is(&mut bench, Ok(2));
    group_is_deleted(&mut bench, 2, ResponseError::NonEmptyGroup.code());
    assert_eq!(bench.outcome(2), &Outcome::Refused { error: "NON_EMPTY_GROUP".into() });
}

#[test]
fn offsets_that_a_group_still_needs_are_not_deleted() {
    let mut bench = admin(&[2]);
    bench.command(1, Command::DeleteOffsets { group: "g".into(), partitions: vec![partition(0), partition(1)] });
    coordinator_is(&mut bench, Ok(1));
    let call = bench.next_call();
    let RequestKind::OffsetDelete(request) = call.request.clone() else { panic!("not an OffsetDelete: {call:?}") };
    assert_eq!(request.topics.len(), 1, "partitions of a topic stand together");
    let answered = |partition: &offset_delete_request::OffsetDeleteRequestPartition| {
        let code = if partition.partition_index == 1 { ResponseError::GroupSubscribedToTopic.code() } else { 0 };
        offset_delete_response::OffsetDeleteResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(code)
    };
    let topic = offset_delete_response::OffsetDeleteResponseTopic::default()
        .with_name(request.topics[0].name.clone())
        .with_partitions(request.topics[0].partitions.iter().map(answered).collect());
    bench.answer(call, OffsetDeleteResponse::default().with_topics(vec![topic]).into());
    assert_eq!(bench.outcome(1), &Outcome::Refused { error: "GROUP_SUBSCRIBED_TO_TOPIC".into() });
}
