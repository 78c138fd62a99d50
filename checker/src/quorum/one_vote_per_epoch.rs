//! voted-twice: a voter gives one vote in an epoch, and remembers it over restarts. Source: Raft paper 5.2;
//! `QuorumState.transitionToUnattachedVotedState` writes the vote before it is told.

use super::replica::Replica;
use super::violation::Violation;
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "voted-twice",
    rule: None,
    what: "one vote per voter and epoch, over restarts too",
    source: "Raft 5.2",
};

/// A voter gave its vote.
pub(super) fn check(replica: &mut Replica, controller: i32, epoch: i32, candidate: i32) -> Option<Violation> {
    let first = *replica.votes.entry(epoch).or_insert(candidate);
    (first != candidate).then_some(Violation::VotedTwice { controller, epoch, first, second: candidate })
}
