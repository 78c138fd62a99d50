//! The rules about producers that a log keeps, each by its name, so that one at a time can be left out.
//!
//! They always hold but in two places: a test leaves one out to see that somebody would miss it, and the bug zoo brings
//! back an older Kafka. Both say so in the configuration of a log; nothing here is global.

use crate::rules::rules;

rules! {
    /// A rule of `ProducerStateManager` and its neighbours.
    ProducerRule in ProducerRules:

    /// A batch whose first and last sequence are those of a remembered batch is a duplicate.
    SameSequencesAreADuplicate,
    /// A batch of another producer epoch is no duplicate.
    DuplicateIsOfTheSameEpoch,
    /// The last five batches of a producer are remembered.
    FiveBatchesAreRemembered,
    /// A producer epoch below the one that is known is refused.
    OldEpochIsRefused,
    /// The first batch of a higher producer epoch begins at sequence 0.
    NewEpochBeginsAtZero,
    /// A batch begins at the sequence behind the last one.
    SequencesAreContiguous,
    /// Behind the largest sequence comes 0.
    SequencesWrapAround,
    /// A producer of which nothing is known begins at any sequence.
    UnknownProducerBeginsAnywhere,
    /// A new producer epoch makes the batches of the old one forgotten.
    NewEpochForgetsTheBatches,
    /// What a leader sent is not checked.
    ReplicatedBatchesAreNotChecked,
    /// What a leader sent is remembered.
    ReplicatedBatchesAreRemembered,
    /// A snapshot is written when a new segment begins.
    SnapshotAtEachRoll,
    /// After a start the state is that of the latest snapshot and of what the log holds behind it.
    StateIsLoadedAtTheStart,
    /// After an orderly stop, and without any snapshot, the log is not looked through.
    NoSnapshotAfterACleanStopIsNoState,
    /// A truncation makes the state what it was at the log's new end.
    StateIsRebuiltAtATruncation,
    /// A snapshot of what was truncated away is removed.
    SnapshotsBehindTheEndAreRemoved,
    /// A log that is emptied forgets its producers and removes its snapshots.
    FullTruncationForgetsAll,
    /// A snapshot with a wrong checksum is removed, and the one before it counts.
    CorruptSnapshotIsRemoved,
    /// A producer is remembered when the log gives up the segment with its batches.
    StateOutlivesTheLogStart,
    /// A producer that was silent for too long is forgotten.
    SilentProducersAreForgotten,
    /// A producer that was silent for too long is not loaded from a snapshot.
    SilentProducersAreNotLoaded,
}
