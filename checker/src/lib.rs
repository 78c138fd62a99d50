//! The checker: plain observations of one trial go in, a verdict with explained findings comes out.
//!
//! ```text
//!   clients' operations ──► history  (H: knows nothing of brokers) ──► violations ─┐
//!                                                                                 ├─► judge ──► Verdict
//!   logs, acks, elections ► cluster  (G: replicas, ghost log, invariants) ─ facts ┘    BUG | ALLOWED(rule) | INFO | UNKNOWN
//!   crashes, power losses ►                                                            each with a causal chain in words
//!   offsets topic, commits ► groups  (G: coordinators, the fold of their logs) ─ findings
//!   metadata logs, votes ─► quorum   (G: the metadata quorum, its own ghost log) ─ findings
//!   both at the end ──────► cross_check (X: H and G of the same records; where they disagree the checker is wrong)
//! ```
//!
//! [`Checker::observe`] is called once per observation, in the order in which things happened; [`Checker::finish`]
//! judges. Nothing here knows a type of the simulator.
//!
//! Histories from elsewhere, and what clients alone saw of a trial, are judged by H alone:
//!
//! ```text
//!   history.edn, JSON lines ► input ──► operations::History ──check──► Report: findings, counts
//!   clients of a recording ──► operations::Recorder ──┘   └─► EDN, JSON lines, which read back to the same
//! ```
//!
//! What the host promises: observations come in the order of the truth; record ids are dense from 0; follower appends
//! carry the same `hash` as the leader's batch; everything a replica's log went through is told (append, truncation, loss).

mod cluster;
mod cross_check;
mod findings;
mod groups;
pub mod history;
pub mod input;
pub mod invariants;
mod judge;
pub mod metrics;
mod observation;
pub mod operations;
mod partitions;
mod quorum;
mod settings;
mod still_waiting;
mod vacuity;
mod verdict;
mod words;

mod checker;

pub use checker::Checker;
pub use history::belief_truth::{BeliefTruth, Row};
pub use history::groups::delivery::{Deliveries, Delivery};
pub use metrics::Metrics;
pub use observation::{
    Barred, Belief, CoordinatorStep, Entry, EventRef, Generation, Going, GroupRecord, MemberAssignment, MemberStep,
    Observation, Partition, PartitionChange, PartitionState, ProducerBatch, ResetCause, StartCause, Time, Waiting,
    Word,
};
pub use settings::{
    Commits, ConsumerSettings, MemberSettings, ProducerSettings, QuorumSettings, Reset, Settings, TopicSettings,
};
pub use verdict::{Class, Finding, Group, Outcome, Step, Verdict};
