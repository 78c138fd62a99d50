//! quorum-high-watermark: in the epoch of one leader the high watermark never goes back, and nobody's lies above the end
//! of its own log. Source: `LeaderState.maybeUpdateHighWatermark`, `KafkaRaftClient.updateFollowerHighWatermark`;
//! `RaftEventSimulationTest.MonotonicHighWatermark`.

use super::replica::Replica;
use super::violation::Violation;
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "quorum-high-watermark",
    rule: None,
    what: "a leader's high watermark never goes back, and nobody's exceeds its log end",
    source: "`LeaderState.maybeUpdateHighWatermark`; `MonotonicHighWatermark`",
};

/// A controller's high watermark moved.
pub(super) fn check(replica: &mut Replica, controller: i32, to: i64, leads: Option<i32>) -> Option<Violation> {
    let before = std::mem::replace(&mut replica.high_watermark, to);
    let same_leader = leads.is_some() && replica.leads == leads;
    if to > replica.log_end {
        return Some(Violation::HighWatermarkBeyondEnd { controller, to, log_end: replica.log_end });
    }
    (same_leader && to < before).then_some(Violation::HighWatermarkWentBack { controller, before, to })
}
