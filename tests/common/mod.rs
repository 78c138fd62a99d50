//! What whole-system tests share.

use std::sync::Arc;

use trial_sim::scenario::{self, Scenario};
use trial_sim::trial::{self, Report};
use trial_sim::world::Unwatched;

/// A built-in scenario, with overrides as `--set` takes them.
pub fn built_in(name: &str, overrides: &[&str]) -> Arc<Scenario> {
    let (_, text) =
        scenario::builtin().iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no scenario {name}"));
    let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_string()).collect();
    Arc::new(scenario::parse(name, text, &overrides).unwrap_or_else(|e| panic!("{e}")))
}

/// Runs one seed.
pub fn run(scenario: &Arc<Scenario>, seed: u64) -> Report {
    trial::run(scenario, seed, &mut Unwatched)
}

/// Runs seeds on two threads and hands the reports out in order of seed.
pub fn run_all(scenario: &Arc<Scenario>, seeds: std::ops::RangeInclusive<u64>) -> Vec<Report> {
    let (first, last) = (*seeds.start(), *seeds.end());
    let half = |offset: u64| {
        let scenario = Arc::clone(scenario);
        move || -> Vec<Report> { (first..=last).filter(|s| s % 2 == offset).map(|s| run(&scenario, s)).collect() }
    };
    let mut reports = std::thread::scope(|scope| {
        let (a, b) = (scope.spawn(half(0)), scope.spawn(half(1)));
        let mut all = a.join().expect("a trial does not panic");
        all.extend(b.join().expect("a trial does not panic"));
        all
    });
    reports.sort_by_key(|r| r.seed);
    reports
}

/// The line that runs this again.
pub fn reproduce(report: &Report, overrides: &[&str]) -> String {
    let set: String = overrides.iter().map(|o| format!(" --set {o}")).collect();
    format!("trial run {} --seed {}{set}", report.scenario, report.seed)
}
