//! Faults as values: what goes wrong, to whom, when.
//!
//! A scenario says faults with ranges ("at 5s..6s", [`FaultSpec`]); [`timeline`] draws the ranges, and the `[chaos]`
//! mix, into concrete faults before the run starts. The World carries them out.
//!
//! # Model
//!
//! - Times are virtual times since the start of the trial, as the log prints them. No fault begins after the phase of
//!   faults has ended; whatever still lasts then is healed: paused nodes go on, dead ones start, cuts mend.
//! - A fault either stands at an instant or hangs on an event: it fires a short while after the n-th event of a kind
//!   at or after an instant. Noise alone does not reach the narrow windows; "2 ms after an ack" does.
//! - Who is hit is resolved when the fault fires ("leader of orders-0" is whoever leads then, by the controller's own
//!   log; "active controller" is whoever decides then), except "random broker", "random controller", "random consumer" and
//!   "minority of controllers", which are drawn with the times. A minority drawn like that may or may not have the active controller
//!   in it; "with the active" and "without the active" say so, and are resolved when the fault fires.
//! - Every fault draws from a stream of its own, named by the seed and its id: taking one fault away, or adding one,
//!   leaves all others as they were.
//! - A fault that finds nothing to do (its target is dead already, nobody leads) has no effect and is not counted as
//!   having taken effect.
//!
//! - An operator who replaces a disk formats it: a broker comes back with nothing, a controller with another directory id,
//!   by which it is no voter any more (KIP-853).
//! - A disk that is restored is an image of the page cache as it was then, all of it durable: what a backup of the file
//!   system at one instant gives. Its checkpoint files alone may be that old, as after a file system's repair.
//! - A disk that fails takes the process with it in the middle of what it does: the operations before are done, nothing
//!   of what the handler wanted to tell anybody is. The disk is whole again when the process is started.
//! - Late metadata: a broker's connection to the controllers holds an answer back that has a record of the given kinds,
//!   until this long after the record was first under way. Whatever comes after it waits too, as a broker applies metadata
//!   in order. A broker that grows impatient and asks another controller gets the record no sooner.
//!
//! Not modelled here: full disks, bit rot, misdirected writes, lying syncs, clock drift.

mod chaos;
mod count;
mod draw;
mod metadata;
mod text;

pub use chaos::Chaos;
pub use count::CountRange;
pub(crate) use draw::Stream;
pub use draw::{admin_times, timeline};
pub use metadata::MetadataKind;
pub use text::{TextError, parse_peer, parse_target, parse_trigger};

use trial_kafka::event::Event;
use trial_kafka::ids::TopicPartition;
use trial_kafka::node::{Nanos, Purpose};

use crate::scenario::DurationRange;

/// A fault: concrete with `D = Nanos`, as a scenario says it with `D = DurationRange`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault<D = Nanos> {
    /// Its name for good: the position in the file (from 1), or `id` in the file; drawn ones count from
    /// [`FIRST_DRAWN_ID`].
    pub id: u32,
    /// When.
    pub when: When<D>,
    /// To whom.
    pub target: Target,
    /// What.
    pub kind: FaultKind<D>,
}

/// A fault as a scenario says it: with ranges to draw from.
pub type FaultSpec = Fault<DurationRange>;

/// Faults drawn from `[chaos]` are numbered from here.
pub const FIRST_DRAWN_ID: u32 = 1_000;

/// When a fault fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When<D = Nanos> {
    /// At this virtual time.
    At(D),
    /// After an event.
    After {
        /// Which events count.
        trigger: Trigger,
        /// The n-th matching event fires, from 1. In a timeline a range of one value.
        occurrence: CountRange,
        /// Events count from this virtual time on.
        not_before: D,
        /// From the event to the fault.
        delay: D,
    },
}

/// A kind of event of the trace, perhaps of one partition or one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// One of [`Event::NAMES`].
    pub event: &'static str,
    /// Only of this partition.
    pub partition: Option<TopicPartition>,
    /// Only on this node (`b1`, `c1`).
    pub node: Option<String>,
}

impl Trigger {
    /// Does this event of that node count? A refused produce request is no `produce-answered` in this sense.
    pub fn matches(&self, node: &str, event: &Event) -> bool {
        self.event == event.name()
            && !matches!(event, Event::ProduceAnswered { error: Some(_), .. })
            && self.partition.as_ref().is_none_or(|wanted| event.partition() == Some(wanted))
            && self.node.as_deref().is_none_or(|wanted| wanted == node)
    }
}

/// Who is hit. Resolved when the fault fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `b1`: the broker with this node.id.
    Broker(i32),
    /// `c1`: the controller of this number.
    Controller(i32),
    /// `p1`: the producer of this number, from 1, in the order of the file.
    Producer(u32),
    /// `k1`: the consumer of this number, from 1, in the order of the file.
    Consumer(u32),
    /// `leader of orders-0`: by the controller's own log, at this moment.
    Leader(TopicPartition),
    /// `follower 1 of orders-0`: the n-th replica, in order of assignment, that does not lead, from 1.
    Follower {
        /// Of which partition.
        partition: TopicPartition,
        /// The n-th, from 1.
        nth: u32,
    },
    /// `random broker`. [`timeline`] replaces it by a [`Target::Broker`]; it never stands in a timeline.
    AnyBroker,
    /// `rack r1`: every broker of the rack, at the same instant.
    Rack(String),
    /// `all brokers`, at the same instant.
    AllBrokers,
    /// `coordinator of readers`: the broker that leads the group's partition of `__consumer_offsets`, at this moment.
    Coordinator(String),
    /// `random consumer`. [`timeline`] replaces it by a [`Target::Consumer`]; it never stands in a timeline.
    AnyConsumer,
    /// `active controller`: the one that decides at this moment.
    ActiveController,
    /// `standby controller 1`: the n-th controller, in order, that does not decide at this moment, from 1.
    StandbyController(u32),
    /// `random controller`. [`timeline`] replaces it by a [`Target::Controller`]; it never stands in a timeline.
    AnyController,
    /// `all controllers`, at the same instant.
    AllControllers,
    /// `c1 and c3`: these controllers, at the same instant. At least two.
    TheseControllers(Vec<i32>),
    /// `minority of controllers`, `majority of controllers with the active`: at the same instant.
    SomeControllers {
        /// How many of them.
        share: Share,
        /// Which of them. In a timeline never [`Including::Either`], which [`timeline`] replaces by controllers.
        including: Including,
    },
    /// `that node`: the node of the event that fired the fault.
    ThatNode,
}

impl Target {
    /// Does it stand for controllers only?
    pub fn is_controller(&self) -> bool {
        match self {
            Target::Controller(_)
            | Target::ActiveController
            | Target::StandbyController(_)
            | Target::AnyController
            | Target::AllControllers
            | Target::TheseControllers(_)
            | Target::SomeControllers { .. } => true,
            Target::Broker(_)
            | Target::Producer(_)
            | Target::Consumer(_)
            | Target::Leader(_)
            | Target::Follower { .. }
            | Target::AnyBroker
            | Target::Rack(_)
            | Target::AllBrokers
            | Target::Coordinator(_)
            | Target::AnyConsumer
            | Target::ThatNode => false,
        }
    }

    /// Can it suffer a fault of this kind? What `that node` is shows only when the fault fires.
    pub fn can_suffer(&self, kind: &str) -> bool {
        match self {
            Target::ThatNode => true,
            Target::Producer(_) | Target::Consumer(_) | Target::AnyConsumer => {
                matches!(kind, "crash" | "clean-restart" | "pause" | "cut" | "slow-link" | "clock-jump")
            }
            target => !(target.is_controller() && matches!(kind, "slow-fetch" | "late-metadata" | "restore-disk")),
        }
    }
}

/// How many of the controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// As many as the quorum can do without: 1 of 3, 2 of 5.
    Minority,
    /// As many as decide: 2 of 3, 3 of 5.
    Majority,
}

impl Share {
    /// So many of this number of controllers.
    pub fn of(self, controllers: u32) -> u32 {
        match self {
            Share::Minority => controllers.saturating_sub(1) / 2,
            Share::Majority => controllers / 2 + 1,
        }
    }
}

/// Whether the active controller is among some controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Including {
    /// As the seed has it.
    Either,
    /// `with the active`: it and the first others. Without an active controller: the first ones.
    Active,
    /// `without the active`: the first others.
    Standbys,
}

/// The other end of a link that is cut or slow. A node is never its own peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// `everyone`: all other nodes, clients too.
    Everyone,
    /// `brokers`: all other brokers.
    Brokers,
    /// `controllers`.
    Controllers,
    /// `clients`: all producers and consumers.
    Clients,
    /// One target, resolved as targets are.
    Node(Target),
}

/// Which way a link is cut or slow, seen from the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `both`.
    Both,
    /// `out`: what the target sends does not arrive, or late.
    Out,
    /// `in`: what is sent to the target does not arrive, or late.
    In,
}

impl Direction {
    /// All, with their names.
    pub const NAMES: [(&'static str, Direction); 3] =
        [("both", Direction::Both), ("out", Direction::Out), ("in", Direction::In)];

    /// The name in scenario files.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Both => "both",
            Direction::Out => "out",
            Direction::In => "in",
        }
    }
}

/// What goes wrong. Where a duration is `None`, it lasts until the cluster is healed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind<D = Nanos> {
    /// The process dies; the page cache stays.
    Crash {
        /// Time until it is started again.
        restart_after: Option<D>,
    },
    /// The host loses power: unsynced data that the system has not yet written back is lost, the last write may be
    /// torn.
    PowerLoss {
        /// Time until it is started again.
        restart_after: Option<D>,
    },
    /// SIGTERM: controlled shutdown of a server, a client is closed; and a start some time after the process has ended.
    CleanRestart {
        /// From the end of the process to its start.
        down_for: D,
    },
    /// The process stands still (a long garbage collection, SIGSTOP), then goes on.
    Pause {
        /// How long.
        lasts: Option<D>,
    },
    /// Nothing passes between the target and its peers; connections look open until a timeout or until they are mended.
    Cut {
        /// The other ends.
        peers: Vec<Peer>,
        /// Which way.
        direction: Direction,
        /// How long.
        lasts: Option<D>,
    },
    /// Messages between the target and its peers take longer.
    SlowLink {
        /// The other ends.
        peers: Vec<Peer>,
        /// Only on connections of this purpose; `None`: on all.
        purpose: Option<Purpose>,
        /// Which way.
        direction: Direction,
        /// Added to every message.
        by: D,
        /// How long.
        lasts: Option<D>,
    },
    /// Disk operations take longer.
    SlowDisk {
        /// Added to every operation.
        by: D,
        /// How long.
        lasts: Option<D>,
    },
    /// Disk operations do not end for a while.
    StallDisk {
        /// How long.
        lasts: Option<D>,
    },
    /// The target's replica fetcher is slow.
    SlowFetch {
        /// Added to every fetch.
        by: D,
        /// How long.
        lasts: Option<D>,
    },
    /// The target's wall clock jumps.
    ClockJump {
        /// How far.
        by: D,
        /// Backwards.
        back: bool,
    },
    /// The process dies and comes back on an empty disk, formatted anew: a controller gets another directory id.
    ReplaceDisk {
        /// Time until it is started again.
        restart_after: Option<D>,
    },
    /// The process dies, and its disk is what it was some time ago, as from a backup. Not of a controller: a quorum does not
    /// survive voters that forget, and nobody says it does.
    RestoreDisk {
        /// How long ago. Images are taken every second.
        age: D,
        /// Only the checkpoint files in the root of the log directory are of that age.
        checkpoints_only: bool,
        /// Time until it is started again.
        restart_after: Option<D>,
    },
    /// The disk fails at one of the node's next operations, and the process dies in the middle of what it does.
    DiskFails {
        /// So many operations still succeed. In a timeline a range of one value.
        after_operations: CountRange,
        /// Time until it is started again, on the same disk, repaired.
        restart_after: Option<D>,
    },
    /// The disk answers syncs and keeps nothing; a loss of power tells.
    LostSync {
        /// How long.
        lasts: Option<D>,
    },
    /// Records of the metadata log reach the target, a broker, later than they could.
    LateMetadata {
        /// By how much.
        by: D,
        /// The delay begins with a record of one of these kinds; empty: with any record but a NoOp.
        of: Vec<MetadataKind>,
        /// How long.
        lasts: Option<D>,
    },
}

/// The names of all kinds, as scenario files and counters spell them.
pub const KIND_NAMES: [&str; 15] = [
    "crash",
    "power-loss",
    "clean-restart",
    "pause",
    "cut",
    "slow-link",
    "slow-disk",
    "stall-disk",
    "slow-fetch",
    "clock-jump",
    "replace-disk",
    "restore-disk",
    "disk-fails",
    "late-metadata",
    "lost-sync",
];

/// Kinds that break what Kafka builds upon: never drawn unless a scenario asks for them.
pub const ONLY_IF_ASKED_FOR: [&str; 3] = ["replace-disk", "restore-disk", "lost-sync"];

impl<D> FaultKind<D> {
    /// The kind's name in scenario files and counters.
    pub fn kind_name(&self) -> &'static str {
        match self {
            FaultKind::Crash { .. } => "crash",
            FaultKind::PowerLoss { .. } => "power-loss",
            FaultKind::CleanRestart { .. } => "clean-restart",
            FaultKind::Pause { .. } => "pause",
            FaultKind::Cut { .. } => "cut",
            FaultKind::SlowLink { .. } => "slow-link",
            FaultKind::SlowDisk { .. } => "slow-disk",
            FaultKind::StallDisk { .. } => "stall-disk",
            FaultKind::SlowFetch { .. } => "slow-fetch",
            FaultKind::ClockJump { .. } => "clock-jump",
            FaultKind::ReplaceDisk { .. } => "replace-disk",
            FaultKind::RestoreDisk { .. } => "restore-disk",
            FaultKind::DiskFails { .. } => "disk-fails",
            FaultKind::LateMetadata { .. } => "late-metadata",
            FaultKind::LostSync { .. } => "lost-sync",
        }
    }
}
