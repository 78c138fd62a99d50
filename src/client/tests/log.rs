//! A leader's log as far as a producer can tell: what it takes, and what of an idempotent producer it refuses.
//!
//! The rules are those of `ProducerAppendInfo`, `ProducerStateEntry`: five batches are remembered of each producer.

use std::collections::{BTreeMap, VecDeque};

use kafka_protocol::error::ResponseError;
use trial_storage::{BatchHeader, check_batch};

use super::fixture::*;

/// Sequences of a batch, first and last, and the offset of its first record.
type Remembered = (i32, i32, i64);

#[derive(Default)]
struct ProducerState {
    epoch: i16,
    batches: VecDeque<Remembered>,
}

/// See the module documentation.
#[derive(Default)]
pub struct Log {
    /// The values of its records, in order.
    pub values: Vec<String>,
    producers: BTreeMap<i64, ProducerState>,
}

impl Log {
    /// Takes the one batch of a produce request, or refuses it. Offset of its first record.
    pub fn append(&mut self, call: &Call) -> Result<i64, ResponseError> {
        let batch = batches(call).remove(0).1;
        let header = check_batch(&batch).expect("producers send whole batches with a good checksum");
        let offset = self.values.len() as i64;
        if header.producer_id >= 0 {
            let last = after(header.base_sequence, header.records_count - 1);
            if let Some(known) = self.known(&header, last)? {
                return Ok(known);
            }
            let state = self.producers.entry(header.producer_id).or_default();
            if header.producer_epoch > state.epoch {
                *state = ProducerState { epoch: header.producer_epoch, batches: VecDeque::new() };
            }
            state.batches.push_back((header.base_sequence, last, offset));
            if state.batches.len() > 5 {
                state.batches.pop_front();
            }
        }
        self.values.extend(values(batch));
        Ok(offset)
    }
    /// The offset of a batch that is there already, or why it cannot be taken.
    fn known(&self, header: &BatchHeader, last: i32) -> Result<Option<i64>, ResponseError> {
        let Some(state) = self.producers.get(&header.producer_id) else { return Ok(None) };
        let expected = match header.producer_epoch.cmp(&state.epoch) {
            std::cmp::Ordering::Less => return Err(ResponseError::InvalidProducerEpoch),
            std::cmp::Ordering::Greater => 0,
            std::cmp::Ordering::Equal => {
                let same = |b: &&Remembered| (b.0, b.1) == (header.base_sequence, last);
                if let Some((_, _, offset)) = state.batches.iter().find(same) {
                    return Ok(Some(*offset));
                }
                state.batches.back().map_or(0, |(_, last, _)| after(*last, 1))
            }
        };
        if header.base_sequence == expected { Ok(None) } else { Err(ResponseError::OutOfOrderSequenceNumber) }
    }
}

fn after(sequence: i32, by: i32) -> i32 {
    sequence.wrapping_add(by) & i32::MAX
}
