//! The disk of a process without one: a client's.

use bytes::Bytes;
use trial_storage::{DirId, Disk, DiskError, FileId, OpenMode};

/// Fails every operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoDisk;

fn none<T>() -> Result<T, DiskError> {
    Err(DiskError::Io("this process has no disk".to_string()))
}

impl Disk for NoDisk {
    fn open_dir(&mut self, _name: &str) -> Result<DirId, DiskError> {
        none()
    }
    fn list_dirs(&self) -> Result<Vec<String>, DiskError> {
        none()
    }
    fn list(&self, _dir: DirId) -> Result<Vec<String>, DiskError> {
        none()
    }
    fn remove_dir(&mut self, _name: &str) -> Result<(), DiskError> {
        none()
    }
    fn open(&mut self, _dir: DirId, _name: &str, _mode: OpenMode) -> Result<FileId, DiskError> {
        none()
    }
    fn close(&mut self, _file: FileId) {}
    fn len(&self, _file: FileId) -> Result<u64, DiskError> {
        none()
    }
    fn read(&mut self, _file: FileId, _at: u64, _len: usize) -> Result<Bytes, DiskError> {
        none()
    }
    fn write(&mut self, _file: FileId, _at: u64, _data: Bytes) -> Result<(), DiskError> {
        none()
    }
    fn truncate(&mut self, _file: FileId, _len: u64) -> Result<(), DiskError> {
        none()
    }
    fn rename(&mut self, _dir: DirId, _from: &str, _to: &str) -> Result<(), DiskError> {
        none()
    }
    fn remove(&mut self, _dir: DirId, _name: &str) -> Result<(), DiskError> {
        none()
    }
}
