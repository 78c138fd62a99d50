//! The bug zoo's switches: historical bugs of Kafka, or rules removed, each one small branch at the place of the rule.
//!
//! Off unless a scenario turns it on (`zoo = ["truncate-to-hw"]`). The list, with schedules and sources, is in the
//! design; what each must be convicted of stands here, so that the zoo's test and the command agree.

use std::fmt;
use std::str::FromStr;

/// One switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Switch {
    /// KAFKA-1211, KIP-101: a follower truncates to its own high watermark on every change of leader epoch.
    TruncateToHw,
    /// KAFKA-7128: a replica joins the ISR once it reaches the leader's high watermark, though the leader epoch's
    /// start offset lies higher.
    IsrExpandBeforeLeso,
    /// A rule removed: acks=all is answered after the leader's own append, before the high watermark covers it.
    AckBeforeHighWatermark,
    /// KAFKA-10533: neither a follower before its next fetch nor the leader before it counts itself syncs the metadata log (before 2.8.0).
    RaftNoFlush,
    /// KAFKA-10527: a restarted quorum leader goes on leading its old epoch (before 2.7.0).
    RaftResumeLeaderSameEpoch,
    /// KAFKA-12619: records of earlier epochs are committed before one of the own epoch is on a majority (before 2.8.0).
    RaftCommitOldEpoch,
    /// KAFKA-16526, a rule removed: vote and epoch are told before they are on the disk.
    RaftVoteNotPersisted,
    /// KAFKA-15489: a quorum leader that no majority fetches from never resigns (before 3.7.0).
    RaftNoCheckQuorum,
    /// KIP-996: a voter that was cut off raises its epoch and deposes a healthy leader when it returns (before 4.0).
    RaftNoPrevote,
    /// KAFKA-12460: a divergence answer may cut committed metadata (before 3.0.0).
    RaftTruncateBelowHw,
    /// KIP-853: a voter with an empty disk and its old id votes as if it remembered (before 3.9).
    RaftBlankDiskSameId,
    /// Raft thesis (2015 correction): voters are changed before anything of the leader's epoch is committed.
    ReconfigBeforeEpochCommit,
    /// KAFKA-16530: a leader that is no voter any more counts for the high watermark (before 3.9).
    HwAssumesLeaderIsVoter,
    /// KAFKA-15345: the new controller decides before it has replayed up to the start of its epoch (before 3.6.0).
    LeaderCallbackBeforeCatchup,
    /// KIP-903: AlterPartition admits a replica by what its earlier incarnation had fetched (before 3.5.0).
    NoBrokerEpochCheck,
    /// KIP-841: a fenced replica or one that is shutting down may join the ISR (before 3.3.0).
    FencedJoinsIsr,
    /// KAFKA-18106: a broker that stopped uncleanly stays in ISR and ELR when it registers again.
    ElrTrustsUnclean,
    /// before KIP-966: the last in-sync replica is elected again even if it has lost its data.
    LastReplicaStanding,
    /// KAFKA-19522: the last known leader is elected though it is fenced (before 4.0.1).
    ElectFencedLastKnownLeader,
    /// Kafka with ELR, as its source was on the way to 4.0: a replica that is reassigned away stays eligible, though its
    /// broker deletes the log; assigned again, it can be elected with nothing. No ticket of Kafka's is known to us.
    RemovedReplicaStaysEligible,
    /// Kafka, up to 4.0 at least: metadata that says once more what an answer to AlterPartition has said already ends the next
    /// change of the ISR, which is in flight and may be committed yet. No ticket of Kafka's is known to us.
    IsrMetadataDropsPending,
    /// KAFKA-16952: the same incarnation registering again gets a new broker epoch (before 3.9.0).
    BrokerEpochBumpOnAmend,
    /// KIP-320, KAFKA-7747: a consumer goes on at its offset in whatever history a new leader has (before 2.3.0).
    SilentConsumerTruncation,
    /// A rule removed: an idempotent producer sends its batches without sequences, five at once, and again what fails.
    ReorderInflight,
    /// KAFKA-5793, KIP-360: UNKNOWN_PRODUCER_ID makes the client begin its sequences anew under the same epoch (before 2.5).
    UnknownProducerReset,
    /// KAFKA-8483, KAFKA-12152: batches in flight get new sequences in the order of a heap, idle partitions none.
    ClientSeqReassignOrder,
    /// KAFKA-14359, KAFKA-14920, a rule removed: a partition that knows a producer accepts any first sequence of its next
    /// epoch, as one that does not know it does to this day. The first two batches of a bumped epoch are in flight, the first
    /// alone is refused (NOT_ENOUGH_REPLICAS, then the ISR recovers), the second is appended, and the first is out of order
    /// for ever: stuck, or appended behind it.
    FirstSeqAny,
    /// KAFKA-6361 / KIP-279: a leader tells where an epoch ends that it never had, and not that it never had it (before 2.0.0).
    EpochAnswerWithoutEpoch,
    /// KAFKA-7395 / KIP-320: a follower takes its truncation point from a leader in another epoch (before 2.1.0).
    TruncateFromOtherEpoch,
    /// KAFKA-7395 / KIP-320, a part of it that does no harm: a leader gives records to a follower in another epoch (before 2.1.0).
    ServeFetchOtherEpoch,
    /// KAFKA-7164: a follower that missed a leader epoch does not look for a truncation point if the leader is the same (before 2.0.1).
    SkipTruncateSameLeader,
    /// A rule removed: a follower applies a fetch response of the past.
    AcceptStaleFetchResponse,
    /// KAFKA-2143: a follower ahead of its leader throws its whole log away if the leader has caught up when it asks (before 0.9.0.1).
    OorTruncateFully,
    /// KAFKA-14704: a follower takes the high watermark of a response over before it cuts what that response says is diverging
    /// (before 3.4.1).
    ProcessBeforeTruncate,
    /// KAFKA-16541: a truncation writes the epoch checkpoint anew without a sync, so that a loss of power leaves an empty file,
    /// and a start believes it (3.7).
    EpochCacheHole,
    /// KAFKA-15510, which does no harm: a follower that was given nothing does not tell the epoch of its last record in the next
    /// fetches.
    DropLastFetchedEpoch,
    /// Before 3.6 (KAFKA-15021), which does no harm: each shrink of an ISR raises the leader epoch.
    LeaderEpochBumpOnShrink,
    /// KIP-320, KAFKA-7395: a leader counts, for its high watermark and the ISR, a follower that fetches in another leader epoch
    /// (before 2.1.0).
    HwCountsOtherEpoch,
    /// KAFKA-13141: a fetch that is answered with a diverging epoch counts as the follower's position (before 2.7.2, 2.8.1).
    CountDivergingFetch,
    /// KIP-497, a rule removed: the high watermark counts the committed ISR alone, not who is about to join it.
    HwOverCommittedIsr,
    /// A rule removed: a leader goes by its own shrink of the ISR before the controller has confirmed it.
    EagerShrink,
    /// KAFKA-428, a rule removed: the controller changes the ISR though the partition has changed since the leader asked.
    IsrBlindWrite,
    /// KAFKA-15221: what a replica had is taken from an older fetch than its broker epoch (before 3.7.0).
    IsrCheckTwoSnapshots,
    /// A rule removed: a leader elected again goes by what replicas outside the ISR, or reassigned meanwhile, had before.
    KeepOosFollowerState,
    /// KAFKA-13091: the high watermark is not tried when the controller has confirmed another ISR (before 3.1.0).
    NoHwAfterIsrChange,
    /// KAFKA-15021: the high watermark waits for a replica that was caught up lately and may not join the ISR (before 3.6.0).
    HwWaitsForIneligible,
    /// A rule removed: an offset is committed by whoever says so, whatever generation or member epoch it names.
    CommitUnfenced,
    /// KAFKA-10284: the new member id of a static member that comes again stands in memory only (before 2.6.1).
    StaticRejoinNotPersisted,
    /// KAFKA-16147: a partition that goes from what a member is to give back to what it has is forgotten to be held (before 3.8.0).
    Kip848EpochBookkeeping,
    /// A mutant of KIP-848: a partition is given to a member while another has it.
    AssignBeforeRevokeAck,
    /// A mutant of KIP-848: a member is taken to be an epoch behind, whatever it says that it has. A client that says what it
    /// has never says more than it may; but its heartbeat of the past may come late, by a connection that it has given up.
    AcceptOldMemberEpoch,
    /// KAFKA-19233: a member that was fenced and begins anew is fenced again, until its session is over (before 4.3).
    FencedMemberStaysOut,
    /// KAFKA-5600: a coordinator that comes after stops loading after the first chunk of the log (before 0.11.0.1).
    PartialLoad,
    /// KIP-211 (KAFKA-4682): offsets expire by their age, though the group is alive (before 2.1.0).
    ExpireActiveOffsets,
    /// KAFKA-13419, KAFKA-14639: to the leader of a cooperative group nothing counts that a member of an older generation says it
    /// has, so that what one still reads that missed a generation goes to another at once (3.0.0 to 3.4.0). Before, since
    /// KAFKA-12984 was not mended, it believed everything.
    StickyStaleOwnership,
    /// KAFKA-9823: an answer to a question of an earlier generation makes a member doubt the present one (before 2.6.0). On
    /// the one connection to the coordinator such an answer comes before that to JoinGroup, which is then thrown away, and
    /// the member joins once more.
    ClientStaleGenerationResponse,
    /// KAFKA-14196: while the commit before a revocation is under way a consumer goes on handing out records (before 3.3.0).
    FetchWhileRevoking,
}

impl Switch {
    /// All switches.
    pub const ALL: [Switch; 57] = [
        Switch::TruncateToHw,
        Switch::IsrExpandBeforeLeso,
        Switch::AckBeforeHighWatermark,
        Switch::RaftNoFlush,
        Switch::RaftResumeLeaderSameEpoch,
        Switch::RaftCommitOldEpoch,
        Switch::RaftVoteNotPersisted,
        Switch::RaftNoCheckQuorum,
        Switch::RaftNoPrevote,
        Switch::RaftTruncateBelowHw,
        Switch::RaftBlankDiskSameId,
        Switch::ReconfigBeforeEpochCommit,
        Switch::HwAssumesLeaderIsVoter,
        Switch::LeaderCallbackBeforeCatchup,
        Switch::NoBrokerEpochCheck,
        Switch::FencedJoinsIsr,
        Switch::ElrTrustsUnclean,
        Switch::LastReplicaStanding,
        Switch::ElectFencedLastKnownLeader,
        Switch::RemovedReplicaStaysEligible,
        Switch::IsrMetadataDropsPending,
        Switch::BrokerEpochBumpOnAmend,
        Switch::SilentConsumerTruncation,
        Switch::ReorderInflight,
        Switch::UnknownProducerReset,
        Switch::ClientSeqReassignOrder,
        Switch::FirstSeqAny,
        Switch::EpochAnswerWithoutEpoch,
        Switch::TruncateFromOtherEpoch,
        Switch::ServeFetchOtherEpoch,
        Switch::SkipTruncateSameLeader,
        Switch::AcceptStaleFetchResponse,
        Switch::OorTruncateFully,
        Switch::ProcessBeforeTruncate,
        Switch::EpochCacheHole,
        Switch::DropLastFetchedEpoch,
        Switch::LeaderEpochBumpOnShrink,
        Switch::HwCountsOtherEpoch,
        Switch::CountDivergingFetch,
        Switch::HwOverCommittedIsr,
        Switch::EagerShrink,
        Switch::IsrBlindWrite,
        Switch::IsrCheckTwoSnapshots,
        Switch::KeepOosFollowerState,
        Switch::NoHwAfterIsrChange,
        Switch::HwWaitsForIneligible,
        Switch::CommitUnfenced,
        Switch::StaticRejoinNotPersisted,
        Switch::Kip848EpochBookkeeping,
        Switch::AssignBeforeRevokeAck,
        Switch::FencedMemberStaysOut,
        Switch::AcceptOldMemberEpoch,
        Switch::PartialLoad,
        Switch::ExpireActiveOffsets,
        Switch::StickyStaleOwnership,
        Switch::ClientStaleGenerationResponse,
        Switch::FetchWhileRevoking,
    ];

    /// The name in scenario files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Switch::TruncateToHw => "truncate-to-hw",
            Switch::IsrExpandBeforeLeso => "isr-expand-before-leso",
            Switch::AckBeforeHighWatermark => "ack-before-hw",
            Switch::RaftNoFlush => "raft-no-flush",
            Switch::RaftResumeLeaderSameEpoch => "raft-resume-leader-same-epoch",
            Switch::RaftCommitOldEpoch => "raft-commit-old-epoch",
            Switch::RaftVoteNotPersisted => "raft-vote-not-persisted",
            Switch::RaftNoCheckQuorum => "raft-no-check-quorum",
            Switch::RaftNoPrevote => "raft-no-prevote",
            Switch::RaftTruncateBelowHw => "raft-truncate-below-hw",
            Switch::RaftBlankDiskSameId => "raft-blank-disk-same-id",
            Switch::ReconfigBeforeEpochCommit => "reconfig-before-epoch-commit",
            Switch::HwAssumesLeaderIsVoter => "hw-assumes-leader-is-voter",
            Switch::LeaderCallbackBeforeCatchup => "leader-callback-before-catchup",
            Switch::NoBrokerEpochCheck => "no-broker-epoch-check",
            Switch::FencedJoinsIsr => "fenced-joins-isr",
            Switch::ElrTrustsUnclean => "elr-trusts-unclean",
            Switch::LastReplicaStanding => "last-replica-standing",
            Switch::ElectFencedLastKnownLeader => "elect-fenced-last-known-leader",
            Switch::RemovedReplicaStaysEligible => "removed-replica-stays-eligible",
            Switch::IsrMetadataDropsPending => "isr-metadata-drops-pending",
            Switch::BrokerEpochBumpOnAmend => "broker-epoch-bump-on-amend",
            Switch::SilentConsumerTruncation => "silent-consumer-truncation",
            Switch::ReorderInflight => "reorder-inflight",
            Switch::UnknownProducerReset => "unknown-producer-reset",
            Switch::ClientSeqReassignOrder => "client-seq-reassign-order",
            Switch::FirstSeqAny => "first-seq-any",
            Switch::EpochAnswerWithoutEpoch => "epoch-answer-without-epoch",
            Switch::TruncateFromOtherEpoch => "truncate-from-other-epoch",
            Switch::ServeFetchOtherEpoch => "serve-fetch-other-epoch",
            Switch::SkipTruncateSameLeader => "skip-truncate-same-leader",
            Switch::AcceptStaleFetchResponse => "accept-stale-fetch-response",
            Switch::OorTruncateFully => "oor-truncate-fully",
            Switch::ProcessBeforeTruncate => "process-before-truncate",
            Switch::EpochCacheHole => "epoch-cache-hole",
            Switch::DropLastFetchedEpoch => "drop-last-fetched-epoch",
            Switch::LeaderEpochBumpOnShrink => "leader-epoch-bump-on-shrink",
            Switch::HwCountsOtherEpoch => "hw-counts-other-epoch",
            Switch::CountDivergingFetch => "count-diverging-fetch",
            Switch::HwOverCommittedIsr => "hw-over-committed-isr",
            Switch::EagerShrink => "eager-shrink",
            Switch::IsrBlindWrite => "isr-blind-write",
            Switch::IsrCheckTwoSnapshots => "isr-check-two-snapshots",
            Switch::KeepOosFollowerState => "keep-oos-follower-state",
            Switch::NoHwAfterIsrChange => "no-hw-after-isr-change",
            Switch::HwWaitsForIneligible => "hw-waits-for-ineligible",
            Switch::CommitUnfenced => "commit-unfenced",
            Switch::StaticRejoinNotPersisted => "static-rejoin-not-persisted",
            Switch::Kip848EpochBookkeeping => "kip848-epoch-bookkeeping",
            Switch::AssignBeforeRevokeAck => "assign-before-revoke-ack",
            Switch::AcceptOldMemberEpoch => "accept-old-member-epoch",
            Switch::FencedMemberStaysOut => "fenced-member-stays-out",
            Switch::PartialLoad => "partial-load",
            Switch::ExpireActiveOffsets => "expire-active-offsets",
            Switch::StickyStaleOwnership => "sticky-stale-ownership",
            Switch::ClientStaleGenerationResponse => "client-stale-generation-response",
            Switch::FetchWhileRevoking => "fetch-while-revoking",
        }
    }

    /// What it is, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Switch::TruncateToHw => {
                "KAFKA-1211 / KIP-101: followers truncate to their own high watermark (before 0.11)"
            }
            Switch::IsrExpandBeforeLeso => {
                "KAFKA-7128: a replica joins the ISR below the leader epoch's start offset (before 2.0.1)"
            }
            Switch::AckBeforeHighWatermark => {
                "a rule removed: acks=all is answered before the high watermark covers the record"
            }
            Switch::RaftNoFlush => {
                "KAFKA-10533: neither a follower before its next fetch nor the leader before it counts itself syncs the metadata log (before 2.8.0)"
            }
            Switch::RaftResumeLeaderSameEpoch => {
                "KAFKA-10527: a restarted quorum leader goes on leading its old epoch (before 2.7.0)"
            }
            Switch::RaftCommitOldEpoch => {
                "KAFKA-12619: records of earlier epochs are committed before one of the own epoch is on a majority (before 2.8.0)"
            }
            Switch::RaftVoteNotPersisted => {
                "KAFKA-16526, a rule removed: vote and epoch are told before they are on the disk"
            }
            Switch::RaftNoCheckQuorum => {
                "KAFKA-15489: a quorum leader that no majority fetches from never resigns (before 3.7.0)"
            }
            Switch::RaftNoPrevote => {
                "KIP-996: a voter that was cut off raises its epoch and deposes a healthy leader when it returns (before 4.0)"
            }
            Switch::RaftTruncateBelowHw => "KAFKA-12460: a divergence answer may cut committed metadata (before 3.0.0)",
            Switch::RaftBlankDiskSameId => {
                "KIP-853: a voter with an empty disk and its old id votes as if it remembered (before 3.9)"
            }
            Switch::ReconfigBeforeEpochCommit => {
                "the correction to Raft's change of members, left out: voters are changed before anything of the leader's epoch is committed"
            }
            Switch::HwAssumesLeaderIsVoter => {
                "KAFKA-16530: a leader that is no voter any more counts for the high watermark (before 3.9)"
            }
            Switch::LeaderCallbackBeforeCatchup => {
                "KAFKA-15345: the new controller decides before it has replayed up to the start of its epoch (before 3.6.0)"
            }
            Switch::NoBrokerEpochCheck => {
                "KIP-903: AlterPartition admits a replica by what its earlier incarnation had fetched (before 3.5.0)"
            }
            Switch::FencedJoinsIsr => {
                "KIP-841: a fenced replica or one that is shutting down may join the ISR (before 3.3.0)"
            }
            Switch::ElrTrustsUnclean => {
                "KAFKA-18106: a broker that stopped uncleanly stays in ISR and ELR when it registers again"
            }
            Switch::LastReplicaStanding => {
                "before KIP-966: the last in-sync replica is elected again even if it has lost its data"
            }
            Switch::ElectFencedLastKnownLeader => {
                "KAFKA-19522: the last known leader is elected though it is fenced (before 4.0.1)"
            }
            Switch::RemovedReplicaStaysEligible => {
                "a replica that is reassigned away stays in the ELR, and leads with nothing when it is assigned again (with ELR, 4.0)"
            }
            Switch::IsrMetadataDropsPending => {
                "metadata that a leader knows already ends its change of the ISR in flight, which may be committed yet (4.0)"
            }
            Switch::BrokerEpochBumpOnAmend => {
                "KAFKA-16952: the same incarnation registering again gets a new broker epoch (before 3.9.0)"
            }
            Switch::SilentConsumerTruncation => {
                "KIP-320 / KAFKA-7747: a consumer goes on at its offset in another history (before 2.3.0)"
            }
            Switch::ReorderInflight => {
                "a rule removed: an idempotent producer sends its batches without sequences, several at once"
            }
            Switch::UnknownProducerReset => {
                "KAFKA-5793 / KIP-360: a producer that a broker forgot begins its sequences anew under the same epoch (before 2.5)"
            }
            Switch::ClientSeqReassignOrder => {
                "KAFKA-8483 / KAFKA-12152: batches in flight get new sequences out of order, idle partitions none (before 2.8.0)"
            }
            Switch::FirstSeqAny => {
                "KAFKA-14359, a rule removed: a bumped producer epoch may begin at any sequence, though the producer is known"
            }
            Switch::EpochAnswerWithoutEpoch => {
                "KAFKA-6361 / KIP-279: a leader tells where an epoch ends that it never had, and not that it never had it (before 2.0.0)"
            }
            Switch::TruncateFromOtherEpoch => {
                "KAFKA-7395 / KIP-320: a follower takes its truncation point from a leader in another epoch (before 2.1.0)"
            }
            Switch::ServeFetchOtherEpoch => {
                "KAFKA-7395 / KIP-320, a part of it that does no harm: a leader gives records to a follower in another epoch (before 2.1.0)"
            }
            Switch::SkipTruncateSameLeader => {
                "KAFKA-7164: a follower that missed a leader epoch does not look for a truncation point if the leader is the same (before 2.0.1)"
            }
            Switch::AcceptStaleFetchResponse => "a rule removed: a follower applies a fetch response of the past",
            Switch::OorTruncateFully => {
                "KAFKA-2143: a follower ahead of its leader throws its whole log away if the leader has caught up when it asks (before 0.9.0.1)"
            }
            Switch::ProcessBeforeTruncate => {
                "KAFKA-14704: a follower takes the leader's high watermark before it cuts its diverging tail (before 3.4.1)"
            }
            Switch::EpochCacheHole => {
                "KAFKA-16541: the epoch checkpoint is renamed before its bytes are durable, and lost with the power (3.7)"
            }
            Switch::DropLastFetchedEpoch => {
                "KAFKA-15510, a negative control: after an empty response a follower does not tell its last epoch"
            }
            Switch::LeaderEpochBumpOnShrink => {
                "a negative control: each shrink of an ISR raises the leader epoch (before 3.6)"
            }
            Switch::HwCountsOtherEpoch => {
                "KIP-320: a leader counts a follower that fetches in another leader epoch (before 2.1.0)"
            }
            Switch::CountDivergingFetch => {
                "KAFKA-13141: a fetch answered with a diverging epoch counts as the follower's position (before 2.8.1)"
            }
            Switch::HwOverCommittedIsr => {
                "KIP-497, a rule removed: the high watermark counts the committed ISR, not who is about to join it"
            }
            Switch::EagerShrink => {
                "a rule removed: a leader goes by its own shrink of the ISR before the controller has confirmed it"
            }
            Switch::IsrBlindWrite => {
                "a rule removed: the controller changes the ISR though the partition has changed since the leader asked"
            }
            Switch::IsrCheckTwoSnapshots => {
                "KAFKA-15221: what a replica had is taken from an older fetch than its broker epoch (before 3.7.0)"
            }
            Switch::KeepOosFollowerState => {
                "a rule removed: a leader elected again goes by what replicas outside the ISR, or reassigned meanwhile, had before"
            }
            Switch::NoHwAfterIsrChange => {
                "KAFKA-13091: the high watermark is not tried when the controller has confirmed another ISR (before 3.1.0)"
            }
            Switch::HwWaitsForIneligible => {
                "KAFKA-15021: the high watermark waits for a replica that may not join the ISR (before 3.6.0)"
            }
            Switch::CommitUnfenced => {
                "a rule removed: an offset is committed whatever generation or member epoch its sender names"
            }
            Switch::StaticRejoinNotPersisted => {
                "KAFKA-10284: the new member id of a static member stands in memory only (before 2.6.1)"
            }
            Switch::Kip848EpochBookkeeping => {
                "KAFKA-16147: a partition that its member gets back before it gave it away is forgotten to be held (before 3.8.0)"
            }
            Switch::AssignBeforeRevokeAck => {
                "a mutant of KIP-848: a partition is given to a member while another has it"
            }
            Switch::AcceptOldMemberEpoch => {
                "a mutant of KIP-848: a member may be an epoch behind, whatever it says that it has"
            }
            Switch::FencedMemberStaysOut => {
                "KAFKA-19233: a member that was fenced and begins anew is fenced again, until its session is over (before 4.3)"
            }
            Switch::PartialLoad => {
                "KAFKA-5600: a new group coordinator stops loading after the first chunk of the log (before 0.11.0.1)"
            }
            Switch::ExpireActiveOffsets => {
                "KIP-211 / KAFKA-4682: offsets expire though the group is alive (before 2.1.0)"
            }
            Switch::StickyStaleOwnership => {
                "KAFKA-14639: what a member has that missed a generation counts for nothing to a cooperative leader (3.0 to 3.4)"
            }
            Switch::ClientStaleGenerationResponse => {
                "KAFKA-9823: an answer of an earlier generation makes a member doubt the present one (before 2.6.0)"
            }
            Switch::FetchWhileRevoking => {
                "KAFKA-14196: records are handed out while the commit before a revocation is under way (before 3.3.0)"
            }
        }
    }

    /// Codes of which at least one must be found, as BUG.
    pub fn must_any(self) -> &'static [&'static str] {
        match self {
            Switch::TruncateToHw => &["lost-write", "log-mismatch"],
            Switch::IsrExpandBeforeLeso => &["lost-write"],
            Switch::AckBeforeHighWatermark => &["lost-write"],
            Switch::RaftNoFlush => &["quorum-split"],
            Switch::RaftResumeLeaderSameEpoch => &["quorum-split"],
            Switch::RaftCommitOldEpoch => &["quorum-split"],
            Switch::RaftVoteNotPersisted => &["quorum-split"],
            Switch::RaftNoCheckQuorum => &["stuck"],
            Switch::RaftNoPrevote => &["stuck"],
            Switch::RaftTruncateBelowHw => &["quorum-split"],
            Switch::RaftBlankDiskSameId => &["wrong-answer", "wrong-step", "quorum-split"],
            Switch::ReconfigBeforeEpochCommit => &["wrong-answer", "wrong-step", "quorum-split"],
            Switch::HwAssumesLeaderIsVoter => &["quorum-split", "commit-without-majority"],
            Switch::LeaderCallbackBeforeCatchup => &["metadata-divergence", "stuck"],
            Switch::NoBrokerEpochCheck => &["lost-write"],
            Switch::FencedJoinsIsr => &["fenced-in-isr", "stuck", "lost-write"],
            Switch::ElrTrustsUnclean => &["lost-write"],
            Switch::LastReplicaStanding => &["lost-write"],
            Switch::ElectFencedLastKnownLeader => &["unsafe-election"],
            Switch::RemovedReplicaStaysEligible => &["lost-write", "unsafe-election"],
            Switch::IsrMetadataDropsPending => &["unsafe-election", "lost-write", "wrong-step"],
            Switch::BrokerEpochBumpOnAmend => &["broker-epoch-changed", "stuck"],
            Switch::SilentConsumerTruncation => &["poll-skip"],
            Switch::ReorderInflight => &["nonmonotonic-send", "duplicate"],
            Switch::UnknownProducerReset => &["duplicate", "nonmonotonic-send", "lost-write"],
            Switch::ClientSeqReassignOrder => &["nonmonotonic-send"],
            Switch::FirstSeqAny => &["nonmonotonic-send", "stuck"],
            Switch::EpochAnswerWithoutEpoch => &["log-mismatch"],
            Switch::TruncateFromOtherEpoch => &["log-mismatch"],
            Switch::ServeFetchOtherEpoch => &[],
            Switch::SkipTruncateSameLeader => &["log-mismatch"],
            Switch::AcceptStaleFetchResponse => &["committed-truncated", "lost-write", "log-mismatch"],
            Switch::OorTruncateFully => &["committed-truncated"],
            Switch::ProcessBeforeTruncate => &["inconsistent-offsets"],
            Switch::EpochCacheHole => &["log-mismatch"],
            Switch::DropLastFetchedEpoch => &[],
            Switch::LeaderEpochBumpOnShrink => &[],
            Switch::HwCountsOtherEpoch => &["lost-write", "inconsistent-offsets"],
            Switch::CountDivergingFetch => &["lost-write"],
            Switch::HwOverCommittedIsr => &["lost-write"],
            Switch::EagerShrink => &["lost-write"],
            Switch::IsrBlindWrite => &["lost-write"],
            Switch::IsrCheckTwoSnapshots => &["lost-write"],
            Switch::KeepOosFollowerState => &["lost-write"],
            Switch::NoHwAfterIsrChange => &["stuck"],
            Switch::HwWaitsForIneligible => &["stuck"],
            Switch::CommitUnfenced => &["commit-regression", "zombie-commit"],
            Switch::StaticRejoinNotPersisted => &["stuck", "dual-ownership"],
            Switch::Kip848EpochBookkeeping => &["dual-ownership"],
            Switch::AssignBeforeRevokeAck => &["dual-ownership"],
            Switch::AcceptOldMemberEpoch => &["dual-ownership"],
            Switch::FencedMemberStaysOut => &["stuck"],
            Switch::PartialLoad => &["commit-regression", "stuck"],
            Switch::ExpireActiveOffsets => &["commit-regression"],
            Switch::StickyStaleOwnership => &["dual-ownership"],
            Switch::ClientStaleGenerationResponse => &["needless-rejoin"],
            Switch::FetchWhileRevoking => &["group-rewind"],
        }
    }

    /// Is it a negative control: a rule taken away whose absence, alone, nobody suffers from? Then nothing must be found, and
    /// nothing may but what its brokers say.
    pub fn is_harmless(self) -> bool {
        self.must_any().is_empty()
    }

    /// Codes that may be found besides; any other BUG is a failure of the zoo.
    pub fn may(self) -> &'static [&'static str] {
        match self {
            Switch::TruncateToHw => {
                &["inconsistent-offsets", "unsafe-election", "committed-truncated", "false-word", "wrong-step"]
            }
            Switch::IsrExpandBeforeLeso => &[
                "wrong-isr-asked",
                "log-mismatch",
                "inconsistent-offsets",
                "unsafe-election",
                "committed-truncated",
                "wrong-step",
            ],
            Switch::AckBeforeHighWatermark => &["ack-before-committed", "inconsistent-offsets", "wrong-answer"],
            // What a whole quorum forgets, brokers and clients lose too.
            Switch::RaftNoFlush => &[
                "commit-without-majority",
                "metadata-divergence",
                "epoch-regression",
                "unsafe-election",
                "lost-write",
                "wrong-partition-change",
            ],
            Switch::RaftResumeLeaderSameEpoch => {
                &["commit-without-majority", "metadata-divergence", "epoch-regression", "wrong-partition-change"]
            }
            Switch::RaftCommitOldEpoch => {
                &["metadata-divergence", "epoch-regression", "wrong-partition-change", "wrong-step"]
            }
            Switch::RaftVoteNotPersisted => &[
                "voted-twice",
                "quorum-epoch-regression",
                "commit-without-majority",
                "metadata-divergence",
                "wrong-partition-change",
                "wrong-step",
            ],
            Switch::RaftNoCheckQuorum => &[],
            Switch::RaftNoPrevote => &[],
            Switch::RaftTruncateBelowHw => {
                &["metadata-divergence", "epoch-regression", "wrong-partition-change", "wrong-step"]
            }
            // Its leader leads without a majority of those who are voters in truth.
            Switch::RaftBlankDiskSameId => &[
                "commit-without-majority",
                "stuck",
                "metadata-divergence",
                "epoch-regression",
                "wrong-partition-change",
            ],
            // Two disjoint majorities decide, and each has its brokers.
            Switch::ReconfigBeforeEpochCommit => &[
                "commit-without-majority",
                "stuck",
                "metadata-divergence",
                "epoch-regression",
                "wrong-partition-change",
            ],
            Switch::HwAssumesLeaderIsVoter => {
                &["metadata-divergence", "epoch-regression", "wrong-partition-change", "wrong-step"]
            }
            Switch::LeaderCallbackBeforeCatchup => {
                &["epoch-regression", "broker-epoch-regression", "wrong-partition-change"]
            }
            Switch::NoBrokerEpochCheck => &[
                "unsafe-election",
                "inconsistent-offsets",
                "log-mismatch",
                "committed-truncated",
                "wrong-answer",
                "wrong-step",
            ],
            Switch::FencedJoinsIsr => &[
                "wrong-isr-asked",
                "wrong-partition-change",
                "unsafe-election",
                "inconsistent-offsets",
                "wrong-answer",
                "wrong-step",
            ],
            Switch::ElrTrustsUnclean | Switch::LastReplicaStanding => &[
                "wrong-step",
                "wrong-partition-change",
                "unsafe-election",
                "inconsistent-offsets",
                "log-mismatch",
                "committed-truncated",
            ],
            Switch::ElectFencedLastKnownLeader => &["wrong-partition-change", "stuck", "wrong-step"],
            Switch::RemovedReplicaStaysEligible => {
                &["wrong-partition-change", "replica-sets", "inconsistent-offsets", "committed-truncated", "wrong-step"]
            }
            Switch::IsrMetadataDropsPending => &["inconsistent-offsets", "committed-truncated", "ack-before-committed"],
            Switch::BrokerEpochBumpOnAmend => &["false-word", "wrong-answer", "wrong-step"],
            Switch::SilentConsumerTruncation => {
                &["inconsistent-offsets", "lost-write", "unsafe-election", "wrong-step"]
            }
            // Of two copies the acknowledged one may be either.
            Switch::ReorderInflight => &["ack-offset-mismatch", "realtime-append-inversion", "wrong-step"],
            Switch::UnknownProducerReset => &[
                "producer-sequence",
                "ack-offset-mismatch",
                "realtime-append-inversion",
                "stuck",
                "wrong-answer",
                "wrong-step",
            ],
            Switch::ClientSeqReassignOrder => &[
                "producer-sequence",
                "duplicate",
                "ack-offset-mismatch",
                "realtime-append-inversion",
                "stuck",
                "wrong-step",
            ],
            Switch::FirstSeqAny => &["realtime-append-inversion", "producer-sequence", "lost-write", "wrong-answer"],
            Switch::EpochAnswerWithoutEpoch => &[
                "lost-write",
                "inconsistent-offsets",
                "unsafe-election",
                "committed-truncated",
                "wrong-answer",
                "wrong-step",
            ],
            Switch::TruncateFromOtherEpoch => &[
                "lost-write",
                "inconsistent-offsets",
                "unsafe-election",
                "committed-truncated",
                "false-word",
                "wrong-answer",
            ],
            Switch::ServeFetchOtherEpoch => &["wrong-answer"],
            Switch::SkipTruncateSameLeader => {
                &["lost-write", "inconsistent-offsets", "unsafe-election", "committed-truncated", "false-word"]
            }
            Switch::AcceptStaleFetchResponse => &["inconsistent-offsets", "unsafe-election", "wrong-step"],
            Switch::OorTruncateFully => &[
                "lost-write",
                "ack-before-committed",
                "inconsistent-offsets",
                "log-mismatch",
                "unsafe-election",
                "false-word",
                "wrong-step",
            ],
            Switch::ProcessBeforeTruncate => &["log-mismatch", "poll-skip", "nonmonotonic-poll", "wrong-step"],
            Switch::EpochCacheHole => &["lost-write", "inconsistent-offsets", "unsafe-election", "committed-truncated"],
            Switch::DropLastFetchedEpoch => &["false-word"],
            Switch::LeaderEpochBumpOnShrink => &[],
            Switch::HwCountsOtherEpoch => {
                &["log-mismatch", "unsafe-election", "committed-truncated", "wrong-answer", "wrong-step"]
            }
            Switch::CountDivergingFetch | Switch::HwOverCommittedIsr | Switch::EagerShrink => &[
                "log-mismatch",
                "inconsistent-offsets",
                "unsafe-election",
                "committed-truncated",
                "ack-before-committed",
                "wrong-step",
                "wrong-step",
                "wrong-step",
            ],
            Switch::IsrBlindWrite => &[
                "log-mismatch",
                "inconsistent-offsets",
                "unsafe-election",
                "committed-truncated",
                "high-watermark-beyond-isr",
                "wrong-answer",
            ],
            Switch::IsrCheckTwoSnapshots => {
                &["log-mismatch", "inconsistent-offsets", "unsafe-election", "committed-truncated", "false-word"]
            }
            Switch::KeepOosFollowerState => &[
                "wrong-isr-asked",
                "log-mismatch",
                "inconsistent-offsets",
                "unsafe-election",
                "committed-truncated",
                "wrong-step",
            ],
            Switch::NoHwAfterIsrChange => &["wrong-step"],
            Switch::HwWaitsForIneligible => &["wrong-step"],
            Switch::CommitUnfenced => &["group-rewind", "group-skip", "wrong-answer"],
            Switch::StaticRejoinNotPersisted => &["coordinator-divergence", "wrong-answer"],
            Switch::Kip848EpochBookkeeping => &["commit-regression", "group-rewind", "zombie-commit", "wrong-answer"],
            Switch::AssignBeforeRevokeAck => &["commit-regression", "group-rewind", "zombie-commit", "wrong-answer"],
            Switch::FencedMemberStaysOut => &["wrong-answer"],
            Switch::AcceptOldMemberEpoch => {
                &["commit-regression", "group-rewind", "zombie-commit", "stuck", "wrong-answer"]
            }
            Switch::PartialLoad => &[
                "group-rewind",
                "group-skip",
                "dual-ownership",
                "zombie-commit",
                "coordinator-divergence",
                "group-epoch-regression",
            ],
            Switch::ExpireActiveOffsets => &["group-rewind", "group-skip", "wrong-answer"],
            Switch::StickyStaleOwnership => &["commit-regression", "group-rewind", "zombie-commit"],
            Switch::ClientStaleGenerationResponse => &[],
            Switch::FetchWhileRevoking => &[],
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Switch {
    type Err = ();
    fn from_str(name: &str) -> Result<Self, ()> {
        Switch::ALL.into_iter().find(|s| s.name() == name).ok_or(())
    }
}

/// The switches that are on. Empty by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zoo(u64);

impl Zoo {
    /// Is this one on?
    pub fn on(self, switch: Switch) -> bool {
        self.0 & (1 << switch as u64) != 0
    }
    /// Turns one on.
    pub fn turn_on(&mut self, switch: Switch) {
        self.0 |= 1 << switch as u64;
    }
    /// Is none on?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Switch> for Zoo {
    fn from_iter<I: IntoIterator<Item = Switch>>(switches: I) -> Self {
        let mut zoo = Zoo::default();
        switches.into_iter().for_each(|s| zoo.turn_on(s));
        zoo
    }
}
