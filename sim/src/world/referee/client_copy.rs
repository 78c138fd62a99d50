//! A client that is played: it speaks to brokers of which each does what the play says, and to nobody else.
//!
//! ```text
//!   commands ─▶ client ─▶ dials: opened at once
//!                 ▲  └──▶ requests ─▶ Metadata: answered at once, the rest: when the play answers it
//!                 └────── its clock goes on when the play says so
//! ```
//!
//! There are two brokers, and one topic whose partitions the play names the leaders of.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, RequestKind, ResponseKind};
use kafka_protocol::protocol::StrBytes;
use trial_kafka::client::{Client, ClientSetup, Role};
use trial_kafka::event::Event;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{
    CallError, CallId, Command, ConnId, Effect, Effects, Endpoint, EventId, Host, Input, Nanos, Node, Now, OpId,
    Outcome, RandomFor, ms,
};
use trial_kafka::zoo::Zoo;
use uuid::Uuid;

use crate::disk::VirtualDisk;

/// A client that wakes up more often than this while its clock goes on once is left alone.
const MOST_WAKE_UPS: usize = 1_000;
/// The leader epoch in which a play begins.
pub(super) const FIRST_EPOCH: i32 = 5;
/// The brokers that there are.
const BROKERS: [i32; 2] = [1, 2];
pub(super) const TOPIC: &str = "rehearsal";
pub(super) const TOPIC_ID: Uuid = Uuid::from_u128(77);
pub(super) const PORT: u16 = 9092;

/// A partition of the topic.
pub(super) fn partition(index: i32) -> TopicPartition {
    TopicPartition::new(&Topic::new(TOPIC), index)
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub(super) struct Call {
    conn: ConnId,
    call: CallId,
    pub(super) broker: i32,
    /// The play knows of it.
    is_in_hand: bool,
    pub(super) request: RequestKind,
}

/// See the module documentation.
pub(super) struct ClientCopy {
    client: Client,
    /// Clients have none.
    disk: VirtualDisk,
    now: Now,
    heard: Heard,
    /// Without an answer, oldest first. On one connection they are answered in this order.
    calls: VecDeque<Call>,
    outcomes: BTreeMap<OpId, Outcome>,
    /// Who is at the other end of each connection.
    conns: BTreeMap<ConnId, i32>,
    /// Leader and leader epoch of each partition.
    pub(super) leaders: Vec<(i32, i32)>,
    /// Brokers that metadata shows dead.
    pub(super) dead: BTreeSet<i32>,
}

/// Nobody: it hears what the client wants, and nothing of that happens outside.
struct Heard {
    next: u64,
    effects: VecDeque<Effect>,
}

impl Host for Heard {
    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
    /// The middle: no pause is longer than is configured.
    fn random(&mut self, _: RandomFor) -> u64 {
        u64::MAX / 2
    }
    fn record(&mut self, _: Event, _: &[EventId]) -> EventId {
        EventId::NONE
    }
    fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }
    fn charge(&mut self, _: Nanos) {}
}

impl ClientCopy {
    /// A client of that kind that has just started; these brokers lead the partitions, in epoch [`FIRST_EPOCH`].
    pub(super) fn start(role: Role, leaders: &[i32], zoo: Zoo, now: Now) -> Self {
        let bootstrap = BROKERS.map(|id| Endpoint { host: host(id), port: PORT }).to_vec();
        let client = Client::new(ClientSetup { client_id: TOPIC.to_string(), bootstrap, role, zoo });
        let heard = Heard { next: 0, effects: VecDeque::new() };
        let mut copy = ClientCopy {
            client,
            disk: VirtualDisk::new(None),
            now,
            heard,
            calls: VecDeque::new(),
            outcomes: BTreeMap::new(),
            conns: BTreeMap::new(),
            leaders: leaders.iter().map(|leader| (*leader, FIRST_EPOCH)).collect(),
            dead: BTreeSet::new(),
        };
        copy.hand(Input::Start { incarnation: Uuid::from_u128(1) });
        copy
    }
    /// The client becomes this one.
    pub(super) fn change(&mut self, change: impl FnOnce(Client) -> Client) {
        self.client = change(self.client.clone());
    }

    /// The application wants this.
    pub(super) fn command(&mut self, command: Command) -> OpId {
        let op = OpId(self.heard.fresh());
        self.hand(Input::Command { op, command });
        op
    }
    /// How it ended.
    pub(super) fn outcome(&self, op: OpId) -> Option<&Outcome> {
        self.outcomes.get(&op)
    }
    /// The oldest request without an answer, which the play has in hand from now on.
    pub(super) fn next_call(&mut self) -> Option<Call> {
        self.next_such_call(|_| true)
    }
    /// The oldest of such requests without an answer.
    pub(super) fn next_such_call(&mut self, is_such: impl Fn(&RequestKind) -> bool) -> Option<Call> {
        let call = self.calls.iter_mut().find(|call| !call.is_in_hand && is_such(&call.request))?;
        call.is_in_hand = true;
        Some(call.clone())
    }
    /// A broker answers.
    pub(super) fn answer(&mut self, call: &Call, response: ResponseKind) {
        self.calls.retain(|waits| waits.call != call.call);
        self.hand(Input::Response { call: call.call, conn: call.conn, result: Ok(Box::new(response)) });
    }
    /// All connections with requests on them end.
    pub(super) fn cut_off(&mut self) {
        let lost = std::mem::take(&mut self.calls);
        for Call { conn, call, .. } in &lost {
            self.hand(Input::Response { call: *call, conn: *conn, result: Err(CallError::Disconnected) });
        }
        for conn in lost.iter().map(|call| call.conn).collect::<BTreeSet<_>>() {
            self.hand(Input::Closed { conn });
        }
    }
    /// Its clock goes on.
    pub(super) fn pass(&mut self, by_ms: i64) {
        let until = self.now.mono.saturating_add(ms(by_ms));
        for _ in 0..MOST_WAKE_UPS {
            let Some(at) = self.client.next_deadline().filter(|at| *at <= until) else { break };
            self.set_clock(at.max(self.now.mono));
            self.hand(Input::Deadline);
        }
        self.set_clock(until);
    }
    fn set_clock(&mut self, mono: Nanos) {
        let by = mono - self.now.mono;
        self.now = Now { mono, wall: self.now.wall.saturating_add((by / ms(1)) as i64) };
    }

    /// It handles this, and what at once follows.
    fn hand(&mut self, input: Input) {
        self.handle(input);
        for _ in 0..MOST_WAKE_UPS {
            let Some(effect) = self.heard.effects.pop_front() else {
                match self.metadata_due() {
                    Some(input) => self.handle(input),
                    None => break,
                }
                continue;
            };
            match effect {
                Effect::Dial { conn, endpoint, .. } => {
                    let broker = BROKERS.into_iter().find(|id| host(*id) == endpoint.host);
                    self.conns.insert(conn, broker.unwrap_or(-1));
                    self.handle(Input::Opened { conn });
                }
                Effect::Close { conn } => self.calls.retain(|call| call.conn != conn),
                Effect::Call { call, conn, request, wants_response: true, .. } => {
                    let broker = self.conns.get(&conn).copied().unwrap_or(-1);
                    let is_in_hand = is_metadata(&request);
                    self.calls.push_back(Call { conn, call, broker, is_in_hand, request: *request });
                }
                Effect::Deliver { op, outcome } => {
                    self.outcomes.insert(op, outcome);
                }
                _ => {}
            }
        }
    }
    fn handle(&mut self, input: Input) {
        self.client.handle(self.now, input, &mut self.disk, &mut Effects::new(&mut self.heard));
    }
    /// The answer to a request for metadata whose turn it is.
    fn metadata_due(&mut self) -> Option<Input> {
        let is_first = |call: &Call| self.calls.iter().find(|first| first.conn == call.conn).map(|c| c.call);
        let at = self.calls.iter().position(|call| is_metadata(&call.request) && is_first(call) == Some(call.call))?;
        let Call { conn, call, request, .. } = self.calls.remove(at)?;
        let RequestKind::Metadata(request) = request else { return None };
        Some(Input::Response { call, conn, result: Ok(Box::new(self.metadata(&request).into())) })
    }

    fn metadata(&self, asked: &MetadataRequest) -> MetadataResponse {
        let broker = |id: i32| {
            let host = StrBytes::from_string(host(id));
            MetadataResponseBroker::default().with_node_id(id.into()).with_host(host).with_port(PORT.into())
        };
        let partition = |(index, (leader, epoch)): (i32, &(i32, i32))| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id((*leader).into())
                .with_leader_epoch(*epoch)
                .with_replica_nodes(BROKERS.map(Into::into).to_vec())
                .with_isr_nodes(BROKERS.map(Into::into).to_vec())
                .with_offline_replicas(self.dead.iter().map(|id| (*id).into()).collect())
        };
        let topic = |asked: &MetadataRequestTopic| {
            let topic = MetadataResponseTopic::default().with_name(asked.name.clone());
            match asked.name.as_ref().is_some_and(|name| name.0.as_str() == TOPIC) {
                true => {
                    topic.with_topic_id(TOPIC_ID).with_partitions((0..).zip(&self.leaders).map(partition).collect())
                }
                false => topic.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
            }
        };
        MetadataResponse::default()
            .with_brokers(BROKERS.map(broker).to_vec())
            .with_topics(asked.topics.iter().flatten().map(topic).collect())
    }
}

fn is_metadata(request: &RequestKind) -> bool {
    matches!(request, RequestKind::Metadata(_))
}

pub(super) fn host(id: i32) -> String {
    format!("b{id}")
}
