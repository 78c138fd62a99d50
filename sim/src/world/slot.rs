//! One machine of the World: a process, its disk, its lanes, its clocks.

use std::collections::{BTreeMap, VecDeque};

use trial_kafka::broker::Broker;
use trial_kafka::client::Client;
use trial_kafka::combined::Combined;
use trial_kafka::controller::Controller;
use trial_kafka::node::{Effect, Effects, EventId, Input, Lane, Nanos, Node, Now, RandomFor};
use trial_storage::Disk;

use super::late_metadata::LateMetadata;
use crate::disk::{self, VirtualDisk};

/// A node of whichever kind, as a plain value.
#[derive(Clone, Debug)]
pub enum SimNode {
    /// A broker.
    Broker(Box<Broker>),
    /// A controller.
    Controller(Box<Controller>),
    /// A broker and a controller in one process.
    Combined(Box<Combined>),
    /// A client.
    Client(Box<Client>),
}

impl Node for SimNode {
    fn lane(&self, input: &Input) -> Lane {
        match self {
            SimNode::Broker(node) => node.lane(input),
            SimNode::Controller(node) => node.lane(input),
            SimNode::Combined(node) => node.lane(input),
            SimNode::Client(node) => node.lane(input),
        }
    }
    fn handle(&mut self, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        match self {
            SimNode::Broker(node) => node.handle(now, input, disk, fx),
            SimNode::Controller(node) => node.handle(now, input, disk, fx),
            SimNode::Combined(node) => node.handle(now, input, disk, fx),
            SimNode::Client(node) => node.handle(now, input, disk, fx),
        }
    }
    fn next_deadline(&self) -> Option<Nanos> {
        match self {
            SimNode::Broker(node) => node.next_deadline(),
            SimNode::Controller(node) => node.next_deadline(),
            SimNode::Combined(node) => node.next_deadline(),
            SimNode::Client(node) => node.next_deadline(),
        }
    }
}

/// One lane: busy until a time, and what waits for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LaneState {
    pub(crate) busy_until: Nanos,
    pub(crate) waiting: VecDeque<(Input, EventId)>,
    /// A wake-up for `busy_until` is scheduled.
    pub(crate) woken: bool,
}

/// What state a machine is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// The process runs.
    Running,
    /// The process stands still.
    Paused,
    /// The process is dead, the machine runs: whoever dials is refused.
    Dead,
    /// No power: whoever dials hears nothing.
    Off,
}

/// A disk that is about to fail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailingDisk {
    /// When to start the process again.
    pub(crate) restart_after: Option<Nanos>,
    /// The event that brought the fault about.
    pub(crate) cause: EventId,
    /// The fault's place in the timeline, if it stands there.
    pub(crate) fault: Option<usize>,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) name: String,
    /// The node as it was before its first start, to start the next incarnation from.
    pub(crate) blank: SimNode,
    pub(crate) node: SimNode,
    pub(crate) disk: VirtualDisk,
    pub(crate) power: Power,
    /// Counts starts. What was meant for an earlier incarnation is dropped.
    pub(crate) incarnation: u32,
    pub(crate) lanes: [LaneState; Lane::COUNT],
    /// When the next `Input::Deadline` is scheduled.
    pub(crate) deadline_at: Option<Nanos>,
    /// How far the wall clock is off, in milliseconds.
    pub(crate) wall_offset_ms: i64,
    /// Counts losses of power. What was on its way to the disk before one is gone.
    pub(crate) boot: u32,
    /// Effects of handlers that ended while the process stood still, with its incarnation.
    pub(crate) held_effects: Vec<(u32, Vec<(Effect, EventId)>)>,
    /// Added to every message on a fetcher's connection this node dialed, one entry a fault.
    pub(crate) slow_fetch: Vec<Nanos>,
    /// What slows the disk down, one entry a fault.
    pub(crate) slow_disk: Vec<disk::Slowness>,
    /// Faults by which its disk answers syncs and keeps nothing.
    pub(crate) lost_syncs: u32,
    /// Faults by which metadata reaches this broker late.
    pub(crate) late_metadata: Vec<LateMetadata>,
    /// Its disk is about to fail.
    pub(crate) disk_fails: Option<FailingDisk>,
    /// How many numbers were drawn for each purpose.
    pub(crate) draws: BTreeMap<RandomFor, u64>,
    /// After the end of an orderly stop, start again after this long.
    pub(crate) restart_after_halt: Option<Nanos>,
    /// Its next handler fails an assertion.
    #[cfg(test)]
    pub(crate) fails: bool,
}

impl Slot {
    pub(crate) fn new(name: String, node: SimNode) -> Self {
        Slot {
            name,
            blank: node.clone(),
            node,
            disk: VirtualDisk::new(None),
            power: Power::Dead,
            incarnation: 0,
            lanes: Default::default(),
            deadline_at: None,
            wall_offset_ms: 0,
            boot: 0,
            held_effects: Vec::new(),
            slow_fetch: Vec::new(),
            slow_disk: Vec::new(),
            lost_syncs: 0,
            late_metadata: Vec::new(),
            disk_fails: None,
            draws: BTreeMap::new(),
            restart_after_halt: None,
            #[cfg(test)]
            fails: false,
        }
    }
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.power, Power::Running | Power::Paused)
    }
    pub(crate) fn broker(&self) -> Option<&Broker> {
        match &self.node {
            SimNode::Broker(broker) => Some(broker),
            SimNode::Combined(process) => Some(process.broker()),
            SimNode::Controller(_) | SimNode::Client(_) => None,
        }
    }
    pub(crate) fn client(&self) -> Option<&Client> {
        match &self.node {
            SimNode::Client(client) => Some(client),
            SimNode::Broker(_) | SimNode::Combined(_) | SimNode::Controller(_) => None,
        }
    }
    /// The broker as it was before its first start.
    pub(crate) fn blank_broker(&self) -> Option<&Broker> {
        match &self.blank {
            SimNode::Broker(broker) => Some(broker),
            SimNode::Combined(process) => Some(process.broker()),
            SimNode::Controller(_) | SimNode::Client(_) => None,
        }
    }
    pub(crate) fn controller(&self) -> Option<&Controller> {
        match &self.node {
            SimNode::Controller(controller) => Some(controller),
            SimNode::Combined(process) => Some(process.controller()),
            SimNode::Broker(_) | SimNode::Client(_) => None,
        }
    }
}
