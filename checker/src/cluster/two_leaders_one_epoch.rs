//! two-leaders-one-epoch: at most one replica accepts appends per partition and leader epoch (the purpose of KIP-101's
//! leader epochs).

use super::partition::PartitionTruth;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::EventRef;
use crate::settings::Settings;
use crate::words::{seconds, step};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "two-leaders-one-epoch",
    rule: None,
    what: "at most one replica accepts appends per partition and leader epoch",
    source: "KIP-101",
};

/// A broker leads, or appended as leader, in that epoch.
pub(crate) fn check(
    truth: &mut PartitionTruth,
    broker: i32,
    leader_epoch: i32,
    at: EventRef,
    quorum_has_forgotten: bool,
    settings: &Settings,
    found: &mut Findings,
) {
    let first = *truth.appenders.entry(leader_epoch).or_insert(broker);
    if first == broker {
        return;
    }
    truth.appenders.insert(leader_epoch, broker); // told once per change
    // Controllers that have forgotten a topic give its epochs away again.
    let headline = Headline::bug(INVARIANT.code, &truth.name, None, at).of_a_quorum_that(quorum_has_forgotten);
    found.add(headline, || {
        let (name, other, partition) = (settings.broker_name(broker), settings.broker_name(first), &truth.name);
        let summary = format!("{name} leads {partition} in epoch {leader_epoch}, as {other} did");
        let sentence = format!(
            "{name} acted as leader of {partition} in epoch {leader_epoch} at {}; {other} had done so in the same epoch",
            seconds(at.time)
        );
        (summary, vec![step(at, name, sentence)])
    });
}
