//! The rare states: what some trial of a campaign must reach, or the campaign shows little. Counted, never judged.
//!
//! They are the places where Kafka's rules meet: an election without an in-sync replica, a record below a replica's own high
//! watermark that goes, an AlterPartition that comes too late. A search that never gets there finds nothing there.

use std::collections::BTreeMap;

use trial_kafka::event::{ElectionKind, Event, Fault, TruncationReason};
use trial_kafka::ids::TopicPartition;

use crate::trace::{NodeIx, TraceEvent};

/// All of them, with what each is.
pub const RARE: &[(&str, &str)] = &[
    ("election-from-elr", "a leader was elected from the eligible leader replicas"),
    ("election-of-last-known-leader", "the last known leader was elected, ISR and ELR being empty"),
    ("election-unclean", "a leader was elected that was not in sync"),
    ("no-leader", "a partition had no leader"),
    ("diverging-fetch", "a leader told a follower that its history differs"),
    ("diverging-tail-cut", "a follower cut a tail that the leader has not"),
    ("cut-below-own-high-watermark", "a follower cut what it had known to be committed"),
    ("cut-out-of-range", "a follower's log ended behind its leader's"),
    ("log-dropped-behind-log-start", "a follower lay wholly below its leader's log start"),
    ("alter-partition-fenced", "AlterPartition refused: FENCED_LEADER_EPOCH"),
    ("alter-partition-stale", "AlterPartition refused: INVALID_UPDATE_VERSION"),
    ("alter-partition-ineligible", "AlterPartition refused: INELIGIBLE_REPLICA"),
    ("alter-partition-new-leader", "AlterPartition refused: NEW_LEADER_ELECTED"),
    ("quorum-leader-resigned", "a quorum leader gave up while it ran"),
    ("pre-vote-refused", "a controller that wanted an election was told no"),
    ("decisions-reverted", "a controller stood down with decisions that were not committed"),
    ("metadata-cut", "a voter cut its metadata log"),
    ("metadata-snapshot-loaded", "metadata came as a snapshot"),
    ("duplicate-batch-found", "an idempotent batch came again and was answered from memory"),
    ("producer-epoch-raised", "a producer raised its own epoch"),
    ("batch-split", "a batch was too large and was sent as smaller ones"),
    ("torn-tail-recovered", "recovery discarded bytes of a log"),
    ("disk-failed-in-a-handler", "a disk failed in the middle of what its node did"),
    ("log-start-moved", "retention or a client removed records"),
    ("consumer-told-of-truncation", "a consumer learnt that its position is of another history"),
    ("read-from-follower", "a consumer read from a follower"),
    ("broker-fenced", "a broker's session ran out"),
    ("core-of-a-part", "when the faults ended a part of the cluster had to get on without the rest"),
];

/// How often a trial reached each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    counts: BTreeMap<&'static str, u64>,
    /// What followers had as committed when they began to follow.
    following: BTreeMap<(NodeIx, TopicPartition), i64>,
}

impl Rare {
    /// Takes the next event in.
    pub(crate) fn count(&mut self, event: &TraceEvent) {
        if let Event::BecameFollower { partition, high_watermark, .. } = &event.event {
            self.following.insert((event.node, partition.clone()), *high_watermark);
        }
        // An empty log that goes back to the beginning of a batch loses nothing.
        if let Event::Truncated { partition, to, reason, .. } = &event.event
            && *reason != TruncationReason::BatchSpansLogStart
            && self.following.get(&(event.node, partition.clone())).is_some_and(|committed| to < committed)
        {
            *self.counts.entry("cut-below-own-high-watermark").or_default() += 1;
        }
        if let Some(name) = reached(&event.event) {
            *self.counts.entry(name).or_default() += 1;
        }
    }

    /// All, with their names.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RARE.iter().map(|(name, _)| (*name, self.counts.get(name).copied().unwrap_or_default()))
    }
}

/// The rare state that an event tells of.
fn reached(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::LeaderChanged { election, .. } => match election {
            Some(ElectionKind::Eligible) => "election-from-elr",
            Some(ElectionKind::LastKnownLeader) => "election-of-last-known-leader",
            Some(ElectionKind::Unclean) => "election-unclean",
            Some(ElectionKind::Clean | ElectionKind::Preferred) => return None,
            None => "no-leader",
        },
        Event::DivergenceFound { .. } => "diverging-fetch",
        Event::Truncated { from, to, reason, .. } => match reason {
            TruncationReason::DivergingEpoch if to < from => "diverging-tail-cut",
            TruncationReason::OutOfRange => "cut-out-of-range",
            TruncationReason::BehindLogStart => "log-dropped-behind-log-start",
            TruncationReason::DivergingEpoch
            | TruncationReason::BatchSpansLogStart
            | TruncationReason::ToHighWatermark => return None,
        },
        Event::AlterPartitionRefused { error, .. } => match error.as_str() {
            "FENCED_LEADER_EPOCH" => "alter-partition-fenced",
            "INVALID_UPDATE_VERSION" => "alter-partition-stale",
            "INELIGIBLE_REPLICA" => "alter-partition-ineligible",
            "NEW_LEADER_ELECTED" => "alter-partition-new-leader",
            _ => return None,
        },
        Event::ResignedAsQuorumLeader { why, .. } if why != "it led before its restart" => "quorum-leader-resigned",
        Event::VoteRefused { pre_vote: true, .. } => "pre-vote-refused",
        Event::ControllerStoodDown { .. } => "decisions-reverted",
        Event::MetadataTruncated { .. } => "metadata-cut",
        Event::SnapshotLoaded { .. } => "metadata-snapshot-loaded",
        Event::DuplicateFound { .. } => "duplicate-batch-found",
        Event::ProducerEpochRaised { .. } => "producer-epoch-raised",
        Event::BatchSplit { .. } => "batch-split",
        Event::Recovered { discarded_bytes, .. } if *discarded_bytes > 0 => "torn-tail-recovered",
        Event::Fault(Fault::DiskFailed) => "disk-failed-in-a-handler",
        Event::LogStartMoved { .. } => "log-start-moved",
        Event::PositionReset { why, .. } if why.starts_with("LOG_TRUNCATION") => "consumer-told-of-truncation",
        Event::ReadReplicaChosen { .. } => "read-from-follower",
        Event::BrokerFenced { .. } => "broker-fenced",
        Event::LeftOut { .. } => "core-of-a-part",
        _ => return None,
    })
}
