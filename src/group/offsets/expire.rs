//! Expiry: which offsets has nobody needed for so long that they are forgotten?
//!
//! An offset of a group that is consuming is never forgotten, however old it is: a topic may be silent for months. Time
//! counts from when the group became empty, or, for a topic that the group has dropped, from the last commit.

use crate::conformance::OffsetRule;
use crate::group::classic::{ClassicGroup, ClassicState};
use crate::group::coordinator::{Context, Coordinator, Group, Written};
use crate::group::records::{OffsetValue, Record};
use crate::group::timers::{Note, Timer};
use crate::node::Millis;
use crate::zoo::Switch;

use super::tombstone;

/// From when on an offset's retention counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// When it was committed.
    Commit,
    /// When the group became empty.
    Empty(Millis),
}

impl Since {
    /// An offset that was committed with a retention of its own ends when that says.
    /// Source: `OffsetExpirationConditionImpl.isOffsetExpired`.
    fn is_expired(self, value: &OffsetValue, now: Millis, retention_ms: i64) -> bool {
        if value.expire_timestamp != -1 && OffsetRule::OwnRetentionCounts.holds() {
            return now >= value.expire_timestamp;
        }
        let since = match self {
            Since::Commit => value.commit_timestamp,
            Since::Empty(since) => since,
        };
        now.saturating_sub(since) >= retention_ms
    }
}

impl Coordinator {
    /// Looks through all groups. What is left without offsets and members is no group any more.
    /// Source: KIP-211, `GroupCoordinatorShard.cleanupGroupMetadata`.
    pub fn expire(&mut self, cx: Context<'_>) -> Written {
        self.set_timer(cx, Timer::Expiry, self.config.offsets_retention_check_interval_ms, Note::None);
        let mut records = Vec::new();
        for (id, group) in self.groups.iter() {
            let all_expired = self.expire_group(cx, id, group, &mut records);
            if all_expired && group.is_empty() && OffsetRule::GroupWithoutOffsetsEnds.holds() {
                Self::group_tombstones(id, group, &mut records);
            }
        }
        Written::records(records, None)
    }

    /// True if the group has no offsets left. Source: `OffsetMetadataManager.cleanupExpiredOffsets`.
    fn expire_group(&self, cx: Context<'_>, id: &str, group: &Group, records: &mut Vec<Record>) -> bool {
        if self.offsets_of(id).next().is_none() {
            return true;
        }
        let unfenced = self.zoo.on(Switch::ExpireActiveOffsets);
        let since = if unfenced { Some(Since::Commit) } else { since(group) };
        let Some(since) = since else { return false };
        let mut all = true;
        for (key, value) in self.offsets_of(id) {
            let is_kept = group.is_subscribed_to(key.1.as_str()) && OffsetRule::SubscribedTopicsDoNotExpire.holds();
            let is_kept = is_kept && !unfenced;
            if !is_kept && since.is_expired(value, cx.now.wall, self.config.offsets_retention_ms) {
                records.push(tombstone(key));
            } else {
                all = false;
            }
        }
        all
    }
}

fn since(group: &Group) -> Option<Since> {
    match group {
        Group::Classic(group) => since_classic(group),
        Group::Consumer(_) => Some(Since::Commit),
    }
}

/// Nothing expires in a rebalance: nobody knows what the group is subscribed to.
/// Source: `ClassicGroup.offsetExpirationCondition`.
fn since_classic(group: &ClassicGroup) -> Option<Since> {
    if group.protocol_type().is_none() {
        return Some(Since::Commit);
    }
    match group.state() {
        ClassicState::Empty if OffsetRule::RetentionCountsFromEmpty.holds() => {
            Some(group.state_since().map_or(Since::Commit, Since::Empty))
        }
        ClassicState::Empty => Some(Since::Commit),
        ClassicState::Stable if group.knows_its_topics() => Some(Since::Commit),
        _ if !OffsetRule::NothingExpiresInARebalance.holds() => Some(Since::Commit),
        _ => None,
    }
}
