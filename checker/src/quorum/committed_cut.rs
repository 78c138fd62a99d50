//! quorum-split (committed-cut): a node may cut what was never committed, and nothing else. Source:
//! `KafkaRaftClient.truncateToEndOffset`; KAFKA-12460.

use super::ghost::Ghost;
use super::replica::Entry;
use super::violation::Violation;

/// A controller cut its log.
pub(super) fn check(ghost: &Ghost, controller: i32, removed: &[Entry], to: i64) -> Option<Violation> {
    let committed = removed.iter().find_map(|entry| ghost.find(entry))?;
    Some(Violation::CommittedCut { controller, to, committed: *committed })
}
