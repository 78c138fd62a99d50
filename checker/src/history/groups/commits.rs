//! What a group has committed of one partition, as far as its members were told: a register, of which a read may give whatever
//! was not certainly overwritten before it began.
//!
//! A commit that failed, or was never answered, may have been written all the same, and even later: its request may have been
//! sent more than once, and the bytes of a connection that was given up may still arrive.

use std::collections::BTreeMap;

use crate::observation::EventRef;

/// A commit that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The next offset to read.
    pub offset: i64,
    /// When it was asked for.
    pub sent: EventRef,
    /// When it was acknowledged.
    pub answered: EventRef,
    /// Who asked for it.
    pub consumer: u32,
    /// The generation that it named.
    pub generation: i32,
    /// Whoever asked was no member of the group by then.
    pub left: bool,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commits {
    /// In the order of acknowledgement.
    acknowledged: Vec<Commit>,
    highest: i64,
    /// Offsets of those whose end nobody knows, and how many of each.
    perhaps: BTreeMap<i64, u32>,
}

impl Commits {
    /// It was asked for: from here on a read may see it.
    pub(super) fn asked(&mut self, offset: i64) {
        *self.perhaps.entry(offset).or_default() += 1;
    }

    /// It was acknowledged.
    pub(super) fn acknowledged(&mut self, commit: Commit) {
        if let Some(open) = self.perhaps.get_mut(&commit.offset) {
            *open -= 1;
            if *open == 0 {
                self.perhaps.remove(&commit.offset);
            }
        }
        self.highest = self.highest.max(commit.offset);
        self.acknowledged.push(commit);
    }

    /// The last that was certainly there when a read began.
    pub(super) fn certain_at(&self, read: EventRef) -> Option<&Commit> {
        let before = self.acknowledged.partition_point(|commit| commit.answered.id < read.id);
        self.acknowledged[..before].iter().max_by_key(|commit| commit.sent.id)
    }

    /// May a read that began then give this offset?
    pub(super) fn may_be_read(&self, offset: i64, read: EventRef) -> bool {
        // One that was overwritten for certain is no candidate: it had ended when that which was certainly there was sent.
        let floor = self.certain_at(read).map_or(0, |certain| certain.sent.id);
        let is_candidate = |commit: &&Commit| commit.offset == offset && commit.answered.id >= floor;
        self.acknowledged.iter().rev().any(|commit| is_candidate(&commit)) || self.perhaps.contains_key(&offset)
    }

    /// The highest of those above an offset that were acknowledged between two events, and that count.
    pub(super) fn highest_above(
        &self,
        offset: i64,
        (from, to): (EventRef, EventRef),
        counts: impl Fn(&Commit) -> bool,
    ) -> Option<&Commit> {
        if self.highest <= offset {
            return None; // as nearly always
        }
        let after = self.acknowledged.partition_point(|commit| commit.answered.id <= from.id);
        let before = self.acknowledged.partition_point(|commit| commit.answered.id < to.id);
        let between = self.acknowledged.get(after..before)?.iter();
        between.filter(|commit| commit.offset > offset && counts(commit)).max_by_key(|commit| commit.offset)
    }

    /// The offset that the group ended with, as far as it was told.
    pub(super) fn last(&self) -> Option<&Commit> {
        self.acknowledged.iter().max_by_key(|commit| commit.sent.id)
    }
}
