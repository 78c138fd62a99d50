//! The follower's side of replication: one fetcher per leader, asking for all partitions that follow it.
//!
//! Source: `AbstractFetcherThread`, `ReplicaFetcherThread`. A response is applied to a partition only if the partition
//! still follows in the same leader epoch and its log still ends where the fetch asked; anything else is a response of
//! the past. Divergence is told by the leader (KIP-595) and ends in a truncation, possibly in several rounds. Here stand
//! the states and who is asked when; what becomes of an answer stands in [`apply`] and [`out_of_range`].

mod apply;
mod out_of_range;

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::{FetchRequest, RequestKind, ResponseKind};
use trial_storage::Disk;

use super::replicas::PartitionIx;
use super::{Broker, Step};
use crate::client::{Channel, ChannelEvent, ChannelTimeouts};
use crate::ids::{BrokerId, NO_BROKER};
use crate::node::{ConnId, Effects, Endpoint, Input, Lane, LocalStep, Nanos, Now, Purpose, ms};
use crate::protocol::versions;
use crate::zoo::Switch;

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
    /// Fenced: nothing to do until new metadata comes.
    Fenced,
}

#[derive(Clone, Copy, Debug)]
struct Followed {
    leader_epoch: i32,
    state: State,
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

/// Fetches from one leader.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    channel: Channel<About>,
    partitions: BTreeMap<PartitionIx, Followed>,
}

impl Fetcher {
    fn new(endpoint: Endpoint, request_timeout_ms: i64) -> Self {
        let timeouts = ChannelTimeouts { request_timeout_ms, ..ChannelTimeouts::default() };
        Fetcher { channel: Channel::new(endpoint, Purpose::Fetcher, timeouts), partitions: BTreeMap::new() }
    }
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.channel.owns(conn)
    }
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
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
            self.channel = Fetcher::new(endpoint, request_timeout_ms).channel;
        }
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
    /// Follows the partition's leader from now on, in its present epoch.
    pub(super) fn start_fetching(&mut self, ix: PartitionIx, fx: &mut Effects<'_>) {
        self.stop_fetching(ix);
        let partition = self.replicas.get(ix);
        let (leader, leader_epoch) = (partition.leader, partition.leader_epoch);
        if leader == NO_BROKER {
            return;
        }
        let Some(endpoint) = self.endpoint_of(leader).cloned() else { return };
        let timeout = self.setup.config.request_timeout_ms;
        let fetcher = self.fetchers.entry(leader).or_insert_with(|| Fetcher::new(endpoint.clone(), timeout));
        fetcher.move_to(endpoint, timeout, fx);
        fetcher.partitions.insert(ix, Followed { leader_epoch, state: State::Fetching });
        fx.defer(Lane::Fetcher, LocalStep::Broker(Step::Fetch(leader)));
    }

    /// No longer fetches this partition from anybody.
    pub(super) fn stop_fetching(&mut self, ix: PartitionIx) {
        self.fetchers.values_mut().for_each(|fetcher| {
            fetcher.partitions.remove(&ix);
        });
    }

    pub(super) fn on_fetcher_deadline(&mut self, now: Now, fx: &mut Effects<'_>) {
        let leaders: Vec<_> = self.fetchers.keys().copied().collect();
        for leader in leaders {
            let backoff = now.mono + ms(self.setup.config.replica_fetch_backoff_ms);
            let Some(fetcher) = self.fetchers.get_mut(&leader) else { continue };
            if let Some(ChannelEvent::Ended(_, calls)) = fetcher.channel.on_deadline(now.mono, fx) {
                delay_all(fetcher, calls.into_iter().map(|c| c.about), backoff);
            }
            self.run_fetcher(now, leader, fx);
        }
    }

    pub(super) fn on_fetcher_input(
        &mut self,
        now: Now,
        leader: BrokerId,
        input: Input,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let backoff = now.mono + ms(self.setup.config.replica_fetch_backoff_ms);
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        match fetcher.channel.on_input(now.mono, input, fx) {
            ChannelEvent::Response(response, about) => match (*response, about) {
                (ResponseKind::Fetch(response), About::Fetch(asked)) => {
                    self.on_fetched(now, leader, &asked, response, disk, fx);
                }
                (ResponseKind::ListOffsets(response), About::ListOffset(asked, timestamp)) => {
                    self.on_leader_offset(now, leader, asked, timestamp, &response, disk, fx);
                }
                _ => {}
            },
            ChannelEvent::Ended(_, calls) => delay_all(fetcher, calls.into_iter().map(|c| c.about), backoff),
            ChannelEvent::Opened | ChannelEvent::Nothing | ChannelEvent::NotMine(_) => {}
        }
        self.run_fetcher(now, leader, fx);
    }

    /// Sends the next fetch to that leader, if none is in flight and something is to be fetched.
    pub(super) fn run_fetcher(&mut self, now: Now, leader: BrokerId, fx: &mut Effects<'_>) {
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        if fetcher.partitions.is_empty() && fetcher.channel.calls_in_flight() == 0 {
            fetcher.channel.close(fx);
            self.fetchers.remove(&leader);
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
            Some((ix, timestamp)) => self.ask_leader_offset(now, leader, ix, timestamp, fx),
            None => self.send_fetch(now, leader, fx),
        }
    }

    fn send_fetch(&mut self, now: Now, leader: BrokerId, fx: &mut Effects<'_>) {
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        let config = &self.setup.config;
        let history = !self.setup.zoo.on(Switch::TruncateToHw);
        let mut topics: Vec<FetchTopic> = Vec::new();
        let mut asked = Vec::new();
        for (ix, followed) in &fetcher.partitions {
            let partition = self.replicas.get(*ix);
            // While appended records are being flushed, Kafka's fetcher stands still in the append.
            // The same goes for a cut whose checkpoint is not durable yet.
            let stands_still = partition.flushing_from.is_some() || partition.checkpoints_awaited > 0;
            if followed.state != State::Fetching || stands_still {
                continue;
            }
            let fetch_offset = partition.log_end_offset();
            asked.push(Asked { ix: *ix, leader_epoch: followed.leader_epoch, fetch_offset });
            let wanted = FetchPartition::default()
                .with_partition(partition.id.partition)
                .with_current_leader_epoch(followed.leader_epoch)
                .with_fetch_offset(fetch_offset)
                .with_last_fetched_epoch(if history { partition.log.latest_epoch().unwrap_or(-1) } else { -1 })
                .with_log_start_offset(partition.log.log_start_offset())
                .with_partition_max_bytes(config.replica_fetch_max_bytes as i32);
            match topics.last_mut() {
                Some(topic) if topic.topic_id == partition.topic_id => topic.partitions.push(wanted),
                _ => topics.push(FetchTopic::default().with_topic_id(partition.topic_id).with_partitions(vec![wanted])),
            }
        }
        if asked.is_empty() {
            return;
        }
        let broker_epoch = self.lifecycle.broker_epoch().unwrap_or(-1);
        let replica =
            ReplicaState::default().with_replica_id(self.setup.node_id.into()).with_replica_epoch(broker_epoch);
        let request = FetchRequest::default()
            .with_replica_state(replica)
            .with_max_wait_ms(config.replica_fetch_wait_max_ms as i32)
            .with_min_bytes(config.replica_fetch_min_bytes as i32)
            .with_max_bytes(10 << 20)
            .with_session_epoch(-1)
            .with_topics(topics);
        fx.charge(3_000);
        fetcher.channel.call(now.mono, fx, versions::FETCH, RequestKind::Fetch(request), About::Fetch(asked));
    }

    fn on_fetch_error(&mut self, now: Now, leader: BrokerId, ix: PartitionIx, error: ResponseError) {
        let until = now.mono + ms(self.setup.config.replica_fetch_backoff_ms);
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        match error {
            ResponseError::OffsetOutOfRange => fetcher.set(ix, State::NeedsOffset { timestamp: LATEST }),
            // Our epoch is older than the leader's: only new metadata helps.
            ResponseError::FencedLeaderEpoch => fetcher.set(ix, State::Fenced),
            _ => fetcher.delay(ix, until),
        }
    }

    /// Is this the answer to what the partition wants now: same fetcher, same leader epoch, same position, and still in
    /// the state in which it asked?
    fn is_current(&self, leader: BrokerId, asked: Asked, state: State) -> bool {
        let Some(partition) = self.replicas.try_get(asked.ix) else { return false };
        let followed = self.fetchers.get(&leader).and_then(|f| f.partitions.get(&asked.ix));
        followed.is_some_and(|f| f.leader_epoch == asked.leader_epoch && f.state == state)
            && partition.log_end_offset() == asked.fetch_offset
            && !partition.is_leader()
    }
}

fn delay_all(fetcher: &mut Fetcher, calls: impl Iterator<Item = About>, until: Nanos) {
    for about in calls {
        match about {
            About::Fetch(asked) => asked.iter().for_each(|a| fetcher.delay(a.ix, until)),
            About::ListOffset(asked, _) => fetcher.delay(asked.ix, until),
        }
    }
}
