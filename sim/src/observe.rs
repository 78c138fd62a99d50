//! From the World to the checker: events, notes and the truth in the logs become plain observations.
//!
//! What a node reports is only the hint where to look. What a log holds is read from the disk of the World, by batch
//! header; that a high watermark counts is decided by the controller's own log.

use std::collections::BTreeMap;

use trial_checker::{
    Belief, Checker, ConsumerSettings, Entry, EventRef, Observation, Partition, ProducerSettings, Settings,
    TopicSettings,
};
use trial_kafka::event::{ElectionKind, Event, Fault};
use trial_kafka::ids::TopicPartition;
use trial_kafka::node::{self, ConsumedRecord, EventId};
use trial_storage::{Batches, records};

use crate::scenario::Scenario;
use crate::trace::{NodeIx, TraceEvent};
use crate::world::{Note, Sink, World, decode_value};

/// A sink that feeds a checker.
#[derive(Clone)]
pub struct Observer {
    checker: Checker,
    /// The end of each replica's log as the checker knows it.
    known_ends: BTreeMap<(i32, TopicPartition), i64>,
    names: BTreeMap<TopicPartition, Partition>,
    /// Records whose producer has not chosen a partition yet: the producer, and when it was given the record.
    undecided: BTreeMap<u64, (u32, node::Nanos)>,
    /// Kinds of fault already told to have taken effect.
    effects_told: BTreeMap<&'static str, u32>,
}

impl Observer {
    /// An observer of a trial of this scenario.
    pub fn new(scenario: &Scenario, expected_fault_kinds: Vec<String>) -> Self {
        Observer {
            checker: Checker::new(settings_of(scenario, expected_fault_kinds)),
            known_ends: BTreeMap::new(),
            names: BTreeMap::new(),
            undecided: BTreeMap::new(),
            effects_told: BTreeMap::new(),
        }
    }
    /// The verdict.
    pub fn finish(self, at: node::Nanos) -> trial_checker::Verdict {
        self.checker.finish(at)
    }

    fn name(&mut self, id: &TopicPartition) -> Partition {
        if let Some(known) = self.names.get(id) {
            return known.clone();
        }
        let name = Partition::new(id.topic.as_str(), id.partition);
        self.names.insert(id.clone(), name.clone());
        name
    }

    fn on_event(&mut self, world: &World, event: &TraceEvent) {
        let at = EventRef { id: event.id.0, time: event.time };
        let broker = world.broker_at(event.node).map(trial_kafka::broker::Broker::node_id);
        let observation = match (&event.event, broker) {
            (Event::Appended { partition, as_leader, .. }, Some(broker)) => {
                return self.on_appended(world, at, event.node, broker, partition, *as_leader);
            }
            (Event::Truncated { partition, to, .. }, Some(broker)) => {
                self.known_ends.insert((broker, partition.clone()), *to);
                let sentence = event.event.to_string();
                let why = sentence.split_once(&format!(" to {to} ")).map_or("", |(_, why)| why).to_string();
                Observation::LogTruncated { broker, partition: self.name(partition), to: *to, why }
            }
            (Event::HighWatermark { partition, to, .. }, Some(broker)) => {
                let leader_epoch =
                    world.broker_at(event.node).and_then(|b| b.partition(partition)).map_or(-1, |p| p.leader_epoch);
                let legitimate_leader = is_legitimate_leader(world, broker, partition, leader_epoch);
                Observation::HighWatermarkMoved {
                    broker,
                    partition: self.name(partition),
                    to: *to,
                    leader_epoch,
                    legitimate_leader,
                }
            }
            (Event::ProduceAnswered { partition, acks, first_offset, last_offset, error: None }, Some(broker)) => {
                let replica = world.broker_at(event.node).and_then(|b| b.partition(partition));
                let maximal_isr = replica.and_then(|r| r.leader_state()).map(|s| s.isr.maximal()).unwrap_or_default();
                Observation::Acknowledged {
                    broker,
                    partition: self.name(partition),
                    first_offset: *first_offset,
                    last_offset: *last_offset,
                    acks: *acks,
                    leader_epoch: replica.map_or(-1, |r| r.leader_epoch),
                    maximal_isr,
                }
            }
            (Event::BecameLeader { partition, leader_epoch, leader_epoch_start_offset, .. }, Some(broker)) => {
                Observation::BecameLeader {
                    broker,
                    partition: self.name(partition),
                    leader_epoch: *leader_epoch,
                    log_end: *leader_epoch_start_offset,
                }
            }
            (Event::BecameFollower { partition, leader_epoch, log_end_offset, high_watermark, .. }, Some(broker)) => {
                Observation::BecameFollower {
                    broker,
                    partition: self.name(partition),
                    leader_epoch: *leader_epoch,
                    log_end: *log_end_offset,
                    high_watermark: *high_watermark,
                }
            }
            (Event::ReplicaCaughtUpTo { partition, replica, log_end_offset }, Some(leader)) => {
                Observation::ReplicaFetched {
                    leader,
                    replica: *replica,
                    partition: self.name(partition),
                    log_end: *log_end_offset,
                }
            }
            (Event::PartitionCreated { partition, replicas, leader, leader_epoch, partition_epoch }, None) => {
                Observation::LeaderElected {
                    partition: self.name(partition),
                    leader: *leader,
                    leader_epoch: *leader_epoch,
                    partition_epoch: *partition_epoch,
                    isr: replicas.clone(),
                    previous: -1,
                    clean: true,
                }
            }
            (
                Event::LeaderChanged { partition, previous, leader, leader_epoch, partition_epoch, isr, election },
                None,
            ) => Observation::LeaderElected {
                partition: self.name(partition),
                leader: *leader,
                leader_epoch: *leader_epoch,
                partition_epoch: *partition_epoch,
                isr: isr.clone(),
                previous: *previous,
                clean: *election != Some(ElectionKind::Unclean),
            },
            (Event::IsrChanged { partition, isr, leader_epoch, partition_epoch, .. }, None) => {
                Observation::IsrChanged {
                    partition: self.name(partition),
                    isr: isr.clone(),
                    leader_epoch: *leader_epoch,
                    partition_epoch: *partition_epoch,
                }
            }
            (Event::BrokerRegistered { broker, .. }, None) => Observation::BrokerRegistered { broker: *broker },
            (Event::Fault(Fault::Crash), Some(broker)) => Observation::BrokerCrashed { broker },
            (Event::Fault(Fault::PowerLoss { lost_bytes }), Some(broker)) => {
                Observation::BrokerLostPower { broker, lost_bytes: *lost_bytes }
            }
            (Event::Started { clean, .. }, Some(broker)) => {
                self.checker.observe(at, Observation::BrokerRestarted { broker, clean: *clean });
                return self.on_logs_loaded(world, at, event.node, broker);
            }
            (Event::AssertionFailed { message }, _) => {
                let node = world.node_name(event.node).to_string();
                Observation::InternalAssertion { node, message: message.clone() }
            }
            (Event::Phase { name }, _) => Observation::Phase { name: name.clone() },
            (Event::SendInvoked { op, partition }, _) => return self.on_partition_chosen(op.0, partition, event.id),
            (Event::PositionReset { partition, to, .. }, _) => {
                let Some(consumer) = consumer_number(world, event.node) else { return };
                Observation::PositionReset { consumer, partition: self.name(partition), to: *to }
            }
            _ => return,
        };
        self.checker.observe(at, observation);
    }

    /// Reads what was appended since the last look.
    fn on_appended(
        &mut self,
        world: &World,
        at: EventRef,
        node: NodeIx,
        broker: i32,
        id: &TopicPartition,
        as_leader: bool,
    ) {
        let Some(replica) = world.broker_at(node).and_then(|b| b.partition(id)) else { return };
        let from = self.known_ends.get(&(broker, id.clone())).copied().unwrap_or(0);
        let end = replica.log_end_offset();
        let entries = read_entries(world, node, replica, from.max(replica.log.log_start_offset()), end, as_leader);
        self.known_ends.insert((broker, id.clone()), end);
        if !entries.is_empty() {
            let partition = self.name(id);
            self.checker.observe(at, Observation::LogAppended { broker, partition, as_leader, entries });
        }
    }

    /// A broker is up: what did its disk keep?
    fn on_logs_loaded(&mut self, world: &World, at: EventRef, node: NodeIx, broker: i32) {
        let Some(loaded) = world.broker_at(node) else { return };
        let kept: Vec<_> = loaded
            .partitions()
            .map(|p| (p.id.clone(), p.log_end_offset(), p.high_watermark(), p.leader_epoch))
            .collect();
        let before: Vec<_> =
            self.known_ends.iter().filter(|((b, _), _)| *b == broker).map(|((_, p), e)| (p.clone(), *e)).collect();
        for (id, end) in before {
            let log_end = kept.iter().find(|(p, ..)| *p == id).map_or(0, |(_, end, ..)| *end);
            if log_end < end {
                self.known_ends.insert((broker, id.clone()), log_end);
                let partition = self.name(&id);
                self.checker.observe(at, Observation::LogLost { broker, partition, log_end });
            }
        }
        for (id, _, to, leader_epoch) in kept {
            let partition = self.name(&id);
            let moved =
                Observation::HighWatermarkMoved { broker, partition, to, leader_epoch, legitimate_leader: false };
            self.checker.observe(at, moved);
        }
    }

    fn on_note(&mut self, world: &World, note: &Note) {
        let event_ref = |id: EventId| EventRef { id: id.0, time: world.now() };
        match note {
            Note::SendInvoked { record, producer } => {
                self.undecided.insert(*record, (*producer, world.now()));
            }
            Note::SendSettled { record, partition, belief, attempts, event } => {
                if let Some(first) = partition.clone().or_else(|| world.all_partitions().into_iter().next()) {
                    // Given up before any partition was chosen: it belongs nowhere, so anywhere.
                    self.on_partition_chosen(*record, &first, *event);
                }
                let belief = match belief {
                    node::Belief::Acked { offset } => Belief::Acked { offset: Some(*offset).filter(|o| *o >= 0) },
                    node::Belief::Failed => Belief::Failed,
                    node::Belief::Unknown => Belief::Unknown,
                    node::Belief::Unpromised => Belief::Unpromised,
                };
                let settled = Observation::SendSettled { record: *record, belief, attempts: *attempts };
                self.checker.observe(event_ref(*event), settled);
            }
            Note::Assigned { .. } | Note::External { .. } => {}
            Note::Polled { consumer, records, event } => {
                for record in records {
                    let (partition, offset, leader_epoch, record) = self.read(record);
                    let read = Observation::Read { consumer: *consumer, partition, offset, leader_epoch, record };
                    self.checker.observe(event_ref(*event), read);
                }
            }
            Note::FinalRead { records, event } => {
                for record in records {
                    let (partition, offset, leader_epoch, record) = self.read(record);
                    let read = Observation::FinalRead { partition, offset, leader_epoch, record };
                    self.checker.observe(event_ref(*event), read);
                }
            }
            Note::FinalReadEnd { partition, log_start, log_end, complete } => {
                let partition = self.name(partition);
                let (log_start, log_end, complete) = (*log_start, *log_end, *complete);
                let end = Observation::FinalReadEnd { partition, log_start, log_end, complete };
                self.checker.observe(event_ref(EventId(world.event_count())), end);
            }
        }
    }

    /// The producer has chosen where a record goes: from here on it is known to the checker, as invoked when it was.
    fn on_partition_chosen(&mut self, record: u64, partition: &TopicPartition, event: EventId) {
        let Some((producer, time)) = self.undecided.remove(&record) else { return };
        let partition = self.name(partition);
        self.checker.observe(EventRef { id: event.0, time }, Observation::SendInvoked { record, producer, partition });
    }

    fn read(&mut self, record: &ConsumedRecord) -> (Partition, i64, i32, Option<u64>) {
        let id = record.value.as_deref().and_then(decode_value);
        (self.name(&record.partition), record.offset, record.leader_epoch, id)
    }
}

impl Sink for Observer {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], notes: &[Note]) {
        let invoked_first = |note: &&Note| matches!(note, Note::SendInvoked { .. });
        notes.iter().filter(invoked_first).for_each(|note| self.on_note(world, note));
        events.iter().for_each(|event| self.on_event(world, event));
        notes.iter().filter(|note| !invoked_first(note)).for_each(|note| self.on_note(world, note));
        for (kind, counter) in world.fault_counters() {
            let told = self.effects_told.entry(kind).or_default();
            if counter.took_effect > *told {
                *told = counter.took_effect;
                let at = EventRef { id: world.event_count(), time: world.now() };
                self.checker.observe(at, Observation::FaultTookEffect { kind: kind.to_string() });
            }
        }
    }
}

fn consumer_number(world: &World, node: NodeIx) -> Option<u32> {
    world.node_name(node).strip_prefix('k')?.parse::<u32>().ok()?.checked_sub(1)
}

/// Does the controller's own log say that this broker leads in this epoch?
fn is_legitimate_leader(world: &World, broker: i32, id: &TopicPartition, leader_epoch: i32) -> bool {
    world
        .controller_image()
        .and_then(|image| image.topic(id.topic.as_str()))
        .and_then(|topic| topic.partitions.get(id.partition as usize))
        .is_some_and(|p| p.leader == broker && p.leader_epoch == leader_epoch)
}

/// The batches of a log between two offsets, as the page cache has them. A leader's are decoded to their records.
pub(crate) fn read_entries(
    world: &World,
    node: NodeIx,
    replica: &trial_kafka::broker::partition::Partition,
    from: i64,
    end: i64,
    decode: bool,
) -> Vec<Entry> {
    let mut view = world.disk(node).view();
    let Ok(bytes) = replica.log.read(&mut view, from, end, usize::MAX, true) else { return Vec::new() };
    let entry = |batch: trial_storage::Batch| {
        let ids = if decode { records(&batch.bytes).unwrap_or_default() } else { Vec::new() };
        Entry {
            first_offset: batch.header.base_offset,
            last_offset: batch.header.last_offset(),
            epoch: batch.header.partition_leader_epoch,
            // The checksum covers everything but offset and epoch, which stand beside it.
            hash: u64::from(batch.header.crc),
            records: ids.iter().map(|r| r.value.as_deref().and_then(decode_value).unwrap_or(u64::MAX)).collect(),
        }
    };
    Batches::new(bytes).filter_map(Result::ok).filter(|b| b.header.base_offset >= from).map(entry).collect()
}

fn settings_of(scenario: &Scenario, expected_fault_kinds: Vec<String>) -> Settings {
    let broker = &scenario.cluster.config;
    let mut settings = Settings { zoo_on: !scenario.zoo.is_empty(), expected_fault_kinds, ..Settings::default() };
    for topic in &scenario.topics {
        let of_topic = TopicSettings {
            replication_factor: topic.replication_factor,
            min_insync_replicas: topic.config.min_insync_replicas.unwrap_or(broker.min_insync_replicas) as i32,
            unclean_leader_election_enable: topic
                .config
                .unclean_leader_election_enable
                .unwrap_or(broker.unclean_leader_election_enable),
            eligible_leader_replicas: broker.eligible_leader_replicas_version > 0,
        };
        settings.topics.insert(topic.name.clone(), of_topic);
    }
    let mut number = 0;
    for spec in &scenario.producers {
        for _ in 0..spec.count {
            let producer = ProducerSettings {
                acks: spec.config.acks.0,
                idempotent: spec.config.enable_idempotence,
                max_in_flight: spec.config.max_in_flight.max(0) as u32,
            };
            settings.producers.insert(number, producer);
            settings.producer_names.insert(number, format!("p{}", number + 1));
            number += 1;
        }
    }
    let consumers: u32 = scenario.consumers.iter().map(|c| c.count).sum();
    for number in 0..consumers {
        settings.consumers.insert(number, ConsumerSettings::default());
        settings.consumer_names.insert(number, format!("k{}", number + 1));
    }
    settings
}
