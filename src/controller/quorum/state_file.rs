//! The `quorum-state` file: which epoch this node has seen, and whom it follows or voted for in it.
//!
//! Source: `FileQuorumStateStore`, `QuorumStateData` (data version 1: votes name a directory id, and the voters stand in
//! the log; version 0 is read). It must be durable before the node acts in the epoch, or it might act twice in one.

use serde::{Deserialize, Serialize};
use trial_storage::{DirId, Disk, DiskError, OpenMode};
use uuid::Uuid;

use super::persist::Replacement;
use super::voters::ReplicaKey;
use crate::metadata::uuid_text;

const FILE_NAME: &str = "quorum-state";
const TEMPORARY_NAME: &str = "quorum-state.tmp";
/// More than any state of this format takes; a longer file is not one.
const LONGEST: u64 = 1 << 16;

/// What this node knows of an epoch. Source: `ElectionState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElectionState {
    /// The epoch.
    pub epoch: i32,
    /// Its leader, if it is known.
    pub leader_id: Option<i32>,
    /// Whom this node voted for in it.
    pub voted: Option<ReplicaKey>,
}

/// The file's fields (`QuorumStateData.json`).
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QuorumStateData {
    leader_id: i32,
    leader_epoch: i32,
    voted_id: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voted_directory_id: Option<String>,
    #[serde(rename = "data_version")]
    data_version: i16,
}

/// Why the file could not be read. Going on without it could mean to act twice in one epoch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateFileError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It holds something else.
    #[error("the quorum-state file is malformed: {0}")]
    Malformed(String),
}

/// Reads the file; `None` if there is none yet. An empty file is what a loss of power leaves of one that was never synced:
/// malformed, unless `empty_is_none`.
pub fn read(disk: &mut dyn Disk, dir: DirId, empty_is_none: bool) -> Result<Option<ElectionState>, StateFileError> {
    let file = match disk.open(dir, FILE_NAME, OpenMode::Existing) {
        Ok(file) => file,
        Err(DiskError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let length = disk.len(file)?.min(LONGEST) as usize;
    let bytes = disk.read(file, 0, length);
    disk.close(file);
    let bytes = bytes?;
    if bytes.is_empty() && empty_is_none {
        return Ok(None);
    }
    let malformed = |error: &dyn std::fmt::Display| StateFileError::Malformed(error.to_string());
    let data: QuorumStateData = serde_json::from_slice(&bytes).map_err(|error| malformed(&error))?;
    if !(0..=1).contains(&data.data_version) || data.leader_epoch < 0 {
        return Err(malformed(&"unknown version or negative epoch"));
    }
    let directory_id = match &data.voted_directory_id {
        Some(text) => uuid_text::parse(text).ok_or_else(|| malformed(&"votedDirectoryId is no uuid"))?,
        None => Uuid::nil(),
    };
    Ok(Some(ElectionState {
        epoch: data.leader_epoch,
        leader_id: Some(data.leader_id).filter(|id| *id >= 0),
        voted: Some(ReplicaKey::of(data.voted_id, directory_id)).filter(|key| key.id >= 0),
    }))
}

/// Writes what is to replace the file.
pub(super) fn write(disk: &mut dyn Disk, dir: DirId, state: ElectionState) -> Result<Replacement, StateFileError> {
    let data = QuorumStateData {
        leader_id: state.leader_id.unwrap_or(-1),
        leader_epoch: state.epoch,
        voted_id: state.voted.map_or(-1, |voted| voted.id),
        voted_directory_id: Some(uuid_text::of(state.voted.map_or(Uuid::nil(), ReplicaKey::wire_directory_id))),
        data_version: 1,
    };
    let json = serde_json::to_vec(&data).map_err(|error| StateFileError::Malformed(error.to_string()))?;
    let file = disk.open(dir, TEMPORARY_NAME, OpenMode::CreateEmpty)?;
    disk.write(file, 0, json.into())?;
    Ok(Replacement { dir, file, temporary_name: TEMPORARY_NAME, name: FILE_NAME })
}
