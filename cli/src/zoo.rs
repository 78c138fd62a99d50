//! `trial zoo`: is every bug of the past found when its switch is on, and under its right name?

use std::ops::ControlFlow;
use std::time::Duration;

use cpu_time::ThreadTime;
use serde::Serialize;
use trial_kafka::zoo::Switch;
use trial_sim::campaign::Campaign;
use trial_sim::zoo::{Hunt, scenarios_of};

use crate::args::ZooArgs;
use crate::failure::Failure;
use crate::output::{Ending, Out};
use crate::progress::Progress;
use crate::search::one_trial;
use crate::source::Source;
use crate::{interrupt, workers};

/// Hunts every switch that was asked for.
pub fn zoo(args: &ZooArgs, json: bool, out: &mut Out) -> Result<Ending, Failure> {
    let switches = if args.switches.is_empty() { Switch::ALL.to_vec() } else { args.switches.clone() };
    let hunted = switches.into_iter().map(|switch| Ok((switch, sources_of(switch)?)));
    let hunted: Vec<(Switch, Vec<Source>)> = hunted.collect::<Result<_, Failure>>()?;
    let mut all_good = true;
    for (switch, sources) in hunted {
        let (hunt, times) = hunt(switch, &sources, args);
        let interrupted = interrupt::happened();
        if interrupted && hunt.first_find.is_none() && hunt.unexpected.is_empty() {
            // A hunt that was cut short does not say that there is nothing to find.
            if !json {
                out.line(format_args!("{switch}: interrupted after {} seeds, not found by then", hunt.seeds()))?;
            }
            break;
        }
        all_good &= hunt.is_good();
        if json {
            out.json(&ZooJson::of(&hunt, &times))?;
        } else {
            print(&hunt, &times, &sources, out)?;
        }
        if interrupted {
            break;
        }
    }
    Ok(Ending { interrupted: interrupt::happened(), failed: !all_good, ..Ending::GOOD })
}

/// The scenarios of a switch. All switches are looked up before the first hunt begins, so that a missing one is told at
/// once.
fn sources_of(switch: Switch) -> Result<Vec<Source>, Failure> {
    let names = scenarios_of(switch);
    if names.is_empty() {
        let help = format!("one is made as scenarios/zoo-{switch}.toml with zoo = [\"{switch}\"], and built in");
        return Err(Failure::usage(format!("no scenario is made for the switch {switch}"), [help]));
    }
    names.into_iter().map(|name| Source::load(name, &[])).collect()
}

/// Runs seeds until enough is known, each with every scenario of the switch. Also the time that each find took its
/// threads: of the processor, not of the clock, so that neither other programs nor the number of threads count.
fn hunt(switch: Switch, sources: &[Source], args: &ZooArgs) -> (Hunt, Vec<Duration>) {
    let mut hunt = Hunt::new(switch);
    let (mut times, mut since) = (Vec::new(), Duration::ZERO);
    let mut progress = Progress::of_seeds(args.seeds.count());
    let work = |seed: u64, go_on: &dyn Fn() -> bool| {
        // A trial runs on one thread from its beginning to its end.
        let began = ThreadTime::now();
        let trials: Option<Vec<Campaign>> =
            sources.iter().map(|source| one_trial(&source.scenario, seed, go_on)).collect();
        trials.map(|trials| (trials, began.elapsed()))
    };
    workers::in_order(args.seeds.0.clone(), args.jobs.jobs(), work, |seed, (trials, time)| {
        since += time;
        if hunt.take(seed, &trials) {
            times.push(std::mem::take(&mut since));
        }
        progress.at(hunt.seeds(), || switch.to_string());
        if hunt.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    (hunt, times)
}

fn print(hunt: &Hunt, times: &[Duration], sources: &[Source], out: &mut Out) -> Result<(), Failure> {
    let switch = hunt.switch;
    out.line(format_args!("{switch}: {}", switch.about()))?;
    let codes: Vec<&str> = hunt.codes.iter().copied().collect();
    let codes = if codes.is_empty() { "none".to_string() } else { codes.join(", ") };
    let must = switch.must_any().join(" or ");
    match (hunt.first_find, hunt.seeds_median(), hunt.seeds_worst()) {
        (Some(find), Some(median), Some(worst)) => {
            let seconds = median_seconds(times).unwrap_or_default();
            out.line(format_args!("  found: {must} wanted, BUGs found: {codes}"))?;
            let seeds = |n| if n == 1 { "1 seed".to_string() } else { format!("{n} seeds") };
            let finds = hunt.needed.len();
            out.line(format_args!(
                "  {finds} finds: median {}, worst {}, median CPU time {seconds:.2} s",
                seeds(median),
                seeds(worst)
            ))?;
            out.line(format_args!("  {}", sources[find.scenario].reproduce(find.seed)))?;
        }
        _ if switch.is_harmless() => {
            out.line(format_args!("  a negative control: {} seeds, BUGs found: {codes}", hunt.seeds()))?;
        }
        _ => out.line(format_args!("  NOT FOUND: {must} wanted, BUGs found: {codes}"))?,
    }
    for (code, find) in &hunt.unexpected {
        out.line(format_args!("  UNEXPECTED BUG {code}: the switch may not cause it"))?;
        out.line(format_args!("  {}", sources[find.scenario].reproduce(find.seed)))?;
    }
    Ok(())
}

fn median_seconds(times: &[Duration]) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).map(Duration::as_secs_f64)
}

#[derive(Serialize)]
struct ZooJson<'a> {
    switch: &'static str,
    found: bool,
    seeds_median: Option<u64>,
    seeds_worst: Option<u64>,
    cpu_s_median: Option<f64>,
    codes: Vec<&'static str>,
    must_any: &'a [&'static str],
    may: &'a [&'static str],
}

impl ZooJson<'_> {
    fn of(hunt: &Hunt, times: &[Duration]) -> Self {
        ZooJson {
            switch: hunt.switch.name(),
            found: hunt.first_find.is_some(),
            seeds_median: hunt.seeds_median(),
            seeds_worst: hunt.seeds_worst(),
            cpu_s_median: median_seconds(times),
            codes: hunt.codes.iter().copied().collect(),
            must_any: hunt.switch.must_any(),
            may: hunt.switch.may(),
        }
    }
}
