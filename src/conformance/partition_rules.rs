//! 4.6: what the controller makes of partitions.

use super::rules;

rules! {
    /// How partitions change: epochs, AlterPartition, elections, eligible leader replicas.
    PartitionRule: "4.6", "Controller: partition state";

    "Epochs of a partition" {
        PartitionEpochRises: "Each change record raises the partition epoch by one.",
            "`PartitionRegistration.merge`",
            "controller::tests::partitions::the_leader_shrinks_and_expands_its_isr";
        LeaderEpochRisesWithTheLeader: "A record that sets the leader, to whomever, raises the leader epoch by one.",
            "`PartitionRegistration.merge`",
            "controller::tests::brokers::a_silent_leader_is_fenced_and_the_next_in_sync_replica_leads";
        LeaderEpochRisesOnlyWithTheLeader: "A record that does not set the leader leaves the leader epoch alone.",
            "`PartitionRegistration.merge`",
            "controller::tests::partitions::the_leader_shrinks_and_expands_its_isr";
        LeaderEpochRisesWhenAReplicaLeaves: "A reassignment that takes a replica out of the assignment raises the leader epoch, the leader staying.",
            "`PartitionChangeBuilder.triggerLeaderEpochBumpForReplicaReassignmentIfNeeded`",
            "controller::tests::admin::a_reassignment_does_not_end_while_a_target_replica_is_out_of_sync";
        ConfirmedLeaderIsNotSet: "A change of the ISR, or an election that confirms the leader, does not set it.",
            "`PartitionChangeBuilder.tryElection`",
            "controller::tests::change_builder::elections_from_the_isr";
    }
    "Checks of AlterPartition, in their order" {
        SenderIsRegistered: "The sender's broker epoch must be the registered one: STALE_BROKER_EPOCH for the whole request.",
            "`ClusterControlManager.checkBrokerEpoch`",
            "controller::tests::partitions::an_unknown_topic_and_a_stale_sender_are_refused";
        TopicIsKnown: "An unknown topic id is answered with UNKNOWN_TOPIC_ID.",
            "`ReplicationControlManager.alterPartition`",
            "controller::tests::partitions::an_unknown_topic_and_a_stale_sender_are_refused";
        PartitionIsKnown: "An unknown partition is answered with UNKNOWN_TOPIC_OR_PARTITION.",
            "`ReplicationControlManager.validateAlterPartitionData`",
            "controller::tests::partitions::checks_come_in_kafkas_order";
        FutureLeaderEpochIsForAnotherController: "A leader epoch that this controller has not given: NOT_CONTROLLER.",
            "`ReplicationControlManager.validateAlterPartitionData`",
            "controller::tests::partitions::a_future_leader_epoch_is_for_another_controller";
        FuturePartitionEpochIsForAnotherController: "A partition epoch that this controller has not given: NOT_CONTROLLER.",
            "`ReplicationControlManager.validateAlterPartitionData`",
            "controller::tests::partitions::checks_come_in_kafkas_order";
        OldLeaderEpochIsFenced: "An older leader epoch: FENCED_LEADER_EPOCH.",
            "`ReplicationControlManager.validateAlterPartitionData`",
            "controller::tests::partitions::checks_come_in_kafkas_order";
        SenderLeads: "A sender that does not lead the partition: INVALID_REQUEST.",
            "`ReplicationControlManager.validateAlterPartitionData`",
            "controller::tests::partitions::checks_come_in_kafkas_order";
        PartitionEpochIsCompareAndSet: "An older partition epoch: INVALID_UPDATE_VERSION, and nothing changes.",
            "KIP-497, `ReplicationControlManager.validateAlterPartitionData`",
            "controller::tests::partitions::checks_come_in_kafkas_order";
        IsrIsOfReplicas: "The new ISR is not empty, names nobody twice and only assigned replicas, else INVALID_REQUEST.",
            "`Replicas.validateIsr`",
            "controller::tests::partitions::fenced_stopping_and_repeated_members_are_not_let_in";
        IsrHasTheLeader: "The new ISR contains the leader, else INVALID_REQUEST.",
            "`ReplicationControlManager.validateAlterPartitionData`",
            "controller::tests::partitions::fenced_stopping_and_repeated_members_are_not_let_in";
        RecoveringLeaderIsAlone: "A leader that recovers from an unclean election is alone in the ISR, else INVALID_REQUEST.",
            "KIP-704, `ReplicationControlManager.validateAlterPartitionData`",
            "controller::tests::one_by_one::a_leader_that_recovers_is_alone";
        RecoveredLeaderStaysSo: "A recovered leader does not go back to recovering: INVALID_REQUEST.",
            "KIP-704, `ReplicationControlManager.validateAlterPartitionData`",
            "controller::tests::one_by_one::a_recovered_leader_does_not_go_back";
        UnregisteredReplicaIsIneligible: "A replica that is not registered is not admitted: INELIGIBLE_REPLICA.",
            "KIP-841, `ReplicationControlManager.ineligibleReplicasForIsr`",
            "controller::tests::one_by_one::a_replica_that_is_not_registered_is_not_let_in";
        FencedReplicaIsIneligible: "A fenced replica is not admitted: INELIGIBLE_REPLICA.",
            "KIP-841, `ReplicationControlManager.ineligibleReplicasForIsr`",
            "controller::tests::partitions::fenced_stopping_and_repeated_members_are_not_let_in";
        StoppingReplicaIsIneligible: "A replica in controlled shutdown is not admitted: INELIGIBLE_REPLICA.",
            "KIP-841, `ReplicationControlManager.ineligibleReplicasForIsr`",
            "controller::tests::partitions::fenced_stopping_and_repeated_members_are_not_let_in";
        OtherIncarnationIsIneligible: "A replica that the leader heard of under another broker epoch is not admitted: INELIGIBLE_REPLICA.",
            "KIP-903, `ReplicationControlManager.ineligibleReplicasForIsr`",
            "controller::tests::partitions::checks_come_in_kafkas_order";
        UntoldIncarnationIsAdmitted: "A replica whose broker epoch the leader does not know (-1) is admitted.",
            "KIP-903, `ReplicationControlManager.ineligibleReplicasForIsr`",
            "controller::tests::one_by_one::a_replica_whose_incarnation_is_not_told_is_let_in";
        RecoveryEndsAtTheLeadersWord: "A leader that says it has recovered has recovered.",
            "KIP-704, `PartitionChangeBuilder.build`",
            "controller::tests::partitions::with_unclean_election_the_out_of_sync_replica_leads_and_recovers";
    }
    "The end of a reassignment" {
        ReassignmentEndsWithAllTargetsInSync: "A reassignment ends when every target replica is in the ISR.",
            "KAFKA-15665, `PartitionReassignmentReplicas.maybeCompleteReassignment`",
            "controller::tests::admin::a_reassignment_does_not_end_while_a_target_replica_is_out_of_sync";
        WhoLeavesTheAssignmentLeavesTheIsr: "Who leaves the assignment leaves the ISR with it, with an election if it led.",
            "`PartitionReassignmentReplicas.maybeCompleteReassignment`",
            "controller::tests::admin::a_partition_moves_when_the_new_replica_is_in_sync_and_its_leader_must_learn_of_it";
        ChangeThatMovesTheLeaderIsApplied: "An AlterPartition that ends a reassignment and moves the leader is applied.",
            "`ReplicationControlManager.alterPartition`",
            "controller::tests::admin::a_partition_moves_when_the_new_replica_is_in_sync_and_its_leader_must_learn_of_it";
        SenderLearnsThatTheLeaderMoved: "And its sender is told NEW_LEADER_ELECTED.",
            "`ReplicationControlManager.alterPartition`",
            "controller::tests::admin::a_partition_moves_when_the_new_replica_is_in_sync_and_its_leader_must_learn_of_it";
    }
    "Elections" {
        ValidLeaderStays: "A leader that is valid stays, preferred or not.",
            "`PartitionChangeBuilder.electAnyLeader`",
            "controller::tests::change_builder::elections_from_the_isr";
        LeaderIsAlive: "A leader is registered, not fenced and not shutting down.",
            "`PartitionChangeBuilder.isValidNewLeader`",
            "controller::tests::change_builder::the_isr_may_become_empty_and_the_elr_wins_then";
        LeaderIsInSync: "A leader is in the ISR that is to be.",
            "`PartitionChangeBuilder.isValidNewLeader`",
            "controller::tests::change_builder::elections_from_the_isr";
        EligibleLeaderLeadsWithoutIsr: "With an empty ISR an eligible leader replica is as good.",
            "KIP-966, `PartitionChangeBuilder.isValidNewLeader`",
            "controller::tests::change_builder::the_isr_may_become_empty_and_the_elr_wins_then";
        AssignmentOrderDecides: "Of several valid replicas the first in the order of assignment wins.",
            "`PartitionChangeBuilder.electAnyLeader`",
            "controller::tests::change_builder::elections_from_the_isr";
        PreferredReplicaFirst: "A preferred election takes the first assigned replica if it is valid, though the leader is too.",
            "`PartitionChangeBuilder.electPreferredLeader`",
            "controller::tests::change_builder::elections_from_the_isr";
        LastKnownLeaderLeads: "With ISR and ELR empty the last known leader is elected, uncleanly.",
            "KIP-966, `PartitionChangeBuilder.canElectLastKnownLeader`",
            "controller::tests::change_builder::the_last_known_leader_leads_when_nobody_is_left";
        LastKnownLeaderComesLast: "The last known leader has to wait while anybody is in sync or eligible.",
            "KIP-966, `PartitionChangeBuilder.canElectLastKnownLeader`",
            "controller::tests::change_builder::the_last_known_leader_leads_when_nobody_is_left";
        LastKnownLeaderIsOne: "Only a single name is a last known leader.",
            "KIP-966, `PartitionChangeBuilder.canElectLastKnownLeader`",
            "controller::tests::change_builder::the_last_known_leader_leads_when_nobody_is_left";
        LastKnownLeaderIsAlive: "A last known leader that is fenced is not elected.",
            "KAFKA-19522, `PartitionChangeBuilder.canElectLastKnownLeader`",
            "controller::tests::change_builder::the_last_known_leader_leads_when_nobody_is_left";
        UncleanOnlyWhereAllowed: "A replica that is neither in sync nor eligible is elected only where unclean elections are allowed.",
            "`PartitionChangeBuilder.electAnyLeader`",
            "controller::tests::change_builder::the_isr_may_become_empty_and_the_elr_wins_then";
        UncleanWinnerIsAlive: "An unclean election takes the first assigned replica that is alive.",
            "`PartitionChangeBuilder.electAnyLeader`",
            "controller::tests::change_builder::the_last_known_leader_leads_when_nobody_is_left";
        UncleanWinnerIsTheIsr: "An unclean winner is the whole ISR.",
            "`PartitionChangeBuilder.tryElection`",
            "controller::tests::change_builder::with_elr_off_the_last_member_stays_in_the_isr";
        UncleanWinnerRecovers: "An unclean winner has to recover.",
            "KIP-704, `PartitionChangeBuilder.tryElection`",
            "controller::tests::change_builder::with_elr_off_the_last_member_stays_in_the_isr";
        NobodyMeansNoLeader: "With nobody to elect the leader is -1.",
            "`PartitionChangeBuilder.electAnyLeader`",
            "controller::tests::change_builder::with_elr_off_the_last_member_stays_in_the_isr";
    }
    "Eligible leader replicas" {
        LargeIsrNeedsNoElr: "An ISR of at least min.insync.replicas empties the ELR.",
            "KIP-966, `PartitionChangeBuilder.maybePopulateTargetElr`",
            "controller::tests::change_builder::who_leaves_an_isr_that_is_too_small_stays_eligible";
        LeaversOfASmallIsrStayEligible: "Who leaves an ISR that is below min.insync.replicas stays eligible.",
            "KIP-966, `PartitionChangeBuilder.maybePopulateTargetElr`",
            "controller::tests::change_builder::who_leaves_an_isr_that_is_too_small_stays_eligible";
        EligibleReplicasStaySo: "Who is eligible stays so while the ISR is below min.insync.replicas.",
            "KIP-966, `PartitionChangeBuilder.maybePopulateTargetElr`",
            "controller::tests::change_builder::who_leaves_an_isr_that_is_too_small_stays_eligible";
        ElrAndIsrAreDisjoint: "Who is in the ISR is not in the ELR.",
            "KIP-966, `PartitionChangeBuilder.maybePopulateTargetElr`",
            "controller::tests::change_builder::who_leaves_an_isr_that_is_too_small_stays_eligible";
        UncleanStopEndsEligibility: "Who stopped uncleanly is not eligible.",
            "KIP-966, `PartitionChangeBuilder.maybePopulateTargetElr`",
            "controller::tests::change_builder::an_unclean_stop_ends_eligibility";
        RemovedReplicaIsNotEligible: "Who is no longer assigned is not eligible.",
            "ours: `PartitionChangeBuilder.maybePopulateTargetElr` keeps it, and can lose what was acknowledged",
            "controller::tests::eligible_leaders::who_is_assigned_elsewhere_is_not_eligible_any_more";
        IsrMayBecomeEmptyWithElr: "With ELR the ISR may become empty.",
            "KIP-966, `PartitionChangeBuilder.build`",
            "controller::tests::change_builder::the_isr_may_become_empty_and_the_elr_wins_then";
        EligibleWinnerIsTheIsr: "A winner from the ELR leaves it and is the whole ISR.",
            "KIP-966, `PartitionChangeBuilder.tryElection`",
            "controller::tests::change_builder::the_isr_may_become_empty_and_the_elr_wins_then";
        UncleanElectionClearsElr: "An unclean election empties the ELR.",
            "KIP-966, `PartitionChangeBuilder.maybeUpdateRecordElr`",
            "controller::tests::change_builder::the_isr_may_become_empty_and_the_elr_wins_then";
        LastLeaderIsRemembered: "When the ISR becomes empty the last leader is kept in LastKnownElr.",
            "KIP-966, `PartitionChangeBuilder.maybeUpdateLastKnownLeader`",
            "controller::tests::change_builder::the_isr_may_become_empty_and_the_elr_wins_then";
        LastLeaderIsForgottenAtAnElection: "With a leader again, the last known one is forgotten.",
            "KIP-966, `PartitionChangeBuilder.maybeUpdateLastKnownLeader`",
            "controller::tests::change_builder::the_isr_may_become_empty_and_the_elr_wins_then";
        LastMemberStaysWithoutElr: "Without ELR the last member stays in the ISR, leader or not.",
            "`PartitionChangeBuilder.build`",
            "controller::tests::change_builder::with_elr_off_the_last_member_stays_in_the_isr";
        NoFeatureNoElr: "Without the feature what is left of an ELR is emptied.",
            "`PartitionChangeBuilder.maybeUpdateRecordElr`",
            "controller::tests::change_builder::with_elr_off_the_last_member_stays_in_the_isr";
    }
    "Fencing, unfencing, controlled shutdown" {
        FencingLeavesTheIsr: "A broker that is fenced leaves every ISR, with an election where it led.",
            "`ReplicationControlManager.handleBrokerFenced`",
            "controller::tests::brokers::a_silent_leader_is_fenced_and_the_next_in_sync_replica_leads";
        WhoLeavesIsNotElected: "Who is just being fenced or stopped is not elected, though it still looks alive.",
            "`ReplicationControlManager.generateLeaderAndIsrUpdates`",
            "controller::tests::eligible_leaders::replicas_stay_eligible_until_they_stop_uncleanly";
        UnfencingElectsWhereNobodyLeads: "A broker that is unfenced is looked at for partitions without leader.",
            "`ReplicationControlManager.handleBrokerUnfenced`",
            "controller::tests::eligible_leaders::replicas_stay_eligible_until_they_stop_uncleanly";
        WhoReturnsMayBeElected: "Who is just being unfenced may be elected, though it still looks fenced.",
            "`ReplicationControlManager.generateLeaderAndIsrUpdates`",
            "controller::tests::eligible_leaders::replicas_stay_eligible_until_they_stop_uncleanly";
        ControlledShutdownIsMarked: "A broker in controlled shutdown is marked as such.",
            "`ReplicationControlManager.handleBrokerInControlledShutdown`",
            "controller::tests::brokers::a_controlled_shutdown_moves_leaders_and_waits_until_all_know";
        ControlledShutdownLeavesTheIsr: "A broker in controlled shutdown leaves every ISR, and its leaderships move.",
            "`ReplicationControlManager.handleBrokerInControlledShutdown`",
            "controller::tests::brokers::a_controlled_shutdown_moves_leaders_and_waits_until_all_know";
    }
    "Order of the records" {
        FenceComesAfterTheElections: "The changes of partitions stand before the record that fences, in one batch.",
            "`ReplicationControlManager.handleBrokerFenced`",
            "controller::tests::brokers::a_silent_leader_is_fenced_and_the_next_in_sync_replica_leads";
        RegistrationComesAfterTheElections: "So do they before the record that registers the next incarnation.",
            "`ClusterControlManager.registerBroker`",
            "controller::tests::one_by_one::what_a_new_incarnation_changes_comes_before_its_registration";
    }
}
