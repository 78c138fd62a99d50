//! quorum-split (committed-lost): the log of every leader holds all that was committed before. Source: Raft paper 5.4,
//! leader completeness. A leader that took up its office late need not have what leaders of later epochs committed.

use super::Quorum;
use super::violation::Violation;
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "quorum-split",
    rule: Some("committed-lost"),
    what: "every later leader's log has all that was committed",
    source: "Raft 5.4",
};

/// A controller leads, and its log is what the others will follow.
pub(super) fn check(quorum: &mut Quorum, controller: i32, epoch: i32) -> Option<Violation> {
    let replica = quorum.replicas.entry(controller).or_default();
    let committed_end = quorum.ghost.end;
    let difference = quorum.ghost.compare(replica, epoch, committed_end)?;
    let offset = difference.committed.entry.first;
    quorum.ghost.rebase(offset);
    for replica in quorum.replicas.values_mut() {
        replica.verified = replica.verified.min(offset);
    }
    Some(Violation::CommittedLost { controller, epoch, difference, committed_end })
}
