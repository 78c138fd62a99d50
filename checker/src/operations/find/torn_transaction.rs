//! torn-transaction: some but not all writes of one transaction are visible to a reader that passed them all.
//!
//! A transaction is an operation of several sends. Visible is a write that the reader's process read in an ok operation. It
//! passed a write if it read, in that partition, something at its index or behind. Only a write that no ok operation read at
//! all counts as not visible: where a consumer begins and which partitions its group leaves to others is not in the file,
//! so that what one reader alone has not seen says nothing.

use std::collections::BTreeMap;

use super::super::facts::{Facts, Source};
use super::super::history::{NONE, Outcome};
use super::super::report::{About, Found};
use super::Definition;

pub(super) const DEFINITION: Definition = Definition {
    code: "torn-transaction",
    what: "some writes of one operation were read by a process, others by nobody, though the process came to their indices \
           or behind",
    class: "BUG under read_committed; ALLOWED(read-uncommitted) otherwise",
};

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    let mut reached: Option<BTreeMap<(u32, u32), u32>> = None;
    for op in 0..facts.history.ops.len() as u32 {
        let record = |send: Source| facts.record(send);
        let is_read = |send: &Source| facts.records[record(*send) as usize].read_by_ok;
        let hidden = |send: &Source| !is_read(send) && facts.position(*send).is_some();
        let sends = facts.sends(op);
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
