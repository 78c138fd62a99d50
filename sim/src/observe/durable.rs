//! How far would a controller's disk hold the metadata log after a loss of power?
//!
//! Everything below the latest snapshot that the device has, and what stands behind it in segments that continue each
//! other, as far as it equals a leader's log. What was found equal is not read again, unless the segment it was found in
//! was deleted or a later snapshot is there. Whoever cuts the log or changes the disk forgets this.

use trial_kafka::metadata::snapshot::{SnapshotFile, SnapshotId};
use trial_storage::{HEADER_BYTES, parse_header};

use super::logs::KnownBatch;
use crate::disk::VirtualDisk;

const DIRECTORY: &str = "__cluster_metadata-0";

/// Where the comparison stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Durable {
    /// The segment, by the offset it begins with; `None` if the device has none that continues its snapshot.
    segment: Option<i64>,
    position: u64,
    /// The batch at that position must begin here.
    next: i64,
    /// Everything below is durable and equals the leader's log.
    end: i64,
}

impl Durable {
    /// The offset below which the device has this log, as far as it is asked for.
    pub(super) fn end(&mut self, disk: &VirtualDisk, log: &[KnownBatch], to: i64) -> i64 {
        self.walk(disk, log, to);
        if self.end < to && self.begin_anew(disk) {
            self.walk(disk, log, to);
        }
        self.end
    }

    /// Begins at the latest snapshot, unless the comparison stands behind it and where it stands is still there.
    fn begin_anew(&mut self, disk: &VirtualDisk) -> bool {
        let names = disk.durable_names(DIRECTORY);
        let snapshot = names.iter().filter_map(|name| snapshot_end(name)).max().unwrap_or(0);
        let is_there = |segment| names.iter().any(|name| base_offset(name) == Some(segment));
        if self.segment.is_some_and(is_there) && snapshot <= self.end {
            return false;
        }
        let segment = names.iter().filter_map(|name| base_offset(name)).filter(|base| *base <= snapshot).max();
        *self = Durable { segment, position: 0, next: segment.unwrap_or(snapshot), end: snapshot };
        true
    }

    /// Goes on as long as the device has the next batch of the leader's log. Of batches that lie below all that is known
    /// of that log, the first that is known tells (log matching); another leader may know more.
    fn walk(&mut self, disk: &VirtualDisk, log: &[KnownBatch], to: i64) {
        let first_known = log.first().map_or(i64::MAX, |batch| batch.first);
        while self.end < to
            && let Some((batch, size)) = self.next_batch(disk)
        {
            if batch.last >= first_known.max(self.end) {
                if log.get(log.partition_point(|known| known.last < batch.first)) != Some(&batch) {
                    return;
                }
                self.end = batch.last + 1;
            }
            self.position += size;
            self.next = batch.last + 1;
        }
    }

    /// What stands next on the device: in this segment, or in one that begins where this one ends.
    fn next_batch(&mut self, disk: &VirtualDisk) -> Option<(KnownBatch, u64)> {
        if let Some(found) = self.batch_at(disk, self.segment?, self.position) {
            return Some(found);
        }
        let found = self.batch_at(disk, self.next, 0).filter(|_| self.segment != Some(self.next))?;
        (self.segment, self.position) = (Some(self.next), 0);
        Some(found)
    }

    fn batch_at(&self, disk: &VirtualDisk, segment: i64, position: u64) -> Option<(KnownBatch, u64)> {
        let name = format!("{segment:020}.log");
        let header = parse_header(&disk.durable_bytes(DIRECTORY, &name, position, HEADER_BYTES)?).ok()?;
        let size = header.size_in_bytes();
        let is_whole = disk.durable_bytes(DIRECTORY, &name, position, size)?.len() == size;
        let batch = KnownBatch {
            first: header.base_offset,
            last: header.last_offset(),
            epoch: header.partition_leader_epoch,
            hash: u64::from(header.crc),
        };
        (is_whole && batch.first == self.next).then_some((batch, size as u64))
    }
}

fn snapshot_end(name: &str) -> Option<i64> {
    match SnapshotId::parse(name)? {
        SnapshotFile::Whole(id) => Some(id.end_offset),
        SnapshotFile::Partial(_) => None,
    }
}

fn base_offset(name: &str) -> Option<i64> {
    name.strip_suffix(".log")?.parse().ok()
}
