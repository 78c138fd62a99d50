//! 4.8: idempotent producers, on the side of the brokers. Most of these rules live in the log engine.

use super::rules;

rules! {
    /// What a partition knows of its producers, and whence they have their ids.
    ProducerRule: "4.8", "Idempotent producer state";

    "A client's append, in the order of its checks" {
        SameSequencesAreADuplicate: "A batch whose epoch, first and last sequence are those of a remembered batch is a duplicate: it is not appended again.",
            "KIP-98, `ProducerStateEntry.findDuplicateBatch`",
            "broker::tests::producers::a_retry_of_what_was_written_is_answered_as_the_first_attempt";
        DuplicateIsOfTheSameEpoch: "A batch of another producer epoch is no duplicate, whatever its sequences.",
            "`ProducerStateEntry.findDuplicateBatch`",
            "broker::tests::producer_state::the_same_sequences_in_a_new_epoch_are_another_batch";
        FiveBatchesAreRemembered: "The last five batches of a producer are remembered, as many as its client has in flight; an older one is out of order.",
            "KAFKA-5494, `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`",
            "broker::tests::producer_state::the_last_five_batches_are_known_and_no_older_one";
        OldEpochIsRefused: "An epoch below the known one: INVALID_PRODUCER_EPOCH.",
            "`ProducerAppendInfo.checkProducerEpoch`",
            "broker::tests::producers::each_refusal_has_its_error_and_the_log_start";
        NewEpochBeginsAtZero: "A higher epoch of a known producer begins at sequence 0: else OUT_OF_ORDER_SEQUENCE_NUMBER.",
            "`ProducerAppendInfo.checkSequence`",
            "broker::tests::producers::each_refusal_has_its_error_and_the_log_start";
        SequencesAreContiguous: "Within an epoch a batch begins at the sequence behind the last: else OUT_OF_ORDER_SEQUENCE_NUMBER.",
            "`ProducerAppendInfo.checkSequence`",
            "broker::tests::producers::each_refusal_has_its_error_and_the_log_start";
        SequencesWrapAround: "Behind sequence 2147483647 comes 0.",
            "`ProducerAppendInfo.inSequence`",
            "broker::tests::producer_state::behind_the_largest_sequence_comes_zero";
        UnknownProducerBeginsAnywhere: "A producer of which nothing is known begins at any sequence.",
            "KAFKA-5793, KIP-360, `ProducerAppendInfo.checkSequence`",
            "broker::tests::producer_state::an_unknown_producer_begins_anywhere";
        NewEpochForgetsTheBatches: "A higher epoch makes the batches of the old one forgotten.",
            "`ProducerStateEntry.maybeUpdateProducerEpoch`",
            "broker::tests::producer_state::the_same_sequences_in_a_new_epoch_are_another_batch";
    }
    "Duplicates" {
        DuplicateWaitsForTheHighWatermark: "A duplicate with acks=all waits until the high watermark covers the batch in the log.",
            "`ReplicaManager.appendRecords`, `DelayedProduce`",
            "broker::tests::producers::a_duplicate_waits_for_the_high_watermark_as_the_first_attempt_does";
    }
    "What was checked elsewhere" {
        ReplicatedBatchesAreNotChecked: "What a leader sent is appended without a look at epoch and sequence.",
            "`AppendOrigin.REPLICATION`",
            "broker::tests::producer_state::a_follower_takes_what_its_leader_has_and_knows_the_producer_then";
        ReplicatedBatchesAreRemembered: "A follower remembers the batches it appends, or it would lead without knowing any producer.",
            "`UnifiedLog.analyzeAndValidateProducerState`",
            "broker::tests::producer_state::a_follower_takes_what_its_leader_has_and_knows_the_producer_then";
    }
    "Snapshots, starts and truncations" {
        SnapshotAtEachRoll: "A snapshot is written where a new segment begins, unsynced.",
            "KAFKA-15046, `UnifiedLog.roll`",
            "broker::tests::producer_state::a_snapshot_stands_where_a_segment_begins";
        SnapshotAtAnOrderlyStop: "An orderly stop writes a snapshot of every log.",
            "`UnifiedLog.close`",
            "broker::tests::producers::a_broker_that_stopped_orderly_knows_its_producers";
        StateIsLoadedAtTheStart: "After a start the state is the latest snapshot's, and what the log holds behind it.",
            "`LogLoader.load`, `UnifiedLog.rebuildProducerState`",
            "broker::tests::producer_state::a_crashed_log_builds_its_state_from_snapshot_and_log";
        NoSnapshotAfterACleanStopIsNoState: "After an orderly stop, and without any snapshot, the log is not looked through: nobody is known.",
            "`UnifiedLog.rebuildProducerState`",
            "broker::tests::producer_state::without_a_snapshot_an_orderly_stop_means_that_there_were_no_producers";
        StateIsRebuiltAtATruncation: "A truncation makes the state what it was at the new end: the latest snapshot below, and the log behind it.",
            "`UnifiedLog.truncateTo`, `ProducerStateManager.truncateAndReload`",
            "broker::tests::producer_state::what_is_truncated_is_not_remembered";
        SnapshotsBehindTheEndAreRemoved: "Snapshots behind the new end are removed.",
            "`ProducerStateManager.truncateAndReload`",
            "broker::tests::producer_state::a_snapshot_of_what_was_cut_away_does_not_come_back";
        FullTruncationForgetsAll: "A log that is emptied forgets its producers and removes its snapshots.",
            "`ProducerStateManager.truncateFullyAndStartAt`",
            "broker::tests::producer_state::an_emptied_log_knows_nobody";
        CorruptSnapshotIsRemoved: "A snapshot with a wrong checksum is removed, and the one before it counts.",
            "`ProducerStateManager.loadFromSnapshot`",
            "broker::tests::producer_state::a_corrupt_snapshot_is_removed_and_the_one_before_it_counts";
        StateOutlivesTheLogStart: "A producer whose batches were all deleted is still known.",
            "KIP-360, `ProducerStateManager.onLogStartOffsetIncremented`",
            "broker::tests::producer_state::a_producer_outlives_its_batches";
    }
    "Expiry" {
        SilentProducersAreForgotten: "A producer is forgotten when its last timestamp is producer.id.expiration.ms old, by the wall clock.",
            "`ProducerStateManager.removeExpiredProducers`",
            "broker::tests::producers::a_silent_producer_is_forgotten";
        SilentProducersAreNotLoaded: "Such a producer is not loaded from a snapshot.",
            "`ProducerStateManager.loadFromSnapshot`",
            "broker::tests::producer_state::an_expired_producer_is_not_loaded";
    }
    "Producer ids" {
        BlocksAreForRegisteredBrokers: "AllocateProducerIds with another broker epoch than the registered one: STALE_BROKER_EPOCH.",
            "KIP-730, `ProducerIdControlManager.generateNextProducerId`",
            "controller::tests::producer_ids::a_block_is_for_a_registered_broker_only";
        BlocksFollowEachOther: "Each block begins where the last one ended, across controllers and snapshots: no id is given twice.",
            "KIP-730, `ProducerIdControlManager.generateNextProducerId`",
            "controller::tests::producer_ids::no_id_is_given_twice";
        NoIdYetIsRetriable: "While a broker has no producer id it answers COORDINATOR_LOAD_IN_PROGRESS.",
            "`RPCProducerIdManager.generateProducerId`",
            "broker::tests::producers::the_first_producer_comes_again_until_the_controller_has_given_a_block";
        NextBlockIsPrefetched: "The next block is asked for when the current one is used up to nine tenths.",
            "`RPCProducerIdManager.generateProducerId`",
            "broker::tests::producers::the_next_block_is_asked_for_before_it_is_needed";
        OneBlockIsAskedForAtATime: "While the controller is asked it is not asked again.",
            "`RPCProducerIdManager.maybeRequestNextBlock`",
            "broker::tests::producers::the_first_producer_comes_again_until_the_controller_has_given_a_block";
        RefusedBlockIsAskedForLater: "After a refusal the controller is left alone for 50 ms.",
            "`RPCProducerIdManager.handleUnsuccessfulResponse`",
            "broker::tests::producers::a_refused_block_is_asked_for_again_after_a_pause";
        BlockFollowsTheCurrent: "A block that does not begin behind the current one is refused.",
            "`RPCProducerIdManager.sanityCheckResponse`",
            "broker::tests::producers::a_block_that_was_had_before_is_not_taken";
        IdAndEpochComeTogether: "InitProducerId with a producer id and no epoch, or the reverse: INVALID_REQUEST.",
            "KIP-360, `KafkaApis.handleInitProducerIdRequest`",
            "broker::tests::producers::an_id_without_an_epoch_is_an_invalid_request";
    }
}

/// The rules of the log engine that hold: all of them, but for the one that this process leaves out.
#[cfg(not(any(test, feature = "mutants")))]
pub fn producer_rules_of_logs() -> trial_storage::ProducerRules {
    trial_storage::ProducerRules::default()
}
/// The rules of the log engine that hold: all of them, but for the one that this process leaves out.
#[cfg(any(test, feature = "mutants"))]
pub fn producer_rules_of_logs() -> trial_storage::ProducerRules {
    let holds = |name: &str| super::left_out::holds(&format!("ProducerRule::{name}"));
    let left_out = trial_storage::ProducerRule::ALL.iter().filter(|rule| !holds(rule.name()));
    left_out.fold(trial_storage::ProducerRules::default(), |rules, rule| rules.without(*rule))
}
