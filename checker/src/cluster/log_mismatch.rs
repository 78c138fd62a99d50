//! log-mismatch: two replicas that live in the controller's epoch have the same log below both their high watermarks
//! (log matching, KIP-101). The ghost log stands for the leader's side, so that every batch is compared once.

use super::ghost::Difference;
use super::partition::PartitionTruth;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::EventRef;
use crate::settings::Settings;
use crate::words::{seconds, step};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "log-mismatch",
    rule: None,
    what: "logs of one epoch are the same below both their high watermarks",
    source: "KIP-101",
};

/// A follower's high watermark has just moved in the controller's epoch: it has taken a fetch answer of that epoch, so
/// everything that had to be cut is cut.
pub(crate) fn check(truth: &mut PartitionTruth, broker: i32, at: EventRef, settings: &Settings, found: &mut Findings) {
    let Some(floor) = truth.replicas.get(&broker).map(|replica| truth.comparable_from(replica)) else { return };
    let Some(replica) = truth.replicas.get_mut(&broker).filter(|r| !r.mismatch_told) else { return };
    let Some(difference) = truth.ghost.compare(replica, floor, replica.high_watermark) else {
        replica.lost_data &= replica.high_watermark < truth.ghost.end;
        return;
    };
    replica.mismatch_told = true;
    tell(truth, broker, &difference, at, settings, found);
}

/// The cluster is quiet. A replica counts if its leader has heard of it in this epoch.
pub(crate) fn check_at_rest(
    truth: &mut PartitionTruth,
    broker: i32,
    at: EventRef,
    settings: &Settings,
    found: &mut Findings,
) {
    let (leader, leader_epoch) = (truth.leader, truth.leader_epoch);
    let Some(replica) = truth.replicas.get(&broker) else { return };
    let heard_of = replica.fetched.is_some_and(|(of, ..)| of == leader);
    if heard_of && replica.leader_epoch == leader_epoch && broker != leader {
        check(truth, broker, at, settings, found);
    }
}

fn tell(
    truth: &PartitionTruth,
    broker: i32,
    difference: &Difference,
    at: EventRef,
    settings: &Settings,
    found: &mut Findings,
) {
    let batch = difference.committed.batch;
    found.add(Headline::bug(INVARIANT.code, &truth.name, Some(batch.first), at), || {
        let (name, partition, offset) = (settings.broker_name(broker), &truth.name, batch.first);
        let has = match difference.instead {
            Some(other) if other.epoch != batch.epoch => format!("a batch of epoch {}", other.epoch),
            Some(other) if other.first == batch.first => format!("another batch of epoch {}", other.epoch),
            Some(other) => format!("no batch that starts there, but one at offset {}", other.first),
            None => "nothing".to_owned(),
        };
        let summary = format!(
            "{name} has {has} at offset {offset} of {partition}, where a batch of epoch {} was committed",
            batch.epoch
        );
        let committed = format!(
            "offset {offset} of {partition} was committed with a batch of epoch {} at {}",
            batch.epoch,
            seconds(difference.committed.at.time)
        );
        let seen = format!(
            "{name} follows in epoch {} and has {has} there at {}, below its high watermark {}",
            truth.leader_epoch,
            seconds(at.time),
            truth.replicas.get(&broker).map_or(0, |r| r.high_watermark)
        );
        let leader = settings.broker_name(truth.leader);
        (summary, vec![step(difference.committed.at, leader, committed), step(at, name, seen)])
    });
}
