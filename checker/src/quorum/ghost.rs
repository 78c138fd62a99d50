//! The ghost log of the metadata: the sequence of batches that were ever committed, which every later leader must have.

use super::replica::{Entry, Replica};
use crate::observation::EventRef;

/// A committed batch, and when a leader's high watermark passed it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Committed {
    pub(super) entry: Entry,
    /// The epoch of that leader.
    pub(super) by: i32,
    pub(super) at: EventRef,
}

/// Where a log leaves the ghost log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Difference {
    pub(super) committed: Committed,
    /// What stands there instead.
    pub(super) instead: Option<Entry>,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Ghost {
    log: Vec<Committed>,
    /// Everything below is committed.
    pub(super) end: i64,
}

impl Ghost {
    /// A leader's high watermark reached `to`: what its log has from the ghost log's end on is committed.
    pub(super) fn extend(&mut self, leader: &mut Replica, by: i32, to: i64, at: EventRef) {
        let before = self.end;
        let from = leader.log.partition_point(|e| e.first < self.end);
        for entry in leader.log[from..].iter().take_while(|e| e.last < to) {
            self.log.push(Committed { entry: *entry, by, at });
            self.end = entry.end();
        }
        if leader.verified == before {
            leader.verified = self.end;
        }
    }

    /// Compares a log with the ghost log below `to`, from where it was last found equal, as far as leaders of no later
    /// epoch than `epoch` committed it. What lies below its start is in its snapshot.
    pub(super) fn compare(&self, replica: &mut Replica, epoch: i32, to: i64) -> Option<Difference> {
        let start = replica.verified.max(replica.log_start);
        let from = self.log.partition_point(|c| c.entry.last < start);
        let places = replica.log.partition_point(|e| e.last < start)..;
        let due = self.log[from..].iter().take_while(|c| c.entry.last < to && c.by <= epoch);
        for (place, committed) in places.zip(due) {
            let there = replica.log.get(place).copied();
            if there != Some(committed.entry) {
                return Some(Difference { committed: *committed, instead: there });
            }
            replica.verified = committed.entry.end();
        }
        None
    }

    /// A leader took over without what lies from there on: its log is the truth now.
    pub(super) fn rebase(&mut self, offset: i64) {
        self.log.truncate(self.log.partition_point(|c| c.entry.first < offset));
        self.end = self.end.min(offset);
    }

    /// Is this batch committed?
    pub(super) fn find(&self, entry: &Entry) -> Option<&Committed> {
        self.log.get(self.log.partition_point(|c| c.entry.last < entry.first)).filter(|c| c.entry == *entry)
    }

    /// The epoch of the committed record below an offset; `None` if nothing is known there.
    pub(super) fn epoch_below(&self, end_offset: i64) -> Option<i32> {
        let place = self.log.partition_point(|c| c.entry.last < end_offset.saturating_sub(1));
        self.log.get(place).filter(|c| c.entry.first < end_offset).map(|c| c.entry.epoch)
    }
}
