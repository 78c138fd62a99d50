//! The scenarios about groups, each over some seeds: nothing is found that must not be, and what the scenario is about does
//! happen.
//!
//! `TRIAL_SEEDS=50 cargo test -p trial-sim --test group_scenarios -- --nocapture` runs more seeds and prints them.

use std::sync::Arc;

use trial_checker::Class;
use trial_sim::describe::groups;
use trial_sim::scenario::{builtin, parse};
use trial_sim::trial::{self, Report};
use trial_sim::world::{Unwatched, World};

fn scenario(name: &str, overrides: &[&str]) -> Arc<trial_sim::scenario::Scenario> {
    let text = builtin().iter().find(|(other, _)| *other == name).expect("it is built in").1;
    let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
    Arc::new(parse(&format!("{name}.toml"), text, &overrides).unwrap_or_else(|e| panic!("{e}")))
}

/// Trials of some seeds, none of which may fail.
fn reports(name: &str, overrides: &[&str]) -> Vec<Report> {
    let seeds = std::env::var("TRIAL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4);
    let scenario = scenario(name, overrides);
    let run = |seed| {
        let report = trial::run(&scenario, seed, &mut Unwatched);
        println!("{name} {overrides:?}, seed {seed}: {:?} {:?}", report.verdict.outcome, report.verdict.groups);
        println!("  {:?}", report.verdict.counters.iter().filter(|(_, n)| **n > 0).collect::<Vec<_>>());
        assert!(!report.failed() && !report.is_vacuous(), "{name} seed {seed}: {:?}", report.verdict.groups);
        report
    };
    (1..=seeds).map(run).collect()
}

fn sum(reports: &[Report], counter: &str) -> u64 {
    reports.iter().map(|report| report.verdict.counters.get(counter).copied().unwrap_or(0)).sum()
}

#[test]
fn a_crash_repeats_records_or_loses_them_as_the_commit_comes_after_or_before() {
    let after = reports("consumer-crash", &[]);
    assert!(sum(&after, "records_processed_again") > 0);
    assert_eq!(sum(&after, "records_skipped"), 0, "at least once loses nothing");
    let before = reports("consumer-crash", &["consumer.commit=before"]);
    assert!(sum(&before, "records_skipped") > 0);
    assert_eq!(sum(&before, "records_processed_again"), 0, "at most once repeats nothing");
    assert!(before.iter().any(|report| report.count(Class::Allowed, "group-skip") > 0));
}

#[test]
fn a_zombie_is_refused_and_what_it_held_is_processed_by_another() {
    let reports = reports("zombie-commit", &[]);
    assert!(sum(&reports, "commits_refused") > 0);
    assert!(sum(&reports, "records_processed_again") > 0);
}

#[test]
fn a_static_member_that_comes_back_in_time_disturbs_nobody() {
    let named = sum(&reports("static-bounce", &[]), "rebalances");
    let nameless = sum(&reports("static-bounce", &["consumer.group.instance.id="]), "rebalances");
    assert!(named * 3 <= nameless * 2, "{named} rebalances with names, {nameless} without");
}

#[test]
fn a_group_goes_on_with_the_next_coordinator() {
    let reports = reports("coordinator-failover", &[]);
    assert!(sum(&reports, "coordinator_failovers") > 0);
    assert_eq!(sum(&reports, "records_skipped"), 0);
}

#[test]
fn eager_members_stand_still_and_cooperative_ones_go_on() {
    for report in reports("cooperative-vs-eager", &[]) {
        let stood = |members: [&str; 4]| -> u64 {
            let of_these = report.pauses.iter().filter(|(member, _)| members.contains(&member.as_str()));
            of_these.map(|(_, pauses)| pauses.together / 1_000_000).sum()
        };
        let (eager, cooperative) = (stood(["k1", "k2", "k3", "k4"]), stood(["k5", "k6", "k7", "k8"]));
        assert!(eager > 10 * cooperative, "seed {}: {eager} ms eager, {cooperative} ms cooperative", report.seed);
    }
}

#[test]
fn a_topic_that_is_created_later_is_read_by_whoever_subscribes_to_its_pattern() {
    reports("pattern-subscription", &[]);
    let mut world = World::new(scenario("pattern-subscription", &[]), 1);
    world.run_until(40_000_000_000, &mut Unwatched);
    let described = groups(&world);
    assert_eq!(
        described.iter().map(|group| group.group.as_str()).collect::<Vec<_>>(),
        ["classic-readers", "new-readers"]
    );
    for group in described {
        let mut owned: Vec<String> =
            group.members.iter().flat_map(|member| member.assigned.iter().map(|p| p.to_string())).collect();
        owned.sort();
        let all = ["orders-eu-0", "orders-eu-1", "orders-us-0", "orders-us-1", "orders-us-2", "orders-us-3"];
        assert_eq!(owned, all, "{}", group.group);
        assert_eq!(group.state, "Stable");
    }
}
