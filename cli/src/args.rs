//! The command line, as cli.md and `--help` have it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use trial_sim::build_id::VERSION_AND_CORE;
use trial_sim::scenario::parse_duration;

/// Seeds are unsigned 53-bit integers: every JSON reader can hold them.
pub const SEED_END: u64 = 1 << 53;

/// A deterministic simulation testbed for Kafka: every run is decided by its scenario and its seed.
#[derive(Debug, Parser)]
#[command(name = "trial", version = VERSION_AND_CORE, max_term_width = 110)]
#[command(after_help = "\
Example: trial run leader-crash --seed 7
Exit codes: 0 passed, 1 a BUG or a failed [expect], 2 wrong input, 3 vacuous, 4 not deterministic, 130 interrupted")]
pub struct Cli {
    /// Print JSON for machines on standard output, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one trial: its log, the verdict with explanations, and the line that reproduces it
    #[command(after_help = "\
Examples:
  trial run leader-crash --seed 7
  trial run leader-crash --seed 7 --set producer.acks=1 --only partition=orders-0,from=5s,to=20s
  trial run my.toml --log none --verify --json")]
    Run(RunArgs),
    /// List the built-in scenarios and the switches of the bug zoo
    #[command(after_help = "Example: trial list")]
    List,
}

/// Which scenario is run, and how it is changed.
#[derive(Debug, Args)]
pub struct ScenarioArgs {
    /// Override a key of the scenario, for instance producer.acks=1; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `trial run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A scenario file, or the name of a built-in scenario (see `trial list`)
    #[arg(required_unless_present = "legend")]
    pub scenario: Option<String>,
    /// What the run draws from: 0 to 2^53 - 1
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = parse_seed)]
    pub seed: u64,
    /// How the scenario is changed.
    #[command(flatten)]
    pub changes: ScenarioArgs,
    /// Which events are printed [default: short]
    #[arg(long, value_enum, value_name = "LOG", conflicts_with = "json")]
    pub log: Option<LogKind>,
    /// Print only these events: broker=b1, partition=orders-0, from=5s, to=20s, joined by commas; several brokers
    /// (or other nodes) or partitions mean any of them
    #[arg(long, value_name = "FILTER", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Print what the columns of the log mean
    #[arg(long)]
    pub legend: bool,
    /// Record the trace into this file, for `trial explain`
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Run it twice at once and compare event by event; exit code 4 if they differ
    #[arg(long)]
    pub verify: bool,
}

/// Which events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogKind {
    /// Faults and changes of state
    Short,
    /// Every event
    Full,
    /// None
    None,
}

/// Reads a seed.
pub fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse::<u64>()
        .ok()
        .filter(|seed| *seed < SEED_END)
        .ok_or_else(|| format!("a seed is a whole number from 0 to {}", SEED_END - 1))
}

/// Reads a virtual time.
pub fn parse_time(text: &str) -> Result<u64, String> {
    parse_duration(text)
}
