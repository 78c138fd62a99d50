//! Which records make this image? Source: `MetadataImage.write` and the `write` or `toRecord` of its parts.
//!
//! Everything is taken apart by name, so that a field that is added to the image cannot be forgotten here.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::ids::BrokerId;
use crate::metadata::{
    BROKER_RESOURCE, BrokerRegistration, MetadataImage, MetadataRecord, PartitionRegistration, TOPIC_RESOURCE,
    TopicImage,
};
use crate::node::Endpoint;

/// The feature that comes first, since it may bear on how the others are read (`FeaturesImage.writeFeatureLevels`).
const METADATA_VERSION: &str = "metadata.version";

impl MetadataImage {
    /// Records that make this image, in Kafka's order: features, brokers, topics with their partitions, configs, producer
    /// ids (of no broker in particular, `ProducerIdsImage.write`). Applied
    /// to an empty image they give this one again, but for its offset, which the snapshot's id tells.
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        // The names of topics follow from the topics, and the offset is in the snapshot's id.
        let MetadataImage { next_offset: _, brokers, topics, topic_ids: _, features, broker_configs, next_producer_id } =
            self;
        let mut records = Vec::new();
        let (first, others): (Vec<_>, Vec<_>) = features.iter().partition(|(name, _)| *name == METADATA_VERSION);
        for (name, level) in first.into_iter().chain(others) {
            records.push(MetadataRecord::FeatureLevel { name: name.clone(), level: *level });
        }
        records.extend(brokers.iter().map(|(id, broker)| broker.to_record(*id)));
        topics.values().for_each(|topic| topic.push_records(&mut records));
        for topic in topics.values() {
            push_configs(TOPIC_RESOURCE, topic.name.as_str(), &topic.configs, &mut records);
        }
        for (broker, configs) in broker_configs {
            push_configs(BROKER_RESOURCE, broker, configs, &mut records);
        }
        if *next_producer_id > 0 {
            let next_producer_id = *next_producer_id;
            records.push(MetadataRecord::ProducerIds { broker: -1, broker_epoch: -1, next_producer_id });
        }
        records
    }

    /// The image that a snapshot's records make, as of the snapshot's end.
    pub fn from_records(end_offset: i64, records: &[MetadataRecord]) -> MetadataImage {
        let mut image = MetadataImage::default();
        for record in records {
            // The records of a snapshot have no offsets in the log: each is as good as the snapshot's last.
            image.apply(image.next_offset, record);
        }
        image.next_offset = end_offset;
        image
    }
}

impl BrokerRegistration {
    fn to_record(&self, broker: BrokerId) -> MetadataRecord {
        let BrokerRegistration { broker_epoch, incarnation, endpoint, rack, fenced, in_controlled_shutdown } = self;
        let Endpoint { host, port } = endpoint;
        MetadataRecord::RegisterBroker {
            broker,
            incarnation: *incarnation,
            broker_epoch: *broker_epoch,
            host: host.clone(),
            port: *port,
            rack: rack.clone(),
            fenced: *fenced,
            in_controlled_shutdown: *in_controlled_shutdown,
        }
    }
}

impl TopicImage {
    fn push_records(&self, records: &mut Vec<MetadataRecord>) {
        // Configs come behind all topics.
        let TopicImage { name, topic_id, partitions, configs: _ } = self;
        records.push(MetadataRecord::Topic { name: name.clone(), topic_id: *topic_id });
        records.extend((0..).zip(partitions).map(|(index, partition)| partition.to_record(*topic_id, index)));
    }
}

impl PartitionRegistration {
    fn to_record(&self, topic_id: Uuid, partition: i32) -> MetadataRecord {
        let PartitionRegistration {
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
        } = self;
        MetadataRecord::Partition {
            topic_id,
            partition,
            replicas: replicas.clone(),
            isr: isr.clone(),
            removing_replicas: removing_replicas.clone(),
            adding_replicas: adding_replicas.clone(),
            leader: *leader,
            leader_epoch: *leader_epoch,
            partition_epoch: *partition_epoch,
            leader_recovery_state: i8::from(*recovering),
            eligible_leader_replicas: elr.clone(),
            last_known_elr: last_known_elr.clone(),
        }
    }
}

fn push_configs(
    resource_type: i8,
    resource_name: &str,
    configs: &BTreeMap<String, String>,
    records: &mut Vec<MetadataRecord>,
) {
    records.extend(configs.iter().map(|(name, value)| MetadataRecord::Config {
        resource_type,
        resource_name: resource_name.to_string(),
        name: name.clone(),
        value: Some(value.clone()),
    }));
}
