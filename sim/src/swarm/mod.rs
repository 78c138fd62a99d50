//! Swarm: from a seed to a whole scenario. The seed draws its cluster, its configuration, its workload, which kinds of
//! fault exist at all and how often, what an administrator does, and perhaps one of the combinations of `combo`.
//!
//! ```text
//!   seed ─▶ space (one function) ─▶ a scenario file ─▶ parse ─▶ Scenario ─▶ a trial like any other
//! ```
//!
//! Whatever comes out is legal: a cluster as Kafka lets one run it. It may be one that loses what it has acknowledged, and then
//! the verdict says ALLOWED and by which rule. What nothing can survive is not in it: a quorum that loses the disks of a
//! majority, or all replicas of a partition on disks that lie.

mod combo;
mod draw;
mod guide;
mod sheet;
mod stage;

pub use draw::Draw;
pub use guide::{GENERATION, Guide};

use crate::fault::Target;
use crate::scenario::{Scenario, ScenarioError};
use sheet::Sheet;

/// The scenario of this seed, with overrides as `--set` takes them.
pub fn scenario(seed: u64, overrides: &[String]) -> Result<Scenario, ScenarioError> {
    Draw::of(seed).scenario(overrides)
}

/// What is drawn, as a file.
fn text_of(draw: &Draw) -> String {
    let mut sheet = Sheet::new(draw);
    space(&mut sheet);
    sheet.text()
}

/// The whole space. Numbers in front of a key: in so many of a hundred seeds it has not its default.
#[rustfmt::skip]
fn space(s: &mut Sheet) {
    s.put("format", 1);
    s.put_text("about", "Everything drawn by the seed");
    let run = s.spread("run", 10_000, 30_000);
    s.put_text("run", sheet::shown(run));
    s.some(50, "core", &["\"random\""]);

    let combo = combo::draw(s);
    let (most, voters) = combo.map_or((1, 1), |combo| (combo.replicas, combo.controllers));
    s.section("[cluster]");
    let brokers = s.one_of("brokers", &[1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 5, 6, 7]).max(most);
    let controllers = s.one_of("controllers", &[1, 1, 1, 2, 3, 3, 3, 3, 4, 5]).max(voters);
    s.put("brokers", brokers);
    s.put("controllers", controllers);
    let combined = controllers <= brokers && !combo.is_some_and(|combo| combo.apart) && s.chance(15, "combined");
    if combined { s.put("combined", true); }
    s.some(40, "racks", &[r#"["r1", "r2"]"#, r#"["r1", "r2", "r3"]"#]);
    let factor = brokers.min(s.pick("replication factor", &[1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4, 5])).max(most);
    let least = s.pick("min ISR", &[1, 1, 2, 2, 2, 2, 3]);
    s.put("min.insync.replicas", if s.chance(10, "more than there are") { least } else { factor.min(least) });
    s.some(10, "unclean.leader.election.enable", &[true]);
    s.time(50, "unclean.leader.election.interval.ms", 500, 10_000);
    s.some(30, "eligible.leader.replicas.version", &[0]);
    s.time(70, "replica.lag.time.max.ms", 1_000, 15_000);
    s.time(40, "replica.fetch.wait.max.ms", 20, 500);
    s.time(40, "replica.fetch.backoff.ms", 50, 1_000);
    s.some(25, "replica.fetch.max.bytes", &[4_000, 20_000]);
    s.some(10, "replica.fetch.response.max.bytes", &[20_000]);
    s.some(25, "num.replica.fetchers", &[2, 3]);
    s.time(50, "replica.high.watermark.checkpoint.interval.ms", 200, 5_000);
    s.time(90, "broker.session.timeout.ms", 1_500, 7_000);
    s.time(90, "broker.heartbeat.interval.ms", 200, 700);
    s.time(50, "request.timeout.ms", 1_000, 30_000);
    s.some(10, "controlled.shutdown.enable", &[false]);
    s.some(40, "auto.leader.rebalance.enable", &[false]);
    s.some(40, "leader.imbalance.check.interval.seconds", &[1, 2, 5, 10]);
    s.some(40, "log.segment.bytes", &[2_000, 4_000, 20_000]);
    s.time(15, "log.roll.ms", 1_000, 20_000);
    s.some(20, "log.index.interval.bytes", &[0, 100, 1_000]);
    s.some(20, "log.flush.interval.messages", &[1, 1, 10, 100]);
    s.time(50, "log.flush.offset.checkpoint.interval.ms", 500, 10_000);
    s.time(10, "log.retention.ms", 2_000, 20_000);
    s.some(10, "log.retention.bytes", &[5_000, 50_000]);
    s.time(50, "log.retention.check.interval.ms", 500, 5_000);
    s.some(10, "log.message.timestamp.type", &["\"LogAppendTime\""]);
    s.some(20, "replica.selector.class", &["\"RackAwareReplicaSelector\""]);
    s.some(10, "max.incremental.fetch.session.cache.slots", &[0, 1, 3]);
    s.time(60, "controller.quorum.fetch.timeout.ms", 500, 4_000);
    s.time(50, "controller.quorum.election.timeout.ms", 300, 2_000);
    s.time(50, "controller.quorum.election.backoff.max.ms", 100, 1_000);
    s.time(50, "controller.quorum.request.timeout.ms", 500, 2_000);
    s.some(40, "metadata.log.max.record.bytes.between.snapshots", &[500, 1_000, 4_000]);
    s.some(40, "metadata.log.segment.bytes", &[500, 1_000, 4_000]);
    s.time(20, "metadata.log.max.snapshot.interval.ms", 1_000, 10_000);
    s.one_of("offsets.topic.num.partitions", &[1, 1, 2, 4]);
    s.put("offsets.topic.replication.factor", factor);
    s.put_text("group.initial.rebalance.delay.ms", sheet::shown(s.spread("group.initial.rebalance.delay.ms", 0, 1_000)));
    s.put_text("group.consumer.session.timeout.ms", sheet::shown(s.spread("group.consumer.session.timeout.ms", 6_000, 10_000)));
    s.put_text("group.consumer.heartbeat.interval.ms", sheet::shown(s.spread("group.consumer.heartbeat.interval.ms", 500, 2_000)));

    let mut first_partition = Vec::new();
    for topic in ["orders", "payments"].into_iter().take(s.pick("topics", &[1, 1, 2])) {
        s.section("[[topic]]");
        s.put_text("name", topic);
        let partitions = s.one_of("partitions", &[1, 1, 2, 2, 3, 4, 6]);
        s.put("replication.factor", factor);
        let assignments = assignments(s, brokers, factor, partitions);
        s.put("assignments", format!("{assignments:?}"));
        if topic == "orders" { first_partition = assignments[0].clone(); }
        s.some(10, "unclean.leader.election.enable", &[true, false]);
        s.some(5, "compression.type", CODECS);
    }
    for _ in 0..s.pick("producers", &[1, 1, 2, 3]) {
        s.section("[[producer]]");
        s.one_of("count", &[1, 1, 2, 3]);
        s.put("rate", s.spread("rate", 5, 100));
        s.put("value-bytes", s.spread("value-bytes", 16, 1_000));
        s.number(50, "keys", 1, 1_000);
        let idempotent = match s.pick("acks", &["all", "all", "all", "all", "all", "1", "1", "0"]) {
            "all" => s.one_of("enable.idempotence", &[true, true, false]),
            acks => { s.put_text("acks", acks); s.put("enable.idempotence", false); false }
        };
        if !idempotent { s.some(20, "retries", &[0, 1, 3]); }
        s.some(40, "max.in.flight.requests.per.connection", if idempotent { &[1, 2, 3] } else { &[1, 2, 20] });
        s.time(60, "linger.ms", 0, 100);
        s.some(40, "batch.size", &[1, 200, 1_000]);
        s.time(60, "request.timeout.ms", 400, 30_000);
        s.time(30, "delivery.timeout.ms", 40_000, 60_000);
        s.time(50, "retry.backoff.ms", 10, 200);
        s.time(30, "metadata.max.age.ms", 300, 10_000);
        s.some(15, "compression.type", CODECS);
    }
    let many = if combo.is_some_and(|combo| combo.groups) { &[2] } else { &[0, 0, 0, 1, 1, 2][..] };
    let groups = ["eager", "modern"].into_iter().take(s.pick("groups", many)).collect::<Vec<_>>();
    groups.iter().for_each(|name| group(s, name, run));
    let alone = if groups.is_empty() { &[1, 1, 2] } else { &[0, 0, 1] };
    for _ in 0..s.pick("consumers", alone) {
        s.section("[[consumer]]");
        s.one_of("auto.offset.reset", &["\"earliest\"", "\"earliest\"", "\"earliest\"", "\"latest\""]);
        s.time(50, "fetch.max.wait.ms", 2, 500);
        s.some(20, "fetch.min.bytes", &[100, 5_000]);
        // One that takes little at a time has to ask often, or it never comes to the end.
        if s.chance(30, "small bites") {
            s.time(100, "poll-interval", 5, 30);
            s.some(60, "max.partition.fetch.bytes", &[1_000, 20_000]);
            s.some(60, "max.poll.records", &[20, 100]);
        } else {
            s.time(50, "poll-interval", 10, 2_000);
        }
        s.time(50, "request.timeout.ms", 2_000, 30_000);
        s.some(30, "client.rack", &["\"r1\"", "\"r2\""]);
    }
    s.section("[network]");
    let least = s.spread("latency.min", 0, 4);
    s.put_text("latency.min", sheet::shown(least));
    s.put_text("latency.typical", sheet::shown(least + s.spread("latency.typical", 1, 8)));
    s.put_text("latency.max", sheet::shown(20 + s.spread("latency.max", 0, 100)));
    s.some(40, "latency.tail-per-mille", &[0, 50, 250]);
    s.section("[disk]");
    s.time(40, "writeback", 1_000, 30_000);
    s.some(20, "sync", &["\"5ms..50ms\""]);

    // Who replaces a voter while another has lost its disk has no quorum left.
    let voters = if combined || combo.is_some_and(|combo| combo.apart) { 0 } else { controllers };
    if s.chance(15, "administered") { administrator(s, brokers, factor, voters, run); }
    s.section("[chaos]");
    s.put("faults", format!("\"{0}..{0}\"", s.pick("faults", &[0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15])));
    let mut mixed = Vec::new();
    let mut mix = |s: &mut Sheet, kind: &'static str, weights: &[u64]| {
        let weight = s.pick(kind, weights);
        s.put(&format!("mix.{kind}"), weight);
        mixed.extend((weight > 0).then_some(kind));
    };
    for kind in ["crash", "power-loss", "clean-restart", "cut"] { mix(s, kind, &[0, 1, 2, 3, 4, 6]); }
    for kind in ["pause", "slow-link", "slow-disk", "stall-disk", "slow-fetch", "clock-jump", "disk-fails", "late-metadata"] {
        mix(s, kind, &[0, 0, 1, 1, 2, 4]);
    }
    if !groups.is_empty() && s.chance(50, "groups are hit") {
        let hits_members = mixed.iter().any(|kind| Target::AnyConsumer.can_suffer(kind));
        let members = hits_members.then(|| "random consumer".to_owned());
        let coordinators = groups.iter().map(|name| format!("coordinator of {name}"));
        let brokers = ["random broker", "leader of orders-0", "that node"].map(str::to_owned);
        let targets = members.into_iter().chain(coordinators).chain(brokers);
        s.put("targets", format!("{:?}", targets.collect::<Vec<_>>()));
        s.some(60, "events", &[GROUP_EVENTS]);
    }
    s.one_of("by-event", &[0, 30, 50, 70, 90]);
    s.put_text("occurrence", format!("1..{}", s.pick("occurrence", &[1, 3, 20])));
    s.times("delay", 0, 2_000);
    s.times("down-for", 50, 10_000);
    s.times("lasts", 200, 10_000);
    s.times("slow-link-by", 5, 6_000);
    s.times("slow-fetch-by", 10, 2_000);
    s.times("metadata-late-by", 10, 8_000);
    s.section("[expect]");
    // A drawn configuration may promise little, whichever switch of the zoo is on.
    s.put("as-configured", true);
    if let Some(combo) = combo { combo::add(s, combo, run, &first_partition); }
    s.relieve();
}

/// A group of consumers: members of one protocol and one way to commit, some of which may come later, and go.
#[rustfmt::skip]
fn group(s: &mut Sheet, name: &str, run: u64) {
    let nth = s.pick(name, &[0, 1, 2, 3]);
    for late in [false, true] {
        if late && !s.chance(60, &format!("late members of {name}")) { continue; }
        s.section("[[consumer]]");
        s.put_text("group.id", name);
        s.one_of("count", if late { &[1] } else { &[1, 2, 2, 3] });
        s.put_text("auto.offset.reset", "earliest");
        if name == "modern" {
            s.put_text("group.protocol", "consumer");
            s.some(40, "group.remote.assignor", &["\"range\"", "\"uniform\""]);
        } else {
            let strategies = ["RangeAssignor", "RoundRobinAssignor", "StickyAssignor", "CooperativeStickyAssignor"];
            s.put_text("partition.assignment.strategy", strategies[nth]);
            s.put_text("session.timeout.ms", sheet::shown(s.spread("session.timeout.ms", 6_000, 10_000)));
            s.put_text("heartbeat.interval.ms", sheet::shown(s.spread("heartbeat.interval.ms", 500, 2_000)));
        }
        match nth {
            0 => s.time(80, "auto.commit.interval.ms", 200, 5_000),
            style => {
                s.put("enable.auto.commit", false);
                s.put_text("commit", if style == 1 { "before" } else { "after" });
            }
        }
        s.time(50, "poll-interval", 10, 200);
        s.time(40, "processing", 1, 50);
        // As long as a member waits for a coordinator that has lost its power.
        s.time(100, "max.poll.interval.ms", 10_000, 30_000);
        s.some(30, "max.poll.records", &[50, 200]);
        if late {
            s.times_within("join-at", 5_000, 4_000 + run / 2);
            if s.chance(50, "leaves") { s.times_within("leave-at", 4_500 + run / 2, 4_000 + run); }
        } else if s.chance(30, "static") {
            s.put_text("group.instance.id", format!("{name}-till"));
        }
    }
}

/// What an administrator does in the meantime: a thing or two of a kind.
#[rustfmt::skip]
fn administrator(s: &mut Sheet, brokers: u64, factor: u64, controllers: u64, run: u64) {
    let mut does = vec!["elect-leaders", "reassign", "create-partitions"];
    if controllers >= 3 { does.push("replace-voter"); }
    let doing = s.pick("administrator", &does);
    // Who is to find what is new looks before liveness gives up.
    if doing == "create-partitions" { s.put_into_each("[[consumer]]", "metadata.max.age.ms", "\"5s\""); }
    let steps: &[&str] = if doing == "replace-voter" { &["remove-voter", "add-voter"] } else { &[doing, doing] };
    for step in &steps[..s.pick("steps", &[1, 2, 2])] {
        s.section("[[admin]]");
        s.put_text("do", step);
        s.times_within("at", 4_000, 3_000 + run);
        if doing == "replace-voter" {
            s.put("controller", 1 + s.below("voter", controllers));
            continue;
        }
        s.put_text("topic", "orders");
        if doing == "create-partitions" { s.put("partitions", 6 + s.below("partitions", 3)); }
        if doing == "reassign" { s.put("replicas", format!("{:?}", assignments(s, brokers, factor, 1)[0])); }
    }
}

/// What faults hang on where groups are what is tried.
const GROUP_EVENTS: &str = r#"["group-rebalancing", "group-generation", "group-epoch-raised", "target-assigned", "member-changed", "offset-written", "coordinator-loaded", "partitions-assigned", "partitions-revoked", "commit-sent", "consumed", "became-leader"]"#;

#[cfg(feature = "compression")]
const CODECS: &[&str] = &["\"gzip\"", "\"snappy\"", "\"lz4\"", "\"zstd\""];
/// A build without codecs has batches as they come.
#[cfg(not(feature = "compression"))]
const CODECS: &[&str] = &["\"none\""];

/// The replicas of each partition: neighbours in a random ring of the brokers, or all with the same leader.
fn assignments(s: &Sheet, brokers: u64, factor: u64, partitions: u64) -> Vec<Vec<u64>> {
    let mut ring: Vec<u64> = (1..=brokers).collect();
    for left in (2..=ring.len()).rev() {
        ring.swap(left - 1, s.below(&format!("ring {left}"), left as u64) as usize);
    }
    let step = s.pick("step", &[0, 1, 1, 1]);
    let of_one = |partition: u64| -> Vec<u64> {
        (0..factor).map(|nth| ring[((partition * step + nth) % brokers) as usize]).collect()
    };
    (0..partitions).map(of_one).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scenario::{parse, to_toml};

    #[test]
    fn every_seed_draws_a_scenario_that_is_legal_and_says_all_of_itself() {
        let (mut combos, mut groups) = (BTreeSet::new(), 0);
        for seed in 0..3_000 {
            let scenario = scenario(seed, &[]).unwrap_or_else(|error| panic!("{error}"));
            let file = format!("swarm-{seed}.toml");
            groups += scenario.consumers.iter().filter(|consumer| consumer.group().is_some()).count();
            let again = parse(&file, &to_toml(&scenario), &[]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(again, scenario, "the file of seed {seed} is another scenario");
            combos.insert(scenario.about);
        }
        assert!(groups > 1_000, "{groups} sections of members");
        for combo in combo::COMBOS {
            assert!(combos.contains(combo.name), "{} is never drawn", combo.name);
        }
    }

    #[test]
    fn overrides_hold_for_what_is_drawn_too() {
        let scenario = scenario(7, &["run=12s".to_owned(), "zoo=[\"raft-no-flush\"]".to_owned()]);
        let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(scenario.phases.run, 12_000_000_000);
        assert!(scenario.zoo.on(trial_kafka::zoo::Switch::RaftNoFlush));
    }
}
