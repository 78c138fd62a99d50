//! out-of-assignment-read: a member is handed a record of a partition that it was not assigned, or has given up, or was told to
//! have lost (`Fetcher` drops what was fetched for partitions that are assigned no more).

use super::ownership::Ownership;
use super::{GroupViolation, Place};
use crate::observation::EventRef;

/// A member was handed a record, first of several perhaps. True if the partition is its own.
pub(super) fn check(
    place: &Place,
    owners: &[Ownership],
    consumer: u32,
    offset: i64,
    at: EventRef,
    found: &mut Vec<GroupViolation>,
) -> bool {
    let last = owners.iter().rev().find(|own| own.consumer == consumer);
    if last.is_some_and(Ownership::is_open) {
        return true;
    }
    let ended = last.and_then(|own| own.until);
    found.push(GroupViolation::OutOfAssignmentRead { place: place.clone(), consumer, offset, ended, at });
    false
}
