//! 4.7: registration, heartbeats, restarts.

use super::rules;

rules! {
    /// How a broker comes, stays and goes.
    BrokerRule: "4.7", "Broker registration, heartbeat, restart";

    "Registration" {
        BrokerEpochIsAnOffset: "A broker epoch is the offset of the registration record.",
            "KIP-631, `ClusterControlManager.registerBroker`",
            "controller::tests::brokers::a_broker_epoch_is_the_offset_of_its_registration_record";
        SameIncarnationKeepsItsEpoch: "The same incarnation registering again keeps its broker epoch.",
            "KAFKA-16952, `ClusterControlManager.registerBroker`",
            "controller::tests::brokers::the_same_incarnation_registers_again_and_stays_what_it_is";
        ValidSessionKeepsOthersOut: "Another incarnation is refused while the session is valid: DUPLICATE_BROKER_REGISTRATION.",
            "KIP-631, `ClusterControlManager.registerBroker`",
            "controller::tests::brokers::a_second_incarnation_waits_until_the_session_of_the_first_has_run_out";
        StoppingBrokerIsReplaced: "A broker in controlled shutdown does not keep its next incarnation out.",
            "since 4.0, `ClusterControlManager.registerBroker`",
            "controller::tests::brokers::a_new_incarnation_is_taken_out_of_the_in_sync_replicas";
        NewRegistrationIsFenced: "A new registration is fenced.",
            "KIP-631, `ClusterControlManager.registerBroker`",
            "controller::tests::brokers::a_broker_epoch_is_the_offset_of_its_registration_record";
        RegistrationIsTriedAgain: "A broker whose registration is refused (another incarnation's session is valid) tries again.",
            "KIP-631, `BrokerLifecycleManager.BrokerRegistrationResponseHandler`",
            "broker::tests::lifecycle::a_refused_registration_is_sent_again_after_growing_pauses";
    }
    "Heartbeats, fencing and sessions" {
        HeartbeatTellsTheMetadataOffset: "A heartbeat tells how far its broker has replayed the metadata.",
            "`BrokerLifecycleManager.sendBrokerHeartbeat`",
            "broker::tests::lifecycle::a_heartbeat_tells_how_far_the_metadata_was_replayed";
        HeartbeatAsksToStayFenced: "A broker asks to stay fenced until it has replayed its own registration.",
            "`BrokerLifecycleManager.sendBrokerHeartbeat`",
            "broker::tests::lifecycle::the_way_from_starting_to_running";
        HeartbeatAsksToShutDown: "A broker that is to stop asks for a controlled shutdown.",
            "`BrokerLifecycleManager.sendBrokerHeartbeat`",
            "broker::tests::lifecycle::an_orderly_stop_leaves_its_broker_epoch_and_everything_else";
        UnfencedOnlyAtItsWish: "A broker that wants to be fenced is not unfenced.",
            "`BrokerHeartbeatManager.calculateNextBrokerState`",
            "controller::tests::brokers::a_broker_is_unfenced_once_it_has_seen_its_own_registration";
        UnfencedOnlyPastItsRegistration: "A broker is unfenced once it has replayed its own registration record.",
            "`BrokerHeartbeatManager.calculateNextBrokerState`",
            "controller::tests::brokers::a_broker_is_unfenced_once_it_has_seen_its_own_registration";
        SilentBrokerIsFenced: "A broker that was silent for broker.session.timeout.ms is fenced.",
            "`BrokerHeartbeatManager.findOneStaleBroker`",
            "controller::tests::brokers::a_silent_leader_is_fenced_and_the_next_in_sync_replica_leads";
        HeartbeatKeepsTheSession: "Each heartbeat begins the session anew.",
            "`BrokerHeartbeatManager.touch`",
            "controller::tests::one_by_one::a_broker_that_is_heard_of_stays";
        FencedBrokerHasNoSession: "A fenced broker has no valid session that could keep another incarnation out.",
            "`BrokerHeartbeatManager.hasValidSession`",
            "controller::rules::sessions::tests::a_session_is_valid_up_to_its_timeout_and_the_check_comes_right_after";
        OneBrokerIsFencedPerEvent: "Of several silent brokers one is fenced per event of the controller, so that the next election sees it.",
            "`ReplicationControlManager.maybeFenceOneStaleBroker`",
            "controller::tests::brokers::sessions_run_out_one_broker_per_event";
        NewControllerBeginsSessionsAnew: "A controller that becomes active begins every session anew.",
            "`ClusterControlManager.activate`",
            "controller::tests::brokers::a_restarted_controller_gives_every_broker_a_fresh_session";
        HeartbeatOfAnotherEpochIsStale: "A heartbeat with another broker epoch than the registered one: STALE_BROKER_EPOCH.",
            "`ClusterControlManager.checkBrokerEpoch`",
            "controller::tests::brokers::heartbeats_of_a_stranger_or_a_predecessor_are_stale";
    }
    "Controlled shutdown, as the heartbeats see it" {
        LeaderShutsDownInTwoSteps: "A broker that leads something does not stop at once but enters controlled shutdown.",
            "`BrokerHeartbeatManager.calculateNextBrokerState`",
            "controller::tests::brokers::a_controlled_shutdown_moves_leaders_and_waits_until_all_know";
        ShutDownWaitsUntilItLeadsNothing: "It does not stop while it leads anything.",
            "`BrokerHeartbeatManager.calculateNextBrokerState`",
            "controller::tests::heartbeats::each_state_goes_where_kafka_lets_it";
        ShutDownWaitsUntilAllKnow: "It may stop when every active broker has replayed what its shutdown wrote.",
            "`BrokerHeartbeatManager.calculateNextBrokerState`",
            "controller::tests::brokers::a_controlled_shutdown_moves_leaders_and_waits_until_all_know";
        ShutDownWaitsForNobodyWhoStops: "Neither fenced brokers nor those that shut down hold up a shutdown.",
            "`BrokerHeartbeatManager.lowestActiveOffset`",
            "controller::rules::sessions::tests::a_broker_that_shuts_down_does_not_hold_up_others";
        FirstShutDownOffsetCounts: "What the others must have replayed is fixed when the shutdown begins.",
            "`BrokerHeartbeatManager.maybeUpdateControlledShutdownOffset`",
            "controller::rules::sessions::tests::a_broker_that_shuts_down_does_not_hold_up_others";
    }
    "Restart" {
        MarkerHoldsTheBrokerEpoch: "An orderly stop leaves its broker epoch in the clean-shutdown marker.",
            "KIP-966, `CleanShutdownFileHandler.write`",
            "broker::tests::lifecycle::an_orderly_stop_leaves_its_broker_epoch_and_everything_else";
        MarkerComesAfterTheFlush: "The marker is written when every log is flushed.",
            "`LogManager.shutdown`",
            "broker::tests::lifecycle::an_orderly_stop_leaves_its_broker_epoch_and_everything_else";
        MarkerIsUsedOnce: "The marker is gone as soon as the next start has read it.",
            "KAFKA-10471, `LogManager.loadLogs`",
            "broker::tests::lifecycle::the_marker_is_used_once";
        MarkerMakesRecoveryNeedless: "After an orderly stop the logs are taken as they are.",
            "`LogLoader.load`",
            "broker::tests::lifecycle::only_a_crash_makes_the_logs_be_looked_through";
        NoMarkerMeansRecovery: "Without a marker every log is looked through and cut at the first bad batch.",
            "`LogLoader.recoverLog`",
            "broker::tests::lifecycle::only_a_crash_makes_the_logs_be_looked_through";
        NoMarkerMeansNoPreviousEpoch: "Without a marker a broker registers with previousBrokerEpoch -1.",
            "KIP-966, `BrokerLifecycleManager`",
            "broker::tests::lifecycle::the_marker_is_used_once";
        CleanStopNamesTheLastEpoch: "The controller takes a stop for a clean one if previousBrokerEpoch is the registered broker epoch.",
            "KIP-966, `ClusterControlManager.registerBroker`",
            "controller::tests::eligible_leaders::replicas_stay_eligible_until_they_stop_uncleanly";
        NewIncarnationIsNotInSync: "A new incarnation starts outside every ISR, whatever its predecessor was.",
            "KAFKA-18106, `ReplicationControlManager.handleBrokerShutdown`",
            "controller::tests::brokers::a_new_incarnation_does_not_inherit_leadership";
        UncleanStopEndsIsrAndElr: "After an unclean stop it leaves ISR and ELR.",
            "KIP-966, KAFKA-18106, `ReplicationControlManager.handleBrokerShutdown`",
            "controller::tests::eligible_leaders::replicas_stay_eligible_until_they_stop_uncleanly";
    }
    "A fenced broker" {
        FencedLeaderServesOn: "A fenced broker serves as leader until its metadata says otherwise: epochs are what protects.",
            "`Partition`, KIP-631",
            "broker::tests::lifecycle::a_fenced_leader_serves_on";
    }
    "What the disk keeps" {
        AppendsAreNotFlushed: "An append is not flushed: a loss of power takes what is young.",
            "`UnifiedLog.append`, flush.messages",
            "broker::tests::lifecycle::a_loss_of_power_takes_what_was_not_flushed";
        RolledSegmentIsFlushed: "A segment that is full is flushed.",
            "`UnifiedLog.roll`",
            "broker::tests::lifecycle::a_full_segment_survives_a_loss_of_power";
        ActiveSegmentIsLeftAlone: "The segment that is begun instead is not flushed with it.",
            "`UnifiedLog.roll`, `flushUptoOffsetExclusive`",
            "broker::tests::disk::a_roll_does_not_flush_what_comes_after_it";
        CutIsCheckpointedAtOnce: "A log that is cut has its recovery point written at once.",
            "`LogManager.truncateTo`",
            "broker::tests::disk::a_cut_is_in_the_checkpoint_at_once";
        FetchWaitsForTheCheckpoint: "Nothing is fetched behind a cut before its checkpoint is durable.",
            "`LogManager.truncateTo`, which the fetcher's thread waits for",
            "broker::tests::disk::nothing_is_fetched_behind_a_cut_before_the_checkpoint_is_durable";
        MetadataFileIsFlushedWithTheLog: "What is flushed is not durable before the file that says whose partition it is.",
            "`UnifiedLog.append`, `maybeFlushMetadataFile`",
            "broker::tests::disk::flushed_records_have_their_partition_metadata";
        StoppingBrokerActsOnNoMetadata: "A broker that flushes its logs to stop acts on no metadata any more.",
            "`BrokerServer.shutdown`",
            "broker::tests::disk::metadata_that_comes_while_the_logs_are_flushed_is_too_late";
        CheckpointsAreDurableByThemselves: "The high watermarks' checkpoint is durable by itself, logs or no logs.",
            "`OffsetCheckpointFile.write`",
            "broker::tests::lifecycle::a_checkpoint_survives_a_loss_of_power";
    }
}
