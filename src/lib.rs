//! Kafka's logic as pure state machines. No clock, no I/O, no async, no threads, no global state.
//!
//! ```text
//!             inputs                                         effects
//!   Start, Deadline ───────────┐                  ┌──▶ dial, call, answer, settle, hang up
//!   Request, Response ─────────┤   ┌──────────┐   ├──▶ sync(files, directories) → ticket
//!   Opened, DialFailed, Closed ┼──▶│   Node   │───┼──▶ defer(lane, step)
//!   Synced, Local, Command ────┘   └──────────┘   ├──▶ deliver(op, outcome), halt
//!                                      ▲ │        └──▶ record(event): the trace
//!                       time (two clocks)│
//!                                     Disk
//! ```
//!
//! A broker, a controller and a client are each a [`node::Node`]: a plain value that a host feeds with inputs and
//! whose effects the host carries out. The same node runs in the simulated `World` (`sim/`), under madsim
//! (`sim/madsim/`) and on real sockets and files (`server/`). What the contract promises, to both sides, is written
//! in [`node`].

pub mod broker;
pub mod client;
pub mod combined;
pub mod config;
pub mod conformance;
pub mod controller;
pub mod event;
pub mod group;
pub mod ids;
pub mod metadata;
pub mod node;
pub mod protocol;
#[cfg(test)]
mod testing;
pub mod zoo;
