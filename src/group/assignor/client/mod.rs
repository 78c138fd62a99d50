//! The assignors of the classic protocol: the leader of the group computes the assignment of all.
//!
//! A member offers the names of its assignors with JoinGroup, with its subscription in bytes; the coordinator picks one that
//! all offer ([`select_protocol`]) and makes one member the leader, which reads all subscriptions, assigns, and sends every
//! assignment back in bytes ([`perform_assignment`]).

mod constrained;
pub mod consumer_protocol;
mod cooperative;
mod general;
mod movements;
mod racks;
mod range;
mod round_robin;
mod selection;
mod sticky;
mod user_data;
mod wire;

use std::collections::BTreeMap;

use bytes::Bytes;

use self::consumer_protocol::{Assignment, NotEncodable, Subscription};
pub use self::racks::{PartitionsPerTopic, Racks, without_racks};
pub use self::selection::{RebalanceProtocol, rebalance_protocol, select_protocol, supported_by_all};
pub use self::user_data::LastAssignment;
use self::user_data::{DEFAULT_GENERATION, StickyKind};
pub use self::wire::Malformed;
use crate::ids::TopicPartition;

/// The partitions of each member. Every member of the group has an entry.
pub type Assignments = BTreeMap<String, Vec<TopicPartition>>;

/// How a sticky assignor takes what members say they own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claims {
    /// Of two claims the one of the higher generation counts, and of equals neither (KAFKA-12984, KAFKA-14639, KIP-792).
    ByGeneration,
    /// Only what members of the highest generation claim counts, as from Kafka 3.0 to 3.4 (KAFKA-13419, KAFKA-14639).
    /// Historical, for the bug zoo: what a member that missed the last generation still has is taken to be free, and
    /// goes to another at once.
    OfHighestGeneration,
}

/// The assignors that come with Kafka's consumer (`partition.assignment.strategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientAssignor {
    /// `org.apache.kafka.clients.consumer.RangeAssignor`.
    Range,
    /// `org.apache.kafka.clients.consumer.RoundRobinAssignor`.
    RoundRobin,
    /// `org.apache.kafka.clients.consumer.StickyAssignor` (KIP-54).
    Sticky,
    /// `org.apache.kafka.clients.consumer.CooperativeStickyAssignor` (KIP-429).
    CooperativeSticky,
}

impl ClientAssignor {
    /// All of them.
    pub const ALL: [ClientAssignor; 4] =
        [ClientAssignor::Range, ClientAssignor::RoundRobin, ClientAssignor::Sticky, ClientAssignor::CooperativeSticky];

    /// The name by which members offer it.
    pub const fn name(self) -> &'static str {
        match self {
            ClientAssignor::Range => "range",
            ClientAssignor::RoundRobin => "roundrobin",
            ClientAssignor::Sticky => "sticky",
            ClientAssignor::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// The assignor of that name; `None` if it is none of Kafka's.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// The rebalance protocols that it can be used with.
    pub const fn supported_protocols(self) -> &'static [RebalanceProtocol] {
        match self {
            ClientAssignor::CooperativeSticky => &[RebalanceProtocol::Cooperative, RebalanceProtocol::Eager],
            _ => &[RebalanceProtocol::Eager],
        }
    }

    /// What a member tells the leader's assignor when it joins (`subscriptionUserData`). `last`: what it was assigned last,
    /// whether it still owns it or not; `None` for a member that was never assigned anything.
    pub fn subscription_user_data(self, last: Option<&LastAssignment>) -> Option<Bytes> {
        match self {
            ClientAssignor::Range | ClientAssignor::RoundRobin => None,
            ClientAssignor::Sticky => last.map(user_data::encode_eager),
            ClientAssignor::CooperativeSticky => {
                Some(user_data::encode_cooperative(last.map_or(DEFAULT_GENERATION, |last| last.generation)))
            }
        }
    }

    /// The assignment of every member. Of `partitions` only topics that somebody subscribes to and that have partitions
    /// count (`AbstractPartitionAssignor.assign`); so `partitions` may be all that the leader's metadata knows.
    pub fn assign(
        self,
        partitions: &PartitionsPerTopic,
        subscriptions: &BTreeMap<String, Subscription>,
        claims: Claims,
    ) -> Assignments {
        let is_subscribed = |topic| subscriptions.values().any(|subscription| subscription.topics.contains(topic));
        let partitions: PartitionsPerTopic = partitions
            .iter()
            .filter(|(topic, partitions)| !partitions.is_empty() && is_subscribed(topic))
            .map(|(topic, partitions)| (topic.clone(), partitions.clone()))
            .collect();
        match self {
            ClientAssignor::Range => range::assign(&partitions, subscriptions),
            ClientAssignor::RoundRobin => round_robin::assign(&partitions, subscriptions),
            ClientAssignor::Sticky => sticky::assign(StickyKind::Eager, &partitions, subscriptions, claims).assignments,
            ClientAssignor::CooperativeSticky => cooperative::assign(&partitions, subscriptions, claims),
        }
    }
}

/// Members as `range` and `roundrobin` take them: static ones by their `group.instance.id`, then the others by their member
/// id (`AbstractPartitionAssignor.MemberInfo`).
fn members_in_order(subscriptions: &BTreeMap<String, Subscription>) -> Vec<(&str, &Subscription)> {
    let mut members: Vec<_> = subscriptions.iter().map(|(member, of)| (member.as_str(), of)).collect();
    members.sort_by_key(|(member, of)| (of.group_instance_id.is_none(), of.group_instance_id.as_deref(), *member));
    members
}

/// A member as the leader learns of it from the response to JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its member id.
    pub member_id: String,
    /// Its `group.instance.id`, if it is a static member.
    pub group_instance_id: Option<String>,
    /// Its subscription, in bytes.
    pub metadata: Bytes,
}

/// Why a leader cannot assign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// A subscription cannot be read.
    #[error("the subscription of member {member_id} cannot be read: {why}")]
    Subscription {
        /// Whose.
        member_id: String,
        /// What is wrong with it.
        why: Malformed,
    },
    /// An assignment cannot be written.
    #[error(transparent)]
    Assignment(#[from] NotEncodable),
}

/// The leader's work: from the subscriptions of all members to what SyncGroup carries (`ConsumerCoordinator.onLeaderElected`).
pub fn perform_assignment(
    assignor: ClientAssignor,
    members: &[JoinedMember],
    partitions: &PartitionsPerTopic,
    claims: Claims,
) -> Result<BTreeMap<String, Bytes>, AssignmentError> {
    let mut subscriptions = BTreeMap::new();
    for JoinedMember { member_id, group_instance_id, metadata } in members {
        let subscription = Subscription::decode(metadata)
            .map_err(|why| AssignmentError::Subscription { member_id: member_id.clone(), why })?;
        let group_instance_id = group_instance_id.clone();
        subscriptions.insert(member_id.clone(), Subscription { group_instance_id, ..subscription });
    }
    let assignments = assignor.assign(partitions, &subscriptions, claims);
    let encode = |(member, partitions)| Ok((member, Assignment { partitions, user_data: None }.encode()?));
    assignments.into_iter().map(encode).collect()
}
