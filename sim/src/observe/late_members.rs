//! In-sync replicas that are late, and that their leader does not ask to be rid of though nothing keeps it from asking.
//!
//! A leader looks every half `replica.lag.time.max.ms` whether a member has not been caught up for that long
//! (`Partition.maybeShrinkIsr`). It needs nobody for that but itself: its process has to run, its broker must not have ended in a process
//! that still ends its controller (`BrokerServer.shutdown` stops the scheduler first), and no change of this partition
//! may be under way, not even one that metadata has overtaken and that was never answered (`DefaultAlterPartitionManager.submit`).
//! Who is late is worked out by what the leader has recorded of each fetch.

use trial_checker::{Partition, Waiting};
use trial_kafka::broker::LifecycleState;
use trial_kafka::ids::TopicPartition;
use trial_kafka::metadata::{MetadataImage, PartitionRegistration};

use crate::world::{Power, World};

/// By this image, which says who leads; each with its leader epoch, for another begins anew.
pub(super) fn late_members<'a>(
    world: &'a World,
    image: &'a MetadataImage,
) -> impl Iterator<Item = (Waiting, i64)> + 'a {
    image.topics.values().flat_map(move |topic| {
        let partitions = (0..).zip(&topic.partitions);
        partitions.flat_map(move |(index, registration)| {
            let id = TopicPartition::new(&topic.name, index);
            late_members_of(world, &id, registration).into_iter().map(move |broker| {
                let partition = Partition::new(topic.name.as_str(), index);
                (Waiting::Leaves { partition, broker }, i64::from(registration.leader_epoch))
            })
        })
    })
}

fn late_members_of(world: &World, id: &TopicPartition, registration: &PartitionRegistration) -> Vec<i32> {
    let free = |node: &crate::trace::NodeIx| world.power(*node) == Power::Running && !world.is_held_up(*node);
    let Some(node) = world.broker_ix(registration.leader).filter(free) else { return Vec::new() };
    let Some(broker) = world.broker_at(node) else { return Vec::new() };
    if broker.lifecycle_state() == LifecycleState::ShuttingDown || broker.awaits_isr_change(id) {
        return Vec::new();
    }
    let Some(leader) = broker.partition(id) else { return Vec::new() };
    let Some(state) = leader.leader_state().filter(|state| !state.isr.is_pending()) else { return Vec::new() };
    if leader.leader_epoch != registration.leader_epoch {
        return Vec::new();
    }
    let lag = world.scenario().cluster.config.replica_lag_time_max_ms;
    let (wall, log_end) = (world.clocks(node).wall, leader.log.log_end_offset());
    let is_late = |broker: &i32| {
        let remote = state.remotes.iter().find(|remote| remote.broker == *broker);
        remote.is_some_and(|remote| !remote.is_caught_up(log_end, wall, lag))
    };
    let members = state.isr.committed().iter().copied();
    members.filter(|broker| *broker != registration.leader).filter(is_late).collect()
}
