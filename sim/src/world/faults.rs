//! Carrying out faults: each is started at its time or by its event, counted when it takes effect, and ended.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::ResponseKind;
use trial_kafka::controller::Controller;
use trial_kafka::event::{Event, Fault as FaultEvent};
use trial_kafka::node::{Command, EventId, Input, Nanos, OpId};

use super::images::Images;
use super::late_metadata::{LateMetadata, MetadataAnswer};
use super::life::LifeStep;
use super::machines::{directory_id, disk_of};
use super::network::Slowness;
use super::slot::{FailingDisk, SimNode};
use super::{Phase, Power, What, World};
use crate::disk;
use crate::fault::{Fault, FaultKind, MetadataKind, Trigger, When};
use crate::trace::NodeIx;

/// Where a controller keeps the metadata log.
const METADATA_LOG_DIR: &str = "__cluster_metadata-0";

/// How often a kind of fault was scheduled, and how often it took effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounter {
    /// Faults of this kind in the timeline.
    pub scheduled: u32,
    /// Times it changed something.
    pub took_effect: u32,
}

/// Something that hangs on an event.
#[derive(Clone, Debug)]
struct Armed {
    what: WhatIsArmed,
    trigger: Trigger,
    not_before: Nanos,
    delay: Nanos,
    left: u32,
}

#[derive(Clone, Copy, Debug)]
enum WhatIsArmed {
    /// This fault of the timeline.
    Fault(usize),
    /// This step of the administrator.
    AdminStep(usize),
}

/// A fault of the timeline that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its place in the timeline.
    pub fault: usize,
    /// Number of the first event it made.
    pub first_event: u64,
    /// Number of the last one; below the first if it made none.
    pub last_event: u64,
}

/// The timeline and what of it lasts.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    timeline: Vec<Fault>,
    armed: Vec<Armed>,
    counters: BTreeMap<&'static str, FaultCounter>,
    /// All of `took_effect` together.
    effects: u32,
    /// Which have begun, in order, whether or not they had an effect, and the events that they made.
    begun: Vec<Begun>,
    /// The one that begins in this step.
    beginning: Option<usize>,
    /// Those that are not to begin.
    called_off: BTreeSet<usize>,
    /// Faults that last, to be ended early when the cluster is healed.
    lasting: Vec<FaultEnd>,
    /// No fault starts any more.
    over: bool,
    /// Number of the last fault that made metadata late.
    last_late: u32,
    /// Images of disks, for those that are to be restored.
    pub(super) images: Images,
}

impl Faults {
    pub(super) fn new(timeline: Vec<Fault>) -> Self {
        let mut counters: BTreeMap<&'static str, FaultCounter> = BTreeMap::new();
        for fault in &timeline {
            counters.entry(fault.kind.kind_name()).or_default().scheduled += 1;
        }
        let images = Images::for_faults(&timeline);
        Faults {
            timeline,
            armed: Vec::new(),
            counters,
            effects: 0,
            begun: Vec::new(),
            beginning: None,
            called_off: BTreeSet::new(),
            lasting: Vec::new(),
            over: false,
            last_late: 0,
            images,
        }
    }
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, FaultCounter)> {
        self.counters.iter().map(|(name, counter)| (*name, *counter))
    }
    /// How often faults of all kinds took effect so far.
    pub(super) fn effects(&self) -> u32 {
        self.effects
    }
    fn took_effect(&mut self, kind: &'static str) {
        self.counters.entry(kind).or_default().took_effect += 1;
        self.effects += 1;
    }
}

/// The end of something that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FaultEnd {
    Restart { node: NodeIx, incarnation: u32 },
    Resume { node: NodeIx, incarnation: u32 },
    Mend { from: NodeIx, to: NodeIx, cut: u32 },
    FastLink { from: NodeIx, to: NodeIx, slowness: Slowness },
    FastDisk { node: NodeIx, slow: disk::Slowness },
    FastFetch { node: NodeIx, by: Nanos },
    TimelyMetadata { node: NodeIx, number: u32 },
    TrueSyncs { node: NodeIx },
}

/// Takes one of what several faults have added.
fn take_one<T: PartialEq>(added: &mut Vec<T>, by: T) {
    if let Some(at) = added.iter().position(|other| *other == by) {
        added.swap_remove(at);
    }
}

impl WhatIsArmed {
    fn is_due(self, cause: EventId, that_node: Option<NodeIx>) -> What {
        match self {
            WhatIsArmed::Fault(fault) => What::Fault { fault, cause, that_node },
            WhatIsArmed::AdminStep(step) => What::Life(LifeStep::AdminStepDue(step)),
        }
    }
}

impl World {
    pub(super) fn schedule_faults(&mut self) {
        let times: Vec<When> = self.faults.timeline.iter().map(|fault| fault.when.clone()).collect();
        for (index, when) in times.into_iter().enumerate() {
            self.schedule(WhatIsArmed::Fault(index), when);
        }
    }

    /// The steps of `[[admin]]`, which are due at these times.
    pub(super) fn schedule_admin_steps(&mut self, times: Vec<When>) {
        for (index, when) in times.into_iter().enumerate() {
            self.schedule(WhatIsArmed::AdminStep(index), when);
        }
    }

    fn schedule(&mut self, what: WhatIsArmed, when: When) {
        match when {
            When::At(at) => self.queue.push(at, what.is_due(EventId::NONE, None)),
            When::After { trigger, occurrence, not_before, delay } => {
                self.faults.armed.push(Armed { what, trigger, not_before, delay, left: occurrence.min })
            }
        }
    }

    /// Looks whether an event of this step fires a fault, or is what a step of the administrator waits for.
    pub(super) fn fire_triggers(&mut self) {
        if self.faults.armed.is_empty() || self.faults.over {
            return;
        }
        let mut fired = Vec::new();
        for event in &self.tracer.fresh {
            let name = self.slots.get(event.node.0 as usize).map_or("trial", |slot| slot.name.as_str());
            for armed in &mut self.faults.armed {
                let is_counted = armed.left > 0 && event.time >= armed.not_before;
                if is_counted && armed.trigger.matches(name, &event.event) {
                    armed.left -= 1;
                    if armed.left == 0 {
                        fired.push((self.now + armed.delay, armed.what.is_due(event.id, Some(event.node))));
                    }
                }
            }
        }
        self.faults.armed.retain(|armed| armed.left > 0);
        for (at, what) in fired {
            self.queue.push(at, what);
        }
    }

    pub(super) fn start_fault(&mut self, index: usize, cause: EventId, that_node: Option<NodeIx>) {
        if self.faults.over || self.phase() >= Phase::Core || self.faults.called_off.contains(&index) {
            return;
        }
        let fault = self.faults.timeline[index].clone();
        let first_event = self.tracer.count() + 1;
        self.faults.beginning = Some(index);
        let mut effective = false;
        for node in self.resolve_target(&fault.target, that_node) {
            effective |= self.apply_fault(node, &fault.kind, cause);
        }
        self.faults.beginning = None;
        self.faults.begun.push(Begun { fault: index, first_event, last_event: self.tracer.count() });
        if effective {
            self.faults.took_effect(fault.kind.kind_name());
        }
    }

    /// The faults that were drawn or written down, in the order of the timeline.
    pub fn fault_timeline(&self) -> &[Fault] {
        &self.faults.timeline
    }
    /// Those of them that have begun so far; one that hits a disk that fails later stands twice.
    pub fn faults_begun(&self) -> &[Begun] {
        &self.faults.begun
    }
    /// A fault of the timeline that has not begun will not begin. Nothing else changes: all others stay as they were drawn.
    pub fn call_off(&mut self, fault: usize) {
        self.faults.called_off.insert(fault);
    }

    /// A fault that does not stand in the timeline, counted as those are.
    pub(super) fn fault_from_outside(&mut self, node: NodeIx, kind: &FaultKind) {
        let effective = self.apply_fault(node, kind, EventId::NONE);
        self.faults.counters.entry(kind.kind_name()).or_default().scheduled += 1;
        if effective {
            self.faults.took_effect(kind.kind_name());
        }
    }

    /// Applies a fault to one node. True if it changed something.
    pub(super) fn apply_fault(&mut self, node: NodeIx, kind: &FaultKind, cause: EventId) -> bool {
        match kind {
            FaultKind::Crash { restart_after } => self.crash(node, *restart_after, cause),
            FaultKind::PowerLoss { restart_after } => self.lose_power(node, *restart_after, cause),
            FaultKind::CleanRestart { down_for } => self.restart_cleanly(node, *down_for, cause),
            FaultKind::Pause { lasts } => self.pause(node, *lasts, cause),
            FaultKind::Cut { peers, direction, lasts } => {
                let ways = self.ways(node, peers, *direction);
                self.network.last_cut += 1;
                let cut = self.network.last_cut;
                if !ways.is_empty() {
                    self.network.unfelt.insert(cut);
                }
                for (from, to) in ways {
                    self.network.cuts.entry((from, to)).or_default().push(cut);
                    let event = FaultEvent::Cut { to: self.node_name(to).to_string() };
                    self.record(from, Event::Fault(event), &[cause]);
                    self.end_after(*lasts, FaultEnd::Mend { from, to, cut });
                }
                // It takes effect with the first message it holds back.
                false
            }
            FaultKind::SlowLink { peers, purpose, direction, by, lasts } => {
                let ways = self.ways(node, peers, *direction);
                let slowness = Slowness { purpose: *purpose, by: *by };
                for (from, to) in &ways {
                    self.network.slow.entry((*from, *to)).or_default().push(slowness);
                    let to_name = self.node_name(*to).to_string();
                    let event = FaultEvent::SlowLink { to: to_name, purpose: *purpose, by_ms: by / 1_000_000 };
                    self.record(*from, Event::Fault(event), &[cause]);
                    self.end_after(*lasts, FaultEnd::FastLink { from: *from, to: *to, slowness });
                }
                !ways.is_empty()
            }
            FaultKind::SlowDisk { by, lasts } => {
                let slow = disk::Slowness { by: *by, until: self.ends_at(*lasts) };
                self.slots[node.0 as usize].slow_disk.push(slow);
                self.set_disk_speed(node, cause);
                self.end_after(*lasts, FaultEnd::FastDisk { node, slow });
                true
            }
            FaultKind::StallDisk { lasts } => {
                let until = self.ends_at(*lasts);
                let disk = &mut self.slots[node.0 as usize].disk;
                disk.set_time(self.now);
                // Of two stalls, the one that ends later decides.
                disk.stall_until(disk.stalled_until().map_or(until, |earlier| earlier.max(until)));
                let for_ms = until.saturating_sub(self.now) / 1_000_000;
                self.record(node, Event::Fault(FaultEvent::StallDisk { for_ms }), &[cause]);
                true
            }
            FaultKind::SlowFetch { .. } if self.slots[node.0 as usize].broker().is_none() => false,
            FaultKind::SlowFetch { by, lasts } => {
                self.slots[node.0 as usize].slow_fetch.push(*by);
                self.record_fetch_speed(node, cause);
                self.end_after(*lasts, FaultEnd::FastFetch { node, by: *by });
                true
            }
            FaultKind::LostSync { lasts } => {
                let slot = &mut self.slots[node.0 as usize];
                slot.lost_syncs += 1;
                slot.disk.set_time(self.now);
                slot.disk.set_lost_syncs(true);
                self.record(node, Event::Fault(FaultEvent::LostSync { begins: true }), &[cause]);
                self.end_after(*lasts, FaultEnd::TrueSyncs { node });
                // It takes effect with a loss of power that takes what was said to be synced.
                false
            }
            FaultKind::ClockJump { by, back } => {
                let by_ms = (*by / 1_000_000) as i64 * if *back { -1 } else { 1 };
                self.slots[node.0 as usize].wall_offset_ms += by_ms;
                self.record(node, Event::Fault(FaultEvent::ClockJump { by_ms }), &[cause]);
                by_ms != 0
            }
            FaultKind::ReplaceDisk { restart_after } => self.replace_disk(node, *restart_after, cause),
            FaultKind::RestoreDisk { age, checkpoints_only, restart_after } => {
                self.restore_disk(node, *age, *checkpoints_only, *restart_after, cause)
            }
            FaultKind::DiskFails { after_operations, restart_after } => {
                let slot = &mut self.slots[node.0 as usize];
                if slot.is_up() && !matches!(slot.node, SimNode::Client(_)) {
                    slot.disk.fail_after(u64::from(after_operations.min));
                    slot.disk_fails =
                        Some(FailingDisk { restart_after: *restart_after, cause, fault: self.faults.beginning });
                }
                // It takes effect with the first operation that fails.
                false
            }
            FaultKind::LateMetadata { by, of, lasts } => {
                if self.slots[node.0 as usize].broker().is_some() {
                    self.make_metadata_late(node, *by, of, *lasts, cause);
                }
                // It takes effect with the first answer that has to wait.
                false
            }
        }
    }

    fn crash(&mut self, node: NodeIx, restart_after: Option<Nanos>, cause: EventId) -> bool {
        if !self.slots[node.0 as usize].is_up() {
            return false;
        }
        self.record(node, Event::Fault(FaultEvent::Crash), &[cause]);
        self.end_process(node, false);
        self.slots[node.0 as usize].disk.process_crash();
        self.restart_later(node, restart_after);
        true
    }

    fn lose_power(&mut self, node: NodeIx, restart_after: Option<Nanos>, cause: EventId) -> bool {
        if self.slots[node.0 as usize].power == Power::Off {
            return false;
        }
        self.end_process(node, true);
        let (seed, now) = (self.seed, self.now);
        let mut nth = 0_u64;
        let mut random = || {
            nth += 1;
            let key = [now, u64::from(node.0), nth].map(u64::to_le_bytes).concat();
            xxhash_rust::xxh3::xxh3_64_with_seed(&key, seed)
        };
        let slot = &mut self.slots[node.0 as usize];
        slot.disk.set_time(now);
        let before = slot.controller().is_some().then(|| slot.disk.clone());
        let report = slot.disk.power_loss(&mut random);
        let (lost_bytes, lost_synced_bytes) = (report.lost_bytes, report.lost_synced_bytes);
        if let Some(before) = before {
            self.coverage.metadata_bytes_lost += before.bytes_lost_until(&slot.disk, METADATA_LOG_DIR, ".log");
        }
        // Whatever was on its way to the disk is gone with the page cache.
        slot.boot += 1;
        slot.incarnation += 1;
        self.record(node, Event::Fault(FaultEvent::PowerLoss { lost_bytes }), &[cause]);
        if lost_synced_bytes > 0 {
            let event = FaultEvent::SyncedBytesLost { lost_bytes: lost_synced_bytes };
            self.record(node, Event::Fault(event), &[cause]);
            self.faults.took_effect("lost-sync");
        }
        self.restart_later(node, restart_after);
        true
    }

    /// An operator takes the old disk out and formats a new one.
    fn replace_disk(&mut self, node: NodeIx, restart_after: Option<Nanos>, cause: EventId) -> bool {
        if matches!(self.slots[node.0 as usize].node, SimNode::Client(_)) {
            return false;
        }
        if self.slots[node.0 as usize].is_up() {
            self.end_process(node, false);
        }
        let slot = &mut self.slots[node.0 as usize];
        let lost_bytes = slot.disk.used_bytes();
        slot.disk = disk_of(&self.scenario.disk);
        slot.disk.set_slow(&slot.slow_disk);
        slot.disk.set_lost_syncs(slot.lost_syncs > 0);
        slot.disk_fails = None;
        // Whatever was on its way to the old one never gets to this one.
        slot.boot += 1;
        match &mut slot.blank {
            SimNode::Controller(blank) => {
                let mut setup = blank.setup().clone();
                setup.directory_id = directory_id(setup.node_id, slot.boot);
                **blank = Controller::new(setup);
            }
            SimNode::Combined(blank) => blank.format_anew(directory_id(blank.broker().node_id(), slot.boot)),
            SimNode::Broker(_) | SimNode::Client(_) => {}
        }
        self.record(node, Event::Fault(FaultEvent::ReplaceDisk { lost_bytes }), &[cause]);
        self.restart_later(node, restart_after);
        true
    }

    /// Its disk has refused an operation or a sync: the process is gone, and with it what it wanted to tell.
    pub(super) fn die_of_disk(&mut self, node: NodeIx) {
        let slot = &mut self.slots[node.0 as usize];
        let Some(FailingDisk { restart_after, cause, fault }) = slot.disk_fails.take() else { return };
        slot.disk.repair();
        self.end_process(node, false);
        self.slots[node.0 as usize].disk.process_crash();
        let event = self.record(node, Event::Fault(FaultEvent::DiskFailed), &[cause]).0;
        if let Some(fault) = fault {
            self.faults.begun.push(Begun { fault, first_event: event, last_event: event });
        }
        self.faults.took_effect("disk-fails");
        self.restart_later(node, restart_after);
    }

    fn make_metadata_late(
        &mut self,
        node: NodeIx,
        by: Nanos,
        of: &[MetadataKind],
        lasts: Option<Nanos>,
        cause: EventId,
    ) {
        self.faults.last_late += 1;
        let number = self.faults.last_late;
        self.slots[node.0 as usize].late_metadata.push(LateMetadata::new(number, by, of.to_vec()));
        let of = of.iter().map(|kind| kind.name().to_string()).collect();
        self.record(node, Event::Fault(FaultEvent::LateMetadata { by_ms: by / 1_000_000, of }), &[cause]);
        self.end_after(lasts, FaultEnd::TimelyMetadata { node, number });
    }

    /// Before which instant must an answer to this node's fetch of metadata not arrive?
    pub(super) fn metadata_is_held_until(&mut self, node: NodeIx, answer: &ResponseKind) -> Nanos {
        let slot = &mut self.slots[node.0 as usize];
        if slot.late_metadata.is_empty() {
            return 0;
        }
        let Some(answer) = MetadataAnswer::of(answer) else { return 0 };
        let mut until = 0;
        for late in &mut slot.late_metadata {
            if let Some(instant) = late.holds_until(&answer, self.now) {
                until = until.max(instant);
                if !late.felt {
                    late.felt = true;
                    self.faults.took_effect("late-metadata");
                }
            }
        }
        until
    }

    pub(super) fn restart_later(&mut self, node: NodeIx, after: Option<Nanos>) {
        let incarnation = self.slots[node.0 as usize].incarnation;
        self.end_after(after, FaultEnd::Restart { node, incarnation });
    }

    fn restart_cleanly(&mut self, node: NodeIx, down_for: Nanos, cause: EventId) -> bool {
        let is_up = self.slots[node.0 as usize].is_up();
        if !is_up || self.life.closing.contains(&node) || self.has_left(node) {
            return false;
        }
        let slot = &mut self.slots[node.0 as usize];
        slot.restart_after_halt = Some(down_for);
        if matches!(slot.node, SimNode::Client(_)) {
            self.end_orderly(node);
            return true;
        }
        let op = OpId(World::EXTERNAL_OPS - 1);
        self.hand_in(node, Input::Command { op, command: Command::ShutDown }, cause);
        true
    }

    /// A node has ended itself.
    pub(super) fn on_halted(&mut self, node: NodeIx, _cause: EventId) {
        self.end_process(node, false);
        let slot = &mut self.slots[node.0 as usize];
        slot.disk.process_crash();
        let restart = slot.restart_after_halt.take();
        // Orderly or not, an operator starts it again, at the latest when the cluster is healed.
        self.restart_later(node, restart);
    }

    fn pause(&mut self, node: NodeIx, lasts: Option<Nanos>, cause: EventId) -> bool {
        let slot = &mut self.slots[node.0 as usize];
        if slot.power != Power::Running {
            return false;
        }
        slot.power = Power::Paused;
        let incarnation = slot.incarnation;
        self.record(node, Event::Fault(FaultEvent::Pause), &[cause]);
        self.end_after(lasts, FaultEnd::Resume { node, incarnation });
        true
    }

    /// When what begins now and lasts so long, or until healing, is over.
    fn ends_at(&self, lasts: Option<Nanos>) -> Nanos {
        let healing = Some(self.scenario.phases.faults_end()).filter(|at| *at > self.now).unwrap_or(Nanos::MAX);
        lasts.map_or(healing, |lasts| self.now.saturating_add(lasts).min(healing))
    }

    fn end_after(&mut self, lasts: Option<Nanos>, end: FaultEnd) {
        if let Some(lasts) = lasts {
            self.queue.push(self.now + lasts, What::FaultEnd(Box::new(end.clone())));
        }
        self.faults.lasting.push(end);
    }

    /// Ends something that lasts, unless healing has already.
    pub(super) fn end_fault(&mut self, end: FaultEnd) {
        let Some(at) = self.faults.lasting.iter().position(|lasting| *lasting == end) else { return };
        self.faults.lasting.swap_remove(at);
        match end {
            FaultEnd::Restart { node, incarnation } => {
                let slot = &self.slots[node.0 as usize];
                if slot.incarnation == incarnation && !slot.is_up() && !self.has_left(node) {
                    let event = self.record(node, Event::Fault(FaultEvent::Restart), &[]);
                    self.start_process(node, &[event]);
                }
            }
            FaultEnd::Resume { node, incarnation } => {
                let slot = &mut self.slots[node.0 as usize];
                if slot.incarnation == incarnation && slot.power == Power::Paused {
                    slot.power = Power::Running;
                    self.record(node, Event::Fault(FaultEvent::Resume), &[]);
                    for (_, effects) in std::mem::take(&mut self.slots[node.0 as usize].held_effects) {
                        self.queue.push(self.now, What::Release { node, incarnation, effects });
                    }
                    self.go_on_reading(node);
                    for lane in trial_kafka::node::Lane::ALL {
                        if !self.slots[node.0 as usize].lanes[lane.index()].waiting.is_empty() {
                            self.wake_lane(node, lane);
                        }
                    }
                }
            }
            FaultEnd::Mend { from, to, cut } => {
                let Some(cuts) = self.network.cuts.get_mut(&(from, to)) else { return };
                cuts.retain(|other| *other != cut);
                if cuts.is_empty() {
                    self.network.cuts.remove(&(from, to));
                    let event = FaultEvent::Mend { to: self.node_name(to).to_string() };
                    self.record(from, Event::Fault(event), &[]);
                    self.release_held(from, to);
                }
            }
            FaultEnd::FastLink { from, to, slowness } => {
                if let Some(added) = self.network.slow.get_mut(&(from, to)) {
                    take_one(added, slowness);
                }
            }
            FaultEnd::FastDisk { node, slow } => {
                take_one(&mut self.slots[node.0 as usize].slow_disk, slow);
                self.set_disk_speed(node, EventId::NONE);
            }
            FaultEnd::TrueSyncs { node } => {
                let slot = &mut self.slots[node.0 as usize];
                slot.lost_syncs = slot.lost_syncs.saturating_sub(1);
                slot.disk.set_lost_syncs(slot.lost_syncs > 0);
                let begins = slot.lost_syncs > 0;
                self.record(node, Event::Fault(FaultEvent::LostSync { begins }), &[]);
            }
            FaultEnd::TimelyMetadata { node, number } => {
                self.slots[node.0 as usize].late_metadata.retain(|late| late.number != number);
                self.record(node, Event::Fault(FaultEvent::LateMetadata { by_ms: 0, of: Vec::new() }), &[]);
            }
            FaultEnd::FastFetch { node, by } => {
                take_one(&mut self.slots[node.0 as usize].slow_fetch, by);
                self.record_fetch_speed(node, EventId::NONE);
            }
        }
    }

    /// The disk is as slow as all faults together make it.
    fn set_disk_speed(&mut self, node: NodeIx, cause: EventId) {
        let slot = &mut self.slots[node.0 as usize];
        let by: Nanos = slot.slow_disk.iter().map(|slow| slow.by).sum();
        slot.disk.set_slow(&slot.slow_disk);
        self.record(node, Event::Fault(FaultEvent::SlowDisk { by_us: by / 1_000 }), &[cause]);
    }

    fn record_fetch_speed(&mut self, node: NodeIx, cause: EventId) {
        let by: Nanos = self.slots[node.0 as usize].slow_fetch.iter().sum();
        self.record(node, Event::Fault(FaultEvent::SlowFetch { by_ms: by / 1_000_000 }), &[cause]);
    }

    /// A message is held back: the cuts of this way have taken effect, each once.
    pub(super) fn cut_holds_back(&mut self, from: NodeIx, to: NodeIx) {
        for cut in self.network.cuts.get(&(from, to)).into_iter().flatten() {
            if self.network.unfelt.remove(cut) {
                self.faults.took_effect("cut");
            }
        }
    }

    /// Healing: nothing starts any more, what lasts is ended, what is dead is started, clocks are set right.
    pub(super) fn heal(&mut self) {
        self.heal_without(&BTreeSet::new());
    }

    /// The same, but of these nobody is started.
    pub(super) fn heal_without(&mut self, left_out: &BTreeSet<NodeIx>) {
        self.faults.over = true;
        self.faults.armed.clear();
        let starts = |end: &FaultEnd| matches!(end, FaultEnd::Restart { node, .. } if left_out.contains(node));
        self.faults.lasting.retain(|end| !starts(end));
        while let Some(end) = self.faults.lasting.last().cloned() {
            self.end_fault(end);
        }
        for index in 0..self.slots.len() {
            let node = NodeIx(index as u32);
            if self.slots[index].disk_fails.take().is_some() {
                self.slots[index].disk.repair();
            }
            let off_by_ms = std::mem::take(&mut self.slots[index].wall_offset_ms);
            if off_by_ms != 0 {
                self.record(node, Event::Fault(FaultEvent::ClockJump { by_ms: -off_by_ms }), &[]);
            }
            if !self.slots[index].is_up() && !self.has_left(node) && !left_out.contains(&node) {
                let event = self.record(node, Event::Fault(FaultEvent::Restart), &[]);
                self.start_process(node, &[event]);
            }
        }
    }
}
