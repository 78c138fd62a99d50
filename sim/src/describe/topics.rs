//! The topics, in the form of `kafka-topics --describe`. Source of the form: `TopicCommand` in apache/kafka.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use trial_kafka::event::broker_list;
use trial_kafka::ids::{NO_BROKER, TopicPartition};
use trial_kafka::metadata::TopicImage;

use super::{kafka_uuid, power_name};
use crate::world::{Power, World};

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicDescription {
    /// Its name.
    pub topic: String,
    /// Its id, as Kafka prints it: 22 characters of URL-safe Base64.
    pub topic_id: String,
    /// Replicas of its first partition.
    pub replication_factor: u32,
    /// Its own configuration.
    pub configs: BTreeMap<String, String>,
    /// Its partitions.
    pub partitions: Vec<PartitionDescription>,
}

/// One partition as the controller has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionDescription {
    /// Its index.
    pub partition: i32,
    /// The leader; `None` if there is none.
    pub leader: Option<i32>,
    /// The leader epoch.
    pub leader_epoch: i32,
    /// The partition epoch.
    pub partition_epoch: i32,
    /// Assigned replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// In-sync replicas.
    pub isr: Vec<i32>,
    /// Eligible leader replicas.
    pub elr: Vec<i32>,
    /// Last known eligible leader replicas.
    pub last_known_elr: Vec<i32>,
    /// What each assigned broker really has.
    pub on_brokers: Vec<ReplicaDescription>,
}

/// One replica as its broker has it. Of a broker that is down: as it was when it went down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplicaDescription {
    /// The broker.
    pub broker: i32,
    /// `running`, `paused`, `dead` (the process) or `off` (the machine).
    pub state: &'static str,
    /// `leader` or `follower`, by its own belief; `None` if it has no such replica.
    pub role: Option<&'static str>,
    /// The leader epoch it knows.
    pub leader_epoch: Option<i32>,
    /// Its log end offset.
    pub log_end_offset: Option<i64>,
    /// Its high watermark.
    pub high_watermark: Option<i64>,
}

/// All topics in order of their names. Empty as long as the controller knows none.
pub fn topics(world: &World) -> Vec<TopicDescription> {
    let Some(image) = world.controller_image() else { return Vec::new() };
    let topics = image.topic_ids.values().filter_map(|id| image.topics.get(id));
    topics.map(|topic| describe_topic(world, topic)).collect()
}

fn describe_topic(world: &World, topic: &TopicImage) -> TopicDescription {
    let partitions = (0..).zip(&topic.partitions).map(|(partition, registration)| {
        let id = TopicPartition::new(&topic.name, partition);
        PartitionDescription {
            partition,
            leader: Some(registration.leader).filter(|leader| *leader != NO_BROKER),
            leader_epoch: registration.leader_epoch,
            partition_epoch: registration.partition_epoch,
            replicas: registration.replicas.clone(),
            isr: registration.isr.clone(),
            elr: registration.elr.clone(),
            last_known_elr: registration.last_known_elr.clone(),
            on_brokers: registration.replicas.iter().map(|broker| describe_replica(world, *broker, &id)).collect(),
        }
    });
    TopicDescription {
        topic: topic.name.to_string(),
        topic_id: kafka_uuid(topic.topic_id),
        replication_factor: topic.partitions.first().map_or(0, |p| p.replicas.len() as u32),
        configs: topic.configs.clone(),
        partitions: partitions.collect(),
    }
}

fn describe_replica(world: &World, broker: i32, id: &TopicPartition) -> ReplicaDescription {
    let replica = world.broker(broker).and_then(|b| b.partition(id));
    let state = world.broker_ix(broker).map_or(Power::Off, |ix| world.power(ix));
    ReplicaDescription {
        broker,
        state: power_name(state),
        role: replica.map(|r| if r.is_leader() { "leader" } else { "follower" }),
        leader_epoch: replica.map(|r| r.leader_epoch),
        log_end_offset: replica.map(|r| r.log_end_offset()),
        high_watermark: replica.map(|r| r.high_watermark()),
    }
}

impl fmt::Display for TopicDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let configs: Vec<String> = self.configs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        write!(
            f,
            "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}",
            self.topic,
            self.topic_id,
            self.partitions.len(),
            self.replication_factor,
            configs.join(",")
        )?;
        for p in &self.partitions {
            let leader = p.leader.map_or("none".to_string(), |leader| leader.to_string());
            write!(
                f,
                "\n\tTopic: {}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: {}\tLastKnownElr: {}",
                self.topic,
                p.partition,
                broker_list(&p.replicas),
                broker_list(&p.isr),
                broker_list(&p.elr),
                broker_list(&p.last_known_elr)
            )?;
        }
        Ok(())
    }
}
