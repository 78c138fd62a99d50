//! The consumer and its group: commits, and where it subscribes, membership.
//!
//! ```text
//!   Subscribe ─▶ subscription ─┐                        ┌─▶ assigned partitions
//!   Poll ──────▶ listener ◀────┼─ member: classic │     ├─▶ heartbeats ────────┐
//!                              │          modern ──┘    │                      ├─▶ coordinator
//!   Commit, Committed ─────────┴─▶ commits, offsets ────┴──────────────────────┘
//! ```
//!
//! What Kafka's consumer does in the application's thread is done while a poll waits: a rebalance goes on, positions are
//! committed now and then. What its other thread does goes on between polls: heartbeats, the search for the coordinator,
//! commits that are under way. Source: `ClassicKafkaConsumer`, `AsyncKafkaConsumer`.
//!
//! Not modelled: a listener is not told of what a consumer gives up by closing or unsubscribing, for no poll comes; metadata
//! that is committed with an offset.

mod classic;
mod close;
mod commit;
mod coordinator;
mod listener;
mod modern;
mod offsets;
mod subscription;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ResponseKind;

use self::classic::{Classic, Generation};
use self::close::Closing;
use self::commit::{CommitId, Commits, Committer, Refusal};
use self::coordinator::Coordinator;
use self::listener::Callbacks;
use self::modern::Modern;
use self::offsets::{Asker, OffsetQueries};
use self::subscription::Subscribed;
use super::Consumer;
use crate::client::FailedCall;
use crate::client::backoff::WakeUp;
use crate::config::{ConsumerConfig, GroupProtocol};
use crate::node::{Effects, Nanos, Now, OpId, Outcome, Rebalanced};
use crate::protocol::error_name;

pub(crate) use self::offsets::NO_OFFSET;

/// What the parts of a group work on besides themselves.
pub(crate) struct Cx<'c, 'f> {
    /// The consumer, without its membership.
    pub(super) consumer: &'c mut Consumer,
    pub(super) now: Nanos,
    pub(super) fx: &'c mut Effects<'f>,
}

/// What a call of a group was about.
#[derive(Clone, Debug)]
pub(crate) enum GroupCall {
    FindCoordinator,
    JoinGroup(Generation),
    SyncGroup(Generation),
    Heartbeat(Generation),
    LeaveGroup,
    ConsumerGroupHeartbeat { is_last: bool },
    Commit(CommitId),
    OffsetFetch(Asker),
}

/// What is the same in both protocols.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    id: String,
    /// `group.instance.id`.
    instance: Option<String>,
    subscription: Option<Subscribed>,
    coordinator: Coordinator,
    commits: Commits,
    offsets: OffsetQueries,
    callbacks: Callbacks,
    /// With what the next poll is refused: the exception it would throw.
    failure: Option<String>,
}

/// How it is a member.
#[derive(Clone, Debug)]
pub(crate) enum Member {
    /// Who leads the group assigns.
    Classic(Box<Classic>),
    /// The coordinator assigns (KIP-848).
    Modern(Box<Modern>),
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    group: Group,
    member: Member,
    closing: Option<Closing>,
}

/// With what a waiting poll is answered at once.
pub(crate) enum News {
    /// It is refused.
    Failure(String),
    /// The listener is told.
    Rebalanced(Rebalanced),
}

impl Membership {
    /// The membership of a consumer with a `group.id`.
    pub(crate) fn new(config: &ConsumerConfig) -> Option<Self> {
        let named = |name: &String| (!name.is_empty()).then(|| name.clone());
        let group = Group {
            id: named(&config.group_id)?,
            instance: named(&config.group_instance_id),
            subscription: None,
            coordinator: Coordinator::default(),
            commits: Commits::default(),
            offsets: OffsetQueries::default(),
            callbacks: Callbacks::default(),
            failure: None,
        };
        let member = match config.group_protocol {
            GroupProtocol::Classic => Member::Classic(Box::new(Classic::new(config))),
            GroupProtocol::Consumer => Member::Modern(Box::new(Modern::new())),
        };
        Some(Membership { group, member, closing: None })
    }
    /// Is it on its way out?
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// The application polls: it is done with what its listener was told.
    pub(crate) fn on_poll(&mut self, cx: &mut Cx<'_, '_>) {
        if let Some(what) = self.group.callbacks.polled() {
            match &mut self.member {
                Member::Classic(member) => member.on_listener_done(what, &mut self.group, cx),
                Member::Modern(member) => member.on_listener_done(what, &mut self.group, cx),
            }
        }
    }
    /// What a waiting poll is answered with at once, if anything.
    pub(crate) fn take_news(&mut self) -> Option<News> {
        let failure = self.group.failure.take().map(News::Failure);
        failure.or_else(|| self.group.callbacks.tell().map(News::Rebalanced))
    }

    /// `KafkaConsumer.committed`.
    pub(crate) fn committed(&mut self, op: OpId, partitions: Vec<crate::ids::TopicPartition>, cx: &mut Cx<'_, '_>) {
        self.group.ask_committed(op, partitions, cx);
    }
    /// `commitSync`, `commitAsync`.
    pub(crate) fn commit(
        &mut self,
        op: OpId,
        offsets: Option<Vec<(crate::ids::TopicPartition, i64)>>,
        waits: bool,
        cx: &mut Cx<'_, '_>,
    ) {
        self.group.commit(op, offsets, waits, cx);
    }

    /// Everything that time, an answer or a poll made due.
    pub(crate) fn drive(&mut self, cx: &mut Cx<'_, '_>) {
        self.group.coordinator.notice_its_end(cx);
        // What cannot be sent has failed at once, and whoever wanted it goes on from there: after a pause, so this ends.
        loop {
            self.settle_failed(cx);
            self.round(cx);
            if cx.consumer.closed || !self.group.coordinator.has_failed() {
                return;
            }
        }
    }
    fn round(&mut self, cx: &mut Cx<'_, '_>) {
        let polls = cx.consumer.poll.is_some();
        self.live(polls, cx);
        if polls {
            self.advance(cx);
        }
        if self.closing.is_some() {
            self.close_step(cx);
        }
        if cx.consumer.closed {
            return;
        }
        self.send_commits(cx);
        let asker = self.asker();
        self.group.send_queries(&asker, cx);
        if polls && self.group.callbacks.is_empty() {
            self.group.ask_for_positions(&asker, cx);
        }
        self.group.coordinator.find(&self.group.id, cx);
        self.group.coordinator.flush(cx);
    }
    /// What goes on whether the application polls or not.
    fn live(&mut self, polls: bool, cx: &mut Cx<'_, '_>) {
        match &mut self.member {
            Member::Classic(member) => member.live(polls, &mut self.group, cx),
            Member::Modern(member) => member.live(polls, &mut self.group, cx),
        }
    }
    /// What the application's thread does in a poll.
    fn advance(&mut self, cx: &mut Cx<'_, '_>) {
        self.group.resolve_pattern(cx);
        let (is_settled, one_at_a_time) = match &mut self.member {
            Member::Classic(member) => (member.advance(&mut self.group, cx), false),
            Member::Modern(member) => (member.advance(&mut self.group, cx), true),
        };
        if is_settled {
            self.group.commit_now_and_then(one_at_a_time, cx);
        }
    }
    fn send_commits(&mut self, cx: &mut Cx<'_, '_>) {
        let committer = self.committer();
        self.group.send_commits(committer, cx);
    }
    /// In whose name offsets are committed now.
    fn committer(&self) -> Result<Committer, Refusal> {
        match &self.member {
            Member::Classic(member) => member.committer(&self.group),
            Member::Modern(member) => Ok(member.committer(&self.group)),
        }
    }
    /// Who asks for offsets: members of the classic protocol do not tell.
    fn asker(&self) -> Committer {
        match &self.member {
            Member::Classic(_) => Committer { member: String::new(), generation: -1, instance: None },
            Member::Modern(member) => member.committer(&self.group),
        }
    }

    /// Calls that have failed with their connection.
    fn settle_failed(&mut self, cx: &mut Cx<'_, '_>) {
        while let Some((call, error)) = self.group.coordinator.next_failed() {
            self.on_failed(call, error, cx);
        }
    }
    /// Calls that got no answer.
    pub(crate) fn on_failed_call(&mut self, failed: FailedCall<GroupCall>, cx: &mut Cx<'_, '_>) {
        let error = if failed.timed_out { ResponseError::RequestTimedOut } else { ResponseError::NetworkException };
        if !matches!(failed.about, GroupCall::FindCoordinator) {
            self.group.coordinator.forget(cx);
        }
        self.on_failed(failed.about, error, cx);
    }
    fn on_failed(&mut self, call: GroupCall, error: ResponseError, cx: &mut Cx<'_, '_>) {
        match (call, &mut self.member) {
            (GroupCall::FindCoordinator, member) => {
                self.group.coordinator.on_not_found(cx);
                if matches!(member, Member::Classic(_)) {
                    self.group.fail_unsent_async_commits(error, cx);
                }
            }
            (GroupCall::Commit(id), _) => {
                self.group.on_commit_end(id, Some(error), Err(Refusal::Retriable(error_name(error))), cx);
            }
            (GroupCall::OffsetFetch(asker), _) => self.group.on_no_offsets(asker, error, cx),
            (call, Member::Classic(member)) => member.on_failed(&call, cx),
            (call, Member::Modern(member)) => member.on_failed(&call, &mut self.group, cx),
        }
    }

    /// An answer.
    pub(crate) fn on_response(&mut self, call: GroupCall, response: ResponseKind, cx: &mut Cx<'_, '_>) {
        match (call, response, &mut self.member) {
            (GroupCall::FindCoordinator, ResponseKind::FindCoordinator(answer), member) => {
                let found = self.group.coordinator.on_found(&self.group.id, &answer, cx);
                match (found, member) {
                    (Err(error), _) => self.group.failure = Some(error_name(error)),
                    (Ok(()), Member::Classic(_)) if !self.group.coordinator.is_known() => {
                        self.group.fail_unsent_async_commits(ResponseError::CoordinatorNotAvailable, cx);
                    }
                    (Ok(()), Member::Classic(member)) => member.on_coordinator_found(cx),
                    (Ok(()), Member::Modern(_)) => {}
                }
            }
            (GroupCall::Commit(id), ResponseKind::OffsetCommit(answer), member) => {
                let raw = commit::error_of(&answer);
                let end = match (raw, member) {
                    (None, _) => Ok(()),
                    (Some(error), Member::Classic(member)) => {
                        Err(member.on_refused_commit(id, error, &mut self.group, cx))
                    }
                    (Some(error), Member::Modern(member)) => {
                        Err(member.on_refused_commit(id, error, &mut self.group, cx))
                    }
                };
                self.group.on_commit_end(id, raw, end, cx);
            }
            (GroupCall::OffsetFetch(asker), ResponseKind::OffsetFetch(answer), _) => {
                self.group.on_offsets(asker, &answer, cx);
            }
            (GroupCall::LeaveGroup, ResponseKind::LeaveGroup(_), _) => {}
            (GroupCall::JoinGroup(sent), ResponseKind::JoinGroup(answer), Member::Classic(member)) => {
                member.on_join_answered(answer, sent);
            }
            (GroupCall::SyncGroup(sent), ResponseKind::SyncGroup(answer), Member::Classic(member)) => {
                member.on_sync_answered(answer, &sent, &mut self.group, cx);
            }
            (GroupCall::Heartbeat(sent), ResponseKind::Heartbeat(answer), Member::Classic(member)) => {
                member.on_heartbeat_answered(&answer, &sent, &mut self.group, cx);
            }
            (
                GroupCall::ConsumerGroupHeartbeat { is_last },
                ResponseKind::ConsumerGroupHeartbeat(answer),
                Member::Modern(member),
            ) => {
                if !is_last {
                    member.on_heartbeat_answered(answer, &mut self.group, cx);
                }
            }
            (call, _, _) => self.on_failed(call, ResponseError::UnknownServerError, cx),
        }
    }

    /// When something is to be done.
    pub(crate) fn wake_up(&self, wake_up: &mut WakeUp) {
        let group = &self.group;
        group.commits.wake_ups().chain(group.offsets.wake_ups()).for_each(|at| wake_up.also_at(at));
        group.coordinator.wake_up_at().into_iter().for_each(|at| wake_up.also_at(at));
        match &self.member {
            Member::Classic(member) => member.wake_up(wake_up),
            Member::Modern(member) => member.wake_up(wake_up),
        }
        self.closing.iter().for_each(|closing| wake_up.also_at(closing.give_up_at()));
    }
}

impl Consumer {
    /// Works on the membership, if there is one.
    pub(super) fn with_membership<T>(
        &mut self,
        now: Now,
        fx: &mut Effects<'_>,
        work: impl FnOnce(&mut Membership, &mut Cx<'_, '_>) -> T,
    ) -> Option<T> {
        let mut membership = self.membership.take()?;
        let done = work(&mut membership, &mut Cx { consumer: self, now: now.mono, fx });
        self.membership = Some(membership);
        Some(done)
    }
}

/// A refusal of everything that needs a group (`InvalidGroupIdException`).
pub(super) fn refused_without_group() -> Outcome {
    Outcome::Refused { error: error_name(ResponseError::InvalidGroupId) }
}

/// A number of milliseconds as the protocol has it.
fn int(millis: i64) -> i32 {
    i32::try_from(millis).unwrap_or(i32::MAX)
}
