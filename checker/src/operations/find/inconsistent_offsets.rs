//! inconsistent-offsets: one offset of a partition holds two or more values.

use super::super::facts::{Facts, Slot};
use super::super::history::Outcome;
use super::super::report::{About, Found};
use super::Definition;

pub(super) const DEFINITION: Definition = Definition {
    code: "inconsistent-offsets",
    what: "one offset of a partition holds two or more values",
    class: "at least two of the values were polled, so that what was exposed has changed: BUG, unless unclean election or \
            min.insync.replicas=1 allows it, and UNKNOWN with losses of power; otherwise what the loss of an acknowledged record is",
};

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    for key in 0..facts.history.keys.len() as u32 {
        for all in facts.log(key).chunk_by(|a, b| a.index == b.index).filter(|slots| slots.len() > 1) {
            // What could not be read is no value of its own.
            let slots: Vec<Slot> = all.iter().filter(|slot| !facts.is_unreadable(slot.record)).copied().collect();
            if slots.len() < 2 {
                continue;
            }
            let here = |record: u32| {
                let sources = facts.sources(record).iter();
                sources.copied().filter(|s| facts.index_of[s.0 as usize] == slots[0].index)
            };
            let judgement = found.options.of_conflict(facts.polled_at(key, slots[0].index) > 1);
            found.add(DEFINITION.code, judgement, |words| {
                let shown = &slots[..slots.len().min(8)];
                let values: Vec<String> = shown.iter().map(|slot| words.value(slot.record)).collect();
                let more = if slots.len() > shown.len() { ", …" } else { "" };
                let ops = shown.iter().filter_map(|slot| {
                    // The first to read it, or else who was told that it is there.
                    let mut sources: Vec<_> = here(slot.record).collect();
                    sources
                        .sort_by_key(|s| (facts.is_send(*s), facts.outcome(facts.mention(*s).op) != Outcome::Ok, *s));
                    sources.first().map(|s| facts.mention(*s).op)
                });
                let offset = slots[0].offset;
                let summary = format!(
                    "offset {offset} of {} holds {} values: {}{more}",
                    words.key(key),
                    slots.len(),
                    values.join(", ")
                );
                (About { key: Some(key), offset: Some(offset), ops: ops.collect(), ..About::default() }, summary)
            });
        }
    }
}
