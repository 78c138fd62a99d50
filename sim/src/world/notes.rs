//! What clients did and were told: the history of a run, and the values that make its records unique.

use bytes::Bytes;
use trial_kafka::ids::TopicPartition;
use trial_kafka::node::{Belief, ConsumedRecord, EventId, OpId, Outcome};

use super::referee::Said;
use crate::trace::NodeIx;

/// What clients did and were told in a step; what the history checker sees.
#[derive(Clone, Debug)]
pub enum Note {
    /// A record was handed to a producer.
    SendInvoked {
        /// The record's number, from 0.
        record: u64,
        /// The producer's number, from 0.
        producer: u32,
    },
    /// The producer was told how it went.
    SendSettled {
        /// The record.
        record: u64,
        /// Where it was sent.
        partition: Option<TopicPartition>,
        /// What is believed.
        belief: Belief,
        /// Requests it was part of.
        attempts: u32,
        /// The event by which it was told.
        event: EventId,
    },
    /// A consumer was assigned its partitions, from these positions on.
    Assigned {
        /// The consumer's number, from 0.
        consumer: u32,
    },
    /// A consumer was handed records.
    Polled {
        /// The consumer's number, from 0.
        consumer: u32,
        /// The records.
        records: Vec<ConsumedRecord>,
        /// The event by which it got them.
        event: EventId,
    },
    /// The final reader was handed records.
    FinalRead {
        /// The records.
        records: Vec<ConsumedRecord>,
        /// The event by which it got them.
        event: EventId,
    },
    /// The final read of a partition is over.
    FinalReadEnd {
        /// The partition.
        partition: TopicPartition,
        /// First offset of the log.
        log_start: i64,
        /// The end it was to be read to.
        log_end: i64,
        /// Did it get there?
        complete: bool,
    },
    /// An operation from outside has ended.
    External {
        /// Whose.
        node: NodeIx,
        /// Which.
        op: OpId,
        /// How.
        outcome: Outcome,
    },
    /// A broker told a client the end offset of a partition (ListOffsets, latest).
    EndOffsetTold {
        /// The broker.
        node: NodeIx,
        /// The partition.
        partition: TopicPartition,
        /// The end offset.
        offset: i64,
    },
    /// A node said what is not so.
    Said(Box<Said>),
}

/// The value of a record: its number in 16 hexadecimal digits, then dots up to the wanted size.
pub fn encode_value(record: u64, bytes: usize) -> Bytes {
    let mut value = vec![b'.'; bytes.max(16)];
    for (nth, digit) in value.iter_mut().take(16).enumerate() {
        *digit = b"0123456789abcdef"[(record >> (60 - 4 * nth) & 0xf) as usize];
    }
    Bytes::from(value)
}

/// A stretch of padding, to compare with.
const DOTS: [u8; 256] = [b'.'; 256];

/// What is no hexadecimal digit: all bits, so that one among the digits shows.
const NO_DIGIT: u8 = 0xff;
const HEX_DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        digits["0123456789abcdef".as_bytes()[digit] as usize] = digit as u8;
        digits["0123456789ABCDEF".as_bytes()[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

/// The number of the record with that value; `None` if nobody wrote such a value.
pub fn decode_value(value: &[u8]) -> Option<u64> {
    let (digits, padding) = value.split_at_checked(16)?;
    // Every record that anybody reads comes by here: by stretches, not byte by byte.
    if !padding.chunks(DOTS.len()).all(|stretch| stretch == &DOTS[..stretch.len()]) {
        return None;
    }
    let (mut number, mut all) = (0_u64, 0);
    for digit in digits {
        let digit = HEX_DIGITS[usize::from(*digit)];
        (number, all) = (number << 4 | u64::from(digit & 0xf), all | digit);
    }
    (all != NO_DIGIT).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_carry_their_record() {
        assert_eq!(decode_value(&encode_value(0xabc, 100)), Some(0xabc));
        assert_eq!(decode_value(&encode_value(u64::MAX, 16)), Some(u64::MAX));
        assert_eq!(decode_value(&encode_value(7, 1_000)), Some(7));
        assert_eq!(encode_value(0xabc, 18), Bytes::from_static(b"0000000000000abc.."));
        let mut other = encode_value(7, 1_000).to_vec();
        other[999] = b'!';
        for wrong in ["0000000000000abg", "000000000000 abc", "ffffffffffffff\u{e9}"] {
            assert_eq!(decode_value(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(decode_value(b"00000000000000FF"), Some(255));
        assert_eq!(decode_value(&other), None);
        assert_eq!(decode_value(b"short"), None);
        assert_eq!(decode_value(b"0000000000000abc!"), None);
    }
}
