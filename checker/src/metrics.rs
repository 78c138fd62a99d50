//! What a run says of time: latencies, the longest that each partition went without service, and how soon all was well again.
//!
//! All from what clients saw. Nothing of it is a finding: that something takes too long is [`crate::Waiting`]'s to say.
//!
//! - **without an acknowledgement**: of a partition, from the first send that nobody has acknowledged yet to the next acknowledgement;
//! - **unread**: of a partition, from the acknowledgement of a record to the first time that a consumer was handed it;
//! - **recovery**: from the end of the faults to the first acknowledgement of each partition that was waiting for one then, or from
//!   its first send after them; the slowest counts.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::observation::Time;
use crate::words::seconds;

/// Of many latencies, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Half of them are not above.
    pub p50: Time,
    /// 99 of 100 are not above.
    pub p99: Time,
    /// The longest.
    pub max: Time,
}

impl Quantiles {
    /// Nearest ranks; `None` of nothing.
    pub(crate) fn of(mut latencies: Vec<Time>) -> Option<Self> {
        let max = *latencies.iter().max()?;
        let mut at = |per_mille: u64| {
            let rank = (latencies.len() as u64 * per_mille).div_ceil(1_000).max(1) - 1;
            *latencies.select_nth_unstable(rank as usize).1
        };
        Some(Quantiles { p50: at(500), p99: at(990), max })
    }

    /// As counters of the latency of something.
    pub(crate) fn named(self, of: &str) -> [(String, u64); 3] {
        [("p50", self.p50), ("p99", self.p99), ("max", self.max)]
            .map(|(quantile, value)| (format!("{of}_latency_{quantile}_ns"), value))
    }
}

/// What a partition may go without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Acknowledgements.
    Send,
    /// Deliveries.
    Read,
}

/// The longest that a partition went without one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unavailability {
    /// Its name.
    pub partition: String,
    /// Without what.
    pub service: Service,
    /// Since when.
    pub since: Time,
    /// How long, in nanoseconds.
    pub lasted: Time,
}

/// All of it, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// From a send to its acknowledgement.
    pub produce_latency: Option<Quantiles>,
    /// From an acknowledgement to the first delivery, of records that consumers were handed.
    pub delivery_latency: Option<Quantiles>,
    /// Of each partition and service the longest time without; in order of service and partition.
    pub unavailability: Vec<Unavailability>,
    /// After all faults had ended; `None` if there was nothing to wait for.
    pub recovery: Option<Time>,
    /// Rebalances of groups.
    pub rebalances: u64,
}

/// One send, as its producer and consumers saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) partition: u32,
    pub(crate) invoked: Time,
    /// When its producer was told, and whether it was acknowledged.
    pub(crate) settled: Option<(Time, bool)>,
    /// When a consumer was handed it first, or at least had not been until then.
    pub(crate) read: Option<Time>,
    /// It was.
    pub(crate) delivered: bool,
}

impl Metrics {
    /// Of these sends.
    pub(crate) fn of(sends: impl Iterator<Item = Sent>, name: impl Fn(u32) -> String, healed: Option<Time>) -> Self {
        let (mut produced, mut delivered): (Vec<Time>, Vec<Time>) = (Vec::new(), Vec::new());
        // Those of a partition in the order of their ends, in which they nearly are.
        let mut partitions: Vec<Vec<Sent>> = Vec::new();
        for sent in sends {
            if let Some((acked, true)) = sent.settled {
                produced.push(acked.saturating_sub(sent.invoked));
                delivered.extend(sent.read.filter(|_| sent.delivered).map(|read| read.saturating_sub(acked)));
            }
            let number = sent.partition as usize;
            if number >= partitions.len() {
                partitions.resize_with(number + 1, Vec::new);
            }
            partitions[number].push(sent);
        }
        let mut metrics = Metrics {
            produce_latency: Quantiles::of(produced),
            delivery_latency: Quantiles::of(delivered),
            ..Metrics::default()
        };
        for partition in &mut partitions {
            partition.sort_by_key(|sent| sent.settled.map_or(Time::MAX, |(at, _)| at));
        }
        for partition in partitions.iter().filter(|partition| !partition.is_empty()) {
            for (service, longest) in [(Service::Send, without_ack(partition)), (Service::Read, unread(partition))] {
                if let Some((lasted, since)) = longest.filter(|(lasted, _)| *lasted > 0) {
                    let partition = name(partition[0].partition);
                    metrics.unavailability.push(Unavailability { partition, service, since, lasted });
                }
            }
            metrics.recovery = metrics.recovery.max(healed.and_then(|healed| recovery(partition, healed)));
        }
        metrics.unavailability.sort_by(|a, b| (a.service, &a.partition).cmp(&(b.service, &b.partition)));
        metrics
    }

    /// The longest without a service, over all partitions.
    pub fn longest(&self, service: Service) -> Option<&Unavailability> {
        let of_service = self.unavailability.iter().filter(|without| without.service == service);
        // Of several as long the first.
        of_service.rev().max_by_key(|without| without.lasted)
    }

    /// By name, each in nanoseconds.
    pub fn named(&self) -> BTreeMap<String, u64> {
        let mut named = BTreeMap::new();
        for (name, latency) in [("produce", self.produce_latency), ("delivery", self.delivery_latency)] {
            named.extend(latency.into_iter().flat_map(|latency| latency.named(name)));
        }
        for (name, service) in [("longest_without_ack_ns", Service::Send), ("longest_unread_ns", Service::Read)] {
            named.extend(self.longest(service).map(|longest| (name.to_owned(), longest.lasted)));
        }
        named.extend(self.recovery.map(|recovery| ("recovery_ns".to_owned(), recovery)));
        named
    }
}

/// How long, and since when.
fn without_ack(sends: &[Sent]) -> Option<(Time, Time)> {
    let mut longest = None;
    let mut waiting: Option<Time> = None;
    for sent in sends {
        let Some((at, acked)) = sent.settled else { continue };
        let from = waiting.map_or(sent.invoked, |earlier| earlier.min(sent.invoked));
        waiting = (!acked).then_some(from);
        if acked {
            longest = longer(longest, (at.saturating_sub(from), from));
        }
    }
    longest
}

fn unread(sends: &[Sent]) -> Option<(Time, Time)> {
    let waited = sends.iter().filter_map(|sent| {
        let (at, acked) = sent.settled?;
        let read = sent.read.filter(|_| acked)?;
        Some((read.saturating_sub(at), at))
    });
    waited.fold(None, longer)
}

/// The longer one, and of two as long the earlier.
fn longer(longest: Option<(Time, Time)>, other: (Time, Time)) -> Option<(Time, Time)> {
    Some(longest.filter(|longest| longest.0 >= other.0).unwrap_or(other))
}

fn recovery(sends: &[Sent], healed: Time) -> Option<Time> {
    let waits = |sent: &&Sent| sent.settled.is_none_or(|(at, _)| at >= healed);
    let first = sends.iter().filter(waits).map(|sent| sent.invoked.max(healed)).min()?;
    let mut acked = sends.iter().filter_map(|sent| sent.settled.filter(|(at, acked)| *acked && *at >= healed));
    acked.next().map(|(at, _)| at.saturating_sub(first))
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        for (what, latency) in [("acknowledged", self.produce_latency), ("delivered after that", self.delivery_latency)]
        {
            if let Some(Quantiles { p50, p99, max }) = latency {
                lines.push(format!("{what} in {} (p50), {} (p99), {} (max)", seconds(p50), seconds(p99), seconds(max)));
            }
        }
        for (what, service) in [("without an acknowledgement", Service::Send), ("unread", Service::Read)] {
            if let Some(Unavailability { partition, since, lasted, .. }) = self.longest(service) {
                lines.push(format!("longest {what}: {partition} for {} from {} on", seconds(*lasted), seconds(*since)));
            }
        }
        lines.extend(
            self.recovery.map(|recovery| format!("acknowledged again {} after all had healed", seconds(recovery))),
        );
        f.write_str(&lines.join("\n"))
    }
}
