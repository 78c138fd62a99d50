//! A history of operations: what each process asked for, and what it was told, in the order of the file.
//!
//! Everything lies in flat vectors: an operation is 72 bytes, and so much more for each micro-operation: 24 for a send or
//! for one record of a poll. What a process has asked for is kept aside only until it is told.

use std::collections::BTreeMap;

use super::atom::{Atom, Atoms};

/// No such number.
pub(crate) const NONE: u32 = u32::MAX;
/// No offset is known.
pub(crate) const NO_OFFSET: i64 = -1;

/// What kind of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A process asks.
    Invoke,
    /// It happened.
    Ok,
    /// It did not happen.
    Fail,
    /// Nobody knows.
    Info,
}

/// What an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Only sends.
    Send,
    /// Only polls.
    Poll,
    /// Both, in one transaction.
    Txn,
    /// The consumer takes these partitions.
    Assign,
    /// The consumer joins its group for the topics of these partitions.
    Subscribe,
    /// The client is thrown away.
    Crash,
    /// Says nothing about records.
    Debug,
}

impl Function {
    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Function::Send => "send",
            Function::Poll => "poll",
            Function::Txn => "txn",
            Function::Assign => "assign",
            Function::Subscribe => "subscribe",
            Function::Crash => "crash",
            Function::Debug => "debug-topic-partitions",
        }
    }
}

/// A rebalance that a consumer was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// Partitions became its own.
    Assigned,
    /// Partitions were taken back, in order.
    Revoked,
    /// Partitions had been given to another already.
    Lost,
    /// The file does not say what happened.
    Unsaid,
}

/// One line of a history.
#[derive(Clone, Debug)]
pub struct Event {
    /// The process.
    pub process: i64,
    /// The producer that sends, where one is shared by several processes: order is promised to a producer.
    pub producer: Option<i64>,
    /// Asked, or told what.
    pub kind: Kind,
    /// Of what.
    pub function: Function,
    /// In nanoseconds, if the line says.
    pub time: Option<i64>,
    /// The line's own number, if it has one.
    pub index: Option<u32>,
    /// Sends in order: partition, value, offset if it is known. `None` if the line has no value.
    pub value: Option<Value>,
    /// Rebalances that were noticed meanwhile.
    pub rebalances: Vec<(Rebalance, Vec<Atom>)>,
    /// An assignment begins to read at the start of its partitions.
    pub seek_to_beginning: bool,
}

/// What an operation did.
#[derive(Clone, Debug, Default)]
pub struct Value {
    /// (partition, value, offset).
    pub sends: Vec<(Atom, Atom, Option<i64>)>,
    /// (partition, value, offset), in the order of the polls.
    pub polls: Vec<(Atom, Atom, Option<i64>)>,
    /// Partitions of an assignment.
    pub keys: Vec<Atom>,
}

/// How an operation ended, in the order in which it tells who wrote a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Info,
    Fail,
}

/// One operation: an invocation, and its completion if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) invoked_ns: i64,
    pub(crate) completed_ns: i64,
    /// Index of the invocation and of the completion; [`NONE`] without one. Indices ascend.
    pub(crate) invoked: u32,
    pub(crate) completed: u32,
    /// So many barriers lie before its invocation.
    pub(crate) before: u32,
    /// The barrier that its completion lies before; [`NONE`] if nobody knows when its effects end.
    pub(crate) after: u32,
    pub(crate) process: u32,
    /// Its producer, or else its process.
    pub(crate) sender: u32,
    pub(crate) sends: (u32, u32),
    pub(crate) polls: (u32, u32),
    /// Partitions: of an assignment, or named in the rebalance log.
    pub(crate) keys: (u32, u32),
    pub(crate) function: Function,
    pub(crate) outcome: Outcome,
    /// Seek to the beginning.
    pub(crate) seek: bool,
}

/// A record that was sent or polled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mention {
    pub(crate) value: Atom,
    pub(crate) offset: i64,
    pub(crate) key: u32,
    /// The operation.
    pub(crate) op: u32,
}

/// A line that does not fit to the lines before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A completion without an invocation.
    #[error("process {0} completes an operation that it never invoked: an :invoke of the process must come before")]
    NotInvoked(i64),
    /// A completion of something else.
    #[error(
        "process {process} invoked :{invoked} and completes :{completed}: a completion has the :f of its invocation"
    )]
    OtherFunction {
        /// Whose.
        process: i64,
        /// What was asked for.
        invoked: &'static str,
        /// What was told.
        completed: &'static str,
    },
    /// More than numbers of 32 bits can count.
    #[error("a history of more than {} operations or records cannot be checked: split it by partition", u32::MAX - 1)]
    TooLong,
}

/// What a process asked for and has not been told.
#[derive(Clone, Debug)]
struct Open {
    op: u32,
    value: Option<Value>,
}

/// A whole history.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Names of keys and values.
    pub atoms: Atoms,
    pub(crate) keys: Vec<Atom>,
    key_numbers: BTreeMap<Atom, u32>,
    pub(crate) processes: Vec<i64>,
    process_numbers: BTreeMap<i64, u32>,
    /// Producers by their own number, and processes without one by theirs.
    sender_numbers: BTreeMap<(bool, i64), u32>,
    producers: Vec<Option<i64>>,
    /// In the order of their invocations.
    pub(crate) ops: Vec<Operation>,
    pub(crate) sends: Vec<Mention>,
    pub(crate) polls: Vec<Mention>,
    /// Partitions that assignments and rebalance logs name.
    pub(crate) named: Vec<(u32, Rebalance)>,
    open: BTreeMap<u32, Open>,
    /// Barriers: a barrier stands where an invocation follows a completion.
    barriers: u32,
    completed_since_barrier: bool,
    /// The index of the next line that has none of its own.
    next_index: u32,
    has_times: bool,
}

impl History {
    /// An empty one.
    pub fn new() -> Self {
        History::default()
    }

    /// A line that is no client's: it counts, and nothing else.
    pub fn skip(&mut self) {
        self.next_index = self.next_index.saturating_add(1);
    }

    /// One line.
    pub fn push(&mut self, event: Event) -> Result<(), Misfit> {
        // One that does not ascend names another line already.
        let index = event.index.unwrap_or(0).max(self.next_index);
        self.next_index = index.saturating_add(1);
        if self.next_index == NONE {
            return Err(Misfit::TooLong);
        }
        self.has_times |= event.time.is_some();
        let process = self.process(event.process);
        if event.kind == Kind::Invoke {
            return self.invoke(process, index, event);
        }
        let Some(open) = self.open.remove(&process) else { return Err(Misfit::NotInvoked(event.process)) };
        let op = &mut self.ops[open.op as usize];
        if op.function != event.function {
            let (invoked, completed) = (op.function.name(), event.function.name());
            return Err(Misfit::OtherFunction { process: event.process, invoked, completed });
        }
        op.completed = index;
        op.completed_ns = event.time.unwrap_or(index.into());
        op.outcome = match event.kind {
            Kind::Ok => Outcome::Ok,
            Kind::Fail => Outcome::Fail,
            Kind::Info | Kind::Invoke => Outcome::Info,
        };
        // Who was told that it failed was told so after whatever it had read.
        if matches!(event.kind, Kind::Ok | Kind::Fail) {
            self.completed_since_barrier = true;
            op.after = self.barriers + 1;
        }
        // A completion without a value tells nothing new.
        let value = event.value.or(open.value).unwrap_or_default();
        self.set(open.op, value, event.rebalances)
    }

    fn invoke(&mut self, process: u32, index: u32, event: Event) -> Result<(), Misfit> {
        self.give_up(process)?;
        if std::mem::take(&mut self.completed_since_barrier) {
            self.barriers += 1;
        }
        let op = self.ops.len() as u32;
        let time = event.time.unwrap_or(index.into());
        let next = self.sender_numbers.len() as u32;
        let name = (event.producer.is_some(), event.producer.unwrap_or(event.process));
        let sender = *self.sender_numbers.entry(name).or_insert(next);
        if sender == next {
            self.producers.push(event.producer);
        }
        self.ops.push(Operation {
            invoked_ns: time,
            completed_ns: time,
            invoked: index,
            completed: NONE,
            before: self.barriers,
            after: NONE,
            process,
            sender,
            sends: (0, 0),
            polls: (0, 0),
            keys: (0, 0),
            function: event.function,
            outcome: Outcome::Info,
            seek: event.seek_to_beginning,
        });
        self.open.insert(process, Open { op, value: event.value });
        Ok(())
    }

    /// A process that asks again, or the end of the history, leaves what was open unknown.
    fn give_up(&mut self, process: u32) -> Result<(), Misfit> {
        let Some(open) = self.open.remove(&process) else { return Ok(()) };
        self.set(open.op, open.value.unwrap_or_default(), Vec::new())
    }

    /// The history is over.
    pub fn finish(&mut self) -> Result<(), Misfit> {
        while let Some(process) = self.open.keys().next().copied() {
            self.give_up(process)?;
        }
        Ok(())
    }

    fn set(&mut self, op: u32, value: Value, rebalances: Vec<(Rebalance, Vec<Atom>)>) -> Result<(), Misfit> {
        let from = (self.sends.len(), self.polls.len(), self.named.len());
        for (key, value, offset) in value.sends {
            let key = self.key(key);
            self.sends.push(Mention { value, offset: offset.unwrap_or(NO_OFFSET), key, op });
        }
        for (key, value, offset) in value.polls {
            let key = self.key(key);
            self.polls.push(Mention { value, offset: offset.unwrap_or(NO_OFFSET), key, op });
        }
        for key in value.keys {
            let key = self.key(key);
            self.named.push((key, Rebalance::Unsaid));
        }
        for (what, keys) in rebalances {
            for key in keys {
                let key = self.key(key);
                self.named.push((key, what));
            }
        }
        if self.sends.len() + self.polls.len() >= NONE as usize || self.named.len() >= NONE as usize {
            return Err(Misfit::TooLong);
        }
        let state = &mut self.ops[op as usize];
        state.sends = (from.0 as u32, self.sends.len() as u32);
        state.polls = (from.1 as u32, self.polls.len() as u32);
        state.keys = (from.2 as u32, self.named.len() as u32);
        Ok(())
    }

    fn key(&mut self, key: Atom) -> u32 {
        let next = self.keys.len() as u32;
        let number = *self.key_numbers.entry(key).or_insert(next);
        if number == next {
            self.keys.push(key);
        }
        number
    }

    fn process(&mut self, process: i64) -> u32 {
        let next = self.processes.len() as u32;
        let number = *self.process_numbers.entry(process).or_insert(next);
        if number == next {
            self.processes.push(process);
        }
        number
    }

    /// Does any line bear a time?
    pub(crate) fn has_times(&self) -> bool {
        self.has_times
    }

    /// How many producers there are, and processes that have none.
    pub(crate) fn senders(&self) -> usize {
        self.sender_numbers.len()
    }

    /// The producer's number of a sender that is one.
    pub(crate) fn producer(&self, sender: u32) -> Option<i64> {
        self.producers.get(sender as usize).copied().flatten()
    }

    /// How many operations there are.
    pub fn operations(&self) -> usize {
        self.ops.len()
    }

    pub(crate) fn named_by(&self, op: u32) -> &[(u32, Rebalance)] {
        let (from, to) = self.ops[op as usize].keys;
        &self.named[from as usize..to as usize]
    }

    /// Did this operation end before that one began?
    pub(crate) fn precedes(&self, earlier: u32, later: u32) -> bool {
        self.ops[earlier as usize].after <= self.ops[later as usize].before
    }

    pub(crate) fn show_key(&self, key: u32) -> String {
        self.atoms.show(self.keys[key as usize])
    }
}
