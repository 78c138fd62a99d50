//! From the World to the checker: events, notes and the truth in the logs become plain observations.
//!
//! What a node reports is only the hint where to look. What a log holds is read from the disk of the World, by batch
//! header; that a high watermark counts is decided by the committed metadata log, and so is everything that controllers
//! decide: it is told when it is committed. After each step the log and the high
//! watermark that a node reported on are compared with what it reported: a difference is the node's own failed
//! assertion, and the truth is told in its place.

mod audit;
mod clients;
mod durable;
mod groups;
mod late_members;
mod liveness;
mod loaded;
mod logs;
mod metadata;
mod outsiders;
mod partition_changes;
mod producers;
mod settings;
mod unowned;

use std::collections::{BTreeMap, BTreeSet};

use trial_checker::{Barred, Checker, Entry, EventRef, Observation, Partition, StartCause};
use trial_kafka::broker::partition;
use trial_kafka::event::{Event, Fault, LogStartReason, TruncationReason};
use trial_kafka::group::partition_for::OFFSETS_TOPIC;
use trial_kafka::ids::TopicPartition;
use trial_kafka::metadata::MetadataImage;
use trial_kafka::node;
use trial_storage::{BatchHeader, Log};

use crate::scenario::Scenario;
use crate::trace::{NodeIx, TraceEvent};
use crate::world::{Note, Phase, Power, Said, Sink, World};
use groups::GroupTruth;
use liveness::Liveness;
use loaded::{Untold, is_of_a_discarded_handler};
use logs::{Difference, KnownLogs, headers};
use metadata::MetadataTruth;

pub use clients::{Clients, Listener};
pub(crate) use logs::read_entries;

/// A sink that feeds a checker.
#[derive(Clone)]
pub struct Observer {
    checker: Checker,
    /// Each replica's log as the checker knows it.
    known: KnownLogs,
    metadata: MetadataTruth,
    groups: GroupTruth,
    liveness: Liveness,
    /// Topics that were deleted at least once.
    deleted: BTreeSet<String>,
    /// What leaders appended in handlers that died with their disk: it may stand in the log that comes back.
    untold: BTreeMap<(NodeIx, TopicPartition), Vec<Untold>>,
    /// Brokers that have started before: a first start is no restart.
    started: BTreeSet<i32>,
    /// Those that know the broker epoch which this start of theirs was given.
    registered: BTreeSet<i32>,
    /// Those whose process has told of its end in an orderly way, or in another that counts as a crash.
    ended: BTreeSet<i32>,
    clients: Clients,
    /// Kinds of fault already told to have taken effect.
    effects_told: BTreeMap<&'static str, u32>,
    /// How often all of them together had taken effect.
    faults_told: u32,
}

impl Observer {
    /// An observer of a trial of this scenario.
    pub fn new(scenario: &Scenario, expected_fault_kinds: Vec<String>) -> Self {
        let settings = settings::of_scenario(scenario, expected_fault_kinds);
        Observer {
            checker: Checker::new(settings),
            known: KnownLogs::default(),
            metadata: MetadataTruth::new(scenario.cluster.config.clone()),
            groups: GroupTruth::default(),
            liveness: Liveness::default(),
            deleted: BTreeSet::new(),
            untold: BTreeMap::new(),
            started: BTreeSet::new(),
            registered: BTreeSet::new(),
            ended: BTreeSet::new(),
            clients: Clients::default(),
            effects_told: BTreeMap::new(),
            faults_told: 0,
        }
    }
    /// The verdict.
    pub fn finish(self, at: node::Nanos) -> trial_checker::Verdict {
        self.checker.finish(at)
    }

    fn name(&mut self, id: &TopicPartition) -> Partition {
        self.clients.name(id)
    }

    fn on_event(&mut self, world: &World, event: &TraceEvent) {
        let at = EventRef { id: event.id.0, time: event.time };
        self.tell_metadata(|metadata, told| metadata.on_event(world, event, told));
        let broker = world.broker_at(event.node).map(trial_kafka::broker::Broker::node_id);
        if let Some(broker) = broker
            && self.tell_groups(|groups, image, told| groups.on_event(world, event, broker, image, told))
        {
            return;
        }
        if broker.is_some()
            && !self.deleted.is_empty()
            && event.event.partition().is_some_and(|id| self.is_of_deleted_topic(world, event.node, id))
        {
            return self.on_event_of_deleted_topic(world, at, event);
        }
        let observation = match (&event.event, broker) {
            (Event::Appended { partition, as_leader, .. }, Some(broker)) => {
                return self.on_appended(world, at, event.node, broker, partition, *as_leader);
            }
            (Event::Truncated { partition, to, reason, .. }, Some(broker)) => {
                let sentence = event.event.to_string();
                let why = sentence.split_once(&format!(" to {to} ")).map_or("", |(_, why)| why).to_string();
                return self.on_truncated(world, at, event.node, broker, partition, (*to, *reason), why);
            }
            (Event::HighWatermark { partition, to, .. }, Some(broker)) => {
                let leader_epoch =
                    world.broker_at(event.node).and_then(|b| b.partition(partition)).map_or(-1, |p| p.leader_epoch);
                let legitimate_leader = is_legitimate_leader(self.metadata.image(), broker, partition, leader_epoch);
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
                    min_insync_replicas: replica.map(|r| r.effective_min_isr() as i32),
                }
            }
            (Event::ProduceAnswered { partition, error: Some(error), .. }, Some(broker))
                if error == "OUT_OF_ORDER_SEQUENCE_NUMBER" =>
            {
                let replica = world.broker_at(event.node).and_then(|b| b.partition(partition));
                let leader_epoch = replica.map_or(-1, |replica| replica.leader_epoch);
                Observation::OutOfOrderSequence { broker, partition: self.name(partition), leader_epoch }
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
            (Event::IsrChangeAsked { partition, from, isr, .. }, Some(leader)) => {
                let barred = world.broker_at(event.node).and_then(|asking| barred_joiner(asking.image(), from, isr));
                let (partition, from, isr) = (self.name(partition), from.clone(), isr.clone());
                Observation::IsrChangeAsked { leader, partition, from, isr, barred }
            }
            (Event::ReplicaDeleted { partition, .. }, Some(broker)) => {
                self.known.remove(broker, partition);
                let why = "because it is a replica no more".to_string();
                Observation::LogTruncated { broker, partition: self.name(partition), to: 0, why }
            }
            (Event::LogStartMoved { partition, to, why, .. }, Some(broker)) => {
                let cause = match why {
                    LogStartReason::DeleteRecords => StartCause::DeleteRecords,
                    LogStartReason::RetentionTime | LogStartReason::RetentionSize => StartCause::Retention,
                    LogStartReason::Leader => StartCause::Leader,
                };
                Observation::LogStartMoved { broker, partition: self.name(partition), to: *to, cause }
            }
            (
                Event::Fault(Fault::Crash | Fault::DiskFailed | Fault::RestoreDisk { checkpoints_only: true, .. }),
                Some(broker),
            ) => Observation::BrokerCrashed { broker },
            // What a disk of the past lacks is lost as what a loss of power takes.
            (Event::Fault(Fault::RestoreDisk { lost_bytes, .. }), Some(broker)) => {
                Observation::BrokerLostPower { broker, lost_bytes: *lost_bytes }
            }
            (Event::Fault(Fault::PowerLoss { lost_bytes } | Fault::ReplaceDisk { lost_bytes }), Some(broker)) => {
                Observation::BrokerLostPower { broker, lost_bytes: *lost_bytes }
            }
            (Event::RegisteredWith { .. }, Some(broker)) => {
                self.registered.insert(broker);
                return;
            }
            // Its next start tells no broker epoch, and counts as one after an unclean stop (KIP-966).
            (Event::ShutDownCleanly, Some(broker)) => {
                self.ended.insert(broker);
                if self.registered.contains(&broker) {
                    return;
                }
                Observation::BrokerCrashed { broker }
            }
            // One that gives up in another way has no marker of an orderly stop, nor a broker epoch to come back with.
            (Event::Halted { .. }, Some(broker)) if self.ended.insert(broker) => Observation::BrokerCrashed { broker },
            (Event::Started { clean, .. }, Some(broker)) => {
                self.registered.remove(&broker);
                self.ended.remove(&broker);
                if !self.started.insert(broker) {
                    self.checker.observe(at, Observation::BrokerRestarted { broker, clean: *clean });
                }
                return self.on_logs_loaded(world, at, event.node, broker);
            }
            (Event::AssertionFailed { message }, broker) => {
                let node = world.node_name(event.node).to_string();
                self.checker.observe(at, Observation::InternalAssertion { node, message: message.clone() });
                // Some are told by a process that goes on.
                let Some(broker) = broker.filter(|_| world.power(event.node) == Power::Dead) else { return };
                Observation::BrokerCrashed { broker }
            }
            (Event::Phase { name }, _) => {
                if [Phase::Core, Phase::Heal].iter().any(|phase| name == phase.name()) {
                    self.liveness.healed(event.time);
                }
                if name == Phase::Read.name() {
                    self.liveness.applications_stop();
                }
                Observation::Phase { name: name.clone() }
            }
            (..) => {
                let Observer { clients, liveness, checker, .. } = self;
                return clients.on_event(world, event, &mut Judging { liveness, checker });
            }
        };
        self.checker.observe(at, observation);
    }

    /// What the quorum's truth has to tell, to the checker.
    fn tell_metadata(&mut self, tell: impl FnOnce(&mut MetadataTruth, &mut Vec<(EventRef, Observation)>)) {
        let mut told = Vec::new();
        tell(&mut self.metadata, &mut told);
        for (at, what) in told {
            if let Observation::TopicDeleted { topic } = &what {
                self.deleted.insert(topic.to_string());
            }
            self.checker.observe(at, what);
        }
    }

    /// What the truth of groups has to tell, to the checker.
    fn tell_groups<T>(
        &mut self,
        tell: impl FnOnce(&mut GroupTruth, &MetadataImage, &mut Vec<(EventRef, Observation)>) -> T,
    ) -> T {
        let mut told = Vec::new();
        let result = tell(&mut self.groups, self.metadata.image(), &mut told);
        told.into_iter().for_each(|(at, what)| self.checker.observe(at, what));
        result
    }

    /// Where a replica's log leaves what was told of it.
    fn compare(&self, world: &World, node: NodeIx, broker: i32, id: &TopicPartition) -> Option<Difference> {
        self.known.compare(world, node, broker, id, replica_at(world, node, id).map(|replica| &replica.log))
    }

    /// Is this replica, or was it, of a topic that is deleted, whatever bears its name now?
    fn is_of_deleted_topic(&self, world: &World, node: NodeIx, id: &TopicPartition) -> bool {
        if !self.deleted.contains(id.topic.as_str()) {
            return false;
        }
        let now = self.metadata.topic_id(&id.topic);
        replica_at(world, node, id).is_none_or(|replica| Some(replica.topic_id) != now)
    }

    /// A broker that has not heard of a topic's deletion goes on with it. Nothing of that counts, and nothing is lost.
    fn on_event_of_deleted_topic(&mut self, world: &World, at: EventRef, event: &TraceEvent) {
        let Some(broker) = world.broker_at(event.node).map(trial_kafka::broker::Broker::node_id) else { return };
        match &event.event {
            Event::Appended { partition, as_leader, .. } => {
                let Some(replica) = replica_at(world, event.node, partition) else { return };
                let entries = self.known.take_appended(world, event.node, broker, partition, &replica.log, *as_leader);
                let records: Vec<u64> = entries.into_iter().flat_map(|entry| entry.records).collect();
                if !records.is_empty() {
                    self.checker.observe(at, Observation::AppendedToDeleted { records });
                }
            }
            Event::Truncated { partition, to, .. } => self.known.cut(broker, partition, *to),
            Event::ReplicaDeleted { partition, .. } => self.known.remove(broker, partition),
            _ => {}
        }
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
        let entries = self.known.take_appended(world, node, broker, id, &replica.log, as_leader);
        for appended in entries.iter().filter(|_| as_leader) {
            if let Some(producer) = producers::had_forgotten(&self.known, world, (node, broker), id, appended) {
                let partition = self.name(id);
                self.checker.observe(at, Observation::ProducerForgotten { broker, partition, producer });
            }
        }
        self.tell_appended(world, at, node, (broker, id), as_leader, entries);
    }

    /// The log has grown by these batches.
    #[allow(clippy::too_many_arguments)] // what was appended is all of these
    fn tell_appended(
        &mut self,
        world: &World,
        at: EventRef,
        node: NodeIx,
        (broker, id): (i32, &TopicPartition),
        as_leader: bool,
        entries: Vec<Entry>,
    ) {
        let partition = self.name(id);
        let of_groups = as_leader && id.topic.as_str() == OFFSETS_TOPIC;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
        let place = (first.first_offset, last.last_offset + 1);
        self.checker.observe(at, Observation::LogAppended { broker, partition, as_leader, entries });
        if of_groups {
            self.tell_groups(|groups, image, told| {
                groups.on_appended(world, at, node, (broker, id), place, image, told);
            });
        }
    }

    /// What a log knows of its producers follows from what it holds: after each start, each truncation, and at the end.
    fn look_at_producers(&mut self, world: &World, at: EventRef, node: NodeIx, id: &TopicPartition) {
        let Some(log) = replica_at(world, node, id).map(|replica| &replica.log) else { return };
        self.tell_producers(world, at, node, id, log, &headers(world, node, log));
    }

    fn tell_producers(
        &mut self,
        world: &World,
        at: EventRef,
        node: NodeIx,
        id: &TopicPartition,
        log: &Log,
        headers: &[BatchHeader],
    ) {
        if let Some(message) = producers::difference(id, log, headers) {
            let node = world.node_name(node).to_string();
            self.checker.observe(at, Observation::InternalAssertion { node, message });
        }
    }

    /// Looks where the log was cut: a report that nothing in the log bears out is told as the node's failed assertion.
    #[allow(clippy::too_many_arguments)] // a report is all of these
    fn on_truncated(
        &mut self,
        world: &World,
        at: EventRef,
        node: NodeIx,
        broker: i32,
        id: &TopicPartition,
        (to, reason): (i64, TruncationReason),
        why: String,
    ) {
        let log = world.broker_at(node).and_then(|b| b.partition(id)).map(|p| &p.log);
        let truth = match log {
            // Dropped whole, to start there.
            Some(log) if log.log_start_offset() == to => Some(to),
            // The same, and its start has gone on to the leader's since.
            Some(log) if log.first_segment_offset() == to && reason == TruncationReason::BatchSpansLogStart => Some(to),
            _ => self.compare(world, node, broker, id).map(|difference| difference.same_below),
        };
        if truth != Some(to) {
            let found = truth.map_or("is whole".to_string(), |truth| format!("was cut to {truth}"));
            let message = format!("it reported its log of {id} cut to {to}, and the log {found}");
            let node = world.node_name(node).to_string();
            self.checker.observe(at, Observation::InternalAssertion { node, message });
        }
        if let Some(to) = truth {
            self.known.cut(broker, id, to);
            let partition = self.name(id);
            self.checker.observe(at, Observation::LogTruncated { broker, partition, to, why });
        }
        self.look_at_producers(world, at, node, id);
    }

    /// Brokers that did something in this step: does their metadata agree with what is committed?
    fn look_at_brokers(&mut self, world: &World, events: &[TraceEvent]) {
        let mut last = None;
        for event in events.iter().filter(|event| world.broker_at(event.node).is_some() && is_up(world, event.node)) {
            if last.replace(event.node) != Some(event.node) {
                let at = EventRef { id: event.id.0, time: event.time };
                self.tell_metadata(|metadata, told| metadata.look_at_broker(world, event.node, at, told));
            }
        }
    }

    fn on_note(&mut self, world: &World, note: &Note) {
        match note {
            // A topic that is gone is not read, and misses nothing.
            Note::FinalReadEnd { partition, .. }
                if self.deleted.contains(partition.topic.as_str())
                    && self.metadata.topic_id(&partition.topic).is_none() => {}
            Note::FinalReadEnd { partition, log_start, log_end, complete } => {
                let partition = self.name(partition);
                let (log_start, log_end, complete) = (*log_start, *log_end, *complete);
                let end = Observation::FinalReadEnd { partition, log_start, log_end, complete };
                self.checker.observe(EventRef { id: world.event_count(), time: world.now() }, end);
            }
            Note::EndOffsetTold { node, partition, offset } => {
                let broker = world.broker_at(*node).map(trial_kafka::broker::Broker::node_id);
                let Some(broker) = broker.filter(|_| !self.is_of_deleted_topic(world, *node, partition)) else {
                    return;
                };
                let told = Observation::EndOffsetTold { broker, partition: self.name(partition), offset: *offset };
                self.checker.observe(EventRef { id: world.event_count(), time: world.now() }, told);
            }
            Note::Said(told) => {
                let Said { node, word, partition, said, truth } = (**told).clone();
                let (node, partition) = (world.node_name(node).to_string(), partition.map(|id| self.name(&id)));
                let said = Observation::Said { node, word, partition, said, truth };
                self.checker.observe(EventRef { id: world.event_count(), time: world.now() }, said);
            }
            _ => {
                let Observer { clients, liveness, checker, .. } = self;
                clients.on_note(world, note, &mut Judging { liveness, checker });
            }
        }
    }
}

/// Who of an observer hears of clients.
struct Judging<'a> {
    liveness: &'a mut Liveness,
    checker: &'a mut Checker,
}

impl Listener for Judging<'_> {
    fn hear(&mut self, at: EventRef, what: Observation) {
        self.liveness.on_member(&what);
        self.checker.observe(at, what);
    }
    fn send_invoked(&mut self, at: EventRef, record: u64, producer: u32, partition: &Partition) {
        self.checker.send_invoked(at, record, producer, partition);
    }
    fn read(&mut self, at: EventRef, consumer: u32, partition: &Partition, position: (i64, i32), record: Option<u64>) {
        self.checker.read(at, consumer, partition, position, record);
    }
    fn final_read(&mut self, at: EventRef, partition: &Partition, position: (i64, i32), record: Option<u64>) {
        self.checker.final_read(at, partition, position, record);
    }
}

impl Sink for Observer {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], notes: &[Note]) {
        notes.iter().filter(|note| Clients::comes_first(note)).for_each(|note| self.on_note(world, note));
        let a_disk_died = events.iter().any(|event| matches!(event.event, Event::Fault(Fault::DiskFailed)));
        for (place, event) in events.iter().enumerate() {
            if a_disk_died && is_of_a_discarded_handler(event, &events[place..]) {
                self.on_discarded(event);
                continue;
            }
            self.liveness.on_event(event);
            self.on_event(world, event);
        }
        self.audit(world, events);
        self.look_at_brokers(world, events);
        let Observer { liveness, metadata, .. } = self;
        let mut told = Vec::new();
        let unclean =
            |topic: &str| metadata.promised(topic).is_some_and(|promised| promised.unclean_leader_election_enable);
        liveness.look(world, metadata.image(), unclean, &mut told);
        told.into_iter().for_each(|(at, what)| self.checker.observe(at, what));
        self.tell_groups(|groups, image, told| groups.look(world, image, told));
        if events.iter().any(|event| matches!(&event.event, Event::Phase { name } if name == Phase::Read.name())) {
            self.audit_everything(world, EventRef { id: world.event_count(), time: world.now() });
        }
        notes.iter().filter(|note| !Clients::comes_first(note)).for_each(|note| self.on_note(world, note));
        let took_effect = world.faults_took_effect();
        if took_effect == self.faults_told {
            return;
        }
        self.faults_told = took_effect;
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

fn is_up(world: &World, node: NodeIx) -> bool {
    matches!(world.power(node), Power::Running | Power::Paused)
}

/// Does the committed metadata log say that this broker leads in this epoch?
fn is_legitimate_leader(image: &MetadataImage, broker: i32, id: &TopicPartition, leader_epoch: i32) -> bool {
    image
        .topic(id.topic.as_str())
        .and_then(|topic| topic.partitions.get(id.partition as usize))
        .is_some_and(|p| p.leader == broker && p.leader_epoch == leader_epoch)
}

/// A broker's replica, if it has one.
fn replica_at<'a>(world: &'a World, node: NodeIx, id: &TopicPartition) -> Option<&'a partition::Partition> {
    world.broker_at(node).and_then(|broker| broker.partition(id))
}

/// The first who is to join and may not by this metadata, and why.
fn barred_joiner(image: &MetadataImage, from: &[i32], isr: &[i32]) -> Option<(i32, Barred)> {
    let why = |joiner: &i32| match image.brokers.get(joiner) {
        None => Some((*joiner, Barred::Unregistered)),
        Some(broker) if broker.fenced => Some((*joiner, Barred::Fenced)),
        Some(broker) if broker.in_controlled_shutdown => Some((*joiner, Barred::Stopping)),
        Some(_) => None,
    };
    isr.iter().filter(|broker| !from.contains(broker)).find_map(why)
}
