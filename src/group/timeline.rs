//! What was a value before the writes that are not committed yet? A map that can be read as of its last committed
//! state, and taken back to any state since.
//!
//! ```text
//!   offsets of the log    0 ────── 40 ────── 55 ────── 61
//!                              committed   written   written
//!   now                                                ▲ what writers see
//!   undo log                      └─ old values ───────┘ what changed since 40, oldest first
//! ```
//!
//! A coordinator changes its state before its records are appended, and the records may never be committed. Kafka keeps
//! snapshots of all its maps for that (`SnapshotRegistry`, `TimelineHashMap`): clients read the state as of the committed
//! offset, and a write that fails reverts what it did. Here each change writes down the value it replaces. That costs what
//! was touched and not what is there, as clones of whole maps would; and since values stand behind [`Arc`], a change of a
//! group that is not shared with the undo log is made in place, and a clone of the whole (a forked run) shares them all.

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a key had before it was changed.
#[derive(Clone, Debug)]
struct Undo<K, V> {
    /// The end of the log when the change was made: the change is part of what is written from here on.
    since: i64,
    key: K,
    before: Option<Arc<V>>,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub struct Timeline<K, V> {
    now: BTreeMap<K, Arc<V>>,
    undo: VecDeque<Undo<K, V>>,
}

impl<K, V> Default for Timeline<K, V> {
    fn default() -> Self {
        Timeline { now: BTreeMap::new(), undo: VecDeque::new() }
    }
}

impl<K: Ord + Clone, V: Clone> Timeline<K, V> {
    /// The value now.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.now.get(key).map(AsRef::as_ref)
    }
    /// The value now, shared.
    pub fn share<Q: Ord + ?Sized>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.now.get(key).cloned()
    }
    /// The value when the log ended at `offset`, which was not forgotten.
    pub fn get_at<Q: Ord + ?Sized>(&self, key: &Q, offset: i64) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        match self.undo.iter().find(|undo| undo.since >= offset && undo.key.borrow() == key) {
            Some(undo) => undo.before.as_deref(),
            None => self.get(key),
        }
    }
    /// All keys and values now.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.now.iter().map(|(key, value)| (key, value.as_ref()))
    }
    /// Keys and values now, from a key on.
    pub fn iter_from<'a>(&'a self, from: &K) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
        self.now.range(from..).map(|(key, value)| (key, value.as_ref()))
    }
    /// All keys and values when the log ended at `offset`.
    pub fn iter_at(&self, offset: i64) -> impl Iterator<Item = (&K, &V)> {
        let mut at: BTreeMap<&K, Option<&V>> = self.iter().map(|(key, value)| (key, Some(value))).collect();
        for undo in self.undo.iter().rev().filter(|undo| undo.since >= offset) {
            at.insert(&undo.key, undo.before.as_deref());
        }
        at.into_iter().filter_map(|(key, value)| Some((key, value?)))
    }
    /// Is there nothing now?
    pub fn is_empty(&self) -> bool {
        self.now.is_empty()
    }

    /// Sets a value, as part of what is written at `end` or later.
    pub fn insert(&mut self, end: i64, key: K, value: V) {
        let before = self.now.insert(key.clone(), Arc::new(value));
        self.note(end, key, before);
    }
    /// Removes a value, as part of what is written at `end` or later.
    pub fn remove(&mut self, end: i64, key: &K) -> bool {
        let before = self.now.remove(key);
        let was_there = before.is_some();
        if was_there {
            self.note(end, key.clone(), before);
        }
        was_there
    }
    /// Changes a value, as part of what is written at `end` or later.
    pub fn change<R>(&mut self, end: i64, key: &K, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        let before = Arc::clone(self.now.get(key)?);
        self.note(end, key.clone(), Some(before));
        self.now.get_mut(key).map(|value| change(Arc::make_mut(value)))
    }
    /// A value to change where it stands: what has no past, for it is not taken back with the log.
    pub fn in_place<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.now.get_mut(key).map(Arc::make_mut)
    }

    /// Only the first change since an end of the log tells what was there at that end.
    fn note(&mut self, since: i64, key: K, before: Option<Arc<V>>) {
        debug_assert!(self.undo.back().is_none_or(|last| last.since <= since), "the log does not shrink");
        let is_noted = self.undo.iter().rev().take_while(|undo| undo.since == since).any(|undo| undo.key == key);
        if !is_noted {
            self.undo.push_back(Undo { since, key, before });
        }
    }

    /// Takes back everything that was written at `end` or later.
    pub fn revert_to(&mut self, end: i64) {
        while self.undo.back().is_some_and(|undo| undo.since >= end) {
            let Some(undo) = self.undo.pop_back() else { break };
            match undo.before {
                Some(value) => self.now.insert(undo.key, value),
                None => self.now.remove(&undo.key),
            };
        }
    }
    /// Forgets how it was before the log ended at `offset`.
    pub fn forget_before(&mut self, offset: i64) {
        while self.undo.front().is_some_and(|undo| undo.since < offset) {
            self.undo.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by clones of the whole map: simple, and dear.
    #[derive(Clone, Debug)]
    enum Step {
        Set(u8, u16),
        Change(u8, u16),
        Remove(u8),
        Written,
        Reverted,
        Committed(u8),
    }
    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..6u8, any::<u16>()).prop_map(|(key, value)| Step::Set(key, value)),
            3 => (0..6u8, any::<u16>()).prop_map(|(key, value)| Step::Change(key, value)),
            2 => (0..6u8).prop_map(Step::Remove),
            3 => Just(Step::Written),
            1 => Just(Step::Reverted),
            2 => (0..4u8).prop_map(Step::Committed),
        ]
    }

    proptest! {
        #[test]
        fn it_is_as_if_the_whole_map_had_been_kept_at_every_offset(steps in proptest::collection::vec(step(), 0..80)) {
            let mut timeline = Timeline::default();
            let mut plain = BTreeMap::new();
            let (mut end, mut kept) = (0i64, VecDeque::from([(0i64, plain.clone())]));
            for step in steps {
                match step {
                    Step::Set(key, value) => {
                        timeline.insert(end, key, value);
                        plain.insert(key, value);
                    }
                    Step::Change(key, value) => {
                        timeline.change(end, &key, |old| *old = old.wrapping_add(value));
                        plain.entry(key).and_modify(|old| *old = old.wrapping_add(value));
                    }
                    Step::Remove(key) => prop_assert_eq!(timeline.remove(end, &key), plain.remove(&key).is_some()),
                    Step::Written => {
                        end += 3;
                        kept.push_back((end, plain.clone()));
                    }
                    Step::Reverted => {
                        timeline.revert_to(end);
                        plain = kept.back().expect("the last one is never forgotten").1.clone();
                    }
                    Step::Committed(some) => {
                        for _ in 0..some.min(u8::try_from(kept.len() - 1).unwrap_or(0)) {
                            kept.pop_front();
                        }
                        timeline.forget_before(kept[0].0);
                    }
                }
                let now: BTreeMap<u8, u16> = timeline.iter().map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(&now, &plain);
                for (offset, then) in &kept {
                    let at: BTreeMap<u8, u16> = timeline.iter_at(*offset).map(|(key, value)| (*key, *value)).collect();
                    prop_assert_eq!(&at, then, "at {}", offset);
                    for key in 0..6u8 {
                        prop_assert_eq!(timeline.get_at(&key, *offset), then.get(&key));
                    }
                }
            }
        }
    }
}
