//! Which high watermark could move, and stands?
//!
//! A leader moves its high watermark when it may: after an append, after a fetch that brings news, after a change of the
//! ISR. So it never stands for longer than a handler behind what every replica that counts has. The state of the leader is
//! held against what it had to know when it last took over an ISR, and in its favour where that leaves a doubt:
//!
//! - a replica outside the ISR counts, as long as it may have been caught up since then: it has fetched since, or had
//!   everything less than the lag before, by the earliest time the clock of that machine has shown since then;
//! - unless it could not join, then as now: fenced, stopping, another incarnation (KAFKA-15021);
//! - with fewer members than min.insync.replicas, then or now, nothing has to move.

use std::collections::BTreeMap;

use trial_checker::{Partition, Waiting};
use trial_kafka::broker::Broker;
use trial_kafka::broker::partition::leader::{RemoteReplica, isr_eligible};
use trial_kafka::broker::partition::{self};
use trial_kafka::event::Event;
use trial_kafka::ids::{BrokerId, TopicPartition};
use trial_kafka::node::Millis;
use trial_kafka::zoo::Zoo;

use crate::trace::{NodeIx, TraceEvent};
use crate::world::{Power, World};

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    adopted: BTreeMap<(NodeIx, TopicPartition), Adopted>,
}

/// What a leader knew when it took over an ISR.
#[derive(Clone, Debug)]
struct Adopted {
    at: Millis,
    earliest_clock: Millis,
    min_isr: usize,
    ineligible: Vec<BrokerId>,
}

impl Standing {
    /// A leader has taken over an ISR, or leads no more. `world` is as it is after the step.
    pub(super) fn on_event(&mut self, world: &World, event: &TraceEvent) {
        let partition = match &event.event {
            Event::BecameLeader { partition, .. } | Event::IsrAdopted { partition, .. } => partition,
            Event::BecameFollower { partition, .. } | Event::ReplicaDeleted { partition, .. } => {
                self.adopted.remove(&(event.node, partition.clone()));
                return;
            }
            Event::Started { .. } => return self.adopted.retain(|(node, _), _| *node != event.node),
            _ => return,
        };
        let Some(broker) = world.broker_at(event.node) else { return };
        let Some((replica, remotes)) = leading(broker, partition) else { return };
        let at = world.clocks(event.node).wall;
        let ineligible = remotes.iter().filter(|r| !is_eligible(broker, r)).map(|r| r.broker).collect();
        let adopted = Adopted { at, earliest_clock: at, min_isr: replica.effective_min_isr(), ineligible };
        self.adopted.insert((event.node, partition.clone()), adopted);
    }

    /// The partitions whose high watermark stands though it could move.
    pub(super) fn look(&mut self, world: &World) -> Vec<Waiting> {
        let mut standing = Vec::new();
        for ((node, id), adopted) in &mut self.adopted {
            adopted.earliest_clock = adopted.earliest_clock.min(world.clocks(*node).wall);
            let Some(broker) = world.broker_at(*node).filter(|_| world.power(*node) == Power::Running) else {
                continue;
            };
            if could_move(broker, id, adopted) {
                let partition = Partition::new(id.topic.as_str(), id.partition);
                standing.push(Waiting::HighWatermark { partition, broker: broker.node_id() });
            }
        }
        standing
    }
}

fn leading<'a>(broker: &'a Broker, id: &TopicPartition) -> Option<(&'a partition::Partition, &'a [RemoteReplica])> {
    let replica = broker.partition(id)?;
    Some((replica, &replica.leader_state()?.remotes))
}

fn is_eligible(broker: &Broker, replica: &RemoteReplica) -> bool {
    isr_eligible(broker.image(), replica, Zoo::default())
}

fn could_move(broker: &Broker, id: &TopicPartition, adopted: &Adopted) -> bool {
    let Some((replica, remotes)) = leading(broker, id) else { return false };
    let Some(isr) = replica.leader_state().map(|state| &state.isr) else { return false };
    if isr.committed().len() < replica.effective_min_isr().max(adopted.min_isr) {
        return false;
    }
    let (lag, end) = (broker.setup().config.replica_lag_time_max_ms, replica.log_end_offset());
    let counts = |r: &&RemoteReplica| {
        let could_never_join = adopted.ineligible.contains(&r.broker) && !is_eligible(broker, r);
        let was_late = r.last_fetch_time <= adopted.earliest_clock && !r.is_caught_up(end, adopted.earliest_clock, lag);
        isr.maximal_contains(r.broker) || !(could_never_join || (was_late && adopted.earliest_clock == adopted.at))
    };
    let followers = remotes.iter().filter(counts).map(|r| r.log_end_offset).min().unwrap_or(i64::MAX);
    replica.own_end_offset().min(followers) > replica.high_watermark()
}
