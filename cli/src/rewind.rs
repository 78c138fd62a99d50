//! `trial explain --rewind`: when did a finding become inevitable, and which fault was necessary?
//!
//! Of each kind of finding the earliest one is taken. From each step of its chain the run is forked into futures with
//! fresh randomness, and so is it just before each fault of the chain, with that fault and without it. What is counted are
//! the futures that have a finding of the same code and rule.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use serde::Serialize;
use trial_checker::{Finding, Step};
use trial_sim::campaign::Identity;
use trial_sim::futures::{Course, Fork, StepNo};
use trial_sim::log::Milliseconds;
use trial_sim::proportion::Proportion;
use trial_sim::trial::Report;

use crate::explain::Subject;
use crate::failure::Failure;
use crate::output::Out;
use crate::progress::Progress;
use crate::verdict::{heading, identity_of, print_finding};
use crate::{interrupt, workers};

/// What the futures of one finding came to.
pub struct Rewound<'a> {
    finding: &'a Finding,
    likely: Vec<(&'a Step, Proportion)>,
    necessary: Vec<Necessary<'a>>,
}

/// A fault of the chain.
struct Necessary<'a> {
    step: &'a Step,
    with: Proportion,
    without: Proportion,
}

/// Futures of one fork: after so many steps, without the fault at that place of the timeline.
type Question = (StepNo, Option<usize>);

/// Rewinds the earliest finding of each kind. Whoever interrupts it gets the kinds that are done.
pub fn rewind<'a>(subject: &Subject, course: &'a Course, futures: u64) -> Vec<Rewound<'a>> {
    let mut earliest: BTreeMap<Identity, &Finding> = BTreeMap::new();
    for finding in &course.report.verdict.findings {
        let known = earliest.entry(identity_of(finding)).or_insert(finding);
        if finding.virtual_ms < known.virtual_ms {
            *known = finding;
        }
    }
    earliest.retain(|identity, _| !identity.is_light());
    let mut rewound = Vec::new();
    for finding in earliest.into_values() {
        let told = rewind_one(subject, course, finding, futures);
        if interrupt::happened() {
            break;
        }
        rewound.push(told);
    }
    rewound
}

fn rewind_one<'a>(subject: &Subject, course: &Course, finding: &'a Finding, futures: u64) -> Rewound<'a> {
    let after = |step: &&'a Step| course.step_of(step.event).map(|at| (*step, (at + 1, None)));
    let mut likely: Vec<(&Step, Question)> = finding.chain.iter().filter_map(|step| after(&step)).collect();
    // A chain tells what belongs together; here they stand in the order in which they happened.
    likely.sort_by_key(|(step, _)| step.event);
    let mut faults: BTreeMap<usize, (&Step, StepNo)> = BTreeMap::new();
    for step in &finding.chain {
        if let Some((fault, began)) = course.fault_behind(step.event) {
            faults.entry(fault).or_insert((step, began));
        }
    }
    let of_faults = faults.iter().flat_map(|(fault, (_, began))| [(*began, None), (*began, Some(*fault))]);
    let questions: BTreeSet<Question> = likely.iter().map(|(_, question)| *question).chain(of_faults).collect();
    let answers = ask(subject, identity_of(finding), &questions, futures);
    let answer = |question: &Question| answers.get(question).copied().unwrap_or(Proportion::new(0, 0));
    Rewound {
        finding,
        likely: likely.iter().map(|(step, question)| (*step, answer(question))).collect(),
        necessary: faults
            .iter()
            .map(|(fault, (step, began))| Necessary {
                step,
                with: answer(&(*began, None)),
                without: answer(&(*began, Some(*fault))),
            })
            .collect(),
    }
}

/// Of so many futures of each fork, how many have such a finding?
fn ask(
    subject: &Subject,
    identity: Identity,
    questions: &BTreeSet<Question>,
    futures: u64,
) -> BTreeMap<Question, Proportion> {
    let go_on = || !interrupt::happened();
    let steps: BTreeSet<StepNo> = questions.iter().map(|(step, _)| *step).collect();
    let forks = Fork::after_steps(&subject.source.scenario, subject.seed, &steps, &go_on);
    let mut progress = Progress::of_futures(questions.len() as u64 * futures);
    let mut done = 0;
    let mut answers = BTreeMap::new();
    for question in questions {
        let Some(fork) = forks.get(&question.0) else { break };
        let mut hits = 0;
        let work = |number: u64, go_on: &dyn Fn() -> bool| {
            let go_on = || go_on() && !interrupt::happened();
            fork.future(number, question.1, &go_on).map(|report| has(&report, identity))
        };
        workers::in_order(1..=futures, workers::default_jobs(), work, |_, hit| {
            hits += u64::from(hit);
            done += 1;
            progress.at(done, || format!("{} steps and faults", questions.len()));
            ControlFlow::Continue(())
        });
        answers.insert(*question, Proportion::new(hits, futures));
    }
    answers
}

fn has(report: &Report, identity: Identity) -> bool {
    report.verdict.groups.iter().any(|group| (group.code, group.rule) == (identity.code, identity.rule))
}

impl Rewound<'_> {
    /// The first step from which on every future has it.
    fn inevitable_from(&self) -> Option<&Step> {
        let evitable = |(_, share): &(&Step, Proportion)| share.hits < share.of;
        let first = self.likely.iter().rposition(evitable).map_or(0, |last| last + 1);
        self.likely.get(first).map(|(step, _)| *step)
    }
}

/// Prints what was found out, in words.
pub fn print(rewound: &[Rewound<'_>], futures: u64, out: &mut Out) -> Result<(), Failure> {
    for one in rewound {
        out.line(format_args!("{}, seen from the past:", heading(identity_of(one.finding))))?;
        print_finding(one.finding, out)?;
        out.line("")?;
        out.line(format_args!(
            "  How likely was it from there? Of {futures} futures with fresh randomness from each step:"
        ))?;
        for (step, share) in &one.likely {
            out.line(format_args!("    #{:<6} {}  {}", step.event, shown(*share), step.sentence))?;
        }
        match one.inevitable_from() {
            Some(step) => {
                let at = Milliseconds(step.virtual_ns).to_string();
                out.line(format_args!("  From #{} on, at t={at}, it was inevitable.", step.event))?;
            }
            None => out.line("  It was not inevitable before the end.")?,
        }
        out.line("")?;
        if !one.necessary.is_empty() {
            out.line(format_args!("  Which fault was necessary? Of {futures} futures from just before it:"))?;
        }
        for Necessary { step, with, without } in &one.necessary {
            let (with, without) = (shown(*with), shown(*without));
            out.line(format_args!("    #{:<6} with it    {with}  {}", step.event, step.sentence))?;
            out.line(format_args!("    {:<7} without it {without}", ""))?;
        }
        out.line("")?;
    }
    Ok(())
}

/// `170 of 200,  85.0 % (79.4 to 89.3 %)`
fn shown(share: Proportion) -> String {
    let percent = |of_one: f64| of_one * 100.0;
    let Proportion { hits, of, share, low, high } = share;
    format!("{hits:>4} of {of}, {:>5.1} % ({:.1} to {:.1} %)", percent(share), percent(low), percent(high))
}

/// The same for machines.
#[derive(Serialize)]
pub struct RewoundJson<'a> {
    code: &'a str,
    rule: Option<&'a str>,
    futures: u64,
    steps: Vec<ShareJson<'a>>,
    inevitable_from: Option<u64>,
    faults: Vec<NecessaryJson<'a>>,
}

#[derive(Serialize)]
struct ShareJson<'a> {
    event: u64,
    virtual_ms: u64,
    sentence: &'a str,
    found: u64,
    share: f64,
    low: f64,
    high: f64,
}

#[derive(Serialize)]
struct NecessaryJson<'a> {
    event: u64,
    virtual_ms: u64,
    sentence: &'a str,
    with: u64,
    without: u64,
}

impl<'a> RewoundJson<'a> {
    /// What became of `futures` futures each.
    pub fn of(rewound: &'a Rewound<'a>, futures: u64) -> Self {
        let share = |(step, share): &(&'a Step, Proportion)| ShareJson {
            event: step.event,
            virtual_ms: step.virtual_ns / 1_000_000,
            sentence: &step.sentence,
            found: share.hits,
            share: share.share,
            low: share.low,
            high: share.high,
        };
        let fault = |one: &Necessary<'a>| NecessaryJson {
            event: one.step.event,
            virtual_ms: one.step.virtual_ns / 1_000_000,
            sentence: &one.step.sentence,
            with: one.with.hits,
            without: one.without.hits,
        };
        RewoundJson {
            code: rewound.finding.code,
            rule: rewound.finding.rule,
            futures,
            steps: rewound.likely.iter().map(share).collect(),
            inevitable_from: rewound.inevitable_from().map(|step| step.event),
            faults: rewound.necessary.iter().map(fault).collect(),
        }
    }
}
