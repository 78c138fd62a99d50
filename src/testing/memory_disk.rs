//! A disk in memory, with a page cache: what was not synced is gone after a loss of power.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_storage::{DirId, Disk, DiskError, FileId, OpenMode, SyncTarget};

type Entries = BTreeMap<String, FileId>;

/// What a sync covers, as it stood when the sync was asked for.
#[derive(Clone, Debug)]
pub struct PendingSync {
    files: Vec<(FileId, Vec<u8>)>,
    dirs: Vec<(DirId, Entries)>,
}

/// File handles are inode numbers, and stay valid as long as the file lives.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    dir_names: Vec<String>,
    dirs: BTreeMap<DirId, Entries>,
    files: BTreeMap<FileId, Vec<u8>>,
    durable_dirs: BTreeMap<DirId, Entries>,
    durable_files: BTreeMap<FileId, Vec<u8>>,
    next_file: u32,
}

impl MemoryDisk {
    pub fn snapshot_for_sync(&self, targets: &[SyncTarget]) -> PendingSync {
        let mut pending = PendingSync { files: vec![], dirs: vec![] };
        for target in targets {
            match target {
                SyncTarget::File(file) => pending.files.push((*file, self.files[file].clone())),
                SyncTarget::Dir(dir) => pending.dirs.push((*dir, self.dirs[dir].clone())),
            }
        }
        pending
    }
    pub fn complete_sync(&mut self, pending: PendingSync) {
        self.durable_files.extend(pending.files);
        self.durable_dirs.extend(pending.dirs);
    }
    pub fn lose_power(&mut self) {
        self.dirs =
            self.dirs.keys().map(|dir| (*dir, self.durable_dirs.get(dir).cloned().unwrap_or_default())).collect();
        let named: Vec<FileId> = self.dirs.values().flat_map(|entries| entries.values().copied()).collect();
        let content = |file: FileId| self.durable_files.get(&file).cloned().unwrap_or_default();
        self.files = named.into_iter().map(|file| (file, content(file))).collect();
    }
    fn file(&self, file: FileId) -> Result<&Vec<u8>, DiskError> {
        self.files.get(&file).ok_or(DiskError::StaleHandle)
    }
    fn file_mut(&mut self, file: FileId) -> Result<&mut Vec<u8>, DiskError> {
        self.files.get_mut(&file).ok_or(DiskError::StaleHandle)
    }
    fn entries_mut(&mut self, dir: DirId) -> Result<&mut Entries, DiskError> {
        self.dirs.get_mut(&dir).ok_or(DiskError::StaleHandle)
    }
}

impl Disk for MemoryDisk {
    fn open_dir(&mut self, name: &str) -> Result<DirId, DiskError> {
        let at = self.dir_names.iter().position(|n| n == name).unwrap_or_else(|| {
            self.dir_names.push(name.to_string());
            self.dir_names.len() - 1
        });
        let dir = DirId(at as u32);
        self.dirs.entry(dir).or_default();
        Ok(dir)
    }
    fn list_dirs(&self) -> Result<Vec<String>, DiskError> {
        let mut names: Vec<_> = self.dir_names.iter().filter(|name| !name.is_empty()).cloned().collect();
        names.sort();
        Ok(names)
    }
    fn list(&self, dir: DirId) -> Result<Vec<String>, DiskError> {
        Ok(self.dirs.get(&dir).ok_or(DiskError::StaleHandle)?.keys().cloned().collect())
    }
    fn remove_dir(&mut self, name: &str) -> Result<(), DiskError> {
        let at = self.dir_names.iter().position(|n| n == name).ok_or_else(|| DiskError::NotFound(name.to_string()))?;
        // Its handle keeps its place, and is not found any more.
        self.dir_names[at].clear();
        self.dirs.remove(&DirId(at as u32));
        Ok(())
    }
    fn open(&mut self, dir: DirId, name: &str, mode: OpenMode) -> Result<FileId, DiskError> {
        let next = FileId(self.next_file);
        let entries = self.entries_mut(dir)?;
        let file = match (entries.get(name), mode) {
            (Some(file), _) => *file,
            (None, OpenMode::Existing) => return Err(DiskError::NotFound(name.to_string())),
            (None, OpenMode::Create | OpenMode::CreateEmpty) => {
                entries.insert(name.to_string(), next);
                self.next_file += 1;
                self.files.insert(next, Vec::new());
                next
            }
        };
        if mode == OpenMode::CreateEmpty {
            self.file_mut(file)?.clear();
        }
        Ok(file)
    }
    fn close(&mut self, _: FileId) {}
    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.file(file)?.len() as u64)
    }
    fn read(&mut self, file: FileId, at: u64, len: usize) -> Result<Bytes, DiskError> {
        let bytes = self.file(file)?;
        let from = (at as usize).min(bytes.len());
        Ok(Bytes::copy_from_slice(&bytes[from..from.saturating_add(len).min(bytes.len())]))
    }
    fn write(&mut self, file: FileId, at: u64, data: Bytes) -> Result<(), DiskError> {
        let bytes = self.file_mut(file)?;
        let end = at as usize + data.len();
        bytes.resize(bytes.len().max(end), 0);
        bytes[at as usize..end].copy_from_slice(&data);
        Ok(())
    }
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.file_mut(file)?.truncate(len as usize);
        Ok(())
    }
    fn rename(&mut self, dir: DirId, from: &str, to: &str) -> Result<(), DiskError> {
        let entries = self.entries_mut(dir)?;
        let file = entries.remove(from).ok_or_else(|| DiskError::NotFound(from.to_string()))?;
        entries.insert(to.to_string(), file);
        Ok(())
    }
    fn remove(&mut self, dir: DirId, name: &str) -> Result<(), DiskError> {
        self.entries_mut(dir)?.remove(name).map(|_| ()).ok_or_else(|| DiskError::NotFound(name.to_string()))
    }
}
