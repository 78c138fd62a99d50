//! A static member comes again without knowing its member id: it takes the place of who it was.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse, SyncGroupResponse};

use super::{ClassicGroup, ClassicState};
use crate::conformance::ClassicGroupRule;
use crate::group::api::{AskId, Caller, Response, join_refused, optional_text, text};
use crate::group::coordinator::{Context, Coordinator, OnCommitted, Written};
use crate::zoo::Switch;

/// From this version on a leader can be told to leave the assignment as it is (KIP-814).
const SKIP_ASSIGNMENT_VERSION: i16 = 9;

/// A new member id that is being written, and what to go back to.
#[derive(Clone, Debug)]
pub struct RejoinWrite {
    group: String,
    instance: String,
    old_id: String,
    new_id: String,
    ask: AskId,
    api_version: i16,
    /// Who led before: older clients are told so, that they do not assign.
    leader_before: Option<String>,
    protocols_before: Vec<(String, Bytes)>,
    timeouts_before: (i32, i32),
}

impl Coordinator {
    /// In a stable group nothing changes but the member id, which is written: else a coordinator that comes after would
    /// take the living member for the fenced one. Source: KIP-345, KAFKA-10284,
    /// `GroupMetadataManager.updateStaticMemberThenRebalanceOrCompleteJoin`.
    pub(super) fn replace_static_member(
        &mut self,
        cx: Context<'_>,
        caller: &Caller,
        request: &JoinGroupRequest,
        old_id: &str,
        new_id: String,
    ) -> Written {
        let id = request.group_id.as_str();
        let instance = request.group_instance_id.as_deref().unwrap_or_default();
        let leader_before = self.classic(id).and_then(|group| group.leader.clone());
        self.fence_instance(id, instance, old_id, &new_id);
        self.tell_member_removed(id, old_id, format!("{new_id} came as the same static member"));
        self.reschedule_heartbeat(cx, id, &new_id);
        let Some(member) = self.classic(id).and_then(|group| group.member(&new_id)) else { return Written::nothing() };
        let (protocols_before, timeouts_before) =
            (member.protocols.clone(), (member.rebalance_timeout_ms, member.session_timeout_ms));
        self.update_member(id, &new_id, request, Some(caller.ask));
        let Some(group) = self.classic(id) else { return Written::nothing() };
        match group.state {
            ClassicState::Stable
                if group.select_protocol() == group.protocol_name
                    && ClassicGroupRule::StaticRejoinDoesNotRebalance.holds() =>
            {
                let write = RejoinWrite {
                    group: id.to_string(),
                    instance: instance.to_string(),
                    old_id: old_id.to_string(),
                    new_id,
                    ask: caller.ask,
                    api_version: caller.api_version,
                    leader_before,
                    protocols_before,
                    timeouts_before,
                };
                if self.zoo.on(Switch::StaticRejoinNotPersisted) {
                    self.on_rejoin_written(cx, write, Ok(()));
                    return Written::nothing();
                }
                let kept = |member: &str| group.member(member).map(|m| m.assignment.clone()).unwrap_or_default();
                Written::classic(vec![group.record(kept)], Some(OnCommitted::StaticRejoin(write)))
            }
            ClassicState::Stable | ClassicState::CompletingRebalance => {
                self.prepare_rebalance(cx, id, &format!("static member {instance} joins again"))
            }
            ClassicState::PreparingRebalance | ClassicState::Empty => self.complete_join_if_all_are_there(cx, id),
        }
    }

    /// Whoever has the instance id under the old member id is told that it is fenced. Source: `ClassicGroup.replaceStaticMember`.
    fn fence_instance(&mut self, id: &str, instance: &str, old_id: &str, new_id: &str) {
        self.answer_join(id, old_id, join_refused(old_id, ResponseError::FencedInstanceId));
        let fenced = SyncGroupResponse::default()
            .with_error_code(ResponseError::FencedInstanceId.code())
            .with_protocol_name(None)
            .with_protocol_type(None);
        self.answer_sync(id, old_id, fenced);
        let Some(group) = self.classic_mut(id) else { return };
        if let Some(mut member) = group.members.remove(old_id) {
            member.is_new = false;
            group.members.insert(new_id.to_string(), member);
        }
        if group.is_leader(old_id) {
            group.leader = Some(new_id.to_string());
        }
        group.static_members.insert(instance.to_string(), new_id.to_string());
    }

    /// The new member id is committed, or it never will be and the old one counts again.
    pub fn on_rejoin_written(&mut self, cx: Context<'_>, write: RejoinWrite, result: Result<(), ResponseError>) {
        let (id, new_id) = (write.group.as_str(), write.new_id.as_str());
        match result {
            Ok(()) => {
                let Some(group) = self.classic(id) else { return };
                let response = group.rejoined(&write);
                self.answer_join(id, new_id, response);
            }
            Err(error) => {
                let Some(group) = self.classic_mut(id) else { return };
                // The same static member came once more meanwhile: that one counts, and this one was told that it is fenced
                // (`ClassicGroup.replaceStaticMember` does not find it).
                if group.member(new_id).is_none() {
                    return;
                }
                let refused = group.rejoined(&write).with_member_id(text("")).with_error_code(error.code());
                let refused = refused.with_leader(text(write.leader_before.as_deref().unwrap_or_default()));
                if let Some(member) = group.members.get_mut(new_id) {
                    member.protocols.clone_from(&write.protocols_before);
                    (member.rebalance_timeout_ms, member.session_timeout_ms) = write.timeouts_before;
                    member.parked_join = None;
                }
                self.fence_instance(id, &write.instance, new_id, &write.old_id);
                self.reschedule_heartbeat(cx, id, &write.old_id);
                self.answer(
                    write.ask,
                    Response::JoinGroup(refused.with_members(Vec::new()).with_skip_assignment(false)),
                );
            }
        }
    }
}

impl ClassicGroup {
    /// A leader that can be told so leaves the assignment as it is, and is told the members for what it watches; one that
    /// cannot be is told that another leads. Source: KIP-814.
    fn rejoined(&self, write: &RejoinWrite) -> JoinGroupResponse {
        let can_skip = write.api_version >= SKIP_ASSIGNMENT_VERSION;
        let leads =
            can_skip && self.is_leader(&write.new_id) && ClassicGroupRule::RejoinedLeaderSkipsAssignment.holds();
        let leader = if can_skip { self.leader.as_deref() } else { write.leader_before.as_deref() };
        JoinGroupResponse::default()
            .with_members(if leads { self.subscriptions() } else { Vec::new() })
            .with_member_id(text(&write.new_id))
            .with_generation_id(self.generation)
            .with_protocol_name(optional_text(self.protocol_name.as_deref()))
            .with_protocol_type(optional_text(self.protocol_type.as_deref()))
            .with_leader(text(leader.unwrap_or_default()))
            .with_skip_assignment(leads)
    }
}
