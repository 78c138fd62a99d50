//! realtime-append-inversion: a record lies at a higher offset than one whose send was invoked only after this one's
//! had completed. One sweep from the end of the log with the running minimum of completion times.
//!
//! An acknowledgement speaks of the copy at the offset that it names. Where that copy is gone, what is left was never said to be
//! there by then: whether it may be gone is said of the acknowledged offset ([`super::ack_offset_mismatch`]).

use super::ack_offset_mismatch::speaks_of_what_is_there;
use super::{History, Violation};

/// All inversions in the final logs. A record with copies counts where it lies first.
pub(crate) fn find(history: &History, found: &mut Vec<Violation>) {
    for (number, log) in history.logs.iter().enumerate() {
        // The record above that was acknowledged first: (completion, record, offset).
        let mut first_done: Option<(u64, u64, i64)> = None;
        for &(offset, id) in log.final_log.iter().rev() {
            let Some(record) = history.records.get(id) else { continue };
            if record.final_offset != offset || record.partition as usize != number {
                continue;
            }
            if let Some((done, earlier, earlier_offset)) = first_done
                && done < record.invoked.time
            {
                found.push(Violation::RealtimeAppendInversion {
                    partition: history.partitions.name(record.partition).clone(),
                    earlier,
                    earlier_offset,
                    later: id,
                    later_offset: offset,
                    at: record.invoked,
                });
            }
            if first_done.is_none_or(|(done, ..)| record.settled.time < done)
                && speaks_of_what_is_there(log, id, record)
            {
                first_done = Some((record.settled.time, id, offset));
            }
        }
    }
}
