//! Reassignment: a partition moves to other brokers while it is served (KIP-455).
//!
//! ```text
//!   replicas 1,2,3 ──AlterPartitionReassignments 2,3,4──▶ replicas 2,3,4,1, adding 4, removing 1
//!                  ──ISR contains 2,3,4──▶ replicas 2,3,4
//! ```
//!
//! The new replicas come first into the list, fetch and join the ISR; when the ISR contains every target replica the
//! change record that says so also ends the reassignment. Sources: `ReplicationControlManager.alterPartitionReassignments`,
//! `PartitionReassignmentReplicas`, `PartitionReassignmentRevert`, `PartitionChangeBuilder`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId as WireBrokerId,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName,
};

use super::create_topics::{ApiError, refuse};
use super::election::{Election, PartitionChangeBuilder};
use super::{Cluster, Decision};
use crate::conformance::PartitionRule;
use crate::ids::BrokerId;
use crate::metadata::{MetadataRecord, PartitionChange, PartitionRegistration, TopicImage};
use crate::protocol::topic_name;

/// A partition's replicas while they change. Source: `PartitionReassignmentReplicas`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReassignmentReplicas {
    /// All replicas, those to come and those to go included.
    pub replicas: Vec<BrokerId>,
    /// To come.
    pub adding: Vec<BrokerId>,
    /// To go.
    pub removing: Vec<BrokerId>,
}

impl ReassignmentReplicas {
    /// As the partition stands.
    pub fn of(partition: &PartitionRegistration) -> Self {
        ReassignmentReplicas {
            replicas: partition.replicas.clone(),
            adding: partition.adding_replicas.clone(),
            removing: partition.removing_replicas.clone(),
        }
    }

    /// From one list of replicas to another: the target first and in its order, then those that are to go.
    pub fn between(current: &[BrokerId], target: &[BrokerId]) -> Self {
        let difference = |of: &[BrokerId], without: &[BrokerId]| {
            let mut left: Vec<_> = of.iter().copied().filter(|replica| !without.contains(replica)).collect();
            left.sort_unstable();
            left
        };
        let removing = difference(current, target);
        let adding = difference(target, current);
        let replicas = target.iter().chain(&removing).copied().collect();
        ReassignmentReplicas { replicas, adding, removing }
    }

    /// The end, if the ISR that is to be contains every target replica (KAFKA-15665: those to go do not count, and one
    /// that was added is not enough). Gives the ISR without those that go.
    /// Source: `PartitionReassignmentReplicas.maybeCompleteReassignment`.
    pub fn maybe_complete(&self, target_isr: &[BrokerId]) -> Option<(ReassignmentReplicas, Vec<BrokerId>)> {
        if self.adding.is_empty() && self.removing.is_empty() {
            return None;
        }
        let stays = |replica: &BrokerId| !self.removing.contains(replica);
        let leaves_the_isr = PartitionRule::WhoLeavesTheAssignmentLeavesTheIsr.holds();
        let isr: Vec<_> = target_isr.iter().copied().filter(|r| stays(r) || !leaves_the_isr).collect();
        let replicas: Vec<_> = self.replicas.iter().copied().filter(stays).collect();
        let are_in_sync =
            replicas.iter().all(|r| isr.contains(r)) || !PartitionRule::ReassignmentEndsWithAllTargetsInSync.holds();
        let is_complete = !isr.is_empty() && !replicas.is_empty() && are_in_sync;
        is_complete.then(|| (ReassignmentReplicas { replicas, ..ReassignmentReplicas::default() }, isr))
    }

    /// Back to before: without those that were to come, and an ISR of who is left of it. `true`: nobody is, and one
    /// replica must stand for it, which is an unclean election. Source: `PartitionReassignmentRevert`.
    fn revert(&self, isr: &[BrokerId]) -> (ReassignmentReplicas, Vec<BrokerId>, bool) {
        let was_there = |replica: &BrokerId| !self.adding.contains(replica);
        let replicas: Vec<_> = self.replicas.iter().copied().filter(was_there).collect();
        let isr: Vec<_> = isr.iter().copied().filter(was_there).collect();
        let unclean = isr.is_empty();
        let isr = if unclean { replicas.iter().copied().take(1).collect() } else { isr };
        (ReassignmentReplicas { replicas, ..ReassignmentReplicas::default() }, isr, unclean)
    }
}

/// A replica that leaves the list must learn that it has nothing more to say: whoever still follows it or leads with it
/// does so in an older leader epoch. Source:
/// `PartitionChangeBuilder.triggerLeaderEpochBumpForReplicaReassignmentIfNeeded`.
pub fn trigger_leader_epoch_bump_for_replica_reassignment(
    change: &mut PartitionChange,
    partition: &PartitionRegistration,
    target_replicas: &[BrokerId],
) {
    let one_leaves = partition.replicas.iter().any(|replica| !target_replicas.contains(replica));
    if change.leader.is_none() && one_leaves && PartitionRule::LeaderEpochRisesWhenAReplicaLeaves.holds() {
        change.leader = Some(partition.leader);
    }
}

/// Zoo switch `leader-epoch-bump-on-shrink` (`PartitionChangeBuilder.triggerLeaderEpochBumpForIsrShrinkIfNeeded` for metadata
/// versions before 3.6, KAFKA-15021): a replica that leaves the ISR begins a new leader epoch with the same leader. It costs
/// every follower a look at its history, and nothing else.
pub fn trigger_leader_epoch_bump_for_isr_shrink(
    change: &mut PartitionChange,
    partition: &PartitionRegistration,
    target_isr: &[BrokerId],
) {
    let one_leaves = partition.isr.iter().any(|replica| !target_isr.contains(replica));
    if change.leader.is_none() && one_leaves {
        change.leader = Some(partition.leader);
    }
}

/// What of the assignment the record must say. Source: `PartitionChangeBuilder.setAssignmentChanges`.
pub fn set_assignment_changes(
    change: &mut PartitionChange,
    partition: &PartitionRegistration,
    target: &ReassignmentReplicas,
) {
    let if_changed = |new: &Vec<BrokerId>, old: &Vec<BrokerId>| (new != old).then(|| new.clone());
    change.replicas = if_changed(&target.replicas, &partition.replicas);
    change.removing_replicas = if_changed(&target.removing, &partition.removing_replicas);
    change.adding_replicas = if_changed(&target.adding, &partition.adding_replicas);
}

impl Cluster<'_> {
    /// Each partition succeeds or fails on its own; those that succeed are one atomic batch.
    pub fn alter_partition_reassignments(
        &self,
        request: &AlterPartitionReassignmentsRequest,
    ) -> (Decision, AlterPartitionReassignmentsResponse) {
        let mut records = Vec::new();
        let mut responses = Vec::new();
        for topic in &request.topics {
            let mut partitions = Vec::new();
            for asked in &topic.partitions {
                let answer = ReassignablePartitionResponse::default().with_partition_index(asked.partition_index);
                let may_change_factor = request.allow_replication_factor_change;
                partitions.push(match self.reassign(&topic.name, asked, may_change_factor) {
                    Ok(change) => {
                        records.extend(change.map(MetadataRecord::PartitionChange));
                        answer
                    }
                    Err(ApiError { error, message }) => {
                        answer.with_error_code(error.code()).with_error_message(Some(message.into()))
                    }
                });
            }
            responses
                .push(ReassignableTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions));
        }
        let response = AlterPartitionReassignmentsResponse::default()
            .with_allow_replication_factor_change(request.allow_replication_factor_change)
            .with_responses(responses);
        (Decision::of(records), response)
    }

    fn reassign(
        &self,
        name: &TopicName,
        asked: &ReassignablePartition,
        may_change_factor: bool,
    ) -> Result<Option<PartitionChange>, ApiError> {
        let index = asked.partition_index;
        let Some(topic) = self.image.topic(name.as_str()) else {
            let message = format!("Unable to find a topic named {}.", name.as_str());
            return refuse(ResponseError::UnknownTopicOrPartition, message);
        };
        let Some(partition) = self.image.partition(topic.topic_id, index) else {
            let message = format!("Unable to find partition {}:{index}.", name.as_str());
            return refuse(ResponseError::UnknownTopicOrPartition, message);
        };
        match &asked.replicas {
            None => self.cancel_partition_reassignment(topic, index, partition),
            Some(target) => {
                let target: Vec<BrokerId> = target.iter().map(|broker| broker.0).collect();
                self.change_partition_reassignment(topic, index, partition, &target, may_change_factor)
            }
        }
    }

    /// Goes to these replicas from wherever the partition stands.
    /// Source: `ReplicationControlManager.changePartitionReassignment`; KIP-860 for the replication factor.
    fn change_partition_reassignment(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionRegistration,
        target: &[BrokerId],
        may_change_factor: bool,
    ) -> Result<Option<PartitionChange>, ApiError> {
        self.validate_manual_partition_assignment(target, None)?;
        let present =
            partition.replicas.iter().filter(|replica| !partition.removing_replicas.contains(replica)).count();
        if !may_change_factor && target.len() != present {
            return refuse(
                ResponseError::InvalidReplicationFactor,
                format!("The replication factor is changed from {present} to {}", target.len()),
            );
        }
        let mut assignment = ReassignmentReplicas::between(&partition.replicas, target);
        // As in Kafka, a request that brings nobody new, or takes nobody away, leaves that side of a reassignment under
        // way as it is.
        if assignment.adding.is_empty() {
            assignment.adding.clone_from(&partition.adding_replicas);
        }
        if assignment.removing.is_empty() {
            assignment.removing.clone_from(&partition.removing_replicas);
        }
        let is_active = |broker| self.image.is_active(broker);
        let eligible_leaders = self.eligible_leaders(topic);
        Ok(PartitionChangeBuilder::new(topic.topic_id, index, partition, eligible_leaders, &is_active)
            .target_assignment(assignment)
            .build())
    }

    /// Back to the replicas of before. Refused if none of them is in sync, unless unclean elections are allowed.
    /// Source: `ReplicationControlManager.cancelPartitionReassignment`.
    fn cancel_partition_reassignment(
        &self,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionRegistration,
    ) -> Result<Option<PartitionChange>, ApiError> {
        if !partition.is_reassigning() {
            return refuse(ResponseError::NoReassignmentInProgress, "No partition reassignment is in progress.");
        }
        let (assignment, isr, unclean) = ReassignmentReplicas::of(partition).revert(&partition.isr);
        let may_be_unclean = self.unclean_election_is_allowed(topic);
        if unclean && !may_be_unclean {
            return refuse(
                ResponseError::InvalidReplicaAssignment,
                format!(
                    "Unable to revert partition assignment for {}:{index} because it would require an unclean leader \
                     election.",
                    topic.name
                ),
            );
        }
        let is_active = |broker| self.image.is_active(broker);
        let eligible_leaders = self.eligible_leaders(topic);
        Ok(PartitionChangeBuilder::new(topic.topic_id, index, partition, eligible_leaders, &is_active)
            .election(if may_be_unclean { Election::Unclean } else { Election::Online })
            .target_isr(isr)
            .target_assignment(assignment)
            .build())
    }

    /// The reassignments under way, of all topics or of those asked for; what is not being reassigned is left out.
    /// Source: `ReplicationControlManager.listPartitionReassignments`.
    pub fn list_partition_reassignments(
        &self,
        request: &ListPartitionReassignmentsRequest,
    ) -> ListPartitionReassignmentsResponse {
        let mut topics = Vec::new();
        match &request.topics {
            None => {
                for topic in self.image.topic_ids.values().filter_map(|id| self.image.topics.get(id)) {
                    topics.extend(ongoing(topic, 0..topic.partitions.len() as i32));
                }
            }
            Some(asked) => {
                for asked in asked {
                    let topic = self.image.topic(asked.name.as_str());
                    topics.extend(topic.and_then(|t| ongoing(t, asked.partition_indexes.iter().copied())));
                }
            }
        }
        ListPartitionReassignmentsResponse::default().with_topics(topics)
    }
}

fn ongoing(topic: &TopicImage, indexes: impl Iterator<Item = i32>) -> Option<OngoingTopicReassignment> {
    let ids = |brokers: &[BrokerId]| brokers.iter().copied().map(WireBrokerId).collect();
    let partitions: Vec<_> = indexes
        .filter_map(|index| {
            let partition = topic.partitions.get(usize::try_from(index).ok()?).filter(|p| p.is_reassigning())?;
            Some(
                OngoingPartitionReassignment::default()
                    .with_partition_index(index)
                    .with_replicas(ids(&partition.replicas))
                    .with_adding_replicas(ids(&partition.adding_replicas))
                    .with_removing_replicas(ids(&partition.removing_replicas)),
            )
        })
        .collect();
    let answer = OngoingTopicReassignment::default().with_name(topic_name(&topic.name)).with_partitions(partitions);
    (!answer.partitions.is_empty()).then_some(answer)
}
