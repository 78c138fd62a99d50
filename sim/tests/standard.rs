//! The busy scenario over some seeds: nothing is found, and the states that it is for are reached as often as promised.
//!
//! `TRIAL_SEEDS=1000 cargo test --release -p trial-sim --test standard -- --nocapture` runs more seeds and prints the sums.

use std::sync::Arc;

use trial_checker::Class;
use trial_sim::campaign::Campaign;
use trial_sim::scenario::{builtin, parse};
use trial_sim::trial;
use trial_sim::world::Unwatched;

fn seeds() -> u64 {
    std::env::var("TRIAL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(24)
}

#[test]
fn the_busy_scenario_finds_nothing_and_reaches_what_it_is_for() {
    let text = builtin().iter().find(|(name, _)| *name == "standard").expect("it is built in").1;
    let scenario = Arc::new(parse("standard.toml", text, &[]).unwrap_or_else(|error| panic!("{error}")));
    let mut sum = Campaign::default();
    for seed in 1..=seeds() {
        let report = trial::run(&scenario, seed, &mut Unwatched);
        assert_eq!(report.count(Class::Bug, "stuck"), 0, "seed {seed}: {:?}", report.verdict.groups);
        assert!(!report.failed() && !report.is_vacuous(), "seed {seed}: {:?}", report.verdict.groups);
        sum.add(Campaign::of(&report));
    }
    let happened: Vec<_> = sum.coverage.iter().filter(|(_, n)| **n > 0).collect();
    println!("{} trials: {happened:?}", sum.trials);
    println!("partition leaders elected: {:?}, controllers: {:?}", sum.leader_elections, sum.controller_elections);
    // Of few seeds half of what is promised of many, as luck has it.
    let (share, of) = if sum.trials >= 500 { (1, 1) } else { (1, 2) };
    let reaches = |counter: &str, percent: u64| {
        let trials = sum.coverage[counter];
        assert!(trials * 100 * of >= percent * sum.trials * share, "{counter}: {trials} of {} trials", sum.trials);
    };
    reaches("trials_that_truncated_a_diverging_tail", 30);
    reaches("trials_with_an_isr_of_one", 20);
    reaches("trials_that_lost_unsynced_records", 20);
    assert!(sum.median_leader_elections() * of >= 3 * share, "{:?}", sum.leader_elections);
    assert!(sum.median_controller_elections() >= 2, "{:?}", sum.controller_elections);
    assert!(sum.coverage["acked_sends"] >= 30_000 * sum.trials, "500 records a second are acknowledged");
}
