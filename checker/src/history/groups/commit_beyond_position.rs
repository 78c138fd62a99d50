//! commit-beyond-position: a member asks to commit what it has not come to: an offset behind its position, which is where it
//! began or the offset behind the last record that it was handed (`SubscriptionState.allConsumed`). What it had come to
//! before its position was set back (LOG_TRUNCATION, OFFSET_OUT_OF_RANGE) an application may still commit: it had worked on
//! that, and learns of the other history only when it polls.

use super::ownership::Ownership;
use super::{GroupViolation, Place};
use crate::observation::EventRef;

/// A member asks for a commit. Told once for each time that it has the partition.
pub(super) fn check(
    place: &Place,
    owners: &mut [Ownership],
    consumer: u32,
    position: Option<i64>,
    offset: i64,
    at: EventRef,
    found: &mut Vec<GroupViolation>,
) {
    let Some(position) = position.filter(|position| offset > *position) else { return };
    let Some(own) = owners.iter_mut().rev().find(|own| own.consumer == consumer && !own.told_beyond) else { return };
    if offset <= own.farthest {
        return;
    }
    own.told_beyond = true;
    found.push(GroupViolation::CommitBeyondPosition { place: place.clone(), consumer, position, offset, at });
}
