//! high-watermark-beyond-log-end: no replica's high watermark exceeds its log end offset (`UnifiedLog.updateHighWatermark`).

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
