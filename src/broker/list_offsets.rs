//! ListOffsets: earliest, latest, by timestamp, and the largest timestamp (`ReplicaManager.fetchOffset`, `Partition.fetchOffsetForTimestamp`).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, ResponseKind};
use trial_storage::Disk;
use uuid::Uuid;

use super::Broker;
use super::fetch::check_leader_and_epoch;
use super::partition::Partition;
use crate::ids::TopicPartition;
use crate::node::{Effects, ReqId};

struct Found {
    offset: i64,
    timestamp: i64,
    leader_epoch: i32,
}

impl Broker {
    pub(super) fn on_list_offsets(
        &mut self,
        req: ReqId,
        api_version: i16,
        request: &ListOffsetsRequest,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        fx.charge(3_000);
        let mut topics = Vec::new();
        for topic in &request.topics {
            let mut partitions = Vec::new();
            for asked in &topic.partitions {
                let id = TopicPartition::new(&topic.name.as_str().into(), asked.partition_index);
                let found = match self.replicas.find(&id) {
                    Some(ix) => {
                        let partition = self.replicas.get(ix);
                        check_timestamp(asked.timestamp, api_version)
                            .and_then(|()| check_leader_and_epoch(partition, asked.current_leader_epoch))
                            .and_then(|()| find_offset(partition, asked.timestamp, request.replica_id.0 >= 0, disk))
                    }
                    None => Err(self.error_for_absent(&topic.name, Uuid::nil(), asked.partition_index)),
                };
                let mut answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
                match found {
                    Ok(found) => {
                        answer.offset = found.offset;
                        answer.timestamp = found.timestamp;
                        // Version 4 brought the epoch (KIP-320); an older answer cannot even be encoded with one.
                        if api_version >= 4 {
                            answer.leader_epoch = found.leader_epoch;
                        }
                    }
                    Err(error) => answer.error_code = error.code(),
                }
                partitions.push(answer);
            }
            topics.push(ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions));
        }
        fx.answer(req, ResponseKind::ListOffsets(ListOffsetsResponse::default().with_topics(topics)));
    }
}

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// The first offset that is not in remote storage alone (KIP-405); here all is local.
const EARLIEST_LOCAL: i64 = -4;
/// The last offset that is in remote storage (KIP-1005); here there is none.
const LATEST_TIERED: i64 = -5;

/// Which special timestamps a version knows (`KafkaApis.isListOffsetsTimestampUnsupported`).
fn check_timestamp(timestamp: i64, api_version: i16) -> Result<(), ResponseError> {
    let since = match timestamp {
        LATEST | EARLIEST | 0.. => 0,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        _ => i16::MAX,
    };
    if api_version >= since { Ok(()) } else { Err(ResponseError::UnsupportedVersion) }
}

/// Latest, earliest, or the first record at or after that timestamp. A leader does not know where the end is
/// while its high watermark has not reached the start of its reign: OFFSET_NOT_AVAILABLE (KIP-207). Replicas are
/// answered with the log end instead.
fn find_offset(
    partition: &Partition,
    timestamp: i64,
    for_replica: bool,
    disk: &mut dyn Disk,
) -> Result<Found, ResponseError> {
    let epoch_start_offset = partition.leader_state().map_or(0, |s| s.epoch_start_offset);
    let end_is_known = for_replica || partition.high_watermark() >= epoch_start_offset;
    let end = if for_replica { partition.log_end_offset() } else { partition.high_watermark() };
    match timestamp {
        LATEST if !end_is_known => Err(ResponseError::OffsetNotAvailable),
        LATEST => Ok(Found { offset: end, timestamp: -1, leader_epoch: partition.leader_epoch }),
        EARLIEST | EARLIEST_LOCAL => {
            let offset = partition.log.log_start_offset();
            Ok(Found { offset, timestamp: -1, leader_epoch: partition.log.epoch_of_offset(offset).unwrap_or(-1) })
        }
        LATEST_TIERED => Ok(Found { offset: -1, timestamp: -1, leader_epoch: -1 }),
        timestamp => {
            let found = match timestamp {
                MAX_TIMESTAMP => partition.log.offset_of_max_timestamp(disk),
                timestamp => partition.log.offset_for_timestamp(disk, timestamp),
            };
            match found.map_err(|_| ResponseError::KafkaStorageError)? {
                Some(found) if found.offset < end => {
                    Ok(Found { offset: found.offset, timestamp: found.timestamp, leader_epoch: found.leader_epoch })
                }
                // No answer within what may be read, but the end of that is about to move.
                _ if !end_is_known => Err(ResponseError::OffsetNotAvailable),
                _ => Ok(Found { offset: -1, timestamp: -1, leader_epoch: -1 }),
            }
        }
    }
}
