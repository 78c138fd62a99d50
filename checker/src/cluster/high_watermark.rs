//! high-watermark-beyond-log-end: no replica's high watermark exceeds its log end offset (`UnifiedLog.updateHighWatermark`).
//!
//! high-watermark-back: a leader's high watermark never falls while it leads (`UnifiedLog.maybeIncrementHighWatermark`): what it has
//! told to be committed stays so. A follower's falls with the log that it cuts, and a new reign begins anew.

use super::partition::PartitionTruth;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::EventRef;
use crate::settings::Settings;
use crate::words::{seconds, step};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "high-watermark-beyond-log-end",
    rule: None,
    what: "no high watermark exceeds its log end",
    source: "`UnifiedLog.updateHighWatermark`",
};

/// See the table of invariants.
pub(super) const BACK: Invariant = Invariant {
    code: "high-watermark-back",
    rule: None,
    what: "a leader's high watermark never falls while it leads",
    source: "`UnifiedLog.maybeIncrementHighWatermark`",
};

/// The replica's high watermark has just moved.
pub(crate) fn check(truth: &PartitionTruth, broker: i32, at: EventRef, settings: &Settings, found: &mut Findings) {
    let Some(replica) = truth.replicas.get(&broker) else { return };
    let (to, log_end) = (replica.high_watermark, replica.log_end);
    if to <= log_end {
        return;
    }
    found.add(Headline::bug(INVARIANT.code, &truth.name, Some(to), at), || {
        let (name, partition) = (settings.broker_name(broker), &truth.name);
        let summary = format!("{name} has high watermark {to} in {partition}, but its log ends at {log_end}");
        let sentence = format!(
            "{name} moved its high watermark of {partition} to {to} at {} with log end {log_end}",
            seconds(at.time)
        );
        (summary, vec![step(at, name, sentence)])
    });
}

/// This broker has moved its high watermark, living in this epoch.
pub(crate) fn check_reign(
    truth: &mut PartitionTruth,
    (broker, leader_epoch): (i32, i32),
    to: i64,
    at: EventRef,
    settings: &Settings,
    found: &mut Findings,
) {
    let of_broker = truth.reigns.iter_mut().rev().find(|reign| reign.leader == broker);
    let Some(reign) = of_broker.filter(|reign| reign.leader_epoch == leader_epoch && !reign.is_over) else { return };
    let Some(from) = reign.high_watermark.replace(to).filter(|from| to < *from) else { return };
    found.add(Headline::bug(BACK.code, &truth.name, Some(to), at), || {
        let (name, partition) = (settings.broker_name(broker), &truth.name);
        let summary = format!("{name} led {partition} and took its high watermark back from {from} to {to}");
        let sentence = format!(
            "{name}, leading {partition} in epoch {leader_epoch}, moved its high watermark from {from} back to {to} at {}",
            seconds(at.time)
        );
        (summary, vec![step(at, name, sentence)])
    });
}
