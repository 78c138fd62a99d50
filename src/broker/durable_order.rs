//! What must be durable before what? Where Kafka's thread stands still in a sync, here something waits for it.

use trial_storage::Disk;

use super::Broker;
use super::maintenance::{RECOVERY_POINTS, SyncPurpose};
use super::replicas::PartitionIx;
use crate::conformance::BrokerRule;
use crate::node::{Effects, Now};

impl Broker {
    /// After an effective cut the recovery points are written at once, and the log is not fetched for before they are durable:
    /// an old recovery point would keep the next start from looking at what is appended behind the cut
    /// (`LogManager.truncateTo`, `truncateFullyAndStartAt`; the fetcher's thread stands still in there).
    pub(super) fn checkpoint_after_cut(&mut self, ix: PartitionIx, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        if !BrokerRule::CutIsCheckpointedAtOnce.holds() {
            return;
        }
        if BrokerRule::FetchWaitsForTheCheckpoint.holds() {
            self.replicas.get_mut(ix).checkpoints_awaited += 1;
        }
        let offsets = self.offsets(|partition| partition.log.recovery_point());
        self.write_checkpoint(RECOVERY_POINTS, &offsets, SyncPurpose::RecoveryPoints { ix }, disk, fx);
    }

    /// `partition.metadata` was among what was synced.
    pub(super) fn metadata_is_durable(&mut self, ix: PartitionIx, disk: &mut dyn Disk) {
        let partition = self.replicas.try_get_mut(ix);
        if let Some(file) = partition.and_then(|partition| partition.unsynced_metadata.take()) {
            disk.close(file);
        }
    }

    pub(super) fn on_recovery_points_synced(&mut self, now: Now, ix: PartitionIx, fx: &mut Effects<'_>) {
        let Some(partition) = self.replicas.try_get_mut(ix) else { return };
        partition.checkpoints_awaited = partition.checkpoints_awaited.saturating_sub(1);
        if partition.checkpoints_awaited == 0 && !partition.is_leader() {
            let partition = self.replicas.get(ix);
            let key = self.fetcher_key(partition.leader, &partition.id);
            self.run_fetcher(now, key, fx);
        }
    }
}
