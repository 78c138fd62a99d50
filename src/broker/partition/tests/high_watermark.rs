//! When does the high watermark move, and how far?

use super::*;
use crate::broker::partition::RoleChange;
use crate::zoo::Switch;

fn advance(room: &mut Room) -> Option<(i64, i64)> {
    advance_with(room, &image())
}
fn advance_with(room: &mut Room, image: &MetadataImage) -> Option<(i64, i64)> {
    room.partition.maybe_increment_leader_high_watermark(image, NOW, LAG_MS, Zoo::default())
}

#[test]
fn the_least_offset_of_leader_and_maximal_isr() {
    // (what, isr, followers, high watermark afterwards), of a leader with 10 records and high watermark 4
    let table: &[(&str, &[BrokerId], &[RemoteReplica], i64)] = &[
        ("alone, nobody else near", &[1], &[late(2, 0), late(3, 0)], 10),
        ("the slowest member decides", &[1, 2, 3], &[remote(2, 8), remote(3, 6)], 6),
        ("exactly its offset: what it asks for it does not have", &[1, 2], &[late(2, 9), late(3, 0)], 9),
        ("a late member still counts", &[1, 2], &[late(2, 7), late(3, 0)], 7),
        ("who is late and no member does not count", &[1, 2], &[remote(2, 9), late(3, 5)], 9),
        ("who is caught up counts before it is a member", &[1, 2], &[remote(2, 9), remote(3, 5)], 5),
        ("a member that has not fetched in this reign", &[1, 2], &[late(2, -1), late(3, 0)], 4),
        ("a lower candidate is ignored", &[1, 2], &[remote(2, 3), late(3, 0)], 4),
        ("a follower beyond the leader's end", &[1, 2], &[remote(2, 12), late(3, 0)], 10),
    ];
    for (what, isr, remotes, expected) in table {
        let mut room = Room::leader(10, 4, isr, remotes);
        let moved = advance(&mut room);
        assert_eq!(room.partition.high_watermark(), *expected, "{what}");
        assert_eq!(moved, (*expected != 4).then_some((4, *expected)), "{what}");
    }
}

/// The joiner of a pending expansion counts at once; the leaver of a pending shrink counts until it is confirmed.
#[test]
fn the_maximal_isr_counts_while_a_change_is_pending() {
    let mut room = Room::leader(10, 4, &[1, 2], &[remote(2, 9), late(3, 5)]);
    room.state().isr = IsrState::PendingExpand { isr: vec![1, 2], joining: 3, asked: Vec::new() };
    advance(&mut room);
    assert_eq!(room.partition.high_watermark(), 5, "3 may have been elected already");

    let mut room = Room::leader(10, 4, &[1, 2, 3], &[remote(2, 9), late(3, 5)]);
    room.state().isr = IsrState::PendingShrink { isr: vec![1, 2, 3], leaving: vec![3], asked: Vec::new() };
    advance(&mut room);
    assert_eq!(room.partition.high_watermark(), 5, "3 may still be elected");
}

/// KIP-497 and the two ways to get it wrong, which the zoo brings back.
#[test]
fn the_zoo_counts_the_joiner_too_late_and_the_leaver_too_short() {
    let zoo = |switch: Switch| [switch].into_iter().collect::<Zoo>();
    let advance =
        |room: &mut Room, zoo| room.partition.maybe_increment_leader_high_watermark(&image(), NOW, LAG_MS, zoo);
    let mut room = Room::leader(10, 4, &[1, 2], &[remote(2, 9), remote(3, 5)]);
    room.state().isr = IsrState::PendingExpand { isr: vec![1, 2], joining: 3, asked: Vec::new() };
    assert_eq!(advance(&mut room, zoo(Switch::HwOverCommittedIsr)), Some((4, 9)));

    let mut room = Room::leader(10, 4, &[1, 2, 3], &[remote(2, 9), late(3, 5)]);
    room.state().isr = IsrState::PendingShrink { isr: vec![1, 2, 3], leaving: vec![3], asked: Vec::new() };
    assert_eq!(advance(&mut room, zoo(Switch::EagerShrink)), Some((4, 9)));
}

#[test]
fn it_stands_while_the_committed_isr_is_below_min_insync_replicas() {
    // (min.insync.replicas, isr, moves)
    for (min, isr, moves) in
        [(1, &[1][..], true), (2, &[1], false), (2, &[1, 2], true), (9, &[1, 2, 3], true), (9, &[1, 2], false)]
    {
        let mut room = Room::leader(10, 4, isr, &[remote(2, 10), remote(3, 10)]);
        room.partition.min_insync_replicas = min;
        assert_eq!(advance(&mut room).is_some(), moves, "min.insync.replicas {min}, ISR {isr:?}");
    }
    let mut room = Room::leader(10, 4, &[1], &[remote(2, 10), remote(3, 10)]);
    room.partition.min_insync_replicas = 2;
    room.state().isr = IsrState::PendingExpand { isr: vec![1], joining: 2, asked: Vec::new() };
    assert_eq!(advance(&mut room), None, "only confirmed members count for min.insync.replicas");
}

/// KAFKA-15021: who cannot join the ISR does not hold the high watermark back, however lately it was caught up.
#[test]
fn a_replica_that_is_not_eligible_does_not_hold_it_back() {
    let remotes = [remote(2, 10), remote(3, 5)];
    type Spoiler = (&'static str, fn(&mut MetadataImage));
    let spoilers: [Spoiler; 4] = [
        ("fenced", |image| image.brokers.get_mut(&3).expect("3").fenced = true),
        ("shutting down", |image| image.brokers.get_mut(&3).expect("3").in_controlled_shutdown = true),
        ("another incarnation", |image| image.brokers.get_mut(&3).expect("3").broker_epoch = 99),
        ("not registered", |image| drop(image.brokers.remove(&3))),
    ];
    let mut room = Room::leader(10, 4, &[1, 2], &remotes);
    assert_eq!(advance(&mut room), Some((4, 5)));
    for (what, spoil) in spoilers {
        let mut image = image();
        spoil(&mut image);
        let mut room = Room::leader(10, 4, &[1, 2], &remotes);
        assert_eq!(advance_with(&mut room, &image), Some((4, 10)), "{what}");
        let mut room = Room::leader(10, 4, &[1, 2], &remotes);
        let zoo = [Switch::HwWaitsForIneligible].into_iter().collect();
        let moved = room.partition.maybe_increment_leader_high_watermark(&image, NOW, LAG_MS, zoo);
        assert_eq!(moved, Some((4, 5)), "{what}, and the zoo waits for it");
    }
}

#[test]
fn what_is_being_flushed_counts_for_nobody() {
    let mut room = Room::leader(10, 4, &[1], &[late(2, 0), late(3, 0)]);
    room.partition.flushing_from = Some(7);
    assert_eq!(advance(&mut room), Some((4, 7)));
}

#[test]
fn a_follower_takes_the_leaders_within_its_own_log_even_downwards() {
    for (told, expected) in [(3, 3), (5, 5), (9, 6), (-1, 0)] {
        let mut room = Room::with_log(&[1; 6], 5);
        let moved = room.partition.set_follower_high_watermark(told);
        assert_eq!(room.partition.high_watermark(), expected, "told {told}");
        assert_eq!(moved, (expected != 5).then_some((5, expected)));
    }
}

#[test]
fn truncation_takes_it_along() {
    let mut room = Room::with_log(&[1; 6], 5);
    assert_eq!(room.partition.truncate_to(&mut room.disk, 3, 0), Ok(3));
    assert_eq!((room.partition.log_end_offset(), room.partition.high_watermark()), (3, 3));
    room.partition.truncate_fully_and_start_at(&mut room.disk, 40).expect("the disk works");
    assert_eq!((room.partition.log_end_offset(), room.partition.high_watermark()), (40, 40));
}

#[test]
fn it_is_loaded_within_the_log() {
    let room = Room::with_log(&[1; 3], 0);
    for (checkpoint, expected) in [(-5, 0), (0, 0), (2, 2), (9, 3)] {
        let loaded =
            Partition::new(room.partition.id.clone(), Uuid::from_u128(7), room.partition.log.clone(), checkpoint);
        assert_eq!(loaded.high_watermark(), expected, "checkpoint {checkpoint}");
    }
}

#[test]
fn a_registration_alone_moves_nothing() {
    let mut room = Room::leader(10, 4, &[1, 2], &[remote(2, 7), late(3, 0)]);
    assert_eq!(room.apply(&registration(ME, 1, 6, &[1])), RoleChange::SameLeader);
    assert_eq!(room.partition.high_watermark(), 4);
    assert_eq!(advance(&mut room), Some((4, 7)), "2 has only just left, and holds it back until it is late");
}
