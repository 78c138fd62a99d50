//! Metadata records, as Kafka writes them into the metadata log.
//!
//! Encoding: value of a record = frame version (unsigned varint, 1), api key (unsigned varint), record version
//! (unsigned varint), then the flexible-version message. Source: `metadata/src/main/resources/common/metadata/*.json`
//! and `AbstractApiMessageSerde` in apache/kafka.

use uuid::Uuid;

use crate::ids::{BrokerId, Topic};

/// A change of a partition; absent fields stay as they are. Source: `PartitionChangeRecord`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionChange {
    /// The topic.
    pub topic_id: Uuid,
    /// The partition's index.
    pub partition: i32,
    /// The new in-sync replicas.
    pub isr: Option<Vec<BrokerId>>,
    /// The new leader, -1 for none. Setting it, even to the same id, raises the leader epoch.
    pub leader: Option<BrokerId>,
    /// The new replicas.
    pub replicas: Option<Vec<BrokerId>>,
    /// 1 while the leader recovers from an unclean election (KIP-704), 0 afterwards.
    pub leader_recovery_state: Option<i8>,
    /// Eligible leader replicas (KIP-966).
    pub eligible_leader_replicas: Option<Vec<BrokerId>>,
    /// Last known eligible leader replicas (KIP-966).
    pub last_known_elr: Option<Vec<BrokerId>>,
    /// Replicas that a reassignment takes away (KIP-455).
    pub removing_replicas: Option<Vec<BrokerId>>,
    /// Replicas that a reassignment brings (KIP-455).
    pub adding_replicas: Option<Vec<BrokerId>>,
}

impl PartitionChange {
    /// Does it change which brokers have replicas, or which are to?
    pub fn assigns(&self) -> bool {
        self.replicas.is_some() || self.removing_replicas.is_some() || self.adding_replicas.is_some()
    }
}

/// A change of a broker's registration; absent fields stay. Source: `BrokerRegistrationChangeRecord`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistrationChange {
    /// The broker.
    pub broker: BrokerId,
    /// Its broker epoch.
    pub broker_epoch: i64,
    /// Fence (true) or unfence (false).
    pub fenced: Option<bool>,
    /// Enter controlled shutdown.
    pub in_controlled_shutdown: Option<bool>,
}

/// One record of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // fields as in Kafka's schema
pub enum MetadataRecord {
    /// `RegisterBrokerRecord` (api key 0). The broker epoch is the offset of this record.
    RegisterBroker {
        broker: BrokerId,
        incarnation: Uuid,
        broker_epoch: i64,
        host: String,
        port: u16,
        rack: Option<String>,
        fenced: bool,
        in_controlled_shutdown: bool,
    },
    /// `UnregisterBrokerRecord` (1).
    UnregisterBroker { broker: BrokerId, broker_epoch: i64 },
    /// `TopicRecord` (2).
    Topic { name: Topic, topic_id: Uuid },
    /// `PartitionRecord` (3).
    Partition {
        topic_id: Uuid,
        partition: i32,
        replicas: Vec<BrokerId>,
        isr: Vec<BrokerId>,
        removing_replicas: Vec<BrokerId>,
        adding_replicas: Vec<BrokerId>,
        leader: BrokerId,
        leader_epoch: i32,
        partition_epoch: i32,
        /// As in [`PartitionChange`]; 0 but in snapshots.
        leader_recovery_state: i8,
        /// Empty but in snapshots.
        eligible_leader_replicas: Vec<BrokerId>,
        /// Empty but in snapshots.
        last_known_elr: Vec<BrokerId>,
    },
    /// `ConfigRecord` (4).
    Config { resource_type: i8, resource_name: String, name: String, value: Option<String> },
    /// `PartitionChangeRecord` (5).
    PartitionChange(PartitionChange),
    /// `RemoveTopicRecord` (9).
    RemoveTopic { topic_id: Uuid },
    /// `FeatureLevelRecord` (12).
    FeatureLevel { name: String, level: i16 },
    /// `ProducerIdsRecord` (15): every producer id below the next one has been given to some broker, and these to this.
    ProducerIds { broker: BrokerId, broker_epoch: i64, next_producer_id: i64 },
    /// `BrokerRegistrationChangeRecord` (17).
    BrokerRegistrationChange(BrokerRegistrationChange),
    /// `NoOpRecord` (20).
    NoOp,
    /// `ClearElrRecord` (28): no partition of the topic (`None`: of any topic) has eligible leaders any more.
    ClearElr { topic: Option<Topic> },
}

/// Why a record's bytes are not a metadata record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end too early.
    #[error("metadata record ends too early")]
    Truncated,
    /// A frame, key or version this code does not speak.
    #[error("metadata record of unknown kind: frame {frame}, api key {api_key}, version {version}")]
    Unknown {
        /// Frame version.
        frame: u32,
        /// Api key.
        api_key: u32,
        /// Record version.
        version: u32,
    },
    /// A field holds an impossible value.
    #[error("metadata record holds an impossible {0}")]
    Malformed(&'static str),
}
