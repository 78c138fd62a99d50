//! The scenarios about consumers, each over some seeds: nothing is found that must not be, and what the scenario is about
//! does happen.
//!
//! `TRIAL_SEEDS=50 cargo test -p trial-sim --test consumer_scenarios -- --nocapture` runs more seeds and prints them.

use std::sync::Arc;

use trial_checker::Class;
use trial_sim::scenario::{builtin, parse};
use trial_sim::trial::{self, Report};
use trial_sim::world::Unwatched;

fn reports(name: &str, overrides: &[&str]) -> Vec<Report> {
    let seeds = std::env::var("TRIAL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4);
    let text = builtin().iter().find(|(other, _)| *other == name).expect("it is built in").1;
    let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
    let scenario = Arc::new(parse(&format!("{name}.toml"), text, &overrides).unwrap_or_else(|e| panic!("{e}")));
    let run = |seed| {
        let report = trial::run(&scenario, seed, &mut Unwatched);
        println!("{name} {overrides:?}, seed {seed}: {:?} {:?}", report.verdict.outcome, report.verdict.groups);
        println!("  {:?}", report.verdict.counters.iter().filter(|(_, n)| **n > 0).collect::<Vec<_>>());
        report
    };
    (1..=seeds).map(run).collect()
}
fn counted(reports: &[Report], counter: &str) -> usize {
    reports.iter().filter(|r| r.verdict.counters.get(counter).is_some_and(|n| *n > 0)).count()
}

#[test]
fn consumers_read_from_the_replica_in_their_rack() {
    let reports = reports("closest-replica", &[]);
    for report in &reports {
        assert!(!report.failed() && !report.is_vacuous(), "seed {}: {:?}", report.seed, report.verdict.groups);
    }
    assert_eq!(counted(&reports, "read_replicas_chosen"), reports.len());
}

#[test]
fn a_consumer_finds_out_that_what_it_read_was_cut_off() {
    let reports = reports("kip-320-consumer", &[]);
    for report in &reports {
        assert!(!report.failed() && !report.is_vacuous(), "seed {}: {:?}", report.seed, report.verdict.groups);
    }
    assert!(counted(&reports, "consumer_truncations") * 2 >= reports.len(), "it is what the scenario is about");
}

#[test]
fn without_validation_it_does_not_and_goes_over_records() {
    let reports = reports("kip-320-consumer", &["zoo=silent-consumer-truncation"]);
    assert_eq!(counted(&reports, "consumer_truncations"), 0);
    let skipping = reports.iter().filter(|r| r.count(Class::Bug, "poll-skip") > 0).count();
    assert!(skipping * 2 >= reports.len(), "only {skipping} of {} runs", reports.len());
}
