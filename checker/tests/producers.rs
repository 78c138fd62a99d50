//! Idempotent producers in the log: each rule broken once, and beside it what is allowed.

mod play;

use play::{kinds, orders, three_brokers};
use trial_checker::{Class, Entry, Observation, ProducerBatch, StartCause};

/// What b1 has committed: epoch, first and last sequence of a producer's batches, one after the other.
fn committed(batches: &[(i16, i32, i32)]) -> Vec<(Class, &'static str, Option<&'static str>)> {
    let mut play = three_brokers(-1);
    let mut end = 0;
    let entries: Vec<Entry> = batches
        .iter()
        .map(|&(epoch, first_sequence, last_sequence)| {
            let first_offset = end;
            end += 1;
            let producer = Some(ProducerBatch { id: 1000, epoch, first_sequence, last_sequence });
            Entry { first_offset, last_offset: first_offset, epoch: 5, hash: end as u64, records: vec![], producer }
        })
        .collect();
    // One by one, as a high watermark moves.
    for entry in entries {
        let to = entry.last_offset + 1;
        play.see(Observation::LogAppended { broker: 1, partition: orders(), as_leader: true, entries: vec![entry] });
        let legitimate_leader = true;
        play.see(Observation::HighWatermarkMoved {
            broker: 1,
            partition: orders(),
            to,
            leader_epoch: 5,
            legitimate_leader,
        });
    }
    let verdict = play.verdict();
    kinds(&verdict).into_iter().filter(|(_, code, _)| *code == "producer-sequence").collect()
}

const WRONG: [(Class, &str, Option<&str>); 1] = [(Class::Bug, "producer-sequence", None)];

#[test]
fn sequences_go_on_and_epochs_begin_at_zero() {
    let table: [&[(i16, i32, i32)]; 4] = [
        &[(0, 0, 4), (0, 5, 5), (1, 0, 0), (1, 1, 7), (4, 0, 2)],
        &[(3, 41, 42), (3, 43, 43)],
        &[(0, i32::MAX - 1, i32::MAX), (0, 0, 3)],
        &[(0, i32::MAX, 1), (0, 2, 2)],
    ];
    for batches in table {
        assert_eq!(committed(batches), [], "{batches:?}");
    }
}

#[test]
fn a_batch_twice_a_gap_a_late_beginning_and_an_old_epoch_are_wrong() {
    let table: [&[(i16, i32, i32)]; 4] =
        [&[(0, 0, 4), (0, 0, 4)], &[(0, 0, 4), (0, 6, 6)], &[(0, 0, 4), (1, 1, 1)], &[(1, 0, 4), (0, 5, 5)]];
    for batches in table {
        assert_eq!(committed(batches), WRONG, "{batches:?}");
    }
}

/// b1 deletes record 0, which it has or only its log's past had, before the next batch of the producer comes.
fn behind_what_was_deleted(first_sequence: i32) -> bool {
    let mut play = three_brokers(-1);
    play.given(1).append_of(1, 0, 0).fetch(2).fetch(3);
    let cause = StartCause::DeleteRecords;
    play.see(Observation::LogStartMoved { broker: 1, partition: orders(), to: 1, cause }).commit();
    play.given(2).append_of(2, 0, first_sequence).fetch(2).fetch(3).commit();
    play.given(3).append_of(3, 0, 9).fetch(2).fetch(3).commit();
    kinds(&play.verdict()).contains(&WRONG[0])
}

#[test]
fn a_producer_goes_on_anywhere_behind_what_its_leader_had_deleted_before_it_was_committed() {
    assert!(!behind_what_was_deleted(8), "what stood below, the log does not say");
    assert!(behind_what_was_deleted(1), "from there on it is contiguous");
}
