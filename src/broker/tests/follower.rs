//! A follower's day: fetch, append, cut.

use super::*;
use crate::event::TruncationReason;

impl Room {
    fn truncations(&self) -> Vec<(i64, i64, TruncationReason)> {
        let cut = |event: &Event| match event {
            Event::Truncated { from, to, reason, .. } => Some((*from, *to, *reason)),
            _ => None,
        };
        self.host.events.iter().filter_map(|(event, _)| cut(event)).collect()
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
    room.broker.replicas.get_mut(ix).log.append_as_follower(&mut room.disk, records).expect("the disk works");
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
        ("known, ours went on further", 1, 3, 3, 1),
        ("known, the leader's went on further", 1, 9, 4, 1),
        ("known, the latest", 3, 5, 5, 3),
        ("unknown: to the end of the one below, another round follows", 2, 9, 4, 1),
        ("below all we know", 0, 1, 1, 0),
    ];
    for (what, epoch, end_offset, to, asks_with) in table {
        let mut room = Room::follows();
        room.leader_sends(0, &[0, 0, 1, 1, 3, 3], 0);
        room.leader_diverges(epoch, end_offset, 6);
        assert_eq!(room.ends(), (to, 0), "{what}: and the high watermark of that answer is not taken");
        assert_eq!(room.asks_leader(), Some((0, to, asks_with)), "{what}");
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
    assert_eq!(room.asks_leader(), None);
    room.pass(1_100);
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
