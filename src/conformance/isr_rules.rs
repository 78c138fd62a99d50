//! 4.2: the leader's side of the in-sync replicas.

use super::rules;

rules! {
    /// How a leader changes its in-sync replicas, and what it makes of answers and metadata.
    IsrRule: "4.2", "ISR rules";

    "One change at a time" {
        OneChangeAtATime: "Nobody joins while a change of the ISR is in flight.",
            "KIP-497, `Partition.maybeExpandIsr`",
            "broker::partition::tests::in_sync::one_change_at_a_time";
        ShrinkWaitsForTheChangeInFlight: "Nobody leaves while a change of the ISR is in flight.",
            "KIP-497, `Partition.maybeShrinkIsr`",
            "broker::partition::tests::in_sync::one_change_at_a_time";
        OneRequestAtATime: "A broker has one AlterPartition in flight, whatever the number of partitions.",
            "`AlterPartitionManager.maybePropagateIsrChanges`",
            "broker::tests::in_sync::another_partition_waits_for_the_request_in_flight";
        UnansweredChangeIsAloneInItsPartition: "While a change of a partition is not answered, though metadata has overtaken it, another is not attempted.",
            "`AlterPartitionManager.submit`",
            "broker::tests::in_sync::nothing_is_attempted_while_an_overtaken_request_is_under_way";
    }
    "Who may join" {
        MemberDoesNotJoinAgain: "A member does not join.",
            "`Partition.canAddReplicaToIsr`",
            "broker::partition::tests::in_sync::one_change_at_a_time";
        JoinsAtTheHighWatermark: "A replica joins once it has everything below the high watermark.",
            "`Partition.isFollowerInSync`",
            "broker::partition::tests::in_sync::joins_at_the_high_watermark_and_at_the_start_of_the_reign";
        JoinsAtTheStartOfTheReign: "A replica joins once it has everything below the start of the leader epoch.",
            "KAFKA-7128, `Partition.isFollowerInSync`",
            "broker::partition::tests::in_sync::joins_at_the_high_watermark_and_at_the_start_of_the_reign";
        UnregisteredReplicaStaysOut: "A broker that is not registered does not join.",
            "`Partition.isReplicaIsrEligible`",
            "broker::partition::tests::in_sync::only_an_eligible_replica_joins";
        FencedReplicaStaysOut: "A fenced broker does not join.",
            "KIP-841, `Partition.isReplicaIsrEligible`",
            "broker::partition::tests::in_sync::only_an_eligible_replica_joins";
        StoppingReplicaStaysOut: "A broker in controlled shutdown does not join.",
            "KIP-841, `Partition.isReplicaIsrEligible`",
            "broker::partition::tests::in_sync::only_an_eligible_replica_joins";
        OtherIncarnationStaysOut: "A replica whose last fetch was another incarnation's does not join.",
            "KIP-903, `Partition.isBrokerEpochIsrEligible`",
            "broker::partition::tests::in_sync::only_an_eligible_replica_joins";
        UntoldIncarnationMayJoin: "A fetch without broker epoch is taken for the present incarnation's.",
            "`Partition.isBrokerEpochIsrEligible`",
            "broker::partition::tests::in_sync::only_an_eligible_replica_joins";
        ReplicaThatNeverFetchedStaysOut: "A replica that has not fetched in this reign does not join.",
            "`Partition.isBrokerEpochIsrEligible`",
            "broker::partition::tests::in_sync::only_an_eligible_replica_joins";
    }
    "Who has to leave" {
        LateMembersLeave: "Members that are not caught up leave.",
            "`Partition.getOutOfSyncReplicas`",
            "broker::partition::tests::in_sync::members_that_lag_leave_all_at_once_but_never_the_leader";
        LeaderNeverLeaves: "The leader never leaves.",
            "`Partition.getOutOfSyncReplicas`",
            "broker::partition::tests::in_sync::members_that_lag_leave_all_at_once_but_never_the_leader";
        LateMembersAreLookedForTwicePerLag: "Members that lag are looked for every half of replica.lag.time.max.ms.",
            "`ReplicaManager.startup`",
            "broker::tests::in_sync::a_member_that_stays_behind_leaves_after_the_lag";
    }
    "What is asked" {
        RequestNamesTheLeaderEpoch: "The request names the leader epoch.",
            "`Partition.prepareIsrExpand`",
            "broker::tests::in_sync::an_answer_that_metadata_has_overtaken_is_ignored";
        RequestNamesThePartitionEpoch: "The request names the partition epoch.",
            "`Partition.prepareIsrExpand`",
            "broker::tests::in_sync::an_answer_that_metadata_has_overtaken_is_ignored";
        LeaderNamesItsBrokerEpoch: "The leader is named with its own broker epoch.",
            "KIP-903, `Partition.addBrokerEpochToIsr`",
            "broker::partition::tests::in_sync::a_change_keeps_the_broker_epochs_of_its_decision";
        MembersAreNamedWithTheirLastFetch: "Other members are named with the broker epochs of their last fetches.",
            "KIP-903, `Partition.addBrokerEpochToIsr`",
            "broker::partition::tests::in_sync::a_change_keeps_the_broker_epochs_of_its_decision";
        MemberThatNeverFetchedIsUntold: "A member that has not fetched in this reign is named with -1.",
            "KIP-903, `Partition.addBrokerEpochToIsr`",
            "broker::partition::tests::in_sync::a_change_keeps_the_broker_epochs_of_its_decision";
        BrokerEpochsAreThoseOfTheDecision: "The broker epochs are of the moment at which the replica was found in sync, through every retry.",
            "KAFKA-15221, `Partition.updateFollowerFetchState`",
            "broker::tests::in_sync::a_request_sent_again_means_the_incarnation_it_meant_at_first";
    }
    "What an answer means" {
        AnswerOfThePastIsIgnored: "An answer to what is no longer pending is ignored, whatever it says.",
            "`Partition.submitAlterPartition`",
            "broker::tests::in_sync::an_answer_that_metadata_has_overtaken_is_ignored";
        AnswerOfAnotherReignIsIgnored: "An answer with another leader epoch is ignored.",
            "`Partition.handleAlterPartitionUpdate`",
            "broker::tests::in_sync::an_answer_that_metadata_has_overtaken_is_ignored";
        OlderAnswerIsIgnored: "An answer with an older partition epoch is ignored.",
            "`Partition.handleAlterPartitionUpdate`",
            "broker::tests::in_sync::an_answer_that_is_older_than_the_partition_is_ignored";
        RefusedChangeIsGivenUp: "OPERATION_NOT_ATTEMPTED and INELIGIBLE_REPLICA: back to what was committed.",
            "`Partition.handleAlterPartitionError`",
            "broker::tests::in_sync::every_refusal_has_its_meaning";
        StaleChangeWaitsForMetadata: "UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, FENCED_LEADER_EPOCH, INVALID_UPDATE_VERSION, INVALID_REQUEST, NEW_LEADER_ELECTED: pending until metadata comes.",
            "`Partition.handleAlterPartitionError`",
            "broker::tests::in_sync::every_refusal_has_its_meaning";
        OtherErrorsAreAskedAgain: "Any other error of a partition: the same is asked again.",
            "`Partition.handleAlterPartitionError`",
            "broker::tests::in_sync::every_refusal_has_its_meaning";
        RefusedRequestIsSentAgain: "A request that is refused as a whole is sent again.",
            "`AlterPartitionManager.handleAlterPartitionResponse`",
            "broker::tests::in_sync::a_request_that_was_refused_lost_or_forgotten_is_sent_again";
        LostRequestIsSentAgain: "A request whose connection ends is sent again.",
            "`NodeToControllerRequestThread.handleResponse`",
            "broker::tests::in_sync::a_request_that_was_refused_lost_or_forgotten_is_sent_again";
        UnansweredIsAskedAgain: "What the answer is silent about is asked again.",
            "`AlterPartitionManager.handleAlterPartitionResponse`",
            "broker::tests::in_sync::a_request_that_was_refused_lost_or_forgotten_is_sent_again";
    }
    "Metadata" {
        OlderMetadataIsIgnored: "A registration with an older partition epoch is ignored.",
            "`Partition.makeLeader`, `makeFollower`",
            "broker::partition::tests::registration::an_older_partition_epoch_is_ignored_an_equal_one_is_not";
        MetadataEndsWhatIsPending: "News of the ISR by metadata ends a change in flight.",
            "`Partition.updateAssignmentAndIsr`",
            "broker::partition::tests::registration::an_older_partition_epoch_is_ignored_an_equal_one_is_not";
        ReignStartsAtTheLogEnd: "A new leader epoch starts at the log end.",
            "`Partition.makeLeader`",
            "broker::partition::tests::registration::a_reign_begins_at_the_log_end";
        ReignGoesOnInTheSameEpoch: "The same leader epoch brings assignment and ISR, and starts nothing anew.",
            "`Partition.makeLeader`",
            "broker::partition::tests::registration::the_same_reign_goes_on_through_isr_and_assignment";
        MinIsrIsWithinTheReplicas: "min.insync.replicas counts up to the number of replicas.",
            "`Partition.effectiveMinIsr`",
            "broker::partition::tests::registration::the_same_reign_goes_on_through_isr_and_assignment";
    }
}
