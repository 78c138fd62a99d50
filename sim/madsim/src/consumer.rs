//! The async consumer of assigned partitions.

use std::sync::Arc;
use std::time::Duration;

use trial_kafka::ids::TopicPartition;
use trial_kafka::node::{Command, ConsumedRecord, Outcome};

use crate::client::{Answer, Client};
use crate::error::ClientError;

/// What a poll gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// In order per partition; none if the wait ran out.
    pub records: Vec<ConsumedRecord>,
    /// Partitions without a position, with Kafka's error name.
    pub errors: Vec<(TopicPartition, String)>,
}

/// A consumer in a process of its own. Dropping it ends the process.
pub struct Consumer {
    client: Arc<Client>,
    /// A poll that was asked and whose records nobody has taken yet.
    polling: Option<Answer>,
}

impl Consumer {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Consumer { client, polling: None }
    }
    /// The node's name in the World, for faults: `a1`.
    pub fn name(&self) -> &str {
        self.client.name()
    }
    /// Consumes these partitions from now on, each from where it stands or else by `auto.offset.reset`.
    pub async fn assign(&self, partitions: impl IntoIterator<Item = TopicPartition>) -> Result<(), ClientError> {
        let partitions = partitions.into_iter().map(|partition| (partition, None)).collect();
        self.client.ask(Command::Assign { partitions }).done().await
    }
    /// Consumes these partitions from now on, from these offsets.
    pub async fn assign_from(
        &self,
        positions: impl IntoIterator<Item = (TopicPartition, i64)>,
    ) -> Result<(), ClientError> {
        let partitions = positions.into_iter().map(|(partition, offset)| (partition, Some(offset))).collect();
        self.client.ask(Command::Assign { partitions }).done().await
    }
    /// Takes what was fetched; waits until there is at least one record, at most so long. Nothing is lost if the future is
    /// dropped before its end: the next poll then goes on with that one and its wait.
    pub async fn poll(&mut self, max_wait: Duration) -> Result<Polled, ClientError> {
        let max_wait_ms = i64::try_from(max_wait.as_millis()).unwrap_or(i64::MAX);
        let answer = self.polling.get_or_insert_with(|| self.client.ask(Command::Poll { max_wait_ms }));
        let outcome = answer.outcome().await;
        self.polling = None;
        match outcome? {
            Outcome::Polled { records, errors, .. } => Ok(Polled { records, errors }),
            other => unreachable!("a poll is answered by Polled, not {other:?}"),
        }
    }
}
