//! A consumer of assigned partitions: `KafkaConsumer.assign` without a group, as a state machine.
//!
//! ```text
//!   Assign, Seek ─▶ position ──Fetch──▶ buffer ──Poll──▶ records
//!                   ▲      ▲    (one per broker at a time, of a leader or a replica
//!                   │      │     that is nearer; nothing while buffered)
//!                   │      └── OffsetForLeaderEpoch, when another leader is told of: truncated?
//!                   └── ListOffsets, by auto.offset.reset: no position, or OFFSET_OUT_OF_RANGE
//! ```
//!
//! As in Kafka, fetches leave only while a poll waits or has just been answered: a consumer that does not poll fetches
//! one response ahead, no more. Not modelled: groups, read_committed, pausing; a consumer that closes does not end its
//! fetch sessions, its connections do not outlive it.

mod calls;
mod decode;
mod fetcher;
mod position;
mod reset;
mod validation;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::calls::ConsumerCall;
use self::position::{Assigned, Position, State, reset_by_policy};
use super::backoff::{Backoff, WakeUp};
use super::cluster::{Cluster, ClusterConfig, Happening};
use super::fetch_session::FetchSessionHandler;
use crate::config::{ConsumerConfig, OffsetReset};
use crate::event::Event;
use crate::ids::{BrokerId, TopicPartition};
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
    assigned: BTreeMap<TopicPartition, Assigned>,
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
            assigned: BTreeMap::new(),
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
            Input::Command { op, command } => self.on_command(now.mono, op, command, fx),
            input => match self.cluster.on_input(now.mono, input, fx) {
                Happening::Response(response, call) => self.on_response(now, *response, call, fx),
                Happening::Failed(calls) => self.on_failed_calls(now.mono, calls, fx),
                Happening::MetadataChanged | Happening::Nothing => {}
            },
        }
        if !self.closed {
            self.drive(now, fx);
        }
    }

    fn on_command(&mut self, now: Nanos, op: OpId, command: Command, fx: &mut Effects<'_>) {
        match command {
            Command::Close => self.close(op, fx),
            _ if self.closed => fx.deliver(op, super::refused_when_closed()),
            Command::Assign { partitions } => {
                self.assign(partitions);
                fx.deliver(op, Outcome::Done);
            }
            Command::Seek { partition, to } => match self.seek(&partition, to, fx) {
                true => fx.deliver(op, Outcome::Done),
                // "No current assignment for partition".
                false => fx.deliver(op, super::refused_by_role()),
            },
            Command::Poll { max_wait_ms } if self.poll.is_none() => {
                self.poll = Some(WaitingPoll { op, until: now.saturating_add(ms(max_wait_ms)) });
            }
            _ => fx.deliver(op, super::refused_by_role()),
        }
    }

    /// Replaces the assignment. A partition that stays and is given no offset keeps its position and its buffer.
    /// Source: `KafkaConsumer.assign`, then `seek`.
    fn assign(&mut self, partitions: Vec<(TopicPartition, Option<i64>)>) {
        let mut before = std::mem::take(&mut self.assigned);
        self.turns.clear();
        self.fetch_order.clear();
        for (partition, offset) in partitions {
            let kept = before.remove(&partition).filter(|_| offset.is_none());
            let assigned = kept.unwrap_or_else(|| match offset {
                Some(offset) => {
                    let leader = self.cluster.view().leader(&partition);
                    Assigned::new(State::Fetching(Position { offset: offset.max(0), offset_epoch: None, leader }))
                }
                None => self.without_position(&partition),
            });
            self.cluster.want(&partition.topic);
            if self.assigned.insert(partition.clone(), assigned).is_none() {
                self.turns.push_back(partition.clone());
                self.fetch_order.push_back(partition);
            }
        }
        let topics: BTreeSet<_> = self.assigned.keys().map(|p| p.topic.clone()).collect();
        self.cluster.want_only(|topic| topics.contains(topic));
        self.errors.retain(|(partition, _)| self.assigned.contains_key(partition));
    }
    fn without_position(&mut self, partition: &TopicPartition) -> Assigned {
        if self.config.auto_offset_reset == OffsetReset::None {
            self.errors.push((partition.clone(), "NO_OFFSET_FOR_PARTITION".to_string()));
        }
        Assigned::new(reset_by_policy(self.config.auto_offset_reset, "no position"))
    }

    /// Everything that time or the last input made due.
    fn drive(&mut self, clocks: Now, fx: &mut Effects<'_>) {
        let now = clocks.mono;
        let failed = self.cluster.give_up_late(now, fx);
        self.on_failed_calls(now, failed, fx);
        self.follow_leaders();
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
        self.poll.iter().for_each(|poll| wake_up.also_at(poll.until));
        self.assigned.values().for_each(|assigned| wake_up.also_at(assigned.retry_at));
        self.wake_up_at = wake_up.at;
    }

    /// Answers a waiting poll that has something to tell or has waited long enough.
    fn answer_poll(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        let Some(poll) = self.poll else { return };
        let something = !self.errors.is_empty() || self.assigned.values().any(|a| !a.buffer.is_empty());
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

    fn close(&mut self, op: OpId, fx: &mut Effects<'_>) {
        if let Some(poll) = self.poll.take() {
            fx.deliver(poll.op, Outcome::Polled { records: Vec::new(), errors: Vec::new(), rebalanced: Vec::new() });
        }
        self.assigned.clear();
        self.turns.clear();
        self.fetch_order.clear();
        self.cluster.close(fx);
        self.closed = true;
        self.wake_up_at = None;
        fx.deliver(op, Outcome::Done);
    }
}

fn retry_backoff(config: &ConsumerConfig) -> Backoff {
    Backoff { first_ms: config.retry_backoff_ms, longest_ms: config.retry_backoff_max_ms }
}
