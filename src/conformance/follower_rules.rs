//! 4.5: how a follower gets the leader's log, and no other.

use super::rules;

rules! {
    /// How a follower fetches, is fenced, finds where its history differs, and cuts it.
    FollowerRule: "4.5", "Follower fetch and truncation";

    "What a fetch tells" {
        FetchTellsTheLeaderEpoch: "A fetch tells the leader epoch in which its follower follows.",
            "KIP-320, `RemoteLeaderEndPoint.buildFetch`",
            "broker::tests::follower::a_fetch_tells_everything_that_the_leader_checks";
        FetchTellsTheLastEpoch: "A fetch tells the epoch of the last record, or the last one known to begin behind it.",
            "KIP-595, `RemoteLeaderEndPoint.buildFetch`",
            "broker::tests::follower::asks_with_the_latest_epoch_it_knows";
        FetchTellsTheLogStart: "A fetch tells where its follower's log begins.",
            "KIP-107, `RemoteLeaderEndPoint.buildFetch`",
            "broker::tests::follower::a_fetch_tells_everything_that_the_leader_checks";
        FetchTellsTheBrokerEpoch: "A fetch tells the broker epoch of its follower's incarnation.",
            "KIP-903, `RemoteLeaderEndPoint.buildFetch`",
            "broker::tests::follower::a_fetch_tells_everything_that_the_leader_checks";
    }
    "What the leader checks, in this order" {
        OlderLeaderEpochIsFenced: "A request in an older leader epoch: FENCED_LEADER_EPOCH.",
            "KIP-320, `Partition.checkCurrentLeaderEpoch`",
            "broker::tests::leader::leader_epochs_are_fenced_both_ways";
        NewerLeaderEpochIsUnknown: "A request in a newer leader epoch: UNKNOWN_LEADER_EPOCH.",
            "KIP-320, `Partition.checkCurrentLeaderEpoch`",
            "broker::tests::leader::leader_epochs_are_fenced_both_ways";
        OnlyTheLeaderAnswers: "Who does not lead answers NOT_LEADER_OR_FOLLOWER, except to consumers that can tell their rack (KIP-392).",
            "`Partition.getLocalLog`",
            "broker::tests::divergence::who_follows_does_not_answer_a_fetch";
        UnassignedReplicaTriesAgain: "A replica that the leader does not know of yet: UNKNOWN_LEADER_EPOCH, or NOT_LEADER_OR_FOLLOWER if it tells no leader epoch.",
            "`Partition.followerReplicaOrThrow`",
            "broker::tests::divergence::a_replica_that_is_not_assigned_is_told_to_try_again";
        UnknownLastEpochIsOutOfRange: "A last fetched epoch above all that the leader knows: OFFSET_OUT_OF_RANGE.",
            "`Partition.readRecords`",
            "broker::tests::divergence::the_leader_tells_where_histories_part";
        BelowTheStartIsOutOfRange: "An offset below the leader's log start: OFFSET_OUT_OF_RANGE, whether or not the histories differ.",
            "`Partition.readRecords`",
            "broker::tests::divergence::below_the_leaders_start_nothing_diverges";
        LowerEpochDiverges: "A last fetched epoch that the leader never had diverges: it is told the largest one below, and its end.",
            "KIP-279, KIP-595, `Partition.readRecords`",
            "broker::tests::divergence::the_leader_tells_where_histories_part";
        LongerHistoryDiverges: "An offset beyond the end of the last fetched epoch diverges: it is told that end.",
            "KIP-101, KIP-595, `Partition.readRecords`",
            "broker::tests::divergence::the_leader_tells_where_histories_part";
        BeyondTheEndIsOutOfRange: "An offset beyond the leader's log end, where nothing is known of the history: OFFSET_OUT_OF_RANGE.",
            "`UnifiedLog.read`",
            "broker::tests::divergence::beyond_the_leaders_end_there_is_nothing";
        DivergingFetchDoesNotCount: "A fetch that diverges says nothing of what its follower has: neither position nor time are taken from it.",
            "KAFKA-13141, `Partition.fetchRecords`",
            "broker::tests::divergence::a_fetch_that_diverges_does_not_count";
    }
    "Which response is applied" {
        ResponseOfAnotherEpochIsDropped: "A response to a fetch of another leader epoch, or of another fetcher, is dropped.",
            "`AbstractFetcherManager.removeFetcherForPartitions`, `AbstractFetcherThread.processFetchRequest`",
            "broker::tests::follower::a_response_of_the_past_is_dropped";
        ResponseForAnotherOffsetIsDropped: "A response for another offset than the log's present end is dropped.",
            "`AbstractFetcherThread.processFetchRequest`",
            "broker::tests::follower::a_response_for_another_offset_is_dropped";
        LaterEpochsAreNotAppended: "Batches of a later leader epoch than the one of the fetch are left away, and all behind them.",
            "KAFKA-18723, `UnifiedLog.analyzeAndValidateRecords`",
            "broker::tests::follower::a_batch_of_a_later_epoch_is_left_away";
        BatchThatSpansTheStartBeginsTheLog: "An empty log that starts within the batch it is sent begins with that batch; one that holds records, or starts behind it, does not.",
            "KAFKA-6975, `Partition.appendRecordsToFollowerOrFutureReplica`",
            "broker::tests::follower::an_empty_log_begins_with_the_batch_that_holds_its_start";
        FailedAppendEndsTheFetch: "A partition whose records cannot be appended for another reason is not fetched until new metadata comes; others are.",
            "KIP-461, `AbstractFetcherThread.markPartitionFailed`",
            "broker::tests::follower::what_cannot_be_appended_ends_the_fetch_of_its_partition_only";
        LeavingFollowerStopsFetching: "A broker that stops does not fetch what it has left the ISR of, or what nobody leads.",
            "`ReplicaManager.applyLocalFollowersDelta`",
            "broker::tests::follower::a_broker_that_stops_does_not_fetch_what_it_has_left";
        CorruptRecordsPauseTheFetch: "A corrupt batch is not appended, and the partition is fetched again after a pause.",
            "`AbstractFetcherThread.processFetchRequest`",
            "broker::tests::follower::a_corrupt_batch_is_fetched_again";
        HighWatermarkComesWithTheData: "The leader's high watermark is taken after the append, within the follower's own log.",
            "`ReplicaFetcherThread.processPartitionData`, `UnifiedLog.maybeUpdateHighWatermark`",
            "broker::tests::follower::fetches_from_its_log_end_and_takes_the_high_watermark_along";
        LogStartFollowsTheLeaders: "The log's start is raised to the leader's, never lowered.",
            "`ReplicaFetcherThread.processPartitionData`, `UnifiedLog.maybeIncrementLogStartOffset`",
            "broker::tests::follower::the_log_start_follows_the_leaders";
        DivergenceIsCutFirst: "Of a response that diverges neither high watermark nor log start are taken: the next one brings them.",
            "KAFKA-14704, `AbstractFetcherThread.processFetchRequest`",
            "broker::tests::follower::a_follower_cuts_to_where_the_histories_agree_or_nearer";
    }
    "Where a diverging log is cut" {
        UnknownEpochIsCutToTheOneBelow: "An epoch of the leader's that the follower never had: to the end of its largest one below; another round follows.",
            "KIP-279, `AbstractFetcherThread.getOffsetTruncationState`",
            "broker::tests::follower::a_follower_cuts_to_where_the_histories_agree_or_nearer";
        KnownEpochIsCutToTheLesserEnd: "An epoch that both have: to the lesser of both its ends.",
            "KIP-101, `AbstractFetcherThread.getOffsetTruncationState`",
            "broker::tests::follower::a_follower_cuts_to_where_the_histories_agree_or_nearer";
        HighWatermarkFallsWithTheLog: "A cut below the high watermark takes it down to the log's end.",
            "`UnifiedLog.truncateTo`",
            "broker::tests::follower::truncation_below_the_high_watermark_takes_it_down";
    }
    "One thread" {
        AppendHoldsTheFetcher: "While records of one partition are flushed, or a cut is made durable, the fetcher asks for no other either.",
            "`AbstractFetcherThread.processFetchRequest`, `UnifiedLog.append`",
            "broker::tests::disk::while_records_are_flushed_the_fetcher_asks_for_nothing";
    }
    "Errors" {
        FencedFollowerWaitsForMetadata: "FENCED_LEADER_EPOCH ends fetching until the metadata brings another epoch.",
            "`AbstractFetcherThread.onPartitionFenced`",
            "broker::tests::follower::a_fenced_follower_waits_for_metadata_others_pause";
        ErrorsPauseThePartition: "Any other error makes the partition pause for replica.fetch.backoff.ms, and it alone.",
            "`AbstractFetcherThread.handlePartitionsWithErrors`, `delayPartitions`",
            "broker::tests::follower::a_fenced_follower_waits_for_metadata_others_pause";
        LostConnectionPausesAll: "A fetch without an answer makes all its partitions pause.",
            "`AbstractFetcherThread.processFetchRequest`",
            "broker::tests::follower::a_lost_connection_is_tried_again";
        OutOfRangeAsksForTheLatest: "OFFSET_OUT_OF_RANGE: the leader is asked for its latest offset.",
            "`AbstractFetcherThread.fetchOffsetAndTruncate`",
            "broker::tests::follower::out_of_range_asks_for_both_ends_of_the_leaders_log";
        ShorterLeaderLogCuts: "The leader's latest offset lies below the own log end: the log is cut to it.",
            "`AbstractFetcherThread.fetchOffsetAndTruncate`",
            "broker::tests::follower::out_of_range_asks_for_both_ends_of_the_leaders_log";
        LaterLeaderStartBeginsAnew: "The leader's log begins behind the own log end: all is thrown away, and the log begins there.",
            "`AbstractFetcherThread.fetchOffsetAndTruncate`",
            "broker::tests::follower::out_of_range_asks_for_both_ends_of_the_leaders_log";
        ElseItGoesOnAtItsEnd: "Neither: the leader has caught up meanwhile, nothing is thrown away, and the follower goes on at its log end.",
            "KAFKA-2143, `AbstractFetcherThread.fetchOffsetAndTruncate`",
            "broker::tests::follower::a_leader_that_caught_up_meanwhile_costs_nothing";
    }
    "The epoch cache" {
        LeaderAssignsItsEpoch: "A new leader notes that its epoch begins at its log end.",
            "`Partition.makeLeader`, `UnifiedLog.assignEpochStartOffset`",
            "broker::tests::follower::asks_with_the_latest_epoch_it_knows";
        AssignedEpochIsFlushed: "A new entry is flushed as soon as it is made, by a leader and by a follower that appends.",
            "KAFKA-16541, `LeaderEpochFileCache.assign`",
            "broker::tests::follower::a_new_epoch_is_flushed_whoever_notes_it";
        CutEpochsAreFlushedInTheBackground: "What a truncation takes out of the cache is flushed later, by another thread.",
            "KAFKA-15046, KAFKA-16541, `LeaderEpochFileCache.truncateFromEndAsyncFlush`",
            "broker::tests::follower::a_cut_epoch_is_flushed_in_the_background";
    }
    "Fetchers" {
        PartitionsAreSpreadOverFetchers: "A partition goes to one of num.replica.fetchers fetchers of its leader, by a hash of its name.",
            "`AbstractFetcherManager.getFetcherId`",
            "broker::tests::follower::a_stuck_fetcher_does_not_stop_the_others";
        NewEpochBeginsAnew: "In a new leader epoch a partition is taken from its fetcher and begins anew, though the leader be the same.",
            "KAFKA-7164, `ReplicaManager.applyLocalFollowersDelta`",
            "broker::tests::follower::a_fenced_follower_waits_for_metadata_others_pause";
        SameEpochGoesOn: "A change of ISR or assignment alone does not touch the fetcher.",
            "`ReplicaManager.applyLocalFollowersDelta`",
            "broker::tests::follower::a_change_of_the_isr_does_not_disturb_a_fetch";
        LeaderStopsFetching: "Who leads fetches from nobody.",
            "`ReplicaManager.applyLocalLeadersDelta`",
            "broker::tests::follower::a_response_of_the_past_is_dropped";
    }
}
