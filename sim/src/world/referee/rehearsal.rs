//! What would a controller answer if it were asked? A copy of it is asked what in this run perhaps nobody asks.
//!
//! ```text
//!   controller ─▶ copy ─▶ question ─▶ due ─▶ the copy handles it ─▶ state and answer are judged as any others
//!                   ▲                                          │
//!                   └────────── until the dialogue is over ────┘      the copy is dropped
//! ```
//!
//! Many checks stand where hardly ever anything is wrong: whoever asks knows what he may ask for. Whether they hold does not
//! show in years of such a run, but in a question of a stranger. The copy reads the node's disk, and what it has written
//! itself, which nobody else sees; it draws zeros; what it does leaves no trace, and costs what a copy costs: so the questions
//! are asked once for each kind of state that a run comes to.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{FetchResponse, RequestKind, ResponseKind};
use trial_kafka::controller::Controller;
use trial_kafka::event::Event;
use trial_kafka::node::{
    CallId, ConnId, Effect, Effects, EventId, Host, Input, Listener, Nanos, Node, Now, RandomFor, ReqId, RequestHeader,
    ms,
};
use trial_storage::{DirId, Disk, DiskError, FileId, OpenMode};

use crate::disk::DiskView;

/// How many times a copy is told that what it wrote is durable, before its silence counts as one.
const ROUNDS: usize = 6;
/// A copy that has more to do than this is left alone.
const MOST_STEPS: usize = 1_000;

/// What is asked, and what that is called.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) what: &'static str,
    pub(super) version: i16,
    pub(super) request: RequestKind,
}

/// A copy of a controller, and the disk it reads.
pub(super) struct Copy<'d> {
    pub(super) controller: Controller,
    disk: Swallowed<'d>,
    host: Nowhere,
    now: Now,
    asked: u64,
}

impl<'d> Copy<'d> {
    pub(super) fn of(controller: &Controller, disk: DiskView<'d>, now: Now) -> Self {
        let host = Nowhere { fresh: u64::MAX / 2, effects: Vec::new() };
        Copy {
            controller: controller.clone().without_deferred_tick(),
            disk: Swallowed { disk, written: BTreeMap::new(), opened: 0 },
            host,
            now,
            asked: 0,
        }
    }

    /// Asks it, and tells it that what it writes is durable. `None`: it says nothing yet.
    pub(super) fn ask(&mut self, question: &Question) -> Option<ResponseKind> {
        let input = self.request(question);
        self.handle(input);
        self.answer_to(ReqId(u64::MAX - self.asked))
    }
    fn request(&mut self, question: &Question) -> Input {
        self.asked += 1;
        let header = RequestHeader {
            listener: Listener::Controller,
            api_version: question.version,
            client_id: String::new(),
            client_host: String::new(),
        };
        let (req, conn) = (ReqId(u64::MAX - self.asked), ConnId(u64::MAX - self.asked));
        Input::Request { req, conn, header, body: Box::new(question.request.clone()) }
    }

    /// The other voters fetch all that it has written, which commits it. Gives the answer that waited for that.
    pub(super) fn commit(&mut self, fetches: &[Question]) -> Option<ResponseKind> {
        let req = ReqId(u64::MAX - self.asked);
        for fetch in fetches {
            let input = self.request(fetch);
            self.handle(input);
        }
        self.answer_to(req)
    }

    fn answer_to(&mut self, req: ReqId) -> Option<ResponseKind> {
        for _ in 0..ROUNDS {
            let (mut answer, mut synced) = (None, Vec::new());
            for effect in self.host.effects.drain(..) {
                match effect {
                    Effect::Answer { req: of, response } if of == req => answer = Some(*response),
                    Effect::Sync { ticket, .. } => synced.push(ticket),
                    _ => {}
                }
            }
            if answer.is_some() || synced.is_empty() {
                return answer;
            }
            for ticket in synced {
                self.handle(Input::Synced { ticket, result: Ok(()) });
            }
        }
        None
    }

    /// Answers its fetch, and tells it that what it writes is durable. Gives its next fetch.
    pub(super) fn tell(&mut self, (conn, call): (ConnId, CallId), response: FetchResponse) -> Option<(ConnId, CallId)> {
        self.handle(Input::Response { call, conn, result: Ok(Box::new(response.into())) });
        for _ in 0..ROUNDS {
            let (mut next, mut synced) = (None, Vec::new());
            for effect in self.host.effects.drain(..) {
                match effect {
                    Effect::Call { call, conn, request, .. } if matches!(*request, RequestKind::Fetch(_)) => {
                        next = Some((conn, call));
                    }
                    Effect::Sync { ticket, .. } => synced.push(ticket),
                    _ => {}
                }
            }
            if next.is_some() || synced.is_empty() {
                return next;
            }
            for ticket in synced {
                self.handle(Input::Synced { ticket, result: Ok(()) });
            }
        }
        None
    }

    /// It handles this and what at once follows: what it writes is durable, and whomever it dials is there. Gives what it
    /// wants others to do.
    pub(super) fn play(&mut self, input: Input) -> Vec<Effect> {
        let mut outside = Vec::new();
        let mut inputs = VecDeque::from([input]);
        for _ in 0..MOST_STEPS {
            let Some(input) = inputs.pop_front() else { break };
            self.handle(input);
            for effect in self.host.effects.drain(..) {
                match effect {
                    Effect::Sync { ticket, .. } => inputs.push_back(Input::Synced { ticket, result: Ok(()) }),
                    Effect::Defer { step, .. } => inputs.push_back(Input::Local(step)),
                    Effect::Dial { conn, .. } => inputs.push_back(Input::Opened { conn }),
                    effect => outside.push(effect),
                }
            }
        }
        outside
    }
    /// The same of this question.
    pub(super) fn play_question(&mut self, question: &Question) -> Vec<Effect> {
        let input = self.request(question);
        self.play(input)
    }
    /// Its clock goes on, and it does nothing.
    pub(super) fn wait(&mut self, by_ms: i64) {
        self.now = Now { mono: self.now.mono.saturating_add(ms(by_ms)), wall: self.now.wall.saturating_add(by_ms) };
    }
    /// It does what is due until so much later. Gives what it wants others to do.
    pub(super) fn pass(&mut self, by_ms: i64) -> Vec<Effect> {
        let until = self.now.mono.saturating_add(ms(by_ms));
        let mut outside = Vec::new();
        for _ in 0..MOST_STEPS {
            let Some(due) = self.controller.next_deadline().filter(|due| *due <= until) else { break };
            self.wait(due.saturating_sub(self.now.mono).div_ceil(ms(1)) as i64);
            outside.extend(self.play(Input::Deadline));
        }
        outside
    }

    fn handle(&mut self, input: Input) {
        self.controller.handle(self.now, input, &mut self.disk, &mut Effects::new(&mut self.host));
    }
}

/// Nobody hears what a copy says.
struct Nowhere {
    fresh: u64,
    effects: Vec<Effect>,
}

impl Host for Nowhere {
    fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }
    fn random(&mut self, _purpose: RandomFor) -> u64 {
        0
    }
    fn record(&mut self, _event: Event, _also_because: &[EventId]) -> EventId {
        EventId::NONE
    }
    fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
    fn charge(&mut self, _work: Nanos) {}
}

/// The disk as it is, under what the copy has written: that goes nowhere else.
struct Swallowed<'d> {
    disk: DiskView<'d>,
    written: BTreeMap<FileId, Tail>,
    opened: u32,
}

/// What stands in a file from there on, whatever the disk has there.
#[derive(Default)]
struct Tail {
    from: u64,
    bytes: Vec<u8>,
}

impl Swallowed<'_> {
    /// The file's tail, from there on or from before that.
    fn tail(&mut self, file: FileId, from: u64) -> Result<&mut Tail, DiskError> {
        let end = self.len(file)?;
        let from = from.min(end);
        let begins = self.written.get(&file).map_or(end, |tail| tail.from);
        let before = if from < begins { self.disk.read(file, from, (begins - from) as usize)? } else { Bytes::new() };
        let tail = self.written.entry(file).or_insert(Tail { from: end, bytes: Vec::new() });
        if from < begins {
            tail.bytes.splice(..0, before);
            tail.from = from;
        }
        Ok(tail)
    }
}

impl Disk for Swallowed<'_> {
    fn open_dir(&mut self, _name: &str) -> Result<DirId, DiskError> {
        Ok(DirId(u32::MAX))
    }
    fn list_dirs(&self) -> Result<Vec<String>, DiskError> {
        self.disk.list_dirs()
    }
    fn list(&self, dir: DirId) -> Result<Vec<String>, DiskError> {
        self.disk.list(dir)
    }
    fn remove_dir(&mut self, _name: &str) -> Result<(), DiskError> {
        Ok(())
    }
    /// Every file that is opened meanwhile is empty.
    fn open(&mut self, _dir: DirId, _name: &str, _mode: OpenMode) -> Result<FileId, DiskError> {
        let file = FileId(u32::MAX - self.opened);
        self.opened += 1;
        self.written.insert(file, Tail::default());
        Ok(file)
    }
    fn close(&mut self, _file: FileId) {}
    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        match self.written.get(&file) {
            Some(tail) => Ok(tail.from + tail.bytes.len() as u64),
            None => self.disk.len(file),
        }
    }
    fn read(&mut self, file: FileId, at: u64, len: usize) -> Result<Bytes, DiskError> {
        let Some(tail) = self.written.get(&file) else { return self.disk.read(file, at, len) };
        let end = at + len as u64;
        let mut bytes = BytesMut::new();
        if at < tail.from {
            bytes.extend_from_slice(&self.disk.read(file, at, (tail.from.min(end) - at) as usize)?);
        }
        let within = |at: u64| (at.saturating_sub(tail.from) as usize).min(tail.bytes.len());
        bytes.extend_from_slice(&tail.bytes[within(at)..within(end)]);
        Ok(bytes.freeze())
    }
    fn write(&mut self, file: FileId, at: u64, data: Bytes) -> Result<(), DiskError> {
        let tail = self.tail(file, at)?;
        let from = (at - tail.from) as usize;
        let end = from + data.len();
        tail.bytes.resize(tail.bytes.len().max(end), 0);
        tail.bytes[from..end].copy_from_slice(&data);
        Ok(())
    }
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        let tail = self.tail(file, len)?;
        tail.bytes.truncate((len - tail.from) as usize);
        Ok(())
    }
    fn rename(&mut self, _dir: DirId, _from: &str, _to: &str) -> Result<(), DiskError> {
        Ok(())
    }
    fn remove(&mut self, _dir: DirId, _name: &str) -> Result<(), DiskError> {
        Ok(())
    }
}
