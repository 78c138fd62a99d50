//! Is the leader whom Kafka's rules elect? Every change of a partition is an election, though most confirm who leads.

use super::{Broken, Change, rule};
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = rule(
    "leader",
    "a leader that may stays; else the first in the order of assignment that may leads, else the last known leader, else, \
     uncleanly, the first that is alive, else nobody",
    "`PartitionChangeBuilder.electLeader`",
);

pub(super) fn wrong(change: &Change<'_>) -> Option<Broken> {
    let leader = change.after.leader;
    let (expected, why) = match of_the_valid(change) {
        Some(valid) => valid,
        None => match last_known_leader(change) {
            Some(last) => (last, "led last, nobody else being left"),
            None => return nobody_valid(change),
        },
    };
    // That it was a preferred election may not have been told.
    let unknown_wish = change.told.preferred.is_none() && preferred(change) == Some(leader);
    (leader != expected && !unknown_wish).then(|| {
        let how = format!("{} came to lead, though {} {why}", change.name(leader), change.name(expected));
        (INVARIANT, how)
    })
}

/// The preferred replica, if it may lead.
fn preferred(change: &Change<'_>) -> Option<i32> {
    change.after.replicas.first().copied().filter(|replica| change.may_lead(*replica))
}

fn of_the_valid(change: &Change<'_>) -> Option<(i32, &'static str)> {
    if let (Some(true), Some(preferred)) = (change.told.preferred, preferred(change)) {
        return Some((preferred, "is preferred, and was asked for"));
    }
    if change.may_lead(change.before.leader) {
        return Some((change.before.leader, "led and may lead on"));
    }
    let first = change.after.replicas.iter().copied().find(|replica| change.may_lead(*replica))?;
    Some((first, "is the first that may lead"))
}

/// `PartitionChangeBuilder.canElectLastKnownLeader`, KAFKA-19522.
fn last_known_leader(change: &Change<'_>) -> Option<i32> {
    let exhausted = change.target_isr.is_empty() && change.target_elr.is_empty();
    match change.before.last_known_elr[..] {
        [last] if change.has_elr() && exhausted && change.is_active(last) => Some(last),
        _ => None,
    }
}

/// Nobody may lead by right. Who asked for an unclean election is not told, where it is no broker that goes.
fn nobody_valid(change: &Change<'_>) -> Option<Broken> {
    let leader = change.after.leader;
    let alive = change.after.replicas.iter().copied().find(|replica| change.is_active(*replica));
    let is_allowed = change.told.promised.unclean_leader_election_enable;
    let goes = change.told.going.is_some();
    let how = match leader {
        0.. if !is_allowed && goes => {
            format!("{} came to lead, which was neither in sync nor eligible", change.name(leader))
        }
        0.. if alive != Some(leader) => {
            format!("{} came to lead uncleanly, though {} comes first", change.name(leader), change.name(alive?))
        }
        0.. => return None,
        _ if is_allowed && goes && alive.is_some() => {
            format!("nobody leads, though {} is alive, and unclean election is enabled", change.name(alive?))
        }
        _ => return None,
    };
    Some((INVARIANT, how))
}
