//! Requests about groups: which coordinator is asked what.
//!
//! Source: `KafkaApis.handle{JoinGroup,SyncGroup,OffsetCommit,OffsetFetch,…}Request`, `GroupCoordinatorService`.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{
    GroupId, ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    RequestKind, ResponseKind, SyncGroupRequest, SyncGroupResponse,
};
use uuid::Uuid;

use super::gather::{Commit, GROUPS_VERSION_OF_FETCH, Gathering, Kind};
use super::{GroupStep, Question, step};
use crate::broker::Broker;
use crate::conformance::CoordinatorRule;
use crate::group::api::{AskId, Caller, Request, Response};
use crate::ids::TopicPartition;
use crate::node::{ConnId, Effects, EventId, Lane, RandomFor, ReqId, RequestHeader};

/// From this version on SyncGroup names the protocol (KIP-559).
const PROTOCOL_VERSION_OF_SYNC: i16 = 5;

/// Who asks, and how it is answered.
struct Asker<'a> {
    req: ReqId,
    conn: ConnId,
    header: &'a RequestHeader,
}

impl Broker {
    /// A request about groups, `None`; any other is given back.
    pub(in crate::broker) fn on_group_request(
        &mut self,
        (req, conn): (ReqId, ConnId),
        header: &RequestHeader,
        body: RequestKind,
        fx: &mut Effects<'_>,
    ) -> Option<RequestKind> {
        fx.charge(4_000);
        let asker = Asker { req, conn, header };
        match body {
            RequestKind::JoinGroup(mut request) => {
                // Before version 1 a member has its session timeout for that too (`JoinGroupRequest`).
                if header.api_version == 0 {
                    request.rebalance_timeout_ms = request.session_timeout_ms;
                }
                let group = request.group_id.clone();
                self.ask_one(&asker, &group, Request::JoinGroup(request), fx);
            }
            RequestKind::SyncGroup(request) => self.on_sync_group(&asker, request, fx),
            RequestKind::Heartbeat(request) => {
                let group = request.group_id.clone();
                self.ask_one(&asker, &group, Request::Heartbeat(request), fx);
            }
            RequestKind::LeaveGroup(request) => {
                let group = request.group_id.clone();
                self.ask_one(&asker, &group, Request::LeaveGroup(request), fx);
            }
            RequestKind::ConsumerGroupHeartbeat(request) => {
                let group = request.group_id.clone();
                self.ask_one(&asker, &group, Request::ConsumerGroupHeartbeat(request), fx);
            }
            RequestKind::OffsetDelete(request) => {
                let group = request.group_id.clone();
                self.ask_one(&asker, &group, Request::OffsetDelete(request), fx);
            }
            RequestKind::OffsetCommit(request) => self.on_offset_commit(&asker, request, fx),
            RequestKind::OffsetFetch(request) => self.on_offset_fetch(&asker, request, fx),
            RequestKind::DeleteGroups(request) => {
                let questions = self.by_partition(&request.groups_names, Request::DeleteGroups);
                self.ask(&asker, Kind::DeleteGroups, Vec::new(), None, questions, fx);
            }
            RequestKind::DescribeGroups(request) => {
                let questions = self.by_partition(&request.groups, Request::DescribeGroups);
                self.ask(&asker, Kind::DescribeGroups, Vec::new(), None, questions, fx);
            }
            RequestKind::ConsumerGroupDescribe(request) => {
                let questions = self.by_partition(&request.group_ids, Request::ConsumerGroupDescribe);
                self.ask(&asker, Kind::ConsumerGroupDescribe, Vec::new(), None, questions, fx);
            }
            RequestKind::ListGroups(request) => self.on_list_groups(&asker, &request, fx),
            other => return Some(other),
        }
        None
    }

    /// Since version 5 a member says which protocol it means. Source: `SyncGroupRequest.areMandatoryProtocolTypeAndNamePresent`.
    fn on_sync_group(&mut self, asker: &Asker<'_>, request: SyncGroupRequest, fx: &mut Effects<'_>) {
        let says_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
        if asker.header.api_version >= PROTOCOL_VERSION_OF_SYNC
            && !says_protocol
            && CoordinatorRule::SyncNamesItsProtocol.holds()
        {
            let error = ResponseError::InconsistentGroupProtocol.code();
            return fx.answer(asker.req, ResponseKind::SyncGroup(SyncGroupResponse::default().with_error_code(error)));
        }
        let group = request.group_id.clone();
        self.ask_one(asker, &group, Request::SyncGroup(request), fx);
    }

    /// Offsets are committed only for partitions that there are; the coordinator never hears of others.
    /// Source: `KafkaApis.handleOffsetCommitRequest`.
    fn on_offset_commit(&mut self, asker: &Asker<'_>, mut request: OffsetCommitRequest, fx: &mut Effects<'_>) {
        let mut offsets = Vec::new();
        let mut unknown = Vec::new();
        for topic in &mut request.topics {
            let count = self.image.topic(&topic.name).map_or(0, |known| known.partitions.len());
            let id = |index| TopicPartition::new(&topic.name.as_str().into(), index);
            offsets.extend(topic.partitions.iter().map(|p| (id(p.partition_index), p.committed_offset)));
            let is_known = |index: i32| usize::try_from(index).is_ok_and(|index| index < count);
            let absent = |index| is_known(index) || !CoordinatorRule::OnlyKnownPartitionsAreCommitted.holds();
            let (known, others): (Vec<_>, Vec<_>) =
                std::mem::take(&mut topic.partitions).into_iter().partition(|p| absent(p.partition_index));
            topic.partitions = known;
            if !others.is_empty() {
                let code = ResponseError::UnknownTopicOrPartition.code();
                let refused = others.into_iter().map(|partition| {
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(code)
                });
                let refused = OffsetCommitResponseTopic::default()
                    .with_name(topic.name.clone())
                    .with_partitions(refused.collect());
                unknown.push(refused);
            }
        }
        request.topics.retain(|topic| !topic.partitions.is_empty());
        let commit = Commit {
            group: request.group_id.to_string(),
            member: request.member_id.to_string(),
            generation: request.generation_id_or_member_epoch,
            offsets,
            written: EventId::NONE,
        };
        let known = vec![Response::OffsetCommit(OffsetCommitResponse::default().with_topics(unknown))];
        let questions = match request.topics.is_empty() {
            true => Vec::new(),
            false => vec![(self.groups.partition_for(&request.group_id), Request::OffsetCommit(request))],
        };
        self.ask(asker, Kind::OffsetCommit, known, Some(Box::new(commit)), questions, fx);
    }

    fn on_offset_fetch(&mut self, asker: &Asker<'_>, request: OffsetFetchRequest, fx: &mut Effects<'_>) {
        let groups = match asker.header.api_version >= GROUPS_VERSION_OF_FETCH {
            true => request.groups,
            false => {
                let topics = request.topics.map(|topics| {
                    let topics = topics.into_iter().map(|topic| {
                        OffsetFetchRequestTopics::default()
                            .with_name(topic.name)
                            .with_partition_indexes(topic.partition_indexes)
                    });
                    topics.collect()
                });
                let group = OffsetFetchRequestGroup::default().with_group_id(request.group_id).with_topics(topics);
                vec![group.with_member_epoch(-1)]
            }
        };
        let require_stable = request.require_stable;
        let questions = groups
            .into_iter()
            .map(|group| (self.groups.partition_for(&group.group_id), Request::OffsetFetch { group, require_stable }));
        let questions = questions.collect();
        self.ask(asker, Kind::OffsetFetch, Vec::new(), None, questions, fx);
    }

    /// All coordinators of this broker are asked; while one does not know its groups yet, there is no list.
    /// Source: `GroupCoordinatorService.listGroups`, `CoordinatorRuntime.scheduleReadAllOperation`.
    fn on_list_groups(&mut self, asker: &Asker<'_>, request: &ListGroupsRequest, fx: &mut Effects<'_>) {
        if self.groups.slots.values().any(|slot| !slot.shard.is_active()) {
            let error = ResponseError::CoordinatorLoadInProgress.code();
            return fx
                .answer(asker.req, ResponseKind::ListGroups(ListGroupsResponse::default().with_error_code(error)));
        }
        let texts = |filter: &[kafka_protocol::protocol::StrBytes]| filter.iter().map(ToString::to_string).collect();
        let (states, types): (Vec<_>, Vec<_>) = (texts(&request.states_filter), texts(&request.types_filter));
        let one = |partition: &i32| (*partition, Request::ListGroups { states: states.clone(), types: types.clone() });
        let questions = self.groups.slots.keys().map(one).collect();
        self.ask(asker, Kind::ListGroups, Vec::new(), None, questions, fx);
    }

    /// The questions about many groups: one per partition that holds some of them.
    fn by_partition(&self, groups: &[GroupId], request: impl Fn(Vec<String>) -> Request) -> Vec<(i32, Request)> {
        let mut by_partition: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        for group in groups {
            by_partition.entry(self.groups.partition_for(group)).or_default().push(group.to_string());
        }
        by_partition.into_iter().map(|(partition, groups)| (partition, request(groups))).collect()
    }

    fn ask_one(&mut self, asker: &Asker<'_>, group: &str, request: Request, fx: &mut Effects<'_>) {
        let partition = self.groups.partition_for(group);
        self.ask(asker, Kind::Single, Vec::new(), None, vec![(partition, request)], fx);
    }

    /// Hands the questions of a request to the coordinators' lane.
    fn ask(
        &mut self,
        asker: &Asker<'_>,
        kind: Kind,
        known: Vec<Response>,
        commit: Option<Box<Commit>>,
        questions: Vec<(i32, Request)>,
        fx: &mut Effects<'_>,
    ) {
        let (req, conn, api_version) = (asker.req, asker.conn, asker.header.api_version);
        let parts = known.into_iter().map(Some).collect();
        let gathering = Gathering { req, conn, api_version, kind, parts, commit };
        if questions.is_empty() {
            return self.answer_gathered(gathering, fx);
        }
        let asks = self.groups.asks.open(gathering, questions.len());
        for (ask, (partition, request)) in asks.into_iter().zip(questions) {
            let caller = caller(asker, ask, &request, fx);
            let question = Box::new(Question { partition, caller, request });
            fx.defer(Lane::Groups, step(GroupStep::Ask(question)));
        }
    }
}

fn caller(asker: &Asker<'_>, ask: AskId, request: &Request, fx: &mut Effects<'_>) -> Caller {
    let needs_id = match request {
        Request::JoinGroup(request) => request.member_id.is_empty(),
        Request::ConsumerGroupHeartbeat(request) => request.member_id.is_empty(),
        _ => false,
    };
    let fresh_id = match needs_id {
        true => fresh_uuid(fx),
        false => Uuid::nil(),
    };
    Caller {
        ask,
        api_version: asker.header.api_version,
        client_id: asker.header.client_id.clone(),
        client_host: asker.header.client_host.clone(),
        fresh_id,
    }
}

/// A random UUID (version 4).
fn fresh_uuid(fx: &mut Effects<'_>) -> Uuid {
    let (high, low) = (fx.random(RandomFor::MemberId), fx.random(RandomFor::MemberId));
    uuid::Builder::from_random_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes()).into_uuid()
}
