//! Requests to leaders, and what their ends mean for each batch. Source: `Sender`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{ProduceRequest, RequestKind, ResponseKind};

use super::batch::{Batch, BatchId};
use super::belief::{given_up, was_refused_before_append};
use super::{Producer, ProducerCall, max_in_flight, retry_backoff};
use crate::client::cluster::Peer;
use crate::client::view::Leader;
use crate::client::{FailedCall, is_invalid_metadata};
use crate::conformance::ProducerClientRule;
use crate::event::Event;
use crate::ids::{BrokerId, TopicPartition};
use crate::node::{Belief, Effects, Nanos, Outcome, ms};
use crate::protocol::{error_name, topic_name, versions};

/// What a produce call was about.
#[derive(Clone, Debug)]
pub(crate) struct ProduceCall {
    batches: Vec<Sent>,
}

/// A batch in a produce request.
#[derive(Clone, Debug)]
struct Sent {
    batch: BatchId,
    partition: TopicPartition,
    /// Of an idempotent producer: where the batch ended in the sequence.
    last_sequence: Option<i32>,
}

/// How an attempt ended: the base offset, or an error and the log start offset (-1: not told).
type AttemptEnd = Result<i64, (ResponseError, i64)>;

impl Producer {
    /// Sends what is ready, as long as connections are open and take more.
    pub(super) fn send_ready(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        let (brokers, some_leaderless) = self.accumulator.ready(now, |p| self.cluster.view().leader(p));
        if some_leaderless {
            self.cluster.request_refresh();
        }
        for broker in brokers {
            while self.cluster.connect(broker, now, fx) && self.is_ready_for(broker, now) {
                let leader = |p: &TopicPartition| self.cluster.view().leader(p);
                let batches = self.accumulator.take_for(broker, now, leader, self.idempotence.as_mut());
                if batches.is_empty() {
                    break;
                }
                self.send(broker, batches, now, fx);
            }
        }
    }
    fn is_ready_for(&self, broker: BrokerId, now: Nanos) -> bool {
        self.accumulator.ready(now, |p| self.cluster.view().leader(p)).0.contains(&broker)
    }

    fn send(&mut self, broker: BrokerId, mut batches: Vec<Batch>, now: Nanos, fx: &mut Effects<'_>) {
        let acks = self.config.acks.0;
        for batch in &mut batches {
            batch.attempts += 1;
            let event = Event::BatchSent {
                partition: batch.partition.clone(),
                first_op: batch.first_op(),
                records: batch.records(),
                attempt: batch.attempts,
                acks,
                to: broker,
            };
            batch.last_event = fx.record_because(event, &[batch.last_event]);
        }
        let timeout_ms = i32::try_from(self.config.request_timeout_ms).unwrap_or(i32::MAX);
        let request = ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(timeout_ms)
            .with_topic_data(by_topic(&mut batches));
        let versioned = (versions::PRODUCE, RequestKind::Produce(request));
        if acks == 0 {
            self.cluster.call_without_response(Peer::Broker(broker), fx, versioned);
            for batch in batches {
                settle(&batch, fx, |_| Belief::Unpromised);
            }
            return;
        }
        let sent = |b: &Batch| {
            let last_sequence = self.idempotence.as_ref().and_then(|i| i.last_sequence(&b.partition, b.id));
            Sent { batch: b.id, partition: b.partition.clone(), last_sequence }
        };
        let call = ProducerCall::Produce(ProduceCall { batches: batches.iter().map(sent).collect() });
        for batch in batches {
            if self.guarantees_order() {
                self.accumulator.set_muted(&batch.partition, true);
            }
            self.in_flight.insert(batch.id, batch);
        }
        self.cluster.call(Peer::Broker(broker), now, fx, versioned, call);
    }

    /// With one request at a time per connection, a partition has at most one batch under way, whoever leads it
    /// (`Sender.guaranteeMessageOrder`).
    fn guarantees_order(&self) -> bool {
        max_in_flight(&self.config) == 1
    }

    /// A response: each batch gets the answer for its partition.
    pub(super) fn on_response(&mut self, now: Nanos, response: ResponseKind, call: ProduceCall, fx: &mut Effects<'_>) {
        let topics = match response {
            ResponseKind::Produce(response) => response.responses,
            _ => Vec::new(),
        };
        for sent in call.batches {
            let partition = &sent.partition;
            let answers = topics.iter().filter(|t| t.name.0.as_str() == partition.topic.as_str());
            let answer = answers.flat_map(|t| &t.partition_responses).find(|p| p.index == partition.partition);
            let error = match answer {
                Some(answer) => ResponseError::try_from_code(answer.error_code),
                // An answer that does not speak of the batch tells nothing about it.
                None => Some(ResponseError::UnknownServerError),
            };
            if let Some(answer) = answer.filter(|_| error.is_some()) {
                self.learn_leader(partition, answer);
            }
            let (base_offset, log_start_offset) = answer.map_or((-1, -1), |a| (a.base_offset, a.log_start_offset));
            self.end_attempt(now, &sent, error.map_or(Ok(base_offset), |e| Err((e, log_start_offset))), fx);
        }
    }
    /// Calls without an answer: their requests may have arrived all the same.
    pub(super) fn on_failed_calls(&mut self, now: Nanos, calls: Vec<FailedCall<ProducerCall>>, fx: &mut Effects<'_>) {
        for FailedCall { about, timed_out } in calls {
            let error = if timed_out { ResponseError::RequestTimedOut } else { ResponseError::NetworkException };
            match about {
                ProducerCall::InitProducerId => self.producer_id_failed(now),
                ProducerCall::Produce(call) => {
                    call.batches.iter().for_each(|sent| self.end_attempt(now, sent, Err((error, -1)), fx));
                }
            }
        }
    }
    fn learn_leader(&mut self, partition: &TopicPartition, answer: &PartitionProduceResponse) {
        let told = &answer.current_leader;
        let leader = Leader { broker: told.leader_id.0, epoch: told.leader_epoch };
        self.cluster.view_mut().learn_leader(partition, leader);
    }

    /// The end of one attempt of one batch. Source: `Sender.completeBatch`.
    fn end_attempt(&mut self, now: Nanos, sent: &Sent, end: AttemptEnd, fx: &mut Effects<'_>) {
        if self.guarantees_order() {
            self.accumulator.set_muted(&sent.partition, false);
        }
        if end.is_err_and(|(error, _)| is_invalid_metadata(error)) {
            self.cluster.request_refresh();
        }
        let end = end.or_else(duplicate_is_success);
        let Some(mut batch) = self.in_flight.remove(&sent.batch) else { return self.learn_late(sent, end) };
        match end {
            Ok(base_offset) => {
                if let Some(idempotence) = &mut self.idempotence {
                    idempotence.completed(&batch.partition, batch.id);
                }
                acknowledge(&batch, base_offset, fx);
            }
            Err((error, log_start_offset)) => {
                batch.ambiguous |= !was_refused_before_append(error);
                if error == ResponseError::MessageTooLarge
                    && batch.records() > 1
                    && ProducerClientRule::TooLargeBatchIsSplit.holds()
                {
                    return self.split(batch, fx);
                }
                if self.can_retry(now, &batch, error, log_start_offset) {
                    return self.retry(now, batch, error, fx);
                }
                if let Some(idempotence) = &mut self.idempotence {
                    let retries_left = i64::from(batch.attempts) <= self.config.retries;
                    idempotence.failed(&batch.partition, batch.id, error, retries_left);
                }
                self.give_up(batch, error_name(error), fx);
            }
        }
    }
    /// A batch that reached its delivery time-out under way is settled already; but that it is in the log tells which
    /// sequence the broker expects. Source: `Sender.completeBatch`.
    fn learn_late(&mut self, sent: &Sent, end: AttemptEnd) {
        if let (Some(idempotence), Some(last), true) = (&mut self.idempotence, sent.last_sequence, end.is_ok())
            && ProducerClientRule::LateSuccessCounts.holds()
        {
            idempotence.acknowledged(&sent.partition, last);
        }
    }
    /// Source: `Sender.canRetry`.
    fn can_retry(&mut self, now: Nanos, batch: &Batch, error: ResponseError, log_start_offset: i64) -> bool {
        let delivery_timeout = ms(self.config.delivery_timeout_ms);
        let in_time = batch.created_at.saturating_add(delivery_timeout) > now;
        in_time
            && i64::from(batch.attempts) <= self.config.retries
            && match &mut self.idempotence {
                None => error.is_retriable(),
                Some(idempotence) => idempotence.can_retry(&batch.partition, batch.id, error, log_start_offset),
            }
    }

    fn retry(&mut self, now: Nanos, mut batch: Batch, error: ResponseError, fx: &mut Effects<'_>) {
        let name = error_name(error);
        let event = Event::BatchRetried {
            partition: batch.partition.clone(),
            first_op: batch.first_op(),
            records: batch.records(),
            error: name.clone(),
        };
        batch.last_event = fx.record_because(event, &[batch.last_event]);
        batch.last_error = Some(name);
        batch.retry_at = now.saturating_add(retry_backoff(&self.config).pause(batch.attempts - 1, fx));
        self.accumulator.put_back(batch, self.idempotence.as_ref());
    }

    /// A batch of several records that the broker finds too large is sent again in parts, at once, and whatever is left of
    /// its retries. Source: `Sender.completeBatch`.
    fn split(&mut self, mut batch: Batch, fx: &mut Effects<'_>) {
        let (partition, first_op, records) = (batch.partition.clone(), batch.first_op(), batch.records());
        let cause = batch.last_event;
        batch.last_error = Some(error_name(ResponseError::MessageTooLarge));
        let parts = self.accumulator.split(batch, self.idempotence.as_mut());
        let into = parts.len() as u32;
        fx.record_because(Event::BatchSplit { partition, first_op, records, into }, &[cause]);
    }

    /// No more attempts.
    pub(super) fn give_up(&mut self, mut batch: Batch, error: String, fx: &mut Effects<'_>) {
        let event = Event::BatchFailed {
            partition: batch.partition.clone(),
            first_op: batch.first_op(),
            records: batch.records(),
            error: error.clone(),
            unknown: batch.ambiguous,
        };
        fx.record_because(event, &[batch.last_event]);
        batch.last_error = Some(error);
        settle(&batch, fx, |_| given_up(batch.ambiguous));
    }
}

/// The broker has this sequence already and cannot tell any more where. That is a success without an offset.
/// Source: `Sender.completeBatch`.
fn duplicate_is_success((error, log_start_offset): (ResponseError, i64)) -> AttemptEnd {
    match error {
        ResponseError::DuplicateSequenceNumber if ProducerClientRule::DuplicateIsSuccess.holds() => Ok(-1),
        other => Err((other, log_start_offset)),
    }
}

fn acknowledge(batch: &Batch, base_offset: i64, fx: &mut Effects<'_>) {
    let event = Event::BatchAcked {
        partition: batch.partition.clone(),
        first_op: batch.first_op(),
        records: batch.records(),
        first_offset: base_offset,
    };
    fx.record_because(event, &[batch.last_event]);
    settle(batch, fx, |at| Belief::Acked { offset: if base_offset < 0 { -1 } else { base_offset + at } });
}

/// Tells the outcome of every record of a batch, in order. `belief` gets the record's place in the batch.
fn settle(batch: &Batch, fx: &mut Effects<'_>, belief: impl Fn(i64) -> Belief) {
    for (at, op) in batch.ops.iter().enumerate() {
        let outcome = Outcome::Produced {
            partition: Some(batch.partition.clone()),
            belief: belief(at as i64),
            attempts: batch.attempts_before + batch.attempts,
            error: batch.last_error.clone(),
        };
        fx.deliver(*op, outcome);
    }
}

/// The request's data; batches of one topic stand together, partitions in the order of draining.
fn by_topic(batches: &mut [Batch]) -> Vec<TopicProduceData> {
    let mut topics: Vec<TopicProduceData> = Vec::new();
    for batch in batches {
        let data =
            PartitionProduceData::default().with_index(batch.partition.partition).with_records(Some(batch.encoded()));
        match topics.iter_mut().find(|t| t.name.0.as_str() == batch.partition.topic.as_str()) {
            Some(topic) => topic.partition_data.push(data),
            None => topics.push(
                TopicProduceData::default()
                    .with_name(topic_name(&batch.partition.topic))
                    .with_partition_data(vec![data]),
            ),
        }
    }
    topics
}
