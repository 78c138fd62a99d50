//! The coordinators of consumer groups on this broker: one [`Shard`] per partition of `__consumer_offsets` that it leads.
//!
//! ```text
//!   clients ─▶ requests ─split by partition─▶ shard ─▶ records ─▶ append ─▶ the partition's log ─▶ followers
//!      ▲                                        │ ▲                                                    │
//!      └────── put together ◀──── answers ──────┘ └────────────── committed ◀── high watermark ◀───────┘
//!   metadata ─▶ elected: load, a chunk of the log after the other     resigned: unload
//! ```
//!
//! Kafka's coordinators have threads of their own, and so a lane ([`Lane::Groups`]): a request handler only hands the
//! question over, and a high watermark that has moved is looked at there. The log is loaded beside it, in [`Lane::Log`], by
//! steps: between two of them clients are told COORDINATOR_LOAD_IN_PROGRESS. Source: `CoordinatorRuntime`,
//! `GroupCoordinatorService`, `CoordinatorLoaderImpl`.

mod append;
mod find_coordinator;
mod gather;
mod load;
mod look;
mod requests;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trial_storage::Disk;

use super::{Broker, Step};
use crate::config::BrokerConfig;
use crate::conformance::CoordinatorRule;
use crate::group::api::{AskId, Caller, Request};
use crate::group::config::GroupConfig;
use crate::group::partition_for::{OFFSETS_TOPIC, partition_for};
use crate::group::shard::{Context, Effects as Outcome, Shard};
use crate::ids::{Topic, TopicPartition};
use crate::metadata::{MetadataImage, TopicImage};
use crate::node::{Effects, Lane, LocalStep, Nanos, Now};
use gather::Asks;
pub use look::{CoordinatedGroup, CoordinatedMember, CoordinatedPartition, GroupQuestion};

/// A deferred step of the coordinators.
#[derive(Clone, Debug)]
pub enum GroupStep {
    /// This broker leads a partition of `__consumer_offsets` in a new epoch.
    Elected {
        /// Which partition.
        partition: i32,
        /// The epoch.
        leader_epoch: i32,
    },
    /// It leads it no more.
    Resigned {
        /// Which partition.
        partition: i32,
        /// The epoch of its new leader; none if the replica is gone.
        leader_epoch: Option<i32>,
    },
    /// The next chunk of a log is to be loaded.
    Load {
        /// Which partition.
        partition: i32,
        /// Which loading: an earlier one may have been given up.
        loading: u64,
    },
    /// A question for the coordinator of a group.
    Ask(Box<Question>),
    /// The high watermark has moved.
    Committed {
        /// Which partition.
        partition: i32,
    },
    /// Topics are gone, and the offsets that groups have in them with them.
    TopicsDeleted(BTreeSet<Topic>),
}

impl GroupStep {
    /// Where it is done.
    pub(super) fn lane(&self) -> Lane {
        match self {
            GroupStep::Load { .. } => Lane::Log,
            _ => Lane::Groups,
        }
    }
}

/// A request, or the part of one that concerns one shard.
#[derive(Clone, Debug)]
pub struct Question {
    partition: i32,
    caller: Caller,
    request: Request,
}

/// The coordinator of the groups of one partition.
#[derive(Clone, Debug)]
struct Slot {
    shard: Shard,
    leader_epoch: i32,
    /// How far the log is loaded, while it is: the number of this loading, and the offset to go on from.
    loading: Option<(u64, i64)>,
    /// When the shard has something to do.
    due: Option<Nanos>,
    /// A step looks at the high watermark already.
    looks_at_high_watermark: bool,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    config: GroupConfig,
    /// Partitions of `__consumer_offsets` as this broker counts them: those it found when it began to act on the metadata,
    /// or else what it would create. Partitions that are added later change nothing until it starts again.
    /// Source: `GroupCoordinatorService.startup`.
    partitions: i32,
    slots: BTreeMap<i32, Slot>,
    asks: Asks,
    loadings: u64,
    /// When the first of them has something to do.
    due: Option<Nanos>,
    /// Partitions whose high watermark moved in this handler.
    moved: BTreeSet<i32>,
}

impl Groups {
    pub(super) fn new(config: &BrokerConfig) -> Groups {
        Groups {
            config: group_config(config),
            partitions: int(config.offsets_topic_num_partitions),
            slots: BTreeMap::new(),
            asks: Asks::default(),
            loadings: 0,
            due: None,
            moved: BTreeSet::new(),
        }
    }
    /// When a coordinator has something to do.
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        self.due
    }
    /// The high watermark of a partition of `__consumer_offsets` moved.
    pub(super) fn note_high_watermark(&mut self, partition: i32) {
        if CoordinatorRule::HighWatermarkIsHandedOver.holds() {
            self.moved.insert(partition);
        }
    }
    fn partition_for(&self, group: &str) -> i32 {
        partition_for(group, self.partitions).unwrap_or(0)
    }
}

impl Broker {
    /// How many partitions `__consumer_offsets` has is known from now on (`BrokerMetadataPublisher.initializeManagers`).
    pub(super) fn count_group_partitions(&mut self) {
        if let Some(topic) = self.image.topic(OFFSETS_TOPIC) {
            self.groups.partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        }
    }

    pub(super) fn on_group_step(&mut self, now: Now, step: GroupStep, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        // A broker that stops appends nothing behind what it flushes.
        if !self.is_serving() {
            return;
        }
        match step {
            GroupStep::Elected { partition, leader_epoch } => self.on_elected(partition, leader_epoch, fx),
            GroupStep::Resigned { partition, leader_epoch } => {
                self.on_resigned(now, partition, leader_epoch, disk, fx);
            }
            GroupStep::Load { partition, loading } => self.load_groups(now, partition, loading, disk, fx),
            GroupStep::Ask(question) => self.on_question(now, *question, disk, fx),
            GroupStep::Committed { partition } => self.on_group_high_watermark(now, partition, disk, fx),
            GroupStep::TopicsDeleted(topics) => self.on_topics_of_groups_deleted(now, &topics, disk, fx),
        }
    }

    /// Does whatever is due of the coordinators.
    pub(super) fn on_groups_deadline(&mut self, now: Now, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        if !self.is_serving() {
            return;
        }
        let due: Vec<i32> =
            self.groups.slots.iter().filter(|(_, s)| s.due.is_some_and(|at| at <= now.mono)).map(|(p, _)| *p).collect();
        for partition in due {
            while let Some(outcome) = self.with_shard(now, partition, |shard, cx| shard.fire(cx)).flatten() {
                self.carry_out(now, partition, None, outcome, disk, fx);
            }
            self.watch(partition);
        }
    }

    /// Hands the high watermarks that moved in this handler to the coordinators' lane.
    /// Source: `CoordinatorRuntime.HighWatermarkListener`.
    pub(super) fn hand_over_high_watermarks(&mut self, fx: &mut Effects<'_>) {
        for partition in std::mem::take(&mut self.groups.moved) {
            if let Some(slot) = self.groups.slots.get_mut(&partition).filter(|slot| !slot.looks_at_high_watermark) {
                slot.looks_at_high_watermark = true;
                fx.defer(Lane::Groups, step(GroupStep::Committed { partition }));
            }
        }
    }

    fn on_group_high_watermark(&mut self, now: Now, partition: i32, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let high_watermark = self.replicas.find(&offsets_partition(partition)).and_then(|ix| {
            let replica = self.replicas.get(ix);
            replica.is_leader().then(|| replica.high_watermark())
        });
        let Some(slot) = self.groups.slots.get_mut(&partition) else { return };
        slot.looks_at_high_watermark = false;
        let Some(high_watermark) = high_watermark.filter(|_| slot.shard.is_active()) else { return };
        let outcome = self.with_shard(now, partition, |shard, cx| shard.committed(cx, high_watermark));
        self.carry_out(now, partition, None, outcome.unwrap_or_default(), disk, fx);
        self.watch(partition);
    }

    fn on_question(&mut self, now: Now, question: Question, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let Question { partition, caller, request } = question;
        let ask = caller.ask;
        fx.charge(8_000);
        if !self.groups.slots.contains_key(&partition) {
            let refused = request.refused(kafka_protocol::ResponseError::NotCoordinator);
            return self.on_answer(ask, refused, fx);
        }
        let outcome = self.with_shard(now, partition, |shard, cx| shard.handle(cx, &caller, request));
        self.carry_out(now, partition, Some(ask), outcome.unwrap_or_default(), disk, fx);
        self.watch(partition);
    }

    /// Tells the coordinators which topics have come, gone or changed, and defers what is to be written for it.
    /// Source: `GroupCoordinatorService.onNewMetadataImage`, `onPartitionsDeleted`.
    pub(super) fn tell_groups_of_topics(&mut self, before: &MetadataImage, fx: &mut Effects<'_>) {
        if !CoordinatorRule::PartitionsAreCountedAtTheStart.holds() {
            self.count_group_partitions();
        }
        if self.groups.slots.is_empty() {
            return;
        }
        let image = &self.image;
        let deleted: BTreeSet<Topic> = before
            .topics
            .values()
            .filter(|old| !image.topics.contains_key(&old.topic_id))
            .map(|old| old.name.clone())
            .collect();
        let is_changed = |topic: &&Arc<TopicImage>| {
            before.topics.get(&topic.topic_id).is_none_or(|old| old.partitions.len() != topic.partitions.len())
        };
        let mut changed: BTreeSet<String> =
            image.topics.values().filter(is_changed).map(|topic| topic.name.as_str().to_string()).collect();
        changed.extend(deleted.iter().map(|name| name.as_str().to_string()));
        if !changed.is_empty() {
            self.groups.slots.values_mut().for_each(|slot| slot.shard.on_topics_changed(&changed));
        }
        let loses = CoordinatorRule::DeletedTopicsLoseTheirOffsets.holds();
        if !deleted.is_empty() && loses {
            fx.defer(Lane::Groups, step(GroupStep::TopicsDeleted(deleted)));
        }
    }

    fn on_topics_of_groups_deleted(
        &mut self,
        now: Now,
        topics: &BTreeSet<Topic>,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        for partition in self.groups.slots.keys().copied().collect::<Vec<_>>() {
            let outcome = self.with_shard(now, partition, |shard, cx| shard.on_topics_deleted(cx, topics));
            self.carry_out(now, partition, None, outcome.unwrap_or_default(), disk, fx);
            self.watch(partition);
        }
    }

    /// Lets a shard do something, with what it may look at.
    fn with_shard<R>(&mut self, now: Now, partition: i32, act: impl FnOnce(&mut Shard, Context<'_>) -> R) -> Option<R> {
        let slot = self.groups.slots.get_mut(&partition)?;
        Some(act(&mut slot.shard, Context { now, metadata: &self.image }))
    }
    /// Looks when a shard has something to do.
    fn watch(&mut self, partition: i32) {
        if let Some(slot) = self.groups.slots.get_mut(&partition) {
            slot.due = slot.shard.next_deadline();
        }
        self.groups.due = self.groups.slots.values().filter_map(|slot| slot.due).min();
    }

    /// Carries out what a shard asks for, and what comes of that.
    fn carry_out(
        &mut self,
        now: Now,
        partition: i32,
        by: Option<AskId>,
        outcome: Outcome,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let Outcome { records, answers, abandoned, happened } = outcome;
        let (if_written, at_once): (Vec<_>, Vec<_>) = happened.into_iter().partition(|happened| happened.if_written);
        for happened in at_once {
            fx.record(happened.event);
        }
        if !records.is_empty() {
            let next = match self.append_group_records(now, partition, &records, disk, fx) {
                Ok((end, appended)) => {
                    self.tell_records(&records, if_written, by, appended, fx);
                    self.with_shard(now, partition, |shard, cx| shard.appended(cx, end))
                }
                Err(error) => self.with_shard(now, partition, |shard, cx| shard.not_appended(cx, error)),
            };
            // What follows from a write is never another one.
            let next = next.unwrap_or_default();
            debug_assert!(next.records.is_empty(), "a write that is reported writes nothing");
            self.carry_out(now, partition, by, next, disk, fx);
        }
        for (ask, response) in answers {
            self.on_answer(ask, response, fx);
        }
        for ask in abandoned {
            self.on_abandoned(ask, fx);
        }
    }
}

/// The partition of `__consumer_offsets`.
fn offsets_partition(partition: i32) -> TopicPartition {
    TopicPartition::new(&Topic::new(OFFSETS_TOPIC), partition)
}
fn step(step: GroupStep) -> LocalStep {
    LocalStep::Broker(Step::Groups(step))
}
fn int(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// What coordinators are configured with (`GroupCoordinatorConfig`).
fn group_config(config: &BrokerConfig) -> GroupConfig {
    GroupConfig {
        min_session_timeout_ms: int(config.group_min_session_timeout_ms),
        max_session_timeout_ms: int(config.group_max_session_timeout_ms),
        initial_rebalance_delay_ms: int(config.group_initial_rebalance_delay_ms),
        max_size: int(config.group_max_size),
        consumer_session_timeout_ms: int(config.group_consumer_session_timeout_ms),
        consumer_heartbeat_interval_ms: int(config.group_consumer_heartbeat_interval_ms),
        consumer_max_size: int(config.group_consumer_max_size),
        consumer_regex_refresh_interval_ms: config.group_consumer_regex_refresh_interval_ms,
        offset_metadata_max_bytes: int(config.offset_metadata_max_bytes),
        offsets_retention_ms: config.offsets_retention_minutes.saturating_mul(60_000),
        offsets_retention_check_interval_ms: config.offsets_retention_check_interval_ms,
        offset_commit_timeout_ms: config.offsets_commit_timeout_ms,
        ..GroupConfig::default()
    }
}
