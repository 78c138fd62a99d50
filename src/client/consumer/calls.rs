//! What a consumer asks brokers, and who takes the answers.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ResponseKind;

use super::group::GroupCall;
use super::position::{Position, ResetTo};
use super::{Consumer, retry_backoff};
use crate::client::{FailedCall, is_invalid_metadata};
use crate::ids::{BrokerId, TopicPartition};
use crate::node::{Effects, Nanos, Now};

/// A partition as it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) partition: TopicPartition,
    pub(super) topic_id: uuid::Uuid,
    pub(super) offset: i64,
}

/// What a call was about.
#[derive(Clone, Debug)]
pub(super) enum ConsumerCall {
    /// Something about its group.
    Group(GroupCall),
    /// Records from these offsets.
    Fetch { broker: BrokerId, partitions: Vec<Fetched> },
    /// Offsets of these places.
    ListOffsets { broker: BrokerId, partitions: Vec<(TopicPartition, ResetTo)> },
    /// Where the epochs of these positions end.
    Validate { broker: BrokerId, partitions: Vec<(TopicPartition, Position)> },
}

impl Consumer {
    /// An answer.
    pub(super) fn on_response(&mut self, now: Now, response: ResponseKind, call: ConsumerCall, fx: &mut Effects<'_>) {
        self.no_longer_waiting(&call);
        match (call, response) {
            (ConsumerCall::Group(call), response) => {
                self.with_membership(now, fx, |membership, cx| membership.on_response(call, response, cx));
            }
            (ConsumerCall::Fetch { broker, partitions }, ResponseKind::Fetch(answer)) => {
                self.on_fetched(now.mono, broker, partitions, answer, fx)
            }
            (ConsumerCall::ListOffsets { partitions, .. }, ResponseKind::ListOffsets(answer)) => {
                self.on_listed(now.mono, partitions, &answer, fx)
            }
            (ConsumerCall::Validate { partitions, .. }, ResponseKind::OffsetForLeaderEpoch(answer)) => {
                self.on_validated(now.mono, partitions, &answer, fx)
            }
            (call, _) => self.pause_all(now.mono, call, ResponseError::UnknownServerError, fx),
        }
    }
    /// Calls without an answer: they are simply made again. The connection's own pause comes first.
    pub(super) fn on_failed_calls(&mut self, now: Now, calls: Vec<FailedCall<ConsumerCall>>, fx: &mut Effects<'_>) {
        for FailedCall { about, timed_out } in calls {
            self.no_longer_waiting(&about);
            match about {
                ConsumerCall::Group(about) => {
                    let failed = FailedCall { about, timed_out };
                    self.with_membership(now, fx, |membership, cx| membership.on_failed_call(failed, cx));
                }
                about => self.pause_all(now.mono, about, ResponseError::NetworkException, fx),
            }
        }
    }
    fn no_longer_waiting(&mut self, call: &ConsumerCall) {
        match call {
            ConsumerCall::Group(_) => false,
            ConsumerCall::Fetch { broker, .. } => self.fetching_from.remove(broker),
            ConsumerCall::ListOffsets { broker, .. } => self.listing_from.remove(broker),
            ConsumerCall::Validate { broker, .. } => self.validating_with.remove(broker),
        };
    }
    fn pause_all(&mut self, now: Nanos, call: ConsumerCall, error: ResponseError, fx: &mut Effects<'_>) {
        let partitions: Vec<TopicPartition> = match call {
            ConsumerCall::Group(_) => Vec::new(),
            ConsumerCall::Fetch { broker, partitions } => {
                self.on_failed_fetch(broker, &partitions, fx);
                partitions.into_iter().map(|f| f.partition).collect()
            }
            ConsumerCall::ListOffsets { partitions, .. } => partitions.into_iter().map(|(p, _)| p).collect(),
            ConsumerCall::Validate { partitions, .. } => partitions.into_iter().map(|(p, _)| p).collect(),
        };
        partitions.iter().for_each(|partition| self.pause(now, partition, error, fx));
    }
    /// Nothing more about the partition for a while, and newer metadata if that may help.
    pub(super) fn pause(&mut self, now: Nanos, partition: &TopicPartition, error: ResponseError, fx: &mut Effects<'_>) {
        if is_invalid_metadata(error) || error == ResponseError::UnknownLeaderEpoch {
            self.cluster.request_refresh();
        }
        let Some(assigned) = self.assigned.get_mut(partition) else { return };
        assigned.retry_at = now.saturating_add(retry_backoff(&self.config).pause(assigned.failures, fx));
        assigned.failures = assigned.failures.saturating_add(1);
    }
}
