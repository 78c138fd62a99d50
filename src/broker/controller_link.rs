//! A connection to the active controller, whoever that is: it follows the leader that the observer knows.
//!
//! ```text
//!   no leader known ──▶ waits ──the observer learns──▶ open ──newer leader / NOT_CONTROLLER──▶ closed, calls given back
//! ```
//!
//! Source: `NodeToControllerChannelManagerImpl`, `NodeToControllerRequestThread`. What was not answered is the owner's to
//! send again. Unlike Kafka, which stays connected to a former leader until that one answers or hangs up, a link leaves
//! it as soon as its broker knows of the next.

use kafka_protocol::messages::RequestKind;

use super::leader_view::{KnownLeader, LeaderView};
use crate::client::{Channel, ChannelEvent, ChannelTimeouts, Ended, FailedCall};
use crate::node::{ConnId, Effects, Input, Nanos, Purpose, ms};

/// Pause before a controller that is not (yet) active is asked again, unless another one turns up
/// (`NodeToControllerRequestThread.doWork` looks every 100 ms).
const NOT_CONTROLLER_PAUSE: Nanos = ms(100);

/// A connection to one leader.
#[derive(Clone, Debug)]
struct Line<T> {
    leader: KnownLeader,
    channel: Channel<T>,
}

/// A leader that said NOT_CONTROLLER, and until when it is left alone.
#[derive(Clone, Copy, Debug)]
struct Refused {
    epoch: i32,
    until: Nanos,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct ControllerLink<T> {
    purpose: Purpose,
    timeouts: ChannelTimeouts,
    line: Option<Line<T>>,
    refused: Option<Refused>,
}

impl<T> ControllerLink<T> {
    pub(super) fn new(purpose: Purpose, request_timeout_ms: i64) -> Self {
        let timeouts = ChannelTimeouts { request_timeout_ms, ..ChannelTimeouts::default() };
        ControllerLink { purpose, timeouts, line: None, refused: None }
    }
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.line.as_ref().is_some_and(|line| line.channel.owns(conn))
    }
    pub(super) fn calls_in_flight(&self) -> usize {
        self.line.as_ref().map_or(0, |line| line.channel.calls_in_flight())
    }

    /// Connects to the leader. True if calls can be made; false while there is none, it is not connected yet, or the
    /// link has to leave a former leader first, which [`Self::on_deadline`] does at once.
    pub(super) fn connect(&mut self, now: Nanos, view: &LeaderView, fx: &mut Effects<'_>) -> bool {
        if self.line.is_none() {
            if self.pauses_until(view).is_some_and(|until| until > now) {
                return false;
            }
            let Some(leader) = view.leader() else { return false };
            let channel = Channel::new(leader.endpoint.clone(), self.purpose, self.timeouts);
            self.line = Some(Line { leader: leader.clone(), channel });
        }
        !self.is_at_former_leader(view) && self.line.as_mut().is_some_and(|line| line.channel.connect(now, fx))
    }
    /// Makes a call. [`Self::connect`] must have said that it can be made.
    pub(super) fn call(&mut self, now: Nanos, fx: &mut Effects<'_>, version: i16, request: RequestKind, about: T) {
        if let Some(line) = &mut self.line {
            line.channel.call(now, fx, version, request, about);
        }
    }
    /// Takes an input of its connection, or gives it back.
    pub(super) fn on_input(&mut self, now: Nanos, input: Input, fx: &mut Effects<'_>) -> ChannelEvent<T> {
        match &mut self.line {
            Some(line) => line.channel.on_input(now, input, fx),
            None => ChannelEvent::NotMine(input),
        }
    }
    /// The controller said NOT_CONTROLLER: it has lost its epoch or does not act in it yet. Waits for a newer leader, or
    /// a while. Other calls in flight are given back. Source: `NodeToControllerRequestThread.handleResponse`.
    pub(super) fn on_not_controller(&mut self, now: Nanos, fx: &mut Effects<'_>) -> Vec<T> {
        let Some(mut line) = self.line.take() else { return Vec::new() };
        self.refused = Some(Refused { epoch: line.leader.epoch, until: now + NOT_CONTROLLER_PAUSE });
        line.channel.close(fx)
    }

    /// When to call [`Self::on_deadline`], given when the owner wants to send next: `None` if it has nothing to send.
    pub(super) fn next_deadline(&self, view: &LeaderView, wants: Option<Nanos>) -> Option<Nanos> {
        match &self.line {
            Some(_) if self.is_at_former_leader(view) => Some(0),
            Some(line) => line.channel.next_deadline().or(wants),
            None => {
                view.leader()?;
                wants.map(|wants| wants.max(self.pauses_until(view).unwrap_or(0)))
            }
        }
    }
    /// Leaves a former leader, gives up what is late.
    pub(super) fn on_deadline(
        &mut self,
        now: Nanos,
        view: &LeaderView,
        fx: &mut Effects<'_>,
    ) -> Option<ChannelEvent<T>> {
        if !self.is_at_former_leader(view) {
            return self.line.as_mut().and_then(|line| line.channel.on_deadline(now, fx));
        }
        let (line, leader) = (self.line.as_mut()?, view.leader()?);
        if line.leader.endpoint == leader.endpoint {
            // The same one was elected again: the connection is as good as before.
            line.leader = leader.clone();
            return None;
        }
        let given_back = self.line.take()?.channel.close(fx).into_iter();
        let calls = given_back.map(|about| FailedCall { about, timed_out: false }).collect();
        Some(ChannelEvent::Ended(Ended::Disconnected, calls))
    }

    fn is_at_former_leader(&self, view: &LeaderView) -> bool {
        match (&self.line, view.leader()) {
            (Some(line), Some(leader)) => line.leader.epoch < leader.epoch,
            _ => false,
        }
    }
    fn pauses_until(&self, view: &LeaderView) -> Option<Nanos> {
        let leader = view.leader()?;
        self.refused.filter(|refused| refused.epoch >= leader.epoch).map(|refused| refused.until)
    }
}
