//! Clients of a trial are judged twice: as the trial goes on, beside the truth of the logs, and as a history of operations, as one from
//! elsewhere is. Both follow the same definitions, so that a finding about records has the same name on both sides. And what
//! clients saw agrees with what the logs hold, whatever was broken.
//!
//! `TRIAL_SEEDS=50 cargo test -p trial-sim --test one_judge -- --nocapture` runs more seeds and prints them.

use std::collections::BTreeSet;
use std::sync::Arc;

use trial_checker::operations::{Options, Recorder, Report as OfHistory, check};
use trial_checker::{EventRef, Observation};
use trial_sim::observe::Clients;
use trial_sim::scenario::{builtin, parse};
use trial_sim::trace::TraceEvent;
use trial_sim::trial::{self, Report};
use trial_sim::world::{Note, Sink, World};

/// What clients tell.
#[derive(Default)]
struct Told {
    told: Vec<(EventRef, Observation)>,
    clients: Clients,
}

impl Sink for Told {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], notes: &[Note]) {
        let Told { told, clients } = self;
        let mut tell = |at, what| told.push((at, what));
        let (first, last): (Vec<&Note>, Vec<&Note>) = notes.iter().partition(|note| Clients::comes_first(note));
        first.iter().for_each(|note| clients.on_note(world, note, &mut tell));
        events.iter().for_each(|event| clients.on_event(world, event, &mut tell));
        last.iter().for_each(|note| clients.on_note(world, note, &mut tell));
    }
}

fn both(name: &str, seed: u64) -> (Report, OfHistory) {
    let text = builtin().iter().find(|(other, _)| *other == name).expect("it is built in").1;
    let scenario = Arc::new(parse(&format!("{name}.toml"), text, &[]).unwrap_or_else(|e| panic!("{e}")));
    let mut told = Told::default();
    let report = trial::run(&scenario, seed, &mut told);
    // A send was invoked when its producer got it, and before anything ended at that instant.
    told.told.sort_by_key(|(at, what)| (at.time, !matches!(what, Observation::SendInvoked { .. })));
    let mut recorder = Recorder::default();
    for (at, what) in &told.told {
        recorder.observe(*at, what).expect("it is not too long");
    }
    let end = told.told.last().map_or(EventRef::default(), |(at, _)| *at);
    let history = recorder.finish(end).expect("it is not too long");
    let idempotence = scenario.producers.iter().all(|spec| spec.config.enable_idempotence);
    (report, check(&history, Options { idempotence, ..Options::default() }))
}

/// Findings about records, which both sides know of.
const COMMON: [&str; 10] = [
    "inconsistent-offsets",
    "duplicate",
    "lost-write",
    "g1a",
    "nonmonotonic-poll",
    "nonmonotonic-send",
    "phantom-read",
    "wrong-partition",
    "ack-offset-mismatch",
    "realtime-append-inversion",
];

fn common(codes: impl Iterator<Item = &'static str>) -> BTreeSet<&'static str> {
    codes.filter(|code| COMMON.contains(code)).collect()
}

fn agree(names: &[&str]) -> BTreeSet<&'static str> {
    let seeds = std::env::var("TRIAL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2);
    let mut seen = BTreeSet::new();
    for name in names {
        for seed in 1..=seeds {
            let (live, history) = both(name, seed);
            let of_live = common(live.verdict.groups.iter().map(|group| group.code));
            let of_history = common(history.groups.iter().map(|group| group.code));
            println!("{name} {seed}: {of_live:?} {of_history:?}");
            // What was acknowledged and lost still stands, in a history, where it was acknowledged, and of two copies the acknowledged one
            // counts: what took its place shows there. And what a consumer had read before, or nobody came to, is no lost
            // write by definition, which knows no final read.
            let more: BTreeSet<_> = of_history.difference(&of_live).copied().collect();
            let less: BTreeSet<_> = of_live.difference(&of_history).copied().collect();
            let by_loss = of_live.contains("lost-write") || of_live.contains("duplicate");
            let of_loss = BTreeSet::from(["inconsistent-offsets", "nonmonotonic-send"]);
            let else_known = of_history.contains("inconsistent-offsets") || history.count("unseen") > 0;
            let more_is_right = more.is_empty() || (by_loss && more.is_subset(&of_loss));
            let less_is_right = less.is_empty() || (else_known && less == BTreeSet::from(["lost-write"]));
            assert!(more_is_right && less_is_right, "{name}, seed {seed}: {of_live:?} {of_history:?}");
            let defects = live.verdict.groups.iter().filter(|group| group.code == "checker-disagreement");
            assert_eq!(defects.count(), 0, "{name}, seed {seed}: {:?}", live.verdict.findings);
            seen.extend(of_live);
        }
    }
    seen
}

#[test]
fn healthy_clusters_are_healthy_on_both_sides() {
    assert_eq!(agree(&["standard", "rolling-restart"]), BTreeSet::new());
}

#[test]
fn losses_copies_and_turned_orders_have_one_name_on_both_sides() {
    let seen = agree(&["unclean-election", "leader-crash", "retry-storm", "zombie-leader", "kip-279"]);
    let expected = ["inconsistent-offsets", "lost-write", "duplicate", "nonmonotonic-send"];
    assert!(expected.iter().all(|code| seen.contains(code)), "{seen:?}");
}

#[test]
fn what_the_zoo_breaks_has_one_name_on_both_sides() {
    let seen =
        agree(&["zoo-reorder-inflight", "zoo-truncate-to-hw", "zoo-ack-before-hw", "zoo-unknown-producer-reset"]);
    assert!(seen.contains("lost-write") && seen.contains("nonmonotonic-send"), "{seen:?}");
}
