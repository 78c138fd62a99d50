//! 4.3: what is committed.

use super::rules;

rules! {
    /// When the high watermark moves, how far, and who reads up to where.
    HighWatermarkRule: "4.3", "High watermark";

    "The leader's" {
        StandsBelowMinInsyncReplicas: "It stands while the committed ISR is smaller than min.insync.replicas.",
            "KIP-966, `Partition.maybeIncrementLeaderHW`",
            "broker::partition::tests::high_watermark::it_stands_while_the_committed_isr_is_below_min_insync_replicas";
        LeaderCounts: "It is at most the leader's log end.",
            "`Partition.maybeIncrementLeaderHW`",
            "broker::partition::tests::high_watermark::the_least_offset_of_leader_and_maximal_isr";
        MembersCount: "It is at most the log end of each member.",
            "`Partition.maybeIncrementLeaderHW`",
            "broker::partition::tests::high_watermark::the_least_offset_of_leader_and_maximal_isr";
        JoinerCounts: "Who is about to join counts as a member.",
            "KIP-497, `PendingExpandIsr.maximalIsr`",
            "broker::partition::tests::high_watermark::the_maximal_isr_counts_while_a_change_is_pending";
        LeaverCounts: "Who is about to leave counts as a member until the controller has confirmed it.",
            "KIP-497, `PendingShrinkIsr.maximalIsr`",
            "broker::partition::tests::high_watermark::the_maximal_isr_counts_while_a_change_is_pending";
        CaughtUpReplicaCounts: "A replica that is caught up and may join counts too.",
            "`Partition.maybeIncrementLeaderHW`",
            "broker::partition::tests::high_watermark::the_least_offset_of_leader_and_maximal_isr";
        IneligibleReplicaDoesNotCount: "A replica that may not join does not count, however lately it was caught up.",
            "KAFKA-15021, `Partition.maybeIncrementLeaderHW`",
            "broker::partition::tests::high_watermark::a_replica_that_is_not_eligible_does_not_hold_it_back";
        LowerCandidateIsIgnored: "It never goes back.",
            "`UnifiedLog.maybeIncrementHighWatermark`",
            "broker::partition::tests::high_watermark::the_least_offset_of_leader_and_maximal_isr";
    }
    "When it is tried" {
        AppendTries: "After an append.",
            "`Partition.appendRecordsToLeader`",
            "broker::tests::leader::a_leader_alone_commits_what_it_appends";
        MovedPositionTries: "After a fetch that moved a follower's log end.",
            "`Partition.updateFollowerFetchState`",
            "broker::tests::leader::acks_all_waits_for_every_member";
        OldPositionDoesNotTry: "Not after a fetch that brings no news.",
            "`Partition.updateFollowerFetchState`",
            "broker::tests::in_sync::a_fetch_that_brings_no_news_does_not_try_the_high_watermark";
        ConfirmedIsrTries: "After the controller has confirmed another ISR.",
            "KAFKA-13091, `Partition.handleAlterPartitionUpdate`",
            "broker::tests::in_sync::a_member_that_stays_behind_leaves_after_the_lag";
        MetadataTries: "After metadata.",
            "`Partition.makeLeader`",
            "broker::tests::in_sync::a_fetch_that_brings_no_news_does_not_try_the_high_watermark";
    }
    "The follower's" {
        FollowerStaysWithinItsLog: "A follower's lies within its own log.",
            "`UnifiedLog.maybeUpdateHighWatermark`",
            "broker::partition::tests::high_watermark::a_follower_takes_the_leaders_within_its_own_log_even_downwards";
        FollowerMayGoDown: "A follower's may go down.",
            "`UnifiedLog.maybeUpdateHighWatermark`",
            "broker::partition::tests::high_watermark::a_follower_takes_the_leaders_within_its_own_log_even_downwards";
    }
    "Its checkpoint" {
        CheckpointAtIntervals: "It is written down every replica.high.watermark.checkpoint.interval.ms.",
            "`ReplicaManager.checkpointHighWatermarks`",
            "broker::tests::lifecycle::a_checkpoint_survives_a_loss_of_power";
        CheckpointAtTheCleanStop: "It is written down at the clean stop.",
            "`ReplicaManager.shutdown`",
            "broker::tests::lifecycle::an_orderly_stop_writes_the_high_watermarks_down";
        CheckpointIsLoadedWithinTheLog: "It is loaded within the log as it is now.",
            "`Partition.createLog`",
            "broker::partition::tests::high_watermark::it_is_loaded_within_the_log";
        MissingCheckpointIsZero: "Where it is missing, it is 0.",
            "`Partition.createLog`",
            "broker::tests::lifecycle::without_a_checkpoint_the_high_watermark_begins_at_zero";
    }
    "Who reads up to where" {
        ConsumersReadToTheHighWatermark: "Consumers read up to the high watermark.",
            "`UnifiedLog.read`, `FetchIsolation`",
            "broker::tests::leader::consumers_read_to_the_high_watermark_and_followers_to_the_end";
        FollowersReadToTheEnd: "Followers read up to the log end.",
            "`UnifiedLog.read`, `FetchIsolation`",
            "broker::tests::leader::consumers_read_to_the_high_watermark_and_followers_to_the_end";
        AnswerHasTheOffsetsFromBeforeTheRead: "An answer tells the high watermark from before the fetch counted.",
            "`Partition.readRecords`",
            "broker::tests::leader::a_follower_hears_of_the_high_watermark_one_fetch_later";
        LatestIsNotAvailableAtFirst: "ListOffsets: the latest is OFFSET_NOT_AVAILABLE until the high watermark has reached the start of the reign.",
            "KIP-207, `Partition.fetchOffsetForTimestamp`",
            "broker::tests::leader::the_end_is_not_told_before_the_high_watermark_has_reached_the_reign";
        LookupBeyondTheEndIsNotAvailableAtFirst: "ListOffsets by timestamp: likewise, if the answer is beyond what may be read.",
            "KIP-207, `ReplicaManager.fetchOffset`",
            "broker::tests::leader::the_end_is_not_told_before_the_high_watermark_has_reached_the_reign";
        OldClientsAreToldAnotherError: "ListOffsets before version 5: LEADER_NOT_AVAILABLE instead, which such a client knows.",
            "KIP-207, `ReplicaManager.fetchOffset`",
            "broker::tests::leader::who_asks_for_the_end_decides_what_is_told";
        ToolsAskAnyReplica: "ListOffsets of a tool (replica id -2) is answered by any replica.",
            "`ListOffsetsRequest.DEBUGGING_REPLICA_ID`, `ReplicaManager.fetchOffset`",
            "broker::tests::leader::who_asks_for_the_end_decides_what_is_told";
        PartitionNamedTwiceIsRefused: "ListOffsets: a partition that is named twice: INVALID_REQUEST.",
            "`ListOffsetsRequest.duplicatePartitions`, `ReplicaManager.fetchOffset`",
            "broker::tests::leader::list_offsets_knows_its_timestamps_by_version";
    }
}
