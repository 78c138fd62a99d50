//! 4.8, the client: how an idempotent producer numbers its batches, and what it does when a number is missing.

use super::rules;

rules! {
    /// What an idempotent producer does for its part.
    ProducerClientRule: "4.8, the client", "Idempotent producer";

    "Producer id and sequences" {
        BatchesHaveSequences: "A batch of an idempotent producer carries producer id, epoch and sequence.",
            "KIP-98, `RecordAccumulator.drainBatchesForOneNode`",
            "client::tests::producer_idempotence::batches_are_numbered_one_after_the_other_in_each_partition";
        IdBeforeFirstBatch: "No batch leaves before the producer has its id.",
            "KIP-98, `RecordAccumulator.shouldStopDrainBatchesForPartition`",
            "client::tests::producer_idempotence::nothing_is_sent_before_the_producer_has_its_id";
        InitProducerIdIsRetried: "InitProducerId that passed over or was cut off is asked again after retry.backoff.ms.",
            "`TransactionManager.InitProducerIdHandler`",
            "client::tests::producer_idempotence::nothing_is_sent_before_the_producer_has_its_id";
        RetryKeepsItsSequence: "A batch that is sent again keeps its sequence.",
            "KIP-98, `RecordAccumulator.drainBatchesForOneNode`",
            "client::tests::producer_idempotence::a_batch_sent_again_keeps_its_sequence_and_is_written_once";
        SequencesWrap: "After sequence 2^31-1 comes 0.",
            "`DefaultRecordBatch.incrementSequence`",
            "client::producer::sequences::tests::after_the_largest_sequence_comes_0";
    }
    "Retries" {
        RetriesKeepTheirOrder: "Batches to be sent again stand in the queue in the order of their sequences.",
            "KAFKA-5494, `RecordAccumulator.insertInSequenceOrder`",
            "client::tests::producer_idempotence::batches_that_fail_together_come_back_in_their_order";
        OneRetryAtATime: "Of batches to be sent again only the first in flight is sent.",
            "KAFKA-5494, `RecordAccumulator.shouldStopDrainBatchesForPartition`",
            "client::tests::producer_idempotence::batches_that_fail_together_come_back_in_their_order";
        SequenceErrorsAreRetried: "OUT_OF_ORDER_SEQUENCE_NUMBER and UNKNOWN_PRODUCER_ID are retried as long as time and retries allow.",
            "KIP-360, `TransactionManager.canRetry`",
            "client::tests::producer_idempotence::a_batch_behind_one_that_failed_is_sent_again_as_it_is";
        OutOfOrderBehindAnotherWaits: "A batch that is out of order behind one without outcome is sent again as it is.",
            "KAFKA-5494, `TransactionManager.canRetry`",
            "client::tests::producer_idempotence::a_batch_behind_one_that_failed_is_sent_again_as_it_is";
        TooLargeBatchIsSplit: "A batch of several records that is too large for the broker is sent again in parts.",
            "KAFKA-3995, `Sender.completeBatch`",
            "client::tests::producer_packing::a_batch_that_is_too_large_is_sent_in_parts_that_take_over_its_sequences";
        SplitBatchesKeepTheSequences: "The parts of a batch that was split have its sequences, each in its place.",
            "KAFKA-3995, `ProducerBatch.split`, `RecordAccumulator.splitAndReenqueue`",
            "client::tests::producer_packing::a_batch_that_is_too_large_is_sent_in_parts_that_take_over_its_sequences";
        DuplicateIsSuccess: "DUPLICATE_SEQUENCE_NUMBER is a success whose offset nobody knows.",
            "`Sender.completeBatch`",
            "client::tests::producer_idempotence::a_duplicate_that_the_broker_no_longer_remembers_is_a_success_without_an_offset";
    }
    "Missing sequences and epochs" {
        GapRaisesTheEpoch: "A batch right behind the last acknowledged that is out of order raises the producer's epoch.",
            "KIP-360, `TransactionManager.canRetry`",
            "client::tests::producer_idempotence::a_broker_that_lost_what_it_acknowledged_makes_the_producer_raise_its_epoch";
        FinalErrorRaisesTheEpoch: "A batch that fails for good leaves a gap: the producer raises its epoch.",
            "KAFKA-10173, `TransactionManager.handleFailedBatch`",
            "client::tests::producer_idempotence::a_batch_that_fails_for_good_leaves_no_gap";
        InFlightKeepTheirOrder: "With a new epoch, batches in flight get sequences from 0 on, in the order of their old ones.",
            "KAFKA-8483, `TxnPartitionEntry.startSequencesAtBeginning`",
            "client::tests::producer_idempotence::a_batch_that_fails_for_good_leaves_no_gap";
        ResetIsNotRepeated: "A batch whose sequence was given anew after it was sent tells nothing new by failing.",
            "`ProducerBatch.sequenceHasBeenReset`",
            "client::tests::producer_idempotence::a_batch_that_fails_for_good_leaves_no_gap";
        IdlePartitionBeginsAnew: "A partition without batches in flight takes up the new epoch with its next batch, at 0.",
            "KAFKA-12152, `TransactionManager.maybeUpdateProducerIdAndEpoch`",
            "client::tests::producer_idempotence::an_idle_partition_begins_the_new_epoch_at_0";
        NewEpochWaitsForOldBatches: "A partition with batches of the old epoch in flight sends no batch of the new one.",
            "KAFKA-12152, `RecordAccumulator.shouldStopDrainBatchesForPartition`",
            "client::tests::producer_idempotence::a_busy_partition_ends_the_old_epoch_first";
        LastEpochWantsANewId: "After the largest epoch the producer asks for a new id.",
            "`TransactionManager.bumpIdempotentProducerEpoch`",
            "client::tests::producer_idempotence::after_the_last_epoch_comes_a_new_id";
    }
    "Unresolved sequences" {
        ExpiredRetryIsUnresolved: "A batch that is given up after it was to be sent again leaves its sequence unresolved.",
            "KIP-91, `TransactionManager.markSequenceUnresolved`",
            "client::tests::producer_idempotence::a_batch_given_up_after_an_attempt_makes_the_producer_raise_its_epoch";
        UnresolvedHoldsNewBatches: "A partition with an unresolved sequence sends no new batch.",
            "`RecordAccumulator.shouldStopDrainBatchesForPartition`",
            "client::tests::producer_idempotence::while_a_sequence_is_unresolved_no_new_batch_leaves";
        UnresolvedRaisesTheEpoch: "An unresolved sequence with nothing in flight behind it raises the epoch.",
            "KIP-360, `TransactionManager.maybeResolveSequences`",
            "client::tests::producer_idempotence::a_batch_given_up_after_an_attempt_makes_the_producer_raise_its_epoch";
        LaterSuccessResolves: "A later batch that was acknowledged resolves what came before it.",
            "`TransactionManager.maybeResolveSequences`",
            "client::tests::producer_idempotence::while_a_sequence_is_unresolved_no_new_batch_leaves";
        GapBehindUnresolvedRaisesTheEpoch: "A batch right behind an unresolved sequence that is out of order raises the epoch.",
            "KIP-360, `TransactionManager.isNextSequenceForUnresolvedPartition`",
            "client::tests::producer_idempotence::a_batch_right_behind_an_unresolved_one_finds_the_gap";
        LateSuccessCounts: "An acknowledgement of a batch that was given up meanwhile counts for the sequence.",
            "`Sender.completeBatch`",
            "client::tests::producer_idempotence::an_acknowledgement_that_comes_too_late_counts_for_the_sequence";
    }
    "UNKNOWN_PRODUCER_ID" {
        UnknownProducerRaisesTheEpoch: "A broker that forgot the producer makes it raise its epoch.",
            "KIP-360, `TransactionManager.canRetry`",
            "client::tests::producer_idempotence::a_broker_that_forgot_the_producer_makes_it_raise_its_epoch";
        LogStartMustBeKnown: "Without a log start offset the batch is only sent again.",
            "`TransactionManager.canRetry`",
            "client::tests::producer_idempotence::a_broker_that_forgot_the_producer_makes_it_raise_its_epoch";
    }
}
