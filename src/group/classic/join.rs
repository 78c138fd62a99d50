//! JoinGroup: who comes, under which id, and does the group have to begin anew for it?

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::JoinGroupRequest;
use uuid::Uuid;

use super::{ClassicGroup, ClassicMember, ClassicState};
use crate::conformance::ClassicGroupRule;
use crate::group::api::{AskId, Caller, Response, join_refused};
use crate::group::coordinator::{Context, Coordinator, Group, OnCommitted, Outcome, Written};
use crate::group::records::Record;
use crate::group::timers::{Note, Timer};

/// From this version on a member comes twice: once for an id, once with it (KIP-394).
const KNOWN_MEMBER_ID_VERSION: i16 = 4;

impl Coordinator {
    /// Source: `GroupCoordinatorService.joinGroup`, `GroupMetadataManager.classicGroupJoin`.
    pub fn join_group(&mut self, cx: Context<'_>, caller: &Caller, request: &JoinGroupRequest) -> Outcome {
        let member = request.member_id.as_str();
        if request.group_id.is_empty() {
            return Ok(self.refuse_join(caller.ask, member, ResponseError::InvalidGroupId));
        }
        let timeouts = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        if !timeouts.contains(&request.session_timeout_ms) && ClassicGroupRule::SessionTimeoutIsWithinBounds.holds() {
            return Ok(self.refuse_join(caller.ask, member, ResponseError::InvalidSessionTimeout));
        }
        let id = request.group_id.as_str();
        let mut records = Vec::new();
        match self.groups.get(id) {
            // Kafka lets such a member into the group. That is not modelled: see the module documentation of the room.
            Some(Group::Consumer(group)) if !group.is_empty() => {
                return Ok(self.refuse_join(caller.ask, member, ResponseError::InconsistentGroupProtocol));
            }
            Some(group @ Group::Consumer(_)) => {
                Self::group_tombstones(id, group, &mut records);
                self.groups.remove(self.written, &id.to_string());
            }
            _ => {}
        }
        let is_new_group = self.groups.get(id).is_none();
        if self.classic_or_new(cx, id, member.is_empty()).is_err() {
            return Ok(self.refuse_join(caller.ask, member, ResponseError::UnknownMemberId));
        }
        let written = self.join_classic_group(cx, caller, request)?;
        if is_new_group && written.is_nothing() && ClassicGroupRule::NewGroupIsWritten.holds() {
            records.extend(self.classic(id).map(ClassicGroup::empty_record));
            return Ok(Written::classic(records, Some(OnCommitted::NewGroup)));
        }
        Ok(written)
    }

    fn join_classic_group(&mut self, cx: Context<'_>, caller: &Caller, request: &JoinGroupRequest) -> Outcome {
        let id = request.group_id.as_str();
        let max_size = usize::try_from(self.config.max_size).unwrap_or(0);
        let Some(group) = self.classic_mut(id) else { return Err(ResponseError::GroupIdNotFound) };
        let accepted = group.accepts(&request.member_id, max_size) || !ClassicGroupRule::GroupHasAMaxSize.holds();
        if !accepted {
            group.remove(&request.member_id);
            return Ok(self.refuse_join(caller.ask, "", ResponseError::GroupMaxSizeReached));
        }
        if !group.supports(&request.protocol_type, &request.protocols)
            && ClassicGroupRule::MembersHaveAProtocolInCommon.holds()
        {
            return Ok(self.refuse_join(caller.ask, &request.member_id, ResponseError::InconsistentGroupProtocol));
        }
        match request.member_id.is_empty() {
            true => self.join_new_member(cx, caller, request),
            false => self.join_known_member(cx, caller, request),
        }
    }

    fn refuse_join(&mut self, ask: AskId, member: &str, error: ResponseError) -> Written {
        self.answer(ask, Response::JoinGroup(join_refused(member, error)));
        Written::nothing()
    }

    /// Source: `GroupMetadataManager.classicGroupJoinNewMember`.
    fn join_new_member(&mut self, cx: Context<'_>, caller: &Caller, request: &JoinGroupRequest) -> Outcome {
        let id = request.group_id.as_str();
        let instance = request.group_instance_id.as_deref();
        let new_id = new_member_id(instance.unwrap_or(&caller.client_id), caller.fresh_id);
        let Some(instance) = instance else { return Ok(self.join_new_dynamic_member(cx, caller, request, new_id)) };
        let known = self.classic(id).and_then(|group| group.static_members.get(instance)).cloned();
        match known {
            Some(old) if ClassicGroupRule::StaticMemberIsReplaced.holds() => {
                Ok(self.replace_static_member(cx, caller, request, &old, new_id))
            }
            _ => Ok(self.add_member(cx, caller, request, &new_id)),
        }
    }

    /// A member that does not know its id is not a member yet: else each retry of a lost answer would leave another behind.
    /// Source: KIP-394, `GroupMetadataManager.classicGroupJoinNewDynamicMember`.
    fn join_new_dynamic_member(
        &mut self,
        cx: Context<'_>,
        caller: &Caller,
        request: &JoinGroupRequest,
        new_id: String,
    ) -> Written {
        let comes_again =
            caller.api_version >= KNOWN_MEMBER_ID_VERSION && ClassicGroupRule::MemberIdIsGivenFirst.holds();
        if !comes_again {
            return self.add_member(cx, caller, request, &new_id);
        }
        let id = request.group_id.as_str();
        if let Some(group) = self.classic_mut(id) {
            group.pending_joins.insert(new_id.clone());
        }
        let timer = Timer::Heartbeat { group: id.to_string(), member: new_id.clone() };
        self.set_timer(cx, timer, i64::from(request.session_timeout_ms), Note::None);
        self.refuse_join(caller.ask, &new_id, ResponseError::MemberIdRequired)
    }

    /// Source: `GroupMetadataManager.classicGroupJoinExistingMember`.
    fn join_known_member(&mut self, cx: Context<'_>, caller: &Caller, request: &JoinGroupRequest) -> Outcome {
        let (id, member_id) = (request.group_id.as_str(), request.member_id.as_str());
        let Some(group) = self.classic(id) else { return Err(ResponseError::GroupIdNotFound) };
        if group.pending_joins.contains(member_id) {
            // Only dynamic members are given an id first.
            return match request.group_instance_id {
                Some(_) => Err(ResponseError::UnknownServerError),
                None => Ok(self.add_member(cx, caller, request, member_id)),
            };
        }
        if let Err(error) = group.check_member(member_id, request.group_instance_id.as_deref()) {
            return Ok(self.refuse_join(caller.ask, member_id, error));
        }
        let Some(member) = group.members.get(member_id) else { return Err(ResponseError::UnknownMemberId) };
        let says_the_same = member.matches(&request.protocols);
        let needs_rebalance = match group.state {
            ClassicState::PreparingRebalance => true,
            ClassicState::CompletingRebalance => !says_the_same,
            // The leader comes when it has seen other partitions or wants to assign anew.
            ClassicState::Stable => {
                !says_the_same || (group.is_leader(member_id) && ClassicGroupRule::LeaderRejoinsForARebalance.holds())
            }
            ClassicState::Empty => {
                return Ok(self.refuse_join(caller.ask, member_id, ResponseError::UnknownMemberId));
            }
        };
        if needs_rebalance {
            self.update_member(id, member_id, request, Some(caller.ask));
            let why = format!("member {member_id} joins again");
            return Ok(self.rebalance_or_complete_join(cx, id, &why));
        }
        // It has missed the answer to its join: it is told what it would have been.
        let tells_members = group.state == ClassicState::CompletingRebalance;
        let response = group.joined(member_id, tells_members);
        self.answer(caller.ask, Response::JoinGroup(response));
        Ok(Written::nothing())
    }

    /// Source: `GroupMetadataManager.addMemberThenRebalanceOrCompleteJoin`.
    fn add_member(&mut self, cx: Context<'_>, caller: &Caller, request: &JoinGroupRequest, member_id: &str) -> Written {
        let id = request.group_id.as_str();
        let member = ClassicMember {
            instance: request.group_instance_id.as_deref().map(str::to_string),
            client_id: caller.client_id.clone(),
            client_host: caller.client_host.clone(),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols.iter().map(|p| (p.name.to_string(), p.metadata.clone())).collect(),
            assignment: bytes::Bytes::new(),
            parked_join: Some(caller.ask),
            parked_sync: None,
            is_new: true,
        };
        let Some(group) = self.classic_mut(id) else { return Written::nothing() };
        if group.state == ClassicState::PreparingRebalance && group.previous_state == Some(ClassicState::Empty) {
            group.new_member_added = true;
        }
        group.add(member_id, &request.protocol_type, member);
        // Its client may have gone before its first answer: it is not waited for as long as a rebalance may take.
        let timer = Timer::Heartbeat { group: id.to_string(), member: member_id.to_string() };
        self.set_timer(cx, timer, i64::from(self.config.new_member_join_timeout_ms), Note::None);
        self.rebalance_or_complete_join(cx, id, &format!("member {member_id} joins"))
    }

    /// What a member says now counts; its question waits in place of an earlier one. Source: `ClassicGroup.updateMember`.
    pub(super) fn update_member(
        &mut self,
        group: &str,
        member_id: &str,
        request: &JoinGroupRequest,
        ask: Option<AskId>,
    ) {
        let Some(member) = self.classic_mut(group).and_then(|group| group.members.get_mut(member_id)) else { return };
        member.protocols = request.protocols.iter().map(|p| (p.name.to_string(), p.metadata.clone())).collect();
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        let before = std::mem::replace(&mut member.parked_join, ask);
        if let Some(before) = before.filter(|before| Some(*before) != ask) {
            self.answers.abandon(before);
        }
    }
}

impl ClassicGroup {
    /// Is there room? Who is waiting for this rebalance already has its place.
    /// Source: KIP-389, `GroupMetadataManager.acceptJoiningMember`.
    fn accepts(&self, member: &str, max_size: usize) -> bool {
        let known = self.members.get(member);
        match self.state {
            ClassicState::Empty => true,
            ClassicState::PreparingRebalance => {
                known.is_some_and(|member| member.parked_join.is_some()) || self.parked_joins() < max_size
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                known.is_some() || self.members.len() < max_size
            }
        }
    }
    /// A group before its first generation: written so that a coordinator that comes after knows of it.
    fn empty_record(&self) -> Record {
        Record::ClassicGroup {
            group: self.id.clone(),
            value: Some(crate::group::records::ClassicGroupValue {
                protocol_type: String::new(),
                generation: 0,
                protocol: None,
                leader: None,
                current_state_timestamp: self.state_since.unwrap_or(-1),
                members: Vec::new(),
            }),
        }
    }
}

/// `ClassicGroup.generateMemberId`: the instance id or the client id, and something random.
fn new_member_id(prefix: &str, fresh: Uuid) -> String {
    format!("{prefix}-{}", fresh.hyphenated())
}
