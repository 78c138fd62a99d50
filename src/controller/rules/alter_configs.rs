//! IncrementalAlterConfigs: configurations of topics, of a broker, and of all brokers, at run time (KIP-339).
//!
//! In Kafka the broker that took the request looks over broker configs (`ConfigAdminManager.preprocess`) before it
//! forwards them; here the controller does all of it. Source: `ConfigurationControlManager.incrementalAlterConfigs`.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::config_values::{validate_broker_config, validate_broker_key, validate_topic_config, validate_topic_key};
use super::create_topics::{ApiError, refuse};
use super::{Cluster, Decision};
use crate::metadata::{ALL_BROKERS, BROKER_RESOURCE, MetadataRecord, TOPIC_RESOURCE};

const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// `AlterConfigOp.OpType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Set,
    Delete,
    Append,
    Subtract,
}

impl Operation {
    fn of(code: i8) -> Option<Self> {
        [Operation::Set, Operation::Delete, Operation::Append, Operation::Subtract]
            .get(usize::try_from(code).ok()?)
            .copied()
    }
}

impl Cluster<'_> {
    /// Each resource succeeds or fails as a whole; those that succeed are one atomic batch.
    pub fn incremental_alter_configs(
        &self,
        request: &IncrementalAlterConfigsRequest,
    ) -> (Decision, IncrementalAlterConfigsResponse) {
        let mut records = Vec::new();
        let mut responses = Vec::new();
        for resource in &request.resources {
            let is_same = |other: &&AlterConfigsResource| {
                other.resource_type == resource.resource_type && other.resource_name == resource.resource_name
            };
            let result = if request.resources.iter().filter(is_same).count() > 1 {
                refuse(ResponseError::InvalidRequest, "Each resource must appear at most once.")
            } else {
                self.alter_resource(resource)
            };
            let answer = AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            responses.push(match result {
                Ok(mut new) => {
                    records.append(&mut new);
                    answer
                }
                Err(ApiError { error, message }) => {
                    answer.with_error_code(error.code()).with_error_message(Some(message.into()))
                }
            });
        }
        if request.validate_only {
            records.clear();
        }
        let clears = self.clear_elr_records_as_needed(&records);
        records.extend(clears);
        (Decision::of(records), IncrementalAlterConfigsResponse::default().with_responses(responses))
    }

    fn alter_resource(&self, resource: &AlterConfigsResource) -> Result<Vec<MetadataRecord>, ApiError> {
        let name = resource.resource_name.as_str();
        let present = match resource.resource_type {
            TOPIC_RESOURCE => match self.image.topic(name) {
                Some(topic) => topic.configs.clone(),
                None => {
                    let message = format!("The topic '{name}' does not exist.");
                    return refuse(ResponseError::UnknownTopicOrPartition, message);
                }
            },
            BROKER_RESOURCE => {
                self.check_broker_resource(name)?;
                self.image.broker_configs.get(name).cloned().unwrap_or_default()
            }
            other => return refuse(ResponseError::InvalidRequest, format!("Unexpected resource type {other}.")),
        };
        let mut records = Vec::new();
        for config in &resource.configs {
            if resource.configs.iter().filter(|other| other.name == config.name).count() > 1 {
                return refuse(ResponseError::InvalidRequest, "Error due to duplicate config keys");
            }
            let value = new_value(resource.resource_type, config)?;
            if resource.resource_type == BROKER_RESOURCE {
                self.check_elr_guards(name, config.name.as_str(), value.as_deref())?;
            }
            push_if_changed(resource, config, value, &present, &mut records);
        }
        Ok(records)
    }

    /// All brokers, or one that is registered.
    /// Source: `ControllerConfigurationValidator.validateBrokerName`, `QuorumController.ConfigResourceExistenceChecker`.
    fn check_broker_resource(&self, name: &str) -> Result<(), ApiError> {
        if name == ALL_BROKERS {
            return Ok(());
        }
        match name.parse::<i32>() {
            Err(_) => refuse(ResponseError::InvalidRequest, "Unable to parse broker name as a base 10 number."),
            Ok(id) if id < 0 => refuse(ResponseError::InvalidRequest, "Invalid negative broker ID."),
            Ok(id) if self.image.brokers.contains_key(&id) => Ok(()),
            Ok(id) => refuse(ResponseError::BrokerIdNotRegistered, format!("No node with id {id} found.")),
        }
    }

    /// With ELR, every node must use the same min.insync.replicas: none of a single broker's, and the cluster's cannot be
    /// taken back. Source: `ConfigurationControlManager.validateAlterConfig` (KAFKA-16540).
    fn check_elr_guards(&self, broker: &str, key: &str, value: Option<&str>) -> Result<(), ApiError> {
        if !self.elr_feature_is_on() || key != MIN_INSYNC_REPLICAS {
            return Ok(());
        }
        let message = match value {
            _ if broker != ALL_BROKERS => "Broker-level min.insync.replicas cannot be altered while ELR is enabled.",
            None => "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.",
            Some(_) => return Ok(()),
        };
        refuse(ResponseError::InvalidConfig, message)
    }
}

/// What the key is to be, `None` to have none. No key of this model is a list, so nothing can be appended or taken away.
/// Source: `ConfigurationControlManager.incrementalAlterConfigResource`, `ConfigAdminManager.preprocess`.
fn new_value(resource_type: i8, config: &AlterableConfig) -> Result<Option<String>, ApiError> {
    let key = config.name.as_str();
    let Some(operation) = Operation::of(config.config_operation) else {
        let message = format!("Unknown operation type {} for config {key}.", config.config_operation);
        return refuse(ResponseError::InvalidRequest, message);
    };
    let is_topic = resource_type == TOPIC_RESOURCE;
    let validate_key = if is_topic { validate_topic_key } else { validate_broker_key };
    match (operation, config.value.as_ref().map(|value| value.as_str())) {
        (Operation::Delete, _) => validate_key(key).map(|()| None),
        (_, None) => refuse(ResponseError::InvalidRequest, format!("Null value not supported for : {key}")),
        (Operation::Set, Some(value)) => {
            let validate = if is_topic { validate_topic_config } else { validate_broker_config };
            validate(key, value).map(|()| Some(value.to_string()))
        }
        (Operation::Append | Operation::Subtract, Some(_)) => {
            validate_key(key)?;
            let message = format!("Can't {operation:?} to key {key} because its type is not LIST.");
            refuse(ResponseError::InvalidConfig, message)
        }
    }
}

/// A broker's config is written even if it stays the same: brokers then load it anew (KAFKA-14136).
fn push_if_changed(
    resource: &AlterConfigsResource,
    config: &AlterableConfig,
    value: Option<String>,
    present: &BTreeMap<String, String>,
    records: &mut Vec<MetadataRecord>,
) {
    if present.get(config.name.as_str()) != value.as_ref() || resource.resource_type == BROKER_RESOURCE {
        records.push(MetadataRecord::Config {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.to_string(),
            name: config.name.to_string(),
            value,
        });
    }
}
