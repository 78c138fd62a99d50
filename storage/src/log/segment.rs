//! One segment file: how large it is, where its batches stand, and how to walk over their headers.

use bytes::Bytes;

use crate::{BatchError, BatchHeader, Disk, FileId, HEADER_BYTES, parse_header};

use super::LogError;

/// Bytes read at once when walking over headers.
const WINDOW_BYTES: u64 = 8 * 1024;

/// A segment. Its first `size` bytes are whole batches with contiguous offsets from `base_offset` on.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) base_offset: i64,
    pub(super) file: FileId,
    pub(super) size: u64,
    /// Base offset and position of a batch, one every `index_interval_bytes`, never the first.
    index: Vec<(i64, u64)>,
    /// No record's timestamp is larger; after a truncation it may be smaller. -1 if empty.
    pub(super) max_timestamp: i64,
    /// Largest timestamp of its first batch, by which its age is told (`rollingBasedTimestamp`); -1 if it has none.
    pub(super) first_timestamp: i64,
    /// The change of the log that touched this file last (`SyncState`).
    pub(super) changed: u64,
}

impl Segment {
    pub(super) fn new(base_offset: i64, file: FileId) -> Self {
        Segment { base_offset, file, size: 0, index: Vec::new(), max_timestamp: -1, first_timestamp: -1, changed: 0 }
    }

    /// Takes note of a batch that stands at the segment's end.
    pub(super) fn add(&mut self, header: &BatchHeader, index_interval_bytes: u64) {
        let last_indexed = self.index.last().map_or(0, |(_, position)| *position);
        if self.size - last_indexed > index_interval_bytes {
            self.index.push((header.base_offset, self.size));
        }
        if self.size == 0 {
            self.first_timestamp = header.max_timestamp;
        }
        self.size += header.size_in_bytes() as u64;
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
    }

    /// Forgets everything from `position` on.
    pub(super) fn cut(&mut self, position: u64) {
        self.size = position;
        self.index.retain(|(_, at)| *at < position);
        if position == 0 {
            (self.max_timestamp, self.first_timestamp) = (-1, -1);
        }
    }

    /// Position of a batch at or before the one that holds `offset`, the nearest the index knows.
    pub(super) fn lookup(&self, offset: i64) -> u64 {
        let behind = self.index.partition_point(|(base_offset, _)| *base_offset <= offset);
        behind.checked_sub(1).map_or(0, |i| self.index[i].1)
    }

    /// A position behind every batch that begins before `end_exclusive`: the nearest the index knows.
    pub(super) fn upper_bound(&self, end_exclusive: i64) -> u64 {
        let at = self.index.partition_point(|(base_offset, _)| *base_offset < end_exclusive);
        self.index.get(at).map_or(self.size, |(_, position)| *position)
    }

    /// Walks over the headers from the batch at `position` to the end.
    pub(super) fn walk(&self, position: u64) -> HeaderWalk {
        HeaderWalk::new(self.file, position, self.size)
    }
}

/// Walks over the headers of the batches in a file.
pub(super) struct HeaderWalk {
    file: FileId,
    at: u64,
    end: u64,
    window: Bytes,
    window_at: u64,
}

impl HeaderWalk {
    pub(super) fn new(file: FileId, at: u64, end: u64) -> Self {
        HeaderWalk { file, at, end, window: Bytes::new(), window_at: at }
    }

    /// The next header and its position, `None` at the end. A batch that does not end before the end is too short.
    pub(super) fn next(&mut self, disk: &mut dyn Disk) -> Result<Option<(u64, BatchHeader)>, LogError> {
        if self.at >= self.end {
            return Ok(None);
        }
        if self.at + HEADER_BYTES as u64 > self.window_at + self.window.len() as u64 {
            self.window = disk.read(self.file, self.at, (self.end - self.at).min(WINDOW_BYTES) as usize)?;
            self.window_at = self.at;
        }
        let skip = ((self.at - self.window_at) as usize).min(self.window.len());
        let header = parse_header(&self.window[skip..])?;
        let position = self.at;
        if header.size_in_bytes() as u64 > self.end - position {
            let got = (self.end - position) as usize;
            return Err(BatchError::TooShort { needed: header.size_in_bytes(), got }.into());
        }
        self.at += header.size_in_bytes() as u64;
        Ok(Some((position, header)))
    }
}
