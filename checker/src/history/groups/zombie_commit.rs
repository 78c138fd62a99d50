//! zombie-commit: a commit succeeds that names a generation after which, before it was sent, the group had given the partition
//! to another member in a later one. The coordinator has to refuse it (ILLEGAL_GENERATION, STALE_MEMBER_EPOCH,
//! UNKNOWN_MEMBER_ID; `ClassicGroup.validateOffsetCommit`, `ConsumerGroup.validateOffsetCommit`).
//!
//! A commit without a generation is taken from anybody while the group has no members. Whether it had any, its members cannot
//! see: the coordinator's side decides that ([`crate::groups`]).

use super::commits::Commit;
use super::ownership::Ownership;
use super::{GroupViolation, Members, Place};

/// A commit was acknowledged.
pub(super) fn check(
    place: &Place,
    owners: &[Ownership],
    commit: &Commit,
    members: &Members,
    found: &mut Vec<GroupViolation>,
) {
    if commit.generation < 0 {
        return;
    }
    // Who learnt of its generation after the other was assigned the partition is in a group that began anew.
    let knows_since = members.joined_at(commit.consumer).map_or(0, |at| at.id);
    let is_later = |other: &&Ownership| {
        other.consumer != commit.consumer
            && other.generation > commit.generation
            && other.since.id < commit.sent.id
            && knows_since < other.since.id
            && !members.are_one_static_member(other.consumer, commit.consumer)
    };
    if let Some(owner) = owners.iter().rev().find(is_later) {
        found.push(GroupViolation::ZombieCommit {
            place: place.clone(),
            commit: *commit,
            owner: (owner.consumer, owner.generation, owner.since),
        });
    }
}
