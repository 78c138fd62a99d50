//! What does a registration make of a replica?

use super::*;
use crate::broker::partition::RoleChange;

#[test]
fn an_older_partition_epoch_is_ignored_an_equal_one_is_not() {
    let mut room = Room::leader(3, 0, &[1, 2], &[remote(2, 3), remote(3, 3)]);
    assert_eq!(room.apply(&registration(2, 9, 4, &[2])), RoleChange::Ignored);
    assert!(room.partition.is_leader() && room.partition.leader_epoch == 1);
    room.state().isr = IsrState::PendingExpand { isr: vec![1, 2], joining: 3, asked: Vec::new() };
    assert_eq!(room.apply(&registration(ME, 1, 5, &[1, 2])), RoleChange::Confirmed, "nothing new");
    assert!(room.state().isr.is_pending(), "the controller may let 3 in yet");
    assert_eq!(room.apply(&registration(ME, 1, 5, &[1])), RoleChange::SameLeader, "the same epoch, news");
    assert_eq!(room.state().isr, IsrState::Committed { isr: vec![1] });
    room.state().isr = IsrState::PendingExpand { isr: vec![1], joining: 3, asked: Vec::new() };
    assert_eq!(room.apply(&registration(ME, 1, 6, &[1])), RoleChange::SameLeader, "metadata overtakes what is pending");
    assert_eq!(room.state().isr, IsrState::Committed { isr: vec![1] });
}

#[test]
fn a_reign_begins_at_the_log_end() {
    let mut room = Room::with_log(&[1, 1, 3], 2);
    assert_eq!(room.apply(&registration(ME, 5, 0, &[1, 2])), RoleChange::NewLeader);
    assert_eq!(room.state().epoch_start_offset, 3);
    let epochs: Vec<_> = room.partition.log.epochs().iter().map(|e| (e.epoch, e.start_offset)).collect();
    assert_eq!(epochs, [(1, 0), (3, 2), (5, 3)], "the epoch is noted though it has no record yet");
    assert_eq!(room.partition.high_watermark(), 2, "it knows no better yet");
}

#[test]
fn a_new_leader_forgets_its_followers_and_times_the_members() {
    let mut room = Room::with_log(&[1; 3], 2);
    room.apply(&registration(ME, 5, 0, &[1, 2]));
    let member = *room.state().remote(2).expect("2");
    assert_eq!((member.log_end_offset, member.broker_epoch, member.last_fetch_time), (-1, None, 0));
    assert_eq!(member.last_caught_up_time, NOW, "it has replica.lag.time.max.ms from now on");
    let other = *room.state().remote(3).expect("3");
    assert_eq!((other.log_end_offset, other.last_caught_up_time), (-1, 0));
}

#[test]
fn a_leader_elected_again_keeps_what_it_knows_and_only_times_anew() {
    let old = RemoteReplica { last_caught_up_time: 5, last_fetch_time: 6, ..remote(2, 2) };
    let mut room = Room::leader(3, 0, &[1, 2], &[old, RemoteReplica { broker: 3, ..old }]);
    assert_eq!(room.apply(&registration(ME, 2, 6, &[1, 2])), RoleChange::NewLeader);
    let member =
        RemoteReplica { last_fetch_leader_log_end_offset: 3, last_fetch_time: NOW, last_caught_up_time: NOW, ..old };
    assert_eq!(room.state().remote(2), Some(&member));
    let other = RemoteReplica { broker: 3, last_fetch_time: 0, last_caught_up_time: 0, ..member };
    assert_eq!(room.state().remote(3), Some(&other));
    assert_eq!(room.state().epoch_start_offset, 3, "a new reign, though the leader is the same");
}

#[test]
fn the_same_reign_goes_on_through_isr_and_assignment() {
    let mut room = Room::leader(3, 0, &[1, 2], &[remote(2, 3), remote(3, 1)]);
    let mut reassigned = registration(ME, 1, 6, &[1]);
    reassigned.replicas = vec![1, 3, 4];
    assert_eq!(room.apply(&reassigned), RoleChange::SameLeader);
    assert_eq!(room.state().epoch_start_offset, 0);
    assert_eq!(room.state().remote(3), Some(&remote(3, 1)), "known as before");
    assert_eq!(room.state().remote(4).map(|r| r.log_end_offset), Some(-1), "new");
    assert_eq!(room.state().remote(2), None, "gone");
    assert_eq!(room.partition.effective_min_isr(), 1);
    room.partition.min_insync_replicas = 5;
    assert_eq!(room.partition.effective_min_isr(), 3, "at most the number of replicas");
}

#[test]
fn a_follower_fetches_anew_only_in_a_new_epoch() {
    let mut room = Room::leader(3, 2, &[1, 2], &[remote(2, 3), remote(3, 3)]);
    assert_eq!(room.apply(&registration(2, 2, 6, &[2])), RoleChange::NewFollower);
    assert!(room.partition.leader_state().is_none(), "neither ISR nor start of the reign is a follower's business");
    assert_eq!((room.partition.log_end_offset(), room.partition.high_watermark()), (3, 2), "nothing is cut yet");
    assert_eq!(room.apply(&registration(2, 2, 7, &[2, 3])), RoleChange::SameFollower);
    assert_eq!(room.apply(&registration(2, 3, 8, &[2, 3])), RoleChange::NewFollower, "even of the same leader");
    assert_eq!(room.apply(&registration(-1, 4, 9, &[2])), RoleChange::NewFollower, "even of nobody");
}
