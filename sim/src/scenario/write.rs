//! A scenario as TOML that reads back equal: what differs from the defaults, in the order of the schema.

use std::fmt::Display;

use trial_kafka::config::{ConfigValue, ValueKind};
use trial_kafka::node::ElectionType;
use trial_kafka::zoo::Switch;

use super::admin::resource_name;
use super::kafka::ConfigSet;
use super::values::show_duration;
use super::{
    AdminAction, AdminStep, DiskModel, DrawnKey, DrawnSection, DurationRange, Expect, FORMAT, Latency, Phases,
    ReadFrom, Scenario,
};
use crate::fault::{Chaos, CountRange, Direction, FaultKind, FaultSpec, Peer, When};

/// Writes a scenario. [`super::parse`] gives an equal one from it.
pub fn to_toml(scenario: &Scenario) -> String {
    let mut w = Writer(String::new());
    w.key("format", FORMAT);
    w.key("name", quoted(&scenario.name));
    w.key("about", quoted(&scenario.about));
    let switches: Vec<Switch> = Switch::ALL.into_iter().filter(|&switch| scenario.zoo.on(switch)).collect();
    w.unless(switches.is_empty(), "zoo", list(switches));
    let (phases, default) = (scenario.phases, Phases::default());
    w.unless(phases.warm_up == default.warm_up, "warm-up", time(phases.warm_up));
    w.unless(phases.run == default.run, "run", time(phases.run));
    w.unless(phases.core == default.core, "core", quoted(phases.core.name()));
    w.unless(phases.heal == default.heal, "heal", time(phases.heal));
    w.unless(phases.drain == default.drain, "drain", time(phases.drain));

    let cluster = &scenario.cluster;
    w.header("[cluster]");
    w.key("brokers", cluster.brokers);
    w.unless(cluster.controllers == 1, "controllers", cluster.controllers);
    w.unless(!cluster.combined, "combined", cluster.combined);
    w.unless(cluster.racks.is_empty(), "racks", list(&cluster.racks));
    w.drawn_config(&cluster.config, &scenario.drawn_in(DrawnSection::Cluster));
    for topic in &scenario.topics {
        w.header("[[topic]]");
        w.key("name", quoted(&topic.name));
        w.key("partitions", topic.partitions);
        w.key("replication.factor", topic.replication_factor);
        w.unless(topic.assignments.is_empty(), "assignments", format!("{:?}", topic.assignments));
        w.config(&topic.config);
    }
    for (nth, producer) in scenario.producers.iter().enumerate() {
        w.header("[[producer]]");
        w.unless(producer.count == 1, "count", producer.count);
        w.key("topics", list(&producer.topics));
        w.key("rate", producer.rate);
        w.some("records", producer.records);
        w.key("value-bytes", producer.value_bytes);
        w.some("keys", producer.keys);
        w.drawn_config(&producer.config, &scenario.drawn_in(DrawnSection::Producer(nth)));
    }
    for (nth, consumer) in scenario.consumers.iter().enumerate() {
        w.header("[[consumer]]");
        w.unless(consumer.count == 1, "count", consumer.count);
        w.unless(consumer.pattern.is_some(), "topics", list(&consumer.topics));
        w.some("pattern", consumer.pattern.as_ref().map(quoted));
        w.unless(consumer.group().is_none(), "commit", quoted(consumer.commit.name()));
        w.key("poll-interval", time(consumer.poll_interval));
        w.unless(consumer.processing == DurationRange::exactly(0), "processing", range(consumer.processing));
        w.some("join-at", consumer.join_at.map(range));
        w.some("leave-at", consumer.leave_at.map(range));
        w.some("start", consumer.start.map(read_from));
        if let Some((at, to)) = consumer.seek {
            w.key("seek-at", time(at));
            w.key("seek-to", read_from(to));
        }
        w.drawn_config(&consumer.config, &scenario.drawn_in(DrawnSection::Consumer(nth)));
    }
    let (latency, default) = (&scenario.network.latency, Latency::default());
    if *latency != default {
        w.header("[network]");
        w.key("latency.min", time(latency.min));
        w.key("latency.typical", time(latency.typical));
        w.key("latency.max", time(latency.max));
        w.key("latency.tail-per-mille", latency.tail_per_mille);
    }
    let disk = &scenario.disk;
    if *disk != DiskModel::default() {
        w.header("[disk]");
        w.key("operation", range(disk.operation));
        w.key("sync", range(disk.sync));
        w.key("writeback", time(disk.writeback));
    }
    for (index, fault) in scenario.faults.iter().enumerate() {
        w.header("[[fault]]");
        w.unless(fault.id as usize == index + 1, "id", fault.id);
        w.fault(fault, scenario);
    }
    if let Some(chaos) = &scenario.chaos {
        w.header("[chaos]");
        w.chaos(chaos);
    }
    for step in &scenario.admin {
        w.header("[[admin]]");
        w.admin(step, scenario);
    }
    let expect = &scenario.expect;
    if *expect != Expect::default() {
        w.header("[expect]");
        w.unless(expect.never.is_empty(), "never", list(&expect.never));
        w.unless(expect.any.is_empty(), "any", list(&expect.any));
        w.unless(!expect.as_configured, "as-configured", expect.as_configured);
    }
    w.0
}

fn quoted(text: impl Display) -> String {
    toml_edit::Value::from(text.to_string()).to_string()
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    format!("[{}]", items.into_iter().map(quoted).collect::<Vec<_>>().join(", "))
}

fn read_from(place: ReadFrom) -> String {
    match place {
        ReadFrom::Offset(offset) => offset.to_string(),
        ReadFrom::Earliest => "\"earliest\"".to_owned(),
        ReadFrom::Latest => "\"latest\"".to_owned(),
        ReadFrom::Time(at) => time(at),
    }
}

fn time(duration: u64) -> String {
    quoted(show_duration(duration))
}

fn range(range: DurationRange) -> String {
    quoted(range)
}

fn count(range: CountRange) -> String {
    if range.min == range.max { range.min.to_string() } else { quoted(range) }
}

struct Writer(String);

impl Writer {
    fn header(&mut self, header: &str) {
        self.0.push('\n');
        self.0.push_str(header);
        self.0.push('\n');
    }

    fn key(&mut self, key: &str, value: impl Display) {
        self.0.push_str(&format!("{key} = {value}\n"));
    }

    fn unless(&mut self, default: bool, key: &str, value: impl Display) {
        if !default {
            self.key(key, value);
        }
    }

    fn some(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.key(key, value);
        }
    }

    fn config<S: ConfigSet>(&mut self, set: &S) {
        let default = S::default();
        for key in S::KEYS {
            match set.get(key.name) {
                value if value == default.get(key.name) => {}
                Some(ConfigValue::Int(n)) => self.key(key.name, n),
                Some(ConfigValue::Bool(b)) => self.key(key.name, b),
                Some(ConfigValue::Text(text)) => self.key(key.name, quoted(text)),
                None => {}
            }
        }
    }

    /// As [`Self::config`], with ranges instead of what a seed draws.
    fn drawn_config<S: ConfigSet>(&mut self, set: &S, drawn: &[&DrawnKey]) {
        self.config(set);
        for DrawnKey { key, min, max, .. } in drawn.iter().copied() {
            let is_time = S::KEYS.iter().any(|known| known.name == *key && known.kind == ValueKind::Millis);
            // A duration that is drawn has the bounds of Kafka's: none is negative.
            let ms = |n: i64| trial_kafka::node::ms(n);
            match is_time {
                true => self.key(key, range(DurationRange { min: ms(*min), max: ms(*max) })),
                false => self.key(key, quoted(format!("{min}..{max}"))),
            }
        }
    }

    fn admin(&mut self, step: &AdminStep, scenario: &Scenario) {
        self.when(&step.when, scenario);
        self.key("do", quoted(step.action.name()));
        match &step.action {
            AdminAction::CreateTopic(topic) => {
                self.key("topic", quoted(&topic.name));
                self.key("partitions", topic.partitions);
                self.key("replication.factor", topic.replication_factor);
                self.unless(topic.assignments.is_empty(), "assignments", format!("{:?}", topic.assignments));
                self.config(&topic.config);
            }
            AdminAction::DeleteTopic { topic } => self.key("topic", quoted(topic)),
            AdminAction::CreatePartitions { topic, partitions } => {
                self.key("topic", quoted(topic));
                self.key("partitions", partitions);
            }
            AdminAction::AlterConfig { resource, changes } => {
                self.key("resource", quoted(resource_name(resource)));
                let set = changes.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
                let set: Vec<_> = set.collect();
                let removed: Vec<_> =
                    changes.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
                self.unless(set.is_empty(), "set", list(&set));
                self.unless(removed.is_empty(), "remove", list(&removed));
            }
            AdminAction::ElectLeaders { election, partition } => {
                self.unless(*election == ElectionType::Preferred, "election", quoted("unclean"));
                self.some("topic", partition.as_ref().map(|partition| quoted(&partition.topic)));
                self.some("partition", partition.as_ref().map(|partition| partition.partition));
            }
            AdminAction::DeleteRecords { partition, before } => {
                self.key("topic", quoted(&partition.topic));
                self.key("partition", partition.partition);
                self.some("before", *before);
            }
            AdminAction::DeleteGroup { group } => self.key("group", quoted(group)),
            AdminAction::DeleteOffsets { group, partitions } => {
                self.key("group", quoted(group));
                self.some("topic", partitions.first().map(|partition| quoted(&partition.topic)));
                // One is that one, unless it is all there are: then both ways to say it mean the same.
                let only = partitions.first().filter(|_| partitions.len() == 1);
                self.some("partition", only.map(|partition| partition.partition));
            }
            AdminAction::AddVoter { controller, once } | AdminAction::RemoveVoter { controller, once } => {
                self.key("controller", controller);
                self.unless(!once, "once", true);
            }
            AdminAction::Reassign { partition, replicas } => {
                self.key("topic", quoted(&partition.topic));
                self.key("partition", partition.partition);
                self.some("replicas", replicas.as_ref().map(|replicas| format!("{replicas:?}")));
            }
        }
    }

    fn when(&mut self, when: &When<DurationRange>, scenario: &Scenario) {
        match when {
            When::At(at) => self.key("at", range(*at)),
            When::After { trigger, occurrence, not_before, delay } => {
                self.key("after", quoted(trigger));
                let from_the_start = *not_before == DurationRange::exactly(scenario.phases.warm_up);
                self.unless(from_the_start, "not-before", range(*not_before));
                self.unless(*occurrence == CountRange::exactly(1), "occurrence", count(*occurrence));
                self.unless(*delay == DurationRange::exactly(0), "delay", range(*delay));
            }
        }
    }

    fn fault(&mut self, fault: &FaultSpec, scenario: &Scenario) {
        self.key("kind", quoted(fault.kind.kind_name()));
        self.key("target", quoted(&fault.target));
        self.when(&fault.when, scenario);
        match &fault.kind {
            FaultKind::Crash { restart_after }
            | FaultKind::PowerLoss { restart_after }
            | FaultKind::ReplaceDisk { restart_after } => self.some("restart-after", restart_after.map(range)),
            FaultKind::RestoreDisk { age, checkpoints_only, restart_after } => {
                self.key("age", range(*age));
                self.unless(!checkpoints_only, "only", list(["checkpoints"]));
                self.some("restart-after", restart_after.map(range));
            }
            FaultKind::DiskFails { after_operations, restart_after } => {
                self.key("after-operations", count(*after_operations));
                self.some("restart-after", restart_after.map(range));
            }
            FaultKind::LateMetadata { by, of, lasts } => {
                self.key("by", range(*by));
                self.unless(of.is_empty(), "of", list(of.iter().map(|kind| kind.name())));
                self.some("lasts", lasts.map(range));
            }
            FaultKind::CleanRestart { down_for } => self.key("down-for", range(*down_for)),
            FaultKind::Pause { lasts } | FaultKind::StallDisk { lasts } | FaultKind::LostSync { lasts } => {
                self.some("lasts", lasts.map(range))
            }
            FaultKind::Cut { peers, direction, lasts } => {
                self.ends(peers, *direction);
                self.some("lasts", lasts.map(range));
            }
            FaultKind::SlowLink { peers, purpose, direction, by, lasts } => {
                self.ends(peers, *direction);
                self.some("purpose", purpose.map(|purpose| quoted(purpose.name())));
                self.key("by", range(*by));
                self.some("lasts", lasts.map(range));
            }
            FaultKind::SlowDisk { by, lasts } | FaultKind::SlowFetch { by, lasts } => {
                self.key("by", range(*by));
                self.some("lasts", lasts.map(range));
            }
            FaultKind::ClockJump { by, back } => {
                self.key("by", range(*by));
                self.unless(!back, "back", back);
            }
        }
    }

    fn ends(&mut self, peers: &[Peer], direction: Direction) {
        self.key("peers", list(peers));
        self.unless(direction == Direction::Both, "direction", quoted(direction.name()));
    }

    fn chaos(&mut self, chaos: &Chaos) {
        self.key("faults", count(chaos.faults));
        for (kind, weight) in &chaos.mix {
            self.key(&format!("mix.{kind}"), weight);
        }
        self.key("swarm", chaos.swarm);
        self.unless(chaos.targets.is_empty(), "targets", list(&chaos.targets));
        self.key("events", list(&chaos.events));
        self.key("by-event", chaos.by_event);
        self.key("occurrence", count(chaos.occurrence));
        self.key("disk-fails-after", count(chaos.disk_fails_after));
        for (key, value) in [
            ("delay", chaos.delay),
            ("down-for", chaos.down_for),
            ("lasts", chaos.lasts),
            ("slow-link-by", chaos.slow_link_by),
            ("slow-disk-by", chaos.slow_disk_by),
            ("slow-fetch-by", chaos.slow_fetch_by),
            ("clock-jump-by", chaos.clock_jump_by),
            ("metadata-late-by", chaos.metadata_late_by),
        ] {
            self.key(key, range(value));
        }
    }
}
