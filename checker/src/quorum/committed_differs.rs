//! quorum-split (committed-differs): what a node takes for committed, everything below its own high watermark, is what
//! was committed. Source: Raft paper 5.4.3, state machine safety; `RaftEventSimulationTest.ConsistentCommittedData`.

use super::ghost::Ghost;
use super::replica::Replica;
use super::violation::Violation;
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "quorum-split",
    rule: Some("committed-differs"),
    what: "what a node takes for committed is what was committed",
    source: "Raft 5.4.3; `ConsistentCommittedData`",
};

/// A follower's high watermark has just moved.
pub(super) fn check(ghost: &Ghost, replica: &mut Replica, controller: i32) -> Option<Violation> {
    if replica.told {
        return None;
    }
    let difference = ghost.compare(replica, i32::MAX, replica.high_watermark.min(ghost.end))?;
    replica.told = true;
    Some(Violation::CommittedDiffers { controller, difference })
}
