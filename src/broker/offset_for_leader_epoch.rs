//! OffsetForLeaderEpoch: where does an epoch end in the leader's history (KIP-101, KIP-279)?
//!
//! A consumer whose position belongs to an epoch asks this after every change of leader (KIP-320): if the epoch ends
//! before the position, what it read is no longer there. Source: `KafkaApis.handleOffsetForLeaderEpochRequest`,
//! `ReplicaManager.lastOffsetForLeaderEpoch`, `Partition.lastOffsetForLeaderEpoch`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ResponseKind, TopicName};
use uuid::Uuid;

use super::Broker;
use super::fetch::check_leader_and_epoch;
use crate::conformance::ConsumerRule;
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
        let topic = |topic: &kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderTopic| {
            let partitions = topic.partitions.iter().map(|asked| self.end_of_epoch(&topic.topic, asked)).collect();
            OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone()).with_partitions(partitions)
        };
        let topics = request.topics.iter().map(topic).collect();
        fx.answer(req, ResponseKind::OffsetForLeaderEpoch(OffsetForLeaderEpochResponse::default().with_topics(topics)));
    }

    fn end_of_epoch(&self, topic: &TopicName, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
        let answer = EpochEndOffset::default().with_partition(asked.partition);
        match self.last_offset_for_leader_epoch(topic, asked) {
            Ok(Some(end)) => answer.with_leader_epoch(end.epoch).with_end_offset(end.end_offset),
            // Undefined: an epoch that this log has never heard of.
            Ok(None) => answer.with_leader_epoch(-1).with_end_offset(-1),
            Err(error) => answer.with_leader_epoch(-1).with_end_offset(-1).with_error_code(error.code()),
        }
    }

    /// `Partition.lastOffsetForLeaderEpoch`: answered by the leader alone, in the epoch that the asker believes in.
    fn last_offset_for_leader_epoch(
        &self,
        topic: &TopicName,
        asked: &OffsetForLeaderPartition,
    ) -> Result<Option<trial_storage::EpochEndOffset>, ResponseError> {
        let id = TopicPartition::new(&topic.as_str().into(), asked.partition);
        let Some(ix) = self.replicas.find(&id) else {
            return Err(self.error_for_absent(topic, Uuid::nil(), asked.partition));
        };
        let partition = self.replicas.get(ix);
        if ConsumerRule::EpochEndIsTheLeadersWord.holds() {
            check_leader_and_epoch(partition, asked.current_leader_epoch)?;
        }
        Ok(partition.log.end_offset_for(asked.leader_epoch))
    }
}
