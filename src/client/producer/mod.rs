//! The producer: `KafkaProducer` and its `Sender` thread as one state machine.
//!
//! ```text
//!   Produce ─▶ partition chosen ─▶ batch ─linger─▶ request to the leader ─▶ acknowledged ─▶ Acked
//!      │            (murmur2,         ▲                    │ refused, lost, late
//!      │             sticky)          └──── retry ─────────┤
//!      └ no metadata for max.block.ms                      └─ final error, delivery.timeout.ms ─▶ Failed | Unknown
//! ```
//!
//! With idempotence (KIP-98) the brokers know each batch by producer id, epoch and sequence, so that a batch sent twice is
//! written once and batches under way together are written in their order: see [`idempotence`] and [`sequences`].
//!
//! A batch is packed when it is sent (`compression.type`); how many records go into it is reckoned with how much those
//! before them have shrunk ([`compression_ratio`]). One that a broker finds too large is split.
//!
//! Not modelled: transactions, buffer.memory.

mod accumulator;
mod batch;
mod belief;
mod compression_ratio;
mod idempotence;
mod partitioner;
mod producer_id;
mod sender;
mod sequences;

use std::collections::{BTreeMap, VecDeque};

use kafka_protocol::error::ResponseError;
use trial_storage::NewRecord;
use trial_storage::compression::DEFAULT_GZIP_LEVEL;

pub use partitioner::{murmur2, partition_for_key};

use self::accumulator::{Accumulator, Appending, MAX_REQUEST_SIZE};
use self::batch::{Batch, BatchId, Packing, size_upper_bound};
use self::idempotence::Idempotence;
use self::partitioner::StickyPartition;
use self::sender::ProduceCall;
use super::TIMEOUT;
use super::backoff::{Backoff, WakeUp};
use super::cluster::{Cluster, ClusterConfig, Happening};
use crate::config::ProducerConfig;
use crate::conformance::ProducerClientRule;
use crate::event::Event;
use crate::ids::{Topic, TopicPartition};
use crate::node::{Belief, Command, Effects, Endpoint, Input, Nanos, Now, OpId, Outcome, ms};
use crate::protocol::error_name;
use crate::zoo::{Switch, Zoo};

/// A record whose topic is not known yet.
#[derive(Clone, Debug)]
struct Send {
    op: OpId,
    topic: Topic,
    partition: Option<i32>,
    record: NewRecord,
    created_at: Nanos,
}

/// What a call was about.
#[derive(Clone, Debug)]
enum ProducerCall {
    Produce(ProduceCall),
    InitProducerId,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    config: ProducerConfig,
    cluster: Cluster<ProducerCall>,
    /// Sends that wait for metadata, in the order of their commands.
    blocked: VecDeque<Send>,
    sticky: BTreeMap<Topic, StickyPartition>,
    accumulator: Accumulator,
    in_flight: BTreeMap<BatchId, Batch>,
    /// `None`: `enable.idempotence` is false.
    idempotence: Option<Idempotence>,
    closed: bool,
    wake_up_at: Option<Nanos>,
}

impl Producer {
    /// A producer that has not spoken to anybody yet. It is idempotent if its configuration allows it to be.
    pub(crate) fn new(config: ProducerConfig, bootstrap: Vec<Endpoint>, zoo: Zoo) -> Self {
        let cluster = ClusterConfig {
            timeouts: super::channel_timeouts(
                config.request_timeout_ms,
                config.reconnect_backoff_ms,
                config.reconnect_backoff_max_ms,
            ),
            retry_backoff: retry_backoff(&config),
            metadata_max_age_ms: config.metadata_max_age_ms,
            allow_auto_topic_creation: true,
            max_in_flight: max_in_flight(&config),
        };
        Producer {
            cluster: Cluster::new(bootstrap, cluster),
            blocked: VecDeque::new(),
            sticky: BTreeMap::new(),
            accumulator: Accumulator::new(ms(config.linger_ms), batch_size(&config), packing(&config)),
            in_flight: BTreeMap::new(),
            idempotence: idempotence_of(&config, zoo),
            closed: false,
            wake_up_at: None,
            config,
        }
    }
    /// Its configuration.
    pub(crate) fn config(&self) -> &ProducerConfig {
        &self.config
    }
    /// As if everything before this sequence had been sent and acknowledged.
    pub(crate) fn move_to_sequence(&mut self, partition: &TopicPartition, sequence: i32) {
        if let Some(idempotence) = &mut self.idempotence {
            idempotence.move_to_sequence(partition, sequence);
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
                Happening::Response(response, ProducerCall::Produce(call)) => {
                    self.on_response(now.mono, *response, call, fx);
                }
                Happening::Response(response, ProducerCall::InitProducerId) => {
                    self.on_producer_id(now.mono, &response, fx);
                }
                Happening::Failed(calls) => self.on_failed_calls(now.mono, calls, fx),
                Happening::MetadataChanged => self.unblock(now.mono, fx),
                Happening::Nothing => {}
            },
        }
        if !self.closed {
            self.drive(now.mono, fx);
        }
    }

    fn on_command(&mut self, now: Now, op: OpId, command: Command, fx: &mut Effects<'_>) {
        match command {
            Command::Close => self.close(op, fx),
            _ if self.closed => fx.deliver(op, super::refused_when_closed()),
            Command::Produce { topic, partition, key, value, headers } => {
                let headers = headers.into_iter().map(|(key, value)| (key, Some(value))).collect();
                let record = NewRecord { timestamp: now.wall, key, value, headers };
                self.on_send(Send { op, topic, partition, record, created_at: now.mono }, fx);
            }
            _ => fx.deliver(op, super::refused_by_role()),
        }
    }

    fn on_send(&mut self, send: Send, fx: &mut Effects<'_>) {
        if send.partition.is_some_and(|p| p < 0) {
            return deliver_unsent(&send, None, "INVALID_REQUEST", fx);
        }
        self.cluster.want(&send.topic);
        let now = send.created_at;
        if let Some(blocked) = self.try_send(now, send, fx) {
            self.cluster.request_refresh();
            self.blocked.push_back(blocked);
        }
    }

    /// Puts the record into a batch, or gives it back if nobody has told yet which partitions the topic has.
    /// Source: `KafkaProducer.doSend`, `waitOnMetadata`.
    fn try_send(&mut self, now: Nanos, send: Send, fx: &mut Effects<'_>) -> Option<Send> {
        let view = self.cluster.view();
        let Some(count) = view.partition_count(&send.topic).filter(|n| *n > send.partition.unwrap_or(0)) else {
            return match view.topic_error(&send.topic).filter(is_final_for_a_topic) {
                Some(error) => {
                    deliver_unsent(&send, None, &error_name(error), fx);
                    None
                }
                None => Some(send),
            };
        };
        let Some(index) = self.choose_partition(&send, count, fx) else { return Some(send) };
        let partition = TopicPartition::new(&send.topic, index);
        let cause = fx.record(Event::SendInvoked { op: send.op, partition: partition.clone() });
        if size_upper_bound(&send.record) > MAX_REQUEST_SIZE {
            deliver_unsent(&send, Some(partition), &error_name(ResponseError::MessageTooLarge), fx);
            return None;
        }
        let sticks = send.partition.is_none() && send.record.key.is_none();
        let Send { op, topic, record, created_at, .. } = send;
        let added = self.accumulator.append(now, &partition, Appending { op, record, created_at, cause });
        if sticks {
            self.stick(&topic, &partition, added, fx);
        }
        None
    }

    /// The application's choice, else the key's, else the sticky one. Source: `KafkaProducer.partition`.
    fn choose_partition(&mut self, send: &Send, count: i32, fx: &mut Effects<'_>) -> Option<i32> {
        match (send.partition, &send.record.key) {
            (Some(partition), _) => Some(partition),
            (None, Some(key)) => Some(partition_for_key(key, count)),
            (None, None) => self.sticky_partition(&send.topic, fx),
        }
    }
    fn sticky_partition(&mut self, topic: &Topic, fx: &mut Effects<'_>) -> Option<i32> {
        if let Some(sticky) = self.sticky.get(topic) {
            let partition = TopicPartition::new(topic, sticky.partition);
            // A batch that was left half full has gone since: the switch that was put off happens now.
            if !sticky.is_used_up(batch_size(&self.config), self.accumulator.has_no_open_batch(&partition)) {
                return Some(sticky.partition);
            }
        }
        let sticky = StickyPartition::choose(topic, self.cluster.view(), fx)?;
        let partition = sticky.partition;
        self.sticky.insert(topic.clone(), sticky);
        Some(partition)
    }
    fn stick(&mut self, topic: &Topic, partition: &TopicPartition, added: usize, fx: &mut Effects<'_>) {
        let no_open_batch = self.accumulator.has_no_open_batch(partition);
        let Some(sticky) = self.sticky.get_mut(topic) else { return };
        sticky.produced(added);
        if sticky.is_used_up(batch_size(&self.config), no_open_batch)
            && let Some(next) = StickyPartition::choose(topic, self.cluster.view(), fx)
        {
            self.sticky.insert(topic.clone(), next);
        }
    }

    /// New metadata: whoever waited for it goes on, in order.
    fn unblock(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        for send in std::mem::take(&mut self.blocked) {
            if let Some(still_blocked) = self.try_send(now, send, fx) {
                self.blocked.push_back(still_blocked);
            }
        }
        if !self.blocked.is_empty() {
            self.cluster.request_refresh();
        }
    }

    /// Everything that time or the last input made due.
    fn drive(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        // A batch whose own time ends with that of its request is too old first (`Sender.runOnce`, `InFlightRequests.hasExpiredRequest`).
        self.expire(now, fx);
        let failed = self.cluster.give_up_late(now, fx);
        self.on_failed_calls(now, failed, fx);
        self.mend_sequences(fx);
        self.ask_for_producer_id(now, fx);
        self.fail_what_was_refused(fx);
        self.send_ready(now, fx);
        self.cluster.ask_for_metadata(now, fx);
        let mut wake_up = WakeUp::after(now);
        self.cluster.wake_up(&mut wake_up);
        self.wake_up_for_producer_id(&mut wake_up);
        self.accumulator.wake_up(ms(self.config.delivery_timeout_ms), &mut wake_up);
        if let Some(oldest) = self.blocked.front() {
            wake_up.also_at(oldest.created_at.saturating_add(self.block_timeout()));
        }
        for batch in self.in_flight.values() {
            wake_up.also_at(batch.created_at.saturating_add(ms(self.config.delivery_timeout_ms)));
        }
        self.wake_up_at = wake_up.at;
    }

    /// A record without a partition waits for max.block.ms, within delivery.timeout.ms.
    fn block_timeout(&self) -> Nanos {
        ms(self.config.max_block_ms.min(self.config.delivery_timeout_ms))
    }

    /// delivery.timeout.ms counts from the Produce command over all attempts, whether the batch waits or is under way
    /// (KIP-91). What is under way may be written yet.
    fn expire(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        let block_timeout = self.block_timeout();
        while self.blocked.front().is_some_and(|s| s.created_at.saturating_add(block_timeout) <= now) {
            let Some(send) = self.blocked.pop_front() else { break };
            deliver_unsent(&send, None, TIMEOUT, fx);
        }
        let delivery_timeout = ms(self.config.delivery_timeout_ms);
        for batch in self.accumulator.take_expired(now, delivery_timeout) {
            self.leave_unresolved(&batch, batch.attempts >= 1);
            self.give_up(batch, TIMEOUT.to_string(), fx);
        }
        let late = |batch: &Batch| batch.created_at.saturating_add(delivery_timeout) <= now;
        let expired: Vec<BatchId> = self.in_flight.values().filter(|b| late(b)).map(|b| b.id).collect();
        for mut batch in expired.into_iter().filter_map(|id| self.in_flight.remove(&id)).collect::<Vec<_>>() {
            batch.ambiguous = true;
            self.leave_unresolved(&batch, batch.attempts >= 2);
            self.give_up(batch, TIMEOUT.to_string(), fx);
        }
    }
    /// A batch is given up without a final word. If it was to be sent again before, nobody may ever know whether its
    /// sequence was used. As in Kafka, a batch that is under way for the first time leaves no such doubt behind: then
    /// only those behind it find out. Source: `Sender.sendProducerData`, `ProducerBatch.inRetry`.
    fn leave_unresolved(&mut self, batch: &Batch, in_retry: bool) {
        let Some(idempotence) = &mut self.idempotence else { return };
        let last_sequence = idempotence.last_sequence(&batch.partition, batch.id);
        idempotence.forget(&batch.partition, batch.id);
        if let Some(last_sequence) = last_sequence.filter(|_| in_retry) {
            idempotence.mark_unresolved(&batch.partition, last_sequence);
        }
    }

    /// See [`super::Client::has_been_overtaken`].
    pub(super) fn has_been_overtaken(&self) -> bool {
        self.idempotence.as_ref().is_some_and(Idempotence::has_been_overtaken)
    }

    /// Settles everything as it stands: what never left has failed, what is under way is unknown.
    fn close(&mut self, op: OpId, fx: &mut Effects<'_>) {
        for send in std::mem::take(&mut self.blocked) {
            deliver_unsent(&send, None, super::CLOSED, fx);
        }
        for mut batch in std::mem::take(&mut self.in_flight).into_values() {
            batch.ambiguous = true;
            self.give_up(batch, super::CLOSED.to_string(), fx);
        }
        for batch in self.accumulator.take_all() {
            self.give_up(batch, super::CLOSED.to_string(), fx);
        }
        self.cluster.close(fx);
        self.closed = true;
        self.wake_up_at = None;
        fx.deliver(op, Outcome::Done);
    }
}

fn deliver_unsent(send: &Send, partition: Option<TopicPartition>, error: &str, fx: &mut Effects<'_>) {
    let error = Some(error.to_string());
    fx.deliver(send.op, Outcome::Produced { partition, belief: Belief::Failed, attempts: 0, error });
}

/// Errors of a topic that waiting does not mend (`Metadata.maybeThrowExceptionForTopic`).
fn is_final_for_a_topic(error: &ResponseError) -> bool {
    matches!(error, ResponseError::InvalidTopicException | ResponseError::TopicAuthorizationFailed)
}

/// Source: `KafkaProducer.configureTransactionState`.
fn idempotence_of(config: &ProducerConfig, zoo: Zoo) -> Option<Idempotence> {
    let mut config = config.clone();
    let possible = config.resolve_idempotence(false).is_ok() && config.enable_idempotence;
    // A rule removed: the producer believes itself idempotent and sends its batches without sequences.
    let without_sequences = zoo.on(Switch::ReorderInflight) || !ProducerClientRule::BatchesHaveSequences.holds();
    (possible && !without_sequences).then(|| Idempotence::new(zoo))
}

fn batch_size(config: &ProducerConfig) -> usize {
    usize::try_from(config.batch_size).unwrap_or(0).max(1)
}
fn packing(config: &ProducerConfig) -> Packing {
    let gzip_level = u32::try_from(config.compression_gzip_level).unwrap_or(DEFAULT_GZIP_LEVEL);
    Packing { codec: config.compression_type.0, gzip_level }
}
fn max_in_flight(config: &ProducerConfig) -> usize {
    usize::try_from(config.max_in_flight).unwrap_or(0).max(1)
}
fn retry_backoff(config: &ProducerConfig) -> Backoff {
    Backoff { first_ms: config.retry_backoff_ms, longest_ms: config.retry_backoff_max_ms }
}
