//! The verdict for people: what producers believed against what is true, then what was found and how it came to be.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use trial_checker::{Class, Deliveries, Finding, Outcome};
use trial_sim::campaign::{Campaign, Identity};
use trial_sim::log::Milliseconds;
use trial_sim::trial::Report;
use trial_sim::world::Pauses;

use crate::failure::Failure;
use crate::json::outcome;
use crate::output::Out;

/// So many more findings of a kind are named after the one that is told in full; the others are counted.
const NAMED: usize = 4;

/// Prints the verdict on a trial; the last lines say what matters most.
pub fn print(report: &Report, out: &mut Out) -> Result<(), Failure> {
    let verdict = &report.verdict;
    out.line(verdict.belief_truth)?;
    if !verdict.delivery.is_empty() {
        out.line("")?;
        out.line(Deliveries(&verdict.delivery))?;
    }
    out.line("")?;
    let metrics = verdict.metrics.to_string();
    if !metrics.is_empty() {
        out.line(metrics)?;
        out.line("")?;
    }
    print_counters(&verdict.counters, out)?;
    out.line("")?;
    print_pauses(report, out)?;
    print_findings(report, out)?;
    for reason in &verdict.vacuous_because {
        out.line(format_args!("vacuous: {reason}"))?;
    }
    for unmet in &report.unmet {
        out.line(format_args!("[expect] not met: {unmet}"))?;
    }
    if !verdict.vacuous_because.is_empty() || !report.unmet.is_empty() {
        out.line("")?;
    }
    let (word, style) = match outcome(report) {
        Outcome::Pass => ("PASS", AnsiColor::Green.on_default().bold()),
        Outcome::Fail => ("FAIL", AnsiColor::Red.on_default().bold()),
        Outcome::Vacuous => ("VACUOUS", AnsiColor::Yellow.on_default().bold()),
    };
    out.line(format_args!("{style}{word}{style:#}  {} seed {}: {}", report.scenario, report.seed, in_short(report)))?;
    out.line(format_args!(
        "{} events in {} ms of virtual time, digest {}",
        report.events,
        Milliseconds(report.virtual_ns),
        report.digest
    ))
}

/// How long rebalances kept members of groups from their work.
fn print_pauses(report: &Report, out: &mut Out) -> Result<(), Failure> {
    if report.pauses.is_empty() {
        return Ok(());
    }
    out.line("stood still in rebalances, from partitions taken away to partitions or records given:")?;
    for (member, pauses) in &report.pauses {
        let Pauses { count, together, longest, .. } = *pauses;
        let (together, longest) = (together / 1_000_000, longest / 1_000_000);
        let often = times(u64::from(count));
        out.line(format_args!("  {member:<8} {often}, {together} ms in all, {longest} ms the longest"))?;
    }
    out.line("")
}

/// `BUG lost-write 2 times; ALLOWED(acks-1) lost-write once`
fn in_short(report: &Report) -> String {
    let groups = Campaign::of(report).findings;
    let told: Vec<String> =
        groups.iter().map(|(id, tally)| format!("{} {}", heading(*id), times(tally.count))).collect();
    if told.is_empty() { "nothing was found".to_string() } else { told.join("; ") }
}

/// Every kind of finding with how often it was made: the first one with its causal chain, some more in a line each.
pub fn print_findings(report: &Report, out: &mut Out) -> Result<(), Failure> {
    for (identity, tally) in Campaign::of(report).findings {
        out.line(format_args!("{}: {}", heading(identity), times(tally.count)))?;
        let of_this = |finding: &&Finding| identity_of(finding) == identity;
        let mut findings = report.verdict.findings.iter().filter(of_this);
        let mut told = 0;
        if let Some(first) = findings.next().filter(|_| !identity.is_light()) {
            print_finding(first, out)?;
            told += 1;
            for finding in findings.take(NAMED) {
                out.line(format_args!("  {}", finding.summary))?;
                told += 1;
            }
        } else if let Some(first) = report.verdict.findings.iter().find(of_this) {
            out.line(format_args!("  {}", first.summary))?;
            told += 1;
        }
        let rest = tally.count - told;
        if rest > 0 {
            out.line(format_args!("  … and {rest} more of this kind"))?;
        }
        out.line("")?;
    }
    Ok(())
}

/// One finding with its causal chain.
pub fn print_finding(finding: &Finding, out: &mut Out) -> Result<(), Failure> {
    let bold = Style::new().bold();
    out.line(format_args!("  {bold}{}{bold:#}", finding.summary))?;
    for step in &finding.chain {
        // The sentence names its node and time.
        out.line(format_args!(
            "    t={:>13} #{:<6} {}",
            Milliseconds(step.virtual_ns).to_string(),
            step.event,
            step.sentence
        ))?;
    }
    Ok(())
}

/// What makes a finding the same as another.
pub fn identity_of(finding: &Finding) -> Identity {
    Identity { class: finding.class, code: finding.code, rule: finding.rule }
}

/// `ALLOWED(acks-1) lost-write`
pub fn heading(identity: Identity) -> String {
    let Identity { class, code, rule } = identity;
    let style = style_of(class);
    let rule = rule.map_or(String::new(), |rule| format!("({rule})"));
    format!("{style}{class}{style:#}{rule} {code}")
}

fn style_of(class: Class) -> Style {
    match class {
        Class::Bug => AnsiColor::Red.on_default().bold(),
        Class::Unknown => AnsiColor::Magenta.on_default().bold(),
        Class::Allowed => AnsiColor::Yellow.on_default().bold(),
        Class::Info => AnsiColor::Cyan.on_default().bold(),
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_string() } else { format!("{count} times") }
}

/// Counters in columns: first what happened, then what never did.
pub fn print_counters(counters: &BTreeMap<String, u64>, out: &mut Out) -> Result<(), Failure> {
    let happened: Vec<String> =
        counters.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {n}")).collect();
    let never: Vec<&str> = counters.iter().filter(|(_, n)| **n == 0).map(|(name, _)| name.as_str()).collect();
    for (heading, words) in [("happened", happened.join(", ")), ("never", never.join(", "))] {
        if !words.is_empty() {
            print_folded(heading, &words, out)?;
        }
    }
    Ok(())
}

/// The rare states: in how many of a hundred trials each was reached, the rarest first, and those that no trial reached.
pub fn print_reached(reached: &BTreeMap<String, u64>, trials: u64, out: &mut Out) -> Result<(), Failure> {
    let mut by_trials: Vec<(u64, &str)> = reached.iter().map(|(name, n)| (*n, name.as_str())).collect();
    by_trials.sort_unstable();
    let share = |n: u64| match 100 * n / trials.max(1) {
        0 => format!("{n} of {trials}"),
        per_hundred => format!("{per_hundred} %"),
    };
    let some = by_trials.iter().filter(|(n, _)| *n > 0);
    let some: Vec<String> = some.map(|(n, name)| format!("{name} {}", share(*n))).collect();
    let none: Vec<&str> = by_trials.iter().filter(|(n, _)| *n == 0).map(|(_, name)| *name).collect();
    for (heading, words) in [("reached", some.join(", ")), ("missed", none.join(", "))] {
        if !words.is_empty() {
            print_folded(heading, &words, out)?;
        }
    }
    Ok(())
}

/// Words after a heading, folded at 110 columns.
fn print_folded(heading: &str, words: &str, out: &mut Out) -> Result<(), Failure> {
    let mut line = format!("{heading:<9}");
    for word in words.split_inclusive(", ") {
        if line.len() + word.len() > 110 {
            out.line(line.trim_end())?;
            line = " ".repeat(9);
        }
        line.push_str(word);
    }
    out.line(line.trim_end())
}
