//! Topics that there are only in plays: records of them, as a controller would write them.

use trial_kafka::ids::{BrokerId, Topic};
use trial_kafka::metadata::MetadataRecord;
use uuid::Uuid;

/// A broker that there is not.
pub(super) const ABSENT: BrokerId = BrokerId::MAX;

/// The id of a topic that is made up: no other has it.
pub(super) fn id_of(topic: &str) -> Uuid {
    Uuid::from_u128(topic.bytes().fold(1, |id, byte| id << 8 | u128::from(byte)))
}

/// A topic whose replicas are on a broker that there is not.
pub(super) fn topic(name: &str, partitions: i32) -> Vec<MetadataRecord> {
    let topic_id = id_of(name);
    let topic = MetadataRecord::Topic { name: Topic::new(name), topic_id };
    [topic].into_iter().chain((0..partitions).map(|index| partition(topic_id, index))).collect()
}

/// A partition of that topic, on a broker that there is not.
pub(super) fn partition(topic_id: Uuid, partition: i32) -> MetadataRecord {
    MetadataRecord::Partition {
        topic_id,
        partition,
        replicas: vec![ABSENT],
        isr: vec![ABSENT],
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader: ABSENT,
        leader_epoch: 0,
        partition_epoch: 0,
        leader_recovery_state: 0,
        eligible_leader_replicas: Vec::new(),
        last_known_elr: Vec::new(),
    }
}
