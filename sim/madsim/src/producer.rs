//! The async producer.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{Belief, Command, Outcome};

use crate::client::Client;
use crate::error::SendError;

/// A record to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    topic: Topic,
    partition: Option<i32>,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<(String, Bytes)>,
}

impl Record {
    /// A record for a topic, without key and value; the partitioner chooses the partition.
    pub fn to(topic: &str) -> Self {
        Record { topic: Topic::new(topic), partition: None, key: None, value: None, headers: Vec::new() }
    }
    /// With this value.
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = Some(value.into());
        self
    }
    /// With this key: same key, same partition.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }
    /// Into this partition, whatever the key.
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }
    /// With one more header.
    pub fn header(mut self, name: &str, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.to_string(), value.into()));
        self
    }
}

/// What a producer was told of a record that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    /// Where it was sent.
    pub partition: TopicPartition,
    /// Its offset; `None` with `acks=0`, where nobody promised anything, and where the broker told none.
    pub offset: Option<i64>,
    /// Requests it was part of.
    pub attempts: u32,
}

/// A producer in a process of its own. Dropping it ends the process, once nobody waits for its sends any more.
pub struct Producer {
    client: Arc<Client>,
}

impl Producer {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Producer { client }
    }
    /// The node's name in the World, for faults: `a1`.
    pub fn name(&self) -> &str {
        self.client.name()
    }
    /// Sends a record: it is handed over at once, in the order of the calls; the future only waits until it is settled.
    pub fn send(&self, record: Record) -> impl Future<Output = Result<Produced, SendError>> + Send + use<> {
        let Record { topic, partition, key, value, headers } = record;
        let mut answer = self.client.ask(Command::Produce { topic, partition, key, value, headers });
        async move {
            match answer.outcome().await? {
                Outcome::Produced { partition, belief, attempts, error } => settled(partition, belief, attempts, error),
                other => unreachable!("a produce command is settled by Produced, not {other:?}"),
            }
        }
    }
}

fn settled(
    partition: Option<TopicPartition>,
    belief: Belief,
    attempts: u32,
    error: Option<String>,
) -> Result<Produced, SendError> {
    let error = error.unwrap_or_else(|| "UNKNOWN_SERVER_ERROR".to_string());
    match (belief, partition) {
        (Belief::Acked { offset }, Some(partition)) => {
            Ok(Produced { partition, offset: (offset >= 0).then_some(offset), attempts })
        }
        (Belief::Unpromised, Some(partition)) => Ok(Produced { partition, offset: None, attempts }),
        (Belief::Failed, _) => Err(SendError::Failed { error, attempts }),
        // Without a partition nothing was sent, so that nothing can be acknowledged.
        (Belief::Unknown | Belief::Acked { .. } | Belief::Unpromised, _) => Err(SendError::Unknown { error, attempts }),
    }
}
