//! What does a leader do? It opens its epoch, counts what the voters have, and watches that a majority listens.
//! (`LeaderState`, `KafkaRaftClient.onBecomeLeader`, `pollLeader`.)

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::leader_change_message::Voter as WireVoter;
use kafka_protocol::messages::{BrokerId as WireBrokerId, LeaderChangeMessage};
use kafka_protocol::protocol::Encodable;
use trial_storage::{BuildOptions, NewRecord, build_batch};

use super::membership::VoterChange;
use super::role::Role;
use super::voters::{ReplicaKey, VoterSet};
use super::{Io, Quorum, QuorumError, QuorumEvent};
use crate::conformance::QuorumRule;
use crate::controller::Voter;
use crate::event::Event;
use crate::metadata::MetadataRecord;
use crate::metadata::voters_record::{KRAFT_VERSION, KRAFT_VOTERS, control_key, encode_kraft_version, encode_voters};
use crate::node::{Millis, Nanos, Now};
use crate::zoo::Switch;

/// `ControlRecordType.LEADER_CHANGE`.
const LEADER_CHANGE: i16 = 2;
/// Silence after which an observer is forgotten (`LeaderState.OBSERVER_SESSION_TIMEOUT_MS`).
const OBSERVER_SESSION_TIMEOUT: Nanos = crate::node::ms(300_000);

/// What a leader knows of a replica, from its fetches. Source: `LeaderState.ReplicaState`.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplicaProgress {
    /// `None` until it fetched in this epoch.
    pub end_offset: Option<i64>,
    /// When it was heard last, in monotonic time.
    pub heard: Option<Nanos>,
    /// Wall time of its last fetch, -1 if there was none.
    pub last_fetch: Millis,
    /// Wall time at which it last had everything, -1 if never.
    pub last_caught_up: Millis,
    /// The leader's log end at its last fetch.
    leader_end_at_last_fetch: i64,
}

impl ReplicaProgress {
    fn unknown() -> Self {
        ReplicaProgress { last_fetch: -1, last_caught_up: -1, ..ReplicaProgress::default() }
    }

    /// A replica that has reached now what the leader had at its fetch before was caught up at that time.
    /// Source: `LeaderState.ReplicaState.updateFollowerState`.
    fn fetched(&mut self, now: Now, offset: i64, leader_end_offset: i64) {
        if offset >= leader_end_offset {
            self.last_caught_up = self.last_caught_up.max(now.wall);
        } else if self.leader_end_at_last_fetch > 0 && offset >= self.leader_end_at_last_fetch {
            self.last_caught_up = self.last_caught_up.max(self.last_fetch);
        }
        self.last_fetch = self.last_fetch.max(now.wall);
        self.end_offset = Some(offset);
        self.heard = Some(now.mono);
        self.leader_end_at_last_fetch = leader_end_offset;
    }
}

/// What only a leader knows.
#[derive(Clone, Debug)]
pub(super) struct LeaderState {
    /// Offset of the LeaderChange record; `None` until that it leads is durable and the record appended.
    pub epoch_start_offset: Option<i64>,
    granted_by: Vec<i32>,
    /// Of the voters, itself included if it is one.
    pub voters: BTreeMap<i32, ReplicaProgress>,
    /// Of the others, itself included if it is no voter any more.
    pub observers: BTreeMap<ReplicaKey, ReplicaProgress>,
    /// Voters that fetched since the last time enough of them had.
    pub fetched_voters: BTreeSet<i32>,
    /// When it resigns unless enough voters have fetched by then; never with one voter.
    pub check_quorum_at: Option<Nanos>,
    /// When it next tells silent voters that it leads.
    begin_quorum_epoch_at: Option<Nanos>,
    /// Those that are to be told and cannot be reached yet.
    to_be_told: BTreeSet<i32>,
    /// A change of the voters that is under way.
    pub voter_change: Option<VoterChange>,
}

impl LeaderState {
    pub fn new(granted_by: Vec<i32>, voters: &VoterSet, me: ReplicaKey, now: Nanos, fetch_timeout: Nanos) -> Self {
        let is_alone = voters.is_only_voter(me);
        LeaderState {
            epoch_start_offset: None,
            granted_by,
            voters: voters.iter().map(|voter| (voter.id, ReplicaProgress::unknown())).collect(),
            observers: BTreeMap::new(),
            fetched_voters: BTreeSet::new(),
            check_quorum_at: (!is_alone).then(|| now.saturating_add(check_quorum_timeout(fetch_timeout))),
            begin_quorum_epoch_at: (!is_alone).then_some(now),
            to_be_told: BTreeSet::new(),
            voter_change: None,
        }
    }
    pub fn next_deadline(&self) -> Option<Nanos> {
        let voter_change = self.voter_change.as_ref().map(|change| change.until);
        [self.check_quorum_at, self.begin_quorum_epoch_at, voter_change].into_iter().flatten().min()
    }

    /// Who has most comes first. Source: `LeaderState.nonLeaderVotersByDescendingFetchOffset`.
    pub fn voters_by_descending_end_offset(&self, voters: &VoterSet, me: i32) -> Vec<ReplicaKey> {
        let mut others: Vec<(i64, i32)> = self
            .voters
            .iter()
            .filter(|(id, _)| **id != me)
            .map(|(id, progress)| match QuorumRule::BestSuccessorComesFirst.holds() {
                true => (-progress.end_offset.unwrap_or(-1), *id),
                false => (0, *id),
            })
            .collect();
        others.sort_unstable();
        others.into_iter().map(|(_, id)| ReplicaKey { id, directory_id: voters.directory_id(id) }).collect()
    }

    /// The offset that more than half of the voters have reached. `besides`: of a leader that counts though it is none.
    fn majority_end_offset(&self, besides: Option<i64>) -> i64 {
        let mut ends: Vec<i64> = self.voters.values().map(|voter| voter.end_offset.unwrap_or(-1)).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(own) = besides {
            // It takes the place of the slowest.
            ends.pop();
            ends.push(own);
            ends.sort_unstable_by(|a, b| b.cmp(a));
        }
        let nth = if QuorumRule::MajorityCommits.holds() { ends.len() / 2 } else { 0 };
        ends.get(nth).copied().unwrap_or(-1)
    }
}

/// Source: `LeaderState.CHECK_QUORUM_TIMEOUT_FACTOR`.
fn check_quorum_timeout(fetch_timeout: Nanos) -> Nanos {
    fetch_timeout.saturating_add(fetch_timeout / 2)
}

impl Quorum {
    /// Source: `KafkaRaftClient.pollLeader`.
    pub(super) fn poll_leader(&mut self, io: &mut Io<'_, '_>) -> Result<bool, QuorumError> {
        let Role::Leader(leader) = &self.role else { return Ok(false) };
        if leader.epoch_start_offset.is_none() {
            self.open_epoch(io)?;
            return Ok(true);
        }
        let is_silent = leader.check_quorum_at.is_some_and(|at| at <= io.now.mono);
        self.maybe_end_voter_change(io);
        if self.is_removed() {
            self.transition_to_resigned("it is no voter any more", io)?;
            return Ok(true);
        }
        if self.shutdown_at.is_some() && !self.voters.is_only_voter(self.me) {
            self.transition_to_resigned("it shuts down", io)?;
            return Ok(true);
        }
        if is_silent {
            return self.on_check_quorum_expired(io);
        }
        self.maybe_send_begin_quorum_epoch_requests(io);
        self.maybe_ask_new_voter(io);
        Ok(false)
    }

    /// Too few voters have fetched for one and a half fetch timeouts: it may be cut off, and another may lead already.
    /// Source: `LeaderState.timeUntilCheckQuorumExpires`. Zoo: `raft-no-check-quorum` (KAFKA-15489) goes on for ever.
    fn on_check_quorum_expired(&mut self, io: &mut Io<'_, '_>) -> Result<bool, QuorumError> {
        if self.zoo.on(Switch::RaftNoCheckQuorum) || !QuorumRule::LeaderWithoutFetchesResigns.holds() {
            if let Role::Leader(leader) = &mut self.role {
                leader.check_quorum_at = None;
            }
        } else {
            self.transition_to_resigned("no majority of the voters fetches from it", io)?;
        }
        Ok(true)
    }

    /// That it leads is durable: the epoch's first record is a control record that tells so. With it, everything before
    /// becomes committable. Source: `KafkaRaftClient.onBecomeLeader`, `LeaderState.appendLeaderChangeMessageAndBootstrapRecords`.
    fn open_epoch(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let Role::Leader(leader) = &self.role else { return Ok(()) };
        let granted_by = leader.granted_by.clone();
        let control = |kind: i16, value: Bytes| NewRecord {
            timestamp: io.now.wall,
            key: Some(control_key(kind)),
            value: Some(value),
            headers: vec![],
        };
        let mut records = vec![control(LEADER_CHANGE, self.leader_change(&granted_by))];
        let moved = self.voters_with_own_endpoint();
        if let Some(voters) = &moved {
            records.push(control(KRAFT_VERSION, encode_kraft_version()));
            records.push(control(KRAFT_VOTERS, encode_voters(voters.iter())));
        }
        let batch = build_batch(&records, BuildOptions { control: true, ..BuildOptions::default() });
        let epoch_start_offset = self.log.log_end_offset();
        self.tell(Event::BecameQuorumLeader { epoch: self.epoch, epoch_start_offset, granted_by }, io.fx);
        let epoch = self.epoch;
        if QuorumRule::EpochBeginsWithARecord.holds() {
            let appended = self.log.append_control_as_leader(io.disk, batch, epoch)?;
            let (first_offset, last_offset) = (appended.first_offset, appended.last_offset);
            self.tell(Event::MetadataAppended { first_offset, last_offset, epoch, as_leader: true }, io.fx);
            if let Some(voters) = moved {
                self.take_voters(last_offset, voters, io);
            }
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.epoch_start_offset = Some(epoch_start_offset);
        }
        self.events.push(QuorumEvent::BecameLeader { epoch });
        self.after_append(io);
        Ok(())
    }

    /// Zoo: `raft-resume-leader-same-epoch` (KAFKA-10527). The epoch's first record is taken to be there.
    pub(super) fn resume_leadership(&mut self, io: &mut Io<'_, '_>) {
        let mut leader = LeaderState::new(vec![], &self.voters, self.me, io.now.mono, self.timeouts.fetch);
        let start = self.log.epochs().iter().find(|entry| entry.epoch == self.epoch).map(|entry| entry.start_offset);
        let epoch_start_offset = start.unwrap_or(self.log.log_end_offset());
        leader.epoch_start_offset = Some(epoch_start_offset);
        self.leader_id = Some(self.me.id);
        self.role = Role::Leader(Box::new(leader));
        let (epoch, granted_by) = (self.epoch, vec![]);
        self.tell(Event::BecameQuorumLeader { epoch, epoch_start_offset, granted_by }, io.fx);
        self.events.push(QuorumEvent::BecameLeader { epoch });
    }

    /// A leader that is reached elsewhere than the voters know begins its epoch with telling so.
    /// Source: `LeaderState.appendStartOfEpochControlRecords`.
    fn voters_with_own_endpoint(&self) -> Option<VoterSet> {
        let directory_id = self.me.directory_id.filter(|_| self.needs_update())?;
        self.voters.update_voter(Voter { id: self.me.id, directory_id, endpoint: self.endpoint.clone() })
    }

    fn leader_change(&self, granted_by: &[i32]) -> Bytes {
        let voter = |id: i32| {
            WireVoter::default()
                .with_voter_id(id)
                .with_voter_directory_id(self.voters.directory_id(id).unwrap_or_default())
        };
        let message = LeaderChangeMessage::default()
            .with_version(1)
            .with_leader_id(WireBrokerId(self.me.id))
            .with_voters(self.voters.iter().map(|v| voter(v.id)).collect())
            .with_granting_voters(granted_by.iter().map(|id| voter(*id)).collect());
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes, 1).expect("version 1 holds every field set here");
        bytes.freeze()
    }

    /// Appends records as one batch, which becomes readable all at once. Gives the offset of the first. They are
    /// committed when [`QuorumEvent::Committed`] says so. Only a leader whose epoch is open may.
    pub fn append(&mut self, records: &[MetadataRecord], io: &mut Io<'_, '_>) -> Result<i64, QuorumError> {
        let new = |record: &MetadataRecord| NewRecord {
            timestamp: io.now.wall,
            value: Some(record.encode()),
            ..NewRecord::default()
        };
        let records: Vec<NewRecord> = records.iter().map(new).collect();
        let batch = build_batch(&records, BuildOptions::default());
        let appended = self.log.append_control_as_leader(io.disk, batch, self.epoch)?;
        let (first_offset, last_offset, epoch) = (appended.first_offset, appended.last_offset, self.epoch);
        self.tell(Event::MetadataAppended { first_offset, last_offset, epoch, as_leader: true }, io.fx);
        self.after_append(io);
        Ok(appended.first_offset)
    }

    pub(super) fn after_append(&mut self, io: &mut Io<'_, '_>) {
        self.sync_log_if_idle(io);
        if self.counts_what_is_written() {
            self.update_local_state(io);
        }
        self.complete_fetches(io);
    }

    /// The leader counts itself with what it has synced. Source: `LeaderState.updateLocalState`.
    pub(super) fn update_local_state(&mut self, io: &mut Io<'_, '_>) {
        let synced = self.synced_end_offset();
        if let Role::Leader(leader) = &mut self.role
            && let Some(own) = match leader.voters.contains_key(&self.me.id) {
                true => leader.voters.get_mut(&self.me.id),
                false => leader.observers.get_mut(&self.me),
            }
        {
            own.end_offset = Some(synced);
        }
        if self.maybe_update_high_watermark(io) {
            self.complete_fetches(io);
        }
    }

    /// A valid fetch came from this replica at this offset: it has everything before.
    /// Source: `LeaderState.updateReplicaState`.
    pub(super) fn update_replica_state(&mut self, replica: ReplicaKey, offset: i64, io: &mut Io<'_, '_>) {
        let leader_end_offset = self.log.log_end_offset();
        let is_voter = self.voters.is_voter(replica) && replica.id != self.me.id;
        let Role::Leader(leader) = &mut self.role else { return };
        if replica.id < 0 || replica.id == self.me.id {
            return;
        }
        if is_voter {
            if let Some(progress) = leader.voters.get_mut(&replica.id) {
                progress.fetched(io.now, offset, leader_end_offset);
            }
            self.update_check_quorum_for_following_voter(replica.id, io);
        } else {
            let fresh = |p: &ReplicaProgress| {
                p.heard.is_some_and(|heard| heard.saturating_add(OBSERVER_SESSION_TIMEOUT) >= io.now.mono)
            };
            leader.observers.retain(|key, progress| *key == self.me || fresh(progress));
            let progress = leader.observers.entry(replica).or_insert_with(ReplicaProgress::unknown);
            progress.fetched(io.now, offset, leader_end_offset);
        }
    }

    /// Enough of the other voters have fetched: the clock starts anew.
    /// Source: `LeaderState.updateCheckQuorumForFollowingVoter`.
    pub(super) fn update_check_quorum_for_following_voter(&mut self, voter: i32, io: &mut Io<'_, '_>) {
        // A leader that is no voter any more does not count (KAFKA-16530).
        let counts_itself = self.is_voter() || !QuorumRule::RemovedLeaderNeedsAMajorityOfOthers.holds();
        let enough = self.voters.len() / 2 + 1 - usize::from(counts_itself);
        let timeout = check_quorum_timeout(self.timeouts.fetch);
        let Role::Leader(leader) = &mut self.role else { return };
        leader.fetched_voters.insert(voter);
        if leader.check_quorum_at.is_some() && leader.fetched_voters.len() >= enough {
            leader.fetched_voters.clear();
            leader.check_quorum_at = Some(io.now.mono.saturating_add(timeout));
        }
    }

    /// What more than half of the voters have is committed, but only with a record of the own epoch: an older one could
    /// still be overwritten by a leader that this majority elects (Raft, figure 8). Never goes back.
    /// Source: `LeaderState.maybeUpdateHighWatermark`. Zoo: `raft-commit-old-epoch` (KAFKA-12619) takes the epoch's start
    /// itself for enough. True if it moved.
    pub(super) fn maybe_update_high_watermark(&mut self, io: &mut Io<'_, '_>) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        let Some(epoch_start_offset) = leader.epoch_start_offset else { return false };
        let to = leader.majority_end_offset(self.end_offset_besides_the_voters());
        let covers_own_epoch = to > epoch_start_offset
            || to == epoch_start_offset && self.zoo.on(Switch::RaftCommitOldEpoch)
            || !QuorumRule::OwnEpochCommitsTheOlder.holds();
        let from = self.high_watermark.unwrap_or(-1);
        let rises = to > from || to != from && !QuorumRule::HighWatermarkNeverGoesBack.holds();
        if !covers_own_epoch || !rises {
            return false;
        }
        self.high_watermark = Some(to);
        self.tell(Event::MetadataHighWatermark { from, to }, io.fx);
        self.events.push(QuorumEvent::Committed { high_watermark: to });
        true
    }

    /// A leader that is no voter any more does not count for the high watermark. Source: KAFKA-16530.
    /// Zoo: `hw-assumes-leader-is-voter` counts it nevertheless.
    fn end_offset_besides_the_voters(&self) -> Option<i64> {
        let counts = self.zoo.on(Switch::HwAssumesLeaderIsVoter) || !QuorumRule::RemovedLeaderDoesNotCount.holds();
        Some(self.synced_end_offset()).filter(|_| counts && !self.is_voter())
    }

    /// Other voters are in force: what is known of each replica stays with it. A leader that was alone waits for fetches
    /// from now on. Source: `LeaderState.updateVoterAndObserverStates`.
    pub(super) fn update_voter_and_observer_states(&mut self, before: &VoterSet, io: &mut Io<'_, '_>) {
        let is_alone = self.voters.is_only_voter(self.me);
        let timeout = check_quorum_timeout(self.timeouts.fetch);
        let Role::Leader(leader) = &mut self.role else { return };
        let mut known = std::mem::take(&mut leader.observers);
        for (id, progress) in std::mem::take(&mut leader.voters) {
            known.insert(ReplicaKey { id, directory_id: before.directory_id(id) }, progress);
        }
        for voter in self.voters.iter() {
            let key = ReplicaKey::of(voter.id, voter.directory_id);
            leader.voters.insert(voter.id, known.remove(&key).unwrap_or_else(ReplicaProgress::unknown));
        }
        leader.observers = known;
        leader.fetched_voters.retain(|id| leader.voters.contains_key(id));
        leader.to_be_told.retain(|id| leader.voters.contains_key(id));
        let from_now_on = io.now.mono.saturating_add(timeout);
        leader.check_quorum_at = (!is_alone).then(|| leader.check_quorum_at.unwrap_or(from_now_on));
        leader.begin_quorum_epoch_at = (!is_alone).then(|| leader.begin_quorum_epoch_at.unwrap_or(io.now.mono));
    }

    /// Is every record of former epochs committed? Only then may the state machine act: before, it could not tell which
    /// of them count. Source: `KafkaRaftClient.maybeFireLeaderChange`.
    pub fn has_committed_in_own_epoch(&self) -> bool {
        match &self.role {
            Role::Leader(leader) => leader
                .epoch_start_offset
                .is_some_and(|start| self.high_watermark.is_some_and(|high_watermark| high_watermark > start)),
            _ => false,
        }
    }

    /// Voters that have not fetched for half a fetch timeout may not know who leads.
    /// Source: `KafkaRaftClient.maybeSendBeginQuorumEpochRequests`.
    fn maybe_send_begin_quorum_epoch_requests(&mut self, io: &mut Io<'_, '_>) {
        let interval = self.timeouts.fetch / 2;
        let me = self.me.id;
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.begin_quorum_epoch_at.is_some_and(|at| at <= io.now.mono) {
            let is_silent =
                |p: &ReplicaProgress| p.heard.is_none_or(|heard| heard.saturating_add(interval) <= io.now.mono);
            let is_told = QuorumRule::LeaderTellsSilentVoters.holds();
            let silent = leader.voters.iter().filter(|(id, progress)| **id != me && is_silent(progress) && is_told);
            leader.to_be_told = silent.map(|(id, _)| *id).collect();
            leader.begin_quorum_epoch_at = Some(io.now.mono.saturating_add(interval.max(1)));
        }
        for voter in leader.to_be_told.clone() {
            let is_sent = self.send_begin_quorum_epoch(voter, io);
            if is_sent && let Role::Leader(leader) = &mut self.role {
                leader.to_be_told.remove(&voter);
            }
        }
    }
}
