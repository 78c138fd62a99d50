//! The World as a node's host: what is answered at once while a node handles an input.

use std::collections::BTreeMap;

use trial_kafka::event::Event;
use trial_kafka::node::{Effect, EventId, Host, Nanos, RandomFor};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::trace::{NodeIx, Tracer};

/// See the module documentation.
pub(crate) struct SimHost<'a> {
    pub(crate) now: Nanos,
    pub(crate) node: NodeIx,
    pub(crate) cause: EventId,
    /// The seed of the run from here on.
    pub(crate) seed: u64,
    pub(crate) tracer: &'a mut Tracer,
    pub(crate) draws: &'a mut BTreeMap<RandomFor, u64>,
    pub(crate) last_fresh: &'a mut u64,
    pub(crate) effects: &'a mut Vec<(Effect, EventId)>,
    pub(crate) charged: Nanos,
}

/// 64 bits that depend on the seed, the node, the purpose and how many were drawn for it, and on nothing else.
pub(crate) fn draw(seed: u64, node: NodeIx, purpose: RandomFor, nth: u64) -> u64 {
    let mut key = [0; 13];
    key[..4].copy_from_slice(&node.0.to_le_bytes());
    key[4] = purpose as u8;
    key[5..].copy_from_slice(&nth.to_le_bytes());
    xxh3_64_with_seed(&key, seed)
}

impl Host for SimHost<'_> {
    fn fresh(&mut self) -> u64 {
        *self.last_fresh += 1;
        *self.last_fresh
    }
    fn random(&mut self, purpose: RandomFor) -> u64 {
        let nth = self.draws.entry(purpose).or_default();
        *nth += 1;
        draw(self.seed, self.node, purpose, *nth)
    }
    fn record(&mut self, event: Event, also_because: &[EventId]) -> EventId {
        self.cause = self.tracer.record(self.now, self.node, event, self.cause, also_because);
        self.cause
    }
    fn effect(&mut self, effect: Effect) {
        self.effects.push((effect, self.cause));
    }
    fn charge(&mut self, work: Nanos) {
        self.charged += work;
    }
}
