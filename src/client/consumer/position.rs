//! Where a consumer stands in a partition, and what it has fetched from there. Source: `SubscriptionState`.

use std::collections::VecDeque;

use crate::client::list_offsets::{EARLIEST, LATEST};
use crate::config::OffsetReset;
use crate::node::{ConsumedRecord, Nanos};

/// Where the next record is to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// Nowhere yet: the leader is to be asked for this offset.
    Resetting {
        /// -2 earliest, -1 latest.
        timestamp: i64,
        /// Why, for the trace.
        why: String,
    },
    /// At this offset. (Validation against the leader's epochs, KIP-320, will be a state of its own.)
    At(i64),
    /// Nowhere, and `auto.offset.reset` is `none`: the application must say.
    Lost,
}

/// A partition that a consumer reads.
#[derive(Clone, Debug)]
pub(crate) struct Assigned {
    /// Where the application stands: the offset of the next record to hand out.
    pub(crate) position: Position,
    /// Records that were fetched and not yet handed out.
    pub(crate) buffer: VecDeque<ConsumedRecord>,
    /// The position once the buffer is handed out.
    pub(crate) buffer_end: i64,
    /// No request about it before this time.
    pub(crate) retry_at: Nanos,
    /// Errors in a row.
    pub(crate) failures: u32,
}

impl Assigned {
    /// A partition to be read from that position.
    pub(crate) fn new(position: Position) -> Self {
        Assigned { position, buffer: VecDeque::new(), buffer_end: 0, retry_at: 0, failures: 0 }
    }
    /// The offset to fetch from, if it is to be fetched now: nothing is buffered, and no error makes it pause.
    pub(crate) fn fetch_offset(&self, now: Nanos) -> Option<i64> {
        match self.position {
            Position::At(offset) if self.buffer.is_empty() && self.retry_at <= now => Some(offset),
            _ => None,
        }
    }
    /// Takes what was fetched.
    pub(crate) fn fill(&mut self, records: VecDeque<ConsumedRecord>, next_offset: i64) {
        self.failures = 0;
        self.retry_at = 0;
        self.buffer_end = next_offset;
        if records.is_empty() {
            self.position = Position::At(next_offset);
        }
        self.buffer = records;
    }
    /// Hands out up to so many records; the position moves past them.
    pub(crate) fn take(&mut self, most: usize) -> impl Iterator<Item = ConsumedRecord> {
        let taken = self.buffer.drain(..most.min(self.buffer.len())).collect::<Vec<_>>();
        if let Some(last) = taken.last() {
            let next = if self.buffer.is_empty() { self.buffer_end } else { last.offset + 1 };
            self.position = Position::At(next);
        }
        taken.into_iter()
    }
}

/// The position of a partition without one, by `auto.offset.reset`. Source: `AutoOffsetResetStrategy`.
pub(crate) fn reset_position(policy: OffsetReset, because: &str) -> Position {
    let (timestamp, name) = match policy {
        OffsetReset::Earliest => (EARLIEST, "earliest"),
        OffsetReset::Latest => (LATEST, "latest"),
        OffsetReset::None => return Position::Lost,
    };
    Position::Resetting { timestamp, why: format!("{because}; auto.offset.reset={name}") }
}
