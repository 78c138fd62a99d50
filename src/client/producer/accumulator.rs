//! Batches that wait to be sent: one queue per partition.
//!
//! ```text
//!   append ──▶ [front: sent next … back: filling] ──▶ take_for(broker): one batch per partition
//!                ▲ retried batches come back here, those with a sequence in its order
//! ```
//!
//! Source: `RecordAccumulator`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trial_storage::NewRecord;

use super::batch::{Batch, BatchId, Packing};
use super::compression_ratio::{Ratio, Ratios};
use super::idempotence::Idempotence;
use crate::client::backoff::WakeUp;
use crate::client::view::Leader;
use crate::conformance::ProducerClientRule;
use crate::ids::{BrokerId, TopicPartition};
use crate::node::{EventId, Nanos, OpId};

/// Most bytes of one request, `max.request.size`.
pub(crate) const MAX_REQUEST_SIZE: usize = 1_048_576;

#[derive(Clone, Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
    /// A batch is under way, and order is guaranteed: nothing more until it is settled.
    muted: bool,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct Accumulator {
    linger: Nanos,
    batch_size: usize,
    packing: Packing,
    ratios: Ratios,
    queues: BTreeMap<TopicPartition, Queue>,
    next_id: u64,
    /// Where the next drain of a broker begins, so that a full request starves nobody.
    drain_from: BTreeMap<BrokerId, TopicPartition>,
}

/// A record on its way into a batch.
#[derive(Clone, Debug)]
pub(crate) struct Appending {
    pub(crate) op: OpId,
    pub(crate) record: NewRecord,
    /// When it was given to the producer.
    pub(crate) created_at: Nanos,
    /// The event of that.
    pub(crate) cause: EventId,
}

impl Accumulator {
    /// No batches yet.
    pub(crate) fn new(linger: Nanos, batch_size: usize, packing: Packing) -> Self {
        Accumulator {
            linger,
            batch_size,
            packing,
            ratios: Ratios::default(),
            queues: BTreeMap::new(),
            next_id: 0,
            drain_from: BTreeMap::new(),
        }
    }
    /// Adds a record to the partition's last batch, or to a new one. Returns by how many bytes the queue has grown.
    pub(crate) fn append(&mut self, now: Nanos, partition: &TopicPartition, new: Appending) -> usize {
        if !self.queues.contains_key(partition) {
            self.queues.insert(partition.clone(), Queue::default());
        }
        let queue = self.queues.get_mut(partition).expect("inserted above");
        let Appending { op, record, created_at, cause } = new;
        if let Some(last) = queue.batches.back_mut() {
            let before = last.size_in_bytes();
            if last.try_push(op, &record, self.batch_size) {
                return last.size_in_bytes() - before;
            }
        }
        let id = BatchId(self.next_id);
        self.next_id += 1;
        let packing = (self.packing, self.ratios.of(&partition.topic));
        let mut batch = Batch::open(id, partition.clone(), packing, (created_at, now), cause);
        let taken = batch.try_push(op, &record, self.batch_size);
        debug_assert!(taken, "an empty batch takes any record");
        let size = batch.size_in_bytes();
        queue.batches.push_back(batch);
        size
    }
    /// Is no batch of the partition still filling?
    pub(crate) fn has_no_open_batch(&self, partition: &TopicPartition) -> bool {
        let last = self.queues.get(partition).and_then(|q| q.batches.back());
        last.is_none_or(|batch| batch.is_full(self.batch_size))
    }
    /// Puts a batch that is to be sent again back to the front. Without idempotence nothing restores the order among
    /// batches that were under way together: with max.in.flight above 1, a retry overtakes or is overtaken.
    /// Source: `RecordAccumulator.reenqueue`.
    pub(crate) fn put_back(&mut self, batch: Batch, idempotence: Option<&Idempotence>) {
        let queue = self.queues.entry(batch.partition.clone()).or_default();
        match idempotence {
            Some(idempotence) if ProducerClientRule::RetriesKeepTheirOrder.holds() => {
                insert_in_sequence_order(&mut queue.batches, batch, idempotence);
            }
            _ => queue.batches.push_front(batch),
        }
    }
    /// Puts what a batch was split into to the front of its queue, in the order of the records, and tells the ids and the
    /// number of records of each. They take over the batch's sequences. Source: `RecordAccumulator.splitAndReenqueue`.
    pub(crate) fn split(&mut self, big: Batch, idempotence: Option<&mut Idempotence>) -> Vec<(BatchId, u32)> {
        let partition = big.partition.clone();
        let (big_id, ratio) = (big.id, big.ratio_seen().unwrap_or(Ratio::NOT_AT_ALL));
        self.ratios.begin_anew(&partition.topic, ratio);
        let parts = big.split(self.batch_size, || {
            self.next_id += 1;
            BatchId(self.next_id - 1)
        });
        let told: Vec<(BatchId, u32)> = parts.iter().map(|part| (part.id, part.records())).collect();
        let idempotence = idempotence.map(|idempotence| {
            idempotence.split(&partition, big_id, &told);
            &*idempotence
        });
        for part in parts.into_iter().rev() {
            self.put_back(part, idempotence);
        }
        told
    }
    /// Holds back (or releases) a partition while a batch of it is under way: the order guarantee of max.in.flight=1.
    pub(crate) fn set_muted(&mut self, partition: &TopicPartition, muted: bool) {
        if let Some(queue) = self.queues.get_mut(partition) {
            queue.muted = muted;
        }
    }

    /// May the front batch leave now? It is full, or has company behind it, or was sent before, or waited for
    /// linger.ms; and it does not pause before a retry. Source: `RecordAccumulator.batchReady`.
    fn is_ready(&self, now: Nanos, queue: &Queue, epoch: i32) -> bool {
        let Some(front) = queue.batches.front() else { return false };
        !queue.muted
            && !pauses(front, now, epoch)
            && (front.is_full(self.batch_size)
                || queue.batches.len() > 1
                || now >= front.opened_at.saturating_add(self.linger))
    }
    /// Brokers for which a batch is ready, and whether some ready batch has no leader to go to.
    pub(crate) fn ready(
        &self,
        now: Nanos,
        leader: impl Fn(&TopicPartition) -> Option<Leader>,
    ) -> (BTreeSet<BrokerId>, bool) {
        let mut brokers = BTreeSet::new();
        let mut leaderless = false;
        for (partition, queue) in self.queues.iter().filter(|(_, queue)| !queue.batches.is_empty()) {
            match leader(partition) {
                Some(leader) if self.is_ready(now, queue, leader.epoch) => {
                    brokers.insert(leader.broker);
                }
                Some(_) => {}
                None => leaderless = true,
            }
        }
        (brokers, leaderless)
    }
    /// The batches of one request: the front batch of each partition that the broker leads, ready by itself or not,
    /// up to `MAX_REQUEST_SIZE`. A batch of an idempotent producer gets its sequence here, or ends the round: as in Kafka,
    /// partitions that come behind one whose batch must wait wait with it. Source: `RecordAccumulator.drainBatchesForOneNode`.
    pub(crate) fn take_for(
        &mut self,
        broker: BrokerId,
        now: Nanos,
        leader: impl Fn(&TopicPartition) -> Option<Leader>,
        mut idempotence: Option<&mut Idempotence>,
    ) -> Vec<Batch> {
        let led = |p: &TopicPartition| leader(p).filter(|l| l.broker == broker);
        let mut partitions: Vec<(TopicPartition, i32)> =
            self.queues.keys().filter_map(|p| led(p).map(|l| (p.clone(), l.epoch))).collect();
        if let Some(from) = self.drain_from.get(&broker) {
            let at = partitions.partition_point(|(p, _)| p < from);
            partitions.rotate_left(at);
        }
        let mut taken = Vec::new();
        let mut size = 0;
        for (partition, epoch) in partitions {
            let Some(queue) = self.queues.get_mut(&partition) else { continue };
            let Some(front) = queue.batches.front() else { continue };
            if queue.muted || pauses(front, now, epoch) {
                continue;
            }
            if !taken.is_empty() && size + front.size_in_bytes() > MAX_REQUEST_SIZE {
                self.drain_from.insert(broker, partition);
                break;
            }
            if idempotence.as_ref().is_some_and(|i| i.should_stop_drain(&partition, front.id)) {
                self.drain_from.insert(broker, partition);
                break;
            }
            if let Some(mut batch) = queue.batches.pop_front() {
                batch.stamp = idempotence.as_mut().and_then(|i| i.drained(&partition, batch.id, batch.records()));
                batch.sent_in_epoch = Some(epoch);
                size += batch.encoded().len();
                if let Some(seen) = batch.ratio_seen().filter(|_| batch.attempts == 0) {
                    self.ratios.learn(&partition.topic, seen);
                }
                taken.push(batch);
            }
        }
        taken
    }

    /// Takes out the batches that are too old (`RecordAccumulator.expiredBatches`): from the front of each queue.
    pub(crate) fn take_expired(&mut self, now: Nanos, delivery_timeout: Nanos) -> Vec<Batch> {
        let mut expired = Vec::new();
        for queue in self.queues.values_mut() {
            while queue.batches.front().is_some_and(|b| b.created_at.saturating_add(delivery_timeout) <= now) {
                expired.extend(queue.batches.pop_front());
            }
        }
        expired
    }
    /// Takes out everything.
    pub(crate) fn take_all(&mut self) -> Vec<Batch> {
        self.queues.values_mut().flat_map(|queue| queue.batches.drain(..)).collect()
    }
    /// Tells when a batch will be ready or too old.
    pub(crate) fn wake_up(&self, delivery_timeout: Nanos, wake_up: &mut WakeUp) {
        for queue in self.queues.values() {
            let Some(front) = queue.batches.front() else { continue };
            wake_up.also_at(front.created_at.saturating_add(delivery_timeout));
            wake_up.also_at(front.retry_at);
            wake_up.also_at(front.opened_at.saturating_add(self.linger));
        }
    }
}

/// Batches that come back stand in the order of their sequences, before all that have none yet. Those that were under way
/// together may come back in any order, from several brokers. Source: `RecordAccumulator.insertInSequenceOrder`.
fn insert_in_sequence_order(queue: &mut VecDeque<Batch>, batch: Batch, idempotence: &Idempotence) {
    let place = |b: &Batch| idempotence.position(&b.partition, b.id);
    let mine = place(&batch);
    let at = queue.iter().take_while(|b| place(b).is_some_and(|place| Some(place) < mine)).count();
    queue.insert(at, batch);
}

/// Does a retried batch pause still? A leader in a newer epoch than the one that refused it ends the pause (KIP-951).
/// Source: `RecordAccumulator.shouldBackoff`.
fn pauses(batch: &Batch, now: Nanos, epoch: i32) -> bool {
    now < batch.retry_at && batch.sent_in_epoch.is_some_and(|sent_in| epoch <= sent_in)
}
