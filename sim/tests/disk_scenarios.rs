//! The scenarios about disks, clocks and the beginning of logs, each over some seeds: nothing is found that the right code
//! must not do, and what the scenario is about does happen.
//!
//! `TRIAL_SEEDS=50 cargo test -p trial-sim --test disk_scenarios` runs more seeds.

use std::sync::Arc;

use trial_kafka::event::{Event, Fault, LogStartReason, TruncationReason};
use trial_sim::scenario::{builtin, parse};
use trial_sim::trace::TraceEvent;
use trial_sim::trial::{self, Report};
use trial_sim::world::{Note, Sink, World};

fn seeds() -> u64 {
    std::env::var("TRIAL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(3)
}

/// Keeps the events of a trial.
#[derive(Default)]
struct Events(Vec<Event>);

impl Sink for Events {
    fn after_step(&mut self, _: &World, events: &[TraceEvent], _: &[Note]) {
        self.0.extend(events.iter().map(|event| event.event.clone()));
    }
}

/// Runs a built-in scenario over the seeds; none may fail or be vacuous.
fn told(name: &str) -> Vec<(Report, Vec<Event>)> {
    let text = builtin().iter().find(|(other, _)| *other == name).expect("it is built in").1;
    let scenario = Arc::new(parse(&format!("{name}.toml"), text, &[]).unwrap_or_else(|e| panic!("{e}")));
    let one = |seed| {
        let mut events = Events::default();
        let report = trial::run(&scenario, seed, &mut events);
        let (unmet, found) = (&report.unmet, &report.verdict.groups);
        assert!(!report.failed() && !report.is_vacuous(), "{name}, seed {seed}: {unmet:?} {found:#?}");
        (report, events.0)
    };
    (1..=seeds()).map(one).collect()
}

fn has(events: &[Event], wanted: impl Fn(&Event) -> bool) -> bool {
    events.iter().any(wanted)
}

fn allowed_by(report: &Report, rule: &str) -> bool {
    report.verdict.findings.iter().any(|finding| finding.code == "lost-write" && finding.rule == Some(rule))
}

#[test]
fn a_broker_with_a_disk_of_the_past_costs_nothing() {
    for (_, events) in told("disk-swap") {
        assert!(has(&events, |e| matches!(e, Event::Fault(Fault::RestoreDisk { age_ms: 2_000.., .. }))));
        assert!(has(&events, |e| matches!(e, Event::Fault(Fault::ReplaceDisk { .. }))));
    }
}

#[test]
fn checkpoints_older_than_the_log_cost_nothing() {
    for (_, events) in told("old-checkpoints") {
        assert!(has(&events, |e| matches!(e, Event::Fault(Fault::RestoreDisk { checkpoints_only: true, .. }))));
    }
}

#[test]
fn a_follower_behind_the_leaders_start_begins_anew() {
    for (report, events) in told("behind-log-start") {
        let anew = |e: &Event| matches!(e, Event::Truncated { reason: TruncationReason::BehindLogStart, .. });
        assert!(has(&events, anew));
        assert!(has(&events, |e| matches!(e, Event::LogStartMoved { why: LogStartReason::Leader, .. })));
        assert!(has(&events, |e| matches!(e, Event::PositionReset { why, .. } if why.contains("OFFSET_OUT_OF_RANGE"))));
        assert!(allowed_by(&report, "delete-records"), "{:?}", report.verdict.groups);
    }
}

#[test]
fn what_retention_takes_is_no_loss() {
    for (report, events) in told("retention") {
        assert!(has(&events, |e| matches!(e, Event::LogStartMoved { why: LogStartReason::RetentionSize, .. })));
        assert!(allowed_by(&report, "retention"), "{:?}", report.verdict.groups);
    }
}

#[test]
fn slow_disks_and_jumping_clocks_cost_nothing() {
    for name in ["slow-disk", "clock-jump"] {
        assert!(told(name).iter().any(|(_, events)| has(events, |e| matches!(e, Event::IsrChanged { .. }))), "{name}");
    }
}
