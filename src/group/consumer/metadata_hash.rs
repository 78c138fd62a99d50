//! Has any of a group's topics changed? One number over all that assigning looks at.
//!
//! Each topic is hashed with its id, name, partitions and their racks, and the hashes in order of the topics' names are hashed
//! once more. Kafka streams numbers in little-endian order into XXH3, and a string as its UTF-16 units and their count. The
//! number is written with the group's epoch, so that a coordinator that comes after sees a change that this one has not.
//! Source: KIP-1101, `Utils.computeTopicHash`, `Utils.computeGroupHash` (`org.apache.kafka.coordinator.group`).

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::metadata::{MetadataImage, TopicImage};

/// `Utils.TOPIC_HASH_MAGIC_BYTE`: the version of the format.
const MAGIC: u8 = 0;

/// The hash of those of the topics that exist; 0 if none does.
pub fn metadata_hash<'a>(topics: impl IntoIterator<Item = &'a str>, metadata: &MetadataImage) -> i64 {
    let of =
        |name: &'a str| metadata.topic(name).map(|topic| (name.encode_utf16().collect(), topic_hash(topic, metadata)));
    let hashes: BTreeMap<Vec<u16>, u64> = topics.into_iter().filter_map(of).collect();
    if hashes.is_empty() {
        return 0;
    }
    let bytes: Vec<u8> = hashes.values().flat_map(|hash| hash.to_le_bytes()).collect();
    signed(xxh3_64(&bytes))
}

fn topic_hash(topic: &TopicImage, metadata: &MetadataImage) -> u64 {
    let mut bytes = vec![MAGIC];
    let (most, least) = topic.topic_id.as_u64_pair();
    bytes.extend(most.to_le_bytes());
    bytes.extend(least.to_le_bytes());
    string(&mut bytes, topic.name.as_str());
    bytes.extend(int(topic.partitions.len()));
    for (index, partition) in topic.partitions.iter().enumerate() {
        bytes.extend(int(index));
        let racks = partition.replicas.iter().filter_map(|broker| metadata.brokers.get(broker)?.rack.as_deref());
        let mut racks: Vec<Vec<u16>> = racks.map(|rack| rack.encode_utf16().collect()).collect();
        racks.sort();
        for rack in racks {
            bytes.extend(int(rack.len()));
            units(&mut bytes, &rack);
        }
    }
    xxh3_64(&bytes)
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    units(bytes, &text.encode_utf16().collect::<Vec<_>>());
}
fn units(bytes: &mut Vec<u8>, units: &[u16]) {
    bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    bytes.extend(int(units.len()));
}
fn int(value: usize) -> [u8; 4] {
    i32::try_from(value).unwrap_or(i32::MAX).to_le_bytes()
}
fn signed(hash: u64) -> i64 {
    i64::from_ne_bytes(hash.to_ne_bytes())
}
