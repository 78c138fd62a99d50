//! Who is caught up, who may join the in-sync replicas, and who has to leave?

use super::*;
use crate::zoo::Switch;

fn expand(room: &mut Room, zoo: Zoo) -> bool {
    room.partition.maybe_expand_isr(me(), 3, &image(), zoo)
}

#[test]
fn a_fetch_at_or_beyond_the_leaders_end_is_caught_up_now() {
    // (what, last leader end, last fetch time, fetch offset, leader end, last caught-up time afterwards)
    let table = [
        ("at the end", 10, 400, 20, 20, 900),
        ("beyond it", 10, 400, 21, 20, 900),
        ("at the end as it was at the last fetch: caught up then", 10, 400, 10, 20, 400),
        ("not even there", 10, 400, 9, 20, 300),
        ("an older time never replaces a newer", 10, 200, 10, 20, 300),
    ];
    for (what, last_end, last_time, fetch_offset, leader_end, expected) in table {
        let mut replica = RemoteReplica {
            log_end_offset: 5,
            last_fetch_leader_log_end_offset: last_end,
            last_fetch_time: last_time,
            last_caught_up_time: 300,
            ..remote(2, 5)
        };
        replica.update_fetch_state(fetch_offset, leader_end, 77, 900);
        assert_eq!(replica.last_caught_up_time, expected, "{what}");
        assert_eq!(
            (replica.log_end_offset, replica.last_fetch_time, replica.broker_epoch),
            (fetch_offset, 900, Some(77))
        );
        assert_eq!(replica.last_fetch_leader_log_end_offset, leader_end);
    }
}

#[test]
fn the_leaders_end_at_the_last_fetch_never_goes_back() {
    let mut replica = remote(2, 20);
    replica.update_fetch_state(5, 8, 77, NOW);
    assert_eq!(replica.last_fetch_leader_log_end_offset, 20);
}

#[test]
fn caught_up_is_at_the_end_or_lately_there() {
    let replica = |ago: i64, end| RemoteReplica { last_caught_up_time: NOW - ago, ..remote(2, end) };
    assert!(replica(LAG_MS, 5).is_caught_up(10, NOW, LAG_MS), "just within the lag");
    assert!(!replica(LAG_MS + 1, 5).is_caught_up(10, NOW, LAG_MS));
    assert!(replica(LAG_MS + 1, 10).is_caught_up(10, NOW, LAG_MS), "at the end, however long ago it asked");
    assert!(!replica(LAG_MS + 1, 11).is_caught_up(10, NOW, LAG_MS), "beyond is not at the end");
}

#[test]
fn joins_at_the_high_watermark_and_at_the_start_of_the_reign() {
    // (high watermark, start of the reign, follower's end, joins)
    let table =
        [(6, 0, 6, true), (6, 0, 5, false), (4, 6, 6, true), (4, 6, 5, false), (6, 6, 9, true), (6, 0, -1, false)];
    for (high_watermark, epoch_start, end, joins) in table {
        let mut room = Room::leader(10, high_watermark, &[1, 2], &[remote(2, 10), remote(3, end)]);
        room.state().epoch_start_offset = epoch_start;
        let what = format!("high watermark {high_watermark}, reign from {epoch_start}, follower's end {end}");
        assert_eq!(expand(&mut room, Zoo::default()), joins, "{what}");
        assert_eq!(room.state().isr.is_pending(), joins, "{what}");
    }
}

/// KAFKA-7128, brought back by its switch.
#[test]
fn the_zoo_lets_it_join_below_the_start_of_the_reign() {
    let mut room = Room::leader(10, 4, &[1, 2], &[remote(2, 10), remote(3, 5)]);
    room.state().epoch_start_offset = 6;
    assert!(expand(&mut room, [Switch::IsrExpandBeforeLeso].into_iter().collect()));
}

#[test]
fn only_an_eligible_replica_joins() {
    type Row = (&'static str, fn(&mut MetadataImage, &mut RemoteReplica), bool);
    let spoilers: [Row; 7] = [
        ("not registered", |image, _| drop(image.brokers.remove(&3)), false),
        ("nothing is wrong", |_, _| {}, true),
        ("fenced", |image, _| image.brokers.get_mut(&3).expect("3").fenced = true, false),
        ("shutting down", |image, _| image.brokers.get_mut(&3).expect("3").in_controlled_shutdown = true, false),
        ("restarted since its last fetch", |image, _| image.brokers.get_mut(&3).expect("3").broker_epoch = 99, false),
        ("never fetched in this reign", |_, replica| replica.broker_epoch = None, false),
        ("told no broker epoch", |_, replica| replica.broker_epoch = Some(-1), true),
    ];
    for (what, spoil, joins) in spoilers {
        let (mut image, mut replica) = (image(), remote(3, 10));
        spoil(&mut image, &mut replica);
        let mut room = Room::leader(10, 10, &[1, 2], &[remote(2, 10), replica]);
        assert_eq!(room.partition.maybe_expand_isr(me(), 3, &image, Zoo::default()), joins, "{what}");
    }
}

#[test]
fn one_change_at_a_time() {
    let mut room = Room::leader(10, 10, &[1], &[remote(2, 10), remote(3, 10)]);
    assert!(expand(&mut room, Zoo::default()));
    assert!(!expand(&mut room, Zoo::default()), "its own is in flight");
    assert!(!room.partition.maybe_expand_isr(me(), 2, &image(), Zoo::default()), "another's is in flight");
    room.state().isr = IsrState::Committed { isr: vec![1, 3] };
    assert!(!expand(&mut room, Zoo::default()), "it is a member");
    let mut room = Room::leader(10, 5, &[1, 2], &[late(2, 5), remote(3, 10)]);
    assert!(expand(&mut room, Zoo::default()));
    assert!(!room.partition.maybe_shrink_isr(me(), NOW, LAG_MS), "nobody leaves meanwhile, however late");
    room.state().isr.revert();
    assert!(room.partition.maybe_shrink_isr(me(), NOW, LAG_MS));
}

/// KIP-903: the controller is asked for the incarnations that were meant when the change was decided.
#[test]
fn a_change_keeps_the_broker_epochs_of_its_decision() {
    let mut room =
        Room::leader(10, 10, &[1, 2], &[RemoteReplica { broker_epoch: None, ..remote(2, 10) }, remote(3, 10)]);
    assert!(expand(&mut room, Zoo::default()));
    let asked = |broker, broker_epoch| IsrMember { broker, broker_epoch };
    let expected = [asked(1, MY_EPOCH), asked(2, -1), asked(3, 13)];
    assert_eq!(room.state().isr.asked(), expected);
    room.state().remote_mut(3).expect("3").update_fetch_state(2, 10, 99, NOW);
    assert_eq!(room.state().isr.asked(), expected, "3 restarted with less in its log: that is not who was meant");
}

#[test]
fn members_that_lag_leave_all_at_once_but_never_the_leader() {
    // (what, followers, who leaves)
    let table: &[(&str, &[RemoteReplica], &[BrokerId])] = &[
        ("all are caught up", &[remote(2, 5), remote(3, 10)], &[]),
        ("one lags", &[remote(2, 5), late(3, 5)], &[3]),
        ("both lag", &[late(2, 9), late(3, 5)], &[2, 3]),
        ("late, but at the end", &[late(2, 10), late(3, 5)], &[3]),
        ("not even assigned", &[remote(2, 10)], &[3]),
    ];
    for (what, remotes, leaving) in table {
        let mut room = Room::leader(10, 4, &[1, 2, 3], remotes);
        assert_eq!(room.partition.maybe_shrink_isr(me(), NOW, LAG_MS), !leaving.is_empty(), "{what}");
        let IsrState::PendingShrink { isr, leaving: left, asked } = &room.state().isr else {
            assert!(leaving.is_empty(), "{what}");
            continue;
        };
        assert_eq!((&isr[..], &left[..]), (&[1, 2, 3][..], *leaving), "{what}");
        assert!(asked.iter().all(|member| !leaving.contains(&member.broker)) && asked[0] == self::me(), "{what}");
    }
}

#[test]
fn a_change_given_up_goes_back_to_what_was_committed() {
    let mut isr = IsrState::PendingExpand { isr: vec![1, 2], joining: 3, asked: vec![me()] };
    assert_eq!((isr.maximal(), isr.maximal_len(), isr.maximal_contains(3)), (vec![1, 2, 3], 3, true));
    assert_eq!(isr.committed(), [1, 2]);
    isr.revert();
    assert_eq!(isr, IsrState::Committed { isr: vec![1, 2] });
    let shrink = IsrState::PendingShrink { isr: vec![1, 2], leaving: vec![2], asked: vec![me()] };
    assert_eq!((shrink.maximal(), shrink.maximal_len(), shrink.maximal_contains(2)), (vec![1, 2], 2, true));
}
