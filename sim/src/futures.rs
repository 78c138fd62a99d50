//! What else could have become of a run: forks of it, each with fresh randomness.
//!
//! ```text
//!   run once ──▶ Course: in which step each event was recorded, which fault made it
//!   run again ─▶ Fork at each step of interest ──reseed(n)──▶ future n, with or without one of the faults
//! ```
//!
//! A fork has everything that is under way: messages on the wire, dirty pages, armed faults. What is drawn from then on
//! (latencies, back-offs, elections, what a loss of power takes) is drawn anew, by the number of the future; the faults stay
//! as they were drawn. The same number gives the same randomness with a fault and without it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::observe::Observer;
use crate::scenario::Scenario;
use crate::trial::{Both, Report, expected_fault_kinds, report};
use crate::world::{Begun, Sink, World};

/// Number of a step of a run, from 0.
pub type StepNo = u64;

/// A run, and in which of its steps what happened.
#[derive(Clone, Debug)]
pub struct Course {
    /// What the run came to.
    pub report: Report,
    /// Of each event, by its number less one.
    step_of_event: Vec<StepNo>,
    /// The faults that have begun, each with its step.
    begun: Vec<(Begun, StepNo)>,
}

impl Course {
    /// Runs a trial, watched by `sink`. Whoever stops it gets the course until then.
    pub fn take(scenario: &Arc<Scenario>, seed: u64, sink: &mut dyn Sink, go_on: &dyn Fn() -> bool) -> Course {
        let mut world = World::new(Arc::clone(scenario), seed);
        let mut observer = observer_of(&world, scenario);
        let (mut step_of_event, mut begun) = (Vec::new(), Vec::new());
        let mut step = 0;
        while go_on() && world.step(&mut Both(&mut observer, sink)) {
            let events = world.event_count() - step_of_event.len() as u64;
            step_of_event.extend((0..events).map(|_| step));
            begun.extend(world.faults_begun()[begun.len()..].iter().map(|fault| (*fault, step)));
            step += 1;
        }
        Course { report: report(&world, scenario, seed, observer), step_of_event, begun }
    }

    /// The step in which an event was recorded; `None` if there is no such event.
    pub fn step_of(&self, event: u64) -> Option<StepNo> {
        let index = usize::try_from(event.checked_sub(1)?).ok()?;
        self.step_of_event.get(index).copied()
    }

    /// The fault that made an event, by its place in the timeline, and the step in which that fault began.
    pub fn fault_behind(&self, event: u64) -> Option<(usize, StepNo)> {
        let made = |begun: &&(Begun, StepNo)| (begun.0.first_event..=begun.0.last_event).contains(&event);
        let fault = self.begun.iter().find(made)?.0.fault;
        let first = self.begun.iter().find(|(begun, _)| begun.fault == fault)?;
        Some((fault, first.1))
    }
}

/// A run, stopped between two steps.
#[derive(Clone)]
pub struct Fork {
    scenario: Arc<Scenario>,
    seed: u64,
    world: World,
    observer: Observer,
}

impl Fork {
    /// The run after so many steps each, and whoever stops it gets those that it came to.
    pub fn after_steps(
        scenario: &Arc<Scenario>,
        seed: u64,
        steps: &BTreeSet<StepNo>,
        go_on: &dyn Fn() -> bool,
    ) -> BTreeMap<StepNo, Fork> {
        let world = World::new(Arc::clone(scenario), seed);
        let observer = observer_of(&world, scenario);
        let mut run = Fork { scenario: Arc::clone(scenario), seed, world, observer };
        let mut forks = BTreeMap::new();
        let mut taken = 0;
        for step in steps {
            while taken < *step && go_on() && run.world.step(&mut run.observer) {
                taken += 1;
            }
            if taken == *step {
                forks.insert(*step, run.clone());
            }
        }
        forks
    }

    /// What the run comes to from here with randomness of this number, without the fault at this place of the timeline if
    /// one is given. `None` if it was stopped.
    pub fn future(&self, number: u64, without: Option<usize>, go_on: &dyn Fn() -> bool) -> Option<Report> {
        let Fork { mut world, mut observer, .. } = self.clone();
        world.reseed(number);
        if let Some(fault) = without {
            world.call_off(fault);
        }
        while go_on() && world.step(&mut observer) {}
        world.is_over().then(|| report(&world, &self.scenario, self.seed, observer))
    }
}

fn observer_of(world: &World, scenario: &Scenario) -> Observer {
    Observer::new(world.scenario(), expected_fault_kinds(scenario))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{builtin, parse};
    use crate::world::Unwatched;

    fn leader_crash() -> Arc<Scenario> {
        let (_, text) = builtin().iter().find(|(name, _)| *name == "leader-crash").expect("it is built in");
        let set = ["producer.acks=1".to_owned(), "run=8s".to_owned()];
        Arc::new(parse("leader-crash.toml", text, &set).expect("it is a scenario"))
    }

    /// Its first seed that loses a record.
    fn lossy() -> (Arc<Scenario>, u64, Course) {
        let scenario = leader_crash();
        for seed in 1..200 {
            let course = Course::take(&scenario, seed, &mut Unwatched, &|| true);
            if lost(&course.report) {
                return (scenario, seed, course);
            }
        }
        panic!("200 crashes of a leader with acks=1 lose something");
    }

    fn lost(report: &Report) -> bool {
        report.verdict.groups.iter().any(|group| group.code == "lost-write")
    }

    #[test]
    fn a_fork_that_keeps_its_seed_goes_on_as_the_run_did() {
        let scenario = leader_crash();
        let course = Course::take(&scenario, 3, &mut Unwatched, &|| true);
        let steps = [0, course.step_of(500).expect("it is long"), course.step_of(5_000).expect("it is long")];
        for (_, fork) in Fork::after_steps(&scenario, 3, &steps.into(), &|| true) {
            let Fork { mut world, mut observer, .. } = fork.clone();
            world.run(&mut observer);
            assert_eq!(world.digest(), course.report.digest);
            let other = fork.future(1, None, &|| true).expect("nobody stops it");
            assert_ne!(other.digest, course.report.digest);
            assert_eq!(other.digest, fork.future(1, None, &|| true).expect("nobody stops it").digest);
        }
    }

    #[test]
    fn without_the_crash_nothing_is_lost_and_after_it_all_is() {
        let (scenario, seed, course) = lossy();
        let finding = course.report.verdict.findings.iter().find(|f| f.code == "lost-write").expect("it was lost");
        let crash = finding.chain.iter().find_map(|step| course.fault_behind(step.event)).expect("a fault is in it");
        let last = finding.chain.iter().filter_map(|step| course.step_of(step.event)).max().expect("it has steps");
        let forks = Fork::after_steps(&scenario, seed, &[crash.1, last + 1].into(), &|| true);
        let count = |at: StepNo, without| {
            let future = |n| forks[&at].future(n, without, &|| true).expect("nobody stops it");
            (1..=10).filter(|n| lost(&future(*n))).count()
        };
        assert_eq!(count(crash.1, Some(crash.0)), 0, "nobody crashes");
        assert_eq!(count(last + 1, None), 10, "it has happened");
        assert!(forks[&crash.1].world.event_count() < finding.chain.iter().map(|s| s.event).max().unwrap_or(0));
    }
}
