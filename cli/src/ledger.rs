//! A campaign on disk: what it is, what has been summed up by now, and the runs worth keeping.
//!
//! ```text
//!   DIR/campaign.json      what is run: build, scenario, seeds, shard. A campaign goes on only if all of it is the same
//!   DIR/trials.jsonl       one line per stretch of finished seeds, with their sum
//!   DIR/findings/*.toml    the scenario of the first seed of each distinct finding
//!   DIR/findings/*.trial   its recording
//!   DIR/shard-I-of-N/…     the same of one shard
//! ```
//!
//! A line is written every few seconds and when the campaign ends, by Ctrl-C too. A process that is killed loses what came
//! after its last whole line: those seeds are run again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use trial_checker::Class;
use trial_sim::build_id::{CORE_HASH, ThisBuild, VERSION};
use trial_sim::campaign::{Campaign, Identity, Tally};
use trial_sim::scenario::to_toml;

use crate::failure::Failure;
use crate::shard::Shard;
use crate::subject::Subject;

/// So often a line is written.
const EVERY: Duration = Duration::from_secs(2);

/// What a campaign is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    version: String,
    core_hash: String,
    /// The file or name of the scenario, as given; none for swarm.
    given: Option<String>,
    /// The overrides.
    set: Vec<String>,
    /// The scenario with its overrides, as a file; none for swarm.
    scenario: Option<String>,
    /// The first and the last seed, of all shards.
    pub seeds: (u64, u64),
    /// Which part of them.
    pub shard: Shard,
    /// Coverage steers.
    #[serde(default)]
    pub guided: bool,
}

impl Header {
    /// Of a campaign by this build.
    pub fn of(subject: &Subject, seeds: (u64, u64), shard: Shard, guided: bool) -> Self {
        let (given, set, scenario) = match subject {
            Subject::Scenario(source) => (Some(source.given.clone()), &source.set, Some(to_toml(&source.scenario))),
            Subject::Swarm { set, .. } => (None, set, None),
        };
        let (version, core_hash) = (VERSION.to_owned(), CORE_HASH.to_owned());
        Header { version, core_hash, given, set: set.clone(), scenario, seeds, shard, guided }
    }

    /// What is run, from this build's view.
    pub fn subject(&self) -> Result<Subject, Failure> {
        Subject::load(self.given.as_deref(), &self.set, &[])
    }

    /// How it differs from a campaign that would go on with it.
    fn differs(&self, other: &Header) -> Option<String> {
        let same_build = (&self.version, &self.core_hash) == (&other.version, &other.core_hash);
        if !same_build {
            return Some(format!(
                "of another build: trial {}, core {}; this is {ThisBuild}",
                self.version, self.core_hash
            ));
        }
        let name = |header: &Header| header.given.clone().unwrap_or("swarm".to_owned());
        if (&self.given, &self.set, &self.scenario) != (&other.given, &other.set, &other.scenario) {
            let settings = if name(self) == name(other) { " with other settings" } else { "" };
            return Some(format!("of {}{settings}, not of {}", name(self), name(other)));
        }
        if self.seeds != other.seeds {
            let ((a, b), (c, d)) = (self.seeds, other.seeds);
            return Some(format!("of the seeds {a}..{b}, not {c}..{d}"));
        }
        if self.guided != other.guided {
            let word = |header: &Header| if header.guided { "guided" } else { "not guided" };
            return Some(format!("that is {}, not one that is {}", word(self), word(other)));
        }
        (self.shard != other.shard).then(|| format!("of shard {}, not {}", self.shard, other.shard))
    }

    /// The same, of two parts of a campaign.
    pub fn differs_but_for_its_shard(&self, other: &Header) -> Option<String> {
        let differs = self.differs(&Header { shard: self.shard, ..other.clone() });
        let of = || format!("of {} shards, not {}", self.shard.of, other.shard.of);
        differs.or_else(|| (self.shard.of != other.shard.of).then(of))
    }
}

/// A stretch of a campaign's seeds and its sum, as a line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    /// So many seeds of the shard were finished before.
    after: u64,
    /// The time it took.
    seconds: f64,
    trials: u64,
    passed: u64,
    failed: u64,
    vacuous: u64,
    events: u64,
    virtual_ms: u64,
    findings: Vec<FindingLine>,
    unmet: Vec<UnmetLine>,
    coverage: BTreeMap<String, u64>,
    reached: BTreeMap<String, u64>,
    controller_elections: BTreeMap<u64, u64>,
    leader_elections: BTreeMap<u64, u64>,
    rebalances: BTreeMap<u64, u64>,
    /// Of a guided campaign: what each trial reached, a bit for each key of `reached` in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steers: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct FindingLine {
    class: String,
    code: String,
    rule: Option<String>,
    count: u64,
    trials: u64,
    first_seed: u64,
}

#[derive(Serialize, Deserialize)]
struct UnmetLine {
    what: String,
    count: u64,
    trials: u64,
    first_seed: u64,
}

impl Line {
    fn of(sum: &Campaign, steers: Vec<u64>, after: u64, seconds: f64) -> Self {
        let finding = |(id, tally): (&Identity, &Tally)| FindingLine {
            class: id.class.to_string(),
            code: id.code.to_owned(),
            rule: id.rule.map(str::to_owned),
            count: tally.count,
            trials: tally.trials,
            first_seed: tally.first_seed,
        };
        let unmet = |(what, tally): (&String, &Tally)| UnmetLine {
            what: what.clone(),
            count: tally.count,
            trials: tally.trials,
            first_seed: tally.first_seed,
        };
        Line {
            after,
            seconds,
            trials: sum.trials,
            passed: sum.passed,
            failed: sum.failed,
            vacuous: sum.vacuous,
            events: sum.events,
            virtual_ms: sum.virtual_ms,
            findings: sum.findings.iter().map(finding).collect(),
            unmet: sum.unmet.iter().map(unmet).collect(),
            coverage: sum.coverage.clone(),
            reached: sum.reached.clone(),
            controller_elections: sum.controller_elections.clone(),
            leader_elections: sum.leader_elections.clone(),
            rebalances: sum.rebalances.clone(),
            steers,
        }
    }

    /// `None` if it names a class that there is not.
    fn sum(self) -> Option<Campaign> {
        let tally = |count, trials, first_seed| Tally { count, trials, first_seed };
        let finding = |line: FindingLine| {
            let classes = [Class::Bug, Class::Unknown, Class::Allowed, Class::Info];
            let class = classes.into_iter().find(|class| class.to_string() == line.class)?;
            let identity = Identity { class, code: word(&line.code), rule: line.rule.as_deref().map(word) };
            Some((identity, tally(line.count, line.trials, line.first_seed)))
        };
        let unmet = |line: UnmetLine| (line.what, tally(line.count, line.trials, line.first_seed));
        Some(Campaign {
            trials: self.trials,
            passed: self.passed,
            failed: self.failed,
            vacuous: self.vacuous,
            events: self.events,
            virtual_ms: self.virtual_ms,
            findings: self.findings.into_iter().map(finding).collect::<Option<_>>()?,
            unmet: self.unmet.into_iter().map(unmet).collect(),
            coverage: self.coverage,
            reached: self.reached,
            controller_elections: self.controller_elections,
            leader_elections: self.leader_elections,
            rebalances: self.rebalances,
        })
    }
}

/// A code or a rule, which live as long as the program. Those that this build makes are few, and files are of this build.
fn word(text: &str) -> &'static str {
    static WORDS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    // Nobody panics while it is held; if somebody did, the words would still be whole.
    let mut words = WORDS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(known) = words.get(text) {
        return known;
    }
    let new: &'static str = Box::leak(text.to_owned().into_boxed_str());
    words.insert(new);
    new
}

/// What a directory holds.
pub struct Kept {
    /// Where.
    pub directory: PathBuf,
    /// What the campaign is.
    pub header: Header,
    /// What has been summed up.
    pub sum: Campaign,
    /// The time it took.
    pub seconds: f64,
    /// Of a guided campaign: what each trial reached.
    steers: Vec<u64>,
    /// Where the last whole line ends.
    whole: u64,
}

impl Kept {
    /// Reads a directory; `None` if there is no campaign in it.
    pub fn read(directory: &Path) -> Result<Option<Self>, Failure> {
        let path = directory.join("campaign.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::File { path, error }),
        };
        let header: Header = serde_json::from_str(&text).map_err(|error| damaged(&path, 1, error))?;
        let mut kept = Kept {
            directory: directory.to_owned(),
            header,
            sum: Campaign::default(),
            seconds: 0.0,
            steers: Vec::new(),
            whole: 0,
        };
        // A file of another build may have other lines: whoever asks is told of the build.
        if (kept.header.version.as_str(), kept.header.core_hash.as_str()) == (VERSION, CORE_HASH) {
            kept.read_lines()?;
        }
        Ok(Some(kept))
    }

    fn read_lines(&mut self) -> Result<(), Failure> {
        let path = self.directory.join("trials.jsonl");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Failure::File { path, error }),
        };
        for (nth, line) in (1..).zip(text.split_inclusive('\n')) {
            // The last line of a process that was killed may be cut short.
            if !line.ends_with('\n') {
                break;
            }
            let mut line_of: Line = serde_json::from_str(line).map_err(|error| damaged(&path, nth, error))?;
            let (after, seconds) = (line_of.after, line_of.seconds);
            self.steers.append(&mut line_of.steers);
            let steers = self.header.guided.then_some(self.steers.len() as u64);
            let goes_on = after == self.sum.trials && steers.is_none_or(|steers| steers == after + line_of.trials);
            let sum = line_of.sum().filter(|_| goes_on);
            self.sum.add(sum.ok_or_else(|| damaged(&path, nth, "it does not go on where the line before ends"))?);
            self.seconds += seconds;
            self.whole += line.len() as u64;
        }
        Ok(())
    }

    /// How many seeds are still to be run.
    pub fn missing(&self) -> u64 {
        let (first, last) = self.header.seeds;
        self.header.shard.count(&(first..=last)).saturating_sub(self.sum.trials)
    }

    /// Refuses what this build cannot go on with, or join.
    pub fn check_build(&self) -> Result<(), Failure> {
        let Header { version, core_hash, .. } = &self.header;
        if (version.as_str(), core_hash.as_str()) == (VERSION, CORE_HASH) {
            return Ok(());
        }
        let what = format!(
            "{} holds a campaign of another build: trial {version}, core {core_hash}; this is {ThisBuild}",
            self.directory.display()
        );
        Err(Failure::usage(what, ["a seed means the same run only within one build".to_owned()]))
    }
}

fn damaged(path: &Path, line: u64, why: impl std::fmt::Display) -> Failure {
    let what = format!("{}: line {line} is not as a campaign writes it: {why}", path.display());
    Failure::usage(what, ["name another directory, or remove this one".to_owned()])
}

/// A campaign that is being written down.
pub struct Ledger {
    directory: PathBuf,
    file: File,
    /// Seeds that are written down.
    written: u64,
    /// What is not.
    pending: Campaign,
    /// The same of a guided campaign: what each trial reached.
    pending_steers: Vec<u64>,
    /// What each trial of a guided campaign reached that was written down before.
    pub known_steers: Vec<u64>,
    since: Instant,
}

impl Ledger {
    /// Begins a campaign in a directory, or goes on with the one that is there: the ledger, and what is known.
    pub fn open(directory: &Path, header: &Header) -> Result<(Self, Campaign, f64), Failure> {
        let failed = |path: PathBuf| |error| Failure::File { path, error };
        fs::create_dir_all(directory).map_err(failed(directory.to_owned()))?;
        let kept = Kept::read(directory)?;
        if let Some(differs) = kept.as_ref().and_then(|kept| kept.header.differs(header)) {
            let what = format!("{} holds a campaign {differs}", directory.display());
            return Err(Failure::usage(what, ["name another directory, or remove this one".to_owned()]));
        }
        let path = directory.join("trials.jsonl");
        let options = OpenOptions::new().create(true).append(true).open(&path);
        let file = options.map_err(failed(path.clone()))?;
        // What a killed process has written of a line goes; without a header nothing counts.
        file.set_len(kept.as_ref().map_or(0, |kept| kept.whole)).map_err(failed(path))?;
        if kept.is_none() {
            let path = directory.join("campaign.json");
            let text = serde_json::to_string_pretty(header).map_err(|error| Failure::Output(error.into()))?;
            fs::write(&path, text + "\n").map_err(failed(path))?;
        }
        let (sum, seconds, known_steers) = kept.map_or((Campaign::default(), 0.0, Vec::new()), |kept| {
            let Kept { sum, seconds, steers, .. } = kept;
            (sum, seconds, steers)
        });
        let ledger = Ledger {
            directory: directory.to_owned(),
            file,
            written: sum.trials,
            pending: Campaign::default(),
            pending_steers: Vec::new(),
            known_steers,
            since: Instant::now(),
        };
        Ok((ledger, sum, seconds))
    }

    /// Takes the next trial of a guided campaign in, and what it reached.
    pub fn take_steering(&mut self, trial: Campaign, reached: u64) -> Result<(), Failure> {
        self.pending_steers.push(reached);
        self.take(trial)
    }

    /// Takes the next trial in.
    pub fn take(&mut self, trial: Campaign) -> Result<(), Failure> {
        self.pending.add(trial);
        if self.since.elapsed() >= EVERY { self.write() } else { Ok(()) }
    }

    /// Writes down what is not yet.
    pub fn write(&mut self) -> Result<(), Failure> {
        let (sum, seconds) = (std::mem::take(&mut self.pending), self.since.elapsed().as_secs_f64());
        self.since = Instant::now();
        if sum.trials == 0 {
            return Ok(());
        }
        let steers = std::mem::take(&mut self.pending_steers);
        let line = serde_json::to_string(&Line::of(&sum, steers, self.written, seconds));
        let written = line.map_err(io::Error::from).and_then(|line| self.file.write_all((line + "\n").as_bytes()));
        self.written += sum.trials;
        written.map_err(|error| Failure::File { path: self.directory.join("trials.jsonl"), error })
    }

    /// Where runs are kept, if there are any.
    pub fn findings(&self) -> Option<PathBuf> {
        Some(self.directory.join("findings")).filter(|findings| findings.is_dir())
    }

    /// Where the run of a finding is kept, without the ending of its name.
    pub fn place_of(&self, identity: Identity) -> Result<PathBuf, Failure> {
        let directory = self.directory.join("findings");
        fs::create_dir_all(&directory).map_err(|error| Failure::File { path: directory.clone(), error })?;
        let rule = identity.rule.map_or(String::new(), |rule| format!("-by-{rule}"));
        Ok(directory.join(format!("{}-{}{rule}", identity.class, identity.code)))
    }
}
