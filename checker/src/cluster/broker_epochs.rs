//! broker-epoch-regression and broker-epoch-changed: broker epochs rise with every incarnation and are given once; an
//! incarnation that registers again keeps its own. Source: KIP-631; KAFKA-16952, `ClusterControlManager.registerBroker`.

use super::Cluster;
use crate::findings::{Findings, Headline};
use crate::invariants::Invariant;
use crate::observation::EventRef;
use crate::settings::Settings;
use crate::verdict::Class;
use crate::words::{seconds, step};

/// See the table of invariants.
pub(super) const REGRESSION: Invariant = Invariant {
    code: "broker-epoch-regression",
    rule: None,
    what: "broker epochs rise with every incarnation, and are given once",
    source: "KIP-631",
};

/// See the table of invariants.
pub(super) const CHANGED: Invariant = Invariant {
    code: "broker-epoch-changed",
    rule: None,
    what: "an incarnation that registers again keeps its broker epoch",
    source: "KAFKA-16952, `ClusterControlManager.registerBroker`",
};

/// The controller is about to register a broker.
pub(crate) fn check(
    cluster: &Cluster,
    at: EventRef,
    broker: i32,
    (broker_epoch, incarnation): (i64, u64),
    settings: &Settings,
    found: &mut Findings,
) {
    let name = || settings.broker_name(broker);
    let wrong = match cluster.brokers.get(&broker) {
        Some(known) if known.incarnation == incarnation && known.broker_epoch != broker_epoch => {
            let text = format!(
                "{} registered again as the same incarnation, and its broker epoch went from {} to {broker_epoch}",
                name(),
                known.broker_epoch
            );
            Some((CHANGED, text))
        }
        Some(known) if known.incarnation != incarnation && broker_epoch <= known.broker_epoch => {
            let text = format!(
                "{} registered as a new incarnation with broker epoch {broker_epoch}, the last one having had {}",
                name(),
                known.broker_epoch
            );
            Some((REGRESSION, text))
        }
        _ => cluster.brokers.iter().find(|(other, b)| **other != broker && b.broker_epoch == broker_epoch).map(
            |(other, _)| {
                let text = format!(
                    "{} was given broker epoch {broker_epoch}, which {} has",
                    name(),
                    settings.broker_name(*other)
                );
                (REGRESSION, text)
            },
        ),
    };
    let Some((broken, text)) = wrong else { return };
    let headline = Headline {
        class: Class::Bug,
        code: broken.code,
        rule: broken.rule,
        partition: None,
        offset: None,
        record: None,
        at,
    };
    found.add(headline, || {
        let sentence = format!("at {}: {text}", seconds(at.time));
        (text, vec![step(at, "controller", sentence)])
    });
}
