//! Which configurations may be set, and to what. Sources: `ControllerConfigurationValidator`, `LogConfig`,
//! `DynamicBrokerConfig`, `ConfigAdminManager`.

use kafka_protocol::ResponseError;

use super::create_topics::{ApiError, refuse};
use crate::config::{BrokerConfig, ConfigKey, ConfigValue, DYNAMIC_BROKER_KEYS, NOT_MODELLED, TopicConfig};
use crate::metadata::parse_config;

/// A topic's key and its value: known, modelled, of the right type and possible; else INVALID_CONFIG.
/// Source: `LogConfig.validate`.
pub fn validate_topic_config(name: &str, value: &str) -> Result<(), ApiError> {
    let error = ResponseError::InvalidConfig;
    let key = known_key(TopicConfig::KEYS, "Topic config", name, error)?;
    validate_value(key, value, error, |parsed| TopicConfig::default().set(name, parsed).map_err(|e| e.to_string()))
}

/// A topic's key alone, as a deletion names it.
pub fn validate_topic_key(name: &str) -> Result<(), ApiError> {
    known_key(TopicConfig::KEYS, "Topic config", name, ResponseError::InvalidConfig).map(|_| ())
}

/// A broker's key: known, modelled, and one that Kafka changes while a broker runs; else INVALID_REQUEST, which is the
/// error that brokers give there (KAFKA-13609). Source: `DynamicBrokerConfig.validateConfigs`.
pub fn validate_broker_key(name: &str) -> Result<(), ApiError> {
    let error = ResponseError::InvalidRequest;
    known_key(BrokerConfig::KEYS, "Broker config", name, error)?;
    if DYNAMIC_BROKER_KEYS.contains(&name) {
        return Ok(());
    }
    refuse(error, format!("Cannot update these configs dynamically: {name}"))
}

/// A broker's key and its value. Source: `DynamicBrokerConfig.validate`.
pub fn validate_broker_config(name: &str, value: &str) -> Result<(), ApiError> {
    validate_broker_key(name)?;
    let error = ResponseError::InvalidRequest;
    let key = known_key(BrokerConfig::KEYS, "Broker config", name, error)?;
    validate_value(key, value, error, |parsed| BrokerConfig::default().set(name, parsed).map_err(|e| e.to_string()))
}

fn known_key(
    keys: &'static [ConfigKey],
    what: &str,
    name: &str,
    error: ResponseError,
) -> Result<&'static ConfigKey, ApiError> {
    match keys.iter().find(|key| key.name == name) {
        Some(key) => Ok(key),
        None if NOT_MODELLED.contains(&name) => {
            refuse(error, format!("{what} {name} is known to Kafka, not modelled."))
        }
        None => refuse(error, format!("Unknown {} name: {name}", what.to_lowercase())),
    }
}

fn validate_value(
    key: &ConfigKey,
    value: &str,
    error: ResponseError,
    set: impl FnOnce(&ConfigValue) -> Result<(), String>,
) -> Result<(), ApiError> {
    let why = match parse_config(key.kind, value) {
        None => format!("expected {}", key.kind.expected()),
        Some(ConfigValue::Int(n)) if n < least(key.name) => format!("must be at least {}", least(key.name)),
        Some(ConfigValue::Int(n)) if n > greatest(key.name) => format!("must be at most {}", greatest(key.name)),
        Some(parsed) => match set(&parsed) {
            Ok(()) => return Ok(()),
            Err(why) => why,
        },
    };
    refuse(error, format!("Invalid value {value} for configuration {}: {why}", key.name))
}

/// Whole numbers that can be set at run time count something of which there must be one; but limits of retention may be
/// -1, which is none, and so may gzip's level; and a timestamp need not be allowed to differ.
fn least(name: &str) -> i64 {
    match name {
        "retention.ms" | "retention.bytes" | "log.retention.ms" | "log.retention.bytes" => -1,
        "compression.gzip.level" => -1,
        name if name.ends_with(".replication.throttled.rate") => 0,
        "segment.jitter.ms" | "log.roll.jitter.ms" => 0,
        name if name.contains("message.timestamp.") => 0,
        _ => 1,
    }
}

/// Counts of messages, limits of retention and those of timestamps are of Kafka's type LONG, all others INT.
fn greatest(name: &str) -> i64 {
    match name {
        "flush.messages" | "log.flush.interval.messages" => i64::MAX,
        "retention.ms" | "retention.bytes" | "log.retention.ms" | "log.retention.bytes" => i64::MAX,
        "compression.gzip.level" => 9,
        name if name.ends_with(".replication.throttled.rate") => i64::MAX,
        "segment.ms" | "segment.jitter.ms" | "log.roll.ms" | "log.roll.jitter.ms" => i64::MAX,
        name if name.contains("message.timestamp.") => i64::MAX,
        _ => i64::from(i32::MAX),
    }
}
