//! `trial explore acks`: configurations × classes of faults, how likely a loss is and what it costs to avoid it.

mod rows;
mod tables;

use std::fs;
use std::ops::ControlFlow;

use trial_sim::explore::{Configuration, Exploration, Outcome, Plan};

use crate::args::ExploreAcksArgs;
use crate::failure::Failure;
use crate::output::{Ending, Out};
use crate::progress::Progress;
use crate::{interrupt, workers};

/// Explores, and tells what is known when it is over or interrupted.
pub fn acks(args: &ExploreAcksArgs, json: bool, out: &mut Out) -> Result<Ending, Failure> {
    let configurations = if args.grid { Configuration::grid() } else { Configuration::named() };
    let plan = Plan::new(configurations)?;
    // A file that cannot be written is told before the work, not after it.
    let write_csv = |text: &str| match &args.csv {
        Some(path) => fs::write(path, text).map_err(|error| Failure::File { path: path.clone(), error }),
        None => Ok(()),
    };
    write_csv("")?;
    let exploration = explore(&plan, args);
    let interrupted = interrupt::happened();
    let rows = rows::of(&exploration);
    write_csv(&rows::csv(&rows))?;
    if json {
        out.json(&rows::ExploreJson { seeds: exploration.seeds, rows: &rows })?;
    } else {
        if interrupted {
            out.line("Interrupted: this is what was known by then.")?;
        }
        tables::print(&exploration, &rows, out)?;
    }
    let with_bug: Vec<&rows::Row> = rows.iter().filter(|row| row.bug.is_some()).collect();
    for row in &with_bug {
        eprintln!("BUG in {}", row.bug.as_deref().unwrap_or_default());
    }
    let vacuous = exploration.seeds > 0 && rows.iter().all(|row| row.vacuous == row.runs);
    Ok(Ending { interrupted, failed: !with_bug.is_empty(), vacuous, ..Ending::GOOD })
}

/// Runs what was asked for. Of a seed that was not finished in all cells nothing counts, so that cells can be compared.
fn explore(plan: &Plan, args: &ExploreAcksArgs) -> Exploration {
    let mut exploration = Exploration::of(plan);
    let runs = args.seeds.saturating_mul(plan.runs_per_seed());
    let mut progress = Progress::of_runs(runs);
    let mut of_seed: Vec<Outcome> = Vec::new();
    let work = |nth: u64, go_on: &dyn Fn() -> bool| plan.run(nth, &|| go_on() && !interrupt::happened());
    workers::in_order(0..runs, args.jobs.jobs(), work, |nth, outcome| {
        of_seed.push(outcome);
        if of_seed.len() as u64 == plan.runs_per_seed() {
            exploration.take(&of_seed);
            of_seed.clear();
        }
        progress.at(nth + 1, || format!("{} seeds through all cells", exploration.seeds));
        ControlFlow::Continue(())
    });
    exploration
}
