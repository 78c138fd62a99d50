//! What does the header of a batch say, and can it be believed?

use bytes::Buf;

use crate::compression::{Compression, CompressionError};

/// Bytes of a batch before its first record.
pub const HEADER_BYTES: usize = 61;
/// Bytes up to and including the length field, which the length does not count.
pub(super) const LENGTH_ENDS_AT: usize = 12;
/// The CRC covers everything from here on.
pub(super) const ATTRIBUTES_AT: usize = 21;
const CRC_AT: usize = 17;
const MAGIC: i8 = 2;

pub(super) const TRANSACTIONAL: i16 = 0x10;
pub(super) const CONTROL: i16 = 0x20;
pub(super) const COMPRESSION: i16 = 0x07;
pub(crate) const LOG_APPEND_TIME: i16 = 0x08;

/// Why bytes are not a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("batch ends early: {needed} bytes needed, {got} there")]
    TooShort {
        /// Bytes the header or the whole batch takes.
        needed: usize,
        /// Bytes there are.
        got: usize,
    },
    /// Another format version than 2.
    #[error("record batch format {0}, only 2 is supported")]
    BadMagic(i8),
    /// A length that cannot hold the header.
    #[error("impossible batch length {0}")]
    BadLength(i32),
    /// The checksum does not fit the bytes.
    #[error("corrupt batch: checksum {stored:#010x} stored, {computed:#010x} computed")]
    BadCrc {
        /// As the header says.
        stored: u32,
        /// As the bytes say.
        computed: u32,
    },
    /// A field or record that contradicts the format.
    #[error("malformed batch: {0}")]
    Malformed(&'static str),
    /// The number of a codec that Kafka does not have.
    #[error("unknown compression {0}")]
    UnknownCompression(i16),
    /// The records are compressed and cannot be unpacked.
    #[error("the batch cannot be unpacked: {0}")]
    Compressed(#[from] CompressionError),
}

/// The header of a batch, decoded. Offsets are absolute, timestamps milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes behind the length field.
    pub batch_length: i32,
    /// Epoch of the leader that appended it, -1 before that.
    pub partition_leader_epoch: i32,
    /// Format version, always 2 here.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Compression, timestamp type, transactional, control.
    pub attributes: i16,
    /// Offset of the last record less the base offset.
    pub last_offset_delta: i32,
    /// What the records' timestamps count from.
    pub base_timestamp: i64,
    /// Largest timestamp.
    pub max_timestamp: i64,
    /// Producer id, -1 without idempotence.
    pub producer_id: i64,
    /// Producer epoch, -1 without idempotence.
    pub producer_epoch: i16,
    /// Sequence number of the first record, -1 without idempotence.
    pub base_sequence: i32,
    /// Number of records.
    pub records_count: i32,
}

impl BatchHeader {
    /// Bytes of the whole batch.
    pub fn size_in_bytes(&self) -> usize {
        LENGTH_ENDS_AT + self.batch_length.max(0) as usize
    }
    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }
    /// The offset behind the last record.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }
    /// Does it hold a control record (transaction marker) in place of data?
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }
    /// Is it part of a transaction?
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }
    /// How its records are compressed; `None` for a codec Kafka does not know.
    pub fn compression(&self) -> Option<Compression> {
        Compression::of_id(self.compression_id())
    }
    /// The number of its codec.
    pub fn compression_id(&self) -> i16 {
        self.attributes & COMPRESSION
    }
    /// Is `max_timestamp` the time of the append and thereby the timestamp of every record?
    pub fn log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }
}

/// Decodes the header at the start of `bytes` and checks that its fields are possible: format, lengths, offsets.
/// Neither asks that the rest of the batch be there nor looks at the checksum; see [`check_batch`].
pub fn parse_header(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = decode_header(bytes)?;
    check_offsets(&header)?;
    Ok(header)
}

/// Decodes the header and checks what is needed to find the end of the batch: format and length.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let Some(mut header) = bytes.get(..HEADER_BYTES) else {
        return Err(BatchError::TooShort { needed: HEADER_BYTES, got: bytes.len() });
    };
    // The 61 bytes are there: none of these reads can run out.
    let header = BatchHeader {
        base_offset: header.get_i64(),
        batch_length: header.get_i32(),
        partition_leader_epoch: header.get_i32(),
        magic: header.get_i8(),
        crc: header.get_u32(),
        attributes: header.get_i16(),
        last_offset_delta: header.get_i32(),
        base_timestamp: header.get_i64(),
        max_timestamp: header.get_i64(),
        producer_id: header.get_i64(),
        producer_epoch: header.get_i16(),
        base_sequence: header.get_i32(),
        records_count: header.get_i32(),
    };
    if header.batch_length < (HEADER_BYTES - LENGTH_ENDS_AT) as i32 || header.batch_length > i32::MAX - 12 {
        return Err(BatchError::BadLength(header.batch_length));
    }
    if header.magic != MAGIC {
        return Err(BatchError::BadMagic(header.magic));
    }
    Ok(header)
}

fn check_offsets(header: &BatchHeader) -> Result<(), BatchError> {
    if header.base_offset < 0 || header.last_offset_delta < 0 || header.records_count < 0 {
        return Err(BatchError::Malformed("negative offset or count"));
    }
    // So that the offset behind the batch exists too.
    if header.base_offset >= i64::MAX - i64::from(header.last_offset_delta) {
        return Err(BatchError::Malformed("offsets beyond the largest possible"));
    }
    Ok(())
}

/// Decodes the header and checks that the whole batch is there and fits its checksum, and then that its fields are
/// possible: what was altered on its way is corrupt, whatever it says now. Bytes behind it are ignored.
pub fn check_batch(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = decode_header(bytes)?;
    let needed = header.size_in_bytes();
    let Some(batch) = bytes.get(..needed) else {
        return Err(BatchError::TooShort { needed, got: bytes.len() });
    };
    let computed = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    if computed != header.crc {
        return Err(BatchError::BadCrc { stored: header.crc, computed });
    }
    check_offsets(&header)?;
    Ok(header)
}

/// Writes base offset and leader epoch into a batch, as a leader does on append. Neither is covered by the checksum.
/// Bytes too short to be a batch are left alone.
pub fn set_base_offset_and_epoch(batch: &mut [u8], base_offset: i64, partition_leader_epoch: i32) {
    if batch.len() >= HEADER_BYTES {
        batch[..8].copy_from_slice(&base_offset.to_be_bytes());
        batch[12..16].copy_from_slice(&partition_leader_epoch.to_be_bytes());
    }
}

/// Writes producer id, producer epoch and base sequence into a batch and the checksum anew, as a producer does that gives
/// a batch another place in its sequence. Bytes too short to be a batch are left alone.
pub fn set_producer_state(batch: &mut [u8], producer_id: i64, producer_epoch: i16, base_sequence: i32) {
    if batch.len() >= HEADER_BYTES {
        batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
        batch[51..53].copy_from_slice(&producer_epoch.to_be_bytes());
        batch[53..57].copy_from_slice(&base_sequence.to_be_bytes());
        let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
        batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    }
}

/// Writes the largest timestamp and what timestamps mean into a batch, and the checksum anew: what a leader does that
/// found another largest timestamp than its producer told, or whose topic takes the time of the append
/// (`DefaultRecordBatch.setMaxTimestamp`). Bytes too short to be a batch are left alone.
pub(crate) fn set_max_timestamp(batch: &mut [u8], attributes: i16, max_timestamp: i64) {
    if batch.len() >= HEADER_BYTES {
        batch[21..23].copy_from_slice(&attributes.to_be_bytes());
        batch[35..43].copy_from_slice(&max_timestamp.to_be_bytes());
        let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
        batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    }
}

/// Writes the whole header over the first [`HEADER_BYTES`] of `batch`, with length and checksum computed from the rest.
/// The caller has reserved the room and kept the batch below 2 GiB.
pub(super) fn write_header(batch: &mut [u8], header: &BatchHeader) {
    let length = (batch.len() - LENGTH_ENDS_AT) as i32;
    batch[..8].copy_from_slice(&header.base_offset.to_be_bytes());
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[12..16].copy_from_slice(&header.partition_leader_epoch.to_be_bytes());
    batch[16] = MAGIC as u8;
    batch[21..23].copy_from_slice(&header.attributes.to_be_bytes());
    batch[23..27].copy_from_slice(&header.last_offset_delta.to_be_bytes());
    batch[27..35].copy_from_slice(&header.base_timestamp.to_be_bytes());
    batch[35..43].copy_from_slice(&header.max_timestamp.to_be_bytes());
    batch[43..51].copy_from_slice(&header.producer_id.to_be_bytes());
    batch[51..53].copy_from_slice(&header.producer_epoch.to_be_bytes());
    batch[53..57].copy_from_slice(&header.base_sequence.to_be_bytes());
    batch[57..61].copy_from_slice(&header.records_count.to_be_bytes());
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
}
