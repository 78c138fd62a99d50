//! What fencing, unfencing, stopping or replacing a broker does to the partitions.
//!
//! The order of records matters: partition changes come before the record that fences or registers, and all of them
//! are one atomic batch, so that nobody ever sees a fenced broker lead.

use super::Cluster;
use super::election::{Election, PartitionChangeBuilder};
use crate::conformance::{BrokerRule, PartitionRule};
use crate::ids::BrokerId;
use crate::metadata::{BrokerRegistrationChange, MetadataRecord, PartitionRegistration};
use crate::zoo::Switch;

/// Why partitions are looked at: whose state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It leaves the ISR and cannot be elected.
    Leaves(BrokerId),
    /// It can be elected, though the image still shows it fenced.
    Returns(BrokerId),
    /// It leaves ISR and ELR, for it may have lost data, and cannot be elected.
    StoppedUncleanly(BrokerId),
}

impl Cluster<'_> {
    /// Takes the broker out of every ISR, with an election where it led, then fences it.
    /// Source: `ReplicationControlManager.handleBrokerFenced`.
    pub fn handle_broker_fenced(&self, broker: BrokerId) -> Vec<MetadataRecord> {
        let leaves = |p: &PartitionRegistration| p.isr.contains(&broker) && PartitionRule::FencingLeavesTheIsr.holds();
        let mut records = self.generate_leader_and_isr_updates(Cause::Leaves(broker), leaves);
        if let Some(registration) = self.image.brokers.get(&broker) {
            records.push(MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
                broker,
                broker_epoch: registration.broker_epoch,
                fenced: Some(true),
                in_controlled_shutdown: None,
            }));
        }
        if !PartitionRule::FenceComesAfterTheElections.holds() {
            records.reverse();
        }
        records
    }

    /// Unfences the broker, then looks only at partitions without leader: it may be the one they waited for.
    /// Source: `ReplicationControlManager.handleBrokerUnfenced`.
    pub fn handle_broker_unfenced(&self, broker: BrokerId, broker_epoch: i64) -> Vec<MetadataRecord> {
        let mut records = vec![MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
            broker,
            broker_epoch,
            fenced: Some(false),
            in_controlled_shutdown: None,
        })];
        let waits =
            |p: &PartitionRegistration| !p.has_leader() && PartitionRule::UnfencingElectsWhereNobodyLeads.holds();
        records.extend(self.generate_leader_and_isr_updates(Cause::Returns(broker), waits));
        records
    }

    /// Marks the broker, takes it out of every ISR and moves its leaderships. What nobody else can lead is left without
    /// leader.
    /// Source: `ReplicationControlManager.handleBrokerInControlledShutdown`.
    pub fn handle_broker_in_controlled_shutdown(&self, broker: BrokerId, broker_epoch: i64) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        let is_marked = self.image.brokers.get(&broker).is_some_and(|b| b.in_controlled_shutdown);
        if !is_marked && PartitionRule::ControlledShutdownIsMarked.holds() {
            records.push(MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
                broker,
                broker_epoch,
                fenced: None,
                in_controlled_shutdown: Some(true),
            }));
        }
        let leaves = |p: &PartitionRegistration| {
            p.isr.contains(&broker) && PartitionRule::ControlledShutdownLeavesTheIsr.holds()
        };
        records.extend(self.generate_leader_and_isr_updates(Cause::Leaves(broker), leaves));
        records
    }

    /// A new incarnation registers. After a clean stop its predecessor is taken out of every ISR as if it had been
    /// fenced, which may leave it eligible. After an unclean one its disk may have lost what it was known to have, so it
    /// leaves ISR and ELR, with all that follows for leaders and epochs (KAFKA-18106). With ELR off nobody asks how it
    /// stopped: the last in-sync replica stays in the ISR and may lead again with what its disk kept.
    ///
    /// The zoo switch `elr-trusts-unclean` takes every stop for a clean one.
    /// Source: KIP-966, `ReplicationControlManager.handleBrokerShutdown`.
    pub fn handle_broker_shutdown(&self, broker: BrokerId, clean: bool) -> Vec<MetadataRecord> {
        if !BrokerRule::NewIncarnationIsNotInSync.holds() {
            return Vec::new();
        }
        let clean = clean || self.zoo.on(Switch::ElrTrustsUnclean) || !BrokerRule::UncleanStopEndsIsrAndElr.holds();
        if !self.elr_feature_is_on() || clean {
            return self.generate_leader_and_isr_updates(Cause::Leaves(broker), |p| p.isr.contains(&broker));
        }
        let cause = Cause::StoppedUncleanly(broker);
        let mut records = self.generate_leader_and_isr_updates(cause, |p| p.isr.contains(&broker));
        records.extend(self.generate_leader_and_isr_updates(cause, |p| p.elr.contains(&broker)));
        records
    }

    /// A change record for each of the chosen partitions that needs one.
    /// Source: `ReplicationControlManager.generateLeaderAndIsrUpdates`.
    fn generate_leader_and_isr_updates(
        &self,
        cause: Cause,
        chosen: impl Fn(&PartitionRegistration) -> bool,
    ) -> Vec<MetadataRecord> {
        let is_acceptable_leader = |replica| match cause {
            Cause::Leaves(broker) | Cause::StoppedUncleanly(broker)
                if broker == replica && PartitionRule::WhoLeavesIsNotElected.holds() =>
            {
                false
            }
            Cause::Returns(broker) if broker == replica => PartitionRule::WhoReturnsMayBeElected.holds(),
            _ => self.image.is_active(replica),
        };
        let (leaves, unclean) = match cause {
            Cause::Leaves(broker) => (Some(broker), None),
            Cause::Returns(_) => (None, None),
            Cause::StoppedUncleanly(broker) => (Some(broker), Some(broker)),
        };
        let mut records = Vec::new();
        for topic in self.image.topics.values() {
            let election = if self.unclean_election_is_allowed(topic) { Election::Unclean } else { Election::Online };
            let eligible_leaders = self.eligible_leaders(topic);
            for (index, partition) in (0..).zip(&topic.partitions).filter(|(_, partition)| chosen(partition)) {
                let target_isr = partition.isr.iter().copied().filter(|member| leaves != Some(*member)).collect();
                let id = topic.topic_id;
                let change = PartitionChangeBuilder::new(id, index, partition, eligible_leaders, &is_acceptable_leader)
                    .election(election)
                    .target_isr(target_isr)
                    .unclean_shutdown(unclean)
                    .bumps_on_shrink(self.zoo.on(Switch::LeaderEpochBumpOnShrink))
                    .build();
                records.extend(change.map(MetadataRecord::PartitionChange));
            }
        }
        records
    }
}
