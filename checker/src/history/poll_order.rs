//! poll-skip and nonmonotonic-poll: a consumer with a manual assignment reads each record after the one before, in
//! units of the dense index (Jepsen's Kafka workload): only an offset at which somebody saw a record can be skipped.

use std::collections::BTreeMap;

use super::{History, Violation};
use crate::observation::EventRef;

/// A step of a consumer that was not to the next offset.
#[derive(Clone, Copy, Debug)]
struct Jump {
    consumer: u32,
    partition: u32,
    after: i64,
    read: i64,
    at: EventRef,
}

/// Positions of consumers, and their jumps.
#[derive(Clone, Debug, Default)]
pub(crate) struct PollOrder {
    positions: BTreeMap<(u32, u32), i64>,
    jumps: Vec<Jump>,
}

impl PollOrder {
    /// A consumer read an offset.
    pub(crate) fn read(&mut self, at: EventRef, consumer: u32, partition: u32, read: i64) {
        let Some(after) = self.positions.insert((consumer, partition), read) else { return };
        if read != after.saturating_add(1) {
            self.jumps.push(Jump { consumer, partition, after, read, at });
        }
    }

    /// A consumer's position was set from outside: what it reads next follows nothing.
    pub(crate) fn reset(&mut self, consumer: u32, partition: u32) {
        self.positions.remove(&(consumer, partition));
    }

    /// The jumps that were not over holes.
    pub(crate) fn finish(&self, history: &History, found: &mut Vec<Violation>) {
        for &Jump { consumer, partition, after, read, at } in &self.jumps {
            let seen = &history.logs[partition as usize].seen;
            let partition = history.partitions.name(partition).clone();
            if read <= after {
                found.push(Violation::NonmonotonicPoll { partition, consumer, after, read, at });
            } else if let Some(skipped) = seen.first_in(after.saturating_add(1), read) {
                found.push(Violation::PollSkip { partition, consumer, after, skipped, read, at });
            }
        }
    }
}
