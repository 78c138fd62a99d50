//! quorum-split (log-matching): if two logs hold a record of the same epoch at the same offset, then it is the same
//! record, and the logs are the same before it. Source: Raft paper 5.3, log matching.
//!
//! Each batch is kept once, with a hash of the history before it; every later copy is compared with that.

use crate::invariants::Invariant;
use std::collections::BTreeMap;

use super::replica::{Entry, Replica};
use super::violation::Violation;

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "quorum-split",
    rule: Some("log-matching"),
    what: "one offset in one epoch is one record, after one history",
    source: "Raft 5.3",
};

/// A batch as it was seen first.
#[derive(Clone, Copy, Debug)]
struct First {
    entry: Entry,
    by: i32,
    /// Hash of the history up to its end.
    history: Option<u64>,
}

/// Every batch that ever stood in a metadata log, by epoch and first offset.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(BTreeMap<(i32, i64), First>);

impl Seen {
    /// The hash of the history up to the end of a batch.
    fn history_of(&self, entry: &Entry) -> Option<u64> {
        self.0.get(&(entry.epoch, entry.first)).filter(|first| first.entry == *entry)?.history
    }
}

/// A controller is about to append a batch.
pub(super) fn check(seen: &mut Seen, replica: &mut Replica, controller: i32, entry: Entry) -> Option<Violation> {
    let before = match replica.log.last() {
        Some(last) => seen.history_of(last),
        None if entry.first == 0 => Some(0),
        None => None, // it goes on behind a snapshot
    };
    let history = before.map(|before| mix(mix(before, entry.hash), entry.epoch as u64 ^ (entry.last as u64) << 20));
    let first = seen.0.entry((entry.epoch, entry.first)).or_insert(First { entry, by: controller, history });
    first.history = first.history.or(history);
    let differs = first.entry != entry || (history.is_some() && first.history != history);
    let by = first.by;
    (differs && !std::mem::replace(&mut replica.told, true)).then_some(Violation::LogMatching {
        offset: entry.first,
        epoch: entry.epoch,
        first: by,
        second: controller,
    })
}

fn mix(a: u64, b: u64) -> u64 {
    (a ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(27).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}
