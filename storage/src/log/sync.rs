//! What of this log is not durable yet, and up to which offset is it?
//!
//! The owner's protocol: at one moment take [`Log::unsynced`] and [`Log::sync_started`] and ask the host to sync; when it
//! reports success, hand the mark to [`Log::synced`]. A sync that failed is simply not reported: everything stays
//! unsynced. Any number of syncs may be under way. Changes made meanwhile stay unsynced, truncations included.

use crate::SyncTarget;

use super::Log;
use super::segment::Segment;

/// The state of a log at the moment a sync was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncMark {
    changes: u64,
    log_end_offset: i64,
    /// Segments that begin here or later are not covered.
    segments_below: i64,
}

impl SyncMark {
    /// The log end offset at that moment: what the sync makes durable, if nothing is truncated meanwhile.
    pub fn log_end_offset(&self) -> i64 {
        self.log_end_offset
    }
}

/// Changes are counted; a thing is unsynced if it changed after the last sync that covered it was asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct SyncState {
    changes: u64,
    /// Every segment's changes up to here are durable.
    segments_synced: u64,
    epochs_changed: u64,
    epochs_synced: u64,
    dir_changed: u64,
    dir_synced: u64,
    pub(super) recovery_point: i64,
    /// Truncations not covered by a sync: when, and to which offset. Both ascend.
    cuts: Vec<(u64, i64)>,
}

impl SyncState {
    /// A file (segment, producer snapshot) changed; the caller notes the returned number on it.
    pub(super) fn segment_changed(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    /// Of files that changed after this change, the last state is not durable.
    pub(super) fn segments_synced(&self) -> u64 {
        self.segments_synced
    }

    /// The epoch checkpoint was replaced, which changes the directory too.
    pub(super) fn epochs_changed(&mut self) {
        self.changes += 1;
        self.epochs_changed = self.changes;
        self.dir_changed = self.changes;
    }

    /// A file was created or removed.
    pub(super) fn dir_changed(&mut self) {
        self.changes += 1;
        self.dir_changed = self.changes;
    }

    /// Everything from `offset` on was thrown away: it is not durable any more, whatever syncs are under way.
    pub(super) fn truncated(&mut self, offset: i64) {
        self.changes += 1;
        self.recovery_point = self.recovery_point.min(offset);
        // A deeper cut hides those before it.
        while self.cuts.last().is_some_and(|(_, cut)| *cut >= offset) {
            self.cuts.pop();
        }
        self.cuts.push((self.changes, offset));
    }
}

impl Log {
    /// What a sync must name so that everything up to now is durable: segment files, the epoch checkpoint, producer
    /// snapshots, the directory, each only if it changed. Empty if all is durable.
    pub fn unsynced(&self) -> Vec<SyncTarget> {
        self.unsynced_segments_below(i64::MAX)
    }

    /// As [`Log::unsynced`], without the active segment: what Kafka flushes when it rolls (`UnifiedLog.roll`, which flushes
    /// the snapshot of the producers, and the log up to the new segment's base offset). To be reported with the mark of [`Log::sync_of_full_segments_started`].
    pub fn unsynced_full_segments(&self) -> Vec<SyncTarget> {
        self.unsynced_segments_below(self.active_base_offset())
    }

    fn unsynced_segments_below(&self, base_offset: i64) -> Vec<SyncTarget> {
        let changed = |segment: &&Segment| segment.changed > self.sync.segments_synced;
        let segments = self.segments.iter().filter(|segment| segment.base_offset < base_offset).filter(changed);
        let mut targets: Vec<_> = segments.map(|segment| SyncTarget::File(segment.file)).collect();
        targets.extend(self.unsynced_epoch_checkpoint());
        targets.extend(self.unsynced_producer_snapshots());
        if self.sync.dir_changed > self.sync.dir_synced && !targets.contains(&SyncTarget::Dir(self.dir)) {
            targets.push(SyncTarget::Dir(self.dir));
        }
        targets
    }

    /// What a sync must name so that the epoch checkpoint alone is durable, as Kafka does on each new epoch; empty if it
    /// is. To be reported by [`Log::epoch_checkpoint_synced`].
    pub fn unsynced_epoch_checkpoint(&self) -> Vec<SyncTarget> {
        match self.epoch_file {
            Some(file) if self.sync.epochs_changed > self.sync.epochs_synced => {
                vec![SyncTarget::File(file), SyncTarget::Dir(self.dir)]
            }
            _ => Vec::new(),
        }
    }

    /// The mark of a sync asked for now.
    pub fn sync_started(&self) -> SyncMark {
        SyncMark { changes: self.sync.changes, log_end_offset: self.log_end_offset, segments_below: i64::MAX }
    }

    /// The mark of a sync of [`Log::unsynced_full_segments`] asked for now.
    pub fn sync_of_full_segments_started(&self) -> SyncMark {
        let end = self.active_base_offset();
        SyncMark { changes: self.sync.changes, log_end_offset: end, segments_below: end }
    }

    fn active_base_offset(&self) -> i64 {
        self.segments.last().map_or(self.log_end_offset, |active| active.base_offset)
    }

    /// A sync of everything that the mark covers has succeeded. Moves the recovery point to the log end of that moment,
    /// or to where the log was truncated since.
    pub fn synced(&mut self, mark: SyncMark) {
        self.epoch_checkpoint_synced(mark);
        if mark.segments_below == i64::MAX {
            self.sync.segments_synced = self.sync.segments_synced.max(mark.changes);
        }
        let covered =
            |segment: &&mut Segment| segment.base_offset < mark.segments_below && segment.changed <= mark.changes;
        self.segments.iter_mut().filter(covered).for_each(|segment| segment.changed = 0);
        // Every sync names all of them, that of the full segments too.
        if let Some(producers) = &mut self.producers {
            producers.snapshots_synced(mark.changes);
        }
        let sync = &mut self.sync;
        let cuts_since = sync.cuts.iter().filter(|(change, _)| *change > mark.changes).map(|(_, offset)| *offset);
        let durable = cuts_since.fold(mark.log_end_offset, i64::min);
        sync.cuts.retain(|(change, _)| *change > mark.changes);
        sync.recovery_point = sync.recovery_point.max(durable);
    }

    /// A sync of [`Log::unsynced_epoch_checkpoint`] has succeeded.
    pub fn epoch_checkpoint_synced(&mut self, mark: SyncMark) {
        self.sync.epochs_synced = self.sync.epochs_synced.max(mark.changes);
        self.sync.dir_synced = self.sync.dir_synced.max(mark.changes);
    }

    /// The offset below which everything is durable.
    pub fn recovery_point(&self) -> i64 {
        self.sync.recovery_point
    }
}
