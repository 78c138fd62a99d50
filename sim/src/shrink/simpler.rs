//! Simpler values: configs at their defaults, faults that say less, times with fewer digits.

use trial_kafka::config::{BrokerConfig, ConfigKey, ConsumerConfig, ProducerConfig, TopicConfig};
use trial_kafka::node::Nanos;

use super::passes::{Offer, changed};
use crate::fault::{CountRange, Direction, FaultKind, FaultSpec, Peer, When};
use crate::scenario::{DurationRange, Scenario};

/// All configs of a section at their defaults, then each alone.
pub(super) fn default_configs(scenario: &Scenario) -> Vec<Offer> {
    let mut offered =
        vec![changed(scenario, "no configs of the brokers", |s| s.cluster.config = BrokerConfig::default())];
    let (brokers, topics) = (BrokerConfig::default(), TopicConfig::default());
    let (producers, consumers) = (ProducerConfig::default(), ConsumerConfig::default());
    let unless_default = |differs: bool, key: &ConfigKey, change: &dyn Fn(&mut Scenario)| {
        differs.then(|| changed(scenario, format!("{} by default", key.name), change))
    };
    for key in BrokerConfig::KEYS {
        let differs = scenario.cluster.config.get(key.name) != brokers.get(key.name);
        offered.extend(unless_default(differs, key, &|s| s.cluster.config.reset(key.name)));
    }
    for (nth, topic) in scenario.topics.iter().enumerate() {
        for key in TopicConfig::KEYS {
            let differs = topic.config.get(key.name) != topics.get(key.name);
            offered.extend(unless_default(differs, key, &|s| s.topics[nth].config.reset(key.name)));
        }
    }
    for (nth, producer) in scenario.producers.iter().enumerate() {
        for key in ProducerConfig::KEYS {
            let differs = producer.config.get(key.name) != producers.get(key.name);
            offered.extend(unless_default(differs, key, &|s| s.producers[nth].config.reset(key.name)));
        }
    }
    for (nth, consumer) in scenario.consumers.iter().enumerate() {
        for key in ConsumerConfig::KEYS {
            let differs = consumer.config.get(key.name) != consumers.get(key.name);
            offered.extend(unless_default(differs, key, &|s| s.consumers[nth].config.reset(key.name)));
        }
    }
    offered
}

/// Each fault with less to say: until it is healed instead of for a time, at once, everywhere, on the first event.
pub(super) fn faults(scenario: &Scenario) -> Vec<Offer> {
    let mut offered = Vec::new();
    for (nth, fault) in scenario.faults.iter().enumerate() {
        let simple = |what: &str, change: &dyn Fn(&mut FaultSpec)| {
            changed(scenario, format!("fault {}: {what}", nth + 1), |s| change(&mut s.faults[nth]))
        };
        offered.push(simple("until it is healed", &|fault| fault.kind = until_healed(fault.kind.clone())));
        if let FaultKind::PowerLoss { restart_after } = fault.kind {
            offered.push(simple("a crash", &move |fault| fault.kind = FaultKind::Crash { restart_after }));
        }
        offered.push(simple("everywhere, both ways", &|fault| {
            if let FaultKind::Cut { peers, direction, .. } | FaultKind::SlowLink { peers, direction, .. } =
                &mut fault.kind
            {
                (*peers, *direction) = (vec![Peer::Everyone], Direction::Both);
            }
            if let FaultKind::SlowLink { purpose, .. } = &mut fault.kind {
                *purpose = None;
            }
        }));
        let warm_up = scenario.phases.warm_up;
        for (what, from_the_start, first, at_once) in [
            ("on the first event, at once", true, true, true),
            ("counted from the start", true, false, false),
            ("on the first event", false, true, false),
            ("at once", false, false, true),
        ] {
            offered.push(simple(what, &|fault| {
                let When::After { not_before, occurrence, delay, .. } = &mut fault.when else { return };
                if from_the_start {
                    *not_before = DurationRange::exactly(warm_up);
                }
                if first {
                    *occurrence = CountRange::exactly(1);
                }
                if at_once {
                    *delay = DurationRange::exactly(0);
                }
            }));
        }
    }
    offered
}

/// The same fault without an end of its own, for kinds that may do without.
fn until_healed(kind: FaultKind<DurationRange>) -> FaultKind<DurationRange> {
    let mut kind = kind;
    match &mut kind {
        FaultKind::Crash { restart_after: end }
        | FaultKind::PowerLoss { restart_after: end }
        | FaultKind::ReplaceDisk { restart_after: end }
        | FaultKind::RestoreDisk { restart_after: end, .. }
        | FaultKind::DiskFails { restart_after: end, .. }
        | FaultKind::Pause { lasts: end }
        | FaultKind::Cut { lasts: end, .. }
        | FaultKind::SlowLink { lasts: end, .. }
        | FaultKind::SlowDisk { lasts: end, .. }
        | FaultKind::StallDisk { lasts: end }
        | FaultKind::SlowFetch { lasts: end, .. }
        | FaultKind::LostSync { lasts: end }
        | FaultKind::LateMetadata { lasts: end, .. } => *end = None,
        FaultKind::CleanRestart { .. } | FaultKind::ClockJump { .. } => {}
    }
    kind
}

/// Each fault, and each step of the administrator, with times of fewer digits: whole seconds, tenths, hundredths, milliseconds.
pub(super) fn round_times(scenario: &Scenario) -> Vec<Offer> {
    const UNITS: [(Nanos, &str); 4] = [
        (1_000_000_000, "whole seconds"),
        (100_000_000, "tenths of seconds"),
        (10_000_000, "hundredths"),
        (1_000_000, "milliseconds"),
    ];
    let mut offered = Vec::new();
    for (unit, name) in UNITS {
        let round = |range: DurationRange| {
            let nearest = |time: Nanos| time.saturating_add(unit / 2) / unit * unit;
            // Nothing is rounded away: a delay of 3 ms is not none.
            let near = |time: Nanos| if nearest(time) == 0 { time } else { nearest(time) };
            DurationRange { min: near(range.min), max: near(range.max) }
        };
        for nth in 0..scenario.faults.len() {
            offered.push(changed(scenario, format!("fault {} in {name}", nth + 1), |s| {
                let fault = &mut s.faults[nth];
                fault.when = fault.when.clone().map(round);
                fault.kind = fault.kind.clone().map(&mut |range| round(range));
            }));
        }
        for nth in 0..scenario.admin.len() {
            offered.push(changed(scenario, format!("step {} of the administrator in {name}", nth + 1), |s| {
                s.admin[nth].when = s.admin[nth].when.clone().map(round);
            }));
        }
    }
    offered
}
