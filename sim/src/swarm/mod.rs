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
mod sheet;
mod stage;

use crate::scenario::{Scenario, ScenarioError, parse};
use sheet::Sheet;

/// The scenario of this seed, with overrides as `--set` takes them.
pub fn scenario(seed: u64, overrides: &[String]) -> Result<Scenario, ScenarioError> {
    let text = text(seed);
    parse(&format!("swarm-{seed}.toml"), &text, overrides).map(|scenario| scenario.drawn_by(seed))
}

/// The same as a file.
pub fn text(seed: u64) -> String {
    let mut sheet = Sheet::new(seed);
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

    s.section("[cluster]");
    let brokers = s.one_of("brokers", &[1, 2, 2, 3, 3, 3, 3, 3, 3, 4, 4, 5, 6, 7]);
    let controllers = s.one_of("controllers", &[1, 1, 1, 2, 3, 3, 3, 3, 4, 5]);
    let combined = controllers <= brokers && s.chance(15, "combined");
    if combined { s.put("combined", true); }
    s.some(40, "racks", &[r#"["r1", "r2"]"#, r#"["r1", "r2", "r3"]"#]);
    let factor = brokers.min(s.pick("replication factor", &[1, 2, 2, 3, 3, 3, 3, 3, 3, 4, 5]));
    s.put("min.insync.replicas", factor.min(s.pick("min ISR", &[1, 1, 2, 2, 2, 2, 3])));
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
    s.time(80, "broker.session.timeout.ms", 2_000, 9_000);
    s.time(80, "broker.heartbeat.interval.ms", 200, 1_000);
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

    let mut first_partition = Vec::new();
    for topic in ["orders", "payments"].into_iter().take(s.pick("topics", &[1, 1, 2])) {
        s.section("[[topic]]");
        s.put_text("name", topic);
        let partitions = s.one_of("partitions", &[1, 1, 1, 2, 2, 3, 4, 6]);
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
    for _ in 0..s.pick("consumers", &[1, 1, 2]) {
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

    s.section("[chaos]");
    s.put("faults", format!("\"{0}..{0}\"", s.pick("faults", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15])));
    for kind in ["crash", "power-loss", "clean-restart", "pause", "cut", "slow-link", "slow-disk", "stall-disk",
                 "slow-fetch", "clock-jump", "disk-fails", "late-metadata"] {
        s.put(&format!("mix.{kind}"), s.pick(kind, &[0, 0, 1, 1, 2, 4]));
    }
    s.one_of("by-event", &[0, 30, 50, 70, 90]);
    s.put_text("occurrence", format!("1..{}", s.pick("occurrence", &[1, 3, 20])));
    s.times("delay", 0, 2_000);
    s.times("down-for", 50, 10_000);
    s.times("lasts", 200, 10_000);
    s.times("slow-link-by", 5, 6_000);
    s.times("slow-fetch-by", 10, 2_000);
    s.times("metadata-late-by", 10, 8_000);
    combo::add(s, run, &first_partition, controllers, combined);
    s.relieve();
}

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
    use crate::scenario::to_toml;

    #[test]
    fn every_seed_draws_a_scenario_that_is_legal_and_says_all_of_itself() {
        let mut combos = BTreeSet::new();
        for seed in 0..3_000 {
            let scenario = scenario(seed, &[]).unwrap_or_else(|error| panic!("{error}"));
            let file = format!("swarm-{seed}.toml");
            let again = parse(&file, &to_toml(&scenario), &[]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(again, scenario, "the file of seed {seed} is another scenario");
            combos.insert(scenario.about);
        }
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
