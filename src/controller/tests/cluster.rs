//! Several controllers with a disk each, and a network between them that a story or a seed can cut.
//!
//! Not modelled: bytes, muted connections, a message that overtakes another on its connection. A message that is lost
//! takes its connection with it: whatever is sent on it afterwards is lost too, and the caller learns of it by its
//! time-outs. Disk syncs take time, and a loss of power takes what was not synced.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::{RequestKind, ResponseKind};
use trial_storage::Batches;
use uuid::Uuid;

use crate::config::BrokerConfig;
use crate::controller::{Controller, ControllerSetup, QuorumRole, Voter};
use crate::event::Event;
use crate::node::{
    CallError, CallId, ConnId, Effect, Effects, Endpoint, EventId, Host, Input, Nanos, Node, Now, RandomFor, ReqId,
    RequestHeader, Ticket, ms,
};
use crate::testing::memory_disk::{MemoryDisk, PendingSync};
use crate::zoo::Zoo;

pub const CLUSTER: &str = "trial";

/// A small generator of known sequence (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound.max(1))) >> 64) as u64
    }
    /// True in so many of a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

struct Recorder<'a> {
    fresh: &'a mut u64,
    random: &'a mut Random,
    effects: Vec<Effect>,
    events: Vec<Event>,
}

impl Host for Recorder<'_> {
    fn fresh(&mut self) -> u64 {
        *self.fresh += 1;
        *self.fresh
    }
    fn random(&mut self, _: RandomFor) -> u64 {
        self.random.next()
    }
    fn record(&mut self, event: Event, _: &[EventId]) -> EventId {
        self.events.push(event);
        EventId(1)
    }
    fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
    fn charge(&mut self, _: Nanos) {}
}

pub struct Machine {
    pub controller: Controller,
    pub disk: MemoryDisk,
    pub up: bool,
    /// Syncs do not end.
    pub disk_stalls: bool,
    life: u64,
    held: Vec<(Ticket, PendingSync)>,
    last_sync_ends: Nanos,
    pub halted: Option<String>,
}

struct Conn {
    dialer: i32,
    acceptor: i32,
    lives: (u64, u64),
    lost: bool,
    /// Calls without an answer.
    calls: Vec<CallId>,
}

enum Delivery {
    Input(Input),
    Synced(Ticket, PendingSync),
}

/// See the module documentation. Node ids count from 1.
pub struct Cluster {
    pub machines: BTreeMap<i32, Machine>,
    /// Voters that the story plays itself: what is asked of them stands in `asked`.
    pub puppets: BTreeSet<i32>,
    pub asked: Vec<(i32, ConnId, CallId, RequestKind)>,
    pub now: Now,
    pub random: Random,
    /// Nothing passes from the first to the second.
    pub cuts: BTreeSet<(i32, i32)>,
    /// Messages lost, in percent.
    pub loss: u64,
    /// Longest way of a message and longest sync, in milliseconds.
    pub slowness: u64,
    pub events: Vec<(i32, Event)>,
    pub answers: BTreeMap<ReqId, ResponseKind>,
    fresh: u64,
    conns: BTreeMap<ConnId, Conn>,
    /// Requests between nodes, by their call.
    requests: BTreeMap<ReqId, (ConnId, CallId)>,
    queue: BTreeMap<(Nanos, u64), (i32, u64, Delivery)>,
}

pub fn voter(id: i32) -> Voter {
    let endpoint = Endpoint { host: format!("c{id}"), port: 9093 };
    Voter { id, directory_id: Uuid::from_u128(1_000 + id as u128), endpoint }
}

fn setup(id: i32, voters: i32, config: &BrokerConfig, zoo: Zoo) -> ControllerSetup {
    ControllerSetup {
        node_id: id,
        directory_id: voter(id).directory_id,
        voters: (1..=voters).map(voter).collect(),
        endpoint: voter(id).endpoint,
        config: config.clone(),
        zoo,
        cluster_id: CLUSTER.to_string(),
    }
}

impl Cluster {
    /// So many voters, none started.
    pub fn of(voters: i32, seed: u64, zoo: Zoo) -> Cluster {
        Cluster::with_spares(voters, 0, &BrokerConfig::default(), seed, zoo)
    }
    /// So many voters, and so many controllers besides that are none; none started.
    pub fn with_spares(voters: i32, spares: i32, config: &BrokerConfig, seed: u64, zoo: Zoo) -> Cluster {
        let machine = |id| Machine {
            controller: Controller::new(setup(id, voters, config, zoo)),
            disk: MemoryDisk::default(),
            up: false,
            disk_stalls: false,
            life: 0,
            held: Vec::new(),
            last_sync_ends: 0,
            halted: None,
        };
        Cluster {
            machines: (1..=voters + spares).map(|id| (id, machine(id))).collect(),
            puppets: BTreeSet::new(),
            asked: Vec::new(),
            now: Now { mono: 0, wall: 1_000_000 },
            random: Random(seed),
            cuts: BTreeSet::new(),
            loss: 0,
            slowness: 2,
            events: Vec::new(),
            answers: BTreeMap::new(),
            fresh: 0,
            conns: BTreeMap::new(),
            requests: BTreeMap::new(),
            queue: BTreeMap::new(),
        }
    }
    /// So many voters, started.
    pub fn started(voters: i32, seed: u64, zoo: Zoo) -> Cluster {
        let mut cluster = Cluster::of(voters, seed, zoo);
        (1..=voters).for_each(|id| cluster.start(id));
        cluster
    }
    /// Three voters, one of which decides.
    pub fn settled(seed: u64, zoo: Zoo) -> Cluster {
        let mut cluster = Cluster::started(3, seed, zoo);
        cluster.run(8_000);
        assert!(cluster.active().is_some(), "somebody decides after eight seconds");
        cluster
    }
    /// Node 1 alone of three voters, the story being the others.
    pub fn with_puppets(zoo: Zoo) -> Cluster {
        let mut cluster = Cluster::of(3, 7, zoo);
        cluster.puppets = BTreeSet::from([2, 3]);
        cluster.start(1);
        cluster
    }

    pub fn node(&self, id: i32) -> &Controller {
        &self.machines[&id].controller
    }
    pub fn ids(&self) -> Vec<i32> {
        self.machines.keys().copied().collect()
    }
    pub fn active(&self) -> Option<i32> {
        let mut active: Vec<i32> = self.ids();
        active.retain(|id| self.machines[id].up && self.node(*id).is_active());
        active.sort_by_key(|id| -self.node(*id).epoch());
        active.first().copied()
    }
    pub fn role(&self, id: i32) -> QuorumRole {
        self.node(id).role()
    }
    pub fn names_of(&self, id: i32) -> Vec<&'static str> {
        self.events.iter().filter(|(of, _)| *of == id).map(|(_, event)| event.name()).collect()
    }

    // ── processes ────────────────────────────────────────────────────────────────────────────────────────────────
    pub fn start(&mut self, id: i32) {
        let machine = self.machines.get_mut(&id).expect("a node of the cluster");
        assert!(!machine.up);
        machine.controller = Controller::new(machine.controller.setup().clone());
        (machine.up, machine.halted) = (true, None);
        machine.life += 1;
        let incarnation = Uuid::from_u128(u128::from(machine.life) << 32 | id as u128);
        self.feed(id, Input::Start { incarnation });
    }
    /// The process dies; what it wrote stays.
    pub fn crash(&mut self, id: i32) {
        let machine = self.machines.get_mut(&id).expect("a node of the cluster");
        machine.up = false;
        machine.life += 1;
        machine.held.clear();
        let mut ended = Vec::new();
        for (conn, c) in &mut self.conns {
            if c.dialer == id || c.acceptor == id {
                c.lost = true;
                if c.acceptor == id {
                    ended.push((*conn, c.dialer, c.lives.0, std::mem::take(&mut c.calls)));
                }
            }
        }
        for (conn, dialer, life, calls) in ended {
            for call in calls {
                let input = Input::Response { call, conn, result: Err(CallError::Disconnected) };
                self.push(dialer, life, 1, Delivery::Input(input));
            }
            self.push(dialer, life, 1, Delivery::Input(Input::Closed { conn }));
        }
    }
    /// It dies, and what was not synced is gone.
    pub fn lose_power(&mut self, id: i32) {
        if self.machines[&id].up {
            self.crash(id);
        }
        self.machines.get_mut(&id).expect("a node of the cluster").disk.lose_power();
    }
    /// An operator takes the disk out and formats another, for the next start.
    pub fn replace_disk(&mut self, id: i32) {
        if self.machines[&id].up {
            self.crash(id);
        }
        let machine = self.machines.get_mut(&id).expect("a node of the cluster");
        machine.disk = MemoryDisk::default();
        let mut setup = machine.controller.setup().clone();
        setup.directory_id = Uuid::from_u128(setup.directory_id.as_u128() + 1_000);
        machine.controller = Controller::new(setup);
    }
    /// It listens elsewhere from its next start on.
    pub fn listen_at(&mut self, id: i32, port: u16) {
        let machine = self.machines.get_mut(&id).expect("a node of the cluster");
        let mut setup = machine.controller.setup().clone();
        setup.endpoint.port = port;
        machine.controller = Controller::new(setup);
    }
    pub fn isolate(&mut self, id: i32) {
        for other in self.ids().into_iter().filter(|other| *other != id) {
            self.cuts.extend([(id, other), (other, id)]);
        }
    }
    pub fn heal(&mut self) {
        self.cuts.clear();
        self.loss = 0;
    }
    /// What was synced last, and stands, ends; what was asked for first stands on.
    pub fn release_all_but_the_first_sync(&mut self, id: i32) {
        let machine = self.machines.get_mut(&id).expect("a node of the cluster");
        let life = machine.life;
        for (ticket, pending) in machine.held.split_off(1.min(machine.held.len())) {
            self.push(id, life, 1, Delivery::Synced(ticket, pending));
        }
    }
    /// Syncs of this disk end from now on, those that stood included.
    pub fn release_disk(&mut self, id: i32) {
        let machine = self.machines.get_mut(&id).expect("a node of the cluster");
        machine.disk_stalls = false;
        let life = machine.life;
        for (ticket, pending) in std::mem::take(&mut machine.held) {
            self.push(id, life, 0, Delivery::Synced(ticket, pending));
        }
    }

    // ── requests of the story ────────────────────────────────────────────────────────────────────────────────────
    /// Hands a request to a node, as if it came from outside.
    pub fn send(&mut self, to: i32, api_version: i16, body: impl Into<RequestKind>) -> ReqId {
        self.fresh += 1;
        let req = ReqId(self.fresh);
        let header = RequestHeader {
            api_version,
            client_id: "story".to_string(),
            client_host: "/test".to_string(),
            listener: crate::node::Listener::Controller,
        };
        self.feed(to, Input::Request { req, conn: ConnId(0), header, body: Box::new(body.into()) });
        req
    }
    /// The answer of a puppet to what was asked of it first.
    pub fn reply(&mut self, respond: impl Fn(i32, &RequestKind) -> Option<ResponseKind>) {
        for (puppet, conn, call, request) in std::mem::take(&mut self.asked) {
            if let Some(response) = respond(puppet, &request) {
                self.feed(1, Input::Response { call, conn, result: Ok(Box::new(response)) });
            }
        }
    }

    // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────
    pub fn run(&mut self, millis: i64) {
        self.run_until(millis, |_| false);
    }
    /// True as soon as it is so.
    pub fn run_until(&mut self, millis: i64, is_so: impl Fn(&Cluster) -> bool) -> bool {
        let end = self.now.mono + ms(millis);
        loop {
            if is_so(self) {
                return true;
            }
            if !self.step(end) {
                return is_so(self);
            }
        }
    }
    /// One delivery or deadline before `end`; false if there is none.
    pub fn step(&mut self, end: Nanos) -> bool {
        let deadlines = self.machines.iter().filter(|(_, m)| m.up);
        let deadline = deadlines.filter_map(|(id, m)| Some((m.controller.next_deadline()?, *id))).min();
        let delivery = self.queue.first_key_value().map(|((at, _), _)| *at);
        let deadline_first = deadline.is_some_and(|(at, _)| delivery.is_none_or(|delivery| at < delivery));
        let at = if deadline_first { deadline.map(|(at, _)| at) } else { delivery };
        let Some(at) = at.filter(|at| *at <= end) else {
            self.advance_to(end);
            return false;
        };
        self.advance_to(at);
        match deadline {
            Some((_, id)) if deadline_first => self.feed(id, Input::Deadline),
            _ => {
                let (_, (to, life, what)) = self.queue.pop_first().expect("it was just seen");
                self.deliver(to, life, what);
            }
        }
        true
    }
    fn advance_to(&mut self, at: Nanos) {
        let before = self.now.mono;
        self.now.mono = before.max(at);
        self.now.wall += ((self.now.mono / 1_000_000) - (before / 1_000_000)) as i64;
    }
    fn deliver(&mut self, to: i32, life: u64, what: Delivery) {
        let Some(machine) = self.machines.get_mut(&to).filter(|m| m.up && m.life == life) else { return };
        match what {
            Delivery::Input(input) => self.feed(to, input),
            Delivery::Synced(ticket, pending) => {
                machine.disk.complete_sync(pending);
                self.feed(to, Input::Synced { ticket, result: Ok(()) });
            }
        }
    }
    fn push(&mut self, to: i32, life: u64, delay_ms: u64, what: Delivery) {
        self.fresh += 1;
        let micros = delay_ms * 1_000;
        let jittered = (micros / 10 + self.random.below(micros + 1)) * 1_000;
        let mut at = self.now.mono + jittered;
        // A disk ends its syncs in their order: a later one holds what an earlier one held, and more.
        if let Delivery::Synced(..) = what
            && let Some(machine) = self.machines.get_mut(&to)
        {
            at = at.max(machine.last_sync_ends);
            machine.last_sync_ends = at;
        }
        self.queue.insert((at, self.fresh), (to, life, what));
    }

    // ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────
    pub fn feed(&mut self, id: i32, input: Input) {
        let Some(machine) = self.machines.get_mut(&id).filter(|m| m.up) else { return };
        let mut host = Recorder { fresh: &mut self.fresh, random: &mut self.random, effects: vec![], events: vec![] };
        machine.controller.handle(self.now, input, &mut machine.disk, &mut Effects::new(&mut host));
        let (effects, events) = (host.effects, host.events);
        self.events.extend(events.into_iter().map(|event| (id, event)));
        for effect in effects {
            self.carry_out(id, effect);
        }
    }
    fn carry_out(&mut self, id: i32, effect: Effect) {
        let life = self.machines[&id].life;
        match effect {
            Effect::Sync { ticket, targets } => {
                let machine = self.machines.get_mut(&id).expect("it just ran");
                let pending = machine.disk.snapshot_for_sync(&targets);
                if machine.disk_stalls {
                    machine.held.push((ticket, pending));
                } else {
                    self.push(id, life, self.slowness, Delivery::Synced(ticket, pending));
                }
            }
            Effect::Defer { step, .. } => self.feed(id, Input::Local(step)),
            Effect::Dial { conn, endpoint, .. } => self.dial(id, conn, &endpoint),
            Effect::Close { conn } => {
                self.conns.remove(&conn);
            }
            Effect::Call { call, conn, version, request, .. } => self.call(id, call, conn, version, *request),
            Effect::Answer { req, response } => self.answer(id, req, *response),
            Effect::Halt { why } => {
                self.crash(id);
                self.machines.get_mut(&id).expect("it just ran").halted = Some(why);
            }
            other => panic!("a controller does not do that: {other:?}"),
        }
    }
    fn dial(&mut self, id: i32, conn: ConnId, endpoint: &Endpoint) {
        let to: i32 = endpoint.host[1..].parse().expect("hosts are named c1, c2 …");
        let life = self.machines[&id].life;
        let passes = !self.cuts.contains(&(id, to)) && !self.cuts.contains(&(to, id));
        let acceptor_life = self.machines.get(&to).filter(|m| m.up).map(|m| m.life);
        if self.puppets.contains(&to) {
            self.conns.insert(conn, Conn { dialer: id, acceptor: to, lives: (life, 0), lost: false, calls: vec![] });
            self.push(id, life, 0, Delivery::Input(Input::Opened { conn }));
        } else if !passes {
            // Nothing comes back, and the dialer's time-out ends it.
        } else if let Some(acceptor_life) = acceptor_life {
            let lives = (life, acceptor_life);
            self.conns.insert(conn, Conn { dialer: id, acceptor: to, lives, lost: false, calls: vec![] });
            self.push(id, life, self.slowness, Delivery::Input(Input::Opened { conn }));
        } else {
            self.push(id, life, self.slowness, Delivery::Input(Input::DialFailed { conn }));
        }
    }
    fn call(&mut self, id: i32, call: CallId, conn: ConnId, version: i16, request: RequestKind) {
        let is_lost = self.random.percent(self.loss);
        let Some(c) = self.conns.get_mut(&conn) else { return };
        c.lost |= is_lost || self.cuts.contains(&(id, c.acceptor));
        c.calls.push(call);
        let (to, life) = (c.acceptor, c.lives.1);
        if c.lost {
            return;
        }
        if self.puppets.contains(&to) {
            self.asked.push((to, conn, call, request));
            return;
        }
        self.fresh += 1;
        let req = ReqId(self.fresh);
        self.requests.insert(req, (conn, call));
        let header = RequestHeader {
            api_version: version,
            client_id: format!("c{id}"),
            client_host: format!("/c{id}"),
            listener: crate::node::Listener::Controller,
        };
        let input = Input::Request { req, conn, header, body: Box::new(request) };
        self.push(to, life, self.slowness, Delivery::Input(input));
    }
    fn answer(&mut self, id: i32, req: ReqId, response: ResponseKind) {
        let Some((conn, call)) = self.requests.remove(&req) else {
            assert!(self.answers.insert(req, response).is_none(), "answered twice");
            return;
        };
        let is_lost = self.random.percent(self.loss);
        let Some(c) = self.conns.get_mut(&conn) else { return };
        c.lost |= is_lost || self.cuts.contains(&(id, c.dialer));
        if c.lost {
            return;
        }
        c.calls.retain(|pending| *pending != call);
        let (to, life) = (c.dialer, c.lives.0);
        let input = Input::Response { call, conn, result: Ok(Box::new(response)) };
        self.push(to, life, self.slowness, Delivery::Input(input));
    }

    /// Everything in a node's log from an offset to below another: offset and bytes of each batch.
    pub fn batches(&mut self, id: i32, from: i64, end: i64) -> Vec<(i64, bytes::Bytes)> {
        let machine = self.machines.get_mut(&id).expect("a node of the cluster");
        let Some(log) = machine.controller.log() else { return vec![] };
        let (mut at, mut found) = (from, Vec::new());
        while at < end.min(log.log_end_offset()) {
            let bytes = log.read(&mut machine.disk, at, end, 1 << 20, true).expect("the log can be read");
            for batch in Batches::new(bytes).map(|batch| batch.expect("a batch")) {
                at = batch.header.next_offset();
                found.push((batch.header.base_offset, batch.bytes.clone()));
            }
        }
        found
    }
}
