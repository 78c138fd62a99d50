//! A group of the consumer protocol (KIP-848): the coordinator assigns, and each member comes to its assignment in its own time.
//!
//! ```text
//!   a member comes, goes, changes       group epoch > target epoch        each member, by its heartbeats
//!   or a topic does ──▶ group epoch +1 ──▶ target assignment ──▶ gives back what it is not to have (UnrevokedPartitions)
//!                                                            ──▶ has the target's epoch, and what is free (UnreleasedPartitions)
//!                                                            ──▶ has all of it (Stable)
//! ```
//!
//! A partition is given to a member when nobody else has it: the map of partition epochs tells who has what, and covers
//! what a member is to give back until it says that it has. All of it follows from the records. Source: `ConsumerGroup`,
//! `GroupMetadataManager.consumerGroup*`. Not modelled: members of the classic protocol in such a group, and groups that go
//! from one protocol to the other with members in them (`group.consumer.migration.policy=disabled`).

mod describe;
mod heartbeat;
mod leave;
mod member;
mod metadata_hash;
mod partition_epochs;
mod reconcile;
mod regex;
mod replay;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;

pub use self::member::{ConsumerMember, MemberState};
use self::partition_epochs::PartitionEpochs;
use super::records::{Partitions, Record, ResolvedExpression};
use crate::conformance::ConsumerGroupRule;
use crate::group::offsets::CONSUMER_PROTOCOL_VERSION;
use crate::node::Nanos;

/// The epoch of a member that leaves.
pub const LEAVE: i32 = -1;
/// The epoch of a static member that will come again.
pub const LEAVE_STATIC: i32 = -2;

/// Where a group stands (`ConsumerGroupState`); it follows from its epochs and members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerGroupState {
    /// Nobody is in it.
    Empty,
    /// Its target assignment is of an earlier epoch.
    Assigning,
    /// A member does not have yet what it is to have.
    Reconciling,
    /// Everybody has what it is to have.
    Stable,
}

impl ConsumerGroupState {
    /// As Kafka's tools show it.
    pub fn name(self) -> &'static str {
        match self {
            ConsumerGroupState::Empty => "Empty",
            ConsumerGroupState::Assigning => "Assigning",
            ConsumerGroupState::Reconciling => "Reconciling",
            ConsumerGroupState::Stable => "Stable",
        }
    }
}

/// Until when what the group knows of its topics is good. No record tells of it.
#[derive(Clone, Copy, Debug, Default)]
struct MetadataDeadline {
    at: Nanos,
    /// The group epoch that it was looked up for: a group that was taken back behind it has not looked.
    epoch: i32,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub struct ConsumerGroup {
    id: String,
    epoch: i32,
    metadata_hash: i64,
    target_epoch: i32,
    members: BTreeMap<String, ConsumerMember>,
    static_members: BTreeMap<String, String>,
    target: BTreeMap<String, Partitions>,
    partition_epochs: PartitionEpochs,
    expressions: BTreeMap<String, ResolvedExpression>,
    metadata_deadline: MetadataDeadline,
}

impl ConsumerGroup {
    /// A group without anything.
    pub fn new(id: &str) -> ConsumerGroup {
        ConsumerGroup {
            id: id.to_string(),
            epoch: 0,
            metadata_hash: 0,
            target_epoch: 0,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            target: BTreeMap::new(),
            partition_epochs: PartitionEpochs::default(),
            expressions: BTreeMap::new(),
            metadata_deadline: MetadataDeadline::default(),
        }
    }
    /// Is nobody in it?
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
    /// Its epoch.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }
    /// The epoch of its target assignment.
    pub fn target_epoch(&self) -> i32 {
        self.target_epoch
    }
    /// Its members.
    pub fn members(&self) -> &BTreeMap<String, ConsumerMember> {
        &self.members
    }
    /// What a member is to have; `None` if nobody has looked yet.
    pub fn target(&self, member: &str) -> Option<&Partitions> {
        self.target.get(member)
    }
    /// Source: `ConsumerGroup.maybeUpdateGroupState`.
    pub fn state(&self) -> ConsumerGroupState {
        if self.members.is_empty() {
            ConsumerGroupState::Empty
        } else if self.epoch > self.target_epoch {
            ConsumerGroupState::Assigning
        } else if self.members.values().any(|member| !member.is_reconciled_to(self.target_epoch)) {
            ConsumerGroupState::Reconciling
        } else {
            ConsumerGroupState::Stable
        }
    }
    /// Does anybody in it consume this topic?
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| self.topics_of(member).contains(topic))
    }

    /// What a member names, and what its regular expression was found to mean.
    fn topics_of<'a>(&'a self, member: &'a ConsumerMember) -> BTreeSet<&'a str> {
        let resolved = member.subscribed_topic_regex.as_ref().and_then(|regex| self.expressions.get(regex));
        let by_name = member.subscribed_topic_names.iter();
        by_name.chain(resolved.iter().flat_map(|resolved| &resolved.topics)).map(String::as_str).collect()
    }
    /// The member behind an instance id.
    fn static_member(&self, instance: &str) -> Option<&ConsumerMember> {
        self.members.get(self.static_members.get(instance)?)
    }
    /// What a member is to have: a static one that comes under a new id has what the old one was to have.
    fn target_of(&self, member: &ConsumerMember) -> Partitions {
        let id = match &member.instance {
            Some(instance) => self.static_members.get(instance),
            None => Some(&member.id),
        };
        id.and_then(|id| self.target.get(id)).cloned().unwrap_or_default()
    }
    /// How many members describe their topics so?
    fn subscribers_of(&self, regex: &str) -> usize {
        self.members.values().filter(|member| member.subscribed_topic_regex.as_deref() == Some(regex)).count()
    }

    /// Members say how far they have come in their current epoch; without members anybody may, without an epoch.
    /// Source: `ConsumerGroup.validateOffsetCommit`.
    pub fn check_commit(&self, member: &str, epoch: i32, api_version: i16) -> Result<(), ResponseError> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.members.get(member).ok_or(ResponseError::UnknownMemberId)?;
        if api_version < CONSUMER_PROTOCOL_VERSION && ConsumerGroupRule::CommitKnowsMemberEpochs.holds() {
            return Err(ResponseError::UnsupportedVersion);
        }
        member.check_epoch(epoch)
    }
    /// Source: `ConsumerGroup.validateOffsetFetch`.
    pub fn check_fetch(&self, member: Option<&str>, epoch: i32) -> Result<(), ResponseError> {
        let Some(member) = member else {
            return if epoch < 0 { Ok(()) } else { Err(ResponseError::UnknownMemberId) };
        };
        self.members.get(member).ok_or(ResponseError::UnknownMemberId)?.check_epoch(epoch)
    }

    /// In this order, so that at no point of the log a member has something in a group without epoch.
    /// Source: `ConsumerGroup.createGroupTombstoneRecords`.
    pub fn tombstones(&self, records: &mut Vec<Record>) {
        let group = || self.id.clone();
        let members = || self.members.keys().cloned();
        records.extend(members().map(|member| Record::CurrentAssignment { group: group(), member, value: None }));
        records.extend(members().map(|member| Record::TargetAssignment { group: group(), member, value: None }));
        records.push(Record::TargetEpoch { group: group(), value: None });
        records.extend(members().map(|member| Record::Member { group: group(), member, value: None }));
        let expressions = self.expressions.keys().cloned();
        records.extend(expressions.map(|expression| Record::RegularExpression {
            group: group(),
            expression,
            value: None,
        }));
        records.push(Record::GroupEpoch { group: group(), value: None });
    }
}
