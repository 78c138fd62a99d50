//! Requests of a consumer: fetches, and offsets for positions that must be reset.
//!
//! Source: `AbstractFetch`, `FetchCollector.handleInitializeErrors`, `OffsetFetcher`.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, FetchResponse, ListOffsetsResponse, RequestKind, ResponseKind};
use uuid::Uuid;

use super::decode::{Decoded, decode};
use super::position::{Position, reset_position};
use super::{Consumer, retry_backoff};
use crate::client::cluster::Peer;
use crate::client::view::Leader;
use crate::client::{FailedCall, is_invalid_metadata, list_offsets};
use crate::event::Event;
use crate::ids::{BrokerId, TopicPartition};
use crate::node::{Effects, Nanos};
use crate::protocol::{error_name, versions};

/// A partition as it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    partition: TopicPartition,
    topic_id: Uuid,
    offset: i64,
    leader_epoch: i32,
}

/// What a call was about.
#[derive(Clone, Debug)]
pub(super) enum ConsumerCall {
    /// Records from these offsets.
    Fetch { broker: BrokerId, partitions: Vec<Fetched> },
    /// Offsets for these timestamps.
    ListOffsets { broker: BrokerId, partitions: Vec<(TopicPartition, i64)> },
}

impl Consumer {
    /// Fetches what is not buffered, from each leader that has no fetch to answer.
    pub(super) fn fetch(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        let mut by_broker: BTreeMap<BrokerId, Vec<Fetched>> = BTreeMap::new();
        for (partition, assigned) in &self.assigned {
            let Some(offset) = assigned.fetch_offset(now) else { continue };
            let view = self.cluster.view();
            let (Some(leader), Some(topic_id)) = (view.leader(partition), view.topic_id(&partition.topic)) else {
                self.cluster.request_refresh();
                continue;
            };
            if !self.fetching_from.contains(&leader.broker) {
                let fetched = Fetched { partition: partition.clone(), topic_id, offset, leader_epoch: leader.epoch };
                by_broker.entry(leader.broker).or_default().push(fetched);
            }
        }
        for (broker, partitions) in by_broker {
            if self.cluster.connect(broker, now, fx) {
                let request = (versions::FETCH, RequestKind::Fetch(self.fetch_request(&partitions)));
                self.fetching_from.insert(broker);
                let call = ConsumerCall::Fetch { broker, partitions };
                self.cluster.call(Peer::Broker(broker), now, fx, request, call);
            }
        }
    }

    /// A full fetch without a session (session id 0, epoch -1). last_fetched_epoch stays -1: a consumer finds
    /// diverging history by validating its position, not by fetching (KIP-595 is for replicas).
    fn fetch_request(&self, partitions: &[Fetched]) -> FetchRequest {
        let int = |n: i64| i32::try_from(n).unwrap_or(i32::MAX);
        let mut topics: Vec<FetchTopic> = Vec::new();
        for fetched in partitions {
            let asked = FetchPartition::default()
                .with_partition(fetched.partition.partition)
                .with_current_leader_epoch(fetched.leader_epoch)
                .with_fetch_offset(fetched.offset)
                .with_partition_max_bytes(int(self.config.max_partition_fetch_bytes));
            match topics.iter_mut().find(|t| t.topic_id == fetched.topic_id) {
                Some(topic) => topic.partitions.push(asked),
                None => topics.push(FetchTopic::default().with_topic_id(fetched.topic_id).with_partitions(vec![asked])),
            }
        }
        FetchRequest::default()
            .with_max_wait_ms(int(self.config.fetch_max_wait_ms))
            .with_min_bytes(int(self.config.fetch_min_bytes))
            .with_max_bytes(int(self.config.fetch_max_bytes))
            .with_topics(topics)
    }

    /// Asks leaders for the offsets of positions that are to be reset.
    pub(super) fn ask_for_positions(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        let mut by_broker: BTreeMap<BrokerId, Vec<(TopicPartition, i32, i64)>> = BTreeMap::new();
        for (partition, assigned) in &self.assigned {
            let Position::Resetting { timestamp, .. } = assigned.position else { continue };
            match self.cluster.view().leader(partition) {
                Some(leader) if assigned.retry_at <= now && !self.listing_from.contains(&leader.broker) => {
                    by_broker.entry(leader.broker).or_default().push((partition.clone(), leader.epoch, timestamp));
                }
                Some(_) => {}
                None => self.cluster.request_refresh(),
            }
        }
        for (broker, asked) in by_broker {
            if self.cluster.connect(broker, now, fx) {
                let timeout_ms = i32::try_from(self.config.request_timeout_ms).unwrap_or(i32::MAX);
                let request = list_offsets::request(&asked, timeout_ms);
                self.listing_from.insert(broker);
                let partitions = asked.into_iter().map(|(partition, _, timestamp)| (partition, timestamp)).collect();
                let call = ConsumerCall::ListOffsets { broker, partitions };
                self.cluster.call(Peer::Broker(broker), now, fx, request, call);
            }
        }
    }

    /// An answer.
    pub(super) fn on_response(&mut self, now: Nanos, response: ResponseKind, call: ConsumerCall, fx: &mut Effects<'_>) {
        self.no_longer_waiting(&call);
        match (call, response) {
            (ConsumerCall::Fetch { partitions, .. }, ResponseKind::Fetch(answer)) => {
                self.on_fetched(now, partitions, answer, fx)
            }
            (ConsumerCall::ListOffsets { partitions, .. }, ResponseKind::ListOffsets(answer)) => {
                self.on_listed(now, partitions, &answer, fx)
            }
            (call, _) => self.pause_all(now, call, ResponseError::UnknownServerError, fx),
        }
    }
    /// Calls without an answer: they are simply made again. The connection's own pause comes first.
    pub(super) fn on_failed_calls(&mut self, now: Nanos, calls: Vec<FailedCall<ConsumerCall>>, fx: &mut Effects<'_>) {
        for FailedCall { about, .. } in calls {
            self.no_longer_waiting(&about);
            self.pause_all(now, about, ResponseError::NetworkException, fx);
        }
    }
    fn no_longer_waiting(&mut self, call: &ConsumerCall) {
        match call {
            ConsumerCall::Fetch { broker, .. } => self.fetching_from.remove(broker),
            ConsumerCall::ListOffsets { broker, .. } => self.listing_from.remove(broker),
        };
    }
    fn pause_all(&mut self, now: Nanos, call: ConsumerCall, error: ResponseError, fx: &mut Effects<'_>) {
        let partitions: Vec<TopicPartition> = match call {
            ConsumerCall::Fetch { partitions, .. } => partitions.into_iter().map(|f| f.partition).collect(),
            ConsumerCall::ListOffsets { partitions, .. } => partitions.into_iter().map(|(p, _)| p).collect(),
        };
        partitions.iter().for_each(|partition| self.pause(now, partition, error, fx));
    }
    /// Nothing more about the partition for a while, and newer metadata if that may help.
    fn pause(&mut self, now: Nanos, partition: &TopicPartition, error: ResponseError, fx: &mut Effects<'_>) {
        if is_invalid_metadata(error) || error == ResponseError::UnknownLeaderEpoch {
            self.cluster.request_refresh();
        }
        let Some(assigned) = self.assigned.get_mut(partition) else { return };
        assigned.retry_at = now.saturating_add(retry_backoff(&self.config).pause(assigned.failures, fx));
        assigned.failures = assigned.failures.saturating_add(1);
    }

    fn on_fetched(&mut self, now: Nanos, asked: Vec<Fetched>, answer: FetchResponse, fx: &mut Effects<'_>) {
        if let Some(error) = ResponseError::try_from_code(answer.error_code) {
            let call = ConsumerCall::Fetch { broker: -1, partitions: asked };
            return self.pause_all(now, call, error, fx);
        }
        for topic in answer.responses {
            for data in topic.partitions {
                let of_it =
                    |f: &&Fetched| f.topic_id == topic.topic_id && f.partition.partition == data.partition_index;
                if let Some(fetched) = asked.iter().find(of_it) {
                    self.on_fetched_partition(now, fetched, data, fx);
                }
            }
        }
    }

    fn on_fetched_partition(&mut self, now: Nanos, fetched: &Fetched, data: PartitionData, fx: &mut Effects<'_>) {
        let partition = &fetched.partition;
        // Assigned anew, or moved meanwhile: the answer is to a question that nobody asks any more.
        let Some(assigned) =
            self.assigned.get_mut(partition).filter(|a| a.fetch_offset(Nanos::MAX) == Some(fetched.offset))
        else {
            return;
        };
        match ResponseError::try_from_code(data.error_code) {
            None => {
                let Decoded { records, next_offset, error } =
                    decode(data.records.unwrap_or_default(), partition, fetched.offset);
                assigned.fill(records, next_offset);
                if let Some(error) = error {
                    self.errors.push((partition.clone(), error_name(error)));
                    self.pause(now, partition, error, fx);
                }
            }
            Some(ResponseError::OffsetOutOfRange) => self.on_out_of_range(now, fetched, fx),
            Some(error) => {
                let told = Leader { broker: data.current_leader.leader_id.0, epoch: data.current_leader.leader_epoch };
                self.cluster.view_mut().learn_leader(partition, told);
                if !error.is_retriable() && error != ResponseError::UnknownServerError {
                    self.errors.push((partition.clone(), error_name(error)));
                }
                // The high watermark of a young leader, a replica that is not there yet: metadata may have changed.
                self.cluster.request_refresh();
                self.pause(now, partition, error, fx);
            }
        }
    }

    /// The log does not reach the position, any more or yet: unclean election, lost data, retention. The application
    /// hears of it, and the position is reset by policy. Source: `FetchCollector.handleOffsetOutOfRange`.
    fn on_out_of_range(&mut self, now: Nanos, fetched: &Fetched, fx: &mut Effects<'_>) {
        let error = error_name(ResponseError::OffsetOutOfRange);
        let because = format!("{error} at offset {}", fetched.offset);
        let reset = reset_position(self.config.auto_offset_reset, &because);
        self.errors.push((fetched.partition.clone(), error));
        match self.assigned.get_mut(&fetched.partition) {
            // Without a policy the application is told, and told again, until it chooses a position.
            Some(_) if reset == Position::Lost => {
                self.pause(now, &fetched.partition, ResponseError::OffsetOutOfRange, fx)
            }
            Some(assigned) => assigned.position = reset,
            None => {}
        }
    }

    fn on_listed(
        &mut self,
        now: Nanos,
        asked: Vec<(TopicPartition, i64)>,
        answer: &ListOffsetsResponse,
        fx: &mut Effects<'_>,
    ) {
        for (partition, asked_timestamp) in asked {
            let Some(assigned) = self.assigned.get_mut(&partition) else { continue };
            let Position::Resetting { timestamp, why } = &assigned.position else { continue };
            if *timestamp != asked_timestamp {
                continue;
            }
            let answer = list_offsets::answer_for(answer, &partition);
            match answer.unwrap_or(Err(ResponseError::UnknownServerError)) {
                Ok(found) => {
                    let to = found.offset.max(0);
                    fx.record(Event::PositionReset { partition: partition.clone(), to, why: why.clone() });
                    assigned.position = Position::At(to);
                    assigned.failures = 0;
                    assigned.retry_at = 0;
                }
                Err(error) => {
                    self.cluster.request_refresh();
                    self.pause(now, &partition, error, fx);
                }
            }
        }
    }
}
