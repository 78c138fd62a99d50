//! leader-loaded-snapshot: a leader has everything, and never replaces its log by a snapshot. Source: KIP-630;
//! `RaftEventSimulationTest.LeaderNeverLoadSnapshot`.

use super::replica::Replica;
use super::violation::Violation;

/// A controller replaced its log by a snapshot.
pub(super) fn check(replica: &Replica, controller: i32, end_offset: i64) -> Option<Violation> {
    replica.leads.map(|epoch| Violation::LeaderLoadedSnapshot { controller, epoch, end_offset })
}
