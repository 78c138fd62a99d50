//! The ghost log: per partition, the sequence of batches that were ever committed, which every later leader must have.
//!
//! `committed(partition)` is the highest high watermark that any legitimate leader reached: the replica that leads in
//! the controller's own epoch. It only grows, except where a leader took over without it: that is a finding
//! (`unsafe-election`), told once, and the leader's history is the truth from there on.

use super::loss::Judgement;
use super::replica::{Batch, Replica};
use crate::observation::EventRef;

/// One committed batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    pub(crate) batch: Batch,
    pub(crate) at: EventRef,
    /// The observation that told.
    pub(crate) seq: u64,
    /// How many in-sync replicas the controller counted then.
    pub(crate) in_sync: u16,
}

/// Where a replica's log leaves the ghost log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Difference {
    pub(crate) committed: Committed,
    /// What the replica has there instead.
    pub(crate) instead: Option<Batch>,
}

/// The ghost log of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ghost {
    log: Vec<Committed>,
    /// Everything below was committed.
    pub(crate) end: i64,
    /// What later leaders did not have, one run of offsets for each, and why it went.
    lost: Vec<(Judgement, Vec<Committed>)>,
}

impl Ghost {
    /// A legitimate leader's high watermark reached `to`.
    pub(crate) fn extend(&mut self, leader: &mut Replica, to: i64, in_sync: usize, (at, seq): (EventRef, u64)) {
        if to <= self.end {
            return;
        }
        let (before, from) = (self.end, from_the_end(&leader.log, |e| e.batch.first < self.end));
        for entry in leader.log[from..].iter().take_while(|e| e.batch.last < to) {
            self.log.push(Committed { batch: entry.batch, at, seq, in_sync: in_sync.min(u16::MAX as usize) as u16 });
            self.end = entry.batch.last.saturating_add(1);
        }
        if leader.verified == before {
            leader.verified = self.end;
        }
    }

    /// Compares a replica's log with the ghost log from `floor` on and below `to`, and from where it was last found equal.
    pub(crate) fn compare(&self, replica: &mut Replica, floor: i64, to: i64) -> Option<Difference> {
        let to = to.min(self.end);
        let start = replica.verified.max(replica.log_start).max(floor);
        let from = from_the_end(&self.log, |c| c.batch.last < start);
        let mut place = from_the_end(&replica.log, |e| e.batch.last < start);
        let mut committed = self.log[from..].iter().take_while(|c| c.batch.last < to);
        committed.find_map(|committed| {
            let there = replica.log.get(place).map(|e| e.batch);
            if there != Some(committed.batch) {
                return Some(Difference { committed: *committed, instead: there });
            }
            replica.verified = committed.batch.last.saturating_add(1);
            place += 1;
            None
        })
    }

    /// The first committed batch, below the beginning of a leader's log, that is of another history than its: epochs never fall
    /// in one log, and this one's is higher than that of what the leader has behind it.
    pub(crate) fn parts_below(&self, leader: &Replica) -> Option<Difference> {
        let start = leader.log_start;
        let first = leader.log.get(from_the_end(&leader.log, |e| e.batch.last < start))?.batch;
        let place = self.log.partition_point(|c| c.batch.epoch <= first.epoch);
        let committed = self.log.get(place).filter(|c| c.batch.last < start)?;
        Some(Difference { committed: *committed, instead: None })
    }

    /// A leader took over without what lies from there on, for that reason. Where the leader that committed that had begun anew,
    /// behind the end of what is left, nothing that lies between was committed, and this leader may have its own there.
    pub(crate) fn rebase(&mut self, offset: i64, why: Judgement) {
        let lost = self.log.split_off(self.log.partition_point(|c| c.batch.first < offset));
        self.lost.push((why, lost));
        let left = self.log.last().map_or(0, |c| c.batch.last.saturating_add(1));
        self.end = self.end.min(offset).min(left);
    }

    /// Is this batch committed now?
    pub(crate) fn has(&self, batch: &Batch) -> bool {
        self.find(batch).is_some()
    }

    /// How often a leader took over without some of it.
    pub(crate) fn rebases(&self) -> usize {
        self.lost.len()
    }

    /// Each time that a leader took over without some of it: why. A later leader may have brought it back.
    pub(crate) fn losses(&self) -> impl Iterator<Item = &Judgement> {
        self.lost.iter().map(|(why, _)| why)
    }

    /// Why a leader took over without this batch, the last time that one did.
    pub(crate) fn why_lost(&self, batch: &Batch) -> Option<&Judgement> {
        self.lost.iter().rev().find(|(_, lost)| find(lost, batch).is_some()).map(|(why, _)| why)
    }

    /// Why a leader took over without what was committed at this offset, the last time that one did.
    pub(crate) fn why_lost_at(&self, offset: i64) -> Option<&Judgement> {
        let covers = |lost: &[Committed]| {
            let place = lost.partition_point(|c| c.batch.last < offset);
            lost.get(place).is_some_and(|c| c.batch.first <= offset)
        };
        self.lost.iter().rev().find(|(_, lost)| covers(lost)).map(|(why, _)| why)
    }

    /// What is committed from an offset on.
    pub(crate) fn committed_from(&self, offset: i64) -> &[Committed] {
        &self.log[from_the_end(&self.log, |c| c.batch.first < offset)..]
    }

    fn find(&self, batch: &Batch) -> Option<&Committed> {
        find(&self.log, batch)
    }

    /// How it was committed, if it ever was.
    pub(crate) fn ever(&self, batch: &Batch) -> Option<&Committed> {
        self.find(batch).or_else(|| self.lost.iter().find_map(|(_, lost)| find(lost, batch)))
    }
}

/// `partition_point` of what lies near the end, as what is looked for in a log that grows nearly always does: in steps that double.
fn from_the_end<T>(log: &[T], is_before: impl Fn(&T) -> bool) -> usize {
    let (mut end, mut step) = (log.len(), 1);
    while end > 0 {
        let from = end.saturating_sub(step);
        if is_before(&log[from]) {
            return from + log[from..end].partition_point(is_before);
        }
        (end, step) = (from, 2 * step);
    }
    0
}

fn find<'a>(log: &'a [Committed], batch: &Batch) -> Option<&'a Committed> {
    log.get(log.partition_point(|c| c.batch.last < batch.first)).filter(|c| c.batch == *batch)
}
