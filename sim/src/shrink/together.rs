//! What goes together only: two faults that one can stand for, and records with all that is measured in them.

use trial_kafka::config::{BrokerConfig, ConfigValue, ConsumerConfig, ProducerConfig, TopicConfig};

use super::passes::{Offer, changed, records_of};
use crate::fault::{FaultKind, FaultSpec, Peer, Target, When};
use crate::scenario::{AdminAction, DurationRange, Scenario};

/// Two faults as one: of several controllers at the same instant; of one target, that is cut off from all that the two cut
/// it off from, or is down from the first to the end of the second.
pub(super) fn faults(scenario: &Scenario) -> Vec<Offer> {
    let mut offered = Vec::new();
    for (second, b) in scenario.faults.iter().enumerate() {
        for (first, a) in scenario.faults.iter().enumerate().take(second) {
            for one in one_for_both(a, b) {
                let what = format!("faults {} and {} as one: {}", first + 1, second + 1, one.target);
                offered.push(changed(scenario, what, |s| {
                    s.faults[first] = one;
                    s.faults.remove(second);
                }));
            }
        }
    }
    offered
}

fn one_for_both(a: &FaultSpec, b: &FaultSpec) -> Vec<FaultSpec> {
    let mut ones: Vec<FaultSpec> = Vec::new();
    let mut offer = |when: &When<DurationRange>, target: &Target, kind: FaultKind<DurationRange>| {
        let one = FaultSpec { id: a.id, when: when.clone(), target: target.clone(), kind };
        if !ones.contains(&one) {
            ones.push(one);
        }
    };
    if a.target == b.target {
        for kind in one_kind(a, b) {
            offer(&a.when, &a.target, kind.clone());
            offer(&b.when, &a.target, kind);
        }
    } else if a.kind.kind_name() == b.kind.kind_name()
        && let Some(both) = both_controllers(&a.target, &b.target)
    {
        for when in [&a.when, &b.when] {
            for kind in [&a.kind, &b.kind] {
                offer(when, &both, kind.clone());
            }
        }
    }
    ones
}

fn both_controllers(a: &Target, b: &Target) -> Option<Target> {
    let named = |target: &Target| match target {
        Target::Controller(id) => Some(vec![*id]),
        Target::TheseControllers(ids) => Some(ids.clone()),
        _ => None,
    };
    let mut ids = named(a)?;
    ids.extend(named(b)?);
    ids.sort_unstable();
    ids.dedup();
    Some(Target::TheseControllers(ids))
}

/// What does to one target about as much as these two do.
fn one_kind(a: &FaultSpec, b: &FaultSpec) -> Vec<FaultKind<DurationRange>> {
    let ends = |of_a: Option<DurationRange>, of_b: Option<DurationRange>| {
        let until_b_ends = of_b.map(|of_b| match (&a.when, &b.when) {
            (When::At(from), When::At(to)) => DurationRange::exactly((to.max + of_b.max).saturating_sub(from.min)),
            _ => of_b,
        });
        let longer = until_b_ends.zip(of_a).map(|(b, a)| if b.max < a.max { a } else { b });
        [None, longer, of_a, of_b]
    };
    match (&a.kind, &b.kind) {
        (
            FaultKind::Cut { peers, direction, lasts },
            FaultKind::Cut { peers: others, direction: other_direction, lasts: others_last },
        ) if direction == other_direction => {
            let peers = all_peers(peers, others);
            let cut = |lasts| FaultKind::Cut { peers: peers.clone(), direction: *direction, lasts };
            ends(*lasts, *others_last).into_iter().map(cut).collect()
        }
        (FaultKind::Crash { restart_after: of_a }, FaultKind::Crash { restart_after: of_b }) => {
            ends(*of_a, *of_b).into_iter().map(|restart_after| FaultKind::Crash { restart_after }).collect()
        }
        (
            FaultKind::Crash { restart_after: of_a } | FaultKind::PowerLoss { restart_after: of_a },
            FaultKind::Crash { restart_after: of_b } | FaultKind::PowerLoss { restart_after: of_b },
        ) => ends(*of_a, *of_b).into_iter().map(|restart_after| FaultKind::PowerLoss { restart_after }).collect(),
        _ => Vec::new(),
    }
}

fn all_peers(some: &[Peer], others: &[Peer]) -> Vec<Peer> {
    let mut all = some.to_vec();
    all.extend(others.iter().filter(|peer| !some.contains(peer)).cloned());
    if all.contains(&Peer::Everyone) { vec![Peer::Everyone] } else { all }
}

/// Configs that say how many records or bytes of records it takes for something to happen, by their names.
const MEASURED_IN_RECORDS: [&str; 13] = [
    "batch.size",
    "flush.messages",
    "log.flush.interval.messages",
    "log.index.interval.bytes",
    "log.retention.bytes",
    "log.segment.bytes",
    "max.partition.fetch.bytes",
    "max.poll.records",
    "offsets.load.buffer.size",
    "offsets.topic.segment.bytes",
    "replica.fetch.max.bytes",
    "retention.bytes",
    "segment.bytes",
];

/// Fewer records, and fewer of all that is measured in records: sizes of segments, the offset below which an administrator
/// deletes. Either they are as many times slower, or they come as fast as they did and end sooner.
pub(super) fn records(scenario: &Scenario) -> Vec<Offer> {
    let run = scenario.phases.run;
    let records = |s: &Scenario| -> u64 { s.producers.iter().map(|producer| records_of(producer, run)).sum() };
    let mut offered = Vec::new();
    for times in [50_u32, 20, 10, 5, 2] {
        let (_, with_less) = changed(scenario, "", |s| measured(s, times));
        offered.push(changed(&with_less, format!("{times} times slower, with all that is measured in records"), |s| {
            for producer in &mut s.producers {
                producer.rate = (producer.rate / times).max(1);
                producer.records = producer.records.map(|records| (records / u64::from(times)).max(1));
            }
        }));
        // Where nothing is measured in them, fewer records are offered anyhow.
        if with_less != *scenario {
            let what = format!("{times} times fewer records, with all that is measured in them");
            offered.push(changed(&with_less, what, |s| {
                for producer in &mut s.producers {
                    producer.records = Some((records_of(producer, run) / u64::from(times)).max(1));
                }
            }));
        }
    }
    offered.retain(|(_, smaller)| records(smaller) < records(scenario));
    offered
}

fn measured(scenario: &mut Scenario, times: u32) {
    let less = |value: Option<ConfigValue>, default: Option<ConfigValue>| match value {
        Some(ConfigValue::Int(value)) if value > 1 && Some(ConfigValue::Int(value)) != default => {
            Some(ConfigValue::Int((value / i64::from(times)).max(1)))
        }
        _ => None,
    };
    // What stands at its default is nothing that somebody made small enough for these records.
    macro_rules! all_of {
        ($configs:expr, $kind:ty) => {
            for config in $configs {
                for name in MEASURED_IN_RECORDS {
                    if let Some(less) = less(config.get(name), <$kind>::default().get(name)) {
                        // A value that a config does not take stays as it was.
                        let _ = config.set(name, &less);
                    }
                }
            }
        };
    }
    all_of!([&mut scenario.cluster.config], BrokerConfig);
    all_of!(scenario.topics.iter_mut().map(|topic| &mut topic.config), TopicConfig);
    all_of!(scenario.producers.iter_mut().map(|producer| &mut producer.config), ProducerConfig);
    all_of!(scenario.consumers.iter_mut().map(|consumer| &mut consumer.config), ConsumerConfig);
    for step in &mut scenario.admin {
        if let AdminAction::DeleteRecords { before: Some(before), .. } = &mut step.action {
            *before = (*before / i64::from(times)).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;
    use crate::shrink::Case;

    fn scenario(rest: &str) -> Scenario {
        let text = format!(
            r#"
            format = 1
            run = "20s"
            [cluster]
            brokers = 1
            controllers = 3
            log.segment.bytes = 4000
            [[topic]]
            name = "orders"
            partitions = 1
            replication.factor = 1
            [[producer]]
            topics = ["orders"]
            rate = 10
            records = 100
            {rest}
            "#
        );
        parse("together", &text, &[]).expect("it is a scenario")
    }

    fn legal(offered: Vec<Offer>) -> Vec<Scenario> {
        let cases = offered.into_iter().map(|(_, scenario)| Case { scenario, seed: 1 });
        cases.filter(|case| case.legal().is_some()).map(|case| case.scenario).collect()
    }

    #[test]
    fn controllers_that_fail_at_one_moment_are_one_fault() {
        let text = |target| {
            format!("[[fault]]\nkind = 'crash'\ntarget = '{target}'\nafter = 'metadata-high-watermark on c1'\n")
        };
        let offered = legal(faults(&scenario(&(text("c3") + &text("c1")))));
        let [one] = offered.as_slice() else { panic!("{offered:?}") };
        assert_eq!(one.faults, scenario(&text("c1 and c3")).faults);
    }

    #[test]
    fn two_cuts_of_one_target_are_one_from_all() {
        let text =
            |peers, rest| format!("[[fault]]\nkind = 'cut'\ntarget = 'c3'\nat = '5s'\npeers = {peers}\n{rest}\n");
        let two = text("['c1']", "lasts = '2s'") + &text("['c2', 'c1']", "lasts = '4s'");
        let ends = legal(faults(&scenario(&two))).into_iter().map(|s| s.faults);
        let wanted = ["", "lasts = '4s'", "lasts = '2s'"].map(|lasts| scenario(&text("['c1', 'c2']", lasts)).faults);
        assert_eq!(ends.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn who_fails_twice_may_be_down_in_between() {
        let text = |kind, at, down| {
            format!("[[fault]]\nkind = '{kind}'\ntarget = 'b1'\nat = '{at}'\nrestart-after = '{down}'\n")
        };
        let twice = scenario(&(text("crash", "5s", "1s") + &text("power-loss", "10s", "2s")));
        let once = scenario(&text("power-loss", "5s", "7s"));
        assert!(legal(faults(&twice)).iter().any(|offered| offered.faults == once.faults));
    }

    #[test]
    fn what_is_measured_in_records_is_less_where_they_are_fewer() {
        let delete = |before| {
            format!("[[admin]]\nat = '9s'\ndo = 'delete-records'\ntopic = 'orders'\npartition = 0\nbefore = {before}")
        };
        let offered = legal(records(&scenario(&delete(100))));
        let mut wanted = scenario(&delete(10));
        wanted.cluster.config.log_segment_bytes = 400;
        wanted.producers[0].records = Some(10);
        assert!(offered.contains(&wanted), "as fast, and sooner over: {offered:?}");
        wanted.producers[0].rate = 1;
        assert!(offered.contains(&wanted), "slower: {offered:?}");
        let untouched = BrokerConfig::default().log_index_interval_bytes;
        assert!(offered.iter().all(|s| s.cluster.config.log_index_interval_bytes == untouched));
    }

    #[test]
    fn all_that_is_measured_in_records_is_a_config() {
        let keys = [BrokerConfig::KEYS, TopicConfig::KEYS, ProducerConfig::KEYS, ConsumerConfig::KEYS];
        for name in MEASURED_IN_RECORDS {
            assert!(keys.iter().any(|keys| keys.iter().any(|key| key.name == name)), "{name}");
        }
    }
}
