//! What has still not happened, though nothing hinders it any more?
//!
//! Looked at ten times a second, from the state of the machines. Two things are told, with the time since when they have
//! been so without a break; the checker has the bounds.
//!
//! - At any time: a quorum leader that runs, its disk answering, while the links between it and a majority of the voters
//!   are cut in one direction at least, or the voters are down.
//! - At any time, too: a high watermark that stands still though everybody for whom its leader may wait has more, and the
//!   leader knows that ([`could_move`]). Nothing hinders it then, whatever else is broken, if the leader has had an occasion to
//!   look since ([`HeldByOutsiders`]).
//! - At any time, too: an in-sync replica that is late, and that its leader does not ask to be rid of ([`late_members`]).
//! - At any time, too: a consumer that its coordinator refused since the last look, and had refused before that one.
//! - Once all faults have healed: no active controller, a broker not unfenced, a partition without leader, or led by
//!   another than its preferred replica where leaders are balanced, a replica not in sync, a high watermark that stands
//!   still below the log end. Each is excused while what it waits for cannot be had: a majority of the voters on their own
//!   disks; for the others an active controller; for a leader a running replica of ISR or ELR (the last known leader, if
//!   both are empty; any replica, if unclean election is on); for a replica in sync a leader, and a log that can follow it
//!   ([`LeftBehind`]); for a high watermark so many in-sync replicas that run as `min.insync.replicas` asks for, and an
//!   occasion for its leader to look. A replica that comes nearer to the log end, by what its leader has heard, is not stuck: it
//!   may be many fetches behind.
//! - Once all faults have healed, too, until the applications stop: a group that is not stable, a consumer that runs and is not
//!   in its group.
//! - Once the cluster has healed: a producer without acknowledgement, a consumer that does not get on (`World::unanswered`), but for
//!   what a group has left to nobody ([`Unowned`]).
//!
//! Where a part of the cluster has to get on before the rest is healed ([`World::takes_part`]), all of that is looked at among those
//! who stay, once their faults have healed, and then anew of everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trial_checker::{EventRef, MemberStep, Observation, Partition, Waiting};
use trial_kafka::broker::partition::Partition as Replica;
use trial_kafka::broker::partition::leader::{RemoteReplica, isr_eligible};
use trial_kafka::controller::{Controller, QuorumRole, Voter};
use trial_kafka::event::Event;
use trial_kafka::ids::TopicPartition;
use trial_kafka::metadata::{MetadataImage, PartitionRegistration};
use trial_kafka::node::Nanos;
use trial_kafka::zoo::Zoo;

use super::late_members::late_members;
use super::outsiders::HeldByOutsiders;
use super::unowned::Unowned;
use crate::trace::{NodeIx, TraceEvent};
use crate::world::{Power, Unanswered, World};

const LOOK_EVERY: Nanos = 100_000_000;

/// So often may what waits be thrown back, and begin anew; then only coming farther than ever counts.
const SETBACKS_AT_MOST: u32 = 3;

/// Since when something waits.
#[derive(Clone, Copy, Debug)]
struct Wait {
    /// How far it has come.
    progress: i64,
    /// Since when it has come no farther.
    since: Nanos,
    setbacks: u32,
}

impl Wait {
    fn looked_at(&mut self, progress: i64, now: Nanos) {
        let is_setback = progress < self.progress && self.setbacks < SETBACKS_AT_MOST;
        self.setbacks += u32::from(is_setback);
        if is_setback || progress > self.progress {
            (self.progress, self.since) = (progress, now);
        }
    }
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Liveness {
    next_look: Nanos,
    healed_at: Option<Nanos>,
    waiting: BTreeMap<Waiting, Wait>,
    /// What of the records that show who gets on was not there yet, and the look that found it first: a record may be
    /// acknowledged long after its consumer had come to the end of all others.
    unanswered: BTreeMap<Waiting, Nanos>,
    /// Consumers of groups that have begun: whether each is a member now.
    members: BTreeMap<u32, bool>,
    /// Consumers that were told since the last look that they are no members, and had not been members before.
    refused: BTreeSet<u32>,
    /// The applications poll no more.
    applications_stop: bool,
    /// Leaders that no majority reaches.
    cut_off: BTreeMap<NodeIx, CutOff>,
    left_behind: LeftBehind,
    unowned: Unowned,
    outsiders: HeldByOutsiders,
}

/// Replicas that Kafka leaves behind in a leader epoch, for no fault of theirs.
///
/// A leader whose log was cut to a start within a batch, by DeleteRecords or because its own leader's was, says that all earlier
/// epochs end there (`LeaderEpochFileCache.truncateFromStart`). A follower whose history differs below cuts its log to
/// that offset, asks for it, and is sent the whole batch, which begins before its log's end. Unless its log is empty it gives
/// the partition up until there is another leader epoch (KIP-461, KAFKA-6975:
/// `Partition.appendRecordsToFollowerOrFutureReplica`, `AbstractFetcherThread.processFetchRequest`).
#[derive(Clone, Debug, Default)]
struct LeftBehind {
    /// Where the logs of a partition have ever begun.
    starts: BTreeMap<TopicPartition, BTreeSet<i64>>,
    replicas: BTreeSet<(TopicPartition, NodeIx)>,
}

impl LeftBehind {
    fn on_event(&mut self, event: &TraceEvent) {
        match &event.event {
            Event::LogStartMoved { partition, to, .. } => {
                self.starts.entry(partition.clone()).or_default().insert(*to);
            }
            Event::FetchGivenUp { partition, first_offset, last_offset, log_end_offset } => {
                let is_start = self.starts.get(partition).is_some_and(|starts| starts.contains(log_end_offset));
                if is_start && first_offset < log_end_offset && log_end_offset <= last_offset {
                    self.replicas.insert((partition.clone(), event.node));
                }
            }
            Event::BecameFollower { partition, .. } | Event::BecameLeader { partition, .. } => {
                self.replicas.remove(&(partition.clone(), event.node));
            }
            _ => {}
        }
    }

    fn has(&self, world: &World, broker: i32, partition: &TopicPartition) -> bool {
        world.broker_ix(broker).is_some_and(|node| self.replicas.contains(&(partition.clone(), node)))
    }
}

#[derive(Clone, Debug)]
struct CutOff {
    epoch: i32,
    since: Nanos,
    /// Voters that were there between two looks and followed.
    heard: BTreeSet<NodeIx>,
    /// It may count one that it had heard from before: what it has of a majority it keeps until that is whole.
    counts_earlier: bool,
}

impl Liveness {
    /// All faults are over, of the core or of everybody.
    pub(super) fn healed(&mut self, at: Nanos) {
        self.healed_at = Some(at);
        self.waiting.clear();
        self.unanswered.clear();
    }

    /// The final read begins, and nobody polls for his group any more.
    pub(super) fn applications_stop(&mut self) {
        self.applications_stop = true;
    }

    /// A consumer has become a member, or is none any more.
    pub(super) fn on_member(&mut self, what: &Observation) {
        let Observation::Member { consumer, what } = what else { return };
        match what {
            MemberStep::Joined { .. } => self.members.insert(*consumer, true),
            MemberStep::Left => {
                let was_member = self.members.insert(*consumer, false);
                if was_member == Some(false) {
                    self.refused.insert(*consumer);
                }
                was_member
            }
            MemberStep::Stopped => self.members.insert(*consumer, false),
            _ => return,
        };
    }

    /// Groups that do not come to rest, or go on with members that are left out, and consumers that are not in theirs. Excused are
    /// consumers that do not run, and those in whose place another process has come ([`World::has_given_way`]).
    fn groups_that_wait(&self, world: &World, waiting: &mut BTreeMap<Waiting, i64>) {
        let mut groups: BTreeSet<&str> = BTreeSet::new();
        let specs = world.scenario().consumers.iter().flat_map(|spec| (0..spec.count).map(move |_| spec));
        for (consumer, spec) in (0..).zip(specs) {
            let Some(group) = spec.group() else { continue };
            let runs = world.node_named(&format!("k{}", consumer + 1)).is_some_and(|node| world.takes_part(node));
            let Some(is_member) = self.members.get(&consumer).filter(|_| runs) else { continue };
            if world.has_given_way(consumer) {
                continue;
            }
            groups.insert(group);
            if !is_member {
                waiting.insert(Waiting::Membership { consumer }, 0);
            }
        }
        let running = |id: &i32| world.broker_ix(*id).is_some_and(|node| world.takes_part(node));
        let coordinators = world.scenario().cluster.broker_ids().filter(running).filter_map(|id| world.broker(id));
        let known: BTreeSet<String> = coordinators
            .flat_map(trial_kafka::broker::Broker::coordinated)
            .flat_map(|known| known.groups)
            .filter(|group| group.state == "Stable" && !world.has_member_left_out(group))
            .map(|group| group.id)
            .collect();
        for group in groups.into_iter().filter(|group| !known.contains(*group)) {
            waiting.insert(Waiting::GroupStable { group: Arc::from(group) }, 0);
        }
    }

    /// Looks, if it is time. `image` is the committed metadata; `unclean` says of a topic whether any replica may lead.
    pub(super) fn look(
        &mut self,
        world: &World,
        image: &MetadataImage,
        unclean: impl Fn(&str) -> bool,
        told: &mut Vec<(EventRef, Observation)>,
    ) {
        let now = world.now();
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK_EVERY;
        let at = EventRef { id: world.event_count(), time: now };
        self.look_for_leaders_cut_off(world, at, told);
        let healed_at = self.healed_at.unwrap_or(0);
        let mut waiting = match self.healed_at {
            Some(_) => {
                let mut waiting = what_waits(world, image, unclean, &self.left_behind, &mut self.outsiders);
                if !self.applications_stop {
                    self.groups_that_wait(world, &mut waiting);
                }
                waiting
            }
            None => high_watermarks_that_could_move(world, image, &mut self.outsiders),
        };
        waiting.extend(late_members(world, image));
        let refused = std::mem::take(&mut self.refused);
        waiting.extend(refused.into_iter().map(|consumer| (Waiting::LetIn { consumer }, 0)));
        self.waiting.retain(|what, _| waiting.contains_key(what));
        for (what, progress) in waiting {
            let begins = Wait { progress, since: now.max(healed_at), setbacks: 0 };
            let wait = self.waiting.entry(what.clone()).or_insert(begins);
            wait.looked_at(progress, now);
            told.push((at, Observation::StillWaiting { what, since: wait.since }));
        }
        let unanswered = self.unanswered(world);
        self.unanswered.retain(|what, _| unanswered.contains_key(what));
        for (what, since) in unanswered {
            let first = *self.unanswered.entry(what.clone()).or_insert(now);
            told.push((at, Observation::StillWaiting { what, since: since.max(first) }));
        }
    }

    /// What producers and consumers have still not done, and since when no more of it has been. What lies above a high watermark
    /// that waits for an outsider nobody can read.
    fn unanswered(&self, world: &World) -> BTreeMap<Waiting, Nanos> {
        let is_held = |of: &TopicPartition| self.outsiders.hold(of, world.leader_replica(of));
        let name = |of: &TopicPartition| Partition::new(of.topic.as_str(), of.partition);
        let one = |what| match what {
            Unanswered::Acknowledgement { producer } => Some(Waiting::Acknowledgement { producer }),
            Unanswered::Reading { partition, .. } | Unanswered::GroupReading { partition, .. }
                if is_held(&partition) =>
            {
                None
            }
            Unanswered::Reading { consumer, partition } => {
                Some(Waiting::Reading { consumer, partition: name(&partition) })
            }
            Unanswered::GroupReading { group, partition } if self.unowned.has(world, &group, &partition) => None,
            Unanswered::GroupReading { group, partition } => {
                Some(Waiting::GroupReading { group: Arc::from(group.as_str()), partition: name(&partition) })
            }
        };
        // Of several records in the same partition the one that was waited for longest.
        let mut unanswered = BTreeMap::new();
        for (what, since) in world.unanswered() {
            if let Some(what) = one(what) {
                let longest = unanswered.entry(what).or_insert(since);
                *longest = since.min(*longest);
            }
        }
        unanswered
    }

    /// A voter may come, fetch and go between two looks, or have sent a fetch that a cut kept back and that arrives while
    /// the voter stands still; both count for the leader (`LeaderState.updateCheckQuorum…`).
    pub(super) fn on_event(&mut self, event: &TraceEvent) {
        self.left_behind.on_event(event);
        self.unowned.on_event(&event.event);
        match &event.event {
            Event::BecameQuorumFollower { epoch, .. } | Event::MetadataAppended { epoch, as_leader: false, .. } => {
                for cut_off in self.cut_off.values_mut().filter(|cut_off| cut_off.epoch == *epoch) {
                    cut_off.heard.insert(event.node);
                }
            }
            // Refused at once, it may be asked for again.
            Event::IsrChangeAsked { partition: asked, .. } => {
                let is_asked = |of: &Partition| *of.topic == *asked.topic.as_str() && of.index == asked.partition;
                self.waiting
                    .retain(|what, _| !matches!(what, Waiting::Leaves { partition, .. } if is_asked(partition)));
            }
            // Only fetches of a majority move it.
            Event::MetadataHighWatermark { .. } => {
                if let Some(cut_off) = self.cut_off.get_mut(&event.node) {
                    cut_off.since = event.time;
                    cut_off.heard.clear();
                }
            }
            _ => {}
        }
    }

    fn look_for_leaders_cut_off(&mut self, world: &World, at: EventRef, told: &mut Vec<(EventRef, Observation)>) {
        let now = at.time;
        for (node, controller) in world.controllers() {
            let epoch = controller.epoch();
            let believes = world.power(node) == Power::Running && controller.role() == QuorumRole::Leader;
            let disk_answers = world.disk(node).stalled_until().is_none_or(|until| until <= now);
            let voters = controller.voters();
            let is_alone = voters.len() == 1 && is_one_of(&voters, controller);
            if !believes || !disk_answers || is_alone || reached_by(world, node, controller, &voters) > voters.len() / 2
            {
                self.cut_off.remove(&node);
                continue;
            }
            let begins = |counts_earlier| CutOff { epoch, since: now, heard: BTreeSet::new(), counts_earlier };
            let cut_off = self.cut_off.entry(node).or_insert(begins(true));
            let heard = cut_off.heard.len();
            let is_whole = heard > voters.len() / 2 - usize::from(is_one_of(&voters, controller));
            if cut_off.epoch != epoch {
                *cut_off = begins(true);
            } else if is_whole || (cut_off.counts_earlier && heard > 0) {
                *cut_off = begins(false);
            }
            let since = cut_off.since;
            let controller = controller.setup().node_id;
            told.push((at, Observation::QuorumLeaderCutOff { controller, epoch, since }));
        }
    }
}

/// How many of these voters can talk with this one, or ask it though they hear nothing: itself included if it is one. Who still
/// follows it goes on to ask.
fn reached_by(world: &World, node: NodeIx, leader: &Controller, voters: &[Voter]) -> usize {
    let role = QuorumRole::Follower { leader: leader.setup().node_id };
    let follows = |other: NodeIx| {
        let mut others = world.controllers().filter(|(ix, _)| *ix == other);
        others.any(|(_, controller)| (controller.role(), controller.epoch()) == (role, leader.epoch()))
    };
    let is_heard = |other: NodeIx| !world.is_cut(other, node) && (!world.is_cut(node, other) || follows(other));
    running(world, voters).filter(|other| *other == node || is_heard(*other)).count()
}

/// Is it a voter of this set, on the disk that it has?
fn is_one_of(voters: &[Voter], controller: &Controller) -> bool {
    let setup = controller.setup();
    voters.iter().any(|v| v.id == setup.node_id && v.directory_id == setup.directory_id)
}

/// Voters of this set that run, on the disks with which they became voters.
fn running(world: &World, voters: &[Voter]) -> impl Iterator<Item = NodeIx> {
    let runs = |(node, c): &(NodeIx, &Controller)| world.power(*node) == Power::Running && is_one_of(voters, c);
    world.controllers().filter(runs).map(|(node, _)| node)
}

/// Does a majority of the voters take part, whomever of those that do one asks who the voters are?
fn a_majority_runs(world: &World) -> bool {
    let mut sets = world.controllers().filter(|(node, _)| world.takes_part(*node)).map(|(_, c)| c.voters());
    sets.all(|voters| running(world, &voters).filter(|node| world.takes_part(*node)).count() > voters.len() / 2)
}

/// What waits, and how far it is, where that is a matter of degree.
fn what_waits(
    world: &World,
    image: &MetadataImage,
    unclean: impl Fn(&str) -> bool,
    left_behind: &LeftBehind,
    outsiders: &mut HeldByOutsiders,
) -> BTreeMap<Waiting, i64> {
    let mut waiting = BTreeMap::new();
    if world.active_controller().is_none_or(|(node, _)| !world.takes_part(node)) {
        if a_majority_runs(world) {
            waiting.insert(Waiting::ActiveController, 0);
        }
        return waiting;
    }
    let runs = |broker: i32| world.broker_ix(broker).is_some_and(|node| world.takes_part(node));
    for broker in world.scenario().cluster.broker_ids().filter(|broker| runs(*broker)) {
        let registered = image.brokers.get(&broker).filter(|b| b.is_active()).map(|b| b.broker_epoch);
        if registered.is_none() || world.broker(broker).and_then(|b| b.broker_epoch()) != registered {
            waiting.insert(Waiting::BrokerUnfenced { broker }, 0);
        }
    }
    for id in world.not_led_by_their_preferred_replicas(image) {
        let partition = Partition::new(id.topic.as_str(), id.partition);
        waiting.insert(Waiting::PreferredLeader { partition }, 0);
    }
    for topic in image.topics.values() {
        for (index, registration) in (0..).zip(&topic.partitions) {
            let id = TopicPartition::new(&topic.name, index);
            let partition = || Partition::new(topic.name.as_str(), index);
            let Some(leader) = leader(world, &id, registration) else {
                if may_lead(registration, unclean(topic.name.as_str()), runs) {
                    waiting.insert(Waiting::PartitionLeader { partition: partition() }, 0);
                }
                continue;
            };
            let may_follow = |broker: i32| runs(broker) && !left_behind.has(world, broker, &id);
            let missing = registration.replicas.iter().filter(|r| !registration.isr.contains(r) && may_follow(**r));
            let remotes = || leader.leader_state().into_iter().flat_map(|state| &state.remotes);
            let come_to = |broker: i32| remotes().find(|r| r.broker == broker).map_or(-1, |r| r.log_end_offset);
            let nearer = |broker: i32| come_to(broker) - leader.log_end_offset();
            let of = |broker: &i32| (Waiting::InSync { partition: partition(), broker: *broker }, nearer(*broker));
            waiting.extend(missing.map(of));
            let in_sync = registration.isr.iter().filter(|r| runs(**r)).count();
            let has_occasion = !is_held_by_an_outsider(world, &id, leader, registration, outsiders);
            let stands = leader.high_watermark() < leader.log_end_offset();
            if stands && in_sync >= leader.effective_min_isr() && has_occasion {
                waiting.insert(Waiting::Committed { partition: partition() }, leader.high_watermark());
            }
        }
    }
    waiting
}

/// The high watermarks that stand though nothing hinders them, each with where it stands.
fn high_watermarks_that_could_move(
    world: &World,
    image: &MetadataImage,
    outsiders: &mut HeldByOutsiders,
) -> BTreeMap<Waiting, i64> {
    let mut standing = BTreeMap::new();
    for topic in image.topics.values() {
        for (index, registration) in (0..).zip(&topic.partitions) {
            let id = TopicPartition::new(&topic.name, index);
            if let Some(leader) = leader(world, &id, registration)
                && !is_held_by_an_outsider(world, &id, leader, registration, outsiders)
                && let Some(broker) = world.broker(registration.leader)
                && could_move(leader, broker.image(), image, registration)
            {
                let partition = Partition::new(topic.name.as_str(), index);
                standing.insert(Waiting::Committed { partition }, leader.high_watermark());
            }
        }
    }
    standing
}

/// By what the leader knows, and the clock that it reads.
fn is_held_by_an_outsider(
    world: &World,
    id: &TopicPartition,
    leader: &Replica,
    registration: &PartitionRegistration,
    outsiders: &mut HeldByOutsiders,
) -> bool {
    let node = world.broker_ix(registration.leader);
    let Some((node, broker)) = node.and_then(|node| Some((node, world.broker_at(node)?))) else { return false };
    let lag_time_max_ms = world.scenario().cluster.config.replica_lag_time_max_ms;
    outsiders.excuse(id, leader, broker.image(), world.clocks(node).wall, lag_time_max_ms)
}

/// Has everybody more than the high watermark, for whom this leader may wait, by what it has heard itself? It may wait for the
/// members, and for a replica outside that was caught up lately and may join: here that is any that may join as the
/// leader knows it, or as it is. While leader and controller are not of one mind about the members, or the members are
/// too few, it may stand.
fn could_move(
    leader: &Replica,
    known: &MetadataImage,
    image: &MetadataImage,
    registration: &PartitionRegistration,
) -> bool {
    let Some(state) = leader.leader_state() else { return false };
    let members: BTreeSet<_> = state.isr.committed().iter().collect();
    let of_one_mind = !state.isr.is_pending() && members == registration.isr.iter().collect();
    if !of_one_mind || members.len() < leader.effective_min_isr() {
        return false;
    }
    let may_join = |r: &RemoteReplica| [known, image].iter().any(|image| isr_eligible(image, r, Zoo::default()));
    let waits_for = state.remotes.iter().filter(|r| members.contains(&r.broker) || may_join(r));
    let has_all = waits_for.map(|r| r.log_end_offset).min().unwrap_or(i64::MAX);
    leader.own_end_offset().min(has_all) > leader.high_watermark()
}

/// The elected leader's replica, if it runs and knows.
fn leader<'a>(world: &'a World, id: &TopicPartition, registration: &PartitionRegistration) -> Option<&'a Replica> {
    let running = world.broker_ix(registration.leader).filter(|node| world.takes_part(*node))?;
    let replica = world.broker_at(running)?.partition(id)?;
    (replica.is_leader() && replica.leader_epoch == registration.leader_epoch).then_some(replica)
}

/// Is there anybody who may lead it, now or when the leader is found to be gone?
fn may_lead(registration: &PartitionRegistration, unclean: bool, runs: impl Fn(i32) -> bool) -> bool {
    let PartitionRegistration { replicas, isr, elr, last_known_elr, .. } = registration;
    let candidates = match () {
        () if unclean => replicas.clone(),
        () if isr.is_empty() && elr.is_empty() => last_known_elr.iter().take(1).copied().collect(),
        () => isr.iter().chain(elr).copied().collect(),
    };
    candidates.into_iter().any(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(story: &[i64]) -> Nanos {
        let mut wait = Wait { progress: 0, since: 0, setbacks: 0 };
        (1..).zip(story).for_each(|(now, progress)| wait.looked_at(*progress, now));
        wait.since
    }

    #[test]
    fn who_comes_farther_does_not_wait() {
        assert_eq!(since(&[0, 0, 0]), 0);
        assert_eq!(since(&[1, 2, 2]), 2);
        assert_eq!(since(&[5, 3, 4]), 3, "it was thrown back, and goes on from there");
    }

    #[test]
    fn who_comes_as_far_again_and_again_gets_nowhere() {
        assert_eq!(since(&[1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]), 7);
        assert_eq!(since(&[1, 0, 1, 0, 1, 0, 1, 0, 1, 2]), 10, "this is farther than ever");
    }
}
