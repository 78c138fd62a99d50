//! How far has the group come? Asked where a position is to be found, and for the application.
//!
//! As Kafka's consumer does, both ask for offsets that are stable: an answer waits for what is being written.
//! Source: `ConsumerCoordinator.fetchCommittedOffsets`, `initWithCommittedOffsetsIfNeeded`, `OffsetsRequestManager`.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, RequestKind};
use kafka_protocol::protocol::StrBytes;

use super::commit::Committer;
use super::{Cx, Group, GroupCall};
use crate::client::TIMEOUT;
use crate::client::consumer::position::{Assigned, Position, State, known, reset_by_policy};
use crate::client::consumer::retry_backoff;
use crate::config::OffsetReset;
use crate::conformance::GroupClientRule;
use crate::event::Event;
use crate::ids::TopicPartition;
use crate::node::{Nanos, OpId, Outcome, ms};
use crate::protocol::{error_name, topic_name, versions};

/// What the application is told of a partition without a position and without a policy (`NoOffsetForPartitionException`).
pub(crate) const NO_OFFSET: &str = "NO_OFFSET_FOR_PARTITION";

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Asker {
    /// Partitions without a position, of that assignment.
    Positions { assignment: u64, partitions: Vec<TopicPartition> },
    /// The application.
    Application(OpId),
}

#[derive(Clone, Debug)]
struct Query {
    partitions: Vec<TopicPartition>,
    give_up_at: Nanos,
    retry_at: Nanos,
    failures: u32,
    in_flight: bool,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct OffsetQueries {
    positions_in_flight: bool,
    positions_retry_at: Nanos,
    positions_failures: u32,
    queries: BTreeMap<OpId, Query>,
}

/// An offset and its leader epoch, or none.
type Committed = Option<(i64, i32)>;

impl OffsetQueries {
    /// When something is to be done.
    pub(super) fn wake_ups(&self) -> impl Iterator<Item = Nanos> + '_ {
        let of_one = |query: &Query| [query.give_up_at, query.retry_at];
        self.queries.values().flat_map(of_one).chain([self.positions_retry_at])
    }
    /// All operations that are still open, for a consumer that is gone.
    pub(super) fn take_operations(&mut self) -> Vec<OpId> {
        std::mem::take(&mut self.queries).into_keys().collect()
    }
}

impl Group {
    /// `KafkaConsumer.committed`.
    pub(super) fn ask_committed(&mut self, op: OpId, partitions: Vec<TopicPartition>, cx: &mut Cx<'_, '_>) {
        if partitions.is_empty() {
            return cx.fx.deliver(op, Outcome::Committed { offsets: Vec::new() });
        }
        let give_up_at = cx.now.saturating_add(ms(cx.consumer.config.default_api_timeout_ms));
        let query = Query { partitions, give_up_at, retry_at: 0, failures: 0, in_flight: false };
        self.offsets.queries.insert(op, query);
    }

    /// Asks for the application, and gives up what takes too long.
    pub(super) fn send_queries(&mut self, asker: &Committer, cx: &mut Cx<'_, '_>) {
        let ops: Vec<OpId> = self.offsets.queries.keys().copied().collect();
        for op in ops {
            let Some(query) = self.offsets.queries.get_mut(&op) else { continue };
            if query.give_up_at <= cx.now {
                self.offsets.queries.remove(&op);
                cx.fx.deliver(op, Outcome::Refused { error: TIMEOUT.to_string() });
                continue;
            }
            if query.in_flight || query.retry_at > cx.now || !self.coordinator.is_ready() {
                continue;
            }
            query.in_flight = true;
            let request = request(&self.id, &query.partitions, asker);
            self.ask_offsets(request, Asker::Application(op), cx);
        }
    }
    /// Asks how far the group has come where a position is to begin.
    pub(super) fn ask_for_positions(&mut self, asker: &Committer, cx: &mut Cx<'_, '_>) {
        let lost = |(partition, assigned): (&TopicPartition, &Assigned)| {
            (assigned.state == State::Initializing).then(|| partition.clone())
        };
        let partitions: Vec<TopicPartition> = cx.consumer.assigned.iter().filter_map(lost).collect();
        if partitions.is_empty() || self.offsets.positions_in_flight || self.offsets.positions_retry_at > cx.now {
            return;
        }
        if self.coordinator.is_ready() {
            self.offsets.positions_in_flight = true;
            let request = request(&self.id, &partitions, asker);
            let asker = Asker::Positions { assignment: cx.consumer.assignment, partitions };
            self.ask_offsets(request, asker, cx);
        }
    }
    fn ask_offsets(&mut self, request: OffsetFetchRequest, asker: Asker, cx: &mut Cx<'_, '_>) {
        let request = (versions::OFFSET_FETCH, RequestKind::OffsetFetch(request));
        self.coordinator.send(cx.consumer.config.request_timeout_ms, request, GroupCall::OffsetFetch(asker));
    }

    pub(super) fn on_offsets(&mut self, asker: Asker, answer: &OffsetFetchResponse, cx: &mut Cx<'_, '_>) {
        match read(answer) {
            Err(error) => self.on_no_offsets(asker, error, cx),
            Ok(offsets) => match asker {
                Asker::Application(op) => {
                    if let Some(query) = self.offsets.queries.remove(&op) {
                        let of = |id: &TopicPartition| offsets.get(id).copied().flatten().map_or(-1, |(at, _)| at);
                        let offsets = query.partitions.into_iter().map(|id| (id.clone(), of(&id))).collect();
                        cx.fx.deliver(op, Outcome::Committed { offsets });
                    }
                }
                Asker::Positions { assignment, partitions } => {
                    self.offsets.positions_in_flight = false;
                    self.offsets.positions_failures = 0;
                    // Given away and got back meanwhile: somebody else may have committed since.
                    if assignment == cx.consumer.assignment || !GroupClientRule::OldAnswerIsNoPosition.holds() {
                        partitions.iter().for_each(|id| begin_at(id, offsets.get(id).copied().flatten(), cx));
                    }
                }
            },
        }
    }

    /// Tried again where that may help. Source: `OffsetFetchResponseHandler`, `OffsetFetchRequestState.onFailure`.
    pub(super) fn on_no_offsets(&mut self, asker: Asker, error: ResponseError, cx: &mut Cx<'_, '_>) {
        use ResponseError::*;
        if matches!(error, CoordinatorNotAvailable | NotCoordinator | NetworkException) {
            self.coordinator.forget(cx);
        }
        let may_pass = error.is_retriable() || matches!(error, StaleMemberEpoch | UnknownMemberId);
        let backoff = retry_backoff(&cx.consumer.config);
        match asker {
            Asker::Positions { .. } => {
                self.offsets.positions_in_flight = false;
                let pause = backoff.pause(self.offsets.positions_failures, cx.fx);
                self.offsets.positions_retry_at = cx.now.saturating_add(pause);
                self.offsets.positions_failures = self.offsets.positions_failures.saturating_add(1);
                if !may_pass {
                    self.failure = Some(error_name(error));
                }
            }
            Asker::Application(op) => {
                let Some(query) = self.offsets.queries.get_mut(&op) else { return };
                if !may_pass {
                    self.offsets.queries.remove(&op);
                    return cx.fx.deliver(op, Outcome::Refused { error: error_name(error) });
                }
                query.in_flight = false;
                query.retry_at = cx.now.saturating_add(backoff.pause(query.failures, cx.fx));
                query.failures = query.failures.saturating_add(1);
            }
        }
    }
}

/// A partition that waits for its position begins where the group has come to, or by `auto.offset.reset`; a position that
/// somebody has sought meanwhile stays. Source: `ConsumerUtils.refreshCommittedOffsets`.
fn begin_at(partition: &TopicPartition, committed: Committed, cx: &mut Cx<'_, '_>) {
    let consumer = &mut *cx.consumer;
    let validates = consumer.validates();
    let leader = consumer.cluster.view().leader(partition);
    let policy = consumer.config.auto_offset_reset;
    let Some(assigned) = consumer.assigned.get_mut(partition) else { return };
    if assigned.state != State::Initializing {
        return;
    }
    match committed.filter(|_| GroupClientRule::CommittedOffsetIsThePosition.holds()) {
        Some((offset, epoch)) => {
            assigned.seek_unvalidated(Position { offset, offset_epoch: known(epoch), leader }, validates);
            let why = "the group has come there".to_string();
            cx.fx.record(Event::PositionReset { partition: partition.clone(), to: offset, why });
        }
        None => {
            assigned.go(reset_by_policy(policy, "the group has committed nothing"));
            if policy == OffsetReset::None {
                consumer.errors.push((partition.clone(), NO_OFFSET.to_string()));
            }
        }
    }
}

fn request(group: &str, partitions: &[TopicPartition], asker: &Committer) -> OffsetFetchRequest {
    let mut topics: Vec<OffsetFetchRequestTopics> = Vec::new();
    for partition in partitions {
        match topics.iter_mut().find(|topic| topic.name.as_str() == partition.topic.as_str()) {
            Some(topic) => topic.partition_indexes.push(partition.partition),
            None => topics.push(
                OffsetFetchRequestTopics::default()
                    .with_name(topic_name(&partition.topic))
                    .with_partition_indexes(vec![partition.partition]),
            ),
        }
    }
    let member = (!asker.member.is_empty()).then(|| StrBytes::from_string(asker.member.clone()));
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(StrBytes::from_string(group.to_string())))
        .with_member_id(member)
        .with_member_epoch(asker.generation)
        .with_topics(Some(topics));
    OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(true)
}

fn read(answer: &OffsetFetchResponse) -> Result<BTreeMap<TopicPartition, Committed>, ResponseError> {
    let group = answer.groups.first().ok_or(ResponseError::UnknownServerError)?;
    if let Some(error) = ResponseError::try_from_code(group.error_code) {
        return Err(error);
    }
    let mut offsets = BTreeMap::new();
    for topic in &group.topics {
        let name = topic.name.as_str().into();
        for partition in &topic.partitions {
            if let Some(error) = ResponseError::try_from_code(partition.error_code) {
                return Err(error);
            }
            let committed = (partition.committed_offset, partition.committed_leader_epoch);
            let committed = Some(committed).filter(|(offset, _)| *offset >= 0);
            offsets.insert(TopicPartition::new(&name, partition.partition_index), committed);
        }
    }
    Ok(offsets)
}
