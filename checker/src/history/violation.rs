//! What the history checker finds, as typed facts without judgement.

use super::groups::GroupViolation;
use super::history_skip::HistorySkip;
use crate::observation::{EventRef, Partition};

/// One violation. Records are ids, offsets are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each variant says what was seen; the fields are its witnesses
pub enum Violation {
    /// One offset of a partition held two records.
    InconsistentOffsets {
        partition: Partition,
        offset: i64,
        first: u64,
        first_at: EventRef,
        then: u64,
        then_at: EventRef,
    },
    /// One record at two or more offsets.
    Duplicate { partition: Partition, record: u64, offsets: Vec<i64>, at: EventRef },
    /// An acknowledged record that the complete final read did not find.
    LostWrite {
        partition: Partition,
        record: u64,
        acked_offset: Option<i64>,
        log_start: i64,
        log_end: i64,
        at: EventRef,
    },
    /// An acknowledged record that readers passed without seeing it; there was no final read.
    Unseen { partition: Partition, record: u64, acked_offset: i64, read_up_to: i64, at: EventRef },
    /// So many acknowledged records were not seen, but the final read did not reach the end.
    Undecided { partition: Partition, records: u64, at: EventRef },
    /// The final read of a partition did not come to its end.
    Stuck { partition: Partition, read_up_to: i64, log_end: i64, at: EventRef },
    /// So many were never promised (acks=0) and are not there.
    DroppedUnpromised { partition: Partition, record: u64, at: EventRef },
    /// A value nobody sent.
    PhantomRead { partition: Partition, offset: i64, record: Option<u64>, at: EventRef },
    /// A record in another partition than it was sent to.
    WrongPartition { partition: Partition, offset: i64, record: u64, sent_to: Partition, at: EventRef },
    /// G1a: a record whose send definitely failed is visible.
    FailedButVisible { partition: Partition, offset: i64, record: u64, at: EventRef },
    /// The acknowledged offset is not where the record is.
    AckOffsetMismatch { partition: Partition, record: u64, acked_offset: i64, found_at: i64, at: EventRef },
    /// Two acknowledged records of one producer lie in the other order than they were sent in.
    NonmonotonicSend {
        partition: Partition,
        producer: u32,
        earlier: u64,
        earlier_offset: i64,
        later: u64,
        later_offset: i64,
        at: EventRef,
    },
    /// A consumer went over a record.
    PollSkip { partition: Partition, consumer: u32, after: i64, skipped: i64, read: i64, at: EventRef },
    /// A consumer read on in another history than before, over what took the place of what it had read.
    HistorySkip(HistorySkip),
    /// A consumer went back.
    NonmonotonicPoll { partition: Partition, consumer: u32, after: i64, read: i64, at: EventRef },
    /// A record lies above one whose send began only after this one's had ended.
    RealtimeAppendInversion {
        partition: Partition,
        earlier: u64,
        earlier_offset: i64,
        later: u64,
        later_offset: i64,
        at: EventRef,
    },
    /// In a group.
    Group(GroupViolation),
}
