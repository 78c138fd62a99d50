//! Where does each leader epoch begin in this log? (`LeaderEpochFileCache`, KIP-101, KIP-279.)

use crate::checkpoint::{self, CheckpointError, RenameOrder};
use crate::{DirId, Disk, DiskError, FileId};

use super::{Log, LogError};

const FILE_NAME: &str = "leader-epoch-checkpoint";

/// A leader epoch and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The leader epoch.
    pub epoch: i32,
    /// Offset of its first record.
    pub start_offset: i64,
}

/// Where an epoch ends, as far as a log knows: the answer to OffsetsForLeaderEpoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The largest epoch of the log that is not above the one asked for.
    pub epoch: i32,
    /// The offset behind its last record.
    pub end_offset: i64,
}

/// The entries in memory. Epochs and start offsets both ascend strictly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EpochCache {
    entries: Vec<EpochEntry>,
}

impl EpochCache {
    pub(super) fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    pub(super) fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// A new entry removes those with an epoch or a start offset at or above its own (`LeaderEpochFileCache.assign`).
    /// Nothing happens if the latest entry is of this epoch already and does not begin later, or if the epoch is -1.
    /// True if something changed.
    pub(super) fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        if epoch < 0 || self.latest().is_some_and(|last| last.epoch == epoch && start_offset >= last.start_offset) {
            return false;
        }
        while self.latest().is_some_and(|last| last.epoch >= epoch || last.start_offset >= start_offset) {
            self.entries.pop();
        }
        self.entries.push(EpochEntry { epoch, start_offset });
        true
    }

    /// Forgets epochs that begin at or above `end_offset` (`LeaderEpochFileCache.truncateFromEnd`). True if any did.
    pub(super) fn truncate_from_end(&mut self, end_offset: i64) -> bool {
        let before = self.entries.len();
        while self.latest().is_some_and(|last| last.start_offset >= end_offset) {
            self.entries.pop();
        }
        self.entries.len() != before
    }

    /// Forgets epochs that end at or before `start_offset`; the one in force there begins there from now on
    /// (`LeaderEpochFileCache.truncateFromStartAsyncFlush`). True if something changed.
    pub(super) fn truncate_from_start(&mut self, start_offset: i64) -> bool {
        let behind = self.entries.partition_point(|entry| entry.start_offset <= start_offset);
        let Some(in_force) = behind.checked_sub(1) else { return false };
        let changed = in_force > 0 || self.entries[in_force].start_offset < start_offset;
        self.entries[in_force].start_offset = start_offset;
        self.entries.drain(..in_force);
        changed
    }

    /// The end of the largest epoch at or below `epoch` (`LeaderEpochFileCache.endOffsetFor`). `None` for an epoch this
    /// log never heard of, above all it knows.
    pub(super) fn end_offset_for(&self, epoch: i32, log_end_offset: i64) -> Option<EpochEndOffset> {
        let latest = self.latest()?;
        if epoch < 0 {
            return None;
        }
        if epoch == latest.epoch {
            return Some(EpochEndOffset { epoch, end_offset: log_end_offset });
        }
        let higher = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end_offset = self.entries.get(higher)?.start_offset;
        // Below the first epoch the one asked for is answered, ending where the log's epochs begin.
        let floor = higher.checked_sub(1).map_or(epoch, |i| self.entries[i].epoch);
        Some(EpochEndOffset { epoch: floor, end_offset })
    }

    /// The epoch an offset belongs to (`LeaderEpochFileCache.epochForOffset`).
    pub(super) fn epoch_of_offset(&self, offset: i64) -> Option<i32> {
        let behind = self.entries.partition_point(|entry| entry.start_offset <= offset);
        behind.checked_sub(1).map(|i| self.entries[i].epoch)
    }
}

/// The cache as its checkpoint says; `None` if there is no checkpoint or it is malformed.
pub(super) fn load(disk: &mut dyn Disk, dir: DirId) -> Result<Option<EpochCache>, DiskError> {
    let Some(text) = checkpoint::text_of(disk, dir, FILE_NAME)? else {
        return Ok(None);
    };
    let entries = checkpoint::entries(&text, |line| {
        let (epoch, start_offset) = line.split_once(' ')?;
        Some(EpochEntry { epoch: epoch.parse().ok()?, start_offset: start_offset.parse().ok()? })
    });
    match entries {
        Ok(entries) => {
            // Through `assign`, so that no file can make the cache break its order.
            let mut cache = EpochCache::default();
            entries.iter().for_each(|entry| {
                cache.assign(entry.epoch, entry.start_offset);
            });
            Ok(Some(cache))
        }
        Err(CheckpointError::Malformed { .. }) => Ok(None),
        Err(CheckpointError::Disk(error)) => Err(error),
    }
}

/// Replaces the checkpoint. The handle is for syncing it.
fn store(cache: &EpochCache, disk: &mut dyn Disk, dir: DirId, order: RenameOrder) -> Result<FileId, DiskError> {
    let lines = cache.entries.iter().map(|entry| format!("{} {}", entry.epoch, entry.start_offset));
    checkpoint::replace(disk, dir, FILE_NAME, lines, order)
}

/// What the zoo's `epoch-cache-hole` makes of the checkpoint after a crash (`LogLoader.load`, `LogSegment.recover`): it is
/// believed, and only what batches from `recovered_from` on say is added. An empty file holds no epochs
/// (`CheckpointFile.CheckpointReadBuffer.read`).
pub(super) fn believed(stored: Option<EpochCache>, mut of_batches: EpochCache, recovered_from: i64) -> EpochCache {
    let mut cache = stored.unwrap_or_default();
    of_batches.truncate_from_start(recovered_from);
    for entry in of_batches.entries() {
        if cache.latest().is_none_or(|latest| latest.epoch < entry.epoch) {
            cache.assign(entry.epoch, entry.start_offset);
        }
    }
    cache
}

impl Log {
    /// The latest leader epoch of the cache.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs.latest().map(|entry| entry.epoch)
    }

    /// The leader epoch an offset belongs to: the last one that begins at or before it.
    pub fn epoch_of_offset(&self, offset: i64) -> Option<i32> {
        self.epochs.epoch_of_offset(offset)
    }

    /// Where the largest epoch at or below `epoch` ends. `None` if `epoch` is negative, the cache empty, or `epoch` above
    /// all it holds.
    pub fn end_offset_for(&self, epoch: i32) -> Option<EpochEndOffset> {
        self.epochs.end_offset_for(epoch, self.log_end_offset)
    }

    /// All epochs, oldest first.
    pub fn epochs(&self) -> &[EpochEntry] {
        self.epochs.entries()
    }

    /// Notes that `epoch` begins at `start_offset`, as on becoming leader. Kafka syncs the checkpoint right there: see
    /// [`Log::unsynced_epoch_checkpoint`].
    pub fn assign_epoch(&mut self, disk: &mut dyn Disk, epoch: i32, start_offset: i64) -> Result<(), LogError> {
        if self.epochs.assign(epoch, start_offset) {
            self.store_epochs(disk)?;
        }
        Ok(())
    }

    pub(super) fn store_epochs(&mut self, disk: &mut dyn Disk) -> Result<(), LogError> {
        self.epoch_file = Some(store(&self.epochs, disk, self.dir, RenameOrder::AfterBytes)?);
        self.sync.epochs_changed();
        Ok(())
    }

    /// As [`Log::store_epochs`], where epochs went out of the cache. The zoo's `epoch-cache-hole` (KAFKA-16541,
    /// `LeaderEpochFileCache.truncateFromEnd` and `truncateFromStart` in 3.7.0) leaves it to the system when the file is durable.
    pub(super) fn store_fewer_epochs(&mut self, disk: &mut dyn Disk) -> Result<(), LogError> {
        if self.config.epoch_cache_hole {
            store(&self.epochs, disk, self.dir, RenameOrder::BeforeBytes).map(|file| disk.close(file))?;
            self.epoch_file = None;
            return Ok(());
        }
        self.store_epochs(disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(i32, i64)]) -> EpochCache {
        let mut cache = EpochCache::default();
        for (epoch, start_offset) in entries {
            assert!(cache.assign(*epoch, *start_offset));
        }
        cache
    }

    fn pairs(cache: &EpochCache) -> Vec<(i32, i64)> {
        cache.entries.iter().map(|e| (e.epoch, e.start_offset)).collect()
    }

    #[test]
    fn end_offset_for_every_kind_of_epoch() {
        let cache = cache(&[(2, 10), (4, 20), (5, 30)]);
        let answer = |epoch| cache.end_offset_for(epoch, 42).map(|e| (e.epoch, e.end_offset));
        assert_eq!(answer(-1), None, "undefined epoch");
        assert_eq!(answer(0), Some((0, 10)), "below the first: itself, ending where the first begins");
        assert_eq!(answer(1), Some((1, 10)));
        assert_eq!(answer(2), Some((2, 20)));
        assert_eq!(answer(3), Some((2, 20)), "unknown epoch between: the one below it");
        assert_eq!(answer(4), Some((4, 30)));
        assert_eq!(answer(5), Some((5, 42)), "the latest ends at the log's end");
        assert_eq!(answer(6), None, "never heard of");
        assert_eq!(EpochCache::default().end_offset_for(0, 42), None);
    }

    #[test]
    fn assign_removes_what_the_new_entry_contradicts() {
        // (before, assigned, after, changed)
        type Row<'a> = (&'a [(i32, i64)], (i32, i64), &'a [(i32, i64)], bool);
        let table: &[Row] = &[
            (&[], (0, 0), &[(0, 0)], true),
            (&[(0, 0)], (1, 5), &[(0, 0), (1, 5)], true),
            (&[(0, 0), (1, 5)], (1, 9), &[(0, 0), (1, 5)], false), // the epoch goes on
            (&[(0, 0), (1, 5)], (1, 3), &[(0, 0), (1, 3)], true),  // it begins earlier than known
            (&[(0, 0), (1, 5)], (2, 5), &[(0, 0), (2, 5)], true),  // epoch 1 left no record
            (&[(0, 0), (1, 5), (2, 9)], (3, 4), &[(0, 0), (3, 4)], true),
            (&[(0, 0), (3, 5)], (2, 9), &[(0, 0), (2, 9)], true), // an older leader's record
            (&[(1, 3)], (0, 0), &[(0, 0)], true),
            (&[(1, 3)], (-1, 9), &[(1, 3)], false), // no epoch
        ];
        for (before, (epoch, start), after, changed) in table {
            let mut cache = cache(before);
            assert_eq!(cache.assign(*epoch, *start), *changed, "{before:?} + {epoch}@{start}");
            assert_eq!(pairs(&cache), *after, "{before:?} + {epoch}@{start}");
        }
    }

    #[test]
    fn truncation_forgets_epochs_that_begin_at_the_end() {
        let table: &[(i64, &[(i32, i64)])] =
            &[(21, &[(0, 0), (1, 10), (2, 20)]), (20, &[(0, 0), (1, 10)]), (11, &[(0, 0), (1, 10)]), (0, &[])];
        for (end, after) in table {
            let mut cache = cache(&[(0, 0), (1, 10), (2, 20)]);
            assert_eq!(cache.truncate_from_end(*end), after.len() != 3);
            assert_eq!(pairs(&cache), *after, "cut at {end}");
        }
    }

    #[test]
    fn a_cut_beginning_forgets_epochs_that_ended_there() {
        let table: &[(i64, &[(i32, i64)])] = &[
            (9, &[(2, 10), (4, 20), (5, 30)]),
            (10, &[(2, 10), (4, 20), (5, 30)]),
            (15, &[(2, 15), (4, 20), (5, 30)]),
            (20, &[(4, 20), (5, 30)]),
            (99, &[(5, 99)]),
        ];
        for (start, after) in table {
            let mut cache = cache(&[(2, 10), (4, 20), (5, 30)]);
            assert_eq!(cache.truncate_from_start(*start), *start > 10, "begins at {start}");
            assert_eq!(pairs(&cache), *after, "begins at {start}");
            assert!(!cache.truncate_from_start(*start), "once is enough");
        }
    }

    #[test]
    fn epoch_of_an_offset() {
        let cache = cache(&[(2, 10), (4, 20)]);
        let answers: Vec<_> = [9, 10, 19, 20, 99].iter().map(|offset| cache.epoch_of_offset(*offset)).collect();
        assert_eq!(answers, [None, Some(2), Some(2), Some(4), Some(4)]);
    }

    #[test]
    fn the_zoo_believes_a_checkpoint_that_the_power_took() {
        let of_batches = || cache(&[(0, 0), (1, 10), (2, 20), (3, 30)]);
        let known = |stored: Option<EpochCache>, recovered_from| pairs(&believed(stored, of_batches(), recovered_from));
        assert_eq!(known(Some(cache(&[(0, 0), (1, 10), (2, 20)])), 25), [(0, 0), (1, 10), (2, 20), (3, 30)]);
        assert_eq!(known(None, 25), [(2, 25), (3, 30)], "what lies below is unheard of");
        assert_eq!(known(None, 99), [(3, 99)], "the caller cuts what begins at the end");
        assert_eq!(known(Some(cache(&[(0, 0)])), 25), [(0, 0), (2, 25), (3, 30)], "a hole");
        assert_eq!(known(None, 0), pairs(&of_batches()), "everything is looked through");
    }
}
