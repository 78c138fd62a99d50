//! How does a voter leave in an orderly way? (`KafkaRaftClient.shutdown`, `maybeCompleteShutdown`.)

use super::role::Role;
use super::{Io, Quorum, QuorumError};
use crate::node::{Nanos, ms};

/// How long a shutdown waits for another leader (`KafkaRaftManager.shutdown`).
const SHUTDOWN_TIMEOUT: Nanos = ms(5_000);

impl Quorum {
    /// A leader resigns and tells its successors; nobody stands for election any more.
    pub fn begin_shutdown(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        if self.shutdown_at.is_none() {
            self.shutdown_at = Some(io.now.mono);
        }
        self.on_tick(io)
    }

    /// Why the process may end now, if it may: nobody depends on it, another leads, or it waited long enough.
    /// Source: `KafkaRaftClient.maybeCompleteShutdown`.
    pub fn shutdown_is_complete(&self, now: Nanos) -> Option<&'static str> {
        let begun = self.shutdown_at?;
        let has_remote_leader = self.leader_id.is_some_and(|leader| leader != self.me.id);
        let is_needed = self.is_voter() && !self.voters.is_only_voter(self.me) && !has_remote_leader;
        let is_waiting = self.persist.is_under_way() || is_needed;
        if is_waiting && now < begun.saturating_add(SHUTDOWN_TIMEOUT) {
            return None;
        }
        Some(if matches!(self.role, Role::Leader(_)) { "shut down as the only voter" } else { "shut down" })
    }

    /// When to look again.
    pub(super) fn shutdown_deadline(&self) -> Option<Nanos> {
        let begun = self.shutdown_at?;
        let is_complete = self.shutdown_is_complete(begun).is_some();
        Some(if is_complete { begun } else { begun.saturating_add(SHUTDOWN_TIMEOUT) })
    }
}
