//! How does a log give up its beginning? (`UnifiedLog.maybeIncrementLogStartOffset`, `deleteOldSegments`.)

use crate::Disk;

use super::{Log, LogError, open};

impl Log {
    /// The log begins at `log_start_offset` from now on, if that lies above its present start and not behind its end.
    /// Nothing is deleted: what lies below is not served any more, until a restart that does not know of this. Snapshots
    /// of producers below it go with their segments.
    pub fn maybe_increment_log_start_offset(
        &mut self,
        disk: &mut dyn Disk,
        log_start_offset: i64,
    ) -> Result<bool, LogError> {
        if log_start_offset <= self.log_start_offset || log_start_offset > self.log_end_offset {
            return Ok(false);
        }
        self.log_start_offset = log_start_offset;
        self.follow_start(disk)?;
        Ok(true)
    }

    /// The log begins at `log_start_offset` from now on, if that is above its present start; segments wholly below are
    /// deleted. The active one never is, nor is a segment in which the start lies: what it holds below is not served.
    /// Gives the number of segments deleted.
    ///
    /// The caller must know the new start after a crash, and durably so before calling: see [`Log::open_from`]. Whether
    /// the deletions themselves are durable then does not matter.
    pub fn delete_before(&mut self, disk: &mut dyn Disk, log_start_offset: i64) -> Result<u32, LogError> {
        if log_start_offset > self.log_end_offset {
            return Err(self.out_of_range(log_start_offset));
        }
        self.log_start_offset = self.log_start_offset.max(log_start_offset);
        let mut deleted = 0;
        while self.segments.get(1).is_some_and(|next| next.base_offset <= self.log_start_offset) {
            disk.remove(self.dir, &open::file_name(self.segments[0].base_offset))?;
            let segment = self.segments.remove(0);
            self.remove_producer_snapshot(disk, segment.base_offset)?;
            self.sync.dir_changed();
            deleted += 1;
        }
        self.follow_start(disk)?;
        Ok(deleted)
    }

    /// What is known of producers and epochs begins no earlier than the log.
    fn follow_start(&mut self, disk: &mut dyn Disk) -> Result<(), LogError> {
        if let Some(producers) = &mut self.producers {
            producers.on_log_start_offset_incremented(self.log_start_offset);
        }
        if self.epochs.truncate_from_start(self.log_start_offset) {
            self.store_fewer_epochs(disk)?;
        }
        Ok(())
    }
}
