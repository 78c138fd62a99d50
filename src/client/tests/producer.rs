//! What a producer does, and what it believes.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::fixture::*;
use crate::client::{Role, murmur2, partition_for_key};
use crate::config::{Acks, ProducerConfig};
use crate::ids::Topic;
use crate::node::{Belief, Command, Outcome};

/// Without idempotence, which has its own stories.
fn config() -> ProducerConfig {
    ProducerConfig { linger_ms: 5, enable_idempotence: false, ..ProducerConfig::default() }
}
fn producer(config: ProducerConfig, leaders: &[i32]) -> Bench {
    Bench::new(Role::Producer(config), leaders)
}
fn record(partition: Option<i32>, key: Option<&str>, value: &str) -> Command {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Command::Produce {
        topic: Topic::new(TOPIC),
        partition,
        key: key.map(bytes),
        value: Some(bytes(value)),
        headers: vec![],
    }
}
impl Bench {
    /// Sends to partition 0.
    fn produce(&mut self, op: u64) -> &mut Self {
        self.produce_to(op, 0)
    }
    fn produce_to(&mut self, op: u64, partition: i32) -> &mut Self {
        self.command(op, record(Some(partition), None, &format!("v{op}")))
    }
}

#[test]
fn murmur2_gives_kafkas_values() {
    let vectors: [(&str, i32); 6] = [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ];
    for (text, hash) in vectors {
        assert_eq!(murmur2(text.as_bytes()), hash, "{text}");
    }
    // Java's toPositive clears the sign; it does not negate.
    assert_eq!(partition_for_key(b"21", 10), (-973932308_i32 & 0x7fff_ffff) % 10);
}

#[test]
fn linger_lets_two_records_share_a_batch() {
    let mut bench = producer(config(), &[2]);
    bench.produce(1).sleep(3).produce(2);
    assert_eq!(bench.calls_waiting(), 0, "the batch waits for company");
    bench.sleep(2);
    let call = bench.next_call();
    assert_eq!((call.broker, sent(&call)), (2, vec![(0, vec!["v1".to_string(), "v2".to_string()])]));
    bench.answer_produce(call, Ok(40));
    assert_eq!(bench.produced(1), (Belief::Acked { offset: 40 }, 1, None));
    assert_eq!(bench.produced(2), (Belief::Acked { offset: 41 }, 1, None));
    assert_eq!(bench.told("send-invoked").len(), 2);
    assert_eq!(bench.told("batch-sent"), ["sent 2 records from r1 for orders-0 to broker 2 with acks=all, attempt 1"]);
    assert_eq!(bench.causes_of("batch-sent"), ["is to send record r1 to orders-0"]);
    assert_eq!(bench.causes_of("batch-acked"), bench.told("batch-sent"));
}

#[test]
fn a_full_batch_does_not_linger() {
    let mut bench = producer(ProducerConfig { linger_ms: 60_000, batch_size: 200, ..config() }, &[1]);
    let big = "x".repeat(90);
    bench.command(1, record(Some(0), None, &big)).command(2, record(Some(0), None, &big));
    let call = bench.next_call();
    assert_eq!(sent(&call), [(0, vec![big.clone()])], "a second record of 90 bytes has no room below 200 bytes");
    bench.answer_produce(call, Ok(0)).sleep(1_000);
    assert!(!bench.is_settled(2), "the second batch lingers");
}

#[test]
fn one_request_takes_one_batch_of_each_partition_of_a_broker() {
    let mut bench = producer(config(), &[1, 2, 1]);
    bench.produce_to(1, 0).produce_to(2, 1).produce_to(3, 2).sleep(5);
    let mut calls = [bench.next_call(), bench.next_call()];
    calls.sort_by_key(|c| c.broker);
    assert_eq!(sent(&calls[0]), [(0, vec!["v1".to_string()]), (2, vec!["v3".to_string()])]);
    assert_eq!(sent(&calls[1]), [(1, vec!["v2".to_string()])]);
}

#[test]
fn a_key_decides_the_partition() {
    let mut bench = producer(config(), &[1, 1, 1, 1]);
    bench.command(1, record(None, Some("foobar"), "v1")).sleep(5);
    assert_eq!(sent(&bench.next_call())[0].0, partition_for_key(b"foobar", 4));
}

#[test]
fn keyless_records_stick_to_a_partition_for_a_batch_size_of_bytes() {
    let mut bench = producer(ProducerConfig { batch_size: 1_000, linger_ms: 0, ..config() }, &[1; 8]);
    let mut partitions = Vec::new();
    for op in 0..200 {
        bench.command(op, record(None, None, &"x".repeat(100)));
        let call = bench.next_call();
        partitions.push(sent(&call)[0].0);
        bench.answer_produce(call, Ok(op as i64));
    }
    let runs: Vec<usize> = partitions.chunk_by(|a, b| a == b).map(<[i32]>::len).collect();
    // A batch of one such record has about 170 bytes: 6 of them reach 1000 bytes, whose switch the 7th finds due.
    assert!(runs[..runs.len() - 1].iter().all(|run| *run >= 6 && run % 6 == 0), "{runs:?}");
    assert!(runs.len() > 10, "it does move on: {runs:?}");
}

#[test]
fn with_one_request_in_flight_a_retry_keeps_the_order() {
    let mut bench = producer(ProducerConfig { max_in_flight: 1, linger_ms: 0, ..config() }, &[1]);
    bench.produce(1).produce(2);
    let first = bench.next_call();
    assert_eq!(sent(&first), [(0, vec!["v1".to_string()])]);
    assert_eq!(bench.calls_waiting(), 0, "the partition is muted");
    bench.answer_produce(first, Err(ResponseError::NotEnoughReplicas));
    assert_eq!(bench.calls_waiting(), 0, "nothing overtakes a batch that pauses before its retry");
    assert_eq!(bench.told("batch-retried"), ["will send record r1 to orders-0 again: NOT_ENOUGH_REPLICAS"]);
    bench.sleep(120);
    let again = bench.next_call();
    assert_eq!(sent(&again), [(0, vec!["v1".to_string()])]);
    bench.answer_produce(again, Ok(7));
    let second = bench.next_call();
    assert_eq!(sent(&second), [(0, vec!["v2".to_string()])]);
    bench.answer_produce(second, Ok(8));
    assert_eq!(bench.produced(1), (Belief::Acked { offset: 7 }, 2, Some("NOT_ENOUGH_REPLICAS")));
    assert_eq!(bench.produced(2), (Belief::Acked { offset: 8 }, 1, None));
}

#[test]
fn with_several_requests_in_flight_a_retry_is_overtaken() {
    let mut bench = producer(ProducerConfig { linger_ms: 0, ..config() }, &[1]);
    bench.produce(1).produce(2);
    let (first, second) = (bench.next_call(), bench.next_call());
    bench.answer_produce(first, Err(ResponseError::NotEnoughReplicas)).answer_produce(second, Ok(0));
    bench.sleep(200);
    let again = bench.next_call();
    assert_eq!(sent(&again), [(0, vec!["v1".to_string()])]);
    bench.answer_produce(again, Ok(1));
    assert_eq!(bench.produced(2).0, Belief::Acked { offset: 0 });
    assert_eq!(bench.produced(1).0, Belief::Acked { offset: 1 });
}

#[test]
fn no_more_requests_than_allowed_are_in_flight() {
    let mut bench = producer(ProducerConfig { max_in_flight: 2, linger_ms: 0, ..config() }, &[1]);
    bench.produce(1).produce(2).produce(3).produce(4).produce(5);
    assert_eq!(bench.calls_waiting(), 2);
}

#[test]
fn an_error_says_whether_the_record_may_be_in_the_log() {
    use ResponseError::*;
    let failed = [
        NotEnoughReplicas,
        CorruptMessage,
        MessageTooLarge,
        RecordListTooLarge,
        InvalidRecord,
        InvalidTimestamp,
        InvalidRequiredAcks,
        InvalidTopicException,
        TopicAuthorizationFailed,
        UnsupportedForMessageFormat,
        UnsupportedCompressionType,
    ];
    let unknown = [
        RequestTimedOut,
        NotEnoughReplicasAfterAppend,
        NotLeaderOrFollower,
        UnknownTopicOrPartition,
        KafkaStorageError,
        UnknownServerError,
        Unknown(9_999),
    ];
    let beliefs = failed.map(|e| (e, Belief::Failed)).into_iter().chain(unknown.map(|e| (e, Belief::Unknown)));
    for (error, belief) in beliefs {
        let mut bench = producer(ProducerConfig { retries: 0, linger_ms: 0, ..config() }, &[1]);
        bench.produce(1);
        let call = bench.next_call();
        bench.answer_produce(call, Err(error));
        assert_eq!(bench.produced(1).0, belief, "{error}");
    }
}

#[test]
fn one_ambiguous_attempt_makes_the_outcome_unknown_and_an_ack_makes_it_known_again() {
    for (last, belief) in [
        (Err(ResponseError::InvalidRecord), Belief::Unknown),
        (Err(ResponseError::MessageTooLarge), Belief::Unknown),
        (Ok(3), Belief::Acked { offset: 3 }),
    ] {
        let mut bench = producer(ProducerConfig { linger_ms: 0, ..config() }, &[1]);
        bench.produce(1);
        let call = bench.next_call();
        bench.answer_produce(call, Err(ResponseError::NotEnoughReplicasAfterAppend)).sleep(200);
        let call = bench.next_call();
        bench.answer_produce(call, last);
        let (told, attempts, _) = bench.produced(1);
        assert_eq!((told, attempts), (belief, 2));
    }
}

#[test]
fn a_disconnect_makes_it_unknown_and_is_retried() {
    let mut bench = producer(ProducerConfig { linger_ms: 0, delivery_timeout_ms: 2_000, ..config() }, &[1]);
    bench.produce(1);
    assert_eq!(bench.calls_waiting(), 1);
    bench.kill(1);
    assert_eq!(bench.told("batch-retried"), ["will send record r1 to orders-0 again: NETWORK_EXCEPTION"]);
    bench.sleep(1_999);
    assert!(!bench.is_settled(1));
    bench.sleep(1);
    assert_eq!(bench.produced(1), (Belief::Unknown, 1, Some("TIMEOUT")));
    assert_eq!(
        bench.told("batch-failed"),
        ["gave up on record r1 for orders-0 without knowing whether it was written: TIMEOUT"]
    );
}

#[test]
fn a_late_answer_is_ambiguous_too() {
    let config = ProducerConfig { linger_ms: 0, request_timeout_ms: 500, retries: 0, ..config() };
    let mut bench = producer(config, &[1]);
    bench.produce(1).sleep(499);
    assert!(!bench.is_settled(1));
    bench.sleep(1);
    assert_eq!(bench.produced(1), (Belief::Unknown, 1, Some("REQUEST_TIMED_OUT")));
}

#[test]
fn an_answer_that_nobody_can_read_ends_the_connection_and_is_ambiguous() {
    let mut bench = producer(ProducerConfig { linger_ms: 0, ..config() }, &[1]);
    bench.produce(1).produce(2);
    let call = bench.next_call();
    bench.garble(call);
    assert_eq!(bench.calls_waiting(), 0, "the other request went down with the connection");
    bench.sleep(300);
    let (again, other) = (bench.next_call(), bench.next_call());
    assert_eq!(sent(&again)[0].1, ["v2"], "as in Kafka, batches that fail together come back in reverse");
    bench.answer_produce(again, Err(ResponseError::InvalidRecord));
    bench.answer_produce(other, Err(ResponseError::InvalidRecord));
    assert_eq!(bench.produced(1), (Belief::Unknown, 2, Some("INVALID_RECORD")));
    assert_eq!(bench.produced(2), (Belief::Unknown, 2, Some("INVALID_RECORD")));
}

#[test]
fn what_never_left_has_failed_when_its_time_is_over() {
    let mut bench = producer(ProducerConfig { linger_ms: 0, delivery_timeout_ms: 2_000, ..config() }, &[1]);
    bench.down.insert(1);
    bench.produce(1).sleep(2_000);
    assert_eq!(bench.produced(1), (Belief::Failed, 0, Some("TIMEOUT")));
}

#[test]
fn a_batch_under_way_at_its_delivery_timeout_is_unknown_and_its_answer_comes_too_late() {
    let config = ProducerConfig { linger_ms: 0, delivery_timeout_ms: 1_000, max_in_flight: 1, ..config() };
    let mut bench = producer(config, &[1]);
    bench.produce(1).sleep(1_000);
    assert_eq!(bench.produced(1), (Belief::Unknown, 1, Some("TIMEOUT")));
    bench.produce(2);
    let late = bench.next_call();
    assert_eq!(bench.calls_waiting(), 0, "the partition is muted as long as the request is under way");
    bench.answer_produce(late, Ok(0));
    let next = bench.next_call();
    bench.answer_produce(next, Ok(1));
    assert_eq!(bench.produced(2).0, Belief::Acked { offset: 1 });
}

#[test]
fn with_acks_0_nothing_is_promised() {
    let mut bench = producer(ProducerConfig { acks: Acks(0), ..config() }, &[3]);
    bench.produce(1).sleep(5);
    assert_eq!(bench.calls_waiting(), 0);
    assert_eq!(bench.unanswered.len(), 1);
    assert_eq!(bench.unanswered[0].broker, 3);
    assert_eq!(bench.produced(1), (Belief::Unpromised, 1, None));
    assert_eq!(bench.told("batch-sent"), ["sent record r1 for orders-0 to broker 3 with acks=0, attempt 1"]);
}

#[test]
fn a_broker_that_no_longer_leads_sends_the_producer_to_the_new_leader() {
    let mut bench = producer(ProducerConfig { linger_ms: 0, ..config() }, &[1]);
    bench.produce(1);
    let call = bench.next_call();
    bench.leaders[0] = (2, 6);
    bench.answer_produce(call, Err(ResponseError::NotLeaderOrFollower)).sleep(150);
    let again = bench.next_call();
    assert_eq!(again.broker, 2);
    bench.answer_produce(again, Ok(9));
    assert_eq!(bench.produced(1).0, Belief::Acked { offset: 9 });
}

#[test]
fn a_producer_waits_for_a_topic_but_not_forever() {
    let mut bench = producer(ProducerConfig { linger_ms: 0, max_block_ms: 3_000, ..config() }, &[]);
    bench.produce(1).sleep(1_000);
    bench.produce(2).sleep(1_999);
    assert!(!bench.is_settled(1));
    bench.sleep(1);
    let expected =
        Outcome::Produced { partition: None, belief: Belief::Failed, attempts: 0, error: Some("TIMEOUT".to_string()) };
    assert_eq!(bench.outcome(1), &expected);
    assert_eq!(bench.told("send-invoked").len(), 0);
    bench.leaders = vec![(1, 0)];
    bench.sleep(900);
    let call = bench.next_call();
    assert_eq!(sent(&call), [(0, vec!["v2".to_string()])]);
    // Pauses grow to retry.backoff.max.ms: about 3 s of asking are a handful of requests.
    assert!((4..=12).contains(&bench.metadata_requests), "{} metadata requests", bench.metadata_requests);
}

#[test]
fn a_partition_that_does_not_exist_is_waited_for_and_a_negative_one_is_refused() {
    let mut bench = producer(ProducerConfig { max_block_ms: 1_000, ..config() }, &[1]);
    bench.produce_to(1, 3).produce_to(2, -1);
    assert_eq!(bench.produced(2), (Belief::Failed, 0, Some("INVALID_REQUEST")));
    bench.sleep(1_000);
    assert_eq!(bench.produced(1), (Belief::Failed, 0, Some("TIMEOUT")));
}

#[test]
fn a_record_larger_than_a_request_is_refused_at_once() {
    let mut bench = producer(config(), &[1]);
    bench.command(1, record(Some(0), None, &"x".repeat(1_048_576)));
    assert_eq!(bench.produced(1), (Belief::Failed, 0, Some("MESSAGE_TOO_LARGE")));
}

#[test]
fn close_settles_everything_as_it_stands() {
    let mut bench = producer(ProducerConfig { linger_ms: 60_000, ..config() }, &[1, -1]);
    bench.produce_to(1, 0).sleep(60_000);
    assert_eq!(bench.calls_waiting(), 1);
    bench.produce_to(2, 0).produce_to(3, 9).command(4, Command::Close);
    assert_eq!(bench.produced(1).0, Belief::Unknown, "under way");
    assert_eq!(bench.produced(2).0, Belief::Failed, "never left");
    assert_eq!(bench.produced(3).0, Belief::Failed, "never had a partition");
    assert_eq!(bench.outcome(4), &Outcome::Done);
    bench.produce(5).sleep(200_000);
    assert_eq!(bench.outcome(5), &Outcome::Refused { error: "CLOSED".to_string() });
}

#[test]
fn a_producer_does_not_poll() {
    let mut bench = producer(config(), &[1]);
    bench.command(1, Command::Poll { max_wait_ms: 0 });
    assert!(matches!(bench.outcome(1), Outcome::Refused { .. }));
}

#[test]
fn when_no_broker_can_be_reached_the_bootstrap_endpoints_are_tried_again() {
    let mut bench = producer(ProducerConfig { linger_ms: 0, ..config() }, &[1]);
    bench.produce(1);
    let call = bench.next_call();
    bench.answer_produce(call, Ok(0));
    bench.down = [1, 2, 3].into();
    bench.disconnect(1).disconnect(2).disconnect(3).produce(2).sleep(10_000);
    assert!(!bench.is_settled(2));
    bench.down.clear();
    bench.sleep(3_000);
    let call = bench.next_call();
    bench.answer_produce(call, Ok(1));
    assert_eq!(bench.produced(2).0, Belief::Acked { offset: 1 });
}
