//! The log on a disk: record batches, segments, indexes, leader-epoch cache, producer state, checkpoints, recovery.
//!
//! ```text
//!   batches (Bytes) ──▶ Log::append_as_leader / append_as_follower ──▶ Disk (files) ──▶ host syncs SyncTargets
//!   offset          ──▶ Log::read  ──▶ Bytes (whole batches, zero copy)
//!   after a crash   ──▶ Log::open  ──▶ scan from the recovery point, cut the first bad batch
//! ```
//!
//! Pure values: no clock, no I/O but through [`Disk`], no threads. Everything here is `Clone`.

pub mod batch;
pub mod checkpoint;
pub mod compression;
mod disk;
pub mod log;
pub mod producers;
mod rules;

pub use batch::{
    Batch, BatchBuilder, BatchError, BatchHeader, Batches, BuildOptions, HEADER_BYTES, NewRecord, Record, Records,
    build_batch, check_batch, parse_header, records, set_base_offset_and_epoch, set_producer_state,
};
pub use checkpoint::{CheckpointError, read_offset_checkpoint, write_offset_checkpoint};
pub use compression::{Compression, CompressionError};
pub use disk::{DirId, Disk, DiskError, FileId, OpenMode, SyncTarget};
pub use log::{
    AppendConfig, AppendRule, AppendRules, Appended, Breach, EpochEndOffset, EpochEntry, Log, LogConfig, LogError,
    Opening, RecordError, RecordErrors, Recovered, Retention, SyncMark, TargetCompression, TimestampedOffset,
};
pub use producers::{ProducerConfig, ProducerError, ProducerRule, ProducerRules, ProducerStates};
