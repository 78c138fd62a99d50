//! Who is in sync after an election?

use super::{Broken, Change, Right, rule};
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = rule(
    "in-sync",
    "who goes leaves the in-sync replicas; a winner that was not among them is all of them; without KIP-966 the last stays",
    "`PartitionChangeBuilder.tryElection`, `PartitionChangeBuilder.build`",
);

pub(super) fn wrong(change: &Change<'_>) -> Option<Broken> {
    let (before, after) = (change.before, change.after);
    let (expected, why) = match change.right() {
        Some(Right::Eligible) => (vec![after.leader], "the winner was eligible and not in sync"),
        Some(Right::Uncleanly) => (vec![after.leader], "the winner was not in sync"),
        _ if change.target_isr.is_empty() && !change.has_elr() => (before.isr.clone(), "the last one stays"),
        _ => (change.target_isr.clone(), "nobody else came or went"),
    };
    (after.isr != expected).then(|| {
        let (is, due) = (change.names(&after.isr), change.names(&expected));
        (INVARIANT, format!("{is} came to be in sync, and not {due}, though {why}"))
    })
}
