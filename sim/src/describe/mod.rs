//! The cluster at an instant: what Kafka's tools would print, and below it what each node really has.
//!
//! | section | Kafka's tool | below it |
//! |---|---|---|
//! | [`QuorumDescription`] | `kafka-metadata-quorum describe --status` and `--replication` | every controller as it is |
//! | [`BrokerDescription`] | none has it all | what each broker has replayed |
//! | [`TopicDescription`] | `kafka-topics --describe` | every replica as it is |
//! | [`GroupDescription`] | `kafka-consumer-groups --describe` | how long rebalances kept members from their work |
//!
//! What a tool says is what the active controller holds to be true at that instant; what the nodes have is the truth in
//! the World, which no tool could show.

mod brokers;
mod groups;
mod quorum;
mod topics;

use trial_kafka::broker::LifecycleState;
use trial_kafka::controller::QuorumRole;
use uuid::Uuid;

use crate::world::Power;

pub use self::brokers::{BrokerDescription, brokers};
pub use self::groups::{GroupDescription, MemberDescription, OffsetDescription, groups};
pub use self::quorum::{ControllerDescription, LeaderDescription, QuorumDescription, ReplicaState, quorum};
pub use self::topics::{PartitionDescription, ReplicaDescription, TopicDescription, topics};

/// The state of a machine in a word.
pub fn power_name(power: Power) -> &'static str {
    match power {
        Power::Running => "running",
        Power::Paused => "paused",
        Power::Dead => "dead",
        Power::Off => "off",
    }
}

/// What a controller takes itself for.
pub fn role_name(role: QuorumRole) -> &'static str {
    match role {
        QuorumRole::None => "none",
        QuorumRole::Unattached => "unattached",
        QuorumRole::Prospective => "prospective",
        QuorumRole::Candidate => "candidate",
        QuorumRole::Leader => "leader",
        QuorumRole::Follower { .. } => "follower",
        QuorumRole::Resigned => "resigned",
        QuorumRole::Observer => "observer",
    }
}

/// Where a broker takes itself to stand (`BrokerState`).
pub fn lifecycle_name(state: LifecycleState) -> &'static str {
    match state {
        LifecycleState::Starting => "starting",
        LifecycleState::Recovery => "recovery",
        LifecycleState::Running => "running",
        LifecycleState::PendingControlledShutdown => "pending-controlled-shutdown",
        LifecycleState::ShuttingDown => "shutting-down",
    }
}

/// An id as Kafka prints it (`org.apache.kafka.common.Uuid.toString`): URL-safe Base64 without padding.
pub fn kafka_uuid(id: Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = id.as_u128();
    // 21 characters of six bits; the last two bits stand at the top of the 22nd.
    let sextets = (1..=21).map(|nth| bits >> (128 - 6 * nth)).chain([bits << 4]);
    sextets.map(|sextet| char::from(ALPHABET[(sextet & 63) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_printed_as_kafka_does() {
        // Kafka's own names for its two reserved ids, Uuid.ZERO_UUID and Uuid.METADATA_TOPIC_ID.
        assert_eq!(kafka_uuid(Uuid::from_u128(0)), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(kafka_uuid(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(kafka_uuid(Uuid::from_u128(u128::MAX)), "_____________________w");
    }
}
