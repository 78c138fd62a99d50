//! Where processes went: neighbours of one process and partition whose dense indices do not follow each other.
//!
//! - Between operations: the first record of this one, of any completion type, against the last of the last ok one. A
//!   consumer's :assign and :subscribe keep positions only of the partitions that they name; one that seeks to the beginning,
//!   and a crash, keep none. Positions of sends do not depend on subscriptions; sends of ok and of indeterminate operations
//!   count, and failed ones are passed over.
//! - Inside an operation: each record against the one before it. For polls silenced in partitions that the operation's
//!   rebalance log names.
//!
//! An unknown index gives no step, and neither do two records that claim one offset: inconsistent-offsets says that.

use std::collections::BTreeMap;

use super::facts::{Facts, Source};
use super::history::{Function, History, NONE, Outcome};
use super::options::{Consumer, Options};

/// A step that was not to the next index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) key: u32,
    pub(crate) from: Source,
    pub(crate) to: Source,
    pub(crate) from_index: u32,
    pub(crate) to_index: u32,
    /// The consumer had its partitions from a group.
    pub(crate) subscribed: bool,
}

impl Step {
    /// By how many indices it went over what lies between.
    pub(crate) fn is_skip(&self) -> bool {
        self.to_index > self.from_index.saturating_add(1)
    }
}

/// All steps that are not to the next index.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(crate) polls: Vec<Step>,
    pub(crate) polls_inside: Vec<Step>,
    pub(crate) sends: Vec<Step>,
    pub(crate) sends_inside: Vec<Step>,
}

/// What a process does. What it met in an earlier life counts no more.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    life: u32,
    subscribed: bool,
}

/// By process, or by sender, and partition: the record it met last, and in which life.
struct Positions {
    keys: usize,
    /// All pairs one after the other, if they are not too many.
    table: Vec<(u32, Source)>,
    rest: BTreeMap<(u32, u32), (u32, Source)>,
}

impl Positions {
    /// A table in proportion to the history, and none of the size of its processes times its partitions.
    fn of(history: &History, processes: usize) -> Self {
        let keys = history.keys.len();
        let size = processes.saturating_mul(keys);
        let most = 2 * (history.ops.len() + history.sends.len() + history.polls.len());
        let table = vec![(0, Source(NONE)); if size <= most { size } else { 0 }];
        Positions { keys, table, rest: BTreeMap::new() }
    }

    fn get(&self, process: u32, key: u32, life: u32) -> Option<Source> {
        let found = match self.table.is_empty() {
            true => self.rest.get(&(process, key)).copied(),
            false => self.table.get(process as usize * self.keys + key as usize).copied(),
        };
        found.filter(|(of, source)| *of == life && *source != Source(NONE)).map(|(_, source)| source)
    }

    fn put(&mut self, process: u32, key: u32, life: u32, source: Source) {
        match self.table.is_empty() {
            true => {
                self.rest.insert((process, key), (life, source));
            }
            false => self.table[process as usize * self.keys + key as usize] = (life, source),
        }
    }
}

/// For each partition the operation that met it last, with the record it met.
struct Met {
    last: Vec<(u32, Source)>,
}

impl Met {
    fn put(&mut self, key: u32, op: u32, source: Source) -> Option<Source> {
        let (before, last) = std::mem::replace(&mut self.last[key as usize], (op, source));
        (before == op).then_some(last)
    }
}

impl Steps {
    /// Follows every process.
    pub(crate) fn of(facts: &Facts<'_>, options: &Options) -> Self {
        let history = facts.history;
        let mut steps = Steps::default();
        let mut processes = vec![Process::default(); history.processes.len()];
        let mut read = Positions::of(history, history.processes.len());
        let mut written = Positions::of(history, history.senders());
        let nothing = || Met { last: vec![(NONE, Source(NONE)); history.keys.len()] };
        let (mut polled, mut sent, mut named) = (nothing(), nothing(), nothing());
        for op in 0..history.ops.len() as u32 {
            let state = &history.ops[op as usize];
            let process = &mut processes[state.process as usize];
            match state.function {
                Function::Assign | Function::Subscribe if state.outcome != Outcome::Fail => {
                    process.subscribed = state.function == Function::Subscribe;
                    let before = process.life;
                    process.life += 1;
                    for (key, _) in history.named_by(op).iter().filter(|_| !state.seek) {
                        if let Some(kept) = read.get(state.process, *key, before) {
                            read.put(state.process, *key, process.life, kept);
                        }
                    }
                }
                Function::Crash => process.life += 1,
                _ => {}
            }
            for (key, _) in history.named_by(op) {
                named.put(*key, op, Source(0));
            }
            let subscribed = match options.consumer {
                None => process.subscribed,
                Some(consumer) => consumer == Consumer::Subscribe,
            };
            let step = |from: Source, to: Source, key: u32| {
                let (from_index, to_index) = (facts.position(from)?, facts.position(to)?);
                // Two records that claim one offset have no order.
                let claim = from_index == to_index && facts.record(from) != facts.record(to);
                let follows = to_index == from_index.saturating_add(1) || claim;
                (!follows).then_some(Step { key, from, to, from_index, to_index, subscribed })
            };
            for poll in facts.polls(op) {
                let key = facts.mention(poll).key;
                match polled.put(key, op, poll) {
                    Some(before) if named.last[key as usize].0 != op => {
                        steps.polls_inside.extend(step(before, poll, key));
                    }
                    Some(_) => {}
                    None => {
                        let before = read.get(state.process, key, process.life);
                        steps.polls.extend(before.and_then(|before| step(before, poll, key)));
                    }
                }
            }
            let judged = state.outcome != Outcome::Fail;
            for send in facts.sends(op) {
                let key = facts.mention(send).key;
                match sent.put(key, op, send) {
                    Some(before) => steps.sends_inside.extend(step(before, send, key)),
                    None if judged => {
                        let before = written.get(state.sender, key, 0);
                        steps.sends.extend(before.and_then(|before| step(before, send, key)));
                    }
                    None => {}
                }
            }
            if state.outcome == Outcome::Ok {
                put_last(facts, facts.polls(op), |key, last| read.put(state.process, key, process.life, last));
            }
            if judged {
                put_last(facts, facts.sends(op), |key, last| written.put(state.sender, key, 0, last));
            }
        }
        steps
    }
}

/// Of each run of one partition the last record stands.
fn put_last(facts: &Facts<'_>, sources: impl Iterator<Item = Source>, mut put: impl FnMut(u32, Source)) {
    let mut last: Option<(u32, Source)> = None;
    for source in sources {
        let key = facts.mention(source).key;
        if let Some((before, source)) = last.filter(|(before, _)| *before != key) {
            put(before, source);
        }
        last = Some((key, source));
    }
    if let Some((key, source)) = last {
        put(key, source);
    }
}
