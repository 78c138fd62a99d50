//! What a log knows of its idempotent producers: enough to tell a duplicate from a batch that comes out of order.
//!
//! ```text
//!   client's batch ──▶ find_duplicate ──▶ ProducerAppendInfo: epoch, sequence ──▶ (the log is written) ──▶ update
//!   leader's batch ───────────────────────────────────────────────────────────────────────────────────────▶ update
//!   segment rolls, orderly stop ──▶ snapshot file ──▶ start, truncation: latest snapshot + the log behind it
//! ```
//!
//! The state follows from the log, but for three things, in which it is Kafka's: a snapshot holds one batch of each
//! producer where memory holds five; producers stay when the log gives up its beginning; and whoever was silent for
//! `producer.id.expiration.ms` is forgotten, by the wall clock against the timestamps of records.
//! Source: `ProducerStateManager`, KIP-98, KIP-185, KIP-360. Transactions are not modelled: control batches pass.

mod append_info;
mod entry;
mod rules;
pub(crate) mod snapshot;

use std::collections::BTreeMap;

use crate::{BatchHeader, DirId, Disk, DiskError, FileId, OpenMode, SyncTarget};

pub use append_info::{ProducerAppendInfo, ProducerError};
pub use entry::{
    BATCHES_REMEMBERED, BatchMetadata, NO_PRODUCER_EPOCH, ProducerEntry, last_sequence, sequence_after, sequence_before,
};
pub use rules::{ProducerRule, ProducerRules};

/// How a log keeps its producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerConfig {
    /// A producer is forgotten when its last batch is so old, in milliseconds (`producer.id.expiration.ms`).
    pub expiration_ms: i64,
    /// The rules that hold.
    pub rules: ProducerRules,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        ProducerConfig { expiration_ms: 86_400_000, rules: ProducerRules::default() }
    }
}

/// A snapshot file.
#[derive(Clone, Copy, Debug)]
struct SnapshotFile {
    /// Open since this process wrote it, for syncing.
    file: Option<FileId>,
    /// The change of the log that wrote it (`SyncState`); 0 if it is durable, or an earlier process did.
    written: u64,
}

/// The producers of one log, and the snapshots in its directory.
#[derive(Clone, Debug)]
pub struct ProducerStates {
    config: ProducerConfig,
    producers: BTreeMap<i64, ProducerEntry>,
    snapshots: BTreeMap<i64, SnapshotFile>,
    /// The state is that at this offset (`lastMapOffset`).
    map_end_offset: i64,
    /// Offset of the latest snapshot, or what stands for it where there is none (`lastSnapOffset`).
    last_snapshot_offset: i64,
}

impl ProducerStates {
    /// Knows nobody yet, but which snapshots there are (`ProducerStateManager.loadSnapshots`).
    pub(crate) fn new(disk: &dyn Disk, dir: DirId, config: ProducerConfig) -> Result<Self, DiskError> {
        let offsets = disk.list(dir)?.iter().filter_map(|name| snapshot::offset_of(name)).collect::<Vec<_>>();
        let found = |offset| (offset, SnapshotFile { file: None, written: 0 });
        Ok(ProducerStates {
            config,
            producers: BTreeMap::new(),
            snapshots: offsets.into_iter().map(found).collect(),
            map_end_offset: 0,
            last_snapshot_offset: 0,
        })
    }

    pub(crate) fn set_config(&mut self, config: ProducerConfig) {
        self.config = config;
    }
    pub(crate) fn rules(&self) -> ProducerRules {
        self.config.rules
    }
    /// Every producer that is known, by its id.
    pub fn entries(&self) -> &BTreeMap<i64, ProducerEntry> {
        &self.producers
    }
    /// The age at which a producer is forgotten, in milliseconds (`producer.id.expiration.ms`).
    pub fn expiration_ms(&self) -> i64 {
        self.config.expiration_ms
    }
    /// Offsets of the snapshots.
    pub fn snapshot_offsets(&self) -> impl Iterator<Item = i64> {
        self.snapshots.keys().copied()
    }
    /// The state is that at this offset.
    pub fn map_end_offset(&self) -> i64 {
        self.map_end_offset
    }

    /// The remembered batch that this one is a duplicate of.
    pub(crate) fn find_duplicate(&self, header: &BatchHeader) -> Option<&BatchMetadata> {
        self.producers.get(&header.producer_id)?.find_duplicate(header, self.config.rules)
    }
    /// Begins an append of this producer (`ProducerStateManager.prepareUpdate`).
    pub(crate) fn prepare_update(&self, producer_id: i64) -> ProducerAppendInfo {
        let current = self.producers.get(&producer_id).copied().unwrap_or(ProducerEntry::UNKNOWN);
        ProducerAppendInfo::new(producer_id, current, self.config.rules)
    }
    /// Ends an append.
    pub(crate) fn update(&mut self, append: ProducerAppendInfo) {
        self.producers.insert(append.producer_id(), append.into_entry());
    }
    /// Takes note of a batch that was checked before: by the leader, or when it was first appended. Batches without
    /// producer id pass, and so do control batches, which end transactions.
    pub(crate) fn replay(&mut self, header: &BatchHeader) {
        if header.producer_id >= 0 && !header.is_control() {
            let mut append = self.prepare_update(header.producer_id);
            append.append_unchecked(header);
            self.update(append);
        }
    }
    pub(crate) fn update_map_end_offset(&mut self, offset: i64) {
        self.map_end_offset = offset;
    }

    /// Forgets whoever was silent for too long (`ProducerStateManager.removeExpiredProducers`).
    pub(crate) fn remove_expired(&mut self, wall: i64) {
        if self.config.rules.hold(ProducerRule::SilentProducersAreForgotten) {
            let expiration_ms = self.config.expiration_ms;
            self.producers.retain(|_, entry| !is_expired(entry, expiration_ms, wall));
        }
    }

    /// Writes the state as a snapshot, unless there is one at or behind this offset (`ProducerStateManager.takeSnapshot`).
    /// True if it was written; then the directory has changed too.
    pub(crate) fn take_snapshot(&mut self, disk: &mut dyn Disk, dir: DirId, written: u64) -> Result<bool, DiskError> {
        if self.map_end_offset <= self.last_snapshot_offset {
            return Ok(false);
        }
        let name = snapshot::file_name(self.map_end_offset);
        let file = disk.open(dir, &name, OpenMode::CreateEmpty)?;
        // Known before it is written: what is torn has to be removed too.
        self.snapshots.insert(self.map_end_offset, SnapshotFile { file: Some(file), written });
        self.last_snapshot_offset = self.map_end_offset;
        disk.write(file, 0, snapshot::encode(&self.producers))?;
        Ok(true)
    }

    /// The state is cut back to what was known at `log_end_offset`, or as far below as the latest good snapshot goes
    /// (`ProducerStateManager.truncateAndReload`). What the log holds behind it is the caller's to replay.
    pub(crate) fn truncate_and_reload(
        &mut self,
        disk: &mut dyn Disk,
        dir: DirId,
        log_start_offset: i64,
        log_end_offset: i64,
        wall: i64,
    ) -> Result<(), DiskError> {
        let behind_counts = self.config.rules.hold(ProducerRule::SnapshotsBehindTheEndAreRemoved);
        let is_out_of_range = |at: &i64| (*at > log_end_offset && behind_counts) || *at <= log_start_offset;
        let out_of_range: Vec<i64> = self.snapshot_offsets().filter(is_out_of_range).collect();
        for offset in out_of_range {
            self.remove_snapshot(disk, dir, offset)?;
        }
        if log_end_offset == self.map_end_offset {
            self.on_log_start_offset_incremented(log_start_offset);
            return Ok(());
        }
        self.producers.clear();
        self.load_from_snapshot(disk, dir, log_start_offset, wall)
    }

    /// From the latest snapshot that is whole; the others are removed (`ProducerStateManager.loadFromSnapshot`).
    fn load_from_snapshot(
        &mut self,
        disk: &mut dyn Disk,
        dir: DirId,
        log_start_offset: i64,
        wall: i64,
    ) -> Result<(), DiskError> {
        while let Some((&offset, _)) = self.snapshots.last_key_value() {
            if let Some(mut producers) = read_snapshot(disk, dir, offset)? {
                if self.config.rules.hold(ProducerRule::SilentProducersAreNotLoaded) {
                    producers.retain(|_, entry| !is_expired(entry, self.config.expiration_ms, wall));
                }
                self.producers = producers;
                self.map_end_offset = offset;
                self.last_snapshot_offset = offset;
                return Ok(());
            }
            if !self.config.rules.hold(ProducerRule::CorruptSnapshotIsRemoved) {
                break;
            }
            self.remove_snapshot(disk, dir, offset)?;
        }
        self.map_end_offset = log_start_offset;
        self.last_snapshot_offset = log_start_offset;
        Ok(())
    }

    /// Of the snapshots that no segment begins at, the latest may stay, if it lies behind all segments: an orderly stop
    /// wrote it (`ProducerStateManager.removeStraySnapshots`).
    pub(crate) fn remove_stray_snapshots(
        &mut self,
        disk: &mut dyn Disk,
        dir: DirId,
        segment_bases: &[i64],
    ) -> Result<(), DiskError> {
        let last_base = segment_bases.last().copied();
        let strays: Vec<i64> = self.snapshot_offsets().filter(|offset| !segment_bases.contains(offset)).collect();
        let latest = strays.last().copied().filter(|latest| last_base.is_none_or(|base| *latest >= base));
        for offset in strays {
            if Some(offset) != latest {
                self.remove_snapshot(disk, dir, offset)?;
            }
        }
        Ok(())
    }

    /// Segments are gone, and with each the snapshot at its beginning (`UnifiedLog.deleteProducerSnapshots`).
    pub(crate) fn remove_snapshot(&mut self, disk: &mut dyn Disk, dir: DirId, offset: i64) -> Result<(), DiskError> {
        let Some(snapshot) = self.snapshots.remove(&offset) else { return Ok(()) };
        if let Some(file) = snapshot.file {
            disk.close(file);
        }
        match disk.remove(dir, &snapshot::file_name(offset)) {
            // Another that looked at this directory, as recovery does, has removed it.
            Ok(()) | Err(DiskError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Everything is forgotten (`ProducerStateManager.truncateFullyAndStartAt`, and the rebuild that follows).
    pub(crate) fn truncate_fully_and_start_at(
        &mut self,
        disk: &mut dyn Disk,
        dir: DirId,
        offset: i64,
    ) -> Result<(), DiskError> {
        if self.config.rules.hold(ProducerRule::FullTruncationForgetsAll) {
            self.producers.clear();
            for snapshot in self.snapshot_offsets().collect::<Vec<_>>() {
                self.remove_snapshot(disk, dir, snapshot)?;
            }
        }
        self.map_end_offset = offset;
        self.last_snapshot_offset = offset;
        Ok(())
    }

    /// The log begins later. Its producers stay known: they may go on (KIP-360;
    /// `ProducerStateManager.onLogStartOffsetIncremented`).
    pub(crate) fn on_log_start_offset_incremented(&mut self, log_start_offset: i64) {
        if !self.config.rules.hold(ProducerRule::StateOutlivesTheLogStart) {
            self.producers.retain(|_, entry| entry.last_batch().is_some_and(|b| b.last_offset >= log_start_offset));
        }
        self.map_end_offset = self.map_end_offset.max(log_start_offset);
        self.last_snapshot_offset = self.snapshots.last_key_value().map_or(log_start_offset, |(offset, _)| *offset);
    }

    /// As a new `ProducerStateManager` of the same directory would begin: knowing nobody.
    pub(crate) fn begin_anew(&mut self) {
        self.producers.clear();
        self.map_end_offset = 0;
        self.last_snapshot_offset = 0;
    }
    /// Nobody is known (`ProducerStateManager.isEmpty`).
    pub(crate) fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }
    /// Is there any snapshot?
    pub(crate) fn has_snapshots(&self) -> bool {
        !self.snapshots.is_empty()
    }
    /// The snapshots that were written after this change of the log.
    pub(crate) fn unsynced_snapshots(&self, synced: u64) -> impl Iterator<Item = SyncTarget> {
        let unsynced = self.snapshots.values().filter(move |snapshot| snapshot.written > synced);
        unsynced.filter_map(|snapshot| snapshot.file).map(SyncTarget::File)
    }
    /// Those that were written up to this change of the log are durable.
    pub(crate) fn snapshots_synced(&mut self, change: u64) {
        let covered = |snapshot: &&mut SnapshotFile| snapshot.written <= change;
        self.snapshots.values_mut().filter(covered).for_each(|snapshot| snapshot.written = 0);
    }
    /// Gives the handles back.
    pub(crate) fn close(self, disk: &mut dyn Disk) {
        self.snapshots.values().filter_map(|snapshot| snapshot.file).for_each(|file| disk.close(file));
    }
}

/// Silent for `producer.id.expiration.ms` (`ProducerStateManager.isProducerExpired`).
fn is_expired(entry: &ProducerEntry, expiration_ms: i64, wall: i64) -> bool {
    wall.saturating_sub(entry.last_timestamp()) >= expiration_ms
}

/// `None` if the file is not a whole snapshot.
fn read_snapshot(
    disk: &mut dyn Disk,
    dir: DirId,
    offset: i64,
) -> Result<Option<BTreeMap<i64, ProducerEntry>>, DiskError> {
    let file = match disk.open(dir, &snapshot::file_name(offset), OpenMode::Existing) {
        Ok(file) => file,
        Err(DiskError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = disk.len(file).and_then(|length| disk.read(file, 0, length as usize));
    disk.close(file);
    Ok(snapshot::decode(&bytes?))
}
