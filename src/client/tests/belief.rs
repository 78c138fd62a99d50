//! Whatever brokers and network do, a producer's belief fits the log: against a broker that appends, refuses, stays
//! silent and hangs up by chance; and with idempotence the log has every record once and in its order.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::fixture::*;
use super::log::Log;
use crate::client::Role;
use crate::config::ProducerConfig;
use crate::ids::Topic;
use crate::node::{Belief, Command};

struct Dice(u64);
impl Dice {
    /// A number below `sides` (xorshift).
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

const SENDS: u64 = 40;

/// Plays one run without idempotence; returns the log and the bench with all sends settled.
fn play(seed: u64, max_in_flight: i64) -> (Vec<u64>, Bench) {
    play_with(seed, ProducerConfig { max_in_flight, enable_idempotence: false, ..ProducerConfig::default() })
}
/// The same with idempotence.
fn play_idempotent(seed: u64) -> (Vec<u64>, Bench) {
    play_with(seed, ProducerConfig::default())
}

fn play_with(seed: u64, config: ProducerConfig) -> (Vec<u64>, Bench) {
    let config = ProducerConfig {
        linger_ms: 3,
        batch_size: 300,
        request_timeout_ms: 700,
        delivery_timeout_ms: 1_500,
        // Often enough to hear of a new leader while the old one is silent.
        metadata_max_age_ms: 100,
        ..config
    };
    let mut bench = Bench::new(Role::Producer(config), &[1]);
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut log = Log::default();
    // On these nothing is handled any more; the producer will find them late.
    let mut stuck = Vec::new();
    for op in 0..SENDS {
        let value = Some(Bytes::from(op.to_string()));
        let topic = Topic::new(TOPIC);
        bench.command(op, Command::Produce { topic, partition: Some(0), key: None, value, headers: vec![] });
        bench.sleep(dice.roll(40) as i64);
        let leader = bench.leaders[0];
        if dice.roll(15) == 0 {
            bench.leaders[0] = (leader.0 % 3 + 1, leader.1 + 1);
        }
        while bench.calls_waiting() > 0 {
            let call = bench.next_call();
            if stuck.contains(&call.conn) {
                continue;
            }
            // A broker that knows nothing of a producer takes any sequence, which is a hole in Kafka (KAFKA-14359): the
            // first batch goes through.
            match if log.values.is_empty() { 0 } else { dice.roll(12) } {
                0..=3 => {
                    let end = log.append(&call);
                    bench.answer_produce(call, end);
                }
                4 => {
                    let end = log.append(&call).and(Err(ResponseError::NotEnoughReplicasAfterAppend));
                    bench.answer_produce(call, end);
                }
                5..=6 => {
                    bench.answer_produce(call, Err(ResponseError::NotEnoughReplicas));
                }
                7 => {
                    bench.answer_produce(call, Err(ResponseError::NotLeaderOrFollower));
                }
                8..=9 => {
                    let _ = log.append(&call);
                    bench.disconnect(call.broker);
                }
                10 => {
                    let _ = log.append(&call);
                    stuck.push(call.conn);
                }
                _ => stuck.push(call.conn),
            }
        }
    }
    bench.sleep(10_000);
    (log.values.iter().map(|v| v.parse().expect("a number")).collect(), bench)
}

#[test]
fn a_belief_fits_the_log() {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..300 {
        let (log, bench) = play(seed, 1 + (seed % 2) as i64 * 4);
        for op in 0..SENDS {
            let copies = log.iter().filter(|value| **value == op).count();
            match bench.produced(op).0 {
                Belief::Acked { offset } => {
                    assert_eq!(log[offset as usize], op, "seed {seed}: acknowledged at another record's offset");
                    *seen.entry(if copies > 1 { "acked, twice" } else { "acked" }).or_default() += 1;
                }
                Belief::Failed => {
                    assert_eq!(copies, 0, "seed {seed}: record {op} has failed and is in the log");
                    *seen.entry("failed").or_default() += 1;
                }
                Belief::Unknown => {
                    *seen.entry(if copies > 0 { "unknown, there" } else { "unknown, absent" }).or_default() += 1;
                }
                Belief::Unpromised => panic!("seed {seed}: acks=all promises"),
            }
        }
        assert_eq!(bench.delivered.len() as u64, SENDS);
    }
    let all = ["acked", "acked, twice", "failed", "unknown, absent", "unknown, there"];
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), all, "every case has occurred: {seen:?}");
}

#[test]
fn with_one_request_in_flight_records_first_appear_in_the_order_of_sending() {
    for seed in 0..300 {
        let (log, _) = play(seed, 1);
        let mut first = Vec::new();
        for value in log {
            if !first.contains(&value) {
                first.push(value);
            }
        }
        assert!(first.is_sorted(), "seed {seed}: {first:?}");
    }
}

#[test]
fn with_five_requests_in_flight_some_records_are_reordered() {
    let reordered = |seed: &u64| {
        let (log, _) = play(*seed, 5);
        let first = |value: &u64| log.iter().position(|v| v == value);
        (1..SENDS).any(|op| matches!((first(&(op - 1)), first(&op)), (Some(a), Some(b)) if a > b))
    };
    assert!((0..300).any(|seed| reordered(&seed)));
}

#[test]
fn with_idempotence_every_record_is_there_once_and_in_its_order() {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..300 {
        let (log, bench) = play_idempotent(seed);
        assert!(log.is_sorted_by(|a, b| a < b), "seed {seed}: {log:?}");
        for op in 0..SENDS {
            let there = log.contains(&op);
            match bench.produced(op) {
                (Belief::Acked { offset }, attempts, _) => {
                    assert_eq!(log[offset as usize], op, "seed {seed}: acknowledged at another record's offset");
                    *seen.entry(if attempts > 1 { "acked, retried" } else { "acked" }).or_default() += 1;
                }
                (Belief::Failed, ..) => assert!(!there, "seed {seed}: record {op} has failed and is in the log"),
                (Belief::Unknown, ..) => {
                    *seen.entry(if there { "unknown, there" } else { "unknown, absent" }).or_default() += 1;
                }
                (Belief::Unpromised, ..) => panic!("seed {seed}: acks=all promises"),
            }
        }
        for event in ["producer-epoch-raised", "batch-retried"] {
            *seen.entry(event).or_default() += bench.told(event).len() as u32;
        }
    }
    let all =
        ["acked", "acked, retried", "batch-retried", "producer-epoch-raised", "unknown, absent", "unknown, there"];
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), all, "every case has occurred: {seen:?}");
    assert!(seen.values().all(|count| *count > 10), "{seen:?}");
}
