//! The `[[consumer]]` sections: who reads, alone or as members of a group, and what cannot be in one section together.
//!
//! Without a `group.id` a consumer is assigned all partitions of its topics; with one it subscribes, and says when it commits
//! what it has read: [`CommitStyle`].

use regex_lite::Regex;
use trial_kafka::config::{ConsumerConfig, GroupProtocol};
use trial_kafka::group::assignor::client::ClientAssignor;
use trial_kafka::ids::Topic;
use trial_kafka::node::{Nanos, Subscription};

use super::drawn::at_end;
use super::error::Wrong;
use super::read::{Reader, duration, duration_from, duration_range, number, text};
use super::tree::{Placed, Value};
use super::{DrawnKey, DrawnSection, DurationRange, ReadFrom, Scenario, check, kafka, parse};

const MILLISECOND: Nanos = 1_000_000;

/// One or more equal consumers: each is assigned all partitions of its topics, or they are members of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSpec {
    /// How many.
    pub count: u32,
    /// Topics it reads. With a pattern: those of the scenario whose names it matches; others may come.
    pub topics: Vec<String>,
    /// It subscribes to the topics whose whole names match this regular expression.
    pub pattern: Option<String>,
    /// When it commits what it has read.
    pub commit: CommitStyle,
    /// Pause between two polls.
    pub poll_interval: Nanos,
    /// How long the application works on the records of one poll, before it polls again: drawn for each poll.
    pub processing: DurationRange,
    /// When it begins; `None`: when the warm-up ends.
    pub join_at: Option<DurationRange>,
    /// When it closes, for good; `None`: it stays.
    pub leave_at: Option<DurationRange>,
    /// Where it starts in each partition; `None`: by auto.offset.reset.
    pub start: Option<ReadFrom>,
    /// Where it goes later, in each partition, and when.
    pub seek: Option<(Nanos, ReadFrom)>,
    /// Its configuration.
    pub config: ConsumerConfig,
}

/// When a consumer commits what it has read: what its group makes of a crash depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitStyle {
    /// The client does, from time to time (`enable.auto.commit`): in the poll after the records were processed, so none is
    /// lost, and some are processed again.
    Auto,
    /// `commitSync` of what a poll gave, then processing: at most once.
    Before,
    /// Processing, then `commitSync` of what was processed: at least once.
    After,
    /// Nobody does.
    Never,
}

impl CommitStyle {
    /// All, with their names in scenario files.
    pub const NAMES: [(&'static str, CommitStyle); 4] = [
        ("auto", CommitStyle::Auto),
        ("before", CommitStyle::Before),
        ("after", CommitStyle::After),
        ("never", CommitStyle::Never),
    ];
    /// The name in scenario files.
    pub fn name(self) -> &'static str {
        match self {
            CommitStyle::Auto => "auto",
            CommitStyle::Before => "before",
            CommitStyle::After => "after",
            CommitStyle::Never => "never",
        }
    }
}

impl ConsumerSpec {
    /// The group of which these are members.
    pub fn group(&self) -> Option<&str> {
        (!self.config.group_id.is_empty()).then_some(self.config.group_id.as_str())
    }
    /// Does it give up only what it has to, in a rebalance of the classic protocol (KIP-429)?
    pub fn is_cooperative(&self) -> bool {
        let strategies = &self.config.partition_assignment_strategy.0;
        self.config.group_protocol == GroupProtocol::Classic
            && strategies.iter().all(|one| *one == ClientAssignor::CooperativeSticky)
    }
    /// Does it mean to read this topic?
    pub fn reads(&self, topic: &str) -> bool {
        match &self.pattern {
            None => self.topics.iter().any(|name| name == topic),
            Some(pattern) => whole_name(pattern).is_some_and(|regex| regex.is_match(topic)),
        }
    }
    /// To what the members of its group subscribe.
    pub fn subscription(&self) -> Subscription {
        match &self.pattern {
            None => Subscription::Topics(self.topics.iter().map(|name| Topic::new(name)).collect()),
            Some(pattern) => Subscription::Pattern(pattern.clone()),
        }
    }
    /// The configuration of the `nth` of these, from 0: static members have names of their own, "-1", "-2" and so on being
    /// put behind the one that is given.
    pub fn config_of(&self, nth: u32) -> ConsumerConfig {
        let mut config = self.config.clone();
        if self.count > 1 && !config.group_instance_id.is_empty() {
            config.group_instance_id = format!("{}-{}", config.group_instance_id, nth + 1);
        }
        config
    }
}

/// An expression, to be matched against whole names; it must be one by itself.
fn whole_name(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()?;
    Regex::new(&format!("^(?:{pattern})$")).ok()
}

/// Reads one section.
pub(super) fn consumer(mut reader: Reader<'_, '_, '_>, scenario: &Scenario) -> (ConsumerSpec, Vec<DrawnKey>) {
    let (has_at, has_to) = (reader.has("seek-at"), reader.has("seek-to"));
    let seek_at = reader.take("seek-at", |found| {
        let at = duration(found)?;
        check::instant(scenario, DurationRange::exactly(at))?;
        Ok(at)
    });
    let seek_to = reader.take("seek-to", read_from);
    if has_at != has_to {
        let (key, other) = if has_at { ("seek-at", "seek-to") } else { ("seek-to", "seek-at") };
        reader.fail(key, Wrong::new(format!("{key:?} needs {other:?}")).help("when it goes, and where to"));
    }
    let pattern = reader.take("pattern", |found| match text(found)? {
        pattern if whole_name(&pattern).is_some() => Ok(pattern),
        pattern => Err(Wrong::new(format!("{pattern:?} is no regular expression"))
            .help("for instance \"orders-.*\"; it must match a topic's whole name")),
    });
    let mut topics = parse::topics(&mut reader, scenario);
    if let Some(whole) = pattern.as_deref().and_then(whole_name) {
        if reader.has("topics") {
            reader.fail("pattern", Wrong::new("a consumer has topics or a pattern").help("leave one of them out"));
        }
        topics.retain(|name| whole.is_match(name));
    }
    let commit = reader.take("commit", commit_style);
    let mut instant = |key| {
        reader.take(key, |found| {
            let at = duration_range(found)?;
            check::instant(scenario, at)?;
            Ok(at)
        })
    };
    let (join_at, leave_at) = (instant("join-at"), instant("leave-at"));
    if let (Some(join), Some(leave)) = (join_at, leave_at)
        && leave.min <= join.max
    {
        let wrong = Wrong::new(format!("it may leave at {leave}, before it has come at {join}"));
        reader.fail("leave-at", wrong.help("leave-at begins after the end of join-at"));
    }
    let spec = ConsumerSpec {
        start: reader.take("start", read_from),
        seek: seek_at.zip(seek_to),
        count: reader.take("count", number(1, 1000)).unwrap_or(1),
        topics,
        pattern,
        commit: commit.unwrap_or(CommitStyle::Never),
        poll_interval: reader.take("poll-interval", duration_from(MILLISECOND)).unwrap_or(100 * MILLISECOND),
        processing: reader.take("processing", duration_range).unwrap_or(DurationRange::exactly(0)),
        join_at,
        leave_at,
        config: Default::default(),
    };
    let (config, drawn) = kafka::drawn_config(&mut reader, DrawnSection::Consumer(scenario.consumers.len()));
    let mut spec = ConsumerSpec { config, ..spec };
    if spec.group().is_none() {
        alone(&mut reader);
    } else {
        spec.commit = commit.unwrap_or(default_style(&spec.config));
        member(&mut reader, &spec);
        protocol(&mut reader, spec.config.group_protocol);
        session(&mut reader, scenario, &spec.config, &drawn);
    }
    (spec, drawn)
}

/// Keys that mean nothing to a consumer that is in no group.
fn alone(reader: &mut Reader<'_, '_, '_>) {
    const OF_MEMBERS: [&str; 5] = ["pattern", "commit", "enable.auto.commit", "group.instance.id", "group.protocol"];
    for key in OF_MEMBERS.into_iter().filter(|key| reader.has(key)).collect::<Vec<_>>() {
        let wrong = Wrong::new("a consumer without a group.id is in no group and commits nothing");
        reader.fail(key, wrong.help("group.id = \"readers\" makes it a member of a group"));
    }
}

fn default_style(config: &ConsumerConfig) -> CommitStyle {
    if config.enable_auto_commit { CommitStyle::Auto } else { CommitStyle::Never }
}

/// A member begins at what its group has committed, and one of it and its client commits.
fn member(reader: &mut Reader<'_, '_, '_>, spec: &ConsumerSpec) {
    for key in ["start", "seek-at", "seek-to"].into_iter().filter(|key| reader.has(key)).collect::<Vec<_>>() {
        let wrong = Wrong::new("a member of a group begins where its group has committed, and goes on from there");
        reader.fail(key, wrong.help("auto.offset.reset says where a group begins that has committed nothing"));
    }
    let name = spec.commit.name();
    match (spec.config.enable_auto_commit, spec.commit) {
        (true, CommitStyle::Auto) | (false, CommitStyle::Before | CommitStyle::After | CommitStyle::Never) => {}
        (true, _) => {
            let wrong = Wrong::new(format!("with commit = {name:?} the client must not commit too"));
            reader.fail("commit", wrong.help("set enable.auto.commit = false, or commit = \"auto\""));
        }
        (false, CommitStyle::Auto) => {
            let wrong = Wrong::new("the client commits nothing where enable.auto.commit is false");
            reader.fail("commit", wrong.help("commit = \"before\", \"after\" or \"never\""));
        }
    }
}

/// Each protocol has keys that the other does not take. Source: `ConsumerConfig.checkUnsupportedConfigsPostProcess`.
fn protocol(reader: &mut Reader<'_, '_, '_>, protocol: GroupProtocol) {
    let (others, right): (&[&str], _) = match protocol {
        GroupProtocol::Classic => (&["group.remote.assignor"], "partition.assignment.strategy is a classic group's"),
        GroupProtocol::Consumer => (
            &["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"],
            "the coordinator says: cluster.group.consumer.session.timeout.ms, group.consumer.heartbeat.interval.ms; group.remote.assignor",
        ),
    };
    let name = if protocol == GroupProtocol::Classic { "classic" } else { "consumer" };
    for key in others.iter().filter(|key| reader.has(key)).collect::<Vec<_>>() {
        reader.fail(key, Wrong::new(format!("this is no key of group.protocol = {name:?}")).help(right));
    }
}

/// A classic member's session is one that its coordinator takes (`INVALID_SESSION_TIMEOUT`), and longer than the pause
/// between heartbeats (`Heartbeat`), whatever the seed draws.
fn session(reader: &mut Reader<'_, '_, '_>, scenario: &Scenario, config: &ConsumerConfig, drawn: &[DrawnKey]) {
    if config.group_protocol != GroupProtocol::Classic {
        return;
    }
    let (low, high) = (at_end(config, drawn, |key| key.min), at_end(config, drawn, |key| key.max));
    if high.heartbeat_interval_ms >= low.session_timeout_ms {
        let key = if reader.has("heartbeat.interval.ms") { "heartbeat.interval.ms" } else { "session.timeout.ms" };
        let wrong = Wrong::new(format!(
            "heartbeats every {} ms do not keep a session of {} ms",
            high.heartbeat_interval_ms, low.session_timeout_ms
        ));
        reader.fail(
            key,
            wrong.help("heartbeat.interval.ms must be less than session.timeout.ms, a third of it as a rule"),
        );
    }
    let of_cluster: Vec<DrawnKey> = scenario.drawn_in(DrawnSection::Cluster).into_iter().cloned().collect();
    let cluster = &scenario.cluster.config;
    let least = at_end(cluster, &of_cluster, |key| key.max).group_min_session_timeout_ms;
    let most = at_end(cluster, &of_cluster, |key| key.min).group_max_session_timeout_ms;
    if low.session_timeout_ms < least || high.session_timeout_ms > most {
        let wrong = Wrong::new(format!("coordinators here take sessions from {least} ms to {most} ms"));
        let help = "cluster.group.min.session.timeout.ms and group.max.session.timeout.ms are their bounds";
        reader.fail("session.timeout.ms", wrong.help(help));
    }
}

fn commit_style(found: &Placed) -> Result<CommitStyle, Wrong> {
    let name = text(found)?;
    let style = CommitStyle::NAMES.iter().find(|(word, _)| *word == name);
    let among = || CommitStyle::NAMES.iter().map(|(word, _)| *word);
    style
        .map(|(_, style)| *style)
        .ok_or_else(|| Wrong::new(format!("{name:?} is no commit style")).among(&name, among()))
}

/// An offset, the log's start or end, or a time.
fn read_from(found: &Placed) -> Result<ReadFrom, Wrong> {
    match &found.value {
        Value::Int(offset) if *offset >= 0 => Ok(ReadFrom::Offset(*offset)),
        Value::Text(text) if text == "earliest" => Ok(ReadFrom::Earliest),
        Value::Text(text) if text == "latest" => Ok(ReadFrom::Latest),
        Value::Text(_) => duration(found).map(ReadFrom::Time),
        _ => Err(Wrong::new(format!(
            "an offset, \"earliest\", \"latest\" or a time such as \"6s\", not {}",
            found.found()
        ))),
    }
}
