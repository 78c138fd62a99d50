//! snapshot-gap: what lies below the start of a log is in a snapshot, and a snapshot holds committed records only, up to
//! the epoch that it names. Source: KIP-630; `RaftEventSimulationTest.SnapshotAtLogStart`.

use super::ghost::Ghost;
use super::replica::Replica;
use super::violation::Violation;
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "snapshot-gap",
    rule: None,
    what: "a log starts nowhere above its snapshot's end; a snapshot has committed records only",
    source: "KIP-630; `SnapshotAtLogStart`",
};

/// A controller's log begins at `to` now.
pub(super) fn check_start(replica: &Replica, controller: i32, to: i64) -> Option<Violation> {
    let snapshot_end = replica.snapshot_end;
    (to > snapshot_end).then_some(Violation::SnapshotGap { controller, log_start: to, snapshot_end })
}

/// A controller has a snapshot of everything below `end_offset`.
pub(super) fn check_snapshot(ghost: &Ghost, controller: i32, end_offset: i64, epoch: i32) -> Option<Violation> {
    if end_offset > ghost.end {
        return Some(Violation::SnapshotBeyondCommit { controller, end_offset, committed_end: ghost.end });
    }
    let committed = ghost.epoch_below(end_offset).filter(|committed| *committed != epoch)?;
    Some(Violation::SnapshotOfAnotherEpoch { controller, end_offset, epoch, committed })
}
