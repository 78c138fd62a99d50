//! Who of a consumer group reads which partition? Kafka's assignors, as functions of what they are given.
//!
//! ```text
//!   classic: the leader of the group computes                    KIP-848: the coordinator computes
//!
//!   subscriptions (bytes of JoinGroup) ─┐                        subscriptions (topic ids) ──┐
//!   partitions and racks of the topics ─┼▶ [`client`]            target assignment so far ───┼▶ [`server`]
//!   what members say they own ──────────┘      │                 partitions of the topics ───┘     │
//!                                              ▼                                                   ▼
//!                        assignment of each member (bytes of SyncGroup)        new target assignment, and whose changed
//! ```
//!
//! The results are those of Apache Kafka 4.x, down to who gets the partition that does not divide evenly. In places Kafka
//! iterates over Java's hash tables, and their order decides; that order is part of the result and computed in
//! `java_order`. What is not reproduced: the order within one bucket of such a table (two ids that fall together are
//! taken by id, Kafka takes them as they arrived), and buckets that Java turns into trees (eight ids in one bucket).

pub mod client;
mod java_order;
pub mod server;
#[cfg(test)]
mod tests;
