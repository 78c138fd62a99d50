//! What the stories of several rooms share: a disk in memory, a host that writes down what a node asks of it,
//! and the record of a partition.

pub mod memory_disk;

use uuid::Uuid;

use crate::event::Event;
use crate::ids::BrokerId;
use crate::metadata::MetadataRecord;
use crate::node::{Effect, EventId, Host, Nanos, RandomFor};

/// The record by which the controller places a partition: in epoch 0, nothing of it being moved.
pub fn placed(
    topic_id: Uuid,
    partition: i32,
    replicas: &[BrokerId],
    isr: &[BrokerId],
    leader: BrokerId,
) -> MetadataRecord {
    MetadataRecord::Partition {
        topic_id,
        partition,
        replicas: replicas.to_vec(),
        isr: isr.to_vec(),
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader,
        leader_epoch: 0,
        partition_epoch: 0,
        leader_recovery_state: 0,
        eligible_leader_replicas: Vec::new(),
        last_known_elr: Vec::new(),
    }
}

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
