//! The target assignment: who gets a record, and who takes over from whom.

use std::collections::{BTreeMap, BTreeSet};

use super::{by_id, partition_of, topic_id};
use crate::group::assignor::server::target::{TargetAssignmentBuilder, TargetMember, TopicMetadata};
use crate::group::assignor::server::{GroupAssignment, MemberAssignment, ServerAssignor, SubscriptionType};
use crate::ids::Topic;

fn member(instance: Option<&str>) -> TargetMember {
    // Nobody knows T9.
    let subscribed_topics = ["T1", "T2", "T9"].map(Topic::new).into();
    TargetMember { instance_id: instance.map(str::to_string), rack_id: None, subscribed_topics }
}

fn assignment(partitions: &str) -> MemberAssignment {
    by_id(&partitions.split_whitespace().map(partition_of).collect::<Vec<_>>())
}

/// Members m1, m2, … with their target assignments; T1 and T2 have six partitions each.
fn group(members: &[(&str, &str)]) -> TargetAssignmentBuilder {
    let metadata = |topic: &str| {
        let topic = Topic::new(topic);
        let metadata = TopicMetadata { topic_id: topic_id(&topic), partitions: 6 };
        (topic, metadata)
    };
    TargetAssignmentBuilder {
        assignor: ServerAssignor::Uniform,
        subscription_type: SubscriptionType::Homogeneous,
        members: members.iter().map(|(id, _)| (id.to_string(), member(Some(id)))).collect(),
        updated_members: BTreeMap::new(),
        static_members: members.iter().map(|(id, _)| (id.to_string(), id.to_string())).collect(),
        target_assignment: members.iter().map(|(id, has)| (id.to_string(), assignment(has))).collect(),
        topics: ["T1", "T2"].map(metadata).into(),
    }
}

fn sizes(assignment: &GroupAssignment) -> Vec<usize> {
    assignment.values().map(|of_member| of_member.values().map(BTreeSet::len).sum()).collect()
}

const HALVES: [(&str, &str); 2] = [("m1", "T1-0 T1-1 T1-2 T2-0 T2-1 T2-2"), ("m2", "T1-3 T1-4 T1-5 T2-3 T2-4 T2-5")];

const THIRDS: [(&str, &str); 3] =
    [("m1", "T1-0 T1-1 T2-0 T2-1"), ("m2", "T1-2 T1-3 T2-2 T2-3"), ("m3", "T1-4 T1-5 T2-4 T2-5")];

#[test]
fn an_empty_group_has_nothing_to_assign() {
    let target = group(&[]).build().unwrap();
    assert!(target.members.is_empty() && target.changed.is_empty());
}

#[test]
fn nobody_gets_a_record_when_nothing_changed() {
    let target = group(&HALVES).build().unwrap();
    assert_eq!(target.members, group(&HALVES).target_assignment);
    assert!(target.changed.is_empty(), "{:?}", target.changed);
}

#[test]
fn a_member_that_joins_takes_from_all_and_all_get_records() {
    let mut builder = group(&HALVES);
    builder.updated_members.insert("m3".to_string(), Some(member(None)));
    let target = builder.build().unwrap();
    assert_eq!(sizes(&target.members), [4, 4, 4]);
    assert_eq!(target.changed, BTreeSet::from(["m1", "m2", "m3"].map(str::to_string)));
}

#[test]
fn a_member_that_joins_and_gets_nothing_gets_a_record_of_that() {
    let mut builder = group(&[("m1", "T1-0")]);
    builder.topics.retain(|topic, _| topic.as_str() == "T1");
    builder.topics.values_mut().for_each(|topic| topic.partitions = 1);
    builder.updated_members.insert("m2".to_string(), Some(member(None)));
    let target = builder.build().unwrap();
    assert_eq!(sizes(&target.members), [1, 0]);
    assert_eq!(target.changed, BTreeSet::from(["m2".to_string()]));
}

#[test]
fn a_static_member_that_returns_takes_over_and_only_it_gets_a_record() {
    let mut builder = group(&THIRDS);
    builder.updated_members.insert("m3".to_string(), None);
    builder.updated_members.insert("m3-again".to_string(), Some(member(Some("m3"))));
    let target = builder.build().unwrap();
    assert_eq!(target.members["m3-again"], assignment(THIRDS[2].1));
    assert_eq!(target.changed, BTreeSet::from(["m3-again".to_string()]));
    assert!(!target.members.contains_key("m3"));
}

#[test]
fn what_a_member_that_left_was_to_have_goes_round_once_its_target_is_gone() {
    let mut builder = group(&THIRDS);
    builder.updated_members.insert("m3".to_string(), None);
    // Kafka deletes its target assignment with the member; as long as it stands, its partitions count as assigned.
    assert_eq!(sizes(&builder.build().unwrap().members), [4, 4]);
    builder.target_assignment.remove("m3");
    let target = builder.build().unwrap();
    assert_eq!(sizes(&target.members), [6, 6]);
    assert_eq!(target.changed, BTreeSet::from(["m1", "m2"].map(str::to_string)));
}

#[test]
fn a_group_is_homogeneous_when_all_ask_for_the_same_existing_or_not() {
    let topics = |names: &[&str]| -> BTreeSet<Topic> { names.iter().map(|name| Topic::new(name)).collect() };
    let of = |members: &[BTreeSet<Topic>]| SubscriptionType::of(members);
    assert_eq!(of(&[]), SubscriptionType::Homogeneous);
    assert_eq!(of(&[topics(&["T1", "T2"]), topics(&["T2", "T1"])]), SubscriptionType::Homogeneous);
    assert_eq!(of(&[topics(&["T1"]), topics(&["T1", "T9"])]), SubscriptionType::Heterogeneous);
}
