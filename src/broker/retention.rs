//! Where does a log begin? Old segments go, followers follow their leader's start, a checkpoint remembers.
//!
//! Source: `LogManager.cleanupLogs`, `LogManager.checkpointLogStartOffsets`, `UnifiedLog.deleteOldSegments`. Records that a
//! client had deleted are in [`super::delete_records`]. The start of a log stands in the file `log-start-offset-checkpoint`
//! in the root of the log directory only where it lies inside a segment: else the first segment tells it.

use std::collections::BTreeMap;

use trial_storage::{Breach, DirId, Disk, LogError, read_offset_checkpoint};

use super::Broker;
use super::replicas::PartitionIx;
use crate::conformance::{FollowerRule, LogStartRule};
use crate::event::{Event, LogStartReason};
use crate::node::{Effects, Now};

pub(super) const LOG_STARTS: &str = "log-start-offset-checkpoint";

impl Broker {
    /// Deletes what has become too old or too much, on leaders and followers alike: each replica by its own clock and high
    /// watermark (`LogManager.cleanupLogs`).
    pub(super) fn delete_old_segments(&mut self, now: Now, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        for ix in self.replicas.indices() {
            let partition = self.replicas.get_mut(ix);
            let (id, retention) = (partition.id.clone(), partition.retention);
            let high_watermark = match LogStartRule::RetentionStopsAtTheHighWatermark.holds() {
                true => partition.high_watermark(),
                false => partition.log_end_offset(),
            };
            match partition.log.delete_old_segments(disk, retention, high_watermark, now.wall) {
                Ok(moves) => {
                    // Where all segments went a new one was begun, and a roll has its snapshot of the producers flushed.
                    if !moves.is_empty() && partition.log.size_in_bytes() == 0 {
                        self.sync_producer_snapshots(ix, fx);
                    }
                    for (breach, from, to) in moves {
                        let why = match breach {
                            Breach::Age => LogStartReason::RetentionTime,
                            Breach::Size => LogStartReason::RetentionSize,
                        };
                        fx.record(Event::LogStartMoved { partition: id.clone(), from, to, why });
                    }
                }
                Err(error) => return self.log_failed(&id, &error, fx),
            }
        }
    }

    /// A follower's log begins where its leader's does, at the latest (`ReplicaFetcherThread.processPartitionData`). It
    /// deletes nothing by that: the next look at retention does.
    pub(super) fn follow_log_start(
        &mut self,
        ix: PartitionIx,
        leader_log_start_offset: i64,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        if !FollowerRule::LogStartFollowsTheLeaders.holds() {
            return;
        }
        let partition = self.replicas.get_mut(ix);
        let id = partition.id.clone();
        match partition.increment_log_start_offset(disk, leader_log_start_offset) {
            Ok(Some((from, to))) => {
                fx.record(Event::LogStartMoved { partition: id, from, to, why: LogStartReason::Leader });
            }
            // Above the high watermark that the same answer told: a later one will tell both again.
            Ok(None) | Err(LogError::OffsetOutOfRange { .. }) => {}
            Err(error) => self.log_failed(&id, &error, fx),
        }
    }

    /// Every `log.flush.start.offset.checkpoint.interval.ms`, and at an orderly stop.
    pub(super) fn checkpoint_log_starts(&mut self, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        if LogStartRule::CheckpointAtIntervals.holds() {
            let starts = self.log_starts();
            self.checkpoint(LOG_STARTS, &starts, disk, fx);
        }
    }

    /// What the checkpoint says (`LogManager.checkpointLogStartOffsetsInDir`): the starts that no segment tells.
    pub(super) fn log_starts(&self) -> BTreeMap<(String, i32), i64> {
        let mut starts = self.offsets(|partition| partition.log.log_start_offset());
        for partition in self.partitions() {
            if partition.log.log_start_offset() <= partition.log.first_segment_offset() {
                starts.remove(&(partition.id.topic.as_str().to_string(), partition.id.partition));
            }
        }
        starts
    }

    /// A checkpoint that is missing or torn says nothing: a log begins with its first segment.
    pub(super) fn read_log_starts(&self, disk: &mut dyn Disk, root: DirId) -> BTreeMap<(String, i32), i64> {
        match LogStartRule::StartIsReadFromTheCheckpoint.holds() {
            true => read_offset_checkpoint(disk, root, LOG_STARTS).unwrap_or_default(),
            false => BTreeMap::new(),
        }
    }
}
