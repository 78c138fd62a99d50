//! From the World to the checker: events, notes and the truth in the logs become plain observations.
//!
//! What a node reports is only the hint where to look. What a log holds is read from the disk of the World, by batch
//! header; that a high watermark counts is decided by the committed metadata log, and so is everything that controllers
//! decide: it is told when it is committed. After each step the log and the high
//! watermark that a node reported on are compared with what it reported: a difference is the node's own failed
//! assertion, and the truth is told in its place.

mod clients;
mod durable;
mod groups;
mod liveness;
mod logs;
mod metadata;
mod producers;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use trial_checker::{Checker, EventRef, Observation, Partition, StartCause};
use trial_kafka::broker::partition;
use trial_kafka::event::{Event, Fault, LogStartReason, TruncationReason};
use trial_kafka::group::partition_for::OFFSETS_TOPIC;
use trial_kafka::ids::TopicPartition;
use trial_kafka::metadata::MetadataImage;
use trial_kafka::node;

use crate::scenario::Scenario;
use crate::trace::{NodeIx, TraceEvent};
use crate::world::{Note, Phase, Power, Said, Sink, World};
use groups::GroupTruth;
use liveness::Liveness;
use logs::{Difference, KnownLogs};
use metadata::MetadataTruth;

pub use clients::Clients;
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
    /// Brokers that have started before: a first start is no restart.
    started: BTreeSet<i32>,
    /// Those that know the broker epoch which this start of theirs was given.
    registered: BTreeSet<i32>,
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
            started: BTreeSet::new(),
            registered: BTreeSet::new(),
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
        if broker.is_some() && event.event.partition().is_some_and(|id| self.is_of_deleted_topic(world, event.node, id))
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
            (Event::ShutDownCleanly, Some(broker)) if !self.registered.contains(&broker) => {
                Observation::BrokerCrashed { broker }
            }
            (Event::Started { clean, .. }, Some(broker)) => {
                self.registered.remove(&broker);
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
                if name == Phase::Heal.name() {
                    self.liveness.healed(event.time);
                }
                if name == Phase::Read.name() {
                    self.liveness.applications_stop();
                }
                Observation::Phase { name: name.clone() }
            }
            (..) => {
                return self.clients.on_event(world, event, |at, what| {
                    self.liveness.on_member(&what);
                    self.checker.observe(at, what);
                });
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
        if !entries.is_empty() {
            let partition = self.name(id);
            let from = entries[0].first_offset;
            self.checker.observe(at, Observation::LogAppended { broker, partition, as_leader, entries });
            if as_leader && id.topic.as_str() == OFFSETS_TOPIC {
                self.tell_groups(|groups, image, told| {
                    groups.on_appended(world, at, node, (broker, id), (from, image), told);
                });
            }
        }
    }

    /// What a log knows of its producers follows from what it holds: after each start, each truncation, and at the end.
    fn look_at_producers(&mut self, world: &World, at: EventRef, node: NodeIx, id: &TopicPartition) {
        if let Some(message) = producers::difference(world, node, id) {
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

    /// A broker is up: what did its disk keep, and what did it bring back?
    fn on_logs_loaded(&mut self, world: &World, at: EventRef, node: NodeIx, broker: i32) {
        let Some(loaded) = world.broker_at(node) else { return };
        let mut ids = self.known.of_broker(broker);
        ids.extend(loaded.partitions().map(|p| p.id.clone()));
        for id in ids.into_iter().collect::<BTreeSet<_>>() {
            if self.is_of_deleted_topic(world, node, &id) {
                self.known.remove(broker, &id);
                if let Some(replica) = replica_at(world, node, &id) {
                    self.known.take_appended(world, node, broker, &id, &replica.log, false);
                }
                continue;
            }
            if let Some(difference) = self.compare(world, node, broker, &id) {
                let partition = self.name(&id);
                let log_end = difference.same_below;
                self.checker.observe(at, Observation::LogLost { broker, partition, log_end });
                self.tell_rest(at, broker, &id, difference);
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

    /// The log is what the difference says from where it begins.
    fn tell_rest(&mut self, at: EventRef, broker: i32, id: &TopicPartition, difference: Difference) {
        let Difference { same_below, entries, .. } = difference;
        self.known.tell(broker, id, same_below, &entries);
        if !entries.is_empty() {
            let partition = self.name(id);
            self.checker.observe(at, Observation::LogAppended { broker, partition, as_leader: false, entries });
        }
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

    /// What a node reported in this step must be so after it.
    fn audit(&mut self, world: &World, events: &[TraceEvent]) {
        let mut reported: BTreeMap<(NodeIx, &TopicPartition), (EventRef, Option<i64>)> = BTreeMap::new();
        for event in events {
            let high_watermark = match &event.event {
                Event::HighWatermark { to, .. } => Some(*to),
                Event::Appended { .. } | Event::Truncated { .. } => None,
                _ => continue,
            };
            if let Some(partition) = event.event.partition() {
                let at = EventRef { id: event.id.0, time: event.time };
                reported.insert((event.node, partition), (at, high_watermark));
            }
        }
        for ((node, id), (at, high_watermark)) in reported {
            let Some(broker) = world.broker_at(node) else { continue };
            // One that died in this step has forgotten what it reported.
            let Some(replica) = broker.partition(id).filter(|_| is_up(world, node)) else { continue };
            let (told, truth) = (self.known.end(broker.node_id(), id), replica.log_end_offset());
            if told != truth {
                let what = format!("its report makes {told} the log end offset of {id}, and it is {truth}");
                self.found_out(world, at, node, broker.node_id(), id, what);
            }
            let (told, truth) = (high_watermark.unwrap_or(replica.high_watermark()), replica.high_watermark());
            if told != truth {
                let message = format!("it reported {told} as the high watermark of {id}, and it is {truth}");
                let node = world.node_name(node).to_string();
                self.checker.observe(at, Observation::InternalAssertion { node, message });
            }
        }
    }

    /// Everything is quiet: does every log hold what was told of it, byte for byte?
    fn audit_everything(&mut self, world: &World, at: EventRef) {
        let (scenario, unsettled) = (world.scenario(), world.unsettled_sends());
        let longest = scenario.producers.iter().map(|p| node::ms(p.config.delivery_timeout_ms)).max();
        if unsettled > 0 && longest.is_some_and(|longest| longest < scenario.phases.drain) {
            let message = format!("{unsettled} sends of living producers were not settled within delivery.timeout.ms");
            self.checker.observe(at, Observation::InternalAssertion { node: "trial".to_string(), message });
        }
        for broker in world.scenario().cluster.broker_ids() {
            let Some(node) = world.broker_ix(broker).filter(|node| world.power(*node) == Power::Running) else {
                continue;
            };
            for id in self.known.of_broker(broker) {
                // One that has only just started has not said yet what it found.
                let is_loaded = world.broker_at(node).is_some_and(|b| b.partition(&id).is_some());
                if is_loaded && let Some(difference) = self.compare(world, node, broker, &id) {
                    let Difference { same_below, known_end, log_end, .. } = difference;
                    let what = format!(
                        "its log of {id} ends at {log_end} and differs from offset {same_below} on from what it \
                         reported, which ends at {known_end}"
                    );
                    self.found_out(world, at, node, broker, &id, what);
                }
                self.look_at_producers(world, at, node, &id);
            }
        }
    }

    /// A node's report and its log differ: that is a finding, and from here on the log counts.
    fn found_out(
        &mut self,
        world: &World,
        at: EventRef,
        node: NodeIx,
        broker: i32,
        id: &TopicPartition,
        message: String,
    ) {
        let name = world.node_name(node).to_string();
        self.checker.observe(at, Observation::InternalAssertion { node: name, message });
        if let Some(difference) = self.compare(world, node, broker, id) {
            let (partition, to) = (self.name(id), difference.same_below);
            let why = "without a word".to_string();
            self.checker.observe(at, Observation::LogTruncated { broker, partition, to, why });
            self.tell_rest(at, broker, id, difference);
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
            Note::Said(told) => {
                let Said { node, word, partition, said, truth } = (**told).clone();
                let (node, partition) = (world.node_name(node).to_string(), partition.map(|id| self.name(&id)));
                let said = Observation::Said { node, word, partition, said, truth };
                self.checker.observe(EventRef { id: world.event_count(), time: world.now() }, said);
            }
            _ => self.clients.on_note(world, note, |at, what| self.checker.observe(at, what)),
        }
    }
}

/// When a disk dies under a handler, the node is discarded with what the handler had made of it: whatever it recorded
/// before in the same step never came to be.
fn is_of_a_discarded_handler(event: &TraceEvent, rest: &[TraceEvent]) -> bool {
    let died = |later: &TraceEvent| later.node == event.node && later.event == Event::Fault(Fault::DiskFailed);
    rest[1..].iter().any(died)
}

impl Sink for Observer {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], notes: &[Note]) {
        notes.iter().filter(|note| Clients::comes_first(note)).for_each(|note| self.on_note(world, note));
        let a_disk_died = events.iter().any(|event| event.event == Event::Fault(Fault::DiskFailed));
        for (place, event) in events.iter().enumerate() {
            if a_disk_died && is_of_a_discarded_handler(event, &events[place..]) {
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
