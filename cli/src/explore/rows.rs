//! The table as scripts get it: one row per cell, as JSON and as CSV.

use serde::Serialize;
use trial_sim::build_id::ThisBuild;
use trial_sim::explore::{Cell, Configuration, Exploration, Worst, scenario_name};

use crate::source::shell_word;

/// The whole table.
#[derive(Serialize)]
pub struct ExploreJson<'a> {
    /// Runs of each cell: seeds 1 to this one.
    pub seeds: u64,
    /// The cells, by configuration, then by class of faults.
    pub rows: &'a [Row],
}

/// A cell.
#[derive(Serialize)]
pub struct Row {
    /// Its configuration.
    #[serde(skip)]
    pub configuration: Configuration,
    acks: String,
    min_insync_replicas: u8,
    unclean: bool,
    elr: bool,
    /// The class of faults.
    pub fault: &'static str,
    /// Runs.
    pub runs: u64,
    /// Of those, runs that lost an acknowledged record.
    pub runs_with_loss: u64,
    /// The share of these; `None` where nothing is promised. So are its bounds.
    pub p: Option<f64>,
    /// The lower end of its interval.
    pub low: Option<f64>,
    /// The upper end of its interval.
    pub high: Option<f64>,
    /// Records given to producers.
    pub sent: u64,
    /// Records that were acknowledged, with acks=1 or all.
    pub promised: u64,
    /// Of those, records that are not there.
    pub lost: u64,
    /// Records sent with acks=0 that are not there.
    pub dropped: u64,
    /// Virtual time without a good answer, of the mean run.
    pub unavailable_ms: u64,
    /// The word on a record took so long, of all but one of a hundred.
    pub produce_p99_ms: u64,
    flush_messages: bool,
    /// Runs in which acks=1 loses and this does not; `None` where there is nothing to compare.
    pub saved: Option<u64>,
    /// Runs in which this loses and acks=1 does not.
    pub broke: Option<u64>,
    worst_seed: Option<u64>,
    reproduce: Option<String>,
    /// Runs in which nothing happened.
    #[serde(skip)]
    pub vacuous: u64,
    /// The line that brings a run with a BUG back, and how many there are.
    #[serde(skip)]
    pub bug: Option<String>,
}

/// All cells, by configuration, then by class of faults.
pub fn of(exploration: &Exploration) -> Vec<Row> {
    let rows = (0..).zip(&exploration.configurations);
    rows.flat_map(|(nth, configuration)| {
        exploration.row(nth).map(move |(fault, cell)| row(exploration, nth, *configuration, fault, cell))
    })
    .collect()
}

fn row(exploration: &Exploration, nth: usize, configuration: Configuration, fault: &'static str, cell: &Cell) -> Row {
    let Configuration { acks, min_insync_replicas, unclean, elr, flush } = configuration;
    let loss = cell.loss();
    let pairs = exploration.against_acks_1(nth, fault);
    let line = |seed: u64| {
        let set: String = configuration.overrides().iter().map(|set| format!(" --set {}", shell_word(set))).collect();
        format!("trial run {} --seed {seed}{set}", scenario_name(fault))
    };
    let bug = cell.with_bug.first().map(|seed| format!("{} runs: {}", cell.with_bug.len(), line(*seed)));
    let worst_seed = cell.worst.map(|Worst { seed, .. }| seed);
    Row {
        configuration,
        acks: acks.to_string(),
        min_insync_replicas,
        unclean,
        elr,
        fault,
        runs: cell.runs,
        runs_with_loss: cell.with_loss.len() as u64,
        p: loss.map(|p| p.share),
        low: loss.map(|p| p.low),
        high: loss.map(|p| p.high),
        sent: cell.sent,
        promised: cell.promised,
        lost: cell.lost,
        dropped: cell.dropped,
        unavailable_ms: cell.unavailable_ms(),
        produce_p99_ms: cell.produce_p99_ms(),
        flush_messages: flush,
        saved: pairs.map(|pairs| pairs.saved),
        broke: pairs.map(|pairs| pairs.broke),
        worst_seed,
        reproduce: worst_seed.map(line),
        vacuous: cell.vacuous,
        bug,
    }
}

impl Row {
    /// The line that brings the worst run back.
    pub fn worst(&self) -> &str {
        self.reproduce.as_deref().unwrap_or_default()
    }
}

/// The table as CSV (RFC 4180); each row tells of which build it is.
pub fn csv(rows: &[Row]) -> String {
    let mut text = String::from(
        "acks,min_insync_replicas,unclean,elr,fault,runs,runs_with_loss,p,low,high,sent,promised,lost,dropped,\
         unavailable_ms,produce_p99_ms,flush_messages,saved,broke,worst_seed,reproduce,build\n",
    );
    let share = |share: Option<f64>| share.map_or(String::new(), |share| format!("{share:.6}"));
    let count = |count: Option<u64>| count.map_or(String::new(), |count| count.to_string());
    for row in rows {
        let fields = [
            row.acks.clone(),
            row.min_insync_replicas.to_string(),
            row.unclean.to_string(),
            row.elr.to_string(),
            row.fault.to_owned(),
            row.runs.to_string(),
            row.runs_with_loss.to_string(),
            share(row.p),
            share(row.low),
            share(row.high),
            row.sent.to_string(),
            row.promised.to_string(),
            row.lost.to_string(),
            row.dropped.to_string(),
            row.unavailable_ms.to_string(),
            row.produce_p99_ms.to_string(),
            row.flush_messages.to_string(),
            count(row.saved),
            count(row.broke),
            count(row.worst_seed),
            row.worst().to_owned(),
            ThisBuild.to_string(),
        ];
        let quoted = fields.map(|field| match field.contains([',', '"', '\n']) {
            true => format!("\"{}\"", field.replace('"', "\"\"")),
            false => field,
        });
        text.push_str(&quoted.join(","));
        text.push('\n');
    }
    text
}
