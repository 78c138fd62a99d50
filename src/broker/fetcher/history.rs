//! What does a follower tell the leader of its own history?
//!
//! Since KIP-595 each fetch carries the epoch of the last record (`lastFetchedEpoch`), and the leader looks at each. Two
//! earlier protocols are there for the zoo's switches whose bugs they made possible: none at all before KIP-101, and
//! from KIP-101 on a question asked once, when the follower begins to follow in a leader epoch.

use super::{Fetcher, FetcherKey, PartitionIx};
use crate::broker::Broker;
use crate::broker::partition::Partition;
use crate::conformance::FollowerRule;
use crate::zoo::{Switch, Zoo};

/// How far a follower is in comparing its history with the leader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum History {
    /// It tells of it.
    Told,
    /// It asked in this leader epoch and was told that nothing diverges: only a follower of the KIP-101 protocol leaves
    /// it at that.
    Settled,
}

/// Up to 0.10 nothing was told (KIP-101 brought it); what such a follower has beyond the leader's end shows as
/// OFFSET_OUT_OF_RANGE.
fn nothing_is_told(zoo: Zoo) -> bool {
    zoo.on(Switch::TruncateToHw) || zoo.on(Switch::OorTruncateFully)
}

/// Up to 2.6 a follower asked once in a leader epoch (OffsetsForLeaderEpoch), before it fetched.
fn told_once_an_epoch(zoo: Zoo) -> bool {
    zoo.on(Switch::SkipTruncateSameLeader) || zoo.on(Switch::TruncateFromOtherEpoch)
}

impl Broker {
    /// What a follower tells first in a new leader epoch. Zoo switch `skip-truncate-same-leader` (KAFKA-7164,
    /// `Partition.makeFollower` up to 2.0.0): nothing, if it followed the same leader before.
    pub(super) fn history_at_start(&self, same_leader_as_before: bool) -> History {
        let skips = self.setup.zoo.on(Switch::SkipTruncateSameLeader) && same_leader_as_before;
        if skips { History::Settled } else { History::Told }
    }

    /// Zoo switch `drop-last-fetched-epoch` (KAFKA-15510, a regression that no release had): a response without records makes
    /// the follower forget what its last epoch was, until it is given records again. In a new leader epoch it looks into its
    /// log, so that nothing comes of it.
    pub(super) fn drop_last_fetched_epoch(&mut self, key: FetcherKey, ix: PartitionIx, was_given_nothing: bool) {
        if self.setup.zoo.on(Switch::DropLastFetchedEpoch)
            && let Some(followed) = self.fetchers.get_mut(&key).and_then(|fetcher| fetcher.partitions.get_mut(&ix))
        {
            followed.history = if was_given_nothing { History::Settled } else { History::Told };
        }
    }

    /// The epoch of the last record, or the last one known to begin behind it; -1 if there is none (KIP-595,
    /// `AbstractFetcherThread.latestEpoch`).
    pub(super) fn last_fetched_epoch(&self, partition: &Partition, history: History) -> i32 {
        let told = history == History::Told && !nothing_is_told(self.setup.zoo);
        if told && FollowerRule::FetchTellsTheLastEpoch.holds() {
            partition.log.latest_epoch().unwrap_or(-1)
        } else {
            -1
        }
    }
}

impl Fetcher {
    /// The leader found that nothing diverges.
    pub(super) fn settle_history(&mut self, ix: PartitionIx, zoo: Zoo) {
        if told_once_an_epoch(zoo)
            && let Some(followed) = self.partitions.get_mut(&ix)
        {
            followed.history = History::Settled;
        }
    }
}
