//! Roles combined in one process: broker and controller live, die and stop together.

use std::sync::Arc;

use trial_checker::{Class, Outcome};
use trial_kafka::event::Event;
use trial_sim::scenario::{self, Scenario};
use trial_sim::trace::TraceEvent;
use trial_sim::trial;
use trial_sim::world::{Note, Sink, Unwatched, World};

const SCENARIO: &str = r#"
format = 1
run = "25s"
[cluster]
brokers = 3
controllers = 3
combined = true
min.insync.replicas = 2
[[topic]]
name = "orders"
partitions = 3
replication.factor = 3
[[producer]]
rate = 100
acks = "all"
[[consumer]]
auto.offset.reset = "earliest"
"#;

fn parsed(faults: &str, changes: &[&str]) -> Arc<Scenario> {
    let changes: Vec<String> = changes.iter().map(|change| (*change).to_string()).collect();
    let text = format!("{SCENARIO}{faults}");
    Arc::new(scenario::parse("combined.toml", &text, &changes).unwrap_or_else(|error| panic!("{error}")))
}

/// Which processes became leader of the quorum, and which stopped in an orderly way.
#[derive(Default)]
struct Seen {
    leaders: Vec<String>,
    stopped: Vec<String>,
}

impl Sink for Seen {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], _notes: &[Note]) {
        for event in events {
            let name = || world.node_name(event.node).to_string();
            match event.event {
                Event::BecameQuorumLeader { .. } => self.leaders.push(name()),
                Event::ShutDownCleanly => self.stopped.push(name()),
                _ => {}
            }
        }
    }
}

/// Runs it and checks that nothing is wrong.
fn is_good(scenario: &Arc<Scenario>) -> Seen {
    let mut seen = Seen::default();
    let report = trial::run(scenario, 1, &mut seen);
    let findings = &report.verdict;
    assert_eq!(report.verdict.outcome, Outcome::Pass, "{findings:?}");
    assert_eq!(report.count(Class::Bug, "lost-write"), 0);
    seen
}

#[test]
fn three_processes_are_a_cluster() {
    let seen = is_good(&parsed("", &[]));
    assert_eq!(seen.leaders.len(), 1, "{:?}", seen.leaders);
    assert!(seen.leaders[0].starts_with('b'));
}

#[test]
fn the_roles_are_where_the_scenario_says() {
    let mut world = World::new(parsed("", &["cluster.brokers=4"]), 1);
    world.run_until(5_000_000_000, &mut Unwatched);
    let names: Vec<_> = world.controllers().map(|(node, _)| world.node_name(node).to_string()).collect();
    assert_eq!(names, ["b1", "b2", "b3"]);
    let both = world.broker_ix(2).expect("a broker");
    assert_eq!(world.controller_at(both).map(|controller| controller.setup().node_id), Some(2));
    assert!(world.controller_at(world.broker_ix(4).expect("a broker")).is_none());
    let (active, _) = world.active_controller().expect("one is active");
    assert!(world.broker_at(active).is_some());
}

#[test]
fn a_process_that_loses_power_takes_both_roles_with_it() {
    let fault = r#"
[[fault]]
at = "8s"
target = "active controller"
kind = "power-loss"
restart-after = "3s"
"#;
    let seen = is_good(&parsed(fault, &[]));
    assert_eq!(seen.leaders.len(), 2, "another one is elected: {:?}", seen.leaders);
    assert_ne!(seen.leaders[0], seen.leaders[1]);
}

/// The broker stops first, so that its own controller may still decide where its leaderships go.
#[test]
fn a_process_stops_with_both_roles_and_comes_back() {
    let fault = r#"
[[fault]]
at = "8s"
target = "active controller"
kind = "clean-restart"
down-for = "2s"
"#;
    let seen = is_good(&parsed(fault, &[]));
    assert_eq!(seen.stopped, [seen.leaders[0].clone()], "told once for the process");
    assert_eq!(seen.leaders.len(), 2, "{:?}", seen.leaders);
}

#[test]
fn more_controllers_than_brokers_cannot_be_combined() {
    let change = ["cluster.controllers=5".to_string()];
    let error = scenario::parse("combined.toml", SCENARIO, &change).expect_err("it is refused").to_string();
    assert!(error.contains("3 brokers cannot be 5 controllers too"), "{error}");
}

/// Whatever the seed: nothing committed is lost with the process that is active, and each disk counts for itself alone.
#[test]
fn twenty_seeds_of_losing_the_active_one() {
    let fault = r#"
[[fault]]
at = "8s"
target = "active controller"
kind = "crash"
restart-after = "3s"
[[fault]]
at = "15s"
target = "active controller"
kind = "power-loss"
restart-after = "3s"
"#;
    let scenario = parsed(fault, &[]);
    for seed in 1..=20 {
        let report = trial::run(&scenario, seed, &mut Unwatched);
        assert_eq!(report.verdict.outcome, Outcome::Pass, "seed {seed}: {:?}", report.verdict.findings);
    }
}
