//! One shard: the coordinator of the groups that one partition of `__consumer_offsets` holds.
//!
//! ```text
//!   request ──▶ handle ──▶ records ──▶ the broker appends them ──▶ appended ──┐      ┌──▶ answers
//!   time    ──▶ fire   ──┘    │                               └▶ not_appended │      │
//!                             ▼ replayed at once                      │       ▼      │
//!                          state ◀──────── taken back ────────────────┘    waiting ──┘
//!                                                                     high watermark ──▶ committed
//! ```
//!
//! The state changes by replaying records, when they are made and before they are appended: what comes next sees what was
//! written before. A write is answered when its records are below the high watermark; one without records is answered when
//! everything that was written before is. Readers see the state at the high watermark. If an append fails, the state goes back
//! to where the log ends. Source: `CoordinatorRuntime`.
//!
//! What the host promises: after an [`Effects`] with records it calls [`Shard::appended`] or [`Shard::not_appended`] before
//! anything else; while it leads, and not after, it calls [`Shard::committed`] for each high watermark, and [`Shard::fire`]
//! until there is nothing more when [`Shard::next_deadline`] has come. The records of one write are one batch. Not modelled:
//! `group.coordinator.append.linger.ms`, each write is a batch of its own.

mod operations;
mod replay;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use kafka_protocol::error::ResponseError;

use super::api::{AskId, Caller, Request, Response, coordinator_error};
use super::config::GroupConfig;
use super::coordinator::{Coordinator, Group, OnCommitted, Outcome};
use super::records::Record;
use super::timers::{Note, Timer};
use crate::conformance::OffsetRule;
use crate::event::Event;
use crate::ids::{Topic, TopicPartition};
use crate::node::{Nanos, ms};
use crate::zoo::{Switch, Zoo};

pub use super::coordinator::Context;

/// A timer whose write has failed comes again after this (`CoordinatorRuntime.EventBasedCoordinatorTimer`).
const RETRY_BACKOFF_MS: i64 = 500;

/// What a host carries out.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// To be appended as one batch, and then reported.
    pub records: Vec<Record>,
    /// To be told.
    pub answers: Vec<(AskId, Response)>,
    /// Questions whose clients have asked again: they get no answer, and their connections may be closed.
    pub abandoned: Vec<AskId>,
    /// What no record tells of.
    pub happened: Vec<Happened>,
}

/// What no record tells of, or not why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// What.
    pub event: Event,
    /// Only if the records are written: a group of the consumer protocol is taken back with them.
    pub if_written: bool,
}

/// Does it know the groups?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Loading {
        chunks: u32,
    },
    Active,
    /// Its broker leads the partition no more.
    Gone,
}

/// A write that waits to be committed.
#[derive(Clone, Debug)]
struct Waiting {
    /// The end of the log up to which it waits.
    end: i64,
    until: Nanos,
    ask: Option<AskId>,
    answer: Option<Response>,
    then: Option<OnCommitted>,
    /// The timer that comes again if the write fails.
    retry: Option<(Timer, Note)>,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub struct Shard {
    coordinator: Coordinator,
    phase: Phase,
    /// The write whose records are being appended.
    appending: Option<Waiting>,
    /// Writes that are not committed, in order of their ends.
    waiting: VecDeque<Waiting>,
    /// Ends of batches that are not committed: between them there is no state to read.
    ends: VecDeque<i64>,
}

impl Shard {
    /// A shard that is to be loaded.
    pub fn new(config: GroupConfig, zoo: Zoo) -> Shard {
        Shard {
            coordinator: Coordinator::new(config, zoo),
            phase: Phase::Loading { chunks: 0 },
            appending: None,
            waiting: VecDeque::new(),
            ends: VecDeque::new(),
        }
    }

    /// Replays a chunk of the log: the records of each batch, and where it ends.
    pub fn load(&mut self, cx: Context<'_>, batches: &[(Vec<Record>, i64)]) {
        let Phase::Loading { chunks } = &mut self.phase else { return };
        *chunks += 1;
        if *chunks > 1 && self.coordinator.zoo.on(Switch::PartialLoad) {
            return;
        }
        for (records, end) in batches {
            for record in records {
                self.coordinator.replay(cx, record);
            }
            self.set_end(*end);
        }
    }
    /// Are groups served?
    pub fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }
    /// The log is loaded: groups are served, and their members watched. Source: `GroupCoordinatorShard.onLoaded`.
    pub fn loaded(&mut self, cx: Context<'_>, high_watermark: i64) -> Effects {
        if !matches!(self.phase, Phase::Loading { .. }) {
            return Effects::default();
        }
        self.phase = Phase::Active;
        let groups: Vec<(String, bool)> =
            self.coordinator.groups.iter().map(|(id, g)| (id.clone(), matches!(g, Group::Classic(_)))).collect();
        for (id, is_classic) in groups {
            match is_classic {
                true => self.coordinator.on_classic_group_loaded(cx, &id),
                false => self.coordinator.on_consumer_group_loaded(cx, &id),
            }
        }
        let check_ms = self.coordinator.config.offsets_retention_check_interval_ms;
        self.coordinator.set_timer(cx, Timer::Expiry, check_ms, Note::None);
        self.committed(cx, high_watermark)
    }
    /// Another broker leads: whoever waits is sent there. Source: `CoordinatorContext.unload`, `GroupMetadataManager.onUnloaded`.
    pub fn unload(&mut self) -> Effects {
        self.phase = Phase::Gone;
        self.appending = None;
        self.waiting.clear();
        self.coordinator.timers = super::timers::Timers::default();
        self.coordinator.answers.refuse_all(ResponseError::NotCoordinator);
        self.effects(Vec::new())
    }

    /// The groups as they are now, committed or not.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.coordinator.groups.iter().map(|(id, group)| (id.as_str(), group))
    }
    /// One of them.
    pub fn group(&self, id: &str) -> Option<&Group> {
        self.coordinator.groups.get(id)
    }
    /// What it is configured with.
    pub fn config(&self) -> &GroupConfig {
        &self.coordinator.config
    }
    /// The same, configured otherwise from now on.
    pub fn with_config(mut self, config: GroupConfig) -> Shard {
        self.coordinator.config = config;
        self
    }
    /// How far a group has come, as far as that is committed.
    pub fn committed_offsets(&self, group: &str) -> Vec<(TopicPartition, i64)> {
        let of = self.coordinator.offsets.iter_at(self.coordinator.committed).filter(|((id, ..), _)| id == group);
        of.map(|((_, topic, partition), value)| (TopicPartition::new(topic, *partition), value.offset)).collect()
    }

    /// A request.
    pub fn handle(&mut self, cx: Context<'_>, caller: &Caller, request: Request) -> Effects {
        let request = Arc::new(request);
        self.coordinator.answers.open(caller.ask, Arc::clone(&request));
        if let Err(error) = self.check_phase() {
            self.refuse(caller.ask, &request, error);
            return self.effects(Vec::new());
        }
        debug_assert!(self.appending.is_none(), "the host reports on each write before it goes on");
        if let Some(response) = self.coordinator.read(cx, caller, &request) {
            match response {
                Ok(response) => self.coordinator.answer(caller.ask, response),
                Err(error) => self.refuse(caller.ask, &request, error),
            }
            return self.effects(Vec::new());
        }
        let outcome = self.coordinator.operate(cx, caller, &request);
        self.write(cx, Some(caller.ask), None, outcome)
    }

    /// Whatever is due first by now, if anything is. To be called until nothing is.
    pub fn fire(&mut self, cx: Context<'_>) -> Option<Effects> {
        let now = cx.now.mono;
        if let Some(at) = self.waiting.iter().position(|waiting| waiting.until <= now) {
            let late = self.waiting.remove(at)?;
            self.fail(cx, late, ResponseError::RequestTimedOut);
            return Some(self.effects(Vec::new()));
        }
        let (timer, note) = self.coordinator.timers.take_due(now)?;
        let written = match timer {
            Timer::Heartbeat { .. } | Timer::Join { .. } | Timer::Sync { .. } => {
                self.coordinator.on_classic_timer(cx, &timer, note)
            }
            Timer::Session { .. } | Timer::Rebalance { .. } | Timer::Expressions { .. } => {
                self.coordinator.on_consumer_timer(cx, &timer, note)
            }
            Timer::Expiry => self.coordinator.expire(cx),
        };
        Some(self.write(cx, None, Some((timer, note)), Ok(written)))
    }
    /// Looks for offsets that are too old, which it does by itself every `offsets.retention.check.interval.ms`.
    pub fn look_for_expired(&mut self, cx: Context<'_>) -> Effects {
        let written = self.coordinator.expire(cx);
        self.write(cx, None, None, Ok(written))
    }
    /// When [`Self::fire`] has something to do.
    pub fn next_deadline(&self) -> Option<Nanos> {
        let late = self.waiting.iter().map(|waiting| waiting.until).min();
        let due = self.coordinator.timers.next();
        late.into_iter().chain(due).min()
    }

    /// The records of the last write are in the log, which ends at `end` now.
    pub fn appended(&mut self, cx: Context<'_>, end: i64) -> Effects {
        if let Some(waiting) = self.appending.take() {
            self.set_end(end);
            self.wait(cx, Waiting { end, ..waiting });
        }
        self.effects(Vec::new())
    }
    /// The records of the last write are not in the log, and will not be.
    pub fn not_appended(&mut self, cx: Context<'_>, error: ResponseError) -> Effects {
        if let Some(waiting) = self.appending.take() {
            self.revert();
            self.fail(cx, waiting, error);
        }
        self.effects(Vec::new())
    }
    /// The high watermark of the partition.
    pub fn committed(&mut self, cx: Context<'_>, high_watermark: i64) -> Effects {
        while let Some(end) = self.ends.front().copied().filter(|end| *end <= high_watermark) {
            self.ends.pop_front();
            self.coordinator.committed = end;
        }
        self.coordinator.groups.forget_before(self.coordinator.committed);
        self.coordinator.offsets.forget_before(self.coordinator.committed);
        while self.waiting.front().is_some_and(|waiting| waiting.end <= self.coordinator.committed) {
            let Some(waiting) = self.waiting.pop_front() else { break };
            self.complete(cx, waiting);
        }
        self.effects(Vec::new())
    }
    /// Topics of these names have come, gone or changed.
    pub fn on_topics_changed(&mut self, topics: &BTreeSet<String>) {
        self.coordinator.on_topics_changed(topics);
    }

    /// Topics of these names are gone, and the offsets that groups have in them with them.
    pub fn on_topics_deleted(&mut self, cx: Context<'_>, topics: &BTreeSet<Topic>) -> Effects {
        if self.phase != Phase::Active {
            return Effects::default();
        }
        let written = self.coordinator.delete_offsets_of(topics);
        self.write(cx, None, None, Ok(written))
    }

    fn check_phase(&self) -> Result<(), ResponseError> {
        match self.phase {
            Phase::Loading { .. } if OffsetRule::LoadingIsTold.holds() => Err(ResponseError::CoordinatorLoadInProgress),
            Phase::Loading { .. } | Phase::Active => Ok(()),
            Phase::Gone => Err(ResponseError::NotCoordinator),
        }
    }

    /// Source: `CoordinatorRuntime.CoordinatorWriteEvent.run`.
    fn write(
        &mut self,
        cx: Context<'_>,
        ask: Option<AskId>,
        retry: Option<(Timer, Note)>,
        outcome: Outcome,
    ) -> Effects {
        let mut waiting = Waiting { end: self.coordinator.written, until: 0, ask, answer: None, then: None, retry };
        match outcome {
            Err(error) => {
                self.revert();
                self.fail(cx, waiting, error);
                self.effects(Vec::new())
            }
            Ok(written) => {
                waiting.answer = written.answer;
                waiting.then = written.then;
                if written.records.is_empty() {
                    self.wait(cx, waiting);
                    return self.effects(Vec::new());
                }
                if written.replays {
                    for record in &written.records {
                        self.coordinator.replay(cx, record);
                    }
                }
                self.appending = Some(waiting);
                self.effects(written.records)
            }
        }
    }

    fn set_end(&mut self, end: i64) {
        self.coordinator.written = end;
        self.ends.push_back(end);
    }
    fn revert(&mut self) {
        if OffsetRule::FailedWriteIsTakenBack.holds() {
            self.coordinator.groups.revert_to(self.coordinator.written);
            self.coordinator.offsets.revert_to(self.coordinator.written);
        }
    }

    fn wait(&mut self, cx: Context<'_>, waiting: Waiting) {
        let is_committed = waiting.end <= self.coordinator.committed;
        if is_committed || !OffsetRule::AnswerWaitsForTheHighWatermark.holds() {
            return self.complete(cx, waiting);
        }
        let until = match OffsetRule::UncommittedWriteTimesOut.holds() {
            true => cx.now.mono.saturating_add(ms(self.coordinator.config.offset_commit_timeout_ms)),
            false => Nanos::MAX,
        };
        self.waiting.push_back(Waiting { until, ..waiting });
    }

    fn complete(&mut self, cx: Context<'_>, waiting: Waiting) {
        match waiting.then {
            Some(OnCommitted::Assignment(write)) => self.coordinator.on_assignment_written(cx, write, Ok(())),
            Some(OnCommitted::StaticRejoin(write)) => self.coordinator.on_rejoin_written(cx, write, Ok(())),
            Some(OnCommitted::NewGroup) | None => {}
        }
        if let (Some(ask), Some(answer)) = (waiting.ask, waiting.answer) {
            self.coordinator.answer(ask, answer);
        }
    }

    /// Who asked is told, and what was done on the way is undone. A question that waits for its group is told too.
    fn fail(&mut self, cx: Context<'_>, waiting: Waiting, error: ResponseError) {
        let told = coordinator_error(error);
        match waiting.then {
            Some(OnCommitted::Assignment(write)) => self.coordinator.on_assignment_written(cx, write, Err(told)),
            Some(OnCommitted::StaticRejoin(write)) => self.coordinator.on_rejoin_written(cx, write, Err(told)),
            Some(OnCommitted::NewGroup) | None => {}
        }
        if let Some(ask) = waiting.ask {
            self.coordinator.answers.refuse(ask, error);
        }
        if let Some((timer @ (Timer::Session { .. } | Timer::Rebalance { .. } | Timer::Expressions { .. }), note)) =
            waiting.retry
        {
            let at = cx.now.mono.saturating_add(ms(RETRY_BACKOFF_MS));
            self.coordinator.timers.set_if_absent(timer, at, note);
        }
    }

    /// A heartbeat while the log is loaded is let pass: the member's time has not begun.
    fn refuse(&mut self, ask: AskId, request: &Request, error: ResponseError) {
        match (request, error) {
            (Request::Heartbeat(_), ResponseError::CoordinatorLoadInProgress) => {
                self.coordinator.answer(ask, Response::Heartbeat(Default::default()));
            }
            _ => self.coordinator.answers.refuse(ask, error),
        }
    }

    fn effects(&mut self, records: Vec<Record>) -> Effects {
        let (answers, abandoned) = self.coordinator.answers.take();
        Effects { records, answers, abandoned, happened: std::mem::take(&mut self.coordinator.happened) }
    }
}

#[cfg(test)]
impl Shard {
    /// A group of the consumer protocol as it is now.
    pub(super) fn consumer_group(&self, id: &str) -> Option<&super::consumer::ConsumerGroup> {
        self.coordinator.consumer(id)
    }
}
