//! What the history checker finds in groups, as typed facts without judgement.

use std::sync::Arc;

use super::commits::Commit;
use super::never_processed::Because;
use super::ownership::End;
use crate::observation::{EventRef, Partition};

/// A partition, as one group reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The group.
    pub group: Arc<str>,
    /// The partition.
    pub partition: Partition,
}

/// One violation, or what would be one under another configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each variant says what was seen; the fields are its witnesses
pub enum GroupViolation {
    /// A member that was assigned a partition began behind what its group had committed. `nothing`: it was told that there
    /// is no committed offset.
    Skip { place: Place, consumer: u32, committed: Option<Commit>, start: i64, nothing: bool, at: EventRef },
    /// It began before what its group had committed.
    Rewind { place: Place, consumer: u32, committed: Commit, start: i64, nothing: bool, at: EventRef },
    /// It began where its group had committed, and others had been handed more.
    Redelivery { place: Place, consumer: u32, start: i64, handed: i64, at: EventRef },
    /// What a member handed out while the commit that preceded its giving up was under way: up to `handed`.
    HandedOutWhileRevoking {
        place: Place,
        consumer: u32,
        committed: i64,
        assigned: EventRef,
        asked: EventRef,
        acknowledged: EventRef,
        handed: i64,
        /// The epoch of the leader whose history it was in then, if that is known.
        followed: Option<i32>,
        at: EventRef,
    },
    /// Below what the group has committed, and processed by no member.
    NeverProcessed { place: Place, record: u64, offset: i64, committed: Commit, because: Because },
    /// A member was handed a record of a partition that was not its own (any more).
    OutOfAssignmentRead { place: Place, consumer: u32, offset: i64, ended: Option<(EventRef, End)>, at: EventRef },
    /// Two members own one partition: each with its generation, and since when. `zombie`: one of them was removed from the
    /// group and has not heard of it. `comes_again`: whoever was assigned it in the lower generation had left before that, by
    /// this member id. `later`: the member id of the second.
    DualOwnership {
        place: Place,
        first: (u32, i32, EventRef),
        second: (u32, i32, EventRef),
        zombie: bool,
        comes_again: Option<Arc<str>>,
        later: Option<Arc<str>>,
        at: EventRef,
    },
    /// A commit succeeded that came from a generation in which the partition was another's no more.
    ZombieCommit { place: Place, commit: Commit, owner: (u32, i32, EventRef) },
    /// A commit of more than the member had come to.
    CommitBeyondPosition { place: Place, consumer: u32, position: i64, offset: i64, at: EventRef },
    /// A commit took the group back. `moved`: its member's position had been set back from outside.
    CommitRegression { place: Place, commit: Commit, before: Commit, moved: bool },
}
