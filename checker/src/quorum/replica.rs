//! One controller's metadata log as it truly is, and what the controller has said and done.

use std::collections::BTreeMap;

use crate::observation::EventRef;

/// One batch of the metadata log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) epoch: i32,
    pub(super) hash: u64,
}

impl Entry {
    /// Of an observation.
    pub(super) fn of(entry: &crate::observation::Entry) -> Self {
        let last = entry.last_offset.max(entry.first_offset);
        Entry { first: entry.first_offset, last, epoch: entry.epoch, hash: entry.hash }
    }

    /// The first offset behind it.
    pub(super) fn end(&self) -> i64 {
        self.last.saturating_add(1)
    }
}

/// A controller.
#[derive(Clone, Debug, Default)]
pub(super) struct Replica {
    pub(super) log: Vec<Entry>,
    pub(super) log_start: i64,
    pub(super) log_end: i64,
    /// Everything below is in its latest snapshot.
    pub(super) snapshot_end: i64,
    pub(super) high_watermark: i64,
    /// Below which offset its process knows everything to be committed, and since when.
    pub(super) known_committed: Option<(i64, EventRef)>,
    /// The highest epoch it has acted in.
    pub(super) epoch: i32,
    /// Whom it voted for, by epoch.
    pub(super) votes: BTreeMap<i32, i32>,
    /// The last epoch in which it stood for election.
    pub(super) stood: Option<i32>,
    /// The epoch it leads.
    pub(super) leads: Option<i32>,
    /// How many voters are in force for it; 0 until that is told.
    pub(super) voters: usize,
    /// It is a voter by node id and directory id.
    pub(super) voter: bool,
    /// Below this offset its log is known to equal the ghost log.
    pub(super) verified: i64,
    /// A difference of this log was told and has not been cut away.
    pub(super) told: bool,
}

impl Replica {
    /// A batch was appended.
    pub(super) fn append(&mut self, entry: Entry) {
        self.log.push(entry);
        self.log_end = entry.end();
    }

    /// Cuts the log; a batch with any record at or above goes whole. Returns what went.
    pub(super) fn cut(&mut self, to: i64) -> Vec<Entry> {
        let keep = if to > self.log_end { 0 } else { self.log.partition_point(|e| e.last < to) };
        let removed = self.log.split_off(keep);
        (self.log_end, self.told) = (to, false);
        self.verified = self.verified.min(removed.first().map_or(to, |e| e.first));
        removed
    }

    /// The log's start moved up: what lies below is in the snapshot.
    pub(super) fn start_at(&mut self, to: i64) {
        self.log.drain(..self.log.partition_point(|e| e.last < to));
        self.log_start = to;
        self.log_end = self.log_end.max(to);
    }

    /// The log was dropped, and goes on behind a snapshot.
    pub(super) fn replaced_by_snapshot(&mut self, end_offset: i64) {
        self.log.clear();
        (self.log_start, self.log_end, self.verified, self.told) = (end_offset, end_offset, end_offset, false);
    }
}
