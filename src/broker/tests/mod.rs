//! Stories: broker 1 on a disk in memory, with a scripted controller, scripted followers and scripted leaders.
//!
//! The host opens every connection at once, registers the broker and answers its heartbeats. What else it asks for waits
//! until a story answers: metadata, its fetches as a follower, its AlterPartitions.

mod append;
mod consumers;
mod controllers;
mod disk;
mod divergence;
mod fetch_sessions;
mod follower;
mod groups;
mod in_sync;
mod leader;
mod lifecycle;
mod log_start;
mod producer_state;
mod producers;
mod snapshot;
mod throttle;
mod topics;

use std::collections::BTreeMap;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::alter_partition_request::PartitionData as IsrAsked;
use kafka_protocol::messages::alter_partition_response::{PartitionData as IsrAnswer, TopicData as IsrTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::{
    EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AlterPartitionResponse, BrokerHeartbeatResponse, BrokerRegistrationResponse, FetchRequest, FetchResponse,
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, ProduceRequest, ProduceResponse, RequestKind,
    ResponseKind,
};
use kafka_protocol::{ResponseError, messages::BrokerId as WireBrokerId};
use trial_storage::{BuildOptions, NewRecord, build_batch};
use uuid::Uuid;

use super::partition::Partition;
use super::{Broker, BrokerSetup};
use crate::config::BrokerConfig;
use crate::event::Event;
use crate::ids::{BrokerId, ControllerNode, Topic, TopicPartition};
use crate::metadata::{BrokerRegistrationChange, METADATA_TOPIC_ID, MetadataRecord, PartitionChange};
use crate::node::{
    CallError, CallId, Command, ConnId, Effect, Effects, Endpoint, Input, Listener, LocalStep, Node, Now, OpId,
    Purpose, ReqId, RequestHeader, Ticket, ms,
};
use crate::protocol::errors::code_name;
use crate::protocol::{topic_name, versions};
use crate::testing::memory_disk::{MemoryDisk, PendingSync};
use crate::testing::{TestHost, placed};
use crate::zoo::{Switch, Zoo};

const ORDERS: Uuid = Uuid::from_u128(7);
const CLIENT: ConnId = ConnId(1_000_000);

/// A call of the broker that waits for its answer.
struct Call {
    call: CallId,
    conn: ConnId,
    purpose: Purpose,
    request: RequestKind,
}

struct Room {
    broker: Broker,
    disk: MemoryDisk,
    host: TestHost,
    now: Now,
    purposes: BTreeMap<ConnId, Purpose>,
    hosts: BTreeMap<ConnId, String>,
    /// Hosts that refuse connections.
    dead: Vec<&'static str>,
    /// Controllers that answer registrations and heartbeats with NOT_CONTROLLER.
    inactive: Vec<&'static str>,
    calls: Vec<Call>,
    answers: BTreeMap<ReqId, ResponseKind>,
    hung_up: bool,
    settled_silently: u32,
    halted: Option<String>,
    next_request: u64,
    heartbeats: u32,
    metadata_offset: i64,
    /// Leader and epoch of the quorum.
    quorum_leader: (i32, i32),
    /// Broker epoch that the next registration gets.
    broker_epoch: i64,
    /// Registration and heartbeats wait for a story's answer too.
    lifecycle_waits: bool,
    /// Syncs do not end before a story says so.
    syncs_wait: bool,
    held_syncs: Vec<(Ticket, PendingSync)>,
    /// Logs of groups are not loaded before a story says so.
    loads_wait: bool,
    held_loads: Vec<LocalStep>,
}

/// Configuration, topic configs and switches of a story.
#[derive(Default)]
struct Story {
    config: BrokerConfig,
    topic: &'static [(&'static str, &'static str)],
    zoo: Zoo,
}

impl Room {
    fn new(config: BrokerConfig, zoo: Zoo) -> Room {
        let mut room = Room::alone(config, zoo, 1);
        room.leads_quorum(3001, 1);
        room
    }
    /// Started, with so many controllers to ask, and none has answered.
    fn alone(config: BrokerConfig, zoo: Zoo, controllers: u32) -> Room {
        let controller =
            |n: u32| ControllerNode { id: 3000 + n as i32, endpoint: Endpoint { host: format!("c{n}"), port: 9093 } };
        let setup = BrokerSetup {
            node_id: 1,
            cluster_id: "trial".to_string(),
            endpoint: Endpoint { host: "b1".to_string(), port: 9092 },
            rack: None,
            controllers: (1..=controllers).map(controller).collect(),
            config,
            zoo,
        };
        let mut room = Room {
            broker: Broker::new(setup),
            disk: MemoryDisk::default(),
            host: TestHost::default(),
            now: Now { mono: 0, wall: 1_000_000 },
            purposes: BTreeMap::new(),
            hosts: BTreeMap::new(),
            dead: Vec::new(),
            inactive: Vec::new(),
            calls: Vec::new(),
            answers: BTreeMap::new(),
            hung_up: false,
            settled_silently: 0,
            halted: None,
            next_request: 0,
            heartbeats: 0,
            metadata_offset: 0,
            quorum_leader: (-1, 0),
            broker_epoch: 0,
            lifecycle_waits: false,
            syncs_wait: false,
            held_syncs: Vec::new(),
            loads_wait: false,
            held_loads: Vec::new(),
        };
        room.handle(Input::Start { incarnation: Uuid::from_u128(1) });
        room
    }
    /// Brokers 1 to 3 with broker epochs 0 to 2, and `orders-0` on them, as the story has it.
    fn with(story: Story, leader: BrokerId, isr: &[BrokerId]) -> Room {
        let mut room = Room::new(story.config, story.zoo);
        let mut records: Vec<_> = (1..=3).map(|broker| registered(broker, i64::from(broker) - 1)).collect();
        records.push(MetadataRecord::Topic { name: Topic::new("orders"), topic_id: ORDERS });
        records.extend(story.topic.iter().map(|(name, value)| MetadataRecord::Config {
            resource_type: crate::metadata::TOPIC_RESOURCE,
            resource_name: "orders".to_string(),
            name: name.to_string(),
            value: Some(value.to_string()),
        }));
        records.push(placed(ORDERS, 0, &[1, 2, 3], isr, leader));
        room.metadata(records);
        room
    }
    /// Broker 1 leads `orders-0` in epoch 0.
    fn leads(isr: &[BrokerId]) -> Room {
        Room::with(Story::default(), 1, isr)
    }
    /// Broker 1 follows broker 2 in epoch 0.
    fn follows() -> Room {
        Room::with(Story::default(), 2, &[1, 2, 3])
    }

    // ── the host ─────────────────────────────────────────────────────────────────────────────────────────────────
    fn handle(&mut self, input: Input) {
        self.feed(input);
        while !self.host.effects.is_empty() {
            for effect in std::mem::take(&mut self.host.effects) {
                self.carry_out(effect);
            }
        }
    }
    fn feed(&mut self, input: Input) {
        self.broker.handle(self.now, input, &mut self.disk, &mut Effects::new(&mut self.host));
    }
    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Dial { conn, purpose, endpoint } => {
                self.purposes.insert(conn, purpose);
                let is_dead = self.dead.contains(&endpoint.host.as_str());
                self.hosts.insert(conn, endpoint.host);
                self.feed(if is_dead { Input::DialFailed { conn } } else { Input::Opened { conn } });
            }
            Effect::Close { conn } => self.calls.retain(|call| call.conn != conn),
            Effect::Call { call, conn, request, .. } => {
                let call = Call { call, conn, purpose: self.purposes[&conn], request: *request };
                match &call.request {
                    _ if self.lifecycle_waits => self.calls.push(call),
                    RequestKind::BrokerRegistration(_) => {
                        let response = BrokerRegistrationResponse::default()
                            .with_broker_epoch(self.broker_epoch)
                            .with_error_code(self.is_inactive(conn));
                        self.respond(&call, response.into());
                    }
                    RequestKind::BrokerHeartbeat(request) => {
                        self.heartbeats += 1;
                        let response = BrokerHeartbeatResponse::default()
                            .with_error_code(self.is_inactive(conn))
                            .with_is_caught_up(true)
                            .with_is_fenced(false)
                            .with_should_shut_down(request.want_shut_down);
                        self.respond(&call, response.into());
                    }
                    _ => self.calls.push(call),
                }
            }
            Effect::Answer { req, response } => {
                let before = self.answers.insert(req, *response);
                assert!(before.is_none(), "answered twice");
            }
            Effect::SettleSilently { .. } => self.settled_silently += 1,
            Effect::HangUp { .. } => self.hung_up = true,
            Effect::Sync { ticket, targets } => {
                let pending = self.disk.snapshot_for_sync(&targets);
                if self.syncs_wait {
                    return self.held_syncs.push((ticket, pending));
                }
                self.disk.complete_sync(pending);
                self.feed(Input::Synced { ticket, result: Ok(()) });
            }
            Effect::Defer { step, .. } if self.loads_wait && groups::is_load(&step) => self.held_loads.push(step),
            Effect::Defer { step, .. } => self.feed(Input::Local(step)),
            Effect::Halt { why } => self.halted = Some(why),
            Effect::Deliver { .. } => panic!("a broker delivers nothing"),
        }
    }
    /// The error code of whoever is at the other end.
    fn is_inactive(&self, conn: ConnId) -> i16 {
        let inactive = self.inactive.contains(&self.hosts[&conn].as_str());
        if inactive { ResponseError::NotController.code() } else { 0 }
    }
    /// The last of the syncs under way ends.
    fn finish_last_sync(&mut self) {
        let (ticket, pending) = self.held_syncs.pop().expect("a sync is under way");
        self.disk.complete_sync(pending);
        self.handle(Input::Synced { ticket, result: Ok(()) });
    }
    fn respond(&mut self, call: &Call, response: ResponseKind) {
        self.feed(Input::Response { call: call.call, conn: call.conn, result: Ok(Box::new(response)) });
    }
    fn pass(&mut self, millis: i64) {
        let end = self.now.mono + ms(millis);
        let wall = self.now.wall + millis;
        while let Some(deadline) = self.broker.next_deadline().filter(|deadline| *deadline <= end) {
            let step = deadline.saturating_sub(self.now.mono);
            self.now.mono += step;
            self.now.wall = wall - ((end - self.now.mono) / ms(1)) as i64;
            self.handle(Input::Deadline);
        }
        self.now = Now { mono: end, wall };
    }
    /// A new process on the disk as it is.
    fn restart(&mut self) {
        let setup = self.broker.setup.clone();
        self.broker = Broker::new(setup);
        self.calls.clear();
        self.held_syncs.clear();
        self.syncs_wait = false;
        self.host.effects.clear();
        self.host.events.clear();
        self.answers.clear();
        self.metadata_offset = 0;
        self.handle(Input::Start { incarnation: Uuid::from_u128(2) });
        self.leads_quorum(3001, 1);
    }
    fn shut_down(&mut self) {
        self.handle(Input::Command { op: OpId(1), command: Command::ShutDown });
    }

    // ── what the broker asked for ────────────────────────────────────────────────────────────────────────────────
    fn waiting(&self, purpose: Purpose) -> usize {
        self.calls.iter().filter(|call| call.purpose == purpose).count()
    }
    /// The host that the call in flight went to.
    fn asks(&self, purpose: Purpose) -> Option<&str> {
        self.calls.iter().find(|call| call.purpose == purpose).map(|call| self.hosts[&call.conn].as_str())
    }
    fn take_call(&mut self, purpose: Purpose) -> Call {
        let at = self.calls.iter().position(|call| call.purpose == purpose);
        self.calls.remove(at.unwrap_or_else(|| panic!("no call for {purpose:?} waits")))
    }
    fn reply(&mut self, call: &Call, response: impl Into<ResponseKind>) {
        let result = Ok(Box::new(response.into()));
        self.handle(Input::Response { call: call.call, conn: call.conn, result });
    }
    fn hang_up_on(&mut self, purpose: Purpose) {
        let call = self.take_call(purpose);
        self.handle(Input::Response { call: call.call, conn: call.conn, result: Err(CallError::Disconnected) });
        self.handle(Input::Closed { conn: call.conn });
    }

    // ── the controller ───────────────────────────────────────────────────────────────────────────────────────────
    /// The broker asks a controller for metadata, and hears who leads the quorum in which epoch.
    fn leads_quorum(&mut self, leader: i32, epoch: i32) {
        self.refuse_metadata(ResponseError::FencedLeaderEpoch, leader, epoch);
        // The other links notice in their own lanes.
        self.pass(0);
    }
    fn refuse_metadata(&mut self, error: ResponseError, leader: i32, epoch: i32) {
        let call = self.take_call(Purpose::Raft);
        self.quorum_leader = (leader, epoch);
        let data = PartitionData::default().with_error_code(error.code());
        let response = self.by_quorum(data);
        self.reply(&call, response);
    }
    /// An answer to a fetch of metadata that names the leader, with its endpoint.
    fn by_quorum(&self, data: PartitionData) -> FetchResponse {
        let (leader, epoch) = self.quorum_leader;
        let leader = LeaderIdAndEpoch::default().with_leader_id(WireBrokerId(leader)).with_leader_epoch(epoch);
        fetched(METADATA_TOPIC_ID, data.with_current_leader(leader))
    }
    /// The metadata log goes on with these records, and the broker hears of it.
    fn metadata(&mut self, records: Vec<MetadataRecord>) {
        let call = self.take_call(Purpose::Raft);
        let values: Vec<_> = records.iter().map(MetadataRecord::encode).collect();
        let batch = batch(self.metadata_offset, 1, values.into_iter());
        self.metadata_offset += records.len() as i64;
        let data = PartitionData::default().with_records(Some(batch)).with_high_watermark(self.metadata_offset);
        let response = self.by_quorum(data);
        self.reply(&call, response);
    }
    /// `orders-1` on 1 and 2, led by 1.
    fn second_partition(&mut self, isr: &[BrokerId]) {
        self.metadata(vec![placed(ORDERS, 1, &[1, 2], isr, 1)]);
    }
    fn change(&mut self, change: PartitionChange) {
        self.metadata(vec![MetadataRecord::PartitionChange(PartitionChange { topic_id: ORDERS, ..change })]);
    }
    /// The controller elects.
    fn elect(&mut self, leader: BrokerId, isr: &[BrokerId]) {
        self.change(PartitionChange { leader: Some(leader), isr: Some(isr.to_vec()), ..PartitionChange::default() });
    }
    fn set_isr(&mut self, isr: &[BrokerId]) {
        self.change(PartitionChange { isr: Some(isr.to_vec()), ..PartitionChange::default() });
    }
    fn fence(&mut self, broker: BrokerId, fenced: bool) {
        self.metadata(vec![MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
            broker,
            broker_epoch: i64::from(broker) - 1,
            fenced: Some(fenced),
            in_controlled_shutdown: None,
        })]);
    }
    /// The AlterPartition in flight: what it asks for `orders-0`.
    fn isr_asked(&self) -> Option<IsrAsked> {
        self.calls.iter().find_map(|call| match &call.request {
            RequestKind::AlterPartition(request) => Some(request.topics[0].partitions[0].clone()),
            _ => None,
        })
    }
    /// Members and broker epochs of the AlterPartition in flight.
    fn members_asked(&self) -> Vec<(BrokerId, i64)> {
        let asked = self.isr_asked().map(|asked| asked.new_isr_with_epochs).unwrap_or_default();
        asked.iter().map(|member| (member.broker_id.0, member.broker_epoch)).collect()
    }
    fn answer_isr(&mut self, answer: IsrAnswer) {
        let call = self.take_call(Purpose::AlterPartition);
        let topic = IsrTopic::default().with_topic_id(ORDERS).with_partitions(vec![answer]);
        self.reply(&call, AlterPartitionResponse::default().with_topics(vec![topic]));
    }
    /// The controller agrees.
    fn grant_isr(&mut self, isr: &[BrokerId], leader_epoch: i32, partition_epoch: i32) {
        let isr = isr.iter().copied().map(WireBrokerId).collect();
        self.answer_isr(
            IsrAnswer::default()
                .with_leader_id(WireBrokerId(1))
                .with_leader_epoch(leader_epoch)
                .with_partition_epoch(partition_epoch)
                .with_isr(isr),
        );
    }
    fn refuse_isr(&mut self, error: ResponseError) {
        self.answer_isr(IsrAnswer::default().with_error_code(error.code()));
    }

    // ── clients and followers ────────────────────────────────────────────────────────────────────────────────────
    fn send(&mut self, api_version: i16, body: impl Into<RequestKind>) -> ReqId {
        self.next_request += 1;
        let req = ReqId(self.next_request);
        let header = RequestHeader {
            listener: Listener::Broker,
            api_version,
            client_id: "test".to_string(),
            client_host: "/test".to_string(),
        };
        self.handle(Input::Request { req, conn: CLIENT, header, body: Box::new(body.into()) });
        req
    }
    /// Produces one record to each of these partitions of `orders`.
    fn produce_to(&mut self, acks: i16, partitions: &[i32]) -> ReqId {
        let data = |index: &i32| {
            PartitionProduceData::default().with_index(*index).with_records(Some(batch(0, -1, [value()].into_iter())))
        };
        self.produce_data(acks, partitions.iter().map(data).collect())
    }
    fn produce_data(&mut self, acks: i16, data: Vec<PartitionProduceData>) -> ReqId {
        let topic = TopicProduceData::default().with_name(topic_name(&Topic::new("orders"))).with_partition_data(data);
        let request = ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        self.send(versions::PRODUCE, request)
    }
    fn produce(&mut self, acks: i16) -> ReqId {
        self.produce_to(acks, &[0])
    }
    /// Error names and base offsets of a produce request's answer, if it has one.
    fn produced(&self, req: ReqId) -> Option<Vec<(String, i64)>> {
        let ResponseKind::Produce(ProduceResponse { responses, .. }) = self.answers.get(&req)? else { return None };
        let parts = responses.iter().flat_map(|topic| &topic.partition_responses);
        Some(parts.map(|part| (code_name(part.error_code), part.base_offset)).collect())
    }
    /// The error name of an answered one-partition produce.
    fn produce_error(&self, req: ReqId) -> String {
        self.produced(req).expect("the request is answered")[0].0.clone()
    }
    fn send_fetch(&mut self, fetch: Fetching) -> ReqId {
        let partition = FetchPartition::default()
            .with_current_leader_epoch(fetch.leader_epoch)
            .with_fetch_offset(fetch.offset)
            .with_last_fetched_epoch(fetch.last_fetched_epoch)
            .with_log_start_offset(fetch.log_start)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic_id(ORDERS).with_partitions(vec![partition]);
        let replica = ReplicaState::default()
            .with_replica_id(WireBrokerId(fetch.replica))
            .with_replica_epoch(fetch.broker_epoch.unwrap_or(i64::from(fetch.replica) - 1));
        let request = FetchRequest::default()
            .with_replica_state(replica)
            .with_max_wait_ms(fetch.max_wait_ms)
            .with_min_bytes(fetch.min_bytes)
            .with_max_bytes(1 << 20)
            .with_topics(vec![topic]);
        self.send(versions::FETCH, request)
    }
    fn fetched(&self, req: ReqId) -> Option<PartitionData> {
        match self.answers.get(&req)? {
            ResponseKind::Fetch(response) => Some(response.responses[0].partitions[0].clone()),
            other => panic!("{other:?}"),
        }
    }
    /// A fetch that does not wait.
    fn fetch(&mut self, fetch: Fetching) -> PartitionData {
        let req = self.send_fetch(fetch);
        self.fetched(req).expect("the request is answered")
    }
    /// A follower's fetch at that offset, in the present epochs.
    fn follower_fetches(&mut self, replica: BrokerId, offset: i64) -> PartitionData {
        let leader_epoch = self.orders().leader_epoch;
        let last_fetched_epoch = if offset == 0 { -1 } else { 0 };
        self.fetch(Fetching { replica, offset, leader_epoch, last_fetched_epoch, ..Fetching::default() })
    }
    fn list_offset(&mut self, timestamp: i64, leader_epoch: i32) -> (String, i64) {
        let partition =
            ListOffsetsPartition::default().with_current_leader_epoch(leader_epoch).with_timestamp(timestamp);
        self.list_offsets(-1, versions::LIST_OFFSETS, vec![partition]).remove(0)
    }
    /// Asks `orders-0` for each of these, as that replica, client (-1) or tool (-2), in that version.
    fn list_offset_as(&mut self, replica: BrokerId, version: i16, timestamps: &[i64]) -> Vec<(String, i64)> {
        let partition = |timestamp: &i64| ListOffsetsPartition::default().with_timestamp(*timestamp);
        self.list_offsets(replica, version, timestamps.iter().map(partition).collect())
    }
    fn list_offsets(
        &mut self,
        replica: BrokerId,
        version: i16,
        partitions: Vec<ListOffsetsPartition>,
    ) -> Vec<(String, i64)> {
        let topic =
            ListOffsetsTopic::default().with_name(topic_name(&Topic::new("orders"))).with_partitions(partitions);
        let request = ListOffsetsRequest::default().with_replica_id(WireBrokerId(replica)).with_topics(vec![topic]);
        let req = self.send(version, request);
        match self.answers.get(&req) {
            Some(ResponseKind::ListOffsets(response)) => {
                let parts = response.topics[0].partitions.iter();
                parts.map(|part| (code_name(part.error_code), part.offset)).collect()
            }
            other => panic!("{other:?}"),
        }
    }
    /// Error, epoch and end offset of an epoch of `orders-0`.
    fn end_of_epoch(&mut self, current_leader_epoch: i32, leader_epoch: i32) -> (String, i32, i64) {
        let partition = OffsetForLeaderPartition::default()
            .with_current_leader_epoch(current_leader_epoch)
            .with_leader_epoch(leader_epoch);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(topic_name(&Topic::new("orders")))
            .with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        let req = self.send(versions::OFFSET_FOR_LEADER_EPOCH, request);
        match self.answers.get(&req) {
            Some(ResponseKind::OffsetForLeaderEpoch(response)) => {
                let part = &response.topics[0].partitions[0];
                (code_name(part.error_code), part.leader_epoch, part.end_offset)
            }
            other => panic!("{other:?}"),
        }
    }

    // ── the leader that broker 1 follows ─────────────────────────────────────────────────────────────────────────
    /// What the fetch in flight asks of `orders-0`: leader epoch, offset, last fetched epoch.
    fn asks_leader(&self) -> Option<(i32, i64, i32)> {
        self.calls.iter().filter(|call| call.purpose == Purpose::Fetcher).find_map(|call| match &call.request {
            RequestKind::Fetch(request) => {
                let part = &request.topics[0].partitions[0];
                Some((part.current_leader_epoch, part.fetch_offset, part.last_fetched_epoch))
            }
            _ => None,
        })
    }
    fn leader_answers(&mut self, data: PartitionData) {
        let call = self.take_call(Purpose::Fetcher);
        self.reply(&call, fetched(ORDERS, data));
    }
    /// The leader sends one-record batches with these epochs from `offset` on.
    fn leader_sends(&mut self, offset: i64, epochs: &[i32], high_watermark: i64) {
        let records: Vec<u8> =
            (offset..).zip(epochs).flat_map(|(at, epoch)| batch(at, *epoch, [value()].into_iter())).collect();
        self.leader_answers(
            PartitionData::default().with_records(Some(records.into())).with_high_watermark(high_watermark),
        );
    }
    fn leader_refuses(&mut self, error: ResponseError) {
        self.leader_answers(PartitionData::default().with_error_code(error.code()).with_high_watermark(-1));
    }
    fn leader_diverges(&mut self, epoch: i32, end_offset: i64, high_watermark: i64) {
        let diverging = EpochEndOffset::default().with_epoch(epoch).with_end_offset(end_offset);
        self.leader_answers(
            PartitionData::default().with_diverging_epoch(diverging).with_high_watermark(high_watermark),
        );
    }
    /// The leader answers the ListOffsets in flight; returns the timestamp it asked for.
    fn leader_tells_offset(&mut self, offset: i64, error_code: i16) -> i64 {
        let call = self.take_call(Purpose::Fetcher);
        let RequestKind::ListOffsets(request) = &call.request else { panic!("{:?}", call.request) };
        let timestamp = request.topics[0].partitions[0].timestamp;
        let answer = ListOffsetsPartitionResponse::default().with_offset(offset).with_error_code(error_code);
        let topic = ListOffsetsTopicResponse::default()
            .with_name(topic_name(&Topic::new("orders")))
            .with_partitions(vec![answer]);
        self.reply(&call, ListOffsetsResponse::default().with_topics(vec![topic]));
        timestamp
    }

    // ── what became of it ────────────────────────────────────────────────────────────────────────────────────────
    fn orders(&self) -> &Partition {
        self.broker.partition(&TopicPartition::new(&Topic::new("orders"), 0)).expect("the replica exists")
    }
    /// Log end offset and high watermark.
    fn ends(&self) -> (i64, i64) {
        (self.orders().log_end_offset(), self.orders().high_watermark())
    }
    /// What broker 1 believes a follower to have.
    fn believed(&self, follower: BrokerId) -> i64 {
        let state = self.orders().leader_state().expect("it leads");
        state.remote(follower).expect("a follower").log_end_offset
    }
    fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.host.events.iter().filter(|(event, _)| wanted(event)).count()
    }
}

/// A fetch of one partition; the default is a consumer's, from the start, that does not wait.
#[derive(Clone, Copy)]
struct Fetching {
    replica: BrokerId,
    /// `None`: the one it has at first.
    broker_epoch: Option<i64>,
    leader_epoch: i32,
    offset: i64,
    last_fetched_epoch: i32,
    log_start: i64,
    max_wait_ms: i32,
    min_bytes: i32,
}

impl Default for Fetching {
    fn default() -> Self {
        Fetching {
            replica: -1,
            broker_epoch: None,
            leader_epoch: -1,
            offset: 0,
            last_fetched_epoch: -1,
            log_start: -1,
            max_wait_ms: 0,
            min_bytes: 1,
        }
    }
}

fn registered(broker: BrokerId, broker_epoch: i64) -> MetadataRecord {
    MetadataRecord::RegisterBroker {
        broker,
        incarnation: Uuid::from_u128(broker as u128),
        broker_epoch,
        host: format!("b{broker}"),
        port: 9092,
        rack: None,
        fenced: false,
        in_controlled_shutdown: false,
    }
}

fn fetched(topic_id: Uuid, data: PartitionData) -> FetchResponse {
    let topic = FetchableTopicResponse::default().with_topic_id(topic_id).with_partitions(vec![data]);
    FetchResponse::default().with_responses(vec![topic])
}

fn value() -> bytes::Bytes {
    bytes::Bytes::from_static(b"v")
}

fn batch(base_offset: i64, leader_epoch: i32, values: impl Iterator<Item = bytes::Bytes>) -> bytes::Bytes {
    let records: Vec<_> =
        values.map(|value| NewRecord { timestamp: 5, value: Some(value), ..NewRecord::default() }).collect();
    build_batch(&records, BuildOptions { base_offset, partition_leader_epoch: leader_epoch, ..BuildOptions::default() })
}

/// Kafka's name of an answered error code.
fn error_of(data: &PartitionData) -> String {
    data.error_code.err().map_or("NONE".to_string(), crate::protocol::error_name)
}
