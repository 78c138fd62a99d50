//! The assignors against the assignments that Kafka's own tests and documentation expect, one table per assignor, and
//! against properties that hold for all groups.
//!
//! A case reads `topics; members` → `assignment`:
//!
//! ```text
//!   t1 3; t2 2; c1: t1 t2 | t1-0; c2 i=instance r=a g=7: t2     c1 t1-0 t1-1 t1-2; c2 t2-0 t2-1
//!   └ topics with their sizes  └ owned   └ group.instance.id, rack, generation (`g=-`: none is told)
//!   racks a b c rf 2: partition p of the n-th topic has replicas in racks p + n, p + n + 1, … of these
//!   t1 3@0: the topic's first partition begins at the first rack, instead of after the last of the topic before
//! ```
//!
//! An expected assignment that begins with `~` does not say in which order a member's partitions are listed.

mod cooperative;
mod properties;
mod range;
mod round_robin;
mod server_range;
mod sticky;
mod target;
mod uniform;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::client::consumer_protocol::Subscription;
use super::client::{Assignments, Claims, ClientAssignor, LastAssignment, PartitionsPerTopic, Racks};
use super::server::{
    AssignorError, GroupSpec, MemberAssignment, MemberSpec, ServerAssignor, SubscriptionType, TopicSizes,
};
use crate::ids::{Topic, TopicPartition};

/// What is given, and the assignment that is expected.
type Case = (&'static str, &'static str);

fn partition_of(text: &str) -> TopicPartition {
    TopicPartition::from_dir_name(text).unwrap_or_else(|| panic!("{text} is no partition"))
}

#[derive(Debug)]
struct GivenMember {
    id: String,
    instance: Option<String>,
    rack: Option<String>,
    /// `Some(None)`: told that there is none.
    generation: Option<Option<i32>>,
    topics: BTreeSet<Topic>,
    owned: Vec<TopicPartition>,
}

#[derive(Debug, Default)]
struct Given {
    partitions: PartitionsPerTopic,
    members: Vec<GivenMember>,
}

impl Given {
    fn read(text: &str) -> Given {
        let mut given = Given::default();
        let (mut racks, mut replication_factor, mut next) = (Vec::new(), 0, 0);
        for line in text.split(';').map(str::trim) {
            if let Some((head, tail)) = line.split_once(':') {
                given.members.push(GivenMember::read(head, tail));
            } else if let Some(cluster) = line.strip_prefix("racks ") {
                let (names, factor) = cluster.split_once(" rf ").expect("racks … rf n");
                racks = names.split_whitespace().map(str::to_string).collect();
                replication_factor = factor.parse().expect("a replication factor");
            } else {
                let (topic, size) = line.split_once(' ').unwrap_or_else(|| panic!("{line} is no topic with its size"));
                let (size, start) = size.split_once('@').map_or((size, next), |(size, at)| (size, at.parse().unwrap()));
                let size: usize = size.parse().expect("a topic's size");
                let replica = |place: usize| -> Option<String> { racks.get(place % racks.len().max(1)).cloned() };
                let racks_of =
                    |p: usize| -> Racks { (0..replication_factor).filter_map(|r| replica(start + p + r)).collect() };
                given.partitions.insert(Topic::new(topic), (0..size).map(racks_of).collect());
                next += size;
            }
        }
        given
    }

    fn subscriptions(&self, assignor: ClientAssignor) -> BTreeMap<String, Subscription> {
        self.members.iter().map(|member| (member.id.clone(), member.subscription(assignor))).collect()
    }

    fn group(&self) -> GroupSpec {
        let spec = |member: &GivenMember| MemberSpec {
            instance_id: member.instance.clone(),
            rack_id: member.rack.clone(),
            subscribed_topic_ids: member.topics.iter().map(topic_id).collect(),
            assignment: by_id(&member.owned),
        };
        GroupSpec {
            members: self.members.iter().map(|member| (member.id.clone(), spec(member))).collect(),
            subscription_type: SubscriptionType::of(self.members.iter().map(|member| &member.topics)),
            assigned: by_id(&self.members.iter().flat_map(|member| member.owned.clone()).collect::<Vec<_>>()),
        }
    }

    fn sizes(&self) -> TopicSizes {
        self.partitions.iter().map(|(topic, partitions)| (topic_id(topic), partitions.len() as i32)).collect()
    }
}

impl GivenMember {
    fn read(head: &str, tail: &str) -> GivenMember {
        let mut words = head.split_whitespace();
        let id = words.next().expect("a member id").to_string();
        let (mut instance, mut rack, mut generation) = (None, None, None);
        for word in words {
            match word.split_once('=').expect("i=, r= or g=") {
                ("i", value) => instance = Some(value.to_string()),
                ("r", value) => rack = Some(value.to_string()),
                ("g", value) => generation = Some(value.parse().ok()),
                _ => panic!("{word}: members have i=, r= and g="),
            }
        }
        let (topics, owned) = tail.split_once('|').unwrap_or((tail, ""));
        let topics = topics.split_whitespace().map(Topic::new).collect();
        GivenMember {
            id,
            instance,
            rack,
            generation,
            topics,
            owned: owned.split_whitespace().map(partition_of).collect(),
        }
    }

    fn subscription(&self, assignor: ClientAssignor) -> Subscription {
        let topics = self.topics.iter().map(Topic::as_str);
        let generation = self.generation.unwrap_or_else(|| (!self.owned.is_empty()).then_some(1));
        let last = generation.map(|generation| LastAssignment { partitions: self.owned.clone(), generation });
        Subscription {
            user_data: last.and_then(|last| assignor.subscription_user_data(Some(&last))),
            owned_partitions: self.owned.clone(),
            generation_id: generation.filter(|generation| *generation >= 0),
            rack_id: self.rack.clone(),
            group_instance_id: self.instance.clone(),
            ..Subscription::to(topics)
        }
    }
}

/// `c1 t1-0 t1-1; c2` in the notation of the tables.
fn shown(assignments: &Assignments) -> String {
    let member = |(member, partitions): (&String, &Vec<TopicPartition>)| {
        partitions.iter().fold(member.clone(), |line, partition| line + " " + &partition.to_string())
    };
    assignments.iter().map(member).collect::<Vec<_>>().join("; ")
}

fn sorted(mut assignments: Assignments) -> Assignments {
    assignments.values_mut().for_each(|partitions| partitions.sort());
    assignments
}

fn expected_of(text: &str) -> Assignments {
    let member = |line: &str| {
        let mut words = line.split_whitespace();
        let id = words.next().expect("a member id").to_string();
        (id, words.map(partition_of).collect())
    };
    text.split(';').map(member).collect()
}

fn check_clients(assignor: ClientAssignor, cases: &[Case]) {
    for (text, expected) in cases {
        let given = Given::read(text);
        let assigned = assignor.assign(&given.partitions, &given.subscriptions(assignor), Claims::ByGeneration);
        let (expected, assigned) = match expected.strip_prefix('~') {
            Some(expected) => (sorted(expected_of(expected)), sorted(assigned)),
            None => (expected_of(expected), assigned),
        };
        assert_eq!(shown(&assigned), shown(&expected), "{} of: {text}", assignor.name());
    }
}

/// The ids of the topics in Kafka's own tests of its coordinator's assignors: there the order of their hashes counts.
fn topic_id(topic: &Topic) -> Uuid {
    let text = match topic.as_str() {
        "T1" => "T1-A4s3VTwiI5CTbEp6POw",
        "T2" => "T2-B4s3VTwiI5YHbPp6YUe",
        "T3" => "T3-CU8fVTLCz5YMkLoDQsa",
        "T4" => "T4-Tw9fVTLCz5HbPp6YQsa",
        other => return Uuid::from_u128(other.bytes().fold(7_u128, |id, byte| id * 1_000_003 + u128::from(byte))),
    };
    let value = |letter: char| match letter {
        'A'..='Z' => letter as u128 - 'A' as u128,
        'a'..='z' => letter as u128 - 'a' as u128 + 26,
        '0'..='9' => letter as u128 - '0' as u128 + 52,
        '-' => 62,
        _ => 63,
    };
    // 21 letters of six bits and the upper two of the last, as Java's lenient decoder takes them.
    let id = text[..21].chars().fold(0_u128, |id, letter| id << 6 | value(letter));
    Uuid::from_u128(id << 2 | text[21..].chars().map(value).sum::<u128>() >> 4)
}

fn by_id(partitions: &[TopicPartition]) -> MemberAssignment {
    let mut assignment = MemberAssignment::new();
    for partition in partitions {
        assignment.entry(topic_id(&partition.topic)).or_default().insert(partition.partition);
    }
    assignment
}

fn run_server(assignor: ServerAssignor, given: &Given, group: &GroupSpec) -> Result<Assignments, AssignorError> {
    let assigned = assignor.assign(group, &given.sizes())?;
    let name = |topic_id_: &Uuid| given.partitions.keys().find(|topic| topic_id(topic) == *topic_id_).expect("a topic");
    let partitions = |assignment: MemberAssignment| -> Vec<TopicPartition> {
        let of_topic = |(id, partitions): (&Uuid, &BTreeSet<i32>)| {
            partitions.iter().map(|partition| TopicPartition::new(name(id), *partition)).collect::<Vec<_>>()
        };
        assignment.iter().flat_map(of_topic).collect()
    };
    Ok(sorted(assigned.into_iter().map(|(member, assignment)| (member, partitions(assignment))).collect()))
}

fn check_servers(assignor: ServerAssignor, cases: &[Case]) {
    for (text, expected) in cases {
        let given = Given::read(text);
        let assigned = run_server(assignor, &given, &given.group()).unwrap_or_else(|why| panic!("{why}: {text}"));
        assert_eq!(shown(&assigned), shown(&sorted(expected_of(expected))), "{} of: {text}", assignor.name());
    }
}
