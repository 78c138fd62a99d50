//! What the stories of several rooms share: a disk in memory, and a host that writes down what a node asks of it.

pub mod memory_disk;

use crate::event::Event;
use crate::node::{Effect, EventId, Host, Nanos, RandomFor};

/// Keeps effects and events until a story looks at them. Its randomness is always the same number.
#[derive(Default)]
pub struct TestHost {
    fresh: u64,
    /// Its randomness.
    pub random: u64,
    pub effects: Vec<Effect>,
    pub events: Vec<(Event, Vec<EventId>)>,
}

impl Host for TestHost {
    fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }
    fn random(&mut self, _: RandomFor) -> u64 {
        self.random
    }
    fn record(&mut self, event: Event, also_because: &[EventId]) -> EventId {
        self.events.push((event, also_because.to_vec()));
        EventId(self.events.len() as u64)
    }
    fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
    fn charge(&mut self, _: Nanos) {}
}
