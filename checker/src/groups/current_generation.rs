//! zombie-commit (coordinator): an offset is written only for a member in the present generation or member epoch, or for nobody,
//! while the group has no members (`ClassicGroup.validateOffsetCommit`, `ConsumerGroup.validateOffsetCommit`).
//!
//! Of a classic group the log tells the last generation that was assigned; the one that is agreed on may be later, so that a
//! later one is no sign. Of a group of the consumer protocol it tells each member's epoch.

use crate::invariants::Invariant;
use std::sync::Arc;

use super::fold::Fold;
use super::violation::Violation;
use crate::observation::Partition;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "zombie-commit",
    rule: Some("coordinator"),
    what: "offsets are written for members in the present generation only",
    source: "`validateOffsetCommit`",
};

/// An offset was written; `fold` is all that is written.
pub(super) fn check(
    fold: &Fold,
    group: &Arc<str>,
    partition: &Partition,
    offset: i64,
    (member, generation): (&Arc<str>, i32),
) -> Option<Violation> {
    let state = fold.groups.get(group)?;
    let present = match (&state.generation, state.epoch) {
        _ if generation < 0 => {
            return state.has_members().then(|| violation(group, partition, offset, member, -1, None));
        }
        (Some(present), _) => {
            return (generation < present.number && !present.members.is_empty())
                .then(|| violation(group, partition, offset, member, generation, Some(present.number)));
        }
        (None, Some(_)) => state.members.get(member).map(|has| has.epoch),
        (None, None) => return None,
    };
    (present != Some(generation)).then(|| violation(group, partition, offset, member, generation, present))
}

fn violation(
    group: &Arc<str>,
    partition: &Partition,
    offset: i64,
    member: &Arc<str>,
    generation: i32,
    present: Option<i32>,
) -> Violation {
    let (group, partition, member) = (group.clone(), partition.clone(), member.clone());
    Violation::StaleCommit { group, partition, offset, member, generation, present }
}
