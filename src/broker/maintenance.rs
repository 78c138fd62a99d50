//! A broker and its disk: start-up and recovery, checkpoints, flushes, the orderly stop.
//!
//! Source: `LogManager`, `ReplicaManager.checkpointHighWatermarks`, `CleanShutdownFileHandler`, `PartitionMetadataFile`.
//! Files in the root of the log directory: `replication-offset-checkpoint` (high watermarks),
//! `recovery-point-offset-checkpoint`, `log-start-offset-checkpoint` ([`super::retention`]), `.kafka_cleanshutdown` (holds
//! the broker epoch of an orderly stop). Each becomes durable on its own. In a partition's directory `partition.metadata` holds the topic id.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_storage::compression::DEFAULT_GZIP_LEVEL;
use trial_storage::{
    AppendConfig, DirId, Disk, DiskError, FileId, Log, LogConfig, LogError, OpenMode, Opening, ProducerConfig,
    ProducerRule as LogRule, SyncMark, SyncTarget, TargetCompression, read_offset_checkpoint, write_offset_checkpoint,
};
use uuid::Uuid;

use super::partition::Partition;
use super::replicas::PartitionIx;
use super::retention::LOG_STARTS;
use super::{Broker, LifecycleState};
use crate::config::{BrokerCompression, TimestampType};
use crate::conformance::{self, BrokerRule, FollowerRule, HighWatermarkRule, LogStartRule, ProducerRule};
use crate::event::Event;
use crate::ids::TopicPartition;
use crate::metadata::{EffectiveTopicConfig, METADATA_TOPIC};
use crate::node::{Effects, Lane, Now, Ticket};
use crate::zoo::{Switch, Zoo};

/// Root of the log directory, among the directories of the disk.
pub const ROOT_DIR: &str = ".";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
pub(super) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const PARTITION_METADATA: &str = "partition.metadata";

/// What a sync under way is for.
#[derive(Clone, Debug)]
pub(super) enum SyncPurpose {
    /// A log, in the background or (`flush`) with appended records waiting for it.
    Log { ix: PartitionIx, mark: SyncMark, flush: bool },
    /// The leader-epoch checkpoint of a log.
    EpochCheckpoint { ix: PartitionIx, mark: SyncMark },
    /// The recovery points, because that log was cut.
    RecoveryPoints { ix: PartitionIx },
    /// `partition.metadata`.
    PartitionMetadata { ix: PartitionIx },
    /// A checkpoint or another small file; nobody waits.
    SmallFile,
    /// All logs, before an orderly stop.
    AllLogs(Vec<(PartitionIx, SyncMark)>),
    /// Checkpoints and the clean-shutdown marker.
    Marker,
}

/// How far the orderly stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
    No,
    UnderWay,
}

impl Broker {
    pub(super) fn start(&mut self, now: Now, incarnation: Uuid, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        self.incarnation = incarnation;
        match self.load(now, disk, fx) {
            Ok(clean) => {
                fx.record(Event::Started { incarnation, clean });
            }
            Err(error) => return fx.halt(format!("the log directory cannot be loaded: {error}")),
        }
        self.timers.start(now.mono);
        self.lifecycle.start(now.mono);
        self.observer.start();
        self.run_observer(now, fx);
        self.run_lifecycle(now, fx);
    }

    /// Loads every log. After an orderly stop the files are trusted; else each log is scanned from its recovery point.
    fn load(&mut self, now: Now, disk: &mut dyn Disk, fx: &mut Effects<'_>) -> Result<bool, LogError> {
        let root = disk.open_dir(ROOT_DIR)?;
        // That it is there means that the logs were flushed, even if the process died while it wrote the epoch into it.
        let marker = read_small_file(disk, root, CLEAN_SHUTDOWN)?;
        self.lifecycle.previous_broker_epoch = match marker.as_deref().and_then(parse_marker) {
            Some(epoch) => epoch,
            None if BrokerRule::NoMarkerMeansNoPreviousEpoch.holds() => -1,
            None => 0,
        };
        // Before the logs are loaded: a broker that dies while it loads them did not stop orderly (KAFKA-10471).
        if marker.is_some() && BrokerRule::MarkerIsUsedOnce.holds() {
            disk.remove(root, CLEAN_SHUTDOWN)?;
            self.sync_small_file(vec![SyncTarget::Dir(root)], fx);
        }
        // A checkpoint that is missing or torn says nothing: scan from the start, begin with high watermark 0.
        let recovery_points = read_offset_checkpoint(disk, root, RECOVERY_POINTS).unwrap_or_default();
        let high_watermarks = read_offset_checkpoint(disk, root, HIGH_WATERMARKS).unwrap_or_default();
        let log_starts = self.read_log_starts(disk, root);
        let mut found_any = false;
        let mut snapshots = Vec::new();
        for dir_name in disk.list_dirs()? {
            // The metadata log of a process that is a controller too is not the broker's (`LogManager.loadLogs`).
            let id = TopicPartition::from_dir_name(&dir_name).filter(|id| id.topic.as_str() != METADATA_TOPIC);
            let Some(id) = id else { continue };
            let key = (id.topic.as_str().to_string(), id.partition);
            let dir = disk.open_dir(&dir_name)?;
            let Some(topic_id) = read_small_file(disk, dir, PARTITION_METADATA)?.and_then(|text| parse_topic_id(&text))
            else {
                // Created just before the stop, nothing in it can have been acknowledged under a known topic.
                disk.remove_dir(&dir_name)?;
                continue;
            };
            found_any = true;
            let trusted = match &marker {
                Some(_) => BrokerRule::MarkerMakesRecoveryNeedless.holds(),
                None => !BrokerRule::NoMarkerMeansRecovery.holds(),
            };
            let opening = match trusted {
                true => Opening::Clean,
                false => Opening::Unclean { recovery_point: recovery_points.get(&key).copied().unwrap_or(0) },
            };
            let log_start = log_starts.get(&key).copied().unwrap_or(0);
            let (log, recovered) = Log::open_at(disk, &dir_name, self.log_config(), opening, log_start, now.wall)?;
            snapshots.extend(log.unsynced_producer_snapshots());
            if !trusted {
                fx.charge(log.size_in_bytes());
                let (log_end_offset, discarded_bytes) = (recovered.log_end_offset, recovered.discarded_bytes);
                fx.record(Event::Recovered { partition: id.clone(), log_end_offset, discarded_bytes });
            }
            let missing = if HighWatermarkRule::MissingCheckpointIsZero.holds() { 0 } else { i64::MAX };
            let high_watermark = high_watermarks.get(&key).copied().unwrap_or(missing);
            let mut partition = Partition::new(id, topic_id, log, high_watermark);
            if !trusted {
                // Whoever created it may have died before the file was durable.
                partition.unsynced_metadata = Some(disk.open(dir, PARTITION_METADATA, OpenMode::Existing)?);
            }
            self.replicas.insert(partition);
        }
        if !snapshots.is_empty() {
            self.sync_small_file(snapshots, fx);
        }
        Ok(marker.is_some() || !found_any)
    }

    /// The sizes of a log about whose topic nothing is known yet.
    fn log_config(&self) -> LogConfig {
        let config = &self.setup.config;
        LogConfig {
            segment_bytes: u64::try_from(config.log_segment_bytes).unwrap_or(u64::MAX),
            index_interval_bytes: u64::try_from(config.log_index_interval_bytes).unwrap_or(4_096),
            max_batch_bytes: usize::try_from(config.message_max_bytes).unwrap_or(usize::MAX),
            segment_ms: config.log_roll_ms,
            segment_jitter_ms: config.log_roll_jitter_ms,
            appends: AppendConfig::DEFAULT,
            producers: Some(producer_config(config.producer_id_expiration_ms, self.setup.zoo)),
            epoch_cache_hole: self.setup.zoo.on(Switch::EpochCacheHole),
        }
    }

    /// Creates the replica that the metadata assigns to this broker. A directory of an earlier topic of the same name is
    /// gone already.
    pub(super) fn create_replica(
        &mut self,
        topic_id: Uuid,
        id: &TopicPartition,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Option<PartitionIx> {
        let config = self.log_config();
        let mut create = || -> Result<(Log, FileId, Ticket), LogError> {
            let (log, _) = Log::open(disk, &id.dir_name(), config, Opening::Clean)?;
            let text = format!("version: 0\ntopic_id: {topic_id}\n");
            let file = write_small_file(disk, log.dir(), PARTITION_METADATA, text)?;
            let root = disk.open_dir(ROOT_DIR)?;
            let targets = vec![SyncTarget::File(file), SyncTarget::Dir(log.dir()), SyncTarget::Dir(root)];
            Ok((log, file, fx.sync(targets)))
        };
        match create() {
            Ok((log, file, ticket)) => {
                let mut partition = Partition::new(id.clone(), topic_id, log, 0);
                partition.unsynced_metadata = Some(file);
                let ix = self.replicas.insert(partition);
                self.syncs.insert(ticket, SyncPurpose::PartitionMetadata { ix });
                Some(ix)
            }
            Err(error) => {
                self.log_failed(id, &error, fx);
                None
            }
        }
    }

    /// Deletes a replica and its log: nobody fetches for it or asks about its ISR, and requests that wait for it are
    /// answered with what the metadata says of it now. Source: `ReplicaManager.stopPartitions`, `LogManager.asyncDelete`:
    /// Kafka renames the directory to `-delete` and removes the files a minute later, which nobody can tell from this.
    pub(super) fn delete_replica(&mut self, ix: PartitionIx, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        self.stop_fetching(ix, fx);
        self.note_all_waiters(ix);
        let Some(partition) = self.replicas.remove(ix) else { return };
        if partition.is_offsets {
            self.note_group_replica_gone(partition.id.partition, fx);
        }
        fx.record(Event::ReplicaDeleted { partition: partition.id.clone(), topic_id: partition.topic_id });
        if let Err(error) = partition.log.delete(disk) {
            self.log_failed(&partition.id, &error, fx);
        }
    }

    /// Makes deletions durable, and writes the checkpoints without what was deleted: they name partitions, and the next
    /// topic of that name must not find the offsets of this one.
    pub(super) fn after_deletions(&mut self, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        match disk.open_dir(ROOT_DIR) {
            Ok(root) => self.sync_small_file(vec![SyncTarget::Dir(root)], fx),
            Err(error) => return fx.halt(format!("the log directory cannot be opened: {error}")),
        }
        self.checkpoint_high_watermarks(disk, fx);
        self.checkpoint_recovery_points(disk, fx);
        self.checkpoint_log_starts(disk, fx);
    }

    /// After an append: the first offset of what was appended may have to be flushed before it counts
    /// (`flush.messages`), and a segment that was rolled is flushed in the background.
    pub(super) fn after_append(&mut self, ix: PartitionIx, first_offset: i64, rolled: bool, fx: &mut Effects<'_>) {
        let partition = self.replicas.get_mut(ix);
        let unflushed = partition.log_end_offset() - partition.log.recovery_point();
        if unflushed >= partition.flush_messages || !BrokerRule::AppendsAreNotFlushed.holds() {
            partition.flushing_from.get_or_insert(first_offset);
            self.start_log_sync(ix, true, fx);
        } else if rolled && BrokerRule::RolledSegmentIsFlushed.holds() {
            if BrokerRule::ActiveSegmentIsLeftAlone.holds() {
                let log = &partition.log;
                let (targets, mark) = (log.unsynced_full_segments(), log.sync_of_full_segments_started());
                self.sync_log(ix, targets, mark, false, fx);
            } else {
                self.start_log_sync(ix, false, fx);
            }
        }
    }

    /// Syncs the leader-epoch checkpoint, as Kafka does when it assigns an epoch; the records stay unsynced.
    pub(super) fn sync_epoch_checkpoint(&mut self, ix: PartitionIx, fx: &mut Effects<'_>) {
        let log = &self.replicas.get(ix).log;
        let (targets, mark) = (log.unsynced_epoch_checkpoint(), log.sync_started());
        if !targets.is_empty() {
            let ticket = fx.sync(targets);
            self.syncs.insert(ticket, SyncPurpose::EpochCheckpoint { ix, mark });
        }
    }

    /// After a truncation: what went out of the epoch cache is made durable by and by. Nobody waits for it, for epochs that
    /// come back after a crash are cut again (`LeaderEpochFileCache.truncateFromEndAsyncFlush`).
    pub(super) fn flush_cut_epochs(&mut self, ix: PartitionIx, fx: &mut Effects<'_>) {
        if FollowerRule::CutEpochsAreFlushedInTheBackground.holds() {
            self.sync_epoch_checkpoint(ix, fx);
        }
    }

    fn start_log_sync(&mut self, ix: PartitionIx, flush: bool, fx: &mut Effects<'_>) {
        let log = &self.replicas.get(ix).log;
        let (targets, mark) = (log.unsynced(), log.sync_started());
        self.sync_log(ix, targets, mark, flush, fx);
    }

    /// Syncs what a log has to sync. `partition.metadata` comes with it as long as it is not known to be durable: records
    /// without the file that says whose they are would be thrown away at the next start (`UnifiedLog.append`,
    /// `maybeFlushMetadataFile`).
    fn sync_log(
        &mut self,
        ix: PartitionIx,
        mut targets: Vec<SyncTarget>,
        mark: SyncMark,
        flush: bool,
        fx: &mut Effects<'_>,
    ) {
        if BrokerRule::MetadataFileIsFlushedWithTheLog.holds() {
            targets.extend(self.replicas.get(ix).unsynced_metadata());
        }
        let ticket = fx.sync(targets);
        self.syncs.insert(ticket, SyncPurpose::Log { ix, mark, flush });
    }

    /// After a truncation the snapshot of the producers at the log's new end is synced, as Kafka does on the spot.
    pub(super) fn sync_producer_snapshots(&mut self, ix: PartitionIx, fx: &mut Effects<'_>) {
        let targets = self.replicas.get(ix).log.unsynced_producer_snapshots();
        if !targets.is_empty() {
            self.sync_small_file(targets, fx);
        }
    }

    /// Forgets producers that were silent for too long, in every log (`UnifiedLog.producerExpireCheck`).
    pub(super) fn remove_expired_producers(&mut self, now: Now) {
        for ix in self.replicas.iter().map(|(ix, _)| ix).collect::<Vec<_>>() {
            self.replicas.get_mut(ix).log.remove_expired_producers(now.wall);
        }
    }

    fn take_producer_snapshots(&mut self, disk: &mut dyn Disk) -> Result<(), (TopicPartition, LogError)> {
        for ix in self.replicas.iter().map(|(ix, _)| ix).collect::<Vec<_>>() {
            let partition = self.replicas.get_mut(ix);
            partition.log.take_producer_snapshot(disk).map_err(|error| (partition.id.clone(), error))?;
        }
        Ok(())
    }

    fn sync_small_file(&mut self, targets: Vec<SyncTarget>, fx: &mut Effects<'_>) {
        let ticket = fx.sync(targets);
        self.syncs.insert(ticket, SyncPurpose::SmallFile);
    }

    /// Where the end of a sync is handled: in the lane of whoever stands still for it.
    pub(super) fn sync_lane(&self, ticket: Ticket) -> Lane {
        match self.syncs.get(&ticket) {
            Some(SyncPurpose::Log { flush: true, .. }) => Lane::Request,
            Some(SyncPurpose::RecoveryPoints { ix }) => {
                let key = self.replicas.try_get(*ix).map(|partition| self.fetcher_key(partition.leader, &partition.id));
                key.map_or(Lane::Log, |key| self.fetcher_lane(key))
            }
            _ => Lane::Log,
        }
    }

    pub(super) fn on_synced(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<(), DiskError>,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let Some(purpose) = self.syncs.remove(&ticket) else { return };
        if let Err(error) = result {
            // After a failed fsync nobody knows what is on the disk: Kafka takes the log directory offline, and with its
            // only one the broker halts (KIP-112).
            return fx.halt(format!("a sync failed: {error}"));
        }
        match purpose {
            SyncPurpose::Log { ix, mark, flush } => {
                self.metadata_is_durable(ix, disk);
                self.on_log_synced(now, ix, mark, flush, fx);
            }
            SyncPurpose::EpochCheckpoint { ix, mark } => {
                if let Some(partition) = self.replicas.try_get_mut(ix) {
                    partition.log.epoch_checkpoint_synced(mark);
                }
            }
            SyncPurpose::RecoveryPoints { ix } => self.on_recovery_points_synced(now, ix, fx),
            SyncPurpose::PartitionMetadata { ix } => self.metadata_is_durable(ix, disk),
            SyncPurpose::SmallFile => {}
            SyncPurpose::AllLogs(marks) => {
                for (ix, mark) in marks {
                    if let Some(partition) = self.replicas.try_get_mut(ix) {
                        partition.log.synced(mark);
                    }
                }
                self.write_marker(disk, fx);
            }
            SyncPurpose::Marker => {
                fx.record(Event::ShutDownCleanly);
                fx.halt("controlled shutdown".to_string());
            }
        }
    }

    fn on_log_synced(&mut self, now: Now, ix: PartitionIx, mark: SyncMark, flush: bool, fx: &mut Effects<'_>) {
        let Some(partition) = self.replicas.try_get_mut(ix) else { return };
        partition.log.synced(mark);
        if !flush {
            return;
        }
        let end = partition.log.log_end_offset();
        let flushed = partition.flushing_from.unwrap_or(end).max(mark.log_end_offset().min(end));
        // What was appended since waits for a flush of its own if it asked for one. If not, nobody will ever report it.
        let is_for_this =
            |purpose: &SyncPurpose| matches!(purpose, SyncPurpose::Log { ix: other, flush: true, .. } if *other == ix);
        let another_is_under_way = self.syncs.values().any(is_for_this);
        partition.flushing_from = (another_is_under_way && flushed < end).then_some(flushed);
        self.note_flush_waiters(ix);
        self.try_high_watermark(now, ix, fx);
        let partition = self.replicas.get(ix);
        if partition.flushing_from.is_none() && !partition.is_leader() {
            let key = self.fetcher_key(partition.leader, &partition.id);
            self.run_fetcher(now, key, fx);
        }
    }

    pub(super) fn checkpoint_high_watermarks(&mut self, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let offsets = self.offsets(Partition::high_watermark);
        self.checkpoint(HIGH_WATERMARKS, &offsets, disk, fx);
    }

    pub(super) fn checkpoint_recovery_points(&mut self, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let offsets = self.offsets(|partition| partition.log.recovery_point());
        self.checkpoint(RECOVERY_POINTS, &offsets, disk, fx);
    }

    pub(super) fn offsets(&self, of: impl Fn(&Partition) -> i64) -> BTreeMap<(String, i32), i64> {
        let entry = |p: &Partition| ((p.id.topic.as_str().to_string(), p.id.partition), of(p));
        self.partitions().map(entry).collect()
    }

    pub(super) fn checkpoint(
        &mut self,
        name: &str,
        offsets: &BTreeMap<(String, i32), i64>,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        if BrokerRule::CheckpointsAreDurableByThemselves.holds() {
            return self.write_checkpoint(name, offsets, SyncPurpose::SmallFile, disk, fx);
        }
        let written = disk.open_dir(ROOT_DIR).and_then(|root| write_offset_checkpoint(disk, root, name, offsets));
        if let Err(error) = written {
            fx.halt(format!("{name} cannot be written: {error}"));
        }
    }

    pub(super) fn write_checkpoint(
        &mut self,
        name: &str,
        offsets: &BTreeMap<(String, i32), i64>,
        purpose: SyncPurpose,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let written = disk.open_dir(ROOT_DIR).and_then(|root| write_offset_checkpoint(disk, root, name, offsets));
        match written {
            Ok(targets) => {
                let ticket = fx.sync(targets);
                self.syncs.insert(ticket, purpose);
            }
            Err(error) => fx.halt(format!("{name} cannot be written: {error}")),
        }
    }

    pub(super) fn begin_shutdown(&mut self, now: Now, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        if self.shutdown == Shutdown::No {
            self.shutdown = Shutdown::UnderWay;
            self.ask_for_shutdown(now, disk, fx);
        }
    }

    /// Leads nothing any more: flushes all logs, then marks the stop as clean. What is known of producers is written down
    /// first, so that the next start need not look through the logs (`UnifiedLog.close`).
    pub(super) fn stop_orderly(&mut self, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        self.observer.stop();
        for fetcher in std::mem::take(&mut self.fetchers).into_values() {
            fetcher.close(fx);
        }
        if ProducerRule::SnapshotAtAnOrderlyStop.holds()
            && let Err((id, error)) = self.take_producer_snapshots(disk)
        {
            return self.log_failed(&id, &error, fx);
        }
        let mut targets = Vec::new();
        let mut marks = Vec::new();
        for (ix, partition) in self.replicas.iter() {
            if BrokerRule::MarkerComesAfterTheFlush.holds() {
                targets.extend(partition.log.unsynced());
                targets.extend(partition.unsynced_metadata());
            }
            marks.push((ix, partition.log.sync_started()));
        }
        let ticket = fx.sync(targets);
        self.syncs.insert(ticket, SyncPurpose::AllLogs(marks));
    }

    fn write_marker(&mut self, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let high_watermarks = self.offsets(Partition::high_watermark);
        let recovery_points = self.offsets(|partition| partition.log.recovery_point());
        let log_starts = self.log_starts();
        let epoch =
            self.lifecycle.broker_epoch().filter(|_| BrokerRule::MarkerHoldsTheBrokerEpoch.holds()).unwrap_or(-1);
        let mut write = || -> Result<Vec<SyncTarget>, DiskError> {
            let root = disk.open_dir(ROOT_DIR)?;
            let mut targets = Vec::new();
            if HighWatermarkRule::CheckpointAtTheCleanStop.holds() {
                targets.extend(write_offset_checkpoint(disk, root, HIGH_WATERMARKS, &high_watermarks)?);
            }
            targets.extend(write_offset_checkpoint(disk, root, RECOVERY_POINTS, &recovery_points)?);
            if LogStartRule::CheckpointAtTheCleanStop.holds() {
                targets.extend(write_offset_checkpoint(disk, root, LOG_STARTS, &log_starts)?);
            }
            let marker = write_small_file(disk, root, CLEAN_SHUTDOWN, format!("version: 0\nbroker_epoch: {epoch}\n"))?;
            targets.push(SyncTarget::File(marker));
            targets.push(SyncTarget::Dir(root));
            Ok(targets)
        };
        match write() {
            Ok(targets) => {
                let ticket = fx.sync(targets);
                self.syncs.insert(ticket, SyncPurpose::Marker);
            }
            Err(error) => fx.halt(format!("the clean-shutdown marker cannot be written: {error}")),
        }
    }

    /// May requests be served: after the first metadata (`SocketServer.enableRequestProcessing`), before the stop?
    pub(super) fn is_serving(&self) -> bool {
        self.published && self.lifecycle.state() != LifecycleState::ShuttingDown
    }

    /// A log operation failed. The disk failed: the only log directory is offline, so the broker halts (KIP-112).
    /// Anything else should have been impossible here, and is told as such.
    pub(super) fn log_failed(&mut self, id: &TopicPartition, error: &LogError, fx: &mut Effects<'_>) {
        match error {
            LogError::Disk(error) => fx.halt(format!("the log of {id} failed: {error}")),
            other => {
                fx.record(Event::AssertionFailed { message: format!("log of {id}: {other}") });
            }
        }
    }
}

/// The sizes of a topic's logs.
pub(super) fn log_config(config: &EffectiveTopicConfig, zoo: Zoo) -> LogConfig {
    LogConfig {
        segment_bytes: u64::try_from(config.segment_bytes).unwrap_or(u64::MAX),
        index_interval_bytes: u64::try_from(config.index_interval_bytes).unwrap_or(4_096),
        max_batch_bytes: usize::try_from(config.max_message_bytes).unwrap_or(usize::MAX),
        segment_ms: config.segment_ms,
        segment_jitter_ms: config.segment_jitter_ms,
        appends: append_config(config),
        producers: Some(producer_config(config.producer_id_expiration_ms, zoo)),
        epoch_cache_hole: zoo.on(Switch::EpochCacheHole),
    }
}

/// What the leader of a topic's partition does with what clients send (`UnifiedLog.append`).
fn append_config(config: &EffectiveTopicConfig) -> AppendConfig {
    let gzip_level = u32::try_from(config.compression_gzip_level).unwrap_or(DEFAULT_GZIP_LEVEL);
    let compression = match config.compression_type {
        BrokerCompression::Producer => None,
        BrokerCompression::To(codec) => Some(TargetCompression { codec, gzip_level }),
    };
    AppendConfig {
        compression,
        log_append_time: config.message_timestamp_type == TimestampType::LogAppendTime,
        timestamp_before_max_ms: config.message_timestamp_before_max_ms,
        timestamp_after_max_ms: config.message_timestamp_after_max_ms,
        rules: conformance::append_rules_of_logs(),
    }
}

/// How logs keep their producers. The zoo switch `first-seq-any` takes away what is left of the demand that a producer
/// begins at sequence 0 (KAFKA-14359): a bumped epoch may begin anywhere, as if the partition knew nothing of the producer.
fn producer_config(expiration_ms: i64, zoo: Zoo) -> ProducerConfig {
    let rules = conformance::producer_rules_of_logs();
    let rules = if zoo.on(Switch::FirstSeqAny) { rules.without(LogRule::NewEpochBeginsAtZero) } else { rules };
    ProducerConfig { expiration_ms, rules }
}

fn write_small_file(disk: &mut dyn Disk, dir: DirId, name: &str, text: String) -> Result<FileId, DiskError> {
    let file = disk.open(dir, name, OpenMode::CreateEmpty)?;
    disk.write(file, 0, Bytes::from(text))?;
    Ok(file)
}

fn read_small_file(disk: &mut dyn Disk, dir: DirId, name: &str) -> Result<Option<String>, DiskError> {
    let file = match disk.open(dir, name, OpenMode::Existing) {
        Ok(file) => file,
        Err(DiskError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = disk.read(file, 0, 4_096);
    disk.close(file);
    Ok(Some(String::from_utf8_lossy(&text?).into_owned()))
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn parse_marker(text: &str) -> Option<i64> {
    field(text, "broker_epoch")?.parse().ok()
}

fn parse_topic_id(text: &str) -> Option<Uuid> {
    field(text, "topic_id")?.parse().ok()
}
