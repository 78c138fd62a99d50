//! What does each replica's log truly hold, and what was the checker told that it holds?
//!
//! The log is read from the disk of the World, batch header by batch header. What was told is kept beside it, so that a
//! node whose report differs from its log is found out, and so that the checker hears what a disk brings back after a
//! loss of power: less than before, or what had been cut away already.

use std::collections::BTreeMap;

use trial_checker::{Entry, ProducerBatch};
use trial_kafka::ids::TopicPartition;
use trial_storage::producers::last_sequence;
use trial_storage::{Batch, BatchError, BatchHeader, Batches, Log, Records};

use crate::trace::NodeIx;
use crate::world::{World, decode_value};

/// One batch as the checker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KnownBatch {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) epoch: i32,
    pub(super) hash: u64,
}

impl KnownBatch {
    fn of_header(header: &BatchHeader) -> Self {
        let (first, last, epoch) = (header.base_offset, header.last_offset(), header.partition_leader_epoch);
        KnownBatch { first, last, epoch, hash: hash_of(header) }
    }

    fn of(entry: &Entry) -> Self {
        let Entry { first_offset, last_offset, epoch, hash, .. } = *entry;
        KnownBatch { first: first_offset, last: last_offset, epoch, hash }
    }
}

#[derive(Clone, Debug, Default)]
struct KnownLog {
    end: i64,
    batches: Vec<KnownBatch>,
    /// First offset and largest timestamp of the last two batches of each producer that were appended, wherever the log begins
    /// or ends by now.
    last_of: BTreeMap<i64, [(i64, i64); 2]>,
}

impl KnownLog {
    fn note_last(&mut self, header: &BatchHeader) {
        if header.producer_id >= 0 {
            let last = (header.base_offset, header.max_timestamp);
            let two = self.last_of.entry(header.producer_id).or_insert([last; 2]);
            *two = [two[1], last];
        }
    }

    /// The batches that begin at an offset or later.
    fn from(&self, offset: i64) -> &[KnownBatch] {
        &self.batches[self.batches.partition_point(|batch| batch.first < offset)..]
    }
}

fn ends(log: &Log) -> (i64, i64) {
    (log.log_start_offset(), log.log_end_offset())
}

/// Where a log leaves what the checker was told of it.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    /// Both are the same below.
    pub(super) same_below: i64,
    /// The end that the checker knows of.
    pub(super) known_end: i64,
    /// The end of the log.
    pub(super) log_end: i64,
    /// What the log holds from there on.
    pub(super) entries: Vec<Entry>,
}

/// What the checker was told of every replica's log, by broker.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownLogs(BTreeMap<i32, BTreeMap<TopicPartition, KnownLog>>);

impl KnownLogs {
    fn get(&self, broker: i32, id: &TopicPartition) -> Option<&KnownLog> {
        self.0.get(&broker)?.get(id)
    }

    fn get_or_new(&mut self, broker: i32, id: &TopicPartition) -> &mut KnownLog {
        let logs = self.0.entry(broker).or_default();
        if !logs.contains_key(id) {
            logs.insert(id.clone(), KnownLog::default());
        }
        logs.get_mut(id).expect("it is there")
    }

    /// The batches that were told of a log.
    pub(super) fn batches(&self, broker: i32, id: &TopicPartition) -> &[KnownBatch] {
        self.get(broker, id).map_or(&[], |log| &log.batches)
    }

    /// The log is gone, and nothing of it is remembered.
    pub(super) fn remove(&mut self, broker: i32, id: &TopicPartition) {
        self.0.get_mut(&broker).and_then(|logs| logs.remove(id));
    }

    /// The partitions of a broker.
    pub(super) fn of_broker(&self, broker: i32) -> Vec<TopicPartition> {
        self.0.get(&broker).map_or(Vec::new(), |logs| logs.keys().cloned().collect())
    }

    /// The end of a log as far as the checker was told.
    pub(super) fn end(&self, broker: i32, id: &TopicPartition) -> i64 {
        self.get(broker, id).map_or(0, |log| log.end)
    }

    /// The largest timestamp of the batch that a producer had appended last before the one at this offset, in milliseconds: in
    /// the log, or where nothing is left of it there, before that was deleted.
    pub(super) fn timestamp_before(
        &self,
        world: &World,
        (node, broker): (NodeIx, i32),
        id: &TopicPartition,
        log: &Log,
        (producer, offset): (i64, i64),
    ) -> Option<i64> {
        let deleted = || {
            let two = self.get(broker, id)?.last_of.get(&producer)?;
            two.iter().rev().find(|(first, _)| *first < offset).map(|(_, timestamp)| *timestamp)
        };
        last_timestamp(world, node, log, producer, offset).or_else(deleted)
    }

    /// What stands in the log beyond what was told. From here on it counts as told.
    pub(super) fn take_appended(
        &mut self,
        world: &World,
        node: NodeIx,
        broker: i32,
        id: &TopicPartition,
        log: &Log,
        decode: bool,
    ) -> Vec<Entry> {
        let known = self.get_or_new(broker, id);
        let end = log.log_end_offset();
        // The log's start may have moved into the first of them meanwhile, and a log can be read from its start on only.
        let from = known.end.max(log.log_start_offset());
        let mut entries: Vec<Entry> = Vec::new();
        each_batch(world, node, log, (known.end, from), end, |batch| {
            known.note_last(&batch.header);
            entries.push(entry_of(&batch, decode));
        });
        known.batches.extend(entries.iter().map(KnownBatch::of));
        known.end = end;
        entries
    }

    /// The checker is told that the log was cut to `to`: a batch with any record at or above is gone.
    pub(super) fn cut(&mut self, broker: i32, id: &TopicPartition, to: i64) {
        let known = self.get_or_new(broker, id);
        // A target above the end: the log was dropped whole and starts there.
        let keep = if to > known.end { 0 } else { known.batches.partition_point(|batch| batch.last < to) };
        known.batches.truncate(keep);
        known.end = to;
    }

    /// The checker is told that the log is the same below an offset and holds these batches from there on.
    pub(super) fn tell(&mut self, broker: i32, id: &TopicPartition, same_below: i64, entries: &[Entry]) {
        self.cut(broker, id, same_below);
        let known = self.get_or_new(broker, id);
        known.batches.extend(entries.iter().map(KnownBatch::of));
        known.end = entries.last().map_or(same_below, |entry| entry.last_offset + 1);
    }

    /// Is what was told of it the whole log, whose headers these are?
    pub(super) fn is_told(&self, broker: i32, id: &TopicPartition, log: Option<&Log>, headers: &[BatchHeader]) -> bool {
        let nothing = KnownLog::default();
        let known = self.get(broker, id).unwrap_or(&nothing);
        let (log_start, log_end) = log.map_or((0, 0), ends);
        let there = headers.iter().filter(|header| header.base_offset >= log_start).map(KnownBatch::of_header);
        known.end == log_end && there.eq(known.from(log_start).iter().copied())
    }

    /// Compares the whole log with what was told of it. A replica that is not there holds nothing.
    pub(super) fn compare(
        &self,
        world: &World,
        node: NodeIx,
        broker: i32,
        id: &TopicPartition,
        log: Option<&Log>,
    ) -> Option<Difference> {
        let headers = log.map_or(Vec::new(), |log| headers(world, node, log));
        // Nearly always they are the same, which takes no list of what is there.
        if self.is_told(broker, id, log, &headers) {
            return None;
        }
        let nothing = KnownLog::default();
        let known = self.get(broker, id).unwrap_or(&nothing);
        let (log_start, log_end) = log.map_or((0, 0), ends);
        let told = known.from(log_start);
        let mut entries = log.map_or(Vec::new(), |log| read_entries(world, node, log, log_start, log_end, false));
        let same = told.iter().zip(&entries).take_while(|(told, there)| **told == KnownBatch::of(there)).count();
        let same_below = match same {
            0 => log_start.min(known.end),
            same => told[same - 1].last + 1,
        };
        entries.drain(..same);
        Some(Difference { same_below, known_end: known.end, log_end, entries })
    }
}

/// The batches of a log between two offsets, as the page cache has them, with their records if `decode` is true.
pub(crate) fn read_entries(world: &World, node: NodeIx, log: &Log, from: i64, end: i64, decode: bool) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    each_batch(world, node, log, (from, from), end, |batch| entries.push(entry_of(&batch, decode)));
    entries
}

/// The largest timestamp of the last batch of a producer below an offset, in milliseconds.
fn last_timestamp(world: &World, node: NodeIx, log: &Log, producer_id: i64, below: i64) -> Option<i64> {
    let (mut last, from) = (None, log.log_start_offset());
    each_batch(world, node, log, (from, from), below, |batch| {
        if batch.header.producer_id == producer_id && batch.header.base_offset < below {
            last = Some(batch.header.max_timestamp);
        }
    });
    last
}

/// The headers of all batches of a log, that one's too in which it starts; none of a log that cannot be read.
pub(super) fn headers(world: &World, node: NodeIx, log: &Log) -> Vec<BatchHeader> {
    let mut view = world.disk(node).view();
    log.batch_headers(&mut view, log.log_start_offset(), log.log_end_offset()).unwrap_or_default()
}

/// The batches that begin at the first of two offsets or later and end behind the second, where the reading begins.
fn each_batch(
    world: &World,
    node: NodeIx,
    log: &Log,
    (mut begins_at, mut next): (i64, i64),
    end: i64,
    mut take: impl FnMut(Batch),
) {
    let mut view = world.disk(node).view();
    // One read ends with its segment.
    while next < end
        && let Ok(bytes) = log.read(&mut view, next, end, usize::MAX, true)
    {
        let mut reached = None;
        // One that begins before may be the last of its segment.
        for batch in Batches::new(bytes).filter_map(Result::ok) {
            reached = Some(batch.header.last_offset() + 1);
            if batch.header.base_offset >= begins_at {
                take(batch);
            }
        }
        match reached {
            Some(reached) if reached > next => (begins_at, next) = (reached, reached),
            _ => break,
        }
    }
}

fn entry_of(batch: &Batch, decode: bool) -> Entry {
    Entry {
        first_offset: batch.header.base_offset,
        last_offset: batch.header.last_offset(),
        epoch: batch.header.partition_leader_epoch,
        hash: hash_of(&batch.header),
        records: if decode { record_ids(batch).unwrap_or_default() } else { Vec::new() },
        producer: producer_of(&batch.header),
    }
}

/// The numbers of a batch's records. One by one: nothing else of a record is kept.
fn record_ids(batch: &Batch) -> Result<Vec<u64>, BatchError> {
    let count = usize::try_from(batch.header.records_count).unwrap_or_default();
    let mut ids = Vec::with_capacity(count.min(batch.bytes.len()));
    let mut records = Records::open(&batch.bytes)?;
    while let Some(id) = records.next_value(|value| value.and_then(decode_value).unwrap_or(u64::MAX)) {
        ids.push(id?);
    }
    Ok(ids)
}

/// The checksum covers everything but offset and epoch, which stand beside it.
fn hash_of(header: &BatchHeader) -> u64 {
    u64::from(header.crc)
}

pub(super) fn producer_of(header: &BatchHeader) -> Option<ProducerBatch> {
    (header.producer_id >= 0 && !header.is_control()).then(|| ProducerBatch {
        id: header.producer_id,
        epoch: header.producer_epoch,
        first_sequence: header.base_sequence,
        last_sequence: last_sequence(header),
    })
}
