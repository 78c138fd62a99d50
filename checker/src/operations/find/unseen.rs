//! unseen: a write was acknowledged, and by the end of the history no ok operation read it. Its fate, as far as clients can
//! tell: `lost` below what readers came to; `late` behind it, which may be mere lag; without either where nobody knows its
//! place. Whether a record that is in the log is hidden or behind an open transaction only the cluster could say.

use super::super::facts::Facts;
use super::super::history::{NONE, Outcome};
use super::super::report::{About, Found};
use super::Definition;
use super::lost_write;
use crate::verdict::Class;

pub(super) const DEFINITION: Definition = Definition {
    code: "unseen",
    what: "acknowledged, and never read by an ok operation; the rule is its fate: lost, late, or none if its place is not known",
    class: "UNKNOWN",
};

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    if found.options.acks == 0 {
        return;
    }
    for (id, record) in (0..).zip(&facts.records) {
        if record.read_by_ok() || record.writer == NONE || facts.outcome(record.writer) != Outcome::Ok {
            continue;
        }
        let fate = match facts.bounds[record.key as usize] {
            _ if lost_write::is_lost(facts, record) => Some("lost"),
            Some(_) if record.first_index == NONE => None,
            _ => Some("late"),
        };
        found.add(DEFINITION.code, (Class::Unknown, fate), |words| {
            let summary = format!("{} of {} was acknowledged and never read", words.value(id), words.key_of(id));
            (About { record: Some(id), ops: vec![record.writer], ..About::default() }, summary)
        });
    }
}
