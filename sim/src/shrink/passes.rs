//! What can be taken away from a case: each pass offers smaller ones, the smallest first.

use trial_kafka::config::BrokerConfig;
use trial_kafka::node::Nanos;

use super::{Candidate, Case, simpler, together};
use crate::fault::{FaultKind, Peer, Target, When, parse_target};
use crate::scenario::{
    AdminAction, ConsumerSpec, Core, DiskModel, DurationRange, Network, Phases, ProducerSpec, Scenario,
};

/// One thing to take away. Those that save most time come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Faults, many at a time.
    Faults,
    /// Two faults of which one does for both.
    FaultsTogether,
    /// Steps of the administrator.
    AdminSteps,
    /// Consumers.
    Consumers,
    /// Producers.
    Producers,
    /// The time before faults begin, and between them.
    Waits,
    /// Virtual time.
    Time,
    /// Records per second.
    Rates,
    /// Records.
    Records,
    /// Topics and partitions.
    Partitions,
    /// Controllers.
    Controllers,
    /// Brokers and replicas.
    Brokers,
    /// Switches of the zoo.
    Switches,
    /// Configs that are not the default.
    Configs,
    /// How the network and the disks are.
    Surroundings,
    /// What faults say beyond their kind and target.
    SimplerFaults,
    /// Digits of times.
    RoundTimes,
    /// Names of faults, and of the seed.
    Names,
}

const SECOND: Nanos = 1_000_000_000;

impl Pass {
    /// All, in the order in which they are tried.
    pub const ALL: [Pass; 18] = [
        Pass::Faults,
        Pass::FaultsTogether,
        Pass::AdminSteps,
        Pass::Consumers,
        Pass::Producers,
        Pass::Waits,
        Pass::Time,
        Pass::Rates,
        Pass::Records,
        Pass::Partitions,
        Pass::Controllers,
        Pass::Brokers,
        Pass::Switches,
        Pass::Configs,
        Pass::Surroundings,
        Pass::SimplerFaults,
        Pass::RoundTimes,
        Pass::Names,
    ];

    /// Can it be that what is left shows the finding only in another weather? Times and nodes change, or fewer chances are left.
    pub fn may_need_other_weather(self) -> bool {
        !matches!(self, Pass::FaultsTogether | Pass::Switches | Pass::Configs | Pass::RoundTimes | Pass::Names)
    }

    /// Smaller cases. Some may be illegal: a fault whose target has gone, say.
    pub fn candidates(self, case: &Case) -> Vec<Candidate> {
        let scenario = &case.scenario;
        let offered = match self {
            Pass::Faults => without_some(scenario, "fault", scenario.faults.len(), |s, range| {
                s.faults.drain(range);
            }),
            Pass::FaultsTogether => together::faults(scenario),
            Pass::AdminSteps => {
                without_some(scenario, "step of the administrator", scenario.admin.len(), |s, range| {
                    s.admin.drain(range);
                })
            }
            Pass::Consumers => {
                let mut offered = without_some(scenario, "consumer", scenario.consumers.len(), |s, range| {
                    s.consumers.drain(range);
                });
                offered.extend(fewer(scenario, "consumers", |s| &mut s.consumers, |c| &mut c.count));
                offered
            }
            Pass::Producers => {
                let mut offered = without_some(scenario, "producer", scenario.producers.len(), |s, range| {
                    s.producers.drain(range);
                });
                offered.extend(fewer(scenario, "producers", |s| &mut s.producers, |p| &mut p.count));
                offered
            }
            Pass::Waits => sooner(scenario),
            Pass::Time => shorter(scenario),
            Pass::Rates => slower(scenario),
            Pass::Records => fewer_records(scenario),
            Pass::Partitions => fewer_partitions(scenario),
            Pass::Controllers => fewer_controllers(scenario),
            Pass::Brokers => fewer_brokers(scenario),
            Pass::Switches => fewer_switches(scenario),
            Pass::Configs => simpler::default_configs(scenario),
            Pass::Surroundings => surroundings(scenario),
            Pass::SimplerFaults => simpler::faults(scenario),
            Pass::RoundTimes => simpler::round_times(scenario),
            Pass::Names => return names(case),
        };
        let of_case = |(what, scenario)| Candidate { what, case: Case { scenario, seed: case.seed } };
        offered.into_iter().filter(|(_, smaller)| smaller != scenario).map(of_case).collect()
    }
}

/// A scenario with a change, and what the change is.
pub(super) type Offer = (String, Scenario);

/// A changed copy.
pub(super) fn changed(scenario: &Scenario, what: impl Into<String>, change: impl FnOnce(&mut Scenario)) -> Offer {
    let mut smaller = scenario.clone();
    change(&mut smaller);
    (what.into(), smaller)
}

/// Without all of `many` things, without half of them, a quarter, and so on down to each alone.
fn without_some(
    scenario: &Scenario,
    thing: &str,
    many: usize,
    take: impl Fn(&mut Scenario, std::ops::Range<usize>),
) -> Vec<Offer> {
    let mut offered = Vec::new();
    let mut length = many;
    while length > 0 {
        let mut from = 0;
        while from < many {
            let to = (from + length).min(many);
            let what = match to - from {
                1 => format!("without {thing} {to}"),
                _ => format!("without {thing}s {} to {to}", from + 1),
            };
            offered.push(changed(scenario, what, |s| take(s, from..to)));
            from = to;
        }
        length = if length == 1 { 0 } else { length.div_ceil(2) };
    }
    offered
}

/// Each group of equal clients with one, and with half of them.
fn fewer<T>(
    scenario: &Scenario,
    things: &str,
    all: impl Fn(&mut Scenario) -> &mut Vec<T>,
    count: impl Fn(&mut T) -> &mut u32,
) -> Vec<Offer> {
    let mut offered = Vec::new();
    let mut copy = scenario.clone();
    for (nth, spec) in all(&mut copy).iter_mut().enumerate() {
        let now = *count(spec);
        for less in [1, now / 2].into_iter().filter(|less| (1..now).contains(less)) {
            let change = |s: &mut Scenario| {
                if let Some(spec) = all(s).get_mut(nth) {
                    *count(spec) = less;
                }
            };
            offered.push(changed(scenario, format!("{less} of {now} {things}"), change));
        }
    }
    offered
}

/// All faults and steps of the administrator nearer to the end of the warm-up, by the same factor.
fn sooner(scenario: &Scenario) -> Vec<Offer> {
    let warm_up = scenario.phases.warm_up;
    let by = |factor: Nanos| {
        let near = move |range: DurationRange| {
            let near = |time: Nanos| warm_up + time.saturating_sub(warm_up) / factor;
            DurationRange { min: near(range.min), max: near(range.max) }
        };
        let nearer = move |when: When<DurationRange>| match when {
            When::At(at) => When::At(near(at)),
            When::After { trigger, occurrence, not_before, delay } => {
                When::After { trigger, occurrence, not_before: near(not_before), delay }
            }
        };
        changed(scenario, format!("faults {factor} times sooner"), move |s| {
            s.faults.iter_mut().for_each(|fault| fault.when = nearer(fault.when.clone()));
            s.admin.iter_mut().for_each(|step| step.when = nearer(step.when.clone()));
        })
    };
    let is_late = |when: &When<DurationRange>| match when {
        When::At(at) => at.min > warm_up + SECOND / 20,
        When::After { not_before, .. } => not_before.min > warm_up + SECOND / 20,
    };
    let late = scenario.faults.iter().any(|f| is_late(&f.when)) || scenario.admin.iter().any(|a| is_late(&a.when));
    if late { [8, 4, 2].map(by).into() } else { Vec::new() }
}

fn shorter(scenario: &Scenario) -> Vec<Offer> {
    const RUNS: [Nanos; 12] = [1, 2, 3, 5, 8, 10, 12, 15, 20, 25, 30, 45];
    let defaults = Phases::default();
    let mut offered = Vec::new();
    for run in RUNS.map(|seconds| seconds * SECOND).into_iter().filter(|run| *run < scenario.phases.run) {
        offered.push(changed(scenario, format!("a run of {} s", run / SECOND), |s| s.phases.run = run));
    }
    offered.push(changed(scenario, "everybody healed at once", |s| s.phases.core = Core::Everybody));
    // The usual is what a reader need not read.
    offered.push(changed(scenario, "the usual time to heal", |s| s.phases.heal = defaults.heal));
    offered.push(changed(scenario, "the usual time to drain", |s| s.phases.drain = defaults.drain));
    offered
}

fn slower(scenario: &Scenario) -> Vec<Offer> {
    const RATES: [u32; 8] = [1, 2, 5, 10, 20, 50, 100, 200];
    let fastest = scenario.producers.iter().map(|producer| producer.rate).max().unwrap_or(0);
    let all = RATES.into_iter().filter(|rate| *rate < fastest).map(|rate| {
        let change =
            |s: &mut Scenario| s.producers.iter_mut().for_each(|producer| producer.rate = producer.rate.min(rate));
        changed(scenario, format!("{rate} records a second"), change)
    });
    all.collect()
}

/// Records that each of these producers is given.
pub(super) fn records_of(producer: &ProducerSpec, run: Nanos) -> u64 {
    let by_rate = u64::try_from(u128::from(producer.rate) * u128::from(run) / u128::from(SECOND)).unwrap_or(u64::MAX);
    producer.records.map_or(by_rate, |records| records.min(by_rate))
}

fn fewer_records(scenario: &Scenario) -> Vec<Offer> {
    const RECORDS: [u64; 14] = [1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 100, 200, 500, 1_000];
    let run = scenario.phases.run;
    let most = scenario.producers.iter().map(|producer| records_of(producer, run)).max().unwrap_or(0);
    let fewer = RECORDS.into_iter().filter(|records| *records < most).map(|records| {
        let change = |s: &mut Scenario| {
            for producer in s.producers.iter_mut().filter(|producer| records_of(producer, run) > records) {
                producer.records = Some(records);
            }
        };
        changed(scenario, format!("{records} records of each producer"), change)
    });
    let mut offered: Vec<Offer> = fewer.collect();
    // A limit that is never reached says nothing.
    let free = |s: &mut Scenario| {
        for producer in &mut s.producers {
            let unlimited = ProducerSpec { records: None, ..producer.clone() };
            if records_of(&unlimited, run) <= producer.records.unwrap_or(u64::MAX) {
                producer.records = None;
            }
        }
    };
    offered.push(changed(scenario, "no limit that is never reached", free));
    offered.extend(together::records(scenario));
    offered
}

fn fewer_partitions(scenario: &Scenario) -> Vec<Offer> {
    let mut offered = Vec::new();
    if scenario.topics.len() > 1 {
        for gone in scenario.topics.iter().map(|topic| topic.name.clone()) {
            let change = |s: &mut Scenario| {
                s.topics.retain(|topic| topic.name != gone);
                s.producers.iter_mut().for_each(|producer| producer.topics.retain(|topic| *topic != gone));
                s.consumers.iter_mut().for_each(|consumer| consumer.topics.retain(|topic| *topic != gone));
            };
            offered.push(changed(scenario, format!("without topic {gone}"), change));
        }
    }
    let most = scenario.topics.iter().map(|topic| topic.partitions).max().unwrap_or(1);
    for partitions in (1..most).take(4) {
        let change = |s: &mut Scenario| {
            for topic in &mut s.topics {
                topic.partitions = topic.partitions.min(partitions);
                topic.assignments.truncate(partitions as usize);
            }
        };
        offered.push(changed(scenario, format!("{partitions} partitions of each topic"), change));
    }
    let placed_freely = |s: &mut Scenario| s.topics.iter_mut().for_each(|topic| topic.assignments.clear());
    offered.push(changed(scenario, "replicas where the controller puts them", placed_freely));
    offered
}

fn fewer_controllers(scenario: &Scenario) -> Vec<Offer> {
    let fewer = (1..scenario.cluster.controllers).map(|controllers| {
        changed(scenario, format!("{controllers} controllers"), |s| s.cluster.controllers = controllers)
    });
    let mut offered: Vec<Offer> = fewer.collect();
    offered.push(changed(scenario, "controllers apart from brokers", |s| s.cluster.combined = false));
    offered
}

fn fewer_brokers(scenario: &Scenario) -> Vec<Offer> {
    let mut offered = Vec::new();
    for brokers in 1..scenario.cluster.brokers {
        let change = |s: &mut Scenario| {
            s.cluster.brokers = brokers;
            fit_offsets_topic(s);
            let most = i16::try_from(brokers).unwrap_or(i16::MAX);
            for topic in &mut s.topics {
                topic.replication_factor = topic.replication_factor.min(most);
                for replicas in &mut topic.assignments {
                    replicas.retain(|broker| i64::from(*broker) <= i64::from(brokers));
                    replicas.truncate(topic.replication_factor as usize);
                }
                if topic.assignments.iter().any(|replicas| replicas.len() < topic.replication_factor as usize) {
                    topic.assignments.clear();
                }
            }
        };
        offered.push(changed(scenario, format!("{brokers} brokers"), change));
    }
    offered.extend((1..scenario.cluster.brokers as i32).filter_map(|gone| without_broker(scenario, gone)));
    let most = scenario.topics.iter().map(|topic| topic.replication_factor).max().unwrap_or(1);
    for replicas in 1..most {
        let change = |s: &mut Scenario| {
            for topic in &mut s.topics {
                topic.replication_factor = topic.replication_factor.min(replicas);
                topic.assignments.iter_mut().for_each(|of| of.truncate(replicas as usize));
            }
        };
        offered.push(changed(scenario, format!("{replicas} replicas of each partition"), change));
    }
    offered.push(changed(scenario, "no racks", |s| s.cluster.racks.clear()));
    offered
}

/// With fewer brokers than it is to have replicas the topic could never be created, and no group would ever work.
fn fit_offsets_topic(scenario: &mut Scenario) {
    let brokers = i64::from(scenario.cluster.brokers);
    let config = &mut scenario.cluster.config;
    if config.offsets_topic_replication_factor != BrokerConfig::default().offsets_topic_replication_factor {
        config.offsets_topic_replication_factor = config.offsets_topic_replication_factor.min(brokers);
    }
}

/// Without this broker: those behind it move up, wherever they are named. `None` where something else than a replica is
/// said of it.
fn without_broker(scenario: &Scenario, gone: i32) -> Option<Offer> {
    let moved = |id: i32| if id > gone { id - 1 } else { id };
    let is_gone = |target: &Target| *target == Target::Broker(gone);
    let of_peer = |peer: &Peer| matches!(peer, Peer::Node(target) if is_gone(target));
    let named = scenario.faults.iter().any(|fault| {
        is_gone(&fault.target) || fault.kind.peers().iter().any(of_peer) || is_of_broker(&fault.when, gone)
    });
    let asked = scenario.admin.iter().any(|step| is_of_broker(&step.when, gone) || may_name_brokers(&step.action));
    if named || asked || scenario.cluster.combined {
        return None;
    }
    let rename_in_trigger = move |when: &mut When<DurationRange>| {
        if let When::After { trigger, .. } = when
            && let Some(Ok(Target::Broker(id))) = trigger.node.as_deref().map(parse_target)
        {
            trigger.node = Some(Target::Broker(moved(id)).to_string());
        }
    };
    let rename = move |target: &mut Target| {
        if let Target::Broker(id) = target {
            *id = moved(*id);
        }
    };
    Some(changed(scenario, format!("without broker {gone}"), |s| {
        s.cluster.brokers -= 1;
        fit_offsets_topic(s);
        for topic in &mut s.topics {
            for replicas in &mut topic.assignments {
                replicas.retain(|broker| *broker != gone);
                replicas.iter_mut().for_each(|broker| *broker = moved(*broker));
            }
            let least = topic.assignments.iter().map(Vec::len).min().and_then(|least| i16::try_from(least).ok());
            let brokers = i16::try_from(s.cluster.brokers).unwrap_or(i16::MAX);
            topic.replication_factor = topic.replication_factor.min(least.unwrap_or(brokers)).min(brokers);
            let replication_factor = topic.replication_factor as usize;
            topic.assignments.iter_mut().for_each(|replicas| replicas.truncate(replication_factor));
        }
        s.admin.iter_mut().for_each(|step| rename_in_trigger(&mut step.when));
        for fault in &mut s.faults {
            rename(&mut fault.target);
            rename_in_trigger(&mut fault.when);
            if let FaultKind::Cut { peers, .. } | FaultKind::SlowLink { peers, .. } = &mut fault.kind {
                for peer in peers {
                    if let Peer::Node(target) = peer {
                        rename(target);
                    }
                }
            }
        }
    }))
}

/// Does it wait for an event on this broker?
fn is_of_broker(when: &When<DurationRange>, broker: i32) -> bool {
    let on = |node: &str| parse_target(node) == Ok(Target::Broker(broker));
    matches!(when, When::After { trigger, .. } if trigger.node.as_deref().is_some_and(on))
}

/// Replicas, or the configs of one broker.
fn may_name_brokers(action: &AdminAction) -> bool {
    match action {
        AdminAction::CreateTopic(topic) => !topic.assignments.is_empty(),
        AdminAction::AlterConfig { .. } | AdminAction::Reassign { .. } => true,
        _ => false,
    }
}

fn fewer_switches(scenario: &Scenario) -> Vec<Offer> {
    let on = trial_kafka::zoo::Switch::ALL.into_iter().filter(|switch| scenario.zoo.on(*switch));
    let without = |gone: trial_kafka::zoo::Switch| {
        let rest = trial_kafka::zoo::Switch::ALL.into_iter().filter(|s| *s != gone && scenario.zoo.on(*s)).collect();
        changed(scenario, format!("without the switch {gone}"), |s| s.zoo = rest)
    };
    on.map(without).collect()
}

fn surroundings(scenario: &Scenario) -> Vec<Offer> {
    let mut offered = vec![
        changed(scenario, "the usual network", |s| s.network = Network::default()),
        changed(scenario, "the usual disks", |s| s.disk = DiskModel::default()),
        changed(scenario, "no keys", |s| s.producers.iter_mut().for_each(|producer| producer.keys = None)),
        changed(scenario, "values of 100 bytes", |s| s.producers.iter_mut().for_each(|p| p.value_bytes = 100)),
    ];
    let simple = |consumer: &mut ConsumerSpec| {
        (consumer.start, consumer.seek) = (None, None);
        consumer.poll_interval = 100_000_000;
    };
    offered.push(changed(scenario, "consumers that go nowhere else", |s| s.consumers.iter_mut().for_each(simple)));
    for nth in 0..scenario.consumers.len() {
        let one = |what: &str, change: &dyn Fn(&mut ConsumerSpec)| {
            changed(scenario, format!("consumer {}: {what}", nth + 1), |s| change(&mut s.consumers[nth]))
        };
        offered.push(one("there from the start, for good", &|consumer| {
            (consumer.join_at, consumer.leave_at) = (None, None)
        }));
        offered.push(one("there for good", &|consumer| consumer.leave_at = None));
        offered.push(one("there from the start", &|consumer| consumer.join_at = None));
        offered.push(one("processes at once", &|consumer| consumer.processing = DurationRange::exactly(0)));
    }
    offered
}

/// Faults named by their places, and the seed that holds when none is given.
fn names(case: &Case) -> Vec<Candidate> {
    let renamed = |s: &mut Scenario| (1..).zip(&mut s.faults).for_each(|(id, fault)| fault.id = id);
    let (what, scenario) = changed(&case.scenario, "faults named by their places", renamed);
    let mut offered = Vec::new();
    if scenario != case.scenario {
        offered.push(Candidate { what, case: Case { scenario, seed: case.seed } });
    }
    if case.seed != 1 {
        let what = "seed 1".to_owned();
        offered.push(Candidate { what, case: Case { scenario: case.scenario.clone(), seed: 1 } });
    }
    offered
}
