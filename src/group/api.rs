//! What a coordinator is asked and what it answers: Kafka's requests, cut to what concerns one group or one shard.
//!
//! A broker splits the requests that name several groups (OffsetFetch, DeleteGroups, DescribeGroups, ListGroups,
//! ConsumerGroupDescribe) by the partitions that hold them, and puts the answers together.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup as DescribedConsumerGroup;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

/// One question to a shard, named by whoever asks; each is answered or abandoned exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The question.
    pub ask: AskId,
    /// Version of the request.
    pub api_version: i16,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it is, as Kafka shows it: "/127.0.0.1".
    pub client_host: String,
    /// A random id, should a member need one ([`crate::node::RandomFor::MemberId`]).
    pub fresh_id: Uuid,
}

/// A request, as far as it concerns one shard.
#[derive(Clone, Debug)]
pub enum Request {
    /// A member of the classic protocol comes, or comes again.
    JoinGroup(JoinGroupRequest),
    /// It asks for its assignment; the leader brings all.
    SyncGroup(SyncGroupRequest),
    /// It lives.
    Heartbeat(HeartbeatRequest),
    /// Members go.
    LeaveGroup(LeaveGroupRequest),
    /// A member of the consumer protocol comes, lives, or goes.
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest),
    /// Offsets of one group are committed.
    OffsetCommit(OffsetCommitRequest),
    /// Offsets of one group are asked for.
    OffsetFetch {
        /// The group, and of what; all of its offsets if no topics are named.
        group: OffsetFetchRequestGroup,
        /// Wait for what is being written.
        require_stable: bool,
    },
    /// Offsets of one group are deleted.
    OffsetDelete(OffsetDeleteRequest),
    /// Groups are deleted, with their offsets.
    DeleteGroups(Vec<String>),
    /// What groups of the classic protocol are like.
    DescribeGroups(Vec<String>),
    /// What groups of the consumer protocol are like.
    ConsumerGroupDescribe(Vec<String>),
    /// Which groups there are: in these states and of these types, if any are named.
    ListGroups {
        /// States, in whatever case.
        states: Vec<String>,
        /// Types, in whatever case.
        types: Vec<String>,
    },
}

/// The answer to the request of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// See [`adapt_join`] for old versions.
    JoinGroup(JoinGroupResponse),
    /// Generation's assignment.
    SyncGroup(SyncGroupResponse),
    /// Still a member?
    Heartbeat(HeartbeatResponse),
    /// Each member's end.
    LeaveGroup(LeaveGroupResponse),
    /// Epoch, and what is assigned.
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
    /// Each partition's end.
    OffsetCommit(OffsetCommitResponse),
    /// The group's offsets.
    OffsetFetch(OffsetFetchResponseGroup),
    /// Each partition's end.
    OffsetDelete(OffsetDeleteResponse),
    /// Each group's end.
    DeleteGroups(Vec<DeletableGroupResult>),
    /// The groups.
    DescribeGroups(Vec<DescribedGroup>),
    /// The groups.
    ConsumerGroupDescribe(Vec<DescribedConsumerGroup>),
    /// The groups.
    ListGroups(Vec<ListedGroup>),
}

impl Request {
    /// The one group that it is about.
    pub fn group(&self) -> Option<&str> {
        match self {
            Request::JoinGroup(request) => Some(&request.group_id),
            Request::SyncGroup(request) => Some(&request.group_id),
            Request::Heartbeat(request) => Some(&request.group_id),
            Request::LeaveGroup(request) => Some(&request.group_id),
            Request::ConsumerGroupHeartbeat(request) => Some(&request.group_id),
            Request::OffsetCommit(request) => Some(&request.group_id),
            Request::OffsetFetch { group, .. } => Some(&group.group_id),
            Request::OffsetDelete(request) => Some(&request.group_id),
            Request::DeleteGroups(_)
            | Request::DescribeGroups(_)
            | Request::ConsumerGroupDescribe(_)
            | Request::ListGroups { .. } => None,
        }
    }
    /// The request's answer when it failed as a whole.
    /// Source: `GroupCoordinatorService`, the error of each operation; `OffsetCommitRequest.getErrorResponse`.
    pub fn refused(&self, error: ResponseError) -> Response {
        let error = match (self, coordinator_error(error)) {
            (Request::OffsetFetch { .. }, ResponseError::CoordinatorNotAvailable) => ResponseError::NotCoordinator,
            (_, error) => error,
        };
        let code = error.code();
        match self {
            Request::JoinGroup(_) => Response::JoinGroup(join_refused("", error)),
            Request::SyncGroup(_) => Response::SyncGroup(SyncGroupResponse::default().with_error_code(code)),
            Request::Heartbeat(_) => Response::Heartbeat(HeartbeatResponse::default().with_error_code(code)),
            Request::LeaveGroup(request) => Response::LeaveGroup(leave_refused(request, error)),
            Request::ConsumerGroupHeartbeat(_) => {
                Response::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse::default().with_error_code(code))
            }
            Request::OffsetCommit(request) => Response::OffsetCommit(commit_refused(request, error)),
            Request::OffsetFetch { group, .. } => Response::OffsetFetch(fetch_refused(group, error)),
            Request::OffsetDelete(_) => Response::OffsetDelete(OffsetDeleteResponse::default().with_error_code(code)),
            Request::DeleteGroups(groups) => Response::DeleteGroups(
                groups
                    .iter()
                    .map(|group| {
                        DeletableGroupResult::default().with_group_id(group_id(group)).with_error_code(error.code())
                    })
                    .collect(),
            ),
            Request::DescribeGroups(groups) => Response::DescribeGroups(
                groups
                    .iter()
                    .map(|group| DescribedGroup::default().with_group_id(group_id(group)).with_error_code(code))
                    .collect(),
            ),
            Request::ConsumerGroupDescribe(groups) => Response::ConsumerGroupDescribe(
                groups
                    .iter()
                    .map(|group| DescribedConsumerGroup::default().with_group_id(group_id(group)).with_error_code(code))
                    .collect(),
            ),
            Request::ListGroups { .. } => Response::ListGroups(Vec::new()),
        }
    }
}

/// What a client is told of trouble with the log: it looks for the coordinator again, or tries again.
/// Source: `CoordinatorOperationExceptionHelper.handleOperationException`.
pub(super) fn coordinator_error(error: ResponseError) -> ResponseError {
    match error {
        ResponseError::UnknownTopicOrPartition | ResponseError::NotEnoughReplicas | ResponseError::RequestTimedOut => {
            ResponseError::CoordinatorNotAvailable
        }
        ResponseError::NotLeaderOrFollower | ResponseError::KafkaStorageError => ResponseError::NotCoordinator,
        ResponseError::MessageTooLarge | ResponseError::RecordListTooLarge | ResponseError::InvalidFetchSize => {
            ResponseError::UnknownServerError
        }
        other => other,
    }
}

/// A refusal of JoinGroup, which tells no protocol.
pub(super) fn join_refused(member: &str, error: ResponseError) -> JoinGroupResponse {
    JoinGroupResponse::default().with_member_id(text(member)).with_error_code(error.code()).with_protocol_name(None)
}

/// A group that is not there answers UNKNOWN_MEMBER_ID for each member, and not as a whole.
fn leave_refused(request: &LeaveGroupRequest, error: ResponseError) -> LeaveGroupResponse {
    if error != ResponseError::UnknownMemberId || request.members.is_empty() {
        return LeaveGroupResponse::default().with_error_code(error.code());
    }
    let one = |member: &kafka_protocol::messages::leave_group_request::MemberIdentity| {
        MemberResponse::default()
            .with_member_id(member.member_id.clone())
            .with_group_instance_id(member.group_instance_id.clone())
            .with_error_code(error.code())
    };
    LeaveGroupResponse::default().with_members(request.members.iter().map(one).collect())
}

/// The group with its error; each partition has it too, for clients that hear of no other
/// (`OffsetFetchResponse.groupError`).
fn fetch_refused(group: &OffsetFetchRequestGroup, error: ResponseError) -> OffsetFetchResponseGroup {
    let topic = |topic: &OffsetFetchRequestTopics| {
        let partition = |index: &i32| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(*index)
                .with_committed_offset(-1)
                .with_metadata(Some(StrBytes::default()))
                .with_error_code(error.code())
        };
        OffsetFetchResponseTopics::default()
            .with_name(topic.name.clone())
            .with_partitions(topic.partition_indexes.iter().map(partition).collect())
    };
    OffsetFetchResponseGroup::default()
        .with_group_id(group.group_id.clone())
        .with_error_code(error.code())
        .with_topics(group.topics.iter().flatten().map(topic).collect())
}

/// Each partition that was to be committed, with the same end.
fn commit_refused(request: &OffsetCommitRequest, error: ResponseError) -> OffsetCommitResponse {
    let topic = |topic: &kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic| {
        let partition =
            |index| OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(error.code());
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(topic.partitions.iter().map(|p| partition(p.partition_index)).collect())
    };
    OffsetCommitResponse::default().with_topics(request.topics.iter().map(topic).collect())
}

/// Before version 7 a protocol's name cannot be null, and is empty instead. Source: `JoinGroupResponse`.
pub fn adapt_join(mut response: JoinGroupResponse, api_version: i16) -> JoinGroupResponse {
    if api_version < 7 && response.protocol_name.is_none() {
        response.protocol_name = Some(StrBytes::default());
    }
    response
}

/// What has been answered, and what is still open.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    open: BTreeMap<AskId, Arc<Request>>,
    given: Vec<(AskId, Response)>,
    abandoned: Vec<AskId>,
}

impl Answers {
    /// A question comes in.
    pub fn open(&mut self, ask: AskId, request: Arc<Request>) {
        self.open.insert(ask, request);
    }
    /// Answers it, unless it was answered before: a member that waits may have been told that its time was up.
    pub fn give(&mut self, ask: AskId, response: Response) {
        if self.open.remove(&ask).is_some() {
            self.given.push((ask, response));
        }
    }
    /// Answers it with an error, unless it was answered before.
    pub fn refuse(&mut self, ask: AskId, error: ResponseError) {
        if let Some(request) = self.open.remove(&ask) {
            self.given.push((ask, request.refused(error)));
        }
    }
    /// Everything that is open is refused.
    pub fn refuse_all(&mut self, error: ResponseError) {
        let open: Vec<AskId> = self.open.keys().copied().collect();
        for ask in open {
            self.refuse(ask, error);
        }
    }
    /// Nobody waits for it any more: its client has asked again. Kafka never answers such a request.
    pub fn abandon(&mut self, ask: AskId) {
        if self.open.remove(&ask).is_some() {
            self.abandoned.push(ask);
        }
    }
    /// Takes what is to be told: answers, and questions that get none.
    pub fn take(&mut self) -> (Vec<(AskId, Response)>, Vec<AskId>) {
        (std::mem::take(&mut self.given), std::mem::take(&mut self.abandoned))
    }
}

/// A text as the protocol has it.
pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_string())
}
/// A text, or none.
pub(super) fn optional_text(value: Option<&str>) -> Option<StrBytes> {
    value.map(text)
}
/// A group's id as the protocol has it.
pub(super) fn group_id(group: &str) -> GroupId {
    GroupId(text(group))
}
