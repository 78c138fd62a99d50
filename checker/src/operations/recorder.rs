//! What clients of a trial did and saw, as a history of operations.
//!
//! A producer of a trial has several sends under way, a process of a history one operation: each send is an operation of the
//! first process of its producer that is free, and names the producer. A consumer is always in a poll. Where its position was set
//! from outside, it assigns its partitions anew: first without that one, so that its position is forgotten, then with it.
//! The final read is one process more. That a partition was read to its end, and that a topic was deleted, such a
//! history cannot say.

use std::collections::BTreeMap;

use super::atom::Atom;
use super::history::{Event, Function, History, Kind, Misfit, Value};
use crate::observation::{Belief, EventRef, Observation, Partition};

/// Turns observations of clients into a history.
#[derive(Debug, Default)]
pub struct Recorder {
    history: History,
    processes: i64,
    /// By producer: processes that are free.
    free: BTreeMap<u32, Vec<i64>>,
    /// By record: who sends it where.
    sending: BTreeMap<u64, (i64, u32, Atom)>,
    /// By consumer; the final reader has no number.
    consumers: BTreeMap<Option<u32>, Consumer>,
}

#[derive(Clone, Debug, Default)]
struct Consumer {
    process: i64,
    partitions: Vec<Atom>,
    polling: bool,
    /// What the poll under way has handed over, and by which event.
    polled: Vec<(Atom, Atom, Option<i64>)>,
    by: EventRef,
}

impl Recorder {
    /// One fact; those that are no client's are passed over.
    pub fn observe(&mut self, at: EventRef, what: &Observation) -> Result<(), Misfit> {
        match what {
            Observation::SendInvoked { record, producer, partition } => self.invoked(at, *record, *producer, partition),
            Observation::SendSettled { record, belief, .. } => self.settled(at, *record, *belief),
            Observation::Read { consumer, partition, offset, record, .. } => {
                self.read(at, Some(*consumer), partition, *offset, *record)
            }
            Observation::FinalRead { partition, offset, record, .. } => {
                self.read(at, None, partition, *offset, *record)
            }
            Observation::PositionReset { consumer, partition, .. } => {
                let key = self.key(partition);
                self.assign(at, Some(*consumer), key)
            }
            _ => Ok(()),
        }
    }

    /// The history up to here.
    pub fn finish(mut self, at: EventRef) -> Result<History, Misfit> {
        for consumer in self.consumers.keys().copied().collect::<Vec<_>>() {
            self.deliver(at, consumer)?;
        }
        self.history.finish()?;
        Ok(self.history)
    }

    fn key(&mut self, partition: &Partition) -> Atom {
        self.history.atoms.text(&format!("{:?}", partition.to_string()))
    }

    fn value(&mut self, record: Option<u64>) -> Atom {
        match record.and_then(|record| i64::try_from(record).ok()) {
            Some(record) => self.history.atoms.integer(record),
            None => self.history.atoms.text("nil"),
        }
    }

    fn line(
        &mut self,
        at: EventRef,
        (process, producer): (i64, Option<u32>),
        kind: Kind,
        function: Function,
        value: Value,
    ) -> Result<(), Misfit> {
        self.history.push(Event {
            process,
            producer: producer.map(i64::from),
            kind,
            function,
            time: i64::try_from(at.time).ok(),
            index: None,
            value: Some(value),
            rebalances: Vec::new(),
            seek_to_beginning: false,
        })
    }

    fn new_process(&mut self) -> i64 {
        self.processes += 1;
        self.processes - 1
    }

    fn invoked(&mut self, at: EventRef, record: u64, producer: u32, partition: &Partition) -> Result<(), Misfit> {
        let free = self.free.entry(producer).or_default().pop();
        let process = free.unwrap_or_else(|| self.new_process());
        let (key, value) = (self.key(partition), self.value(Some(record)));
        if let Some((process, producer, _)) = self.sending.insert(record, (process, producer, key)) {
            self.free.entry(producer).or_default().push(process);
        }
        let sends = Value { sends: vec![(key, value, None)], ..Value::default() };
        self.line(at, (process, Some(producer)), Kind::Invoke, Function::Send, sends)
    }

    fn settled(&mut self, at: EventRef, record: u64, belief: Belief) -> Result<(), Misfit> {
        let Some((process, producer, key)) = self.sending.remove(&record) else { return Ok(()) };
        self.free.entry(producer).or_default().push(process);
        let (kind, offset) = match belief {
            Belief::Acked { offset } => (Kind::Ok, offset.filter(|offset| *offset >= 0)),
            Belief::Unpromised => (Kind::Ok, None),
            Belief::Failed => (Kind::Fail, None),
            Belief::Unknown => (Kind::Info, None),
        };
        let value = self.value(Some(record));
        let sends = Value { sends: vec![(key, value, offset)], ..Value::default() };
        self.line(at, (process, Some(producer)), kind, Function::Send, sends)
    }

    fn read(
        &mut self,
        at: EventRef,
        consumer: Option<u32>,
        partition: &Partition,
        offset: i64,
        record: Option<u64>,
    ) -> Result<(), Misfit> {
        let (key, value) = (self.key(partition), self.value(record));
        if self.consumers.get(&consumer).is_none_or(|state| !state.partitions.contains(&key)) {
            self.assign(at, consumer, key)?;
        }
        if self.consumers.get(&consumer).is_some_and(|state| !state.polled.is_empty() && state.by.id != at.id) {
            self.deliver(at, consumer)?;
        }
        self.poll(at, consumer)?;
        if let Some(state) = self.consumers.get_mut(&consumer) {
            state.by = at;
            state.polled.push((key, value, Some(offset).filter(|offset| *offset >= 0)));
        }
        Ok(())
    }

    /// The poll under way ends with what it has, and the next begins.
    fn deliver(&mut self, at: EventRef, consumer: Option<u32>) -> Result<(), Misfit> {
        let Some(state) = self.consumers.get_mut(&consumer).filter(|state| state.polling) else { return Ok(()) };
        state.polling = false;
        let polls = std::mem::take(&mut state.polled);
        let (process, by) = (state.process, if polls.is_empty() { at } else { state.by });
        self.line(by, (process, None), Kind::Ok, Function::Poll, Value { polls, ..Value::default() })
    }

    fn poll(&mut self, at: EventRef, consumer: Option<u32>) -> Result<(), Misfit> {
        let Some(state) = self.consumers.get_mut(&consumer).filter(|state| !state.polling) else { return Ok(()) };
        state.polling = true;
        let process = state.process;
        self.line(at, (process, None), Kind::Invoke, Function::Poll, Value::default())
    }

    fn assign(&mut self, at: EventRef, consumer: Option<u32>, key: Atom) -> Result<(), Misfit> {
        self.deliver(at, consumer)?;
        if !self.consumers.contains_key(&consumer) {
            let process = self.new_process();
            self.consumers.insert(consumer, Consumer { process, ..Consumer::default() });
        }
        let Some(state) = self.consumers.get_mut(&consumer) else { return Ok(()) };
        let process = state.process;
        let others: Vec<Atom> = state.partitions.iter().copied().filter(|other| *other != key).collect();
        let forgets = others.len() < state.partitions.len();
        state.partitions = others.iter().copied().chain([key]).collect();
        let all = state.partitions.clone();
        for keys in forgets.then_some(others).into_iter().chain([all]) {
            for kind in [Kind::Invoke, Kind::Ok] {
                self.line(
                    at,
                    (process, None),
                    kind,
                    Function::Assign,
                    Value { keys: keys.clone(), ..Value::default() },
                )?;
            }
        }
        self.poll(at, consumer)
    }
}
