//! Who has a partition: the epoch of the member that has it, or is to give it back.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::ConsumerMember;
use crate::conformance::ConsumerGroupRule;
use crate::group::records::Partitions;
use crate::zoo::{Switch, Zoo};

/// The epoch in which each partition is held; what is not there is free (`ConsumerGroup.currentPartitionEpoch`).
#[derive(Clone, Debug, Default)]
pub struct PartitionEpochs(BTreeMap<(Uuid, i32), i32>);

impl PartitionEpochs {
    /// Has anybody this partition?
    pub fn is_held(&self, topic: Uuid, partition: i32) -> bool {
        self.0.contains_key(&(topic, partition))
    }

    /// A member has other partitions than before. Everything that it had is taken out before anything that it has is
    /// entered: a partition may go from what it is to give back to what it has. Source: `ConsumerGroup.maybeUpdatePartitionEpoch`.
    pub fn update(&mut self, old: Option<&ConsumerMember>, new: Option<&ConsumerMember>, zoo: Zoo) {
        match (old, new) {
            (Some(old), Some(new)) if zoo.on(Switch::Kip848EpochBookkeeping) => {
                self.update_one_by_one(old, new);
            }
            (old, new) => {
                if let Some(old) = old {
                    self.remove(&old.assigned);
                    self.remove(&old.pending_revocation);
                }
                if let Some(new) = new {
                    self.enter(&new.assigned, new.epoch);
                    if ConsumerGroupRule::PendingRevocationIsHeld.holds() {
                        self.enter(&new.pending_revocation, new.epoch);
                    }
                }
            }
        }
    }

    /// KAFKA-16147, before 3.8: a partition that goes from what the member is to give back to what it has is entered, and
    /// then taken out.
    fn update_one_by_one(&mut self, old: &ConsumerMember, new: &ConsumerMember) {
        for (old, new_partitions) in
            [(&old.assigned, &new.assigned), (&old.pending_revocation, &new.pending_revocation)]
        {
            if old != new_partitions {
                self.remove(old);
                self.enter(new_partitions, new.epoch);
            }
        }
    }

    fn remove(&mut self, partitions: &Partitions) {
        for (topic, partition) in flat(partitions) {
            self.0.remove(&(topic, partition));
        }
    }
    fn enter(&mut self, partitions: &Partitions, epoch: i32) {
        for (topic, partition) in flat(partitions) {
            self.0.insert((topic, partition), epoch);
        }
    }
}

/// Each partition of a set.
pub fn flat(partitions: &Partitions) -> impl Iterator<Item = (Uuid, i32)> {
    partitions.iter().flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
}
