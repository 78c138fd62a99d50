//! A consumer of partitions that are assigned by hand, or by its group: `KafkaConsumer`, as a state machine.
//!
//! ```text
//!   Subscribe ─▶ group ─┐
//!   Assign, Seek ───────┴▶ position ──Fetch──▶ buffer ──Poll──▶ records
//!                          ▲  ▲   ▲    (one per broker at a time, of a leader or a replica
//!                          │  │   │     that is nearer; nothing while buffered)
//!                          │  │   └── OffsetForLeaderEpoch, when another leader is told of: truncated?
//!                          │  └── ListOffsets, by auto.offset.reset: no position, or OFFSET_OUT_OF_RANGE
//!                          └── OffsetFetch, if it has a group.id: how far the group has come
//! ```
//!
//! As in Kafka, fetches leave only while a poll waits or has just been answered: a consumer that does not poll fetches
//! one response ahead, no more. Not modelled: read_committed; a consumer that closes does not end its fetch sessions, its
//! connections do not outlive it.

mod assignment;
mod calls;
mod decode;
mod fetcher;
mod group;
mod position;
mod reset;
mod validation;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::calls::ConsumerCall;
use self::group::{Membership, News, refused_without_group};
use self::position::{Assigned, State};
use super::backoff::{Backoff, WakeUp};
use super::cluster::{Cluster, ClusterConfig, Happening};
use super::fetch_session::FetchSessionHandler;
use crate::config::ConsumerConfig;
use crate::event::Event;
use crate::ids::{BrokerId, Topic, TopicPartition};
use crate::node::{Command, ConsumedRecord, Effects, Endpoint, Input, Nanos, Now, OpId, Outcome, ms};
use crate::zoo::Zoo;

#[derive(Clone, Copy, Debug)]
struct WaitingPoll {
    op: OpId,
    until: Nanos,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    config: ConsumerConfig,
    cluster: Cluster<ConsumerCall>,
    /// What it does in its group, if it has one.
    membership: Option<Membership>,
    assigned: BTreeMap<TopicPartition, Assigned>,
    /// Grows whenever partitions come or go.
    assignment: u64,
    /// Topics whose metadata its group needs, beyond those of what is assigned.
    metadata_topics: BTreeSet<Topic>,
    /// The assigned partitions in the order in which polls serve them.
    turns: VecDeque<TopicPartition>,
    /// The assigned partitions in the order in which they are fetched.
    fetch_order: VecDeque<TopicPartition>,
    /// What each broker knows of what is wanted.
    sessions: BTreeMap<BrokerId, FetchSessionHandler>,
    /// Brokers that have not answered a fetch yet.
    fetching_from: BTreeSet<BrokerId>,
    /// Brokers that have not answered a ListOffsets yet.
    listing_from: BTreeSet<BrokerId>,
    /// Brokers that have not answered an OffsetForLeaderEpoch yet.
    validating_with: BTreeSet<BrokerId>,
    /// The version of the cluster's view up to which positions follow their leaders.
    followed_version: u64,
    poll: Option<WaitingPoll>,
    /// A poll waits, or was just answered.
    wants_records: bool,
    /// What the next poll is to report.
    errors: Vec<(TopicPartition, String)>,
    zoo: Zoo,
    closed: bool,
    wake_up_at: Option<Nanos>,
}

impl Consumer {
    /// The epoch of the leader that its position was validated with.
    pub(crate) fn leader_epoch_followed(&self, partition: &TopicPartition) -> Option<i32> {
        self.assigned.get(partition)?.consumed()?.leader.map(|leader| leader.epoch)
    }

    /// A consumer without partitions.
    pub(crate) fn new(config: ConsumerConfig, bootstrap: Vec<Endpoint>, zoo: Zoo) -> Self {
        let cluster = ClusterConfig {
            timeouts: super::channel_timeouts(
                config.request_timeout_ms,
                config.reconnect_backoff_ms,
                config.reconnect_backoff_max_ms,
            ),
            retry_backoff: retry_backoff(&config),
            metadata_max_age_ms: config.metadata_max_age_ms,
            allow_auto_topic_creation: true,
            max_in_flight: 100,
        };
        Consumer {
            cluster: Cluster::new(bootstrap, cluster),
            membership: Membership::new(&config),
            assigned: BTreeMap::new(),
            assignment: 0,
            metadata_topics: BTreeSet::new(),
            turns: VecDeque::new(),
            fetch_order: VecDeque::new(),
            sessions: BTreeMap::new(),
            fetching_from: BTreeSet::new(),
            listing_from: BTreeSet::new(),
            validating_with: BTreeSet::new(),
            followed_version: 0,
            poll: None,
            wants_records: false,
            errors: Vec::new(),
            zoo,
            closed: false,
            wake_up_at: None,
            config,
        }
    }
    /// When it wants to be woken.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.wake_up_at
    }

    /// Handles one input.
    pub(crate) fn handle(&mut self, now: Now, input: Input, fx: &mut Effects<'_>) {
        match input {
            Input::Command { op, command } => self.on_command(now, op, command, fx),
            input => match self.cluster.on_input(now.mono, input, fx) {
                Happening::Response(response, call) => self.on_response(now, *response, call, fx),
                Happening::Failed(calls) => self.on_failed_calls(now, calls, fx),
                Happening::MetadataChanged | Happening::Nothing => {}
            },
        }
        if !self.closed {
            self.drive(now, fx);
        }
    }

    fn on_command(&mut self, now: Now, op: OpId, command: Command, fx: &mut Effects<'_>) {
        let is_closing = self.membership.as_ref().is_some_and(Membership::is_closing);
        match command {
            Command::Close if !is_closing => self.close(now, op, fx),
            _ if self.closed || is_closing => fx.deliver(op, super::refused_when_closed()),
            Command::Assign { partitions } => {
                self.with_membership(now, fx, |membership, cx| membership.unsubscribe_to_assign(cx));
                self.assign(partitions);
                fx.deliver(op, Outcome::Done);
            }
            Command::Pause { partitions } => self.set_paused(op, &partitions, true, fx),
            Command::Resume { partitions } => self.set_paused(op, &partitions, false, fx),
            Command::Seek { partition, to } => match self.seek(&partition, to, fx) {
                true => fx.deliver(op, Outcome::Done),
                // "No current assignment for partition".
                false => fx.deliver(op, super::refused_by_role()),
            },
            Command::Poll { max_wait_ms } if self.poll.is_none() => {
                self.poll = Some(WaitingPoll { op, until: now.mono.saturating_add(ms(max_wait_ms)) });
                self.with_membership(now, fx, |membership, cx| membership.on_poll(cx));
            }
            command => self.on_group_command(now, op, command, fx),
        }
    }
    /// Commands that need a `group.id`.
    fn on_group_command(&mut self, now: Now, op: OpId, command: Command, fx: &mut Effects<'_>) {
        let done = match command {
            Command::Subscribe { to } => {
                self.with_membership(now, fx, |membership, cx| membership.subscribe(op, to, cx))
            }
            Command::Unsubscribe => {
                self.with_membership(now, fx, |membership, cx| membership.unsubscribe(cx));
                self.set_assignment(&BTreeSet::new(), State::Lost);
                return fx.deliver(op, Outcome::Done);
            }
            Command::Commit { offsets, wait } => {
                self.with_membership(now, fx, |membership, cx| membership.commit(op, offsets, wait, cx))
            }
            Command::Committed { partitions } => {
                self.with_membership(now, fx, |membership, cx| membership.committed(op, partitions, cx))
            }
            _ => return fx.deliver(op, super::refused_by_role()),
        };
        if done.is_none() {
            fx.deliver(op, refused_without_group());
        }
    }

    /// Everything that time or the last input made due.
    fn drive(&mut self, clocks: Now, fx: &mut Effects<'_>) {
        let now = clocks.mono;
        let failed = self.cluster.give_up_late(now, fx);
        self.on_failed_calls(clocks, failed, fx);
        self.follow_leaders();
        self.with_membership(clocks, fx, |membership, cx| membership.drive(cx));
        if self.closed {
            return;
        }
        self.wants_records = self.poll.is_some();
        self.answer_poll(now, fx);
        self.ask_for_positions(clocks, fx);
        self.ask_for_validation(now, fx);
        if self.wants_records {
            self.fetch(now, fx);
        }
        self.cluster.ask_for_metadata(now, fx);
        let mut wake_up = WakeUp::after(now);
        self.cluster.wake_up(&mut wake_up);
        self.membership.iter().for_each(|membership| membership.wake_up(&mut wake_up));
        self.poll.iter().for_each(|poll| wake_up.also_at(poll.until));
        self.assigned.values().for_each(|assigned| wake_up.also_at(assigned.retry_at));
        self.wake_up_at = wake_up.at;
    }

    /// Answers a waiting poll that has something to tell or has waited long enough.
    fn answer_poll(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        let Some(poll) = self.poll else { return };
        if let Some(news) = self.membership.as_mut().and_then(Membership::take_news) {
            self.poll = None;
            return fx.deliver(
                poll.op,
                match news {
                    News::Failure(error) => Outcome::Refused { error },
                    News::Rebalanced(what) => {
                        Outcome::Polled { records: Vec::new(), errors: Vec::new(), rebalanced: vec![what] }
                    }
                },
            );
        }
        let something = !self.errors.is_empty() || self.assigned.values().any(Assigned::has_records);
        if something || poll.until <= now {
            self.poll = None;
            let records = self.take_records(fx);
            fx.deliver(
                poll.op,
                Outcome::Polled { records, errors: std::mem::take(&mut self.errors), rebalanced: Vec::new() },
            );
        }
    }

    /// Up to max.poll.records, in order within each partition; partitions take turns, and one that could not hand out
    /// everything goes on first next time. Source: `FetchCollector.collectFetch`.
    fn take_records(&mut self, fx: &mut Effects<'_>) -> Vec<ConsumedRecord> {
        let most = usize::try_from(self.config.max_poll_records).unwrap_or(0).max(1);
        let mut records = Vec::new();
        for _ in 0..self.turns.len() {
            let Some(partition) = self.turns.front() else { break };
            let Some(assigned) = self.assigned.get_mut(partition) else { break };
            if !assigned.is_fetchable() {
                self.turns.rotate_left(1);
                continue;
            }
            let from = records.len();
            records.extend(assigned.take(most - from));
            if let (Some(first), Some(last)) = (records.get(from), records.last()) {
                fx.record(Event::Consumed {
                    partition: partition.clone(),
                    first_offset: first.offset,
                    last_offset: last.offset,
                    records: (records.len() - from) as u32,
                });
            }
            if !assigned.buffer.is_empty() {
                break;
            }
            self.turns.rotate_left(1);
            if records.len() >= most {
                break;
            }
        }
        records
    }

    fn close(&mut self, now: Now, op: OpId, fx: &mut Effects<'_>) {
        if let Some(poll) = self.poll.take() {
            fx.deliver(poll.op, Outcome::Polled { records: Vec::new(), errors: Vec::new(), rebalanced: Vec::new() });
        }
        let is_new = !self.closed;
        let leaves = is_new && self.with_membership(now, fx, |membership, cx| membership.close(op, cx)).is_some();
        if !leaves {
            self.end(fx);
            fx.deliver(op, Outcome::Done);
        }
    }
    /// It is no more.
    fn end(&mut self, fx: &mut Effects<'_>) {
        self.assigned.clear();
        self.turns.clear();
        self.fetch_order.clear();
        self.cluster.close(fx);
        self.closed = true;
        self.wake_up_at = None;
    }
}

fn retry_backoff(config: &ConsumerConfig) -> Backoff {
    Backoff { first_ms: config.retry_backoff_ms, longest_ms: config.retry_backoff_max_ms }
}
