//! `trial shrink`: the smallest scenario that still shows what a trial found.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;
use trial_checker::Class;
use trial_sim::campaign::{Campaign, Identity};
use trial_sim::scenario::to_toml;
use trial_sim::shrink::{Case, Size, THOROUGH, Wanted, shrink as shrink_case, worst_finding};
use trial_sim::trial::{Report, run_while};
use trial_sim::world::{Carriage, Unwatched};

use crate::args::ShrinkArgs;
use crate::failure::Failure;
use crate::output::{Ending, Out};
use crate::progress::Progress;
use crate::source::Source;
use crate::verdict::heading;
use crate::{interrupt, workers};

/// Shrinks.
pub fn shrink(args: &ShrinkArgs, json: bool, out: &mut Out) -> Result<Ending, Failure> {
    let source = Source::load(&args.scenario, &args.changes.set)?;
    let go_on = || !interrupt::happened();
    let report = run_while(&source.scenario, args.seed, Carriage::Typed, &mut Unwatched, &go_on);
    let wanted = wanted(args, &source, &report)?;
    let mut case = Case::concrete(&source.scenario, args.seed);
    case.scenario.name = format!("{}-{}", source.scenario.name, wanted.code);
    case.scenario.about = about(&source, args.seed, wanted);
    let before = case.size();
    let Some(kept) = Wanted::of(&case, wanted, &go_on) else {
        return Ok(Ending { interrupted: true, nondeterministic: false, failed: false, vacuous: false });
    };
    let talk = !json;
    if talk {
        out.line(format_args!("# {} of {} seed {}: {}", heading(wanted), source.given, args.seed, in_words(before)))?;
    }
    let jobs = args.jobs.jobs();
    let mut progress = Progress::of_run();
    let mut first_shown = |cases: &[Case]| first_shown(cases, kept, jobs);
    let mut said = Vec::new();
    let (small, tries) = shrink_case(
        case,
        THOROUGH,
        &mut first_shown,
        &mut |step| {
            progress.at(step.tries, || format!("{} tries, {}", step.tries, in_words(step.case.size())));
            said.push(format!("{:>6} tries: {}", step.tries, step.what));
        },
        &go_on,
    );
    drop(progress);
    let toml = to_toml(&small.scenario);
    let reproduce = match &args.out {
        Some(path) => {
            write(path, &toml)?;
            format!("trial run {} --seed {}", path.display(), small.seed)
        }
        None => format!("trial run FILE --seed {}", small.seed),
    };
    if json {
        let finding = WantedJson { class: wanted.class, code: wanted.code, rule: wanted.rule };
        let after = small.size();
        let shrunk =
            ShrunkJson { scenario: &source.given, seed: small.seed, finding, tries, before, after, toml, reproduce };
        out.json(&shrunk)?;
    } else {
        for line in said {
            out.line(format_args!("# {line}"))?;
        }
        out.line(format_args!("# after {tries} tries: {}", in_words(small.size())))?;
        out.line(format_args!("# {reproduce}"))?;
        if args.out.is_none() {
            out.line("")?;
            out.line(toml.trim_end())?;
        }
    }
    Ok(Ending { interrupted: interrupt::happened(), nondeterministic: false, failed: false, vacuous: false })
}

/// The finding that was asked for, or the worst.
fn wanted(args: &ShrinkArgs, source: &Source, report: &Report) -> Result<Identity, Failure> {
    let run = format!("{} seed {}", source.given, args.seed);
    let Some(code) = &args.finding else {
        let find_one = [format!("find one first: trial search {} --seeds 1..1000", source.given)];
        let nothing = || Failure::usage(format!("nothing to shrink: {run} shows no finding but INFO"), find_one);
        return worst_finding(report).ok_or_else(nothing);
    };
    let findings = Campaign::of(report).findings;
    findings.keys().find(|identity| identity.code == code).copied().ok_or_else(|| {
        let codes: BTreeSet<&str> = findings.keys().map(|identity| identity.code).collect();
        let help = match codes.is_empty() {
            true => "it shows none at all".to_owned(),
            false => format!("it shows {}", codes.into_iter().collect::<Vec<_>>().join(", ")),
        };
        Failure::usage(format!("nothing to shrink: {run} shows no {code}"), [help])
    })
}

/// Position of the first case that shows it, whatever number of threads looks.
fn first_shown(cases: &[Case], wanted: Wanted, jobs: usize) -> Option<usize> {
    let shown = |number: u64, go_on: &dyn Fn() -> bool| {
        let go_on = || go_on() && !interrupt::happened();
        let case = cases.get(usize::try_from(number).ok()?)?;
        wanted.is_shown_by(case, &go_on)
    };
    let mut first = None;
    workers::in_order(0..=cases.len() as u64 - 1, jobs, shown, |number, is_shown| {
        if is_shown {
            first = usize::try_from(number).ok();
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    first
}

fn about(source: &Source, seed: u64, wanted: Identity) -> String {
    let rule = wanted.rule.map_or(String::new(), |rule| format!("({rule})"));
    format!("{}{rule} {}, shrunk from {} seed {seed}", wanted.class, wanted.code, source.scenario.name)
}

fn write(path: &Path, toml: &str) -> Result<(), Failure> {
    std::fs::write(path, toml).map_err(|error| Failure::File { path: path.to_path_buf(), error })
}

/// `3 brokers, 1 controller, 5 faults, 250 records …`
fn in_words(size: Size) -> String {
    let many = |count: u64, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let mut words = vec![
        many(size.faults as u64, "fault"),
        many(u64::from(size.brokers), "broker"),
        many(u64::from(size.controllers), "controller"),
        many(size.partitions.max(0) as u64, "partition"),
        many(u64::from(size.clients), "client"),
        format!("at most {}", many(size.records, "record")),
    ];
    if size.admin_steps > 0 {
        words.push(many(size.admin_steps as u64, "step") + " of an administrator");
    }
    format!("{} in {} ms", words.join(", "), size.run_ms)
}

#[derive(Serialize)]
struct WantedJson {
    class: Class,
    code: &'static str,
    rule: Option<&'static str>,
}

#[derive(Serialize)]
struct ShrunkJson<'a> {
    scenario: &'a str,
    seed: u64,
    finding: WantedJson,
    tries: u64,
    before: Size,
    after: Size,
    toml: String,
    reproduce: String,
}
