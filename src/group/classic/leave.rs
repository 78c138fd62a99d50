//! LeaveGroup: members that go, and say so.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::ClassicState;
use crate::conformance::ClassicGroupRule;
use crate::group::api::{Caller, Response, join_refused};
use crate::group::coordinator::{Context, Coordinator, Outcome, Written};
use crate::group::timers::Timer;
use crate::protocol::errors::NONE;

/// Before this version a request names one member, and the answer is about it.
const BATCHED_VERSION: i16 = 3;

impl Coordinator {
    /// Source: `GroupMetadataManager.classicGroupLeave`, `classicGroupLeaveToClassicGroup`.
    pub fn leave_group(&mut self, cx: Context<'_>, caller: &Caller, request: &LeaveGroupRequest) -> Outcome {
        let id = request.group_id.as_str();
        if id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        self.classic(id).ok_or(ResponseError::UnknownMemberId)?;
        let is_batched = caller.api_version >= BATCHED_VERSION;
        let alone = [MemberIdentity::default().with_member_id(request.member_id.clone())];
        let members = if is_batched { &request.members[..] } else { &alone[..] };
        let mut responses = Vec::new();
        for member in members {
            let code = self.leave(id, member).map_or_else(|error| error.code(), |()| NONE);
            responses.push(
                MemberResponse::default()
                    .with_member_id(member.member_id.clone())
                    .with_group_instance_id(member.group_instance_id.clone())
                    .with_error_code(code),
            );
        }
        let has_left = responses.iter().any(|response| response.error_code == NONE);
        let written = if has_left { self.rebalance_without_the_left(cx, id) } else { Written::nothing() };
        let response = match is_batched {
            true => LeaveGroupResponse::default().with_members(responses),
            false => LeaveGroupResponse::default().with_error_code(responses.first().map_or(NONE, |r| r.error_code)),
        };
        Ok(Written { answer: Some(Response::LeaveGroup(response)), ..written })
    }

    fn rebalance_without_the_left(&mut self, cx: Context<'_>, id: &str) -> Written {
        match self.classic(id).map(|group| group.state) {
            Some(ClassicState::Stable | ClassicState::CompletingRebalance)
                if ClassicGroupRule::LeavingRebalances.holds() =>
            {
                self.rebalance_or_complete_join(cx, id, "a member has left")
            }
            Some(ClassicState::PreparingRebalance) => self.complete_join_if_all_are_there(cx, id),
            _ => Written::nothing(),
        }
    }

    fn leave(&mut self, id: &str, member: &MemberIdentity) -> Result<(), ResponseError> {
        let Some(group) = self.classic_mut(id) else { return Err(ResponseError::UnknownMemberId) };
        let instance = member.group_instance_id.as_deref();
        let leaving = match (member.member_id.as_str(), instance) {
            // Somebody else removes a static member: an administrator, who knows no member id (KIP-345).
            ("", Some(instance)) => {
                group.static_members.get(instance).cloned().ok_or(ResponseError::UnknownMemberId)?
            }
            ("", None) => return Err(ResponseError::UnknownMemberId),
            (pending, _) if group.pending_joins.contains(pending) => pending.to_string(),
            (known, _) => {
                group.check_member(known, instance)?;
                known.to_string()
            }
        };
        self.timers.cancel(&Timer::Heartbeat { group: id.to_string(), member: leaving.clone() });
        self.answer_join(id, &leaving, join_refused("", ResponseError::UnknownMemberId));
        let removed = self.classic_mut(id).and_then(|group| group.remove(&leaving));
        if removed.is_some() {
            self.tell_member_removed(id, &leaving, "it left");
        }
        self.drop_questions_of(removed);
        Ok(())
    }
}
