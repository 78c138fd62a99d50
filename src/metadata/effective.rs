//! Which value of a configuration holds, and whence it comes.
//!
//! ```text
//!   topic's own ─▶ dynamic, of the broker ─▶ dynamic, of all brokers ─▶ static (server.properties) ─▶ default
//! ```
//!
//! The first that has a value wins. A topic key has a name of its own on brokers (`flush.messages` there is
//! `log.flush.interval.messages`). Brokers and controllers look up with the same function. Sources: KIP-226,
//! `KafkaConfigSchema.resolveEffectiveTopicConfig`, `DynamicBrokerConfig`, `ServerTopicConfigSynonyms`.

use super::image::{ALL_BROKERS, MetadataImage, TopicImage};
use crate::config::{
    BrokerCompression, BrokerConfig, ConfigKey, ConfigValue, ThrottledReplicas, TimestampType, TopicConfig, ValueKind,
};

/// Whence a value comes. The numbers are those of DescribeConfigs (`DescribeConfigsResponse.ConfigSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// The topic's own.
    Topic = 1,
    /// Set at run time for this broker.
    DynamicBroker = 2,
    /// Set at run time for all brokers.
    DynamicDefaultBroker = 3,
    /// Given at the start.
    StaticBroker = 4,
    /// Given by nobody.
    Default = 5,
}

/// A value that holds, and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// As text, as DescribeConfigs tells it.
    pub value: String,
    /// Whence.
    pub source: ConfigSource,
}

/// What a topic's configuration amounts to on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveTopicConfig {
    /// `min.insync.replicas`, not yet limited by the number of replicas.
    pub min_insync_replicas: i64,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election_enable: bool,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `retention.ms`, negative: unlimited.
    pub retention_ms: i64,
    /// `retention.bytes`, negative: unlimited.
    pub retention_bytes: i64,
    /// `segment.bytes`.
    pub segment_bytes: i64,
    /// `leader.replication.throttled.replicas`, perhaps empty.
    pub leader_throttled_replicas: String,
    /// `follower.replication.throttled.replicas`, perhaps empty.
    pub follower_throttled_replicas: String,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `log.index.interval.bytes`: no topic key in this model.
    pub index_interval_bytes: i64,
    /// `max.message.bytes`.
    pub max_message_bytes: i64,
    /// `compression.type`.
    pub compression_type: BrokerCompression,
    /// `compression.gzip.level`, -1: the codec's own.
    pub compression_gzip_level: i64,
    /// `message.timestamp.type`.
    pub message_timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub message_timestamp_after_max_ms: i64,
    /// `producer.id.expiration.ms`: a broker key only.
    pub producer_id_expiration_ms: i64,
}

/// A configuration's text as a value of that kind; `None` if it is none.
pub fn parse_config(kind: ValueKind, text: &str) -> Option<ConfigValue> {
    match kind {
        ValueKind::Int | ValueKind::Millis => text.trim().parse().ok().map(ConfigValue::Int),
        ValueKind::Bool => match text.trim() {
            word if word.eq_ignore_ascii_case("true") => Some(ConfigValue::Bool(true)),
            word if word.eq_ignore_ascii_case("false") => Some(ConfigValue::Bool(false)),
            _ => None,
        },
        ValueKind::Text => Some(ConfigValue::Text(text.to_string())),
    }
}

fn text_of(value: &ConfigValue) -> String {
    match value {
        ConfigValue::Int(number) => number.to_string(),
        ConfigValue::Bool(yes) => yes.to_string(),
        ConfigValue::Text(text) => text.clone(),
    }
}

/// The broker key that is the default of a topic key. Source: `ServerTopicConfigSynonyms`.
fn broker_synonym(topic_key: &'static str) -> &'static str {
    match topic_key {
        "flush.messages" => "log.flush.interval.messages",
        "segment.bytes" => "log.segment.bytes",
        "segment.ms" => "log.roll.ms",
        "segment.jitter.ms" => "log.roll.jitter.ms",
        "retention.ms" => "log.retention.ms",
        "retention.bytes" => "log.retention.bytes",
        "max.message.bytes" => "message.max.bytes",
        "message.timestamp.type" => "log.message.timestamp.type",
        "message.timestamp.before.max.ms" => "log.message.timestamp.before.max.ms",
        "message.timestamp.after.max.ms" => "log.message.timestamp.after.max.ms",
        same => same,
    }
}

fn throttled(replicas: Option<ThrottledReplicas>) -> String {
    replicas.map_or_else(String::new, |ThrottledReplicas(list)| list)
}

impl MetadataImage {
    /// The value of a broker key on that node.
    pub fn effective_broker_config(&self, node: i32, given: &BrokerConfig, key: &ConfigKey) -> Effective {
        let dynamic = |resource: &str| self.broker_configs.get(resource).and_then(|configs| configs.get(key.name));
        if let Some(value) = dynamic(&node.to_string()) {
            return Effective { value: value.clone(), source: ConfigSource::DynamicBroker };
        }
        if let Some(value) = dynamic(ALL_BROKERS) {
            return Effective { value: value.clone(), source: ConfigSource::DynamicDefaultBroker };
        }
        let value = given.get(key.name);
        let is_default = value == BrokerConfig::default().get(key.name);
        let source = if is_default { ConfigSource::Default } else { ConfigSource::StaticBroker };
        Effective { value: value.as_ref().map_or_else(String::new, text_of), source }
    }

    /// The value of a topic key on that node.
    pub fn effective_topic_config(
        &self,
        node: i32,
        given: &BrokerConfig,
        topic: &TopicImage,
        key: &ConfigKey,
    ) -> Effective {
        if let Some(value) = topic.configs.get(key.name) {
            return Effective { value: value.clone(), source: ConfigSource::Topic };
        }
        let synonym = broker_synonym(key.name);
        match BrokerConfig::KEYS.iter().find(|key| key.name == synonym) {
            Some(key) => self.effective_broker_config(node, given, key),
            None => Effective { value: String::new(), source: ConfigSource::Default },
        }
    }

    /// The node's configuration with what was set at run time laid over it.
    pub fn effective_config_of_node(&self, node: i32, given: &BrokerConfig) -> BrokerConfig {
        let mut config = given.clone();
        for resource in [ALL_BROKERS.to_string(), node.to_string()] {
            for (name, value) in self.broker_configs.get(&resource).into_iter().flatten() {
                let kind = BrokerConfig::KEYS.iter().find(|key| key.name == name).map(|key| key.kind);
                if let Some(value) = kind.and_then(|kind| parse_config(kind, value)) {
                    // Values that do not fit were refused by the controller; Kafka too passes over one it cannot read.
                    let _ = config.set(name, &value);
                }
            }
        }
        config
    }

    /// A topic's configuration on that node, all keys at once.
    pub fn effective_config_of_topic(
        &self,
        node: i32,
        given: &BrokerConfig,
        topic: &TopicImage,
    ) -> EffectiveTopicConfig {
        let mut own = TopicConfig::default();
        for (name, value) in &topic.configs {
            let kind = TopicConfig::KEYS.iter().find(|key| key.name == name).map(|key| key.kind);
            if let Some(value) = kind.and_then(|kind| parse_config(kind, value)) {
                let _ = own.set(name, &value);
            }
        }
        let broker = self.effective_config_of_node(node, given);
        EffectiveTopicConfig {
            producer_id_expiration_ms: broker.producer_id_expiration_ms,
            min_insync_replicas: own.min_insync_replicas.unwrap_or(broker.min_insync_replicas),
            unclean_leader_election_enable: own
                .unclean_leader_election_enable
                .unwrap_or(broker.unclean_leader_election_enable),
            flush_messages: own.flush_messages.unwrap_or(broker.log_flush_interval_messages),
            retention_ms: own.retention_ms.unwrap_or(broker.log_retention_ms),
            retention_bytes: own.retention_bytes.unwrap_or(broker.log_retention_bytes),
            segment_bytes: own.segment_bytes.unwrap_or(broker.log_segment_bytes),
            leader_throttled_replicas: throttled(own.leader_replication_throttled_replicas),
            follower_throttled_replicas: throttled(own.follower_replication_throttled_replicas),
            segment_ms: own.segment_ms.unwrap_or(broker.log_roll_ms),
            segment_jitter_ms: own.segment_jitter_ms.unwrap_or(broker.log_roll_jitter_ms),
            index_interval_bytes: broker.log_index_interval_bytes,
            max_message_bytes: own.max_message_bytes.unwrap_or(broker.message_max_bytes),
            compression_type: own.compression_type.unwrap_or(broker.compression_type),
            compression_gzip_level: own.compression_gzip_level.unwrap_or(broker.compression_gzip_level),
            message_timestamp_type: own.message_timestamp_type.unwrap_or(broker.log_message_timestamp_type),
            message_timestamp_before_max_ms: own
                .message_timestamp_before_max_ms
                .unwrap_or(broker.log_message_timestamp_before_max_ms),
            message_timestamp_after_max_ms: own
                .message_timestamp_after_max_ms
                .unwrap_or(broker.log_message_timestamp_after_max_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Topic;
    use crate::metadata::{BROKER_RESOURCE, MetadataRecord, TOPIC_RESOURCE};
    use uuid::Uuid;

    const MIN_ISR: &str = "min.insync.replicas";

    fn config(resource_type: i8, resource: &str, value: Option<&str>) -> MetadataRecord {
        MetadataRecord::Config {
            resource_type,
            resource_name: resource.to_string(),
            name: MIN_ISR.to_string(),
            value: value.map(str::to_string),
        }
    }

    #[test]
    fn the_nearest_value_holds_and_the_next_one_when_it_is_gone() {
        let given = BrokerConfig { min_insync_replicas: 2, ..BrokerConfig::default() };
        let key = TopicConfig::KEYS.iter().find(|key| key.name == MIN_ISR).expect("modelled");
        let mut image = MetadataImage::default();
        let mut now = |record| {
            image.apply(image.next_offset, &record);
            image.topic("orders").map(|topic| {
                let effective = image.effective_topic_config(1, &given, topic, key);
                let typed = image.effective_config_of_topic(1, &given, topic).min_insync_replicas;
                assert_eq!(effective.value, typed.to_string());
                (typed, effective.source)
            })
        };
        let topic = MetadataRecord::Topic { name: Topic::new("orders"), topic_id: Uuid::from_u128(7) };
        assert_eq!(now(topic), Some((2, ConfigSource::StaticBroker)));
        assert_eq!(now(config(BROKER_RESOURCE, "", Some("3"))), Some((3, ConfigSource::DynamicDefaultBroker)));
        assert_eq!(now(config(BROKER_RESOURCE, "1", Some("4"))), Some((4, ConfigSource::DynamicBroker)));
        assert_eq!(now(config(BROKER_RESOURCE, "2", Some("9"))), Some((4, ConfigSource::DynamicBroker)));
        assert_eq!(now(config(TOPIC_RESOURCE, "orders", Some("5"))), Some((5, ConfigSource::Topic)));
        assert_eq!(now(config(TOPIC_RESOURCE, "orders", None)), Some((4, ConfigSource::DynamicBroker)));
        assert_eq!(now(config(BROKER_RESOURCE, "1", None)), Some((3, ConfigSource::DynamicDefaultBroker)));
        assert_eq!(now(config(BROKER_RESOURCE, "", None)), Some((2, ConfigSource::StaticBroker)));
    }

    #[test]
    fn a_topics_configs_go_with_it() {
        let mut image = MetadataImage::default();
        let create = |id| MetadataRecord::Topic { name: Topic::new("orders"), topic_id: Uuid::from_u128(id) };
        let records = [
            create(7),
            config(TOPIC_RESOURCE, "orders", Some("2")),
            MetadataRecord::RemoveTopic { topic_id: Uuid::from_u128(7) },
            create(8),
        ];
        for record in &records {
            image.apply(image.next_offset, record);
        }
        assert_eq!(image.topic("orders").expect("there").configs.len(), 0);
        assert_eq!(image.topic("orders").expect("there").topic_id, Uuid::from_u128(8));
    }
}
