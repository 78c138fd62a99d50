//! What readers see: offsets, order, phantoms; and each beside its harmless neighbour.

mod play;

use play::{Play, kinds, orders, producer, settings, three_brokers, topic};
use trial_checker::{Belief, Class, Entry, Observation, Outcome, Partition, ResetCause, StartCause};

const ALLOWED: Class = Class::Allowed;
const BUG: Class = Class::Bug;

/// A consumer reads r1 at offset 1; b3 takes over without it and writes r2 there; the consumer reads that too.
fn offset_with_two_records(unclean_enabled: bool) -> Play {
    let mut settings = settings(-1);
    topic(&mut settings).unclean_leader_election_enable = unclean_enabled;
    let mut play = Play::new(settings);
    play.write(0).in_sync(&[1, 2]).write(1).read(0, 0).read(1, 1).crash(1).crash(2).elect_uncleanly(3);
    play.see(Observation::PositionReset { consumer: 1, partition: orders(), to: 1, cause: ResetCause::Other });
    play.restart(1).follows(1).truncate(1, 1).in_sync(&[3, 1]).write(2).read(1, 2);
    play
}

#[test]
fn one_offset_two_records() {
    let rule = Some("unclean-election");
    let mut play = offset_with_two_records(true);
    assert_eq!(play.judged()[0], (ALLOWED, "inconsistent-offsets", rule));
    let found = play.verdict();
    insta::assert_snapshot!(found.findings[0].to_string());
    assert_eq!(offset_with_two_records(false).judged()[0], (BUG, "inconsistent-offsets", None));
}

#[test]
fn one_offset_read_twice_is_consistent() {
    let mut play = three_brokers(-1);
    play.write(0).write(1).read(0, 0).read(1, 1);
    play.see(Observation::Read { consumer: 2, partition: orders(), offset: 1, leader_epoch: 5, record: Some(1) });
    assert_eq!(play.judged(), []);
}

#[test]
fn phantoms() {
    let mut play = three_brokers(-1);
    play.write(0).read(7, None);
    assert_eq!(play.judged(), [(BUG, "phantom-read", None)]);
    let mut play = three_brokers(-1);
    play.write(0).read(0, None);
    assert_eq!(play.judged(), [(BUG, "corrupt-record", None)], "a record lies there, and its bytes are others");
    let mut play = three_brokers(-1);
    play.write(0).read(0, 77);
    assert_eq!(play.judged(), [(BUG, "phantom-read", None)]);
}

#[test]
fn a_record_in_another_partition() {
    let mut play = three_brokers(-1);
    play.write(0).see(Observation::SendInvoked { record: 1, producer: 1, partition: Partition::new("orders", 1) });
    play.read(0, 0).read(1, 1);
    assert_eq!(play.judged(), [(BUG, "wrong-partition", None)]);
}

#[test]
fn a_failed_send_must_not_be_visible() {
    let story = |belief: Belief| {
        let mut play = three_brokers(-1);
        play.write(0).send(1).fetch(2).fetch(3).commit().told(1, belief, 1);
        play.judged()
    };
    assert_eq!(story(Belief::Failed), [(BUG, "g1a", None)]);
    assert_eq!(story(Belief::Unknown), []);
}

#[test]
fn the_acknowledged_offset_is_where_the_record_is() {
    let story = |offset: i64| {
        let mut play = three_brokers(-1);
        play.write(0).send(1).fetch(2).fetch(3).commit().told(1, Belief::Acked { offset: Some(offset) }, 1);
        play.judged()
    };
    assert_eq!(story(1), []);
    assert_eq!(story(0), [(BUG, "ack-offset-mismatch", None)]);
    // A retry explains two copies, not an offset at which the record never was.
    let mut without_idempotence = settings(-1);
    producer(&mut without_idempotence).idempotent = false;
    let mut play = Play::new(without_idempotence);
    play.write(0).send(1).fetch(2).fetch(3).commit().told(1, Belief::Acked { offset: Some(0) }, 2);
    assert_eq!(play.judged(), [(BUG, "ack-offset-mismatch", None)]);
}

/// A producer without idempotence sends r2 and r3 in one batch to b1, which is told at offset 1 and lost with b1; b2 has that of
/// a later attempt, from offset 0 on. Both batches cover offset 1, and only in one of them it is r2's.
#[test]
fn the_acknowledged_copy_is_the_one_that_was_there() {
    let story = |records_of_b1: Vec<u64>| {
        let mut settings = settings(1);
        producer(&mut settings).idempotent = false;
        let mut play = Play::new(settings);
        let batch = |broker, epoch, first_offset, records: Vec<u64>| Observation::LogAppended {
            broker,
            partition: orders(),
            as_leader: true,
            entries: vec![Entry {
                first_offset,
                last_offset: first_offset + 1,
                epoch,
                hash: 9,
                records,
                producer: None,
            }],
        };
        play.send(0).given(2).given(3).see(batch(1, 5, 1, records_of_b1));
        play.crash(1).elect(2, &[2, 3]).see(batch(2, 6, 0, vec![2, 3]));
        play.told(2, Belief::Acked { offset: Some(1) }, 2);
        for (offset, record) in [(0, 2), (1, 3)] {
            let record = Some(record);
            play.see(Observation::FinalRead { partition: orders(), offset, leader_epoch: 6, record });
        }
        kinds(&play.final_end(2, true).verdict())
    };
    assert_eq!(story(vec![2, 3]), [(ALLOWED, "ack-offset-mismatch", Some("acks-1"))]);
    assert_eq!(story(vec![3, 2]), [(BUG, "ack-offset-mismatch", None)], "it never was there");
}

#[test]
fn sends_keep_their_order() {
    let story = |idempotent: bool, max_in_flight: u32, swapped: bool| {
        let mut settings = settings(-1);
        *producer(&mut settings) =
            trial_checker::ProducerSettings { acks: -1, idempotent, max_in_flight, ..Default::default() };
        let mut play = Play::new(settings);
        play.given(0).given(1);
        if swapped {
            play.append(1).append(0)
        } else {
            play.append(0).append(1)
        };
        play.fetch(2).fetch(3).commit().ack(0).ack(1).judged()
    };
    assert_eq!(story(true, 5, false), []);
    assert_eq!(story(true, 5, true), [(BUG, "nonmonotonic-send", None)]);
    assert_eq!(story(false, 1, true), [(BUG, "nonmonotonic-send", None)]);
    assert_eq!(story(false, 5, true), [(ALLOWED, "nonmonotonic-send", Some("several-in-flight-without-idempotence"))]);
}

/// r0 and r1 are at 0 and 1, and as their producer was forgotten, at 2 and 3 again, each of which is acknowledged where it says.
/// The beginning is deleted.
fn sends_whose_first_copies_are_deleted(told: [i64; 2], log_start: i64) -> Vec<(Class, &'static str)> {
    let mut play = three_brokers(-1);
    play.given(0).given(1).append(0).append(1).append(0).append(1).fetch(2).fetch(3).commit();
    for (record, offset) in (0..).zip(told) {
        play.told(record, Belief::Acked { offset: Some(offset) }, 2);
    }
    let cause = StartCause::Retention;
    play.see(Observation::LogStartMoved { broker: 1, partition: orders(), to: log_start, cause });
    for (offset, record) in [(0, 0), (1, 1), (2, 0), (3, 1)].into_iter().filter(|(offset, _)| *offset >= log_start) {
        play.see(Observation::FinalRead { partition: orders(), offset, leader_epoch: 5, record: Some(record) });
    }
    play.see(Observation::FinalReadEnd { partition: orders(), log_start, log_end: 4, complete: true });
    let of_order = kinds(&play.verdict()).into_iter().filter(|(_, code, _)| *code == "nonmonotonic-send");
    of_order.map(|(class, code, _)| (class, code)).collect()
}

#[test]
fn sends_count_where_they_were_acknowledged_once_the_beginning_is_deleted() {
    // r0's first copy left is at 2, behind r1's at 1, which nobody was told of.
    assert_eq!(sends_whose_first_copies_are_deleted([2, 3], 1), []);
    assert_eq!(sends_whose_first_copies_are_deleted([2, 1], 1), [(BUG, "nonmonotonic-send")]);
    assert_eq!(sends_whose_first_copies_are_deleted([2, 1], 0), [], "r0 is there at 0 too");
}

#[test]
fn appends_follow_real_time() {
    let mut play = three_brokers(-1);
    // r0 was acknowledged before r1 was sent, but lies above it; different producers promise no order of their own.
    play.given(0).told(0, Belief::Acked { offset: Some(1) }, 1);
    play.see(Observation::SendInvoked { record: 1, producer: 2, partition: orders() });
    play.append(1).append(0).fetch(2).fetch(3).commit().told(1, Belief::Acked { offset: Some(0) }, 1);
    assert_eq!(play.judged(), [(BUG, "realtime-append-inversion", None)]);
    let mut play = three_brokers(-1);
    play.given(0).see(Observation::SendInvoked { record: 1, producer: 2, partition: orders() });
    play.append(1).append(0).fetch(2).fetch(3).commit().ack(0).ack(1);
    assert_eq!(play.judged(), []);
    // An acknowledgement of another copy, which is gone, says nothing of when this one was there.
    let mut play = three_brokers(-1);
    play.given(0).told(0, Belief::Acked { offset: Some(7) }, 1);
    play.see(Observation::SendInvoked { record: 1, producer: 2, partition: orders() });
    play.append(1).append(0).fetch(2).fetch(3).commit().told(1, Belief::Acked { offset: Some(0) }, 1);
    let codes: Vec<&str> = play.judged().iter().map(|(_, code, _)| *code).collect();
    assert_eq!(codes, ["ack-offset-mismatch"]);
}

/// A producer without idempotence sends r0 again, is told of the second copy, and sends r1; the first attempt arrives last.
/// What was told of is gone, by retention, and what is left was promised no place.
#[test]
fn what_is_left_of_a_deleted_copy_is_nowhere_wrong() {
    let story = |deletes: bool| {
        let mut settings = settings(-1);
        let producer = producer(&mut settings);
        (producer.idempotent, producer.max_in_flight) = (false, 1);
        let mut play = Play::new(settings);
        play.write(8).write(9).given(0).append(0).fetch(2).fetch(3).commit();
        play.told(0, Belief::Acked { offset: Some(2) }, 2);
        play.write(1).append(0).fetch(2).fetch(3).commit();
        let cause = StartCause::Retention;
        if deletes {
            play.see(Observation::LogStartMoved { broker: 1, partition: orders(), to: 3, cause });
        }
        let rest = if deletes { vec![(3, 1), (4, 0)] } else { vec![(0, 8), (1, 9), (3, 1), (4, 0)] };
        for (offset, record) in rest {
            let record = Some(record);
            play.see(Observation::FinalRead { partition: orders(), offset, leader_epoch: 5, record });
        }
        let mut found = kinds(&play.final_end(5, true).verdict());
        found.retain(|(_, code, _)| ["ack-offset-mismatch", "nonmonotonic-send"].contains(code));
        found
    };
    assert_eq!(story(true), [(ALLOWED, "ack-offset-mismatch", Some("retention"))]);
    assert_eq!(story(false), [(BUG, "ack-offset-mismatch", None)]);
}

#[test]
fn a_manual_consumer_reads_each_record_after_the_one_before() {
    let story = |reset: bool, offsets: &[i64]| {
        let mut play = three_brokers(-1);
        play.write(0).write(1).write(2).write(3);
        for (n, offset) in offsets.iter().enumerate() {
            if reset && n == 1 {
                play.see(Observation::PositionReset {
                    consumer: 1,
                    partition: orders(),
                    to: *offset,
                    cause: ResetCause::Other,
                });
            }
            play.read(*offset, *offset as u64);
        }
        play.judged()
    };
    assert_eq!(story(false, &[0, 1, 2]), []);
    assert_eq!(story(false, &[0, 2, 3]), [(BUG, "poll-skip", None)]);
    assert_eq!(story(false, &[2, 1, 2]), [(BUG, "nonmonotonic-poll", None)]);
    assert_eq!(story(true, &[0, 2, 3]), []);
    assert_eq!(story(true, &[2, 1, 2]), []);
}

/// KIP-320. In epoch 5 offsets 0 to 2 held r0, r1 and r2; a leader from outside has only r0 of them, and writes r3, r4 and
/// r5 to offsets 1 to 3 in epoch 6. Who has read r2 and then reads r5 has gone over r3 and r4.
#[test]
fn who_reads_on_in_another_history_must_have_been_told() {
    let story = |told: bool| {
        let mut settings = settings(-1);
        topic(&mut settings).unclean_leader_election_enable = true;
        let mut play = Play::new(settings);
        play.write(0).in_sync(&[1, 2]).write(1).write(2).read(0, 0).read(1, 1).read(2, 2);
        play.crash(1).crash(2).elect_uncleanly(3).restart(1).follows(1).truncate(1, 1).in_sync(&[3, 1]);
        play.write(3).write(4).write(5);
        let from = if told { 1 } else { 3 };
        if told {
            play.see(Observation::PositionReset { consumer: 1, partition: orders(), to: 1, cause: ResetCause::Other });
        }
        for offset in from..=3i64 {
            let record = Some(offset as u64 + 2);
            play.see(Observation::Read { consumer: 1, partition: orders(), offset, leader_epoch: 6, record });
        }
        play.judged().into_iter().filter(|(_, code, _)| *code == "poll-skip").collect::<Vec<_>>()
    };
    assert_eq!(story(true), []);
    assert_eq!(story(false), [(BUG, "poll-skip", None)]);
}

/// A fetch is on its way to b1, which leads in epoch 5, when b3 is elected uncleanly. Its reader finds its position, before r1, in b3's
/// history, and only then b1's answer comes, with r1 and r2: it is handed out, and r5 of epoch 6 behind it.
#[test]
fn an_answer_of_the_leader_before_shows_in_no_validation_when_it_comes_late() {
    let story = |validated_before: bool, and_after: bool| {
        let mut settings = settings(-1);
        topic(&mut settings).unclean_leader_election_enable = true;
        let mut play = Play::new(settings);
        let follows = |play: &mut Play, leader_epoch| {
            play.see(Observation::LeaderFollowed { consumer: 1, partition: orders(), leader_epoch });
        };
        follows(&mut play, 5);
        play.write(0).in_sync(&[1, 2]).write(1).write(2).read(0, 0);
        play.crash(1).crash(2).elect_uncleanly(3).restart(1).follows(1).truncate(1, 1).in_sync(&[3, 1]);
        play.write(3).write(4).write(5);
        if validated_before {
            follows(&mut play, 6);
        }
        play.read(1, 1).read(2, 2);
        if and_after {
            follows(&mut play, if validated_before { 7 } else { 6 });
        }
        play.see(Observation::Read { consumer: 1, partition: orders(), offset: 3, leader_epoch: 6, record: Some(5) });
        play.judged().into_iter().filter(|(_, code, _)| *code == "poll-skip").collect::<Vec<_>>()
    };
    assert_eq!(story(true, false), [(ALLOWED, "poll-skip", Some("unclean-election"))]);
    assert_eq!(story(false, true), [(BUG, "poll-skip", None)], "it asked b3 after it had read r2");
    assert_eq!(story(true, true), [(BUG, "poll-skip", None)], "it asked the next leader");
}

/// In epoch 5 all have r0, and b1 and b3 have r1 to r4 besides, or r1 alone, when b2 is elected uncleanly and writes r5 and r6 to offsets 1
/// and 2 in epoch 6. Who has read those asks the next leader where epoch 6 ends. b3, elected uncleanly, answers with the end of
/// epoch 5: offset 5, beyond where the consumer is. It reads on, and has gone over r1 and r2.
#[test]
fn a_branch_of_an_older_epoch_that_goes_on_shows_in_no_validation() {
    let story = |unclean_enabled: bool, goes_on: bool| {
        let mut settings = settings(-1);
        topic(&mut settings).unclean_leader_election_enable = unclean_enabled;
        let mut play = Play::new(settings);
        play.write(0).in_sync(&[1, 3]).write(1);
        if goes_on {
            play.write(2).write(3).write(4);
        }
        play.crash(1).crash(3).elect_uncleanly(2).write(5).write(6);
        let read = |play: &mut Play, offset, leader_epoch, record| {
            let record = Some(record);
            play.see(Observation::Read { consumer: 1, partition: orders(), offset, leader_epoch, record });
        };
        read(&mut play, 0, 5, 0);
        read(&mut play, 1, 6, 5);
        read(&mut play, 2, 6, 6);
        play.crash(2).restart(3).elect_uncleanly(3);
        if goes_on {
            read(&mut play, 3, 5, 3);
        } else {
            play.write(7).write(8);
            read(&mut play, 3, 7, 8);
        }
        play.judged().into_iter().filter(|(_, code, _)| *code == "poll-skip").collect::<Vec<_>>()
    };
    assert_eq!(story(true, true), [(ALLOWED, "poll-skip", Some("unclean-election"))]);
    assert_eq!(story(true, false), [(BUG, "poll-skip", None)], "epoch 5 ends before its position: it was to be told");
    assert_eq!(story(false, true), [(BUG, "poll-skip", None)], "what it had read was not to be lost");
}

#[test]
fn a_hole_is_not_skipped() {
    // Offset 1 holds no record that anybody ever saw, as a transaction marker would.
    let mut play = three_brokers(-1);
    play.given(0).told(0, Belief::Acked { offset: Some(0) }, 1).given(1).told(1, Belief::Acked { offset: Some(2) }, 1);
    play.read(0, 0).read(2, 1);
    assert_eq!(kinds(&play.verdict()), []);
}

#[test]
fn nothing_happened_is_not_passed() {
    let mut play = three_brokers(-1);
    assert_eq!(play.verdict().outcome, Outcome::Vacuous);
    play.write(0);
    assert_eq!(play.verdict().vacuous_because, ["no record was read"]);
    play.read(0, 0);
    assert_eq!(play.verdict().outcome, Outcome::Pass);
}

#[test]
fn a_scheduled_fault_must_take_effect() {
    let mut settings = settings(-1);
    settings.expected_fault_kinds = vec!["crash".into(), "cut".into()];
    let mut play = Play::new(settings);
    play.write(0).read(0, 0).crash(3);
    assert_eq!(play.verdict().vacuous_because, ["the scheduled fault cut never took effect"]);
    play.see(Observation::FaultTookEffect { kind: "cut".into() });
    assert_eq!(play.verdict().outcome, Outcome::Pass);
}

#[test]
fn a_bug_is_never_vacuous() {
    let mut play = three_brokers(-1);
    play.see(Observation::InternalAssertion { node: "b2".into(), message: "high watermark beyond log end".into() });
    let verdict = play.verdict();
    assert_eq!((kinds(&verdict), verdict.outcome), (vec![(BUG, "internal-assertion", None)], Outcome::Fail));
}

#[test]
fn impossible_ids_do_not_fill_memory() {
    let mut play = three_brokers(-1);
    play.write(0).read(0, 0).given(u64::MAX).told(u64::MAX - 1, Belief::Unknown, 1);
    assert_eq!(kinds(&play.verdict()), [(BUG, "internal-assertion", None)]);
}

#[test]
fn findings_as_machines_read_them() {
    let mut play = three_brokers(1);
    play.send(0).ack(0).crash(1).elect(2, &[2, 3]).final_read();
    let finding = serde_json::to_value(&play.verdict().findings[0]).expect("findings are plain data");
    let mut expected = serde_json::json!({
        "class": "ALLOWED", "code": "lost-write", "rule": "acks-1", "topic": "orders", "partition": 0, "offset": 0,
        "virtual_ms": 5008, "record": 0, "summary": finding["summary"], "chain": finding["chain"]
    });
    assert_eq!(finding, expected);
    expected["chain"] = finding["chain"][0].clone();
    let step: Vec<&String> = expected["chain"].as_object().map(|o| o.keys().collect()).unwrap_or_default();
    assert_eq!(step, ["event", "node", "sentence", "virtual_ns"]);
}

#[test]
fn of_many_alike_a_thousand_are_shown_and_all_counted() {
    let mut play = three_brokers(0);
    for record in 0..1_500 {
        play.given(record).told(record, Belief::Unpromised, 1);
    }
    play.final_end(0, true);
    let verdict = play.verdict();
    assert_eq!((verdict.findings.len(), verdict.count(Class::Info, "dropped-unpromised")), (1_000, 1_500));
}
