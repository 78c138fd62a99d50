//! What is each member to have? A new target assignment, when the group's epoch is ahead of the target's.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;

use super::{ConsumerGroup, ConsumerMember};
use crate::group::assignor::server::target::{TargetAssignmentBuilder, TargetMember, TopicMetadata};
use crate::group::assignor::server::{ServerAssignor, SubscriptionType};
use crate::group::records::{Partitions, Record};
use crate::ids::Topic;
use crate::metadata::{MetadataImage, TopicImage};

impl ConsumerGroup {
    /// The members with one that joins or changes, which no record tells of yet: a static member takes the place of the one
    /// with its instance id.
    pub(super) fn members_with<'a>(&'a self, updated: &'a ConsumerMember) -> BTreeMap<&'a str, &'a ConsumerMember> {
        let mut members: BTreeMap<&str, &ConsumerMember> =
            self.members.iter().map(|(id, member)| (id.as_str(), member)).collect();
        if let Some(replaced) = updated.instance.as_ref().and_then(|instance| self.static_members.get(instance)) {
            members.remove(replaced.as_str());
        }
        members.insert(&updated.id, updated);
        members
    }

    /// What most members ask for; of two with as many votes the last by name; the default if nobody asks.
    /// Source: `ConsumerGroup.computePreferredServerAssignor`.
    pub(super) fn preferred_assignor<'a>(members: impl Iterator<Item = &'a ConsumerMember>) -> ServerAssignor {
        let mut votes: BTreeMap<&str, u32> = BTreeMap::new();
        for name in members.filter_map(|member| member.server_assignor.as_deref()) {
            *votes.entry(name).or_default() += 1;
        }
        let most = votes.into_iter().max_by_key(|(_, count)| *count);
        most.and_then(|(name, _)| ServerAssignor::from_name(name)).unwrap_or(ServerAssignor::ALL[0])
    }

    /// The records of a new target assignment, and what the member in question is to have by it. Only who is to have
    /// something else gets a record. Source: `GroupMetadataManager.updateTargetAssignment`.
    pub(super) fn new_target(
        &self,
        epoch: i32,
        updated: &ConsumerMember,
        metadata: &MetadataImage,
        records: &mut Vec<Record>,
    ) -> Result<Partitions, ResponseError> {
        let members = self.members_with(updated);
        let as_target = |member: &ConsumerMember| TargetMember {
            instance_id: member.instance.clone(),
            rack_id: member.rack.clone(),
            subscribed_topics: self.topics_of(member).into_iter().map(Topic::new).collect(),
        };
        let with_update: Vec<TargetMember> = members.values().map(|member| as_target(member)).collect();
        let names = with_update.iter().flat_map(|member| &member.subscribed_topics);
        let topics = names.filter_map(|name| Some((name.clone(), target_topic(metadata.topic(name.as_str())?))));
        let mut updated_members: BTreeMap<String, Option<TargetMember>> =
            self.members.keys().filter(|id| !members.contains_key(id.as_str())).map(|id| (id.clone(), None)).collect();
        updated_members.insert(updated.id.clone(), Some(as_target(updated)));
        let builder = TargetAssignmentBuilder {
            assignor: Self::preferred_assignor(members.values().copied()),
            subscription_type: SubscriptionType::of(with_update.iter().map(|member| &member.subscribed_topics)),
            members: self.members.iter().map(|(id, member)| (id.clone(), as_target(member))).collect(),
            updated_members,
            static_members: self.static_members.clone(),
            target_assignment: self.target.clone(),
            topics: topics.collect(),
        };
        let mut target = builder.build().map_err(|_| ResponseError::UnknownServerError)?;
        let own = target.members.get(&updated.id).cloned().unwrap_or_default();
        for member in target.changed {
            let value = target.members.remove(&member);
            records.push(Record::TargetAssignment { group: self.id.clone(), member, value });
        }
        records.push(Record::TargetEpoch { group: self.id.clone(), value: Some(epoch) });
        Ok(own)
    }
}

fn target_topic(topic: &TopicImage) -> TopicMetadata {
    TopicMetadata { topic_id: topic.topic_id, partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX) }
}
