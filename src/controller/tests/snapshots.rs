//! Several voters that take snapshots, cut their logs, fall behind, and come back.

use std::collections::BTreeSet;

use kafka_protocol::messages::broker_registration_request::Listener;
use trial_storage::Disk;

use super::*;
use crate::controller::QuorumRole;
use crate::event::Event;
use crate::node::{CallError, CallId, EventId, Host, Nanos, RandomFor};

/// One-way time of a message, and time of a sync.
const LATENCY: Nanos = ms(1);
/// A snapshot every few dozen records, and two or three batches to a segment.
fn small() -> BrokerConfig {
    BrokerConfig {
        metadata_log_max_record_bytes_between_snapshots: 2_000,
        metadata_log_segment_bytes: 300,
        metadata_max_idle_interval_ms: 50,
        ..BrokerConfig::default()
    }
}

fn header(api_version: i16) -> RequestHeader {
    RequestHeader {
        listener: crate::node::Listener::Controller,
        api_version,
        client_id: String::new(),
        client_host: "/test".to_string(),
    }
}

/// A host whose randomness differs from node to node, so that they do not stand for election at once.
#[derive(Default)]
struct Dice {
    host: TestHost,
    state: u64,
}

impl Host for Dice {
    fn fresh(&mut self) -> u64 {
        self.host.fresh()
    }
    fn random(&mut self, _: RandomFor) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.state
    }
    fn record(&mut self, event: Event, also_because: &[EventId]) -> EventId {
        self.host.record(event, also_because)
    }
    fn effect(&mut self, effect: Effect) {
        self.host.effect(effect);
    }
    fn charge(&mut self, work: Nanos) {
        self.host.charge(work);
    }
}

struct Member {
    controller: Controller,
    disk: MemoryDisk,
    host: Dice,
    is_up: bool,
    life: u64,
    handled: u32,
    halted: Option<String>,
}

enum Delivery {
    Input(Input),
    Synced(Ticket, PendingSync),
}

struct Quorum {
    members: Vec<Member>,
    now: Now,
    /// By time and order: to whom, in which of its lives, what.
    queue: BTreeMap<(Nanos, u64), (usize, u64, Delivery)>,
    next: u64,
    /// Connections: of the one who dialed to whom.
    links: BTreeMap<(usize, ConnId), usize>,
    /// Requests under way: at whom, of whom, on which connection and call.
    requests: BTreeMap<ReqId, (usize, usize, ConnId, CallId)>,
    answers: BTreeMap<ReqId, ResponseKind>,
    brokers: i32,
    seen: Vec<usize>,
}

impl Quorum {
    fn of(size: usize) -> Quorum {
        Quorum::with(size, small())
    }
    fn with(size: usize, config: BrokerConfig) -> Quorum {
        let endpoint = |i: usize| Endpoint { host: format!("c{i}"), port: 9093 };
        let voter = |i: usize| Voter {
            id: 100 + i as i32,
            directory_id: Uuid::from_u128(100 + i as u128),
            endpoint: endpoint(i),
        };
        let voters: Vec<Voter> = (0..size).map(voter).collect();
        let member = |i: usize| Member {
            controller: Controller::new(ControllerSetup {
                node_id: voters[i].id,
                directory_id: voters[i].directory_id,
                voters: voters.clone(),
                endpoint: endpoint(i),
                config: config.clone(),
                zoo: Zoo::default(),
                cluster_id: CLUSTER.to_string(),
            }),
            disk: MemoryDisk::default(),
            host: Dice { state: i as u64, ..Dice::default() },
            is_up: false,
            life: 0,
            handled: 0,
            halted: None,
        };
        Quorum {
            members: (0..size).map(member).collect(),
            now: Now { mono: 0, wall: 1_000_000 },
            queue: BTreeMap::new(),
            next: 0,
            links: BTreeMap::new(),
            requests: BTreeMap::new(),
            answers: BTreeMap::new(),
            brokers: 0,
            seen: vec![0; size],
        }
    }
    /// All of them, with a leader.
    fn running(size: usize) -> Quorum {
        let mut quorum = Quorum::of(size);
        (0..size).for_each(|i| quorum.start(i));
        quorum.pass(5_000);
        quorum.leader();
        quorum
    }

    // ── the host ─────────────────────────────────────────────────────────────────────────────────────────────────
    fn start(&mut self, i: usize) {
        let member = &mut self.members[i];
        member.controller = Controller::new(member.controller.setup().clone());
        (member.is_up, member.life, member.handled) = (true, member.life + 1, 0);
        self.handle(i, Input::Start { incarnation: Uuid::from_u128(7) });
    }
    /// Unsynced data is lost; who talked to it hears that it is gone.
    fn lose_power(&mut self, i: usize) {
        self.members[i].is_up = false;
        self.members[i].disk.lose_power();
        let gone: Vec<_> = self.links.iter().filter(|((a, _), b)| *a == i || **b == i).map(|(k, _)| *k).collect();
        for (a, conn) in gone {
            self.links.remove(&(a, conn));
            let calls: Vec<_> =
                self.requests.iter().filter(|(_, r)| (r.1, r.2) == (a, conn)).map(|(k, _)| *k).collect();
            for req in calls {
                let (_, _, _, call) = self.requests.remove(&req).unwrap();
                self.post(a, Input::Response { call, conn, result: Err(CallError::Disconnected) });
            }
            self.post(a, Input::Closed { conn });
        }
    }
    fn post(&mut self, to: usize, input: Input) {
        self.enqueue(to, Delivery::Input(input));
    }
    fn enqueue(&mut self, to: usize, delivery: Delivery) {
        self.next += 1;
        let life = self.members[to].life;
        self.queue.insert((self.now.mono + LATENCY, self.next), (to, life, delivery));
    }
    fn handle(&mut self, i: usize, input: Input) {
        let member = &mut self.members[i];
        if !member.is_up || member.halted.is_some() {
            return;
        }
        member.handled += 1;
        member.controller.handle(self.now, input, &mut member.disk, &mut Effects::new(&mut member.host));
        for effect in std::mem::take(&mut self.members[i].host.host.effects) {
            self.carry_out(i, effect);
        }
        self.check(i);
    }
    fn carry_out(&mut self, i: usize, effect: Effect) {
        match effect {
            Effect::Dial { conn, endpoint, .. } => {
                let to: usize = endpoint.host[1..].parse().unwrap();
                if self.members[to].is_up {
                    self.links.insert((i, conn), to);
                    self.post(i, Input::Opened { conn });
                } else {
                    self.post(i, Input::DialFailed { conn });
                }
            }
            Effect::Close { conn } => {
                self.links.remove(&(i, conn));
                self.requests.retain(|_, request| (request.1, request.2) != (i, conn));
            }
            Effect::Call { call, conn, version, request, .. } => {
                let Some(to) = self.links.get(&(i, conn)).copied() else { return };
                self.next += 1;
                let req = ReqId(self.next);
                self.requests.insert(req, (to, i, conn, call));
                let header = header(version);
                self.post(to, Input::Request { req, conn: ConnId(1 << 40), header, body: request });
            }
            Effect::Answer { req, response } => match self.requests.remove(&req) {
                Some((_, to, conn, call)) => {
                    self.post(to, Input::Response { call, conn, result: Ok(response) });
                }
                None => drop(self.answers.insert(req, *response)),
            },
            Effect::Sync { ticket, targets } => {
                let pending = self.members[i].disk.snapshot_for_sync(&targets);
                self.enqueue(i, Delivery::Synced(ticket, pending));
            }
            Effect::Defer { step, .. } => self.handle(i, Input::Local(step)),
            Effect::Halt { why } => self.members[i].halted = Some(why),
            Effect::HangUp { .. } | Effect::SettleSilently { .. } | Effect::Deliver { .. } => {}
        }
    }
    /// The next thing that happens, if it happens by then.
    fn step(&mut self, end: Nanos) -> bool {
        let deadline = |(i, m): (usize, &Member)| Some((m.controller.next_deadline()?.max(self.now.mono), i));
        let up = self.members.iter().enumerate().filter(|(_, m)| m.is_up && m.halted.is_none());
        let deadline = up.filter_map(deadline).min();
        let message = self.queue.keys().next().copied();
        let is_message = message.is_some_and(|(at, _)| deadline.is_none_or(|(due, _)| at <= due));
        let Some(at) = (if is_message { message.map(|m| m.0) } else { deadline.map(|d| d.0) }) else { return false };
        if at > end {
            return false;
        }
        self.now.wall += ((at - self.now.mono) / ms(1)) as i64;
        self.now.mono = at;
        if !is_message {
            self.handle(deadline.unwrap().1, Input::Deadline);
            return true;
        }
        let (to, life, delivery) = self.queue.pop_first().unwrap().1;
        if !self.members[to].is_up || self.members[to].life != life {
            return true;
        }
        match delivery {
            Delivery::Input(input) => self.handle(to, input),
            Delivery::Synced(ticket, pending) => {
                self.members[to].disk.complete_sync(pending);
                self.handle(to, Input::Synced { ticket, result: Ok(()) });
            }
        }
        true
    }
    fn pass(&mut self, millis: i64) {
        let end = self.now.mono + ms(millis);
        while self.step(end) {}
        self.now.wall += ((end - self.now.mono) / ms(1)) as i64;
        self.now.mono = end;
    }

    // ── what holds at all times ──────────────────────────────────────────────────────────────────────────────────
    /// Snapshots are of what is committed; where the log does not begin at 0 it begins at a snapshot's end; a leader
    /// loads none.
    fn check(&mut self, i: usize) {
        let member = &self.members[i];
        if let Some(why) = &member.halted {
            panic!("c{i} halted: {why}");
        }
        let events = &member.host.host.events;
        for (event, _) in &events[self.seen[i]..] {
            match event {
                Event::SnapshotWritten { end_offset, .. } => {
                    assert!(*end_offset <= member.controller.high_watermark(), "c{i}: {event}");
                }
                Event::SnapshotLoaded { .. } => {
                    assert!(matches!(member.controller.role(), QuorumRole::Follower { .. }), "c{i}: {event}");
                }
                _ => {}
            }
        }
        self.seen[i] = events.len();
        if let Some(log) = member.controller.log()
            && log.log_start_offset() > 0
        {
            let start = format!("{:020}-", log.log_start_offset());
            let is_of_start = |name: &String| name.starts_with(&start) && name.ends_with(".checkpoint");
            assert!(member.disk.list(log.dir()).unwrap().iter().any(is_of_start), "c{i} begins at no snapshot");
            assert!(member.controller.committed_image().next_offset >= log.log_start_offset(), "c{i}");
        }
    }

    // ── stories ──────────────────────────────────────────────────────────────────────────────────────────────────
    fn leader(&self) -> usize {
        let leads = |m: &Member| m.is_up && m.controller.is_active();
        let leaders: Vec<usize> = (0..self.members.len()).filter(|i| leads(&self.members[*i])).collect();
        assert_eq!(leaders.len(), 1, "one leads");
        leaders[0]
    }
    fn follower(&self) -> usize {
        (0..self.members.len()).find(|i| *i != self.leader()).unwrap()
    }
    /// So many brokers register, one after the other.
    fn register(&mut self, brokers: i32) {
        for _ in 0..brokers {
            self.brokers += 1;
            let id = self.brokers;
            let request = BrokerRegistrationRequest::default()
                .with_broker_id(WireBrokerId(id))
                .with_cluster_id(CLUSTER.into())
                .with_incarnation_id(incarnation(id, 1))
                .with_listeners(vec![Listener::default().with_host(format!("b{id}").into()).with_port(9092)]);
            self.next += 1;
            let req = ReqId(self.next);
            let header = header(4);
            let body = Box::new(RequestKind::from(request));
            self.handle(self.leader(), Input::Request { req, conn: ConnId(1 << 41), header, body });
            self.pass(20);
            match self.answers.remove(&req).expect("it is answered") {
                ResponseKind::BrokerRegistration(response) => assert_eq!(response.error_code, 0),
                other => panic!("{other:?}"),
            }
        }
    }
    fn count(&self, i: usize, of: fn(&Event) -> bool) -> usize {
        self.members[i].host.host.events.iter().filter(|(event, _)| of(event)).count()
    }
    fn loaded(&self, i: usize) -> usize {
        self.count(i, |event| matches!(event, Event::SnapshotLoaded { .. }))
    }
    fn log_start(&self, i: usize) -> i64 {
        self.members[i].controller.log().unwrap().log_start_offset()
    }
    /// Everybody knows all that was ever registered, and the same.
    fn agree(&mut self) {
        self.pass(2_000);
        let leader = self.leader();
        let known: BTreeSet<i32> = (1..=self.brokers).collect();
        for i in (0..self.members.len()).filter(|i| self.members[*i].is_up) {
            let image = self.members[i].controller.committed_image();
            assert_eq!(image.brokers.keys().copied().collect::<BTreeSet<i32>>(), known, "c{i}");
            assert_eq!(image.brokers, self.members[leader].controller.committed_image().brokers, "c{i}");
            assert!(self.log_start(i) > 0, "c{i}");
        }
    }
    /// The latest snapshot on a disk: its name and its bytes.
    fn snapshot_on(&mut self, i: usize) -> BTreeMap<String, bytes::Bytes> {
        let member = &mut self.members[i];
        let dir = member.controller.log().unwrap().dir();
        let names = member.disk.list(dir).unwrap().into_iter().filter(|name| name.ends_with(".checkpoint"));
        let mut read = |name: &String| {
            let file = member.disk.open(dir, name, trial_storage::OpenMode::Existing).unwrap();
            member.disk.read(file, 0, 1 << 20).unwrap()
        };
        names.map(|name| (name.clone(), read(&name))).collect()
    }
}

#[test]
fn every_voter_takes_snapshots_and_cuts_its_log() {
    let mut quorum = Quorum::running(3);
    quorum.register(20);
    quorum.agree();
    let mut all = BTreeMap::new();
    for i in 0..3 {
        let taken = quorum.count(i, |event| matches!(event, Event::SnapshotWritten { .. }));
        assert!(taken >= 3, "c{i} took {taken}");
        let log = quorum.members[i].controller.log().unwrap();
        assert!(log.size_in_bytes() < 4_000, "c{i} holds {} bytes", log.size_in_bytes());
        let on_disk = quorum.snapshot_on(i);
        assert_eq!(on_disk.len(), 2, "the latest, and the one before, which somebody may be fetching");
        for (name, bytes) in on_disk {
            assert_eq!(*all.entry(name).or_insert_with(|| bytes.clone()), bytes, "one id, one content");
        }
    }
}

/// With the first commit after an election there is nothing new but the LeaderChange, and the snapshot ends behind it.
#[test]
fn a_snapshot_may_end_behind_a_control_record() {
    let config = BrokerConfig { metadata_log_max_record_bytes_between_snapshots: 1, ..small() };
    let mut quorum = Quorum::with(3, config);
    (0..3).for_each(|i| quorum.start(i));
    quorum.pass(5_000);
    for _ in 0..2 {
        let leader = quorum.leader();
        quorum.lose_power(leader);
        quorum.pass(5_000);
        quorum.start(leader);
        quorum.pass(5_000);
    }
    // Whoever halts fails the story.
    quorum.register(3);
    quorum.agree();
}

#[test]
fn a_snapshot_ends_right_behind_the_last_record_it_holds() {
    use crate::metadata::snapshot::{SnapshotFile, SnapshotId, decode};
    let mut quorum = Quorum::of(1);
    let setup = quorum.members[0].controller.setup().clone();
    // Each commit is worth a snapshot, and nothing but registrations is decided.
    let config = BrokerConfig {
        metadata_log_max_record_bytes_between_snapshots: 1,
        metadata_max_idle_interval_ms: 0,
        ..setup.config.clone()
    };
    quorum.members[0].controller = Controller::new(ControllerSetup { config, ..setup });
    quorum.start(0);
    quorum.pass(5_000);
    quorum.register(3);
    let on_disk = quorum.snapshot_on(0);
    assert!(!on_disk.is_empty());
    if let Some((name, bytes)) = on_disk.into_iter().next_back() {
        let Some(SnapshotFile::Whole(id)) = SnapshotId::parse(&name) else { panic!("{name}") };
        let snapshot = decode(id, &bytes).unwrap();
        // A broker epoch is the offset of the registration record.
        let last = snapshot.image.brokers.values().map(|broker| broker.broker_epoch).max();
        assert_eq!((snapshot.image.brokers.len(), last), (3, Some(id.end_offset - 1)), "{name}");
    }
}

#[test]
fn a_voter_that_fell_behind_loads_a_snapshot_and_ends_with_the_same_metadata() {
    let (mut quorum, behind) = one_comes_back();
    quorum.agree();
    assert_eq!(quorum.loaded(behind), 1);
    quorum.register(20);
    quorum.agree();
    assert_eq!(quorum.loaded(behind), 1, "after that it follows the log");
}

#[test]
fn a_voter_that_starts_last_begins_with_a_snapshot() {
    let mut quorum = Quorum::of(3);
    quorum.start(0);
    quorum.start(1);
    quorum.pass(5_000);
    quorum.register(20);
    quorum.start(2);
    quorum.agree();
    assert_eq!(quorum.loaded(2), 1);
    assert!(quorum.members[2].controller.log().unwrap().segment_count() < 5);
}

#[test]
fn a_controller_starts_from_its_snapshot_and_the_log_behind_it() {
    for size in [1, 3] {
        let mut quorum = Quorum::running(size);
        quorum.register(20);
        quorum.agree();
        let start = quorum.log_start(0);
        (0..size).for_each(|i| quorum.lose_power(i));
        (0..size).for_each(|i| quorum.start(i));
        assert_eq!(quorum.log_start(0), start);
        assert!(quorum.members[0].controller.high_watermark() >= start, "what a snapshot holds is committed");
        quorum.pass(8_000);
        quorum.register(5);
        quorum.agree();
        // One of three may have lacked the last record of the others' latest snapshot.
        let loaded = (0..size).filter(|i| quorum.loaded(*i) > 0).count();
        assert!(loaded <= (size - 1) / 2, "{loaded} of {size} fetched a snapshot");
    }
}

/// A follower of three that was down while its leader's log went on and was cut; it has just come back.
fn one_comes_back() -> (Quorum, usize) {
    let mut quorum = Quorum::running(3);
    quorum.register(2);
    let behind = quorum.follower();
    let had = quorum.members[behind].controller.log().unwrap().log_end_offset();
    quorum.lose_power(behind);
    quorum.register(20);
    assert!(quorum.log_start(quorum.leader()) > had, "its leader's log begins behind its end");
    quorum.start(behind);
    (quorum, behind)
}

impl Quorum {
    /// Until that voter has handled so many inputs.
    fn until_handled(&mut self, i: usize, inputs: u32) {
        while self.members[i].handled < inputs {
            assert!(self.step(Nanos::MAX));
        }
    }
}

/// Whatever it was doing: fetching, writing, renaming, beginning its log anew.
#[test]
fn a_voter_may_lose_power_at_any_moment_of_loading_a_snapshot() {
    let mut loads = BTreeSet::new();
    for moment in 1..60 {
        let (mut quorum, behind) = one_comes_back();
        quorum.until_handled(behind, moment);
        loads.insert(quorum.loaded(behind));
        quorum.lose_power(behind);
        quorum.start(behind);
        quorum.agree();
    }
    assert_eq!(loads, BTreeSet::from([0, 1]), "power was lost before it had loaded, and after");
}

#[test]
fn the_leader_may_be_lost_while_it_serves_a_snapshot() {
    let mut loads = BTreeSet::new();
    for moment in 1..40 {
        let (mut quorum, behind) = one_comes_back();
        let leader = quorum.leader();
        quorum.until_handled(behind, moment);
        loads.insert(quorum.loaded(behind));
        quorum.lose_power(leader);
        quorum.pass(20_000);
        quorum.register(3);
        quorum.start(leader);
        quorum.agree();
    }
    assert_eq!(loads, BTreeSet::from([0, 1]), "it was lost before the snapshot was there, and after");
}
