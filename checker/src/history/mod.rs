//! H, the history checker: a pure function of what clients did and saw.
//!
//! ```text
//!   send invoked, send settled, read, reset, final read ──► History ──finish──► violations + belief × truth
//! ```
//!
//! It knows nothing of brokers, so that it works the same on our own runs and on a history recorded elsewhere. What
//! follows from it for the verdict is decided by the checker's judge, which also knows the cluster's side.
//! One invariant, one file; each names its definition.
//!
//! The definitions are those of [`crate::operations`], which judges histories from elsewhere and needs all operations at once; here
//! they are followed as a trial goes on, a fork of it takes the state along, and at the end there is a final read, which
//! a history from elsewhere has not. A test plays trials before both. Where acknowledged records are lost the two differ by intent: there
//! a lost record still stands at the offset that was acknowledged, so that what took its place shows as inconsistent-offsets and as
//! nonmonotonic-send besides; here the final read says where records are, and the loss is told as that alone.

pub(crate) mod ack_offset_mismatch;
pub mod belief_truth;
pub(crate) mod duplicate;
pub mod groups;
pub(crate) mod history_skip;
pub(crate) mod inconsistent_offsets;
pub(crate) mod lost_write;
pub(crate) mod nonmonotonic_send;
pub(crate) mod phantom_read;
pub(crate) mod poll_order;
pub(crate) mod read_log;
pub(crate) mod realtime_append_inversion;
pub(crate) mod records;
pub(crate) mod stuck;
mod violation;

use crate::metrics::{Metrics, Sent};
use crate::observation::{Belief, EventRef, MemberStep, Partition, ResetCause, Time};
use crate::partitions::Partitions;
use crate::settings::MemberSettings;
use belief_truth::BeliefTruth;
use groups::GroupHistory;
use read_log::{ReadLog, Seen};
use records::{NO_OFFSET, Records, Told};
pub use violation::Violation;

/// How the final read of a partition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalEnd {
    /// First offset of the log.
    pub log_start: i64,
    /// The end it was read to.
    pub log_end: i64,
    /// Did it reach the end?
    pub complete: bool,
    /// When.
    pub at: EventRef,
}

/// One partition as clients saw it.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartitionHistory {
    /// All reads, the final ones too.
    pub(crate) seen: ReadLog,
    /// The final read in order of offset.
    pub(crate) final_log: Vec<(i64, u64)>,
    pub(crate) final_end: Option<FinalEnd>,
    /// Its topic was deleted. One of the same name is another partition.
    pub(crate) deleted: bool,
    /// A consumer was handed something of it.
    pub(crate) is_consumed: bool,
}

impl PartitionHistory {
    /// Can absence be judged here?
    pub(crate) fn complete(&self) -> bool {
        self.final_end.is_some_and(|end| end.complete)
    }
}

/// A history, as it grows.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub(crate) partitions: Partitions,
    pub(crate) logs: Vec<PartitionHistory>,
    pub(crate) records: Records,
    /// Further offsets of records that were seen at more than one: (record, offset, when).
    pub(crate) elsewhere: Vec<(u64, i64, EventRef)>,
    pub(crate) final_elsewhere: Vec<(u64, i64, EventRef)>,
    poll_order: poll_order::PollOrder,
    history_skips: history_skip::HistorySkips,
    inconsistent: inconsistent_offsets::InconsistentOffsets,
    phantoms: phantom_read::PhantomReads,
    pub(crate) groups: GroupHistory,
    reads: u64,
    final_reads: u64,
}

impl History {
    /// An empty one.
    pub fn new() -> Self {
        History::default()
    }

    fn number(&mut self, partition: &Partition) -> u32 {
        let number = self.partitions.number(partition);
        if self.logs.len() < self.partitions.len() {
            self.logs.resize_with(self.partitions.len(), PartitionHistory::default);
        }
        number
    }

    /// A record was handed to a producer.
    pub fn send_invoked(&mut self, at: EventRef, record: u64, producer: u32, partition: &Partition) {
        let number = self.number(partition);
        self.records.invoked(at, record, producer, number);
    }

    /// The producer was told how it went.
    pub fn send_settled(&mut self, at: EventRef, record: u64, belief: Belief, attempts: u32) {
        self.records.settled(at, record, belief, attempts);
    }

    /// A consumer was handed a record; `None` if its value has nobody's form. Of a `manual` consumer, whose partitions
    /// no group moves, the order of reads is judged too.
    pub fn read(
        &mut self,
        at: EventRef,
        consumer: u32,
        manual: bool,
        partition: &Partition,
        (offset, leader_epoch): (i64, i32),
        record: Option<u64>,
    ) {
        let number = self.number(partition);
        self.reads += 1;
        self.logs[number as usize].is_consumed = true;
        if self.is_of_deleted(record) {
            // From a leader that had not heard of the deletion, or from the topic that followed: nobody knows, and what
            // comes after it follows nothing.
            self.poll_order.reset(consumer, number);
            self.history_skips.reset(consumer, number);
            return;
        }
        if manual {
            self.poll_order.read(at, consumer, number, offset);
            self.history_skips.read(at, consumer, number, offset, leader_epoch);
        }
        self.see(at, number, offset, record);
    }

    /// What a consumer is handed from here on it takes for what a leader of that epoch has.
    pub(crate) fn leader_followed(&mut self, consumer: u32, partition: &Partition, leader_epoch: i32) {
        let number = self.number(partition);
        self.history_skips.followed(consumer, number, leader_epoch);
        self.groups.leader_followed(consumer, number, leader_epoch);
    }

    /// A member of a group was handed a record. In its group, too, it reads a partition in order as long as that is its own.
    pub(crate) fn read_as_member(
        &mut self,
        at: EventRef,
        consumer: u32,
        partition: &Partition,
        (offset, leader_epoch): (i64, i32),
        record: Option<u64>,
    ) {
        let number = self.number(partition);
        self.groups.read(at, consumer, number, offset, record);
        self.read(at, consumer, true, partition, (offset, leader_epoch), record);
    }

    /// A consumer's position was set from outside.
    pub fn position_reset(&mut self, consumer: u32, partition: &Partition) {
        let number = self.number(partition);
        self.poll_order.reset(consumer, number);
        self.history_skips.reset(consumer, number);
    }

    /// A member's position was set from outside.
    pub(crate) fn member_reset(
        &mut self,
        at: EventRef,
        consumer: u32,
        member: &MemberSettings,
        partition: &Partition,
        to: i64,
        cause: ResetCause,
    ) {
        self.position_reset(consumer, partition);
        let number = self.number(partition);
        self.groups.position_reset(at, consumer, member, (number, partition), to, cause);
    }

    /// A member's step.
    pub(crate) fn member_step(&mut self, at: EventRef, consumer: u32, member: &MemberSettings, what: &MemberStep) {
        if let MemberStep::Assigned { partitions, .. } = what {
            partitions.iter().for_each(|partition| self.position_reset(consumer, partition));
        }
        self.groups.step(at, consumer, member, what, &mut self.partitions);
        self.logs.resize_with(self.partitions.len(), PartitionHistory::default);
    }

    /// One record of the final read.
    pub fn final_read(
        &mut self,
        at: EventRef,
        partition: &Partition,
        (offset, leader_epoch): (i64, i32),
        record: Option<u64>,
    ) {
        let number = self.number(partition);
        self.history_skips.final_read(at, number, offset, leader_epoch);
        self.final_reads += 1;
        self.settle_in(record, number);
        self.see(at, number, offset, record);
        let Some(id) = record else { return };
        let log = &mut self.logs[number as usize].final_log;
        if log.last().is_some_and(|(last, _)| *last >= offset) {
            return; // a fetch that was repeated; a different record here is an inconsistent offset, found above
        }
        log.push((offset, id));
        let Some(state) = self.records.get_mut(id).filter(|r| r.partition == number) else { return };
        state.copies = state.copies.saturating_add(1);
        if state.copies == 1 {
            state.final_offset = offset;
        } else {
            self.final_elsewhere.push((id, offset, at));
        }
    }

    /// The final read of a partition is over.
    pub fn final_read_end(
        &mut self,
        at: EventRef,
        partition: &Partition,
        log_start: i64,
        log_end: i64,
        complete: bool,
    ) {
        let number = self.number(partition);
        self.logs[number as usize].final_end = Some(FinalEnd { log_start, log_end, complete, at });
    }

    /// A topic was deleted. Nothing that went into it is promised any more.
    pub fn topic_deleted(&mut self, topic: &str) {
        let numbers = self.partitions.forget(topic);
        self.groups.topic_deleted(topic, &numbers);
        for number in numbers {
            if let Some(log) = self.logs.get_mut(number as usize) {
                log.deleted = true;
            }
        }
    }

    /// These went into a topic that is deleted already.
    pub fn forget(&mut self, records: &[u64]) {
        for record in records {
            if let Some(record) = self.records.get_mut(*record) {
                record.deleted = true;
            }
        }
    }

    /// Was a topic of that name ever deleted?
    pub(crate) fn was_deleted(&self, topic: &str) -> bool {
        (0..).zip(&self.logs).any(|(number, log)| log.deleted && *self.partitions.name(number).topic == *topic)
    }

    fn is_of_deleted(&self, record: Option<u64>) -> bool {
        let record = record.and_then(|id| self.records.get(id));
        record.is_some_and(|r| r.deleted || self.logs.get(r.partition as usize).is_some_and(|log| log.deleted))
    }

    /// A record that was sent when the topic was still the deleted one has gone into the topic that followed.
    fn settle_in(&mut self, record: Option<u64>, number: u32) {
        let Some(state) = record.and_then(|id| self.records.get_mut(id)) else { return };
        let old = self.logs.get(state.partition as usize).is_some_and(|log| log.deleted);
        if old && self.partitions.name(state.partition) == self.partitions.name(number) {
            state.partition = number;
        }
    }

    fn see(&mut self, at: EventRef, partition: u32, offset: i64, record: Option<u64>) {
        if !self.phantoms.check(at, &self.records, partition, offset, record) {
            return;
        }
        let Some(id) = record else { return };
        let seen = self.logs[partition as usize].seen.see(offset, id, at);
        if let Seen::Conflict(before) = seen {
            self.inconsistent.conflict(at, partition, offset, before, id);
        }
        if !matches!(seen, Seen::Again)
            && let Some(state) = self.records.get_mut(id)
        {
            if state.read_offset == NO_OFFSET {
                state.read_offset = offset;
            } else if state.read_offset != offset {
                self.elsewhere.push((id, offset, at));
            }
        }
    }

    /// All violations, in a fixed order of invariants and of what they are about.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        self.inconsistent.finish(self, &mut found);
        self.phantoms.finish(self, &mut found);
        self.poll_order.finish(self, &mut found);
        self.history_skips.finish(self, &mut found);
        duplicate::find(self, &mut found);
        lost_write::find(self, &mut found);
        stuck::find(self, &mut found);
        ack_offset_mismatch::find(self, &mut found);
        nonmonotonic_send::find(self, &mut found);
        realtime_append_inversion::find(self, &mut found);
        self.groups.finish(self, &mut found);
        found
    }

    /// All violations and the table of beliefs against the truth.
    pub fn finish(&self) -> (Vec<Violation>, BeliefTruth) {
        (self.violations(), BeliefTruth::of(self))
    }

    /// What it says of time. From `final_read` on no consumer was handed anything.
    pub(crate) fn metrics(&self, healed: Option<Time>, final_read: Time) -> Metrics {
        let sent = |(id, record): (u64, &records::Record)| {
            let settled = (record.told != Told::Pending).then_some((record.settled.time, record.told == Told::Acked));
            let log = &self.logs[record.partition as usize];
            let seen = log.seen.at(record.read_offset).filter(|seen| seen.record == id).map(|seen| seen.at.time);
            let delivered = seen.is_some_and(|seen| seen < final_read);
            // Where nobody reads nobody waits.
            let read = if delivered { seen } else { log.is_consumed.then_some(final_read) };
            Sent { partition: record.partition, invoked: record.invoked.time, settled, read, delivered }
        };
        let sends = self.records.iter().filter(|(_, record)| !record.deleted).map(sent);
        Metrics::of(sends, |number| self.partitions.name(number).to_string(), healed)
    }

    /// Observations that named an impossible record: a fault of the host.
    pub fn malformed(&self) -> u64 {
        self.records.malformed
    }

    /// How many records consumers were handed, and how many the final read found.
    pub fn reads(&self) -> (u64, u64) {
        (self.reads, self.final_reads)
    }
}
