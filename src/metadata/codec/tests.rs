use proptest::prelude::*;
use uuid::Uuid;

use crate::ids::Topic;
use crate::metadata::{BrokerRegistrationChange, MetadataRecord, PartitionChange, RecordError};

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}
fn ids() -> impl Strategy<Value = Vec<i32>> {
    proptest::collection::vec(any::<i32>(), 0..6)
}
fn partition_change() -> impl Strategy<Value = PartitionChange> {
    let optional_ids = || proptest::option::of(ids());
    (
        uuid(),
        any::<i32>(),
        optional_ids(),
        proptest::option::of(-1..i32::MAX),
        optional_ids(),
        proptest::option::of(0..=1i8),
        optional_ids(),
        optional_ids(),
        optional_ids(),
        optional_ids(),
    )
        .prop_map(
            |(topic_id, partition, isr, leader, replicas, leader_recovery_state, elr, last, removing, adding)| {
                PartitionChange {
                    topic_id,
                    partition,
                    isr,
                    leader,
                    replicas,
                    leader_recovery_state,
                    eligible_leader_replicas: elr,
                    last_known_elr: last,
                    removing_replicas: removing,
                    adding_replicas: adding,
                }
            },
        )
}
fn record() -> impl Strategy<Value = MetadataRecord> {
    prop_oneof![
        (
            any::<i32>(),
            uuid(),
            any::<i64>(),
            ".{0,40}",
            any::<u16>(),
            proptest::option::of(".{0,9}"),
            any::<[bool; 2]>()
        )
            .prop_map(
                |(broker, incarnation, broker_epoch, host, port, rack, [fenced, in_controlled_shutdown])| {
                    MetadataRecord::RegisterBroker {
                        broker,
                        incarnation,
                        broker_epoch,
                        host,
                        port,
                        rack,
                        fenced,
                        in_controlled_shutdown,
                    }
                }
            ),
        (any::<i32>(), any::<i64>())
            .prop_map(|(broker, broker_epoch)| MetadataRecord::UnregisterBroker { broker, broker_epoch }),
        (".{0,200}", uuid()).prop_map(|(name, topic_id)| MetadataRecord::Topic { name: Topic::new(&name), topic_id }),
        ((uuid(), any::<i32>(), any::<i8>()), [ids(), ids(), ids(), ids(), ids(), ids()], any::<[i32; 3]>(),).prop_map(
            |(
                (topic_id, partition, leader_recovery_state),
                [replicas, isr, removing_replicas, adding_replicas, eligible_leader_replicas, last_known_elr],
                [leader, leader_epoch, partition_epoch],
            )| MetadataRecord::Partition {
                topic_id,
                partition,
                replicas,
                isr,
                removing_replicas,
                adding_replicas,
                leader,
                leader_epoch,
                partition_epoch,
                leader_recovery_state,
                eligible_leader_replicas,
                last_known_elr,
            }
        ),
        (any::<i8>(), ".{0,9}", ".{0,9}", proptest::option::of(".{0,9}")).prop_map(
            |(resource_type, resource_name, name, value)| MetadataRecord::Config {
                resource_type,
                resource_name,
                name,
                value
            }
        ),
        partition_change().prop_map(MetadataRecord::PartitionChange),
        uuid().prop_map(|topic_id| MetadataRecord::RemoveTopic { topic_id }),
        (".{0,9}", any::<i16>()).prop_map(|(name, level)| MetadataRecord::FeatureLevel { name, level }),
        (any::<i32>(), any::<i64>(), any::<Option<bool>>(), proptest::option::of(Just(true))).prop_map(
            |(broker, broker_epoch, fenced, in_controlled_shutdown)| MetadataRecord::BrokerRegistrationChange(
                BrokerRegistrationChange { broker, broker_epoch, fenced, in_controlled_shutdown }
            )
        ),
        (any::<i32>(), any::<i64>(), any::<i64>()).prop_map(|(broker, broker_epoch, next_producer_id)| {
            MetadataRecord::ProducerIds { broker, broker_epoch, next_producer_id }
        }),
        Just(MetadataRecord::NoOp),
        proptest::option::of("[a-z]{1,9}")
            .prop_map(|name| MetadataRecord::ClearElr { topic: name.as_deref().map(Topic::new) }),
    ]
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(record in record()) {
        prop_assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
    }
    #[test]
    fn a_record_cut_short_is_an_error(record in record(), at in any::<prop::sample::Index>()) {
        let bytes = record.encode();
        prop_assert!(MetadataRecord::decode(&bytes[..at.index(bytes.len())]).is_err());
    }
    #[test]
    fn a_record_with_bytes_left_over_is_an_error(record in record()) {
        let mut bytes = record.encode().to_vec();
        bytes.push(0);
        prop_assert!(MetadataRecord::decode(&bytes).is_err());
    }
    #[test]
    fn hostile_bytes_do_not_panic(
        key in prop::sample::select(vec![0u8, 1, 2, 3, 4, 5, 9, 12, 17, 20]),
        version in 0..4u8,
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut framed = vec![1, key, version];
        framed.extend(bytes);
        // Whatever could be read says the same when written and read again.
        if let Ok(record) = MetadataRecord::decode(&framed) {
            prop_assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
        }
    }
}

const ID: Uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
const ID_BYTES: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// Written out by hand from Kafka's schema.
fn hand_checked(record: MetadataRecord, parts: &[&[u8]]) {
    let bytes = parts.concat();
    assert_eq!(record.encode().as_ref(), &bytes[..], "{record:?}");
    assert_eq!(MetadataRecord::decode(&bytes), Ok(record));
}

#[test]
fn a_no_op_is_four_bytes() {
    hand_checked(MetadataRecord::NoOp, &[&[1, 20, 0, 0]]);
}

#[test]
fn producer_ids_are_broker_epoch_and_the_next_id() {
    let record = MetadataRecord::ProducerIds { broker: 2, broker_epoch: 258, next_producer_id: 1000 };
    hand_checked(record, &[&[1, 15, 0], &[0, 0, 0, 2], &[0, 0, 0, 0, 0, 0, 1, 2], &[0, 0, 0, 0, 0, 0, 3, 0xe8, 0]]);
}

#[test]
fn clearing_the_elr_of_all_topics_names_none() {
    hand_checked(MetadataRecord::ClearElr { topic: None }, &[&[1, 28, 0, 1, 0]]);
    hand_checked(MetadataRecord::ClearElr { topic: Some(Topic::new("ab")) }, &[&[1, 28, 0, 3, b'a', b'b', 0]]);
}

#[test]
fn a_topic_is_name_then_id() {
    let record = MetadataRecord::Topic { name: Topic::new("orders"), topic_id: ID };
    hand_checked(record, &[&[1, 2, 0, 7], b"orders", &ID_BYTES, &[0]]);
}

#[test]
fn a_partition_change_has_only_the_tags_that_change() {
    let change = PartitionChange {
        topic_id: ID,
        partition: 3,
        isr: Some(vec![2, 1]),
        leader: Some(-1),
        ..PartitionChange::default()
    };
    let tags: &[u8] = &[2, 0, 9, 3, 0, 0, 0, 2, 0, 0, 0, 1, 1, 4, 0xff, 0xff, 0xff, 0xff];
    hand_checked(MetadataRecord::PartitionChange(change), &[&[1, 5, 0, 0, 0, 0, 3], &ID_BYTES, tags]);
}

#[test]
fn a_reassignment_stands_in_tags_three_and_four() {
    let change = PartitionChange {
        topic_id: ID,
        removing_replicas: Some(vec![]),
        adding_replicas: Some(vec![7]),
        ..PartitionChange::default()
    };
    let tags: &[u8] = &[2, 3, 1, 1, 4, 5, 2, 0, 0, 0, 7];
    hand_checked(MetadataRecord::PartitionChange(change), &[&[1, 5, 0, 0, 0, 0, 0], &ID_BYTES, tags]);
}

#[test]
fn eligible_leader_replicas_need_version_two() {
    let change = PartitionChange { topic_id: ID, eligible_leader_replicas: Some(vec![]), ..PartitionChange::default() };
    hand_checked(MetadataRecord::PartitionChange(change), &[&[1, 5, 2, 0, 0, 0, 0], &ID_BYTES, &[1, 6, 1, 1]]);
}

#[test]
fn fencing_is_one_and_unfencing_minus_one() {
    let change = |fenced| {
        MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
            broker: 1,
            broker_epoch: 258,
            fenced: Some(fenced),
            in_controlled_shutdown: None,
        })
    };
    hand_checked(change(true), &[&[1, 17, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2, 1, 0, 1, 1]]);
    hand_checked(change(false), &[&[1, 17, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2, 1, 0, 1, 0xff]]);
}

#[test]
fn a_registration_of_version_three_with_directories_and_features_is_read() {
    let bytes = [
        &[1, 0, 3, 0, 0, 0, 4, 0][..],
        &ID_BYTES,
        &[0, 0, 0, 0, 0, 0, 0, 9, 2, 10],
        b"PLAINTEXT",
        &[3],
        b"b4",
        &[0x23, 0x84, 0, 0, 0, 2, 2],
        b"f",
        &[0, 1, 0, 2, 0, 0, 1, 0, 1, 0, 17, 2],
        &ID_BYTES,
    ]
    .concat();
    let expected = MetadataRecord::RegisterBroker {
        broker: 4,
        incarnation: ID,
        broker_epoch: 9,
        host: "b4".to_string(),
        port: 9092,
        rack: None,
        fenced: true,
        in_controlled_shutdown: false,
    };
    assert_eq!(MetadataRecord::decode(&bytes), Ok(expected));
}

#[test]
fn a_length_beyond_the_bytes_allocates_nothing() {
    // The array of replicas claims 2^32 - 2 entries.
    let bytes = [&[1, 3, 0, 0, 0, 0, 0][..], &ID_BYTES, &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    assert_eq!(MetadataRecord::decode(&bytes), Err(RecordError::Truncated));
}

#[test]
fn what_is_not_modelled_is_an_error_and_not_ignored() {
    let unknown = |frame, api_key, version| Err(RecordError::Unknown { frame, api_key, version });
    assert_eq!(MetadataRecord::decode(&[0, 20, 0, 0]), unknown(0, 20, 0));
    assert_eq!(MetadataRecord::decode(&[1, 8, 0, 0]), unknown(1, 8, 0));
    assert_eq!(MetadataRecord::decode(&[1, 20, 1, 0]), unknown(1, 20, 1));
}
