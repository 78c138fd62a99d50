//! stuck (leader-deposed): a voter raises the epoch only if a majority has said that it would vote for it; so one that
//! was cut off deposes nobody when it comes back. Source: KIP-996.
//!
//! A candidate that starts again stands where it stood, in the epoch that it had raised before (`QuorumState.initialize`).
//!
//! It harms where a leader was at work: one whose high watermark moved a short while ago. So this is told only then.

use super::Quorum;
use super::violation::Violation;
use crate::invariants::Invariant;
use crate::observation::Time;
use crate::settings::Settings;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "stuck",
    rule: Some("leader-deposed"),
    what: "nobody raises the epoch whom no majority would elect",
    source: "KIP-996",
};

/// A leader at work commits something twice a second (`metadata.max.idle.interval.ms`).
const AT_WORK: Time = 2_000_000_000;

/// A voter stands for election, with so many consents.
pub(super) fn check(
    quorum: &Quorum,
    controller: i32,
    epoch: i32,
    consents: u32,
    now: Time,
    settings: &Settings,
) -> Option<Violation> {
    let stands_again = quorum.replicas.get(&controller).is_some_and(|replica| replica.stood == Some(epoch));
    if stands_again || consents as usize >= quorum.majority(controller, settings) {
        return None;
    }
    let at_work = |leader: &i32| quorum.last_commit.get(leader).is_some_and(|last| now.saturating_sub(*last) < AT_WORK);
    let leaders = quorum.replicas.iter().filter(|(id, r)| **id != controller && r.leads.is_some_and(|e| e < epoch));
    let leader = leaders.map(|(id, _)| *id).find(at_work)?;
    Some(Violation::LeaderDeposed { controller, epoch, consents, leader })
}
