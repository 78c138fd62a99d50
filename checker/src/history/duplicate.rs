//! duplicate: one value at two or more offsets (Jepsen's Kafka workload). Where the final read is complete, only what
//! stands in the final log counts: an offset that was cut and written again is an inconsistent offset, not a copy.

use std::collections::BTreeMap;

use super::{History, Violation};
use crate::observation::EventRef;

/// All duplicates, by record.
pub(crate) fn find(history: &History, found: &mut Vec<Violation>) {
    let mut copies: BTreeMap<u64, (Vec<i64>, EventRef)> = BTreeMap::new();
    let mut add = |record: u64, first: i64, offset: i64, at: EventRef| {
        copies.entry(record).or_insert_with(|| (vec![first], at)).0.push(offset);
    };
    for &(record, offset, at) in &history.final_elsewhere {
        if let Some(state) = history.records.get(record) {
            add(record, state.final_offset, offset, at);
        }
    }
    for &(record, offset, at) in &history.elsewhere {
        let Some(state) = history.records.get(record) else { continue };
        let log = &history.logs[state.partition as usize];
        // Where the log was read to its end, what that read found decides; below its start, earlier reads do.
        let reread = |o: i64| log.final_end.is_some_and(|end| end.complete && o >= end.log_start);
        if !reread(offset) && !reread(state.read_offset) {
            add(record, state.read_offset, offset, at);
        }
    }
    for (record, (mut offsets, at)) in copies {
        offsets.sort_unstable();
        offsets.dedup();
        if let Some(state) = history.records.get(record).filter(|_| offsets.len() > 1) {
            let partition = history.partitions.name(state.partition).clone();
            found.push(Violation::Duplicate { partition, record, offsets, at });
        }
    }
}
