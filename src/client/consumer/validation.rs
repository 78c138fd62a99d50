//! Does the leader's history go through the position? If not, what was read is no longer there: truncation.
//!
//! Source: KIP-320, `OffsetFetcher.validatePositionsAsync`, `SubscriptionState.maybeCompleteValidation`.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::offset_for_leader_epoch_response::EpochEndOffset;
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, RequestKind};

use super::Consumer;
use super::calls::ConsumerCall;
use super::position::{Position, State, known, reset_by_policy};
use crate::client::cluster::Peer;
use crate::config::OffsetReset;
use crate::conformance::ConsumerRule;
use crate::event::Event;
use crate::ids::{BrokerId, TopicPartition};
use crate::node::{Effects, Nanos};
use crate::protocol::{topic_name, versions};
use crate::zoo::Switch;

/// What an application hears of a truncation (`LogTruncationException`).
const LOG_TRUNCATION: &str = "LOG_TRUNCATION";

impl Consumer {
    /// Is a position looked for in a new leader's history at all? Before KIP-320 it was not: zoo switch
    /// `silent-consumer-truncation`.
    pub(super) fn validates(&self) -> bool {
        !self.zoo.on(Switch::SilentConsumerTruncation) && ConsumerRule::NewLeaderMeansValidation.holds()
    }

    /// Looks whether metadata told another leader of any partition (`OffsetFetcherUtils.validatePositionsOnMetadataChange`).
    pub(super) fn follow_leaders(&mut self) {
        let view = self.cluster.view();
        if view.version() == self.followed_version {
            return;
        }
        self.followed_version = view.version();
        let validates = self.validates();
        for (partition, assigned) in &mut self.assigned {
            if let Some(leader) = view.leader(partition) {
                assigned.follow(leader, validates);
            }
        }
    }

    /// Asks leaders where the epochs of the positions end that are to be validated.
    pub(super) fn ask_for_validation(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        let mut by_broker: BTreeMap<BrokerId, Vec<(TopicPartition, Position)>> = BTreeMap::new();
        for (partition, assigned) in &self.assigned {
            let State::Validating(position) = assigned.state else { continue };
            match position.leader {
                Some(leader) if assigned.retry_at <= now && !self.validating_with.contains(&leader.broker) => {
                    by_broker.entry(leader.broker).or_default().push((partition.clone(), position));
                }
                Some(_) => {}
                None => self.cluster.request_refresh(),
            }
        }
        for (broker, asked) in by_broker {
            if self.cluster.connect(broker, now, fx) {
                self.validating_with.insert(broker);
                let request = (versions::OFFSET_FOR_LEADER_EPOCH, request_for(&asked));
                let call = ConsumerCall::Validate { broker, partitions: asked };
                self.cluster.call(Peer::Broker(broker), now, fx, request, call);
            } else if self.cluster.view().endpoint(broker).is_none() {
                // A leader that metadata does not show alive: what is known is out of date, or soon will be.
                self.cluster.request_refresh();
            }
        }
    }

    pub(super) fn on_validated(
        &mut self,
        now: Nanos,
        asked: Vec<(TopicPartition, Position)>,
        answer: &OffsetForLeaderEpochResponse,
        fx: &mut Effects<'_>,
    ) {
        for (partition, position) in asked {
            // Moved or led by somebody else meanwhile: the answer is to another question.
            let asks_still = self.assigned.get(&partition).is_some_and(|a| a.state == State::Validating(position));
            if !asks_still {
                continue;
            }
            match end_for(answer, &partition) {
                Ok(end) => self.complete_validation(now, &partition, position, end, fx),
                Err(error) => {
                    self.cluster.request_refresh();
                    self.pause(now, &partition, error, fx);
                }
            }
        }
    }

    /// `SubscriptionState.maybeCompleteValidation`: an epoch that the leader never heard of, or that ends before the
    /// position in its history, tells a truncation. With a policy the consumer goes on where the histories part, or by
    /// `auto.offset.reset` if nobody knows where; without one the application is told until it chooses a position.
    fn complete_validation(
        &mut self,
        now: Nanos,
        partition: &TopicPartition,
        position: Position,
        end: &EpochEndOffset,
        fx: &mut Effects<'_>,
    ) {
        let Some(assigned) = self.assigned.get_mut(partition) else { return };
        let is_unknown = (end.leader_epoch < 0 || end.end_offset < 0) && ConsumerRule::UnknownEpochIsTruncation.holds();
        let is_shorter = end.end_offset < position.offset && ConsumerRule::ShorterEpochIsTruncation.holds();
        if !is_unknown && !is_shorter {
            assigned.go(State::Fetching(position));
            return;
        }
        let epoch = position.offset_epoch.unwrap_or(-1);
        let because = match is_unknown {
            true => format!("{LOG_TRUNCATION}: the leader never heard of epoch {epoch}"),
            false => format!("{LOG_TRUNCATION}: up to epoch {epoch} the leader has offsets below {}", end.end_offset),
        };
        self.errors.push((partition.clone(), LOG_TRUNCATION.to_string()));
        if self.config.auto_offset_reset == OffsetReset::None {
            return self.pause(now, partition, ResponseError::OffsetOutOfRange, fx);
        }
        if is_unknown || !ConsumerRule::TruncationGoesBackToTheDivergence.holds() {
            assigned.go(reset_by_policy(self.config.auto_offset_reset, &because));
            return;
        }
        let to = end.end_offset;
        assigned.go(State::Fetching(Position { offset: to, offset_epoch: known(end.leader_epoch), ..position }));
        fx.record(Event::PositionReset { partition: partition.clone(), to, why: because });
    }
}

fn request_for(asked: &[(TopicPartition, Position)]) -> RequestKind {
    let mut topics: Vec<OffsetForLeaderTopic> = Vec::new();
    for (partition, position) in asked {
        let asked = OffsetForLeaderPartition::default()
            .with_partition(partition.partition)
            .with_current_leader_epoch(position.leader.map_or(-1, |leader| leader.epoch))
            .with_leader_epoch(position.offset_epoch.unwrap_or(-1));
        match topics.iter_mut().find(|t| t.topic.0.as_str() == partition.topic.as_str()) {
            Some(topic) => topic.partitions.push(asked),
            None => topics.push(
                OffsetForLeaderTopic::default().with_topic(topic_name(&partition.topic)).with_partitions(vec![asked]),
            ),
        }
    }
    // -1: asked by a client, not by a replica.
    let request = OffsetForLeaderEpochRequest::default().with_replica_id((-1).into()).with_topics(topics);
    RequestKind::OffsetForLeaderEpoch(request)
}

fn end_for<'a>(
    answer: &'a OffsetForLeaderEpochResponse,
    partition: &TopicPartition,
) -> Result<&'a EpochEndOffset, ResponseError> {
    let topics = answer.topics.iter().filter(|t| t.topic.0.as_str() == partition.topic.as_str());
    let told = topics.flat_map(|t| &t.partitions).find(|p| p.partition == partition.partition);
    let told = told.ok_or(ResponseError::UnknownServerError)?;
    match ResponseError::try_from_code(told.error_code) {
        None => Ok(told),
        Some(error) => Err(error),
    }
}
