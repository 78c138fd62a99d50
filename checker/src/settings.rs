//! What was promised: the part of a trial's configuration that decides between BUG and ALLOWED.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::observation::Time;

/// The configuration of one trial as far as verdicts depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// By topic name, until [`crate::Observation::TopicSettingsChanged`] tells otherwise. A topic that is not here has
    /// [`TopicSettings::default`].
    pub topics: BTreeMap<String, TopicSettings>,
    /// By producer number. One that is not here has [`ProducerSettings::default`].
    pub producers: BTreeMap<u32, ProducerSettings>,
    /// By consumer number. One that is not here has [`ConsumerSettings::default`].
    pub consumers: BTreeMap<u32, ConsumerSettings>,
    /// By consumer number: those that are members of groups.
    pub members: BTreeMap<u32, MemberSettings>,
    /// So long after all faults have healed a group may take for what is in [`crate::Waiting`], in nanoseconds.
    pub group_recovery: Time,
    /// So long after a member of the in-sync replicas is late its leader may take to ask for its leaving, in nanoseconds.
    pub late_member: Time,
    /// How often the controller looks for partitions that their preferred replicas do not lead, in nanoseconds
    /// (`leader.imbalance.check.interval.seconds`).
    pub imbalance_check_interval: Time,
    /// Whoever leaves the in-sync replicas begins a new leader epoch: the rule of metadata versions before 3.6 (KAFKA-15021).
    pub leader_epoch_rises_on_shrink: bool,
    /// A switch of the bug zoo is on that does harm: a lost or changed record is then a BUG even where a rule would allow it.
    pub zoo_on: bool,
    /// Names of brokers; `b1` for broker 1 where none is given.
    pub broker_names: BTreeMap<i32, String>,
    /// Names of controllers by node id; `c1` for node 1 where none is given.
    pub controller_names: BTreeMap<i32, String>,
    /// The metadata quorum.
    pub quorum: QuorumSettings,
    /// Names of producers; `p1` for producer 1 where none is given.
    pub producer_names: BTreeMap<u32, String>,
    /// Names of consumers; `c1` for consumer 1 where none is given.
    pub consumer_names: BTreeMap<u32, String>,
    /// Kinds of fault that were scheduled: the trial is vacuous if one never took effect. Matched against
    /// `FaultTookEffect`; `crash`, `power-loss` and `restart` are also known from the brokers' own observations.
    pub expected_fault_kinds: Vec<String>,
}

/// The metadata quorum, and what happens in a bounded time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumSettings {
    /// Node ids of the voters. Empty: nothing is known of the quorum, and nothing of it is judged.
    pub voters: Vec<i32>,
    /// So long a leader may go on without hearing from a majority of the voters, in nanoseconds.
    pub without_majority: Time,
    /// So long after all faults have healed anything in [`crate::Waiting`] may take, in nanoseconds.
    pub recovery: Time,
}

impl QuorumSettings {
    /// How many voters are a majority.
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }
}

/// What a topic promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSettings {
    /// How many replicas each partition has.
    pub replication_factor: i16,
    /// `min.insync.replicas`
    pub min_insync_replicas: i32,
    /// `unclean.leader.election.enable`
    pub unclean_leader_election_enable: bool,
    /// Eligible leader replicas (KIP-966) are on.
    pub eligible_leader_replicas: bool,
}

impl Default for TopicSettings {
    fn default() -> Self {
        TopicSettings {
            replication_factor: 3,
            min_insync_replicas: 1,
            unclean_leader_election_enable: false,
            eligible_leader_replicas: false,
        }
    }
}

impl TopicSettings {
    /// `min.insync.replicas`, but never more than there are replicas (`Partition.effectiveMinIsr`).
    pub fn effective_min_insync_replicas(&self) -> i32 {
        self.min_insync_replicas.min(self.replication_factor.into()).max(1)
    }
}

/// What a producer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerSettings {
    /// `acks`: 0, 1 or -1 (all).
    pub acks: i16,
    /// `enable.idempotence`
    pub idempotent: bool,
    /// `max.in.flight.requests.per.connection`
    pub max_in_flight: u32,
    /// `delivery.timeout.ms`, in nanoseconds.
    pub delivery_timeout: Time,
}

impl Default for ProducerSettings {
    fn default() -> Self {
        ProducerSettings { acks: -1, idempotent: true, max_in_flight: 5, delivery_timeout: 120_000_000_000 }
    }
}

/// How a consumer gets its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// By assignment, not by a group: nothing but a reset moves its position.
    pub manual: bool,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        ConsumerSettings { manual: true }
    }
}

/// How a member of a group reads, and when it commits what it has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSettings {
    /// The group.
    pub group: Arc<str>,
    /// The topics that it means to read.
    pub topics: Vec<String>,
    /// When it commits.
    pub commits: Commits,
    /// Where it begins without a committed offset.
    pub reset: Reset,
    /// It keeps its partitions while its classic group rebalances (KIP-429).
    pub cooperative: bool,
    /// `group.instance.id`
    pub instance: Option<Arc<str>>,
}

/// When a member commits what it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Commits {
    /// The client does from time to time, what earlier polls gave (`enable.auto.commit`).
    Auto,
    /// Before it processes: at most once.
    Before,
    /// After it has processed: at least once.
    After,
    /// Never.
    Never,
}

/// `auto.offset.reset`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// At the beginning.
    Earliest,
    /// At the end: what was written before is passed over.
    Latest,
    /// It fails.
    None,
}

impl Settings {
    /// What a topic promises.
    pub fn topic(&self, name: &str) -> TopicSettings {
        self.topics.get(name).copied().unwrap_or_default()
    }
    /// What a producer asked for.
    pub fn producer(&self, producer: u32) -> ProducerSettings {
        self.producers.get(&producer).copied().unwrap_or_default()
    }
    /// How a consumer gets its partitions.
    pub fn consumer(&self, consumer: u32) -> ConsumerSettings {
        self.consumers.get(&consumer).copied().unwrap_or_default()
    }
    /// A broker's name.
    pub fn broker_name(&self, broker: i32) -> String {
        self.broker_names.get(&broker).cloned().unwrap_or_else(|| format!("b{broker}"))
    }
    /// A controller's name.
    pub fn controller_name(&self, controller: i32) -> String {
        self.controller_names.get(&controller).cloned().unwrap_or_else(|| format!("c{controller}"))
    }
    /// A producer's name.
    pub fn producer_name(&self, producer: u32) -> String {
        self.producer_names.get(&producer).cloned().unwrap_or_else(|| format!("p{producer}"))
    }
    /// A consumer's name.
    pub fn consumer_name(&self, consumer: u32) -> String {
        self.consumer_names.get(&consumer).cloned().unwrap_or_else(|| format!("c{consumer}"))
    }
}
