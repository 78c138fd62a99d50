//! Invariants of the replicas: each broken once, and beside it the story in which it holds.

mod play;

use play::{Play, kinds, orders, settings, three_brokers, told, topic};
use trial_checker::{Class, Observation, StartCause};

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

/// b3 cuts what parts from its leader answer by answer: what is below its high watermark may differ until that rises.
#[test]
fn logs_are_compared_when_the_high_watermark_rises() {
    let mut play = three_brokers(-1);
    play.write(0).in_sync(&[1, 2]).append_at(3, 3, 7).append_at(3, 4, 8).send(1).send(2).fetch(2).commit().follows(3);
    let (broker, partition) = (3, orders());
    play.see(Observation::BecameFollower { broker, partition, leader_epoch: 5, log_end: 3, high_watermark: 3 });
    play.truncate(3, 2).high_watermark(3, 2);
    assert_eq!(kinds(&play.verdict()), []);
    let mut cuts = play.clone();
    cuts.truncate(3, 1).high_watermark(3, 1).fetch(3).high_watermark(3, 3);
    assert_eq!(kinds(&cuts.verdict()), []);
    play.fetch(3).high_watermark(3, 3);
    assert_eq!(kinds(&play.verdict()), [(BUG, "log-mismatch", None)]);
}

/// A leader cannot tell of a history that it has deleted; what another broker has deleted is no excuse.
#[test]
fn logs_match_from_where_the_leaders_log_begins() {
    let story = |who_deletes: i32, before_a_crash: bool| {
        let mut play = three_brokers(-1);
        play.write(0).in_sync(&[1, 2]).append_at(3, 4, 7).send(1).fetch(2).commit().ack(1);
        let begins = |broker, to, cause| Observation::LogStartMoved { broker, partition: orders(), to, cause };
        play.see(begins(who_deletes, 2, StartCause::Retention));
        if before_a_crash {
            play.crash(who_deletes).restart(who_deletes).see(begins(who_deletes, 0, StartCause::Recovered));
        }
        play.follows(3).knows(1, 3).high_watermark(3, 2);
        kinds(&play.verdict())
    };
    assert_eq!(story(1, false), []);
    assert_eq!(story(2, false), [(BUG, "log-mismatch", None)], "b1 leads and has it all");
    assert_eq!(story(1, true), [(BUG, "log-mismatch", None)], "the crash of b1 brought back what it had deleted");
    assert_eq!(story(3, true), [], "b3 had begun above it, as its leader then did");
}

/// b3's log began at offset 3; its next leader's ends at 1, and there it begins now: what it has from there on counts.
#[test]
fn a_log_that_is_cut_below_its_start_begins_where_it_is_cut() {
    let mut play = three_brokers(-1);
    play.write(0).in_sync(&[1, 2]);
    for to in [3, 1] {
        let why = "because of where the leader's log starts or ends".to_owned();
        play.see(Observation::LogTruncated { broker: 3, partition: orders(), to, why });
    }
    play.append_at(3, 4, 7).send(1).fetch(2).commit().follows(3).knows(1, 3).high_watermark(3, 2);
    assert_eq!(kinds(&play.verdict()), [(BUG, "log-mismatch", None)]);
}

/// b2, elected uncleanly, ends at offset 1. b3 had begun anew at 4 behind b1, is elected uncleanly in its turn, and writes there; then b2
/// is again, which has nothing of that and goes on from 1. b1 follows it with all that, or has one of its own at offset 1.
#[test]
fn between_two_leaders_logs_nothing_was_committed() {
    let mut settings = settings(-1);
    topic(&mut settings).unclean_leader_election_enable = true;
    let story = |own: bool| {
        let mut play = Play::new(settings.clone());
        play.write(0).in_sync(&[1]).write(1).write(2).write(3);
        let (partition, cause) = (orders(), StartCause::Retention);
        play.see(Observation::LogStartMoved { broker: 1, partition, to: 4, cause }).follows(3).begins_anew(3, 4);
        play.crash(1).elect_uncleanly(2).crash(2).elect_uncleanly(3).write(4).crash(3).restart(2).elect_uncleanly(2);
        for (record, sequence) in (5..9).zip(0..) {
            play.given(record).append_of(record, 0, sequence).commit();
        }
        play.restart(1).follows(1).truncate(1, 1);
        if own {
            play.append_at(1, 4, 9);
        }
        play.fetch(1).high_watermark(1, 5);
        let mut found = kinds(&play.verdict());
        found.retain(|(_, code, _)| ["log-mismatch", "producer-sequence"].contains(code));
        found
    };
    assert_eq!(story(false), []);
    assert_eq!(story(true), [(BUG, "log-mismatch", None)]);
}

/// b1 has deleted what lies below offset 3, b2 is elected uncleanly and writes offsets 1 and 2 in epoch 6. When b1 leads again it has
/// nothing there to compare, and yet what b2 wrote is of another history: its own goes on in epoch 5.
#[test]
fn what_lies_below_a_leaders_log_start_may_be_of_another_history() {
    let mut settings = settings(-1);
    topic(&mut settings).unclean_leader_election_enable = true;
    let story = |who_leads_again: i32| {
        let mut play = Play::new(settings.clone());
        play.write(0).in_sync(&[1]).write(1).write(2).write(3);
        let (partition, cause) = (orders(), StartCause::DeleteRecords);
        play.see(Observation::LogStartMoved { broker: 1, partition, to: 3, cause });
        play.crash(1).elect_uncleanly(2).write(4).write(5).crash(2).restart(who_leads_again);
        play.elect_uncleanly(who_leads_again).verdict().count(Class::Allowed, "unsafe-election")
    };
    assert_eq!(story(1), 2);
    assert_eq!(story(2), 1, "b2 has what it wrote");
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
fn a_high_watermark_never_falls_while_its_broker_leads() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).high_watermark(1, 2);
    assert_eq!(kinds(&play.verdict()), []);
    let mut next = three_brokers(-1);
    next.write(0).write(1).elect(2, &[1, 2, 3]).high_watermark(2, 1).high_watermark(2, 2);
    assert_eq!(kinds(&next.verdict()), [], "who leads next may know less of it at first");
    let mut follower = three_brokers(-1);
    follower.write(0).write(1).high_watermark(1, 2).follows(1).high_watermark(1, 1);
    assert_eq!(kinds(&follower.verdict()), [], "it leads no more, though the epoch is the same");
    play.high_watermark(1, 1);
    assert_eq!(kinds(&play.verdict()), [(BUG, "high-watermark-back", None)]);
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

/// r0 is sent again, and answered from what is known of its producer. b3's log began at 4, above the end of its new leader's; it drops
/// all, begins there, and has nothing from below.
#[test]
fn who_began_at_its_leaders_end_is_in_sync_without_what_lies_below() {
    let story = |record: u64, begins: usize| {
        let mut play = three_brokers(-1);
        play.in_sync(&[1, 2]).send(0).send(1).fetch(2).commit().begins_anew(3, 4).truncate(3, begins);
        let mut found = kinds(&play.in_sync(&[1, 2, 3]).ack(record).verdict());
        found.retain(|(_, code, _)| *code == "ack-before-committed");
        found
    };
    assert_eq!(story(0, 2), []);
    assert_eq!(story(1, 2), []);
    assert_eq!(story(1, 1), [(BUG, "ack-before-committed", None)], "it had to fetch r1");
}

/// r0 is sent again, and answered from what is known of its producer. b3 began to copy when r0 was deleted already.
#[test]
fn what_the_leader_has_deleted_needs_no_copies() {
    let story = |who_deletes: i32| {
        let mut play = three_brokers(-1);
        play.in_sync(&[1, 2]).send(0).fetch(2).commit();
        let (broker, partition, cause) = (who_deletes, orders(), StartCause::DeleteRecords);
        play.see(Observation::LogStartMoved { broker, partition, to: 1, cause }).in_sync(&[1, 2, 3]).ack(0);
        kinds(&play.verdict())
    };
    assert_eq!(story(1), []);
    assert_eq!(story(2), [(BUG, "ack-before-committed", None)]);
}
