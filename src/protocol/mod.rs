//! Requests and responses are Kafka's own, from the kafka-protocol crate; here stands which versions we speak,
//! and what errors are called.

pub mod errors;

use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;

use crate::ids::Topic;

pub use errors::error_name;

/// A topic's name as messages carry it.
pub fn topic_name(topic: &Topic) -> TopicName {
    TopicName(StrBytes::from_string(topic.as_str().to_string()))
}

/// Longest topic name, so that the directory of a partition has a legal name too (`Topic.MAX_NAME_LENGTH`).
const MAX_TOPIC_NAME_LENGTH: usize = 249;

/// May a topic be called that (`Topic.validate`)?
pub fn is_valid_topic_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= MAX_TOPIC_NAME_LENGTH && name != "." && name != ".." && name.chars().all(legal)
}

/// Is it a topic of the brokers' own (`Topic.isInternal`)? There are no other internal topics here: no transactions, no
/// share groups.
pub fn is_internal_topic(name: &str) -> bool {
    name == crate::group::partition_for::OFFSETS_TOPIC
}

/// The versions that our own nodes use when they call each other.
///
/// Our clients and brokers skip the ApiVersions handshake among themselves: they were built together. Foreign clients
/// negotiate, within the ranges that a broker offers. Each constant is the highest version that is stable in Kafka 4.1
/// and in the kafka-protocol crate, unless its comment says why it is lower.
pub mod versions {
    /// Produce: 12, the last version that names topics. 13 uses topic ids (KIP-516).
    pub const PRODUCE: i16 = 12;
    /// Fetch, by clients and followers: topic ids (13), replica state (15), node endpoints (16), directory ids (17).
    pub const FETCH: i16 = 17;
    /// FetchSnapshot: 1 has the replica's directory id (KIP-853).
    pub const FETCH_SNAPSHOT: i16 = 1;
    /// ListOffsets: 10 has a time-out for lookups in remote storage (KIP-1075).
    pub const LIST_OFFSETS: i16 = 10;
    /// DeleteRecords (KIP-107).
    pub const DELETE_RECORDS: i16 = 2;
    /// Metadata: 13 has a top-level error code (KIP-1102).
    pub const METADATA: i16 = 13;
    /// CreateTopics: 7 answers topic ids.
    pub const CREATE_TOPICS: i16 = 7;
    /// DeleteTopics: 6 names topics by id too (KIP-516).
    pub const DELETE_TOPICS: i16 = 6;
    /// CreatePartitions.
    pub const CREATE_PARTITIONS: i16 = 3;
    /// IncrementalAlterConfigs (KIP-339).
    pub const INCREMENTAL_ALTER_CONFIGS: i16 = 1;
    /// ElectLeaders: 1 has the kind of election (KIP-460), 2 is flexible.
    pub const ELECT_LEADERS: i16 = 2;
    /// AlterPartitionReassignments: 1 may forbid another replication factor (KIP-860).
    pub const ALTER_PARTITION_REASSIGNMENTS: i16 = 1;
    /// OffsetForLeaderEpoch (KIP-101, KIP-320).
    pub const OFFSET_FOR_LEADER_EPOCH: i16 = 4;
    /// ApiVersions.
    pub const API_VERSIONS: i16 = 4;
    /// AlterPartition: 3 carries the broker epochs of the new in-sync replicas (KIP-903).
    pub const ALTER_PARTITION: i16 = 3;
    /// BrokerRegistration: 3 carries the previous broker epoch, by which a clean shutdown is told (KIP-966).
    pub const BROKER_REGISTRATION: i16 = 4;
    /// AllocateProducerIds (KIP-730).
    pub const ALLOCATE_PRODUCER_IDS: i16 = 0;
    /// BrokerHeartbeat.
    pub const BROKER_HEARTBEAT: i16 = 1;
    /// InitProducerId: 5 knows TRANSACTION_ABORTABLE (KIP-890); 6 is for two-phase commits and not stable (KIP-939).
    pub const INIT_PRODUCER_ID: i16 = 5;
    /// Vote: 2 has pre-votes (KIP-996) and, since 1, directory ids (KIP-853).
    pub const VOTE: i16 = 2;
    /// BeginQuorumEpoch: 1 has directory ids and endpoints (KIP-853).
    pub const BEGIN_QUORUM_EPOCH: i16 = 1;
    /// EndQuorumEpoch: 1 has directory ids and endpoints (KIP-853).
    pub const END_QUORUM_EPOCH: i16 = 1;
    /// AddRaftVoter (KIP-853). 1, which may be answered before the commit, the kafka-protocol crate does not have.
    pub const ADD_RAFT_VOTER: i16 = 0;
    /// RemoveRaftVoter (KIP-853).
    pub const REMOVE_RAFT_VOTER: i16 = 0;
    /// UpdateRaftVoter (KIP-853).
    pub const UPDATE_RAFT_VOTER: i16 = 0;
    /// FindCoordinator: 4 asks for many (KIP-699), 6 knows share groups (KIP-932).
    pub const FIND_COORDINATOR: i16 = 6;
    /// JoinGroup: 9 may tell the leader to leave the assignment as it is (KIP-814).
    pub const JOIN_GROUP: i16 = 9;
    /// SyncGroup: 5 names the protocol (KIP-559).
    pub const SYNC_GROUP: i16 = 5;
    /// Heartbeat of the classic protocol.
    pub const HEARTBEAT: i16 = 4;
    /// LeaveGroup: 5 says why (KIP-800).
    pub const LEAVE_GROUP: i16 = 5;
    /// ConsumerGroupHeartbeat: 1 has regular expressions and member ids that clients make (KIP-848, KIP-1082).
    pub const CONSUMER_GROUP_HEARTBEAT: i16 = 1;
    /// OffsetCommit: 9 knows member epochs (KIP-848). 10, which names topics by id, the kafka-protocol crate does not have.
    pub const OFFSET_COMMIT: i16 = 9;
    /// OffsetFetch: 8 asks for many groups (KIP-709), 9 knows member epochs. 10 as with OffsetCommit.
    pub const OFFSET_FETCH: i16 = 9;
    /// OffsetDelete (KIP-496).
    pub const OFFSET_DELETE: i16 = 0;
    /// DeleteGroups (KIP-229).
    pub const DELETE_GROUPS: i16 = 2;
}

/// An API and the versions of it that a broker answers.
#[derive(Clone, Copy, Debug)]
pub struct OfferedApi {
    /// The API.
    pub key: kafka_protocol::messages::ApiKey,
    /// Lowest version.
    pub min: i16,
    /// Highest version.
    pub max: i16,
}

const fn offered(key: kafka_protocol::messages::ApiKey, min: i16, max: i16) -> OfferedApi {
    OfferedApi { key, min, max }
}

/// What a broker offers to clients in ApiVersions, and answers: an API that is offered and then hung up on makes clients
/// reconnect for ever.
pub const BROKER_APIS: &[OfferedApi] = {
    use kafka_protocol::messages::ApiKey;
    &[
        offered(ApiKey::Produce, 3, 13),
        offered(ApiKey::Fetch, 4, 17),
        offered(ApiKey::ListOffsets, 1, 10),
        offered(ApiKey::OffsetForLeaderEpoch, 2, 4),
        offered(ApiKey::Metadata, 0, 13),
        offered(ApiKey::ApiVersions, 0, 4),
        offered(ApiKey::CreateTopics, 2, 7),
        offered(ApiKey::DeleteTopics, 1, 6),
        offered(ApiKey::DeleteRecords, 0, 2),
        offered(ApiKey::DescribeConfigs, 1, 4),
        offered(ApiKey::CreatePartitions, 0, 3),
        offered(ApiKey::ElectLeaders, 0, 2),
        offered(ApiKey::IncrementalAlterConfigs, 0, 1),
        offered(ApiKey::AlterPartitionReassignments, 0, 1),
        offered(ApiKey::ListPartitionReassignments, 0, 0),
        offered(ApiKey::DescribeQuorum, 0, 2),
        offered(ApiKey::InitProducerId, 0, 5),
        offered(ApiKey::AddRaftVoter, 0, 0),
        offered(ApiKey::RemoveRaftVoter, 0, 0),
        offered(ApiKey::FindCoordinator, 0, 6),
        offered(ApiKey::JoinGroup, 0, 9),
        offered(ApiKey::SyncGroup, 0, 5),
        offered(ApiKey::Heartbeat, 0, 4),
        offered(ApiKey::LeaveGroup, 0, 5),
        offered(ApiKey::OffsetCommit, 2, 9),
        offered(ApiKey::OffsetFetch, 1, 9),
        offered(ApiKey::OffsetDelete, 0, 0),
        offered(ApiKey::DeleteGroups, 0, 2),
        offered(ApiKey::DescribeGroups, 0, 6),
        offered(ApiKey::ListGroups, 0, 5),
        offered(ApiKey::ConsumerGroupHeartbeat, 0, 1),
        offered(ApiKey::ConsumerGroupDescribe, 0, 1),
    ]
};

/// The API of a request. `None` for kinds that no node of ours sends.
pub fn api_key_of(message: &kafka_protocol::messages::RequestKind) -> Option<kafka_protocol::messages::ApiKey> {
    use kafka_protocol::messages::{ApiKey, RequestKind};
    Some(match message {
        RequestKind::Produce(_) => ApiKey::Produce,
        RequestKind::Fetch(_) => ApiKey::Fetch,
        RequestKind::FetchSnapshot(_) => ApiKey::FetchSnapshot,
        RequestKind::ListOffsets(_) => ApiKey::ListOffsets,
        RequestKind::Metadata(_) => ApiKey::Metadata,
        RequestKind::ApiVersions(_) => ApiKey::ApiVersions,
        RequestKind::CreateTopics(_) => ApiKey::CreateTopics,
        RequestKind::DeleteTopics(_) => ApiKey::DeleteTopics,
        RequestKind::DeleteRecords(_) => ApiKey::DeleteRecords,
        RequestKind::ElectLeaders(_) => ApiKey::ElectLeaders,
        RequestKind::DescribeConfigs(_) => ApiKey::DescribeConfigs,
        RequestKind::CreatePartitions(_) => ApiKey::CreatePartitions,
        RequestKind::IncrementalAlterConfigs(_) => ApiKey::IncrementalAlterConfigs,
        RequestKind::AlterPartitionReassignments(_) => ApiKey::AlterPartitionReassignments,
        RequestKind::ListPartitionReassignments(_) => ApiKey::ListPartitionReassignments,
        RequestKind::BrokerRegistration(_) => ApiKey::BrokerRegistration,
        RequestKind::BrokerHeartbeat(_) => ApiKey::BrokerHeartbeat,
        RequestKind::AlterPartition(_) => ApiKey::AlterPartition,
        RequestKind::OffsetForLeaderEpoch(_) => ApiKey::OffsetForLeaderEpoch,
        RequestKind::AllocateProducerIds(_) => ApiKey::AllocateProducerIds,
        RequestKind::DescribeQuorum(_) => ApiKey::DescribeQuorum,
        RequestKind::Vote(_) => ApiKey::Vote,
        RequestKind::BeginQuorumEpoch(_) => ApiKey::BeginQuorumEpoch,
        RequestKind::EndQuorumEpoch(_) => ApiKey::EndQuorumEpoch,
        RequestKind::AddRaftVoter(_) => ApiKey::AddRaftVoter,
        RequestKind::RemoveRaftVoter(_) => ApiKey::RemoveRaftVoter,
        RequestKind::UpdateRaftVoter(_) => ApiKey::UpdateRaftVoter,
        RequestKind::DescribeCluster(_) => ApiKey::DescribeCluster,
        RequestKind::InitProducerId(_) => ApiKey::InitProducerId,
        RequestKind::FindCoordinator(_) => ApiKey::FindCoordinator,
        RequestKind::JoinGroup(_) => ApiKey::JoinGroup,
        RequestKind::SyncGroup(_) => ApiKey::SyncGroup,
        RequestKind::Heartbeat(_) => ApiKey::Heartbeat,
        RequestKind::LeaveGroup(_) => ApiKey::LeaveGroup,
        RequestKind::OffsetCommit(_) => ApiKey::OffsetCommit,
        RequestKind::OffsetFetch(_) => ApiKey::OffsetFetch,
        RequestKind::OffsetDelete(_) => ApiKey::OffsetDelete,
        RequestKind::DeleteGroups(_) => ApiKey::DeleteGroups,
        RequestKind::DescribeGroups(_) => ApiKey::DescribeGroups,
        RequestKind::ListGroups(_) => ApiKey::ListGroups,
        RequestKind::ConsumerGroupHeartbeat(_) => ApiKey::ConsumerGroupHeartbeat,
        RequestKind::ConsumerGroupDescribe(_) => ApiKey::ConsumerGroupDescribe,
        _ => return None,
    })
}

/// The API of a response. `None` for kinds that no node of ours sends.
pub fn api_key_of_response(
    message: &kafka_protocol::messages::ResponseKind,
) -> Option<kafka_protocol::messages::ApiKey> {
    use kafka_protocol::messages::{ApiKey, ResponseKind};
    Some(match message {
        ResponseKind::Produce(_) => ApiKey::Produce,
        ResponseKind::Fetch(_) => ApiKey::Fetch,
        ResponseKind::FetchSnapshot(_) => ApiKey::FetchSnapshot,
        ResponseKind::ListOffsets(_) => ApiKey::ListOffsets,
        ResponseKind::Metadata(_) => ApiKey::Metadata,
        ResponseKind::ApiVersions(_) => ApiKey::ApiVersions,
        ResponseKind::CreateTopics(_) => ApiKey::CreateTopics,
        ResponseKind::DeleteTopics(_) => ApiKey::DeleteTopics,
        ResponseKind::DeleteRecords(_) => ApiKey::DeleteRecords,
        ResponseKind::ElectLeaders(_) => ApiKey::ElectLeaders,
        ResponseKind::DescribeConfigs(_) => ApiKey::DescribeConfigs,
        ResponseKind::CreatePartitions(_) => ApiKey::CreatePartitions,
        ResponseKind::IncrementalAlterConfigs(_) => ApiKey::IncrementalAlterConfigs,
        ResponseKind::AlterPartitionReassignments(_) => ApiKey::AlterPartitionReassignments,
        ResponseKind::ListPartitionReassignments(_) => ApiKey::ListPartitionReassignments,
        ResponseKind::BrokerRegistration(_) => ApiKey::BrokerRegistration,
        ResponseKind::BrokerHeartbeat(_) => ApiKey::BrokerHeartbeat,
        ResponseKind::AlterPartition(_) => ApiKey::AlterPartition,
        ResponseKind::OffsetForLeaderEpoch(_) => ApiKey::OffsetForLeaderEpoch,
        ResponseKind::AllocateProducerIds(_) => ApiKey::AllocateProducerIds,
        ResponseKind::DescribeQuorum(_) => ApiKey::DescribeQuorum,
        ResponseKind::Vote(_) => ApiKey::Vote,
        ResponseKind::BeginQuorumEpoch(_) => ApiKey::BeginQuorumEpoch,
        ResponseKind::EndQuorumEpoch(_) => ApiKey::EndQuorumEpoch,
        ResponseKind::AddRaftVoter(_) => ApiKey::AddRaftVoter,
        ResponseKind::RemoveRaftVoter(_) => ApiKey::RemoveRaftVoter,
        ResponseKind::UpdateRaftVoter(_) => ApiKey::UpdateRaftVoter,
        ResponseKind::DescribeCluster(_) => ApiKey::DescribeCluster,
        ResponseKind::InitProducerId(_) => ApiKey::InitProducerId,
        ResponseKind::FindCoordinator(_) => ApiKey::FindCoordinator,
        ResponseKind::JoinGroup(_) => ApiKey::JoinGroup,
        ResponseKind::SyncGroup(_) => ApiKey::SyncGroup,
        ResponseKind::Heartbeat(_) => ApiKey::Heartbeat,
        ResponseKind::LeaveGroup(_) => ApiKey::LeaveGroup,
        ResponseKind::OffsetCommit(_) => ApiKey::OffsetCommit,
        ResponseKind::OffsetFetch(_) => ApiKey::OffsetFetch,
        ResponseKind::OffsetDelete(_) => ApiKey::OffsetDelete,
        ResponseKind::DeleteGroups(_) => ApiKey::DeleteGroups,
        ResponseKind::DescribeGroups(_) => ApiKey::DescribeGroups,
        ResponseKind::ListGroups(_) => ApiKey::ListGroups,
        ResponseKind::ConsumerGroupHeartbeat(_) => ApiKey::ConsumerGroupHeartbeat,
        ResponseKind::ConsumerGroupDescribe(_) => ApiKey::ConsumerGroupDescribe,
        _ => return None,
    })
}
