//! The rules of the metadata state machine: pure functions from an image and a request to records and an answer.
//!
//! Nothing here appends, answers or looks at a clock; [`super::Controller`] does. One rule, one function, named and
//! sourced as in Kafka (`ReplicationControlManager`, `ClusterControlManager`, `BrokerHeartbeatManager`).

pub mod alter_configs;
pub mod alter_partition;
pub mod broker_state;
pub mod config_values;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_topics;
pub mod elect_leaders;
pub mod election;
pub mod eligible_leaders;
pub mod heartbeat;
pub mod placement;
pub mod producer_ids;
pub mod reassignment;
pub mod rebalance;
pub mod registration;
pub mod sessions;

use kafka_protocol::ResponseError;

use crate::config::BrokerConfig;
use crate::event::Event;
use crate::ids::{BrokerId, NO_BROKER};
use crate::metadata::{EffectiveTopicConfig, MetadataImage, MetadataRecord, TopicImage};
use crate::zoo::Zoo;

/// What every rule sees: the image after all records appended so far, committed or not, and the configuration.
#[derive(Clone, Copy)]
pub struct Cluster<'a> {
    /// The speculative image.
    pub image: &'a MetadataImage,
    /// The controller's configuration, default for topics.
    pub config: &'a BrokerConfig,
    /// Switches of the bug zoo.
    pub zoo: Zoo,
}

/// What a rule decided: records that belong together (one atomic batch), and what to write into the trace beside them.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// To be appended in this order.
    pub records: Vec<MetadataRecord>,
    /// Refusals, which have no record.
    pub refusals: Vec<Event>,
    /// Elections among the records were asked for in favour of the preferred replica.
    pub preferred_election: bool,
    /// A registration among the records follows an orderly shutdown (or an empty disk).
    pub clean_registration: bool,
}

impl Decision {
    /// Nothing but these records.
    pub fn of(records: Vec<MetadataRecord>) -> Self {
        Decision { records, ..Decision::default() }
    }
}

impl Cluster<'_> {
    /// `STALE_BROKER_EPOCH` unless the broker is registered with this epoch.
    /// Source: `ClusterControlManager.checkBrokerEpoch`.
    pub fn check_broker_epoch(&self, broker: BrokerId, broker_epoch: i64) -> Result<(), ResponseError> {
        match self.image.brokers.get(&broker) {
            Some(registration) if registration.broker_epoch == broker_epoch => Ok(()),
            _ => Err(ResponseError::StaleBrokerEpoch),
        }
    }

    /// `unclean.leader.election.enable`: the topic's own, else that of all brokers, else the controller's.
    /// Source: `ConfigurationControlManager.uncleanLeaderElectionEnabledForTopic`.
    pub fn unclean_election_is_allowed(&self, topic: &TopicImage) -> bool {
        self.topic_config(topic).unclean_leader_election_enable
    }

    /// What the topic's configuration amounts to here. Source: `ConfigurationControlManager.getTopicConfig`; a config of
    /// the controller's own node id, which Kafka would put before that of all brokers, is not looked at.
    pub fn topic_config(&self, topic: &TopicImage) -> EffectiveTopicConfig {
        self.image.effective_config_of_topic(NO_BROKER, self.config, topic)
    }

    /// Does it lead any partition? Source: `BrokersToIsrs.hasLeaderships`.
    pub fn has_leaderships(&self, broker: BrokerId) -> bool {
        self.image.topics.values().any(|topic| topic.partitions.iter().any(|p| p.leader == broker))
    }
}
