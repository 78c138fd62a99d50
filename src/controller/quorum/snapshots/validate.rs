//! Does a replica's history end in this log? Source: `ReplicatedLog.validateOffsetAndEpoch`, `KafkaMetadataLog`.

use trial_storage::{EpochEndOffset, Log};

use super::SnapshotStore;
use crate::conformance::QuorumRule;
use crate::metadata::snapshot::SnapshotId;

/// The snapshot with which a cluster is formatted; it is never sent to anybody (`BOOTSTRAP_SNAPSHOT_ID`).
pub const BOOTSTRAP: SnapshotId = SnapshotId { end_offset: 0, epoch: 0 };

/// What a replica is told of its fetch offset and the epoch of the record before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidOffsetAndEpoch {
    /// They are in the log: go on.
    Valid,
    /// The histories part here at the latest.
    Diverging(EpochEndOffset),
    /// The log does not reach back that far: take this snapshot.
    Snapshot(SnapshotId),
}

/// The leader's answer to a fetch. A replica without anything is given a snapshot, if there is one, even where the log
/// still had it all. Source: `KafkaRaftClient.tryCompleteFetchRequest`.
pub fn validate_fetch(log: &Log, snapshots: &SnapshotStore, offset: i64, epoch: i32) -> ValidOffsetAndEpoch {
    match snapshots.latest() {
        Some(latest) if offset == 0 && latest != BOOTSTRAP && QuorumRule::NothingMeansASnapshot.holds() => {
            ValidOffsetAndEpoch::Snapshot(latest)
        }
        _ => validate_offset_and_epoch(log, snapshots, offset, epoch),
    }
}

/// Source: `ReplicatedLog.validateOffsetAndEpoch`.
pub fn validate_offset_and_epoch(log: &Log, snapshots: &SnapshotStore, offset: i64, epoch: i32) -> ValidOffsetAndEpoch {
    let start = log.log_start_offset();
    if start == 0 && offset == 0 {
        return ValidOffsetAndEpoch::Valid;
    }
    if let (Some(earliest), Some(latest)) = (snapshots.earliest(), snapshots.latest()) {
        let is_below = offset < start && QuorumRule::BelowTheLogMeansASnapshot.holds();
        let parts_at_the_start =
            offset == start && epoch != earliest.epoch && QuorumRule::OtherHistoryAtTheStartMeansASnapshot.holds();
        let is_older = epoch < earliest.epoch && QuorumRule::OlderThanTheSnapshotMeansASnapshot.holds();
        if is_below || parts_at_the_start || is_older {
            return ValidOffsetAndEpoch::Snapshot(latest);
        }
    }
    let end = end_offset_for_epoch(log, snapshots, epoch);
    let is_of_another_epoch = end.epoch != epoch && QuorumRule::UnknownEpochDiverges.holds();
    let is_beyond = end.end_offset < offset && QuorumRule::LongerEpochDiverges.holds();
    if is_of_another_epoch || is_beyond { ValidOffsetAndEpoch::Diverging(end) } else { ValidOffsetAndEpoch::Valid }
}

/// Where the largest epoch at or below `epoch` ends. Below the log's first epoch that is where the oldest snapshot does.
/// Source: `KafkaMetadataLog.endOffsetForEpoch`.
fn end_offset_for_epoch(log: &Log, snapshots: &SnapshotStore, epoch: i32) -> EpochEndOffset {
    match (log.end_offset_for(epoch), snapshots.earliest()) {
        (Some(end), Some(snapshot)) if end.end_offset == snapshot.end_offset && end.epoch == epoch => {
            EpochEndOffset { epoch: snapshot.epoch, end_offset: snapshot.end_offset }
        }
        (Some(end), _) => end,
        (None, _) => EpochEndOffset { epoch: last_fetched_epoch(log, snapshots), end_offset: log.log_end_offset() },
    }
}

/// Epoch of the last record of a replica: of its log, or of its snapshot where the log is empty, or 0. It tells it when
/// it fetches and when it asks for votes. Source: `KafkaMetadataLog.lastFetchedEpoch`.
pub fn last_fetched_epoch(log: &Log, snapshots: &SnapshotStore) -> i32 {
    log.latest_epoch().or_else(|| snapshots.latest().map(|latest| latest.epoch)).unwrap_or(0)
}
