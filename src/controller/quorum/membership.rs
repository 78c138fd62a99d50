//! How is the set of voters changed? (AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter, KIP-853.)
//!
//! ```text
//!   AddRaftVoter ─▶ may it? ─▶ ask the new voter for its versions ─▶ is it caught up? ─▶ VotersRecord ─▶ committed ─▶ answer
//!   RemoveRaftVoter ─▶ may it? ─────────────────────────────────────────────────────────▶ VotersRecord ─▶ committed ─▶ answer
//!   UpdateRaftVoter ─▶ may it? ─────────────────────────────────────────────────────────▶ VotersRecord ─▶ answer
//! ```
//!
//! Source: `AddVoterHandler`, `RemoveVoterHandler`, `UpdateVoterHandler`, `LeaderState.maybeExpirePendingOperation`. The
//! level of kraft.version is 1 from the beginning on. Unlike Kafka, a leader that was removed resigns also if it has
//! forgotten the request meanwhile.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::update_raft_voter_request::{KRaftVersionFeature, Listener};
use kafka_protocol::messages::update_raft_voter_response::CurrentLeader;
use kafka_protocol::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, ApiVersionsRequest, ApiVersionsResponse, BrokerId as WireBrokerId,
    RemoveRaftVoterRequest, RemoveRaftVoterResponse, ResponseKind, UpdateRaftVoterRequest, UpdateRaftVoterResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::peers::Asked;
use super::role::Role;
use super::voters::ReplicaKey;
use super::{Io, Quorum, QuorumError};
use crate::conformance::QuorumRule;
use crate::controller::{Voter, api};
use crate::metadata::voters_record::{KRAFT_VERSION_LEVEL, LISTENER};
use crate::node::{Effects, Endpoint, Nanos, ReqId, ms};
use crate::protocol::versions;
use crate::zoo::Switch;

/// `LeaderState.isReplicaCaughtUp`: how long ago its last fetch may be.
const CAUGHT_UP_WITHIN_MS: i64 = 3_600_000;

/// A change of the voters that a leader is carrying out. At most one.
#[derive(Clone, Debug)]
pub(super) struct VoterChange {
    req: ReqId,
    kind: Kind,
    /// Offset of the set of voters, once it is appended.
    appended: Option<i64>,
    /// When it is given up.
    pub until: Nanos,
}

#[derive(Clone, Debug)]
enum Kind {
    Add { voter: Voter, is_asked: bool },
    Remove,
}

/// Why a change is refused.
struct Refusal(ResponseError, String);

impl VoterChange {
    fn response(&self, error: Option<ResponseError>, message: Option<String>) -> ResponseKind {
        match self.kind {
            Kind::Add { .. } => add_response(error, message).into(),
            Kind::Remove => remove_response(error, message).into(),
        }
    }
}

impl Quorum {
    // ── may it be changed? ───────────────────────────────────────────────────────────────────────────────────────
    /// What every change has to wait for: the change before, and that this leader knows what of the epochs before is
    /// committed. Else two sets could be in force of which a majority of the one has no voter in common with one of the
    /// other. Zoo: `reconfig-before-epoch-commit` does not wait for the own epoch's first commit.
    fn check_voter_change(&self) -> Result<(), Refusal> {
        let Role::Leader(leader) = &self.role else {
            return Err(Refusal(ResponseError::NotLeaderOrFollower, "this controller does not lead".to_string()));
        };
        let busy = |why: &str| Err(Refusal(ResponseError::RequestTimedOut, why.to_string()));
        if leader.voter_change.is_some() && QuorumRule::VoterChangesComeOneByOne.holds() {
            return busy("another change of the voters is under way");
        }
        let knows_what_is_committed = self.has_committed_in_own_epoch()
            || self.zoo.on(Switch::ReconfigBeforeEpochCommit)
            || !QuorumRule::VotersChangeAfterTheEpochsFirstCommit.holds();
        if !knows_what_is_committed {
            return busy("nothing of this leader's epoch is committed yet");
        }
        let is_committed = self.voters.offset() < self.high_watermark.unwrap_or(0);
        if !is_committed && QuorumRule::VotersChangeOnceTheFormerAreCommitted.holds() {
            return busy("the latest set of voters is not committed yet");
        }
        Ok(())
    }

    /// Source: the first checks of `KafkaRaftClient.handleAddVoterRequest`, `handleRemoveVoterRequest`.
    fn check_voter_request(&self, cluster_id: Option<&StrBytes>, voter: ReplicaKey) -> Result<(), Refusal> {
        if !self.is_valid_cluster_id(cluster_id) {
            return Err(Refusal(
                ResponseError::InconsistentClusterId,
                "the request is for another cluster".to_string(),
            ));
        }
        self.validate_leader_only_request(self.epoch).map_err(|error| {
            let why = "this controller does not lead the quorum";
            Refusal(error, why.to_string())
        })?;
        if voter.id < 0 || voter.directory_id.is_none() {
            let why = "a voter is named by its node id and its directory id";
            return Err(Refusal(ResponseError::InvalidRequest, why.to_string()));
        }
        Ok(())
    }

    // ── a voter more ─────────────────────────────────────────────────────────────────────────────────────────────
    /// Answers, or begins to add. Source: `AddVoterHandler.handleAddVoterRequest`.
    pub(super) fn handle_add_voter_request(&mut self, req: ReqId, request: &AddRaftVoterRequest, io: &mut Io<'_, '_>) {
        match self.check_add_voter(request, io.now.mono) {
            Ok(voter) => {
                self.meet(voter.id, &voter.endpoint, io);
                let kind = Kind::Add { voter, is_asked: false };
                self.begin_voter_change(req, kind, None, io);
            }
            Err(Refusal(error, message)) => {
                self.answer(req, add_response(Some(error), Some(message)).into(), io.fx);
            }
        }
    }

    fn check_add_voter(&self, request: &AddRaftVoterRequest, now: Nanos) -> Result<Voter, Refusal> {
        let key = ReplicaKey::of(request.voter_id, request.voter_directory_id);
        self.check_voter_request(request.cluster_id.as_ref(), key)?;
        let listener = request.listeners.iter().find(|listener| listener.name.as_str() == LISTENER);
        let Some(listener) = listener else {
            let why =
                format!("a voter is reached by the listener {LISTENER}, and the request does not tell where that is");
            return Err(Refusal(ResponseError::InvalidRequest, why));
        };
        self.check_voter_change()?;
        let endpoint = Endpoint { host: listener.host.to_string(), port: listener.port };
        let voter = Voter { id: key.id, directory_id: request.voter_directory_id, endpoint };
        if self.voters.add_voter(voter.clone()).is_none() {
            let why = format!("node {} is a voter already", voter.id);
            return Err(Refusal(ResponseError::DuplicateVoter, why));
        }
        let is_backing_off = self
            .peers
            .get(&voter.id)
            .is_some_and(|peer| *peer.endpoint() == voter.endpoint && peer.is_backing_off(now));
        if is_backing_off {
            let why = format!("node {} cannot be reached", voter.id);
            return Err(Refusal(ResponseError::RequestTimedOut, why));
        }
        Ok(voter)
    }

    fn begin_voter_change(&mut self, req: ReqId, kind: Kind, appended: Option<i64>, io: &mut Io<'_, '_>) {
        let until = io.now.mono.saturating_add(ms(self.peer_timeouts.request_timeout_ms));
        if let Role::Leader(leader) = &mut self.role {
            leader.voter_change = Some(VoterChange { req, kind, appended, until });
        }
    }

    /// Asks the new voter which levels of kraft.version it understands, as soon as it can be reached.
    pub(super) fn maybe_ask_new_voter(&mut self, io: &mut Io<'_, '_>) {
        let Role::Leader(leader) = &self.role else { return };
        let Some(VoterChange { kind: Kind::Add { voter, is_asked: false }, .. }) = &leader.voter_change else { return };
        let id = voter.id;
        let request = || ApiVersionsRequest::default().into();
        if self.send(id, versions::API_VERSIONS, Asked::ApiVersions, request, io)
            && let Role::Leader(leader) = &mut self.role
            && let Some(VoterChange { kind: Kind::Add { is_asked, .. }, .. }) = &mut leader.voter_change
        {
            *is_asked = true;
        }
    }

    /// The new voter has answered: it becomes one if it understands what is in force and has what the log had.
    /// Source: `AddVoterHandler.handleApiVersionsResponse`.
    pub(super) fn handle_api_versions_response(
        &mut self,
        from: i32,
        response: &ApiVersionsResponse,
        io: &mut Io<'_, '_>,
    ) -> Result<bool, QuorumError> {
        let Some(voter) = self.voter_being_added().filter(|voter| voter.id == from).cloned() else { return Ok(true) };
        if let Some(error) = ResponseError::try_from_code(response.error_code) {
            let why = format!("node {from} answered ApiVersions with {error}");
            self.end_voter_change(Some(ResponseError::RequestTimedOut), Some(why), io.fx);
            return Ok(false);
        }
        let mut features = response.supported_features.iter();
        let range = features.find(|feature| feature.name.as_str() == api::KRAFT_VERSION_FEATURE);
        let is_supported = range.is_some_and(|r| (r.min_version..=r.max_version).contains(&KRAFT_VERSION_LEVEL));
        if !is_supported && QuorumRule::NewVoterUnderstandsTheKraftVersion.holds() {
            let why = format!("node {from} does not support kraft.version {KRAFT_VERSION_LEVEL}");
            self.end_voter_change(Some(ResponseError::InvalidRequest), Some(why), io.fx);
            return Ok(true);
        }
        let key = ReplicaKey::of(voter.id, voter.directory_id);
        if !self.is_replica_caught_up(key, io.now.wall) && QuorumRule::NewVoterIsCaughtUp.holds() {
            let why = format!("node {from} has not caught up with the metadata log");
            self.end_voter_change(Some(ResponseError::RequestTimedOut), Some(why), io.fx);
            return Ok(true);
        }
        let Some(voters) = self.voters.add_voter(voter) else {
            let why = format!("node {from} is a voter already");
            self.end_voter_change(Some(ResponseError::DuplicateVoter), Some(why), io.fx);
            return Ok(true);
        };
        let offset = self.append_voters_record(voters, io)?;
        if let Role::Leader(leader) = &mut self.role
            && let Some(change) = &mut leader.voter_change
        {
            change.appended = Some(offset);
        }
        Ok(true)
    }

    /// It has fetched all there was at some time, and fetched within the last hour: what is still to come is little.
    /// Source: `LeaderState.isReplicaCaughtUp`.
    fn is_replica_caught_up(&self, key: ReplicaKey, wall: i64) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let progress = leader.observers.get(&key);
        progress.is_some_and(|p| {
            p.last_caught_up > 0 && p.last_fetch > 0 && p.last_fetch > wall.saturating_sub(CAUGHT_UP_WITHIN_MS)
        })
    }

    fn voter_being_added(&self) -> Option<&Voter> {
        let Role::Leader(leader) = &self.role else { return None };
        match leader.voter_change.as_ref()? {
            VoterChange { kind: Kind::Add { voter, .. }, appended: None, .. } => Some(voter),
            _ => None,
        }
    }

    /// The connection to this node is gone, or none came about.
    pub(super) fn on_unreachable(&mut self, id: i32, io: &mut Io<'_, '_>) {
        if self.voter_being_added().is_some_and(|voter| voter.id == id) {
            let why = format!("node {id} cannot be reached");
            self.end_voter_change(Some(ResponseError::RequestTimedOut), Some(why), io.fx);
        }
    }

    // ── a voter less ─────────────────────────────────────────────────────────────────────────────────────────────
    /// Answers, or removes. Source: `RemoveVoterHandler.handleRemoveVoterRequest`.
    pub(super) fn handle_remove_voter_request(
        &mut self,
        req: ReqId,
        request: &RemoveRaftVoterRequest,
        io: &mut Io<'_, '_>,
    ) -> Result<(), QuorumError> {
        let key = ReplicaKey::of(request.voter_id, request.voter_directory_id);
        let checked = self
            .check_voter_request(request.cluster_id.as_ref(), key)
            .and_then(|()| self.check_voter_change())
            .and_then(|()| {
                let why = || format!("node {} is no voter on that disk, or the only one", key.id);
                self.voters.remove_voter(key).ok_or_else(|| Refusal(ResponseError::VoterNotFound, why()))
            });
        match checked {
            Ok(voters) => {
                let offset = self.append_voters_record(voters, io)?;
                self.begin_voter_change(req, Kind::Remove, Some(offset), io);
            }
            Err(Refusal(error, message)) => {
                self.answer(req, remove_response(Some(error), Some(message)).into(), io.fx);
            }
        }
        Ok(())
    }

    // ── carried out ──────────────────────────────────────────────────────────────────────────────────────────────
    /// The change is answered when its set of voters is committed, or when its time is up: then it may be committed yet.
    /// Source: `AddVoterHandler.highWatermarkUpdated`, `LeaderState.maybeExpirePendingOperation`.
    pub(super) fn maybe_end_voter_change(&mut self, io: &mut Io<'_, '_>) {
        let Role::Leader(leader) = &self.role else { return };
        let Some(change) = &leader.voter_change else { return };
        let waits = QuorumRule::VoterChangeIsAnsweredOnceCommitted.holds();
        let is_committed = |offset: i64| self.high_watermark.is_some_and(|end| end > offset) || !waits;
        if change.appended.is_some_and(is_committed) {
            self.end_voter_change(None, None, io.fx);
        } else if change.until <= io.now.mono {
            let why = "the change of the voters was not committed in time";
            self.end_voter_change(Some(ResponseError::RequestTimedOut), Some(why.to_string()), io.fx);
        }
    }

    fn end_voter_change(&mut self, error: Option<ResponseError>, message: Option<String>, fx: &mut Effects<'_>) {
        if let Role::Leader(leader) = &mut self.role
            && let Some(change) = leader.voter_change.take()
        {
            self.answer(change.req, change.response(error, message), fx);
        }
    }

    /// It leads no more: what became of the change the next leader knows. Source: `LeaderState.close`.
    pub(super) fn refuse_voter_change(&mut self, change: Option<VoterChange>, io: &mut Io<'_, '_>) {
        if let Some(change) = change {
            let response = change.response(Some(ResponseError::NotLeaderOrFollower), None);
            self.answer(change.req, response, io.fx);
        }
    }

    /// Was this leader removed, for good? It leads on until then, since nobody else could commit that.
    /// Source: `RemoveVoterHandler.highWatermarkUpdated`.
    pub(super) fn is_removed(&self) -> bool {
        !self.is_voter()
            && self.has_committed_in_own_epoch()
            && self.high_watermark.is_some_and(|high_watermark| high_watermark > self.voters.offset())
            && QuorumRule::RemovedLeaderResigns.holds()
    }

    // ── a voter that moved ───────────────────────────────────────────────────────────────────────────────────────
    /// Does the set of voters name another endpoint than this voter has? Source: `VoterSet.voterNodeNeedsUpdate`.
    pub(super) fn needs_update(&self) -> bool {
        self.is_voter()
            && self.voters.endpoint(self.me.id) != Some(&self.endpoint)
            && QuorumRule::VoterTellsItsEndpoint.holds()
    }

    /// When a follower that moved tells so: some rounds of fetches after it began to follow.
    /// Source: `FollowerState.updateVoterPeriodMs`.
    pub(super) fn update_voter_period(&self) -> Nanos {
        self.timeouts.fetch.saturating_mul(3)
    }

    /// When that is next, unless it is due and waits for the call under way.
    pub(super) fn update_voter_deadline(&self) -> Option<Nanos> {
        Some(self.update_voter_at).filter(|_| self.needs_update() && !self.update_voter_is_due)
    }

    /// Tells the leader, once no call to it is under way; until then nothing else is asked of it. True if it is due.
    /// Source: `KafkaRaftClient.maybeSendUpdateVoterRequest`.
    pub(super) fn maybe_send_update_voter(&mut self, leader: i32, io: &mut Io<'_, '_>) -> bool {
        self.update_voter_is_due = self.update_voter_at <= io.now.mono && self.needs_update();
        if !self.update_voter_is_due {
            return false;
        }
        let listener = Listener::default()
            .with_name(StrBytes::from_static_str(LISTENER))
            .with_host(StrBytes::from_string(self.endpoint.host.clone()))
            .with_port(self.endpoint.port);
        let range = KRaftVersionFeature::default().with_max_supported_version(KRAFT_VERSION_LEVEL);
        let request = UpdateRaftVoterRequest::default()
            .with_cluster_id(Some(StrBytes::from_string(self.cluster_id.clone())))
            .with_current_leader_epoch(self.epoch)
            .with_voter_id(self.me.id)
            .with_voter_directory_id(self.me.wire_directory_id())
            .with_listeners(vec![listener])
            .with_k_raft_version_feature(range);
        if self.send(leader, versions::UPDATE_RAFT_VOTER, Asked::UpdateVoter, || request.into(), io) {
            self.update_voter_at = io.now.mono.saturating_add(self.update_voter_period());
            self.update_voter_is_due = false;
        }
        true
    }

    /// Source: `UpdateVoterHandler.handleUpdateVoterRequest`. Answered at once: nobody waits for it.
    pub(super) fn handle_update_voter_request(
        &mut self,
        request: &UpdateRaftVoterRequest,
        io: &mut Io<'_, '_>,
    ) -> Result<UpdateRaftVoterResponse, QuorumError> {
        match self.check_update_voter(request) {
            Ok(voters) => {
                self.append_voters_record(voters, io)?;
                Ok(self.update_response(None))
            }
            Err(Refusal(error, _)) => Ok(self.update_response(Some(error))),
        }
    }

    fn check_update_voter(&self, request: &UpdateRaftVoterRequest) -> Result<super::VoterSet, Refusal> {
        let refused = |error| Refusal(error, String::new());
        if !self.is_valid_cluster_id(request.cluster_id.as_ref()) {
            return Err(refused(ResponseError::InconsistentClusterId));
        }
        self.validate_leader_only_request(request.current_leader_epoch).map_err(refused)?;
        let key = ReplicaKey::of(request.voter_id, request.voter_directory_id);
        let listener = request.listeners.iter().find(|listener| listener.name.as_str() == LISTENER);
        let range = &request.k_raft_version_feature;
        let (least, greatest) = (range.min_supported_version, range.max_supported_version);
        let (Some(listener), true) =
            (listener, key.id >= 0 && key.directory_id.is_some() && 0 <= least && least <= greatest)
        else {
            return Err(refused(ResponseError::InvalidRequest));
        };
        self.check_voter_change()?;
        if !(least..=greatest).contains(&KRAFT_VERSION_LEVEL) {
            return Err(refused(ResponseError::InvalidRequest));
        }
        let endpoint = Endpoint { host: listener.host.to_string(), port: listener.port };
        let voter = Voter { id: key.id, directory_id: request.voter_directory_id, endpoint };
        self.voters.update_voter(voter).ok_or_else(|| refused(ResponseError::VoterNotFound))
    }

    fn update_response(&self, error: Option<ResponseError>) -> UpdateRaftVoterResponse {
        let leader = self.leader_endpoint().map_or_else(
            || CurrentLeader::default().with_leader_id(WireBrokerId(-1)),
            |(id, endpoint)| {
                CurrentLeader::default()
                    .with_leader_id(WireBrokerId(id))
                    .with_host(StrBytes::from_string(endpoint.host.clone()))
                    .with_port(i32::from(endpoint.port))
            },
        );
        let leader = leader.with_leader_epoch(self.epoch);
        UpdateRaftVoterResponse::default()
            .with_error_code(error.map_or(0, |error| error.code()))
            .with_current_leader(leader)
    }

    /// Source: `KafkaRaftClient.handleUpdateVoterResponse`.
    pub(super) fn handle_update_voter_response(
        &mut self,
        response: &UpdateRaftVoterResponse,
        io: &mut Io<'_, '_>,
    ) -> Result<bool, QuorumError> {
        let error = ResponseError::try_from_code(response.error_code);
        let (leader, epoch) = (response.current_leader.leader_id.0, response.current_leader.leader_epoch);
        let handled = self.maybe_handle_common_response(error, leader, epoch, io)?;
        Ok(handled.unwrap_or(error.is_none()))
    }
}

fn add_response(error: Option<ResponseError>, message: Option<String>) -> AddRaftVoterResponse {
    AddRaftVoterResponse::default()
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_error_message(message.map(StrBytes::from_string))
}

fn remove_response(error: Option<ResponseError>, message: Option<String>) -> RemoveRaftVoterResponse {
    RemoveRaftVoterResponse::default()
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_error_message(message.map(StrBytes::from_string))
}
