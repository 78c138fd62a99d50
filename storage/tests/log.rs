//! What a log does, told as stories.

mod common;

use common::{MemoryDisk, batch, leader_batch, read_all, small};
use trial_storage::{
    BatchError, BuildOptions, Disk, EpochEndOffset, EpochEntry, Log, LogConfig, LogError, NewRecord, Opening,
    Recovered, SyncTarget, build_batch, parse_header, records,
};

fn open(disk: &mut dyn Disk, opening: Opening) -> (Log, Recovered) {
    Log::open(disk, "orders-0", small(), opening).expect("the disk is fine")
}

fn new_log() -> (MemoryDisk, Log) {
    let mut disk = MemoryDisk::default();
    let (log, recovered) = open(&mut disk, Opening::Clean);
    assert_eq!(recovered, Recovered { log_end_offset: 0, discarded_bytes: 0 });
    (disk, log)
}

fn epochs(log: &Log) -> Vec<(i32, i64)> {
    log.epochs().iter().map(|EpochEntry { epoch, start_offset }| (*epoch, *start_offset)).collect()
}

#[test]
fn a_leader_gives_offsets_and_epoch() {
    let (mut disk, mut log) = new_log();
    log.append_as_leader(&mut disk, batch(2, "a", 100), 3, 0).unwrap();
    let two = [batch(3, "b", 300), batch(1, "c", 200)].concat();
    let appended = log.append_as_leader(&mut disk, two.into(), 3, 0).unwrap();
    assert_eq!((appended.first_offset, appended.last_offset), (2, 5));
    assert_eq!((appended.leader_epoch, appended.max_timestamp, appended.batches), (3, 302, 2));
    assert_eq!(log.log_end_offset(), 6);
    assert_eq!(epochs(&log), [(3, 0)]);

    let headers = log.batch_headers(&mut disk, 3, i64::MAX).unwrap();
    let seen: Vec<_> = headers.iter().map(|h| (h.base_offset, h.partition_leader_epoch, h.records_count)).collect();
    assert_eq!(seen, [(2, 3, 3), (5, 3, 1)]);
    let bytes = log.read(&mut disk, 5, 6, 1_000, true).unwrap();
    let found = records(&bytes).unwrap();
    assert_eq!((found[0].offset, found[0].value.as_deref()), (5, Some(&b"c"[..])));
}

#[test]
fn a_leader_refuses_what_kafka_refuses() {
    let (mut disk, mut log) = new_log();
    let mut refuse = |bytes: Vec<u8>| log.append_as_leader(&mut disk, bytes.into(), 0, 0).unwrap_err();
    let with = |options| build_batch(&[NewRecord::default()], options).to_vec();

    let mut corrupt = batch(1, "a", 0).to_vec();
    *corrupt.last_mut().unwrap() ^= 1;
    assert!(matches!(refuse(corrupt), LogError::InvalidBatch(BatchError::BadCrc { .. })));
    let mut old = batch(1, "a", 0).to_vec();
    old[16] = 1;
    assert_eq!(refuse(old), LogError::InvalidBatch(BatchError::BadMagic(1)));
    let partial = batch(1, "a", 0);
    assert!(matches!(refuse(partial[..40].to_vec()), LogError::InvalidBatch(BatchError::TooShort { .. })));
    assert!(matches!(refuse(batch(1, &"x".repeat(300), 0).to_vec()), LogError::TooLarge { limit: 300, .. }));
    let whole_segment = batch(1, &"x".repeat(150), 0).to_vec().repeat(3);
    assert!(matches!(refuse(whole_segment), LogError::LargerThanASegment { limit: 400, .. }));
    let malformed = |error| matches!(error, LogError::InvalidBatch(BatchError::Malformed(_)));
    assert!(malformed(refuse(build_batch(&[], BuildOptions::default()).to_vec())));
    assert!(malformed(refuse(with(BuildOptions { control: true, ..BuildOptions::default() }))));
    assert!(malformed(refuse(with(BuildOptions { producer_id: 7, ..BuildOptions::default() }))));

    assert_eq!(log.log_end_offset(), 0, "nothing of it was appended");
    let marker = with(BuildOptions { control: true, ..BuildOptions::default() });
    log.append_control_as_leader(&mut disk, marker.into(), 0).unwrap();
    assert_eq!(log.log_end_offset(), 1);
}

#[test]
fn a_bad_batch_behind_a_good_one_refuses_both() {
    let (mut disk, mut log) = new_log();
    let mut two = [batch(1, "a", 0), batch(1, "b", 0)].concat();
    *two.last_mut().unwrap() ^= 1;
    assert!(log.append_as_leader(&mut disk, two.clone().into(), 0, 0).is_err());
    assert!(log.append_as_follower(&mut disk, two.into(), i32::MAX).is_err());
    assert_eq!((log.log_end_offset(), log.size_in_bytes()), (0, 0));
}

#[test]
fn a_follower_keeps_the_leaders_offsets_and_ignores_a_partial_batch() {
    let (mut disk, mut log) = new_log();
    let first = leader_batch(3, "a", 0, 1);
    let second = leader_batch(2, "b", 3, 4);
    let sent = [&first[..], &second[..], &second[..50]].concat();
    let appended = log.append_as_follower(&mut disk, sent.into(), i32::MAX).unwrap();
    assert_eq!((appended.first_offset, appended.last_offset, appended.leader_epoch), (0, 4, 4));
    assert_eq!(epochs(&log), [(1, 0), (4, 3)]);
    assert_eq!(read_all(&log, &mut disk, 1), [first, second].concat());

    let gap = log.append_as_follower(&mut disk, leader_batch(1, "c", 9, 4), i32::MAX);
    assert_eq!(gap, Err(LogError::OutOfOrder { expected: 5, got: 9 }));
    let earlier = [leader_batch(2, "c", 4, 4), leader_batch(3, "d", 6, 4)].concat();
    let unexpected = LogError::UnexpectedAppendOffset { first_offset: 4, last_offset: 8, log_end_offset: 5 };
    assert_eq!(log.append_as_follower(&mut disk, earlier.into(), i32::MAX), Err(unexpected), "all that came counts");
    let torn = [leader_batch(1, "c", 5, 4), leader_batch(1, "d", 7, 4)].concat();
    let torn = log.append_as_follower(&mut disk, torn.into(), i32::MAX);
    assert_eq!(torn, Err(LogError::OutOfOrder { expected: 6, got: 7 }), "the second does not continue the first");
    let nothing = log.append_as_follower(&mut disk, leader_batch(1, "c", 5, 4).slice(..68), i32::MAX).unwrap();
    assert_eq!((nothing.batches, nothing.first_offset, nothing.last_offset), (0, 5, 4));
}

#[test]
fn reads_are_bounded() {
    let (mut disk, mut log) = new_log();
    for i in 0..6 {
        log.append_as_leader(&mut disk, batch(2, "0123456789", i), 0, 0).unwrap();
    }
    let size = batch(2, "0123456789", 0).len();
    assert_eq!(log.segment_count(), 2, "four batches to a segment");
    let mut span = |from, end, max_bytes, at_least_one| {
        let bytes = log.read(&mut disk, from, end, max_bytes, at_least_one).unwrap();
        assert_eq!(bytes.len() % size, 0, "whole batches");
        (!bytes.is_empty()).then(|| (parse_header(&bytes).unwrap().base_offset, bytes.len() / size))
    };
    assert_eq!(span(0, i64::MAX, 10_000, true), Some((0, 4)), "to the end of the segment");
    assert_eq!(span(3, i64::MAX, 10_000, true), Some((2, 3)), "from the batch that holds the offset");
    assert_eq!(span(8, i64::MAX, 10_000, true), Some((8, 2)));
    assert_eq!(span(0, 4, 10_000, true), Some((0, 2)), "below the high watermark");
    assert_eq!(span(0, 5, 10_000, true), Some((0, 3)), "the batch in which it lies is served");
    assert_eq!(span(4, 4, 10_000, true), None);
    assert_eq!(span(12, i64::MAX, 10_000, true), None, "at the log's end");
    assert_eq!(span(0, i64::MAX, 2 * size + 1, true), Some((0, 2)));
    assert_eq!(span(0, i64::MAX, size - 1, true), Some((0, 1)));
    assert_eq!(span(0, i64::MAX, size - 1, false), None);
    for outside in [-1, 13] {
        let refused = log.read(&mut disk, outside, i64::MAX, 1, true);
        let range = LogError::OffsetOutOfRange { requested: outside, log_start_offset: 0, log_end_offset: 12 };
        assert_eq!(refused, Err(range));
    }
}

#[test]
fn truncation_takes_whole_batches_and_their_epochs() {
    let (mut disk, mut log) = new_log();
    for epoch in 0..6 {
        log.append_as_leader(&mut disk, batch(2, "0123456789", 0), epoch, 0).unwrap();
    }
    log.truncate_to(&mut disk, 12).unwrap();
    assert_eq!((log.log_end_offset(), log.latest_epoch()), (12, Some(5)));
    log.assign_epoch(&mut disk, 9, 12).unwrap();
    log.truncate_to(&mut disk, 12).unwrap();
    assert_eq!(log.latest_epoch(), Some(5), "an epoch without records goes even if no record does");
    log.truncate_to(&mut disk, 7).unwrap();
    assert_eq!((log.log_end_offset(), log.segment_count()), (6, 1), "offset 7 lies in the batch of 6");
    assert_eq!(epochs(&log), [(0, 0), (1, 2), (2, 4)]);
    assert_eq!(log.end_offset_for(2), Some(EpochEndOffset { epoch: 2, end_offset: 6 }));
    log.append_as_leader(&mut disk, batch(1, "new", 0), 7, 0).unwrap();
    assert_eq!(log.batch_headers(&mut disk, 6, 9).unwrap()[0].partition_leader_epoch, 7);
    assert_eq!(disk.segments().len(), 1);
}

#[test]
fn starting_anew_behind_the_leaders_start() {
    let (mut disk, mut log) = new_log();
    log.append_as_leader(&mut disk, batch(2, "a", 0), 1, 0).unwrap();
    log.truncate_fully_and_start_at(&mut disk, 50).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.latest_epoch()), (50, 50, None));
    log.append_as_follower(&mut disk, leader_batch(1, "b", 50, 2), i32::MAX).unwrap();
    log.truncate_to(&mut disk, 20).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (20, 20), "below the start: empty, from there");
    let (log, _) = open(&mut disk, Opening::Clean);
    assert_eq!(log.log_start_offset(), 20);
}

#[test]
fn timestamps_find_records() {
    let (mut disk, mut log) = new_log();
    for timestamp in [100, 300, 200, 400] {
        log.append_as_leader(&mut disk, batch(3, "0123456789", timestamp), 0, 0).unwrap();
    }
    let mut find = |t| log.offset_for_timestamp(&mut disk, t).unwrap().map(|found| (found.offset, found.timestamp));
    assert_eq!(find(0), Some((0, 100)));
    assert_eq!(find(102), Some((2, 102)));
    assert_eq!(find(103), Some((3, 300)));
    assert_eq!(find(301), Some((4, 301)));
    assert_eq!(find(303), Some((9, 400)), "the first in offset order that is not older");
    assert_eq!(find(403), None);
}

#[test]
fn the_epoch_checkpoint_survives_and_is_rebuilt() {
    let (mut disk, mut log) = new_log();
    log.append_as_leader(&mut disk, batch(2, "a", 0), 1, 0).unwrap();
    log.append_as_leader(&mut disk, batch(2, "b", 0), 4, 0).unwrap();
    log.assign_epoch(&mut disk, 6, 4).unwrap();
    let name = (0, "leader-epoch-checkpoint".to_owned());
    assert_eq!(disk.files[&name], b"0\n3\n1 0\n4 2\n6 4\n");

    let (log, _) = open(&mut disk, Opening::Clean);
    assert_eq!(epochs(&log), [(1, 0), (4, 2)], "an epoch at the log's end is dropped");
    for torn in [Some(&b"0\n2\n1 0\n4"[..]), Some(b""), Some(b"0\n1\n9 0\n"), None] {
        match torn {
            Some(bytes) => disk.files.insert(name.clone(), bytes.to_vec()),
            None => disk.files.remove(&name),
        };
        let (log, _) = open(&mut disk, Opening::Unclean { recovery_point: 0 });
        assert_eq!(epochs(&log), [(1, 0), (4, 2)], "from the batches");
        assert_eq!(disk.files[&name], b"0\n2\n1 0\n4 2\n");
    }
}

#[test]
fn syncs_cover_what_was_there_when_asked() {
    let (mut disk, mut log) = new_log();
    log.append_as_leader(&mut disk, batch(2, "a", 0), 1, 0).unwrap();
    let targets = log.unsynced();
    assert_eq!(targets.len(), 3, "segment, epochs, directory: {targets:?}");
    assert!(targets.contains(&SyncTarget::Dir(log.dir())));
    let mark = log.sync_started();
    log.append_as_leader(&mut disk, batch(2, "b", 0), 1, 0).unwrap();
    log.synced(mark);
    assert_eq!(log.recovery_point(), 2, "the second append came later");
    let SyncTarget::File(segment) = targets[0] else { panic!("the segment comes first") };
    assert_eq!(log.unsynced(), [SyncTarget::File(segment)], "only the segment has changed since");

    let mark = log.sync_started();
    log.truncate_to(&mut disk, 2).unwrap();
    log.append_as_leader(&mut disk, batch(5, "c", 0), 1, 0).unwrap();
    log.synced(mark);
    assert_eq!(log.recovery_point(), 2, "what was synced above offset 2 is not there any more");
    log.synced(log.sync_started());
    assert_eq!((log.recovery_point(), log.unsynced()), (7, vec![]));
    log.truncate_to(&mut disk, 2).unwrap();
    assert_eq!(log.recovery_point(), 2);
    assert!(!log.unsynced().is_empty());
}

#[test]
fn the_epoch_checkpoint_can_be_synced_alone() {
    let (mut disk, mut log) = new_log();
    log.append_as_leader(&mut disk, batch(2, "a", 0), 1, 0).unwrap();
    assert_eq!(log.unsynced_epoch_checkpoint().len(), 2);
    log.epoch_checkpoint_synced(log.sync_started());
    assert_eq!(log.unsynced_epoch_checkpoint(), []);
    assert_eq!(log.unsynced().len(), 1, "the segment");
    assert_eq!(log.recovery_point(), 0);
}

#[test]
fn a_roll_begins_a_file_at_the_logs_end() {
    let mut disk = MemoryDisk::default();
    let config = LogConfig { segment_bytes: 200, ..small() };
    let (mut log, _) = Log::open(&mut disk, "orders-0", config, Opening::Clean).unwrap();
    let appended = |log: &mut Log, disk: &mut MemoryDisk| log.append_as_leader(disk, batch(9, "a", 0), 0, 0).unwrap();
    assert!(!appended(&mut log, &mut disk).rolled);
    assert!(appended(&mut log, &mut disk).rolled);
    let names: Vec<_> = disk.segments().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["00000000000000000000.log", "00000000000000000009.log"]);
    let sent = [leader_batch(9, "a", 18, 0), leader_batch(9, "a", 27, 0)].concat();
    assert!(
        log.append_as_follower(&mut disk, sent.into(), i32::MAX).unwrap().rolled,
        "a follower keeps what exceeds a segment"
    );
    assert_eq!(log.segment_count(), 3);
}
