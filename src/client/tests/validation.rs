//! A position in the history of another leader (KIP-320), and places that are sought.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::RequestKind;

use super::consumer::*;
use super::fixture::*;
use crate::client::Role;
use crate::config::{ConsumerConfig, OffsetReset};
use crate::node::{Command, Outcome, SeekTo};
use crate::zoo::{Switch, Zoo};

/// A consumer that has read offsets 0 and 1 of epoch 5 from broker 1, when broker 3 is elected in epoch 6.
fn reads_on_after_an_election(reset: OffsetReset, zoo: Zoo) -> (Bench, Call) {
    let config = ConsumerConfig { auto_offset_reset: reset, ..ConsumerConfig::default() };
    let mut bench = Bench::with(Role::Consumer(config), &[1], zoo);
    bench.command(1, assign(&[(0, Some(0))])).command(2, poll(1_000));
    let call = bench.next_call();
    bench.answer_fetch(call, |_| data(&[batch(0, &["a", "b"])]));
    assert_eq!(bench.polled(2).0, text(&[(0, 0, "a"), (0, 1, "b")]));
    bench.command(3, poll(60_000));
    let call = bench.next_call();
    bench.leaders[0] = (3, 6);
    bench.answer_fetch(call, |_| error(ResponseError::NotLeaderOrFollower));
    bench.sleep(250);
    let call = bench.next_call();
    assert_eq!(call.broker, 3);
    (bench, call)
}
fn seek(to: SeekTo) -> Command {
    Command::Seek { partition: partition(0), to }
}

#[test]
fn a_new_leader_is_asked_before_anything_is_fetched_from_it() {
    let (mut bench, call) = reads_on_after_an_election(OffsetReset::Earliest, Zoo::default());
    assert_eq!(bench.answer_end_of_epoch(call, Ok((5, 2))), [(6, 5)]);
    assert_eq!(Bench::fetch_asked(&bench.next_call()), (3, vec![(0, 2, 6)]));
    assert!(!bench.is_settled(3));
}

#[test]
fn a_leader_that_metadata_does_not_name_is_looked_for_until_it_does() {
    let (mut bench, call) = reads_on_after_an_election(OffsetReset::Earliest, Zoo::default());
    bench.unlisted.insert(3);
    bench.answer_end_of_epoch(call, Err(ResponseError::NotLeaderOrFollower));
    bench.sleep(3_000);
    bench.unlisted.clear();
    bench.sleep(2_000);
    let call = bench.next_call();
    assert_eq!(bench.answer_end_of_epoch(call, Ok((5, 2))), [(6, 5)]);
    assert_eq!(Bench::fetch_asked(&bench.next_call()), (3, vec![(0, 2, 6)]));
}

#[test]
fn a_truncated_history_is_taken_up_where_the_two_part() {
    let (mut bench, call) = reads_on_after_an_election(OffsetReset::Earliest, Zoo::default());
    bench.answer_end_of_epoch(call, Ok((4, 1)));
    assert_eq!(bench.polled(3).1, ["orders-0 LOG_TRUNCATION"]);
    assert_eq!(
        bench.told("position-reset"),
        ["moved its position in orders-0 to 1: LOG_TRUNCATION: up to epoch 5 the leader has offsets below 1"]
    );
    bench.command(4, poll(1_000));
    let call = bench.next_call();
    assert_eq!(Bench::fetch_asked(&call), (3, vec![(0, 1, 6)]));
    bench.answer_fetch(call, |_| data(&[batch(1, &["c"])]));
    assert_eq!(bench.polled(4).0, text(&[(0, 1, "c")]));
}

#[test]
fn an_epoch_that_the_leader_never_heard_of_resets_by_policy() {
    let (mut bench, call) = reads_on_after_an_election(OffsetReset::Earliest, Zoo::default());
    bench.answer_end_of_epoch(call, Ok((-1, -1)));
    let call = bench.next_call();
    assert_eq!(bench.answer_list_offsets(call, Ok(0)), [-2]);
    assert_eq!(
        bench.told("position-reset"),
        ["moved its position in orders-0 to 0: LOG_TRUNCATION: the leader never heard of epoch 5; \
          auto.offset.reset=earliest"]
    );
}

#[test]
fn without_a_policy_a_truncation_is_told_until_the_application_chooses() {
    let (mut bench, call) = reads_on_after_an_election(OffsetReset::None, Zoo::default());
    bench.answer_end_of_epoch(call, Ok((5, 1)));
    assert_eq!(bench.polled(3).1, ["orders-0 LOG_TRUNCATION"]);
    bench.command(4, poll(60_000)).sleep(200);
    let call = bench.next_call();
    bench.answer_end_of_epoch(call, Ok((5, 1)));
    assert_eq!(bench.polled(4).1, ["orders-0 LOG_TRUNCATION"]);
    bench.command(5, seek(SeekTo::Offset(1))).command(6, poll(1_000));
    assert_eq!(bench.outcome(5), &Outcome::Done);
    assert_eq!(Bench::fetch_asked(&bench.next_call()), (3, vec![(0, 1, 6)]), "what it chose has no epoch to validate");
    assert_eq!(bench.told("position-reset"), ["moved its position in orders-0 to 1: the application seeks it"]);
}

#[test]
fn a_leader_that_cannot_answer_is_asked_again() {
    for refused in [
        ResponseError::FencedLeaderEpoch,
        ResponseError::UnknownLeaderEpoch,
        ResponseError::NotLeaderOrFollower,
        ResponseError::UnknownTopicOrPartition,
    ] {
        let (mut bench, call) = reads_on_after_an_election(OffsetReset::Earliest, Zoo::default());
        bench.leaders[0] = (2, 7);
        bench.answer_end_of_epoch(call, Err(refused));
        bench.sleep(300);
        let call = bench.next_call();
        assert_eq!(call.broker, 2, "{refused}");
        assert_eq!(bench.answer_end_of_epoch(call, Ok((5, 2))), [(7, 5)]);
        assert_eq!(Bench::fetch_asked(&bench.next_call()), (2, vec![(0, 2, 7)]));
    }
}

/// The zoo takes the rule away: whatever the new leader has at that offset is read.
#[test]
fn the_zoo_goes_on_in_another_history() {
    let zoo = [Switch::SilentConsumerTruncation].into_iter().collect();
    let (bench, call) = reads_on_after_an_election(OffsetReset::Earliest, zoo);
    assert!(matches!(call.request, RequestKind::Fetch(_)));
    assert_eq!(Bench::fetch_asked(&call), (3, vec![(0, 2, 6)]));
    assert!(!bench.is_settled(3));
}

#[test]
fn a_time_is_sought_at_the_leader() {
    let mut bench = consumer(OffsetReset::Earliest, &[1]);
    bench.command(1, assign(&[(0, Some(40))]));
    bench.command(2, seek(SeekTo::Timestamp(START_WALL + 5))).command(3, poll(1_000));
    let call = bench.next_call();
    assert_eq!(bench.answer_list_offsets(call, Ok(12)), [START_WALL + 5]);
    bench.history_goes_on();
    assert_eq!(Bench::fetch_asked(&bench.next_call()).1, [(0, 12, 5)]);
    let Command::Seek { to, .. } = seek(SeekTo::Latest) else { panic!("a seek") };
    bench.command(4, Command::Seek { partition: partition(9), to });
    assert!(matches!(bench.outcome(4), Outcome::Refused { .. }), "nobody assigned partition 9");
}

#[test]
fn seeking_a_time_after_all_records_leads_to_the_end() {
    let mut bench = consumer(OffsetReset::Earliest, &[1]);
    bench
        .command(1, assign(&[(0, Some(40))]))
        .command(2, seek(SeekTo::Timestamp(START_WALL * 2)))
        .command(3, poll(1_000));
    let call = bench.next_call();
    assert_eq!(bench.answer_list_offsets(call, Ok(-1)), [START_WALL * 2]);
    let call = bench.next_call();
    assert_eq!(bench.answer_list_offsets(call, Ok(30)), [-1]);
    bench.history_goes_on();
    assert_eq!(Bench::fetch_asked(&bench.next_call()).1, [(0, 30, 5)]);
}

/// KIP-1106. What is asked for is the time as it is when the leader is asked.
#[test]
fn without_a_position_a_consumer_may_begin_some_time_ago() {
    let mut bench = consumer(OffsetReset::ByDuration(5_000), &[1]);
    bench.command(1, assign(&[(0, None)]));
    let call = bench.next_call();
    let asked = bench.answer_list_offsets(call, Ok(12));
    assert_eq!(asked, [START_WALL + 1_000 - 5_000], "the test's clock began a second ago");
    assert_eq!(bench.told("position-reset").len(), 1);
}
