//! How does a log keep what it knows of its producers in step with what it holds?
//! (`UnifiedLog.analyzeAndValidateProducerState`, `rebuildProducerState`, `roll`, `LogLoader.recoverSegment`.)

use crate::producers::{ProducerAppendInfo, ProducerRule, ProducerStates};
use crate::{BatchHeader, Disk, SyncTarget};

use super::segment::Segment;
use super::{Appended, Log, LogError, Opening};

/// What a client's append comes to.
pub(super) enum ProducerCheck {
    /// It stands in the log already.
    Duplicate(Appended),
    /// It may be written; then these are to be noted.
    Appends(Vec<ProducerAppendInfo>),
}

impl Log {
    /// What is known of its producers; `None` if it keeps nothing of them.
    pub fn producers(&self) -> Option<&ProducerStates> {
        self.producers.as_ref()
    }

    /// Looks at each batch of a client in turn. The first duplicate makes the whole append one, whatever else is in it:
    /// Kafka's clients send one batch for a partition (`UnifiedLog.analyzeAndValidateProducerState`). Batches that the
    /// server itself made (`is_own`) are noted, and not checked.
    pub(super) fn check_producers(&self, headers: &[BatchHeader], is_own: bool) -> Result<ProducerCheck, LogError> {
        let mut updates: Vec<ProducerAppendInfo> = Vec::new();
        let Some(states) = &self.producers else { return Ok(ProducerCheck::Appends(updates)) };
        for header in headers.iter().filter(|header| header.producer_id >= 0 && !header.is_control()) {
            if let Some(known) = states.find_duplicate(header).filter(|_| !is_own) {
                return Ok(ProducerCheck::Duplicate(Appended {
                    first_offset: known.first_offset(),
                    last_offset: known.last_offset,
                    leader_epoch: -1,
                    max_timestamp: known.timestamp,
                    batches: 0,
                    rolled: false,
                    duplicate: true,
                    log_append_time: known.timestamp,
                }));
            }
            let at = match updates.iter().position(|update| update.producer_id() == header.producer_id) {
                Some(at) => at,
                None => {
                    updates.push(states.prepare_update(header.producer_id));
                    updates.len() - 1
                }
            };
            match is_own {
                true => updates[at].append_unchecked(header),
                false => updates[at].append_from_client(header)?,
            }
        }
        Ok(ProducerCheck::Appends(updates))
    }

    /// Notes what was written.
    pub(super) fn update_producers(&mut self, updates: Vec<ProducerAppendInfo>) {
        if let Some(states) = &mut self.producers {
            updates.into_iter().for_each(|update| states.update(update));
            states.update_map_end_offset(self.log_end_offset);
        }
    }

    /// What a leader sent is not checked: the leader did, and what it has appended must be appended here too
    /// (`AppendOrigin.REPLICATION`).
    pub(super) fn check_replicated(&self, headers: &[BatchHeader]) -> Result<(), LogError> {
        let unchecked = |states: &ProducerStates| states.rules().hold(ProducerRule::ReplicatedBatchesAreNotChecked);
        if self.producers.as_ref().is_none_or(unchecked) {
            return Ok(());
        }
        self.check_producers(headers, false).map(|_| ())
    }

    /// Notes what a leader sent.
    pub(super) fn replay_producers(&mut self, headers: &[BatchHeader]) {
        let Some(states) = &mut self.producers else { return };
        if states.rules().hold(ProducerRule::ReplicatedBatchesAreRemembered) {
            headers.iter().for_each(|header| states.replay(header));
        }
        states.update_map_end_offset(self.log_end_offset);
    }

    /// A snapshot stands where the new segment begins, so that recovering the segment can begin with it. It is not synced
    /// now: an append would have to wait for that (KAFKA-15046); it is synced with the segment that ends there.
    pub(super) fn snapshot_producers_at_roll(&mut self, disk: &mut dyn Disk) -> Result<(), LogError> {
        let at_rolls = self.producers.as_ref().is_some_and(|p| p.rules().hold(ProducerRule::SnapshotAtEachRoll));
        if at_rolls { self.take_producer_snapshot(disk) } else { Ok(()) }
    }

    /// Writes down what is known of the producers, so that the next start need not look through the log, as at an orderly
    /// stop (`UnifiedLog.close`). Nothing happens if a snapshot stands at the log's end.
    pub fn take_producer_snapshot(&mut self, disk: &mut dyn Disk) -> Result<(), LogError> {
        let Some(mut states) = self.producers.take() else { return Ok(()) };
        states.update_map_end_offset(self.log_end_offset);
        let taken = self.snapshot(disk, &mut states);
        self.producers = Some(states);
        taken
    }

    fn snapshot(&mut self, disk: &mut dyn Disk, states: &mut ProducerStates) -> Result<(), LogError> {
        let written = self.sync.segment_changed();
        if states.take_snapshot(disk, self.dir, written)? {
            self.sync.dir_changed();
        }
        Ok(())
    }

    /// Forgets producers that were silent for `producer.id.expiration.ms`, at the wall time `wall` in milliseconds
    /// (`UnifiedLog.removeExpiredProducers`).
    pub fn remove_expired_producers(&mut self, wall: i64) {
        if let Some(states) = &mut self.producers {
            states.remove_expired(wall);
        }
    }

    /// What a sync must name so that the snapshots are durable. [`Log::unsynced`] names them too.
    pub fn unsynced_producer_snapshots(&self) -> Vec<SyncTarget> {
        self.producers.iter().flat_map(|states| states.unsynced_snapshots(self.sync.segments_synced())).collect()
    }

    pub(super) fn remove_producer_snapshot(&mut self, disk: &mut dyn Disk, offset: i64) -> Result<(), LogError> {
        if let Some(states) = &mut self.producers {
            states.remove_snapshot(disk, self.dir, offset)?;
        }
        Ok(())
    }

    pub(super) fn rebuild_producers_after_truncation(
        &mut self,
        disk: &mut dyn Disk,
        wall: i64,
    ) -> Result<(), LogError> {
        let Some(mut states) = self.producers.take() else { return Ok(()) };
        let rebuilt = match states.rules().hold(ProducerRule::StateIsRebuiltAtATruncation) {
            true => self.rebuild_producer_state(disk, &mut states, self.log_end_offset, false, wall),
            false => Ok(()),
        };
        self.producers = Some(states);
        rebuilt
    }

    /// Builds the state of a log that was just opened. After a crash each segment that may have suffered is recovered
    /// first, with a state of its own that ends in a snapshot (`LogLoader.recoverSegment`); the state of the log begins
    /// anew behind that (`LogLoader.load`).
    pub(super) fn load_producers(&mut self, disk: &mut dyn Disk, opening: Opening, wall: i64) -> Result<(), LogError> {
        let Some(config) = self.config.producers else { return Ok(()) };
        let mut states = ProducerStates::new(disk, self.dir, config)?;
        if config.rules.hold(ProducerRule::StateIsLoadedAtTheStart) {
            if let Opening::Unclean { recovery_point } = opening {
                self.recover_producer_snapshots(disk, &mut states, recovery_point, wall)?;
            }
            let bases: Vec<i64> = self.segments.iter().map(|segment| segment.base_offset).collect();
            states.remove_stray_snapshots(disk, self.dir, &bases)?;
            self.rebuild_producer_state(disk, &mut states, self.log_end_offset, opening == Opening::Clean, wall)?;
        }
        self.producers = Some(states);
        Ok(())
    }

    fn recover_producer_snapshots(
        &mut self,
        disk: &mut dyn Disk,
        states: &mut ProducerStates,
        recovery_point: i64,
        wall: i64,
    ) -> Result<(), LogError> {
        for at in self.segments_from(recovery_point) {
            let segment = self.segments[at].clone();
            states.begin_anew();
            self.rebuild_producer_state(disk, states, segment.base_offset, false, wall)?;
            let end = self.segments.get(at + 1).map_or(self.log_end_offset, |next| next.base_offset);
            self.replay_segment(disk, states, &segment, segment.base_offset, end)?;
            states.update_map_end_offset(end);
            self.snapshot(disk, states)?;
        }
        states.begin_anew();
        Ok(())
    }

    /// The indexes of the segments that hold an offset, or anything behind it.
    fn segments_from(&self, offset: i64) -> std::ops::Range<usize> {
        let behind = self.segments.partition_point(|segment| segment.base_offset <= offset);
        behind.saturating_sub(1)..self.segments.len()
    }

    /// The state at `last_offset`: from the latest snapshot below it, and the log from there on
    /// (`UnifiedLog.rebuildProducerState`).
    ///
    /// After an orderly stop that left no snapshot, the log is taken to be one that has never known any producer. And a
    /// state that knew nobody, of a log that reached further, knows nobody now.
    fn rebuild_producer_state(
        &mut self,
        disk: &mut dyn Disk,
        states: &mut ProducerStates,
        last_offset: i64,
        after_clean_stop: bool,
        wall: i64,
    ) -> Result<(), LogError> {
        let bases = self.segments.iter().rev().map(|segment| segment.base_offset);
        let offsets_to_snapshot: Vec<i64> = bases.take(2).collect();
        let skips = states.rules().hold(ProducerRule::NoSnapshotAfterACleanStopIsNoState);
        if after_clean_stop && !states.has_snapshots() && skips {
            for offset in offsets_to_snapshot.iter().rev().chain([&last_offset]) {
                states.update_map_end_offset(*offset);
                self.snapshot(disk, states)?;
            }
            return Ok(());
        }
        let knew_nobody = states.is_empty() && states.map_end_offset() >= last_offset;
        states.truncate_and_reload(disk, self.dir, self.log_start_offset, last_offset, wall)?;
        if last_offset > states.map_end_offset() && !knew_nobody {
            for at in self.segments_from(states.map_end_offset()) {
                let segment = self.segments[at].clone();
                if segment.base_offset >= last_offset {
                    break;
                }
                let from = segment.base_offset.max(states.map_end_offset()).max(self.log_start_offset);
                states.update_map_end_offset(from);
                if offsets_to_snapshot.contains(&segment.base_offset) {
                    self.snapshot(disk, states)?;
                }
                self.replay_segment(disk, states, &segment, from, last_offset)?;
            }
        }
        states.update_map_end_offset(last_offset);
        self.snapshot(disk, states)
    }

    /// Notes the batches of a segment between two offsets.
    fn replay_segment(
        &self,
        disk: &mut dyn Disk,
        states: &mut ProducerStates,
        segment: &Segment,
        from: i64,
        end: i64,
    ) -> Result<(), LogError> {
        let mut walk = segment.walk(segment.lookup(from));
        while let Some((_, header)) = walk.next(disk)? {
            if header.base_offset >= end {
                break;
            }
            if header.last_offset() >= from {
                states.replay(&header);
            }
        }
        Ok(())
    }
}
