//! Consumer-group coordinators: who consumes what, and how far.
//!
//! ```text
//!   requests ─▶ [`shard::Shard`] ─▶ records for one partition of __consumer_offsets, and answers when they are committed
//!                  ├─ classic/    groups that let a member assign
//!                  ├─ consumer/   groups to which the coordinator assigns (KIP-848), by assignor/server
//!                  └─ offsets/    how far each group has come
//! ```
//!
//! A broker has a shard for each partition of `__consumer_offsets` that it leads. A shard is a plain value: it knows neither
//! the log nor the network, and the broker that has it carries out what it asks for ([`shard::Effects`]).

pub mod api;
pub mod assignor;
pub mod classic;
pub mod config;
pub mod consumer;
pub mod coordinator;
mod offsets;
pub mod partition_for;
pub mod records;
pub mod shard;
#[cfg(test)]
mod story;
pub mod timeline;
pub mod timers;
