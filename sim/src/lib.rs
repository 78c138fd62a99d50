//! The simulation: a cluster as a value, its faults, its scenarios, its trace and its verdict.
//!
//! ```text
//!   scenarios/*.toml ─▶ scenario ─▶ fault timeline (seed) ─▶ World ─▶ events, notes ─▶ trial: checker, log, digest
//!                                                              │
//!                                        virtual network, disks (disk), weather, clocks
//! ```
//!
//! Everything is a function of (scenario, overrides, seed, external inputs). See [`world::World`].

pub mod build_id;
pub mod campaign;
pub mod describe;
pub mod disk;
pub mod explore;
pub mod fault;
pub mod futures;
pub mod log;
pub mod observe;
pub mod proportion;
pub mod recording;
pub mod scenario;
pub mod shrink;
pub mod story;
pub mod swarm;
pub mod trace;
pub mod trial;
pub mod verify;
pub mod weather;
pub mod world;
pub mod zoo;
