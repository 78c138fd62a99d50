//! What is said of a foreign history.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::facts::{Facts, Source};
use super::history::NONE;
use super::options::{Judgement, Options};
use crate::history::belief_truth::BeliefTruth;
use crate::metrics::Unavailability;
use crate::verdict::{Class, Outcome};

/// A key or a value: an integer as such, anything else in EDN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub String);

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.parse::<i64>() {
            Ok(n) => serializer.serialize_i64(n),
            Err(_) => serializer.serialize_str(&self.0),
        }
    }
}

/// One finding in a history of operations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryFinding {
    /// How bad it is.
    pub class: Class,
    /// What it is: one of checker.md's names.
    pub code: &'static str,
    /// The rule that gives its class, or which of its code's kinds it is.
    pub rule: Option<&'static str>,
    /// The partition it is about.
    pub key: Option<Name>,
    /// The record it is about.
    pub value: Option<Name>,
    /// The offset it is about.
    pub offset: Option<i64>,
    /// Its witness: indices of the operations, each that of its completion, or of its invocation if it has none.
    pub ops: Vec<u32>,
    /// What happened, in one sentence.
    pub summary: String,
}

/// How many findings of one kind there are, shown or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryGroup {
    /// Their class.
    pub class: Class,
    /// Their code.
    pub code: &'static str,
    /// Their rule.
    pub rule: Option<&'static str>,
    /// How many.
    pub count: u64,
}

/// All that is said of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// No BUG.
    pub valid: bool,
    /// Pass, fail or vacuous.
    pub outcome: Outcome,
    /// In order of class, code and rule; of each kind at most [`Report::SHOWN`].
    pub findings: Vec<HistoryFinding>,
    /// How many of each kind there were.
    pub groups: Vec<HistoryGroup>,
    /// What happened how often.
    pub counters: BTreeMap<String, u64>,
    /// What producers were told against what readers found.
    pub belief_truth: BeliefTruth,
    /// Of each partition the longest time without an acknowledgement, and that a record went unread; if the lines bear times.
    pub unavailability: Vec<Unavailability>,
    /// Why it is vacuous.
    pub vacuous_because: Vec<String>,
}

impl Report {
    /// So many findings of one class, code and rule are told one by one; all are counted.
    pub const SHOWN: u64 = 1_000;

    /// How many findings there are of this code, shown or not.
    pub fn count(&self, code: &str) -> u64 {
        self.groups.iter().filter(|g| g.code == code).map(|g| g.count).sum()
    }
}

/// What a finding is, apart from its words.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) key: Option<u32>,
    pub(crate) record: Option<u32>,
    pub(crate) offset: Option<i64>,
    /// Operations by number.
    pub(crate) ops: Vec<u32>,
}

/// Collects findings.
pub(crate) struct Found<'a> {
    pub(crate) options: Options,
    facts: &'a Facts<'a>,
    counts: BTreeMap<Of, u64>,
    /// What was found last, and how many of its kind, which stand in no count yet: many of one kind come one after the other.
    last: (Of, u64),
    shown: Vec<HistoryFinding>,
}

/// A kind of finding.
type Of = (Class, &'static str, Option<&'static str>);

impl<'a> Found<'a> {
    pub(crate) fn new(options: Options, facts: &'a Facts<'a>) -> Self {
        let last = ((Class::Info, "", None), 0);
        Found { options, facts, counts: BTreeMap::new(), last, shown: Vec::new() }
    }

    /// Adds one. What it is about and its words are only made if it will be shown.
    pub(crate) fn add(
        &mut self,
        code: &'static str,
        (class, rule): Judgement,
        tell: impl FnOnce(&Words<'_>) -> (About, String),
    ) {
        let of = (class, code, rule);
        if self.last.0 != of {
            self.count_last();
            self.last = (of, self.counts.remove(&of).unwrap_or_default());
        }
        self.last.1 += 1;
        if self.last.1 > Report::SHOWN {
            return;
        }
        let words = Words { facts: self.facts };
        let (about, summary) = tell(&words);
        let key = about.key.or(about.record.map(|record| self.facts.key_of(record)));
        self.shown.push(HistoryFinding {
            class,
            code,
            rule,
            key: key.map(|key| Name(self.facts.history.show_key(key))),
            value: about.record.map(|record| Name(words.value(record))),
            offset: about.offset,
            ops: about.ops.iter().map(|op| words.index(*op)).collect(),
            summary,
        });
    }

    fn count_last(&mut self) {
        let (of, count) = self.last;
        if count > 0 {
            self.counts.insert(of, count);
        }
    }

    /// All of them in order: stable, so that each finding's own order stays.
    pub(crate) fn finish(mut self) -> (Vec<HistoryFinding>, Vec<HistoryGroup>) {
        self.count_last();
        self.shown.sort_by_key(|f| (f.class, f.code, f.rule));
        let groups = self.counts.into_iter();
        let groups = groups.map(|((class, code, rule), count)| HistoryGroup { class, code, rule, count });
        (self.shown, groups.collect())
    }
}

/// Names of what sentences speak of.
pub(crate) struct Words<'a> {
    facts: &'a Facts<'a>,
}

impl Words<'_> {
    /// A record's value.
    pub(crate) fn value(&self, record: u32) -> String {
        let first = self.facts.records[record as usize].first;
        self.facts.history.atoms.show(self.facts.mention(first).value)
    }

    /// A partition.
    pub(crate) fn key(&self, key: u32) -> String {
        self.facts.history.show_key(key)
    }

    /// A record's partition.
    pub(crate) fn key_of(&self, record: u32) -> String {
        self.key(self.facts.key_of(record))
    }

    /// An operation's index: of its completion if it has one.
    pub(crate) fn index(&self, op: u32) -> u32 {
        let op = &self.facts.history.ops[op as usize];
        if op.completed == NONE { op.invoked } else { op.completed }
    }

    /// A process.
    pub(crate) fn process(&self, op: u32) -> i64 {
        self.facts.history.processes[self.facts.history.ops[op as usize].process as usize]
    }

    /// `4 at offset 7`, or only `4`.
    pub(crate) fn place(&self, source: Source) -> String {
        let value = self.value(self.facts.record(source));
        match self.facts.mention(source).offset {
            super::history::NO_OFFSET => value,
            offset => format!("{value} at offset {offset}"),
        }
    }
}
