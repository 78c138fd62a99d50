//! What clients did and saw in a trial: the history that `trial check` and `trial export` take from a recording.

use std::collections::BTreeMap;

use trial_checker::operations::{History, Options, Recorder};
use trial_checker::{Belief, EventRef, Observation, Partition};
use trial_kafka::event::Event;
use trial_kafka::ids::TopicPartition;
use trial_kafka::node::{self, ConsumedRecord, EventId};
use trial_sim::scenario::Scenario;
use trial_sim::trace::TraceEvent;
use trial_sim::world::{Note, Sink, World, decode_value};

use crate::failure::Failure;

/// Collects what clients tell.
#[derive(Default)]
pub struct ClientHistory {
    told: Vec<(EventRef, Observation)>,
    /// Records whose producer has not chosen a partition yet: the producer, and when it was given the record.
    undecided: BTreeMap<u64, (u32, node::Nanos)>,
}

impl ClientHistory {
    /// The history.
    pub fn finish(mut self) -> Result<History, Failure> {
        // A send was invoked when its producer got it, though its partition was chosen later; and it was invoked before
        // anything ended at that instant.
        self.told.sort_by_key(|(at, what)| (at.time, !matches!(what, Observation::SendInvoked { .. })));
        let mut recorder = Recorder::default();
        let mut end = EventRef::default();
        let misfit = |misfit: trial_checker::operations::Misfit| Failure::usage(misfit.to_string(), []);
        for (at, what) in &self.told {
            end = *at;
            recorder.observe(*at, what).map_err(misfit)?;
        }
        recorder.finish(end).map_err(misfit)
    }

    fn chosen(&mut self, event: EventId, record: u64, partition: &TopicPartition) {
        let Some((producer, time)) = self.undecided.remove(&record) else { return };
        let at = EventRef { id: event.0, time };
        self.told.push((at, Observation::SendInvoked { record, producer, partition: name(partition) }));
    }

    fn note(&mut self, world: &World, note: &Note) {
        let at = |event: &EventId| EventRef { id: event.0, time: world.now() };
        match note {
            Note::SendInvoked { record, producer } => {
                self.undecided.insert(*record, (*producer, world.now()));
            }
            Note::SendSettled { record, partition, belief, attempts, event } => {
                // Given up before any partition was chosen: it belongs nowhere, so anywhere.
                if let Some(any) = partition.clone().or_else(|| world.all_partitions().into_iter().next()) {
                    self.chosen(*event, *record, &any);
                }
                let belief = match belief {
                    node::Belief::Acked { offset } => Belief::Acked { offset: Some(*offset).filter(|o| *o >= 0) },
                    node::Belief::Failed => Belief::Failed,
                    node::Belief::Unknown => Belief::Unknown,
                    node::Belief::Unpromised => Belief::Unpromised,
                };
                let settled = Observation::SendSettled { record: *record, belief, attempts: *attempts };
                self.told.push((at(event), settled));
            }
            Note::Polled { consumer, records, event } => {
                for ConsumedRecord { partition, offset, leader_epoch, value, .. } in records {
                    let record = value.as_deref().and_then(decode_value);
                    let (offset, leader_epoch, partition) = (*offset, *leader_epoch, name(partition));
                    let read = Observation::Read { consumer: *consumer, partition, offset, leader_epoch, record };
                    self.told.push((at(event), read));
                }
            }
            Note::FinalRead { records, event } => {
                for ConsumedRecord { partition, offset, leader_epoch, value, .. } in records {
                    let record = value.as_deref().and_then(decode_value);
                    let (offset, leader_epoch, partition) = (*offset, *leader_epoch, name(partition));
                    self.told.push((at(event), Observation::FinalRead { partition, offset, leader_epoch, record }));
                }
            }
            Note::Assigned { .. } | Note::FinalReadEnd { .. } | Note::External { .. } => {}
        }
    }
}

fn name(partition: &TopicPartition) -> Partition {
    Partition::new(partition.topic.as_str(), partition.partition)
}

impl Sink for ClientHistory {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], notes: &[Note]) {
        let invoked = |note: &&Note| matches!(note, Note::SendInvoked { .. });
        notes.iter().filter(invoked).for_each(|note| self.note(world, note));
        for event in events {
            match &event.event {
                Event::SendInvoked { op, partition } => self.chosen(event.id, op.0, partition),
                Event::PositionReset { partition, to, .. } => {
                    let number = world.node_name(event.node).strip_prefix('k').and_then(|n| n.parse::<u32>().ok());
                    if let Some(consumer) = number.and_then(|n| n.checked_sub(1)) {
                        let at = EventRef { id: event.id.0, time: event.time };
                        let reset = Observation::PositionReset { consumer, partition: name(partition), to: *to };
                        self.told.push((at, reset));
                    }
                }
                _ => {}
            }
        }
        notes.iter().filter(|note| !invoked(note)).for_each(|note| self.note(world, note));
    }
}

/// What a scenario says of the configuration. Where its producers or topics differ, the weakest promise counts.
pub fn options_of(scenario: &Scenario) -> Options {
    let broker = &scenario.cluster.config;
    let producers = || scenario.producers.iter().map(|spec| &spec.config);
    // From the weakest: 0, 1, all.
    let acks = producers().map(|config| config.acks.0).min_by_key(|acks| if *acks < 0 { i16::MAX } else { *acks });
    let unclean = |own: Option<bool>| own.unwrap_or(broker.unclean_leader_election_enable);
    let min_isr = scenario.topics.iter().map(|t| t.config.min_insync_replicas.unwrap_or(broker.min_insync_replicas));
    Options {
        acks: acks.unwrap_or(-1),
        idempotence: producers().all(|config| config.enable_idempotence),
        max_in_flight: producers().map(|config| config.max_in_flight.max(0) as u32).max().unwrap_or(5),
        unclean_election: Some(
            scenario.topics.iter().any(|topic| unclean(topic.config.unclean_leader_election_enable)),
        ),
        min_insync_replicas: min_isr.map(|n| n as u32).min(),
        // What brokers went through is not in a history of clients.
        power_loss: true,
        ..Options::default()
    }
}
