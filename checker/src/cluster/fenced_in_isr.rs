//! fenced-in-isr: a broker that is fenced or shutting down does not join the in-sync replicas (KIP-841,
//! `ReplicationControlManager.ineligibleReplicasForIsr`), and a fenced one stays in them only as the last.

use super::Cluster;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::EventRef;
use crate::settings::Settings;
use crate::words::{brokers, seconds, step};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "fenced-in-isr",
    rule: None,
    what: "who is fenced or shutting down does not join the in-sync replicas, and stays in them only as the last",
    source: "KIP-841, `ineligibleReplicasForIsr`",
};

/// The controller is about to set a partition's in-sync replicas.
pub(crate) fn check(
    cluster: &Cluster,
    number: usize,
    at: EventRef,
    isr: &[i32],
    settings: &Settings,
    found: &mut Findings,
) {
    let truth = &cluster.partitions[number];
    let wrong = |member: &&i32| {
        let Some(broker) = cluster.brokers.get(member) else { return false };
        let joins = !truth.isr.is_empty() && !truth.isr.contains(member);
        let stays = isr.len() > 1 && truth.isr.contains(member) && truth.isr.as_slice() != isr;
        (joins && (broker.fenced || broker.shutting_down)) || (stays && broker.fenced)
    };
    let Some(member) = isr.iter().find(wrong) else { return };
    found.add(Headline::bug(INVARIANT.code, &truth.name, None, at), || {
        let (name, partition) = (settings.broker_name(*member), &truth.name);
        let how = match cluster.brokers.get(member) {
            Some(broker) if broker.fenced => "fenced",
            _ => "shutting down",
        };
        let verb = if truth.isr.contains(member) { "was left in" } else { "joined" };
        let summary = format!("{name}, which is {how}, {verb} the in-sync replicas of {partition}");
        let sentence = format!(
            "the controller made {} the in-sync replicas of {partition} at {}, {name} being {how}",
            brokers(settings, isr),
            seconds(at.time)
        );
        let mut chain = Vec::new();
        if let Some((since, sentence)) = cluster.brokers.get(member).and_then(|broker| {
            broker
                .since
                .map(|since| (since, format!("the controller has {name} as {how} since {}", seconds(since.time))))
        }) {
            chain.push(step(since, "controller", sentence));
        }
        chain.push(step(at, "controller", sentence));
        (summary, chain)
    });
}
