//! commit-without-majority: when a leader's high watermark moves, a majority of the voters has everything below it on
//! their disks: what a loss of power leaves. Source: Raft paper 5.3; KAFKA-10533;
//! `RaftEventSimulationTest.MajorityReachedHighWatermark`.

use super::violation::Violation;
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "commit-without-majority",
    rule: None,
    what: "a majority has on its disks everything below a leader's high watermark",
    source: "Raft 5.3; KAFKA-10533; `MajorityReachedHighWatermark`",
};

/// A leader's high watermark moved to `to`. `durable`: how far each voter's disk holds this leader's log.
pub(super) fn check(
    controller: i32,
    epoch: i32,
    to: i64,
    durable: &[(i32, i64)],
    majority: usize,
) -> Option<Violation> {
    let holders: Vec<i32> = durable.iter().filter(|(_, end)| *end >= to).map(|(voter, _)| *voter).collect();
    let enough = holders.len() >= majority;
    (!enough).then_some(Violation::CommitWithoutMajority { controller, epoch, to, holders, majority })
}
