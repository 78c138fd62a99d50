//! A connection to whichever controller is active: tried in turn until one answers.

use crate::client::{Channel, ChannelEvent, ChannelTimeouts};
use crate::ids::ControllerNode;
use crate::node::{ConnId, Effects, Endpoint, Input, Nanos, Purpose};

use kafka_protocol::messages::RequestKind;

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct ControllerLink<T> {
    endpoints: Vec<Endpoint>,
    current: usize,
    purpose: Purpose,
    timeouts: ChannelTimeouts,
    channel: Channel<T>,
}

impl<T> ControllerLink<T> {
    pub(super) fn new(controllers: &[ControllerNode], purpose: Purpose, request_timeout_ms: i64) -> Self {
        let timeouts = ChannelTimeouts { request_timeout_ms, ..ChannelTimeouts::default() };
        let endpoints: Vec<Endpoint> = controllers.iter().map(|node| node.endpoint.clone()).collect();
        let first = endpoints.first().cloned().unwrap_or(Endpoint { host: String::new(), port: 0 });
        ControllerLink { endpoints, current: 0, purpose, timeouts, channel: Channel::new(first, purpose, timeouts) }
    }
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.channel.owns(conn)
    }
    pub(super) fn connect(&mut self, now: Nanos, fx: &mut Effects<'_>) -> bool {
        self.channel.connect(now, fx)
    }
    pub(super) fn calls_in_flight(&self) -> usize {
        self.channel.calls_in_flight()
    }
    pub(super) fn call(&mut self, now: Nanos, fx: &mut Effects<'_>, version: i16, request: RequestKind, about: T) {
        self.channel.call(now, fx, version, request, about);
    }
    pub(super) fn on_input(&mut self, now: Nanos, input: Input, fx: &mut Effects<'_>) -> ChannelEvent<T> {
        let event = self.channel.on_input(now, input, fx);
        self.turn_after(&event, fx);
        event
    }
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        self.channel.next_deadline()
    }
    pub(super) fn on_deadline(&mut self, now: Nanos, fx: &mut Effects<'_>) -> Option<ChannelEvent<T>> {
        let event = self.channel.on_deadline(now, fx);
        if let Some(event) = &event {
            self.turn_after(event, fx);
        }
        event
    }
    /// This one is not the active controller: try the next. Calls in flight are given back.
    pub(super) fn turn(&mut self, fx: &mut Effects<'_>) -> Vec<T> {
        if self.endpoints.len() < 2 {
            return Vec::new();
        }
        let given_back = self.channel.close(fx);
        self.current = (self.current + 1) % self.endpoints.len();
        self.channel = Channel::new(self.endpoints[self.current].clone(), self.purpose, self.timeouts);
        given_back
    }
    fn turn_after(&mut self, event: &ChannelEvent<T>, fx: &mut Effects<'_>) {
        if matches!(event, ChannelEvent::Ended(..)) {
            // The calls were given back with the event, so none is left to give back here.
            self.turn(fx);
        }
    }
}
