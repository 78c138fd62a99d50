//! What a log knows of its producers is the fold of its batches, whatever becomes of the log and of its snapshots; and no
//! batch stands in it twice.

mod common;

use std::collections::BTreeMap;

use common::{MemoryDisk, small};
use proptest::prelude::*;
use trial_storage::producers::{sequence_after, sequence_before};
use trial_storage::{BuildOptions, Log, LogConfig, LogError, NewRecord, Opening, ProducerConfig, build_batch};

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
        let appended = self.log.append_as_leader(&mut self.disk, build_batch(&records, options), 0)?;
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
        self.log = Log::open_at(&mut self.disk, "orders-0", config(), opening, 1).expect("the disk works").0;
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
