//! What does a leader make of a fetch, of an answer to AlterPartition, of the time that passes? (4.1, 4.2, 4.3)

use kafka_protocol::ResponseError;
use kafka_protocol::messages::AlterPartitionResponse;
use trial_kafka::broker::Broker;
use trial_kafka::broker::partition::Partition;
use trial_kafka::broker::partition::leader::RemoteReplica;
use trial_kafka::metadata::MetadataImage;
use trial_kafka::node::Millis;

use super::shadow::{Pending, Shadow};
use crate::world::referee::IsrChange;
use crate::world::referee::asked::{AskedPartition, Fetch};

/// What a leader goes by, besides what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) me: i32,
    pub(super) image: &'a MetadataImage,
    pub(super) wall: Millis,
    pub(super) lag_ms: i64,
    /// How far its own log counts: what is being flushed does not.
    pub(super) own_end: i64,
}

impl<'a> Around<'a> {
    pub(super) fn of(broker: &'a Broker, replica: &Partition, wall: Millis) -> Self {
        let (me, image, lag_ms) = (broker.node_id(), broker.image(), broker.lag_time_max_ms());
        Around { me, image, wall, lag_ms, own_end: replica.own_end_offset() }
    }
}

/// A follower's fetch that is served says where the follower is. Sources: `Replica.updateFetchStateOrThrow`,
/// `Partition.updateFollowerFetchState`.
pub(super) fn on_fetch(due: &mut Shadow, fetch: &Fetch, asked: &AskedPartition, around: Around<'_>) {
    let leader_end = due.log_end;
    let Some(follower) = due.remotes.iter_mut().find(|remote| remote.broker == fetch.replica) else { return };
    let moved = follower.log_end_offset != asked.fetch_offset;
    if asked.fetch_offset >= leader_end {
        follower.last_caught_up_time = follower.last_caught_up_time.max(around.wall);
    } else if asked.fetch_offset >= follower.last_fetch_leader_log_end_offset {
        follower.last_caught_up_time = follower.last_caught_up_time.max(follower.last_fetch_time);
    }
    follower.log_end_offset = asked.fetch_offset;
    follower.log_start_offset = asked.log_start_offset;
    follower.last_fetch_leader_log_end_offset = follower.last_fetch_leader_log_end_offset.max(leader_end);
    follower.last_fetch_time = around.wall;
    follower.broker_epoch = Some(fetch.broker_epoch);
    let follower = *follower;
    // `Partition.maybeExpandIsr`.
    let is_in_sync = follower.log_end_offset >= due.high_watermark && follower.log_end_offset >= due.epoch_start;
    let may_join = !due.committed.contains(&follower.broker) && is_in_sync && is_eligible(&follower, around.image);
    if may_join && due.pending == Pending::Nothing && !due.awaits {
        due.pending = Pending::Joins(follower.broker);
        due.awaits = true;
    }
    if moved {
        try_high_watermark(due, around);
    }
}

/// Source: `Partition.isReplicaIsrEligible`, `isBrokerEpochIsrEligible` (KIP-841, KIP-903).
fn is_eligible(follower: &RemoteReplica, image: &MetadataImage) -> bool {
    image.brokers.get(&follower.broker).is_some_and(|registered| {
        let is_of_this_life =
            follower.broker_epoch.is_some_and(|epoch| epoch == -1 || epoch == registered.broker_epoch);
        is_of_this_life && !registered.fenced && !registered.in_controlled_shutdown
    })
}

/// Source: `ReplicaState.isCaughtUp`.
fn is_caught_up(follower: &RemoteReplica, leader_end: i64, around: Around<'_>) -> bool {
    follower.log_end_offset == leader_end || around.wall - follower.last_caught_up_time <= around.lag_ms
}

/// Source: `Partition.maybeIncrementLeaderHW`.
pub(super) fn try_high_watermark(due: &mut Shadow, around: Around<'_>) {
    if !due.leads || due.committed.len() < due.min_isr {
        return;
    }
    let waits_for = |follower: &&RemoteReplica| {
        due.committed.contains(&follower.broker)
            || due.pending == Pending::Joins(follower.broker)
            || (is_caught_up(follower, due.log_end, around) && is_eligible(follower, around.image))
    };
    let ends = due.remotes.iter().filter(waits_for).map(|follower| follower.log_end_offset);
    let least = ends.min().map_or(around.own_end, |least| least.min(around.own_end));
    due.high_watermark = due.high_watermark.max(least);
}

/// Members that lag leave. Source: `Partition.maybeShrinkIsr`, `getOutOfSyncReplicas`.
pub(super) fn on_isr_look(due: &mut Shadow, around: Around<'_>) {
    if !due.leads || due.pending != Pending::Nothing || due.awaits {
        return;
    }
    let is_late = |member: &i32| {
        let follower = due.remotes.iter().find(|remote| remote.broker == *member);
        *member != around.me && follower.is_none_or(|follower| !is_caught_up(follower, due.log_end, around))
    };
    let late: Vec<i32> = due.committed.iter().copied().filter(is_late).collect();
    if !late.is_empty() {
        due.leaving = late;
        (due.pending, due.awaits) = (Pending::Leave, true);
    }
}

/// The controller answers. Sources: `Partition.submitAlterPartition`, `handleAlterPartitionUpdate`,
/// `handleAlterPartitionError`.
pub(super) fn on_isr_answer(
    due: &mut Shadow,
    asked: &IsrChange,
    response: &AlterPartitionResponse,
    around: Around<'_>,
) {
    // Refused as a whole: the same is asked again, and so is what nothing is said about.
    let topic = response.topics.iter().find(|topic| topic.topic_id == due.topic_id && response.error_code == 0);
    let answers = topic.into_iter().flat_map(|topic| &topic.partitions);
    let Some(answer) = answers.into_iter().find(|answer| answer.partition_index == due.index) else { return };
    if !due.awaits {
        return;
    }
    let is_pending = due.pending != Pending::Nothing
        && (due.leader_epoch, due.partition_epoch) == (asked.leader_epoch, asked.partition_epoch)
        && due.asked().eq(asked.members.iter().map(|(member, _)| *member));
    due.awaits = false;
    if !is_pending {
        return;
    }
    let is = |error: ResponseError| answer.error_code == error.code();
    if answer.error_code == 0 {
        if answer.leader_epoch != due.leader_epoch || answer.partition_epoch < due.partition_epoch {
            return;
        }
        due.committed.clear();
        due.committed.extend(answer.isr.iter().map(|member| member.0));
        due.partition_epoch = answer.partition_epoch;
        give_up(due);
        try_high_watermark(due, around);
    } else if is(ResponseError::OperationNotAttempted) || is(ResponseError::IneligibleReplica) {
        give_up(due);
    } else if !(is(ResponseError::UnknownTopicOrPartition)
        || is(ResponseError::UnknownTopicId)
        || is(ResponseError::FencedLeaderEpoch)
        || is(ResponseError::InvalidUpdateVersion)
        || is(ResponseError::InvalidRequest)
        || is(ResponseError::NewLeaderElected))
    {
        // Asked again.
        due.awaits = true;
    }
}

/// Nothing is pending any more.
pub(super) fn give_up(due: &mut Shadow) {
    due.pending = Pending::Nothing;
    due.leaving.clear();
}
