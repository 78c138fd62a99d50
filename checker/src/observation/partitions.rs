//! The controller's word on a partition, whole: as it stood, as it stands, and what is known of why.

use serde::{Deserialize, Serialize};

use super::Partition;
use crate::settings::TopicSettings;

/// A partition as the metadata log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// Assigned replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those of them that a reassignment brings.
    pub adding: Vec<i32>,
    /// Those of them that a reassignment takes away.
    pub removing: Vec<i32>,
    /// The in-sync replicas.
    pub isr: Vec<i32>,
    /// The eligible leader replicas (KIP-966).
    pub elr: Vec<i32>,
    /// The last known eligible leader replicas (KIP-966).
    pub last_known_elr: Vec<i32>,
    /// The leader; -1: none.
    pub leader: i32,
    /// The leader epoch.
    pub leader_epoch: i32,
    /// The partition epoch.
    pub partition_epoch: i32,
    /// The leader was elected uncleanly and has not said yet that it has recovered (KIP-704).
    pub recovering: bool,
}

/// A change of a partition, decided by a controller and committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionChange {
    /// The partition.
    pub partition: Partition,
    /// As it stood.
    pub before: PartitionState,
    /// As it stands from here on.
    pub after: PartitionState,
    /// What its topic promised when this was decided.
    pub promised: TopicSettings,
    /// The broker that goes: a record of the same batch fences it, begins its controlled shutdown, or registers its next
    /// incarnation.
    pub going: Option<Going>,
    /// The controller said that this was a preferred election, or that it was none. `None`: it is not known.
    pub preferred: Option<bool>,
}

/// A broker that the controller takes out of what it was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Going {
    /// The broker.
    pub broker: i32,
    /// Its next incarnation came without the mark of an orderly stop, so its disk may have lost something. `None`: it is not
    /// known.
    pub uncleanly: Option<bool>,
}
