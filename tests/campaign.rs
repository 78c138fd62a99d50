//! A short campaign: seeds of every scenario with safe settings give no BUG and are not vacuous; the zoo's switches are
//! found with the code they must have, and nothing else is.

use trial_checker::{Class, Outcome};
use trial_kafka::zoo::Switch;
use trial_tests::{built_in, reproduce, run, run_all};

/// Scenarios whose settings promise that nothing acknowledged is lost.
const SAFE: &[&str] = &[
    "healthy",
    "leader-crash",
    "leader-isolated",
    "slow-follower",
    "retry-storm",
    "retry-storm-idempotent",
    "rolling-restart",
    "power-loss-one",
    "chaos",
    "controller-failover",
    "controller-minority",
    "controller-majority-lost",
    "flapping-voter",
    "one-way-cut-leader",
    "metadata-lag",
    "topic-recreated",
    "closest-replica",
    "last-in-sync-replica-elr",
    "quorum-chaos",
    "kip-101",
    "kip-903",
    "under-min-isr",
    "hw-lag",
    "voter-replaced",
    "consumer-crash",
    "at-least-once",
    "at-most-once",
    "rebalance-storm",
    "zombie-commit",
    "static-bounce",
    "coordinator-failover",
    "more-members-than-partitions",
    "one-partition-one-consumer",
    "queue-and-topic",
    "cooperative-vs-eager",
    "pattern-subscription",
    "groups",
];
/// Scenarios whose settings permit loss: it must be ALLOWED, by a rule.
const PERMITTING: &[(&str, &[&str])] = &[
    ("power-loss-rack", &["all-replicas-unclean", "last-known-leader"]),
    ("unclean-election", &["unclean-election"]),
    ("last-in-sync-replica", &["last-replica-standing"]),
    ("unclean-recovery", &["last-known-leader"]),
    ("kip-279", &["acks-1"]),
    ("kip-320", &["acks-1"]),
    ("kip-320-consumer", &["acks-1", "unclean-election"]),
    ("zombie-leader", &["acks-1"]),
];

#[test]
fn safe_settings_give_no_bug_and_no_vacuous_run() {
    for name in SAFE {
        for report in run_all(&built_in(name, &[]), 1..=16) {
            let again = reproduce(&report, &[]);
            assert_eq!(
                report.verdict.outcome,
                Outcome::Pass,
                "{again}: {:?} {:?}",
                report.verdict.groups,
                report.verdict.vacuous_because
            );
            assert!(report.unmet.is_empty(), "{again}: {:?}", report.unmet);
            assert_eq!(report.count(Class::Allowed, "lost-write"), 0, "{again}: {:?}", report.verdict.groups);
            assert_eq!(report.count(Class::Unknown, "lost-write"), 0, "{again}: {:?}", report.verdict.groups);
        }
    }
}

#[test]
fn settings_that_permit_loss_name_the_rule() {
    for (name, rules) in PERMITTING {
        let mut lost = 0;
        for report in run_all(&built_in(name, &[]), 1..=16) {
            let again = reproduce(&report, &[]);
            assert_eq!(
                report.verdict.outcome,
                Outcome::Pass,
                "{again}: {:?} {:?}",
                report.verdict.groups,
                report.verdict.vacuous_because
            );
            for group in report.verdict.groups.iter().filter(|g| g.code == "lost-write") {
                assert!(group.rule.is_some_and(|rule| rules.contains(&rule)), "{again}: {group:?}");
                lost += group.count;
            }
        }
        assert!(lost > 0, "{name} lost nothing in 16 seeds");
    }
}

#[test]
fn every_switch_of_the_zoo_is_found_and_its_scenario_is_healthy_without_it() {
    for switch in Switch::ALL {
        let name = format!("zoo-{switch}");
        let scenario = built_in(&name, &[]);
        assert!(scenario.zoo.on(switch), "{name} turns its switch on");
        let mut found = false;
        // A negative control is harmless in as many seeds as have time.
        for seed in 1..=if switch.is_harmless() { 40 } else { 200 } {
            let report = run(&scenario, seed);
            for group in report.verdict.groups.iter().filter(|g| g.class == Class::Bug) {
                let known = switch.must_any().contains(&group.code) || switch.may().contains(&group.code);
                assert!(known, "{}: {group:?} is not what {switch} causes", reproduce(&report, &[]));
                found |= switch.must_any().contains(&group.code);
            }
            if found {
                break;
            }
        }
        assert!(found || switch.is_harmless(), "{switch} was not found in 200 seeds");
        for report in run_all(&built_in(&name, &["zoo=[]"]), 1..=10) {
            assert_ne!(
                report.verdict.outcome,
                Outcome::Fail,
                "{} without its switch: {:?}",
                reproduce(&report, &["zoo=[]"]),
                report.verdict.groups
            );
        }
    }
}

/// Each says in which rule it trusts: without that rule it fails.
#[test]
fn the_scenarios_named_after_kips_fail_without_their_rule() {
    for (name, switch) in [
        ("kip-101", "truncate-to-hw"),
        ("kip-279", "epoch-answer-without-epoch"),
        ("kip-320", "truncate-from-other-epoch"),
        ("kip-903", "no-broker-epoch-check"),
    ] {
        let scenario = built_in(name, &[&format!("zoo=[\"{switch}\"]")]);
        assert!((1..=100).any(|seed| run(&scenario, seed).failed()), "{name} does not mind {switch}");
    }
}

/// `TRIAL_SEED=… cargo test` runs any seed.
#[test]
fn a_seed_of_your_choice() {
    let seed = std::env::var("TRIAL_SEED").ok().map_or(1, |text| text.parse().expect("TRIAL_SEED is a whole number"));
    for name in ["chaos", "leader-crash"] {
        let report = run(&built_in(name, &[]), seed);
        assert!(!report.failed(), "{}   # {:?} {:?}", reproduce(&report, &[]), report.verdict.groups, report.unmet);
    }
}
