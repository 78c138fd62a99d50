//! commit-regression: a commit takes a group back behind one that had been acknowledged before it was sent.
//!
//! What was committed when its member was assigned the partition does not count: a member that began before it commits on from
//! there, and where it began is judged by itself (group-rewind). Nor does what another member asked for in an earlier generation,
//! before that: a coordinator takes commits of its generation alone, so that it was there by then, however late that member, which
//! may have stood still, was told of it (`GroupMetadataManager.validateOffsetCommit`).

use super::commits::{Commit, Commits};
use super::ownership::Ownership;
use super::{GroupViolation, Place};

/// A commit was acknowledged; it is not among `commits` yet.
pub(super) fn check(
    place: &Place,
    owners: &[Ownership],
    commits: &Commits,
    commit: &Commit,
    found: &mut Vec<GroupViolation>,
) {
    let Some(own) = owners.iter().rev().find(|o| o.consumer == commit.consumer && o.since.id < commit.sent.id) else {
        return;
    };
    let was_there = |before: &Commit| {
        let is_of_earlier = (0..own.generation).contains(&before.generation) && before.sent.id < own.since.id;
        is_of_earlier && before.consumer != commit.consumer
    };
    if let Some(before) = commits.highest_above(commit.offset, (own.since, commit.sent), |before| !was_there(before)) {
        found.push(GroupViolation::CommitRegression {
            place: place.clone(),
            commit: *commit,
            before: *before,
            moved: own.moved && before.consumer == commit.consumer,
        });
    }
}
