//! Positions that are to be found: the log's start or end, or a time. Source: `OffsetFetcher.resetPositionsIfNeeded`.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ListOffsetsResponse;

use super::Consumer;
use super::calls::ConsumerCall;
use super::position::{Position, ResetTo, State, known};
use crate::client::cluster::Peer;
use crate::client::list_offsets::{self, Found};
use crate::conformance::ConsumerRule;
use crate::event::Event;
use crate::ids::{BrokerId, TopicPartition};
use crate::node::{Effects, Nanos, Now, SeekTo};

impl Consumer {
    /// Goes on elsewhere (`KafkaConsumer.seek`, `seekToBeginning`, `seekToEnd`). False if the partition is not assigned.
    pub(super) fn seek(&mut self, partition: &TopicPartition, to: SeekTo, fx: &mut Effects<'_>) -> bool {
        let leader = self.cluster.view().leader(partition);
        let Some(assigned) = self.assigned.get_mut(partition) else { return false };
        let (to, why) = match to {
            SeekTo::Offset(offset) => {
                let offset = offset.max(0);
                assigned.go(State::Fetching(Position { offset, offset_epoch: None, leader }));
                let why = "the application seeks it".to_string();
                fx.record(Event::PositionReset { partition: partition.clone(), to: offset, why });
                return true;
            }
            SeekTo::Earliest => (ResetTo::Earliest, "the application seeks the beginning".to_string()),
            SeekTo::Latest => (ResetTo::Latest, "the application seeks the end".to_string()),
            SeekTo::Timestamp(timestamp) => {
                (ResetTo::Timestamp(timestamp), format!("the application seeks timestamp {timestamp}"))
            }
        };
        assigned.go(State::Resetting { to, why });
        true
    }

    /// Asks leaders for the offsets of positions that are to be reset.
    pub(super) fn ask_for_positions(&mut self, now: Now, fx: &mut Effects<'_>) {
        let Now { mono: now, wall } = now;
        let mut by_broker: BTreeMap<BrokerId, Vec<(TopicPartition, i32, ResetTo)>> = BTreeMap::new();
        for (partition, assigned) in &self.assigned {
            let State::Resetting { to, .. } = assigned.state else { continue };
            match self.cluster.view().leader(partition) {
                Some(leader) if assigned.retry_at <= now && !self.listing_from.contains(&leader.broker) => {
                    by_broker.entry(leader.broker).or_default().push((partition.clone(), leader.epoch, to));
                }
                Some(_) => {}
                None => self.cluster.request_refresh(),
            }
        }
        for (broker, asked) in by_broker {
            if self.cluster.connect(broker, now, fx) {
                let timeout_ms = i32::try_from(self.config.request_timeout_ms).unwrap_or(i32::MAX);
                let times: Vec<_> =
                    asked.iter().map(|(p, epoch, to)| (p.clone(), *epoch, to.timestamp(wall))).collect();
                let request = list_offsets::request(&times, timeout_ms);
                self.listing_from.insert(broker);
                let partitions = asked.into_iter().map(|(partition, _, to)| (partition, to)).collect();
                let call = ConsumerCall::ListOffsets { broker, partitions };
                self.cluster.call(Peer::Broker(broker), now, fx, request, call);
            }
        }
    }

    pub(super) fn on_listed(
        &mut self,
        now: Nanos,
        asked: Vec<(TopicPartition, ResetTo)>,
        answer: &ListOffsetsResponse,
        fx: &mut Effects<'_>,
    ) {
        for (partition, asked_for) in asked {
            // Assigned or sought anew meanwhile.
            let asks_still =
                |a: &super::position::Assigned| matches!(a.state, State::Resetting { to, .. } if to == asked_for);
            if !self.assigned.get(&partition).is_some_and(asks_still) {
                continue;
            }
            let answer = list_offsets::answer_for(answer, &partition);
            match answer.unwrap_or(Err(ResponseError::UnknownServerError)) {
                Ok(found) => self.on_found(now, &partition, asked_for, found, fx),
                // OFFSET_NOT_AVAILABLE of a young leader among them: it will know (KIP-207).
                Err(error) => {
                    self.cluster.request_refresh();
                    self.pause(now, &partition, error, fx);
                }
            }
        }
    }

    /// A position as a leader told it is validated as any other before anything is fetched from it
    /// (`SubscriptionState.maybeSeekUnvalidated`).
    fn on_found(
        &mut self,
        now: Nanos,
        partition: &TopicPartition,
        asked_for: ResetTo,
        found: Found,
        fx: &mut Effects<'_>,
    ) {
        let validates = self.validates();
        let leader = self.cluster.view().leader(partition);
        // An epoch that metadata does not know yet (`Metadata.updateLastSeenEpochIfNewer`).
        if leader.is_some_and(|leader| found.leader_epoch > leader.epoch) {
            self.cluster.request_refresh();
        }
        let Some(assigned) = self.assigned.get_mut(partition) else { return };
        let State::Resetting { why, .. } = &assigned.state else { return };
        if found.offset < 0 && ConsumerRule::NothingThatYoungIsNoOffset.holds() {
            let why = format!("{why}; nothing is that young");
            match asked_for {
                ResetTo::Timestamp(_) => assigned.go(State::Resetting { to: ResetTo::Latest, why }),
                // Kafka leaves such an answer aside and asks again.
                _ => self.pause(now, partition, ResponseError::OffsetNotAvailable, fx),
            }
            return;
        }
        let to = found.offset.max(0);
        fx.record(Event::PositionReset { partition: partition.clone(), to, why: why.clone() });
        let position = Position { offset: to, offset_epoch: known(found.leader_epoch), leader };
        assigned.seek_unvalidated(position, validates);
    }
}
