//! When is a snapshot due? Source: `SnapshotGenerator`.
//!
//! Every controller decides so by itself, leader and follower alike, from what it has replayed of the committed log. It is
//! looked at when records were committed and at no other time: an idle controller's NoOp records see to that.

use crate::config::BrokerConfig;
use crate::node::{Nanos, ms};

/// Counts since the last snapshot, written or loaded.
#[derive(Clone, Debug)]
pub struct SnapshotGenerator {
    /// `metadata.log.max.record.bytes.between.snapshots`.
    max_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; 0: not by time.
    max_interval: Nanos,
    bytes: u64,
    since: Nanos,
}

impl SnapshotGenerator {
    /// Nothing is counted yet.
    pub fn new(config: &BrokerConfig, now: Nanos) -> SnapshotGenerator {
        SnapshotGenerator {
            max_bytes: u64::try_from(config.metadata_log_max_record_bytes_between_snapshots).unwrap_or(0),
            max_interval: ms(config.metadata_log_max_snapshot_interval_ms),
            bytes: 0,
            since: now,
        }
    }

    /// So many bytes of the log were committed and replayed. Is a snapshot due? Source: `publishLogDelta`.
    pub fn on_committed(&mut self, now: Nanos, bytes: u64) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let by_time = self.max_interval != 0 && now.saturating_sub(self.since) >= self.max_interval;
        self.bytes >= self.max_bytes || by_time
    }

    /// A snapshot was begun or loaded. Source: `resetSnapshotCounters`.
    pub fn reset(&mut self, now: Nanos) {
        self.bytes = 0;
        self.since = now;
    }
}
