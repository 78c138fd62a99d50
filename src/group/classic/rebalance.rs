//! A rebalance, from its beginning to a new generation.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};

use super::{ClassicGroup, ClassicMember, ClassicState};
use crate::conformance::ClassicGroupRule;
use crate::event::Event;
use crate::group::api::{Response, join_refused, optional_text, text};
use crate::group::coordinator::{Context, Coordinator, Written};
use crate::group::records::{ClassicGroupValue, ClassicMemberValue, Record};
use crate::group::shard::Happened;
use crate::group::timers::{Note, Timer};

impl Coordinator {
    /// Source: `GroupMetadataManager.maybePrepareRebalanceOrCompleteJoin`.
    pub(super) fn rebalance_or_complete_join(&mut self, cx: Context<'_>, id: &str, why: &str) -> Written {
        match self.classic(id).map(ClassicGroup::state) {
            Some(ClassicState::PreparingRebalance) => self.complete_join_if_all_are_there(cx, id),
            Some(_) => self.prepare_rebalance(cx, id, why),
            None => Written::nothing(),
        }
    }

    /// Members that wait for an assignment are told to join; a group that was empty waits a while for others.
    /// Source: `GroupMetadataManager.prepareRebalance`.
    pub(super) fn prepare_rebalance(&mut self, cx: Context<'_>, id: &str, why: &str) -> Written {
        let initial_delay_ms = self.config.initial_rebalance_delay_ms;
        if self.classic(id).is_some_and(|group| group.state == ClassicState::CompletingRebalance) {
            self.reset_assignment(cx, id, ResponseError::RebalanceInProgress);
        }
        self.timers.cancel(&Timer::Sync { group: id.to_string() });
        let Some(group) = self.classic_mut(id) else { return Written::nothing() };
        group.pending_syncs.clear();
        let is_initial = group.state == ClassicState::Empty && ClassicGroupRule::FirstMemberWaitsForOthers.holds();
        let timeout_ms = group.rebalance_timeout_ms();
        group.transition(ClassicState::PreparingRebalance, cx.now.wall);
        let (group_id, generation) = (group.id.clone(), group.generation);
        let all_are_there = group.has_all_members_joined();
        let event = Event::GroupRebalancing { group: group_id, generation, why: why.to_string() };
        self.happened.push(Happened { event, if_written: false });
        if is_initial {
            let remaining_ms = (timeout_ms - initial_delay_ms).max(0);
            let note = Note::InitialDelay { delay_ms: initial_delay_ms, remaining_ms };
            self.set_timer(cx, Timer::Join { group: id.to_string() }, i64::from(initial_delay_ms), note);
            return Written::nothing();
        }
        if all_are_there {
            return self.complete_join(cx, id);
        }
        self.set_timer(cx, Timer::Join { group: id.to_string() }, i64::from(timeout_ms), Note::None);
        Written::nothing()
    }

    /// The first rebalance is not completed early: others are expected. Source: `GroupMetadataManager.maybeCompleteJoinPhase`.
    pub(super) fn complete_join_if_all_are_there(&mut self, cx: Context<'_>, id: &str) -> Written {
        let Some(group) = self.classic(id) else { return Written::nothing() };
        let is_initial =
            group.previous_state == Some(ClassicState::Empty) && ClassicGroupRule::FirstMemberWaitsForOthers.holds();
        let is_preparing = group.state == ClassicState::PreparingRebalance;
        match is_preparing && !is_initial && group.has_all_members_joined() {
            true => self.complete_join(cx, id),
            false => Written::nothing(),
        }
    }

    /// The time to join is over. Source: `GroupMetadataManager.tryCompleteInitialRebalanceElseSchedule`.
    pub(super) fn on_join_timer(&mut self, cx: Context<'_>, id: &str, note: Note) -> Written {
        let most_ms = self.config.initial_rebalance_delay_ms;
        let Some(group) = self.classic_mut(id) else { return Written::nothing() };
        match note {
            Note::InitialDelay { delay_ms, remaining_ms }
                if group.new_member_added
                    && remaining_ms != 0
                    && ClassicGroupRule::EachNewMemberProlongsTheWait.holds() =>
            {
                group.new_member_added = false;
                let next_ms = most_ms.min(remaining_ms);
                let note = Note::InitialDelay { delay_ms: next_ms, remaining_ms: (remaining_ms - delay_ms).max(0) };
                self.set_timer(cx, Timer::Join { group: id.to_string() }, i64::from(next_ms), note);
                Written::nothing()
            }
            _ => self.complete_join(cx, id),
        }
    }

    /// A generation begins with those who have come. Static members may be away for their session timeout.
    /// Source: `GroupMetadataManager.completeClassicGroupJoin`.
    pub(super) fn complete_join(&mut self, cx: Context<'_>, id: &str) -> Written {
        self.timers.cancel(&Timer::Join { group: id.to_string() });
        self.remove_absent_members(id);
        let Some(group) = self.classic_mut(id) else { return Written::nothing() };
        if !group.members.is_empty() && !group.elect_joined_leader() {
            let timeout_ms = i64::from(group.rebalance_timeout_ms());
            self.set_timer(cx, Timer::Join { group: id.to_string() }, timeout_ms, Note::None);
            return Written::nothing();
        }
        group.next_generation(cx.now.wall);
        if group.state == ClassicState::Empty {
            let record = group.record(|_| Bytes::new());
            return Written::classic(vec![record], None);
        }
        let group = &*group;
        let responses: Vec<(String, JoinGroupResponse)> =
            group.members.keys().map(|member| (member.clone(), group.joined(member, true))).collect();
        let timeout_ms = i64::from(group.rebalance_timeout_ms());
        for (member, response) in responses {
            self.answer_join(id, &member, response);
            self.reschedule_heartbeat(cx, id, &member);
            if let Some(group) = self.classic_mut(id) {
                group.pending_syncs.insert(member.clone());
                if let Some(member) = group.members.get_mut(&member) {
                    member.is_new = false;
                }
            }
        }
        let note = Note::Of(self.classic(id).map_or(0, |group| group.generation));
        self.set_timer(cx, Timer::Sync { group: id.to_string() }, timeout_ms, note);
        Written::nothing()
    }

    fn remove_absent_members(&mut self, id: &str) {
        let keeps_static = ClassicGroupRule::StaticMembersOutliveARebalance.holds();
        let Some(group) = self.classic_mut(id) else { return };
        let is_absent =
            |member: &ClassicMember| member.parked_join.is_none() && !(member.instance.is_some() && keeps_static);
        let absent: Vec<String> =
            group.members.iter().filter(|(_, m)| is_absent(m)).map(|(id, _)| id.clone()).collect();
        for member in absent {
            let removed = self.classic_mut(id).and_then(|group| group.remove(&member));
            self.tell_member_removed(id, &member, "it did not join in time");
            self.timers.cancel(&Timer::Heartbeat { group: id.to_string(), member });
            self.drop_questions_of(removed);
        }
    }

    /// A member is gone with what it asked for: Kafka answers such questions never.
    pub(super) fn drop_questions_of(&mut self, removed: Option<ClassicMember>) {
        for ask in removed.iter().flat_map(|member| [member.parked_join, member.parked_sync]).flatten() {
            self.answers.abandon(ask);
        }
    }

    /// Answers a join that waits, if one does (`ClassicGroup.completeJoinFuture`).
    pub(super) fn answer_join(&mut self, group: &str, member: &str, response: JoinGroupResponse) {
        let member = self.classic_mut(group).and_then(|group| group.members.get_mut(member));
        if let Some(ask) = member.and_then(|member| member.parked_join.take()) {
            self.answer(ask, Response::JoinGroup(response));
        }
    }
    /// Answers a sync that waits, if one does (`ClassicGroup.completeSyncFuture`).
    pub(super) fn answer_sync(&mut self, group: &str, member: &str, response: SyncGroupResponse) -> bool {
        let member = self.classic_mut(group).and_then(|group| group.members.get_mut(member));
        let ask = member.and_then(|member| member.parked_sync.take());
        if let Some(ask) = ask {
            self.answer(ask, Response::SyncGroup(response));
        }
        ask.is_some()
    }

    /// Nobody has an assignment, and whoever waits for one is told why.
    /// Source: `GroupMetadataManager.resetAndPropagateAssignmentWithError`.
    pub(super) fn reset_assignment(&mut self, cx: Context<'_>, id: &str, error: ResponseError) {
        let Some(group) = self.classic_mut(id) else { return };
        for member in group.members.values_mut() {
            member.assignment = Bytes::new();
        }
        self.propagate_assignment(cx, id, Some(error));
    }
    /// Whoever waits for its assignment gets it. Source: `GroupMetadataManager.propagateAssignment`.
    pub(super) fn propagate_assignment(&mut self, cx: Context<'_>, id: &str, error: Option<ResponseError>) {
        let Some(group) = self.classic(id) else { return };
        let responses: Vec<(String, SyncGroupResponse)> =
            group.members.keys().map(|member| (member.clone(), group.synced(member, error))).collect();
        for (member, response) in responses {
            if self.answer_sync(id, &member, response) {
                self.reschedule_heartbeat(cx, id, &member);
            }
        }
    }

    /// A member was silent for too long. Source: `GroupMetadataManager.removeMemberAndUpdateClassicGroup`.
    pub(super) fn remove_silent_member(&mut self, cx: Context<'_>, id: &str, member: &str) -> Written {
        let why = "it was silent for its session timeout";
        self.answer_join(id, member, join_refused("", ResponseError::UnknownMemberId));
        let removed = self.classic_mut(id).and_then(|group| group.remove(member));
        self.tell_member_removed(id, member, why);
        self.drop_questions_of(removed);
        let Some(group) = self.classic(id) else { return Written::nothing() };
        match group.state {
            ClassicState::Stable | ClassicState::CompletingRebalance => {
                self.rebalance_or_complete_join(cx, id, &format!("member {member} is removed"))
            }
            ClassicState::PreparingRebalance if group.has_all_members_joined() => self.complete_join(cx, id),
            _ => Written::nothing(),
        }
    }
}

impl ClassicGroup {
    /// The answer to a join of this generation. The leader gets what all members have said.
    pub(super) fn joined(&self, member: &str, tells_members: bool) -> JoinGroupResponse {
        let tells_members = tells_members && self.is_leader(member);
        JoinGroupResponse::default()
            .with_members(if tells_members { self.subscriptions() } else { Vec::new() })
            .with_member_id(text(member))
            .with_generation_id(self.generation)
            .with_protocol_name(optional_text(self.protocol_name.as_deref()))
            .with_protocol_type(optional_text(self.protocol_type.as_deref()))
            .with_leader(text(self.leader.as_deref().unwrap_or_default()))
            .with_skip_assignment(false)
    }
    pub(super) fn subscriptions(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let one = |(id, member): (&String, &ClassicMember)| {
            JoinGroupResponseMember::default()
                .with_member_id(text(id))
                .with_group_instance_id(optional_text(member.instance.as_deref()))
                .with_metadata(member.metadata(protocol))
        };
        self.members.iter().map(one).collect()
    }
    pub(super) fn synced(&self, member: &str, error: Option<ResponseError>) -> SyncGroupResponse {
        let assignment = self.members.get(member).map(|member| member.assignment.clone()).unwrap_or_default();
        let response = SyncGroupResponse::default().with_assignment(assignment);
        match error {
            Some(error) => response.with_error_code(error.code()).with_protocol_name(None).with_protocol_type(None),
            None => response
                .with_protocol_name(optional_text(self.protocol_name.as_deref()))
                .with_protocol_type(optional_text(self.protocol_type.as_deref())),
        }
    }
    /// The generation as a record. Source: `GroupCoordinatorRecordHelpers.newGroupMetadataRecord`.
    pub(super) fn record(&self, assignment: impl Fn(&str) -> Bytes) -> Record {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let one = |(id, member): (&String, &ClassicMember)| ClassicMemberValue {
            member_id: id.clone(),
            group_instance_id: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: assignment(id),
        };
        Record::ClassicGroup {
            group: self.id.clone(),
            value: Some(ClassicGroupValue {
                protocol_type: self.protocol_type.clone().unwrap_or_default(),
                generation: self.generation,
                protocol: self.protocol_name.clone(),
                leader: self.leader.clone(),
                current_state_timestamp: self.state_since.unwrap_or(-1),
                members: self.members.iter().map(one).collect(),
            }),
        }
    }
}
