//! Producer snapshots: the files `00000000000000004711.snapshot` beside the segments, in Kafka's own format.
//!
//! ```text
//!   version (1), CRC-32C of what follows, count,
//!   per producer: id, epoch, last sequence, last offset, offset delta, timestamp, coordinator epoch, first offset of
//!   its transaction (-1: there are no transactions yet)
//! ```
//!
//! A snapshot tells the state at the offset it is named by. Only the last batch of each producer is in it: what a log
//! loads from a snapshot knows fewer duplicates than it did before. Source: `ProducerStateManager.writeSnapshot`,
//! `readSnapshot`, `ProducerSnapshot.json`.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};

use super::entry::{BatchMetadata, ProducerEntry};

const VERSION: i16 = 1;
/// Behind version and checksum.
const ENTRIES_AT: usize = 6;
const ENTRY_BYTES: usize = 46;
const SUFFIX: &str = ".snapshot";

/// Name of the snapshot of the state at an offset.
pub(crate) fn file_name(offset: i64) -> String {
    format!("{offset:020}{SUFFIX}")
}

/// The offset in a snapshot's name, if it is one.
pub(crate) fn offset_of(file_name: &str) -> Option<i64> {
    let digits = file_name.strip_suffix(SUFFIX)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// The bytes of a snapshot.
pub(crate) fn encode(producers: &BTreeMap<i64, ProducerEntry>) -> Bytes {
    let mut out = Vec::with_capacity(ENTRIES_AT + 4 + producers.len() * ENTRY_BYTES);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(producers.len() as i32).to_be_bytes());
    for (producer_id, entry) in producers {
        let last = entry.last_batch();
        out.extend_from_slice(&producer_id.to_be_bytes());
        out.extend_from_slice(&entry.epoch().to_be_bytes());
        out.extend_from_slice(&entry.last_sequence().to_be_bytes());
        out.extend_from_slice(&last.map_or(-1, |batch| batch.last_offset).to_be_bytes());
        out.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        out.extend_from_slice(&entry.last_timestamp().to_be_bytes());
        out.extend_from_slice(&(-1i32).to_be_bytes());
        out.extend_from_slice(&(-1i64).to_be_bytes());
    }
    let crc = crc32c::crc32c(&out[ENTRIES_AT..]);
    out[2..ENTRIES_AT].copy_from_slice(&crc.to_be_bytes());
    out.into()
}

/// The producers of a snapshot; `None` if it is torn, corrupt or of another version.
pub(crate) fn decode(bytes: &[u8]) -> Option<BTreeMap<i64, ProducerEntry>> {
    let (head, entries) = bytes.split_at_checked(ENTRIES_AT)?;
    let (mut head, mut rest) = (head, entries);
    if head.get_i16() != VERSION || head.get_u32() != crc32c::crc32c(entries) {
        return None;
    }
    let count = usize::try_from(rest.try_get_i32().ok()?).ok()?;
    if Some(rest.len()) != count.checked_mul(ENTRY_BYTES) {
        return None;
    }
    let mut producers = BTreeMap::new();
    for _ in 0..count {
        // The bytes of every entry are there: none of these reads can run out.
        let (producer_id, epoch) = (rest.get_i64(), rest.get_i16());
        let (last_sequence, last_offset, offset_delta) = (rest.get_i32(), rest.get_i64(), rest.get_i32());
        let (timestamp, _coordinator_epoch, _transaction) = (rest.get_i64(), rest.get_i32(), rest.get_i64());
        let batch = BatchMetadata { last_sequence, last_offset, offset_delta, timestamp };
        let is_possible = last_offset >= i64::from(offset_delta) && offset_delta >= 0;
        let last = (last_offset >= 0).then_some(batch);
        if last.is_some() && !is_possible {
            return None;
        }
        producers.insert(producer_id, ProducerEntry::of_snapshot(epoch, timestamp, last));
    }
    Some(producers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producers::ProducerRules;

    fn two_producers() -> BTreeMap<i64, ProducerEntry> {
        let mut first = ProducerEntry::UNKNOWN;
        for n in 0..3 {
            let batch =
                BatchMetadata { last_sequence: 4 + n, last_offset: 70 + i64::from(n), offset_delta: 0, timestamp: 9 };
            first.add_batch(2, batch, ProducerRules::default());
        }
        BTreeMap::from([(1000, first), (7, ProducerEntry::of_snapshot(0, 3, None))])
    }

    #[test]
    fn only_the_last_batch_comes_back() {
        let read = decode(&encode(&two_producers())).expect("it is whole");
        assert_eq!(read[&7], two_producers()[&7]);
        assert_eq!(read[&1000].last_batch(), two_producers()[&1000].last_batch());
        assert_eq!((read[&1000].epoch(), read[&1000].last_timestamp(), read[&1000].batches().count()), (2, 9, 1));
        assert_eq!(decode(&encode(&BTreeMap::new())), Some(BTreeMap::new()));
    }

    #[test]
    fn whatever_is_broken_is_found_out() {
        let whole = encode(&two_producers());
        for length in 0..whole.len() {
            assert_eq!(decode(&whole[..length]), None, "cut at {length}");
        }
        for at in 0..whole.len() {
            let mut broken = whole.to_vec();
            broken[at] ^= 0x40;
            assert_eq!(decode(&broken), None, "byte {at}");
        }
    }

    #[test]
    fn a_snapshot_is_as_kafka_writes_it() {
        // One producer, id 1000, epoch 0, sequences 5 to 7 at offsets 10 to 12.
        let last = BatchMetadata { last_sequence: 7, last_offset: 12, offset_delta: 2, timestamp: 1_700_000_000_000 };
        let bytes = encode(&BTreeMap::from([(1000, ProducerEntry::of_snapshot(0, 1_700_000_000_000, Some(last)))]));
        let mut expected = vec![0, 1];
        expected.extend_from_slice(&crc32c::crc32c(&bytes[6..]).to_be_bytes());
        expected.extend([0, 0, 0, 1]);
        expected.extend([0, 0, 0, 0, 0, 0, 3, 0xe8, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 2]);
        expected.extend(1_700_000_000_000i64.to_be_bytes());
        expected.extend([0xff; 12]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn names_are_offsets_in_twenty_digits() {
        assert_eq!(file_name(4711), "00000000000000004711.snapshot");
        assert_eq!(offset_of(&file_name(4711)), Some(4711));
        for other in [
            "00000000000000004711.log",
            "4711.snapshot",
            "0000000000000000471x.snapshot",
            "99999999999999999999.snapshot",
        ] {
            assert_eq!(offset_of(other), None, "{other}");
        }
    }
}
