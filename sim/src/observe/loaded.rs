//! What did a broker's disk keep, and what does it bring back, when the broker starts?
//!
//! Less than was told, after a loss of power; what had been cut away already; what a handler had appended that died with its
//! disk before it could tell, and what it had emptied; and a log start that was written down later than it moved.

use std::collections::BTreeSet;

use trial_checker::{Entry, EventRef, Observation, StartCause};
use trial_kafka::event::{Event, Fault};
use trial_kafka::ids::TopicPartition;

use super::logs::{Difference, read_entries};
use super::{Observer, replica_at};
use crate::trace::{NodeIx, TraceEvent};
use crate::world::World;

/// What a leader appended in an epoch, and did not live to tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Untold {
    first_offset: i64,
    last_offset: i64,
    leader_epoch: i32,
}

impl Untold {
    fn has(&self, entry: &Entry) -> bool {
        let is_inside = self.first_offset <= entry.first_offset && entry.last_offset <= self.last_offset;
        is_inside && entry.epoch == self.leader_epoch
    }
}

/// When a disk dies under a handler, the node is discarded with what the handler had made of it: whatever it recorded
/// before in the same step never came to be, but for what it had written to the disk.
pub(super) fn is_of_a_discarded_handler(event: &TraceEvent, rest: &[TraceEvent]) -> bool {
    let died = |later: &TraceEvent| later.node == event.node && later.event == Event::Fault(Fault::DiskFailed);
    rest[1..].iter().any(died)
}

impl Observer {
    /// A broker is up: what did its disk keep, and what did it bring back?
    pub(super) fn on_logs_loaded(&mut self, world: &World, at: EventRef, node: NodeIx, broker: i32) {
        let Some(loaded) = world.broker_at(node) else { return };
        let mut ids = self.known.of_broker(broker);
        ids.extend(loaded.partitions().map(|p| p.id.clone()));
        for id in ids.into_iter().collect::<BTreeSet<_>>() {
            let untold = self.untold.remove(&(node, id.clone())).unwrap_or_default();
            if self.is_of_deleted_topic(world, node, &id) {
                self.known.remove(broker, &id);
                if let Some(replica) = replica_at(world, node, &id) {
                    let entries = self.known.take_appended(world, node, broker, &id, &replica.log, !untold.is_empty());
                    let entries = entries.into_iter().filter(|entry| untold.iter().any(|untold| untold.has(entry)));
                    let records: Vec<u64> = entries.flat_map(|entry| entry.records).collect();
                    if !records.is_empty() {
                        self.checker.observe(at, Observation::AppendedToDeleted { records });
                    }
                }
                continue;
            }
            if let Some(mut difference) = self.compare(world, node, broker, &id) {
                let (partition, log_end) = (self.name(&id), difference.same_below);
                self.checker.observe(at, Observation::LogLost { broker, partition, log_end });
                let begins_at = replica_at(world, node, &id).map_or(0, |replica| replica.log.first_segment_offset());
                if begins_at > difference.known_end {
                    // A handler had emptied it, to begin behind its end (`UnifiedLog.truncateFullyAndStartAt`).
                    let why = "because the leader's log starts later".to_owned();
                    let (partition, to) = (self.name(&id), begins_at);
                    self.checker.observe(at, Observation::LogTruncated { broker, partition, to, why });
                    difference.same_below = begins_at;
                }
                self.tell_rest(world, at, node, (broker, &id), difference, &untold);
            }
            if let Some(replica) = replica_at(world, node, &id) {
                let (partition, to) = (self.name(&id), replica.log.log_start_offset());
                let cause = StartCause::Recovered;
                self.checker.observe(at, Observation::LogStartMoved { broker, partition, to, cause });
            }
            self.look_at_producers(world, at, node, &id);
        }
        let kept: Vec<_> = loaded.partitions().map(|p| (p.id.clone(), p.high_watermark(), p.leader_epoch)).collect();
        for (id, to, leader_epoch) in kept {
            if self.is_of_deleted_topic(world, node, &id) {
                continue;
            }
            let partition = self.name(&id);
            let moved =
                Observation::HighWatermarkMoved { broker, partition, to, leader_epoch, legitimate_leader: false };
            self.checker.observe(at, moved);
        }
    }

    /// The log is what the difference says from where it begins. What the broker appended as a leader and could not tell, the
    /// checker hears of here first: nobody else has it.
    pub(super) fn tell_rest(
        &mut self,
        world: &World,
        at: EventRef,
        node: NodeIx,
        (broker, id): (i32, &TopicPartition),
        difference: Difference,
        untold: &[Untold],
    ) {
        let Difference { same_below, entries, .. } = difference;
        self.known.tell(broker, id, same_below, &entries);
        let as_leader = |entry: &Entry| untold.iter().any(|untold| untold.has(entry));
        for run in entries.chunk_by(|one, next| as_leader(one) == as_leader(next)) {
            let (first, last) = (&run[0], &run[run.len() - 1]);
            let entries = match replica_at(world, node, id).filter(|_| as_leader(first)) {
                Some(replica) => {
                    let (from, end) = (first.first_offset, last.last_offset + 1);
                    read_entries(world, node, &replica.log, from, end, true)
                }
                None => run.to_vec(),
            };
            self.tell_appended(world, at, node, (broker, id), as_leader(first), entries);
        }
    }

    /// A handler had recorded this when its disk died.
    pub(super) fn on_discarded(&mut self, event: &TraceEvent) {
        if let Event::Appended { partition, first_offset, last_offset, leader_epoch, as_leader: true } = &event.event {
            let (first_offset, last_offset, leader_epoch) = (*first_offset, *last_offset, *leader_epoch);
            let untold = self.untold.entry((event.node, partition.clone())).or_default();
            untold.push(Untold { first_offset, last_offset, leader_epoch });
        }
    }
}
