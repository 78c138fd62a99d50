//! `range` of the coordinator: per topic, consecutive partitions for each member, the first members one more.
//!
//! Members with a `group.instance.id` come first, by that, so that a static member that returns under a new member id gets
//! the same. What was assigned before does not count. Source: `org.apache.kafka.coordinator.group.assignor.RangeAssignor`.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    AssignorError, GroupAssignment, GroupSpec, MemberAssignment, MemberSpec, SubscriptionType, TopicSizes, size_of,
};

/// A topic of which a range after the other is given away.
struct TopicRanges {
    partitions: i32,
    members: i32,
    next: i32,
    given: i32,
}

impl TopicRanges {
    /// The next member's partitions (`addPartitionsToAssignment`).
    fn next_range(&mut self) -> std::ops::Range<i32> {
        let one_more = self.partitions % self.members;
        let quota = self.partitions / self.members + i32::from(self.given < one_more);
        self.given += 1;
        let start = self.next;
        self.next = (start + quota).min(self.partitions);
        start..self.next
    }
}

/// Static members by `group.instance.id`, then the others by member id (`sortMemberIds`).
fn sorted(group: &GroupSpec) -> Vec<(&str, &MemberSpec)> {
    let mut members: Vec<_> = group.members.iter().map(|(id, of)| (id.as_str(), of)).collect();
    members.sort_by_key(|(id, of)| (of.instance_id.is_none(), of.instance_id.as_deref(), *id));
    members
}

/// The new assignment of the group. In a homogeneous group everybody is taken to subscribe to what the first one does.
pub(super) fn assign(group: &GroupSpec, topics: &TopicSizes) -> Result<GroupAssignment, AssignorError> {
    let members = sorted(group);
    let Some((_, first)) = members.first() else { return Ok(GroupAssignment::new()) };
    let wanted = |member: &MemberSpec| match group.subscription_type {
        SubscriptionType::Homogeneous => first.subscribed_topic_ids.clone(),
        SubscriptionType::Heterogeneous => member.subscribed_topic_ids.clone(),
    };
    let mut ranges: BTreeMap<Uuid, TopicRanges> = BTreeMap::new();
    for (_, member) in &members {
        for topic_id in wanted(member) {
            let partitions = size_of(topics, topic_id)?;
            let unseen = TopicRanges { partitions, members: 0, next: 0, given: 0 };
            ranges.entry(topic_id).or_insert(unseen).members += 1;
        }
    }
    let mut assignments = GroupAssignment::new();
    for (id, member) in &members {
        let mut assignment = MemberAssignment::new();
        for topic_id in wanted(member) {
            let range = ranges.get_mut(&topic_id).map_or(0..0, TopicRanges::next_range);
            if !range.is_empty() {
                assignment.insert(topic_id, range.collect());
            }
        }
        assignments.insert(id.to_string(), assignment);
    }
    Ok(assignments)
}
