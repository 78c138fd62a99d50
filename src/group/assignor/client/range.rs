//! `range`: per topic, consecutive partitions for each member, the first members one more where it does not divide evenly.
//!
//! Topics with as many partitions and the same members are co-partitioned: a member gets the same partitions of each.
//! Where racks matter (KIP-881), partitions are given first to members that are near, under the same quotas, and
//! co-partitioning goes before nearness. Source: `org.apache.kafka.clients.consumer.RangeAssignor`.

use std::collections::{BTreeMap, BTreeSet};

use super::consumer_protocol::Subscription;
use super::racks::{PartitionsPerTopic, Racks, rack_of, use_rack_aware_assignment};
use super::{Assignments, members_in_order};
use crate::ids::{Topic, TopicPartition};

/// A member that subscribes to a topic, and its rack.
type Consumer<'a> = (&'a str, Option<&'a str>);

/// One topic on its way to being assigned (`RangeAssignor.TopicAssignmentState`).
struct TopicState<'a> {
    topic: &'a Topic,
    /// The members that subscribe to it, static ones first, each with its rack.
    consumers: Vec<Consumer<'a>>,
    needs_rack_aware_assignment: bool,
    /// Empty where no consumer tells a rack.
    partition_racks: &'a [Racks],
    unassigned: BTreeSet<i32>,
    assigned: BTreeMap<&'a str, i32>,
    partitions_per_consumer: i32,
    consumers_with_one_more: i32,
}

impl<'a> TopicState<'a> {
    fn new(topic: &'a Topic, partitions: &'a [Racks], consumers: Vec<Consumer<'a>>) -> Self {
        let racks: BTreeSet<&str> = consumers.iter().filter_map(|(_, rack)| *rack).collect();
        let (count, among) = (partitions.len() as i32, consumers.len() as i32);
        TopicState {
            topic,
            needs_rack_aware_assignment: use_rack_aware_assignment(&racks, partitions.iter()),
            partition_racks: if racks.is_empty() { &[] } else { partitions },
            unassigned: (0..count).collect(),
            assigned: consumers.iter().map(|(consumer, _)| (*consumer, 0)).collect(),
            partitions_per_consumer: count.checked_div(among).unwrap_or(0),
            consumers_with_one_more: count.checked_rem(among).unwrap_or(0),
            consumers,
        }
    }

    /// May the consumer read the partition nearby? One that tells no rack is near to all.
    fn racks_match(&self, consumer: Consumer<'_>, partition: i32) -> bool {
        consumer.1.is_none_or(|rack| self.partition_racks.get(partition as usize).is_some_and(|of| of.contains(rack)))
    }

    /// How many more the consumer may get.
    fn max_assignable(&self, consumer: &str) -> i32 {
        let quota = self.partitions_per_consumer + i32::from(self.consumers_with_one_more > 0);
        (quota - self.assigned.get(consumer).copied().unwrap_or(0)).max(0)
    }

    fn assign(&mut self, consumer: &'a str, partitions: &[i32], assignments: &mut Assignments) {
        let assigned = self.assigned.entry(consumer).or_insert(0);
        *assigned += partitions.len() as i32;
        if *assigned > self.partitions_per_consumer {
            self.consumers_with_one_more -= 1;
        }
        for partition in partitions {
            self.unassigned.remove(partition);
            if let Some(of_consumer) = assignments.get_mut(consumer) {
                of_consumer.push(TopicPartition::new(self.topic, *partition));
            }
        }
    }

    /// Consumer by consumer, the first partitions that it may have, up to its quota.
    fn assign_ranges(&mut self, only_near: bool, assignments: &mut Assignments) {
        for consumer in self.consumers.clone() {
            let may = |partition: &i32| !only_near || self.racks_match(consumer, *partition);
            let quota = self.max_assignable(consumer.0) as usize;
            let range: Vec<i32> = self.unassigned.iter().copied().filter(may).take(quota).collect();
            if !range.is_empty() {
                self.assign(consumer.0, &range, assignments);
            }
        }
    }
}

/// The assignment of every member (`RangeAssignor.assignPartitions`).
pub(super) fn assign(partitions: &PartitionsPerTopic, subscriptions: &BTreeMap<String, Subscription>) -> Assignments {
    let members = members_in_order(subscriptions);
    let mut states = Vec::new();
    for (topic, of_topic) in partitions.iter().filter(|(_, partitions)| !partitions.is_empty()) {
        let subscribed = members.iter().filter(|(_, subscription)| subscription.topics.contains(topic));
        let consumers = subscribed.map(|(member, subscription)| (*member, rack_of(subscription))).collect();
        states.push(TopicState::new(topic, of_topic, consumers));
    }
    let mut assignments: Assignments = subscriptions.keys().map(|member| (member.clone(), Vec::new())).collect();
    let racks_matter = states.iter().any(|state| state.needs_rack_aware_assignment);
    if racks_matter {
        assign_with_rack_matching(&mut states, &mut assignments);
    }
    states.iter_mut().for_each(|state| state.assign_ranges(false, &mut assignments));
    if racks_matter {
        assignments.values_mut().for_each(|partitions| partitions.sort());
    }
    assignments
}

/// Gives partitions to members that are near (`RangeAssignor.assignWithRackMatching`).
fn assign_with_rack_matching<'a>(states: &mut [TopicState<'a>], assignments: &mut Assignments) {
    // Co-partitioned are topics with the same consumers and as many partitions.
    let mut groups: BTreeMap<(Vec<Consumer<'a>>, usize), Vec<&mut TopicState<'a>>> = BTreeMap::new();
    for state in states {
        groups.entry((state.consumers.clone(), state.partition_racks.len())).or_default().push(state);
    }
    for ((consumers, partitions), mut group) in groups {
        match group.as_mut_slice() {
            [alone] if alone.needs_rack_aware_assignment => alone.assign_ranges(true, assignments),
            [_alone] => {}
            together => assign_co_partitioned(consumers, partitions as i32, together, assignments),
        }
    }
}

/// A partition goes to the first member that is near to it in every one of the topics
/// (`RangeAssignor.assignCoPartitionedWithRackMatching`).
fn assign_co_partitioned<'a>(
    mut remaining: Vec<Consumer<'a>>,
    partitions: i32,
    states: &mut [&mut TopicState<'a>],
    assignments: &mut Assignments,
) {
    for partition in 0..partitions {
        let near = |consumer: &Consumer<'_>| {
            let takes = |state: &&mut TopicState<'_>| {
                state.racks_match(*consumer, partition) && state.max_assignable(consumer.0) > 0
            };
            states.iter().all(takes)
        };
        let Some(consumer) = remaining.iter().copied().find(near) else { continue };
        states.iter_mut().for_each(|state| state.assign(consumer.0, &[partition], assignments));
        if states.iter().all(|state| state.max_assignable(consumer.0) == 0) {
            remaining.retain(|other| *other != consumer);
        }
    }
}
