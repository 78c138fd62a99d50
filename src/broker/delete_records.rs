//! DeleteRecords: the log begins at an offset from now on, and the answer waits until every living replica knows it.
//!
//! Source: KIP-107, `KafkaApis.handleDeleteRecordsRequest`, `ReplicaManager.deleteRecords`,
//! `Partition.deleteRecordsOnLeader`, `DelayedDeleteRecords`. The *low watermark* is the least log start offset of the
//! leader and its living followers, who tell theirs with each fetch.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, ResponseKind, TopicName};
use trial_storage::{Disk, LogError};
use uuid::Uuid;

use super::Broker;
use super::partition::Partition;
use super::partition::leader::RemoteReplica;
use super::replicas::PartitionIx;
use crate::conformance::{CoordinatorRule, LogStartRule};
use crate::event::{Event, LogStartReason};
use crate::ids::TopicPartition;
use crate::metadata::MetadataImage;
use crate::node::{Effects, Nanos, Now, ReqId, ms};
use crate::protocol::errors::NONE;
use crate::protocol::is_internal_topic;

/// Delete up to the high watermark (`DeleteRecordsRequest.HIGH_WATERMARK`).
const UP_TO_HIGH_WATERMARK: i64 = -1;
/// The low watermark of an answer that has none (`DeleteRecordsResponse.INVALID_LOW_WATERMARK`).
const NO_LOW_WATERMARK: i64 = -1;

/// One partition of a request.
#[derive(Clone, Debug)]
struct Deleting {
    topic: TopicName,
    index: i32,
    ix: Option<PartitionIx>,
    requested: i64,
    low_watermark: i64,
    /// The error code of its answer; `None` while it waits.
    outcome: Option<i16>,
}

#[derive(Clone, Debug)]
struct DelayedDelete {
    req: ReqId,
    deadline: Nanos,
    parts: Vec<Deleting>,
}

/// The requests that wait for followers. There are seldom any.
#[derive(Clone, Debug, Default)]
pub(super) struct DelayedDeletes {
    next: u64,
    waiting: BTreeMap<u64, DelayedDelete>,
}

impl DelayedDeletes {
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        self.waiting.values().map(|delayed| delayed.deadline).min()
    }
}

impl Broker {
    pub(super) fn on_delete_records(
        &mut self,
        now: Now,
        req: ReqId,
        request: DeleteRecordsRequest,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        fx.charge(5_000);
        let mut parts = Vec::new();
        for topic in request.topics {
            for asked in topic.partitions {
                let ix = self.replicas.find(&TopicPartition::new(&topic.name.as_str().into(), asked.partition_index));
                let mut part = Deleting {
                    topic: topic.name.clone(),
                    index: asked.partition_index,
                    ix,
                    requested: asked.offset,
                    low_watermark: NO_LOW_WATERMARK,
                    outcome: None,
                };
                if let Err(error) = self.delete_on_leader(&mut part, disk, fx) {
                    part.outcome = Some(error.code());
                }
                parts.push(part);
            }
        }
        let mut delayed = DelayedDelete { req, deadline: now.mono + ms(i64::from(request.timeout_ms)), parts };
        if self.try_complete_delete(&mut delayed) || request.timeout_ms <= 0 {
            return answer(delayed, fx);
        }
        self.deletes.next += 1;
        self.deletes.waiting.insert(self.deletes.next, delayed);
    }

    /// `Partition.deleteRecordsOnLeader`.
    fn delete_on_leader(
        &mut self,
        part: &mut Deleting,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<(), ResponseError> {
        let is_internal = is_internal_topic(&part.topic) && self.image.topic(&part.topic).is_some();
        if is_internal && CoordinatorRule::InternalTopicsKeepTheirRecords.holds() {
            return Err(ResponseError::InvalidTopicException);
        }
        let Some(ix) = part.ix else { return Err(self.error_for_absent(&part.topic, Uuid::nil(), part.index)) };
        let partition = self.replicas.get_mut(ix);
        if !partition.is_leader() && LogStartRule::OnlyTheLeaderDeletes.holds() {
            return Err(ResponseError::NotLeaderOrFollower);
        }
        if part.requested == UP_TO_HIGH_WATERMARK && LogStartRule::MinusOneIsTheHighWatermark.holds() {
            part.requested = partition.high_watermark();
        }
        if part.requested < 0 {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let id = partition.id.clone();
        match partition.increment_log_start_offset(disk, part.requested) {
            Ok(Some((from, to))) => {
                fx.record(Event::LogStartMoved { partition: id, from, to, why: LogStartReason::DeleteRecords });
                // A fetch below the new start has something to be told.
                self.note_fetches(ix);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(LogError::OffsetOutOfRange { .. }) => Err(ResponseError::OffsetOutOfRange),
            Err(error) => {
                self.log_failed(&id, &error, fx);
                Err(ResponseError::KafkaStorageError)
            }
        }
    }

    /// Notes the outcomes that are known now; true if all are (`DelayedDeleteRecords.tryComplete`).
    fn try_complete_delete(&self, delayed: &mut DelayedDelete) -> bool {
        for part in delayed.parts.iter_mut().filter(|part| part.outcome.is_none()) {
            let Some(partition) = part.ix.and_then(|ix| self.replicas.try_get(ix)) else {
                part.outcome = Some(self.error_for_absent(&part.topic, Uuid::nil(), part.index).code());
                continue;
            };
            match low_watermark(partition, &self.image) {
                None => part.outcome = Some(ResponseError::NotLeaderOrFollower.code()),
                Some(low) => {
                    part.low_watermark = low;
                    if low >= part.requested || !LogStartRule::DeletionWaitsForEveryReplica.holds() {
                        part.outcome = Some(NONE);
                    }
                }
            }
        }
        delayed.parts.iter().all(|part| part.outcome.is_some())
    }

    /// Answers the requests whose replicas all know, or that can never be met any more; and those whose time is up, as they
    /// stand.
    pub(super) fn settle_deletes(&mut self, now: Now, fx: &mut Effects<'_>) {
        for id in self.deletes.waiting.keys().copied().collect::<Vec<_>>() {
            let Some(mut delayed) = self.deletes.waiting.remove(&id) else { continue };
            if self.try_complete_delete(&mut delayed) || delayed.deadline <= now.mono {
                answer(delayed, fx);
            } else {
                self.deletes.waiting.insert(id, delayed);
            }
        }
    }
}

/// The least log start offset of the leader and its living followers; `None` if this broker does not lead
/// (`Partition.lowWatermarkIfLeader`). One that has not fetched in this reign has told none, and holds the deletion up.
fn low_watermark(partition: &Partition, image: &MetadataImage) -> Option<i64> {
    let state = partition.leader_state()?;
    let is_alive = |remote: &&RemoteReplica| {
        let dead_are_passed_over = LogStartRule::DeadReplicasDoNotHoldUpDeletion.holds();
        !dead_are_passed_over || image.brokers.get(&remote.broker).is_some_and(|registered| !registered.fenced)
    };
    let told = state.remotes.iter().filter(is_alive).map(|remote| remote.log_start_offset);
    Some(told.fold(partition.log.log_start_offset(), i64::min))
}

/// What still waits has timed out.
fn answer(delayed: DelayedDelete, fx: &mut Effects<'_>) {
    let mut topics: Vec<DeleteRecordsTopicResult> = Vec::new();
    for part in delayed.parts {
        let result = DeleteRecordsPartitionResult::default()
            .with_partition_index(part.index)
            .with_low_watermark(part.low_watermark)
            .with_error_code(part.outcome.unwrap_or(ResponseError::RequestTimedOut.code()));
        match topics.last_mut() {
            Some(topic) if topic.name == part.topic => topic.partitions.push(result),
            _ => topics.push(DeleteRecordsTopicResult::default().with_name(part.topic).with_partitions(vec![result])),
        }
    }
    fx.answer(delayed.req, ResponseKind::DeleteRecords(DeleteRecordsResponse::default().with_topics(topics)));
}
