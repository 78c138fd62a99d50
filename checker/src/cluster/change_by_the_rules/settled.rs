//! When a broker is fenced, stops, comes back or registers anew, all partitions follow in the same batch.

use super::super::Cluster;
use super::super::partition::PartitionTruth;
use super::rule;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::EventRef;
use crate::settings::Settings;
use crate::words::{brokers, seconds, step};

/// See the table of invariants.
pub(super) const LEFT_BEHIND: Invariant = rule(
    "left-behind",
    "who is fenced, stops or registers anew leads nothing, and is in sync nowhere, but as the last without KIP-966",
    "`ReplicationControlManager.handleBrokerFenced`, `handleBrokerInControlledShutdown`, `handleBrokerShutdown`",
);

/// See the table of invariants.
pub(super) const LEADERLESS: Invariant = rule(
    "leaderless",
    "when a broker is unfenced, no partition is left without leader that somebody may lead",
    "`ReplicationControlManager.handleBrokerUnfenced`",
);

/// The controller has decided what becomes of a broker, and of all partitions with it.
pub(crate) fn check(cluster: &Cluster, at: EventRef, unfenced: bool, settings: &Settings, found: &mut Findings) {
    for truth in cluster.partitions.iter().filter(|truth| !truth.assigned.is_empty()) {
        let wrong = left_behind(cluster, truth, settings);
        let wrong = wrong.or_else(|| if unfenced { leaderless(cluster, truth, settings) } else { None });
        let Some((broken, how)) = wrong else { continue };
        let headline = Headline { rule: broken.rule, ..Headline::bug(broken.code, &truth.name, None, at) };
        found.add(headline, || {
            let sentence = format!(
                "at {} the controller had decided on the brokers, and {how}; in sync were {}, eligible {}",
                seconds(at.time),
                brokers(settings, &truth.isr),
                brokers(settings, &truth.elr)
            );
            (how.clone(), vec![step(at, "controller", sentence)])
        });
    }
}

fn left_behind(cluster: &Cluster, truth: &PartitionTruth, settings: &Settings) -> Option<(Invariant, String)> {
    let is_gone = |broker: &&i32| !cluster.is_active(**broker);
    let name = |broker: i32| settings.broker_name(broker);
    if truth.leader >= 0 && is_gone(&&truth.leader) {
        return Some((LEFT_BEHIND, format!("{} still leads {}, and is not active", name(truth.leader), truth.name)));
    }
    let is_the_last = truth.isr.len() == 1 && !truth.topic.eligible_leader_replicas;
    let gone = truth.isr.iter().filter(|_| !is_the_last).find(is_gone)?;
    Some((LEFT_BEHIND, format!("{} is still in sync in {}, and is not active", name(*gone), truth.name)))
}

fn leaderless(cluster: &Cluster, truth: &PartitionTruth, settings: &Settings) -> Option<(Invariant, String)> {
    if truth.leader >= 0 {
        return None;
    }
    let topic = &truth.topic;
    let among = match () {
        () if topic.unclean_leader_election_enable => &truth.assigned,
        () if !truth.isr.is_empty() => &truth.isr,
        () if !truth.elr.is_empty() || !topic.eligible_leader_replicas || truth.last_known_elr.len() != 1 => &truth.elr,
        () => &truth.last_known_elr,
    };
    let may = among.iter().find(|broker| cluster.is_active(**broker))?;
    Some((LEADERLESS, format!("nobody leads {}, though {} may", truth.name, settings.broker_name(*may))))
}
