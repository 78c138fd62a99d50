//! How does a leader begin and end its epoch? (BeginQuorumEpoch and EndQuorumEpoch, KIP-595, KIP-853.)

use kafka_protocol::ResponseError;
use kafka_protocol::messages::begin_quorum_epoch_request as begin_request;
use kafka_protocol::messages::begin_quorum_epoch_response as begin_response;
use kafka_protocol::messages::end_quorum_epoch_request as end_request;
use kafka_protocol::messages::end_quorum_epoch_response as end_response;
use kafka_protocol::messages::{
    BeginQuorumEpochRequest, BeginQuorumEpochResponse, BrokerId as WireBrokerId, EndQuorumEpochRequest,
    EndQuorumEpochResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::peers::Asked;
use super::role::Role;
use super::voters::ReplicaKey;
use super::{Io, Quorum, QuorumError, the_only};
use crate::conformance::QuorumRule;
use crate::event::Event;
use crate::metadata::METADATA_TOPIC;
use crate::node::{Endpoint, Nanos};
use crate::protocol::versions;

const LISTENER: &str = "CONTROLLER";

impl Quorum {
    /// False if the voter cannot be reached yet.
    pub(super) fn send_begin_quorum_epoch(&mut self, voter: i32, io: &mut Io<'_, '_>) -> bool {
        let partition = begin_request::PartitionData::default()
            .with_voter_directory_id(self.voters.directory_id(voter).unwrap_or_default())
            .with_leader_id(WireBrokerId(self.me.id))
            .with_leader_epoch(self.epoch);
        let request = BeginQuorumEpochRequest::default()
            .with_cluster_id(Some(StrBytes::from_string(self.cluster_id.clone())))
            .with_voter_id(WireBrokerId(voter))
            .with_topics(vec![
                begin_request::TopicData::default().with_topic_name(topic_name()).with_partitions(vec![partition]),
            ])
            .with_leader_endpoints(vec![
                begin_request::LeaderEndpoint::default()
                    .with_name(StrBytes::from_static_str(LISTENER))
                    .with_host(StrBytes::from_string(self.endpoint.host.clone()))
                    .with_port(self.endpoint.port),
            ]);
        self.send(voter, versions::BEGIN_QUORUM_EPOCH, Asked::Begin, || request.into(), io)
    }

    /// Source: `KafkaRaftClient.handleBeginQuorumEpochRequest`.
    pub(super) fn handle_begin_quorum_epoch_request(
        &mut self,
        request: &BeginQuorumEpochRequest,
        io: &mut Io<'_, '_>,
    ) -> Result<BeginQuorumEpochResponse, QuorumError> {
        let refused = |error: ResponseError| BeginQuorumEpochResponse::default().with_error_code(error.code());
        if !self.is_valid_cluster_id(request.cluster_id.as_ref()) {
            return Ok(refused(ResponseError::InconsistentClusterId));
        }
        let Some(partition) = the_only(&request.topics, |topic| topic.topic_name.as_str() == METADATA_TOPIC)
            .and_then(|topic| the_only(&topic.partitions, |partition| partition.partition_index == 0))
        else {
            return Ok(refused(ResponseError::InvalidRequest));
        };
        let (leader, epoch) = (partition.leader_id.0, partition.leader_epoch);
        if let Err(error) = self.validate_voter_only_request(leader, epoch) {
            return Ok(self.begin_response(Some(error)));
        }
        self.maybe_transition(Some(leader), epoch, io)?;
        self.reset_fetch_timeout(leader, io);
        let meant_for = ReplicaKey::of(request.voter_id.0, partition.voter_directory_id);
        let error = (!self.is_valid_voter_key(meant_for)).then_some(ResponseError::InvalidVoterKey);
        Ok(self.begin_response(error))
    }

    /// Who hears of its leader is patient again.
    /// Source: `FollowerState.resetFetchTimeoutForSuccessfulBeginQuorumEpochRequest`.
    fn reset_fetch_timeout(&mut self, leader: i32, io: &mut Io<'_, '_>) {
        if let Role::Follower { until, .. } = &mut self.role
            && self.leader_id == Some(leader)
        {
            *until = io.now.mono.saturating_add(self.timeouts.fetch);
        }
    }

    fn begin_response(&self, error: Option<ResponseError>) -> BeginQuorumEpochResponse {
        let partition = begin_response::PartitionData::default()
            .with_error_code(error.map_or(0, |error| error.code()))
            .with_leader_id(WireBrokerId(self.leader_id.unwrap_or(-1)))
            .with_leader_epoch(self.epoch);
        let endpoints = self.leader_endpoint().map(|(id, endpoint)| {
            begin_response::NodeEndpoint::default()
                .with_node_id(WireBrokerId(id))
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(endpoint.port)
        });
        BeginQuorumEpochResponse::default()
            .with_topics(vec![
                begin_response::TopicData::default().with_topic_name(topic_name()).with_partitions(vec![partition]),
            ])
            .with_node_endpoints(endpoints.into_iter().collect())
    }

    /// Source: `KafkaRaftClient.handleBeginQuorumEpochResponse`.
    pub(super) fn handle_begin_quorum_epoch_response(
        &mut self,
        response: &BeginQuorumEpochResponse,
        io: &mut Io<'_, '_>,
    ) -> Result<bool, QuorumError> {
        let Some(partition) = response.topics.first().and_then(|topic| topic.partitions.first()) else {
            return Ok(false);
        };
        let error = ResponseError::try_from_code(partition.error_code);
        let (leader, epoch) = (partition.leader_id.0, partition.leader_epoch);
        let handled = self.maybe_handle_common_response(error, leader, epoch, io)?;
        Ok(handled.unwrap_or(error.is_none()))
    }

    /// Gives up the leadership, for good in this epoch, and asks the best of the others to stand.
    /// Source: `QuorumState.transitionToResigned`. It is not written down: the file says already that it leads, and who
    /// led before a restart has resigned.
    pub(super) fn transition_to_resigned(&mut self, why: &str, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let Role::Leader(leader) = &self.role else { return Ok(()) };
        let preferred_successors = leader.voters_by_descending_end_offset(&self.voters, self.me.id);
        let role = Role::Resigned {
            until: io.now.mono.saturating_add(self.random_election_timeout(io)),
            unacknowledged: self.other_voters(),
            preferred_successors,
        };
        let state = super::ElectionState { epoch: self.epoch, leader_id: self.leader_id, voted: self.voted };
        self.transition_to(role, state, io)?;
        self.tell(Event::ResignedAsQuorumLeader { epoch: self.epoch, why: why.to_string() }, io.fx);
        Ok(())
    }

    /// Tells the voters that the epoch is over; after an election timeout goes on to the next, since in this one it must
    /// neither stand nor vote. Source: `KafkaRaftClient.pollResigned`.
    pub(super) fn poll_resigned(&mut self, io: &mut Io<'_, '_>) -> Result<bool, QuorumError> {
        let Role::Resigned { until, unacknowledged, .. } = &self.role else { return Ok(false) };
        if self.shutdown_at.is_none() && *until <= io.now.mono {
            let epoch = self.epoch.checked_add(1).ok_or(QuorumError::EpochsExhausted(self.epoch))?;
            self.transition_to_unattached(epoch, None, io)?;
            return Ok(true);
        }
        for voter in unacknowledged.clone().into_iter().filter(|_| QuorumRule::LeaderTellsTheEndOfItsEpoch.holds()) {
            let request = self.end_quorum_epoch_request();
            self.send(voter, versions::END_QUORUM_EPOCH, Asked::End, || request.into(), io);
        }
        Ok(false)
    }

    fn end_quorum_epoch_request(&self) -> EndQuorumEpochRequest {
        let successors = match &self.role {
            Role::Resigned { preferred_successors, .. } => &preferred_successors[..],
            _ => &[],
        };
        let candidate = |key: &ReplicaKey| {
            end_request::ReplicaInfo::default()
                .with_candidate_id(WireBrokerId(key.id))
                .with_candidate_directory_id(key.wire_directory_id())
        };
        let partition = end_request::PartitionData::default()
            .with_leader_id(WireBrokerId(self.me.id))
            .with_leader_epoch(self.epoch)
            .with_preferred_candidates(successors.iter().map(candidate).collect());
        EndQuorumEpochRequest::default()
            .with_cluster_id(Some(StrBytes::from_string(self.cluster_id.clone())))
            .with_topics(vec![
                end_request::TopicData::default().with_topic_name(topic_name()).with_partitions(vec![partition]),
            ])
            .with_leader_endpoints(vec![
                end_request::LeaderEndpoint::default()
                    .with_name(StrBytes::from_static_str(LISTENER))
                    .with_host(StrBytes::from_string(self.endpoint.host.clone()))
                    .with_port(self.endpoint.port),
            ])
    }

    /// Source: `KafkaRaftClient.handleEndQuorumEpochRequest`.
    pub(super) fn handle_end_quorum_epoch_request(
        &mut self,
        request: &EndQuorumEpochRequest,
        io: &mut Io<'_, '_>,
    ) -> Result<EndQuorumEpochResponse, QuorumError> {
        let refused = |error: ResponseError| EndQuorumEpochResponse::default().with_error_code(error.code());
        if !self.is_valid_cluster_id(request.cluster_id.as_ref()) {
            return Ok(refused(ResponseError::InconsistentClusterId));
        }
        let Some(partition) = the_only(&request.topics, |topic| topic.topic_name.as_str() == METADATA_TOPIC)
            .and_then(|topic| the_only(&topic.partitions, |partition| partition.partition_index == 0))
        else {
            return Ok(refused(ResponseError::InvalidRequest));
        };
        let (leader, epoch) = (partition.leader_id.0, partition.leader_epoch);
        if let Err(error) = self.validate_voter_only_request(leader, epoch) {
            return Ok(self.end_response(Some(error)));
        }
        self.maybe_transition(Some(leader), epoch, io)?;
        let successors = successors_of(partition);
        let pause = self.end_epoch_election_backoff(&successors);
        if let Role::Follower { until, .. } = &mut self.role
            && self.leader_id == Some(leader)
        {
            *until = io.now.mono.saturating_add(pause);
        }
        Ok(self.end_response(None))
    }

    /// The first successor stands at once, each after it later, who is not among them last.
    /// Source: `KafkaRaftClient.endEpochElectionBackoff`, `strictExponentialElectionBackoffMs`.
    fn end_epoch_election_backoff(&self, successors: &[ReplicaKey]) -> Nanos {
        let is_me = |key: &ReplicaKey| {
            key.id == self.me.id && (key.directory_id.is_none() || key.directory_id == self.me.directory_id)
        };
        let longest = self.timeouts.backoff_max;
        match successors.iter().position(is_me) {
            _ if !QuorumRule::SuccessorsStandInOrder.holds() => 0,
            Some(0) => 0,
            // Without a list everybody is first.
            None if successors.is_empty() => 0,
            Some(position) => ((longest >> (successors.len() - 1).min(63)) << (position - 1).min(63)).min(longest),
            None => longest,
        }
    }

    fn end_response(&self, error: Option<ResponseError>) -> EndQuorumEpochResponse {
        let partition = end_response::PartitionData::default()
            .with_error_code(error.map_or(0, |error| error.code()))
            .with_leader_id(WireBrokerId(self.leader_id.unwrap_or(-1)))
            .with_leader_epoch(self.epoch);
        let endpoints = self.leader_endpoint().map(|(id, endpoint)| {
            end_response::NodeEndpoint::default()
                .with_node_id(WireBrokerId(id))
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(endpoint.port)
        });
        EndQuorumEpochResponse::default()
            .with_topics(vec![
                end_response::TopicData::default().with_topic_name(topic_name()).with_partitions(vec![partition]),
            ])
            .with_node_endpoints(endpoints.into_iter().collect())
    }

    /// Source: `KafkaRaftClient.handleEndQuorumEpochResponse`.
    pub(super) fn handle_end_quorum_epoch_response(
        &mut self,
        from: i32,
        response: &EndQuorumEpochResponse,
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
        if let Role::Resigned { unacknowledged, .. } = &mut self.role
            && error.is_none()
        {
            unacknowledged.remove(&from);
        }
        Ok(error.is_none())
    }

    /// The leader of the epoch and where it is reached, for those that ask the wrong node.
    pub(super) fn leader_endpoint(&self) -> Option<(i32, &Endpoint)> {
        let leader = self.leader_id?;
        Some((leader, self.endpoint_of(leader)?))
    }
}

/// Version 0 had node ids only.
fn successors_of(partition: &end_request::PartitionData) -> Vec<ReplicaKey> {
    if partition.preferred_candidates.is_empty() {
        let key = |id: &i32| ReplicaKey { id: *id, directory_id: None };
        return partition.preferred_successors.iter().map(key).collect();
    }
    let candidates = partition.preferred_candidates.iter();
    candidates.map(|c| ReplicaKey::of(c.candidate_id.0, c.candidate_directory_id)).collect()
}

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(METADATA_TOPIC))
}
