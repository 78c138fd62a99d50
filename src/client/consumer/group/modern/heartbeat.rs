//! ConsumerGroupHeartbeat: what a member says, when, and what it makes of the answer.
//!
//! Only what has changed is said; all of it when the member joins, and after a failure, since nobody knows what was heard.
//! Source: `AbstractHeartbeatRequestManager`, `ConsumerHeartbeatRequestManager.HeartbeatState`.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::consumer_group_heartbeat_response::Assignment;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, RequestKind};
use kafka_protocol::protocol::StrBytes;

use super::super::int;
use super::{Cx, Group, LocalAssignment, MemberState, Modern, Partitions};
use crate::client::consumer::group::GroupCall;
use crate::client::consumer::retry_backoff;
use crate::conformance::GroupClientRule;
use crate::event::Event;
use crate::ids::Topic;
use crate::node::{Nanos, ms};
use crate::protocol::{error_name, topic_name, versions};

/// When is what due?
#[derive(Clone, Debug, Default)]
pub(super) struct Heartbeat {
    /// As the coordinator told it last; 0 before.
    interval_ms: i64,
    at: Nanos,
    retry_at: Nanos,
    failures: u32,
    in_flight: bool,
    /// The application has not polled for too long; 0: it never has.
    poll_over_at: Nanos,
}

impl Heartbeat {
    pub(super) fn wake_ups(&self, state: MemberState) -> impl Iterator<Item = Nanos> {
        let is_silent =
            matches!(state, MemberState::Unsubscribed | MemberState::Fatal | MemberState::Stale | MemberState::Fenced);
        [self.at, self.retry_at, self.poll_over_at].into_iter().filter(move |_| !is_silent)
    }
    fn failed(&mut self, cx: &mut Cx<'_, '_>) {
        self.in_flight = false;
        self.at = cx.now;
        self.retry_at = cx.now.saturating_add(retry_backoff(&cx.consumer.config).pause(self.failures, cx.fx));
        self.failures = self.failures.saturating_add(1);
    }
    /// What was to be slept over is of the past.
    fn forget_failures(&mut self) {
        (self.in_flight, self.failures, self.retry_at) = (false, 0, 0);
    }
}

/// What the coordinator has heard (`SentFields`).
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    rebalance_timeout: bool,
    topics: Option<BTreeSet<Topic>>,
    pattern: Option<String>,
    assignor: bool,
    assignment: Option<LocalAssignment>,
}

impl Modern {
    /// The round of the background thread.
    pub(in super::super) fn live(&mut self, polls: bool, group: &mut Group, cx: &mut Cx<'_, '_>) {
        if polls {
            self.on_polled(group, cx);
        }
        if matches!(
            self.state,
            MemberState::Unsubscribed | MemberState::Fatal | MemberState::Stale | MemberState::Fenced
        ) {
            return;
        }
        if !group.coordinator.is_ready() {
            if self.state == MemberState::Leaving {
                // Nobody is there to be told.
                self.leave_is_sent();
            }
            return;
        }
        let is_late = !polls && self.heartbeat.poll_over_at <= cx.now && self.state != MemberState::Leaving;
        if is_late && GroupClientRule::WhoDoesNotPollLeaves.holds() {
            self.is_poll_over = true;
            self.has_left("consumer poll timeout has expired.", group, cx);
            self.send_leave_next(group);
            self.send(group, cx);
            self.release(group, cx);
            self.heartbeat.forget_failures();
            self.sent = Sent::default();
            return;
        }
        let is_at_once = matches!(self.state, MemberState::Acknowledging | MemberState::Joining);
        let may_send = !self.heartbeat.in_flight && self.heartbeat.retry_at <= cx.now;
        if self.state == MemberState::Leaving || (may_send && (is_at_once || self.heartbeat.at <= cx.now)) {
            self.send(group, cx);
        }
    }
    /// The application polls: who has left because it did not comes again, when it has been told what it lost.
    fn on_polled(&mut self, group: &mut Group, cx: &mut Cx<'_, '_>) {
        self.heartbeat.poll_over_at = cx.now.saturating_add(ms(cx.consumer.config.max_poll_interval_ms));
        // Who is still about to leave comes again when it has.
        let is_new = self.state == MemberState::Unsubscribed && self.is_subscribed_anew;
        self.is_subscribed_anew &= self.state == MemberState::Leaving;
        let comes_again = self.state == MemberState::Stale && group.callbacks.is_empty();
        if is_new || comes_again {
            self.is_poll_over = false;
            self.join(cx);
        }
    }
    fn leave_is_sent(&mut self) {
        self.state = match self.is_poll_over {
            true => MemberState::Stale,
            false => MemberState::Unsubscribed,
        };
    }

    fn send(&mut self, group: &mut Group, cx: &mut Cx<'_, '_>) {
        let is_last = self.state == MemberState::Leaving;
        let request = self.request(group, cx);
        let request = (versions::CONSUMER_GROUP_HEARTBEAT, RequestKind::ConsumerGroupHeartbeat(request));
        let call = GroupCall::ConsumerGroupHeartbeat { is_last };
        let config = &cx.consumer.config;
        group.coordinator.send(config.request_timeout_ms, request, call);
        self.heartbeat.in_flight = !is_last;
        self.heartbeat.at = cx.now.saturating_add(ms(self.heartbeat.interval_ms));
        match self.state {
            MemberState::Acknowledging if self.is_reconciled() => self.state = MemberState::Stable,
            MemberState::Acknowledging => self.state = MemberState::Reconciling,
            MemberState::Leaving => self.leave_is_sent(),
            _ => {}
        }
    }

    /// Source: `HeartbeatState.buildRequestData`.
    fn request(&mut self, group: &Group, cx: &Cx<'_, '_>) -> ConsumerGroupHeartbeatRequest {
        let text = |value: &str| StrBytes::from_string(value.to_string());
        let config = &cx.consumer.config;
        let all = self.state == MemberState::Joining || !GroupClientRule::OnlyChangesAreSaid.holds();
        let mut request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&group.id)))
            .with_member_id(text(&self.id))
            .with_member_epoch(self.epoch)
            .with_instance_id(group.instance.as_deref().map(text));
        if self.epoch < 0 {
            return request;
        }
        if self.state == MemberState::Joining && !config.client_rack.is_empty() {
            request.rack_id = Some(text(&config.client_rack));
        }
        if all || !self.sent.rebalance_timeout {
            request.rebalance_timeout_ms = int(config.max_poll_interval_ms);
            self.sent.rebalance_timeout = true;
        }
        let pattern = group.subscription.as_ref().and_then(|of| of.pattern()).map(str::to_string);
        if (all && pattern.is_some()) || pattern != self.sent.pattern {
            request.subscribed_topic_regex = Some(text(pattern.as_deref().unwrap_or_default()));
            self.sent.pattern = pattern;
        }
        let topics = group.topics();
        if all || self.sent.topics.as_ref() != Some(&topics) {
            request.subscribed_topic_names = Some(topics.iter().map(topic_name).collect());
            self.sent.topics = Some(topics);
        }
        if !config.group_remote_assignor.is_empty() && (all || !self.sent.assignor) {
            request.server_assignor = Some(text(&config.group_remote_assignor));
            self.sent.assignor = true;
        }
        if all || self.sent.assignment.as_ref() != Some(&self.current) {
            let topic = |(id, partitions): (&uuid::Uuid, &BTreeSet<i32>)| {
                TopicPartitions::default().with_topic_id(*id).with_partitions(partitions.iter().copied().collect())
            };
            request.topic_partitions = Some(self.current.partitions.iter().map(topic).collect());
            self.sent.assignment = Some(self.current.clone());
        }
        request
    }

    /// A heartbeat got no answer.
    pub(in super::super) fn on_failed(&mut self, call: &GroupCall, _group: &mut Group, cx: &mut Cx<'_, '_>) {
        if let GroupCall::ConsumerGroupHeartbeat { is_last: false } = call {
            self.heartbeat.failed(cx);
            self.sent = Sent::default();
        }
    }
    /// Source: `ConsumerMembershipManager.onHeartbeatSuccess`, `AbstractHeartbeatRequestManager.onErrorResponse`.
    pub(in super::super) fn on_heartbeat_answered(
        &mut self,
        answer: ConsumerGroupHeartbeatResponse,
        group: &mut Group,
        cx: &mut Cx<'_, '_>,
    ) {
        if let Some(error) = ResponseError::try_from_code(answer.error_code) {
            self.heartbeat.failed(cx);
            self.sent = Sent::default();
            return self.on_refused(error, group, cx);
        }
        self.heartbeat.forget_failures();
        let interval_ms = i64::from(answer.heartbeat_interval_ms);
        if interval_ms != self.heartbeat.interval_ms {
            self.heartbeat.interval_ms = interval_ms;
            self.heartbeat.at = cx.now.saturating_add(ms(interval_ms));
        }
        use MemberState::*;
        if matches!(self.state, Leaving | Unsubscribed | Fenced | Fatal | Stale) {
            return;
        }
        if answer.member_epoch != self.epoch {
            self.epoch = answer.member_epoch;
            let (group, member, generation) = (group.id.clone(), self.id.clone(), self.epoch);
            cx.fx.record(Event::GroupJoined { group, member, generation });
        }
        if let Some(assignment) = answer.assignment {
            self.on_target(partitions(assignment));
        }
    }
    /// Source: `processAssignmentReceived`.
    fn on_target(&mut self, partitions: Partitions) {
        if self.target.number == 0 || self.target.partitions != partitions {
            self.target = LocalAssignment { number: self.target.number + 1, partitions };
        }
        let is_young = matches!(self.state, MemberState::Reconciling | MemberState::Joining);
        match self.is_reconciled() {
            false => self.state = MemberState::Reconciling,
            true if is_young => self.state = MemberState::Stable,
            true => {}
        }
    }

    fn on_refused(&mut self, error: ResponseError, group: &mut Group, cx: &mut Cx<'_, '_>) {
        use ResponseError::*;
        match error {
            NotCoordinator | CoordinatorNotAvailable => {
                group.coordinator.forget(cx);
            }
            CoordinatorLoadInProgress => {}
            FencedMemberEpoch | UnknownMemberId => {
                self.heartbeat.forget_failures();
                self.fence(&error_name(error), group, cx);
            }
            error if error.is_retriable() => {}
            error => self.fail(error, group, cx),
        }
    }
}

fn partitions(assignment: Assignment) -> Partitions {
    let topics = assignment.topic_partitions.into_iter();
    topics.map(|topic| (topic.topic_id, topic.partitions.into_iter().collect())).collect()
}
