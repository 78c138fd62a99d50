//! OffsetDelete and DeleteGroups: what is forgotten because somebody says so.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::tombstone;
use crate::conformance::OffsetRule;
use crate::group::api::{Response, group_id};
use crate::group::coordinator::{Coordinator, Group, Outcome, Written};
use crate::group::records::Record;
use crate::ids::Topic;
use crate::protocol::errors::NONE;

impl Coordinator {
    /// Source: `OffsetMetadataManager.deleteOffsets`.
    pub fn delete_offsets(&mut self, request: &OffsetDeleteRequest) -> Outcome {
        if request.group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let group = self.groups.get(request.group_id.as_str()).ok_or(ResponseError::GroupIdNotFound)?;
        if let Group::Classic(group) = group {
            group.check_offset_delete()?;
        }
        let mut records = Vec::new();
        let topics =
            request.topics.iter().map(|topic| self.delete_topic(request, group, topic, &mut records)).collect();
        let response = OffsetDeleteResponse::default().with_topics(topics);
        Ok(Written::records(records, Some(Response::OffsetDelete(response))))
    }

    fn delete_topic(
        &self,
        request: &OffsetDeleteRequest,
        group: &Group,
        topic: &OffsetDeleteRequestTopic,
        records: &mut Vec<Record>,
    ) -> OffsetDeleteResponseTopic {
        let is_subscribed = group.is_subscribed_to(&topic.name) && OffsetRule::SubscribedTopicsKeepTheirOffsets.holds();
        let code = if is_subscribed { ResponseError::GroupSubscribedToTopic.code() } else { NONE };
        let name = Topic::new(&topic.name);
        for partition in topic.partitions.iter().filter(|_| !is_subscribed) {
            if self.has_offset(&request.group_id, &name, partition.partition_index) {
                records.push(tombstone(&(request.group_id.to_string(), name.clone(), partition.partition_index)));
            }
        }
        let one = |index| OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(code);
        OffsetDeleteResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(topic.partitions.iter().map(|partition| one(partition.partition_index)).collect())
    }

    /// Topics are gone: nobody will go on where the groups were in them.
    /// Source: KAFKA-14499, `OffsetMetadataManager.onPartitionsDeleted`.
    pub fn delete_offsets_of(&self, topics: &BTreeSet<Topic>) -> Written {
        let gone = self.offsets.iter().filter(|((_, topic, _), _)| topics.contains(topic));
        Written::records(gone.map(|(key, _)| tombstone(key)).collect(), None)
    }

    /// Groups are deleted with their offsets if nobody is in them. Source: `GroupCoordinatorShard.deleteGroups`.
    pub fn delete_groups(&mut self, groups: &[String]) -> Outcome {
        let mut records = Vec::new();
        let mut results = Vec::new();
        for id in groups {
            let code = self.delete_group(id, &mut records).map_or_else(|error| error.code(), |()| NONE);
            results.push(DeletableGroupResult::default().with_group_id(group_id(id)).with_error_code(code));
        }
        Ok(Written::records(records, Some(Response::DeleteGroups(results))))
    }

    fn delete_group(&self, id: &str, records: &mut Vec<Record>) -> Result<(), ResponseError> {
        let group = self.groups.get(id).ok_or(ResponseError::GroupIdNotFound)?;
        if !group.is_empty() && OffsetRule::OnlyEmptyGroupsAreDeleted.holds() {
            return Err(ResponseError::NonEmptyGroup);
        }
        self.delete_all_offsets(id, records);
        Self::group_tombstones(id, group, records);
        Ok(())
    }
}
