//! The image: what replaying the metadata log from its start gives. A plain value.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::record::{MetadataRecord, PartitionChange};
use crate::conformance::PartitionRule;
use crate::ids::{BrokerId, NO_BROKER, Topic};
use crate::node::Endpoint;

/// A broker as the controller registered it (`BrokerRegistration`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// Offset of the registration record: rises with every new incarnation.
    pub broker_epoch: i64,
    /// The incarnation's random id.
    pub incarnation: Uuid,
    /// Where clients and other brokers reach it.
    pub endpoint: Endpoint,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// A fenced broker leads nothing and is in no ISR that is chosen from now on.
    pub fenced: bool,
    /// It asked to stop.
    pub in_controlled_shutdown: bool,
}

impl BrokerRegistration {
    /// Neither fenced nor in controlled shutdown (`ReplicationControlManager.isActive`).
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }
}

/// A partition as the controller sees it (`PartitionRegistration`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRegistration {
    /// Assigned replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// In-sync replicas.
    pub isr: Vec<BrokerId>,
    /// Eligible leader replicas (KIP-966).
    pub elr: Vec<BrokerId>,
    /// Last known eligible leader replicas (KIP-966).
    pub last_known_elr: Vec<BrokerId>,
    /// The leader, -1 for none.
    pub leader: BrokerId,
    /// Rises when a record sets the leader.
    pub leader_epoch: i32,
    /// Rises with every change record.
    pub partition_epoch: i32,
    /// The leader was elected uncleanly and has not finished recovering (KIP-704).
    pub recovering: bool,
    /// Replicas that the reassignment under way takes away; they are among `replicas` until it ends (KIP-455).
    pub removing_replicas: Vec<BrokerId>,
    /// Replicas that the reassignment under way brings; they are among `replicas` (KIP-455).
    pub adding_replicas: Vec<BrokerId>,
}

impl PartitionRegistration {
    /// Applies a change record. Source: `PartitionRegistration.merge`.
    pub fn merge(&mut self, change: &PartitionChange) {
        if let Some(replicas) = &change.replicas {
            self.replicas.clone_from(replicas);
        }
        if let Some(isr) = &change.isr {
            self.isr.clone_from(isr);
        }
        if let Some(elr) = &change.eligible_leader_replicas {
            self.elr.clone_from(elr);
        }
        if let Some(last_known) = &change.last_known_elr {
            self.last_known_elr.clone_from(last_known);
        }
        if let Some(removing) = &change.removing_replicas {
            self.removing_replicas.clone_from(removing);
        }
        if let Some(adding) = &change.adding_replicas {
            self.adding_replicas.clone_from(adding);
        }
        if let Some(state) = change.leader_recovery_state {
            self.recovering = state == 1;
        }
        if let Some(leader) = change.leader {
            self.leader = leader;
        }
        let sets_leader = change.leader.is_some() || !PartitionRule::LeaderEpochRisesOnlyWithTheLeader.holds();
        if sets_leader && PartitionRule::LeaderEpochRisesWithTheLeader.holds() {
            self.leader_epoch += 1;
        }
        if PartitionRule::PartitionEpochRises.holds() {
            self.partition_epoch += 1;
        }
    }
    /// Is a reassignment under way (`PartitionReassignmentReplicas.isReassignmentInProgress`)?
    pub fn is_reassigning(&self) -> bool {
        !self.removing_replicas.is_empty() || !self.adding_replicas.is_empty()
    }
    /// Has it a leader?
    pub fn has_leader(&self) -> bool {
        self.leader != NO_BROKER
    }
}

/// A topic and its partitions, by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Name.
    pub name: Topic,
    /// Id.
    pub topic_id: Uuid,
    /// Partitions; the index is the partition's number.
    pub partitions: Vec<PartitionRegistration>,
    /// Topic configs by Kafka's names.
    pub configs: BTreeMap<String, String>,
}

/// The cluster's metadata after replaying the log below `next_offset`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataImage {
    /// Offset of the next record to apply.
    pub next_offset: i64,
    /// Registered brokers.
    pub brokers: BTreeMap<BrokerId, BrokerRegistration>,
    /// Topics by id. Shared between clones until changed.
    pub topics: BTreeMap<Uuid, Arc<TopicImage>>,
    /// Topic ids by name.
    pub topic_ids: BTreeMap<Topic, Uuid>,
    /// Finalized features.
    pub features: BTreeMap<String, i16>,
    /// Dynamic configs of brokers by node id as text; those of [`ALL_BROKERS`] hold for all that have none of their own.
    pub broker_configs: BTreeMap<String, BTreeMap<String, String>>,
    /// The first producer id that no broker has been given (`ProducerIdsImage`).
    pub next_producer_id: i64,
}

/// Resource type of a topic in config records (`ConfigResource.Type.TOPIC`).
pub const TOPIC_RESOURCE: i8 = 2;
/// Resource type of a broker in config records (`ConfigResource.Type.BROKER`).
pub const BROKER_RESOURCE: i8 = 4;
/// Name of the broker resource that stands for every broker: the cluster-wide default.
pub const ALL_BROKERS: &str = "";

impl MetadataImage {
    /// Applies the record at `offset`, which must be `next_offset` or later (control records lie between).
    pub fn apply(&mut self, offset: i64, record: &MetadataRecord) {
        debug_assert!(offset >= self.next_offset);
        self.next_offset = offset + 1;
        match record {
            MetadataRecord::RegisterBroker {
                broker,
                incarnation,
                broker_epoch,
                host,
                port,
                rack,
                fenced,
                in_controlled_shutdown,
            } => {
                let registration = BrokerRegistration {
                    broker_epoch: *broker_epoch,
                    incarnation: *incarnation,
                    endpoint: Endpoint { host: host.clone(), port: *port },
                    rack: rack.clone(),
                    fenced: *fenced,
                    in_controlled_shutdown: *in_controlled_shutdown,
                };
                self.brokers.insert(*broker, registration);
            }
            MetadataRecord::UnregisterBroker { broker, .. } => {
                self.brokers.remove(broker);
            }
            MetadataRecord::BrokerRegistrationChange(change) => {
                if let Some(broker) = self.brokers.get_mut(&change.broker) {
                    if let Some(fenced) = change.fenced {
                        broker.fenced = fenced;
                    }
                    if let Some(shutting_down) = change.in_controlled_shutdown {
                        broker.in_controlled_shutdown = shutting_down;
                    }
                }
            }
            MetadataRecord::Topic { name, topic_id } => {
                let topic = TopicImage {
                    name: name.clone(),
                    topic_id: *topic_id,
                    partitions: Vec::new(),
                    configs: BTreeMap::new(),
                };
                self.topics.insert(*topic_id, Arc::new(topic));
                self.topic_ids.insert(name.clone(), *topic_id);
            }
            MetadataRecord::RemoveTopic { topic_id } => {
                if let Some(topic) = self.topics.remove(topic_id) {
                    self.topic_ids.remove(&topic.name);
                }
            }
            MetadataRecord::Partition {
                topic_id,
                partition: _,
                replicas,
                isr,
                removing_replicas,
                adding_replicas,
                leader,
                leader_epoch,
                partition_epoch,
                leader_recovery_state,
                eligible_leader_replicas,
                last_known_elr,
            } => {
                if let Some(topic) = self.topics.get_mut(topic_id) {
                    Arc::make_mut(topic).partitions.push(PartitionRegistration {
                        replicas: replicas.clone(),
                        isr: isr.clone(),
                        elr: eligible_leader_replicas.clone(),
                        last_known_elr: last_known_elr.clone(),
                        leader: *leader,
                        leader_epoch: *leader_epoch,
                        partition_epoch: *partition_epoch,
                        recovering: *leader_recovery_state == 1,
                        removing_replicas: removing_replicas.clone(),
                        adding_replicas: adding_replicas.clone(),
                    });
                }
            }
            MetadataRecord::PartitionChange(change) => {
                if let Some(topic) = self.topics.get_mut(&change.topic_id)
                    && let Some(partition) = Arc::make_mut(topic).partitions.get_mut(change.partition as usize)
                {
                    partition.merge(change);
                }
            }
            MetadataRecord::Config { resource_type, resource_name, name, value } => {
                self.apply_config(*resource_type, resource_name, name, value.as_deref())
            }
            MetadataRecord::FeatureLevel { name, level } => {
                self.features.insert(name.clone(), *level);
            }
            MetadataRecord::ProducerIds { next_producer_id, .. } => self.next_producer_id = *next_producer_id,
            MetadataRecord::NoOp => {}
            MetadataRecord::ClearElr { topic } => self.clear_elr(topic.as_ref()),
        }
    }

    /// A topic's configs go with the topic; a broker's stay, whether or not it is registered.
    fn apply_config(&mut self, resource_type: i8, resource: &str, name: &str, value: Option<&str>) {
        match resource_type {
            TOPIC_RESOURCE => {
                let topic = self.topic_ids.get(resource).and_then(|id| self.topics.get_mut(id));
                if let Some(topic) = topic {
                    set_config(&mut Arc::make_mut(topic).configs, name, value);
                }
            }
            BROKER_RESOURCE => {
                let configs = self.broker_configs.entry(resource.to_string()).or_default();
                set_config(configs, name, value);
                if configs.is_empty() {
                    self.broker_configs.remove(resource);
                }
            }
            _ => {}
        }
    }

    /// Each partition that changes gets a new partition epoch, as by a change record.
    /// Source: `ReplicationControlManager.removeTopicElrs`, `TopicDelta.replay(ClearElrRecord)`.
    fn clear_elr(&mut self, topic: Option<&Topic>) {
        let only = topic.map(|name| self.topic_ids.get(name).copied());
        for (id, topic) in &mut self.topics {
            let has_eligible = |p: &PartitionRegistration| !p.elr.is_empty() || !p.last_known_elr.is_empty();
            if only.is_some_and(|only| only != Some(*id)) || !topic.partitions.iter().any(has_eligible) {
                continue;
            }
            for partition in Arc::make_mut(topic).partitions.iter_mut().filter(|p| has_eligible(p)) {
                partition.merge(&PartitionChange {
                    eligible_leader_replicas: Some(Vec::new()),
                    last_known_elr: Some(Vec::new()),
                    ..PartitionChange::default()
                });
            }
        }
    }

    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.topic_ids.get(name)?)
    }
    /// A partition by topic id.
    pub fn partition(&self, topic_id: Uuid, partition: i32) -> Option<&PartitionRegistration> {
        self.topics.get(&topic_id)?.partitions.get(usize::try_from(partition).ok()?)
    }
    /// Is that broker registered and neither fenced nor shutting down?
    pub fn is_active(&self, broker: BrokerId) -> bool {
        self.brokers.get(&broker).is_some_and(BrokerRegistration::is_active)
    }
}

fn set_config(configs: &mut BTreeMap<String, String>, name: &str, value: Option<&str>) {
    match value {
        Some(value) => configs.insert(name.to_string(), value.to_string()),
        None => configs.remove(name),
    };
}
