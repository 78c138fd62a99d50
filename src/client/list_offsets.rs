//! ListOffsets as admin and consumer ask it of a leader. Source: `OffsetFetcher`, KIP-207 (OFFSET_NOT_AVAILABLE).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, RequestKind};

use super::cluster::Versioned;
use crate::ids::TopicPartition;
use crate::protocol::{topic_name, versions};

/// Timestamp that asks for the log's start.
pub(crate) const EARLIEST: i64 = -2;
/// Timestamp that asks for the high watermark.
pub(crate) const LATEST: i64 = -1;

/// What a leader told of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The offset, -1 if there is none.
    pub(crate) offset: i64,
    /// Its leader epoch, -1 if unknown.
    pub(crate) leader_epoch: i32,
}

/// Asks for one offset per partition: (partition, leader epoch as the client knows it, timestamp).
pub(crate) fn request(partitions: &[(TopicPartition, i32, i64)], timeout_ms: i32) -> Versioned {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for (partition, leader_epoch, timestamp) in partitions {
        let asked = ListOffsetsPartition::default()
            .with_partition_index(partition.partition)
            .with_current_leader_epoch(*leader_epoch)
            .with_timestamp(*timestamp);
        match topics.iter_mut().find(|t| t.name.0.as_str() == partition.topic.as_str()) {
            Some(topic) => topic.partitions.push(asked),
            None => topics
                .push(ListOffsetsTopic::default().with_name(topic_name(&partition.topic)).with_partitions(vec![asked])),
        }
    }
    // -1: asked by a client, not by a replica.
    let request =
        ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(topics).with_timeout_ms(timeout_ms);
    (versions::LIST_OFFSETS, RequestKind::ListOffsets(request))
}

/// What the answer says of a partition; `None` if it does not speak of it.
pub(crate) fn answer_for(
    answer: &ListOffsetsResponse,
    partition: &TopicPartition,
) -> Option<Result<Found, ResponseError>> {
    let topics = answer.topics.iter().filter(|t| t.name.0.as_str() == partition.topic.as_str());
    let told = topics.flat_map(|t| &t.partitions).find(|p| p.partition_index == partition.partition)?;
    Some(match ResponseError::try_from_code(told.error_code) {
        None => Ok(Found { offset: told.offset, leader_epoch: told.leader_epoch }),
        Some(error) => Err(error),
    })
}
