//! May a producer append this batch? (`ProducerAppendInfo`.)

use crate::BatchHeader;

use super::entry::{BatchMetadata, NO_PRODUCER_EPOCH, ProducerEntry, sequence_after};
use super::{ProducerRule, ProducerRules};

/// Why a batch must not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// A producer that was replaced by one of a higher epoch (`InvalidProducerEpochException`).
    #[error("producer {producer_id} has epoch {known} here, and the batch {epoch}: it is an older producer's")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// Epoch of the batch.
        epoch: i16,
        /// The epoch that is known.
        known: i16,
    },
    /// A batch is missing before this one, or it was appended before (`OutOfOrderSequenceException`).
    #[error("producer {producer_id}, epoch {epoch}: sequence {got} where {expected} comes next")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// Epoch of the batch.
        epoch: i16,
        /// The sequence it had to begin at.
        expected: i32,
        /// The sequence it begins at.
        got: i32,
    },
}

/// What one append adds to one producer. Batches of the same append are checked one against the other.
#[derive(Clone, Copy, Debug)]
pub struct ProducerAppendInfo {
    producer_id: i64,
    /// Before the append.
    current: ProducerEntry,
    /// With what the append has added so far; of the batches these alone.
    updated: ProducerEntry,
    rules: ProducerRules,
}

impl ProducerAppendInfo {
    pub(super) fn new(producer_id: i64, current: ProducerEntry, rules: ProducerRules) -> Self {
        let updated = ProducerEntry::of_snapshot(current.epoch(), current.last_timestamp(), None);
        ProducerAppendInfo { producer_id, current, updated, rules }
    }
    pub(crate) fn producer_id(&self) -> i64 {
        self.producer_id
    }

    /// A batch from a client: epoch first, then sequence (`ProducerAppendInfo.maybeValidateDataBatch`).
    pub(crate) fn append_from_client(&mut self, header: &BatchHeader) -> Result<(), ProducerError> {
        self.check_producer_epoch(header)?;
        self.check_sequence(header)?;
        self.append_unchecked(header);
        Ok(())
    }

    /// A batch that somebody else has checked.
    pub(crate) fn append_unchecked(&mut self, header: &BatchHeader) {
        self.updated.add_batch(header.producer_epoch, BatchMetadata::of(header), self.rules);
    }

    /// A producer epoch below the known one is an older producer's (`ProducerAppendInfo.checkProducerEpoch`).
    fn check_producer_epoch(&self, header: &BatchHeader) -> Result<(), ProducerError> {
        let known = self.updated.epoch();
        if header.producer_epoch < known && self.rules.hold(ProducerRule::OldEpochIsRefused) {
            let (producer_id, epoch) = (self.producer_id, header.producer_epoch);
            return Err(ProducerError::InvalidProducerEpoch { producer_id, epoch, known });
        }
        Ok(())
    }

    /// `ProducerAppendInfo.checkSequence`, for a batch that is not of a transaction.
    fn check_sequence(&self, header: &BatchHeader) -> Result<(), ProducerError> {
        if header.producer_epoch != self.updated.epoch() {
            self.check_first_sequence_of_epoch(header)
        } else {
            self.check_next_sequence(header)
        }
    }

    /// A new epoch begins at sequence 0, unless nothing at all is known of the producer: a producer whose batches all
    /// were deleted goes on where it was (KAFKA-5793, KIP-360).
    fn check_first_sequence_of_epoch(&self, header: &BatchHeader) -> Result<(), ProducerError> {
        let is_unknown = self.updated.epoch() == NO_PRODUCER_EPOCH;
        let may_begin_anywhere = match is_unknown {
            true => self.rules.hold(ProducerRule::UnknownProducerBeginsAnywhere),
            // The zoo's `first-seq-any` leaves this one out.
            false => !self.rules.hold(ProducerRule::NewEpochBeginsAtZero),
        };
        if header.base_sequence == 0 || may_begin_anywhere { Ok(()) } else { Err(self.out_of_order(header, 0)) }
    }

    /// Within an epoch each batch begins behind the one before. Only a producer that was unknown before this very append
    /// is not asked.
    fn check_next_sequence(&self, header: &BatchHeader) -> Result<(), ProducerError> {
        let last = match self.updated.last_batch() {
            Some(batch) => batch.last_sequence,
            None => self.current.last_sequence(),
        };
        let wraps = self.rules.hold(ProducerRule::SequencesWrapAround);
        let expected = if wraps { sequence_after(last, 1) } else { last.saturating_add(1) };
        let is_next = header.base_sequence == expected || !self.rules.hold(ProducerRule::SequencesAreContiguous);
        if self.current.epoch() == NO_PRODUCER_EPOCH || is_next {
            return Ok(());
        }
        Err(self.out_of_order(header, expected))
    }

    fn out_of_order(&self, header: &BatchHeader, expected: i32) -> ProducerError {
        ProducerError::OutOfOrderSequence {
            producer_id: self.producer_id,
            epoch: header.producer_epoch,
            expected,
            got: header.base_sequence,
        }
    }

    /// The producer after the append (`ProducerStateEntry.update`).
    pub(super) fn into_entry(self) -> ProducerEntry {
        let mut entry = self.current;
        for batch in self.updated.batches() {
            entry.add_batch(self.updated.epoch(), *batch, self.rules);
        }
        entry
    }
}
