use bytes::Bytes;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}
fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}
fn partitions() -> impl Strategy<Value = Partitions> {
    btree_map(any::<u128>().prop_map(Uuid::from_u128), btree_set(any::<i32>(), 0..4), 0..4)
}
fn offset() -> impl Strategy<Value = OffsetValue> {
    (any::<i64>(), -1..i32::MAX, text(), any::<i64>(), of(0..i64::MAX)).prop_map(
        |(offset, leader_epoch, metadata, commit_timestamp, expires)| OffsetValue {
            offset,
            // The version that has an expiry has no leader epoch.
            leader_epoch: if expires.is_some() { -1 } else { leader_epoch },
            metadata,
            commit_timestamp,
            expire_timestamp: expires.unwrap_or(-1),
        },
    )
}
fn classic_group() -> impl Strategy<Value = ClassicGroupValue> {
    let member = (text(), of(text()), [text(), text()], any::<[i32; 2]>(), bytes(), bytes()).prop_map(
        |(member_id, group_instance_id, [client_id, client_host], [rebalance, session], subscription, assignment)| {
            ClassicMemberValue {
                member_id,
                group_instance_id,
                client_id,
                client_host,
                rebalance_timeout: rebalance,
                session_timeout: session,
                subscription,
                assignment,
            }
        },
    );
    (text(), any::<i32>(), of(text()), of(text()), any::<i64>(), vec(member, 0..4)).prop_map(
        |(protocol_type, generation, protocol, leader, current_state_timestamp, members)| ClassicGroupValue {
            protocol_type,
            generation,
            protocol,
            leader,
            current_state_timestamp,
            members,
        },
    )
}
fn member() -> impl Strategy<Value = MemberValue> {
    let classic = (any::<i32>(), vec((text(), bytes()), 0..3))
        .prop_map(|(session_timeout_ms, supported)| ClassicProtocols { session_timeout_ms, supported });
    ([of(text()), of(text()), of(text()), of(text())], text(), text(), vec(text(), 0..4), any::<i32>(), of(classic))
        .prop_map(|(optional, client_id, client_host, names, rebalance_timeout_ms, classic)| {
            let [instance_id, rack_id, subscribed_topic_regex, server_assignor] = optional;
            MemberValue {
                instance_id,
                rack_id,
                client_id,
                client_host,
                subscribed_topic_names: names,
                subscribed_topic_regex,
                rebalance_timeout_ms,
                server_assignor,
                classic,
            }
        })
}
fn record() -> impl Strategy<Value = Record> {
    let epoch = any::<(i32, i64)>().prop_map(|(epoch, metadata_hash)| GroupEpochValue { epoch, metadata_hash });
    let topic = (any::<u128>(), text(), any::<i32>(), vec((any::<i32>(), vec(text(), 0..3)), 0..3)).prop_map(
        |(id, name, partitions, racks)| TopicMetadata { topic_id: Uuid::from_u128(id), name, partitions, racks },
    );
    let current = (any::<[i32; 2]>(), any::<i8>(), partitions(), partitions()).prop_map(
        |([member_epoch, previous_member_epoch], state, assigned, pending_revocation)| CurrentAssignmentValue {
            member_epoch,
            previous_member_epoch,
            state,
            assigned,
            pending_revocation,
        },
    );
    let resolved = (btree_set(text(), 0..4), any::<[i64; 2]>())
        .prop_map(|(topics, [version, timestamp])| ResolvedExpression { topics, version, timestamp });
    prop_oneof![
        (text(), text(), any::<i32>(), of(offset())).prop_map(|(group, topic, partition, value)| Record::Offset {
            group,
            topic: Topic::new(&topic),
            partition,
            value
        }),
        (text(), of(classic_group())).prop_map(|(group, value)| Record::ClassicGroup { group, value }),
        (text(), of(epoch)).prop_map(|(group, value)| Record::GroupEpoch { group, value }),
        (text(), of(vec(topic, 0..3))).prop_map(|(group, value)| Record::PartitionMetadata { group, value }),
        (text(), text(), of(member())).prop_map(|(group, member, value)| Record::Member { group, member, value }),
        (text(), of(any::<i32>())).prop_map(|(group, value)| Record::TargetEpoch { group, value }),
        (text(), text(), of(partitions())).prop_map(|(group, member, value)| Record::TargetAssignment {
            group,
            member,
            value
        }),
        (text(), text(), of(current)).prop_map(|(group, member, value)| Record::CurrentAssignment {
            group,
            member,
            value
        }),
        (text(), text(), of(resolved)).prop_map(|(group, expression, value)| Record::RegularExpression {
            group,
            expression,
            value
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(record in record()) {
        let (key, value) = record.encode();
        prop_assert_eq!(Record::decode(&key, value.as_deref()), Ok(record));
    }

    #[test]
    fn bytes_from_outside_are_no_reason_to_panic(key in vec(any::<u8>(), 0..60), value in vec(any::<u8>(), 0..60)) {
        for kind in 0..18i16 {
            let key = [&kind.to_be_bytes()[..], b"\0\0", &key].concat();
            for version in 0..5i16 {
                let _ = Record::decode(&key, Some(&[&version.to_be_bytes()[..], &value].concat()));
            }
        }
    }

    #[test]
    fn a_record_cut_short_is_an_error(record in record(), at in any::<prop::sample::Index>()) {
        let (key, value) = record.encode();
        prop_assert!(Record::decode(&key[..at.index(key.len())], value.as_deref()).is_err());
    }
}

/// Written out by hand from the schemas.
#[test]
fn the_bytes_are_those_of_kafka() {
    let offset = |expires| Record::Offset {
        group: "g".into(),
        topic: Topic::new("t"),
        partition: 2,
        value: Some(OffsetValue {
            offset: 7,
            leader_epoch: 5,
            metadata: "m".into(),
            commit_timestamp: 256,
            expire_timestamp: expires,
        }),
    };
    let key = b"\0\x01\0\x01g\0\x01t\0\0\0\x02".to_vec();
    let now = b"\0\x03\0\0\0\0\0\0\0\x07\0\0\0\x05\0\x01m\0\0\0\0\0\0\x01\0".to_vec();
    assert_eq!(offset(-1).encode(), (key.clone().into(), Some(now.into())));
    let expiring = b"\0\x01\0\0\0\0\0\0\0\x07\0\x01m\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0".to_vec();
    assert_eq!(offset(512).encode(), (key.into(), Some(expiring.into())));

    let group = Record::ClassicGroup {
        group: "g".into(),
        value: Some(ClassicGroupValue {
            protocol_type: "consumer".into(),
            generation: 3,
            protocol: Some("range".into()),
            leader: Some("a".into()),
            current_state_timestamp: 9,
            members: vec![ClassicMemberValue {
                member_id: "a".into(),
                group_instance_id: None,
                client_id: "c".into(),
                client_host: "/h".into(),
                rebalance_timeout: 60,
                session_timeout: 45,
                subscription: Bytes::from_static(b"su"),
                assignment: Bytes::from_static(b"a"),
            }],
        }),
    };
    let value = [
        &b"\0\x03\0\x08consumer\0\0\0\x03\0\x05range\0\x01a\0\0\0\0\0\0\0\x09\0\0\0\x01"[..],
        &b"\0\x01a\xff\xff\0\x01c\0\x02/h\0\0\0\x3c\0\0\0\x2d\0\0\0\x02su\0\0\0\x01a"[..],
    ]
    .concat();
    assert_eq!(group.encode(), (Bytes::from_static(b"\0\x02\0\x01g"), Some(value.into())));

    let topic = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    let current = Record::CurrentAssignment {
        group: "g".into(),
        member: "a".into(),
        value: Some(CurrentAssignmentValue {
            member_epoch: 4,
            previous_member_epoch: 3,
            state: 1,
            assigned: [(topic, [0, 2].into())].into(),
            pending_revocation: Partitions::new(),
        }),
    };
    let value = [
        &b"\0\0\0\0\0\x04\0\0\0\x03\x01\x02"[..],
        &b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x03\0\0\0\0\0\0\0\x02\0"[..],
        &b"\x01\0"[..],
    ]
    .concat();
    assert_eq!(current.encode(), (Bytes::from_static(b"\0\x08\0\x01g\0\x01a"), Some(value.into())));

    let epoch = |metadata_hash| Record::GroupEpoch {
        group: "g".into(),
        value: Some(GroupEpochValue { epoch: 6, metadata_hash }),
    };
    assert_eq!(epoch(0).encode().1, Some(Bytes::from_static(b"\0\0\0\0\0\x06\0")));
    assert_eq!(
        epoch(2).encode().1,
        Some(Bytes::from_static(b"\0\0\0\0\0\x06\x01\0\x08\0\0\0\0\0\0\0\x02")),
        "a hash is a tagged field, that older brokers pass over"
    );
    let gone = Record::RegularExpression { group: "g".into(), expression: "o.*".into(), value: None };
    assert_eq!(gone.encode(), (Bytes::from_static(b"\0\x10\0\x01g\0\x03o.*"), None));
}

#[test]
fn what_older_and_newer_brokers_wrote_is_read() {
    let offset = |value: &[u8]| match Record::decode(b"\0\0\0\x01g\0\x01t\0\0\0\x02", Some(value)) {
        Ok(Record::Offset { value: Some(value), .. }) => value,
        other => panic!("{other:?}"),
    };
    let plain =
        OffsetValue { offset: 7, leader_epoch: -1, metadata: "m".into(), commit_timestamp: 8, expire_timestamp: -1 };
    assert_eq!(offset(b"\0\0\0\0\0\0\0\0\0\x07\0\x01m\0\0\0\0\0\0\0\x08"), plain, "version 0");
    assert_eq!(offset(b"\0\x02\0\0\0\0\0\0\0\x07\0\x01m\0\0\0\0\0\0\0\x08"), plain, "version 2");
    let flexible = offset(b"\0\x04\0\0\0\0\0\0\0\x07\0\0\0\x05\x02m\0\0\0\0\0\0\0\x08\0");
    assert_eq!(flexible, OffsetValue { leader_epoch: 5, ..plain }, "version 4");

    let group = |value: &[u8]| match Record::decode(b"\0\x02\0\x01g", Some(value)) {
        Ok(Record::ClassicGroup { value: Some(value), .. }) => value,
        other => panic!("{other:?}"),
    };
    let old = [
        &b"\0\0\0\x08consumer\0\0\0\x03\xff\xff\xff\xff\0\0\0\x01"[..],
        &b"\0\x01a\0\x01c\0\x02/h\0\0\0\x2d\0\0\0\x02su\0\0\0\x01a"[..],
    ]
    .concat();
    let old = group(&old);
    assert_eq!((old.current_state_timestamp, old.protocol), (-1, None), "version 0");
    assert_eq!((old.members[0].rebalance_timeout, old.members[0].session_timeout), (-1, 45));
    let new = [
        &b"\0\x04\x09consumer\0\0\0\x03\x06range\x02a\0\0\0\0\0\0\0\x09\x02"[..],
        &b"\x02a\x02i\x02c\x03/h\0\0\0\x3c\0\0\0\x2d\x03su\x02a\0\0"[..],
    ]
    .concat();
    let new = group(&new);
    assert_eq!((new.current_state_timestamp, new.leader.as_deref()), (9, Some("a")), "version 4");
    assert_eq!(
        (new.members[0].group_instance_id.as_deref(), &new.members[0].subscription[..]),
        (Some("i"), &b"su"[..])
    );
}

#[test]
fn what_is_not_known_is_told() {
    assert_eq!(Record::decode(b"\0\x09\0\x01g", None), Err(GroupRecordError::UnknownKind(9)));
    let error = Record::decode(b"\0\x03\0\x01g", Some(b"\0\x01"));
    assert_eq!(error, Err(GroupRecordError::UnknownVersion { kind: 3, version: 1, newest: 0 }));
    let text = error.map(|_| ()).unwrap_err().to_string();
    assert_eq!(text, "a value of version 1 in __consumer_offsets for a key of kind 3: expected 0 to 0");
}
