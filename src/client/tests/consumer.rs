//! What a consumer hands out, and where it stands.

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::RequestKind;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::PartitionData;
use trial_storage::{BuildOptions, NewRecord, build_batch};

use super::fixture::*;
use crate::client::Role;
use crate::config::{ConsumerConfig, OffsetReset};
use crate::node::{Command, ConsumedRecord, Outcome};

pub(super) fn consumer(reset: OffsetReset, leaders: &[i32]) -> Bench {
    Bench::new(Role::Consumer(ConsumerConfig { auto_offset_reset: reset, ..ConsumerConfig::default() }), leaders)
}
pub(super) fn assign(partitions: &[(i32, Option<i64>)]) -> Command {
    Command::Assign { partitions: partitions.iter().map(|(index, at)| (partition(*index), *at)).collect() }
}
pub(super) fn poll(max_wait_ms: i64) -> Command {
    Command::Poll { max_wait_ms }
}
pub(super) fn batch(base_offset: i64, values: &[&str]) -> Bytes {
    built(base_offset, values, false)
}
fn built(base_offset: i64, values: &[&str], control: bool) -> Bytes {
    let record = |v: &&str| NewRecord {
        timestamp: START_WALL,
        key: None,
        value: Some(Bytes::copy_from_slice(v.as_bytes())),
        headers: vec![],
    };
    let records: Vec<NewRecord> = values.iter().map(record).collect();
    let options = BuildOptions { base_offset, partition_leader_epoch: 5, control, ..BuildOptions::default() };
    build_batch(&records, options)
}
pub(super) fn data(batches: &[Bytes]) -> PartitionData {
    PartitionData::default().with_records(Some(batches.concat().into())).with_high_watermark(1_000)
}
pub(super) fn error(error: ResponseError) -> PartitionData {
    PartitionData::default().with_error_code(error.code()).with_records(Some(Bytes::new()))
}

impl Bench {
    pub(super) fn polled(&self, op: u64) -> (Vec<(i32, i64, String)>, Vec<String>) {
        let Outcome::Polled { records, errors, .. } = self.outcome(op) else { panic!("not a poll: {op}") };
        let text = |r: &ConsumedRecord| String::from_utf8(r.value.clone().expect("value").to_vec()).expect("text");
        let records = records.iter().map(|r| (r.partition.partition, r.offset, text(r))).collect();
        (records, errors.iter().map(|(p, e)| format!("{p} {e}")).collect())
    }
    /// The fetch that has arrived: broker, and (partition, offset, leader epoch) asked for.
    pub(super) fn fetch_asked(call: &Call) -> (i32, Vec<(i32, i64, i32)>) {
        let RequestKind::Fetch(request) = &call.request else { panic!("not a fetch: {call:?}") };
        assert!(request.topics.iter().all(|t| t.topic_id == TOPIC_ID));
        let asked = |p: &FetchPartition| (p.partition, p.fetch_offset, p.current_leader_epoch);
        (call.broker, request.topics.iter().flat_map(|t| t.partitions.iter().map(asked)).collect())
    }
}
pub(super) fn text(records: &[(i32, i64, &str)]) -> Vec<(i32, i64, String)> {
    records.iter().map(|(p, o, v)| (*p, *o, v.to_string())).collect()
}

#[test]
fn from_the_earliest_offset_to_the_tail() {
    let mut bench = consumer(OffsetReset::Earliest, &[2]);
    bench.command(1, assign(&[(0, None)]));
    assert_eq!(bench.outcome(1), &Outcome::Done);
    let call = bench.next_call();
    assert_eq!(bench.answer_list_offsets(call, Ok(10)), [-2]);
    assert_eq!(
        bench.told("position-reset"),
        ["moved its position in orders-0 to 10: no position; auto.offset.reset=earliest"]
    );
    assert_eq!(bench.history_goes_on(), [(5, 5)], "what a leader told is validated too");
    assert_eq!(bench.calls_waiting(), 0, "nobody polls yet");

    bench.command(2, poll(1_000));
    let call = bench.next_call();
    assert_eq!(Bench::fetch_asked(&call), (2, vec![(0, 10, 5)]));
    bench.answer_fetch(call, |_| data(&[batch(10, &["a", "b"]), batch(12, &["c"])]));
    assert_eq!(bench.polled(2), (text(&[(0, 10, "a"), (0, 11, "b"), (0, 12, "c")]), vec![]));
    assert_eq!(bench.told("consumed"), ["consumed offsets 10 to 12 of orders-0"]);

    let tail = bench.next_call();
    assert_eq!(Bench::fetch_asked(&tail), (2, vec![(0, 13, 5)]), "the next response is fetched ahead");
    bench.command(3, poll(300)).sleep(299);
    assert!(!bench.is_settled(3));
    bench.sleep(1);
    assert_eq!(bench.polled(3), (vec![], vec![]));
    bench.answer_fetch(tail, |_| data(&[]));
    assert_eq!(bench.calls_waiting(), 0, "a consumer that does not poll does not fetch");
}

#[test]
fn a_given_position_needs_no_reset_and_latest_asks_for_the_end() {
    let mut bench = consumer(OffsetReset::Latest, &[1, 2]);
    bench.command(1, assign(&[(0, Some(4)), (1, None)])).command(2, poll(60_000));
    let (a, b) = (bench.next_call(), bench.next_call());
    let (list, fetch) = if matches!(a.request, RequestKind::ListOffsets(_)) { (a, b) } else { (b, a) };
    assert_eq!(list.broker, 2);
    assert_eq!(bench.answer_list_offsets(list, Ok(7)), [-1]);
    assert_eq!(Bench::fetch_asked(&fetch), (1, vec![(0, 4, 5)]));
    bench.history_goes_on();
    assert_eq!(Bench::fetch_asked(&bench.next_call()), (2, vec![(1, 7, 5)]));
}

#[test]
fn records_below_the_position_and_control_batches_are_passed_over() {
    let mut bench = consumer(OffsetReset::Earliest, &[1]);
    bench.command(1, assign(&[(0, Some(11))])).command(2, poll(1_000));
    let call = bench.next_call();
    bench.answer_fetch(call, |_| data(&[batch(10, &["a", "b"]), built(12, &["marker"], true)]));
    assert_eq!(bench.polled(2).0, text(&[(0, 11, "b")]));
    assert_eq!(Bench::fetch_asked(&bench.next_call()).1, [(0, 13, 5)], "the marker's offset is behind us");
}

#[test]
fn a_response_of_control_batches_alone_moves_the_position() {
    let mut bench = consumer(OffsetReset::Earliest, &[1]);
    bench.command(1, assign(&[(0, Some(5))])).command(2, poll(1_000));
    let call = bench.next_call();
    bench.answer_fetch(call, |_| data(&[built(5, &["marker"], true)]));
    assert!(!bench.is_settled(2));
    assert_eq!(Bench::fetch_asked(&bench.next_call()).1, [(0, 6, 5)]);
}

#[test]
fn a_poll_hands_out_at_most_max_poll_records_and_partitions_take_turns() {
    let config = ConsumerConfig { max_poll_records: 2, ..ConsumerConfig::default() };
    let mut bench = Bench::new(Role::Consumer(config), &[1, 1]);
    bench.command(1, assign(&[(0, Some(0)), (1, Some(0))])).command(2, poll(1_000));
    let call = bench.next_call();
    bench.answer_fetch(call, |_| data(&[batch(0, &["a", "b", "c"])]));
    assert_eq!(bench.polled(2).0, text(&[(0, 0, "a"), (0, 1, "b")]));
    bench.command(3, poll(1_000)).command(4, poll(1_000));
    assert_eq!(bench.polled(3).0, text(&[(0, 2, "c"), (1, 0, "a")]));
    assert_eq!(bench.polled(4).0, text(&[(1, 1, "b"), (1, 2, "c")]));
}

#[test]
fn an_offset_out_of_range_is_told_and_reset_by_policy() {
    let mut bench = consumer(OffsetReset::Earliest, &[1]);
    bench.command(1, assign(&[(0, Some(120))])).command(2, poll(1_000));
    let call = bench.next_call();
    bench.answer_fetch(call, |_| error(ResponseError::OffsetOutOfRange));
    assert_eq!(bench.polled(2), (vec![], vec!["orders-0 OFFSET_OUT_OF_RANGE".to_string()]));
    let call = bench.next_call();
    assert_eq!(bench.answer_list_offsets(call, Ok(3)), [-2]);
    assert_eq!(
        bench.told("position-reset"),
        ["moved its position in orders-0 to 3: OFFSET_OUT_OF_RANGE at offset 120; auto.offset.reset=earliest"]
    );
    bench.history_goes_on();
    bench.command(3, poll(1_000));
    assert_eq!(Bench::fetch_asked(&bench.next_call()).1, [(0, 3, 5)]);
}

#[test]
fn without_a_reset_policy_the_application_is_told_and_decides() {
    let mut bench = consumer(OffsetReset::None, &[1]);
    bench.command(1, assign(&[(0, None)])).command(2, poll(1_000));
    assert_eq!(bench.polled(2), (vec![], vec!["orders-0 NO_OFFSET_FOR_PARTITION".to_string()]));
    bench.command(3, assign(&[(0, Some(120))])).command(4, poll(1_000));
    let call = bench.next_call();
    bench.answer_fetch(call, |_| error(ResponseError::OffsetOutOfRange));
    assert_eq!(bench.polled(4), (vec![], vec!["orders-0 OFFSET_OUT_OF_RANGE".to_string()]));
    assert_eq!(bench.told("position-reset").len(), 0);
    bench.command(5, assign(&[(0, Some(2))])).command(6, poll(1_000));
    assert_eq!(Bench::fetch_asked(&bench.next_call()).1, [(0, 2, 5)]);
}

#[test]
fn errors_of_leadership_lead_to_the_new_leader() {
    for moved in [
        ResponseError::NotLeaderOrFollower,
        ResponseError::FencedLeaderEpoch,
        ResponseError::UnknownLeaderEpoch,
        ResponseError::UnknownTopicId,
        ResponseError::OffsetNotAvailable,
    ] {
        let mut bench = consumer(OffsetReset::Earliest, &[1]);
        bench.command(1, assign(&[(0, Some(8))])).command(2, poll(60_000));
        let call = bench.next_call();
        bench.leaders[0] = (3, 6);
        bench.answer_fetch(call, |_| error(moved));
        assert_eq!(bench.calls_waiting(), 0, "a pause comes first");
        bench.sleep(250);
        assert_eq!(Bench::fetch_asked(&bench.next_call()), (3, vec![(0, 8, 6)]), "{moved}");
        assert!(!bench.is_settled(2));
    }
}

#[test]
fn a_dead_leader_is_fetched_from_again_once_it_is_back() {
    let mut bench = consumer(OffsetReset::Earliest, &[1]);
    bench.command(1, assign(&[(0, Some(8))])).command(2, poll(60_000));
    assert_eq!(bench.calls_waiting(), 1);
    bench.kill(1).sleep(5_000);
    bench.down.clear();
    bench.sleep(2_000);
    assert_eq!(Bench::fetch_asked(&bench.next_call()), (1, vec![(0, 8, 5)]));
}

#[test]
fn a_young_leader_that_cannot_tell_the_end_is_asked_again() {
    let mut bench = consumer(OffsetReset::Latest, &[1]);
    bench.command(1, assign(&[(0, None)]));
    let call = bench.next_call();
    bench.answer_list_offsets(call, Err(ResponseError::OffsetNotAvailable));
    assert_eq!(bench.calls_waiting(), 0);
    bench.sleep(150);
    let call = bench.next_call();
    bench.answer_list_offsets(call, Ok(30));
    assert_eq!(bench.told("position-reset").len(), 1);
}

#[test]
fn a_corrupt_batch_ends_what_is_handed_out() {
    let mut bench = consumer(OffsetReset::Earliest, &[1]);
    bench.command(1, assign(&[(0, Some(0))])).command(2, poll(1_000));
    let call = bench.next_call();
    let mut bad = BytesMut::from(&batch(1, &["b"])[..]);
    let last = bad.len() - 1;
    bad[last] ^= 1;
    bench.answer_fetch(call, |_| data(&[batch(0, &["a"]), bad.clone().freeze()]));
    assert_eq!(bench.polled(2), (text(&[(0, 0, "a")]), vec!["orders-0 CORRUPT_MESSAGE".to_string()]));
}

#[test]
fn a_cut_off_last_batch_is_fetched_again() {
    let mut bench = consumer(OffsetReset::Earliest, &[1]);
    bench.command(1, assign(&[(0, Some(0))])).command(2, poll(1_000));
    let call = bench.next_call();
    let cut = batch(1, &["b"]).slice(..30);
    bench.answer_fetch(call, |_| data(&[batch(0, &["a"]), cut.clone()]));
    assert_eq!(bench.polled(2), (text(&[(0, 0, "a")]), vec![]));
    assert_eq!(Bench::fetch_asked(&bench.next_call()).1, [(0, 1, 5)]);
}

#[test]
fn an_answer_to_an_assignment_of_before_is_not_handed_out() {
    let mut bench = consumer(OffsetReset::Earliest, &[1]);
    bench.command(1, assign(&[(0, Some(0))])).command(2, poll(1_000));
    let call = bench.next_call();
    bench.command(3, assign(&[(0, Some(50))]));
    bench.answer_fetch(call, |_| data(&[batch(0, &["a"])]));
    assert!(!bench.is_settled(2));
    assert_eq!(Bench::fetch_asked(&bench.next_call()).1, [(0, 50, 5)]);
}

#[test]
fn a_partition_that_stays_assigned_keeps_its_position() {
    let mut bench = consumer(OffsetReset::Earliest, &[1, 1]);
    bench.command(1, assign(&[(0, Some(7))])).command(2, assign(&[(0, None), (1, Some(3))])).command(3, poll(1_000));
    assert_eq!(Bench::fetch_asked(&bench.next_call()).1, [(0, 7, 5), (1, 3, 5)]);
}

#[test]
fn only_one_poll_may_wait_and_close_answers_it() {
    let mut bench = consumer(OffsetReset::Earliest, &[1]);
    bench.command(1, poll(1_000)).command(2, poll(1_000)).command(3, Command::Close);
    assert!(matches!(bench.outcome(2), Outcome::Refused { .. }));
    assert_eq!(bench.polled(1), (vec![], vec![]));
    assert_eq!(bench.outcome(3), &Outcome::Done);
}

/// KIP-516: the topic was deleted and created again under its name. The consumer keeps its position, which the new topic
/// does not reach, and goes by auto.offset.reset.
#[test]
fn a_topic_created_again_is_read_by_its_new_id_and_from_its_own_start() {
    let mut bench = consumer(OffsetReset::Earliest, &[2]);
    bench.command(1, assign(&[(0, Some(7))])).command(2, poll(60_000));
    let again = uuid::Uuid::from_u128(78);
    bench.topic_id = again;
    bench.leaders[0] = (2, 0);
    let call = bench.next_call();
    bench.answer_fetch(call, |_| error(ResponseError::UnknownTopicId));
    bench.sleep(400);
    let call = bench.next_call();
    let RequestKind::Fetch(request) = &call.request else { panic!("not a fetch: {call:?}") };
    let asked = &request.topics[0].partitions[0];
    assert_eq!((request.topics[0].topic_id, asked.fetch_offset, asked.current_leader_epoch), (again, 7, 0));
    bench.answer_fetch(call, |_| error(ResponseError::OffsetOutOfRange));
    // The application hears of it, and polls on.
    assert_eq!(bench.polled(2).1, ["orders-0 OFFSET_OUT_OF_RANGE"]);
    bench.command(3, poll(60_000));
    let call = bench.next_call();
    assert_eq!(bench.answer_list_offsets(call, Ok(0)), [-2]);
    bench.history_goes_on();
    let call = bench.next_call();
    bench.answer_fetch(call, |_| data(&[batch(0, &["new"])]));
    assert_eq!(bench.polled(3).0, text(&[(0, 0, "new")]));
}
