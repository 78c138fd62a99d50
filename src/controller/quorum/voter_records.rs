//! What becomes of the set of voters as the log grows, is cut, or begins anew? (`KRaftControlRecordStateMachine`, KIP-853.)
//!
//! A set counts from when its record is appended, for the leader as for everybody else, and no longer than the record is in
//! the log. A node whose log does not have the newest set may not know the leader: it learns where the leader is reached
//! from what it is told by others.

use bytes::Bytes;
use kafka_protocol::messages::{RequestKind, ResponseKind};
use trial_storage::{Batches, BuildOptions, LogError, NewRecord, build_batch};

use super::role::Role;
use super::voters::VoterSet;
use super::{Io, Quorum, QuorumError, REPLAY_BYTES, peers};
use crate::conformance::QuorumRule;
use crate::controller::Voter;
use crate::event::Event;
use crate::metadata::voters_record::{KRAFT_VOTERS, LISTENER, control_key, control_type, decode_voters, encode_voters};
use crate::node::Endpoint;

impl Quorum {
    /// The voters in force, each with the endpoint by which it is reached.
    pub fn voters(&self) -> impl Iterator<Item = &Voter> {
        self.voters.iter()
    }

    /// A leader writes down another set, which counts from now on. Gives its offset.
    /// Source: `LeaderState.appendVotersRecord`.
    pub(super) fn append_voters_record(&mut self, voters: VoterSet, io: &mut Io<'_, '_>) -> Result<i64, QuorumError> {
        let record = NewRecord {
            timestamp: io.now.wall,
            key: Some(control_key(KRAFT_VOTERS)),
            value: Some(encode_voters(voters.iter())),
            headers: vec![],
        };
        let batch = build_batch(&[record], BuildOptions { control: true, ..BuildOptions::default() });
        let epoch = self.epoch;
        let offset = self.log.append_control_as_leader(io.disk, batch, epoch)?.first_offset;
        self.tell(Event::MetadataAppended { first_offset: offset, last_offset: offset, epoch, as_leader: true }, io.fx);
        if QuorumRule::LeaderCountsVotersFromTheirAppend.holds() {
            self.take_voters(offset, voters, io);
        }
        self.after_append(io);
        Ok(offset)
    }

    /// Takes the sets of voters in batches that were appended at or above `from`.
    /// Source: `KRaftControlRecordStateMachine.updateState`.
    pub(super) fn take_voters_in(
        &mut self,
        batches: &Bytes,
        from: i64,
        io: &mut Io<'_, '_>,
    ) -> Result<(), QuorumError> {
        for batch in Batches::new(batches.clone()) {
            let batch = batch.map_err(LogError::from)?;
            if !batch.header.is_control() || batch.header.base_offset < from {
                continue;
            }
            for record in trial_storage::records(&batch.bytes).map_err(LogError::from)? {
                if control_type(record.key.as_deref()) == Some(KRAFT_VOTERS) {
                    let value = record.value.unwrap_or_default();
                    let offset = record.offset;
                    let voters = decode_voters(&value).map_err(|error| QuorumError::Record { offset, error })?;
                    self.take_voters(offset, VoterSet::new(&voters, self.zoo), io);
                }
            }
        }
        Ok(())
    }

    /// After a start: the sets of voters that the log holds.
    pub(super) fn replay_voters(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let (mut from, end) = (self.log.log_start_offset(), self.log.log_end_offset());
        while from < end {
            let bytes = self.log.read(io.disk, from, end, REPLAY_BYTES, true)?;
            self.take_voters_in(&bytes, from, io)?;
            let last = Batches::new(bytes).filter_map(Result::ok).last();
            match last {
                Some(batch) if batch.header.next_offset() > from => from = batch.header.next_offset(),
                // The log was checked when it was opened: the disk does not hold what it held.
                _ => return Err(QuorumError::Record { offset: from, error: crate::metadata::RecordError::Truncated }),
            }
        }
        Ok(())
    }

    /// Another set of voters was appended: it is in force.
    pub(super) fn take_voters(&mut self, offset: i64, voters: VoterSet, io: &mut Io<'_, '_>) {
        let before = VoterSet::clone(&self.voters);
        self.voters.append(offset, voters);
        self.on_voters_changed(&before, io);
    }

    /// The log was cut: the set before counts again.
    pub(super) fn truncate_voters(&mut self, io: &mut Io<'_, '_>) {
        let before = VoterSet::clone(&self.voters);
        if QuorumRule::CutVotersCountNoMore.holds() && self.voters.truncate_new_entries(self.log.log_end_offset()) {
            self.on_voters_changed(&before, io);
        }
    }

    /// The log begins anew at a snapshot, and with it the sets of voters. One of kraft.version 0 tells none: what the
    /// cluster was formatted with holds.
    pub(super) fn begin_voters_at_snapshot(&mut self, end_offset: i64, voters: &[Voter], io: &mut Io<'_, '_>) {
        if voters.is_empty() || !QuorumRule::SnapshotTellsTheVoters.holds() {
            return;
        }
        let before = VoterSet::clone(&self.voters);
        self.voters.replace(end_offset - 1, VoterSet::new(voters, self.zoo));
        self.on_voters_changed(&before, io);
    }

    /// The voters in force at the end of a snapshot. Source: `KRaftControlRecordStateMachine.voterSetAtOffset`.
    pub(super) fn voters_for_snapshot(&self, end_offset: i64) -> Vec<Voter> {
        self.voters.at_or_before(end_offset - 1).iter().cloned().collect()
    }

    fn on_voters_changed(&mut self, before: &VoterSet, io: &mut Io<'_, '_>) {
        let voters = self.voters.iter().map(|voter| (voter.id, voter.directory_id)).collect();
        self.tell(Event::VotersChanged { offset: self.voters.offset(), voters }, io.fx);
        let voters: Vec<Voter> = self.voters.iter().cloned().collect();
        for voter in voters {
            self.meet(voter.id, &voter.endpoint, io);
        }
        if let Role::Leader(_) = self.role {
            self.update_voter_and_observer_states(before, io);
        }
    }

    /// Where a node is reached, by the last that was heard of it.
    pub(super) fn meet(&mut self, id: i32, endpoint: &Endpoint, io: &mut Io<'_, '_>) {
        if id == self.me.id || id < 0 || endpoint.host.is_empty() {
            return;
        }
        match self.peers.get_mut(&id) {
            Some(peer) if *peer.endpoint() == *endpoint => {}
            Some(peer) => peer.move_to(endpoint, self.peer_timeouts, io.fx),
            None => {
                self.peers.insert(id, peers::Peer::new(endpoint, self.peer_timeouts));
            }
        }
    }

    /// Can this node be reached, as far as this one knows?
    pub(super) fn can_reach(&self, id: i32) -> bool {
        self.peers.contains_key(&id)
    }

    /// Where a node is reached.
    pub(super) fn endpoint_of(&self, id: i32) -> Option<&Endpoint> {
        if id == self.me.id { Some(&self.endpoint) } else { self.peers.get(&id).map(peers::Peer::endpoint) }
    }

    /// A leader says where it is reached when it begins and when it ends its epoch.
    pub(super) fn meet_leader_of_request(&mut self, request: &RequestKind, io: &mut Io<'_, '_>) {
        let told = match request {
            RequestKind::BeginQuorumEpoch(request) => {
                let leader = request.topics.iter().flat_map(|topic| &topic.partitions).map(|p| p.leader_id.0).next();
                let endpoint = request.leader_endpoints.iter().find(|e| e.name.as_str() == LISTENER);
                leader.zip(endpoint.map(|e| (e.host.to_string(), e.port)))
            }
            RequestKind::EndQuorumEpoch(request) => {
                let leader = request.topics.iter().flat_map(|topic| &topic.partitions).map(|p| p.leader_id.0).next();
                let endpoint = request.leader_endpoints.iter().find(|e| e.name.as_str() == LISTENER);
                leader.zip(endpoint.map(|e| (e.host.to_string(), e.port)))
            }
            _ => None,
        };
        if let Some((leader, (host, port))) = told {
            self.meet(leader, &Endpoint { host, port }, io);
        }
    }

    /// Whoever is asked says where the leader is reached that it knows.
    pub(super) fn meet_leader_of_response(&mut self, response: &ResponseKind, io: &mut Io<'_, '_>) {
        let of = |id: i32, host: &str, port: u16| (id, Endpoint { host: host.to_string(), port });
        let told: Vec<(i32, Endpoint)> = match response {
            ResponseKind::Fetch(response) => {
                let endpoints = response.node_endpoints.iter();
                endpoints.filter_map(|e| Some(of(e.node_id.0, &e.host, u16::try_from(e.port).ok()?))).collect()
            }
            ResponseKind::FetchSnapshot(response) => {
                response.node_endpoints.iter().map(|e| of(e.node_id.0, &e.host, e.port)).collect()
            }
            ResponseKind::Vote(response) => {
                response.node_endpoints.iter().map(|e| of(e.node_id.0, &e.host, e.port)).collect()
            }
            ResponseKind::BeginQuorumEpoch(response) => {
                response.node_endpoints.iter().map(|e| of(e.node_id.0, &e.host, e.port)).collect()
            }
            ResponseKind::EndQuorumEpoch(response) => {
                response.node_endpoints.iter().map(|e| of(e.node_id.0, &e.host, e.port)).collect()
            }
            _ => Vec::new(),
        };
        for (id, endpoint) in told {
            self.meet(id, &endpoint, io);
        }
    }
}
