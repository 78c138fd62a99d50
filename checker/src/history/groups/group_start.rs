//! group-skip, group-rewind and redelivery: where a member begins that was assigned a partition.
//!
//! It begins at what its group has committed, and where auto.offset.reset says if that is nothing. A beginning behind whatever
//! may be committed skips records, one before it reads again what was said to be done. Between the committed offset and the
//! position of whoever had the partition before lies what is delivered again, as it has to be: at least once.

use super::commits::Commits;
use super::ownership::Ownership;
use super::{GroupViolation, Place};
use crate::observation::{EventRef, ResetCause};

/// The owner begins there.
pub(super) fn check(
    place: &Place,
    own: &Ownership,
    commits: &Commits,
    start: i64,
    cause: ResetCause,
    at: EventRef,
    found: &mut Vec<GroupViolation>,
) {
    let certain = commits.certain_at(own.since).copied();
    let nothing = cause == ResetCause::NothingCommitted;
    let is_right = match cause {
        ResetCause::Committed => commits.may_be_read(start, own.since),
        ResetCause::NothingCommitted => certain.is_none_or(|certain| certain.offset == start),
        ResetCause::Other => true,
    };
    if is_right {
        return;
    }
    let (place, consumer) = (place.clone(), own.consumer);
    found.push(match certain {
        Some(committed) if start < committed.offset => {
            GroupViolation::Rewind { place, consumer, committed, start, nothing, at }
        }
        certain => GroupViolation::Skip { place, consumer, committed: certain, start, nothing, at },
    });
}

/// The owner begins there, and so reads again what the group had been handed up to `handed`.
pub(super) fn redelivers(
    place: &Place,
    consumer: u32,
    start: i64,
    handed: i64,
    at: EventRef,
    found: &mut Vec<GroupViolation>,
) {
    if start < handed {
        found.push(GroupViolation::Redelivery { place: place.clone(), consumer, start, handed, at });
    }
}
