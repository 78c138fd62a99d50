//! A copy of a broker, on a copy of its disk, that is asked what in this run perhaps nobody asks.
//!
//! ```text
//!   broker, disk ─▶ copies ─▶ request ─▶ handler ─▶ what it defers, what it syncs ─▶ … ─▶ answer
//! ```
//!
//! The copy is alone: what it sends to others goes nowhere, what it syncs is durable at once, its disk is sound, and its
//! clock goes on only when it is told so.

use std::collections::VecDeque;

use kafka_protocol::messages::{RequestKind, ResponseKind};
use trial_kafka::broker::partition::Partition;
use trial_kafka::broker::{Broker, BrokerTimer, FetcherKey, GroupStep, Step};
use trial_kafka::config::BrokerConfig;
use trial_kafka::event::Event;
use trial_kafka::ids::TopicPartition;
use trial_kafka::metadata::MetadataImage;
use trial_kafka::node::{
    CallError, CallId, Command, ConnId, Effect, Effects, EventId, Host, Input, Listener, LocalStep, Nanos, Node, Now,
    OpId, Purpose, RandomFor, ReqId, RequestHeader, ms,
};
use trial_storage::{Disk, LogConfig};
use uuid::Uuid;

use crate::disk::VirtualDisk;

/// A copy that has more to do than this after one input is left alone.
const MOST_STEPS: usize = 10_000;
/// Where the numbers of a copy begin: far from those that the broker has been given.
const FIRST_NUMBER: u64 = 1 << 62;

/// What became of a request.
#[derive(Clone, Debug)]
pub(super) enum Settled {
    Answered(Box<ResponseKind>),
    /// Settled, and no answer goes out: as with acks=0.
    Silently,
    HungUp,
    /// Not settled yet.
    Waits,
}

/// See the module documentation.
pub(super) struct BrokerCopy {
    broker: Broker,
    disk: VirtualDisk,
    now: Now,
    heard: Heard,
}

/// Nobody: it hears what the copy wants, and nothing of that happens outside.
struct Heard {
    next: u64,
    effects: Vec<Effect>,
    /// What it tells of what it did last.
    events: Vec<Event>,
}

impl Host for Heard {
    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
    fn random(&mut self, _: RandomFor) -> u64 {
        // Other numbers each time, and the same in each run (Fibonacci hashing).
        self.fresh().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
    fn record(&mut self, event: Event, _: &[EventId]) -> EventId {
        self.events.push(event);
        EventId::NONE
    }
    fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
    fn charge(&mut self, _: Nanos) {}
}

impl BrokerCopy {
    pub(super) fn of(broker: &Broker, disk: &VirtualDisk, now: Now) -> Self {
        let mut disk = disk.clone();
        disk.repair();
        disk.set_capacity(None);
        let heard = Heard { next: FIRST_NUMBER, effects: Vec::new(), events: Vec::new() };
        BrokerCopy { broker: broker.clone(), disk, now, heard }
    }
    /// From now on the log of this partition is configured so.
    pub(super) fn configure(self, id: &TopicPartition, config: LogConfig) -> Self {
        BrokerCopy { broker: self.broker.with_log_config(id, config), ..self }
    }
    /// From now on it is configured otherwise, and nobody has a fetch session.
    pub(super) fn with_config(self, configure: impl FnOnce(&mut BrokerConfig)) -> Self {
        BrokerCopy { broker: self.broker.with_config(configure), ..self }
    }

    pub(super) fn broker(&self) -> &Broker {
        &self.broker
    }
    pub(super) fn partition(&self, id: &TopicPartition) -> Option<&Partition> {
        self.broker.partition(id)
    }
    pub(super) fn disk(&mut self) -> &mut dyn Disk {
        &mut self.disk
    }
    pub(super) fn now(&self) -> Now {
        self.now
    }
    /// What it told of what it did last.
    pub(super) fn told(&self) -> &[Event] {
        &self.heard.events
    }

    /// Asks it, as some client.
    pub(super) fn ask(&mut self, version: i16, body: impl Into<RequestKind>) -> (ReqId, Settled) {
        let (req, conn, effects) = self.put(version, body.into());
        (req, settlement(effects, req, Some(conn)))
    }
    /// Asks it, and hears what it asks others by that.
    pub(super) fn ask_and_hear(&mut self, version: i16, body: impl Into<RequestKind>) -> (Settled, Vec<Effect>) {
        let (req, conn, effects) = self.put(version, body.into());
        (settlement(effects.clone(), req, Some(conn)), effects)
    }
    fn put(&mut self, version: i16, body: RequestKind) -> (ReqId, ConnId, Vec<Effect>) {
        let req = ReqId(self.heard.fresh());
        let conn = ConnId(self.heard.fresh());
        let header = RequestHeader {
            listener: Listener::Broker,
            api_version: version,
            client_id: "rehearsal".to_string(),
            client_host: "/127.0.0.1".to_string(),
        };
        (req, conn, self.hand(Input::Request { req, conn, header, body: Box::new(body) }))
    }

    /// Its clock goes on, and it does what this timer is for. What becomes of that request by it?
    pub(super) fn pass(&mut self, by_ms: i64, timer: BrokerTimer, req: ReqId) -> Settled {
        settlement(self.tick(by_ms, timer), req, None)
    }
    /// Its clock goes on, and it does what this timer is for. Returns what it wants others to do.
    pub(super) fn tick(&mut self, by_ms: i64, timer: BrokerTimer) -> Vec<Effect> {
        self.now = later(self.now, by_ms);
        self.hand(Input::Local(LocalStep::Broker(Step::Tick(timer))))
    }
    /// Its clock goes on, and its fetchers do what they are woken for, or were before there was a copy. Returns what it wants others to do.
    pub(super) fn wake_fetchers(&mut self, by_ms: i64) -> Vec<Effect> {
        let woken: Vec<FetcherKey> = self.broker.woken_fetchers().collect();
        let mut effects = self.tick(by_ms, BrokerTimer::Fetchers);
        for key in woken {
            effects.extend(self.hand(Input::Local(LocalStep::Broker(Step::Fetch(key)))));
        }
        effects
    }
    /// Its clock goes on, and it does nothing.
    pub(super) fn wait(&mut self, by_ms: i64) {
        self.now = later(self.now, by_ms);
    }
    /// Its call is answered so. Returns what it wants others to do.
    pub(super) fn respond(&mut self, conn: ConnId, call: CallId, response: ResponseKind) -> Vec<Effect> {
        self.hand(Input::Response { call, conn, result: Ok(Box::new(response)) })
    }

    /// The connection ends on which it waits for an answer to that call. Returns what it wants others to do.
    pub(super) fn hangs_up(&mut self, conn: ConnId, call: CallId) -> Vec<Effect> {
        let lost = Input::Response { call, conn, result: Err(CallError::Disconnected) };
        [lost, Input::Closed { conn }].into_iter().flat_map(|input| self.hand(input)).collect()
    }
    /// A step of its coordinators that the broker may have set itself to do: the copy has not.
    pub(super) fn takes_group_step(&mut self, step: GroupStep) {
        self.hand(Input::Local(LocalStep::Broker(Step::Groups(step))));
    }

    /// It hears metadata that differs from what it knows by this change. Returns what it wants others to do.
    pub(super) fn hears(&mut self, change: impl FnOnce(&mut MetadataImage)) -> Vec<Effect> {
        self.heard.events.clear();
        let mut fx = Effects::new(&mut self.heard);
        self.broker.hear_metadata(self.now, change, &mut self.disk, &mut fx);
        self.go_on(VecDeque::new())
    }

    /// It stops in order, at once: the controller is not asked.
    pub(super) fn shut_down(&mut self) {
        let command = Command::ShutDown;
        self.broker = self.broker.clone().with_config(|config| config.controlled_shutdown_enable = false);
        self.hand(Input::Command { op: OpId(self.heard.next), command });
    }
    /// Its process is no more. After so long, in which something happens to its disk, the next one starts.
    pub(super) fn start_anew(&mut self, blank: &Broker, after_ms: i64, meanwhile: impl FnOnce(&mut dyn Disk)) {
        self.disk.process_crash();
        meanwhile(&mut self.disk);
        self.disk.process_crash();
        self.broker = blank.clone();
        self.now = later(self.now, after_ms);
        self.hand(Input::Start { incarnation: Uuid::from_u128(u128::MAX - 1) });
    }

    /// It handles this, and what it sets itself to do by that. Returns what it wants others to do.
    fn hand(&mut self, input: Input) -> Vec<Effect> {
        self.heard.events.clear();
        self.go_on(VecDeque::from([input]))
    }
    /// It does what it has set itself to do, and handles this.
    fn go_on(&mut self, mut steps: VecDeque<Input>) -> Vec<Effect> {
        let mut outside = Vec::new();
        for _ in 0..MOST_STEPS {
            for effect in self.heard.effects.drain(..) {
                match effect {
                    Effect::Defer { step, .. } => steps.push_back(Input::Local(step)),
                    Effect::Sync { ticket, .. } => steps.push_back(Input::Synced { ticket, result: Ok(()) }),
                    // What it asks the controller it must be able to say.
                    Effect::Dial { conn, purpose: Purpose::Forwarding | Purpose::AlterPartition, .. } => {
                        steps.push_back(Input::Opened { conn });
                    }
                    effect => outside.push(effect),
                }
            }
            let Some(step) = steps.pop_front() else { break };
            self.broker.handle(self.now, step, &mut self.disk, &mut Effects::new(&mut self.heard));
        }
        outside
    }
}

fn later(now: Now, by_ms: i64) -> Now {
    Now { mono: now.mono.saturating_add(ms(by_ms)), wall: now.wall.saturating_add(by_ms) }
}

fn settlement(effects: Vec<Effect>, of: ReqId, on: Option<ConnId>) -> Settled {
    let is_it = |effect: Effect| match effect {
        Effect::Answer { req, response } if req == of => Some(Settled::Answered(response)),
        Effect::SettleSilently { req } if req == of => Some(Settled::Silently),
        Effect::HangUp { conn } if on == Some(conn) => Some(Settled::HungUp),
        _ => None,
    };
    effects.into_iter().find_map(is_it).unwrap_or(Settled::Waits)
}
