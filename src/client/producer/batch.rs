//! A batch of records for one partition, from its first record to its outcome.

use bytes::Bytes;
use trial_storage::{BatchBuilder, BuildOptions, Compression, HEADER_BYTES, NewRecord, records, set_producer_state};

use super::compression_ratio::Ratio;
use super::sequences::Stamp;
use crate::ids::TopicPartition;
use crate::node::{EventId, Nanos, OpId};

/// Names a batch of one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchId(pub(crate) u64);

/// How a producer packs its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    pub(crate) codec: Compression,
    pub(crate) gzip_level: u32,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) id: BatchId,
    pub(crate) partition: TopicPartition,
    /// One per record, in order.
    pub(crate) ops: Vec<OpId>,
    /// Of an idempotent producer: id, epoch and sequence as of the last attempt.
    pub(crate) stamp: Option<Stamp>,
    content: Content,
    packing: Packing,
    /// How much its records are believed to shrink.
    ratio: Ratio,
    /// Bytes of its records before they are packed.
    unpacked_bytes: usize,
    /// Bytes of it, or what they are believed to become.
    size_in_bytes: usize,
    /// Is it part of a batch that was too large?
    is_split: bool,
    /// When the first record was given to the producer: delivery.timeout.ms counts from here.
    pub(crate) created_at: Nanos,
    /// When the first record got here: linger.ms counts from here.
    pub(crate) opened_at: Nanos,
    /// Requests it was part of. One that was split off begins anew, as in Kafka.
    pub(crate) attempts: u32,
    /// Requests that its records were part of before, in batches that were too large.
    pub(crate) attempts_before: u32,
    /// Not before this time, unless another leader is known by then.
    pub(crate) retry_at: Nanos,
    /// Leader epoch to which the last attempt went.
    pub(crate) sent_in_epoch: Option<i32>,
    /// Some attempt may have been written.
    pub(crate) ambiguous: bool,
    /// Kafka's name of the last error.
    pub(crate) last_error: Option<String>,
    /// The last event about it: the cause of the next.
    pub(crate) last_event: EventId,
}

#[derive(Clone, Debug)]
enum Content {
    /// Takes more records.
    Open(BatchBuilder),
    /// Has had to refuse a record; still to be encoded.
    Full(BatchBuilder),
    /// As it was sent, with this stamp, and will be sent again.
    Encoded(Bytes, Option<Stamp>),
}

impl Batch {
    /// An empty batch of `packing`, whose records are believed to shrink by `ratio`. `created_at` is when its first record
    /// was given to the producer.
    pub(crate) fn open(
        id: BatchId,
        partition: TopicPartition,
        (packing, ratio): (Packing, Ratio),
        (created_at, now): (Nanos, Nanos),
        cause: EventId,
    ) -> Self {
        Batch {
            id,
            partition,
            packing,
            ratio,
            unpacked_bytes: 0,
            is_split: false,
            ops: Vec::new(),
            stamp: None,
            content: Content::Open(BatchBuilder::new()),
            size_in_bytes: HEADER_BYTES,
            created_at,
            opened_at: now,
            attempts: 0,
            attempts_before: 0,
            retry_at: 0,
            sent_in_epoch: None,
            ambiguous: false,
            last_error: None,
            last_event: cause,
        }
    }
    /// Size with everything in it so far.
    pub(crate) fn size_in_bytes(&self) -> usize {
        self.size_in_bytes
    }
    /// Takes a record, if there is room below `batch_size`; an empty batch takes any. A batch that has had to refuse
    /// one takes no more. False if it was not taken. That the new record will shrink too is not reckoned with.
    /// Source: `MemoryRecordsBuilder.hasRoomFor`.
    pub(crate) fn try_push(&mut self, op: OpId, record: &NewRecord, batch_size: usize) -> bool {
        let Content::Open(builder) = &mut self.content else { return false };
        let saved = builder.size_estimate().saturating_sub(self.size_in_bytes);
        if !builder.try_push(record, batch_size.saturating_add(saved)) {
            self.content = Content::Full(std::mem::take(builder));
            return false;
        }
        self.unpacked_bytes = builder.size_estimate() - HEADER_BYTES;
        self.size_in_bytes = match self.packing.codec {
            Compression::None => builder.size_estimate(),
            _ => HEADER_BYTES + self.ratio.estimate(self.unpacked_bytes),
        };
        self.ops.push(op);
        true
    }
    /// Has it no room for more? (`ProducerBatch.isFull`)
    pub(crate) fn is_full(&self, batch_size: usize) -> bool {
        !matches!(self.content, Content::Open(_)) || self.size_in_bytes >= batch_size
    }
    /// The batch as it goes over the wire, the same for every attempt unless its stamp has changed. It takes no more
    /// records.
    pub(crate) fn encoded(&mut self) -> Bytes {
        match &mut self.content {
            Content::Open(builder) | Content::Full(builder) => {
                let bytes = std::mem::take(builder).build(build_options(self.stamp, self.packing));
                self.content = Content::Encoded(bytes.clone(), self.stamp);
                self.size_in_bytes = bytes.len();
                bytes
            }
            Content::Encoded(bytes, stamp) => {
                if let Some(now) = self.stamp.filter(|now| *stamp != Some(*now)) {
                    let mut restamped = bytes.to_vec();
                    set_producer_state(&mut restamped, now.producer.id, now.producer.epoch, now.base_sequence);
                    (*bytes, *stamp) = (restamped.into(), Some(now));
                }
                bytes.clone()
            }
        }
    }
    /// How much its records have shrunk, once it is encoded.
    pub(crate) fn ratio_seen(&self) -> Option<Ratio> {
        let is_packed = self.packing.codec != Compression::None && matches!(self.content, Content::Encoded(..));
        is_packed.then(|| Ratio::of(self.size_in_bytes - HEADER_BYTES, self.unpacked_bytes))
    }
    /// The same records in several batches, none larger than `batch_size` unless one record is, with the given ids. They
    /// are as old as it, and as if never sent; what may have been written of it may have been written of them. A batch
    /// that was split before is halved at least, or a broker that takes less than batch.size would refuse the same batch
    /// for ever (KAFKA-8350). Source: `ProducerBatch.split`, `RecordAccumulator.splitAndReenqueue`.
    pub(crate) fn split(mut self, batch_size: usize, mut next_id: impl FnMut() -> BatchId) -> Vec<Batch> {
        // It was made here: it can be opened.
        let records = records(&self.encoded()).unwrap_or_default();
        let batch_size = if self.is_split { self.size_in_bytes / 2 } else { batch_size };
        let mut batches: Vec<Batch> = Vec::new();
        for (op, record) in self.ops.iter().zip(records) {
            let record = NewRecord {
                timestamp: record.timestamp,
                key: record.key,
                value: record.value,
                headers: record.headers,
            };
            if let Some(last) = batches.last_mut()
                && last.try_push(*op, &record, batch_size)
            {
                continue;
            }
            let times = (self.created_at, self.opened_at);
            let packing = (self.packing, self.ratio.max(Ratio::NOT_AT_ALL));
            let mut batch = Batch::open(next_id(), self.partition.clone(), packing, times, self.last_event);
            batch.is_split = true;
            batch.attempts_before = self.attempts_before + self.attempts;
            batch.ambiguous = self.ambiguous;
            batch.last_error = self.last_error.clone();
            batch.try_push(*op, &record, batch_size);
            batches.push(batch);
        }
        // Nothing is put behind them: each stands as it is.
        batches.iter_mut().for_each(Batch::take_no_more);
        batches
    }
    fn take_no_more(&mut self) {
        if let Content::Open(builder) = &mut self.content {
            self.content = Content::Full(std::mem::take(builder));
        }
    }
    /// The operation of its first record, by which events name a batch. A batch is never empty once it is in a queue.
    pub(crate) fn first_op(&self) -> OpId {
        self.ops.first().copied().unwrap_or(OpId(0))
    }
    /// Number of records.
    pub(crate) fn records(&self) -> u32 {
        self.ops.len() as u32
    }
}

fn build_options(stamp: Option<Stamp>, packing: Packing) -> BuildOptions {
    let Packing { codec, gzip_level } = packing;
    let plain = BuildOptions { compression: codec, gzip_level, ..BuildOptions::default() };
    let Some(Stamp { producer, base_sequence }) = stamp else { return plain };
    BuildOptions { producer_id: producer.id, producer_epoch: producer.epoch, base_sequence, ..plain }
}

/// At most so many bytes does a batch of this record alone take.
/// Source: `AbstractRecords.estimateSizeInBytesUpperBound`.
pub(crate) fn size_upper_bound(record: &NewRecord) -> usize {
    const RECORD_OVERHEAD: usize = 21;
    const LENGTH_FIELD: usize = 5;
    let field = |bytes: &Option<Bytes>| LENGTH_FIELD + bytes.as_ref().map_or(0, Bytes::len);
    let headers: usize = record.headers.iter().map(|(key, value)| LENGTH_FIELD + key.len() + field(value)).sum();
    HEADER_BYTES + RECORD_OVERHEAD + field(&record.key) + field(&record.value) + headers
}
