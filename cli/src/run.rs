//! `trial run`: one trial with its log, its verdict, and the line that reproduces it.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use trial_kafka::event::Weight;
use trial_sim::log::{Columns, Filter, LEGEND, Line, Milliseconds, Views};
use trial_sim::recording::{End, Header, Writer};
use trial_sim::trace::TraceEvent;
use trial_sim::trial::{Report, run_while};
use trial_sim::verify::{Divergence, Twin};
use trial_sim::world::{Carriage, Note, Sink, World};

use crate::args::{LogKind, RunArgs};
use crate::failure::Failure;
use crate::json::TrialJson;
use crate::output::{Ending, Out};
use crate::progress::Progress;
use crate::source::Source;
use crate::{interrupt, only, verdict};

/// Runs a trial.
pub fn run(args: &RunArgs, json: bool, out: &mut Out) -> Result<Ending, Failure> {
    if args.legend {
        out.line(LEGEND)?;
    }
    // clap lets the scenario be absent only with --legend, which is then all that was asked for.
    let Some(given) = &args.scenario else { return Ok(Ending::GOOD) };
    let source = Source::load(given, &args.changes.set)?;
    let scenario = &source.scenario;
    let start = World::new(scenario.clone(), args.seed);
    let filter = only::filter(&args.only, &start, scenario)?;
    let recorder = args.trace.clone().map(|path| Recorder::create(path, &Header::of(&start, scenario, args.seed)));
    let log = if json { LogKind::None } else { args.log.unwrap_or(LogKind::Short) };

    let mut watch = Watch {
        log: Log::new(log, filter, Columns::of(scenario), out),
        recorder: recorder.transpose()?,
        twin: args.verify.then(|| Twin::new(scenario, args.seed)),
        progress: Progress::of_run(),
    };
    let go_on = || !interrupt::happened();
    let report = run_while(scenario, args.seed, Carriage::Typed, &mut watch, &go_on);
    let Watch { log, recorder, twin, progress } = watch;
    drop(progress);
    log.result?;
    let interrupted = interrupt::happened();
    if let Some(recorder) = recorder {
        recorder.finish((!interrupted).then(|| End::of(&report)))?;
    }
    // An interrupted run has no end that its twin could share.
    let divergence = twin.filter(|_| !interrupted).and_then(|twin| twin.finish(&report.digest));

    let reproduce = source.reproduce(args.seed);
    if json {
        out.json(&TrialJson::of(&report, reproduce))?;
    } else {
        print(&report, log_was(args), interrupted, out)?;
        if args.verify && divergence.is_none() && !interrupted {
            out.line("Verified: a second run had the same events, byte for byte.")?;
        }
        if !report.verdict.findings.is_empty() {
            out.line(format_args!("Explain:   {}", source.explain(args.seed)))?;
        }
        out.line(format_args!("Reproduce: {reproduce}"))?;
    }
    out.flush()?;
    if json {
        report.unmet.iter().for_each(|unmet| eprintln!("[expect] not met: {unmet}"));
    }
    if let Some(divergence) = &divergence {
        tell(divergence);
    }
    Ok(Ending {
        interrupted,
        nondeterministic: divergence.is_some(),
        failed: report.failed(),
        vacuous: report.is_vacuous(),
    })
}

fn log_was(args: &RunArgs) -> bool {
    args.log != Some(LogKind::None)
}

fn print(report: &Report, after_log: bool, interrupted: bool, out: &mut Out) -> Result<(), Failure> {
    if after_log {
        out.line("")?;
    }
    if interrupted {
        out.line("Interrupted: this is what was known by then.")?;
        out.line("")?;
    }
    verdict::print(report, out)
}

fn tell(divergence: &Divergence) {
    let event = |event: &Option<TraceEvent>| match event {
        Some(event) => format!("#{} t={} ms: {}", event.id.0, Milliseconds(event.time), event.event),
        None => "it was over".to_string(),
    };
    eprintln!("error: the run is not deterministic: two runs of this seed differ on {} in", divergence.node);
    eprintln!("  first run:  {}", event(&divergence.first));
    eprintln!("  second run: {}", event(&divergence.second));
}

/// Everything that watches the run, besides the checker.
struct Watch<'a> {
    log: Log<'a>,
    recorder: Option<Recorder>,
    twin: Option<Twin>,
    progress: Progress,
}

impl Sink for Watch<'_> {
    fn after_step(&mut self, world: &World, events: &[TraceEvent], notes: &[Note]) {
        self.log.after_step(world, events, notes);
        if let Some(recorder) = &mut self.recorder {
            events.iter().for_each(|event| recorder.write(event));
        }
        if let Some(twin) = &mut self.twin {
            twin.after_step(world, events, notes);
        }
        if !self.log.fills_the_terminal() {
            let message =
                || format!("{} ms of virtual time, phase {}", Milliseconds(world.now()), world.phase().name());
            self.progress.at(0, message);
        }
    }
}

/// Prints events as they happen.
struct Log<'a> {
    least: Option<Weight>,
    filter: Filter,
    columns: Columns,
    views: Views,
    out: &'a mut Out,
    result: Result<(), Failure>,
}

impl<'a> Log<'a> {
    fn new(kind: LogKind, filter: Filter, columns: Columns, out: &'a mut Out) -> Self {
        let least = match kind {
            LogKind::None => None,
            LogKind::Short => Some(Weight::State),
            LogKind::Full => Some(Weight::Traffic),
        };
        Log { least, filter, columns, views: Views::default(), out, result: Ok(()) }
    }
    fn fills_the_terminal(&self) -> bool {
        self.least.is_some() && self.out.is_terminal()
    }
    fn after_step(&mut self, world: &World, events: &[TraceEvent], _notes: &[Note]) {
        let Some(least) = self.least else { return };
        for event in events {
            self.views.apply(event);
            let node = world.node_name(event.node);
            if self.result.is_ok() && self.filter.shows(least, node, event) {
                let line = Line { columns: self.columns, node, event, views: &self.views };
                let style = match event.event.weight() {
                    Weight::Fault => AnsiColor::Red.on_default(),
                    Weight::State => Style::new(),
                    Weight::Traffic => Style::new().dimmed(),
                };
                self.result = self.out.line(format_args!("{style}{line}{style:#}"));
            }
        }
    }
}

/// Writes the trace into a file.
pub struct Recorder {
    path: PathBuf,
    writer: Writer<BufWriter<File>>,
    result: io::Result<()>,
}

impl Recorder {
    /// Begins one.
    pub fn create(path: PathBuf, header: &Header) -> Result<Self, Failure> {
        let created = File::create(&path).and_then(|file| Writer::new(BufWriter::new(file), header));
        match created {
            Ok(writer) => Ok(Recorder { path, writer, result: Ok(()) }),
            Err(error) => Err(Failure::File { path, error }),
        }
    }
    /// Writes the next event.
    pub fn write(&mut self, event: &TraceEvent) {
        if self.result.is_ok() {
            self.result = self.writer.event(event);
        }
    }
    /// Without an end the recording says that it was interrupted.
    pub fn finish(self, end: Option<End>) -> Result<(), Failure> {
        let Recorder { path, writer, result } = self;
        let finished = result.and_then(|()| match end {
            Some(end) => writer.end(end).and_then(|mut file| file.flush()),
            None => writer.interrupted().and_then(|mut file| file.flush()),
        });
        finished.map_err(|error| Failure::File { path, error })
    }
}
