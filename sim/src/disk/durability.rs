//! What is on the device, and what does a crash leave?

use std::collections::BTreeSet;
use std::sync::Arc;

use trial_kafka::node::Nanos;
use trial_storage::{DiskError, SyncTarget};

use super::content::Content;
use super::{Entries, File, Inode, VirtualDisk};

/// Age at which something dirty is written back in the background unless set otherwise (Linux: `dirty_expire_centisecs`).
pub const WRITE_BACK_AGE: Nanos = 30_000_000_000;

/// The state a sync makes durable when it completes: as of the moment it was asked for. A plain value.
#[derive(Clone, Debug)]
pub struct PendingSync {
    as_of: u64,
    asked_at: Nanos,
    files: Vec<(Inode, Arc<Content>)>,
    dirs: Vec<PendingDir>,
}

#[derive(Clone, Debug)]
struct PendingDir {
    name: String,
    number: u64,
    entries: Arc<Entries>,
    /// What the device had of each file, should one be removed before the sync completes.
    durable_files: Vec<(Inode, Arc<Content>)>,
}

/// What a loss of power did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerLossReport {
    /// Bytes the page cache had and the disk has not, or has as zeros.
    pub lost_bytes: u64,
    /// Files whose unsynced bytes survived in part.
    pub torn_files: u32,
    /// Names under which there was another file or none before, and is again.
    pub undone_entries: u32,
    /// Of the bytes lost, those that a sync had answered to be durable.
    pub lost_synced_bytes: u64,
}

/// Notes that something differs from the device from now on.
pub(super) fn mark_dirty(dirty_since: &mut Option<Nanos>, next_write_back: &mut Option<Nanos>, now: Nanos, age: Nanos) {
    let since = *dirty_since.get_or_insert(now);
    let due = since.saturating_add(age);
    *next_write_back = Some(next_write_back.map_or(due, |next| next.min(due)));
}

impl VirtualDisk {
    /// Tells the disk the time; the host does so before each handler and before each fault. Never goes back. Writes back
    /// what is old enough, which nobody can tell from having done so at the exact moment, since nothing happened between.
    pub fn set_time(&mut self, now: Nanos) {
        self.device.now = self.device.now.max(now);
        if self.next_write_back.is_some_and(|due| due <= self.device.now) && !self.device.is_stalled() && !self.lies {
            self.write_back(self.write_back_age);
        }
    }

    /// From now on syncs are answered and nothing becomes durable; or, again, what is synced is kept.
    pub fn set_lost_syncs(&mut self, lies: bool) {
        self.lies = lies;
    }

    /// Sets the age at which something dirty is written back, [`WRITE_BACK_AGE`] unless set.
    pub fn set_write_back_age(&mut self, age: Nanos) {
        self.write_back_age = age;
    }

    /// Makes durable what has been dirty for `age` or longer; 0 for everything (`sync(2)`). `set_time` does this by
    /// itself at the age of [`VirtualDisk::set_write_back_age`].
    pub fn write_back(&mut self, age: Nanos) {
        let (now, as_of) = (self.device.now, self.changes);
        let old = |dirty_since: Option<Nanos>| dirty_since.is_some_and(|since| now.saturating_sub(since) >= age);
        for file in self.files.values_mut().filter(|file| old(file.dirty_since)) {
            file.durable = file.cached.clone();
            file.unallocated = false;
            file.durable_as_of = as_of;
            (file.dirty_since, file.said_durable) = (None, None);
        }
        let dirs: Vec<_> = self.dirs.iter().filter(|(_, d)| old(d.dirty_since)).map(|(name, _)| name.clone()).collect();
        for name in dirs {
            self.commit_entries(&name);
        }
        let files = self.files.values().filter_map(|file| file.dirty_since);
        let oldest = files.chain(self.dirs.values().filter_map(|directory| directory.dirty_since)).min();
        self.next_write_back = oldest.map(|since| since.saturating_add(self.write_back_age));
    }

    /// The entries of a directory are on the device as they are now, and of renamed files what they hold.
    pub(super) fn commit_entries(&mut self, name: &str) {
        let as_of = self.changes;
        let Some(directory) = self.dirs.get_mut(name) else { return };
        directory.dirty_since = None;
        let entries = directory.cached.clone();
        for inode in entries.values() {
            if let Some(file) = self.files.get_mut(inode).filter(|file| file.renamed) {
                file.durable = file.cached.clone();
                file.durable_as_of = as_of;
                (file.dirty_since, file.said_durable) = (None, None);
            }
        }
        self.entries_durable(name, entries, as_of);
    }

    /// What a sync of these targets will make durable: their state now. Targets that are gone are passed over.
    pub fn snapshot_for_sync(&mut self, targets: &[SyncTarget]) -> PendingSync {
        let mut pending =
            PendingSync { as_of: self.changes, asked_at: self.device.now, files: Vec::new(), dirs: Vec::new() };
        for target in targets {
            match target {
                SyncTarget::File(file) => {
                    let inode = self.handles.get(file);
                    if let Some((inode, file)) = inode.and_then(|inode| self.files.get_key_value(inode)) {
                        pending.files.push((*inode, file.cached.clone()));
                    }
                }
                SyncTarget::Dir(dir) => {
                    let Some((name, directory)) =
                        self.dir_handles.get(dir).and_then(|name| self.dirs.get_key_value(name))
                    else {
                        continue;
                    };
                    let mut durable_files = Vec::new();
                    for inode in directory.cached.values() {
                        let Some(file) = self.files.get(inode) else { continue };
                        durable_files.push((*inode, file.durable.clone()));
                        if file.renamed {
                            pending.files.push((*inode, file.cached.clone()));
                        }
                    }
                    let (name, number) = (name.clone(), directory.number);
                    pending.dirs.push(PendingDir { name, number, entries: directory.cached.clone(), durable_files });
                }
            }
        }
        pending
    }

    /// The sync has ended: what it named is durable as it was then, unless something newer is already. Files and
    /// directories that were removed for good meanwhile are passed over. A dead disk makes nothing durable.
    pub fn complete_sync(&mut self, pending: PendingSync) -> Result<(), DiskError> {
        self.device.alive()?;
        let as_of = pending.as_of;
        if self.lies {
            self.say_durable(pending);
            return Ok(());
        }
        for dir in pending.dirs {
            let current = self.dirs.get_mut(&dir.name).filter(|directory| directory.number == dir.number);
            let Some(directory) = current.filter(|directory| directory.durable_as_of <= as_of) else { continue };
            directory.dirty_since = (!Arc::ptr_eq(&directory.cached, &dir.entries)).then_some(pending.asked_at);
            // A file that was removed since is still there for the device, whose entries name it.
            for (inode, durable) in dir.durable_files {
                self.files.entry(inode).or_insert_with(|| File {
                    cached: durable.clone(),
                    durable,
                    durable_as_of: 0,
                    dirty_since: None,
                    renamed: false,
                    unallocated: false,
                    removed: true,
                    said_durable: None,
                });
            }
            self.entries_durable(&dir.name, dir.entries, as_of);
        }
        for (inode, content) in pending.files {
            let Some(file) = self.files.get_mut(&inode).filter(|file| file.durable_as_of <= as_of) else { continue };
            file.durable_as_of = as_of;
            file.durable = content;
            file.unallocated = false;
            file.said_durable.take_if(|(said_as_of, _)| *said_as_of <= as_of);
            if file.removed {
                file.cached = file.durable.clone();
            }
            file.dirty_since = (!Arc::ptr_eq(&file.cached, &file.durable)).then_some(pending.asked_at);
        }
        Ok(())
    }

    /// A sync that is a lie has ended: nothing changes but what the disk has said. What is dirty stays so.
    fn say_durable(&mut self, pending: PendingSync) {
        let as_of = pending.as_of;
        for dir in pending.dirs {
            let current = self.dirs.get_mut(&dir.name).filter(|directory| directory.number == dir.number);
            if let Some(directory) = current.filter(|directory| directory.durable_as_of <= as_of) {
                directory.said_durable = Some((as_of, dir.entries));
            }
        }
        for (inode, content) in pending.files {
            if let Some(file) = self.files.get_mut(&inode).filter(|file| file.durable_as_of <= as_of) {
                file.said_durable = Some((as_of, content));
            }
        }
    }

    /// The device has these entries of a directory now. Files that neither it nor the page cache names are gone.
    fn entries_durable(&mut self, name: &str, entries: Arc<Entries>, as_of: u64) {
        let Some(directory) = self.dirs.get_mut(name) else { return };
        let before = std::mem::replace(&mut directory.durable, entries);
        directory.durable_as_of = as_of;
        directory.said_durable.take_if(|(said_as_of, _)| *said_as_of <= as_of);
        for (name, inode) in before.iter() {
            // Most stand where they stood; only of what went is asked whether it goes by another name now.
            let stands = |entries: &Entries| entries.get(name) == Some(inode);
            let named = |entries: &Entries| entries.values().any(|other| other == inode);
            let still = [&directory.durable, &directory.cached];
            if !still.iter().any(|entries| stands(entries)) && !still.iter().any(|entries| named(entries)) {
                self.files.remove(inode);
            }
        }
    }

    /// The process is gone, the machine is not: handles are stale, the page cache stays.
    pub fn process_crash(&mut self) {
        self.handles.clear();
        self.dir_handles.clear();
        self.take_cost();
        self.take_operations();
    }

    /// Bytes of the files `*SUFFIX` of a directory, as the page cache has them, that this later state of the same disk
    /// has not, or has as others.
    pub fn bytes_lost_until(&self, later: &VirtualDisk, dir: &str, suffix: &str) -> u64 {
        let content = |disk: &'_ VirtualDisk, name: &str| {
            let inode = disk.dirs.get(dir)?.cached.get(name)?;
            Some(disk.files.get(inode)?.cached.clone())
        };
        let names = self.dirs.get(dir).into_iter().flat_map(|directory| directory.cached.keys());
        let lost = names.filter(|name| name.ends_with(suffix)).filter_map(|name| {
            let before = content(self, name)?;
            let kept = content(later, name).map_or(0, |after| before.common_prefix(&after));
            Some(before.len() - kept)
        });
        lost.sum()
    }

    /// The machine lost power: back to what the device has, with what `random` decides of unsynced bytes. Same state and
    /// same draws, same result.
    pub fn power_loss(&mut self, random: &mut impl FnMut() -> u64) -> PowerLossReport {
        self.process_crash();
        let mut report = PowerLossReport::default();
        let mut named = BTreeSet::new();
        for directory in self.dirs.values_mut() {
            let (cached, durable) = (&directory.cached, &directory.durable);
            let new = cached.iter().filter(|(name, inode)| durable.get(*name) != Some(inode)).count();
            let removed = durable.keys().filter(|name| !cached.contains_key(*name)).count();
            report.undone_entries += (new + removed) as u32;
            directory.cached = directory.durable.clone();
            (directory.dirty_since, directory.said_durable) = (None, None);
            named.extend(directory.durable.values().copied());
        }
        self.used = 0;
        self.files.retain(|inode, file| {
            let said_durable = file.said_durable.take().map(|(_, content)| content);
            if !named.contains(inode) {
                report.lost_bytes += file.cached.len();
                report.lost_synced_bytes += said_durable.map_or(0, |said| said.len());
                return false;
            }
            if !Arc::ptr_eq(&file.cached, &file.durable) && file.unallocated {
                report.lost_bytes += file.cached.len();
                file.cached = file.durable.clone();
            } else if !Arc::ptr_eq(&file.cached, &file.durable) {
                let (left, lost) = torn(&file.cached, &file.durable, random);
                report.lost_bytes += lost;
                report.torn_files += u32::from(left.len() > file.durable.len());
                file.durable = Arc::new(left);
                file.cached = file.durable.clone();
            }
            report.lost_synced_bytes += said_durable.map_or(0, |said| said.len() - said.common_prefix(&file.cached));
            file.dirty_since = None;
            file.removed = false;
            self.used += file.cached.len();
            true
        });
        self.next_write_back = None;
        report
    }
}

/// What power loss leaves of a file that differs from the device, and how many bytes of the page cache that loses.
fn torn(cached: &Content, durable: &Content, random: &mut impl FnMut() -> u64) -> (Content, u64) {
    let same = cached.common_prefix(durable);
    let only_appended = same == durable.len();
    if !only_appended && random().is_multiple_of(2) {
        // The cut or overwrite itself did not reach the device.
        return (durable.clone(), cached.len() - same);
    }
    let mut left = cached.clone();
    let data_len = same + random() % (cached.len() - same + 1);
    left.truncate(data_len);
    let lost = cached.len() - data_len;
    if random().is_multiple_of(4) {
        // The new length reached the device, the data did not.
        left.extend_with_zeros(data_len + random() % (lost + 1));
    }
    (left, lost)
}
