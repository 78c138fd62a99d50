//! replica-sets: in-sync and eligible leader replicas are disjoint, and both are replicas of the partition (KIP-966,
//! `PartitionRegistration`).

use super::partition::PartitionTruth;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::EventRef;
use crate::settings::Settings;
use crate::words::{brokers, seconds, step};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "replica-sets",
    rule: None,
    what: "in-sync and eligible leader replicas are disjoint, and replicas of the partition",
    source: "KIP-966, `PartitionRegistration`",
};

/// The controller's whole word on a partition is known.
pub(crate) fn check(truth: &PartitionTruth, at: EventRef, settings: &Settings, found: &mut Findings) {
    let both = |b: &&i32| truth.isr.contains(b) && truth.elr.contains(b);
    let foreign = |b: &&i32| !truth.assigned.contains(b);
    let stranger = truth.isr.iter().chain(&truth.elr).find(foreign);
    let what = match (truth.elr.iter().find(both), stranger) {
        (Some(_), _) => "in-sync and eligible leader replicas overlap",
        (None, Some(_)) => "a broker that is no replica is in sync or eligible",
        (None, None) => return,
    };
    found.add(Headline::bug(INVARIANT.code, &truth.name, None, at), || {
        let sentence = format!(
            "the controller made {} the in-sync and {} the eligible leader replicas of {} at {}; its replicas are {}",
            brokers(settings, &truth.isr),
            brokers(settings, &truth.elr),
            truth.name,
            seconds(at.time),
            brokers(settings, &truth.assigned)
        );
        (format!("of {}, {what}", truth.name), vec![step(at, "controller", sentence)])
    });
}
