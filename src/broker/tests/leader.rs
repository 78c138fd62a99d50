//! A leader's day: produce, fetch, purgatory.

use trial_storage::Batches;

use super::*;
use crate::broker::partition::Role;
use crate::broker::partition::isr::IsrState;

#[test]
fn acks_all_waits_for_every_member() {
    let mut room = Room::leads(&[1, 2, 3]);
    let first = room.produce(-1);
    room.follower_fetches(2, 1);
    assert_eq!(room.produced(first), None, "3 does not have it");
    room.follower_fetches(3, 0);
    assert_eq!(room.produced(first), None, "asking for it is not having it");
    room.follower_fetches(3, 1);
    assert_eq!(room.produced(first), Some(vec![("NONE".to_string(), 0)]));
    assert_eq!((room.ends(), room.broker.parked()), ((1, 1), (0, 0)));
}

#[test]
fn a_leader_alone_commits_what_it_appends() {
    let mut room = Room::leads(&[1]);
    let req = room.produce(-1);
    assert_eq!((room.produce_error(req), room.ends()), ("NONE".to_string(), (1, 1)));
}

#[test]
fn what_is_appended_bears_the_leader_epoch() {
    let mut room = Room::leads(&[1]);
    room.elect(1, &[1]);
    room.produce(1);
    let records = room.fetch(Fetching::default()).records.expect("records");
    let batch = Batches::new(records).next().expect("a batch").expect("a good one");
    assert_eq!(batch.header.partition_leader_epoch, 1);
}

/// The high watermark must *cover* the record: offset 1 is covered by 2, not by 1.
#[test]
fn acks_all_waits_for_its_own_record_not_for_the_one_before() {
    let mut room = Room::leads(&[1, 2]);
    let (first, second) = (room.produce(-1), room.produce(-1));
    assert_eq!(room.produced(first), None, "offset 0 is not covered by 0");
    room.follower_fetches(2, 1);
    assert_eq!(room.produced(first), Some(vec![("NONE".to_string(), 0)]));
    assert_eq!(room.produced(second), None);
    room.follower_fetches(2, 2);
    assert_eq!(room.produced(second), Some(vec![("NONE".to_string(), 1)]));
}

#[test]
fn acks_1_is_the_leaders_alone_and_acks_0_is_nobodys() {
    let mut room = Room::leads(&[1, 2, 3]);
    let req = room.produce(1);
    assert_eq!(room.produced(req), Some(vec![("NONE".to_string(), 0)]));
    let req = room.produce(0);
    assert_eq!((room.produced(req), room.settled_silently, room.hung_up), (None, 1, false));
    room.produce_to(0, &[9]);
    assert_eq!((room.settled_silently, room.hung_up), (1, true), "the closed connection is the error");
    assert_eq!(room.ends(), (2, 0));
    let req = room.produce(2);
    assert_eq!((room.produce_error(req), room.ends()), ("INVALID_REQUIRED_ACKS".to_string(), (2, 0)));
}

#[test]
fn too_few_members_refuse_acks_all_before_anything_is_written() {
    let story = Story { topic: &[("min.insync.replicas", "2")], ..Story::default() };
    let mut room = Room::with(story, 1, &[1]);
    let req = room.produce(-1);
    assert_eq!((room.produce_error(req), room.ends()), ("NOT_ENOUGH_REPLICAS".to_string(), (0, 0)));
    let req = room.produce(1);
    assert_eq!((room.produce_error(req), room.ends()), ("NONE".to_string(), (1, 0)), "and the high watermark stands");
}

#[test]
fn too_few_members_after_the_append_are_told_when_the_record_is_committed() {
    let story = Story { topic: &[("min.insync.replicas", "2")], ..Story::default() };
    let mut room = Room::with(story, 1, &[1, 2]);
    let req = room.produce(-1);
    room.set_isr(&[1]);
    assert_eq!((room.produced(req), room.ends()), (None, (1, 0)), "the high watermark stands, and so it waits");
    room.follower_fetches(2, 1);
    assert_eq!(room.produced(req), None);
    // 2 asks to join; the maximal ISR is large enough, but only the committed one lets the high watermark move.
    assert_eq!(room.members_asked(), [(1, 0), (2, 1)]);
    room.grant_isr(&[1, 2], 0, 2);
    assert_eq!((room.produce_error(req), room.ends()), ("NONE".to_string(), (1, 1)));
}

/// In Kafka the threads that move the high watermark, change the ISR and answer a producer may overtake each other. Here they
/// cannot, so that the middle of it is played by hand: committed, and then the members are too few.
#[test]
fn the_maximal_isr_decides_whether_enough_have_the_record() {
    for (joining, told) in [(None, "NOT_ENOUGH_REPLICAS_AFTER_APPEND"), (Some(3), "NONE")] {
        let mut room = Room::leads(&[1, 2]);
        let req = room.produce(-1);
        let (now, image) = (room.now, room.broker.image.clone());
        let ix = room.broker.replicas.find_by_id(ORDERS, 0).expect("orders-0");
        let partition = room.broker.replicas.get_mut(ix);
        let Role::Leader(state) = &mut partition.role else { panic!("it leads") };
        state.remote_mut(2).expect("2").update_fetch_state(1, 1, 1, now.wall);
        let moved = partition.maybe_increment_leader_high_watermark(&image, now.wall, 30_000, Zoo::default());
        assert_eq!(moved, Some((0, 1)));
        partition.min_insync_replicas = 3;
        let Role::Leader(state) = &mut partition.role else { panic!("it leads") };
        if let Some(joining) = joining {
            state.isr = IsrState::PendingExpand { isr: vec![1, 2], joining, asked: Vec::new() };
        }
        room.broker.note_high_watermark(ix);
        room.broker.settle_ready(now, &mut room.disk, &mut Effects::new(&mut room.host));
        room.handle(Input::Deadline);
        assert_eq!(room.produce_error(req), told);
    }
}

#[test]
fn a_leader_no_more_tells_those_who_wait() {
    let mut room = Room::leads(&[1, 2, 3]);
    let req = room.produce(-1);
    room.elect(2, &[2, 3]);
    assert_eq!(room.produce_error(req), "NOT_LEADER_OR_FOLLOWER");
    let req = room.produce(-1);
    assert_eq!(room.produce_error(req), "NOT_LEADER_OR_FOLLOWER");
    assert_eq!(room.ends(), (1, 0), "refused at entry: nothing was written");
}

#[test]
fn a_leader_elected_again_still_owes_its_answers() {
    let mut room = Room::leads(&[1, 2, 3]);
    let req = room.produce(-1);
    room.elect(1, &[1, 2]);
    assert_eq!(room.produced(req), None);
    room.follower_fetches(2, 1);
    assert_eq!(room.produce_error(req), "NONE");
}

#[test]
fn time_runs_out() {
    let mut room = Room::leads(&[1, 2, 3]);
    let req = room.produce(-1);
    room.pass(29_999);
    assert_eq!(room.produced(req), None);
    room.pass(1);
    assert_eq!(room.produce_error(req), "REQUEST_TIMED_OUT");
    assert_eq!((room.ends(), room.broker.parked()), ((1, 0), (0, 0)), "what became of the record is another matter");
}

/// `DelayedProduce`: what one partition of a request came to is kept while others wait. Were it looked up again at the end, a
/// record that was cut off meanwhile could be acknowledged by another that took its offset.
#[test]
fn the_outcome_of_a_partition_stays_while_others_wait() {
    let mut room = Room::leads(&[1, 2, 3]);
    room.second_partition(&[1, 2]);
    let req = room.produce_to(-1, &[0, 1]);
    room.elect(2, &[2, 3]);
    assert_eq!(room.produced(req), None, "partition 1 waits");
    // 2 never had the record, and sends another in its place.
    room.leader_diverges(0, 0, 0);
    assert_eq!(room.ends(), (0, 0));
    room.leader_sends(0, &[1], 1);
    room.elect(1, &[1]);
    assert_eq!(room.ends(), (1, 1), "offset 0 is committed, and is another record");
    room.change(PartitionChange { partition: 1, isr: Some(vec![1]), ..PartitionChange::default() });
    let expected = [("NOT_LEADER_OR_FOLLOWER", 0), ("NONE", 0)];
    assert_eq!(room.produced(req), Some(expected.map(|(error, offset)| (error.to_string(), offset)).to_vec()));
}

/// The zoo takes the rule away.
#[test]
fn the_zoo_acknowledges_before_the_high_watermark() {
    let zoo = [Switch::AckBeforeHighWatermark].into_iter().collect();
    let mut room = Room::with(Story { zoo, ..Story::default() }, 1, &[1, 2, 3]);
    let req = room.produce(-1);
    assert_eq!((room.produce_error(req), room.ends()), ("NONE".to_string(), (1, 0)));
}

#[test]
fn bad_batches_are_refused_with_kafkas_errors() {
    let good = batch(0, -1, [value()].into_iter());
    let mut corrupt = good.to_vec();
    *corrupt.last_mut().expect("bytes") ^= 1;
    let control = build_batch(&[NewRecord::default()], BuildOptions { control: true, ..BuildOptions::default() });
    let mut old_format = good.to_vec();
    old_format[16] = 1;
    let table: [(&str, Option<bytes::Bytes>, &str); 7] = [
        ("no field", None, "INVALID_RECORD"),
        ("no batch", Some(bytes::Bytes::new()), "INVALID_RECORD"),
        ("two batches", Some([&good[..], &good[..]].concat().into()), "INVALID_RECORD"),
        ("a control batch", Some(control), "INVALID_RECORD"),
        ("an old format", Some(old_format.into()), "INVALID_RECORD"),
        ("a wrong checksum", Some(corrupt.into()), "CORRUPT_MESSAGE"),
        ("half a batch", Some(good.slice(..good.len() / 2)), "INVALID_RECORD"),
    ];
    let mut room = Room::leads(&[1]);
    for (what, records, error) in table {
        let req = room.produce_data(1, vec![PartitionProduceData::default().with_records(records)]);
        assert_eq!(room.produce_error(req), error, "{what}");
    }
    assert_eq!(room.ends(), (0, 0));
}

#[test]
fn leader_epochs_are_fenced_both_ways() {
    let mut room = Room::leads(&[1, 2, 3]);
    room.elect(1, &[1, 2, 3]);
    for (leader_epoch, error) in [(0, "FENCED_LEADER_EPOCH"), (1, "NONE"), (2, "UNKNOWN_LEADER_EPOCH"), (-1, "NONE")] {
        for replica in [-1, 2] {
            let data = room.fetch(Fetching { replica, leader_epoch, ..Fetching::default() });
            assert_eq!(error_of(&data), error, "replica {replica}, epoch {leader_epoch}");
        }
        assert_eq!(room.list_offset(-2, leader_epoch).0, error);
        assert_eq!(room.end_of_epoch(leader_epoch, 1).0, error);
    }
    assert_eq!(room.believed(2), 0, "and only the valid one counted");
    let told = |room: &mut Room, leader_epoch| {
        let data = room.fetch(Fetching { leader_epoch, ..Fetching::default() });
        (data.current_leader.leader_id.0, data.current_leader.leader_epoch)
    };
    assert_eq!(told(&mut room, 0), (1, 1), "KIP-951");
    assert_eq!(told(&mut room, 2), (-1, -1), "the asker knows more than this leader");
}

#[test]
fn a_fetch_that_was_refused_leaves_no_trace() {
    let mut room = Room::leads(&[1, 2, 3]);
    room.produce(1);
    for (what, fetch) in [
        ("fenced", Fetching { leader_epoch: 5, offset: 1, ..Fetching::default() }),
        ("beyond the end", Fetching { offset: 9, ..Fetching::default() }),
        ("an incarnation of the past", Fetching { offset: 1, broker_epoch: Some(0), ..Fetching::default() }),
        ("an epoch never heard of", Fetching { offset: 1, last_fetched_epoch: 7, ..Fetching::default() }),
    ] {
        let data = room.fetch(Fetching { replica: 2, ..fetch });
        assert_ne!(data.error_code, 0, "{what}");
        assert_eq!((room.believed(2), room.ends()), (-1, (1, 0)), "{what}");
    }
    let data = room.fetch(Fetching { replica: 9, ..Fetching::default() });
    assert_eq!(error_of(&data), "NOT_LEADER_OR_FOLLOWER", "9 is no replica as far as this leader knows");
}

/// KIP-903: an earlier incarnation is told by its broker epoch, but only once the new one is alive.
#[test]
fn a_fetch_of_an_earlier_incarnation_is_refused_once_the_new_one_is_alive() {
    let mut room = Room::leads(&[1, 2, 3]);
    let offset = room.metadata_offset;
    room.metadata(vec![match registered(2, offset) {
        MetadataRecord::RegisterBroker { broker, incarnation, broker_epoch, host, port, rack, .. } => {
            let (fenced, in_controlled_shutdown) = (true, false);
            MetadataRecord::RegisterBroker {
                broker,
                incarnation,
                broker_epoch,
                host,
                port,
                rack,
                fenced,
                in_controlled_shutdown,
            }
        }
        other => other,
    }]);
    let late = Fetching { replica: 2, broker_epoch: Some(1), ..Fetching::default() };
    assert_eq!(error_of(&room.fetch(late)), "NONE", "nobody newer is alive");
    room.fence(2, false);
    assert_eq!(error_of(&room.fetch(late)), "NOT_LEADER_OR_FOLLOWER");
    assert_eq!(error_of(&room.fetch(Fetching { broker_epoch: Some(-1), ..late })), "NONE", "-1 is not checked");
    assert_eq!(error_of(&room.fetch(Fetching { broker_epoch: Some(offset), ..late })), "NONE");
}

#[test]
fn a_diverging_fetch_is_told_and_does_not_count() {
    // Epoch 0: offsets 0 and 1. Epoch 2: offset 2.
    let mut room = Room::leads(&[1, 2, 3]);
    room.produce(1);
    room.produce(1);
    room.elect(1, &[1, 2, 3]);
    room.elect(1, &[1, 2, 3]);
    room.produce(1);
    // (what, fetch offset, last fetched epoch, answer)
    let table = [
        ("its epoch went on further than ours", 3, 0, Some((0, 2))),
        ("an epoch we never had ends where the next begins", 3, 1, Some((0, 2))),
        ("all of it is ours", 2, 0, None),
        ("all of it is ours, to the end", 3, 2, None),
    ];
    for (what, offset, last_fetched_epoch, expected) in table {
        let before = room.believed(2);
        let fetch = Fetching { replica: 2, leader_epoch: 2, offset, last_fetched_epoch, ..Fetching::default() };
        let data = room.fetch(fetch);
        let told = (data.diverging_epoch.epoch, data.diverging_epoch.end_offset);
        assert_eq!((data.error_code, told), (0, expected.unwrap_or((-1, -1))), "{what}");
        if expected.is_some() {
            assert_eq!(room.believed(2), before, "{what}: it has not got that offset of ours");
            assert_eq!(data.records, Some(bytes::Bytes::new()), "{what}");
        } else {
            assert_eq!(room.believed(2), offset, "{what}");
        }
    }
}

#[test]
fn consumers_read_to_the_high_watermark_and_followers_to_the_end() {
    let mut room = Room::leads(&[1, 2, 3]);
    room.produce(1);
    room.produce(1);
    room.follower_fetches(2, 1);
    room.follower_fetches(3, 1);
    assert_eq!(room.ends(), (2, 1));
    let size = |data: PartitionData| data.records.expect("records").len();
    let one = batch(0, 0, [value()].into_iter()).len();
    assert_eq!(size(room.fetch(Fetching::default())), one);
    assert_eq!(size(room.follower_fetches(2, 0)), 2 * one);
    assert_eq!(size(room.fetch(Fetching { offset: 1, ..Fetching::default() })), 0);
    assert_eq!(error_of(&room.fetch(Fetching { offset: 3, ..Fetching::default() })), "OFFSET_OUT_OF_RANGE");
}

/// The high watermark of an answer is from before the fetch that it answers.
#[test]
fn a_follower_hears_of_the_high_watermark_one_fetch_later() {
    let mut room = Room::leads(&[1, 2]);
    room.produce(1);
    assert_eq!(room.follower_fetches(2, 1).high_watermark, 0);
    assert_eq!(room.ends(), (1, 1));
    assert_eq!(room.follower_fetches(2, 1).high_watermark, 1);
}

#[test]
fn a_follower_waits_for_an_append_and_a_consumer_for_the_high_watermark() {
    let mut room = Room::leads(&[1, 2]);
    let waiting = Fetching { max_wait_ms: 500, ..Fetching::default() };
    let consumer = room.send_fetch(waiting);
    let follower = room.send_fetch(Fetching { replica: 2, leader_epoch: 0, ..waiting });
    assert_eq!(room.broker.parked(), (0, 2));
    room.produce(1);
    assert!(room.fetched(follower).is_some_and(|data| data.records.is_some_and(|records| !records.is_empty())));
    assert_eq!(room.fetched(consumer), None, "not committed");
    room.follower_fetches(2, 1);
    assert!(room.fetched(consumer).is_some_and(|data| data.records.is_some_and(|records| !records.is_empty())));
    let consumer = room.send_fetch(Fetching { offset: 1, ..waiting });
    room.pass(499);
    assert_eq!(room.fetched(consumer), None);
    room.pass(1);
    assert_eq!(room.fetched(consumer).map(|data| data.error_code), Some(0), "nothing came");
}

#[test]
fn who_waits_at_a_leader_no_more_is_told() {
    let mut room = Room::leads(&[1, 2]);
    let waiting = Fetching { leader_epoch: 0, max_wait_ms: 500, ..Fetching::default() };
    let consumer = room.send_fetch(waiting);
    let without_epoch = room.send_fetch(Fetching { leader_epoch: -1, ..waiting });
    let follower = room.send_fetch(Fetching { replica: 2, ..waiting });
    room.elect(2, &[2]);
    assert_eq!(room.fetched(consumer).map(|data| error_of(&data)), Some("FENCED_LEADER_EPOCH".to_string()));
    assert_eq!(room.fetched(follower).map(|data| error_of(&data)), Some("FENCED_LEADER_EPOCH".to_string()));
    assert_eq!(room.fetched(without_epoch), None, "a follower serves it as well (KIP-392)");
}

/// `DelayedFetch`, case F.
#[test]
fn a_consumer_ahead_of_the_high_watermark_is_not_kept_waiting() {
    let mut room = Room::leads(&[1, 2]);
    room.produce(1);
    let req = room.send_fetch(Fetching { offset: 1, max_wait_ms: 500, ..Fetching::default() });
    let data = room.fetched(req).expect("answered at once");
    assert_eq!((data.error_code, data.records), (0, Some(bytes::Bytes::new())));
}

#[test]
fn the_end_is_not_told_before_the_high_watermark_has_reached_the_reign() {
    let mut room = Room::follows();
    room.leader_sends(0, &[0, 0], 1);
    room.elect(1, &[1, 2]);
    let unavailable = ("OFFSET_NOT_AVAILABLE".to_string(), -1);
    assert_eq!(room.list_offset(-1, -1), unavailable);
    assert_eq!(room.list_offset(6, -1), unavailable, "nothing is that late, as far as it knows");
    assert_eq!(room.list_offset(5, -1), ("NONE".to_string(), 0), "what is committed is known");
    assert_eq!(room.list_offset(-2, -1), ("NONE".to_string(), 0));
    room.fence(3, true);
    room.fetch(Fetching { replica: 2, leader_epoch: 1, offset: 2, last_fetched_epoch: 0, ..Fetching::default() });
    assert_eq!(room.list_offset(-1, -1), ("NONE".to_string(), 2));
    assert_eq!(room.list_offset(6, -1), ("NONE".to_string(), -1));
}

#[test]
fn list_offsets_knows_its_timestamps_by_version() {
    let mut room = Room::leads(&[1]);
    assert_eq!(room.list_offset(-3, -1), ("NONE".to_string(), -1), "there is no record");
    room.produce(1);
    room.produce(1);
    let none = |offset| ("NONE".to_string(), offset);
    assert_eq!(room.list_offset(-3, -1), none(0), "the first of those with the largest timestamp");
    assert_eq!(room.list_offset(-4, -1), none(0), "all of the log is local");
    assert_eq!(room.list_offset(-5, -1), none(-1), "nothing is tiered");
    assert_eq!(room.list_offset(-6, -1).0, "UNSUPPORTED_VERSION");
    for (timestamp, since) in [(-3, 7), (-4, 8), (-5, 9)] {
        let error = |room: &mut Room, version| room.list_offset_as(-1, version, &[timestamp]).remove(0).0;
        assert_eq!(error(&mut room, since - 1), "UNSUPPORTED_VERSION");
        assert_eq!(error(&mut room, since), "NONE");
    }
    let twice = room.list_offset_as(-1, 10, &[-1, -2]);
    let refused = ("INVALID_REQUEST".to_string(), -1);
    assert_eq!(twice, [refused.clone(), refused], "which of the two is meant?");
}

/// A client older than KIP-207 does not know OFFSET_NOT_AVAILABLE; replicas and tools see all of the log, and tools ask anybody.
#[test]
fn who_asks_for_the_end_decides_what_is_told() {
    let mut room = Room::follows();
    room.leader_sends(0, &[0, 0], 1);
    assert_eq!(room.list_offset_as(-1, 10, &[-1]), [("NOT_LEADER_OR_FOLLOWER".to_string(), -1)]);
    assert_eq!(room.list_offset_as(-2, 10, &[-1]), [("NONE".to_string(), 2)], "a tool asks a follower");
    room.elect(1, &[1, 2]);
    assert_eq!(room.list_offset_as(-1, 4, &[-1]), [("LEADER_NOT_AVAILABLE".to_string(), -1)]);
    assert_eq!(room.list_offset_as(-1, 5, &[-1]), [("OFFSET_NOT_AVAILABLE".to_string(), -1)]);
    assert_eq!(room.list_offset_as(2, 10, &[-1]), [("NONE".to_string(), 2)], "a replica");
}

#[test]
fn a_flush_holds_back_the_acknowledgement_not_for_ever() {
    let story = Story { topic: &[("flush.messages", "1")], ..Story::default() };
    let mut room = Room::with(story, 1, &[1]);
    let req = room.produce(-1);
    assert_eq!((room.produce_error(req), room.ends()), ("NONE".to_string(), (1, 1)));
    assert_eq!(room.orders().log.recovery_point(), 1, "it is on the disk");
    let req = room.produce(1);
    assert_eq!(room.produce_error(req), "NONE");
}
