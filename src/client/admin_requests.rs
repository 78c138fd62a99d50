//! What an admin client asks of the controller, through any broker: requests, and what their answers say.
//!
//! Source: `KafkaAdminClient`. Errors of single topics and partitions end an operation; only "not the controller", a lost
//! answer and a time-out are tried again (`handleNotControllerError`, `Call.fail`).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_raft_voter_request::Listener;
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AddRaftVoterRequest, AlterPartitionReassignmentsRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteTopicsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest, RemoveRaftVoterRequest, RequestKind,
    ResponseKind,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::cluster::Versioned;
use crate::ids::{Topic, TopicPartition};
use crate::metadata::voters_record::LISTENER;
use crate::metadata::{ALL_BROKERS, BROKER_RESOURCE, TOPIC_RESOURCE};
use crate::node::{Command, ConfigResource, ElectionType, Endpoint};
use crate::protocol::{topic_name, versions};

/// Something that the controller does.
#[derive(Clone, Debug)]
pub(super) enum ControllerAsk {
    CreateTopic(CreatableTopic),
    DeleteTopic(Topic),
    CreatePartitions { topic: Topic, count: i32 },
    AlterConfigs { resource: ConfigResource, changes: Vec<(String, Option<String>)> },
    ElectLeaders { election: ElectionType, partitions: Vec<TopicPartition> },
    Reassign { partition: TopicPartition, replicas: Option<Vec<i32>> },
    AddVoter { id: i32, directory_id: Uuid, endpoint: Endpoint },
    RemoveVoter { id: i32, directory_id: Uuid },
}

impl ControllerAsk {
    /// The command as an ask, if it is one for the controller. Creating a topic is made by [`super::admin`].
    pub(super) fn of(command: Command) -> Option<Self> {
        Some(match command {
            Command::DeleteTopic { topic } => ControllerAsk::DeleteTopic(topic),
            Command::CreatePartitions { topic, count } => ControllerAsk::CreatePartitions { topic, count },
            Command::AlterConfigs { resource, changes } => ControllerAsk::AlterConfigs { resource, changes },
            Command::ElectLeaders { election, partitions } => ControllerAsk::ElectLeaders { election, partitions },
            Command::Reassign { partition, replicas } => ControllerAsk::Reassign { partition, replicas },
            Command::AddVoter { id, directory_id, endpoint } => ControllerAsk::AddVoter { id, directory_id, endpoint },
            Command::RemoveVoter { id, directory_id } => ControllerAsk::RemoveVoter { id, directory_id },
            _ => return None,
        })
    }

    pub(super) fn request(&self, timeout_ms: i32) -> Versioned {
        match self {
            ControllerAsk::CreateTopic(topic) => {
                let request =
                    CreateTopicsRequest::default().with_topics(vec![topic.clone()]).with_timeout_ms(timeout_ms);
                (versions::CREATE_TOPICS, RequestKind::CreateTopics(request))
            }
            ControllerAsk::DeleteTopic(topic) => {
                let topics = vec![DeleteTopicState::default().with_name(Some(topic_name(topic)))];
                let request = DeleteTopicsRequest::default().with_topics(topics).with_timeout_ms(timeout_ms);
                (versions::DELETE_TOPICS, RequestKind::DeleteTopics(request))
            }
            ControllerAsk::CreatePartitions { topic, count } => {
                let topic = CreatePartitionsTopic::default()
                    .with_name(topic_name(topic))
                    .with_count(*count)
                    .with_assignments(None);
                let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(timeout_ms);
                (versions::CREATE_PARTITIONS, RequestKind::CreatePartitions(request))
            }
            ControllerAsk::AlterConfigs { resource, changes } => {
                let request =
                    IncrementalAlterConfigsRequest::default().with_resources(vec![alterable(resource, changes)]);
                (versions::INCREMENTAL_ALTER_CONFIGS, RequestKind::IncrementalAlterConfigs(request))
            }
            ControllerAsk::ElectLeaders { election, partitions } => {
                let of = |partition: &TopicPartition| {
                    TopicPartitions::default()
                        .with_topic(topic_name(&partition.topic))
                        .with_partitions(vec![partition.partition])
                };
                let asked = (!partitions.is_empty()).then(|| partitions.iter().map(of).collect());
                let request = ElectLeadersRequest::default()
                    .with_election_type(*election as i8)
                    .with_topic_partitions(asked)
                    .with_timeout_ms(timeout_ms);
                (versions::ELECT_LEADERS, RequestKind::ElectLeaders(request))
            }
            ControllerAsk::Reassign { partition, replicas } => {
                let replicas = replicas.as_ref().map(|all| all.iter().copied().map(Into::into).collect());
                let asked =
                    ReassignablePartition::default().with_partition_index(partition.partition).with_replicas(replicas);
                let topic =
                    ReassignableTopic::default().with_name(topic_name(&partition.topic)).with_partitions(vec![asked]);
                let request =
                    AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]).with_timeout_ms(timeout_ms);
                (versions::ALTER_PARTITION_REASSIGNMENTS, RequestKind::AlterPartitionReassignments(request))
            }
            ControllerAsk::AddVoter { id, directory_id, endpoint } => {
                let listener = Listener::default()
                    .with_name(StrBytes::from_static_str(LISTENER))
                    .with_host(StrBytes::from_string(endpoint.host.clone()))
                    .with_port(endpoint.port);
                let request = AddRaftVoterRequest::default()
                    .with_cluster_id(None)
                    .with_timeout_ms(timeout_ms)
                    .with_voter_id(*id)
                    .with_voter_directory_id(*directory_id)
                    .with_listeners(vec![listener]);
                (versions::ADD_RAFT_VOTER, RequestKind::AddRaftVoter(request))
            }
            ControllerAsk::RemoveVoter { id, directory_id } => {
                let request = RemoveRaftVoterRequest::default()
                    .with_cluster_id(None)
                    .with_voter_id(*id)
                    .with_voter_directory_id(*directory_id);
                (versions::REMOVE_RAFT_VOTER, RequestKind::RemoveRaftVoter(request))
            }
        }
    }

    /// What the answer says; `None` if it is to something else.
    pub(super) fn result(&self, answer: &ResponseKind) -> Option<Result<(), ResponseError>> {
        let codes: Vec<i16> = match (self, answer) {
            (ControllerAsk::CreateTopic(topic), ResponseKind::CreateTopics(answer)) => {
                answer.topics.iter().filter(|t| t.name == topic.name).map(|t| t.error_code).collect()
            }
            (ControllerAsk::DeleteTopic(_), ResponseKind::DeleteTopics(answer)) => {
                answer.responses.iter().map(|t| t.error_code).collect()
            }
            (ControllerAsk::CreatePartitions { .. }, ResponseKind::CreatePartitions(answer)) => {
                answer.results.iter().map(|t| t.error_code).collect()
            }
            (ControllerAsk::AlterConfigs { .. }, ResponseKind::IncrementalAlterConfigs(answer)) => {
                answer.responses.iter().map(|r| r.error_code).collect()
            }
            (ControllerAsk::ElectLeaders { .. }, ResponseKind::ElectLeaders(answer)) => {
                // Where no election is needed, what was asked for is so already.
                let not_needed = ResponseError::ElectionNotNeeded.code();
                let partitions = answer.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
                let codes = partitions.map(|partition| partition.error_code).filter(|code| *code != not_needed);
                std::iter::once(answer.error_code).chain(codes).collect()
            }
            (ControllerAsk::Reassign { .. }, ResponseKind::AlterPartitionReassignments(answer)) => {
                let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
                std::iter::once(answer.error_code).chain(partitions.map(|p| p.error_code)).collect()
            }
            (ControllerAsk::AddVoter { .. }, ResponseKind::AddRaftVoter(answer)) => vec![answer.error_code],
            (ControllerAsk::RemoveVoter { .. }, ResponseKind::RemoveRaftVoter(answer)) => vec![answer.error_code],
            _ => return None,
        };
        let error = codes.iter().find_map(|code| ResponseError::try_from_code(*code));
        // An answer that does not speak of what was asked tells nothing about it.
        (!codes.is_empty()).then_some(error.map_or(Ok(()), Err))
    }

    /// May the same be asked again after this error? The leader of the quorum says REQUEST_TIMED_OUT of a change of the
    /// voters that it does not begin or has given up: that is for the caller to judge.
    pub(super) fn is_tried_again_after(&self, error: ResponseError) -> bool {
        use ResponseError::*;
        match self {
            ControllerAsk::AddVoter { .. } | ControllerAsk::RemoveVoter { .. } => {
                matches!(error, NotController | NetworkException)
            }
            _ => matches!(error, NotController | RequestTimedOut | NetworkException),
        }
    }
}

fn alterable(resource: &ConfigResource, changes: &[(String, Option<String>)]) -> AlterConfigsResource {
    const SET: i8 = 0;
    const DELETE: i8 = 1;
    let (resource_type, name) = match resource {
        ConfigResource::Topic(topic) => (TOPIC_RESOURCE, topic.to_string()),
        ConfigResource::Broker(id) => (BROKER_RESOURCE, id.to_string()),
        ConfigResource::AllBrokers => (BROKER_RESOURCE, ALL_BROKERS.to_string()),
    };
    let change = |(name, value): &(String, Option<String>)| {
        AlterableConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_config_operation(if value.is_some() { SET } else { DELETE })
            .with_value(value.clone().map(StrBytes::from_string))
    };
    AlterConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(StrBytes::from_string(name))
        .with_configs(changes.iter().map(change).collect())
}
