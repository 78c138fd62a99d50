//! A log whose beginning was cut, and one that begins anew far ahead.

mod common;

use common::{MemoryDisk, batch, leader_batch, small};
use trial_storage::{Breach, Disk, Log, LogError, Opening, Retention};

const UNCLEAN: Opening = Opening::Unclean { recovery_point: 0 };

/// Offsets 0 to 11 in four segments from 0, 3, 6 and 9, one record a batch, epoch 1 from offset 4 and epoch 2 from 8.
fn twelve(disk: &mut MemoryDisk) -> Log {
    let (mut log, _) = Log::open(disk, "m-0", small(), Opening::Clean).unwrap();
    for offset in 0..12 {
        log.append_as_leader(disk, batch(1, &"v".repeat(60), 0), offset / 4, 0).unwrap();
    }
    assert_eq!(bases(disk), [0, 3, 6, 9]);
    log
}
fn bases(disk: &MemoryDisk) -> Vec<i64> {
    disk.segments().iter().map(|(name, _)| name[..20].parse().unwrap()).collect()
}
fn epochs(log: &Log) -> Vec<(i32, i64)> {
    log.epochs().iter().map(|entry| (entry.epoch, entry.start_offset)).collect()
}
fn offsets(log: &Log, disk: &mut MemoryDisk) -> Vec<i64> {
    let headers = log.batch_headers(disk, log.log_start_offset(), i64::MAX).unwrap();
    headers.iter().map(|header| header.base_offset).collect()
}

#[test]
fn what_lies_below_the_start_is_gone_or_not_served() {
    let mut disk = MemoryDisk::default();
    let mut log = twelve(&mut disk);
    assert_eq!(log.delete_before(&mut disk, 7), Ok(2));
    assert_eq!(bases(&disk), [6, 9], "offset 6 shares a segment with the start");
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (7, 12));
    assert_eq!(epochs(&log), [(1, 7), (2, 8)]);
    assert!(matches!(log.read(&mut disk, 6, 99, 999, true), Err(LogError::OffsetOutOfRange { requested: 6, .. })));
    assert_eq!(offsets(&log, &mut disk), [7, 8, 9, 10, 11]);
    assert_eq!(log.end_offset_for(1).unwrap().end_offset, 8);
    assert_eq!(log.delete_before(&mut disk, 5), Ok(0), "the start never goes back");
    assert_eq!(log.log_start_offset(), 7);
    assert!(log.delete_before(&mut disk, 13).is_err(), "nor beyond the end");
}

#[test]
fn the_whole_log_may_go_but_for_the_segment_that_is_written_to() {
    let mut disk = MemoryDisk::default();
    let mut log = twelve(&mut disk);
    assert_eq!(log.delete_before(&mut disk, 12), Ok(3));
    assert_eq!((bases(&disk), log.log_start_offset(), log.log_end_offset()), (vec![9], 12, 12));
    assert_eq!(epochs(&log), [(2, 12)], "the next record will be of this epoch or a later one");
    log.append_as_leader(&mut disk, batch(1, "next", 0), 2, 0).unwrap();
    assert_eq!(offsets(&log, &mut disk), [12]);
}

#[test]
fn a_start_is_what_the_opener_knows() {
    let mut disk = MemoryDisk::default();
    let mut log = twelve(&mut disk);
    log.delete_before(&mut disk, 7).unwrap();
    let (again, _) = Log::open_from(&mut disk.clone(), "m-0", small(), UNCLEAN, 7).unwrap();
    assert_eq!((again.log_start_offset(), again.log_end_offset(), epochs(&again)), (7, 12, vec![(1, 7), (2, 8)]));
    let (unknowing, _) = Log::open(&mut disk, "m-0", small(), UNCLEAN).unwrap();
    assert_eq!(unknowing.log_start_offset(), 6, "without that, it is where the files begin");
}

#[test]
fn a_deleted_segment_that_comes_back_alone_costs_nothing() {
    for back in [0, 3] {
        let mut disk = MemoryDisk::default();
        let mut log = twelve(&mut disk);
        let before = disk.clone();
        log.delete_before(&mut disk, 7).unwrap();
        let name = (0, format!("{back:020}.log"));
        disk.files.insert(name.clone(), before.files[&name].clone());
        let (again, recovered) = Log::open_from(&mut disk, "m-0", small(), UNCLEAN, 7).unwrap();
        assert_eq!((again.log_start_offset(), recovered.log_end_offset, recovered.discarded_bytes), (7, 12, 0));
        assert_eq!(bases(&disk), [6, 9]);
    }
}

#[test]
fn a_log_that_ends_before_its_start_begins_anew_there() {
    let mut disk = MemoryDisk::default();
    twelve(&mut disk);
    let (mut log, recovered) = Log::open_from(&mut disk, "m-0", small(), UNCLEAN, 100).unwrap();
    assert_eq!((log.log_start_offset(), recovered.log_end_offset, bases(&disk)), (100, 100, vec![100]));
    assert!(log.epochs().is_empty());
    assert!(!log.unsynced().is_empty());
    log.append_as_follower(&mut disk, leader_batch(2, "v", 100, 5), i32::MAX).unwrap();
    assert_eq!((log.log_end_offset(), epochs(&log)), (102, vec![(5, 100)]));
    let (again, _) = Log::open_from(&mut disk, "m-0", small(), UNCLEAN, 100).unwrap();
    assert_eq!((again.log_start_offset(), again.log_end_offset()), (100, 102));
}

#[test]
fn an_empty_directory_begins_where_it_is_told() {
    let mut disk = MemoryDisk::default();
    let (log, _) = Log::open_from(&mut disk, "m-0", small(), UNCLEAN, 42).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset(), bases(&disk)), (42, 42, vec![42]));
    assert_eq!(disk.list_dirs().unwrap(), ["m-0"]);
}

#[test]
fn what_the_server_itself_made_may_be_larger_than_a_segment() {
    let mut disk = MemoryDisk::default();
    let mut log = twelve(&mut disk);
    let mut config = small();
    config.max_batch_bytes = 2_000;
    log.set_config(config);
    let large = || batch(1, &"v".repeat(900), 0);
    assert!(matches!(log.append_as_leader(&mut disk, large(), 2, 0), Err(LogError::LargerThanASegment { .. })));
    log.append_control_as_leader(&mut disk, large(), 2).unwrap();
    assert_eq!((log.log_end_offset(), log.segment_count()), (13, 5));
}

#[test]
fn retention_takes_the_oldest_segments_that_are_committed() {
    let mut disk = MemoryDisk::default();
    let (mut log, _) = Log::open(&mut disk, "m-0", small(), Opening::Clean).unwrap();
    for at in 0..9 {
        log.append_as_leader(&mut disk, batch(1, "x".repeat(100).as_str(), 1_000 * at), 0, 0).unwrap();
    }
    let all = bases(&disk);
    assert!(all.len() > 2, "{all:?}");
    let unlimited = Retention { ms: -1, bytes: -1 };
    assert_eq!(log.delete_old_segments(&mut disk, unlimited, 9, i64::MAX).unwrap(), []);
    let nothing_committed = log.delete_old_segments(&mut disk, Retention { ms: 0, bytes: 0 }, 0, i64::MAX).unwrap();
    assert_eq!((nothing_committed, bases(&disk)), (vec![], all.clone()));
    // The first segment's newest record is a millisecond too young, then old enough.
    let newest = 1_000 * (all[1] - 1);
    let aged = Retention { ms: 500, bytes: -1 };
    assert_eq!(log.delete_old_segments(&mut disk, aged, 9, newest + 500).unwrap(), []);
    assert_eq!(log.delete_old_segments(&mut disk, aged, 9, newest + 501).unwrap(), [(Breach::Age, 0, all[1])]);
    // The last segment ends behind the high watermark; all go once it is committed, and a new one is begun.
    let none = Retention { ms: -1, bytes: 0 };
    let last = *all.last().unwrap();
    assert_eq!(log.delete_old_segments(&mut disk, none, 8, 0).unwrap(), [(Breach::Size, all[1], last)]);
    assert_eq!(log.delete_old_segments(&mut disk, none, 9, 0).unwrap(), [(Breach::Size, last, 9)]);
    assert_eq!((log.log_start_offset(), log.log_end_offset(), bases(&disk)), (9, 9, vec![9]));
    assert_eq!(log.delete_old_segments(&mut disk, none, 9, 0).unwrap(), [], "an empty segment stays");
}

#[test]
fn full_segments_are_synced_without_the_active_one() {
    let mut disk = MemoryDisk::default();
    let (mut log, _) = Log::open(&mut disk, "m-0", small(), Opening::Clean).unwrap();
    for at in 0..9 {
        log.append_as_leader(&mut disk, batch(1, "x".repeat(100).as_str(), at), 0, 0).unwrap();
    }
    let active = *bases(&disk).last().unwrap();
    let (all, full, mark) =
        (log.unsynced().len(), log.unsynced_full_segments().len(), log.sync_of_full_segments_started());
    assert_eq!(full, all - 1);
    log.synced(mark);
    assert_eq!((log.recovery_point(), log.unsynced().len()), (active, 1), "the active segment is left");
    let mark = log.sync_started();
    log.synced(mark);
    assert_eq!((log.recovery_point(), log.unsynced()), (9, vec![]));
}
