//! How does a log give up its end? (`UnifiedLog.truncateTo`, `truncateFullyAndStartAt`.)

use crate::{Disk, OpenMode};

use super::segment::Segment;
use super::{Log, LogError, open};

impl Log {
    /// As [`Log::truncate_to_at`], for a log that does not know its producers, or keeps them however old they are.
    pub fn truncate_to(&mut self, disk: &mut dyn Disk, offset: i64) -> Result<(), LogError> {
        self.truncate_to_at(disk, offset, i64::MIN)
    }

    /// Cuts the log so that it ends at `offset`, or at the start of the batch that holds `offset`. Below its start it is
    /// emptied and begins anew at `offset`. The epoch cache is cut too, even if the log ends at or before `offset`: an
    /// epoch that has no record there may contradict the leader's.
    ///
    /// What is known of its producers is cut back to the new end; of what a snapshot tells of, whoever was silent for too
    /// long at the wall time `wall`, in milliseconds, is left out.
    pub fn truncate_to_at(&mut self, disk: &mut dyn Disk, offset: i64, wall: i64) -> Result<(), LogError> {
        if offset < self.log_start_offset() {
            return self.truncate_fully_and_start_at(disk, offset);
        }
        // As `UnifiedLog.truncateTo`: an epoch cannot begin behind the log's end.
        let mut epochs_end = offset.min(self.log_end_offset);
        if offset < self.log_end_offset {
            let (segment, position, base_offset) = self.position_of(disk, offset)?;
            while self.segments.len() > segment + 1 {
                let last = self.segments[self.segments.len() - 1].base_offset;
                disk.remove(self.dir, &open::file_name(last))?;
                // Whatever fails from here on, the log ends where its files do.
                self.segments.pop();
                self.log_end_offset = last;
                self.sync.truncated(last);
                self.sync.dir_changed();
                self.recent.clear();
                self.remove_producer_snapshot(disk, last)?;
            }
            disk.truncate(self.segments[segment].file, position)?;
            self.segments[segment].cut(position);
            self.segments[segment].changed = self.sync.segment_changed();
            self.recent.retain(|(_, at)| *at < position);
            self.log_end_offset = base_offset;
            // The start may lie inside the batch that went.
            self.log_start_offset = self.log_start_offset.min(base_offset);
            self.sync.truncated(base_offset);
            epochs_end = base_offset;
            self.rebuild_producers_after_truncation(disk, wall)?;
        }
        if self.epochs.truncate_from_end(epochs_end) {
            self.store_fewer_epochs(disk)?;
        }
        Ok(())
    }

    /// Throws everything away; the next record gets `offset` (a follower far behind its leader's start).
    pub fn truncate_fully_and_start_at(&mut self, disk: &mut dyn Disk, offset: i64) -> Result<(), LogError> {
        let offset = offset.max(0);
        self.sync.truncated(self.sync.recovery_point.min(offset));
        for segment in self.segments.iter().rev() {
            disk.remove(self.dir, &open::file_name(segment.base_offset))?;
        }
        let file = disk.open(self.dir, &open::file_name(offset), OpenMode::CreateEmpty)?;
        self.segments = vec![Segment::new(offset, file)];
        self.segments[0].changed = self.sync.segment_changed();
        self.sync.dir_changed();
        self.recent.clear();
        self.log_start_offset = offset;
        self.log_end_offset = offset;
        if let Some(producers) = &mut self.producers {
            producers.truncate_fully_and_start_at(disk, self.dir, offset)?;
        }
        if self.epochs.truncate_from_end(i64::MIN) {
            self.store_fewer_epochs(disk)?;
        }
        Ok(())
    }
}
