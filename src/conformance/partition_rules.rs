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
    }
}
