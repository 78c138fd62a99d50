//! What is wrong with a producer's batch, and what the answer tells of it.
//!
//! ```text
//!   is there such a partition? ─▶ one batch of format 2 ─▶ acks ─▶ leader, in-sync replicas ─▶ the log looks at the batch
//! ```
//!
//! Source: `KafkaApis.handleProduceRequest`, `ProduceRequest.validateRecords`, `ReplicaManager.appendRecords` and
//! `appendToLocalLog`; KIP-467. What the log looks at stands with it (`trial_storage`, `LogValidator`).

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_response::{BatchIndexAndErrorMessage, PartitionProduceResponse};
use kafka_protocol::protocol::StrBytes;
use trial_storage::{
    BatchError, BatchHeader, Batches, Compression, CompressionError, LogError, ProducerError, RecordError,
};

use crate::conformance::AppendRule;

/// The first version of Produce that may bring zstd (KIP-110).
const FIRST_VERSION_WITH_ZSTD: i16 = 7;

/// Why nothing was appended.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) error: ResponseError,
    /// In words, where there are records at fault.
    message: Option<String>,
    records: Vec<RecordError>,
    /// Was the log asked, or the partition, so that the answer tells where the log begins?
    pub(super) tells_log_start: bool,
}

impl From<ResponseError> for Refusal {
    fn from(error: ResponseError) -> Self {
        Refusal { error, message: None, records: Vec::new(), tells_log_start: false }
    }
}

impl Refusal {
    /// A refusal by the partition or its log. Where the log begins is told with all but a few errors, in which Kafka sees
    /// nothing strange (`ReplicaManager.appendToLocalLog`): an idempotent producer must learn that its earlier batches may
    /// have been deleted.
    pub(super) fn of_log(error: ResponseError) -> Refusal {
        use ResponseError::{
            CorruptMessage, KafkaStorageError, MessageTooLarge, NotLeaderOrFollower, RecordListTooLarge,
            UnknownTopicOrPartition,
        };
        let usual = [
            UnknownTopicOrPartition,
            NotLeaderOrFollower,
            MessageTooLarge,
            RecordListTooLarge,
            CorruptMessage,
            KafkaStorageError,
        ];
        let tells_log_start = !usual.iter().any(|known| known.code() == error.code());
        Refusal { tells_log_start, ..error.into() }
    }
    /// Why the log did not append a batch.
    pub(super) fn of_append(error: LogError) -> Refusal {
        let refusal = Refusal::of_log(append_error(&error));
        match error {
            LogError::Records(errors) if AppendRule::RecordErrorsAreTold.holds() => {
                Refusal { message: Some(errors.to_string()), records: errors.0, ..refusal }
            }
            _ => refusal,
        }
    }
    /// Writes into the answer which records are at fault (KIP-467).
    pub(super) fn tell(&self, response: &mut PartitionProduceResponse) {
        response.error_message = self.message.as_ref().map(|message| StrBytes::from_string(message.clone()));
        let told = |error: &RecordError| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(error.index)
                .with_batch_index_error_message(Some(StrBytes::from_string(error.message.clone())))
        };
        response.record_errors = self.records.iter().map(told).collect();
    }
}

/// Produce requests since v3 carry exactly one batch of format 2 per partition, and zstd only since v7. Bytes behind the
/// batch that are not a whole batch are cut off, as in Kafka. Source: `ProduceRequest.validateRecords`.
pub(super) fn validate_form(version: i16, records: Option<Bytes>) -> Result<(Bytes, BatchHeader), ResponseError> {
    let records = records.unwrap_or_default();
    let mut batches = Batches::new(records.clone());
    let (header, size) = match batches.next() {
        Some(Ok(batch)) => (batch.header, batch.bytes.len()),
        None | Some(Err(BatchError::TooShort { .. })) => return Err(ResponseError::InvalidRecord),
        Some(Err(BatchError::BadMagic(0 | 1))) if AppendRule::FormatTwoOnly.holds() => {
            return Err(ResponseError::InvalidRecord);
        }
        // Numbers that cannot be: the checksum says whether they came so.
        Some(Err(BatchError::Malformed(_))) => {
            let checked = trial_storage::check_batch(&records).map_err(|error| append_error(&error.into()));
            return Err(checked.err().unwrap_or(ResponseError::InvalidRecord));
        }
        Some(Err(_)) => return Err(ResponseError::CorruptMessage),
    };
    let has_zstd = header.compression() == Some(Compression::Zstd);
    if has_zstd && version < FIRST_VERSION_WITH_ZSTD && AppendRule::ZstdSinceVersionSeven.holds() {
        return Err(ResponseError::UnsupportedCompressionType);
    }
    match batches.next() {
        Some(Ok(_)) if AppendRule::OneBatchPerPartition.holds() => Err(ResponseError::InvalidRecord),
        Some(Ok(_)) => Ok((records, header)),
        None | Some(Err(BatchError::TooShort { .. })) => Ok((records.slice(..size), header)),
        Some(Err(_)) => Err(ResponseError::CorruptMessage),
    }
}

/// Kafka's error for what the log says (`Errors.forException`).
fn append_error(error: &LogError) -> ResponseError {
    match error {
        LogError::Disk(_) => ResponseError::KafkaStorageError,
        LogError::TooLarge { .. } => ResponseError::MessageTooLarge,
        LogError::LargerThanASegment { .. } => ResponseError::RecordListTooLarge,
        LogError::BaseOffset(_) => ResponseError::InvalidRecord,
        LogError::Records(_) => ResponseError::InvalidTimestamp,
        LogError::Producer(ProducerError::InvalidProducerEpoch { .. }) => ResponseError::InvalidProducerEpoch,
        LogError::Producer(ProducerError::OutOfOrderSequence { .. }) => ResponseError::OutOfOrderSequenceNumber,
        // The checksum is right: it was made wrong, and sending it again will not help (`InvalidRecordException`).
        LogError::InvalidBatch(BatchError::Malformed(_)) => ResponseError::InvalidRecord,
        LogError::InvalidBatch(BatchError::Compressed(error)) => match error {
            CompressionError::NotBuilt(_) => ResponseError::UnsupportedCompressionType,
            // A producer that can splits the batch.
            CompressionError::TooLarge { .. } => ResponseError::MessageTooLarge,
            // The checksum is right here too. Kafka has no error for it, and says so (`KafkaException`).
            CompressionError::Corrupt(_) => ResponseError::UnknownServerError,
        },
        LogError::InvalidBatch(BatchError::UnknownCompression(_)) => ResponseError::UnknownServerError,
        LogError::InvalidBatch(_) => ResponseError::CorruptMessage,
        _ => ResponseError::UnknownServerError,
    }
}
