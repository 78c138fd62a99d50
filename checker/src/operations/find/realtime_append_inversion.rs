//! realtime-append-inversion: a record lies at a higher offset than one whose send was invoked only after this one's had
//! completed. One sweep from the end of each log with the earliest completion so far.
//!
//! Only records that lie at one offset, alone there, and are not lost are compared: where an offset or a record is contested there
//! is no order, and behind a record that was lost the log goes on at lower offsets.

use super::super::facts::Facts;
use super::super::history::{NONE, Outcome};
use super::super::options::BUG;
use super::super::report::{About, Found};
use super::Definition;
use super::lost_write;

pub(super) const DEFINITION: Definition = Definition {
    code: "realtime-append-inversion",
    what: "a record lies at a higher offset than one whose send was invoked after this one's send had completed",
    class: "BUG; nothing with acks=0",
};

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    if found.options.acks == 0 {
        return; // such a send completes before anything is appended
    }
    for key in 0..facts.history.keys.len() as u32 {
        // The record above that was acknowledged first.
        let mut first_done: Option<(u32, u32)> = None;
        let slots = facts.log(key).chunk_by(|a, b| a.index == b.index).filter(|slots| slots.len() == 1);
        for slot in slots.map(|slots| slots[0]).rev() {
            let record = &facts.records[slot.record as usize];
            if record.writer == NONE || record.sent_again || record.first_index != record.last_index {
                continue;
            }
            if lost_write::is_lost(facts, record) {
                continue;
            }
            let writer = &facts.history.ops[record.writer as usize];
            if let Some((done, above)) = first_done
                && done <= writer.before
            {
                found.add(DEFINITION.code, BUG, |words| {
                    let above_writer = facts.records[above as usize].writer;
                    let summary = format!(
                        "{} of {} was acknowledged before {} was sent, but lies above it",
                        words.value(above),
                        words.key(key),
                        words.value(slot.record)
                    );
                    let ops = vec![above_writer, record.writer];
                    (About { record: Some(slot.record), offset: Some(slot.offset), ops, ..About::default() }, summary)
                });
            }
            let is_told = writer.outcome == Outcome::Ok && writer.after != NONE;
            if is_told && first_done.is_none_or(|(done, _)| writer.after < done) {
                first_done = Some((writer.after, slot.record));
            }
        }
    }
}
