//! unsafe-election: the log of every later legitimate leader contains all that was ever committed (the ghost log; leader
//! completeness, Raft's name for it). ALLOWED where the configuration lets such a leader in.

use super::Cluster;
use super::loss::{self, Judgement};
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::EventRef;
use crate::settings::Settings;
use crate::words::{seconds, step};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "unsafe-election",
    rule: None,
    what: "every later legitimate leader has all that was ever committed (the ghost log)",
    source: "Raft 5.4 leader completeness; KIP-101",
};

/// The controller's leader of this partition has just begun to lead. Its log is the truth from here on.
pub(crate) fn check(cluster: &mut Cluster, number: usize, at: EventRef, settings: &Settings, found: &mut Findings) {
    let truth = &mut cluster.partitions[number];
    let (leader, leader_epoch, committed) = (truth.leader, truth.leader_epoch, truth.ghost.end);
    let replica = truth.replicas.entry(leader).or_default();
    let below = truth.ghost.parts_below(replica);
    let Some(difference) = below.or_else(|| truth.ghost.compare(replica, 0, committed)) else {
        replica.lost_data = false;
        return;
    };
    replica.lost_data = false; // from now on others follow it
    let log_end = replica.log_end;
    let batch = difference.committed.batch;
    let truth = &cluster.partitions[number];
    let Some(reign) = truth.reigns.last().copied() else { return };
    let why = loss::judge_reign(cluster, truth, &batch, &reign, settings);
    let Judgement { class, rule, ref because } = why;
    let headline = Headline { class, rule, ..Headline::bug(INVARIANT.code, &truth.name, Some(batch.first), at) };
    found.add(headline, || {
        let (name, partition) = (settings.broker_name(leader), &truth.name);
        let summary = format!(
            "{name} leads {partition} in epoch {leader_epoch} without committed offset {}, everything below {committed} \
             having been committed: {because}",
            batch.first
        );
        let sentence = format!(
            "{name} began to lead {partition} in epoch {leader_epoch} at {} with log end {log_end}; offset {} had been \
             committed at {}; {because}",
            seconds(at.time),
            batch.first,
            seconds(difference.committed.at.time)
        );
        let mut chain = loss::election_steps(truth, &reign, settings);
        chain.push(step(at, name, sentence));
        (summary, chain)
    });
    let truth = &mut cluster.partitions[number];
    truth.ghost.rebase(batch.first, why);
    for replica in truth.replicas.values_mut() {
        replica.verified = replica.verified.min(truth.ghost.end);
    }
}
