//! Idempotent producers: what a leader answers them, and whence they have their ids.

use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{AllocateProducerIdsResponse, InitProducerIdRequest, ProducerId, TransactionalId};

use super::*;

const PRODUCER: i64 = 1000;

impl Room {
    /// The producer sends a batch of one record, of the present time.
    fn send_batch(&mut self, acks: i16, epoch: i16, sequence: i32) -> ReqId {
        let record = NewRecord { timestamp: self.now.wall, value: Some(value()), ..NewRecord::default() };
        let options = BuildOptions {
            producer_id: PRODUCER,
            producer_epoch: epoch,
            base_sequence: sequence,
            ..BuildOptions::default()
        };
        let records = Some(build_batch(&[record], options));
        self.produce_data(acks, vec![PartitionProduceData::default().with_records(records)])
    }
    fn batch_answer(&self, req: ReqId) -> Option<PartitionProduceResponse> {
        match self.answers.get(&req)? {
            ResponseKind::Produce(response) => Some(response.responses[0].partition_responses[0].clone()),
            other => panic!("{other:?}"),
        }
    }
    /// Error and base offset of a batch that is answered at once.
    fn outcome_of(&mut self, acks: i16, epoch: i16, sequence: i32) -> (String, i64) {
        let req = self.send_batch(acks, epoch, sequence);
        let answer = self.batch_answer(req).expect("it is answered");
        (code_name(answer.error_code), answer.base_offset)
    }
    fn init_producer(&mut self, request: InitProducerIdRequest) -> (String, i64, i16) {
        let req = self.send(5, request);
        match self.answers.remove(&req) {
            Some(ResponseKind::InitProducerId(r)) => (code_name(r.error_code), r.producer_id.0, r.producer_epoch),
            other => panic!("{other:?}"),
        }
    }
    fn init(&mut self) -> (String, i64, i16) {
        self.init_producer(asking_as(-1, -1))
    }
    fn asks_for_ids(&self) -> usize {
        self.waiting(Purpose::Forwarding)
    }
    fn gives_block(&mut self, first: i64, length: i32) {
        let response = AllocateProducerIdsResponse::default()
            .with_producer_id_start(ProducerId(first))
            .with_producer_id_len(length);
        let call = self.take_call(Purpose::Forwarding);
        self.reply(&call, response);
    }
}

fn id(id: i64) -> (String, i64, i16) {
    ("NONE".to_string(), id, 0)
}
/// A producer that has this id and epoch, -1 for none.
fn asking_as(producer_id: i64, epoch: i16) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id(ProducerId(producer_id))
        .with_producer_epoch(epoch)
}
fn refused(error: &str) -> (String, i64, i16) {
    (error.to_string(), -1, -1)
}

#[test]
fn a_retry_of_what_was_written_is_answered_as_the_first_attempt() {
    let mut room = Room::leads(&[1]);
    for sequence in 0..2 {
        assert_eq!(room.outcome_of(1, 0, sequence), ("NONE".to_string(), i64::from(sequence)));
    }
    let first_sent = room.now.wall;
    room.pass(1_000);
    for acks in [1, -1] {
        let retry = room.send_batch(acks, 0, 0);
        let answer = room.batch_answer(retry).expect("it is committed");
        assert_eq!((answer.error_code, answer.base_offset, answer.log_start_offset), (0, 0, 0));
        assert_eq!(answer.log_append_time_ms, first_sent, "Kafka tells the timestamp of the batch in the log");
    }
    assert_eq!(room.ends(), (2, 2), "nothing was written again");
    assert_eq!(room.count(|event| matches!(event, Event::DuplicateFound { first_offset: 0, .. })), 2);
}

/// The first attempt may be lost yet: who is told of success now would lose what was acknowledged.
#[test]
fn a_duplicate_waits_for_the_high_watermark_as_the_first_attempt_does() {
    let mut room = Room::leads(&[1, 2]);
    let (first, second) = (room.send_batch(-1, 0, 0), room.send_batch(-1, 0, 1));
    let retry = room.send_batch(-1, 0, 0);
    assert_eq!([first, second, retry].map(|req| room.produced(req)), [None, None, None]);
    room.follower_fetches(2, 1);
    let acknowledged = |offset| Some(vec![("NONE".to_string(), offset)]);
    assert_eq!([first, second, retry].map(|req| room.produced(req)), [acknowledged(0), None, acknowledged(0)]);
    room.follower_fetches(2, 2);
    assert_eq!(room.produced(second), acknowledged(1));
    assert_eq!((room.ends(), room.broker.parked()), ((2, 2), (0, 0)));
}

#[test]
fn a_duplicate_for_a_leader_no_more_is_not_acknowledged() {
    let mut room = Room::leads(&[1, 2]);
    room.send_batch(-1, 0, 0);
    let retry = room.send_batch(-1, 0, 0);
    room.elect(2, &[2]);
    assert_eq!(room.produce_error(retry), "NOT_LEADER_OR_FOLLOWER");
}

#[test]
fn each_refusal_has_its_error_and_the_log_start() {
    let mut room = Room::leads(&[1]);
    assert_eq!(room.outcome_of(-1, 1, 0), ("NONE".to_string(), 0));
    let table = [
        (0, 1, "INVALID_PRODUCER_EPOCH"),
        (1, 2, "OUT_OF_ORDER_SEQUENCE_NUMBER"),
        (2, 1, "OUT_OF_ORDER_SEQUENCE_NUMBER"),
        // An old epoch is worse than a wrong sequence.
        (0, 7, "INVALID_PRODUCER_EPOCH"),
    ];
    for (epoch, sequence, error) in table {
        let req = room.send_batch(-1, epoch, sequence);
        let answer = room.batch_answer(req).expect("it is answered at once");
        assert_eq!(code_name(answer.error_code), error, "epoch {epoch}, sequence {sequence}");
        assert_eq!((answer.base_offset, answer.log_append_time_ms, answer.log_start_offset), (-1, -1, 0));
    }
    assert_eq!(room.ends(), (1, 1), "nothing of it was written");
    assert_eq!(room.outcome_of(-1, 2, 0), ("NONE".to_string(), 1), "a new epoch begins at 0");
}

#[test]
fn the_zoo_lets_a_known_producer_begin_anywhere_in_its_next_epoch() {
    let zoo = [Switch::FirstSeqAny].into_iter().collect();
    let mut room = Room::with(Story { zoo, ..Story::default() }, 1, &[1]);
    assert_eq!(room.outcome_of(-1, 0, 0), ("NONE".to_string(), 0));
    // Of two in flight the first was refused for another reason, and comes again.
    assert_eq!(room.outcome_of(-1, 1, 1), ("NONE".to_string(), 1));
    assert_eq!(room.outcome_of(-1, 1, 0).0, "OUT_OF_ORDER_SEQUENCE_NUMBER");
}

/// Kafka's broker does not ask an idempotent producer for acks=all; its clients do.
#[test]
fn idempotence_does_not_need_acks_all() {
    let mut room = Room::leads(&[1, 2]);
    assert_eq!(room.outcome_of(1, 0, 0), ("NONE".to_string(), 0));
    assert_eq!(room.outcome_of(1, 0, 0), ("NONE".to_string(), 0));
    room.send_batch(0, 0, 0);
    assert_eq!((room.ends(), room.settled_silently, room.hung_up), ((1, 0), 1, false));
    room.send_batch(0, 0, 5);
    assert!(room.hung_up, "out of order, and no other way to say so");
}

#[test]
fn a_batch_of_a_transaction_is_of_none_that_is_known() {
    let mut room = Room::leads(&[1]);
    let options = BuildOptions {
        producer_id: PRODUCER,
        producer_epoch: 0,
        base_sequence: 0,
        transactional: true,
        ..BuildOptions::default()
    };
    let records = Some(build_batch(&[NewRecord::default()], options));
    let req = room.produce_data(-1, vec![PartitionProduceData::default().with_records(records)]);
    assert_eq!((room.produce_error(req), room.ends()), ("INVALID_TXN_STATE".to_string(), (0, 0)));
}

#[test]
fn a_broker_that_stopped_orderly_knows_its_producers() {
    let mut room = Room::leads(&[1]);
    room.outcome_of(-1, 0, 0);
    room.outcome_of(-1, 0, 1);
    room.shut_down();
    room.disk.lose_power();
    room.restart();
    let known = room.orders().log.producers().expect("brokers' logs know them").entries();
    assert_eq!(known.get(&PRODUCER).map(|entry| (entry.epoch(), entry.last_sequence())), Some((0, 1)));
}

#[test]
fn a_silent_producer_is_forgotten() {
    let config = BrokerConfig {
        producer_id_expiration_ms: 10_000,
        producer_id_expiration_check_interval_ms: 3_000,
        ..BrokerConfig::default()
    };
    let mut room = Room::with(Story { config, ..Story::default() }, 1, &[1]);
    room.outcome_of(-1, 0, 0);
    room.pass(9_000);
    assert_eq!(room.outcome_of(-1, 0, 5).0, "OUT_OF_ORDER_SEQUENCE_NUMBER");
    room.pass(3_000);
    assert_eq!(room.outcome_of(-1, 0, 5), ("NONE".to_string(), 1), "as if it were new");
}

#[test]
fn the_first_producer_comes_again_until_the_controller_has_given_a_block() {
    let mut room = Room::leads(&[1]);
    assert_eq!(room.asks_for_ids(), 0, "nobody has needed one");
    for _ in 0..2 {
        assert_eq!(room.init(), refused("COORDINATOR_LOAD_IN_PROGRESS"));
        assert_eq!(room.asks_for_ids(), 1);
    }
    let call = room.calls.iter().find(|call| call.purpose == Purpose::Forwarding).expect("it asks");
    let RequestKind::AllocateProducerIds(request) = &call.request else { panic!("{:?}", call.request) };
    assert_eq!((request.broker_id.0, request.broker_epoch), (1, 0));
    room.gives_block(4000, 1000);
    assert_eq!([room.init(), room.init(), room.init()], [id(4000), id(4001), id(4002)]);
    assert_eq!(room.asks_for_ids(), 0);
}

#[test]
fn the_next_block_is_asked_for_before_it_is_needed() {
    let mut room = Room::leads(&[1]);
    room.init();
    room.gives_block(4000, 10);
    for n in 0..9 {
        assert_eq!(room.init(), id(4000 + n));
        assert_eq!(room.asks_for_ids(), 0);
    }
    assert_eq!((room.init(), room.asks_for_ids()), (id(4009), 1), "the tenth of ten");
    room.gives_block(7000, 10);
    assert_eq!((room.init(), room.asks_for_ids()), (id(7000), 0));
}

#[test]
fn a_refused_block_is_asked_for_again_after_a_pause() {
    let mut room = Room::leads(&[1]);
    room.init();
    let call = room.take_call(Purpose::Forwarding);
    let error = ResponseError::StaleBrokerEpoch.code();
    room.reply(&call, AllocateProducerIdsResponse::default().with_error_code(error));
    room.pass(49);
    assert_eq!((room.init(), room.asks_for_ids()), (refused("COORDINATOR_LOAD_IN_PROGRESS"), 0));
    room.pass(1);
    assert_eq!((room.init(), room.asks_for_ids()), (refused("COORDINATOR_LOAD_IN_PROGRESS"), 1));
}

/// A controller that is none any more: the next one is asked, without the producer's doing.
#[test]
fn the_next_controller_is_asked_when_the_first_is_none_any_more() {
    let mut room = Room::leads(&[1]);
    room.init();
    let call = room.take_call(Purpose::Forwarding);
    let error = ResponseError::NotController.code();
    room.reply(&call, AllocateProducerIdsResponse::default().with_error_code(error));
    room.pass(1_000);
    room.gives_block(0, 1000);
    assert_eq!(room.init(), id(0));
}

#[test]
fn a_block_that_was_had_before_is_not_taken() {
    let mut room = Room::leads(&[1]);
    room.init();
    room.gives_block(4000, 2);
    assert_eq!([room.init(), room.init()], [id(4000), id(4001)]);
    room.gives_block(4000, 2);
    assert_eq!(room.init(), refused("COORDINATOR_LOAD_IN_PROGRESS"));
}

#[test]
fn an_id_without_an_epoch_is_an_invalid_request() {
    let mut room = Room::leads(&[1]);
    room.init();
    room.gives_block(4000, 1000);
    for (producer_id, epoch) in [(5, -1), (-1, 5)] {
        assert_eq!(room.init_producer(asking_as(producer_id, epoch)), refused("INVALID_REQUEST"));
    }
    assert_eq!(room.init_producer(asking_as(5, 5)), id(4000), "an idempotent producer always gets a new one");
    let transactional =
        |name: &'static str| asking_as(-1, -1).with_transactional_id(Some(TransactionalId(name.into())));
    assert_eq!(room.init_producer(transactional("")), refused("INVALID_REQUEST"));
    assert_eq!(room.init_producer(transactional("t")), refused("UNSUPPORTED_VERSION"), "not modelled");
}
