//! Kafka's checkpoint files: what is written, and what is made of a broken one.

mod common;

use std::collections::BTreeMap;

use common::MemoryDisk;
use trial_storage::{CheckpointError, Disk, SyncTarget, read_offset_checkpoint, write_offset_checkpoint};

const NAME: &str = "recovery-point-offset-checkpoint";

fn offsets() -> BTreeMap<(String, i32), i64> {
    let entries = [("orders", 1, 40), ("orders", 0, 17), ("a.topic-1", 10, i64::MAX)];
    entries.into_iter().map(|(topic, partition, offset)| ((topic.to_owned(), partition), offset)).collect()
}

#[test]
fn the_format_is_kafkas() {
    let mut disk = MemoryDisk::default();
    let dir = disk.open_dir("meta").unwrap();
    assert_eq!(read_offset_checkpoint(&mut disk, dir, NAME), Ok(BTreeMap::new()), "missing is empty");
    let targets = write_offset_checkpoint(&mut disk, dir, NAME, &offsets()).unwrap();
    assert_eq!(
        disk.files[&(0, NAME.to_owned())],
        b"0\n3\na.topic-1 10 9223372036854775807\norders 0 17\norders 1 40\n"
    );
    assert_eq!(disk.list(dir).unwrap(), [NAME], "the temporary file is renamed");
    assert!(matches!(targets[..], [SyncTarget::File(file), SyncTarget::Dir(d)] if d == dir && disk.len(file).is_ok()));
    assert_eq!(read_offset_checkpoint(&mut disk, dir, NAME), Ok(offsets()));
    write_offset_checkpoint(&mut disk, dir, NAME, &BTreeMap::new()).unwrap();
    assert_eq!(read_offset_checkpoint(&mut disk, dir, NAME), Ok(BTreeMap::new()));
}

#[test]
fn a_broken_file_names_the_line() {
    let table: &[(&[u8], u32)] = &[
        (b"", 1),
        (b"1\n0\n", 1),
        (b"0\n", 2),
        (b"0\n-1\n", 2),
        (b"0\n1\n", 3),
        (b"0\n1\norders 0\n", 3),
        (b"0\n1\norders 0 x\n", 3),
        (b"0\n1\norders 0 1 2\n", 3),
        (b"0\n2\norders 0 1\norders one 1\n", 4),
        (b"0\n1\norders 0 1\norders 1 1\n", 4),
        (b"0\n1\norders 0 \xff\n", 3),
        (b"0\n4294967295\norders 0 1\n", 4),
    ];
    for (content, line) in table {
        let mut disk = MemoryDisk::default();
        let dir = disk.open_dir("meta").unwrap();
        disk.files.insert((0, NAME.to_owned()), content.to_vec());
        let read = read_offset_checkpoint(&mut disk, dir, NAME);
        assert_eq!(read, Err(CheckpointError::Malformed { line: *line }), "{}", String::from_utf8_lossy(content));
    }
}

#[test]
fn no_torn_file_reads_as_another() {
    let mut disk = MemoryDisk::default();
    let dir = disk.open_dir("meta").unwrap();
    write_offset_checkpoint(&mut disk, dir, NAME, &offsets()).unwrap();
    let whole = disk.files[&(0, NAME.to_owned())].clone();
    for cut in 0..whole.len() {
        disk.files.insert((0, NAME.to_owned()), whole[..cut].to_vec());
        let read = read_offset_checkpoint(&mut disk, dir, NAME);
        assert!(matches!(read, Err(CheckpointError::Malformed { .. })), "cut at {cut}: {read:?}");
    }
}
