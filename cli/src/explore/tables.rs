//! The table for people: what a loss is counted by, how likely it is, what it costs to avoid it, and where to look.

use comfy_table::presets::{NOTHING, UTF8_HORIZONTAL_ONLY};
use comfy_table::{CellAlignment, ContentArrangement, Table};
use trial_sim::build_id::ThisBuild;
use trial_sim::explore::{AcksSetting, Exploration, FAULT_CLASSES, scenario_name};
use trial_sim::scenario::{builtin, parse};

use super::rows::Row;
use crate::failure::Failure;
use crate::output::Out;

/// Prints all of it.
pub fn print(exploration: &Exploration, rows: &[Row], out: &mut Out) -> Result<(), Failure> {
    let seeds = exploration.seeds;
    out.line(format_args!(
        "acks, {} configurations under {} classes of faults, seeds 1..{seeds} in each   # {ThisBuild}",
        exploration.configurations.len(),
        FAULT_CLASSES.len()
    ))?;
    if seeds == 0 {
        return Ok(());
    }
    out.line(
        "Idempotence is off everywhere: acks=0 and acks=1 cannot have it. Three replicas on three hosts in two racks.",
    )?;
    for fault in FAULT_CLASSES {
        out.line(format_args!("  {fault:<17}{}", about(fault)))?;
    }
    let vacuous: u64 = rows.iter().map(|row| row.vacuous).sum();
    if vacuous > 0 {
        out.line(format_args!(
            "In {vacuous} runs nothing happened that could have gone wrong; they are counted all the same."
        ))?;
    }
    out.line("")?;
    out.line(exploration.belief_truth)?;
    out.line("")?;
    out.line("A run loses an acknowledged record: share of runs, and its interval (Wilson, 95 %)")?;
    print_matrix(exploration, rows, loss, out)?;
    out.line("")?;
    out.line("What it costs: virtual time without a good answer in the mean run, and the 99th percentile of the time to an answer")?;
    print_matrix(exploration, rows, price, out)?;
    out.line("")?;
    print_cells(rows, out)?;
    print_sentences(exploration, rows, out)
}

fn about(fault: &str) -> String {
    let name = scenario_name(fault);
    let text = builtin().iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    text.and_then(|text| parse(&name, text, &[]).ok()).map_or(String::new(), |scenario| scenario.about)
}

/// `21 %`, and under it `15–28 %`; a zero is `0 / 150`, and under it `(≤ 2.5 %)`.
fn loss(row: &Row) -> String {
    match (row.p, row.low, row.high) {
        (Some(_), _, Some(high)) if row.runs_with_loss == 0 => format!("0 / {}\n(≤ {} %)", row.runs, percent(high)),
        (Some(share), Some(low), Some(high)) => format!("{} %\n{}–{} %", percent(share), percent(low), percent(high)),
        _ => "nothing\npromised".to_owned(),
    }
}

/// Two digits that say something.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent >= 9.95 || percent == 0.0 {
        format!("{percent:.0}")
    } else if percent >= 0.995 {
        format!("{percent:.1}")
    } else {
        format!("{percent:.2}")
    }
}

fn price(row: &Row) -> String {
    format!("{} s\np99 {}", seconds(row.unavailable_ms), short(row.produce_p99_ms))
}

fn seconds(millis: u64) -> String {
    format!("{:.1}", millis as f64 / 1_000.0)
}

fn short(millis: u64) -> String {
    if millis < 1_000 { format!("{millis} ms") } else { format!("{} s", seconds(millis)) }
}

/// Configurations by classes of faults.
fn print_matrix(
    exploration: &Exploration,
    rows: &[Row],
    cell: fn(&Row) -> String,
    out: &mut Out,
) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    if out.is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    // A word a line keeps columns narrow.
    let header = FAULT_CLASSES.map(|fault| fault.replacen('-', "\n", 1));
    table.set_header([String::new()].into_iter().chain(header));
    for (configuration, cells) in exploration.configurations.iter().zip(rows.chunks(FAULT_CLASSES.len())) {
        table.add_row([configuration.to_string()].into_iter().chain(cells.iter().map(cell)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string().lines().try_for_each(|line| out.line(line.trim_end()))
}

/// Every cell with its counts, and the run to look at.
fn print_cells(rows: &[Row], out: &mut Out) -> Result<(), Failure> {
    let header = [
        "CONFIGURATION",
        "FAULT",
        "LOSING",
        "SENT",
        "PROMISED",
        "LOST",
        "DROPPED",
        "UNAVAILABLE",
        "P99",
        "SAVED",
        "BROKE",
        "THE WORST RUN",
    ];
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header);
    let count = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    for row in rows {
        let promises = row.p.is_some();
        let promised = |number: u64| if promises { number.to_string() } else { "-".to_owned() };
        table.add_row([
            row.configuration.to_string(),
            row.fault.to_owned(),
            if promises { format!("{} / {}", row.runs_with_loss, row.runs) } else { "-".to_owned() },
            row.sent.to_string(),
            promised(row.promised),
            promised(row.lost),
            if promises { "-".to_owned() } else { row.dropped.to_string() },
            format!("{} ms", row.unavailable_ms),
            format!("{} ms", row.produce_p99_ms),
            count(row.saved),
            count(row.broke),
            row.worst().to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(2).take(9) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string().lines().try_for_each(|line| out.line(line.trim_end()))
}

/// Each configuration in a sentence: run by run against acks=1.
fn print_sentences(exploration: &Exploration, rows: &[Row], out: &mut Out) -> Result<(), Failure> {
    out.line("")?;
    for (configuration, cells) in exploration.configurations.iter().zip(rows.chunks(FAULT_CLASSES.len())) {
        let sum = |of: fn(&Row) -> u64| cells.iter().map(of).sum::<u64>();
        if configuration.acks == AcksSetting::Zero {
            let (dropped, sent) = (sum(|row| row.dropped), sum(|row| row.sent));
            out.line(format_args!("{configuration} was promised nothing, and dropped {dropped} of {sent} records."))?;
        } else if cells.iter().any(|row| row.saved.is_some()) {
            let (saved, broke) = (sum(|row| row.saved.unwrap_or_default()), sum(|row| row.broke.unwrap_or_default()));
            out.line(format_args!(
                "{configuration} against acks=1, the same seeds and faults: saved {saved} runs, broke {broke}."
            ))?;
        }
    }
    Ok(())
}
