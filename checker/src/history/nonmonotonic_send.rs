//! nonmonotonic-send: acknowledged records of one producer to one partition lie in the log in another order than that
//! in which they were handed to the producer (Jepsen's Kafka workload; the promise of KIP-98's sequence numbers).

use super::records::Told;
use super::{History, Violation};

/// All inversions: each record against the highest before it. A record with copies counts where it lies first.
pub(crate) fn find(history: &History, found: &mut Vec<Violation>) {
    let mut sends: Vec<(u32, u32, u64, u64, i64)> = history
        .records
        .iter()
        .filter(|(_, r)| r.told == Told::Acked && r.copies > 0)
        .map(|(id, r)| (r.partition, r.producer, r.invoked.id, id, r.final_offset))
        .collect();
    sends.sort_unstable();
    let mut highest: Option<(u32, u32, u64, i64)> = None;
    for (partition, producer, _, later, later_offset) in sends {
        match highest {
            Some((p, q, earlier, earlier_offset))
                if (p, q) == (partition, producer) && earlier_offset > later_offset =>
            {
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
            _ => highest = Some((partition, producer, later, later_offset)),
        }
    }
}
