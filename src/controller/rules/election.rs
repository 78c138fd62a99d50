//! Who leads a partition, and the change record that says so. Source: `PartitionChangeBuilder`, KIP-966.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::reassignment::{
    ReassignmentReplicas, set_assignment_changes, trigger_leader_epoch_bump_for_isr_shrink,
    trigger_leader_epoch_bump_for_replica_reassignment,
};
use crate::conformance::PartitionRule;
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
    /// Keep the present leader, or take one from the ISR (or the ELR).
    Online,
    /// As `Online`, and from outside them when nobody in them can lead.
    Unclean,
}

/// What the feature `eligible.leader.replicas.version` means for one partition (KIP-966).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EligibleLeaders {
    /// No ELR: the last member of the ISR stays in it.
    Off,
    /// Replicas that leave an ISR below this size stay eligible.
    On {
        /// The topic's effective `min.insync.replicas`.
        min_isr: usize,
        /// The zoo switch `elect-fenced-last-known-leader` is on.
        fenced_last_known_leader: bool,
        /// The zoo switch `removed-replica-stays-eligible` is on.
        removed_replicas_stay: bool,
    },
}

impl EligibleLeaders {
    fn is_on(self) -> bool {
        self != EligibleLeaders::Off
    }
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
    eligible_leaders: EligibleLeaders,
    is_acceptable_leader: &'a dyn Fn(BrokerId) -> bool,
    election: Election,
    target_isr: Vec<BrokerId>,
    target_elr: Vec<BrokerId>,
    unclean_shutdown: Option<BrokerId>,
    target_recovery_state: i8,
    target_assignment: ReassignmentReplicas,
    bumps_on_shrink: bool,
}

impl<'a> PartitionChangeBuilder<'a> {
    /// Starts from the partition as it is.
    pub fn new(
        topic_id: Uuid,
        index: i32,
        partition: &'a PartitionRegistration,
        eligible_leaders: EligibleLeaders,
        is_acceptable_leader: &'a dyn Fn(BrokerId) -> bool,
    ) -> Self {
        PartitionChangeBuilder {
            topic_id,
            index,
            partition,
            eligible_leaders,
            is_acceptable_leader,
            election: Election::Online,
            target_isr: partition.isr.clone(),
            target_elr: partition.elr.clone(),
            unclean_shutdown: None,
            target_recovery_state: recovery_state(partition),
            target_assignment: ReassignmentReplicas::of(partition),
            bumps_on_shrink: false,
        }
    }
    /// As before metadata version 3.6: see [`trigger_leader_epoch_bump_for_isr_shrink`].
    pub fn bumps_on_shrink(mut self, bumps: bool) -> Self {
        self.bumps_on_shrink = bumps;
        self
    }
    pub fn election(mut self, election: Election) -> Self {
        self.election = election;
        self
    }
    pub fn target_isr(mut self, isr: Vec<BrokerId>) -> Self {
        self.target_isr = isr;
        self
    }
    /// This replica may have lost data and is eligible no longer.
    pub fn unclean_shutdown(mut self, replica: Option<BrokerId>) -> Self {
        self.unclean_shutdown = replica;
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
        self.populate_target_elr();
        self.try_election(&mut change);
        let replicas = &self.target_assignment.replicas;
        trigger_leader_epoch_bump_for_replica_reassignment(&mut change, self.partition, replicas);
        if self.bumps_on_shrink {
            trigger_leader_epoch_bump_for_isr_shrink(&mut change, self.partition, &self.target_isr);
        }
        self.update_elr(&mut change);
        self.update_isr(&mut change);
        self.update_last_known_leader(&mut change);
        set_assignment_changes(&mut change, self.partition, &self.target_assignment);
        let recovers = self.target_recovery_state != recovery_state(self.partition);
        if recovers && PartitionRule::RecoveryEndsAtTheLeadersWord.holds() {
            change.leader_recovery_state = Some(self.target_recovery_state);
        }
        let unchanged =
            PartitionChange { topic_id: self.topic_id, partition: self.index, ..PartitionChange::default() };
        (change != unchanged).then_some(change)
    }

    /// The ISR that is to be may end a reassignment, whatever the change was asked for.
    /// Source: `PartitionChangeBuilder.completeReassignmentIfNeeded`.
    fn complete_reassignment_if_needed(&mut self) {
        if let Some((assignment, isr)) = self.target_assignment.maybe_complete(&self.target_isr) {
            self.target_assignment = assignment;
            self.target_isr = isr;
        }
    }

    /// An ISR of at least `min.insync.replicas` members needs no ELR: the high watermark goes on without the others.
    /// Below that it stands still, so whoever leaves the ISR keeps every committed record and stays eligible, unless its
    /// broker stopped uncleanly. Source: KIP-966, `PartitionChangeBuilder.maybePopulateTargetElr`.
    ///
    /// Here we do not do as Kafka does (seen in its source on the way to 4.0), which keeps a replica eligible that the same
    /// change takes out of the assignment: its broker deletes the log, and when it is assigned again it may be elected
    /// "cleanly", with nothing.
    fn populate_target_elr(&mut self) {
        let EligibleLeaders::On { min_isr, removed_replicas_stay, .. } = self.eligible_leaders else { return };
        if self.target_isr.len() >= min_isr && PartitionRule::LargeIsrNeedsNoElr.holds() {
            self.target_elr.clear();
            return;
        }
        let leavers = self.partition.isr.iter().filter(|_| PartitionRule::LeaversOfASmallIsrStayEligible.holds());
        let eligible = self.target_elr.iter().filter(|_| PartitionRule::EligibleReplicasStaySo.holds());
        let candidates: BTreeSet<BrokerId> = eligible.chain(leavers).copied().collect();
        let is_outside =
            |replica: &BrokerId| !self.target_isr.contains(replica) || !PartitionRule::ElrAndIsrAreDisjoint.holds();
        let has_all = |replica: &BrokerId| {
            self.unclean_shutdown != Some(*replica) || !PartitionRule::UncleanStopEndsEligibility.holds()
        };
        let assigned = &self.target_assignment.replicas;
        let removed_stay = removed_replicas_stay || !PartitionRule::RemovedReplicaIsNotEligible.holds();
        let is_assigned = |replica: &BrokerId| removed_stay || assigned.contains(replica);
        let is_eligible = |replica: &BrokerId| is_outside(replica) && has_all(replica) && is_assigned(replica);
        self.target_elr = candidates.into_iter().filter(is_eligible).collect();
    }

    /// Sets the leader only when another is elected, for setting it raises the leader epoch
    /// (`PartitionRegistration.merge`): neither an ISR change alone nor an election that confirms the leader does. A
    /// winner from the ELR leaves it and is the ISR; an unclean winner is the ISR too, and has to recover.
    /// Source: `PartitionChangeBuilder.tryElection`.
    fn try_election(&mut self, change: &mut PartitionChange) {
        let elected = self.elect_leader();
        if elected.leader == self.partition.leader && PartitionRule::ConfirmedLeaderIsNotSet.holds() {
            return;
        }
        if self.target_elr.contains(&elected.leader) && PartitionRule::EligibleWinnerIsTheIsr.holds() {
            self.target_isr = vec![elected.leader];
            self.target_elr.retain(|replica| *replica != elected.leader);
        }
        change.leader = Some(elected.leader);
        if elected.unclean {
            if PartitionRule::UncleanWinnerIsTheIsr.holds() {
                change.isr = Some(vec![elected.leader]);
            }
            if !self.partition.recovering && PartitionRule::UncleanWinnerRecovers.holds() {
                change.leader_recovery_state = Some(RECOVERING);
            }
        }
    }

    /// An unclean election, and switching the feature off, clear the ELR: its members may have more than the new leader.
    /// Source: `PartitionChangeBuilder.maybeUpdateRecordElr`.
    fn update_elr(&mut self, change: &mut PartitionChange) {
        let was_unclean = change.isr.is_some() && PartitionRule::UncleanElectionClearsElr.holds();
        let is_off = !self.eligible_leaders.is_on() && PartitionRule::NoFeatureNoElr.holds();
        if was_unclean || is_off {
            self.target_elr.clear();
        }
        if self.target_elr != self.partition.elr {
            change.eligible_leader_replicas = Some(self.target_elr.clone());
        }
    }

    /// With ELR on the ISR may become empty. With ELR off its last member stays in it, leader or not, because it alone is
    /// known to have every committed record. Source: `PartitionChangeBuilder.build`.
    fn update_isr(&self, change: &mut PartitionChange) {
        let may_be_empty = match self.eligible_leaders.is_on() {
            true => PartitionRule::IsrMayBecomeEmptyWithElr.holds(),
            false => !PartitionRule::LastMemberStaysWithoutElr.holds(),
        };
        let may_be_set = !self.target_isr.is_empty() || may_be_empty;
        if change.isr.is_none() && may_be_set && self.target_isr != self.partition.isr {
            change.isr = Some(self.target_isr.clone());
        }
    }

    /// The field LastKnownElr holds the last leader from when the ISR becomes empty until there is a leader again.
    /// Source: KIP-966, `PartitionChangeBuilder.maybeUpdateLastKnownLeader`.
    fn update_last_known_leader(&self, change: &mut PartitionChange) {
        if !self.eligible_leaders.is_on() {
            return;
        }
        let known = &self.partition.last_known_elr;
        let last_leader = self.partition.leader;
        let is_empty = change.isr.as_ref().is_some_and(Vec::is_empty) && *known != [last_leader];
        if is_empty && PartitionRule::LastLeaderIsRemembered.holds() {
            change.last_known_elr = Some(vec![last_leader]);
        } else if change.leader.unwrap_or(last_leader) != NO_BROKER
            && !known.is_empty()
            && PartitionRule::LastLeaderIsForgottenAtAnElection.holds()
        {
            change.last_known_elr = Some(Vec::new());
        }
    }

    fn elect_leader(&self) -> Elected {
        match self.election {
            Election::Preferred => self.elect_preferred_leader(),
            Election::Online | Election::Unclean => self.elect_any_leader(),
        }
    }

    /// The preferred replica, else the present leader, else the first in assignment order that is valid, else the last
    /// known leader, else nobody. Source: `PartitionChangeBuilder.electPreferredLeader`.
    fn elect_preferred_leader(&self) -> Elected {
        let preferred = self.target_assignment.replicas.first().copied();
        let leader = preferred
            .filter(|replica| self.is_valid_new_leader(*replica) && PartitionRule::PreferredReplicaFirst.holds())
            .or_else(|| self.present_leader_if_valid())
            .or_else(|| self.first_valid_replica());
        match leader {
            Some(leader) => Elected { leader, unclean: false },
            None => self.last_known_leader().unwrap_or(Elected { leader: NO_BROKER, unclean: false }),
        }
    }

    /// The present leader if it is valid, else the first valid replica in assignment order, else the last known leader,
    /// else, if unclean elections are allowed, the first that is acceptable at all, else nobody.
    /// Source: `PartitionChangeBuilder.electAnyLeader`.
    fn elect_any_leader(&self) -> Elected {
        if let Some(leader) = self.present_leader_if_valid().or_else(|| self.first_valid_replica()) {
            return Elected { leader, unclean: false };
        }
        if let Some(elected) = self.last_known_leader() {
            return elected;
        }
        let is_allowed = self.election == Election::Unclean || !PartitionRule::UncleanOnlyWhereAllowed.holds();
        let is_acceptable =
            |replica: &BrokerId| (self.is_acceptable_leader)(*replica) || !PartitionRule::UncleanWinnerIsAlive.holds();
        if is_allowed && let Some(leader) = self.target_assignment.replicas.iter().copied().find(is_acceptable) {
            return Elected { leader, unclean: true };
        }
        let nobody = if PartitionRule::NobodyMeansNoLeader.holds() { NO_BROKER } else { self.partition.leader };
        Elected { leader: nobody, unclean: false }
    }

    fn present_leader_if_valid(&self) -> Option<BrokerId> {
        let stays = |leader: &BrokerId| self.is_valid_new_leader(*leader) && PartitionRule::ValidLeaderStays.holds();
        Some(self.partition.leader).filter(stays)
    }
    fn first_valid_replica(&self) -> Option<BrokerId> {
        let replicas = match PartitionRule::AssignmentOrderDecides.holds() {
            true => &self.target_assignment.replicas,
            false => &self.target_isr,
        };
        replicas.iter().copied().find(|replica| self.is_valid_new_leader(*replica))
    }

    /// With neither ISR nor ELR left, whoever led last most likely has most: it is elected without an administrator's
    /// word, as an unclean leader. It must be acceptable (KAFKA-19522); the zoo switch `elect-fenced-last-known-leader`
    /// brings back that it need not. Source: KIP-966, `PartitionChangeBuilder.canElectLastKnownLeader`.
    fn last_known_leader(&self) -> Option<Elected> {
        let EligibleLeaders::On { fenced_last_known_leader, .. } = self.eligible_leaders else { return None };
        let somebody_is_left = !self.target_isr.is_empty() || !self.target_elr.is_empty();
        if somebody_is_left && PartitionRule::LastKnownLeaderComesLast.holds() {
            return None;
        }
        let leader = match self.partition.last_known_elr[..] {
            [leader] => leader,
            [first, _, ..] if !PartitionRule::LastKnownLeaderIsOne.holds() => first,
            _ => return None,
        };
        let acceptable = fenced_last_known_leader
            || (self.is_acceptable_leader)(leader)
            || !PartitionRule::LastKnownLeaderIsAlive.holds();
        (acceptable && PartitionRule::LastKnownLeaderLeads.holds()).then_some(Elected { leader, unclean: true })
    }

    /// Acceptable (registered, neither fenced nor shutting down), and in the ISR that is to be or, if that is empty, in
    /// the ELR. Source: `PartitionChangeBuilder.isValidNewLeader`.
    fn is_valid_new_leader(&self, replica: BrokerId) -> bool {
        let elr_counts = self.target_isr.is_empty() && PartitionRule::EligibleLeaderLeadsWithoutIsr.holds();
        let among = if elr_counts { &self.target_elr } else { &self.target_isr };
        (among.contains(&replica) || !PartitionRule::LeaderIsInSync.holds())
            && ((self.is_acceptable_leader)(replica) || !PartitionRule::LeaderIsAlive.holds())
    }
}

fn recovery_state(partition: &PartitionRegistration) -> i8 {
    if partition.recovering { RECOVERING } else { RECOVERED }
}
