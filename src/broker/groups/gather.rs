//! Questions under way, and how their answers become that of a request.
//!
//! A request that names groups of several shards is several questions; it is answered when all are.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::{
    ConsumerGroupDescribeResponse, DeleteGroupsResponse, DescribeGroupsResponse, ListGroupsResponse,
    OffsetCommitResponse, OffsetFetchResponse, ResponseKind,
};

use crate::broker::Broker;
use crate::event::Event;
use crate::group::api::{AskId, Response, adapt_join};
use crate::ids::TopicPartition;
use crate::node::{ConnId, Effects, EventId, ReqId};
use crate::protocol::errors::{NONE, code_name};

/// From this version on OffsetFetch names groups (KIP-709).
pub(super) const GROUPS_VERSION_OF_FETCH: i16 = 8;

/// From this version on its answer has an error of the whole.
const ERROR_VERSION_OF_FETCH: i16 = 2;

/// What kind of answer is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of one question.
    Single,
    OffsetCommit,
    OffsetFetch,
    DeleteGroups,
    DescribeGroups,
    ConsumerGroupDescribe,
    ListGroups,
}

/// What a request wants to commit, for the trace.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub group: String,
    pub member: String,
    pub generation: i32,
    pub offsets: Vec<(TopicPartition, i64)>,
    /// The event of the last offset that was written.
    pub written: EventId,
}

/// A request of which not every question is answered.
#[derive(Clone, Debug)]
pub(super) struct Gathering {
    pub req: ReqId,
    pub conn: ConnId,
    pub api_version: i16,
    pub kind: Kind,
    pub parts: Vec<Option<Response>>,
    pub commit: Option<Box<Commit>>,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Asks {
    last: u64,
    gatherings: BTreeMap<u64, Gathering>,
    /// Of which request which part a question is.
    parts: BTreeMap<AskId, (u64, usize)>,
}

impl Asks {
    /// A request with so many open questions behind the parts that are known: their names, in order.
    pub fn open(&mut self, mut gathering: Gathering, questions: usize) -> Vec<AskId> {
        self.last += 1;
        let request = self.last;
        let known = gathering.parts.len();
        gathering.parts.resize(known + questions, None);
        self.gatherings.insert(request, gathering);
        let open = (known..known + questions).map(|part| {
            self.last += 1;
            self.parts.insert(AskId(self.last), (request, part));
            AskId(self.last)
        });
        open.collect()
    }
    /// What the request that this question is part of wants to commit.
    pub fn commit_of(&mut self, ask: AskId) -> Option<&mut Commit> {
        let (request, _) = self.parts.get(&ask)?;
        self.gatherings.get_mut(request)?.commit.as_deref_mut()
    }
    /// The request that this question is part of.
    pub fn request_of(&self, ask: AskId) -> Option<ReqId> {
        let (request, _) = self.parts.get(&ask)?;
        Some(self.gatherings.get(request)?.req)
    }
    /// A question is answered. Gives its request if that was the last one.
    fn give(&mut self, ask: AskId, response: Response) -> Option<Gathering> {
        let (request, part) = self.parts.remove(&ask)?;
        let gathering = self.gatherings.get_mut(&request)?;
        gathering.parts[part] = Some(response);
        match gathering.parts.iter().all(Option::is_some) {
            true => self.gatherings.remove(&request),
            false => None,
        }
    }
    /// A question will never be answered: nor will its request.
    fn forget(&mut self, ask: AskId) -> Option<Gathering> {
        let (request, _) = self.parts.remove(&ask)?;
        self.gatherings.remove(&request)
    }
}

impl Broker {
    pub(super) fn on_answer(&mut self, ask: AskId, response: Response, fx: &mut Effects<'_>) {
        if let Some(complete) = self.groups.asks.give(ask, response) {
            self.answer_gathered(complete, fx);
        }
    }
    /// Kafka never answers it, and its client has gone on, most likely on another connection: the old one is of no use.
    pub(super) fn on_abandoned(&mut self, ask: AskId, fx: &mut Effects<'_>) {
        if let Some(given_up) = self.groups.asks.forget(ask) {
            fx.hang_up(given_up.conn);
        }
    }

    pub(super) fn answer_gathered(&mut self, gathered: Gathering, fx: &mut Effects<'_>) {
        let Gathering { req, api_version, kind, parts, commit, .. } = gathered;
        let parts: Vec<Response> = parts.into_iter().flatten().collect();
        let response = match kind {
            Kind::Single => match parts.into_iter().next() {
                Some(response) => single(response, api_version),
                None => return,
            },
            Kind::OffsetCommit => committed(parts),
            Kind::OffsetFetch => fetched(parts, api_version),
            Kind::DeleteGroups => {
                let results = parts.into_iter().flat_map(|part| match part {
                    Response::DeleteGroups(results) => results,
                    _ => Vec::new(),
                });
                ResponseKind::DeleteGroups(DeleteGroupsResponse::default().with_results(results.collect()))
            }
            Kind::DescribeGroups => {
                let groups = parts.into_iter().flat_map(|part| match part {
                    Response::DescribeGroups(groups) => groups,
                    _ => Vec::new(),
                });
                ResponseKind::DescribeGroups(DescribeGroupsResponse::default().with_groups(groups.collect()))
            }
            Kind::ConsumerGroupDescribe => {
                let groups = parts.into_iter().flat_map(|part| match part {
                    Response::ConsumerGroupDescribe(groups) => groups,
                    _ => Vec::new(),
                });
                let response = ConsumerGroupDescribeResponse::default().with_groups(groups.collect());
                ResponseKind::ConsumerGroupDescribe(response)
            }
            Kind::ListGroups => {
                let groups = parts.into_iter().flat_map(|part| match part {
                    Response::ListGroups(groups) => groups,
                    _ => Vec::new(),
                });
                ResponseKind::ListGroups(ListGroupsResponse::default().with_groups(groups.collect()))
            }
        };
        if let (Some(commit), ResponseKind::OffsetCommit(response)) = (commit, &response) {
            tell_commit(&commit, response, fx);
        }
        fx.answer(req, response);
    }
}

fn single(response: Response, api_version: i16) -> ResponseKind {
    match response {
        Response::JoinGroup(response) => ResponseKind::JoinGroup(adapt_join(response, api_version)),
        Response::SyncGroup(response) => ResponseKind::SyncGroup(response),
        Response::Heartbeat(response) => ResponseKind::Heartbeat(response),
        Response::LeaveGroup(response) => ResponseKind::LeaveGroup(response),
        Response::ConsumerGroupHeartbeat(response) => ResponseKind::ConsumerGroupHeartbeat(response),
        Response::OffsetDelete(response) => ResponseKind::OffsetDelete(response),
        several => put_together(several, api_version),
    }
}
/// An answer that other requests put together from many, from one.
fn put_together(response: Response, api_version: i16) -> ResponseKind {
    match response {
        Response::OffsetFetch(_) => fetched(vec![response], api_version),
        other => committed(vec![other]),
    }
}

/// Topics that come more than once become one (`OffsetCommitResponse.Builder.merge`).
fn committed(parts: Vec<Response>) -> ResponseKind {
    let mut topics: Vec<OffsetCommitResponseTopic> = Vec::new();
    for part in parts {
        let Response::OffsetCommit(response) = part else { continue };
        for topic in response.topics {
            match topics.iter_mut().find(|known| known.name == topic.name) {
                Some(known) => known.partitions.extend(topic.partitions),
                None => topics.push(topic),
            }
        }
    }
    ResponseKind::OffsetCommit(OffsetCommitResponse::default().with_topics(topics))
}

/// Before version 8 the answer is about one group, before version 2 an error is told by its partitions alone.
/// Source: `OffsetFetchResponse`.
fn fetched(parts: Vec<Response>, api_version: i16) -> ResponseKind {
    let groups = parts.into_iter().filter_map(|part| match part {
        Response::OffsetFetch(group) => Some(group),
        _ => None,
    });
    let mut groups: Vec<OffsetFetchResponseGroup> = groups.collect();
    if api_version >= ERROR_VERSION_OF_FETCH {
        groups.iter_mut().filter(|group| group.error_code != NONE).for_each(|group| group.topics.clear());
    }
    let response = OffsetFetchResponse::default();
    if api_version >= GROUPS_VERSION_OF_FETCH {
        return ResponseKind::OffsetFetch(response.with_groups(groups));
    }
    let alone = groups.pop().unwrap_or_default();
    let topics = alone.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_committed_offset(partition.committed_offset)
                .with_committed_leader_epoch(partition.committed_leader_epoch)
                .with_metadata(partition.metadata)
                .with_error_code(partition.error_code)
        });
        OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
    });
    ResponseKind::OffsetFetch(response.with_topics(topics.collect()).with_error_code(alone.error_code))
}

fn tell_commit(commit: &Commit, response: &OffsetCommitResponse, fx: &mut Effects<'_>) {
    for (partition, offset) in &commit.offsets {
        let answers = response.topics.iter().filter(|topic| topic.name.as_str() == partition.topic.as_str());
        let of = |answer: &&OffsetCommitResponsePartition| answer.partition_index == partition.partition;
        let Some(answer) = answers.flat_map(|topic| &topic.partitions).find(of) else { continue };
        fx.record_because(
            Event::OffsetCommitAnswered {
                group: commit.group.clone(),
                partition: partition.clone(),
                offset: *offset,
                member: commit.member.clone(),
                generation: commit.generation,
                error: (answer.error_code != NONE).then(|| code_name(answer.error_code)),
            },
            &[commit.written],
        );
    }
}
