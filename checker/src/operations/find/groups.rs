//! group-skip, group-rewind, commit-regression, dual-ownership and zombie-commit: what a group of consumers did together.
//!
//! A group are the processes that :subscribe. Jepsen's clients commit their positions before an operation of a subscribed
//! process is ok, unless a partition was taken from them meanwhile; that they did is not in the file, so that all that rests on it is
//! UNKNOWN. Who owns a partition is known only from rebalance logs that say of their entries whether they `:assigned`, `:revoked`
//! or `:lost`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::facts::{Facts, Source};
use super::super::history::{Function, NONE, Outcome, Rebalance};
use super::super::options::{BUG, Consumer, UNKNOWN};
use super::super::report::{About, Found};
use super::Definition;

pub(super) const SKIP: Definition = Definition {
    code: "group-skip",
    what: "a subscribed process begins more than one index behind what its group had committed, over a record that nobody can have \
           read by then",
    class: "UNKNOWN: that each ok operation committed is not in the file",
};
pub(super) const REWIND: Definition = Definition {
    code: "group-rewind",
    what: "a subscribed process begins at or before what its group had committed before the operation was invoked",
    class: "UNKNOWN: that each ok operation committed is not in the file",
};
pub(super) const COMMIT_REGRESSION: Definition = Definition {
    code: "commit-regression",
    what: "an ok operation of a subscribed process ends, and so commits, before what its group had committed before it was invoked",
    class: "UNKNOWN: that each ok operation committed is not in the file",
};
pub(super) const DUAL_OWNERSHIP: Definition = Definition {
    code: "dual-ownership",
    what: "a process read, in an ok operation, a partition of a rebalance that it was not told to have ended, after another process \
           was told that it had been assigned",
    class: "BUG",
};
pub(super) const ZOMBIE_COMMIT: Definition = Definition {
    code: "zombie-commit",
    what: "as dual-ownership: the ok operation committed for a partition that another owned",
    class: "UNKNOWN: that each ok operation committed is not in the file",
};

#[derive(Default)]
struct Groups {
    /// Commits of ok operations that nobody can rely on yet: (barrier, operation), with partition and index.
    pending: BTreeSet<(u32, u32, u32, u32)>,
    /// By partition: the highest committed index, and by whom.
    committed: BTreeMap<u32, (u32, u32)>,
    /// By partition: the operation that was told that the partition was assigned to its process.
    owner: BTreeMap<u32, u32>,
    /// Who was told to own what, and not that it ended; with the operation.
    owned: BTreeMap<(u32, u32), u32>,
    /// Of records that somebody went over: see [`Self::first_reader`].
    first_readers: BTreeMap<u32, u32>,
}

pub(super) fn find(facts: &Facts<'_>, found: &mut Found<'_>) {
    let history = facts.history;
    let mut groups = Groups::default();
    let mut subscribed = vec![found.options.consumer == Some(Consumer::Subscribe); history.processes.len()];
    for (op, state) in (0..).zip(&history.ops) {
        let member = &mut subscribed[state.process as usize];
        match (state.function, found.options.consumer) {
            (Function::Subscribe, None) if state.outcome != Outcome::Fail => *member = true,
            (Function::Assign, None) if state.outcome != Outcome::Fail => *member = false,
            _ => {}
        }
        if matches!(state.function, Function::Crash | Function::Assign) {
            groups.leave(state.process);
        }
        if *member {
            groups.settle(state.before);
            groups.operation(facts, op, found);
        }
    }
}

impl Groups {
    /// A process owns nothing any more.
    fn leave(&mut self, process: u32) {
        let of_process = self.owned.range((process, 0)..=(process, NONE));
        let of_process: Vec<(u32, u32)> = of_process.map(|(key, _)| *key).collect();
        of_process.iter().for_each(|key| {
            self.owned.remove(key);
        });
    }

    /// What was committed before a barrier counts.
    fn settle(&mut self, before: u32) {
        while let Some(&(after, op, key, index)) = self.pending.first().filter(|(after, ..)| *after <= before) {
            self.pending.remove(&(after, op, key, index));
            let highest = self.committed.entry(key).or_insert((index, op));
            *highest = (*highest).max((index, op));
        }
    }

    fn operation(&mut self, facts: &Facts<'_>, op: u32, found: &mut Found<'_>) {
        let state = &facts.history.ops[op as usize];
        let mut named: BTreeSet<u32> = BTreeSet::new();
        for &(key, what) in facts.history.named_by(op).iter().filter(|_| state.function != Function::Subscribe) {
            named.insert(key);
            match what {
                Rebalance::Assigned => {
                    self.owner.insert(key, op);
                    self.owned.insert((state.process, key), op);
                }
                Rebalance::Revoked | Rebalance::Lost | Rebalance::Unsaid => {
                    self.owned.remove(&(state.process, key));
                }
            }
        }
        let mut ends: BTreeMap<u32, (Source, Source)> = BTreeMap::new();
        let mut last: Option<(u32, Source, Source)> = None;
        for poll in facts.polls(op) {
            let key = facts.mention(poll).key;
            last = match last {
                Some((k, first, _)) if k == key => Some((k, first, poll)),
                before => {
                    before.into_iter().for_each(|(k, first, last)| note(&mut ends, k, first, last));
                    Some((key, poll, poll))
                }
            };
        }
        last.into_iter().for_each(|(k, first, last)| note(&mut ends, k, first, last));
        for (key, (first, last)) in ends {
            self.owners(facts, op, key, first, named.contains(&key), found);
            if let (Some(first_index), Some(last_index)) = (facts.position(first), facts.position(last)) {
                self.positions(facts, op, key, (first, first_index), found);
                if state.outcome == Outcome::Ok && !named.contains(&key) {
                    self.commit(facts, op, key, (last, last_index), found);
                }
            }
        }
    }

    fn positions(
        &mut self,
        facts: &Facts<'_>,
        op: u32,
        key: u32,
        (first, index): (Source, u32),
        found: &mut Found<'_>,
    ) {
        let Some(&(committed, by)) = self.committed.get(&key) else { return };
        if index <= committed {
            found.add(REWIND.code, UNKNOWN, |words| {
                let summary = format!(
                    "process {} began with {} of {}, though its group had committed more",
                    words.process(op),
                    words.place(first),
                    words.key(key)
                );
                (About { record: Some(facts.record(first)), ops: vec![by, op], ..About::default() }, summary)
            });
        } else if index > committed + 1 {
            let log = facts.log(key);
            let behind = &log[log.partition_point(|slot| slot.index <= committed)..];
            let Some(&skipped) = behind.first() else { return };
            // Whoever did not begin after this operation may have read it before; where an offset is contested, any of them.
            let mut here = behind.iter().take_while(|slot| slot.index == skipped.index).take(64);
            if here.all(|slot| facts.history.ops[op as usize].after <= self.first_reader(facts, slot.record)) {
                found.add(SKIP.code, UNKNOWN, |words| {
                    let summary = format!(
                        "process {} began with {} of {}, over {}, which its group had not come to",
                        words.process(op),
                        words.place(first),
                        words.key(key),
                        words.value(skipped.record)
                    );
                    let offset = Some(skipped.offset);
                    (About { record: Some(skipped.record), offset, ops: vec![by, op], ..About::default() }, summary)
                });
            }
        }
    }

    /// So many barriers lie before the first operation that read a record was invoked: whoever ended before them came before all of its readers.
    fn first_reader(&mut self, facts: &Facts<'_>, record: u32) -> u32 {
        let first = || facts.readers(record).map(|reader| facts.history.ops[reader as usize].before).min();
        *self.first_readers.entry(record).or_insert_with(|| first().unwrap_or(NONE))
    }

    fn commit(&mut self, facts: &Facts<'_>, op: u32, key: u32, (last, index): (Source, u32), found: &mut Found<'_>) {
        if let Some(&(committed, by)) = self.committed.get(&key)
            && index < committed
        {
            found.add(COMMIT_REGRESSION.code, UNKNOWN, |words| {
                let summary = format!(
                    "process {} came to {} of {} only, though its group had committed more",
                    words.process(op),
                    words.place(last),
                    words.key(key)
                );
                (About { record: Some(facts.record(last)), ops: vec![by, op], ..About::default() }, summary)
            });
        }
        let after = facts.history.ops[op as usize].after;
        if after != NONE {
            self.pending.insert((after, op, key, index));
        }
    }

    fn owners(&self, facts: &Facts<'_>, op: u32, key: u32, first: Source, told: bool, found: &mut Found<'_>) {
        let state = &facts.history.ops[op as usize];
        let Some(&owner) = self.owner.get(&key) else { return };
        let Some(&mine) = self.owned.get(&(state.process, key)) else { return };
        let others = facts.history.ops[owner as usize].process != state.process;
        if told || !others || state.outcome != Outcome::Ok || mine >= owner || !facts.history.precedes(owner, op) {
            return;
        }
        for (code, judgement) in [(DUAL_OWNERSHIP.code, BUG), (ZOMBIE_COMMIT.code, UNKNOWN)] {
            found.add(code, judgement, |words| {
                let summary = format!(
                    "process {} read {} of {}, which had been assigned to process {} by then",
                    words.process(op),
                    words.place(first),
                    words.key(key),
                    words.process(owner)
                );
                let ops = vec![mine, owner, op];
                (About { record: Some(facts.record(first)), ops, ..About::default() }, summary)
            });
        }
    }
}

/// The first and the last record of a partition in an operation.
fn note(ends: &mut BTreeMap<u32, (Source, Source)>, key: u32, first: Source, last: Source) {
    ends.entry(key).and_modify(|(_, end)| *end = last).or_insert((first, last));
}
