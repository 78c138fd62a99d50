//! `cooperative-sticky`: the sticky assignment, without what somebody else has to give up first (KIP-429).
//!
//! ```text
//!   rebalance 1: c1 owns t-0 t-1, c2 joins ─▶ balanced: c1 t-0, c2 t-1 ─▶ told: c1 t-0, c2 nothing
//!                c1 stops reading t-1, joins again ──┐
//!   rebalance 2: c1 owns t-0 ◀───────────────────────┘ ─▶ balanced: c1 t-0, c2 t-1 ─▶ told as it is
//! ```
//!
//! Source: `org.apache.kafka.clients.consumer.CooperativeStickyAssignor`.

use std::collections::{BTreeMap, BTreeSet};

use super::consumer_protocol::Subscription;
use super::racks::PartitionsPerTopic;
use super::sticky;
use super::user_data::StickyKind;
use super::{Assignments, Claims};
use crate::ids::TopicPartition;

/// The assignment of every member; what moves from one to another is withheld until it has been given up.
pub(super) fn assign(
    partitions: &PartitionsPerTopic,
    subscriptions: &BTreeMap<String, Subscription>,
    claims: Claims,
) -> Assignments {
    let balanced = sticky::assign(StickyKind::Cooperative, partitions, subscriptions, claims);
    let mut assignments = balanced.assignments;
    let transferring = balanced.transferring.unwrap_or_else(|| transferring_ownership(subscriptions, &assignments));
    adjust_assignment(&mut assignments, &transferring);
    assignments
}

/// Withholds what changes hands from its new owner (`adjustAssignment`).
fn adjust_assignment(assignments: &mut Assignments, transferring: &BTreeMap<TopicPartition, String>) {
    for (partition, new_owner) in transferring {
        if let Some(of_new_owner) = assignments.get_mut(new_owner) {
            of_new_owner.retain(|assigned| assigned != partition);
        }
    }
}

/// What is new to one member and no longer another's, with its new owner (`computePartitionsTransferringOwnership`).
fn transferring_ownership(
    subscriptions: &BTreeMap<String, Subscription>,
    assignments: &Assignments,
) -> BTreeMap<TopicPartition, String> {
    let mut added = BTreeMap::new();
    let mut revoked = BTreeSet::new();
    for (member, assigned) in assignments {
        let owned: BTreeSet<&TopicPartition> =
            subscriptions.get(member).into_iter().flat_map(|subscription| &subscription.owned_partitions).collect();
        let assigned: BTreeSet<&TopicPartition> = assigned.iter().collect();
        added.extend(assigned.difference(&owned).map(|partition| ((*partition).clone(), member.clone())));
        revoked.extend(owned.difference(&assigned).map(|partition| (*partition).clone()));
    }
    added.retain(|partition, _| revoked.contains(partition));
    added
}
