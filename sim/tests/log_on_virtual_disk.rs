//! A log on the virtual disk: what its recovery point promises is what a loss of power leaves.

use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;
use trial_sim::disk::VirtualDisk;
use trial_storage::{BuildOptions, EpochEntry, Log, LogConfig, NewRecord, Opening, build_batch};

const CONFIG: LogConfig =
    LogConfig { segment_bytes: 1_000, index_interval_bytes: 200, max_batch_bytes: 1_000, ..LogConfig::DEFAULT };

#[derive(Clone, Debug)]
enum Op {
    Append {
        size: usize,
        new_epoch: bool,
    },
    Truncate(prop::sample::Index),
    /// The log begins later; whoever says so knows it durably, as the metadata log's owner does by its snapshot.
    DeleteBefore(prop::sample::Index),
    /// A follower so far behind that it begins anew, at or behind its log's end.
    StartAnew(i64),
    AskSync,
    CompleteSync,
    Wait(u64),
    ProcessCrash,
    PowerLoss,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0..300usize, prop::bool::weighted(0.1)).prop_map(|(size, new_epoch)| Op::Append { size, new_epoch }),
        1 => any::<prop::sample::Index>().prop_map(Op::Truncate),
        1 => any::<prop::sample::Index>().prop_map(Op::DeleteBefore),
        1 => (0..30i64).prop_map(Op::StartAnew),
        3 => Just(Op::AskSync),
        3 => Just(Op::CompleteSync),
        1 => (1..20u64).prop_map(Op::Wait),
        1 => Just(Op::ProcessCrash),
        1 => Just(Op::PowerLoss),
    ]
}

fn batch(size: usize) -> Bytes {
    build_batch(&[NewRecord { value: Some(vec![7; size].into()), ..NewRecord::default() }], BuildOptions::default())
}

fn content(log: &Log, disk: &mut VirtualDisk, end: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next_offset = log.log_start_offset();
    while next_offset < end {
        let piece = log.read(disk, next_offset, end, 10_000, true).unwrap();
        for batch in trial_storage::Batches::new(piece.clone()) {
            next_offset = batch.unwrap().header.next_offset();
        }
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// Where the log is empty, its cut beginning may have left the epoch that was in force there, and a truncation takes it.
fn epochs_with_records(log: &Log) -> Vec<EpochEntry> {
    log.epochs().iter().copied().filter(|entry| entry.start_offset < log.log_end_offset()).collect()
}

proptest! {
    #[test]
    fn what_was_flushed_survives(ops in prop::collection::vec(op(), 0..150), mut state: u64) {
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let mut disk = VirtualDisk::new(None);
        let (mut log, _) = Log::open(&mut disk, "orders-0", CONFIG, Opening::Clean).unwrap();
        let (mut epoch, mut seconds, mut start) = (0, 0, 0);
        let mut under_way = VecDeque::new();
        for op in ops {
            match op {
                Op::Append { size, new_epoch } => {
                    epoch += i32::from(new_epoch);
                    log.append_as_leader(&mut disk, batch(size), epoch, 0).unwrap();
                }
                Op::Truncate(to) => {
                    // A new leader follows a truncation, so that no two batches of one epoch and offset differ.
                    epoch += 1;
                    let to = start + to.index((log.log_end_offset() - start) as usize + 1) as i64;
                    log.truncate_to(&mut disk, to).unwrap();
                }
                Op::DeleteBefore(at) => {
                    start += at.index((log.log_end_offset() - start) as usize + 1) as i64;
                    log.delete_before(&mut disk, start).unwrap();
                    prop_assert_eq!(log.log_start_offset(), start);
                }
                Op::StartAnew(ahead) => {
                    epoch += 1;
                    start = log.log_end_offset() + ahead;
                    log.truncate_fully_and_start_at(&mut disk, start).unwrap();
                    prop_assert_eq!((log.log_start_offset(), log.log_end_offset()), (start, start));
                }
                Op::AskSync => {
                    let targets = log.unsynced();
                    under_way.push_back((disk.snapshot_for_sync(&targets), log.sync_started()));
                }
                Op::CompleteSync => {
                    if let Some((pending, mark)) = under_way.pop_front() {
                        disk.complete_sync(pending).unwrap();
                        log.synced(mark);
                    }
                }
                Op::Wait(more) => {
                    seconds += more;
                    disk.set_time(seconds * 1_000_000_000);
                }
                Op::ProcessCrash => {
                    under_way.clear();
                    let (end, epochs) = (log.log_end_offset(), epochs_with_records(&log));
                    let before = content(&log, &mut disk, end);
                    disk.process_crash();
                    let opening = Opening::Unclean { recovery_point: log.recovery_point() };
                    let (again, recovered) = Log::open_from(&mut disk, "orders-0", CONFIG, opening, start).unwrap();
                    prop_assert_eq!((recovered.log_end_offset, recovered.discarded_bytes), (end, 0));
                    prop_assert_eq!(content(&again, &mut disk, end), before);
                    prop_assert_eq!(epochs_with_records(&again), epochs);
                    prop_assert_eq!(again.recovery_point(), log.recovery_point());
                    log = again;
                }
                Op::PowerLoss => {
                    under_way.clear();
                    let promised = log.recovery_point().max(start);
                    let before = content(&log, &mut disk, promised);
                    disk.power_loss(&mut random);
                    let opening = Opening::Unclean { recovery_point: promised };
                    let (again, recovered) = Log::open_from(&mut disk, "orders-0", CONFIG, opening, start).unwrap();
                    prop_assert_eq!(again.log_start_offset(), start);
                    prop_assert!(recovered.log_end_offset >= promised, "flushed to {promised}, {recovered:?}");
                    prop_assert_eq!(content(&again, &mut disk, promised), before);
                    for header in again.batch_headers(&mut disk, start, i64::MAX).unwrap() {
                        let known = again.epoch_of_offset(header.base_offset);
                        prop_assert_eq!(known, Some(header.partition_leader_epoch));
                    }
                    log = again;
                }
            }
        }
    }
}

#[test]
fn without_a_sync_power_loss_takes_the_log() {
    let mut disk = VirtualDisk::new(None);
    let (mut log, _) = Log::open(&mut disk, "orders-0", CONFIG, Opening::Clean).unwrap();
    log.append_as_leader(&mut disk, batch(10), 0, 0).unwrap();
    let mut written_back = disk.clone();
    disk.power_loss(&mut || 0);
    let (_, recovered) = Log::open(&mut disk, "orders-0", CONFIG, Opening::Unclean { recovery_point: 0 }).unwrap();
    assert_eq!(recovered.log_end_offset, 0);

    written_back.set_time(30_000_000_000);
    written_back.power_loss(&mut || 0);
    let opening = Opening::Unclean { recovery_point: 0 };
    let (_, recovered) = Log::open(&mut written_back, "orders-0", CONFIG, opening).unwrap();
    assert_eq!(recovered.log_end_offset, 1, "what is 30 s old is on the device");
}

/// The zoo's `epoch-cache-hole`: without it the epochs are those of the batches; with it the file counts that the power left.
#[test]
fn epochs_that_go_without_a_sync_take_the_others_along() {
    let epochs_after = |epoch_cache_hole| {
        let config = LogConfig { epoch_cache_hole, ..CONFIG };
        let mut disk = VirtualDisk::new(None);
        let (mut log, _) = Log::open(&mut disk, "orders-0", config, Opening::Clean).unwrap();
        for epoch in [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2] {
            log.append_as_leader(&mut disk, batch(300), epoch, 0).unwrap();
        }
        let mark = log.sync_started();
        let pending = disk.snapshot_for_sync(&log.unsynced());
        disk.complete_sync(pending).unwrap();
        log.synced(mark);
        log.delete_before(&mut disk, 1).unwrap();
        let recovery_point = log.recovery_point();
        disk.power_loss(&mut || 0);
        let opening = Opening::Unclean { recovery_point };
        let (log, _) = Log::open_from(&mut disk, "orders-0", config, opening, 1).unwrap();
        log.epochs().iter().map(|entry| (entry.epoch, entry.start_offset)).collect::<Vec<_>>()
    };
    assert_eq!(epochs_after(false), [(0, 1), (1, 4), (2, 8)]);
    assert_eq!(epochs_after(true), [(2, 10)], "the last segment alone was looked through");
}
