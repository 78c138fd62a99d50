//! What a record changes in a group of the consumer protocol. Nothing else does.
//!
//! Source: `GroupMetadataManager.replay(ConsumerGroup*)`. A tombstone for what is not there is passed over: compaction may
//! have removed what it was about.

use super::{ConsumerGroup, ConsumerMember, LEAVE};
use crate::group::coordinator::{Coordinator, Group};
use crate::group::records::{Partitions, Record};
use crate::zoo::Zoo;

impl Coordinator {
    /// A record about a group of the consumer protocol.
    pub fn replay_consumer_group(&mut self, record: &Record) {
        let id = record.group().to_string();
        let is_consumer = matches!(self.groups.get(&id), Some(Group::Consumer(_)));
        if !is_consumer {
            let may_replace = match self.groups.get(&id) {
                None => true,
                Some(Group::Classic(group)) => group.is_simple(),
                Some(Group::Consumer(_)) => false,
            };
            if record.is_tombstone() || !may_replace {
                return;
            }
            self.groups.insert(self.written, id.clone(), Group::Consumer(ConsumerGroup::new(&id)));
        }
        if matches!(record, Record::GroupEpoch { value: None, .. }) {
            self.groups.remove(self.written, &id);
            return;
        }
        let zoo = self.zoo;
        self.groups.change(self.written, &id, |group| {
            if let Group::Consumer(group) = group {
                group.replay(record, zoo);
            }
        });
    }
}

impl ConsumerGroup {
    fn replay(&mut self, record: &Record, zoo: Zoo) {
        match record {
            Record::GroupEpoch { value: Some(value), .. } => {
                self.epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            Record::Member { member, value: Some(value), .. } => {
                self.update(member, zoo, |member| member.take_subscription(value))
            }
            Record::Member { member, value: None, .. } => self.remove(member, zoo),
            Record::TargetEpoch { value, .. } => self.target_epoch = value.unwrap_or(-1),
            Record::TargetAssignment { member, value: Some(value), .. } => {
                self.target.insert(member.clone(), value.clone());
            }
            Record::TargetAssignment { member, value: None, .. } => {
                self.target.remove(member);
            }
            Record::CurrentAssignment { member, value: Some(value), .. } => {
                self.update(member, zoo, |member| member.take_assignment(value))
            }
            // The member stays until its own tombstone comes, without anything.
            Record::CurrentAssignment { member, value: None, .. } if self.members.contains_key(member) => {
                self.update(member, zoo, |member| {
                    (member.epoch, member.previous_epoch) = (LEAVE, LEAVE);
                    (member.assigned, member.pending_revocation) = (Partitions::new(), Partitions::new());
                })
            }
            Record::RegularExpression { expression, value: Some(value), .. } => {
                self.expressions.insert(expression.clone(), value.clone());
            }
            Record::RegularExpression { expression, value: None, .. } => {
                self.expressions.remove(expression);
            }
            // Written by coordinators before 4.1; the hash in the group's epoch stands in its place.
            Record::PartitionMetadata { .. } => {}
            Record::CurrentAssignment { .. }
            | Record::GroupEpoch { .. }
            | Record::Offset { .. }
            | Record::ClassicGroup { .. } => {}
        }
    }

    fn update(&mut self, id: &str, zoo: Zoo, change: impl FnOnce(&mut ConsumerMember)) {
        let old = self.members.get(id).cloned();
        let mut new = old.clone().unwrap_or_else(|| ConsumerMember::new(id));
        change(&mut new);
        self.partition_epochs.update(old.as_ref(), Some(&new), zoo);
        if let Some(instance) = &new.instance {
            self.static_members.insert(instance.clone(), id.to_string());
        }
        self.members.insert(id.to_string(), new);
    }
    fn remove(&mut self, id: &str, zoo: Zoo) {
        let Some(old) = self.members.remove(id) else { return };
        self.partition_epochs.update(Some(&old), None, zoo);
        if let Some(instance) = &old.instance {
            self.static_members.remove(instance);
        }
    }
}
