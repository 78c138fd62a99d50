//! The names by which nodes speak of topics, partitions and each other.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A topic's name. Cloning is cheap, and so is comparing clones.
#[derive(Clone, Eq, Hash, Serialize, Deserialize)]
#[allow(clippy::derived_hash_with_manual_eq)] // equal names are equal, shared or not
pub struct Topic(Arc<str>);

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}
impl Ord for Topic {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}
impl PartialOrd for Topic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Topic {
    /// A topic of that name.
    pub fn new(name: &str) -> Self {
        Topic(Arc::from(name))
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl From<&str> for Topic {
    fn from(name: &str) -> Self {
        Topic::new(name)
    }
}
impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One partition of one topic. Shown as Kafka does: `orders-0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Topic,
    /// The partition's index in its topic, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub fn new(topic: &Topic, partition: i32) -> Self {
        TopicPartition { topic: topic.clone(), partition }
    }
    /// The partition's log directory under a broker's log dir, as Kafka names it. The inverse of [`Self::from_dir_name`].
    pub fn dir_name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }
    /// Reads a directory name back; `None` if it is not that of a partition.
    pub fn from_dir_name(dir: &str) -> Option<Self> {
        let (topic, partition) = dir.rsplit_once('-')?;
        Some(TopicPartition { topic: Topic::new(topic), partition: partition.parse().ok()? })
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A broker's `node.id`.
pub type BrokerId = i32;

/// No broker: the leader of a partition without one.
pub const NO_BROKER: BrokerId = -1;

/// A controller as `controller.quorum.bootstrap.servers` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerNode {
    /// `node.id`.
    pub id: i32,
    /// Where it is reached.
    pub endpoint: crate::node::Endpoint,
}
