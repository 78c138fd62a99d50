//! Nothing is told before it is durable (`QuorumState.durableTransitionTo`).
//!
//! Kafka's raft thread writes `quorum-state` and waits for the disk. Here the node stays free, and what the thread would
//! have done afterwards waits in the node's state: answers and trace events that tell of the new epoch or vote, and
//! everything that comes in meanwhile, in its order.

use std::collections::VecDeque;

use kafka_protocol::messages::{RequestKind, ResponseKind};
use trial_storage::{DirId, Disk, DiskError, FileId, SyncTarget};

use super::state_file::{self, ElectionState, StateFileError};
use super::{Io, Quorum, QuorumError};
use crate::conformance::QuorumRule;
use crate::event::Event;
use crate::node::{Effects, Input, ReqId, Ticket};
use crate::zoo::Switch;

/// What waits for the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Persist {
    /// Files to be replaced, one after the other. The first is under way.
    replacements: VecDeque<Replacement>,
    /// What the sync under way is good for; those before it do not count.
    stage: Option<Stage>,
    /// The election state as it was written last.
    written: Option<ElectionState>,
    held: Vec<Held>,
    parked: VecDeque<Parked>,
}

/// A file that is durable under a temporary name before it takes the place of the old one, or a loss of power could leave
/// neither (`FileQuorumStateStore.writeElectionStateToFile`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    pub dir: DirId,
    pub file: FileId,
    pub temporary_name: &'static str,
    pub name: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The file becomes durable under its temporary name.
    Content(Ticket),
    /// Its new name becomes durable.
    Name(Ticket),
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
        self.stage.is_some()
    }
    /// Is it this sync that everything waits for?
    pub fn is_waiting_for(&self, ticket: Ticket) -> bool {
        matches!(self.stage, Some(Stage::Content(awaited) | Stage::Name(awaited)) if awaited == ticket)
    }
    /// To be handled once the sync has ended.
    pub fn park(&mut self, parked: Parked) {
        self.parked.push_back(parked);
    }
    /// The next of what came in meanwhile, unless something waits for the disk again.
    pub fn unpark(&mut self) -> Option<Parked> {
        if self.is_under_way() { None } else { self.parked.pop_front() }
    }
    /// A file was written that must be durable in the place of the old one before anything goes on. One that has not taken
    /// its name yet was written over by this one, under the same temporary name, and its sync does not count.
    pub fn replace(&mut self, replacement: Replacement, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let has_its_name = usize::from(matches!(self.stage, Some(Stage::Name(_))));
        let written_over = |other: &&mut Replacement| (other.dir, other.name) == (replacement.dir, replacement.name);
        match self.replacements.iter_mut().skip(has_its_name).find(written_over) {
            Some(other) => {
                disk.close(other.file);
                *other = replacement;
            }
            None => self.replacements.push_back(replacement),
        }
        if self.replacements.front() == Some(&replacement) {
            self.stage = Some(sync_content(replacement, fx));
        }
    }
    /// The sync under way has ended.
    fn advance(&mut self, io: &mut Io<'_, '_>) -> Result<(), DiskError> {
        let (Some(stage), Some(current)) = (self.stage, self.replacements.front().copied()) else { return Ok(()) };
        self.stage = match stage {
            Stage::Content(_) => {
                io.disk.rename(current.dir, current.temporary_name, current.name)?;
                Some(Stage::Name(io.fx.sync(vec![SyncTarget::Dir(current.dir)])))
            }
            Stage::Name(_) => {
                io.disk.close(current.file);
                self.replacements.pop_front();
                let next = self.replacements.front();
                next.map(|next| sync_content(*next, io.fx))
            }
        };
        Ok(())
    }
}

/// What the file holds becomes durable, before it takes its name.
fn sync_content(replacement: Replacement, fx: &mut Effects<'_>) -> Stage {
    let target = match QuorumRule::StateIsDurableBeforeItsName.holds() {
        true => SyncTarget::File(replacement.file),
        false => SyncTarget::Dir(replacement.dir),
    };
    Stage::Content(fx.sync(vec![target]))
}

impl Quorum {
    /// Writes epoch, leader and vote, and lets everything wait until they are durable; nothing if they are already.
    /// Source: `QuorumState.durableTransitionTo`. Zoo: `raft-vote-not-persisted` does not wait, nor even syncs.
    pub(super) fn persist_election(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let state = ElectionState { epoch: self.epoch, leader_id: self.leader_id, voted: self.voted };
        if self.persist.written == Some(state) {
            return Ok(());
        }
        let replacement = state_file::write(io.disk, self.log.dir(), state)?;
        self.persist.written = Some(state);
        if self.zoo.on(Switch::RaftVoteNotPersisted) || !QuorumRule::EpochAndVoteAreDurableFirst.holds() {
            io.disk
                .rename(replacement.dir, replacement.temporary_name, replacement.name)
                .map_err(StateFileError::from)?;
            io.disk.close(replacement.file);
        } else {
            self.persist.replace(replacement, io.disk, io.fx);
        }
        Ok(())
    }

    /// What the file held at the start.
    pub(super) fn note_written(&mut self, state: ElectionState) {
        self.persist.written = Some(state);
    }

    /// What the file holds may be in the system's cache only: a predecessor that died between its writing and its sync
    /// told nobody of it, and this incarnation must not either before it is durable. Kafka trusts the file it finds.
    pub(super) fn make_durable_again(&mut self, state: ElectionState, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        if !self.zoo.on(Switch::RaftVoteNotPersisted) {
            let replacement = state_file::write(io.disk, self.log.dir(), state)?;
            self.persist.replace(replacement, io.disk, io.fx);
        }
        Ok(())
    }

    /// A sync that everything waits for has ended. If it was the last, what waited is told.
    pub(super) fn on_persisted(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        self.persist.advance(io).map_err(StateFileError::from)?;
        if self.persist.is_under_way() {
            return Ok(());
        }
        for held in std::mem::take(&mut self.persist.held) {
            match held {
                Held::Event(event) => {
                    io.fx.record(event);
                }
                Held::Answer(req, response) => io.fx.answer(req, *response),
            }
        }
        Ok(())
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
