//! metadata-divergence: a broker's metadata is what the committed log gives at the offset up to which it has replayed,
//! by records or by a snapshot. Source: KIP-500, `MetadataLoader`.
//!
//! metadata-divergence (active-controller): who decides has replayed everything that is committed, from before its epoch
//! too. Source: KAFKA-15345, `KafkaRaftClient.maybeFireLeaderChange`.

use super::violation::Violation;

/// A broker has replayed the log below `next_offset`.
pub(super) fn check(broker: i32, next_offset: i64, differs: Option<&str>) -> Option<Violation> {
    let how = differs?.to_owned();
    Some(Violation::MetadataDivergence { broker, next_offset, how })
}

/// An active controller takes everything below `next_offset` for committed.
pub(super) fn check_active(controller: i32, next_offset: i64, differs: Option<&str>) -> Option<Violation> {
    let how = differs?.to_owned();
    Some(Violation::ActiveControllerDiverges { controller, next_offset, how })
}
