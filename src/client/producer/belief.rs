//! What an attempt's end says about the log: the fold of checker.md, "A client's belief".
//!
//! An outcome folds over all attempts of a batch: *acked* once one is acknowledged; else *unknown* if any attempt may
//! have been written; else *failed*.

use kafka_protocol::error::ResponseError;

use crate::node::Belief;

/// Was this attempt refused before the append could happen? Everything not named here may have been written:
///
/// - REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS_AFTER_APPEND: it was, and may be replicated yet (`DelayedProduce`);
/// - NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR: given at entry, but also to a request
///   that waits for replication while leadership, the topic or the disk goes away; a client cannot see which;
/// - UNKNOWN_SERVER_ERROR and errors that this client does not know.
///
/// Source: `ReplicaManager.appendRecords`, `Partition.appendRecordsToLeader`, `UnifiedLog.append`, `DelayedProduce`.
pub(crate) fn was_refused_before_append(error: ResponseError) -> bool {
    use ResponseError::*;
    matches!(
        error,
        NotEnoughReplicas
            | CorruptMessage
            | MessageTooLarge
            | RecordListTooLarge
            | InvalidRecord
            | InvalidTimestamp
            | InvalidRequiredAcks
            | InvalidTopicException
            | InvalidRequest
            | UnsupportedForMessageFormat
            | UnsupportedCompressionType
            | UnsupportedVersion
            | OutOfOrderSequenceNumber
            | UnknownProducerId
            | InvalidProducerEpoch
            | ProducerFenced
            | TopicAuthorizationFailed
            | ClusterAuthorizationFailed
    )
}

/// What the producer believes of a batch that is given up.
pub(crate) fn given_up(some_attempt_was_ambiguous: bool) -> Belief {
    if some_attempt_was_ambiguous { Belief::Unknown } else { Belief::Failed }
}
