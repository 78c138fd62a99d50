//! The story of one record: from the producer's hands to the last log that has it, or had it.

use std::collections::{BTreeMap, BTreeSet};

use trial_checker::Step;
use trial_kafka::event::{Event, Fault};
use trial_kafka::ids::TopicPartition;
use trial_kafka::node::{Belief, ConsumedRecord, EventId};

use crate::observe::read_entries;
use crate::trace::{NodeIx, TraceEvent};
use crate::world::{Note, Sink, World, decode_value};

/// A sink that picks out of a run what concerns one record. Where a copy lies is read from the logs in the World, not
/// from what a broker says.
#[derive(Clone, Debug)]
pub struct Story {
    record: u64,
    steps: Vec<Step>,
    /// Who sent it, and where to.
    sent: Option<(NodeIx, TopicPartition)>,
    /// Records by producer and partition, in the order in which they were given: a batch is told by its first one and
    /// their number.
    sequences: BTreeMap<(NodeIx, TopicPartition), Vec<u64>>,
    /// The offsets at which each broker's log has it.
    copies: BTreeMap<i32, BTreeSet<i64>>,
    /// Offsets in the final read.
    finally_at: Vec<i64>,
    belief: Option<Belief>,
}

impl Story {
    /// The story of the record of this number.
    pub fn of(record: u64) -> Self {
        Story {
            record,
            steps: Vec::new(),
            sent: None,
            sequences: BTreeMap::new(),
            copies: BTreeMap::new(),
            finally_at: Vec::new(),
            belief: None,
        }
    }

    /// The steps in order, and how it ended in a sentence. `None` if no such record was sent.
    pub fn finish(self) -> Option<(Vec<Step>, String)> {
        let told = match self.belief {
            None => "its producer was told nothing",
            Some(Belief::Acked { .. }) => "its producer was told that it is written",
            Some(Belief::Failed) => "its producer was told that it is not written",
            Some(Belief::Unknown) => "its producer does not know whether it is written",
            Some(Belief::Unpromised) => "its producer asked for no promise (acks=0)",
        };
        let (_, partition) = self.sent?;
        let record = self.record;
        let finally = match self.finally_at.as_slice() {
            [] => format!("the final read of {partition} did not find it"),
            [at] => format!("the final read of {partition} found it at offset {at}"),
            many => format!("the final read of {partition} found it {} times, at offsets {many:?}", many.len()),
        };
        Some((self.steps, format!("record r{record}: {told}; {finally}")))
    }

    fn tell(&mut self, event: EventId, virtual_ns: u64, node: &str, sentence: String) {
        let sentence = format!("{node} {sentence}");
        self.steps.push(Step { event: event.0, virtual_ns, node: node.to_string(), sentence });
    }
    fn quote(&mut self, world: &World, event: &TraceEvent) {
        self.tell(event.id, event.time, world.node_name(event.node), event.event.to_string());
    }

    fn on_event(&mut self, world: &World, event: &TraceEvent) {
        if let Event::SendInvoked { op, partition } = &event.event {
            if op.0 == self.record {
                self.sent = Some((event.node, partition.clone()));
                self.quote(world, event);
            }
            self.sequences.entry((event.node, partition.clone())).or_default().push(op.0);
            return;
        }
        let Some((producer, partition)) = self.sent.clone() else { return };
        if event.node == producer {
            return self.on_producer_event(world, event, &partition);
        }
        // The kind of an event says whose it is: a process may be a controller and a broker.
        self.on_controller_event(world, event, &partition);
        let Some(broker) = world.broker_at(event.node).map(trial_kafka::broker::Broker::node_id) else { return };
        if event.event.partition().is_some_and(|about| *about != partition) {
            return;
        }
        self.on_broker_event(world, event, broker, &partition);
    }

    fn on_producer_event(&mut self, world: &World, event: &TraceEvent, partition: &TopicPartition) {
        let (first_op, records) = match &event.event {
            Event::BatchSent { first_op, records, .. }
            | Event::BatchAcked { first_op, records, .. }
            | Event::BatchFailed { first_op, records, .. }
            | Event::BatchSplit { first_op, records, .. }
            | Event::BatchRetried { first_op, records, .. } => (first_op.0, *records),
            _ => return,
        };
        let sequence = self.sequences.get(&(event.node, partition.clone())).map(Vec::as_slice).unwrap_or_default();
        if event.event.partition() == Some(partition) && batch_has(sequence, first_op, records, self.record) {
            self.quote(world, event);
        }
    }

    fn on_broker_event(&mut self, world: &World, event: &TraceEvent, broker: i32, partition: &TopicPartition) {
        // A high watermark goes back with the log that is cut.
        let has = |story: &Story, from: i64, end: i64| {
            let offsets = story.copies.get(&broker).filter(|_| from < end);
            offsets.is_some_and(|offsets| offsets.range(from..end).next().is_some())
        };
        match &event.event {
            Event::Appended { first_offset, last_offset, .. } => {
                let found = offsets_of(world, event.node, partition, *first_offset, last_offset + 1, self.record);
                for offset in found {
                    self.copies.entry(broker).or_default().insert(offset);
                    self.tell(
                        event.id,
                        event.time,
                        world.node_name(event.node),
                        format!("{}: it lies at offset {offset}", event.event),
                    );
                }
            }
            Event::HighWatermark { from, to, .. } if has(self, *from, *to) => self.quote(world, event),
            Event::ProduceAnswered { first_offset, last_offset, .. } if has(self, *first_offset, last_offset + 1) => {
                self.quote(world, event);
            }
            Event::BecameLeader { .. } => {
                let holds = has(self, 0, i64::MAX);
                let holds = if holds { "and has the record" } else { "and does not have the record" };
                self.tell(event.id, event.time, world.node_name(event.node), format!("{}, {holds}", event.event));
            }
            Event::Truncated { to, .. } if has(self, *to, i64::MAX) => {
                self.forget_from(broker, *to);
                self.tell(
                    event.id,
                    event.time,
                    world.node_name(event.node),
                    format!("{}: its copy is gone", event.event),
                );
            }
            Event::Fault(
                Fault::Crash
                | Fault::PowerLoss { .. }
                | Fault::DiskFailed
                | Fault::RestoreDisk { .. }
                | Fault::Pause
                | Fault::Resume,
            ) if has(self, 0, i64::MAX) => self.quote(world, event),
            Event::Fault(Fault::ReplaceDisk { .. }) if has(self, 0, i64::MAX) => {
                self.forget_from(broker, 0);
                let sentence = format!("{}: its copy is gone", event.event);
                self.tell(event.id, event.time, world.node_name(event.node), sentence);
            }
            Event::Started { .. } if has(self, 0, i64::MAX) => {
                let end =
                    world.broker_at(event.node).and_then(|b| b.partition(partition)).map_or(0, |r| r.log_end_offset());
                if has(self, end, i64::MAX) {
                    self.forget_from(broker, end);
                    let sentence = format!("{}: its log ends at offset {end}, its copy is gone", event.event);
                    self.tell(event.id, event.time, world.node_name(event.node), sentence);
                } else {
                    self.quote(world, event);
                }
            }
            _ => {}
        }
    }

    fn forget_from(&mut self, broker: i32, offset: i64) {
        if let Some(offsets) = self.copies.get_mut(&broker) {
            offsets.retain(|at| *at < offset);
        }
    }

    fn on_controller_event(&mut self, world: &World, event: &TraceEvent, partition: &TopicPartition) {
        let is_part_of_it = match &event.event {
            Event::LeaderChanged { partition: about, .. } | Event::EligibleLeadersChanged { partition: about, .. } => {
                about == partition
            }
            // It may have undone an election that was told before.
            Event::ControllerStoodDown { .. } => true,
            _ => false,
        };
        if is_part_of_it {
            self.quote(world, event);
        }
    }

    fn on_note(&mut self, world: &World, note: &Note) {
        let is_it = |record: &&ConsumedRecord| record.value.as_deref().and_then(decode_value) == Some(self.record);
        match note {
            Note::SendSettled { record, belief, .. } if *record == self.record => self.belief = Some(belief.clone()),
            Note::Polled { consumer, records, event } => {
                let offsets: Vec<i64> = records.iter().filter(is_it).map(|record| record.offset).collect();
                let name = format!("k{}", consumer + 1);
                for offset in offsets {
                    self.tell(*event, world.now(), &name, format!("read it at offset {offset}"));
                }
            }
            Note::FinalRead { records, event } => {
                let offsets: Vec<i64> = records.iter().filter(is_it).map(|record| record.offset).collect();
                for offset in offsets {
                    self.finally_at.push(offset);
                    self.tell(*event, world.now(), "reader", format!("found it at offset {offset} in the final read"));
                }
            }
            _ => {}
        }
    }
}

impl Sink for Story {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], notes: &[Note]) {
        events.iter().for_each(|event| self.on_event(world, event));
        notes.iter().for_each(|note| self.on_note(world, note));
    }
}

/// Is the record among the `records` ones of a producer's sequence that begin with `first`?
fn batch_has(sequence: &[u64], first: u64, records: u32, record: u64) -> bool {
    let Some(start) = sequence.iter().position(|op| *op == first) else { return false };
    sequence[start..].iter().take(records as usize).any(|op| *op == record)
}

/// Where a log has a record, between two offsets.
fn offsets_of(world: &World, node: NodeIx, partition: &TopicPartition, from: i64, end: i64, record: u64) -> Vec<i64> {
    let Some(replica) = world.broker_at(node).and_then(|b| b.partition(partition)) else { return Vec::new() };
    let (from, end) = (from.max(replica.log.log_start_offset()), end.min(replica.log_end_offset()));
    if from >= end {
        return Vec::new();
    }
    let entries = read_entries(world, node, &replica.log, from, end, true);
    let offsets = entries.iter().flat_map(|entry| (entry.first_offset..).zip(&entry.records));
    offsets.filter(|(_, id)| **id == record).map(|(offset, _)| offset).collect()
}
