//! wrong-isr-asked: the in-sync replicas a leader asks the controller for are those it may ask for. The controller would
//! refuse some of it, and nobody may die of the rest in time; but what is asked is wrong in any case.

use super::partition::PartitionTruth;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::{Barred, EventRef};
use crate::settings::Settings;
use crate::words::{brokers, seconds, step};

const CODE: &str = "wrong-isr-asked";

/// See the table of invariants.
pub(super) const BEHIND: Invariant = Invariant {
    code: CODE,
    rule: Some("joiner-is-behind"),
    what: "a leader asks for a replica that has fetched from it up to the high watermark and to the start of its reign",
    source: "`Partition.isFollowerInSync`, KAFKA-7128",
};

/// See the table of invariants.
pub(super) const BARRED: Invariant = Invariant {
    code: CODE,
    rule: Some("joiner-is-barred"),
    what: "a leader asks for no replica that its metadata has as unregistered, fenced or stopping",
    source: "KIP-841, `Partition.isReplicaIsrEligible`",
};

/// See the table of invariants.
pub(super) const CAUGHT_UP: Invariant = Invariant {
    code: CODE,
    rule: Some("leaver-is-caught-up"),
    what: "a leader asks for nobody to leave who has all of its log",
    source: "`Partition.getOutOfSyncReplicas`, `Replica.isCaughtUp`",
};

/// See the table of invariants.
pub(super) const LEADER: Invariant = Invariant {
    code: CODE,
    rule: Some("leader-leaves"),
    what: "a leader asks for in-sync replicas of which it is one",
    source: "`Partition.getOutOfSyncReplicas`",
};

/// A leader asks for `isr` instead of `from`.
#[allow(clippy::too_many_arguments)] // what is asked is all of these
pub(crate) fn check(
    truth: &PartitionTruth,
    leader: i32,
    from: &[i32],
    isr: &[i32],
    barred: Option<(i32, Barred)>,
    at: EventRef,
    settings: &Settings,
    found: &mut Findings,
) {
    let mut tell = |invariant: &Invariant, why: String| {
        let headline = Headline { rule: invariant.rule, ..Headline::bug(CODE, &truth.name, None, at) };
        found.add(headline, || {
            let (name, partition, when) = (settings.broker_name(leader), &truth.name, seconds(at.time));
            let (from, isr) = (brokers(settings, from), brokers(settings, isr));
            let sentence = format!(
                "{name} asked at {when} for the in-sync replicas {isr} of {partition} instead of {from}; {why}"
            );
            (
                format!("{name} asks for in-sync replicas of {partition} as it may not: {why}"),
                vec![step(at, name, sentence)],
            )
        });
    };
    let Some(reign) = truth.reigns.iter().rev().find(|reign| reign.leader == leader) else { return };
    let own = truth.replicas.get(&leader);
    let (log_end, high_watermark) = own.map_or((0, 0), |replica| (replica.log_end, replica.high_watermark));
    for joiner in isr.iter().filter(|broker| !from.contains(broker)) {
        let name = settings.broker_name(*joiner);
        match truth.known_to.get(&(leader, *joiner)) {
            None => tell(&BEHIND, format!("{name} has not fetched from it")),
            Some(known) if known.log_end < reign.log_end => tell(
                &BEHIND,
                format!("{name} has fetched up to {}, and its reign begins at {}", known.log_end, reign.log_end),
            ),
            Some(known) if known.log_end < high_watermark => tell(
                &BEHIND,
                format!("{name} has fetched up to {}, and the high watermark is {high_watermark}", known.log_end),
            ),
            Some(_) => {}
        }
    }
    if let Some((joiner, why)) = barred {
        tell(&BARRED, format!("{} is {}", settings.broker_name(joiner), why.in_words()));
    }
    for leaver in from.iter().filter(|broker| !isr.contains(broker)) {
        let known = truth.known_to.get(&(leader, *leaver)).filter(|known| known.seq > reign.seq);
        if *leaver == leader {
            tell(&LEADER, "it leads".to_string());
        } else if known.is_some_and(|known| known.log_end >= log_end) {
            tell(&CAUGHT_UP, format!("{} has all of its log, up to {log_end}", settings.broker_name(*leaver)));
        }
    }
}
