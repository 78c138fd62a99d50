//! The metadata quorum: owner of the metadata log, its epoch and its high watermark. Source: `KafkaRaftClient`.
//!
//! ```text
//!   append(records) ──▶ log ──▶ sync ──┐
//!   fetches of the other voters ───────┴──▶ high watermark ──▶ Committed; waiting fetches are answered
//!   time-outs ──▶ pre-vote ──▶ vote ──▶ BecameLeader            silence, higher epochs ──▶ LostLeadership
//! ```
//!
//! Kafka's raft thread handles one message, then *polls* its role: sends what is to be sent, sees what has timed out.
//! So does this one; where the thread waits for the disk ([`persist`]), everything else waits in the node's state.
//!
//! A file per question: who may vote ([`voters`]), which voters count ([`voter_history`], [`voter_records`]) and how they
//! are changed ([`membership`]), what a node is ([`role`]), who wins ([`election`], [`vote`]), what a
//! leader does ([`leader`], [`fetch`]), what a follower does ([`follower`]), how an epoch begins and ends ([`epoch`]), how
//! voters are reached ([`peers`]), what a disk is called ([`meta_properties`]) and remembers ([`state_file`]), what becomes
//! of the log's beginning ([`snapshots`], [`snapshotting`]).
//!
//! Not modelled: the append linger of 25 ms.

mod describe;
mod election;
mod epoch;
mod fetch;
mod follower;
mod leader;
mod look;
mod membership;
mod meta_properties;
mod peers;
mod persist;
mod role;
mod shutdown;
mod snapshots;
mod snapshotting;
mod state_file;
mod vote;
mod voter_history;
mod voter_records;
mod voters;

use std::collections::BTreeMap;

use kafka_protocol::messages::{RequestKind, ResponseKind};
use trial_storage::{Batches, Disk, DiskError, Log, LogConfig, LogError, SyncMark};

use self::fetch::WaitingFetch;
pub use self::look::QuorumLook;
use self::meta_properties::{MetaProperties, MetaPropertiesError};
use self::peers::Peer;
use self::persist::{Parked, Persist};
use self::role::Role;
use self::snapshots::{OpenedLog, SnapshotGenerator, SnapshotStore, StoreError};
use self::snapshotting::{Incoming, LoadedSnapshot};
use self::state_file::{ElectionState, StateFileError};
use self::voter_history::VoterHistory;
use self::voters::{ReplicaKey, VoterSet};
use super::{ControllerSetup, QuorumRole};
use crate::client::ChannelTimeouts;
use crate::config::BrokerConfig;
use crate::conformance::QuorumRule;
use crate::metadata::snapshot::Snapshot;
use crate::metadata::{METADATA_TOPIC, MetadataRecord, RecordError};
use crate::node::{Effects, Endpoint, Input, Nanos, Now, ReqId, Ticket, ms};
use crate::zoo::{Switch, Zoo};

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
    /// The disk is not this node's.
    #[error("{0}")]
    MetaProperties(#[from] MetaPropertiesError),
    /// The snapshots failed, or do not fit the log.
    #[error(transparent)]
    Snapshots(#[from] StoreError),
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
    /// The leader's history contradicts what is committed: one of the two is wrong, and to go on could lose it.
    #[error(
        "the leader of epoch {epoch} asks to truncate to {offset}, below the high watermark {high_watermark}: \
         committed metadata would be lost"
    )]
    TruncationBelowHighWatermark {
        /// The epoch.
        epoch: i32,
        /// Where the leader's log leaves this one.
        offset: i64,
        /// What is committed.
        high_watermark: i64,
    },
}

/// What the state machine above must know, in the order of happening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumEvent {
    /// The state begins anew, at a snapshot that [`Quorum::take_loaded_snapshot`] gives.
    SnapshotLoaded,
    /// Everything below this offset is committed.
    Committed {
        /// The new high watermark.
        high_watermark: i64,
    },
    /// This node leads. It may act once its epoch's first record is committed and replayed.
    BecameLeader {
        /// The epoch.
        epoch: i32,
    },
    /// This node leads no more.
    LostLeadership {
        /// The epoch in which it led.
        epoch: i32,
    },
}

/// What a handler works with: the clocks, the disk and the host.
pub struct Io<'a, 'h> {
    /// The clocks.
    pub now: Now,
    /// The disk.
    pub disk: &'a mut dyn Disk,
    /// The host.
    pub fx: &'a mut Effects<'h>,
}

/// Kafka's time-outs of the quorum, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    election: Nanos,
    fetch: Nanos,
    backoff_max: Nanos,
    retry_backoff: Nanos,
}

impl Timeouts {
    fn of(config: &BrokerConfig) -> Self {
        Timeouts {
            election: ms(config.controller_quorum_election_timeout_ms),
            fetch: ms(config.controller_quorum_fetch_timeout_ms),
            backoff_max: ms(config.controller_quorum_election_backoff_max_ms),
            retry_backoff: ms(config.controller_quorum_retry_backoff_ms),
        }
    }
}

#[derive(Clone, Debug)]
struct LogSync {
    ticket: Ticket,
    mark: SyncMark,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub struct Quorum {
    me: ReplicaKey,
    endpoint: Endpoint,
    cluster_id: String,
    timeouts: Timeouts,
    zoo: Zoo,
    voters: VoterHistory,
    log: Log,
    snapshots: SnapshotStore,
    generator: SnapshotGenerator,
    /// The generator has counted the log below.
    replayed_to: i64,
    /// A follower that fell behind takes a snapshot.
    incoming: Option<Incoming>,
    loaded: Option<LoadedSnapshot>,
    epoch: i32,
    /// The leader of the epoch, as far as this node knows.
    leader_id: Option<i32>,
    /// Whom this node voted for in the epoch.
    voted: Option<ReplicaKey>,
    role: Role,
    /// Never goes back; `None` until it is learnt.
    high_watermark: Option<i64>,
    persist: Persist,
    /// At most one is under way; what is appended meanwhile shares the next (group commit).
    log_sync: Option<LogSync>,
    waiting: Vec<WaitingFetch>,
    peers: BTreeMap<i32, Peer>,
    peer_timeouts: ChannelTimeouts,
    /// When a voter that moved tells the leader so.
    update_voter_at: Nanos,
    /// It is to tell so as soon as no call to the leader is under way.
    update_voter_is_due: bool,
    /// Calls of an earlier generation were made in another role: their responses do not count.
    generation: u64,
    /// When a shutdown under way is carried out at the latest.
    shutdown_at: Option<Nanos>,
    events: Vec<QuorumEvent>,
}

impl Quorum {
    /// Opens the metadata log, cutting what a crash tore, and takes up the role that the disk remembers.
    /// Source: `KafkaRaftClient.initialize`, `QuorumState.initialize`.
    pub fn start(setup: &ControllerSetup, io: &mut Io<'_, '_>) -> Result<Quorum, QuorumError> {
        let properties = MetaProperties {
            cluster_id: setup.cluster_id.clone(),
            node_id: setup.node_id,
            directory_id: setup.directory_id,
        };
        let (directory_id, formatted) = meta_properties::load_or_format(io.disk, &properties)?;
        let segment_bytes = u64::try_from(setup.config.metadata_log_segment_bytes).unwrap_or(0).max(1);
        let config = LogConfig { segment_bytes, max_batch_bytes: MAX_BATCH_BYTES, ..LogConfig::default() };
        let OpenedLog { log, snapshots, latest } = snapshots::open(io.disk, &format!("{METADATA_TOPIC}-0"), config)?;
        let stored = state_file::read(io.disk, log.dir(), setup.zoo.on(Switch::RaftVoteNotPersisted))?;
        let me = ReplicaKey::of(setup.node_id, directory_id);
        let mut quorum = Quorum {
            me,
            endpoint: setup.endpoint.clone(),
            cluster_id: setup.cluster_id.clone(),
            timeouts: Timeouts::of(&setup.config),
            zoo: setup.zoo,
            voters: VoterHistory::new(VoterSet::new(&setup.voters, setup.zoo)),
            log,
            snapshots,
            generator: SnapshotGenerator::new(&setup.config, io.now.mono),
            replayed_to: 0,
            incoming: None,
            loaded: None,
            epoch: 0,
            leader_id: None,
            voted: None,
            role: Role::Unattached { until: None },
            high_watermark: None,
            persist: Persist::default(),
            log_sync: None,
            waiting: Vec::new(),
            peers: BTreeMap::new(),
            peer_timeouts: peers::timeouts(&setup.config),
            update_voter_at: 0,
            update_voter_is_due: false,
            generation: 0,
            shutdown_at: None,
            events: Vec::new(),
        };
        quorum.peers = peers::of(&quorum.voters, me.id, quorum.peer_timeouts);
        // Without a file it is epoch 0.
        quorum.note_written(stored.unwrap_or_default());
        if let Some(state) = stored {
            quorum.make_durable_again(state, io)?;
        }
        if let Some(replacement) = formatted {
            quorum.persist.replace(replacement, io.disk, io.fx);
        }
        if let Some((id, snapshot)) = latest {
            let Snapshot { image, voters, .. } = snapshot;
            quorum.begin_at_snapshot(LoadedSnapshot { id, image, voters }, io);
        }
        quorum.replay_voters(io)?;
        quorum.take_up_role(stored.unwrap_or_default(), io)?;
        quorum.sync_log_if_idle(io);
        quorum.poll(io)?;
        Ok(quorum)
    }

    /// The metadata log.
    pub fn log(&self) -> &Log {
        &self.log
    }
    /// What this node is in the quorum. It is leader, to others, from the epoch's first record on.
    pub fn role(&self) -> QuorumRole {
        match &self.role {
            // Also one that was removed: it leads until that is committed.
            Role::Leader(leader) if leader.epoch_start_offset.is_some() => QuorumRole::Leader,
            _ if !self.is_voter() => QuorumRole::Observer,
            Role::Unattached { .. } => QuorumRole::Unattached,
            Role::Prospective { .. } => QuorumRole::Prospective,
            Role::Candidate { .. } => QuorumRole::Candidate,
            Role::Leader(_) => QuorumRole::Candidate,
            Role::Follower { .. } => QuorumRole::Follower { leader: self.leader_id.unwrap_or(-1) },
            Role::Resigned { .. } => QuorumRole::Resigned,
        }
    }
    /// From now on it is reached there.
    pub fn move_to(&mut self, endpoint: Endpoint) {
        self.endpoint = endpoint;
    }
    /// The current epoch.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }
    /// The offset below which everything is committed, if it is known.
    pub fn high_watermark(&self) -> Option<i64> {
        self.high_watermark
    }
    /// Is this node, on this disk, one of the voters? An observer neither stands nor counts.
    pub fn is_voter(&self) -> bool {
        self.voters.is_voter(self.me)
    }
    /// What happened since this was asked last.
    pub fn take_events(&mut self) -> Vec<QuorumEvent> {
        std::mem::take(&mut self.events)
    }

    /// Takes a request of another voter, an observer or a tool.
    pub fn on_request(
        &mut self,
        req: ReqId,
        version: i16,
        body: Box<RequestKind>,
        io: &mut Io<'_, '_>,
    ) -> Result<(), QuorumError> {
        if self.persist.is_under_way() {
            self.persist.park(Parked::Request { req, version, body });
            return Ok(());
        }
        self.handle_request(req, version, &body, io)?;
        self.poll(io)
    }

    fn handle_request(
        &mut self,
        req: ReqId,
        version: i16,
        body: &RequestKind,
        io: &mut Io<'_, '_>,
    ) -> Result<(), QuorumError> {
        self.meet_leader_of_request(body, io);
        let mut response: ResponseKind = match body {
            RequestKind::Fetch(request) => return self.handle_fetch_request(req, version, request, io),
            RequestKind::FetchSnapshot(request) => self.handle_fetch_snapshot_request(request, io).into(),
            RequestKind::Vote(request) => self.handle_vote_request(request, io)?.into(),
            RequestKind::BeginQuorumEpoch(request) => self.handle_begin_quorum_epoch_request(request, io)?.into(),
            RequestKind::EndQuorumEpoch(request) => self.handle_end_quorum_epoch_request(request, io)?.into(),
            RequestKind::DescribeQuorum(request) => self.describe(io.now, request).into(),
            RequestKind::AddRaftVoter(request) => {
                self.handle_add_voter_request(req, request, io);
                return Ok(());
            }
            RequestKind::RemoveRaftVoter(request) => return self.handle_remove_voter_request(req, request, io),
            RequestKind::UpdateRaftVoter(request) => self.handle_update_voter_request(request, io)?.into(),
            // `api::served` lets no other through.
            _ => return Ok(()),
        };
        fit_to_version(&mut response, version);
        self.answer(req, response, io.fx);
        Ok(())
    }

    /// Takes what concerns a connection or call of this quorum's, or the end of a sync.
    pub fn on_input(&mut self, input: Input, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        match input {
            Input::Synced { ticket, result } if self.persist.is_waiting_for(ticket) => {
                result.map_err(QuorumError::Sync)?;
                self.on_persisted(io)?;
            }
            Input::Synced { ticket, result } if self.snapshots.is_waiting_for(ticket) => {
                self.on_snapshot_synced(ticket, &result, io)?;
            }
            Input::Synced { ticket, result } => {
                let Some(sync) = self.log_sync.take_if(|sync| sync.ticket == ticket) else { return Ok(()) };
                result.map_err(QuorumError::Sync)?;
                self.log.synced(sync.mark);
                self.sync_log_if_idle(io);
                self.on_log_synced(io);
            }
            input if self.persist.is_under_way() => self.persist.park(Parked::Input(Box::new(input))),
            input => self.handle_peer_input(input, io)?,
        }
        self.poll(io)
    }

    /// Something is due, perhaps.
    pub fn on_tick(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        if self.persist.is_under_way() {
            return Ok(());
        }
        self.expire_fetches(io);
        self.expire_calls(io);
        self.poll(io)
    }

    /// What the role has to do now, and what had to wait. Source: `KafkaRaftClient.poll`.
    fn poll(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        loop {
            while !self.persist.is_under_way() && self.poll_current_state(io)? {}
            match self.persist.unpark() {
                Some(Parked::Request { req, version, body }) => self.handle_request(req, version, &body, io)?,
                Some(Parked::Input(input)) => self.handle_peer_input(*input, io)?,
                None => return Ok(()),
            }
        }
    }

    /// True if the role changed, so that there may be more to do. Source: `KafkaRaftClient.pollCurrentState`.
    fn poll_current_state(&mut self, io: &mut Io<'_, '_>) -> Result<bool, QuorumError> {
        match self.role {
            Role::Unattached { .. } => self.poll_unattached(io),
            Role::Prospective { .. } => self.poll_prospective(io),
            Role::Candidate { .. } => self.poll_candidate(io),
            Role::Leader(_) => self.poll_leader(io),
            Role::Follower { .. } => self.poll_follower(io),
            Role::Resigned { .. } => self.poll_resigned(io),
        }
    }

    /// Zoo: `raft-no-flush` never syncs the log.
    fn sync_log_if_idle(&mut self, io: &mut Io<'_, '_>) {
        if self.log_sync.is_none()
            && self.log.recovery_point() < self.log.log_end_offset()
            && !self.zoo.on(Switch::RaftNoFlush)
        {
            let mark = self.log.sync_started();
            self.log_sync = Some(LogSync { ticket: io.fx.sync(self.log.unsynced()), mark });
        }
    }

    /// The offset below which this node's log counts as replicated: what it has synced.
    fn synced_end_offset(&self) -> i64 {
        if self.counts_what_is_written() { self.log.log_end_offset() } else { self.log.recovery_point() }
    }

    /// Zoo: `raft-no-flush` counts what it has written.
    fn counts_what_is_written(&self) -> bool {
        self.zoo.on(Switch::RaftNoFlush) || !QuorumRule::OnlySyncedRecordsCount.holds()
    }

    /// Epoch of the last record, of the snapshot if the log is empty, or 0. Source: `ReplicatedLog.lastFetchedEpoch`.
    fn last_fetched_epoch(&self) -> i32 {
        snapshots::last_fetched_epoch(&self.log, &self.snapshots)
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

    /// When [`Self::on_tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Nanos> {
        if self.persist.is_under_way() {
            return None;
        }
        let deadlines = [
            self.waiting.iter().map(|fetch| fetch.until).min(),
            self.peers.values().filter_map(Peer::next_deadline).min(),
            self.role_deadline(),
            self.shutdown_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }
}

/// Leaves out what a response of an older version has no room for.
fn fit_to_version(response: &mut ResponseKind, version: i16) {
    match response {
        ResponseKind::Fetch(response) if version < 16 => response.node_endpoints.clear(),
        ResponseKind::FetchSnapshot(response) if version < 1 => response.node_endpoints.clear(),
        ResponseKind::Vote(response) if version < 1 => response.node_endpoints.clear(),
        ResponseKind::BeginQuorumEpoch(response) if version < 1 => response.node_endpoints.clear(),
        ResponseKind::EndQuorumEpoch(response) if version < 1 => response.node_endpoints.clear(),
        ResponseKind::DescribeQuorum(response) if version < 2 => describe::without_directory_ids(response),
        _ => {}
    }
}

/// The one element of a list, if it is what is asked for: requests of the quorum name one topic and one partition of it
/// (`RaftUtil.hasValidTopicPartition`).
fn the_only<T>(list: &[T], is_meant: impl Fn(&T) -> bool) -> Option<&T> {
    match list {
        [only] if is_meant(only) => Some(only),
        _ => None,
    }
}
