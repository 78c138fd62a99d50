//! 4.4: the way of a produce request.

use super::rules;

rules! {
    /// Which produce requests are refused, which wait, and what they are told.
    ProduceRule: "4.4", "Produce path";

    "Before the append" {
        AcksAreAllOneOrZero: "acks is -1, 1 or 0: INVALID_REQUIRED_ACKS.",
            "`ReplicaManager.isValidRequiredAcks`",
            "broker::tests::leader::acks_1_is_the_leaders_alone_and_acks_0_is_nobodys";
        OnlyTheLeaderAppends: "Who does not lead refuses: NOT_LEADER_OR_FOLLOWER.",
            "`Partition.appendRecordsToLeader`",
            "broker::tests::leader::a_leader_no_more_tells_those_who_wait";
        TooFewMembersRefuseAcksAll: "acks=all with fewer members than min.insync.replicas: NOT_ENOUGH_REPLICAS, and nothing is written.",
            "`Partition.appendRecordsToLeader`",
            "broker::tests::leader::too_few_members_refuse_acks_all_before_anything_is_written";
        AppendsInTheLeaderEpoch: "What is appended bears the leader epoch.",
            "`UnifiedLog.appendAsLeader`",
            "broker::tests::leader::what_is_appended_bears_the_leader_epoch";
    }
    "acks=all" {
        AcksAllWaitsForTheHighWatermark: "acks=all waits for the high watermark.",
            "`Partition.checkEnoughReplicasReachOffset`",
            "broker::tests::leader::acks_all_waits_for_every_member";
        HighWatermarkCoversTheLastRecord: "The high watermark has to be beyond the last record.",
            "`Partition.checkEnoughReplicasReachOffset`",
            "broker::tests::leader::acks_all_waits_for_its_own_record_not_for_the_one_before";
        TooFewMembersAfterTheAppendAreTold: "Committed with fewer members than min.insync.replicas: NOT_ENOUGH_REPLICAS_AFTER_APPEND.",
            "`Partition.checkEnoughReplicasReachOffset`",
            "broker::tests::leader::the_maximal_isr_decides_whether_enough_have_the_record";
        MaximalIsrIsEnough: "The maximal ISR counts for that.",
            "`Partition.checkEnoughReplicasReachOffset`",
            "broker::tests::leader::the_maximal_isr_decides_whether_enough_have_the_record";
        LostLeadershipIsTold: "Who waits at a leader no more is told: NOT_LEADER_OR_FOLLOWER.",
            "`Partition.checkEnoughReplicasReachOffset`",
            "broker::tests::leader::a_leader_no_more_tells_those_who_wait";
        TimeOutIsTold: "Whose time is up is told: REQUEST_TIMED_OUT.",
            "`DelayedProduce`",
            "broker::tests::leader::time_runs_out";
        OutcomeStays: "What one partition of a request came to stays while others wait.",
            "`DelayedProduce.tryComplete`",
            "broker::tests::leader::the_outcome_of_a_partition_stays_while_others_wait";
    }
    "acks=0" {
        AcksZeroIsNotAnswered: "acks=0 is not answered.",
            "`KafkaApis.handleProduceRequest`",
            "broker::tests::leader::acks_1_is_the_leaders_alone_and_acks_0_is_nobodys";
        ErrorWithAcksZeroEndsTheConnection: "An error ends the connection.",
            "`KafkaApis.handleProduceRequest`",
            "broker::tests::leader::acks_1_is_the_leaders_alone_and_acks_0_is_nobodys";
    }
}
