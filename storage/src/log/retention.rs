//! Which segments are too old or too many, and go? (`UnifiedLog.deleteOldSegments`.)

use crate::Disk;

use super::{Log, LogError};

/// How long and how much a log is kept; negative: without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// A segment whose newest record is older than this goes, in milliseconds (`retention.ms`).
    pub ms: i64,
    /// The oldest segments go while the log without them still has this size in bytes (`retention.bytes`).
    pub bytes: i64,
}

/// Which limit made segments go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// `retention.ms`
    Age,
    /// `retention.bytes`
    Size,
}

impl Log {
    /// Deletes the segments that breach a limit, oldest first, and those that lie wholly below the log's start. Nothing
    /// at or above `high_watermark` goes, so that the start never exceeds it. Where all segments go a new one is begun
    /// first, for there is always one. Gives the moves of the log's start: limit, from, to.
    pub fn delete_old_segments(
        &mut self,
        disk: &mut dyn Disk,
        retention: Retention,
        high_watermark: i64,
        wall: i64,
    ) -> Result<Vec<(Breach, i64, i64)>, LogError> {
        let mut moves = Vec::new();
        for breach in [Breach::Size, Breach::Age] {
            let breached = match breach {
                Breach::Size => self.segments_beyond_size(retention.bytes),
                Breach::Age => self.segments_beyond_age(retention.ms, wall),
            };
            let deletable = breached.min(self.segments_below(high_watermark));
            if deletable == 0 {
                continue;
            }
            if deletable == self.segments.len() {
                self.roll(disk)?;
            }
            let (from, to) = (self.log_start_offset, self.segments[deletable].base_offset);
            self.delete_before(disk, to)?;
            if to > from {
                moves.push((breach, from, to));
            }
        }
        self.delete_before(disk, self.log_start_offset)?;
        Ok(moves)
    }

    /// How many of the oldest segments end at or below the high watermark. An empty last one does not count.
    fn segments_below(&self, high_watermark: i64) -> usize {
        let ends = self.segments.iter().skip(1).map(|next| next.base_offset).chain([self.log_end_offset]);
        let is_kept = |(segment, end): &(&super::Segment, i64)| *end > high_watermark || segment.size == 0;
        self.segments.iter().zip(ends).take_while(|pair| !is_kept(pair)).count()
    }

    /// `UnifiedLog.deleteRetentionSizeBreachedSegments`.
    fn segments_beyond_size(&self, retention_bytes: i64) -> usize {
        let Ok(kept) = u64::try_from(retention_bytes) else { return 0 };
        let Some(mut excess) = self.size_in_bytes().checked_sub(kept) else { return 0 };
        let goes = |segment: &&super::Segment| match excess.checked_sub(segment.size) {
            Some(left) => {
                excess = left;
                true
            }
            None => false,
        };
        self.segments.iter().take_while(goes).count()
    }

    /// `UnifiedLog.deleteRetentionMsBreachedSegments`.
    fn segments_beyond_age(&self, retention_ms: i64, wall: i64) -> usize {
        if retention_ms < 0 {
            return 0;
        }
        let is_old = |segment: &&super::Segment| wall.saturating_sub(segment.max_timestamp) > retention_ms;
        self.segments.iter().take_while(is_old).count()
    }
}
