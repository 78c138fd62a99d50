//! Which batches, and which records, do these bytes hold?

use bytes::Bytes;

use super::varint::Cursor;
use super::{BatchError, BatchHeader, HEADER_BYTES, parse_header};
use crate::compression::{Compression, MAX_UNCOMPRESSED_BYTES, decompress};

/// A batch among others: its header and its bytes, shared with where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its header.
    pub header: BatchHeader,
    /// The whole batch, header included.
    pub bytes: Bytes,
}

/// Walks over batches that stand one after the other. Checks headers and lengths, not checksums.
///
/// Ends after the first error. A short tail is the error [`BatchError::TooShort`]: whoever reads a fetch response, where
/// that is legal, stops there.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
}

impl Batches {
    /// Walks over `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        Batches { rest: bytes }
    }

    fn take(&mut self) -> Result<Batch, BatchError> {
        let header = parse_header(&self.rest)?;
        let needed = header.size_in_bytes();
        if needed > self.rest.len() {
            return Err(BatchError::TooShort { needed, got: self.rest.len() });
        }
        Ok(Batch { header, bytes: self.rest.split_to(needed) })
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = self.take();
        if batch.is_err() {
            self.rest = Bytes::new();
        }
        Some(batch)
    }
}

/// A record as it stands in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers, in order, duplicates kept. Bytes of a key that are not UTF-8 read as U+FFFD, as in the Java
    /// client; the log itself keeps them.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// Decodes the records of one batch; keys and values share its memory, or that of the unpacked records if they are
/// compressed. The checksum is the caller's affair ([`super::check_batch`]). Bytes behind the batch are ignored.
pub fn records(batch: &Bytes) -> Result<Vec<Record>, BatchError> {
    let records = Records::open(batch)?;
    // The count is not believed before the records are there: a record takes seven bytes at least.
    let mut all = Vec::with_capacity((records.header.records_count as usize).min(records.cursor.remaining() / 7));
    for record in records {
        all.push(record?);
    }
    Ok(all)
}

/// The records of one batch, one by one, as many as its header says and no bytes behind them. Ends after the first error.
pub struct Records {
    header: BatchHeader,
    cursor: Cursor,
    left: i32,
    /// A record may say an offset outside of its batch.
    any_offset: bool,
}

impl Records {
    /// Opens a batch: unpacks its records, if they are compressed.
    pub fn open(batch: &Bytes) -> Result<Records, BatchError> {
        let header = parse_header(batch)?;
        let cursor = Cursor::new(unpacked(batch, &header)?);
        Ok(Records { left: header.records_count, header, cursor, any_offset: false })
    }
    /// As [`Records::open`], for who looks at the records' places and not at their offsets.
    pub(crate) fn open_at_any_offset(batch: &Bytes) -> Result<Records, BatchError> {
        Ok(Records { any_offset: true, ..Records::open(batch)? })
    }

    /// What `read` makes of the next record's value; the record's headers are not looked at.
    pub fn next_value<T>(&mut self, read: impl FnOnce(Option<&[u8]>) -> T) -> Option<Result<T, BatchError>> {
        self.next_with(|_, cursor| {
            cursor.byte()?;
            cursor.varlong()?;
            cursor.varint()?;
            cursor.skip_nullable()?;
            cursor.nullable_slice().map(read)
        })
    }

    /// The next record, as `read` reads its bytes.
    pub(crate) fn next_with<T>(
        &mut self,
        read: impl FnOnce(&BatchHeader, &mut Cursor) -> Result<T, BatchError>,
    ) -> Option<Result<T, BatchError>> {
        if self.left == 0 {
            let more = std::mem::take(&mut self.cursor).remaining() > 0;
            return more.then_some(Err(BatchError::Malformed("bytes behind the last record")));
        }
        self.left -= 1;
        let record = self.cursor.within(|cursor| read(&self.header, cursor));
        if record.is_err() {
            (self.left, self.cursor) = (0, Cursor::default());
        }
        Some(record)
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let any_offset = self.any_offset;
        self.next_with(|header, cursor| record(header, cursor, any_offset))
    }
}

/// The bytes of all records of a batch, one behind the other.
fn unpacked(batch: &Bytes, header: &BatchHeader) -> Result<Bytes, BatchError> {
    let size = header.size_in_bytes();
    if size > batch.len() {
        return Err(BatchError::TooShort { needed: size, got: batch.len() });
    }
    let packed = batch.slice(HEADER_BYTES..size);
    match header.compression() {
        Some(Compression::None) => Ok(packed),
        Some(codec) => Ok(decompress(codec, &packed, MAX_UNCOMPRESSED_BYTES)?.into()),
        None => Err(BatchError::UnknownCompression(header.compression_id())),
    }
}

/// One record: attributes (unused), timestamp delta, offset delta, key, value, headers.
fn record(header: &BatchHeader, cursor: &mut Cursor, any_offset: bool) -> Result<Record, BatchError> {
    cursor.byte()?;
    let timestamp_delta = cursor.varlong()?;
    let offset_delta = cursor.varint()?;
    if !any_offset && !(0..=header.last_offset_delta).contains(&offset_delta) {
        return Err(BatchError::Malformed("offset of a record outside its batch"));
    }
    let key = cursor.nullable_bytes()?;
    let value = cursor.nullable_bytes()?;
    let count = usize::try_from(cursor.varint()?).map_err(|_| BatchError::Malformed("negative count of headers"))?;
    let mut headers = Vec::with_capacity(count.min(cursor.remaining() / 2));
    for _ in 0..count {
        let length = cursor.varint()?;
        let name = String::from_utf8_lossy(&cursor.take(length)?).into_owned();
        headers.push((name, cursor.nullable_bytes()?));
    }
    if cursor.remaining() > 0 {
        return Err(BatchError::Malformed("bytes behind the last header"));
    }
    let offset = header.base_offset.saturating_add(i64::from(offset_delta));
    Ok(Record { offset, timestamp: timestamp_of(header, timestamp_delta), key, value, headers })
}

fn timestamp_of(header: &BatchHeader, delta: i64) -> i64 {
    if header.log_append_time() { header.max_timestamp } else { header.base_timestamp.wrapping_add(delta) }
}

/// What a leader looks at in a record (`DefaultRecord.readPartiallyFrom`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skeleton {
    /// Its offset less the batch's, whatever it says.
    pub(crate) offset_delta: i32,
    /// Its timestamp in milliseconds.
    pub(crate) timestamp: i64,
}

/// One record, looked through without a copy of anything in it.
pub(crate) fn skeleton(header: &BatchHeader, cursor: &mut Cursor) -> Result<Skeleton, BatchError> {
    cursor.byte()?;
    let timestamp = timestamp_of(header, cursor.varlong()?);
    let offset_delta = cursor.varint()?;
    cursor.skip_nullable()?;
    cursor.skip_nullable()?;
    let count = cursor.varint()?;
    if count < 0 {
        return Err(BatchError::Malformed("negative count of headers"));
    }
    for _ in 0..count {
        let length = cursor.varint()?;
        cursor.skip(length)?;
        cursor.skip_nullable()?;
    }
    if cursor.remaining() > 0 {
        return Err(BatchError::Malformed("bytes behind the last header"));
    }
    Ok(Skeleton { offset_delta, timestamp })
}
