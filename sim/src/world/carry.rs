//! Carrying out what nodes ask for, and what arrives on connections.

use bytes::BytesMut;
use kafka_protocol::messages::{RequestKind, ResponseKind};
use trial_kafka::event::Event;
use trial_kafka::node::{
    CallError, CallId, ConnId, Effect, Endpoint, EventId, Input, Nanos, Purpose, ReqId, RequestHeader,
};
use trial_kafka::protocol::{api_key_of, api_key_of_response};

use super::machines::listener_of;
use super::network::{Arrived, Conn, InHand, Packet, Way};
use super::{Carriage, Power, What, World, drawn_within};
use crate::trace::NodeIx;
use crate::weather;

/// First retransmission after a cut is mended, on top of the link's latency.
const RETRANSMIT: Nanos = 50_000_000;

impl World {
    /// Carries out a handler's effects, in order; messages leave at `at`.
    pub(super) fn carry_out(&mut self, node: NodeIx, mut effects: Vec<(Effect, EventId)>, at: Nanos) {
        let incarnation = self.slots[node.0 as usize].incarnation;
        for (effect, cause) in effects.drain(..) {
            match effect {
                Effect::Dial { conn, endpoint, purpose } => self.dial(node, conn, &endpoint, purpose, at, cause),
                Effect::Close { conn } => self.close(conn, at, cause),
                Effect::Call { call, conn, version, request, wants_response } => {
                    self.call(node, call, conn, version, request, wants_response, at, cause);
                }
                Effect::Answer { req, response } => self.settle(req, Some(response), at, cause),
                Effect::SettleSilently { req } => self.settle(req, None, at, cause),
                Effect::HangUp { conn } => self.hang_up(node, conn, at, cause),
                Effect::Sync { ticket, targets } => {
                    let range = self.scenario.disk.sync;
                    let middle = (range.min + range.max) / 2;
                    let drawn = drawn_within(range, self.seed, at, node);
                    let slot = &mut self.slots[node.0 as usize];
                    let pending = Box::new(slot.disk.snapshot_for_sync(&targets));
                    // The disk's own latency is the middle of the range plus what faults add.
                    let latency = (slot.disk.sync_latency(at) + drawn).saturating_sub(middle);
                    let boot = slot.boot;
                    self.syncs_under_way += 1;
                    self.queue.push(at + latency, What::Synced { node, incarnation, boot, ticket, pending, cause });
                }
                Effect::Defer { step, .. } => {
                    self.queue.push(at, What::Input { to: node, incarnation, input: Input::Local(step), cause });
                }
                Effect::Deliver { op, outcome } => self.on_outcome(node, op, outcome, cause),
                Effect::Halt { why } => {
                    self.tracer.record(self.now, node, Event::Halted { why }, cause, &[]);
                    self.on_halted(node, cause);
                    return;
                }
            }
        }
        if self.effects.capacity() == 0 {
            self.effects = effects;
        }
    }

    fn resolve(&self, endpoint: &Endpoint) -> Option<NodeIx> {
        self.node_named(&endpoint.host)
    }

    fn dial(&mut self, dialer: NodeIx, conn: ConnId, endpoint: &Endpoint, purpose: Purpose, at: Nanos, cause: EventId) {
        let Some(acceptor) = self.resolve(endpoint) else {
            return self.schedule_input(at, dialer, Input::DialFailed { conn }, cause);
        };
        let new = Conn {
            dialer,
            dialer_incarnation: self.slots[dialer.0 as usize].incarnation,
            acceptor,
            acceptor_incarnation: None,
            listener: listener_of(endpoint),
            purpose,
            dialer_open: true,
            last_arrival: [0; 2],
            held: Default::default(),
            calls: Default::default(),
            in_hand: None,
            backlog: Default::default(),
        };
        self.network.conns.insert(conn.0, new);
        self.send(conn.0, Way::ToAcceptor, Packet::Syn, at, cause);
    }

    #[allow(clippy::too_many_arguments)] // a call is all of these
    fn call(
        &mut self,
        node: NodeIx,
        call: CallId,
        conn: ConnId,
        version: i16,
        body: Box<RequestKind>,
        wants_response: bool,
        at: Nanos,
        cause: EventId,
    ) {
        let Some(known) = self.network.conns.get_mut(&conn.0).filter(|c| c.dialer_open) else {
            // The connection ended while the node did not know it yet.
            if wants_response {
                let result = Err(CallError::Disconnected);
                self.schedule_input(at, node, Input::Response { call, conn, result }, cause);
            }
            return;
        };
        if wants_response {
            known.calls.push_back(call);
        }
        let body = match self.carriage {
            Carriage::Typed => body,
            Carriage::Wire => Box::new(through_the_wire_request(&body, version)),
        };
        self.send(conn.0, Way::ToAcceptor, Packet::Request { call, version, wants_response, body }, at, cause);
    }

    /// The dialer gives its connection up: its calls end, and the acceptor hears of it.
    fn close(&mut self, conn: ConnId, at: Nanos, cause: EventId) {
        if self.network.conns.get(&conn.0).is_some_and(|c| c.dialer_open) {
            self.end_for_dialer(conn.0, at, cause);
            self.send(conn.0, Way::ToAcceptor, Packet::End, at, cause);
        }
    }

    fn hang_up(&mut self, node: NodeIx, conn: ConnId, at: Nanos, cause: EventId) {
        let incarnation = self.slots[node.0 as usize].incarnation;
        let Some(known) = self.network.conns.get_mut(&conn.0).filter(|c| c.acceptor == node) else { return };
        known.backlog.clear();
        if let Some(in_hand) = known.in_hand.take() {
            self.network.requests.remove(&in_hand.req);
        }
        if known.acceptor_incarnation == Some(incarnation) {
            known.acceptor_incarnation = None;
            self.send(conn.0, Way::ToDialer, Packet::End, at, cause);
        } else if !known_open(self.network.conns.get(&conn.0)) {
            // The dialer had ended it already, and the acceptor had only its last request in hand.
            self.network.conns.remove(&conn.0);
        }
    }

    /// A request is settled: its answer leaves, and the next request of the connection is handed in.
    fn settle(&mut self, req: ReqId, response: Option<Box<ResponseKind>>, at: Nanos, cause: EventId) {
        let Some(conn) = self.network.requests.remove(&req) else { return };
        let Some(known) = self.network.conns.get_mut(&conn) else { return };
        let Some(in_hand) = known.in_hand.filter(|h| h.req == req) else { return };
        known.in_hand = None;
        if let Some(body) = response.filter(|_| in_hand.answer_at.is_some()) {
            let version = in_hand.answer_at.unwrap_or_default();
            let body = match self.carriage {
                Carriage::Typed => body,
                Carriage::Wire => Box::new(through_the_wire_response(&body, version)),
            };
            self.send(conn, Way::ToDialer, Packet::Response { call: in_hand.call, body }, at, cause);
        }
        if !known_open(self.network.conns.get(&conn)) {
            self.network.conns.remove(&conn);
            return;
        }
        if let Some((acceptor, input, cause)) = self.next_request(conn) {
            // Not at once: the effects of the present handler that are still to come go first.
            self.schedule_input(at, acceptor, input, cause);
        }
    }

    /// The next request of a connection, if the acceptor has none of it in hand.
    fn next_request(&mut self, conn: u64) -> Option<(NodeIx, Input, EventId)> {
        let known = self.network.conns.get_mut(&conn).filter(|c| c.in_hand.is_none())?;
        let arrived = known.backlog.pop_front()?;
        self.last_fresh += 1;
        let req = ReqId(self.last_fresh);
        let answer_at = arrived.wants_response.then_some(arrived.version);
        known.in_hand = Some(InHand { req, call: arrived.call, answer_at });
        let (acceptor, dialer) = (known.acceptor, known.dialer);
        self.network.requests.insert(req, conn);
        let (listener, client_id) = (known.listener, self.node_name(dialer).to_string());
        let client_host = format!("/{client_id}");
        let header = RequestHeader { listener, api_version: arrived.version, client_id, client_host };
        let input = Input::Request { req, conn: ConnId(conn), header, body: arrived.body };
        Some((acceptor, input, arrived.cause))
    }

    /// Puts a packet on a way: it arrives after the link's latency, never before an earlier one, and not through a cut.
    pub(super) fn send(&mut self, conn: u64, way: Way, packet: Packet, at: Nanos, cause: EventId) {
        let Some(known) = self.network.conns.get(&conn) else { return };
        let (from, to) = known.ends(way);
        let (purpose, dialer) = (known.purpose, known.dialer);
        if self.network.is_cut(from, to) {
            self.cut_holds_back(from, to);
            let known = self.network.conns.get_mut(&conn).expect("just seen");
            known.held[way as usize].push_back((packet, cause));
            return;
        }
        let is_fetch = purpose == Purpose::Fetcher;
        // Half of it on the request's way, half on the answer's.
        let slow_fetch = if is_fetch { self.slots[dialer.0 as usize].slow_fetch.iter().sum::<Nanos>() / 2 } else { 0 };
        let latency = weather::latency(&self.scenario.network, self.seed, from.0, to.0, purpose as u8, at)
            + self.network.slowness(from, to, purpose)
            + slow_fetch;
        let not_before = match &packet {
            Packet::Response { body, .. } if purpose == Purpose::Raft => self.metadata_is_held_until(dialer, body),
            _ => 0,
        };
        let known = self.network.conns.get_mut(&conn).expect("just seen");
        let arrival = (at + latency).max(known.last_arrival[way as usize] + 1).max(not_before);
        known.last_arrival[way as usize] = arrival;
        self.queue.push(arrival, What::Arrive { conn, way, packet, cause });
    }

    /// A cut was mended: what it held is on its way again.
    pub(super) fn release_held(&mut self, from: NodeIx, to: NodeIx) {
        let conns: Vec<u64> = self.network.conns.keys().copied().collect();
        for conn in conns {
            for way in [Way::ToAcceptor, Way::ToDialer] {
                let Some(known) = self.network.conns.get_mut(&conn) else { continue };
                if known.ends(way) == (from, to) {
                    let held = std::mem::take(&mut known.held[way as usize]);
                    held.into_iter().for_each(|(p, cause)| self.send(conn, way, p, self.now + RETRANSMIT, cause));
                }
            }
        }
    }

    /// A machine has power again: what others kept sending to it arrives.
    pub(super) fn release_held_to(&mut self, node: NodeIx) {
        for from in (0..self.slots.len() as u32).map(NodeIx) {
            if !self.network.is_cut(from, node) {
                self.release_held(from, node);
            }
        }
    }

    pub(super) fn on_arrival(&mut self, conn: u64, way: Way, packet: Packet, cause: EventId) {
        match way {
            Way::ToAcceptor => self.on_arrival_at_acceptor(conn, packet, cause),
            Way::ToDialer => self.on_arrival_at_dialer(conn, packet, cause),
        }
    }

    fn on_arrival_at_acceptor(&mut self, conn: u64, packet: Packet, cause: EventId) {
        let Some(known) = self.network.conns.get_mut(&conn) else { return };
        let slot = &self.slots[known.acceptor.0 as usize];
        if slot.power == Power::Off {
            // Nobody acknowledges it, so the sender's system sends it again until somebody does.
            known.held[Way::ToAcceptor as usize].push_back((packet, cause));
            return;
        }
        let is_listening = slot.is_up();
        let incarnation = slot.incarnation;
        match packet {
            Packet::Syn if is_listening => {
                known.acceptor_incarnation = Some(incarnation);
                self.send(conn, Way::ToDialer, Packet::Accepted, self.now, cause);
            }
            Packet::Syn => self.send(conn, Way::ToDialer, Packet::Refused, self.now, cause),
            Packet::Request { call, version, wants_response, body } => {
                if known.acceptor_incarnation == Some(incarnation) && is_listening {
                    known.backlog.push_back(Arrived { call, version, wants_response, body, cause });
                    if let Some((acceptor, input, cause)) = self.next_request(conn) {
                        self.hand_in(acceptor, input, cause);
                    }
                } else {
                    // The one this was meant for is gone: the machine resets the connection.
                    self.send(conn, Way::ToDialer, Packet::End, self.now, cause);
                }
            }
            Packet::End => {
                // The acceptor notices only when it answers; what it has in hand goes on.
                known.backlog.clear();
                if known.in_hand.is_none() {
                    self.network.conns.remove(&conn);
                } else {
                    known.acceptor_incarnation = None;
                }
            }
            Packet::Accepted | Packet::Refused | Packet::Response { .. } => {}
        }
    }

    fn on_arrival_at_dialer(&mut self, conn: u64, packet: Packet, cause: EventId) {
        let Some(known) = self.network.conns.get_mut(&conn) else { return };
        let (dialer, incarnation) = (known.dialer, known.dialer_incarnation);
        if self.slots[dialer.0 as usize].power == Power::Off {
            known.held[Way::ToDialer as usize].push_back((packet, cause));
            return;
        }
        if !self.is_alive(dialer, incarnation) {
            if let Packet::Response { .. } = packet {
                let (what, to) = (packet.name().to_string(), self.node_name(dialer).to_string());
                self.tracer.record(self.now, NodeIx::WORLD, Event::Dropped { what, to }, cause, &[]);
            }
            if let Packet::End | Packet::Refused = packet {
                self.network.conns.remove(&conn);
            } else {
                // The machine knows nothing of this connection and resets it.
                self.network.conns.entry(conn).and_modify(|known| known.dialer_open = false);
                self.send(conn, Way::ToAcceptor, Packet::End, self.now, cause);
            }
            return;
        }
        let Some(known) = self.network.conns.get_mut(&conn).filter(|c| c.dialer_open) else { return };
        match packet {
            Packet::Accepted => self.hand_in(dialer, Input::Opened { conn: ConnId(conn) }, cause),
            Packet::Refused => {
                self.network.conns.remove(&conn);
                self.hand_in(dialer, Input::DialFailed { conn: ConnId(conn) }, cause);
            }
            Packet::Response { call, body } => {
                if let Some(at) = known.calls.iter().position(|c| *c == call) {
                    known.calls.remove(at);
                    self.hand_in(dialer, Input::Response { call, conn: ConnId(conn), result: Ok(body) }, cause);
                }
            }
            Packet::End => {
                self.end_for_dialer(conn, self.now, cause);
                self.network.conns.remove(&conn);
            }
            Packet::Syn | Packet::Request { .. } => {}
        }
    }

    /// The dialer's end is over: its calls are answered with an error, then it hears of the end.
    pub(super) fn end_for_dialer(&mut self, conn: u64, at: Nanos, cause: EventId) {
        let Some(known) = self.network.conns.get_mut(&conn) else { return };
        known.dialer_open = false;
        let dialer = known.dialer;
        let calls = std::mem::take(&mut known.calls);
        for call in calls {
            let result = Err(CallError::Disconnected);
            self.schedule_input(at, dialer, Input::Response { call, conn: ConnId(conn), result }, cause);
        }
        self.schedule_input(at, dialer, Input::Closed { conn: ConnId(conn) }, cause);
    }

    /// The process of a node is gone. `lost_power`: nobody closes its connections.
    pub(super) fn end_process(&mut self, node: NodeIx, lost_power: bool) {
        let slot = &mut self.slots[node.0 as usize];
        let incarnation = slot.incarnation;
        slot.power = if lost_power { Power::Off } else { Power::Dead };
        slot.lanes = Default::default();
        slot.deadline_at = None;
        slot.held_effects.clear();
        self.forget_sends_of(node);
        let conns: Vec<u64> = self.network.conns.keys().copied().collect();
        for conn in conns {
            let Some(known) = self.network.conns.get_mut(&conn) else { continue };
            if known.dialer == node && known.dialer_incarnation == incarnation && known.dialer_open {
                known.dialer_open = false;
                known.calls.clear();
                if !lost_power {
                    self.send(conn, Way::ToAcceptor, Packet::End, self.now, EventId::NONE);
                }
            } else if known.acceptor == node && known.acceptor_incarnation == Some(incarnation) {
                known.backlog.clear();
                if let Some(in_hand) = known.in_hand.take() {
                    self.network.requests.remove(&in_hand.req);
                }
                if !lost_power {
                    known.acceptor_incarnation = None;
                    self.send(conn, Way::ToDialer, Packet::End, self.now, EventId::NONE);
                }
            }
        }
    }
}

/// Does either end still hold this connection?
fn known_open(conn: Option<&Conn>) -> bool {
    conn.is_some_and(|c| c.dialer_open || c.acceptor_incarnation.is_some())
}

/// Encodes and decodes a request at its version. A message that does not survive is a defect of the model, told as the
/// failed assertion of the World that it is.
fn through_the_wire_request(body: &RequestKind, version: i16) -> RequestKind {
    let mut bytes = BytesMut::new();
    body.encode(&mut bytes, version).expect("a request of ours can be encoded at its version");
    let key = api_key_of(body).expect("our nodes send only what the protocol module lists");
    let decoded = RequestKind::decode(key, &mut bytes.freeze(), version).expect("what was encoded can be decoded");
    assert_eq!(&decoded, body, "a request lost something on the wire at version {version}");
    decoded
}

fn through_the_wire_response(body: &ResponseKind, version: i16) -> ResponseKind {
    let mut bytes = BytesMut::new();
    body.encode(&mut bytes, version).expect("a response of ours can be encoded at its version");
    let key = api_key_of_response(body).expect("our nodes answer only what the protocol module lists");
    let decoded = ResponseKind::decode(key, &mut bytes.freeze(), version).expect("what was encoded can be decoded");
    assert_eq!(&decoded, body, "a response lost something on the wire at version {version}");
    decoded
}
