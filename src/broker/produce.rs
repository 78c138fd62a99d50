//! Produce: append, and for acks=all wait for the high watermark.
//!
//! Source: `KafkaApis.handleProduceRequest`, `ReplicaManager.appendRecords`, `Partition.appendRecordsToLeader`,
//! `DelayedProduce`. The outcome of each partition is its own; the request is answered when all are known.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_response::{LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, ResponseKind, TopicName};
use trial_storage::{Appended, BatchHeader, Disk, Log};
use uuid::Uuid;

use super::Broker;
use super::partition::{Partition, ProduceWaiter};
use super::produce_validation::{Refusal, validate_form};
use super::replicas::PartitionIx;
use crate::conformance::{AppendRule, BrokerRule, CoordinatorRule, HighWatermarkRule, ProduceRule, ProducerRule};
use crate::event::Event;
use crate::ids::TopicPartition;
use crate::node::{ConnId, Effects, EventId, Nanos, Now, ReqId, RequestHeader, ms};
use crate::protocol::errors::{NONE, code_name};
use crate::protocol::is_internal_topic;
use crate::zoo::Switch;

/// The client id of Kafka's own tools, which may write to internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// What became of one partition of a produce request (`ProducePartitionStatus`).
#[derive(Clone, Debug)]
pub(super) struct ProducedPartition {
    topic: TopicName,
    topic_id: Uuid,
    index: i32,
    /// `None` if this broker has no such replica.
    ix: Option<PartitionIx>,
    /// The error code of its answer, [`NONE`] for success; `None` while it waits. Once known it stays, whatever becomes
    /// of the partition while others of the same request wait.
    outcome: Option<i16>,
    /// Where the batch stands in the log, -1 if it was not appended. The answer tells it whatever became of the batch
    /// after the append (`ProducePartitionStatus.responseStatus`).
    first_offset: i64,
    last_offset: i64,
    /// An idempotent producer's batch that stood in the log before.
    is_duplicate: bool,
    /// Time of the append in milliseconds, where the topic makes it the timestamp, or the timestamp of the batch in the
    /// log for a duplicate; -1 else.
    log_append_time: i64,
    /// Where the log began when the batch was appended or refused, -1 if that is not told.
    log_start_offset: i64,
    refusal: Option<Refusal>,
    appended: EventId,
}

/// A produce request that waits.
#[derive(Clone, Debug)]
pub(super) struct DelayedProduce {
    req: ReqId,
    acks: i16,
    pub(super) deadline: Nanos,
    parts: Vec<ProducedPartition>,
}

impl Broker {
    pub(super) fn on_produce(
        &mut self,
        now: Now,
        (req, conn): (ReqId, ConnId),
        header: &RequestHeader,
        request: ProduceRequest,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let (acks, version) = (request.acks, header.api_version);
        let writes_internal_topics = header.client_id == ADMIN_CLIENT_ID;
        let mut parts = Vec::new();
        for topic in request.topic_data {
            for data in topic.partition_data {
                let ix = if topic.topic_id.is_nil() {
                    self.replicas.find(&TopicPartition::new(&topic.name.as_str().into(), data.index))
                } else {
                    self.replicas.find_by_id(topic.topic_id, data.index)
                };
                let mut part = ProducedPartition {
                    topic: topic.name.clone(),
                    topic_id: topic.topic_id,
                    index: data.index,
                    ix,
                    outcome: None,
                    first_offset: -1,
                    last_offset: -1,
                    is_duplicate: false,
                    log_append_time: -1,
                    log_start_offset: -1,
                    refusal: None,
                    appended: EventId::NONE,
                };
                let appended = match self.validate_records(&part, version, acks, data.records) {
                    Ok(_) if !writes_internal_topics && self.is_internal(&part) => {
                        Err(ResponseError::InvalidTopicException.into())
                    }
                    Ok((records, header)) => self.append_to_leader(now, &mut part, acks, records, header, disk, fx),
                    Err(error) => Err(error.into()),
                };
                if let Err(refusal) = appended {
                    self.refuse(&mut part, acks, refusal, fx);
                }
                parts.push(part);
            }
        }
        let deadline = now.mono + ms(i64::from(request.timeout_ms));
        let mut produce = DelayedProduce { req, acks, deadline, parts };
        match acks {
            0 if ProduceRule::AcksZeroIsNotAnswered.holds() => self.end_unanswered(conn, &produce, fx),
            _ if self.try_complete(&mut produce, fx) => self.answer_produce(0, produce, fx),
            _ => self.park_produce(produce),
        }
    }

    /// acks=0: no answer at all; after an error the connection is closed, which is how the producer learns to refresh its
    /// metadata (`KafkaApis.sendNoOpResponseExemptThrottle`, `closeConnection`).
    fn end_unanswered(&mut self, conn: ConnId, produce: &DelayedProduce, fx: &mut Effects<'_>) {
        let failed = produce.parts.iter().any(|part| part.outcome.is_some());
        if failed && ProduceRule::ErrorWithAcksZeroEndsTheConnection.holds() {
            fx.hang_up(conn);
        } else {
            fx.settle_silently(produce.req);
        }
    }

    /// What is looked at before the partition is: whether there is one, the form of the records, acks, in this order.
    /// Source: `KafkaApis.handleProduceRequest`, then `ReplicaManager.appendRecords`.
    fn validate_records(
        &self,
        part: &ProducedPartition,
        version: i16,
        acks: i16,
        records: Option<Bytes>,
    ) -> Result<(Bytes, BatchHeader), ResponseError> {
        let absent = || self.error_for_absent(&part.topic, part.topic_id, part.index);
        if part.ix.is_none() && absent().code() != ResponseError::NotLeaderOrFollower.code() {
            return Err(absent());
        }
        let acks_are_possible = matches!(acks, -1..=1) || !ProduceRule::AcksAreAllOneOrZero.holds();
        if !acks_are_possible && !AppendRule::FormComesBeforeAcks.holds() {
            return Err(ResponseError::InvalidRequiredAcks);
        }
        let (records, header) = validate_form(version, records)?;
        if !acks_are_possible {
            return Err(ResponseError::InvalidRequiredAcks);
        }
        Ok((records, header))
    }

    /// Appends one batch to the log of a partition that this broker leads.
    #[expect(clippy::too_many_arguments, reason = "what a produce request brings, and what a handler is given")]
    fn append_to_leader(
        &mut self,
        now: Now,
        part: &mut ProducedPartition,
        acks: i16,
        records: Bytes,
        header: BatchHeader,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<(), Refusal> {
        let Some(ix) = part.ix else {
            return Err(self.error_for_absent(&part.topic, part.topic_id, part.index).into());
        };
        let appended = self.append_as_leader(now, ix, acks, records, &header, disk, fx)?;
        (part.first_offset, part.last_offset) = (appended.first_offset, appended.last_offset);
        part.log_append_time = appended.log_append_time;
        part.log_start_offset = self.replicas.get(ix).log.log_start_offset();
        if appended.duplicate {
            self.note_duplicate(ix, part, &header, &appended, fx);
            self.try_high_watermark(now, ix, fx);
            return Ok(());
        }
        part.appended = self.note_appended(now, ix, &appended, fx);
        Ok(())
    }

    /// Is it a partition of a topic of the brokers' own?
    fn is_internal(&self, part: &ProducedPartition) -> bool {
        let replica = part.ix.and_then(|ix| self.replicas.try_get(ix));
        let is_internal = replica.map_or_else(|| is_internal_topic(&part.topic), |replica| replica.is_offsets);
        is_internal && CoordinatorRule::InternalTopicsAreNotWrittenTo.holds()
    }

    /// Appends to the log of a partition that this broker leads, and tells nobody yet.
    /// Source: `Partition.appendRecordsToLeader`.
    #[expect(clippy::too_many_arguments, reason = "what is to be appended, and what a handler is given")]
    pub(super) fn append_as_leader(
        &mut self,
        now: Now,
        ix: PartitionIx,
        acks: i16,
        records: Bytes,
        header: &BatchHeader,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<Appended, Refusal> {
        let partition = self.replicas.get_mut(ix);
        let isr_size = match partition.leader_state() {
            Some(state) => state.isr.committed().len(),
            None if ProduceRule::OnlyTheLeaderAppends.holds() => return Err(ResponseError::NotLeaderOrFollower.into()),
            None => partition.effective_min_isr(),
        };
        let fenced = || self.image.brokers.get(&self.setup.node_id).is_none_or(|me| me.fenced);
        if !BrokerRule::FencedLeaderServesOn.holds() && fenced() {
            return Err(ResponseError::NotLeaderOrFollower.into());
        }
        // Partition.appendRecordsToLeader: nothing is written while the committed ISR is too small for acks=all.
        let too_few = isr_size < partition.effective_min_isr();
        if acks == -1 && too_few && ProduceRule::TooFewMembersRefuseAcksAll.holds() {
            return Err(Refusal::of_log(ResponseError::NotEnoughReplicas));
        }
        // Kafka says so of a batch whose transaction its coordinator knows nothing of, and here there are no coordinators
        // yet (`UnifiedLog.analyzeAndValidateProducerState`).
        if header.is_transactional() {
            return Err(Refusal::of_log(ResponseError::InvalidTxnState));
        }
        if self.setup.zoo.on(Switch::UnknownProducerReset) && has_forgotten(&partition.log, header) {
            return Err(Refusal::of_log(ResponseError::UnknownProducerId));
        }
        fx.charge(8_000 + records.len() as u64 / 2);
        let leader_epoch = append_epoch(partition);
        partition.log.append_as_leader(disk, records, leader_epoch, now.wall).map_err(Refusal::of_append)
    }

    /// What was appended may be flushed, committed and fetched now.
    pub(super) fn note_appended(
        &mut self,
        now: Now,
        ix: PartitionIx,
        appended: &Appended,
        fx: &mut Effects<'_>,
    ) -> EventId {
        let partition = self.replicas.get(ix);
        let leader_epoch = append_epoch(partition);
        let role_event = partition.role_event;
        let event = fx.record_because(
            Event::Appended {
                partition: partition.id.clone(),
                first_offset: appended.first_offset,
                last_offset: appended.last_offset,
                leader_epoch,
                as_leader: true,
            },
            &[role_event],
        );
        self.after_append(ix, appended.first_offset, appended.rolled, fx);
        if HighWatermarkRule::AppendTries.holds() {
            self.try_high_watermark(now, ix, fx);
        }
        self.note_fetches(ix);
        event
    }

    /// The batch is in the log: it is answered with the offsets it got then, and waits as the first attempt did, which may
    /// not be committed yet (`UnifiedLog.append`, `ReplicaManager.appendRecords`).
    fn note_duplicate(
        &self,
        ix: PartitionIx,
        part: &mut ProducedPartition,
        header: &BatchHeader,
        appended: &Appended,
        fx: &mut Effects<'_>,
    ) {
        part.is_duplicate = true;
        part.appended = fx.record(Event::DuplicateFound {
            partition: self.replicas.get(ix).id.clone(),
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            first_sequence: header.base_sequence,
            first_offset: appended.first_offset,
            last_offset: appended.last_offset,
        });
    }

    /// The error for a partition that has no replica here (`ReplicaManager.getPartitionOrError`).
    pub(super) fn error_for_absent(&self, topic: &str, topic_id: Uuid, index: i32) -> ResponseError {
        let known = if topic_id.is_nil() { self.image.topic(topic) } else { self.image.topics.get(&topic_id) };
        match known {
            Some(topic) if usize::try_from(index).is_ok_and(|i| i < topic.partitions.len()) => {
                ResponseError::NotLeaderOrFollower
            }
            Some(_) => ResponseError::UnknownTopicOrPartition,
            None if topic_id.is_nil() => ResponseError::UnknownTopicOrPartition,
            None => ResponseError::UnknownTopicId,
        }
    }

    fn park_produce(&mut self, produce: DelayedProduce) {
        let acks = produce.acks;
        let waits: Vec<_> = produce
            .parts
            .iter()
            .filter(|p| p.outcome.is_none())
            .filter_map(|p| Some((p.ix?, p.last_offset + 1)))
            .collect();
        let delayed = self.purgatory.park_produce(produce);
        for (ix, needs) in waits {
            let partition = self.replicas.get_mut(ix);
            if acks == -1 {
                // In order of what they need. Appends come so; a duplicate needs less than what was appended since.
                let waiters = &mut partition.produce_waiters;
                let at = waiters.partition_point(|waiter| waiter.needs <= needs);
                waiters.insert(at, ProduceWaiter { needs, delayed });
            } else {
                partition.flush_waiters.push(delayed);
            }
        }
    }

    /// Notes the outcomes that are known now. True if all are (`DelayedProduce.tryComplete`).
    fn try_complete(&self, produce: &mut DelayedProduce, fx: &mut Effects<'_>) -> bool {
        let is_open = |part: &&mut ProducedPartition| part.outcome.is_none() || !ProduceRule::OutcomeStays.holds();
        for part in produce.parts.iter_mut().filter(is_open) {
            if let Some(error) = self.outcome(produce.acks, part) {
                self.decide(part, produce.acks, error, fx);
            }
        }
        produce.parts.iter().all(|part| part.outcome.is_some())
    }

    /// The error code of a partition's answer, or `None` while it has to wait
    /// (`Partition.checkEnoughReplicasReachOffset`).
    fn outcome(&self, acks: i16, part: &ProducedPartition) -> Option<i16> {
        let Some(partition) = part.ix.and_then(|ix| self.replicas.try_get(ix)) else {
            return Some(self.error_for_absent(&part.topic, part.topic_id, part.index).code());
        };
        let needs = part.last_offset + i64::from(ProduceRule::HighWatermarkCoversTheLastRecord.holds());
        let waits = acks == -1 && ProduceRule::AcksAllWaitsForTheHighWatermark.holds();
        if !waits || self.setup.zoo.on(Switch::AckBeforeHighWatermark) {
            return (partition.own_end_offset() >= needs || !partition.is_leader()).then_some(NONE);
        }
        let Some(state) = partition.leader_state() else {
            let told = ProduceRule::LostLeadershipIsTold.holds();
            return told.then_some(ResponseError::NotLeaderOrFollower.code());
        };
        let waits = !part.is_duplicate || ProducerRule::DuplicateWaitsForTheHighWatermark.holds();
        if waits && partition.high_watermark() < needs {
            return None;
        }
        let members = match ProduceRule::MaximalIsrIsEnough.holds() {
            true => state.isr.maximal_len(),
            false => state.isr.committed().len(),
        };
        let enough =
            members >= partition.effective_min_isr() || !ProduceRule::TooFewMembersAfterTheAppendAreTold.holds();
        Some(if enough { NONE } else { ResponseError::NotEnoughReplicasAfterAppend.code() })
    }

    pub(super) fn try_complete_produce(&mut self, id: u64, fx: &mut Effects<'_>) {
        let Some(mut produce) = self.purgatory.take_produce(id) else { return };
        if self.try_complete(&mut produce, fx) {
            return self.answer_produce(id, produce, fx);
        }
        if produce.acks != -1 {
            // Woken by a flush that did not cover it: the next one will.
            for ix in produce.parts.iter().filter(|part| part.outcome.is_none()).filter_map(|part| part.ix) {
                if let Some(partition) = self.replicas.try_get_mut(ix)
                    && !partition.flush_waiters.contains(&id)
                {
                    partition.flush_waiters.push(id);
                }
            }
        }
        self.purgatory.put_back_produce(id, produce);
    }

    /// Answers as things stand; what still waits has timed out (`DelayedProduce.onComplete`, `onExpiration`).
    pub(super) fn answer_produce(&mut self, id: u64, mut produce: DelayedProduce, fx: &mut Effects<'_>) {
        let mut topics: Vec<TopicProduceResponse> = Vec::new();
        for part in &mut produce.parts {
            if part.outcome.is_none() {
                if let Some(partition) = part.ix.and_then(|ix| self.replicas.try_get_mut(ix)) {
                    partition.produce_waiters.retain(|w| w.delayed != id);
                    partition.flush_waiters.retain(|w| *w != id);
                }
                let timed_out = ResponseError::RequestTimedOut.code();
                let error = if ProduceRule::TimeOutIsTold.holds() { timed_out } else { NONE };
                self.decide(part, produce.acks, error, fx);
            }
            let error = part.outcome.unwrap_or(NONE);
            let response = self.partition_response(part, error);
            match topics.last_mut() {
                Some(topic) if topic.name == part.topic && topic.topic_id == part.topic_id => {
                    topic.partition_responses.push(response)
                }
                _ => topics.push(
                    TopicProduceResponse::default()
                        .with_name(part.topic.clone())
                        .with_topic_id(part.topic_id)
                        .with_partition_responses(vec![response]),
                ),
            }
        }
        fx.answer(produce.req, ResponseKind::Produce(ProduceResponse::default().with_responses(topics)));
    }

    fn partition_response(&self, part: &ProducedPartition, error: i16) -> PartitionProduceResponse {
        let mut response = PartitionProduceResponse::default().with_index(part.index).with_error_code(error);
        let told = error == NONE || AppendRule::PlaceIsToldWhateverBecomes.holds();
        response.base_offset = if told { part.first_offset } else { -1 };
        response.log_append_time_ms = if told { part.log_append_time } else { -1 };
        response.log_start_offset = if told { part.log_start_offset } else { -1 };
        if let Some(refusal) = &part.refusal {
            refusal.tell(&mut response);
        }
        if let Some(partition) = part.ix.and_then(|ix| self.replicas.try_get(ix))
            && error == ResponseError::NotLeaderOrFollower.code()
        {
            // KIP-951: tell who leads instead.
            response.current_leader = LeaderIdAndEpoch::default()
                .with_leader_id(partition.leader.into())
                .with_leader_epoch(partition.leader_epoch);
        }
        response
    }

    /// Nothing was appended.
    fn refuse(&self, part: &mut ProducedPartition, acks: i16, refusal: Refusal, fx: &mut Effects<'_>) {
        if let Some(partition) = part.ix.and_then(|ix| self.replicas.try_get(ix)).filter(|_| refusal.tells_log_start) {
            part.log_start_offset = partition.log.log_start_offset();
        }
        let error = refusal.error.code();
        part.refusal = Some(refusal);
        self.decide(part, acks, error, fx);
    }

    /// The answer for one partition is known. It is told to the trace now, when the rule is applied, though the client
    /// hears of it only with the last partition of its request.
    fn decide(&self, part: &mut ProducedPartition, acks: i16, error: i16, fx: &mut Effects<'_>) {
        part.outcome = Some(error);
        let partition = match part.ix.and_then(|ix| self.replicas.try_get(ix)) {
            Some(partition) => partition.id.clone(),
            None => TopicPartition::new(&part.topic.as_str().into(), part.index),
        };
        let error = (error != NONE).then(|| code_name(error));
        let (first_offset, last_offset) = (part.first_offset, part.last_offset);
        fx.record_because(
            Event::ProduceAnswered { partition, acks, first_offset, last_offset, error },
            &[part.appended],
        );
    }
}

/// The epoch that a leader's batch bears.
fn append_epoch(partition: &Partition) -> i32 {
    if ProduceRule::AppendsInTheLeaderEpoch.holds() { partition.leader_epoch } else { 0 }
}

/// Is this a later batch of a producer of which the log knows nothing? Before 2.5 that was refused; since KIP-360 any
/// sequence will do then (`ProducerAppendInfo.checkSequence`).
fn has_forgotten(log: &Log, header: &BatchHeader) -> bool {
    let known = log.producers().is_some_and(|producers| producers.entries().contains_key(&header.producer_id));
    header.producer_id >= 0 && header.base_sequence != 0 && !known
}
