//! What does a follower do? It fetches, appends, syncs, and fetches on. (`KafkaRaftClient.pollFollower`,
//! `handleFetchResponse`, `ReplicatedLog.truncateToEndOffset`.)

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId as WireBrokerId, FetchRequest, FetchResponse};
use kafka_protocol::protocol::StrBytes;
use trial_storage::EpochEndOffset;

use super::peers::Asked;
use super::role::Role;
use super::{Io, Quorum, QuorumError, QuorumEvent};
use crate::conformance::QuorumRule;
use crate::event::Event;
use crate::metadata::METADATA_TOPIC_ID;
use crate::metadata::snapshot::SnapshotFetch;
use crate::protocol::versions;
use crate::zoo::Switch;

/// `KafkaRaftClient.MAX_FETCH_WAIT_MS`.
const MAX_FETCH_WAIT_MS: i32 = 500;
/// `KafkaRaftClient.MAX_FETCH_SIZE_BYTES`.
const MAX_FETCH_SIZE_BYTES: i32 = 8 << 20;

impl Quorum {
    /// Source: `KafkaRaftClient.pollFollower`. An observer that hears nothing asks the others who leads.
    pub(super) fn poll_follower(&mut self, io: &mut Io<'_, '_>) -> Result<bool, QuorumError> {
        let Role::Follower { until, .. } = self.role else { return Ok(false) };
        let Some(leader) = self.leader_id else { return Ok(false) };
        if until <= io.now.mono && !self.is_flushing() {
            if self.is_voter() && self.shutdown_at.is_none() && QuorumRule::SilentLeaderIsReplaced.holds() {
                self.begin_election(io)?;
                return Ok(true);
            }
            self.send_fetch_to_any_voter(io);
            return Ok(false);
        }
        if self.maybe_send_update_voter(leader, io) {
            return Ok(false);
        }
        if let Some(request) = self.fetch_snapshot_request() {
            self.send(leader, versions::FETCH_SNAPSHOT, Asked::FetchSnapshot, || request.into(), io);
        } else if self.is_ready_to_fetch() {
            let request = self.fetch_request();
            self.send(leader, versions::FETCH, Asked::Fetch, || request.into(), io);
        }
        Ok(false)
    }

    /// The next fetch tells the leader that everything before it is replicated: so it must be synced.
    /// Source: `KafkaRaftClient.appendAsFollower`. Zoo: `raft-no-flush` does not wait.
    fn is_ready_to_fetch(&self) -> bool {
        let is_synced = self.synced_end_offset() >= self.log.log_end_offset();
        !self.is_writing_incoming_snapshot() && (is_synced || !QuorumRule::FollowerSyncsBeforeItFetchesOn.holds())
    }

    /// Is what it appended on its way to the disk? Kafka's thread stands still meanwhile: only then does it look whether the
    /// leader has been silent too long, since the fetch that brought the records.
    pub(super) fn is_flushing(&self) -> bool {
        self.log_sync.is_some() && self.synced_end_offset() < self.log.log_end_offset()
    }

    /// Without a leader the fetch is a question: who leads? Source: `KafkaRaftClient.maybeSendFetchToAnyBootstrap`.
    pub(super) fn send_fetch_to_any_voter(&mut self, io: &mut Io<'_, '_>) {
        if !self.is_ready_to_fetch() || self.is_in_flight() {
            return;
        }
        let voters: Vec<i32> = self.peers.keys().copied().collect();
        for voter in voters {
            let request = self.fetch_request();
            if self.send(voter, versions::FETCH, Asked::Fetch, || request.into(), io) {
                return;
            }
        }
    }

    fn fetch_request(&self) -> FetchRequest {
        let partition = FetchPartition::default()
            .with_current_leader_epoch(self.epoch)
            .with_fetch_offset(self.log.log_end_offset())
            .with_last_fetched_epoch(self.last_fetched_epoch())
            .with_partition_max_bytes(MAX_FETCH_SIZE_BYTES)
            .with_replica_directory_id(self.me.wire_directory_id());
        FetchRequest::default()
            .with_cluster_id(Some(StrBytes::from_string(self.cluster_id.clone())))
            .with_replica_state(ReplicaState::default().with_replica_id(WireBrokerId(self.me.id)))
            .with_max_wait_ms(MAX_FETCH_WAIT_MS)
            .with_max_bytes(MAX_FETCH_SIZE_BYTES)
            .with_topics(vec![FetchTopic::default().with_topic_id(METADATA_TOPIC_ID).with_partitions(vec![partition])])
    }

    /// Source: `KafkaRaftClient.handleFetchResponse`.
    pub(super) fn handle_fetch_response(
        &mut self,
        response: FetchResponse,
        io: &mut Io<'_, '_>,
    ) -> Result<bool, QuorumError> {
        let Some(partition) = response.responses.into_iter().flat_map(|topic| topic.partitions).next() else {
            return Ok(false);
        };
        let error = ResponseError::try_from_code(partition.error_code);
        let (leader, epoch) = (partition.current_leader.leader_id.0, partition.current_leader.leader_epoch);
        if let Some(handled) = self.maybe_handle_common_response(error, leader, epoch, io)? {
            return Ok(handled);
        }
        if error.is_some() || !matches!(self.role, Role::Follower { .. }) {
            return Ok(false);
        }
        if partition.diverging_epoch.end_offset >= 0 && partition.diverging_epoch.epoch >= 0 {
            let end = EpochEndOffset {
                epoch: partition.diverging_epoch.epoch,
                end_offset: partition.diverging_epoch.end_offset,
            };
            self.truncate_to_end_offset(end, io)?;
        } else if let Some(fetch) = SnapshotFetch::told_by(&partition)
            && QuorumRule::FollowerTakesTheSnapshot.holds()
        {
            self.begin_snapshot_fetch(fetch)?;
        } else {
            self.append_as_follower(&partition, io)?;
            self.update_follower_high_watermark(partition.high_watermark, io);
        }
        self.reset_fetch_timeout_for_successful_fetch(io);
        Ok(true)
    }

    /// Source: `FollowerState.resetFetchTimeoutForSuccessfulFetch`.
    pub(super) fn reset_fetch_timeout_for_successful_fetch(&mut self, io: &mut Io<'_, '_>) {
        if let Role::Follower { until, has_fetched } = &mut self.role {
            *until = io.now.mono.saturating_add(self.timeouts.fetch);
            *has_fetched = true;
        }
    }

    fn append_as_follower(&mut self, partition: &PartitionData, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let Some(records) = partition.records.clone().filter(|records| !records.is_empty()) else { return Ok(()) };
        let before = self.log.log_end_offset();
        let appended = self.log.append_as_follower(io.disk, records.clone(), self.epoch)?;
        if appended.batches > 0 {
            let (first_offset, last_offset) = (appended.first_offset, appended.last_offset);
            let epoch = appended.leader_epoch;
            self.tell(Event::MetadataAppended { first_offset, last_offset, epoch, as_leader: false }, io.fx);
            if QuorumRule::FollowerCountsVotersFromTheirAppend.holds() {
                self.take_voters_in(&records, before, io)?;
            }
        }
        self.sync_log_if_idle(io);
        Ok(())
    }

    /// Where both logs agree, for all this one knows. If it never had the leader's epoch, the end of its own last epoch
    /// before it; another round then follows. Source: `ReplicatedLog.truncateToEndOffset`.
    fn truncation_offset(&self, leader: EpochEndOffset) -> i64 {
        let log_end_offset = self.log.log_end_offset();
        if leader.epoch == 0 {
            return leader.end_offset.min(log_end_offset);
        }
        match self.log.end_offset_for(leader.epoch) {
            Some(own) if own.epoch == leader.epoch => own.end_offset.min(leader.end_offset),
            Some(own) => own.end_offset,
            None => log_end_offset,
        }
    }

    /// The leader's history is another: cuts the log back to where they agree. What is committed must not be cut.
    /// Source: `KafkaRaftClient.handleFetchResponse`, `KafkaRaftLog.truncateToEndOffset`.
    /// Zoo: `raft-truncate-below-hw` (KAFKA-12460) cuts that too.
    fn truncate_to_end_offset(&mut self, leader: EpochEndOffset, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let to = self.truncation_offset(leader);
        if let Some(high_watermark) = self.high_watermark
            && leader.end_offset.min(to) < high_watermark
            && QuorumRule::CommittedIsNeverCut.holds()
        {
            if !self.zoo.on(Switch::RaftTruncateBelowHw) {
                let (epoch, offset) = (self.epoch, leader.end_offset.min(to));
                return Err(QuorumError::TruncationBelowHighWatermark { epoch, offset, high_watermark });
            }
            self.high_watermark = Some(to.min(high_watermark));
        }
        let from = self.log.log_end_offset();
        if QuorumRule::DivergingEndIsCut.holds() {
            self.log.truncate_to(io.disk, to)?;
        }
        if self.log.log_end_offset() < from {
            self.tell(Event::MetadataTruncated { from, to: self.log.log_end_offset() }, io.fx);
            self.truncate_voters(io);
        }
        self.sync_log_if_idle(io);
        Ok(())
    }

    /// A follower knows no more committed than it has. Source: `KafkaRaftClient.updateFollowerHighWatermark`.
    fn update_follower_high_watermark(&mut self, leaders: i64, io: &mut Io<'_, '_>) {
        let to = leaders.min(self.log.log_end_offset());
        let from = self.high_watermark.unwrap_or(-1);
        if leaders >= 0 && to > from {
            self.high_watermark = Some(to);
            self.tell(Event::MetadataHighWatermark { from, to }, io.fx);
            self.events.push(QuorumEvent::Committed { high_watermark: to });
        }
    }

    /// What was appended is durable: a leader counts it. A follower fetches on, when it is polled next.
    pub(super) fn on_log_synced(&mut self, io: &mut Io<'_, '_>) {
        if let Role::Leader(_) = &self.role {
            self.update_local_state(io);
        }
    }
}
