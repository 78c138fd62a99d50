//! From a scenario and a seed to the concrete timeline of faults.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{CountRange, Fault, FaultKind, FaultSpec, Including, Peer, Target, When};
use crate::scenario::{DurationRange, Scenario};

/// All faults of a trial, concrete: those of the file in its order, then those drawn from `[chaos]`.
pub fn timeline(scenario: &Scenario, seed: u64) -> Vec<Fault> {
    let mut specs = scenario.faults.clone();
    if let Some(chaos) = &scenario.chaos {
        specs.extend(chaos.draw(scenario, seed));
    }
    specs.into_iter().map(|spec| spec.draw(scenario, seed)).collect()
}

/// A stream of random numbers of its own for every fault and purpose.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of this name; streams of different names are independent.
    pub(crate) fn new(seed: u64, purpose: &'static str, id: u32) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        for (to, from) in key[8..].iter_mut().zip(purpose.bytes()) {
            *to = from;
        }
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(u64::from(id));
        Stream(rng)
    }

    /// A number below `bound` (0 if that is 0), without caring for a bias of at most bound / 2^64.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A duration of the range.
    pub(crate) fn within(&mut self, range: DurationRange) -> u64 {
        range.min.saturating_add(self.below(range.max.saturating_sub(range.min).saturating_add(1)))
    }

    /// A count of the range.
    pub(super) fn count(&mut self, range: CountRange) -> u32 {
        range.min.saturating_add(self.below(u64::from(range.max.saturating_sub(range.min)) + 1) as u32)
    }

    /// These in a random order.
    pub(crate) fn shuffled<T>(&mut self, mut items: Vec<T>) -> Vec<T> {
        for left in (2..=items.len()).rev() {
            items.swap(left - 1, self.below(left as u64) as usize);
        }
        items
    }

    /// One of these, `None` of an empty list.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }
}

impl FaultSpec {
    /// Draws times first, then durations in the order of declaration, then the random broker, the random controllers,
    /// counts, and the random consumer.
    fn draw(self, scenario: &Scenario, seed: u64) -> Fault {
        let mut stream = Stream::new(seed, "fault", self.id);
        let when = self.when.with_times(&mut stream);
        let kind = self.kind.map(&mut |range| stream.within(range));
        let brokers = u64::from(scenario.cluster.brokers);
        let any_broker = 1 + stream.below(brokers) as i32;
        // As a peer, "random broker" is another one than as a target; so is "random controller".
        let other_broker = 1 + ((any_broker as u64 + stream.below(brokers.saturating_sub(1))) % brokers.max(1)) as i32;
        let controllers = stream.shuffled((1..=scenario.cluster.controllers as i32).collect());
        let settle = |target, broker: i32, nth_controller: usize| match target {
            Target::AnyBroker => Target::Broker(broker),
            Target::AnyController => Target::Controller(controllers[nth_controller % controllers.len()]),
            Target::SomeControllers { share, including: Including::Either } => {
                these(controllers.iter().take(share.of(controllers.len() as u32) as usize).copied().collect())
            }
            target => target,
        };
        let target = settle(self.target, any_broker, 0);
        let kind = kind.map_peers(&|peer| match peer {
            Peer::Node(target) => Peer::Node(settle(target, other_broker, 1)),
            peer => peer,
        });
        let when = when.with_occurrence(&mut stream);
        let mut counted = |range| CountRange::exactly(stream.count(range));
        let kind = match kind {
            FaultKind::DiskFails { after_operations, restart_after } => {
                FaultKind::DiskFails { after_operations: counted(after_operations), restart_after }
            }
            kind => kind,
        };
        let consumers: u32 = scenario.consumers.iter().map(|consumer| consumer.count).sum();
        let any_consumer = 1 + stream.below(u64::from(consumers)) as u32;
        let other_consumer =
            1 + (any_consumer + stream.below(u64::from(consumers.saturating_sub(1))) as u32) % consumers.max(1);
        let settle = |target, consumer: u32| match target {
            Target::AnyConsumer => Target::Consumer(consumer),
            target => target,
        };
        let target = settle(target, any_consumer);
        let kind = kind.map_peers(&|peer| match peer {
            Peer::Node(target) => Peer::Node(settle(target, other_consumer)),
            peer => peer,
        });
        Fault { id: self.id, when, target, kind }
    }
}

/// When each step of `[[admin]]` is due in the trial of this seed, in the order of the file.
pub fn admin_times(scenario: &Scenario, seed: u64) -> Vec<When> {
    let draw = |(step, spec): (u32, &crate::scenario::AdminStep)| {
        let mut stream = Stream::new(seed, "admin", step);
        spec.when.clone().with_times(&mut stream).with_occurrence(&mut stream)
    };
    (0..).zip(&scenario.admin).map(draw).collect()
}

impl When<DurationRange> {
    fn with_times(self, stream: &mut Stream) -> When {
        match self {
            When::At(at) => When::At(stream.within(at)),
            When::After { trigger, occurrence, not_before, delay } => {
                When::After { trigger, occurrence, not_before: stream.within(not_before), delay: stream.within(delay) }
            }
        }
    }
}

impl When {
    fn with_occurrence(self, stream: &mut Stream) -> When {
        match self {
            When::After { trigger, occurrence, not_before, delay } => {
                let occurrence = CountRange::exactly(stream.count(occurrence));
                When::After { trigger, occurrence, not_before, delay }
            }
            at => at,
        }
    }
}

/// These controllers, as a target.
fn these(mut controllers: Vec<i32>) -> Target {
    controllers.sort_unstable();
    match controllers[..] {
        [one] => Target::Controller(one),
        _ => Target::TheseControllers(controllers),
    }
}

impl<D> FaultKind<D> {
    /// The same with other durations, made in the order of declaration.
    pub fn map<E>(self, of: &mut impl FnMut(D) -> E) -> FaultKind<E> {
        match self {
            FaultKind::Crash { restart_after } => FaultKind::Crash { restart_after: restart_after.map(of) },
            FaultKind::PowerLoss { restart_after } => FaultKind::PowerLoss { restart_after: restart_after.map(of) },
            FaultKind::CleanRestart { down_for } => FaultKind::CleanRestart { down_for: of(down_for) },
            FaultKind::Pause { lasts } => FaultKind::Pause { lasts: lasts.map(of) },
            FaultKind::Cut { peers, direction, lasts } => FaultKind::Cut { peers, direction, lasts: lasts.map(of) },
            FaultKind::SlowLink { peers, purpose, direction, by, lasts } => {
                FaultKind::SlowLink { peers, purpose, direction, by: of(by), lasts: lasts.map(of) }
            }
            FaultKind::SlowDisk { by, lasts } => FaultKind::SlowDisk { by: of(by), lasts: lasts.map(of) },
            FaultKind::StallDisk { lasts } => FaultKind::StallDisk { lasts: lasts.map(of) },
            FaultKind::SlowFetch { by, lasts } => FaultKind::SlowFetch { by: of(by), lasts: lasts.map(of) },
            FaultKind::ClockJump { by, back } => FaultKind::ClockJump { by: of(by), back },
            FaultKind::ReplaceDisk { restart_after } => FaultKind::ReplaceDisk { restart_after: restart_after.map(of) },
            FaultKind::RestoreDisk { age, checkpoints_only, restart_after } => {
                FaultKind::RestoreDisk { age: of(age), checkpoints_only, restart_after: restart_after.map(of) }
            }
            FaultKind::DiskFails { after_operations, restart_after } => {
                FaultKind::DiskFails { after_operations, restart_after: restart_after.map(of) }
            }
            FaultKind::LostSync { lasts } => FaultKind::LostSync { lasts: lasts.map(of) },
            FaultKind::LateMetadata { by, of: kinds, lasts } => {
                FaultKind::LateMetadata { by: of(by), of: kinds, lasts: lasts.map(of) }
            }
        }
    }

    fn map_peers(mut self, of: &impl Fn(Peer) -> Peer) -> Self {
        if let FaultKind::Cut { peers, .. } | FaultKind::SlowLink { peers, .. } = &mut self {
            *peers = std::mem::take(peers).into_iter().map(of).collect();
        }
        self
    }

    /// The other ends, for kinds that have them.
    pub fn peers(&self) -> &[Peer] {
        match self {
            FaultKind::Cut { peers, .. } | FaultKind::SlowLink { peers, .. } => peers,
            _ => &[],
        }
    }
}

impl Fault {
    /// The fault as a scenario would say it: with ranges of one value. Drawing that gives this fault again.
    pub fn to_spec(&self) -> FaultSpec {
        let kind = self.kind.clone().map(&mut DurationRange::exactly);
        FaultSpec { id: self.id, when: self.when.to_spec(), target: self.target.clone(), kind }
    }
}

impl When {
    /// The instant as a scenario would say it: with ranges of one value.
    pub fn to_spec(&self) -> When<DurationRange> {
        self.clone().map(DurationRange::exactly)
    }
}

impl<D> When<D> {
    /// The same with other times.
    pub fn map<E>(self, of: impl Fn(D) -> E) -> When<E> {
        match self {
            When::At(at) => When::At(of(at)),
            When::After { trigger, occurrence, not_before, delay } => {
                When::After { trigger, occurrence, not_before: of(not_before), delay: of(delay) }
            }
        }
    }
}
