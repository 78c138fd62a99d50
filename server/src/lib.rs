//! placeholder

mod file_disk;

pub use file_disk::{FileDisk, SyncJob};
