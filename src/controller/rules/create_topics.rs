//! CreateTopics: names, configs, placement. Source: `ReplicationControlManager.createTopics`.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use uuid::Uuid;

use super::config_values::validate_topic_config;
use super::placement::Placer;
use super::{Cluster, Decision};
use crate::ids::{BrokerId, Topic};
use crate::metadata::{METADATA_TOPIC, METADATA_TOPIC_ID, MetadataRecord, TOPIC_RESOURCE};
use crate::node::{Effects, RandomFor};
use crate::protocol::is_valid_topic_name;

/// Most records of one request. Source: `QuorumController.MAX_RECORDS_PER_USER_OP`.
pub(super) const MAX_RECORDS_PER_USER_OP: usize = 10_000;

/// An error and its message, as `ApiError`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// Kafka's error.
    pub error: ResponseError,
    /// For a person.
    pub message: String,
}

pub(super) fn refuse<T>(error: ResponseError, message: impl Into<String>) -> Result<T, ApiError> {
    Err(ApiError { error, message: message.into() })
}

/// A topic about to be created.
struct NewTopic {
    configs: BTreeMap<String, String>,
    assignments: Vec<Vec<BrokerId>>,
}

impl Cluster<'_> {
    /// Each topic succeeds or fails on its own; those that succeed are one atomic batch.
    pub fn create_topics(
        &self,
        fx: &mut Effects<'_>,
        request: &CreateTopicsRequest,
    ) -> (Decision, CreateTopicsResponse) {
        let mut records = Vec::new();
        let mut results = Vec::new();
        for topic in &request.topics {
            let duplicates = request.topics.iter().filter(|other| other.name == topic.name).count();
            let result = if duplicates > 1 {
                refuse(ResponseError::InvalidRequest, "Duplicate topic name.")
            } else {
                self.create_topic(fx, topic, &mut records)
            };
            let named = CreatableTopicResult::default().with_name(topic.name.clone());
            results.push(match result {
                Ok(result) => result.with_name(topic.name.clone()),
                Err(ApiError { error, message }) => {
                    named.with_error_code(error.code()).with_error_message(Some(message.into()))
                }
            });
        }
        if request.validate_only {
            records.clear();
        }
        (Decision::of(records), CreateTopicsResponse::default().with_topics(results))
    }

    fn create_topic(
        &self,
        fx: &mut Effects<'_>,
        topic: &CreatableTopic,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<CreatableTopicResult, ApiError> {
        self.validate_new_topic_name(topic.name.as_str(), records)?;
        let configs = validate_topic_configs(topic)?;
        let assignments = if topic.assignments.is_empty() {
            self.place_replicas(fx, topic)?
        } else {
            self.validate_manual_assignments(topic)?
        };
        if records.len() + 1 + configs.len() + assignments.len() > MAX_RECORDS_PER_USER_OP {
            return refuse(ResponseError::PolicyViolation, "Unable to perform excessively large batch operation.");
        }
        let replication_factor = assignments.first().map_or(0, Vec::len);
        let result = CreatableTopicResult::default()
            .with_topic_id(self.fresh_topic_id(fx, records))
            .with_num_partitions(assignments.len() as i32)
            .with_replication_factor(replication_factor as i16)
            .with_configs(Some(Vec::new()));
        self.push_topic_records(topic.name.as_str(), result.topic_id, NewTopic { configs, assignments }, records)?;
        Ok(result)
    }

    /// Config records go after the topic's and before the partitions'. Source: `ReplicationControlManager.createTopic`.
    fn push_topic_records(
        &self,
        name: &str,
        topic_id: Uuid,
        topic: NewTopic,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), ApiError> {
        let mut new = vec![MetadataRecord::Topic { name: Topic::new(name), topic_id }];
        for (key, value) in topic.configs {
            new.push(MetadataRecord::Config {
                resource_type: TOPIC_RESOURCE,
                resource_name: name.to_string(),
                name: key,
                value: Some(value),
            });
        }
        new.extend(self.clear_elr_records_as_needed(&new));
        for (partition, replicas) in (0..).zip(topic.assignments) {
            new.push(self.new_partition(topic_id, partition, replicas)?);
        }
        records.append(&mut new);
        Ok(())
    }

    /// A replica that is not active at birth is not in the ISR; the first that is leads, in leader epoch 0 and partition
    /// epoch 0. Source: `ReplicationControlManager.buildPartitionRegistration`.
    pub(super) fn new_partition(
        &self,
        topic_id: Uuid,
        partition: i32,
        replicas: Vec<BrokerId>,
    ) -> Result<MetadataRecord, ApiError> {
        let isr: Vec<BrokerId> = replicas.iter().copied().filter(|r| self.image.is_active(*r)).collect();
        let Some(&leader) = isr.first() else {
            return refuse(
                ResponseError::InvalidReplicaAssignment,
                format!("All brokers of partition {partition} are fenced or in controlled shutdown."),
            );
        };
        Ok(MetadataRecord::Partition {
            topic_id,
            partition,
            replicas,
            isr,
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            leader,
            leader_epoch: 0,
            partition_epoch: 0,
            leader_recovery_state: 0,
            eligible_leader_replicas: Vec::new(),
            last_known_elr: Vec::new(),
        })
    }

    /// Source: `Topic.validate`, `ReplicationControlManager.validateNewTopicNames`. Names that differ only in `.` and
    /// `_` collide, as they would in metric names.
    fn validate_new_topic_name(&self, name: &str, records: &[MetadataRecord]) -> Result<(), ApiError> {
        if name == METADATA_TOPIC {
            return refuse(ResponseError::TopicAuthorizationFailed, "Topic is internal to the controller.");
        }
        if !is_valid_topic_name(name) {
            return refuse(
                ResponseError::InvalidTopicException,
                "Topic name must be 1 to 249 letters, digits, '.', '_' or '-', and neither \".\" nor \"..\".",
            );
        }
        if self.image.topic(name).is_some() {
            return refuse(ResponseError::TopicAlreadyExists, format!("Topic '{name}' already exists."));
        }
        let unify = |name: &str| name.replace('.', "_");
        let of_this_request = records.iter().filter_map(|record| match record {
            MetadataRecord::Topic { name, .. } => Some(name),
            _ => None,
        });
        let mut others = self.image.topic_ids.keys().chain(of_this_request);
        match others.find(|other| unify(other.as_str()) == unify(name)) {
            Some(other) => refuse(
                ResponseError::InvalidTopicException,
                format!("Topic '{name}' collides with existing topic: {other}"),
            ),
            None => Ok(()),
        }
    }

    /// Source: `ReplicationControlManager.createTopic`, the branch without assignments.
    fn place_replicas(&self, fx: &mut Effects<'_>, topic: &CreatableTopic) -> Result<Vec<Vec<BrokerId>>, ApiError> {
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            return refuse(
                ResponseError::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            );
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            return refuse(
                ResponseError::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value.",
            );
        }
        let or_default = |given: i64, default: i64| if given == -1 { default } else { given };
        let partitions = or_default(i64::from(topic.num_partitions), self.config.num_partitions);
        let factor = or_default(i64::from(topic.replication_factor), self.config.default_replication_factor);
        // Checked before anything of that size is built.
        let partitions = usize::try_from(partitions).unwrap_or(0);
        if partitions > MAX_RECORDS_PER_USER_OP {
            return refuse(ResponseError::PolicyViolation, "Unable to perform excessively large batch operation.");
        }
        let factor = usize::try_from(factor).unwrap_or(0);
        let mut placer = Placer::new(self.image, |bound| fx.random_below(RandomFor::Placement, bound));
        if let Err(error) = placer.check(factor) {
            let brokers = self.image.brokers.len();
            return refuse(
                error,
                format!("Unable to replicate the partition {factor} time(s): {brokers} broker(s) are registered."),
            );
        }
        Ok((0..partitions).map(|_| placer.place(factor)).collect())
    }

    /// Source: `ReplicationControlManager.createTopic` and `validateManualPartitionAssignment`.
    fn validate_manual_assignments(&self, topic: &CreatableTopic) -> Result<Vec<Vec<BrokerId>>, ApiError> {
        if topic.replication_factor != -1 || topic.num_partitions != -1 {
            return refuse(
                ResponseError::InvalidRequest,
                "A manual partition assignment was specified, but replication factor or partitions were not -1.",
            );
        }
        let invalid = |message: String| refuse(ResponseError::InvalidReplicaAssignment, message);
        let mut by_partition: BTreeMap<i32, Vec<BrokerId>> = BTreeMap::new();
        for assignment in &topic.assignments {
            let index = assignment.partition_index;
            let replicas: Vec<BrokerId> = assignment.broker_ids.iter().map(|broker| broker.0).collect();
            self.validate_manual_partition_assignment(&replicas, by_partition.values().next().map(Vec::len))?;
            if by_partition.insert(index, replicas).is_some() {
                return invalid(format!("Found multiple manual partition assignments for partition {index}"));
            }
        }
        if !by_partition.keys().copied().eq(0..by_partition.len() as i32) {
            return invalid("partitions should be a consecutive 0-based integer sequence".to_string());
        }
        Ok(by_partition.into_values().collect())
    }

    /// At least one replica, each a registered broker, none twice, and as many as the partitions before have.
    /// Source: `ReplicationControlManager.validateManualPartitionAssignment`.
    pub(super) fn validate_manual_partition_assignment(
        &self,
        replicas: &[BrokerId],
        replication_factor: Option<usize>,
    ) -> Result<(), ApiError> {
        let invalid = |message: String| refuse(ResponseError::InvalidReplicaAssignment, message);
        if replicas.is_empty() {
            return invalid("The manual partition assignment includes an empty replica list.".to_string());
        }
        for (i, broker) in replicas.iter().enumerate() {
            if !self.image.brokers.contains_key(broker) {
                return invalid(format!("The manual partition assignment includes unknown broker {broker}."));
            }
            if replicas[..i].contains(broker) {
                return invalid(format!("The manual partition assignment includes broker {broker} twice."));
            }
        }
        match replication_factor {
            Some(before) if before != replicas.len() => invalid(format!(
                "The manual partition assignment has {} replica(s), the partitions before have {before}.",
                replicas.len()
            )),
            _ => Ok(()),
        }
    }

    /// A random id that is neither reserved nor taken, be it by an earlier topic of this request.
    /// Source: `Uuid.randomUuid`.
    fn fresh_topic_id(&self, fx: &mut Effects<'_>, records: &[MetadataRecord]) -> Uuid {
        let high = fx.random(RandomFor::TopicId);
        let low = fx.random(RandomFor::TopicId);
        let bits = u128::from(high) << 64 | u128::from(low);
        let mut id = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
        let in_request =
            |id: Uuid| records.iter().any(|r| matches!(r, MetadataRecord::Topic { topic_id, .. } if *topic_id == id));
        // Next to impossible, but then it must end: there are fewer topics than ids.
        while id.is_nil() || id == METADATA_TOPIC_ID || self.image.topics.contains_key(&id) || in_request(id) {
            id = Uuid::from_u128(id.as_u128().wrapping_add(1));
        }
        id
    }
}

/// Known, modelled, of the right type and possible; else INVALID_CONFIG.
/// Source: `ReplicationControlManager.computeConfigChanges`, `ControllerConfigurationValidator`.
fn validate_topic_configs(topic: &CreatableTopic) -> Result<BTreeMap<String, String>, ApiError> {
    let mut configs = BTreeMap::new();
    for config in &topic.configs {
        let name = config.name.as_str();
        let Some(value) = config.value.as_ref().map(|value| value.as_str()) else {
            let message = format!("Null value not supported for topic configs: {name}");
            return refuse(ResponseError::InvalidConfig, message);
        };
        validate_topic_config(name, value)?;
        configs.insert(name.to_string(), value.to_string());
    }
    Ok(configs)
}
