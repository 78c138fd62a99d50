//! lost-write: a write that must have committed lies below what readers came to, and none of them read it.
//!
//! The bound of a partition is the highest first index among the values that ok operations read. Lost is every value whose
//! last index is not above it, whose operation must have committed, and which no ok operation read.

use super::super::facts::{Facts, Record};
use super::super::history::NONE;
use super::super::options::INFO;
use super::super::report::{About, Found};
use super::Definition;

pub(super) const DEFINITION: Definition = Definition {
    code: "lost-write",
    what: "the operation must have committed, the value's last index is not above the highest first index that ok operations \
           read, and none of them read it",
    class: "acks=1: ALLOWED(acks-1); unclean election: ALLOWED(unclean-election); min.insync.replicas=1: ALLOWED(min-isr-1); \
            BUG if acks=all, unclean election is told to be off, min.insync.replicas is above 1 and no power was lost; \
            otherwise UNKNOWN; acks=0: `dropped-unpromised`",
};

/// Sent with acks=0: nothing was promised.
pub(super) const DROPPED: Definition = Definition {
    code: "dropped-unpromised",
    what: "as lost-write, of a record that was sent with acks=0",
    class: "INFO",
};

/// Is it lost, given its partition's bound?
pub(crate) fn is_lost(facts: &Facts<'_>, record: &Record) -> bool {
    let bound = facts.bounds[record.key as usize];
    let below = bound.is_some_and(|(bound, _)| record.last_index <= bound); // NONE is above everything
    below && !record.read_by_ok() && record.writer != NONE && facts.committed[record.writer as usize]
}

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    for (id, record) in (0..).zip(&facts.records).filter(|(_, record)| is_lost(facts, record)) {
        let key = record.key;
        let Some((_, highest)) = facts.bounds[key as usize] else { continue };
        let (code, judgement) = match found.options.acks {
            0 => (DROPPED.code, INFO),
            _ => (DEFINITION.code, found.options.of_loss()),
        };
        found.add(code, judgement, |words| {
            let placed = facts.sources(id).iter().find(|s| facts.index_of[s.0 as usize] != NONE);
            let offset = placed.map(|s| facts.mention(*s).offset);
            let reader = Some(facts.records[highest as usize].ok_reader).filter(|reader| *reader != NONE);
            let summary = format!(
                "{} of {key} was written at offset {}, and nobody read it, though {} behind it was read",
                words.value(id),
                offset.map_or("nil".to_owned(), |o| o.to_string()),
                words.value(highest),
                key = words.key(key),
            );
            (
                About {
                    record: Some(id),
                    offset,
                    ops: [record.writer].into_iter().chain(reader).collect(),
                    ..About::default()
                },
                summary,
            )
        });
    }
}
