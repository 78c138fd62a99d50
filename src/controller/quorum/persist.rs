//! Nothing is told before it is durable (`QuorumState.durableTransitionTo`).
//!
//! Kafka's raft thread writes `quorum-state` and waits for the disk. Here the node stays free, and what the thread would
//! have done afterwards waits in the node's state: answers and trace events that tell of the new epoch or vote, and
//! everything that comes in meanwhile, in its order.

use std::collections::VecDeque;

use kafka_protocol::messages::{RequestKind, ResponseKind};
use trial_storage::{FileId, SyncTarget};

use super::state_file::{self, ElectionState};
use super::{Io, Quorum, QuorumError};
use crate::event::Event;
use crate::node::{Effects, Input, ReqId, Ticket};
use crate::zoo::Switch;

/// What waits for the sync under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Persist {
    /// The latest sync of `quorum-state` or `meta.properties`; those before it do not count.
    ticket: Option<Ticket>,
    /// The file as it was written last.
    written: Option<ElectionState>,
    /// Handles of files under way.
    files: Vec<FileId>,
    held: Vec<Held>,
    parked: VecDeque<Parked>,
}

/// Done already, but not to be told yet.
#[derive(Clone, Debug)]
enum Held {
    Event(Event),
    Answer(ReqId, Box<ResponseKind>),
}

/// Came in meanwhile.
#[derive(Clone, Debug)]
pub(super) enum Parked {
    Request { req: ReqId, version: i16, body: Box<RequestKind> },
    Input(Box<Input>),
}

impl Persist {
    /// Must everything wait?
    pub fn is_under_way(&self) -> bool {
        self.ticket.is_some()
    }
    /// Is it this sync that everything waits for?
    pub fn awaits(&self, ticket: Ticket) -> bool {
        self.ticket == Some(ticket)
    }
    /// To be handled once the sync has ended.
    pub fn park(&mut self, parked: Parked) {
        self.parked.push_back(parked);
    }
    /// The next of what came in meanwhile, unless something waits for the disk again.
    pub fn unpark(&mut self) -> Option<Parked> {
        if self.is_under_way() { None } else { self.parked.pop_front() }
    }
    /// A file was written that must be durable before anything goes on.
    pub fn wait_for(&mut self, file: FileId, dir: trial_storage::DirId, fx: &mut Effects<'_>) {
        self.files.push(file);
        self.ticket = Some(fx.sync(vec![SyncTarget::File(file), SyncTarget::Dir(dir)]));
    }
}

impl Quorum {
    /// Writes epoch, leader and vote, and lets everything wait until they are durable; nothing if they are already.
    /// Source: `QuorumState.durableTransitionTo`. Zoo: `raft-vote-not-persisted` does not wait, nor even syncs.
    pub(super) fn persist_election(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let state = ElectionState { epoch: self.epoch, leader_id: self.leader_id, voted: self.voted };
        if self.persist.written == Some(state) {
            return Ok(());
        }
        let file = state_file::write(io.disk, self.log.dir(), state)?;
        self.persist.written = Some(state);
        if self.zoo.on(Switch::RaftVoteNotPersisted) {
            io.disk.close(file);
        } else {
            self.persist.wait_for(file, self.log.dir(), io.fx);
        }
        Ok(())
    }

    /// What the file held at the start.
    pub(super) fn note_written(&mut self, state: Option<ElectionState>) {
        self.persist.written = state;
    }

    /// The sync that everything waited for has ended.
    pub(super) fn on_persisted(&mut self, io: &mut Io<'_, '_>) {
        self.persist.ticket = None;
        for file in self.persist.files.drain(..) {
            io.disk.close(file);
        }
        for held in std::mem::take(&mut self.persist.held) {
            match held {
                Held::Event(event) => {
                    io.fx.record(event);
                }
                Held::Answer(req, response) => io.fx.answer(req, *response),
            }
        }
    }

    /// Writes an event into the trace, once what it tells is durable.
    pub(super) fn tell(&mut self, event: Event, fx: &mut Effects<'_>) {
        if self.persist.is_under_way() {
            self.persist.held.push(Held::Event(event));
        } else {
            fx.record(event);
        }
    }

    /// Answers, once what the answer tells is durable.
    pub(super) fn answer(&mut self, req: ReqId, response: ResponseKind, fx: &mut Effects<'_>) {
        if self.persist.is_under_way() {
            self.persist.held.push(Held::Answer(req, Box::new(response)));
        } else {
            fx.answer(req, response);
        }
    }
}
