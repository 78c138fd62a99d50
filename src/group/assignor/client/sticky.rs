//! `sticky`, and what both sticky assignors share: members keep what they own, as far as balance allows.
//!
//! ```text
//!   subscriptions ─▶ who owns what? ─┬─ all subscribe to the same ──▶ [`super::constrained`]: quotas
//!                    (highest        │
//!                     generation)    └─ they differ ───────────────▶ [`super::general`]: move one by one until balanced
//! ```
//!
//! Source: `org.apache.kafka.clients.consumer.internals.AbstractStickyAssignor`. Two things differ. Kafka's assignor
//! remembers the highest generation of earlier assignments of the same process; here only the subscriptions at hand count,
//! which is the same as long as generations of a group do not fall. And what a member claims beyond the topic's last
//! partition is passed over, where Kafka (4.1) fails the rebalance or assigns what does not exist.

use std::collections::{BTreeMap, BTreeSet};

use super::constrained;
use super::consumer_protocol::Subscription;
use super::general;
use super::racks::{PartitionsPerTopic, RackInfo};
use super::user_data::{DEFAULT_GENERATION, StickyKind, member_data};
use super::{Assignments, Claims};
use crate::group::assignor::java_order;
use crate::ids::{Topic, TopicPartition};

/// A balanced assignment, and what of it somebody else may still be reading.
pub(super) struct StickyAssignment {
    pub(super) assignments: Assignments,
    /// The partitions that somebody else owns or was taken to own, with their new owners. `None`: not told, as after the
    /// general algorithm.
    pub(super) transferring: Option<BTreeMap<TopicPartition, String>>,
}

/// Who owns what, of what still exists.
pub(super) struct Ownership<'a> {
    /// The members as Kafka's hash map walks over them.
    pub(super) order: Vec<&'a str>,
    pub(super) owned: BTreeMap<&'a str, Vec<TopicPartition>>,
    /// Partitions that several members of one generation claim; none of them is taken to own them.
    pub(super) claimed_by_several: BTreeSet<TopicPartition>,
    pub(super) all_subscriptions_equal: bool,
    pub(super) max_generation: i32,
}

/// The assignment of every member (`AbstractStickyAssignor.assignPartitions`).
pub(super) fn assign(
    kind: StickyKind,
    partitions: &PartitionsPerTopic,
    subscriptions: &BTreeMap<String, Subscription>,
    claims: Claims,
) -> StickyAssignment {
    let ownership = Ownership::of(kind, partitions, subscriptions, claims);
    let racks = RackInfo::new(partitions, subscriptions);
    if ownership.all_subscriptions_equal {
        constrained::assign(partitions, &racks, ownership)
    } else {
        let assignments = general::assign(kind, partitions, &racks, ownership, subscriptions);
        StickyAssignment { assignments, transferring: None }
    }
}

pub(super) fn exists(partitions: &PartitionsPerTopic, partition: &TopicPartition) -> bool {
    let count = partitions.get(&partition.topic).map_or(0, Vec::len);
    usize::try_from(partition.partition).is_ok_and(|place| place < count)
}

impl<'a> Ownership<'a> {
    /// Goes through the members, in the order of Kafka's hash map, and settles their claims
    /// (`AbstractStickyAssignor.allSubscriptionsEqual`).
    fn of(
        kind: StickyKind,
        partitions: &PartitionsPerTopic,
        subscriptions: &'a BTreeMap<String, Subscription>,
        claims: Claims,
    ) -> Self {
        let order = java_order::grown(subscriptions.keys().map(String::as_str));
        let mut claimed: BTreeMap<&str, (i32, Vec<TopicPartition>)> = subscriptions
            .iter()
            .map(|(member, subscription)| {
                let data = member_data(kind, subscription);
                (member.as_str(), (data.generation.unwrap_or(DEFAULT_GENERATION), data.partitions))
            })
            .collect();
        let generations = claimed.values().map(|(generation, _)| *generation);
        let mut ownership = Ownership {
            owned: order.iter().map(|member| (*member, Vec::new())).collect(),
            order,
            claimed_by_several: BTreeSet::new(),
            all_subscriptions_equal: true,
            max_generation: generations.max().unwrap_or(DEFAULT_GENERATION),
        };
        let mut common: BTreeSet<&Topic> = BTreeSet::new();
        let mut owners: BTreeMap<TopicPartition, &'a str> = BTreeMap::new();
        for member in ownership.order.clone() {
            let Some(subscription) = subscriptions.get(member) else { continue };
            let topics = &subscription.topics;
            if common.is_empty() {
                // So a member without topics that comes first is taken for one with the topics of the next: Kafka's rule.
                common = topics.iter().collect();
            } else if topics.len() != common.len() || !topics.iter().all(|topic| common.contains(topic)) {
                ownership.all_subscriptions_equal = false;
            }
            let Some((generation, owned)) = claimed.remove(member) else { continue };
            if claims == Claims::OfHighestGeneration && generation < ownership.max_generation {
                continue;
            }
            for partition in owned.into_iter().filter(|partition| exists(partitions, partition)) {
                ownership.settle(member, generation, partition, &mut owners, subscriptions);
            }
        }
        ownership
    }

    /// Of two members that claim a partition the one of the higher generation owns it; of equals neither does (KIP-792,
    /// KAFKA-12984, KAFKA-13419). The other member's generation is that of its subscription, also for the eager assignor,
    /// which believes the user data otherwise.
    fn settle(
        &mut self,
        member: &'a str,
        generation: i32,
        partition: TopicPartition,
        owners: &mut BTreeMap<TopicPartition, &'a str>,
        subscriptions: &BTreeMap<String, Subscription>,
    ) {
        let Some(other) = owners.get(&partition).copied() else {
            self.owned.entry(member).or_default().push(partition.clone());
            owners.insert(partition, member);
            return;
        };
        let told = subscriptions.get(other).and_then(|subscription| subscription.generation_id);
        let other_generation = told.unwrap_or(DEFAULT_GENERATION);
        if generation < other_generation {
            return;
        }
        if generation > other_generation {
            self.owned.entry(member).or_default().push(partition.clone());
        } else {
            self.claimed_by_several.insert(partition.clone());
        }
        let of_other = self.owned.entry(other).or_default();
        if let Some(place) = of_other.iter().position(|owned| *owned == partition) {
            of_other.remove(place);
        }
        owners.insert(partition, member);
    }
}
