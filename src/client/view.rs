//! What a client knows of the cluster: brokers, topic ids, leaders and their epochs. Pure: answers in, knowledge out.
//!
//! Source: `Metadata`, `MetadataCache`; KIP-320 (leader epochs), KIP-516 (topic ids), KIP-951 (leaders in errors).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponseTopic};
use uuid::Uuid;

use crate::group::assignor::client::{PartitionsPerTopic, Racks};
use crate::ids::{BrokerId, NO_BROKER, Topic, TopicPartition};
use crate::node::Endpoint;

/// The leader of a partition, as far as a client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    /// The broker, one whose endpoint is known.
    pub(crate) broker: BrokerId,
    /// Its leader epoch, -1 if the broker that answered did not say.
    pub(crate) epoch: i32,
}

#[derive(Clone, Debug)]
struct TopicView {
    topic_id: Uuid,
    /// Why the last answer did not describe the topic; leader epochs seen before are kept for comparison.
    error: Option<ResponseError>,
    partitions: BTreeMap<i32, Leader>,
    /// The replicas of each partition that are alive.
    online: BTreeMap<i32, Vec<BrokerId>>,
    /// The replicas of each partition.
    replicas: BTreeMap<i32, Vec<BrokerId>>,
    is_internal: bool,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    brokers: BTreeMap<BrokerId, Endpoint>,
    racks: BTreeMap<BrokerId, String>,
    topics: BTreeMap<Topic, TopicView>,
    version: u64,
}

impl View {
    /// The brokers that the last answer named.
    pub(crate) fn brokers(&self) -> impl ExactSizeIterator<Item = (BrokerId, &Endpoint)> {
        self.brokers.iter().map(|(id, endpoint)| (*id, endpoint))
    }
    /// Where that broker listens.
    pub(crate) fn endpoint(&self, broker: BrokerId) -> Option<&Endpoint> {
        self.brokers.get(&broker)
    }
    /// The topic's id, if the topic is known.
    pub(crate) fn topic_id(&self, topic: &Topic) -> Option<Uuid> {
        self.known(topic).map(|t| t.topic_id)
    }
    /// The topic of that id, if it is known.
    pub(crate) fn topic_of(&self, topic_id: Uuid) -> Option<&Topic> {
        self.topics.iter().find(|(_, topic)| topic.topic_id == topic_id && topic.error.is_none()).map(|(name, _)| name)
    }
    /// The topics that are known and not Kafka's own.
    pub(crate) fn public_topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter().filter(|(_, topic)| topic.error.is_none() && !topic.is_internal).map(|(name, _)| name)
    }
    /// The partitions of those of these topics that are known, with the racks of their replicas.
    pub(crate) fn partitions_of<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>) -> PartitionsPerTopic {
        let racks = |replicas: &Vec<BrokerId>| -> Racks {
            replicas.iter().filter_map(|broker| self.racks.get(broker).cloned()).collect()
        };
        let known = topics.into_iter().filter_map(|topic| Some((topic, self.known(topic)?)));
        known.map(|(topic, of)| (topic.clone(), of.replicas.values().map(racks).collect())).collect()
    }
    /// How many partitions the topic has, if it is known.
    pub(crate) fn partition_count(&self, topic: &Topic) -> Option<i32> {
        self.known(topic).map(|t| t.partitions.len() as i32)
    }
    /// Why the topic is not known, if an answer said so.
    pub(crate) fn topic_error(&self, topic: &Topic) -> Option<ResponseError> {
        self.topics.get(topic)?.error
    }
    /// The leader of a partition, if it has one that can be reached.
    pub(crate) fn leader(&self, partition: &TopicPartition) -> Option<Leader> {
        let leader = *self.known(&partition.topic)?.partitions.get(&partition.partition)?;
        self.brokers.contains_key(&leader.broker).then_some(leader)
    }
    /// Has that partition a replica on that broker, alive and reachable (`Cluster.nodeIfOnline`)?
    pub(crate) fn is_online(&self, partition: &TopicPartition, broker: BrokerId) -> bool {
        let replicas = self.known(&partition.topic).and_then(|topic| topic.online.get(&partition.partition));
        self.brokers.contains_key(&broker) && replicas.is_some_and(|replicas| replicas.contains(&broker))
    }
    /// Grows with everything that is learnt.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }
    fn known(&self, topic: &Topic) -> Option<&TopicView> {
        self.topics.get(topic).filter(|t| t.error.is_none())
    }

    /// Takes in an answer. True if it leaves something open that another answer may tell: a topic that is not there
    /// yet, a partition without a leader.
    pub(crate) fn update(&mut self, answer: &MetadataResponse) -> bool {
        let brokers = answer.brokers.iter().filter_map(|b| {
            let port = u16::try_from(b.port).ok()?;
            Some((b.node_id.0, Endpoint { host: b.host.to_string(), port }))
        });
        self.brokers = brokers.collect();
        let rack = |b: &MetadataResponseBroker| Some((b.node_id.0, b.rack.as_ref()?.to_string()));
        self.racks = answer.brokers.iter().filter_map(rack).collect();
        self.version += 1;
        let mut open = false;
        for topic in &answer.topics {
            open |= self.update_topic(topic);
        }
        open
    }

    /// An answer that names every topic: others are no more.
    pub(crate) fn forget_all_but(&mut self, answer: &MetadataResponse) {
        let named: BTreeSet<&str> = answer.topics.iter().filter_map(|t| Some(t.name.as_ref()?.0.as_str())).collect();
        self.topics.retain(|topic, _| named.contains(topic.as_str()));
    }

    fn update_topic(&mut self, answer: &MetadataResponseTopic) -> bool {
        let Some(name) = &answer.name else { return false };
        let topic = Topic::new(name.0.as_str());
        let error = ResponseError::try_from_code(answer.error_code);
        let known = self.topics.entry(topic).or_insert_with(|| TopicView {
            topic_id: answer.topic_id,
            error: None,
            partitions: BTreeMap::new(),
            online: BTreeMap::new(),
            replicas: BTreeMap::new(),
            is_internal: false,
        });
        known.error = error;
        known.is_internal = answer.is_internal;
        if let Some(error) = error {
            return error.is_retriable();
        }
        if known.topic_id != answer.topic_id {
            // Another topic of that name: epochs of the old one say nothing (KIP-516).
            known.topic_id = answer.topic_id;
            known.partitions.clear();
            known.replicas.clear();
        }
        let mut open = false;
        for partition in &answer.partitions {
            let told = Leader { broker: partition.leader_id.0, epoch: partition.leader_epoch };
            let now_known = known.partitions.entry(partition.partition_index).or_insert(told);
            if is_not_older(told, *now_known) {
                *now_known = told;
            }
            open |= now_known.broker == NO_BROKER;
            let online = partition.replica_nodes.iter().filter(|b| !partition.offline_replicas.contains(b));
            let replicas = partition.replica_nodes.iter().map(|b| b.0).collect();
            known.replicas.insert(partition.partition_index, replicas);
            known.online.insert(partition.partition_index, online.map(|b| b.0).collect());
        }
        open
    }

    /// Takes a broker from an answer that is no metadata, until metadata says otherwise.
    pub(crate) fn learn_broker(&mut self, broker: BrokerId, endpoint: Endpoint) {
        self.brokers.entry(broker).or_insert(endpoint);
    }
    /// Takes a leader from an error answer of a broker that does not lead, if its epoch is news (KIP-951). True if so.
    pub(crate) fn learn_leader(&mut self, partition: &TopicPartition, leader: Leader) -> bool {
        let reachable = self.brokers.contains_key(&leader.broker);
        let Some(topic) = self.topics.get_mut(&partition.topic) else { return false };
        match topic.partitions.get_mut(&partition.partition) {
            Some(known) if reachable && leader.epoch > known.epoch => {
                *known = leader;
                self.version += 1;
                true
            }
            _ => false,
        }
    }
}

/// A client's view of a leader never goes back to an older epoch, whatever a broker that lags behind says. An answer
/// without an epoch (-1) is believed. Source: KIP-320, `Metadata.updateLatestMetadata`.
fn is_not_older(told: Leader, known: Leader) -> bool {
    told.epoch < 0 || told.epoch >= known.epoch
}
