//! quorum-epoch-regression: a node never acts in an epoch below one it has acted in, whatever restarts lie between: the
//! epoch was on its disk before it acted. Source: Raft paper 5.1; `RaftEventSimulationTest.MonotonicEpoch`.

use super::replica::Replica;
use super::violation::Violation;

/// A controller acted in an epoch: it voted, stood for election, led or followed.
pub(super) fn check(replica: &mut Replica, controller: i32, epoch: i32) -> Option<Violation> {
    let before = std::mem::replace(&mut replica.epoch, epoch);
    (epoch < before).then_some(Violation::EpochWentBack { controller, before, epoch })
}
