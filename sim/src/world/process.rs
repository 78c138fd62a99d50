//! Processes: inputs wait in lanes, handlers run and take their time, effects leave when they end.

use trial_kafka::event::Event;
use trial_kafka::node::{Effect, Effects, EventId, Input, Lane, Nanos, Node, Now};
use uuid::Uuid;

use super::host::SimHost;
use super::{Power, WALL_AT_START_MS, What, World, assertion, drawn_within};
use crate::trace::NodeIx;

/// Handlers that take longer than this have their effects carried out when they end, so that a crash meanwhile undoes
/// them; shorter ones at once, with the time added to what they send.
const RELEASE_AT_ONCE: Nanos = 500_000;

impl World {
    pub(super) fn is_alive(&self, node: NodeIx, incarnation: u32) -> bool {
        let slot = &self.slots[node.0 as usize];
        slot.incarnation == incarnation && slot.is_up()
    }

    /// Gives an input to a node: at once if its lane is free, else to the lane's queue.
    pub(super) fn hand_in(&mut self, node: NodeIx, input: Input, cause: EventId) {
        let slot = &mut self.slots[node.0 as usize];
        let lane = slot.node.lane(&input);
        let state = &mut slot.lanes[lane.index()];
        let free = state.waiting.is_empty() && state.busy_until <= self.now;
        if free && slot.power == Power::Running {
            self.handle(node, lane, input, cause);
        } else {
            state.waiting.push_back((input, cause));
            self.wake_lane(node, lane);
        }
    }

    pub(super) fn wake_lane(&mut self, node: NodeIx, lane: Lane) {
        let slot = &mut self.slots[node.0 as usize];
        let state = &mut slot.lanes[lane.index()];
        if !state.woken && slot.power == Power::Running {
            state.woken = true;
            let at = state.busy_until.max(self.now);
            self.queue.push(at, What::LaneFree { node, incarnation: slot.incarnation, lane });
        }
    }

    /// Is one of the node's threads stuck, or behind? What it has done may show only when that is over.
    pub(crate) fn is_held_up(&self, node: NodeIx) -> bool {
        let lanes = &self.slots[node.0 as usize].lanes;
        lanes.iter().any(|lane| lane.busy_until > self.now + RELEASE_AT_ONCE || !lane.waiting.is_empty())
    }

    pub(super) fn on_lane_free(&mut self, node: NodeIx, incarnation: u32, lane: Lane) {
        if !self.is_alive(node, incarnation) {
            return;
        }
        let slot = &mut self.slots[node.0 as usize];
        let state = &mut slot.lanes[lane.index()];
        state.woken = false;
        if slot.power != Power::Running {
            return;
        }
        if state.busy_until <= self.now
            && let Some((input, cause)) = state.waiting.pop_front()
        {
            self.handle(node, lane, input, cause);
        }
        if !self.slots[node.0 as usize].lanes[lane.index()].waiting.is_empty() {
            self.wake_lane(node, lane);
        }
    }

    pub(super) fn on_deadline(&mut self, node: NodeIx, incarnation: u32) {
        if !self.is_alive(node, incarnation) {
            return;
        }
        let slot = &mut self.slots[node.0 as usize];
        if slot.deadline_at != Some(self.now) {
            // An earlier one was scheduled after this, and has taken its place.
            return;
        }
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
        let (heard, first_event) = (self.hear(node, &input), self.tracer.fresh.len());
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
        slot.lanes[lane.index()].busy_until = self.now + cost;
        if let Err(message) = ended {
            effects.clear();
            self.effects = effects;
            self.tracer.record(self.now, node, Event::AssertionFailed { message }, cause, &[]);
            self.end_process(node, false);
            self.slots[node.0 as usize].disk.process_crash();
            return;
        }
        if self.slots[node.0 as usize].disk.has_refused() {
            effects.clear();
            self.effects = effects;
            return self.die_of_disk(node);
        }
        self.judge(node, heard, first_event, &effects);
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
    pub(super) fn record(&mut self, node: NodeIx, event: Event, because: &[EventId]) -> EventId {
        self.tracer.record(self.now, node, event, EventId::NONE, because)
    }

    pub(super) fn schedule_input(&mut self, at: Nanos, to: NodeIx, input: Input, cause: EventId) {
        let incarnation = self.slots[to.0 as usize].incarnation;
        self.queue.push(at, What::Input { to, incarnation, input, cause });
    }

    /// Starts the process of a node on the disk its predecessors left.
    pub(super) fn start_process(&mut self, node: NodeIx, because: &[EventId]) {
        let seed = self.seed;
        let slot = &mut self.slots[node.0 as usize];
        if slot.is_up() {
            return;
        }
        let had_no_power = slot.power == Power::Off;
        self.referee.forget(node, had_no_power);
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
