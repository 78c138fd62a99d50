//! The tokio host: the brokers, controllers and clients of `trial-kafka` on real sockets, real files and the real clock.
//!
//! ```text
//!   TCP ──▶ accept ─┐  requests             ┌─▶ answer, hang up ──▶ accept ──▶ TCP
//!   TCP ◀─▶ dial ───┼─▶ lanes ─▶ owner ─────┼─▶ dial, close, call ─▶ dial ◀─▶ TCP
//!   command ────────┤            (one Node, │
//!   clock ──────────┤             one disk) ├─▶ sync ──▶ a blocking thread: fsync
//!   fsync is over ──┘                       └─▶ deliver ──▶ whoever gave the command
//! ```
//!
//! A [`Process`] is one node with its disk and its listener, as an operating-system process would be: it can be started,
//! commanded, killed, and started again on the same directory. A [`Cluster`] is some controllers and brokers, each a
//! process of its own (or, with combined roles, two in one) that reaches the others through TCP only.
//!
//! How the contract of [`trial_kafka::node`] is honoured:
//!
//! - *Lanes.* One task owns a node and handles one input at a time, taking the lanes in turn: FIFO inside a lane, and a
//!   lane full of requests delays a heartbeat by a few handlers, not by its length. Handlers read and write files on that
//!   task, so a disk that stands still stops the whole node; real lanes would need a node that several threads can share.
//! - *`charge`* is ignored: real handlers take real time.
//! - *Connections.* An accepted connection is read only after its last request was settled, so that a peer that sends
//!   faster than it is answered is slowed down by TCP itself.
//! - *Death.* A killed process drops its connections as they are. A process that halts still sends what it had answered.
//!
//! Everything that comes from a socket is checked before it is decoded: see [`wire`].
//!
//! Not modelled: authentication, encryption, quotas, `connections.max.idle.ms`, a bound on the number of connections, a
//! lock that keeps two processes from one directory.

mod accept;
mod client;
mod clock;
mod cluster;
mod dial;
mod entropy;
mod file_disk;
mod lanes;
mod no_disk;
mod owner;
mod process;
mod server;
pub mod wire;

pub use client::ClientProcess;
pub use cluster::{Cluster, ClusterError, ClusterSetup};
pub use file_disk::{FileDisk, SyncJob};
pub use process::{Exit, Listening, Process, ProcessEnded, ProcessSetup};
pub use server::Server;
