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
//! Two sorts of as many small items as there are sends and polled records; everything else is linear. Nothing is hashed.

use super::atom::Atom;
use super::history::{History, Mention, NO_OFFSET, NONE, Outcome};

/// One record: a value of a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// A send of it, or else a poll: where its key and value stand.
    pub(crate) first: Source,
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
    pub(crate) records: Vec<Record>,
    /// By send, then by polled record: which record it is.
    pub(crate) record_of: Vec<u32>,
    /// By send, then by polled record: the dense index of the offset it names; [`NONE`] if it names none that counts.
    pub(crate) index_of: Vec<u32>,
    /// Sources in the order of their records.
    sources: Vec<Source>,
    /// Logs one after the other, each by offset and record.
    pub(crate) slots: Vec<Slot>,
    /// By slot: the first ok operation's poll that found it there, or else any poll, or else a send.
    found_by: Vec<Source>,
    /// By slot: consumers saw at least two values at its offset.
    exposed: Vec<bool>,
    /// Where each partition's log begins in `slots`, and the end.
    logs: Vec<u32>,
    pub(crate) committed: Vec<bool>,
    /// The value of what cannot be read, if it is mentioned.
    nil: Option<Atom>,
}

impl<'a> Facts<'a> {
    /// Derives everything.
    pub(crate) fn of(history: &'a History) -> Self {
        let total = history.sends.len() + history.polls.len();
        let mut facts = Facts {
            history,
            records: Vec::new(),
            record_of: vec![NONE; total],
            index_of: vec![NONE; total],
            sources: Vec::with_capacity(total),
            slots: Vec::new(),
            found_by: Vec::new(),
            exposed: Vec::new(),
            logs: Vec::new(),
            committed: Vec::new(),
            nil: history.atoms.find("nil"),
        };
        facts.find_records();
        facts.find_commits();
        facts.find_writers();
        facts.find_logs();
        facts
    }

    fn find_records(&mut self) {
        let mentions = self.history.sends.iter().chain(&self.history.polls);
        let mut sorted: Vec<(u64, u32, u32)> =
            mentions.zip(0..).map(|(m, source)| (m.value.order(), m.key, source)).collect();
        sorted.sort_unstable_by_key(|(value, key, source)| (*key, *value, *source));
        self.unreadable_by_place(&mut sorted);
        let (mut last, mut unreadable) = (None, false);
        for (value, key, source) in sorted {
            let source = Source(source);
            if last.is_none_or(|(k, v, _)| (k, v) != (key, value)) {
                unreadable = self.is_nil(value) && !self.is_send(source); // sends come first
            }
            let place = if unreadable { self.mention(source).offset } else { NO_OFFSET };
            if last != Some((key, value, place)) {
                last = Some((key, value, place));
                let sources = self.sources.len() as u32;
                self.records.push(Record {
                    first: source,
                    writer: NONE,
                    sent_again: false,
                    ok_reader: NONE,
                    first_index: NONE,
                    last_index: NONE,
                    sources,
                });
            }
            self.record_of[source.0 as usize] = self.records.len() as u32 - 1;
            self.sources.push(source);
            let op = self.mention(source).op;
            let is_send = self.is_send(source);
            let Some(record) = self.records.last_mut() else { continue };
            if !is_send && !record.read_by_ok() && self.history.ops[op as usize].outcome == Outcome::Ok {
                record.ok_reader = op;
            }
        }
    }

    /// What nobody sent and nobody can read, nil, is no value: it is told apart by where it lies.
    fn unreadable_by_place(&self, sorted: &mut [(u64, u32, u32)]) {
        if self.nil.is_none() {
            return;
        }
        for run in sorted.chunk_by_mut(|a, b| (a.0, a.1) == (b.0, b.1)) {
            if self.is_nil(run[0].0) && !self.is_send(Source(run[0].2)) {
                run.sort_unstable_by_key(|(.., source)| (self.mention(Source(*source)).offset, *source));
            }
        }
    }

    fn is_nil(&self, value: u64) -> bool {
        self.nil.is_some_and(|nil| nil.order() == value)
    }

    fn find_commits(&mut self) {
        let mut committed: Vec<bool> = self.history.ops.iter().map(|op| op.outcome == Outcome::Ok).collect();
        for (send, number) in self.history.sends.iter().zip(0u32..) {
            let unknown = self.history.ops[send.op as usize].outcome == Outcome::Info;
            if unknown && self.records[self.record_of[number as usize] as usize].read_by_ok() {
                committed[send.op as usize] = true;
            }
        }
        self.committed = committed;
    }

    fn find_writers(&mut self) {
        let rank = |op: u32| (self.history.ops[op as usize].outcome as u8, !self.committed[op as usize]);
        for (send, number) in self.history.sends.iter().zip(0usize..) {
            let record = &mut self.records[self.record_of[number] as usize];
            record.sent_again = record.writer != NONE;
            if record.writer == NONE || rank(send.op) < rank(record.writer) {
                record.writer = send.op;
            }
        }
    }

    fn find_logs(&mut self) {
        let counts = |source: Source, m: &Mention| {
            m.offset != NO_OFFSET && (!self.is_send(source) || self.committed[m.op as usize])
        };
        let mentions = self.history.sends.iter().chain(&self.history.polls);
        let mut placed: Vec<(i64, u32, u32)> = mentions
            .zip(0..)
            .filter(|(m, source)| counts(Source(*source), m))
            .map(|(m, source)| (m.offset, m.key, source))
            .collect();
        let record_of = &self.record_of;
        placed.sort_unstable_by(|a, b| {
            let same_place = || record_of[a.2 as usize].cmp(&record_of[b.2 as usize]);
            (a.1, a.0).cmp(&(b.1, b.0)).then_with(same_place)
        });
        let mut index = 0;
        let mut last: Option<(u32, i64)> = None;
        for (offset, key, source) in placed {
            while self.logs.len() <= key as usize {
                self.logs.push(self.slots.len() as u32);
            }
            index = match last {
                Some((k, o)) if (k, o) == (key, offset) => index,
                Some((k, _)) if k == key => index + 1,
                _ => 0,
            };
            last = Some((key, offset));
            let record = self.record_of[source as usize];
            self.index_of[source as usize] = index;
            let slot = Slot { offset, record, index };
            let begin = self.logs[key as usize] as usize;
            if self.slots[begin..].last() == Some(&slot) {
                let best = self.found_by.last().copied().unwrap_or(Source(source));
                let better = self.rank(Source(source)) < self.rank(best);
                self.found_by.pop();
                self.found_by.push(if better { Source(source) } else { best });
            } else {
                self.slots.push(slot);
                self.found_by.push(Source(source));
                let state = &mut self.records[record as usize];
                if state.first_index == NONE {
                    state.first_index = index;
                }
                state.last_index = index;
            }
        }
        while self.logs.len() <= self.history.keys.len() {
            self.logs.push(self.slots.len() as u32);
        }
        for log in self.logs.windows(2) {
            let log = log[0] as usize..log[1] as usize;
            let mut from = log.start;
            for here in self.slots[log].chunk_by(|a, b| a.index == b.index) {
                let places = from..from + here.len();
                from = places.end;
                let polled = |(place, slot): &(usize, &Slot)| {
                    !self.is_send(self.found_by[*place]) && !self.is_unreadable(slot.record)
                };
                let twice = here.len() > 1 && places.zip(here).filter(polled).take(2).count() > 1;
                self.exposed.resize(from, twice);
            }
        }
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
        let from = self.records[record as usize].sources as usize;
        let to = self.records.get(record as usize + 1).map_or(self.sources.len(), |next| next.sources as usize);
        &self.sources[from..to]
    }

    /// Operations that read a record, in the order of the polls.
    pub(crate) fn readers(&self, record: u32) -> impl Iterator<Item = u32> {
        let sources = self.sources(record); // sends first
        sources[sources.partition_point(|s| self.is_send(*s))..].iter().map(|s| self.mention(*s).op)
    }

    pub(crate) fn key_of(&self, record: u32) -> u32 {
        self.mention(self.records[record as usize].first).key
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

    /// Who tells best that a record lies somewhere.
    fn rank(&self, source: Source) -> (bool, bool, Source) {
        (self.is_send(source), self.outcome(self.mention(source).op) != Outcome::Ok, source)
    }

    /// Was it polled as nil, which nobody sent?
    pub(crate) fn is_unreadable(&self, record: u32) -> bool {
        let state = &self.records[record as usize];
        state.writer == NONE && self.nil == Some(self.mention(state.first).value)
    }

    pub(crate) fn outcome(&self, op: u32) -> Outcome {
        self.history.ops[op as usize].outcome
    }
}
