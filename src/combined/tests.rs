//! Stories: one process that is the whole cluster, broker 1 and its controller, on a network of one machine.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ApiVersionsRequest, CreateTopicsRequest, ProduceRequest, RequestKind, ResponseKind};
use trial_storage::{BuildOptions, NewRecord, build_batch};

use super::*;
use crate::broker::LifecycleState;
use crate::config::BrokerConfig;
use crate::controller::Voter;
use crate::ids::{ControllerNode, Topic, TopicPartition};
use crate::node::{CallError, CallId, Endpoint, ReqId, RequestHeader, ms};
use crate::protocol::{errors::code_name, topic_name, versions};
use crate::testing::TestHost;
use crate::testing::memory_disk::MemoryDisk;
use crate::zoo::Zoo;

const CLIENT: ConnId = ConnId(1 << 40);

/// The machine: its process, its disk, and connections from the process to itself.
struct Machine {
    node: Combined,
    disk: MemoryDisk,
    host: TestHost,
    now: Now,
    /// Where each open connection leads.
    conns: BTreeMap<ConnId, Listener>,
    /// Requests of the process to itself.
    calls: BTreeMap<ReqId, (CallId, ConnId)>,
    inputs: VecDeque<Input>,
    answers: BTreeMap<ReqId, ResponseKind>,
    halted: Option<String>,
    next_request: u64,
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint { host: "b1".to_string(), port }
}

fn process() -> Combined {
    let directory_id = Uuid::from_u128(100);
    let broker = BrokerSetup {
        node_id: 1,
        cluster_id: "trial".to_string(),
        endpoint: endpoint(9092),
        rack: None,
        controllers: vec![ControllerNode { id: 1, endpoint: endpoint(9093) }],
        config: BrokerConfig::default(),
        zoo: Zoo::default(),
    };
    let controller = ControllerSetup {
        node_id: 1,
        directory_id,
        voters: vec![Voter { id: 1, directory_id, endpoint: endpoint(9093) }],
        endpoint: endpoint(9093),
        config: BrokerConfig::default(),
        zoo: Zoo::default(),
        cluster_id: "trial".to_string(),
    };
    Combined::new(broker, controller)
}

impl Machine {
    fn started() -> Machine {
        let mut machine = Machine {
            node: process(),
            disk: MemoryDisk::default(),
            host: TestHost::default(),
            now: Now { mono: 0, wall: 1_000_000 },
            conns: BTreeMap::new(),
            calls: BTreeMap::new(),
            inputs: VecDeque::new(),
            answers: BTreeMap::new(),
            halted: None,
            next_request: 1 << 41,
        };
        machine.start(1);
        machine
    }
    fn start(&mut self, incarnation: u128) {
        self.handle(Input::Start { incarnation: Uuid::from_u128(incarnation) });
        self.pass(30_000);
    }
    /// The process dies and is started again on what the disk kept through a loss of power.
    fn restart(&mut self) {
        self.disk.lose_power();
        self.node = process();
        self.host.effects.clear();
        self.host.events.clear();
        self.inputs.clear();
        self.conns.clear();
        self.calls.clear();
        self.halted = None;
        self.start(2);
    }
    fn handle(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front().filter(|_| self.halted.is_none()) {
            self.node.lane(&input);
            self.node.handle(self.now, input, &mut self.disk, &mut Effects::new(&mut self.host));
            for effect in std::mem::take(&mut self.host.effects) {
                self.carry_out(effect);
            }
        }
    }
    fn carry_out(&mut self, effect: Effect) {
        if self.halted.is_some() {
            return;
        }
        let end = |conn| Input::Closed { conn };
        match effect {
            Effect::Dial { conn, endpoint, .. } => {
                let listener = if endpoint.port == 9092 { Listener::Broker } else { Listener::Controller };
                self.conns.insert(conn, listener);
                self.inputs.push_back(Input::Opened { conn });
            }
            Effect::Close { conn } | Effect::HangUp { conn } => {
                self.conns.remove(&conn);
                let cut_off = self.calls.extract_if(.., |_, (_, on)| *on == conn);
                let answer = |(_, (call, conn))| Input::Response { call, conn, result: Err(CallError::Disconnected) };
                self.inputs.extend(cut_off.map(answer));
                self.inputs.push_back(end(conn));
            }
            Effect::Call { call, conn, version, request, .. } => {
                let listener = self.conns[&conn];
                let req = self.request(listener, conn, version, *request);
                self.calls.insert(req, (call, conn));
            }
            Effect::Answer { req, response } => match self.calls.remove(&req) {
                Some((call, conn)) => self.inputs.push_back(Input::Response { call, conn, result: Ok(response) }),
                None => {
                    self.answers.insert(req, *response);
                }
            },
            Effect::Sync { ticket, targets } => {
                let pending = self.disk.snapshot_for_sync(&targets);
                self.disk.complete_sync(pending);
                self.inputs.push_back(Input::Synced { ticket, result: Ok(()) });
            }
            Effect::Defer { step, .. } => self.inputs.push_back(Input::Local(step)),
            Effect::Halt { why } => self.halted = Some(why),
            Effect::SettleSilently { .. } | Effect::Deliver { .. } => panic!("{effect:?}"),
        }
    }
    fn request(&mut self, listener: Listener, conn: ConnId, version: i16, body: RequestKind) -> ReqId {
        self.next_request += 1;
        let req = ReqId(self.next_request);
        let header = RequestHeader {
            listener,
            api_version: version,
            client_id: "test".to_string(),
            client_host: "/test".to_string(),
        };
        self.inputs.push_back(Input::Request { req, conn, header, body: Box::new(body) });
        req
    }
    /// Asks and waits a while.
    fn ask(&mut self, listener: Listener, version: i16, body: impl Into<RequestKind>) -> ResponseKind {
        let req = self.request(listener, CLIENT, version, body.into());
        self.pass(1_000);
        self.answers.remove(&req).expect("the request is answered")
    }
    fn pass(&mut self, millis: i64) {
        let end = Now { mono: self.now.mono + ms(millis), wall: self.now.wall + millis };
        while let Some(input) = self.inputs.pop_front() {
            self.handle(input);
        }
        while let Some(at) = self.node.next_deadline().filter(|at| *at <= end.mono && self.halted.is_none()) {
            self.now.mono = self.now.mono.max(at);
            self.handle(Input::Deadline);
        }
        self.now = end;
    }

    fn is_up(&self) -> bool {
        self.node.controller().is_active() && self.node.broker().lifecycle_state() == LifecycleState::Running
    }
    fn create_orders(&mut self) -> String {
        let topic = CreatableTopic::default()
            .with_name(topic_name(&Topic::new("orders")))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000);
        match self.ask(Listener::Broker, versions::CREATE_TOPICS, request) {
            ResponseKind::CreateTopics(response) => code_name(response.topics[0].error_code),
            other => panic!("{other:?}"),
        }
    }
    fn produce(&mut self) -> (String, i64) {
        let record = NewRecord { timestamp: 5, value: Some(Bytes::from_static(b"v")), ..NewRecord::default() };
        let data = PartitionProduceData::default()
            .with_records(Some(build_batch(&[record], BuildOptions { base_offset: 0, ..BuildOptions::default() })));
        let topic =
            TopicProduceData::default().with_name(topic_name(&Topic::new("orders"))).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(900).with_topic_data(vec![topic]);
        match self.ask(Listener::Broker, versions::PRODUCE, request) {
            ResponseKind::Produce(response) => {
                let part = &response.responses[0].partition_responses[0];
                (code_name(part.error_code), part.base_offset)
            }
            other => panic!("{other:?}"),
        }
    }
    fn log_end(&self) -> Option<i64> {
        let id = TopicPartition::new(&Topic::new("orders"), 0);
        self.node.broker().partition(&id).map(|partition| partition.log_end_offset())
    }
    fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.host.events.iter().filter(|(event, _)| wanted(event)).count()
    }
}

#[test]
fn one_process_is_a_cluster() {
    let mut machine = Machine::started();
    assert!(machine.is_up(), "{:?}", machine.node.broker().lifecycle_state());
    assert_eq!(machine.create_orders(), "NONE");
    assert_eq!(machine.produce(), ("NONE".to_string(), 0));
    assert_eq!(machine.produce(), ("NONE".to_string(), 1));
    assert_eq!(machine.count(|event| matches!(event, Event::Started { .. })), 1, "one process has started");
}

#[test]
fn each_side_answers_on_its_own_listener() {
    let mut machine = Machine::started();
    let mut offered = |listener| match machine.ask(listener, 3, ApiVersionsRequest::default()) {
        ResponseKind::ApiVersions(response) => response.api_keys.iter().map(|api| api.api_key).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let (produce, broker_registration) = (0, 62);
    let (by_broker, by_controller) = (offered(Listener::Broker), offered(Listener::Controller));
    assert!(by_broker.contains(&produce) && !by_broker.contains(&broker_registration));
    assert!(!by_controller.contains(&produce) && by_controller.contains(&broker_registration));
}

/// The broker finds the directory of the metadata log among its own, and leaves it alone.
#[test]
fn both_sides_find_on_the_one_disk_what_they_left() {
    let mut machine = Machine::started();
    machine.create_orders();
    machine.produce();
    let (epoch, end) = (machine.node.controller().epoch(), machine.node.controller().high_watermark());
    machine.restart();
    assert!(machine.is_up());
    assert!(machine.node.controller().epoch() > epoch && machine.node.controller().high_watermark() > end);
    assert_eq!(machine.create_orders(), "TOPIC_ALREADY_EXISTS");
    // The record was not flushed (log.flush.interval.messages): with one replica it is gone, its log is not.
    assert_eq!(machine.log_end(), Some(0));
    assert_eq!(machine.produce(), ("NONE".to_string(), 0));
}
