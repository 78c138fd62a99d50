//! metadata-divergence: a broker's metadata is what the committed log gives at the offset up to which it has replayed,
//! by records or by a snapshot. Source: KIP-500, `MetadataLoader`.
//!
//! metadata-divergence (active-controller): who decides has replayed everything that is committed, from before its epoch
//! too. Source: KAFKA-15345, `KafkaRaftClient.maybeFireLeaderChange`.

use super::violation::Violation;
use crate::invariants::Invariant;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "metadata-divergence",
    rule: None,
    what: "a broker's metadata is the fold of a prefix of the committed log",
    source: "KIP-500, `MetadataLoader`",
};

/// See the table of invariants.
pub(super) const ACTIVE: Invariant = Invariant {
    code: "metadata-divergence",
    rule: Some("active-controller"),
    what: "an active controller decides upon the fold of all that is committed",
    source: "KAFKA-15345",
};

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
