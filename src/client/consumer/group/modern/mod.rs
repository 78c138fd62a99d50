//! A member of a group of the consumer protocol (KIP-848): the coordinator assigns, and the member gives up before it takes.
//!
//! ```text
//!                poll                heartbeat in epoch 0            assignment
//!   Unsubscribed ────▶ Joining ─────────────────────────▶ Stable ◀──────────────┐
//!        ▲               ▲  ▲                                │ another          │
//!        │               │  └── poll ── Stale                ▼                  │ heartbeat
//!     Leaving            │              ▲ no poll        Reconciling ─────▶ Acknowledging
//!        ▲               │              │ for too long   (commit, revoke,
//!        └ unsubscribe   └── Fenced ◀───┴─ refused ───    assign)
//! ```
//!
//! What Kafka's background thread does is done whenever anything happens; a reconciliation begins while a poll waits, since
//! it commits positions and calls the listener (KAFKA-18641). Source: `AbstractMembershipManager`,
//! `ConsumerMembershipManager`, `ConsumerHeartbeatRequestManager`.
//!
//! Otherwise than Kafka: a heartbeat that is to be sent at once still keeps to the pause after a failure, also where that
//! was that of a broker which is not the coordinator.

mod heartbeat;
mod reconcile;

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use uuid::Uuid;

use self::heartbeat::{Heartbeat, Sent};
use self::reconcile::Step;
use super::commit::{CommitId, Committer, Refusal};
use super::{Cx, Group};
use crate::client::backoff::WakeUp;
use crate::conformance::GroupClientRule;
use crate::event::Event;
use crate::metadata::uuid_text;
use crate::node::{RandomFor, Rebalanced};
use crate::protocol::error_name;

/// Epochs of heartbeats that say something by themselves (`ConsumerGroupHeartbeatRequest`).
const JOIN: i32 = 0;
const LEAVE: i32 = -1;
const LEAVE_STATIC: i32 = -2;

/// Partitions by the ids of their topics.
type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// What it has or is to have, and the how manieth that is (`LocalAssignment`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct LocalAssignment {
    /// 0: none yet.
    number: u64,
    partitions: Partitions,
}

/// Source: `MemberState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberState {
    Unsubscribed,
    Joining,
    Reconciling,
    Acknowledging,
    Stable,
    Fenced,
    Leaving,
    Fatal,
    Stale,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct Modern {
    state: MemberState,
    /// Made by the client, for its whole life (KIP-1082).
    id: String,
    epoch: i32,
    target: LocalAssignment,
    current: LocalAssignment,
    /// How far the reconciliation is, if one is on.
    step: Option<Step>,
    heartbeat: Heartbeat,
    sent: Sent,
    /// A subscription came that no poll has seen.
    is_subscribed_anew: bool,
    /// It leaves because nobody polls.
    is_poll_over: bool,
    /// The epoch in which it was assigned what it has.
    owned_in: i32,
}

impl Modern {
    pub(super) fn new() -> Self {
        Modern {
            state: MemberState::Unsubscribed,
            id: String::new(),
            epoch: JOIN,
            target: LocalAssignment::default(),
            current: LocalAssignment::default(),
            step: None,
            heartbeat: Heartbeat::default(),
            sent: Sent::default(),
            is_subscribed_anew: false,
            is_poll_over: false,
            owned_in: JOIN,
        }
    }
    pub(super) fn on_subscribed(&mut self) {
        self.is_subscribed_anew = true;
    }
    pub(super) fn is_leaving(&self) -> bool {
        self.state == MemberState::Leaving
    }

    /// A member commits in its epoch, who is none in nobody's name (`CommitRequestManager.MemberInfo`).
    pub(super) fn committer(&self, group: &Group) -> Committer {
        match self.epoch > 0 {
            true => Committer { member: self.id.clone(), generation: self.epoch, instance: group.instance.clone() },
            false => Committer { member: String::new(), generation: -1, instance: group.instance.clone() },
        }
    }

    fn is_reconciled(&self) -> bool {
        self.current == self.target
    }
    /// It joins as somebody who has nothing (`transitionToJoining`).
    fn join(&mut self, cx: &mut Cx<'_, '_>) {
        if self.id.is_empty() {
            let high = u128::from(cx.fx.random(RandomFor::MemberId));
            let id = Uuid::from_u128(high << 64 | u128::from(cx.fx.random(RandomFor::MemberId)));
            self.id = uuid_text::of(id);
        }
        self.epoch = JOIN;
        self.step = None;
        self.state = MemberState::Joining;
        self.target = LocalAssignment::default();
    }
    fn has_left(&self, why: &str, group: &Group, cx: &mut Cx<'_, '_>) {
        let (group, member, why) = (group.id.clone(), self.id.clone(), why.to_string());
        cx.fx.record(Event::GroupLeft { group, member, why });
    }
    fn release(&mut self, group: &mut Group, cx: &mut Cx<'_, '_>) -> bool {
        self.current = LocalAssignment::default();
        self.target = LocalAssignment::default();
        self.step = None;
        group.commits.forget_revocation();
        cx.consumer.cluster.want_ids(BTreeSet::new());
        group.lose_all(self.owned_in, cx)
    }

    /// The coordinator knows it no more: it has lost everything, and comes again (`transitionToFenced`).
    fn fence(&mut self, why: &str, group: &mut Group, cx: &mut Cx<'_, '_>) {
        if self.state == MemberState::Leaving {
            self.state = MemberState::Unsubscribed;
            return;
        }
        // Who has not polled for too long has given everything up already.
        if matches!(self.state, MemberState::Unsubscribed | MemberState::Stale) {
            return;
        }
        self.has_left(why, group, cx);
        self.epoch = JOIN;
        self.state = MemberState::Fenced;
        if !self.release(group, cx) && group.callbacks.is_empty() {
            self.join(cx);
        }
    }
    /// It cannot be a member (`transitionToFatal`).
    fn fail(&mut self, error: ResponseError, group: &mut Group, cx: &mut Cx<'_, '_>) {
        let was = std::mem::replace(&mut self.state, MemberState::Fatal);
        group.failure = Some(error_name(error));
        self.epoch = JOIN;
        if !matches!(was, MemberState::Unsubscribed | MemberState::Leaving) {
            self.has_left(&error_name(error), group, cx);
            self.release(group, cx);
        }
    }
    /// Gives up what it has, and says so with the next heartbeat (`leaveGroup`).
    pub(super) fn leave(&mut self, why: &str, group: &mut Group, cx: &mut Cx<'_, '_>) {
        match self.state {
            MemberState::Unsubscribed | MemberState::Leaving | MemberState::Fatal => return,
            MemberState::Fenced | MemberState::Stale => {
                self.state = MemberState::Unsubscribed;
                return;
            }
            _ => {}
        }
        match self.epoch > 0 {
            true => group.revoke(self.owned_in, cx.consumer.owned().into_iter().collect(), cx),
            false => {
                group.lose_all(self.owned_in, cx);
            }
        }
        group.callbacks.forget_untold();
        self.release(group, cx);
        self.has_left(why, group, cx);
        self.send_leave_next(group);
    }
    fn send_leave_next(&mut self, group: &Group) {
        self.epoch = if group.instance.is_some() { LEAVE_STATIC } else { LEAVE };
        self.current = LocalAssignment::default();
        self.state = MemberState::Leaving;
    }

    /// The listener is done with that.
    pub(super) fn on_listener_done(&mut self, what: Rebalanced, group: &mut Group, cx: &mut Cx<'_, '_>) {
        match (self.state, what) {
            (MemberState::Fenced, _) if group.callbacks.is_empty() => self.join(cx),
            (MemberState::Reconciling, what) => self.on_reconciliation_told(what, group, cx),
            _ => {}
        }
    }

    /// When something is to be done.
    pub(super) fn wake_up(&self, wake_up: &mut WakeUp) {
        self.heartbeat.wake_ups(self.state).for_each(|at| wake_up.also_at(at));
        if let Some(Step::Committing { give_up_at, retry_at, .. }) = self.step {
            wake_up.also_at(give_up_at);
            wake_up.also_at(retry_at);
        }
    }

    /// What a refused commit means. One before a revocation is tried again in the epoch that the member has by then.
    /// Source: `OffsetCommitRequestState.onResponse`, `autoCommitSyncBeforeRevocationWithRetries`.
    pub(super) fn on_refused_commit(
        &mut self,
        id: CommitId,
        error: ResponseError,
        group: &mut Group,
        cx: &mut Cx<'_, '_>,
    ) -> Refusal {
        use ResponseError::*;
        match error {
            CoordinatorNotAvailable | NotCoordinator | RequestTimedOut => {
                group.coordinator.forget(cx);
                Refusal::Retriable(error_name(error))
            }
            CoordinatorLoadInProgress | UnknownTopicOrPartition => Refusal::Retriable(error_name(error)),
            StaleMemberEpoch if self.epoch > 0 && group.commits.is_before_revocation(id) => {
                match GroupClientRule::StaleEpochIsTriedAgain.holds() {
                    true => Refusal::Retriable(error_name(error)),
                    false => Refusal::NotAMember,
                }
            }
            FencedInstanceId | UnknownMemberId | StaleMemberEpoch => Refusal::NotAMember,
            error => Refusal::Fatal(error_name(error)),
        }
    }
}
