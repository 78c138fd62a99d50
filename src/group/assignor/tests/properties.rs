//! What holds for every group: each partition once, balance, stickiness, and nobody reading what another still reads.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::{Given, GivenMember, run_server};
use crate::group::assignor::client::{Assignments, Claims, ClientAssignor, without_racks};
use crate::group::assignor::server::ServerAssignor;
use crate::ids::{Topic, TopicPartition};

const TOPICS: [&str; 4] = ["t0", "t1", "t2", "t3"];

/// A group of members that own nothing, of the same topics or of different ones. Racks: some tell one, some do not.
fn group(same_topics: bool) -> impl Strategy<Value = Given> {
    let sizes = vec(1..9_usize, TOPICS.len());
    let member = (btree_set(select(&TOPICS[..]), 1..=TOPICS.len()), 0..4_usize);
    (sizes, vec(member, 1..7), any::<bool>()).prop_map(move |(sizes, members, with_racks)| {
        let mut partitions = without_racks(TOPICS.into_iter().zip(sizes));
        if with_racks {
            let racks = partitions.values_mut().flatten();
            racks.zip(0..).for_each(|(racks, place)| racks.extend([["a", "b", "c"][place % 3].to_string()]));
        }
        let first = members[0].0.clone();
        let given_member = |(place, (topics, rack)): (usize, (BTreeSet<&str>, usize))| GivenMember {
            id: member_id(place),
            instance: None,
            rack: ["a", "b", "c"].get(rack).filter(|_| with_racks).map(|rack| rack.to_string()),
            generation: None,
            topics: if same_topics { &first } else { &topics }.iter().map(|topic| Topic::new(topic)).collect(),
            owned: Vec::new(),
        };
        Given { partitions, members: members.into_iter().enumerate().map(given_member).collect() }
    })
}

/// Ids whose hashes are spread, unlike those of `c1`, `c2`, …
fn member_id(place: usize) -> String {
    format!("consumer-{}-{}", place * 7919 % 31, place)
}

impl Given {
    fn assign(&self, assignor: ClientAssignor) -> Assignments {
        assignor.assign(&self.partitions, &self.subscriptions(assignor), Claims::ByGeneration)
    }

    /// What somebody subscribes to.
    fn wanted(&self) -> BTreeSet<TopicPartition> {
        let topics: BTreeSet<&Topic> = self.members.iter().flat_map(|member| &member.topics).collect();
        let of_topic = |topic: &Topic| {
            let size = self.partitions.get(topic).map_or(0, Vec::len) as i32;
            (0..size).map(|partition| TopicPartition::new(topic, partition)).collect::<Vec<_>>()
        };
        topics.into_iter().flat_map(of_topic).collect()
    }

    /// Members own what they were assigned, in this generation.
    fn settle(&mut self, assignments: &Assignments, generation: i32) {
        for member in &mut self.members {
            member.owned = assignments.get(&member.id).cloned().unwrap_or_default();
            member.generation = Some(Some(generation));
        }
    }

    fn subscribes(&self, member: &str, topic: &Topic) -> bool {
        self.members.iter().any(|other| other.id == member && other.topics.contains(topic))
    }

    fn join(&mut self, topics: BTreeSet<Topic>) -> String {
        let id = format!("newcomer-{}", self.members.len());
        let (instance, rack, generation, owned) = (None, None, None, Vec::new());
        self.members.push(GivenMember { id: id.clone(), instance, rack, generation, topics, owned });
        id
    }
}

/// Every wanted partition has one owner, which subscribes to it.
fn each_once(given: &Given, assignments: &Assignments) -> Result<(), TestCaseError> {
    let all: Vec<&TopicPartition> = assignments.values().flatten().collect();
    let distinct: BTreeSet<TopicPartition> = all.iter().map(|partition| (*partition).clone()).collect();
    prop_assert_eq!(all.len(), distinct.len(), "a partition is assigned twice: {:?}", assignments);
    prop_assert_eq!(distinct, given.wanted());
    for (member, partitions) in assignments {
        for partition in partitions {
            prop_assert!(given.subscribes(member, &partition.topic), "{member} does not subscribe to {partition}");
        }
    }
    Ok(())
}

fn within_one(sizes: impl Iterator<Item = usize> + Clone) -> bool {
    sizes.clone().max().unwrap_or(0) <= sizes.min().unwrap_or(0) + 1
}

/// Nobody could relieve a member that has two more of a topic of which both have some (Kafka's own check of balance).
fn balanced_where_topics_are_shared(assignments: &Assignments) -> Result<(), TestCaseError> {
    let topics = |partitions: &[TopicPartition]| -> BTreeSet<Topic> {
        partitions.iter().map(|partition| partition.topic.clone()).collect()
    };
    for (member, has) in assignments {
        for (other, of_other) in assignments {
            let shared = topics(has).intersection(&topics(of_other)).count();
            prop_assert!(
                has.len() <= of_other.len() + 1 || shared == 0,
                "{member} should give {other} something: {assignments:?}"
            );
        }
    }
    Ok(())
}

/// The partitions that moved, by who had them and who has them.
fn moves(before: &Assignments, after: &Assignments) -> BTreeMap<TopicPartition, (String, String)> {
    let owners = |assignments: &Assignments| -> BTreeMap<TopicPartition, String> {
        let owner = |(member, partitions): (&String, &Vec<TopicPartition>)| {
            partitions.iter().map(|partition| (partition.clone(), member.clone())).collect::<Vec<_>>()
        };
        assignments.iter().flat_map(owner).collect()
    };
    let after = owners(after);
    let moved = owners(before).into_iter().filter_map(|(partition, owner)| {
        let now = after.get(&partition)?.clone();
        (now != owner).then_some((partition, (owner, now)))
    });
    moved.collect()
}

/// A cooperative group, rebalance after rebalance, until nobody is told to give anything up.
fn cooperate(given: &mut Given) -> Result<Assignments, TestCaseError> {
    for generation in 2..8 {
        let assigned = given.assign(ClientAssignor::CooperativeSticky);
        let mut revoked = false;
        for member in &given.members {
            let now = &assigned[&member.id];
            revoked |= member.owned.iter().any(|partition| !now.contains(partition));
            for partition in now.iter().filter(|partition| !member.owned.contains(partition)) {
                // Whoever owns it reads it until this rebalance is over.
                let reader = given.members.iter().find(|other| other.owned.contains(partition));
                prop_assert!(reader.is_none_or(|other| other.id == member.id), "{partition} is still read");
            }
        }
        given.settle(&assigned, generation);
        if !revoked {
            return Ok(assigned);
        }
    }
    Err(TestCaseError::fail("a cooperative group does not come to rest"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_partition_goes_to_one_who_subscribes(given in prop_oneof![group(true), group(false)]) {
        for assignor in ClientAssignor::ALL {
            each_once(&given, &given.assign(assignor))?;
        }
        for assignor in ServerAssignor::ALL {
            each_once(&given, &run_server(assignor, &given, &given.group()).unwrap())?;
        }
    }

    #[test]
    fn members_of_the_same_topics_are_within_one(given in group(true)) {
        for assignor in [ClientAssignor::RoundRobin, ClientAssignor::Sticky, ClientAssignor::CooperativeSticky] {
            prop_assert!(within_one(given.assign(assignor).values().map(Vec::len)), "{}", assignor.name());
        }
        let uniform = run_server(ServerAssignor::Uniform, &given, &given.group()).unwrap();
        prop_assert!(within_one(uniform.values().map(Vec::len)));
        // Range: within one of each topic.
        let ranges = [given.assign(ClientAssignor::Range), run_server(ServerAssignor::Range, &given, &given.group()).unwrap()];
        for (range, topic) in ranges.iter().flat_map(|range| TOPICS.map(|topic| (range, topic))) {
            let of_topic = |partitions: &Vec<TopicPartition>| partitions.iter().filter(|p| p.topic.as_str() == topic).count();
            prop_assert!(within_one(range.values().map(of_topic)), "{topic} of {range:?}");
        }
    }

    #[test]
    fn nothing_moves_when_nothing_changes(mut given in prop_oneof![group(true), group(false)]) {
        for assignor in [ClientAssignor::Sticky, ClientAssignor::CooperativeSticky] {
            let first = given.assign(assignor);
            given.settle(&first, 1);
            let again = given.assign(assignor);
            // Where racks matter, what had to be given far away may find a better place once, for members of all topics.
            let racks = given.members.iter().any(|member| member.rack.is_some());
            prop_assert!(racks || moves(&first, &again).is_empty(), "{}: {first:?} became {again:?}", assignor.name());
            given.members.iter_mut().for_each(|member| member.owned.clear());
        }
        let first = run_server(ServerAssignor::Uniform, &given, &given.group()).unwrap();
        given.settle(&first, 1);
        prop_assert_eq!(&first, &run_server(ServerAssignor::Uniform, &given, &given.group()).unwrap());
    }

    #[test]
    fn a_member_that_joins_takes_and_nobody_else_does(mut given in group(true), leaving in any::<proptest::sample::Index>()) {
        given.members.iter_mut().for_each(|member| member.rack = None);
        let before = given.assign(ClientAssignor::Sticky);
        given.settle(&before, 1);
        let newcomer = given.join(given.members[0].topics.clone());
        let after = given.assign(ClientAssignor::Sticky);
        each_once(&given, &after)?;
        let moved = moves(&before, &after);
        prop_assert!(moved.values().all(|(_, to)| *to == newcomer), "{before:?} became {after:?}");
        prop_assert_eq!(moved.len(), after[&newcomer].len());
        prop_assert_eq!(after[&newcomer].len(), given.wanted().len() / given.members.len(), "no more than its share");

        // One leaves: what it had goes round, and nobody else loses anything.
        given.settle(&after, 2);
        let gone = given.members.remove(leaving.index(given.members.len())).id;
        let rest = given.assign(ClientAssignor::Sticky);
        each_once(&given, &rest)?;
        prop_assert!(moves(&after, &rest).values().all(|(from, _)| *from == gone), "{after:?} became {rest:?}");
    }

    #[test]
    fn uniform_takes_from_a_member_only_what_is_beyond_its_quota(mut given in group(true), newcomers in 0..3) {
        let before = run_server(ServerAssignor::Uniform, &given, &given.group()).unwrap();
        given.settle(&before, 1);
        let topics = given.members[0].topics.clone();
        (0..newcomers).for_each(|_| drop(given.join(topics.clone())));
        let after = run_server(ServerAssignor::Uniform, &given, &given.group()).unwrap();
        each_once(&given, &after)?;
        for (member, had) in &before {
            let kept = had.iter().filter(|partition| after[member].contains(partition)).count();
            prop_assert_eq!(kept, had.len().min(after[member].len()), "{} of {:?} to {:?}", member, &before, &after);
        }
    }

    #[test]
    fn members_of_different_topics_are_balanced_and_stay_so(mut given in group(false), joins in btree_set(select(&TOPICS[..]), 1..4)) {
        given.members.iter_mut().for_each(|member| member.rack = None);
        let before = given.assign(ClientAssignor::Sticky);
        balanced_where_topics_are_shared(&before)?;
        given.settle(&before, 1);
        given.join(joins.into_iter().map(Topic::new).collect());
        let after = given.assign(ClientAssignor::Sticky);
        each_once(&given, &after)?;
        balanced_where_topics_are_shared(&after)?;
        // Of one topic nothing goes from one to another while something else comes back.
        let pairs: BTreeSet<(Topic, String, String)> =
            moves(&before, &after).into_iter().map(|(p, (from, to))| (p.topic, from, to)).collect();
        for (topic, from, to) in &pairs {
            prop_assert!(!pairs.contains(&(topic.clone(), to.clone(), from.clone())), "{topic}: {before:?} became {after:?}");
        }

        let uniform = run_server(ServerAssignor::Uniform, &given, &given.group()).unwrap();
        balanced_where_topics_are_shared(&uniform)?;
    }

    #[test]
    fn a_cooperative_group_never_reads_a_partition_twice(
        mut given in prop_oneof![group(true), group(false)],
        joins in btree_set(select(&TOPICS[..]), 1..4),
        leaving in any::<proptest::sample::Index>(),
    ) {
        let same = given.members.iter().all(|member| member.topics == given.members[0].topics);
        if !same {
            // Where topics differ and nothing is near, what is far from its owner is taken away, and given to another who is
            // as far, in each rebalance: Kafka's `GeneralAssignmentBuilder.assignOwnedPartitions` does so too.
            given.members.iter_mut().for_each(|member| member.rack = None);
        }
        let first = cooperate(&mut given)?;
        each_once(&given, &first)?;
        let topics = if same { given.members[0].topics.clone() } else { joins.into_iter().map(Topic::new).collect() };
        given.join(topics);
        let second = cooperate(&mut given)?;
        each_once(&given, &second)?;
        given.members.remove(leaving.index(given.members.len()));
        let third = cooperate(&mut given)?;
        each_once(&given, &third)?;
        if same {
            prop_assert!(within_one(third.values().map(Vec::len)), "{third:?}");
        }
    }

    #[test]
    fn a_cooperative_group_comes_to_rest_whatever_its_members_claim(
        mut given in group(true),
        different in group(false),
        claims in vec((0..6_usize, 0..6_i32, vec((select(&TOPICS[..]), 0..12_i32), 0..8)), 0..6),
    ) {
        // Members that missed rebalances claim what others own, and what does not exist.
        let mut different = different;
        for (place, generation, claimed) in claims {
            for group in [&mut given, &mut different] {
                let count = group.members.len();
                let member = &mut group.members[place % count];
                let partition = |(topic, partition): &(&str, i32)| TopicPartition::new(&Topic::new(topic), *partition);
                member.owned = claimed.iter().map(partition).collect();
                member.generation = Some(Some(generation - 1));
            }
        }
        for (group, assignor) in [
            (&given, ClientAssignor::CooperativeSticky),
            (&given, ClientAssignor::Sticky),
            (&different, ClientAssignor::CooperativeSticky),
            (&different, ClientAssignor::Sticky),
        ] {
            // Believing the highest generation alone may take what others read, but comes to an end.
            assignor.assign(&group.partitions, &group.subscriptions(assignor), Claims::OfHighestGeneration);
            let assigned = group.assign(assignor);
            let all: Vec<&TopicPartition> = assigned.values().flatten().collect();
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{}: {:?}", assignor.name(), &assigned);
        }
        let assigned = given.assign(ClientAssignor::CooperativeSticky);
        given.settle(&assigned, 9);
        let rest = cooperate(&mut given)?;
        each_once(&given, &rest)?;
        prop_assert!(within_one(rest.values().map(Vec::len)));
    }
}
