//! `roundrobin`: all partitions of all topics in order, dealt to the members in turn; who does not subscribe is passed over.
//!
//! Source: `org.apache.kafka.clients.consumer.RoundRobinAssignor`.

use std::collections::{BTreeMap, BTreeSet};

use super::consumer_protocol::Subscription;
use super::racks::PartitionsPerTopic;
use super::{Assignments, members_in_order};
use crate::ids::{Topic, TopicPartition};

/// The assignment of every member (`RoundRobinAssignor.assign`).
pub(super) fn assign(partitions: &PartitionsPerTopic, subscriptions: &BTreeMap<String, Subscription>) -> Assignments {
    let mut assignments: Assignments = subscriptions.keys().map(|member| (member.clone(), Vec::new())).collect();
    let members = members_in_order(subscriptions);
    let topics: BTreeSet<&Topic> = subscriptions.values().flat_map(|subscription| &subscription.topics).collect();
    let mut turn = 0;
    for topic in topics {
        for partition in 0..partitions.get(topic).map_or(0, Vec::len) {
            // Somebody subscribes to it: the topic comes from a subscription.
            while !members[turn].1.topics.contains(topic) {
                turn = (turn + 1) % members.len();
            }
            if let Some(assigned) = assignments.get_mut(members[turn].0) {
                assigned.push(TopicPartition::new(topic, partition as i32));
            }
            turn = (turn + 1) % members.len();
        }
    }
    assignments
}
