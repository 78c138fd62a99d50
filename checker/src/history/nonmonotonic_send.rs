//! nonmonotonic-send: acknowledged records of one producer to one partition lie in the log in another order than that
//! in which they were handed to the producer (Jepsen's Kafka workload; the promise of KIP-98's sequence numbers).
//!
//! As with [`super::realtime_append_inversion`], a record counts whose acknowledged copy is there: what a late attempt left
//! behind, when that copy has gone, was promised no place.
//!
//! A record with copies counts where it lies first. Where the log's beginning is deleted nobody knows which copies were first, and
//! a record counts where its acknowledgement says: of two records that were both written twice the deletion may have left
//! one both times and the other once.

use std::collections::BTreeMap;

use super::ack_offset_mismatch::speaks_of_what_is_there;
use super::records::{NO_OFFSET, Record};
use super::{History, Violation};

/// All inversions: each record against the highest before it.
pub(crate) fn find(history: &History, found: &mut Vec<Violation>) {
    let is_there =
        |id: u64, r: &Record| r.copies > 0 && speaks_of_what_is_there(&history.logs[r.partition as usize], id, r);
    let judged = history.records.iter().filter(|(id, r)| is_there(*id, r));
    let mut sends: Vec<(u64, u64)> = judged.map(|(id, r)| (r.invoked.id, id)).collect();
    sends.sort(); // they nearly are
    let mut highest: BTreeMap<(u32, u32), (u64, i64)> = BTreeMap::new();
    for (_, later) in sends {
        let Some(record) = history.records.get(later) else { continue };
        let (partition, producer, later_offset) = (record.partition, record.producer, place(history, record));
        match highest.get(&(partition, producer)).copied() {
            Some((earlier, earlier_offset)) if earlier_offset > later_offset => {
                found.push(Violation::NonmonotonicSend {
                    partition: history.partitions.name(partition).clone(),
                    producer,
                    earlier,
                    earlier_offset,
                    later,
                    later_offset,
                    at: history.records.get(later).map(|r| r.settled).unwrap_or_default(),
                });
            }
            _ => drop(highest.insert((partition, producer), (later, later_offset))),
        }
    }
}

/// Where a record counts.
fn place(history: &History, record: &Record) -> i64 {
    let begins_above_0 = history.logs[record.partition as usize].final_end.is_some_and(|end| end.log_start > 0);
    if begins_above_0 && record.acked_offset != NO_OFFSET { record.acked_offset } else { record.final_offset }
}
