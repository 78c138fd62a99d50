//! phantom-read: a value that nobody sent; wrong-partition: one that was sent, but only to other partitions; corrupt-record: one that
//! could not be read, where another is known to lie.

use super::super::facts::{Facts, Slot};
use super::super::history::NONE;
use super::super::options::BUG;
use super::super::report::{About, Found};
use super::Definition;

pub(super) const DEFINITION: Definition =
    Definition { code: "phantom-read", what: "a value was read that nobody sent", class: "BUG" };
pub(super) const WRONG_PARTITION: Definition = Definition {
    code: "wrong-partition",
    what: "a value was read from another partition than it was sent to, and nobody sent it there",
    class: "BUG",
};
pub(super) const CORRUPT: Definition = Definition {
    code: "corrupt-record",
    what: "what was read is no value, nil that nobody sent, at an offset where a value lies: its bytes are others",
    class: "BUG",
};

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    let value = |record: u32| facts.mention(facts.records[record as usize].first).value;
    let nobodys = (0..).zip(&facts.records).filter(|(_, record)| record.writer == NONE).map(|(id, _)| id);
    // By value: (value, record, a send of the value to another partition).
    let mut phantoms: Vec<(_, u32, u32)> = nobodys.map(|id| (value(id), id, NONE)).collect();
    phantoms.sort_unstable();
    let mut elsewhere = phantoms.clone();
    elsewhere.dedup_by_key(|(value, ..)| *value);
    let sends = if elsewhere.is_empty() { 0 } else { facts.history.sends.len() as u32 };
    for send in (0..sends).rev() {
        let value = facts.history.sends[send as usize].value;
        if let Ok(at) = elsewhere.binary_search_by_key(&value, |(value, ..)| *value) {
            elsewhere[at].2 = send;
        }
    }
    phantoms.sort_unstable_by_key(|(_, id, _)| *id);
    for (value, id, _) in phantoms {
        let sent = elsewhere.binary_search_by_key(&value, |(value, ..)| *value).map_or(NONE, |at| elsewhere[at].2);
        let reader = facts.readers(id).next();
        if let Some(corrupt) = corrupted(facts, id) {
            found.add(CORRUPT.code, BUG, |words| {
                let writer = Some(facts.records[corrupt.record as usize].writer).filter(|writer| *writer != NONE);
                let (key, value, offset) = (words.key_of(id), words.value(corrupt.record), corrupt.offset);
                let summary = format!("offset {offset} of {key}, where {value} lies, was read as what is no value");
                let ops = writer.into_iter().chain(reader).collect();
                (About { record: Some(corrupt.record), offset: Some(offset), ops, ..About::default() }, summary)
            });
            continue;
        }
        let code = if sent == NONE { DEFINITION.code } else { WRONG_PARTITION.code };
        found.add(code, BUG, |words| {
            let read = format!("{} was read from {}", words.value(id), words.key_of(id));
            let send = facts.history.sends.get(sent as usize);
            let summary = match send {
                Some(send) => format!("{read}, but was sent to {}", words.key(send.key)),
                None => format!("{read}, and nobody sent it"),
            };
            let ops = send.map(|send| send.op).into_iter().chain(reader).collect();
            (About { record: Some(id), ops, ..About::default() }, summary)
        });
    }
}

/// What is known to lie where this could not be read.
fn corrupted(facts: &Facts<'_>, id: u32) -> Option<Slot> {
    let record = facts.records[id as usize];
    if !facts.is_unreadable(id) || record.first_index == NONE {
        return None;
    }
    let log = facts.log(facts.key_of(id));
    let here = &log[log.partition_point(|slot| slot.index < record.first_index)..];
    let mut here = here.iter().take_while(|slot| slot.index == record.first_index);
    here.find(|slot| slot.record != id).copied()
}
