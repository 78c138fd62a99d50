//! Heartbeat, and who has not sent one.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::ClassicState;
use crate::conformance::ClassicGroupRule;
use crate::group::api::Response;
use crate::group::coordinator::{Context, Coordinator, Outcome, Written};
use crate::group::timers::{Note, Timer};

impl Coordinator {
    /// Source: `GroupMetadataManager.classicGroupHeartbeat`.
    pub fn heartbeat(&mut self, cx: Context<'_>, request: &HeartbeatRequest) -> Outcome {
        let (id, member) = (request.group_id.as_str(), request.member_id.as_str());
        if id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let group = self.classic(id).ok_or(ResponseError::UnknownMemberId)?;
        group.check_member(member, request.group_instance_id.as_deref())?;
        if request.generation_id != group.generation && ClassicGroupRule::HeartbeatNamesTheGeneration.holds() {
            return Err(ResponseError::IllegalGeneration);
        }
        let state = group.state;
        self.reschedule_heartbeat(cx, id, member);
        let tells_to_join =
            state == ClassicState::PreparingRebalance && ClassicGroupRule::HeartbeatTellsOfARebalance.holds();
        let error = if tells_to_join { ResponseError::RebalanceInProgress.code() } else { 0 };
        Ok(Written::answer(Response::Heartbeat(HeartbeatResponse::default().with_error_code(error))))
    }

    /// The member has lived until now. Source: `GroupMetadataManager.rescheduleClassicGroupMemberHeartbeat`.
    pub fn reschedule_heartbeat(&mut self, cx: Context<'_>, group: &str, member: &str) {
        let Some(found) = self.classic(group).and_then(|group| group.member(member)) else { return };
        let timeout_ms = i64::from(found.session_timeout_ms);
        let timer = Timer::Heartbeat { group: group.to_string(), member: member.to_string() };
        self.set_timer(cx, timer, timeout_ms, Note::None);
    }

    /// A member was silent for its session timeout. One that waits for a rebalance to go on is not expected to say
    /// anything, unless it has never had an answer. Source: `GroupMetadataManager.expireClassicGroupMemberHeartbeat`.
    pub(super) fn on_heartbeat_timer(&mut self, cx: Context<'_>, id: &str, member: &str) -> Written {
        let Some(group) = self.classic_mut(id) else { return Written::nothing() };
        if group.pending_joins.remove(member) {
            let all_joined = group.state == ClassicState::PreparingRebalance && group.has_all_members_joined();
            return if all_joined { self.complete_join(cx, id) } else { Written::nothing() };
        }
        let Some(found) = group.members.get(member) else { return Written::nothing() };
        let waits = !found.is_new && found.waits();
        match waits && ClassicGroupRule::WaitingMembersDoNotExpire.holds() {
            true => Written::nothing(),
            false => self.remove_silent_member(cx, id, member),
        }
    }

    /// A timer of a group of the classic protocol.
    pub fn on_classic_timer(&mut self, cx: Context<'_>, timer: &Timer, note: Note) -> Written {
        match (timer, note) {
            (Timer::Heartbeat { group, member }, _) => self.on_heartbeat_timer(cx, group, member),
            (Timer::Join { group }, note) => self.on_join_timer(cx, group, note),
            (Timer::Sync { group }, Note::Of(generation)) => self.on_sync_timer(cx, group, generation),
            _ => Written::nothing(),
        }
    }
}
