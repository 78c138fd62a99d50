//! dual-ownership: two members own one partition at once.
//!
//! Whoever was removed from its group and has not heard of it yet, a zombie, still believes that it owns what others have by
//! now: nothing can prevent that. It is told apart by its generation, which is lower than that in which the other was assigned
//! the partition. So two members that were assigned it in one generation are a BUG, and so is one that has learnt of the
//! other's generation (or of a later one), as a member of it, and still has not given the partition up (KIP-429: a partition is
//! revoked in one generation and assigned in the next; KIP-848: it is assigned when its revocation was acknowledged). One
//! process of a static member that replaces another takes its partitions over in the same generation (KIP-345).

use super::ownership::Ownership;
use super::{GroupViolation, Members, Place};
use crate::observation::EventRef;

/// The partition was assigned to the last of these owners.
pub(super) fn assigned(place: &Place, owners: &[Ownership], members: &Members, found: &mut Vec<GroupViolation>) {
    let Some((new, before)) = owners.split_last() else { return };
    for old in before.iter().filter(|old| old.is_open() && old.consumer != new.consumer) {
        if members.are_one_static_member(old.consumer, new.consumer) {
            continue;
        }
        let zombie = !is_bug(old, new, members);
        found.push(violation(place, old, new, zombie, members, new.since));
    }
}

/// A member has learnt of another generation, in which it is.
pub(super) fn joined(
    place: &Place,
    owners: &[Ownership],
    consumer: u32,
    at: EventRef,
    members: &Members,
    found: &mut Vec<GroupViolation>,
) {
    let Some(mine) = owners.iter().find(|o| o.is_open() && o.consumer == consumer) else { return };
    for other in owners.iter().filter(|other| other.is_open() && other.consumer != consumer) {
        let (first, second) = if mine.since.id < other.since.id { (mine, other) } else { (other, mine) };
        if !members.are_one_static_member(consumer, other.consumer) && is_bug(first, second, members) {
            found.push(violation(place, first, second, false, members, at));
        }
    }
}

fn is_bug(one: &Ownership, other: &Ownership, members: &Members) -> bool {
    let (low, high) = if one.generation <= other.generation { (one, other) } else { (other, one) };
    low.generation == high.generation || members.generation(low.consumer) >= Some(high.generation)
}

fn violation(
    place: &Place,
    first: &Ownership,
    second: &Ownership,
    zombie: bool,
    members: &Members,
    at: EventRef,
) -> GroupViolation {
    let low = if first.generation <= second.generation { first } else { second };
    GroupViolation::DualOwnership {
        place: place.clone(),
        first: (first.consumer, first.generation, first.since),
        second: (second.consumer, second.generation, second.since),
        zombie,
        comes_again: members.came_again(low.consumer, low.since),
        later: members.0.get(&second.consumer).and_then(|member| member.id.clone()),
        at,
    }
}
