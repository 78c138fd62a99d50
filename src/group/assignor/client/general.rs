//! The sticky assignment of a group in which members subscribe to different topics.
//!
//! 1. Members keep what they own and still subscribe to; where racks matter, only what is near.
//! 2. Every other partition goes to the member with fewest that subscribes to its topic, hardest to place first.
//! 3. Partitions move one by one, from members with two more than another that could take them, until none can; where the
//!    result is no better than before step 3, it is taken back.
//!
//! Source: `AbstractStickyAssignor.GeneralAssignmentBuilder`. In one corner Kafka's algorithm fails or assigns wrongly, and
//! this one does not: a partition is not moved back to an earlier owner that no longer takes part or subscribes.

use std::collections::{BTreeMap, BTreeSet};

use super::Assignments;
use super::consumer_protocol::Subscription;
use super::movements::Movements;
use super::racks::{PartitionsPerTopic, RackInfo};
use super::sticky::Ownership;
use super::user_data::{DEFAULT_GENERATION, StickyKind, member_data};
use crate::ids::{Topic, TopicPartition};

/// The owner of a partition in an earlier generation.
struct PreviousOwner<'a> {
    member: &'a str,
    generation: i32,
}

struct Builder<'a> {
    partitions: &'a PartitionsPerTopic,
    racks: &'a RackInfo<'a>,
    /// The members that subscribe to each topic.
    subscribers: BTreeMap<&'a Topic, Vec<&'a str>>,
    /// The topics that each member subscribes to, of those that exist.
    topics: BTreeMap<&'a str, BTreeSet<&'a Topic>>,
    /// What each member has. Members that cannot take part in balancing are set aside for its duration.
    current: BTreeMap<&'a str, Vec<TopicPartition>>,
    /// The member that has each partition.
    owner: BTreeMap<TopicPartition, &'a str>,
    /// The members by how much they have.
    by_load: BTreeSet<(usize, &'a str)>,
    previous: BTreeMap<TopicPartition, PreviousOwner<'a>>,
    movements: Movements,
}

/// The assignment of every member.
pub(super) fn assign<'a>(
    kind: StickyKind,
    partitions: &'a PartitionsPerTopic,
    racks: &'a RackInfo<'a>,
    ownership: Ownership<'a>,
    subscriptions: &'a BTreeMap<String, Subscription>,
) -> Assignments {
    let mut subscribers: BTreeMap<&Topic, Vec<&str>> = partitions.keys().map(|topic| (topic, Vec::new())).collect();
    let mut topics = BTreeMap::new();
    for (member, subscription) in subscriptions {
        let wanted: BTreeSet<&Topic> =
            subscription.topics.iter().filter(|topic| partitions.contains_key(*topic)).collect();
        for topic in &wanted {
            subscribers.entry(topic).or_default().push(member.as_str());
        }
        topics.insert(member.as_str(), wanted);
    }
    let previous = previous_owners(kind, &ownership, subscriptions);
    let mut builder = Builder {
        partitions,
        racks,
        subscribers,
        topics,
        current: ownership.owned,
        owner: BTreeMap::new(),
        by_load: BTreeSet::new(),
        previous,
        movements: Movements::default(),
    };
    let revocation_required = builder.keep_owned();
    builder.by_load = builder.current.iter().map(|(member, has)| (has.len(), *member)).collect();
    builder.balance(revocation_required);
    builder.current.into_iter().map(|(member, has)| (member.to_string(), has)).collect()
}

/// What members of older generations than the highest say they own; the latest counts (`prepopulateCurrentAssignments`).
fn previous_owners<'a>(
    kind: StickyKind,
    ownership: &Ownership<'a>,
    subscriptions: &BTreeMap<String, Subscription>,
) -> BTreeMap<TopicPartition, PreviousOwner<'a>> {
    let mut previous: BTreeMap<TopicPartition, PreviousOwner<'a>> = BTreeMap::new();
    for member in &ownership.order {
        let data = subscriptions.get(*member).map(|subscription| member_data(kind, subscription)).unwrap_or_default();
        let generation = data.generation.unwrap_or(DEFAULT_GENERATION);
        if generation >= ownership.max_generation {
            continue;
        }
        for partition in data.partitions {
            if previous.get(&partition).is_none_or(|known| generation > known.generation) {
                previous.insert(partition, PreviousOwner { member, generation });
            }
        }
    }
    previous
}

impl<'a> Builder<'a> {
    fn subscribers_of(&self, topic: &Topic) -> &[&'a str] {
        self.subscribers.get(topic).map_or(&[], Vec::as_slice)
    }

    fn is_subscribed(&self, member: &str, topic: &Topic) -> bool {
        self.topics.get(member).is_some_and(|topics| topics.contains(topic))
    }

    fn count(&self, member: &str) -> usize {
        self.current.get(member).map_or(0, Vec::len)
    }

    /// Members keep what they may; answers whether any of them loses something by that (`assignOwnedPartitions`).
    fn keep_owned(&mut self) -> bool {
        let mut revocation_required = false;
        for (member, owned) in &mut self.current {
            let wanted = self.topics.get(member);
            let before = owned.len();
            owned.retain(|partition| {
                wanted.is_some_and(|topics| topics.contains(&partition.topic))
                    && !self.racks.mismatch(member, partition)
            });
            revocation_required |= owned.len() < before;
            self.owner.extend(owned.iter().map(|partition| (partition.clone(), *member)));
        }
        revocation_required
    }

    /// All partitions, those of topics with few subscribers first.
    fn all_partitions(&self) -> Vec<TopicPartition> {
        let mut topics: Vec<(&Topic, usize)> = self.partitions.iter().map(|(topic, of)| (topic, of.len())).collect();
        topics.sort_by_key(|(topic, _)| (self.subscribers_of(topic).len(), *topic));
        let of_topic = |(topic, count): (&Topic, usize)| -> Vec<TopicPartition> {
            (0..count as i32).map(|partition| TopicPartition::new(topic, partition)).collect()
        };
        topics.into_iter().flat_map(of_topic).collect()
    }

    fn balance(&mut self, revocation_required: bool) {
        let mut all = self.all_partitions();
        let mut unassigned: Vec<TopicPartition> =
            all.iter().filter(|partition| !self.owner.contains_key(*partition)).cloned().collect();
        // Nobody has anything yet.
        let initializing = self.by_load.last().is_none_or(|(most, _)| *most == 0);

        let mut left = unassigned.clone();
        if self.racks.is_used() {
            left.retain(|partition| !self.assign_to_least_loaded(partition, true));
        }
        for partition in &left {
            self.assign_to_least_loaded(partition, false);
        }

        // Only what several could have can move, and only between those that could have more or lose something.
        all.retain(|partition| self.subscribers_of(&partition.topic).len() >= 2);
        unassigned.retain(|partition| self.subscribers_of(&partition.topic).len() >= 2);
        let fixed: Vec<&str> = self.topics.keys().copied().filter(|member| !self.can_participate(member)).collect();
        let mut set_aside = BTreeMap::new();
        for member in fixed {
            self.by_load.remove(&(self.count(member), member));
            set_aside.extend(self.current.remove_entry(member));
        }

        let before = self.current.clone();
        if !revocation_required {
            self.perform_reassignments(&unassigned);
        }
        let moved = self.perform_reassignments(&all);
        if !initializing && moved && balance_score(&self.current) >= balance_score(&before) {
            self.current = before;
        }
        self.current.append(&mut set_aside);
    }

    /// Gives a partition to the member with fewest that may have it (`maybeAssignPartition`).
    fn assign_to_least_loaded(&mut self, partition: &TopicPartition, only_near: bool) -> bool {
        let may = |member: &str| {
            self.is_subscribed(member, &partition.topic) && !(only_near && self.racks.mismatch(member, partition))
        };
        let Some(&(load, member)) = self.by_load.iter().find(|(_, member)| may(member)) else { return false };
        self.by_load.remove(&(load, member));
        self.by_load.insert((load + 1, member));
        self.current.entry(member).or_default().push(partition.clone());
        self.owner.insert(partition.clone(), member);
        true
    }

    /// All that a member could have (`getMaxAssignmentSize`).
    fn max_assignment_size(&self, member: &str) -> usize {
        let topics = self.topics.get(member).into_iter().flatten();
        topics.filter_map(|topic| self.partitions.get(*topic)).map(Vec::len).sum()
    }

    /// Could a member gain or lose anything (`canConsumerParticipateInReassignment`)?
    fn can_participate(&self, member: &str) -> bool {
        let shared = |partition: &TopicPartition| self.subscribers_of(&partition.topic).len() >= 2;
        self.count(member) < self.max_assignment_size(member)
            || self.current.get(member).is_some_and(|has| has.iter().any(shared))
    }

    /// Is there nobody who could take a partition from a member that has two more?
    fn is_balanced(&self) -> bool {
        let (Some((least, _)), Some((most, _))) = (self.by_load.first(), self.by_load.last()) else { return true };
        if least + 1 >= *most {
            return true;
        }
        let could_take_from = |load: usize, member: &str, partition: &TopicPartition| {
            self.owner.get(partition).is_some_and(|owner| *owner != member && load + 1 < self.count(owner))
        };
        for (load, member) in &self.by_load {
            for topic in self.topics.get(member).into_iter().flatten() {
                let count = self.partitions.get(*topic).map_or(0, Vec::len) as i32;
                let mut partitions = (0..count).map(|partition| TopicPartition::new(topic, partition));
                if partitions.any(|partition| could_take_from(*load, member, &partition)) {
                    return false;
                }
            }
        }
        true
    }

    /// Goes through the partitions, again and again, until no move improves the balance. Answers whether any did.
    fn perform_reassignments(&mut self, partitions: &[TopicPartition]) -> bool {
        let mut performed = false;
        loop {
            let mut modified = false;
            for partition in partitions {
                if self.is_balanced() {
                    break;
                }
                modified |= self.maybe_move(partition);
            }
            performed |= modified;
            if !modified {
                return performed;
            }
        }
    }

    fn maybe_move(&mut self, partition: &TopicPartition) -> bool {
        let Some(&owner) = self.owner.get(partition) else { return false };
        let load = self.count(owner);
        let has_two_fewer = |member: &str| load > self.count(member) + 1;
        if let Some(PreviousOwner { member, .. }) = self.previous.get(partition) {
            let takes_part = self.current.contains_key(member) && self.is_subscribed(member, &partition.topic);
            if takes_part && has_two_fewer(member) {
                self.reassign(partition, member);
                return true;
            }
        }
        // Kafka first looks for such a member near the partition, but moves it to the one with fewest all the same.
        if !self.subscribers_of(&partition.topic).iter().any(|member| has_two_fewer(member)) {
            return false;
        }
        let subscribed = self.by_load.iter().find(|(_, member)| self.is_subscribed(member, &partition.topic));
        let Some(&(_, least_loaded)) = subscribed else { return false };
        self.reassign(partition, least_loaded);
        true
    }

    /// Moves a partition to a member, or the one that came from there before (`reassignPartition`).
    fn reassign(&mut self, partition: &TopicPartition, to: &'a str) {
        let Some(&from) = self.owner.get(partition) else { return };
        let partition = self.movements.actual_partition_to_be_moved(partition, from, to);
        let Some(&from) = self.owner.get(&partition) else { return };
        for member in [from, to] {
            self.by_load.remove(&(self.count(member), member));
        }
        self.movements.moved(&partition, from, to);
        let of_from = self.current.entry(from).or_default();
        if let Some(place) = of_from.iter().position(|has| *has == partition) {
            of_from.remove(place);
        }
        self.current.entry(to).or_default().push(partition.clone());
        self.owner.insert(partition, to);
        for member in [from, to] {
            self.by_load.insert((self.count(member), member));
        }
    }
}

/// The differences between all pairs of members, added up: 0 is perfect (`getBalanceScore`).
fn balance_score(assignment: &BTreeMap<&str, Vec<TopicPartition>>) -> usize {
    let loads: Vec<usize> = assignment.values().map(Vec::len).collect();
    let pairs =
        loads.iter().enumerate().flat_map(|(i, load)| loads[i + 1..].iter().map(move |other| load.abs_diff(*other)));
    pairs.sum()
}
