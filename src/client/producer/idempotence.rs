//! What an idempotent producer knows of itself and of each partition's sequences, and what an answer changes of that.
//!
//! ```text
//!   Wanted ──InitProducerId──▶ Asked ──▶ Known (id, epoch) ──▶ batches get sequences when they are drained
//!     ▲                                     │     ▲
//!     └──────── epochs used up ─────────────┤     │ a sequence is missing, or nobody will ever know whether it is:
//!                                           └─────┘ epoch + 1, and the partition's sequences begin anew at 0
//! ```
//!
//! Source: `TransactionManager`, the part of it that a producer without transactions uses; KIP-98, KIP-360. What the
//! last acknowledged offset would tell about UNKNOWN_PRODUCER_ID decides nothing there: it is not kept.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;

use super::batch::BatchId;
use super::sequences::{Order, ProducerIdAndEpoch, Sequences, Stamp, increment_sequence, is_after};
use crate::conformance::ProducerClientRule;
use crate::ids::TopicPartition;
use crate::node::Nanos;
use crate::zoo::{Switch, Zoo};

/// Who the producer is to the brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Somebody is to be asked, once this time has come.
    Wanted { not_before: Nanos },
    /// Somebody was asked.
    Asked,
    /// This is it.
    Known(ProducerIdAndEpoch),
    /// There will be none, and no record is taken any more.
    Refused(ResponseError),
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct Idempotence {
    zoo: Zoo,
    pub(crate) identity: Identity,
    partitions: BTreeMap<TopicPartition, Sequences>,
    /// Partitions with a batch that was given up after it may have been written, and the sequence behind the last such.
    unresolved: BTreeMap<TopicPartition, i32>,
    /// Partitions whose sequences begin anew with the next epoch, which is due as soon as there is one.
    to_rewrite: BTreeSet<TopicPartition>,
}

impl Idempotence {
    /// Nothing is known yet.
    pub(crate) fn new(zoo: Zoo) -> Self {
        Idempotence {
            zoo,
            identity: Identity::Wanted { not_before: 0 },
            partitions: BTreeMap::new(),
            unresolved: BTreeMap::new(),
            to_rewrite: BTreeSet::new(),
        }
    }

    /// As if everything before this sequence had been sent and acknowledged.
    pub(crate) fn move_to_sequence(&mut self, partition: &TopicPartition, sequence: i32) {
        if let Some(sequences) = self.partitions.get_mut(partition) {
            sequences.move_to(sequence);
        }
    }

    // ── draining ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// Must the batch in front of the partition's queue wait?
    /// Source: `RecordAccumulator.shouldStopDrainBatchesForPartition`.
    pub(crate) fn should_stop_drain(&self, partition: &TopicPartition, front: BatchId) -> bool {
        let Identity::Known(current) = self.identity else { return ProducerClientRule::IdBeforeFirstBatch.holds() };
        let Some(sequences) = self.partitions.get(partition) else { return false };
        if sequences.position(front).is_some() {
            return self.waits_for_an_earlier_one(sequences, front);
        }
        self.is_held_by_another_epoch(sequences, current) || self.is_held_by_unresolved(partition)
    }
    /// Of batches that are tried again only the first goes: what the others' sequences are worth depends on it.
    fn waits_for_an_earlier_one(&self, sequences: &Sequences, front: BatchId) -> bool {
        ProducerClientRule::OneRetryAtATime.holds() && sequences.first_in_flight() != Some(front)
    }
    /// A new batch would begin the new epoch at 0 while earlier batches of the old one may still come.
    fn is_held_by_another_epoch(&self, sequences: &Sequences, current: ProducerIdAndEpoch) -> bool {
        let stale = sequences.producer() != Some(current);
        ProducerClientRule::NewEpochWaitsForOldBatches.holds() && stale && !sequences.is_idle()
    }
    /// Nobody knows yet which sequence the broker expects.
    fn is_held_by_unresolved(&self, partition: &TopicPartition) -> bool {
        ProducerClientRule::UnresolvedHoldsNewBatches.holds() && self.unresolved.contains_key(partition)
    }

    /// The batch leaves: its place in the sequence, a new one only if it has none. A batch that may be in the log under
    /// its sequence would otherwise be appended again. Source: `RecordAccumulator.drainBatchesForOneNode`.
    pub(crate) fn drained(&mut self, partition: &TopicPartition, batch: BatchId, records: u32) -> Option<Stamp> {
        let Identity::Known(current) = self.identity else { return None };
        let sequences = self.partitions.entry(partition.clone()).or_default();
        if ProducerClientRule::RetryKeepsItsSequence.holds()
            && let Some(stamp) = sequences.drained(batch)
        {
            return Some(stamp);
        }
        sequences.settle(batch);
        update_producer_id_and_epoch(sequences, current, self.zoo);
        Some(sequences.assign(current, batch, i32::try_from(records).unwrap_or(i32::MAX)))
    }

    /// Places of the partition's batches among those in flight, by which the queue is kept in order.
    pub(crate) fn position(&self, partition: &TopicPartition, batch: BatchId) -> Option<usize> {
        self.partitions.get(partition)?.position(batch)
    }
    /// Where the batch ends, if it has a sequence.
    pub(crate) fn last_sequence(&self, partition: &TopicPartition, batch: BatchId) -> Option<i32> {
        self.partitions.get(partition)?.get(batch).map(|b| b.last_sequence())
    }

    // ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────

    /// Is there a batch in flight behind which another was acknowledged?
    pub(crate) fn has_been_overtaken(&self) -> bool {
        self.partitions.values().any(Sequences::is_overtaken)
    }

    /// The batch is in the log. Source: `TransactionManager.handleCompletedBatch`.
    pub(crate) fn completed(&mut self, partition: &TopicPartition, batch: BatchId) {
        if let Some(last) = self.last_sequence(partition, batch) {
            self.acknowledged(partition, last);
        }
        if let Some(sequences) = self.partitions.get_mut(partition) {
            sequences.settle(batch);
        }
    }
    /// Everything up to this sequence is in the log, which may be said of a batch that was given up meanwhile.
    pub(crate) fn acknowledged(&mut self, partition: &TopicPartition, last_sequence: i32) {
        if let Some(sequences) = self.partitions.get_mut(partition) {
            sequences.acknowledged(last_sequence);
        }
    }

    /// May a batch be sent again after this error? Source: `TransactionManager.canRetry`.
    pub(crate) fn can_retry(
        &mut self,
        partition: &TopicPartition,
        batch: BatchId,
        error: ResponseError,
        log_start_offset: i64,
    ) -> bool {
        match error {
            ResponseError::UnknownProducerId => self.on_unknown_producer_id(partition, batch, log_start_offset),
            ResponseError::OutOfOrderSequenceNumber => self.on_out_of_order(partition, batch),
            other => return other.is_retriable(),
        }
        ProducerClientRule::SequenceErrorsAreRetried.holds()
    }

    /// The broker knows nothing of this producer any more. A batch whose sequence was given anew since it was sent tells
    /// nothing new; and an answer without log start offset comes from a broker that the partition was leaving.
    fn on_unknown_producer_id(&mut self, partition: &TopicPartition, batch: BatchId, log_start_offset: i64) {
        let of_another_reign = log_start_offset == -1 && ProducerClientRule::LogStartMustBeKnown.holds();
        if of_another_reign || self.was_reset(partition, batch) {
            return;
        }
        if self.zoo.on(Switch::UnknownProducerReset) {
            // As before KIP-360: the same sequences are used twice under one epoch.
            if let (Identity::Known(current), Some(sequences)) = (&self.identity, self.partitions.get_mut(partition)) {
                sequences.start_at_beginning(*current, Order::Sequence);
            }
            return;
        }
        if ProducerClientRule::UnknownProducerRaisesTheEpoch.holds() {
            self.request_epoch_bump(partition);
        }
    }

    /// A batch that follows another without outcome waits for that one's; one that follows the last acknowledged, or the
    /// last that was given up unresolved, has found out that something is missing in the log.
    fn on_out_of_order(&mut self, partition: &TopicPartition, batch: BatchId) {
        let Some(sequences) = self.partitions.get(partition) else { return };
        let Some(base) = sequences.get(batch).map(|b| b.stamp.base_sequence) else { return };
        let something_is_missing = match self.unresolved.get(partition) {
            None => {
                let behind_another =
                    !sequences.is_next(base) && ProducerClientRule::OutOfOrderBehindAnotherWaits.holds();
                !behind_another && !self.was_reset(partition, batch) && ProducerClientRule::GapRaisesTheEpoch.holds()
            }
            Some(behind) => base == *behind && ProducerClientRule::GapBehindUnresolvedRaisesTheEpoch.holds(),
        };
        if something_is_missing {
            self.request_epoch_bump(partition);
        }
    }
    /// Source: `ProducerBatch.sequenceHasBeenReset`.
    fn was_reset(&self, partition: &TopicPartition, batch: BatchId) -> bool {
        let batch = self.partitions.get(partition).and_then(|sequences| sequences.get(batch));
        batch.is_some_and(|b| b.reset) && ProducerClientRule::ResetIsNotRepeated.holds()
    }

    /// The batch is given up, and it is certain that it is not in the log: unless the broker never said a final word
    /// (`retries_left` is false), its sequence is missing for ever. Source: `TransactionManager.handleFailedBatch`.
    pub(crate) fn failed(
        &mut self,
        partition: &TopicPartition,
        batch: BatchId,
        error: ResponseError,
        retries_left: bool,
    ) {
        use ResponseError::*;
        self.forget(partition, batch);
        if matches!(error, ClusterAuthorizationFailed | ProducerFenced | UnsupportedVersion) {
            self.identity = Identity::Refused(error);
            return;
        }
        let missing = matches!(error, OutOfOrderSequenceNumber | UnknownProducerId) || retries_left;
        if missing && ProducerClientRule::FinalErrorRaisesTheEpoch.holds() {
            self.request_epoch_bump(partition);
        }
    }
    /// Several batches stand for one from now on, which was too large: they share its sequences, each in its place.
    /// Source: `ProducerBatch.split`, `TransactionManager.addInFlightBatch`.
    pub(crate) fn split(&mut self, partition: &TopicPartition, big: BatchId, parts: &[(BatchId, u32)]) {
        if let Some(sequences) = self.partitions.get_mut(partition) {
            match ProducerClientRule::SplitBatchesKeepTheSequences.holds() {
                true => sequences.split(big, parts),
                false => sequences.settle(big),
            }
        }
    }
    /// The batch has an outcome, and its sequence may be missing.
    pub(crate) fn forget(&mut self, partition: &TopicPartition, batch: BatchId) {
        if let Some(sequences) = self.partitions.get_mut(partition) {
            sequences.settle(batch);
        }
    }
    /// The batch was given up after an attempt that may have been written: no new batch until it is known which sequence
    /// the broker expects. Source: `TransactionManager.markSequenceUnresolved`.
    pub(crate) fn mark_unresolved(&mut self, partition: &TopicPartition, last_sequence: i32) {
        if !ProducerClientRule::ExpiredRetryIsUnresolved.holds() {
            return;
        }
        let behind = increment_sequence(last_sequence, 1);
        let known = self.unresolved.entry(partition.clone()).or_insert(behind);
        if is_after(behind, *known) {
            *known = behind;
        }
    }
    /// Once nothing of a partition is in flight it is known: if what came last was acknowledged, so was all before it;
    /// else it will never be told. Source: `TransactionManager.maybeResolveSequences`.
    pub(crate) fn resolve_sequences(&mut self) {
        let idle = |p: &TopicPartition| self.partitions.get(p).is_none_or(Sequences::is_idle);
        let settled: Vec<TopicPartition> = self.unresolved.keys().filter(|p| idle(p)).cloned().collect();
        for partition in settled {
            self.unresolved.remove(&partition);
            let complete = self.partitions.get(&partition).is_some_and(|s| s.is_next(s.next()));
            if !(complete && ProducerClientRule::LaterSuccessResolves.holds())
                && ProducerClientRule::UnresolvedRaisesTheEpoch.holds()
            {
                self.request_epoch_bump(&partition);
            }
        }
    }

    // ── epochs ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Source: `TransactionManager.requestIdempotentEpochBumpForPartition`.
    fn request_epoch_bump(&mut self, partition: &TopicPartition) {
        self.to_rewrite.insert(partition.clone());
    }
    /// The producer raises its own epoch if some partition needs it; after the last there must be a new id. True if it
    /// has another epoch now. Source: `TransactionManager.bumpIdempotentProducerEpoch`.
    pub(crate) fn bump_epoch_if_needed(&mut self) -> Option<(ProducerIdAndEpoch, Vec<TopicPartition>)> {
        let Identity::Known(current) = self.identity else { return None };
        if self.to_rewrite.is_empty() {
            return None;
        }
        if current.epoch == i16::MAX && ProducerClientRule::LastEpochWantsANewId.holds() {
            self.identity = Identity::Wanted { not_before: 0 };
            return None;
        }
        let raised = ProducerIdAndEpoch { epoch: current.epoch.wrapping_add(1), ..current };
        Some((raised, self.become_known(raised)))
    }
    /// This is the producer from now on. The sequences of partitions that asked for it begin anew; other partitions keep
    /// the old ones until none of their batches is in flight. Returns the former. (Where Kafka runs out of epochs it
    /// gives these batches no producer at all and sends them so; here they wait for the new id.)
    pub(crate) fn become_known(&mut self, producer: ProducerIdAndEpoch) -> Vec<TopicPartition> {
        self.identity = Identity::Known(producer);
        let rewritten: Vec<TopicPartition> = std::mem::take(&mut self.to_rewrite).into_iter().collect();
        for partition in &rewritten {
            self.unresolved.remove(partition);
            if let Some(sequences) = self.partitions.get_mut(partition) {
                let order = if self.zoo.on(Switch::ClientSeqReassignOrder) { Order::Heap } else { Order::Sequence };
                sequences.start_at_beginning(producer, order);
            }
        }
        rewritten
    }
}

/// A partition without batches in flight takes up the producer's epoch, and its sequences begin anew with it (KAFKA-12152).
/// Source: `TransactionManager.maybeUpdateProducerIdAndEpoch`.
fn update_producer_id_and_epoch(sequences: &mut Sequences, current: ProducerIdAndEpoch, zoo: Zoo) {
    let forgotten = sequences.producer().is_some()
        && (zoo.on(Switch::ClientSeqReassignOrder) || !ProducerClientRule::IdlePartitionBeginsAnew.holds());
    if sequences.producer() != Some(current) && sequences.is_idle() && !forgotten {
        sequences.start_at_beginning(current, Order::Sequence);
    }
}
