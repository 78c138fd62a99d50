//! Invariants of the replicas: each broken once, and beside it the story in which it holds.

mod play;

use play::{kinds, orders, three_brokers, told};
use trial_checker::{Class, Observation};

const BUG: Class = Class::Bug;

/// b3 has a record of its own at offset 1, then lives in the new epoch without cutting it.
#[test]
fn logs_match_below_both_high_watermarks() {
    let story = |cuts: bool| {
        let mut play = three_brokers(-1);
        play.write(0).in_sync(&[1, 2]);
        play.append_at(3, 4, 7).send(1).fetch(2).commit().ack(1).follows(3);
        if cuts {
            play.truncate(3, 1).fetch(3);
        } else {
            play.knows(1, 3);
        }
        play.high_watermark(3, 2);
        play
    };
    let bad = story(false).verdict();
    assert_eq!(kinds(&bad), [(BUG, "log-mismatch", None)]);
    insta::assert_snapshot!(told(&bad));
    assert_eq!(kinds(&story(true).verdict()), []);
}

#[test]
fn logs_match_when_all_is_quiet() {
    // b3's high watermark is known from its checkpoint only; nothing moves it any more.
    let mut play = three_brokers(-1);
    play.write(0).in_sync(&[1, 2]).append_at(3, 4, 7).send(1).fetch(2).commit().ack(1);
    let (broker, partition) = (3, orders());
    play.see(Observation::BecameFollower { broker, partition, leader_epoch: 5, log_end: 2, high_watermark: 2 });
    assert_eq!(kinds(&play.verdict()), []); // its leader has not heard of it: it may still cut
    play.knows(1, 3);
    assert_eq!(kinds(&play.verdict()), [(BUG, "log-mismatch", None)]);
}

#[test]
fn no_committed_record_is_cut_away() {
    let cut = |to: usize| {
        let mut play = three_brokers(-1);
        play.write(0).write(1).send(2).fetch(2).truncate(2, to);
        kinds(&play.verdict())
    };
    assert_eq!(cut(2), []); // r2 was not committed
    assert_eq!(cut(1), [(BUG, "committed-truncated", None)]);
}

#[test]
fn who_is_not_in_sync_may_cut() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).in_sync(&[1, 3]).truncate(2, 1);
    assert_eq!(kinds(&play.verdict()), []);
}

#[test]
fn a_high_watermark_stays_within_the_log() {
    let mut play = three_brokers(-1);
    play.write(0).high_watermark(2, 1);
    assert_eq!(kinds(&play.verdict()), []);
    play.high_watermark(2, 2);
    assert_eq!(kinds(&play.verdict()), [(BUG, "high-watermark-beyond-log-end", None)]);
}

#[test]
fn one_leader_per_epoch() {
    let mut play = three_brokers(-1);
    play.write(0).elect(2, &[1, 2, 3]).leads(2);
    assert_eq!(kinds(&play.verdict()), []);
    play.leads(3);
    assert_eq!(kinds(&play.verdict()), [(BUG, "two-leaders-one-epoch", None)]);
}

#[test]
fn epochs_only_rise() {
    let story = |leader_epoch: i32, partition_epoch: i32| {
        let mut play = three_brokers(-1); // leader epoch 5, partition epoch 10
        play.see(Observation::IsrChanged { partition: orders(), isr: vec![1, 2], leader_epoch, partition_epoch });
        kinds(&play.verdict())
    };
    assert_eq!(story(5, 11), []);
    assert_eq!(story(4, 11), [(BUG, "epoch-regression", None)]);
    assert_eq!(story(5, 10), [(BUG, "epoch-regression", None)]);
}

#[test]
fn a_new_leader_takes_a_new_epoch() {
    let story = |leader: i32| {
        let mut play = three_brokers(-1);
        let (partition, isr) = (orders(), vec![1, 2, 3]);
        let (leader_epoch, partition_epoch, previous) = (5, 11, 1);
        play.see(Observation::LeaderElected {
            partition,
            leader,
            leader_epoch,
            partition_epoch,
            isr,
            previous,
            clean: true,
        });
        kinds(&play.verdict())
    };
    assert_eq!(story(1), []);
    assert_eq!(story(2), [(BUG, "epoch-regression", None)]);
}

#[test]
fn a_leader_is_in_sync() {
    let mut play = three_brokers(-1);
    play.elect_only(2, &[1, 3], true);
    assert_eq!(kinds(&play.verdict()), [(BUG, "leader-not-in-isr", None)]);
}

#[test]
fn acks_all_waits_for_the_maximal_isr() {
    let story = |fetches: bool, maximal_isr: &[i32]| {
        let mut play = three_brokers(-1);
        play.send(0).fetch(2);
        if fetches {
            play.fetch(3);
        }
        play.ack_by(1, 5, maximal_isr, 0);
        kinds(&play.verdict())
    };
    assert_eq!(story(true, &[1, 2, 3]), []);
    assert_eq!(story(false, &[1, 2]), []); // b3 is out of sync
    assert_eq!(story(false, &[1, 2, 3]), [(BUG, "ack-before-committed", None)]);
    assert_eq!(story(true, &[1]), [(BUG, "ack-before-committed", None)]); // fewer than min.insync.replicas=2
}

#[test]
fn a_member_that_had_it_and_lost_it_since_is_excused() {
    let mut play = three_brokers(-1);
    play.send(0).fetch(2).fetch(3).lose_power(3, 0).restart(3).commit().ack(0);
    assert_eq!(kinds(&play.verdict()), []);
}
