//! A log after a crash: whatever the files hold, what is left is a valid prefix; and against a naive model.

mod common;

use common::{MemoryDisk, batch, leader_batch, read_all, small};
use proptest::prelude::*;
use trial_storage::{Batches, Disk, Log, LogConfig, OpenMode, Opening, check_batch};

const UNCLEAN: Opening = Opening::Unclean { recovery_point: 0 };

fn open(disk: &mut MemoryDisk, opening: Opening) -> (Log, u64) {
    let (log, recovered) = Log::open(disk, "orders-0", small(), opening).expect("nothing on a disk stops a log");
    assert_eq!(recovered.log_end_offset, log.log_end_offset());
    (log, recovered.discarded_bytes)
}

/// A log of four segments and three epochs, and its batches.
fn filled() -> (MemoryDisk, Vec<Vec<u8>>) {
    let mut disk = MemoryDisk::default();
    let (mut log, _) = open(&mut disk, Opening::Clean);
    for i in 0..10 {
        log.append_as_leader(&mut disk, batch(1 + i % 3, &"v".repeat(i * 7), 0), i as i32 / 4, 0).unwrap();
    }
    assert_eq!(log.segment_count(), 4);
    let all = read_all(&log, &mut disk, 1);
    let batches = Batches::new(all.into()).map(|batch| batch.unwrap().bytes.to_vec()).collect();
    (disk, batches)
}

/// Checks a log that must hold exactly the first `count` of the batches.
fn assert_prefix(log: &Log, disk: &mut MemoryDisk, batches: &[Vec<u8>], count: usize, what: &str) {
    assert_eq!(read_all(log, disk, 1_000), batches[..count].concat(), "{what}");
    let headers: Vec<_> = batches[..count].iter().map(|batch| check_batch(batch).unwrap()).collect();
    assert_eq!(log.log_end_offset(), headers.last().map_or(0, |h| h.next_offset()), "{what}");
    let mut epochs: Vec<(i32, i64)> = Vec::new();
    for header in headers {
        if epochs.last().is_none_or(|(epoch, _)| *epoch != header.partition_leader_epoch) {
            epochs.push((header.partition_leader_epoch, header.base_offset));
        }
    }
    let cache: Vec<_> = log.epochs().iter().map(|entry| (entry.epoch, entry.start_offset)).collect();
    assert_eq!(cache, epochs, "{what}");
}

#[test]
fn every_cut_leaves_a_valid_prefix() {
    let (disk, batches) = filled();
    let total: usize = batches.iter().map(Vec::len).sum();
    for cut in 0..total {
        let mut disk = disk.clone();
        let mut left = cut;
        for (name, content) in disk.segments() {
            // The segment in which the cut lies is torn; later ones are whole, and have no place any more.
            let keep = left.min(content.len());
            left -= keep;
            disk.files.get_mut(&(0, name)).unwrap().truncate(keep);
            if keep < content.len() {
                break;
            }
        }
        let mut whole = 0;
        let mut bytes = 0;
        while bytes + batches[whole].len() <= cut {
            bytes += batches[whole].len();
            whole += 1;
        }
        let (log, _) = open(&mut disk, UNCLEAN);
        assert_prefix(&log, &mut disk, &batches, whole, &format!("cut at {cut}"));
        // And once more: recovery has cleaned up.
        let (again, discarded) = open(&mut disk, UNCLEAN);
        assert_eq!(discarded, 0);
        assert_prefix(&again, &mut disk, &batches, whole, &format!("cut at {cut}, again"));
    }
}

#[test]
fn every_changed_byte_cuts_before_its_batch() {
    let (disk, batches) = filled();
    let mut before = 0;
    for (name, content) in disk.segments() {
        let mut starts_at = 0;
        while starts_at < content.len() {
            for at in 0..batches[before].len() {
                let mut disk = disk.clone();
                disk.files.get_mut(&(0, name.clone())).unwrap()[starts_at + at] ^= 0x40;
                let (log, _) = open(&mut disk, UNCLEAN);
                if (12..16).contains(&at) {
                    // The leader epoch is outside the checksum. This one is higher than all that follow, which then
                    // look like remains of an older log.
                    let kept: usize = batches[..=before].iter().map(Vec::len).sum();
                    assert_eq!(log.size_in_bytes() as usize, kept);
                } else {
                    assert_prefix(&log, &mut disk, &batches, before, &format!("{name} at {}", starts_at + at));
                }
            }
            starts_at += batches[before].len();
            before += 1;
        }
    }
    assert_eq!(before, batches.len());
}

#[test]
fn zeros_where_data_was_lost_are_cut() {
    let (mut disk, batches) = filled();
    let (name, content) = disk.segments().pop().unwrap();
    disk.files.get_mut(&(0, name)).unwrap().resize(content.len() + 100, 0);
    let (log, discarded) = open(&mut disk, UNCLEAN);
    assert_eq!(discarded, 100);
    assert_prefix(&log, &mut disk, &batches, batches.len(), "zeros behind the last batch");
}

#[test]
fn below_the_recovery_point_checksums_are_trusted() {
    let (mut disk, batches) = filled();
    let (name, _) = disk.segments().remove(0);
    // The last byte of the first batch, whose header stays as it is.
    disk.files.get_mut(&(0, name)).unwrap()[batches[0].len() - 1] ^= 1;
    let (log, discarded) = open(&mut disk.clone(), Opening::Unclean { recovery_point: 1 });
    assert_eq!((log.recovery_point(), discarded), (1, 0));
    let (log, _) = open(&mut disk.clone(), Opening::Clean);
    assert_eq!(log.recovery_point(), log.log_end_offset());
    let (log, _) = open(&mut disk, UNCLEAN);
    assert_eq!(log.log_end_offset(), 0);
    assert!(!log.unsynced().is_empty(), "nothing on the disk can be relied on");
}

#[test]
fn remains_of_an_older_log_are_cut() {
    let mut disk = MemoryDisk::default();
    let (mut log, _) = open(&mut disk, Opening::Clean);
    let batches: Vec<_> =
        [(0, 3), (1, 5), (2, 4)].map(|(offset, epoch)| leader_batch(1, "v", offset, epoch).to_vec()).into();
    log.append_as_follower(&mut disk, batches.concat().into(), i32::MAX).unwrap();
    let (log, _) = open(&mut disk, UNCLEAN);
    assert_prefix(&log, &mut disk, &batches, 2, "epoch 4 behind epoch 5");
}

#[test]
fn a_cut_at_the_recovery_point_stays_unsynced_over_a_process_crash() {
    let mut disk = MemoryDisk::default();
    let (mut log, _) = open(&mut disk, Opening::Clean);
    for _ in 0..3 {
        log.append_as_leader(&mut disk, batch(1, "v", 0), 9, 0).unwrap();
    }
    log.synced(log.sync_started());
    log.truncate_to(&mut disk, 2).unwrap();
    assert_eq!(log.recovery_point(), 2);
    // The process crashes, and its successor rolls: the cut segment is not the active one any more.
    let (mut log, _) = open(&mut disk, Opening::Unclean { recovery_point: 2 });
    let before = log.unsynced();
    assert_eq!(before.len(), 3, "segment, epochs, directory: {before:?}");
    log.set_config(LogConfig { segment_bytes: 200, ..small() });
    assert!(log.append_as_leader(&mut disk, batch(1, &"v".repeat(100), 0), 9, 0).unwrap().rolled);
    assert!(log.unsynced().contains(&before[0]), "the cut would come undone, and hide what follows");
}

#[test]
fn files_of_others_are_left_alone() {
    let mut disk = MemoryDisk::default();
    let dir = disk.open_dir("orders-0").unwrap();
    for name in ["notes.txt", "12.log", "0000000000000000000x.log", "99999999999999999999.log"] {
        disk.open(dir, name, OpenMode::Create).unwrap();
    }
    let (log, _) = open(&mut disk, UNCLEAN);
    assert_eq!((log.segment_count(), log.log_end_offset()), (1, 0));
    assert_eq!(disk.list(dir).unwrap().len(), 5);
}

#[derive(Clone, Debug)]
enum Op {
    AppendAsLeader { count: usize, value: usize, new_epoch: bool },
    AppendAsFollower { batches: usize, count: usize },
    Truncate(prop::sample::Index),
    StartAt(i64),
    Reopen { clean: bool },
    Read { from: prop::sample::Index, end: prop::sample::Index, max_bytes: usize, at_least_one: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        9 => (1..4usize, 0..60usize, prop::bool::weighted(0.2)).prop_map(|(count, value, new_epoch)| {
            Op::AppendAsLeader { count, value, new_epoch }
        }),
        2 => (0..4usize, 1..4usize).prop_map(|(batches, count)| Op::AppendAsFollower { batches, count }),
        1 => index().prop_map(Op::Truncate),
        1 => (0..50i64).prop_map(Op::StartAt),
        1 => any::<bool>().prop_map(|clean| Op::Reopen { clean }),
        6 => (index(), index(), 0..600usize, any::<bool>()).prop_map(|(from, end, max_bytes, at_least_one)| {
            Op::Read { from, end, max_bytes, at_least_one }
        }),
    ]
}

/// The log as a list of batches: (base offset, next offset, epoch, bytes), its start and the newest epoch.
#[derive(Default)]
struct Model {
    start: i64,
    batches: Vec<(i64, i64, i32, Vec<u8>)>,
    epoch: i32,
}

impl Model {
    fn end(&self) -> i64 {
        self.batches.last().map_or(self.start, |batch| batch.1)
    }

    fn push(&mut self, bytes: Vec<u8>) {
        let header = check_batch(&bytes).unwrap();
        assert_eq!(header.base_offset, self.end());
        self.batches.push((header.base_offset, header.next_offset(), header.partition_leader_epoch, bytes));
    }
}

proptest! {
    #[test]
    fn behaves_as_a_list_of_batches(ops in prop::collection::vec(op(), 1..200), index_interval_bytes in 1..300u64, large: bool) {
        // A large segment holds more batches than the log remembers the positions of.
        let segment_bytes = if large { 20_000 } else { 400 };
        let config = LogConfig { index_interval_bytes, segment_bytes, ..small() };
        let mut disk = MemoryDisk::default();
        let (mut log, _) = Log::open(&mut disk, "orders-0", config, Opening::Clean).unwrap();
        let mut model = Model::default();
        for op in ops {
            match op {
                Op::AppendAsLeader { count, value, new_epoch } => {
                    model.epoch += i32::from(new_epoch);
                    let value = "x".repeat(value);
                    log.append_as_leader(&mut disk, batch(count, &value, 1_000), model.epoch, 0).unwrap();
                    model.push(leader_batch(count, &value, model.end(), model.epoch).to_vec());
                }
                Op::AppendAsFollower { batches, count } => {
                    let mut sent = Vec::new();
                    for _ in 0..batches {
                        model.epoch += 1;
                        let next = leader_batch(count, "y", model.end(), model.epoch).to_vec();
                        sent.extend_from_slice(&next);
                        model.push(next);
                    }
                    sent.extend_from_slice(&leader_batch(1, "partial", model.end(), 0)[..65]);
                    let appended = log.append_as_follower(&mut disk, sent.into(), i32::MAX).unwrap();
                    prop_assert_eq!(appended.batches as usize, batches);
                }
                Op::Truncate(to) => {
                    let to = model.start + to.index((model.end() - model.start) as usize + 1) as i64;
                    log.truncate_to(&mut disk, to).unwrap();
                    model.batches.retain(|(_, next, ..)| *next <= to);
                }
                Op::StartAt(offset) => {
                    log.truncate_fully_and_start_at(&mut disk, offset).unwrap();
                    model = Model { start: offset, epoch: model.epoch, batches: Vec::new() };
                }
                Op::Reopen { clean } => {
                    let opening = if clean { Opening::Clean } else { UNCLEAN };
                    let (again, recovered) = Log::open(&mut disk, "orders-0", config, opening).unwrap();
                    prop_assert_eq!(recovered.discarded_bytes, 0);
                    log = again;
                }
                Op::Read { from, end, max_bytes, at_least_one } => {
                    let span = (model.end() - model.start) as usize + 1;
                    let from = model.start + from.index(span) as i64;
                    let end = model.start + end.index(span + 5) as i64;
                    let read = log.read(&mut disk, from, end, max_bytes, at_least_one).unwrap();
                    let wanted: Vec<_> = model.batches.iter()
                        .filter(|(base, next, ..)| *next > from && *base < end && from < end).collect();
                    // Whole batches from the wanted ones on, as many as fit, or fewer where a segment ends.
                    let mut expected = Vec::new();
                    for (i, (.., bytes)) in wanted.iter().enumerate() {
                        let fits = expected.len() + bytes.len() <= max_bytes || (i == 0 && at_least_one);
                        if !fits || (expected.len() == read.len() && i > 0) {
                            break;
                        }
                        expected.extend_from_slice(bytes);
                    }
                    prop_assert_eq!(&read[..], &expected[..]);
                    let stopped_early = wanted.iter().find(|(base, ..)| {
                        Batches::new(read.clone()).all(|b| b.unwrap().header.next_offset() <= *base)
                    });
                    if let Some((base, .., bytes)) = stopped_early && read.len() + bytes.len() <= max_bytes {
                        let starts_a_segment = disk.segments().iter().any(|(name, _)| *name == format!("{base:020}.log"));
                        prop_assert!(starts_a_segment && !read.is_empty(), "stopped before {base} without a reason");
                    }
                }
            }
            prop_assert_eq!((log.log_start_offset(), log.log_end_offset()), (model.start, model.end()));
            let bytes: usize = model.batches.iter().map(|(.., bytes)| bytes.len()).sum();
            prop_assert_eq!(log.size_in_bytes(), bytes as u64);
            for (base, _, epoch, _) in &model.batches {
                prop_assert_eq!(log.epoch_of_offset(*base), Some(*epoch));
            }
            prop_assert_eq!(log.latest_epoch(), model.batches.last().map(|(_, _, epoch, _)| *epoch));
        }
        let everything: Vec<u8> = model.batches.iter().flat_map(|(.., bytes)| bytes.clone()).collect();
        prop_assert_eq!(read_all(&log, &mut disk, 300), everything);
        prop_assert_eq!(log.batch_headers(&mut disk, model.start, i64::MAX).unwrap().len(), model.batches.len());
    }
}
