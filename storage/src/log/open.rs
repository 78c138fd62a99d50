//! What does the disk hold after a start, and how much of it can be trusted? (`LogLoader`, `LogSegment.recover`.)

use std::collections::VecDeque;

use crate::{BatchHeader, DirId, Disk, DiskError, OpenMode, check_batch};

use super::epochs::{self, EpochCache};
use super::segment::{HeaderWalk, Segment};
use super::sync::SyncState;
use super::{Log, LogConfig, LogError, remember};

/// How the log was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// By an orderly shutdown, which synced everything: checksums are not looked at.
    Clean,
    /// By a crash: every batch from the recovery point on is checked, and the first bad one and all behind it are cut.
    Unclean {
        /// The offset below which everything was synced; 0 if unknown.
        recovery_point: i64,
    },
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The log end offset.
    pub log_end_offset: i64,
    /// Bytes that were cut because they were not whole, valid, contiguous batches.
    pub discarded_bytes: u64,
}

/// Name of the segment that begins at an offset.
pub(super) fn file_name(base_offset: i64) -> String {
    format!("{base_offset:020}.log")
}

fn base_offset_of(file_name: &str) -> Option<i64> {
    let digits = file_name.strip_suffix(".log")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

impl Log {
    /// Opens the log of a directory, creating both if needed. Whatever the files hold, the result is a log: what is not
    /// a whole batch that continues the one before is cut off, with everything behind it. The epoch cache comes from its
    /// checkpoint after a clean shutdown, less epochs that begin at or behind the log's end, and is rebuilt from the
    /// batches otherwise, or if the checkpoint is missing or torn.
    pub fn open(
        disk: &mut dyn Disk,
        dir_name: &str,
        config: LogConfig,
        opening: Opening,
    ) -> Result<(Log, Recovered), LogError> {
        Log::open_from(disk, dir_name, config, opening, 0)
    }

    /// As [`Log::open`], for a log whose beginning was cut ([`Log::delete_before`]): it is known to begin at
    /// `log_start_offset` or later. What lies in segments wholly below is removed before anything else is looked at, for
    /// a crash may have brought some of them back and not others. A log that ends before that offset is begun anew there.
    pub fn open_from(
        disk: &mut dyn Disk,
        dir_name: &str,
        config: LogConfig,
        opening: Opening,
        log_start_offset: i64,
    ) -> Result<(Log, Recovered), LogError> {
        Log::open_at(disk, dir_name, config, opening, log_start_offset, i64::MIN)
    }

    /// As [`Log::open_from`], at the wall time `wall` in milliseconds: a producer that was silent for too long is not
    /// loaded.
    pub fn open_at(
        disk: &mut dyn Disk,
        dir_name: &str,
        config: LogConfig,
        opening: Opening,
        log_start_offset: i64,
        wall: i64,
    ) -> Result<(Log, Recovered), LogError> {
        let (mut log, recovered) = Log::load(disk, dir_name, config, opening, log_start_offset)?;
        log.load_producers(disk, opening, wall)?;
        Ok((log, recovered))
    }

    /// The log, knowing nobody yet.
    fn load(
        disk: &mut dyn Disk,
        dir_name: &str,
        config: LogConfig,
        opening: Opening,
        log_start_offset: i64,
    ) -> Result<(Log, Recovered), LogError> {
        let dir = disk.open_dir(dir_name)?;
        let mut loader = Loader {
            dir,
            log_start_offset: log_start_offset.max(0),
            index_interval_bytes: config.index_interval_bytes,
            checked_from: match opening {
                Opening::Clean => i64::MAX,
                Opening::Unclean { recovery_point } => recovery_point,
            },
            segments: Vec::new(),
            epochs: EpochCache::default(),
            next_offset: 0,
            recent: VecDeque::new(),
            discarded_bytes: 0,
            sync: SyncState::default(),
        };
        loader.load_segments(disk)?;
        let log_end_offset = loader.next_offset;
        loader.sync.recovery_point = match opening {
            Opening::Clean => log_end_offset,
            Opening::Unclean { recovery_point } => recovery_point.clamp(0, log_end_offset),
        };
        let discarded_bytes = loader.discarded_bytes;
        let mut log = Log {
            dir,
            dir_name: dir_name.to_owned(),
            config,
            segments: loader.segments,
            epochs: loader.epochs,
            epoch_file: None,
            log_start_offset: loader.log_start_offset,
            log_end_offset,
            recent: loader.recent,
            producers: None,
            sync: loader.sync,
        };
        log.load_epochs(disk, opening)?;
        if let Opening::Unclean { .. } = opening {
            log.distrust_files_behind_recovery_point();
        }
        // Nothing below the start counts: if the rest was lost, the log goes on where it is known to begin.
        if log_end_offset < log.log_start_offset {
            log.truncate_fully_and_start_at(disk, log.log_start_offset)?;
        }
        let log_end_offset = log.log_end_offset;
        Ok((log, Recovered { log_end_offset, discarded_bytes }))
    }

    fn load_epochs(&mut self, disk: &mut dyn Disk, opening: Opening) -> Result<(), LogError> {
        let stored = epochs::load(disk, self.dir)?;
        if let (Opening::Clean, Some(cache)) = (opening, &stored) {
            self.epochs = cache.clone();
            self.epochs.truncate_from_end(self.log_end_offset);
        }
        if let (Opening::Unclean { recovery_point }, true) = (opening, self.config.epoch_cache_hole) {
            let behind = self.segments.partition_point(|segment| segment.base_offset <= recovery_point);
            let recovered_from = behind.checked_sub(1).map_or(0, |ix| self.segments[ix].base_offset);
            let of_batches = std::mem::take(&mut self.epochs);
            self.epochs = epochs::believed(stored.clone(), of_batches, recovered_from);
            self.epochs.truncate_from_end(self.log_end_offset);
        }
        self.epochs.truncate_from_start(self.log_start_offset);
        // After a crash even a right checkpoint may not be durable.
        let trusted = opening == Opening::Clean && stored.as_ref() == Some(&self.epochs);
        if !trusted && (stored.is_some() || !self.epochs.entries().is_empty()) {
            self.store_epochs(disk)?;
        }
        Ok(())
    }

    /// After a crash of the process what the files say may stand in the page cache only: appends behind the recovery
    /// point, and the cut of a segment that ends right at it. (If that cut were lost later, what comes back behind it
    /// would hide the segments appended since.)
    fn distrust_files_behind_recovery_point(&mut self) {
        let recovery_point = self.sync.recovery_point;
        let ends = self.segments.iter().skip(1).map(|next| next.base_offset).chain([self.log_end_offset]);
        let unsure: Vec<_> = ends.map(|end| end >= recovery_point).collect();
        for (segment, unsure) in self.segments.iter_mut().zip(unsure) {
            if unsure {
                segment.changed = self.sync.segment_changed();
            }
        }
        self.sync.dir_changed();
    }
}

/// A log while it is being loaded.
struct Loader {
    dir: DirId,
    /// What the log is known to begin at, at least; where it does begin, once loaded.
    log_start_offset: i64,
    index_interval_bytes: u64,
    /// Batches that end below are not checked.
    checked_from: i64,
    segments: Vec<Segment>,
    /// As the batches say.
    epochs: EpochCache,
    next_offset: i64,
    /// The last batches of the last segment.
    recent: VecDeque<(i64, u64)>,
    discarded_bytes: u64,
    sync: SyncState,
}

impl Loader {
    fn load_segments(&mut self, disk: &mut dyn Disk) -> Result<(), LogError> {
        let mut bases: Vec<i64> = disk.list(self.dir)?.iter().filter_map(|name| base_offset_of(name)).collect();
        // The names are sorted. A segment ends where the next begins, or earlier.
        let below = bases.iter().skip(1).take_while(|next| **next <= self.log_start_offset).count();
        for base_offset in bases.drain(..below) {
            disk.remove(self.dir, &file_name(base_offset))?;
            self.sync.dir_changed();
        }
        self.next_offset = bases.first().copied().unwrap_or(self.log_start_offset);
        self.log_start_offset = self.log_start_offset.max(self.next_offset);
        let mut bases = bases.into_iter();
        let mut whole = true;
        while whole && let Some(base_offset) = bases.next() {
            if base_offset == self.next_offset {
                whole = self.load_segment(disk, base_offset)?;
            } else {
                // A gap: the segment before lost its end.
                self.discard_segment(disk, base_offset)?;
                whole = false;
            }
        }
        for base_offset in bases {
            self.discard_segment(disk, base_offset)?;
        }
        if self.segments.is_empty() {
            let file = disk.open(self.dir, &file_name(self.next_offset), OpenMode::Create)?;
            let mut segment = Segment::new(self.next_offset, file);
            segment.changed = self.sync.segment_changed();
            self.segments.push(segment);
            self.sync.dir_changed();
        }
        Ok(())
    }

    /// Loads the segment that continues the log. False if its end had to be cut.
    fn load_segment(&mut self, disk: &mut dyn Disk, base_offset: i64) -> Result<bool, LogError> {
        let file = disk.open(self.dir, &file_name(base_offset), OpenMode::Existing)?;
        let length = disk.len(file)?;
        let mut segment = Segment::new(base_offset, file);
        let mut walk = HeaderWalk::new(file, 0, length);
        self.recent.clear();
        loop {
            match walk.next(disk) {
                Ok(Some((position, header))) if self.is_next_batch(disk, &segment, position, &header)? => {
                    segment.add(&header, self.index_interval_bytes);
                    remember(&mut self.recent, header.base_offset, position);
                    // LogSegment.recover: only a higher epoch is news.
                    if self.latest_epoch() < header.partition_leader_epoch {
                        self.epochs.assign(header.partition_leader_epoch, header.base_offset);
                    }
                    self.next_offset = header.next_offset();
                }
                Ok(_) | Err(LogError::InvalidBatch(_)) => break,
                Err(error) => return Err(error),
            }
        }
        let cut = length - segment.size;
        if cut > 0 {
            disk.truncate(file, segment.size)?;
            segment.changed = self.sync.segment_changed();
            self.discarded_bytes += cut;
        }
        self.segments.push(segment);
        Ok(cut == 0)
    }

    /// Does this batch continue the log, and is it intact as far as that is to be checked?
    fn is_next_batch(
        &self,
        disk: &mut dyn Disk,
        segment: &Segment,
        position: u64,
        header: &BatchHeader,
    ) -> Result<bool, DiskError> {
        if header.base_offset != self.next_offset {
            return Ok(false);
        }
        if header.last_offset() < self.checked_from {
            return Ok(true);
        }
        // Left over from before a truncation that did not reach the device.
        if header.partition_leader_epoch < self.latest_epoch() {
            return Ok(false);
        }
        Ok(check_batch(&disk.read(segment.file, position, header.size_in_bytes())?).is_ok())
    }

    /// The highest leader epoch of the batches so far, or -1.
    fn latest_epoch(&self) -> i32 {
        self.epochs.latest().map_or(-1, |entry| entry.epoch)
    }

    fn discard_segment(&mut self, disk: &mut dyn Disk, base_offset: i64) -> Result<(), LogError> {
        let name = file_name(base_offset);
        let file = disk.open(self.dir, &name, OpenMode::Existing)?;
        self.discarded_bytes += disk.len(file)?;
        disk.remove(self.dir, &name)?;
        self.sync.dir_changed();
        Ok(())
    }
}
