//! ack-before-committed (offset-commit): a commit is acknowledged only when its record is below the high watermark of the
//! coordinator's replica (`CoordinatorRuntime`, `DelayedProduce` before it).

use super::Written;
use super::violation::Violation;
use crate::invariants::Invariant;
use crate::observation::Partition;
use std::sync::Arc;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "ack-before-committed",
    rule: Some("offset-commit"),
    what: "a commit is acknowledged below the high watermark",
    source: "`CoordinatorRuntime`",
};

/// A commit is acknowledged whose record was written there; `None` if none was.
pub(super) fn check(
    group: &Arc<str>,
    partition: &Partition,
    offset: i64,
    written: Option<&Written>,
    high_watermark: i64,
) -> Option<Violation> {
    let at = written.map(|written| written.last);
    at.is_none_or(|at| at >= high_watermark).then(|| Violation::AnsweredTooEarly {
        group: group.clone(),
        partition: partition.clone(),
        offset,
        at,
        high_watermark,
    })
}
