//! What the admin client asks the coordinator of a group, after having found it. Source: `CoordinatorStrategy`,
//! `DeleteConsumerGroupsHandler`, `DeleteConsumerGroupOffsetsHandler`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::{
    DeleteGroupsRequest, FindCoordinatorRequest, FindCoordinatorResponse, GroupId, OffsetDeleteRequest, RequestKind,
    ResponseKind,
};
use kafka_protocol::protocol::StrBytes;

use super::cluster::Versioned;
use crate::ids::{BrokerId, TopicPartition};
use crate::node::Endpoint;
use crate::protocol::{topic_name, versions};

#[derive(Clone, Debug)]
enum What {
    Group,
    Offsets(Vec<TopicPartition>),
}

/// Something that only the coordinator of a group can do.
#[derive(Clone, Debug)]
pub(super) struct GroupAsk {
    group: String,
    what: What,
    coordinator: Option<BrokerId>,
}

impl GroupAsk {
    /// Delete the group.
    pub(super) fn delete(group: String) -> Self {
        GroupAsk { group, what: What::Group, coordinator: None }
    }
    /// Delete what it has committed of these.
    pub(super) fn delete_offsets(group: String, partitions: Vec<TopicPartition>) -> Self {
        GroupAsk { group, what: What::Offsets(partitions), coordinator: None }
    }
    /// Who is to be asked, if that is known.
    pub(super) fn coordinator(&self) -> Option<BrokerId> {
        self.coordinator
    }
    /// It is to be found again.
    pub(super) fn forget_coordinator(&mut self) {
        self.coordinator = None;
    }
    /// The attempt failed: perhaps another broker coordinates now.
    pub(super) fn on_failure(&mut self, error: ResponseError) {
        if error != ResponseError::CoordinatorLoadInProgress {
            self.coordinator = None;
        }
    }

    fn group_id(&self) -> StrBytes {
        StrBytes::from_string(self.group.clone())
    }
    /// Who coordinates the group?
    pub(super) fn find(&self) -> Versioned {
        let request = FindCoordinatorRequest::default().with_key_type(0).with_coordinator_keys(vec![self.group_id()]);
        (versions::FIND_COORDINATOR, RequestKind::FindCoordinator(request))
    }
    /// The answer to that.
    pub(super) fn on_coordinator(
        &mut self,
        answer: &FindCoordinatorResponse,
    ) -> Result<(BrokerId, Endpoint), ResponseError> {
        let told = answer.coordinators.first().ok_or(ResponseError::UnknownServerError)?;
        if let Some(error) = ResponseError::try_from_code(told.error_code) {
            return Err(error);
        }
        let port = u16::try_from(told.port).map_err(|_| ResponseError::UnknownServerError)?;
        self.coordinator = Some(told.node_id.0);
        Ok((told.node_id.0, Endpoint { host: told.host.to_string(), port }))
    }

    /// What the coordinator is asked.
    pub(super) fn request(&self) -> Versioned {
        match &self.what {
            What::Group => {
                let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(self.group_id())]);
                (versions::DELETE_GROUPS, RequestKind::DeleteGroups(request))
            }
            What::Offsets(partitions) => {
                let mut topics: Vec<OffsetDeleteRequestTopic> = Vec::new();
                for partition in partitions {
                    let asked = OffsetDeleteRequestPartition::default().with_partition_index(partition.partition);
                    match topics.iter_mut().find(|topic| topic.name.as_str() == partition.topic.as_str()) {
                        Some(topic) => topic.partitions.push(asked),
                        None => topics.push(
                            OffsetDeleteRequestTopic::default()
                                .with_name(topic_name(&partition.topic))
                                .with_partitions(vec![asked]),
                        ),
                    }
                }
                let request =
                    OffsetDeleteRequest::default().with_group_id(GroupId(self.group_id())).with_topics(topics);
                (versions::OFFSET_DELETE, RequestKind::OffsetDelete(request))
            }
        }
    }
    /// What it says; `None` if the answer is to something else.
    pub(super) fn result(&self, answer: &ResponseKind) -> Option<Result<(), ResponseError>> {
        let codes: Vec<i16> = match (&self.what, answer) {
            (What::Group, ResponseKind::DeleteGroups(answer)) => {
                answer.results.iter().map(|group| group.error_code).collect()
            }
            (What::Offsets(_), ResponseKind::OffsetDelete(answer)) => {
                let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
                std::iter::once(answer.error_code).chain(partitions.map(|p| p.error_code)).collect()
            }
            _ => return None,
        };
        let error = codes.iter().find_map(|code| ResponseError::try_from_code(*code));
        (!codes.is_empty()).then_some(error.map_or(Ok(()), Err))
    }
}
