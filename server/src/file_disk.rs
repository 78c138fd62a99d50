//! The disk of a real broker: files under a root directory, through the operating system's page cache.
//!
//! ```text
//!   <root>/orders-0/00000000000000000000.log
//!   <root>/orders-0/leader-epoch-checkpoint
//! ```
//!
//! The operating system gives what [`Disk`] asks for: operations take effect at once for whoever reads, and survive a loss
//! of power once synced. Syncing takes time, so it is a value of its own: [`FileDisk::sync_job`] is taken at the moment of
//! asking and run on whatever thread may wait. It covers at least what was written by then.
//!
//! Names come from topics and are checked: a name that could lead out of the root is refused. The directory `.` is the
//! root itself, where a broker keeps its checkpoints.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use trial_storage::{DirId, Disk, DiskError, FileId, OpenMode, SyncTarget};

/// The name by which the root is opened as a directory.
const ROOT: &str = ".";

#[derive(Debug)]
struct OpenFile {
    file: File,
    dir: PathBuf,
    name: String,
}

/// Real files under a root directory. One process at a time may use a root.
#[derive(Debug)]
pub struct FileDisk {
    root: PathBuf,
    dirs: BTreeMap<DirId, PathBuf>,
    files: BTreeMap<FileId, OpenFile>,
    next_handle: u32,
}

/// Files and directories to make durable: [`SyncJob::run`] waits until they are.
#[derive(Debug)]
pub struct SyncJob {
    files: Vec<File>,
}

impl SyncJob {
    /// Waits until everything is durable. An error means that some of it may not be, now or ever: Linux reports a failed
    /// write-back once and drops the pages, so trying again proves nothing.
    pub fn run(self) -> Result<(), DiskError> {
        self.files.iter().try_for_each(|file| file.sync_all().map_err(|error| disk_error(error, "sync")))
    }
}

impl FileDisk {
    /// The disk under `root`, which is created if needed.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<FileDisk> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        Ok(FileDisk { root, dirs: BTreeMap::new(), files: BTreeMap::new(), next_handle: 0 })
    }

    /// Where it keeps everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What to run so that these targets are durable as they are now. Targets that are gone are passed over, as their
    /// bytes are gone too.
    pub fn sync_job(&self, targets: &[SyncTarget]) -> Result<SyncJob, DiskError> {
        let mut files = Vec::with_capacity(targets.len());
        for target in targets {
            match target {
                SyncTarget::File(file) => {
                    if let Some(open) = self.files.get(file) {
                        files.push(open.file.try_clone().map_err(|error| disk_error(error, &open.name))?);
                    }
                }
                SyncTarget::Dir(dir) => {
                    if let Some(path) = self.dirs.get(dir) {
                        // The directory's own entry lies in the root: without it there is nothing to find it by.
                        files.extend(open_for_sync(path)?);
                        files.extend(open_for_sync(&self.root)?);
                    }
                }
            }
        }
        Ok(SyncJob { files })
    }

    fn dir(&self, dir: DirId) -> Result<&PathBuf, DiskError> {
        self.dirs.get(&dir).ok_or(DiskError::StaleHandle)
    }

    fn file(&mut self, file: FileId) -> Result<&mut OpenFile, DiskError> {
        self.files.get_mut(&file).ok_or(DiskError::StaleHandle)
    }

    fn next_handle(&mut self) -> u32 {
        self.next_handle += 1;
        self.next_handle
    }

    fn forget(&mut self, dir: &Path, name: &str) {
        self.files.retain(|_, open| open.dir != dir || open.name != name);
    }
}

impl Disk for FileDisk {
    fn open_dir(&mut self, name: &str) -> Result<DirId, DiskError> {
        let path = if name == ROOT { self.root.clone() } else { self.root.join(checked(name)?) };
        fs::create_dir_all(&path).map_err(|error| disk_error(error, name))?;
        if let Some((dir, _)) = self.dirs.iter().find(|(_, opened)| **opened == path) {
            return Ok(*dir);
        }
        let dir = DirId(self.next_handle());
        self.dirs.insert(dir, path);
        Ok(dir)
    }

    fn list_dirs(&self) -> Result<Vec<String>, DiskError> {
        names(&self.root, |kind| kind.is_dir())
    }

    fn list(&self, dir: DirId) -> Result<Vec<String>, DiskError> {
        names(self.dir(dir)?, |kind| kind.is_file())
    }

    fn remove_dir(&mut self, name: &str) -> Result<(), DiskError> {
        let path = self.root.join(checked(name)?);
        self.files.retain(|_, open| open.dir != path);
        self.dirs.retain(|_, opened| *opened != path);
        fs::remove_dir_all(&path).map_err(|error| disk_error(error, name))
    }

    fn open(&mut self, dir: DirId, name: &str, mode: OpenMode) -> Result<FileId, DiskError> {
        let dir = self.dir(dir)?.clone();
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match mode {
            OpenMode::Existing => &mut options,
            OpenMode::Create => options.create(true),
            OpenMode::CreateEmpty => options.create(true).truncate(true),
        };
        let file = options.open(dir.join(checked(name)?)).map_err(|error| disk_error(error, name))?;
        let id = FileId(self.next_handle());
        self.files.insert(id, OpenFile { file, dir, name: name.to_owned() });
        Ok(id)
    }

    fn close(&mut self, file: FileId) {
        self.files.remove(&file);
    }

    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        let open = self.files.get(&file).ok_or(DiskError::StaleHandle)?;
        Ok(open.file.metadata().map_err(|error| disk_error(error, &open.name))?.len())
    }

    fn read(&mut self, file: FileId, at: u64, len: usize) -> Result<Bytes, DiskError> {
        let there = self.len(file)?.saturating_sub(at);
        let open = self.file(file)?;
        let wanted = there.min(len as u64);
        let mut bytes = Vec::with_capacity(wanted as usize);
        open.file
            .seek(SeekFrom::Start(at))
            .and_then(|_| (&open.file).take(wanted).read_to_end(&mut bytes))
            .map_err(|error| disk_error(error, &open.name))?;
        Ok(bytes.into())
    }

    fn write(&mut self, file: FileId, at: u64, data: Bytes) -> Result<(), DiskError> {
        let open = self.file(file)?;
        open.file
            .seek(SeekFrom::Start(at))
            .and_then(|_| open.file.write_all(&data))
            .map_err(|error| disk_error(error, &open.name))
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        let present = self.len(file)?;
        let open = self.file(file)?;
        open.file.set_len(len.min(present)).map_err(|error| disk_error(error, &open.name))
    }

    fn rename(&mut self, dir: DirId, from: &str, to: &str) -> Result<(), DiskError> {
        let dir = self.dir(dir)?.clone();
        let (from_path, to_path) = (dir.join(checked(from)?), dir.join(checked(to)?));
        fs::rename(from_path, to_path).map_err(|error| disk_error(error, from))?;
        if from != to {
            self.forget(&dir, to);
            let moved = self.files.values_mut().filter(|open| open.dir == dir && open.name == from);
            moved.for_each(|open| open.name = to.to_owned());
        }
        Ok(())
    }

    fn remove(&mut self, dir: DirId, name: &str) -> Result<(), DiskError> {
        let dir = self.dir(dir)?.clone();
        fs::remove_file(dir.join(checked(name)?)).map_err(|error| disk_error(error, name))?;
        self.forget(&dir, name);
        Ok(())
    }
}

/// A directory as something to sync, where the system lets directories be opened.
fn open_for_sync(path: &Path) -> Result<Option<File>, DiskError> {
    if cfg!(windows) {
        return Ok(None);
    }
    File::open(path).map(Some).map_err(|error| disk_error(error, "directory"))
}

fn names(dir: &Path, of_kind: impl Fn(fs::FileType) -> bool) -> Result<Vec<String>, DiskError> {
    let read = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            if let Some(name) = entry.file_name().to_str().filter(|_| entry.file_type().is_ok_and(&of_kind)) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    };
    read().map_err(|error| disk_error(error, "directory"))
}

/// Names are flat: nothing that separates, leads upwards or is empty.
fn checked(name: &str) -> Result<&str, DiskError> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', ':', '\0']) {
        return Err(DiskError::Io(format!("not a file name: {name:?}")));
    }
    Ok(name)
}

fn disk_error(error: io::Error, name: &str) -> DiskError {
    match error.kind() {
        io::ErrorKind::NotFound => DiskError::NotFound(name.to_owned()),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full,
        _ => DiskError::Io(format!("{name}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use trial_storage::{BuildOptions, Log, LogConfig, NewRecord, Opening, build_batch};

    use super::*;

    /// A root that is removed with the value.
    struct Root(PathBuf);

    impl Root {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            Root(std::env::temp_dir().join(format!("trial-file-disk-{}-{number}", std::process::id())))
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_behave_as_the_log_expects() {
        let root = Root::new();
        let mut disk = FileDisk::open(&root.0).unwrap();
        let dir = disk.open_dir("b").unwrap();
        disk.open_dir("a").unwrap();
        assert_eq!(disk.list_dirs().unwrap(), ["a", "b"]);
        assert_eq!(disk.open(dir, "f", OpenMode::Existing), Err(DiskError::NotFound("f".to_owned())));
        let file = disk.open(dir, "f", OpenMode::Create).unwrap();
        disk.write(file, 3, Bytes::from_static(b"def")).unwrap();
        disk.write(file, 0, Bytes::from_static(b"abc")).unwrap();
        assert_eq!(disk.read(file, 2, 100).unwrap(), "cdef");
        assert_eq!(disk.read(file, 9, 1).unwrap(), "");
        disk.truncate(file, 2).unwrap();
        disk.truncate(file, 9).unwrap();
        assert_eq!(disk.len(file), Ok(2));

        let other = disk.open(dir, "g", OpenMode::CreateEmpty).unwrap();
        disk.rename(dir, "f", "g").unwrap();
        assert_eq!(disk.len(other), Err(DiskError::StaleHandle), "replaced");
        assert_eq!(disk.read(file, 0, 2).unwrap(), "ab");
        assert_eq!(disk.list(dir).unwrap(), ["g"]);
        disk.sync_job(&[SyncTarget::File(file), SyncTarget::File(other), SyncTarget::Dir(dir)]).unwrap().run().unwrap();
        disk.remove(dir, "g").unwrap();
        assert_eq!(disk.len(file), Err(DiskError::StaleHandle));
        disk.remove_dir("b").unwrap();
        assert_eq!(disk.list(dir), Err(DiskError::StaleHandle));
    }

    #[test]
    fn names_do_not_lead_out_of_the_root() {
        let root = Root::new();
        let mut disk = FileDisk::open(&root.0).unwrap();
        let dir = disk.open_dir("d").unwrap();
        for name in ["", ".", "..", "../x", "a/b", "a\\b", "c:"] {
            assert!(name == ROOT || matches!(disk.open_dir(name), Err(DiskError::Io(_))), "{name}");
            assert!(matches!(disk.open(dir, name, OpenMode::Create), Err(DiskError::Io(_))), "{name}");
            assert!(matches!(disk.remove_dir(name), Err(DiskError::Io(_))), "{name}");
        }
    }

    #[test]
    fn the_root_is_a_directory_too() {
        let root = Root::new();
        let mut disk = FileDisk::open(&root.0).unwrap();
        disk.open_dir("d").unwrap();
        let dir = disk.open_dir(ROOT).unwrap();
        let file = disk.open(dir, "checkpoint", OpenMode::Create).unwrap();
        disk.write(file, 0, Bytes::from_static(b"0")).unwrap();
        disk.sync_job(&[SyncTarget::File(file), SyncTarget::Dir(dir)]).unwrap().run().unwrap();
        assert_eq!(disk.list(dir).unwrap(), ["checkpoint"]);
        assert_eq!(disk.list_dirs().unwrap(), ["d"]);
        assert_eq!(fs::read(root.0.join("checkpoint")).unwrap(), b"0");
    }

    #[test]
    fn a_log_is_found_again() {
        let root = Root::new();
        let record = NewRecord { value: Some(Bytes::from_static(b"value")), ..NewRecord::default() };
        let batch = build_batch(&[record], BuildOptions::default());
        let config = LogConfig { segment_bytes: 200, ..LogConfig::default() };
        let mut disk = FileDisk::open(&root.0).unwrap();
        let (mut log, _) = Log::open(&mut disk, "orders-0", config, Opening::Clean).unwrap();
        for epoch in 0..9 {
            log.append_as_leader(&mut disk, batch.clone(), epoch, 0).unwrap();
        }
        disk.sync_job(&log.unsynced()).unwrap().run().unwrap();
        log.synced(log.sync_started());
        assert_eq!(log.recovery_point(), 9);

        let mut disk = FileDisk::open(&root.0).unwrap();
        let opening = Opening::Unclean { recovery_point: 0 };
        let (again, recovered) = Log::open(&mut disk, "orders-0", config, opening).unwrap();
        assert_eq!((recovered.log_end_offset, recovered.discarded_bytes), (9, 0));
        assert_eq!((again.epochs(), again.segment_count()), (log.epochs(), log.segment_count()));
        assert!(again.segment_count() > 3);
    }
}
