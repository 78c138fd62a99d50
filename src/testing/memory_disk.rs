//! A disk in memory, with a page cache: what was not synced is gone after a loss of power.
//!
//! As with a real one each opening gives a handle of its own, which closing it, removing the file or renaming another over
//! it makes stale. Two handles may be of one file, and neither tells its name, which may have changed meanwhile.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_storage::{DirId, Disk, DiskError, FileId, OpenMode, SyncTarget};

/// A file, whatever its name and whoever has it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Inode(u32);

type Entries = BTreeMap<String, Inode>;

/// What a sync covers, as it stood when the sync was asked for.
#[derive(Clone, Debug)]
pub struct PendingSync {
    as_of: u64,
    files: Vec<(Inode, Vec<u8>)>,
    dirs: Vec<(DirId, Entries)>,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    dir_names: Vec<String>,
    dirs: BTreeMap<DirId, Entries>,
    files: BTreeMap<Inode, Vec<u8>>,
    handles: BTreeMap<FileId, Inode>,
    /// With the sync that made them durable: one that was asked for earlier and ends later changes nothing.
    durable_dirs: BTreeMap<DirId, (u64, Entries)>,
    durable_files: BTreeMap<Inode, (u64, Vec<u8>)>,
    syncs_asked: u64,
    next_file: u32,
    next_handle: u32,
}

impl MemoryDisk {
    /// A file that was closed or removed since it was named is left out: nobody waits for it any more.
    pub fn snapshot_for_sync(&mut self, targets: &[SyncTarget]) -> PendingSync {
        self.syncs_asked += 1;
        let mut pending = PendingSync { as_of: self.syncs_asked, files: vec![], dirs: vec![] };
        for target in targets {
            match target {
                SyncTarget::File(file) => {
                    let inode = self.handles.get(file).copied();
                    pending.files.extend(inode.map(|inode| (inode, self.files[&inode].clone())));
                }
                SyncTarget::Dir(dir) => pending.dirs.push((*dir, self.dirs[dir].clone())),
            }
        }
        pending
    }
    pub fn complete_sync(&mut self, pending: PendingSync) {
        let as_of = pending.as_of;
        for (inode, content) in pending.files {
            if self.durable_files.get(&inode).is_none_or(|(known, _)| *known < as_of) {
                self.durable_files.insert(inode, (as_of, content));
            }
        }
        for (dir, entries) in pending.dirs {
            if self.durable_dirs.get(&dir).is_none_or(|(known, _)| *known < as_of) {
                self.durable_dirs.insert(dir, (as_of, entries));
            }
        }
    }
    /// Whoever had files open is dead.
    pub fn lose_power(&mut self) {
        self.handles.clear();
        self.dirs =
            self.dirs.keys().map(|dir| (*dir, self.durable_dirs.get(dir).cloned().unwrap_or_default().1)).collect();
        let named: Vec<Inode> = self.dirs.values().flat_map(|entries| entries.values().copied()).collect();
        let content = |inode: Inode| self.durable_files.get(&inode).cloned().unwrap_or_default().1;
        self.files = named.into_iter().map(|inode| (inode, content(inode))).collect();
    }
    fn inode(&self, file: FileId) -> Result<Inode, DiskError> {
        self.handles.get(&file).copied().ok_or(DiskError::StaleHandle)
    }
    fn file(&self, file: FileId) -> Result<&Vec<u8>, DiskError> {
        self.files.get(&self.inode(file)?).ok_or(DiskError::StaleHandle)
    }
    fn file_mut(&mut self, file: FileId) -> Result<&mut Vec<u8>, DiskError> {
        let inode = self.inode(file)?;
        self.files.get_mut(&inode).ok_or(DiskError::StaleHandle)
    }
    fn entries_mut(&mut self, dir: DirId) -> Result<&mut Entries, DiskError> {
        self.dirs.get_mut(&dir).ok_or(DiskError::StaleHandle)
    }
    /// A file has lost its name.
    fn unlinked(&mut self, inode: Inode) {
        self.files.remove(&inode);
        self.handles.retain(|_, open| *open != inode);
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
        for inode in self.dirs.remove(&DirId(at as u32)).unwrap_or_default().into_values() {
            self.unlinked(inode);
        }
        Ok(())
    }
    fn open(&mut self, dir: DirId, name: &str, mode: OpenMode) -> Result<FileId, DiskError> {
        let next = Inode(self.next_file);
        let entries = self.entries_mut(dir)?;
        let inode = match (entries.get(name), mode) {
            (Some(inode), _) => *inode,
            (None, OpenMode::Existing) => return Err(DiskError::NotFound(name.to_string())),
            (None, OpenMode::Create | OpenMode::CreateEmpty) => {
                entries.insert(name.to_string(), next);
                self.next_file += 1;
                self.files.insert(next, Vec::new());
                next
            }
        };
        let file = FileId(self.next_handle);
        self.next_handle += 1;
        self.handles.insert(file, inode);
        if mode == OpenMode::CreateEmpty {
            self.file_mut(file)?.clear();
        }
        Ok(file)
    }
    fn close(&mut self, file: FileId) {
        self.handles.remove(&file);
    }
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
        let inode = entries.remove(from).ok_or_else(|| DiskError::NotFound(from.to_string()))?;
        if let Some(replaced) = entries.insert(to.to_string(), inode) {
            self.unlinked(replaced);
        }
        Ok(())
    }
    fn remove(&mut self, dir: DirId, name: &str) -> Result<(), DiskError> {
        let removed = self.entries_mut(dir)?.remove(name).ok_or_else(|| DiskError::NotFound(name.to_string()))?;
        self.unlinked(removed);
        Ok(())
    }
}

#[test]
fn each_opening_has_a_handle_of_its_own_until_it_is_closed_or_the_file_is_gone() {
    let mut disk = MemoryDisk::default();
    let dir = disk.open_dir("a").unwrap();
    let open = |disk: &mut MemoryDisk, name: &str| disk.open(dir, name, OpenMode::Create).unwrap();
    let (first, second) = (open(&mut disk, "new"), open(&mut disk, "new"));
    assert_ne!(first, second);
    disk.write(first, 0, Bytes::from_static(b"x")).unwrap();
    disk.close(first);
    assert_eq!((disk.len(first), disk.len(second)), (Err(DiskError::StaleHandle), Ok(1)));
    let old = open(&mut disk, "old");
    disk.rename(dir, "new", "old").unwrap();
    assert_eq!((disk.len(old), disk.len(second)), (Err(DiskError::StaleHandle), Ok(1)), "another took its name");
    disk.remove(dir, "old").unwrap();
    assert_eq!(disk.len(second), Err(DiskError::StaleHandle));
    assert!(disk.snapshot_for_sync(&[SyncTarget::File(second)]).files.is_empty());
}
