//! `trial check`: the history checker on a history from elsewhere, or on what clients saw in a recording.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Serialize;
use trial_checker::input::{self, Format, InputError};
use trial_checker::metrics::Service;
use trial_checker::operations::{
    Consumer, History, HistoryFinding, Isolation, Options, Report, check as check_history,
};
use trial_checker::{Class, Outcome};
use trial_sim::campaign::Identity;
use trial_sim::log::Milliseconds;
use trial_sim::trial::run_while;
use trial_sim::world::Carriage;

use crate::args::{Acks, CheckArgs, ConsumerKind, HistoryFormat, IsolationLevel};
use crate::client_history::{ClientHistory, options_of};
use crate::failure::Failure;
use crate::output::{Ending, Out};
use crate::verdict::{heading, print_counters};
use crate::{explain, interrupt};

/// So many findings of a kind are told.
const TOLD: usize = 5;

#[derive(Serialize)]
struct CheckJson<'a> {
    valid: bool,
    findings: &'a [HistoryFinding],
    counters: &'a std::collections::BTreeMap<String, u64>,
}

/// Checks.
pub fn check(args: &CheckArgs, json: bool, out: &mut Out) -> Result<Ending, Failure> {
    let path = Path::new(&args.history);
    let (history, known) = if explain::begins_as_a_recording(path) {
        of_recording(path)?
    } else {
        (read(&args.history, args.format)?, Options::default())
    };
    let report = check_history(&history, options(args, known));
    if json {
        out.json(&CheckJson { valid: report.valid, findings: &report.findings, counters: &report.counters })?;
    } else {
        print(&report, &args.history, out)?;
    }
    Ok(Ending {
        interrupted: interrupt::happened(),
        nondeterministic: false,
        failed: !report.valid,
        vacuous: report.outcome == Outcome::Vacuous,
    })
}

/// The history of a recording, by running it again, and what its scenario says of the configuration.
pub fn of_recording(path: &Path) -> Result<(History, Options), Failure> {
    let subject = explain::recorded(path)?;
    let mut clients = ClientHistory::default();
    let go_on = || !interrupt::happened();
    let scenario = &subject.source.scenario;
    let report = run_while(scenario, subject.seed, Carriage::Typed, &mut clients, &go_on);
    if subject.recorded.as_ref().is_some_and(|end| end.digest != report.digest) && go_on() {
        eprintln!("error: replaying the recording gave another run: this build is not deterministic");
    }
    Ok((clients.finish()?, options_of(scenario)))
}

fn read(given: &str, format: Option<HistoryFormat>) -> Result<History, Failure> {
    let path = Path::new(given);
    let format = format.map(|format| match format {
        HistoryFormat::Edn => Format::Edn,
        HistoryFormat::Jsonl => Format::JsonLines,
    });
    let input: Box<dyn BufRead> = if given == "-" {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(path).map_err(|error| Failure::File { path: path.to_path_buf(), error })?;
        Box::new(BufReader::with_capacity(1 << 20, file))
    };
    input::read(input, format).map_err(|error| match error {
        InputError::Io(error) => Failure::File { path: path.to_path_buf(), error },
        error => Failure::History { path: path.to_path_buf(), error },
    })
}

fn options(args: &CheckArgs, known: Options) -> Options {
    Options {
        isolation: args.isolation.map_or(known.isolation, |level| match level {
            IsolationLevel::ReadCommitted => Isolation::ReadCommitted,
            IsolationLevel::ReadUncommitted => Isolation::ReadUncommitted,
        }),
        acks: args.acks.map_or(known.acks, |acks| match acks {
            Acks::All => -1,
            Acks::One => 1,
            Acks::Zero => 0,
        }),
        idempotence: args.idempotence.unwrap_or(known.idempotence),
        max_in_flight: args.max_in_flight.unwrap_or(known.max_in_flight),
        consumer: args.consumer.map_or(known.consumer, |consumer| match consumer {
            ConsumerKind::Assign => Some(Consumer::Assign),
            ConsumerKind::Subscribe => Some(Consumer::Subscribe),
        }),
        unclean_election: args.unclean_election.or(known.unclean_election),
        min_insync_replicas: args.min_insync_replicas.or(known.min_insync_replicas),
        power_loss: args.power_loss.unwrap_or(known.power_loss),
    }
}

fn print(report: &Report, given: &str, out: &mut Out) -> Result<(), Failure> {
    out.line(report.belief_truth)?;
    out.line("")?;
    for (what, service) in [("without an acknowledgement", Service::Send), ("unread", Service::Read)] {
        let of_service = report.unavailability.iter().filter(|without| without.service == service);
        if let Some(longest) = of_service.max_by_key(|without| without.lasted) {
            let lasted = Milliseconds(longest.lasted);
            out.line(format_args!("longest {what}: {} for {lasted} ms", longest.partition))?;
        }
    }
    print_counters(&report.counters, out)?;
    out.line("")?;
    for group in &report.groups {
        let identity = Identity { class: group.class, code: group.code, rule: group.rule };
        let times = if group.count == 1 { "once".to_string() } else { format!("{} times", group.count) };
        out.line(format_args!("{}: {times}", heading(identity)))?;
        let same = |f: &&HistoryFinding| (f.class, f.code, f.rule) == (group.class, group.code, group.rule);
        for finding in report.findings.iter().filter(same).take(TOLD) {
            let ops: Vec<String> = finding.ops.iter().take(12).map(u32::to_string).collect();
            let more = if finding.ops.len() > ops.len() { ", …" } else { "" };
            out.line(format_args!("  {} (operations {}{more})", finding.summary, ops.join(", ")))?;
        }
        let rest = group.count.saturating_sub(TOLD as u64);
        if rest > 0 {
            out.line(format_args!("  … and {rest} more of this kind"))?;
        }
        out.line("")?;
    }
    for reason in &report.vacuous_because {
        out.line(format_args!("vacuous: {reason}"))?;
    }
    let word = match report.outcome {
        Outcome::Pass => "PASS",
        Outcome::Fail => "FAIL",
        Outcome::Vacuous => "VACUOUS",
    };
    let count = |class: Class| report.groups.iter().filter(|g| g.class == class).map(|g| g.count).sum::<u64>();
    let classes = [Class::Bug, Class::Unknown, Class::Allowed, Class::Info].map(|c| (c, count(c)));
    let told: Vec<String> =
        classes.iter().filter(|(_, n)| *n > 0).map(|(class, count)| format!("{class} {count}")).collect();
    let told = if told.is_empty() { "nothing was found".to_string() } else { told.join(", ") };
    out.line(format_args!("{word}  {given}: {told}"))
}
