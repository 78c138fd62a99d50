//! An async application under test against a simulated Kafka cluster, on madsim's clock and from madsim's seed.
//!
//! ```text
//!   tasks on madsim nodes ── send, poll, create_topic ──▶ TrialCluster ── external inputs (logged) ──▶ World
//!          ▲                                                  │ run_until(madsim's now)                  │
//!          └───────────────── outcomes ───────────────────────┴◀────────────── Note::External ───────────┘
//! ```
//!
//! The World is a value without any async; this crate holds one, moves its clock along with madsim's, and turns the
//! outcomes it notes into futures. `MADSIM_TEST_SEED=… cargo test` decides everything: the order of the application's
//! tasks and the whole cluster. All that an application does to the World is logged, so that
//! [`Recording::replay`] plays the same run without madsim.
//!
//! # Time
//!
//! - Virtual time 0 of the World is the moment at which the [`TrialCluster`] was made.
//! - Whatever an application does acts at madsim's present time, to the nanosecond.
//! - The World's own times are exact. But a sleep of madsim never takes less than 1 ms, so an application learns of an
//!   outcome up to 1 ms after the World's client did.
//! - A node's wall clock starts at the World's own date, not at madsim's.
//!
//! # An application's own determinism
//!
//! Same seed, same run, as long as the application keeps to madsim's rules: no threads, no real time, no unbiased
//! `select!`, no randomness but madsim's.

#[cfg(not(madsim))]
compile_error!(
    "trial-madsim needs the flag `--cfg madsim`: without it madsim is real time and real sockets, and nothing here would \
     be simulated. This repository sets it in .cargo/config.toml, which a RUSTFLAGS variable overrides and which `cargo \
     install --git` does not read. Unset RUSTFLAGS or add `--cfg madsim` to it; in another repository, put into its \
     .cargo/config.toml: [target.'cfg(all())'] rustflags = [\"--cfg\", \"madsim\"]"
);

#[cfg(madsim)]
mod admin;
#[cfg(madsim)]
mod client;
#[cfg(madsim)]
mod cluster;
#[cfg(madsim)]
mod consumer;
#[cfg(madsim)]
mod error;
#[cfg(madsim)]
mod producer;
#[cfg(madsim)]
mod recording;
#[cfg(madsim)]
mod shared;

#[cfg(madsim)]
pub use {
    admin::{AdminClient, NewTopic},
    cluster::TrialCluster,
    consumer::{Consumer, Polled},
    error::{ClientError, SendError, TrialError},
    producer::{Produced, Producer, Record},
    recording::{Diverged, Recording},
};
