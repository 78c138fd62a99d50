//! quorum-split (two-leaders): at most one leader can be elected in an epoch. Source: Raft paper 5.2, election safety;
//! `RaftEventSimulationTest.SingleLeader`.

use super::Quorum;
use super::violation::Violation;
use crate::invariants::Invariant;
use crate::observation::EventRef;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "quorum-split",
    rule: Some("two-leaders"),
    what: "at most one leader in an epoch",
    source: "Raft 5.2; `RaftEventSimulationTest.SingleLeader`",
};

/// A controller has begun to lead.
pub(super) fn check(quorum: &mut Quorum, controller: i32, epoch: i32, at: EventRef) -> Option<Violation> {
    let first = *quorum.leaders.entry(epoch).or_insert((controller, at));
    if first.1 == at {
        return None;
    }
    // The same node a second time has forgotten that it led: its disk may hold other records now (KAFKA-10527).
    quorum.leaders.insert(epoch, (controller, at));
    Some(Violation::TwoLeaders { epoch, first: first.0, first_at: first.1, second: controller })
}
