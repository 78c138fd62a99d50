//! The `quorum-state` file: which epoch this node has seen, and whom it follows or voted for in it.
//!
//! Source: `FileQuorumStateStore`, `QuorumStateData` (data version 0: a static set of voters, kraft.version 0). It must
//! be durable before the node acts in the epoch, or it might act twice in one.

use serde::{Deserialize, Serialize};
use trial_storage::{DirId, Disk, DiskError, OpenMode, SyncTarget};

const FILE_NAME: &str = "quorum-state";
const TEMPORARY_NAME: &str = "quorum-state.tmp";
/// More than any state of this format takes; a longer file is not one.
const LONGEST: u64 = 1 << 16;

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuorumState {
    /// The leader of the epoch, -1 if unknown.
    pub leader_id: i32,
    /// The epoch.
    pub leader_epoch: i32,
    /// Whom this node voted for in the epoch, -1 for nobody.
    pub voted_id: i32,
    /// The voters.
    pub current_voters: Vec<Voter>,
    /// Version of this format.
    #[serde(rename = "data_version")]
    pub data_version: i16,
}

/// One voter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Voter {
    /// Its node id.
    pub voter_id: i32,
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

/// Reads the file; `None` if there is none yet.
pub fn read(disk: &mut dyn Disk, dir: DirId) -> Result<Option<QuorumState>, StateFileError> {
    let file = match disk.open(dir, FILE_NAME, OpenMode::Existing) {
        Ok(file) => file,
        Err(DiskError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let length = disk.len(file)?.min(LONGEST) as usize;
    let bytes = disk.read(file, 0, length);
    disk.close(file);
    let state: QuorumState =
        serde_json::from_slice(&bytes?).map_err(|error| StateFileError::Malformed(error.to_string()))?;
    if state.data_version != 0 || state.leader_epoch < 0 {
        return Err(StateFileError::Malformed("unknown version or negative epoch".to_string()));
    }
    Ok(Some(state))
}

/// Replaces the file. What it returns must be synced before the node acts on the state; the handle in it stays open.
pub fn write(disk: &mut dyn Disk, dir: DirId, state: &QuorumState) -> Result<Vec<SyncTarget>, StateFileError> {
    let json = serde_json::to_vec(state).map_err(|error| StateFileError::Malformed(error.to_string()))?;
    let file = disk.open(dir, TEMPORARY_NAME, OpenMode::CreateEmpty)?;
    disk.write(file, 0, json.into())?;
    disk.rename(dir, TEMPORARY_NAME, FILE_NAME)?;
    Ok(vec![SyncTarget::File(file), SyncTarget::Dir(dir)])
}
