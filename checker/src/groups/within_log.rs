//! commit-beyond-log-end: no group has come farther than a partition ever was long.

use super::violation::Violation;
use crate::invariants::Invariant;
use crate::observation::{GroupRecord, Partition};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "commit-beyond-log-end",
    rule: None,
    what: "no group has come farther than its partition is long",
    source: "`OffsetMetadataManager`",
};

/// A record was committed; `log_end` is the highest log end offset that the partition ever had, if it is known.
pub(super) fn check(record: &GroupRecord, log_end: impl FnOnce(&Partition) -> Option<i64>) -> Option<Violation> {
    let GroupRecord::Offset { group, partition, offset: Some(offset) } = record else { return None };
    let log_end = log_end(partition).filter(|log_end| offset > log_end)?;
    Some(Violation::CommitBeyondLogEnd { group: group.clone(), partition: partition.clone(), offset: *offset, log_end })
}
