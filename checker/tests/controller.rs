//! The controller's decisions: who may be in sync, who may lead, and what became of a loss with KIP-966.

mod play;

use play::{Play, kinds, orders, settings, three_brokers, topic};
use trial_checker::{Barred, Class, Observation, Settings};

const BUG: Class = Class::Bug;
const ALLOWED: Class = Class::Allowed;

fn fenced(broker: i32, fenced: bool) -> Observation {
    Observation::BrokerFenced { broker, fenced }
}

fn eligible(elr: &[i32], last_known_elr: &[i32]) -> Observation {
    let (elr, last_known_elr) = (elr.to_vec(), last_known_elr.to_vec());
    Observation::EligibleLeaders { partition: orders(), replicas: vec![1, 2, 3], elr, last_known_elr }
}

fn with_elr() -> Settings {
    let mut settings = settings(-1);
    topic(&mut settings).eligible_leader_replicas = true;
    settings
}

#[test]
fn a_fenced_broker_does_not_join_the_in_sync_replicas() {
    let mut play = three_brokers(-1);
    play.in_sync(&[1, 2]).see(fenced(3, true)).see(fenced(3, false)).in_sync(&[1, 2, 3]);
    assert_eq!(kinds(&play.verdict()), [], "it was unfenced first");
    let mut play = three_brokers(-1);
    play.in_sync(&[1, 2]).see(fenced(3, true)).in_sync(&[1, 2, 3]);
    assert_eq!(kinds(&play.verdict()), [(BUG, "fenced-in-isr", None)]);
    let mut play = three_brokers(-1);
    play.in_sync(&[1, 2]).see(Observation::BrokerShuttingDown { broker: 3 }).in_sync(&[1, 2, 3]);
    assert_eq!(kinds(&play.verdict()), [(BUG, "fenced-in-isr", None)]);
}

#[test]
fn a_fenced_broker_stays_in_sync_only_as_the_last() {
    let mut play = three_brokers(-1);
    play.in_sync(&[1]).see(fenced(1, true)).elect_only(-1, &[1], true);
    assert_eq!(kinds(&play.verdict()), [], "the last one is never removed, with KIP-966 off");
    let mut play = three_brokers(-1);
    play.see(fenced(3, true)).in_sync(&[1, 3]);
    assert_eq!(kinds(&play.verdict()), [(BUG, "fenced-in-isr", None)]);
}

#[test]
fn a_fenced_broker_is_not_elected() {
    let mut play = three_brokers(-1);
    play.registered(1).registered(2).see(fenced(2, true)).see(fenced(2, false)).elect_only(2, &[2, 3], true);
    assert_eq!(kinds(&play.verdict()), []);
    let mut play = three_brokers(-1);
    play.registered(1).registered(2).see(fenced(2, true)).elect_only(2, &[2], true);
    assert_eq!(kinds(&play.verdict()), [(BUG, "unsafe-election", Some("fenced-leader"))]);
    let mut play = three_brokers(-1);
    play.registered(1).elect_only(2, &[2, 3], true);
    assert_eq!(kinds(&play.verdict()), [(BUG, "unsafe-election", Some("unregistered-leader"))]);
}

#[test]
fn an_eligible_leader_replica_may_lead_and_nobody_else() {
    let mut play = Play::new(with_elr());
    play.in_sync(&[1]).see(eligible(&[2], &[])).elect_only(2, &[2], true).see(eligible(&[1], &[]));
    assert_eq!(kinds(&play.verdict()), []);
    let mut play = Play::new(with_elr());
    play.in_sync(&[1]).see(eligible(&[2], &[])).elect_only(3, &[3], true).see(eligible(&[], &[]));
    assert_eq!(kinds(&play.verdict()), [(BUG, "unsafe-election", Some("not-eligible"))]);
}

/// b1 leads until b3, the last that a reassignment brings, is in sync: b1's own AlterPartition ends its time.
#[test]
fn who_joins_by_its_leaders_word_may_lead_when_that_ends_a_reassignment() {
    let story = |fences: bool, isr: &[i32]| {
        let mut play = three_brokers(-1);
        play.see(eligible(&[], &[])).registered(1).registered(2).registered(3).in_sync(&[1, 2]);
        if fences {
            play.see(fenced(1, true));
        }
        play.elect_only(3, isr, true);
        kinds(&play.verdict())
    };
    let not_eligible = [(BUG, "unsafe-election", Some("not-eligible"))];
    assert_eq!(story(false, &[2, 3]), []);
    assert_eq!(story(false, &[3]), [], "it may be the only one");
    assert_eq!(story(true, &[2, 3]), not_eligible, "who is fenced adds nobody");
    assert_eq!(story(false, &[1, 2, 3]), not_eligible, "b1 is not taken out, and would go on");
}

#[test]
fn the_last_known_leader_may_lead_when_nobody_else_is_left() {
    let exhausted = |last_known: i32, elected: i32| {
        let mut play = Play::new(with_elr());
        play.in_sync(&[]).see(eligible(&[], &[last_known])).elect_only(elected, &[elected], false);
        kinds(&play.verdict())
    };
    assert_eq!(exhausted(1, 1), []);
    // The record that takes the last eligible one out, for it comes back from an unclean stop, elects at once.
    let at_once = |crashed: i32| {
        let mut play = Play::new(with_elr());
        play.in_sync(&[]).see(eligible(&[3], &[1])).crash(crashed).elect_only(1, &[1], false);
        kinds(&play.verdict())
    };
    assert_eq!(at_once(3), []);
    assert_eq!(at_once(2), [(BUG, "unsafe-election", Some("not-eligible"))]);
    assert_eq!(exhausted(1, 2), [(BUG, "unsafe-election", Some("not-eligible"))]);
}

#[test]
fn in_sync_and_eligible_replicas_are_disjoint_and_replicas() {
    let mut play = Play::new(with_elr());
    play.in_sync(&[1]).see(eligible(&[2], &[]));
    assert_eq!(kinds(&play.verdict()), []);
    assert_eq!(kinds(&play.see(eligible(&[1], &[])).verdict()), [(BUG, "replica-sets", None)]);
    let mut play = Play::new(with_elr());
    assert_eq!(kinds(&play.see(eligible(&[7], &[])).verdict()), [(BUG, "replica-sets", None)]);
}

#[test]
fn a_broker_epoch_is_one_incarnations_and_rises() {
    let registered = |broker, broker_epoch, incarnation| Observation::BrokerRegistered {
        broker,
        broker_epoch,
        incarnation,
        fenced: true,
    };
    let mut play = three_brokers(-1);
    play.see(registered(1, 4, 11)).see(registered(1, 4, 11)).see(registered(2, 5, 21)).see(registered(1, 9, 12));
    assert_eq!(kinds(&play.verdict()), []);
    let mut again = three_brokers(-1);
    again.see(registered(1, 4, 11)).see(registered(1, 6, 11));
    assert_eq!(kinds(&again.verdict()), [(BUG, "broker-epoch-changed", None)]);
    for later in [registered(1, 3, 12), registered(2, 4, 21)] {
        let mut play = three_brokers(-1);
        play.see(registered(1, 4, 11)).see(later);
        assert_eq!(kinds(&play.verdict()), [(BUG, "broker-epoch-regression", None)]);
    }
}

/// b1 and b2 hold the record; b3 is out. b1 goes, and then b2 loses it with its power.
fn lost_by_the_last_one(settings: Settings, also_unclean: &[i32], elr: &[i32], last_known: &[i32]) -> Play {
    let mut play = Play::new(settings);
    play.see(eligible(&[], &[])).in_sync(&[1, 2]).write(0).write(1);
    also_unclean.iter().for_each(|broker| {
        play.crash(*broker);
    });
    play.elect_only(2, &[2], true).leads(2).lose_power(2, 1);
    let isr: &[i32] = if elr.is_empty() && last_known.is_empty() { &[2] } else { &[] };
    play.elect_only(-1, isr, true).see(eligible(elr, last_known)).restart(2).elect(2, &[2]);
    play
}

#[test]
fn without_kip_966_the_last_replica_standing_may_lose() {
    let mut play = lost_by_the_last_one(settings(-1), &[], &[], &[]);
    assert!(play.judged().contains(&(ALLOWED, "lost-write", Some("last-replica-standing"))));
}

#[test]
fn with_kip_966_fewer_unclean_shutdowns_than_min_insync_replicas_lose_nothing() {
    let mut play = lost_by_the_last_one(with_elr(), &[], &[], &[2]);
    assert!(play.judged().contains(&(BUG, "lost-write", None)), "b2 alone went down uncleanly");
    let mut play = lost_by_the_last_one(with_elr(), &[1], &[], &[2]);
    assert!(play.judged().contains(&(ALLOWED, "lost-write", Some("last-known-leader"))), "b1 did too");
}

/// All three hold the record, and min.insync.replicas is 3; then only `replicas` are assigned, of whom b1 goes, and b2 loses it.
fn lost_after_a_reassignment(replicas: &[i32]) -> Play {
    let mut settings = with_elr();
    topic(&mut settings).min_insync_replicas = 3;
    let assigned = |last_known: &[i32]| Observation::EligibleLeaders {
        partition: orders(),
        replicas: replicas.to_vec(),
        elr: Vec::new(),
        last_known_elr: last_known.to_vec(),
    };
    let mut play = Play::new(settings);
    play.see(eligible(&[], &[])).write(0).write(1).see(assigned(&[])).in_sync(&[1, 2]).crash(1);
    play.elect_only(2, &[2], true).leads(2).lose_power(2, 1);
    play.elect_only(-1, &[], true).see(assigned(&[2])).restart(2).elect(2, &[2]);
    play
}

#[test]
fn with_kip_966_no_more_is_promised_than_there_are_replicas() {
    assert!(lost_after_a_reassignment(&[1, 2, 3]).judged().contains(&(BUG, "lost-write", None)));
    let fewer = lost_after_a_reassignment(&[1, 2]).judged();
    assert!(fewer.contains(&(ALLOWED, "lost-write", Some("last-known-leader"))), "{fewer:?}");
}

/// b2 stops, and is back before b1, which leads, has heard that it is in sync no more. What b1 commits with it then, b1 loses with
/// its power.
fn committed_with_who_is_out(settings: Settings, stops_uncleanly: bool) -> Play {
    let mut play = Play::new(settings);
    play.see(eligible(&[], &[])).in_sync(&[1, 2]).write(0);
    if stops_uncleanly {
        play.crash(2).restart(2).registered(2);
    }
    play.in_sync(&[1]).send(1).fetch(2).commit().ack_by(1, 5, &[1, 2], 1);
    play.lose_power(1, 1).elect_only(-1, &[], true).see(eligible(&[], &[1])).restart(1);
    play.elect_only(1, &[1], false).leads(1);
    play
}

#[test]
fn with_kip_966_who_was_out_for_its_unclean_stop_counts_as_unclean_though_its_leader_had_not_heard() {
    let lost = |uncleanly: bool| committed_with_who_is_out(with_elr(), uncleanly).judged();
    assert!(lost(true).contains(&(ALLOWED, "lost-write", Some("last-known-leader"))));
    assert!(lost(false).contains(&(BUG, "lost-write", None)), "b2 had not gone down, and was to be elected");
}

#[test]
fn with_kip_966_who_lost_data_is_eligible_no_more() {
    let mut play = Play::new(with_elr());
    play.see(eligible(&[], &[])).in_sync(&[1, 2]).write(0).write(1).crash(1).lose_power(2, 1).restart(2).registered(2);
    play.elect(2, &[2, 1]);
    assert!(play.judged().contains(&(BUG, "lost-write", None)), "both unclean, and yet it was trusted");
}

#[test]
fn a_zoo_switch_leaves_no_excuse_to_the_last_known_leader() {
    let mut settings = with_elr();
    settings.zoo_on = true;
    assert!(lost_by_the_last_one(settings, &[1], &[], &[2]).judged().contains(&(BUG, "lost-write", None)));
}

#[test]
fn what_went_into_a_deleted_topic_is_not_lost() {
    let deleted = || Observation::TopicDeleted { topic: "orders".into() };
    let mut play = three_brokers(-1);
    play.write(0).write(1).read(0, 0);
    // Into the topic that was: by a leader that had not heard of it.
    play.see(deleted()).given(2).see(Observation::AppendedToDeleted { records: vec![2] });
    play.told(2, trial_checker::Belief::Acked { offset: Some(2) }, 1).read(2, 2);
    // Another topic of that name begins at offset 0.
    play.created_again().write(3).read(0, 3);
    assert_eq!(play.judged(), []);
    // One that was sent before, and goes into that one after all, is no hole in what a consumer reads.
    let mut play = three_brokers(-1);
    play.write(0).read(0, 0).given(1).see(deleted()).created_again().write(2);
    play.append(1).fetch(2).fetch(3).commit().ack(1).write(3);
    play.read(0, 2).read(1, 1).read(2, 3);
    assert_eq!(
        play.judged(),
        [(BUG, "nonmonotonic-send", None)],
        "an idempotent producer would not have sent it so late"
    );
    // And what goes into that one counts.
    let mut play = three_brokers(-1);
    play.write(0).see(deleted()).created_again().write(1).write(2).truncate(1, 1).truncate(2, 1).truncate(3, 1);
    assert!(play.judged().contains(&(BUG, "lost-write", None)));
}

fn asks(leader: i32, from: &[i32], isr: &[i32]) -> Observation {
    let (from, isr) = (from.to_vec(), isr.to_vec());
    Observation::IsrChangeAsked { leader, partition: orders(), from, isr, barred: None }
}

/// Broker 1 leads with 2; two records are committed, and 3 is behind.
fn third_is_behind() -> Play {
    let mut play = three_brokers(-1);
    play.elect(1, &[1, 2]).in_sync(&[1, 2]).write(1).write(2);
    play
}

#[test]
fn a_leader_asks_for_those_who_have_what_is_committed() {
    let wrong = [(BUG, "wrong-isr-asked", Some("joiner-is-behind"))];
    let mut play = third_is_behind();
    play.fetch(3).see(asks(1, &[1, 2], &[1, 2, 3]));
    assert_eq!(kinds(&play.verdict()), []);
    let mut play = third_is_behind();
    play.see(asks(1, &[1, 2], &[1, 2, 3]));
    assert_eq!(kinds(&play.verdict()), wrong, "it has never fetched");
    let mut play = third_is_behind();
    play.knows(1, 3).see(asks(1, &[1, 2], &[1, 2, 3]));
    assert_eq!(kinds(&play.verdict()), wrong, "it has fetched from 0");
}

/// What a predecessor may have committed, though this leader does not know it, lies below the start of its reign.
#[test]
fn a_leader_asks_for_those_who_have_what_its_reign_began_with() {
    let mut play = three_brokers(-1);
    play.send(1).send(2).fetch(2).elect(2, &[2]);
    play.knows(2, 3).see(asks(2, &[2], &[2, 3]));
    assert_eq!(kinds(&play.verdict()), [(BUG, "wrong-isr-asked", Some("joiner-is-behind"))]);
}

#[test]
fn a_leader_asks_for_nobody_who_may_not_join() {
    for barred in [Barred::Fenced, Barred::Unregistered, Barred::Stopping] {
        let mut play = third_is_behind();
        let (from, isr) = (vec![1, 2], vec![1, 2, 3]);
        let barred = Some((3, barred));
        play.fetch(3).see(Observation::IsrChangeAsked { leader: 1, partition: orders(), from, isr, barred });
        assert_eq!(kinds(&play.verdict()), [(BUG, "wrong-isr-asked", Some("joiner-is-barred"))]);
    }
}

#[test]
fn a_leader_lets_go_whom_it_misses_and_not_itself() {
    let mut play = third_is_behind();
    play.send(3).see(asks(1, &[1, 2], &[1]));
    assert_eq!(kinds(&play.verdict()), [], "2 does not have the third record");
    let mut play = third_is_behind();
    play.see(asks(1, &[1, 2], &[1]));
    assert_eq!(kinds(&play.verdict()), [(BUG, "wrong-isr-asked", Some("leaver-is-caught-up"))]);
    let mut play = third_is_behind();
    play.see(asks(1, &[1, 2], &[2]));
    assert_eq!(kinds(&play.verdict()), [(BUG, "wrong-isr-asked", Some("leader-leaves"))]);
}
