//! duplicate: one value at two or more offsets.

use super::super::facts::Facts;
use super::super::history::NONE;
use super::super::options::UNKNOWN;
use super::super::report::{About, Found};
use super::Definition;

pub(super) const DEFINITION: Definition = Definition {
    code: "duplicate",
    what: "one value lies at two or more offsets",
    class: "BUG with idempotence; ALLOWED(retry-without-idempotence) without; UNKNOWN where several operations sent the value",
};

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    for (id, record) in (0..).zip(&facts.records) {
        if record.first_index == record.last_index {
            continue;
        }
        let judgement = if record.sent_again { UNKNOWN } else { found.options.of_retry() };
        found.add(DEFINITION.code, judgement, |words| {
            let placed = facts.sources(id).iter().filter(|s| facts.index_of[s.0 as usize] != NONE);
            let mut places: Vec<(i64, u32)> =
                placed.map(|s| (facts.mention(*s).offset, facts.mention(*s).op)).collect();
            places.sort_unstable();
            places.dedup_by_key(|(offset, _)| *offset);
            places.truncate(8);
            let offsets: Vec<String> = places.iter().map(|(offset, _)| offset.to_string()).collect();
            let again = if record.sent_again { ", but was sent more than once" } else { "" };
            let summary =
                format!("{} of {} lies at offsets {}{again}", words.value(id), words.key_of(id), offsets.join(", "));
            let ops = places.iter().map(|(_, op)| *op).collect();
            (About { record: Some(id), offset: places.last().map(|(o, _)| *o), ops, ..About::default() }, summary)
        });
    }
}
