//! OffsetCommit: may this member say how far its group has come?

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use crate::conformance::OffsetRule;
use crate::group::api::{Caller, Response};
use crate::group::classic::ClassicState;
use crate::group::coordinator::{Context, Coordinator, Group, Outcome, Written};
use crate::group::records::{OffsetValue, Record};
use crate::ids::Topic;
use crate::protocol::errors::NONE;
use crate::zoo::Switch;

/// OffsetCommit of members of the consumer protocol begins with this version.
pub const CONSUMER_PROTOCOL_VERSION: i16 = 9;
/// `OffsetCommitRequest.DEFAULT_RETENTION_TIME`.
const DEFAULT_RETENTION_TIME: i64 = -1;

impl Coordinator {
    /// Source: `OffsetMetadataManager.commitOffset`.
    pub fn commit_offsets(&mut self, cx: Context<'_>, caller: &Caller, request: &OffsetCommitRequest) -> Outcome {
        self.check_commit(cx, caller, request)?;
        self.commit_is_a_heartbeat(cx, request);
        let mut records = Vec::new();
        let topics = request.topics.iter().map(|topic| self.commit_topic(cx, request, topic, &mut records)).collect();
        let response = OffsetCommitResponse::default().with_topics(topics);
        Ok(Written::records(records, Some(Response::OffsetCommit(response))))
    }

    /// A group that nobody has heard of is made by whoever commits without a generation: it only has offsets.
    /// Source: `OffsetMetadataManager.validateOffsetCommit`.
    fn check_commit(
        &mut self,
        cx: Context<'_>,
        caller: &Caller,
        request: &OffsetCommitRequest,
    ) -> Result<(), ResponseError> {
        let id = request.group_id.as_str();
        let epoch = request.generation_id_or_member_epoch;
        if self.groups.get(id).is_none() {
            if epoch >= 0 && OffsetRule::UnknownGroupHasNoGeneration.holds() {
                return Err(match caller.api_version {
                    CONSUMER_PROTOCOL_VERSION.. => ResponseError::GroupIdNotFound,
                    _ => ResponseError::IllegalGeneration,
                });
            }
            self.classic_or_new(cx, id, true)?;
        }
        if self.zoo.on(Switch::CommitUnfenced) {
            return Ok(());
        }
        let instance = request.group_instance_id.as_deref();
        match self.groups.get(id) {
            Some(Group::Classic(group)) => group.check_commit(&request.member_id, instance, epoch),
            Some(Group::Consumer(group)) => group.check_commit(&request.member_id, epoch, caller.api_version),
            None => Err(ResponseError::GroupIdNotFound),
        }
    }

    /// A member that commits lives. Source: `OffsetMetadataManager.commitOffset`.
    fn commit_is_a_heartbeat(&mut self, cx: Context<'_>, request: &OffsetCommitRequest) {
        let id = request.group_id.as_str();
        let Some(group) = self.classic(id) else { return };
        let is_settled = matches!(group.state(), ClassicState::Stable | ClassicState::PreparingRebalance);
        if is_settled && group.member(&request.member_id).is_some() && OffsetRule::CommitIsAHeartbeat.holds() {
            self.reschedule_heartbeat(cx, id, &request.member_id);
        }
    }

    fn commit_topic(
        &self,
        cx: Context<'_>,
        request: &OffsetCommitRequest,
        topic: &OffsetCommitRequestTopic,
        records: &mut Vec<Record>,
    ) -> OffsetCommitResponseTopic {
        let mut partitions = Vec::new();
        for partition in &topic.partitions {
            let response = OffsetCommitResponsePartition::default().with_partition_index(partition.partition_index);
            let too_large = self.is_metadata_too_large(partition);
            let code = if too_large { ResponseError::OffsetMetadataTooLarge.code() } else { NONE };
            partitions.push(response.with_error_code(code));
            if !too_large {
                records.push(Record::Offset {
                    group: request.group_id.to_string(),
                    topic: Topic::new(&topic.name),
                    partition: partition.partition_index,
                    value: Some(committed_value(cx, request.retention_time_ms, partition)),
                });
            }
        }
        OffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions)
    }

    /// In UTF-16 units, as Java counts. Source: `OffsetMetadataManager.isMetadataInvalid`.
    fn is_metadata_too_large(&self, partition: &OffsetCommitRequestPartition) -> bool {
        let length = partition.committed_metadata.as_deref().map_or(0, |text| text.encode_utf16().count());
        let most = usize::try_from(self.config.offset_metadata_max_bytes).unwrap_or(0);
        length > most && OffsetRule::MetadataHasALimit.holds()
    }
}

/// Source: `OffsetAndMetadata.fromRequest`.
fn committed_value(cx: Context<'_>, retention_time_ms: i64, partition: &OffsetCommitRequestPartition) -> OffsetValue {
    let expire_timestamp = match retention_time_ms {
        DEFAULT_RETENTION_TIME => -1,
        own => cx.now.wall.saturating_add(own),
    };
    OffsetValue {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch.max(-1),
        metadata: partition.committed_metadata.as_deref().unwrap_or_default().to_string(),
        commit_timestamp: cx.now.wall,
        expire_timestamp,
    }
}
