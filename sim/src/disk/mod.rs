//! The virtual disk: what the file system of one simulated machine does with what a node writes.
//!
//! # The model
//!
//! Every file and every directory exists twice: as the page cache has it, which is what readers see, and as the device
//! has it, which is what a loss of power leaves. Bytes and length of a file go to the device
//! - when a sync that names the file completes, as they were when it was *asked for*;
//! - by background write-back, once the file has been dirty for 30 s, as Linux does by default.
//!
//! The entries of a directory (files created, renamed, removed) go there in the same two ways, apart from the files. So a
//! new file whose directory was not synced is gone after power loss, however often the file itself was synced, and a
//! rename comes undone. One order is kept: an entry made by a rename never reaches the device before the bytes of the
//! file it names, which is what Kafka gets by syncing a checkpoint before renaming it, and what ext4 does by itself. Whoever
//! asks for the opposite ([`Disk::rename_before_bytes`], as of a file that nobody syncs) gets what other file systems do with
//! it: the journal commits the new name at once, with all that the directory holds, and until the file is written back a loss
//! of power leaves it empty, for no block was ever allocated to it.
//!
//! **Process crash**: handles become stale, the page cache stays. **Power loss**: back to what the device has; of bytes
//! appended since, a random part survives, cut at any byte (a torn write), sometimes with a length that survived without
//! its data, which reads as zeros. A file that was cut or overwritten since its last sync comes back either as it was, or
//! as it became, up to a random byte. Checksums, not this disk, must tell.
//!
//! **Time**: operations are counted ([`VirtualDisk::take_operations`]; the host knows what one takes on a healthy disk), and
//! cost more when the disk is slow (each takes a while) or stalled (nothing ends before a given instant). The time a handler was blocked gathers in [`VirtualDisk::take_cost`], and syncs take
//! [`VirtualDisk::sync_latency`]; the host makes both happen. A stalled disk writes nothing back either.
//!
//! **Failure**: no space beyond a capacity; dead from the k-th operation on. Lengths and names are known, without an
//! operation, until the first one was refused.
//!
//! **Lost syncs**: a drive may answer a sync out of a cache that a loss of power empties. While it lies, nothing becomes
//! durable, by a sync or by write-back; what it said it holds is kept apart, so that a loss of power can tell how much of
//! that it took. Once it is honest again, the next sync or write-back makes durable what is still in the page cache.
//!
//! # What is not modelled
//!
//! Torn or reordered pages inside bytes that were synced, bit rot, misdirected writes, reads that fail alone; a page cache under pressure that writes back early or evicts; journal commits of metadata before the 30 s;
//! directories themselves are created and removed durably at once; bandwidth (a large write costs what a small one does);
//! links, permissions, sparse files, and files that live on after their removal.

mod content;
mod durability;
mod latency;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use trial_kafka::node::Nanos;
use trial_storage::{DirId, Disk, DiskError, FileId, OpenMode};

pub use durability::{PendingSync, PowerLossReport, WRITE_BACK_AGE};
pub use latency::{DEFAULT_SYNC_LATENCY, Slowness};
pub use view::DiskView;

use content::Content;

/// A file as long as it lives, under whatever name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Inode(u64);

/// Names and files of a directory. Shared between page cache, device and snapshots until one of them changes.
type Entries = BTreeMap<String, Inode>;

#[derive(Clone, Debug)]
struct File {
    cached: Arc<Content>,
    durable: Arc<Content>,
    /// The count of changes of the disk when `durable` was as it is.
    durable_as_of: u64,
    /// When the page cache first differed from the device.
    dirty_since: Option<Nanos>,
    /// It got its name by a rename, which must not be durable before its bytes.
    renamed: bool,
    /// It got its name before its bytes: none of them is on the device before all are written back or synced.
    unallocated: bool,
    /// The page cache has no name for it any more; only the device does.
    removed: bool,
    /// What a sync that was a lie has said to be durable, as of which count of changes.
    said_durable: Option<(u64, Arc<Content>)>,
}

#[derive(Clone, Debug)]
struct Directory {
    /// Tells a directory from a later one of the same name.
    number: u64,
    cached: Arc<Entries>,
    durable: Arc<Entries>,
    durable_as_of: u64,
    dirty_since: Option<Nanos>,
    /// What a sync that was a lie has said to be durable, as of which count of changes.
    said_durable: Option<(u64, Arc<Entries>)>,
}

/// The disk of one simulated machine. See the module documentation for what it does and does not model.
///
/// A plain value: a clone shares all bytes with the original and costs about as much as copying its tables of names.
#[derive(Clone, Debug)]
pub struct VirtualDisk {
    dirs: BTreeMap<String, Directory>,
    files: BTreeMap<Inode, File>,
    dir_handles: BTreeMap<DirId, String>,
    handles: BTreeMap<FileId, Inode>,
    next_handle: u32,
    /// Counts changes; numbers of files and directories come from it too.
    changes: u64,
    capacity: Option<u64>,
    used: u64,
    /// When write-back has something to do at the earliest.
    next_write_back: Option<Nanos>,
    write_back_age: Nanos,
    /// Syncs are answered, and nothing becomes durable.
    lies: bool,
    device: latency::Device,
}

impl VirtualDisk {
    /// An empty disk that holds up to `capacity` bytes of file content.
    pub fn new(capacity: Option<u64>) -> Self {
        VirtualDisk {
            dirs: BTreeMap::new(),
            files: BTreeMap::new(),
            dir_handles: BTreeMap::new(),
            handles: BTreeMap::new(),
            next_handle: 0,
            changes: 0,
            capacity,
            used: 0,
            next_write_back: None,
            write_back_age: WRITE_BACK_AGE,
            lies: false,
            device: latency::Device::default(),
        }
    }

    /// Sets how many bytes of file content fit; less than there are means that nothing can be added.
    pub fn set_capacity(&mut self, capacity: Option<u64>) {
        self.capacity = capacity;
    }

    /// Bytes of file content, as the page cache has it.
    pub fn used_bytes(&self) -> u64 {
        self.used
    }

    fn next_change(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    fn next_handle(&mut self) -> u32 {
        self.next_handle += 1;
        self.next_handle
    }

    fn inode(&self, file: FileId) -> Result<Inode, DiskError> {
        self.handles.get(&file).copied().ok_or(DiskError::StaleHandle)
    }

    fn content(&self, file: FileId) -> Result<&Content, DiskError> {
        let file = self.files.get(&self.inode(file)?).ok_or(DiskError::StaleHandle)?;
        Ok(&file.cached)
    }

    fn directory(&self, dir: DirId) -> Result<&Directory, DiskError> {
        let name = self.dir_handles.get(&dir).ok_or(DiskError::StaleHandle)?;
        self.dirs.get(name).ok_or(DiskError::StaleHandle)
    }

    /// Changes the entries of a directory in the page cache.
    fn change_entries(&mut self, dir: DirId, change: impl FnOnce(&mut Entries)) -> Result<(), DiskError> {
        let name = self.dir_handles.get(&dir).ok_or(DiskError::StaleHandle)?;
        let directory = self.dirs.get_mut(name).ok_or(DiskError::StaleHandle)?;
        change(Arc::make_mut(&mut directory.cached));
        self.changes += 1;
        durability::mark_dirty(
            &mut directory.dirty_since,
            &mut self.next_write_back,
            self.device.now,
            self.write_back_age,
        );
        Ok(())
    }

    /// Changes what a file holds in the page cache.
    fn change_content(&mut self, inode: Inode, change: impl FnOnce(&mut Content)) -> Result<(), DiskError> {
        let file = self.files.get_mut(&inode).ok_or(DiskError::StaleHandle)?;
        self.used -= file.cached.len();
        change(Arc::make_mut(&mut file.cached));
        self.used += file.cached.len();
        self.changes += 1;
        durability::mark_dirty(&mut file.dirty_since, &mut self.next_write_back, self.device.now, self.write_back_age);
        Ok(())
    }

    /// A file has lost its name in the page cache. It lives on while the device still has it.
    fn unlinked(&mut self, inode: Inode, durable: &Entries) {
        self.handles.retain(|_, open| *open != inode);
        self.used -= self.files.get(&inode).map_or(0, |file| file.cached.len());
        if durable.values().any(|named| *named == inode) {
            if let Some(file) = self.files.get_mut(&inode) {
                file.cached = file.durable.clone();
                file.dirty_since = None;
                file.removed = true;
            }
        } else {
            self.files.remove(&inode);
        }
    }
}

impl Disk for VirtualDisk {
    fn open_dir(&mut self, name: &str) -> Result<DirId, DiskError> {
        self.device.operation()?;
        if !self.dirs.contains_key(name) {
            let number = self.next_change();
            let empty = Arc::new(Entries::new());
            let directory = Directory {
                number,
                cached: empty.clone(),
                durable: empty,
                durable_as_of: number,
                dirty_since: None,
                said_durable: None,
            };
            self.dirs.insert(name.to_owned(), directory);
        }
        // One handle for each directory is enough, since there is no closing it.
        if let Some((open, _)) = self.dir_handles.iter().find(|(_, opened)| *opened == name) {
            return Ok(*open);
        }
        let dir = DirId(self.next_handle());
        self.dir_handles.insert(dir, name.to_owned());
        Ok(dir)
    }

    fn list_dirs(&self) -> Result<Vec<String>, DiskError> {
        self.device.answers()?;
        Ok(self.dirs.keys().cloned().collect())
    }

    fn list(&self, dir: DirId) -> Result<Vec<String>, DiskError> {
        self.device.answers()?;
        Ok(self.directory(dir)?.cached.keys().cloned().collect())
    }

    fn remove_dir(&mut self, name: &str) -> Result<(), DiskError> {
        self.device.operation()?;
        let directory = self.dirs.remove(name).ok_or_else(|| DiskError::NotFound(name.to_owned()))?;
        for inode in directory.cached.values() {
            self.unlinked(*inode, &Entries::new());
        }
        for inode in directory.durable.values() {
            self.files.remove(inode);
        }
        self.dir_handles.retain(|_, opened| opened != name);
        self.next_change();
        Ok(())
    }

    fn open(&mut self, dir: DirId, name: &str, mode: OpenMode) -> Result<FileId, DiskError> {
        self.device.operation()?;
        let existing = self.directory(dir)?.cached.get(name).copied();
        let inode = match (existing, mode) {
            (Some(inode), OpenMode::CreateEmpty) => {
                self.change_content(inode, |content| content.truncate(0))?;
                inode
            }
            (Some(inode), _) => inode,
            (None, OpenMode::Existing) => return Err(DiskError::NotFound(name.to_owned())),
            (None, OpenMode::Create | OpenMode::CreateEmpty) => {
                let as_of = self.next_change();
                let empty = Arc::new(Content::default());
                let file = File {
                    cached: empty.clone(),
                    durable: empty,
                    durable_as_of: as_of,
                    dirty_since: None,
                    renamed: false,
                    unallocated: false,
                    removed: false,
                    said_durable: None,
                };
                self.files.insert(Inode(as_of), file);
                self.change_entries(dir, |entries| {
                    entries.insert(name.to_owned(), Inode(as_of));
                })?;
                Inode(as_of)
            }
        };
        let file = FileId(self.next_handle());
        self.handles.insert(file, inode);
        Ok(file)
    }

    fn close(&mut self, file: FileId) {
        self.handles.remove(&file);
    }

    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        self.device.answers()?;
        Ok(self.content(file)?.len())
    }

    fn read(&mut self, file: FileId, at: u64, len: usize) -> Result<Bytes, DiskError> {
        self.device.operation()?;
        Ok(self.content(file)?.read(at, len))
    }

    fn write(&mut self, file: FileId, at: u64, data: Bytes) -> Result<(), DiskError> {
        self.device.operation()?;
        let inode = self.inode(file)?;
        let growth = at.saturating_add(data.len() as u64).saturating_sub(self.content(file)?.len());
        if self.capacity.is_some_and(|capacity| growth > 0 && self.used.saturating_add(growth) > capacity) {
            return Err(DiskError::Full);
        }
        self.change_content(inode, |content| content.write(at, data))
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.device.operation()?;
        let inode = self.inode(file)?;
        self.change_content(inode, |content| content.truncate(len))
    }

    fn rename(&mut self, dir: DirId, from: &str, to: &str) -> Result<(), DiskError> {
        self.device.operation()?;
        let directory = self.directory(dir)?;
        let inode = *directory.cached.get(from).ok_or_else(|| DiskError::NotFound(from.to_owned()))?;
        let replaced = directory.cached.get(to).copied().filter(|replaced| *replaced != inode);
        let durable = directory.durable.clone();
        self.change_entries(dir, |entries| {
            entries.remove(from);
            entries.insert(to.to_owned(), inode);
        })?;
        if let Some(file) = self.files.get_mut(&inode) {
            file.renamed = true;
        }
        if let Some(replaced) = replaced {
            self.unlinked(replaced, &durable);
        }
        Ok(())
    }

    fn rename_before_bytes(&mut self, dir: DirId, from: &str, to: &str) -> Result<(), DiskError> {
        self.rename(dir, from, to)?;
        let inode = self.directory(dir)?.cached.get(to).copied();
        if let Some(file) = inode.and_then(|inode| self.files.get_mut(&inode)) {
            (file.renamed, file.unallocated) = (false, true);
        }
        let name = self.dir_handles.get(&dir).cloned().ok_or(DiskError::StaleHandle)?;
        if !self.lies && !self.device.is_stalled() {
            self.commit_entries(&name);
        }
        Ok(())
    }

    fn remove(&mut self, dir: DirId, name: &str) -> Result<(), DiskError> {
        self.device.operation()?;
        let directory = self.directory(dir)?;
        let inode = *directory.cached.get(name).ok_or_else(|| DiskError::NotFound(name.to_owned()))?;
        let durable = directory.durable.clone();
        self.change_entries(dir, |entries| {
            entries.remove(name);
        })?;
        self.unlinked(inode, &durable);
        Ok(())
    }
}
