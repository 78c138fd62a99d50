//! One trial from start to verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use trial_checker::{Class, Outcome, Verdict};

use crate::fault::{Chaos, FaultSpec, When};
use crate::observe::Observer;
use crate::scenario::Scenario;
use crate::trace::TraceEvent;
use crate::world::{Carriage, Note, Pauses, Sink, World};

/// What a trial came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// Digest of every event.
    pub digest: String,
    /// Virtual time at the end, in nanoseconds.
    pub virtual_ns: u64,
    /// Number of events.
    pub events: u64,
    /// The checker's word.
    pub verdict: Verdict,
    /// What `[expect]` asked for and was not so.
    pub unmet: Vec<String>,
    /// How long rebalances kept members of groups from their work.
    pub pauses: Vec<(String, Pauses)>,
    /// How often it reached each of the rare states ([`crate::world::RARE`]).
    pub rare: BTreeMap<&'static str, u64>,
}

impl Report {
    /// Is there a BUG, or something `[expect]` forbids or misses?
    pub fn failed(&self) -> bool {
        self.verdict.outcome == Outcome::Fail || !self.unmet.is_empty()
    }
    /// Did too little happen to say anything?
    pub fn is_vacuous(&self) -> bool {
        self.verdict.outcome == Outcome::Vacuous
    }
    /// Number of findings of a class and code.
    pub fn count(&self, class: Class, code: &str) -> u64 {
        self.verdict.count(class, code)
    }
}

/// Two sinks, one after the other.
pub struct Both<'a>(pub &'a mut dyn Sink, pub &'a mut dyn Sink);
impl Sink for Both<'_> {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], notes: &[Note]) {
        self.0.after_step(world, events, notes);
        self.1.after_step(world, events, notes);
    }
}

/// Runs a scenario with a seed, watched by `sink` too.
pub fn run(scenario: &Arc<Scenario>, seed: u64, sink: &mut dyn Sink) -> Report {
    run_carried(scenario, seed, Carriage::Typed, sink)
}

/// As [`run`], with a choice of how messages travel.
pub fn run_carried(scenario: &Arc<Scenario>, seed: u64, carriage: Carriage, sink: &mut dyn Sink) -> Report {
    run_while(scenario, seed, carriage, sink, &|| true)
}

/// As [`run_carried`], as long as `go_on` says so: it is asked before every step. Whoever stops a trial gets a report
/// on what happened until then.
pub fn run_while(
    scenario: &Arc<Scenario>,
    seed: u64,
    carriage: Carriage,
    sink: &mut dyn Sink,
    go_on: &dyn Fn() -> bool,
) -> Report {
    let mut world = World::new(Arc::clone(scenario), seed);
    world.set_carriage(carriage);
    let mut observer = Observer::new(world.scenario(), expected_fault_kinds(scenario));
    while go_on() && world.step(&mut Both(&mut observer, sink)) {}
    report(&world, scenario, seed, observer)
}

/// The report on a World that is over, from whoever observed it.
pub fn report(world: &World, scenario: &Scenario, seed: u64, observer: Observer) -> Report {
    let mut verdict = observer.finish(world.now());
    verdict.counters.extend(world.coverage().map(|(name, count)| (name.to_string(), count)));
    let drawn_in_vain = scenario.chaos.is_some()
        && world.fault_counters().next().is_some()
        && world.fault_counters().all(|(_, counter)| counter.took_effect == 0);
    if drawn_in_vain {
        verdict.vacuous_because.push("none of the faults drawn from [chaos] took effect".to_string());
        if verdict.outcome == Outcome::Pass {
            verdict.outcome = Outcome::Vacuous;
        }
    }
    let unmet = unmet(scenario, &verdict);
    Report {
        scenario: scenario.name.clone(),
        seed,
        digest: world.digest(),
        virtual_ns: world.now(),
        events: world.event_count(),
        verdict,
        unmet,
        pauses: world.pauses().map(|(member, pauses)| (member.to_string(), pauses)).collect(),
        rare: world.rare().collect(),
    }
}

/// The kinds of fault without which a trial of this scenario shows nothing: those that are written down. Of those that
/// the seed draws, some must take effect, but a drawn crash of a broker that is dead already is no reason to complain.
/// Beside drawn ones, faults of the same kinds share that fate, and what hangs on an event may wait for it in vain.
pub fn expected_fault_kinds(scenario: &Scenario) -> Vec<String> {
    let may_be_in_vain = |fault: &&FaultSpec| {
        let hangs_on_an_event = matches!(fault.when, When::After { .. });
        let of_this_kind = |chaos: &Chaos| chaos.mix.iter().any(|(kind, _)| *kind == fault.kind.kind_name());
        scenario.chaos.as_ref().is_some_and(|chaos| hangs_on_an_event || of_this_kind(chaos))
    };
    let expected = scenario.faults.iter().filter(|fault| !may_be_in_vain(fault));
    let mut kinds: Vec<String> = expected.map(|fault| fault.kind.kind_name().to_string()).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

fn unmet(scenario: &Scenario, verdict: &Verdict) -> Vec<String> {
    let found = |code: &String| verdict.groups.iter().any(|g| g.code == code && g.count > 0);
    let mut unmet: Vec<String> = scenario
        .expect
        .never
        .iter()
        .filter(|code| found(code))
        .map(|code| format!("{code} was found, and [expect] never = says it must not be"))
        .collect();
    if !scenario.expect.any.is_empty() && !scenario.expect.any.iter().any(found) {
        unmet.push(format!("[expect] any = {:?}: none of these was found", scenario.expect.any));
    }
    unmet
}
