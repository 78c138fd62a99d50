//! How fast may replicas that are not in sync catch up (KIP-73)?
//!
//! ```text
//!   leader:    bytes of answers for throttled partitions ─▶ rate over the last windows ─▶ above the quota: empty answers
//!   follower:  bytes of records that were fetched        ─▶ the same                   ─▶ above it: not asked for
//! ```
//!
//! A topic says which of its replicas are throttled, a broker how many bytes per second they may take together, at its
//! leaders' side and at its followers'. Who is in sync is never throttled, or it would fall out. Only the past is looked
//! at: the answer that goes over the quota is sent whole, and then there is silence until the rate has fallen.
//! Source: `ReplicationQuotaManager`, `SimpleRate`, `RemoteLeaderEndPoint.shouldFollowerThrottle`,
//! `ReplicaManager.shouldLeaderThrottle`. Counted are the bytes of records; Kafka's leader counts the fields around them too.

use std::collections::VecDeque;

use crate::conformance::ThrottleRule;
use crate::ids::BrokerId;
use crate::node::Nanos;

/// `replication.quota.window.size.seconds`, in nanoseconds.
const WINDOW: Nanos = 1_000_000_000;
/// `replication.quota.window.num`.
const WINDOWS: u64 = 11;

/// Bytes in a window of time.
#[derive(Clone, Copy, Debug)]
struct Sample {
    began: Nanos,
    bytes: u64,
}

/// What was replicated lately, and how much may be.
#[derive(Clone, Debug)]
pub(super) struct ReplicationQuota {
    /// Bytes per second.
    rate: u64,
    /// Oldest first.
    samples: VecDeque<Sample>,
}

impl ReplicationQuota {
    /// Nothing was replicated yet. `rate`: bytes per second.
    pub(super) fn new(rate: i64) -> Self {
        ReplicationQuota { rate: u64::try_from(rate).unwrap_or(0), samples: VecDeque::new() }
    }
    /// Takes a rate in bytes per second.
    pub(super) fn set_rate(&mut self, rate: i64) {
        self.rate = u64::try_from(rate).unwrap_or(0);
    }
    /// So many bytes more (`ReplicationQuotaManager.record`).
    pub(super) fn record(&mut self, now: Nanos, bytes: usize) {
        if bytes == 0 {
            return;
        }
        while self.samples.front().is_some_and(|oldest| is_past(oldest, now)) {
            self.samples.pop_front();
        }
        match self.samples.back_mut().filter(|last| now < last.began + WINDOW) {
            Some(last) => last.bytes += bytes as u64,
            None => self.samples.push_back(Sample { began: now, bytes: bytes as u64 }),
        }
    }
    /// Was more replicated than allowed, over the windows that count (`SimpleRate.windowSize`)?
    pub(super) fn is_exceeded(&self, now: Nanos) -> bool {
        let mut counted = self.samples.iter().filter(|sample| !is_past(sample, now)).peekable();
        let Some(oldest) = counted.peek() else { return false };
        let elapsed = now.saturating_sub(oldest.began).max(WINDOW);
        let elapsed = if ThrottleRule::RateFallsWithTime.holds() { elapsed } else { WINDOW };
        let bytes: u64 = counted.map(|sample| sample.bytes).sum();
        u128::from(bytes) * u128::from(WINDOW) > u128::from(self.rate) * u128::from(elapsed)
    }
}

fn is_past(sample: &Sample, now: Nanos) -> bool {
    now >= sample.began + WINDOWS * WINDOW && ThrottleRule::RateFallsWithTime.holds()
}

/// Is this partition's replica on this broker among those that a topic throttles? `*` stands for all of them, else each is
/// `partition:broker` (`ThrottledReplicaListValidator`, `TopicConfigHandler.parseThrottledPartitions`).
pub(super) fn is_throttled_replica(list: &str, partition: i32, broker: BrokerId) -> bool {
    let listed = |entry: &str| {
        let (of_partition, of_broker) = entry.split_once(':').unwrap_or_default();
        of_partition.trim().parse() == Ok(partition) && of_broker.trim().parse() == Ok(broker)
    };
    let is_for_all = list.trim() == "*" || !ThrottleRule::OnlyListedReplicas.holds();
    is_for_all || list.split(',').any(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_windows() {
        let second = |seconds: u64| seconds * WINDOW;
        let mut quota = ReplicationQuota::new(i64::MAX);
        quota.record(0, 1_000_000);
        assert!(!quota.is_exceeded(0), "without a limit");
        quota.set_rate(100_000);
        // A megabyte at once is ten seconds' worth.
        assert!(quota.is_exceeded(second(9)));
        assert!(!quota.is_exceeded(second(10)));
        quota.record(second(10), 50_000);
        assert!(!quota.is_exceeded(second(10) + WINDOW / 2), "1,050,000 bytes in 10.5 seconds are as many as allowed");
        quota.record(second(10) + WINDOW / 2, 1);
        assert!(quota.is_exceeded(second(10) + WINDOW / 2));
        // The first window is forgotten after eleven.
        assert!(!quota.is_exceeded(second(11)));
        // The first second counts as one, however little of it is over.
        let mut quota = ReplicationQuota::new(100_000);
        quota.record(second(5), 100_000);
        assert!(!quota.is_exceeded(second(5)));
        quota.record(second(5), 1);
        assert!(quota.is_exceeded(second(5)));
    }

    #[test]
    fn a_list_names_partitions_and_brokers() {
        for (list, expected) in [("*", true), ("0:1", true), ("1:1,0:1", true), ("0:2,1:1", false), ("", false)] {
            assert_eq!(is_throttled_replica(list, 0, 1), expected, "{list}");
        }
    }
}
