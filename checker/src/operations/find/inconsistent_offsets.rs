//! inconsistent-offsets: one offset of a partition holds two or more values.

use super::super::facts::{Facts, Slot, Source};
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
            let is_value = |slot: &&Slot| !facts.is_unreadable(slot.record);
            let values = all.iter().filter(is_value).count();
            if values < 2 {
                continue;
            }
            let (index, offset) = (all[0].index, all[0].offset);
            let judgement = found.options.of_conflict(facts.is_exposed(key, index));
            found.add(DEFINITION.code, judgement, |words| {
                let shown: Vec<(Slot, Source)> =
                    facts.found_at(key, index).filter(|(slot, _)| is_value(&slot)).take(8).collect();
                let names: Vec<String> = shown.iter().map(|(slot, _)| words.value(slot.record)).collect();
                let more = if values > shown.len() { ", …" } else { "" };
                let summary =
                    format!("offset {offset} of {} holds {values} values: {}{more}", words.key(key), names.join(", "));
                let ops = shown.iter().map(|(_, source)| facts.mention(*source).op).collect();
                (About { key: Some(key), offset: Some(offset), ops, ..About::default() }, summary)
            });
        }
    }
}
