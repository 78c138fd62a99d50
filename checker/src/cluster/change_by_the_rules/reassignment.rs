//! May a reassignment end?

use super::{Broken, Change, rule};
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = rule(
    "reassignment",
    "a reassignment ends when all replicas that stay are in sync",
    "KAFKA-15665, `PartitionReassignmentReplicas.maybeCompleteReassignment`",
);

pub(super) fn wrong(change: &Change<'_>) -> Option<Broken> {
    if !change.is_reassigned() || change.is_cancelled() {
        return None;
    }
    let lacks = |replica: &&i32| !change.target_isr.contains(replica);
    let behind = change.after.replicas.iter().find(lacks)?;
    Some((INVARIANT, format!("the reassignment ended though {} was not in sync", change.name(*behind))))
}
