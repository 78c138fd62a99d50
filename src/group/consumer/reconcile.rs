//! What may a member have next, on its way to its target?

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use uuid::Uuid;

use super::partition_epochs::PartitionEpochs;
use super::{ConsumerMember, MemberState};
use crate::conformance::ConsumerGroupRule;
use crate::group::records::Partitions;
use crate::zoo::{Switch, Zoo};

/// Everything that a member's next assignment follows from (`CurrentAssignmentBuilder`).
pub struct Reconciliation<'a> {
    /// The member as it is.
    pub member: &'a ConsumerMember,
    /// The epoch of the target.
    pub target_epoch: i32,
    /// What it is to have.
    pub target: &'a Partitions,
    /// Who has what.
    pub partition_epochs: &'a PartitionEpochs,
    /// What it says that it has; `None` if it says nothing.
    pub owned: Option<&'a [TopicPartitions]>,
    /// Switches of the bug zoo.
    pub zoo: Zoo,
}

impl Reconciliation<'_> {
    /// The member as it is to be next. Source: `CurrentAssignmentBuilder.build`.
    pub fn next(&self) -> Result<ConsumerMember, ResponseError> {
        let member = self.member;
        match member.state {
            MemberState::Stable if member.epoch == self.target_epoch => Ok(member.clone()),
            MemberState::Stable | MemberState::UnreleasedPartitions => Ok(self.assign(member.epoch)),
            MemberState::UnrevokedPartitions => {
                let keeps = self.owns_any(&member.pending_revocation);
                match keeps && ConsumerGroupRule::RevocationIsWaitedFor.holds() {
                    true => Ok(member.clone()),
                    // It has given back, and has come one epoch on.
                    false => Ok(self.assign(member.epoch + 1)),
                }
            }
            // Only a member that has nothing can go on from a state that nobody knows here.
            MemberState::Unknown(_) => match self.owned {
                Some([]) => Ok(self.assign(self.target_epoch)),
                _ => Err(ResponseError::FencedMemberEpoch),
            },
        }
    }

    /// Does the member say that it has any of these? One that says nothing has what it had.
    /// Source: `CurrentAssignmentBuilder.ownsRevokedPartitions`.
    fn owns_any(&self, revoked: &Partitions) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|topic| {
            let revoked = revoked.get(&topic.topic_id);
            revoked.is_some_and(|revoked| topic.partitions.iter().any(|partition| revoked.contains(partition)))
        })
    }

    /// First it gives back, then it gets: what others have not given back it gets later.
    /// Source: `CurrentAssignmentBuilder.computeNextAssignment`.
    fn assign(&self, epoch: i32) -> ConsumerMember {
        let (mut kept, mut revoked, mut added) = (Partitions::new(), Partitions::new(), Partitions::new());
        let mut has_unreleased = false;
        let none = BTreeSet::new();
        let topics: BTreeSet<&Uuid> = self.target.keys().chain(self.member.assigned.keys()).collect();
        for topic in topics {
            let target = self.target.get(topic).unwrap_or(&none);
            let has = self.member.assigned.get(topic).unwrap_or(&none);
            put(&mut kept, *topic, has.intersection(target).copied());
            put(&mut revoked, *topic, has.difference(target).copied());
            let (held, free): (Vec<i32>, Vec<i32>) =
                target.difference(has).copied().partition(|partition| self.is_held_by_another(*topic, *partition));
            has_unreleased |= !held.is_empty();
            put(&mut added, *topic, free);
        }
        if !revoked.is_empty() && self.owns_any(&revoked) {
            return self.member.in_epoch(epoch, MemberState::UnrevokedPartitions, kept, revoked);
        }
        for (topic, partitions) in added {
            kept.entry(topic).or_default().extend(partitions);
        }
        let state = if has_unreleased { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        self.member.in_epoch(self.target_epoch, state, kept, Partitions::new())
    }

    fn is_held_by_another(&self, topic: Uuid, partition: i32) -> bool {
        let is_held = self.partition_epochs.is_held(topic, partition);
        // Before 3.8 a member got back at once what it was to give back itself.
        let own = self.member.pending_revocation.get(&topic).is_some_and(|partitions| partitions.contains(&partition));
        is_held
            && !(own && self.zoo.on(Switch::Kip848EpochBookkeeping))
            && ConsumerGroupRule::OnlyFreePartitionsAreAssigned.holds()
            && !self.zoo.on(Switch::AssignBeforeRevokeAck)
    }
}

fn put(partitions: &mut Partitions, topic: Uuid, these: impl IntoIterator<Item = i32>) {
    let these: BTreeSet<i32> = these.into_iter().collect();
    if !these.is_empty() {
        partitions.insert(topic, these);
    }
}
