//! X, the cross-check: what clients saw (H) against what the logs truly hold (G). Both saw the same run; where they contradict each
//! other one of them is wrong, and that is a defect of the checker, or of what its host tells it, and never of the cluster.
//!
//! What must agree stands in the table of [`crate::invariants`].
//!
//! What each finding of H needs in G, its cause:
//!
//! | finding of H | cause in G |
//! |---|---|
//! | inconsistent-offsets | leaders appended both records there, in two batches |
//! | duplicate | leaders appended the record at each of the offsets |
//! | lost-write | the leader's log has the record not; or it has, and H was not given it: hidden |
//! | dropped-unpromised | the leader's log has it not |
//! | g1a, ack-offset-mismatch, nonmonotonic-send, realtime-append-inversion | leaders appended the records at these offsets |
//! | poll-skip, nonmonotonic-poll | a leader appended something there |
//! | phantom-read, wrong-partition | none: nobody wrote that; what a broker answered is compared with its log (fetch-mismatch) |
//!
//! Nothing that happened to the logs and that a client could see is missing in H: that is what final-log and lost-but-not-told say.
//! What G finds besides is internal: two logs that differ, an election or an acknowledgement that was not safe, show to clients
//! only by the records that are missing or changed.
//!
//! Not compared, because G knows nothing of them: what producers were told, and what groups make of positions; reads that did not
//! come to an end, which are stuck and undecided. Nor partitions of topics that were deleted. A host that does not tell which
//! records a batch has is not held to it.

mod causes;

use std::collections::BTreeSet;

use crate::cluster::Cluster;
use crate::cluster::partition::{PartitionTruth, Produced};
use crate::findings::{Findings, Headline};
use crate::history::records::Told;
use crate::history::{FinalEnd, History, PartitionHistory, Violation};
use crate::invariants::Invariant;
use crate::observation::{EventRef, Partition};
use crate::verdict::Step;
use crate::words::{seconds, step};

const fn both(rule: &'static str, what: &'static str) -> Invariant {
    Invariant { code: "checker-disagreement", rule: Some(rule), what, source: "the checker itself" }
}

const READ: Invariant =
    both("read-but-never-written", "whatever a consumer was handed at an offset, a leader had appended there");
const FINAL_LOG: Invariant = both(
    "final-log",
    "a record stands in the final read as often as in the log of the leader that was read, between the ends of the read",
);
const NOT_TOLD: Invariant =
    both("lost-but-not-told", "an acknowledged record that the leader's log has not is among the losses that H tells");

const CAUSE: Invariant =
    both("found-without-cause", "whatever H finds at an offset, leaders had appended what it takes there");

/// What both sides agree on.
pub(crate) const INVARIANTS: [Invariant; 4] = [READ, FINAL_LOG, NOT_TOLD, CAUSE];

/// Compares both sides of a finished run.
pub(crate) fn check(history: &History, cluster: &Cluster, violations: &[Violation], found: &mut Findings) {
    if !cluster.knows_records() {
        return;
    }
    let lost: BTreeSet<u64> = violations.iter().filter_map(lost).collect();
    for violation in violations {
        causes::check(history, cluster, violation, found);
    }
    let mut records: Vec<Vec<u64>> = vec![Vec::new(); history.logs.len()];
    for (id, record) in history.records.iter().filter(|(_, record)| !record.deleted) {
        if let Some(records) = records.get_mut(record.partition as usize) {
            records.push(id);
        }
    }
    for ((number, log), records) in (0..).zip(&history.logs).zip(records) {
        let name = history.partitions.name(number);
        let Some(truth) = cluster.partition(name).filter(|_| !history.was_deleted(&name.topic)) else { continue };
        let both = Both { history, cluster, truth, log, lost: &lost };
        both.reads(found);
        if let Some(end) = log.final_end.filter(|end| end.complete) {
            both.final_log(&records, end, found);
        }
    }
}

/// A record that H says is gone.
fn lost(violation: &Violation) -> Option<u64> {
    match violation {
        Violation::LostWrite { record, .. } => Some(*record),
        _ => None,
    }
}

/// One partition from both sides.
struct Both<'a> {
    history: &'a History,
    cluster: &'a Cluster,
    truth: &'a PartitionTruth,
    log: &'a PartitionHistory,
    lost: &'a BTreeSet<u64>,
}

impl Both<'_> {
    /// read-but-never-written.
    fn reads(&self, found: &mut Findings) {
        for (offset, seen) in self.log.seen.iter() {
            let record = seen.record;
            if self.cluster.written_at(self.truth, record, offset).next().is_some() {
                continue;
            }
            let wrote = self.cluster.written(self.truth, record).next();
            self.disagree(READ, Some(offset), record, seen.at, found, || {
                let wrote = match wrote {
                    Some(wrote) => format!("leaders wrote it to offset {} at last", wrote.offset),
                    None => "no leader ever wrote it".to_owned(),
                };
                format!("record r{record} was read at offset {offset}, and {wrote}")
            });
        }
    }

    /// final-log and lost-but-not-told.
    fn final_log(&self, records: &[u64], end: FinalEnd, found: &mut Findings) {
        let Some(leader) = self.truth.replicas.get(&self.truth.leader) else { return };
        let start = end.log_start.max(leader.log_start);
        for id in records.iter().copied() {
            let Some(record) = self.history.records.get(id) else { continue };
            let (mut is_cut, mut held) = (false, 0);
            for Produced { batch, .. } in self.cluster.batches(self.truth, id) {
                if batch.first >= start && batch.last < end.log_end {
                    held += u64::from(leader.holds(batch));
                } else {
                    // Below the start it may have been read before it was deleted, and where the leader went on nobody read.
                    is_cut |= batch.first < end.log_end;
                }
            }
            if is_cut {
                continue;
            }
            let (truth, read) = (held.min(u64::from(u16::MAX)), u64::from(record.copies));
            let is_told = self.lost.contains(&id);
            let is_hidden = read == 0 && is_told;
            if truth != read && !is_hidden {
                self.disagree(FINAL_LOG, None, id, end.at, found, || {
                    format!(
                        "record r{id} stands {} in the log of its leader, and was read {} at the end",
                        times(truth),
                        times(read)
                    )
                });
            } else if truth == 0 && record.told == Told::Acked && !is_told {
                self.disagree(NOT_TOLD, None, id, end.at, found, || {
                    format!("record r{id} was acknowledged and its leader has it no more, and nothing is said of that")
                });
            }
        }
    }

    fn disagree(
        &self,
        broken: Invariant,
        offset: Option<i64>,
        record: u64,
        at: EventRef,
        found: &mut Findings,
        what: impl FnOnce() -> String,
    ) {
        disagree(broken, &self.truth.name, offset, Some(record), at, found, what);
    }
}

fn disagree(
    broken: Invariant,
    partition: &Partition,
    offset: Option<i64>,
    record: Option<u64>,
    at: EventRef,
    found: &mut Findings,
    what: impl FnOnce() -> String,
) {
    let headline = Headline::bug(broken.code, partition, offset, at);
    found.add(Headline { rule: broken.rule, record, ..headline }, || {
        let what = format!("in {partition}, {}", what());
        let chain: Vec<Step> = vec![step(at, "checker", format!("at {}: {what}", seconds(at.time)))];
        (format!("a defect of the checker, not of the cluster: its two sides disagree: {what}"), chain)
    });
}

fn times(n: u64) -> String {
    match n {
        0 => "nowhere".to_owned(),
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}
