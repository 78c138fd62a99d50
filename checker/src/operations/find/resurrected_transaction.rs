//! resurrected-transaction: an indeterminate operation was judged aborted, and then its write was seen.
//!
//! Judged aborted: a later operation of the same producer, its process if none is named, wrote to the same partition, and that write was read, while the
//! earlier one was unseen: the reader of the later write had completed before any reader of the earlier one was invoked.

use std::collections::BTreeMap;

use super::super::facts::{Facts, Source};
use super::super::history::{NONE, Outcome};
use super::super::report::{About, Found};
use super::Definition;

pub(super) const DEFINITION: Definition = Definition {
    code: "resurrected-transaction",
    what: "judged aborted, because a later transaction of the same producer was read in the same partition while it was unseen, \
           and then seen",
    class: "BUG under read_committed; ALLOWED(read-uncommitted) otherwise",
};

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    let history = facts.history;
    // By producer and partition: the barrier before which a later write was read first, by whom, and the write's operation.
    let mut later: BTreeMap<(u32, u32), (u32, u32, u32)> = BTreeMap::new();
    for op in (0..history.ops.len() as u32).rev() {
        let state = &history.ops[op as usize];
        // Values are unique: one that several operations sent tells nothing of any of them.
        let is_its_own = |send: &Source| !facts.records[facts.record(*send) as usize].sent_again;
        if state.outcome == Outcome::Info {
            for send in facts.sends(op).filter(is_its_own) {
                let (key, record) = (facts.mention(send).key, facts.record(send));
                let Some(&(read_before, reader, next)) = later.get(&(state.sender, key)) else { continue };
                let first = facts.readers(record).min_by_key(|op| history.ops[*op as usize].before);
                let Some(first) = first.filter(|op| read_before <= history.ops[*op as usize].before) else { continue };
                let judgement = found.options.of_isolation();
                found.add(DEFINITION.code, judgement, |words| {
                    let summary = format!(
                        "{} of {}, whose fate was unknown, was unseen when a later write of process {} was read, and then seen",
                        words.value(record),
                        words.key(key),
                        words.process(op)
                    );
                    (About { record: Some(record), ops: vec![op, next, reader, first], ..About::default() }, summary)
                });
            }
        }
        for send in facts.sends(op).filter(is_its_own) {
            let readers =
                facts.readers(facts.record(send)).map(|reader| (history.ops[reader as usize].after, reader, op));
            let Some(read) = readers.min().filter(|(after, ..)| *after != NONE) else { continue };
            let earliest = later.entry((state.sender, facts.mention(send).key)).or_insert(read);
            *earliest = read.min(*earliest);
        }
    }
}
