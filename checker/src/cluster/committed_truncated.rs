//! committed-truncated: an in-sync replica never cuts committed records away (KIP-101: what is truncated was never
//! committed). What a leader that legitimately lacks them makes its followers cut is not committed any more: the ghost
//! log was rebased on that leader first, and `unsafe-election` says whether that was allowed.

use super::partition::PartitionTruth;
use super::replica::CutKind;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::EventRef;
use crate::settings::Settings;
use crate::words::{seconds, step};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "committed-truncated",
    rule: None,
    what: "an in-sync replica never cuts committed records away",
    source: "KIP-101",
};

/// The replica's log has just been cut.
pub(crate) fn check(
    truth: &PartitionTruth,
    broker: i32,
    at: EventRef,
    seq: u64,
    settings: &Settings,
    found: &mut Findings,
) {
    let Some(replica) = truth.replicas.get(&broker) else { return };
    let Some(cut) = replica.cuts.last().filter(|cut| cut.seq == seq && cut.to <= cut.from) else { return };
    let excused = !truth.isr.contains(&broker)
        || replica.lost_data
        // It may still act on the word of a leader whose loss was told already.
        || (truth.ghost.rebases() > 0 && replica.leader_epoch < truth.leader_epoch);
    if excused {
        return;
    }
    let Some(first) = cut.removed.iter().map(|e| e.batch).find(|batch| truth.ghost.has(batch)) else { return };
    found.add(Headline::bug(INVARIANT.code, &truth.name, Some(first.first), at), || {
        let (name, partition, committed) = (settings.broker_name(broker), &truth.name, truth.ghost.end);
        let why = match &cut.kind {
            CutKind::Truncated { why } => why.as_str(),
            CutKind::PowerLoss { .. } | CutKind::Recovery => "",
        };
        let summary =
            format!("{name}, in sync, truncated {partition} to {}, though everything below {committed} is committed", cut.to);
        let sentence = format!(
            "{name} truncated {partition} from log end {} to {} at {} {why}; committed was everything below {committed}",
            cut.from,
            cut.to,
            seconds(at.time)
        );
        (summary, vec![step(at, name, sentence.replace(" ;", ";"))])
    });
}
