//! Registration, heartbeat, fencing and controlled shutdown as the broker sees them (`BrokerLifecycleManager`, KIP-631).
//!
//! ```text
//!   Starting ─registered─▶ Recovery ─caught up─▶ Unfenced wanted ─▶ Running ─shutdown─▶ PendingControlledShutdown ─▶ ShuttingDown
//! ```
//! The broker sends BrokerRegistration until it is accepted (DUPLICATE_BROKER_REGISTRATION: again after a pause), then a
//! heartbeat every `broker.heartbeat.interval.ms`, at once when something changed. It asks to be unfenced as soon as it
//! has replayed the metadata up to its own registration.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::broker_registration_request::{Feature, Listener};
use kafka_protocol::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, RequestKind, ResponseKind,
};
use kafka_protocol::protocol::StrBytes;
use trial_storage::Disk;

use super::controller_link::ControllerLink;
use super::{Broker, BrokerSetup};
use crate::client::ChannelEvent;
use crate::conformance::BrokerRule;
use crate::event::Event;
use crate::node::{ConnId, Effects, Input, Nanos, Now, Purpose, ms};
use crate::protocol::versions;

/// Where a broker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LifecycleState {
    /// Not registered yet.
    Starting,
    /// Registered and fenced.
    Recovery,
    /// Unfenced.
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
}

impl Lifecycle {
    pub(super) fn new(setup: &BrokerSetup) -> Self {
        // A heartbeat that waits longer than a session has lost its sense (`broker.session.timeout.ms`).
        let timeout = setup.config.broker_session_timeout_ms.max(1);
        Lifecycle {
            link: ControllerLink::new(&setup.controllers, Purpose::Heartbeat, timeout),
            state: LifecycleState::Starting,
            broker_epoch: None,
            previous_broker_epoch: -1,
            started: false,
            next_send: 0,
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
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        if !self.started || self.state == LifecycleState::ShuttingDown {
            return None;
        }
        // While the link dials, pauses or waits, its own deadline comes first; else the next sending.
        self.link.next_deadline().or(Some(self.next_send))
    }
    /// Sends the next heartbeat now rather than after the interval.
    pub(super) fn hurry(&mut self, now: Nanos) {
        self.next_send = self.next_send.min(now);
    }
}

impl Broker {
    pub(super) fn on_lifecycle_deadline(&mut self, now: Now, fx: &mut Effects<'_>) {
        if let Some(event) = self.lifecycle.link.on_deadline(now.mono, fx) {
            self.after_lifecycle_event(now, event);
        }
        self.run_lifecycle(now, fx);
    }

    pub(super) fn on_lifecycle_input(&mut self, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let event = self.lifecycle.link.on_input(now.mono, input, fx);
        if let ChannelEvent::Response(response, asked) = event {
            match (asked, *response) {
                (Asked::Registration, ResponseKind::BrokerRegistration(response)) => {
                    self.on_registered(now, response.error_code, response.broker_epoch, disk, fx);
                }
                (Asked::Heartbeat, ResponseKind::BrokerHeartbeat(response)) => {
                    self.on_heartbeat_answered(&response, fx);
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
        if lifecycle.state == LifecycleState::ShuttingDown || !self.lifecycle.link.connect(now.mono, fx) {
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
        let metadata_version = Feature::default()
            .with_name(StrBytes::from_static_str("metadata.version"))
            .with_min_supported_version(1)
            .with_max_supported_version(27);
        RequestKind::BrokerRegistration(
            BrokerRegistrationRequest::default()
                .with_broker_id(self.setup.node_id.into())
                .with_cluster_id(StrBytes::from_string(self.setup.cluster_id.clone()))
                .with_incarnation_id(self.incarnation)
                .with_listeners(vec![listener])
                .with_features(vec![metadata_version])
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
        let knows_itself = self.image.next_offset > broker_epoch || !BrokerRule::HeartbeatAsksToStayFenced.holds();
        let shutting_down = self.lifecycle.state == LifecycleState::PendingControlledShutdown
            && BrokerRule::HeartbeatAsksToShutDown.holds();
        RequestKind::BrokerHeartbeat(
            BrokerHeartbeatRequest::default()
                .with_broker_id(self.setup.node_id.into())
                .with_broker_epoch(broker_epoch)
                .with_current_metadata_offset(current_metadata_offset)
                .with_want_fence(self.lifecycle.state == LifecycleState::Recovery && !knows_itself)
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
        if error_code != 0 {
            // DUPLICATE_BROKER_REGISTRATION until the old session ends, NOT_CONTROLLER …: again after a pause
            // (BrokerLifecycleManager's resend backoff of 100 ms and more).
            self.lifecycle.next_send = match BrokerRule::RegistrationIsTriedAgain.holds() {
                true => now.mono + ms(200),
                false => Nanos::MAX,
            };
            self.lifecycle.link.turn(fx);
            return;
        }
        self.lifecycle.broker_epoch = Some(broker_epoch);
        if self.lifecycle.state == LifecycleState::Starting {
            self.lifecycle.state = LifecycleState::Recovery;
        }
        self.lifecycle.hurry(now.mono);
        fx.record(Event::RegisteredWith { broker_epoch });
        self.publish_first(now, disk, fx);
    }

    fn on_heartbeat_answered(&mut self, response: &BrokerHeartbeatResponse, fx: &mut Effects<'_>) {
        if response.error_code != 0 {
            if response.error_code == ResponseError::NotController.code() {
                self.lifecycle.link.turn(fx);
            }
            return;
        }
        match self.lifecycle.state {
            LifecycleState::Recovery if !response.is_fenced => self.lifecycle.state = LifecycleState::Running,
            LifecycleState::Running if response.is_fenced => self.lifecycle.state = LifecycleState::Recovery,
            LifecycleState::PendingControlledShutdown if response.should_shut_down => {
                self.lifecycle.state = LifecycleState::ShuttingDown;
                self.stop_orderly(fx);
            }
            _ => {}
        }
    }

    /// Asks the controller for a controlled shutdown, or stops at once if nobody knows this broker.
    pub(super) fn ask_for_shutdown(&mut self, now: Now, fx: &mut Effects<'_>) {
        let orderly = self.setup.config.controlled_shutdown_enable && self.lifecycle.broker_epoch.is_some();
        if orderly {
            self.lifecycle.state = LifecycleState::PendingControlledShutdown;
            self.lifecycle.hurry(now.mono);
            self.run_lifecycle(now, fx);
        } else {
            self.lifecycle.state = LifecycleState::ShuttingDown;
            self.stop_orderly(fx);
        }
    }
}
