//! Registration, heartbeat, fencing and controlled shutdown as the broker sees them (`BrokerLifecycleManager`, KIP-631).
//!
//! ```text
//!   Starting ─caught up─▶ Recovery ─unfenced─▶ Running ─shutdown─▶ PendingControlledShutdown ─granted─▶ ShuttingDown
//! ```
//! The broker sends BrokerRegistration until it is accepted (DUPLICATE_BROKER_REGISTRATION: again after a pause), then a
//! heartbeat every `broker.heartbeat.interval.ms`, at once when something changed. It asks to be unfenced as soon as it
//! has replayed the metadata up to its own registration. Once registered it never registers again, not even when its
//! heartbeats are answered STALE_BROKER_EPOCH: then another incarnation has its place, and it goes on asking. Only while
//! no answer has told it a broker epoch may it register twice, as the same incarnation.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::broker_registration_request::{Feature, Listener};
use kafka_protocol::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, RequestKind, ResponseKind,
};
use kafka_protocol::protocol::StrBytes;
use trial_storage::Disk;

use super::controller_link::ControllerLink;
use super::leader_view::LeaderView;
use super::{Broker, BrokerSetup};
use crate::client::ChannelEvent;
use crate::client::backoff::Backoff;
use crate::conformance::BrokerRule;
use crate::event::Event;
use crate::node::{ConnId, Effects, Input, Nanos, Now, Purpose, ms};
use crate::protocol::versions;

/// Where a broker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LifecycleState {
    /// Not registered yet, or behind its own registration.
    Starting,
    /// Has caught up with the metadata up to its own registration; not unfenced yet.
    Recovery,
    /// Was unfenced. It may have been fenced since: a broker does not act on that.
    Running,
    /// Asked the controller to move leadership away.
    PendingControlledShutdown,
    /// May stop now.
    ShuttingDown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Registration,
    Heartbeat,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Lifecycle {
    link: ControllerLink<Asked>,
    state: LifecycleState,
    broker_epoch: Option<i64>,
    /// Broker epoch of the last orderly shutdown, -1 if the last stop was not orderly.
    pub(super) previous_broker_epoch: i64,
    started: bool,
    next_send: Nanos,
    failed_attempts: u32,
    got_controlled_shutdown_response: bool,
}

impl Lifecycle {
    pub(super) fn new(setup: &BrokerSetup) -> Self {
        // Half a session, so that a second try may still come in time (KAFKA-14392).
        let timeout = (setup.config.broker_session_timeout_ms / 2).max(1);
        Lifecycle {
            link: ControllerLink::new(Purpose::Heartbeat, timeout),
            state: LifecycleState::Starting,
            broker_epoch: None,
            previous_broker_epoch: -1,
            started: false,
            next_send: 0,
            failed_attempts: 0,
            got_controlled_shutdown_response: false,
        }
    }
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.link.owns(conn)
    }
    pub(super) fn broker_epoch(&self) -> Option<i64> {
        self.broker_epoch
    }
    pub(super) fn state(&self) -> LifecycleState {
        self.state
    }
    pub(super) fn start(&mut self, now: Nanos) {
        self.started = true;
        self.next_send = now;
    }
    pub(super) fn next_deadline(&self, view: &LeaderView) -> Option<Nanos> {
        if !self.started || self.state == LifecycleState::ShuttingDown {
            return None;
        }
        self.link.next_deadline(view, Some(self.next_send))
    }
    /// Sends the next heartbeat now rather than after the interval.
    pub(super) fn hurry(&mut self, now: Nanos) {
        self.next_send = self.next_send.min(now);
    }
}

impl Broker {
    pub(super) fn on_lifecycle_deadline(&mut self, now: Now, fx: &mut Effects<'_>) {
        if let Some(event) = self.lifecycle.link.on_deadline(now.mono, &self.observer.view, fx) {
            self.after_lifecycle_event(now, event);
        }
        self.run_lifecycle(now, fx);
    }

    pub(super) fn on_lifecycle_input(&mut self, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let event = self.lifecycle.link.on_input(now.mono, input, fx);
        if self.lifecycle.state == LifecycleState::ShuttingDown {
            return; // Its queue takes nothing any more (`BrokerLifecycleManager.beginShutdown`).
        }
        if let ChannelEvent::Response(response, asked) = event {
            match (asked, *response) {
                (Asked::Registration, ResponseKind::BrokerRegistration(response)) => {
                    self.on_registered(now, response.error_code, response.broker_epoch, disk, fx);
                }
                (Asked::Heartbeat, ResponseKind::BrokerHeartbeat(response)) => {
                    self.on_heartbeat_answered(now, &response, disk, fx);
                }
                _ => {}
            }
        } else {
            self.after_lifecycle_event(now, event);
        }
        self.run_lifecycle(now, fx);
    }

    fn after_lifecycle_event(&mut self, now: Now, event: ChannelEvent<Asked>) {
        if let ChannelEvent::Ended(..) = event {
            self.lifecycle.next_send = now.mono;
        }
    }

    /// Sends what is due: registration, or heartbeat.
    pub(super) fn run_lifecycle(&mut self, now: Now, fx: &mut Effects<'_>) {
        let lifecycle = &self.lifecycle;
        if !lifecycle.started || lifecycle.link.calls_in_flight() > 0 || lifecycle.next_send > now.mono {
            return;
        }
        if lifecycle.state == LifecycleState::ShuttingDown
            || !self.lifecycle.link.connect(now.mono, &self.observer.view, fx)
        {
            return;
        }
        let (request, version, asked) = match self.lifecycle.broker_epoch {
            None => (self.registration_request(), versions::BROKER_REGISTRATION, Asked::Registration),
            Some(broker_epoch) => (self.heartbeat_request(broker_epoch), versions::BROKER_HEARTBEAT, Asked::Heartbeat),
        };
        self.lifecycle.next_send = now.mono + ms(self.setup.config.broker_heartbeat_interval_ms);
        self.lifecycle.link.call(now.mono, fx, version, request, asked);
    }

    fn registration_request(&self) -> RequestKind {
        let endpoint = &self.setup.endpoint;
        let listener = Listener::default()
            .with_name(StrBytes::from_static_str("PLAINTEXT"))
            .with_host(StrBytes::from_string(endpoint.host.clone()))
            .with_port(endpoint.port);
        let feature = |name, least, greatest| {
            Feature::default()
                .with_name(StrBytes::from_static_str(name))
                .with_min_supported_version(least)
                .with_max_supported_version(greatest)
        };
        let features = vec![feature("metadata.version", 1, 27), feature("eligible.leader.replicas.version", 0, 1)];
        RequestKind::BrokerRegistration(
            BrokerRegistrationRequest::default()
                .with_broker_id(self.setup.node_id.into())
                .with_cluster_id(StrBytes::from_string(self.setup.cluster_id.clone()))
                .with_incarnation_id(self.incarnation)
                .with_listeners(vec![listener])
                .with_features(features)
                .with_rack(self.setup.rack.clone().map(StrBytes::from_string))
                .with_previous_broker_epoch(self.lifecycle.previous_broker_epoch),
        )
    }

    fn heartbeat_request(&self, broker_epoch: i64) -> RequestKind {
        // The highest metadata offset this broker has replayed; -1 before the first.
        let current_metadata_offset = match BrokerRule::HeartbeatTellsTheMetadataOffset.holds() {
            true => self.image.next_offset - 1,
            false => -1,
        };
        let shutting_down = self.lifecycle.state == LifecycleState::PendingControlledShutdown
            && BrokerRule::HeartbeatAsksToShutDown.holds();
        RequestKind::BrokerHeartbeat(
            BrokerHeartbeatRequest::default()
                .with_broker_id(self.setup.node_id.into())
                .with_broker_epoch(broker_epoch)
                .with_current_metadata_offset(current_metadata_offset)
                // `readyToUnfence`: it has begun to act on the metadata, replayed up to its own registration.
                .with_want_fence(!self.published && BrokerRule::HeartbeatAsksToStayFenced.holds())
                .with_want_shut_down(shutting_down),
        )
    }

    fn on_registered(
        &mut self,
        now: Now,
        error_code: i16,
        broker_epoch: i64,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        if error_code == ResponseError::NotController.code() {
            return self.ask_next_controller(now, fx);
        }
        if error_code != 0 {
            // DUPLICATE_BROKER_REGISTRATION until the old session ends …
            self.send_again_after_failure(now, fx);
            if !BrokerRule::RegistrationIsTriedAgain.holds() {
                self.lifecycle.next_send = Nanos::MAX;
            }
            return;
        }
        self.lifecycle.failed_attempts = 0;
        self.lifecycle.broker_epoch = Some(broker_epoch);
        self.lifecycle.hurry(now.mono);
        fx.record(Event::RegisteredWith { broker_epoch });
        self.publish_first(now, disk, fx);
    }

    /// The controller is not active: the same again, as soon as there is one to ask.
    fn ask_next_controller(&mut self, now: Now, fx: &mut Effects<'_>) {
        self.lifecycle.next_send = now.mono;
        self.lifecycle.link.on_not_controller(now.mono, fx);
    }

    /// Source: `BrokerLifecycleManager.scheduleNextCommunicationAfterFailure`.
    fn send_again_after_failure(&mut self, now: Now, fx: &mut Effects<'_>) {
        let resend = Backoff { first_ms: 100, longest_ms: self.setup.config.broker_session_timeout_ms };
        let pause = resend.pause(self.lifecycle.failed_attempts, fx);
        self.lifecycle.failed_attempts += 1;
        self.lifecycle.next_send = now.mono.saturating_add(pause);
    }

    /// Source: `BrokerLifecycleManager.BrokerHeartbeatResponseEvent`.
    fn on_heartbeat_answered(
        &mut self,
        now: Now,
        response: &BrokerHeartbeatResponse,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        if response.error_code == ResponseError::NotController.code() {
            return self.ask_next_controller(now, fx);
        }
        if response.error_code != 0 {
            self.send_again_after_failure(now, fx);
            return;
        }
        let lifecycle = &mut self.lifecycle;
        lifecycle.failed_attempts = 0;
        match lifecycle.state {
            LifecycleState::Starting => {
                if response.is_caught_up {
                    lifecycle.state = LifecycleState::Recovery;
                }
                lifecycle.hurry(now.mono + ms(10));
            }
            LifecycleState::Recovery if !response.is_fenced => lifecycle.state = LifecycleState::Running,
            LifecycleState::PendingControlledShutdown if response.should_shut_down => {
                lifecycle.state = LifecycleState::ShuttingDown;
                self.stop_orderly(disk, fx);
            }
            LifecycleState::PendingControlledShutdown if !lifecycle.got_controlled_shutdown_response => {
                // The first answer only says that leaders begin to move, which seldom takes long.
                lifecycle.got_controlled_shutdown_response = true;
                lifecycle.hurry(now.mono + ms(50));
            }
            _ => {}
        }
    }

    /// Asks the controller for a controlled shutdown, or stops at once if it is not at work.
    /// Source: `BrokerLifecycleManager.BeginControlledShutdownEvent`.
    pub(super) fn ask_for_shutdown(&mut self, now: Now, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        if !self.lifecycle.started {
            // Nothing is loaded: nothing can be flushed, and no marker may say that it was (`BrokerServer.shutdown` does nothing
            // before the start is over, `LogManager.shutdown`).
            return fx.halt("told to stop before its logs were loaded".to_string());
        }
        let is_running = self.lifecycle.state == LifecycleState::Running;
        let orderly = self.setup.config.controlled_shutdown_enable && is_running;
        if orderly {
            self.lifecycle.state = LifecycleState::PendingControlledShutdown;
            self.lifecycle.hurry(now.mono);
            self.run_lifecycle(now, fx);
        } else {
            self.lifecycle.state = LifecycleState::ShuttingDown;
            self.stop_orderly(disk, fx);
        }
    }
}
