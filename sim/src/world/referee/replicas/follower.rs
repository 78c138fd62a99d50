//! What does a follower make of what its leader answers? (4.3, 4.5)
//!
//! Sources: `AbstractFetcherThread.processFetchRequest`, `getOffsetTruncationState`, `fetchOffsetAndTruncate`,
//! `ReplicaFetcherThread.processPartitionData`, `UnifiedLog.appendAsFollower`, `truncateTo`, `LeaderEpochFileCache`.

use kafka_protocol::messages::fetch_response::PartitionData;
use trial_kafka::broker::partition::Partition;
use trial_storage::{BatchError, check_batch, parse_header};

use super::fetching::Next;
use super::shadow::Shadow;
use crate::disk::VirtualDisk;
use crate::world::referee::broker_answers::end_of_epoch;

/// A partition is answered without an error, and what was asked is what is still wanted. What does the follower do next?
pub(super) fn on_data(due: &mut Shadow, replica: &Partition, data: &PartitionData, disk: &VirtualDisk) -> Next {
    let diverging = &data.diverging_epoch;
    if diverging.end_offset >= 0 {
        let to = cut_offset(replica, diverging.epoch, diverging.end_offset);
        cut(due, replica, to, disk);
        return Next::Fetch;
    }
    if let Some(failed) = append(due, data) {
        return failed;
    }
    due.high_watermark = data.high_watermark.clamp(due.log_start, due.log_end);
    if data.log_start_offset > due.log_start && data.log_start_offset <= due.high_watermark {
        due.log_start = data.log_start_offset;
        due.latest = due.latest.map(|(epoch, start)| (epoch, start.max(data.log_start_offset)));
    }
    Next::Fetch
}

/// Appends what may be. Gives what becomes of the partition where that fails.
fn append(due: &mut Shadow, data: &PartitionData) -> Option<Next> {
    let records = data.records.as_ref().filter(|records| !records.is_empty())?;
    let mut at = 0;
    let mut first = None;
    let mut next_offset = None;
    // What it knows of epochs behind this, and what it would know if nothing had been before.
    let (mut latest, mut of_these) = (due.latest, None);
    while at < records.len() {
        let header = match check_batch(&records[at..]) {
            Ok(header) => header,
            Err(BatchError::TooShort { .. }) => break,
            // It may be right the next time.
            Err(_) => return Some(Next::Pause),
        };
        if header.partition_leader_epoch > due.leader_epoch {
            break;
        }
        if next_offset.is_some_and(|next| next != header.base_offset) {
            return Some(Next::Nothing);
        }
        at += header.size_in_bytes();
        first.get_or_insert(header.base_offset);
        next_offset = Some(header.next_offset());
        for known in [&mut latest, &mut of_these] {
            match *known {
                Some((epoch, _)) if header.partition_leader_epoch == epoch => {}
                Some((epoch, _)) if header.partition_leader_epoch < epoch => due.log_in_doubt = true,
                _ => *known = Some((header.partition_leader_epoch, header.base_offset)),
            }
        }
    }
    let (Some(first), Some(next_offset)) = (first, next_offset) else { return None };
    if first != due.log_end {
        let is_empty = due.log_start == due.log_end;
        if !(is_empty && first < due.log_end && next_offset > due.log_end) {
            return Some(Next::Nothing);
        }
        // The start of an empty log lies within this batch: the log begins with it, and nothing was known of epochs.
        due.log_start = first;
        latest = of_these;
        due.log_in_doubt |= records.len() > at;
    }
    due.log_end = next_offset;
    due.latest = latest;
    None
}

/// To where a log is cut of which the leader says that this is its largest epoch not above the follower's, and that it ends
/// there.
fn cut_offset(replica: &Partition, epoch: i32, end_offset: i64) -> i64 {
    let log_end = replica.log.log_end_offset();
    match end_of_epoch(replica, epoch, log_end).filter(|_| epoch >= 0) {
        Some((own_epoch, own_end)) if own_epoch != epoch => own_end.min(log_end),
        Some((_, own_end)) => own_end.min(end_offset).min(log_end),
        None => end_offset.min(log_end),
    }
}

/// Whole batches go, and the epochs that begin where the log ends now. The high watermark falls with the log.
pub(super) fn cut(due: &mut Shadow, replica: &Partition, to: i64, disk: &VirtualDisk) {
    if to < due.log_start {
        let high_watermark = due.high_watermark;
        begin_anew(due, to.max(0));
        due.high_watermark = high_watermark.min(due.log_end);
        return;
    }
    if to < due.log_end {
        let at = replica.log.read(&mut disk.view(), to, i64::MAX, 1, true);
        let Some(header) = at.ok().and_then(|bytes| parse_header(&bytes).ok()) else {
            due.log_in_doubt = true;
            return;
        };
        due.log_end = header.base_offset;
        due.log_start = due.log_start.min(header.base_offset);
    }
    let stay = replica.log.epochs().iter().rev().find(|entry| entry.start_offset < due.log_end);
    due.latest = stay.map(|entry| (entry.epoch, entry.start_offset));
    due.high_watermark = due.high_watermark.min(due.log_end);
}

/// All is thrown away, and the log begins there.
pub(super) fn begin_anew(due: &mut Shadow, offset: i64) {
    (due.log_start, due.log_end, due.high_watermark) = (offset, offset, offset);
    due.latest = None;
}
