//! `trial search --guided`: generations of trials, each steered by what those before it reached.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use trial_sim::campaign::Campaign;
use trial_sim::swarm::{Draw, GENERATION, Guide};

use crate::args::SearchArgs;
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::progress::Progress;
use crate::search::one_trial;
use crate::subject::Subject;
use crate::{keep, workers};

/// Runs the seeds that are not summed up yet, a generation at a time. What each generation draws follows from what all trials
/// before it reached, those of an earlier process too. The subject remembers what the first trial of each finding drew.
pub fn run(
    args: &SearchArgs,
    subject: &mut Subject,
    sum: &mut Campaign,
    mut ledger: Option<&mut Ledger>,
) -> Result<(), Failure> {
    let (first, end) = (*args.seeds.0.start(), args.seeds.0.end() + 1);
    let known = ledger.as_deref_mut().map(|ledger| std::mem::take(&mut ledger.known_steers)).unwrap_or_default();
    let names: Vec<String> = sum.reached.keys().cloned().collect();
    let tallies = sum.findings.values().chain(sum.unmet.values());
    let firsts: BTreeSet<u64> = tallies.map(|tally| tally.first_seed).collect();
    let mut known = (first..).zip(known).peekable();
    let mut progress = Progress::of_seeds(end - first - sum.trials);
    let before = sum.trials;
    let mut guide = Guide::default();
    for from in (first..end).step_by(GENERATION as usize) {
        let seeds = from..end.min(from + GENERATION);
        let draws = guide.generation(seeds.clone());
        let draw_of = |seed: u64| &draws[(seed - from) as usize];
        let mut rest = seeds.clone();
        while let Some((seed, reached)) = known.next_if(|(seed, _)| seeds.contains(seed)) {
            guide.take(draw_of(seed), states_of(reached, &names));
            if firsts.contains(&seed) {
                subject.remember(seed, draw_of(seed));
            }
            rest.start = seed + 1;
        }
        let flow = trials(args, subject, rest, draw_of, |subject, seed, trial| {
            let reached = trial.reached.iter().filter(|(_, trials)| **trials > 0);
            guide.take(draw_of(seed), reached.map(|(state, _)| state.as_str()));
            take(subject, seed, draw_of(seed), trial, sum, ledger.as_deref_mut())?;
            progress.at(sum.trials - before, || format!("{} failed, {} findings", sum.failed, sum.findings.len()));
            let has_found = args.until_bug && sum.has_bug();
            Ok(if has_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// A trial is summed up, and written down where there is a ledger.
fn take(
    subject: &mut Subject,
    seed: u64,
    draw: &Draw,
    trial: Campaign,
    sum: &mut Campaign,
    ledger: Option<&mut Ledger>,
) -> Result<(), Failure> {
    let news: Vec<_> = trial.findings.keys().filter(|identity| !sum.findings.contains_key(identity)).copied().collect();
    if !news.is_empty() || trial.unmet.keys().any(|unmet| !sum.unmet.contains_key(unmet)) {
        subject.remember(seed, draw);
    }
    if let Some(ledger) = ledger {
        keep::keep(subject, seed, news.into_iter(), ledger)?;
        ledger.take_steering(trial.clone(), bits_of(&trial))?;
    }
    sum.add(trial);
    Ok(())
}

/// What a trial reached, a bit for each state in the order of their names.
fn bits_of(trial: &Campaign) -> u64 {
    let bit = |(nth, trials): (usize, &u64)| u64::from(*trials > 0) << nth;
    trial.reached.values().enumerate().map(bit).sum()
}

fn states_of(bits: u64, names: &[String]) -> impl Iterator<Item = &str> {
    names.iter().enumerate().filter(move |(nth, _)| bits >> nth & 1 == 1).map(|(_, name)| name.as_str())
}

/// Runs these seeds of a generation; breaks where `each` does, or where it was interrupted.
fn trials<'a>(
    args: &SearchArgs,
    subject: &mut Subject,
    seeds: std::ops::Range<u64>,
    draw_of: impl Fn(u64) -> &'a Draw + Sync,
    mut each: impl FnMut(&mut Subject, u64, Campaign) -> Result<ControlFlow<()>, Failure>,
) -> Result<ControlFlow<()>, Failure> {
    let set = match subject {
        Subject::Swarm { set, .. } => set.clone(),
        Subject::Scenario(_) => Vec::new(),
    };
    let wanted = seeds.end - seeds.start;
    let work = |seed: u64, go_on: &dyn Fn() -> bool| match draw_of(seed).scenario(&set) {
        Ok(scenario) => one_trial(&Arc::new(scenario), seed, go_on).map(Ok),
        Err(error) => Some(Err(error)),
    };
    let (mut failure, mut done, mut is_enough) = (None, 0, false);
    workers::in_order(seeds, args.jobs.jobs(), work, |seed, trial| {
        done += 1;
        let taken = trial.map_err(Failure::from).and_then(|trial| each(subject, seed, trial));
        let flow = taken.unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        });
        is_enough = flow.is_break();
        flow
    });
    match failure {
        Some(error) => Err(error),
        None if is_enough || done < wanted => Ok(ControlFlow::Break(())),
        None => Ok(ControlFlow::Continue(())),
    }
}
