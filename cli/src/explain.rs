//! `trial explain`: how each finding came to be, or what became of one record.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use trial_checker::Step;
use trial_sim::futures::Course;
use trial_sim::log::Milliseconds;
use trial_sim::recording::{End, Reader, RecordingError};
use trial_sim::scenario::parse;
use trial_sim::story::Story;
use trial_sim::trace::TraceEvent;
use trial_sim::trial::{Both, Report};
use trial_sim::world::{Note, Sink, World};

use crate::args::ExplainArgs;
use crate::failure::Failure;
use crate::json::FindingJson;
use crate::output::{Ending, Out};
use crate::rewind::{self, RewoundJson};
use crate::source::Source;
use crate::verdict::{heading, identity_of, print_finding};
use crate::{interrupt, mermaid};

/// A run that is to be made again.
pub struct Subject {
    /// Its scenario.
    pub source: Source,
    /// Its seed.
    pub seed: u64,
    /// How the recorded run ended, if it is one and was recorded to its end.
    pub recorded: Option<End>,
}

/// Explains.
pub fn explain(args: &ExplainArgs, json: bool, out: &mut Out) -> Result<Ending, Failure> {
    let subject = subject(args)?;
    let mut watch = Watch { causes: Causes::default(), story: args.record.map(Story::of) };
    let go_on = || !interrupt::happened();
    let course = Course::take(&subject.source.scenario, subject.seed, &mut watch, &go_on);
    let report = &course.report;
    let differs = subject.recorded.as_ref().is_some_and(|end| end.digest != report.digest) && !interrupt::happened();
    if differs {
        eprintln!("error: replaying the recording gave another run: this build is not deterministic");
    }
    match watch.story {
        Some(story) => tell_story(story, args, &subject, report, &watch.causes, json, out)?,
        None if json => {
            let findings = report.verdict.findings.iter().map(FindingJson::of).collect();
            let reproduce = subject.source.reproduce(subject.seed);
            let rewound = args.rewind.then(|| rewind::rewind(&subject, &course, args.futures));
            let rewind = rewound.as_ref().map(|all| all.iter().map(|one| RewoundJson::of(one, args.futures)).collect());
            out.json(&ExplainJson { scenario: &report.scenario, seed: report.seed, findings, rewind, reproduce })?;
        }
        None if args.rewind => {
            let rewound = rewind::rewind(&subject, &course, args.futures);
            if rewound.is_empty() {
                out.line(format_args!("Nothing to rewind was found in {} seed {}.", report.scenario, subject.seed))?;
            }
            rewind::print(&rewound, args.futures, out)?;
        }
        None => tell_findings(args, &subject, report, &watch.causes, out)?,
    }
    Ok(Ending {
        interrupted: interrupt::happened(),
        nondeterministic: differs,
        failed: report.failed(),
        vacuous: report.is_vacuous(),
    })
}

/// A recording says what it is by its first bytes; anything else is a scenario.
fn subject(args: &ExplainArgs) -> Result<Subject, Failure> {
    let path = Path::new(&args.subject);
    if !begins_as_a_recording(path) {
        let source = Source::load(&args.subject, &args.changes.set)?;
        return Ok(Subject { source, seed: args.seed.unwrap_or(1), recorded: None });
    }
    if args.seed.is_some() || !args.changes.set.is_empty() {
        let what = "a recording has its own seed and scenario: --seed and --set cannot change them";
        return Err(Failure::usage(what, ["explain the scenario instead of the recording".to_string()]));
    }
    recorded(path)
}

/// The run that a recording is of.
pub fn recorded(path: &Path) -> Result<Subject, Failure> {
    let recording = |error: RecordingError| Failure::Recording { path: path.to_path_buf(), error };
    let file = File::open(path).map_err(|error| recording(error.into()))?;
    let mut reader = Reader::new(BufReader::new(file)).map_err(recording)?;
    let mut events = 0_u64;
    while reader.next_event().map_err(recording)?.is_some() {
        events += 1;
    }
    let header = reader.header().clone();
    let scenario = Arc::new(parse(&format!("{}.toml", header.name), &header.scenario, &[])?);
    match reader.end() {
        Some(_) => eprintln!("note: replaying {} seed {}, recorded with {events} events", header.name, header.seed),
        None => eprintln!("note: replaying {} seed {}, whose recording was interrupted", header.name, header.seed),
    }
    let source = Source { given: header.name, set: Vec::new(), scenario };
    Ok(Subject { source, seed: header.seed, recorded: reader.end().cloned() })
}

/// Is it a recording, by its first bytes?
pub fn begins_as_a_recording(path: &Path) -> bool {
    let mut first = Vec::new();
    let read = File::open(path).and_then(|file| file.take(8).read_to_end(&mut first));
    read.is_ok() && first == b"TRIALREC"
}

fn tell_findings(
    args: &ExplainArgs,
    subject: &Subject,
    report: &Report,
    causes: &Causes,
    out: &mut Out,
) -> Result<(), Failure> {
    let findings = &report.verdict.findings;
    if findings.is_empty() {
        out.line(format_args!("Nothing was found in {} seed {}.", report.scenario, subject.seed))?;
    }
    for (nth, finding) in (1..).zip(findings) {
        if args.mermaid {
            // A diagram stands for itself; its title is a comment of the language.
            out.line(format_args!("%% {nth} of {}: {}", findings.len(), finding.summary))?;
            out.line(mermaid::flowchart(&finding.chain, causes))?;
        } else {
            out.line(format_args!("{nth} of {}: {}", findings.len(), heading(identity_of(finding))))?;
            print_finding(finding, out)?;
            out.line("")?;
        }
    }
    for group in report.verdict.groups.iter().filter(|g| g.count > trial_checker::Verdict::SHOWN_PER_GROUP) {
        eprintln!(
            "note: of {} {} only the first {} are explained",
            group.count,
            group.code,
            trial_checker::Verdict::SHOWN_PER_GROUP
        );
    }
    Ok(())
}

fn tell_story(
    story: Story,
    args: &ExplainArgs,
    subject: &Subject,
    report: &Report,
    causes: &Causes,
    json: bool,
    out: &mut Out,
) -> Result<(), Failure> {
    let record = args.record.unwrap_or_default();
    let Some((steps, summary)) = story.finish() else {
        let sent = report.verdict.counters.get("sends").copied().unwrap_or_default();
        let help =
            if sent == 0 { "no record was sent at all".to_string() } else { format!("valid: 0 to {}", sent - 1) };
        return Err(Failure::usage(format!("--record {record}: record r{record} was not sent"), [help]));
    };
    if json {
        let reproduce = subject.source.reproduce(subject.seed);
        return out.json(&StoryJson {
            scenario: &report.scenario,
            seed: report.seed,
            record,
            summary,
            steps,
            reproduce,
        });
    }
    if args.mermaid {
        out.line(format_args!("%% {summary}"))?;
        return out.line(mermaid::flowchart(&steps, causes));
    }
    for step in &steps {
        out.line(format_args!(
            "t={:>13} #{:<6} {}",
            Milliseconds(step.virtual_ns).to_string(),
            step.event,
            step.sentence
        ))?;
    }
    out.line("")?;
    out.line(summary)
}

/// The causes of every event, by its number.
#[derive(Default)]
pub struct Causes(Vec<Vec<u64>>);

impl Causes {
    /// The causes of an event, as the trace has them.
    pub fn of(&self, event: u64) -> &[u64] {
        // Events are numbered from 1 without gaps.
        let index = usize::try_from(event).ok().and_then(|event| event.checked_sub(1));
        index.and_then(|index| self.0.get(index)).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Sink for Causes {
    fn after_step(&mut self, _world: &World, events: &[TraceEvent], _notes: &[Note]) {
        self.0.extend(events.iter().map(|event| event.causes.iter().map(|cause| cause.0).collect()));
    }
}

/// The causes, and the story if one was asked for.
struct Watch {
    causes: Causes,
    story: Option<Story>,
}

impl Sink for Watch {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], notes: &[Note]) {
        match &mut self.story {
            Some(story) => Both(&mut self.causes, story).after_step(world, events, notes),
            None => self.causes.after_step(world, events, notes),
        }
    }
}

#[derive(Serialize)]
struct ExplainJson<'a> {
    scenario: &'a str,
    seed: u64,
    findings: Vec<FindingJson<'a>>,
    /// With `--rewind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    rewind: Option<Vec<RewoundJson<'a>>>,
    reproduce: String,
}

#[derive(Serialize)]
struct StoryJson<'a> {
    scenario: &'a str,
    seed: u64,
    record: u64,
    summary: String,
    steps: Vec<Step>,
    reproduce: String,
}
