//! H over operations: a history of processes that send, poll, and do both in transactions, as Jepsen's Kafka workload records it.
//!
//! ```text
//!   lines ─► History ─► Facts: records, commits, sparse logs, dense indices ─► find/*: one file per finding ─► Report
//!            options ──────────────────────────────────────────────────────────┘
//! ```
//!
//! A pure function of the history and of what the [`Options`] say of the configuration. It knows nothing of brokers: what they
//! alone could tell is UNKNOWN. No input makes it panic, nothing is hashed, nothing recurs, and the work is linear: what is sorted is
//! sorted digit by digit, but for small things. Memory: 72 bytes for an operation and 24 for each send and each
//! polled record while reading; while judging about as much again for each record, each place in a log and each dependency.
//!
//! The findings and when each is a BUG:
#![doc = include_str!("findings.md")]

mod atom;
mod belief_truth;
mod components;
mod export;
mod facts;
mod find;
mod graph;
mod history;
mod metrics;
mod options;
mod recorder;
mod report;
mod sort;
mod steps;
#[cfg(test)]
mod tests;
mod witness;

use std::collections::BTreeMap;

pub use atom::{Atom, Atoms};
pub use find::{DEFINITIONS, Definition};
pub use history::{Event, Function, History, Kind, Misfit, Rebalance, Value};
pub use options::{Consumer, Isolation, Options};
pub use recorder::Recorder;
pub use report::{HistoryFinding, HistoryGroup, Name, Report};

use crate::verdict::{Class, Outcome};
use facts::Facts;
use history::{Mention, NONE, Outcome as Told};
use report::Found;

/// Checks a history.
pub fn check(history: &History, options: Options) -> Report {
    let facts = Facts::of(history);
    let mut found = Found::new(options, &facts);
    find::all(&facts, &mut found);
    let (findings, groups) = found.finish();
    let mut counters = counters(&facts);
    let unavailability = metrics::add(&facts, &mut counters);
    let belief_truth = belief_truth::of(&facts);
    let mut vacuous_because = Vec::new();
    if history.sends.is_empty() {
        vacuous_because.push("no record was sent".to_owned());
    }
    if history.polls.is_empty() {
        vacuous_because.push("no record was read".to_owned());
    }
    let valid = groups.iter().all(|group| group.class != Class::Bug);
    let outcome = match (valid, vacuous_because.is_empty()) {
        (false, _) => Outcome::Fail,
        (true, false) => Outcome::Vacuous,
        (true, true) => Outcome::Pass,
    };
    Report { valid, outcome, findings, groups, counters, belief_truth, unavailability, vacuous_because }
}

/// What happened how often, and how often each acknowledged record was delivered.
fn counters(facts: &Facts<'_>) -> BTreeMap<String, u64> {
    let history = facts.history;
    let told = |op: u32| facts.outcome(op);
    let count = |n: usize| n as u64;
    let sends = |outcome: Told| count(history.sends.iter().filter(|send| told(send.op) == outcome).count());
    let ops = |outcome: Told| count(history.ops.iter().filter(|op| op.outcome == outcome).count());
    let mut delivered = [0; 3];
    for (id, record) in (0..).zip(&facts.records) {
        if record.writer != NONE && told(record.writer) == Told::Ok {
            let times = facts.readers(id).filter(|reader| told(*reader) == Told::Ok).take(2).count();
            delivered[times] += 1;
        }
    }
    let open = history.ops.iter().filter(|op| op.completed == NONE).count();
    let named = [
        ("operations", count(history.ops.len())),
        ("ok_operations", ops(Told::Ok)),
        ("failed_operations", ops(Told::Fail)),
        ("unknown_operations", ops(Told::Info)),
        ("operations_without_completion", count(open)),
        ("sends", count(history.sends.len())),
        ("acked_sends", sends(Told::Ok)),
        ("failed_sends", sends(Told::Fail)),
        ("unknown_sends", sends(Told::Info)),
        ("reads", count(history.polls.len())),
        ("partitions", count(history.keys.len())),
        ("processes", count(history.processes.len())),
        ("rebalances", count(history.ops.iter().filter(|op| is_rebalanced(op)).count())),
        ("acked_delivered_never", delivered[0]),
        ("acked_delivered_once", delivered[1]),
        ("acked_delivered_more", delivered[2]),
    ];
    named.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

fn is_rebalanced(op: &history::Operation) -> bool {
    !matches!(op.function, Function::Assign | Function::Subscribe) && op.keys.0 < op.keys.1
}
