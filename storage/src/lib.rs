//! The log on a disk: record batches, segments, indexes, leader-epoch cache, checkpoints, recovery.
//!
//! ```text
//!   batches (Bytes) ──▶ Log::append_as_leader / append_as_follower ──▶ Disk (files) ──▶ host syncs SyncTargets
//!   offset          ──▶ Log::read  ──▶ Bytes (whole batches, zero copy)
//!   after a crash   ──▶ Log::open  ──▶ scan from the recovery point, cut the first bad batch
//! ```
//!
//! Pure values: no clock, no I/O but through [`Disk`], no threads. Everything here is `Clone`.

mod disk;

pub use disk::{DirId, Disk, DiskError, FileId, OpenMode, SyncTarget};
