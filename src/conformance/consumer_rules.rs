//! 4.x: what a consumer reads, and from whom.

use super::rules;

rules! {
    /// How a consumer keeps to one history, which replica it reads, and what fetch sessions remember.
    ConsumerRule: "4.x", "The consumer, and fetches";

    "A position in another leader's history" {
        NewLeaderMeansValidation: "When another leader or epoch is told of, a position with an epoch is looked for in the leader's history before anything is fetched.",
            "KIP-320, `SubscriptionState.maybeValidatePosition`",
            "client::tests::validation::a_new_leader_is_asked_before_anything_is_fetched_from_it";
        UnknownEpochIsTruncation: "An epoch that the leader never heard of means truncation: the position is reset by policy.",
            "KIP-320, `SubscriptionState.maybeCompleteValidation`",
            "client::tests::validation::an_epoch_that_the_leader_never_heard_of_resets_by_policy";
        ShorterEpochIsTruncation: "An epoch that ends before the position in the leader's history means truncation.",
            "KIP-320, `SubscriptionState.maybeCompleteValidation`",
            "client::tests::validation::a_truncated_history_is_taken_up_where_the_two_part";
        TruncationGoesBackToTheDivergence: "After a truncation the consumer goes on where the histories part.",
            "KIP-320, `SubscriptionState.maybeCompleteValidation`",
            "client::tests::validation::a_truncated_history_is_taken_up_where_the_two_part";
        EpochEndIsTheLeadersWord: "Where an epoch ends is told by the leader alone, in the epoch the asker believes in.",
            "KIP-320, `Partition.lastOffsetForLeaderEpoch`",
            "broker::tests::consumers::where_an_epoch_ends_is_told_by_the_leader_of_that_epoch";
    }
    "Seeking a time" {
        NothingThatYoungIsNoOffset: "An answer without an offset is no position: a time after all records leads to the end.",
            "`OffsetFetcherUtils.handleListOffsetResponse`",
            "client::tests::validation::seeking_a_time_after_all_records_leads_to_the_end";
    }
    "The closest replica" {
        FollowersServeConsumers: "A consumer that can tell its rack may read from a follower, up to the follower's own high watermark.",
            "KIP-392, `FetchParams.fetchOnlyLeader`",
            "broker::tests::consumers::a_follower_serves_consumers_up_to_its_own_high_watermark";
        LeaderInTheRackIsRead: "A leader in the consumer's rack names nobody.",
            "KIP-392, `RackAwareReplicaSelector.select`",
            "broker::tests::consumers::the_leader_names_the_replica_in_the_consumers_rack";
        PreferredReplicaIsInTheRack: "The replica named stands in the consumer's rack.",
            "KIP-392, `RackAwareReplicaSelector.select`",
            "broker::tests::consumers::the_leader_names_the_replica_in_the_consumers_rack";
        PreferredReplicaIsInSync: "The replica named is in the ISR.",
            "KIP-392, `ReplicaManager.findPreferredReadReplica`",
            "broker::tests::consumers::the_leader_names_the_replica_in_the_consumers_rack";
        PreferredReplicaHasTheOffset: "The replica named has the offset that is asked for.",
            "KIP-392, `ReplicaManager.findPreferredReadReplica`",
            "broker::tests::consumers::the_leader_names_the_replica_in_the_consumers_rack";
        PreferenceExpires: "The leader is asked again when metadata would be (metadata.max.age.ms).",
            "KIP-392, `SubscriptionState.updatePreferredReadReplica`",
            "client::tests::fetching::a_nearer_replica_is_read_until_metadata_would_be_old";
        DeadReplicaIsNotRead: "A replica that metadata shows dead is not read from.",
            "KIP-392, `AbstractFetch.selectReadReplica`",
            "client::tests::fetching::a_nearer_replica_that_dies_is_left";
        FollowerOutOfRangeMeansTheLeader: "OFFSET_OUT_OF_RANGE from another replica than the leader leads back to the leader, and resets nothing.",
            "KIP-392, `FetchCollector.handleInitializeErrors`",
            "client::tests::fetching::a_follower_that_is_behind_leads_back_to_the_leader";
    }
    "Sizes and turns" {
        FirstBatchIsSentWhole: "The first batch of an answer is sent whole, however large it is.",
            "KIP-74, `ReplicaManager.readFromLog`",
            "broker::tests::consumers::the_first_batch_is_sent_whole_and_limits_hold_for_the_rest";
        OlderSegmentIsNotWaitedFor: "A fetch from an older segment than the last readable one is answered with what that holds, though it is less than fetch.min.bytes.",
            "`DelayedFetch.tryComplete`, case F",
            "broker::tests::consumers::the_end_of_a_segment_is_not_waited_for";
        FetchedPartitionGoesLast: "A partition that was just served is asked for last.",
            "`SubscriptionState.movePartitionToEnd`",
            "client::tests::fetching::who_was_served_is_asked_for_last";
        BufferedBrokerIsLeftInPeace: "A broker whose data is still buffered is not asked for its other partitions.",
            "KAFKA-17182, `AbstractFetch.prepareFetchRequests`",
            "client::tests::fetching::a_broker_whose_data_is_buffered_is_left_in_peace";
    }
    "Fetch sessions at the broker" {
        FullFetchEndsTheSession: "A full fetch ends the session that it names.",
            "KIP-227, `FetchManager.newContext`",
            "broker::tests::fetch_sessions::a_full_fetch_ends_the_session_it_names";
        SessionEpochMustFit: "A request of another epoch than the next is refused: INVALID_FETCH_SESSION_EPOCH.",
            "KIP-227, `FetchManager.newContext`",
            "broker::tests::fetch_sessions::what_does_not_fit_the_session_is_refused";
        SessionKeepsToTopicIds: "A session that names topics by id is not continued by name: FETCH_SESSION_TOPIC_ID_ERROR.",
            "KIP-516, `FetchManager.newContext`",
            "broker::tests::fetch_sessions::what_does_not_fit_the_session_is_refused";
        UnchangedPartitionIsNotTold: "A partition of which there is nothing new is left out of the answer.",
            "KIP-227, `CachedPartition.maybeUpdateResponseData`",
            "broker::tests::fetch_sessions::a_session_tells_what_is_news";
        RecoveredPartitionIsTold: "After an error a partition is told again, news or not.",
            "KIP-227, `CachedPartition.maybeUpdateResponseData`",
            "broker::tests::fetch_sessions::after_an_error_a_partition_is_told_again";
        ServedPartitionGoesLast: "A partition whose records were sent comes last in the next answer.",
            "KIP-227, `FetchSession.PartitionIterator`",
            "broker::tests::fetch_sessions::who_was_served_comes_last";
        YoungSessionStays: "A session gives way to another of its kind only if it is old.",
            "KIP-227, `FetchSessionCacheShard.tryEvict`",
            "broker::tests::fetch_sessions::who_gives_way_when_there_is_no_room";
    }
    "Fetch sessions at the asker" {
        UnwantedPartitionIsForgotten: "A partition that is no longer wanted is told to the broker.",
            "KIP-227, `FetchSessionHandler.Builder.build`",
            "client::tests::fetching::a_session_is_told_what_has_changed";
        LostAnswerEndsTheSession: "After an answer that was lost the next fetch is a full one, which ends the session.",
            "KIP-227, `FetchSessionHandler.handleError`",
            "client::tests::fetching::a_lost_answer_ends_the_session";
    }
}
