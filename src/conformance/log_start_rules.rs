//! Where a log begins: deletion by clients and by retention. No section of its own; it stands with the restart lines of
//! 4.7. That followers follow their leader's start stands in 4.5.

use super::rules;

rules! {
    /// How a log loses its beginning.
    LogStartRule: "4.7 (log start)", "The beginning of a log";

    "DeleteRecords" {
        OnlyTheLeaderDeletes: "Only the leader deletes records: NOT_LEADER_OR_FOLLOWER.",
            "KIP-107, `Partition.deleteRecordsOnLeader`",
            "broker::tests::log_start::who_does_not_lead_deletes_nothing";
        MinusOneIsTheHighWatermark: "Offset -1 means up to the high watermark.",
            "KIP-107, `DeleteRecordsRequest.HIGH_WATERMARK`",
            "broker::tests::log_start::minus_one_deletes_up_to_the_high_watermark";
        NotBeyondTheHighWatermark: "Nothing is deleted that is not committed: OFFSET_OUT_OF_RANGE.",
            "`UnifiedLog.maybeIncrementLogStartOffset`",
            "broker::tests::log_start::what_is_not_committed_is_not_deleted";
        DeletionWaitsForEveryReplica: "The answer waits until the log of every living replica begins there, or its time is up.",
            "KIP-107, `DelayedDeleteRecords.tryComplete`",
            "broker::tests::log_start::the_answer_waits_for_the_followers";
        DeadReplicasDoNotHoldUpDeletion: "A replica whose broker is fenced is not waited for.",
            "`Partition.lowWatermarkIfLeader`",
            "broker::tests::log_start::a_dead_follower_is_not_waited_for";
    }
    "Retention" {
        RetentionStopsAtTheHighWatermark: "Retention deletes no segment that is not committed whole.",
            "`UnifiedLog.deletableSegments`",
            "broker::tests::log_start::retention_deletes_whole_committed_segments";
    }
    "The checkpoint" {
        CheckpointAtIntervals: "Log starts are written down every log.flush.start.offset.checkpoint.interval.ms.",
            "`LogManager.checkpointLogStartOffsets`",
            "broker::tests::log_start::the_start_survives_a_crash_once_it_is_written_down";
        CheckpointAtTheCleanStop: "Log starts are written down at an orderly stop.",
            "`LogManager.shutdown`",
            "broker::tests::log_start::the_start_survives_an_orderly_stop";
        StartIsReadFromTheCheckpoint: "A log begins where the checkpoint says, or with its first segment if that is later.",
            "`LogLoader.load`",
            "broker::tests::log_start::the_start_survives_an_orderly_stop";
    }
}
