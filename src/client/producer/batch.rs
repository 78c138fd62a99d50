//! A batch of records for one partition, from its first record to its outcome.

use bytes::Bytes;
use trial_storage::{BatchBuilder, BuildOptions, HEADER_BYTES, NewRecord, set_producer_state};

use super::sequences::Stamp;
use crate::ids::TopicPartition;
use crate::node::{EventId, Nanos, OpId};

/// Names a batch of one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchId(pub(crate) u64);

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
    size_in_bytes: usize,
    /// When the first record was given to the producer: delivery.timeout.ms counts from here.
    pub(crate) created_at: Nanos,
    /// When the first record got here: linger.ms counts from here.
    pub(crate) opened_at: Nanos,
    /// Requests it was part of.
    pub(crate) attempts: u32,
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
    /// An empty batch. `created_at` is when its first record was given to the producer.
    pub(crate) fn open(id: BatchId, partition: TopicPartition, created_at: Nanos, now: Nanos, cause: EventId) -> Self {
        Batch {
            id,
            partition,
            ops: Vec::new(),
            stamp: None,
            content: Content::Open(BatchBuilder::new()),
            size_in_bytes: HEADER_BYTES,
            created_at,
            opened_at: now,
            attempts: 0,
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
    /// one takes no more. False if it was not taken.
    pub(crate) fn try_push(&mut self, op: OpId, record: &NewRecord, batch_size: usize) -> bool {
        let Content::Open(builder) = &mut self.content else { return false };
        if !builder.try_push(record, batch_size) {
            self.content = Content::Full(std::mem::take(builder));
            return false;
        }
        self.size_in_bytes = builder.size_estimate();
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
                let bytes = std::mem::take(builder).build(build_options(self.stamp));
                self.content = Content::Encoded(bytes.clone(), self.stamp);
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
    /// The operation of its first record, by which events name a batch. A batch is never empty once it is in a queue.
    pub(crate) fn first_op(&self) -> OpId {
        self.ops.first().copied().unwrap_or(OpId(0))
    }
    /// Number of records.
    pub(crate) fn records(&self) -> u32 {
        self.ops.len() as u32
    }
}

fn build_options(stamp: Option<Stamp>) -> BuildOptions {
    let Some(Stamp { producer, base_sequence }) = stamp else { return BuildOptions::default() };
    BuildOptions { producer_id: producer.id, producer_epoch: producer.epoch, base_sequence, ..BuildOptions::default() }
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
