//! The virtual network: connections as ordered byte streams, links that are slow or cut.
//!
//! # Model
//!
//! - A connection has two ways. A packet on one way never overtakes another on the same way; the two ways, and different
//!   connections between the same machines, are independent. Each packet takes the link's weather (`weather`), plus
//!   what slow-link and slow-fetch faults add.
//! - The accepting side is handed one request at a time; the rest waits in the connection's backlog (Kafka mutes the
//!   channel).
//! - A *cut* way holds packets back, as TCP retransmits: they arrive, in order, after the cut is mended. What was under
//!   way when the cut began still arrives.
//! - A process that dies closes its connections: what it had sent still arrives, then the end. A machine without power
//!   closes nothing: its peers find out by their own time-outs, or by the reset that the rebooted machine sends when
//!   something arrives for a connection it does not know. What they send meanwhile, their systems send until it is back.
//!
//! Not modelled: bandwidth, partial segments, loss without retransmission, accept queues that overflow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kafka_protocol::messages::{RequestKind, ResponseKind};
use trial_kafka::node::{CallId, EventId, Listener, Nanos, Purpose, ReqId};

use crate::trace::NodeIx;

/// What travels on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    /// The dialer wants to connect.
    Syn,
    /// The acceptor agrees.
    Accepted,
    /// Nobody listens there.
    Refused,
    /// A request.
    Request { call: CallId, version: i16, wants_response: bool, body: Box<RequestKind> },
    /// Its response.
    Response { call: CallId, body: Box<ResponseKind> },
    /// The sender has ended the connection.
    End,
}

impl Packet {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Packet::Syn => "connect",
            Packet::Accepted => "accept",
            Packet::Refused => "refuse",
            Packet::Request { .. } => "request",
            Packet::Response { .. } => "response",
            Packet::End => "close",
        }
    }
}

/// The direction of a packet on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToAcceptor,
    ToDialer,
}

/// A request as it waits on the accepting side.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) call: CallId,
    pub(crate) version: i16,
    pub(crate) wants_response: bool,
    pub(crate) body: Box<RequestKind>,
    pub(crate) cause: EventId,
}

/// The request that the accepting node has in hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InHand {
    pub(crate) req: ReqId,
    pub(crate) call: CallId,
    /// At which version to answer; `None`: not at all (acks=0).
    pub(crate) answer_at: Option<i16>,
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Conn {
    pub(crate) dialer: NodeIx,
    pub(crate) dialer_incarnation: u32,
    pub(crate) acceptor: NodeIx,
    /// The incarnation that accepted; `None` before.
    pub(crate) acceptor_incarnation: Option<u32>,
    /// Which of the acceptor's listeners was dialed.
    pub(crate) listener: Listener,
    pub(crate) purpose: Purpose,
    /// The dialer's end is open, or dialing.
    pub(crate) dialer_open: bool,
    pub(crate) last_arrival: [Nanos; 2],
    pub(crate) held: [VecDeque<(Packet, EventId)>; 2],
    /// Calls without an answer, oldest first.
    pub(crate) calls: VecDeque<CallId>,
    pub(crate) in_hand: Option<InHand>,
    pub(crate) backlog: VecDeque<Arrived>,
}

impl Conn {
    pub(crate) fn ends(&self, way: Way) -> (NodeIx, NodeIx) {
        match way {
            Way::ToAcceptor => (self.dialer, self.acceptor),
            Way::ToDialer => (self.acceptor, self.dialer),
        }
    }
}

/// What is added to packets of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slowness {
    /// Only on connections of this purpose; `None`: on all.
    pub(crate) purpose: Option<Purpose>,
    pub(crate) by: Nanos,
}

/// All connections and the state of the links.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    pub(crate) conns: BTreeMap<u64, Conn>,
    /// Which connection a request in hand came on.
    pub(crate) requests: BTreeMap<ReqId, u64>,
    /// Ways that are cut, and the cuts that are not mended yet, by number.
    pub(crate) cuts: BTreeMap<(NodeIx, NodeIx), Vec<u32>>,
    /// What is added to packets of a way, one entry a fault.
    pub(crate) slow: BTreeMap<(NodeIx, NodeIx), Vec<Slowness>>,
    /// Cuts that have held nothing back yet: they have had no effect.
    pub(crate) unfelt: BTreeSet<u32>,
    /// Number of the last cut.
    pub(crate) last_cut: u32,
}

impl Network {
    pub(crate) fn is_cut(&self, from: NodeIx, to: NodeIx) -> bool {
        self.cuts.contains_key(&(from, to))
    }
    pub(crate) fn slowness(&self, from: NodeIx, to: NodeIx, purpose: Purpose) -> Nanos {
        let concerned = |slow: &&Slowness| slow.purpose.is_none_or(|only| only == purpose);
        self.slow.get(&(from, to)).map_or(0, |added| added.iter().filter(concerned).map(|slow| slow.by).sum())
    }
}
