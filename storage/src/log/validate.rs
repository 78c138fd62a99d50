//! Which batches of a client does a leader take, and as what do they go into the log?
//!
//! ```text
//!   base offset 0 ─▶ size ─▶ checksum ─▶ counts, control, sequence ─▶ each record ─▶ timestamps, codec ─▶ size again
//! ```
//!
//! Source: `UnifiedLog.analyzeAndValidateRecords`, then `LogValidator`. The order is Kafka's, since the first fault is the
//! one that is told.

use bytes::Bytes;

use crate::batch::{BatchBuilder, BuildOptions, LOG_APPEND_TIME, NewRecord, Records, Skeleton};
use crate::batch::{check_batch, decode_header, set_max_timestamp, skeleton};
use crate::compression::{Compression, CompressionError, DEFAULT_GZIP_LEVEL};
use crate::{BatchError, BatchHeader};

use super::{AppendRule, AppendRules, LogConfig, LogError};

/// As what batches are packed (`compression.type`, other than `producer`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetCompression {
    /// The codec.
    pub codec: Compression,
    /// How hard gzip tries, 1 to 9 (`compression.gzip.level`).
    pub gzip_level: u32,
}

/// What a leader does with what clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendConfig {
    /// `compression.type`; `None`: as the producer packed it.
    pub compression: Option<TargetCompression>,
    /// `message.timestamp.type` is `LogAppendTime`.
    pub log_append_time: bool,
    /// `message.timestamp.before.max.ms`: how far a timestamp may lie behind the broker's clock.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far it may lie before it.
    pub timestamp_after_max_ms: i64,
    /// The rules that hold.
    pub rules: AppendRules,
}

impl AppendConfig {
    /// Batches stay as they are, whatever their timestamps.
    pub const DEFAULT: AppendConfig = AppendConfig {
        compression: None,
        log_append_time: false,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        rules: AppendRules::ALL_HOLD,
    };
}

/// A record at fault (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Its place in the batch, from 0.
    pub index: i32,
    /// What is wrong.
    pub message: String,
}

/// The records at fault of a batch that was refused for them (KIP-467, `RecordValidationException`). All of them have a
/// timestamp that is not taken; Kafka tells a missing key of a compacted topic in the same way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} records have a timestamp that is not taken, the first: {}", .0.len(), .0.first().map_or("", |first| first.message.as_str()))]
pub struct RecordErrors(pub Vec<RecordError>);

/// Most records at fault that are told of one batch: what is told goes back over the wire, and a batch that is all faults
/// would be told at many times its size.
const MOST_RECORD_ERRORS: usize = 1_000;

/// A batch that is taken.
pub(super) struct Validated {
    /// As it goes into the log, but for base offset and leader epoch.
    pub(super) header: BatchHeader,
    /// Bytes of it as it came.
    pub(super) taken_bytes: usize,
    /// Its bytes, if they are others than those that came.
    pub(super) changed: Option<Bytes>,
}

/// Looks at the batch at the start of `bytes`. `wall`: the broker's clock in milliseconds.
pub(super) fn validate(bytes: &Bytes, config: &LogConfig, wall: i64) -> Result<Validated, LogError> {
    let rules = config.appends.rules;
    let header = analyze(bytes, config)?;
    validate_batch(&header, rules)?;
    let source = header.compression().ok_or(BatchError::UnknownCompression(header.compression_id()))?;
    let target = config.appends.compression.filter(|_| rules.hold(AppendRule::TopicCompression));
    let target = target.unwrap_or(TargetCompression { codec: source, gzip_level: DEFAULT_GZIP_LEVEL });

    let taken_bytes = header.size_in_bytes();
    let batch = bytes.slice(..taken_bytes);
    let found = look_through(&batch, &header, &config.appends, wall)?;
    if source != Compression::None && !found.consecutive && rules.hold(AppendRule::OffsetsOfCompressedAreMended) {
        return build_anew(&batch, &header, target, config, wall);
    }
    if source != target.codec {
        return build_anew(&batch, &header, target, config, wall);
    }
    let changed = stamp(&batch, &header, found.max_timestamp, &config.appends, wall);
    let header = changed.as_ref().map_or(Ok(header), |changed| decode_header(changed))?;
    Ok(Validated { header, taken_bytes, changed })
}

/// What can be seen without opening it (`UnifiedLog.analyzeAndValidateRecords`).
fn analyze(bytes: &Bytes, config: &LogConfig) -> Result<BatchHeader, LogError> {
    let rules = config.appends.rules;
    let header = decode_header(bytes)?;
    if header.base_offset != 0 && rules.hold(AppendRule::BaseOffsetIsZero) {
        return Err(LogError::BaseOffset(header.base_offset));
    }
    let size = header.size_in_bytes();
    if size > config.max_batch_bytes && rules.hold(AppendRule::LargestBatch) {
        return Err(LogError::TooLarge { size: size as u64, limit: config.max_batch_bytes as u64 });
    }
    match check_batch(bytes) {
        Err(BatchError::BadCrc { .. }) if !rules.hold(AppendRule::ChecksumFits) => Ok(header),
        checked => Ok(checked?),
    }
}

/// What a leader demands of a batch from a client: as many offsets as records and at least one, a sequence number if there
/// is a producer id, no control records (`LogValidator.validateBatch`).
fn validate_batch(header: &BatchHeader, rules: AppendRules) -> Result<(), BatchError> {
    let as_many =
        header.records_count > 0 && i64::from(header.records_count) == i64::from(header.last_offset_delta) + 1;
    if !as_many && rules.hold(AppendRule::AsManyOffsetsAsRecords) {
        return Err(BatchError::Malformed("records and offsets differ in number"));
    }
    if header.is_control() && rules.hold(AppendRule::NoControlBatches) {
        return Err(BatchError::Malformed("control batches are not for clients to write"));
    }
    if header.producer_id >= 0 && header.base_sequence < 0 && rules.hold(AppendRule::ProducerHasASequence) {
        return Err(BatchError::Malformed("a producer id without a sequence number"));
    }
    Ok(())
}

/// What the records of a batch say.
struct Found {
    /// Does each record's offset follow that of the one before, from the first?
    consecutive: bool,
    /// -1 if no record has one.
    max_timestamp: i64,
}

/// Looks at each record (`LogValidator.validateRecord`). Kafka takes the records of a batch that is not compressed at any
/// offsets; consumers could then not tell what they read, so they are refused here.
fn look_through(batch: &Bytes, header: &BatchHeader, config: &AppendConfig, wall: i64) -> Result<Found, LogError> {
    let rules = config.rules;
    let mut found = Found { consecutive: true, max_timestamp: -1 };
    let mut at_fault = Vec::new();
    let mut records = match Records::open(batch) {
        Err(BatchError::Compressed(CompressionError::TooLarge { .. }))
            if !rules.hold(AppendRule::UnpackedSizeIsBounded) =>
        {
            return Ok(found);
        }
        opened => opened?,
    };
    let mut index = 0;
    while let Some(record) = records.next_with(skeleton) {
        let record = match record {
            Err(BatchError::Malformed(_)) if !rules.hold(AppendRule::RecordsFillTheBatch) => return Ok(found),
            record => record?,
        };
        if record.offset_delta != index {
            found.consecutive = false;
        }
        if let Some(message) = timestamp_fault(header, &record, config, wall)
            && at_fault.len() < MOST_RECORD_ERRORS
            && (at_fault.is_empty() || rules.hold(AppendRule::EachRecordAtFaultIsTold))
        {
            at_fault.push(RecordError { index, message });
        }
        found.max_timestamp = found.max_timestamp.max(record.timestamp);
        index += 1;
    }
    if !at_fault.is_empty() {
        return Err(RecordErrors(at_fault).into());
    }
    let is_compressed = header.compression() != Some(Compression::None);
    if !found.consecutive && !is_compressed && rules.hold(AppendRule::OffsetsAreConsecutive) {
        return Err(BatchError::Malformed("offsets of records that do not follow one another").into());
    }
    Ok(found)
}

/// Why the timestamp of a record is not taken (`LogValidator.validateTimestamp`). Where timestamps are the brokers' own,
/// a client may write what it likes.
fn timestamp_fault(header: &BatchHeader, record: &Skeleton, config: &AppendConfig, wall: i64) -> Option<String> {
    if !config.log_append_time && record.timestamp != -1 {
        let age = i128::from(wall) - i128::from(record.timestamp);
        let (oldest, youngest) =
            (i128::from(config.timestamp_before_max_ms), i128::from(config.timestamp_after_max_ms));
        let out_of_range = age > oldest || -age > youngest;
        return (out_of_range && config.rules.hold(AppendRule::TimestampsAreInRange)).then(|| {
            let at = i128::from(wall);
            format!("timestamp {} is not from {} to {}", record.timestamp, at - oldest, at + youngest)
        });
    }
    let claims = header.log_append_time() && config.rules.hold(AppendRule::LogAppendTimeIsTheBrokers);
    claims.then(|| "a producer does not say that timestamps are those of the append".to_owned())
}

/// The batch with the timestamps' kind and the largest one as they are to be; `None` if they are so
/// (`DefaultRecordBatch.setMaxTimestamp`).
fn stamp(batch: &Bytes, header: &BatchHeader, found: i64, config: &AppendConfig, wall: i64) -> Option<Bytes> {
    let log_append_time = config.log_append_time && config.rules.hold(AppendRule::LogAppendTimeIsWritten);
    let attributes = match log_append_time {
        true => header.attributes | LOG_APPEND_TIME,
        false => header.attributes & !LOG_APPEND_TIME,
    };
    let max_timestamp = match log_append_time {
        true => wall,
        false if config.rules.hold(AppendRule::LargestTimestampIsTheRecords) => found,
        false => header.max_timestamp,
    };
    if (attributes, max_timestamp) == (header.attributes, header.max_timestamp) {
        return None;
    }
    let mut stamped = batch.to_vec();
    set_max_timestamp(&mut stamped, attributes, max_timestamp);
    Some(stamped.into())
}

/// The same records in a batch of the topic's compression, at consecutive offsets
/// (`LogValidator.buildRecordsAndAssignOffsets`). It may have become too large by that.
fn build_anew(
    batch: &Bytes,
    header: &BatchHeader,
    target: TargetCompression,
    config: &LogConfig,
    wall: i64,
) -> Result<Validated, LogError> {
    let mut builder = BatchBuilder::new();
    // A record may say any offset here; its place is what counts.
    for record in Records::open_at_any_offset(batch)? {
        let record = record?;
        let record =
            NewRecord { timestamp: record.timestamp, key: record.key, value: record.value, headers: record.headers };
        if !builder.try_push(&record, usize::MAX) {
            return Err(LogError::TooLarge { size: builder.size_estimate() as u64, limit: i32::MAX as u64 });
        }
    }
    let options = BuildOptions {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        transactional: header.is_transactional(),
        control: header.is_control(),
        compression: target.codec,
        gzip_level: target.gzip_level,
        log_append_time: config.appends.log_append_time.then_some(wall),
        ..BuildOptions::default()
    };
    let built = builder.build(options);
    let size = built.len();
    if size > config.max_batch_bytes && config.appends.rules.hold(AppendRule::LargestBatchWhenPackedAnew) {
        return Err(LogError::TooLarge { size: size as u64, limit: config.max_batch_bytes as u64 });
    }
    Ok(Validated { header: decode_header(&built)?, taken_bytes: header.size_in_bytes(), changed: Some(built) })
}
