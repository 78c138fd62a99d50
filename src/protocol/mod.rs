//! Requests and responses are Kafka's own, from the kafka-protocol crate; here stands which versions we speak.

pub mod errors;
