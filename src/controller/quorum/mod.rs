//! The metadata quorum: owner of the metadata log, its epoch and its high watermark. Source: `KafkaRaftClient`.
//!
//! ```text
//!   append(records) ──▶ log ──▶ sync ──▶ on_synced: high watermark ──▶ Committed, waiting fetches are answered
//!   fetch(observer) ──▶ records below the high watermark, or wait for more, or "your history differs"
//! ```
//!
//! This version is a quorum of one voter, itself: it leads from its start on, each start in a new epoch that is durable
//! in `quorum-state` before anything is appended in it, and a record is committed once it is synced here. Elections,
//! and a high watermark that is the majority's, come in behind the same methods: the state machine above knows only
//! [`Quorum::append`] and [`QuorumEvent`].
//!
//! Not modelled: snapshots (the log is kept whole), the append linger of 25 ms, dynamic voters.

mod describe;
mod fetch;
mod snapshots;
mod state_file;

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::leader_change_message::Voter;
use kafka_protocol::messages::{BrokerId as WireBrokerId, LeaderChangeMessage};
use kafka_protocol::protocol::Encodable;
use trial_storage::{
    Batches, BuildOptions, DirId, Disk, DiskError, Log, LogConfig, LogError, NewRecord, Opening, SyncMark, build_batch,
};

use self::describe::Observer;
use self::fetch::WaitingFetch;
use self::state_file::{QuorumState, StateFileError};
use crate::controller::QuorumRole;
use crate::metadata::{METADATA_TOPIC, MetadataRecord, RecordError};
use crate::node::{Effects, Millis, Nanos, Ticket};

/// `ControlRecordType.LEADER_CHANGE`.
const LEADER_CHANGE: i16 = 2;
/// Largest batch of the metadata log. Kafka cuts at 8 MiB (`KafkaRaftClient.MAX_BATCH_SIZE_BYTES`) what need not be
/// atomic; what fencing a broker changes must be, so the limit is generous.
const MAX_BATCH_BYTES: usize = 64 << 20;
/// Bytes read at once when replaying.
const REPLAY_BYTES: usize = 1 << 20;

/// Why the quorum cannot go on. The node halts, as Kafka's fault handler does, since a log that may or may not hold a
/// record must not be acted on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// The metadata log failed.
    #[error("metadata log: {0}")]
    Log(#[from] LogError),
    /// The quorum-state file failed.
    #[error("quorum state: {0}")]
    State(#[from] StateFileError),
    /// A sync failed.
    #[error("sync of the metadata log: {0}")]
    Sync(DiskError),
    /// The metadata log holds what is not a metadata record.
    #[error("metadata record at offset {offset}: {error}")]
    Record {
        /// Where.
        offset: i64,
        /// What it is.
        error: RecordError,
    },
    /// The epochs are used up.
    #[error("no epoch is left after {0}")]
    EpochsExhausted(i32),
}

/// What the state machine above must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumEvent {
    /// Everything below this offset is committed.
    Committed {
        /// The new high watermark.
        high_watermark: i64,
    },
}

#[derive(Clone, Debug)]
enum Role {
    /// The new epoch is being made durable.
    Starting { quorum_state: Ticket },
    /// Leads; the first record of its epoch, a LeaderChange, is at this offset.
    Leader { epoch_start_offset: i64 },
}

#[derive(Clone, Debug)]
struct LogSync {
    ticket: Ticket,
    mark: SyncMark,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub struct Quorum {
    node_id: i32,
    cluster_id: String,
    log: Log,
    epoch: i32,
    role: Role,
    /// `None` until a record of the own epoch is committed.
    high_watermark: Option<i64>,
    /// At most one is under way; what is appended meanwhile shares the next (group commit).
    log_sync: Option<LogSync>,
    waiting: Vec<WaitingFetch>,
    observers: BTreeMap<i32, Observer>,
}

impl Quorum {
    /// Opens the metadata log, cutting what a crash tore, and begins a new epoch. The only voter needs no vote but its
    /// own, yet like any candidate it must have its epoch on the disk first.
    pub fn start(
        node_id: i32,
        cluster_id: String,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<Quorum, QuorumError> {
        let config = LogConfig { max_batch_bytes: MAX_BATCH_BYTES, ..LogConfig::default() };
        let dir_name = format!("{METADATA_TOPIC}-0");
        let (log, _) = Log::open(disk, &dir_name, config, Opening::Unclean { recovery_point: 0 })?;
        let seen = state_file::read(disk, log.dir())?.map_or(0, |state| state.leader_epoch);
        let seen = seen.max(log.latest_epoch().unwrap_or(0));
        let epoch = seen.checked_add(1).ok_or(QuorumError::EpochsExhausted(seen))?;
        let quorum_state = Self::persist_epoch(node_id, epoch, log.dir(), disk, fx)?;
        Ok(Quorum {
            node_id,
            cluster_id,
            log,
            epoch,
            role: Role::Starting { quorum_state },
            high_watermark: None,
            log_sync: None,
            waiting: Vec::new(),
            observers: BTreeMap::new(),
        })
    }

    fn persist_epoch(
        node_id: i32,
        epoch: i32,
        dir: DirId,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<Ticket, QuorumError> {
        let state = QuorumState {
            leader_id: node_id,
            leader_epoch: epoch,
            voted_id: -1,
            current_voters: vec![state_file::Voter { voter_id: node_id }],
            data_version: 0,
        };
        Ok(fx.sync(state_file::write(disk, dir, &state)?))
    }

    /// The metadata log.
    pub fn log(&self) -> &Log {
        &self.log
    }
    /// What this node is in the quorum.
    pub fn role(&self) -> QuorumRole {
        match self.role {
            Role::Starting { .. } => QuorumRole::Candidate,
            Role::Leader { .. } => QuorumRole::Leader,
        }
    }
    /// The current epoch.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }
    /// The offset below which everything is committed, if it is known.
    pub fn high_watermark(&self) -> Option<i64> {
        self.high_watermark
    }
    /// Is every record of former epochs committed? Only then may the state machine act: before, it could not tell which
    /// of them count. Source: `KafkaRaftClient.maybeFireLeaderChange`.
    pub fn has_committed_in_own_epoch(&self) -> bool {
        match self.role {
            Role::Leader { epoch_start_offset } => self.high_watermark.is_some_and(|hw| hw > epoch_start_offset),
            Role::Starting { .. } => false,
        }
    }

    /// Appends records as one batch, which becomes readable all at once. Gives the offset of the first.
    /// They are committed when [`QuorumEvent::Committed`] says so.
    pub fn append(
        &mut self,
        wall: Millis,
        records: &[MetadataRecord],
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<i64, QuorumError> {
        let records: Vec<NewRecord> = records
            .iter()
            .map(|record| NewRecord { timestamp: wall, value: Some(record.encode()), ..NewRecord::default() })
            .collect();
        let batch = build_batch(&records, BuildOptions::default());
        let appended = self.log.append_as_leader(disk, batch, self.epoch)?;
        self.sync_log_if_idle(fx);
        Ok(appended.first_offset)
    }

    /// Takes the end of a sync, if it is one of this quorum's.
    pub fn on_synced(
        &mut self,
        wall: Millis,
        ticket: Ticket,
        result: Result<(), DiskError>,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<Option<QuorumEvent>, QuorumError> {
        if matches!(self.role, Role::Starting { quorum_state } if quorum_state == ticket) {
            result.map_err(QuorumError::Sync)?;
            self.become_leader(wall, disk, fx)?;
            return Ok(None);
        }
        let Some(LogSync { mark, .. }) = self.log_sync.take_if(|sync| sync.ticket == ticket) else { return Ok(None) };
        result.map_err(QuorumError::Sync)?;
        self.log.synced(mark);
        self.sync_log_if_idle(fx);
        Ok(self.maybe_advance_high_watermark(mark.log_end_offset()))
    }

    /// The new leader's first record is a control record that tells its epoch; with it, everything before becomes
    /// committable. Source: `LeaderState.appendLeaderChangeMessageAndBootstrapRecords`.
    fn become_leader(&mut self, wall: Millis, disk: &mut dyn Disk, fx: &mut Effects<'_>) -> Result<(), QuorumError> {
        let record = NewRecord {
            timestamp: wall,
            key: Some(leader_change_key()),
            value: Some(self.leader_change()),
            headers: vec![],
        };
        let batch = build_batch(&[record], BuildOptions { control: true, ..BuildOptions::default() });
        let appended = self.log.append_control_as_leader(disk, batch, self.epoch)?;
        self.role = Role::Leader { epoch_start_offset: appended.first_offset };
        self.sync_log_if_idle(fx);
        Ok(())
    }

    fn leader_change(&self) -> Bytes {
        let voter = Voter::default().with_voter_id(self.node_id);
        let message = LeaderChangeMessage::default()
            .with_version(0)
            .with_leader_id(WireBrokerId(self.node_id))
            .with_voters(vec![voter.clone()])
            .with_granting_voters(vec![voter]);
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes, 0).expect("version 0 holds every field set here");
        bytes.freeze()
    }

    fn sync_log_if_idle(&mut self, fx: &mut Effects<'_>) {
        if self.log_sync.is_none() && self.log.recovery_point() < self.log.log_end_offset() {
            let mark = self.log.sync_started();
            self.log_sync = Some(LogSync { ticket: fx.sync(self.log.unsynced()), mark });
        }
    }

    /// With one voter the majority has what this node has synced. Never goes back, and is unknown until it covers a
    /// record of the own epoch. Source: `LeaderState.maybeUpdateHighWatermark`.
    fn maybe_advance_high_watermark(&mut self, synced: i64) -> Option<QuorumEvent> {
        let Role::Leader { epoch_start_offset } = self.role else { return None };
        if synced <= epoch_start_offset || self.high_watermark.is_some_and(|hw| synced <= hw) {
            return None;
        }
        self.high_watermark = Some(synced);
        Some(QuorumEvent::Committed { high_watermark: synced })
    }

    /// The metadata records from `from` to below `end`, with their offsets; control records are passed over.
    pub fn read_records(
        &self,
        disk: &mut dyn Disk,
        mut from: i64,
        end: i64,
    ) -> Result<Vec<(i64, MetadataRecord)>, QuorumError> {
        let mut records = Vec::new();
        while from < end {
            let bytes = self.log.read(disk, from, end, REPLAY_BYTES, true)?;
            let before = from;
            for batch in Batches::new(bytes) {
                let batch = batch.map_err(LogError::from)?;
                from = batch.header.next_offset();
                if batch.header.is_control() {
                    continue;
                }
                for record in trial_storage::records(&batch.bytes).map_err(LogError::from)? {
                    let value = record.value.as_deref().unwrap_or_default();
                    let decoded = MetadataRecord::decode(value)
                        .map_err(|error| QuorumError::Record { offset: record.offset, error })?;
                    records.push((record.offset, decoded));
                }
            }
            if from == before {
                // Below its end the log always has a next batch: the disk does not hold what it held.
                let error = RecordError::Truncated;
                return Err(QuorumError::Record { offset: from, error });
            }
        }
        Ok(records)
    }

    /// When [`Self::expire_fetches`] has something to do.
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.waiting.iter().map(|fetch| fetch.until).min()
    }
}

/// Key of a control record: version, then type.
fn leader_change_key() -> Bytes {
    let mut key = BytesMut::new();
    key.put_i16(0);
    key.put_i16(LEADER_CHANGE);
    key.freeze()
}
