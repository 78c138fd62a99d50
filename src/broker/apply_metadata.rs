//! What a broker does when its image has changed: leads, follows, creates and deletes replicas.
//!
//! Source: `BrokerMetadataPublisher.onMetadataUpdate`, `ReplicaManager.applyDelta`. Only partitions whose registration
//! changed are touched; topics are shared between images, so an unchanged topic is told by its address.

use std::sync::Arc;

use trial_storage::{Disk, Retention};

use super::Broker;
use super::lifecycle::LifecycleState;
use super::maintenance::log_config;
use super::partition::{Partition, RoleChange, Throttled};
use super::replicas::PartitionIx;
use super::replication_quota::is_throttled_replica;
use crate::conformance::{BrokerRule, FollowerRule, HighWatermarkRule};
use crate::event::{Event, TruncationReason};
use crate::ids::{BrokerId, NO_BROKER, TopicPartition};
use crate::metadata::{ALL_BROKERS, MetadataImage, PartitionRegistration, TopicImage};
use crate::node::{Effects, Now};
use crate::zoo::Switch;

impl Broker {
    /// Applies the difference between two images to the replicas on this broker. Not once it stops: the logs are being
    /// flushed then, and what was appended behind that would be missing though the stop is marked as clean
    /// (`BrokerServer.shutdown`, which closes the metadata publishers before the logs).
    pub(super) fn publish_metadata(
        &mut self,
        now: Now,
        before: &MetadataImage,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        if self.lifecycle.state() == LifecycleState::ShuttingDown && BrokerRule::StoppingBrokerActsOnNoMetadata.holds()
        {
            return;
        }
        let me = self.setup.node_id;
        let node_configs_changed = self.node_configs_differ(before);
        let changed: Vec<Arc<TopicImage>> = self
            .image
            .topics
            .values()
            .filter(|topic| before.topics.get(&topic.topic_id).is_none_or(|old| !Arc::ptr_eq(old, topic)))
            .cloned()
            .collect();
        // What is on the disk when the first metadata comes may be of topics of which nobody knows any more.
        let is_first = before.next_offset == 0;
        if is_first || !changed.is_empty() || before.topics.len() != self.image.topics.len() {
            self.delete_unassigned_replicas(disk, fx);
        }
        for topic in changed {
            let old = before.topics.get(&topic.topic_id);
            for (index, registration) in topic.partitions.iter().enumerate() {
                if !registration.replicas.contains(&me) {
                    continue;
                }
                let id = TopicPartition::new(&topic.name, index as i32);
                if old.and_then(|t| t.partitions.get(index)) != Some(registration) {
                    self.apply_registration(now, &topic, id, registration, disk, fx);
                } else if old.is_some_and(|t| t.configs != topic.configs) {
                    self.apply_topic_config(&topic, id.partition);
                }
            }
        }
        if node_configs_changed {
            self.apply_node_configs();
        }
        self.tell_groups_of_topics(before, fx);
    }

    fn apply_registration(
        &mut self,
        now: Now,
        topic: &TopicImage,
        id: TopicPartition,
        registration: &PartitionRegistration,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let me = self.setup.node_id;
        let ix = match self.replicas.find_by_id(topic.topic_id, id.partition) {
            Some(ix) => ix,
            None => match self.create_replica(topic.topic_id, &id, disk, fx) {
                Some(ix) => ix,
                None => return,
            },
        };
        self.apply_topic_config(topic, id.partition);
        let partition = self.replicas.get_mut(ix);
        let change = match partition.apply_registration(me, registration, now.wall, self.setup.zoo, disk) {
            Ok(change) => change,
            Err(error) => return self.log_failed(&id, &error, fx),
        };
        self.after_role_change(now, ix, change, registration, disk, fx);
    }

    fn after_role_change(
        &mut self,
        now: Now,
        ix: PartitionIx,
        change: RoleChange,
        registration: &PartitionRegistration,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let partition = self.replicas.get_mut(ix);
        match change {
            RoleChange::Ignored => return,
            RoleChange::Confirmed => {}
            RoleChange::NewLeader => {
                partition.role_event = fx.record(became_leader(partition));
                if FollowerRule::LeaderStopsFetching.holds() {
                    self.stop_fetching(ix, fx);
                }
                // Requests of an earlier reign go on waiting: this replica led all along and cut nothing.
                self.note_fetches(ix);
                if FollowerRule::AssignedEpochIsFlushed.holds() {
                    self.sync_epoch_checkpoint(ix, fx);
                }
                if self.replicas.get(ix).is_offsets {
                    self.note_group_leadership(ix, fx);
                }
                if self.setup.zoo.on(Switch::KeepOosFollowerState) {
                    self.expand_without_a_fetch(now, ix, fx);
                }
            }
            RoleChange::SameLeader => {
                fx.record(Event::IsrAdopted {
                    partition: partition.id.clone(),
                    isr: registration.isr.clone(),
                    partition_epoch: registration.partition_epoch,
                });
            }
            RoleChange::NewFollower => {
                partition.role_event = fx.record(Event::BecameFollower {
                    partition: partition.id.clone(),
                    leader: registration.leader,
                    leader_epoch: registration.leader_epoch,
                    log_end_offset: partition.log_end_offset(),
                    high_watermark: partition.high_watermark(),
                });
                if partition.is_offsets {
                    self.note_group_leadership(ix, fx);
                }
                self.note_all_waiters(ix);
                if self.setup.zoo.on(Switch::TruncateToHw) {
                    self.truncate_to_high_watermark(now, ix, disk, fx);
                }
                if FollowerRule::NewEpochBeginsAnew.holds() {
                    self.start_fetching(ix, fx);
                }
            }
            RoleChange::SameFollower if FollowerRule::SameEpochGoesOn.holds() => {}
            RoleChange::SameFollower => self.start_fetching(ix, fx),
        }
        if matches!(change, RoleChange::NewFollower | RoleChange::SameFollower) && self.has_left(registration) {
            self.stop_fetching(ix, fx);
        }
        // "Always re-try": the new ISR or assignment may let the high watermark move (KAFKA-13091; what the zoo switch
        // `no-hw-after-isr-change` leaves out is the same after an answer, which most often comes first).
        let tries = HighWatermarkRule::MetadataTries.holds() && !self.setup.zoo.on(Switch::NoHwAfterIsrChange);
        if tries || matches!(change, RoleChange::NewLeader) {
            self.try_high_watermark(now, ix, fx);
        }
    }

    /// A broker that stops has left the ISR by that, or the partition has no leader: to fetch it on might bring the broker
    /// back into the ISR that it leaves (`ReplicaManager.applyLocalFollowersDelta`).
    fn has_left(&self, registration: &PartitionRegistration) -> bool {
        let is_out = registration.leader == NO_BROKER || !registration.isr.contains(&self.setup.node_id);
        let stops =
            matches!(self.lifecycle.state(), LifecycleState::PendingControlledShutdown | LifecycleState::ShuttingDown);
        is_out && stops && FollowerRule::LeavingFollowerStopsFetching.holds()
    }

    /// The zoo switch `keep-oos-follower-state`: with what is remembered of those outside the ISR, nobody waits for a fetch
    /// before they are let in.
    fn expand_without_a_fetch(&mut self, now: Now, ix: PartitionIx, fx: &mut Effects<'_>) {
        let (me, zoo) = (self.as_isr_member(), self.setup.zoo);
        let partition = self.replicas.get_mut(ix);
        let others: Vec<BrokerId> = partition.replicas.iter().copied().filter(|r| *r != me.broker).collect();
        if others.into_iter().any(|replica| partition.maybe_expand_isr(me, replica, &self.image, zoo)) {
            self.ask_for_isr_change(now, ix, fx);
        }
    }

    /// The rule before KIP-101, brought back by the zoo switch `truncate-to-hw` (KAFKA-1211,
    /// `ReplicaManager.makeFollowers` up to 0.10): every follower cuts its log to its own high watermark.
    fn truncate_to_high_watermark(&mut self, now: Now, ix: PartitionIx, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let partition = self.replicas.get_mut(ix);
        let (from, to) = (partition.log_end_offset(), partition.high_watermark());
        if to >= from {
            return;
        }
        match partition.truncate_to(disk, to, now.wall) {
            Ok(to) => {
                let reason = TruncationReason::ToHighWatermark;
                fx.record(Event::Truncated { partition: partition.id.clone(), from, to, reason });
                self.sync_producer_snapshots(ix, fx);
                self.checkpoint_after_cut(ix, disk, fx);
            }
            Err(error) => {
                let id = partition.id.clone();
                self.log_failed(&id, &error, fx);
            }
        }
    }

    /// Deletes every replica that the metadata does not assign to this broker: its topic is gone, or another topic bears
    /// its name, or a reassignment took it away, perhaps all while this broker slept. Sources:
    /// `ReplicaManager.applyDelta`; at the first metadata `LogManager.isStrayReplica`, where Kafka sets the directory
    /// aside as `-stray` instead.
    fn delete_unassigned_replicas(&mut self, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let me = self.setup.node_id;
        let is_assigned = |partition: &Partition| {
            let registration = self.image.partition(partition.topic_id, partition.id.partition);
            registration.is_some_and(|registration| registration.replicas.contains(&me))
        };
        let unassigned: Vec<_> =
            self.replicas.iter().filter(|(_, partition)| !is_assigned(partition)).map(|(ix, _)| ix).collect();
        if !unassigned.is_empty() {
            unassigned.into_iter().for_each(|ix| self.delete_replica(ix, disk, fx));
            self.after_deletions(disk, fx);
        }
    }

    /// Takes the topic's configuration, and nothing else: a change of the ISR that is in flight goes on
    /// (`TopicConfigHandler`).
    fn apply_topic_config(&mut self, topic: &TopicImage, index: i32) {
        let Some(ix) = self.replicas.find_by_id(topic.topic_id, index) else { return };
        let config = self.image.effective_config_of_topic(self.setup.node_id, &self.setup.config, topic);
        let partition = self.replicas.get_mut(ix);
        partition.min_insync_replicas = config.min_insync_replicas;
        partition.flush_messages = config.flush_messages;
        partition.retention = Retention { ms: config.retention_ms, bytes: config.retention_bytes };
        let is_throttled = |list: &str| is_throttled_replica(list, index, self.setup.node_id);
        partition.throttled = Throttled {
            as_leader: is_throttled(&config.leader_throttled_replicas),
            as_follower: is_throttled(&config.follower_throttled_replicas),
        };
        partition.log.set_config(log_config(&config, self.setup.zoo));
    }

    /// Was this broker's configuration, or that of all brokers, changed?
    fn node_configs_differ(&self, before: &MetadataImage) -> bool {
        let me = self.setup.node_id.to_string();
        [ALL_BROKERS, &me].iter().any(|name| before.broker_configs.get(*name) != self.image.broker_configs.get(*name))
    }

    /// What was set at run time for this broker or for all is the default of its topics (`BrokerConfigHandler`,
    /// `DynamicLogConfig.reconfigure`).
    fn apply_node_configs(&mut self) {
        let config = self.image.effective_config_of_node(self.setup.node_id, &self.setup.config);
        self.leader_quota.set_rate(config.leader_replication_throttled_rate);
        self.follower_quota.set_rate(config.follower_replication_throttled_rate);
        for topic in self.image.topics.values().cloned().collect::<Vec<_>>() {
            (0..topic.partitions.len() as i32).for_each(|index| self.apply_topic_config(&topic, index));
        }
    }

    /// Moves the high watermark if this broker leads and it can move, and notes what that completes.
    pub(super) fn try_high_watermark(&mut self, now: Now, ix: PartitionIx, fx: &mut Effects<'_>) {
        let (lag, zoo) = (self.lag_time_max_ms(), self.setup.zoo);
        let partition = self.replicas.get_mut(ix);
        if let Some((from, to)) = partition.maybe_increment_leader_high_watermark(&self.image, now.wall, lag, zoo) {
            fx.record(Event::HighWatermark { partition: partition.id.clone(), from, to });
            self.note_high_watermark(ix);
        }
    }

    /// Where that broker is reached, if it is registered.
    pub(super) fn endpoint_of(&self, broker: BrokerId) -> Option<&crate::node::Endpoint> {
        self.image.brokers.get(&broker).map(|b| &b.endpoint)
    }
}

fn became_leader(partition: &Partition) -> Event {
    let state = partition.leader_state();
    Event::BecameLeader {
        partition: partition.id.clone(),
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        isr: state.map(|s| s.isr.committed().to_vec()).unwrap_or_default(),
        leader_epoch_start_offset: state.map_or(0, |s| s.epoch_start_offset),
        high_watermark: partition.high_watermark(),
    }
}
