//! The life of a trial: warm-up, faults, healing, drain, the final read. And the workload.
//!
//! ```text
//!   0 ─ cluster forms, topics ─ warm_up ─ workload and faults ─ faults_end [─ a part gets on alone] ─ heal ─▶ all leaders,
//!     full ISRs ─ drain ─▶ every send settled ─ read every partition from its start ─▶ over
//! ```
//!
//! Healing waits for what the cluster shows (leaders, in-sync replicas), draining for what clients were told; each has a
//! bound, and what is not reached by then is for the checker to judge.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use trial_kafka::controller::{Controller, QuorumRole};
use trial_kafka::event::Event;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::metadata::PartitionRegistration;
use trial_kafka::node::{Command, EventId, Input, Nanos, OpId, Outcome};

use super::admin::Administrator;
use super::application::{Reader, readers_of};
use super::final_read::FinalRead;
use super::probes::Probes;
use super::{Note, Power, What, World, encode_value};
use crate::scenario::Scenario;
use crate::trace::NodeIx;

/// Where a trial is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The cluster forms, topics are created.
    WarmUp,
    /// Workload and faults.
    Faults,
    /// Faults are over, and a part of the cluster has to get on without the rest.
    Core,
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
            Phase::Core => "core",
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
    /// A consumer begins to read.
    Begin(u32),
    /// A consumer's application goes on.
    Application {
        reader: u32,
        incarnation: u32,
    },
    Seek(u32),
    /// A consumer goes for good.
    Leave(u32),
    /// A client's application has closed it, and its process ends.
    Exit {
        node: NodeIx,
        incarnation: u32,
    },
    /// A step of the administrator is due.
    AdminStepDue(usize),
    Administer,
    BeginCore,
    LookCoreHealed,
    LookCoreGetsOn,
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

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) phase: Phase,
    pub(super) writers: Vec<Writer>,
    pub(super) readers: Vec<Reader>,
    pub(super) admin: NodeIx,
    pub(super) final_reader: NodeIx,
    /// Clients whose applications close them.
    pub(super) closing: BTreeSet<NodeIx>,
    pub(super) administrator: Administrator,
    pub(super) probes: Probes,
    /// Those without whom the rest has to get on.
    pub(super) left_out: BTreeSet<NodeIx>,
    /// When the healing began that is under way: of the core, then of all.
    healing_since: Nanos,
    topics_created: usize,
    creating: bool,
    next_record: u64,
    pub(super) final_read: BTreeMap<TopicPartition, FinalRead>,
    pub(super) read_until: Nanos,
}

/// Operations of the workload that are no records.
pub(super) const CONTROL_OPS: u64 = 1 << 47;
const LOOK_EVERY: Nanos = 100_000_000;
pub(super) const MILLISECOND: Nanos = 1_000_000;

impl Life {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut next = scenario.cluster.own_controllers() + scenario.cluster.brokers;
        let mut node = || {
            next += 1;
            NodeIx(next - 1)
        };
        let producers = scenario.producers.iter().enumerate().flat_map(|(spec, p)| (0..p.count).map(move |_| spec));
        let writers = producers.map(|spec| Writer { node: node(), spec, sent: 0, unsettled: 0 }).collect();
        let readers = readers_of(scenario, seed, &mut node);
        let (admin, final_reader) = (node(), node());
        Life {
            phase: Phase::WarmUp,
            writers,
            readers,
            admin,
            final_reader,
            closing: BTreeSet::new(),
            administrator: Administrator::new(scenario, seed),
            probes: Probes::default(),
            left_out: BTreeSet::new(),
            healing_since: 0,
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
        self.life.closing.remove(&node);
        self.forget_reading_of(node);
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
        self.queue.push(phases.faults_end(), What::Life(LifeStep::BeginCore));
        self.begin_administration();
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.life.phase = phase;
        self.record(NodeIx::WORLD, Event::Phase { name: phase.name().to_string() }, &[]);
    }

    pub(super) fn again(&mut self, after: Nanos, step: LifeStep) {
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
                self.begin_readers();
            }
            LifeStep::Produce(writer) => self.produce_next(writer as usize),
            LifeStep::Probe(writer) => self.send_probe(writer as usize),
            LifeStep::Begin(reader) => self.begin_reading(reader as usize),
            LifeStep::Application { reader, incarnation } => self.act(reader as usize, incarnation),
            LifeStep::Seek(reader) => self.seek_as_planned(reader as usize),
            LifeStep::Leave(reader) => self.leave(reader as usize),
            LifeStep::Exit { node, incarnation } => self.exit(node, incarnation),
            LifeStep::AdminStepDue(step) => self.on_admin_step_due(step),
            LifeStep::Administer => self.administer(),
            LifeStep::BeginCore => {
                let left_out = self.draw_left_out();
                if left_out.is_empty() {
                    return self.live(LifeStep::BeginHeal);
                }
                self.enter(Phase::Core);
                self.life.healing_since = self.now;
                self.heal_without(&left_out);
                self.leave_out(left_out);
                self.again(LOOK_EVERY, LifeStep::LookCoreHealed);
            }
            LifeStep::LookCoreHealed => {
                let bound = self.life.healing_since + self.scenario.phases.heal;
                if self.is_healed() {
                    self.send_probes();
                    self.again(LOOK_EVERY, LifeStep::LookCoreGetsOn);
                } else if self.now >= bound {
                    self.live(LifeStep::BeginHeal);
                } else {
                    self.again(LOOK_EVERY, LifeStep::LookCoreHealed);
                }
            }
            LifeStep::LookCoreGetsOn => {
                let bound = self.life.healing_since + self.scenario.phases.heal + self.scenario.phases.drain;
                let gets_on = self.unanswered().is_empty() && self.is_committed() && self.groups_are_at_rest();
                match gets_on || self.now >= bound {
                    true => self.live(LifeStep::BeginHeal),
                    false => self.again(LOOK_EVERY, LifeStep::LookCoreGetsOn),
                }
            }
            LifeStep::BeginHeal => {
                self.enter(Phase::Heal);
                self.life.healing_since = self.now;
                self.life.left_out.clear();
                self.life.probes.end();
                self.heal();
                self.again(LOOK_EVERY, LifeStep::LookHealed);
            }
            LifeStep::LookHealed => {
                let bound = self.life.healing_since + self.scenario.phases.heal;
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
                let bound = self.life.healing_since + phases.heal + phases.drain;
                let is_told = self.unsettled_sends() == 0 && self.unanswered().is_empty();
                // Where a leader is just being elected there is one soon to read from.
                let is_led = || self.all_partitions().iter().all(|partition| self.leader_replica(partition).is_some());
                let is_at_rest = self.is_committed() && self.groups_are_at_rest() && self.leaders_are_balanced();
                let is_drained = is_told && is_at_rest && is_led();
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
        if matches!(self.life.phase, Phase::Core | Phase::Drain)
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
        if self.slots[node.0 as usize].is_up() && !self.life.closing.contains(&node) {
            self.life.writers[number].unsettled += 1;
            self.notes.push(Note::SendInvoked { record, producer: number as u32 });
            self.command(node, OpId(record), command);
        }
        record
    }

    /// Of those who are not left out: does one controller lead and all others follow it, is every broker unfenced in its
    /// present incarnation, has every partition a leader that knows it, and are all its replicas in sync? Asked of the machines
    /// themselves: the controller may not have noticed a death yet.
    fn is_healed(&self) -> bool {
        if !self.administrator_is_done() {
            return false;
        }
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
        if !self.controllers().filter(|(node, _)| !self.is_left_out(*node)).all(controller_is_back) {
            return false;
        }
        let broker_is_back = |id: i32| {
            let running = self.broker_ix(id).is_some_and(|ix| self.power(ix) == Power::Running);
            let registered = image.brokers.get(&id).filter(|b| b.is_active()).map(|b| b.broker_epoch);
            running && registered.is_some() && self.broker(id).and_then(|b| b.broker_epoch()) == registered
        };
        let goes = |id: i32| self.broker_ix(id).is_some_and(|node| self.is_left_out(node));
        let partition_is_whole = |partition: &TopicPartition| {
            let registration =
                image.topic(partition.topic.as_str()).and_then(|t| t.partitions.get(partition.partition as usize));
            let is_in_sync = |p: &PartitionRegistration| p.replicas.iter().all(|id| goes(*id) || p.isr.contains(id));
            registration.is_some_and(is_in_sync) && self.leader_replica(partition).is_some()
        };
        let is_whole = |partitions: Vec<TopicPartition>| partitions.iter().all(partition_is_whole);
        self.scenario.cluster.broker_ids().filter(|id| !goes(*id)).all(broker_is_back)
            && is_whole(self.all_partitions())
            && is_whole(self.offsets_partitions())
    }

    /// Has every leader committed all that its log holds? A follower may still wait for the answer of a broker that lost
    /// power, until its request times out.
    fn is_committed(&self) -> bool {
        let leaders = [self.all_partitions(), self.offsets_partitions()].concat();
        let mut leaders = leaders.iter().filter_map(|partition| self.leader_replica(partition));
        leaders.all(|leader| leader.high_watermark() >= leader.log_end_offset())
    }

    /// The replica on the broker that leads by the controller's log.
    pub fn leader_replica(&self, partition: &TopicPartition) -> Option<&trial_kafka::broker::partition::Partition> {
        let registration =
            self.controller_image()?.topic(partition.topic.as_str())?.partitions.get(partition.partition as usize)?;
        let node = self.broker_ix(registration.leader).filter(|node| !self.is_left_out(*node))?;
        let replica = self.broker_at(node)?.partition(partition)?;
        (replica.is_leader() && replica.leader_epoch == registration.leader_epoch).then_some(replica)
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
        if op == World::CLOSE_OP {
            let incarnation = self.slots[node.0 as usize].incarnation;
            return self.again(0, LifeStep::Exit { node, incarnation });
        }
        if let Some(reader) = self.life.readers.iter().position(|reader| reader.node == node) {
            return self.on_reader_outcome(reader, op, outcome, event);
        }
        match outcome {
            Outcome::Produced { partition, belief, attempts, .. } if op.0 < self.life.next_record => {
                if let Some(writer) = self.life.writers.iter().position(|writer| writer.node == node) {
                    let unsettled = &mut self.life.writers[writer].unsettled;
                    *unsettled = unsettled.saturating_sub(1);
                    let (number, now) = (writer as u32, self.now);
                    if self.life.probes.settled(number, op.0, partition.as_ref(), &belief, now) {
                        self.again(1_000 * MILLISECOND, LifeStep::Probe(writer as u32));
                    }
                }
                self.notes.push(Note::SendSettled { record: op.0, partition, belief, attempts, event });
            }
            Outcome::Polled { records, .. } if node == self.life.final_reader => {
                self.on_final_read(records, event);
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
