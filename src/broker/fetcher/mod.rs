//! The follower's side of replication: fetchers, each asking one leader for partitions that follow it.
//!
//! Source: `AbstractFetcherThread`, `ReplicaFetcherThread`. A response is applied to a partition only if the partition
//! still follows in the same leader epoch and its log still ends where the fetch asked; anything else is a response of
//! the past. Divergence is told by the leader (KIP-595) and ends in a truncation, possibly in several rounds. Here stand
//! the states and who is asked when; who asks for which partition stands in [`manager`], what a fetch tells of the
//! follower's history in [`history`], what becomes of an answer in [`apply`] and [`out_of_range`].

mod apply;
mod history;
mod manager;
mod out_of_range;

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::ReplicaState;
use kafka_protocol::messages::{FetchRequest, RequestKind, ResponseKind};
use trial_storage::Disk;

use super::partition::Partition;
use super::replicas::PartitionIx;
use super::{Broker, Step};
use crate::client::fetch_session::{FetchSessionHandler, Wanted};
use crate::client::{Channel, ChannelEvent, ChannelTimeouts};
use crate::conformance::{FollowerRule, ThrottleRule};
use crate::node::{ConnId, Effects, Endpoint, Input, Lane, LocalStep, Nanos, Now, Purpose, ms};
use crate::protocol::versions;
use crate::zoo::Switch;
use history::History;

pub use apply::DivergingTail;
pub use manager::FetcherKey;

/// ListOffsets timestamps with a meaning of their own.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fetching,
    Delayed {
        until: Nanos,
    },
    /// The leader said OFFSET_OUT_OF_RANGE: ask it for its latest offset, then perhaps for its earliest.
    NeedsOffset {
        timestamp: i64,
    },
    /// Fenced, or what the leader sent cannot be appended: nothing to do until new metadata comes
    /// (`AbstractFetcherThread.markPartitionFailed`).
    Failed,
    /// What diverges is known and will be cut in a moment; only in the zoo does anything happen between.
    Cutting,
}

#[derive(Clone, Copy, Debug)]
struct Followed {
    leader_epoch: i32,
    state: State,
    history: History,
    /// By how many committed records it was behind at the last answer; `None` before the first.
    lag: Option<i64>,
}

/// What a fetch asked of one partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    ix: PartitionIx,
    leader_epoch: i32,
    fetch_offset: i64,
}

#[derive(Clone, Debug)]
pub(super) enum About {
    Fetch(Vec<Asked>),
    ListOffset(Asked, i64),
}

/// Fetches from one leader, in a lane and over a connection of its own.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    channel: Channel<About>,
    /// What the leader knows of what is fetched.
    session: FetchSessionHandler,
    partitions: BTreeMap<PartitionIx, Followed>,
    lane: Lane,
    /// A look at the clock waits in its lane already.
    woken: bool,
}

impl Fetcher {
    fn new(endpoint: Endpoint, request_timeout_ms: i64, lane: Lane) -> Self {
        let (channel, session) = (channel(endpoint, request_timeout_ms), FetchSessionHandler::default());
        Fetcher { channel, session, partitions: BTreeMap::new(), lane, woken: false }
    }
    pub(super) fn lane(&self) -> Lane {
        self.lane
    }
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.channel.owns(conn)
    }
    /// When it wants to look at the clock, unless it is about to.
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        if self.woken {
            return None;
        }
        let delayed = self.partitions.values().filter_map(|f| match f.state {
            State::Delayed { until } => Some(until),
            _ => None,
        });
        // Pauses end only between fetches, since one fetch is in flight at a time.
        let delayed = if self.channel.calls_in_flight() == 0 { delayed.min() } else { None };
        self.channel.next_deadline().into_iter().chain(delayed).min()
    }
    pub(super) fn close(mut self, fx: &mut Effects<'_>) {
        self.channel.close(fx);
    }
    /// A broker that restarted may listen elsewhere: leaves the old connection
    /// (`AbstractFetcherManager.addFetcherForPartitions`).
    fn move_to(&mut self, endpoint: Endpoint, request_timeout_ms: i64, fx: &mut Effects<'_>) {
        if *self.channel.endpoint() != endpoint {
            self.channel.close(fx);
            self.channel = channel(endpoint, request_timeout_ms);
            self.session.on_failure();
        }
    }
    fn follow(&mut self, ix: PartitionIx, leader_epoch: i32, history: History) {
        self.partitions.insert(ix, Followed { leader_epoch, state: State::Fetching, history, lag: None });
    }
    /// True if it followed.
    fn leave(&mut self, ix: PartitionIx) -> bool {
        self.partitions.remove(&ix).is_some()
    }
    fn delay(&mut self, ix: PartitionIx, until: Nanos) {
        if let Some(followed) = self.partitions.get_mut(&ix) {
            followed.state = State::Delayed { until };
        }
    }
    fn set(&mut self, ix: PartitionIx, state: State) {
        if let Some(followed) = self.partitions.get_mut(&ix) {
            followed.state = state;
        }
    }
}

impl Broker {
    /// Wakes the fetchers whose time has come, each in its lane.
    pub(super) fn wake_fetchers(&mut self, now: Now, fx: &mut Effects<'_>) {
        for (key, fetcher) in &mut self.fetchers {
            if fetcher.next_deadline().is_some_and(|at| at <= now.mono) {
                fetcher.woken = true;
                fx.defer(fetcher.lane, LocalStep::Broker(Step::Fetch(*key)));
            }
        }
    }

    /// The fetchers that were woken, and whose steps are still to come: nothing wakes them again before.
    pub fn woken_fetchers(&self) -> impl Iterator<Item = FetcherKey> + '_ {
        self.fetchers.iter().filter(|(_, fetcher)| fetcher.woken).map(|(key, _)| *key)
    }

    /// A fetcher looks at the clock, and whether it has something to do.
    pub(super) fn on_fetcher_step(&mut self, now: Now, key: FetcherKey, fx: &mut Effects<'_>) {
        let backoff = now.mono + ms(self.setup.config.replica_fetch_backoff_ms);
        let Some(fetcher) = self.fetchers.get_mut(&key) else { return };
        fetcher.woken = false;
        if let Some(ChannelEvent::Ended(_, calls)) = fetcher.channel.on_deadline(now.mono, fx) {
            fetcher.session.on_failure();
            delay_all(fetcher, calls.into_iter().map(|c| c.about), backoff);
        }
        self.run_fetcher(now, key, fx);
    }

    pub(super) fn on_fetcher_input(
        &mut self,
        now: Now,
        key: FetcherKey,
        input: Input,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let backoff = now.mono + ms(self.setup.config.replica_fetch_backoff_ms);
        let Some(fetcher) = self.fetchers.get_mut(&key) else { return };
        match fetcher.channel.on_input(now.mono, input, fx) {
            ChannelEvent::Response(response, about) => match (*response, about) {
                (ResponseKind::Fetch(response), About::Fetch(asked)) => {
                    self.on_fetched(now, key, &asked, response, disk, fx);
                }
                (ResponseKind::ListOffsets(response), About::ListOffset(asked, timestamp)) => {
                    self.on_leader_offset(now, key, asked, timestamp, &response, disk, fx);
                }
                _ => {}
            },
            ChannelEvent::Ended(_, calls) => {
                fetcher.session.on_failure();
                delay_all(fetcher, calls.into_iter().map(|c| c.about), backoff);
            }
            ChannelEvent::Opened | ChannelEvent::Nothing | ChannelEvent::NotMine(_) => {}
        }
        self.run_fetcher(now, key, fx);
    }

    /// Sends the next fetch to that leader, if none is in flight and something is to be fetched.
    pub(super) fn run_fetcher(&mut self, now: Now, key: FetcherKey, fx: &mut Effects<'_>) {
        let Some(fetcher) = self.fetchers.get_mut(&key) else { return };
        if fetcher.partitions.is_empty() && fetcher.channel.calls_in_flight() == 0 {
            fetcher.channel.close(fx);
            self.fetchers.remove(&key);
            return;
        }
        for followed in fetcher.partitions.values_mut() {
            if matches!(followed.state, State::Delayed { until } if until <= now.mono) {
                followed.state = State::Fetching;
            }
        }
        let wants = |f: &Followed| matches!(f.state, State::Fetching | State::NeedsOffset { .. });
        if fetcher.channel.calls_in_flight() > 0 || !fetcher.partitions.values().any(wants) {
            return;
        }
        if !fetcher.channel.connect(now.mono, fx) {
            return;
        }
        let needs_offset = fetcher.partitions.iter().find_map(|(ix, f)| match f.state {
            State::NeedsOffset { timestamp } => Some((*ix, timestamp)),
            _ => None,
        });
        match needs_offset {
            Some((ix, timestamp)) => self.ask_leader_offset(now, key, ix, timestamp, fx),
            None => self.send_fetch(now, key, fx),
        }
    }

    fn send_fetch(&mut self, now: Now, key: FetcherKey, fx: &mut Effects<'_>) {
        let Some(fetcher) = self.fetchers.get(&key) else { return };
        if fetcher.partitions.keys().any(|ix| stands_still(self.replicas.get(*ix)))
            && FollowerRule::AppendHoldsTheFetcher.holds()
        {
            return;
        }
        let config = &self.setup.config;
        let quota_exceeded = self.follower_quota.is_exceeded(now.mono);
        let (mut fetched, mut asked, mut throttled) = (Vec::new(), Vec::new(), Vec::new());
        for (ix, followed) in &fetcher.partitions {
            let partition = self.replicas.get(*ix);
            if followed.state != State::Fetching || stands_still(partition) {
                continue;
            }
            if quota_exceeded && is_follower_throttled(partition, followed) {
                throttled.push(*ix);
                continue;
            }
            let fetch_offset = partition.log_end_offset();
            asked.push(Asked { ix: *ix, leader_epoch: followed.leader_epoch, fetch_offset });
            let wanted = Wanted {
                current_leader_epoch: if FollowerRule::FetchTellsTheLeaderEpoch.holds() {
                    followed.leader_epoch
                } else {
                    -1
                },
                fetch_offset,
                last_fetched_epoch: self.last_fetched_epoch(partition, followed.history),
                log_start_offset: if FollowerRule::FetchTellsTheLogStart.holds() {
                    partition.log.log_start_offset()
                } else {
                    -1
                },
                max_bytes: config.replica_fetch_max_bytes as i32,
            };
            fetched.push(((partition.topic_id, partition.id.partition), wanted));
        }
        if asked.is_empty() {
            // Nothing else to fetch: look again after the pause that Kafka's thread makes then.
            let until = now.mono + ms(config.replica_fetch_backoff_ms);
            if let Some(fetcher) = self.fetchers.get_mut(&key) {
                throttled.into_iter().for_each(|ix| fetcher.delay(ix, until));
            }
            return;
        }
        let told = FollowerRule::FetchTellsTheBrokerEpoch.holds();
        let broker_epoch = self.lifecycle.broker_epoch().filter(|_| told).unwrap_or(-1);
        let replica =
            ReplicaState::default().with_replica_id(self.setup.node_id.into()).with_replica_epoch(broker_epoch);
        let request = FetchRequest::default()
            .with_replica_state(replica)
            .with_max_wait_ms(config.replica_fetch_wait_max_ms as i32)
            .with_min_bytes(config.replica_fetch_min_bytes as i32)
            .with_max_bytes(i32::try_from(config.replica_fetch_response_max_bytes).unwrap_or(i32::MAX));
        fx.charge(3_000);
        let Some(fetcher) = self.fetchers.get_mut(&key) else { return };
        let request = fetcher.session.build(&fetched, request);
        fetcher.channel.call(now.mono, fx, versions::FETCH, RequestKind::Fetch(request), About::Fetch(asked));
    }

    fn on_fetch_error(&mut self, now: Now, key: FetcherKey, ix: PartitionIx, error: ResponseError) {
        let until = now.mono + ms(self.setup.config.replica_fetch_backoff_ms);
        let Some(fetcher) = self.fetchers.get_mut(&key) else { return };
        match error {
            ResponseError::OffsetOutOfRange if FollowerRule::OutOfRangeAsksForTheLatest.holds() => {
                fetcher.set(ix, State::NeedsOffset { timestamp: LATEST });
            }
            // Our epoch is older than the leader's: only new metadata helps.
            ResponseError::FencedLeaderEpoch if FollowerRule::FencedFollowerWaitsForMetadata.holds() => {
                fetcher.set(ix, State::Failed);
            }
            _ if FollowerRule::ErrorsPauseThePartition.holds() => fetcher.delay(ix, until),
            _ => {}
        }
    }

    /// Is this the answer to what the partition wants now: same fetcher, same leader epoch, same position, and still in
    /// the state in which it asked? Without zoo switch `accept-stale-fetch-response` (a rule removed:
    /// `AbstractFetcherThread.processFetchRequest`, and fetchers that begin anew in each leader epoch).
    fn is_current(&self, key: FetcherKey, asked: Asked, state: State) -> bool {
        let Some(partition) = self.replicas.try_get(asked.ix).filter(|partition| !partition.is_leader()) else {
            return false;
        };
        if self.setup.zoo.on(Switch::AcceptStaleFetchResponse) {
            return true;
        }
        let followed = self.fetchers.get(&key).and_then(|f| f.partitions.get(&asked.ix));
        let same_epoch = followed.is_some_and(|f| f.leader_epoch == asked.leader_epoch);
        let same_state = followed.is_none_or(|f| f.state == state);
        same_state
            && (same_epoch || !FollowerRule::ResponseOfAnotherEpochIsDropped.holds())
            && (partition.log_end_offset() == asked.fetch_offset
                || !FollowerRule::ResponseForAnotherOffsetIsDropped.holds())
    }
}

/// Is its fetcher's thread in the middle of an append that flushes, or of a cut whose checkpoint is not durable yet?
fn stands_still(partition: &Partition) -> bool {
    partition.flushing_from.is_some() || partition.checkpoints_awaited > 0
}

/// Does a follower ask for nothing while the quota is exceeded (KIP-73, `RemoteLeaderEndPoint.shouldFollowerThrottle`)?
/// Not if it had all that was committed when it was last answered.
fn is_follower_throttled(partition: &Partition, followed: &Followed) -> bool {
    let in_sync = followed.lag.is_some_and(|lag| lag <= 0) && ThrottleRule::FollowerInSyncIsNotThrottled.holds();
    partition.throttled.as_follower && !in_sync && ThrottleRule::FollowerAsksNothing.holds()
}

fn channel(endpoint: Endpoint, request_timeout_ms: i64) -> Channel<About> {
    let timeouts = ChannelTimeouts { request_timeout_ms, ..ChannelTimeouts::default() };
    Channel::new(endpoint, Purpose::Fetcher, timeouts)
}

fn delay_all(fetcher: &mut Fetcher, calls: impl Iterator<Item = About>, until: Nanos) {
    for about in calls.filter(|_| FollowerRule::LostConnectionPausesAll.holds()) {
        match about {
            About::Fetch(asked) => asked.iter().for_each(|a| fetcher.delay(a.ix, until)),
            About::ListOffset(asked, _) => fetcher.delay(asked.ix, until),
        }
    }
}
