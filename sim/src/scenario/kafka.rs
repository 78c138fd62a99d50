//! Kafka's own configuration keys in a section: types, bounds, and keys that are known but not modelled.

use trial_kafka::config::{
    BrokerConfig, ConfigError, ConfigKey, ConfigValue, ConsumerConfig, NOT_MODELLED, ProducerConfig, TopicConfig,
    ValueKind,
};

use super::drawn::{DrawnKey, DrawnSection};
use super::error::Wrong;
use super::read::Reader;
use super::tree::{Placed, Value, unknown_key};
use super::values::{DurationRange, parse_duration};

/// A set of keys of [`trial_kafka::config`].
pub(super) trait ConfigSet: Default {
    const KEYS: &'static [ConfigKey];
    /// Where the set stands in a scenario.
    const SECTION: &'static str;
    fn set(&mut self, name: &str, value: &ConfigValue) -> Result<(), ConfigError>;
    fn get(&self, name: &str) -> Option<ConfigValue>;
}

macro_rules! config_sets {
    ($($set:ident $section:literal),*) => {
        $(impl ConfigSet for $set {
            const KEYS: &'static [ConfigKey] = $set::KEYS;
            const SECTION: &'static str = $section;
            fn set(&mut self, name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
                $set::set(self, name, value)
            }
            fn get(&self, name: &str) -> Option<ConfigValue> {
                $set::get(self, name)
            }
        })*
        /// Every set: its section and its keys.
        pub(super) const SETS: &[(&str, &[ConfigKey])] = &[$(($section, $set::KEYS)),*];
    };
}
config_sets!(BrokerConfig "cluster", TopicConfig "topic", ProducerConfig "producer", ConsumerConfig "consumer");

/// Takes what is left of a section as Kafka's keys; ends the reading.
pub(super) fn config<S: ConfigSet>(reader: &mut Reader<'_, '_, '_>) -> S {
    let mut set = S::default();
    let mut valid = std::mem::take(&mut reader.valid);
    valid.extend(S::KEYS.iter().map(|key| key.name));
    reader.rest(|name, value| match S::KEYS.iter().find(|key| key.name == name) {
        Some(key) => set_one(&mut set, key, value).map_err(|wrong| wrong.at(value.place.clone())),
        None => Err(not_here::<S>(name, &valid)),
    });
    set
}

/// As [`config`], in a section whose keys the seed may draw from ranges.
pub(super) fn drawn_config<S: ConfigSet + Clone>(
    reader: &mut Reader<'_, '_, '_>,
    section: DrawnSection,
) -> (S, Vec<DrawnKey>) {
    let mut drawn: Vec<DrawnKey> = Vec::new();
    let ranges: Vec<&ConfigKey> = S::KEYS.iter().filter(|key| reader.holds_range(key.name)).collect();
    for key in ranges {
        let ends = reader.take_kafkas(key.name, |found| ends_of_range::<S>(key, found));
        drawn.extend(ends.map(|(min, max)| DrawnKey { section, key: key.name, min, max }));
    }
    // A range of one value is that value.
    let (fixed, drawn): (Vec<_>, Vec<_>) = drawn.into_iter().partition(|key| key.min == key.max);
    (super::drawn::at_end(&config::<S>(reader), &fixed, |key| key.min), drawn)
}

/// Both ends of a range, each a value that the key takes.
fn ends_of_range<S: ConfigSet>(key: &ConfigKey, found: &Placed) -> Result<(i64, i64), Wrong> {
    let text = super::read::text(found)?;
    let ends = match key.kind {
        ValueKind::Millis => {
            let DurationRange { min, max } = DurationRange::parse(&text).map_err(Wrong::new)?;
            [min, max].map(super::values::show_duration).map(Value::Text)
        }
        ValueKind::Int => {
            let (low, high) = text.split_once("..").unwrap_or((&text, &text));
            let number = |text: &str| {
                text.trim().parse().map(Value::Int).map_err(|_| Wrong::new(format!("{text:?} is no whole number")))
            };
            [number(low)?, number(high)?]
        }
        ValueKind::Bool | ValueKind::Text => {
            return Err(Wrong::new("only numbers and durations are drawn from a range"));
        }
    };
    let mut numbers = [0; 2];
    for (number, value) in numbers.iter_mut().zip(ends) {
        let mut scratch = S::default();
        set_one(&mut scratch, key, &Placed { value, place: found.place.clone() })?;
        if let Some(ConfigValue::Int(taken)) = scratch.get(key.name) {
            *number = taken;
        }
    }
    match numbers {
        [min, max] if min <= max => Ok((min, max)),
        _ => Err(Wrong::new(format!("the range {text:?} ends before it begins"))),
    }
}

/// The sections that have this key of Kafka's.
pub(super) fn homes_of(name: &str) -> Vec<&'static str> {
    SETS.iter().filter(|(_, keys)| keys.iter().any(|key| key.name == name)).map(|(section, _)| *section).collect()
}

fn not_here<S: ConfigSet>(name: &str, valid: &[&str]) -> Wrong {
    let elsewhere = homes_of(name);
    if !elsewhere.is_empty() {
        let wrong = Wrong::new(format!("{name:?} is not a key of {}", S::SECTION));
        return wrong.help(format!("it is a key of {}", elsewhere.join(" and ")));
    }
    if NOT_MODELLED.contains(&name) {
        return Wrong::new(format!("{name:?} is known to Kafka, not modelled"))
            .help("leave it out: a run that ignored it would not be the run you asked for");
    }
    unknown_key(name, valid, "")
}

pub(super) fn set_one<S: ConfigSet>(set: &mut S, key: &ConfigKey, value: &Placed) -> Result<(), Wrong> {
    let given = match (&value.value, key.kind) {
        (Value::Int(n), _) => ConfigValue::Int(*n),
        (Value::Bool(b), _) => ConfigValue::Bool(*b),
        (Value::Text(text), ValueKind::Millis) => ConfigValue::Int(millis(text)?),
        // `--set acks=1` gives a number, a file may say "1": both are the word.
        (Value::Text(text), ValueKind::Text) => match text.parse() {
            Ok(n) => ConfigValue::Int(n),
            Err(_) => ConfigValue::Text(text.clone()),
        },
        (Value::Text(text), _) => ConfigValue::Text(text.clone()),
        (Value::List(_) | Value::Other(_), _) => return Err(wrong_type(key, value, expected_kind(key.kind))),
    };
    if let ConfigValue::Int(n) = given
        && key.kind != ValueKind::Text
    {
        let (min, max) = bounds(key.name);
        if !(min..=max).contains(&n) {
            return Err(Wrong::new(format!("{n} is impossible: it must be from {min} to {max}")));
        }
    }
    set.set(key.name, &given).map_err(|error| match error {
        ConfigError::WrongType { expected } => wrong_type(key, value, expected),
        ConfigError::UnknownKey | ConfigError::Impossible(_) => Wrong::new(error.to_string()),
    })
}

fn expected_kind(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Int => "a whole number",
        ValueKind::Millis => "a duration, in milliseconds or as \"5.2s\"",
        ValueKind::Bool => "true or false",
        ValueKind::Text => "a word",
    }
}

fn wrong_type(key: &ConfigKey, value: &Placed, expected: &str) -> Wrong {
    let expected = if key.kind == ValueKind::Text { expected } else { expected_kind(key.kind) };
    Wrong::new(format!("expected {expected}, found {}", value.found())).help(format!("{}: {}", key.name, key.about))
}

fn millis(text: &str) -> Result<i64, Wrong> {
    let nanos = parse_duration(text).map_err(Wrong::new)?;
    if nanos % 1_000_000 != 0 {
        return Err(Wrong::new(format!("{text:?} is not a whole number of milliseconds")));
    }
    i64::try_from(nanos / 1_000_000).map_err(|_| Wrong::new(format!("{text:?} is too long")))
}

/// What Kafka's ConfigDef validators allow, narrowed where a value would let virtual time stand still.
fn bounds(name: &str) -> (i64, i64) {
    let int = i64::from(i32::MAX);
    match name {
        "log.flush.interval.messages" | "flush.messages" => (1, i64::MAX),
        "log.retention.ms" | "retention.ms" | "log.retention.bytes" | "retention.bytes" => (-1, i64::MAX),
        "compression.gzip.level" => (-1, 9),
        name if name.ends_with(".replication.throttled.rate") => (0, i64::MAX),
        "segment.ms" | "log.roll.ms" => (1, i64::MAX),
        "segment.jitter.ms" | "log.roll.jitter.ms" => (0, i64::MAX),
        name if name.contains("message.timestamp.") => (0, i64::MAX),
        "fetch.max.bytes" => (1024, int),
        "log.segment.bytes" | "segment.bytes" => (14, int),
        "eligible.leader.replicas.version" => (0, 1),
        "default.replication.factor" => (1, i64::from(i16::MAX)),
        "min.insync.replicas"
        | "num.partitions"
        | "max.in.flight.requests.per.connection"
        | "max.poll.records"
        | "replica.lag.time.max.ms"
        | "replica.fetch.backoff.ms"
        | "replica.high.watermark.checkpoint.interval.ms"
        | "log.flush.offset.checkpoint.interval.ms"
        | "log.flush.start.offset.checkpoint.interval.ms"
        | "log.retention.check.interval.ms"
        | "broker.heartbeat.interval.ms"
        | "broker.session.timeout.ms"
        | "controller.quorum.fetch.timeout.ms"
        | "request.timeout.ms"
        | "retry.backoff.ms"
        | "retry.backoff.max.ms"
        | "reconnect.backoff.ms"
        | "reconnect.backoff.max.ms"
        | "metadata.max.age.ms"
        | "delivery.timeout.ms" => (1, int),
        _ => (0, int),
    }
}
