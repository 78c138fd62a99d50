//! Who gets this node's vote? (`KafkaRaftClient.handleVoteRequest`, `EpochState.canGrantVote`, KIP-595, KIP-996.)

use kafka_protocol::ResponseError;
use kafka_protocol::messages::vote_response::{NodeEndpoint, PartitionData, TopicData};
use kafka_protocol::messages::{BrokerId as WireBrokerId, TopicName, VoteRequest, VoteResponse};
use kafka_protocol::protocol::StrBytes;

use super::role::Role;
use super::state_file::ElectionState;
use super::voters::ReplicaKey;
use super::{Io, Quorum, QuorumError, the_only};
use crate::conformance::QuorumRule;
use crate::event::Event;
use crate::metadata::METADATA_TOPIC;
use crate::zoo::Switch;

impl Quorum {
    /// Source: `KafkaRaftClient.handleVoteRequest`.
    pub(super) fn handle_vote_request(
        &mut self,
        request: &VoteRequest,
        io: &mut Io<'_, '_>,
    ) -> Result<VoteResponse, QuorumError> {
        if !self.is_valid_cluster_id(request.cluster_id.as_ref()) {
            return Ok(VoteResponse::default().with_error_code(ResponseError::InconsistentClusterId.code()));
        }
        let Some(partition) = the_only(&request.topics, |topic| topic.topic_name.as_str() == METADATA_TOPIC)
            .and_then(|topic| the_only(&topic.partitions, |partition| partition.partition_index == 0))
        else {
            return Ok(VoteResponse::default().with_error_code(ResponseError::InvalidRequest.code()));
        };
        let (epoch, pre_vote) = (partition.replica_epoch, partition.pre_vote);
        let candidate = ReplicaKey::of(partition.replica_id.0, partition.replica_directory_id);
        if partition.last_offset < 0
            || partition.last_offset_epoch < 0
            || (is_illegal_epoch(partition.last_offset_epoch, epoch, pre_vote)
                && QuorumRule::CandidateIsAboveItsLog.holds())
        {
            return Ok(self.vote_response(Some(ResponseError::InvalidRequest), false));
        }
        if let Err(error) = self.validate_voter_only_request(candidate.id, epoch) {
            return Ok(self.vote_response(Some(error), false));
        }
        if epoch > self.epoch && QuorumRule::HigherEpochIsEntered.holds() {
            self.transition_to_unattached(epoch, None, io)?;
        }
        let meant_for = ReplicaKey::of(request.voter_id.0, partition.voter_directory_id);
        if !self.is_valid_voter_key(meant_for) && QuorumRule::RequestIsForThisDisk.holds() {
            return Ok(self.vote_response(Some(ResponseError::InvalidVoterKey), false));
        }
        let is_log_up_to_date = (partition.last_offset_epoch, partition.last_offset)
            >= (self.last_fetched_epoch(), self.log.log_end_offset());
        let verdict = self.can_grant_vote(candidate, is_log_up_to_date, pre_vote);
        let candidate_id = candidate.id;
        match verdict {
            Ok(()) => {
                if !pre_vote && self.voted.is_none() {
                    self.add_voted_state(candidate, io)?;
                }
                self.tell(Event::VoteGranted { epoch, candidate: candidate_id, pre_vote }, io.fx);
            }
            Err(why) => {
                let why = why.to_string();
                self.tell(Event::VoteRefused { epoch, candidate: candidate_id, pre_vote, why }, io.fx);
            }
        }
        Ok(self.vote_response(None, verdict.is_ok()))
    }

    /// The vote is given, once it is durable. Source: `QuorumState.unattachedAddVotedState`, `prospectiveAddVotedState`.
    fn add_voted_state(&mut self, candidate: ReplicaKey, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let timeout = self.election_deadline(io);
        match &mut self.role {
            Role::Unattached { until } => *until = timeout,
            Role::Prospective { until, .. } => *until = timeout.unwrap_or(*until),
            _ => {}
        }
        let (epoch, leader_id) = (self.epoch, self.leader_id);
        let role = self.role.clone();
        self.transition_to(role, ElectionState { epoch, leader_id, voted: Some(candidate) }, io)
    }

    /// May this candidate have this node's vote? If not, why. An observer grants its vote as a voter does: the candidate may
    /// have a newer set of voters, in which it is one (KIP-853). Sources: `canGrantVote` of each `EpochState`.
    fn can_grant_vote(
        &self,
        candidate: ReplicaKey,
        is_log_up_to_date: bool,
        pre_vote: bool,
    ) -> Result<(), &'static str> {
        if !self.is_voter() && !QuorumRule::ObserverGrantsItsVote.holds() {
            return Err("an observer has no vote");
        }
        if pre_vote {
            return self.can_grant_pre_vote(is_log_up_to_date);
        }
        match &self.role {
            Role::Leader(_) | Role::Resigned { .. } => Err("it leads or led this epoch itself"),
            Role::Candidate { .. } => Err("it stands for election itself"),
            Role::Follower { .. } if QuorumRule::KnownLeaderMeansNoVote.holds() => {
                Err("it follows the leader of this epoch")
            }
            Role::Follower { .. } | Role::Unattached { .. } | Role::Prospective { .. } => match self.voted {
                Some(voted)
                    if self.is_same_replica(voted, candidate) && QuorumRule::SameCandidateMayAskAgain.holds() =>
                {
                    Ok(())
                }
                Some(_) if QuorumRule::OneVotePerEpoch.holds() => Err("it voted for another"),
                _ if self.leader_id.is_some() && QuorumRule::KnownLeaderMeansNoVote.holds() => {
                    Err("it knows the leader of this epoch")
                }
                _ if !is_log_up_to_date && QuorumRule::CandidateHasEverything.holds() => {
                    Err("the candidate's log is behind its own")
                }
                _ => Ok(()),
            },
        }
    }

    /// A pre-vote binds nobody: it is granted unless the candidate could not win, or there is a leader that works.
    /// A follower knows that its leader works only once it has fetched from it. Source: KIP-996.
    fn can_grant_pre_vote(&self, is_log_up_to_date: bool) -> Result<(), &'static str> {
        match &self.role {
            Role::Leader(_) if QuorumRule::WorkingLeaderMeansNoPreVote.holds() => Err("it leads"),
            Role::Follower { has_fetched: true, .. } if QuorumRule::WorkingLeaderMeansNoPreVote.holds() => {
                Err("its leader is alive")
            }
            _ if !is_log_up_to_date && QuorumRule::PreCandidateHasEverything.holds() => {
                Err("the candidate's log is behind its own")
            }
            _ => Ok(()),
        }
    }

    /// The same node on the same disk, as far as both tell. Source: `UnattachedState.canGrantVote`.
    /// Zoo: `raft-blank-disk-same-id` goes by the node id alone.
    fn is_same_replica(&self, voted: ReplicaKey, candidate: ReplicaKey) -> bool {
        let same_disk = voted.directory_id.is_none() || voted.directory_id == candidate.directory_id;
        let disk_counts = !self.zoo.on(Switch::RaftBlankDiskSameId) && QuorumRule::VoteIsForACandidateOnItsDisk.holds();
        voted.id == candidate.id && (same_disk || !disk_counts)
    }

    /// Source: `KafkaRaftClient.hasValidClusterId`.
    pub(super) fn is_valid_cluster_id(&self, cluster_id: Option<&StrBytes>) -> bool {
        cluster_id.is_none_or(|id| id.as_str() == self.cluster_id)
    }

    /// Source: `KafkaRaftClient.validateVoterOnlyRequest`.
    pub(super) fn validate_voter_only_request(&self, remote_id: i32, epoch: i32) -> Result<(), ResponseError> {
        if epoch < self.epoch && QuorumRule::OlderEpochIsFenced.holds() {
            Err(ResponseError::FencedLeaderEpoch)
        } else if remote_id < 0 {
            Err(ResponseError::InvalidRequest)
        } else {
            Ok(())
        }
    }

    /// Was the request meant for this node on this disk? Source: `KafkaRaftClient.isValidVoterKey`.
    /// Zoo: `raft-blank-disk-same-id` goes by the node id alone.
    pub(super) fn is_valid_voter_key(&self, meant_for: ReplicaKey) -> bool {
        if meant_for.id < 0 {
            return true;
        }
        let same_disk = meant_for.directory_id.is_none() || meant_for.directory_id == self.me.directory_id;
        meant_for.id == self.me.id && (same_disk || self.zoo.on(Switch::RaftBlankDiskSameId))
    }

    fn vote_response(&self, error: Option<ResponseError>, granted: bool) -> VoteResponse {
        let partition = PartitionData::default()
            .with_error_code(error.map_or(0, |error| error.code()))
            .with_leader_id(WireBrokerId(self.leader_id.unwrap_or(-1)))
            .with_leader_epoch(self.epoch)
            .with_vote_granted(granted);
        let endpoints = self.leader_endpoint().map(|(id, endpoint)| {
            NodeEndpoint::default()
                .with_node_id(WireBrokerId(id))
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(endpoint.port)
        });
        VoteResponse::default()
            .with_topics(vec![
                TopicData::default()
                    .with_topic_name(TopicName(StrBytes::from_static_str(METADATA_TOPIC)))
                    .with_partitions(vec![partition]),
            ])
            .with_node_endpoints(endpoints.into_iter().collect())
    }
}

/// A candidate raised its epoch above all of its log; one that only asks has not.
/// Source: `KafkaRaftClient.handleVoteRequest`.
fn is_illegal_epoch(last_epoch: i32, epoch: i32, pre_vote: bool) -> bool {
    if pre_vote { last_epoch > epoch } else { last_epoch >= epoch }
}
