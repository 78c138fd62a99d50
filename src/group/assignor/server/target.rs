//! From the members of a group and its target assignment to the next target assignment.
//!
//! A member that joins, changes or leaves may not be in the group's state yet, since its records are not written: it is told
//! apart. A static member that joins under a new member id takes over what its predecessor was to have. What comes out is
//! the whole target assignment, and whose changed: only those get a record. Source: `TargetAssignmentBuilder`.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    AssignorError, GroupAssignment, GroupSpec, MemberAssignment, MemberSpec, ServerAssignor, SubscriptionType,
    TopicSizes,
};
use crate::ids::Topic;

/// A member, as far as assigning needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetMember {
    /// Its `group.instance.id`.
    pub instance_id: Option<String>,
    /// The rack in which it stands.
    pub rack_id: Option<String>,
    /// All that it subscribes to, by name and by what its regular expression was resolved to. Topics that do not exist are
    /// passed over.
    pub subscribed_topics: BTreeSet<Topic>,
}

/// A topic as the coordinator's metadata knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its id.
    pub topic_id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
}

/// What a new target assignment is computed from.
#[derive(Clone, Debug)]
pub struct TargetAssignmentBuilder {
    /// The assignor of the group.
    pub assignor: ServerAssignor,
    /// Do the members, with all updates, subscribe to the same?
    pub subscription_type: SubscriptionType,
    /// The members in the group's state.
    pub members: BTreeMap<String, TargetMember>,
    /// Members that join or change, and `None` for those that leave.
    pub updated_members: BTreeMap<String, Option<TargetMember>>,
    /// The member id behind each `group.instance.id` in the group's state.
    pub static_members: BTreeMap<String, String>,
    /// The target assignment in the group's state.
    pub target_assignment: GroupAssignment,
    /// The topics that anybody subscribes to and that exist.
    pub topics: BTreeMap<Topic, TopicMetadata>,
}

/// A new target assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetAssignment {
    /// What each member is to have. Every member has an entry.
    pub members: GroupAssignment,
    /// The members whose target assignment is new or another one.
    pub changed: BTreeSet<String>,
}

impl TargetAssignmentBuilder {
    /// The new target assignment.
    pub fn build(&self) -> Result<TargetAssignment, AssignorError> {
        let group = GroupSpec {
            members: self.member_specs(),
            subscription_type: self.subscription_type,
            assigned: inverted(&self.target_assignment),
        };
        let topics: TopicSizes = self.topics.values().map(|topic| (topic.topic_id, topic.partitions)).collect();
        let mut assigned = self.assignor.assign(&group, &topics)?;
        let of_member = |member: String| {
            let assignment = assigned.remove(&member).unwrap_or_default();
            (member, assignment)
        };
        let members: GroupAssignment = group.members.into_keys().map(of_member).collect();
        let is_new = |(member, new): &(&String, &MemberAssignment)| self.target_assignment.get(*member) != Some(*new);
        let changed = members.iter().filter(is_new).map(|(member, _)| member.clone()).collect();
        Ok(TargetAssignment { members, changed })
    }

    fn member_specs(&self) -> BTreeMap<String, MemberSpec> {
        let mut specs: BTreeMap<String, MemberSpec> =
            self.members.iter().map(|(id, member)| (id.clone(), self.spec(member, id))).collect();
        for (id, update) in &self.updated_members {
            match update {
                None => drop(specs.remove(id)),
                Some(member) => drop(specs.insert(id.clone(), self.spec(member, self.predecessor(id, member)))),
            }
        }
        specs
    }

    /// The member whose target assignment counts for this one: its own, or that of the static member that it replaces.
    fn predecessor<'a>(&'a self, id: &'a str, member: &TargetMember) -> &'a str {
        let before = member.instance_id.as_ref().and_then(|instance| self.static_members.get(instance));
        before.map_or(id, String::as_str)
    }

    fn spec(&self, member: &TargetMember, assigned_to: &str) -> MemberSpec {
        let known = member.subscribed_topics.iter().filter_map(|topic| self.topics.get(topic));
        MemberSpec {
            instance_id: member.instance_id.clone(),
            rack_id: member.rack_id.clone(),
            subscribed_topic_ids: known.map(|topic| topic.topic_id).collect(),
            assignment: self.target_assignment.get(assigned_to).cloned().unwrap_or_default(),
        }
    }
}

/// The partitions in anybody's assignment (`ConsumerGroup.invertedTargetAssignment`).
fn inverted(target_assignment: &GroupAssignment) -> MemberAssignment {
    let mut assigned = MemberAssignment::new();
    for (topic_id, partitions) in target_assignment.values().flatten() {
        assigned.entry(*topic_id).or_default().extend(partitions);
    }
    assigned
}
