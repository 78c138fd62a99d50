//! DescribeConfigs: every key of this model, its value and whence it comes, from this broker's own image.
//!
//! Source: `ConfigHelper.describeConfigs`, `KafkaApis.handleDescribeConfigsRequest`. A broker tells its own configs and
//! those of all brokers; those of another broker are that one's to tell.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::Broker;
use crate::config::{BrokerConfig, ConfigKey, DYNAMIC_BROKER_KEYS, TopicConfig, ValueKind};
use crate::metadata::{ALL_BROKERS, BROKER_RESOURCE, ConfigSource, Effective, TOPIC_RESOURCE};
use crate::protocol::is_valid_topic_name;

type Found = Result<Vec<DescribeConfigsResourceResult>, (ResponseError, &'static str)>;

impl Broker {
    pub(super) fn describe_configs(&self, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
        let results = request.resources.iter().map(|resource| {
            let answer = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            let wanted = |key: &&ConfigKey| {
                let keys = resource.configuration_keys.as_ref();
                keys.is_none_or(|keys| keys.iter().any(|name| name.as_str() == key.name))
            };
            match self.describe_resource(resource, wanted) {
                Ok(mut configs) => {
                    for config in &mut configs {
                        if request.include_synonyms {
                            // Of the values that could hold, the one that does: the others are not told.
                            config.synonyms = vec![
                                DescribeConfigsSynonym::default()
                                    .with_name(config.name.clone())
                                    .with_value(config.value.clone())
                                    .with_source(config.config_source),
                            ];
                        }
                        if !request.include_documentation {
                            config.documentation = None;
                        }
                    }
                    answer.with_configs(configs)
                }
                Err((error, message)) => {
                    answer.with_error_code(error.code()).with_error_message(Some(StrBytes::from_static_str(message)))
                }
            }
        });
        DescribeConfigsResponse::default().with_results(results.collect())
    }

    fn describe_resource(&self, resource: &DescribeConfigsResource, wanted: impl Fn(&&ConfigKey) -> bool) -> Found {
        let (me, given, name) = (self.setup.node_id, &self.setup.config, resource.resource_name.as_str());
        match resource.resource_type {
            TOPIC_RESOURCE if !is_valid_topic_name(name) => {
                Err((ResponseError::InvalidTopicException, "This is no name for a topic."))
            }
            TOPIC_RESOURCE => {
                let topic = self
                    .image
                    .topic(name)
                    .ok_or((ResponseError::UnknownTopicOrPartition, "This server does not host this topic."))?;
                let of = |key| described(key, self.image.effective_topic_config(me, given, topic, key), false);
                Ok(TopicConfig::KEYS.iter().filter(wanted).map(of).collect())
            }
            // Only what was set at run time for all brokers.
            BROKER_RESOURCE if name == ALL_BROKERS => {
                let set = self.image.broker_configs.get(ALL_BROKERS);
                let of = |key: &'static ConfigKey| {
                    let value = set?.get(key.name)?.clone();
                    Some(described(key, Effective { value, source: ConfigSource::DynamicDefaultBroker }, false))
                };
                Ok(BrokerConfig::KEYS.iter().filter(wanted).filter_map(of).collect())
            }
            BROKER_RESOURCE if name == me.to_string() => {
                let of = |key: &'static ConfigKey| {
                    let read_only = !DYNAMIC_BROKER_KEYS.contains(&key.name);
                    described(key, self.image.effective_broker_config(me, given, key), read_only)
                };
                Ok(BrokerConfig::KEYS.iter().filter(wanted).map(of).collect())
            }
            BROKER_RESOURCE => Err((ResponseError::InvalidRequest, "Unexpected broker id: ask that broker.")),
            _ => Err((ResponseError::InvalidRequest, "Unsupported resource type.")),
        }
    }
}

fn described(key: &'static ConfigKey, effective: Effective, read_only: bool) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(key.name))
        .with_value(Some(StrBytes::from_string(effective.value)))
        .with_read_only(read_only)
        .with_config_source(effective.source as i8)
        .with_config_type(config_type(key))
        .with_documentation(Some(StrBytes::from_static_str(key.about)))
}

/// `DescribeConfigsResponse.ConfigType`: LONG for what counts messages, INT for all other numbers.
fn config_type(key: &ConfigKey) -> i8 {
    match key.kind {
        ValueKind::Bool => 1,
        ValueKind::Text => 2,
        ValueKind::Int | ValueKind::Millis if key.name.contains("messages") || key.name.ends_with(".ms") => 5,
        ValueKind::Int | ValueKind::Millis => 3,
    }
}
