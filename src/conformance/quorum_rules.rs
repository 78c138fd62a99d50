//! 4.12: the metadata quorum, and the controller on top of it.

use super::rules;

rules! {
    /// How voters elect, replicate and commit, and when the controller may act.
    QuorumRule: "4.12", "KRaft quorum";

    "Durable state" {
        EpochAndVoteAreDurableFirst: "Epoch, leader and vote are on the disk before anybody is told.",
            "`QuorumState.durableTransitionTo`",
            "controller::tests::quorum_rules::a_vote_is_durable_before_it_is_told";
        StateIsDurableBeforeItsName: "The file is durable under another name before it takes the place of the old one.",
            "`FileQuorumStateStore.writeElectionStateToFile`",
            "controller::tests::quorum::power_loss_at_any_sync_of_a_start_leaves_a_disk_that_starts";
    }
    "Votes" {
        OlderEpochIsFenced: "A request of an older epoch: FENCED_LEADER_EPOCH.",
            "`KafkaRaftClient.validateVoterOnlyRequest`",
            "controller::tests::quorum_rules::every_check_of_a_vote_request_has_its_error";
        HigherEpochIsEntered: "A vote request of a higher epoch makes the voter unattached in it.",
            "`KafkaRaftClient.handleVoteRequest`",
            "controller::tests::quorum_rules::every_check_of_a_vote_request_has_its_error";
        OneVotePerEpoch: "A voter votes for one candidate per epoch.",
            "`UnattachedState.canGrantVote`",
            "controller::tests::quorum_rules::a_vote_is_durable_before_it_is_told";
        SameCandidateMayAskAgain: "The candidate it voted for is granted the vote again.",
            "`UnattachedState.canGrantVote`",
            "controller::tests::quorum_rules::a_vote_is_durable_before_it_is_told";
        KnownLeaderMeansNoVote: "Who knows the leader of the epoch votes for nobody in it.",
            "`FollowerState.canGrantVote`",
            "controller::tests::quorum_rules::a_follower_grants_a_pre_vote_only_until_it_has_fetched";
        CandidateHasEverything: "A candidate whose log (last epoch, then end) is behind the voter's gets no vote.",
            "`UnattachedState.canGrantVote`",
            "controller::tests::quorum_rules::a_candidate_that_is_behind_gets_no_vote";
        CandidateIsAboveItsLog: "A candidate whose last epoch is not below its own: INVALID_REQUEST.",
            "`KafkaRaftClient.handleVoteRequest`",
            "controller::tests::quorum_rules::every_check_of_a_vote_request_has_its_error";
        MajorityElects: "More than half of the voters elect.",
            "`EpochElection.isVoteGranted`",
            "controller::tests::quorum_one_by_one::one_voter_of_three_elects_nobody";
    }
    "Pre-votes" {
        PreVoteComesFirst: "Whose patience is at its end asks first, without raising its epoch.",
            "KIP-996, `QuorumState.transitionToProspective`",
            "controller::tests::failover::a_voter_that_returns_does_not_depose_the_leader";
        WorkingLeaderMeansNoPreVote: "A leader, or a follower that has fetched from its leader, grants no pre-vote.",
            "KIP-996, `FollowerState.canGrantVote`",
            "controller::tests::quorum_rules::a_follower_grants_a_pre_vote_only_until_it_has_fetched";
        PreCandidateHasEverything: "Who is behind gets no pre-vote.",
            "KIP-996, `EpochState.canGrantVote`",
            "controller::tests::quorum_rules::who_is_behind_gets_no_pre_vote";
        MajorityOfPreVotesMakesACandidate: "A majority of pre-votes makes a candidate, in the next epoch.",
            "KIP-996, `KafkaRaftClient.pollProspective`",
            "controller::tests::failover::among_one_three_and_five_voters_one_is_elected_and_all_replay_the_same";
    }
    "Time-outs of an election" {
        PatienceIsRandom: "How long a voter waits for an election is random, between one and two election timeouts.",
            "`QuorumState.randomElectionTimeoutMs`",
            "controller::tests::quorum_one_by_one::the_patience_of_voters_differs";
        CandidateTriesAgain: "A candidate that hears nothing tries again after an election timeout.",
            "`KafkaRaftClient.pollCandidate`",
            "controller::tests::quorum_one_by_one::a_candidate_that_hears_nothing_tries_again";
        LoserBacksOff: "A candidate that has lost tries again after a random pause that grows from time to time, and no longer.",
            "`KafkaRaftClient.binaryExponentialElectionBackoffMs`",
            "controller::tests::quorum_one_by_one::a_candidate_that_loses_tries_again_after_a_pause";
    }
    "What a leader does" {
        EpochBeginsWithARecord: "A new leader appends LeaderChange in its own epoch at once.",
            "`KafkaRaftClient.onBecomeLeader`",
            "controller::tests::failover::among_one_three_and_five_voters_one_is_elected_and_all_replay_the_same";
        LeaderTellsSilentVoters: "A leader tells voters that have not fetched for half a fetch timeout that it leads.",
            "`KafkaRaftClient.maybeSendBeginQuorumEpochRequests`",
            "controller::tests::quorum_rules::a_leader_tells_silent_voters_that_it_leads";
        MajorityCommits: "What more than half of the voters have is committed.",
            "`LeaderState.maybeUpdateHighWatermark`",
            "controller::tests::quorum_rules::a_leader_counts_itself_with_what_it_has_synced";
        OwnEpochCommitsTheOlder: "Records of older epochs are committed only with one of the own.",
            "KAFKA-12619, `LeaderState.maybeUpdateHighWatermark`",
            "controller::tests::quorum_rules::records_of_older_epochs_are_committed_only_with_one_of_the_own";
        HighWatermarkNeverGoesBack: "The high watermark never goes back.",
            "`LeaderState.maybeUpdateHighWatermark`",
            "controller::tests::quorum_rules::the_high_watermark_never_goes_back";
        LeaderWithoutFetchesResigns: "A leader that no majority fetches from for one and a half fetch timeouts resigns.",
            "KAFKA-15489, `LeaderState.timeUntilCheckQuorumExpires`",
            "controller::tests::failover::a_leader_that_no_majority_fetches_from_resigns";
        RestartedLeaderHasResigned: "Who led an epoch before its restart has resigned from it.",
            "KAFKA-10527, `QuorumState.initialize`",
            "controller::tests::failover::a_leader_that_restarts_never_leads_its_epoch_again";
        LeaderTellsTheEndOfItsEpoch: "A leader that resigns tells the voters, its successors first.",
            "`KafkaRaftClient.pollResigned`",
            "controller::tests::failover::a_leader_that_shuts_down_hands_over_at_once";
        BestSuccessorComesFirst: "Who has most of the log is the first successor.",
            "`LeaderState.nonLeaderVotersByDescendingFetchOffset`",
            "controller::tests::quorum_one_by_one::who_has_most_is_the_first_successor";
        SuccessorsStandInOrder: "The first successor stands at once, the others after it.",
            "`KafkaRaftClient.endEpochElectionBackoff`",
            "controller::tests::quorum_rules::successors_stand_in_their_order";
    }
    "Replication by fetching" {
        OnlyTheLeaderServes: "Who does not lead the epoch: NOT_LEADER_OR_FOLLOWER.",
            "`KafkaRaftClient.validateLeaderOnlyRequest`",
            "controller::tests::quorum_one_by_one::only_the_leader_serves_fetches";
        FetchOfAnOlderEpochIsFenced: "A fetch in an older epoch: FENCED_LEADER_EPOCH.",
            "`KafkaRaftClient.validateLeaderOnlyRequest`",
            "controller::tests::quorum_rules::voters_get_what_is_not_committed_and_observers_do_not";
        FetchOfAFutureEpochIsUnknown: "A fetch in a later epoch: UNKNOWN_LEADER_EPOCH.",
            "`KafkaRaftClient.validateLeaderOnlyRequest`",
            "controller::tests::quorum_rules::voters_get_what_is_not_committed_and_observers_do_not";
        UnknownEpochDiverges: "A replica whose last epoch this log does not have is told where to cut.",
            "`ReplicatedLog.validateOffsetAndEpoch`",
            "controller::quorum::snapshots::tests::what_a_fetch_is_told";
        LongerEpochDiverges: "So is one that has more of its last epoch than this log.",
            "`ReplicatedLog.validateOffsetAndEpoch`",
            "controller::quorum::snapshots::tests::what_a_fetch_is_told";
        FetchOffsetCountsAsReplicated: "The offset a voter fetches from is what it has.",
            "`LeaderState.updateReplicaState`",
            "controller::tests::quorum_rules::a_leader_counts_itself_with_what_it_has_synced";
        OnlySyncedRecordsCount: "What is not synced counts for nobody.",
            "KAFKA-10533, `LeaderState.updateLocalState`",
            "controller::tests::quorum_rules::a_leader_counts_itself_with_what_it_has_synced";
        FollowerSyncsBeforeItFetchesOn: "A follower syncs what it appended before it fetches on.",
            "KAFKA-10533, `KafkaRaftClient.appendAsFollower`",
            "controller::tests::quorum_rules::a_follower_syncs_before_it_fetches_on";
        DivergingEndIsCut: "A follower cuts its log to where it agrees with the leader's.",
            "`ReplicatedLog.truncateToEndOffset`",
            "controller::tests::quorum_rules::committed_metadata_is_never_cut";
        CommittedIsNeverCut: "A cut below the own high watermark is fatal.",
            "KAFKA-12460, `KafkaRaftClient.handleFetchResponse`",
            "controller::tests::quorum_rules::committed_metadata_is_never_cut";
        SilentLeaderIsReplaced: "A follower that hears nothing for a fetch timeout begins an election.",
            "`KafkaRaftClient.pollFollowerAsVoter`",
            "controller::tests::failover::another_takes_over_with_everything_that_was_committed";
    }
    "Snapshots" {
        SnapshotEndIsExclusive: "A snapshot is named after the offset behind its last record.",
            "KIP-630, `SnapshotGenerator.publishLogDelta`",
            "controller::tests::snapshots::a_snapshot_ends_right_behind_the_last_record_it_holds";
        SnapshotHasTheEpochOfItsLastRecord: "And after the epoch of that record.",
            "KIP-630, `OffsetAndEpoch`",
            "controller::tests::quorum_one_by_one::a_snapshot_has_the_epoch_of_its_last_record";
        SnapshotIsOfWhatIsCommitted: "A snapshot is only taken below the high watermark.",
            "`KafkaMetadataLog.createNewSnapshot`",
            "controller::quorum::snapshots::tests::a_snapshot_is_only_taken_of_what_is_committed_and_only_once";
        SnapshotIsDurableBeforeTheLogGoes: "A snapshot is durable before the log below it goes.",
            "`FileRawSnapshotWriter.freeze`, `KafkaMetadataLog.deleteBeforeSnapshot`",
            "controller::tests::snapshots::a_controller_starts_from_its_snapshot_and_the_log_behind_it";
        LogBeginsAtTheLatestSnapshot: "The log below the latest snapshot is deleted.",
            "`KafkaMetadataLog.deleteBeforeSnapshot`",
            "controller::tests::snapshots::every_voter_takes_snapshots_and_cuts_its_log";
        NothingMeansASnapshot: "A replica that fetches from offset 0 is sent to the snapshot, if there is one.",
            "`KafkaRaftClient.tryCompleteFetchRequest`",
            "controller::quorum::snapshots::tests::what_a_fetch_is_told";
        BelowTheLogMeansASnapshot: "So is one that fetches from below the log's start.",
            "`ReplicatedLog.validateOffsetAndEpoch`",
            "controller::quorum::snapshots::tests::what_a_fetch_is_told";
        OtherHistoryAtTheStartMeansASnapshot: "So is one that fetches from its start with another epoch than the snapshot's.",
            "`ReplicatedLog.validateOffsetAndEpoch`",
            "controller::quorum::snapshots::tests::what_a_fetch_is_told";
        OlderThanTheSnapshotMeansASnapshot: "So is one whose last epoch is older than the oldest snapshot's.",
            "`ReplicatedLog.validateOffsetAndEpoch`",
            "controller::quorum::snapshots::tests::what_a_fetch_is_told";
        FollowerTakesTheSnapshot: "A follower that is sent to a snapshot fetches it and begins its log at its end.",
            "`KafkaRaftClient.handleFetchSnapshotResponse`",
            "controller::tests::snapshots::a_voter_that_fell_behind_loads_a_snapshot_and_ends_with_the_same_metadata";
        SnapshotHasEverythingCommitted: "A snapshot that ends below the own high watermark is fatal.",
            "`KafkaRaftClient.handleFetchResponse`",
            "controller::tests::quorum_one_by_one::a_snapshot_below_the_own_high_watermark_is_fatal";
        LeaderNeverLoadsASnapshot: "Who follows no more drops the snapshot it was fetching: a leader never loads one.",
            "`FollowerState.close`",
            "controller::tests::quorum_one_by_one::who_follows_no_more_loads_no_snapshot";
    }
    "Who is a voter" {
        VoterIsANodeOnItsDisk: "A voter is a node id on one disk: the same node on another is none.",
            "KIP-853, `VoterSet.isVoter`",
            "controller::tests::failover::a_voter_on_another_disk_is_none_any_more";
        VoteIsForACandidateOnItsDisk: "A vote for a candidate is none for the same node on another disk.",
            "KIP-853, `UnattachedState.canGrantVote`",
            "controller::tests::quorum_one_by_one::a_vote_is_for_a_candidate_on_its_disk";
        RequestIsForThisDisk: "A vote request for another disk: INVALID_VOTER_KEY.",
            "KIP-853, `KafkaRaftClient.isValidVoterKey`",
            "controller::tests::quorum_rules::every_check_of_a_vote_request_has_its_error";
    }
    "How voters change" {
        VoterChangesComeOneByOne: "While a change of the voters is under way another is refused: REQUEST_TIMED_OUT.",
            "KIP-853, `LeaderState.isOperationPending`",
            "controller::tests::membership::one_change_comes_after_the_other";
        VotersChangeAfterTheEpochsFirstCommit: "Voters change only once something of the leader's epoch is committed: REQUEST_TIMED_OUT before.",
            "KIP-853, `AddVoterHandler.handleAddVoterRequest`",
            "controller::tests::membership::nothing_changes_before_the_epochs_first_commit";
        VotersChangeOnceTheFormerAreCommitted: "Voters change only once the set before is committed: REQUEST_TIMED_OUT before.",
            "KIP-853, `RemoveVoterHandler.handleRemoveVoterRequest`",
            "controller::tests::membership::nothing_changes_before_the_change_before_is_committed";
        NodeIsAVoterOnce: "A node that is a voter, on whatever disk, is not added: DUPLICATE_VOTER.",
            "KIP-853, `VoterSet.addVoter`",
            "controller::tests::membership::every_refusal_has_its_error";
        OnlyAVoterIsRemoved: "Who is no voter, by node id and disk, is not removed: VOTER_NOT_FOUND.",
            "KIP-853, `VoterSet.removeVoter`",
            "controller::tests::membership::every_refusal_has_its_error";
        LastVoterStays: "The only voter is not removed: VOTER_NOT_FOUND.",
            "KIP-853, `VoterSet.removeVoter`",
            "controller::tests::membership::the_last_voter_is_not_removed";
        OnlyAVoterIsUpdated: "Who is no voter, by node id and disk, is not updated: VOTER_NOT_FOUND.",
            "KIP-853, `VoterSet.updateVoter`",
            "controller::tests::membership::every_refusal_has_its_error";
        NewVoterUnderstandsTheKraftVersion: "Who does not support the kraft.version in force is not added: INVALID_REQUEST.",
            "KIP-853, `AddVoterHandler.handleApiVersionsResponse`",
            "controller::tests::membership::a_new_voter_must_answer_understand_and_be_caught_up";
        NewVoterIsCaughtUp: "Who has not caught up with the log is not added: REQUEST_TIMED_OUT.",
            "KIP-853, `LeaderState.isReplicaCaughtUp`",
            "controller::tests::membership::a_new_voter_must_answer_understand_and_be_caught_up";
        VoterChangeIsAnsweredOnceCommitted: "A change of the voters is answered once it is committed.",
            "KIP-853, `AddVoterHandler.highWatermarkUpdated`",
            "controller::tests::membership::nothing_changes_before_the_change_before_is_committed";
        LeaderCountsVotersFromTheirAppend: "For the leader a set of voters counts from when it appends it.",
            "KIP-853, `KRaftControlRecordStateMachine.updateState`",
            "controller::tests::membership::a_spare_controller_is_added_and_counts";
        FollowerCountsVotersFromTheirAppend: "And for a follower.",
            "KIP-853, `KRaftControlRecordStateMachine.updateState`",
            "controller::tests::membership::a_spare_controller_is_added_and_counts";
        CutVotersCountNoMore: "A set of voters that is cut off the log counts no more: the one before it does.",
            "KIP-853, `VoterSetHistory.truncateNewEntries`",
            "controller::tests::membership::a_change_that_is_cut_off_is_undone";
        SnapshotTellsTheVoters: "A snapshot tells the voters in force at its end.",
            "KIP-853, `RecordsSnapshotWriter.Builder.build`",
            "controller::tests::membership::a_snapshot_tells_the_voters";
        RemovedLeaderResigns: "A leader that was removed leads on until that is committed, and resigns then.",
            "KIP-853, `RemoveVoterHandler.highWatermarkUpdated`",
            "controller::tests::membership::a_leader_that_is_removed_leads_until_that_is_committed";
        RemovedLeaderDoesNotCount: "It does not count for the high watermark.",
            "KAFKA-16530, `LeaderState.maybeUpdateHighWatermark`",
            "controller::tests::membership::a_leader_that_is_removed_leads_until_that_is_committed";
        RemovedLeaderNeedsAMajorityOfOthers: "Nor for the majority that must fetch from it.",
            "KAFKA-16531, `LeaderState.updateCheckQuorumForFollowingVoter`",
            "controller::tests::membership::a_leader_that_is_removed_needs_the_fetches_of_a_majority_without_it";
        VoterTellsItsEndpoint: "A voter that is reached elsewhere than the set of voters says tells so: UpdateRaftVoter.",
            "KIP-853, `KafkaRaftClient.pollFollowerAsVoter`, `LeaderState.appendStartOfEpochControlRecords`",
            "controller::tests::membership::a_voter_that_moved_tells_where_it_is";
        ObserverGrantsItsVote: "An observer grants its vote as a voter does: it may be one in a newer set.",
            "KIP-853, `UnattachedState.canGrantVote`",
            "controller::tests::membership::an_observer_grants_its_vote";
    }
    "The controller on top" {
        AnswersWaitForTheCommit: "An answer waits until all that was decided before it is committed.",
            "`QuorumController.ControllerWriteEvent.run`",
            "controller::tests::quorum::nothing_is_answered_or_fetched_before_it_is_synced";
        OneEventIsOneBatch: "What one event decides is one atomic batch.",
            "`QuorumController.appendRecords`",
            "controller::tests::brokers::a_silent_leader_is_fenced_and_the_next_in_sync_replica_leads";
        LostLeadershipReverts: "A controller that loses its leadership undoes what was not committed.",
            "`QuorumController.renounce`",
            "controller::tests::failover::a_deposed_controller_reverts_what_it_had_decided_and_refuses_what_waits";
        LostLeadershipRefusesWhatWaits: "What waited for the commit is answered with NOT_CONTROLLER.",
            "`DeferredEventQueue.failAll`",
            "controller::tests::failover::a_deposed_controller_reverts_what_it_had_decided_and_refuses_what_waits";
        NewControllerReplaysFirst: "A new controller decides once it has replayed up to its epoch's start.",
            "KAFKA-15345, `KafkaRaftClient.maybeFireLeaderChange`",
            "controller::tests::quorum_rules::records_of_older_epochs_are_committed_only_with_one_of_the_own";
    }
    "Observers" {
        ObserversGetWhatIsCommitted: "An observer gets only what is committed.",
            "`KafkaRaftClient.tryCompleteFetchRequest`",
            "controller::tests::quorum_rules::voters_get_what_is_not_committed_and_observers_do_not";
        BrokerActsFromItsRegistrationOn: "A broker acts on metadata once it has replayed its own registration.",
            "`BrokerServer.startup`",
            "broker::tests::lifecycle::metadata_counts_only_after_the_own_registration";
    }
}
