//! FetchSnapshot, as a leader answers it. Source: `KafkaRaftClient.handleFetchSnapshotRequest`.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_snapshot_request::PartitionSnapshot as Asked;
use kafka_protocol::messages::fetch_snapshot_response::{
    LeaderIdAndEpoch, PartitionSnapshot, SnapshotId as WireSnapshotId, TopicSnapshot,
};
use kafka_protocol::messages::{BrokerId as WireBrokerId, FetchSnapshotRequest, FetchSnapshotResponse};
use trial_storage::Disk;
use uuid::Uuid;

use super::SnapshotStore;
use super::validate::BOOTSTRAP;
use crate::ids::Topic;
use crate::metadata::METADATA_TOPIC;
use crate::metadata::snapshot::SnapshotId;
use crate::protocol::topic_name;

/// What this node is in the quorum, as far as an answer tells it.
#[derive(Clone, Copy, Debug)]
pub struct Leadership {
    /// The leader, -1 if unknown.
    pub leader_id: i32,
    /// The epoch.
    pub epoch: i32,
}

/// An answer, and which replica it was served to, if it was: a chunk counts for check-quorum as a fetch does.
#[derive(Clone, Debug)]
pub struct ServedSnapshot {
    /// The answer.
    pub response: FetchSnapshotResponse,
    /// Node id and directory id of the replica that was given a chunk.
    pub fed: Option<(i32, Uuid)>,
}

/// Answers a FetchSnapshot. `validate` is the check of every request that only a leader may answer, given the epoch that
/// the replica knows (`validateLeaderOnlyRequest`).
pub fn fetch_snapshot(
    cluster_id: &str,
    leadership: Leadership,
    validate: impl FnOnce(i32) -> Result<(), ResponseError>,
    snapshots: &SnapshotStore,
    request: &FetchSnapshotRequest,
    disk: &mut dyn Disk,
) -> ServedSnapshot {
    let refused = |error: ResponseError| ServedSnapshot {
        response: FetchSnapshotResponse::default().with_error_code(error.code()),
        fed: None,
    };
    if request.cluster_id.as_ref().is_some_and(|id| id.as_str() != cluster_id) {
        return refused(ResponseError::InconsistentClusterId);
    }
    let asked = match &request.topics[..] {
        [topic] => match &topic.partitions[..] {
            [partition] => (topic, partition),
            _ => return refused(ResponseError::InvalidRequest),
        },
        _ => return refused(ResponseError::InvalidRequest),
    };
    let (topic, asked) = asked;
    let current_leader = LeaderIdAndEpoch::default()
        .with_leader_id(WireBrokerId(leadership.leader_id))
        .with_leader_epoch(leadership.epoch);
    let mut answer = PartitionSnapshot::default().with_index(asked.partition).with_current_leader(current_leader);
    let metadata_topic = topic_name(&Topic::new(METADATA_TOPIC));
    let chunk = if topic.name != metadata_topic || asked.partition != 0 {
        Err(ResponseError::UnknownTopicOrPartition)
    } else {
        validate(asked.current_leader_epoch).and_then(|()| read_chunk(snapshots, asked, request.max_bytes, disk))
    };
    let mut fed = None;
    match chunk {
        Ok((id, size, bytes)) => {
            answer = answer
                .with_snapshot_id(WireSnapshotId::default().with_end_offset(id.end_offset).with_epoch(id.epoch))
                .with_size(size as i64)
                .with_position(asked.position)
                .with_unaligned_records(bytes);
            fed = Some((request.replica_id.0, asked.replica_directory_id));
        }
        Err(error) => answer.error_code = error.code(),
    }
    let topic = TopicSnapshot::default().with_name(topic.name.clone()).with_partitions(vec![answer]);
    ServedSnapshot { response: FetchSnapshotResponse::default().with_topics(vec![topic]), fed }
}

/// The bytes asked for, wherever they begin and end.
fn read_chunk(
    snapshots: &SnapshotStore,
    asked: &Asked,
    max_bytes: i32,
    disk: &mut dyn Disk,
) -> Result<(SnapshotId, u64, Bytes), ResponseError> {
    let id = SnapshotId { end_offset: asked.snapshot_id.end_offset, epoch: asked.snapshot_id.epoch };
    let size = snapshots.size(id).filter(|_| id != BOOTSTRAP).ok_or(ResponseError::SnapshotNotFound)?;
    let position = u64::try_from(asked.position).ok().filter(|position| *position < size);
    let position = position.ok_or(ResponseError::PositionOutOfRange)?;
    let max_bytes = usize::try_from(max_bytes).unwrap_or(0);
    match snapshots.read(id, position, max_bytes, disk) {
        Ok(Some(bytes)) => Ok((id, size, bytes)),
        Ok(None) => Err(ResponseError::SnapshotNotFound),
        Err(_) => Err(ResponseError::UnknownServerError),
    }
}
