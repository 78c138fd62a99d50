//! quorum-split (committed-cut): a node may cut what was never committed, and nothing else; least of all what it knows
//! itself to be committed. Source: `KafkaRaftClient.truncateToEndOffset`; KAFKA-12460.

use super::ghost::{Committed, Ghost};
use super::replica::{Entry, Replica};
use super::violation::Violation;
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "quorum-split",
    rule: Some("committed-cut"),
    what: "nobody cuts what is committed",
    source: "`KafkaRaftClient.truncateToEndOffset`, KAFKA-12460",
};

/// A controller cut its log.
pub(super) fn check(
    ghost: &Ghost,
    replica: &Replica,
    controller: i32,
    removed: &[Entry],
    to: i64,
) -> Option<Violation> {
    let knowingly = replica.known_committed.is_some_and(|(high_watermark, _)| to < high_watermark);
    // After a split the ghost log may know of another history; what the node itself knew stands all the same.
    let known = replica.known_committed.filter(|_| knowingly);
    let its_own = || {
        let entry = *removed.first()?;
        Some(Committed { entry, by: entry.epoch, at: known?.1 })
    };
    let committed = removed.iter().find_map(|entry| ghost.find(entry)).copied().or_else(its_own)?;
    Some(Violation::CommittedCut { controller, to, committed, knowingly })
}
