//! The final read: at the end of a trial every partition is read from its start, by a consumer of its own.

use trial_kafka::config::{ConsumerConfig, OffsetReset};
use trial_kafka::node::{Command, ConsumedRecord, EventId, OpId};

use super::life::{CONTROL_OPS, LifeStep, MILLISECOND, Phase};
use super::{Note, World};

/// Where the read of a partition has to get to, and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct FinalRead {
    log_start: i64,
    log_end: i64,
    position: i64,
}

/// The final reader starts everywhere at the log's start and takes what it can get.
pub(super) fn reader_config() -> ConsumerConfig {
    ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        max_poll_records: 100_000,
        fetch_max_wait_ms: 20,
        request_timeout_ms: 5_000,
        ..ConsumerConfig::default()
    }
}

impl World {
    pub(super) fn begin_final_read(&mut self) {
        self.enter(Phase::Read);
        let mut assignment = Vec::new();
        for partition in self.all_partitions() {
            let Some(leader) = self.leader_replica(&partition) else {
                self.notes.push(Note::FinalReadEnd { partition, log_start: 0, log_end: 0, complete: false });
                continue;
            };
            let (log_start, log_end) = (leader.log.log_start_offset(), leader.high_watermark());
            self.life.final_read.insert(partition.clone(), FinalRead { log_start, log_end, position: log_start });
            assignment.push((partition, Some(log_start)));
        }
        self.life.read_until = self.now + self.scenario.phases.drain;
        let reader = self.life.final_reader;
        self.command(reader, OpId(CONTROL_OPS - 3), Command::Assign { partitions: assignment });
        if self.finish_read_partitions() {
            return;
        }
        self.live(LifeStep::FinalPoll);
    }

    /// The final reader was handed records.
    pub(super) fn on_final_read(&mut self, mut records: Vec<ConsumedRecord>, event: EventId) {
        // What has come since the read began is not asked for.
        records.retain(|record| {
            let read = self.life.final_read.get_mut(&record.partition).filter(|read| record.offset < read.log_end);
            read.map(|read| read.position = record.offset + 1).is_some()
        });
        if !records.is_empty() {
            self.notes.push(Note::FinalRead { records, event });
        }
        if self.life.phase == Phase::Read && !self.finish_read_partitions() {
            self.again(MILLISECOND, LifeStep::FinalPoll);
        }
    }

    /// Notes the partitions that are read to their end. True if none is left, and the trial is over.
    fn finish_read_partitions(&mut self) -> bool {
        let begins_at = |partition| self.leader_replica(partition).map_or(0, |leader| leader.log.log_start_offset());
        let starts: Vec<i64> = self.life.final_read.keys().map(begins_at).collect();
        // What was deleted while it was read is not missing, and nobody waits for it.
        for (read, start) in self.life.final_read.values_mut().zip(starts) {
            (read.log_start, read.position) = (read.log_start.max(start), read.position.max(start));
        }
        let late = self.now >= self.life.read_until;
        let done = |read: &FinalRead| read.position >= read.log_end || late;
        let finished: Vec<_> =
            self.life.final_read.iter().filter(|(_, read)| done(read)).map(|(p, read)| (p.clone(), *read)).collect();
        for (partition, FinalRead { log_start, log_end, position }) in finished {
            self.life.final_read.remove(&partition);
            self.notes.push(Note::FinalReadEnd { partition, log_start, log_end, complete: position >= log_end });
        }
        if self.life.final_read.is_empty() {
            self.over = true;
        }
        self.over
    }
}
