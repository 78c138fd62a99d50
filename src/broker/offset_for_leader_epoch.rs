//! OffsetForLeaderEpoch: where does an epoch end in the leader's log? (KIP-101, KIP-320)
//!
//! Consumers ask it when they find that the leader has changed: whoever has read further than the epoch of its last record goes
//! on has read what was cut off meanwhile. Followers of Kafka 4.x learn the same from their fetches (KIP-595).
//! Source: `ReplicaManager.lastOffsetForLeaderEpoch`, `Partition.lastOffsetForLeaderEpoch`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ResponseKind, TopicName};
use uuid::Uuid;

use super::Broker;
use super::fetch::check_leader_and_epoch;
use crate::ids::TopicPartition;
use crate::node::{Effects, ReqId};

impl Broker {
    pub(super) fn on_offset_for_leader_epoch(
        &mut self,
        req: ReqId,
        request: &OffsetForLeaderEpochRequest,
        fx: &mut Effects<'_>,
    ) {
        fx.charge(3_000);
        let mut topics = Vec::new();
        for topic in &request.topics {
            let partitions = topic.partitions.iter().map(|asked| self.end_of_epoch(&topic.topic, asked)).collect();
            topics.push(
                OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone()).with_partitions(partitions),
            );
        }
        let response = OffsetForLeaderEpochResponse::default().with_topics(topics);
        fx.answer(req, ResponseKind::OffsetForLeaderEpoch(response));
    }

    /// Epoch and end are -1, without an error, where this log never heard of the epoch.
    fn end_of_epoch(&self, topic: &TopicName, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
        let answer = EpochEndOffset::default().with_partition(asked.partition);
        let id = TopicPartition::new(&topic.as_str().into(), asked.partition);
        let found = match self.replicas.find(&id).and_then(|ix| self.replicas.try_get(ix)) {
            Some(partition) => check_leader_and_epoch(partition, asked.current_leader_epoch)
                .map(|()| partition.log.end_offset_for(asked.leader_epoch)),
            None => Err::<_, ResponseError>(self.error_for_absent(topic, Uuid::nil(), asked.partition)),
        };
        match found {
            Ok(Some(end)) => answer.with_leader_epoch(end.epoch).with_end_offset(end.end_offset),
            Ok(None) => answer,
            Err(error) => answer.with_error_code(error.code()),
        }
    }
}
