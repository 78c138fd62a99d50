//! group-rewind (handed-out-while-revoking): a consumer that commits by itself does so before it gives partitions up, and hands
//! out nothing of them from there on (KAFKA-14196). What it hands out while that commit is under way, the next owner is given
//! again, though nobody crashed and nothing failed.
//!
//! A cooperative member of a classic group is another matter: it commits before it joins, goes on with what it has, and learns only
//! then what it is to give up, without a commit (`ConsumerCoordinator.maybeMarkPartitionsPendingRevocation`).
//!
//! That commit is told from those at intervals by what follows: the partition is given up as soon as it is answered, and
//! nothing else was committed or handed out in between. Where the coordinator's side is known, the judge asks whether the
//! group had begun a rebalance when it was asked for: one at intervals may be the last all the same, for a position whose leader
//! is gone is not committed before it is validated (`SubscriptionState.allConsumed`, `FetchState.hasValidPosition`), nor one that
//! the log has left behind before it is reset.

use super::ownership::Ownership;
use super::{GroupViolation, Place};
use crate::observation::{EventRef, Time};

/// Longer after its answer no revocation begins that has waited for it.
const AT_ONCE: Time = 1_000_000_000;

/// The last commit of a partition that a member asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastCommit {
    pub(super) offset: i64,
    sent: EventRef,
    /// The epoch of the leader that its member followed by then. What it follows when it gives the partition up may be another, found
    /// too late for a commit.
    followed: Option<i32>,
    /// When it was acknowledged.
    pub(super) acknowledged: Option<EventRef>,
    /// Handed out while it was under way: the offset behind that.
    pub(super) meanwhile: Option<i64>,
    /// Handed out later, or moved: it tells nothing any more.
    pub(super) later: bool,
}

impl LastCommit {
    pub(super) fn sent(offset: i64, sent: EventRef, followed: Option<i32>) -> Self {
        LastCommit { offset, sent, followed, acknowledged: None, meanwhile: None, later: false }
    }

    /// The position was set from outside. Until then there was none that could be committed.
    pub(super) fn moved(&mut self) {
        self.later = true;
    }

    pub(super) fn handed_out(&mut self, next: i64) {
        match self.acknowledged {
            None => self.meanwhile = Some(next),
            Some(_) => self.later = true,
        }
    }
}

/// A member that commits by itself has given a partition up, as it was asked to.
pub(super) fn check(
    place: &Place,
    own: &Ownership,
    last: Option<&LastCommit>,
    at: EventRef,
    found: &mut Vec<GroupViolation>,
) {
    let Some(last) = last else { return };
    let (Some(acknowledged), Some(handed), false) = (last.acknowledged, last.meanwhile, last.later) else { return };
    if handed > last.offset && at.time.saturating_sub(acknowledged.time) <= AT_ONCE {
        found.push(GroupViolation::HandedOutWhileRevoking {
            place: place.clone(),
            consumer: own.consumer,
            committed: last.offset,
            assigned: own.since,
            asked: last.sent,
            acknowledged,
            handed,
            followed: last.followed,
            at,
        });
    }
}
