//! The async admin client.

use std::sync::Arc;

use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{Command, Outcome};

use crate::client::Client;
use crate::error::ClientError;

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    topic: Topic,
    partitions: i32,
    replication_factor: i16,
    configs: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic with one partition and three replicas.
    pub fn named(topic: &str) -> Self {
        NewTopic { topic: Topic::new(topic), partitions: 1, replication_factor: 3, configs: Vec::new() }
    }
    /// With so many partitions.
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = partitions;
        self
    }
    /// With so many replicas of each.
    pub fn replication_factor(mut self, replication_factor: i16) -> Self {
        self.replication_factor = replication_factor;
        self
    }
    /// With a configuration of its own, by Kafka's names.
    pub fn config(mut self, name: &str, value: &str) -> Self {
        self.configs.push((name.to_string(), value.to_string()));
        self
    }
}

/// An admin client in a process of its own. Dropping it ends the process.
pub struct AdminClient {
    client: Arc<Client>,
}

impl AdminClient {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        AdminClient { client }
    }
    /// Creates a topic. As in Kafka, `TOPIC_ALREADY_EXISTS` may mean that an earlier attempt of this very call, whose
    /// answer was lost, has created it.
    pub async fn create_topic(&self, topic: NewTopic) -> Result<(), ClientError> {
        let NewTopic { topic, partitions, replication_factor, configs } = topic;
        let assignments = Vec::new();
        let create = Command::CreateTopic { topic, partitions, replication_factor, assignments, configs };
        self.client.ask(create).done().await
    }
    /// The first offset of a partition.
    pub async fn earliest_offset(&self, partition: TopicPartition) -> Result<i64, ClientError> {
        self.list_offset(partition, -2).await
    }
    /// The offset after the last one that consumers may read: the high watermark.
    pub async fn latest_offset(&self, partition: TopicPartition) -> Result<i64, ClientError> {
        self.list_offset(partition, -1).await
    }
    async fn list_offset(&self, partition: TopicPartition, timestamp: i64) -> Result<i64, ClientError> {
        match self.client.ask(Command::ListOffset { partition, timestamp }).outcome().await? {
            Outcome::Offset { offset, .. } => Ok(offset),
            other => unreachable!("a ListOffset is answered by Offset, not {other:?}"),
        }
    }
}
