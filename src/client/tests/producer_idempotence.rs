//! What an idempotent producer does when answers are lost, late or bad: every record once, and in its order.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::RequestKind;
use trial_storage::parse_header;

use super::fixture::*;
use super::log::Log;
use crate::client::Role;
use crate::config::{Acks, ProducerConfig};
use crate::ids::Topic;
use crate::node::{Belief, Command};
use crate::zoo::{Switch, Zoo};

use ResponseError::{InvalidProducerEpoch, MessageTooLarge, NotEnoughReplicas, OutOfOrderSequenceNumber};

fn config() -> ProducerConfig {
    ProducerConfig { linger_ms: 0, ..ProducerConfig::default() }
}
fn producer(leaders: &[i32]) -> Bench {
    Bench::new(Role::Producer(config()), leaders)
}
/// A producer that gives up after two seconds.
fn hasty_producer(leaders: &[i32]) -> Bench {
    Bench::new(Role::Producer(ProducerConfig { delivery_timeout_ms: 2_000, ..config() }), leaders)
}
fn producer_of_the_past(switch: Switch) -> Bench {
    let mut bench = Bench::unstarted(Role::Producer(config()), &[1], Zoo::from_iter([switch]));
    bench.start();
    bench
}

impl Bench {
    /// Sends `v1`, `v2` … to partition 0, or to another.
    fn send(&mut self, n: u64) -> &mut Self {
        self.send_to(n, 0)
    }
    fn send_to(&mut self, n: u64, partition: i32) -> &mut Self {
        let value = Some(Bytes::from(format!("v{n}")));
        let topic = Topic::new(TOPIC);
        self.command(n, Command::Produce { topic, partition: Some(partition), key: None, value, headers: vec![] })
    }
    /// Sends, and the broker acknowledges.
    fn send_acked(&mut self, n: u64, partition: i32) -> &mut Self {
        self.send_to(n, partition);
        let call = self.next_call();
        self.answer_produce(call, Ok(0))
    }
    /// The next request, which is this.
    fn expect(&mut self, numbered: &str) -> Call {
        let call = self.next_call();
        assert_eq!(show(&call), numbered);
        call
    }
    fn epochs_raised(&self) -> usize {
        self.told("producer-epoch-raised").len()
    }
}

/// `p0 7/1 @4 v5 v6`: for partition 0, of producer 7 in epoch 1, from sequence 4 on, these records.
fn show(call: &Call) -> String {
    let one = |(index, batch): (i32, Bytes)| {
        let header = parse_header(&batch).expect("a batch");
        let producer = format!("{}/{}", header.producer_id, header.producer_epoch);
        format!("p{index} {producer} @{} {}", header.base_sequence, values(batch).join(" "))
    };
    batches(call).into_iter().map(one).collect::<Vec<_>>().join(", ")
}

// ── producer id and sequences ────────────────────────────────────────────────────────────────────────────────────

#[test]
fn batches_are_numbered_one_after_the_other_in_each_partition() {
    let mut bench = Bench::new(Role::Producer(ProducerConfig { linger_ms: 5, ..config() }), &[1, 1]);
    bench.send(1).send(2).send_to(3, 1).sleep(5);
    bench.expect("p0 7/0 @0 v1 v2, p1 7/0 @0 v3");
    bench.send(4).send_to(5, 1).sleep(5);
    bench.expect("p0 7/0 @2 v4, p1 7/0 @1 v5");
    assert_eq!(bench.told("producer-id-given"), ["is producer 7 from now on, in epoch 0"]);
}

#[test]
fn nothing_is_sent_before_the_producer_has_its_id() {
    let mut bench = Bench::unstarted(Role::Producer(config()), &[1], Zoo::default());
    bench.hold_producer_ids = true;
    bench.start();
    bench.send(1);
    assert_eq!(bench.calls_waiting(), 1);
    let asked = bench.next_call();
    bench.answer_producer_id(asked, Err(ResponseError::CoordinatorLoadInProgress)).sleep(99);
    assert_eq!(bench.calls_waiting(), 0, "a pause of retry.backoff.ms");
    bench.sleep(1);
    let asked = bench.next_call();
    bench.disconnect(asked.broker).sleep(200);
    let asked = bench.next_call();
    assert!(matches!(asked.request, RequestKind::InitProducerId(_)));
    bench.answer_producer_id(asked, Ok((7, 0)));
    bench.expect("p0 7/0 @0 v1");
}

#[test]
fn a_producer_that_gets_no_id_fails_what_it_has_and_what_it_gets() {
    let mut bench = Bench::unstarted(Role::Producer(config()), &[1], Zoo::default());
    bench.hold_producer_ids = true;
    bench.start();
    bench.send(1);
    let asked = bench.next_call();
    bench.answer_producer_id(asked, Err(ResponseError::ClusterAuthorizationFailed)).send(2).sleep(1_000);
    let refused = (Belief::Failed, 0, Some("CLUSTER_AUTHORIZATION_FAILED"));
    assert_eq!((bench.produced(1), bench.produced(2)), (refused.clone(), refused));
    assert_eq!(bench.calls_waiting(), 0);
}

#[test]
fn idempotence_gives_way_to_acks_and_retries_unless_it_was_asked_for() {
    let plain = |config: ProducerConfig| {
        let mut bench = Bench::new(Role::Producer(config), &[1]);
        bench.send(1);
        show(&bench.next_call())
    };
    for config in [
        ProducerConfig { acks: Acks(1), ..config() },
        ProducerConfig { retries: 0, ..config() },
        ProducerConfig { enable_idempotence: false, ..config() },
    ] {
        assert_eq!(plain(config.clone()), "p0 -1/-1 @-1 v1", "{config:?}");
        assert!(config.clone().resolve_idempotence(true).is_err() == config.enable_idempotence, "{config:?}");
    }
    let told = |mut config: ProducerConfig, asked| config.resolve_idempotence(asked).map_err(|e| e.to_string());
    assert_eq!(
        told(ProducerConfig { acks: Acks(0), ..config() }, true).unwrap_err(),
        "acks: an idempotent producer needs acks=all, not acks=0; acks = \"all\", or enable.idempotence = false"
    );
    for asked in [false, true] {
        assert_eq!(
            told(ProducerConfig { max_in_flight: 6, ..config() }, asked).unwrap_err(),
            "max.in.flight.requests.per.connection: an idempotent producer has at most 5 requests in flight, not 6; at \
             most 5, or enable.idempotence = false"
        );
    }
}

#[test]
fn a_batch_sent_again_keeps_its_sequence_and_is_written_once() {
    let (mut bench, mut log) = (producer(&[1]), Log::default());
    bench.send(1);
    let first = bench.expect("p0 7/0 @0 v1");
    assert_eq!(log.append(&first), Ok(0));
    bench.disconnect(1).sleep(300);
    let again = bench.expect("p0 7/0 @0 v1");
    let answer = log.append(&again);
    bench.answer_produce(again, answer);
    assert_eq!(bench.produced(1), (Belief::Acked { offset: 0 }, 2, Some("NETWORK_EXCEPTION")));
    assert_eq!(log.values, ["v1"]);
}

// ── retries ──────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn batches_that_fail_together_come_back_in_their_order() {
    let mut bench = producer(&[1]);
    bench.send(1).send(2).send(3);
    assert_eq!(bench.calls_waiting(), 3);
    bench.disconnect(1).send(4).sleep(300);
    for (n, again) in ["p0 7/0 @0 v1", "p0 7/0 @1 v2"].iter().enumerate() {
        assert_eq!(bench.calls_waiting(), 1, "one at a time");
        let call = bench.expect(again);
        bench.answer_produce(call, Ok(n as i64));
    }
    // Behind the last that is sent again a new batch may go.
    bench.expect("p0 7/0 @2 v3");
    bench.expect("p0 7/0 @3 v4");
}

#[test]
fn a_batch_behind_one_that_failed_is_sent_again_as_it_is() {
    let mut bench = producer(&[1]);
    bench.send_acked(1, 0).send(2).send(3);
    let (second, third) = (bench.expect("p0 7/0 @1 v2"), bench.expect("p0 7/0 @2 v3"));
    bench.answer_produce(second, Err(NotEnoughReplicas)).answer_produce(third, Err(OutOfOrderSequenceNumber));
    bench.sleep(200);
    let again = bench.expect("p0 7/0 @1 v2");
    bench.answer_produce(again, Ok(1));
    let again = bench.expect("p0 7/0 @2 v3");
    bench.answer_produce(again, Ok(2));
    assert_eq!(bench.produced(3), (Belief::Acked { offset: 2 }, 2, Some("OUT_OF_ORDER_SEQUENCE_NUMBER")));
    assert_eq!(bench.epochs_raised(), 0);
}

#[test]
fn a_duplicate_that_the_broker_no_longer_remembers_is_a_success_without_an_offset() {
    let mut bench = producer(&[1]);
    bench.send(1);
    bench.disconnect(1).sleep(300);
    let again = bench.expect("p0 7/0 @0 v1");
    bench.answer_produce(again, Err(ResponseError::DuplicateSequenceNumber)).send(2);
    assert_eq!(bench.produced(1), (Belief::Acked { offset: -1 }, 2, Some("NETWORK_EXCEPTION")));
    bench.expect("p0 7/0 @1 v2");
}

// ── missing sequences and epochs ─────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_broker_that_lost_what_it_acknowledged_makes_the_producer_raise_its_epoch() {
    let mut bench = producer(&[1]);
    bench.send_acked(1, 0).send(2);
    let second = bench.expect("p0 7/0 @1 v2");
    bench.answer_produce(second, Err(OutOfOrderSequenceNumber)).sleep(200);
    let again = bench.expect("p0 7/1 @0 v2");
    bench.answer_produce(again, Ok(0));
    assert_eq!(bench.produced(2).0, Belief::Acked { offset: 0 });
    let raised = "raised the epoch of producer 7 to 1: its sequences in orders-0 begin anew at 0";
    assert_eq!(bench.told("producer-epoch-raised"), [raised]);
}

/// The story of [`a_batch_that_fails_for_good_leaves_no_gap`] up to the retries: v2 is too large, v3 to v5 were sent behind
/// it and find a gap.
fn too_large_with_three_behind(bench: &mut Bench) {
    bench.send_acked(1, 0).send(2).send(3).send(4).send(5);
    let calls = ["p0 7/0 @1 v2", "p0 7/0 @2 v3", "p0 7/0 @3 v4", "p0 7/0 @4 v5"].map(|call| bench.expect(call));
    let [too_large, behind @ ..] = calls;
    bench.answer_produce(too_large, Err(MessageTooLarge));
    for call in behind {
        bench.answer_produce(call, Err(OutOfOrderSequenceNumber));
    }
    bench.sleep(200);
}

#[test]
fn a_batch_that_fails_for_good_leaves_no_gap() {
    let mut bench = producer(&[1]);
    too_large_with_three_behind(&mut bench);
    assert_eq!(bench.produced(2), (Belief::Failed, 1, Some("MESSAGE_TOO_LARGE")));
    for again in ["p0 7/1 @0 v3", "p0 7/1 @1 v4", "p0 7/1 @2 v5"] {
        let call = bench.expect(again);
        bench.answer_produce(call, Ok(1));
    }
    bench.send(6);
    bench.expect("p0 7/1 @3 v6");
    assert_eq!(bench.epochs_raised(), 1, "those behind it told nothing new");
}

#[test]
fn an_old_epoch_is_refused_and_left() {
    let mut bench = producer(&[1]);
    bench.send_acked(1, 0).send(2);
    let fenced = bench.expect("p0 7/0 @1 v2");
    bench.answer_produce(fenced, Err(InvalidProducerEpoch)).send(3);
    assert_eq!(bench.produced(2), (Belief::Failed, 1, Some("INVALID_PRODUCER_EPOCH")));
    bench.expect("p0 7/1 @0 v3");
}

#[test]
fn an_idle_partition_begins_the_new_epoch_at_0() {
    let mut bench = producer(&[1, 1]);
    bench.send_acked(1, 0).send_acked(2, 1).send(3);
    let gap = bench.expect("p0 7/0 @1 v3");
    bench.answer_produce(gap, Err(OutOfOrderSequenceNumber)).send_to(4, 1);
    bench.expect("p1 7/1 @0 v4");
}

#[test]
fn a_busy_partition_ends_the_old_epoch_first() {
    let mut bench = producer(&[1, 2]);
    bench.send_acked(1, 0).send_to(2, 1);
    let busy = bench.expect("p1 7/0 @0 v2");
    bench.send(3);
    let gap = bench.expect("p0 7/0 @1 v3");
    bench.answer_produce(gap, Err(OutOfOrderSequenceNumber)).send_to(4, 1);
    assert_eq!(bench.epochs_raised(), 1);
    assert_eq!(bench.calls_waiting(), 0, "a batch of epoch 1 would overtake one of epoch 0");
    bench.answer_produce(busy, Ok(0));
    bench.expect("p1 7/1 @0 v4");
}

#[test]
fn after_the_last_epoch_comes_a_new_id() {
    let mut bench = Bench::unstarted(Role::Producer(config()), &[1], Zoo::default());
    bench.producer_ids = [(7, i16::MAX), (9, 0)].into();
    bench.start();
    bench.send_acked(1, 0).send(2);
    let gap = bench.expect("p0 7/32767 @1 v2");
    bench.answer_produce(gap, Err(OutOfOrderSequenceNumber)).sleep(200);
    bench.expect("p0 9/0 @0 v2");
}

// ── unresolved sequences ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_batch_given_up_after_an_attempt_makes_the_producer_raise_its_epoch() {
    let mut bench = hasty_producer(&[1]);
    bench.send(1).kill(1).sleep(2_000);
    assert_eq!(bench.produced(1), (Belief::Unknown, 1, Some("TIMEOUT")));
    bench.down.clear();
    bench.send(2).sleep(1_500);
    bench.expect("p0 7/1 @0 v2");
}

#[test]
fn a_batch_that_is_too_old_with_its_request_leaves_the_others_their_sequences() {
    let config = ProducerConfig { delivery_timeout_ms: 2_000, request_timeout_ms: 2_000, ..config() };
    let mut bench = Bench::new(Role::Producer(config), &[1]);
    bench.send(1).sleep(500).send(2);
    bench.expect("p0 7/0 @0 v1");
    bench.expect("p0 7/0 @1 v2");
    bench.sleep(1_500);
    assert_eq!(bench.produced(1), (Belief::Unknown, 1, Some("TIMEOUT")));
    bench.sleep(200);
    bench.expect("p0 7/0 @1 v2");
    assert_eq!(bench.epochs_raised(), 0);
}

/// v1 is under way for the second time when its two seconds are over; v2, half a second younger, for the first time.
/// Returns v2's request and v1's second, in this order on the same connection.
fn given_up_with_another_in_flight(bench: &mut Bench) -> (Call, Call) {
    bench.send(1).sleep(500).send(2);
    let (first, second) = (bench.expect("p0 7/0 @0 v1"), bench.expect("p0 7/0 @1 v2"));
    bench.answer_produce(first, Err(ResponseError::NotEnoughReplicasAfterAppend)).sleep(1_499);
    let again = bench.expect("p0 7/0 @0 v1");
    bench.sleep(1);
    assert_eq!(bench.produced(1), (Belief::Unknown, 2, Some("TIMEOUT")));
    (second, again)
}

#[test]
fn while_a_sequence_is_unresolved_no_new_batch_leaves() {
    let mut bench = hasty_producer(&[1]);
    let (second, _) = given_up_with_another_in_flight(&mut bench);
    bench.send(3);
    assert_eq!(bench.calls_waiting(), 0, "which sequence the broker expects is not known");
    bench.answer_produce(second, Ok(1));
    bench.expect("p0 7/0 @2 v3");
    assert_eq!(bench.epochs_raised(), 0, "v2 is in the log, and so is v1 before it");
}

#[test]
fn a_batch_right_behind_an_unresolved_one_finds_the_gap() {
    let mut bench = hasty_producer(&[1]);
    let (second, _) = given_up_with_another_in_flight(&mut bench);
    bench.answer_produce(second, Err(OutOfOrderSequenceNumber)).sleep(200);
    bench.expect("p0 7/1 @0 v2");
}

#[test]
fn an_acknowledgement_that_comes_too_late_counts_for_the_sequence() {
    let mut bench = hasty_producer(&[1]);
    bench.send(1).sleep(2_000);
    assert_eq!(bench.produced(1), (Belief::Unknown, 1, Some("TIMEOUT")));
    bench.send(2);
    let (late, second) = (bench.expect("p0 7/0 @0 v1"), bench.expect("p0 7/0 @1 v2"));
    // After the acknowledgement a leader without v1 takes over: v2 follows right behind what is missing.
    bench.answer_produce(late, Ok(0)).answer_produce(second, Err(OutOfOrderSequenceNumber)).sleep(200);
    bench.expect("p0 7/1 @0 v2");
}

// ── UNKNOWN_PRODUCER_ID ──────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_broker_that_forgot_the_producer_makes_it_raise_its_epoch() {
    let mut bench = producer(&[1]);
    bench.send_acked(1, 0).send(2);
    let forgotten = bench.expect("p0 7/0 @1 v2");
    bench.answer_produce(forgotten, Err(ResponseError::UnknownProducerId)).sleep(200);
    let forgotten = bench.expect("p0 7/0 @1 v2");
    bench.answer_produce_from(forgotten, Err(ResponseError::UnknownProducerId), 5).sleep(300);
    bench.expect("p0 7/1 @0 v2");
}

// ── bugs of the past ─────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn before_kip_360_the_sequences_began_anew_under_the_same_epoch() {
    let mut bench = producer_of_the_past(Switch::UnknownProducerReset);
    bench.send_acked(1, 0).send(2);
    let forgotten = bench.expect("p0 7/0 @1 v2");
    bench.answer_produce_from(forgotten, Err(ResponseError::UnknownProducerId), 5).sleep(200);
    bench.expect("p0 7/0 @0 v2");
}

#[test]
fn before_kafka_8483_batches_in_flight_began_anew_in_the_order_of_a_heap() {
    let mut bench = producer_of_the_past(Switch::ClientSeqReassignOrder);
    too_large_with_three_behind(&mut bench);
    for again in ["p0 7/1 @0 v3", "p0 7/1 @1 v5", "p0 7/1 @2 v4"] {
        let call = bench.expect(again);
        bench.answer_produce(call, Ok(1));
    }
}

#[test]
fn without_sequences_a_retry_is_overtaken() {
    let mut bench = producer_of_the_past(Switch::ReorderInflight);
    bench.send(1).send(2);
    let (first, second) = (bench.expect("p0 -1/-1 @-1 v1"), bench.expect("p0 -1/-1 @-1 v2"));
    bench.answer_produce(first, Err(NotEnoughReplicas)).answer_produce(second, Ok(0)).sleep(200);
    bench.expect("p0 -1/-1 @-1 v1");
}
