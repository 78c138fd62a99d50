//! ElectLeaders: elections that somebody asks for.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};

use super::election::{Election, PartitionChangeBuilder};
use super::{Cluster, Decision};
use crate::metadata::{MetadataRecord, PartitionRegistration, TopicImage};
use crate::protocol::error_name;

impl Cluster<'_> {
    /// Source: `ReplicationControlManager.electLeaders`. Without a list it goes over all partitions, and is silent
    /// about those that need no election.
    pub fn elect_leaders(&self, request: &ElectLeadersRequest) -> (Decision, ElectLeadersResponse) {
        let election = match request.election_type {
            0 => Election::Preferred,
            1 => Election::Unclean,
            _ => {
                let error = ResponseError::InvalidRequest.code();
                return (Decision::default(), ElectLeadersResponse::default().with_error_code(error));
            }
        };
        let mut decision = Decision { preferred_election: election == Election::Preferred, ..Decision::default() };
        let results = match &request.topic_partitions {
            Some(topics) => topics
                .iter()
                .map(|topic| {
                    let elect = |index: &i32| {
                        partition_result(*index, self.elect_one(&topic.topic, *index, election, &mut decision.records))
                    };
                    ReplicaElectionResult::default()
                        .with_topic(topic.topic.clone())
                        .with_partition_result(topic.partitions.iter().map(elect).collect())
                })
                .collect(),
            None => self.elect_everywhere(election, &mut decision.records),
        };
        (decision, ElectLeadersResponse::default().with_replica_election_results(results))
    }

    fn elect_everywhere(&self, election: Election, records: &mut Vec<MetadataRecord>) -> Vec<ReplicaElectionResult> {
        let mut results = Vec::new();
        for topic in self.image.topic_ids.values().filter_map(|id| self.image.topics.get(id)) {
            let mut partitions = Vec::new();
            for (index, partition) in (0..).zip(&topic.partitions) {
                match self.elect_leader(topic, index, partition, election, records) {
                    Err(ResponseError::ElectionNotNeeded) => {}
                    result => partitions.push(partition_result(index, result)),
                }
            }
            let name = TopicName(topic.name.as_str().to_string().into());
            results.push(ReplicaElectionResult::default().with_topic(name).with_partition_result(partitions));
        }
        results
    }

    fn elect_one(
        &self,
        topic: &TopicName,
        index: i32,
        election: Election,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), ResponseError> {
        let topic = self.image.topic(topic.as_str()).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let partition = self.image.partition(topic.topic_id, index).ok_or(ResponseError::UnknownTopicOrPartition)?;
        self.elect_leader(topic, index, partition, election, records)
    }

    /// An unclean election is for partitions without leader only; it needs no configuration to allow it.
    /// Source: `ReplicationControlManager.electLeader`.
    pub(super) fn elect_leader(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionRegistration,
        election: Election,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), ResponseError> {
        let has_preferred_leader = partition.replicas.first() == Some(&partition.leader);
        let not_needed = match election {
            Election::Preferred => has_preferred_leader,
            Election::Online | Election::Unclean => partition.has_leader(),
        };
        if not_needed {
            return Err(ResponseError::ElectionNotNeeded);
        }
        let is_active = |broker| self.image.is_active(broker);
        let change =
            PartitionChangeBuilder::new(topic.topic_id, index, partition, self.eligible_leaders(topic), &is_active)
                .election(election)
                .build()
                .ok_or(match election {
                    Election::Preferred => ResponseError::PreferredLeaderNotAvailable,
                    Election::Online | Election::Unclean => ResponseError::EligibleLeadersNotAvailable,
                })?;
        records.push(MetadataRecord::PartitionChange(change));
        Ok(())
    }
}

fn partition_result(index: i32, result: Result<(), ResponseError>) -> PartitionResult {
    let error = result.err();
    PartitionResult::default()
        .with_partition_id(index)
        .with_error_code(error.map_or(0, |e| e.code()))
        .with_error_message(error.map(|e| error_name(e).into()))
}
