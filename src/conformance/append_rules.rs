//! 4.4: what a leader takes from a producer, and as what. Most of these rules live in the log engine.

use super::rules;

rules! {
    /// What is looked at in a producer's batch before it is appended, and what the answer tells.
    AppendRule: "4.4", "Validation on append";

    "What a request may hold, looked at first" {
        FormComesBeforeAcks: "The form of the records is looked at before acks are.",
            "`KafkaApis.handleProduceRequest`",
            "broker::tests::append::the_form_is_looked_at_before_acks";
        FormatTwoOnly: "A batch of format 0 or 1 is refused: INVALID_RECORD.",
            "`ProduceRequest.validateRecords`",
            "broker::tests::append::a_partition_gets_one_batch_of_format_two";
        OneBatchPerPartition: "A partition gets one batch: else INVALID_RECORD.",
            "`ProduceRequest.validateRecords`",
            "broker::tests::append::a_partition_gets_one_batch_of_format_two";
        ZstdSinceVersionSeven: "Versions of Produce below 7 bring no zstd: UNSUPPORTED_COMPRESSION_TYPE.",
            "KIP-110, `ProduceRequest.validateRecords`",
            "broker::tests::append::zstd_is_not_for_old_requests";
    }
    "What can be seen without opening the batch" {
        BaseOffsetIsZero: "A producer's batch begins at offset 0: else INVALID_RECORD.",
            "`UnifiedLog.analyzeAndValidateRecords`",
            "broker::tests::append::a_batch_is_refused_for_its_header";
        LargestBatch: "A batch larger than max.message.bytes: MESSAGE_TOO_LARGE.",
            "`UnifiedLog.analyzeAndValidateRecords`",
            "broker::tests::append::a_batch_is_refused_for_its_size";
        ChecksumFits: "A batch that does not fit its checksum: CORRUPT_MESSAGE.",
            "`UnifiedLog.analyzeAndValidateRecords`",
            "broker::tests::append::a_batch_is_refused_for_its_header";
        AsManyOffsetsAsRecords: "A batch has as many offsets as records, and at least one: else INVALID_RECORD.",
            "`LogValidator.validateBatch`",
            "broker::tests::append::a_batch_is_refused_for_its_header";
        NoControlBatches: "Clients write no control batches: INVALID_RECORD.",
            "`LogValidator.validateBatch`",
            "broker::tests::append::a_batch_is_refused_for_its_header";
        ProducerHasASequence: "A producer id without a sequence: INVALID_RECORD.",
            "`LogValidator.validateBatch`",
            "broker::tests::append::a_batch_is_refused_for_its_header";
    }
    "The records" {
        RecordsFillTheBatch: "There are as many records as the header says, each of the length it says, and nothing behind them: else INVALID_RECORD.",
            "`DefaultRecord.readFrom`, `DefaultRecordBatch.RecordIterator`",
            "broker::tests::append::a_batch_is_refused_for_its_records";
        OffsetsAreConsecutive: "Records that are not compressed follow one another: else INVALID_RECORD (Kafka does not look).",
            "none",
            "broker::tests::append::a_batch_is_refused_for_its_records";
        UnpackedSizeIsBounded: "What unpacks to more than 64 MiB is refused: MESSAGE_TOO_LARGE (Kafka reads on).",
            "none",
            "broker::tests::append::a_few_bytes_that_unpack_to_many_are_refused";
        TimestampsAreInRange: "A timestamp too far from the broker's clock: INVALID_TIMESTAMP.",
            "KIP-32, KIP-937, `LogValidator.validateTimestamp`",
            "broker::tests::append::timestamps_far_from_the_brokers_clock_are_refused";
        LogAppendTimeIsTheBrokers: "A producer that says its timestamps are those of the append is refused: INVALID_TIMESTAMP.",
            "`LogValidator.validateTimestamp`",
            "broker::tests::append::the_time_of_the_append_is_the_timestamp_where_the_topic_wants_it";
        EachRecordAtFaultIsTold: "All records at fault are told, not only the first.",
            "KIP-467, `LogValidator.processRecordErrors`",
            "broker::tests::append::timestamps_far_from_the_brokers_clock_are_refused";
    }
    "As what the batch goes into the log" {
        LargestTimestampIsTheRecords: "The largest timestamp is that of the records, whatever the producer said.",
            "`LogValidator.assignOffsetsNonCompressed`",
            "broker::tests::append::the_largest_timestamp_is_that_of_the_records";
        LogAppendTimeIsWritten: "With message.timestamp.type=LogAppendTime the leader's clock is the timestamp of every record.",
            "KIP-32, `DefaultRecordBatch.setMaxTimestamp`",
            "broker::tests::append::the_time_of_the_append_is_the_timestamp_where_the_topic_wants_it";
        OffsetsOfCompressedAreMended: "A compressed batch whose records do not follow one another is built anew.",
            "`LogValidator.validateMessagesAndAssignOffsetsCompressed`",
            "broker::tests::append::a_compressed_batch_with_gaps_is_mended";
        TopicCompression: "With another compression.type than its own a batch is packed anew.",
            "`BrokerCompressionType.targetCompression`, `LogValidator.buildRecordsAndAssignOffsets`",
            "broker::tests::append::a_batch_is_packed_as_the_topic_wants_it";
        LargestBatchWhenPackedAnew: "What was packed anew is larger than max.message.bytes: MESSAGE_TOO_LARGE.",
            "`UnifiedLog.append`",
            "broker::tests::append::a_batch_is_refused_for_its_size";
        AppendFitsASegment: "A batch larger than a segment: RECORD_LIST_TOO_LARGE.",
            "`UnifiedLog.append`",
            "broker::tests::append::a_batch_is_refused_for_its_size";
    }
    "Segments by time" {
        OldSegmentIsRolled: "A segment is rolled by records that are more than segment.ms younger than its first batch.",
            "`LogSegment.shouldRoll`, `timeWaitedForRoll`",
            "broker::tests::append::a_segment_is_rolled_when_its_first_batch_is_old";
        RollsAreSpread: "Each segment is rolled earlier by an amount of its own below segment.jitter.ms.",
            "`LogConfig.randomSegmentJitter`",
            "broker::tests::append::a_segment_is_rolled_when_its_first_batch_is_old";
    }
    "The answer" {
        RecordErrorsAreTold: "The answer names the records at fault, and tells in words what is wrong.",
            "KIP-467, `ReplicaManager.buildProducePartitionStatus`",
            "broker::tests::append::timestamps_far_from_the_brokers_clock_are_refused";
        PlaceIsToldWhateverBecomes: "Where the batch was appended is told also if then its time ran out or the leader stood down.",
            "`ProducePartitionStatus`, `DelayedProduce`",
            "broker::tests::append::the_place_in_the_log_is_told_whatever_becomes_of_the_batch";
    }
}

/// The rules of the log engine that hold: all of them, but for the one that this process leaves out.
#[cfg(not(any(test, feature = "mutants")))]
pub fn append_rules_of_logs() -> trial_storage::AppendRules {
    trial_storage::AppendRules::ALL_HOLD
}
/// The rules of the log engine that hold: all of them, but for the one that this process leaves out.
#[cfg(any(test, feature = "mutants"))]
pub fn append_rules_of_logs() -> trial_storage::AppendRules {
    let holds = |name: &str| super::left_out::holds(&format!("AppendRule::{name}"));
    let left_out = trial_storage::AppendRule::ALL.iter().filter(|rule| !holds(rule.name()));
    left_out.fold(trial_storage::AppendRules::ALL_HOLD, |rules, rule| rules.without(*rule))
}
