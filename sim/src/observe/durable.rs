//! How far would a controller's disk hold the metadata log after a loss of power?
//!
//! Read from what the device has, segment by segment, and compared with a leader's log; what was found equal is not read
//! again. Whoever cuts the log or changes the disk forgets this.

use trial_storage::{HEADER_BYTES, parse_header};

use super::logs::KnownBatch;
use crate::disk::VirtualDisk;

const DIRECTORY: &str = "__cluster_metadata-0";

/// Where the comparison stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Durable {
    /// The segment, by the offset it begins with; `None` before the first.
    segment: Option<i64>,
    position: u64,
    /// Everything below is durable and equals the leader's log.
    end: i64,
}

impl Durable {
    /// The offset below which the device has this log, as far as it is asked for.
    pub(super) fn end(&mut self, disk: &VirtualDisk, log: &[KnownBatch], to: i64) -> i64 {
        if self.segment.is_none() {
            let segments = disk.durable_names(DIRECTORY);
            let Some(first) = segments.iter().filter_map(|name| base_offset(name)).min() else { return 0 };
            *self = Durable { segment: Some(first), position: 0, end: first };
        }
        let mut place = log.partition_point(|batch| batch.last < self.end);
        while self.end < to
            && let Some(batch) = log.get(place)
            && self.has(disk, batch)
        {
            self.end = batch.last + 1;
            place += 1;
        }
        self.end
    }

    /// Does this batch stand next on the device? If so, goes on behind it.
    fn has(&mut self, disk: &VirtualDisk, batch: &KnownBatch) -> bool {
        if let Some(size) = self.size_here(disk, batch) {
            self.position += size;
            return true;
        }
        // A new segment begins with it.
        let here = (self.segment, self.position);
        (self.segment, self.position) = (Some(batch.first), 0);
        match self.size_here(disk, batch).filter(|_| here.0 != Some(batch.first)) {
            Some(size) => {
                self.position = size;
                true
            }
            None => {
                (self.segment, self.position) = here;
                false
            }
        }
    }

    fn size_here(&self, disk: &VirtualDisk, batch: &KnownBatch) -> Option<u64> {
        let name = format!("{:020}.log", self.segment?);
        let header = parse_header(&disk.durable_bytes(DIRECTORY, &name, self.position, HEADER_BYTES)?).ok()?;
        let there = KnownBatch {
            first: header.base_offset,
            last: header.last_offset(),
            epoch: header.partition_leader_epoch,
            hash: u64::from(header.crc),
        };
        let size = header.size_in_bytes();
        let whole = disk.durable_bytes(DIRECTORY, &name, self.position, size)?.len() == size;
        (there == *batch && whole).then_some(size as u64)
    }
}

fn base_offset(name: &str) -> Option<i64> {
    name.strip_suffix(".log")?.parse().ok()
}
