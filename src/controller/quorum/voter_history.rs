//! Which set of voters is in force? The last one in the log, committed or not (`VoterSetHistory`,
//! `KRaftControlRecordStateMachine`, KIP-853).
//!
//! ```text
//!   offset    -1            40                  55 ◀── in force as soon as it is appended
//!   voters   {1, 2, 3}     {1, 2}             {1, 2, 4}
//!            the bootstrap │
//!            or a snapshot └ what is cut off the log counts no more
//! ```
//!
//! A majority of the last set and one of the set before it have a voter in common, since one voter at a time is added or
//! removed, and only once the set before is committed: so a set need not be committed to count.

use std::ops::Deref;

use super::voters::VoterSet;

/// The offset of the set that a cluster was formatted with: it stands in the bootstrap checkpoint, before the log.
const BOOTSTRAP_OFFSET: i64 = -1;

/// See the module documentation. It stands for the set that is in force.
#[derive(Clone, Debug)]
pub struct VoterHistory {
    /// In the order of their offsets; never empty.
    older: Vec<(i64, VoterSet)>,
    last: (i64, VoterSet),
}

impl VoterHistory {
    /// The voters the cluster was formatted with.
    pub fn new(bootstrap: VoterSet) -> Self {
        VoterHistory { older: Vec::new(), last: (BOOTSTRAP_OFFSET, bootstrap) }
    }
    /// Where the set stands that is in force.
    pub fn offset(&self) -> i64 {
        self.last.0
    }
    /// The set in force among those up to this offset. Source: `VoterSetHistory.valueAtOrBefore`.
    pub fn at_or_before(&self, offset: i64) -> &VoterSet {
        let all = std::iter::once(&self.last).chain(self.older.iter().rev());
        let at = all.clone().find(|(at, _)| *at <= offset);
        // Whatever is older is in the snapshot that the oldest came from.
        &at.or(all.last()).unwrap_or(&self.last).1
    }
    /// A later set was appended. Source: `VoterSetHistory.addAt`.
    pub fn append(&mut self, offset: i64, voters: VoterSet) {
        let before = std::mem::replace(&mut self.last, (offset, voters));
        self.older.push(before);
    }
    /// The log was cut. True if another set is in force now. Source: `VoterSetHistory.truncateNewEntries`.
    pub fn truncate_new_entries(&mut self, log_end_offset: i64) -> bool {
        let before = self.last.0;
        while self.last.0 >= log_end_offset
            && let Some(older) = self.older.pop()
        {
            self.last = older;
        }
        self.last.0 != before
    }
    /// A snapshot reaches up to there: what is older than the set in force then is needed no more.
    /// Source: `VoterSetHistory.truncateOldEntries`.
    pub fn truncate_old_entries(&mut self, start_offset: i64) {
        let needed = self.older.iter().rposition(|(offset, _)| *offset < start_offset).unwrap_or(0);
        let last_is_enough = self.last.0 < start_offset;
        self.older.drain(..if last_is_enough { self.older.len() } else { needed });
    }
    /// Everything begins anew at a snapshot.
    pub fn replace(&mut self, last_contained_offset: i64, voters: VoterSet) {
        self.older.clear();
        self.last = (last_contained_offset, voters);
    }
}

impl Deref for VoterHistory {
    type Target = VoterSet;

    fn deref(&self) -> &VoterSet {
        &self.last.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::tests::cluster::voter;
    use crate::zoo::Zoo;

    fn set(ids: &[i32]) -> VoterSet {
        VoterSet::new(&ids.iter().map(|id| voter(*id)).collect::<Vec<_>>(), Zoo::default())
    }
    fn ids(set: &VoterSet) -> Vec<i32> {
        set.iter().map(|voter| voter.id).collect()
    }

    #[test]
    fn the_last_set_counts_and_the_one_before_it_once_the_last_is_cut_off() {
        let mut history = VoterHistory::new(set(&[1, 2, 3]));
        history.append(40, set(&[1, 2]));
        history.append(55, set(&[1, 2, 4]));
        assert_eq!(ids(&history), [1, 2, 4]);
        let at = |offset| ids(history.at_or_before(offset));
        assert_eq!([at(-1), at(39), at(40), at(54)], [vec![1, 2, 3], vec![1, 2, 3], vec![1, 2], vec![1, 2]]);
        assert!(!history.truncate_new_entries(56));
        assert!(history.truncate_new_entries(55));
        assert_eq!((ids(&history), history.offset()), (vec![1, 2], 40));
        assert!(history.truncate_new_entries(0));
        assert_eq!(ids(&history), [1, 2, 3], "the set of the bootstrap is never cut");
    }

    #[test]
    fn what_a_snapshot_reaches_up_to_keeps_the_set_in_force_there() {
        let mut history = VoterHistory::new(set(&[1, 2, 3]));
        history.append(40, set(&[1, 2]));
        history.append(55, set(&[1, 2, 4]));
        history.truncate_old_entries(50);
        assert_eq!(ids(history.at_or_before(10)), [1, 2]);
        history.truncate_old_entries(56);
        assert_eq!(ids(history.at_or_before(10)), [1, 2, 4]);
        history.replace(99, set(&[3]));
        assert_eq!((ids(&history), history.offset()), (vec![3], 99));
    }
}
