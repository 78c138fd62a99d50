//! From text and overrides to a scenario.
//!
//! Sections are read in the order in which they need each other: the cluster, topics, clients, surroundings, faults.
//! Problems are collected; a scenario with any problem is none.

use trial_kafka::config::{NotIdempotent, ProducerConfig};
use trial_kafka::zoo::{Switch, Zoo};

use super::error::{ScenarioError, Wrong};
use super::read::{Problems, Reader, boolean, duration, duration_from, duration_range, list, number, text};
use super::schema::keys_of;
use super::tree::{Placed, Section, Tree, Value};
use super::{
    Cluster, Core, DiskModel, DrawnKey, DrawnSection, Expect, FINDING_CODES, FORMAT, Latency, Network, Phases,
    ProducerSpec, Scenario, TopicSpec, admin, check, consumers, drawn, faults, kafka, tree,
};

const MILLISECOND: u64 = 1_000_000;

/// Reads a scenario. `file` is its name for errors, and without directory and `.toml` the scenario's name unless the
/// text has another. `overrides` are `KEY=VALUE`, applied in order.
pub fn parse(file: &str, source: &str, overrides: &[String]) -> Result<Scenario, ScenarioError> {
    let mut problems = Problems::new(file, source);
    let mut tree = match tree::read(source) {
        Ok((tree, failures)) => {
            failures.into_iter().for_each(|failure| problems.add(failure));
            tree
        }
        Err(failure) => {
            problems.add(failure);
            return Err(problems.into_error());
        }
    };
    let top_keys: Vec<&str> = keys_of("").iter().map(|key| key.name).collect();
    for text in overrides {
        if let Err(failure) = tree.apply(text, &top_keys) {
            problems.add(failure);
        }
    }
    let scenario = scenario(file, &tree, &mut problems);
    if problems.is_empty() { Ok(scenario) } else { Err(problems.into_error()) }
}

fn scenario(file: &str, tree: &Tree, problems: &mut Problems<'_>) -> Scenario {
    let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let mut scenario = Scenario {
        name: base.strip_suffix(".toml").unwrap_or(base).to_owned(),
        about: String::new(),
        zoo: Zoo::default(),
        cluster: Cluster::default(),
        topics: vec![],
        producers: vec![],
        consumers: vec![],
        network: Network::default(),
        drawn: vec![],
        disk: DiskModel::default(),
        phases: Phases::default(),
        faults: vec![],
        admin: vec![],
        chaos: None,
        expect: Expect::default(),
    };
    let sections = |name: &'static str| tree.sections.iter().filter(move |section| section.name == name);
    top(&tree.top, problems, &mut scenario);
    for section in sections("cluster") {
        (scenario.cluster, scenario.drawn) = cluster(Reader::new(section, problems));
    }
    for section in sections("topic") {
        scenario.topics.extend(topic(Reader::new(section, problems), &scenario));
    }
    if sections("topic").next().is_none() {
        problems.add((tree.top.place.clone(), "topic".to_owned(), no_topic()));
    }
    for section in sections("producer") {
        let (producer, drawn) = producer(Reader::new(section, problems), &scenario);
        scenario.producers.push(producer);
        scenario.drawn.extend(drawn);
    }
    for section in sections("consumer") {
        let (consumer, drawn) = consumers::consumer(Reader::new(section, problems), &scenario);
        scenario.consumers.push(consumer);
        scenario.drawn.extend(drawn);
    }
    for section in sections("network") {
        scenario.network = network(Reader::new(section, problems));
    }
    for section in sections("disk") {
        scenario.disk = disk(Reader::new(section, problems));
    }
    for section in sections("chaos") {
        scenario.chaos = Some(faults::chaos(Reader::new(section, problems), &scenario));
    }
    for (index, section) in sections("fault").enumerate() {
        let position = u32::try_from(index + 1).unwrap_or(u32::MAX);
        scenario.faults.extend(faults::fault(Reader::new(section, problems), &scenario, position));
    }
    for section in sections("admin") {
        scenario.admin.extend(admin::admin(Reader::new(section, problems), &scenario));
    }
    for section in sections("expect") {
        scenario.expect = expect(Reader::new(section, problems));
    }
    scenario
}

fn no_topic() -> Wrong {
    Wrong::new("a scenario needs a topic").help("[[topic]]\n  name = \"orders\"")
}

fn top(section: &Section, problems: &mut Problems<'_>, scenario: &mut Scenario) {
    let mut reader = Reader::new(section, problems);
    let sections = super::schema::SECTIONS;
    reader.valid.extend(sections);
    if !reader.has("format") {
        let wrong = Wrong::new(format!("\"format = {FORMAT}\" is missing")).help("it comes first in every scenario");
        reader.fail("format", wrong);
    }
    reader.take("format", |found| match found.value {
        Value::Int(FORMAT) => Ok(()),
        _ => Err(Wrong::new(format!("this program reads format {FORMAT}, this is format {}", found.found()))),
    });
    if let Some(name) = reader.take("name", text) {
        scenario.name = name;
    }
    scenario.about = reader.take("about", text).unwrap_or_default();
    scenario.zoo = reader.take("zoo", list(switch)).unwrap_or_default().into_iter().collect();
    let default = Phases::default();
    let core = reader.take("core", core).unwrap_or(default.core);
    let mut phase = |key, default| reader.take(key, duration_from(MILLISECOND)).unwrap_or(default);
    scenario.phases = Phases {
        warm_up: phase("warm-up", default.warm_up),
        run: phase("run", default.run),
        core,
        heal: phase("heal", default.heal),
        drain: phase("drain", default.drain),
    };
    reader.finish("");
}

fn core(found: &Placed) -> Result<Core, Wrong> {
    let name = text(found)?;
    let known = Core::NAMES.iter().find(|(known, _)| *known == name);
    let wrong = || Wrong::new(format!("{name:?} is no core")).among(&name, Core::NAMES.map(|(name, _)| name));
    known.map(|(_, core)| *core).ok_or_else(wrong)
}

fn switch(found: &Placed) -> Result<Switch, Wrong> {
    let name = text(found)?;
    name.parse().map_err(|()| {
        Wrong::new(format!("no switch of the zoo is called {name:?}")).among(&name, Switch::ALL.map(Switch::name))
    })
}

fn cluster(mut reader: Reader<'_, '_, '_>) -> (Cluster, Vec<DrawnKey>) {
    let default = Cluster::default();
    let brokers = reader.take("brokers", number(1, 1000)).unwrap_or(default.brokers);
    let controllers = reader.take("controllers", number(1, 5)).unwrap_or(default.controllers);
    let combined = reader.take("combined", boolean).unwrap_or(default.combined);
    if combined && controllers > brokers {
        let wrong = Wrong::new(format!("{brokers} brokers cannot be {controllers} controllers too"));
        reader.fail("combined", wrong.help("controllers may be at most as many as brokers"));
    }
    let racks = reader.take("racks", list(name)).unwrap_or_default();
    let (config, drawn) = kafka::drawn_config(&mut reader, DrawnSection::Cluster);
    (Cluster { brokers, controllers, combined, racks, config }, drawn)
}

/// A word without blanks.
fn name(found: &Placed) -> Result<String, Wrong> {
    let name = text(found)?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(Wrong::new(format!("{name:?} is no name: a word without blanks")));
    }
    Ok(name)
}

fn topic(mut reader: Reader<'_, '_, '_>, scenario: &Scenario) -> Option<TopicSpec> {
    let name = reader.require("name", |found| {
        let name = text(found)?;
        check::legal_topic_name(&name)?;
        if scenario.topics.iter().any(|topic| topic.name == name) {
            return Err(Wrong::new(format!("there are two topics {name:?}")));
        }
        Ok(name)
    });
    topic_settings(reader, name, scenario.cluster.brokers)
}

/// What is said of a topic besides its name.
pub(super) fn topic_settings(mut reader: Reader<'_, '_, '_>, name: Option<String>, brokers: u32) -> Option<TopicSpec> {
    let partitions: i32 = reader.take("partitions", number(1, 10_000)).unwrap_or(1);
    let replication_factor = reader
        .take("replication.factor", |found| {
            let factor = number(1, i64::from(i16::MAX))(found)?;
            check::replication_factor(brokers, factor)?;
            Ok(factor)
        })
        .unwrap_or(brokers.min(3) as i16);
    let assignments = reader.take("assignments", list(list(number(1, i64::from(i32::MAX))))).unwrap_or_default();
    if !assignments.is_empty()
        && let Err(wrong) = check::assignments(brokers, partitions, replication_factor, &assignments)
    {
        reader.fail("assignments", wrong);
    }
    let config = kafka::config(&mut reader);
    Some(TopicSpec { name: name?, partitions, replication_factor, assignments, config })
}

/// The topics of a client: those it names, or all.
pub(super) fn topics(reader: &mut Reader<'_, '_, '_>, scenario: &Scenario) -> Vec<String> {
    let known = |found: &Placed| {
        let name = text(found)?;
        check::topic_name(scenario, &name)?;
        Ok(name)
    };
    let all = || scenario.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics = reader.take("topics", list(known)).unwrap_or_else(all);
    if topics.is_empty() && !scenario.topics.is_empty() {
        reader.fail("topics", Wrong::new("name at least one topic, or leave the key out for all of them"));
    }
    topics
}

fn producer(mut reader: Reader<'_, '_, '_>, scenario: &Scenario) -> (ProducerSpec, Vec<DrawnKey>) {
    let spec = ProducerSpec {
        count: reader.take("count", number(1, 1000)).unwrap_or(1),
        topics: topics(&mut reader, scenario),
        rate: reader.take("rate", number(1, 1_000_000)).unwrap_or(200),
        records: reader.take("records", number(1, 1_000_000_000)),
        value_bytes: reader.take("value-bytes", number(16, 1_048_576)).unwrap_or(100),
        keys: reader.take("keys", number(1, 1_000_000_000)),
        config: Default::default(),
    };
    let given = reader.has("delivery.timeout.ms");
    let idempotence_asked_for = reader.has("enable.idempotence");
    let section = DrawnSection::Producer(scenario.producers.len());
    let (mut config, drawn): (ProducerConfig, _) = kafka::drawn_config(&mut reader, section);
    // What the seed draws lies between these.
    let (mut low, mut high) = (drawn::at_end(&config, &drawn, |d| d.min), drawn::at_end(&config, &drawn, |d| d.max));
    // KafkaProducer.configureDeliveryTimeout: the default gives way, a given value must fit.
    let least = high.linger_ms.saturating_add(high.request_timeout_ms);
    if given && low.delivery_timeout_ms < least {
        let message = format!("must be at least linger.ms + request.timeout.ms, which is {least} ms");
        reader.fail("delivery.timeout.ms", Wrong::new(message));
    }
    config.delivery_timeout_ms = config.delivery_timeout_ms.max(least);
    let resolved = [&mut low, &mut high].map(|end| end.resolve_idempotence(idempotence_asked_for));
    if let Some(NotIdempotent { key, wrong, right }) = resolved.into_iter().find_map(Result::err) {
        reader.fail(key, Wrong::new(wrong).help(right));
    }
    if low.enable_idempotence != high.enable_idempotence {
        let wrong = Wrong::new("some of these values would turn idempotence off, and others leave it on");
        reader.fail("retries", wrong.help("begin at 1, or set enable.idempotence = false"));
    }
    config.enable_idempotence = low.enable_idempotence;
    (ProducerSpec { config, ..spec }, drawn)
}

fn network(mut reader: Reader<'_, '_, '_>) -> Network {
    let default = Latency::default();
    let latency = Latency {
        min: reader.take("latency.min", duration).unwrap_or(default.min),
        typical: reader.take("latency.typical", duration).unwrap_or(default.typical),
        max: reader.take("latency.max", duration).unwrap_or(default.max),
        tail_per_mille: reader.take("latency.tail-per-mille", number(0, 1000)).unwrap_or(default.tail_per_mille),
    };
    if !(latency.min <= latency.typical && latency.typical <= latency.max) {
        let message = "latencies must rise from latency.min over latency.typical to latency.max";
        let key = ["latency.typical", "latency.max", "latency.min"].into_iter().find(|key| reader.has(key));
        reader.fail(key.unwrap_or("latency.min"), Wrong::new(message));
    }
    reader.finish("");
    Network { latency }
}

fn disk(mut reader: Reader<'_, '_, '_>) -> DiskModel {
    let default = DiskModel::default();
    let disk = DiskModel {
        operation: reader.take("operation", duration_range).unwrap_or(default.operation),
        sync: reader.take("sync", duration_range).unwrap_or(default.sync),
        writeback: reader.take("writeback", duration_from(MILLISECOND)).unwrap_or(default.writeback),
    };
    reader.finish("");
    disk
}

fn expect(mut reader: Reader<'_, '_, '_>) -> Expect {
    let code = |found: &Placed| {
        let code = text(found)?;
        if FINDING_CODES.contains(&code.as_str()) {
            return Ok(code);
        }
        let wrong = Wrong::new(format!("no finding is called {code:?}"));
        Err(wrong.among(&code, FINDING_CODES.iter().copied()))
    };
    let expect = Expect {
        never: reader.take("never", list(code)).unwrap_or_default(),
        any: reader.take("any", list(code)).unwrap_or_default(),
        as_configured: reader.take("as-configured", boolean).unwrap_or(false),
    };
    reader.finish("");
    expect
}
