//! ack-offset-mismatch: the acknowledged offset is not where the record is.

use super::records::{NO_OFFSET, Record, Told};
use super::{History, PartitionHistory, Violation};

/// All mismatches, by record. A record that is not there at all is a lost write instead.
pub(crate) fn find(history: &History, found: &mut Vec<Violation>) {
    for (id, record) in history.records.iter() {
        if record.told != Told::Acked || record.acked_offset == NO_OFFSET {
            continue;
        }
        let log = &history.logs[record.partition as usize];
        let found_at = if log.complete() { record.final_offset } else { record.read_offset };
        if found_at == NO_OFFSET || found_at == record.acked_offset {
            continue;
        }
        // Another copy may well be where the acknowledgement said: then it is a duplicate.
        if !is_at(log, id, record.acked_offset) {
            found.push(Violation::AckOffsetMismatch {
                partition: history.partitions.name(record.partition).clone(),
                record: id,
                acked_offset: record.acked_offset,
                found_at,
                at: record.settled,
            });
        }
    }
}

/// Was the copy acknowledged that was found first? Where that of which the acknowledgement speaks is gone, what is left was
/// never said to be there by then.
pub(super) fn speaks_of_what_is_there(log: &PartitionHistory, id: u64, record: &Record) -> bool {
    let names_one = record.acked_offset != NO_OFFSET && record.acked_offset != record.final_offset;
    record.told == Told::Acked && (!names_one || is_at(log, id, record.acked_offset))
}

/// Is a copy of the record there, as far as anybody saw?
fn is_at(log: &PartitionHistory, record: u64, offset: i64) -> bool {
    match log.final_log.binary_search_by_key(&offset, |(offset, _)| *offset) {
        Ok(index) => log.final_log[index].1 == record,
        Err(_) => !log.complete() && log.seen.at(offset).is_some_and(|seen| seen.record == record),
    }
}
