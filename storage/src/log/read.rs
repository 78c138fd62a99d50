//! Which bytes answer a read? (`UnifiedLog.read`, `LogSegment.read`.)

use bytes::Bytes;

use crate::{BatchError, BatchHeader, Compression, Disk, HEADER_BYTES, Records, parse_header};

use super::{Log, LogError};

/// A record found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
    /// Leader epoch of its batch.
    pub leader_epoch: i32,
}

/// Where a batch stands.
#[derive(Clone, Copy)]
struct Place {
    segment: usize,
    position: u64,
}

impl Log {
    /// Whole batches from the one that holds `from` on: at most `max_bytes` (but the first however large, if
    /// `at_least_one`), none that begins at or behind `end_exclusive`, none of the next segment (as in Kafka, a reader
    /// comes back for that). Empty at the log's end and beyond `end_exclusive`. No copy where the disk makes none.
    pub fn read(
        &self,
        disk: &mut dyn Disk,
        from: i64,
        end_exclusive: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Bytes, LogError> {
        if from < self.log_start_offset() || from > self.log_end_offset {
            return Err(self.out_of_range(from));
        }
        if from == self.log_end_offset || from >= end_exclusive {
            return Ok(Bytes::new());
        }
        let place = self.find(disk, from)?;
        let segment = &self.segments[place.segment];
        let (limit, limit_is_exact) = self.end_position(place.segment, end_exclusive);
        let available = limit.saturating_sub(place.position);
        let wanted = available.min(max_bytes as u64) as usize;
        let bytes = disk.read(segment.file, place.position, wanted)?;
        if limit_is_exact && wanted as u64 == available {
            return Ok(bytes);
        }
        match whole_batches(&bytes, end_exclusive)? {
            0 if at_least_one => {
                let header = parse_header(&disk.read(segment.file, place.position, HEADER_BYTES)?)?;
                Ok(disk.read(segment.file, place.position, header.size_in_bytes())?)
            }
            whole => Ok(bytes.slice(..whole)),
        }
    }

    /// The first record whose timestamp is not below `timestamp`, with the batch's base offset and largest timestamp in
    /// its place if this build cannot unpack it. `None` if all are older.
    pub fn offset_for_timestamp(
        &self,
        disk: &mut dyn Disk,
        timestamp: i64,
    ) -> Result<Option<TimestampedOffset>, LogError> {
        for segment in self.segments.iter().filter(|segment| segment.max_timestamp >= timestamp) {
            let mut walk = segment.walk(0);
            while let Some((position, header)) = walk.next(disk)? {
                if header.max_timestamp < timestamp {
                    continue;
                }
                let leader_epoch = header.partition_leader_epoch;
                let found = if header.compression().is_some_and(Compression::is_built) {
                    let batch = disk.read(segment.file, position, header.size_in_bytes())?;
                    first_from(&batch, timestamp)?
                } else {
                    Some((header.base_offset, header.max_timestamp))
                };
                if let Some((offset, timestamp)) = found {
                    return Ok(Some(TimestampedOffset { offset, timestamp, leader_epoch }));
                }
            }
        }
        Ok(None)
    }

    /// The first of the records with the largest timestamp of all; `None` if no record has one.
    pub fn offset_of_max_timestamp(&self, disk: &mut dyn Disk) -> Result<Option<TimestampedOffset>, LogError> {
        // By the batches: a segment remembers the timestamps of records that were cut off, too.
        let mut largest = -1;
        for segment in &self.segments {
            let mut walk = segment.walk(0);
            while let Some((_, header)) = walk.next(disk)? {
                largest = header.max_timestamp.max(largest);
            }
        }
        if largest < 0 { Ok(None) } else { self.offset_for_timestamp(disk, largest) }
    }

    /// Headers of the batches from the one that holds `from` to the last that begins before `end_exclusive`.
    pub fn batch_headers(
        &self,
        disk: &mut dyn Disk,
        from: i64,
        end_exclusive: i64,
    ) -> Result<Vec<BatchHeader>, LogError> {
        if from < self.log_start_offset() || from > self.log_end_offset {
            return Err(self.out_of_range(from));
        }
        let mut headers = Vec::new();
        if from == self.log_end_offset {
            return Ok(headers);
        }
        let place = self.find(disk, from)?;
        let mut position = place.position;
        for segment in &self.segments[place.segment..] {
            let mut walk = segment.walk(position);
            while let Some((_, header)) = walk.next(disk)? {
                if header.base_offset >= end_exclusive {
                    return Ok(headers);
                }
                headers.push(header);
            }
            position = 0;
        }
        Ok(headers)
    }

    /// Does one offset lie in an older segment than another, so that no read reaches from the one to the other
    /// (`LogOffsetMetadata.onOlderSegment`)?
    pub fn is_on_older_segment(&self, offset: i64, than: i64) -> bool {
        let segment = |offset| self.segments.partition_point(|segment| segment.base_offset <= offset);
        segment(offset) < segment(than)
    }

    /// The batch that holds `offset`, which must lie in the log.
    fn find(&self, disk: &mut dyn Disk, offset: i64) -> Result<Place, LogError> {
        let segment = self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1);
        if segment + 1 == self.segments.len() {
            let behind = self.recent.partition_point(|(base_offset, _)| *base_offset <= offset);
            if let Some(found) = behind.checked_sub(1) {
                return Ok(Place { segment, position: self.recent[found].1 });
            }
        }
        let mut walk = self.segments[segment].walk(self.segments[segment].lookup(offset));
        while let Some((position, header)) = walk.next(disk)? {
            if header.last_offset() >= offset {
                return Ok(Place { segment, position });
            }
        }
        // The index says it is here and the file does not have it: the file was changed behind our back.
        Err(BatchError::Malformed("the segment does not hold the offset its index promises").into())
    }

    /// Position of the batch in which `offset` lies and its base offset, for truncating.
    pub(super) fn position_of(&self, disk: &mut dyn Disk, offset: i64) -> Result<(usize, u64, i64), LogError> {
        let place = self.find(disk, offset)?;
        let header = self.segments[place.segment].walk(place.position).next(disk)?;
        let (position, header) = header.ok_or(BatchError::Malformed("no batch where one was found"))?;
        Ok((place.segment, position, header.base_offset))
    }

    /// A position in a segment behind all batches that begin before `end_exclusive`, and whether it is the first such.
    fn end_position(&self, segment: usize, end_exclusive: i64) -> (u64, bool) {
        let segment_end = self.segments.get(segment + 1).map_or(self.log_end_offset, |next| next.base_offset);
        if end_exclusive >= segment_end {
            return (self.segments[segment].size, true);
        }
        if segment + 1 == self.segments.len() {
            let at = self.recent.partition_point(|(base_offset, _)| *base_offset < end_exclusive);
            // At 0 an older batch, whose position is not remembered, may begin behind the end too.
            if at > 0 {
                return self.recent.get(at).map_or((self.segments[segment].size, true), |(_, p)| (*p, true));
            }
        }
        (self.segments[segment].upper_bound(end_exclusive), false)
    }
}

/// Offset and timestamp of a batch's first record that is not older.
fn first_from(batch: &Bytes, timestamp: i64) -> Result<Option<(i64, i64)>, LogError> {
    for record in Records::open(batch)? {
        let record = record?;
        if record.timestamp >= timestamp {
            return Ok(Some((record.offset, record.timestamp)));
        }
    }
    Ok(None)
}

/// Bytes of the whole batches at the start of `bytes` that begin before `end_exclusive`.
fn whole_batches(bytes: &Bytes, end_exclusive: i64) -> Result<usize, LogError> {
    let mut at = 0;
    while at < bytes.len() {
        match parse_header(&bytes[at..]) {
            Ok(header) if header.base_offset >= end_exclusive => break,
            Ok(header) if header.size_in_bytes() > bytes.len() - at => break,
            Ok(header) => at += header.size_in_bytes(),
            Err(BatchError::TooShort { .. }) => break,
            // Served up to there; the next read begins with the error.
            Err(_) if at > 0 => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(at)
}
