//! The controller's snapshots of the metadata log, and the log's beginning, which they allow to be cut (KIP-630).
//!
//! ```text
//!   committed image ──▶ generator: is it time? ──▶ store: .part, sync, rename, sync ──▶ the log below it is deleted
//!   fetch of a replica ──▶ validate: valid, diverging, or "take this snapshot" ──▶ serve: FetchSnapshot, in chunks
//!   start ──▶ open: the latest whole snapshot, and the log from its end on
//! ```
//!
//! Where it differs from Kafka: `metadata.max.retention.bytes` and `.ms` are not modelled; retention is as if they were the
//! smallest possible, so that only the latest snapshot is kept, and nothing of the log below its end (`maybeClean` deletes
//! up to the latest snapshot and never that one). It happens as soon as a snapshot is there, not once a minute; the one
//! before the latest is still served, and its file removed when the next takes its place.

mod generator;
mod open;
mod serve;
mod store;
#[cfg(test)]
mod tests;
mod validate;

pub use self::generator::SnapshotGenerator;
pub use self::open::{OpenedLog, load, open};
pub use self::serve::{Leadership, fetch_snapshot};
pub use self::store::{SnapshotStore, StoreError};
pub use self::validate::{ValidOffsetAndEpoch, last_fetched_epoch, validate_fetch};
