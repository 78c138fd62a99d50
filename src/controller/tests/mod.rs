//! Stories: a controller on a disk in memory, with a host that carries out its effects at once, or holds back its syncs.

mod admin;
mod brokers;
mod change_builder;
pub(in crate::controller) mod cluster;
mod eligible_leaders;
mod failover;
mod heartbeats;
mod invariants;
mod membership;
mod one_by_one;
mod partitions;
mod periodic;
mod producer_ids;
mod quorum;
mod quorum_one_by_one;
mod quorum_rules;
mod simulation;
mod snapshots;
mod topics;

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::messages::broker_registration_request::Listener;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerId as WireBrokerId, BrokerRegistrationRequest,
    BrokerRegistrationResponse, CreateTopicsRequest, CreateTopicsResponse, RequestKind, ResponseKind, TopicName,
};
use trial_storage::DiskError;
use uuid::Uuid;

use super::quorum::Io;
use super::rules::Decision;
use super::{Controller, ControllerSetup, Voter};
use crate::config::BrokerConfig;
use crate::event::Event;
use crate::ids::BrokerId;
use crate::metadata::{MetadataImage, MetadataRecord, PartitionRegistration};
use crate::node::{ConnId, Effect, Effects, Endpoint, Input, Node, Now, ReqId, RequestHeader, Ticket, ms};
use crate::testing::TestHost;
use crate::testing::memory_disk::{MemoryDisk, PendingSync};
use crate::zoo::{Switch, Zoo};

const CLUSTER: &str = "trial";
const CONN: ConnId = ConnId(1);

/// A controller and its world.
struct Room {
    controller: Controller,
    disk: MemoryDisk,
    host: TestHost,
    now: Now,
    /// Syncs end at once, or only when a story says so.
    syncs_end_at_once: bool,
    syncs: Vec<(Ticket, PendingSync)>,
    answers: BTreeMap<ReqId, ResponseKind>,
    hung_up: bool,
    halted: Option<String>,
    next_request: u64,
    versions: BTreeMap<ReqId, i16>,
    /// Broker epochs, as the brokers know them.
    broker_epochs: BTreeMap<BrokerId, i64>,
    /// Brokers that ask to stop with every heartbeat.
    stopping: BTreeSet<BrokerId>,
}

fn setup(config: BrokerConfig) -> ControllerSetup {
    let endpoint = Endpoint { host: "c1".to_string(), port: 9093 };
    let directory_id = Uuid::from_u128(100);
    ControllerSetup {
        node_id: 100,
        directory_id,
        voters: vec![Voter { id: 100, directory_id, endpoint: endpoint.clone() }],
        endpoint,
        config,
        zoo: Zoo::default(),
        cluster_id: CLUSTER.to_string(),
    }
}

fn incarnation(broker: BrokerId, life: u32) -> Uuid {
    Uuid::from_u128(u128::from(broker as u32) << 64 | u128::from(life))
}

impl Room {
    fn not_started(config: BrokerConfig) -> Room {
        Room {
            controller: Controller::new(setup(config)),
            disk: MemoryDisk::default(),
            host: TestHost::default(),
            now: Now { mono: 0, wall: 1_000_000 },
            syncs_end_at_once: true,
            syncs: Vec::new(),
            answers: BTreeMap::new(),
            hung_up: false,
            halted: None,
            next_request: 0,
            versions: BTreeMap::new(),
            broker_epochs: BTreeMap::new(),
            stopping: BTreeSet::new(),
        }
    }
    fn with(config: BrokerConfig) -> Room {
        let mut room = Room::not_started(config);
        room.start();
        assert!(room.controller.is_active());
        room
    }
    /// Three brokers, registered and unfenced.
    fn three_brokers_with(config: BrokerConfig) -> Room {
        let mut room = Room::with(config);
        for broker in [1, 2, 3] {
            room.register(broker, 1);
            let response = room.heartbeat(broker);
            assert!(!response.is_fenced, "broker {broker} is unfenced");
        }
        room
    }
    fn three_brokers() -> Room {
        Room::three_brokers_with(BrokerConfig::default())
    }
    /// Three brokers and `orders-0` on 1, 2, 3.
    fn orders_with(config: BrokerConfig, configs: &[(&str, &str)]) -> Room {
        let mut room = Room::three_brokers_with(config);
        let response = room.create("orders", &[&[1, 2, 3]], configs);
        assert_eq!(response.topics[0].error_code, 0);
        room
    }
    fn orders() -> Room {
        Room::orders_with(BrokerConfig::default(), &[])
    }
    /// As [`Room::orders_with`], the switches thrown before anything else happens that they change.
    fn orders_in_the_zoo(config: BrokerConfig, zoo: impl IntoIterator<Item = Switch>) -> Room {
        let mut room = Room::orders_with(config, &[]);
        room.controller.setup.zoo = zoo.into_iter().collect();
        room
    }
    /// The controller decides this, for whatever reason.
    fn write(&mut self, records: Vec<MetadataRecord>) {
        let mut fx = Effects::new(&mut self.host);
        let mut io = Io { now: self.now, disk: &mut self.disk, fx: &mut fx };
        self.controller.write(Decision::of(records), &mut io).expect("the disk works");
        self.settle();
    }

    fn start(&mut self) {
        self.handle(Input::Start { incarnation: incarnation(100, 1) });
    }
    /// A new process on the disk as it is. Nothing meant for the old one reaches it.
    fn restart(&mut self) {
        self.controller = Controller::new(self.controller.setup().clone());
        self.host.effects.clear();
        self.syncs.clear();
        self.halted = None;
        self.start();
    }

    fn handle(&mut self, input: Input) {
        self.controller.handle(self.now, input, &mut self.disk, &mut Effects::new(&mut self.host));
        self.settle();
    }
    fn settle(&mut self) {
        self.forget_the_log();
        while !self.host.effects.is_empty() {
            for effect in std::mem::take(&mut self.host.effects) {
                match effect {
                    Effect::Sync { ticket, targets } => {
                        self.syncs.push((ticket, self.disk.snapshot_for_sync(&targets)));
                    }
                    Effect::Defer { step, .. } => self.feed(Input::Local(step)),
                    Effect::Answer { req, response } => {
                        self.check_encoding(req, &response);
                        let before = self.answers.insert(req, *response);
                        assert!(before.is_none(), "answered twice");
                    }
                    Effect::HangUp { .. } => self.hung_up = true,
                    Effect::Halt { why } => self.halted = Some(why),
                    // Nobody else is there.
                    Effect::Dial { .. } | Effect::Close { .. } => {}
                    other => panic!("a controller does not do that: {other:?}"),
                }
            }
            if self.syncs_end_at_once {
                for (ticket, pending) in std::mem::take(&mut self.syncs) {
                    self.disk.complete_sync(pending);
                    self.feed(Input::Synced { ticket, result: Ok(()) });
                }
            }
        }
    }
    /// These stories are about decisions; what becomes of the log is told elsewhere.
    fn forget_the_log(&mut self) {
        self.host.events.retain(|(event, _)| {
            !matches!(event, Event::MetadataAppended { .. } | Event::MetadataHighWatermark { .. })
        });
    }
    /// Every answer can be sent at the version of its request (an unknown version of ApiVersions: at 0).
    fn check_encoding(&self, req: ReqId, response: &ResponseKind) {
        let version = match (response, self.versions[&req]) {
            (ResponseKind::ApiVersions(_), version) if version > 4 => 0,
            (_, version) => version,
        };
        if let Err(error) = response.encode(&mut bytes::BytesMut::new(), version) {
            panic!("version {version}: {error}: {response:?}");
        }
    }
    fn feed(&mut self, input: Input) {
        self.controller.handle(self.now, input, &mut self.disk, &mut Effects::new(&mut self.host));
        self.forget_the_log();
    }
    fn end_one_sync(&mut self, result: Result<(), DiskError>) {
        let (ticket, pending) = self.syncs.remove(0);
        if result.is_ok() {
            self.disk.complete_sync(pending);
        }
        self.handle(Input::Synced { ticket, result });
    }
    fn pass(&mut self, millis: i64) {
        let end = self.now.mono + ms(millis);
        while let Some(deadline) = self.controller.next_deadline().filter(|deadline| *deadline <= end) {
            self.now.mono = self.now.mono.max(deadline);
            self.handle(Input::Deadline);
        }
        self.now.mono = end;
        self.now.wall += millis;
    }

    fn send(&mut self, api_version: i16, body: impl Into<RequestKind>) -> ReqId {
        self.next_request += 1;
        let req = ReqId(self.next_request);
        self.versions.insert(req, api_version);
        let header = RequestHeader {
            listener: crate::node::Listener::Controller,
            api_version,
            client_id: "test".to_string(),
            client_host: "/test".to_string(),
        };
        self.handle(Input::Request { req, conn: CONN, header, body: Box::new(body.into()) });
        req
    }
    fn ask(&mut self, api_version: i16, body: impl Into<RequestKind>) -> ResponseKind {
        let req = self.send(api_version, body);
        self.answers.remove(&req).expect("the request is answered")
    }

    fn registration(&self, broker: BrokerId, life: u32) -> BrokerRegistrationRequest {
        BrokerRegistrationRequest::default()
            .with_broker_id(WireBrokerId(broker))
            .with_cluster_id(CLUSTER.into())
            .with_incarnation_id(incarnation(broker, life))
            .with_listeners(vec![Listener::default().with_host(format!("b{broker}").into()).with_port(9092)])
    }
    fn try_register(&mut self, broker: BrokerId, life: u32) -> BrokerRegistrationResponse {
        let request = self.registration(broker, life);
        match self.ask(4, request) {
            ResponseKind::BrokerRegistration(response) => response,
            other => panic!("{other:?}"),
        }
    }
    fn register(&mut self, broker: BrokerId, life: u32) -> i64 {
        let response = self.try_register(broker, life);
        assert_eq!(response.error_code, 0);
        self.broker_epochs.insert(broker, response.broker_epoch);
        response.broker_epoch
    }
    /// The broker's next incarnation registers; it names the broker epoch of an orderly stop, or none.
    fn restart_broker(&mut self, broker: BrokerId, life: u32, clean: bool) -> BrokerRegistrationResponse {
        let previous = if clean { self.broker_epochs[&broker] } else { -1 };
        let request = self.registration(broker, life).with_previous_broker_epoch(previous);
        let response = match self.ask(4, request) {
            ResponseKind::BrokerRegistration(response) => response,
            other => panic!("{other:?}"),
        };
        if response.error_code == 0 {
            self.stopping.remove(&broker);
            self.broker_epochs.insert(broker, response.broker_epoch);
        }
        response
    }
    /// A heartbeat of a broker that has replayed everything.
    fn heartbeat_request(&self, broker: BrokerId) -> BrokerHeartbeatRequest {
        BrokerHeartbeatRequest::default()
            .with_broker_id(WireBrokerId(broker))
            .with_broker_epoch(self.broker_epochs[&broker])
            .with_current_metadata_offset(self.controller.high_watermark() - 1)
            .with_want_shut_down(self.stopping.contains(&broker))
    }
    fn send_heartbeat(&mut self, request: BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
        match self.ask(1, request) {
            ResponseKind::BrokerHeartbeat(response) => response,
            other => panic!("{other:?}"),
        }
    }
    fn heartbeat(&mut self, broker: BrokerId) -> BrokerHeartbeatResponse {
        self.send_heartbeat(self.heartbeat_request(broker))
    }
    /// The others' heartbeats go on while this broker is silent until its session has run out.
    fn silence(&mut self, silent: &[BrokerId]) {
        let others: Vec<BrokerId> = self.broker_epochs.keys().copied().filter(|b| !silent.contains(b)).collect();
        for _ in 0..5 {
            self.pass(2_000);
            for broker in &others {
                self.heartbeat(*broker);
            }
        }
    }

    fn creation(&self, name: &str, assignments: &[&[BrokerId]], configs: &[(&str, &str)]) -> CreatableTopic {
        let assignment = |(index, brokers): (i32, &&[BrokerId])| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index)
                .with_broker_ids(brokers.iter().copied().map(WireBrokerId).collect())
        };
        let config = |(name, value): &(&str, &str)| {
            CreatableTopicConfig::default()
                .with_name(name.to_string().into())
                .with_value(Some(value.to_string().into()))
        };
        CreatableTopic::default()
            .with_name(TopicName(name.to_string().into()))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments((0..).zip(assignments).map(assignment).collect())
            .with_configs(configs.iter().map(config).collect())
    }
    fn create_topics(&mut self, topics: Vec<CreatableTopic>) -> CreateTopicsResponse {
        match self.ask(7, CreateTopicsRequest::default().with_topics(topics)) {
            ResponseKind::CreateTopics(response) => response,
            other => panic!("{other:?}"),
        }
    }
    fn create(&mut self, name: &str, assignments: &[&[BrokerId]], configs: &[(&str, &str)]) -> CreateTopicsResponse {
        let topic = self.creation(name, assignments, configs);
        self.create_topics(vec![topic])
    }

    fn image(&self) -> &MetadataImage {
        self.controller.image()
    }
    fn topic_id(&self, topic: &str) -> Uuid {
        self.image().topic(topic).expect("the topic exists").topic_id
    }
    fn orders_0(&self) -> PartitionRegistration {
        self.image().partition(self.topic_id("orders"), 0).expect("the partition exists").clone()
    }
    /// Names of what was told and not taken yet.
    fn kinds(&self) -> Vec<&'static str> {
        self.host.events.iter().filter(|(event, _)| !is_of_the_log(event)).map(|(event, _)| event.name()).collect()
    }
    fn events(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.host.events).into_iter().map(|(event, _)| event);
        events.filter(|event| !is_of_the_log(event)).map(|event| event.to_string()).collect()
    }
}

/// A partition that says nothing.
fn a_partition() -> PartitionRegistration {
    PartitionRegistration {
        replicas: Vec::new(),
        isr: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        leader: -1,
        leader_epoch: 5,
        partition_epoch: 7,
        recovering: false,
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
    }
}

/// Every decision goes along with these, and only the stories of the quorum are about them.
fn is_of_the_log(event: &crate::event::Event) -> bool {
    use crate::event::Event::{MetadataAppended, MetadataHighWatermark};
    matches!(event, MetadataAppended { .. } | MetadataHighWatermark { .. })
}
