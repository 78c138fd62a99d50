//! High watermarks that waited for a replica outside the ISR, and at which nobody has looked since they need not wait any more.
//!
//! A leader waits for a replica outside that was caught up lately and may join (`Partition.maybeIncrementLeaderHW`). That
//! ends when the replica is fenced, or is late, and neither makes the leader look: it does so when it appends, when a fetch
//! shows that a replica has come farther, and when a change of the partition is known. Where everybody else has
//! everything and nobody writes, the high watermark of Kafka stands until then.

use std::collections::BTreeMap;

use trial_kafka::broker::partition::Partition as Replica;
use trial_kafka::broker::partition::leader::isr_eligible;
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

#[derive(Clone, Debug)]
struct Held {
    occasion: Occasion,
    /// Is there a replica outside for which it waits at this look?
    waits: bool,
}

/// The partitions whose high watermarks are excused, by the last look at each. See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldByOutsiders(BTreeMap<TopicPartition, Held>);

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
        let waits = waits_for_an_outsider(leader, image, wall, lag_time_max_ms);
        let before = self.0.get(id);
        let occasion = || Occasion::of(leader);
        // What happened between the look that saw it wait and the next may have come before the wait was over.
        let is_held = waits || before.is_some_and(|before| before.waits || before.occasion == occasion());
        match is_held {
            true => drop(self.0.insert(id.clone(), Held { occasion: occasion(), waits })),
            false => drop(self.0.remove(id)),
        }
        is_held
    }

    /// Did the last look find that of the partition with this leader?
    pub(super) fn hold(&self, id: &TopicPartition, leader: Option<&Replica>) -> bool {
        let stands = leader.is_some_and(|leader| leader.high_watermark() < leader.log_end_offset());
        stands && self.0.contains_key(id)
    }
}

fn waits_for_an_outsider(leader: &Replica, image: &MetadataImage, wall: Millis, lag_time_max_ms: i64) -> bool {
    let Some(state) = leader.leader_state() else { return false };
    let members = state.isr.committed();
    state.remotes.iter().any(|remote| {
        !members.contains(&remote.broker)
            && remote.log_end_offset <= leader.high_watermark()
            && isr_eligible(image, remote, Zoo::default())
            && remote.is_caught_up(leader.log.log_end_offset(), wall, lag_time_max_ms)
    })
}
