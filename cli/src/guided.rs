//! `trial search --guided`: generations of trials, each steered by what those before it reached.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use trial_sim::campaign::Campaign;
use trial_sim::swarm::{Draw, GENERATION, Guide};

use crate::args::SearchArgs;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::search::one_trial;
use crate::workers;

/// Runs the seeds, a generation at a time. Also what the first trial of each finding drew from, by its seed.
pub fn run(args: &SearchArgs, set: &[String], sum: &mut Campaign) -> Result<BTreeMap<u64, Draw>, Failure> {
    let (first, end) = (*args.seeds.0.start(), args.seeds.0.end() + 1);
    let mut progress = Progress::of_seeds(end - first);
    let (mut guide, mut firsts) = (Guide::default(), BTreeMap::new());
    let mut from = first;
    while from < end {
        let seeds = from..end.min(from + GENERATION);
        from = seeds.end;
        let flow = generation(args, set, seeds, &mut guide, |seed, draw, trial| {
            let is_news = trial.findings.keys().any(|identity| !sum.findings.contains_key(identity))
                || trial.unmet.keys().any(|unmet| !sum.unmet.contains_key(unmet));
            if is_news && !draw.variations.is_empty() {
                firsts.insert(seed, draw.clone());
            }
            sum.add(trial);
            progress.at(sum.trials, || format!("{} failed, {} findings", sum.failed, sum.findings.len()));
            if args.until_bug && sum.has_bug() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if flow.is_break() {
            break;
        }
    }
    Ok(firsts)
}

/// Runs one generation; breaks where `each` does, or where it was interrupted.
fn generation(
    args: &SearchArgs,
    set: &[String],
    seeds: Range<u64>,
    guide: &mut Guide,
    mut each: impl FnMut(u64, &Draw, Campaign) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Failure> {
    let (first, wanted) = (seeds.start, seeds.end - seeds.start);
    let draws = guide.generation(seeds.clone());
    let draw_of = |seed: u64| &draws[(seed - first) as usize];
    let work = |seed: u64, go_on: &dyn Fn() -> bool| match draw_of(seed).scenario(set) {
        Ok(scenario) => one_trial(&Arc::new(scenario), seed, go_on).map(Ok),
        Err(error) => Some(Err(error)),
    };
    let (mut failure, mut done) = (None, 0);
    workers::in_order(seeds, args.jobs.jobs(), work, |seed, trial| match trial {
        Ok(trial) => {
            done += 1;
            let reached = trial.reached.iter().filter(|(_, trials)| **trials > 0);
            guide.take(draw_of(seed), reached.map(|(state, _)| state.as_str()));
            each(seed, draw_of(seed), trial)
        }
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    });
    match failure {
        Some(error) => Err(error.into()),
        None if done < wanted => Ok(ControlFlow::Break(())),
        None => Ok(ControlFlow::Continue(())),
    }
}
