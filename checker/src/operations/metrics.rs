//! What a history says of time: latencies, the longest spans without success, and how far consumers were behind.
//!
//! Only of histories whose lines bear times. All in nanoseconds.

use std::collections::BTreeMap;

use super::facts::{Facts, Source};
use super::history::{Function, NONE, Outcome};
use crate::metrics::{Metrics, Quantiles, Sent, Service, Unavailability};

/// Adds them to the counters.
pub(super) fn add(facts: &Facts<'_>, counters: &mut BTreeMap<String, u64>) -> Vec<Unavailability> {
    if !facts.history.has_times() {
        return Vec::new();
    }
    for (name, is_of) in [("send", Function::Send), ("poll", Function::Poll), ("txn", Function::Txn)] {
        let ok = facts.history.ops.iter().filter(|op| op.function == is_of && op.outcome == Outcome::Ok);
        let latency = Quantiles::of(ok.map(|op| since(op.invoked_ns, op.completed_ns)).collect());
        counters.extend(latency.into_iter().flat_map(|latency| latency.named(name)));
    }
    let metrics = of_partitions(facts);
    let longest = metrics.longest(Service::Send).map_or(0, |longest| longest.lasted);
    counters.insert("longest_without_ack_ns".to_owned(), longest);
    counters.insert("worst_realtime_lag_ns".to_owned(), worst_realtime_lag(facts));
    metrics.unavailability
}

fn since(from: i64, to: i64) -> u64 {
    u64::try_from(i128::from(to) - i128::from(from)).unwrap_or_default()
}

/// Of each partition the longest time without an acknowledgement, and that a record went unread.
fn of_partitions(facts: &Facts<'_>) -> Metrics {
    let history = facts.history;
    let first = history.ops.iter().map(|op| op.invoked_ns).min().unwrap_or_default();
    let time = |at: i64| since(first, at);
    let sends = history.sends.iter().zip(0..).map(|(send, number)| {
        let op = &history.ops[send.op as usize];
        let settled = (op.completed != NONE).then(|| (time(op.completed_ns), op.outcome == Outcome::Ok));
        let readers = facts.readers(facts.record(Source(number)));
        let ok = readers.map(|reader| &history.ops[reader as usize]).filter(|reader| reader.outcome == Outcome::Ok);
        let read = ok.map(|reader| time(reader.completed_ns)).min();
        Sent { partition: send.key, invoked: time(op.invoked_ns), settled, read, delivered: read.is_some() }
    });
    Metrics::of(sends, |key| history.show_key(key), None)
}

/// The most that a poll was behind: since when, when it was invoked, the highest record its process had read of a partition had not
/// been the last acknowledged one (Jepsen's realtime lag). Of a partition without a read, since its first one was acknowledged.
fn worst_realtime_lag(facts: &Facts<'_>) -> u64 {
    let history = facts.history;
    let expiries: Vec<Vec<i64>> = (0..history.keys.len() as u32).map(|key| expiries(facts, key)).collect();
    let mut consumers: Vec<Consumer> = vec![Consumer::default(); history.processes.len()];
    let mut worst = 0;
    for (op, state) in (0..).zip(&history.ops) {
        let consumer = &mut consumers[state.process as usize];
        match state.function {
            Function::Assign | Function::Subscribe if state.outcome == Outcome::Ok => {
                worst = worst.max(consumer.lag(&expiries));
                let named = history.named_by(op).iter();
                consumer.next =
                    named.map(|(key, _)| (*key, consumer.next.get(key).copied().unwrap_or_default())).collect();
            }
            Function::Poll | Function::Txn if state.outcome == Outcome::Ok => {
                for poll in facts.polls(op) {
                    let Some(index) = facts.position(poll) else { continue };
                    let key = facts.mention(poll).key;
                    let next = consumer.next.entry(key).or_default();
                    if index + 1 > *next {
                        // How far it had fallen behind before it went on.
                        let behind = consumer.polled_ns.map_or(0, |at| lag(&expiries[key as usize], *next, at));
                        *next = index + 1;
                        worst = worst.max(behind).max(lag(&expiries[key as usize], *next, state.invoked_ns));
                    }
                }
                consumer.polled_ns = Some(state.invoked_ns);
            }
            _ => {}
        }
    }
    consumers.iter().map(|consumer| consumer.lag(&expiries)).fold(worst, u64::max)
}

#[derive(Clone, Debug, Default)]
struct Consumer {
    /// By partition: the index behind the highest read one.
    next: BTreeMap<u32, u32>,
    /// When its last ok poll was invoked.
    polled_ns: Option<i64>,
}

impl Consumer {
    fn lag(&self, expiries: &[Vec<i64>]) -> u64 {
        let Some(at) = self.polled_ns else { return 0 };
        self.next.iter().map(|(key, next)| lag(&expiries[*key as usize], *next, at)).max().unwrap_or_default()
    }
}

fn lag(expiries: &[i64], next: u32, at: i64) -> u64 {
    expiries.get(next as usize).filter(|expiry| **expiry != i64::MAX).map_or(0, |expiry| since(*expiry, at))
}

/// By index: when something at it or behind it was first acknowledged.
fn expiries(facts: &Facts<'_>, key: u32) -> Vec<i64> {
    let log = facts.log(key);
    let mut expiries = vec![i64::MAX; log.last().map_or(0, |slot| slot.index as usize + 1)];
    let mut earliest = i64::MAX;
    for slot in log.iter().rev() {
        let writer = facts.records[slot.record as usize].writer;
        if writer != NONE && facts.outcome(writer) == Outcome::Ok {
            earliest = earliest.min(facts.history.ops[writer as usize].completed_ns);
        }
        expiries[slot.index as usize] = earliest;
    }
    expiries
}
