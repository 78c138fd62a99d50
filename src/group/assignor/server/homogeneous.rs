//! `uniform`, for a group in which everybody subscribes to the same topics.
//!
//! With P partitions and N members everybody gets ⌊P/N⌋ and the first P mod N members one more, in the order in which Kafka's
//! hash map walks over them, whatever they had. Members keep what they have up to that, and what is left fills them up one
//! after the other. Source: `UniformHomogeneousAssignmentBuilder`.
//!
//! Which partitions a member beyond its quota gives up is decided topic by topic, in Kafka by the order of another hash
//! map, whose size depends on its history; here topics are taken by id.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{AssignorError, GroupAssignment, GroupSpec, MemberAssignment, TopicSizes, size_of};
use crate::group::assignor::java_order;

/// A member that may still get `quota` partitions.
struct Unfilled<'a> {
    member: &'a str,
    quota: i32,
}

/// The new assignment of the group.
pub(super) fn assign(group: &GroupSpec, topics: &TopicSizes) -> Result<GroupAssignment, AssignorError> {
    let members = group.members_in_order();
    let Some((_, first)) = members.first() else { return Ok(GroupAssignment::new()) };
    let subscribed = &first.subscribed_topic_ids;
    if subscribed.is_empty() {
        return Ok(GroupAssignment::new());
    }
    let mut unassigned: Vec<(Uuid, i32)> = Vec::new();
    let mut total = 0;
    for topic_id in java_order::copied_set(subscribed.iter().copied()) {
        let partitions = size_of(topics, topic_id)?;
        let free = (0..partitions).filter(|partition| !group.is_assigned(topic_id, *partition));
        unassigned.extend(free.map(|partition| (topic_id, partition)));
        total += partitions;
    }
    let among = members.len() as i32;
    let (min_quota, with_one_more) = (total / among, total % among);

    let mut assignments = GroupAssignment::new();
    let mut unfilled = Vec::new();
    for ((member, spec), place) in members.into_iter().zip(0..) {
        let mut quota = min_quota + i32::from(place < with_one_more);
        let mut kept = MemberAssignment::new();
        for (topic_id, partitions) in spec.assignment.iter().filter(|(topic_id, _)| subscribed.contains(*topic_id)) {
            let mut partitions = partitions.iter().copied();
            let keeps: BTreeSet<i32> = partitions.by_ref().take(quota.max(0) as usize).collect();
            quota -= keeps.len() as i32;
            unassigned.extend(partitions.map(|given_up| (*topic_id, given_up)));
            if !keeps.is_empty() {
                kept.insert(*topic_id, keeps);
            }
        }
        assignments.insert(member.to_string(), kept);
        if quota > 0 {
            unfilled.push(Unfilled { member, quota });
        }
    }
    fill(unfilled, unassigned, &mut assignments)?;
    Ok(assignments)
}

/// Member by member, up to its quota (`assignRemainingPartitions`).
fn fill(
    unfilled: Vec<Unfilled<'_>>,
    unassigned: Vec<(Uuid, i32)>,
    assignments: &mut GroupAssignment,
) -> Result<(), AssignorError> {
    let mut unassigned = unassigned.into_iter();
    for Unfilled { member, quota } in unfilled {
        let assignment = assignments.entry(member.to_string()).or_default();
        for (topic_id, partition) in unassigned.by_ref().take(quota as usize) {
            assignment.entry(topic_id).or_default().insert(partition);
        }
    }
    match unassigned.len() {
        0 => Ok(()),
        count => Err(AssignorError::LeftUnassigned { count: count as i32 }),
    }
}
