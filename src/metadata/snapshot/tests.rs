//! What was written is read again, and nothing else is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::FetchSnapshotResponse;
use kafka_protocol::messages::fetch_snapshot_response::{PartitionSnapshot, SnapshotId as WireSnapshotId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ids::Topic;
use crate::metadata::{BrokerRegistration, MetadataImage, MetadataRecord, PartitionRegistration, TopicImage};
use crate::node::Endpoint;

fn ids() -> impl Strategy<Value = Vec<i32>> {
    prop::collection::vec(0..9i32, 0..4)
}
fn words() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[a-z.]{1,9}", "[a-z0-9]{0,9}", 0..3)
}
fn broker() -> impl Strategy<Value = BrokerRegistration> {
    (any::<u128>(), 0..i64::MAX, "[a-z0-9]{1,9}", any::<u16>(), prop::option::of("[a-z]{1,3}"), any::<[bool; 2]>())
        .prop_map(|(incarnation, broker_epoch, host, port, rack, [fenced, in_controlled_shutdown])| {
            BrokerRegistration {
                broker_epoch,
                incarnation: Uuid::from_u128(incarnation),
                endpoint: Endpoint { host, port },
                rack,
                fenced,
                in_controlled_shutdown,
            }
        })
}
fn partition() -> impl Strategy<Value = PartitionRegistration> {
    ([ids(), ids(), ids(), ids(), ids(), ids()], -1..9i32, 0..i32::MAX, 0..i32::MAX, any::<bool>()).prop_map(
        |(ids, leader, leader_epoch, partition_epoch, recovering)| {
            let [replicas, isr, elr, last_known_elr, removing_replicas, adding_replicas] = ids;
            PartitionRegistration {
                replicas,
                isr,
                elr,
                last_known_elr,
                leader,
                leader_epoch,
                partition_epoch,
                recovering,
                removing_replicas,
                adding_replicas,
            }
        },
    )
}
fn topic() -> impl Strategy<Value = (String, u128, Vec<PartitionRegistration>, BTreeMap<String, String>)> {
    ("[a-z]{1,5}", any::<u128>(), prop::collection::vec(partition(), 0..4), words())
}
fn image() -> impl Strategy<Value = MetadataImage> {
    (
        0..i64::MAX,
        prop::collection::btree_map(0..9i32, broker(), 0..4),
        prop::collection::vec(topic(), 0..4),
        prop::collection::btree_map("[a-z.]{1,20}", any::<i16>(), 0..3),
        prop::collection::btree_map("[0-9]{0,2}", words().prop_filter("none is not there", |w| !w.is_empty()), 0..3),
        0..i64::MAX,
    )
        .prop_map(|(next_offset, brokers, topics, features, broker_configs, next_producer_id)| {
            let mut image = MetadataImage {
                next_offset,
                brokers,
                features,
                broker_configs,
                next_producer_id,
                ..MetadataImage::default()
            };
            for (name, id, partitions, configs) in topics {
                let (name, topic_id) = (Topic::new(&name), Uuid::from_u128(id));
                if !image.topic_ids.contains_key(&name) && !image.topics.contains_key(&topic_id) {
                    image.topic_ids.insert(name.clone(), topic_id);
                    image.topics.insert(topic_id, Arc::new(TopicImage { name, topic_id, partitions, configs }));
                }
            }
            image
        })
}

proptest! {
    #[test]
    fn an_image_is_what_its_records_make(image in image(), epoch in 0..i32::MAX, timestamp: i64) {
        prop_assert_eq!(&MetadataImage::from_records(image.next_offset, &image.to_records()), &image);
        let id = SnapshotId { end_offset: image.next_offset, epoch };
        let bytes = encode(id, &image, timestamp);
        prop_assert_eq!(decode(id, &bytes), Ok(Snapshot { last_contained_log_timestamp: timestamp, image, voters: vec![] }));
    }
    #[test]
    fn hostile_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(decode(ID, &bytes.into()).is_err());
    }
}

const ID: SnapshotId = SnapshotId { end_offset: 123, epoch: 4 };

/// A small cluster and its snapshot.
fn sample() -> (MetadataImage, Bytes) {
    let topic_id = Uuid::from_u128(7);
    let partition = PartitionRegistration {
        replicas: vec![1, 2],
        isr: vec![1],
        elr: vec![2],
        last_known_elr: vec![],
        leader: 1,
        leader_epoch: 3,
        partition_epoch: 9,
        recovering: true,
        removing_replicas: vec![],
        adding_replicas: vec![2],
    };
    let configs = BTreeMap::from([("min.insync.replicas".to_string(), "2".to_string())]);
    let orders = TopicImage { name: Topic::new("orders"), topic_id, partitions: vec![partition], configs };
    let mut image = MetadataImage { next_offset: ID.end_offset, ..MetadataImage::default() };
    image.topic_ids.insert(orders.name.clone(), topic_id);
    image.topics.insert(topic_id, Arc::new(orders));
    for (name, level) in [("eligible.leader.replicas.version", 1), ("metadata.version", 27)] {
        image.features.insert(name.to_string(), level);
    }
    let bytes = encode(ID, &image, 5_000);
    (image, bytes)
}

#[test]
fn the_metadata_version_comes_first_and_configs_last() {
    let records = sample().0.to_records();
    assert!(matches!(&records[0], MetadataRecord::FeatureLevel { name, .. } if name == "metadata.version"));
    assert!(matches!(records.last(), Some(MetadataRecord::Config { .. })));
}

#[test]
fn a_snapshot_torn_at_any_byte_is_refused() {
    let (image, bytes) = sample();
    assert_eq!(decode(ID, &bytes).unwrap().image, image);
    for cut in 0..bytes.len() {
        assert!(decode(ID, &bytes.slice(..cut)).is_err(), "cut at {cut} of {}", bytes.len());
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 0x10;
        assert!(decode(ID, &changed.into()).is_err(), "byte {at} changed");
    }
    assert!(decode(ID, &[&bytes[..], &bytes[..]].concat().into()).is_err(), "twice");
    assert!(decode(SnapshotId { epoch: 5, ..ID }, &bytes).is_err(), "it is another's");
}

#[test]
fn many_records_take_several_batches() {
    let mut image = MetadataImage::default();
    for broker in 0..2_500 {
        let record = BrokerRegistration {
            broker_epoch: i64::from(broker),
            incarnation: Uuid::nil(),
            endpoint: Endpoint { host: "b".to_string(), port: 1 },
            rack: None,
            fenced: false,
            in_controlled_shutdown: false,
        };
        image.brokers.insert(broker, record);
    }
    let bytes = encode(ID, &image, 0);
    assert_eq!(trial_storage::Batches::new(bytes.clone()).count(), 2 + 3);
    assert_eq!(decode(ID, &bytes).unwrap().image.brokers, image.brokers);
}

#[test]
fn a_name_tells_the_snapshot() {
    assert_eq!(ID.file_name(), "00000000000000000123-0000000004.checkpoint");
    assert_eq!(SnapshotId::parse(&ID.file_name()), Some(SnapshotFile::Whole(ID)));
    assert_eq!(SnapshotId::parse(&ID.partial_file_name()), Some(SnapshotFile::Partial(ID)));
    let others = [
        "00000000000000000123.log",
        "leader-epoch-checkpoint",
        "123-4.checkpoint",
        "+0000000000000000123-0000000004.checkpoint",
        "00000000000000000123-9999999999.checkpoint",
        "00000000000000000123-0000000004.checkpoint.deleted",
    ];
    for other in others {
        assert_eq!(SnapshotId::parse(other), None, "{other}");
    }
    let earlier = SnapshotId { end_offset: 999, epoch: 3 };
    assert!(earlier < ID && SnapshotId { end_offset: 122, epoch: 4 } < ID, "epoch before offset");
}

/// An answer with `bytes` of the snapshot from `position` on.
fn chunk(bytes: &Bytes, position: usize, length: usize) -> PartitionSnapshot {
    let end = (position + length).min(bytes.len());
    PartitionSnapshot::default()
        .with_snapshot_id(WireSnapshotId::default().with_end_offset(ID.end_offset).with_epoch(ID.epoch))
        .with_size(bytes.len() as i64)
        .with_position(position as i64)
        .with_unaligned_records(bytes.slice(position..end))
}
fn position_asked(fetch: &SnapshotFetch) -> usize {
    fetch.request(Some("c"), 1, Uuid::nil(), 7).topics[0].partitions[0].position as usize
}

#[test]
fn chunks_of_any_size_make_the_whole() {
    let (_, bytes) = sample();
    for size in 1..=bytes.len() {
        let mut fetch = SnapshotFetch::new(ID);
        let whole = loop {
            match fetch.on_chunk(&chunk(&bytes, position_asked(&fetch), size)) {
                FetchProgress::More => {}
                FetchProgress::Complete(whole) => break whole,
                FetchProgress::StartOver => panic!("chunks of {size}"),
            }
        };
        assert_eq!(whole, bytes);
    }
}

#[test]
fn a_chunk_of_another_place_or_snapshot_starts_over() {
    let (_, bytes) = sample();
    let first = chunk(&bytes, 0, 10);
    let mut another = chunk(&bytes, 10, 10);
    another.snapshot_id.end_offset += 1;
    let mut longer = chunk(&bytes, 10, 10);
    longer.size = 15;
    for second in [
        first.clone(),
        chunk(&bytes, 11, 10),
        chunk(&bytes, 10, 0),
        chunk(&bytes, 10, 10).with_error_code(98),
        another,
        longer,
    ] {
        let mut fetch = SnapshotFetch::new(ID);
        assert_eq!(fetch.on_chunk(&first), FetchProgress::More);
        assert_eq!(fetch.on_chunk(&second), FetchProgress::StartOver, "{second:?}");
    }
    assert!(SnapshotFetch::partition(&FetchSnapshotResponse::default()).is_none());
}
