//! ack-offset-mismatch: the acknowledged offset is not where the record is: it was read, and never there.

use super::super::facts::Facts;
use super::super::history::{NO_OFFSET, Outcome};
use super::super::report::{About, Found};
use super::Definition;

pub(super) const DEFINITION: Definition = Definition {
    code: "ack-offset-mismatch",
    what: "an ok send was told an offset, and the value was read at other offsets only",
    class: "BUG with idempotence; ALLOWED(retry-without-idempotence) without",
};

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    for (id, record) in (0..).zip(&facts.records) {
        // Both the acknowledgement and the polls stand in the log: where they agree there is one place.
        if record.first_index == record.last_index {
            continue;
        }
        let sources = facts.sources(id);
        let offsets = |sends: bool| {
            let of_kind = sources.iter().filter(move |s| facts.is_send(**s) == sends);
            of_kind.map(|s| facts.mention(*s)).filter(|m| m.offset != NO_OFFSET)
        };
        let mut read: Vec<i64> = offsets(false).map(|m| m.offset).collect();
        read.sort_unstable();
        let Some(found_at) = read.first().copied() else { continue };
        for acked in offsets(true).filter(|m| facts.outcome(m.op) == Outcome::Ok) {
            if read.binary_search(&acked.offset).is_ok() {
                continue;
            }
            let judgement = found.options.of_retry();
            found.add(DEFINITION.code, judgement, |words| {
                let summary = format!(
                    "{} of {} was acknowledged at offset {}, and read at offset {found_at}",
                    words.value(id),
                    words.key_of(id),
                    acked.offset
                );
                let ops = [acked.op].into_iter().chain(facts.readers(id).next()).collect();
                (About { record: Some(id), offset: Some(acked.offset), ops, ..About::default() }, summary)
            });
        }
    }
}
