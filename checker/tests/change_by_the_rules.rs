//! The controller's word on a partition follows from the word before, by Kafka's rules: each rule kept, and broken.
//!
//! `orders-0` has replicas 1, 2 and 3, all of them in sync; b1 leads, and `min.insync.replicas` is 2.

mod play;

use play::{Play, kinds, orders, settings, three_brokers, told, topic};
use trial_checker::{Class, Going, Observation, PartitionChange, PartitionState, Settings, TopicSettings};

/// With eligible leader replicas (KIP-966).
const ELR: TopicSettings = TopicSettings {
    replication_factor: 3,
    min_insync_replicas: 2,
    unclean_leader_election_enable: false,
    eligible_leader_replicas: true,
};
const NO_ELR: TopicSettings = TopicSettings { eligible_leader_replicas: false, ..ELR };

/// A partition whose leader and in-sync replicas are these.
fn stands(leader: i32, isr: &[i32], elr: &[i32]) -> PartitionState {
    let (replicas, isr, elr) = (vec![1, 2, 3], isr.to_vec(), elr.to_vec());
    PartitionState { replicas, isr, elr, leader, leader_epoch: 5, partition_epoch: 10, ..PartitionState::default() }
}

/// What became of it: the epochs rise as they must.
fn becomes(before: &PartitionState, leader: i32, isr: &[i32], elr: &[i32]) -> PartitionState {
    let mut after = before.clone();
    (after.leader, after.isr, after.elr) = (leader, isr.to_vec(), elr.to_vec());
    after.partition_epoch += 1;
    after.leader_epoch += i32::from(leader != before.leader);
    after
}

fn changed(before: PartitionState, after: PartitionState, promised: TopicSettings) -> PartitionChange {
    PartitionChange { partition: orders(), before, after, promised, going: None, preferred: Some(false) }
}

/// The same because a broker goes.
fn gone(broker: i32, uncleanly: bool, change: PartitionChange) -> PartitionChange {
    PartitionChange { going: Some(Going { broker, uncleanly: Some(uncleanly) }), ..change }
}

/// The rule that it broke. All brokers are alive but these.
fn broken_without(dead: &[i32], change: PartitionChange) -> Option<&'static str> {
    let mut play = three_brokers(-1);
    play.registered(1).registered(2).registered(3);
    for broker in dead {
        play.see(Observation::BrokerFenced { broker: *broker, fenced: true });
    }
    let found = kinds(&play.see(Observation::PartitionChanged(Box::new(change))).verdict());
    assert!(
        found.iter().all(|(class, code, _)| (*class, *code) == (Class::Bug, "wrong-partition-change")),
        "{found:?}"
    );
    found.first().map(|(.., rule)| rule.expect("it has a rule"))
}

fn broken(change: PartitionChange) -> Option<&'static str> {
    broken_without(&[], change)
}

#[test]
fn epochs_rise_when_they_must_and_only_then() {
    let before = stands(1, &[1, 2, 3], &[]);
    let shrinks = becomes(&before, 1, &[1, 2], &[]);
    assert_eq!(broken(changed(before.clone(), shrinks.clone(), ELR)), None);
    let bumped = PartitionState { leader_epoch: 6, ..shrinks.clone() };
    assert_eq!(broken(changed(before.clone(), bumped.clone(), ELR)), Some("epochs"), "the leader is the same");
    let stays = PartitionState { partition_epoch: 10, ..shrinks };
    assert_eq!(broken(changed(before.clone(), stays, ELR)), Some("epochs"));
    let elected = becomes(&before, 2, &[2, 3], &[]);
    let elected = gone(1, false, changed(before.clone(), elected, ELR));
    assert_eq!(broken(elected.clone()), None);
    let after = PartitionState { leader_epoch: 5, ..elected.after.clone() };
    assert_eq!(broken(PartitionChange { after, ..elected }), Some("epochs"), "the leader is another");
    // Before metadata version 3.6 it rose with every shrink.
    let mut play = Play::new(Settings { leader_epoch_rises_on_shrink: true, ..settings(-1) });
    play.registered(1).registered(2).see(Observation::PartitionChanged(Box::new(changed(before, bumped, ELR))));
    assert_eq!(kinds(&play.verdict()), []);
}

#[test]
fn a_leader_that_may_lead_stays_unless_a_preferred_election_was_asked_for() {
    let before = stands(2, &[1, 2, 3], &[]);
    let moved = changed(before.clone(), becomes(&before, 1, &[1, 2, 3], &[]), ELR);
    assert_eq!(broken(moved.clone()), Some("leader"));
    assert_eq!(broken(PartitionChange { preferred: Some(true), ..moved.clone() }), None);
    assert_eq!(broken(PartitionChange { preferred: None, ..moved.clone() }), None, "nobody knows what was asked for");
    let to_another = PartitionChange { after: becomes(&before, 3, &[1, 2, 3], &[]), preferred: None, ..moved };
    assert_eq!(broken(to_another), Some("leader"));
}

#[test]
fn the_first_in_the_order_of_assignment_wins_among_those_that_may() {
    let before = stands(1, &[3, 2, 1], &[]);
    let goes = |leader, isr: &[i32]| gone(1, false, changed(before.clone(), becomes(&before, leader, isr, &[]), ELR));
    assert_eq!(broken(goes(2, &[3, 2])), None);
    assert_eq!(broken(goes(3, &[3, 2])), Some("leader"), "b2 comes first");
    assert_eq!(broken_without(&[2], goes(3, &[3, 2])), None, "b2 is fenced");
    assert_eq!(broken(goes(-1, &[3, 2])), Some("leader"), "b2 may");
    let stays = becomes(&before, 1, &[3, 2], &[]);
    assert_eq!(broken(gone(1, false, changed(before.clone(), stays, ELR))), Some("leader"), "it is going");
}

#[test]
fn an_eligible_winner_is_alone_in_sync() {
    let before = PartitionState { last_known_elr: vec![1], ..stands(-1, &[], &[2, 3]) };
    let wins = |isr: &[i32], elr: &[i32]| {
        let after = PartitionState { last_known_elr: vec![], ..becomes(&before, 2, isr, elr) };
        broken(changed(before.clone(), after, ELR))
    };
    assert_eq!(wins(&[2], &[3]), None);
    assert_eq!(wins(&[2], &[2, 3]), Some("eligible"), "it leaves the eligible");
    assert_eq!(wins(&[2], &[]), Some("eligible"), "b3 is as good as before");
    assert_eq!(wins(&[], &[2, 3]), Some("in-sync"));
}

#[test]
fn the_last_in_sync_replica_may_stop_and_leave_an_eligible_one_to_lead() {
    let before = stands(2, &[2], &[1]);
    let moves = changed(before.clone(), becomes(&before, 1, &[1], &[2]), ELR);
    let stopping = |change| {
        let mut play = three_brokers(-1);
        play.registered(1).registered(2).registered(3).see(Observation::BrokerShuttingDown { broker: 2 });
        kinds(&play.see(Observation::PartitionChanged(Box::new(change))).verdict())
    };
    assert_eq!(stopping(moves.clone()), [], "it has been told to stop before");
    assert_eq!(stopping(gone(2, false, moves.clone())), [], "or is told in the same batch");
    assert_eq!(broken(moves), Some("leader"), "it was to stay");
}

#[test]
fn the_last_known_leader_leads_when_nobody_is_left_and_has_to_recover() {
    let before = PartitionState { last_known_elr: vec![3], ..stands(-1, &[], &[]) };
    let wins = |leader, recovering, last_known_elr| {
        let after = PartitionState { recovering, last_known_elr, ..becomes(&before, leader, &[leader], &[]) };
        changed(before.clone(), after, ELR)
    };
    assert_eq!(broken(wins(3, true, vec![])), None);
    assert_eq!(broken(wins(3, false, vec![])), Some("recovery"));
    assert_eq!(broken(wins(3, true, vec![3])), Some("last-known-leader"), "it is forgotten");
    assert_eq!(broken(wins(1, true, vec![])), Some("leader"));
    assert_eq!(broken_without(&[3], wins(3, true, vec![])), Some("leader"), "it is fenced");
}

#[test]
fn an_unclean_winner_is_the_first_alive_and_nobody_is_eligible_any_more() {
    let unclean = TopicSettings { unclean_leader_election_enable: true, ..ELR };
    let before = stands(1, &[1], &[2]);
    let wins = |leader, isr: &[i32], elr: &[i32]| {
        let after = PartitionState { recovering: true, ..becomes(&before, leader, isr, elr) };
        gone(1, false, changed(before.clone(), after, unclean))
    };
    assert_eq!(broken_without(&[2], wins(3, &[3], &[])), None);
    assert_eq!(broken_without(&[2], wins(3, &[3], &[1, 2])), Some("eligible"), "they may have more than b3");
    assert_eq!(broken_without(&[2], wins(3, &[], &[])), Some("in-sync"));
    assert_eq!(broken(wins(3, &[3], &[])), Some("leader"), "b2 is eligible and alive");
    let forbidden = PartitionChange { promised: ELR, ..wins(3, &[3], &[]) };
    assert_eq!(broken_without(&[2], forbidden), Some("leader"));
    let nobody = PartitionState { recovering: false, last_known_elr: vec![1], ..becomes(&before, -1, &[], &[1, 2]) };
    let nobody = gone(1, false, changed(before.clone(), nobody, unclean));
    assert_eq!(broken_without(&[2], nobody.clone()), Some("leader"), "b3 is alive");
    assert_eq!(broken_without(&[2, 3], nobody), None);
}

#[test]
fn who_leaves_too_small_an_isr_stays_eligible_unless_it_stopped_uncleanly() {
    let before = stands(1, &[1, 2], &[]);
    let leaves = |elr: &[i32]| gone(2, false, changed(before.clone(), becomes(&before, 1, &[1], elr), ELR));
    assert_eq!(broken(leaves(&[2])), None);
    assert_eq!(broken(leaves(&[])), Some("eligible"));
    assert_eq!(broken(gone(2, true, leaves(&[]))), None);
    assert_eq!(broken(gone(2, true, leaves(&[2]))), Some("eligible"), "its disk may have lost something");
    let unknown = PartitionChange { going: Some(Going { broker: 2, uncleanly: None }), ..leaves(&[2]) };
    assert_eq!(broken(unknown), None, "nobody knows how it stopped");
    // Of a large one nobody does, and those that were are so no more.
    let before = stands(1, &[1, 2, 3], &[]);
    let large = |elr: &[i32]| changed(before.clone(), becomes(&before, 1, &[1, 2], elr), ELR);
    assert_eq!((broken(large(&[])), broken(large(&[3]))), (None, Some("eligible")));
    let before = stands(1, &[1], &[2, 3]);
    let grows = |elr: &[i32]| changed(before.clone(), becomes(&before, 1, &[1, 2], elr), ELR);
    assert_eq!((broken(grows(&[])), broken(grows(&[3]))), (None, Some("eligible")));
}

#[test]
fn the_last_in_sync_replica_goes_with_kip_966_and_stays_without() {
    let before = stands(1, &[1], &[]);
    let goes = |isr: &[i32], elr: &[i32], last_known: &[i32], promised| {
        let after = PartitionState { last_known_elr: last_known.to_vec(), ..becomes(&before, -1, isr, elr) };
        broken(gone(1, false, changed(before.clone(), after, promised)))
    };
    assert_eq!(goes(&[], &[1], &[1], ELR), None);
    assert_eq!(goes(&[], &[1], &[], ELR), Some("last-known-leader"), "it led last");
    assert_eq!(goes(&[1], &[], &[], ELR), Some("in-sync"));
    assert_eq!(goes(&[1], &[], &[], NO_ELR), None);
    assert_eq!(goes(&[], &[], &[], NO_ELR), Some("in-sync"), "it alone is known to have everything");
    assert_eq!(goes(&[1], &[1], &[], NO_ELR), Some("eligible"), "without the feature there are none");
}

#[test]
fn a_reassignment_ends_when_all_that_stay_are_in_sync_and_begins_a_leader_epoch() {
    let before =
        PartitionState { replicas: vec![2, 3, 1], adding: vec![3], removing: vec![1], ..stands(2, &[1, 2], &[]) };
    let ends = |isr: &[i32], leader_epoch| {
        let after = PartitionState { leader_epoch, ..becomes(&before, 2, isr, &[]) };
        let after = PartitionState { replicas: vec![2, 3], adding: vec![], removing: vec![], ..after };
        broken(changed(before.clone(), after, ELR))
    };
    assert_eq!(ends(&[2, 3], 6), None);
    assert_eq!(ends(&[2, 3], 5), Some("epochs"), "b1 must learn that it is none any more");
    assert_eq!(ends(&[2], 6), Some("reassignment"));
    // Another order of the same replicas is no reassignment.
    let before = stands(1, &[1, 2], &[]);
    let after = PartitionState { replicas: vec![2, 1, 3], ..becomes(&before, 1, &[1, 2], &[]) };
    assert_eq!(broken(changed(before, after, ELR)), None);
}

#[test]
fn what_is_wrong_is_told_with_what_was_before() {
    let before = stands(1, &[1, 2], &[3]);
    let wrong = gone(2, false, changed(before.clone(), becomes(&before, 1, &[1], &[]), ELR));
    let mut play = three_brokers(-1);
    play.registered(1).registered(2).see(Observation::PartitionChanged(Box::new(wrong)));
    insta::assert_snapshot!(told(&play.verdict()));
}

/// A broker's fate was decided, of a partition that stands so.
fn settled(elr: bool, leader: i32, isr: &[i32], eligible: &[i32], fenced: i32, unfenced: bool) -> Option<&'static str> {
    let mut settings = settings(-1);
    topic(&mut settings).eligible_leader_replicas = elr;
    let mut play = Play::new(settings);
    let (replicas, elr, last_known_elr) = (vec![1, 2, 3], eligible.to_vec(), vec![]);
    play.registered(1).registered(2).registered(3).elect_only(leader, isr, true);
    play.see(Observation::EligibleLeaders { partition: orders(), replicas, elr, last_known_elr });
    play.see(Observation::BrokerFenced { broker: fenced, fenced: true }).see(Observation::BrokersSettled { unfenced });
    kinds(&play.verdict()).first().and_then(|(.., rule)| *rule)
}

#[test]
fn partitions_follow_when_the_fate_of_a_broker_is_decided() {
    assert_eq!(settled(true, 1, &[1, 2], &[], 3, false), None);
    assert_eq!(settled(true, 1, &[1, 2], &[], 2, false), Some("left-behind"), "it is still in sync");
    assert_eq!(settled(false, -1, &[3], &[], 3, false), None, "the last one stays, without KIP-966");
    assert_eq!(settled(false, 3, &[3], &[], 3, false), Some("left-behind"), "and does not lead");
    assert_eq!(settled(true, -1, &[], &[1], 2, true), Some("leaderless"));
    assert_eq!(settled(true, -1, &[], &[1], 1, true), None, "it is fenced");
    assert_eq!(settled(true, -1, &[], &[1], 2, false), None, "nobody came back: nobody looks");
}

/// b2 is granted its stop, and a heartbeat from before unfences it; it is elected where nobody led, or was not taken out at all.
#[test]
fn who_is_unfenced_while_it_stops_leads_as_kafka_lets_it() {
    let story = |fenced: bool, zoo_on: bool| {
        let mut settings = settings(-1);
        (topic(&mut settings).eligible_leader_replicas, settings.zoo_on) = (true, zoo_on);
        let mut play = Play::new(settings);
        play.registered(1).registered(2).registered(3);
        let of = |elr: &[i32]| Observation::EligibleLeaders {
            partition: orders(),
            replicas: vec![1, 2, 3],
            elr: elr.to_vec(),
            last_known_elr: vec![],
        };
        play.see(Observation::BrokerShuttingDown { broker: 2 });
        if fenced {
            play.elect_only(-1, &[], true).see(of(&[2]));
            play.see(Observation::BrokerFenced { broker: 2, fenced: true });
            play.see(Observation::BrokerFenced { broker: 2, fenced: false });
        }
        play.elect_only(2, &[2], true).see(of(&[])).see(Observation::BrokersSettled { unfenced: fenced });
        let found = kinds(&play.verdict());
        found.into_iter().filter(|(_, code, _)| *code == "wrong-partition-change").collect::<Vec<_>>()
    };
    let code = "wrong-partition-change";
    assert_eq!(story(true, false), [(Class::Allowed, code, Some("unfenced-while-it-stops"))]);
    assert_eq!(story(false, false), [(Class::Bug, code, Some("left-behind"))], "it was never fenced");
    assert!(story(true, true).iter().all(|(class, ..)| *class == Class::Bug), "no rule excuses a zoo switch");
}
