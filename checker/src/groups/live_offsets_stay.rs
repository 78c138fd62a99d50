//! commit-regression (removed-while-in-use): the offset of a partition that a member of the group has is not removed: it does not
//! expire while it is in use (KIP-211), and nobody may delete it (GROUP_SUBSCRIBED_TO_TOPIC, NON_EMPTY_GROUP). With its topic it goes.

use super::fold::Fold;
use super::violation::Violation;
use crate::invariants::Invariant;
use crate::observation::GroupRecord;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "commit-regression",
    rule: Some("removed-while-in-use"),
    what: "the offset of a partition that is consumed is not removed",
    source: "KIP-211",
};

/// A record was committed that is not in the fold yet. `is_deleted`: the topic is gone, or was.
pub(super) fn check(fold: &Fold, record: &GroupRecord, is_deleted: impl FnOnce(&str) -> bool) -> Option<Violation> {
    let GroupRecord::Offset { group, partition, offset: None } = record else { return None };
    let offset = *fold.offsets.get(&(group.clone(), partition.clone()))?;
    let in_use = fold.groups.get(group).is_some_and(|state| state.is_assigned(partition));
    (in_use && !is_deleted(&partition.topic)).then(|| Violation::RemovedWhileInUse {
        group: group.clone(),
        partition: partition.clone(),
        offset,
    })
}
