//! From the bytes of a fetch response to records. Source: `CompletedFetch`.

use std::collections::VecDeque;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use trial_storage::{Batch, BatchError, Batches, CompressionError, check_batch, records};

use super::position::known;
use crate::ids::TopicPartition;
use crate::node::ConsumedRecord;

/// What a response holds for a consumer at a position.
#[derive(Clone, Debug)]
pub(crate) struct Decoded {
    /// Records at and above the position, in order.
    pub(crate) records: VecDeque<ConsumedRecord>,
    /// The position after all of them: control batches and what compaction removed are passed over.
    pub(crate) next_offset: i64,
    /// Leader epoch of the last batch, if there was one that has one.
    pub(crate) last_epoch: Option<i32>,
    /// What ended the decoding early.
    pub(crate) error: Option<ResponseError>,
}

/// Decodes whole batches, checking each (check.crcs is Kafka's default). A leader sends whole batches from its log,
/// so the first may begin below the position, and the last may be cut off by the response's size.
pub(crate) fn decode(bytes: Bytes, partition: &TopicPartition, position: i64) -> Decoded {
    let mut decoded = Decoded { records: VecDeque::new(), next_offset: position, last_epoch: None, error: None };
    let mut any_batch = false;
    for batch in Batches::new(bytes) {
        match batch.and_then(|batch| decode_batch(&batch, partition, &mut decoded)) {
            Ok(()) => any_batch = true,
            // A cut-off end is normal, but a response that holds nothing else would be asked for over and over.
            Err(BatchError::TooShort { .. }) if any_batch => break,
            Err(error) => {
                decoded.error = Some(error_of(&error));
                break;
            }
        }
    }
    decoded
}

fn decode_batch(batch: &Batch, partition: &TopicPartition, decoded: &mut Decoded) -> Result<(), BatchError> {
    let header = check_batch(&batch.bytes)?;
    if header.last_offset() < decoded.next_offset {
        return Ok(());
    }
    if !header.is_control() {
        for record in records(&batch.bytes)? {
            if record.offset < decoded.next_offset {
                continue;
            }
            decoded.records.push_back(ConsumedRecord {
                partition: partition.clone(),
                offset: record.offset,
                leader_epoch: header.partition_leader_epoch,
                timestamp: record.timestamp,
                key: record.key,
                value: record.value,
            });
        }
    }
    decoded.next_offset = header.last_offset() + 1;
    decoded.last_epoch = known(header.partition_leader_epoch).or(decoded.last_epoch);
    Ok(())
}

fn error_of(error: &BatchError) -> ResponseError {
    match error {
        BatchError::TooShort { .. } => ResponseError::RecordListTooLarge,
        BatchError::Compressed(CompressionError::NotBuilt(_)) => ResponseError::UnsupportedCompressionType,
        _ => ResponseError::CorruptMessage,
    }
}
