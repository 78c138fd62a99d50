//! 4.10, 4.11: what a consumer does as a member of its group.

use super::rules;

rules! {
    /// How a consumer finds its coordinator, goes through rebalances, and commits.
    GroupClientRule: "4.10, 4.11 (client)", "The consumer in its group";

    "The coordinator" {
        CoordinatorIsAskedForAfterAPause: "Who coordinates the group is asked again after a growing pause.",
            "`AbstractCoordinator.ensureCoordinatorReady`",
            "client::tests::group_links::a_coordinator_that_is_not_there_is_looked_for_after_pauses";
        SilentCoordinatorIsLeft: "A coordinator that answers no heartbeat for a session is looked for anew.",
            "`AbstractCoordinator.HeartbeatThread`",
            "client::tests::group_links::a_coordinator_that_is_silent_for_a_session_is_looked_for_anew";
    }
    "A rebalance of a classic group" {
        CommitsBeforeItGivesUp: "With auto commit the positions are committed before partitions are given up.",
            "`ConsumerCoordinator.onJoinPrepare`, `ConsumerMembershipManager.signalReconciliationStarted`",
            "client::tests::group_rebalance::what_was_read_is_committed_before_it_is_given_up";
        RevokedIsNotHandedOut: "Nothing is handed out of partitions that are about to be given up.",
            "KAFKA-14196, `SubscriptionState.markPendingRevocation`",
            "client::tests::group_rebalance::nothing_is_handed_out_of_what_is_about_to_be_given_up";
        CooperativeRevokesAndRejoins: "A cooperative member gives up what its assignment takes away, and joins again.",
            "KIP-429, `ConsumerCoordinator.onJoinComplete`",
            "client::tests::group_rebalance::a_cooperative_member_gives_up_one_partition_and_keeps_the_others";
        LeaderWatchesTheTopics: "A leader whose topics have other partitions than when it assigned joins again.",
            "`ConsumerCoordinator.rejoinNeededOrPending`",
            "client::tests::group_rebalance::partitions_that_come_are_assigned";
        ReturningLeaderLeavesTheAssignment: "A static leader that returns leaves the assignment as it is.",
            "KIP-814, `ConsumerCoordinator.onLeaderElected`",
            "client::tests::group_rebalance::a_static_member_bounces_without_a_rebalance";
        OldGenerationsAnswerIsNothing: "An answer to a heartbeat of an earlier generation says nothing about the present one.",
            "KAFKA-9823, `AbstractCoordinator.HeartbeatResponseHandler`",
            "client::tests::group_links::an_answer_of_an_earlier_generation_says_nothing";
    }
    "Being lost" {
        LostIsGivenUp: "Who is no member any more gives up everything as lost.",
            "`ConsumerCoordinator.onJoinPrepare`, `AbstractMembershipManager.transitionToFenced`",
            "client::tests::group_rebalance::a_zombie_may_not_commit_and_learns_that_it_has_lost_everything";
        WhoDoesNotPollLeaves: "A member whose application does not poll for max.poll.interval.ms leaves.",
            "`AbstractCoordinator.handlePollTimeoutExpiry`, `AbstractHeartbeatRequestManager.poll`",
            "client::tests::group_rebalance::who_does_not_poll_leaves_and_comes_again";
    }
    "The consumer protocol" {
        OnlyChangesAreSaid: "A heartbeat says only what has changed, all when it joins and after a failure.",
            "KIP-848, `ConsumerHeartbeatRequestManager.HeartbeatState`",
            "client::tests::group_modern::a_heartbeat_says_only_what_has_changed";
        StaleEpochIsTriedAgain: "A commit before a revocation that a new epoch overtook is made again in that.",
            "`CommitRequestManager.autoCommitSyncBeforeRevocationWithRetries`",
            "client::tests::group_modern::a_commit_that_a_new_epoch_overtook_is_made_again";
    }
    "Offsets" {
        CommittedOffsetIsThePosition: "A partition that is assigned is read from where the group has come to.",
            "`ConsumerUtils.refreshCommittedOffsets`",
            "client::tests::group_commits::who_comes_next_goes_on_where_the_group_has_come_to";
        OldAnswerIsNoPosition: "Committed offsets that were asked for in another assignment are no positions.",
            "`ConsumerCoordinator.PendingCommittedOffsetRequest`",
            "client::tests::group_commits::offsets_asked_for_in_another_assignment_are_no_positions";
        SyncCommitIsRetried: "A synchronous commit is tried again after an error that may pass.",
            "`ConsumerCoordinator.commitOffsetsSync`",
            "client::tests::group_commits::a_synchronous_commit_survives_a_failover_an_asynchronous_one_does_not";
        CloseCommits: "A consumer that closes commits its positions first, with auto commit.",
            "`ConsumerCoordinator.close`",
            "client::tests::group_commits::who_closes_commits_and_leaves";
    }
}
