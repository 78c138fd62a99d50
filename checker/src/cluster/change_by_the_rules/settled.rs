//! When a broker is fenced, stops, comes back or registers anew, all partitions follow in the same batch.
//!
//! One that was granted its stop is unfenced by a heartbeat that it had sent before it asked for that and that arrives late. Its
//! registration says still that it stops, and yet it is elected where nobody leads: whoever is unfenced just now may lead,
//! whatever else is known of it (`ReplicationControlManager.generateLeaderAndIsrUpdates`,
//! `BrokerHeartbeatManager.calculateNextBrokerState`: Kafka as it is). It leads until its session is over.

use super::super::Cluster;
use super::super::loss::Judgement;
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
        let Some((broken, Judgement { class, rule, because: how })) = wrong else { continue };
        let rule = rule.or(broken.rule);
        let headline = Headline { class, rule, ..Headline::bug(broken.code, &truth.name, None, at) };
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

fn left_behind(cluster: &Cluster, truth: &PartitionTruth, settings: &Settings) -> Option<(Invariant, Judgement)> {
    let is_gone = |broker: &i32| !cluster.is_active(*broker);
    let came_back = |broker: &i32| cluster.brokers.get(broker).is_some_and(|known| known.came_back_stopping);
    let is_the_last = truth.isr.len() == 1 && !truth.topic.eligible_leader_replicas;
    let members = truth.isr.iter().filter(|_| !is_the_last).map(|member| (*member, "is still in sync in"));
    let leader = (truth.leader >= 0).then_some((truth.leader, "still leads"));
    let gone = leader.into_iter().chain(members).filter(|(broker, _)| is_gone(broker));
    // Who may not be where it is comes before whom Kafka lets be there.
    let (broker, does) = gone.min_by_key(|(broker, _)| came_back(broker))?;
    let how = format!("{} {does} {}, and is not active", settings.broker_name(broker), truth.name);
    let judgement = match came_back(&broker) {
        true => {
            Judgement::allowed("unfenced-while-it-stops", settings, format!("{how}: it was unfenced while it stops"))
        }
        false => Judgement::bug(how),
    };
    Some((LEFT_BEHIND, judgement))
}

fn leaderless(cluster: &Cluster, truth: &PartitionTruth, settings: &Settings) -> Option<(Invariant, Judgement)> {
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
    let how = format!("nobody leads {}, though {} may", truth.name, settings.broker_name(*may));
    Some((LEADERLESS, Judgement::bug(how)))
}
