//! High watermarks that waited for a replica outside the ISR, and at which nobody has looked since they need not wait any more.
//!
//! A leader waits for a replica outside that was caught up lately and may join (`Partition.maybeIncrementLeaderHW`). That
//! ends when the replica is fenced, or is late, and neither makes the leader look: it does so when it appends, when a fetch
//! shows that a replica has come farther, and when a change of the partition is known. Where everybody else has
//! everything and nobody writes, the high watermark of Kafka stands until then.
//!
//! It waits, too, for a replica that it has asked the controller to let in, whatever has become of that one since. If the
//! controller refuses, the leader goes back to the ISR that it had, and does not look either
//! (`Partition.handleAlterPartitionError`: INELIGIBLE_REPLICA). While it has no answer it is not excused by that.

use std::collections::BTreeMap;

use trial_kafka::broker::partition::Partition as Replica;
use trial_kafka::broker::partition::leader::{RemoteReplica, isr_eligible};
use trial_kafka::ids::TopicPartition;
use trial_kafka::metadata::MetadataImage;
use trial_kafka::node::Millis;
use trial_kafka::zoo::Zoo;

/// Changes whenever the leader had an occasion to look: its epochs, its log end offset, its high watermark, and how far each
/// replica had come.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Occasion {
    epochs: (i32, i32),
    ends: (i64, i64),
    replicas: Vec<(i32, i64)>,
}

impl Occasion {
    fn of(leader: &Replica) -> Self {
        let remotes = leader.leader_state().into_iter().flat_map(|state| &state.remotes);
        Occasion {
            epochs: (leader.leader_epoch, leader.partition_epoch),
            ends: (leader.own_end_offset(), leader.high_watermark()),
            replicas: remotes.map(|remote| (remote.broker, remote.log_end_offset)).collect(),
        }
    }
}

/// For whom a high watermark waits besides the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitsFor {
    Nobody,
    /// Was caught up lately, and may join.
    Outsider,
    /// The controller has been asked to let it in, and has not answered.
    Joiner,
}

#[derive(Clone, Debug)]
struct Held {
    occasion: Occasion,
    /// At this look.
    waits_for: WaitsFor,
    is_excused: bool,
}

/// The partitions whose high watermarks are excused, by the last look at each. See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldByOutsiders {
    held: BTreeMap<TopicPartition, Held>,
    /// What the leader's clock showed at the last look at each. Nobody looks while there is no active controller.
    looked: BTreeMap<TopicPartition, Millis>,
}

impl HeldByOutsiders {
    /// Looks at a leader, which knows this image and reads this wall clock: does its high watermark wait for a replica outside,
    /// or has it had no occasion to move since?
    pub(super) fn excuse(
        &mut self,
        id: &TopicPartition,
        leader: &Replica,
        image: &MetadataImage,
        wall: Millis,
        lag_time_max_ms: i64,
    ) -> bool {
        let since = self.looked.insert(id.clone(), wall).map_or(wall, |last| last.min(wall));
        let waits_for = waits_for(leader, image, since, lag_time_max_ms);
        let occasion = Occasion::of(leader);
        let is_pending = leader.leader_state().is_some_and(|state| state.isr.is_pending());
        // What happened between the look that saw it wait and the next may have come before the wait was over. A change of the
        // ISR that was made, and not refused, has another partition epoch: then the leader looks.
        let goes_on = |before: &Held| match before.waits_for {
            WaitsFor::Outsider => true,
            WaitsFor::Joiner if !is_pending && before.occasion.epochs == occasion.epochs => true,
            _ => before.is_excused && before.occasion == occasion,
        };
        let is_excused = waits_for == WaitsFor::Outsider || self.held.get(id).is_some_and(goes_on);
        match is_excused || waits_for == WaitsFor::Joiner {
            true => drop(self.held.insert(id.clone(), Held { occasion, waits_for, is_excused })),
            false => drop(self.held.remove(id)),
        }
        is_excused
    }

    /// Did the last look find that of the partition with this leader?
    pub(super) fn hold(&self, id: &TopicPartition, leader: Option<&Replica>) -> bool {
        let stands = leader.is_some_and(|leader| leader.high_watermark() < leader.log_end_offset());
        stands && self.held.get(id).is_some_and(|held| held.is_excused)
    }
}

/// Since the last look, when the leader's clock showed that.
fn waits_for(leader: &Replica, image: &MetadataImage, since: Millis, lag_time_max_ms: i64) -> WaitsFor {
    let Some(state) = leader.leader_state() else { return WaitsFor::Nobody };
    let members = state.isr.committed();
    let is_outside = |r: &&RemoteReplica| !members.contains(&r.broker) && r.log_end_offset <= leader.high_watermark();
    let may_join = |r: &RemoteReplica| {
        isr_eligible(image, r, Zoo::default()) && r.is_caught_up(leader.log.log_end_offset(), since, lag_time_max_ms)
    };
    let mut outside = state.remotes.iter().filter(is_outside);
    match () {
        () if outside.clone().any(may_join) => WaitsFor::Outsider,
        () if outside.any(|r| state.isr.maximal_contains(r.broker)) => WaitsFor::Joiner,
        () => WaitsFor::Nobody,
    }
}
