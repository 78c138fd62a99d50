//! What follows from a history, before anything is judged: records, their writers and readers, and each partition's log.
//!
//! - A **record** is a value of a partition. Values are unique per partition, so that a record has one writer.
//! - An operation **must have committed** if it is ok, or if nobody knows and an ok operation read one of its writes.
//! - A partition's **log** is offset → set of records, fed by polls of operations of any completion type, and by sends
//!   with a known offset that must have committed. It is sparse and sorted.
//! - What was polled as nil, which nobody sent there, could not be read: such records are told apart by their offsets.
//! - The **dense index** of an offset counts the offsets below it at which there is a record, so that transaction markers and
//!   aborted records never count as gaps.
//!
//! Each partition's sends and polled records are sorted twice, by value and by offset, digit by digit; everything else is one pass.
//! Nothing is hashed. What passes look up out of turn lies in columns of its own, small enough for a cache.

use std::ops::Range;

use super::atom::Atom;
use super::history::{History, Mention, NO_OFFSET, NONE, Outcome};
use super::sort;

/// One record: a value of a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// A send of it, or else a poll: where its key and value stand.
    pub(crate) first: Source,
    /// Its partition.
    pub(crate) key: u32,
    /// The operation that sent it, of several the first that is ok, or else unknown, and of these the first that must have
    /// committed; [`NONE`] if nobody did.
    pub(crate) writer: u32,
    /// Several operations sent it, against what values are for.
    pub(crate) sent_again: bool,
    /// The first ok operation that read it; [`NONE`] if none did.
    pub(crate) ok_reader: u32,
    /// The lowest and highest dense index at which it lies; [`NONE`] if its place is not known.
    pub(crate) first_index: u32,
    pub(crate) last_index: u32,
    /// Where its sources begin in [`Facts::sources`].
    sources: u32,
}

impl Record {
    /// Did an ok operation read it?
    pub(crate) fn read_by_ok(&self) -> bool {
        self.ok_reader != NONE
    }
}

/// A send or a polled record by number: sends first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source(pub(crate) u32);

/// A record at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) offset: i64,
    pub(crate) record: u32,
    /// The dense index: the same for all records of one offset.
    pub(crate) index: u32,
}

/// All that is derived.
pub(crate) struct Facts<'a> {
    pub(crate) history: &'a History,
    /// By operation: how it ended.
    outcomes: Vec<Outcome>,
    pub(crate) records: Vec<Record>,
    /// By send, then by polled record: which record it is.
    pub(crate) record_of: Vec<u32>,
    /// By send, then by polled record: the dense index of the offset it names; [`NONE`] if it names none that counts.
    pub(crate) index_of: Vec<u32>,
    /// Sources in the order of their records.
    sources: Vec<Source>,
    /// Their operations.
    source_ops: Vec<u32>,
    /// Logs one after the other, each by offset and record.
    pub(crate) slots: Vec<Slot>,
    /// By slot: the first ok operation's poll that found it there, or else any poll, or else a send.
    found_by: Vec<Source>,
    /// By slot: consumers saw at least two values at its offset.
    exposed: Vec<bool>,
    /// Where each partition's log begins in `slots`, and the end.
    logs: Vec<u32>,
    pub(crate) committed: Vec<bool>,
    /// By partition the highest first index that an ok operation read, and a record that lies there.
    pub(crate) bounds: Vec<Option<(u32, u32)>>,
    /// The value of what cannot be read, if it is mentioned.
    nil: Option<Atom>,
}

/// What is sorted, a number with what it is the number of, and as much room: lent from one partition to the next.
#[derive(Default)]
struct Sorting {
    items: Vec<(u64, u32)>,
    room: Vec<(u64, u32)>,
}

impl<'a> Facts<'a> {
    /// Derives everything.
    pub(crate) fn of(history: &'a History) -> Self {
        let total = history.sends.len() + history.polls.len();
        let mut facts = Facts {
            history,
            outcomes: history.ops.iter().map(|op| op.outcome).collect(),
            records: Vec::with_capacity(history.sends.len()),
            record_of: vec![NONE; total],
            index_of: vec![NONE; total],
            sources: vec![Source(NONE); total],
            source_ops: vec![NONE; total],
            slots: Vec::with_capacity(history.sends.len()),
            found_by: Vec::with_capacity(history.sends.len()),
            exposed: Vec::new(),
            logs: Vec::with_capacity(history.keys.len() + 1),
            committed: Vec::new(),
            bounds: Vec::new(),
            nil: history.atoms.find("nil"),
        };
        let begins = facts.by_partition();
        let partitions = || begins.windows(2).map(|ends| ends[0] as usize..ends[1] as usize).zip(0..);
        let mut sorting = Sorting::default();
        partitions().for_each(|(all, key)| facts.find_records(key, all, &mut sorting));
        facts.find_readers();
        facts.find_commits();
        facts.find_writers();
        for (all, _) in partitions() {
            facts.logs.push(facts.slots.len() as u32);
            facts.find_log(all, &mut sorting);
        }
        facts.logs.push(facts.slots.len() as u32);
        facts.find_exposed();
        facts.find_bounds();
        facts
    }

    /// Puts the sources of each partition behind those of the one before; says where they begin, and the end.
    fn by_partition(&mut self) -> Vec<u32> {
        let history = self.history;
        let mentions = || history.sends.iter().chain(&history.polls);
        let mut begins = vec![0; history.keys.len() + 1];
        mentions().for_each(|mention| begins[mention.key as usize + 1] += 1);
        for key in 1..begins.len() {
            begins[key] += begins[key - 1];
        }
        let mut next = begins.clone();
        for (mention, source) in mentions().zip(0..) {
            let place = &mut next[mention.key as usize];
            self.sources[*place as usize] = Source(source);
            *place += 1;
        }
        begins
    }

    /// The records of a partition, whose sources come into the order of their values.
    fn find_records(&mut self, key: u32, all: Range<usize>, sorting: &mut Sorting) {
        let Sorting { items, room } = sorting;
        items.clear();
        items.extend(self.sources[all.clone()].iter().map(|source| (self.mention(*source).value.order(), source.0)));
        sort::by_number(items, room, |(value, _)| *value);
        self.unreadable_by_place(items);
        let (mut last, mut unreadable) = (None, false);
        for (&(value, source), place) in items.iter().zip(all) {
            let source = Source(source);
            if last.is_none_or(|(of, _)| of != value) {
                unreadable = self.is_nil(value) && !self.is_send(source); // sends come first
            }
            let lies = if unreadable { self.mention(source).offset } else { NO_OFFSET };
            if last != Some((value, lies)) {
                last = Some((value, lies));
                self.records.push(Record {
                    first: source,
                    key,
                    writer: NONE,
                    sent_again: false,
                    ok_reader: NONE,
                    first_index: NONE,
                    last_index: NONE,
                    sources: place as u32,
                });
            }
            self.record_of[source.0 as usize] = self.records.len() as u32 - 1;
            self.sources[place] = source;
            self.source_ops[place] = self.mention(source).op;
        }
    }

    /// What nobody sent and nobody can read, nil, is no value: it is told apart by where it lies.
    fn unreadable_by_place(&self, sorted: &mut [(u64, u32)]) {
        let Some(nil) = self.nil.map(Atom::order) else { return };
        let from = sorted.partition_point(|(value, _)| *value < nil);
        let length = sorted[from..].partition_point(|(value, _)| *value == nil);
        let run = &mut sorted[from..from + length];
        if run.first().is_some_and(|(_, source)| !self.is_send(Source(*source))) {
            run.sort_unstable_by_key(|(_, source)| (self.mention(Source(*source)).offset, *source));
        }
    }

    fn is_nil(&self, value: u64) -> bool {
        self.nil.is_some_and(|nil| nil.order() == value)
    }

    fn find_readers(&mut self) {
        let history = self.history;
        for (poll, record) in history.polls.iter().zip(&self.record_of[history.sends.len()..]) {
            let record = &mut self.records[*record as usize];
            if !record.read_by_ok() && self.outcomes[poll.op as usize] == Outcome::Ok {
                record.ok_reader = poll.op;
            }
        }
    }

    fn find_commits(&mut self) {
        let mut committed: Vec<bool> = self.outcomes.iter().map(|outcome| *outcome == Outcome::Ok).collect();
        for (send, record) in self.history.sends.iter().zip(&self.record_of) {
            let unknown = self.outcomes[send.op as usize] == Outcome::Info;
            if unknown && self.records[*record as usize].read_by_ok() {
                committed[send.op as usize] = true;
            }
        }
        self.committed = committed;
    }

    fn find_writers(&mut self) {
        let rank = |op: u32| (self.outcomes[op as usize] as u8, !self.committed[op as usize]);
        for (send, record) in self.history.sends.iter().zip(&self.record_of) {
            let record = &mut self.records[*record as usize];
            record.sent_again = record.writer != NONE;
            if record.writer == NONE || rank(send.op) < rank(record.writer) {
                record.writer = send.op;
            }
        }
    }

    /// A partition's log. Its sources are in the order of their records, so that each offset's are as well.
    fn find_log(&mut self, all: Range<usize>, sorting: &mut Sorting) {
        let Sorting { items, room } = sorting;
        items.clear();
        for place in all {
            let (source, op) = (self.sources[place], self.source_ops[place]);
            let offset = self.mention(source).offset;
            if offset != NO_OFFSET && (!self.is_send(source) || self.committed[op as usize]) {
                items.push((offset as u64, place as u32)); // offsets are not negative
            }
        }
        sort::by_number(items, room, |(offset, _)| *offset);
        let begin = self.slots.len();
        let mut best = (true, true, Source(NONE));
        for &(offset, place) in items.iter() {
            let (source, op) = (self.sources[place as usize], self.source_ops[place as usize]);
            let record = self.record_of[source.0 as usize];
            let offset = offset as i64;
            let index = match self.slots[begin..].last() {
                Some(last) if last.offset == offset => last.index,
                Some(last) => last.index + 1,
                None => 0,
            };
            self.index_of[source.0 as usize] = index;
            // Who tells best that a record lies somewhere: a poll rather than a send, of an ok operation, the first.
            let rank = (self.is_send(source), self.outcome(op) != Outcome::Ok, source);
            let slot = Slot { offset, record, index };
            if self.slots[begin..].last() == Some(&slot) {
                if rank < best {
                    best = rank;
                    self.found_by.pop();
                    self.found_by.push(source);
                }
                continue;
            }
            best = rank;
            self.slots.push(slot);
            self.found_by.push(source);
            let state = &mut self.records[record as usize];
            if state.first_index == NONE {
                state.first_index = index;
            }
            state.last_index = index;
        }
    }

    fn find_exposed(&mut self) {
        let mut exposed = vec![false; self.slots.len()];
        for log in self.logs.windows(2) {
            let log = log[0] as usize..log[1] as usize;
            let mut from = log.start;
            for here in self.slots[log].chunk_by(|a, b| a.index == b.index) {
                let places = from..from + here.len();
                from = places.end;
                if here.len() > 1 {
                    let polled = |(place, slot): &(usize, &Slot)| {
                        !self.is_send(self.found_by[*place]) && !self.is_unreadable(slot.record)
                    };
                    let twice = places.clone().zip(here).filter(polled).take(2).count() > 1;
                    exposed[places].fill(twice);
                }
            }
        }
        self.exposed = exposed;
    }

    fn find_bounds(&mut self) {
        let mut bounds: Vec<Option<(u32, u32)>> = vec![None; self.history.keys.len()];
        for (id, record) in (0..).zip(&self.records) {
            if record.read_by_ok() && record.first_index != NONE {
                let bound = &mut bounds[record.key as usize];
                *bound = (*bound).max(Some((record.first_index, id)));
            }
        }
        self.bounds = bounds;
    }

    pub(crate) fn is_send(&self, source: Source) -> bool {
        (source.0 as usize) < self.history.sends.len()
    }

    /// The send or the polled record of that number.
    pub(crate) fn mention(&self, source: Source) -> &Mention {
        let sends = self.history.sends.len();
        let number = source.0 as usize;
        if number < sends { &self.history.sends[number] } else { &self.history.polls[number - sends] }
    }

    /// The sends of an operation, in order.
    pub(crate) fn sends(&self, op: u32) -> impl DoubleEndedIterator<Item = Source> + Clone + use<> {
        let (from, to) = self.history.ops[op as usize].sends;
        (from..to).map(Source)
    }

    /// The polled records of an operation, in order.
    pub(crate) fn polls(&self, op: u32) -> impl DoubleEndedIterator<Item = Source> + Clone + use<> {
        let (from, to) = self.history.ops[op as usize].polls;
        let sends = self.history.sends.len() as u32;
        (from + sends..to + sends).map(Source)
    }

    pub(crate) fn record(&self, source: Source) -> u32 {
        self.record_of[source.0 as usize]
    }

    /// All sends and polls of a record.
    pub(crate) fn sources(&self, record: u32) -> &[Source] {
        &self.sources[self.places(record)]
    }

    /// Where a record's sources stand.
    fn places(&self, record: u32) -> Range<usize> {
        let next = self.records.get(record as usize + 1);
        self.records[record as usize].sources as usize..next.map_or(self.sources.len(), |next| next.sources as usize)
    }

    /// Operations that read a record, in the order of the polls.
    pub(crate) fn readers(&self, record: u32) -> impl Iterator<Item = u32> {
        let places = self.places(record);
        let sends = self.sources[places.clone()].partition_point(|s| self.is_send(*s)); // they come first
        self.source_ops[places.start + sends..places.end].iter().copied()
    }

    pub(crate) fn key_of(&self, record: u32) -> u32 {
        self.records[record as usize].key
    }

    /// A partition's log.
    pub(crate) fn log(&self, key: u32) -> &[Slot] {
        &self.slots[self.logs[key as usize] as usize..self.logs[key as usize + 1] as usize]
    }

    /// Where in the log a poll or a send is: at the offset it names, and otherwise where its record lies if that is one place.
    pub(crate) fn position(&self, source: Source) -> Option<u32> {
        let named = self.index_of[source.0 as usize];
        if named != NONE {
            return Some(named);
        }
        let record = &self.records[self.record(source) as usize];
        (record.first_index != NONE && record.first_index == record.last_index).then_some(record.first_index)
    }

    /// The slots of the dense indices in between, in order: a log is sorted by index too.
    pub(crate) fn between(&self, key: u32, after: u32, before: u32) -> &[Slot] {
        let log = self.log(key);
        let from = log.partition_point(|slot| slot.index <= after);
        let to = log.partition_point(|slot| slot.index < before);
        &log[from..to.max(from)]
    }

    /// Does an offset hold several records?
    pub(crate) fn is_contested(&self, key: u32, index: u32) -> bool {
        let log = self.log(key);
        let from = log.partition_point(|slot| slot.index < index);
        log.get(from + 1).is_some_and(|slot| slot.index == index)
    }

    /// Did consumers see at least two values at an offset?
    pub(crate) fn is_exposed(&self, key: u32, index: u32) -> bool {
        let place = self.log(key).partition_point(|slot| slot.index < index);
        self.exposed.get(self.logs[key as usize] as usize + place).copied().unwrap_or_default()
    }

    /// The slots of one offset, each with who found it there.
    pub(crate) fn found_at(&self, key: u32, index: u32) -> impl Iterator<Item = (Slot, Source)> {
        let place = self.log(key).partition_point(|slot| slot.index < index);
        let from = self.logs[key as usize] as usize + place;
        let here = self.slots[from..].iter().zip(&self.found_by[from..]).map(|(slot, source)| (*slot, *source));
        here.take_while(move |(slot, _)| slot.index == index)
    }

    /// Was it polled as nil, which nobody sent?
    pub(crate) fn is_unreadable(&self, record: u32) -> bool {
        let state = &self.records[record as usize];
        state.writer == NONE && self.nil == Some(self.mention(state.first).value)
    }

    pub(crate) fn outcome(&self, op: u32) -> Outcome {
        self.outcomes[op as usize]
    }
}
