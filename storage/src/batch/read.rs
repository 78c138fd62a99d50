//! Which batches, and which records, do these bytes hold?

use bytes::Bytes;

use super::varint::Cursor;
use super::{BatchError, BatchHeader, Compression, HEADER_BYTES, parse_header};

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

/// Decodes the records of one batch; keys and values share its memory. The checksum is the caller's affair
/// ([`super::check_batch`]). Bytes behind the batch are ignored.
pub fn records(batch: &Bytes) -> Result<Vec<Record>, BatchError> {
    let header = parse_header(batch)?;
    let size = header.size_in_bytes();
    if size > batch.len() {
        return Err(BatchError::TooShort { needed: size, got: batch.len() });
    }
    match header.compression() {
        Some(Compression::None) => {}
        Some(_) => return Err(BatchError::Compressed),
        None => return Err(BatchError::Malformed("unknown compression")),
    }
    let mut cursor = Cursor::new(batch.slice(HEADER_BYTES..size));
    // The count is not believed before the records are there: a record takes seven bytes at least.
    let mut records = Vec::with_capacity((header.records_count as usize).min(cursor.remaining() / 7));
    for _ in 0..header.records_count {
        let length = cursor.varint()?;
        records.push(record(&header, Cursor::new(cursor.take(length)?))?);
    }
    if cursor.remaining() > 0 {
        return Err(BatchError::Malformed("bytes behind the last record"));
    }
    Ok(records)
}

/// One record: attributes (unused), timestamp delta, offset delta, key, value, headers.
fn record(header: &BatchHeader, mut cursor: Cursor) -> Result<Record, BatchError> {
    cursor.byte()?;
    let timestamp_delta = cursor.varlong()?;
    let offset_delta = cursor.varint()?;
    if !(0..=header.last_offset_delta).contains(&offset_delta) {
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
    Ok(Record {
        offset: header.base_offset + i64::from(offset_delta),
        timestamp: if header.log_append_time() {
            header.max_timestamp
        } else {
            header.base_timestamp.wrapping_add(timestamp_delta)
        },
        key,
        value,
        headers,
    })
}
