//! ListOffsets: earliest, latest, the largest timestamp, and by timestamp (`ReplicaManager.fetchOffset`,
//! `Partition.fetchOffsetForTimestamp`).

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

/// Timestamps with a meaning of their own (`ListOffsetsRequest`).
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// The replica id of a tool that asks any replica, leader or not.
const DEBUGGING_REPLICA: i32 = -2;

struct Found {
    offset: i64,
    timestamp: i64,
    leader_epoch: i32,
}

const NOT_FOUND: Found = Found { offset: -1, timestamp: -1, leader_epoch: -1 };

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
                let is_repeated = times_asked.get(&(topic.name.as_str(), asked.partition_index)) > Some(&1);
                let found = if is_repeated {
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
        if !is_supported(asked.timestamp, api_version) {
            return Err(ResponseError::UnsupportedVersion);
        }
        let id = TopicPartition::new(&topic.into(), asked.partition_index);
        let Some(ix) = self.replicas.find(&id) else {
            return Err(self.error_for_absent(topic, Uuid::nil(), asked.partition_index));
        };
        let partition = self.replicas.get(ix);
        if replica_id == DEBUGGING_REPLICA {
            check_epoch(partition, asked.current_leader_epoch)?;
        } else {
            check_leader_and_epoch(partition, asked.current_leader_epoch)?;
        }
        find_offset(partition, asked.timestamp, replica_id == -1, disk)
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
        Err(ResponseError::OffsetNotAvailable) if api_version < 5 => {
            answer.error_code = ResponseError::LeaderNotAvailable.code();
        }
        Err(error) => answer.error_code = error.code(),
    }
    answer
}

/// Has a request of this version this timestamp (`ReplicaManager.isListOffsetsTimestampUnsupported`)?
fn is_supported(timestamp: i64, api_version: i16) -> bool {
    let since = match timestamp {
        0.. | LATEST | EARLIEST => 1,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        _ => return false,
    };
    api_version >= since
}

/// The offset that a timestamp stands for, else the first record at or after it. Clients see what is below the high watermark,
/// replicas and tools all of the log.
fn find_offset(
    partition: &Partition,
    timestamp: i64,
    for_client: bool,
    disk: &mut dyn Disk,
) -> Result<Found, ResponseError> {
    let end = if for_client { partition.high_watermark() } else { partition.log_end_offset() };
    let is_known = !for_client || end_is_known(partition);
    let found = match timestamp {
        LATEST if !is_known && HighWatermarkRule::LatestIsNotAvailableAtFirst.holds() => {
            return Err(ResponseError::OffsetNotAvailable);
        }
        LATEST => return Ok(Found { offset: end, timestamp: -1, leader_epoch: partition.leader_epoch }),
        EARLIEST | EARLIEST_LOCAL => {
            let offset = partition.log.log_start_offset();
            let leader_epoch = partition.log.epoch_of_offset(offset).unwrap_or(-1);
            return Ok(Found { offset, timestamp: -1, leader_epoch });
        }
        // There is no remote storage here, and so nothing in it.
        LATEST_TIERED => return Ok(NOT_FOUND),
        MAX_TIMESTAMP => partition.log.max_timestamp(disk).and_then(|largest| match largest {
            Some(largest) => partition.log.offset_for_timestamp(disk, largest),
            None => Ok(None),
        }),
        timestamp => partition.log.offset_for_timestamp(disk, timestamp),
    };
    match found.map_err(|_| ResponseError::KafkaStorageError)? {
        Some(found) if found.offset < end => {
            Ok(Found { offset: found.offset, timestamp: found.timestamp, leader_epoch: found.leader_epoch })
        }
        // No answer within what may be read, but the end of that is about to move.
        _ if !is_known && HighWatermarkRule::LookupBeyondTheEndIsNotAvailableAtFirst.holds() => {
            Err(ResponseError::OffsetNotAvailable)
        }
        _ => Ok(NOT_FOUND),
    }
}

/// A leader does not know what is committed while its high watermark has not reached the start of its reign (KIP-207).
fn end_is_known(partition: &Partition) -> bool {
    partition.leader_state().is_none_or(|state| partition.high_watermark() >= state.epoch_start_offset)
}
