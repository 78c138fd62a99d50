//! One replica's log as it truly is, batch by batch, and everything it ever held.

use crate::observation::{EventRef, ProducerBatch};

/// A batch's identity: the same content at the same place in the same epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Batch {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) epoch: i32,
    pub(crate) hash: u64,
    pub(crate) producer: Option<ProducerBatch>,
}

/// A batch in a replica's log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogEntry {
    pub(crate) batch: Batch,
    /// The observation that appended it.
    pub(crate) seq: u64,
}

/// How a log became shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CutKind {
    /// The replica cut it, for this reason.
    Truncated { why: String },
    /// It was gone after the broker's power loss of this number.
    PowerLoss { outage: usize },
    /// It was gone when the broker came back, though the page cache had stayed.
    Recovery,
}

/// One cut.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) at: EventRef,
    pub(crate) seq: u64,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) kind: CutKind,
    /// The leader epoch the replica lived in.
    pub(crate) leader_epoch: i32,
    /// It was to end below where it began, and begins there with nothing left.
    pub(crate) is_dropped_whole: bool,
    /// The batches that went, in order of offset.
    pub(crate) removed: Vec<LogEntry>,
}

impl Cut {
    fn entry(&self, batch: &Batch) -> Option<&LogEntry> {
        let place = self.removed.partition_point(|e| e.batch.last < batch.first);
        self.removed.get(place).filter(|e| e.batch == *batch)
    }
}

/// One span of time in which a replica held a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    pub(crate) entry: &'a LogEntry,
    pub(crate) until: Option<&'a Cut>,
}

/// One replica.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) log: Vec<LogEntry>,
    pub(crate) log_start: i64,
    /// The highest offset that its log ever began at: a crash may take that back, and not what was deleted.
    pub(crate) once_began_at: i64,
    pub(crate) log_end: i64,
    pub(crate) high_watermark: i64,
    /// The leader epoch it lives in, as far as it was told; -1: unknown.
    pub(crate) leader_epoch: i32,
    pub(crate) cuts: Vec<Cut>,
    /// So many of its broker's outages are accounted for.
    pub(crate) outages_seen: usize,
    /// It lost data and has not been shown to be caught up since.
    pub(crate) lost_data: bool,
    /// Below this offset its log is known to equal the ghost log.
    pub(crate) verified: i64,
    /// A mismatch of this log was told and has not been cut away.
    pub(crate) mismatch_told: bool,
    /// Producers that it knows nothing of any more, though its log holds batches of theirs.
    pub(crate) forgotten: Vec<i64>,
    /// What its leader last knew of it: position and when.
    pub(crate) fetched: Option<(i32, i64, EventRef)>,
}

impl Default for Replica {
    fn default() -> Self {
        Replica {
            log: Vec::new(),
            log_start: 0,
            once_began_at: 0,
            log_end: 0,
            high_watermark: 0,
            leader_epoch: -1,
            cuts: Vec::new(),
            outages_seen: 0,
            lost_data: false,
            verified: 0,
            mismatch_told: false,
            forgotten: Vec::new(),
            fetched: None,
        }
    }
}

impl Replica {
    /// A batch was appended. One that does not follow the log's end is taken as it comes: logs may have holes.
    pub(crate) fn append(&mut self, batch: Batch, seq: u64) {
        self.log.push(LogEntry { batch, seq });
        self.log_end = batch.last.saturating_add(1);
    }

    /// The log begins here now.
    pub(crate) fn begins_at(&mut self, log_start: i64) {
        self.log_start = log_start;
        self.once_began_at = self.once_began_at.max(log_start);
    }

    /// Cuts the log to `to`; a batch with any record at or above goes whole (`LogSegment.truncateTo`).
    pub(crate) fn cut(&mut self, to: i64, at: EventRef, seq: u64, kind: CutKind) -> Option<&Cut> {
        if to == self.log_end {
            return None;
        }
        // A target above the end: the log was dropped whole and starts there (`truncateFullyAndStartAt`).
        let keep = if to > self.log_end { 0 } else { self.log.partition_point(|e| e.batch.last < to) };
        let removed = self.log.split_off(keep);
        let from = self.log_end;
        // Nor is anything left of a log that ends below its start (`UnifiedLog.truncateTo`).
        let is_dropped_whole = to < self.log_start;
        if to > self.log_end || is_dropped_whole {
            (self.log_start, self.once_began_at) = (to, to);
        }
        self.log_end = to;
        self.verified = self.verified.min(removed.first().map_or(to, |e| e.batch.first));
        self.mismatch_told = false;
        self.cuts.push(Cut { at, seq, from, to, kind, leader_epoch: self.leader_epoch, is_dropped_whole, removed });
        self.cuts.last()
    }

    /// The place of the batch that covers an offset.
    pub(crate) fn place_of(&self, offset: i64) -> Option<usize> {
        let place = match self.log.last() {
            Some(last) if last.batch.first <= offset => self.log.len() - 1,
            _ => self.log.partition_point(|e| e.batch.last < offset),
        };
        self.log.get(place).filter(|e| e.batch.first <= offset && offset <= e.batch.last).map(|_| place)
    }

    /// Does the log hold this batch now?
    pub(crate) fn holds(&self, batch: &Batch) -> bool {
        self.place_of(batch.first).is_some_and(|place| self.log[place].batch == *batch)
    }

    /// Has it this batch now? What lies below its start is deleted, though the log may still hold it.
    pub(crate) fn has(&self, batch: &Batch) -> bool {
        batch.last >= self.log_start && self.holds(batch)
    }

    /// Was its log to end below where it began, so that it dropped all and began there, behind that offset
    /// (`UnifiedLog.truncateTo`)?
    pub(crate) fn has_dropped_all_below(&self, offset: i64) -> bool {
        self.cuts.iter().any(|cut| cut.is_dropped_whole && cut.to > offset)
    }

    /// Does it hold it, or did it ever?
    pub(crate) fn ever_held(&self, batch: &Batch) -> bool {
        self.holds(batch) || self.cuts.iter().any(|cut| cut.entry(batch).is_some())
    }

    /// All spans of time in which it held the batch, in order.
    pub(crate) fn spans(&self, batch: &Batch) -> Vec<Held<'_>> {
        let mut spans: Vec<Held<'_>> =
            self.cuts.iter().filter_map(|cut| cut.entry(batch).map(|entry| Held { entry, until: Some(cut) })).collect();
        if let Some(place) = self.place_of(batch.first).filter(|place| self.log[*place].batch == *batch) {
            spans.push(Held { entry: &self.log[place], until: None });
        }
        spans
    }

    /// What its log held just after that observation, in no order.
    pub(crate) fn entries_at(&self, seq: u64) -> impl Iterator<Item = &LogEntry> {
        let cut_since = self.cuts.iter().filter(move |cut| cut.seq > seq).flat_map(|cut| &cut.removed);
        cut_since.chain(&self.log).filter(move |entry| entry.seq <= seq)
    }

    /// Did it hold the batch just before that observation?
    pub(crate) fn held_at(&self, batch: &Batch, seq: u64) -> bool {
        self.spans(batch).iter().any(|s| s.entry.seq <= seq && s.until.is_none_or(|cut| cut.seq > seq))
    }
}
