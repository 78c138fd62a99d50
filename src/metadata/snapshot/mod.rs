//! Snapshots of the metadata log: what they are called, what they hold, how one is brought over the network.
//!
//! ```text
//!   image ──▶ records ──▶ batches ──▶ 00000000000000000123-0000000004.checkpoint ──▶ chunks ──▶ batches ──▶ image
//!                                     everything below offset 123, the last of which is of epoch 4
//! ```
//!
//! A snapshot stands for all committed records below its end offset (KIP-630). Its id is that offset and the epoch of the
//! record before it: two snapshots of one id hold the same metadata, whoever wrote them. Controllers keep theirs beside
//! the metadata log (`controller::quorum`); this module knows nothing of disks.

mod fetch;
mod file;
mod records;
#[cfg(test)]
mod tests;

pub use self::fetch::{FetchProgress, SnapshotFetch};
pub use self::file::{Snapshot, SnapshotError, decode, encode, encode_with_voters};

use std::cmp::Ordering;

/// What a whole snapshot's file name ends in (`Snapshots.SUFFIX`).
const SUFFIX: &str = ".checkpoint";
/// What is added while it is being written (`Snapshots.PARTIAL_SUFFIX`).
const PARTIAL: &str = ".part";

/// Which snapshot. Source: `OffsetAndEpoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotId {
    /// Everything below this offset is in it.
    pub end_offset: i64,
    /// Epoch of the last record below.
    pub epoch: i32,
}

/// What the name of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotFile {
    /// A snapshot.
    Whole(SnapshotId),
    /// One that was being written.
    Partial(SnapshotId),
}

impl SnapshotId {
    /// Its file's name. Source: `Snapshots.filenameFromSnapshotId`.
    pub fn file_name(self) -> String {
        format!("{:020}-{:010}{SUFFIX}", self.end_offset, self.epoch)
    }
    /// The name of the file while it is being written.
    pub fn partial_file_name(self) -> String {
        format!("{}{PARTIAL}", self.file_name())
    }
    /// What a file of this name is, if it is a snapshot at all. Source: `Snapshots.parse`.
    pub fn parse(file_name: &str) -> Option<SnapshotFile> {
        let (name, kind): (_, fn(SnapshotId) -> SnapshotFile) = match file_name.strip_suffix(PARTIAL) {
            Some(name) => (name, SnapshotFile::Partial),
            None => (file_name, SnapshotFile::Whole),
        };
        let (offset, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let is_number = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(offset, 20) || !is_number(epoch, 10) {
            return None;
        }
        Some(kind(SnapshotId { end_offset: offset.parse().ok()?, epoch: epoch.parse().ok()? }))
    }
}

/// By epoch, then by offset (`OffsetAndEpoch.compareTo`).
impl Ord for SnapshotId {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.epoch, self.end_offset).cmp(&(other.epoch, other.end_offset))
    }
}
impl PartialOrd for SnapshotId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
