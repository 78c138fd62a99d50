//! SyncGroup: the leader brings the assignment, and everybody gets a part of it once it is committed.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::{ClassicGroup, ClassicState};
use crate::conformance::ClassicGroupRule;
use crate::group::api::{AskId, Caller, Response};
use crate::group::coordinator::{Context, Coordinator, OnCommitted, Outcome, Written};
use crate::group::timers::Timer;

/// An assignment that is being written.
#[derive(Clone, Debug)]
pub struct AssignmentWrite {
    group: String,
    generation: i32,
    assignment: BTreeMap<String, Bytes>,
}

impl Coordinator {
    /// Source: `GroupMetadataManager.classicGroupSync`, `classicGroupSyncToClassicGroup`.
    pub fn sync_group(&mut self, caller: &Caller, request: &SyncGroupRequest) -> Outcome {
        let (id, member_id) = (request.group_id.as_str(), request.member_id.as_str());
        if id.is_empty() {
            return Ok(self.refuse_sync(caller.ask, ResponseError::InvalidGroupId));
        }
        let Some(group) = self.classic(id).filter(|group| !group.is_empty()) else {
            return Ok(self.refuse_sync(caller.ask, ResponseError::UnknownMemberId));
        };
        if let Err(error) = group.check_sync(request) {
            return Ok(self.refuse_sync(caller.ask, error));
        }
        match group.state {
            ClassicState::Empty => Ok(self.refuse_sync(caller.ask, ResponseError::UnknownMemberId)),
            ClassicState::PreparingRebalance => Ok(self.refuse_sync(caller.ask, ResponseError::RebalanceInProgress)),
            ClassicState::CompletingRebalance => {
                let is_leader = group.is_leader(member_id);
                self.park_sync(id, member_id, caller.ask);
                self.has_synced(id, member_id);
                Ok(if is_leader { self.write_assignment(request) } else { Written::nothing() })
            }
            ClassicState::Stable => {
                let response = group.synced(member_id, None);
                self.has_synced(id, member_id);
                self.answer(caller.ask, Response::SyncGroup(response));
                Ok(Written::nothing())
            }
        }
    }

    fn refuse_sync(&mut self, ask: AskId, error: ResponseError) -> Written {
        let response = SyncGroupResponse::default().with_error_code(error.code());
        self.answer(ask, Response::SyncGroup(response));
        Written::nothing()
    }

    fn park_sync(&mut self, group: &str, member: &str, ask: AskId) {
        let Some(member) = self.classic_mut(group).and_then(|group| group.members.get_mut(member)) else { return };
        if let Some(before) = member.parked_sync.replace(ask) {
            self.answers.abandon(before);
        }
    }

    /// Source: `GroupMetadataManager.removePendingSyncMember`.
    fn has_synced(&mut self, id: &str, member: &str) {
        let Some(group) = self.classic_mut(id) else { return };
        group.pending_syncs.remove(member);
        if group.pending_syncs.is_empty() {
            self.timers.cancel(&Timer::Sync { group: id.to_string() });
        }
    }

    /// A member that the leader has left out gets nothing. The assignment counts once it is committed: a coordinator that
    /// comes after would not know of it before.
    fn write_assignment(&mut self, request: &SyncGroupRequest) -> Written {
        let Some(group) = self.classic(&request.group_id) else { return Written::nothing() };
        let given: BTreeMap<&str, &Bytes> =
            request.assignments.iter().map(|a| (a.member_id.as_str(), &a.assignment)).collect();
        let of = |member: &str| given.get(member).map(|bytes| Bytes::clone(bytes)).unwrap_or_default();
        let assignment = group.members.keys().map(|member| (member.clone(), of(member))).collect();
        let write = AssignmentWrite { group: group.id.clone(), generation: group.generation, assignment };
        Written::classic(vec![group.record(of)], Some(OnCommitted::Assignment(write)))
    }

    /// The assignment is committed, or it never will be. A group that has gone on since does not care.
    pub fn on_assignment_written(
        &mut self,
        cx: Context<'_>,
        write: AssignmentWrite,
        result: Result<(), ResponseError>,
    ) {
        let Some(group) = self.classic_mut(&write.group) else { return };
        let is_waited_for = group.state == ClassicState::CompletingRebalance
            && (group.generation == write.generation || !ClassicGroupRule::OldAssignmentIsNotTold.holds());
        if !is_waited_for {
            return;
        }
        match result {
            Ok(()) => {
                for (id, member) in &mut group.members {
                    member.assignment = write.assignment.get(id).cloned().unwrap_or_default();
                }
                group.transition(ClassicState::Stable, cx.now.wall);
                self.propagate_assignment(cx, &write.group, None);
            }
            Err(error) => {
                self.reset_assignment(cx, &write.group, error);
                // A group with members never completes a join at once here, so there is nothing to write.
                let _ = self.rebalance_or_complete_join(cx, &write.group, "the assignment could not be written");
            }
        }
    }

    /// Who has not asked for its assignment in time is no member. Source: `GroupMetadataManager.expirePendingSync`.
    pub(super) fn on_sync_timer(&mut self, cx: Context<'_>, id: &str, generation: i32) -> Written {
        let Some(group) = self.classic_mut(id) else { return Written::nothing() };
        let is_settled = matches!(group.state, ClassicState::CompletingRebalance | ClassicState::Stable);
        if group.generation != generation || !is_settled || group.pending_syncs.is_empty() {
            return Written::nothing();
        }
        if !ClassicGroupRule::MembersThatDoNotSyncAreRemoved.holds() {
            return Written::nothing();
        }
        for member in std::mem::take(&mut group.pending_syncs) {
            let removed = self.classic_mut(id).and_then(|group| group.remove(&member));
            self.tell_member_removed(id, &member, "it did not ask for its assignment in time");
            self.timers.cancel(&Timer::Heartbeat { group: id.to_string(), member });
            self.drop_questions_of(removed);
        }
        self.prepare_rebalance(cx, id, "a member did not ask for its assignment in time")
    }
}

impl ClassicGroup {
    /// Source: `GroupMetadataManager.validateSyncGroup`.
    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ResponseError> {
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation && ClassicGroupRule::SyncNamesTheGeneration.holds() {
            return Err(ResponseError::IllegalGeneration);
        }
        let differs = |asked: Option<&str>, own: Option<&str>| asked.is_some() && own.is_some() && asked != own;
        let is_other = differs(request.protocol_type.as_deref(), self.protocol_type.as_deref())
            || differs(request.protocol_name.as_deref(), self.protocol_name.as_deref());
        match is_other && ClassicGroupRule::SyncNamesTheProtocol.holds() {
            true => Err(ResponseError::InconsistentGroupProtocol),
            false => Ok(()),
        }
    }
}
