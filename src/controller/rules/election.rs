//! Who leads a partition, and the change record that says so. Source: `PartitionChangeBuilder`, with ELR (KIP-966) off.

use uuid::Uuid;

use super::reassignment::{
    ReassignmentReplicas, set_assignment_changes, trigger_leader_epoch_bump_for_replica_reassignment,
};
use crate::ids::{BrokerId, NO_BROKER};
use crate::metadata::{PartitionChange, PartitionRegistration};

/// `PartitionChangeRecord.LeaderRecoveryState` of a leader that was elected uncleanly (KIP-704).
pub const RECOVERING: i8 = 1;
/// `PartitionChangeRecord.LeaderRecoveryState` otherwise.
pub const RECOVERED: i8 = 0;

/// What kind of leader an election may look for (`PartitionChangeBuilder.Election`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first assigned replica if it can lead, though the present leader could too.
    Preferred,
    /// Keep the present leader, or take one from the ISR.
    Online,
    /// As `Online`, and from outside the ISR when nobody in it can lead.
    Unclean,
}

/// What an election found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Elected {
    leader: BrokerId,
    unclean: bool,
}

/// A partition and what it is to become. [`Self::build`] elects and gives the record, if anything changes.
pub struct PartitionChangeBuilder<'a> {
    topic_id: Uuid,
    index: i32,
    partition: &'a PartitionRegistration,
    is_acceptable_leader: &'a dyn Fn(BrokerId) -> bool,
    election: Election,
    target_isr: Vec<BrokerId>,
    target_recovery_state: i8,
    target_assignment: ReassignmentReplicas,
}

impl<'a> PartitionChangeBuilder<'a> {
    /// Starts from the partition as it is.
    pub fn new(
        topic_id: Uuid,
        index: i32,
        partition: &'a PartitionRegistration,
        is_acceptable_leader: &'a dyn Fn(BrokerId) -> bool,
    ) -> Self {
        PartitionChangeBuilder {
            topic_id,
            index,
            partition,
            is_acceptable_leader,
            election: Election::Online,
            target_isr: partition.isr.clone(),
            target_recovery_state: recovery_state(partition),
            target_assignment: ReassignmentReplicas::of(partition),
        }
    }
    pub fn election(mut self, election: Election) -> Self {
        self.election = election;
        self
    }
    pub fn target_isr(mut self, isr: Vec<BrokerId>) -> Self {
        self.target_isr = isr;
        self
    }
    pub fn target_recovery_state(mut self, state: i8) -> Self {
        self.target_recovery_state = state;
        self
    }

    pub fn target_assignment(mut self, assignment: ReassignmentReplicas) -> Self {
        self.target_assignment = assignment;
        self
    }

    /// The record, or `None` if nothing changes. Source: `PartitionChangeBuilder.build`.
    pub fn build(mut self) -> Option<PartitionChange> {
        let mut change =
            PartitionChange { topic_id: self.topic_id, partition: self.index, ..PartitionChange::default() };
        self.complete_reassignment_if_needed();
        self.try_election(&mut change);
        let replicas = &self.target_assignment.replicas;
        trigger_leader_epoch_bump_for_replica_reassignment(&mut change, self.partition, replicas);
        self.keep_last_isr_member(&mut change);
        if self.target_recovery_state != recovery_state(self.partition) {
            change.leader_recovery_state = Some(self.target_recovery_state);
        }
        set_assignment_changes(&mut change, self.partition, &self.target_assignment);
        let nothing = PartitionChange { topic_id: self.topic_id, partition: self.index, ..PartitionChange::default() };
        (change != nothing).then_some(change)
    }

    /// The ISR that is to be may end a reassignment, whatever the change was asked for.
    /// Source: `PartitionChangeBuilder.completeReassignmentIfNeeded`.
    fn complete_reassignment_if_needed(&mut self) {
        if let Some((assignment, isr)) = self.target_assignment.maybe_complete(&self.target_isr) {
            self.target_assignment = assignment;
            self.target_isr = isr;
        }
    }

    /// Sets the leader only when another is elected, for setting it raises the leader epoch
    /// (`PartitionRegistration.merge`): neither an ISR change alone nor an election that confirms the leader does. An
    /// unclean election makes its winner the only in-sync replica. Source: `PartitionChangeBuilder.tryElection`.
    fn try_election(&self, change: &mut PartitionChange) {
        let elected = self.elect_leader();
        if elected.leader == self.partition.leader {
            return;
        }
        change.leader = Some(elected.leader);
        if elected.unclean {
            change.isr = Some(vec![elected.leader]);
            if !self.partition.recovering {
                change.leader_recovery_state = Some(RECOVERING);
            }
        }
    }

    /// With ELR off the ISR is never left empty: its last member stays in it, leader or not, because it alone is known
    /// to have every committed record. Source: `PartitionChangeBuilder.build`.
    fn keep_last_isr_member(&self, change: &mut PartitionChange) {
        if change.isr.is_none() && !self.target_isr.is_empty() && self.target_isr != self.partition.isr {
            change.isr = Some(self.target_isr.clone());
        }
    }

    fn elect_leader(&self) -> Elected {
        match self.election {
            Election::Preferred => self.elect_preferred_leader(),
            Election::Online | Election::Unclean => self.elect_any_leader(),
        }
    }

    /// The preferred replica, else the present leader, else the first in assignment order that is valid, else nobody.
    /// Source: `PartitionChangeBuilder.electPreferredLeader`.
    fn elect_preferred_leader(&self) -> Elected {
        let preferred = self.target_assignment.replicas.first().copied();
        let leader = preferred
            .filter(|replica| self.is_valid_new_leader(*replica))
            .or_else(|| self.present_leader_if_valid())
            .or_else(|| self.first_valid_replica());
        Elected { leader: leader.unwrap_or(NO_BROKER), unclean: false }
    }

    /// The present leader if it is valid, else the first valid replica in assignment order, else, if unclean elections
    /// are allowed, the first that is acceptable at all, else nobody. Source: `PartitionChangeBuilder.electAnyLeader`.
    fn elect_any_leader(&self) -> Elected {
        if let Some(leader) = self.present_leader_if_valid().or_else(|| self.first_valid_replica()) {
            return Elected { leader, unclean: false };
        }
        if self.election == Election::Unclean
            && let Some(leader) =
                self.target_assignment.replicas.iter().copied().find(|r| (self.is_acceptable_leader)(*r))
        {
            return Elected { leader, unclean: true };
        }
        Elected { leader: NO_BROKER, unclean: false }
    }

    fn present_leader_if_valid(&self) -> Option<BrokerId> {
        Some(self.partition.leader).filter(|leader| self.is_valid_new_leader(*leader))
    }
    fn first_valid_replica(&self) -> Option<BrokerId> {
        self.target_assignment.replicas.iter().copied().find(|replica| self.is_valid_new_leader(*replica))
    }

    /// In the ISR that is to be, and acceptable (registered, neither fenced nor shutting down).
    /// Source: `PartitionChangeBuilder.isValidNewLeader`.
    fn is_valid_new_leader(&self, replica: BrokerId) -> bool {
        self.target_isr.contains(&replica) && (self.is_acceptable_leader)(replica)
    }
}

fn recovery_state(partition: &PartitionRegistration) -> i8 {
    if partition.recovering { RECOVERING } else { RECOVERED }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(leader: BrokerId, isr: &[BrokerId]) -> PartitionRegistration {
        PartitionRegistration {
            replicas: vec![1, 2, 3],
            isr: isr.to_vec(),
            elr: vec![],
            last_known_elr: vec![],
            leader,
            leader_epoch: 5,
            partition_epoch: 7,
            recovering: false,
            removing_replicas: vec![],
            adding_replicas: vec![],
        }
    }
    /// Leader, ISR and recovery state of a change.
    type Change = (Option<BrokerId>, Option<Vec<BrokerId>>, Option<i8>);

    fn change(
        partition: &PartitionRegistration,
        alive: &[BrokerId],
        election: Election,
        target_isr: &[BrokerId],
    ) -> Option<Change> {
        let acceptable = |broker| alive.contains(&broker);
        PartitionChangeBuilder::new(Uuid::nil(), 0, partition, &acceptable)
            .election(election)
            .target_isr(target_isr.to_vec())
            .build()
            .map(|c| (c.leader, c.isr, c.leader_recovery_state))
    }

    #[test]
    fn a_valid_leader_is_kept_although_it_is_not_preferred() {
        assert_eq!(change(&partition(2, &[1, 2, 3]), &[1, 2, 3], Election::Online, &[1, 2, 3]), None);
        let shrunk = change(&partition(2, &[1, 2, 3]), &[1, 2, 3], Election::Online, &[2]);
        assert_eq!(shrunk, Some((None, Some(vec![2]), None)), "an ISR change alone leaves the leader epoch alone");
    }

    #[test]
    fn the_first_valid_replica_in_assignment_order_wins() {
        let elected = change(&partition(1, &[3, 2, 1]), &[2, 3], Election::Online, &[3, 2]);
        assert_eq!(elected, Some((Some(2), Some(vec![3, 2]), None)));
    }

    #[test]
    fn the_preferred_replica_takes_over_only_from_inside_the_isr() {
        assert_eq!(change(&partition(2, &[1, 2]), &[1, 2], Election::Preferred, &[1, 2]), Some((Some(1), None, None)));
        assert_eq!(change(&partition(2, &[2]), &[1, 2], Election::Preferred, &[2]), None);
    }

    #[test]
    fn the_last_isr_member_stays_in_the_isr_without_leading() {
        assert_eq!(change(&partition(1, &[1]), &[2, 3], Election::Online, &[]), Some((Some(-1), None, None)));
        assert_eq!(change(&partition(-1, &[1]), &[2, 3], Election::Online, &[1]), None);
    }

    #[test]
    fn an_unclean_winner_is_the_only_in_sync_replica_and_recovers() {
        let elected = change(&partition(1, &[1]), &[3, 2], Election::Unclean, &[]);
        assert_eq!(elected, Some((Some(2), Some(vec![2]), Some(RECOVERING))));
        let clean = change(&partition(1, &[1, 3]), &[3, 2], Election::Unclean, &[3]);
        assert_eq!(clean, Some((Some(3), Some(vec![3]), None)), "the ISR comes first even if unclean is allowed");
    }
}
