//! 4.10 and 4.11: what the coordinators of consumer groups hold to.

use super::rules;

rules! {
    /// How far a group has come.
    OffsetRule: "4.10 (offsets)", "Committed offsets";

    "Commit" {
        UnknownGroupHasNoGeneration: "Who names a generation of a group that nobody knows is refused: GROUP_ID_NOT_FOUND, ILLEGAL_GENERATION before version 9.",
            "`OffsetMetadataManager.validateOffsetCommit`",
            "group::offsets::tests::a_group_that_only_has_offsets";
        CommitIsAHeartbeat: "A member of a stable or preparing group that commits has lived until now.",
            "`OffsetMetadataManager.commitOffset`",
            "group::offsets::tests::a_member_that_commits_lives";
        MetadataHasALimit: "Metadata longer than offset.metadata.max.bytes: OFFSET_METADATA_TOO_LARGE, for that partition alone.",
            "`OffsetMetadataManager.isMetadataInvalid`",
            "group::offsets::tests::metadata_has_a_limit";
    }

    "Write and read" {
        AnswerWaitsForTheHighWatermark: "A write is answered when its records are committed.",
            "`CoordinatorRuntime`, `DeferredEventQueue`",
            "group::shard::tests::an_answer_waits_for_the_high_watermark";
        FailedWriteIsTakenBack: "A write that cannot be appended leaves no trace.",
            "`CoordinatorRuntime.CoordinatorContext`, `SnapshotRegistry`",
            "group::shard::tests::a_write_that_fails_leaves_no_trace";
        UncommittedWriteTimesOut: "A write that is not committed within offsets.commit.timeout.ms is answered COORDINATOR_NOT_AVAILABLE, and may be committed yet.",
            "`CoordinatorRuntime.CoordinatorWriteEvent`",
            "group::shard::tests::a_write_that_is_not_committed_in_time";
        ReadersSeeWhatIsCommitted: "Readers see the state at the high watermark.",
            "`CoordinatorRuntime.scheduleReadOperation`",
            "group::shard::tests::an_answer_waits_for_the_high_watermark";
        StableReadsWait: "OffsetFetch with requireStable sees what is written, and is answered when that is committed.",
            "KIP-447, `GroupCoordinatorService.fetchOffsets`",
            "group::shard::tests::an_answer_waits_for_the_high_watermark";
        LoadingIsTold: "While the log is loaded: COORDINATOR_LOAD_IN_PROGRESS; a heartbeat of the classic protocol is let pass.",
            "`CoordinatorRuntime`, `GroupCoordinatorService.heartbeat`",
            "group::shard::tests::a_coordinator_that_loads_and_one_that_has_gone";
    }

    "Deletion" {
        SubscribedTopicsKeepTheirOffsets: "OffsetDelete of a topic that the group consumes: GROUP_SUBSCRIBED_TO_TOPIC.",
            "KIP-496, `OffsetMetadataManager.deleteOffsets`",
            "group::offsets::tests::offsets_are_deleted_unless_they_are_in_use";
        OnlyEmptyGroupsAreDeleted: "DeleteGroups of a group with members: NON_EMPTY_GROUP.",
            "KIP-229, `Group.validateDeleteGroup`",
            "group::offsets::tests::a_group_is_deleted_with_its_offsets";
    }

    "Expiry" {
        RetentionCountsFromEmpty: "In an empty group retention counts from when it became empty.",
            "KIP-211, `ClassicGroup.offsetExpirationCondition`",
            "group::offsets::tests::what_expires_and_what_does_not";
        NothingExpiresInARebalance: "Nothing expires while a group rebalances.",
            "KAFKA-13636, `ClassicGroup.offsetExpirationCondition`",
            "group::offsets::tests::what_expires_and_what_does_not";
        SubscribedTopicsDoNotExpire: "Offsets of topics that the group consumes do not expire, however old.",
            "KIP-211, `OffsetMetadataManager.cleanupExpiredOffsets`",
            "group::offsets::tests::what_expires_and_what_does_not";
        OwnRetentionCounts: "An offset that was committed with a retention of its own ends when that says.",
            "`OffsetExpirationConditionImpl.isOffsetExpired`",
            "group::offsets::tests::what_expires_and_what_does_not";
        GroupWithoutOffsetsEnds: "An empty group without offsets is no group any more.",
            "`GroupCoordinatorShard.cleanupGroupMetadata`",
            "group::offsets::tests::what_expires_and_what_does_not";
    }
}

rules! {
    /// Groups that let a member assign.
    ClassicGroupRule: "4.10", "Group coordinator, classic protocol";

    "Join" {
        SessionTimeoutIsWithinBounds: "A session timeout outside group.min/max.session.timeout.ms: INVALID_SESSION_TIMEOUT.",
            "`GroupCoordinatorService.joinGroup`",
            "group::classic::tests::each_refusal_of_a_join_has_its_error";
        MembersHaveAProtocolInCommon: "A member of another protocol type, or without a protocol that all can do: INCONSISTENT_GROUP_PROTOCOL.",
            "`ClassicGroup.supportsProtocols`",
            "group::classic::tests::each_refusal_of_a_join_has_its_error";
        GroupHasAMaxSize: "More members than group.max.size: GROUP_MAX_SIZE_REACHED.",
            "KIP-389, `GroupMetadataManager.acceptJoiningMember`",
            "group::classic::tests::a_full_group_takes_nobody_else";
        MemberIdIsGivenFirst: "From version 4 on a member without an id is given one, and has to come again: MEMBER_ID_REQUIRED.",
            "KIP-394",
            "group::classic::tests::two_members_join_and_share";
        NewGroupIsWritten: "A new group is written before its first generation.",
            "`GroupMetadataManager.classicGroupJoinToClassicGroup`",
            "group::classic::tests::two_members_join_and_share";
        FirstMemberWaitsForOthers: "The first member of an empty group waits for others, group.initial.rebalance.delay.ms.",
            "KIP-134, `GroupMetadataManager.prepareRebalance`",
            "group::classic::tests::two_members_join_and_share";
        EachNewMemberProlongsTheWait: "Each member that comes in that time prolongs it, up to the rebalance timeout.",
            "KIP-134, `GroupMetadataManager.tryCompleteInitialRebalanceElseSchedule`",
            "group::classic::tests::each_new_member_prolongs_the_first_wait";
        LeaderRejoinsForARebalance: "A leader that joins again, saying the same, makes a rebalance; another member does not.",
            "`GroupMetadataManager.classicGroupJoinExistingMember`",
            "group::classic::tests::a_leader_joins_again_for_a_rebalance";
    }

    "Rebalance" {
        RebalanceRaisesTheGeneration: "Each rebalance makes a new generation.",
            "`ClassicGroup.initNextGeneration`",
            "group::classic::tests::a_leader_joins_again_for_a_rebalance";
        RebalanceWaitsForPendingMembers: "A rebalance waits for those who were given an id.",
            "KAFKA-7824, `ClassicGroup.hasAllMembersJoined`",
            "group::classic::tests::a_rebalance_waits_for_who_was_given_an_id";
        LeaderHasJoined: "Who leads has joined: a leader that is away is replaced.",
            "KIP-345, `ClassicGroup.maybeElectNewJoinedLeader`",
            "group::classic::tests::a_static_leader_that_is_away";
        StaticMembersOutliveARebalance: "A dynamic member that has not joined in time is removed, a static one is not.",
            "KIP-345, `GroupMetadataManager.completeClassicGroupJoin`",
            "group::classic::tests::a_static_leader_that_is_away";
    }

    "Sync" {
        SyncNamesTheGeneration: "SyncGroup of another generation: ILLEGAL_GENERATION.",
            "`GroupMetadataManager.validateSyncGroup`",
            "group::classic::tests::each_refusal_of_a_sync_has_its_error";
        SyncNamesTheProtocol: "SyncGroup that names another protocol: INCONSISTENT_GROUP_PROTOCOL.",
            "KIP-559, `GroupMetadataManager.validateSyncGroup`",
            "group::classic::tests::each_refusal_of_a_sync_has_its_error";
        OldAssignmentIsNotTold: "An assignment that is committed after its generation is over is told to nobody.",
            "`GroupMetadataManager.classicGroupSyncToClassicGroup`",
            "group::classic::tests::an_assignment_that_comes_too_late";
        MembersThatDoNotSyncAreRemoved: "Who has joined and does not sync within the rebalance timeout is removed.",
            "KAFKA-12890, `GroupMetadataManager.expirePendingSync`",
            "group::classic::tests::who_does_not_sync_is_removed";
    }

    "Heartbeat and leave" {
        HeartbeatNamesTheGeneration: "A heartbeat of another generation: ILLEGAL_GENERATION.",
            "`GroupMetadataManager.validateClassicGroupHeartbeat`",
            "group::classic::tests::each_refusal_of_a_heartbeat_has_its_error";
        HeartbeatTellsOfARebalance: "A heartbeat while the group prepares: REBALANCE_IN_PROGRESS.",
            "`GroupMetadataManager.classicGroupHeartbeatToClassicGroup`",
            "group::classic::tests::each_refusal_of_a_heartbeat_has_its_error";
        WaitingMembersDoNotExpire: "Who waits for the group is not expected to send heartbeats.",
            "`ClassicGroupMember.hasSatisfiedHeartbeat`",
            "group::classic::tests::who_waits_does_not_expire";
        LeavingRebalances: "When a member leaves the others share anew.",
            "`GroupMetadataManager.classicGroupLeaveToClassicGroup`",
            "group::classic::tests::a_member_leaves_and_one_is_silent";
    }

    "Offset commit" {
        StrangersCommitToEmptyGroups: "Who names no generation commits only while the group is empty: UNKNOWN_MEMBER_ID.",
            "`ClassicGroup.validateOffsetCommit`",
            "group::classic::tests::who_may_commit";
        CommitNamesTheGeneration: "A commit of another generation: ILLEGAL_GENERATION.",
            "`ClassicGroup.validateOffsetCommit`",
            "group::classic::tests::who_may_commit";
        NoCommitWhileAssigning: "A commit while the leader assigns: REBALANCE_IN_PROGRESS; while members join it is accepted.",
            "`ClassicGroup.validateOffsetCommit`",
            "group::classic::tests::who_may_commit";
    }

    "Static members" {
        StaticMemberIsReplaced: "A static member that comes without its id takes the place of who it was.",
            "KIP-345, `ClassicGroup.replaceStaticMember`",
            "group::classic::tests::a_static_member_is_bounced";
        EarlierInstanceIsFenced: "Who it was is told FENCED_INSTANCE_ID.",
            "KIP-345, `ClassicGroup.validateMember`",
            "group::classic::tests::a_static_member_is_bounced";
        StaticRejoinDoesNotRebalance: "A stable group does not rebalance for it.",
            "KIP-345, `GroupMetadataManager.updateStaticMemberThenRebalanceOrCompleteJoin`",
            "group::classic::tests::a_static_member_is_bounced";
        RejoinedLeaderSkipsAssignment: "A leader that came so is told to leave the assignment as it is.",
            "KIP-814",
            "group::classic::tests::a_static_leader_is_bounced";
    }

    "Loading" {
        LoadedMembersAreWatched: "A coordinator that comes after watches every member from then on.",
            "`GroupMetadataManager.onLoaded`",
            "group::classic::tests::a_coordinator_that_comes_after_knows_the_group";
    }
}

rules! {
    /// Groups to which the coordinator assigns (KIP-848).
    ConsumerGroupRule: "4.11", "Group coordinator, consumer protocol";

    "Heartbeat" {
        HeartbeatIsValid: "A request that cannot be meant: INVALID_REQUEST.",
            "`GroupMetadataManager.throwIfConsumerGroupHeartbeatRequestIsInvalid`",
            "group::consumer::tests::a_request_that_cannot_be_meant";
        GroupHasAMaxSize: "More members than group.consumer.max.size: GROUP_MAX_SIZE_REACHED.",
            "`GroupMetadataManager.throwIfConsumerGroupIsFull`",
            "group::consumer::tests::a_full_group_takes_nobody_else";
        HeartbeatNamesTheEpoch: "A member in another epoch than its own: FENCED_MEMBER_EPOCH.",
            "`GroupMetadataManager.throwIfConsumerGroupMemberEpochIsInvalid`",
            "group::consumer::tests::a_member_in_another_epoch_is_fenced";
        OldEpochOwnsNoMore: "One epoch back is accepted from a member that has no more than it was given: the answer was lost.",
            "`GroupMetadataManager.throwIfConsumerGroupMemberEpochIsInvalid`",
            "group::consumer::tests::a_member_in_another_epoch_is_fenced";
        FencedMemberBeginsAnew: "A member that is known may join again with epoch 0, in whatever epoch it was.",
            "KAFKA-19233, `GroupMetadataManager.throwIfConsumerGroupMemberEpochIsInvalid`",
            "group::consumer::tests::a_fenced_member_begins_anew";
        AssignmentIsToldOnce: "The assignment is told when it has changed, and to who says everything.",
            "`GroupMetadataManager.consumerGroupHeartbeat`",
            "group::consumer::tests::a_member_joins_and_has_everything";
    }

    "Epochs" {
        ChangedSubscriptionRebalances: "Another subscription makes a new group epoch.",
            "`GroupMetadataManager.hasMemberSubscriptionChanged`",
            "group::consumer::tests::a_changed_subscription_makes_a_new_epoch";
        ChangedTopicsRebalance: "Topics that have changed make a new group epoch.",
            "KIP-1101, `GroupMetadataManager.consumerGroupHeartbeat`",
            "group::consumer::tests::a_topic_grows";
        LeavingRaisesTheEpoch: "A member that goes makes a new group epoch.",
            "`GroupMetadataManager.consumerGroupFenceMember`",
            "group::consumer::tests::a_member_leaves";
    }

    "Reconciliation" {
        RevocationIsWaitedFor: "A member goes on when it has said that it has given back.",
            "`CurrentAssignmentBuilder.build`",
            "group::consumer::tests::a_second_member_gets_what_the_first_gives_back";
        OnlyFreePartitionsAreAssigned: "A partition is given when nobody has it.",
            "`CurrentAssignmentBuilder.computeNextAssignment`",
            "group::consumer::tests::a_second_member_gets_what_the_first_gives_back";
        PendingRevocationIsHeld: "What is to be given back is held until it is.",
            "`ConsumerGroup.addPartitionEpochs`",
            "group::consumer::tests::a_second_member_gets_what_the_first_gives_back";
    }

    "Silence" {
        SilentMembersAreFenced: "A member that is silent for the session timeout is removed.",
            "`GroupMetadataManager.scheduleConsumerGroupSessionTimeout`",
            "group::consumer::tests::a_silent_member_is_removed";
        SlowMembersAreFenced: "A member that does not give back within its rebalance timeout is removed.",
            "`GroupMetadataManager.scheduleConsumerGroupRebalanceTimeout`",
            "group::consumer::tests::a_member_that_does_not_give_back_is_removed";
        LoadedMembersAreWatched: "A coordinator that comes after watches every member from then on.",
            "`GroupMetadataManager.onLoaded`",
            "group::consumer::tests::a_coordinator_that_comes_after_knows_the_group";
    }

    "Static members" {
        StaticMemberKeepsItsAssignment: "A static member that leaves with epoch -2 keeps what it has, for who comes under its instance id.",
            "`GroupMetadataManager.consumerGroupStaticMemberGroupLeave`",
            "group::consumer::tests::a_static_member_is_bounced";
        InstanceIsReleasedFirst: "An instance id in use: UNRELEASED_INSTANCE_ID.",
            "`GroupMetadataManager.throwIfInstanceIdIsUnreleased`",
            "group::consumer::tests::a_static_member_is_bounced";
        EarlierInstanceIsFenced: "Who had the instance id before: FENCED_INSTANCE_ID.",
            "`GroupMetadataManager.throwIfInstanceIdIsFenced`",
            "group::consumer::tests::a_static_member_is_bounced";
    }

    "Regular expressions" {
        ExpressionsAreChecked: "An expression that cannot be understood: INVALID_REGULAR_EXPRESSION.",
            "KAFKA-17593, `Utils.throwIfRegularExpressionIsInvalid`",
            "group::consumer::tests::a_member_describes_its_topics";
        ResolvedExpressionsRebalance: "Other topics than before make a new group epoch.",
            "KAFKA-17593, `GroupMetadataManager.handleRegularExpressionsResult`",
            "group::consumer::tests::a_member_describes_its_topics";
    }

    "Offsets" {
        CommitNamesTheEpoch: "A commit or fetch of another epoch than the member's: STALE_MEMBER_EPOCH.",
            "`ConsumerGroup.validateMemberEpoch`",
            "group::consumer::tests::who_may_commit_and_fetch";
        CommitKnowsMemberEpochs: "A commit of a member before version 9: UNSUPPORTED_VERSION.",
            "`ConsumerGroup.validateOffsetCommit`",
            "group::consumer::tests::who_may_commit_and_fetch";
    }
}
