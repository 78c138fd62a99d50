//! out-of-assignment-read: a consumer that takes its partitions itself read one that it had not taken.
//!
//! What a process has taken is known from its last :assign, if that was ok, until a :subscribe or a crash.

use std::collections::BTreeSet;

use super::super::facts::Facts;
use super::super::history::{Function, NONE, Outcome};
use super::super::options::BUG;
use super::super::report::{About, Found};
use super::Definition;

pub(super) const DEFINITION: Definition = Definition {
    code: "out-of-assignment-read",
    what: "a process read a partition that its last :assign, which was ok, does not name",
    class: "BUG",
};

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    let history = facts.history;
    let mut taken: Vec<Option<BTreeSet<u32>>> = vec![None; history.processes.len()];
    for (op, state) in (0..).zip(&history.ops) {
        let mine = &mut taken[state.process as usize];
        match (state.function, state.outcome) {
            (Function::Assign, Outcome::Ok) => *mine = Some(history.named_by(op).iter().map(|(key, _)| *key).collect()),
            (Function::Assign | Function::Subscribe, Outcome::Fail) => {}
            (Function::Assign | Function::Subscribe | Function::Crash, _) => *mine = None,
            _ => {}
        }
        let Some(mine) = mine else { continue };
        let mut last = NONE;
        for poll in facts.polls(op) {
            let key = facts.mention(poll).key;
            if key != std::mem::replace(&mut last, key) && !mine.contains(&key) {
                found.add(DEFINITION.code, BUG, |words| {
                    let summary = format!(
                        "process {} read {} of {}, which it had not assigned to itself",
                        words.process(op),
                        words.place(poll),
                        words.key(key)
                    );
                    (About { record: Some(facts.record(poll)), ops: vec![op], ..About::default() }, summary)
                });
            }
        }
    }
}
