//! Configuration by Kafka's names, units and defaults.
//!
//! One macro declares each set, so that the parser of scenario files, the schema page and the code agree. A key that
//! Kafka knows and this model does not is listed in [`NOT_MODELLED`], and using it is an error that says so.

mod words;

use std::fmt;

pub use words::{
    AssignmentStrategies, BrokerCompression, GroupProtocol, ProducerCompression, ThrottledReplicas, TimestampType,
};

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A whole number.
    Int,
    /// A duration: a whole number of milliseconds, or text such as "5.2s".
    Millis,
    /// true or false.
    Bool,
    /// A word.
    Text,
}

impl ValueKind {
    /// In words, for messages.
    pub fn expected(self) -> &'static str {
        match self {
            ValueKind::Int => "a whole number",
            ValueKind::Millis => "a whole number of milliseconds",
            ValueKind::Bool => "true or false",
            ValueKind::Text => "a word",
        }
    }
}

/// A value given for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigValue {
    /// A whole number.
    Int(i64),
    /// true or false.
    Bool(bool),
    /// A word.
    Text(String),
}

/// Why a value was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No such key in this set.
    #[error("unknown key")]
    UnknownKey,
    /// The value has another type.
    #[error("expected {expected}")]
    WrongType {
        /// For instance "a whole number".
        expected: &'static str,
    },
    /// The value is impossible.
    #[error("{0}")]
    Impossible(String),
}

/// One key of a set.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// Kafka's name.
    pub name: &'static str,
    /// What it takes.
    pub kind: ValueKind,
    /// The default as text.
    pub default: &'static str,
    /// Meaning, in one line.
    pub about: &'static str,
}

/// Conversion from a given value, and back.
pub trait FromValue: Sized {
    /// Converts or says what was expected.
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError>;
    /// The value that gives this; `None` for "not set".
    fn to_value(&self) -> Option<ConfigValue>;
}
impl FromValue for i64 {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        match value {
            ConfigValue::Int(n) => Ok(*n),
            _ => Err(ConfigError::WrongType { expected: "a whole number" }),
        }
    }
    fn to_value(&self) -> Option<ConfigValue> {
        Some(ConfigValue::Int(*self))
    }
}
impl FromValue for bool {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        match value {
            ConfigValue::Bool(b) => Ok(*b),
            _ => Err(ConfigError::WrongType { expected: "true or false" }),
        }
    }
    fn to_value(&self) -> Option<ConfigValue> {
        Some(ConfigValue::Bool(*self))
    }
}
impl FromValue for Acks {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        match value {
            ConfigValue::Int(0) => Ok(Acks(0)),
            ConfigValue::Int(1) => Ok(Acks(1)),
            ConfigValue::Int(-1) => Ok(Acks(-1)),
            ConfigValue::Text(t) if t == "all" => Ok(Acks(-1)),
            _ => Err(ConfigError::WrongType { expected: "0, 1 or \"all\"" }),
        }
    }
    fn to_value(&self) -> Option<ConfigValue> {
        Some(match self.0 {
            n @ (0 | 1) => ConfigValue::Int(i64::from(n)),
            _ => ConfigValue::Text("all".to_owned()),
        })
    }
}
impl FromValue for String {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        match value {
            ConfigValue::Text(text) => Ok(text.clone()),
            // A name may consist of digits.
            ConfigValue::Int(n) => Ok(n.to_string()),
            ConfigValue::Bool(_) => Err(ConfigError::WrongType { expected: "a word" }),
        }
    }
    fn to_value(&self) -> Option<ConfigValue> {
        Some(ConfigValue::Text(self.clone()))
    }
}
impl FromValue for ReplicaSelector {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        let word = match value {
            ConfigValue::Text(text) => text.rsplit('.').next().unwrap_or_default(),
            _ => "",
        };
        match word {
            "LeaderSelector" => Ok(ReplicaSelector::Leader),
            "RackAwareReplicaSelector" => Ok(ReplicaSelector::RackAware),
            _ => Err(ConfigError::WrongType { expected: "\"LeaderSelector\" or \"RackAwareReplicaSelector\"" }),
        }
    }
    fn to_value(&self) -> Option<ConfigValue> {
        let word = match self {
            ReplicaSelector::Leader => "LeaderSelector",
            ReplicaSelector::RackAware => "RackAwareReplicaSelector",
        };
        Some(ConfigValue::Text(word.to_owned()))
    }
}
impl FromValue for OffsetReset {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        match value {
            ConfigValue::Text(t) if t.starts_with(BY_DURATION) => {
                let millis = milliseconds_of(&t[BY_DURATION.len()..]);
                millis.map(OffsetReset::ByDuration).ok_or(ConfigError::WrongType {
                    expected: "\"by_duration:\" and a duration as ISO 8601 has it, such as \"by_duration:PT30S\"",
                })
            }
            ConfigValue::Text(t) if t == "earliest" => Ok(OffsetReset::Earliest),
            ConfigValue::Text(t) if t == "latest" => Ok(OffsetReset::Latest),
            ConfigValue::Text(t) if t == "none" => Ok(OffsetReset::None),
            _ => {
                Err(ConfigError::WrongType { expected: "\"earliest\", \"latest\", \"none\" or \"by_duration:PT…S\"" })
            }
        }
    }
    fn to_value(&self) -> Option<ConfigValue> {
        let word = match self {
            OffsetReset::Earliest => "earliest",
            OffsetReset::Latest => "latest",
            OffsetReset::None => "none",
            OffsetReset::ByDuration(millis) => {
                let (seconds, rest) = (millis / 1_000, millis % 1_000);
                let fraction = if rest == 0 { String::new() } else { format!(".{rest:03}") };
                return Some(ConfigValue::Text(format!("{BY_DURATION}PT{seconds}{fraction}S")));
            }
        };
        Some(ConfigValue::Text(word.to_owned()))
    }
}

/// The producer's `acks`: 0, 1 or -1 (all).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acks(pub i16);
impl Acks {
    /// Wait for all in-sync replicas.
    pub const ALL: Acks = Acks(-1);
}
impl fmt::Display for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(crate::event::acks_name(self.0))
    }
}

/// The brokers' `replica.selector.class`: who is told to a consumer to read from (KIP-392). Its package may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaSelector {
    /// `org.apache.kafka.common.replica.LeaderSelector`, and what holds without one.
    Leader,
    /// `org.apache.kafka.common.replica.RackAwareReplicaSelector`: an in-sync replica in the consumer's rack.
    RackAware,
}

const BY_DURATION: &str = "by_duration:";

/// Milliseconds of a duration as ISO 8601 has it and `java.time.Duration` reads it: days, hours, minutes, seconds with a
/// fraction. `None` if it is no such thing, or negative.
fn milliseconds_of(text: &str) -> Option<i64> {
    let rest = text.strip_prefix(['P', 'p'])?;
    let (days, time) = rest.split_once(['T', 't']).map_or((rest, ""), |(days, time)| (days, time));
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    for (part, units) in [(days, &[('D', 86_400_000)][..]), (time, &[('H', 3_600_000), ('M', 60_000), ('S', 1_000)])] {
        let mut part = part;
        for (unit, millis) in units {
            let Some(at) = part.find([*unit, unit.to_ascii_lowercase()]) else { continue };
            let number = &part[..at];
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            if !fraction.is_empty() && *unit != 'S' {
                return None;
            }
            let whole: u32 = whole.parse().ok()?;
            let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
            let thousandths: u32 = thousandths.parse().ok()?;
            total = total.checked_add(i64::from(whole).checked_mul(*millis)?)?;
            total = total.checked_add(i64::from(thousandths) * millis / 1_000)?;
            part = &part[at + 1..];
        }
        if !part.is_empty() {
            return None;
        }
    }
    Some(total)
}

/// The consumer's `auto.offset.reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// From the log's start.
    Earliest,
    /// From the high watermark.
    Latest,
    /// Report the error.
    None,
    /// From the first record that is at most so many milliseconds old (KIP-1106).
    ByDuration(i64),
}

macro_rules! configs {
    ($(#[$doc:meta])* $set:ident { $( $name:literal $field:ident : $ty:ty = $default:expr, $kind:ident, $shown:literal, $about:literal; )* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $set {
            $( #[doc = concat!("`", $name, "`: ", $about)] pub $field: $ty, )*
        }
        impl Default for $set {
            fn default() -> Self { $set { $( $field: $default, )* } }
        }
        impl $set {
            /// Every key of the set, in order of declaration.
            pub const KEYS: &'static [ConfigKey] = &[
                $( ConfigKey { name: $name, kind: ValueKind::$kind, default: $shown, about: $about }, )*
            ];
            /// Sets one key by Kafka's name.
            pub fn set(&mut self, name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
                match name {
                    $( $name => self.$field = FromValue::from_value(value)?, )*
                    _ => return Err(ConfigError::UnknownKey),
                }
                Ok(())
            }
            /// Gives one key its default again; an unknown one is left alone.
            pub fn reset(&mut self, name: &str) {
                match name {
                    $( $name => self.$field = $default, )*
                    _ => {}
                }
            }
            /// The value of one key by Kafka's name, as [`Self::set`] takes it; `None` if it is not set or unknown.
            pub fn get(&self, name: &str) -> Option<ConfigValue> {
                match name {
                    $( $name => self.$field.to_value(), )*
                    _ => None,
                }
            }
        }
    };
}

configs! {
    /// A broker's or controller's configuration (`server.properties`). Times are milliseconds.
    BrokerConfig {
        "replica.lag.time.max.ms" replica_lag_time_max_ms: i64 = 30_000, Millis, "30000", "a follower that has not been caught up for this long leaves the ISR";
        "replica.fetch.wait.max.ms" replica_fetch_wait_max_ms: i64 = 500, Millis, "500", "longest wait of a follower's fetch at the leader";
        "replica.fetch.min.bytes" replica_fetch_min_bytes: i64 = 1, Int, "1", "bytes for which a follower's fetch waits";
        "replica.fetch.max.bytes" replica_fetch_max_bytes: i64 = 1_048_576, Int, "1048576", "bytes per partition of a follower's fetch";
        "replica.fetch.response.max.bytes" replica_fetch_response_max_bytes: i64 = 10_485_760, Int, "10485760", "most bytes of a whole answer to a follower's fetch";
        "leader.replication.throttled.rate" leader_replication_throttled_rate: i64 = i64::MAX, Int, "9223372036854775807", "bytes per second that a broker sends to throttled replicas outside the ISR (KIP-73)";
        "follower.replication.throttled.rate" follower_replication_throttled_rate: i64 = i64::MAX, Int, "9223372036854775807", "bytes per second that a broker fetches for its own throttled replicas that are behind (KIP-73)";
        "replica.fetch.backoff.ms" replica_fetch_backoff_ms: i64 = 1_000, Millis, "1000", "pause of a fetcher after an error";
        "num.replica.fetchers" num_replica_fetchers: i64 = 1, Int, "1", "fetchers of a broker for each broker that it follows";
        "replica.high.watermark.checkpoint.interval.ms" replica_high_watermark_checkpoint_interval_ms: i64 = 5_000, Millis, "5000", "how often high watermarks are written to disk";
        "broker.heartbeat.interval.ms" broker_heartbeat_interval_ms: i64 = 2_000, Millis, "2000", "pause between a broker's heartbeats";
        "broker.session.timeout.ms" broker_session_timeout_ms: i64 = 9_000, Millis, "9000", "silence after which the controller fences a broker";
        "request.timeout.ms" request_timeout_ms: i64 = 30_000, Millis, "30000", "longest wait for a response between servers";
        "min.insync.replicas" min_insync_replicas: i64 = 1, Int, "1", "in-sync replicas below which acks=all is refused and the high watermark stands";
        "unclean.leader.election.enable" unclean_leader_election_enable: bool = false, Bool, "false", "may a replica outside the ISR lead when nobody else can";
        "default.replication.factor" default_replication_factor: i64 = 1, Int, "1", "replicas of automatically created topics";
        "num.partitions" num_partitions: i64 = 1, Int, "1", "partitions of automatically created topics";
        "auto.create.topics.enable" auto_create_topics_enable: bool = true, Bool, "true", "create topics that clients ask for by name";
        "log.segment.bytes" log_segment_bytes: i64 = 1_073_741_824, Int, "1073741824", "size at which a segment file is rolled";
        "log.roll.ms" log_roll_ms: i64 = 604_800_000, Millis, "604800000", "age of a segment's first records at which it is rolled (Kafka's default says it in log.roll.hours)";
        "log.roll.jitter.ms" log_roll_jitter_ms: i64 = 0, Millis, "0", "by so much at most a segment is rolled earlier, each by an amount of its own";
        "log.index.interval.bytes" log_index_interval_bytes: i64 = 4_096, Int, "4096", "bytes between entries of the offset index";
        "log.flush.interval.messages" log_flush_interval_messages: i64 = i64::MAX, Int, "9223372036854775807", "records after which a partition is synced to disk";
        "log.flush.offset.checkpoint.interval.ms" log_flush_offset_checkpoint_interval_ms: i64 = 60_000, Millis, "60000", "how often recovery points are written";
        "log.flush.start.offset.checkpoint.interval.ms" log_flush_start_offset_checkpoint_interval_ms: i64 = 60_000, Millis, "60000", "how often log start offsets are written";
        "log.retention.ms" log_retention_ms: i64 = 604_800_000, Millis, "604800000", "age of its newest record at which a segment is deleted; -1: never (Kafka's default says it in log.retention.hours)";
        "log.retention.bytes" log_retention_bytes: i64 = -1, Int, "-1", "size of a partition's log beyond which its oldest segments are deleted; -1: never";
        "log.retention.check.interval.ms" log_retention_check_interval_ms: i64 = 300_000, Millis, "300000", "how often segments to delete are looked for";
        "producer.id.expiration.ms" producer_id_expiration_ms: i64 = 86_400_000, Millis, "86400000", "age of its last record at which a partition forgets an idempotent producer";
        "producer.id.expiration.check.interval.ms" producer_id_expiration_check_interval_ms: i64 = 600_000, Millis, "600000", "how often that is looked at";
        "message.max.bytes" message_max_bytes: i64 = 1_048_588, Int, "1048588", "largest record batch";
        "compression.type" compression_type: BrokerCompression = BrokerCompression::Producer, Text, "producer", "as what batches are kept: \"producer\" (as they came), \"uncompressed\", \"gzip\", \"snappy\", \"lz4\" or \"zstd\"";
        "compression.gzip.level" compression_gzip_level: i64 = -1, Int, "-1", "how hard gzip tries, 1 to 9; -1: 6";
        "log.message.timestamp.type" log_message_timestamp_type: TimestampType = TimestampType::CreateTime, Text, "CreateTime", "whose clock a record's timestamp is: the producer's (\"CreateTime\") or the leader's (\"LogAppendTime\")";
        "log.message.timestamp.before.max.ms" log_message_timestamp_before_max_ms: i64 = i64::MAX, Millis, "9223372036854775807", "how far a producer's timestamp may lie behind the leader's clock";
        "log.message.timestamp.after.max.ms" log_message_timestamp_after_max_ms: i64 = 3_600_000, Millis, "3600000", "how far a producer's timestamp may lie before the leader's clock";
        "max.incremental.fetch.session.cache.slots" max_incremental_fetch_session_cache_slots: i64 = 1_000, Int, "1000", "most fetch sessions of one broker (KIP-227)";
        "replica.selector.class" replica_selector_class: ReplicaSelector = ReplicaSelector::Leader, Text, "LeaderSelector", "who is told to a consumer to read from: \"LeaderSelector\" or \"RackAwareReplicaSelector\" (KIP-392)";
        "fetch.max.bytes" fetch_max_bytes: i64 = 57_671_680, Int, "57671680", "most bytes of one fetch response";
        "controlled.shutdown.enable" controlled_shutdown_enable: bool = true, Bool, "true", "move leadership away before stopping";
        "eligible.leader.replicas.version" eligible_leader_replicas_version: i64 = 1, Int, "1", "1: replicas that leave an ISR too small stay eligible leaders (KIP-966); 0: the last one stays in the ISR; decided when the cluster is formatted";
        "metadata.max.idle.interval.ms" metadata_max_idle_interval_ms: i64 = 500, Millis, "500", "pause after which an idle active controller writes a NoOp record";
        "controller.quorum.fetch.timeout.ms" controller_quorum_fetch_timeout_ms: i64 = 2_000, Millis, "2000", "silence after which a voter stands for election and a fetch of metadata is given up";
        "controller.quorum.election.timeout.ms" controller_quorum_election_timeout_ms: i64 = 1_000, Millis, "1000", "least time an election may take before another begins";
        "controller.quorum.election.backoff.max.ms" controller_quorum_election_backoff_max_ms: i64 = 1_000, Millis, "1000", "longest pause after a lost election";
        "controller.quorum.request.timeout.ms" controller_quorum_request_timeout_ms: i64 = 2_000, Millis, "2000", "longest wait for a response between voters";
        "controller.quorum.retry.backoff.ms" controller_quorum_retry_backoff_ms: i64 = 20, Millis, "20", "pause before a request between voters is sent again";
        "metadata.log.max.record.bytes.between.snapshots" metadata_log_max_record_bytes_between_snapshots: i64 = 20_971_520, Int, "20971520", "bytes of committed metadata after which a snapshot is written";
        "metadata.log.segment.bytes" metadata_log_segment_bytes: i64 = 1_073_741_824, Int, "1073741824", "size at which a segment of the metadata log is rolled; below a snapshot whole segments are deleted (Kafka wants 8 MiB or more, this model 1)";
        "metadata.log.max.snapshot.interval.ms" metadata_log_max_snapshot_interval_ms: i64 = 3_600_000, Millis, "3600000", "age of the oldest committed record not in a snapshot at which one is written; 0: never by age";
        "auto.leader.rebalance.enable" auto_leader_rebalance_enable: bool = true, Bool, "true", "give leadership back to preferred replicas from time to time";
        "leader.imbalance.check.interval.seconds" leader_imbalance_check_interval_seconds: i64 = 300, Int, "300", "how often that is looked at";
        "offsets.topic.num.partitions" offsets_topic_num_partitions: i64 = 50, Int, "50", "partitions of __consumer_offsets, when it is created";
        "offsets.topic.replication.factor" offsets_topic_replication_factor: i64 = 3, Int, "3", "replicas of each, when it is created";
        "offsets.topic.segment.bytes" offsets_topic_segment_bytes: i64 = 104_857_600, Int, "104857600", "size at which its segment files are rolled";
        "offsets.load.buffer.size" offsets_load_buffer_size: i64 = 5_242_880, Int, "5242880", "bytes of __consumer_offsets that a new coordinator reads at a time";
        "offsets.retention.minutes" offsets_retention_minutes: i64 = 10_080, Int, "10080", "age at which offsets that nobody uses are removed";
        "offsets.retention.check.interval.ms" offsets_retention_check_interval_ms: i64 = 600_000, Millis, "600000", "how often that is looked at";
        "offsets.commit.timeout.ms" offsets_commit_timeout_ms: i64 = 5_000, Millis, "5000", "longest wait of what a coordinator writes for its replicas";
        "offset.metadata.max.bytes" offset_metadata_max_bytes: i64 = 4_096, Int, "4096", "largest text beside a committed offset";
        "group.initial.rebalance.delay.ms" group_initial_rebalance_delay_ms: i64 = 3_000, Millis, "3000", "how long the first member of a classic group waits for others";
        "group.min.session.timeout.ms" group_min_session_timeout_ms: i64 = 6_000, Millis, "6000", "least session.timeout.ms of a member";
        "group.max.session.timeout.ms" group_max_session_timeout_ms: i64 = 1_800_000, Millis, "1800000", "largest session.timeout.ms of a member";
        "group.max.size" group_max_size: i64 = 2_147_483_647, Int, "2147483647", "most members of a classic group";
        "group.consumer.session.timeout.ms" group_consumer_session_timeout_ms: i64 = 45_000, Millis, "45000", "silence after which a member of a group of the consumer protocol is removed (KIP-848)";
        "group.consumer.heartbeat.interval.ms" group_consumer_heartbeat_interval_ms: i64 = 5_000, Millis, "5000", "pause between the heartbeats of such a member, as the coordinator tells it";
        "group.consumer.max.size" group_consumer_max_size: i64 = 2_147_483_647, Int, "2147483647", "most members of such a group";
        "group.consumer.regex.refresh.interval.ms" group_consumer_regex_refresh_interval_ms: i64 = 600_000, Millis, "600000", "age at which the topics of a regular expression are looked up again";
        "unclean.leader.election.interval.ms" unclean_leader_election_interval_ms: i64 = 300_000, Millis, "300000", "how often leaderless partitions are offered an unclean election, where it is enabled";
    }
}

configs! {
    /// A producer's configuration. Times are milliseconds.
    ProducerConfig {
        "acks" acks: Acks = Acks::ALL, Text, "all", "0: nobody answers; 1: the leader alone; all: every in-sync replica";
        "enable.idempotence" enable_idempotence: bool = true, Bool, "true", "each batch is written once and in its order; off where acks is 0 or 1 or retries is 0, unless asked for";
        "compression.type" compression_type: ProducerCompression = ProducerCompression::NONE, Text, "none", "how batches are packed: \"none\", \"gzip\", \"snappy\", \"lz4\" or \"zstd\"";
        "compression.gzip.level" compression_gzip_level: i64 = -1, Int, "-1", "how hard gzip tries, 1 to 9; -1: 6";
        "linger.ms" linger_ms: i64 = 5, Millis, "5", "how long a batch waits for company";
        "batch.size" batch_size: i64 = 16_384, Int, "16384", "bytes at which a batch is full";
        "max.in.flight.requests.per.connection" max_in_flight: i64 = 5, Int, "5", "requests on one connection without an answer";
        "delivery.timeout.ms" delivery_timeout_ms: i64 = 120_000, Millis, "120000", "age at which a record is given up";
        "request.timeout.ms" request_timeout_ms: i64 = 30_000, Millis, "30000", "longest wait for a response";
        "retries" retries: i64 = 2_147_483_647, Int, "2147483647", "most attempts after the first";
        "retry.backoff.ms" retry_backoff_ms: i64 = 100, Millis, "100", "first pause before a retry";
        "retry.backoff.max.ms" retry_backoff_max_ms: i64 = 1_000, Millis, "1000", "longest pause before a retry";
        "reconnect.backoff.ms" reconnect_backoff_ms: i64 = 50, Millis, "50", "first pause before dialing again";
        "reconnect.backoff.max.ms" reconnect_backoff_max_ms: i64 = 1_000, Millis, "1000", "longest pause before dialing again";
        "metadata.max.age.ms" metadata_max_age_ms: i64 = 300_000, Millis, "300000", "age at which metadata is asked again";
        "max.block.ms" max_block_ms: i64 = 60_000, Millis, "60000", "longest wait for metadata of a topic";
    }
}

/// A producer was asked to be idempotent, and another key forbids it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {wrong}; {right}")]
pub struct NotIdempotent {
    /// The key that forbids it.
    pub key: &'static str,
    /// What is wrong with its value.
    pub wrong: String,
    /// What would be right.
    pub right: &'static str,
}

impl ProducerConfig {
    /// Most requests in flight that keep their order: a broker remembers as many batches of a producer.
    const MAX_IN_FLIGHT_FOR_IDEMPOTENCE: i64 = 5;

    /// Settles whether the producer is idempotent. What is on by default gives way to `acks` and `retries`; what was
    /// asked for does not, and too many requests in flight are an error either way, since 4.0.
    /// Source: `ProducerConfig.postProcessAndValidateIdempotenceConfigs`.
    pub fn resolve_idempotence(&mut self, asked_for: bool) -> Result<(), NotIdempotent> {
        if !self.enable_idempotence {
            return Ok(());
        }
        let (no_retries, not_all) = (self.retries == 0, self.acks != Acks::ALL);
        if asked_for && no_retries {
            let wrong = "an idempotent producer must be able to send again".to_owned();
            return Err(NotIdempotent { key: "retries", wrong, right: "at least 1, or enable.idempotence = false" });
        }
        if asked_for && not_all {
            let wrong = format!("an idempotent producer needs acks=all, not acks={}", self.acks);
            return Err(NotIdempotent { key: "acks", wrong, right: "acks = \"all\", or enable.idempotence = false" });
        }
        if self.max_in_flight > Self::MAX_IN_FLIGHT_FOR_IDEMPOTENCE {
            let wrong = format!("an idempotent producer has at most 5 requests in flight, not {}", self.max_in_flight);
            let key = "max.in.flight.requests.per.connection";
            return Err(NotIdempotent { key, wrong, right: "at most 5, or enable.idempotence = false" });
        }
        self.enable_idempotence = !(no_retries || not_all);
        Ok(())
    }
}

configs! {
    /// A consumer's configuration. Times are milliseconds.
    ConsumerConfig {
        "fetch.min.bytes" fetch_min_bytes: i64 = 1, Int, "1", "bytes for which a fetch waits";
        "client.rack" client_rack: String = String::new(), Text, "", "where it stands, for replica.selector.class";
        "fetch.max.wait.ms" fetch_max_wait_ms: i64 = 500, Millis, "500", "longest wait of a fetch at the broker";
        "fetch.max.bytes" fetch_max_bytes: i64 = 52_428_800, Int, "52428800", "most bytes of one fetch response";
        "max.partition.fetch.bytes" max_partition_fetch_bytes: i64 = 1_048_576, Int, "1048576", "most bytes of one partition in a fetch response";
        "max.poll.records" max_poll_records: i64 = 500, Int, "500", "most records of one poll";
        "auto.offset.reset" auto_offset_reset: OffsetReset = OffsetReset::Latest, Text, "latest", "where to start without a position, or beyond the log";
        "request.timeout.ms" request_timeout_ms: i64 = 30_000, Millis, "30000", "longest wait for a response";
        "retry.backoff.ms" retry_backoff_ms: i64 = 100, Millis, "100", "first pause before a retry";
        "retry.backoff.max.ms" retry_backoff_max_ms: i64 = 1_000, Millis, "1000", "longest pause before a retry";
        "reconnect.backoff.ms" reconnect_backoff_ms: i64 = 50, Millis, "50", "first pause before dialing again";
        "reconnect.backoff.max.ms" reconnect_backoff_max_ms: i64 = 1_000, Millis, "1000", "longest pause before dialing again";
        "metadata.max.age.ms" metadata_max_age_ms: i64 = 300_000, Millis, "300000", "age at which metadata is asked again";
        "default.api.timeout.ms" default_api_timeout_ms: i64 = 60_000, Millis, "60000", "longest wait of a synchronous commit, and of an orderly close";
        "group.id" group_id: String = String::new(), Text, "", "the group it is a member of, and whose offsets it commits";
        "group.instance.id" group_instance_id: String = String::new(), Text, "", "its name as a static member, which outlives its process (KIP-345)";
        "group.protocol" group_protocol: GroupProtocol = GroupProtocol::Classic, Text, "classic", "who assigns: a member (\"classic\") or the coordinator (\"consumer\", KIP-848)";
        "group.remote.assignor" group_remote_assignor: String = String::new(), Text, "", "the coordinator's assignor: \"uniform\" or \"range\"; empty: the coordinator's choice";
        "partition.assignment.strategy" partition_assignment_strategy: AssignmentStrategies = AssignmentStrategies::default(), Text, "RangeAssignor,CooperativeStickyAssignor", "how a member assigns, the most preferred first, with commas: RangeAssignor, RoundRobinAssignor, StickyAssignor, CooperativeStickyAssignor";
        "session.timeout.ms" session_timeout_ms: i64 = 45_000, Millis, "45000", "silence after which the coordinator removes a member of a classic group";
        "heartbeat.interval.ms" heartbeat_interval_ms: i64 = 3_000, Millis, "3000", "pause between two heartbeats in a classic group";
        "max.poll.interval.ms" max_poll_interval_ms: i64 = 300_000, Millis, "300000", "pause between two polls after which a member leaves; how long a rebalance may take";
        "enable.auto.commit" enable_auto_commit: bool = true, Bool, "true", "commit the positions from time to time, while polling";
        "auto.commit.interval.ms" auto_commit_interval_ms: i64 = 5_000, Millis, "5000", "how often";
    }
}

configs! {
    /// A topic's own configuration, over the brokers' defaults.
    TopicConfig {
        "leader.replication.throttled.replicas" leader_replication_throttled_replicas: Option<ThrottledReplicas> = None, Text, "(none)", "replicas whose leader throttles what it sends: \"*\", or \"partition:broker,…\" (KIP-73)";
        "follower.replication.throttled.replicas" follower_replication_throttled_replicas: Option<ThrottledReplicas> = None, Text, "(none)", "replicas that throttle what they fetch: \"*\", or \"partition:broker,…\" (KIP-73)";
        "min.insync.replicas" min_insync_replicas: Option<i64> = None, Int, "(broker's)", "see the broker key";
        "unclean.leader.election.enable" unclean_leader_election_enable: Option<bool> = None, Bool, "(broker's)", "see the broker key";
        "flush.messages" flush_messages: Option<i64> = None, Int, "(broker's log.flush.interval.messages)", "records after which a partition is synced to disk";
        "retention.ms" retention_ms: Option<i64> = None, Millis, "(broker's log.retention.ms)", "age of its newest record at which a segment is deleted; -1: never";
        "retention.bytes" retention_bytes: Option<i64> = None, Int, "(broker's)", "size of a partition's log beyond which its oldest segments are deleted; -1: never";
        "segment.ms" segment_ms: Option<i64> = None, Millis, "(broker's log.roll.ms)", "age of a segment's first records at which it is rolled";
        "segment.jitter.ms" segment_jitter_ms: Option<i64> = None, Millis, "(broker's log.roll.jitter.ms)", "see the broker key";
        "max.message.bytes" max_message_bytes: Option<i64> = None, Int, "(broker's message.max.bytes)", "largest record batch";
        "compression.type" compression_type: Option<BrokerCompression> = None, Text, "(broker's)", "see the broker key";
        "compression.gzip.level" compression_gzip_level: Option<i64> = None, Int, "(broker's)", "see the broker key";
        "message.timestamp.type" message_timestamp_type: Option<TimestampType> = None, Text, "(broker's log.message.timestamp.type)", "see the broker key";
        "message.timestamp.before.max.ms" message_timestamp_before_max_ms: Option<i64> = None, Millis, "(broker's log.message.timestamp.before.max.ms)", "see the broker key";
        "message.timestamp.after.max.ms" message_timestamp_after_max_ms: Option<i64> = None, Millis, "(broker's log.message.timestamp.after.max.ms)", "see the broker key";
        "segment.bytes" segment_bytes: Option<i64> = None, Int, "(broker's log.segment.bytes)", "size at which a segment file is rolled";
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        T::from_value(value).map(Some)
    }
    fn to_value(&self) -> Option<ConfigValue> {
        self.as_ref().and_then(T::to_value)
    }
}

/// The broker keys of this model that Kafka changes while a broker runs, for one broker or for all (KIP-226,
/// `DynamicLogConfig.ReconfigurableConfigs`, `DynamicProducerStateManagerConfig`); all others are read when it starts.
pub const DYNAMIC_BROKER_KEYS: &[&str] = &[
    "compression.gzip.level",
    "compression.type",
    "follower.replication.throttled.rate",
    "leader.replication.throttled.rate",
    "log.flush.interval.messages",
    "log.index.interval.bytes",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.type",
    "log.retention.bytes",
    "log.retention.ms",
    "log.roll.jitter.ms",
    "log.roll.ms",
    "log.segment.bytes",
    "message.max.bytes",
    "min.insync.replicas",
    "producer.id.expiration.ms",
    "unclean.leader.election.enable",
];

/// Keys that Kafka knows and this model does not have yet; using one is an error that says so, never ignored.
pub const NOT_MODELLED: &[&str] = &[
    "cleanup.policy",
    "log.retention.hours",
    "log.cleanup.policy",
    "transactional.id",
    "transaction.timeout.ms",
    "isolation.level",
    "partitioner.class",
    "partitioner.ignore.keys",
    "buffer.memory",
    "num.network.threads",
    "num.io.threads",
    "log.flush.interval.ms",
    "flush.ms",
    "delete.retention.ms",
    "min.cleanable.dirty.ratio",
    "log.dirs",
    "listeners",
    "advertised.listeners",
    "process.roles",
    "node.id",
    "broker.rack",
    "max.request.size",
    "allow.auto.create.topics",
    "check.crcs",
    "interceptor.classes",
    "key.serializer",
    "value.serializer",
    "connections.max.idle.ms",
    "transaction.state.log.replication.factor",
    "log.retention.minutes",
    "log.roll.hours",
    "log.segment.delete.delay.ms",
    "log.index.size.max.bytes",
    "log.preallocate",
    "log.flush.scheduler.interval.ms",
    "log.cleaner.enable",
    "log.cleaner.threads",
    "log.cleaner.min.cleanable.ratio",
    "log.cleaner.min.compaction.lag.ms",
    "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.backoff.ms",
    "log.message.format.version",
    "log.dir",
    "log.local.retention.ms",
    "log.local.retention.bytes",
    "remote.log.storage.system.enable",
    "remote.storage.enable",
    "message.format.version",
    "index.interval.bytes",
    "segment.index.bytes",
    "file.delete.delay.ms",
    "preallocate",
    "min.compaction.lag.ms",
    "max.compaction.lag.ms",
    "local.retention.ms",
    "local.retention.bytes",
    "replica.socket.timeout.ms",
    "replica.socket.receive.buffer.bytes",
    "num.recovery.threads.per.data.dir",
    "num.replica.alter.log.dirs.threads",
    "background.threads",
    "queued.max.requests",
    "queued.max.request.bytes",
    "broker.id",
    "controlled.shutdown.max.retries",
    "controlled.shutdown.retry.backoff.ms",
    "delete.topic.enable",
    "leader.imbalance.per.broker.percentage",
    "max.connections",
    "max.connections.per.ip",
    "max.connection.creation.rate",
    "fetch.purgatory.purge.interval.requests",
    "producer.purgatory.purge.interval.requests",
    "delete.records.purgatory.purge.interval.requests",
    "controller.quorum.voters",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.append.linger.ms",
    "controller.listener.names",
    "controller.performance.sample.period.ms",
    "metadata.log.dir",
    "metadata.log.segment.ms",
    "metadata.max.retention.bytes",
    "metadata.max.retention.ms",
    "initial.broker.registration.timeout.ms",
    "inter.broker.listener.name",
    "inter.broker.protocol.version",
    "security.inter.broker.protocol",
    "listener.security.protocol.map",
    "socket.send.buffer.bytes",
    "socket.receive.buffer.bytes",
    "socket.request.max.bytes",
    "socket.listen.backlog.size",
    "socket.connection.setup.timeout.ms",
    "socket.connection.setup.timeout.max.ms",
    "transaction.state.log.min.isr",
    "transaction.state.log.num.partitions",
    "transactional.id.expiration.ms",
    "transaction.max.timeout.ms",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    "transaction.partition.verification.enable",
    "transaction.two.phase.commit.enable",
    "group.coordinator.rebalance.protocols",
    "group.coordinator.threads",
    "quota.window.num",
    "quota.window.size.seconds",
    "authorizer.class.name",
    "bootstrap.servers",
    "client.id",
    "client.dns.lookup",
    "send.buffer.bytes",
    "receive.buffer.bytes",
    "metadata.max.idle.ms",
    "metadata.recovery.strategy",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "enable.metrics.push",
    "security.protocol",
    "partitioner.adaptive.partitioning.enable",
    "partitioner.availability.timeout.ms",
    "compression.lz4.level",
    "compression.zstd.level",
    "key.deserializer",
    "value.deserializer",
    "exclude.internal.topics",
    "sasl.mechanism",
    "sasl.jaas.config",
    "ssl.keystore.location",
    "ssl.truststore.location",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_iso_8601_has_them() {
        let table = [
            ("PT30S", Some(30_000)),
            ("P1DT2H3M4.5S", Some(86_400_000 + 2 * 3_600_000 + 3 * 60_000 + 4_500)),
            ("pt0.25s", Some(250)),
            ("P2D", Some(172_800_000)),
            ("30S", None),
            ("P", None),
            ("PT-5S", None),
            ("PT5", None),
            ("PT1.5H", None),
            ("PT1S2M", None),
        ];
        for (text, expected) in table {
            assert_eq!(milliseconds_of(text), expected, "{text}");
        }
        let value = ConfigValue::Text("by_duration:PT1H0.5S".to_string());
        let reset = OffsetReset::from_value(&value);
        assert_eq!(reset, Ok(OffsetReset::ByDuration(3_600_500)));
        let written = reset.ok().and_then(|reset| reset.to_value());
        assert_eq!(written, Some(ConfigValue::Text("by_duration:PT3600.500S".to_string())));
    }
}
