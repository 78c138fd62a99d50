//! ack-before-committed: an acks=all acknowledgement needs the record on every member of the leader's maximal ISR, of
//! which there are at least min.insync.replicas (`Partition.checkEnoughReplicasReachOffset`, KIP-497).
//!
//! A member that once held the record and has lost or cut it since is excused: the leader could not know. So is everybody
//! where the leader itself has deleted it: a batch that is sent again may be answered from what is known of the producer
//! alone, and who began to copy after the deletion never had it. Nor had one that began at its leader's end, behind the batch,
//! and is in sync without it (`began-at-its-leaders-end`), nor one whose log begins behind it, where its leader has
//! what it kept of another history (`history-below-the-leaders-start`).

use super::loss;
use super::partition::{Ack, PartitionTruth};
use super::replica::Batch;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::settings::Settings;
use crate::words::{brokers, offsets, seconds, step};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "ack-before-committed",
    rule: None,
    what: "an acks=all acknowledgement needs the record on the maximal ISR, of min.insync.replicas at least",
    source: "KIP-497, `Partition.checkEnoughReplicasReachOffset`",
};

/// A leader answered an acks=all request.
pub(crate) fn check(truth: &PartitionTruth, ack: &Ack, maximal_isr: &[i32], settings: &Settings, found: &mut Findings) {
    let min = ack.min_insync_replicas;
    let too_few = (maximal_isr.len() as i64) < i64::from(min);
    let Some(batch) = acked_batch(truth, ack) else { return };
    let is_deleted = truth.replicas.get(&ack.broker).is_some_and(|leader| leader.log_start > ack.last);
    let held = |b: &i32| truth.replicas.get(b).is_some_and(|replica| replica.ever_held(&batch));
    let is_behind = |b: &i32| truth.replicas.get(b).is_some_and(|replica| replica.has_dropped_all_below(ack.last));
    let why = truth.ghost.why_lost_at(ack.last).and_then(|why| why.rule);
    let was_kept = why == Some(loss::BELOW_THE_LEADERS_START);
    let begins_behind = |b: &i32| was_kept && truth.replicas.get(b).is_some_and(|r| r.log_start > ack.last);
    let without = |b: &&i32| **b != ack.broker && !is_deleted && !held(b) && !is_behind(b) && !begins_behind(b);
    let missing: Vec<i32> = maximal_isr.iter().filter(without).copied().collect();
    if !too_few && missing.is_empty() {
        return;
    }
    found.add(Headline::bug(INVARIANT.code, &truth.name, Some(ack.first), ack.at), || {
        let (name, what) = (settings.broker_name(ack.broker), offsets(ack.first, ack.last));
        let isr = brokers(settings, maximal_isr);
        let why = if missing.is_empty() {
            format!("its in-sync replicas {isr} are fewer than min.insync.replicas={min}")
        } else {
            format!("its in-sync replicas were {isr}, and {} never had it", brokers(settings, &missing))
        };
        let summary = format!("{what} of {} was acknowledged with acks=all too early: {why}", truth.name);
        let sentence = format!(
            "{name} acked {what} of {} at {} with acks=all in epoch {}; {why}",
            truth.name,
            seconds(ack.at.time),
            ack.leader_epoch
        );
        (summary, vec![step(ack.at, name, sentence)])
    });
}

/// The acknowledged batch, as the leader's own log has it.
fn acked_batch(truth: &PartitionTruth, ack: &Ack) -> Option<Batch> {
    let leader = truth.replicas.get(&ack.broker)?;
    leader.place_of(ack.last).map(|place| leader.log[place].batch)
}
