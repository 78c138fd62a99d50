//! Snapshots in the life of a voter: taken of what is committed, served by a leader, loaded by a follower that fell behind.
//!
//! ```text
//!   Committed ─▶ is one due? ─▶ written beside the log ─▶ durable ─▶ the log below it is deleted
//!   fetch answered with a snapshot id ─▶ chunk after chunk ─▶ written, durable ─▶ the log begins anew at its end
//! ```
//!
//! A leader never loads one: what it fetches is dropped when a follower becomes anything else. Source: `KafkaRaftClient`
//! (`pollFollowerAsVoter`, `handleFetchSnapshotResponse`), `SnapshotEmitter`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    BrokerId as WireBrokerId, FetchSnapshotRequest, FetchSnapshotResponse, fetch_snapshot_response as wire,
};
use kafka_protocol::protocol::StrBytes;
use trial_storage::DiskError;

use super::role::Role;
use super::snapshots::{self, Leadership, StoreError};
use super::voters::ReplicaKey;
use super::{Io, Quorum, QuorumError, QuorumEvent};
use crate::conformance::QuorumRule;
use crate::controller::Voter;
use crate::event::Event;
use crate::metadata::MetadataImage;
use crate::metadata::snapshot::{FetchProgress, Snapshot, SnapshotFetch, SnapshotId, decode, encode_with_voters};
use crate::node::Ticket;

/// A snapshot from which the state machine above begins anew.
#[derive(Clone, Debug)]
pub struct LoadedSnapshot {
    /// Which one.
    pub id: SnapshotId,
    /// What it holds.
    pub image: MetadataImage,
    /// The voters in force at its end; empty if it does not tell.
    pub voters: Vec<Voter>,
}

/// A snapshot on its way from the leader.
#[derive(Clone, Debug)]
pub(super) enum Incoming {
    /// Chunks are being fetched.
    Fetching(SnapshotFetch),
    /// It is all here, was read, and is being written to the disk.
    Writing(LoadedSnapshot),
}

impl Quorum {
    // ── taken ────────────────────────────────────────────────────────────────────────────────────────────────────
    /// `image` is what is committed below `end`, a high watermark. Takes a snapshot of it if one is due.
    /// Source: `SnapshotGenerator.publishLogDelta`.
    pub fn maybe_generate_snapshot(
        &mut self,
        image: &MetadataImage,
        end: i64,
        io: &mut Io<'_, '_>,
    ) -> Result<(), QuorumError> {
        let from = self.replayed_to.max(self.log.log_start_offset());
        if end <= from {
            return Ok(());
        }
        let batches = self.log.batch_headers(io.disk, from, end)?;
        self.replayed_to = end;
        let bytes = batches.iter().map(|batch| batch.size_in_bytes() as u64).sum();
        let is_due = self.generator.on_committed(io.now.mono, bytes);
        let Some(last) = batches.last().filter(|_| is_due && !self.snapshots.is_writing()) else { return Ok(()) };
        self.generator.reset(io.now.mono);
        let id = SnapshotId {
            end_offset: if QuorumRule::SnapshotEndIsExclusive.holds() { end } else { end - 1 },
            epoch: match QuorumRule::SnapshotHasTheEpochOfItsLastRecord.holds() {
                true => last.partition_leader_epoch,
                false => self.epoch,
            },
        };
        if self.snapshots.may_create(&self.log, id, end)? {
            let voters = self.voters_for_snapshot(id.end_offset);
            let bytes = encode_with_voters(id, image, last.max_timestamp, &voters);
            io.fx.charge(2_000 + bytes.len() as u64);
            self.snapshots.write(id, bytes, io.disk, io.fx)?;
        }
        Ok(())
    }

    /// Takes the end of a sync of a snapshot. One of its own that cannot be written is given up, and the next is due as
    /// ever; without one that it has fetched a follower cannot go on.
    pub(super) fn on_snapshot_synced(
        &mut self,
        ticket: Ticket,
        result: &Result<(), DiskError>,
        io: &mut Io<'_, '_>,
    ) -> Result<(), QuorumError> {
        let is_incoming = matches!(self.incoming, Some(Incoming::Writing(_)));
        match self.snapshots.on_synced(ticket, result, io.disk, io.fx) {
            Ok(None) => Ok(()),
            Ok(Some(id)) if is_incoming => self.load_snapshot(id, io),
            Ok(Some(id)) => {
                self.tell(Event::SnapshotWritten { end_offset: id.end_offset, epoch: id.epoch }, io.fx);
                if QuorumRule::LogBeginsAtTheLatestSnapshot.holds()
                    && let Some(to) = self.snapshots.delete_before(id, &mut self.log, io.disk)?
                {
                    self.tell(Event::MetadataLogStart { to }, io.fx);
                    self.voters.truncate_old_entries(to);
                }
                Ok(())
            }
            Err(error) if is_incoming => Err(error.into()),
            Err(_) => Ok(self.snapshots.give_up(io.disk)?),
        }
    }

    // ── served ───────────────────────────────────────────────────────────────────────────────────────────────────
    /// Source: `KafkaRaftClient.handleFetchSnapshotRequest`.
    pub(super) fn handle_fetch_snapshot_request(
        &mut self,
        request: &FetchSnapshotRequest,
        io: &mut Io<'_, '_>,
    ) -> FetchSnapshotResponse {
        let leadership = Leadership { leader_id: self.leader_id.unwrap_or(-1), epoch: self.epoch };
        let validate = |epoch| self.validate_leader_only_request(epoch);
        let served =
            snapshots::fetch_snapshot(&self.cluster_id, leadership, validate, &self.snapshots, request, io.disk);
        if let Some((id, directory_id)) = served.fed {
            let replica = ReplicaKey::of(id, directory_id);
            if self.voters.is_voter(replica) && id != self.me.id {
                self.update_check_quorum_for_following_voter(id, io);
            }
        }
        let endpoints = self.leader_endpoint().map(|(id, endpoint)| {
            wire::NodeEndpoint::default()
                .with_node_id(WireBrokerId(id))
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(endpoint.port)
        });
        served.response.with_node_endpoints(endpoints.into_iter().collect())
    }

    // ── loaded ───────────────────────────────────────────────────────────────────────────────────────────────────
    /// The leader's log does not reach back to where this one ends. Source: `KafkaRaftClient.handleFetchResponse`.
    pub(super) fn begin_snapshot_fetch(&mut self, fetch: SnapshotFetch) -> Result<(), QuorumError> {
        let offset = fetch.id().end_offset;
        if let Some(high_watermark) = self.high_watermark.filter(|high_watermark| offset < *high_watermark)
            && QuorumRule::SnapshotHasEverythingCommitted.holds()
        {
            return Err(QuorumError::TruncationBelowHighWatermark { epoch: self.epoch, offset, high_watermark });
        }
        self.incoming = Some(Incoming::Fetching(fetch));
        Ok(())
    }

    /// The chunk to ask for, if a snapshot is being fetched.
    pub(super) fn fetch_snapshot_request(&self) -> Option<FetchSnapshotRequest> {
        match &self.incoming {
            Some(Incoming::Fetching(fetch)) => {
                let directory_id = self.me.wire_directory_id();
                Some(fetch.request(Some(&self.cluster_id), self.me.id, directory_id, self.epoch))
            }
            _ => None,
        }
    }

    /// While a snapshot is being written nothing is fetched: it is not clear yet where the log ends.
    pub(super) fn is_writing_incoming_snapshot(&self) -> bool {
        matches!(self.incoming, Some(Incoming::Writing(_)))
    }

    /// Source: `KafkaRaftClient.handleFetchSnapshotResponse`.
    pub(super) fn handle_fetch_snapshot_response(
        &mut self,
        response: &FetchSnapshotResponse,
        io: &mut Io<'_, '_>,
    ) -> Result<bool, QuorumError> {
        let (Some(partition), 0) = (SnapshotFetch::partition(response), response.error_code) else { return Ok(false) };
        let error = ResponseError::try_from_code(partition.error_code);
        let (leader, epoch) = (partition.current_leader.leader_id.0, partition.current_leader.leader_epoch);
        if let Some(handled) = self.maybe_handle_common_response(error, leader, epoch, io)? {
            return Ok(handled);
        }
        let Some(Incoming::Fetching(fetch)) = &mut self.incoming else { return Ok(false) };
        if error.is_some() && !SnapshotFetch::is_gone(partition.error_code) {
            self.incoming = None;
            return Ok(false);
        }
        match fetch.on_chunk(partition) {
            FetchProgress::More => {}
            FetchProgress::StartOver => self.incoming = None,
            FetchProgress::Complete(bytes) => {
                let id = fetch.id();
                let Snapshot { image, voters, .. } = decode(id, &bytes).map_err(StoreError::Snapshot)?;
                io.fx.charge(2_000 + bytes.len() as u64);
                self.snapshots.write(id, bytes, io.disk, io.fx)?;
                self.incoming = Some(Incoming::Writing(LoadedSnapshot { id, image, voters }));
            }
        }
        self.reset_fetch_timeout_for_successful_fetch(io);
        Ok(true)
    }

    /// The role changes: what came from the former leader is dropped.
    pub(super) fn drop_incoming_snapshot(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        if !QuorumRule::LeaderNeverLoadsASnapshot.holds() {
            return Ok(());
        }
        match self.incoming.take() {
            Some(Incoming::Writing(_)) => Ok(self.snapshots.give_up(io.disk)?),
            Some(Incoming::Fetching(_)) | None => Ok(()),
        }
    }

    /// The snapshot that was fetched is durable: log, high watermark and state begin anew at its end.
    fn load_snapshot(&mut self, id: SnapshotId, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let Some(Incoming::Writing(loaded)) = self.incoming.take() else { return Ok(()) };
        debug_assert!(matches!(self.role, Role::Follower { .. }), "only a follower loads a snapshot");
        if !snapshots::load(id, &mut self.log, &mut self.snapshots, io.disk)? {
            return Err(StoreError::NotInLog { id }.into());
        }
        self.tell(Event::SnapshotLoaded { end_offset: id.end_offset, epoch: id.epoch }, io.fx);
        self.begin_at_snapshot(loaded, io);
        self.sync_log_if_idle(io);
        self.reset_fetch_timeout_for_successful_fetch(io);
        Ok(())
    }

    /// The log begins at the end of this snapshot, and so does what the state machine replays. All of it is committed.
    pub(super) fn begin_at_snapshot(&mut self, loaded: LoadedSnapshot, io: &mut Io<'_, '_>) {
        let to = loaded.id.end_offset;
        self.tell(Event::MetadataLogStart { to }, io.fx);
        let from = self.high_watermark.unwrap_or(-1);
        if to > from {
            self.high_watermark = Some(to);
            self.tell(Event::MetadataHighWatermark { from, to }, io.fx);
        }
        self.begin_voters_at_snapshot(to, &loaded.voters, io);
        self.replayed_to = to;
        self.generator.reset(io.now.mono);
        self.loaded = Some(loaded);
        self.events.push(QuorumEvent::SnapshotLoaded);
    }

    /// The snapshot that [`QuorumEvent::SnapshotLoaded`] speaks of.
    pub fn take_loaded_snapshot(&mut self) -> Option<LoadedSnapshot> {
        self.loaded.take()
    }
}
