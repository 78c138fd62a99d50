//! Is what nodes report what their logs hold? After each step for what it reported on, and for everything when all is quiet.

use std::collections::BTreeMap;

use trial_checker::{EventRef, Observation};
use trial_kafka::event::Event;
use trial_kafka::ids::TopicPartition;
use trial_kafka::node;

use super::logs::{Difference, headers};
use super::{Observer, is_up, replica_at};
use crate::trace::{NodeIx, TraceEvent};
use crate::world::{Power, World};

impl Observer {
    /// What a node reported in this step must be so after it.
    pub(super) fn audit(&mut self, world: &World, events: &[TraceEvent]) {
        let mut reported: BTreeMap<(NodeIx, &TopicPartition), (EventRef, Option<i64>)> = BTreeMap::new();
        for event in events {
            let high_watermark = match &event.event {
                Event::HighWatermark { to, .. } => Some(*to),
                Event::Appended { .. } | Event::Truncated { .. } => None,
                _ => continue,
            };
            if let Some(partition) = event.event.partition() {
                let at = EventRef { id: event.id.0, time: event.time };
                reported.insert((event.node, partition), (at, high_watermark));
            }
        }
        for ((node, id), (at, high_watermark)) in reported {
            let Some(broker) = world.broker_at(node) else { continue };
            // One that died in this step has forgotten what it reported.
            let Some(replica) = broker.partition(id).filter(|_| is_up(world, node)) else { continue };
            let (told, truth) = (self.known.end(broker.node_id(), id), replica.log_end_offset());
            if told != truth {
                let what = format!("its report makes {told} the log end offset of {id}, and it is {truth}");
                self.found_out(world, at, node, broker.node_id(), id, what);
            }
            let (told, truth) = (high_watermark.unwrap_or(replica.high_watermark()), replica.high_watermark());
            if told != truth {
                let message = format!("it reported {told} as the high watermark of {id}, and it is {truth}");
                let node = world.node_name(node).to_string();
                self.checker.observe(at, Observation::InternalAssertion { node, message });
            }
        }
    }

    /// Everything is quiet: does every log hold what was told of it, byte for byte?
    pub(super) fn audit_everything(&mut self, world: &World, at: EventRef) {
        let (scenario, unsettled) = (world.scenario(), world.unsettled_sends());
        let longest = scenario.producers.iter().map(|p| node::ms(p.config.delivery_timeout_ms)).max();
        if unsettled > 0 && longest.is_some_and(|longest| longest < scenario.phases.drain) {
            let message = format!("{unsettled} sends of living producers were not settled within delivery.timeout.ms");
            self.checker.observe(at, Observation::InternalAssertion { node: "trial".to_string(), message });
        }
        for broker in world.scenario().cluster.broker_ids() {
            let Some(node) = world.broker_ix(broker).filter(|node| world.power(*node) == Power::Running) else {
                continue;
            };
            for id in self.known.of_broker(broker) {
                // One that has only just started has not said yet what it found.
                let Some(log) = replica_at(world, node, &id).map(|replica| &replica.log) else { continue };
                let headers = headers(world, node, log);
                if !self.known.is_told(broker, &id, Some(log), &headers)
                    && let Some(difference) = self.compare(world, node, broker, &id)
                {
                    let Difference { same_below, known_end, log_end, .. } = difference;
                    let what = format!(
                        "its log of {id} ends at {log_end} and differs from offset {same_below} on from what it \
                         reported, which ends at {known_end}"
                    );
                    self.found_out(world, at, node, broker, &id, what);
                }
                self.tell_producers(world, at, node, &id, log, &headers);
            }
        }
    }

    /// A node's report and its log differ: that is a finding, and from here on the log counts.
    fn found_out(
        &mut self,
        world: &World,
        at: EventRef,
        node: NodeIx,
        broker: i32,
        id: &TopicPartition,
        message: String,
    ) {
        let name = world.node_name(node).to_string();
        self.checker.observe(at, Observation::InternalAssertion { node: name, message });
        if let Some(difference) = self.compare(world, node, broker, id) {
            let (partition, to) = (self.name(id), difference.same_below);
            let why = "without a word".to_string();
            self.checker.observe(at, Observation::LogTruncated { broker, partition, to, why });
            self.tell_rest(world, at, node, (broker, id), difference, &[]);
        }
    }
}
