//! From whom a consumer fetches, in which order, and what its sessions tell (KIP-227, KIP-392).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchResponse, RequestKind};

use super::consumer::*;
use super::fixture::*;
use crate::client::Role;
use crate::config::{ConsumerConfig, OffsetReset};

fn prefer(broker: i32) -> PartitionData {
    data(&[]).with_preferred_read_replica(BrokerId(broker))
}
/// Session id and epoch of a fetch, and the partitions it asks the broker to forget.
fn session_of(call: &Call) -> (i32, i32, Vec<i32>) {
    let RequestKind::Fetch(request) = &call.request else { panic!("not a fetch: {call:?}") };
    let forgotten = request.forgotten_topics_data.iter().flat_map(|t| t.partitions.clone());
    (request.session_id, request.session_epoch, forgotten.collect())
}
/// Whom a call goes to.
fn asks(bench: &mut Bench) -> (i32, Call) {
    let call = bench.next_call();
    (call.broker, call)
}

/// A consumer of `orders-0` at offset 8 to whom leader 1 said that 2 is nearer, 5 s after it learnt who leads.
fn reads_from_2() -> (Bench, Call) {
    let config = ConsumerConfig { metadata_max_age_ms: 10_000, client_rack: "west".to_string(), ..Default::default() };
    let mut bench = Bench::new(Role::Consumer(config), &[1]);
    bench.command(1, assign(&[(0, Some(8))])).command(2, poll(60_000));
    let (leader, call) = asks(&mut bench);
    assert_eq!(leader, 1);
    let RequestKind::Fetch(request) = &call.request else { panic!("not a fetch: {call:?}") };
    assert_eq!(request.rack_id.as_str(), "west");
    bench.sleep(5_000).answer_fetch(call, |_| prefer(2));
    let (nearer, call) = asks(&mut bench);
    assert_eq!((nearer, Bench::fetch_asked(&call).1), (2, vec![(0, 8, 5)]));
    assert_eq!(bench.told("read-replica-chosen"), ["reads orders-0 from broker 2: the leader says that it is nearer"]);
    (bench, call)
}

#[test]
fn a_nearer_replica_is_read_until_metadata_would_be_old() {
    let (mut bench, call) = reads_from_2();
    bench.sleep(9_999).answer_fetch(call, |_| data(&[]));
    let (still, call) = asks(&mut bench);
    assert_eq!(still, 2);
    bench.sleep(2).answer_fetch(call, |_| data(&[]));
    assert_eq!(asks(&mut bench).0, 1, "the leader is asked again who is nearest");
}

#[test]
fn a_nearer_replica_that_dies_is_left() {
    let (mut bench, call) = reads_from_2();
    // Metadata tells of its death before its connection does.
    bench.down.insert(2);
    bench.sleep(6_000).answer_fetch(call, |_| data(&[]));
    let (leader, call) = asks(&mut bench);
    assert_eq!((leader, Bench::fetch_asked(&call).1), (1, vec![(0, 8, 5)]));
}

#[test]
fn a_nearer_replica_that_hangs_up_is_left() {
    let (mut bench, _) = reads_from_2();
    bench.disconnect(2).sleep(200);
    assert_eq!(asks(&mut bench).0, 1);
}

#[test]
fn a_follower_that_is_behind_leads_back_to_the_leader() {
    let (mut bench, call) = reads_from_2();
    bench.answer_fetch(call, |_| error(ResponseError::OffsetOutOfRange));
    let (leader, call) = asks(&mut bench);
    assert_eq!((leader, Bench::fetch_asked(&call).1), (1, vec![(0, 8, 5)]));
    assert!(!bench.is_settled(2), "nothing is lost, and nobody is told");
    assert_eq!(bench.told("position-reset").len(), 0);
    assert_eq!(bench.told("read-replica-chosen")[1..], ["reads orders-0 from broker 1: OFFSET_OUT_OF_RANGE"]);
}

#[test]
fn who_was_served_is_asked_for_last() {
    let mut bench = consumer(OffsetReset::Earliest, &[1, 1, 1]);
    bench.command(1, assign(&[(0, Some(0)), (1, Some(0)), (2, Some(0))])).command(2, poll(1_000));
    let call = bench.next_call();
    assert_eq!(Bench::fetch_asked(&call).1, [(0, 0, 5), (1, 0, 5), (2, 0, 5)]);
    bench.answer_fetch(call, |p| if p.partition == 0 { data(&[batch(0, &["a"])]) } else { data(&[]) });
    assert_eq!(bench.polled(2).0, text(&[(0, 0, "a")]));
    assert_eq!(Bench::fetch_asked(&bench.next_call()).1, [(1, 0, 5), (2, 0, 5), (0, 1, 5)]);
}

#[test]
fn a_broker_whose_data_is_buffered_is_left_in_peace() {
    let config = ConsumerConfig { max_poll_records: 1, ..ConsumerConfig::default() };
    let mut bench = Bench::new(Role::Consumer(config), &[1, 1, 2]);
    bench.command(1, assign(&[(0, Some(0)), (1, Some(0)), (2, Some(0))])).command(2, poll(1_000));
    let (first, second) = (bench.next_call(), bench.next_call());
    assert_eq!((first.broker, second.broker), (1, 2));
    bench.answer_fetch(first, |p| if p.partition == 0 { data(&[batch(0, &["a", "b"])]) } else { data(&[]) });
    assert_eq!(bench.polled(2).0, text(&[(0, 0, "a")]));
    assert_eq!(bench.calls_waiting(), 0, "partition 1 waits with partition 0");
    bench.answer_fetch(second, |_| data(&[]));
    bench.command(3, poll(1_000));
    assert_eq!(bench.polled(3).0, text(&[(0, 1, "b")]));
    let mut asked: Vec<_> = [bench.next_call(), bench.next_call()].iter().map(Bench::fetch_asked).collect();
    asked.sort();
    assert_eq!(asked, [(1, vec![(1, 0, 5), (0, 2, 5)]), (2, vec![(2, 0, 5)])]);
}

#[test]
fn a_session_is_told_what_has_changed() {
    let mut bench = consumer(OffsetReset::Earliest, &[1, 1]);
    bench.session_id = 7;
    bench.command(1, assign(&[(0, Some(0)), (1, Some(0))])).command(2, poll(60_000));
    let call = bench.next_call();
    assert_eq!((session_of(&call), Bench::fetch_asked(&call).1), ((0, 0, vec![]), vec![(0, 0, 5), (1, 0, 5)]));
    bench.answer_fetch(call, |p| if p.partition == 0 { data(&[batch(0, &["a"])]) } else { data(&[]) });
    assert_eq!(bench.polled(2).0, text(&[(0, 0, "a")]));
    let call = bench.next_call();
    assert_eq!((session_of(&call), Bench::fetch_asked(&call).1), ((7, 1, vec![]), vec![(0, 1, 5)]), "0 has moved");
    bench.command(3, assign(&[(1, None)])).command(4, poll(60_000));
    bench.answer_fetch(call, |_| data(&[]));
    let call = bench.next_call();
    assert_eq!((session_of(&call), Bench::fetch_asked(&call).1), ((7, 2, vec![0]), vec![]), "0 is wanted no more");
}

#[test]
fn a_lost_answer_ends_the_session() {
    let mut bench = consumer(OffsetReset::Earliest, &[1]);
    bench.session_id = 7;
    bench.command(1, assign(&[(0, Some(0))])).command(2, poll(60_000));
    let call = bench.next_call();
    bench.answer_fetch(call, |_| data(&[]));
    assert_eq!(session_of(&bench.next_call()), (7, 1, vec![]));
    bench.disconnect(1).sleep(500);
    let call = bench.next_call();
    assert_eq!((session_of(&call), Bench::fetch_asked(&call).1), ((7, 0, vec![]), vec![(0, 0, 5)]), "all of it again");
}

#[test]
fn a_session_that_the_broker_does_not_know_is_begun_anew() {
    for (refused, next) in [
        (ResponseError::FetchSessionIdNotFound, (0, 0, vec![])),
        (ResponseError::InvalidFetchSessionEpoch, (7, 0, vec![])),
    ] {
        let mut bench = consumer(OffsetReset::Earliest, &[1]);
        bench.session_id = 7;
        bench.command(1, assign(&[(0, Some(3))])).command(2, poll(60_000));
        let call = bench.next_call();
        bench.answer_fetch(call, |_| data(&[]));
        let call = bench.next_call();
        bench.answer(call, FetchResponse::default().with_error_code(refused.code()).into());
        let call = bench.next_call();
        assert_eq!((session_of(&call), Bench::fetch_asked(&call).1), (next, vec![(0, 3, 5)]), "{refused}");
    }
}

/// An answer that leaves a partition out, or speaks of one nobody asked for, means that the two sides do not mean the
/// same session.
#[test]
fn an_answer_to_another_question_is_left_aside() {
    let mut bench = consumer(OffsetReset::Earliest, &[1, 1]);
    bench.session_id = 7;
    bench.command(1, assign(&[(0, Some(0)), (1, Some(0))])).command(2, poll(60_000));
    let call = bench.next_call();
    let RequestKind::Fetch(request) = &call.request else { panic!("not a fetch: {call:?}") };
    let mut only_one = request.topics.clone();
    only_one[0].partitions.truncate(1);
    let topic = kafka_protocol::messages::fetch_response::FetchableTopicResponse::default()
        .with_topic_id(TOPIC_ID)
        .with_partitions(vec![data(&[batch(0, &["a"])])]);
    bench.answer(call, FetchResponse::default().with_session_id(7).with_responses(vec![topic]).into());
    assert!(!bench.is_settled(2), "nothing of it is handed out");
    let call = bench.next_call();
    assert_eq!((session_of(&call), Bench::fetch_asked(&call).1.len()), ((0, 0, vec![]), 2));
}
