//! How do batches get into the log? (`UnifiedLog.appendAsLeader`, `appendAsFollower`, `LogValidator`.)

use bytes::{Bytes, BytesMut};

use crate::{BatchError, BatchHeader, Disk, OpenMode, check_batch, set_base_offset_and_epoch};

use super::producers::ProducerCheck;
use super::segment::Segment;
use super::validate::{Validated, validate};
use super::{AppendRule, Log, LogError, open, remember};

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record; the log end if nothing was appended.
    pub first_offset: i64,
    /// Offset of the last record; one less than `first_offset` if nothing was appended.
    pub last_offset: i64,
    /// Leader epoch of the last batch, -1 if nothing was appended.
    pub leader_epoch: i32,
    /// Largest timestamp, -1 if nothing was appended.
    pub max_timestamp: i64,
    /// Number of batches.
    pub batches: u32,
    /// Was a new segment begun? Kafka then syncs the old one in the background.
    pub rolled: bool,
    /// Nothing was appended, for it had been before: offsets and timestamp are those it got then.
    pub duplicate: bool,
    /// What the answer tells as the time of the append, in milliseconds: the leader's clock where the topic makes it the
    /// timestamp of all records, the timestamp of the batch in the log for a duplicate, else -1.
    pub log_append_time: i64,
}

impl Log {
    /// Appends a producer's batches: checks each, gives them the next offsets and the leader's epoch, and writes them at
    /// once. All or nothing; control batches are refused. An idempotent producer's batch that the log holds already is not
    /// appended again (`UnifiedLog.analyzeAndValidateProducerState`). `wall`: the leader's clock in milliseconds, by which
    /// timestamps are judged, and which they become where the topic says so.
    pub fn append_as_leader(
        &mut self,
        disk: &mut dyn Disk,
        batches: Bytes,
        leader_epoch: i32,
        wall: i64,
    ) -> Result<Appended, LogError> {
        let mut checked = Vec::new();
        let mut at = 0;
        while at < batches.len() {
            let batch = validate(&batches.slice(at..), &self.config, wall)?;
            at += batch.taken_bytes;
            checked.push(batch);
        }
        let headers = checked.iter().map(|batch| batch.header).collect();
        let batches =
            if checked.iter().any(|batch| batch.changed.is_some()) { joined(batches, checked) } else { batches };
        let appended = self.append_checked(disk, batches, headers, leader_epoch, false)?;
        let log_append_time = self.config.appends.log_append_time && !appended.duplicate;
        Ok(Appended { log_append_time: if log_append_time { wall } else { appended.log_append_time }, ..appended })
    }

    /// As [`Log::append_as_leader`], for batches the server made itself: transaction markers and the like may be among
    /// them, and what is larger than a segment gets one of its own, for there is nobody to whom it could be refused.
    pub fn append_control_as_leader(
        &mut self,
        disk: &mut dyn Disk,
        batches: Bytes,
        leader_epoch: i32,
    ) -> Result<Appended, LogError> {
        self.append_own(disk, batches, leader_epoch)
    }

    fn append_own(&mut self, disk: &mut dyn Disk, batches: Bytes, leader_epoch: i32) -> Result<Appended, LogError> {
        let mut headers = Vec::new();
        let mut at = 0;
        while at < batches.len() {
            let header = check_batch(&batches[at..])?;
            if header.size_in_bytes() > self.config.max_batch_bytes {
                let limit = self.config.max_batch_bytes as u64;
                return Err(LogError::TooLarge { size: header.size_in_bytes() as u64, limit });
            }
            at += header.size_in_bytes();
            headers.push(header);
        }
        self.append_checked(disk, batches, headers, leader_epoch, true)
    }

    /// Gives checked batches the next offsets and the leader's epoch, and writes them.
    fn append_checked(
        &mut self,
        disk: &mut dyn Disk,
        batches: Bytes,
        mut headers: Vec<BatchHeader>,
        leader_epoch: i32,
        is_own: bool,
    ) -> Result<Appended, LogError> {
        let mut next_offset = self.log_end_offset;
        for header in &mut headers {
            header.base_offset = next_offset;
            header.partition_leader_epoch = leader_epoch;
            next_offset = next_offset
                .checked_add(i64::from(header.last_offset_delta) + 1)
                .ok_or(BatchError::Malformed("offsets beyond the largest possible"))?;
        }
        let (size, limit) = (batches.len() as u64, self.config.segment_bytes);
        if size > limit && !is_own && self.config.appends.rules.hold(AppendRule::AppendFitsASegment) {
            return Err(LogError::LargerThanASegment { size, limit });
        }
        let updates = match self.check_producers(&headers, is_own)? {
            ProducerCheck::Duplicate(appended) => return Ok(appended),
            ProducerCheck::Appends(updates) => updates,
        };
        // In place if nobody else holds these bytes, else one copy.
        let mut bytes = batches.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let mut at = 0;
        for header in &headers {
            set_base_offset_and_epoch(&mut bytes[at..], header.base_offset, leader_epoch);
            at += header.size_in_bytes();
        }
        let appended = self.write(disk, bytes.freeze(), &headers)?;
        self.update_producers(updates);
        Ok(appended)
    }

    /// Appends what a leader sent, offsets and epochs as they are. The first batch must begin at the log's end. A partial
    /// batch at the end is ignored, as a fetch response may be cut there. The first batch of a later epoch than
    /// `up_to_epoch`, that in which it was fetched, is left away with all behind it (KAFKA-18723): the sender of a late
    /// response may have lost its leadership meanwhile. All or nothing; nothing at all is fine.
    pub fn append_as_follower(
        &mut self,
        disk: &mut dyn Disk,
        batches: Bytes,
        up_to_epoch: i32,
    ) -> Result<Appended, LogError> {
        let mut headers = Vec::new();
        let mut expected = None;
        let mut at = 0;
        while at < batches.len() {
            let header = match check_batch(&batches[at..]) {
                Ok(header) => header,
                Err(BatchError::TooShort { .. }) => break,
                Err(error) => return Err(error.into()),
            };
            if header.partition_leader_epoch > up_to_epoch {
                break;
            }
            if let Some(expected) = expected.filter(|expected| *expected != header.base_offset) {
                return Err(LogError::OutOfOrder { expected, got: header.base_offset });
            }
            at += header.size_in_bytes();
            expected = Some(header.next_offset());
            headers.push(header);
        }
        self.check_continues(&headers)?;
        self.check_replicated(&headers)?;
        let appended = self.write(disk, batches.slice(..at), &headers)?;
        self.replay_producers(&headers);
        Ok(appended)
    }

    /// Do batches that continue one another continue the log too? Kafka asks this after it has looked at all of them, so
    /// that whoever is refused knows where they end (`UnifiedLog.append`).
    fn check_continues(&self, headers: &[BatchHeader]) -> Result<(), LogError> {
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else { return Ok(()) };
        let (log_end_offset, first_offset) = (self.log_end_offset, first.base_offset);
        if first_offset > log_end_offset {
            return Err(LogError::OutOfOrder { expected: log_end_offset, got: first_offset });
        }
        if first_offset < log_end_offset {
            let last_offset = last.last_offset();
            return Err(LogError::UnexpectedAppendOffset { first_offset, last_offset, log_end_offset });
        }
        Ok(())
    }

    /// Writes checked batches, whose offsets continue the log, in one piece.
    fn write(&mut self, disk: &mut dyn Disk, bytes: Bytes, headers: &[BatchHeader]) -> Result<Appended, LogError> {
        let mut appended = Appended {
            first_offset: self.log_end_offset,
            last_offset: self.log_end_offset - 1,
            leader_epoch: -1,
            max_timestamp: -1,
            batches: headers.len() as u32,
            rolled: false,
            duplicate: false,
            log_append_time: -1,
        };
        let Some(last) = headers.last() else {
            return Ok(appended);
        };
        let youngest = headers.iter().map(|header| header.max_timestamp).max().unwrap_or(-1);
        appended.rolled = self.roll_if_full(disk, bytes.len() as u64, youngest)?;

        // Epochs first, as in UnifiedLog.append: an epoch without records does no harm, records without their epoch do.
        let mut epochs_changed = false;
        for header in headers {
            epochs_changed |= self.epochs.assign(header.partition_leader_epoch, header.base_offset);
        }
        if epochs_changed {
            self.store_epochs(disk)?;
        }

        let active = self.segments.len() - 1;
        disk.write(self.segments[active].file, self.segments[active].size, bytes)?;
        self.segments[active].changed = self.sync.segment_changed();
        for header in headers {
            let position = self.segments[active].size;
            self.segments[active].add(header, self.config.index_interval_bytes);
            remember(&mut self.recent, header.base_offset, position);
            appended.max_timestamp = appended.max_timestamp.max(header.max_timestamp);
        }
        self.log_end_offset = last.next_offset();
        appended.last_offset = last.last_offset();
        appended.leader_epoch = last.partition_leader_epoch;
        Ok(appended)
    }

    /// A segment that would outgrow `segment_bytes`, or whose first batch is too old beside this append, is left as it is,
    /// and a new one begins at the log's end (`LogSegment.shouldRoll`). True if it was so.
    fn roll_if_full(&mut self, disk: &mut dyn Disk, incoming: u64, youngest: i64) -> Result<bool, LogError> {
        let active = &self.segments[self.segments.len() - 1];
        let is_full = active.size + incoming > self.config.segment_bytes;
        if active.size == 0 || !(is_full || self.is_too_old(active, youngest)) {
            return Ok(false);
        }
        self.roll(disk)?;
        Ok(true)
    }

    /// Is an append with this largest timestamp more than `segment.ms` younger than the segment's first batch? By the
    /// records' own time, so that a leader and its followers, and whoever reads a copy of an old log, roll at the same
    /// records (`LogSegment.timeWaitedForRoll`). A segment without timestamps has no age here; Kafka takes the time since
    /// it created the file.
    fn is_too_old(&self, segment: &Segment, youngest: i64) -> bool {
        let rules = self.config.appends.rules;
        let jitter = if rules.hold(AppendRule::RollsAreSpread) { self.roll_jitter(segment) } else { 0 };
        let waited = youngest.saturating_sub(segment.first_timestamp);
        segment.first_timestamp >= 0
            && waited > self.config.segment_ms.saturating_sub(jitter)
            && rules.hold(AppendRule::OldSegmentIsRolled)
    }

    /// How much earlier than others a segment is rolled, so that not all logs of a broker do it at once. Kafka draws it;
    /// here it is a hash of the log's name and the segment's offset (`LogConfig.randomSegmentJitter`).
    fn roll_jitter(&self, segment: &Segment) -> i64 {
        let most = self.config.segment_jitter_ms.min(self.config.segment_ms);
        let of_name = crc32c::crc32c(self.dir_name.as_bytes());
        let drawn = crc32c::crc32c_append(of_name, &segment.base_offset.to_be_bytes());
        if most <= 0 { 0 } else { i64::from(drawn) % most }
    }

    /// Begins a new segment at the log's end (`UnifiedLog.roll`).
    pub(super) fn roll(&mut self, disk: &mut dyn Disk) -> Result<(), LogError> {
        let file = disk.open(self.dir, &open::file_name(self.log_end_offset), OpenMode::CreateEmpty)?;
        let mut segment = Segment::new(self.log_end_offset, file);
        segment.changed = self.sync.segment_changed();
        self.segments.push(segment);
        self.sync.dir_changed();
        self.recent.clear();
        self.snapshot_producers_at_roll(disk)
    }
}

/// What goes into the log: the batches as they came, or as they have become.
fn joined(batches: Bytes, checked: Vec<Validated>) -> Bytes {
    if let [Validated { changed: Some(only), .. }] = &checked[..] {
        return only.clone();
    }
    let (mut joined, mut at) = (BytesMut::new(), 0);
    for batch in checked {
        let came = &batches[at..at + batch.taken_bytes];
        joined.extend_from_slice(batch.changed.as_deref().unwrap_or(came));
        at += batch.taken_bytes;
    }
    joined.freeze()
}
