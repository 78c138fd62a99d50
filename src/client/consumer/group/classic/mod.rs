//! A member of a classic group: the members agree on a generation, and one of them assigns.
//!
//! ```text
//!   application's thread, in polls                               what the coordinator knows
//!
//!   Settled ──▶ Committing ──▶ GivingUp ──▶ Joining ─────────▶   Unjoined ──▶ Preparing
//!      ▲        (positions)    (listener)      │                                 │ JoinGroup
//!      │                                    Leading ─▶ Syncing ─▶             Completing
//!      │                                   (assigns)     │                       │ SyncGroup
//!   Assigning ◀── Revoking ◀───────────────────────── Synced ◀─               Stable
//!   (listener)    (listener, cooperative)
//! ```
//!
//! The two go on apart from each other: a heartbeat that is refused makes the member unjoined wherever its application is.
//! The answer to JoinGroup is not looked at before the next poll, since Kafka's heartbeat thread rests while a member
//! prepares; that to SyncGroup is. Source: `AbstractCoordinator`, `ConsumerCoordinator`.
//!
//! Otherwise than Kafka: SyncGroup that is refused with an error that passes is tried again from JoinGroup on, and not
//! thrown from `poll`.

mod heartbeat;
mod rebalance;
mod responses;

use bytes::Bytes;
use kafka_protocol::messages::JoinGroupResponse;

use self::heartbeat::Heartbeat;
use super::commit::{Committer, Refusal};
use super::{Cx, Group, GroupCall, int};
use crate::client::backoff::WakeUp;
use crate::config::ConsumerConfig;
use crate::event::Event;
use crate::group::assignor::client::{
    ClientAssignor, LastAssignment, PartitionsPerTopic, RebalanceProtocol, rebalance_protocol,
};
use crate::ids::{Topic, TopicPartition};
use crate::node::Nanos;
use std::collections::BTreeSet;

/// `OffsetCommitRequest.DEFAULT_GENERATION_ID`.
const NO_GENERATION: i32 = -1;

/// What the member is in the group (`AbstractCoordinator.Generation`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    id: i32,
    /// Empty: none.
    member: String,
    protocol: Option<ClientAssignor>,
}

impl Generation {
    fn none() -> Self {
        Generation { id: NO_GENERATION, member: String::new(), protocol: None }
    }
    fn is_reset(&self) -> bool {
        self.id == NO_GENERATION && self.protocol.is_none()
    }
}

/// How far it is with the coordinator (`AbstractCoordinator.MemberState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberState {
    Unjoined,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

/// How far the application's thread is in a rebalance.
#[derive(Clone, Debug)]
enum Phase {
    /// In none.
    Settled,
    /// The positions are committed before partitions are given up.
    Committing { give_up_at: Nanos, retry_at: Nanos },
    /// The listener is told what is given up or lost before the group is joined.
    GivingUp { revoked: Vec<TopicPartition> },
    /// JoinGroup has no answer.
    Joining,
    /// It has, but nobody polled.
    JoinAnswered(Box<JoinGroupResponse>, Generation),
    /// It leads, and waits for metadata of the topics of all.
    Leading { election: Box<JoinGroupResponse>, since_view: u64 },
    /// SyncGroup has no answer.
    Syncing,
    /// It has, but nobody polled.
    Synced(Bytes),
    /// The listener is told what the new assignment takes away.
    Revoking { assigned: BTreeSet<TopicPartition>, revoked: Vec<TopicPartition> },
    /// The listener is told what is new.
    Assigning,
    /// A failure is slept over.
    Pausing { until: Nanos },
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub(crate) struct Classic {
    assignors: Vec<ClientAssignor>,
    protocol: RebalanceProtocol,
    state: MemberState,
    generation: Generation,
    /// Why it is to join (again), if it is.
    rejoin: Option<String>,
    /// Partitions are to be given up before it joins.
    needs_prepare: bool,
    phase: Phase,
    /// The subscription it joined with.
    joined_topics: Option<BTreeSet<Topic>>,
    is_leader: bool,
    /// What a leader knew of the group's topics when it assigned, and by which version of its view that was last compared.
    snapshot: Option<(u64, PartitionsPerTopic)>,
    /// The last assignment, for the sticky assignors.
    last: Option<LastAssignment>,
    /// The generation in which it was assigned what it has.
    owned_in: i32,
    heartbeat: Heartbeat,
}

impl Classic {
    pub(super) fn new(config: &ConsumerConfig) -> Self {
        let assignors = config.partition_assignment_strategy.0.clone();
        Classic {
            // A list of assignors has at least one.
            protocol: rebalance_protocol(&assignors).unwrap_or(RebalanceProtocol::Eager),
            assignors,
            state: MemberState::Unjoined,
            generation: Generation::none(),
            rejoin: Some(String::new()),
            needs_prepare: true,
            phase: Phase::Settled,
            joined_topics: None,
            is_leader: false,
            snapshot: None,
            last: None,
            owned_in: NO_GENERATION,
            heartbeat: Heartbeat::default(),
        }
    }

    /// A member commits in its generation, if that is settled; who reads what was assigned by hand commits in nobody's name.
    /// Source: `ConsumerCoordinator.sendOffsetCommitRequest`.
    pub(super) fn committer(&self, group: &Group) -> Result<Committer, Refusal> {
        if group.subscription.is_none() {
            return Ok(Committer { member: String::new(), generation: NO_GENERATION, instance: None });
        }
        match self.state {
            MemberState::Stable => Ok(Committer {
                member: self.generation.member.clone(),
                generation: self.generation.id,
                instance: group.instance.clone(),
            }),
            MemberState::PreparingRebalance | MemberState::CompletingRebalance => Err(Refusal::Rebalancing),
            MemberState::Unjoined => Err(Refusal::NotAMember),
        }
    }

    /// It is to join again, for that reason (`requestRejoin`).
    fn request_rejoin(&mut self, why: &str) {
        self.rejoin = Some(why.to_string());
    }
    /// It is in no generation any more, and perhaps no member (`resetStateAndRejoin`).
    fn reset(&mut self, why: &str, member_too: bool, group: &Group, cx: &mut Cx<'_, '_>) {
        let member = std::mem::take(&mut self.generation.member);
        if member_too && !member.is_empty() {
            let (group, member, why) = (group.id.clone(), member.clone(), why.to_string());
            cx.fx.record(Event::GroupLeft { group, member, why });
        }
        let member = if member_too { String::new() } else { member };
        self.generation = Generation { member, ..Generation::none() };
        self.state = MemberState::Unjoined;
        self.request_rejoin(why);
        self.needs_prepare = true;
    }

    /// Leaves the group, if it is a dynamic member: a static one is expected to come again (`maybeLeaveGroup`). What it has
    /// is given up, or lost if a rebalance is on (`onLeavePrepare`).
    pub(super) fn leave(&mut self, why: &str, group: &mut Group, cx: &mut Cx<'_, '_>) {
        let is_member = self.generation.id != NO_GENERATION && !self.generation.member.is_empty();
        match is_member && self.state == MemberState::Stable {
            true => group.revoke(self.owned_in, cx.consumer.owned().into_iter().collect(), cx),
            false => {
                group.lose_all(self.owned_in, cx);
            }
        }
        group.callbacks.forget_untold();
        self.send_leave(why, group, cx);
        self.phase = match std::mem::replace(&mut self.phase, Phase::Settled) {
            // What is under way ends by itself.
            phase @ (Phase::Joining | Phase::JoinAnswered(..) | Phase::Syncing) => phase,
            _ => Phase::Settled,
        };
    }
    fn send_leave(&mut self, why: &str, group: &mut Group, cx: &mut Cx<'_, '_>) {
        let has_joined = self.state != MemberState::Unjoined && !self.generation.member.is_empty();
        if group.instance.is_none() && group.coordinator.is_known() && has_joined {
            let request = responses::leave_request(&group.id, &self.generation.member, why);
            group.coordinator.send(cx.consumer.config.request_timeout_ms, request, GroupCall::LeaveGroup);
        }
        self.reset(why, true, group, cx);
    }

    /// When something is to be done.
    pub(super) fn wake_up(&self, wake_up: &mut WakeUp) {
        if self.heartbeats() {
            self.heartbeat.wake_ups().for_each(|at| wake_up.also_at(at));
        }
        match self.phase {
            Phase::Pausing { until } => wake_up.also_at(until),
            Phase::Committing { give_up_at, retry_at } => {
                wake_up.also_at(give_up_at);
                wake_up.also_at(retry_at);
            }
            _ => {}
        }
    }
}

/// How long JoinGroup may take: the others have the time of a rebalance to come (`sendJoinGroupRequest`).
fn join_timeout_ms(config: &ConsumerConfig) -> i64 {
    const LAPSE_MS: i64 = 5_000;
    config.request_timeout_ms.max(config.max_poll_interval_ms.saturating_add(LAPSE_MS))
}
