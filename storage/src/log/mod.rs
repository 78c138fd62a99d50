//! The log of one partition: batches in segment files, found by offset, with the leader-epoch cache beside them.
//!
//! ```text
//!   orders-0/                            a directory per partition
//!     00000000000000000000.log           segments, named by the offset of their first record
//!     00000000000000004711.log           the last one is active: appends go there
//!     00000000000000004711.snapshot      what was known of producers there ([`crate::producers`])
//!     leader-epoch-checkpoint            where each leader epoch begins
//! ```
//!
//! A [`Log`] is a value: positions, offsets and handles, no payload. All bytes are on the [`Disk`] it is handed with each
//! call, which must always be the one it was opened on. What it appends is durable only after its owner synced
//! [`Log::unsynced`] and reported the end ([`Log::sync_started`], [`Log::synced`]).
//!
//! Where it differs from Kafka:
//! - The offset index is sparse as Kafka's but lives in memory only; it is rebuilt from the headers on open. Index files,
//!   time index and transaction index are not modelled, and neither are their corruptions.
//! - Nothing is compacted: offsets are contiguous from the log's start to its end, and that is checked. Nothing is deleted
//!   but what [`Log::delete_before`] and [`Log::delete_old_segments`] are told to.
//! - The log's start offset is in memory only. Whoever cuts a log's beginning knows where to after a crash too, as the
//!   metadata log's owner does from its snapshots, and a broker from its checkpoint of log starts or, where whole segments
//!   were deleted, from those that are left, and says so to [`Log::open_from`].
//! - Recovery cuts the log also where a batch has a lower leader epoch than the one before it: that is what an older log
//!   left there, when a truncation was lost but what was appended after it was not. Journaling file systems keep these in
//!   order, [`Disk`] does not promise it, and Kafka does not look.
//! - An append that does not fit into `segment_bytes` is refused to a leader's client as in Kafka, but a follower keeps it,
//!   in a segment of its own (Kafka's fetcher would fail there), and so does a leader what the server itself made.

mod append;
mod append_rules;
mod delete;
mod epochs;
mod open;
mod producers;
mod read;
mod retention;
mod segment;
mod sync;
mod truncate;
mod validate;

use std::collections::VecDeque;

use crate::{BatchError, DirId, Disk, DiskError, FileId, ProducerConfig, ProducerError, ProducerStates};

pub use append::Appended;
pub use append_rules::{AppendRule, AppendRules};
pub use epochs::{EpochEndOffset, EpochEntry};
pub use open::{Opening, Recovered};
pub use read::TimestampedOffset;
pub use retention::{Breach, Retention};
pub use sync::SyncMark;
pub use validate::{AppendConfig, RecordError, RecordErrors, TargetCompression};

use epochs::EpochCache;
use segment::Segment;

/// Sizes of a log, and whether it knows its producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Size at which a segment is rolled, in bytes (`segment.bytes`).
    pub segment_bytes: u64,
    /// A segment is rolled by an append that is so much younger than the segment's first batch, in milliseconds
    /// (`segment.ms`).
    pub segment_ms: i64,
    /// By so many milliseconds at most it is rolled earlier, each segment by an amount of its own (`segment.jitter.ms`).
    pub segment_jitter_ms: i64,
    /// Bytes between entries of the index (`index.interval.bytes`).
    pub index_interval_bytes: u64,
    /// Largest batch a leader appends, in bytes (`max.message.bytes`).
    pub max_batch_bytes: usize,
    /// What becomes of what a client sends.
    pub appends: AppendConfig,
    /// How producers are remembered; `None` for a log that only its owner writes.
    pub producers: Option<ProducerConfig>,
    /// The bug zoo's `epoch-cache-hole` (KAFKA-16541): where epochs go out of the cache, their checkpoint is written without a
    /// sync, and a start after a crash believes it below the recovery point, be it empty.
    pub epoch_cache_hole: bool,
}

impl LogConfig {
    /// Kafka's sizes, and no producers.
    pub const DEFAULT: LogConfig = LogConfig {
        segment_bytes: 1 << 30,
        segment_ms: i64::MAX,
        segment_jitter_ms: 0,
        index_interval_bytes: 4_096,
        max_batch_bytes: 1_048_588,
        appends: AppendConfig::DEFAULT,
        producers: None,
        epoch_cache_hole: false,
    };
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig::DEFAULT
    }
}

/// Why a log did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The disk refused. The log stands as before, but what is on the disk is unknown.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A read before the log's start or beyond its end.
    #[error("offset {requested} is outside the log, which goes from {log_start_offset} to {log_end_offset}")]
    OffsetOutOfRange {
        /// What was asked for.
        requested: i64,
        /// First offset of the log.
        log_start_offset: i64,
        /// Offset behind its last record.
        log_end_offset: i64,
    },
    /// A batch that must not be appended, or that is corrupt on the disk.
    #[error(transparent)]
    InvalidBatch(#[from] BatchError),
    /// A follower was given batches that begin before the end of its log (`UnexpectedAppendOffsetException`).
    #[error(
        "batches from offset {first_offset} to {last_offset} begin before {log_end_offset}, where the log continues"
    )]
    UnexpectedAppendOffset {
        /// Where the first batch begins.
        first_offset: i64,
        /// Where the last batch ends, inclusive.
        last_offset: i64,
        /// Where it had to begin.
        log_end_offset: i64,
    },
    /// A follower was given a batch that leaves a gap behind its log, or that does not continue the batch before.
    #[error("batch begins at offset {got}, the log continues at {expected}")]
    OutOfOrder {
        /// The offset it had to begin at.
        expected: i64,
        /// The offset it begins at.
        got: i64,
    },
    /// A batch of an idempotent producer that must not be appended now.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// A batch larger than `max.message.bytes`.
    #[error("a batch of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// An append larger than a whole segment.
    #[error("an append of {size} bytes does not fit into a segment of {limit}")]
    LargerThanASegment {
        /// Its size in bytes.
        size: u64,
        /// The size of a segment in bytes.
        limit: u64,
    },
    /// A producer's batch that does not begin at offset 0.
    #[error("a producer's batch begins at offset 0, not {0}")]
    BaseOffset(i64),
    /// Records of a client that are not taken.
    #[error(transparent)]
    Records(#[from] RecordErrors),
}

/// Batches at the end of the log whose position is known exactly, so that readers at the tail need not search.
const RECENT: usize = 32;

/// The log of one partition. See the module documentation.
#[derive(Clone, Debug)]
pub struct Log {
    dir: DirId,
    dir_name: String,
    config: LogConfig,
    /// By base offset, contiguous; never empty; the last is active.
    segments: Vec<Segment>,
    epochs: EpochCache,
    /// The checkpoint of `epochs` as it stands on the disk; `None` before the first.
    epoch_file: Option<FileId>,
    /// In the first segment: what lies below is there still, and not served.
    log_start_offset: i64,
    log_end_offset: i64,
    /// Base offset and position of the active segment's last batches, oldest first.
    recent: VecDeque<(i64, u64)>,
    /// `None` if the configuration had no producers when the log was opened.
    producers: Option<ProducerStates>,
    sync: sync::SyncState,
}

impl Log {
    /// First offset of the log.
    pub fn log_start_offset(&self) -> i64 {
        self.log_start_offset
    }

    /// Where the first segment begins: at the log's start, or before it.
    pub fn first_segment_offset(&self) -> i64 {
        self.segments.first().map_or(self.log_start_offset, |segment| segment.base_offset)
    }

    /// The offset the next record gets.
    pub fn log_end_offset(&self) -> i64 {
        self.log_end_offset
    }

    /// Bytes of all its batches, those below the log's start included that share a segment with others.
    pub fn size_in_bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.size).sum()
    }

    /// Number of segment files, at least one.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// Its directory.
    pub fn dir(&self) -> DirId {
        self.dir
    }

    /// Name of its directory, such as "orders-0".
    pub fn dir_name(&self) -> &str {
        &self.dir_name
    }

    /// Its sizes.
    pub fn config(&self) -> LogConfig {
        self.config
    }

    /// Changes its sizes; what is written already stays as it is. Whether it knows its producers was decided when it was
    /// opened.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = LogConfig { producers: config.producers.or(self.config.producers), ..config };
        if let (Some(states), Some(config)) = (&mut self.producers, config.producers) {
            states.set_config(config);
        }
    }

    /// Removes the log and its directory.
    pub fn delete(self, disk: &mut dyn Disk) -> Result<(), LogError> {
        Ok(disk.remove_dir(&self.dir_name)?)
    }

    /// Gives its file handles back; the files stay.
    pub fn close(self, disk: &mut dyn Disk) {
        self.segments.iter().for_each(|segment| disk.close(segment.file));
        if let Some(file) = self.epoch_file {
            disk.close(file);
        }
        if let Some(producers) = self.producers {
            producers.close(disk);
        }
    }

    fn out_of_range(&self, requested: i64) -> LogError {
        LogError::OffsetOutOfRange {
            requested,
            log_start_offset: self.log_start_offset(),
            log_end_offset: self.log_end_offset,
        }
    }
}

/// Adds the batch at the log's end to its recent ones.
fn remember(recent: &mut VecDeque<(i64, u64)>, base_offset: i64, position: u64) {
    if recent.len() == RECENT {
        recent.pop_front();
    }
    recent.push_back((base_offset, position));
}
