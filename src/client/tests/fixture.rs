//! One client, a network without delay, and brokers that answer Metadata and InitProducerId by themselves and everything
//! else as told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use trial_storage::{Batches, DirId, Disk, DiskError, FileId, OpenMode, Record, records};
use uuid::Uuid;

use crate::client::{Client, ClientSetup, Role};
use crate::event::Event;
use crate::ids::{Topic, TopicPartition};
use crate::node::*;
use crate::zoo::Zoo;

pub const TOPIC: &str = "orders";
pub const TOPIC_ID: Uuid = Uuid::from_u128(77);
pub const START_WALL: i64 = 1_700_000_000_000;

pub fn partition(index: i32) -> TopicPartition {
    TopicPartition::new(&Topic::new(TOPIC), index)
}

/// A client's disk: clients have none.
pub(super) struct NoDisk;
type Never<T> = Result<T, DiskError>;
impl Disk for NoDisk {
    fn open_dir(&mut self, _: &str) -> Never<DirId> {
        Err(DiskError::Full)
    }
    fn list_dirs(&self) -> Never<Vec<String>> {
        Err(DiskError::Full)
    }
    fn list(&self, _: DirId) -> Never<Vec<String>> {
        Err(DiskError::Full)
    }
    fn remove_dir(&mut self, _: &str) -> Never<()> {
        Err(DiskError::Full)
    }
    fn open(&mut self, _: DirId, _: &str, _: OpenMode) -> Never<FileId> {
        Err(DiskError::Full)
    }
    fn close(&mut self, _: FileId) {}
    fn len(&self, _: FileId) -> Never<u64> {
        Err(DiskError::Full)
    }
    fn read(&mut self, _: FileId, _: u64, _: usize) -> Never<Bytes> {
        Err(DiskError::Full)
    }
    fn write(&mut self, _: FileId, _: u64, _: Bytes) -> Never<()> {
        Err(DiskError::Full)
    }
    fn truncate(&mut self, _: FileId, _: u64) -> Never<()> {
        Err(DiskError::Full)
    }
    fn rename(&mut self, _: DirId, _: &str, _: &str) -> Never<()> {
        Err(DiskError::Full)
    }
    fn remove(&mut self, _: DirId, _: &str) -> Never<()> {
        Err(DiskError::Full)
    }
}

#[derive(Default)]
pub(super) struct TestHost {
    fresh: u64,
    random: u64,
    pub(super) effects: VecDeque<Effect>,
    pub(super) events: Vec<(Event, Vec<EventId>)>,
}
impl Host for TestHost {
    fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }
    fn random(&mut self, _: RandomFor) -> u64 {
        // Any spread will do: Weyl's sequence.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random
    }
    fn record(&mut self, event: Event, also_because: &[EventId]) -> EventId {
        self.events.push((event, also_because.to_vec()));
        EventId(self.events.len() as u64)
    }
    fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }
    fn charge(&mut self, _: Nanos) {}
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub struct Call {
    pub broker: i32,
    pub conn: ConnId,
    call: CallId,
    version: i16,
    pub request: RequestKind,
}

/// The scripted cluster and its one client.
pub struct Bench {
    client: Client,
    host: TestHost,
    now: Nanos,
    conns: BTreeMap<ConnId, i32>,
    /// What has no answer yet on each connection, in the order in which it must be answered.
    open: BTreeMap<ConnId, VecDeque<Call>>,
    /// Calls without an answer, oldest first.
    calls: VecDeque<Call>,
    /// Requests that want no answer.
    pub unanswered: Vec<Call>,
    pub outcomes: BTreeMap<OpId, Outcome>,
    /// Order of delivery.
    pub delivered: Vec<OpId>,
    /// Brokers by id; those that are down refuse connections.
    pub down: BTreeSet<i32>,
    /// Brokers that Metadata answers do not name: fenced ones.
    pub unlisted: BTreeSet<i32>,
    /// Leader and leader epoch of each partition of the topic; empty: the topic does not exist.
    pub leaders: Vec<(i32, i32)>,
    /// The id of [`TOPIC`] that Metadata answers tell.
    pub topic_id: Uuid,
    /// The fetch session that brokers offer, 0: none.
    pub session_id: i32,
    pub metadata_requests: u32,
    /// What the next InitProducerId requests are answered; then producers 7, 8 … in epoch 0.
    pub producer_ids: VecDeque<(i64, i16)>,
    /// InitProducerId waits for the test's answer as other requests do.
    pub hold_producer_ids: bool,
    next_producer_id: i64,
}

impl Bench {
    /// Three brokers, one topic with partitions led by these brokers in epoch 5.
    pub fn new(role: Role, leaders: &[i32]) -> Self {
        Bench::with(role, leaders, Zoo::default())
    }
    /// The same with bugs of the past.
    pub fn with(role: Role, leaders: &[i32], zoo: Zoo) -> Self {
        let mut bench = Bench::unstarted(role, leaders, zoo);
        bench.start();
        bench
    }
    /// The same, before the client has done anything.
    pub fn unstarted(role: Role, leaders: &[i32], zoo: Zoo) -> Self {
        let bootstrap = vec![Endpoint { host: "b1".into(), port: 9092 }, Endpoint { host: "b2".into(), port: 9092 }];
        let client = Client::new(ClientSetup { client_id: "test".into(), bootstrap, role, zoo });
        Bench {
            client,
            host: TestHost::default(),
            now: ms(1_000),
            conns: BTreeMap::new(),
            open: BTreeMap::new(),
            calls: VecDeque::new(),
            unanswered: Vec::new(),
            outcomes: BTreeMap::new(),
            delivered: Vec::new(),
            down: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            topic_id: TOPIC_ID,
            session_id: 0,
            leaders: leaders.iter().map(|id| (*id, 5)).collect(),
            metadata_requests: 0,
            producer_ids: VecDeque::new(),
            hold_producer_ids: false,
            next_producer_id: 7,
        }
    }
    pub fn start(&mut self) {
        self.input(Input::Start { incarnation: Uuid::from_u128(1) });
    }

    pub fn command(&mut self, op: u64, command: Command) -> &mut Self {
        self.input(Input::Command { op: OpId(op), command });
        self
    }
    /// Lets time pass.
    pub fn sleep(&mut self, millis: i64) -> &mut Self {
        let until = self.now + ms(millis);
        let mut at_once = 0;
        while let Some(at) = self.client.next_deadline().filter(|at| *at <= until) {
            at_once = if at > self.now { 0 } else { at_once + 1 };
            assert!(at_once < 10, "the client wakes up again and again without time passing");
            self.now = self.now.max(at);
            self.input(Input::Deadline);
        }
        self.now = until;
        self
    }
    fn input(&mut self, input: Input) {
        let now = Now { mono: self.now, wall: START_WALL + (self.now / 1_000_000) as i64 };
        self.client.handle(now, input, &mut NoDisk, &mut Effects::new(&mut self.host));
        while let Some(effect) = self.host.effects.pop_front() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Dial { conn, endpoint, purpose } => {
                assert_eq!(purpose, Purpose::Client);
                let broker: i32 = endpoint.host.trim_start_matches('b').parse().expect("hosts are named b1, b2, b3");
                if self.down.contains(&broker) {
                    self.input(Input::DialFailed { conn });
                } else {
                    self.conns.insert(conn, broker);
                    self.input(Input::Opened { conn });
                }
            }
            Effect::Close { conn } => self.end_connection(conn),
            Effect::Call { call, conn, version, request, wants_response } => {
                let broker = *self.conns.get(&conn).expect("calls are made on open connections");
                let call = Call { broker, conn, call, version, request: over_the_wire(*request, version) };
                if !wants_response {
                    return self.unanswered.push(call);
                }
                self.open.entry(conn).or_default().push_back(call.clone());
                if !self.answers_by_itself(&call.request) {
                    self.calls.push_back(call);
                }
                self.answer_by_itself(conn);
            }
            Effect::Deliver { op, outcome } => {
                assert!(self.outcomes.insert(op, outcome).is_none(), "an outcome is delivered once");
                self.delivered.push(op);
            }
            other => panic!("a client has no use for {other:?}"),
        }
    }
    fn end_connection(&mut self, conn: ConnId) {
        if self.conns.remove(&conn).is_none() {
            return;
        }
        self.calls.retain(|c| c.conn != conn);
        for call in self.open.remove(&conn).unwrap_or_default() {
            self.input(Input::Response { call: call.call, conn, result: Err(CallError::Disconnected) });
        }
        self.input(Input::Closed { conn });
    }
    fn answers_by_itself(&self, request: &RequestKind) -> bool {
        match request {
            RequestKind::Metadata(_) => true,
            RequestKind::InitProducerId(_) => !self.hold_producer_ids,
            _ => false,
        }
    }
    /// Brokers answer Metadata and InitProducerId by themselves, once it is its turn.
    fn answer_by_itself(&mut self, conn: ConnId) {
        let Some(call) = self.open.get(&conn).and_then(VecDeque::front).cloned() else { return };
        match &call.request {
            RequestKind::Metadata(request) => {
                self.metadata_requests += 1;
                let answer = self.metadata(request);
                self.answer(call, answer.into());
            }
            RequestKind::InitProducerId(_) if !self.hold_producer_ids => {
                let given = self.producer_ids.pop_front().unwrap_or((self.next_producer_id, 0));
                self.next_producer_id = given.0 + 1;
                self.answer_producer_id(call, Ok(given));
            }
            _ => {}
        }
    }
    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let broker = |id: i32| {
            let host = StrBytes::from_string(format!("b{id}"));
            MetadataResponseBroker::default().with_node_id(id.into()).with_host(host).with_port(9092)
        };
        let partition = |(index, (leader, epoch)): (usize, &(i32, i32))| {
            MetadataResponsePartition::default()
                .with_partition_index(index as i32)
                .with_leader_id((*leader).into())
                .with_leader_epoch(*epoch)
                .with_replica_nodes((1..=3).map(Into::into).collect())
                .with_offline_replicas(self.down.iter().map(|id| (*id).into()).collect())
                .with_error_code(if *leader < 0 { ResponseError::LeaderNotAvailable.code() } else { 0 })
        };
        let topic = |asked: &metadata_request::MetadataRequestTopic| {
            let answer = MetadataResponseTopic::default().with_name(asked.name.clone());
            let name = asked.name.as_ref().map(|n| n.0.to_string());
            if name.as_deref() != Some(TOPIC) || self.leaders.is_empty() {
                return answer.with_error_code(ResponseError::UnknownTopicOrPartition.code());
            }
            answer
                .with_topic_id(self.topic_id)
                .with_partitions(self.leaders.iter().enumerate().map(partition).collect())
        };
        MetadataResponse::default()
            .with_brokers((1..=3).filter(|id| !self.unlisted.contains(id)).map(broker).collect())
            .with_topics(request.topics.iter().flatten().map(topic).collect())
    }

    // ── what the brokers do ──────────────────────────────────────────────────────────────────────────────────────

    /// The oldest call without an answer.
    pub fn next_call(&mut self) -> Call {
        self.calls.pop_front().expect("a request has arrived")
    }
    /// How many calls have no answer.
    pub fn calls_waiting(&self) -> usize {
        self.calls.len()
    }
    pub fn answer(&mut self, call: Call, response: ResponseKind) -> &mut Self {
        let response = back_over_the_wire(response, &call);
        self.close_call(&call);
        self.input(Input::Response { call: call.call, conn: call.conn, result: Ok(Box::new(response)) });
        self.answer_by_itself(call.conn);
        self
    }
    /// A broker answers a connection's requests in their order. One that comes after the end of its connection is lost.
    fn close_call(&mut self, call: &Call) {
        if let Some(open) = self.open.get_mut(&call.conn) {
            let oldest = open.pop_front().expect("a call is answered once");
            assert_eq!(oldest.call, call.call, "answers come in the order of the calls");
        }
    }
    /// Answers an InitProducerId with id and epoch.
    pub fn answer_producer_id(&mut self, call: Call, end: Result<(i64, i16), ResponseError>) -> &mut Self {
        let RequestKind::InitProducerId(request) = &call.request else { panic!("not an InitProducerId: {call:?}") };
        assert_eq!(request.transactional_id, None);
        let answer = match end {
            Ok((id, epoch)) => InitProducerIdResponse::default().with_producer_id(id.into()).with_producer_epoch(epoch),
            Err(error) => InitProducerIdResponse::default().with_producer_id((-1).into()).with_error_code(error.code()),
        };
        self.answer(call, answer.into())
    }
    /// Answers a produce request with the same end for each of its partitions.
    pub fn answer_produce(&mut self, call: Call, end: Result<i64, ResponseError>) -> &mut Self {
        self.answer_produce_from(call, end, -1)
    }
    /// The same, telling the log start offset too.
    pub fn answer_produce_from(&mut self, call: Call, end: Result<i64, ResponseError>, log_start: i64) -> &mut Self {
        let RequestKind::Produce(request) = &call.request else { panic!("not a produce request: {call:?}") };
        let partition = |index| match end {
            Ok(base) => PartitionProduceResponse::default().with_index(index).with_base_offset(base),
            Err(error) => {
                PartitionProduceResponse::default().with_index(index).with_base_offset(-1).with_error_code(error.code())
            }
        };
        let partition = |index| partition(index).with_log_start_offset(log_start);
        let topic = |t: &produce_request::TopicProduceData| {
            TopicProduceResponse::default()
                .with_name(t.name.clone())
                .with_partition_responses(t.partition_data.iter().map(|p| partition(p.index)).collect())
        };
        let response = ProduceResponse::default().with_responses(request.topic_data.iter().map(topic).collect());
        self.answer(call, response.into())
    }
    /// Answers a fetch, partition by partition.
    pub fn answer_fetch(&mut self, call: Call, serve: impl Fn(&FetchPartition) -> PartitionData) -> &mut Self {
        let RequestKind::Fetch(request) = &call.request else { panic!("not a fetch: {call:?}") };
        let topic = |t: &fetch_request::FetchTopic| {
            let partitions =
                t.partitions.iter().map(|p| serve(p).with_partition_index(p.partition)).collect::<Vec<_>>();
            FetchableTopicResponse::default().with_topic_id(t.topic_id).with_partitions(partitions)
        };
        let response = FetchResponse::default()
            .with_session_id(self.session_id)
            .with_responses(request.topics.iter().map(topic).collect());
        self.answer(call, response.into())
    }
    /// Answers where epochs end, partition by partition. Returns what was asked: current and wanted leader epoch of each.
    pub fn answer_end_of_epoch(&mut self, call: Call, end: Result<(i32, i64), ResponseError>) -> Vec<(i32, i32)> {
        let RequestKind::OffsetForLeaderEpoch(request) = call.request.clone() else { panic!("not that: {call:?}") };
        let partition = |p: &offset_for_leader_epoch_request::OffsetForLeaderPartition| {
            let answer = offset_for_leader_epoch_response::EpochEndOffset::default().with_partition(p.partition);
            match end {
                Ok((epoch, offset)) => answer.with_leader_epoch(epoch).with_end_offset(offset),
                Err(error) => answer.with_error_code(error.code()),
            }
        };
        let topic = |t: &offset_for_leader_epoch_request::OffsetForLeaderTopic| {
            offset_for_leader_epoch_response::OffsetForLeaderTopicResult::default()
                .with_topic(t.topic.clone())
                .with_partitions(t.partitions.iter().map(partition).collect())
        };
        let response = OffsetForLeaderEpochResponse::default().with_topics(request.topics.iter().map(topic).collect());
        self.answer(call, response.into());
        let asked = request.topics.iter().flat_map(|t| t.partitions.iter());
        asked.map(|p| (p.current_leader_epoch, p.leader_epoch)).collect()
    }
    /// The leader finds the position that it is asked for in its history.
    pub fn history_goes_on(&mut self) -> Vec<(i32, i32)> {
        let call = self.next_call();
        self.answer_end_of_epoch(call, Ok((5, i64::MAX)))
    }
    /// Answers a ListOffsets with the same end for each of its partitions. Returns the timestamps asked for.
    pub fn answer_list_offsets(&mut self, call: Call, end: Result<i64, ResponseError>) -> Vec<i64> {
        let RequestKind::ListOffsets(request) = call.request.clone() else { panic!("not a ListOffsets: {call:?}") };
        let partition = |p: &list_offsets_request::ListOffsetsPartition| {
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(p.partition_index);
            match end {
                Ok(offset) => answer.with_offset(offset).with_leader_epoch(5),
                Err(error) => answer.with_error_code(error.code()),
            }
        };
        let topic = |t: &list_offsets_request::ListOffsetsTopic| {
            ListOffsetsTopicResponse::default()
                .with_name(t.name.clone())
                .with_partitions(t.partitions.iter().map(partition).collect())
        };
        let response = ListOffsetsResponse::default().with_topics(request.topics.iter().map(topic).collect());
        self.answer(call, response.into());
        request.topics.iter().flat_map(|t| t.partitions.iter().map(|p| p.timestamp)).collect()
    }
    /// The answer comes, but nobody can read it.
    pub fn garble(&mut self, call: Call) -> &mut Self {
        self.close_call(&call);
        self.input(Input::Response { call: call.call, conn: call.conn, result: Err(CallError::Undecodable) });
        self
    }
    /// Ends every connection to a broker, which stays reachable.
    pub fn disconnect(&mut self, broker: i32) -> &mut Self {
        let conns: Vec<ConnId> = self.conns.iter().filter(|(_, b)| **b == broker).map(|(c, _)| *c).collect();
        conns.into_iter().for_each(|conn| self.end_connection(conn));
        self
    }
    /// A broker dies: its connections end, new ones fail.
    pub fn kill(&mut self, broker: i32) -> &mut Self {
        self.down.insert(broker);
        self.disconnect(broker)
    }

    // ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────

    pub fn outcome(&self, op: u64) -> &Outcome {
        self.outcomes.get(&OpId(op)).unwrap_or_else(|| panic!("operation {op} is not settled yet"))
    }
    pub fn is_settled(&self, op: u64) -> bool {
        self.outcomes.contains_key(&OpId(op))
    }
    /// Belief, attempts and last error of a send.
    pub fn produced(&self, op: u64) -> (Belief, u32, Option<&str>) {
        match self.outcome(op) {
            Outcome::Produced { belief, attempts, error, .. } => (belief.clone(), *attempts, error.as_deref()),
            other => panic!("operation {op} ended as {other:?}"),
        }
    }
    /// Sentences of the events of that name, in order.
    pub fn told(&self, name: &str) -> Vec<String> {
        self.host.events.iter().filter(|(e, _)| e.name() == name).map(|(e, _)| e.to_string()).collect()
    }
    /// The named causes of each event of that name, as sentences.
    pub fn causes_of(&self, name: &str) -> Vec<String> {
        let causes = self.host.events.iter().filter(|(e, _)| e.name() == name).flat_map(|(_, causes)| causes);
        causes.map(|id| self.host.events[id.0 as usize - 1].0.to_string()).collect()
    }
}

/// The values of the records in a produce request, per partition.
pub fn sent(call: &Call) -> Vec<(i32, Vec<String>)> {
    batches(call).into_iter().map(|(index, batch)| (index, values(batch))).collect()
}
/// The batch for each partition in a produce request.
pub fn batches(call: &Call) -> Vec<(i32, Bytes)> {
    let RequestKind::Produce(request) = &call.request else { panic!("not a produce request: {call:?}") };
    let partitions = request.topic_data.iter().flat_map(|t| &t.partition_data);
    partitions.map(|p| (p.index, p.records.clone().expect("records"))).collect()
}
/// The values of the records of a batch.
pub fn values(batches: Bytes) -> Vec<String> {
    let text = |r: Record| String::from_utf8(r.value.expect("value").to_vec()).expect("text");
    Batches::new(batches).flat_map(|b| records(&b.expect("batch").bytes).expect("records")).map(text).collect()
}

/// What a broker reads: the request encoded and decoded, and nothing of it may be lost.
pub(super) fn over_the_wire(request: RequestKind, version: i16) -> RequestKind {
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes, version).expect("the request can be encoded at its version");
    let read = RequestKind::decode(api_key(&request), &mut bytes.freeze(), version).expect("and decoded");
    assert_eq!(read, request);
    read
}
fn back_over_the_wire(response: ResponseKind, call: &Call) -> ResponseKind {
    answer_over_the_wire(response, &call.request, call.version)
}
pub(super) fn answer_over_the_wire(response: ResponseKind, request: &RequestKind, version: i16) -> ResponseKind {
    let mut bytes = BytesMut::new();
    response.encode(&mut bytes, version).expect("the response can be encoded at its version");
    ResponseKind::decode(api_key(request), &mut bytes.freeze(), version).expect("and decoded")
}
fn api_key(request: &RequestKind) -> ApiKey {
    crate::protocol::api_key_of(request).unwrap_or_else(|| panic!("no client sends {request:?}"))
}
