//! A member goes: because it says so, because it is silent, or because it does not give back what it is to.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use std::collections::BTreeSet;

use super::metadata_hash::metadata_hash;
use super::{ConsumerGroup, ConsumerMember, LEAVE_STATIC, MemberState};
use crate::conformance::ConsumerGroupRule;
use crate::event::Event;
use crate::group::api::{Response, text};
use crate::group::coordinator::{Context, Coordinator, Group, Outcome, Written};
use crate::group::records::{GroupEpochValue, Partitions, Record};
use crate::group::shard::Happened;
use crate::group::timers::{Note, Timer};

impl Coordinator {
    /// A static member that will come again keeps what it has. Source: `GroupMetadataManager.consumerGroupLeave`.
    pub(super) fn consumer_leave(&mut self, cx: Context<'_>, request: &ConsumerGroupHeartbeatRequest) -> Outcome {
        let group = self.consumer(&request.group_id).ok_or(ResponseError::GroupIdNotFound)?;
        let member_id = request.member_id.as_str();
        let member = match request.instance_id.as_deref() {
            None => group.members.get(member_id).ok_or(ResponseError::UnknownMemberId)?,
            Some(instance) => {
                let member = group.static_member(instance).ok_or(ResponseError::UnknownMemberId)?;
                if member.id != member_id {
                    return Err(ResponseError::FencedInstanceId);
                }
                member
            }
        };
        let response = ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(text(member_id)))
            .with_member_epoch(request.member_epoch);
        let response = Some(Response::ConsumerGroupHeartbeat(response));
        let comes_again =
            request.member_epoch == LEAVE_STATIC && ConsumerGroupRule::StaticMemberKeepsItsAssignment.holds();
        if comes_again {
            let away = ConsumerMember { epoch: LEAVE_STATIC, pending_revocation: Partitions::new(), ..member.clone() };
            return Ok(Written::records(vec![away.assignment_record(&group.id)], response));
        }
        let (group, member) = (group.id.clone(), member.id.clone());
        Ok(Written { answer: response, ..self.fence_member(cx, &group, &member, "it left") })
    }

    /// The member is removed, and the others are to have what it had. Source: `GroupMetadataManager.consumerGroupFenceMember`.
    fn fence_member(&mut self, cx: Context<'_>, id: &str, member_id: &str, why: &str) -> Written {
        let Some(group) = self.consumer(id) else { return Written::nothing() };
        let Some(member) = group.members.get(member_id) else { return Written::nothing() };
        let mut records = Vec::new();
        group.remove_member_records(member_id, &mut records);
        let regex = member.subscribed_topic_regex.as_deref().filter(|regex| !regex.is_empty());
        if let Some(regex) = regex.filter(|regex| group.subscribers_of(regex) == 1) {
            let expression = regex.to_string();
            records.push(Record::RegularExpression { group: id.to_string(), expression, value: None });
        }
        let others = group.members.values().filter(|other| other.id != member_id);
        let names: BTreeSet<&str> = others.flat_map(|other| group.topics_of(other)).collect();
        let bump = i32::from(ConsumerGroupRule::LeavingRaisesTheEpoch.holds());
        let value = GroupEpochValue { epoch: group.epoch + bump, metadata_hash: metadata_hash(names, cx.metadata) };
        records.push(Record::GroupEpoch { group: id.to_string(), value: Some(value) });
        let (of, gone) = (id.to_string(), member_id.to_string());
        let event = Event::MemberRemoved { group: of, member: gone, why: why.to_string() };
        self.happened.push(Happened { event, if_written: true });
        for timer in [session(id, member_id), rebalance(id, member_id)] {
            self.timers.cancel(&timer);
        }
        Written::records(records, None)
    }

    /// A timer of a group of the consumer protocol. A member that has gone an epoch on since has given back in time.
    /// Source: `GroupMetadataManager.schedule*Timeout`.
    pub fn on_consumer_timer(&mut self, cx: Context<'_>, timer: &Timer, note: Note) -> Written {
        match (timer, note) {
            (Timer::Session { group, member }, _) if ConsumerGroupRule::SilentMembersAreFenced.holds() => {
                self.fence_member(cx, group, member, "it was silent for its session timeout")
            }
            (Timer::Rebalance { group, member }, Note::Of(epoch)) => {
                let found = self.consumer(group).and_then(|group| group.members.get(member));
                let is_late = found.is_some_and(|member| member.epoch == epoch);
                match is_late && ConsumerGroupRule::SlowMembersAreFenced.holds() {
                    true => self.fence_member(cx, group, member, "it did not give its partitions back in time"),
                    false => Written::nothing(),
                }
            }
            (Timer::Expressions { group }, _) => self.on_expressions_timer(cx, group),
            _ => Written::nothing(),
        }
    }

    /// Every member has its session timeout from now on, and its time to give back. Source: `GroupMetadataManager.onLoaded`.
    pub fn on_consumer_group_loaded(&mut self, cx: Context<'_>, id: &str) {
        let Some(Group::Consumer(group)) = self.groups.get(id) else { return };
        let members: Vec<(String, MemberState, i32, i32)> =
            group.members.values().map(|m| (m.id.clone(), m.state, m.rebalance_timeout_ms, m.epoch)).collect();
        let session_ms = i64::from(self.config.consumer_session_timeout_ms);
        for (member, state, timeout_ms, epoch) in members {
            if ConsumerGroupRule::LoadedMembersAreWatched.holds() {
                self.set_timer(cx, session(id, &member), session_ms, Note::None);
            }
            if state == MemberState::UnrevokedPartitions {
                self.set_timer(cx, rebalance(id, &member), i64::from(timeout_ms), Note::Of(epoch));
            }
        }
        self.watch_expressions(cx, id);
    }

    /// Topics have come, gone or grown: the next heartbeat of each group looks. Source: `GroupMetadataManager.onNewMetadataImage`.
    pub fn on_topics_changed(&mut self, topics: &BTreeSet<String>) {
        let concerned: Vec<String> = self
            .groups
            .iter()
            .filter(|(_, group)| match group {
                Group::Consumer(group) => {
                    topics.iter().any(|topic| group.is_subscribed_to(topic)) || !group.expressions.is_empty()
                }
                Group::Classic(_) => false,
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in concerned {
            if let Some(Group::Consumer(group)) = self.groups.in_place(&id) {
                group.request_metadata_refresh();
            }
        }
    }
}

impl ConsumerGroup {
    fn request_metadata_refresh(&mut self) {
        self.metadata_deadline = super::MetadataDeadline::default();
    }
}

fn session(group: &str, member: &str) -> Timer {
    Timer::Session { group: group.to_string(), member: member.to_string() }
}
fn rebalance(group: &str, member: &str) -> Timer {
    Timer::Rebalance { group: group.to_string(), member: member.to_string() }
}
