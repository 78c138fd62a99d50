//! Do the epochs rise, and only when they must?

use super::{Broken, Change, rule};
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = rule(
    "epochs",
    "a change raises the partition epoch by one; the leader epoch too, if the leader is another or a replica is no more, and \
     only then",
    "`PartitionRegistration.merge`, `PartitionChangeBuilder.triggerLeaderEpochBumpForReplicaReassignmentIfNeeded`",
);

pub(super) fn wrong(change: &Change<'_>) -> Option<Broken> {
    let (before, after) = (change.before, change.after);
    if after.partition_epoch != before.partition_epoch.saturating_add(1) {
        let how = format!("the partition epoch went from {} to {}", before.partition_epoch, after.partition_epoch);
        return Some((INVARIANT, how));
    }
    let one_is_no_more = before.replicas.iter().any(|replica| !after.replicas.contains(replica));
    let must_rise = after.leader != before.leader || one_is_no_more;
    let may_rise = must_rise || change.settings.leader_epoch_rises_on_shrink;
    let same = after.leader_epoch == before.leader_epoch;
    let risen = after.leader_epoch == before.leader_epoch.saturating_add(1);
    if (same && !must_rise) || (risen && may_rise) {
        return None;
    }
    let why = match (after.leader != before.leader, one_is_no_more) {
        (true, _) => "though the leader is another",
        (false, true) => "though a replica is no more",
        (false, false) => "though the leader and the replicas are as they were",
    };
    Some((INVARIANT, format!("the leader epoch went from {} to {}, {why}", before.leader_epoch, after.leader_epoch)))
}
