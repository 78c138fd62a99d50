//! The assignors of KIP-848: the coordinator of the group computes the target assignment.
//!
//! ```text
//!   members, their topics ──┐                 ┌── [`ServerAssignor::Range`]
//!   target assignment ──────┼─▶ [`GroupSpec`] ┤                              ┌ all subscribe to the same: homogeneous.rs
//!   partitions of topics ───┘        ▲        └── [`ServerAssignor::Uniform`] ┤
//!                                    │                                       └ they differ: heterogeneous.rs
//!                     [`target::TargetAssignmentBuilder`]: what of it changed?
//! ```
//!
//! Unlike the clients' assignors these know topics by id, tell apart whether all members subscribe to the same instead of
//! finding out, and take the target assignment so far, not what members say, for what is owned. Racks are known to them and
//! not used, as in Kafka 4.1.

mod balancer;
mod heterogeneous;
mod homogeneous;
mod range;
pub mod target;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::group::assignor::java_order;
use crate::ids::Topic;

/// The partitions of one member, by topic id. Topics without partitions do not occur.
pub type MemberAssignment = BTreeMap<Uuid, BTreeSet<i32>>;

/// The assignment of the members that got one. One without an entry has nothing.
pub type GroupAssignment = BTreeMap<String, MemberAssignment>;

/// How many partitions each topic has.
pub type TopicSizes = BTreeMap<Uuid, i32>;

/// Do all members subscribe to the same topics (`SubscriptionType`)?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionType {
    /// They do.
    Homogeneous,
    /// They do not.
    Heterogeneous,
}

impl SubscriptionType {
    /// The type of a group with these members' topics (`ConsumerGroup.subscriptionType`): by name, whether a topic exists or not.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a BTreeSet<Topic>>) -> Self {
        let mut members = members.into_iter();
        match members.next() {
            Some(first) if !members.all(|other| other == first) => SubscriptionType::Heterogeneous,
            _ => SubscriptionType::Homogeneous,
        }
    }
}

/// What an assignor knows of a member (`MemberSubscription`, `MemberAssignment`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberSpec {
    /// Its `group.instance.id`.
    pub instance_id: Option<String>,
    /// The rack in which it stands.
    pub rack_id: Option<String>,
    /// The topics that it subscribes to and that exist.
    pub subscribed_topic_ids: BTreeSet<Uuid>,
    /// Its target assignment so far.
    pub assignment: MemberAssignment,
}

/// What an assignor knows of a group (`GroupSpec`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// The members.
    pub members: BTreeMap<String, MemberSpec>,
    /// Do they subscribe to the same?
    pub subscription_type: SubscriptionType,
    /// The partitions that are in the target assignment of anybody, members that are gone included.
    pub assigned: MemberAssignment,
}

impl GroupSpec {
    /// The members as Kafka's hash map walks over them.
    fn members_in_order(&self) -> Vec<(&str, &MemberSpec)> {
        let order = java_order::grown(self.members.keys().map(String::as_str));
        order
            .into_iter()
            .filter_map(|member| self.members.get_key_value(member))
            .map(|(id, of)| (id.as_str(), of))
            .collect()
    }

    fn is_assigned(&self, topic_id: Uuid, partition: i32) -> bool {
        self.assigned.get(&topic_id).is_some_and(|partitions| partitions.contains(&partition))
    }
}

/// Why a coordinator cannot assign (`PartitionAssignorException`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignorError {
    /// A subscribed topic is not among those whose size is known.
    #[error("a member subscribes to topic {topic_id}, which does not exist: its partitions should be known")]
    UnknownTopic {
        /// The topic.
        topic_id: Uuid,
    },
    /// The quotas of all members are used up.
    #[error("{count} partitions are left unassigned: the target assignment so far has partitions that do not exist")]
    LeftUnassigned {
        /// How many.
        count: i32,
    },
}

/// The assignors that come with Kafka's coordinator (`group.consumer.assignors`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerAssignor {
    /// `org.apache.kafka.coordinator.group.assignor.UniformAssignor`.
    Uniform,
    /// `org.apache.kafka.coordinator.group.assignor.RangeAssignor`.
    Range,
}

impl ServerAssignor {
    /// All of them; the first is the default.
    pub const ALL: [ServerAssignor; 2] = [ServerAssignor::Uniform, ServerAssignor::Range];

    /// The name by which members ask for it (`group.remote.assignor`).
    pub const fn name(self) -> &'static str {
        match self {
            ServerAssignor::Uniform => "uniform",
            ServerAssignor::Range => "range",
        }
    }

    /// The assignor of that name; `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// The new assignment of the group.
    pub fn assign(self, group: &GroupSpec, topics: &TopicSizes) -> Result<GroupAssignment, AssignorError> {
        if group.members.is_empty() {
            return Ok(GroupAssignment::new());
        }
        match (self, group.subscription_type) {
            (ServerAssignor::Range, _) => range::assign(group, topics),
            (ServerAssignor::Uniform, SubscriptionType::Homogeneous) => homogeneous::assign(group, topics),
            (ServerAssignor::Uniform, SubscriptionType::Heterogeneous) => heterogeneous::assign(group, topics),
        }
    }
}

fn size_of(topics: &TopicSizes, topic_id: Uuid) -> Result<i32, AssignorError> {
    topics.get(&topic_id).copied().ok_or(AssignorError::UnknownTopic { topic_id })
}
