//! The World: a whole Kafka cluster, its network, clocks and disks as one deterministic value.
//!
//! ```text
//!   scenario file ──parse──▶ Scenario ──timeline(seed)──▶ faults ─┐
//!                               │                                 ▼
//!                               └──────── cluster, workload ──▶ World ──▶ trace, observations
//!                                                                 ▲
//!                                       weather(seed, link, time) ┘
//! ```

pub mod fault;
pub mod scenario;
pub mod weather;
