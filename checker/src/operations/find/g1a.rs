//! g1a, aborted read: a value of an operation that definitely failed was read, by an operation of any completion type.

use super::super::facts::Facts;
use super::super::history::{NONE, Outcome};
use super::super::report::{About, Found};
use super::Definition;

pub(super) const DEFINITION: Definition = Definition {
    code: "g1a",
    what: "aborted read: a value of a definitely failed operation was read by anybody, of any completion type",
    class: "BUG under read_committed; ALLOWED(read-uncommitted) otherwise",
};

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    // If all that sent it failed, so did the best of them.
    let failed = |writer: u32| writer != NONE && facts.outcome(writer) == Outcome::Fail;
    for (id, record) in (0..).zip(&facts.records).filter(|(_, record)| failed(record.writer)) {
        let Some(reader) = facts.readers(id).next() else { continue };
        let judgement = found.options.of_isolation();
        found.add(DEFINITION.code, judgement, |words| {
            let writer = facts.mention(record.first).op;
            let summary = format!(
                "{} of {} was read though the operation that sent it failed",
                words.value(id),
                words.key_of(id)
            );
            (About { record: Some(id), ops: vec![writer, reader], ..About::default() }, summary)
        });
    }
}
