//! One connection to one endpoint: dialing with backoff, calls in flight with time-outs, ended by the first that is late.
//!
//! The same for every caller: producer, consumer, admin, follower fetcher, heartbeat, AlterPartition, metadata observer.
//! As in Kafka's `NetworkClient`, a call that is not answered in time ends the whole connection, and a connection that
//! ended is dialed again after an exponential pause with ±20 % jitter.
//!
//! ```text
//!   Idle ──connect──▶ Dialing ──Opened──▶ Open ──Closed / late call──▶ BackingOff ──pause over──▶ Idle
//! ```
//!
//! The owner calls [`Channel::connect`] when it wants to send, [`Channel::call`] once [`Channel::is_open`], hands every
//! `Opened`, `DialFailed`, `Closed` and `Response` to [`Channel::on_input`], and asks [`Channel::next_deadline`] and
//! [`Channel::on_deadline`] for time-outs. `T` is what the owner wants to remember of a call.

use std::collections::VecDeque;

use kafka_protocol::messages::{RequestKind, ResponseKind};

use crate::node::{CallError, CallId, ConnId, Effects, Endpoint, Input, Nanos, Purpose, RandomFor, ms};

/// Time-outs and pauses of a channel, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelTimeouts {
    /// Longest wait for a response.
    pub request_timeout_ms: i64,
    /// First pause before dialing again.
    pub reconnect_backoff_ms: i64,
    /// Longest pause before dialing again.
    pub reconnect_backoff_max_ms: i64,
    /// Longest wait for a connection to open (`socket.connection.setup.timeout.ms`, 10 s).
    pub connection_setup_timeout_ms: i64,
}

impl Default for ChannelTimeouts {
    fn default() -> Self {
        ChannelTimeouts {
            request_timeout_ms: 30_000,
            reconnect_backoff_ms: 50,
            reconnect_backoff_max_ms: 1_000,
            connection_setup_timeout_ms: 10_000,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Dialing { conn: ConnId, give_up_at: Nanos },
    Open { conn: ConnId },
    BackingOff { until: Nanos },
}

#[derive(Clone, Debug)]
struct InFlight<T> {
    call: CallId,
    late_at: Nanos,
    about: T,
}

/// A call that got no response.
#[derive(Clone, Debug)]
pub struct FailedCall<T> {
    /// What the owner wanted to remember.
    pub about: T,
    /// It was late, rather than cut off.
    pub timed_out: bool,
}

/// Why a connection is no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It never opened.
    NotOpened,
    /// The peer or the network ended it.
    Disconnected,
    /// A call was late, and so it was given up.
    TimedOut,
}

/// What became of an input handed to the channel.
#[derive(Clone, Debug)]
pub enum ChannelEvent<T> {
    /// The input was not for this channel; here it is back.
    NotMine(Input),
    /// The connection is open.
    Opened,
    /// A response, with what the owner remembered.
    Response(Box<ResponseKind>, T),
    /// The connection ended; these calls got no response, oldest first.
    Ended(Ended, Vec<FailedCall<T>>),
    /// It was for this channel, and nothing follows from it.
    Nothing,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub struct Channel<T> {
    endpoint: Endpoint,
    purpose: Purpose,
    timeouts: ChannelTimeouts,
    state: State,
    failures: u32,
    /// When it was dialed last.
    dialed_at: Option<Nanos>,
    in_flight: VecDeque<InFlight<T>>,
    /// Calls answered with an error while the connection's end is still to come.
    failed: Vec<FailedCall<T>>,
}

impl<T> Channel<T> {
    /// A channel to that endpoint, not yet connected.
    pub fn new(endpoint: Endpoint, purpose: Purpose, timeouts: ChannelTimeouts) -> Self {
        Channel {
            endpoint,
            purpose,
            timeouts,
            state: State::Idle,
            failures: 0,
            dialed_at: None,
            in_flight: VecDeque::new(),
            failed: Vec::new(),
        }
    }
    /// Where it leads.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
    /// Can calls be made? Not between the error of a call that was cut off and the end of its connection.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. }) && self.failed.is_empty()
    }
    /// When it was dialed last, if ever (`ClusterConnectionStates.lastConnectAttemptMs`).
    pub fn dialed_at(&self) -> Option<Nanos> {
        self.dialed_at
    }
    /// Is a connection being opened?
    pub fn is_dialing(&self) -> bool {
        matches!(self.state, State::Dialing { .. })
    }
    /// The connection that is open or being opened, by which inputs find their channel.
    pub fn conn(&self) -> Option<ConnId> {
        match self.state {
            State::Dialing { conn, .. } | State::Open { conn } => Some(conn),
            State::Idle | State::BackingOff { .. } => None,
        }
    }
    /// Is it pausing after a failure at that time?
    pub fn is_backing_off(&self, now: Nanos) -> bool {
        matches!(self.state, State::BackingOff { until } if until > now)
    }
    /// Is that connection this channel's present one?
    pub fn owns(&self, conn: ConnId) -> bool {
        matches!(self.state, State::Dialing { conn: mine, .. } | State::Open { conn: mine } if mine == conn)
    }
    /// Calls without an answer.
    pub fn calls_in_flight(&self) -> usize {
        self.in_flight.len()
    }
    /// Starts dialing if idle and the pause after the last failure is over. True if the channel is open already.
    pub fn connect(&mut self, now: Nanos, fx: &mut Effects<'_>) -> bool {
        match self.state {
            State::Open { .. } => return self.is_open(),
            State::BackingOff { until } if until > now => {}
            State::Idle | State::BackingOff { .. } => {
                let conn = fx.dial(self.endpoint.clone(), self.purpose);
                self.dialed_at = Some(now);
                self.state = State::Dialing { conn, give_up_at: now + ms(self.timeouts.connection_setup_timeout_ms) };
            }
            State::Dialing { .. } => {}
        }
        false
    }
    /// Makes a call. The channel must be open.
    pub fn call(&mut self, now: Nanos, fx: &mut Effects<'_>, version: i16, request: RequestKind, about: T) -> CallId {
        self.call_within(now, fx, self.timeouts.request_timeout_ms, (version, request), about)
    }
    /// Makes a call that may take longer, or less long, than others. The channel must be open.
    pub fn call_within(
        &mut self,
        now: Nanos,
        fx: &mut Effects<'_>,
        timeout_ms: i64,
        (version, request): (i16, RequestKind),
        about: T,
    ) -> CallId {
        let State::Open { conn } = self.state else { panic!("call on a channel that is not open") };
        let call = fx.call(conn, version, request);
        self.in_flight.push_back(InFlight { call, late_at: now.saturating_add(ms(timeout_ms)), about });
        call
    }
    /// Sends a request that gets no response. The channel must be open.
    pub fn call_without_response(&mut self, fx: &mut Effects<'_>, version: i16, request: RequestKind) -> CallId {
        let State::Open { conn } = self.state else { panic!("call on a channel that is not open") };
        fx.call_without_response(conn, version, request)
    }
    /// Ends the connection, if any, without counting it as a failure. Calls in flight are forgotten and given back.
    pub fn close(&mut self, fx: &mut Effects<'_>) -> Vec<T> {
        if let State::Open { conn } | State::Dialing { conn, .. } = self.state {
            fx.close(conn);
        }
        self.state = State::Idle;
        self.failed.drain(..).map(|f| f.about).chain(self.in_flight.drain(..).map(|c| c.about)).collect()
    }
    /// Takes an input, or gives it back.
    pub fn on_input(&mut self, now: Nanos, input: Input, fx: &mut Effects<'_>) -> ChannelEvent<T> {
        match (input, self.state) {
            (Input::Opened { conn }, State::Dialing { conn: mine, .. }) if conn == mine => {
                self.state = State::Open { conn };
                self.failures = 0;
                ChannelEvent::Opened
            }
            (Input::DialFailed { conn }, State::Dialing { conn: mine, .. }) if conn == mine => {
                self.end(now, fx, Ended::NotOpened)
            }
            (Input::Closed { conn }, State::Open { conn: mine } | State::Dialing { conn: mine, .. })
                if conn == mine =>
            {
                self.end(now, fx, Ended::Disconnected)
            }
            (Input::Response { call, conn, result }, State::Open { conn: mine }) if conn == mine => match result {
                Ok(response) => match self.in_flight.iter().position(|c| c.call == call) {
                    Some(0) => {
                        let done = self.in_flight.pop_front().expect("position 0 exists");
                        ChannelEvent::Response(response, done.about)
                    }
                    _ => ChannelEvent::Nothing,
                },
                Err(why) => {
                    if let Some(at) = self.in_flight.iter().position(|c| c.call == call) {
                        let failed = self.in_flight.remove(at).expect("just found");
                        self.failed.push(FailedCall { about: failed.about, timed_out: false });
                    }
                    match why {
                        // The end of the connection is announced and will report the call.
                        CallError::Disconnected => ChannelEvent::Nothing,
                        // Nothing announces an end: a peer that sends nonsense is not to be talked to.
                        CallError::Undecodable => {
                            fx.close(conn);
                            self.end(now, fx, Ended::Disconnected)
                        }
                    }
                }
            },
            (input, _) => ChannelEvent::NotMine(input),
        }
    }
    /// When to call [`Self::on_deadline`].
    pub fn next_deadline(&self) -> Option<Nanos> {
        match self.state {
            State::Dialing { give_up_at, .. } => Some(give_up_at),
            State::BackingOff { until } => Some(until),
            State::Open { .. } => self.in_flight.iter().map(|c| c.late_at).min(),
            State::Idle => None,
        }
    }
    /// Gives up a connection that is late. After a pause is over the channel is idle again, and the owner may connect.
    pub fn on_deadline(&mut self, now: Nanos, fx: &mut Effects<'_>) -> Option<ChannelEvent<T>> {
        match self.state {
            State::Dialing { conn, give_up_at } if give_up_at <= now => {
                fx.close(conn);
                Some(self.end(now, fx, Ended::NotOpened))
            }
            State::Open { conn } if self.in_flight.iter().any(|c| c.late_at <= now) => {
                fx.close(conn);
                Some(self.end(now, fx, Ended::TimedOut))
            }
            State::BackingOff { until } if until <= now => {
                self.state = State::Idle;
                None
            }
            _ => None,
        }
    }

    fn end(&mut self, now: Nanos, fx: &mut Effects<'_>, why: Ended) -> ChannelEvent<T> {
        let base = self.timeouts.reconnect_backoff_ms.max(0) << self.failures.min(10);
        let pause = ms(base.min(self.timeouts.reconnect_backoff_max_ms));
        let jittered = pause * 4 / 5 + fx.random_below(RandomFor::Backoff, pause * 2 / 5 + 1);
        self.failures = self.failures.saturating_add(1);
        self.state = State::BackingOff { until: now + jittered };
        let mut calls = std::mem::take(&mut self.failed);
        let timed_out = why == Ended::TimedOut;
        calls.extend(self.in_flight.drain(..).map(|c| FailedCall { about: c.about, timed_out }));
        ChannelEvent::Ended(why, calls)
    }
}
