//! found-without-cause: for every finding of H about places in a log, what leaders appended there.

use super::{CAUSE, disagree};
use crate::cluster::Cluster;
use crate::cluster::partition::PartitionTruth;
use crate::findings::Findings;
use crate::history::{History, Violation};
use crate::observation::{EventRef, Partition};

/// What H says lies at an offset: a record, or something.
type Place = (Option<u64>, i64);

/// One finding of H: where, when it was found, and what it takes.
type Claim<'v> = (&'v Partition, EventRef, Vec<Place>);

/// One finding of H.
pub(super) fn check(history: &History, cluster: &Cluster, violation: &Violation, found: &mut Findings) {
    let Some((partition, at, places)) = claim(violation) else { return };
    let truth = cluster.partition(partition).filter(|_| !history.was_deleted(&partition.topic));
    let Some(truth) = truth else { return };
    for (record, offset) in places {
        if !was_appended(cluster, truth, record, offset) {
            return disagree(CAUSE, partition, Some(offset), record, at, found, || match record {
                Some(record) => format!("record r{record} was found at offset {offset}, where no leader appended it"),
                None => format!("offset {offset} was found, where no leader appended anything"),
            });
        }
    }
}

/// Did a leader append this record, or anything, at that very offset? Two records of one offset are of two batches then.
fn was_appended(cluster: &Cluster, truth: &PartitionTruth, record: Option<u64>, offset: i64) -> bool {
    match record {
        Some(record) => cluster.written_at(truth, record, offset).next().is_some(),
        None => truth.produced.iter().rev().any(|p| p.batch.first <= offset && offset <= p.batch.last),
    }
}

/// What it takes. `None` of what G knows nothing of, and of losses, which the other comparisons are for; where values that nobody
/// wrote there were handed out, fetch-mismatch says what the broker did.
fn claim(violation: &Violation) -> Option<Claim<'_>> {
    use Violation::*;
    match violation {
        InconsistentOffsets { partition, offset, first, then, then_at, .. } => {
            Some((partition, *then_at, vec![(Some(*first), *offset), (Some(*then), *offset)]))
        }
        Duplicate { partition, record, offsets, at } => {
            Some((partition, *at, offsets.iter().map(|offset| (Some(*record), *offset)).collect()))
        }
        FailedButVisible { partition, offset, record, at } => Some((partition, *at, vec![(Some(*record), *offset)])),
        AckOffsetMismatch { partition, record, found_at, at, .. } => {
            Some((partition, *at, vec![(Some(*record), *found_at)]))
        }
        NonmonotonicSend { partition, earlier, earlier_offset, later, later_offset, at, .. }
        | RealtimeAppendInversion { partition, earlier, earlier_offset, later, later_offset, at } => {
            Some((partition, *at, vec![(Some(*earlier), *earlier_offset), (Some(*later), *later_offset)]))
        }
        PollSkip { partition, skipped, at, .. } => Some((partition, *at, vec![(None, *skipped)])),
        NonmonotonicPoll { partition, read, at, .. } => Some((partition, *at, vec![(None, *read)])),
        HistorySkip(skip) => Some((&skip.partition, skip.at, vec![(None, skip.skipped)])),
        LostWrite { .. } | Unseen { .. } | DroppedUnpromised { .. } => None,
        PhantomRead { .. } | WrongPartition { .. } => None,
        Undecided { .. } | Stuck { .. } | Group(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::history_skip::HistorySkip;
    use crate::observation::{Entry, Observation};
    use crate::settings::Settings;

    fn at(id: u64) -> EventRef {
        EventRef { id, time: id }
    }

    fn orders() -> Partition {
        Partition::new("orders", 0)
    }

    /// A leader appended r0 and r1 in one batch, cut it, and appended r2 at offset 0 and r0 once more at offset 1.
    fn cluster() -> Cluster {
        let entry = |first_offset: i64, records: &[u64]| {
            let (records, last_offset) = (records.to_vec(), first_offset + records.len() as i64 - 1);
            Entry { first_offset, last_offset, epoch: 0, hash: records[0], records, producer: None }
        };
        let append =
            |entry| Observation::LogAppended { broker: 1, partition: orders(), as_leader: true, entries: vec![entry] };
        let cut = Observation::LogTruncated { broker: 1, partition: orders(), to: 0, why: String::new() };
        let mut cluster = Cluster::default();
        let what = [append(entry(0, &[0, 1])), cut, append(entry(0, &[2])), append(entry(1, &[0]))];
        for (id, what) in (1..).zip(what) {
            cluster.observe(at(id), what, &Settings::default(), &mut Findings::default());
        }
        cluster
    }

    fn is_without_cause(violation: &Violation) -> bool {
        let mut found = Findings::default();
        check(&History::new(), &cluster(), violation, &mut found);
        let rules: Vec<_> = found.finish().1.iter().map(|group| group.rule).collect();
        assert!(rules.is_empty() || rules == [Some("found-without-cause")], "{rules:?}");
        !rules.is_empty()
    }

    /// Each finding of H once with a cause, and once made up.
    #[test]
    fn every_finding_about_a_place_needs_what_leaders_appended_there() {
        use Violation::{
            AckOffsetMismatch, Duplicate, FailedButVisible, InconsistentOffsets, NonmonotonicPoll, NonmonotonicSend,
            PollSkip, RealtimeAppendInversion,
        };
        let partition = orders;
        let conflict = |first, then, offset| {
            let (first_at, then_at) = (at(8), at(9));
            InconsistentOffsets { partition: partition(), offset, first, first_at, then, then_at }
        };
        let copies =
            |offsets: &[i64]| Duplicate { partition: partition(), record: 0, offsets: offsets.into(), at: at(9) };
        let failed = |offset, record| FailedButVisible { partition: partition(), offset, record, at: at(9) };
        let elsewhere = |record, found_at| AckOffsetMismatch {
            partition: partition(),
            record,
            acked_offset: 5,
            found_at,
            at: at(9),
        };
        let turned = |earlier, earlier_offset| NonmonotonicSend {
            partition: partition(),
            producer: 1,
            earlier,
            earlier_offset,
            later: 2,
            later_offset: 0,
            at: at(9),
        };
        let inverted = |later, later_offset| RealtimeAppendInversion {
            partition: partition(),
            earlier: 0,
            earlier_offset: 1,
            later,
            later_offset,
            at: at(9),
        };
        let skip = |skipped| PollSkip {
            partition: partition(),
            consumer: 1,
            after: -1,
            skipped,
            read: skipped + 1,
            at: at(9),
        };
        let back = |read| NonmonotonicPoll { partition: partition(), consumer: 1, after: 5, read, at: at(9) };
        let crossing = |skipped| {
            let (after, epoch, read, read_epoch, shows_in_validation) = (0, 0, 4, 1, true);
            let (partition, consumer, at) = (partition(), 1, at(9));
            let skip =
                HistorySkip { partition, consumer, after, epoch, skipped, read, read_epoch, shows_in_validation, at };
            Violation::HistorySkip(skip)
        };
        for (caused, made_up) in [
            (conflict(0, 2, 0), conflict(1, 2, 1)),
            (conflict(1, 0, 1), conflict(0, 1, 0)), // of one batch
            (copies(&[0, 1]), copies(&[0, 3])),
            (failed(0, 2), failed(1, 2)),
            (elsewhere(2, 0), elsewhere(2, 1)),
            (turned(1, 1), turned(1, 2)),
            (inverted(2, 0), inverted(2, 3)),
            (skip(0), skip(2)),
            (back(1), back(2)),
            (crossing(1), crossing(2)),
        ] {
            assert!(!is_without_cause(&caused), "{caused:?}");
            assert!(is_without_cause(&made_up), "{made_up:?}");
        }
    }
}
