//! The life of a trial: warm-up, faults, healing, drain, the final read. And the workload.
//!
//! ```text
//!   0 ─ cluster forms, topics ─ warm_up ─ workload and faults ─ faults_end ─ heal ─▶ all leaders, full ISRs
//!     ─ drain ─▶ every send settled ─ read every partition from its start ─▶ over
//! ```
//!
//! Healing waits for what the cluster shows (leaders, in-sync replicas), draining for what clients were told; each has a
//! bound, and what is not reached by then is for the checker to judge.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_kafka::config::{ConsumerConfig, OffsetReset};
use trial_kafka::controller::{Controller, QuorumRole};
use trial_kafka::event::Event;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{Command, EventId, Input, Nanos, OpId, Outcome, SeekTo};

use super::admin::Administrator;
use super::probes::Probes;
use super::{Note, Power, WALL_AT_START_MS, What, World, encode_value};
use crate::scenario::{ReadFrom, Scenario};
use crate::trace::NodeIx;

/// Where a trial is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The cluster forms, topics are created.
    WarmUp,
    /// Workload and faults.
    Faults,
    /// Faults are over; the cluster recovers.
    Heal,
    /// Sends are being settled.
    Drain,
    /// Every partition is read from its start.
    Read,
}

impl Phase {
    /// The name in trace and log.
    pub fn name(self) -> &'static str {
        match self {
            Phase::WarmUp => "warm-up",
            Phase::Faults => "faults",
            Phase::Heal => "heal",
            Phase::Drain => "drain",
            Phase::Read => "read",
        }
    }
}

/// What the life does next.
#[derive(Clone, Copy, Debug)]
pub(super) enum LifeStep {
    Start(NodeIx),
    CreateTopics,
    BeginFaults,
    Produce(u32),
    /// A producer shows that it gets on.
    Probe(u32),
    Assign(u32),
    Seek(u32),
    Poll(u32),
    /// A step of the administrator is due.
    AdminStepDue(usize),
    Administer,
    BeginHeal,
    LookHealed,
    LookDrained,
    FinalPoll,
}

#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) node: NodeIx,
    pub(super) spec: usize,
    sent: u64,
    /// Records of its present incarnation that it was not told the end of.
    unsettled: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) node: NodeIx,
    pub(super) spec: usize,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) phase: Phase,
    pub(super) writers: Vec<Writer>,
    pub(super) readers: Vec<Reader>,
    pub(super) admin: NodeIx,
    final_reader: NodeIx,
    pub(super) administrator: Administrator,
    pub(super) probes: Probes,
    topics_created: usize,
    creating: bool,
    next_record: u64,
    /// Where the final read has to get to, and where it is.
    final_read: BTreeMap<TopicPartition, FinalRead>,
    read_until: Nanos,
}

#[derive(Clone, Copy, Debug)]
struct FinalRead {
    log_start: i64,
    log_end: i64,
    position: i64,
}

/// Operations of the workload that are no records.
pub(super) const CONTROL_OPS: u64 = 1 << 47;
const LOOK_EVERY: Nanos = 100_000_000;
const MILLISECOND: Nanos = 1_000_000;

/// The final reader starts everywhere at the log's start and takes what it can get.
pub(super) fn reader_config() -> ConsumerConfig {
    ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        max_poll_records: 100_000,
        fetch_max_wait_ms: 20,
        request_timeout_ms: 5_000,
        ..ConsumerConfig::default()
    }
}

impl Life {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut next = scenario.cluster.own_controllers() + scenario.cluster.brokers;
        let mut node = || {
            next += 1;
            NodeIx(next - 1)
        };
        let producers = scenario.producers.iter().enumerate().flat_map(|(spec, p)| (0..p.count).map(move |_| spec));
        let writers = producers.map(|spec| Writer { node: node(), spec, sent: 0, unsettled: 0 }).collect();
        let consumers = scenario.consumers.iter().enumerate().flat_map(|(spec, c)| (0..c.count).map(move |_| spec));
        let readers = consumers.map(|spec| Reader { node: node(), spec }).collect();
        let (admin, final_reader) = (node(), node());
        Life {
            phase: Phase::WarmUp,
            writers,
            readers,
            admin,
            final_reader,
            administrator: Administrator::new(scenario, seed),
            probes: Probes::default(),
            topics_created: 0,
            creating: false,
            next_record: 0,
            final_read: BTreeMap::new(),
            read_until: 0,
        }
    }
}

impl World {
    /// Sends that no outcome was told of yet, of producers that live.
    pub fn unsettled_sends(&self) -> u64 {
        self.life.writers.iter().map(|writer| writer.unsettled).sum()
    }
    /// A process is gone: nobody will be told of its sends.
    pub(super) fn forget_sends_of(&mut self, node: NodeIx) {
        self.life.writers.iter_mut().filter(|writer| writer.node == node).for_each(|writer| writer.unsettled = 0);
    }
    /// A consumer that was started again asks for its partitions anew.
    pub(super) fn take_up_reading(&mut self, node: NodeIx) {
        if self.life.phase >= Phase::Faults
            && let Some(reader) = self.life.readers.iter().position(|reader| reader.node == node)
        {
            self.queue.push(self.now, What::Life(LifeStep::Assign(reader as u32)));
        }
    }
    /// Records handed to producers so far.
    pub fn records_sent(&self) -> u64 {
        self.life.next_record
    }

    pub(super) fn begin_life(&mut self) {
        let begin = Phase::WarmUp.name().to_string();
        self.record(NodeIx::WORLD, Event::Phase { name: begin }, &[]);
        for index in 0..self.slots.len() {
            // Machines are not switched on in the same instant.
            self.queue.push(index as Nanos * MILLISECOND, What::Life(LifeStep::Start(NodeIx(index as u32))));
        }
        let phases = self.scenario.phases;
        self.queue.push(50 * MILLISECOND, What::Life(LifeStep::CreateTopics));
        self.queue.push(phases.warm_up, What::Life(LifeStep::BeginFaults));
        self.queue.push(phases.faults_end(), What::Life(LifeStep::BeginHeal));
        self.begin_administration();
    }

    fn enter(&mut self, phase: Phase) {
        self.life.phase = phase;
        self.record(NodeIx::WORLD, Event::Phase { name: phase.name().to_string() }, &[]);
    }

    fn again(&mut self, after: Nanos, step: LifeStep) {
        self.queue.push(self.now + after, What::Life(step));
    }

    pub(super) fn command(&mut self, node: NodeIx, op: OpId, command: Command) {
        if self.slots[node.0 as usize].is_up() {
            self.hand_in(node, Input::Command { op, command }, EventId::NONE);
        }
    }

    pub(super) fn live(&mut self, step: LifeStep) {
        match step {
            LifeStep::Start(node) => self.start_process(node, &[]),
            LifeStep::CreateTopics => self.create_topics(),
            LifeStep::BeginFaults => {
                self.enter(Phase::Faults);
                (0..self.life.writers.len()).for_each(|n| self.live(LifeStep::Produce(n as u32)));
                (0..self.life.readers.len()).for_each(|n| self.live(LifeStep::Assign(n as u32)));
                for (number, reader) in self.life.readers.iter().enumerate() {
                    if let Some((at, _)) = self.scenario.consumers[reader.spec].seek {
                        self.queue.push(at.max(self.now), What::Life(LifeStep::Seek(number as u32)));
                    }
                }
            }
            LifeStep::Produce(writer) => self.produce_next(writer as usize),
            LifeStep::Probe(writer) => self.send_probe(writer as usize),
            LifeStep::Assign(reader) => self.assign(reader as usize),
            LifeStep::Seek(reader) => {
                let spec = self.life.readers[reader as usize].spec;
                if let Some((_, to)) = self.scenario.consumers[spec].seek {
                    self.seek(reader as usize, to);
                }
            }
            LifeStep::Poll(reader) => {
                let node = self.life.readers[reader as usize].node;
                self.command(node, OpId(CONTROL_OPS + u64::from(reader)), Command::Poll { max_wait_ms: 500 });
            }
            LifeStep::AdminStepDue(step) => self.on_admin_step_due(step),
            LifeStep::Administer => self.administer(),
            LifeStep::BeginHeal => {
                self.enter(Phase::Heal);
                self.heal();
                self.again(LOOK_EVERY, LifeStep::LookHealed);
            }
            LifeStep::LookHealed => {
                let bound = self.scenario.phases.faults_end() + self.scenario.phases.heal;
                let is_healed = self.is_healed();
                if is_healed || self.now >= bound {
                    self.enter(Phase::Drain);
                    if is_healed {
                        self.send_probes();
                    }
                    self.live(LifeStep::LookDrained);
                } else {
                    self.again(LOOK_EVERY, LifeStep::LookHealed);
                }
            }
            LifeStep::LookDrained => {
                let phases = self.scenario.phases;
                let bound = phases.faults_end() + phases.heal + phases.drain;
                let is_drained = self.unsettled_sends() == 0 && self.is_committed() && self.unanswered().is_empty();
                if is_drained || self.now >= bound {
                    self.begin_final_read();
                } else {
                    self.again(LOOK_EVERY, LifeStep::LookDrained);
                }
            }
            LifeStep::FinalPoll => {
                let reader = self.life.final_reader;
                self.command(reader, OpId(CONTROL_OPS - 1), Command::Poll { max_wait_ms: 200 });
            }
        }
    }

    /// Creates the topics one after the other, once a controller is active and every broker is unfenced.
    fn create_topics(&mut self) {
        if self.life.topics_created == self.scenario.topics.len() {
            return;
        }
        self.again(50 * MILLISECOND, LifeStep::CreateTopics);
        let brokers = self.scenario.cluster.brokers as usize;
        let image = self.active_controller().map(|(_, controller)| controller.image());
        let ready = image.is_some_and(|image| image.brokers.values().filter(|b| b.is_active()).count() == brokers);
        if !ready || self.life.creating {
            return;
        }
        self.life.creating = true;
        let topic = self.scenario.topics[self.life.topics_created].clone();
        self.command(self.life.admin, OpId(CONTROL_OPS - 2), topic.creation());
    }

    fn assign(&mut self, reader: usize) {
        let Reader { node, spec } = self.life.readers[reader];
        let topics = self.scenario.consumers[spec].topics.clone();
        let partitions: Vec<_> = self.partitions_of(&topics).into_iter().map(|p| (p, None)).collect();
        let op = OpId(CONTROL_OPS + (1 << 20) + reader as u64);
        self.notes.push(Note::Assigned { consumer: reader as u32 });
        self.command(node, op, Command::Assign { partitions });
        if let Some(start) = self.scenario.consumers[spec].start {
            self.seek(reader, start);
        }
        self.live(LifeStep::Poll(reader as u32));
    }

    /// Sends a consumer there in each of its partitions.
    fn seek(&mut self, reader: usize, to: ReadFrom) {
        let Reader { node, spec } = self.life.readers[reader];
        let topics = self.scenario.consumers[spec].topics.clone();
        let to = match to {
            ReadFrom::Offset(offset) => SeekTo::Offset(offset),
            ReadFrom::Earliest => SeekTo::Earliest,
            ReadFrom::Latest => SeekTo::Latest,
            ReadFrom::Time(at) => SeekTo::Timestamp(WALL_AT_START_MS + (at / MILLISECOND) as i64),
        };
        let op = OpId(CONTROL_OPS + (2 << 20) + reader as u64);
        for partition in self.partitions_of(&topics) {
            self.command(node, op, Command::Seek { partition, to });
        }
    }

    pub(super) fn partitions_of(&self, topics: &[String]) -> Vec<TopicPartition> {
        let specs = self.scenario.topics.iter().filter(|t| topics.contains(&t.name));
        let of = |t: &crate::scenario::TopicSpec| {
            let topic = Topic::new(&t.name);
            (0..t.partitions).map(move |p| TopicPartition::new(&topic, p)).collect::<Vec<_>>()
        };
        specs.flat_map(of).collect()
    }

    fn produce_next(&mut self, number: usize) {
        if self.life.phase != Phase::Faults {
            return;
        }
        let writer = &mut self.life.writers[number];
        let spec = &self.scenario.producers[writer.spec];
        if spec.records.is_some_and(|most| writer.sent >= most) || spec.topics.is_empty() {
            return;
        }
        let nth = writer.sent;
        writer.sent += 1;
        let interval = 1_000_000_000 / Nanos::from(spec.rate.max(1));
        let topic = (nth % spec.topics.len() as u64) as usize;
        self.produce_one(number, topic);
        self.again(interval, LifeStep::Produce(number as u32));
    }

    /// Every producer shows that it gets on.
    fn send_probes(&mut self) {
        (0..self.life.writers.len()).for_each(|number| self.send_probe(number));
    }

    fn send_probe(&mut self, number: usize) {
        if self.life.phase == Phase::Drain
            && let Some(topic) = self.probe_topic(number)
        {
            let record = self.produce_one(number, topic);
            self.life.probes.sent(record, number as u32, self.now);
        }
    }

    /// Hands the next record to a producer. Gives its number.
    fn produce_one(&mut self, number: usize, topic: usize) -> u64 {
        let writer = &self.life.writers[number];
        let scenario = std::sync::Arc::clone(&self.scenario);
        let spec = &scenario.producers[writer.spec];
        let node = writer.node;
        let record = self.life.next_record;
        self.life.next_record += 1;
        let topic = Topic::new(&spec.topics[topic]);
        let key = spec.keys.map(|keys| {
            let bits = [record, number as u64].map(u64::to_le_bytes).concat();
            let key = xxhash_rust::xxh3::xxh3_64_with_seed(&bits, 0) % keys.max(1);
            Bytes::from(format!("key-{key}"))
        });
        let value = Some(encode_value(record, spec.value_bytes as usize));
        let command = Command::Produce { topic, partition: None, key, value, headers: Vec::new() };
        if self.slots[node.0 as usize].is_up() {
            self.life.writers[number].unsettled += 1;
            self.notes.push(Note::SendInvoked { record, producer: number as u32 });
            self.command(node, OpId(record), command);
        }
        record
    }

    /// Does one controller lead and all others follow it, is every broker unfenced in its present incarnation, has every
    /// partition a leader that knows it, and are all its replicas in sync? Asked of the machines themselves: the
    /// controller may not have noticed a death yet.
    fn is_healed(&self) -> bool {
        let Some((_, active)) = self.active_controller() else { return false };
        let image = active.image();
        let (epoch, leader) = (active.epoch(), active.setup().node_id);
        // One that came back on another disk is no voter any more: it only listens.
        let controller_is_back = |(node, controller): (NodeIx, &Controller)| {
            let role = controller.role();
            let follows = role == QuorumRole::Follower { leader } || role == QuorumRole::Observer;
            let in_step = controller.epoch() == epoch && (follows || role == QuorumRole::Leader);
            self.power(node) == Power::Running && in_step
        };
        if !self.controllers().all(controller_is_back) {
            return false;
        }
        let broker_is_back = |id: i32| {
            let running = self.broker_ix(id).is_some_and(|ix| self.power(ix) == Power::Running);
            let registered = image.brokers.get(&id).filter(|b| b.is_active()).map(|b| b.broker_epoch);
            running && registered.is_some() && self.broker(id).and_then(|b| b.broker_epoch()) == registered
        };
        let partition_is_whole = |partition: &TopicPartition| {
            let registration =
                image.topic(partition.topic.as_str()).and_then(|t| t.partitions.get(partition.partition as usize));
            registration.is_some_and(|p| p.isr.len() == p.replicas.len()) && self.leader_replica(partition).is_some()
        };
        self.scenario.cluster.broker_ids().all(broker_is_back) && self.all_partitions().iter().all(partition_is_whole)
    }

    /// Has every leader committed all that its log holds? A follower may still wait for the answer of a broker that lost
    /// power, until its request times out.
    fn is_committed(&self) -> bool {
        let leaders = self.all_partitions();
        let mut leaders = leaders.iter().filter_map(|partition| self.leader_replica(partition));
        leaders.all(|leader| leader.high_watermark() >= leader.log_end_offset())
    }

    fn begin_final_read(&mut self) {
        self.enter(Phase::Read);
        let mut assignment = Vec::new();
        for partition in self.all_partitions() {
            let Some(leader) = self.leader_replica(&partition) else {
                self.notes.push(Note::FinalReadEnd { partition, log_start: 0, log_end: 0, complete: false });
                continue;
            };
            let (log_start, log_end) = (leader.log.log_start_offset(), leader.high_watermark());
            self.life.final_read.insert(partition.clone(), FinalRead { log_start, log_end, position: log_start });
            assignment.push((partition, Some(log_start)));
        }
        self.life.read_until = self.now + self.scenario.phases.drain;
        let reader = self.life.final_reader;
        self.command(reader, OpId(CONTROL_OPS - 3), Command::Assign { partitions: assignment });
        if self.finish_read_partitions() {
            return;
        }
        self.live(LifeStep::FinalPoll);
    }

    /// The replica on the broker that leads by the controller's log.
    pub fn leader_replica(&self, partition: &TopicPartition) -> Option<&trial_kafka::broker::partition::Partition> {
        let registration =
            self.controller_image()?.topic(partition.topic.as_str())?.partitions.get(partition.partition as usize)?;
        let replica = self.broker(registration.leader)?.partition(partition)?;
        (replica.is_leader() && replica.leader_epoch == registration.leader_epoch).then_some(replica)
    }

    /// Notes the partitions that are read to their end. True if none is left, and the trial is over.
    fn finish_read_partitions(&mut self) -> bool {
        let late = self.now >= self.life.read_until;
        let done = |r: &FinalRead| r.position >= r.log_end || late;
        let finished: Vec<_> =
            self.life.final_read.iter().filter(|(_, r)| done(r)).map(|(p, r)| (p.clone(), *r)).collect();
        for (partition, read) in finished {
            self.life.final_read.remove(&partition);
            let FinalRead { log_start, log_end, position } = read;
            // What was deleted while it was read is not missing.
            let now = self.leader_replica(&partition).map_or(0, |leader| leader.log.log_start_offset());
            let log_start = log_start.max(now);
            self.notes.push(Note::FinalReadEnd { partition, log_start, log_end, complete: position >= log_end });
        }
        if self.life.final_read.is_empty() {
            self.over = true;
        }
        self.over
    }

    /// An operation of a client has ended.
    pub(super) fn on_outcome(&mut self, node: NodeIx, op: OpId, outcome: Outcome, event: EventId) {
        if op.0 >= World::EXTERNAL_OPS {
            self.notes.push(Note::External { node, op, outcome });
            return;
        }
        if node == self.life.admin && self.on_administered(op, &outcome) {
            return;
        }
        match outcome {
            Outcome::Produced { partition, belief, attempts, .. } if op.0 < self.life.next_record => {
                if let Some(writer) = self.life.writers.iter().position(|writer| writer.node == node) {
                    let unsettled = &mut self.life.writers[writer].unsettled;
                    *unsettled = unsettled.saturating_sub(1);
                    if self.life.probes.settled(op.0, partition.as_ref(), &belief) {
                        self.again(1_000 * MILLISECOND, LifeStep::Probe(writer as u32));
                    }
                }
                self.notes.push(Note::SendSettled { record: op.0, partition, belief, attempts, event });
            }
            Outcome::Polled { records, .. } if node == self.life.final_reader => {
                for record in &records {
                    if let Some(read) = self.life.final_read.get_mut(&record.partition) {
                        read.position = record.offset + 1;
                    }
                }
                if !records.is_empty() {
                    self.notes.push(Note::FinalRead { records, event });
                }
                if self.life.phase == Phase::Read && !self.finish_read_partitions() {
                    self.again(MILLISECOND, LifeStep::FinalPoll);
                }
            }
            Outcome::Polled { records, .. } => {
                let Some(number) = self.life.readers.iter().position(|r| r.node == node) else { return };
                if !records.is_empty() {
                    self.life.probes.polled(number as u32, &records, self.now);
                    self.notes.push(Note::Polled { consumer: number as u32, records, event });
                }
                if self.life.phase <= Phase::Drain {
                    let pause = self.scenario.consumers[self.life.readers[number].spec].poll_interval;
                    self.again(pause.max(1), LifeStep::Poll(number as u32));
                }
            }
            Outcome::Done if node == self.life.admin => {
                self.life.creating = false;
                self.life.topics_created += 1;
            }
            Outcome::Refused { error } if node == self.life.admin => {
                self.life.creating = false;
                if error == "TOPIC_ALREADY_EXISTS" {
                    self.life.topics_created += 1;
                }
            }
            _ => {}
        }
    }
}
