//! The command line, as cli.md and `--help` have it.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use trial_kafka::zoo::Switch;
use trial_sim::build_id::VERSION_AND_CORE;
use trial_sim::scenario::{nearest, parse_duration};

use crate::shard::{Shard, parse_shard};

/// Seeds are unsigned 53-bit integers: every JSON reader can hold them.
pub const SEED_END: u64 = 1 << 53;

/// A deterministic simulation testbed for Kafka: every run is decided by its scenario and its seed.
#[derive(Debug, Parser)]
#[command(name = "trial", version = VERSION_AND_CORE)]
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
    /// Show the cluster at a virtual instant: quorum, brokers and topics, as Kafka's tools do and as they really are
    #[command(after_help = "\
Examples:
  trial describe leader-crash --at 12s --seed 7
  trial describe leader-crash --at 12s --quorum --json
The forms are those of kafka-metadata-quorum describe (--status, --replication) and kafka-topics --describe.")]
    Describe(DescribeArgs),
    /// Tell how each finding came to be, or what became of one record
    #[command(after_help = "\
Examples:
  trial explain leader-crash --seed 7 --set producer.acks=1
  trial explain leader-crash --seed 7 --record 1298
  trial explain leader-crash --seed 7 --set producer.acks=1 --rewind
  trial run leader-crash --seed 7 --trace run.trial --log none; trial explain run.trial --mermaid
To rewind, the run is forked at each step of a finding's chain into futures with fresh randomness, and just before each
fault of the chain into futures with it and without it; counted are those that have a finding of the same code and rule.")]
    Explain(ExplainArgs),
    /// Check the history of another cluster: Jepsen's history.edn, JSON lines, or what clients saw in a recording
    #[command(after_help = "\
Examples:
  trial check history.edn --acks all --isolation read_committed
  trial check history.jsonl --idempotence false --json
  trial run leader-crash --seed 7 --trace run.trial --log none; trial check run.trial
The options are what the file does not say. Whether acks=all lost a record by right is for the cluster to say: such a loss
is UNKNOWN unless --unclean-election and --min-insync-replicas are told. Of a recording its scenario tells them.")]
    Check(CheckArgs),
    /// Write what clients saw in a recording, as Jepsen would
    #[command(after_help = "\
Example: trial run leader-crash --seed 7 --trace run.trial --log none; trial export run.trial --to edn")]
    Export(ExportArgs),
    /// Run many seeds in parallel: what was found, how often, by which seed first
    #[command(after_help = "\
Examples:
  trial search --seeds 1..1000
  trial search chaos --seeds 1..1000 --zoo truncate-to-hw --until-bug --json
  trial search --seeds 1..1000000 --out found; trial search --seeds 1..1000000 --out found --shard 2/8
--out keeps what is known every few seconds: the same command goes on where it stopped. The task of a Slurm array job, or
the pod of a Kubernetes Indexed Job that sets JOB_COMPLETIONS, knows its shard by itself.
Counters are sums over all trials; those that begin with trials_ count trials, and medians are of one trial. Elections of
partition leaders (leader_elections) are those after the first of each partition, as the committed metadata log has them;
elections of controllers (controller_elections) include the first. Rare states are counted by the trials that reached them; a
campaign of 1000 seeds or more that draws everything, without --set, fails if it reached not all of them.")]
    Search(SearchArgs),
    /// Make a scenario as small as it can be and still show what a trial of it found
    #[command(after_help = "\
Examples:
  trial shrink chaos --seed 17 --set producer.acks=1 --out small.toml
  trial shrink zoo-truncate-to-hw --seed 1 --json
What the seed draws is written down first. Then faults, clients, partitions, brokers, controllers, records, time and configs go
as long as a finding of the same class, code and rule is left. Without --out the scenario goes to standard output, after
comments that tell what went.")]
    Shrink(ShrinkArgs),
    /// Join what the shards of a campaign have found into one report
    #[command(after_help = "\
Example: trial search --seeds 1..1000 --out found --shard 1/2; trial search --seeds 1..1000 --out found --shard 2/2
  trial merge found
A directory is one that --out named, or one of the shards in it. The campaign is complete, or the exit code is 2.")]
    Merge(MergeArgs),
    /// What a configuration saves, and what it costs: many runs of each under each class of faults
    #[command(subcommand, after_help = "Example: trial explore acks")]
    Explore(ExploreCommand),
    /// Turn bugs of Kafka's past on and see whether each is found under its right name
    #[command(after_help = "\
Examples:
  trial zoo
  trial zoo truncate-to-hw --seeds 200 --json
  trial zoo truncate-to-hw --seeds 5001..6000
Without a range the seeds start with 1; they go on until a switch was found five times; the time is CPU time of the trials that a find
took, of all threads together.")]
    Zoo(ZooArgs),
    /// Print the format of scenario files, or a commented starting point
    #[command(subcommand, after_help = "Example: trial scenario new > my.toml")]
    Scenario(ScenarioCommand),
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
    /// Print only some events, for instance broker=b1,partition=orders-0,from=5s,to=20s
    ///
    /// Any other node may stand for a broker; of several brokers, or of several partitions, each is shown.
    #[arg(long, value_name = "FILTER", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Print what the columns of the log mean
    #[arg(long, conflicts_with = "json")]
    pub legend: bool,
    /// Record the trace into this file, for `trial explain`
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Run it twice at once and compare event by event; exit code 4 if they differ
    #[arg(long)]
    pub verify: bool,
}

/// `trial describe`
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// A scenario file, or the name of a built-in scenario
    pub scenario: String,
    /// The virtual time since the start of the trial, for instance 12s
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub at: u64,
    /// Show the metadata quorum; without any of the four, all are shown
    #[arg(long)]
    pub quorum: bool,
    /// Show the brokers
    #[arg(long)]
    pub brokers: bool,
    /// Show the topics
    #[arg(long)]
    pub topics: bool,
    /// Show the groups of consumers
    #[arg(long)]
    pub groups: bool,
    /// What the run draws from: 0 to 2^53 - 1
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = parse_seed)]
    pub seed: u64,
    /// How the scenario is changed.
    #[command(flatten)]
    pub changes: ScenarioArgs,
}

/// `trial explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A recording of `trial run --trace`, a scenario file, or the name of a built-in scenario
    #[arg(value_name = "TRACE|SCENARIO")]
    pub subject: String,
    /// What the run draws from; a recording has its own [default: 1]
    #[arg(long, value_name = "N", value_parser = parse_seed)]
    pub seed: Option<u64>,
    /// How the scenario is changed.
    #[command(flatten)]
    pub changes: ScenarioArgs,
    /// Tell the story of this record instead: 1298 or r1298
    #[arg(long, value_name = "K", value_parser = parse_record)]
    pub record: Option<u64>,
    /// Tell when each kind of finding became inevitable, and which fault was necessary
    #[arg(long, conflicts_with_all = ["record", "mermaid"])]
    pub rewind: bool,
    /// Futures of each fork
    #[arg(long, value_name = "N", default_value_t = 200, requires = "rewind", value_parser = parse_futures)]
    pub futures: u64,
    /// Draw Mermaid flowcharts: solid arrows are recorded causes, dotted ones only the order in time
    #[arg(long, conflicts_with = "json")]
    pub mermaid: bool,
}

/// `trial check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The history: EDN, JSON lines, or a recording; - is standard input
    #[arg(value_name = "HISTORY")]
    pub history: String,
    /// Which notation it is in [default: as its first bytes say]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<HistoryFormat>,
    /// isolation.level of its consumers [default: read_committed]
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub isolation: Option<IsolationLevel>,
    /// acks of its producers [default: all]
    #[arg(long, value_enum, value_name = "ACKS")]
    pub acks: Option<Acks>,
    /// enable.idempotence of its producers [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub idempotence: Option<bool>,
    /// max.in.flight.requests.per.connection of its producers [default: 5]
    #[arg(long, value_name = "N")]
    pub max_in_flight: Option<u32>,
    /// How its consumers get their partitions [default: as each does in the history]
    #[arg(long, value_enum, value_name = "HOW")]
    pub consumer: Option<ConsumerKind>,
    /// unclean.leader.election.enable of its topics [default: not known]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub unclean_election: Option<bool>,
    /// min.insync.replicas of its topics [default: not known]
    #[arg(long, value_name = "N")]
    pub min_insync_replicas: Option<u32>,
    /// Machines may have lost what was not on their disks, all replicas at once [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub power_loss: Option<bool>,
}

/// How a history is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HistoryFormat {
    /// EDN, one map after the other
    Edn,
    /// JSON, one object a line
    Jsonl,
}

/// `isolation.level`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IsolationLevel {
    /// Only what is committed is read
    #[value(name = "read_committed", alias = "read-committed")]
    ReadCommitted,
    /// Whatever is in the log is read
    #[value(name = "read_uncommitted", alias = "read-uncommitted")]
    ReadUncommitted,
}

/// `acks`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Acks {
    /// All in-sync replicas
    #[value(name = "all", alias = "-1")]
    All,
    /// The leader
    #[value(name = "1")]
    One,
    /// Nobody
    #[value(name = "0")]
    Zero,
}

/// How consumers get their partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConsumerKind {
    /// They take them
    Assign,
    /// Their group gives them
    Subscribe,
}

/// `trial export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A recording of `trial run --trace`
    #[arg(value_name = "TRACE")]
    pub trace: String,
    /// The notation
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub to: ExportFormat,
    /// Write into this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What a recording is exported to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The clients' history as Jepsen's Kafka workload writes it; reads back to the same verdict
    Edn,
    /// The same as JSON lines
    Jsonl,
}

/// `trial search`
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// A scenario file, or the name of a built-in scenario [default: each seed draws its own]
    pub scenario: Option<String>,
    /// The seeds, both ends included
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    pub seeds: Seeds,
    /// How many at a time.
    #[command(flatten)]
    pub jobs: Jobs,
    /// Turn on a switch of the bug zoo; may be given several times
    #[arg(long, value_name = "SWITCH", value_parser = parse_switch)]
    pub zoo: Vec<Switch>,
    /// Stop at the first BUG
    #[arg(long)]
    pub until_bug: bool,
    /// Let coverage steer: every other seed varies a draw that reached a rare state, the rarest first
    #[arg(long, conflicts_with_all = ["scenario", "shard"])]
    pub guided: bool,
    /// Keep results there, and the first run of each finding; go on with what is there
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Run the I-th of N parts of the seeds [default: all, or what Slurm or Kubernetes say]
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    pub shard: Option<Shard>,
    /// Write the result for a build server
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// How the scenario is changed.
    #[command(flatten)]
    pub changes: ScenarioArgs,
}

/// `trial merge`
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// What --out named
    #[arg(required = true, value_name = "DIR")]
    pub directories: Vec<PathBuf>,
    /// Write the result for a build server
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// `trial zoo`
#[derive(Debug, Args)]
pub struct ZooArgs {
    /// The switches; all if none is named
    #[arg(value_name = "SWITCH", value_parser = parse_switch)]
    pub switches: Vec<Switch>,
    /// At most so many seeds per switch, from 1 on; or a range such as 5001..6000
    #[arg(long, default_value = "1000", value_name = "N", value_parser = parse_count_or_seeds)]
    pub seeds: Seeds,
    /// How many at a time.
    #[command(flatten)]
    pub jobs: Jobs,
}

/// `trial explore`
#[derive(Debug, Subcommand)]
pub enum ExploreCommand {
    /// acks, min.insync.replicas, unclean elections, ELR and flush.messages: how likely is a run to lose an acknowledged record?
    #[command(after_help = "\
Examples:
  trial explore acks
  trial explore acks --seeds 1000 --csv acks.csv
  trial explore acks --grid --json
Each configuration meets the same faults at the same instants, class by class, with the seeds 1 to N. The unit is the run;
intervals are Wilson's, 95 %; a zero is written with its upper end. UNAVAILABLE is the virtual time without a good answer while
records waited, in stretches of at least a second, of the mean run; P99 the time from a send to the word on it, good or bad, of
all but one of a hundred records. SAVED and BROKE count runs against acks=1: those that only acks=1 loses in, and those that only
this one loses in. Idempotence is off everywhere, because acks=0 and acks=1 cannot have it. In JSON and CSV p, low and high
are null or empty where nothing is promised.")]
    Acks(ExploreAcksArgs),
}

/// `trial explore acks`
#[derive(Debug, Args)]
pub struct ExploreAcksArgs {
    /// Runs of each cell: seeds 1 to N
    #[arg(long, default_value_t = 150, value_name = "N", value_parser = parse_count)]
    pub seeds: u64,
    /// Every combination of the settings, 72, instead of the eight that have a name
    #[arg(long)]
    pub grid: bool,
    /// Write the table into this file too
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// How many at a time.
    #[command(flatten)]
    pub jobs: Jobs,
}

/// How many trials run at a time.
#[derive(Debug, Args)]
pub struct Jobs {
    /// Trials at a time [default: as many as the machine has processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

impl Jobs {
    /// The number.
    pub fn jobs(&self) -> usize {
        self.jobs.map_or_else(crate::workers::default_jobs, usize::from)
    }
}

/// `trial shrink`
#[derive(Debug, Args)]
pub struct ShrinkArgs {
    /// A scenario file, or the name of a built-in scenario
    pub scenario: String,
    /// The seed that shows the finding
    #[arg(long, value_name = "N", value_parser = parse_seed)]
    pub seed: u64,
    /// Where the small scenario goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Which finding is to be kept, by its code [default: the worst]
    #[arg(long, value_name = "CODE")]
    pub finding: Option<String>,
    /// How the scenario is changed.
    #[command(flatten)]
    pub changes: ScenarioArgs,
    /// How many threads.
    #[command(flatten)]
    pub jobs: Jobs,
}

/// `trial scenario`
#[derive(Debug, Subcommand)]
pub enum ScenarioCommand {
    /// Print the whole format; with --json one key per line
    #[command(after_help = "Example: trial scenario schema | less")]
    Schema,
    /// Print a commented scenario to start from
    #[command(after_help = "Example: trial scenario new > my.toml; trial run my.toml")]
    New,
    /// Print the scenario that `trial search` without SCENARIO draws from a seed
    #[command(after_help = "Example: trial scenario swarm --seed 7 > swarm-7.toml; trial run swarm-7.toml --seed 7")]
    Swarm(SwarmArgs),
}

/// `trial scenario swarm`
#[derive(Debug, Args)]
pub struct SwarmArgs {
    /// The seed
    #[arg(long, default_value_t = 1, value_parser = parse_seed)]
    pub seed: u64,
    /// Draw some keys anew from these seeds, one after the other, as `trial search --guided` does
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = parse_seed)]
    pub vary: Vec<u64>,
    /// How the scenario is changed.
    #[command(flatten)]
    pub changes: ScenarioArgs,
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

/// Seeds from one to another, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(pub RangeInclusive<u64>);

impl Seeds {
    /// How many.
    pub fn count(&self) -> u64 {
        self.0.end() - self.0.start() + 1
    }
}

/// Reads `A..B`.
pub fn parse_seeds(text: &str) -> Result<Seeds, String> {
    let (first, last) = text.split_once("..").ok_or("seeds are a range such as 1..1000, both ends included")?;
    let (first, last) = (parse_seed(first)?, parse_seed(last)?);
    if last < first {
        return Err(format!("the range is empty: {last} is less than {first}"));
    }
    Ok(Seeds(first..=last))
}

/// Reads a number of seeds.
pub fn parse_count(text: &str) -> Result<u64, String> {
    parse_seed(text).ok().filter(|count| *count > 0).ok_or_else(|| "at least one seed is needed".to_string())
}

/// Reads a number of seeds, which are counted from 1, or `A..B`.
pub fn parse_count_or_seeds(text: &str) -> Result<Seeds, String> {
    if text.contains("..") { parse_seeds(text) } else { parse_count(text).map(|count| Seeds(1..=count)) }
}

/// Reads a number of futures, at least 1.
pub fn parse_futures(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|count| (1..=1_000_000).contains(count));
    number.ok_or_else(|| "a whole number from 1 to 1000000".to_string())
}

/// Reads the number of a record, with or without the `r` that the log puts before it.
pub fn parse_record(text: &str) -> Result<u64, String> {
    text.strip_prefix('r').unwrap_or(text).parse().map_err(|_| "a record is a number such as 42 or r42".to_string())
}

/// Reads a switch of the zoo.
pub fn parse_switch(text: &str) -> Result<Switch, String> {
    text.parse().map_err(|()| {
        let names = Switch::ALL.map(Switch::name);
        let nearest = nearest(text, names).map(|name| format!("did you mean {name:?}? "));
        format!("{}valid: {}", nearest.unwrap_or_default(), names.join(", "))
    })
}

/// Reads a virtual time.
pub fn parse_time(text: &str) -> Result<u64, String> {
    parse_duration(text)
}
