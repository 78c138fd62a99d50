//! Kinds of metadata that can be late, and which of them a record of the metadata log is.
//!
//! They bear the names of the events by which the active controller tells the same change.

use trial_kafka::metadata::MetadataRecord;

/// A kind of change that the metadata log tells brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataKind {
    /// A broker was registered.
    BrokerRegistered,
    /// A broker was fenced, or its registration removed.
    BrokerFenced,
    /// A broker was unfenced.
    BrokerUnfenced,
    /// A broker began its controlled shutdown.
    BrokerShuttingDown,
    /// A topic was created.
    TopicCreated,
    /// A partition was placed.
    PartitionCreated,
    /// A topic was deleted.
    TopicDeleted,
    /// A partition changed its leader or lost it.
    LeaderChanged,
    /// A partition changed its in-sync replicas.
    IsrChanged,
    /// A partition changed its eligible leader replicas.
    EligibleLeadersChanged,
    /// A partition changed its replicas.
    ReassignmentChanged,
    /// A configuration changed.
    ConfigChanged,
}

impl MetadataKind {
    /// All, with their names.
    pub const NAMES: [(&'static str, MetadataKind); 12] = [
        ("broker-registered", MetadataKind::BrokerRegistered),
        ("broker-fenced", MetadataKind::BrokerFenced),
        ("broker-unfenced", MetadataKind::BrokerUnfenced),
        ("broker-shutting-down", MetadataKind::BrokerShuttingDown),
        ("topic-created", MetadataKind::TopicCreated),
        ("partition-created", MetadataKind::PartitionCreated),
        ("topic-deleted", MetadataKind::TopicDeleted),
        ("leader-changed", MetadataKind::LeaderChanged),
        ("isr-changed", MetadataKind::IsrChanged),
        ("eligible-leaders-changed", MetadataKind::EligibleLeadersChanged),
        ("reassignment-changed", MetadataKind::ReassignmentChanged),
        ("config-changed", MetadataKind::ConfigChanged),
    ];

    /// The name in scenario files.
    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Does this record tell such a change? One record may tell several.
    pub fn is_told_by(self, record: &MetadataRecord) -> bool {
        use MetadataKind::*;
        match record {
            MetadataRecord::RegisterBroker { .. } => self == BrokerRegistered,
            MetadataRecord::UnregisterBroker { .. } => self == BrokerFenced,
            MetadataRecord::BrokerRegistrationChange(change) => match self {
                BrokerFenced => change.fenced == Some(true),
                BrokerUnfenced => change.fenced == Some(false),
                BrokerShuttingDown => change.in_controlled_shutdown == Some(true),
                _ => false,
            },
            MetadataRecord::Topic { .. } => self == TopicCreated,
            MetadataRecord::Partition { .. } => self == PartitionCreated,
            MetadataRecord::RemoveTopic { .. } => self == TopicDeleted,
            MetadataRecord::Config { .. } => self == ConfigChanged,
            MetadataRecord::PartitionChange(change) => match self {
                LeaderChanged => change.leader.is_some(),
                IsrChanged => change.isr.is_some(),
                EligibleLeadersChanged => change.eligible_leader_replicas.is_some() || change.last_known_elr.is_some(),
                ReassignmentChanged => change.replicas.is_some(),
                _ => false,
            },
            _ => false,
        }
    }
}
