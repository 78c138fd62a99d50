//! Fetch of the metadata log by voters and observers. Source: `KafkaRaftClient.handleFetchRequest`.
//!
//! A voter gets all there is, an observer only what is committed. If there is nothing new a fetch waits here, in the
//! purgatory, until there is or its time is up.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{
    EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData, SnapshotId as WireSnapshotId,
};
use kafka_protocol::messages::{BrokerId as WireBrokerId, FetchRequest, FetchResponse};
use kafka_protocol::protocol::StrBytes;
use trial_storage as storage;

use super::role::Role;
use super::snapshots::{ValidOffsetAndEpoch, validate_fetch};
use super::voters::ReplicaKey;
use super::{Io, Quorum, QuorumError, fit_to_version, the_only};
use crate::conformance::QuorumRule;
use crate::event::Event;
use crate::metadata::METADATA_TOPIC_ID;
use crate::metadata::snapshot::SnapshotId;
use crate::node::{Nanos, ReqId, ms};

/// What a replica asked for.
#[derive(Clone, Debug)]
struct ReplicaFetch {
    /// Id -1 for a client that only looks.
    replica: ReplicaKey,
    current_leader_epoch: i32,
    fetch_offset: i64,
    last_fetched_epoch: i32,
    max_bytes: usize,
}

/// A fetch in the purgatory.
#[derive(Clone, Debug)]
pub(super) struct WaitingFetch {
    req: ReqId,
    version: i16,
    fetch: ReplicaFetch,
    /// When it is answered at the latest.
    pub until: Nanos,
}

/// What a fetch comes to.
enum FetchResult {
    Records(Bytes),
    Diverging(storage::EpochEndOffset),
    /// The log does not reach back that far.
    Snapshot(SnapshotId),
    Error(ResponseError),
}

impl Quorum {
    /// Answers the fetch, or lets it wait for records.
    pub(super) fn handle_fetch_request(
        &mut self,
        req: ReqId,
        version: i16,
        request: &FetchRequest,
        io: &mut Io<'_, '_>,
    ) -> Result<(), QuorumError> {
        let partition = match self.check_fetch(request) {
            Ok(partition) => partition,
            Err(error) => {
                self.answer(req, FetchResponse::default().with_error_code(error.code()).into(), io.fx);
                return Ok(());
            }
        };
        // Up to version 14 the replica id stood by itself; from 15 on with the replica's epoch (KIP-903).
        let replica_id = if request.replica_id.0 >= 0 { request.replica_id } else { request.replica_state.replica_id };
        let max_bytes = request.max_bytes.min(partition.partition_max_bytes);
        let fetch = ReplicaFetch {
            replica: ReplicaKey::of(replica_id.0, partition.replica_directory_id),
            current_leader_epoch: partition.current_leader_epoch,
            fetch_offset: partition.fetch_offset,
            last_fetched_epoch: partition.last_fetched_epoch,
            max_bytes: usize::try_from(max_bytes).unwrap_or(0),
        };
        if !is_possible(request.max_wait_ms, &fetch) {
            self.answer_fetch(req, version, FetchResult::Error(ResponseError::InvalidRequest), io);
            return Ok(());
        }
        let before = self.high_watermark;
        match self.handle_arrival(&fetch, io) {
            FetchResult::Records(records) if records.is_empty() && request.max_wait_ms > 0 => {
                let until = io.now.mono.saturating_add(ms(request.max_wait_ms.into()));
                self.waiting.push(WaitingFetch { req, version, fetch, until });
            }
            result => self.answer_fetch(req, version, result, io),
        }
        if self.high_watermark != before {
            self.complete_fetches(io);
        }
        Ok(())
    }

    /// There is more, or more is committed: answers the fetches that now get something.
    pub(super) fn complete_fetches(&mut self, io: &mut Io<'_, '_>) {
        for waiting in std::mem::take(&mut self.waiting) {
            match self.try_complete(&waiting.fetch, io) {
                FetchResult::Records(records) if records.is_empty() => self.waiting.push(waiting),
                result => self.answer_fetch(waiting.req, waiting.version, result, io),
            }
        }
    }

    /// This node leads no more: who waits is told so.
    pub(super) fn refuse_waiting_fetches(&mut self, io: &mut Io<'_, '_>) {
        for waiting in std::mem::take(&mut self.waiting) {
            let result = FetchResult::Error(ResponseError::NotLeaderOrFollower);
            self.answer_fetch(waiting.req, waiting.version, result, io);
        }
    }

    /// Answers the fetches whose time is up, empty.
    pub(super) fn expire_fetches(&mut self, io: &mut Io<'_, '_>) {
        let (expired, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|fetch| fetch.until <= io.now.mono);
        self.waiting = waiting;
        for fetch in expired {
            self.answer_fetch(fetch.req, fetch.version, FetchResult::Records(Bytes::new()), io);
        }
    }

    /// The one partition there is, in the right cluster.
    fn check_fetch<'r>(&self, request: &'r FetchRequest) -> Result<&'r FetchPartition, ResponseError> {
        if !self.is_valid_cluster_id(request.cluster_id.as_ref()) {
            return Err(ResponseError::InconsistentClusterId);
        }
        the_only(&request.topics, |topic| topic.topic_id == METADATA_TOPIC_ID)
            .and_then(|topic| the_only(&topic.partitions, |partition| partition.partition == 0))
            .ok_or(ResponseError::InvalidRequest)
    }

    /// A valid fetch tells what the replica has, and that it lives: once, when it arrives. While it waits here it tells
    /// nothing new, though Kafka counts it again when it is answered at last.
    /// Source: `KafkaRaftClient.tryCompleteFetchRequest`, `LeaderState.updateReplicaState`.
    fn handle_arrival(&mut self, fetch: &ReplicaFetch, io: &mut Io<'_, '_>) -> FetchResult {
        if self.validate_leader_only_request(fetch.current_leader_epoch).is_ok()
            && self.validate_fetch_offset_and_epoch(fetch) == ValidOffsetAndEpoch::Valid
        {
            if QuorumRule::FetchOffsetCountsAsReplicated.holds() {
                self.update_replica_state(fetch.replica, fetch.fetch_offset, io);
            }
            self.maybe_update_high_watermark(io);
        }
        self.try_complete(fetch, io)
    }

    fn validate_fetch_offset_and_epoch(&self, fetch: &ReplicaFetch) -> ValidOffsetAndEpoch {
        validate_fetch(&self.log, &self.snapshots, fetch.fetch_offset, fetch.last_fetched_epoch)
    }

    /// Source: `KafkaRaftClient.tryCompleteFetchRequest`. A fetch whose history differs counts for nothing.
    fn try_complete(&mut self, fetch: &ReplicaFetch, io: &mut Io<'_, '_>) -> FetchResult {
        if let Err(error) = self.validate_leader_only_request(fetch.current_leader_epoch) {
            return FetchResult::Error(error);
        }
        match self.validate_fetch_offset_and_epoch(fetch) {
            ValidOffsetAndEpoch::Valid => {}
            ValidOffsetAndEpoch::Snapshot(id) => return FetchResult::Snapshot(id),
            ValidOffsetAndEpoch::Diverging(diverging) => {
                let (replica, epoch, end_offset) = (fetch.replica.id, diverging.epoch, diverging.end_offset);
                self.tell(Event::MetadataDivergenceFound { replica, epoch, end_offset }, io.fx);
                return FetchResult::Diverging(diverging);
            }
        }
        let sees_all = self.voters.is_voter(fetch.replica) && fetch.replica.id >= 0;
        let readable = if sees_all || !QuorumRule::ObserversGetWhatIsCommitted.holds() {
            self.log.log_end_offset()
        } else {
            self.high_watermark.unwrap_or(0)
        };
        match self.log.read(io.disk, fetch.fetch_offset, readable, fetch.max_bytes, true) {
            Ok(records) => FetchResult::Records(records),
            Err(_) => FetchResult::Error(ResponseError::UnknownServerError),
        }
    }

    /// Source: `KafkaRaftClient.validateLeaderOnlyRequest`. Who is refused learns leader and epoch from the answer.
    pub(super) fn validate_leader_only_request(&self, current_leader_epoch: i32) -> Result<(), ResponseError> {
        if current_leader_epoch < self.epoch && QuorumRule::FetchOfAnOlderEpochIsFenced.holds() {
            return Err(ResponseError::FencedLeaderEpoch);
        }
        if current_leader_epoch > self.epoch && QuorumRule::FetchOfAFutureEpochIsUnknown.holds() {
            return Err(ResponseError::UnknownLeaderEpoch);
        }
        match self.role {
            Role::Leader(_) if self.shutdown_at.is_some() => Err(ResponseError::BrokerNotAvailable),
            Role::Leader(_) => Ok(()),
            _ if QuorumRule::OnlyTheLeaderServes.holds() => Err(ResponseError::NotLeaderOrFollower),
            _ => Ok(()),
        }
    }

    fn answer_fetch(&mut self, req: ReqId, version: i16, result: FetchResult, io: &mut Io<'_, '_>) {
        let mut response = self.fetch_response(result).into();
        fit_to_version(&mut response, version);
        self.answer(req, response, io.fx);
    }

    fn fetch_response(&self, result: FetchResult) -> FetchResponse {
        let mut partition = PartitionData::default()
            .with_high_watermark(self.high_watermark_for_others())
            .with_last_stable_offset(-1)
            .with_log_start_offset(self.log.log_start_offset())
            .with_current_leader(
                LeaderIdAndEpoch::default()
                    .with_leader_id(WireBrokerId(self.leader_id.unwrap_or(-1)))
                    .with_leader_epoch(self.epoch),
            )
            .with_records(Some(Bytes::new()));
        match result {
            FetchResult::Records(records) => partition.records = Some(records),
            FetchResult::Diverging(end) => {
                partition.diverging_epoch =
                    EpochEndOffset::default().with_epoch(end.epoch).with_end_offset(end.end_offset);
            }
            FetchResult::Snapshot(id) => {
                partition.snapshot_id = WireSnapshotId::default().with_end_offset(id.end_offset).with_epoch(id.epoch);
            }
            FetchResult::Error(error) => partition.error_code = error.code(),
        }
        let endpoints = self.leader_endpoint().map(|(id, endpoint)| {
            NodeEndpoint::default()
                .with_node_id(WireBrokerId(id))
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(i32::from(endpoint.port))
        });
        let topic = FetchableTopicResponse::default().with_topic_id(METADATA_TOPIC_ID).with_partitions(vec![partition]);
        FetchResponse::default().with_responses(vec![topic]).with_node_endpoints(endpoints.into_iter().collect())
    }

    /// A new leader tells no high watermark until its own epoch has one.
    pub(super) fn high_watermark_for_others(&self) -> i64 {
        match self.role {
            Role::Leader(_)
                if !self.has_committed_in_own_epoch() && !self.zoo.on(crate::zoo::Switch::RaftCommitOldEpoch) =>
            {
                -1
            }
            _ => self.high_watermark.unwrap_or(-1),
        }
    }
}

/// Source: the first check of `KafkaRaftClient.handleFetchRequest`.
fn is_possible(max_wait_ms: i32, fetch: &ReplicaFetch) -> bool {
    max_wait_ms >= 0
        && fetch.fetch_offset >= 0
        && fetch.last_fetched_epoch >= 0
        && fetch.current_leader_epoch >= 0
        && fetch.last_fetched_epoch <= fetch.current_leader_epoch
}
