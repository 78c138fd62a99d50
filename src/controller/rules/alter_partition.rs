//! AlterPartition: a leader asks to change its in-sync replicas. The controller's side of safety stands here.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData};
use kafka_protocol::messages::alter_partition_response::{
    PartitionData as PartitionResponse, TopicData as TopicResponse,
};
use kafka_protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, BrokerId as WireBrokerId};

use super::election::{Election, PartitionChangeBuilder, RECOVERED, RECOVERING};
use super::{Cluster, Decision};
use crate::conformance::PartitionRule;
use crate::event::Event;
use crate::ids::{BrokerId, NO_BROKER, TopicPartition};
use crate::metadata::{MetadataRecord, PartitionRegistration, TopicImage};
use crate::protocol::error_name;
use crate::zoo::Switch;

impl Cluster<'_> {
    /// Source: `ReplicationControlManager.alterPartition`. Partitions are judged one by one; a stale broker epoch
    /// refuses them all.
    pub fn alter_partition(&self, request: &AlterPartitionRequest) -> (Decision, AlterPartitionResponse) {
        let mut decision = Decision::default();
        let broker = request.broker_id.0;
        if PartitionRule::SenderIsRegistered.holds()
            && let Err(error) = self.check_broker_epoch(broker, request.broker_epoch)
        {
            for topic in &request.topics {
                if let Some(image) = self.image.topics.get(&topic.topic_id) {
                    let refused = |p: &PartitionData| refusal(image, p.partition_index, broker, error);
                    decision.refusals.extend(topic.partitions.iter().map(refused));
                }
            }
            return (decision, AlterPartitionResponse::default().with_error_code(error.code()));
        }
        let mut topics = Vec::new();
        for topic in &request.topics {
            let image = self.image.topics.get(&topic.topic_id);
            let answer = |data: &PartitionData| match image {
                None if PartitionRule::TopicIsKnown.holds() => {
                    partition_error(data.partition_index, ResponseError::UnknownTopicId)
                }
                None => partition_error(data.partition_index, ResponseError::UnknownServerError),
                Some(image) => self.alter_one(image, broker, data, &mut decision),
            };
            let partitions = topic.partitions.iter().map(answer).collect();
            topics.push(TopicResponse::default().with_topic_id(topic.topic_id).with_partitions(partitions));
        }
        (decision, AlterPartitionResponse::default().with_topics(topics))
    }

    fn alter_one(
        &self,
        topic: &TopicImage,
        broker: BrokerId,
        data: &PartitionData,
        decision: &mut Decision,
    ) -> PartitionResponse {
        let index = data.partition_index;
        let new_isr = new_isr_with_epochs(data);
        let partition = match self.validate_alter_partition(topic, broker, data, &new_isr) {
            Ok(partition) => partition,
            Err(error) => {
                decision.refusals.push(refusal(topic, index, broker, error));
                return partition_error(index, error);
            }
        };
        let is_active = |broker| self.image.is_active(broker);
        let election = if self.unclean_election_is_allowed(topic) { Election::Unclean } else { Election::Online };
        let change =
            PartitionChangeBuilder::new(topic.topic_id, index, partition, self.eligible_leaders(topic), &is_active)
                .election(election)
                .target_isr(new_isr.iter().map(|member| member.broker_id.0).collect())
                .target_recovery_state(data.leader_recovery_state)
                .bumps_on_shrink(self.zoo.on(Switch::LeaderEpochBumpOnShrink))
                .build();
        let mut after = partition.clone();
        if let Some(change) = change {
            after.merge(&change);
            let moved_leader = change.leader.is_some_and(|leader| leader != broker);
            if !moved_leader || PartitionRule::ChangeThatMovesTheLeaderIsApplied.holds() {
                decision.records.push(MetadataRecord::PartitionChange(change));
            }
            if moved_leader && PartitionRule::SenderLearnsThatTheLeaderMoved.holds() {
                // Applied and refused at once: the sender must wait for metadata. Only the end of a reassignment does
                // this, since the sender is valid and so is kept as leader.
                decision.refusals.push(refusal(topic, index, broker, ResponseError::NewLeaderElected));
                return partition_error(index, ResponseError::NewLeaderElected);
            }
        }
        PartitionResponse::default()
            .with_partition_index(index)
            .with_leader_id(WireBrokerId(after.leader))
            .with_leader_epoch(after.leader_epoch)
            .with_isr(after.isr.iter().copied().map(WireBrokerId).collect())
            .with_leader_recovery_state(if after.recovering { RECOVERING } else { RECOVERED })
            .with_partition_epoch(after.partition_epoch)
    }

    /// The checks, in Kafka's order, which decides what the leader does next.
    /// Source: `ReplicationControlManager.validateAlterPartitionData`.
    fn validate_alter_partition<'t>(
        &self,
        topic: &'t TopicImage,
        broker: BrokerId,
        data: &PartitionData,
        new_isr: &[BrokerState],
    ) -> Result<&'t PartitionRegistration, ResponseError> {
        let partition = usize::try_from(data.partition_index)
            .ok()
            .and_then(|index| topic.partitions.get(index))
            .ok_or(match PartitionRule::PartitionIsKnown.holds() {
                true => ResponseError::UnknownTopicOrPartition,
                false => ResponseError::UnknownServerError,
            })?;
        // A leader that knows more than this controller tells it that another controller is active.
        let future_leader_epoch = data.leader_epoch > partition.leader_epoch
            && PartitionRule::FutureLeaderEpochIsForAnotherController.holds();
        let future_partition_epoch = data.partition_epoch > partition.partition_epoch
            && PartitionRule::FuturePartitionEpochIsForAnotherController.holds();
        if future_leader_epoch || future_partition_epoch {
            return Err(ResponseError::NotController);
        }
        if data.leader_epoch < partition.leader_epoch && PartitionRule::OldLeaderEpochIsFenced.holds() {
            return Err(ResponseError::FencedLeaderEpoch);
        }
        if broker != partition.leader && PartitionRule::SenderLeads.holds() {
            return Err(ResponseError::InvalidRequest);
        }
        // The compare-and-set: a request based on an older state of the partition changes nothing (KIP-497).
        // The zoo switch `isr-blind-write` takes it away.
        let is_older = data.partition_epoch < partition.partition_epoch && !self.zoo.on(Switch::IsrBlindWrite);
        if is_older && PartitionRule::PartitionEpochIsCompareAndSet.holds() {
            return Err(ResponseError::InvalidUpdateVersion);
        }
        let members: Vec<BrokerId> = new_isr.iter().map(|member| member.broker_id.0).collect();
        let valid = is_valid_isr(&partition.replicas, &members) || !PartitionRule::IsrIsOfReplicas.holds();
        let has_leader = members.contains(&partition.leader) || !PartitionRule::IsrHasTheLeader.holds();
        if !valid || !has_leader {
            return Err(ResponseError::InvalidRequest);
        }
        validate_recovery_state(partition, data.leader_recovery_state, members.len())?;
        if new_isr.iter().all(|member| self.is_eligible_for_isr(member)) {
            Ok(partition)
        } else {
            Err(ResponseError::IneligibleReplica)
        }
    }

    /// Registered, not in controlled shutdown, not fenced, and the incarnation the leader heard of (KIP-841, KIP-903;
    /// a broker epoch of -1 was not told). The zoo switches `fenced-joins-isr` and `no-broker-epoch-check` bring back the
    /// controllers before these two rules. Source: `ReplicationControlManager.ineligibleReplicasForIsr`.
    fn is_eligible_for_isr(&self, member: &BrokerState) -> bool {
        let Some(registration) = self.image.brokers.get(&member.broker_id.0) else {
            return !PartitionRule::UnregisteredReplicaIsIneligible.holds();
        };
        let is_unfenced = !registration.fenced || !PartitionRule::FencedReplicaIsIneligible.holds();
        let stays = !registration.in_controlled_shutdown || !PartitionRule::StoppingReplicaIsIneligible.holds();
        let is_active = (is_unfenced && stays) || self.zoo.on(Switch::FencedJoinsIsr);
        let is_untold = member.broker_epoch == -1 && PartitionRule::UntoldIncarnationIsAdmitted.holds();
        let is_another = !is_untold && member.broker_epoch != registration.broker_epoch;
        let is_refused = is_another && PartitionRule::OtherIncarnationIsIneligible.holds();
        is_active && (!is_refused || self.zoo.on(Switch::NoBrokerEpochCheck))
    }
}

/// A leader that still recovers from an unclean election is alone in its ISR, and a recovered one does not go back
/// (KIP-704). Source: `ReplicationControlManager.validateAlterPartitionData`.
fn validate_recovery_state(partition: &PartitionRegistration, state: i8, isr_size: usize) -> Result<(), ResponseError> {
    let alone = isr_size <= 1 || !PartitionRule::RecoveringLeaderIsAlone.holds();
    let recovering = partition.recovering || !PartitionRule::RecoveredLeaderStaysSo.holds();
    match state {
        RECOVERED => Ok(()),
        RECOVERING if alone && recovering => Ok(()),
        _ => Err(ResponseError::InvalidRequest),
    }
}

/// Not empty, no member twice, all of them replicas. Source: `Replicas.validateIsr`.
fn is_valid_isr(replicas: &[BrokerId], isr: &[BrokerId]) -> bool {
    let each_once = isr.iter().enumerate().all(|(i, member)| !isr[..i].contains(member));
    !isr.is_empty() && each_once && isr.iter().all(|member| *member != NO_BROKER && replicas.contains(member))
}

/// Version 2 names members without broker epochs.
fn new_isr_with_epochs(data: &PartitionData) -> Vec<BrokerState> {
    if data.new_isr_with_epochs.is_empty() {
        let without_epoch =
            |broker: &WireBrokerId| BrokerState::default().with_broker_id(*broker).with_broker_epoch(-1);
        data.new_isr.iter().map(without_epoch).collect()
    } else {
        data.new_isr_with_epochs.clone()
    }
}

fn partition_error(index: i32, error: ResponseError) -> PartitionResponse {
    PartitionResponse::default().with_partition_index(index).with_error_code(error.code())
}

fn refusal(topic: &TopicImage, index: i32, leader: BrokerId, error: ResponseError) -> Event {
    let partition = TopicPartition::new(&topic.name, index);
    Event::AlterPartitionRefused { partition, leader, error: error_name(error) }
}
