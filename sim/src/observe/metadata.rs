//! What did the metadata quorum truly do, and which of the controllers' decisions count?
//!
//! ```text
//!   controllers' logs (their disks) ──► observations of the quorum
//!   a leader's high watermark ──► its log below it, record by record ──► the committed image, elections, fencings …
//!   decisions in the trace, by (epoch, offset) ──► which event each of them was
//! ```
//!
//! A controller decides before it knows whether its decision will be committed. So a decision counts here when its record
//! falls below the high watermark of a leader; then it is read from the leader's log, in the order of the log, and told
//! with the number and time of the event in which it was made. What is never committed is never told.
//!
//! The committed image is the fold of those records. A broker's metadata is compared with the fold at its offset.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trial_checker::{EventRef, Observation, Partition, TopicSettings};
use trial_kafka::config::BrokerConfig;
use trial_kafka::controller::{Controller, QuorumRole};
use trial_kafka::event::{Event, Fault};
use trial_kafka::ids::{NO_BROKER, Topic, TopicPartition};
use trial_kafka::metadata::snapshot::{SnapshotFile, SnapshotId};
use trial_kafka::metadata::{METADATA_TOPIC, MetadataImage, MetadataRecord, PartitionRegistration};
use trial_storage::{Batch, Batches, Disk, records};
use uuid::Uuid;

use super::durable::Durable;
use super::logs::{KnownBatch, KnownLogs};
use super::partition_changes;
use crate::trace::{NodeIx, TraceEvent};
use crate::world::{Power, World};

/// More states of the image than brokers lag behind are not kept.
const IMAGES_KEPT: usize = 512;

/// The decisions of one append.
#[derive(Clone, Debug)]
struct Decided {
    node: NodeIx,
    epoch: i32,
    first: i64,
    last: i64,
    events: Vec<(EventRef, Event)>,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct MetadataTruth {
    known: KnownLogs,
    /// What was committed, batch by batch.
    committed: Vec<KnownBatch>,
    /// Everything below is in `image`.
    end: i64,
    image: MetadataImage,
    /// What brokers were given at the start, under what is set at run time.
    given: BrokerConfig,
    /// What topics promise by the committed image.
    promised: BTreeMap<String, TopicSettings>,
    /// The image from each offset on at which it changed, for brokers that are behind.
    images: VecDeque<(i64, MetadataImage)>,
    decided: Vec<Decided>,
    /// Who would vote for each controller since it last asked.
    consents: BTreeMap<i32, BTreeSet<NodeIx>>,
    directories: BTreeMap<NodeIx, Uuid>,
    /// Who leads by its own word, in which epoch: a leader that was removed resigns in the step that commits it.
    leads: BTreeMap<NodeIx, i32>,
    /// Whom each controller has said to take for voters.
    voters: BTreeMap<NodeIx, Vec<(i32, Uuid)>>,
    durable: BTreeMap<NodeIx, Durable>,
    /// Where the latest snapshot of each controller ends.
    snapshots: BTreeMap<i32, i64>,
    /// A snapshot that a process has just loaded, its end and epoch: a controller tells next that its log begins there.
    loading: Option<(NodeIx, EventRef, i64, i32)>,
    /// What controllers had on disks that were taken away.
    former: BTreeMap<(i32, Uuid), Vec<KnownBatch>>,
    /// Epoch and last change of the image when each active controller was last looked at.
    looked_at_active: BTreeMap<i32, (i32, i64)>,
    /// What each broker had replayed when it was last looked at.
    looked_at: BTreeMap<i32, i64>,
    /// Another history was committed than was told: what follows does not follow from that.
    is_rewritten: bool,
}

type Told = Vec<(EventRef, Observation)>;

impl MetadataTruth {
    /// Nothing is committed yet; brokers were given this configuration.
    pub(super) fn new(given: BrokerConfig) -> Self {
        MetadataTruth { given, ..MetadataTruth::default() }
    }

    /// What a topic promises, if there is one of that name.
    pub(super) fn promised(&self, topic: &str) -> Option<&TopicSettings> {
        self.promised.get(topic)
    }

    /// The committed metadata.
    pub(super) fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// An event of a controller.
    pub(super) fn on_event(&mut self, world: &World, event: &TraceEvent, told: &mut Told) {
        let node = event.node;
        let Some(controller) = world.controller_at(node) else { return };
        // What is told next tells who loaded it.
        let loading = self.loading.take_if(|(loads, ..)| *loads == node);
        let (id, at) = (controller.setup().node_id, EventRef { id: event.id.0, time: event.time });
        match &event.event {
            Event::Started { .. } => self.on_started(world, at, node, controller, told),
            Event::Fault(Fault::SyncedBytesLost { .. }) => {
                told.push((at, Observation::MetadataDiskLied { controller: id }));
            }
            Event::Fault(Fault::ReplaceDisk { .. }) => {
                // What it had fetched it may have told, and that may arrive yet.
                let had = self.known.batches(id, &metadata_partition()).to_vec();
                if let Some(directory_id) = self.directories.get(&node) {
                    self.former.entry((id, *directory_id)).or_insert(had);
                }
                told.push((at, Observation::ControllerStopped { controller: id }));
            }
            Event::Fault(Fault::Crash | Fault::PowerLoss { .. } | Fault::DiskFailed) | Event::Halted { .. } => {
                told.push((at, Observation::ControllerStopped { controller: id }));
            }
            Event::AssertionFailed { .. } if world.power(node) == Power::Dead => {
                told.push((at, Observation::ControllerStopped { controller: id }));
            }
            Event::BecameProspective { .. } => {
                self.consents.insert(id, BTreeSet::from([node]));
            }
            Event::VoteGranted { candidate, pre_vote: true, .. } => {
                self.consents.entry(*candidate).or_default().insert(node);
            }
            Event::VoteGranted { epoch, candidate, pre_vote: false } => {
                let (epoch, candidate) = (*epoch, *candidate);
                told.push((at, Observation::QuorumEpoch { controller: id, epoch }));
                told.push((at, Observation::QuorumVoted { controller: id, epoch, candidate }));
            }
            Event::BecameCandidate { epoch } => {
                let consents = self.consents.get(&id).map_or(0, |by| by.len() as u32);
                told.push((at, Observation::QuorumEpoch { controller: id, epoch: *epoch }));
                told.push((at, Observation::QuorumVoted { controller: id, epoch: *epoch, candidate: id }));
                told.push((at, Observation::QuorumCandidate { controller: id, epoch: *epoch, consents }));
            }
            Event::BecameQuorumLeader { epoch, .. } => {
                told.push((at, Observation::QuorumEpoch { controller: id, epoch: *epoch }));
                told.push((at, Observation::QuorumLeader { controller: id, epoch: *epoch }));
                self.leads.insert(node, *epoch);
            }
            Event::BecameQuorumFollower { .. }
            | Event::BecameUnattached { .. }
            | Event::ResignedAsQuorumLeader { .. } => {
                told.push((at, Observation::QuorumLeaderGone { controller: id }));
                self.leads.remove(&node);
            }
            Event::VotersChanged { voters, .. } => self.take_voters(at, node, id, voters.clone(), told),
            Event::MetadataAppended { first_offset, last_offset, epoch, as_leader } => {
                if *as_leader {
                    let (epoch, first, last) = (*epoch, *first_offset, *last_offset);
                    self.decided.push(Decided { node, epoch, first, last, events: Vec::new() });
                }
                self.take_appended(world, at, node, controller, told);
            }
            Event::MetadataTruncated { to, .. } => {
                let log = controller.log();
                let truth = self.known.compare(world, node, id, &metadata_partition(), log).map(|d| d.same_below);
                self.durable.remove(&node);
                self.known.cut(id, &metadata_partition(), truth.unwrap_or(*to));
                told.push((at, Observation::MetadataTruncated { controller: id, to: truth.unwrap_or(*to) }));
                self.take_appended(world, at, node, controller, told);
            }
            Event::SnapshotWritten { end_offset, epoch } => {
                let (end_offset, epoch) = (*end_offset, *epoch);
                told.push((at, Observation::MetadataSnapshot { controller: id, end_offset, epoch, loaded: false }));
                self.snapshots.insert(id, end_offset);
            }
            // In a combined process the broker loads snapshots too, for itself: then the controller's log stays as it was.
            Event::SnapshotLoaded { end_offset, epoch } => self.loading = Some((node, at, *end_offset, *epoch)),
            Event::MetadataLogStart { to } => {
                if let Some((_, at, end_offset, epoch)) = loading.filter(|(_, _, end, _)| end == to) {
                    told.push((at, Observation::MetadataSnapshot { controller: id, end_offset, epoch, loaded: true }));
                    self.snapshots.insert(id, end_offset);
                    self.durable.remove(&node);
                    // Dropped whole, to go on there.
                    self.known.cut(id, &metadata_partition(), 0);
                    self.known.cut(id, &metadata_partition(), end_offset);
                }
                let to = controller.log().map_or(0, |log| log.log_start_offset());
                told.push((at, Observation::MetadataLogStart { controller: id, to }));
            }
            Event::MetadataHighWatermark { .. } => {
                self.take_appended(world, at, node, controller, told);
                self.on_high_watermark(world, at, node, controller, told);
            }
            decision => {
                let last = self.decided.iter_mut().rev().find(|d| d.node == node);
                if let Some(decided) = last.filter(|_| is_decision(decision)) {
                    decided.events.push((at, decision.clone()));
                }
            }
        }
    }

    fn on_started(&mut self, world: &World, at: EventRef, node: NodeIx, controller: &Controller, told: &mut Told) {
        let (setup, id) = (controller.setup(), controller.setup().node_id);
        let before = self.directories.insert(node, setup.directory_id);
        let new_disk = before.is_some_and(|before| before != setup.directory_id);
        let voters: Vec<(i32, Uuid)> = controller.voters().iter().map(|v| (v.id, v.directory_id)).collect();
        let voter = voters.contains(&(id, setup.directory_id));
        told.push((at, Observation::ControllerStarted { controller: id, voter, new_disk }));
        self.take_voters(at, node, id, voters, told);
        self.leads.remove(&node);
        if controller.role() == QuorumRole::Leader {
            self.leads.insert(node, controller.epoch());
        }
        self.durable.remove(&node);
        if new_disk {
            self.snapshots.remove(&id);
            self.known.cut(id, &metadata_partition(), 0);
        }
        if let Some(difference) = self.known.compare(world, node, id, &metadata_partition(), controller.log()) {
            let log_end = difference.same_below;
            self.known.cut(id, &metadata_partition(), log_end);
            told.push((at, Observation::MetadataLost { controller: id, log_end }));
        }
        // One may have got its name just before its writer died, which told nobody of it.
        let names = controller.log().and_then(|log| world.disk(node).view().list(log.dir()).ok()).unwrap_or_default();
        for name in names {
            if let Some(SnapshotFile::Whole(SnapshotId { end_offset, epoch })) = SnapshotId::parse(&name)
                && self.snapshots.get(&id).is_none_or(|known| *known < end_offset)
            {
                self.snapshots.insert(id, end_offset);
                told.push((at, Observation::MetadataSnapshot { controller: id, end_offset, epoch, loaded: false }));
            }
        }
        self.take_appended(world, at, node, controller, told);
    }

    fn take_voters(&mut self, at: EventRef, node: NodeIx, id: i32, voters: Vec<(i32, Uuid)>, told: &mut Told) {
        let ids = voters.iter().map(|(id, _)| *id).collect();
        told.push((at, Observation::QuorumVoters { controller: id, voters: ids }));
        self.voters.insert(node, voters);
    }

    fn take_appended(&mut self, world: &World, at: EventRef, node: NodeIx, controller: &Controller, told: &mut Told) {
        let (id, Some(log)) = (controller.setup().node_id, controller.log()) else { return };
        let entries = self.known.take_appended(world, node, id, &metadata_partition(), log, false);
        if !entries.is_empty() {
            told.push((at, Observation::MetadataAppended { controller: id, entries }));
        }
    }

    fn on_high_watermark(
        &mut self,
        world: &World,
        at: EventRef,
        node: NodeIx,
        controller: &Controller,
        told: &mut Told,
    ) {
        let (id, to) = (controller.setup().node_id, controller.high_watermark());
        let leads = self.leads.get(&node).copied();
        let durable = if leads.is_some() { self.durable_ends(world, node, id, to) } else { Vec::new() };
        told.push((at, Observation::MetadataHighWatermark { controller: id, to, leads, durable }));
        if leads.is_some() {
            self.commit(world, at, node, controller, to, told);
            self.look_at_active(at, controller, told);
        }
    }

    /// Is what an active controller takes for committed what the committed log gives? It decides upon that.
    fn look_at_active(&mut self, at: EventRef, controller: &Controller, told: &mut Told) {
        let (id, next_offset) = (controller.setup().node_id, controller.high_watermark());
        if !controller.is_active() || next_offset != self.end {
            return;
        }
        let now = (controller.epoch(), self.images.back().map_or(0, |(from, _)| *from));
        if self.looked_at_active.insert(id, now) != Some(now) {
            let differs = difference(&self.image, controller.committed_image());
            told.push((at, Observation::ActiveControllerMetadata { controller: id, next_offset, differs }));
        }
    }

    /// How far the disk of each voter holds this leader's log, or did when it was taken away, though the voter may not have
    /// started on another yet. A disk is believed what it says: the quorum cannot know better.
    fn durable_ends(&mut self, world: &World, leader_node: NodeIx, leader: i32, to: i64) -> Vec<(i32, i64)> {
        let MetadataTruth { known, durable, former, voters, .. } = self;
        let log = known.batches(leader, &metadata_partition());
        let voters = voters.get(&leader_node).map_or(&[][..], Vec::as_slice);
        let end_of = |(node, other): (NodeIx, &Controller)| {
            let setup = other.setup();
            let voter = *voters.iter().find(|(id, _)| *id == setup.node_id)?;
            if let Some(former) = former.get(&voter) {
                // The last batch that both have: all before it are the same (log matching).
                let last = former.iter().rev().find(|batch| holds(log, batch));
                return Some((voter.0, last.map_or(0, |batch| batch.last + 1)));
            }
            let is_its_disk = voter == (setup.node_id, setup.directory_id);
            is_its_disk.then(|| (voter.0, durable.entry(node).or_default().end(world.disk(node), log, to)))
        };
        world.controllers().filter_map(end_of).collect()
    }

    /// Everything below `to` in this leader's log is committed.
    fn commit(&mut self, world: &World, at: EventRef, node: NodeIx, controller: &Controller, to: i64, told: &mut Told) {
        let (id, Some(log)) = (controller.setup().node_id, controller.log()) else { return };
        let its_own = self.known.batches(id, &metadata_partition());
        // One batch that is the same means that all before it are (log matching); the checker looks at each.
        let last = self.committed.last().copied();
        // A deposed leader may learn late that what it wrote is committed: all of that is known.
        if last.is_some_and(|last| last.epoch > controller.epoch()) {
            return;
        }
        if last.is_some_and(|last| last.first >= log.log_start_offset() && !holds(its_own, &last)) {
            self.rebase(world, node, controller);
        }
        if log.log_start_offset() > self.end {
            self.image = controller.committed_image().clone();
            self.end = self.image.next_offset.max(log.log_start_offset());
            self.images.push_back((self.end, self.image.clone()));
            self.tell_promises(at, told);
        }
        for batch in read_batches(world, node, controller, self.end, to) {
            self.commit_batch(at, &batch, told);
        }
        let end = self.end;
        self.decided.retain(|decided| decided.last >= end);
    }

    /// A leader committed another history: from here on it is the truth. The checker has told of the split.
    fn rebase(&mut self, world: &World, node: NodeIx, controller: &Controller) {
        let its_own = self.known.batches(controller.setup().node_id, &metadata_partition());
        let same = self.committed.iter().take_while(|batch| holds(its_own, batch)).count();
        self.committed.truncate(same);
        self.end = self.committed.last().map_or(0, |batch| batch.last + 1);
        self.images.clear();
        self.is_rewritten = true;
        self.image = MetadataImage::default();
        for batch in read_batches(world, node, controller, 0, self.end) {
            for (offset, record) in metadata_records(&batch) {
                self.image.apply(offset, &record);
            }
        }
    }

    fn commit_batch(&mut self, at: EventRef, batch: &Batch, told: &mut Told) {
        let header = &batch.header;
        self.committed.push(KnownBatch {
            first: header.base_offset,
            last: header.last_offset(),
            epoch: header.partition_leader_epoch,
            hash: u64::from(header.crc),
        });
        let place = self.decided.iter().position(|d| {
            d.epoch == header.partition_leader_epoch && d.first <= header.base_offset && header.base_offset <= d.last
        });
        let decided = place.map_or(Vec::new(), |place| self.decided[place].events.clone());
        let mut changed = false;
        let records = metadata_records(batch);
        // What a change of a partition was decided upon: all of a batch is decided at once.
        let changes = records.iter().any(|(_, record)| matches!(record, MetadataRecord::PartitionChange(_)));
        let then = (changes && !self.is_rewritten).then(|| self.image.clone());
        for (offset, record) in &records {
            changed |= *record != MetadataRecord::NoOp;
            self.tell_record(at, *offset, record, &decided, told);
            if let (MetadataRecord::PartitionChange(change), Some(then)) = (record, &then) {
                let images = (then, &self.image);
                told.extend(partition_changes::tell(images, &self.given, change, &records, &decided, at));
            }
        }
        if !self.is_rewritten {
            told.extend(partition_changes::brokers_settled(&records, told.last().map_or(at, |(at, _)| *at)));
        }
        self.end = header.next_offset();
        self.image.next_offset = self.end;
        if changed {
            self.images.push_back((self.end, self.image.clone()));
            if self.images.len() > IMAGES_KEPT {
                self.images.pop_front();
            }
        }
    }

    /// Applies a committed record and tells what it means.
    fn tell_record(
        &mut self,
        at: EventRef,
        offset: i64,
        record: &MetadataRecord,
        decided: &[(EventRef, Event)],
        told: &mut Told,
    ) {
        let when = |is: &dyn Fn(&Event) -> bool| decided.iter().find(|(_, e)| is(e)).map_or(at, |(at, _)| *at);
        match record {
            MetadataRecord::RegisterBroker { broker, incarnation, broker_epoch, fenced, .. } => {
                let at = when(&|e| matches!(e, Event::BrokerRegistered { broker: b, .. } if b == broker));
                let (high, low) = incarnation.as_u64_pair();
                let registered = Observation::BrokerRegistered {
                    broker: *broker,
                    broker_epoch: *broker_epoch,
                    incarnation: high ^ low,
                    fenced: *fenced,
                };
                told.push((at, registered));
            }
            MetadataRecord::BrokerRegistrationChange(change) => {
                let broker = change.broker;
                let of_it = |e: &Event| match e {
                    Event::BrokerFenced { broker: b, .. }
                    | Event::BrokerUnfenced { broker: b, .. }
                    | Event::BrokerShuttingDown { broker: b, .. } => *b == broker,
                    _ => false,
                };
                let at = when(&of_it);
                if let Some(fenced) = change.fenced {
                    told.push((at, Observation::BrokerFenced { broker, fenced }));
                }
                if change.in_controlled_shutdown == Some(true) {
                    told.push((at, Observation::BrokerShuttingDown { broker }));
                }
            }
            MetadataRecord::RemoveTopic { topic_id } => {
                if let Some(topic) = self.image.topics.get(topic_id) {
                    let at = when(&|e| matches!(e, Event::TopicDeleted { topic_id: id, .. } if id == topic_id));
                    self.promised.remove(topic.name.as_str());
                    told.push((at, Observation::TopicDeleted { topic: topic.name.as_str().into() }));
                }
            }
            MetadataRecord::Partition { topic_id, partition, .. } => {
                self.image.apply(offset, record);
                self.tell_promises(at, told);
                self.tell_partition(*topic_id, *partition, None, false, decided, at, told);
                return;
            }
            MetadataRecord::Config { resource_name, name, .. } => {
                let of_it = |resource: &str, key: &str| key == name && resource.ends_with(resource_name.as_str());
                let at = when(&|e| matches!(e, Event::ConfigChanged { resource, name, .. } if of_it(resource, name)));
                self.image.apply(offset, record);
                self.tell_promises(at, told);
                return;
            }
            MetadataRecord::FeatureLevel { .. } => {
                self.image.apply(offset, record);
                self.tell_promises(at, told);
                return;
            }
            MetadataRecord::ClearElr { topic } => {
                let before = self.partitions_with_eligible(topic.as_ref());
                self.image.apply(offset, record);
                for (topic_id, index, before) in before {
                    self.tell_partition(topic_id, index, Some(before), true, decided, at, told);
                }
                return;
            }
            MetadataRecord::PartitionChange(change) => {
                let before = self.image.partition(change.topic_id, change.partition).cloned();
                self.image.apply(offset, record);
                let elected = change.leader.is_some();
                self.tell_partition(change.topic_id, change.partition, before, !elected, decided, at, told);
                return;
            }
            _ => {}
        }
        self.image.apply(offset, record);
    }

    /// Tells which topics promise something else than before.
    fn tell_promises(&mut self, at: EventRef, told: &mut Told) {
        for topic in self.image.topics.values() {
            let Some(settings) = partition_changes::promised(&self.image, &self.given, topic) else { continue };
            let name = topic.name.as_str();
            if self.promised.insert(name.to_owned(), settings) != Some(settings) {
                told.push((at, Observation::TopicSettingsChanged { topic: name.into(), settings }));
            }
        }
    }

    /// The partitions with eligible or last known leaders, of one topic or of all.
    fn partitions_with_eligible(&self, only: Option<&Topic>) -> Vec<(uuid::Uuid, i32, PartitionRegistration)> {
        let topics = self.image.topics.iter().filter(|(_, topic)| only.is_none_or(|only| topic.name == *only));
        let partitions = topics.flat_map(|(id, topic)| (0..).zip(&topic.partitions).map(|(n, p)| (*id, n, p)));
        let eligible = partitions.filter(|(_, _, p)| !p.elr.is_empty() || !p.last_known_elr.is_empty());
        eligible.map(|(id, n, p)| (id, n, p.clone())).collect()
    }

    /// Tells of a partition's new state.
    #[allow(clippy::too_many_arguments)] // a change is all of these
    fn tell_partition(
        &self,
        topic_id: uuid::Uuid,
        index: i32,
        before: Option<PartitionRegistration>,
        same_leader: bool,
        decided: &[(EventRef, Event)],
        at: EventRef,
        told: &mut Told,
    ) {
        let Some(topic) = self.image.topics.get(&topic_id) else { return };
        let Some(after) = self.image.partition(topic_id, index) else { return };
        let (id, partition) = (TopicPartition::new(&topic.name, index), Partition::new(topic.name.as_str(), index));
        let of_it = |e: &Event| {
            let kind = matches!(
                e,
                Event::PartitionCreated { .. }
                    | Event::LeaderChanged { .. }
                    | Event::IsrChanged { .. }
                    | Event::EligibleLeadersChanged { .. }
                    | Event::ReassignmentChanged { .. }
            );
            kind && e.partition() == Some(&id)
        };
        let at = decided.iter().find(|(_, e)| of_it(e)).map_or(at, |(at, _)| *at);
        let (leader_epoch, partition_epoch, isr) = (after.leader_epoch, after.partition_epoch, after.isr.clone());
        told.push((
            at,
            if same_leader {
                Observation::IsrChanged { partition: partition.clone(), isr, leader_epoch, partition_epoch }
            } else {
                let eligible = |b: &PartitionRegistration| {
                    let was_before = b.isr.contains(&after.leader) || b.elr.contains(&after.leader);
                    was_before || self.has_joined_with_it(b, after)
                };
                Observation::LeaderElected {
                    partition: partition.clone(),
                    leader: after.leader,
                    leader_epoch,
                    partition_epoch,
                    isr,
                    previous: before.as_ref().map_or(NO_BROKER, |b| b.leader),
                    clean: after.leader == NO_BROKER || before.as_ref().is_none_or(eligible),
                }
            },
        ));
        let sets = |p: &PartitionRegistration| (p.replicas.clone(), p.elr.clone(), p.last_known_elr.clone());
        if before.as_ref().map(sets) != Some(sets(after)) {
            let (replicas, elr, last_known_elr) = sets(after);
            told.push((at, Observation::EligibleLeaders { partition, replicas, elr, last_known_elr }));
        }
    }

    /// Did the leader join the in-sync replicas by the very change that made it the leader? An AlterPartition by which the last
    /// of those that a reassignment brings is in sync ends the reassignment, and takes out the leader that sent it
    /// (`PartitionChangeBuilder.maybeCompleteReassignment`).
    fn has_joined_with_it(&self, before: &PartitionRegistration, after: &PartitionRegistration) -> bool {
        let sent_it = self.image.brokers.get(&before.leader).is_some_and(|leader| leader.is_active());
        let is_taken_out =
            before.removing_replicas.contains(&before.leader) && !after.replicas.contains(&before.leader);
        sent_it && is_taken_out && after.isr.contains(&after.leader)
    }

    /// Is a broker's metadata what the committed log gives at its offset?
    pub(super) fn look_at_broker(&mut self, world: &World, node: NodeIx, at: EventRef, told: &mut Told) {
        let Some(broker) = world.broker_at(node) else { return };
        let (id, image) = (broker.node_id(), broker.image());
        let next_offset = image.next_offset;
        if next_offset == 0 || self.looked_at.get(&id) == Some(&next_offset) {
            return;
        }
        let before = self.looked_at.insert(id, next_offset).filter(|before| *before < next_offset);
        let place = self.images.partition_point(|(from, _)| *from <= next_offset);
        let Some((from, expected)) = place.checked_sub(1).map(|place| &self.images[place]) else { return };
        let differs = if next_offset > self.end {
            Some(format!("it has replayed what is not committed, the committed log ending at {}", self.end))
        } else if before.is_some_and(|before| before >= *from) || self.is_inside_a_batch(next_offset) {
            return; // nothing but NoOp records since
        } else {
            difference(expected, image)
        };
        told.push((at, Observation::BrokerMetadata { broker: id, next_offset, differs }));
    }

    fn is_inside_a_batch(&self, offset: i64) -> bool {
        let place = self.committed.partition_point(|batch| batch.last < offset);
        self.committed.get(place).is_some_and(|batch| batch.first < offset)
    }

    /// The topic id that a topic's name has by the committed log.
    pub(super) fn topic_id(&self, topic: &Topic) -> Option<uuid::Uuid> {
        self.image.topic_ids.get(topic).copied()
    }
}

/// How two images differ, as a clause.
fn difference(expected: &MetadataImage, image: &MetadataImage) -> Option<String> {
    let mut same_offset = expected.clone();
    same_offset.next_offset = image.next_offset;
    if same_offset == *image {
        return None;
    }
    if expected.brokers != image.brokers {
        let differs = |id: &&i32| expected.brokers.get(id) != image.brokers.get(id);
        let ids: BTreeSet<&i32> = expected.brokers.keys().chain(image.brokers.keys()).collect();
        let id = ids.into_iter().find(differs).copied().unwrap_or(NO_BROKER);
        return Some(format!("it has another registration of b{id}"));
    }
    let topic = expected.topics.iter().find(|(id, topic)| image.topics.get(id) != Some(topic));
    Some(match topic {
        Some((_, topic)) => format!("it has topic {} otherwise", topic.name),
        None => "it has a topic, a feature or a setting more or less".to_string(),
    })
}

fn is_decision(event: &Event) -> bool {
    matches!(
        event,
        Event::BrokerRegistered { .. }
            | Event::BrokerFenced { .. }
            | Event::BrokerUnfenced { .. }
            | Event::BrokerShuttingDown { .. }
            | Event::PartitionCreated { .. }
            | Event::LeaderChanged { .. }
            | Event::IsrChanged { .. }
            | Event::EligibleLeadersChanged { .. }
            | Event::ReassignmentChanged { .. }
            | Event::TopicDeleted { .. }
            | Event::ConfigChanged { .. }
    )
}

fn holds(log: &[KnownBatch], batch: &KnownBatch) -> bool {
    log.get(log.partition_point(|b| b.last < batch.first)) == Some(batch)
}

/// The batches of a controller's log between two offsets, as its page cache has them.
fn read_batches(world: &World, node: NodeIx, controller: &Controller, from: i64, to: i64) -> Vec<Batch> {
    let Some(log) = controller.log() else { return Vec::new() };
    let mut view = world.disk(node).view();
    let mut found: Vec<Batch> = Vec::new();
    let mut next = from.max(log.log_start_offset());
    while next < to
        && let Ok(bytes) = log.read(&mut view, next, to, usize::MAX, true)
    {
        let batches = Batches::new(bytes).filter_map(Result::ok);
        found.extend(batches.filter(|b| b.header.base_offset >= next && b.header.last_offset() < to));
        match found.last().map(|batch| batch.header.next_offset()) {
            Some(reached) if reached > next => next = reached,
            _ => break,
        }
    }
    found
}

/// The metadata records of a batch; none of a control batch.
fn metadata_records(batch: &Batch) -> Vec<(i64, MetadataRecord)> {
    if batch.header.is_control() {
        return Vec::new();
    }
    let decoded = records(&batch.bytes).unwrap_or_default().into_iter().filter_map(|record| {
        Some((record.offset, MetadataRecord::decode(record.value.as_deref().unwrap_or_default()).ok()?))
    });
    decoded.collect()
}

/// The key of the metadata log among known logs.
pub(super) fn metadata_partition() -> TopicPartition {
    TopicPartition::new(&Topic::new(METADATA_TOPIC), 0)
}
