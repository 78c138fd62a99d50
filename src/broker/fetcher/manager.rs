//! Which fetcher fetches a partition?
//!
//! One per source broker and number below `num.replica.fetchers`, each with a connection and a lane of its own, so that
//! one that is stuck stops nobody but its own partitions. Source: `AbstractFetcherManager`.

use super::{Fetcher, stands_still};
use crate::broker::replicas::PartitionIx;
use crate::broker::{Broker, Step};
use crate::conformance::FollowerRule;
use crate::ids::{BrokerId, NO_BROKER, TopicPartition};
use crate::node::{Effects, Lane, LocalStep};

/// Names a fetcher (`AbstractFetcherManager.BrokerIdAndFetcherId`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetcherKey {
    /// The broker it fetches from.
    pub leader: BrokerId,
    /// Its number among those that do, from 0.
    pub number: i32,
}

impl Broker {
    /// The fetcher for a partition led by that broker (`AbstractFetcherManager.getFetcherId`).
    pub(in crate::broker) fn fetcher_key(&self, leader: BrokerId, id: &TopicPartition) -> FetcherKey {
        let fetchers = i32::try_from(self.setup.config.num_replica_fetchers.max(1)).unwrap_or(i32::MAX);
        let spread = FollowerRule::PartitionsAreSpreadOverFetchers.holds();
        FetcherKey { leader, number: if spread { fetcher_number(id, fetchers) } else { 0 } }
    }

    /// Follows the partition's leader from now on, in its present epoch.
    pub(in crate::broker) fn start_fetching(&mut self, ix: PartitionIx, fx: &mut Effects<'_>) {
        let followed_before = self.stop_fetching(ix, fx);
        let partition = self.replicas.get(ix);
        let (leader, leader_epoch) = (partition.leader, partition.leader_epoch);
        if leader == NO_BROKER {
            return;
        }
        let Some(endpoint) = self.endpoint_of(leader).cloned() else { return };
        let key = self.fetcher_key(leader, &partition.id);
        let history = self.history_at_start(followed_before == Some(leader));
        let timeout = self.setup.config.request_timeout_ms;
        let lane = self.free_lane();
        let fetcher = self.fetchers.entry(key).or_insert_with(|| Fetcher::new(endpoint.clone(), timeout, lane));
        fetcher.move_to(endpoint, timeout, fx);
        fetcher.follow(ix, leader_epoch, history);
        fx.defer(fetcher.lane(), LocalStep::Broker(Step::Fetch(key)));
    }

    /// No longer fetches this partition from anybody. Returns from whom it did. A fetcher that stood still for it goes on with
    /// what is left: whoever takes a partition from Kafka's thread waits until that has flushed, and then it looks again
    /// (`AbstractFetcherThread.removePartitions`, `partitionMapLock`).
    pub(in crate::broker) fn stop_fetching(&mut self, ix: PartitionIx, fx: &mut Effects<'_>) -> Option<BrokerId> {
        let stood_still = self.replicas.try_get(ix).is_some_and(stands_still);
        let mut from = None;
        for (key, fetcher) in &mut self.fetchers {
            if !fetcher.leave(ix) {
                continue;
            }
            from = Some(key.leader);
            if stood_still {
                fx.defer(fetcher.lane(), LocalStep::Broker(Step::Fetch(*key)));
            }
        }
        from
    }

    /// The lane of that fetcher, or of whoever has something to say about one that is gone.
    pub(in crate::broker) fn fetcher_lane(&self, key: FetcherKey) -> Lane {
        self.fetchers.get(&key).map_or(Lane::Fetcher(0), Fetcher::lane)
    }

    /// The lane with the fewest fetchers, the first of them.
    fn free_lane(&self) -> Lane {
        let used = |lane: Lane| self.fetchers.values().filter(|fetcher| fetcher.lane() == lane).count();
        (0..Lane::FETCHERS).map(Lane::Fetcher).min_by_key(|lane| used(*lane)).unwrap_or(Lane::Fetcher(0))
    }
}

/// `AbstractFetcherManager.getFetcherId`: Java's hash of the topic's name times 31, plus the partition.
fn fetcher_number(id: &TopicPartition, fetchers: i32) -> i32 {
    let topic =
        id.topic.as_str().encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    let hash = topic.wrapping_mul(31).wrapping_add(id.partition);
    // `Utils.abs`: the least number has no absolute value, and counts as 0.
    hash.checked_abs().unwrap_or(0) % fetchers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Topic;

    /// The hashes of `"orders"` and `"a"` are those that Java tells: -1008770331 and 97.
    #[test]
    fn partitions_go_to_fetchers_by_javas_hash() {
        let number = |topic: &str, partition, fetchers| {
            fetcher_number(&TopicPartition::new(&Topic::new(topic), partition), fetchers)
        };
        assert_eq!(number("a", 0, 10), 97 * 31 % 10);
        assert_eq!(number("a", 1, 10), (97 * 31 + 1) % 10);
        let orders = (-1_008_770_331i32).wrapping_mul(31);
        assert_eq!([0, 1, 2].map(|p| number("orders", p, 4)), [0, 1, 2].map(|p| (orders + p).abs() % 4));
        assert_eq!(number("orders", 7, 1), 0);
    }
}
