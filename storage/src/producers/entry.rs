//! What is remembered of one producer? (`ProducerStateEntry`, `BatchMetadata`.)

use crate::BatchHeader;

use super::{ProducerRule, ProducerRules};

/// How many batches of a producer are remembered: as many as its client may have in flight
/// (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const BATCHES_REMEMBERED: usize = 5;

/// No producer epoch (`RecordBatch.NO_PRODUCER_EPOCH`).
pub const NO_PRODUCER_EPOCH: i16 = -1;

/// No sequence (`RecordBatch.NO_SEQUENCE`).
const NO_SEQUENCE: i32 = -1;

/// The sequence so many records behind another: behind the largest comes 0 (`DefaultRecordBatch.incrementSequence`).
pub fn sequence_after(sequence: i32, records: i32) -> i32 {
    // Of two numbers of 31 bits, so neither sum nor remainder overflows.
    ((i64::from(sequence) + i64::from(records)) % (1 << 31)) as i32
}

/// The sequence so many records before another (`DefaultRecordBatch.decrementSequence`).
pub fn sequence_before(sequence: i32, records: i32) -> i32 {
    (i64::from(sequence) - i64::from(records)).rem_euclid(1 << 31) as i32
}

/// The sequence of a batch's last record (`DefaultRecordBatch.lastSequence`).
pub fn last_sequence(header: &BatchHeader) -> i32 {
    match header.base_sequence {
        NO_SEQUENCE => NO_SEQUENCE,
        first => sequence_after(first, header.last_offset_delta),
    }
}

/// A batch as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMetadata {
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Offset of its last record less that of its first; so far apart are the sequences too.
    pub offset_delta: i32,
    /// Its largest timestamp, in milliseconds.
    pub timestamp: i64,
}

impl BatchMetadata {
    /// What is remembered of a batch in the log.
    pub fn of(header: &BatchHeader) -> Self {
        BatchMetadata {
            last_sequence: last_sequence(header),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }
    /// Sequence of its first record.
    pub fn first_sequence(&self) -> i32 {
        sequence_before(self.last_sequence, self.offset_delta)
    }
    /// Offset of its first record.
    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// One producer: its epoch, and its last batches in that epoch, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    epoch: i16,
    last_timestamp: i64,
    batches: [Option<BatchMetadata>; BATCHES_REMEMBERED],
}

impl ProducerEntry {
    /// A producer of which nothing is known (`ProducerStateEntry.empty`).
    pub(super) const UNKNOWN: ProducerEntry =
        ProducerEntry { epoch: NO_PRODUCER_EPOCH, last_timestamp: -1, batches: [None; BATCHES_REMEMBERED] };

    /// As a snapshot tells of it: no more than its last batch.
    pub(super) fn of_snapshot(epoch: i16, last_timestamp: i64, last: Option<BatchMetadata>) -> ProducerEntry {
        let mut entry = ProducerEntry { epoch, last_timestamp, ..ProducerEntry::UNKNOWN };
        entry.batches[0] = last;
        entry
    }

    /// The producer's epoch, -1 if nothing is known of it.
    pub fn epoch(&self) -> i16 {
        self.epoch
    }
    /// The largest timestamp of its last batch.
    pub fn last_timestamp(&self) -> i64 {
        self.last_timestamp
    }
    /// The remembered batches, oldest first.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = &BatchMetadata> {
        self.batches.iter().flatten()
    }
    /// The last batch.
    pub fn last_batch(&self) -> Option<&BatchMetadata> {
        self.batches().next_back()
    }
    /// The sequence of its last record, -1 if no batch of its epoch is known.
    pub fn last_sequence(&self) -> i32 {
        self.last_batch().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    /// Takes note of a batch (`ProducerStateEntry.addBatch`).
    pub(super) fn add_batch(&mut self, epoch: i16, batch: BatchMetadata, rules: ProducerRules) {
        self.forget_batches_of_another_epoch(epoch, rules);
        let held = self.batches().count();
        let room = if rules.hold(ProducerRule::FiveBatchesAreRemembered) { BATCHES_REMEMBERED } else { 1 };
        let at = match held {
            _ if held < room => held,
            _ => {
                self.batches[..room].rotate_left(1);
                room - 1
            }
        };
        self.batches[at] = Some(batch);
        self.last_timestamp = batch.timestamp;
    }

    /// Batches of different epochs are never beside each other (`ProducerStateEntry.maybeUpdateProducerEpoch`).
    fn forget_batches_of_another_epoch(&mut self, epoch: i16, rules: ProducerRules) {
        if self.epoch != epoch {
            self.epoch = epoch;
            if rules.hold(ProducerRule::NewEpochForgetsTheBatches) {
                self.batches = [None; BATCHES_REMEMBERED];
            }
        }
    }

    /// The remembered batch with the same epoch, first and last sequence (`ProducerStateEntry.findDuplicateBatch`). A
    /// duplicate of an older batch than these is not known as one: its sequence is out of order.
    pub(super) fn find_duplicate(&self, header: &BatchHeader, rules: ProducerRules) -> Option<&BatchMetadata> {
        if self.epoch != header.producer_epoch && rules.hold(ProducerRule::DuplicateIsOfTheSameEpoch) {
            return None;
        }
        let sequences = (header.base_sequence, last_sequence(header));
        let same = |batch: &&BatchMetadata| (batch.first_sequence(), batch.last_sequence) == sequences;
        self.batches().find(same).filter(|_| rules.hold(ProducerRule::SameSequencesAreADuplicate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_go_round_in_a_circle_of_two_to_the_31() {
        assert_eq!(sequence_after(5, 3), 8);
        assert_eq!(sequence_after(i32::MAX, 0), i32::MAX);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 4), 2);
        assert_eq!(sequence_after(i32::MAX, i32::MAX), i32::MAX - 1);
        for (sequence, records) in [(5, 3), (0, 1), (2, 4), (i32::MAX, i32::MAX), (7, 0)] {
            assert_eq!(sequence_before(sequence_after(sequence, records), records), sequence);
        }
    }

    #[test]
    fn the_sixth_batch_pushes_out_the_first() {
        let mut entry = ProducerEntry::UNKNOWN;
        for n in 0..6 {
            let batch =
                BatchMetadata { last_sequence: n, last_offset: 10 + i64::from(n), offset_delta: 0, timestamp: 1 };
            entry.add_batch(0, batch, ProducerRules::default());
        }
        assert_eq!(entry.batches().map(|batch| batch.last_sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(entry.last_sequence(), 5);
    }
}
