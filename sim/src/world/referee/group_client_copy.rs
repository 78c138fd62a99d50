//! A consumer in a group that is played with, its coordinator, and what it must do.
//!
//! Its group is its own, and of the protocol that the run's consumer has. Fetches are answered only where a play is about
//! them.

use std::fmt;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment as Target, TopicPartitions};
use kafka_protocol::messages::fetch_response::FetchableTopicResponse;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, FetchResponse, FindCoordinatorResponse,
    HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, OffsetCommitResponse, OffsetFetchResponse, RequestKind,
    ResponseKind, SyncGroupResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use trial_checker::Word;
use trial_kafka::client::Role;
use trial_kafka::config::{ConsumerConfig, GroupProtocol, OffsetReset};
use trial_kafka::group::assignor::client::consumer_protocol::Assignment;
use trial_kafka::ids::Topic;
use trial_kafka::node::{Command, Now, OpId, Outcome, Subscription};
use trial_kafka::zoo::Zoo;

use super::Speaker;
use super::client_copy::{Call, ClientCopy, PORT, TOPIC, TOPIC_ID, host, partition};
use super::client_script::{NOTHING, Script, polled};
use super::consumer_copy::{Told, data};

/// What a consumer is that is played with.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    pub(super) protocol: GroupProtocol,
    pub(super) zoo: Zoo,
    pub(super) now: Now,
    /// This answer of a broker, counted from 0, is an error where the play wants none: so a test sees that it matters.
    pub(super) lie: Option<usize>,
}

/// What a consumer asks.
pub(super) enum Asks<'a> {
    /// Any broker: who coordinates the group?
    Coordinator,
    /// JoinGroup, as that member.
    Join(&'a str),
    /// SyncGroup, with the assignments of so many members.
    Sync(usize),
    /// Heartbeat.
    Heartbeat,
    /// LeaveGroup.
    Leave,
    /// ConsumerGroupHeartbeat in that epoch: all about itself or not, and what it owns, if it says that.
    Says { epoch: i32, all: bool, owns: Option<&'a [i32]> },
    /// OffsetFetch of these partitions.
    Offsets(&'a [i32]),
    /// OffsetCommit in that generation, or member epoch: partition and offset.
    Commit(i32, &'a [(i32, i64)]),
}

impl fmt::Display for Asks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asks::Coordinator => write!(f, "a question who coordinates the group"),
            Asks::Join(member) => write!(f, "JoinGroup as member {member:?}"),
            Asks::Sync(assigned) => write!(f, "SyncGroup with the assignments of {assigned} members"),
            Asks::Heartbeat => write!(f, "a heartbeat"),
            Asks::Leave => write!(f, "LeaveGroup"),
            Asks::Says { epoch, all, owns } => said(f, *epoch, [*all; 2], owns.map(<[i32]>::to_vec)),
            Asks::Offsets(partitions) => write!(f, "a question for the offsets of {partitions:?}"),
            Asks::Commit(generation, offsets) => write!(f, "a commit in generation {generation} of {offsets:?}"),
        }
    }
}

/// A heartbeat of the consumer protocol: does it say its rebalance timeout and its topics, and what it owns?
fn said(f: &mut impl fmt::Write, epoch: i32, [timeout, topics]: [bool; 2], owns: Option<Vec<i32>>) -> fmt::Result {
    write!(f, "a heartbeat in epoch {epoch}")?;
    for (what, _) in [("rebalance timeout", timeout), ("topics", topics)].iter().filter(|(_, is_said)| *is_said) {
        write!(f, ", with its {what}")?;
    }
    owns.iter().try_for_each(|owns| write!(f, ", as the owner of {owns:?}"))
}

/// The member's part in its classic group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Follows,
    /// It assigns.
    Leads,
    /// It leads, but is told that the assignment stands (KIP-814).
    Returns,
}

pub(super) const MEMBER: &str = "m-1";
/// The first generation, and the first epoch of a member.
pub(super) const FIRST: i32 = 1;
/// Who coordinates the group where nothing else is told.
pub(super) const COORDINATOR: i32 = 2;
/// What goes on and on is answered this often while time passes.
const STEP_MS: i64 = 50;

/// See the module documentation.
pub(super) struct Play<'p, 's> {
    pub(super) copy: ClientCopy,
    pub(super) protocol: GroupProtocol,
    pub(super) script: Script<'p, 's>,
}

impl<'p, 's> Play<'p, 's> {
    pub(super) const METADATA_MAX_AGE_MS: i64 = 5_000;
    pub(super) const HEARTBEAT_MS: i64 = 2_000;
    pub(super) const SESSION_MS: i64 = 7_000;
    pub(super) const MAX_POLL_MS: i64 = 12_000;

    /// Two partitions, both of which broker 1 leads. Brokers offer no fetch session.
    pub(super) fn begin(
        setup: Setup,
        what: &'static str,
        change: fn(&mut ConsumerConfig),
        speaker: &'p mut Speaker<'s>,
    ) -> Self {
        let mut config = ConsumerConfig {
            group_id: "players".to_string(),
            group_protocol: setup.protocol,
            enable_auto_commit: false,
            auto_offset_reset: OffsetReset::Earliest,
            heartbeat_interval_ms: Self::HEARTBEAT_MS,
            session_timeout_ms: Self::SESSION_MS,
            max_poll_interval_ms: Self::MAX_POLL_MS,
            metadata_max_age_ms: Self::METADATA_MAX_AGE_MS,
            retry_backoff_ms: 100,
            retry_backoff_max_ms: 1_000,
            reconnect_backoff_ms: 20,
            reconnect_backoff_max_ms: 20,
            ..ConsumerConfig::default()
        };
        change(&mut config);
        let copy = ClientCopy::start(Role::Consumer(config), &[1, 1], setup.zoo, setup.now);
        let script = Script::new(Word::StepOfConsumer, format!("played with in a group: {what}"), setup.lie, speaker);
        Play { copy, protocol: setup.protocol, script }
    }

    // ── the application ──────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn subscribe(&mut self) {
        self.copy.command(Command::Subscribe { to: Subscription::Topics(vec![Topic::new(TOPIC)]) });
    }
    /// It reads these partitions from where its group has come to.
    pub(super) fn assign(&mut self, partitions: &[i32]) {
        let partitions = partitions.iter().map(|index| (partition(*index), None)).collect();
        self.copy.command(Command::Assign { partitions });
    }
    pub(super) fn poll(&mut self) -> OpId {
        self.copy.command(Command::Poll { max_wait_ms: 60_000 })
    }
    /// `commitSync` of this offset.
    pub(super) fn commit(&mut self, index: i32, offset: i64) -> OpId {
        self.copy.command(Command::Commit { offsets: Some(vec![(partition(index), offset)]), wait: true })
    }
    pub(super) fn close(&mut self) -> OpId {
        self.copy.command(Command::Close)
    }
    /// A command must have ended so: `None` where it must not have ended.
    pub(super) fn has_ended(&mut self, op: OpId, truth: Option<&Outcome>) -> Option<()> {
        let text =
            |outcome: Option<&Outcome>| outcome.map_or("a command that waits".to_string(), |end| format!("{end:?}"));
        let said = text(self.copy.outcome(op));
        self.script.follows(said, text(truth))
    }
    /// A poll must have given this record, and nothing else.
    pub(super) fn has_record(&mut self, poll: OpId, index: i32, offset: i64) -> Option<()> {
        let said = polled(&self.copy, poll);
        self.script.follows(said, format!("a record of partition {index} at {offset}"))
    }
    /// The listener must have been told in a poll that these partitions were assigned, revoked, lost.
    pub(super) fn is_told(&mut self, poll: OpId, what: &str, partitions: &[i32]) -> Option<()> {
        let said = polled(&self.copy, poll);
        self.script.follows(said, format!("{what} {partitions:?}"))
    }

    // ── the brokers ──────────────────────────────────────────────────────────────────────────────────────────────

    /// It must have asked its coordinator; or any broker, who that is.
    pub(super) fn asks(&mut self, asks: Asks<'_>) -> Option<Call> {
        self.asks_broker(COORDINATOR, asks)
    }
    /// It must have asked this broker.
    pub(super) fn asks_broker(&mut self, broker: i32, asks: Asks<'_>) -> Option<Call> {
        let (call, said) = self.next();
        let of = if matches!(asks, Asks::Coordinator) { String::new() } else { of_broker(broker) };
        self.script.follows(said, format!("{asks}{of}"))?;
        call
    }
    /// It must ask nobody.
    pub(super) fn is_silent(&mut self) -> Option<()> {
        let (_, said) = self.next();
        self.script.follows(said, NOTHING.to_string())
    }
    /// It must fetch these partitions, from these offsets on.
    pub(super) fn fetches(&mut self, asked: &[(i32, i64)]) -> Option<Call> {
        let text = |of: &[(i32, i64)]| format!("a fetch of {of:?}");
        let call = self.copy.next_such_call(|request| matches!(request, RequestKind::Fetch(_)));
        let said = match call.as_ref().map(|call| &call.request) {
            Some(RequestKind::Fetch(request)) => {
                let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
                text(&partitions.map(|asked| (asked.partition, asked.fetch_offset)).collect::<Vec<_>>())
            }
            _ => "no fetch".to_string(),
        };
        self.script.follows(said, text(asked))?;
        call
    }
    /// Time passes, and fetches are answered: there is nothing.
    pub(super) fn pass(&mut self, by_ms: i64) {
        self.go_on(by_ms, |request| matches!(request, RequestKind::Fetch(_)));
    }
    /// Time passes, and heartbeats are answered too.
    pub(super) fn rest(&mut self, by_ms: i64) {
        self.go_on(by_ms, |_| true);
    }
    fn go_on(&mut self, by_ms: i64, is_answered: fn(&RequestKind) -> bool) {
        for _ in 0..by_ms / STEP_MS {
            self.copy.pass(STEP_MS);
            let routine = |request: &RequestKind| routine_answer(request).filter(|_| is_answered(request));
            let next = |copy: &mut ClientCopy| copy.next_such_call(|request| routine(request).is_some());
            // What an answer makes it ask anew, it asks in the next step.
            let calls: Vec<Call> = std::iter::from_fn(|| next(&mut self.copy)).collect();
            for call in &calls {
                routine(&call.request).into_iter().for_each(|answer| self.copy.answer(call, answer));
            }
        }
    }

    /// That broker coordinates the group.
    pub(super) fn tell_coordinator(&mut self, call: &Call, broker: i32) {
        let told = Coordinator::default()
            .with_node_id(broker.into())
            .with_host(StrBytes::from_string(host(broker)))
            .with_port(PORT.into())
            .with_error_code(self.script.error_of_answer());
        self.copy.answer(call, FindCoordinatorResponse::default().with_coordinators(vec![told]).into());
    }
    /// Nobody does.
    pub(super) fn tell_no_coordinator(&mut self, call: &Call) {
        let told = Coordinator::default().with_error_code(ResponseError::CoordinatorNotAvailable.code());
        self.copy.answer(call, FindCoordinatorResponse::default().with_coordinators(vec![told]).into());
    }
    /// It is to join as [`MEMBER`].
    pub(super) fn tell_member_id(&mut self, call: &Call) {
        let error =
            if self.script.lies() { ResponseError::UnknownServerError } else { ResponseError::MemberIdRequired };
        let answer = JoinGroupResponse::default().with_member_id(MEMBER.into()).with_error_code(error.code());
        self.copy.answer(call, answer.into());
    }
    /// The first generation begins, with it alone.
    pub(super) fn tell_generation(&mut self, call: &Call, part: Part) {
        let RequestKind::JoinGroup(request) = &call.request else { return };
        let protocol = request.protocols.first().cloned().unwrap_or_default();
        let leader = if part == Part::Follows { "m-2" } else { MEMBER };
        let myself = JoinGroupResponseMember::default()
            .with_member_id(MEMBER.into())
            .with_group_instance_id(request.group_instance_id.clone())
            .with_metadata(protocol.metadata);
        let answer = JoinGroupResponse::default()
            .with_error_code(self.script.error_of_answer())
            .with_generation_id(FIRST)
            .with_protocol_type(Some(request.protocol_type.clone()))
            .with_protocol_name(Some(protocol.name))
            .with_leader(leader.into())
            .with_skip_assignment(part == Part::Returns)
            .with_member_id(MEMBER.into())
            .with_members(if part == Part::Follows { Vec::new() } else { vec![myself] });
        self.copy.answer(call, answer.into());
    }
    /// These partitions are its own.
    pub(super) fn tell_assignment(&mut self, call: &Call, partitions: &[i32]) {
        let partitions = partitions.iter().map(|index| partition(*index)).collect();
        let assignment = Assignment { partitions, user_data: None }.encode().unwrap_or_default();
        let answer =
            SyncGroupResponse::default().with_assignment(assignment).with_error_code(self.script.error_of_answer());
        self.copy.answer(call, answer.into());
    }
    /// The member is in this epoch, and is to have these partitions, if that is told.
    pub(super) fn tell_epoch(&mut self, call: &Call, epoch: i32, partitions: Option<&[i32]>) {
        let target = partitions.map(|partitions| {
            let topic = TopicPartitions::default().with_topic_id(TOPIC_ID).with_partitions(partitions.to_vec());
            Target::default().with_topic_partitions(vec![topic])
        });
        let answer = in_epoch(epoch).with_assignment(target).with_error_code(self.script.error_of_answer());
        self.copy.answer(call, answer.into());
    }
    /// So far has the group come.
    pub(super) fn tell_offsets(&mut self, call: &Call, offsets: &[(i32, i64)]) {
        let one = |(index, offset): &(i32, i64)| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(*index)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(-1)
        };
        let topic = OffsetFetchResponseTopics::default()
            .with_name(TopicName(TOPIC.into()))
            .with_partitions(offsets.iter().map(one).collect());
        let group =
            OffsetFetchResponseGroup::default().with_topics(vec![topic]).with_error_code(self.script.error_of_answer());
        self.copy.answer(call, OffsetFetchResponse::default().with_groups(vec![group]).into());
    }
    /// The offsets are committed.
    pub(super) fn tell_committed(&mut self, call: &Call) {
        // Others would end it, and not all who wait for that ask how.
        let error = if self.script.lies() { Some(ResponseError::CoordinatorLoadInProgress) } else { None };
        self.answer_commit(call, error);
    }
    /// They are not.
    pub(super) fn tell_not_committed(&mut self, call: &Call, error: ResponseError) {
        self.answer_commit(call, Some(error));
    }
    fn answer_commit(&mut self, call: &Call, error: Option<ResponseError>) {
        let RequestKind::OffsetCommit(request) = &call.request else { return };
        let code = error.map_or(0, |error| error.code());
        let one = |index| OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code);
        let topic = |topic: &kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic| {
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(topic.partitions.iter().map(|asked| one(asked.partition_index)).collect())
        };
        let topics = request.topics.iter().map(topic).collect();
        self.copy.answer(call, OffsetCommitResponse::default().with_topics(topics).into());
    }
    /// It has left: nobody looks at how.
    pub(super) fn tell_left(&mut self, call: &Call) {
        let answer = match &call.request {
            RequestKind::ConsumerGroupHeartbeat(request) => in_epoch(request.member_epoch).into(),
            _ => ResponseKind::from(LeaveGroupResponse::default()),
        };
        self.copy.answer(call, answer);
    }
    /// There are no more records yet.
    pub(super) fn serve_nothing(&mut self, call: &Call) {
        self.copy.answer(call, FetchResponse::default().into());
    }
    /// One record of a partition, from where it was asked for.
    pub(super) fn serve_record(&mut self, call: &Call, (index, offset): (i32, i64)) {
        let partition = data(Told::Records(offset, 1)).with_partition_index(index);
        let topic = FetchableTopicResponse::default().with_topic_id(TOPIC_ID).with_partitions(vec![partition]);
        let answer =
            FetchResponse::default().with_responses(vec![topic]).with_error_code(self.script.error_of_answer());
        self.copy.answer(call, answer.into());
    }

    // ── what is so ───────────────────────────────────────────────────────────────────────────────────────────────

    /// The next request that is about the group, and what it is.
    fn next(&mut self) -> (Option<Call>, String) {
        let is_of_group = |request: &RequestKind| !matches!(request, RequestKind::Fetch(_));
        let Some(call) = self.copy.next_such_call(is_of_group) else { return (None, NOTHING.to_string()) };
        let of = of_broker(call.broker);
        let said = match &call.request {
            RequestKind::FindCoordinator(_) => Asks::Coordinator.to_string(),
            RequestKind::JoinGroup(request) => format!("{}{of}", Asks::Join(&request.member_id)),
            RequestKind::SyncGroup(request) => format!("{}{of}", Asks::Sync(request.assignments.len())),
            RequestKind::Heartbeat(_) => format!("{}{of}", Asks::Heartbeat),
            RequestKind::LeaveGroup(_) => format!("{}{of}", Asks::Leave),
            RequestKind::ConsumerGroupHeartbeat(request) => format!("{}{of}", said_in(request)),
            RequestKind::OffsetFetch(request) => {
                let topics = request.groups.iter().flat_map(|group| group.topics.iter().flatten());
                let partitions: Vec<i32> = topics.flat_map(|topic| topic.partition_indexes.clone()).collect();
                format!("{}{of}", Asks::Offsets(&partitions))
            }
            RequestKind::OffsetCommit(request) => {
                let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
                let offsets: Vec<_> = partitions.map(|of| (of.partition_index, of.committed_offset)).collect();
                format!("{}{of}", Asks::Commit(request.generation_id_or_member_epoch, &offsets))
            }
            other => format!("{other:?}"),
        };
        (Some(call), said)
    }
}

fn of_broker(broker: i32) -> String {
    format!(", of broker {broker}")
}

fn said_in(request: &ConsumerGroupHeartbeatRequest) -> String {
    let owns = request.topic_partitions.as_ref();
    let owns = owns.map(|topics| topics.iter().flat_map(|topic| topic.partitions.clone()).collect());
    let says = [request.rebalance_timeout_ms != -1, request.subscribed_topic_names.is_some()];
    let mut text = String::new();
    // A text takes whatever is written.
    let _ = said(&mut text, request.member_epoch, says, owns);
    text
}

/// The answer to what goes on and on.
fn routine_answer(request: &RequestKind) -> Option<ResponseKind> {
    match request {
        RequestKind::Heartbeat(_) => Some(HeartbeatResponse::default().into()),
        RequestKind::ConsumerGroupHeartbeat(request) if request.member_epoch >= 0 => {
            Some(in_epoch(request.member_epoch).into())
        }
        RequestKind::Fetch(_) => Some(FetchResponse::default().into()),
        _ => None,
    }
}

fn in_epoch(epoch: i32) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default()
        .with_member_epoch(epoch)
        .with_heartbeat_interval_ms(Play::HEARTBEAT_MS as i32)
}
