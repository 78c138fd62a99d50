//! How are the other controllers reached? (`RequestManager`, `KafkaNetworkChannel`.)
//!
//! One connection to each, one request at a time on it. After an error or a lost connection a voter is left alone for
//! `controller.quorum.retry.backoff.ms`.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{RequestKind, ResponseKind};

use super::voters::VoterSet;
use super::{Io, Quorum, QuorumError};
use crate::client::{Channel, ChannelEvent, ChannelTimeouts};
use crate::config::BrokerConfig;
use crate::node::{ConnId, Effects, Endpoint, Input, Nanos, Purpose};

/// What a call in flight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Vote,
    Begin,
    End,
    Fetch,
    FetchSnapshot,
    ApiVersions,
    UpdateVoter,
}

/// Another controller.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    channel: Channel<(u64, Asked)>,
    not_before: Option<Nanos>,
}

impl Peer {
    pub fn new(endpoint: &Endpoint, timeouts: ChannelTimeouts) -> Self {
        Peer { channel: Channel::new(endpoint.clone(), Purpose::Raft, timeouts), not_before: None }
    }
    pub fn endpoint(&self) -> &Endpoint {
        self.channel.endpoint()
    }
    /// It is reached elsewhere from now on; what was asked of it there is dropped.
    pub fn move_to(&mut self, endpoint: &Endpoint, timeouts: ChannelTimeouts, fx: &mut Effects<'_>) {
        self.channel.close(fx);
        *self = Peer::new(endpoint, timeouts);
    }
    /// Is it left alone for a while?
    pub fn is_backing_off(&self, now: Nanos) -> bool {
        self.not_before.is_some_and(|at| at > now) || self.channel.is_backing_off(now)
    }
    pub fn next_deadline(&self) -> Option<Nanos> {
        [self.channel.next_deadline(), self.not_before].into_iter().flatten().min()
    }
}

/// Time-outs of the connections between controllers.
pub(super) fn timeouts(config: &BrokerConfig) -> ChannelTimeouts {
    let request_timeout_ms = config.controller_quorum_request_timeout_ms;
    ChannelTimeouts {
        request_timeout_ms,
        reconnect_backoff_max_ms: 500,
        connection_setup_timeout_ms: request_timeout_ms,
        ..ChannelTimeouts::default()
    }
}

/// The voters that a cluster was formatted with, but for this node: they are known from the start on
/// (`controller.quorum.bootstrap.servers`). Others are met later.
pub(super) fn of(voters: &VoterSet, me: i32, timeouts: ChannelTimeouts) -> BTreeMap<i32, Peer> {
    let others = voters.iter().filter(|voter| voter.id != me);
    others.map(|voter| (voter.id, Peer::new(&voter.endpoint, timeouts))).collect()
}

impl Quorum {
    /// Sends a request if the voter can be reached and nothing is in flight to it; dials if there is no connection.
    pub(super) fn send(
        &mut self,
        to: i32,
        version: i16,
        asked: Asked,
        request: impl FnOnce() -> RequestKind,
        io: &mut Io<'_, '_>,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(&to) else { return false };
        if peer.not_before.is_some_and(|at| at > io.now.mono) || peer.channel.calls_in_flight() > 0 {
            return false;
        }
        peer.not_before = None;
        if !peer.channel.connect(io.now.mono, io.fx) {
            return false;
        }
        peer.channel.call(io.now.mono, io.fx, version, request(), (self.generation, asked));
        true
    }

    /// Is a call of this kind in flight to anybody?
    pub(super) fn is_in_flight(&self) -> bool {
        self.peers.values().any(|peer| peer.channel.calls_in_flight() > 0)
    }

    /// In another role other things are asked: what is in flight does not count any more, and does not stand in the way.
    /// Source: `RequestManager.resetAll`.
    pub(super) fn reset_connections(&mut self, io: &mut Io<'_, '_>) {
        self.generation += 1;
        for peer in self.peers.values_mut() {
            peer.not_before = None;
            if peer.channel.calls_in_flight() > 0 {
                peer.channel.close(io.fx);
            }
        }
    }

    fn peer_of(&mut self, conn: ConnId) -> Option<(i32, &mut Peer)> {
        self.peers.iter_mut().find(|(_, peer)| peer.channel.owns(conn)).map(|(id, peer)| (*id, peer))
    }

    pub(super) fn handle_peer_input(&mut self, input: Input, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let (Input::Opened { conn }
        | Input::DialFailed { conn }
        | Input::Closed { conn }
        | Input::Response { conn, .. }) = input
        else {
            return Ok(());
        };
        let Some((id, peer)) = self.peer_of(conn) else { return Ok(()) };
        match peer.channel.on_input(io.now.mono, input, io.fx) {
            ChannelEvent::Response(response, (generation, asked)) if generation == self.generation => {
                self.meet_leader_of_response(&response, io);
                let handled = self.handle_response(id, asked, *response, io)?;
                if !handled {
                    self.back_off(id, io);
                }
            }
            ChannelEvent::Ended(_, calls) => {
                if !calls.is_empty() {
                    self.back_off(id, io);
                }
                self.on_unreachable(id, io);
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_response(
        &mut self,
        from: i32,
        asked: Asked,
        response: ResponseKind,
        io: &mut Io<'_, '_>,
    ) -> Result<bool, QuorumError> {
        match (asked, response) {
            (Asked::Vote, ResponseKind::Vote(response)) => self.handle_vote_response(from, &response, io),
            (Asked::Begin, ResponseKind::BeginQuorumEpoch(response)) => {
                self.handle_begin_quorum_epoch_response(&response, io)
            }
            (Asked::End, ResponseKind::EndQuorumEpoch(response)) => {
                self.handle_end_quorum_epoch_response(from, &response, io)
            }
            (Asked::FetchSnapshot, ResponseKind::FetchSnapshot(response)) => {
                self.handle_fetch_snapshot_response(&response, io)
            }
            (Asked::Fetch, ResponseKind::Fetch(response)) => self.handle_fetch_response(response, io),
            (Asked::ApiVersions, ResponseKind::ApiVersions(response)) => {
                self.handle_api_versions_response(from, &response, io)
            }
            (Asked::UpdateVoter, ResponseKind::UpdateRaftVoter(response)) => {
                self.handle_update_voter_response(&response, io)
            }
            _ => Ok(false),
        }
    }

    fn back_off(&mut self, id: i32, io: &mut Io<'_, '_>) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.not_before = Some(io.now.mono.saturating_add(self.timeouts.retry_backoff));
        }
    }

    /// Calls that are late, dials that do not end, pauses that are over.
    pub(super) fn expire_calls(&mut self, io: &mut Io<'_, '_>) {
        let mut late = Vec::new();
        for (id, peer) in &mut self.peers {
            if let Some(ChannelEvent::Ended(..)) = peer.channel.on_deadline(io.now.mono, io.fx) {
                peer.not_before = Some(io.now.mono.saturating_add(self.timeouts.retry_backoff));
                late.push(*id);
            }
            peer.not_before = peer.not_before.filter(|at| *at > io.now.mono);
        }
        for id in late {
            self.on_unreachable(id, io);
        }
    }

    /// What every response tells: of a later epoch, or who leads this one. `None` if there is more to it.
    /// Source: `KafkaRaftClient.maybeHandleCommonResponse`.
    pub(super) fn maybe_handle_common_response(
        &mut self,
        error: Option<ResponseError>,
        leader: i32,
        epoch: i32,
        io: &mut Io<'_, '_>,
    ) -> Result<Option<bool>, QuorumError> {
        let leader = Some(leader).filter(|id| *id >= 0);
        if epoch < self.epoch || error == Some(ResponseError::UnknownLeaderEpoch) {
            return Ok(Some(true));
        }
        let tells_of_leader = leader.is_some() && self.leader_id.is_none() && leader != Some(self.me.id);
        if epoch > self.epoch
            || matches!(error, Some(ResponseError::FencedLeaderEpoch | ResponseError::NotLeaderOrFollower))
            || tells_of_leader
        {
            let before = self.generation;
            self.maybe_transition(leader, epoch, io)?;
            // Where nothing was learnt, asking again at once would be asking for ever.
            return Ok(Some(self.generation != before || epoch == self.epoch && error.is_none()));
        }
        if error == Some(ResponseError::BrokerNotAvailable) {
            return Ok(Some(false));
        }
        Ok(None)
    }
}
