//! Lost records: each rule that allows a loss, and beside it the story that differs by the one thing that matters.

mod play;

use play::{Play, kinds, orders, producer, settings, three_brokers, told, topic};
use trial_checker::{Belief, Class, Observation, Outcome, StartCause};

const ALLOWED: Class = Class::Allowed;
const BUG: Class = Class::Bug;

#[test]
fn nothing_lost_nothing_found() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).crash(1).elect(2, &[2, 3]).write(2).read(0, 0).final_read();
    let verdict = play.verdict();
    assert_eq!(kinds(&verdict), []);
    assert_eq!(verdict.outcome, Outcome::Pass);
    assert_eq!((verdict.belief_truth.ok.once, verdict.belief_truth.ok.absent), (3, 0));
}

/// The teaching story: acks=1, the leader crashes before the others have the record.
fn leader_lost_before_replication(acks: i16) -> Play {
    let mut play = three_brokers(acks);
    play.at(5_000).write(0).write(1);
    play.at(5_178).send(2).ack(2);
    play.at(5_200).crash(1);
    play.at(5_300).elect(2, &[2, 3]);
    play.at(5_400).send(3).fetch(3).commit().ack(3);
    play.at(6_200).restart(1).follows(1).truncate(1, 2).fetch(1).high_watermark(1, 3).in_sync(&[2, 3, 1]);
    play.at(20_000).final_read();
    play
}

#[test]
fn acks_1_and_a_leader_crash_is_allowed() {
    let verdict = leader_lost_before_replication(1).verdict();
    assert_eq!(kinds(&verdict), [(ALLOWED, "lost-write", Some("acks-1"))]);
    assert_eq!(verdict.outcome, Outcome::Pass);
    assert_eq!(verdict.belief_truth.ok.absent, 1);
    insta::assert_snapshot!(told(&verdict));
    insta::assert_snapshot!("belief_truth", verdict.belief_truth.to_string());
}

#[test]
fn acks_all_and_the_same_crash_is_a_bug() {
    let verdict = leader_lost_before_replication(-1).verdict();
    assert_eq!(kinds(&verdict), [(BUG, "ack-before-committed", None), (BUG, "lost-write", None)]);
    assert_eq!(verdict.outcome, Outcome::Fail);
    insta::assert_snapshot!(told(&verdict));
}

/// r1 is committed at offset 1. b3, deposed, has not heard of that: it writes r1 to the same offset of its own log, and cuts it.
#[test]
fn of_copies_at_one_offset_the_committed_one_was_promised() {
    let story = |who_deletes: i32| {
        let mut play = three_brokers(-1);
        play.write(0).in_sync(&[1, 2]).given(1).append(1).fetch(2).commit();
        play.append_at(3, 4, 1).truncate(3, 1).told(1, Belief::Acked { offset: Some(1) }, 3);
        let cause = StartCause::Retention;
        play.see(Observation::LogStartMoved { broker: who_deletes, partition: orders(), to: 2, cause });
        play.see(Observation::FinalReadEnd { partition: orders(), log_start: 2, log_end: 2, complete: true });
        kinds(&play.verdict())
    };
    assert_eq!(story(1), [(ALLOWED, "lost-write", Some("retention"))]);
    assert!(story(3).contains(&(BUG, "lost-write", None)), "b3 deleted what it had not");
}

/// b1 has 0 to 3 of epoch 5, of which 0 is committed, and goes away. b2 leads in epoch 6 and writes other records to 1 and 2, which
/// are committed, read, and deleted. b1 comes back and cuts its log to 3, where that of b2 begins by then; it leads before it
/// has heard of that, and what it has at 1 and 2 is read.
fn kept_below_the_start(
    deletes: bool,
    cuts: bool,
    hears: bool,
    zoo_on: bool,
) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut play = Play::new(trial_checker::Settings { zoo_on, ..settings(-1) });
    play.write(0).send(1).send(2).send(3).crash(1).elect(2, &[2, 3]).write(11).write(12).read(1, 11).read(2, 12);
    let begins = |broker, cause| Observation::LogStartMoved { broker, partition: orders(), to: 3, cause };
    if deletes {
        play.see(begins(2, StartCause::DeleteRecords));
    }
    play.restart(1).follows(1);
    if cuts {
        play.truncate(1, 3);
    }
    if hears {
        play.see(begins(1, StartCause::Leader));
    }
    play.in_sync(&[2, 3, 1]).elect(1, &[1, 2, 3]).commit();
    let record = Some(1);
    play.see(Observation::Read { consumer: 2, partition: orders(), offset: 1, leader_epoch: 5, record });
    play.see(Observation::FinalReadEnd { partition: orders(), log_start: 3, log_end: 3, complete: true });
    kinds(&play.verdict()).into_iter().filter(|(_, code, _)| *code != "lost-write").collect()
}

#[test]
fn what_a_follower_kept_below_its_leaders_start_may_come_up_again() {
    let rule = Some("history-below-the-leaders-start");
    let allowed = [(ALLOWED, "inconsistent-offsets", rule), (ALLOWED, "unsafe-election", rule)];
    assert_eq!(kept_below_the_start(true, true, false, false), allowed);
    let is_bug = |kinds: &[(Class, &'static str, Option<&'static str>)]| {
        kinds.iter().any(|(class, code, _)| (*class, *code) == (BUG, "inconsistent-offsets"))
    };
    assert!(is_bug(&kept_below_the_start(false, true, false, false)), "nothing was deleted");
    assert!(is_bug(&kept_below_the_start(true, false, false, false)), "it was in sync with what it had to cut");
    assert!(is_bug(&kept_below_the_start(true, true, true, false)), "it knew that its log begins at 3");
    assert!(is_bug(&kept_below_the_start(true, true, false, true)), "no rule excuses a zoo switch");
}

/// As before, but b1 has 0 to 2 and ends where b2's log begins, so that there is nothing to cut; or it has 3 too, and must.
fn ended_where_its_leader_began(
    who_deletes: Option<i32>,
    has_more: bool,
    zoo_on: bool,
) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut play = Play::new(trial_checker::Settings { zoo_on, ..settings(-1) });
    play.write(0).send(1).send(2);
    if has_more {
        play.send(3);
    }
    play.crash(1).elect(2, &[2, 3]).write(11).write(12);
    if let Some(broker) = who_deletes {
        let cause = StartCause::DeleteRecords;
        play.see(Observation::LogStartMoved { broker, partition: orders(), to: 3, cause });
    }
    play.restart(1).follows(1).in_sync(&[2, 3, 1]).elect(1, &[1, 2, 3]).commit();
    kinds(&play.verdict()).into_iter().filter(|(_, code, _)| *code == "unsafe-election").collect()
}

#[test]
fn what_ends_where_its_leader_begins_has_nothing_to_cut() {
    let allowed = (ALLOWED, "unsafe-election", Some("history-below-the-leaders-start"));
    let bug = (BUG, "unsafe-election", None);
    assert_eq!(ended_where_its_leader_began(Some(2), false, false), [allowed]);
    assert_eq!(ended_where_its_leader_began(None, false, false), [bug], "nothing was deleted");
    assert_eq!(ended_where_its_leader_began(Some(3), false, false), [bug], "its leader had it all");
    assert_eq!(ended_where_its_leader_began(Some(2), true, false), [bug], "it had one more, which it had to cut");
    assert_eq!(ended_where_its_leader_began(Some(2), false, true), [bug], "no rule excuses a zoo switch");
}

/// b1 leads alone and deletes up to 5, where b2's log begins then. b3, elected uncleanly, has nothing but record 0 and writes
/// 11 and 12, alone too. b2 follows it, drops what lies above its end and is in sync; then it leads.
fn begins_at_its_leaders_end(begins_above: bool, unclean: bool) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut settings = settings(-1);
    topic(&mut settings).min_insync_replicas = 1;
    topic(&mut settings).unclean_leader_election_enable = unclean;
    let mut play = Play::new(settings);
    play.write(0).in_sync(&[1]).write(1).write(2).write(3).write(4);
    let cuts = |to, why: &str| {
        let (partition, why) = (orders(), format!("because the leader's log {why}"));
        Observation::LogTruncated { broker: 2, partition, to, why }
    };
    let cause = StartCause::DeleteRecords;
    play.see(Observation::LogStartMoved { broker: 1, partition: orders(), to: 5, cause }).follows(2);
    if begins_above {
        play.see(cuts(5, "starts later"));
    }
    play.crash(1).elect_uncleanly(3).follows(2).write(11).write(12);
    if begins_above {
        play.see(cuts(3, "ends there"));
    }
    play.in_sync(&[3, 2]).crash(3).elect(2, &[2]);
    play.see(Observation::FinalReadEnd { partition: orders(), log_start: 3, log_end: 3, complete: true });
    let verdict = play.verdict();
    let of_b3 = |record: Option<u64>| record.is_some_and(|record| record > 10);
    let lost = verdict.findings.iter().filter(|f| f.code == "lost-write" && of_b3(f.record));
    lost.map(|finding| (finding.class, finding.code, finding.rule)).collect()
}

#[test]
fn who_begins_at_its_leaders_end_lacks_what_that_has_below() {
    let allowed = (ALLOWED, "lost-write", Some("began-at-its-leaders-end"));
    assert_eq!(begins_at_its_leaders_end(true, true), [allowed, allowed]);
    let bug = (BUG, "lost-write", None);
    assert_eq!(begins_at_its_leaders_end(false, true), [bug, bug], "it was in sync without it for no reason");
    assert_eq!(begins_at_its_leaders_end(true, false), [bug, bug], "its leader should not have led");
}

/// As before; b3 has written up to where b2 begins before b2 asks, which has nothing to compare and goes on from there.
fn begins_above_its_leaders_end(is_empty: bool, unclean: bool) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut settings = settings(-1);
    topic(&mut settings).min_insync_replicas = 1;
    topic(&mut settings).unclean_leader_election_enable = unclean;
    let mut play = Play::new(settings);
    play.write(0).in_sync(&[1]).write(1).write(2).write(3).write(4);
    let (partition, cause) = (orders(), StartCause::DeleteRecords);
    play.see(Observation::LogStartMoved { broker: 1, partition, to: 5, cause }).follows(2);
    if is_empty {
        let why = "because the leader's log starts later".to_owned();
        play.see(Observation::LogTruncated { broker: 2, partition: orders(), to: 5, why });
    }
    play.crash(1).elect_uncleanly(3);
    for record in 11..15 {
        play.write(record);
    }
    play.in_sync(&[3, 2]).crash(3).elect(2, &[2]);
    play.see(Observation::FinalReadEnd { partition: orders(), log_start: 5, log_end: 5, complete: true });
    let verdict = play.verdict();
    let of_b3 = |record: Option<u64>| record.is_some_and(|record| record > 10);
    let lost = verdict.findings.iter().filter(|f| f.code == "lost-write" && of_b3(f.record));
    lost.map(|finding| (finding.class, finding.code, finding.rule)).collect()
}

#[test]
fn who_begins_above_its_leaders_end_goes_on_from_there() {
    let allowed = (ALLOWED, "lost-write", Some("began-above-its-leaders-end"));
    let found = begins_above_its_leaders_end(true, true);
    assert!(!found.is_empty() && found.iter().all(|finding| *finding == allowed), "{found:?}");
    let bugs = |found: Vec<(Class, &'static str, Option<&'static str>)>| found.iter().any(|f| f.0 == BUG);
    assert!(bugs(begins_above_its_leaders_end(false, true)), "it was in sync without it for no reason");
    assert!(bugs(begins_above_its_leaders_end(true, false)), "its leader should not have led");
}

/// r5 is committed at offset 2 and read. b3, elected uncleanly, has it not and writes it to offset 1, or nobody is elected and it is
/// written again behind. Then retention takes all of it.
#[test]
fn what_was_lost_and_written_again_stands_nowhere_twice() {
    let story = |unclean_leader_election_enable: bool, elects: bool| {
        let mut settings = settings(-1);
        topic(&mut settings).unclean_leader_election_enable = unclean_leader_election_enable;
        let mut play = Play::new(settings);
        play.write(0).in_sync(&[1, 2]).write(1).given(5).append(5).fetch(2).commit().read(2, 5);
        if elects {
            play.crash(1).crash(2).elect_uncleanly(3);
        }
        play.append(5).commit();
        let (offset, to) = if elects { (1, 3) } else { (3, 4) };
        let (partition, record) = (orders(), Some(5));
        play.see(Observation::Read { consumer: 2, partition, offset, leader_epoch: 5, record });
        play.told(5, Belief::Acked { offset: Some(offset) }, 2);
        let (broker, partition, cause) = (play.leader, orders(), StartCause::Retention);
        play.see(Observation::LogStartMoved { broker, partition, to, cause });
        play.see(Observation::FinalReadEnd { partition: orders(), log_start: to, log_end: to, complete: true });
        let mut duplicates = kinds(&play.verdict());
        duplicates.retain(|(_, code, _)| *code == "duplicate");
        duplicates
    };
    assert_eq!(story(true, true), [(ALLOWED, "duplicate", Some("unclean-election"))]);
    let bug = [(BUG, "duplicate", None)];
    assert_eq!(story(false, true), bug, "it should not have been lost");
    assert_eq!(story(true, false), bug, "one log has it twice");
}

/// Offset 1 is written by b1, by b2 that is elected uncleanly without it, and is b1's again after another such election. Then all of it
/// is deleted, and b3, whose log begins behind, leads.
#[test]
fn two_records_at_an_offset_of_which_none_is_left_are_judged_by_what_was_lost() {
    let story = |unclean_leader_election_enable: bool| {
        let mut settings = settings(-1);
        topic(&mut settings).unclean_leader_election_enable = unclean_leader_election_enable;
        topic(&mut settings).min_insync_replicas = 1;
        let mut play = Play::new(settings);
        play.write(0).in_sync(&[1]).write(1).read(1, 1).crash(1).elect_uncleanly(2).write(2);
        let (partition, record) = (orders(), Some(2));
        play.see(Observation::Read { consumer: 2, partition, offset: 1, leader_epoch: 6, record });
        play.crash(2).restart(1).elect_uncleanly(1);
        let (partition, cause) = (orders(), StartCause::DeleteRecords);
        play.see(Observation::LogStartMoved { broker: 1, partition, to: 2, cause }).follows(3);
        let why = "because the leader's log starts later".to_owned();
        play.see(Observation::LogTruncated { broker: 3, partition: orders(), to: 2, why });
        play.in_sync(&[1, 3]).elect(3, &[1, 3]);
        play.see(Observation::FinalReadEnd { partition: orders(), log_start: 2, log_end: 2, complete: true });
        let mut found = kinds(&play.verdict());
        found.retain(|(_, code, _)| *code == "inconsistent-offsets");
        found
    };
    assert_eq!(story(true), [(ALLOWED, "inconsistent-offsets", Some("unclean-election"))]);
    assert_eq!(story(false), [(BUG, "inconsistent-offsets", None)]);
}

/// r1 was read at two offsets: a producer without idempotence wrote it twice, or one with it did so after a split. Then b1
/// deletes all that, and b2, which lagged behind, begins where b1's log begins and leads: it never had either copy.
#[test]
fn what_a_leader_that_began_anew_never_had_is_not_lost() {
    let story = |idempotent: bool, attempts: u32, is_split: bool| {
        let mut settings = settings(-1);
        producer(&mut settings).idempotent = idempotent;
        let mut play = Play::new(settings);
        play.write(0).in_sync(&[1, 3]).given(1).given(2);
        let end = match is_split {
            true => play.append_batch_of(&[1, 2], 0, 0).append_batch_of(&[1], 1, 0).append_batch_of(&[2], 1, 1),
            false => play.append(1).append(1),
        };
        let copy = if is_split { 3 } else { 2 };
        end.high_watermark(1, copy + 1);
        for offset in [1, copy] {
            let (partition, record) = (orders(), Some(1));
            play.see(Observation::Read { consumer: 2, partition, offset, leader_epoch: 5, record });
        }
        play.told(1, Belief::Acked { offset: Some(copy) }, attempts);
        let (partition, to, cause) = (orders(), copy + 1, StartCause::Retention);
        play.see(Observation::LogStartMoved { broker: 1, partition, to, cause });
        let why = "because the leader's log starts later".to_owned();
        play.see(Observation::LogTruncated { broker: 2, partition: orders(), to, why });
        play.in_sync(&[1, 3, 2]).elect_only(2, &[1, 3, 2], true);
        let (partition, leader_epoch) = (orders(), play.epoch);
        play.see(Observation::BecameLeader { broker: 2, partition, leader_epoch, log_end: to });
        play.see(Observation::FinalReadEnd { partition: orders(), log_start: to, log_end: to, complete: true });
        let mut duplicates = kinds(&play.verdict());
        duplicates.retain(|(_, code, _)| *code == "duplicate");
        duplicates
    };
    assert_eq!(story(false, 2, false), [(ALLOWED, "duplicate", Some("retry-without-idempotence"))]);
    assert_eq!(story(true, 2, true), [(ALLOWED, "duplicate", Some("split-after-it-was-written"))]);
    let bug = [(BUG, "duplicate", None)];
    assert_eq!(story(true, 2, false), bug, "one log had it twice");
    assert_eq!(story(false, 1, false), bug, "it was sent once");
}

/// b1 leads alone, writes r1 and r2, which are read, and deletes them, or something else of the kind happens. b2 begins where b1's log
/// begins, leads, and goes on there. Then b3, which has nothing but r0, is elected uncleanly and writes its own at offset 1.
#[test]
fn what_was_deleted_is_lost_to_whoever_goes_on_below_it() {
    let story = |deletes: bool, unclean: bool| {
        let mut settings = settings(-1);
        topic(&mut settings).min_insync_replicas = 1;
        topic(&mut settings).unclean_leader_election_enable = unclean;
        let mut play = Play::new(settings);
        play.write(0).in_sync(&[1]).write(1).write(2).read(1, 1);
        if deletes {
            let (partition, cause) = (orders(), StartCause::Retention);
            play.see(Observation::LogStartMoved { broker: 1, partition, to: 3, cause });
        }
        play.follows(2).begins_anew(2, 3).in_sync(&[1, 2]).crash(1).elect(2, &[2]).write(3).crash(2);
        play.elect_uncleanly(3).write(11);
        let (partition, record) = (orders(), Some(11));
        play.see(Observation::Read { consumer: 2, partition, offset: 1, leader_epoch: 7, record });
        let mut found = kinds(&play.final_read().verdict());
        found.retain(|(_, code, _)| *code == "inconsistent-offsets");
        found
    };
    assert_eq!(story(true, true), [(ALLOWED, "inconsistent-offsets", Some("unclean-election"))]);
    let bug = [(BUG, "inconsistent-offsets", None)];
    assert_eq!(story(true, false), bug, "it should not have been elected");
    assert_eq!(story(false, true), bug, "b2 was in sync without what nobody had deleted");
}

#[test]
fn a_zoo_switch_leaves_no_excuse() {
    let mut with_switch = settings(1);
    with_switch.zoo_on = true;
    let mut play = Play::new(with_switch);
    play.send(0).ack(0).crash(1).elect(2, &[2, 3]);
    assert_eq!(play.judged(), [(BUG, "lost-write", None)]);
}

#[test]
fn acks_1_excuses_nothing_that_was_replicated() {
    // b2 has it, it is committed, and yet b2 leads without it: it cut it away itself.
    let mut play = three_brokers(1);
    play.write(0).write(1).truncate(2, 1).crash(1).elect(2, &[2, 3]);
    assert_eq!(
        play.judged(),
        [(BUG, "committed-truncated", None), (BUG, "lost-write", None), (BUG, "unsafe-election", None)]
    );
}

#[test]
fn a_deposed_leader_may_ack_with_acks_1() {
    let mut play = three_brokers(1);
    play.write(0).elect(2, &[2, 3]);
    play.given(1).append_at(1, 5, 1).ack_by(1, 5, &[1, 2, 3], 1).follows(1).truncate(1, 1);
    assert_eq!(play.judged(), [(ALLOWED, "lost-write", Some("acks-1"))]);
}

#[test]
fn a_leader_that_hears_late_of_its_election_saves_nothing() {
    // b2 has it and was elected next, but begins to lead only when b3, which has it not, leads in a later epoch.
    let mut play = three_brokers(1);
    play.write(0).send(1).fetch(2).ack(1).crash(1).elect_only(2, &[2, 3], true).elect(3, &[3]);
    play.see(Observation::BecameLeader { broker: 2, partition: orders(), leader_epoch: 6, log_end: 2 });
    play.follows(2).truncate(2, 1);
    assert_eq!(play.judged(), [(ALLOWED, "lost-write", Some("acks-1"))]);
}

#[test]
fn a_deposed_leader_may_not_ack_with_acks_all() {
    let mut play = three_brokers(-1);
    play.write(0).elect(2, &[2, 3]);
    play.given(1).append_at(1, 5, 1).ack_by(1, 5, &[1], 1).follows(1).truncate(1, 1);
    assert_eq!(play.judged(), [(BUG, "ack-before-committed", None), (BUG, "lost-write", None)]);
}

/// b3 is elected uncleanly, the others having died; `before` and `after` that election a config is changed.
fn configured(before: Option<bool>, after: Option<bool>) -> Play {
    let mut play = three_brokers(-1);
    play.write(0).in_sync(&[1, 2]).write(1).crash(1).crash(2);
    let set = |play: &mut Play, enabled: Option<bool>| {
        if let Some(enabled) = enabled {
            play.configure(|topic| topic.unclean_leader_election_enable = enabled);
        }
    };
    set(&mut play, before);
    play.elect_uncleanly(3);
    set(&mut play, after);
    play.restart(2).follows(2).truncate(2, 1).in_sync(&[3, 2]);
    play
}

#[test]
fn unclean_election_is_judged_by_what_was_configured_when_it_happened() {
    let rule = Some("unclean-election");
    let allowed = [(ALLOWED, "lost-write", rule), (ALLOWED, "unsafe-election", rule)];
    let bug = [(BUG, "lost-write", None), (BUG, "unsafe-election", None)];
    assert_eq!(configured(Some(true), None).judged(), allowed);
    assert_eq!(configured(Some(true), Some(false)).judged(), allowed, "what is taken back later has been allowed");
    assert_eq!(configured(None, Some(true)).judged(), bug, "what is allowed later was not");
    assert_eq!(configured(Some(false), None).judged(), bug);
}

#[test]
fn min_insync_replicas_count_as_they_were_at_the_acknowledgement() {
    let mut play = three_brokers(-1);
    play.in_sync(&[1]).configure(|topic| topic.min_insync_replicas = 1).send(0).ack(0);
    play.configure(|topic| topic.min_insync_replicas = 2);
    assert_eq!(play.judged(), []);
    let mut play = three_brokers(-1);
    play.in_sync(&[1]).send(0).ack(0).configure(|topic| topic.min_insync_replicas = 1);
    assert_eq!(play.judged(), [(BUG, "ack-before-committed", None)]);
}

fn unclean(enabled: bool) -> Play {
    let mut settings = settings(-1);
    topic(&mut settings).unclean_leader_election_enable = enabled;
    let mut play = Play::new(settings);
    play.write(0).in_sync(&[1, 2]).write(1).crash(1).crash(2).elect_uncleanly(3);
    play.restart(2).follows(2).truncate(2, 1).in_sync(&[3, 2]);
    play
}

#[test]
fn unclean_election_is_allowed_where_enabled() {
    let rule = Some("unclean-election");
    let mut play = unclean(true);
    assert_eq!(play.judged(), [(ALLOWED, "lost-write", rule), (ALLOWED, "unsafe-election", rule)]);
    insta::assert_snapshot!(told(&play.verdict()));
}

#[test]
fn unclean_election_is_a_bug_where_disabled() {
    assert_eq!(unclean(false).judged(), [(BUG, "lost-write", None), (BUG, "unsafe-election", None)]);
}

#[test]
fn an_unclean_election_excuses_what_follows_from_it_though_its_winner_died_before_it_led() {
    let elected_in_vain = || {
        let mut enabled = settings(-1);
        topic(&mut enabled).unclean_leader_election_enable = true;
        let mut play = Play::new(enabled);
        play.write(0).in_sync(&[1, 2]).write(1).crash(1).crash(2).elect_only(3, &[3], false).crash(3).restart(3);
        play
    };
    let rule = Some("unclean-election");
    let judged = elected_in_vain().elect(3, &[3]).judged();
    assert_eq!(judged, [(ALLOWED, "lost-write", rule), (ALLOWED, "unsafe-election", rule)]);

    // Somebody with everything led in between, and let it in without.
    let judged = elected_in_vain().restart(2).elect(2, &[2]).in_sync(&[2, 3]).crash(2).elect(3, &[3]).judged();
    assert!(judged.contains(&(BUG, "lost-write", None)), "{judged:?}");
    assert!(!judged.contains(&(ALLOWED, "lost-write", rule)), "{judged:?}");

    // Who hears only now that it led in the epoch before leads nobody any more.
    let mut enabled = settings(-1);
    topic(&mut enabled).unclean_leader_election_enable = true;
    let mut play = Play::new(enabled);
    play.write(0).in_sync(&[1, 2]).write(1).crash(1).elect_only(2, &[2], true);
    let leader_epoch = play.epoch;
    play.elect_only(3, &[3], false);
    play.see(Observation::BecameLeader { broker: 2, partition: orders(), leader_epoch, log_end: 2 });
    let judged = play.elect(3, &[3]).judged();
    assert_eq!(judged, [(ALLOWED, "lost-write", rule), (ALLOWED, "unsafe-election", rule)]);

    // It had lost what it had with its power, before that election or after it.
    let with_power = |before: bool, came_back: bool| {
        let mut enabled = settings(-1);
        topic(&mut enabled).unclean_leader_election_enable = true;
        let mut play = Play::new(enabled);
        play.write(0).write(1).in_sync(&[1, 2]).crash(1).crash(2);
        if before {
            play.lose_power(3, 1);
        }
        if came_back {
            play.restart(3);
        }
        play.elect_only(3, &[3], false);
        if !before {
            play.lose_power(3, 1);
        }
        play.restart(3).elect(3, &[3]).judged()
    };
    for came_back in [true, false] {
        let judged = with_power(true, came_back);
        assert_eq!(judged, [(ALLOWED, "lost-write", rule), (ALLOWED, "unsafe-election", rule)]);
    }
    let judged = with_power(false, false);
    assert!(!judged.contains(&(ALLOWED, "lost-write", rule)), "it would have had it: {judged:?}");
}

#[test]
fn an_election_from_outside_the_isr_is_a_bug_whatever_it_calls_itself() {
    let mut play = three_brokers(-1);
    play.write(0).in_sync(&[1, 2]).write(1).crash(1).crash(2).elect(3, &[3]);
    assert_eq!(play.judged(), [(BUG, "lost-write", None), (BUG, "unsafe-election", None)]);
}

/// KIP-966's story: the others leave the in-sync replicas, the last one loses power and comes back short.
fn last_one_loses_power(min_insync_replicas: i32) -> Play {
    let mut settings = settings(-1);
    topic(&mut settings).min_insync_replicas = min_insync_replicas;
    let mut play = Play::new(settings);
    play.write(0).write(1).crash(2).crash(3).in_sync(&[1]).lose_power(1, 1).elect_only(-1, &[1], true);
    play.restart(2).restart(3).restart(1).elect(1, &[1]).follows(2).truncate(2, 1).follows(3).truncate(3, 1);
    play
}

#[test]
fn the_last_replica_standing_may_lose_what_the_others_had() {
    let rule = Some("last-replica-standing");
    let mut play = last_one_loses_power(2);
    assert_eq!(play.judged(), [(ALLOWED, "lost-write", rule), (ALLOWED, "unsafe-election", rule)]);
    insta::assert_snapshot!(told(&play.verdict()));
}

#[test]
fn with_min_insync_replicas_1_that_is_the_rule() {
    let rule = Some("min-isr-1");
    assert_eq!(last_one_loses_power(1).judged(), [(ALLOWED, "lost-write", rule), (ALLOWED, "unsafe-election", rule)]);
}

#[test]
fn min_insync_replicas_1_excuses_no_crash() {
    // The page cache survives a crash: what the disk "lost" without losing power is a bug of recovery, unless the disk
    // itself was at fault.
    let story = |fault: Option<&str>| {
        let mut settings = settings(-1);
        topic(&mut settings).min_insync_replicas = 1;
        let mut play = Play::new(settings);
        play.in_sync(&[1]).write(0).crash(1);
        if let Some(kind) = fault {
            play.see(Observation::FaultTookEffect { kind: kind.into() });
        }
        play.restart(1).see(Observation::LogLost { broker: 1, partition: orders(), log_end: 0 }).leads(1);
        kinds(&play.final_end(0, true).verdict())
    };
    // A slow or stalled disk keeps what it was told to keep.
    for fault in [None, Some("slow-disk"), Some("stall-disk")] {
        assert_eq!(story(fault), [(BUG, "lost-write", None), (BUG, "unsafe-election", None)], "{fault:?}");
    }
    let rule = Some("disk-fault");
    assert_eq!(story(Some("bit-rot")), [(ALLOWED, "lost-write", rule), (ALLOWED, "unsafe-election", rule)]);
}

#[test]
fn acks_1_excuses_no_leader_that_loses_it_by_itself() {
    let story = |power: bool| {
        let mut play = three_brokers(1);
        play.in_sync(&[1]).send(0).ack(0);
        match power {
            true => play.lose_power(1, 0).restart(1),
            false => {
                play.crash(1).see(Observation::BrokerRestarted { broker: 1, clean: false });
                play.see(Observation::LogLost { broker: 1, partition: orders(), log_end: 0 })
            }
        };
        play.elect(1, &[1]).final_end(0, true);
        kinds(&play.verdict())
    };
    assert_eq!(story(true), [(ALLOWED, "lost-write", Some("acks-1"))]);
    assert_eq!(story(false), [(BUG, "lost-write", None)]);
}

#[test]
fn an_old_loss_of_power_excuses_no_later_recovery() {
    let mut settings = settings(-1);
    topic(&mut settings).min_insync_replicas = 1;
    let mut play = Play::new(settings);
    play.in_sync(&[1]).lose_power(1, 0).restart(1).leads(1).write(0).crash(1).restart(1);
    play.see(Observation::LogLost { broker: 1, partition: orders(), log_end: 0 }).leads(1);
    let found = kinds(&play.final_end(0, true).verdict());
    assert_eq!(found, [(BUG, "lost-write", None), (BUG, "unsafe-election", None)]);
}

#[test]
fn min_insync_replicas_1_excuses_no_winner_that_never_had_it() {
    let mut settings = settings(-1);
    topic(&mut settings).min_insync_replicas = 1;
    let mut play = Play::new(settings);
    // KAFKA-7128: b3 joins the in-sync replicas without what is committed, and is elected.
    play.in_sync(&[1, 2]).write(0).in_sync(&[1, 2, 3]).crash(1).crash(2).elect(3, &[3]);
    assert_eq!(play.judged(), [(BUG, "lost-write", None), (BUG, "unsafe-election", None)]);
}

#[test]
fn all_replicas_without_power_may_lose_it() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).lose_power(1, 1).lose_power(2, 1).lose_power(3, 1);
    play.elect_only(-1, &[3], true).restart(3).elect(3, &[3]).restart(1).restart(2);
    let rule = Some("all-replicas-unclean");
    assert_eq!(play.judged(), [(ALLOWED, "lost-write", rule), (ALLOWED, "unsafe-election", rule)]);
}

#[test]
fn one_loss_of_power_is_no_excuse_while_others_in_sync_have_it() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).lose_power(2, 1).restart(2).crash(1).elect(2, &[2, 3]);
    assert_eq!(play.judged(), [(BUG, "lost-write", None), (BUG, "unsafe-election", None)]);
}

#[test]
fn who_lost_it_may_not_join_without_it() {
    // KIP-903 undone: b2 loses power, leaves, registers, and is added again on what the leader knew before.
    let mut play = three_brokers(-1);
    play.write(0).write(1).lose_power(2, 1).in_sync(&[1, 3]).restart(2).registered(2).in_sync(&[1, 3, 2]);
    play.crash(1).crash(3).elect(2, &[2]);
    assert_eq!(play.judged(), [(BUG, "lost-write", None), (BUG, "unsafe-election", None)]);
}

#[test]
fn with_eligible_leader_replicas_fewer_failures_than_min_isr_lose_nothing() {
    let story = |second_failure: bool| {
        let mut settings = settings(-1);
        topic(&mut settings).eligible_leader_replicas = true;
        let mut play = Play::new(settings);
        play.write(0).write(1).in_sync(&[1, 2]).lose_power(1, 1);
        if second_failure {
            play.lose_power(2, 1).restart(2);
        }
        play.elect_only(-1, &[1], true).restart(1).elect(1, &[1]).judged()
    };
    assert_eq!(story(false), [(BUG, "lost-write", None), (BUG, "unsafe-election", None)]);
    let rule = Some("all-replicas-unclean");
    assert_eq!(story(true), [(ALLOWED, "lost-write", rule), (ALLOWED, "unsafe-election", rule)]);
}

#[test]
fn acks_0_promises_nothing() {
    let mut play = three_brokers(0);
    play.send(0).fetch(2).fetch(3).commit().told(0, Belief::Unpromised, 1);
    play.given(1).told(1, Belief::Unpromised, 1).final_read();
    let verdict = play.verdict();
    assert_eq!(kinds(&verdict), [(Class::Info, "dropped-unpromised", None)]);
    assert_eq!((verdict.outcome, verdict.counters["dropped_unpromised"]), (Outcome::Pass, 1));
    assert_eq!((verdict.belief_truth.unpromised.once, verdict.belief_truth.unpromised.absent), (1, 1));
}

#[test]
fn unknown_and_failed_records_may_be_absent() {
    let mut play = three_brokers(-1);
    play.write(0).given(1).told(1, Belief::Unknown, 3).given(2).told(2, Belief::Failed, 1);
    assert_eq!(play.judged(), []);
}

#[test]
fn what_the_final_read_does_not_deliver_is_hidden() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).final_end(2, true);
    assert_eq!(kinds(&play.verdict()), [(BUG, "lost-write", None)]);
    assert!(play.verdict().findings[0].summary.contains("hidden"), "{}", told(&play.verdict()));
}

#[test]
fn what_is_not_committed_at_the_end_is_late() {
    let mut play = three_brokers(1);
    play.write(0).send(1).ack(1);
    play.see(Observation::FinalRead { partition: orders(), offset: 0, leader_epoch: 5, record: Some(0) });
    play.final_end(1, true);
    assert_eq!(kinds(&play.verdict()), [(Class::Unknown, "lost-write", None)]);
    assert!(play.verdict().findings[0].summary.contains("late"));
}

#[test]
fn what_was_never_appended_is_a_bug() {
    let mut play = three_brokers(-1);
    play.write(0).given(1).told(1, Belief::Acked { offset: Some(1) }, 1);
    assert_eq!(play.judged(), [(BUG, "lost-write", None)]);
}

#[test]
fn an_incomplete_final_read_decides_nothing_about_records_and_is_stuck() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).final_end(0, false);
    let verdict = play.verdict();
    assert_eq!(kinds(&verdict), [(BUG, "stuck", None), (Class::Unknown, "lost-write", None)]);
    assert_eq!(verdict.belief_truth.ok.unjudged, 2);
}

#[test]
fn below_the_log_start_is_retention() {
    let mut play = three_brokers(-1);
    play.write(0).write(1);
    play.see(Observation::FinalRead { partition: orders(), offset: 1, leader_epoch: 5, record: Some(1) });
    play.see(Observation::FinalReadEnd { partition: orders(), log_start: 1, log_end: 2, complete: true });
    assert_eq!(kinds(&play.verdict()), [(ALLOWED, "lost-write", Some("retention"))]);
}

/// A record that its replica had when it deleted it: retention, or a client. One that was lost before is no less lost because
/// the log begins behind it since.
#[test]
fn only_what_a_replica_had_when_it_deleted_it_was_deleted() {
    use trial_checker::StartCause;
    let story = |cause: StartCause, lost_before: bool| {
        let mut play = three_brokers(-1);
        play.write(0);
        if lost_before {
            play.lose_power(1, 0).lose_power(2, 0).lose_power(3, 0).restart(1).restart(2).restart(3);
            play.elect(1, &[1, 2, 3]);
        }
        play.write(1);
        let start = if lost_before { 1 } else { 2 };
        play.see(Observation::LogStartMoved { broker: 1, partition: orders(), to: start, cause });
        play.see(Observation::FinalReadEnd { partition: orders(), log_start: start, log_end: start, complete: true });
        kinds(&play.verdict())
    };
    assert_eq!(story(StartCause::Retention, false), [(ALLOWED, "lost-write", Some("retention"))]);
    assert_eq!(story(StartCause::DeleteRecords, false), [(ALLOWED, "lost-write", Some("delete-records"))]);
    let rules: Vec<_> =
        story(StartCause::DeleteRecords, true).iter().filter(|k| k.1 == "lost-write").map(|k| k.2).collect();
    assert!(rules.contains(&Some("delete-records")), "{rules:?}: r1 was deleted");
    assert!(rules.iter().any(|rule| *rule != Some("delete-records")), "{rules:?}: r0 had been lost before");
}

#[test]
fn without_a_final_read_what_readers_passed_is_lost() {
    let passed = |last: i64| {
        let mut play = three_brokers(-1);
        play.write(0).write(1).write(2).read(0, 0).read(last, last as u64);
        kinds(&play.verdict())
    };
    assert_eq!(passed(2), [(BUG, "lost-write", None)]);
    assert_eq!(passed(1), []); // r2 may still come
}

#[test]
fn a_retry_of_a_producer_without_idempotence_may_leave_two_copies() {
    let story = |idempotent: bool, attempts: u32| {
        let mut settings = settings(-1);
        producer(&mut settings).idempotent = idempotent;
        let mut play = Play::new(settings);
        play.write(0).given(1).append(1).append(1).fetch(2).fetch(3).commit();
        play.told(1, Belief::Acked { offset: Some(2) }, attempts).judged()
    };
    assert_eq!(story(false, 2), [(ALLOWED, "duplicate", Some("retry-without-idempotence"))]);
    assert_eq!(story(false, 1), [(BUG, "duplicate", None)]);
    assert_eq!(story(true, 2), [(BUG, "duplicate", None)]);
    let mut without_idempotence = settings(-1);
    producer(&mut without_idempotence).idempotent = false;
    let mut play = Play::new(without_idempotence);
    play.given(0).append(0).append(0).append(0).fetch(2).fetch(3).commit().told(0, Belief::Unknown, 2);
    assert_eq!(play.judged(), [(BUG, "duplicate", None)], "three copies of two attempts");
}
