//! CreatePartitions: a topic gets more partitions. Sources: `ControllerApis.createPartitions`,
//! `ReplicationControlManager.createPartitions`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::create_topics::{ApiError, MAX_RECORDS_PER_USER_OP, refuse};
use super::placement::Placer;
use super::{Cluster, Decision};
use crate::ids::BrokerId;
use crate::metadata::MetadataRecord;
use crate::node::{Effects, RandomFor};

impl Cluster<'_> {
    /// Each topic succeeds or fails on its own; those that succeed are one atomic batch.
    pub fn create_partitions(
        &self,
        fx: &mut Effects<'_>,
        request: &CreatePartitionsRequest,
    ) -> (Decision, CreatePartitionsResponse) {
        let mut records = Vec::new();
        let mut results = Vec::new();
        for (nth, topic) in request.topics.iter().enumerate() {
            let is_same = |other: &CreatePartitionsTopic| other.name == topic.name;
            if request.topics[..nth].iter().any(is_same) {
                continue;
            }
            let result = if request.topics[nth + 1..].iter().any(is_same) {
                refuse(ResponseError::InvalidRequest, "Duplicate topic name.")
            } else {
                self.create_partitions_of(fx, topic, records.len())
            };
            let answer = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
            results.push(match result {
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
        (Decision::of(records), CreatePartitionsResponse::default().with_results(results))
    }

    /// As many replicas as the topic's first partition has, placed like those of a new topic unless the request says
    /// where.
    fn create_partitions_of(
        &self,
        fx: &mut Effects<'_>,
        asked: &CreatePartitionsTopic,
        records_before: usize,
    ) -> Result<Vec<MetadataRecord>, ApiError> {
        let Some(topic) = self.image.topic(asked.name.as_str()) else {
            let message = "This server does not host this topic-partition.";
            return refuse(ResponseError::UnknownTopicOrPartition, message);
        };
        let present = topic.partitions.len();
        let wanted = usize::try_from(asked.count).unwrap_or(0);
        if wanted == present {
            return refuse(ResponseError::InvalidPartitions, format!("Topic already has {present} partition(s)."));
        }
        if wanted < present {
            return refuse(
                ResponseError::InvalidPartitions,
                format!(
                    "The topic {} currently has {present} partition(s); {} would not be an increase.",
                    asked.name.as_str(),
                    asked.count
                ),
            );
        }
        let additional = wanted - present;
        if records_before + additional > MAX_RECORDS_PER_USER_OP {
            return refuse(ResponseError::PolicyViolation, "Unable to perform excessively large batch operation.");
        }
        let replication_factor = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
        let placed = match &asked.assignments {
            Some(assignments) => {
                let assignments: Vec<Vec<BrokerId>> =
                    assignments.iter().map(|a| a.broker_ids.iter().map(|broker| broker.0).collect()).collect();
                self.validate_additional_assignments(additional, replication_factor, &assignments)?;
                assignments
            }
            None => {
                let mut placer = Placer::new(self.image, |bound| fx.random_below(RandomFor::Placement, bound));
                if let Err(error) = placer.check(replication_factor) {
                    let message = format!("Unable to replicate the partition {replication_factor} time(s).");
                    return refuse(error, message);
                }
                (0..additional).map(|_| placer.place(replication_factor)).collect()
            }
        };
        let new = (present as i32..).zip(placed);
        new.map(|(partition, replicas)| self.new_partition(topic.topic_id, partition, replicas)).collect()
    }

    fn validate_additional_assignments(
        &self,
        additional: usize,
        replication_factor: usize,
        assignments: &[Vec<BrokerId>],
    ) -> Result<(), ApiError> {
        if assignments.len() != additional {
            return refuse(
                ResponseError::InvalidReplicaAssignment,
                format!(
                    "Attempted to add {additional} additional partition(s), but {} assignment(s) were specified.",
                    assignments.len()
                ),
            );
        }
        assignments
            .iter()
            .try_for_each(|replicas| self.validate_manual_partition_assignment(replicas, Some(replication_factor)))
    }
}
