//! The in-sync replicas as their leader handles them: committed, or being changed by an AlterPartition in flight.
//!
//! Source: KIP-497, `PartitionState` (`CommittedPartitionState`, `PendingExpandIsr`, `PendingShrinkIsr`). At most one
//! change is in flight per partition. While it is, the *maximal* ISR counts for the high watermark: with the joiner, or
//! still with those who are to leave, since the controller may already have elected by either.

use super::leader::{LeaderState, RemoteReplica, isr_eligible};
use super::{Partition, Role};
use crate::conformance::IsrRule;
use crate::ids::BrokerId;
use crate::metadata::MetadataImage;
use crate::node::Millis;
use crate::zoo::{Switch, Zoo};

/// A member of the in-sync replicas that a leader asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsrMember {
    /// The replica.
    pub broker: BrokerId,
    /// Broker epoch of the incarnation the leader means: its own, or that of the replica's last fetch; -1 if it has not
    /// fetched in this reign.
    pub broker_epoch: i64,
}

/// See the module documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsrState {
    /// As the controller has it.
    Committed {
        /// In-sync replicas.
        isr: Vec<BrokerId>,
    },
    /// `joining` is to be added.
    PendingExpand {
        /// As last confirmed.
        isr: Vec<BrokerId>,
        /// Who is to join.
        joining: BrokerId,
        /// What the controller is asked for.
        asked: Vec<IsrMember>,
    },
    /// `leaving` are to be removed.
    PendingShrink {
        /// As last confirmed.
        isr: Vec<BrokerId>,
        /// Who is to leave.
        leaving: Vec<BrokerId>,
        /// What the controller is asked for.
        asked: Vec<IsrMember>,
    },
}

impl IsrState {
    /// As the controller last confirmed it.
    pub fn committed(&self) -> &[BrokerId] {
        match self {
            IsrState::Committed { isr } | IsrState::PendingExpand { isr, .. } | IsrState::PendingShrink { isr, .. } => {
                isr
            }
        }
    }
    /// Is a change in flight?
    pub fn is_pending(&self) -> bool {
        !matches!(self, IsrState::Committed { .. })
    }
    /// Committed plus who is joining.
    pub fn maximal(&self) -> Vec<BrokerId> {
        let mut all = self.committed().to_vec();
        if let IsrState::PendingExpand { joining, .. } = self {
            all.push(*joining);
        }
        all
    }
    /// Is this replica in the maximal ISR?
    pub fn maximal_contains(&self, broker: BrokerId) -> bool {
        self.committed().contains(&broker)
            || matches!(self, IsrState::PendingExpand { joining, .. } if *joining == broker)
    }
    /// Size of the maximal ISR.
    pub fn maximal_len(&self) -> usize {
        self.committed().len() + usize::from(matches!(self, IsrState::PendingExpand { .. }))
    }
    /// What the AlterPartition of a pending change asks for, as it stood when the change was decided; empty if none is
    /// pending.
    pub fn asked(&self) -> &[IsrMember] {
        match self {
            IsrState::Committed { .. } => &[],
            IsrState::PendingExpand { asked, .. } | IsrState::PendingShrink { asked, .. } => asked,
        }
    }
    /// Gives a pending change up: back to what was committed.
    pub fn revert(&mut self) {
        *self = IsrState::Committed { isr: self.committed().to_vec() };
    }
}

impl Partition {
    /// Begins to add a follower that has just fetched, if the rules allow (`Partition.maybeExpandIsr`): no change in
    /// flight, not a member yet, in sync, eligible. Returns true if an AlterPartition is now due.
    pub fn maybe_expand_isr(&mut self, me: IsrMember, replica: BrokerId, image: &MetadataImage, zoo: Zoo) -> bool {
        let Role::Leader(state) = &self.role else { return false };
        if state.isr.is_pending() && IsrRule::OneChangeAtATime.holds() {
            return false;
        }
        if state.isr.committed().contains(&replica) && IsrRule::MemberDoesNotJoinAgain.holds() {
            return false;
        }
        let Some(remote) = state.remote(replica) else { return false };
        if !self.is_follower_in_sync(state, remote, zoo) || !isr_eligible(image, remote, zoo) {
            return false;
        }
        let isr = state.isr.committed().to_vec();
        let asked = state.isr_with_broker_epochs(me, isr.iter().copied().chain([replica]));
        self.set_isr(IsrState::PendingExpand { isr, joining: replica, asked });
        true
    }

    /// Has the follower everything up to the high watermark *and* up to the start of this reign
    /// (`Partition.isFollowerInSync`)? Below that start lies what a predecessor may have committed though this leader
    /// does not know it (KAFKA-7128).
    fn is_follower_in_sync(&self, state: &LeaderState, remote: &RemoteReplica, zoo: Zoo) -> bool {
        let end = remote.log_end_offset;
        let reaches_epoch_start = end >= state.epoch_start_offset || zoo.on(Switch::IsrExpandBeforeLeso);
        (end >= self.high_watermark() || !IsrRule::JoinsAtTheHighWatermark.holds())
            && (reaches_epoch_start || !IsrRule::JoinsAtTheStartOfTheReign.holds())
    }

    /// Begins to remove the members that have not been caught up for `replica.lag.time.max.ms`
    /// (`Partition.maybeShrinkIsr`). Returns true if an AlterPartition is now due.
    pub fn maybe_shrink_isr(&mut self, me: IsrMember, wall: Millis, lag_time_max_ms: i64) -> bool {
        let Role::Leader(state) = &self.role else { return false };
        if state.isr.is_pending() && IsrRule::ShrinkWaitsForTheChangeInFlight.holds() {
            return false;
        }
        let leaving = self.out_of_sync_replicas(state, me.broker, wall, lag_time_max_ms);
        if leaving.is_empty() {
            return false;
        }
        let isr = state.isr.committed().to_vec();
        let asked = state.isr_with_broker_epochs(me, isr.iter().copied().filter(|b| !leaving.contains(b)));
        self.set_isr(IsrState::PendingShrink { isr, leaving, asked });
        true
    }

    /// The members besides the leader that are not caught up (`Partition.getOutOfSyncReplicas`).
    fn out_of_sync_replicas(
        &self,
        state: &LeaderState,
        me: BrokerId,
        wall: Millis,
        lag_time_max_ms: i64,
    ) -> Vec<BrokerId> {
        let log_end_offset = self.log_end_offset();
        let is_late = |broker: &BrokerId| {
            state.remote(*broker).is_none_or(|r| !r.is_caught_up(log_end_offset, wall, lag_time_max_ms))
        };
        let may_leave = |broker: &BrokerId| *broker != me || !IsrRule::LeaderNeverLeaves.holds();
        let members = state.isr.committed().iter().copied();
        members.filter(|_| IsrRule::LateMembersLeave.holds()).filter(may_leave).filter(is_late).collect()
    }

    fn set_isr(&mut self, isr: IsrState) {
        if let Role::Leader(state) = &mut self.role {
            state.isr = isr;
        }
    }
}

impl LeaderState {
    /// The members with the broker epochs of their last fetches (KIP-903, `Partition.addBrokerEpochToIsr`). Taken when a
    /// change is decided and kept through every retry: a replica that restarts meanwhile, perhaps with less in its log,
    /// is then refused by the controller, since another incarnation was meant.
    pub(in crate::broker) fn isr_with_broker_epochs(
        &self,
        me: IsrMember,
        members: impl Iterator<Item = BrokerId>,
    ) -> Vec<IsrMember> {
        members.map(|broker| IsrMember { broker, broker_epoch: self.broker_epoch_of_member(me, broker) }).collect()
    }

    /// The leader's own broker epoch for itself, that of its last fetch for another; -1 for a member that has not fetched
    /// in this reign, which the controller lets pass: had it restarted, it would have left the ISR.
    fn broker_epoch_of_member(&self, me: IsrMember, broker: BrokerId) -> i64 {
        if broker == me.broker {
            return if IsrRule::LeaderNamesItsBrokerEpoch.holds() { me.broker_epoch } else { -1 };
        }
        let last_fetched_in = self.remote(broker).and_then(|r| r.broker_epoch);
        let untold = if IsrRule::MemberThatNeverFetchedIsUntold.holds() { -1 } else { 0 };
        last_fetched_in.filter(|_| IsrRule::MembersAreNamedWithTheirLastFetch.holds()).unwrap_or(untold)
    }
}
