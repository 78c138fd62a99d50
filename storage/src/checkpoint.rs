//! Kafka's checkpoint files: small texts that are replaced as a whole (`CheckpointFile`).
//!
//! ```text
//!   0                     version            0
//!   2                     entries            1
//!   orders 0 17           topic, partition,  5 1200    leader epoch, start offset
//!   orders 1 40           offset
//! ```
//!
//! A file is written under another name and renamed over the old one. Both take effect at once for readers, and survive
//! a loss of power once the returned targets were synced. Until then power loss brings back the version before, or,
//! where only the directory was synced, an empty file: which reads as malformed.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;

use crate::{DirId, Disk, DiskError, FileId, OpenMode, SyncTarget};

const VERSION: &str = "0";

/// Why a checkpoint could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The text is not a checkpoint: torn, or of another version. What to do is the caller's decision.
    #[error("malformed checkpoint at line {line}")]
    Malformed {
        /// The first line that makes no sense, counted from 1.
        line: u32,
    },
}

/// Replaces an offset checkpoint (`replication-offset-checkpoint`, `recovery-point-offset-checkpoint`): an offset for
/// each topic and partition. Returns what to sync for it to be durable.
pub fn write_offset_checkpoint(
    disk: &mut dyn Disk,
    dir: DirId,
    file_name: &str,
    offsets: &BTreeMap<(String, i32), i64>,
) -> Result<Vec<SyncTarget>, DiskError> {
    let lines = offsets.iter().map(|((topic, partition), offset)| format!("{topic} {partition} {offset}"));
    let file = replace(disk, dir, file_name, lines, RenameOrder::AfterBytes)?;
    Ok(vec![SyncTarget::File(file), SyncTarget::Dir(dir)])
}

/// Reads an offset checkpoint; a missing file is an empty one.
pub fn read_offset_checkpoint(
    disk: &mut dyn Disk,
    dir: DirId,
    file_name: &str,
) -> Result<BTreeMap<(String, i32), i64>, CheckpointError> {
    let Some(text) = text_of(disk, dir, file_name)? else {
        return Ok(BTreeMap::new());
    };
    let entries = entries(&text, |line| {
        let mut words = line.split(' ');
        let topic = words.next().filter(|t| !t.is_empty())?.to_owned();
        let partition = words.next()?.parse::<i32>().ok()?;
        let offset = words.next()?.parse::<i64>().ok()?;
        words.next().is_none().then_some(((topic, partition), offset))
    })?;
    Ok(entries.into_iter().collect())
}

/// When may the new name of a replaced file be durable?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RenameOrder {
    /// Not before what the file holds.
    AfterBytes,
    /// At any time, which only the bug zoo does.
    BeforeBytes,
}

/// Writes `lines` under a temporary name and renames it. The handle stays open, for syncing: replacing the file again
/// makes it stale.
pub(crate) fn replace(
    disk: &mut dyn Disk,
    dir: DirId,
    file_name: &str,
    lines: impl ExactSizeIterator<Item = String>,
    order: RenameOrder,
) -> Result<FileId, DiskError> {
    let mut text = format!("{VERSION}\n{}\n", lines.len());
    for line in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    }
    let temporary = format!("{file_name}.tmp");
    let file = disk.open(dir, &temporary, OpenMode::CreateEmpty)?;
    disk.write(file, 0, Bytes::from(text))?;
    match order {
        RenameOrder::AfterBytes => disk.rename(dir, &temporary, file_name)?,
        RenameOrder::BeforeBytes => disk.rename_before_bytes(dir, &temporary, file_name)?,
    }
    Ok(file)
}

/// What the file holds, or `None` if there is none.
pub(crate) fn text_of(disk: &mut dyn Disk, dir: DirId, file_name: &str) -> Result<Option<Bytes>, DiskError> {
    let file = match disk.open(dir, file_name, OpenMode::Existing) {
        Ok(file) => file,
        Err(DiskError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = disk.len(file).and_then(|len| disk.read(file, 0, len as usize));
    disk.close(file);
    text.map(Some)
}

/// The entries of a checkpoint, each parsed by `entry`. Version and count must fit.
pub(crate) fn entries<T>(text: &[u8], entry: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, CheckpointError> {
    let malformed = |line: usize| CheckpointError::Malformed { line: line as u32 };
    let text = std::str::from_utf8(text).map_err(|e| malformed(lines_before(text, e.valid_up_to()) + 1))?;
    let mut lines = text.lines();
    if lines.next() != Some(VERSION) {
        return Err(malformed(1));
    }
    let count = lines.next().and_then(|l| l.parse::<u32>().ok()).ok_or(malformed(2))?;
    let mut entries = Vec::new();
    for (i, line) in lines.enumerate() {
        let parsed = entry(line).filter(|_| i < count as usize);
        entries.push(parsed.ok_or(malformed(i + 3))?);
    }
    // A text that was cut inside its last number would read as a smaller one: the last line must be ended.
    if entries.len() != count as usize || !text.ends_with('\n') {
        return Err(malformed(entries.len() + 3));
    }
    Ok(entries)
}

fn lines_before(text: &[u8], at: usize) -> usize {
    text[..at].iter().filter(|b| **b == b'\n').count()
}
