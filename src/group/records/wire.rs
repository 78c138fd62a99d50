//! What Kafka's format before the flexible versions has, and a few pieces of the flexible one.

use bytes::Bytes;

use super::Partitions;
use crate::metadata::RecordError;
use crate::metadata::codec::wire::{Reader, Writer};

/// Reads a length of two or four bytes; -1 is null.
fn length(value: i32) -> Result<Option<usize>, RecordError> {
    match value {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| RecordError::Malformed("length")),
    }
}

fn text(bytes: &[u8]) -> Result<String, RecordError> {
    std::str::from_utf8(bytes).map(str::to_string).map_err(|_| RecordError::Malformed("string: not UTF-8"))
}

/// A string behind a length of two bytes, or null.
pub fn nullable_short_string(reader: &mut Reader<'_>) -> Result<Option<String>, RecordError> {
    let Some(length) = length(i32::from(reader.i16()?))? else { return Ok(None) };
    reader.take(length).and_then(text).map(Some)
}
/// A string behind a length of two bytes.
pub fn short_string(reader: &mut Reader<'_>) -> Result<String, RecordError> {
    nullable_short_string(reader)?.ok_or(RecordError::Malformed("string: null"))
}
/// Bytes behind a length of four bytes.
pub fn long_bytes(reader: &mut Reader<'_>) -> Result<Bytes, RecordError> {
    let length = length(reader.i32()?)?.ok_or(RecordError::Malformed("bytes: null"))?;
    reader.take(length).map(Bytes::copy_from_slice)
}
/// Elements behind a count of four bytes. They are not allocated before they are read.
pub fn long_array<T>(
    reader: &mut Reader<'_>,
    mut element: impl FnMut(&mut Reader<'_>) -> Result<T, RecordError>,
) -> Result<Vec<T>, RecordError> {
    let count = length(reader.i32()?)?.ok_or(RecordError::Malformed("array: null"))?;
    let mut elements = Vec::new();
    for _ in 0..count {
        elements.push(element(reader)?);
    }
    Ok(elements)
}

/// Bytes behind their length plus one, as the flexible versions have them.
pub fn compact_bytes(reader: &mut Reader<'_>) -> Result<Bytes, RecordError> {
    match reader.unsigned_varint()? {
        0 => Err(RecordError::Malformed("bytes: null")),
        length => {
            let length = usize::try_from(length - 1).map_err(|_| RecordError::Malformed("length"))?;
            reader.take(length).map(Bytes::copy_from_slice)
        }
    }
}
/// Topic ids, each with its partitions and no tagged fields.
pub fn partitions(reader: &mut Reader<'_>) -> Result<Partitions, RecordError> {
    let topics = reader.array_of(18, |r| {
        let topic = (r.uuid()?, r.ids()?.into_iter().collect());
        r.skip_tagged_fields()?;
        Ok(topic)
    })?;
    Ok(topics.into_iter().collect())
}

/// What is longer than its length can say is cut, at a character: a client that names a group of 32 kB gets it back so.
pub fn write_short_string(writer: &mut Writer, value: &str) {
    let end = (0..=value.len().min(i16::MAX as usize)).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
    writer.i16(i16::try_from(end).unwrap_or(i16::MAX));
    writer.bytes.extend_from_slice(&value.as_bytes()[..end]);
}
/// A string behind a length of two bytes, or -1.
pub fn write_nullable_short_string(writer: &mut Writer, value: Option<&str>) {
    match value {
        Some(value) => write_short_string(writer, value),
        None => writer.i16(-1),
    }
}
/// Bytes behind a length of four bytes.
pub fn write_long_bytes(writer: &mut Writer, value: &[u8]) {
    writer.i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
    writer.bytes.extend_from_slice(value);
}
/// Bytes behind their length plus one.
pub fn write_compact_bytes(writer: &mut Writer, value: &[u8]) {
    writer.unsigned_varint(u32::try_from(value.len()).unwrap_or(u32::MAX - 1) + 1);
    writer.bytes.extend_from_slice(value);
}
/// Topic ids, each with its partitions and no tagged fields.
pub fn write_partitions(writer: &mut Writer, partitions: &Partitions) {
    let topics: Vec<_> = partitions.iter().collect();
    writer.array_of(&topics, |w, (topic_id, partitions)| {
        w.uuid(**topic_id);
        w.ids(&partitions.iter().copied().collect::<Vec<_>>());
        w.no_tagged_fields();
    });
}
