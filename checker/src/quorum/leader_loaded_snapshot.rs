//! leader-loaded-snapshot: a leader has everything, and never replaces its log by a snapshot. Source: KIP-630;
//! `RaftEventSimulationTest.LeaderNeverLoadSnapshot`.

use super::replica::Replica;
use super::violation::Violation;
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "leader-loaded-snapshot",
    rule: None,
    what: "a leader never replaces its own log",
    source: "KIP-630; `LeaderNeverLoadSnapshot`",
};

/// A controller replaced its log by a snapshot.
pub(super) fn check(replica: &Replica, controller: i32, end_offset: i64) -> Option<Violation> {
    replica.leads.map(|epoch| Violation::LeaderLoadedSnapshot { controller, epoch, end_offset })
}
