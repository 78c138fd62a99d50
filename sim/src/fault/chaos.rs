//! `[chaos]`: a mix of faults from which the seed draws.
//!
//! A draw first chooses how many faults, and (swarm) which kinds may appear at all: a run with few kinds reaches
//! states that a run with all kinds washes out. Then every fault is drawn from a stream of its own.
//!
//! Where there are several controllers, they are hit as brokers are, links between them are cut, and faults hang on what
//! happens in the quorum too. A disk is replaced only where the mix asks for it by name: a cluster may lose more that way
//! than it promised to keep.

use trial_kafka::ids::{Topic, TopicPartition};

use super::draw::Stream;
use super::{
    CountRange, Direction, FIRST_DRAWN_ID, FaultKind, FaultSpec, KIND_NAMES, MetadataKind, ONLY_IF_ASKED_FOR, Peer,
    Target, Trigger, When,
};
use crate::scenario::{Cluster, DurationRange, Scenario};

/// A mix of faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chaos {
    /// How many faults a run has.
    pub faults: CountRange,
    /// Kinds (of [`KIND_NAMES`]) and their weights.
    pub mix: Vec<(&'static str, u32)>,
    /// Whether a run uses only a random subset of the kinds.
    pub swarm: bool,
    /// Who is hit, each as likely as the others (one may stand twice); empty: a random broker, or the leader of a
    /// random partition, and with several controllers as often one of them. Each gets the kinds that it can suffer.
    pub targets: Vec<Target>,
    /// Events that faults hang on, each as likely as the others.
    pub events: Vec<Trigger>,
    /// Of a hundred faults, how many hang on an event; the others stand at an instant.
    pub by_event: u32,
    /// The n-th such event fires.
    pub occurrence: CountRange,
    /// From the event to the fault.
    pub delay: DurationRange,
    /// Operations that a disk still does before it fails.
    pub disk_fails_after: CountRange,
    /// How long a crashed, powerless or cleanly stopped node stays down.
    pub down_for: DurationRange,
    /// How long a pause, a cut, a slow or stalled thing lasts.
    pub lasts: DurationRange,
    /// How much slow links add to each message.
    pub slow_link_by: DurationRange,
    /// How much slow disks add to each operation.
    pub slow_disk_by: DurationRange,
    /// How much slow fetchers add to each fetch.
    pub slow_fetch_by: DurationRange,
    /// How far clocks jump.
    pub clock_jump_by: DurationRange,
    /// How late metadata is.
    pub metadata_late_by: DurationRange,
}

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// What faults hang on unless a scenario says otherwise; the second half where there is a quorum of several.
const EVENTS: [&str; 5] = ["produce-answered", "became-leader", "leader-changed", "isr-changed", "truncated"];
const QUORUM_EVENTS: [&str; 6] = [
    "vote-granted",
    "became-candidate",
    "became-quorum-leader",
    "controller-active",
    "metadata-appended",
    "metadata-high-watermark",
];

impl Chaos {
    /// The mix of a cluster that says nothing of its own.
    pub fn of(cluster: &Cluster) -> Self {
        let on = |event: &&'static str| Trigger { event, partition: None, node: None };
        let quorum_events: &[_] = if cluster.controllers > 1 { &QUORUM_EVENTS } else { &[] };
        Chaos {
            faults: CountRange { min: 3, max: 8 },
            mix: KIND_NAMES.iter().filter(|kind| !ONLY_IF_ASKED_FOR.contains(kind)).map(|&kind| (kind, 1)).collect(),
            swarm: true,
            targets: Vec::new(),
            events: EVENTS.iter().chain(quorum_events).map(on).collect(),
            by_event: 50,
            occurrence: CountRange::exactly(1),
            delay: DurationRange { min: 0, max: 5 * MILLISECOND },
            disk_fails_after: CountRange { min: 0, max: 30 },
            down_for: DurationRange { min: SECOND / 2, max: 15 * SECOND },
            lasts: DurationRange { min: SECOND / 2, max: 12 * SECOND },
            slow_link_by: DurationRange { min: 5 * MILLISECOND, max: SECOND },
            slow_disk_by: DurationRange { min: MILLISECOND / 2, max: 50 * MILLISECOND },
            slow_fetch_by: DurationRange { min: 10 * MILLISECOND, max: SECOND },
            clock_jump_by: DurationRange { min: SECOND / 10, max: 60 * SECOND },
            metadata_late_by: DurationRange { min: 10 * MILLISECOND, max: 5 * SECOND },
        }
    }

    /// The faults of this seed, with ranges of one value except where they are to be drawn with the fault itself.
    pub(super) fn draw(&self, scenario: &Scenario, seed: u64) -> Vec<FaultSpec> {
        let mut stream = Stream::new(seed, "chaos", 0);
        let CountRange { min, max } = self.faults;
        let count = min + stream.below(u64::from(max.saturating_sub(min)) + 1) as u32;
        let kinds = self.kinds(&mut stream);
        (0..count)
            .filter_map(|nth| {
                let id = FIRST_DRAWN_ID + nth;
                self.draw_one(scenario, id, &kinds, &mut Stream::new(seed, "chaos-fault", id))
            })
            .collect()
    }

    /// Swarm: each kind is in with one half; should none be, all are.
    fn kinds(&self, stream: &mut Stream) -> Vec<(&'static str, u32)> {
        let subset: Vec<_> =
            self.mix.iter().copied().filter(|(_, weight)| stream.below(2) == 1 && *weight > 0).collect();
        if self.swarm && !subset.is_empty() { subset } else { self.mix.clone() }
    }

    /// `None` only where the mix has no weight at all.
    fn draw_one(
        &self,
        scenario: &Scenario,
        id: u32,
        kinds: &[(&'static str, u32)],
        stream: &mut Stream,
    ) -> Option<FaultSpec> {
        let phases = &scenario.phases;
        // The first stands at an instant, and early enough to matter: events that others hang on may never come.
        let is_first = id == FIRST_DRAWN_ID;
        let latest = if is_first { phases.warm_up + phases.run / 4 * 3 } else { phases.faults_end() };
        let instant = stream.within(DurationRange { min: phases.warm_up, max: latest });
        let mut instant = DurationRange::exactly(instant);
        let hangs_on_an_event = stream.below(100) < u64::from(self.by_event);
        let by_event = hangs_on_an_event && (!is_first || self.by_event >= 100);
        let trigger = stream.pick(&self.events).filter(|_| by_event).cloned();
        let mut target = self.target(scenario, trigger.is_some(), stream);
        // Swarm may have left only kinds that this one cannot suffer: then any of the mix will do.
        let fitting = |kinds: &[(&'static str, u32)]| -> Vec<_> {
            kinds.iter().copied().filter(|(kind, _)| target.can_suffer(kind)).collect()
        };
        let kind = weighted(&fitting(kinds), stream).or_else(|| weighted(&fitting(&self.mix), stream))?;
        let mut trigger = trigger;
        if kind == "late-metadata" && trigger.is_some() {
            // Held back is only what is under way while it lasts, and metadata seldom is: it begins with a decision, of
            // which brokers have not heard yet. That is a controller's event, and late is what brokers are told.
            trigger = self.decision(stream).or(trigger);
            // Decisions come seldom, in heaps after other faults: whichever is the n-th, wait for it from the start.
            instant = DurationRange::exactly(phases.warm_up);
            target = if target == Target::ThatNode { Target::AnyBroker } else { target };
        }
        let mut kind = self.kind(kind, &target, stream);
        if let (FaultKind::LateMetadata { of, .. }, Some(trigger)) = (&mut kind, &trigger)
            && !of.is_empty()
        {
            *of = decided_by(trigger).into_iter().collect();
        }
        let when = match trigger {
            Some(trigger) => {
                When::After { trigger, occurrence: self.occurrence, not_before: instant, delay: self.delay }
            }
            None => When::At(instant),
        };
        Some(FaultSpec { id, when, target, kind })
    }

    /// One of the events that faults hang on by which a controller tells what it has decided.
    fn decision(&self, stream: &mut Stream) -> Option<Trigger> {
        let is_decision = |event: &&Trigger| decided_by(event).is_some();
        let decisions: Vec<&Trigger> = self.events.iter().filter(is_decision).collect();
        stream.pick(&decisions).map(|event| (*event).clone())
    }

    fn target(&self, scenario: &Scenario, by_event: bool, stream: &mut Stream) -> Target {
        let possible: Vec<&Target> = self.targets.iter().filter(|t| by_event || **t != Target::ThatNode).collect();
        if let Some(&target) = stream.pick(&possible) {
            return target.clone();
        }
        if scenario.cluster.controllers > 1 && stream.below(2) == 0 {
            let controllers = [Target::ActiveController, Target::AnyController];
            return stream.pick(&controllers).cloned().unwrap_or(Target::AnyController);
        }
        let broker = stream.below(2) == 0;
        match stream.pick(&scenario.topics) {
            Some(topic) if !broker => {
                let partition = stream.below(topic.partitions.max(1) as u64) as i32;
                Target::Leader(TopicPartition::new(&Topic::new(&topic.name), partition))
            }
            _ => Target::AnyBroker,
        }
    }

    fn kind(&self, kind: &'static str, target: &Target, stream: &mut Stream) -> FaultKind<DurationRange> {
        let peers = |stream: &mut Stream| if target.is_controller() { peers_of_voter(stream) } else { peers(stream) };
        let down_for = self.down_for;
        let lasts = Some(self.lasts);
        match kind {
            "crash" => FaultKind::Crash { restart_after: Some(down_for) },
            "power-loss" => FaultKind::PowerLoss { restart_after: Some(down_for) },
            "clean-restart" => FaultKind::CleanRestart { down_for },
            "cut" => FaultKind::Cut { peers: peers(stream), direction: direction(stream), lasts },
            "slow-link" => {
                let (peers, direction) = (peers(stream), direction(stream));
                FaultKind::SlowLink { peers, purpose: None, direction, by: self.slow_link_by, lasts }
            }
            "slow-disk" => FaultKind::SlowDisk { by: self.slow_disk_by, lasts },
            "stall-disk" => FaultKind::StallDisk { lasts },
            "slow-fetch" => FaultKind::SlowFetch { by: self.slow_fetch_by, lasts },
            "clock-jump" => FaultKind::ClockJump { by: self.clock_jump_by, back: stream.below(2) == 0 },
            "replace-disk" => FaultKind::ReplaceDisk { restart_after: Some(down_for) },
            "restore-disk" => FaultKind::RestoreDisk {
                age: self.lasts,
                checkpoints_only: stream.below(2) == 0,
                restart_after: Some(down_for),
            },
            "disk-fails" => {
                FaultKind::DiskFails { after_operations: self.disk_fails_after, restart_after: Some(down_for) }
            }
            "lost-sync" => FaultKind::LostSync { lasts },
            "late-metadata" => FaultKind::LateMetadata { by: self.metadata_late_by, of: metadata_kinds(stream), lasts },
            // "pause", the only name of KIND_NAMES that is left; a scenario cannot hold another.
            _ => FaultKind::Pause { lasts },
        }
    }
}

/// The change of metadata that an event is the decision of.
fn decided_by(event: &Trigger) -> Option<MetadataKind> {
    MetadataKind::NAMES.into_iter().find(|(name, _)| *name == event.event).map(|(_, kind)| kind)
}

fn weighted(kinds: &[(&'static str, u32)], stream: &mut Stream) -> Option<&'static str> {
    let total: u64 = kinds.iter().map(|&(_, weight)| u64::from(weight)).sum();
    let mut left = stream.below(total);
    for &(kind, weight) in kinds {
        match left.checked_sub(u64::from(weight)) {
            Some(rest) => left = rest,
            None => return Some(kind),
        }
    }
    None
}

/// Whole groups open the wide partitions, a single broker the partial ones.
fn peers(stream: &mut Stream) -> Vec<Peer> {
    let choices = [
        vec![Peer::Everyone],
        vec![Peer::Brokers],
        vec![Peer::Controllers],
        vec![Peer::Brokers, Peer::Controllers],
        vec![Peer::Clients],
        vec![Peer::Node(Target::AnyBroker)],
    ];
    stream.pick(&choices).cloned().unwrap_or_default()
}

/// What keeps a voter from its quorum, from its brokers, or from one other voter.
fn peers_of_voter(stream: &mut Stream) -> Vec<Peer> {
    let choices = [
        vec![Peer::Everyone],
        vec![Peer::Brokers],
        vec![Peer::Controllers],
        vec![Peer::Controllers],
        vec![Peer::Node(Target::AnyController)],
        vec![Peer::Node(Target::ActiveController)],
    ];
    stream.pick(&choices).cloned().unwrap_or_default()
}

/// Half of the time everything is late, else changes of leaders or of in-sync replicas.
fn metadata_kinds(stream: &mut Stream) -> Vec<MetadataKind> {
    match stream.below(4) {
        0 => vec![MetadataKind::LeaderChanged],
        1 => vec![MetadataKind::IsrChanged],
        _ => Vec::new(),
    }
}

fn direction(stream: &mut Stream) -> Direction {
    match stream.below(4) {
        0 => Direction::Out,
        1 => Direction::In,
        _ => Direction::Both,
    }
}
