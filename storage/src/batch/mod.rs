//! Kafka's record batch, format version 2 (KIP-98): what a log is made of and what travels in Produce and Fetch.
//!
//! ```text
//!   0 base offset i64 | 8 length i32 | 12 partition leader epoch i32 | 16 magic i8 = 2 | 17 CRC-32C u32 |
//!   21 attributes i16 | 23 last offset delta i32 | 27 base timestamp i64 | 35 max timestamp i64 |
//!   43 producer id i64 | 51 producer epoch i16 | 53 base sequence i32 | 57 records count i32 | 61 records …
//! ```
//!
//! The length counts what follows it. The CRC covers the attributes and everything behind them, so a broker writes base
//! offset and leader epoch into a batch without touching it. Brokers work on headers ([`parse_header`],
//! [`check_batch`], [`Batches`]); only whoever needs the records opens a batch ([`records`]).
//!
//! Records may be compressed, all together ([`crate::compression`]): then opening a batch means to unpack it.
//!
//! Not modelled: the formats 0 and 1 of before 0.11.

mod build;
mod header;
mod read;
mod varint;

pub use build::{BatchBuilder, BuildOptions, NewRecord, build_batch};
pub use header::{
    BatchError, BatchHeader, HEADER_BYTES, check_batch, parse_header, set_base_offset_and_epoch, set_producer_state,
};
pub use read::{Batch, Batches, Record, Records, records};

pub(crate) use header::{LOG_APPEND_TIME, decode_header, set_max_timestamp};
pub(crate) use read::{Skeleton, skeleton};
