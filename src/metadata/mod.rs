//! The cluster's metadata: the records of the metadata log and the image that replaying them gives.
//!
//! Controller and brokers replay the same records with the same function ([`MetadataImage::apply`]), each in its own
//! time. Sources: KIP-500, KIP-631, classes `MetadataImage`, `PartitionRegistration`, `BrokerRegistration`.

pub(crate) mod codec;
mod effective;
mod image;
mod record;
pub mod snapshot;
pub mod uuid_text;
pub mod voters_record;

pub use effective::{ConfigSource, Effective, EffectiveTopicConfig, parse_config};
pub use image::{
    ALL_BROKERS, BROKER_RESOURCE, BrokerRegistration, MetadataImage, PartitionRegistration, TOPIC_RESOURCE, TopicImage,
};
pub use record::{BrokerRegistrationChange, MetadataRecord, PartitionChange, RecordError};

/// The metadata log's topic name.
pub const METADATA_TOPIC: &str = "__cluster_metadata";
/// The metadata log's topic id (`Topic.METADATA_TOPIC_ID`): the uuid 0…01.
pub const METADATA_TOPIC_ID: uuid::Uuid = uuid::Uuid::from_u128(1);
