//! Who wins? (`EpochElection`, `ProspectiveState`, `CandidateState`, KIP-595, KIP-996.)

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::vote_request::{PartitionData, TopicData};
use kafka_protocol::messages::{BrokerId as WireBrokerId, TopicName, VoteRequest, VoteResponse};
use kafka_protocol::protocol::StrBytes;

use super::leader::LeaderState;
use super::peers::Asked;
use super::role::Role;
use super::state_file::ElectionState;
use super::{Io, Quorum, QuorumError};
use crate::conformance::QuorumRule;
use crate::event::Event;
use crate::metadata::METADATA_TOPIC;
use crate::node::{Nanos, RandomFor, ms};
use crate::protocol::versions;
use crate::zoo::Switch;

/// `KafkaRaftClient.RETRY_BACKOFF_BASE_MS`.
const RETRY_BACKOFF_BASE: Nanos = ms(100);

/// What each voter said. Source: `EpochElection`.
#[derive(Clone, Debug)]
pub(super) struct Election {
    /// `None`: nothing yet.
    votes: BTreeMap<i32, Option<bool>>,
}

impl Election {
    pub fn new(voters: impl Iterator<Item = i32>) -> Self {
        Election { votes: voters.map(|id| (id, None)).collect() }
    }
    /// The last word counts.
    pub fn record(&mut self, voter: i32, granted: bool) {
        if let Some(vote) = self.votes.get_mut(&voter) {
            *vote = Some(granted);
        }
    }
    fn count(&self, said: Option<bool>) -> usize {
        self.votes.values().filter(|vote| **vote == said).count()
    }
    fn majority(&self) -> usize {
        if QuorumRule::MajorityElects.holds() { self.votes.len() / 2 + 1 } else { 1 }
    }
    /// More than half said yes.
    pub fn is_granted(&self) -> bool {
        self.count(Some(true)) >= self.majority()
    }
    /// Even if all others said yes it would not be enough.
    pub fn is_rejected(&self) -> bool {
        self.count(Some(true)) + self.count(None) < self.majority()
    }
    /// Those to be asked still.
    pub fn unrecorded(&self) -> Vec<i32> {
        self.votes.iter().filter(|(_, vote)| vote.is_none()).map(|(id, _)| *id).collect()
    }
    /// Those that said yes.
    pub fn granted_by(&self) -> Vec<i32> {
        self.votes.iter().filter(|(_, vote)| **vote == Some(true)).map(|(id, _)| *id).collect()
    }
}

impl Quorum {
    fn new_election(&self) -> Election {
        let mut election = Election::new(self.voters.iter().map(|voter| voter.id));
        election.record(self.me.id, true);
        election
    }

    /// The time is up: asks first whether it could win, so as not to raise the epoch in vain.
    /// Source: KIP-996. Zoo: `raft-no-prevote` raises the epoch at once.
    pub(super) fn begin_election(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        if self.zoo.on(Switch::RaftNoPrevote) || !QuorumRule::PreVoteComesFirst.holds() {
            self.transition_to_candidate(io)
        } else {
            self.transition_to_prospective(io)
        }
    }

    /// How many elections in a row this would be.
    fn retries(&self) -> u32 {
        match &self.role {
            Role::Candidate { retries, .. } => retries.saturating_add(1),
            Role::Prospective { retries, .. } => *retries,
            _ => 1,
        }
    }

    /// Epoch, leader and vote stay. Source: `QuorumState.transitionToProspective`.
    pub(super) fn transition_to_prospective(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let role = Role::Prospective {
            election: self.new_election(),
            until: io.now.mono.saturating_add(self.random_election_timeout(io)),
            retries: self.retries(),
        };
        let state = ElectionState { epoch: self.epoch, leader_id: self.leader_id, voted: self.voted };
        self.transition_to(role, state, io)?;
        self.reset_connections(io);
        self.tell(Event::BecameProspective { epoch: self.epoch }, io.fx);
        Ok(())
    }

    /// Raises the epoch and votes for itself. Source: `QuorumState.transitionToCandidate`.
    fn transition_to_candidate(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let retries = self.retries();
        let epoch = self.epoch.checked_add(1).ok_or(QuorumError::EpochsExhausted(self.epoch))?;
        let role = self.candidate(io, retries);
        self.transition_to(role, ElectionState { epoch, leader_id: None, voted: Some(self.me) }, io)?;
        self.reset_connections(io);
        self.tell(Event::BecameCandidate { epoch }, io.fx);
        Ok(())
    }

    fn candidate(&self, io: &mut Io<'_, '_>, retries: u32) -> Role {
        let until = match QuorumRule::CandidateTriesAgain.holds() {
            true => io.now.mono.saturating_add(self.random_election_timeout(io)),
            false => Nanos::MAX,
        };
        Role::Candidate { election: self.new_election(), until, retries, backing_off_until: None }
    }

    /// Goes on standing in the epoch in which it had voted for itself before its restart.
    pub(super) fn stand(&mut self, io: &mut Io<'_, '_>, retries: u32) {
        self.role = self.candidate(io, retries);
        self.tell(Event::BecameCandidate { epoch: self.epoch }, io.fx);
    }

    /// Source: `KafkaRaftClient.pollProspective`. A prospective that loses or times out goes back to the leader it knew,
    /// or waits for one.
    pub(super) fn poll_prospective(&mut self, io: &mut Io<'_, '_>) -> Result<bool, QuorumError> {
        let Role::Prospective { election, until, .. } = &self.role else { return Ok(false) };
        let (granted, rejected, until) = (election.is_granted(), election.is_rejected(), *until);
        if self.shutdown_at.is_some() {
            return Ok(false);
        }
        if granted && QuorumRule::MajorityOfPreVotesMakesACandidate.holds() {
            self.transition_to_candidate(io)?;
            return Ok(true);
        }
        if rejected || until <= io.now.mono {
            match self.leader_id.filter(|id| *id != self.me.id && self.can_reach(*id)) {
                Some(leader) => self.transition_to_follower(self.epoch, leader, io)?,
                None => self.transition_to_unattached(self.epoch, self.leader_id, io)?,
            }
            return Ok(true);
        }
        self.send_vote_requests(true, io);
        Ok(false)
    }

    /// Source: `KafkaRaftClient.pollCandidate`. One that has lost waits before it tries again, longer each time.
    pub(super) fn poll_candidate(&mut self, io: &mut Io<'_, '_>) -> Result<bool, QuorumError> {
        let Role::Candidate { election, until, retries, backing_off_until } = &self.role else { return Ok(false) };
        let (until, retries, backing_off_until) = (*until, *retries, *backing_off_until);
        if election.is_granted() {
            self.transition_to_leader(io)?;
            return Ok(true);
        }
        if self.shutdown_at.is_some() {
            return Ok(false);
        }
        let rejected = election.is_rejected();
        if backing_off_until.unwrap_or(until) <= io.now.mono {
            self.begin_election(io)?;
            return Ok(true);
        }
        if rejected && backing_off_until.is_none() && QuorumRule::LoserBacksOff.holds() {
            let pause = self.binary_exponential_election_backoff(retries, io);
            if let Role::Candidate { backing_off_until, .. } = &mut self.role {
                *backing_off_until = Some(io.now.mono.saturating_add(pause));
            }
            return Ok(true);
        }
        self.send_vote_requests(false, io);
        Ok(false)
    }

    /// Source: `KafkaRaftClient.binaryExponentialElectionBackoffMs`.
    fn binary_exponential_election_backoff(&self, retries: u32, io: &mut Io<'_, '_>) -> Nanos {
        let steps = io.fx.random_below(RandomFor::Election, 2 << retries.saturating_sub(1).min(20));
        RETRY_BACKOFF_BASE.saturating_mul(steps).min(self.timeouts.backoff_max)
    }

    /// A majority voted for it. That it leads must be durable before the first record, or after a restart it would lead
    /// this epoch a second time. Source: `QuorumState.transitionToLeader`.
    fn transition_to_leader(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let Role::Candidate { election, .. } = &self.role else { return Ok(()) };
        let leader = LeaderState::new(election.granted_by(), &self.voters, self.me, io.now.mono, self.timeouts.fetch);
        let state = ElectionState { epoch: self.epoch, leader_id: Some(self.me.id), voted: self.voted };
        self.transition_to(Role::Leader(Box::new(leader)), state, io)?;
        self.reset_connections(io);
        Ok(())
    }

    /// A vote is given for a log, which must not shrink once it was told: Kafka's thread has flushed whatever it appended
    /// before it goes on (`KafkaRaftClient.appendAsFollower`). The end of the sync asks again.
    fn send_vote_requests(&mut self, pre_vote: bool, io: &mut Io<'_, '_>) {
        if self.synced_end_offset() < self.log.log_end_offset() {
            return;
        }
        let (Role::Prospective { election, .. } | Role::Candidate { election, .. }) = &self.role else { return };
        for voter in election.unrecorded() {
            let request = self.vote_request(voter, pre_vote);
            self.send(voter, versions::VOTE, Asked::Vote, || request.into(), io);
        }
    }

    fn vote_request(&self, voter: i32, pre_vote: bool) -> VoteRequest {
        let partition = PartitionData::default()
            .with_replica_epoch(self.epoch)
            .with_replica_id(WireBrokerId(self.me.id))
            .with_replica_directory_id(self.me.wire_directory_id())
            .with_voter_directory_id(self.voters.directory_id(voter).unwrap_or_default())
            .with_last_offset_epoch(self.last_fetched_epoch())
            .with_last_offset(self.log.log_end_offset())
            .with_pre_vote(pre_vote);
        VoteRequest::default()
            .with_cluster_id(Some(StrBytes::from_string(self.cluster_id.clone())))
            .with_voter_id(WireBrokerId(voter))
            .with_topics(vec![
                TopicData::default()
                    .with_topic_name(TopicName(StrBytes::from_static_str(METADATA_TOPIC)))
                    .with_partitions(vec![partition]),
            ])
    }

    /// Source: `KafkaRaftClient.handleVoteResponse`. True if the request was handled, whatever was said.
    pub(super) fn handle_vote_response(
        &mut self,
        from: i32,
        response: &VoteResponse,
        io: &mut Io<'_, '_>,
    ) -> Result<bool, QuorumError> {
        let Some(partition) = response.topics.first().and_then(|topic| topic.partitions.first()) else {
            return Ok(false);
        };
        let error = ResponseError::try_from_code(partition.error_code);
        let (leader, epoch) = (partition.leader_id.0, partition.leader_epoch);
        if let Some(handled) = self.maybe_handle_common_response(error, leader, epoch, io)? {
            return Ok(handled);
        }
        if error.is_some() {
            return Ok(false);
        }
        if let Role::Prospective { election, .. } | Role::Candidate { election, .. } = &mut self.role {
            election.record(from, partition.vote_granted);
        }
        Ok(true)
    }
}
