//! Nodes that do not do what follows: each story is told to the referee, and the node does nothing of it, or something else.

use kafka_protocol::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchResponse, RequestKind, ResponseKind};
use trial_checker::Word;
use trial_kafka::broker::{BrokerTimer, Step as BrokerStep};
use trial_kafka::event::Event;
use trial_kafka::node::{CallId, Effect, EventId, Input, LocalStep, Purpose, RequestHeader};
use trial_kafka::protocol::versions;

use super::super::tests::{REQUEST, Stage};
use crate::world::{Note, World};

/// A node is handed this, and does nothing but what these events and effects say.
fn does(stage: &mut Stage, name: &str, input: &Input, events: Vec<Event>, effects: &[Effect]) -> Vec<Word> {
    let node = stage.node(name);
    stage.world.notes.clear();
    let heard = stage.world.hear(node, input);
    let first = stage.world.tracer.fresh.len();
    for event in events {
        let World { tracer, now, .. } = &mut stage.world;
        tracer.record(*now, node, event, EventId::NONE, &[]);
    }
    let effects: Vec<_> = effects.iter().map(|effect| (effect.clone(), EventId::NONE)).collect();
    stage.world.judge(node, heard, first, &effects);
    let word = |note| match note {
        Note::Said(said) => said.word,
        other => panic!("{other:?} is no word"),
    };
    stage.world.notes.drain(..).map(word).collect()
}

/// b2 asks for its next records, and is answered this.
fn is_answered(stage: &mut Stage, answer: PartitionData) -> Vec<Word> {
    let (conn, node) = (stage.conn("b2", "b1", Purpose::Fetcher), stage.node("b2"));
    let asked = stage.fetched();
    let request = Box::new(RequestKind::Fetch(stage.fetch(asked)));
    let call = Effect::Call { call: CallId(u64::MAX), conn, version: versions::FETCH, request, wants_response: true };
    stage.world.referee.replicas.fetching.forget(node);
    assert_eq!(does(stage, "b2", &Input::Deadline, vec![], &[call]), []);
    let topic = FetchableTopicResponse::default().with_topic_id(stage.topic_id).with_partitions(vec![answer]);
    let response = FetchResponse::default().with_responses(vec![topic]);
    let result = Ok(Box::new(ResponseKind::Fetch(response)));
    does(stage, "b2", &Input::Response { call: CallId(u64::MAX), conn, result }, vec![], &[])
}

#[test]
fn a_leader_takes_from_a_fetch_where_its_follower_is() {
    let mut stage = Stage::new();
    let conn = stage.conn("b2", "b1", Purpose::Fetcher);
    let listener = stage.world.network.conns[&conn.0].listener;
    let (client_id, client_host) = (String::new(), String::new());
    let header = RequestHeader { listener, api_version: versions::FETCH, client_id, client_host };
    let asked = stage.fetched();
    let body = Box::new(RequestKind::Fetch(stage.fetch(asked.clone())));
    let fetch = Input::Request { req: REQUEST, conn, header: header.clone(), body };
    // It may have everything; the time of its fetch is new in any case.
    let words = does(&mut stage, "b1", &fetch, vec![], &[]);
    assert!(words.contains(&Word::StepOfFollower), "{words:?}");
    // A fetch that is refused says nothing of who asks.
    let older =
        Box::new(RequestKind::Fetch(stage.fetch(asked.with_current_leader_epoch(-7).with_fetch_offset(1 << 40))));
    let fetch = Input::Request { req: REQUEST, conn, header, body: older };
    assert_eq!(does(&mut stage, "b1", &fetch, vec![], &[]), []);
}

#[test]
fn a_follower_cuts_what_diverges_and_takes_the_high_watermark() {
    let mut stage = Stage::new();
    let served = stage.served();
    let higher = served.clone().with_high_watermark(1 << 40);
    let lower = served.clone().with_high_watermark(1);
    let begins = served.clone().with_log_start_offset(3);
    let diverging = EpochEndOffset::default().with_epoch(0).with_end_offset(5);
    assert_eq!(is_answered(&mut stage, lower), [Word::StepOfHighWatermark]);
    let words = is_answered(&mut stage, served.with_diverging_epoch(diverging));
    assert_eq!(words, [Word::StepOfHighWatermark, Word::StepOfLogEnd]);
    assert!(is_answered(&mut stage, begins).contains(&Word::StepOfLogStart));
    // At most its own log end, which it may have already.
    let words = is_answered(&mut stage, higher);
    assert!(words.iter().all(|word| *word == Word::StepOfHighWatermark), "{words:?}");
}

#[test]
fn a_follower_that_is_fenced_asks_no_more() {
    let mut stage = Stage::new();
    let node = stage.node("b2");
    let conn = stage.conn("b2", "b1", Purpose::Fetcher);
    // FENCED_LEADER_EPOCH, OFFSET_OUT_OF_RANGE, KAFKA_STORAGE_ERROR
    for (error, fetches_on) in [(0, true), (74, false), (1, false), (56, false)] {
        let answer = if error == 0 { stage.served() } else { PartitionData::default().with_error_code(error) };
        is_answered(&mut stage, answer);
        let asked = stage.fetched();
        let request = Box::new(RequestKind::Fetch(stage.fetch(asked)));
        let call =
            Effect::Call { call: CallId(u64::MAX), conn, version: versions::FETCH, request, wants_response: true };
        let words = does(&mut stage, "b2", &Input::Deadline, vec![], &[call]);
        assert_eq!(words, if fetches_on { vec![] } else { vec![Word::StepOfFetcher] }, "after {error}");
        stage.world.referee.replicas.fetching.forget(node);
    }
}

/// The high watermark moves for a reason, and only then.
#[test]
fn a_leader_moves_the_high_watermark_for_a_reason() {
    let mut stage = Stage::new();
    let partition = stage.id.clone();
    let replica = stage.world.broker(1).and_then(|b| b.partition(&partition)).expect("b1 has it");
    let (to, last_offset) = (replica.high_watermark(), replica.log_end_offset() - 1);
    let moved = Event::HighWatermark { partition: partition.clone(), from: to - 1, to };
    let appended = Event::Appended {
        partition,
        first_offset: last_offset,
        last_offset,
        leader_epoch: replica.leader_epoch,
        as_leader: true,
    };
    assert_eq!(does(&mut stage, "b1", &Input::Deadline, vec![moved.clone()], &[]), [Word::StepOfHighWatermark]);
    assert_eq!(does(&mut stage, "b1", &Input::Deadline, vec![appended, moved], &[]), []);
}

#[test]
fn a_producer_is_told_what_is_so() {
    let mut stage = Stage::new();
    let partition = stage.id.clone();
    let log_end = stage.world.broker(1).and_then(|b| b.partition(&partition)).expect("b1 has it").log_end_offset();
    let mut told = |acks: i16, last_offset: i64, error: Option<&str>| {
        let (partition, error) = (partition.clone(), error.map(str::to_string));
        let event = Event::ProduceAnswered { partition, acks, first_offset: 0, last_offset, error };
        does(&mut stage, "b1", &Input::Deadline, vec![event], &[])
    };
    assert_eq!(told(-1, 0, None), []);
    assert_eq!(told(-1, log_end, None), [Word::ProduceAnswer]); // not committed
    assert_eq!(told(-1, 0, Some("NOT_ENOUGH_REPLICAS")), [Word::ProduceAnswer]);
    assert_eq!(told(-1, 0, Some("NOT_ENOUGH_REPLICAS_AFTER_APPEND")), [Word::ProduceAnswer]);
    assert_eq!(told(-1, 0, Some("NOT_LEADER_OR_FOLLOWER")), [Word::ProduceAnswer]);
    assert_eq!(told(-1, 0, Some("REQUEST_TIMED_OUT")), [Word::ProduceAnswer]);
    assert_eq!(told(-1, log_end, Some("REQUEST_TIMED_OUT")), []);
}

/// The last time it was written down is up to five seconds ago.
#[test]
fn the_high_watermark_is_written_down() {
    let mut stage = Stage::new();
    let tick = Input::Local(LocalStep::Broker(BrokerStep::Tick(BrokerTimer::HighWatermarkCheckpoint)));
    let words = does(&mut stage, "b1", &tick, vec![], &[]);
    assert!(words.contains(&Word::StepOfCheckpoint), "{words:?}");
}

/// b2 and b3 are caught up, and nobody leaves; what the leader holds besides is as it was.
#[test]
fn nobody_leaves_who_is_caught_up() {
    let mut stage = Stage::new();
    let look = Input::Local(LocalStep::Broker(BrokerStep::Tick(BrokerTimer::IsrShrink)));
    assert_eq!(does(&mut stage, "b1", &look, vec![], &[]), []);
    // Both are late by the clock on the wall.
    let node = stage.node("b1");
    stage.world.slots[node.0 as usize].wall_offset_ms += 3_600_000;
    stage.world.foresee(node, &look);
    let leaving = |stage: &Stage| {
        let replicas = &stage.world.referee.replicas;
        replicas.shadows[..replicas.used].iter().map(|due| due.leaving.len()).sum::<usize>()
    };
    let replica = stage.world.broker(1).and_then(|b| b.partition(&stage.id)).expect("b1 has it");
    let behind = replica.leader_state().expect("it leads").remotes.iter();
    let behind = behind.filter(|remote| remote.log_end_offset < replica.log_end_offset()).count();
    assert_eq!(leaving(&stage), behind);
}

#[test]
fn a_reign_and_its_isr_are_compared_whole() {
    let stage = Stage::new();
    let broker = stage.world.broker(1).expect("it is there");
    let replica = broker.partition(&stage.id).expect("b1 has it");
    let so = || {
        let mut due = super::Shadow::default();
        due.take(broker, replica);
        due
    };
    let words = |due: super::Shadow| {
        let (node, mut notes) = (stage.node("b1"), Vec::new());
        let slot = &stage.world.slots[node.0 as usize];
        let mut speaker = super::Speaker { node, slot, notes: &mut notes };
        due.compare(broker, replica, &mut speaker);
        notes
            .into_iter()
            .map(|note| match note {
                Note::Said(said) => said.word,
                other => panic!("{other:?} is no word"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(words(so()), []);
    assert_eq!(words(super::Shadow { leader_epoch: 9, ..so() }), [Word::StepOfReign]);
    assert_eq!(words(super::Shadow { partition_epoch: 9, ..so() }), [Word::StepOfReign]);
    assert_eq!(words(super::Shadow { committed: vec![1], ..so() }), [Word::StepOfIsr]);
    assert_eq!(words(super::Shadow { awaits: true, ..so() }), [Word::StepOfIsr]);
    assert_eq!(words(super::Shadow { latest: None, ..so() }), [Word::StepOfEpochs]);
    assert_eq!(words(super::Shadow { remotes: vec![], ..so() }), [Word::StepOfFollower]);
}
