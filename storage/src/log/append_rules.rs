//! The rules about what a leader takes from a client, each by its name, so that one at a time can be left out.

use crate::rules::rules;

rules! {
    /// A rule of `UnifiedLog.analyzeAndValidateRecords` and `LogValidator`.
    AppendRule in AppendRules:

    /// A producer's batch begins at offset 0.
    BaseOffsetIsZero,
    /// A batch is no larger than max.message.bytes.
    LargestBatch,
    /// A batch fits its checksum.
    ChecksumFits,
    /// A batch has as many offsets as records, and at least one.
    AsManyOffsetsAsRecords,
    /// Clients write no control batches.
    NoControlBatches,
    /// Who has a producer id has a sequence.
    ProducerHasASequence,
    /// A batch has as many records as it says, each of the length it says, and no bytes behind them.
    RecordsFillTheBatch,
    /// Records stand in the order of their offsets, without gaps.
    OffsetsAreConsecutive,
    /// Records are unpacked to a bounded size.
    UnpackedSizeIsBounded,
    /// A timestamp is not older or younger than the topic allows.
    TimestampsAreInRange,
    /// A client does not say that its timestamps are those of the append.
    LogAppendTimeIsTheBrokers,
    /// Every record that is at fault is told.
    EachRecordAtFaultIsTold,
    /// The largest timestamp is that of the records.
    LargestTimestampIsTheRecords,
    /// The time of the append is the timestamp, where the topic wants that.
    LogAppendTimeIsWritten,
    /// A compressed batch whose offsets have gaps is built anew.
    OffsetsOfCompressedAreMended,
    /// The batch is packed as the topic wants it.
    TopicCompression,
    /// What was packed anew is no larger than max.message.bytes.
    LargestBatchWhenPackedAnew,
    /// An append fits into a segment.
    AppendFitsASegment,
    /// A segment is rolled when its first batch is too old.
    OldSegmentIsRolled,
    /// Segments are rolled a little earlier, each by an amount of its own.
    RollsAreSpread,
}
