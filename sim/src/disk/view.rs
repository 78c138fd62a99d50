//! Looking at a disk without touching it: for the checker, which must see the truth and leave no trace.

use bytes::Bytes;
use trial_storage::{DirId, Disk, DiskError, FileId, OpenMode};

use super::{Directory, Entries, VirtualDisk};

/// Reads the page cache; costs nothing, counts as no operation, and refuses every change.
#[derive(Clone, Copy, Debug)]
pub struct DiskView<'a> {
    disk: &'a VirtualDisk,
    expected: Option<&'a Bytes>,
}

impl VirtualDisk {
    /// A view of the page cache as it is now.
    pub fn view(&self) -> DiskView<'_> {
        DiskView { disk: self, expected: None }
    }
    /// A view that hands out these bytes themselves wherever a read of as many finds the like: no copy of what is there already.
    pub fn view_expecting<'a>(&'a self, expected: &'a Bytes) -> DiskView<'a> {
        DiskView { disk: self, expected: Some(expected) }
    }
    /// A whole file as the page cache has it; `None` if there is no such file.
    pub fn cached_bytes(&self, dir: &str, name: &str) -> Option<Bytes> {
        let content = &self.files.get(self.dirs.get(dir)?.cached.get(name)?)?.cached;
        Some(content.read(0, usize::try_from(content.len()).ok()?))
    }
}

/// What the device has, the least that a loss of power would leave; or has said it has, where a sync was lost.
impl VirtualDisk {
    /// The names in a directory on the device.
    pub fn durable_names(&self, dir: &str) -> Vec<String> {
        self.dirs.get(dir).map_or(Vec::new(), |directory| directory.said_or_durable().keys().cloned().collect())
    }
    /// Up to `len` bytes of a file on the device; `None` if it has no such file.
    pub fn durable_bytes(&self, dir: &str, name: &str, at: u64, len: usize) -> Option<Bytes> {
        let file = self.files.get(self.dirs.get(dir)?.said_or_durable().get(name)?)?;
        let content = file.said_durable.as_ref().map_or(&file.durable, |(_, said)| said);
        Some(content.read(at, len))
    }
}

impl Directory {
    fn said_or_durable(&self) -> &Entries {
        self.said_durable.as_ref().map_or(&self.durable, |(_, said)| said)
    }
}

fn refused<T>() -> Result<T, DiskError> {
    Err(DiskError::Io("a view cannot change the disk".to_string()))
}

impl Disk for DiskView<'_> {
    fn open_dir(&mut self, _name: &str) -> Result<DirId, DiskError> {
        refused()
    }
    fn list_dirs(&self) -> Result<Vec<String>, DiskError> {
        self.disk.list_dirs()
    }
    fn list(&self, dir: DirId) -> Result<Vec<String>, DiskError> {
        self.disk.list(dir)
    }
    fn remove_dir(&mut self, _name: &str) -> Result<(), DiskError> {
        refused()
    }
    fn open(&mut self, _dir: DirId, _name: &str, _mode: OpenMode) -> Result<FileId, DiskError> {
        refused()
    }
    fn close(&mut self, _file: FileId) {}
    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.disk.content(file)?.len())
    }
    fn read(&mut self, file: FileId, at: u64, len: usize) -> Result<Bytes, DiskError> {
        let content = self.disk.content(file)?;
        match self.expected.filter(|expected| expected.len() == len && content.has(at, expected)) {
            Some(expected) => Ok(expected.clone()),
            None => Ok(content.read(at, len)),
        }
    }
    fn write(&mut self, _file: FileId, _at: u64, _data: Bytes) -> Result<(), DiskError> {
        refused()
    }
    fn truncate(&mut self, _file: FileId, _len: u64) -> Result<(), DiskError> {
        refused()
    }
    fn rename(&mut self, _dir: DirId, _from: &str, _to: &str) -> Result<(), DiskError> {
        refused()
    }
    fn remove(&mut self, _dir: DirId, _name: &str) -> Result<(), DiskError> {
        refused()
    }
}
