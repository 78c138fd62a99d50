//! Who stays away when the faults end: failover is only seen where those who failed do not come back.
//!
//! ```text
//!   faults_end ─ take a part away, heal the rest ─▶ the core is whole ─ probes ─▶ the core gets on ─ heal all ─▶ …
//! ```
//!
//! With `core = "random"` a random part of the servers and of the members of groups is left as dead as it is, or is taken away if it
//! runs: killed, or, of the members, cut off from everyone. What stays, the core, is *sufficient*: by the rules of Kafka it gets on for
//! ever without the rest, and without losing anything:
//!
//! - a majority of every set of voters that any controller knows stays, each voter on its own disk, and those of them that
//!   may lack something committed are no majority;
//! - of every partition of which a replica goes, as many stay as the effective `min.insync.replicas` asks for, and among
//!   them one that runs, is registered, is heard of, and stands in the ISR or the ELR. That is asked for where unclean election is
//!   on, too: whoever lost records because the rest is away would have lost them by the choice of the core;
//! - the same holds of the replicas that a reassignment under way leaves when it is over;
//! - a broker may only go if every topic is there already, for a new one wants its replication factor of brokers;
//! - of every group a member stays.
//!
//! If no part can go, the core is everybody. Those who lead the quorum or a partition go first in most seeds.
//!
//! No server of them is silent, cut off or without power: its process is dead, and its machine says so. Whoever had asked a silent
//! one something, or asks it next, waits for as long as a request may take, half a minute by default, and may do so again as often
//! as it happens to choose it: Kafka's clients remember little of that. There would be no bound in which they have to get on.

use std::collections::BTreeSet;

use trial_kafka::config::OffsetReset;
use trial_kafka::controller::Controller;
use trial_kafka::event::Event;
use trial_kafka::ids::NO_BROKER;
use trial_kafka::metadata::MetadataImage;
use trial_kafka::node::{EventId, ms};

use super::application::Doing;
use super::{Power, World};
use crate::fault::{Direction, FaultKind, Peer, Stream};
use crate::scenario::Core;
use crate::trace::NodeIx;

/// What can be left out, each with a limit of its own: controllers, brokers, members of groups.
const KINDS: usize = 3;
const CONTROLLERS: usize = 0;
const BROKERS: usize = 1;
const MEMBERS: usize = 2;

impl World {
    /// Does this node run, and belong to what is to get on?
    pub fn takes_part(&self, node: NodeIx) -> bool {
        self.power(node) == Power::Running && !self.is_left_out(node)
    }
    /// Is it away while the rest gets on without it?
    pub fn is_left_out(&self, node: NodeIx) -> bool {
        self.life.left_out.contains(&node)
    }

    /// Draws who is left out.
    pub(super) fn draw_left_out(&self) -> BTreeSet<NodeIx> {
        let mut left_out = BTreeSet::new();
        if self.scenario.phases.core == Core::Everybody {
            return left_out;
        }
        let mut stream = Stream::new(self.seed, "core", 0);
        let leaders_first = stream.below(4) > 0;
        let all = (0..self.slots.len() as u32).map(NodeIx);
        let mut order = stream.shuffled(all.filter(|node| self.kind_of(*node).is_some()).collect());
        if leaders_first {
            order.sort_by_key(|node| !self.leads_something(*node));
        }
        let mut limits = [0; KINDS];
        for (kind, limit) in limits.iter_mut().enumerate() {
            let of_kind = order.iter().filter(|node| self.kind_of(**node) == Some(kind)).count() as u64;
            *limit = if stream.below(4) == 0 { 0 } else { 1 + stream.below(of_kind) };
        }
        for node in order {
            let Some(limit) = self.kind_of(node).and_then(|kind| limits.get_mut(kind)).filter(|left| **left > 0) else {
                continue;
            };
            if self.is_silent_server(node) {
                continue;
            }
            left_out.insert(node);
            match self.is_sufficient_without(&left_out) {
                true => *limit -= 1,
                false => _ = left_out.remove(&node),
            }
        }
        left_out
    }

    /// Controllers with a machine of their own, brokers, members of groups; nobody else can be left out.
    fn kind_of(&self, node: NodeIx) -> Option<usize> {
        let slot = &self.slots[node.0 as usize];
        let in_group = |reader: &super::application::Reader| {
            reader.node == node && self.scenario.consumers[reader.spec].group().is_some() && !reader.has_left
        };
        match (slot.controller(), slot.broker()) {
            (_, Some(_)) => Some(BROKERS),
            (Some(_), None) => Some(CONTROLLERS),
            (None, None) => self.life.readers.iter().any(in_group).then_some(MEMBERS),
        }
    }

    /// Is it a server that answers nothing, not even that nobody is there?
    fn is_silent_server(&self, node: NodeIx) -> bool {
        self.power(node) == Power::Off && self.kind_of(node).is_some_and(|kind| kind < MEMBERS)
    }

    fn leads_something(&self, node: NodeIx) -> bool {
        let is_active = || self.active_controller().is_some_and(|(active, _)| active == node);
        let leads = |id: i32| {
            let topics = self.controller_image().into_iter().flat_map(|image| image.topics.values());
            topics.flat_map(|topic| &topic.partitions).any(|partition| partition.leader == id)
        };
        is_active() || self.broker_at(node).is_some_and(|broker| leads(broker.node_id()))
    }

    /// Does what is left get on without these, by the rules of Kafka?
    fn is_sufficient_without(&self, left_out: &BTreeSet<NodeIx>) -> bool {
        self.quorum_stands_without(left_out)
            && self.partitions_stand_without(left_out)
            && self.groups_stand_without(left_out)
    }

    fn quorum_stands_without(&self, left_out: &BTreeSet<NodeIx>) -> bool {
        if !self.controllers().any(|(node, _)| left_out.contains(&node)) {
            return true;
        }
        let committed = self.controllers().map(|(_, controller)| controller.high_watermark()).max().unwrap_or(0);
        let has_all = |node: NodeIx, controller: &Controller| {
            self.slots[node.0 as usize].is_up() && controller.log().is_some_and(|log| log.log_end_offset() >= committed)
        };
        let stands = |(_, knowing): (NodeIx, &Controller)| {
            let voters = knowing.voters();
            let stays = |(node, controller): &(NodeIx, &Controller)| {
                let setup = controller.setup();
                let is_voter = voters.iter().any(|v| v.id == setup.node_id && v.directory_id == setup.directory_id);
                is_voter && !left_out.contains(node)
            };
            let staying: Vec<_> = self.controllers().filter(stays).collect();
            let lacking = staying.iter().filter(|(node, controller)| !has_all(*node, controller)).count();
            staying.len() > voters.len() / 2 && lacking <= voters.len() / 2
        };
        self.controllers().all(stands)
    }

    fn partitions_stand_without(&self, left_out: &BTreeSet<NodeIx>) -> bool {
        let goes = |id: i32| self.broker_ix(id).is_some_and(|node| left_out.contains(&node));
        if !self.scenario.cluster.broker_ids().any(goes) {
            return true;
        }
        let committed = self.controllers().map(|(_, controller)| controller.committed_image());
        let committed = committed.max_by_key(|image| image.next_offset);
        // What is decided and not committed may come to be, or not.
        let mut images = committed.into_iter().chain(self.controller_image());
        images.all(|image| self.all_topics_are_there(image) && self.partitions_stand_in(image, &goes))
    }

    fn all_topics_are_there(&self, image: &MetadataImage) -> bool {
        let there = |name: &str, index: i32| image.topic(name).is_some_and(|t| t.partitions.len() as i32 > index);
        let has_groups = self.scenario.consumers.iter().any(|consumer| consumer.group().is_some());
        self.all_partitions().iter().all(|partition| there(partition.topic.as_str(), partition.partition))
            && (!has_groups || there(trial_kafka::group::partition_for::OFFSETS_TOPIC, 0))
    }

    fn partitions_stand_in(&self, image: &MetadataImage, goes: &impl Fn(i32) -> bool) -> bool {
        // Whoever was silent for two heartbeats may be fenced before the next one is heard.
        let is_heard = |id: i32| {
            let heard = self.active_controller().and_then(|(_, controller)| controller.last_contact(id));
            let patience = 2 * ms(self.scenario.cluster.config.broker_heartbeat_interval_ms);
            heard.is_none_or(|at| self.now - at <= patience)
        };
        // It has come to work in this incarnation of its process.
        let may_lead = |id: i32| {
            let registered = image.brokers.get(&id).filter(|broker| broker.is_active()).map(|b| b.broker_epoch);
            let runs = self.broker_ix(id).is_some_and(|node| self.power(node) == Power::Running);
            let works = registered.is_some() && self.broker(id).and_then(|broker| broker.broker_epoch()) == registered;
            runs && works && is_heard(id)
        };
        image.topics.values().all(|topic| {
            let config = image.effective_config_of_topic(NO_BROKER, &self.scenario.cluster.config, topic);
            let least = config.min_insync_replicas.max(1) as usize;
            let stands = |replicas: &[i32], in_sync: &[&[i32]]| {
                let staying = replicas.iter().filter(|id| !goes(**id)).count();
                let may_be_elected = |id: &&i32| replicas.contains(id) && !goes(**id) && may_lead(**id);
                let eligible = in_sync.iter().copied().flatten().any(|id| may_be_elected(&id));
                staying == replicas.len() || (staying >= least.min(replicas.len()) && eligible)
            };
            topic.partitions.iter().all(|p| {
                let after: Vec<i32> =
                    p.replicas.iter().copied().filter(|id| !p.removing_replicas.contains(id)).collect();
                // It does not end before those whom it brings are in sync.
                let in_sync_after = [&p.isr[..], &p.elr, &p.adding_replicas];
                stands(&p.replicas, &in_sync_after[..2]) && (!p.is_reassigning() || stands(&after, &in_sync_after))
            })
        })
    }

    fn groups_stand_without(&self, left_out: &BTreeSet<NodeIx>) -> bool {
        let readers = &self.life.readers;
        let group_of = |spec: usize| self.scenario.consumers[spec].group();
        let gone = readers.iter().filter(|reader| left_out.contains(&reader.node));
        gone.filter_map(|reader| group_of(reader.spec)).all(|group| {
            readers.iter().any(|reader| {
                let resets = self.scenario.consumers[reader.spec].config.auto_offset_reset != OffsetReset::None;
                let goes = reader.has_left || reader.doing == Doing::Ended || left_out.contains(&reader.node);
                group_of(reader.spec) == Some(group) && !goes && resets && reader.join_at <= self.now
            })
        })
    }

    /// They go: who is dead stays so, and each of the others is killed, or a member cut off from everyone.
    pub(super) fn leave_out(&mut self, left_out: BTreeSet<NodeIx>) {
        let mut stream = Stream::new(self.seed, "core", 1);
        for node in stream.shuffled(left_out.iter().copied().collect()) {
            if !self.slots[node.0 as usize].is_up() {
                continue;
            }
            let is_cut_off = stream.below(2) == 0 && self.kind_of(node) == Some(MEMBERS);
            let kind = match is_cut_off {
                true => FaultKind::Cut { peers: vec![Peer::Everyone], direction: Direction::Both, lasts: None },
                false => FaultKind::Crash { restart_after: None },
            };
            self.apply_fault(node, &kind, EventId::NONE);
            if is_cut_off {
                // It stands in no timeline, and is not counted as a fault.
                let cut = self.network.last_cut;
                self.network.unfelt.remove(&cut);
            }
        }
        let names = left_out.iter().map(|node| self.node_name(*node).to_owned()).collect();
        self.life.left_out = left_out;
        self.record(NodeIx::WORLD, Event::LeftOut { nodes: names }, &[]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trial_kafka::event::Fault;
    use trial_kafka::node::Nanos;

    use super::super::{Note, Sink};
    use super::*;
    use crate::observe::Observer;
    use crate::scenario::{Scenario, parse};
    use crate::trace::TraceEvent;

    const SCENARIO: &str = r#"
format = 1
run = "3s"
core = "random"
[cluster]
brokers = 3
controllers = 3
min.insync.replicas = 2
offsets.topic.num.partitions = 1
[[topic]]
name = "orders"
partitions = 3
assignments = [[1, 2, 3], [2, 3, 1], [3, 1, 2]]
[[producer]]
rate = 50
[[consumer]]
count = 2
group.id = "readers"
auto.offset.reset = "earliest"
session.timeout.ms = "6s"
"#;

    #[derive(Default)]
    struct Seen(Vec<TraceEvent>);

    impl Sink for Seen {
        fn after_step(&mut self, _world: &World, events: &[TraceEvent], _notes: &[Note]) {
            self.0.extend(events.iter().cloned());
        }
    }

    impl Seen {
        fn began(&self, phase: &str) -> Option<Nanos> {
            let is_it = |e: &&TraceEvent| matches!(&e.event, Event::Phase { name } if name == phase);
            self.0.iter().find(is_it).map(|event| event.time)
        }
        fn left_out(&self) -> Vec<String> {
            let nodes = |e: &TraceEvent| match &e.event {
                Event::LeftOut { nodes } => Some(nodes.clone()),
                _ => None,
            };
            self.0.iter().find_map(nodes).unwrap_or_default()
        }
    }

    fn scenario(changes: &[&str]) -> Arc<Scenario> {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        Arc::new(parse("core.toml", SCENARIO, &changes).unwrap_or_else(|error| panic!("{error}")))
    }

    fn told(scenario: &Arc<Scenario>, seed: u64) -> (Seen, crate::trial::Report) {
        let mut world = World::new(Arc::clone(scenario), seed);
        let (mut seen, mut observer) = (Seen::default(), Observer::new(scenario, Vec::new()));
        world.run(&mut crate::trial::Both(&mut seen, &mut observer));
        let report = crate::trial::report(&world, scenario, seed, observer);
        (seen, report)
    }

    #[test]
    fn what_is_left_can_do_without_the_rest_and_gets_on_before_the_rest_is_healed() {
        let scenario = scenario(&[]);
        let (mut of_each_kind, mut elections, mut silent_members) = ([0; 3], 0, 0);
        for seed in 1..=16 {
            let (seen, report) = told(&scenario, seed);
            assert_eq!(
                report.verdict.outcome,
                trial_checker::Outcome::Pass,
                "seed {seed}: {:?}",
                report.verdict.groups
            );
            let (left_out, core) = (seen.left_out(), seen.began("core"));
            assert_eq!(core.is_some(), !left_out.is_empty(), "seed {seed}");
            for (kind, (letter, count)) in ['c', 'b', 'k'].into_iter().zip(&mut of_each_kind).enumerate() {
                let gone = left_out.iter().filter(|name| name.starts_with(letter)).count();
                assert!(gone <= 1, "seed {seed}: {left_out:?}, of kind {kind} only one can be done without");
                *count += gone;
            }
            let (core, heal) = (core.unwrap_or(0), seen.began("heal").expect("all are healed in the end"));
            let within = |event: &&TraceEvent| core < event.time && event.time < heal;
            let moved = |event: &&TraceEvent| matches!(event.event, Event::LeaderChanged { leader, .. } if leader > 0);
            elections += seen.0.iter().filter(within).filter(moved).count();
            // Who is cut off from everyone is so on every way; another is cut off from that one alone.
            let is_cut_off = |name: &str| {
                let node = World::new(Arc::clone(&scenario), seed).node_named(name);
                let is_cut = |e: &&TraceEvent| matches!(e.event, Event::Fault(Fault::Cut { .. }));
                seen.0.iter().filter(is_cut).filter(|event| Some(event.node) == node).count() > 2
            };
            let (members, servers): (Vec<&String>, Vec<_>) = left_out.iter().partition(|name| name.starts_with('k'));
            assert!(!servers.into_iter().any(|name| is_cut_off(name)), "seed {seed}: {left_out:?}");
            silent_members += members.into_iter().filter(|name| is_cut_off(name)).count();
        }
        assert!(of_each_kind.iter().all(|count| *count > 2), "{of_each_kind:?} controllers, brokers, members");
        assert!(silent_members > 0, "members may be cut off, too");
        assert!(elections > 0, "nobody took over from a leader that stayed away");
    }

    #[test]
    fn nobody_is_left_out_who_cannot_be_done_without() {
        let of = |changes: &[&str]| -> Vec<String> {
            let scenario = scenario(changes);
            (1..=8).flat_map(|seed| told(&scenario, seed).0.left_out()).collect()
        };
        let all_in_sync = of(&["cluster.min.insync.replicas=3", "consumer.count=1"]);
        assert!(all_in_sync.iter().all(|name| name.starts_with('c')), "{all_in_sync:?}");
        assert!(!all_in_sync.is_empty());
        assert_eq!(of(&["cluster.controllers=2", "cluster.min.insync.replicas=3", "consumer.count=1"]), [""; 0]);
        assert_eq!(of(&["core=everybody"]), [""; 0]);
    }

    #[test]
    fn nobody_relies_on_a_broker_that_may_be_fenced_before_it_is_heard_of_again() {
        let scenario = scenario(&["cluster.min.insync.replicas=1", "run=20s"]);
        let mut world = World::new(Arc::clone(&scenario), 1);
        let named = |world: &World, name: &str| world.node_named(name).expect("the scenario has it");
        let until = |world: &mut World, time: Nanos| while world.now < time && world.step(&mut Seen::default()) {};
        until(&mut world, 5_000_000_000);
        let rest = BTreeSet::from([named(&world, "b1"), named(&world, "b2")]);
        assert!(world.is_sufficient_without(&rest), "broker 3 is in sync and sends heartbeats");
        let cut = FaultKind::Cut { peers: vec![Peer::Everyone], direction: Direction::Out, lasts: None };
        world.apply_fault(named(&world, "b3"), &cut, EventId::NONE);
        until(&mut world, 10_000_000_000);
        let image = world.controller_image().expect("a controller knows");
        assert!(image.brokers[&3].is_active(), "its session lasts");
        assert!(!world.is_sufficient_without(&rest), "nothing was heard of broker 3 for five seconds");
    }
}
