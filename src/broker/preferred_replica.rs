//! Which replica should a consumer read from (KIP-392)?
//!
//! A leader with `replica.selector.class=RackAwareReplicaSelector` sends a consumer that tells its rack to an in-sync
//! replica there. Source: `ReplicaManager.findPreferredReadReplica`, `RackAwareReplicaSelector`.

use std::cmp::Reverse;

use super::Broker;
use super::partition::Partition;
use super::partition::leader::RemoteReplica;
use crate::config::ReplicaSelector;
use crate::conformance::ConsumerRule;
use crate::ids::BrokerId;
use crate::node::Millis;

impl Broker {
    /// The replica in the consumer's rack that has most, and of those the one that was caught up last; `None` where the
    /// leader itself is as good (`ReplicaManager.findPreferredReadReplica`).
    pub(super) fn preferred_read_replica(
        &self,
        partition: &Partition,
        rack: &str,
        fetch_offset: i64,
        wall: Millis,
    ) -> Option<BrokerId> {
        if self.setup.config.replica_selector_class != ReplicaSelector::RackAware || rack.is_empty() {
            return None;
        }
        let state = partition.leader_state()?;
        // The leader stands in that rack: nobody is nearer.
        if self.rack_of(self.setup.node_id) == Some(rack) && ConsumerRule::LeaderInTheRackIsRead.holds() {
            return None;
        }
        // Who is not in the ISR may lag behind for ever, and the consumer with it.
        let has_it = |remote: &&RemoteReplica| {
            let in_sync =
                state.isr.committed().contains(&remote.broker) || !ConsumerRule::PreferredReplicaIsInSync.holds();
            let holds_offset = remote.log_end_offset >= fetch_offset && remote.log_start_offset <= fetch_offset;
            in_sync && (holds_offset || !ConsumerRule::PreferredReplicaHasTheOffset.holds())
        };
        let near = |remote: &&RemoteReplica| {
            self.rack_of(remote.broker) == Some(rack) || !ConsumerRule::PreferredReplicaIsInTheRack.holds()
        };
        let best = |remote: &&RemoteReplica| {
            (remote.log_end_offset, Reverse(wall - remote.last_caught_up_time), remote.broker)
        };
        state.remotes.iter().filter(has_it).filter(near).max_by_key(best).map(|remote| remote.broker)
    }

    /// The rack of a broker that is alive, as far as this broker knows.
    fn rack_of(&self, broker: BrokerId) -> Option<&str> {
        self.image.brokers.get(&broker).filter(|registered| !registered.fenced)?.rack.as_deref()
    }
}
