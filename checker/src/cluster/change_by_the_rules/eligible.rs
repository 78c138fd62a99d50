//! Who is eligible without being in sync, who is remembered as the last leader, and who has to recover?

use std::collections::BTreeSet;

use super::{Broken, Change, Right, rule};
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const ELIGIBLE: Invariant = rule(
    "eligible",
    "eligible are those who left an ISR below min.insync.replicas, but who stopped uncleanly, until the ISR has as many, or an \
     unclean election is held",
    "KIP-966, `PartitionChangeBuilder.maybePopulateTargetElr`, `PartitionChangeBuilder.maybeUpdateRecordElr`",
);

/// See the table of invariants.
pub(super) const LAST_KNOWN: Invariant = rule(
    "last-known-leader",
    "who leads when the last in-sync replica goes is remembered until somebody leads again",
    "KIP-966, `PartitionChangeBuilder.maybeUpdateLastKnownLeader`",
);

/// See the table of invariants.
pub(super) const RECOVERY: Invariant = rule(
    "recovery",
    "who wins uncleanly has to recover, and nobody else",
    "KIP-704, `PartitionChangeBuilder.tryElection`",
);

pub(super) fn wrong(change: &Change<'_>) -> Option<Broken> {
    wrong_elr(change).or_else(|| wrong_last_known(change)).or_else(|| wrong_recovery(change))
}

fn wrong_elr(change: &Change<'_>) -> Option<Broken> {
    let right = change.right();
    let (expected, why) = match change.has_elr() {
        false => (Vec::new(), "without the feature there are none"),
        true if right == Some(Right::Uncleanly) => (Vec::new(), "the election was unclean"),
        true if change.target_elr.is_empty() => (Vec::new(), "enough are in sync"),
        true => (change.target_elr.clone(), "too few are in sync"),
    };
    let expected: BTreeSet<i32> =
        expected.into_iter().filter(|b| right.is_none() || *b != change.after.leader).collect();
    let unknown = change.told.going.filter(|going| going.uncleanly.is_none()).map(|going| going.broker);
    let is: BTreeSet<i32> = change.after.elr.iter().copied().collect();
    let differs = is.symmetric_difference(&expected).any(|broker| Some(*broker) != unknown);
    differs.then(|| {
        let due: Vec<i32> = expected.into_iter().collect();
        let (is, due) = (change.names(&change.after.elr), change.names(&due));
        (ELIGIBLE, format!("{is} came to be eligible, and not {due}, though {why}"))
    })
}

fn wrong_last_known(change: &Change<'_>) -> Option<Broken> {
    let (before, after) = (change.before, change.after);
    if !change.has_elr() {
        return None;
    }
    let expected = match () {
        () if after.isr.is_empty() && !before.isr.is_empty() => vec![before.leader],
        () if after.leader >= 0 => Vec::new(),
        () => before.last_known_elr.clone(),
    };
    (after.last_known_elr != expected).then(|| {
        let (is, due) = (change.names(&after.last_known_elr), change.names(&expected));
        (LAST_KNOWN, format!("the last known leader became {is}, and not {due}"))
    })
}

fn wrong_recovery(change: &Change<'_>) -> Option<Broken> {
    if change.is_cancelled() {
        return None; // one replica may have to stand for what a reassignment had left behind
    }
    let unclean = change.right() == Some(Right::Uncleanly);
    let recovering = change.after.recovering;
    let how = match (change.before.recovering, unclean) {
        (_, true) if !recovering => "need not recover, though it won uncleanly",
        (false, false) if recovering => "has to recover, though it did not win uncleanly",
        _ => return None,
    };
    Some((RECOVERY, format!("{} {how}", change.name(change.after.leader))))
}
