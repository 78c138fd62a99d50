//! What is each member to have? A new target assignment, when the group's epoch is ahead of the target's.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use uuid::Uuid;

use super::assignor::{MemberSpec, ServerAssignor};
use super::{ConsumerGroup, ConsumerMember};
use crate::group::records::{Partitions, Record};
use crate::metadata::MetadataImage;

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
        most.and_then(|(name, _)| ServerAssignor::from_name(name)).unwrap_or(ServerAssignor::DEFAULT)
    }

    /// The records of a new target assignment, and what the member in question is to have by it. Only who is to have
    /// something else gets a record. Source: `TargetAssignmentBuilder.build`.
    pub(super) fn new_target(
        &self,
        epoch: i32,
        updated: &ConsumerMember,
        metadata: &MetadataImage,
        records: &mut Vec<Record>,
    ) -> Result<Partitions, ResponseError> {
        let members = self.members_with(updated);
        let mut topics: BTreeMap<Uuid, i32> = BTreeMap::new();
        let mut specs = BTreeMap::new();
        for (id, member) in &members {
            let known: Vec<_> = self.topics_of(member).into_iter().filter_map(|name| metadata.topic(name)).collect();
            let sizes = known.iter().map(|t| (t.topic_id, i32::try_from(t.partitions.len()).unwrap_or(i32::MAX)));
            topics.extend(sizes);
            let spec = MemberSpec {
                instance_id: member.instance.clone(),
                rack_id: member.rack.clone(),
                subscribed_topic_ids: known.iter().map(|topic| topic.topic_id).collect::<BTreeSet<_>>(),
                assignment: self.target_of(member),
            };
            specs.insert((*id).to_string(), spec);
        }
        let assignor = Self::preferred_assignor(members.values().copied());
        let mut assigned = assignor.assign(&specs, &topics).map_err(|_| ResponseError::UnknownServerError)?;
        let mut own = Partitions::new();
        for id in specs.into_keys() {
            let new = assigned.remove(&id).unwrap_or_default();
            if id == updated.id {
                own.clone_from(&new);
            }
            if self.target.get(&id) != Some(&new) {
                records.push(Record::TargetAssignment { group: self.id.clone(), member: id, value: Some(new) });
            }
        }
        records.push(Record::TargetEpoch { group: self.id.clone(), value: Some(epoch) });
        Ok(own)
    }
}
