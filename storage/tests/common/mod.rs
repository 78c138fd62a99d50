//! A disk in memory that never fails and forgets nothing, and batches to put on it.
#![allow(dead_code)] // each test binary uses its part

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_storage::{BuildOptions, DirId, Disk, DiskError, FileId, Log, LogConfig, NewRecord, OpenMode, build_batch};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryDisk {
    dirs: Vec<String>,
    /// Contents by directory and name.
    pub files: BTreeMap<(u32, String), Vec<u8>>,
    handles: BTreeMap<FileId, (u32, String)>,
    opened: u32,
}

impl MemoryDisk {
    fn key(&self, file: FileId) -> Result<&(u32, String), DiskError> {
        self.handles.get(&file).ok_or(DiskError::StaleHandle)
    }
    fn content(&self, file: FileId) -> Result<&Vec<u8>, DiskError> {
        self.files.get(self.key(file)?).ok_or(DiskError::StaleHandle)
    }
    fn content_mut(&mut self, file: FileId) -> Result<&mut Vec<u8>, DiskError> {
        let key = self.key(file)?.clone();
        self.files.get_mut(&key).ok_or(DiskError::StaleHandle)
    }
    /// Name and content of the files of the first directory that end in ".log".
    pub fn segments(&self) -> Vec<(String, Vec<u8>)> {
        let logs = self.files.iter().filter(|((dir, name), _)| *dir == 0 && name.ends_with(".log"));
        logs.map(|((_, name), content)| (name.clone(), content.clone())).collect()
    }
}

impl Disk for MemoryDisk {
    fn open_dir(&mut self, name: &str) -> Result<DirId, DiskError> {
        let at = self.dirs.iter().position(|d| d == name).unwrap_or_else(|| {
            self.dirs.push(name.to_owned());
            self.dirs.len() - 1
        });
        Ok(DirId(at as u32))
    }
    fn list_dirs(&self) -> Result<Vec<String>, DiskError> {
        let mut names = self.dirs.clone();
        names.sort();
        Ok(names)
    }
    fn list(&self, dir: DirId) -> Result<Vec<String>, DiskError> {
        Ok(self.files.keys().filter(|(d, _)| *d == dir.0).map(|(_, name)| name.clone()).collect())
    }
    fn remove_dir(&mut self, name: &str) -> Result<(), DiskError> {
        let dir = self.open_dir(name)?;
        self.files.retain(|(d, _), _| *d != dir.0);
        Ok(())
    }
    fn open(&mut self, dir: DirId, name: &str, mode: OpenMode) -> Result<FileId, DiskError> {
        let key = (dir.0, name.to_owned());
        match mode {
            OpenMode::Existing if !self.files.contains_key(&key) => return Err(DiskError::NotFound(name.to_owned())),
            OpenMode::CreateEmpty => drop(self.files.insert(key.clone(), Vec::new())),
            _ => drop(self.files.entry(key.clone()).or_default()),
        }
        self.opened += 1;
        self.handles.insert(FileId(self.opened), key);
        Ok(FileId(self.opened))
    }
    fn close(&mut self, file: FileId) {
        self.handles.remove(&file);
    }
    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.content(file)?.len() as u64)
    }
    fn read(&mut self, file: FileId, at: u64, len: usize) -> Result<Bytes, DiskError> {
        let content = self.content(file)?;
        let start = (at as usize).min(content.len());
        Ok(Bytes::copy_from_slice(&content[start..(start + len).min(content.len())]))
    }
    fn write(&mut self, file: FileId, at: u64, data: Bytes) -> Result<(), DiskError> {
        let content = self.content_mut(file)?;
        let end = at as usize + data.len();
        content.resize(content.len().max(end), 0);
        content[at as usize..end].copy_from_slice(&data);
        Ok(())
    }
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.content_mut(file)?.truncate(len as usize);
        Ok(())
    }
    fn rename(&mut self, dir: DirId, from: &str, to: &str) -> Result<(), DiskError> {
        let (from, to) = ((dir.0, from.to_owned()), (dir.0, to.to_owned()));
        let content = self.files.remove(&from).ok_or(DiskError::NotFound(from.1.clone()))?;
        self.files.insert(to.clone(), content);
        self.handles.retain(|_, key| *key != to);
        self.handles.values_mut().filter(|key| **key == from).for_each(|key| *key = to.clone());
        Ok(())
    }
    fn remove(&mut self, dir: DirId, name: &str) -> Result<(), DiskError> {
        let key = (dir.0, name.to_owned());
        self.handles.retain(|_, k| *k != key);
        self.files.remove(&key).map(drop).ok_or(DiskError::NotFound(name.to_owned()))
    }
}

/// Small segments and a dense index, so that short logs have many of both.
pub fn small() -> LogConfig {
    LogConfig { segment_bytes: 400, index_interval_bytes: 100, max_batch_bytes: 300, ..LogConfig::DEFAULT }
}

/// A producer's batch of `count` records with this value, timestamps from `timestamp` on.
pub fn batch(count: usize, value: &str, timestamp: i64) -> Bytes {
    build_batch(&new_records(count, value, timestamp), BuildOptions::default())
}

/// A batch as a leader stores it.
pub fn leader_batch(count: usize, value: &str, base_offset: i64, partition_leader_epoch: i32) -> Bytes {
    let options = BuildOptions { base_offset, partition_leader_epoch, ..BuildOptions::default() };
    build_batch(&new_records(count, value, 1_000), options)
}

fn new_records(count: usize, value: &str, timestamp: i64) -> Vec<NewRecord> {
    let value = Bytes::copy_from_slice(value.as_bytes());
    let record = |i| NewRecord { timestamp: timestamp + i as i64, value: Some(value.clone()), ..NewRecord::default() };
    (0..count).map(record).collect()
}

/// Everything in the log, read from its start in pieces of at most `max_bytes`.
pub fn read_all(log: &Log, disk: &mut dyn Disk, max_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next_offset = log.log_start_offset();
    while next_offset < log.log_end_offset() {
        let piece = log.read(disk, next_offset, i64::MAX, max_bytes, true).expect("the log is whole");
        for batch in trial_storage::Batches::new(piece.clone()) {
            next_offset = batch.expect("whole batches").header.next_offset();
        }
        assert!(!piece.is_empty(), "no progress at {next_offset}");
        bytes.extend_from_slice(&piece);
    }
    bytes
}
