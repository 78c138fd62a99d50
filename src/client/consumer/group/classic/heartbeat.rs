//! Heartbeats go on between polls, but not for ever: who does not poll leaves. Source: `Heartbeat`, `HeartbeatThread`.

use super::{Classic, Cx, Group, GroupCall, MemberState, responses};
use crate::client::consumer::retry_backoff;
use crate::config::ConsumerConfig;
use crate::conformance::GroupClientRule;
use crate::node::{Nanos, ms};

/// When is what due?
#[derive(Clone, Debug, Default)]
pub(super) struct Heartbeat {
    /// The next heartbeat.
    at: Nanos,
    /// The coordinator has not answered for a session.
    session_over_at: Nanos,
    /// The application has not polled for too long.
    poll_over_at: Nanos,
    failures: u32,
}

impl Heartbeat {
    pub(super) fn wake_ups(&self) -> impl Iterator<Item = Nanos> {
        [self.at, self.session_over_at, self.poll_over_at].into_iter()
    }
    /// A generation begins.
    pub(super) fn restart(&mut self, config: &ConsumerConfig, now: Nanos) {
        self.at = now.saturating_add(ms(config.heartbeat_interval_ms));
        self.poll_over_at = now.saturating_add(ms(config.max_poll_interval_ms));
        self.restart_session(config, now);
    }
    fn restart_session(&mut self, config: &ConsumerConfig, now: Nanos) {
        self.session_over_at = now.saturating_add(ms(config.session_timeout_ms));
    }
    /// The coordinator answered.
    pub(super) fn answered(&mut self, config: &ConsumerConfig, now: Nanos) {
        self.failures = 0;
        self.restart_session(config, now);
    }
    /// It did not, or refused it: again after a pause.
    pub(super) fn failed(&mut self, cx: &mut Cx<'_, '_>) {
        let pause = retry_backoff(&cx.consumer.config).pause(self.failures, cx.fx);
        self.at = cx.now.saturating_add(pause);
        self.failures = self.failures.saturating_add(1);
    }
}

impl Classic {
    /// A member that waits for others to join rests: its connection waits with it.
    pub(super) fn heartbeats(&self) -> bool {
        matches!(self.state, MemberState::CompletingRebalance | MemberState::Stable)
    }
    pub(in super::super) fn on_coordinator_found(&mut self, cx: &mut Cx<'_, '_>) {
        self.heartbeat.restart_session(&cx.consumer.config, cx.now);
    }

    /// The heartbeat thread's round.
    pub(in super::super) fn live(&mut self, polls: bool, group: &mut Group, cx: &mut Cx<'_, '_>) {
        let config = &cx.consumer.config;
        if polls {
            self.heartbeat.poll_over_at = cx.now.saturating_add(ms(config.max_poll_interval_ms));
        }
        if !self.heartbeats() {
            return;
        }
        if !group.coordinator.is_ready() {
            return;
        }
        if self.heartbeat.session_over_at <= cx.now && GroupClientRule::SilentCoordinatorIsLeft.holds() {
            self.heartbeat.restart_session(config, cx.now);
            group.coordinator.forget(cx);
            group.coordinator.want();
        } else if self.heartbeat.poll_over_at <= cx.now && GroupClientRule::WhoDoesNotPollLeaves.holds() {
            self.send_leave("consumer poll timeout has expired.", group, cx);
        } else if self.heartbeat.at <= cx.now {
            self.heartbeat.at = cx.now.saturating_add(ms(config.heartbeat_interval_ms));
            let request = responses::heartbeat_request(group, &self.generation);
            let call = GroupCall::Heartbeat(self.generation.clone());
            group.coordinator.send(config.request_timeout_ms, request, call);
        }
    }
}
