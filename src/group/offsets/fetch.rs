//! OffsetFetch: how far has the group come, as far as that is committed?

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};

use crate::conformance::OffsetRule;
use crate::group::api::text;
use crate::group::coordinator::{Coordinator, Group};
use crate::group::records::OffsetValue;
use crate::ids::Topic;

/// `OffsetFetchResponse.INVALID_OFFSET`: nothing is committed.
const INVALID_OFFSET: i64 = -1;

impl Coordinator {
    /// What is committed, by the state of the log that is asked for: the committed one, or, for a reader that wants what
    /// is stable and waits for it, the newest. Source: `OffsetMetadataManager.fetchOffsets`, `fetchAllOffsets`.
    pub fn fetch_offsets(
        &self,
        request: &OffsetFetchRequestGroup,
        require_stable: bool,
    ) -> Result<OffsetFetchResponseGroup, ResponseError> {
        let newest = require_stable || !OffsetRule::ReadersSeeWhatIsCommitted.holds();
        let at = if newest { self.written } else { self.committed };
        let is_there = self.check_fetch(request, newest)?;
        let topics = match &request.topics {
            None if is_there => self.all_offsets(&request.group_id, at),
            None => Vec::new(),
            Some(topics) => topics
                .iter()
                .map(|topic| {
                    let name = Topic::new(&topic.name);
                    let one = |partition: &i32| {
                        let key = (request.group_id.to_string(), name.clone(), *partition);
                        fetched(*partition, self.offsets.get_at(&key, at).filter(|_| is_there))
                    };
                    let partitions = topic.partition_indexes.iter().map(one).collect();
                    OffsetFetchResponseTopics::default().with_name(topic.name.clone()).with_partitions(partitions)
                })
                .collect(),
        };
        Ok(OffsetFetchResponseGroup::default().with_group_id(request.group_id.clone()).with_topics(topics))
    }

    /// A group that is not there has no offsets, which is no error.
    /// Source: `OffsetMetadataManager.validateOffsetFetch`.
    fn check_fetch(&self, request: &OffsetFetchRequestGroup, newest: bool) -> Result<bool, ResponseError> {
        let id = request.group_id.as_str();
        let group = if newest { self.groups.get(id) } else { self.committed_group(id) };
        match group {
            None => Ok(false),
            Some(Group::Classic(_)) => Ok(true),
            Some(Group::Consumer(group)) => {
                group.check_fetch(request.member_id.as_deref(), request.member_epoch).map(|()| true)
            }
        }
    }

    fn all_offsets(&self, group: &str, at: i64) -> Vec<OffsetFetchResponseTopics> {
        let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
        for ((of, topic, partition), value) in self.offsets.iter_at(at) {
            if of != group {
                continue;
            }
            if topics.last().is_none_or(|last| last.name.as_str() != topic.as_str()) {
                topics.push(OffsetFetchResponseTopics::default().with_name(TopicName(text(topic.as_str()))));
            }
            if let Some(last) = topics.last_mut() {
                last.partitions.push(fetched(*partition, Some(value)));
            }
        }
        topics
    }
}

fn fetched(partition: i32, value: Option<&OffsetValue>) -> OffsetFetchResponsePartitions {
    let response = OffsetFetchResponsePartitions::default().with_partition_index(partition);
    match value {
        None => {
            response.with_committed_offset(INVALID_OFFSET).with_committed_leader_epoch(-1).with_metadata(Some(text("")))
        }
        Some(value) => response
            .with_committed_offset(value.offset)
            .with_committed_leader_epoch(value.leader_epoch)
            .with_metadata(Some(text(&value.metadata))),
    }
}
