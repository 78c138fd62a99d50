//! The World: a whole cluster with its network, clocks and disks, as one plain value.
//!
//! ```text
//!   Scenario + seed ─▶ World ─step─▶ events, notes ─▶ Sink (digest, log, checker, recording)
//!                        │  ▲
//!                  clone │  │ external inputs (an application, the page), logged
//!                        ▼  │
//!                     another future (reseed)
//! ```
//!
//! One thread, no async, no shared state: [`World::step`] takes the next thing from the queue, lets at most one node
//! handle it, and carries out its effects. Same scenario, seed and external inputs: same events, byte for byte.
//! A clone has the same future as the original; [`World::reseed`] gives it another.

mod assertion;
mod carry;
mod faults;
mod host;
mod life;
mod network;
mod outside;
mod queue;
mod slot;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use trial_kafka::broker::{Broker, BrokerSetup};
use trial_kafka::client::{Client, ClientSetup, Role};
use trial_kafka::controller::{Controller, ControllerSetup};
use trial_kafka::event::Event;
use trial_kafka::metadata::MetadataImage;
use trial_kafka::node::{Effect, Effects, Endpoint, EventId, Input, Lane, Nanos, Node, Now, Ticket};
use uuid::Uuid;

use crate::disk::PendingSync;
use crate::fault::Fault;
use crate::scenario::{DurationRange, Scenario};
use crate::trace::{NodeIx, TraceEvent, Tracer};
use faults::{FaultEnd, Faults};
use host::SimHost;
use life::{Life, LifeStep};
use network::{Network, Packet, Way};
use queue::Queue;
use slot::Slot;

pub use faults::FaultCounter;
pub use life::{Note, Phase, decode_value, encode_value};
pub use outside::{External, ExternalInput};
pub use slot::{Power, SimNode};

/// How messages travel between nodes. Outside digest and randomness: both give the same run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carriage {
    /// As typed values: fast.
    #[default]
    Typed,
    /// Encoded and decoded at their version, as on a real socket.
    Wire,
}

/// Whoever watches a run. Called after each step that recorded or noted something.
pub trait Sink {
    /// `events` and `notes` are those of this step; `world` is the state after it.
    fn after_step(&mut self, world: &World, events: &[TraceEvent], notes: &[Note]);
}

/// A sink that looks at nothing.
pub struct Unwatched;
impl Sink for Unwatched {
    fn after_step(&mut self, _world: &World, _events: &[TraceEvent], _notes: &[Note]) {}
}

/// What is scheduled.
#[derive(Clone, Debug)]
enum What {
    Input {
        to: NodeIx,
        incarnation: u32,
        input: Input,
        cause: EventId,
    },
    LaneFree {
        node: NodeIx,
        incarnation: u32,
        lane: Lane,
    },
    Deadline {
        node: NodeIx,
        incarnation: u32,
    },
    Arrive {
        conn: u64,
        way: Way,
        packet: Packet,
        cause: EventId,
    },
    Synced {
        node: NodeIx,
        incarnation: u32,
        boot: u32,
        ticket: Ticket,
        pending: Box<PendingSync>,
        cause: EventId,
    },
    /// Effects of a handler that took long.
    Release {
        node: NodeIx,
        incarnation: u32,
        effects: Vec<(Effect, EventId)>,
    },
    Fault {
        fault: usize,
        cause: EventId,
        that_node: Option<NodeIx>,
    },
    FaultEnd(Box<FaultEnd>),
    Life(LifeStep),
    External(Box<ExternalInput>),
}

/// Handlers that take longer than this have their effects carried out when they end, so that a crash meanwhile undoes
/// them; shorter ones at once, with the time added to what they send.
const RELEASE_AT_ONCE: Nanos = 500_000;

/// So many steps at one instant are taken for a livelock of the model.
const STANDSTILL: u32 = 1_000_000;

/// Wall time at the start of every trial: 2026-01-01T00:00:00Z, in milliseconds.
pub const WALL_AT_START_MS: i64 = 1_767_225_600_000;

/// See the module documentation.
#[derive(Clone, Debug)]
pub struct World {
    scenario: Arc<Scenario>,
    /// The seed of everything from here on: the run's seed until reseeded.
    seed: u64,
    carriage: Carriage,
    now: Nanos,
    queue: Queue<What>,
    slots: Vec<Slot>,
    network: Network,
    tracer: Tracer,
    faults: Faults,
    life: Life,
    notes: Vec<Note>,
    externals: Vec<External>,
    last_fresh: u64,
    effects: Vec<(Effect, EventId)>,
    steps_at_now: u32,
    syncs_under_way: u32,
    over: bool,
}

impl World {
    /// Operations of [`External`] inputs are numbered from here, so that they never collide with the workload's.
    pub const EXTERNAL_OPS: u64 = 1 << 48;

    /// A World at time 0 that has not taken a step, with faults drawn by the seed.
    pub fn new(scenario: Arc<Scenario>, seed: u64) -> Self {
        let timeline = crate::fault::timeline(&scenario, seed);
        Self::with_faults(scenario, seed, timeline)
    }

    /// A World with this fault timeline instead of the seed's.
    pub fn with_faults(scenario: Arc<Scenario>, seed: u64, timeline: Vec<Fault>) -> Self {
        let mut world = World {
            seed,
            carriage: Carriage::Typed,
            now: 0,
            queue: Queue::default(),
            slots: slots_of(&scenario),
            network: Network::default(),
            tracer: Tracer::default(),
            faults: Faults::new(timeline),
            life: Life::new(&scenario),
            notes: Vec::new(),
            externals: Vec::new(),
            last_fresh: 0,
            effects: Vec::new(),
            steps_at_now: 0,
            syncs_under_way: 0,
            over: false,
            scenario,
        };
        world.begin_life();
        world.schedule_faults();
        world
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }
    /// Virtual time.
    pub fn now(&self) -> Nanos {
        self.now
    }
    /// Chooses how messages travel.
    pub fn set_carriage(&mut self, carriage: Carriage) {
        self.carriage = carriage;
    }
    /// From here on everything random is drawn anew; what is under way stays.
    pub fn reseed(&mut self, salt: u64) {
        self.seed = xxhash_rust::xxh3::xxh3_64_with_seed(&salt.to_le_bytes(), self.seed);
    }
    /// The digest of all events so far.
    pub fn digest(&self) -> String {
        self.tracer.digest.hex()
    }
    /// Number of events so far.
    pub fn event_count(&self) -> u64 {
        self.tracer.count()
    }
    /// Is the trial at its end?
    pub fn is_over(&self) -> bool {
        self.over
    }
    /// Where in its life the trial is.
    pub fn phase(&self) -> Phase {
        self.life.phase
    }
    /// How often each kind of fault was scheduled and took effect.
    pub fn fault_counters(&self) -> impl Iterator<Item = (&'static str, FaultCounter)> {
        self.faults.counters()
    }
    /// Syncs that nodes wait for.
    pub fn syncs_under_way(&self) -> u32 {
        self.syncs_under_way
    }
    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.slots.len()
    }
    /// A node's name: `c1`, `b1`, `p1` (producer), `k1` (consumer).
    pub fn node_name(&self, node: NodeIx) -> &str {
        self.slots.get(node.0 as usize).map_or("trial", |slot| &slot.name)
    }
    /// The node of that name.
    pub fn node_named(&self, name: &str) -> Option<NodeIx> {
        self.slots.iter().position(|slot| slot.name == name).map(|i| NodeIx(i as u32))
    }
    /// State of a machine.
    pub fn power(&self, node: NodeIx) -> Power {
        self.slots[node.0 as usize].power
    }
    /// A broker as it is, dead or alive, by node.id.
    pub fn broker(&self, id: i32) -> Option<&Broker> {
        self.broker_ix(id).and_then(|ix| self.slots[ix.0 as usize].broker())
    }
    /// The disk of a node, for looking at logs.
    pub fn disk(&self, node: NodeIx) -> &crate::disk::VirtualDisk {
        &self.slots[node.0 as usize].disk
    }
    /// Index of a broker.
    pub fn broker_ix(&self, id: i32) -> Option<NodeIx> {
        let first = self.scenario.cluster.controllers;
        let ix = u32::try_from(id).ok()?.checked_sub(1)?;
        (ix < self.scenario.cluster.brokers).then_some(NodeIx(first + ix))
    }
    /// The broker at an index, if it is one.
    pub fn broker_at(&self, node: NodeIx) -> Option<&Broker> {
        self.slots.get(node.0 as usize)?.broker()
    }
    /// The cluster's metadata as the active controller has it, uncommitted changes included.
    pub fn controller_image(&self) -> Option<&MetadataImage> {
        self.slots.iter().find_map(Slot::controller).map(Controller::image)
    }
    /// The controller node.
    pub fn controller(&self) -> Option<&Controller> {
        self.slots.iter().find_map(Slot::controller)
    }

    /// Takes the next step. False if the trial is over.
    pub fn step(&mut self, sink: &mut dyn Sink) -> bool {
        if self.over {
            return false;
        }
        let Some((at, what)) = self.queue.pop() else {
            self.over = true;
            return false;
        };
        if at > self.now {
            self.now = at;
            self.steps_at_now = 0;
        }
        self.steps_at_now += 1;
        if self.steps_at_now > STANDSTILL {
            // A node that asks to be woken at once, for ever, would stop time.
            let message = format!("time stands still: {STANDSTILL} steps at one instant, the last was {what:?}");
            self.record(NodeIx::WORLD, Event::AssertionFailed { message }, &[]);
            self.over = true;
        } else {
            self.take(what);
        }
        if !self.tracer.fresh.is_empty() || !self.notes.is_empty() {
            self.fire_triggers();
            let events = std::mem::take(&mut self.tracer.fresh);
            let notes = std::mem::take(&mut self.notes);
            sink.after_step(self, &events, &notes);
            self.tracer.fresh = events;
            self.tracer.fresh.clear();
            self.notes = notes;
            self.notes.clear();
        }
        true
    }

    /// Steps until the trial is over.
    pub fn run(&mut self, sink: &mut dyn Sink) {
        while self.step(sink) {}
    }
    /// Steps while the next thing happens at or before `until`, then moves the clock there.
    pub fn run_until(&mut self, until: Nanos, sink: &mut dyn Sink) {
        while !self.over && self.queue.next_at().is_some_and(|at| at <= until) {
            self.step(sink);
        }
        self.now = self.now.max(until);
    }
    /// When the next thing happens.
    pub fn next_at(&self) -> Option<Nanos> {
        self.queue.next_at()
    }

    fn take(&mut self, what: What) {
        match what {
            What::Input { to, incarnation, input, cause } => {
                if self.is_alive(to, incarnation) {
                    self.hand_in(to, input, cause);
                }
            }
            What::LaneFree { node, incarnation, lane } => self.on_lane_free(node, incarnation, lane),
            What::Deadline { node, incarnation } => self.on_deadline(node, incarnation),
            What::Arrive { conn, way, packet, cause } => self.on_arrival(conn, way, packet, cause),
            What::Synced { node, incarnation, boot, ticket, pending, cause } => {
                let slot = &mut self.slots[node.0 as usize];
                slot.disk.set_time(self.now);
                if let Some(end) = slot.disk.stalled_until().filter(|_| slot.boot == boot) {
                    // The stall began after the sync was asked for.
                    self.queue.push(end, What::Synced { node, incarnation, boot, ticket, pending, cause });
                    return;
                }
                self.syncs_under_way -= 1;
                // A process that died meanwhile takes nothing back from its system, but a loss of power does.
                if slot.boot == boot {
                    let result = slot.disk.complete_sync(*pending);
                    if self.is_alive(node, incarnation) {
                        self.hand_in(node, Input::Synced { ticket, result }, cause);
                    }
                }
            }
            What::Release { node, incarnation, effects } => {
                if self.is_alive(node, incarnation) {
                    let slot = &mut self.slots[node.0 as usize];
                    match slot.power {
                        // Its thread stands still before it could act; it goes on where it stood.
                        Power::Paused => slot.held_effects.push((incarnation, effects)),
                        _ => self.carry_out(node, effects, self.now),
                    }
                }
            }
            What::Fault { fault, cause, that_node } => self.start_fault(fault, cause, that_node),
            What::FaultEnd(end) => self.end_fault(*end),
            What::Life(step) => self.live(step),
            What::External(input) => self.on_external(*input),
        }
    }

    fn is_alive(&self, node: NodeIx, incarnation: u32) -> bool {
        let slot = &self.slots[node.0 as usize];
        slot.incarnation == incarnation && slot.is_up()
    }

    /// Gives an input to a node: at once if its lane is free, else to the lane's queue.
    fn hand_in(&mut self, node: NodeIx, input: Input, cause: EventId) {
        let slot = &mut self.slots[node.0 as usize];
        let lane = slot.node.lane(&input);
        let state = &mut slot.lanes[lane as usize];
        let free = state.waiting.is_empty() && state.busy_until <= self.now;
        if free && slot.power == Power::Running {
            self.handle(node, lane, input, cause);
        } else {
            state.waiting.push_back((input, cause));
            self.wake_lane(node, lane);
        }
    }

    fn wake_lane(&mut self, node: NodeIx, lane: Lane) {
        let slot = &mut self.slots[node.0 as usize];
        let state = &mut slot.lanes[lane as usize];
        if !state.woken && slot.power == Power::Running {
            state.woken = true;
            let at = state.busy_until.max(self.now);
            self.queue.push(at, What::LaneFree { node, incarnation: slot.incarnation, lane });
        }
    }

    fn on_lane_free(&mut self, node: NodeIx, incarnation: u32, lane: Lane) {
        if !self.is_alive(node, incarnation) {
            return;
        }
        let slot = &mut self.slots[node.0 as usize];
        let state = &mut slot.lanes[lane as usize];
        state.woken = false;
        if slot.power != Power::Running {
            return;
        }
        if state.busy_until <= self.now
            && let Some((input, cause)) = state.waiting.pop_front()
        {
            self.handle(node, lane, input, cause);
        }
        if !self.slots[node.0 as usize].lanes[lane as usize].waiting.is_empty() {
            self.wake_lane(node, lane);
        }
    }

    fn on_deadline(&mut self, node: NodeIx, incarnation: u32) {
        if !self.is_alive(node, incarnation) {
            return;
        }
        let slot = &mut self.slots[node.0 as usize];
        slot.deadline_at = None;
        match slot.node.next_deadline() {
            Some(at) if at <= self.now => self.hand_in(node, Input::Deadline, EventId::NONE),
            _ => self.schedule_deadline(node),
        }
    }

    fn schedule_deadline(&mut self, node: NodeIx) {
        let slot = &mut self.slots[node.0 as usize];
        let Some(at) = slot.node.next_deadline() else { return };
        let at = at.max(self.now);
        if slot.deadline_at.is_none_or(|scheduled| scheduled > at) {
            slot.deadline_at = Some(at);
            self.queue.push(at, What::Deadline { node, incarnation: slot.incarnation });
        }
    }

    /// Lets a node handle an input and carries out what it asks for.
    fn handle(&mut self, node: NodeIx, lane: Lane, input: Input, cause: EventId) {
        let mut effects = std::mem::take(&mut self.effects);
        let slot = &mut self.slots[node.0 as usize];
        slot.disk.set_time(self.now);
        let wall = WALL_AT_START_MS + (self.now / 1_000_000) as i64 + slot.wall_offset_ms;
        let mut host = SimHost {
            now: self.now,
            node,
            cause,
            seed: self.seed,
            tracer: &mut self.tracer,
            draws: &mut slot.draws,
            last_fresh: &mut self.last_fresh,
            effects: &mut effects,
            charged: 0,
        };
        let (sim_node, disk) = (&mut slot.node, &mut slot.disk);
        let now = Now { mono: self.now, wall };
        // A node that fails an assertion of its own is a finding, never a crash of the command.
        #[cfg(test)]
        let fails = std::mem::take(&mut slot.fails);
        let ended = assertion::guarded(|| {
            #[cfg(test)]
            assert!(!fails, "a test made it fail");
            sim_node.handle(now, input, disk, &mut Effects::new(&mut host));
        });
        let charged = host.charged;
        let operations = slot.disk.take_operations();
        let each = match operations {
            0 => 0,
            _ => drawn_within(self.scenario.disk.operation, self.seed, self.now, node),
        };
        let cost = charged + slot.disk.take_cost() + operations.saturating_mul(each);
        let incarnation = slot.incarnation;
        slot.lanes[lane as usize].busy_until = self.now + cost;
        if let Err(message) = ended {
            effects.clear();
            self.effects = effects;
            self.tracer.record(self.now, node, Event::AssertionFailed { message }, cause, &[]);
            self.end_process(node, false);
            self.slots[node.0 as usize].disk.process_crash();
            return;
        }
        if cost > RELEASE_AT_ONCE {
            self.take_sync_snapshots(node, effects, cost);
        } else {
            self.carry_out(node, effects, self.now + cost);
        }
        if self.is_alive(node, incarnation) {
            self.schedule_deadline(node);
        }
    }

    /// Effects of a slow handler: syncs look at the disk now, everything else waits until the handler ends.
    fn take_sync_snapshots(&mut self, node: NodeIx, effects: Vec<(Effect, EventId)>, cost: Nanos) {
        let (syncs, others): (Vec<_>, Vec<_>) =
            effects.into_iter().partition(|(e, _)| matches!(e, Effect::Sync { .. }));
        let incarnation = self.slots[node.0 as usize].incarnation;
        self.carry_out(node, syncs, self.now + cost);
        if !others.is_empty() {
            self.queue.push(self.now + cost, What::Release { node, incarnation, effects: others });
        }
    }

    /// Records an event of the World about a node.
    fn record(&mut self, node: NodeIx, event: Event, because: &[EventId]) -> EventId {
        self.tracer.record(self.now, node, event, EventId::NONE, because)
    }

    fn schedule_input(&mut self, at: Nanos, to: NodeIx, input: Input, cause: EventId) {
        let incarnation = self.slots[to.0 as usize].incarnation;
        self.queue.push(at, What::Input { to, incarnation, input, cause });
    }

    /// Starts the process of a node on the disk its predecessors left.
    fn start_process(&mut self, node: NodeIx, because: &[EventId]) {
        let seed = self.seed;
        let slot = &mut self.slots[node.0 as usize];
        if slot.is_up() {
            return;
        }
        let had_no_power = slot.power == Power::Off;
        slot.power = Power::Running;
        slot.incarnation += 1;
        slot.node = slot.blank.clone();
        slot.lanes = Default::default();
        slot.deadline_at = None;
        slot.restart_after_halt = None;
        slot.held_effects.clear();
        let bits = |half: u64| {
            let key = [u64::from(node.0), u64::from(slot.incarnation), half].map(u64::to_le_bytes).concat();
            xxhash_rust::xxh3::xxh3_64_with_seed(&key, seed)
        };
        let incarnation = Uuid::from_u64_pair(bits(0), bits(1));
        let cause = because.first().copied().unwrap_or(EventId::NONE);
        self.schedule_input(self.now, node, Input::Start { incarnation }, cause);
        if had_no_power {
            self.release_held_to(node);
        }
        self.take_up_reading(node);
    }
}

/// A duration of a range, by the seed, the instant and the machine.
fn drawn_within(range: DurationRange, seed: u64, at: Nanos, node: NodeIx) -> Nanos {
    let key = [at, u64::from(node.0)].map(u64::to_le_bytes).concat();
    range.min + xxhash_rust::xxh3::xxh3_64_with_seed(&key, seed) % range.max.saturating_sub(range.min).max(1)
}

/// `bootstrap.servers` of every client, and where brokers listen.
fn bootstrap_of(scenario: &Scenario) -> Vec<Endpoint> {
    scenario.cluster.broker_ids().map(|n| Endpoint { host: format!("b{n}"), port: 9092 }).collect()
}

/// The cluster's machines, none started: controllers, brokers, producers, consumers, the admin, the final reader.
fn slots_of(scenario: &Scenario) -> Vec<Slot> {
    let cluster = &scenario.cluster;
    let cluster_id = "trial".to_string();
    let controllers: Vec<Endpoint> =
        (1..=cluster.controllers).map(|n| Endpoint { host: format!("c{n}"), port: 9093 }).collect();
    let bootstrap = bootstrap_of(scenario);
    let mut slots = Vec::new();
    for (n, endpoint) in (1..).zip(&controllers) {
        let setup = ControllerSetup {
            node_id: 3_000 + n,
            endpoint: endpoint.clone(),
            config: cluster.config.clone(),
            zoo: scenario.zoo,
            cluster_id: cluster_id.clone(),
        };
        slots.push(Slot::new(format!("c{n}"), SimNode::Controller(Box::new(Controller::new(setup)))));
    }
    for (id, endpoint) in cluster.broker_ids().zip(&bootstrap) {
        let setup = BrokerSetup {
            node_id: id,
            cluster_id: cluster_id.clone(),
            endpoint: endpoint.clone(),
            rack: cluster.rack_of(id).map(str::to_string),
            controllers: controllers.clone(),
            config: cluster.config.clone(),
            zoo: scenario.zoo,
        };
        slots.push(Slot::new(format!("b{id}"), SimNode::Broker(Box::new(Broker::new(setup)))));
    }
    let mut client = |name: String, role: Role| {
        let setup = ClientSetup { client_id: name.clone(), bootstrap: bootstrap.clone(), role };
        slots.push(Slot::new(name, SimNode::Client(Box::new(Client::new(setup)))));
    };
    let mut number = 0;
    for spec in &scenario.producers {
        for _ in 0..spec.count {
            number += 1;
            client(format!("p{number}"), Role::Producer(spec.config.clone()));
        }
    }
    number = 0;
    for spec in &scenario.consumers {
        for _ in 0..spec.count {
            number += 1;
            client(format!("k{number}"), Role::Consumer(spec.config.clone()));
        }
    }
    client("admin".to_string(), Role::Admin { request_timeout_ms: 5_000 });
    client("reader".to_string(), Role::Consumer(life::reader_config()));
    let disk = &scenario.disk;
    for slot in &mut slots {
        slot.disk.set_sync_latency((disk.sync.min + disk.sync.max) / 2);
        slot.disk.set_write_back_age(disk.writeback);
    }
    slots
}
