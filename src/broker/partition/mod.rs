//! One partition on one broker: its log, its high watermark and its role.
//!
//! Source of the rules: `Partition`, `Replica` and `UnifiedLog` in apache/kafka. The rules that only a leader follows
//! stand in [`leader`], those about its in-sync replicas in [`isr`].

pub mod isr;
pub mod leader;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use trial_storage::{Disk, FileId, Log, LogError, Retention, SyncTarget};
use uuid::Uuid;

use crate::conformance::{FollowerRule, HighWatermarkRule, IsrRule, LogStartRule};
use crate::ids::{BrokerId, NO_BROKER, TopicPartition};
use crate::metadata::PartitionRegistration;
use crate::node::EventId;
use crate::protocol::is_internal_topic;
use crate::zoo::{Switch, Zoo};
use isr::IsrState;
use leader::{LeaderState, RemoteReplica};

/// What this broker is for the partition.
#[derive(Clone, Debug)]
pub enum Role {
    /// It leads.
    Leader(LeaderState),
    /// It follows [`Partition::leader`], or waits for one.
    Follower,
}

/// A parked produce request waits for the high watermark to reach `needs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProduceWaiter {
    /// The high watermark that satisfies it: last offset + 1.
    pub needs: i64,
    /// The parked request.
    pub delayed: u64,
}

/// One replica, the one on this broker.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Name and index.
    pub id: TopicPartition,
    /// Is it one of `__consumer_offsets`?
    pub is_offsets: bool,
    /// The topic's id: a topic created again under the same name is another topic.
    pub topic_id: Uuid,
    /// The log.
    pub log: Log,
    high_watermark: i64,
    /// The leader, -1 if there is none.
    pub leader: BrokerId,
    /// Its epoch.
    pub leader_epoch: i32,
    /// Version of the partition's registration.
    pub partition_epoch: i32,
    /// Assigned replicas.
    pub replicas: Vec<BrokerId>,
    /// Role of this broker.
    pub role: Role,
    /// `min.insync.replicas` of the topic, not yet limited by the number of replicas.
    pub min_insync_replicas: i64,
    /// `flush.messages` of the topic.
    pub flush_messages: i64,
    /// `retention.ms` and `retention.bytes` of the topic.
    pub retention: Retention,
    /// Is it throttled on this broker as a leader's, and as a follower's (KIP-73)?
    pub throttled: Throttled,
    /// While a flush that the log asked for (`flush.messages`) is under way, what lies at or above this offset counts for
    /// nobody: in Kafka the thread that appends stands still meanwhile.
    pub flushing_from: Option<i64>,
    /// `partition.metadata`, while it is not known to be durable.
    pub unsynced_metadata: Option<FileId>,
    /// Checkpoints of recovery points under way because the log was cut; meanwhile nothing is fetched for it.
    pub checkpoints_awaited: u32,
    /// acks=all requests that wait here, in the order of what they need.
    pub produce_waiters: VecDeque<ProduceWaiter>,
    /// Requests that wait for the flush under way.
    pub flush_waiters: Vec<u64>,
    /// Fetch requests that wait here.
    pub fetch_waiters: Vec<u64>,
    /// The event that gave the partition its present role: a cause of what follows from it.
    pub role_event: EventId,
}

/// Which side of a replica is throttled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttled {
    /// Where it leads: what is sent to followers outside the ISR.
    pub as_leader: bool,
    /// Where it follows: what it fetches.
    pub as_follower: bool,
}

/// What a metadata record made of this replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleChange {
    /// The record is older than what is known; nothing changed.
    Ignored,
    /// Leads in a new epoch.
    NewLeader,
    /// Leads on in the same epoch, with other in-sync replicas or assignment.
    SameLeader,
    /// Leads on in the same epoch, and knew all this from the answer to its own AlterPartition.
    Confirmed,
    /// Follows in a new epoch.
    NewFollower,
    /// Follows on.
    SameFollower,
}

impl Partition {
    /// A replica that was just loaded from disk, or created, and knows nothing of leadership yet.
    pub fn new(id: TopicPartition, topic_id: Uuid, log: Log, high_watermark: i64) -> Self {
        let high_watermark = match HighWatermarkRule::CheckpointIsLoadedWithinTheLog.holds() {
            true => high_watermark.clamp(log.log_start_offset(), log.log_end_offset()),
            false => high_watermark,
        };
        Partition {
            is_offsets: is_internal_topic(id.topic.as_str()),
            id,
            topic_id,
            log,
            high_watermark,
            leader: NO_BROKER,
            leader_epoch: -1,
            partition_epoch: -1,
            replicas: Vec::new(),
            role: Role::Follower,
            min_insync_replicas: 1,
            flush_messages: i64::MAX,
            retention: Retention { ms: -1, bytes: -1 },
            throttled: Throttled::default(),
            flushing_from: None,
            unsynced_metadata: None,
            checkpoints_awaited: 0,
            produce_waiters: VecDeque::new(),
            flush_waiters: Vec::new(),
            fetch_waiters: Vec::new(),
            role_event: EventId::NONE,
        }
    }

    /// Everything below it is committed, as far as this replica knows.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }
    /// Offset of the next record to be appended.
    pub fn log_end_offset(&self) -> i64 {
        self.log.log_end_offset()
    }
    /// The end of what this replica may be counted to have: the log end, or less while it is being flushed.
    pub fn own_end_offset(&self) -> i64 {
        self.flushing_from.unwrap_or_else(|| self.log.log_end_offset())
    }
    /// What a sync must name so that `partition.metadata` is durable.
    pub fn unsynced_metadata(&self) -> Vec<SyncTarget> {
        let of = |file| [SyncTarget::File(file), SyncTarget::Dir(self.log.dir())];
        self.unsynced_metadata.map(of).into_iter().flatten().collect()
    }
    /// Does this broker lead?
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }
    /// The leader's state, if this broker leads.
    pub fn leader_state(&self) -> Option<&LeaderState> {
        match &self.role {
            Role::Leader(state) => Some(state),
            Role::Follower => None,
        }
    }
    /// `min.insync.replicas`, at most the number of replicas (`Partition.effectiveMinIsr`).
    pub fn effective_min_isr(&self) -> usize {
        let configured = usize::try_from(self.min_insync_replicas).unwrap_or(0);
        if IsrRule::MinIsrIsWithinTheReplicas.holds() { configured.min(self.replicas.len()) } else { configured }
    }

    /// Applies a registration at the hands of the metadata log (`Partition.makeLeader`, `makeFollower`).
    ///
    /// An older partition epoch is ignored, an equal one accepted: the answer to AlterPartition may have brought it before. What is
    /// in flight by then stays so; Kafka ends it, though the controller may commit it yet, and the leader counts on too few
    /// until it hears of that (zoo switch `isr-metadata-drops-pending`). A new leader epoch makes the leader start its reign at
    /// its log end: epoch cache entry, forgotten or re-timed replica states. The same epoch only brings assignment and ISR.
    pub fn apply_registration(
        &mut self,
        me: BrokerId,
        registration: &PartitionRegistration,
        wall: i64,
        zoo: Zoo,
        disk: &mut dyn Disk,
    ) -> Result<RoleChange, LogError> {
        if registration.partition_epoch < self.partition_epoch && IsrRule::OlderMetadataIsIgnored.holds() {
            return Ok(RoleChange::Ignored);
        }
        let new_epoch = registration.leader_epoch > self.leader_epoch;
        if !new_epoch && self.is_confirmed_by(registration, zoo) {
            return Ok(RoleChange::Confirmed);
        }
        self.partition_epoch = registration.partition_epoch;
        self.leader = registration.leader;
        self.leader_epoch = registration.leader_epoch;
        self.replicas.clone_from(&registration.replicas);
        if registration.leader == me {
            self.make_leader(me, registration, new_epoch, wall, zoo, disk)
        } else {
            let was_leader = self.is_leader();
            self.role = Role::Follower;
            Ok(if new_epoch || was_leader { RoleChange::NewFollower } else { RoleChange::SameFollower })
        }
    }

    fn is_confirmed_by(&self, registration: &PartitionRegistration, zoo: Zoo) -> bool {
        let ends = |isr: &IsrState| isr.is_pending() && zoo.on(Switch::IsrMetadataDropsPending);
        let isr_is_known = self.leader_state().is_some_and(|s| !ends(&s.isr) && s.isr.committed() == registration.isr);
        isr_is_known && registration.partition_epoch == self.partition_epoch && registration.replicas == self.replicas
    }

    fn make_leader(
        &mut self,
        me: BrokerId,
        registration: &PartitionRegistration,
        new_epoch: bool,
        wall: i64,
        zoo: Zoo,
        disk: &mut dyn Disk,
    ) -> Result<RoleChange, LogError> {
        let isr = IsrState::Committed { isr: registration.isr.clone() };
        let others = registration.replicas.iter().copied().filter(|&r| r != me);
        let log_end_offset = self.log.log_end_offset();
        match &mut self.role {
            Role::Leader(state) if !new_epoch && IsrRule::ReignGoesOnInTheSameEpoch.holds() => {
                if IsrRule::MetadataEndsWhatIsPending.holds() {
                    state.isr = isr;
                }
                state.set_assignment(others);
                Ok(RoleChange::SameLeader)
            }
            role => {
                if FollowerRule::LeaderAssignsItsEpoch.holds() {
                    self.log.assign_epoch(disk, registration.leader_epoch, log_end_offset)?;
                }
                let known = match role {
                    Role::Leader(state) => Some(std::mem::take(&mut state.remotes)),
                    Role::Follower => None,
                };
                let remotes = others
                    .map(|replica| {
                        let in_sync = registration.isr.contains(&replica);
                        let known = known.as_ref().and_then(|k| k.iter().find(|r| r.broker == replica));
                        RemoteReplica::at_new_leader_epoch(replica, known, in_sync, log_end_offset, wall, zoo)
                    })
                    .collect();
                let epoch_start_offset = if IsrRule::ReignStartsAtTheLogEnd.holds() { log_end_offset } else { 0 };
                *role = Role::Leader(LeaderState { epoch_start_offset, isr, remotes });
                Ok(RoleChange::NewLeader)
            }
        }
    }

    /// Moves the follower's high watermark to what the leader told, within the own log
    /// (`UnifiedLog.maybeUpdateHighWatermark`). It may go down. Returns the move, if it is one.
    pub fn set_follower_high_watermark(&mut self, leader_high_watermark: i64) -> Option<(i64, i64)> {
        let to = match HighWatermarkRule::FollowerStaysWithinItsLog.holds() {
            true => leader_high_watermark.clamp(self.log.log_start_offset(), self.log.log_end_offset()),
            false => leader_high_watermark,
        };
        let to = if HighWatermarkRule::FollowerMayGoDown.holds() { to } else { to.max(self.high_watermark) };
        self.move_high_watermark(to)
    }
    /// Cuts the log and with it the high watermark (`UnifiedLog.truncateTo`). Returns the new log end offset.
    pub fn truncate_to(&mut self, disk: &mut dyn Disk, offset: i64, wall: i64) -> Result<i64, LogError> {
        self.log.truncate_to_at(disk, offset, wall)?;
        let end = self.log.log_end_offset();
        if FollowerRule::HighWatermarkFallsWithTheLog.holds() {
            self.high_watermark = self.high_watermark.min(end);
        }
        self.flushing_from = self.flushing_from.map(|from| from.min(end));
        Ok(end)
    }
    /// Empties the log, to start again at `offset` (`UnifiedLog.truncateFullyAndStartAt`).
    pub fn truncate_fully_and_start_at(&mut self, disk: &mut dyn Disk, offset: i64) -> Result<(), LogError> {
        self.log.truncate_fully_and_start_at(disk, offset)?;
        self.high_watermark = offset;
        self.flushing_from = None;
        Ok(())
    }

    /// The log begins at `to` from now on, if that lies above its start: never beyond the high watermark, for what is not
    /// committed must not be skipped. Gives the move, if it is one (`UnifiedLog.maybeIncrementLogStartOffset`).
    pub fn increment_log_start_offset(&mut self, disk: &mut dyn Disk, to: i64) -> Result<Option<(i64, i64)>, LogError> {
        let from = self.log.log_start_offset();
        if to > self.high_watermark && LogStartRule::NotBeyondTheHighWatermark.holds() {
            let log_end_offset = self.high_watermark;
            return Err(LogError::OffsetOutOfRange { requested: to, log_start_offset: from, log_end_offset });
        }
        let moved = self.log.maybe_increment_log_start_offset(disk, to)?;
        Ok(moved.then_some((from, to)))
    }

    fn move_high_watermark(&mut self, to: i64) -> Option<(i64, i64)> {
        let from = std::mem::replace(&mut self.high_watermark, to);
        (from != to).then_some((from, to))
    }
}
