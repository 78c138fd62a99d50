//! unsafe-election, by the controller's own log: the winner is registered, not fenced, and one of the in-sync or eligible
//! leader replicas, or the last known leader when those are exhausted, or unclean election is enabled.
//! Source: `PartitionChangeBuilder.isValidNewLeader`, KIP-966.

use super::Cluster;
use super::partition::Election;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::settings::Settings;
use crate::words::{brokers, seconds, step};

/// See the table of invariants.
pub(super) const FENCED: Invariant = Invariant {
    code: "unsafe-election",
    rule: Some("fenced-leader"),
    what: "the winner of an election is not fenced",
    source: "`PartitionChangeBuilder.isValidNewLeader`",
};

/// See the table of invariants.
pub(super) const UNREGISTERED: Invariant = Invariant {
    code: "unsafe-election",
    rule: Some("unregistered-leader"),
    what: "the winner of an election is registered",
    source: "`PartitionChangeBuilder.isValidNewLeader`",
};

/// See the table of invariants.
pub(super) const NOT_ELIGIBLE: Invariant = Invariant {
    code: "unsafe-election",
    rule: Some("not-eligible"),
    what: "the winner is in sync, eligible, or the last known leader, unless unclean election is enabled",
    source: "KIP-966",
};

/// The controller elected a leader.
pub(crate) fn check(cluster: &Cluster, number: usize, election: &Election, settings: &Settings, found: &mut Findings) {
    let truth = &cluster.partitions[number];
    let Some((broken, why)) = wrong(cluster, number, election, settings) else { return };
    let bug = Headline { rule: broken.rule, ..Headline::bug(NOT_ELIGIBLE.code, &truth.name, None, election.at) };
    let headline = bug.of_a_quorum_that(cluster.quorum_forgot.is_some());
    found.add(headline, || {
        let (name, partition) = (settings.broker_name(election.leader), &truth.name);
        let summary = format!("{name} was elected to lead {partition} in epoch {}, {why}", election.leader_epoch);
        let sentence = format!(
            "the controller elected {name} to lead {partition} in epoch {} at {}, {why}; in sync were {}",
            election.leader_epoch,
            seconds(election.at.time),
            brokers(settings, &election.isr_before)
        );
        (summary, vec![step(election.at, "controller", sentence)])
    });
}

fn wrong(cluster: &Cluster, number: usize, election: &Election, settings: &Settings) -> Option<(Invariant, String)> {
    let (truth, leader) = (&cluster.partitions[number], election.leader);
    if leader < 0 {
        return None;
    }
    if !cluster.brokers.is_empty() {
        match cluster.brokers.get(&leader) {
            None => return Some((UNREGISTERED, "which is not registered".to_owned())),
            Some(broker) if broker.fenced => return Some((FENCED, "which is fenced".to_owned())),
            Some(_) => {}
        }
    }
    if election.previous < 0 && election.isr_before.is_empty() && truth.assigned.is_empty() {
        return None; // it was created
    }
    let may = election.isr_before.contains(&leader)
        || election.elr_before.contains(&leader)
        || truth.topic.unclean_leader_election_enable
        || (truth.topic.eligible_leader_replicas && election.last_known_leader)
        || joined_with_it(cluster, election);
    // Told only where the host told the whole state.
    let known = !truth.assigned.is_empty();
    (!may && known).then(|| {
        let eligible = brokers(settings, &election.elr_before);
        (NOT_ELIGIBLE, format!("which was neither in sync nor eligible ({eligible})"))
    })
}

/// Did it join the in-sync replicas by this very record? A leader's AlterPartition may end a reassignment, and with it that
/// leader's time (NEW_LEADER_ELECTED). Nothing else takes a leader that is neither fenced nor shutting down out of the in-sync
/// replicas. Whether who joined had everything is judged as of anybody that joins.
fn joined_with_it(cluster: &Cluster, election: &Election) -> bool {
    let sent_it = cluster.is_active(election.previous);
    election.clean && sent_it && !election.isr.contains(&election.previous) && election.isr.contains(&election.leader)
}
