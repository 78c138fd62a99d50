//! The trace: numbered events with causes, and the rolling digest over them.

use bincode::serde::encode_into_std_write;
use serde::{Deserialize, Serialize};
use trial_kafka::event::Event;
use trial_kafka::node::{EventId, Nanos};
use xxhash_rust::xxh3::Xxh3;

/// Index of a node in the World, in the order controllers, brokers, clients. The World itself is [`NodeIx::WORLD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeIx(pub u32);

impl NodeIx {
    /// The World: phases and the like are its own events.
    pub const WORLD: NodeIx = NodeIx(u32::MAX);
}

/// One event of the trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEvent {
    /// Its number, from 1.
    pub id: EventId,
    /// Virtual time in nanoseconds since the start of the trial.
    pub time: Nanos,
    /// Whose state changed.
    pub node: NodeIx,
    /// What caused it: first the input's cause, then those named by the node. Never itself or a later one.
    pub causes: Vec<EventId>,
    /// What happened.
    pub event: Event,
}

/// The digest of a run so far: 128 bits over every event's bytes, in order.
#[derive(Clone)]
pub struct Digest {
    state: Xxh3,
    scratch: Vec<u8>,
}

impl Default for Digest {
    fn default() -> Self {
        Digest { state: Xxh3::new(), scratch: Vec::with_capacity(256) }
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({})", self.hex())
    }
}

impl Digest {
    /// Takes one event in.
    pub fn update(&mut self, event: &TraceEvent) {
        self.scratch.clear();
        encode_into_std_write(event, &mut self.scratch, bincode::config::standard())
            .expect("writing to memory does not fail, and every event can be encoded");
        self.state.update(&self.scratch);
    }
    /// The digest as 32 hexadecimal digits.
    pub fn hex(&self) -> String {
        format!("{:032x}", self.state.digest128())
    }
}

/// Numbers events, keeps the digest, and holds the events of the present step until a sink has seen them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracer {
    last: u64,
    pub(crate) digest: Digest,
    /// Events of the present step.
    pub(crate) fresh: Vec<TraceEvent>,
}

impl Tracer {
    pub(crate) fn record(
        &mut self,
        time: Nanos,
        node: NodeIx,
        event: Event,
        cause: EventId,
        also: &[EventId],
    ) -> EventId {
        self.last += 1;
        let id = EventId(self.last);
        let mut causes = Vec::with_capacity(1 + also.len());
        for cause in std::iter::once(cause).chain(also.iter().copied()) {
            if cause != EventId::NONE && !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        let event = TraceEvent { id, time, node, causes, event };
        self.digest.update(&event);
        self.fresh.push(event);
        id
    }
    pub(crate) fn count(&self) -> u64 {
        self.last
    }
}
