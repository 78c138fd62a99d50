//! ListOffsets: earliest, latest, by timestamp, and the largest timestamp (`ReplicaManager.fetchOffset`, `Partition.fetchOffsetForTimestamp`).

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, ResponseKind};
use trial_storage::Disk;
use uuid::Uuid;

use super::Broker;
use super::fetch::{check_epoch, check_leader_and_epoch};
use super::partition::Partition;
use crate::conformance::HighWatermarkRule;
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
        let mut times_asked: BTreeMap<(&str, i32), u32> = BTreeMap::new();
        for topic in &request.topics {
            for asked in &topic.partitions {
                *times_asked.entry((topic.name.as_str(), asked.partition_index)).or_default() += 1;
            }
        }
        let mut topics = Vec::new();
        for topic in &request.topics {
            let mut partitions = Vec::new();
            for asked in &topic.partitions {
                // Which of the two would be meant? (`ListOffsetsRequest.duplicatePartitions`)
                let is_repeated = times_asked.get(&(topic.name.as_str(), asked.partition_index)) > Some(&1);
                let found = if is_repeated && HighWatermarkRule::PartitionNamedTwiceIsRefused.holds() {
                    Err(ResponseError::InvalidRequest)
                } else {
                    self.list_offset(&topic.name, asked, request.replica_id.0, api_version, disk)
                };
                partitions.push(answer(asked.partition_index, found, api_version));
            }
            topics.push(ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions));
        }
        fx.answer(req, ResponseKind::ListOffsets(ListOffsetsResponse::default().with_topics(topics)));
    }

    fn list_offset(
        &self,
        topic: &str,
        asked: &ListOffsetsPartition,
        replica_id: i32,
        api_version: i16,
        disk: &mut dyn Disk,
    ) -> Result<Found, ResponseError> {
        check_timestamp(asked.timestamp, api_version)?;
        let id = TopicPartition::new(&topic.into(), asked.partition_index);
        let Some(ix) = self.replicas.find(&id) else {
            return Err(self.error_for_absent(topic, Uuid::nil(), asked.partition_index));
        };
        let partition = self.replicas.get(ix);
        if replica_id == DEBUGGING_REPLICA && HighWatermarkRule::ToolsAskAnyReplica.holds() {
            check_epoch(partition, asked.current_leader_epoch)?;
        } else {
            check_leader_and_epoch(partition, asked.current_leader_epoch)?;
        }
        find_offset(partition, asked.timestamp, replica_id == CONSUMER, disk)
    }
}

fn answer(index: i32, found: Result<Found, ResponseError>, api_version: i16) -> ListOffsetsPartitionResponse {
    let mut answer = ListOffsetsPartitionResponse::default().with_partition_index(index);
    match found {
        Ok(found) => {
            answer.offset = found.offset;
            answer.timestamp = found.timestamp;
            // Version 4 brought the epoch (KIP-320); an older answer cannot even be encoded with one.
            if api_version >= 4 {
                answer.leader_epoch = found.leader_epoch;
            }
        }
        // Who does not know the error yet is told another that makes it ask again (KIP-207).
        Err(ResponseError::OffsetNotAvailable)
            if api_version < 5 && HighWatermarkRule::OldClientsAreToldAnotherError.holds() =>
        {
            answer.error_code = ResponseError::LeaderNotAvailable.code();
        }
        Err(error) => answer.error_code = error.code(),
    }
    answer
}

/// The replica id of a consumer.
const CONSUMER: i32 = -1;
/// The replica id of a tool that asks any replica, leader or not (`ListOffsetsRequest.DEBUGGING_REPLICA_ID`).
const DEBUGGING_REPLICA: i32 = -2;

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
/// while its high watermark has not reached the start of its reign: OFFSET_NOT_AVAILABLE (KIP-207). Replicas and tools
/// are answered with the log end instead.
fn find_offset(
    partition: &Partition,
    timestamp: i64,
    for_consumer: bool,
    disk: &mut dyn Disk,
) -> Result<Found, ResponseError> {
    let epoch_start_offset = partition.leader_state().map_or(0, |s| s.epoch_start_offset);
    let end_is_known = !for_consumer || partition.high_watermark() >= epoch_start_offset;
    let end = if for_consumer { partition.high_watermark() } else { partition.log_end_offset() };
    match timestamp {
        LATEST if !end_is_known && HighWatermarkRule::LatestIsNotAvailableAtFirst.holds() => {
            Err(ResponseError::OffsetNotAvailable)
        }
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
                _ if !end_is_known && HighWatermarkRule::LookupBeyondTheEndIsNotAvailableAtFirst.holds() => {
                    Err(ResponseError::OffsetNotAvailable)
                }
                _ => Ok(Found { offset: -1, timestamp: -1, leader_epoch: -1 }),
            }
        }
    }
}
