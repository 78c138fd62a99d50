//! Batches that no client of ours makes.
//!
//! ```text
//!   0 base offset · 8 length · 12 leader epoch · 16 magic · 17 checksum · 21 attributes · 23 last offset delta
//!   27 base timestamp · 35 largest timestamp · 43 producer id · 51 epoch · 53 sequence · 57 count · 61 records
//! ```
//!
//! Source: `DefaultRecordBatch`, `DefaultRecord`.

use bytes::{Bytes, BytesMut};
use trial_storage::{BuildOptions, Compression, NewRecord, build_batch, set_base_offset_and_epoch, set_producer_state};

pub(super) const MAGIC: usize = 16;
pub(super) const CHECKSUM: usize = 17;
pub(super) const ATTRIBUTES: usize = 21;
pub(super) const LAST_OFFSET_DELTA: usize = 23;
pub(super) const LARGEST_TIMESTAMP: usize = 35;
const PRODUCER_ID: usize = 43;
const PRODUCER_EPOCH: usize = 51;
const SEQUENCE: usize = 53;
pub(super) const COUNT: usize = 57;
const RECORDS: usize = 61;

/// Bits of the attributes.
pub(super) const LOG_APPEND_TIME: i16 = 0x08;
pub(super) const CONTROL: i16 = 0x20;

/// What a producer says of itself in a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProducerSays {
    pub(super) id: i64,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
}

/// Records of these times.
pub(super) fn at_times(times: &[i64]) -> Bytes {
    packed(Compression::None, &records(times))
}
/// Two records of this time.
pub(super) fn two_of(time: i64) -> Bytes {
    at_times(&[time, time])
}
/// So many records of an idempotent producer.
pub(super) fn of_producer(time: i64, count: usize, says: ProducerSays) -> Bytes {
    let options = BuildOptions {
        producer_id: says.id,
        producer_epoch: says.epoch,
        base_sequence: says.sequence,
        ..BuildOptions::default()
    };
    build_batch(&records(&vec![time; count]), options)
}
pub(super) fn packed(compression: Compression, records: &[NewRecord]) -> Bytes {
    build_batch(records, BuildOptions { compression, ..BuildOptions::default() })
}
fn records(times: &[i64]) -> Vec<NewRecord> {
    let one = |time: &i64| NewRecord { timestamp: *time, value: Some(VALUE), ..NewRecord::default() };
    times.iter().map(one).collect()
}
/// Of one record, whose value packs well.
pub(super) fn one_large(time: i64, compression: Compression, bytes: usize) -> Bytes {
    let record = NewRecord { timestamp: time, value: Some(vec![b'a'; bytes].into()), ..NewRecord::default() };
    packed(compression, &[record])
}
const VALUE: Bytes = Bytes::from_static(b"rehearsal");

/// The batch with other bytes from there on, and a checksum that fits.
pub(super) fn altered(batch: &Bytes, at: usize, with: &[u8]) -> Bytes {
    sealed(overwritten(batch, at, with))
}
/// The batch with other bytes from there on.
pub(super) fn overwritten(batch: &Bytes, at: usize, with: &[u8]) -> BytesMut {
    let mut batch = BytesMut::from(&batch[..]);
    batch[at..at + with.len()].copy_from_slice(with);
    batch
}
/// Says its producer once more, by which it gets a checksum that fits.
fn sealed(mut batch: BytesMut) -> Bytes {
    let mut of = [0; RECORDS];
    of.copy_from_slice(&batch[..RECORDS]);
    let number = |at: usize, bytes: usize| of[at..at + bytes].iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    let (id, epoch) = (number(PRODUCER_ID, 8) as i64, number(PRODUCER_EPOCH, 2) as i16);
    set_producer_state(&mut batch, id, epoch, number(SEQUENCE, 4) as i32);
    batch.freeze()
}

/// The batch as a leader of this epoch has it, at this offset.
pub(super) fn placed(batch: &Bytes, offset: i64, leader_epoch: i32) -> Bytes {
    let mut batch = BytesMut::from(&batch[..]);
    set_base_offset_and_epoch(&mut batch, offset, leader_epoch);
    batch.freeze()
}

/// The two records of a batch in the other order, so that the second's offset comes first; packed so.
pub(super) fn out_of_order(two: &Bytes, compression: Compression) -> Option<Bytes> {
    let records = &two[RECORDS..];
    let (first, second) = records.split_at(records.len() / 2);
    let payload = [second, first].concat();
    let payload = match compression {
        Compression::None => payload,
        codec => trial_storage::compression::compress(codec, 6, &payload).ok()?,
    };
    let mut batch = overwritten(two, ATTRIBUTES, &compression.id().to_be_bytes());
    batch.truncate(RECORDS);
    batch.extend_from_slice(&payload);
    let length = i32::try_from(batch.len() - 12).ok()?;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    Some(sealed(batch))
}
