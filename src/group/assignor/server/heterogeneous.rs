//! `uniform`, for a group whose members subscribe to different topics.
//!
//! 1. Members keep what they have of the topics that they still subscribe to.
//! 2. Topic by topic, most partitions per subscriber first, what nobody has goes to the subscribers with least.
//! 3. Topic by topic, again and again until a whole round changes nothing, partitions go from its subscribers with most to
//!    those with least. At most 16 rounds: overlapping subscriptions may take long, and every round about halves what is
//!    uneven, so that the result is nearly balanced.
//!
//! Source: `UniformHeterogeneousAssignmentBuilder`. Kafka compares partitions per subscriber as floating-point numbers; here
//! the fractions are compared exactly. Partitions beyond the last of a topic are given up, on which Kafka would fail.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::balancer::Balancer;
use super::{AssignorError, GroupAssignment, GroupSpec, MemberAssignment, TopicSizes, size_of};

/// Rounds of balancing, at most.
const MAX_ITERATION_COUNT: usize = 16;

/// A subscribed topic on its way to being assigned.
struct TopicState {
    topic_id: Uuid,
    /// The places of the members that subscribe to it.
    subscribers: Vec<usize>,
    /// For each partition the place of the member that has it.
    owners: Vec<Option<usize>>,
}

/// The new assignment of the group.
pub(super) fn assign(group: &GroupSpec, topics: &TopicSizes) -> Result<GroupAssignment, AssignorError> {
    let members = group.members_in_order();
    let mut states: BTreeMap<Uuid, TopicState> = BTreeMap::new();
    for ((_, spec), place) in members.iter().zip(0..) {
        for topic_id in &spec.subscribed_topic_ids {
            let partitions = size_of(topics, *topic_id)?;
            let owners = vec![None; partitions.max(0) as usize];
            let unseen = TopicState { topic_id: *topic_id, subscribers: Vec::new(), owners };
            states.entry(*topic_id).or_insert(unseen).subscribers.push(place);
        }
    }
    if states.is_empty() {
        return Ok(GroupAssignment::new());
    }
    let mut loads = vec![0; members.len()];
    for ((_, spec), place) in members.iter().zip(0..) {
        keep_subscribed(place, &spec.assignment, &spec.subscribed_topic_ids, &mut states, &mut loads);
    }
    let mut states: Vec<TopicState> = states.into_values().collect();
    sort_topics(&mut states);
    states.iter_mut().for_each(|state| assign_remaining(state, &mut loads));
    balance_topics(&mut states, &mut loads);

    let mut assignments: GroupAssignment =
        members.iter().map(|(member, _)| (member.to_string(), MemberAssignment::new())).collect();
    for state in states {
        for (owner, partition) in state.owners.into_iter().zip(0..) {
            let Some((member, _)) = owner.and_then(|place| members.get(place)) else { continue };
            let assignment = assignments.entry(member.to_string()).or_default();
            assignment.entry(state.topic_id).or_default().insert(partition);
        }
    }
    Ok(assignments)
}

/// A member keeps what it subscribes to (`maybeRevokePartitions`).
fn keep_subscribed(
    place: usize,
    assignment: &MemberAssignment,
    subscribed: &BTreeSet<Uuid>,
    states: &mut BTreeMap<Uuid, TopicState>,
    loads: &mut [i32],
) {
    for (topic_id, partitions) in assignment.iter().filter(|(topic_id, _)| subscribed.contains(*topic_id)) {
        let Some(state) = states.get_mut(topic_id) else { continue };
        for partition in partitions {
            let owner = usize::try_from(*partition).ok().and_then(|partition| state.owners.get_mut(partition));
            if let Some(owner) = owner {
                *owner = Some(place);
                loads[place] += 1;
            }
        }
    }
}

/// Most partitions per subscriber first, then fewest subscribers, then by id as Java compares it: by signed halves.
fn sort_topics(states: &mut [TopicState]) {
    states.sort_by(|a, b| {
        let (partitions_a, partitions_b) = (a.owners.len() as u64, b.owners.len() as u64);
        let (subscribers_a, subscribers_b) = (a.subscribers.len() as u64, b.subscribers.len() as u64);
        let per_subscriber = (partitions_b * subscribers_a).cmp(&(partitions_a * subscribers_b));
        let halves = |topic_id: Uuid| {
            let (most, least) = topic_id.as_u64_pair();
            (most as i64, least as i64)
        };
        per_subscriber.then(subscribers_a.cmp(&subscribers_b)).then_with(|| halves(a.topic_id).cmp(&halves(b.topic_id)))
    });
}

/// What nobody has goes to the subscribers with least (`assignRemainingPartitions`).
fn assign_remaining(state: &mut TopicState, loads: &mut [i32]) {
    if state.owners.iter().all(Option::is_some) {
        return;
    }
    let mut balancer = Balancer::new(&state.subscribers, loads);
    for owner in state.owners.iter_mut().filter(|owner| owner.is_none()) {
        let member = balancer.next_least_loaded(loads);
        *owner = Some(member);
        loads[member] += 1;
    }
}

/// Round after round, until every topic was looked at since the last move (`balanceTopics`).
fn balance_topics(states: &mut [TopicState], loads: &mut [i32]) {
    // A topic with one subscriber has nowhere to go.
    let mut shared: Vec<&mut TopicState> = states.iter_mut().filter(|state| state.subscribers.len() >= 2).collect();
    let mut last_rebalanced = None;
    for _ in 0..MAX_ITERATION_COUNT {
        for (place, state) in shared.iter_mut().enumerate() {
            if last_rebalanced == Some(place) {
                return;
            }
            let moved = balance_topic(state, loads);
            if moved || last_rebalanced.is_none() {
                last_rebalanced = Some(place);
            }
        }
    }
}

/// Partitions of one topic go from its subscribers with most to those with least, from each its last first
/// (`balanceTopic`). Answers whether any did.
fn balance_topic(state: &mut TopicState, loads: &mut [i32]) -> bool {
    let mut balancer = Balancer::new(&state.subscribers, loads);
    if balancer.imbalance() <= 1 {
        return false;
    }
    // What each subscriber had when this began; what it gets meanwhile is not given on.
    let mut to_give: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (partition, owner) in state.owners.iter().enumerate() {
        if let Some(owner) = owner {
            to_give.entry(*owner).or_default().push(partition);
        }
    }
    let mut moved = false;
    loop {
        let Some(from) = balancer.next_most_loaded(loads) else { return moved };
        let Some(partition) = to_give.get_mut(&from).and_then(Vec::pop) else {
            balancer.exclude_most_loaded();
            continue;
        };
        let to = balancer.next_least_loaded(loads);
        if balancer.is_balanced() {
            return moved;
        }
        state.owners[partition] = Some(to);
        loads[from] -= 1;
        loads[to] += 1;
        moved = true;
    }
}
