//! Lies put into the mouths of the nodes of a healthy cluster: each is heard, and the truth is not.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData as IsrPartition, TopicData};
use kafka_protocol::messages::alter_partition_response::{PartitionData as IsrAnswer, TopicData as IsrAnswers};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::vote_request::{PartitionData as VotePartition, TopicData as VoteTopic};
use kafka_protocol::messages::vote_response::{PartitionData as VoteAnswer, TopicData as VoteAnswers};
use kafka_protocol::messages::{
    AlterPartitionRequest, AlterPartitionResponse, BrokerHeartbeatRequest, BrokerHeartbeatResponse,
    BrokerRegistrationRequest, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse, RequestKind, ResponseKind,
    VoteRequest, VoteResponse,
};
use trial_checker::Word;
use trial_kafka::event::Event;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{CallId, ConnId, Effect, EventId, Input, Nanos, Purpose, ReqId, RequestHeader};
use trial_kafka::protocol::{topic_name, versions};
use trial_storage::{Batches, parse_header};
use uuid::Uuid;

use crate::fault::{Fault, FaultKind, When, parse_target};
use crate::scenario;
use crate::trace::NodeIx;
use crate::world::{Note, Unwatched, World};

/// b1 leads orders-0, b2 and b3 follow.
const SCENARIO: &str = r#"
format = 1
run = "20s"
[cluster]
brokers = 3
controllers = 1
min.insync.replicas = 2
[[topic]]
name = "orders"
assignments = [[1, 2, 3]]
replication.factor = 3
[[producer]]
rate = 100
acks = "all"
"#;

pub(super) const REQUEST: ReqId = ReqId(u64::MAX);

fn crash(broker: &str) -> Fault {
    let target = parse_target(broker).expect("a target");
    Fault { id: 1, when: When::At(2_000_000_000), target, kind: FaultKind::Crash { restart_after: None } }
}

pub(super) struct Stage {
    pub(super) world: World,
    pub(super) id: TopicPartition,
    pub(super) topic_id: Uuid,
    leader: i32,
    follower: i32,
}

impl Stage {
    /// The cluster has worked for five seconds.
    pub(super) fn new() -> Self {
        Stage::after(5_000_000_000, Vec::new())
    }
    fn after(time: Nanos, faults: Vec<Fault>) -> Self {
        let scenario = Arc::new(scenario::parse("tiny.toml", SCENARIO, &[]).unwrap_or_else(|e| panic!("{e}")));
        let mut world = World::with_faults(scenario, 1, faults);
        world.run_until(time, &mut Unwatched);
        let id = TopicPartition::new(&Topic::new("orders"), 0);
        let topic_id = world.broker(1).and_then(|b| b.partition(&id)).expect("b1 has it").topic_id;
        world.notes.clear();
        Stage { world, id, topic_id, leader: 1, follower: 2 }
    }
    /// b1 is down: b2 leads in the next epoch, and b3 follows it.
    fn of_the_next_epoch() -> Self {
        Stage { leader: 2, follower: 3, ..Stage::after(18_000_000_000, vec![crash("b1")]) }
    }
    pub(super) fn node(&self, name: &str) -> NodeIx {
        self.world.node_named(name).expect("it is there")
    }
    pub(super) fn conn(&self, from: &str, to: &str, purpose: Purpose) -> ConnId {
        let ends = (self.node(from), self.node(to));
        let conns = &self.world.network.conns;
        let found = conns.iter().find(|(_, c)| c.purpose == purpose && (c.dialer, c.acceptor) == ends && c.dialer_open);
        ConnId(*found.expect("they are connected").0)
    }
    /// What the referee hears in that.
    fn words(&mut self, node: NodeIx, heard: Option<ReqId>, effect: Effect) -> Vec<Word> {
        let first = self.world.tracer.fresh.len();
        self.world.judge(node, heard, first, &[(effect, EventId::NONE)]);
        self.heard()
    }
    /// A node sends this on its connection.
    fn sends(&mut self, from: &str, to: &str, purpose: Purpose, request: impl Into<RequestKind>) -> Vec<Word> {
        let (node, conn) = (self.node(from), self.conn(from, to, purpose));
        // The answer to what is in flight is not what is judged here.
        self.world.network.conns.get_mut(&conn.0).expect("just seen").calls.clear();
        let request = Box::new(request.into());
        self.words(node, None, Effect::Call { call: CallId(u64::MAX), conn, version: 0, request, wants_response: true })
    }
    /// A node is asked this, and answers that.
    pub(super) fn answers(
        &mut self,
        (from, to, purpose): (&str, &str, Purpose),
        version: i16,
        request: impl Into<RequestKind>,
        response: impl Into<ResponseKind>,
    ) -> Vec<Word> {
        let (node, conn) = (self.node(to), self.conn(from, to, purpose));
        let listener = self.world.network.conns[&conn.0].listener;
        self.world.network.requests.insert(REQUEST, conn.0);
        let header =
            RequestHeader { listener, api_version: version, client_id: String::new(), client_host: String::new() };
        let heard =
            self.world.hear(node, &Input::Request { req: REQUEST, conn, header, body: Box::new(request.into()) });
        // The node does not handle it.
        self.world.referee.replicas = Default::default();
        self.words(node, heard, Effect::Answer { req: REQUEST, response: Box::new(response.into()) })
    }

    /// What the follower would ask of its leader.
    pub(super) fn fetched(&self) -> FetchPartition {
        let replica = self.world.broker(self.follower).and_then(|b| b.partition(&self.id)).expect("it has one");
        FetchPartition::default()
            .with_partition(0)
            .with_current_leader_epoch(replica.leader_epoch)
            .with_fetch_offset(replica.log_end_offset())
            .with_last_fetched_epoch(replica.log.latest_epoch().expect("it has records"))
            .with_log_start_offset(replica.log.log_start_offset())
    }
    pub(super) fn fetch(&self, partition: FetchPartition) -> FetchRequest {
        let broker_epoch = self.world.broker(self.follower).and_then(|b| b.broker_epoch()).expect("it is registered");
        let topic = FetchTopic::default().with_topic_id(self.topic_id).with_partitions(vec![partition]);
        FetchRequest::default()
            .with_replica_state(
                ReplicaState::default().with_replica_id(self.follower.into()).with_replica_epoch(broker_epoch),
            )
            .with_topics(vec![topic])
    }
    /// What its leader would answer.
    pub(super) fn served(&self) -> PartitionData {
        let leader = self.world.broker(self.leader).and_then(|b| b.partition(&self.id)).expect("it has one");
        PartitionData::default().with_high_watermark(leader.high_watermark()).with_log_start_offset(0)
    }
    fn serves(&mut self, asked: FetchPartition, answer: PartitionData) -> Vec<Word> {
        let topic = FetchableTopicResponse::default().with_topic_id(self.topic_id).with_partitions(vec![answer]);
        let (request, response) = (self.fetch(asked), FetchResponse::default().with_responses(vec![topic]));
        let (from, to) = (format!("b{}", self.follower), format!("b{}", self.leader));
        self.answers((&from, &to, Purpose::Fetcher), versions::FETCH, request, response)
    }
}

#[test]
fn a_follower_tells_where_it_is() {
    let mut stage = Stage::new();
    let so = stage.fetched();
    let lies = [
        (so.clone(), vec![]),
        (so.clone().with_current_leader_epoch(-1), vec![Word::FetchLeaderEpoch]),
        (so.clone().with_fetch_offset(so.fetch_offset - 1), vec![Word::FetchOffset]),
        (so.clone().with_last_fetched_epoch(-1), vec![Word::FetchLastEpoch]),
        (so.clone().with_log_start_offset(-1), vec![Word::FetchLogStart]),
    ];
    for (said, heard) in lies {
        let request = stage.fetch(said);
        assert_eq!(stage.sends("b2", "b1", Purpose::Fetcher, request), heard);
    }
    let mut request = stage.fetch(so);
    request.replica_state.replica_epoch = -1;
    assert_eq!(stage.sends("b2", "b1", Purpose::Fetcher, request), [Word::FetchBrokerEpoch]);
}

/// b1 has decided that b3 leaves.
#[test]
fn a_leader_asks_for_what_it_decided() {
    let mut stage = Stage::new();
    let node = stage.node("b1");
    let World { referee, slots, .. } = &mut stage.world;
    referee.note_decision(node, &slots[node.0 as usize], &stage.id, &[1, 2]);
    let epoch_of = |broker: i32| stage.world.broker(broker).and_then(|b| b.broker_epoch()).expect("it is registered");
    let leader = stage.world.broker(1).and_then(|b| b.partition(&stage.id)).expect("b1 has it");
    let member =
        |broker: i32, epoch: i64| BrokerState::default().with_broker_id(broker.into()).with_broker_epoch(epoch);
    let so = IsrPartition::default()
        .with_leader_epoch(leader.leader_epoch)
        .with_partition_epoch(leader.partition_epoch)
        .with_new_isr_with_epochs(vec![member(1, epoch_of(1)), member(2, epoch_of(2))]);
    let (topic_id, broker_epoch, one) = (stage.topic_id, epoch_of(1), epoch_of(1));
    let request = |broker_epoch: i64, said: IsrPartition| {
        let topic = TopicData::default().with_topic_id(topic_id).with_partitions(vec![said]);
        AlterPartitionRequest::default()
            .with_broker_id(1.into())
            .with_broker_epoch(broker_epoch)
            .with_topics(vec![topic])
    };
    // No leader has asked anything in five healthy seconds: its heartbeats' connection will do.
    let mut sends = |request| stage.sends("b1", "c1", Purpose::Heartbeat, request);
    assert_eq!(sends(request(broker_epoch, so.clone())), []);
    assert_eq!(sends(request(-1, so.clone())), [Word::IsrBrokerEpoch]);
    assert_eq!(sends(request(broker_epoch, so.clone().with_leader_epoch(9))), [Word::IsrLeaderEpoch]);
    assert_eq!(sends(request(broker_epoch, so.clone().with_partition_epoch(9))), [Word::IsrPartitionEpoch]);
    let untold = so.with_new_isr_with_epochs(vec![member(1, one), member(2, -1)]);
    assert_eq!(sends(request(broker_epoch, untold)), [Word::IsrMembers]);
}

#[test]
fn a_broker_tells_the_controller_who_it_is_and_what_it_knows() {
    let mut stage = Stage::new();
    let broker = stage.world.broker(3).expect("it is there");
    let so = BrokerHeartbeatRequest::default()
        .with_broker_id(3.into())
        .with_broker_epoch(broker.broker_epoch().expect("it is registered"))
        .with_current_metadata_offset(broker.image().next_offset - 1);
    let lies = [
        (so.clone(), vec![]),
        (so.clone().with_broker_epoch(-1), vec![Word::HeartbeatBrokerEpoch]),
        (so.clone().with_current_metadata_offset(-1), vec![Word::HeartbeatMetadataOffset]),
        (so.clone().with_want_shut_down(true), vec![Word::HeartbeatShutDown]),
    ];
    for (said, heard) in lies {
        assert_eq!(stage.sends("b3", "c1", Purpose::Heartbeat, said), heard);
    }
    let former = so.with_broker_epoch(0);
    let mut answers = |code| {
        let response = BrokerHeartbeatResponse::default().with_error_code(code);
        stage.answers(("b3", "c1", Purpose::Heartbeat), versions::BROKER_HEARTBEAT, former.clone(), response)
    };
    assert_eq!(answers(77), []); // STALE_BROKER_EPOCH
    assert_eq!(answers(0), [Word::HeartbeatAnswer]);
}

#[test]
fn a_leader_serves_who_is_of_its_epoch_and_its_history() {
    let mut stage = Stage::of_the_next_epoch();
    let (so, served) = (stage.fetched(), stage.served());
    let epoch = so.current_leader_epoch;
    let refused = |code| PartitionData::default().with_error_code(code);
    assert_eq!(stage.serves(so.clone(), served.clone()), []);
    let older = so.clone().with_current_leader_epoch(epoch - 1);
    assert_eq!(stage.serves(older.clone(), refused(74)), []); // FENCED_LEADER_EPOCH
    assert_eq!(stage.serves(older, served.clone()), [Word::FetchAnswer]);
    let newer = so.clone().with_current_leader_epoch(epoch + 1);
    assert_eq!(stage.serves(newer, served.clone()), [Word::FetchAnswer]);
    let unknown = so.clone().with_last_fetched_epoch(epoch + 7);
    assert_eq!(stage.serves(unknown.clone(), refused(1)), []); // OFFSET_OUT_OF_RANGE
    assert_eq!(stage.serves(unknown, served.clone()), [Word::FetchAnswer]);
    let diverging = served.clone().with_diverging_epoch(EpochEndOffset::default().with_epoch(epoch).with_end_offset(1));
    assert_eq!(stage.serves(so.clone(), diverging), [Word::FetchAnswer]);
    let beyond = served.high_watermark + 1;
    assert_eq!(stage.serves(so.clone(), served.clone().with_high_watermark(beyond)), [Word::FetchedHighWatermark]);
    assert_eq!(stage.serves(so, served.with_log_start_offset(9)), [Word::FetchedLogStart]);
}

/// Every record a batch of its own, or nearly: the log between two offsets.
fn batches(stage: &Stage, from: i64, end: i64) -> Vec<Bytes> {
    let leader = stage.world.broker(stage.leader).and_then(|b| b.partition(&stage.id)).expect("it has one");
    let mut view = stage.world.disk(stage.node("b1")).view();
    let bytes = leader.log.read(&mut view, from, end, usize::MAX, true).expect("it can be read");
    Batches::new(bytes).map(|batch| batch.expect("it is whole").bytes).collect()
}

#[test]
fn a_fetch_is_answered_with_a_slice_of_the_log() {
    let mut stage = Stage::new();
    let (so, served) = (stage.fetched(), stage.served());
    let log = batches(&stage, 0, i64::MAX);
    assert!(log.len() > 20, "{} batches", log.len());
    let begins = |nth: usize| parse_header(&log[nth]).expect("it is whole").base_offset;
    let mut heard = |from: i64, answer: &[&[Bytes]]| {
        let records = Bytes::from(answer.concat().concat());
        stage.serves(so.clone().with_fetch_offset(from), served.clone().with_records(Some(records)))
    };
    assert_eq!(heard(begins(5), &[&log[5..9]]), []);
    assert_eq!(heard(begins(0), &[&log]), []);
    let strange = [Word::FetchedSlice];
    assert_eq!(heard(begins(5), &[&log[4..9]]), strange); // begins too early
    assert_eq!(heard(begins(5), &[&log[6..9]]), strange); // too late
    assert_eq!(heard(begins(5), &[&log[5..6], &log[7..9]]), strange); // a hole
    assert_eq!(heard(begins(5), &[&log[5..7], &log[6..8]]), strange); // one twice
    assert_eq!(heard(begins(5), &[&log[5..6], &[Bytes::from_static(b"garbage")]]), strange);
    let mut other = log[5].to_vec();
    *other.last_mut().expect("it is not empty") ^= 1;
    assert_eq!(heard(begins(5), &[&[other.into()]]), strange); // of other bytes
}

#[test]
fn a_fetch_is_answered_with_what_it_asked_for() {
    let mut stage = Stage::new();
    let records = Some(batches(&stage, 0, 1).concat().into());
    let (asked, answer) = (stage.fetched().with_partition(1), stage.served().with_records(records));
    assert_eq!(stage.serves(asked, answer), [Word::FetchedUnasked]);
}

/// Who follows may have what is not committed yet.
#[test]
fn a_consumer_is_given_nothing_from_the_high_watermark_on() {
    let mut stage = Stage::new();
    let ends = |stage: &Stage| {
        let leader = stage.world.broker(1).and_then(|b| b.partition(&stage.id)).expect("b1 has it");
        (leader.high_watermark(), leader.log_end_offset())
    };
    while ends(&stage).0 == ends(&stage).1 {
        let soon = stage.world.now() + 1_000_000;
        stage.world.run_until(soon, &mut Unwatched);
    }
    stage.world.notes.clear();
    let (high_watermark, log_end) = ends(&stage);
    let mut heard = |follower: i32, end: i64| {
        let records = Bytes::from(batches(&stage, high_watermark - 1, end).concat());
        let answer = stage.served().with_records(Some(records));
        let mut request = stage.fetch(stage.fetched().with_fetch_offset(high_watermark - 1));
        request.replica_state.replica_id = follower.into();
        let topic = FetchableTopicResponse::default().with_topic_id(stage.topic_id).with_partitions(vec![answer]);
        let response = FetchResponse::default().with_responses(vec![topic]);
        stage.answers(("b2", "b1", Purpose::Fetcher), versions::FETCH, request, response)
    };
    assert_eq!(heard(2, log_end), []);
    assert_eq!(heard(-1, high_watermark), []);
    assert_eq!(heard(-1, log_end), [Word::FetchedRecords]);
}

/// Who follows serves nobody.
#[test]
fn only_the_leader_serves_a_follower() {
    let mut stage = Stage::new();
    let (so, served) = (stage.fetched(), stage.served().with_high_watermark(0));
    let topic = FetchableTopicResponse::default().with_topic_id(stage.topic_id).with_partitions(vec![served]);
    let (request, response) = (stage.fetch(so), FetchResponse::default().with_responses(vec![topic]));
    let conn = stage.conn("b2", "b1", Purpose::Fetcher);
    // The same question to b3, which follows.
    stage.world.network.conns.get_mut(&conn.0).expect("just seen").acceptor = stage.node("b3");
    let heard = stage.answers(("b2", "b3", Purpose::Fetcher), versions::FETCH, request, response);
    assert_eq!(heard, [Word::FetchAnswer]);
}

#[test]
fn the_controller_refuses_a_change_for_the_first_reason() {
    let mut stage = Stage::new();
    let epoch_of = |broker: i32| stage.world.broker(broker).and_then(|b| b.broker_epoch()).expect("it is registered");
    let partition = stage.world.controller_image().and_then(|i| i.partition(stage.topic_id, 0)).expect("it is there");
    let member =
        |broker: i32, epoch: i64| BrokerState::default().with_broker_id(broker.into()).with_broker_epoch(epoch);
    let so = IsrPartition::default()
        .with_leader_epoch(partition.leader_epoch)
        .with_partition_epoch(partition.partition_epoch)
        .with_new_isr_with_epochs(vec![member(1, epoch_of(1)), member(2, epoch_of(2))]);
    let (topic_id, registered, second) = (stage.topic_id, epoch_of(1), epoch_of(2));
    let mut heard = |broker: i32, broker_epoch: i64, said: IsrPartition, answer: Result<i16, i16>| {
        let topic = TopicData::default().with_topic_id(topic_id).with_partitions(vec![said]);
        let request = AlterPartitionRequest::default()
            .with_broker_id(broker.into())
            .with_broker_epoch(broker_epoch)
            .with_topics(vec![topic]);
        let response = match answer {
            Ok(code) => {
                let answer = IsrAnswer::default().with_error_code(code);
                let topic = IsrAnswers::default().with_topic_id(topic_id).with_partitions(vec![answer]);
                AlterPartitionResponse::default().with_topics(vec![topic])
            }
            Err(code) => AlterPartitionResponse::default().with_error_code(code),
        };
        let mut words = stage.answers(("b1", "c1", Purpose::Heartbeat), versions::ALTER_PARTITION, request, response);
        // No controller has handled it, and nothing has become of it.
        words.retain(|word| *word != Word::PartitionStep);
        words
    };
    let wrong = [Word::IsrAnswer];
    assert_eq!(heard(1, registered, so.clone(), Ok(0)), []);
    assert_eq!(heard(1, registered, so.clone(), Err(41)), []); // NOT_CONTROLLER
    assert_eq!(heard(1, registered - 1, so.clone(), Err(77)), []); // STALE_BROKER_EPOCH
    // The checks behind it refuse it as well, but for another reason.
    assert_eq!(heard(1, registered - 1, so.clone(), Ok(95)), wrong);
    assert_eq!(heard(1, registered - 1, so.clone(), Ok(0)), wrong);
    assert_eq!(heard(2, second, so.clone(), Ok(42)), []); // INVALID_REQUEST: b2 does not lead
    assert_eq!(heard(2, second, so.clone(), Ok(0)), wrong);
    let older = so.clone().with_partition_epoch(so.partition_epoch - 1);
    assert_eq!(heard(1, registered, older.clone(), Ok(95)), []); // INVALID_UPDATE_VERSION
    assert_eq!(heard(1, registered, older, Ok(0)), wrong);
    let fenced = so.clone().with_leader_epoch(so.leader_epoch - 1);
    assert_eq!(heard(1, registered, fenced.clone(), Ok(74)), []); // FENCED_LEADER_EPOCH
    assert_eq!(heard(1, registered, fenced, Ok(95)), wrong);
    let reborn = so.with_new_isr_with_epochs(vec![member(1, registered), member(2, second - 1)]);
    assert_eq!(heard(1, registered, reborn.clone(), Ok(107)), []); // INELIGIBLE_REPLICA
    assert_eq!(heard(1, registered, reborn, Ok(0)), wrong);
}

/// b2 and b3 are down: b1 is alone in sync, and two must be.
#[test]
fn too_few_in_sync_replicas_refuse_acks_all() {
    let mut stage = Stage::after(18_000_000_000, vec![crash("b2"), crash("b3")]);
    let orders = topic_name(&Topic::new("orders"));
    let data = TopicProduceData::default()
        .with_name(orders.clone())
        .with_partition_data(vec![PartitionProduceData::default()]);
    let mut heard = |acks: i16, code: i16| {
        let request = ProduceRequest::default().with_acks(acks).with_topic_data(vec![data.clone()]);
        let answer = PartitionProduceResponse::default().with_error_code(code);
        let topic = TopicProduceResponse::default().with_name(orders.clone()).with_partition_responses(vec![answer]);
        let response = ProduceResponse::default().with_responses(vec![topic]);
        stage.answers(("p1", "b1", Purpose::Client), versions::PRODUCE, request, response)
    };
    assert_eq!(heard(-1, 19), []); // NOT_ENOUGH_REPLICAS
    assert_eq!(heard(1, 0), []);
    assert_eq!(heard(-1, 0), [Word::ProduceAnswer]);
    assert_eq!(heard(-1, 20), [Word::ProduceAnswer]); // NOT_ENOUGH_REPLICAS_AFTER_APPEND
}

impl Stage {
    /// A node has done this.
    pub(super) fn does(&mut self, node: &str, event: Event) -> Vec<Word> {
        let (node, first) = (self.node(node), self.world.tracer.fresh.len());
        self.world.record(node, event, &[]);
        self.world.judge(node, None, first, &[]);
        self.heard()
    }
    /// What the referee has heard since it was asked last.
    pub(super) fn heard(&mut self) -> Vec<Word> {
        let word = |note| match note {
            Note::Said(said) => said.word,
            other => panic!("{other:?} is no word"),
        };
        self.world.notes.drain(..).map(word).collect()
    }
}

/// All three are in sync since the reign began, five seconds ago.
#[test]
fn nobody_leaves_the_isr_before_its_time() {
    let mut stage = Stage::new();
    let asked = |from: &[i32], isr: &[i32]| Event::IsrChangeAsked {
        partition: TopicPartition::new(&Topic::new("orders"), 0),
        from: from.to_vec(),
        isr: isr.to_vec(),
        partition_epoch: 0,
    };
    assert_eq!(stage.does("b1", asked(&[1, 2], &[1, 2, 3])), []);
    assert_eq!(stage.does("b1", asked(&[1, 2, 3], &[1, 2])), [Word::IsrLateness]);
}

/// b1 starts again.
#[test]
fn a_registration_names_the_epoch_of_the_life_before() {
    let mut stage = Stage::new();
    let epoch = stage.world.broker(1).and_then(|b| b.broker_epoch()).expect("b1 is registered");
    let node = stage.node("b1");
    stage.world.referee.forget(node, false);
    let says = |epoch: i64| BrokerRegistrationRequest::default().with_previous_broker_epoch(epoch);
    for (said, heard) in [(epoch, vec![]), (-1, vec![]), (epoch - 1, vec![Word::PreviousBrokerEpoch])] {
        assert_eq!(stage.sends("b1", "c1", Purpose::Heartbeat, says(said)), heard);
    }
    // A life may be too short for a heartbeat.
    assert_eq!(stage.does("b1", Event::RegisteredWith { broker_epoch: epoch + 7 }), []);
    stage.world.referee.forget(node, false);
    assert_eq!(stage.sends("b1", "c1", Purpose::Heartbeat, says(epoch + 7)), []);
    // With the power, what was removed from the disk may have come back.
    stage.world.referee.forget(node, true);
    assert_eq!(stage.sends("b1", "c1", Purpose::Heartbeat, says(epoch - 1)), []);
}

#[test]
fn a_vote_is_for_who_has_everything_and_while_nobody_leads() {
    let mut stage = Stage::new();
    let controller = stage.world.controllers().next().expect("it is there").1;
    let log = controller.log().expect("it is open");
    let (epoch, end, last) = (controller.epoch(), log.log_end_offset(), log.latest_epoch().expect("it has records"));
    let asked = |epoch: i32, last_epoch: i32, end: i64| {
        let asked =
            VotePartition::default().with_replica_epoch(epoch).with_last_offset_epoch(last_epoch).with_last_offset(end);
        VoteRequest::default().with_topics(vec![VoteTopic::default().with_partitions(vec![asked])])
    };
    let mut heard = |request: VoteRequest, granted: bool| {
        let told = request.topics[0].partitions[0].replica_epoch;
        let answer = VoteAnswer::default().with_vote_granted(granted).with_leader_epoch(told);
        let topic = VoteAnswers::default().with_partitions(vec![answer]);
        let response = VoteResponse::default().with_topics(vec![topic]);
        let mut words = stage.answers(("b1", "c1", Purpose::Heartbeat), versions::VOTE, request, response);
        // No voter has handled it, and none has written it down.
        words.retain(|word| *word != Word::DurableState);
        words
    };
    assert_eq!(heard(asked(epoch + 1, last, end), true), []);
    assert_eq!(heard(asked(epoch + 1, last, end - 1), false), []);
    assert_eq!(heard(asked(epoch + 1, last, end - 1), true), [Word::VoteAnswer]);
    assert_eq!(heard(asked(epoch + 1, last - 1, end + 9), true), [Word::VoteAnswer]);
    assert_eq!(heard(asked(epoch, last, end), true), [Word::VoteAnswer]);
}
