//! nonmonotonic-send: acknowledged records of one producer to one partition lie in the log in another order than that
//! in which they were handed to the producer (Jepsen's Kafka workload; the promise of KIP-98's sequence numbers).
//!
//! As with [`super::realtime_append_inversion`], a record counts whose acknowledged copy is there: what a late attempt left
//! behind, when that copy has gone, was promised no place.

use std::collections::BTreeMap;

use super::ack_offset_mismatch::speaks_of_what_is_there;
use super::records::Record;
use super::{History, Violation};

/// All inversions: each record against the highest before it. A record with copies counts where it lies first.
pub(crate) fn find(history: &History, found: &mut Vec<Violation>) {
    let is_there =
        |id: u64, r: &Record| r.copies > 0 && speaks_of_what_is_there(&history.logs[r.partition as usize], id, r);
    let judged = history.records.iter().filter(|(id, r)| is_there(*id, r));
    let mut sends: Vec<(u64, u64)> = judged.map(|(id, r)| (r.invoked.id, id)).collect();
    sends.sort(); // they nearly are
    let mut highest: BTreeMap<(u32, u32), (u64, i64)> = BTreeMap::new();
    for (_, later) in sends {
        let Some(record) = history.records.get(later) else { continue };
        let (partition, producer, later_offset) = (record.partition, record.producer, record.final_offset);
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
