//! Which snapshots are on the disk, and how does one get there? Source: `KafkaMetadataLog`, `FileRawSnapshotWriter`,
//! `Snapshots`.
//!
//! A snapshot is written under its partial name and synced, renamed, and its directory synced; only then it is one. A
//! crash before that leaves a partial file, which the next start deletes, or nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_storage::{DirId, Disk, DiskError, FileId, Log, LogError, OpenMode, SyncTarget};

use super::validate::{ValidOffsetAndEpoch, validate_offset_and_epoch};
use crate::conformance::QuorumRule;
use crate::metadata::snapshot::{Snapshot, SnapshotError, SnapshotFile, SnapshotId, decode};
use crate::node::{Effects, Ticket};

/// Why snapshots and log do not work together. The node halts, as on any failure of its metadata log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk refused.
    #[error("snapshot file: {0}")]
    Disk(#[from] DiskError),
    /// The metadata log failed.
    #[error("metadata log: {0}")]
    Log(#[from] LogError),
    /// A snapshot that was fetched is not sound.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// What lies before the log is nowhere: no snapshot ends where it begins.
    #[error("the metadata log begins at offset {log_start_offset}, and no snapshot on the disk reaches up to there")]
    Missing {
        /// Where the log begins.
        log_start_offset: i64,
    },
    /// A snapshot may only be taken of what is committed.
    #[error("a snapshot up to offset {} is above the high watermark {high_watermark}", .id.end_offset)]
    AboveHighWatermark {
        /// The snapshot.
        id: SnapshotId,
        /// The high watermark.
        high_watermark: i64,
    },
    /// The log does not have that epoch there.
    #[error("a snapshot up to offset {} of epoch {} contradicts the metadata log", .id.end_offset, .id.epoch)]
    NotInLog {
        /// The snapshot.
        id: SnapshotId,
    },
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    file: FileId,
    size: u64,
}

/// The way to the disk: first the bytes, then the name.
#[derive(Clone, Copy, Debug)]
enum Step {
    Bytes(Ticket),
    Name(Ticket),
}

#[derive(Clone, Debug)]
struct Writing {
    id: SnapshotId,
    stored: Stored,
    step: Step,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub struct SnapshotStore {
    dir: DirId,
    whole: BTreeMap<SnapshotId, Stored>,
    /// The one whose place the latest has taken: nobody is sent to it any more, but somebody may be fetching it.
    replaced: Option<(SnapshotId, Stored)>,
    /// At most one at a time.
    writing: Option<Writing>,
}

impl SnapshotStore {
    /// What a directory holds after a start: deletes what was being written and what is torn, and reads the latest.
    /// Source: `KafkaMetadataLog.recoverSnapshots`.
    pub fn recover(
        disk: &mut dyn Disk,
        dir: DirId,
    ) -> Result<(SnapshotStore, Option<(SnapshotId, Snapshot)>), StoreError> {
        let mut found: Vec<SnapshotId> = Vec::new();
        for name in disk.list(dir)? {
            match SnapshotId::parse(&name) {
                Some(SnapshotFile::Partial(_)) => disk.remove(dir, &name)?,
                Some(SnapshotFile::Whole(id)) => found.push(id),
                None => {}
            }
        }
        found.sort();
        let mut store = SnapshotStore { dir, whole: BTreeMap::new(), replaced: None, writing: None };
        let mut latest = None;
        for id in found.into_iter().rev() {
            if latest.is_some() {
                disk.remove(dir, &id.file_name())?;
                continue;
            }
            let file = disk.open(dir, &id.file_name(), OpenMode::Existing)?;
            let size = disk.len(file)?;
            let bytes = disk.read(file, 0, size as usize)?;
            match decode(id, &bytes) {
                Ok(snapshot) => {
                    store.whole.insert(id, Stored { file, size });
                    latest = Some((id, snapshot));
                }
                Err(_) => disk.remove(dir, &id.file_name())?,
            }
        }
        Ok((store, latest))
    }

    /// The latest snapshot. Source: `latestSnapshotId`.
    pub fn latest(&self) -> Option<SnapshotId> {
        self.whole.keys().next_back().copied()
    }
    /// The oldest. Source: `earliestSnapshotId`.
    pub fn earliest(&self) -> Option<SnapshotId> {
        self.whole.keys().next().copied()
    }
    /// Is it this sync that the snapshot on its way waits for?
    pub fn is_waiting_for(&self, ticket: Ticket) -> bool {
        self.writing.as_ref().is_some_and(|writing| {
            let (Step::Bytes(waited) | Step::Name(waited)) = writing.step;
            waited == ticket
        })
    }
    /// The one that is on its way to the disk.
    pub fn under_way(&self) -> Option<SnapshotId> {
        self.writing.as_ref().map(|writing| writing.id)
    }
    /// Is one on its way to the disk?
    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// May a snapshot of this id be taken, and is it worth it? False if there is one already, or a later one has taken its
    /// place. Never of what is not committed. Source: `KafkaMetadataLog.createNewSnapshot`.
    pub fn may_create(&self, log: &Log, id: SnapshotId, high_watermark: i64) -> Result<bool, StoreError> {
        if id.end_offset < log.log_start_offset() || self.whole.contains_key(&id) || self.is_writing() {
            return Ok(false);
        }
        if id.end_offset > high_watermark && QuorumRule::SnapshotIsOfWhatIsCommitted.holds() {
            return Err(StoreError::AboveHighWatermark { id, high_watermark });
        }
        match validate_offset_and_epoch(log, self, id.end_offset, id.epoch) {
            ValidOffsetAndEpoch::Valid => Ok(true),
            _ => Err(StoreError::NotInLog { id }),
        }
    }

    /// Begins to write a snapshot; [`Self::on_synced`] tells when it is there. Whatever was being written is given up.
    pub fn write(
        &mut self,
        id: SnapshotId,
        bytes: Bytes,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<(), StoreError> {
        self.give_up(disk)?;
        let file = disk.open(self.dir, &id.partial_file_name(), OpenMode::CreateEmpty)?;
        let size = bytes.len() as u64;
        disk.write(file, 0, bytes)?;
        let target = match QuorumRule::SnapshotIsDurableBeforeTheLogGoes.holds() {
            true => SyncTarget::File(file),
            false => SyncTarget::Dir(self.dir),
        };
        let step = Step::Bytes(fx.sync(vec![target]));
        self.writing = Some(Writing { id, stored: Stored { file, size }, step });
        Ok(())
    }

    /// Takes the end of a sync, if it is one of these. Gives the snapshot that is durable now.
    pub fn on_synced(
        &mut self,
        ticket: Ticket,
        result: &Result<(), DiskError>,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<Option<SnapshotId>, StoreError> {
        let Some(writing) = &mut self.writing else { return Ok(None) };
        match writing.step {
            Step::Bytes(waited) if waited == ticket => {
                result.clone()?;
                disk.rename(self.dir, &writing.id.partial_file_name(), &writing.id.file_name())?;
                writing.step = Step::Name(fx.sync(vec![SyncTarget::Dir(self.dir)]));
                Ok(None)
            }
            Step::Name(waited) if waited == ticket => {
                result.clone()?;
                let (id, stored) = (writing.id, writing.stored);
                self.writing = None;
                self.whole.insert(id, stored);
                Ok(Some(id))
            }
            _ => Ok(None),
        }
    }

    /// Gives up the snapshot that is being written: its file goes, under either name.
    pub fn give_up(&mut self, disk: &mut dyn Disk) -> Result<(), StoreError> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        let name = match writing.step {
            Step::Bytes(_) => writing.id.partial_file_name(),
            Step::Name(_) => writing.id.file_name(),
        };
        Ok(disk.remove(self.dir, &name)?)
    }

    /// The log begins at the end of this snapshot from now on, and older snapshots go. Gives the log's new start if it
    /// moved. Source: `KafkaMetadataLog.deleteBeforeSnapshot`.
    pub fn delete_before(
        &mut self,
        id: SnapshotId,
        log: &mut Log,
        disk: &mut dyn Disk,
    ) -> Result<Option<i64>, StoreError> {
        let is_ahead = log.log_start_offset() < id.end_offset && id.end_offset <= log.log_end_offset();
        if !is_ahead || !self.whole.contains_key(&id) {
            return Ok(None);
        }
        log.delete_before(disk, id.end_offset)?;
        self.forget_before(id, disk)?;
        Ok(Some(id.end_offset))
    }

    /// The snapshots before this one do not count any more. The last of them is served on until it is replaced in turn, or
    /// who fetches slowly would have to start over with each new one. Kafka looks what can go once a minute only, and
    /// removes files a minute later (`KafkaMetadataLog.forgetSnapshotsBefore`, `maybeClean`).
    pub fn forget_before(&mut self, id: SnapshotId, disk: &mut dyn Disk) -> Result<(), StoreError> {
        while let Some(earliest) = self.earliest().filter(|earliest| *earliest < id) {
            let Some(stored) = self.whole.remove(&earliest) else { break };
            if let Some((before, _)) = self.replaced.replace((earliest, stored)) {
                disk.remove(self.dir, &before.file_name())?;
            }
        }
        Ok(())
    }

    fn stored(&self, id: SnapshotId) -> Option<&Stored> {
        let replaced = self.replaced.as_ref().filter(|(replaced, _)| *replaced == id);
        self.whole.get(&id).or(replaced.map(|(_, stored)| stored))
    }

    /// Size in bytes of a snapshot, if there is one of that id.
    pub fn size(&self, id: SnapshotId) -> Option<u64> {
        self.stored(id).map(|stored| stored.size)
    }

    /// Up to `max_bytes` from `position` on, wherever that cuts. `None` if there is no snapshot of that id.
    pub fn read(
        &self,
        id: SnapshotId,
        position: u64,
        max_bytes: usize,
        disk: &mut dyn Disk,
    ) -> Result<Option<Bytes>, StoreError> {
        let Some(stored) = self.stored(id) else { return Ok(None) };
        Ok(Some(disk.read(stored.file, position, max_bytes)?))
    }
}
