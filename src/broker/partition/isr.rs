//! The in-sync replicas as their leader handles them: committed, or being changed by an AlterPartition in flight.
//!
//! Source: KIP-497, `PartitionState` (`CommittedPartitionState`, `PendingExpandIsr`, `PendingShrinkIsr`). At most one
//! change is in flight per partition. While it is, the *maximal* ISR counts for the high watermark: with the joiner, or
//! still with those who are to leave, since the controller may already have elected by either.

use super::leader::{LeaderState, isr_eligible};
use super::{Partition, Role};
use crate::ids::BrokerId;
use crate::metadata::MetadataImage;
use crate::node::Millis;
use crate::zoo::{Switch, Zoo};

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
    },
    /// `leaving` are to be removed.
    PendingShrink {
        /// As last confirmed.
        isr: Vec<BrokerId>,
        /// Who is to leave.
        leaving: Vec<BrokerId>,
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
    /// What an AlterPartition of this state asks for; the committed ISR if none is pending.
    pub fn asked(&self) -> Vec<BrokerId> {
        match self {
            IsrState::PendingShrink { isr, leaving } => isr.iter().copied().filter(|b| !leaving.contains(b)).collect(),
            _ => self.maximal(),
        }
    }
    /// Gives a pending change up: back to what was committed.
    pub fn revert(&mut self) {
        *self = IsrState::Committed { isr: self.committed().to_vec() };
    }
}

impl Partition {
    /// Begins to add a follower that has just fetched, if the rules allow (`Partition.maybeExpandIsr`): no change in
    /// flight, not a member yet, eligible, and it has everything up to the high watermark *and* up to the start of this
    /// reign: below that lies what a predecessor may have committed though this leader does not know it (KAFKA-7128).
    /// Returns true if an AlterPartition is now due.
    pub fn maybe_expand_isr(&mut self, replica: BrokerId, image: &MetadataImage, zoo: Zoo) -> bool {
        let high_watermark = self.high_watermark();
        let Role::Leader(state) = &mut self.role else { return false };
        if state.isr.is_pending() || state.isr.committed().contains(&replica) {
            return false;
        }
        let Some(remote) = state.remote(replica) else { return false };
        let reaches_epoch_start =
            remote.log_end_offset >= state.epoch_start_offset || zoo.on(Switch::IsrExpandBeforeLeso);
        if remote.log_end_offset < high_watermark || !reaches_epoch_start || !isr_eligible(image, remote) {
            return false;
        }
        state.isr = IsrState::PendingExpand { isr: state.isr.committed().to_vec(), joining: replica };
        true
    }

    /// Begins to remove the members that have not been caught up for `replica.lag.time.max.ms`
    /// (`Partition.maybeShrinkIsr`, `getOutOfSyncReplicas`). Returns true if an AlterPartition is now due.
    pub fn maybe_shrink_isr(&mut self, me: BrokerId, wall: Millis, lag_time_max_ms: i64) -> bool {
        let log_end_offset = self.log_end_offset();
        let Role::Leader(state) = &mut self.role else { return false };
        if state.isr.is_pending() {
            return false;
        }
        let is_late = |broker: &BrokerId| {
            state.remote(*broker).is_none_or(|r| !r.is_caught_up(log_end_offset, wall, lag_time_max_ms))
        };
        let leaving: Vec<BrokerId> =
            state.isr.committed().iter().copied().filter(|b| *b != me).filter(is_late).collect();
        if leaving.is_empty() {
            return false;
        }
        state.isr = IsrState::PendingShrink { isr: state.isr.committed().to_vec(), leaving };
        true
    }
}

impl LeaderState {
    /// Broker epoch to claim for a member in AlterPartition: the one of its last fetch, -1 if it never fetched in this
    /// reign (KIP-903).
    pub fn claimed_broker_epoch(&self, member: BrokerId, me: BrokerId, my_epoch: i64) -> i64 {
        if member == me { my_epoch } else { self.remote(member).and_then(|r| r.broker_epoch).unwrap_or(-1) }
    }
}
