//! Who coordinates the group, and what is sent there.
//!
//! ```text
//!            ┌──FindCoordinator, with a pause after failures──┐
//!   unknown ─┤                                                ├─▶ known ──▶ requests, in their order
//!      ▲     └────────────────────────────────────────────────┘     │
//!      └── NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE, the connection ended, no heartbeat answered for a session
//! ```
//!
//! What has no answer when the coordinator becomes unknown has failed, sent or not. Source: `AbstractCoordinator`,
//! `CoordinatorRequestManager`, `ConsumerNetworkClient`.

use std::collections::VecDeque;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse, RequestKind};
use kafka_protocol::protocol::StrBytes;

use super::{Cx, GroupCall};
use crate::client::cluster::Versioned;
use crate::client::consumer::calls::ConsumerCall;
use crate::client::consumer::retry_backoff;
use crate::conformance::GroupClientRule;
use crate::event::Event;
use crate::ids::BrokerId;
use crate::node::{Endpoint, Nanos};
use crate::protocol::versions;

/// `CoordinatorType.GROUP`.
const GROUP_KEY: i8 = 0;

/// A request that waits for the connection to open.
#[derive(Clone, Debug)]
struct Unsent {
    request: Versioned,
    timeout_ms: i64,
    call: GroupCall,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coordinator {
    known: Option<BrokerId>,
    /// Somebody has something to say to it.
    wanted: bool,
    in_flight: bool,
    retry_at: Nanos,
    failures: u32,
    unsent: VecDeque<Unsent>,
    /// Calls that have failed, and why.
    failed: VecDeque<(GroupCall, ResponseError)>,
}

impl Coordinator {
    pub(super) fn is_known(&self) -> bool {
        self.known.is_some()
    }
    /// It is to be found, if it is not known.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }
    /// True if it is known; else it will be looked for.
    pub(super) fn is_ready(&mut self) -> bool {
        self.wanted |= self.known.is_none();
        self.known.is_some()
    }
    /// Nothing waits to be sent.
    pub(super) fn has_sent_all(&self) -> bool {
        self.unsent.is_empty()
    }
    /// Has a call failed that nobody has heard of?
    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }
    /// The next call that has failed.
    pub(super) fn next_failed(&mut self) -> Option<(GroupCall, ResponseError)> {
        self.failed.pop_front()
    }
    /// A call has failed with its connection.
    pub(super) fn fail(&mut self, call: GroupCall, error: ResponseError) {
        self.failed.push_back((call, error));
    }
    /// When it may be asked for again.
    pub(super) fn wake_up_at(&self) -> Option<Nanos> {
        (self.wanted && self.known.is_none() && !self.in_flight).then_some(self.retry_at)
    }

    /// Sends a request, after those before it; fails it at once if there is nobody to send it to.
    pub(super) fn send(&mut self, timeout_ms: i64, request: Versioned, call: GroupCall) {
        match self.known {
            Some(_) => self.unsent.push_back(Unsent { request, timeout_ms, call }),
            None => self.fail(call, ResponseError::CoordinatorNotAvailable),
        }
    }

    /// It is none, or cannot be reached (`markCoordinatorUnknown`).
    pub(super) fn forget(&mut self, cx: &mut Cx<'_, '_>) {
        if self.known.take().is_none() {
            return;
        }
        for call in cx.consumer.cluster.forget_coordinator(cx.fx) {
            if let ConsumerCall::Group(call) = call {
                self.fail(call, ResponseError::NetworkException);
            }
        }
        for unsent in std::mem::take(&mut self.unsent) {
            self.fail(unsent.call, ResponseError::NetworkException);
        }
    }
    /// Has its connection ended? Then it is looked for, after a pause, lest the same be named again and again.
    pub(super) fn notice_its_end(&mut self, cx: &mut Cx<'_, '_>) {
        if cx.consumer.cluster.is_coordinator_gone(cx.now) {
            self.forget(cx);
            self.pause(cx);
        }
    }

    /// Asks any broker who coordinates the group, if that is wanted and not known.
    pub(super) fn find(&mut self, group: &str, cx: &mut Cx<'_, '_>) {
        if !self.wanted || self.known.is_some() || self.in_flight || self.retry_at > cx.now {
            return;
        }
        let Some(peer) = cx.consumer.cluster.connect_any(cx.now, cx.fx) else { return };
        let request = FindCoordinatorRequest::default()
            .with_key_type(GROUP_KEY)
            .with_coordinator_keys(vec![StrBytes::from_string(group.to_string())]);
        let request = (versions::FIND_COORDINATOR, RequestKind::FindCoordinator(request));
        self.in_flight = true;
        cx.consumer.cluster.call(peer, cx.now, cx.fx, request, ConsumerCall::Group(GroupCall::FindCoordinator));
    }
    /// The answer. An error after which it makes no sense to ask again is returned.
    pub(super) fn on_found(
        &mut self,
        group: &str,
        answer: &FindCoordinatorResponse,
        cx: &mut Cx<'_, '_>,
    ) -> Result<(), ResponseError> {
        self.in_flight = false;
        let told = answer.coordinators.first().ok_or(ResponseError::UnknownServerError);
        let told = told.and_then(|told| match ResponseError::try_from_code(told.error_code) {
            Some(error) => Err(error),
            None => Ok(told),
        });
        let port = told.and_then(|told| u16::try_from(told.port).map_err(|_| ResponseError::UnknownServerError));
        match (told, port) {
            (Ok(told), Ok(port)) => {
                let broker = told.node_id.0;
                self.known = Some(broker);
                self.wanted = false;
                let endpoint = Endpoint { host: told.host.to_string(), port };
                cx.consumer.cluster.learn_coordinator(broker, endpoint);
                cx.consumer.cluster.connect_coordinator(cx.now, cx.fx);
                cx.fx.record(Event::CoordinatorFound { group: group.to_string(), broker });
                Ok(())
            }
            (Err(error), _) | (_, Err(error)) => {
                self.on_not_found(cx);
                if error.is_retriable() || error == ResponseError::UnknownServerError { Ok(()) } else { Err(error) }
            }
        }
    }
    /// Nobody knows, or nobody answers: it is asked again after a pause.
    pub(super) fn on_not_found(&mut self, cx: &mut Cx<'_, '_>) {
        self.in_flight = false;
        self.pause(cx);
    }
    fn pause(&mut self, cx: &mut Cx<'_, '_>) {
        let pause = match GroupClientRule::CoordinatorIsAskedForAfterAPause.holds() {
            true => retry_backoff(&cx.consumer.config).pause(self.failures, cx.fx),
            false => 0,
        };
        self.failures = self.failures.saturating_add(1);
        self.retry_at = cx.now.saturating_add(pause);
    }

    /// Sends what waits, if the connection is open.
    pub(super) fn flush(&mut self, cx: &mut Cx<'_, '_>) {
        while !self.unsent.is_empty() {
            let Some(peer) = cx.consumer.cluster.connect_coordinator(cx.now, cx.fx) else { return };
            self.failures = 0;
            let Some(Unsent { request, timeout_ms, call }) = self.unsent.pop_front() else { return };
            let call = ConsumerCall::Group(call);
            cx.consumer.cluster.call_within(peer, cx.now, cx.fx, timeout_ms, request, call);
        }
    }
}
