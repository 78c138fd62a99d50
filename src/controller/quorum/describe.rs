//! DescribeQuorum: who leads, and how far the observers are. Source: `KafkaRaftClient.handleDescribeQuorumRequest`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_quorum_response::{PartitionData, ReplicaState, TopicData};
use kafka_protocol::messages::{BrokerId as WireBrokerId, DescribeQuorumRequest, DescribeQuorumResponse};

use super::{Quorum, Role};
use crate::metadata::METADATA_TOPIC;
use crate::node::{Millis, Nanos, Now, ms};

/// Silence after which an observer is forgotten (`LeaderState.OBSERVER_SESSION_TIMEOUT_MS`).
const OBSERVER_SESSION_TIMEOUT: Nanos = ms(300_000);

/// What is known of an observer, from its fetches.
#[derive(Clone, Debug)]
pub struct Observer {
    log_end_offset: i64,
    heard: Nanos,
    last_fetch: Millis,
    last_caught_up: Millis,
}

impl Quorum {
    /// A valid fetch came from this observer at this offset.
    pub(super) fn note_observer(&mut self, now: Now, replica_id: i32, fetch_offset: i64) {
        if replica_id < 0 {
            return;
        }
        let is_caught_up = fetch_offset >= self.high_watermark.unwrap_or(0);
        let fresh = |o: &Observer| o.heard.saturating_add(OBSERVER_SESSION_TIMEOUT) >= now.mono;
        self.observers.retain(|_, observer| fresh(observer));
        let observer = self.observers.entry(replica_id).or_insert(Observer {
            log_end_offset: fetch_offset,
            heard: now.mono,
            last_fetch: now.wall,
            last_caught_up: -1,
        });
        observer.log_end_offset = fetch_offset;
        observer.heard = now.mono;
        observer.last_fetch = now.wall;
        if is_caught_up {
            observer.last_caught_up = now.wall;
        }
    }

    /// Leader, voters and observers of the one partition there is.
    pub fn describe(&self, request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
        let known = |topic: &kafka_protocol::messages::describe_quorum_request::TopicData| {
            topic.topic_name.as_str() == METADATA_TOPIC && topic.partitions.iter().all(|p| p.partition_index == 0)
        };
        let [topic] = &request.topics[..] else {
            return DescribeQuorumResponse::default().with_error_code(ResponseError::InvalidRequest.code());
        };
        if !known(topic) {
            return DescribeQuorumResponse::default().with_error_code(ResponseError::UnknownTopicOrPartition.code());
        }
        let partition = match self.role {
            Role::Starting { .. } => {
                PartitionData::default().with_error_code(ResponseError::NotLeaderOrFollower.code())
            }
            Role::Leader { .. } => {
                let voter = ReplicaState::default()
                    .with_replica_id(WireBrokerId(self.node_id))
                    .with_log_end_offset(self.log.log_end_offset());
                let observers = self.observers.iter().map(|(id, observer)| {
                    ReplicaState::default()
                        .with_replica_id(WireBrokerId(*id))
                        .with_log_end_offset(observer.log_end_offset)
                        .with_last_fetch_timestamp(observer.last_fetch)
                        .with_last_caught_up_timestamp(observer.last_caught_up)
                });
                PartitionData::default()
                    .with_leader_id(WireBrokerId(self.node_id))
                    .with_leader_epoch(self.epoch)
                    .with_high_watermark(self.high_watermark.unwrap_or(-1))
                    .with_current_voters(vec![voter])
                    .with_observers(observers.collect())
            }
        };
        let topic = TopicData::default().with_topic_name(topic.topic_name.clone()).with_partitions(vec![partition]);
        DescribeQuorumResponse::default().with_topics(vec![topic])
    }
}
