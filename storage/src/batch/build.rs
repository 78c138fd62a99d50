//! How do records become a batch?

use bytes::Bytes;

use super::header::{CONTROL, LENGTH_ENDS_AT, LOG_APPEND_TIME, TRANSACTIONAL, write_header};
use super::{BatchHeader, HEADER_BYTES, varint};
use crate::compression::{Compression, DEFAULT_GZIP_LEVEL, compress};

/// A record to put into a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// What a batch says besides its records. The default is a producer's batch without idempotence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildOptions {
    /// Epoch of the leader, -1 from a producer.
    pub partition_leader_epoch: i32,
    /// Offset of the first record, 0 from a producer.
    pub base_offset: i64,
    /// Producer id, or -1.
    pub producer_id: i64,
    /// Producer epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Is it a control batch?
    pub control: bool,
    /// Is it part of a transaction?
    pub transactional: bool,
    /// How the records are packed. With a codec that this build does not have they stay as they are.
    pub compression: Compression,
    /// How hard gzip tries, 1 to 9.
    pub gzip_level: u32,
    /// The time of the append, in milliseconds, which is then the timestamp of every record; `None` from a producer.
    pub log_append_time: Option<i64>,
}

impl Default for BuildOptions {
    fn default() -> Self {
        BuildOptions {
            partition_leader_epoch: -1,
            base_offset: 0,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            control: false,
            transactional: false,
            compression: Compression::None,
            gzip_level: DEFAULT_GZIP_LEVEL,
            log_append_time: None,
        }
    }
}

/// A batch in the making: records are encoded as they come.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    /// Room for the header, then the records so far.
    bytes: Vec<u8>,
    records_count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        BatchBuilder::new()
    }
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new() -> Self {
        BatchBuilder { bytes: vec![0; HEADER_BYTES], records_count: 0, base_timestamp: -1, max_timestamp: -1 }
    }

    /// Bytes of the batch as it would be built now without compression: exact then.
    pub fn size_estimate(&self) -> usize {
        self.bytes.len()
    }

    /// Number of records.
    pub fn records_count(&self) -> i32 {
        self.records_count
    }

    /// Has it no records yet?
    pub fn is_empty(&self) -> bool {
        self.records_count == 0
    }

    /// Adds the record unless the batch would then exceed `limit` bytes; the first is always taken, since a record is
    /// never split (`MemoryRecordsBuilder.hasRoomFor`). False if it was not added. Never grows a batch to 2 GiB.
    pub fn try_push(&mut self, record: &NewRecord, limit: usize) -> bool {
        let base_timestamp = if self.is_empty() { record.timestamp } else { self.base_timestamp };
        // Wraps for absurd timestamps, and so does the reader: nothing is lost.
        let timestamp_delta = record.timestamp.wrapping_sub(base_timestamp);
        let body = body_size(record, timestamp_delta, self.records_count);
        let size_then = self.bytes.len() + varint::size(body as i64) + body;
        if size_then > (i32::MAX as usize - LENGTH_ENDS_AT) || (size_then > limit && !self.is_empty()) {
            return false;
        }
        self.max_timestamp = if self.is_empty() { record.timestamp } else { self.max_timestamp.max(record.timestamp) };
        self.base_timestamp = base_timestamp;
        self.bytes.reserve(size_then - self.bytes.len());
        put_record(&mut self.bytes, record, body, timestamp_delta, self.records_count);
        debug_assert_eq!(self.bytes.len(), size_then);
        self.records_count += 1;
        true
    }

    /// The batch. Without records it takes one offset, as a batch that compaction emptied.
    pub fn build(self, options: BuildOptions) -> Bytes {
        let mut bytes = self.bytes;
        let mut compression = Compression::None;
        if options.compression != Compression::None
            && let Ok(packed) = compress(options.compression, options.gzip_level, &bytes[HEADER_BYTES..])
        {
            bytes.truncate(HEADER_BYTES);
            bytes.extend_from_slice(&packed);
            compression = options.compression;
        }
        let flag = |on, bit| if on { bit } else { 0 };
        let header = BatchHeader {
            base_offset: options.base_offset,
            batch_length: 0, // computed by write_header, as is the checksum
            partition_leader_epoch: options.partition_leader_epoch,
            magic: 2,
            crc: 0,
            attributes: flag(options.control, CONTROL)
                | flag(options.transactional, TRANSACTIONAL)
                | flag(options.log_append_time.is_some(), LOG_APPEND_TIME)
                | compression.id(),
            last_offset_delta: (self.records_count - 1).max(0),
            base_timestamp: self.base_timestamp,
            max_timestamp: options.log_append_time.unwrap_or(self.max_timestamp),
            producer_id: options.producer_id,
            producer_epoch: options.producer_epoch,
            base_sequence: options.base_sequence,
            records_count: self.records_count,
        };
        write_header(&mut bytes, &header);
        bytes.into()
    }
}

/// One batch of all these records, which must stay below 2 GiB together (panics else: the caller made them).
pub fn build_batch(records: &[NewRecord], options: BuildOptions) -> Bytes {
    let mut builder = BatchBuilder::new();
    for record in records {
        assert!(builder.try_push(record, usize::MAX), "a record batch is limited to 2 GiB");
    }
    builder.build(options)
}

/// Bytes of a record behind its length field.
fn body_size(record: &NewRecord, timestamp_delta: i64, offset_delta: i32) -> usize {
    let mut size = 1 // attributes
        + varint::size(timestamp_delta)
        + varint::size(i64::from(offset_delta))
        + nullable_size(&record.key)
        + nullable_size(&record.value)
        + varint::size(record.headers.len() as i64);
    for (name, value) in &record.headers {
        size += varint::size(name.len() as i64) + name.len() + nullable_size(value);
    }
    size
}

fn nullable_size(bytes: &Option<Bytes>) -> usize {
    bytes.as_ref().map_or(1, |b| varint::size(b.len() as i64) + b.len())
}

fn put_record(out: &mut Vec<u8>, record: &NewRecord, body: usize, timestamp_delta: i64, offset_delta: i32) {
    varint::put(out, body as i64);
    out.push(0);
    varint::put(out, timestamp_delta);
    varint::put(out, i64::from(offset_delta));
    put_nullable(out, &record.key);
    put_nullable(out, &record.value);
    varint::put(out, record.headers.len() as i64);
    for (name, value) in &record.headers {
        varint::put(out, name.len() as i64);
        out.extend_from_slice(name.as_bytes());
        put_nullable(out, value);
    }
}

fn put_nullable(out: &mut Vec<u8>, bytes: &Option<Bytes>) {
    match bytes {
        None => varint::put(out, -1),
        Some(bytes) => {
            varint::put(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
