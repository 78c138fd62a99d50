//! phantom-read: a value that nobody sent; wrong-partition: one that was sent elsewhere; g1a: one whose send
//! definitely failed (Adya's aborted read, as Jepsen's Kafka workload uses it). Findings, never a crash of the checker. What was
//! read as no value where a leader had written a record is a corrupt-record: the judge knows that.

use std::collections::BTreeSet;

use super::records::{Records, Told};
use super::{History, Violation};
use crate::observation::EventRef;

/// Reads of what should not be there; each (offset, value) once.
#[derive(Clone, Debug, Default)]
pub(crate) struct PhantomReads {
    told: BTreeSet<(u32, i64, Option<u64>)>,
    found: Vec<(u32, i64, Option<u64>, EventRef)>,
}

impl PhantomReads {
    /// Is it a record that was sent to this partition? If not, that is a finding.
    pub(crate) fn check(
        &mut self,
        at: EventRef,
        records: &Records,
        partition: u32,
        offset: i64,
        record: Option<u64>,
    ) -> bool {
        let sent_here = record.and_then(|id| records.get(id)).is_some_and(|r| r.partition == partition);
        if !sent_here && self.told.insert((partition, offset, record)) {
            self.found.push((partition, offset, record, at));
        }
        sent_here
    }

    /// All phantoms, and all failed records that somebody read.
    pub(crate) fn finish(&self, history: &History, found: &mut Vec<Violation>) {
        for &(partition, offset, record, at) in &self.found {
            let partition = history.partitions.name(partition).clone();
            found.push(match record.and_then(|id| Some((id, history.records.get(id)?))) {
                Some((record, state)) => {
                    let sent_to = history.partitions.name(state.partition).clone();
                    Violation::WrongPartition { partition, offset, record, sent_to, at }
                }
                None => Violation::PhantomRead { partition, offset, record, at },
            });
        }
        for (record, state) in history.records.iter().filter(|(_, r)| r.told == Told::Failed && r.read_offset >= 0) {
            let seen = history.logs[state.partition as usize].seen.at(state.read_offset);
            found.push(Violation::FailedButVisible {
                partition: history.partitions.name(state.partition).clone(),
                offset: state.read_offset,
                record,
                at: seen.filter(|s| s.record == record).map_or(state.settled, |s| s.at),
            });
        }
    }
}
