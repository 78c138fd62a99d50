//! What survives what.

use proptest::prelude::*;

use super::*;
use trial_storage::SyncTarget;

const SECOND: Nanos = 1_000_000_000;

/// The device keeps nothing that it need not keep: a random that draws the least.
fn nothing_survives(disk: &mut VirtualDisk) -> PowerLossReport {
    // 1 is odd: lengths do not survive their data, and what was cut stays cut.
    let mut draws = [0, 1].into_iter().cycle();
    disk.power_loss(&mut || draws.next().expect("a cycle does not end"))
}

fn content_of(disk: &mut VirtualDisk, dir_name: &str, name: &str) -> Option<Vec<u8>> {
    let dir = disk.open_dir(dir_name).unwrap();
    let file = disk.open(dir, name, OpenMode::Existing).ok()?;
    let len = disk.len(file).unwrap() as usize;
    let content = disk.read(file, 0, len).unwrap().to_vec();
    disk.close(file);
    Some(content)
}

fn sync(disk: &mut VirtualDisk, targets: &[SyncTarget]) {
    let pending = disk.snapshot_for_sync(targets);
    disk.complete_sync(pending).unwrap();
}

fn file_with(disk: &mut VirtualDisk, name: &str, data: &'static [u8]) -> (DirId, FileId) {
    let dir = disk.open_dir("d").unwrap();
    let file = disk.open(dir, name, OpenMode::Create).unwrap();
    disk.write(file, 0, Bytes::from_static(data)).unwrap();
    (dir, file)
}

#[test]
fn power_loss_keeps_what_was_synced() {
    let mut disk = VirtualDisk::new(None);
    let (dir, file) = file_with(&mut disk, "f", b"synced");
    sync(&mut disk, &[SyncTarget::File(file), SyncTarget::Dir(dir)]);
    disk.write(file, 6, Bytes::from_static(b" not")).unwrap();
    let report = nothing_survives(&mut disk);
    assert_eq!(
        report,
        PowerLossReport { lost_bytes: 4, torn_files: 0, undone_entries: 0, ..PowerLossReport::default() }
    );
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"synced");
    assert_eq!(disk.used_bytes(), 6);
}

#[test]
fn a_disk_that_lies_answers_syncs_and_keeps_nothing() {
    let mut disk = VirtualDisk::new(None);
    let (dir, file) = file_with(&mut disk, "f", b"true");
    sync(&mut disk, &[SyncTarget::File(file), SyncTarget::Dir(dir)]);
    disk.set_lost_syncs(true);
    disk.write(file, 4, Bytes::from_static(b" and lost")).unwrap();
    sync(&mut disk, &[SyncTarget::File(file)]);
    disk.set_time(60 * SECOND);
    disk.write(file, 13, Bytes::from_static(b", unsynced")).unwrap();
    assert_eq!(disk.durable_bytes("d", "f", 0, 99).unwrap().as_ref(), b"true and lost", "so it says");
    let mut honest_in_time = disk.clone();
    let report = nothing_survives(&mut disk);
    assert_eq!((report.lost_bytes, report.lost_synced_bytes), (19, 9), "written back neither");
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"true");
    assert_eq!(disk.durable_bytes("d", "f", 0, 99).unwrap().as_ref(), b"true", "it says so no more");

    honest_in_time.set_lost_syncs(false);
    sync(&mut honest_in_time, &[SyncTarget::File(file)]);
    assert_eq!(nothing_survives(&mut honest_in_time), PowerLossReport::default());
    assert_eq!(content_of(&mut honest_in_time, "d", "f").unwrap(), b"true and lost, unsynced");
}

#[test]
fn a_file_whose_name_was_never_kept_is_lost_with_what_was_said_of_it() {
    let mut disk = VirtualDisk::new(None);
    disk.set_lost_syncs(true);
    let (dir, file) = file_with(&mut disk, "f", b"lost");
    sync(&mut disk, &[SyncTarget::File(file), SyncTarget::Dir(dir)]);
    assert_eq!(disk.durable_names("d"), ["f"]);
    let report = nothing_survives(&mut disk);
    assert_eq!((report.lost_bytes, report.lost_synced_bytes, report.undone_entries), (4, 4, 1));
    assert_eq!(content_of(&mut disk, "d", "f"), None);
}

#[test]
fn a_sync_covers_the_moment_it_was_asked_for() {
    let mut disk = VirtualDisk::new(None);
    let (dir, file) = file_with(&mut disk, "f", b"before");
    let pending = disk.snapshot_for_sync(&[SyncTarget::File(file), SyncTarget::Dir(dir)]);
    disk.write(file, 6, Bytes::from_static(b" after")).unwrap();
    disk.complete_sync(pending).unwrap();
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"before");
}

#[test]
fn a_sync_that_never_completes_makes_nothing_durable() {
    let mut disk = VirtualDisk::new(None);
    let (dir, file) = file_with(&mut disk, "f", b"bytes");
    let _ = disk.snapshot_for_sync(&[SyncTarget::File(file), SyncTarget::Dir(dir)]);
    let report = nothing_survives(&mut disk);
    assert_eq!((report.lost_bytes, report.undone_entries), (5, 1));
    assert_eq!(content_of(&mut disk, "d", "f"), None);
}

#[test]
fn an_older_sync_that_ends_later_takes_nothing_back() {
    let mut disk = VirtualDisk::new(None);
    let (dir, file) = file_with(&mut disk, "f", b"one");
    let targets = [SyncTarget::File(file), SyncTarget::Dir(dir)];
    let older = disk.snapshot_for_sync(&targets);
    disk.write(file, 3, Bytes::from_static(b" two")).unwrap();
    sync(&mut disk, &targets);
    disk.complete_sync(older).unwrap();
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"one two");
}

#[test]
fn a_new_file_needs_its_directory_synced() {
    let mut disk = VirtualDisk::new(None);
    let (_, file) = file_with(&mut disk, "f", b"bytes");
    sync(&mut disk, &[SyncTarget::File(file)]);
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f"), None);
}

#[test]
fn a_directory_alone_keeps_an_empty_file() {
    let mut disk = VirtualDisk::new(None);
    let (dir, _) = file_with(&mut disk, "f", b"bytes");
    sync(&mut disk, &[SyncTarget::Dir(dir)]);
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"");
}

/// A file "f" that is durable with "old", and "new" renamed over it.
fn renamed_over() -> (VirtualDisk, DirId, FileId) {
    let mut disk = VirtualDisk::new(None);
    let (dir, old) = file_with(&mut disk, "f", b"old");
    sync(&mut disk, &[SyncTarget::File(old), SyncTarget::Dir(dir)]);
    let (_, new) = file_with(&mut disk, "f.tmp", b"newer");
    disk.rename(dir, "f.tmp", "f").unwrap();
    assert_eq!(disk.len(old), Err(DiskError::StaleHandle), "replaced");
    assert_eq!(disk.len(new), Ok(5), "the handle follows the name");
    (disk, dir, new)
}

#[test]
fn a_rename_comes_undone_unless_the_directory_was_synced() {
    let (mut disk, dir, new) = renamed_over();
    sync(&mut disk, &[SyncTarget::File(new)]);
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"old");

    let (mut disk, dir_again, new) = renamed_over();
    assert_eq!(dir, dir_again);
    sync(&mut disk, &[SyncTarget::File(new), SyncTarget::Dir(dir)]);
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"newer");
    assert_eq!(content_of(&mut disk, "d", "f.tmp"), None);
}

#[test]
fn a_rename_is_not_durable_before_the_bytes() {
    let (mut disk, dir, _) = renamed_over();
    sync(&mut disk, &[SyncTarget::Dir(dir)]);
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"newer");
}

#[test]
fn a_rename_before_the_bytes_leaves_an_empty_file_until_it_is_written_back() {
    let renamed_early = || {
        let mut disk = VirtualDisk::new(None);
        let (dir, old) = file_with(&mut disk, "f", b"old");
        sync(&mut disk, &[SyncTarget::File(old), SyncTarget::Dir(dir)]);
        let (_, new) = file_with(&mut disk, "f.tmp", b"newer");
        disk.rename_before_bytes(dir, "f.tmp", "f").unwrap();
        (disk, new)
    };
    let (mut disk, _) = renamed_early();
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"newer", "readers see no difference");
    // Nothing of it is torn: either no block was allocated, or all is there.
    disk.power_loss(&mut || u64::MAX);
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"");
    assert_eq!(content_of(&mut disk, "d", "f.tmp"), None);

    let (mut disk, new) = renamed_early();
    sync(&mut disk, &[SyncTarget::File(new)]);
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"newer");

    let (mut disk, _) = renamed_early();
    disk.set_time(31 * SECOND);
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"newer");
}

#[test]
fn a_removal_comes_undone_unless_the_directory_was_synced() {
    for synced in [false, true] {
        let mut disk = VirtualDisk::new(None);
        let (dir, file) = file_with(&mut disk, "f", b"bytes");
        sync(&mut disk, &[SyncTarget::File(file), SyncTarget::Dir(dir)]);
        disk.remove(dir, "f").unwrap();
        assert_eq!(disk.used_bytes(), 0);
        if synced {
            sync(&mut disk, &[SyncTarget::Dir(dir)]);
        }
        nothing_survives(&mut disk);
        let expected = (!synced).then_some(b"bytes".to_vec());
        assert_eq!(content_of(&mut disk, "d", "f"), expected);
    }
}

#[test]
fn a_file_replaced_while_its_sync_is_under_way_survives_as_it_was() {
    let mut disk = VirtualDisk::new(None);
    let (dir, first) = file_with(&mut disk, "f", b"first");
    let pending = disk.snapshot_for_sync(&[SyncTarget::File(first), SyncTarget::Dir(dir)]);
    file_with(&mut disk, "f.tmp", b"second");
    disk.rename(dir, "f.tmp", "f").unwrap();
    disk.complete_sync(pending).unwrap();
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"second");
    // What is written back of the removed file must not be anything older either.
    let mut later = disk.clone();
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"first");
    later.set_time(31 * SECOND);
    nothing_survives(&mut later);
    assert_eq!(content_of(&mut later, "d", "f").unwrap(), b"second");
}

#[test]
fn targets_that_are_gone_are_passed_over() {
    let mut disk = VirtualDisk::new(None);
    let (dir, file) = file_with(&mut disk, "f", b"bytes");
    let targets = [SyncTarget::File(file), SyncTarget::Dir(dir)];
    let pending = disk.snapshot_for_sync(&targets);
    disk.remove_dir("d").unwrap();
    sync(&mut disk, &targets);
    let (_, again) = file_with(&mut disk, "g", b"other");
    disk.complete_sync(pending).unwrap();
    assert_eq!(disk.len(file), Err(DiskError::StaleHandle));
    assert_eq!(disk.len(again), Ok(5));
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f"), None, "another directory of the same name");
}

#[test]
fn what_is_old_is_written_back() {
    let mut disk = VirtualDisk::new(None);
    disk.set_time(SECOND);
    let (_, file) = file_with(&mut disk, "f", b"old");
    disk.set_time(20 * SECOND);
    let mut early = disk.clone();
    disk.set_time(31 * SECOND);
    disk.write(file, 3, Bytes::from_static(b" young")).unwrap();
    disk.set_time(60 * SECOND);
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"old", "29 s are young");
    nothing_survives(&mut early);
    assert_eq!(content_of(&mut early, "d", "f"), None);
}

#[test]
fn a_stalled_disk_writes_nothing_back_and_blocks() {
    let mut disk = VirtualDisk::new(None);
    let (_, file) = file_with(&mut disk, "f", b"bytes");
    assert_eq!(disk.take_cost(), 0, "healthy");
    disk.stall_until(50 * SECOND);
    disk.set_time(40 * SECOND);
    assert_eq!(disk.sync_latency(40 * SECOND), 10 * SECOND + DEFAULT_SYNC_LATENCY);
    disk.read(file, 0, 1).unwrap();
    disk.read(file, 0, 1).unwrap();
    assert_eq!(disk.take_cost(), 10 * SECOND, "both end with the stall");
    assert_eq!(disk.take_cost(), 0);
    let mut stalled = disk.clone();
    nothing_survives(&mut stalled);
    assert_eq!(content_of(&mut stalled, "d", "f"), None);
    disk.set_time(50 * SECOND);
    nothing_survives(&mut disk);
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"bytes");
}

#[test]
fn a_slow_disk_takes_its_time() {
    let mut disk = VirtualDisk::new(None);
    disk.set_slow(&[Slowness { by: 2, until: SECOND }, Slowness { by: 1, until: SECOND }]);
    file_with(&mut disk, "f", b"bytes");
    assert_eq!(disk.take_cost(), 9, "open_dir, open, write");
    disk.set_slow(&[Slowness { by: 3, until: 5 }]);
    file_with(&mut disk, "f", b"bytes");
    assert_eq!(disk.take_cost(), 6, "the third operation begins when the slowness has ended");
    disk.set_slow(&[]);
    file_with(&mut disk, "f", b"bytes");
    assert_eq!(disk.take_cost(), 0);
}

#[test]
fn a_process_crash_keeps_the_page_cache() {
    let mut disk = VirtualDisk::new(None);
    let (dir, file) = file_with(&mut disk, "f", b"bytes");
    disk.process_crash();
    assert_eq!(disk.len(file), Err(DiskError::StaleHandle));
    assert_eq!(disk.list(dir), Err(DiskError::StaleHandle));
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"bytes");
}

#[test]
fn a_full_disk_refuses_growth_only() {
    let mut disk = VirtualDisk::new(Some(8));
    let (dir, file) = file_with(&mut disk, "f", b"bytes");
    assert_eq!(disk.write(file, 5, Bytes::from_static(b"1234")), Err(DiskError::Full));
    disk.write(file, 0, Bytes::from_static(b"BYTES123")).unwrap();
    disk.truncate(file, 2).unwrap();
    disk.write(file, 2, Bytes::from_static(b"cdefgh")).unwrap();
    disk.remove(dir, "f").unwrap();
    assert_eq!(disk.used_bytes(), 0);
}

#[test]
fn a_disk_dies_at_its_operation() {
    let mut disk = VirtualDisk::new(None);
    let (_, file) = file_with(&mut disk, "f", b"");
    disk.fail_after(2);
    disk.write(file, 0, Bytes::from_static(b"1")).unwrap();
    disk.write(file, 1, Bytes::from_static(b"2")).unwrap();
    assert!(disk.is_dead());
    assert!(matches!(disk.write(file, 2, Bytes::from_static(b"3")), Err(DiskError::Io(_))));
    assert!(matches!(disk.len(file), Err(DiskError::Io(_))));
    let pending = disk.snapshot_for_sync(&[SyncTarget::File(file)]);
    assert!(matches!(disk.complete_sync(pending), Err(DiskError::Io(_))));
    disk.repair();
    assert_eq!(content_of(&mut disk, "d", "f").unwrap(), b"12");
}

#[test]
fn a_torn_write_ends_anywhere() {
    let mut lengths = std::collections::BTreeSet::new();
    let mut zeros = false;
    for seed in 0..400u64 {
        let mut disk = VirtualDisk::new(None);
        let (dir, file) = file_with(&mut disk, "f", b"synced");
        sync(&mut disk, &[SyncTarget::File(file), SyncTarget::Dir(dir)]);
        disk.write(file, 6, Bytes::from_static(b"torn")).unwrap();
        let mut state = seed;
        disk.power_loss(&mut || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        });
        let left = content_of(&mut disk, "d", "f").unwrap();
        assert!(left.starts_with(b"synced"));
        zeros |= left.contains(&0);
        lengths.insert(left.iter().take_while(|byte| **byte != 0).count());
    }
    assert_eq!(lengths, (6..=10).collect(), "every cut is drawn");
    assert!(zeros, "a length without its data is drawn");
}

#[derive(Clone, Debug)]
enum Op {
    Append(u8, usize),
    Truncate(usize),
    AskSync,
    CompleteSync,
    PowerLoss,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (1..255u8, 1..2_000usize).prop_map(|(byte, len)| Op::Append(byte, len)),
        1 => (0..3_000usize).prop_map(Op::Truncate),
        2 => Just(Op::AskSync),
        2 => Just(Op::CompleteSync),
        1 => Just(Op::PowerLoss),
    ]
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

proptest! {
    #[test]
    fn what_was_synced_survives(ops in prop::collection::vec(op(), 0..80), mut state: u64) {
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let mut disk = VirtualDisk::new(None);
        let (dir, mut file) = file_with(&mut disk, "f", b"");
        sync(&mut disk, &[SyncTarget::Dir(dir)]);
        let (mut cached, mut synced) = (Vec::new(), Vec::new());
        let mut under_way = std::collections::VecDeque::new();
        for op in ops {
            match op {
                Op::Append(byte, len) => {
                    disk.write(file, cached.len() as u64, vec![byte; len].into()).unwrap();
                    cached.resize(cached.len() + len, byte);
                }
                Op::Truncate(len) => {
                    let len = len.min(cached.len());
                    disk.truncate(file, len as u64).unwrap();
                    cached.truncate(len);
                }
                Op::AskSync => {
                    under_way.push_back((disk.snapshot_for_sync(&[SyncTarget::File(file)]), cached.clone()));
                }
                Op::CompleteSync => {
                    if let Some((pending, content)) = under_way.pop_front() {
                        disk.complete_sync(pending).unwrap();
                        synced = content;
                    }
                }
                Op::PowerLoss => {
                    under_way.clear();
                    disk.power_loss(&mut random);
                    let left = content_of(&mut disk, "d", "f").expect("the directory was synced");
                    prop_assert_eq!(disk.used_bytes(), left.len() as u64);
                    if left != synced {
                        // Then it is a later state: what both states share, some of the rest, perhaps zeros.
                        let kept = common_prefix(&left, &cached);
                        let shared = common_prefix(&synced, &cached);
                        prop_assert!(left.len() <= cached.len() && kept >= shared);
                        prop_assert!(left[kept..].iter().all(|byte| *byte == 0));
                    }
                    let dir = disk.open_dir("d").unwrap();
                    file = disk.open(dir, "f", OpenMode::Existing).unwrap();
                    cached = left.clone();
                    synced = left;
                }
            }
            let len = disk.len(file).unwrap() as usize;
            prop_assert_eq!(&disk.read(file, 0, len).unwrap()[..], &cached[..]);
        }
    }
}
