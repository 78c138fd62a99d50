//! What a member asks in the classic protocol, and what it makes of the answers.
//!
//! An answer to a question of an earlier generation says nothing about the present one (KAFKA-9823). Source:
//! `AbstractCoordinator.CoordinatorResponseHandler` and its subclasses.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, RequestKind,
    SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::super::commit::{CommitId, Refusal};
use super::{Classic, Cx, Generation, Group, MemberState, Phase, int};
use crate::client::cluster::Versioned;
use crate::config::ConsumerConfig;
use crate::conformance::GroupClientRule;
use crate::event::Event;
use crate::group::assignor::client::ClientAssignor;
use crate::protocol::{error_name, versions};
use crate::zoo::Switch;

/// `ConsumerProtocol.PROTOCOL_TYPE`.
const PROTOCOL_TYPE: &str = "consumer";
/// `JoinGroupRequest.maybeTruncateReason`.
const LONGEST_REASON: usize = 255;

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_string())
}
fn reason(why: &str) -> Option<StrBytes> {
    Some(text(&why.chars().take(LONGEST_REASON).collect::<String>()))
}

pub(super) fn join_request(
    group: &Group,
    config: &ConsumerConfig,
    member: &str,
    offered: Vec<(&'static str, Bytes)>,
    why: &str,
) -> Versioned {
    let protocol = |(name, metadata): (&'static str, Bytes)| {
        JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str(name)).with_metadata(metadata)
    };
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text(&group.id)))
        .with_session_timeout_ms(int(config.session_timeout_ms))
        .with_rebalance_timeout_ms(int(config.max_poll_interval_ms))
        .with_member_id(text(member))
        .with_group_instance_id(group.instance.as_deref().map(text))
        .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
        .with_protocols(offered.into_iter().map(protocol).collect())
        .with_reason(reason(why));
    (versions::JOIN_GROUP, RequestKind::JoinGroup(request))
}
pub(super) fn sync_request(group: &Group, generation: &Generation, assignments: Vec<(String, Bytes)>) -> Versioned {
    let one = |(member, assignment): (String, Bytes)| {
        SyncGroupRequestAssignment::default().with_member_id(StrBytes::from_string(member)).with_assignment(assignment)
    };
    let request = SyncGroupRequest::default()
        .with_group_id(GroupId(text(&group.id)))
        .with_generation_id(generation.id)
        .with_member_id(text(&generation.member))
        .with_group_instance_id(group.instance.as_deref().map(text))
        .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
        .with_protocol_name(generation.protocol.map(|assignor| StrBytes::from_static_str(assignor.name())))
        .with_assignments(assignments.into_iter().map(one).collect());
    (versions::SYNC_GROUP, RequestKind::SyncGroup(request))
}
pub(super) fn heartbeat_request(group: &Group, generation: &Generation) -> Versioned {
    let request = HeartbeatRequest::default()
        .with_group_id(GroupId(text(&group.id)))
        .with_generation_id(generation.id)
        .with_member_id(text(&generation.member))
        .with_group_instance_id(group.instance.as_deref().map(text));
    (versions::HEARTBEAT, RequestKind::Heartbeat(request))
}
pub(super) fn leave_request(group: &str, member: &str, why: &str) -> Versioned {
    let member = MemberIdentity::default().with_member_id(text(member)).with_reason(reason(why));
    let request = LeaveGroupRequest::default().with_group_id(GroupId(text(group))).with_members(vec![member]);
    (versions::LEAVE_GROUP, RequestKind::LeaveGroup(request))
}

impl Classic {
    /// Was the question asked in the present generation? The zoo switch `client-stale-generation-response` does not ask.
    fn is_of_this_generation(&self, sent: &Generation, cx: &Cx<'_, '_>) -> bool {
        *sent == self.generation
            || cx.consumer.zoo.on(Switch::ClientStaleGenerationResponse)
            || !GroupClientRule::OldGenerationsAnswerIsNothing.holds()
    }

    /// A refusal of what it asked as that member and in that generation: its own is over, and perhaps its membership
    /// (`resetStateOnResponseError`).
    fn reset_for_answer(
        &mut self,
        (asked_as, asked_in): (&str, i32),
        error: ResponseError,
        why: &str,
        group: &Group,
        cx: &mut Cx<'_, '_>,
    ) {
        if self.state != MemberState::Unjoined {
            let Generation { id: generation, member, .. } = self.generation.clone();
            let (group, error) = (group.id.clone(), error_name(error));
            let asked_as = asked_as.to_string();
            cx.fx.record(Event::GenerationGivenUp { group, member, generation, asked_as, asked_in, error });
        }
        self.reset(why, error != ResponseError::IllegalGeneration, group, cx);
    }

    /// JoinGroup is answered: the next poll sees to it.
    pub(in super::super) fn on_join_answered(&mut self, answer: JoinGroupResponse, sent: Generation) {
        if matches!(self.phase, Phase::Joining) {
            self.phase = Phase::JoinAnswered(Box::new(answer), sent);
        }
    }
    /// Source: `JoinGroupResponseHandler`.
    pub(super) fn on_joined(
        &mut self,
        answer: Box<JoinGroupResponse>,
        sent: &Generation,
        group: &mut Group,
        cx: &mut Cx<'_, '_>,
    ) {
        use ResponseError::*;
        let Some(error) = ResponseError::try_from_code(answer.error_code) else {
            if self.state != MemberState::PreparingRebalance {
                return self.pause("the member left while it joined", cx);
            }
            let protocol = answer.protocol_name.as_deref().and_then(ClientAssignor::from_name);
            let is_ours = answer.protocol_type.as_deref().is_none_or(|of| of == PROTOCOL_TYPE);
            if !is_ours || protocol.is_none() {
                group.failure = Some(error_name(InconsistentGroupProtocol));
                return self.request_rejoin("the group speaks another protocol");
            }
            self.state = MemberState::CompletingRebalance;
            self.generation = Generation { id: answer.generation_id, member: answer.member_id.to_string(), protocol };
            self.heartbeat.restart(&cx.consumer.config, cx.now);
            return self.follow_or_lead(answer, group, cx);
        };
        let why = format!("rebalance failed due to {}", error_name(error));
        match error {
            MemberIdRequired => {
                self.generation = Generation { member: answer.member_id.to_string(), ..Generation::none() };
                self.request_rejoin("need to re-join with the given member-id");
            }
            UnknownMemberId => {
                if self.is_of_this_generation(sent, cx) {
                    self.reset_for_answer((&sent.member, sent.id), error, &why, group, cx);
                }
                self.request_rejoin(&why);
            }
            RebalanceInProgress | IllegalGeneration => self.request_rejoin(&why),
            error => self.on_failed_rebalance(error, &why, group, cx),
        }
    }

    /// What JoinGroup and SyncGroup are refused with alike: it is tried again, but for an error that the application is told of.
    fn on_failed_rebalance(&mut self, error: ResponseError, why: &str, group: &mut Group, cx: &mut Cx<'_, '_>) {
        use ResponseError::*;
        match error {
            CoordinatorNotAvailable | NotCoordinator => {
                group.coordinator.forget(cx);
                self.pause(why, cx);
            }
            error if error.is_retriable() => self.pause(why, cx),
            error => {
                group.failure = Some(error_name(error));
                self.request_rejoin(why);
            }
        }
    }

    /// Source: `SyncGroupResponseHandler`.
    pub(in super::super) fn on_sync_answered(
        &mut self,
        answer: SyncGroupResponse,
        sent: &Generation,
        group: &mut Group,
        cx: &mut Cx<'_, '_>,
    ) {
        use ResponseError::*;
        if !matches!(self.phase, Phase::Syncing) {
            return;
        }
        self.phase = Phase::Settled;
        let Some(error) = ResponseError::try_from_code(answer.error_code) else {
            if self.generation.is_reset() || self.state != MemberState::CompletingRebalance {
                return self.request_rejoin("the generation ended before it was complete");
            }
            let ours = self.generation.protocol.map(ClientAssignor::name);
            if answer.protocol_name.as_deref().is_some_and(|name| Some(name) != ours) {
                group.failure = Some(error_name(InconsistentGroupProtocol));
                return self.request_rejoin("the group speaks another protocol");
            }
            return self.on_assignment(answer.assignment, group, cx);
        };
        let why = format!("rebalance failed due to {}", error_name(error));
        match error {
            RebalanceInProgress => self.request_rejoin(&why),
            UnknownMemberId | IllegalGeneration => {
                if self.is_of_this_generation(sent, cx) {
                    self.reset_for_answer((&sent.member, sent.id), error, &why, group, cx);
                }
                self.request_rejoin(&why);
            }
            error => self.on_failed_rebalance(error, &why, group, cx),
        }
    }

    /// Source: `HeartbeatResponseHandler`.
    pub(in super::super) fn on_heartbeat_answered(
        &mut self,
        answer: &HeartbeatResponse,
        sent: &Generation,
        group: &mut Group,
        cx: &mut Cx<'_, '_>,
    ) {
        use ResponseError::*;
        let Some(error) = ResponseError::try_from_code(answer.error_code) else {
            return self.heartbeat.answered(&cx.consumer.config, cx.now);
        };
        match error {
            RebalanceInProgress => {
                if self.state == MemberState::Stable {
                    self.request_rejoin("group is already rebalancing");
                }
                self.heartbeat.answered(&cx.consumer.config, cx.now);
            }
            IllegalGeneration | UnknownMemberId | FencedInstanceId => {
                if !self.is_of_this_generation(sent, cx) {
                    return self.heartbeat.answered(&cx.consumer.config, cx.now);
                }
                if error == FencedInstanceId {
                    group.failure = Some(error_name(error));
                }
                let why = format!("{} from a heartbeat", error_name(error));
                self.reset_for_answer((&sent.member, sent.id), error, &why, group, cx);
                self.heartbeat.failed(cx);
            }
            CoordinatorNotAvailable | NotCoordinator => {
                group.coordinator.forget(cx);
                self.heartbeat.failed(cx);
            }
            error if error.is_retriable() => self.heartbeat.failed(cx),
            error => {
                group.failure = Some(error_name(error));
                self.heartbeat.failed(cx);
            }
        }
    }

    /// What a refused commit means, also for the member. Source: `OffsetCommitResponseHandler`.
    pub(in super::super) fn on_refused_commit(
        &mut self,
        id: CommitId,
        error: ResponseError,
        group: &mut Group,
        cx: &mut Cx<'_, '_>,
    ) -> Refusal {
        use ResponseError::*;
        let sent = group.commits.sent_as(id).cloned();
        let is_members = group.subscription.is_some();
        let is_present =
            sent.as_ref().is_none_or(|of| of.generation == self.generation.id && of.member == self.generation.member)
                || cx.consumer.zoo.on(Switch::ClientStaleGenerationResponse)
                || !GroupClientRule::OldGenerationsAnswerIsNothing.holds();
        match error {
            CoordinatorLoadInProgress | UnknownTopicOrPartition => Refusal::Retriable(error_name(error)),
            CoordinatorNotAvailable | NotCoordinator | RequestTimedOut => {
                group.coordinator.forget(cx);
                Refusal::Retriable(error_name(error))
            }
            FencedInstanceId if is_present => {
                // What is committed without waiting tells it to the next poll.
                group.failure = Some(error_name(error));
                Refusal::Fatal(error_name(error))
            }
            FencedInstanceId if self.state == MemberState::PreparingRebalance => Refusal::Rebalancing,
            FencedInstanceId => Refusal::NotAMember,
            RebalanceInProgress => {
                self.request_rejoin("offset commit failed since group is already rebalancing");
                Refusal::Rebalancing
            }
            UnknownMemberId | IllegalGeneration => {
                if !is_present && self.state == MemberState::PreparingRebalance {
                    return Refusal::Rebalancing;
                }
                if let Some(sent) = sent.filter(|_| is_members) {
                    let why = format!("{} from a commit", error_name(error));
                    self.reset_for_answer((&sent.member, sent.generation), error, &why, group, cx);
                }
                Refusal::NotAMember
            }
            error => Refusal::Fatal(error_name(error)),
        }
    }
}
