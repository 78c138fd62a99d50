//! quorum-epoch-regression: a node never acts in an epoch below one it has acted in, whatever restarts lie between: the
//! epoch was on its disk before it acted. Source: Raft paper 5.1; `RaftEventSimulationTest.MonotonicEpoch`.

use super::replica::Replica;
use super::violation::Violation;
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "quorum-epoch-regression",
    rule: None,
    what: "a node's epoch never goes back, over restarts neither",
    source: "Raft 5.1; `MonotonicEpoch`",
};

/// A controller acted in an epoch: it voted, stood for election, led or followed.
pub(super) fn check(replica: &mut Replica, controller: i32, epoch: i32) -> Option<Violation> {
    let before = std::mem::replace(&mut replica.epoch, epoch);
    (epoch < before).then_some(Violation::EpochWentBack { controller, before, epoch })
}
