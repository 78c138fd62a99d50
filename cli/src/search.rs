//! `trial search`: a campaign over many seeds, of one scenario or of a scenario each.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use trial_checker::Class;
use trial_sim::campaign::Campaign;
use trial_sim::scenario::Scenario;
use trial_sim::trial::run_while;
use trial_sim::world::{Carriage, Unwatched};

use crate::args::SearchArgs;
use crate::failure::Failure;
use crate::output::{Ending, Out};
use crate::progress::Progress;
use crate::subject::Subject;
use crate::{interrupt, verdict, workers};

/// Runs the campaign.
pub fn search(args: &SearchArgs, json: bool, out: &mut Out) -> Result<Ending, Failure> {
    let subject = Subject::load(args.scenario.as_deref(), &args.changes.set, &args.zoo)?;
    let began = Instant::now();
    let (first, last) = (*args.seeds.0.start(), *args.seeds.0.end());
    let mut progress = Progress::of_seeds(last - first + 1);
    let mut sum = Campaign::default();
    let mut failure = None;
    let work = |seed: u64, go_on: &dyn Fn() -> bool| match subject.scenario(seed) {
        Ok(scenario) => one_trial(&scenario, seed, go_on).map(Ok),
        Err(error) => Some(Err(error)),
    };
    workers::in_order(args.seeds.0.clone(), args.jobs.jobs(), work, |_, trial| {
        match trial {
            Ok(trial) => sum.add(trial),
            Err(error) => {
                failure = Some(error);
                return ControlFlow::Break(());
            }
        }
        progress.at(sum.trials, || format!("{} failed", sum.failed));
        if args.until_bug && sum.has_bug() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    if let Some(failure) = failure {
        return Err(failure);
    }
    let interrupted = interrupt::happened();
    let seconds = began.elapsed().as_secs_f64();
    if json {
        out.json(&SearchJson::of(&sum, seconds))?;
        for (what, tally) in &sum.unmet {
            eprintln!("[expect] not met in {} of {} trials: {what}", tally.trials, sum.trials);
        }
    } else {
        if interrupted {
            out.line("Interrupted: this is what was known by then.")?;
        }
        print(&subject, &sum, (first, last), seconds, out)?;
    }
    let all_vacuous = sum.trials > 0 && sum.vacuous == sum.trials;
    Ok(Ending { interrupted, nondeterministic: false, failed: sum.failed > 0, vacuous: all_vacuous })
}

/// One trial summed up; `None` if it was stopped before its end.
pub fn one_trial(scenario: &Arc<Scenario>, seed: u64, go_on: &dyn Fn() -> bool) -> Option<Campaign> {
    let go_on = || go_on() && !interrupt::happened();
    let report = run_while(scenario, seed, Carriage::Typed, &mut Unwatched, &go_on);
    go_on().then(|| Campaign::of(&report))
}

fn print(subject: &Subject, sum: &Campaign, seeds: (u64, u64), seconds: f64, out: &mut Out) -> Result<(), Failure> {
    let Campaign { trials, passed, failed, vacuous, .. } = sum;
    let name = subject.name();
    let (first, last) = seeds;
    out.line(format_args!(
        "{name}, seeds {first}..{last}: {trials} trials, {passed} passed, {failed} failed, {vacuous} vacuous"
    ))?;
    let rate = Rates::of(sum, seconds);
    out.line(format_args!(
        "{seconds:.1} s: {:.1} trials/s, {:.0} events/s, {:.0} virtual s/s",
        rate.trials, rate.events, rate.virtual_s
    ))?;
    out.line("")?;
    if sum.findings.is_empty() && sum.unmet.is_empty() {
        out.line("Nothing was found.")?;
    }
    for (identity, tally) in &sum.findings {
        out.line(format_args!(
            "{}: {} in {} of {trials} trials",
            verdict::heading(*identity),
            tally.count,
            tally.trials
        ))?;
        out.line(format_args!("  {}", subject.reproduce(tally.first_seed)))?;
    }
    for (what, tally) in &sum.unmet {
        out.line(format_args!("[expect] not met in {} of {trials} trials: {what}", tally.trials))?;
        out.line(format_args!("  {}", subject.reproduce(tally.first_seed)))?;
    }
    out.line("")?;
    verdict::print_counters(&sum.coverage, out)?;
    // Every trial has a first controller.
    let (controllers, leaders) = (sum.median_controller_elections(), sum.median_leader_elections());
    match controllers > 1 || leaders > 0 {
        true => out.line(format_args!("median    controller_elections {controllers}, leader_elections {leaders}")),
        false => Ok(()),
    }
}

struct Rates {
    trials: f64,
    events: f64,
    virtual_s: f64,
}

impl Rates {
    fn of(sum: &Campaign, seconds: f64) -> Self {
        let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        Rates {
            trials: per_second(sum.trials as f64),
            events: per_second(sum.events as f64),
            virtual_s: per_second(sum.virtual_ms as f64 / 1_000.0),
        }
    }
}

#[derive(Serialize)]
struct SearchJson<'a> {
    seeds: u64,
    passed: u64,
    failed: u64,
    vacuous: u64,
    wall_s: f64,
    trials_per_s: f64,
    events_per_s: f64,
    virtual_s_per_s: f64,
    findings: BTreeMap<&'static str, FoundJson>,
    /// The sums of all counters, and medians of the trials.
    coverage: BTreeMap<&'a str, u64>,
}

/// All findings of one code; class and first seed are those of the worst class.
#[derive(Serialize)]
struct FoundJson {
    count: u64,
    first_seed: u64,
    class: Class,
}

impl<'a> SearchJson<'a> {
    fn of(sum: &'a Campaign, seconds: f64) -> Self {
        let mut findings: BTreeMap<&'static str, FoundJson> = BTreeMap::new();
        // The worst class of a code comes first.
        for (identity, tally) in &sum.findings {
            let fresh = FoundJson { count: 0, first_seed: tally.first_seed, class: identity.class };
            let found = findings.entry(identity.code).or_insert(fresh);
            found.count += tally.count;
            if found.class == identity.class {
                found.first_seed = found.first_seed.min(tally.first_seed);
            }
        }
        let medians = [
            ("median_controller_elections", sum.median_controller_elections()),
            ("median_leader_elections", sum.median_leader_elections()),
        ];
        let coverage = sum.coverage.iter().map(|(name, count)| (name.as_str(), *count)).chain(medians).collect();
        let rate = Rates::of(sum, seconds);
        SearchJson {
            seeds: sum.trials,
            passed: sum.passed,
            failed: sum.failed,
            vacuous: sum.vacuous,
            wall_s: seconds,
            trials_per_s: rate.trials,
            events_per_s: rate.events,
            virtual_s_per_s: rate.virtual_s,
            findings,
            coverage,
        }
    }
}
