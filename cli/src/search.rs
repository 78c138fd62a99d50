//! `trial search`: a campaign over many seeds, of one scenario or of a scenario each.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use trial_sim::campaign::Campaign;
use trial_sim::scenario::Scenario;
use trial_sim::trial::run_while;
use trial_sim::world::{Carriage, Unwatched};

use crate::args::SearchArgs;
use crate::failure::Failure;
use crate::ledger::{Header, Ledger};
use crate::output::{Ending, Out};
use crate::progress::Progress;
use crate::report::CampaignReport;
use crate::shard::Shard;
use crate::subject::Subject;
use crate::{guided, interrupt, junit, keep, workers};

/// Runs the campaign, or what is left of it.
pub fn search(args: &SearchArgs, json: bool, out: &mut Out) -> Result<Ending, Failure> {
    let mut subject = Subject::load(args.scenario.as_deref(), &args.changes.set, &args.zoo)?;
    let of_environment = || Shard::of_environment(|name| std::env::var(name).ok());
    let shard = args.shard.map_or_else(of_environment, Ok)?;
    if args.guided && !shard.is_whole() {
        let help = "each generation depends on all of the one before it: run the campaign in one process".to_owned();
        return Err(Failure::usage("a guided campaign has no shards", [help]));
    }
    let seeds = (*args.seeds.0.start(), *args.seeds.0.end());
    let wanted = shard.count(&args.seeds.0);
    let (mut sum, mut seconds, mut ledger) = (Campaign::default(), 0.0, None);
    if let Some(directory) = &args.out {
        let directory = shard.directory(directory);
        let (opened, known, took) = Ledger::open(&directory, &Header::of(&subject, seeds, shard, args.guided))?;
        (sum, seconds, ledger) = (known, took, Some(opened));
        if sum.trials > 0 {
            eprintln!("{} of {wanted} seeds are done: going on with {}", sum.trials, directory.display());
        }
    }
    let began = Instant::now();
    let ended = match &mut subject {
        _ if args.until_bug && sum.has_bug() => Ok(()),
        subject if args.guided => guided::run(args, subject, &mut sum, ledger.as_mut()),
        subject => run_the_rest(args, subject, shard, wanted, &mut sum, ledger.as_mut()),
    };
    // What is known is written down, whatever went wrong.
    let written = ledger.as_mut().map_or(Ok(()), Ledger::write);
    ended.and(written)?;
    seconds += began.elapsed().as_secs_f64();
    let interrupted = interrupt::happened();
    if interrupted && !json {
        out.line("Interrupted: this is what was known by then.")?;
    }
    let part = if shard.is_whole() { String::new() } else { format!(", shard {shard}") };
    let report = CampaignReport { subject: &subject, seeds, part, sum: &sum, seconds };
    report.tell(json, out)?;
    if let Some(path) = &args.junit {
        junit::write(path, &report)?;
    }
    if let Some(findings) = ledger.as_ref().and_then(Ledger::findings) {
        eprintln!("the first run of each finding, as scenario and recording: {}", findings.display());
    }
    Ok(Ending { interrupted, ..report.ending() })
}

/// Runs the seeds that are not summed up yet.
fn run_the_rest(
    args: &SearchArgs,
    subject: &Subject,
    shard: Shard,
    wanted: u64,
    sum: &mut Campaign,
    mut ledger: Option<&mut Ledger>,
) -> Result<(), Failure> {
    let done = usize::try_from(sum.trials).unwrap_or(usize::MAX);
    let mut progress = Progress::of_seeds(wanted - sum.trials);
    let before = sum.trials;
    let mut result = Ok(());
    let work = |seed: u64, go_on: &dyn Fn() -> bool| match subject.scenario(seed) {
        Ok(scenario) => one_trial(&scenario, seed, go_on).map(Ok),
        Err(error) => Some(Err(error)),
    };
    let seeds = shard.seeds(args.seeds.0.clone()).skip(done);
    workers::in_order(seeds, args.jobs.jobs(), work, |seed, trial| {
        let taken = trial.and_then(|trial| {
            if let Some(ledger) = ledger.as_deref_mut() {
                let firsts = trial.findings.keys().filter(|identity| !sum.findings.contains_key(identity));
                keep::keep(subject, seed, firsts.copied(), ledger)?;
                ledger.take(trial.clone())?;
            }
            sum.add(trial);
            Ok(())
        });
        if let Err(failure) = taken {
            result = Err(failure);
            return ControlFlow::Break(());
        }
        progress.at(sum.trials - before, || format!("{} failed, {} findings", sum.failed, sum.findings.len()));
        if args.until_bug && sum.has_bug() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    result
}

/// One trial summed up; `None` if it was stopped before its end.
pub fn one_trial(scenario: &Arc<Scenario>, seed: u64, go_on: &dyn Fn() -> bool) -> Option<Campaign> {
    let go_on = || go_on() && !interrupt::happened();
    let report = run_while(scenario, seed, Carriage::Typed, &mut Unwatched, &go_on);
    go_on().then(|| Campaign::of(&report))
}
