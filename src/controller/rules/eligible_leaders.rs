//! Eligible leader replicas (KIP-966): whether the cluster has them, and what a topic's `min.insync.replicas` means.

use super::Cluster;
use super::election::EligibleLeaders;
use crate::config::BrokerConfig;
use crate::ids::Topic;
use crate::metadata::{ALL_BROKERS, BROKER_RESOURCE, MetadataRecord, TOPIC_RESOURCE, TopicImage};
use crate::zoo::Switch;

/// The feature that says which records and rules are in force, and its level: 4.1-IV1.
const METADATA_VERSION: (&str, i16) = ("metadata.version", 27);
/// The feature of KIP-966 (`EligibleLeaderReplicasVersion.FEATURE_NAME`); 0 is off and is not written.
const ELIGIBLE_LEADER_REPLICAS_VERSION: &str = "eligible.leader.replicas.version";
const MIN_IN_SYNC_REPLICAS: &str = "min.insync.replicas";

/// The first records of an empty metadata log: the features it was formatted with. A cluster with ELR has a cluster-wide
/// `min.insync.replicas` from its start, or the ELR would be judged by whatever the active controller's file says
/// (KAFKA-16540). Source: `ActivationRecordsGenerator.recordsForEmptyLog`.
pub fn bootstrap_records(config: &BrokerConfig) -> Vec<MetadataRecord> {
    let (name, level) = METADATA_VERSION;
    let mut records = vec![MetadataRecord::FeatureLevel { name: name.to_string(), level }];
    if let Ok(level @ 1..) = i16::try_from(config.eligible_leader_replicas_version) {
        records.push(MetadataRecord::FeatureLevel { name: ELIGIBLE_LEADER_REPLICAS_VERSION.to_string(), level });
        records.push(MetadataRecord::Config {
            resource_type: BROKER_RESOURCE,
            resource_name: ALL_BROKERS.to_string(),
            name: MIN_IN_SYNC_REPLICAS.to_string(),
            value: Some(config.min_insync_replicas.to_string()),
        });
    }
    records
}

impl Cluster<'_> {
    /// Has the log been bootstrapped?
    pub fn has_bootstrap_records(&self) -> bool {
        self.image.features.contains_key(METADATA_VERSION.0)
    }

    /// Source: `FeatureControlManager.isElrFeatureEnabled`.
    pub fn elr_feature_is_on(&self) -> bool {
        self.image.features.get(ELIGIBLE_LEADER_REPLICAS_VERSION).is_some_and(|level| *level > 0)
    }

    /// How the elections of this topic's partitions deal with eligible leaders. The zoo switch `last-replica-standing`
    /// brings back the controller before KIP-966, whatever the feature says: the last in-sync replica stays in the ISR
    /// and leads again when it is back, though it may have lost data.
    pub fn eligible_leaders(&self, topic: &TopicImage) -> EligibleLeaders {
        if !self.elr_feature_is_on() || self.zoo.on(Switch::LastReplicaStanding) {
            return EligibleLeaders::Off;
        }
        EligibleLeaders::On {
            min_isr: self.effective_min_isr(topic),
            fenced_last_known_leader: self.zoo.on(Switch::ElectFencedLastKnownLeader),
            removed_replicas_stay: self.zoo.on(Switch::RemovedReplicaStaysEligible),
        }
    }

    /// The topic's own `min.insync.replicas`, else the cluster's, else the controller's, and at most the replication
    /// factor. Source: `ReplicationControlManager.getTopicEffectiveMinIsr`.
    pub fn effective_min_isr(&self, topic: &TopicImage) -> usize {
        let of_cluster = || self.image.broker_configs.get(ALL_BROKERS)?.get(MIN_IN_SYNC_REPLICAS);
        let configured = topic.configs.get(MIN_IN_SYNC_REPLICAS).or_else(of_cluster).and_then(|v| v.parse().ok());
        let min_isr = configured.unwrap_or(self.config.min_insync_replicas);
        let replication_factor = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
        usize::try_from(min_isr).unwrap_or(0).min(replication_factor)
    }

    /// Follows a change of `min.insync.replicas`: who was kept eligible under the old value may lack what the ISR commits
    /// under the new one, so the topic's ELR (all topics', if the cluster's value changed) is cleared. Takes the records
    /// of the change and gives those to be appended after them in the same batch.
    /// Source: KAFKA-16540, `ConfigurationControlManager.createClearElrRecordsAsNeeded`.
    pub fn clear_elr_records_as_needed(&self, records: &[MetadataRecord]) -> Vec<MetadataRecord> {
        if !self.elr_feature_is_on() {
            return Vec::new();
        }
        let clears = |record: &MetadataRecord| match record {
            MetadataRecord::Config { resource_type, resource_name, name, .. } if name == MIN_IN_SYNC_REPLICAS => {
                let topic = (*resource_type == TOPIC_RESOURCE).then(|| Topic::new(resource_name));
                Some(MetadataRecord::ClearElr { topic })
            }
            _ => None,
        };
        records.iter().filter_map(clears).collect()
    }
}
