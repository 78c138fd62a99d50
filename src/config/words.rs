//! Values that are words: codecs, and whose clock a timestamp is.

use trial_storage::Compression;

use crate::group::assignor::client::ClientAssignor;

use super::{ConfigError, ConfigValue, FromValue};

/// A broker's or topic's `compression.type` (`BrokerCompressionType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerCompression {
    /// Batches stay as their producers packed them.
    Producer,
    /// Batches are packed so, or are not packed.
    To(Compression),
}

/// A producer's `compression.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerCompression(pub Compression);
impl ProducerCompression {
    /// Batches are not packed.
    pub const NONE: ProducerCompression = ProducerCompression(Compression::None);
}

/// `message.timestamp.type`: whose clock a record's timestamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's, or whatever the producer says.
    CreateTime,
    /// That of the leader that appends the batch.
    LogAppendTime,
}

/// Replicas that are throttled: `*`, or a list of `partition:broker` (`ThrottledReplicaListValidator`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThrottledReplicas(pub String);

impl FromValue for ThrottledReplicas {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        let is_entry = |entry: &str| {
            let number = |text: &str| text.trim().parse::<u32>().is_ok();
            entry.split_once(':').is_some_and(|(partition, broker)| number(partition) && number(broker))
        };
        match value {
            ConfigValue::Text(list) if ["", "*"].contains(&list.trim()) || list.split(',').all(is_entry) => {
                Ok(ThrottledReplicas(list.clone()))
            }
            _ => Err(ConfigError::WrongType { expected: "\"*\", or a list such as \"0:1,1:2\" of partition:broker" }),
        }
    }
    fn to_value(&self) -> Option<ConfigValue> {
        Some(ConfigValue::Text(self.0.clone()))
    }
}

/// A consumer's `group.protocol`: who assigns partitions to the members of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupProtocol {
    /// A member of the group, its leader.
    Classic,
    /// The coordinator (KIP-848).
    Consumer,
}
impl FromValue for GroupProtocol {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        match value {
            // Kafka takes it in whatever case.
            ConfigValue::Text(word) if word.eq_ignore_ascii_case("classic") => Ok(GroupProtocol::Classic),
            ConfigValue::Text(word) if word.eq_ignore_ascii_case("consumer") => Ok(GroupProtocol::Consumer),
            _ => Err(ConfigError::WrongType { expected: "\"classic\" or \"consumer\"" }),
        }
    }
    fn to_value(&self) -> Option<ConfigValue> {
        let word = match self {
            GroupProtocol::Classic => "classic",
            GroupProtocol::Consumer => "consumer",
        };
        Some(ConfigValue::Text(word.to_owned()))
    }
}

/// `partition.assignment.strategy`: how a member that leads a classic group may assign, the most preferred first; at least
/// one. The package of each class may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentStrategies(pub Vec<ClientAssignor>);
impl Default for AssignmentStrategies {
    fn default() -> Self {
        AssignmentStrategies(vec![ClientAssignor::Range, ClientAssignor::CooperativeSticky])
    }
}
impl AssignmentStrategies {
    const CLASSES: [(&'static str, ClientAssignor); 4] = [
        ("RangeAssignor", ClientAssignor::Range),
        ("RoundRobinAssignor", ClientAssignor::RoundRobin),
        ("StickyAssignor", ClientAssignor::Sticky),
        ("CooperativeStickyAssignor", ClientAssignor::CooperativeSticky),
    ];
}
impl FromValue for AssignmentStrategies {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        const EXPECTED: &str =
            "RangeAssignor, RoundRobinAssignor, StickyAssignor, CooperativeStickyAssignor, or several with commas";
        let class = |word: &str| {
            let name = word.trim().rsplit('.').next().unwrap_or_default();
            AssignmentStrategies::CLASSES.iter().find(|(class, _)| *class == name).map(|(_, assignor)| *assignor)
        };
        let all = match value {
            ConfigValue::Text(list) => list.split(',').map(class).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        all.map(AssignmentStrategies).ok_or(ConfigError::WrongType { expected: EXPECTED })
    }
    fn to_value(&self) -> Option<ConfigValue> {
        let names: Vec<&str> = self
            .0
            .iter()
            .flat_map(|one| AssignmentStrategies::CLASSES.iter().filter(move |(_, assignor)| assignor == one))
            .map(|(class, _)| *class)
            .collect();
        Some(ConfigValue::Text(names.join(",")))
    }
}

/// The codec of that name, `none` being the name of none.
fn codec(value: &ConfigValue, none: &str, expected: &'static str) -> Result<Compression, ConfigError> {
    let ConfigValue::Text(word) = value else { return Err(ConfigError::WrongType { expected }) };
    let name = |codec: &Compression| if *codec == Compression::None { none } else { codec.name() };
    match Compression::ALL.into_iter().find(|codec| name(codec) == word) {
        Some(codec) if codec.is_built() => Ok(codec),
        Some(_) => {
            let why = format!("{word} needs a build with the feature `compression`, which this one has not");
            Err(ConfigError::Impossible(why))
        }
        None => Err(ConfigError::WrongType { expected }),
    }
}

impl FromValue for BrokerCompression {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        const EXPECTED: &str = "\"producer\", \"uncompressed\", \"gzip\", \"snappy\", \"lz4\" or \"zstd\"";
        match value {
            ConfigValue::Text(word) if word == "producer" => Ok(BrokerCompression::Producer),
            value => codec(value, "uncompressed", EXPECTED).map(BrokerCompression::To),
        }
    }
    fn to_value(&self) -> Option<ConfigValue> {
        let word = match self {
            BrokerCompression::Producer => "producer",
            BrokerCompression::To(Compression::None) => "uncompressed",
            BrokerCompression::To(codec) => codec.name(),
        };
        Some(ConfigValue::Text(word.to_owned()))
    }
}
impl FromValue for ProducerCompression {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        const EXPECTED: &str = "\"none\", \"gzip\", \"snappy\", \"lz4\" or \"zstd\"";
        codec(value, "none", EXPECTED).map(ProducerCompression)
    }
    fn to_value(&self) -> Option<ConfigValue> {
        Some(ConfigValue::Text(self.0.name().to_owned()))
    }
}
impl FromValue for TimestampType {
    fn from_value(value: &ConfigValue) -> Result<Self, ConfigError> {
        match value {
            ConfigValue::Text(word) if word == "CreateTime" => Ok(TimestampType::CreateTime),
            ConfigValue::Text(word) if word == "LogAppendTime" => Ok(TimestampType::LogAppendTime),
            _ => Err(ConfigError::WrongType { expected: "\"CreateTime\" or \"LogAppendTime\"" }),
        }
    }
    fn to_value(&self) -> Option<ConfigValue> {
        let word = match self {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
        };
        Some(ConfigValue::Text(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back<T: FromValue>(word: &str) -> Result<Option<ConfigValue>, ConfigError> {
        T::from_value(&ConfigValue::Text(word.to_owned())).map(|value| value.to_value())
    }

    #[test]
    fn words_go_there_and_back() {
        let same = |word: &str| Ok(Some(ConfigValue::Text(word.to_owned())));
        for word in ["producer", "uncompressed"] {
            assert_eq!(there_and_back::<BrokerCompression>(word), same(word));
        }
        for word in ["CreateTime", "LogAppendTime"] {
            assert_eq!(there_and_back::<TimestampType>(word), same(word));
        }
        for word in ["*", "", "0:1", "0:1, 12:3"] {
            assert_eq!(there_and_back::<ThrottledReplicas>(word), same(word));
        }
        assert!(["0", "0:b", "0:1,", "-1:2"].iter().all(|word| there_and_back::<ThrottledReplicas>(word).is_err()));
        assert_eq!(there_and_back::<ProducerCompression>("none"), same("none"));
        assert!(there_and_back::<ProducerCompression>("producer").is_err());
        assert!(there_and_back::<BrokerCompression>("none").is_err());
        assert!(there_and_back::<TimestampType>("logappendtime").is_err());
    }

    #[test]
    fn a_codec_can_be_asked_for_where_there_is_one() {
        for word in ["gzip", "snappy", "lz4", "zstd"] {
            let [broker, producer] =
                [there_and_back::<BrokerCompression>, there_and_back::<ProducerCompression>].map(|f| f(word));
            if cfg!(feature = "compression") {
                assert_eq!(broker, Ok(Some(ConfigValue::Text(word.to_owned()))));
                assert_eq!(broker, producer);
            } else {
                let says_why = |error: ConfigError| error.to_string().contains("feature `compression`");
                assert!(broker.is_err_and(says_why) && producer.is_err_and(says_why), "{word}");
            }
        }
    }
}
