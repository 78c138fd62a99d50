//! Clients as state machines: producer, consumer, admin.
//!
//! ```text
//!   Command ──▶ Producer │ Consumer │ Admin ──▶ Outcome
//!                  │ what to ask whom │
//!               Cluster: who leads what, one connection per broker
//!                  │
//!               Channel: one connection, calls in flight, back-off
//! ```
//!
//! Versions are fixed (`protocol::versions`), so there is no ApiVersions handshake.

mod admin;
mod admin_groups;
mod admin_requests;
pub(crate) mod backoff;
mod channel;
mod cluster;
mod consumer;
mod delete_records;
pub(crate) mod fetch_session;
mod list_offsets;
mod producer;
#[cfg(test)]
mod tests;
mod view;

use kafka_protocol::error::ResponseError;
use trial_storage::Disk;

use self::admin::Admin;
use self::consumer::Consumer;
use self::producer::Producer;
use crate::config::{ConsumerConfig, ProducerConfig};
use crate::ids::TopicPartition;
use crate::node::{Effects, Endpoint, Input, Lane, Nanos, Node, Now, Outcome};
use crate::zoo::Zoo;

pub use channel::{Channel, ChannelEvent, ChannelTimeouts, Ended, FailedCall};
pub use producer::{murmur2, partition_for_key};

/// A client's deferred steps: it has none.
#[derive(Clone, Debug)]
pub enum Step {}

/// What kind of client, with its configuration.
#[derive(Clone, Debug)]
pub enum Role {
    /// Takes `Command::Produce`.
    Producer(ProducerConfig),
    /// Takes `Command::Assign`, `Command::Subscribe`, `Command::Seek`, `Command::Poll`, `Command::Commit` and their like.
    Consumer(ConsumerConfig),
    /// Takes `Command::ListOffset` and everything that changes topics, configs, leaders and groups.
    Admin {
        /// `request.timeout.ms`; an operation is tried for twice as long (`default.api.timeout.ms`).
        request_timeout_ms: i64,
    },
}

/// What it takes to make a client.
#[derive(Clone, Debug)]
pub struct ClientSetup {
    /// `client.id`: what the host writes into request headers.
    pub client_id: String,
    /// `bootstrap.servers`.
    pub bootstrap: Vec<Endpoint>,
    /// What it does.
    pub role: Role,
    /// Bugs of the past that are brought back.
    pub zoo: Zoo,
}

/// A client. Commands that its role does not take, and any after `Command::Close`, end as [`Outcome::Refused`].
#[derive(Clone, Debug)]
pub struct Client {
    client_id: String,
    zoo: Zoo,
    part: Part,
}

#[derive(Clone, Debug)]
enum Part {
    Producer(Box<Producer>),
    Consumer(Box<Consumer>),
    Admin(Box<Admin>),
}

impl Client {
    /// A client that has not spoken to anybody yet.
    pub fn new(setup: ClientSetup) -> Self {
        let ClientSetup { client_id, bootstrap, role, zoo } = setup;
        let part = match role {
            Role::Producer(config) => Part::Producer(Box::new(Producer::new(config, bootstrap, zoo))),
            Role::Consumer(config) => Part::Consumer(Box::new(Consumer::new(config, bootstrap, zoo))),
            Role::Admin { request_timeout_ms } => Part::Admin(Box::new(Admin::new(request_timeout_ms, bootstrap))),
        };
        Client { client_id, zoo, part }
    }
    /// `client.id`.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }
    /// The bugs of the past that are brought back in it.
    pub fn zoo(&self) -> Zoo {
        self.zoo
    }
    /// Its configuration, if it is a producer.
    pub fn producer_config(&self) -> Option<&ProducerConfig> {
        match &self.part {
            Part::Producer(producer) => Some(producer.config()),
            Part::Consumer(_) | Part::Admin(_) => None,
        }
    }
    /// The epoch of the leader to which a consumer's position was found to belong (KIP-320), if it has one there.
    pub fn leader_epoch_followed(&self, partition: &TopicPartition) -> Option<i32> {
        match &self.part {
            Part::Consumer(consumer) => consumer.leader_epoch_followed(partition),
            Part::Producer(_) | Part::Admin(_) => None,
        }
    }
    /// Has a producer a batch in flight behind which others were acknowledged already? It may have to wait for `delivery.timeout.ms`:
    /// a leader that has come to know five batches since takes it for out of order, whether it stands in the log or not, and a
    /// batch that is not next is sent again as it is (`ProducerAppendInfo.checkSequence`, `TransactionManager.canRetry`).
    pub fn has_been_overtaken(&self) -> bool {
        match &self.part {
            Part::Producer(producer) => producer.has_been_overtaken(),
            Part::Consumer(_) | Part::Admin(_) => false,
        }
    }
    /// A producer that is the same but for this: the next batch of this partition, of which nothing is in flight, begins at
    /// that sequence. It takes 2^31 records to come to the last one.
    pub fn with_next_sequence(mut self, partition: &TopicPartition, sequence: i32) -> Self {
        if let Part::Producer(producer) = &mut self.part {
            producer.move_to_sequence(partition, sequence);
        }
        self
    }
}

impl Node for Client {
    fn lane(&self, _input: &Input) -> Lane {
        Lane::Request
    }
    fn handle(&mut self, now: Now, input: Input, _disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        if let Input::Request { conn, .. } = input {
            // Nobody has a reason to call a client.
            return fx.hang_up(conn);
        }
        match &mut self.part {
            Part::Producer(producer) => producer.handle(now, input, fx),
            Part::Consumer(consumer) => consumer.handle(now, input, fx),
            Part::Admin(admin) => admin.handle(now, input, fx),
        }
    }
    fn next_deadline(&self) -> Option<Nanos> {
        match &self.part {
            Part::Producer(producer) => producer.next_deadline(),
            Part::Consumer(consumer) => consumer.next_deadline(),
            Part::Admin(admin) => admin.next_deadline(),
        }
    }
}

/// The error of an operation that took too long, as Kafka's clients throw it: `TimeoutException`.
pub(crate) const TIMEOUT: &str = "TIMEOUT";
/// The error of an operation that ended because the client did.
pub(crate) const CLOSED: &str = "CLOSED";

fn refused_by_role() -> Outcome {
    Outcome::Refused { error: "INVALID_REQUEST".to_string() }
}
fn refused_when_closed() -> Outcome {
    Outcome::Refused { error: CLOSED.to_string() }
}

fn channel_timeouts(
    request_timeout_ms: i64,
    reconnect_backoff_ms: i64,
    reconnect_backoff_max_ms: i64,
) -> ChannelTimeouts {
    ChannelTimeouts { request_timeout_ms, reconnect_backoff_ms, reconnect_backoff_max_ms, ..ChannelTimeouts::default() }
}

/// Does the error mean that a client asked the wrong broker, so that newer metadata may help?
/// Source: the subclasses of `InvalidMetadataException`.
pub(crate) fn is_invalid_metadata(error: ResponseError) -> bool {
    use ResponseError::*;
    matches!(
        error,
        NotLeaderOrFollower
            | LeaderNotAvailable
            | ReplicaNotAvailable
            | UnknownTopicOrPartition
            | UnknownTopicId
            | InconsistentTopicId
            | KafkaStorageError
            | ListenerNotFound
            | FencedLeaderEpoch
            | NetworkException
    )
}
