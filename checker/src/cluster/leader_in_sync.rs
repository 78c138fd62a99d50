//! leader-not-in-isr: where a leader exists, it is one of the in-sync replicas (KIP-497, `PartitionChangeBuilder`).

use super::partition::PartitionTruth;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::EventRef;
use crate::settings::Settings;
use crate::words::{brokers, seconds, step};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "leader-not-in-isr",
    rule: None,
    what: "a leader is one of the in-sync replicas",
    source: "KIP-497, `PartitionChangeBuilder`",
};

/// The controller elected `leader` (-1: none) with these in-sync replicas.
pub(crate) fn check(
    truth: &PartitionTruth,
    at: EventRef,
    leader: i32,
    isr: &[i32],
    settings: &Settings,
    found: &mut Findings,
) {
    if leader < 0 || isr.contains(&leader) {
        return;
    }
    found.add(Headline::bug(INVARIANT.code, &truth.name, None, at), || {
        let (name, isr) = (settings.broker_name(leader), brokers(settings, isr));
        let sentence = format!(
            "the controller made {name} leader of {} at {} with in-sync replicas {isr}",
            truth.name,
            seconds(at.time)
        );
        (format!("{name} leads {} without being in sync", truth.name), vec![step(at, "controller", sentence)])
    });
}
