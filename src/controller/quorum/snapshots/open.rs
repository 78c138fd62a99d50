//! Where do log and state begin after a start, or after a snapshot came in? Source: `KafkaMetadataLog.apply`,
//! `truncateToLatestSnapshot`.
//!
//! There is no other word of where the metadata log begins than its latest snapshot, and that is durable before anything
//! is cut. So whatever a crash undid or left half done, the next start cuts again.

use trial_storage::{Disk, Log, LogConfig, Opening};

use super::{SnapshotStore, StoreError};
use crate::metadata::snapshot::{Snapshot, SnapshotId};

/// The metadata log of a controller that starts.
#[derive(Debug)]
pub struct OpenedLog {
    /// It begins at the end of the latest snapshot, or at 0.
    pub log: Log,
    /// The snapshots beside it.
    pub snapshots: SnapshotStore,
    /// The latest of them, from which the state machine begins; what follows is in the log.
    pub latest: Option<(SnapshotId, Snapshot)>,
}

/// Opens the metadata log of a directory with its snapshots. Every batch is checked: there is no recovery point.
pub fn open(disk: &mut dyn Disk, dir_name: &str, config: LogConfig) -> Result<OpenedLog, StoreError> {
    let dir = disk.open_dir(dir_name)?;
    let (snapshots, latest) = SnapshotStore::recover(disk, dir)?;
    let start = latest.as_ref().map_or(0, |(id, _)| id.end_offset);
    let (mut log, _) = Log::open_from(disk, dir_name, config, Opening::Unclean { recovery_point: 0 }, start)?;
    if log.log_start_offset() != start {
        return Err(StoreError::Missing { log_start_offset: log.log_start_offset() });
    }
    if let Some((id, _)) = &latest
        && is_behind(&log, *id)
    {
        log.truncate_fully_and_start_at(disk, id.end_offset)?;
    }
    Ok(OpenedLog { log, snapshots, latest })
}

/// A snapshot that was fetched is durable: the log, which lacks what it stands for, begins anew at its end, and older
/// snapshots go. False if the log has all of it, and stays as it is: what it holds behind may be committed.
/// Source: `KafkaMetadataLog.truncateToLatestSnapshot`.
pub fn load(
    id: SnapshotId,
    log: &mut Log,
    snapshots: &mut SnapshotStore,
    disk: &mut dyn Disk,
) -> Result<bool, StoreError> {
    if !is_behind(log, id) {
        return Ok(false);
    }
    log.truncate_fully_and_start_at(disk, id.end_offset)?;
    snapshots.forget_before(id, disk)?;
    Ok(true)
}

/// Does this log lack what the snapshot stands for? It ends before, or in an older epoch: then what it has there was
/// never committed. A log that ends before may well end in a later epoch, which its owner opened and nobody followed; Kafka
/// compares the epochs first and halts there ("Full log truncation expected but didn't happen").
fn is_behind(log: &Log, id: SnapshotId) -> bool {
    if log.log_start_offset() == id.end_offset && log.log_end_offset() == id.end_offset {
        return false;
    }
    id.epoch > log.latest_epoch().unwrap_or(0) || id.end_offset > log.log_end_offset()
}
