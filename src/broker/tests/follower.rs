//! A follower's day: fetch, append, cut.

use super::*;
use crate::event::{LogStartReason, TruncationReason};

impl Room {
    fn fetch_in_flight(&self) -> &Call {
        self.calls.iter().find(|call| call.purpose == Purpose::Fetcher).expect("a fetch is in flight")
    }
    /// Broker 1 follows broker 2 in this epoch, and has fetched nothing.
    fn follows_in(leader_epoch: i32) -> Room {
        let mut room = Room::follows();
        (0..leader_epoch).for_each(|_| room.elect(2, &[1, 2, 3]));
        // The fetch of epoch 0.
        room.leader_sends(0, &[], 0);
        room
    }
    fn truncations(&self) -> Vec<(i64, i64, TruncationReason)> {
        let cut = |event: &Event| match event {
            Event::Truncated { from, to, reason, .. } => Some((*from, *to, *reason)),
            _ => None,
        };
        self.host.events.iter().filter_map(|(event, _)| cut(event)).collect()
    }
    /// There is an `orders-1` too, on the brokers 1 and 2.
    pub(super) fn second_partition_led_by(&mut self, leader: i32) {
        self.metadata(vec![placed(ORDERS, 1, &[1, 2], &[1, 2], leader)]);
    }
}

#[test]
fn fetches_from_its_log_end_and_takes_the_high_watermark_along() {
    let mut room = Room::follows();
    assert_eq!(room.asks_leader(), Some((0, 0, -1)), "an empty log has no epoch");
    room.leader_sends(0, &[0, 0], 1);
    assert_eq!((room.ends(), room.asks_leader()), ((2, 1), Some((0, 2, 0))));
    room.leader_sends(2, &[], 9);
    assert_eq!(room.ends(), (2, 2), "within its own log");
    room.leader_sends(2, &[], 1);
    assert_eq!(room.ends(), (2, 1), "it may go down: a new leader may know less");
}

#[test]
fn a_fetch_tells_everything_that_the_leader_checks() {
    let room = Room::follows();
    let RequestKind::Fetch(request) = &room.fetch_in_flight().request else { panic!("no fetch") };
    let part = &request.topics[0].partitions[0];
    assert_eq!((request.replica_state.replica_id.0, request.replica_state.replica_epoch), (1, 0));
    assert_eq!((part.current_leader_epoch, part.fetch_offset, part.log_start_offset), (0, 0, 0));
}

#[test]
fn asks_with_the_latest_epoch_it_knows() {
    let mut room = Room::leads(&[1, 2]);
    room.produce(1);
    room.elect(1, &[1, 2]);
    room.elect(2, &[2]);
    assert_eq!(room.asks_leader(), Some((2, 1, 1)), "epoch 1 was its own, without a record");
}

#[test]
fn a_response_of_the_past_is_dropped() {
    // Of an earlier epoch, from the same leader.
    let mut room = Room::follows();
    room.elect(2, &[1, 2, 3]);
    assert_eq!(room.waiting(Purpose::Fetcher), 1, "one fetch in flight: that of epoch 0");
    room.leader_sends(0, &[0], 1);
    assert_eq!((room.ends(), room.asks_leader()), ((0, 0), Some((1, 0, -1))));
    room.leader_sends(0, &[1], 0);
    assert_eq!(room.ends(), (1, 0));

    // Of another leader.
    let mut room = Room::follows();
    room.elect(3, &[1, 3]);
    assert_eq!(room.waiting(Purpose::Fetcher), 2);
    room.leader_sends(0, &[0], 1);
    assert_eq!(room.ends(), (0, 0), "2 leads no more");
    assert_eq!(room.asks_leader(), Some((1, 0, -1)));

    // It leads itself now.
    let mut room = Room::follows();
    room.elect(1, &[1, 2]);
    room.leader_sends(0, &[0], 1);
    assert_eq!((room.ends(), room.waiting(Purpose::Fetcher)), ((0, 0), 0));
}

/// The fetch in flight asked at offset 0, and the log has gone on: neither its records nor its divergence are for this log.
#[test]
fn a_response_for_another_offset_is_dropped() {
    let mut room = Room::follows();
    let ix = room.broker.replicas.find_by_id(ORDERS, 0).expect("orders-0");
    let records = batch(0, 0, [value()].into_iter());
    room.broker.replicas.get_mut(ix).log.append_as_follower(&mut room.disk, records, i32::MAX).expect("the disk works");
    room.leader_sends(0, &[0], 1);
    assert_eq!((room.ends(), room.asks_leader()), ((1, 0), Some((0, 1, 0))), "it asks anew");
    room.broker.replicas.get_mut(ix).truncate_to(&mut room.disk, 0, 0).expect("the disk works");
    room.leader_diverges(0, 0, 0);
    assert_eq!((room.truncations(), room.asks_leader()), (vec![], Some((0, 0, -1))));
    assert_eq!(room.count(|event| matches!(event, Event::AssertionFailed { .. })), 0);
}

/// Where a diverging epoch leads, by what the follower's own log says of that epoch.
#[test]
fn a_follower_cuts_to_where_the_histories_agree_or_nearer() {
    // Own log: epoch 0 at 0..2, epoch 1 at 2..4, epoch 3 at 4..6. (leader's epoch, its end, where to, what it asks next)
    let table = [
        ("unknown, and the leader's ends before the end of ours below it", 2, 3, 4, 1),
        ("known, ours went on further", 1, 3, 3, 1),
        ("known, the leader's went on further", 1, 9, 4, 1),
        ("known, the latest", 3, 5, 5, 3),
        ("unknown: to the end of the one below, another round follows", 2, 9, 4, 1),
        ("below all we know", 0, 1, 1, 0),
    ];
    for (what, epoch, end_offset, to, asks_with) in table {
        let mut room = Room::follows_in(3);
        room.leader_sends(0, &[0, 0, 1, 1, 3, 3], 0);
        room.leader_diverges(epoch, end_offset, 6);
        assert_eq!(room.ends(), (to, 0), "{what}: and the high watermark of that answer is not taken");
        assert_eq!(room.asks_leader(), Some((3, to, asks_with)), "{what}");
        assert_eq!(room.truncations(), [(6, to, TruncationReason::DivergingEpoch)], "{what}");
    }
}

/// An epoch without a record must go though no record does, or the leader would be asked with it for ever.
#[test]
fn an_epoch_without_a_record_is_cut_too() {
    let mut room = Room::leads(&[1, 2]);
    room.produce(1);
    room.elect(1, &[1, 2]);
    room.elect(2, &[2]);
    room.leader_diverges(0, 1, 0);
    assert_eq!((room.ends(), room.asks_leader(), room.truncations()), ((1, 0), Some((2, 1, 0)), vec![]));
}

#[test]
fn truncation_below_the_high_watermark_takes_it_down() {
    let mut room = Room::follows();
    room.leader_sends(0, &[0, 0, 0], 3);
    room.elect(3, &[3]);
    // The fetch to 2 is of the past; the one to 3 is the later of the two.
    let call = room.calls.pop().expect("a fetch to 3");
    let diverging = EpochEndOffset::default().with_epoch(0).with_end_offset(1);
    room.reply(&call, fetched(ORDERS, PartitionData::default().with_diverging_epoch(diverging)));
    assert_eq!(room.ends(), (1, 1));
}

#[test]
fn the_zoo_cuts_to_the_high_watermark_instead() {
    let zoo = [Switch::TruncateToHw].into_iter().collect();
    let mut room = Room::with(Story { zoo, ..Story::default() }, 2, &[1, 2, 3]);
    room.leader_sends(0, &[0, 0, 0], 1);
    room.leader_sends(3, &[], 1);
    room.elect(2, &[1, 2, 3]);
    assert_eq!((room.ends(), room.truncations()), ((1, 1), vec![(3, 1, TruncationReason::ToHighWatermark)]));
}

/// What consumers are served between the two is the tail.
#[test]
fn the_zoo_moves_the_high_watermark_before_it_cuts() {
    let zoo = [Switch::ProcessBeforeTruncate].into_iter().collect();
    let mut room = Room::with(Story { zoo, ..Story::default() }, 2, &[1, 2, 3]);
    room.leader_sends(0, &[0, 0, 0], 0);
    room.leader_diverges(0, 1, 6);
    assert_eq!(room.count(|event| matches!(event, Event::HighWatermark { from: 0, to: 3, .. })), 1);
    assert_eq!(room.truncations(), [(3, 1, TruncationReason::DivergingEpoch)]);
    assert_eq!((room.ends(), room.asks_leader()), ((1, 1), Some((0, 1, 0))), "then it cuts and fetches on");
}

#[test]
fn the_zoo_forgets_the_last_epoch_when_it_is_given_nothing() {
    let zoo = [Switch::DropLastFetchedEpoch].into_iter().collect();
    let mut room = Room::with(Story { zoo, ..Story::default() }, 2, &[1, 2, 3]);
    room.leader_sends(0, &[0], 0);
    assert_eq!(room.asks_leader(), Some((0, 1, 0)));
    room.leader_sends(1, &[], 1);
    assert_eq!(room.asks_leader(), Some((0, 1, -1)));
    room.leader_sends(1, &[0], 1);
    assert_eq!(room.asks_leader(), Some((0, 2, 0)), "records make it know again");
}

#[test]
fn a_fenced_follower_waits_for_metadata_others_pause() {
    for error in [ResponseError::NotLeaderOrFollower, ResponseError::UnknownLeaderEpoch] {
        let mut room = Room::follows();
        room.leader_refuses(error);
        assert_eq!(room.asks_leader(), None);
        room.pass(999);
        assert_eq!(room.asks_leader(), None, "replica.fetch.backoff.ms");
        room.pass(1);
        assert_eq!(room.asks_leader(), Some((0, 0, -1)), "{error:?}");
    }
    let mut room = Room::follows();
    room.leader_refuses(ResponseError::FencedLeaderEpoch);
    room.pass(60_000);
    assert_eq!(room.asks_leader(), None);
    room.elect(2, &[2, 3]);
    assert_eq!(room.asks_leader(), Some((1, 0, -1)));
}

#[test]
fn a_lost_connection_is_tried_again() {
    let mut room = Room::follows();
    room.hang_up_on(Purpose::Fetcher);
    room.pass(900);
    assert_eq!(room.asks_leader(), None, "it could be connected again long ago");
    room.pass(200);
    assert_eq!(room.asks_leader(), Some((0, 0, -1)));
}

/// `fetchOffsetAndTruncate`: latest below our end, earliest above it, or neither.
#[test]
fn out_of_range_asks_for_both_ends_of_the_leaders_log() {
    let mut room = Room::follows();
    room.leader_sends(0, &[0, 0, 0], 3);
    room.leader_refuses(ResponseError::OffsetOutOfRange);
    assert_eq!(room.leader_tells_offset(1, 0), -1, "latest");
    assert_eq!((room.ends(), room.truncations()), ((1, 1), vec![(3, 1, TruncationReason::OutOfRange)]));
    assert_eq!(room.asks_leader(), Some((0, 1, 0)));

    room.leader_refuses(ResponseError::OffsetOutOfRange);
    assert_eq!(room.leader_tells_offset(9, 0), -1);
    assert_eq!(room.leader_tells_offset(5, 0), -2, "earliest");
    assert_eq!((room.ends(), room.asks_leader()), ((5, 5), Some((0, 5, -1))), "begins anew at the leader's start");
    assert_eq!(room.count(|e| matches!(e, Event::HighWatermark { from: 1, to: 5, .. })), 1);

    room.leader_refuses(ResponseError::OffsetOutOfRange);
    room.leader_tells_offset(9, 0);
    room.leader_tells_offset(5, 0);
    assert_eq!((room.ends(), room.asks_leader()), ((5, 5), Some((0, 5, -1))), "neither: it goes on where it is");
}

/// KAFKA-2143: between the refusal and the question the leader has appended.
#[test]
fn a_leader_that_caught_up_meanwhile_costs_nothing() {
    let story = |switch: Option<Switch>| Story { zoo: switch.into_iter().collect(), ..Story::default() };
    for (switch, log_end_offset) in [(None, 3), (Some(Switch::OorTruncateFully), 0)] {
        let mut room = Room::with(story(switch), 2, &[1, 2, 3]);
        room.leader_sends(0, &[0, 0, 0], 3);
        room.leader_refuses(ResponseError::OffsetOutOfRange);
        room.leader_tells_offset(4, 0);
        room.leader_tells_offset(0, 0);
        assert_eq!(room.ends(), (log_end_offset, log_end_offset));
    }
}

#[test]
fn a_refused_question_for_the_leaders_end_is_asked_again_unless_fenced() {
    let mut room = Room::follows();
    room.leader_refuses(ResponseError::OffsetOutOfRange);
    room.leader_tells_offset(-1, ResponseError::NotLeaderOrFollower.code());
    room.pass(1_000);
    assert_eq!(room.asks_leader(), Some((0, 0, -1)));
    room.leader_refuses(ResponseError::OffsetOutOfRange);
    room.leader_tells_offset(-1, ResponseError::FencedLeaderEpoch.code());
    room.pass(60_000);
    assert_eq!(room.waiting(Purpose::Fetcher), 0);
}

#[test]
fn nobody_to_follow() {
    let mut room = Room::follows();
    room.elect(-1, &[2]);
    room.leader_sends(0, &[0], 1);
    assert_eq!((room.ends(), room.waiting(Purpose::Fetcher)), ((0, 0), 0));
    room.elect(3, &[3]);
    assert_eq!(room.asks_leader(), Some((2, 0, -1)));
}

#[test]
fn a_batch_of_a_later_epoch_is_left_away() {
    let mut room = Room::follows_in(1);
    room.leader_sends(0, &[0, 1, 2, 1], 0);
    assert_eq!((room.ends(), room.asks_leader()), ((2, 0), Some((1, 2, 1))), "and what stands behind it");
    room.leader_sends(2, &[2], 0);
    assert_eq!(room.ends(), (2, 0));
}

#[test]
fn a_corrupt_batch_is_fetched_again() {
    let mut room = Room::follows();
    let mut records = batch(0, 0, [value()].into_iter()).to_vec();
    *records.last_mut().expect("a batch") ^= 1;
    room.leader_answers(PartitionData::default().with_records(Some(records.into())).with_high_watermark(1));
    assert_eq!((room.ends(), room.asks_leader()), ((0, 0), None));
    assert_eq!(room.count(|event| matches!(event, Event::AssertionFailed { .. })), 0, "nobody's mistake here");
    room.pass(1_000);
    room.leader_sends(0, &[0], 1);
    assert_eq!(room.ends(), (1, 1));
}

/// KAFKA-6975: after DeleteRecords a leader's log may start within a batch, and what is asked for there comes whole.
#[test]
fn an_empty_log_begins_with_the_batch_that_holds_its_start() {
    let four_from = |offset| Some(batch(offset, 0, [value(), value(), value(), value()].into_iter()));
    let sent = |records| PartitionData::default().with_records(records).with_high_watermark(9).with_log_start_offset(5);
    let begins_at_5 = || {
        let mut room = Room::follows();
        room.leader_refuses(ResponseError::OffsetOutOfRange);
        room.leader_tells_offset(9, 0);
        room.leader_tells_offset(5, 0);
        assert_eq!((room.ends(), room.asks_leader()), ((5, 5), Some((0, 5, -1))));
        room
    };
    let given_up = |room: &Room| {
        assert_eq!(room.count(|event| matches!(event, Event::AssertionFailed { .. })), 0, "nobody's mistake here");
        room.count(|event| matches!(event, Event::FetchGivenUp { .. }))
    };

    let mut room = begins_at_5();
    room.syncs_wait = true;
    room.leader_answers(sent(four_from(3)));
    assert_eq!((room.ends(), room.orders().log.first_segment_offset(), given_up(&room)), ((7, 7), 3, 0));
    assert_eq!(room.truncations()[1..], [(5, 3, TruncationReason::BatchSpansLogStart)]);
    assert_eq!(room.moves(), [(3, 5, LogStartReason::Leader)], "its start is the leader's, as before");
    assert_eq!(room.asks_leader(), None, "nothing is fetched before the recovery points are durable");
    while !room.held_syncs.is_empty() {
        room.finish_last_sync();
    }
    assert_eq!(room.asks_leader(), Some((0, 7, 0)));
    room.leader_answers(sent(four_from(7)));
    assert_eq!(room.ends(), (11, 9), "from there on as any log");

    // Whatever else begins before the log's end: this partition is given up, and the node goes on.
    let ends_below = Some(batch(3, 0, [value(), value()].into_iter()));
    let mut room = begins_at_5();
    room.leader_answers(sent(ends_below));
    assert_eq!((room.ends(), room.asks_leader(), given_up(&room)), ((5, 5), None, 1), "it ends below the log's start");
    let mut room = begins_at_5();
    room.leader_answers(sent(four_from(5)));
    room.leader_answers(sent(four_from(7)));
    assert_eq!((room.ends(), room.asks_leader(), given_up(&room)), ((9, 9), None, 1), "the log holds records");
    room.elect(2, &[1, 2, 3]);
    assert_eq!((room.asks_leader(), room.halted.as_deref()), (Some((1, 9, 0)), None));
}

/// Kafka has no way out of this before another leader is elected: the leader's epochs begin where its log does.
#[test]
fn a_log_that_is_cut_to_a_start_within_a_batch_cannot_go_on() {
    let mut room = Room::follows_in(1);
    room.leader_sends(0, &[0, 0, 0, 0, 0, 0], 0);
    // The leader's batch of epoch 1 goes from 3 to 6, and its log starts at 5.
    room.leader_diverges(0, 5, 7);
    assert_eq!((room.ends().0, room.asks_leader()), (5, Some((1, 5, 0))));
    let spanning = batch(3, 1, [value(), value(), value(), value()].into_iter());
    room.leader_answers(PartitionData::default().with_records(Some(spanning)).with_log_start_offset(5));
    assert_eq!((room.ends().0, room.asks_leader()), (5, None), "its own records 3 and 4 are not the leader's");
    assert_eq!(room.count(|event| matches!(event, Event::FetchGivenUp { .. })), 1);
    assert_eq!(room.count(|event| matches!(event, Event::AssertionFailed { .. })), 0);
}

#[test]
fn what_cannot_be_appended_ends_the_fetch_of_its_partition_only() {
    let mut room = Room::follows();
    room.second_partition(&[1, 2]);
    room.change(PartitionChange { partition: 1, leader: Some(2), ..PartitionChange::default() });
    let forgotten = |room: &Room| -> Vec<i32> {
        let fetches = room.calls.iter().filter(|call| call.purpose == Purpose::Fetcher);
        let of_call = |call: &Call| match &call.request {
            RequestKind::Fetch(fetch) => {
                fetch.forgotten_topics_data.iter().flat_map(|topic| topic.partitions.clone()).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        fetches.flat_map(of_call).collect()
    };
    // The first answer opens a session, the second holds what the leader must not send.
    let call = room.take_call(Purpose::Fetcher);
    let in_session = |data: PartitionData| fetched(ORDERS, data).with_session_id(5);
    room.reply(&call, in_session(PartitionData::default().with_high_watermark(0)));
    let gap = batch(5, 0, [value()].into_iter());
    let call = room.take_call(Purpose::Fetcher);
    room.reply(&call, in_session(PartitionData::default().with_records(Some(gap)).with_high_watermark(0)));
    assert_eq!((room.ends(), room.waiting(Purpose::Fetcher)), ((0, 0), 1), "another partition is fetched on");
    assert_eq!(forgotten(&room), [0]);
    room.pass(5_000);
    let call = room.take_call(Purpose::Fetcher);
    room.elect(2, &[1, 2, 3]);
    room.reply(&call, in_session(PartitionData::default().with_partition_index(1).with_high_watermark(0)));
    assert_eq!(room.asks_leader().map(|(epoch, ..)| epoch), Some(1), "new metadata begins it anew");
}

#[test]
fn a_broker_that_stops_does_not_fetch_what_it_has_left() {
    let mut room = Room::follows();
    room.lifecycle_waits = true;
    room.shut_down();
    room.leader_sends(0, &[0], 0);
    assert_eq!(room.asks_leader(), Some((0, 1, 0)), "it is in sync still");
    room.set_isr(&[2, 3]);
    room.leader_sends(1, &[0], 0);
    assert_eq!((room.ends(), room.asks_leader()), ((1, 0), None));
}

#[test]
fn the_log_start_follows_the_leaders() {
    let mut room = Room::follows();
    room.leader_sends(0, &[0, 0, 0], 2);
    let told = |room: &mut Room, log_start_offset| {
        room.leader_answers(PartitionData::default().with_high_watermark(2).with_log_start_offset(log_start_offset));
        room.orders().log.log_start_offset()
    };
    assert_eq!(told(&mut room, 1), 1);
    assert_eq!(told(&mut room, 0), 1, "it is never lowered");
    assert_eq!(told(&mut room, 3), 1, "nor raised above the high watermark");
    assert_eq!(told(&mut room, 2), 2);
    assert_eq!(room.moves(), [(0, 1, LogStartReason::Leader), (1, 2, LogStartReason::Leader)]);
}

#[test]
fn a_new_epoch_is_flushed_whoever_notes_it() {
    let mut room = Room::follows_in(2);
    room.leader_sends(0, &[0, 1, 2], 0);
    assert_eq!(room.orders().log.unsynced_epoch_checkpoint(), [], "a follower that appends");
    assert!(!room.orders().log.unsynced().is_empty(), "the records themselves are not flushed");
    room.elect(1, &[1, 2]);
    assert_eq!(room.orders().log.latest_epoch(), Some(3));
    assert_eq!(room.orders().log.unsynced_epoch_checkpoint(), [], "a leader that begins");
}

#[test]
fn a_cut_epoch_is_flushed_in_the_background() {
    let mut room = Room::follows_in(1);
    room.leader_sends(0, &[0, 1], 0);
    room.leader_diverges(0, 1, 0);
    assert_eq!((room.ends(), room.orders().log.unsynced_epoch_checkpoint()), ((1, 0), vec![]));
}

#[test]
fn a_change_of_the_isr_does_not_disturb_a_fetch() {
    let mut room = Room::follows();
    room.leader_refuses(ResponseError::NotLeaderOrFollower);
    room.set_isr(&[2]);
    assert_eq!(room.asks_leader(), None, "it pauses as before");
}

#[test]
fn a_stuck_fetcher_does_not_stop_the_others() {
    let config = BrokerConfig { num_replica_fetchers: 2, ..BrokerConfig::default() };
    let mut room = Room::with(Story { config, ..Story::default() }, 2, &[1, 2, 3]);
    room.second_partition_led_by(2);
    assert_eq!(room.waiting(Purpose::Fetcher), 2, "one of each partition");
    let conns: Vec<ConnId> = room.calls.iter().filter(|c| c.purpose == Purpose::Fetcher).map(|c| c.conn).collect();
    let lanes: Vec<_> = conns.iter().map(|conn| room.broker.lane(&Input::Closed { conn: *conn })).collect();
    assert_ne!(conns[0], conns[1]);
    assert_ne!(lanes[0], lanes[1]);
    // The fetch of orders-0 gets no answer, that of orders-1 does.
    let at = room.calls.iter().position(|call| match &call.request {
        RequestKind::Fetch(request) => {
            call.purpose == Purpose::Fetcher && request.topics[0].partitions[0].partition == 1
        }
        _ => false,
    });
    let call = room.calls.remove(at.expect("orders-1 is fetched"));
    let records = batch(0, 0, [value()].into_iter());
    let data = PartitionData::default().with_partition_index(1).with_records(Some(records)).with_high_watermark(1);
    room.reply(&call, fetched(ORDERS, data));
    let second = room.broker.partition(&TopicPartition::new(&Topic::new("orders"), 1)).expect("the replica exists");
    assert_eq!((second.log_end_offset(), room.ends()), (1, (0, 0)));
    assert_eq!(room.waiting(Purpose::Fetcher), 2, "it asks on");
}

#[test]
fn the_zoo_takes_any_response() {
    let zoo = [Switch::AcceptStaleFetchResponse].into_iter().collect();
    let mut room = Room::with(Story { zoo, ..Story::default() }, 2, &[1, 2, 3]);
    room.leader_sends(0, &[0, 0, 0], 0);
    room.elect(3, &[1, 3]);
    // The fetch to 2 is of the past, and still it cuts.
    room.leader_diverges(0, 1, 0);
    assert_eq!(room.ends(), (1, 0));
}

#[test]
fn the_zoo_asks_for_a_truncation_point_once_an_epoch_or_not_at_all() {
    let zoo = [Switch::SkipTruncateSameLeader].into_iter().collect();
    let mut room = Room::with(Story { zoo, ..Story::default() }, 2, &[1, 2, 3]);
    room.leader_sends(0, &[0], 0);
    assert_eq!(room.asks_leader(), Some((0, 1, -1)), "once: the log was empty");
    room.elect(2, &[1, 2, 3]);
    room.leader_sends(1, &[], 0);
    assert_eq!(room.asks_leader(), Some((1, 1, -1)), "the same leader");
    room.elect(-1, &[2]);
    room.elect(2, &[1, 2, 3]);
    room.leader_sends(1, &[], 0);
    assert_eq!(room.asks_leader(), Some((3, 1, 0)), "nobody led in between");
    room.leader_sends(1, &[], 0);
    assert_eq!(room.asks_leader(), Some((3, 1, -1)));
}
