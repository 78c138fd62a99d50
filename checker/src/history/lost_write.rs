//! lost-write: an acknowledged record that is not there.
//!
//! With a final read: acknowledged, and a complete read of the partition from its start after healing did not find it
//! (Jepsen's *unseen*, at quiescence). Without one, Jepsen's bound: readers saw records up to some offset, and this one,
//! acknowledged below it, none of them saw. Records of acks=0 were never promised and are counted apart.

use std::collections::BTreeMap;

use super::records::{NO_OFFSET, Record, Told};
use super::{History, Violation};
use crate::observation::EventRef;

/// All losses, by record.
pub(crate) fn find(history: &History, found: &mut Vec<Violation>) {
    let mut undecided: BTreeMap<u32, (u64, EventRef)> = BTreeMap::new();
    let promised = |record: &Record| !record.deleted && !history.logs[record.partition as usize].deleted;
    for (id, record) in history.records.iter().filter(|(_, record)| promised(record)) {
        match record.told {
            Told::Acked => {
                if let Some(violation) = acked(history, id, record, &mut undecided) {
                    found.push(violation);
                }
            }
            Told::Unpromised if record.copies == 0 && history.logs[record.partition as usize].complete() => {
                let partition = history.partitions.name(record.partition).clone();
                found.push(Violation::DroppedUnpromised { partition, record: id, at: record.settled });
            }
            _ => {}
        }
    }
    found.extend(undecided.into_iter().map(|(partition, (records, at))| Violation::Undecided {
        partition: history.partitions.name(partition).clone(),
        records,
        at,
    }));
}

fn acked(
    history: &History,
    id: u64,
    record: &Record,
    undecided: &mut BTreeMap<u32, (u64, EventRef)>,
) -> Option<Violation> {
    let log = &history.logs[record.partition as usize];
    let partition = || history.partitions.name(record.partition).clone();
    let acked_offset = (record.acked_offset != NO_OFFSET).then_some(record.acked_offset);
    match log.final_end {
        Some(end) if end.complete => (record.copies == 0).then(|| Violation::LostWrite {
            partition: partition(),
            record: id,
            acked_offset,
            log_start: end.log_start,
            log_end: end.log_end,
            at: end.at,
        }),
        Some(end) => {
            if record.copies == 0 {
                undecided.entry(record.partition).or_insert((0, end.at)).0 += 1;
            }
            None
        }
        None => {
            let (lowest, highest) = log.seen.range?;
            let passed = acked_offset.filter(|o| *o > lowest && *o < highest && record.read_offset == NO_OFFSET)?;
            Some(Violation::Unseen {
                partition: partition(),
                record: id,
                acked_offset: passed,
                read_up_to: highest,
                at: record.settled,
            })
        }
    }
}
