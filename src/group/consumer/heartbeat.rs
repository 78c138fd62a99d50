//! ConsumerGroupHeartbeat: a member comes, or lives, and is told what it may have.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as OwnedTopic;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::metadata_hash::metadata_hash;
use super::reconcile::Reconciliation;
use super::{ConsumerGroup, ConsumerMember, LEAVE, LEAVE_STATIC, MemberState, MetadataDeadline, regex};
use crate::conformance::ConsumerGroupRule;
use crate::group::api::{Caller, Response, text};
use crate::group::assignor::server::ServerAssignor;
use crate::group::coordinator::{Context, Coordinator, Group, Outcome, Written};
use crate::group::records::{GroupEpochValue, Partitions, Record};
use crate::group::timers::{Note, Timer};
use crate::metadata::uuid_text;
use crate::node::ms;
use crate::zoo::Switch;

/// From this version on members bring their id when they come (KIP-1082).
const OWN_MEMBER_ID_VERSION: i16 = 1;

impl Coordinator {
    /// Source: `GroupMetadataManager.consumerGroupHeartbeat`.
    pub fn consumer_heartbeat(
        &mut self,
        cx: Context<'_>,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Outcome {
        check_heartbeat(caller, request)?;
        match request.member_epoch {
            LEAVE | LEAVE_STATIC => self.consumer_leave(cx, request),
            _ => self.consumer_join_or_live(cx, caller, request),
        }
    }

    /// The three steps: what the member says, what everybody is to have, what this one may have.
    fn consumer_join_or_live(
        &mut self,
        cx: Context<'_>,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Outcome {
        let id = request.group_id.as_str();
        let mut records = Vec::new();
        let shared = self.consumer_group_for(id, request.member_epoch == 0, &mut records)?;
        let Group::Consumer(group) = shared.as_ref() else { return Err(ResponseError::GroupIdNotFound) };
        let is_known = group.members.contains_key(request.member_id.as_str());
        let max_size = usize::try_from(self.config.consumer_max_size).unwrap_or(0);
        if group.members.len() >= max_size && !is_known && ConsumerGroupRule::GroupHasAMaxSize.holds() {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        let fresh = uuid_text::of(caller.fresh_id);
        let member_id = if request.member_id.is_empty() { fresh.as_str() } else { request.member_id.as_str() };
        let member = self.member_that_says(group, member_id, request, &mut records)?;
        let mut updated = updated(&member, caller, request);
        let is_new_regex = updated.subscribed_topic_regex != member.subscribed_topic_regex;
        // Epoch 0 is that of members that come: no group stays in it.
        let mut bump = group.subscription_changed(&member, &updated, &mut records)? || group.epoch == 0;

        let now = cx.now.mono;
        let mut epoch = group.epoch;
        let has_expired = now >= group.metadata_deadline.at || group.epoch < group.metadata_deadline.epoch;
        if bump || has_expired {
            let members = group.members_with(&updated);
            let names: BTreeSet<&str> = members.values().flat_map(|member| group.topics_of(member)).collect();
            let hash = metadata_hash(names, cx.metadata);
            bump |= hash != group.metadata_hash && ConsumerGroupRule::ChangedTopicsRebalance.holds();
            if bump {
                epoch += 1;
                let value = GroupEpochValue { epoch, metadata_hash: hash };
                records.push(Record::GroupEpoch { group: id.to_string(), value: Some(value) });
            }
            let at = now.saturating_add(ms(self.config.consumer_metadata_refresh_interval_ms));
            if let Some(Group::Consumer(group)) = self.groups.in_place(id) {
                group.metadata_deadline = MetadataDeadline { at, epoch };
            }
        }

        let (target_epoch, target) = match epoch > group.target_epoch {
            true => (epoch, group.new_target(epoch, &updated, cx.metadata, &mut records)?),
            false => (group.target_epoch, group.target_of(&updated)),
        };
        let owned = request.topic_partitions.as_deref();
        updated = self.reconcile(cx, group, updated, target_epoch, &target, owned, &mut records)?;

        let session_ms = i64::from(self.config.consumer_session_timeout_ms);
        let timer = Timer::Session { group: id.to_string(), member: updated.id.clone() };
        self.set_timer(cx, timer, session_ms, Note::None);
        // Not looked up at once: the record that tells of the member comes first.
        let regex = updated.subscribed_topic_regex.as_deref().filter(|regex| !regex.is_empty());
        match is_new_regex && regex.is_some_and(|regex| !group.expressions.contains_key(regex)) {
            true => self.set_timer(cx, Timer::Expressions { group: id.to_string() }, 0, Note::None),
            false => self.watch_expressions(cx, id),
        }
        let response = self.heartbeat_response(request, &member, &updated);
        Ok(Written::records(records, Some(Response::ConsumerGroupHeartbeat(response))))
    }

    /// The group as it is, or a new one; an empty group of the classic protocol gives way.
    /// Source: `GroupMetadataManager.getOrMaybeCreateConsumerGroup`.
    fn consumer_group_for(
        &self,
        id: &str,
        create: bool,
        records: &mut Vec<Record>,
    ) -> Result<Arc<Group>, ResponseError> {
        let group = self.groups.share(id);
        match group.as_deref() {
            Some(Group::Consumer(_)) => return group.ok_or(ResponseError::GroupIdNotFound),
            Some(classic @ Group::Classic(_)) if create && classic.is_empty() => {
                Self::group_tombstones(id, classic, records);
            }
            None if create => {}
            _ => return Err(ResponseError::GroupIdNotFound),
        }
        Ok(Arc::new(Group::Consumer(ConsumerGroup::new(id))))
    }

    /// Who says it: a member that is known, in an epoch that it may believe in, or one that comes.
    /// Source: `GroupMetadataManager.getOrMaybeSubscribe{Dynamic,Static}ConsumerGroupMember`.
    fn member_that_says(
        &self,
        group: &ConsumerGroup,
        member_id: &str,
        request: &ConsumerGroupHeartbeatRequest,
        records: &mut Vec<Record>,
    ) -> Result<ConsumerMember, ResponseError> {
        let joins = request.member_epoch == 0;
        let Some(instance) = request.instance_id.as_deref() else {
            let known = group.members.get(member_id).cloned();
            let member = match known {
                Some(member) => member,
                None if joins => ConsumerMember::new(member_id),
                None => return Err(ResponseError::UnknownMemberId),
            };
            self.check_member_epoch(&member, request)?;
            return Ok(member);
        };
        match group.static_member(instance) {
            None if joins => {
                Ok(group.members.get(member_id).cloned().unwrap_or_else(|| ConsumerMember::new(member_id)))
            }
            None => Err(ResponseError::UnknownMemberId),
            Some(existing) if joins => {
                if existing.epoch != LEAVE_STATIC && ConsumerGroupRule::InstanceIsReleasedFirst.holds() {
                    return Err(ResponseError::UnreleasedInstanceId);
                }
                let new = ConsumerMember { id: member_id.to_string(), epoch: 0, previous_epoch: 0, ..existing.clone() };
                group.replace(existing, &new, records);
                Ok(new)
            }
            Some(existing) => {
                if existing.id != member_id && ConsumerGroupRule::EarlierInstanceIsFenced.holds() {
                    return Err(ResponseError::FencedInstanceId);
                }
                self.check_member_epoch(existing, request)?;
                Ok(existing.clone())
            }
        }
    }

    /// A member may be one epoch behind, if the answer that told it the new one was lost: it then still has no more than
    /// what it was given. And it may begin anew whatever it was in, for it has given up everything: else it would be refused
    /// until its session is over. Source: `GroupMetadataManager.throwIfConsumerGroupMemberEpochIsInvalid`, KAFKA-19233.
    fn check_member_epoch(
        &self,
        member: &ConsumerMember,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<(), ResponseError> {
        let received = request.member_epoch;
        if received == member.epoch || !ConsumerGroupRule::HeartbeatNamesTheEpoch.holds() {
            return Ok(());
        }
        let begins_anew = received == 0 && ConsumerGroupRule::FencedMemberBeginsAnew.holds();
        if begins_anew && !self.zoo.on(Switch::FencedMemberStaysOut) {
            return Ok(());
        }
        let owned = request.topic_partitions.as_deref();
        let no_more = owned.is_some_and(|owned| is_subset(owned, &member.assigned));
        let no_more =
            no_more || self.zoo.on(Switch::AcceptOldMemberEpoch) || !ConsumerGroupRule::OldEpochOwnsNoMore.holds();
        match received < member.epoch && received == member.previous_epoch && no_more {
            true => Ok(()),
            false => Err(ResponseError::FencedMemberEpoch),
        }
    }

    /// Source: `GroupMetadataManager.maybeReconcile`.
    #[expect(clippy::too_many_arguments, reason = "all of it is needed, and nothing of it belongs together")]
    fn reconcile(
        &mut self,
        cx: Context<'_>,
        group: &ConsumerGroup,
        member: ConsumerMember,
        target_epoch: i32,
        target: &Partitions,
        owned: Option<&[OwnedTopic]>,
        records: &mut Vec<Record>,
    ) -> Result<ConsumerMember, ResponseError> {
        if member.is_reconciled_to(target_epoch) {
            return Ok(member);
        }
        let partition_epochs = &group.partition_epochs;
        let zoo = self.zoo;
        let next = Reconciliation { member: &member, target_epoch, target, partition_epochs, owned, zoo }.next()?;
        if next == member {
            return Ok(member);
        }
        records.push(next.assignment_record(&group.id));
        let timer = Timer::Rebalance { group: group.id.clone(), member: next.id.clone() };
        match next.state {
            MemberState::UnrevokedPartitions => {
                self.set_timer(cx, timer, i64::from(next.rebalance_timeout_ms), Note::Of(next.epoch));
            }
            _ => self.timers.cancel(&timer),
        }
        Ok(next)
    }

    /// The assignment is told to who says everything, and to who has another one than before.
    fn heartbeat_response(
        &self,
        request: &ConsumerGroupHeartbeatRequest,
        before: &ConsumerMember,
        now: &ConsumerMember,
    ) -> ConsumerGroupHeartbeatResponse {
        let says_all = request.member_epoch == 0
            || (request.rebalance_timeout_ms != -1
                && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
                && request.topic_partitions.is_some());
        let is_told = says_all || before.assigned != now.assigned || !ConsumerGroupRule::AssignmentIsToldOnce.holds();
        ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(text(&now.id)))
            .with_member_epoch(now.epoch)
            .with_heartbeat_interval_ms(self.config.consumer_heartbeat_interval_ms)
            .with_assignment(is_told.then(|| told(&now.assigned)))
    }
}

impl ConsumerGroup {
    /// True if the group's epoch must rise for what the member says now. Who was the last with its regular expression takes
    /// it along; one that was looked up for others already counts at once.
    /// Source: `GroupMetadataManager.hasMemberSubscriptionChanged`, `maybeUpdateRegularExpressions`.
    fn subscription_changed(
        &self,
        before: &ConsumerMember,
        now: &ConsumerMember,
        records: &mut Vec<Record>,
    ) -> Result<bool, ResponseError> {
        if now == before {
            return Ok(false);
        }
        records.push(now.subscription_record(&self.id));
        let (old, new) = (before.subscribed_topic_regex.as_deref(), now.subscribed_topic_regex.as_deref());
        let mut is_known_regex = false;
        if old != new {
            if let Some(new) = new.filter(|new| !new.is_empty() && self.subscribers_of(new) == 0) {
                regex::check(new)?;
            }
            is_known_regex = new.is_some_and(|new| self.expressions.contains_key(new));
            if let Some(old) = old.filter(|old| !old.is_empty() && self.subscribers_of(old) == 1) {
                records.push(Record::RegularExpression {
                    group: self.id.clone(),
                    expression: old.to_string(),
                    value: None,
                });
            }
        }
        let lost_regex = old != new && old.is_some_and(|old| !old.is_empty());
        let names_changed = now.subscribed_topic_names != before.subscribed_topic_names;
        Ok((names_changed || is_known_regex || lost_regex) && ConsumerGroupRule::ChangedSubscriptionRebalances.holds())
    }

    /// A static member under a new id has what the old one had. Source: `GroupMetadataManager.replaceMember`.
    fn replace(&self, old: &ConsumerMember, new: &ConsumerMember, records: &mut Vec<Record>) {
        self.remove_member_records(&old.id, records);
        records.push(new.subscription_record(&self.id));
        let target = self.target.get(&old.id).cloned().unwrap_or_default();
        records.push(Record::TargetAssignment { group: self.id.clone(), member: new.id.clone(), value: Some(target) });
        records.push(new.assignment_record(&self.id));
    }
    /// In this order: who has nothing is removed. Source: `GroupMetadataManager.removeMember`.
    pub(super) fn remove_member_records(&self, member: &str, records: &mut Vec<Record>) {
        let (group, member) = (self.id.clone(), member.to_string());
        records.push(Record::CurrentAssignment { group: group.clone(), member: member.clone(), value: None });
        records.push(Record::TargetAssignment { group: group.clone(), member: member.clone(), value: None });
        records.push(Record::Member { group, member, value: None });
    }
}

/// The member with what it says; what it does not say is as before.
fn updated(member: &ConsumerMember, caller: &Caller, request: &ConsumerGroupHeartbeatRequest) -> ConsumerMember {
    let or = |new: Option<&str>, old: &Option<String>| new.map(str::to_string).or_else(|| old.clone());
    let names = request.subscribed_topic_names.as_ref();
    ConsumerMember {
        instance: or(request.instance_id.as_deref(), &member.instance),
        rack: or(request.rack_id.as_deref(), &member.rack),
        rebalance_timeout_ms: match request.rebalance_timeout_ms {
            -1 => member.rebalance_timeout_ms,
            new => new,
        },
        server_assignor: or(request.server_assignor.as_deref(), &member.server_assignor),
        subscribed_topic_names: match names {
            Some(names) => names.iter().map(|name| name.as_str().to_string()).collect(),
            None => member.subscribed_topic_names.clone(),
        },
        subscribed_topic_regex: or(request.subscribed_topic_regex.as_deref(), &member.subscribed_topic_regex),
        client_id: caller.client_id.clone(),
        client_host: caller.client_host.clone(),
        ..member.clone()
    }
}

fn told(assigned: &Partitions) -> Assignment {
    let topic = |(topic_id, partitions): (&uuid::Uuid, &BTreeSet<i32>)| {
        TopicPartitions::default().with_topic_id(*topic_id).with_partitions(partitions.iter().copied().collect())
    };
    Assignment::default().with_topic_partitions(assigned.iter().map(topic).collect())
}

/// Source: `GroupMetadataManager.isSubset`.
fn is_subset(owned: &[OwnedTopic], assigned: &Partitions) -> bool {
    owned.iter().all(|topic| {
        let assigned = assigned.get(&topic.topic_id);
        assigned.is_some_and(|assigned| topic.partitions.iter().all(|partition| assigned.contains(partition)))
    })
}

/// Can the request be meant? Source: `GroupMetadataManager.throwIfConsumerGroupHeartbeatRequestIsInvalid`.
fn check_heartbeat(caller: &Caller, request: &ConsumerGroupHeartbeatRequest) -> Result<(), ResponseError> {
    let invalid = |is_invalid: bool| match is_invalid && ConsumerGroupRule::HeartbeatIsValid.holds() {
        true => Err(ResponseError::InvalidRequest),
        false => Ok(()),
    };
    let is_blank = |value: Option<&str>| value.is_some_and(|value| value.trim().is_empty());
    invalid(request.group_id.trim().is_empty())?;
    invalid(is_blank(request.instance_id.as_deref()))?;
    invalid(is_blank(request.rack_id.as_deref()))?;
    let has_no_id = request.member_id.trim().is_empty();
    match request.member_epoch {
        0 => {
            invalid(caller.api_version >= OWN_MEMBER_ID_VERSION && has_no_id)?;
            invalid(request.rebalance_timeout_ms == -1)?;
            invalid(request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()))?;
            invalid(request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none())?;
        }
        LEAVE | 1.. => invalid(has_no_id)?,
        LEAVE_STATIC => {
            invalid(has_no_id)?;
            invalid(request.instance_id.is_none())?;
        }
        _ => invalid(true)?,
    }
    match request.server_assignor.as_deref().is_none_or(|name| ServerAssignor::from_name(name).is_some()) {
        true => Ok(()),
        false => Err(ResponseError::UnsupportedAssignor),
    }
}
