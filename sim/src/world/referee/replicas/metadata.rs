//! What does a replica make of its registration in the metadata? (4.1, 4.2)
//!
//! Sources: `Partition.makeLeader`, `makeFollower`, `updateAssignmentAndIsr`, `Replica.resetReplicaState`.

use trial_kafka::broker::partition::leader::RemoteReplica;
use trial_kafka::metadata::PartitionRegistration;

use super::leader::{Around, give_up, try_high_watermark};
use super::shadow::Shadow;

/// The metadata has this to say of the replica, and it is news to the broker.
pub(super) fn on_registration(due: &mut Shadow, registered: &PartitionRegistration, around: Around<'_>) {
    if registered.partition_epoch < due.partition_epoch {
        return;
    }
    let is_new_reign = registered.leader_epoch > due.leader_epoch;
    let is_known = due.leads
        && !is_new_reign
        && registered.partition_epoch == due.partition_epoch
        && (&registered.isr, &registered.replicas) == (&due.committed, &due.replicas);
    if !is_known {
        take(due, registered, is_new_reign, around);
    }
    try_high_watermark(due, around);
}

fn take(due: &mut Shadow, registered: &PartitionRegistration, is_new_reign: bool, around: Around<'_>) {
    (due.leader, due.leader_epoch, due.partition_epoch) =
        (registered.leader, registered.leader_epoch, registered.partition_epoch);
    due.replicas.clone_from(&registered.replicas);
    give_up(due);
    let led = std::mem::replace(&mut due.leads, registered.leader == around.me);
    if !due.leads {
        due.epoch_start = 0;
        due.committed.clear();
        due.remotes.clear();
        return;
    }
    due.committed.clone_from(&registered.isr);
    let known = std::mem::take(&mut due.remotes);
    let known = |broker: i32| known.iter().find(|remote| remote.broker == broker).copied();
    let others = registered.replicas.iter().copied().filter(|replica| *replica != around.me);
    if led && !is_new_reign {
        due.remotes = others.map(|broker| known(broker).unwrap_or(unknown(broker))).collect();
        return;
    }
    due.epoch_start = due.log_end;
    due.latest = Some((registered.leader_epoch, due.log_end));
    let (end, wall) = (due.log_end, around.wall);
    let begins = |broker: i32| {
        let time = if registered.isr.contains(&broker) { wall } else { 0 };
        match known(broker).filter(|_| led) {
            Some(known) => RemoteReplica {
                last_fetch_leader_log_end_offset: end,
                last_fetch_time: time,
                last_caught_up_time: time,
                ..known
            },
            None => RemoteReplica { last_caught_up_time: time, ..unknown(broker) },
        }
    };
    due.remotes = others.map(begins).collect();
}

fn unknown(broker: i32) -> RemoteReplica {
    RemoteReplica {
        broker,
        log_end_offset: -1,
        log_start_offset: -1,
        last_fetch_leader_log_end_offset: -1,
        last_fetch_time: 0,
        last_caught_up_time: 0,
        broker_epoch: None,
    }
}
