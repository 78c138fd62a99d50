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

mod admin;
mod application;
mod assertion;
mod carry;
mod consumers;
mod coverage;
mod faults;
mod final_read;
mod groups;
mod host;
mod images;
mod late_metadata;
mod left_out;
mod life;
mod machines;
mod network;
mod notes;
mod outside;
mod pauses;
mod preferred;
mod probes;
mod process;
mod queue;
mod rare;
mod referee;
mod slot;
mod targets;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use trial_kafka::broker::Broker;
use trial_kafka::controller::Controller;
use trial_kafka::event::Event;
use trial_kafka::metadata::MetadataImage;
use trial_kafka::node::{Effect, EventId, Input, Lane, Nanos, Now, Ticket};

use crate::disk::PendingSync;
use crate::fault::Fault;
use crate::scenario::{DurationRange, Scenario};
use crate::trace::{NodeIx, TraceEvent, Tracer};
pub(crate) use application::stays_of;
use coverage::Coverage;
use faults::{FaultEnd, Faults};
use life::{Life, LifeStep};
pub(crate) use machines::controller_of;
use machines::slots_of;
use network::{Network, Packet, Way};
use pauses::PausesOfMembers;
use queue::Queue;
use rare::Rare;
use referee::Referee;
use slot::Slot;

pub use faults::{Begun, FaultCounter};
pub use life::Phase;
pub use notes::{Note, decode_value, encode_value};
pub use outside::{External, ExternalInput};
pub use pauses::Pauses;
pub use probes::Unanswered;
pub use rare::RARE;
pub use referee::Said;
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
    /// Images of disks are due.
    TakeImages,
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
    coverage: Coverage,
    pauses: PausesOfMembers,
    rare: Rare,
    life: Life,
    notes: Vec<Note>,
    referee: Referee,
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

    /// A World with this fault timeline instead of the seed's. Its scenario is that of this seed: what is drawn of
    /// configurations is drawn here.
    pub fn with_faults(scenario: Arc<Scenario>, seed: u64, timeline: Vec<Fault>) -> Self {
        let scenario = if scenario.drawn.is_empty() { scenario } else { Arc::new(scenario.drawn_by(seed)) };
        let mut world = World {
            seed,
            carriage: Carriage::Typed,
            now: 0,
            queue: Queue::default(),
            slots: slots_of(&scenario),
            network: Network::default(),
            tracer: Tracer::default(),
            faults: Faults::new(timeline),
            coverage: Coverage::default(),
            pauses: PausesOfMembers::default(),
            rare: Rare::default(),
            life: Life::new(&scenario, seed),
            notes: Vec::new(),
            referee: Referee::default(),
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
        world.begin_images();
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
    /// What the clocks of a machine show.
    pub fn clocks(&self, node: NodeIx) -> Now {
        let wall = WALL_AT_START_MS + (self.now / 1_000_000) as i64 + self.slots[node.0 as usize].wall_offset_ms;
        Now { mono: self.now, wall }
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
    /// How often faults of all kinds took effect so far.
    pub(crate) fn faults_took_effect(&self) -> u32 {
        self.faults.effects()
    }
    /// How often each of the rare states ([`RARE`]) was reached by now.
    pub fn rare(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.rare.named()
    }

    /// How often the metadata quorum and elections came into states that a campaign wants to reach, by name.
    pub fn coverage(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.coverage.named().into_iter()
    }
    /// How long rebalances kept members of groups from their work, by the members' names; those that never were are left
    /// out.
    pub fn pauses(&self) -> impl Iterator<Item = (&str, Pauses)> {
        self.pauses.all().filter(|(_, pauses)| pauses.count > 0).map(|(node, pauses)| (self.node_name(node), pauses))
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
    /// The epoch of the leader to which a consumer, by its number, found its position in a partition to belong.
    pub fn leader_epoch_followed(&self, consumer: u32, partition: &trial_kafka::ids::TopicPartition) -> Option<i32> {
        let reader = self.life.readers.get(consumer as usize)?;
        self.slots[reader.node.0 as usize].client()?.leader_epoch_followed(partition)
    }
    /// The disk of a node, for looking at logs.
    pub fn disk(&self, node: NodeIx) -> &crate::disk::VirtualDisk {
        &self.slots[node.0 as usize].disk
    }
    /// Index of a broker.
    pub fn broker_ix(&self, id: i32) -> Option<NodeIx> {
        let first = self.scenario.cluster.own_controllers();
        let ix = u32::try_from(id).ok()?.checked_sub(1)?;
        (ix < self.scenario.cluster.brokers).then_some(NodeIx(first + ix))
    }
    /// The broker at an index, if it is one.
    pub fn broker_at(&self, node: NodeIx) -> Option<&Broker> {
        self.slots.get(node.0 as usize)?.broker()
    }
    /// The controller at an index, if it is one.
    pub fn controller_at(&self, node: NodeIx) -> Option<&Controller> {
        self.slots.get(node.0 as usize)?.controller()
    }
    /// Index of the n-th controller, counted from 1: of its machine, or of the broker's whose process it shares.
    pub fn controller_ix(&self, n: u32) -> Option<NodeIx> {
        (1..=self.scenario.cluster.controllers).contains(&n).then(|| NodeIx(n - 1))
    }
    /// All controllers, dead or alive.
    pub fn controllers(&self) -> impl Iterator<Item = (NodeIx, &Controller)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(ix, slot)| Some((NodeIx(ix as u32), slot.controller()?)))
    }
    /// Does nothing pass from one node to the other?
    pub fn is_cut(&self, from: NodeIx, to: NodeIx) -> bool {
        self.network.is_cut(from, to)
    }
    /// The controller that decides: of those that run and believe so, the one of the highest epoch.
    pub fn active_controller(&self) -> Option<(NodeIx, &Controller)> {
        let takes_part = |ix: NodeIx| self.slots[ix.0 as usize].is_up() && !self.is_left_out(ix);
        let running = self.controllers().filter(|(ix, c)| takes_part(*ix) && c.is_active());
        running.max_by_key(|(_, controller)| controller.epoch())
    }
    /// The cluster's metadata: as the active controller has it, uncommitted changes included; without one, as the
    /// controller that knows most of what is committed has it.
    pub fn controller_image(&self) -> Option<&MetadataImage> {
        self.active_controller().map(|(_, controller)| controller.image()).or_else(|| {
            let committed = self.controllers().map(|(_, controller)| controller.committed_image());
            committed.max_by_key(|image| image.next_offset)
        })
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
            for event in &events {
                self.coverage.count(&event.event);
                self.pauses.take(event);
                self.rare.count(event);
                self.note_reset(event.node, &event.event);
            }
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
                    let died = result.is_err() && slot.disk_fails.is_some();
                    if died && self.is_alive(node, incarnation) {
                        self.die_of_disk(node);
                    } else if self.is_alive(node, incarnation) {
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
            What::TakeImages => self.take_images(),
            What::FaultEnd(end) => self.end_fault(*end),
            What::Life(step) => self.live(step),
            What::External(input) => self.on_external(*input),
        }
    }
}

/// A duration of a range, by the seed, the instant and the machine.
fn drawn_within(range: DurationRange, seed: u64, at: Nanos, node: NodeIx) -> Nanos {
    let key = [at, u64::from(node.0)].map(u64::to_le_bytes).concat();
    range.min + xxhash_rust::xxh3::xxh3_64_with_seed(&key, seed) % range.max.saturating_sub(range.min).max(1)
}
