//! torn-transaction: some but not all writes of one transaction are visible to a reader that passed them all.
//!
//! A transaction is an operation of several sends. Visible is a write that the reader's process read in an ok operation. It
//! passed a write if it read, in that partition, something at its index or behind, and nobody at all read the write; or if it
//! went over it from one record that it read to the next, having read a write in another partition: in one partition that
//! is a skip and nothing more. Where a consumer begins and which
//! partitions its group leaves to others is not in the file, so that what one reader alone has not seen says nothing else.
//! Values are unique: one that several operations sent tells nothing of any of them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::facts::{Facts, Source};
use super::super::history::{NONE, Outcome};
use super::super::report::{About, Found};
use super::super::steps::Steps;
use super::Definition;

pub(super) const DEFINITION: Definition = Definition {
    code: "torn-transaction",
    what: "some writes of one operation were read by a process, others not, though the process went over them in another partition, or \
           nobody read them and it came to their indices or behind",
    class: "BUG under read_committed; ALLOWED(read-uncommitted) otherwise",
};

pub(super) fn find(facts: &Facts<'_>, steps: &Steps, found: &mut Found<'_>) {
    gone_over(facts, steps, found);
    let mut reached: Option<BTreeMap<(u32, u32), u32>> = None;
    for op in 0..facts.history.ops.len() as u32 {
        let record = |send: Source| facts.record(send);
        let is_read = |send: &Source| facts.records[record(*send) as usize].read_by_ok();
        let hidden = |send: &Source| !is_read(send) && facts.position(*send).is_some();
        let sends = facts.sends(op).filter(|send| !facts.records[record(*send) as usize].sent_again);
        let Some(visible) = sends.clone().find(is_read) else { continue };
        let Some(missing) = sends.clone().find(hidden) else { continue };
        // What must be passed, by partition.
        let mut need: BTreeMap<u32, u32> = BTreeMap::new();
        for send in sends.clone().filter(hidden) {
            let index = facts.position(send).unwrap_or_default();
            let highest = need.entry(facts.mention(send).key).or_default();
            *highest = index.max(*highest);
        }
        let reached = reached.get_or_insert_with(|| reached_by(facts));
        // So many readers are asked that the work stays in proportion to the operation and to its readers.
        let mut budget: usize = 64 + 4 * sends.clone().count();
        let reader = sends.clone().filter(is_read).flat_map(|send| facts.readers(record(send))).find(|reader| {
            budget = budget.saturating_sub(1);
            if budget == 0 || facts.outcome(*reader) != Outcome::Ok {
                return false;
            }
            let process = facts.history.ops[*reader as usize].process;
            need.iter().all(|(key, index)| {
                budget = budget.saturating_sub(1);
                reached.get(&(process, *key)).is_some_and(|at| at >= index)
            })
        });
        let Some(reader) = reader else { continue };
        let judgement = found.options.of_isolation();
        found.add(DEFINITION.code, judgement, |words| {
            let summary = format!(
                "of one transaction process {} read {} of {}, and passed {} of {}, which nobody read",
                words.process(reader),
                words.place(visible),
                words.key_of(record(visible)),
                words.place(missing),
                words.key_of(record(missing))
            );
            (About { record: Some(record(missing)), ops: vec![op, reader], ..About::default() }, summary)
        });
    }
}

/// Writes that others read, and that a process went over which read other writes of the same operation. Each operation once; so many
/// places are looked at that the work stays in proportion to the history.
fn gone_over(facts: &Facts<'_>, steps: &Steps, found: &mut Found<'_>) {
    let history = facts.history;
    let mut budget = 1_024 + 4 * facts.slots.len();
    let mut told: BTreeSet<u32> = BTreeSet::new();
    let between = steps.polls.iter().filter(|step| !step.subscribed);
    for step in between.chain(&steps.polls_inside).filter(|step| step.is_skip()) {
        let process = history.ops[facts.mention(step.to).op as usize].process;
        for missing in facts.between(step.key, step.from_index, step.to_index) {
            let missed = &facts.records[missing.record as usize];
            let writer = missed.writer;
            let sends = facts.sends(if writer == NONE { continue } else { writer });
            let readers = facts.sources(missing.record).len() + sends.clone().count();
            budget = budget.saturating_sub(1 + readers);
            if budget == 0 {
                return;
            }
            let own = |reader: &u32| {
                history.ops[*reader as usize].process == process && facts.outcome(*reader) == Outcome::Ok
            };
            // Where nobody read it, the other rule says more.
            if !missed.read_by_ok()
                || missed.sent_again
                || told.contains(&writer)
                || facts.readers(missing.record).any(|reader| own(&reader))
            {
                continue;
            }
            let read = |send: &Source| facts.readers(facts.record(*send)).take(64).find(own);
            let is_its_own = |send: &Source| !facts.records[facts.record(*send) as usize].sent_again;
            let mut elsewhere = sends.filter(|send| facts.mention(*send).key != step.key && is_its_own(send));
            let Some((visible, reader)) = elsewhere.find_map(|send| Some((send, read(&send)?))) else { continue };
            told.insert(writer);
            let judgement = found.options.of_isolation();
            found.add(DEFINITION.code, judgement, |words| {
                let summary = format!(
                    "of one transaction process {} read {} of {}, and went over {} of {}",
                    words.process(reader),
                    words.place(visible),
                    words.key_of(facts.record(visible)),
                    words.value(missing.record),
                    words.key(step.key)
                );
                let ops = vec![writer, reader, facts.mention(step.to).op];
                (About { record: Some(missing.record), ops, ..About::default() }, summary)
            });
        }
    }
}

/// By process and partition the highest index that an ok operation read.
fn reached_by(facts: &Facts<'_>) -> BTreeMap<(u32, u32), u32> {
    let mut reached: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    for (op, state) in (0..).zip(&facts.history.ops) {
        if state.outcome != Outcome::Ok {
            continue;
        }
        for poll in facts.polls(op) {
            let index = facts.position(poll).unwrap_or(NONE);
            if index != NONE {
                let highest = reached.entry((state.process, facts.mention(poll).key)).or_default();
                *highest = index.max(*highest);
            }
        }
    }
    reached
}
