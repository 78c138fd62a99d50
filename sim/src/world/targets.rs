//! Who is hit: targets and peers become nodes, by the state of the World at this moment.

use trial_kafka::controller::QuorumRole;
use trial_kafka::ids::{NO_BROKER, TopicPartition};

use super::{SimNode, World};
use crate::fault::{Direction, Including, Peer, Share, Target};
use crate::trace::NodeIx;

impl World {
    pub(super) fn resolve_target(&self, target: &Target, that_node: Option<NodeIx>) -> Vec<NodeIx> {
        let broker = |id: i32| self.broker_ix(id);
        match target {
            Target::Broker(id) => broker(*id).into_iter().collect(),
            Target::Controller(n) => self.controllers_named(&[*n]),
            Target::TheseControllers(numbers) => self.controllers_named(numbers),
            Target::ActiveController => self.active_one().into_iter().collect(),
            Target::StandbyController(nth) => {
                self.standbys().into_iter().skip(nth.saturating_sub(1) as usize).take(1).collect()
            }
            Target::AllControllers => self.controllers().map(|(node, _)| node).collect(),
            Target::SomeControllers { share, including } => self.some_controllers(*share, *including),
            Target::Producer(n) => self.node_named(&format!("p{n}")).into_iter().collect(),
            Target::Consumer(n) => self.node_named(&format!("k{n}")).into_iter().collect(),
            Target::Leader(partition) => self.leader_of(partition).and_then(broker).into_iter().collect(),
            Target::Follower { partition, nth } => {
                let leader = self.leader_of(partition);
                let replicas = self.replicas_of(partition);
                let followers = replicas.into_iter().filter(|b| Some(*b) != leader);
                followers.skip(nth.saturating_sub(1) as usize).take(1).filter_map(broker).collect()
            }
            Target::Coordinator(group) => self.coordinator_of(group).and_then(broker).into_iter().collect(),
            // The timeline has replaced them by one broker, one controller, one consumer.
            Target::AnyBroker | Target::AnyController | Target::AnyConsumer => Vec::new(),
            Target::Rack(rack) => self.scenario.cluster.brokers_in_rack(rack).into_iter().filter_map(broker).collect(),
            Target::AllBrokers => self.scenario.cluster.broker_ids().filter_map(broker).collect(),
            Target::ThatNode => that_node.filter(|n| *n != NodeIx::WORLD).into_iter().collect(),
        }
    }

    fn controllers_named(&self, numbers: &[i32]) -> Vec<NodeIx> {
        numbers.iter().filter_map(|n| self.controller_ix(u32::try_from(*n).ok()?)).collect()
    }

    /// The controller that decides; if none does yet, the one that leads the quorum.
    fn active_one(&self) -> Option<NodeIx> {
        let leaders = self.controllers().filter(|(node, controller)| {
            self.slots[node.0 as usize].is_up() && controller.role() == QuorumRole::Leader
        });
        let leader = || leaders.max_by_key(|(_, controller)| controller.epoch()).map(|(node, _)| node);
        self.active_controller().map(|(node, _)| node).or_else(leader)
    }

    fn standbys(&self) -> Vec<NodeIx> {
        let active = self.active_one();
        self.controllers().map(|(node, _)| node).filter(|node| Some(*node) != active).collect()
    }

    fn some_controllers(&self, share: Share, including: Including) -> Vec<NodeIx> {
        let active = self.active_one().filter(|_| including == Including::Active);
        let count = share.of(self.scenario.cluster.controllers) as usize;
        active.into_iter().chain(self.standbys()).take(count).collect()
    }

    pub(super) fn leader_of(&self, partition: &TopicPartition) -> Option<i32> {
        let registration =
            self.controller_image()?.topic(partition.topic.as_str())?.partitions.get(partition.partition as usize)?;
        Some(registration.leader).filter(|leader| *leader != NO_BROKER)
    }

    fn replicas_of(&self, partition: &TopicPartition) -> Vec<i32> {
        let topic = self.controller_image().and_then(|image| image.topic(partition.topic.as_str()));
        topic
            .and_then(|t| t.partitions.get(partition.partition as usize))
            .map(|p| p.replicas.clone())
            .unwrap_or_default()
    }

    /// The ways between a node and its peers that a direction names.
    pub(super) fn ways(&self, node: NodeIx, peers: &[Peer], direction: Direction) -> Vec<(NodeIx, NodeIx)> {
        let mut ways = Vec::new();
        for peer in self.resolve_peers(node, peers) {
            if direction != Direction::In {
                ways.push((node, peer));
            }
            if direction != Direction::Out {
                ways.push((peer, node));
            }
        }
        ways
    }

    fn resolve_peers(&self, node: NodeIx, peers: &[Peer]) -> Vec<NodeIx> {
        let mut found = Vec::new();
        for peer in peers {
            let of_kind = |kind: fn(&SimNode) -> bool| -> Vec<NodeIx> {
                let all = self.slots.iter().enumerate().filter(|(_, slot)| kind(&slot.node));
                all.map(|(i, _)| NodeIx(i as u32)).collect()
            };
            found.extend(match peer {
                Peer::Everyone => of_kind(|_| true),
                Peer::Brokers => of_kind(|n| matches!(n, SimNode::Broker(_) | SimNode::Combined(_))),
                Peer::Controllers => of_kind(|n| matches!(n, SimNode::Controller(_) | SimNode::Combined(_))),
                Peer::Clients => of_kind(|n| matches!(n, SimNode::Client(_))),
                Peer::Node(target) => self.resolve_target(target, None),
            });
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|peer| *peer != node);
        found
    }
}
