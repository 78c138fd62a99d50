//! Belief × truth of a history from elsewhere: what producers were told against where readers found the records.
//!
//! There is no final log in such a history. Absent is a record that readers passed (lost-write) or that failed and nobody read; one that
//! nobody read for another reason is unjudged.

use super::facts::Facts;
use super::find::lost_write;
use super::history::{NONE, Outcome};
use crate::history::belief_truth::BeliefTruth;

/// The table of a history. With acks=0 its option says nothing here: what was told counts.
pub(super) fn of(facts: &Facts<'_>) -> BeliefTruth {
    let mut table = BeliefTruth::default();
    for (id, record) in (0..).zip(&facts.records) {
        if record.writer == NONE {
            continue; // nobody was told anything
        }
        let told = facts.outcome(record.writer);
        let row = match told {
            Outcome::Ok => &mut table.ok,
            Outcome::Info => &mut table.info,
            Outcome::Fail => &mut table.fail,
        };
        let is_read = facts.readers(id).next().is_some();
        let is_lost = lost_write::is_lost(facts, record);
        *match record.first_index {
            _ if is_lost || (told == Outcome::Fail && !is_read) => &mut row.absent,
            _ if !is_read => &mut row.unjudged,
            index if index == record.last_index => &mut row.once,
            _ => &mut row.twice_or_more,
        } += 1;
    }
    table
}
