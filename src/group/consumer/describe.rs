//! ConsumerGroupDescribe: what a group is like, as far as that is committed.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::consumer_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions};

use super::{ConsumerGroup, ConsumerMember};
use crate::group::api::{group_id, optional_text, text};
use crate::group::coordinator::{Context, Coordinator, Group};
use crate::group::records::Partitions;
use crate::metadata::MetadataImage;

/// `member_type` of a member that speaks the consumer protocol.
const CONSUMER_MEMBER: i8 = 1;

impl Coordinator {
    /// Source: `GroupMetadataManager.consumerGroupDescribe`.
    pub fn describe_consumer_groups(&self, cx: Context<'_>, ids: &[String]) -> Vec<DescribedGroup> {
        let one = |id: &String| match self.committed_group(id) {
            _ if id.is_empty() => DescribedGroup::default()
                .with_group_id(group_id(id))
                .with_error_code(ResponseError::InvalidGroupId.code()),
            Some(Group::Consumer(group)) => group.described(cx.metadata),
            _ => DescribedGroup::default()
                .with_group_id(group_id(id))
                .with_error_code(ResponseError::GroupIdNotFound.code()),
        };
        ids.iter().map(one).collect()
    }
}

impl ConsumerGroup {
    fn described(&self, metadata: &MetadataImage) -> DescribedGroup {
        DescribedGroup::default()
            .with_group_id(group_id(&self.id))
            .with_group_state(text(self.state().name()))
            .with_group_epoch(self.epoch)
            .with_assignment_epoch(self.target_epoch)
            .with_assignor_name(text(Self::preferred_assignor(self.members.values()).name()))
            .with_members(self.members.values().map(|member| self.described_member(member, metadata)).collect())
    }

    fn described_member(&self, member: &ConsumerMember, metadata: &MetadataImage) -> Member {
        Member::default()
            .with_member_id(text(&member.id))
            .with_instance_id(optional_text(member.instance.as_deref()))
            .with_rack_id(optional_text(member.rack.as_deref()))
            .with_member_epoch(member.epoch)
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&member.client_host))
            .with_subscribed_topic_names(
                member.subscribed_topic_names.iter().map(|name| TopicName(text(name))).collect(),
            )
            .with_subscribed_topic_regex(optional_text(member.subscribed_topic_regex.as_deref()))
            .with_assignment(described_partitions(&member.assigned, metadata))
            .with_target_assignment(described_partitions(
                self.target.get(&member.id).unwrap_or(&Partitions::new()),
                metadata,
            ))
            .with_member_type(CONSUMER_MEMBER)
    }
}

/// Topics that are gone have no name to be told by.
fn described_partitions(partitions: &Partitions, metadata: &MetadataImage) -> Assignment {
    let topics = partitions.iter().filter_map(|(topic_id, partitions)| {
        let name = &metadata.topics.get(topic_id)?.name;
        Some(
            TopicPartitions::default()
                .with_topic_id(*topic_id)
                .with_topic_name(TopicName(text(name.as_str())))
                .with_partitions(partitions.iter().copied().collect()),
        )
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
