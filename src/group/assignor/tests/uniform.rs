//! `uniform`, as `OptimizedUniformAssignmentBuilderTest` and `UniformHeterogeneousAssignmentBuilderTest` expect it.

use super::{Case, Given, check_servers, run_server, shown, topic_id};
use crate::group::assignor::server::{AssignorError, ServerAssignor, SubscriptionType};
use crate::ids::Topic;

/// Everybody subscribes to the same. Topics are filled in in the order of their ids' hashes: T3, T2, T1.
const HOMOGENEOUS: &[Case] = &[
    ("T1 3; T3 2; A: T1 T3; B: T1 T3", "A T1-0 T3-0 T3-1; B T1-1 T1-2"),
    ("T3 2; A: T3; B: T3; C: T3", "A T3-0; B T3-1; C"),
    // A has more than its share.
    ("T1 3; T2 3; A: T1 T2 | T1-0 T1-1 T2-0 T2-1; B: T1 T2 | T1-2 T2-2", "A T1-0 T1-1 T2-0; B T1-2 T2-1 T2-2"),
    // Partitions are added.
    (
        "T1 6; T2 5; A: T1 T2 | T1-0 T1-2 T2-0; B: T1 T2 | T1-1 T2-1 T2-2",
        "A T1-0 T1-2 T1-3 T2-0 T2-3 T2-4; B T1-1 T1-4 T1-5 T2-1 T2-2",
    ),
    // C joins.
    (
        "T1 3; T2 3; A: T1 T2 | T1-0 T1-2 T2-0; B: T1 T2 | T1-1 T2-1 T2-2; C: T1 T2",
        "A T1-0 T1-2; B T1-1 T2-1; C T2-0 T2-2",
    ),
    // C has left.
    ("T1 3; T2 3; A: T1 T2 | T1-0 T2-0; B: T1 T2 | T1-1 T2-1", "A T1-0 T2-0 T2-2; B T1-1 T1-2 T2-1"),
    // Nobody subscribes to T1 any more.
    ("T1 2; T2 2; A: T2 | T1-0 T2-0; B: T2 | T1-1 T2-1", "A T2-0; B T2-1"),
];

/// Members subscribe to different topics.
const HETEROGENEOUS: &[Case] = &[
    ("T1 3; T3 6; A: T1 T3; B: T3", "A T1-0 T1-1 T1-2 T3-4; B T3-0 T3-1 T3-2 T3-3 T3-5"),
    ("T1 2; T3 1; A: T3; B: T3; C: T1", "A T3-0; B; C T1-0 T1-1"),
    (
        "T1 6; T2 4; T3 4; A: T1 | T1-0 T1-1 T1-2; B: T1 T2 | T1-3 T2-0; \
         C: T1 T2 T3 | T1-4 T1-5 T2-1 T2-2 T2-3 T3-0 T3-1 T3-2 T3-3",
        "A T1-0 T1-1 T1-2 T1-5; B T1-3 T2-0 T2-1 T2-2 T2-3; C T1-4 T3-0 T3-1 T3-2 T3-3",
    ),
    // Partitions are added.
    (
        "T1 6; T2 5; T3 3; T4 3; A: T1 T3 | T1-0 T1-1 T1-2 T1-3 T3-0 T3-1; \
         B: T1 T2 T3 T4 | T2-0 T2-1 T2-2 T4-0 T4-1 T4-2",
        "A T1-0 T1-1 T1-2 T1-3 T1-4 T1-5 T3-0 T3-1 T3-2; B T2-0 T2-1 T2-2 T2-3 T2-4 T4-0 T4-1 T4-2",
    ),
    // C joins, A has given up T2, and partitions are added.
    (
        "T1 6; T2 7; A: T1 | T1-0 T1-2 T2-0; B: T1 T2 | T1-1 T2-1 T2-2; C: T1 T2",
        "A T1-0 T1-2 T1-3 T1-4 T1-5; B T1-1 T2-1 T2-2 T2-6; C T2-0 T2-3 T2-4 T2-5",
    ),
    // C has left.
    (
        "T1 3; T2 8; T3 3; A: T1 T3 | T1-0 T1-1 T1-2 T3-0 T3-1; B: T2 | T2-3 T2-4 T2-5 T2-6",
        "A T1-0 T1-1 T1-2 T3-0 T3-1 T3-2; B T2-0 T2-1 T2-2 T2-3 T2-4 T2-5 T2-6 T2-7",
    ),
    // A gives up T2.
    (
        "T1 3; T2 5; A: T1 | T1-0 T1-2 T2-1 T2-3; B: T1 T2 | T1-1 T2-0 T2-2 T2-4",
        "A T1-0 T1-1 T1-2; B T2-0 T2-1 T2-2 T2-3 T2-4",
    ),
    // Somebody subscribes to nothing.
    ("T1 3; A: T1; B:", "A T1-0 T1-1 T1-2; B"),
];

#[test]
fn everybody_gets_as_much_and_keeps_what_it_may() {
    check_servers(ServerAssignor::Uniform, HOMOGENEOUS);
}

#[test]
fn members_of_different_topics_are_balanced_topic_by_topic() {
    check_servers(ServerAssignor::Uniform, HETEROGENEOUS);
}

#[test]
fn a_topic_may_run_out_before_its_subscribers_are_balanced() {
    let given = Given::read("T1 2; T2 2; T3 2; A: T1 T2 T3 | T1-0 T1-1 T2-0 T2-1 T3-0 T3-1; B: T1 T2 T3");
    let mut group = given.group();
    // They subscribe to the same, but the group is said not to: topic by topic, T1 goes whole and T2 half.
    group.subscription_type = SubscriptionType::Heterogeneous;
    let assigned = run_server(ServerAssignor::Uniform, &given, &group).expect("all topics are known");
    assert_eq!(shown(&assigned), "A T2-0 T3-0 T3-1; B T1-0 T1-1 T2-1");
}

#[test]
fn nobody_who_subscribes_to_nothing_is_assigned_anything() {
    for text in ["T1 3; A:", "T1 3; A:; B:"] {
        let given = Given::read(text);
        let assigned = run_server(ServerAssignor::Uniform, &given, &given.group()).expect("no topic is asked for");
        assert!(assigned.is_empty(), "{text}: {}", shown(&assigned));
    }
}

#[test]
fn a_topic_of_unknown_size_is_an_error() {
    for (text, unknown) in [("T1 3; A: T2", "T2"), ("T1 3; A: T3; B: T2", "T3")] {
        let given = Given::read(text);
        let error = run_server(ServerAssignor::Uniform, &given, &given.group());
        assert_eq!(error, Err(AssignorError::UnknownTopic { topic_id: topic_id(&Topic::new(unknown)) }), "{text}");
    }
}
