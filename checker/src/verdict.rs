//! What the checker says: findings with their class, rule and causal chain, and the outcome of the trial.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::history::belief_truth::BeliefTruth;
use crate::history::groups::delivery::Delivery;
use crate::metrics::Metrics;
use crate::observation::Time;

/// How bad a finding is under the configuration of this trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Class {
    /// Never allowed.
    Bug,
    /// Cannot be decided from what was observed.
    Unknown,
    /// The configuration permits it, by the rule the finding names.
    Allowed,
    /// Normal for Kafka.
    Info,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Bug => "BUG",
            Class::Unknown => "UNKNOWN",
            Class::Allowed => "ALLOWED",
            Class::Info => "INFO",
        })
    }
}

/// One link of a causal chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The event of the trace.
    pub event: u64,
    /// When it happened, in virtual nanoseconds.
    pub virtual_ns: Time,
    /// The node it happened on.
    pub node: String,
    /// What happened, as one sentence.
    pub sentence: String,
}

/// One thing that went wrong, or would have gone wrong under a stricter configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub class: Class,
    /// What it is: one of checker.md's names.
    pub code: &'static str,
    /// The rule that allows it, for an ALLOWED finding always there; of a BUG, which of its code's rules was broken.
    pub rule: Option<&'static str>,
    /// The topic, if it is about one.
    pub topic: Option<Arc<str>>,
    /// The partition's index.
    pub partition: Option<i32>,
    /// The offset, where one is meant.
    pub offset: Option<i64>,
    /// The first bad step, in virtual milliseconds.
    pub virtual_ms: u64,
    /// The record, where one is meant.
    pub record: Option<u64>,
    /// What happened, in one sentence.
    pub summary: String,
    /// How it came to be, from the first cause to the last sign.
    pub chain: Vec<Step>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            Some(rule) => write!(f, "{}({rule}) {}: {}", self.class, self.code, self.summary)?,
            None => write!(f, "{} {}: {}", self.class, self.code, self.summary)?,
        }
        self.chain.iter().try_for_each(|step| write!(f, "\n  [{}] {}", step.event, step.sentence))
    }
}

/// How many findings of one kind there were in one partition, shown or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Their class.
    pub class: Class,
    /// Their code.
    pub code: &'static str,
    /// Their rule.
    pub rule: Option<&'static str>,
    /// Their topic.
    pub topic: Option<Arc<str>>,
    /// Their partition's index.
    pub partition: Option<i32>,
    /// How many.
    pub count: u64,
}

/// The word on a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Something happened, and nothing of it was a bug.
    Pass,
    /// At least one BUG.
    Fail,
    /// Nothing happened that could have gone wrong.
    Vacuous,
}

/// All that the checker has to say of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Pass, fail or vacuous.
    pub outcome: Outcome,
    /// In order of class, code, rule, partition, offset; of one such group at most [`Verdict::SHOWN_PER_GROUP`].
    pub findings: Vec<Finding>,
    /// How many of each there were.
    pub groups: Vec<Group>,
    /// What happened how often.
    pub counters: BTreeMap<String, u64>,
    /// What producers were told against what is in the final log.
    pub belief_truth: BeliefTruth,
    /// How often each group processed what was acknowledged; by name.
    pub delivery: Vec<Delivery>,
    /// Latencies, and how long partitions went without service.
    pub metrics: Metrics,
    /// Why the trial is vacuous, in words.
    pub vacuous_because: Vec<String>,
}

impl Verdict {
    /// So many findings of one group are kept one by one; the rest is only counted.
    pub const SHOWN_PER_GROUP: u64 = 1_000;

    /// How many findings there are of this class and code, shown or not.
    pub fn count(&self, class: Class, code: &str) -> u64 {
        self.groups.iter().filter(|g| g.class == class && g.code == code).map(|g| g.count).sum()
    }
}
