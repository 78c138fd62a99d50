//! The bytes: as Kafka writes them, read back whole, and never trusted.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::Decodable;
use proptest::collection::vec;
use proptest::prelude::*;

use super::partition_of;
use crate::group::assignor::client::consumer_protocol::{Assignment, Subscription};
use crate::group::assignor::client::{
    AssignmentError, Claims, ClientAssignor, JoinedMember, LastAssignment, Malformed, perform_assignment, without_racks,
};
use crate::ids::Topic;

fn subscription() -> Subscription {
    Subscription {
        user_data: Some(Bytes::from_static(b"hi")),
        owned_partitions: ["u-0", "t-2", "t-1"].map(partition_of).to_vec(),
        generation_id: Some(7),
        rack_id: Some("r".to_string()),
        ..Subscription::to(["u", "t"])
    }
}

#[test]
fn a_subscription_is_written_byte_by_byte_as_kafka_does() {
    let expected: &[u8] = &[
        0, 3, // version 3
        0, 0, 0, 2, 0, 1, b't', 0, 1, b'u', // the topics, sorted
        0, 0, 0, 2, b'h', b'i', // user data
        0, 0, 0, 2, // owned, by topic
        0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, // t-1 t-2
        0, 1, b'u', 0, 0, 0, 1, 0, 0, 0, 0, // u-0
        0, 0, 0, 7, // generation
        0, 1, b'r', // rack
    ];
    assert_eq!(subscription().encode().unwrap(), expected);
    let nothing = Subscription::to([]).encode_as(1).unwrap();
    assert_eq!(nothing, &[0, 1, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0][..]);
}

#[test]
fn an_assignment_is_written_by_topic_in_the_order_in_which_topics_appear() {
    let partitions = ["u-1", "t-0", "u-0"].map(partition_of).to_vec();
    let expected: &[u8] = &[
        0, 3, 0, 0, 0, 2, 0, 1, b'u', 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0, 255, 255,
        255, 255,
    ];
    let assignment = Assignment { partitions, user_data: None };
    assert_eq!(assignment.encode().unwrap(), expected);
    let read = Assignment::decode(expected).unwrap();
    assert_eq!(read.partitions, ["u-1", "u-0", "t-0"].map(partition_of));
}

#[test]
fn an_older_version_says_less_and_a_newer_one_is_read_as_the_newest_known() {
    let whole = subscription();
    for (version, expected) in [
        (0, Subscription { owned_partitions: Vec::new(), generation_id: None, rack_id: None, ..whole.clone() }),
        (1, Subscription { generation_id: None, rack_id: None, ..whole.clone() }),
        (2, Subscription { rack_id: None, ..whole.clone() }),
        (3, whole.clone()),
        (9, whole.clone()),
    ] {
        let mut read = Subscription::decode(&whole.encode_as(version).unwrap()).unwrap();
        assert_eq!(read.topics, ["t", "u"].map(Topic::new), "sorted");
        read.topics.reverse();
        let mut expected = expected;
        expected.owned_partitions.sort();
        assert_eq!(read, expected, "version {version}");
    }
    // A version from the future with a field more.
    let mut future = whole.encode().unwrap().to_vec();
    future[1] = 9;
    future.extend_from_slice(b"more");
    assert_eq!(Subscription::decode(&future).unwrap().rack_id.as_deref(), Some("r"));
    assert!(whole.encode_as(-1).is_err());
    future[..2].copy_from_slice(&[255, 255]);
    assert_eq!(Subscription::decode(&future), Err(Malformed::Version { version: -1 }));
    // A rack without a name is none.
    let empty_rack = Subscription { rack_id: Some(String::new()), ..whole.clone() };
    assert_eq!(Subscription::decode(&empty_rack.encode().unwrap()).unwrap().rack_id, None);
}

#[test]
fn lengths_are_held_against_what_is_there() {
    // Two billion topics in no bytes.
    let hostile = [0, 3, 0x7f, 0xff, 0xff, 0xff];
    let expected = Malformed::Truncated { what: "topics", needed: i64::from(i32::MAX), left: 0 };
    assert_eq!(Subscription::decode(&hostile), Err(expected));
    // Wherever the bytes end, that is told.
    let whole = subscription().encode().unwrap();
    for length in 0..whole.len() {
        assert!(Subscription::decode(&whole[..length]).is_err(), "{length} bytes of {}", whole.len());
    }
}

#[test]
fn the_eager_assignor_writes_what_it_had_into_the_user_data() {
    let last = LastAssignment { partitions: ["t-0", "t-2"].map(partition_of).to_vec(), generation: 5 };
    let version_1: &[u8] = &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5];
    assert_eq!(ClientAssignor::Sticky.subscription_user_data(Some(&last)).as_deref(), Some(version_1));
    assert_eq!(ClientAssignor::Sticky.subscription_user_data(None), None);
    let cooperative = |last| ClientAssignor::CooperativeSticky.subscription_user_data(last);
    assert_eq!(cooperative(Some(&last)).as_deref(), Some(&[0, 0, 0, 5][..]));
    assert_eq!(cooperative(None).as_deref(), Some(&[255, 255, 255, 255][..]));
    for assignor in [ClientAssignor::Range, ClientAssignor::RoundRobin] {
        assert_eq!(assignor.subscription_user_data(Some(&last)), None);
    }
}

/// What the first of two members gets. The other one's hash comes first, so that its claims do.
fn kept(assignor: ClientAssignor, first: Subscription, other: Subscription) -> Vec<String> {
    let subscriptions = BTreeMap::from([("a".to_string(), first), ("p".to_string(), other)]);
    let assigned = assignor.assign(&without_racks([("t", 4)]), &subscriptions, Claims::ByGeneration);
    assigned["a"].iter().map(|partition| partition.to_string()).collect()
}

#[test]
fn each_assignor_believes_its_own_bytes() {
    let owning = |user_data: Option<&[u8]>, owned: &[&str], generation_id| Subscription {
        user_data: user_data.map(Bytes::copy_from_slice),
        owned_partitions: owned.iter().map(|partition| partition_of(partition)).collect(),
        generation_id,
        ..Subscription::to(["t"])
    };
    let t1_t3: &[u8] = &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3];
    let with_generation = [t1_t3, &[0, 0, 0, 5]].concat();
    let other = owning(None, &[], None);
    let eager = |user_data, owned| kept(ClientAssignor::Sticky, owning(user_data, owned, Some(1)), other.clone());
    assert_eq!(eager(Some(&with_generation), &["t-0"]), ["t-1", "t-3"], "user data before owned partitions");
    assert_eq!(eager(Some(t1_t3), &[]), ["t-1", "t-3"], "version 0, from before KIP-341");
    assert_eq!(eager(Some(b"junk"), &["t-1", "t-3"]), ["t-0", "t-2"], "what cannot be read was never owned");
    assert_eq!(eager(None, &["t-1", "t-3"]), ["t-0", "t-2"]);

    // The cooperative one believes the subscription; of the user data at most the generation.
    let cooperative = |first| kept(ClientAssignor::CooperativeSticky, first, owning(None, &["t-1", "t-3"], Some(3)));
    assert_eq!(cooperative(owning(Some(&[0, 0, 0, 9]), &["t-1", "t-3"], None)), ["t-1", "t-3"], "9 beats 3");
    assert_eq!(cooperative(owning(Some(&[0, 0, 0, 9]), &["t-1", "t-3"], Some(2))), ["t-0", "t-2"], "2 does not");
    assert_eq!(cooperative(owning(Some(&[9]), &["t-1", "t-3"], None)), ["t-0", "t-2"], "junk is no generation");
}

#[test]
fn a_leader_turns_bytes_into_bytes() {
    let member = |id: &str, instance: Option<&str>, metadata: Bytes| JoinedMember {
        member_id: id.to_string(),
        group_instance_id: instance.map(str::to_string),
        metadata,
    };
    let metadata = Subscription::to(["t"]).encode().unwrap();
    let members = [member("a", None, metadata.clone()), member("b", Some("i"), metadata.clone())];
    let partitions = without_racks([("t", 3), ("not asked for", 1)]);
    let assign = |members: &[JoinedMember]| {
        perform_assignment(ClientAssignor::Range, members, &partitions, Claims::ByGeneration)
    };
    let assigned = assign(&members).unwrap();
    let of = |id: &str| Assignment::decode(&assigned[id]).unwrap().partitions;
    assert_eq!(of("b"), ["t-0", "t-1"].map(partition_of), "the static member comes first");
    assert_eq!(of("a"), ["t-2"].map(partition_of));
    let broken = [members[0].clone(), member("c", None, Bytes::from_static(&[0, 3, 0]))];
    let why = Malformed::Truncated { what: "topics", needed: 4, left: 1 };
    assert_eq!(assign(&broken), Err(AssignmentError::Subscription { member_id: "c".to_string(), why }));
}

proptest! {
    #[test]
    fn no_bytes_break_a_reader(bytes in vec(any::<u8>(), 0..80), from in 0..4_u8) {
        let with_version = [&[0, from], &bytes[..]].concat();
        let _ = Subscription::decode(&with_version);
        let _ = Assignment::decode(&with_version);
        let user_data = Some(Bytes::from(bytes));
        let subscription = Subscription { user_data, ..Subscription::to(["t"]) };
        for assignor in ClientAssignor::ALL {
            kept(assignor, subscription.clone(), Subscription::to(["t"]));
        }
    }

    #[test]
    fn readers_agree_with_the_crate_on_what_it_writes(
        topics in vec("[a-c]{1,2}", 0..4),
        owned in vec(("[a-c]{1,2}", 0..9), 0..6),
        generation in -1..3,
        rack in proptest::option::of("[a-z]{1,3}"),
        version in 0..=3_i16,
    ) {
        let owned_partitions: Vec<_> = owned.iter().map(|(t, p)| partition_of(&format!("{t}-{p}"))).collect();
        let subscription = Subscription {
            owned_partitions: owned_partitions.clone(),
            generation_id: Some(generation).filter(|generation| *generation >= 0),
            rack_id: rack,
            ..Subscription::to(topics.iter().map(String::as_str))
        };
        let bytes = subscription.encode_as(version).unwrap();
        let ours = Subscription::decode(&bytes).unwrap();
        let crates = ConsumerProtocolSubscription::decode(&mut bytes.slice(2..), version).unwrap();
        let read = |topic: &kafka_protocol::messages::TopicName, partitions: &[i32]| -> Vec<String> {
            partitions.iter().map(|partition| format!("{}-{partition}", topic.0.as_str())).collect()
        };
        let crates_owned = crates.owned_partitions.iter().flat_map(|topic| read(&topic.topic, &topic.partitions));
        let ours_owned = ours.owned_partitions.iter().map(|partition| partition.to_string());
        prop_assert_eq!(ours_owned.collect::<Vec<_>>(), crates_owned.collect::<Vec<_>>());
        prop_assert_eq!(ours.generation_id.unwrap_or(-1), crates.generation_id);
        prop_assert_eq!(ours.rack_id.as_deref(), crates.rack_id.as_deref());
        prop_assert_eq!(ours.topics.len(), crates.topics.len());

        let mut bytes = Assignment { partitions: owned_partitions, user_data: None }.encode_as(version).unwrap();
        let ours = Assignment::decode(&bytes).unwrap();
        bytes.advance(2);
        let crates = ConsumerProtocolAssignment::decode(&mut bytes, version).unwrap();
        let crates_assigned = crates.assigned_partitions.iter().flat_map(|topic| read(&topic.topic, &topic.partitions));
        let ours_assigned = ours.partitions.iter().map(|partition| partition.to_string());
        prop_assert_eq!(ours_assigned.collect::<Vec<_>>(), crates_assigned.collect::<Vec<_>>());
    }
}
