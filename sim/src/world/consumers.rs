//! The applications behind the consumers: each is a thread that polls, works on what it got, and commits as its style demands.
//!
//! ```text
//!   begin ─▶ poll ─▶ [commit] ─▶ process ─▶ [commit] ─▶ pause ─▶ poll ─▶ …       before │ after
//!              └─ told of a rebalance: commit what is processed and about to be revoked, poll again at once
//! ```
//!
//! The thread dies with its process and stands still with it: records that are being processed when it dies are not
//! processed. The records of one poll are processed in their order, in up to ten pieces of the same duration, and each piece is
//! told of ([`Event::Processed`]) when that is done; what takes no time is one piece in each partition.
//!
//! # Model
//!
//! - A refused commit is no reason to stop. One who commits afterwards tries again with the next records; one who commits
//!   before must not process what is not committed, so it goes back and reads those records again.
//! - A thread that is to end (`leave-at`, an orderly restart) does its work on the records it has to the end, commits and
//!   closes its consumer; its process ends when that is done. One that waits in a poll is woken up.
//! - A thread whose poll is refused (its group is unknown, say) ends, as by an exception that nobody catches, and its process
//!   with it. Whoever looks after the service starts it anew after a moment. One that was fenced by another process of its
//!   name has its successor already: its process goes on, and nobody looks after it until it is started anew. Where there is
//!   no such process (a coordinator that lost its log has fenced it in favour of its own former member id) it is missed.

use trial_kafka::config::OffsetReset;
use trial_kafka::event::Event;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::node::{Command, ConsumedRecord, EventId, Nanos, OpId, Outcome, Rebalanced, SeekTo};

use super::application::{Act, Doing, Reader, Stretch};
use super::life::{CONTROL_OPS, LifeStep, Phase};
use super::{Note, Power, WALL_AT_START_MS, What, World, drawn_within};
use crate::scenario::{CommitStyle, DurationRange, ReadFrom};
use crate::trace::NodeIx;

const MILLISECOND: Nanos = 1_000_000;
/// In so many pieces the records of a poll are processed.
const PIECES: usize = 10;
/// What an application asks of its client, by the name of the operation.
const ASKED: u64 = 1 << 20;
const POLL: u64 = 0;
const SUBSCRIBE: u64 = 1;
const SEEK: u64 = 2;
const COMMIT: u64 = 3;
/// What a member is told if there is another of its `group.instance.id`.
const FENCED: &str = "FENCED_INSTANCE_ID";
/// So long a service takes to notice that an application is gone, and to start it.
const STARTED_ANEW_AFTER: DurationRange = DurationRange { min: 500 * MILLISECOND, max: 3_000 * MILLISECOND };

impl World {
    /// Was a consumer fenced, and has its application ended, because another process goes by its `group.instance.id`? Numbers
    /// count from 0.
    pub fn has_given_way(&self, consumer: u32) -> bool {
        self.life.readers.get(consumer as usize).is_some_and(|reader| reader.doing == Doing::Ended)
    }

    /// A consumer has moved its position. In a group that begins at the end of the log, what lies below is nobody's to read.
    pub(super) fn note_reset(&mut self, node: NodeIx, event: &Event) {
        let Event::PositionReset { partition, to, .. } = event else { return };
        let Some(number) = self.number_of(node) else { return };
        let spec = &self.scenario.consumers[self.life.readers[number].spec];
        match (spec.group(), spec.config.auto_offset_reset) {
            (None, _) => self.life.probes.moved(number as u32, partition, *to, self.now),
            (group, OffsetReset::Latest) => {
                self.life.probes.group_got_on(group, [(partition.clone(), *to)].into_iter(), self.now);
            }
            _ => {}
        }
    }

    /// Operation by which an application closes its client.
    pub(super) const CLOSE_OP: OpId = OpId(CONTROL_OPS - 5);

    /// The workload begins: who reads, when it comes, when it goes.
    pub(super) fn begin_readers(&mut self) {
        for number in 0..self.life.readers.len() {
            let reader = &self.life.readers[number];
            let seek = self.scenario.consumers[reader.spec].seek;
            let (join_at, leave_at) = (reader.join_at, reader.leave_at);
            if join_at > self.now {
                self.queue.push(join_at, What::Life(LifeStep::Begin(number as u32)));
            } else {
                self.begin_reading(number);
            }
            if let Some(at) = leave_at {
                self.queue.push(at, What::Life(LifeStep::Leave(number as u32)));
            }
            if let Some((at, _)) = seek {
                self.queue.push(at.max(self.now), What::Life(LifeStep::Seek(number as u32)));
            }
        }
    }

    fn number_of(&self, node: NodeIx) -> Option<usize> {
        self.life.readers.iter().position(|reader| reader.node == node)
    }

    /// Is this the machine of an application that is gone for good?
    pub(super) fn has_left(&self, node: NodeIx) -> bool {
        self.life.readers.iter().any(|reader| reader.node == node && reader.has_left)
    }

    /// A consumer that was started again begins anew.
    pub(super) fn take_up_reading(&mut self, node: NodeIx) {
        if self.life.phase >= Phase::Faults
            && let Some(number) = self.number_of(node)
            && self.life.readers[number].join_at <= self.now
        {
            self.queue.push(self.now, What::Life(LifeStep::Begin(number as u32)));
        }
    }

    /// A process is gone, and with it its application's thread.
    pub(super) fn forget_reading_of(&mut self, node: NodeIx) {
        if let Some(number) = self.number_of(node) {
            let reader = &mut self.life.readers[number];
            (reader.doing, reader.is_held, reader.is_ending) = (Doing::Nothing, false, false);
            reader.uncommitted.clear();
        }
    }

    /// A process goes on where it stood, and with it its application's thread.
    pub(super) fn go_on_reading(&mut self, node: NodeIx) {
        if let Some(number) = self.number_of(node)
            && std::mem::take(&mut self.life.readers[number].is_held)
        {
            self.act_after(number, 0);
        }
    }

    pub(super) fn begin_reading(&mut self, number: usize) {
        let Reader { node, spec, doing, has_left, .. } = &self.life.readers[number];
        let (node, spec) = (*node, *spec);
        if *doing != Doing::Nothing || *has_left || !self.slots[node.0 as usize].is_up() {
            return;
        }
        let scenario = std::sync::Arc::clone(&self.scenario);
        let spec = &scenario.consumers[spec];
        match spec.group() {
            Some(_) => self.ask(number, SUBSCRIBE, Command::Subscribe { to: spec.subscription() }),
            None => {
                let partitions = self.partitions_of(&spec.topics).into_iter().map(|p| (p, None)).collect();
                self.notes.push(Note::Assigned { consumer: number as u32 });
                self.ask(number, SUBSCRIBE, Command::Assign { partitions });
                if let Some(start) = spec.start {
                    self.seek(number, start);
                }
            }
        }
        self.poll(number);
    }

    fn ask(&mut self, number: usize, what: u64, command: Command) {
        let op = OpId(CONTROL_OPS + what * ASKED + number as u64);
        self.command(self.life.readers[number].node, op, command);
    }

    /// Sends a consumer there in each of its partitions.
    pub(super) fn seek(&mut self, number: usize, to: ReadFrom) {
        let topics = self.scenario.consumers[self.life.readers[number].spec].topics.clone();
        let to = match to {
            ReadFrom::Offset(offset) => SeekTo::Offset(offset),
            ReadFrom::Earliest => SeekTo::Earliest,
            ReadFrom::Latest => SeekTo::Latest,
            ReadFrom::Time(at) => SeekTo::Timestamp(WALL_AT_START_MS + (at / MILLISECOND) as i64),
        };
        for partition in self.partitions_of(&topics) {
            self.ask(number, SEEK, Command::Seek { partition, to });
        }
    }

    /// The time has come for a seek of the scenario.
    pub(super) fn seek_as_planned(&mut self, number: usize) {
        if let Some((_, to)) = self.scenario.consumers[self.life.readers[number].spec].seek {
            self.seek(number, to);
        }
    }

    pub(super) fn partitions_of(&self, topics: &[String]) -> Vec<TopicPartition> {
        let specs = self.scenario.topics.iter().filter(|t| topics.contains(&t.name));
        let of = |t: &crate::scenario::TopicSpec| {
            let topic = Topic::new(&t.name);
            (0..t.partitions).map(move |p| TopicPartition::new(&topic, p)).collect::<Vec<_>>()
        };
        specs.flat_map(of).collect()
    }

    /// An application goes, for good.
    pub(super) fn leave(&mut self, number: usize) {
        let node = self.life.readers[number].node;
        self.life.readers[number].has_left = true;
        if self.slots[node.0 as usize].is_up() {
            self.end_orderly(node);
        }
    }

    /// A client's process is to end in an orderly way: its application closes it.
    pub(super) fn end_orderly(&mut self, node: NodeIx) {
        if let Some(number) = self.number_of(node) {
            let reader = &mut self.life.readers[number];
            if !matches!(reader.doing, Doing::Nothing | Doing::Polling | Doing::Ended) {
                // The thread comes to it by itself.
                reader.is_ending = true;
                return;
            }
            reader.doing = Doing::Closing;
        }
        self.life.closing.insert(node);
        self.command(node, World::CLOSE_OP, Command::Close);
    }

    /// A client is closed, or threw what nobody catches, and its process ends: for good, or until it is started again.
    pub(super) fn exit(&mut self, node: NodeIx, incarnation: u32) {
        if !self.is_alive(node, incarnation) {
            return;
        }
        let why = match self.number_of(node).map(|number| &self.life.readers[number].doing) {
            Some(Doing::Thrown { error }) => format!("nobody catches what its consumer throws: {error}"),
            _ => "its application has closed it".to_owned(),
        };
        self.record(node, Event::Halted { why }, &[]);
        self.end_process(node, false);
        if !self.has_left(node) {
            let restart = self.slots[node.0 as usize].restart_after_halt.take();
            self.restart_later(node, restart);
        }
    }

    fn poll(&mut self, number: usize) {
        let reader = &mut self.life.readers[number];
        if reader.is_ending {
            (reader.is_ending, reader.doing) = (false, Doing::Nothing);
            return self.end_orderly(self.life.readers[number].node);
        }
        reader.doing = Doing::Polling;
        self.ask(number, POLL, Command::Poll { max_wait_ms: 500 });
    }

    fn then(&mut self, number: usize, after: Nanos, act: Act) {
        self.life.readers[number].doing = Doing::Due(act);
        self.act_after(number, after);
    }

    fn act_after(&mut self, number: usize, after: Nanos) {
        let incarnation = self.slots[self.life.readers[number].node.0 as usize].incarnation;
        let step = LifeStep::Application { reader: number as u32, incarnation };
        self.queue.push(self.now + after, What::Life(step));
    }

    /// An application's thread does its next step.
    pub(super) fn act(&mut self, number: usize, incarnation: u32) {
        let reader = &mut self.life.readers[number];
        let slot = &self.slots[reader.node.0 as usize];
        if slot.incarnation != incarnation || !slot.is_up() {
            return;
        }
        if slot.power == Power::Paused {
            reader.is_held = true;
            return;
        }
        let Doing::Due(act) = std::mem::replace(&mut reader.doing, Doing::Nothing) else { return };
        let node = reader.node;
        let takes = drawn_within(self.scenario.consumers[reader.spec].processing, self.seed, self.now, node);
        match act {
            Act::Poll => self.poll(number),
            Act::Rest => self.rest(number),
            Act::Commit { offsets, then } => {
                self.life.readers[number].doing = Doing::Committing { offsets: offsets.clone(), then };
                self.ask(number, COMMIT, Command::Commit { offsets: Some(offsets), wait: true });
            }
            Act::Process(stretches) if takes == 0 => {
                stretches.iter().for_each(|stretch| self.is_processed(number, stretch));
                self.finish(number, stretches);
            }
            Act::Process(stretches) => {
                let left = Stretch::pieces(&stretches, PIECES);
                let each = takes / left.len().max(1) as Nanos;
                self.then(number, each, Act::Work { left, done: stretches, each });
            }
            Act::Work { mut left, done, each } => {
                if let Some(piece) = left.pop_front() {
                    self.is_processed(number, &piece);
                }
                match left.is_empty() {
                    true => self.finish(number, done),
                    false => self.then(number, each, Act::Work { left, done, each }),
                }
            }
            Act::GoBack(stretches) => {
                for stretch in stretches {
                    let to = SeekTo::Offset(stretch.first_offset());
                    self.ask(number, SEEK, Command::Seek { partition: stretch.partition, to });
                }
                self.rest(number);
            }
        }
    }

    /// Records are processed.
    fn is_processed(&mut self, number: usize, records: &Stretch) {
        let Reader { node, spec, .. } = self.life.readers[number];
        let event = Event::Processed {
            partition: records.partition.clone(),
            first_offset: records.first_offset(),
            last_offset: records.last_offset(),
            records: records.offsets.len() as u32,
        };
        self.record(node, event, &[records.polled]);
        let spec = &self.scenario.consumers[spec];
        if spec.commit != CommitStyle::Before {
            self.life.probes.group_got_on(spec.group(), [records.next()].into_iter(), self.now);
        }
    }

    /// All records of a poll are processed.
    fn finish(&mut self, number: usize, done: Vec<Stretch>) {
        let reader = &mut self.life.readers[number];
        if self.scenario.consumers[reader.spec].commit == CommitStyle::After {
            reader.uncommitted.extend(done.iter().map(Stretch::next));
            let offsets = reader.uncommitted.iter().map(|(partition, next)| (partition.clone(), *next)).collect();
            self.then(number, 0, Act::Commit { offsets, then: Box::new(Act::Rest) });
        } else {
            self.rest(number);
        }
    }

    fn rest(&mut self, number: usize) {
        let pause = self.scenario.consumers[self.life.readers[number].spec].poll_interval;
        self.then(number, pause.max(1), Act::Poll);
    }

    /// What a consumer's operation came to.
    pub(super) fn on_reader_outcome(&mut self, number: usize, op: OpId, outcome: Outcome, event: EventId) {
        let what = op.0.wrapping_sub(CONTROL_OPS) / ASKED;
        match (what, outcome) {
            (POLL, Outcome::Polled { records, rebalanced, .. }) => self.on_polled(number, records, rebalanced, event),
            (POLL, Outcome::Refused { error }) if self.life.readers[number].doing == Doing::Polling => {
                match error == FENCED && self.has_successor(number) {
                    true => self.life.readers[number].doing = Doing::Ended,
                    false => self.end_by_exception(number, error),
                }
            }
            (COMMIT, outcome) => self.on_committed(number, outcome == Outcome::Done),
            _ => {}
        }
    }

    /// Does another process run that goes by the same `group.instance.id` in the same group?
    fn has_successor(&self, number: usize) -> bool {
        let readers = &self.life.readers;
        let name = |number: usize| {
            let spec = readers[number].spec;
            let nth = readers[..number].iter().filter(|reader| reader.spec == spec).count();
            let spec = &self.scenario.consumers[spec];
            (spec.group(), spec.config_of(nth as u32).group_instance_id)
        };
        let runs = |number: usize| self.slots[readers[number].node.0 as usize].is_up();
        (0..readers.len()).any(|other| other != number && runs(other) && name(other) == name(number))
    }

    /// An application's thread is gone, and its process with it, which is started anew after a moment.
    fn end_by_exception(&mut self, number: usize, error: String) {
        let node = self.life.readers[number].node;
        self.life.readers[number].doing = Doing::Thrown { error };
        let slot = &mut self.slots[node.0 as usize];
        let incarnation = slot.incarnation;
        slot.restart_after_halt = Some(drawn_within(STARTED_ANEW_AFTER, self.seed, self.now, node));
        self.again(0, LifeStep::Exit { node, incarnation });
    }

    /// A poll has ended: the rebalance listener is heard first, then the records are worked on.
    fn on_polled(&mut self, number: usize, records: Vec<ConsumedRecord>, rebalanced: Vec<Rebalanced>, event: EventId) {
        let stretches = Stretch::of(&records, event);
        if !records.is_empty() {
            self.life.probes.polled(number as u32, &records, self.now);
            self.notes.push(Note::Polled { consumer: number as u32, records, event });
        }
        if self.life.readers[number].doing != Doing::Polling {
            return;
        }
        if self.life.phase > Phase::Drain {
            self.life.readers[number].doing = Doing::Nothing;
            return;
        }
        let spec = &self.scenario.consumers[self.life.readers[number].spec];
        let next = match (stretches.is_empty() || spec.group().is_none(), spec.commit) {
            (true, _) if rebalanced.is_empty() => return self.rest(number),
            (true, _) => Act::Poll,
            (false, CommitStyle::Before) => {
                let offsets = stretches.iter().map(Stretch::next).collect();
                Act::Commit { offsets, then: Box::new(Act::Process(stretches)) }
            }
            (false, _) => Act::Process(stretches),
        };
        let revoked = self.life.readers[number].listen(&rebalanced);
        let next = match revoked.is_empty() {
            true => next,
            false => Act::Commit { offsets: revoked, then: Box::new(next) },
        };
        self.then(number, 0, next);
    }

    fn on_committed(&mut self, number: usize, is_done: bool) {
        let reader = &mut self.life.readers[number];
        let Doing::Committing { offsets, then } = std::mem::replace(&mut reader.doing, Doing::Nothing) else { return };
        if is_done {
            reader.uncommitted.retain(|partition, next| !offsets.contains(&(partition.clone(), *next)));
        }
        let spec = &self.scenario.consumers[reader.spec];
        let then = match (*then, spec.commit) {
            (Act::Process(stretches), CommitStyle::Before) if !is_done => Act::GoBack(stretches),
            (then, CommitStyle::Before) => {
                self.life.probes.group_got_on(spec.group(), offsets.into_iter(), self.now);
                then
            }
            (then, _) => then,
        };
        self.then(number, 0, then);
    }
}
