//! The broker: requests in, replication between, metadata from the controller.
//!
//! ```text
//!   clients, followers ─Request─▶ api ─▶ produce ─┐                ┌─▶ purgatory ─▶ answer
//!                                      ├▶ fetch ──┼─▶ partition ───┤
//!                                      ├▶ groups ─┤  (leader|follower)
//!                                      └▶ …       │        ▲
//!   leaders ◀─Fetch── fetcher ────────────────────┴────────┘
//!   controller ◀─ lifecycle (heartbeat), alter_partition, forward
//!              ◀─ observer (metadata log) ─▶ image ─▶ apply_metadata
//!   disk ◀─ maintenance: start-up, checkpoints, flush, shutdown
//! ```
//!
//! A handler changes partitions at once and only *notes* what became ready by that (a parked request whose high
//! watermark has come); `settle_ready` completes those at the end of the handler, as Kafka's action queue
//! does, so no rule runs inside another.

mod alter_partition;
mod api;
mod apply_metadata;
mod controller_link;
mod delete_records;
mod describe_configs;
mod durable_order;
mod fetch;
mod fetch_session;
mod fetcher;
mod forward;
mod groups;
mod leader_view;
mod lifecycle;
mod list_offsets;
mod maintenance;
mod observer;
mod offset_for_leader_epoch;
pub mod partition;
mod preferred_replica;
mod produce;
mod produce_validation;
mod producer_ids;
mod purgatory;
mod replicas;
mod replication_quota;
mod retention;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::BTreeMap;

use trial_storage::Disk;
use uuid::Uuid;

use crate::config::BrokerConfig;
use crate::conformance::HighWatermarkRule;
use crate::ids::{BrokerId, ControllerNode};
use crate::metadata::MetadataImage;
use crate::node::{Command, Effects, Endpoint, Input, Lane, LocalStep, Nanos, Node, Now, Ticket};
use crate::zoo::Zoo;
use alter_partition::AlterPartitionManager;
use delete_records::DelayedDeletes;
use fetch_session::FetchSessions;
use fetcher::Fetcher;
pub use fetcher::FetcherKey;
use forward::Forwarder;
use groups::Groups;
pub use groups::{CoordinatedGroup, CoordinatedMember, CoordinatedPartition, GroupQuestion, GroupStep};
use lifecycle::Lifecycle;
use maintenance::SyncPurpose;
use observer::Observer;
use partition::Partition;
use producer_ids::ProducerIdManager;
use purgatory::Purgatory;
use replicas::Replicas;
use replication_quota::ReplicationQuota;
use timers::{Timer, Timers};

pub use lifecycle::LifecycleState;
pub use timers::Timer as BrokerTimer;

/// A broker's deferred steps.
#[derive(Clone, Debug)]
pub enum Step {
    /// A timer has come, and its work belongs to a lane.
    Tick(Timer),
    /// Look whether that fetcher has something to do.
    Fetch(FetcherKey),
    /// Cut what the leader says is diverging, which without zoo is done when it says so.
    Cut(FetcherKey, fetcher::DivergingTail),
    /// Something for the group coordinators.
    Groups(GroupStep),
}

/// What a broker is told before it starts.
#[derive(Clone, Debug)]
pub struct BrokerSetup {
    /// `node.id`.
    pub node_id: BrokerId,
    /// `cluster.id`.
    pub cluster_id: String,
    /// Where others reach it.
    pub endpoint: Endpoint,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// The controllers, `controller.quorum.bootstrap.servers`.
    pub controllers: Vec<ControllerNode>,
    /// Configuration.
    pub config: BrokerConfig,
    /// Zoo switches.
    pub zoo: Zoo,
}

/// A broker. See the module documentation.
#[derive(Clone, Debug)]
pub struct Broker {
    setup: BrokerSetup,
    incarnation: Uuid,
    image: MetadataImage,
    /// It has begun to act on the metadata.
    published: bool,
    lifecycle: Lifecycle,
    observer: Observer,
    alter_partition: AlterPartitionManager,
    forwarder: Forwarder,
    replicas: Replicas,
    fetchers: BTreeMap<FetcherKey, Fetcher>,
    purgatory: Purgatory,
    fetch_sessions: FetchSessions,
    deletes: DelayedDeletes,
    groups: Groups,
    producer_ids: ProducerIdManager,
    /// What this broker sends, as a leader, to replicas that are throttled.
    leader_quota: ReplicationQuota,
    /// What it fetches, as a follower, for its own replicas that are throttled.
    follower_quota: ReplicationQuota,
    syncs: BTreeMap<Ticket, SyncPurpose>,
    timers: Timers,
    shutdown: maintenance::Shutdown,
}

impl Broker {
    /// A broker that has not started.
    pub fn new(setup: BrokerSetup) -> Self {
        let config = &setup.config;
        Broker {
            incarnation: Uuid::nil(),
            image: MetadataImage::default(),
            published: false,
            lifecycle: Lifecycle::new(&setup),
            observer: Observer::new(&setup),
            alter_partition: AlterPartitionManager::new(&setup),
            forwarder: Forwarder::new(&setup),
            replicas: Replicas::default(),
            fetchers: BTreeMap::new(),
            purgatory: Purgatory::default(),
            fetch_sessions: FetchSessions::new(config.max_incremental_fetch_session_cache_slots),
            deletes: DelayedDeletes::default(),
            groups: Groups::new(config),
            producer_ids: ProducerIdManager::new(),
            leader_quota: ReplicationQuota::new(config.leader_replication_throttled_rate),
            follower_quota: ReplicationQuota::new(config.follower_replication_throttled_rate),
            syncs: BTreeMap::new(),
            timers: Timers::new(config),
            shutdown: maintenance::Shutdown::No,
            setup,
        }
    }
    /// What it was made from.
    pub fn setup(&self) -> &BrokerSetup {
        &self.setup
    }
    /// `node.id`.
    pub fn node_id(&self) -> BrokerId {
        self.setup.node_id
    }
    /// The metadata as far as this broker has applied it.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }
    /// The broker epoch of this incarnation, once the controller has told it.
    pub fn broker_epoch(&self) -> Option<i64> {
        self.lifecycle.broker_epoch()
    }
    /// Where it stands between starting and having shut down.
    pub fn lifecycle_state(&self) -> LifecycleState {
        self.lifecycle.state()
    }
    /// The replicas on this broker, in an order that does not change while it runs.
    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.replicas.iter().map(|(_, partition)| partition)
    }
    /// The replica of that partition.
    pub fn partition(&self, id: &crate::ids::TopicPartition) -> Option<&Partition> {
        self.replicas.find(id).map(|ix| self.replicas.get(ix))
    }
    /// The replica of that partition of the topic with this id.
    pub fn replica(&self, topic_id: Uuid, partition: i32) -> Option<&Partition> {
        self.replicas.find_by_id(topic_id, partition).map(|ix| self.replicas.get(ix))
    }
    /// The same, with another configuration of that replica's log, until metadata brings the topic's anew. A broker without
    /// such a replica stays as it is.
    pub fn with_log_config(mut self, id: &crate::ids::TopicPartition, config: trial_storage::LogConfig) -> Broker {
        if let Some(ix) = self.replicas.find(id) {
            self.replicas.get_mut(ix).log.set_config(config);
        }
        self
    }
    /// The same, configured otherwise, as far as it looks at its configuration again; and nobody has a fetch session.
    pub fn with_config(mut self, configure: impl FnOnce(&mut crate::config::BrokerConfig)) -> Broker {
        configure(&mut self.setup.config);
        self.fetch_sessions = FetchSessions::new(self.setup.config.max_incremental_fetch_session_cache_slots);
        self
    }
    /// It hears metadata that differs from what it knows by this change, and acts on it at once.
    pub fn hear_metadata(
        &mut self,
        now: Now,
        change: impl FnOnce(&mut MetadataImage),
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let before = self.image.clone();
        change(&mut self.image);
        self.publish_metadata(now, &before, disk, fx);
        self.settle(now, disk, fx);
    }
    /// Produce requests that wait for their high watermark, and fetch requests that wait for data.
    pub fn parked(&self) -> (usize, usize) {
        self.purgatory.len()
    }
    /// Requests that the controller was handed and has not answered yet.
    pub fn forwarded(&self) -> usize {
        self.forwarder.unanswered()
    }

    /// Does it know who leads the controllers?
    pub fn knows_controller(&self) -> bool {
        self.observer.view.leader().is_some()
    }

    /// When it looks next for members of its partitions' ISRs that lag.
    pub fn looks_for_late_members_at(&self) -> Option<Nanos> {
        self.timers.due(Timer::IsrShrink)
    }

    /// `replica.lag.time.max.ms`.
    pub fn lag_time_max_ms(&self) -> i64 {
        self.setup.config.replica_lag_time_max_ms
    }

    fn on_deadline(&mut self, now: Now, fx: &mut Effects<'_>) {
        for timer in self.timers.take_due(now.mono) {
            if timer == Timer::Fetchers {
                self.timers.done(timer);
                self.wake_fetchers(now, fx);
                continue;
            }
            fx.defer(timer.lane(), LocalStep::Broker(Step::Tick(timer)));
        }
    }

    fn on_step(&mut self, now: Now, step: Step, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        match step {
            Step::Fetch(key) => self.on_fetcher_step(now, key, fx),
            Step::Cut(key, tail) => self.cut_diverging_tail(now, key, tail, disk, fx),
            Step::Groups(step) => self.on_group_step(now, step, disk, fx),
            Step::Tick(timer) => {
                self.timers.done(timer);
                match timer {
                    Timer::Lifecycle => self.on_lifecycle_deadline(now, fx),
                    Timer::Observer => self.on_observer_deadline(now, fx),
                    Timer::AlterPartition => self.on_alter_partition_deadline(now, fx),
                    Timer::Forward => self.on_forward_deadline(now, fx),
                    Timer::Fetchers => self.wake_fetchers(now, fx),
                    Timer::Purgatory => self.expire_delayed(now, disk, fx),
                    Timer::Groups => self.on_groups_deadline(now, disk, fx),
                    Timer::IsrShrink => self.shrink_isrs(now, fx),
                    Timer::HighWatermarkCheckpoint => {
                        if HighWatermarkRule::CheckpointAtIntervals.holds() {
                            self.checkpoint_high_watermarks(disk, fx);
                        }
                    }
                    Timer::ProducerExpiration => self.remove_expired_producers(now),
                    Timer::RecoveryPointCheckpoint => self.checkpoint_recovery_points(disk, fx),
                    Timer::LogStartCheckpoint => self.checkpoint_log_starts(disk, fx),
                    Timer::Retention => self.delete_old_segments(now, disk, fx),
                }
            }
        }
    }

    /// Does what follows from what was handled.
    fn settle(&mut self, now: Now, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        self.settle_ready(now, disk, fx);
        self.settle_deletes(now, fx);
        self.hand_over_high_watermarks(fx);
        self.refresh_timers();
    }

    /// Sets the timers that follow from the state of the parts.
    fn refresh_timers(&mut self) {
        self.timers.set(Timer::Lifecycle, self.lifecycle.next_deadline(&self.observer.view));
        self.timers.set(Timer::Observer, self.observer.next_deadline());
        self.timers.set(Timer::AlterPartition, self.alter_partition.next_deadline(&self.observer.view));
        self.timers.set(Timer::Forward, self.forwarder.next_deadline(&self.observer.view));
        self.timers.set(Timer::Fetchers, self.fetchers.values().filter_map(Fetcher::next_deadline).min());
        // A broker that stops, or does not know its epoch yet, does nothing of what is due: it is not woken for it.
        self.timers.set(Timer::Groups, self.groups.next_deadline().filter(|_| self.is_serving()));
        let deletes = self.deletes.next_deadline();
        self.timers.set(Timer::Purgatory, self.purgatory.next_deadline().into_iter().chain(deletes).min());
    }

    /// Hands a connection's input to whoever dialed it.
    fn on_connection_input(&mut self, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let conn = match &input {
            Input::Opened { conn }
            | Input::DialFailed { conn }
            | Input::Closed { conn }
            | Input::Response { conn, .. } => *conn,
            _ => return,
        };
        match self.owner_of(conn) {
            Some(Owner::Fetcher(key)) => self.on_fetcher_input(now, key, input, disk, fx),
            Some(Owner::Lifecycle) => self.on_lifecycle_input(now, input, disk, fx),
            Some(Owner::Observer) => self.on_observer_input(now, input, disk, fx),
            Some(Owner::AlterPartition) => self.on_alter_partition_input(now, input, fx),
            Some(Owner::Forwarder) => self.on_forward_input(now, input, fx),
            // The end of a connection that was given up meanwhile.
            None => {}
        }
    }

    fn owner_of(&self, conn: crate::node::ConnId) -> Option<Owner> {
        if let Some((key, _)) = self.fetchers.iter().find(|(_, f)| f.owns(conn)) {
            return Some(Owner::Fetcher(*key));
        }
        if self.observer.owns(conn) {
            Some(Owner::Observer)
        } else if self.lifecycle.owns(conn) {
            Some(Owner::Lifecycle)
        } else if self.alter_partition.owns(conn) {
            Some(Owner::AlterPartition)
        } else if self.forwarder.owns(conn) {
            Some(Owner::Forwarder)
        } else {
            None
        }
    }
}

enum Owner {
    Fetcher(FetcherKey),
    Lifecycle,
    Observer,
    AlterPartition,
    Forwarder,
}

impl Node for Broker {
    fn lane(&self, input: &Input) -> Lane {
        match input {
            Input::Start { .. } => Lane::Log,
            Input::Deadline => Lane::Timer,
            Input::Request { .. } => Lane::Request,
            Input::Command { .. } => Lane::Heartbeat,
            Input::Local(LocalStep::Broker(Step::Tick(timer))) => timer.lane(),
            Input::Local(LocalStep::Broker(Step::Fetch(key) | Step::Cut(key, _))) => self.fetcher_lane(*key),
            Input::Local(LocalStep::Broker(Step::Groups(step))) => step.lane(),
            Input::Local(_) => Lane::Timer,
            Input::Synced { ticket, .. } => self.sync_lane(*ticket),
            Input::Opened { conn }
            | Input::DialFailed { conn }
            | Input::Closed { conn }
            | Input::Response { conn, .. } => match self.owner_of(*conn) {
                Some(Owner::Fetcher(key)) => self.fetcher_lane(key),
                Some(Owner::Lifecycle) => Lane::Heartbeat,
                Some(Owner::Observer | Owner::AlterPartition) => Lane::Metadata,
                Some(Owner::Forwarder) | None => Lane::Request,
            },
        }
    }

    fn handle(&mut self, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        match input {
            Input::Start { incarnation } => self.start(now, incarnation, disk, fx),
            Input::Deadline => self.on_deadline(now, fx),
            Input::Request { req, conn, header, body } => self.on_request(now, req, conn, &header, *body, disk, fx),
            Input::Synced { ticket, result } => self.on_synced(now, ticket, result, disk, fx),
            Input::Local(LocalStep::Broker(step)) => self.on_step(now, step, disk, fx),
            Input::Local(_) => {}
            Input::Command { command: Command::ShutDown, .. } => self.begin_shutdown(now, disk, fx),
            Input::Command { .. } => {}
            input @ (Input::Opened { .. }
            | Input::DialFailed { .. }
            | Input::Closed { .. }
            | Input::Response { .. }) => {
                self.on_connection_input(now, input, disk, fx);
            }
        }
        self.settle(now, disk, fx);
    }

    fn next_deadline(&self) -> Option<Nanos> {
        self.timers.next()
    }
}
