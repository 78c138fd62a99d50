//! What brokers do not know of an idempotent producer: Kafka as it is lets a record stand twice, or behind a later one.
//! Each story stands beside one that differs in the fact that makes it so, and is wrong.

mod play;

use play::{Play, orders, settings, three_brokers};
use trial_checker::{Belief, Class, Observation, Settings, StartCause, Waiting};

const FIRST_SEQUENCE: Option<&str> = Some("first-sequence-of-an-unknown-producer");
const ONE_BATCH: Option<&str> = Some("snapshot-has-the-last-batch-alone");

/// Both records were told to be written where they came last.
fn told(play: &mut Play, records: &[u64]) -> Vec<(Class, &'static str, Option<&'static str>)> {
    for record in records {
        play.told(*record, Belief::Acked { offset: None }, 3);
    }
    play.judged()
}

/// The batch of record 1 is still on its way to a former leader when that of record 2 comes first to one whose log may know
/// the producer by record 9. Then record 1 is refused there, and all is sent again in the next epoch.
fn later_batch_first(leader_knows: bool, zoo_on: bool) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut play = Play::new(Settings { zoo_on, ..settings(-1) });
    let mut records = vec![1, 2];
    if leader_knows {
        play.given(9).append_of(9, 0, 0);
        records.push(9);
    }
    let first = if leader_knows { 1 } else { 0 };
    play.given(1).given(2).append_of(2, 0, first + 1);
    play.append_of(1, 1, 0).append_of(2, 1, 1);
    told(&mut play, &records)
}

#[test]
fn a_leader_that_knows_nothing_of_a_producer_takes_what_comes_first() {
    let kinds = later_batch_first(false, false);
    assert!(kinds.contains(&(Class::Allowed, "duplicate", FIRST_SEQUENCE)), "{kinds:?}");
    assert!(kinds.contains(&(Class::Allowed, "nonmonotonic-send", FIRST_SEQUENCE)), "{kinds:?}");
    assert!(kinds.iter().all(|(class, ..)| *class != Class::Bug), "{kinds:?}");
}

#[test]
fn a_leader_that_knows_the_producer_must_not_and_a_zoo_switch_is_not_excused() {
    for (leader_knows, zoo_on) in [(true, false), (false, true)] {
        let kinds = later_batch_first(leader_knows, zoo_on);
        let bug = |code: &str| kinds.iter().any(|(class, found, _)| (*class, *found) == (Class::Bug, code));
        assert!(bug("duplicate") && bug("nonmonotonic-send"), "{kinds:?}");
    }
}

/// Records 1 and 2 stand in b1's log and were not acknowledged. b1 starts again or not, and takes these anew.
fn sent_again(restarts: bool, again: &[(u64, i32)]) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut play = three_brokers(-1);
    play.given(1).given(2).append_of(1, 0, 0).append_of(2, 0, 1);
    if restarts {
        play.crash(1).restart(1).registered(1);
    }
    for (record, sequence) in again {
        play.append_of(*record, 1, *sequence);
    }
    told(&mut play, &[1, 2]).into_iter().filter(|(_, code, _)| *code == "duplicate").collect()
}

#[test]
fn a_broker_that_started_again_remembers_the_last_batch_alone() {
    assert_eq!(sent_again(true, &[(1, 0), (2, 1)]), [(Class::Allowed, "duplicate", ONE_BATCH)]);
    assert_eq!(
        sent_again(false, &[(1, 0), (2, 1)]),
        [(Class::Bug, "duplicate", None)],
        "five are remembered meanwhile"
    );
    assert_eq!(sent_again(true, &[(2, 0)]), [(Class::Bug, "duplicate", None)], "the last batch is in the snapshot");
}

/// Both brokers have records 1 and 2. Somebody starts again, b2 leads, and then b1, which writes them once more.
fn refused_by_another(restarts: Option<i32>) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut play = three_brokers(-1);
    play.given(1).given(2).append_of(1, 0, 0).append_of(2, 0, 1).fetch(2).fetch(3).commit();
    if let Some(broker) = restarts {
        play.see(Observation::BrokerRestarted { broker, clean: true });
    }
    play.elect(2, &[1, 2, 3]).elect(1, &[1, 2, 3]).append_of(1, 1, 0).append_of(2, 1, 1);
    told(&mut play, &[1, 2]).into_iter().filter(|(_, code, _)| *code == "duplicate").collect()
}

#[test]
fn who_refuses_what_it_has_forgotten_need_not_be_who_writes_it_again() {
    assert_eq!(refused_by_another(Some(2)), [(Class::Allowed, "duplicate", ONE_BATCH)]);
    let bug = [(Class::Bug, "duplicate", None)];
    assert_eq!(refused_by_another(None), bug);
    assert_eq!(refused_by_another(Some(3)), bug, "b3 never led, and refused nothing");
}

/// b1 wrote records 1 and 2 in one batch and then writes these batches in the next epoch, the producer having been told of
/// that by then or not.
fn split(again: &[&[u64]], told_before: bool) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut play = three_brokers(-1);
    play.given(1).given(2).append_batch_of(&[1, 2], 0, 0);
    let tell = |play: &mut Play| {
        play.told(1, Belief::Acked { offset: None }, 1).told(2, Belief::Acked { offset: None }, 1);
    };
    if told_before {
        tell(&mut play);
    }
    let mut sequence = 0;
    for records in again {
        play.append_batch_of(records, 1, sequence);
        sequence += records.len() as i32;
    }
    if !told_before {
        tell(&mut play);
    }
    play.judged().into_iter().filter(|(_, code, _)| *code == "duplicate").collect()
}

#[test]
fn a_batch_that_is_split_after_it_was_written_is_written_again() {
    let rule = Some("split-after-it-was-written");
    assert_eq!(split(&[&[1], &[2]], false), [(Class::Allowed, "duplicate", rule)]);
    let bug = [(Class::Bug, "duplicate", None)];
    assert_eq!(split(&[&[1, 2]], false), bug, "it was not split");
    assert_eq!(split(&[&[1], &[2]], true), bug, "it had been acknowledged");
}

/// Record 1 of a producer was deleted or not, and b1 starts again or not, when another comes out of sequence.
fn out_of_sequence_after(deleted: bool, restarts: bool) -> bool {
    let mut play = three_brokers(-1);
    play.given(1).append_of(1, 0, 0).fetch(2).fetch(3).commit();
    if deleted {
        let (partition, cause) = (orders(), StartCause::Retention);
        play.see(Observation::LogStartMoved { broker: 1, partition, to: 1, cause });
    }
    if restarts {
        play.crash(1).restart(1).registered(1).elect(1, &[1, 2, 3]);
    }
    play.given(2).append_of(2, 0, 5).fetch(2).fetch(3).commit();
    play.judged().contains(&(Class::Bug, "producer-sequence", None))
}

#[test]
fn who_starts_again_knows_nothing_of_what_was_deleted() {
    assert!(!out_of_sequence_after(true, true));
    assert!(out_of_sequence_after(true, false), "a broker that runs keeps what it knows");
    assert!(out_of_sequence_after(false, true), "it finds it in its log");
}

/// b1 writes record 1, deletes it or not, starts again or not, and is sent it once more, under the same epoch and sequence.
fn sent_again_after(deleted: bool, restarts: bool) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut play = three_brokers(-1);
    play.given(1).append_of(1, 0, 0).fetch(2).fetch(3).commit();
    if deleted {
        let (partition, cause) = (orders(), StartCause::DeleteRecords);
        play.see(Observation::LogStartMoved { broker: 1, partition, to: 1, cause });
    }
    if restarts {
        play.crash(1).restart(1).registered(1).elect(1, &[1, 2, 3]);
    }
    play.append_of(1, 0, 0).fetch(2).fetch(3).commit();
    let judged = told(&mut play, &[1]);
    judged.into_iter().filter(|(_, code, _)| ["duplicate", "producer-sequence"].contains(code)).collect()
}

/// Records 1 and 2 are written by b1, and b2 has them, or begins its log behind them; then record 1 comes to b2.
fn sent_again_to(begins_anew: bool) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut play = three_brokers(-1);
    play.given(1).given(2).append_of(1, 0, 0).append_of(2, 0, 1).fetch(3).commit();
    if begins_anew {
        let (partition, cause) = (orders(), StartCause::Retention);
        play.see(Observation::LogStartMoved { broker: 1, partition, to: 2, cause }).begin_anew(2);
    } else {
        play.fetch(2);
    }
    play.elect(2, &[2]).append_of(1, 0, 0).commit();
    let judged = told(&mut play, &[1, 2]);
    judged.into_iter().filter(|(_, code, _)| *code == "duplicate").collect()
}

#[test]
fn who_never_had_what_was_deleted_takes_it_anew() {
    let rule = Some("producer-forgotten-with-its-records");
    assert_eq!(sent_again_to(true), [(Class::Allowed, "duplicate", rule)]);
    assert_eq!(sent_again_to(false), [(Class::Bug, "duplicate", None)]);
}

#[test]
fn who_starts_again_takes_anew_what_was_deleted() {
    let rule = Some("producer-forgotten-with-its-records");
    let bugs = vec![(Class::Bug, "duplicate", None), (Class::Bug, "producer-sequence", None)];
    assert_eq!(sent_again_after(true, true), [(Class::Allowed, "duplicate", rule)]);
    assert_eq!(sent_again_after(true, false), bugs, "a broker that runs keeps what it knows");
    assert_eq!(sent_again_after(false, true), bugs, "it finds it in its log");
}

/// Record 1 is on its way to a leader that writes it, and whose answer comes late, when record 2 is refused for good, or is
/// given up, or has been refused long before. Then record 1 comes again, under the next epoch.
fn sent_again_beside(
    refused: bool,
    attempts: u32,
    meanwhile: bool,
) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut play = three_brokers(-1);
    let belief = if refused { Belief::Failed } else { Belief::Unknown };
    let refuse = |play: &mut Play| {
        play.given(2).told(2, belief, attempts);
    };
    if !meanwhile {
        refuse(&mut play);
    }
    play.given(9).append_of(9, 0, 0).given(1).append_of(1, 0, 1);
    if meanwhile {
        refuse(&mut play);
    }
    play.append_of(1, 1, 0);
    told(&mut play, &[9, 1]).into_iter().filter(|(_, code, _)| *code == "duplicate").collect()
}

#[test]
fn a_refused_batch_renumbers_those_in_flight() {
    let renumbered = Some("refused-batch-renumbers-those-in-flight");
    assert_eq!(sent_again_beside(true, 1, true), [(Class::Allowed, "duplicate", renumbered)]);
    let bug = [(Class::Bug, "duplicate", None)];
    assert_eq!(sent_again_beside(true, 1, false), bug, "record 1 was not in flight then");
    assert_eq!(sent_again_beside(true, 0, true), bug, "nobody refused what was never sent");
    assert_eq!(sent_again_beside(false, 1, true), bug, "a batch without an answer is waited for");
}

#[test]
fn under_one_epoch_nothing_stands_twice() {
    let mut play = three_brokers(-1);
    play.given(1).given(2).append_of(1, 0, 0).append_of(2, 0, 1);
    play.crash(1).restart(1).registered(1).append_of(1, 0, 0);
    let kinds = told(&mut play, &[1, 2]);
    assert!(kinds.contains(&(Class::Bug, "duplicate", None)), "{kinds:?}");
}

/// Record 1 and perhaps record 2 stand in b1's log, and are sent again under the same epoch and sequence: the first of them when
/// b1 has forgotten the producer for its age, or has not.
fn sent_again_in_the_same_epoch(forgotten: bool, zoo_on: bool) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut play = Play::new(Settings { zoo_on, ..settings(-1) });
    play.given(1).given(2).append_of(1, 0, 0).append_of(2, 0, 1).fetch(2).fetch(3).commit();
    if forgotten {
        play.see(Observation::ProducerForgotten { broker: 1, partition: orders(), producer: 1000 });
    }
    play.append_of(1, 0, 0).append_of(2, 0, 1).fetch(2).fetch(3).commit();
    told(&mut play, &[1, 2])
        .into_iter()
        .filter(|(_, code, _)| ["duplicate", "producer-sequence"].contains(code))
        .collect()
}

#[test]
fn whom_a_broker_forgot_for_its_age_it_takes_anew() {
    let rule = Some("producer.id.expiration.ms");
    let bugs = vec![(Class::Bug, "duplicate", None), (Class::Bug, "producer-sequence", None)];
    assert_eq!(sent_again_in_the_same_epoch(true, false), [(Class::Allowed, "duplicate", rule)]);
    assert_eq!(sent_again_in_the_same_epoch(false, false), bugs, "it was not so old");
    assert_eq!(sent_again_in_the_same_epoch(true, true), bugs, "no rule excuses a zoo switch");
}

/// What comes next in sequence is no beginning, whatever was forgotten: what stands twice behind it is a BUG.
#[test]
fn who_goes_on_in_sequence_was_not_taken_anew() {
    let mut play = three_brokers(-1);
    play.given(1).given(2).append_of(1, 0, 0);
    play.see(Observation::ProducerForgotten { broker: 1, partition: orders(), producer: 1000 });
    play.append_of(2, 0, 1).append_of(1, 0, 0).fetch(2).fetch(3).commit();
    let kinds = told(&mut play, &[1, 2]);
    assert!(kinds.contains(&(Class::Bug, "duplicate", None)), "{kinds:?}");
    assert!(kinds.contains(&(Class::Bug, "producer-sequence", None)), "{kinds:?}");
}

/// Record 1 stands in b1's log when it forgets the producer, record 2 is the next to come. Sent again, record 1 is refused, and
/// both are written in the next epoch.
#[test]
fn what_stands_before_the_first_batch_since_is_out_of_order_to_who_forgot() {
    let written_in_the_next_epoch = |is_forgotten: bool, is_refused: bool| {
        let mut play = three_brokers(-1);
        play.given(1).given(2).append_of(1, 0, 0);
        if is_forgotten {
            play.see(Observation::ProducerForgotten { broker: 1, partition: orders(), producer: 1000 });
        }
        play.append_of(2, 0, 1);
        if is_refused {
            play.see(Observation::OutOfOrderSequence { broker: 1, partition: orders(), leader_epoch: 0 });
        }
        play.append_of(1, 1, 0).append_of(2, 1, 1).fetch(2).fetch(3).commit();
        told(&mut play, &[1, 2])
    };
    let rule = Some("producer.id.expiration.ms");
    let bug = vec![(Class::Bug, "duplicate", None)];
    assert_eq!(written_in_the_next_epoch(true, true), [(Class::Allowed, "duplicate", rule)]);
    assert_eq!(written_in_the_next_epoch(false, true), bug, "it was known");
    assert_eq!(written_in_the_next_epoch(true, false), bug, "nothing was refused");
}

#[test]
fn a_leader_whose_log_began_anew_behind_all_batches_of_a_producer_cannot_know_its_sequence() {
    let out_of_sequence = |begins_anew: bool| {
        let mut play = three_brokers(-1);
        play.given(1).append_of(1, 0, 5).fetch(2).fetch(3).commit();
        if begins_anew {
            let why = "because its end lies below the leader's log start".to_owned();
            play.see(Observation::LogTruncated { broker: 2, partition: orders(), to: 10, why }).elect(2, &[2]);
            play.append_of(1, 0, 5).commit();
        } else {
            play.append_of(1, 0, 5).fetch(2).fetch(3).commit();
        }
        play.judged().contains(&(Class::Bug, "producer-sequence", None))
    };
    assert!(!out_of_sequence(true));
    assert!(out_of_sequence(false), "its log had the batch");
}

#[test]
fn a_producer_that_must_give_up_its_first_batch_is_waited_for() {
    let stuck = |leader_knows: bool, after_ms: u64| {
        let mut play = three_brokers(-1);
        if leader_knows {
            play.given(9).append_of(9, 0, 0);
        }
        play.given(2).append_of(2, 0, 1);
        let what = Waiting::Acknowledgement { producer: 1 };
        play.at(after_ms).see(Observation::StillWaiting { what, since: 0 });
        play.judged().iter().any(|(class, code, _)| (*class, *code) == (Class::Bug, "stuck"))
    };
    assert!(!stuck(false, 119_000), "its second batch came first: the batch before it is refused until it is given up");
    assert!(stuck(false, 121_000), "by delivery.timeout.ms it is given up");
    assert!(stuck(true, 119_000));
}

/// b2 took over from b1, and writes record 1. Then b1 refuses what follows as out of order, as the leader of this epoch, and b2
/// writes the record again in the producer's next epoch. b1 may have the record by then, the producer may have been told of it,
/// and it may be committed.
fn refused_by_a_former_leader(
    leader_epoch: i32,
    has_it: bool,
    told_before: bool,
    committed: bool,
) -> Vec<(Class, Option<&'static str>)> {
    let mut play = three_brokers(-1);
    play.elect(2, &[1, 2, 3]).given(1).append_of(1, 0, 0);
    if has_it {
        play.fetch(1);
    }
    let tell = |play: &mut Play| _ = play.told(1, Belief::Acked { offset: None }, 1);
    if told_before {
        tell(&mut play);
    }
    if committed {
        play.in_sync(&[2, 3]).fetch(3).commit();
    }
    play.see(Observation::OutOfOrderSequence { broker: 1, partition: orders(), leader_epoch });
    play.append_of(1, 1, 0);
    if !told_before {
        tell(&mut play);
    }
    let duplicates = play.judged().into_iter().filter(|(_, code, _)| *code == "duplicate");
    duplicates.map(|(class, _, rule)| (class, rule)).collect()
}

#[test]
fn a_deposed_leader_that_lacks_a_batch_makes_its_producer_write_it_again() {
    let allowed = [(Class::Allowed, Some("out-of-order-to-a-deposed-leader"))];
    assert_eq!(refused_by_a_former_leader(0, false, false, false), allowed);
    assert_eq!(refused_by_a_former_leader(9, false, false, false), allowed, "b2 was deposed when it wrote the record");
    let bug = [(Class::Bug, None)];
    assert_eq!(refused_by_a_former_leader(9, false, false, true), bug, "it leads since, and must have the record");
    assert_eq!(
        refused_by_a_former_leader(0, true, false, false),
        bug,
        "it has the record, and what follows is in order"
    );
    assert_eq!(refused_by_a_former_leader(0, false, true, false), bug, "it had been acknowledged");
}
