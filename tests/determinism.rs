//! Same scenario, same seed, same bytes: twice in a row, after other runs, over either carriage, from a fork.

use std::sync::Arc;

use trial_sim::trial::run_carried;
use trial_sim::world::{Carriage, Unwatched, World};
use trial_tests::{built_in, run};

/// A commit that changes these says so.
#[test]
fn digests_are_those_of_this_build() {
    let cases = [
        ("healthy", 1),
        ("leader-crash", 1),
        ("leader-isolated", 1),
        ("slow-follower", 1),
        ("rolling-restart", 1),
        ("power-loss-one", 1),
        ("power-loss-rack", 1),
        ("unclean-election", 1),
        ("chaos", 1),
        ("chaos", 2),
        ("controller-failover", 1),
        ("topic-recreated", 1),
        ("quorum-chaos", 1),
        ("quorum-chaos", 2),
    ];
    let lines: Vec<String> = cases
        .iter()
        .map(|(name, seed)| {
            let report = run(&built_in(name, &[]), *seed);
            format!("{name} {seed}: {} after {} events", report.digest, report.events)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_run_is_the_same_after_a_thousand_others() {
    let chaos = built_in("chaos", &[]);
    let first = run(&chaos, 11).digest;
    let short = built_in("leader-crash", &["run=9s", "producer.records=60", "producer.rate=20", "producer.acks=1"]);
    let mut others = std::collections::BTreeSet::new();
    for seed in 1..=1_000 {
        others.insert(run(&short, seed).digest);
    }
    assert_eq!(others.len(), 1_000, "different seeds give different runs");
    assert_eq!(run(&chaos, 11).digest, first);
}

/// Typed messages are carried only because encoding and decoding each at its version gives the same message back. Over
/// the wire, every request and response goes through its bytes, and the run must not differ in one.
#[test]
fn messages_survive_the_wire() {
    for (name, seed) in [
        ("healthy", 3),
        ("leader-crash", 3),
        ("rolling-restart", 3),
        ("unclean-election", 3),
        ("chaos", 3),
        ("chaos", 4),
        ("topic-recreated", 3),
        ("quorum-chaos", 3),
        ("quorum-chaos", 4),
        ("groups", 3),
        ("groups", 4),
        ("static-bounce", 3),
        ("coordinator-failover", 3),
    ] {
        let scenario = built_in(name, &[]);
        let typed = run(&scenario, seed);
        let wire = run_carried(&scenario, seed, Carriage::Wire, &mut Unwatched);
        assert_eq!(typed.digest, wire.digest, "{name}, seed {seed}");
    }
}

/// Steps until a broker has requests parked in its purgatory while a sync is under way somewhere, at the earliest at `from`.
fn world_in_the_middle(scenario: &Arc<trial_sim::scenario::Scenario>, seed: u64) -> World {
    let mut world = World::new(Arc::clone(scenario), seed);
    world.run_until(8_000_000_000, &mut Unwatched);
    let busy = |world: &World| {
        let parked = |id| world.broker(id).map_or(0, |b| b.parked().0);
        (1..=3).any(|id| parked(id) > 0) && world.syncs_under_way() > 0
    };
    while !busy(&world) {
        assert!(world.step(&mut Unwatched), "the run ended without a produce request parked during a sync");
    }
    world
}

#[test]
fn a_fork_has_the_future_of_its_original() {
    let scenario = built_in("chaos", &["topic.flush.messages=1"]);
    let mut original = world_in_the_middle(&scenario, 5);
    let mut fork = original.clone();
    assert_eq!(fork.digest(), original.digest());
    original.run(&mut Unwatched);
    fork.run(&mut Unwatched);
    assert_eq!(fork.digest(), original.digest());
    assert_eq!(fork.event_count(), original.event_count());
    assert_eq!(fork.now(), original.now());
}

#[test]
fn a_reseeded_fork_has_another_future_and_the_same_one_for_the_same_salt() {
    let scenario = built_in("chaos", &["topic.flush.messages=1"]);
    let original = world_in_the_middle(&scenario, 5);
    let future = |salt: u64| {
        let mut fork = original.clone();
        fork.reseed(salt);
        fork.run(&mut Unwatched);
        fork.digest()
    };
    let mut unchanged = original.clone();
    unchanged.run(&mut Unwatched);
    assert_eq!(future(1), future(1));
    assert_ne!(future(1), future(2));
    assert_ne!(future(1), unchanged.digest());
}

#[test]
fn a_fault_taken_away_leaves_the_weather_before_it_alone() {
    let scenario = built_in("chaos", &[]);
    let seed = 9;
    let timeline = trial_sim::fault::timeline(&scenario, seed);
    let mut shorter = timeline.clone();
    shorter.pop().expect("chaos draws at least one fault");
    let mut whole = World::with_faults(Arc::clone(&scenario), seed, timeline);
    let mut less = World::with_faults(Arc::clone(&scenario), seed, shorter);
    // Until the first difference takes effect, both runs are the same; the warm-up is before every fault.
    whole.run_until(4_000_000_000, &mut Unwatched);
    less.run_until(4_000_000_000, &mut Unwatched);
    assert_eq!(whole.digest(), less.digest());
    assert!(whole.event_count() > 10);
}
