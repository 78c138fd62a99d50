//! stuck: no progress long after all faults have healed. The final read of a partition, which waits for its bound, did
//! not come to the partition's end: nobody leads it, or its leader does not deliver.

use super::{History, Violation};

/// All partitions whose final read did not reach the end.
pub(crate) fn find(history: &History, found: &mut Vec<Violation>) {
    for (number, log) in (0..).zip(&history.logs) {
        if let Some(end) = log.final_end.filter(|end| !end.complete) {
            found.push(Violation::Stuck {
                partition: history.partitions.name(number).clone(),
                read_up_to: log.final_log.last().map_or(end.log_start, |(offset, _)| offset.saturating_add(1)),
                log_end: end.log_end,
                at: end.at,
            });
        }
    }
}
