//! Which partitions has a group left without an owner, as Kafka's does?
//!
//! With cooperative assignment a member that is to give a partition up does so, and asks for another rebalance, in which somebody is
//! given it (KIP-429). A static member that dies in between comes back without a rebalance: it is told its share of the generation as
//! it stands (KIP-345), and if it leads, it assigns nothing (KIP-814, `ConsumerCoordinator.onLeaderElected`). It has nothing that it
//! would have to give up, so that nobody asks any more, and nobody has that partition until something else makes the group
//! rebalance.
//!
//! Nor does anybody see partitions that were added to a topic while a static leader was away: it compares its metadata with
//! those of when it came back (`ConsumerCoordinator.onLeaderElected` takes its `assignmentSnapshot` of them, and assigns nothing).

use std::collections::BTreeSet;

use trial_kafka::event::Event;
use trial_kafka::ids::TopicPartition;

use crate::world::World;

/// How a coordinator tells that a static member has come back.
const CAME_BACK: &str = "came as the same static member";

/// Classic groups whose static members came back.
#[derive(Clone, Debug, Default)]
pub(super) struct Unowned {
    /// A member has, and what its group does about it is still to be told.
    coming_back: BTreeSet<String>,
    /// Groups and their generations: in these a member came back without a rebalance.
    came_back: BTreeSet<(String, i32)>,
}

impl Unowned {
    pub(super) fn on_event(&mut self, event: &Event) {
        match event {
            Event::MemberRemoved { group, why, .. } if why.ends_with(CAME_BACK) => {
                self.coming_back.insert(group.clone());
            }
            Event::GroupRebalancing { group, .. } => {
                self.coming_back.remove(group);
            }
            Event::GroupGeneration { group, generation, .. } if self.coming_back.remove(group) => {
                self.came_back.insert((group.clone(), *generation));
            }
            _ => {}
        }
    }

    /// Has nobody this partition, in a generation to which a static member has come back? With eager assignment all are assigned
    /// that were there.
    pub(super) fn has(&self, world: &World, group: &str, partition: &TopicPartition) -> bool {
        if self.came_back.is_empty() {
            return false;
        }
        let is_cooperative = world.is_cooperative(group);
        world.groups().into_iter().any(|(_, known)| {
            let assigned = || known.members.iter().flat_map(|member| &member.assigned);
            let is_assigned = assigned().any(|assigned| assigned == partition);
            let of_topic = || assigned().filter(|assigned| assigned.topic == partition.topic);
            let was_added =
                of_topic().all(|assigned| assigned.partition < partition.partition) && of_topic().count() > 0;
            let came_back =
                known.protocol == "classic" && self.came_back.contains(&(known.id.clone(), known.generation));
            known.id == group && came_back && known.state == "Stable" && !is_assigned && (is_cooperative || was_added)
        })
    }
}
