//! The sequence numbers of one partition: which comes next, which was acknowledged last, and which batches are between.
//!
//! ```text
//!   0 … last acknowledged | in flight, in the order of their sequences | next …
//!                           (under way, or back in the queue for another attempt)
//! ```
//!
//! Source: `TxnPartitionEntry`. Batches are known by their own ids, never by their sequences, so that one that was given
//! a sequence anew cannot be taken for another (KAFKA-13794).

use super::batch::BatchId;
use crate::conformance::ProducerClientRule;

/// Sequences are 31 bits wide.
const SEQUENCE_BITS: i32 = i32::MAX;

/// The sequence that so many records later bears; after 2^31-1 comes 0. Source: `DefaultRecordBatch.incrementSequence`.
pub(crate) fn increment_sequence(sequence: i32, by: i32) -> i32 {
    let sum = sequence.wrapping_add(by);
    if ProducerClientRule::SequencesWrap.holds() { sum & SEQUENCE_BITS } else { sum }
}

/// Does `sequence` lie behind `other`, less than half the way round?
pub(crate) fn is_after(sequence: i32, other: i32) -> bool {
    let distance = sequence.wrapping_sub(other) & SEQUENCE_BITS;
    distance > 0 && distance <= SEQUENCE_BITS / 2
}

/// Who a producer is to the brokers. Source: `ProducerIdAndEpoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerIdAndEpoch {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// What a batch says of its producer and of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) producer: ProducerIdAndEpoch,
    pub(crate) base_sequence: i32,
}

/// A batch that has a sequence and no outcome yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) batch: BatchId,
    pub(crate) stamp: Stamp,
    records: i32,
    /// Its sequence was given anew since it was sent last (`ProducerBatch.sequenceHasBeenReset`).
    pub(crate) reset: bool,
}

impl InFlight {
    /// The sequence of its last record.
    pub(crate) fn last_sequence(&self) -> i32 {
        increment_sequence(self.stamp.base_sequence, self.records - 1)
    }
}

/// In which order batches in flight get new sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// That of their old ones.
    Sequence,
    /// That of the array of a binary heap that they lie in (KAFKA-8483).
    Heap,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequences {
    /// Whose sequences these are; `None` before the first batch.
    producer: Option<ProducerIdAndEpoch>,
    next: i32,
    /// Sequence of the last record of the last acknowledged batch; `None` since the sequences began.
    last_acked: Option<i32>,
    in_flight: Vec<InFlight>,
}

impl Sequences {
    /// Whose sequences these are.
    pub(crate) fn producer(&self) -> Option<ProducerIdAndEpoch> {
        self.producer
    }
    /// The sequence of the record that gets one next.
    pub(crate) fn next(&self) -> i32 {
        self.next
    }
    /// Has every batch with a sequence an outcome?
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }
    /// The oldest batch without an outcome.
    pub(crate) fn first_in_flight(&self) -> Option<BatchId> {
        self.in_flight.first().map(|b| b.batch)
    }
    /// The batch's place among those in flight; `None` if it has no sequence.
    pub(crate) fn position(&self, batch: BatchId) -> Option<usize> {
        self.in_flight.iter().position(|b| b.batch == batch)
    }
    /// A batch in flight.
    pub(crate) fn get(&self, batch: BatchId) -> Option<&InFlight> {
        self.in_flight.iter().find(|b| b.batch == batch)
    }
    /// The batch is sent (again) as it stands.
    pub(crate) fn drained(&mut self, batch: BatchId) -> Option<Stamp> {
        let drained = self.in_flight.iter_mut().find(|b| b.batch == batch)?;
        drained.reset = false;
        Some(drained.stamp)
    }
    /// Gives a batch the next sequences.
    pub(crate) fn assign(&mut self, producer: ProducerIdAndEpoch, batch: BatchId, records: i32) -> Stamp {
        let stamp = Stamp { producer, base_sequence: self.next };
        self.next = increment_sequence(self.next, records);
        self.in_flight.push(InFlight { batch, stamp, records, reset: false });
        stamp
    }
    /// These batches, of so many records each, take over the sequences of one, in its place.
    pub(crate) fn split(&mut self, big: BatchId, parts: &[(BatchId, u32)]) {
        let Some(at) = self.position(big) else { return };
        let InFlight { mut stamp, reset, .. } = self.in_flight.remove(at);
        for (place, (batch, records)) in (at..).zip(parts) {
            let records = i32::try_from(*records).unwrap_or(i32::MAX);
            self.in_flight.insert(place, InFlight { batch: *batch, stamp, records, reset });
            stamp.base_sequence = increment_sequence(stamp.base_sequence, records);
        }
    }
    /// The batch has an outcome.
    pub(crate) fn settle(&mut self, batch: BatchId) {
        self.in_flight.retain(|b| b.batch != batch);
    }
    /// Everything up to this sequence is in the log. Acknowledgements may come out of order.
    pub(crate) fn acknowledged(&mut self, last_sequence: i32) {
        if self.last_acked.is_none_or(|acked| is_after(last_sequence, acked)) {
            self.last_acked = Some(last_sequence);
        }
    }
    /// As if everything before this sequence, and nothing else, had been sent and acknowledged.
    pub(crate) fn move_to(&mut self, sequence: i32) {
        debug_assert!(self.is_idle(), "what is in flight stands at its sequences");
        self.next = sequence;
        self.last_acked = Some(sequence.wrapping_sub(1) & SEQUENCE_BITS);
    }
    /// Does it follow right behind what was acknowledged last? Source: `TransactionManager.isNextSequence`.
    pub(crate) fn is_next(&self, sequence: i32) -> bool {
        sequence == self.last_acked.map_or(0, |acked| increment_sequence(acked, 1))
    }
    /// Is a batch in flight behind which something was acknowledged already? A leader that knows it is no more among its last five
    /// takes it for out of order, whenever it is sent.
    pub(crate) fn is_overtaken(&self) -> bool {
        let is_passed = |base: i32| self.last_acked.is_some_and(|acked| !is_after(base, acked));
        self.in_flight.iter().any(|b| is_passed(b.stamp.base_sequence))
    }
    /// Begins anew at 0: batches in flight get the first sequences, in their order, and whoever comes next those behind.
    /// Source: `TxnPartitionEntry.startSequencesAtBeginning`.
    pub(crate) fn start_at_beginning(&mut self, producer: ProducerIdAndEpoch, order: Order) {
        if order == Order::Heap || !ProducerClientRule::InFlightKeepTheirOrder.holds() {
            in_heap_order(&mut self.in_flight);
        }
        self.producer = Some(producer);
        self.next = 0;
        self.last_acked = None;
        for batch in &mut self.in_flight {
            batch.stamp = Stamp { producer, base_sequence: self.next };
            batch.reset = true;
            self.next = increment_sequence(self.next, batch.records);
        }
    }
}

/// Lays out a sorted list as the array of a binary heap does from which one smaller element was just taken: the last goes
/// to the root and sinks. What `java.util.PriorityQueue` iterates over, and what is no order from three elements on.
fn in_heap_order(sorted: &mut Vec<InFlight>) {
    let Some(last) = sorted.pop() else { return };
    let (mut hole, mut heap) = (0, Vec::with_capacity(sorted.len() + 1));
    // With the smaller element in front, element k of the list stood at place k + 1.
    heap.push(last);
    heap.append(sorted);
    while let Some(left) = heap.get(2 * hole + 1) {
        let right_is_smaller = heap.get(2 * hole + 2).is_some_and(|right| is_before(right, left));
        let child = 2 * hole + 1 + usize::from(right_is_smaller);
        if is_before(&heap[hole], &heap[child]) {
            break;
        }
        heap.swap(hole, child);
        hole = child;
    }
    *sorted = heap;
}

fn is_before(one: &InFlight, other: &InFlight) -> bool {
    is_after(other.stamp.base_sequence, one.stamp.base_sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ProducerIdAndEpoch = ProducerIdAndEpoch { id: 7, epoch: 0 };
    const SECOND: ProducerIdAndEpoch = ProducerIdAndEpoch { id: 7, epoch: 1 };

    /// Five batches of two records each.
    fn five_in_flight() -> Sequences {
        let mut sequences = Sequences { producer: Some(FIRST), ..Sequences::default() };
        for n in 0..5 {
            sequences.assign(FIRST, BatchId(n), 2);
        }
        sequences
    }
    fn stamps(sequences: &Sequences) -> Vec<(u64, i32)> {
        sequences.in_flight.iter().map(|b| (b.batch.0, b.stamp.base_sequence)).collect()
    }

    #[test]
    fn after_the_largest_sequence_comes_0() {
        let mut sequences = Sequences { producer: Some(FIRST), next: i32::MAX - 1, ..Sequences::default() };
        let stamps = [0, 1, 2].map(|n| sequences.assign(FIRST, BatchId(n), 2).base_sequence);
        assert_eq!(stamps, [i32::MAX - 1, 0, 2]);
        // A batch may have the largest sequence in its middle.
        sequences.next = i32::MAX;
        sequences.assign(FIRST, BatchId(3), 3);
        assert_eq!((sequences.get(BatchId(3)).map(InFlight::last_sequence), sequences.next()), (Some(1), 2));
        // What was acknowledged does not go back when sequences do.
        sequences.acknowledged(i32::MAX);
        assert!(sequences.is_next(0));
        sequences.acknowledged(1);
        sequences.acknowledged(i32::MAX);
        assert!(sequences.is_next(2));
    }

    #[test]
    fn a_batch_is_overtaken_by_what_is_acknowledged_behind_it() {
        let mut sequences = five_in_flight();
        sequences.settle(BatchId(0));
        sequences.acknowledged(1);
        assert!(!sequences.is_overtaken());
        sequences.settle(BatchId(2));
        sequences.acknowledged(5);
        assert!(sequences.is_overtaken(), "batch 1 has sequences 2 and 3");
        sequences.settle(BatchId(1));
        assert!(!sequences.is_overtaken());
    }

    #[test]
    fn batches_in_flight_begin_anew_in_their_order() {
        let mut sequences = five_in_flight();
        sequences.settle(BatchId(0));
        sequences.acknowledged(1);
        sequences.start_at_beginning(SECOND, Order::Sequence);
        assert_eq!(stamps(&sequences), [(1, 0), (2, 2), (3, 4), (4, 6)]);
        assert!(sequences.is_next(0), "nothing of these sequences was acknowledged");
        assert_eq!((sequences.next(), sequences.producer()), (8, Some(SECOND)));
    }

    #[test]
    fn the_order_of_a_heap_is_none() {
        let mut sequences = five_in_flight();
        sequences.settle(BatchId(0));
        sequences.start_at_beginning(SECOND, Order::Heap);
        // java.util.PriorityQueue of 0..5, after one poll, iterates over 1, 3, 2, 4.
        assert_eq!(stamps(&sequences), [(1, 0), (3, 2), (2, 4), (4, 6)]);
    }
}
