//! Requests and responses are Kafka's own, from the kafka-protocol crate; here stands which versions we speak.

pub mod errors;

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
    /// ListOffsets: 10 has a time-out for lookups in remote storage (KIP-1075).
    pub const LIST_OFFSETS: i16 = 10;
    /// Metadata: 13 has a top-level error code (KIP-1102).
    pub const METADATA: i16 = 13;
    /// CreateTopics: 7 answers topic ids.
    pub const CREATE_TOPICS: i16 = 7;
    /// OffsetForLeaderEpoch (KIP-101, KIP-320).
    pub const OFFSET_FOR_LEADER_EPOCH: i16 = 4;
    /// ApiVersions.
    pub const API_VERSIONS: i16 = 4;
    /// AlterPartition: 3 carries the broker epochs of the new in-sync replicas (KIP-903).
    pub const ALTER_PARTITION: i16 = 3;
    /// BrokerRegistration: 3 carries the previous broker epoch, by which a clean shutdown is told (KIP-966).
    pub const BROKER_REGISTRATION: i16 = 4;
    /// BrokerHeartbeat.
    pub const BROKER_HEARTBEAT: i16 = 1;
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

/// What a broker offers to clients in ApiVersions.
pub const BROKER_APIS: &[OfferedApi] = {
    use kafka_protocol::messages::ApiKey;
    &[
        offered(ApiKey::Produce, 3, 13),
        offered(ApiKey::Fetch, 4, 17),
        offered(ApiKey::ListOffsets, 1, 10),
        offered(ApiKey::Metadata, 0, 13),
        offered(ApiKey::ApiVersions, 0, 4),
        offered(ApiKey::CreateTopics, 2, 7),
        offered(ApiKey::DeleteTopics, 1, 6),
        offered(ApiKey::ElectLeaders, 0, 2),
    ]
};
