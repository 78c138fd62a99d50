//! commit-beyond-log-end: no group has come farther than a partition ever was long.

use super::violation::Violation;
use crate::observation::{GroupRecord, Partition};

/// A record was committed; `log_end` is the highest log end offset that the partition ever had, if it is known.
pub(super) fn check(record: &GroupRecord, log_end: impl FnOnce(&Partition) -> Option<i64>) -> Option<Violation> {
    let GroupRecord::Offset { group, partition, offset: Some(offset) } = record else { return None };
    let log_end = log_end(partition).filter(|log_end| offset > log_end)?;
    Some(Violation::CommitBeyondLogEnd { group: group.clone(), partition: partition.clone(), offset: *offset, log_end })
}
