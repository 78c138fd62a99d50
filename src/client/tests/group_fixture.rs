//! Consumers of one group, the real coordinator, and brokers that hold the records: a network without delay.
//!
//! A connection is served one request at a time, as Kafka mutes it: what stands behind a JoinGroup that waits, waits too.
//! Applications poll as long as they are told to, and note what their listener is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::find_coordinator_response::Coordinator as FoundCoordinator;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::consumer::batch;
use super::fixture::{NoDisk, START_WALL, TestHost, answer_over_the_wire, over_the_wire};
use crate::client::{Client, ClientSetup, Role};
use crate::config::{AssignmentStrategies, ConsumerConfig, GroupProtocol, OffsetReset};
use crate::event::Event;
use crate::group::api::{AskId, Caller, Request, Response};
use crate::group::assignor::client::ClientAssignor;
use crate::group::config::GroupConfig;
use crate::group::records::Record;
use crate::group::shard::{Context, Effects as ShardEffects, Shard};
use crate::ids::{Topic, TopicPartition};
use crate::metadata::{MetadataImage, MetadataRecord};
use crate::node::*;
use crate::protocol::topic_name;
use crate::zoo::{Switch, Zoo};

pub const GROUP: &str = "g";
pub const TOPIC: &str = "t";
const FIRST_OP: u64 = 1_000_000;

/// A member's configuration in these stories: polls are close together, sessions short.
pub fn config(protocol: GroupProtocol) -> ConsumerConfig {
    ConsumerConfig {
        group_id: GROUP.into(),
        group_protocol: protocol,
        auto_offset_reset: OffsetReset::Earliest,
        session_timeout_ms: 10_000,
        max_poll_interval_ms: 60_000,
        enable_auto_commit: false,
        ..ConsumerConfig::default()
    }
}
pub fn classic() -> ConsumerConfig {
    config(GroupProtocol::Classic)
}
pub fn cooperative() -> ConsumerConfig {
    with_assignor(classic(), ClientAssignor::CooperativeSticky)
}
pub fn modern() -> ConsumerConfig {
    config(GroupProtocol::Consumer)
}
pub fn with_assignor(config: ConsumerConfig, assignor: ClientAssignor) -> ConsumerConfig {
    ConsumerConfig { partition_assignment_strategy: AssignmentStrategies(vec![assignor]), ..config }
}
pub fn at(index: i32) -> TopicPartition {
    TopicPartition::new(&Topic::new(TOPIC), index)
}

/// A consumer and the application behind it.
pub struct App {
    client: Client,
    host: TestHost,
    conns: BTreeMap<ConnId, i32>,
    /// Inputs that a paused process has not seen.
    inbox: VecDeque<Input>,
    pub is_paused: bool,
    /// It polls whenever no poll is under way.
    pub polls: bool,
    /// It commits its positions when its listener is told of a revocation.
    pub commits_on_revoke: bool,
    /// It commits its positions, and waits, whenever it was given records.
    pub commits_what_it_reads: bool,
    /// How many records it takes before it stops polling.
    pub most: usize,
    poll: Option<OpId>,
    commit: Option<OpId>,
    /// Partition and offset of each record, in order.
    pub read: Vec<(i32, i64)>,
    /// What its listener was told, in words.
    pub told: Vec<String>,
    /// With what polls were refused.
    pub refused: Vec<String>,
}

impl App {
    pub fn events(&self, name: &str) -> Vec<String> {
        self.host.events.iter().filter(|(event, _)| event.name() == name).map(|(event, _)| event.to_string()).collect()
    }
    pub fn last_event(&self, name: &str) -> String {
        self.events(name).pop().unwrap_or_else(|| panic!("there is no {name}"))
    }
    /// The partitions it has been given and has not given back, by its events.
    pub fn owned(&self) -> BTreeSet<i32> {
        let mut owned = BTreeSet::new();
        for (event, _) in &self.host.events {
            match event {
                Event::PartitionsAssigned { partitions, .. } => owned.extend(partitions.iter().map(|p| p.partition)),
                Event::PartitionsRevoked { partitions, .. } | Event::PartitionsLost { partitions, .. } => {
                    partitions.iter().for_each(|p| assert!(owned.remove(&p.partition), "it had {p}"));
                }
                _ => {}
            }
        }
        owned
    }
    pub fn read_of(&self, partition: i32) -> Vec<i64> {
        self.read.iter().filter(|(of, _)| *of == partition).map(|(_, offset)| *offset).collect()
    }
}

struct Call {
    app: usize,
    conn: ConnId,
    call: CallId,
    version: i16,
    request: RequestKind,
}

/// See the module documentation.
pub struct Cluster {
    pub apps: Vec<App>,
    shard: Shard,
    group_config: GroupConfig,
    zoo: Zoo,
    pub metadata: MetadataImage,
    log: Vec<(Vec<Record>, i64)>,
    /// Nothing that is written becomes committed.
    pub followers_are_away: bool,
    /// Who coordinates the group; nobody if `None`.
    pub coordinator: Option<i32>,
    /// Whom FindCoordinator names, if not the coordinator.
    pub rumoured: Option<i32>,
    /// Requests of these kinds are not answered; they wait here.
    pub held: BTreeSet<&'static str>,
    waiting_for_release: Vec<Call>,
    now: Nanos,
    /// Records of each partition, by their values.
    records: BTreeMap<TopicPartition, usize>,
    /// What stands on each connection, the first under way.
    lines: BTreeMap<(usize, ConnId), VecDeque<Call>>,
    asks: BTreeMap<AskId, (usize, ConnId)>,
    fetches: Vec<(Nanos, usize, ConnId)>,
    outcomes: BTreeMap<OpId, Outcome>,
    next: u64,
    /// Names of the requests that came, with the app.
    pub requests: Vec<(usize, RequestKind)>,
}

impl Cluster {
    /// Three brokers, a topic of so many partitions, and a coordinator, broker 1, that begins a generation at once.
    pub fn new(partitions: i32) -> Self {
        Cluster::with(partitions, Zoo::default())
    }
    pub fn with(partitions: i32, zoo: Zoo) -> Self {
        let group_config =
            GroupConfig { initial_rebalance_delay_ms: 0, consumer_heartbeat_interval_ms: 3_000, ..Default::default() };
        let mut cluster = Cluster {
            apps: Vec::new(),
            shard: Shard::new(group_config.clone(), Zoo::default()),
            group_config,
            zoo,
            metadata: MetadataImage::default(),
            log: Vec::new(),
            followers_are_away: false,
            coordinator: Some(1),
            rumoured: None,
            held: BTreeSet::new(),
            waiting_for_release: Vec::new(),
            now: ms(1_000_000),
            records: BTreeMap::new(),
            lines: BTreeMap::new(),
            asks: BTreeMap::new(),
            fetches: Vec::new(),
            outcomes: BTreeMap::new(),
            next: 0,
            requests: Vec::new(),
        };
        cluster.topic(TOPIC, partitions);
        let effects = cluster.shard.loaded(Context { now: cluster.now(), metadata: &cluster.metadata }, 0);
        cluster.carry_out_shard(effects);
        cluster
    }
    fn now(&self) -> Now {
        Now { mono: self.now, wall: START_WALL + (self.now / 1_000_000) as i64 }
    }
    /// A topic comes, or grows.
    pub fn topic(&mut self, name: &str, partitions: i32) {
        let known = self.metadata.topic(name).map(|topic| (topic.topic_id, topic.partitions.len() as i32));
        let topic_id = known.map_or(Uuid::from_u128(0x100 + self.metadata.topics.len() as u128), |(id, _)| id);
        if known.is_none() {
            let record = MetadataRecord::Topic { name: Topic::new(name), topic_id };
            self.metadata.apply(self.metadata.next_offset, &record);
        }
        for partition in known.map_or(0, |(_, count)| count)..partitions {
            let record = MetadataRecord::Partition {
                topic_id,
                partition,
                replicas: vec![1],
                isr: vec![1],
                removing_replicas: Vec::new(),
                adding_replicas: Vec::new(),
                leader: 1 + partition % 3,
                leader_epoch: 5,
                partition_epoch: 0,
                leader_recovery_state: 0,
                eligible_leader_replicas: Vec::new(),
                last_known_elr: Vec::new(),
            };
            self.metadata.apply(self.metadata.next_offset, &record);
        }
        self.shard.on_topics_changed(&[name.to_string()].into());
    }
    /// So many more records in a partition.
    pub fn produce(&mut self, partition: i32, count: usize) {
        *self.records.entry(at(partition)).or_default() += count;
        self.settle();
    }

    /// A consumer that does nothing yet.
    pub fn consumer(&mut self, config: ConsumerConfig) -> usize {
        let bootstrap = vec![Endpoint { host: "b1".into(), port: 9092 }];
        let client_id = format!("app{}", self.apps.len());
        let setup = ClientSetup { client_id, bootstrap, role: Role::Consumer(config), zoo: self.zoo };
        let mut host = TestHost::default();
        // Each draws its own ids.
        (0..self.apps.len()).for_each(|_| {
            host.random(RandomFor::MemberId);
        });
        self.apps.push(App {
            client: Client::new(setup),
            host,
            conns: BTreeMap::new(),
            inbox: VecDeque::new(),
            is_paused: false,
            polls: false,
            commits_on_revoke: false,
            commits_what_it_reads: false,
            most: usize::MAX,
            poll: None,
            commit: None,
            read: Vec::new(),
            told: Vec::new(),
            refused: Vec::new(),
        });
        let app = self.apps.len() - 1;
        self.input(app, Input::Start { incarnation: Uuid::from_u128(1 + app as u128) });
        app
    }
    /// One that subscribes to the topic and polls.
    pub fn member(&mut self, config: ConsumerConfig) -> usize {
        let app = self.consumer(config);
        let to = Subscription::Topics(vec![Topic::new(TOPIC)]);
        self.command(app, Command::Subscribe { to });
        self.apps[app].polls = true;
        self.settle();
        app
    }
    pub fn command(&mut self, app: usize, command: Command) -> OpId {
        self.next += 1;
        let op = OpId(self.next);
        self.input(app, Input::Command { op, command });
        self.settle();
        op
    }
    pub fn outcome(&self, op: OpId) -> Option<&Outcome> {
        self.outcomes.get(&op)
    }
    /// The end of a command that ends at once.
    pub fn done(&mut self, app: usize, command: Command) -> Outcome {
        let op = self.command(app, command);
        self.outcome(op).cloned().unwrap_or_else(|| panic!("{op:?} has no end yet"))
    }
    /// What the group has committed of a partition.
    pub fn committed(&mut self, app: usize, partition: i32) -> i64 {
        match self.done(app, Command::Committed { partitions: vec![at(partition)] }) {
            Outcome::Committed { offsets } => offsets[0].1,
            other => panic!("{other:?}"),
        }
    }
    /// The process stands still.
    pub fn pause(&mut self, app: usize) {
        self.apps[app].is_paused = true;
    }
    /// It goes on: what came meanwhile comes now.
    pub fn resume(&mut self, app: usize) {
        self.apps[app].is_paused = false;
        while let Some(input) = self.apps[app].inbox.pop_front() {
            self.input(app, input);
        }
        self.settle();
    }
    /// The process dies.
    pub fn kill(&mut self, app: usize) {
        self.pause(app);
        self.lines.retain(|(of, _), _| *of != app);
        self.asks.retain(|_, (of, _)| *of != app);
    }
    /// The coordinator has lost everything.
    pub fn forget_groups(&mut self) {
        self.log.clear();
        let to = self.coordinator.expect("there is a coordinator");
        self.fail_over(to);
    }
    /// Commits that wait were made in the epoch before.
    pub fn spoil_epoch_of_held_commits(&mut self) {
        for call in &mut self.waiting_for_release {
            if let RequestKind::OffsetCommit(request) = &mut call.request {
                request.generation_id_or_member_epoch -= 1;
            }
        }
    }
    /// Requests of that kind are answered again, and those that wait are.
    pub fn release(&mut self, kind: &'static str) {
        self.held.remove(kind);
        for call in std::mem::take(&mut self.waiting_for_release) {
            match self.held.contains(name_of(&call.request)) {
                true => self.waiting_for_release.push(call),
                false => self.serve(call),
            }
        }
        self.settle();
    }
    /// Every connection to a broker ends; it stays reachable.
    pub fn disconnect(&mut self, broker: i32) {
        for app in 0..self.apps.len() {
            let conns = self.apps[app].conns.iter().filter(|(_, of)| **of == broker);
            let conns: Vec<ConnId> = conns.map(|(conn, _)| *conn).collect();
            conns.into_iter().for_each(|conn| self.end_connection(app, conn));
        }
        self.settle();
    }
    /// Another broker coordinates, and has loaded what is committed.
    pub fn fail_over(&mut self, to: i32) {
        let effects = self.shard.unload();
        self.carry_out_shard(effects);
        self.shard = Shard::new(self.group_config.clone(), Zoo::default());
        let cx = Context { now: self.now(), metadata: &self.metadata };
        self.shard.load(cx, &self.log);
        let end = self.end();
        let effects = self.shard.loaded(Context { now: self.now(), metadata: &self.metadata }, end);
        self.coordinator = Some(to);
        self.carry_out_shard(effects);
        self.settle();
    }
    /// The followers are back.
    pub fn commit_log(&mut self) {
        self.followers_are_away = false;
        let effects = self.shard.committed(Context { now: self.now(), metadata: &self.metadata }, self.end());
        self.carry_out_shard(effects);
        self.settle();
    }
    fn end(&self) -> i64 {
        self.log.last().map_or(0, |(_, end)| *end)
    }

    /// Time passes, and everything happens in its time.
    pub fn pass(&mut self, millis: i64) {
        let until = self.now + ms(millis);
        loop {
            self.settle();
            let awake = self.apps.iter().filter(|app| !app.is_paused);
            let deadlines = awake.filter_map(|app| app.client.next_deadline());
            let fetches = self.fetches.iter().map(|(at, ..)| *at);
            let next = deadlines.chain(fetches).chain(self.shard.next_deadline()).min().unwrap_or(until);
            self.now = next.clamp(self.now, until);
            let due = self.now;
            for (_, app, conn) in self.fetches.extract_if(.., |(at, ..)| *at <= due).collect::<Vec<_>>() {
                self.answer_fetch(app, conn, true);
            }
            while let Some(effects) = self.shard.fire(Context { now: self.now(), metadata: &self.metadata }) {
                self.carry_out_shard(effects);
            }
            for app in 0..self.apps.len() {
                let is_due = self.apps[app].client.next_deadline().is_some_and(|at| at <= due);
                if is_due && !self.apps[app].is_paused {
                    self.input(app, Input::Deadline);
                }
            }
            self.settle();
            if self.now >= until && next >= until {
                return;
            }
        }
    }
    /// Goes on until it is so, at most for two minutes.
    pub fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..1_200 {
            if is_so(self) {
                return;
            }
            self.pass(100);
        }
        panic!("it never came to be that {what}");
    }
    /// Until these apps share all partitions, each the number that stands beside it.
    pub fn until_shared(&mut self, shares: &[(usize, usize)]) {
        let mut last = Vec::new();
        for _ in 0..1_200 {
            last = shares.iter().map(|(app, _)| (*app, self.apps[*app].owned())).collect();
            let all: Vec<i32> = last.iter().flat_map(|(_, owned)| owned.iter().copied()).collect();
            let distinct: BTreeSet<i32> = all.iter().copied().collect();
            let right = last.iter().zip(shares).all(|((_, owned), (_, count))| owned.len() == *count);
            if right && distinct.len() == all.len() {
                return;
            }
            self.pass(100);
        }
        panic!("it never came to be that {shares:?}, but {last:?}");
    }

    // ── the applications ─────────────────────────────────────────────────────────────────────────────────────────

    fn settle(&mut self) {
        for _ in 0..10_000 {
            let polls = |app: &App| {
                app.polls && !app.is_paused && app.poll.is_none() && app.commit.is_none() && app.read.len() < app.most
            };
            let Some(app) = self.apps.iter().position(polls) else { return };
            self.next += 1;
            let op = OpId(FIRST_OP + self.next);
            self.apps[app].poll = Some(op);
            self.input(app, Input::Command { op, command: Command::Poll { max_wait_ms: 100 } });
        }
        panic!("polls are answered again and again without time passing");
    }
    fn on_outcome(&mut self, index: usize, op: OpId, outcome: Outcome) {
        let app = &mut self.apps[index];
        if app.commit == Some(op) {
            app.commit = None;
        }
        if app.poll != Some(op) {
            assert!(self.outcomes.insert(op, outcome).is_none(), "an outcome is delivered once");
            return;
        }
        app.poll = None;
        match outcome {
            Outcome::Polled { records, rebalanced, .. } => {
                let is_revoked = matches!(rebalanced.first(), Some(Rebalanced::Revoked { .. }));
                app.read.extend(records.iter().map(|record| (record.partition.partition, record.offset)));
                app.told.extend(rebalanced.iter().map(in_words));
                let wants_commit =
                    (app.commits_on_revoke && is_revoked) || (app.commits_what_it_reads && !records.is_empty());
                if wants_commit {
                    self.next += 1;
                    let op = OpId(FIRST_OP + self.next);
                    self.apps[index].commit = Some(op);
                    self.input(index, Input::Command { op, command: Command::Commit { offsets: None, wait: true } });
                }
            }
            Outcome::Refused { error } => {
                app.refused.push(error);
                // An application that catches it sleeps before it goes on.
                app.polls = false;
            }
            other => panic!("a poll ended as {other:?}"),
        }
    }

    // ── clients and connections ──────────────────────────────────────────────────────────────────────────────────

    fn input(&mut self, index: usize, input: Input) {
        let now = self.now();
        let app = &mut self.apps[index];
        if app.is_paused {
            return app.inbox.push_back(input);
        }
        app.client.handle(now, input, &mut NoDisk, &mut Effects::new(&mut app.host));
        while let Some(effect) = self.apps[index].host.effects.pop_front() {
            self.carry_out(index, effect);
        }
    }
    fn carry_out(&mut self, app: usize, effect: Effect) {
        match effect {
            Effect::Dial { conn, endpoint, .. } => {
                let broker: i32 = endpoint.host.trim_start_matches('b').parse().expect("hosts are named b1, b2, b3");
                self.apps[app].conns.insert(conn, broker);
                self.input(app, Input::Opened { conn });
            }
            Effect::Close { conn } => self.end_connection(app, conn),
            Effect::Call { call, conn, version, request, .. } => {
                let request = over_the_wire(*request, version);
                self.requests.push((app, request.clone()));
                let line = self.lines.entry((app, conn)).or_default();
                line.push_back(Call { app, conn, call, version, request });
                if line.len() == 1 {
                    self.serve_next(app, conn);
                }
            }
            Effect::Deliver { op, outcome } => self.on_outcome(app, op, outcome),
            other => panic!("a consumer has no use for {other:?}"),
        }
    }
    fn end_connection(&mut self, app: usize, conn: ConnId) {
        self.apps[app].conns.remove(&conn);
        self.fetches.retain(|(_, of, on)| (*of, *on) != (app, conn));
        self.waiting_for_release.retain(|call| (call.app, call.conn) != (app, conn));
        self.asks.retain(|_, on| *on != (app, conn));
        for call in self.lines.remove(&(app, conn)).unwrap_or_default() {
            self.input(app, Input::Response { call: call.call, conn, result: Err(CallError::Disconnected) });
        }
        self.input(app, Input::Closed { conn });
    }
    fn serve_next(&mut self, app: usize, conn: ConnId) {
        let Some(call) = self.lines.get(&(app, conn)).and_then(|line| line.front()) else { return };
        let call = Call { app, conn, call: call.call, version: call.version, request: call.request.clone() };
        match self.held.contains(name_of(&call.request)) {
            true => self.waiting_for_release.push(call),
            false => self.serve(call),
        }
    }
    fn answer(&mut self, app: usize, conn: ConnId, response: ResponseKind) {
        let Some(line) = self.lines.get_mut(&(app, conn)) else { return };
        let Some(call) = line.pop_front() else { return };
        let somebody_waits = !line.is_empty();
        let response = answer_over_the_wire(response, &call.request, call.version);
        self.input(app, Input::Response { call: call.call, conn, result: Ok(Box::new(response)) });
        if somebody_waits {
            self.serve_next(app, conn);
        }
    }

    // ── the brokers ──────────────────────────────────────────────────────────────────────────────────────────────

    fn serve(&mut self, call: Call) {
        let Call { app, conn, version, request, .. } = call;
        let Some(broker) = self.apps[app].conns.get(&conn).copied() else { return };
        let response = match &request {
            RequestKind::Metadata(request) => self.describe(request).into(),
            RequestKind::ListOffsets(request) => self.list_offsets(request).into(),
            RequestKind::OffsetForLeaderEpoch(request) => goes_on(request).into(),
            RequestKind::FindCoordinator(request) => {
                let found = FoundCoordinator::default().with_key(request.coordinator_keys[0].clone());
                let found = match self.rumoured.or(self.coordinator) {
                    Some(id) => found.with_node_id(id.into()).with_host(host(id)).with_port(9092),
                    None => {
                        found.with_node_id((-1).into()).with_error_code(ResponseError::CoordinatorNotAvailable.code())
                    }
                };
                FindCoordinatorResponse::default().with_coordinators(vec![found]).into()
            }
            RequestKind::Fetch(_) => return self.answer_fetch(app, conn, false),
            request => return self.ask_shard(app, conn, broker, version, group_request(request)),
        };
        self.answer(app, conn, response);
    }
    fn describe(&self, request: &MetadataRequest) -> MetadataResponse {
        let broker =
            |id: i32| MetadataResponseBroker::default().with_node_id(id.into()).with_host(host(id)).with_port(9092);
        let all = || self.metadata.topics.values().map(|topic| topic.topic_id).collect::<Vec<_>>();
        let topic = |id: Uuid| -> MetadataResponseTopic {
            let Some(topic) = self.metadata.topics.get(&id) else {
                return MetadataResponseTopic::default()
                    .with_topic_id(id)
                    .with_name(None)
                    .with_error_code(ResponseError::UnknownTopicId.code());
            };
            let partitions = topic.partitions.iter().zip(0..).map(|(partition, index)| {
                MetadataResponsePartition::default()
                    .with_partition_index(index)
                    .with_leader_id(partition.leader.into())
                    .with_leader_epoch(partition.leader_epoch)
                    .with_replica_nodes(partition.replicas.iter().map(|id| (*id).into()).collect())
            });
            MetadataResponseTopic::default()
                .with_name(Some(topic_name(&topic.name)))
                .with_topic_id(id)
                .with_partitions(partitions.collect())
        };
        let asked = |asked: &metadata_request::MetadataRequestTopic| match &asked.name {
            None => topic(asked.topic_id),
            Some(name) => match self.metadata.topic(name.as_str()) {
                Some(known) => topic(known.topic_id),
                None => MetadataResponseTopic::default()
                    .with_name(Some(name.clone()))
                    .with_error_code(ResponseError::UnknownTopicOrPartition.code()),
            },
        };
        let topics = match &request.topics {
            None => all().into_iter().map(topic).collect(),
            Some(topics) => topics.iter().map(asked).collect(),
        };
        MetadataResponse::default().with_brokers((1..=3).map(broker).collect()).with_topics(topics)
    }
    fn list_offsets(&self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let topic = |t: &list_offsets_request::ListOffsetsTopic| {
            let partition = |p: &list_offsets_request::ListOffsetsPartition| {
                let id = TopicPartition::new(&t.name.as_str().into(), p.partition_index);
                let end = self.records.get(&id).copied().unwrap_or_default() as i64;
                let offset = if p.timestamp == -2 { 0 } else { end };
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(p.partition_index)
                    .with_offset(offset)
                    .with_leader_epoch(5)
            };
            ListOffsetsTopicResponse::default()
                .with_name(t.name.clone())
                .with_partitions(t.partitions.iter().map(partition).collect())
        };
        ListOffsetsResponse::default().with_topics(request.topics.iter().map(topic).collect())
    }
    /// A fetch is answered when there is something, or its time is over; a record is a batch.
    fn answer_fetch(&mut self, app: usize, conn: ConnId, time_is_over: bool) {
        let Some(call) = self.lines.get(&(app, conn)).and_then(|line| line.front()) else { return };
        let RequestKind::Fetch(request) = &call.request else { return };
        let mut found = false;
        let topic = |t: &fetch_request::FetchTopic| {
            let name = self.metadata.topics.get(&t.topic_id).map(|topic| topic.name.clone());
            let partitions = t.partitions.iter().map(|p| {
                let id = name.as_ref().map(|name| TopicPartition::new(name, p.partition));
                let end = id.and_then(|id| self.records.get(&id).copied()).unwrap_or_default() as i64;
                let records: Vec<Bytes> = (p.fetch_offset..end).map(|offset| batch(offset, &["x"])).collect();
                found |= !records.is_empty();
                PartitionData::default()
                    .with_partition_index(p.partition)
                    .with_high_watermark(end)
                    .with_records(Some(records.concat().into()))
            });
            FetchableTopicResponse::default().with_topic_id(t.topic_id).with_partitions(partitions.collect())
        };
        let responses = request.topics.iter().map(topic).collect();
        let response = FetchResponse::default().with_responses(responses);
        match found || time_is_over {
            true => self.answer(app, conn, response.into()),
            false => self.fetches.push((self.now + ms(100), app, conn)),
        }
    }

    // ── the coordinator ──────────────────────────────────────────────────────────────────────────────────────────

    fn ask_shard(&mut self, app: usize, conn: ConnId, broker: i32, api_version: i16, request: Request) {
        if self.coordinator != Some(broker) {
            return self.answer(app, conn, group_response(request.refused(ResponseError::NotCoordinator)));
        }
        self.next += 1;
        let ask = AskId(self.next);
        self.asks.insert(ask, (app, conn));
        let caller = Caller {
            ask,
            api_version,
            client_id: format!("app{app}"),
            client_host: "/h".into(),
            fresh_id: Uuid::from_u128(u128::from(self.next)),
        };
        let effects = self.shard.handle(Context { now: self.now(), metadata: &self.metadata }, &caller, request);
        self.carry_out_shard(effects);
    }
    fn carry_out_shard(&mut self, effects: ShardEffects) {
        if !effects.records.is_empty() {
            let end = self.end() + effects.records.len() as i64;
            self.log.push((effects.records, end));
            let appended = self.shard.appended(Context { now: self.now(), metadata: &self.metadata }, end);
            self.tell(effects.answers);
            self.carry_out_shard(appended);
            if !self.followers_are_away {
                let committed = self.shard.committed(Context { now: self.now(), metadata: &self.metadata }, end);
                self.carry_out_shard(committed);
            }
            return;
        }
        self.tell(effects.answers);
    }
    fn tell(&mut self, answers: Vec<(AskId, Response)>) {
        for (ask, response) in answers {
            if let Some((app, conn)) = self.asks.remove(&ask) {
                self.answer(app, conn, group_response(response));
            }
        }
    }
}

fn host(id: i32) -> StrBytes {
    StrBytes::from_string(format!("b{id}"))
}
fn in_words(what: &Rebalanced) -> String {
    let list = |partitions: &[TopicPartition]| {
        partitions.iter().map(|id| id.partition.to_string()).collect::<Vec<_>>().join(" ")
    };
    match what {
        Rebalanced::Assigned { partitions, .. } => format!("assigned [{}]", list(partitions)),
        Rebalanced::Revoked { partitions } => format!("revoked [{}]", list(partitions)),
        Rebalanced::Lost { partitions } => format!("lost [{}]", list(partitions)),
    }
}

/// The leader finds every position in its history.
fn goes_on(request: &OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let partition = |p: &offset_for_leader_epoch_request::OffsetForLeaderPartition| {
        offset_for_leader_epoch_response::EpochEndOffset::default()
            .with_partition(p.partition)
            .with_leader_epoch(5)
            .with_end_offset(i64::MAX)
    };
    let topic = |t: &offset_for_leader_epoch_request::OffsetForLeaderTopic| {
        offset_for_leader_epoch_response::OffsetForLeaderTopicResult::default()
            .with_topic(t.topic.clone())
            .with_partitions(t.partitions.iter().map(partition).collect())
    };
    OffsetForLeaderEpochResponse::default().with_topics(request.topics.iter().map(topic).collect())
}

/// The kind of a request, as stories name it.
pub fn name_of(request: &RequestKind) -> &'static str {
    match request {
        RequestKind::FindCoordinator(_) => "FindCoordinator",
        RequestKind::JoinGroup(_) => "JoinGroup",
        RequestKind::SyncGroup(_) => "SyncGroup",
        RequestKind::Heartbeat(_) => "Heartbeat",
        RequestKind::LeaveGroup(_) => "LeaveGroup",
        RequestKind::OffsetCommit(_) => "OffsetCommit",
        RequestKind::OffsetFetch(_) => "OffsetFetch",
        RequestKind::ConsumerGroupHeartbeat(_) => "ConsumerGroupHeartbeat",
        _ => "something else",
    }
}
fn group_request(request: &RequestKind) -> Request {
    match request.clone() {
        RequestKind::JoinGroup(request) => Request::JoinGroup(request),
        RequestKind::SyncGroup(request) => Request::SyncGroup(request),
        RequestKind::Heartbeat(request) => Request::Heartbeat(request),
        RequestKind::LeaveGroup(request) => Request::LeaveGroup(request),
        RequestKind::ConsumerGroupHeartbeat(request) => Request::ConsumerGroupHeartbeat(request),
        RequestKind::OffsetCommit(request) => Request::OffsetCommit(request),
        RequestKind::OffsetFetch(mut request) => {
            Request::OffsetFetch { group: request.groups.remove(0), require_stable: request.require_stable }
        }
        other => panic!("a consumer does not ask {other:?}"),
    }
}
fn group_response(response: Response) -> ResponseKind {
    match response {
        Response::JoinGroup(response) => response.into(),
        Response::SyncGroup(response) => response.into(),
        Response::Heartbeat(response) => response.into(),
        Response::LeaveGroup(response) => response.into(),
        Response::ConsumerGroupHeartbeat(response) => response.into(),
        Response::OffsetCommit(response) => response.into(),
        Response::OffsetFetch(group) => OffsetFetchResponse::default().with_groups(vec![group]).into(),
        other => panic!("no consumer asked for {other:?}"),
    }
}
/// A zoo with one switch.
pub fn zoo(switch: Switch) -> Zoo {
    [switch].into_iter().collect()
}
