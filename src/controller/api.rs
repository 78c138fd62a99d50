//! Which requests the controller serves, at which versions, and how it says no.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, SupportedFeatureKey};
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    AddRaftVoterResponse, AllocateProducerIdsResponse, AlterPartitionReassignmentsResponse, AlterPartitionResponse,
    ApiKey, ApiVersionsResponse, BrokerHeartbeatResponse, BrokerRegistrationResponse, CreatePartitionsResponse,
    CreateTopicsResponse, DeleteTopicsResponse, ElectLeadersRequest, ElectLeadersResponse,
    IncrementalAlterConfigsResponse, ListPartitionReassignmentsResponse, RemoveRaftVoterResponse, RequestKind,
    ResponseKind,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::metadata::voters_record::KRAFT_VERSION_LEVEL;

/// The feature that a voter must support (`KRaftVersion.FEATURE_NAME`).
pub(super) const KRAFT_VERSION_FEATURE: &str = "kraft.version";

/// Requests served on the controller's listener with their least and greatest version.
pub const SERVED: [(ApiKey, i16, i16); 21] = [
    (ApiKey::FetchSnapshot, 0, 1),
    (ApiKey::Fetch, 13, 17),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::ElectLeaders, 0, 2),
    (ApiKey::DescribeQuorum, 0, 2),
    (ApiKey::AlterPartition, 2, 3),
    (ApiKey::BrokerRegistration, 0, 4),
    (ApiKey::BrokerHeartbeat, 0, 1),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::AlterPartitionReassignments, 0, 1),
    (ApiKey::ListPartitionReassignments, 0, 0),
    (ApiKey::AllocateProducerIds, 0, 0),
    (ApiKey::Vote, 0, 2),
    (ApiKey::BeginQuorumEpoch, 0, 1),
    (ApiKey::EndQuorumEpoch, 0, 1),
    (ApiKey::AddRaftVoter, 0, 0),
    (ApiKey::RemoveRaftVoter, 0, 0),
    (ApiKey::UpdateRaftVoter, 0, 0),
];

/// Which of [`SERVED`] a request is, if it is one at a version that is served.
pub fn served(body: &RequestKind, version: i16) -> Option<ApiKey> {
    let key = match body {
        RequestKind::Fetch(_) => ApiKey::Fetch,
        RequestKind::FetchSnapshot(_) => ApiKey::FetchSnapshot,
        RequestKind::ApiVersions(_) => ApiKey::ApiVersions,
        RequestKind::CreateTopics(_) => ApiKey::CreateTopics,
        RequestKind::DeleteTopics(_) => ApiKey::DeleteTopics,
        RequestKind::CreatePartitions(_) => ApiKey::CreatePartitions,
        RequestKind::IncrementalAlterConfigs(_) => ApiKey::IncrementalAlterConfigs,
        RequestKind::AlterPartitionReassignments(_) => ApiKey::AlterPartitionReassignments,
        RequestKind::ListPartitionReassignments(_) => ApiKey::ListPartitionReassignments,
        RequestKind::ElectLeaders(_) => ApiKey::ElectLeaders,
        RequestKind::DescribeQuorum(_) => ApiKey::DescribeQuorum,
        RequestKind::AlterPartition(_) => ApiKey::AlterPartition,
        RequestKind::BrokerRegistration(_) => ApiKey::BrokerRegistration,
        RequestKind::BrokerHeartbeat(_) => ApiKey::BrokerHeartbeat,
        RequestKind::AllocateProducerIds(_) => ApiKey::AllocateProducerIds,
        RequestKind::Vote(_) => ApiKey::Vote,
        RequestKind::BeginQuorumEpoch(_) => ApiKey::BeginQuorumEpoch,
        RequestKind::EndQuorumEpoch(_) => ApiKey::EndQuorumEpoch,
        RequestKind::AddRaftVoter(_) => ApiKey::AddRaftVoter,
        RequestKind::RemoveRaftVoter(_) => ApiKey::RemoveRaftVoter,
        RequestKind::UpdateRaftVoter(_) => ApiKey::UpdateRaftVoter,
        _ => return None,
    };
    SERVED.iter().any(|(k, least, greatest)| *k == key && (*least..=*greatest).contains(&version)).then_some(key)
}

/// Does the quorum itself answer it, leader or not?
pub fn is_for_the_quorum(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::Fetch
            | ApiKey::FetchSnapshot
            | ApiKey::DescribeQuorum
            | ApiKey::Vote
            | ApiKey::BeginQuorumEpoch
            | ApiKey::EndQuorumEpoch
            | ApiKey::AddRaftVoter
            | ApiKey::RemoveRaftVoter
            | ApiKey::UpdateRaftVoter
    )
}

/// The answer to ApiVersions; for a version that is not served, with UNSUPPORTED_VERSION (the host then encodes it at
/// version 0, which every client reads; KIP-511).
pub fn api_versions(version: i16) -> ApiVersionsResponse {
    let keys = SERVED
        .iter()
        .map(|(key, least, greatest)| {
            ApiVersion::default().with_api_key(*key as i16).with_min_version(*least).with_max_version(*greatest)
        })
        .collect();
    let error = if (0..=4).contains(&version) { 0 } else { ResponseError::UnsupportedVersion.code() };
    let response = ApiVersionsResponse::default().with_error_code(error).with_api_keys(keys);
    // Before version 3 there is no room for features, at 3 none for one that begins with level 0 (KIP-1022).
    if version != 4 {
        return response;
    }
    let kraft_version = SupportedFeatureKey::default()
        .with_name(StrBytes::from_static_str(KRAFT_VERSION_FEATURE))
        .with_min_version(0)
        .with_max_version(KRAFT_VERSION_LEVEL);
    response.with_supported_features(vec![kraft_version])
}

/// The answer that carries an error and nothing else; `None` for requests that the quorum answers itself and that nobody
/// hands on.
pub fn error_response(body: &RequestKind, version: i16, error: ResponseError) -> Option<ResponseKind> {
    let code = error.code();
    Some(match body {
        RequestKind::BrokerRegistration(_) => {
            BrokerRegistrationResponse::default().with_error_code(code).with_broker_epoch(-1).into()
        }
        RequestKind::BrokerHeartbeat(_) => BrokerHeartbeatResponse::default().with_error_code(code).into(),
        RequestKind::AlterPartition(_) => AlterPartitionResponse::default().with_error_code(code).into(),
        RequestKind::ElectLeaders(request) => elect_leaders_error(request, version, code).into(),
        RequestKind::CreateTopics(request) => {
            let refused = |name| CreatableTopicResult::default().with_name(name).with_error_code(code);
            let topics = request.topics.iter().map(|topic| refused(topic.name.clone())).collect();
            CreateTopicsResponse::default().with_topics(topics).into()
        }
        RequestKind::DeleteTopics(request) => {
            let by_name = request.topic_names.iter().map(|name| (Some(name.clone()), Uuid::nil()));
            let by_either = request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
            let refused =
                |(name, id)| DeletableTopicResult::default().with_name(name).with_topic_id(id).with_error_code(code);
            DeleteTopicsResponse::default().with_responses(by_name.chain(by_either).map(refused).collect()).into()
        }
        RequestKind::CreatePartitions(request) => {
            let refused = |name| CreatePartitionsTopicResult::default().with_name(name).with_error_code(code);
            let topics = request.topics.iter().map(|topic| refused(topic.name.clone())).collect();
            CreatePartitionsResponse::default().with_results(topics).into()
        }
        RequestKind::IncrementalAlterConfigs(request) => {
            let refused = |resource: &AlterConfigsResource| {
                AlterConfigsResourceResponse::default()
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
                    .with_error_code(code)
            };
            let resources = request.resources.iter().map(refused).collect();
            IncrementalAlterConfigsResponse::default().with_responses(resources).into()
        }
        RequestKind::AlterPartitionReassignments(_) => {
            AlterPartitionReassignmentsResponse::default().with_error_code(code).into()
        }
        RequestKind::AllocateProducerIds(_) => AllocateProducerIdsResponse::default().with_error_code(code).into(),
        RequestKind::ListPartitionReassignments(_) => {
            ListPartitionReassignmentsResponse::default().with_error_code(code).into()
        }
        RequestKind::AddRaftVoter(_) => AddRaftVoterResponse::default().with_error_code(code).into(),
        RequestKind::RemoveRaftVoter(_) => RemoveRaftVoterResponse::default().with_error_code(code).into(),
        _ => return None,
    })
}

/// Version 0 has no error for the whole request, so each partition carries it. Source: `ElectLeadersRequest.getErrorResponse`.
fn elect_leaders_error(request: &ElectLeadersRequest, version: i16, code: i16) -> ElectLeadersResponse {
    let refused = |index: &i32| PartitionResult::default().with_partition_id(*index).with_error_code(code);
    let topics = request.topic_partitions.iter().flatten().map(|topic| {
        ReplicaElectionResult::default()
            .with_topic(topic.topic.clone())
            .with_partition_result(topic.partitions.iter().map(refused).collect())
    });
    ElectLeadersResponse::default()
        .with_error_code(if version == 0 { 0 } else { code })
        .with_replica_election_results(topics.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_version_of_api_versions_is_told_what_there_is() {
        assert_eq!(api_versions(9).error_code, 35);
        assert_eq!(api_versions(9).api_keys.len(), SERVED.len());
        assert_eq!(api_versions(4).error_code, 0);
    }
}
