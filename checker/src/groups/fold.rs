//! The fold of records of `__consumer_offsets`: what groups are, and how far they have come, by the log alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::observation::{Generation, GroupRecord, MemberAssignment, Partition};

/// One group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GroupFold {
    /// Of the classic protocol: the last generation that was written, and what its members were assigned.
    pub(super) generation: Option<Generation>,
    /// Of the consumer protocol: its epoch.
    pub(super) epoch: Option<i32>,
    /// And its members.
    pub(super) members: BTreeMap<Arc<str>, MemberAssignment>,
}

impl GroupFold {
    /// Has anybody this partition?
    pub(super) fn is_assigned(&self, partition: &Partition) -> bool {
        let classic =
            self.generation.iter().flat_map(|generation| &generation.members).flat_map(|(_, partitions)| partitions);
        let modern = self.members.values().flat_map(|member| member.assigned.iter().chain(&member.revoking));
        classic.chain(modern).any(|assigned| assigned == partition)
    }

    /// Is anybody in it, by what was written?
    pub(super) fn has_members(&self) -> bool {
        !self.members.is_empty() || self.generation.as_ref().is_some_and(|generation| !generation.members.is_empty())
    }
}

/// All groups of one partition of the topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fold {
    pub(super) groups: BTreeMap<Arc<str>, GroupFold>,
    pub(super) offsets: BTreeMap<(Arc<str>, Partition), i64>,
}

impl Fold {
    /// Takes one record in.
    pub(super) fn apply(&mut self, record: &GroupRecord) {
        match record {
            GroupRecord::Offset { group, partition, offset } => {
                let key = (group.clone(), partition.clone());
                match offset {
                    Some(offset) => self.offsets.insert(key, *offset),
                    None => self.offsets.remove(&key),
                };
            }
            GroupRecord::Generation { group, value } => self.of(group).generation.clone_from(value),
            GroupRecord::GroupEpoch { group, epoch } => self.of(group).epoch = *epoch,
            GroupRecord::Member { group, member, value: Some(value) } => {
                self.of(group).members.insert(member.clone(), value.clone());
            }
            GroupRecord::Member { group, member, value: None } => {
                self.of(group).members.remove(member);
            }
        }
    }

    fn of(&mut self, group: &Arc<str>) -> &mut GroupFold {
        self.groups.entry(group.clone()).or_default()
    }
}
