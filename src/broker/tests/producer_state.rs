//! What a log knows of its producers, whatever becomes of the log.

use std::collections::BTreeMap;

use trial_storage::{
    BuildOptions, Disk, Log, LogConfig, LogError, NewRecord, OpenMode, Opening, ProducerConfig, ProducerError,
    build_batch,
};

use crate::conformance::producer_rules_of_logs;
use crate::testing::memory_disk::MemoryDisk;

const PRODUCER: i64 = 7;
const CRASHED: Opening = Opening::Unclean { recovery_point: 0 };

/// Four batches of one record fill a segment; a producer is forgotten after a second.
fn config() -> LogConfig {
    let producers = ProducerConfig { expiration_ms: 1_000, rules: producer_rules_of_logs() };
    LogConfig {
        segment_bytes: 300,
        index_interval_bytes: 100,
        max_batch_bytes: 10_000,
        producers: Some(producers),
        ..LogConfig::DEFAULT
    }
}

/// A batch of a producer, its records of timestamp 5.
fn batch(producer_id: i64, epoch: i16, sequence: i32, records: usize, base_offset: i64) -> bytes::Bytes {
    let record = NewRecord { timestamp: 5, value: Some(bytes::Bytes::from_static(b"v")), ..NewRecord::default() };
    let options = BuildOptions {
        producer_id,
        producer_epoch: epoch,
        base_sequence: sequence,
        base_offset,
        partition_leader_epoch: 0,
        ..BuildOptions::default()
    };
    build_batch(&vec![record; records], options)
}

/// A log that knows its producers.
struct Kept {
    log: Log,
    disk: MemoryDisk,
}

/// What an append came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    At(i64),
    BeforeAt(i64),
    OutOfOrder { expected: i32 },
    OldEpoch,
}
use Came::{At, BeforeAt, OldEpoch, OutOfOrder};

impl Kept {
    fn new() -> Kept {
        let mut disk = MemoryDisk::default();
        let (log, _) = Log::open(&mut disk, "orders-0", config(), Opening::Clean).expect("the disk works");
        Kept { log, disk }
    }
    /// With so many batches of one record from the producer, sequences from 0.
    fn with_batches(batches: i32) -> Kept {
        let mut kept = Kept::new();
        for sequence in 0..batches {
            assert_eq!(kept.send(0, sequence), At(i64::from(sequence)));
        }
        kept
    }
    fn send(&mut self, epoch: i16, sequence: i32) -> Came {
        self.send_as(PRODUCER, epoch, sequence, 1)
    }
    fn send_as(&mut self, producer_id: i64, epoch: i16, sequence: i32, records: usize) -> Came {
        match self.log.append_as_leader(&mut self.disk, batch(producer_id, epoch, sequence, records, 0), 0, 0) {
            Ok(appended) if appended.duplicate => BeforeAt(appended.first_offset),
            Ok(appended) => At(appended.first_offset),
            Err(LogError::Producer(ProducerError::OutOfOrderSequence { expected, .. })) => OutOfOrder { expected },
            Err(LogError::Producer(ProducerError::InvalidProducerEpoch { .. })) => OldEpoch,
            Err(error) => panic!("{error}"),
        }
    }
    /// A new process opens the log at this wall time.
    fn open_again(&mut self, opening: Opening, wall: i64) {
        let opened = Log::open_at(&mut self.disk, "orders-0", config(), opening, 0, wall);
        self.log = opened.expect("the disk works").0;
    }
    fn sync(&mut self) {
        let (targets, mark) = (self.log.unsynced(), self.log.sync_started());
        let pending = self.disk.snapshot_for_sync(&targets);
        self.disk.complete_sync(pending);
        self.log.synced(mark);
    }
    fn snapshots(&self) -> Vec<i64> {
        let names = self.disk.list(self.log.dir()).expect("the disk works");
        names.iter().filter_map(|name| name.strip_suffix(".snapshot")?.parse().ok()).collect()
    }
    /// Sequences of the remembered batches, last ones.
    fn remembered(&self) -> Vec<i32> {
        let entries: &BTreeMap<_, _> = self.log.producers().expect("it knows its producers").entries();
        entries.get(&PRODUCER).map_or(Vec::new(), |entry| entry.batches().map(|b| b.last_sequence).collect())
    }
}

#[test]
fn the_same_sequences_in_a_new_epoch_are_another_batch() {
    let mut kept = Kept::with_batches(1);
    assert_eq!(kept.send(1, 0), At(1));
    assert_eq!(kept.send(1, 0), BeforeAt(1), "and that one is known now");
    assert_eq!(kept.send(0, 0), OldEpoch);
}

#[test]
fn the_last_five_batches_are_known_and_no_older_one() {
    let mut kept = Kept::with_batches(7);
    for sequence in 2..7 {
        assert_eq!(kept.send(0, sequence), BeforeAt(i64::from(sequence)));
    }
    assert_eq!(kept.send(0, 1), OutOfOrder { expected: 7 });
    assert_eq!(kept.send_as(PRODUCER, 0, 5, 2), OutOfOrder { expected: 7 }, "first and last sequence must be the same");
}

#[test]
fn behind_the_largest_sequence_comes_zero() {
    let mut kept = Kept::new();
    assert_eq!(kept.send_as(PRODUCER, 0, i32::MAX - 1, 2), At(0));
    assert_eq!(kept.send(0, 0), At(2));
    assert_eq!(kept.send_as(PRODUCER, 0, i32::MAX - 1, 2), BeforeAt(0));
    // A batch may reach across.
    assert_eq!(kept.send_as(8, 0, i32::MAX, 3), At(3));
    assert_eq!(kept.send_as(8, 0, i32::MAX, 3), BeforeAt(3));
    assert_eq!(kept.send_as(8, 0, 2, 1), At(6));
}

#[test]
fn an_unknown_producer_begins_anywhere() {
    let mut kept = Kept::new();
    assert_eq!(kept.send(3, 41), At(0));
    assert_eq!(kept.send(3, 43), OutOfOrder { expected: 42 });
    assert_eq!(kept.send(3, 42), At(1));
}

/// Of several batches in one append each is checked against the one before, unless nothing was known of the producer.
#[test]
fn several_batches_are_appended_together_or_not_at_all() {
    let mut kept = Kept::with_batches(1);
    let mut two = |first: i32, second: i32| {
        let bytes = [batch(PRODUCER, 0, first, 1, 0), batch(PRODUCER, 0, second, 1, 0)].concat();
        kept.log
            .append_as_leader(&mut kept.disk, bytes.into(), 0, 0)
            .map(|appended| (appended.duplicate, appended.last_offset))
    };
    assert!(two(1, 3).is_err());
    assert_eq!(two(1, 2), Ok((false, 2)));
    assert_eq!(two(3, 1), Ok((true, 1)), "one duplicate makes all of it one");
    assert_eq!(kept.log.log_end_offset(), 3);
}

#[test]
fn a_follower_takes_what_its_leader_has_and_knows_the_producer_then() {
    let mut kept = Kept::new();
    for (offset, epoch, sequence) in [(0, 1, 5), (1, 1, 9), (2, 0, 3), (3, 1, 10)] {
        let sent = batch(PRODUCER, epoch, sequence, 1, offset);
        kept.log.append_as_follower(&mut kept.disk, sent, i32::MAX).expect("what the leader has is right");
    }
    assert_eq!(kept.send(1, 10), BeforeAt(3));
    assert_eq!(kept.send(1, 12), OutOfOrder { expected: 11 });
    assert_eq!(kept.send(1, 11), At(4));
}

#[test]
fn a_snapshot_stands_where_a_segment_begins() {
    let mut kept = Kept::with_batches(9);
    assert_eq!((kept.snapshots(), kept.log.segment_count()), (vec![4, 8], 3));
    assert_eq!(kept.log.unsynced_producer_snapshots().len(), 2, "no append waited for that");
    kept.sync();
    assert_eq!(kept.log.unsynced_producer_snapshots().len(), 0, "it is synced with the segment");
    kept.disk.lose_power();
    assert_eq!(kept.snapshots(), [4, 8]);
}

/// A snapshot holds one batch of a producer: what is loaded from it knows fewer duplicates, as in Kafka.
#[test]
fn a_crashed_log_builds_its_state_from_snapshot_and_log() {
    let mut kept = Kept::with_batches(7);
    kept.open_again(Opening::Unclean { recovery_point: 4 }, 5);
    assert_eq!(kept.remembered(), [6], "recovery left a snapshot at the end");
    assert_eq!(kept.snapshots(), [4, 7]);
    assert_eq!(kept.send(0, 6), BeforeAt(6));
    assert_eq!(kept.send(0, 5), OutOfOrder { expected: 7 });
    assert_eq!(kept.send(0, 7), At(7));
    kept.open_again(Opening::Clean, 5);
    assert_eq!(kept.remembered(), [6, 7], "from the snapshot, and from the log behind it");
}

#[test]
fn a_loss_of_power_takes_the_state_back_to_what_the_log_is() {
    let mut kept = Kept::with_batches(2);
    kept.sync();
    for sequence in 2..9 {
        kept.send(0, sequence);
    }
    kept.disk.lose_power();
    kept.open_again(CRASHED, 5);
    assert_eq!((kept.log.log_end_offset(), kept.remembered()), (2, vec![1]));
    assert_eq!(kept.send(0, 2), At(2), "what was lost is no duplicate");
}

#[test]
fn without_a_snapshot_an_orderly_stop_means_that_there_were_no_producers() {
    let mut kept = Kept::with_batches(3);
    kept.open_again(Opening::Clean, 5);
    assert_eq!((kept.remembered(), kept.snapshots()), (vec![], vec![3]));
    assert_eq!(kept.send(0, 9), At(3));
}

#[test]
fn what_is_truncated_is_not_remembered() {
    let mut kept = Kept::with_batches(10);
    kept.log.truncate_to_at(&mut kept.disk, 6, 5).expect("the disk works");
    assert_eq!(kept.remembered(), [3, 4, 5], "the snapshot at 4 has one batch, the log behind it two");
    assert_eq!(kept.snapshots(), [4, 6], "that of the segment at 8 is gone");
    assert_eq!(kept.send(0, 7), OutOfOrder { expected: 6 });
    assert_eq!(kept.send(0, 6), At(6));
}

#[test]
fn a_snapshot_of_what_was_cut_away_does_not_come_back() {
    let mut kept = Kept::with_batches(6);
    kept.log.take_producer_snapshot(&mut kept.disk).expect("the disk works");
    assert_eq!(kept.snapshots(), [4, 6]);
    kept.log.truncate_to_at(&mut kept.disk, 5, 5).expect("the disk works");
    assert_eq!(kept.snapshots(), [4, 5]);
    assert_eq!(kept.send(0, 5), At(5));
}

#[test]
fn an_emptied_log_knows_nobody() {
    let mut kept = Kept::with_batches(6);
    kept.log.truncate_fully_and_start_at(&mut kept.disk, 50).expect("the disk works");
    assert_eq!((kept.remembered(), kept.snapshots()), (vec![], vec![]));
    assert_eq!(kept.send(0, 77), At(50));
}

#[test]
fn a_corrupt_snapshot_is_removed_and_the_one_before_it_counts() {
    let mut kept = Kept::with_batches(6);
    kept.log.take_producer_snapshot(&mut kept.disk).expect("the disk works");
    let name = format!("{:020}.snapshot", 6);
    let file = kept.disk.open(kept.log.dir(), &name, OpenMode::Existing).expect("it was written");
    kept.disk.write(file, 12, bytes::Bytes::from_static(&[0xff])).expect("the disk works");
    kept.open_again(Opening::Clean, 5);
    assert_eq!(kept.remembered(), [3, 4, 5], "from the snapshot at 4 and the log behind it");
    assert_eq!(kept.snapshots(), [4, 6], "and the one at 6 was written anew");
    kept.open_again(Opening::Clean, 5);
    assert_eq!(kept.remembered(), [5]);
}

#[test]
fn a_producer_outlives_its_batches() {
    let mut kept = Kept::with_batches(4);
    assert_eq!(kept.send_as(8, 0, 0, 1), At(4));
    kept.log.delete_before(&mut kept.disk, 4).expect("the disk works");
    assert_eq!(kept.log.log_start_offset(), 4);
    assert_eq!(kept.send(0, 9), OutOfOrder { expected: 4 });
    assert_eq!(kept.send(0, 4), At(5));
}

#[test]
fn an_expired_producer_is_not_loaded() {
    for (wall, remembered) in [(1_004, vec![3]), (1_005, vec![])] {
        let mut kept = Kept::with_batches(4);
        kept.log.take_producer_snapshot(&mut kept.disk).expect("the disk works");
        kept.open_again(Opening::Clean, wall);
        assert_eq!(kept.remembered(), remembered, "at {wall}");
    }
}
