//! precommitted-read: an operation read its own write, which was not committed while it ran.

use super::super::facts::Facts;
use super::super::history::NONE;
use super::super::report::{About, Found};
use super::Definition;

pub(super) const DEFINITION: Definition = Definition {
    code: "precommitted-read",
    what: "an operation read its own uncommitted write",
    class: "BUG under read_committed; ALLOWED(read-uncommitted) otherwise",
};

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    // For each record the last operation that sent it, and the last that was found to read it so.
    let mut sent_by = vec![NONE; facts.records.len()];
    for (op, state) in (0..).zip(&facts.history.ops) {
        if state.sends.0 == state.sends.1 || state.polls.0 == state.polls.1 {
            continue;
        }
        for send in facts.sends(op) {
            sent_by[facts.record(send) as usize] = op;
        }
        for poll in facts.polls(op) {
            let record = facts.record(poll);
            if std::mem::replace(&mut sent_by[record as usize], NONE) != op {
                continue;
            }
            let judgement = found.options.of_isolation();
            found.add(DEFINITION.code, judgement, |words| {
                let summary = format!(
                    "process {} read {} of {} in the operation that sent it",
                    words.process(op),
                    words.place(poll),
                    words.key_of(record)
                );
                (About { record: Some(record), ops: vec![op], ..About::default() }, summary)
            });
        }
    }
}
