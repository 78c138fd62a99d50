//! Scenarios: what is run, and the TOML files that say so.
//!
//! ```text
//!   text ──▶ tree (keys, values, places) ──▶ overrides ──▶ sections ──▶ cross-checks ──▶ Scenario
//!                                                │                                         │
//!                                     ScenarioError: every problem, with its place      to_toml
//! ```
//!
//! A [`Scenario`] is a plain value with nothing left to look up: defaults are filled in, names checked. What the seed
//! draws is left: faults, and keys of which a range is given ([`Scenario::drawn_by`]). [`parse`] reads one, [`to_toml`] writes one that reads back equal, [`schema`] prints the format, [`builtin`] lists those that come
//! with the program.

mod admin;
mod builtin;
mod check;
mod consumers;
mod drawn;
mod error;
mod faults;
mod kafka;
mod parse;
mod read;
mod schema;
mod tree;
mod values;
mod write;

pub use admin::{ACTION_NAMES, AdminAction, AdminStep};
pub use builtin::builtin;
pub use consumers::{CommitStyle, ConsumerSpec};
pub use drawn::{DrawnKey, DrawnSection};
pub use error::{Place, Problem, ScenarioError, nearest};
pub use parse::parse;
pub use schema::{SchemaEntry, schema, schema_entries};
pub use write::to_toml;

pub use values::{DurationRange, parse_duration, show_duration};

use trial_kafka::config::{BrokerConfig, ConfigValue, ProducerConfig, TopicConfig};
use trial_kafka::ids::Topic;
use trial_kafka::node::{Command, Nanos};
use trial_kafka::zoo::Zoo;

use crate::fault::{Chaos, FaultSpec};

/// The version of the format that this program reads.
pub const FORMAT: i64 = 1;

/// What is run: a cluster, a workload, its surroundings, the faults, and what is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name: the file's, without directory and `.toml`, unless the file says another.
    pub name: String,
    /// The one idea, in a line.
    pub about: String,
    /// Bugs of the past that are brought back.
    pub zoo: Zoo,
    /// The servers.
    pub cluster: Cluster,
    /// The topics, created during the warm-up. At least one.
    pub topics: Vec<TopicSpec>,
    /// Who writes.
    pub producers: Vec<ProducerSpec>,
    /// Who reads.
    pub consumers: Vec<ConsumerSpec>,
    /// The links.
    pub network: Network,
    /// Kafka's keys that the seed draws, in the order of the file; in the sections they have their defaults.
    pub drawn: Vec<DrawnKey>,
    /// Every broker's disk.
    pub disk: DiskModel,
    /// How long.
    pub phases: Phases,
    /// Faults that are written down, in the order of the file.
    pub faults: Vec<FaultSpec>,
    /// What an administrator does meanwhile, in the order of the file.
    pub admin: Vec<AdminStep>,
    /// Faults that the seed draws.
    pub chaos: Option<Chaos>,
    /// What the verdict must say for the trial to pass, beyond "no BUG".
    pub expect: Expect,
}

/// The servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Brokers `b1` … `bN`, node.id 1 … N.
    pub brokers: u32,
    /// Controllers `c1` …, 1 to 5: the voters of the metadata quorum.
    pub controllers: u32,
    /// `process.roles=broker,controller`: the first `controllers` brokers are controllers too, and none stands alone.
    pub combined: bool,
    /// Names of racks, dealt out in turn: broker i stands in `racks[(i - 1) % racks.len()]`. Empty: no racks.
    pub racks: Vec<String>,
    /// Every server's configuration.
    pub config: BrokerConfig,
}

impl Cluster {
    /// The rack of a broker, if there are racks and it exists.
    pub fn rack_of(&self, broker: i32) -> Option<&str> {
        let index = u32::try_from(broker).ok().filter(|b| (1..=self.brokers).contains(b))? - 1;
        self.racks.get(index as usize % self.racks.len().max(1)).map(String::as_str)
    }

    /// The brokers of a rack, in order.
    pub fn brokers_in_rack(&self, rack: &str) -> Vec<i32> {
        self.broker_ids().filter(|&b| self.rack_of(b) == Some(rack)).collect()
    }

    /// Controllers with a machine of their own.
    pub fn own_controllers(&self) -> u32 {
        if self.combined { 0 } else { self.controllers }
    }

    /// What every server is started with. With fewer brokers than `offsets.topic.replication.factor` asks for by default, which
    /// is 3, that topic could never be created, and no group would find a coordinator: it then has a replica on each
    /// broker, as Kafka's own example of a single broker has it.
    pub fn server_config(&self) -> BrokerConfig {
        let mut config = self.config.clone();
        if config.offsets_topic_replication_factor == BrokerConfig::default().offsets_topic_replication_factor {
            config.offsets_topic_replication_factor = config.offsets_topic_replication_factor.min(self.brokers.into());
        }
        config
    }

    /// All brokers, in order.
    pub fn broker_ids(&self) -> impl Iterator<Item = i32> + use<> {
        1..=i32::try_from(self.brokers).unwrap_or(i32::MAX)
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster { brokers: 3, controllers: 1, combined: false, racks: Vec::new(), config: BrokerConfig::default() }
    }
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of each partition.
    pub replication_factor: i16,
    /// The brokers of each partition, the preferred leader first; empty: the controller places them.
    pub assignments: Vec<Vec<i32>>,
    /// Its own configuration.
    pub config: TopicConfig,
}

impl TopicSpec {
    /// What an admin client is told to create it.
    pub fn creation(&self) -> Command {
        Command::CreateTopic {
            topic: Topic::new(&self.name),
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            assignments: self.assignments.clone(),
            configs: self.config_entries(),
        }
    }

    /// The topic's own configuration as CreateTopics carries it: names and values as text, only what is set.
    pub fn config_entries(&self) -> Vec<(String, String)> {
        let value = |name: &str| {
            Some(match self.config.get(name)? {
                ConfigValue::Int(number) => number.to_string(),
                ConfigValue::Bool(yes) => yes.to_string(),
                ConfigValue::Text(text) => text,
            })
        };
        TopicConfig::KEYS.iter().filter_map(|key| Some((key.name.to_string(), value(key.name)?))).collect()
    }
}

/// One or more equal producers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerSpec {
    /// How many.
    pub count: u32,
    /// Topics it writes to, in turn.
    pub topics: Vec<String>,
    /// Records per second, of each producer.
    pub rate: u32,
    /// Records of each producer after which it stops; `None`: it goes on until the faults end.
    pub records: Option<u64>,
    /// Size of a value in bytes.
    pub value_bytes: u32,
    /// Number of different keys; `None`: records have no key, and the sticky partitioner chooses.
    pub keys: Option<u64>,
    /// Its configuration.
    pub config: ProducerConfig,
}

/// A place in a partition, for a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// This offset.
    Offset(i64),
    /// The log's start.
    Earliest,
    /// The high watermark.
    Latest,
    /// The first record that was written at or after this virtual time, by the clocks of the producers.
    Time(Nanos),
}

/// The links between all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// How long a message takes.
    pub latency: Latency,
}

/// How long a message takes one way: see [`crate::weather`]. `min <= typical <= max`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// At least.
    pub min: Nanos,
    /// The median.
    pub typical: Nanos,
    /// At most.
    pub max: Nanos,
    /// Messages of a thousand that take longer than usual.
    pub tail_per_mille: u32,
}

impl Default for Latency {
    fn default() -> Self {
        Latency { min: 200_000, typical: 500_000, max: 20_000_000, tail_per_mille: 10 }
    }
}

/// Every broker's disk, behind an operating system with a page cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskModel {
    /// How long an operation on the page cache takes.
    pub operation: DurationRange,
    /// How long a sync takes.
    pub sync: DurationRange,
    /// The operating system writes dirty pages back after this long: a loss of power takes only what is younger.
    pub writeback: Nanos,
}

impl Default for DiskModel {
    fn default() -> Self {
        DiskModel {
            operation: DurationRange { min: 2_000, max: 10_000 },
            sync: DurationRange { min: 1_000_000, max: 6_000_000 },
            writeback: 30_000_000_000,
        }
    }
}

/// The life of a trial, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// The cluster forms and the topics are created; no faults. From 0 to here.
    pub warm_up: Nanos,
    /// Workload and faults, from the end of the warm-up for this long.
    pub run: Nanos,
    /// Who is healed first once faults are over: before everybody is, a part may have to get on alone, which has as long to
    /// heal and to get on as everybody has after it.
    pub core: Core,
    /// Faults are over and everything is healed: at most this long until all partitions have leaders and full ISRs.
    pub heal: Nanos,
    /// Every client's operations are settled and every partition is read from its start: at most this long.
    pub drain: Nanos,
}

impl Phases {
    /// The virtual time at which faults end.
    pub fn faults_end(&self) -> Nanos {
        self.warm_up.saturating_add(self.run)
    }
}

impl Default for Phases {
    fn default() -> Self {
        const SECOND: Nanos = 1_000_000_000;
        Phases { warm_up: 4 * SECOND, run: 30 * SECOND, core: Core::Everybody, heal: 90 * SECOND, drain: 180 * SECOND }
    }
}

/// Who is healed when the faults end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Core {
    /// All at once.
    #[default]
    Everybody,
    /// First a random part that can do without the rest, and when that has got on, the rest too.
    Random,
}

impl Core {
    pub(crate) const NAMES: [(&'static str, Core); 2] = [("everybody", Core::Everybody), ("random", Core::Random)];

    /// As scenario files have it.
    pub fn name(self) -> &'static str {
        Core::NAMES.iter().find(|(_, core)| *core == self).map_or("", |(name, _)| name)
    }
}

/// What the verdict must say. Codes are those of the checker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// Findings that must not be there, of whichever class.
    pub never: Vec<String>,
    /// Findings of which at least one must be there; empty: nothing is asked.
    pub any: Vec<String>,
    /// With a switch of the zoo on, what the configuration allows stays allowed. Scenarios that are made for a switch keep
    /// Kafka's promise, and what they lose the switch has caused; one that is drawn may have no such promise to keep.
    pub as_configured: bool,
}

/// The codes of findings that `[expect]` may name: the checker's names (checker.md), in its order.
pub const FINDING_CODES: &[&str] = &[
    "inconsistent-offsets",
    "duplicate",
    "lost-write",
    "unseen",
    "poll-skip",
    "nonmonotonic-poll",
    "int-poll-skip",
    "int-nonmonotonic-poll",
    "nonmonotonic-send",
    "int-nonmonotonic-send",
    "int-send-skip",
    "phantom-read",
    "wrong-partition",
    "corrupt-record",
    "ack-offset-mismatch",
    "realtime-append-inversion",
    "g1a",
    "non-monotonic-view",
    "group-skip",
    "group-rewind",
    "out-of-assignment-read",
    "dual-ownership",
    "commit-beyond-position",
    "commit-regression",
    "zombie-commit",
    "needless-rejoin",
    "redelivery",
    "group-epoch-regression",
    "commit-beyond-log-end",
    "coordinator-divergence",
    "stuck",
    "dropped-unpromised",
    "log-mismatch",
    "committed-truncated",
    "unsafe-election",
    "unclean-election",
    "ack-before-committed",
    "producer-sequence",
    "leader-not-in-isr",
    "two-leaders-one-epoch",
    "epoch-regression",
    "high-watermark-beyond-log-end",
    "high-watermark-back",
    "internal-assertion",
    "wrong-isr-asked",
    "wrong-partition-change",
    "false-word",
    "wrong-answer",
    "fetch-mismatch",
    "wrong-step",
    "fenced-in-isr",
    "replica-sets",
    "broker-epoch-regression",
    "broker-epoch-changed",
    "quorum-split",
    "commit-without-majority",
    "metadata-divergence",
    "quorum-epoch-regression",
    "quorum-high-watermark",
    "voted-twice",
    "leader-loaded-snapshot",
    "snapshot-gap",
    "checker-disagreement",
];
