//! DeleteRecords as the admin client asks it of a leader. Source: KIP-107, `DeleteRecordsHandler`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, RequestKind};

use super::cluster::Versioned;
use crate::ids::TopicPartition;
use crate::protocol::{topic_name, versions};

/// The log of this partition is to begin at that offset; -1: at its high watermark.
pub(crate) fn request(partition: &TopicPartition, before: i64, timeout_ms: i32) -> Versioned {
    let asked = DeleteRecordsPartition::default().with_partition_index(partition.partition).with_offset(before);
    let topic = DeleteRecordsTopic::default().with_name(topic_name(&partition.topic)).with_partitions(vec![asked]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(timeout_ms);
    (versions::DELETE_RECORDS, RequestKind::DeleteRecords(request))
}

/// The low watermark of the partition; `None` if the answer does not speak of it.
pub(crate) fn answer_for(
    answer: &DeleteRecordsResponse,
    partition: &TopicPartition,
) -> Option<Result<i64, ResponseError>> {
    let topics = answer.topics.iter().filter(|t| t.name.0.as_str() == partition.topic.as_str());
    let told = topics.flat_map(|t| &t.partitions).find(|p| p.partition_index == partition.partition)?;
    Some(match ResponseError::try_from_code(told.error_code) {
        None => Ok(told.low_watermark),
        Some(error) => Err(error),
    })
}
