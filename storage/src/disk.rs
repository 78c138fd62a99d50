//! What the log engine asks of a disk, and nothing else.
//!
//! A [`Disk`] has the semantics of a file system behind a page cache: every operation takes effect at once for
//! whoever reads through the same disk, and survives a loss of power only once a sync has *completed* that was
//! asked for after it. Syncing is not a method here: it takes time, so a node asks its host for it by an effect
//! (naming [`SyncTarget`]s) and hears of the end by an input. What a sync covers:
//!
//! - `SyncTarget::File`: the bytes and the length of the file, all operations up to the moment of asking;
//! - `SyncTarget::Dir`: the entries of the directory: files created, renamed and removed in it.
//!
//! So a new file survives power loss only after both the file and its directory were synced, as on Linux.
//! Errors are values; an operation that failed has changed nothing, except that a failed write may be torn.

use bytes::Bytes;

/// An open directory. Directories are flat: their names contain no separator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirId(pub u32);

/// An open file. The handle stays valid across a rename of the file and until `close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// One thing a sync makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncTarget {
    /// Bytes and length of a file.
    File(FileId),
    /// Entries of a directory.
    Dir(DirId),
}

/// Why a disk operation did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// No file of that name.
    #[error("no such file: {0}")]
    NotFound(String),
    /// The handle does not name an open file or directory.
    #[error("stale file handle")]
    StaleHandle,
    /// No space left.
    #[error("no space left on the disk")]
    Full,
    /// The device reported an error.
    #[error("input/output error: {0}")]
    Io(String),
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist.
    Existing,
    /// Create the file if it does not exist; keep what it holds if it does.
    Create,
    /// Create the file, or empty it if it exists.
    CreateEmpty,
}

/// A disk as the log engine sees it. See the module documentation for what survives what.
pub trait Disk {
    /// Opens a directory, creating it if needed. `.` is the root that holds the others.
    fn open_dir(&mut self, name: &str) -> Result<DirId, DiskError>;
    /// The names of all directories, sorted.
    fn list_dirs(&self) -> Result<Vec<String>, DiskError>;
    /// The names of the files in a directory, sorted.
    fn list(&self, dir: DirId) -> Result<Vec<String>, DiskError>;
    /// Removes a directory and everything in it.
    fn remove_dir(&mut self, name: &str) -> Result<(), DiskError>;
    /// Opens a file of a directory.
    fn open(&mut self, dir: DirId, name: &str, mode: OpenMode) -> Result<FileId, DiskError>;
    /// Gives a handle back. The file stays.
    fn close(&mut self, file: FileId);
    /// Length of the file in bytes.
    fn len(&self, file: FileId) -> Result<u64, DiskError>;
    /// Up to `len` bytes from byte `at`; fewer only where the file ends.
    fn read(&mut self, file: FileId, at: u64, len: usize) -> Result<Bytes, DiskError>;
    /// Writes `data` at byte `at`, extending the file. A gap before `at` reads as zeros.
    fn write(&mut self, file: FileId, at: u64, data: Bytes) -> Result<(), DiskError>;
    /// Cuts the file to `len` bytes. `len` is at most the present length.
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError>;
    /// Renames a file within its directory, replacing a file of the new name, atomically.
    fn rename(&mut self, dir: DirId, from: &str, to: &str) -> Result<(), DiskError>;
    /// As [`Disk::rename`], by somebody who has not synced the file and does not care: nothing keeps the new name behind the
    /// bytes, and a loss of power may leave it with an empty file. Kafka never means that; a bug of its past did.
    fn rename_before_bytes(&mut self, dir: DirId, from: &str, to: &str) -> Result<(), DiskError> {
        self.rename(dir, from, to)
    }
    /// Removes a file. Open handles become stale.
    fn remove(&mut self, dir: DirId, name: &str) -> Result<(), DiskError>;
}
