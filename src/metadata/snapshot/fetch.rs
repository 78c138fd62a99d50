//! How does a replica that fell behind get the leader's snapshot? Source: `KafkaRaftClient.buildFetchSnapshotRequest`,
//! `handleFetchSnapshotResponse`.
//!
//! The same for a voter and for an observer: chunks from one position to the next, kept in memory until the last, and
//! nothing is believed before the whole has been read. What becomes of it is the replica's affair. A change of leader or
//! epoch ends it: the replica drops this value and fetches again from its log.

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_response;
use kafka_protocol::messages::fetch_snapshot_request::{
    PartitionSnapshot as Asked, SnapshotId as WireSnapshotId, TopicSnapshot,
};
use kafka_protocol::messages::fetch_snapshot_response::PartitionSnapshot as Answered;
use kafka_protocol::messages::{BrokerId as WireBrokerId, FetchSnapshotRequest, FetchSnapshotResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::SnapshotId;
use crate::ids::Topic;
use crate::metadata::METADATA_TOPIC;
use crate::protocol::topic_name;

/// Most bytes of one chunk (`KafkaRaftClient.MAX_FETCH_SIZE_BYTES`).
const CHUNK_BYTES: i32 = 8 << 20;

/// A snapshot that is being fetched.
#[derive(Clone, Debug)]
pub struct SnapshotFetch {
    id: SnapshotId,
    bytes: BytesMut,
}

/// What a chunk comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchProgress {
    /// Ask for the next.
    More,
    /// All of it is here; whether it is sound is still to be seen.
    Complete(Bytes),
    /// The leader has it no more, or answered something else: fetch the log again, and hear of a newer one.
    StartOver,
}

impl SnapshotFetch {
    /// The leader told a fetcher of its snapshot, if it did.
    pub fn told_by(data: &fetch_response::PartitionData) -> Option<SnapshotFetch> {
        let (end_offset, epoch) = (data.snapshot_id.end_offset, data.snapshot_id.epoch);
        (end_offset >= 0 && epoch >= 0).then(|| SnapshotFetch::new(SnapshotId { end_offset, epoch }))
    }

    /// Nothing of it is here yet.
    pub fn new(id: SnapshotId) -> SnapshotFetch {
        SnapshotFetch { id, bytes: BytesMut::new() }
    }

    /// Which one.
    pub fn id(&self) -> SnapshotId {
        self.id
    }

    /// The request for the next chunk.
    pub fn request(
        &self,
        cluster_id: Option<&str>,
        replica_id: i32,
        directory_id: Uuid,
        leader_epoch: i32,
    ) -> FetchSnapshotRequest {
        let id = WireSnapshotId::default().with_end_offset(self.id.end_offset).with_epoch(self.id.epoch);
        let partition = Asked::default()
            .with_partition(0)
            .with_current_leader_epoch(leader_epoch)
            .with_snapshot_id(id)
            .with_position(self.bytes.len() as i64)
            .with_replica_directory_id(directory_id);
        let name = topic_name(&Topic::new(METADATA_TOPIC));
        FetchSnapshotRequest::default()
            .with_cluster_id(cluster_id.map(|id| StrBytes::from_string(id.to_string())))
            .with_replica_id(WireBrokerId(replica_id))
            .with_max_bytes(CHUNK_BYTES)
            .with_topics(vec![TopicSnapshot::default().with_name(name).with_partitions(vec![partition])])
    }

    /// The partition of an answer, if it has one; its leader and epoch are the caller's to look at first.
    pub fn partition(response: &FetchSnapshotResponse) -> Option<&Answered> {
        response.topics.first().and_then(|topic| topic.partitions.first())
    }

    /// Takes a chunk. Errors of leadership were handled by the caller.
    pub fn on_chunk(&mut self, answer: &Answered) -> FetchProgress {
        let id = SnapshotId { end_offset: answer.snapshot_id.end_offset, epoch: answer.snapshot_id.epoch };
        let here = self.bytes.len() as i64;
        let is_next = answer.error_code == 0 && id == self.id && answer.position == here;
        let then = here.saturating_add(answer.unaligned_records.len() as i64);
        if !is_next || answer.unaligned_records.is_empty() || then > answer.size {
            return FetchProgress::StartOver;
        }
        self.bytes.extend_from_slice(&answer.unaligned_records);
        if then < answer.size {
            return FetchProgress::More;
        }
        FetchProgress::Complete(std::mem::take(&mut self.bytes).freeze())
    }

    /// Is this error one that says that the leader has the snapshot no more?
    pub fn is_gone(error_code: i16) -> bool {
        error_code == ResponseError::SnapshotNotFound.code()
    }
}
