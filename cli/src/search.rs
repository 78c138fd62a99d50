//! `trial search`: a campaign over many seeds of one scenario.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use serde::Serialize;
use trial_checker::Class;
use trial_kafka::zoo::Switch;
use trial_sim::campaign::Campaign;
use trial_sim::trial::run_while;
use trial_sim::world::{Carriage, Unwatched};

use crate::args::SearchArgs;
use crate::failure::Failure;
use crate::output::{Ending, Out};
use crate::progress::Progress;
use crate::source::Source;
use crate::{interrupt, verdict, workers};

/// Runs the campaign.
pub fn search(args: &SearchArgs, json: bool, out: &mut Out) -> Result<Ending, Failure> {
    let Some(given) = &args.scenario else {
        let help = "name one, for instance: trial search chaos --seeds 1..100".to_string();
        return Err(Failure::usage(
            "search needs a SCENARIO: drawing one from each seed (swarm) is not part of this version",
            [help],
        ));
    };
    let source = with_zoo(Source::load(given, &args.changes.set)?, &args.zoo)?;
    let began = Instant::now();
    let (first, last) = (*args.seeds.0.start(), *args.seeds.0.end());
    let mut progress = Progress::of_seeds(last - first + 1);
    let mut sum = Campaign::default();
    let work = |seed: u64, go_on: &dyn Fn() -> bool| one_trial(&source, seed, go_on);
    workers::in_order(args.seeds.0.clone(), args.jobs.jobs(), work, |_, trial| {
        sum.add(trial);
        progress.at(sum.trials, || format!("{} failed", sum.failed));
        if args.until_bug && sum.has_bug() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
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
        print(&source, &sum, (first, last), seconds, out)?;
    }
    let all_vacuous = sum.trials > 0 && sum.vacuous == sum.trials;
    Ok(Ending { interrupted, nondeterministic: false, failed: sum.failed > 0, vacuous: all_vacuous })
}

/// One trial summed up; `None` if it was stopped before its end.
pub fn one_trial(source: &Source, seed: u64, go_on: &dyn Fn() -> bool) -> Option<Campaign> {
    let go_on = || go_on() && !interrupt::happened();
    let report = run_while(&source.scenario, seed, Carriage::Typed, &mut Unwatched, &go_on);
    go_on().then(|| Campaign::of(&report))
}

/// The scenario with these switches turned on besides its own, as an override, so that reproduction lines say it.
fn with_zoo(source: Source, switches: &[Switch]) -> Result<Source, Failure> {
    if switches.is_empty() {
        return Ok(source);
    }
    let on = |switch: &Switch| switches.contains(switch) || source.scenario.zoo.on(*switch);
    let names: Vec<String> =
        Switch::ALL.iter().filter(|s| on(s)).map(|switch| format!("{:?}", switch.name())).collect();
    let mut set = source.set;
    set.push(format!("zoo=[{}]", names.join(", ")));
    Source::load(&source.given, &set)
}

fn print(source: &Source, sum: &Campaign, seeds: (u64, u64), seconds: f64, out: &mut Out) -> Result<(), Failure> {
    let Campaign { trials, passed, failed, vacuous, .. } = sum;
    let name = &source.scenario.name;
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
        out.line(format_args!("  {}", source.reproduce(tally.first_seed)))?;
    }
    for (what, tally) in &sum.unmet {
        out.line(format_args!("[expect] not met in {} of {trials} trials: {what}", tally.trials))?;
        out.line(format_args!("  {}", source.reproduce(tally.first_seed)))?;
    }
    out.line("")?;
    verdict::print_counters(&sum.coverage, out)?;
    // Every trial has a first controller.
    let (controllers, leaders) = (sum.median_controller_elections(), sum.median_leader_elections());
    let rebalances = sum.median_rebalances().map_or(String::new(), |median| format!(", rebalances {median}"));
    match controllers > 1 || leaders > 0 || !rebalances.is_empty() {
        true => out
            .line(format_args!("median    controller_elections {controllers}, leader_elections {leaders}{rebalances}")),
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
        let rebalances = sum.median_rebalances().map(|median| ("median_rebalances", median));
        let medians = medians.into_iter().chain(rebalances);
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
