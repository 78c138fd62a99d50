//! Fetch of the metadata log by observers (brokers). Source: `KafkaRaftClient.handleFetchRequest`.
//!
//! An observer gets only what is committed. If there is nothing new its fetch waits here, in the purgatory, until there
//! is or its time is up.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{
    EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use kafka_protocol::messages::{BrokerId as WireBrokerId, FetchRequest, FetchResponse};
use trial_storage::{self as storage, Disk};

use super::{Quorum, Role};
use crate::metadata::METADATA_TOPIC_ID;
use crate::node::{Effects, Nanos, Now, ReqId, ms};

/// What an observer asked for.
#[derive(Clone, Debug)]
struct ObserverFetch {
    /// Of the observer, -1 for a client that only looks.
    replica_id: i32,
    current_leader_epoch: i32,
    fetch_offset: i64,
    last_fetched_epoch: i32,
    max_bytes: usize,
}

/// A fetch in the purgatory.
#[derive(Clone, Debug)]
pub struct WaitingFetch {
    req: ReqId,
    fetch: ObserverFetch,
    /// When it is answered at the latest.
    pub until: Nanos,
}

/// What a fetch comes to.
enum FetchResult {
    Records(Bytes),
    Diverging(storage::EpochEndOffset),
    Error(ResponseError),
}

impl Quorum {
    /// Answers the fetch, or lets it wait for records.
    pub fn fetch(&mut self, now: Now, req: ReqId, request: &FetchRequest, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let partition = match self.check_fetch(request) {
            Ok(partition) => partition,
            Err(error) => {
                fx.answer(req, FetchResponse::default().with_error_code(error.code()).into());
                return;
            }
        };
        // Up to version 14 the replica id stood by itself; from 15 on with the replica's epoch (KIP-903).
        let replica_id = if request.replica_id.0 >= 0 { request.replica_id } else { request.replica_state.replica_id };
        let max_bytes = request.max_bytes.min(partition.partition_max_bytes);
        let fetch = ObserverFetch {
            replica_id: replica_id.0,
            current_leader_epoch: partition.current_leader_epoch,
            fetch_offset: partition.fetch_offset,
            last_fetched_epoch: partition.last_fetched_epoch,
            max_bytes: usize::try_from(max_bytes).unwrap_or(0),
        };
        let result = if is_possible(request.max_wait_ms, &fetch) {
            self.try_complete(now, &fetch, disk)
        } else {
            FetchResult::Error(ResponseError::InvalidRequest)
        };
        match result {
            FetchResult::Records(records) if records.is_empty() && request.max_wait_ms > 0 => {
                let until = now.mono.saturating_add(ms(request.max_wait_ms.into()));
                self.waiting.push(WaitingFetch { req, fetch, until });
            }
            result => fx.answer(req, self.fetch_response(result).into()),
        }
    }

    /// The high watermark moved: answers the fetches that now get something.
    pub fn complete_fetches(&mut self, now: Now, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        for waiting in std::mem::take(&mut self.waiting) {
            match self.try_complete(now, &waiting.fetch, disk) {
                FetchResult::Records(records) if records.is_empty() => self.waiting.push(waiting),
                result => fx.answer(waiting.req, self.fetch_response(result).into()),
            }
        }
    }

    /// Answers the fetches whose time is up, empty.
    pub fn expire_fetches(&mut self, now: Now, fx: &mut Effects<'_>) {
        let (expired, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|fetch| fetch.until <= now.mono);
        self.waiting = waiting;
        for fetch in expired {
            fx.answer(fetch.req, self.fetch_response(FetchResult::Records(Bytes::new())).into());
        }
    }

    /// The one partition there is, in the right cluster.
    fn check_fetch<'r>(&self, request: &'r FetchRequest) -> Result<&'r FetchPartition, ResponseError> {
        if request.cluster_id.as_ref().is_some_and(|id| id.as_str() != self.cluster_id) {
            return Err(ResponseError::InconsistentClusterId);
        }
        match &request.topics[..] {
            [topic] if topic.topic_id == METADATA_TOPIC_ID => match &topic.partitions[..] {
                [partition] if partition.partition == 0 => Ok(partition),
                _ => Err(ResponseError::InvalidRequest),
            },
            _ => Err(ResponseError::InvalidRequest),
        }
    }

    /// Source: `KafkaRaftClient.tryCompleteFetchRequest`.
    fn try_complete(&mut self, now: Now, fetch: &ObserverFetch, disk: &mut dyn Disk) -> FetchResult {
        if let Err(error) = self.validate_leader_only_request(fetch.current_leader_epoch) {
            return FetchResult::Error(error);
        }
        if let Some(diverging) = self.validate_offset_and_epoch(fetch.fetch_offset, fetch.last_fetched_epoch) {
            return FetchResult::Diverging(diverging);
        }
        self.note_observer(now, fetch.replica_id, fetch.fetch_offset);
        let committed = self.high_watermark.unwrap_or(0);
        match self.log.read(disk, fetch.fetch_offset, committed, fetch.max_bytes, true) {
            Ok(records) => FetchResult::Records(records),
            Err(_) => FetchResult::Error(ResponseError::UnknownServerError),
        }
    }

    /// Source: `KafkaRaftClient.validateLeaderOnlyRequest`. A refused observer learns leader and epoch from the answer.
    fn validate_leader_only_request(&self, current_leader_epoch: i32) -> Result<(), ResponseError> {
        if current_leader_epoch < self.epoch {
            return Err(ResponseError::FencedLeaderEpoch);
        }
        if current_leader_epoch > self.epoch {
            return Err(ResponseError::UnknownLeaderEpoch);
        }
        match self.role {
            Role::Leader { .. } => Ok(()),
            Role::Starting { .. } => Err(ResponseError::NotLeaderOrFollower),
        }
    }

    /// Where the observer's history leaves this log's, if it does. Source: `ReplicatedLog.validateOffsetAndEpoch`.
    fn validate_offset_and_epoch(&self, offset: i64, epoch: i32) -> Option<storage::EpochEndOffset> {
        if offset == 0 && self.log.log_start_offset() == 0 {
            return None;
        }
        let end = self.log.end_offset_for(epoch).unwrap_or(storage::EpochEndOffset {
            epoch: self.log.latest_epoch().unwrap_or(0),
            end_offset: self.log.log_end_offset(),
        });
        (end.epoch != epoch || end.end_offset < offset).then_some(end)
    }

    fn fetch_response(&self, result: FetchResult) -> FetchResponse {
        let leader = match self.role {
            Role::Leader { .. } => self.node_id,
            Role::Starting { .. } => -1,
        };
        let mut partition = PartitionData::default()
            .with_high_watermark(self.high_watermark.unwrap_or(-1))
            .with_last_stable_offset(-1)
            .with_log_start_offset(self.log.log_start_offset())
            .with_current_leader(
                LeaderIdAndEpoch::default().with_leader_id(WireBrokerId(leader)).with_leader_epoch(self.epoch),
            )
            .with_records(Some(Bytes::new()));
        match result {
            FetchResult::Records(records) => partition.records = Some(records),
            FetchResult::Diverging(end) => {
                partition.diverging_epoch =
                    EpochEndOffset::default().with_epoch(end.epoch).with_end_offset(end.end_offset);
            }
            FetchResult::Error(error) => partition.error_code = error.code(),
        }
        let topic = FetchableTopicResponse::default().with_topic_id(METADATA_TOPIC_ID).with_partitions(vec![partition]);
        FetchResponse::default().with_responses(vec![topic])
    }
}

/// Source: the first check of `KafkaRaftClient.handleFetchRequest`.
fn is_possible(max_wait_ms: i32, fetch: &ObserverFetch) -> bool {
    max_wait_ms >= 0
        && fetch.fetch_offset >= 0
        && fetch.last_fetched_epoch >= 0
        && fetch.last_fetched_epoch <= fetch.current_leader_epoch
}
