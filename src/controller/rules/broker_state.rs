//! What fencing, unfencing, stopping or replacing a broker does to the partitions.
//!
//! The order of records matters: partition changes come before the record that fences or registers, and all of them
//! are one atomic batch, so that nobody ever sees a fenced broker lead.

use super::Cluster;
use super::election::{Election, PartitionChangeBuilder};
use crate::ids::BrokerId;
use crate::metadata::{BrokerRegistrationChange, MetadataRecord, PartitionRegistration};

impl Cluster<'_> {
    /// Takes the broker out of every ISR, with an election where it led, then fences it.
    /// Source: `ReplicationControlManager.handleBrokerFenced`.
    pub fn handle_broker_fenced(&self, broker: BrokerId) -> Vec<MetadataRecord> {
        let mut records = self.generate_leader_and_isr_updates(Some(broker), None, |p| p.isr.contains(&broker));
        if let Some(registration) = self.image.brokers.get(&broker) {
            records.push(MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
                broker,
                broker_epoch: registration.broker_epoch,
                fenced: Some(true),
                in_controlled_shutdown: None,
            }));
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
        records.extend(self.generate_leader_and_isr_updates(None, Some(broker), |p| !p.has_leader()));
        records
    }

    /// Marks the broker, takes it out of every ISR and moves its leaderships. What it cannot give up (it is the last
    /// in-sync replica) is left without leader.
    /// Source: `ReplicationControlManager.handleBrokerInControlledShutdown`.
    pub fn handle_broker_in_controlled_shutdown(&self, broker: BrokerId, broker_epoch: i64) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        if !self.image.brokers.get(&broker).is_some_and(|b| b.in_controlled_shutdown) {
            records.push(MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
                broker,
                broker_epoch,
                fenced: None,
                in_controlled_shutdown: Some(true),
            }));
        }
        records.extend(self.generate_leader_and_isr_updates(Some(broker), None, |p| p.isr.contains(&broker)));
        records
    }

    /// A new incarnation registers: its predecessor is taken out of every ISR as if it had been fenced, however it
    /// stopped. The last in-sync replica stays in the ISR and may lead again after an unclean stop, with what its disk
    /// kept: that is Kafka with ELR off. Source: `ReplicationControlManager.handleBrokerShutdown` (KAFKA-18106).
    pub fn handle_broker_shutdown(&self, broker: BrokerId) -> Vec<MetadataRecord> {
        self.generate_leader_and_isr_updates(Some(broker), None, |p| p.isr.contains(&broker))
    }

    /// A change record for each of the chosen partitions that needs one. `remove` leaves the ISR and cannot be
    /// elected, `add` can though the image still shows it fenced.
    /// Source: `ReplicationControlManager.generateLeaderAndIsrUpdates`.
    fn generate_leader_and_isr_updates(
        &self,
        remove: Option<BrokerId>,
        add: Option<BrokerId>,
        chosen: impl Fn(&PartitionRegistration) -> bool,
    ) -> Vec<MetadataRecord> {
        let is_acceptable_leader =
            |broker| remove != Some(broker) && (add == Some(broker) || self.image.is_active(broker));
        let mut records = Vec::new();
        for topic in self.image.topics.values() {
            let election = if self.unclean_election_is_allowed(topic) { Election::Unclean } else { Election::Online };
            for (index, partition) in (0..).zip(&topic.partitions) {
                if !chosen(partition) {
                    continue;
                }
                let target_isr = partition.isr.iter().copied().filter(|member| remove != Some(*member)).collect();
                let change = PartitionChangeBuilder::new(topic.topic_id, index, partition, &is_acceptable_leader)
                    .election(election)
                    .target_isr(target_isr)
                    .build();
                records.extend(change.map(MetadataRecord::PartitionChange));
            }
        }
        records
    }
}
