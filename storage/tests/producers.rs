//! What a log knows of its producers is the fold of its batches, whatever becomes of the log and of its snapshots; and no
//! batch stands in it twice.

mod common;

use std::collections::BTreeMap;

use common::{MemoryDisk, small};
use proptest::prelude::*;
use trial_storage::producers::{sequence_after, sequence_before};
use trial_storage::{
    Breach, BuildOptions, Log, LogConfig, LogError, NewRecord, Opening, ProducerConfig, Retention, build_batch,
};

fn config() -> LogConfig {
    LogConfig { producers: Some(ProducerConfig::default()), ..small() }
}

/// Epoch, first sequence, number of records, first offset.
type Known = (i16, i32, i32, i64);

#[derive(Clone, Debug)]
enum Op {
    /// The producer's next batch.
    Next {
        producer: i64,
        records: i32,
    },
    /// One of its earlier batches, counted from the last.
    Again {
        producer: i64,
        back: usize,
    },
    /// The first batch of its next epoch.
    NewEpoch {
        producer: i64,
    },
    /// A sequence that is not the next.
    Gap {
        producer: i64,
        by: i32,
    },
    Truncate(prop::sample::Index),
    StartAt(i64),
    OrderlyStop,
    Crash {
        recovery_point: prop::sample::Index,
    },
    /// The latest snapshots are torn by this crash, so many of them.
    CrashAndTear {
        torn: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let producer = || 0..3i64;
    prop_oneof![
        12 => (producer(), 1..4i32).prop_map(|(producer, records)| Op::Next { producer, records }),
        6 => (producer(), 0..8usize).prop_map(|(producer, back)| Op::Again { producer, back }),
        1 => producer().prop_map(|producer| Op::NewEpoch { producer }),
        2 => (producer(), 1..5i32).prop_map(|(producer, by)| Op::Gap { producer, by }),
        2 => any::<prop::sample::Index>().prop_map(Op::Truncate),
        1 => (0..500i64).prop_map(Op::StartAt),
        1 => Just(Op::OrderlyStop),
        1 => any::<prop::sample::Index>().prop_map(|recovery_point| Op::Crash { recovery_point }),
        1 => (1..4usize).prop_map(|torn| Op::CrashAndTear { torn }),
    ]
}

/// The log, and beside it every batch of each producer that it holds.
struct Pair {
    log: Log,
    disk: MemoryDisk,
    batches: BTreeMap<i64, Vec<Known>>,
}

impl Pair {
    fn send(&mut self, producer: i64, epoch: i16, sequence: i32, records: i32) -> Result<(bool, i64), LogError> {
        let options = BuildOptions {
            producer_id: producer,
            producer_epoch: epoch,
            base_sequence: sequence,
            ..BuildOptions::default()
        };
        let records = vec![NewRecord { timestamp: 1, ..NewRecord::default() }; records as usize];
        let appended = self.log.append_as_leader(&mut self.disk, build_batch(&records, options), 0, 0)?;
        if !appended.duplicate {
            let known = (epoch, sequence, records.len() as i32, appended.first_offset);
            self.batches.entry(producer).or_default().push(known);
        }
        Ok((appended.duplicate, appended.first_offset))
    }
    /// Epoch and sequence of the producer's next batch. A new one begins where sequences are about to wrap.
    fn next(&self, producer: i64) -> (i16, i32) {
        let last = self.batches.get(&producer).and_then(|batches| batches.last());
        last.map_or((0, i32::MAX - 3), |(epoch, first, records, _)| (*epoch, sequence_after(*first, *records)))
    }
    fn open(&mut self, opening: Opening) {
        self.log = Log::open_at(&mut self.disk, "orders-0", config(), opening, self.log.log_start_offset(), 1)
            .expect("the disk works")
            .0;
    }
    fn keep_below(&mut self, end: i64) {
        self.batches
            .values_mut()
            .for_each(|batches| batches.retain(|(_, _, records, at)| at + i64::from(*records) <= end));
        self.batches.retain(|_, batches| !batches.is_empty());
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let known = self.log.producers().expect("it knows its producers").entries();
        prop_assert_eq!(known.keys().collect::<Vec<_>>(), self.batches.keys().collect::<Vec<_>>());
        for (producer, batches) in &self.batches {
            let entry = &known[producer];
            let remembered: Vec<Known> = entry
                .batches()
                .map(|b| {
                    (
                        entry.epoch(),
                        sequence_before(b.last_sequence, b.offset_delta),
                        b.offset_delta + 1,
                        b.first_offset(),
                    )
                })
                .collect();
            prop_assert!((1..=5).contains(&remembered.len()));
            prop_assert!(batches.ends_with(&remembered), "{:?} of {:?}", remembered, batches);
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn the_state_is_the_fold_of_the_log(ops in prop::collection::vec(op(), 1..120)) {
        let mut disk = MemoryDisk::default();
        let (log, _) = Log::open(&mut disk, "orders-0", config(), Opening::Clean).unwrap();
        let mut pair = Pair { log, disk, batches: BTreeMap::new() };
        for op in ops {
            match op {
                Op::Next { producer, records } => {
                    let ((epoch, sequence), end) = (pair.next(producer), pair.log.log_end_offset());
                    prop_assert_eq!(pair.send(producer, epoch, sequence, records), Ok((false, end)));
                }
                Op::Again { producer, back } => {
                    let batches = pair.batches.get(&producer).cloned().unwrap_or_default();
                    let Some(&(epoch, sequence, records, at)) = batches.iter().rev().nth(back) else { continue };
                    match pair.send(producer, epoch, sequence, records) {
                        Ok(answer) => prop_assert_eq!(answer, (true, at)),
                        Err(error) => prop_assert!(matches!(error, LogError::Producer(_)) && back > 0, "{}", error),
                    }
                }
                Op::NewEpoch { producer } => {
                    let (epoch, _) = pair.next(producer);
                    prop_assert!(!pair.send(producer, epoch + 1, 0, 1).unwrap().0);
                }
                Op::Gap { producer, by } => {
                    let (epoch, sequence) = pair.next(producer);
                    if pair.batches.contains_key(&producer) {
                        prop_assert!(pair.send(producer, epoch, sequence_after(sequence, by), 1).is_err());
                    }
                }
                Op::Truncate(to) => {
                    let (start, end) = (pair.log.log_start_offset(), pair.log.log_end_offset());
                    let to = start + to.index((end - start) as usize + 1) as i64;
                    pair.log.truncate_to_at(&mut pair.disk, to, 1).unwrap();
                    pair.keep_below(pair.log.log_end_offset());
                }
                Op::StartAt(offset) => {
                    pair.log.truncate_fully_and_start_at(&mut pair.disk, offset).unwrap();
                    pair.batches.clear();
                }
                Op::OrderlyStop => {
                    pair.log.take_producer_snapshot(&mut pair.disk).unwrap();
                    pair.open(Opening::Clean);
                }
                Op::Crash { recovery_point } => {
                    let recovery_point = recovery_point.index(pair.log.log_end_offset() as usize + 1) as i64;
                    pair.open(Opening::Unclean { recovery_point });
                }
                Op::CrashAndTear { torn } => {
                    let snapshots = pair.disk.files.iter_mut().rev().filter(|((_, name), _)| name.ends_with(".snapshot"));
                    snapshots.take(torn).for_each(|(_, content)| content.truncate(content.len() / 2));
                    pair.open(Opening::Unclean { recovery_point: pair.log.log_end_offset() });
                }
            }
            pair.check()?;
        }
    }
}

/// A log of batches that fill a segment by three, from two producers: 7 is heard only at offset 0, 8 from there on.
fn nine() -> (Log, MemoryDisk) {
    let mut disk = MemoryDisk::default();
    let (mut log, _) = Log::open(&mut disk, "orders-0", config(), Opening::Clean).unwrap();
    for at in 0..9 {
        append(&mut log, &mut disk, at);
    }
    assert_eq!(snapshots(&disk), segments(&disk)[1..], "one stands where each new segment begins");
    (log, disk)
}

fn append(log: &mut Log, disk: &mut MemoryDisk, at: i32) -> bool {
    let (producer_id, base_sequence) = if at == 0 { (7, 0) } else { (8, at) };
    let options = BuildOptions { producer_id, producer_epoch: 0, base_sequence, ..BuildOptions::default() };
    let record = NewRecord { timestamp: 1_000, value: Some("v".repeat(60).into()), ..NewRecord::default() };
    log.append_as_leader(disk, build_batch(&[record], options), 0, 0).expect("it is the next or known").duplicate
}

fn offsets_of(disk: &MemoryDisk, suffix: &str) -> Vec<i64> {
    disk.files.keys().filter_map(|(_, name)| name.strip_suffix(suffix)?.parse().ok()).collect()
}
fn snapshots(disk: &MemoryDisk) -> Vec<i64> {
    offsets_of(disk, ".snapshot")
}
fn segments(disk: &MemoryDisk) -> Vec<i64> {
    offsets_of(disk, ".log")
}
fn known(log: &Log) -> Vec<i64> {
    log.producers().expect("it knows its producers").entries().keys().copied().collect()
}
fn open_at(disk: &mut MemoryDisk, opening: Opening, log_start_offset: i64) -> Log {
    Log::open_at(disk, "orders-0", config(), opening, log_start_offset, 1_000).expect("the disk works").0
}

#[test]
fn producers_stay_when_the_log_gives_up_its_beginning() {
    let (mut log, mut disk) = nine();
    assert_eq!(log.maybe_increment_log_start_offset(&mut disk, 4), Ok(true));
    assert_eq!((segments(&disk), snapshots(&disk)), (vec![0, 3, 6], vec![3, 6]), "nothing is deleted yet");
    assert!(append(&mut log, &mut disk, 0), "the batch is gone, and known");

    assert_eq!(log.delete_before(&mut disk, 7), Ok(2));
    assert_eq!((segments(&disk), snapshots(&disk)), (vec![6], vec![6]), "a snapshot goes with its segment");
    assert_eq!(known(&log), [7, 8]);

    log.take_producer_snapshot(&mut disk).unwrap();
    let log = open_at(&mut disk, Opening::Clean, 7);
    assert_eq!((log.log_start_offset(), known(&log)), (7, vec![7, 8]), "the stop wrote them down");
}

/// After a crash a producer is known by a snapshot above the log's start, or by what is left of the log.
#[test]
fn a_crash_costs_a_producer_that_only_the_lost_beginning_knew() {
    let (_, disk) = nine();
    for (start, remembered) in [(4, vec![7, 8]), (7, vec![8])] {
        let mut disk = disk.clone();
        let log = open_at(&mut disk, Opening::Unclean { recovery_point: 6 }, start);
        assert_eq!((log.log_start_offset(), known(&log)), (start, remembered), "{:?}", snapshots(&disk));
    }
}

/// As in Kafka: the snapshot of the last roll serves a log that goes on, and no start, for it does not lie above the log's
/// own start.
#[test]
fn who_is_known_after_retention_took_everything_is_forgotten_at_the_next_start() {
    let (mut log, mut disk) = nine();
    let moves = log.delete_old_segments(&mut disk, Retention { ms: -1, bytes: 0 }, 9, 1_000).unwrap();
    assert_eq!(moves, [(Breach::Size, 0, 9)]);
    assert_eq!((segments(&disk), snapshots(&disk), known(&log)), (vec![9], vec![9], vec![7, 8]));
    assert!(append(&mut log, &mut disk, 8), "the batch is gone, and known");
    let log = open_at(&mut disk, Opening::Unclean { recovery_point: 9 }, 0);
    assert_eq!((log.log_start_offset(), known(&log), snapshots(&disk)), (9, vec![], vec![]));
}

#[test]
fn a_snapshot_is_synced_with_the_segment_that_ends_there() {
    let (mut log, mut disk) = nine();
    let mark = log.sync_of_full_segments_started();
    assert!(log.unsynced_producer_snapshots().iter().all(|target| log.unsynced_full_segments().contains(target)));
    assert!(!append(&mut log, &mut disk, 9));
    assert_eq!((segments(&disk), log.unsynced_producer_snapshots().len()), (vec![0, 3, 6, 9], 3));
    log.synced(mark);
    assert_eq!(log.unsynced_producer_snapshots().len(), 1, "that of the roll since");
    let mark = log.sync_of_full_segments_started();
    log.synced(mark);
    assert_eq!(log.unsynced_producer_snapshots(), []);
}
