//! G, the god's-eye checker: the truth of every replica, and invariants re-checked for the partition an event touched.
//!
//! ```text
//!   append, truncation, loss ──► replica logs ─┐
//!   high watermarks ───────────► ghost log ────┼─► invariants (one file each) ─► findings
//!   elections, ISR, acks ──────► history ──────┘         └─► loss: why a batch was lost, for the judge
//! ```
//!
//! Invariants speak of the replica whose leader epoch equals the controller's: a deposed leader may believe anything as
//! long as nobody else acts on it. They excuse replicas that lost data, and take their facts from the World, never from
//! what a node reports. The metadata quorum is [`crate::quorum`]'s; here the
//! controller's word counts from its commit on. What groups make of
//! `__consumer_offsets` is [`crate::groups`]'. Not modelled yet: transactions, compaction.

mod ack_before_committed;
mod asked_isr;
mod broker_epochs;
mod change_by_the_rules;
mod committed_truncated;
mod eligible_leader;
mod end_offset;
mod epochs_rise;
mod fenced_in_isr;
pub(crate) mod forgotten_producers;
mod ghost;
mod high_watermark;
mod leader_in_sync;
mod log_mismatch;
pub(crate) mod loss;
pub(crate) mod partition;
mod producer_sequences;
pub(crate) mod replica;
mod replica_sets;
mod two_leaders_one_epoch;
mod unsafe_election;
mod words_of_nodes;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::findings::Findings;
use crate::invariants::Invariant;
use crate::observation::{Entry, EventRef, Observation, Partition, StartCause};
use crate::partitions::Partitions;
use crate::settings::{Settings, TopicSettings};
pub(crate) use change_by_the_rules::INVARIANTS as CHANGES;
use forgotten_producers::{OutOfOrder, UnknownStart};
use partition::{Ack, Deletion, Election, Known, PartitionTruth, Produced, Reign};
use replica::{Batch, CutKind};

/// What is checked here, and of each change of a partition [`CHANGES`] besides.
pub(crate) const INVARIANTS: [Invariant; 26] = [
    two_leaders_one_epoch::INVARIANT,
    epochs_rise::INVARIANT,
    leader_in_sync::INVARIANT,
    replica_sets::INVARIANT,
    fenced_in_isr::INVARIANT,
    asked_isr::BEHIND,
    asked_isr::BARRED,
    asked_isr::CAUGHT_UP,
    asked_isr::LEADER,
    broker_epochs::REGRESSION,
    broker_epochs::CHANGED,
    eligible_leader::FENCED,
    eligible_leader::UNREGISTERED,
    eligible_leader::NOT_ELIGIBLE,
    unsafe_election::INVARIANT,
    committed_truncated::INVARIANT,
    log_mismatch::INVARIANT,
    high_watermark::INVARIANT,
    high_watermark::BACK,
    end_offset::INVARIANT,
    ack_before_committed::INVARIANT,
    producer_sequences::INVARIANT,
    words_of_nodes::FALSE_WORD,
    words_of_nodes::WRONG_ANSWER,
    words_of_nodes::WRONG_STEP,
    words_of_nodes::FETCH_MISMATCH,
];

/// A broker went down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) at: EventRef,
    pub(crate) seq: u64,
    /// Bytes lost, if it was a loss of power.
    pub(crate) power: Option<u64>,
    pub(crate) restarted: Option<(EventRef, u64)>,
    /// When the controller accepted the next incarnation.
    pub(crate) registered: Option<u64>,
}

/// A broker as the controller's log has it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Registration {
    pub(crate) broker_epoch: i64,
    pub(crate) incarnation: u64,
    pub(crate) fenced: bool,
    pub(crate) shutting_down: bool,
    /// It was unfenced while it was shutting down.
    pub(crate) came_back_stopping: bool,
    /// Since when it has been fenced or shutting down.
    pub(crate) since: Option<EventRef>,
}

/// Where a leader put a record.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// 1 + number of the batch in its partition's `produced`.
    batch: NonZeroU32,
    /// Its number in the batch.
    nth: u32,
}

/// One of the places at which leaders put a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) produced: &'a Produced,
    /// Its offset there.
    pub(crate) offset: i64,
}

/// All that truly happened, as far as verdicts depend on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    /// Number of the current observation, from 1.
    pub(crate) seq: u64,
    names: Partitions,
    /// What topics promise, where it was told.
    promised: BTreeMap<Arc<str>, TopicSettings>,
    pub(crate) partitions: Vec<PartitionTruth>,
    pub(crate) outages: BTreeMap<i32, Vec<Outage>>,
    pub(crate) brokers: BTreeMap<i32, Registration>,
    /// Record id → the last place it was appended to.
    record_places: Vec<Option<Place>>,
    /// Earlier places of records that were appended more than once.
    more_places: BTreeMap<u64, Vec<Place>>,
    pub(crate) disk_faults: u64,
    /// Since when disks of controllers have lost what they had answered to have synced, and committed metadata with it.
    quorum_forgot: Option<u64>,
    /// When each broker started again.
    restarts: BTreeMap<i32, Vec<u64>>,
    pub(crate) reached: Reached,
}

/// States of partitions that a campaign wants to reach: counted, never judged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reached {
    /// Elections of a partition's leader, besides the first that each partition has.
    pub(crate) leader_elections: u64,
    /// Times at which a partition of several replicas came to have only one in sync.
    pub(crate) isr_of_one: u64,
    /// Records that a replica had and a loss of power took.
    pub(crate) unsynced_records_lost: u64,
}

impl Cluster {
    /// The truth of a partition, made when first seen.
    fn number(&mut self, settings: &Settings, partition: &Partition) -> usize {
        let number = self.names.number(partition) as usize;
        if number == self.partitions.len() {
            let promised = self.promised.get(&partition.topic).copied();
            let promised = promised.unwrap_or_else(|| settings.topic(&partition.topic));
            self.partitions.push(PartitionTruth::new(partition.clone(), promised));
        }
        number
    }

    /// The truth of a partition.
    pub(crate) fn partition(&self, partition: &Partition) -> Option<&PartitionTruth> {
        self.partitions.get(self.names.find(partition)? as usize)
    }

    /// All batches a leader appended with this record in them, the latest first.
    pub(crate) fn batches_of<'a>(&'a self, truth: &'a PartitionTruth, record: u64) -> Vec<&'a Produced> {
        self.batches(truth, record).collect()
    }

    /// The same, without a list.
    pub(crate) fn batches<'a>(&'a self, truth: &'a PartitionTruth, record: u64) -> impl Iterator<Item = &'a Produced> {
        self.written(truth, record).map(|written| written.produced)
    }

    /// Every place at which a leader put this record, the latest first.
    pub(crate) fn written<'a>(&'a self, truth: &'a PartitionTruth, record: u64) -> impl Iterator<Item = Written<'a>> {
        let last = usize::try_from(record).ok().and_then(|r| self.record_places.get(r)).copied().flatten();
        let more = match self.more_places.is_empty() {
            true => None,
            false => self.more_places.get(&record),
        };
        let more = more.into_iter().flatten().rev().copied();
        last.into_iter().chain(more).filter_map(|Place { batch, nth }| {
            let produced = truth.produced.get(batch.get() as usize - 1)?;
            Some(Written { produced, offset: produced.batch.first.saturating_add(i64::from(nth)) })
        })
    }

    /// The batches with which leaders put this record at that offset, the latest first.
    pub(crate) fn written_at<'a>(
        &'a self,
        truth: &'a PartitionTruth,
        record: u64,
        offset: i64,
    ) -> impl Iterator<Item = &'a Produced> {
        self.written(truth, record).filter(move |written| written.offset == offset).map(|written| written.produced)
    }

    /// The same, in the order in which a promise or a reader may have meant them: one that was committed; then one that a leader had
    /// when it acknowledged that offset; the latest first. A leader that is deposed, and has not heard of it, may write the record
    /// once more to the very offset where it was committed, and nobody was told of that.
    pub(crate) fn copies_at<'a>(&'a self, truth: &'a PartitionTruth, record: u64, offset: i64) -> Vec<&'a Produced> {
        let mut copies: Vec<&Produced> = self.written_at(truth, record, offset).collect();
        if copies.len() > 1 {
            copies.sort_by_key(|p| (truth.ghost.ever(&p.batch).is_none(), !truth.was_acknowledged(&p.batch, offset)));
        }
        copies
    }

    /// Does the host tell which records batches have?
    pub(crate) fn knows_records(&self) -> bool {
        !self.record_places.is_empty()
    }

    /// One fact. Client operations do not concern this side.
    pub(crate) fn observe(&mut self, at: EventRef, what: Observation, settings: &Settings, found: &mut Findings) {
        use Observation::*;
        self.seq += 1;
        let seq = self.seq;
        match what {
            LogAppended { broker, partition, as_leader, entries } => {
                let number = self.number(settings, &partition);
                self.appended(at, number, broker, as_leader, &entries, settings, found);
            }
            ProducerForgotten { broker, partition, producer } => {
                let number = self.number(settings, &partition);
                self.partitions[number].replica(broker).forgotten.push(producer);
            }
            OutOfOrderSequence { broker, partition, leader_epoch } => {
                let number = self.number(settings, &partition);
                self.partitions[number].out_of_order.push(OutOfOrder { seq, at, broker, leader_epoch });
            }
            LogTruncated { broker, partition, to, why } => {
                let number = self.number(settings, &partition);
                let truth = &mut self.partitions[number];
                let replica = truth.replica(broker);
                replica.cut(to, at, seq, CutKind::Truncated { why });
                // Of a replica that is deleted nothing else is heard.
                replica.high_watermark = replica.high_watermark.min(to);
                // Of the metadata that it obeys nobody knows which are committed, once controllers have forgotten some.
                if self.quorum_forgot.is_none() {
                    committed_truncated::check(truth, broker, at, seq, settings, found);
                }
            }
            LogStartMoved { broker, partition, to, cause } => {
                let number = self.number(settings, &partition);
                let truth = &mut self.partitions[number];
                truth.replica(broker).begins_at(to);
                let rule = match cause {
                    StartCause::Retention => Some("retention"),
                    StartCause::DeleteRecords => Some("delete-records"),
                    StartCause::Leader | StartCause::Recovered => None,
                };
                truth.deletions.extend(rule.map(|rule| Deletion { at, seq, broker, to, rule }));
            }
            LogLost { broker, partition, log_end } => {
                let number = self.number(settings, &partition);
                self.lost(at, number, broker, log_end);
            }
            HighWatermarkMoved { broker, partition, to, leader_epoch, legitimate_leader } => {
                let number = self.number(settings, &partition);
                let truth = &mut self.partitions[number];
                let in_sync = truth.isr.len();
                let replica = truth.replicas.entry(broker).or_default();
                let rose = to > replica.high_watermark;
                (replica.high_watermark, replica.leader_epoch) = (to, leader_epoch);
                if legitimate_leader {
                    truth.ghost.extend(replica, to, in_sync, (at, seq));
                    producer_sequences::check(truth, broker, at, settings, found);
                }
                high_watermark::check(truth, broker, at, settings, found);
                high_watermark::check_reign(truth, (broker, leader_epoch), to, at, settings, found);
                // It falls with the log that it cuts, which may take several answers. Where controllers have forgotten what they gave
                // away, two histories may be of the same epochs.
                let is_its_own = self.quorum_forgot.is_none() && leader_epoch == truth.leader_epoch;
                if rose && !legitimate_leader && is_its_own {
                    log_mismatch::check(truth, broker, at, settings, found);
                }
            }
            Acknowledged {
                broker,
                partition,
                first_offset,
                last_offset,
                acks,
                leader_epoch,
                maximal_isr,
                min_insync_replicas,
            } => {
                let number = self.number(settings, &partition);
                let truth = &mut self.partitions[number];
                let min = min_insync_replicas.unwrap_or_else(|| truth.topic.effective_min_insync_replicas());
                let ack = Ack::new(at, seq, broker, (first_offset, last_offset), leader_epoch, acks, min);
                truth.acknowledged(ack, &maximal_isr);
                if acks < 0 {
                    ack_before_committed::check(truth, &ack, &maximal_isr, settings, found);
                }
            }
            EndOffsetTold { broker, partition, offset } => {
                let number = self.number(settings, &partition);
                end_offset::check(&mut self.partitions[number], broker, offset, at, settings, found);
            }
            LeaderElected { partition, leader, leader_epoch, partition_epoch, isr, previous, clean } => {
                let number = self.number(settings, &partition);
                fenced_in_isr::check(self, number, at, &isr, settings, found);
                let truth = &mut self.partitions[number];
                let has_forgotten = self.quorum_forgot.is_some();
                epochs_rise::check(truth, at, Some(leader), leader_epoch, partition_epoch, has_forgotten, found);
                leader_in_sync::check(truth, at, leader, &isr, settings, found);
                let (isr_before, elr_before) = (truth.isr.clone(), truth.elr.clone());
                let last_known = truth.last_known_elr.first() == Some(&leader);
                self.reached.isr_of_one += u64::from(truth.is_left_with_one(&isr));
                self.reached.leader_elections += u64::from(leader >= 0 && !truth.elections.is_empty());
                truth.set_isr(seq, &isr);
                (truth.leader, truth.leader_epoch, truth.partition_epoch) = (leader, leader_epoch, partition_epoch);
                let exhausted = isr_before.iter().chain(&elr_before).all(|broker| self.is_out(*broker));
                let election = Election {
                    at,
                    seq,
                    leader,
                    leader_epoch,
                    previous,
                    isr_before,
                    isr,
                    clean,
                    elr_before,
                    last_known_leader: last_known && exhausted,
                };
                eligible_leader::check(self, number, &election, settings, found);
                self.partitions[number].elections.push(election);
            }
            IsrChanged { partition, isr, leader_epoch, partition_epoch } => {
                let number = self.number(settings, &partition);
                fenced_in_isr::check(self, number, at, &isr, settings, found);
                let truth = &mut self.partitions[number];
                let has_forgotten = self.quorum_forgot.is_some();
                epochs_rise::check(truth, at, None, leader_epoch, partition_epoch, has_forgotten, found);
                (truth.leader_epoch, truth.partition_epoch) = (leader_epoch, partition_epoch);
                self.reached.isr_of_one += u64::from(truth.is_left_with_one(&isr));
                truth.set_isr(seq, &isr);
            }
            BecameLeader { broker, partition, leader_epoch, log_end } => {
                let number = self.number(settings, &partition);
                let truth = &mut self.partitions[number];
                let replica = truth.replica(broker);
                replica.leader_epoch = leader_epoch;
                let log_start = replica.log_start;
                truth.reigns.push(Reign {
                    at,
                    seq,
                    leader: broker,
                    leader_epoch,
                    log_start,
                    log_end,
                    high_watermark: None,
                    is_over: false,
                });
                truth
                    .replicas
                    .values_mut()
                    .for_each(|r| r.fetched = r.fetched.filter(|(leader, ..)| *leader != broker));
                two_leaders_one_epoch::check(
                    truth,
                    broker,
                    leader_epoch,
                    at,
                    self.quorum_forgot.is_some(),
                    settings,
                    found,
                );
                if truth.leader == broker && truth.leader_epoch == leader_epoch {
                    unsafe_election::check(self, number, at, settings, found);
                }
            }
            BecameFollower { broker, partition, leader_epoch, high_watermark, .. } => {
                let number = self.number(settings, &partition);
                let truth = &mut self.partitions[number];
                truth.forget_known_to(broker);
                if let Some(reign) = truth.reigns.iter_mut().rev().find(|reign| reign.leader == broker) {
                    reign.is_over = true;
                }
                let replica = truth.replica(broker);
                // It asks anew: what its leader knew of it before says nothing of what it still has to cut.
                (replica.leader_epoch, replica.high_watermark, replica.fetched) = (leader_epoch, high_watermark, None);
            }
            ReplicaFetched { leader, replica, partition, log_end } => {
                let number = self.number(settings, &partition);
                let truth = &mut self.partitions[number];
                truth.replica(replica).fetched = Some((leader, log_end, at));
                truth.known_to.insert((leader, replica), Known { log_end, seq });
            }
            IsrChangeAsked { leader, partition, from, isr, barred } => {
                let number = self.number(settings, &partition);
                asked_isr::check(&self.partitions[number], leader, &from, &isr, barred, at, settings, found);
            }
            EligibleLeaders { partition, replicas, elr, last_known_elr } => {
                let number = self.number(settings, &partition);
                let truth = &mut self.partitions[number];
                truth.assign(seq, replicas);
                (truth.elr, truth.last_known_elr) = (elr, last_known_elr);
                replica_sets::check(truth, at, settings, found);
            }
            PartitionChanged(change) => change_by_the_rules::check(self, at, &change, settings, found),
            BrokersSettled { unfenced } => change_by_the_rules::check_settled(self, at, unfenced, settings, found),
            TopicSettingsChanged { topic, settings } => {
                for truth in self.partitions.iter_mut().filter(|truth| truth.name.topic == topic) {
                    truth.promise(seq, settings);
                }
                self.promised.insert(topic, settings);
            }
            BrokerFenced { broker, fenced } => {
                let registration = self.brokers.entry(broker).or_default();
                registration.fenced = fenced;
                registration.came_back_stopping = !fenced && registration.shutting_down;
                registration.since = fenced.then_some(at);
            }
            BrokerShuttingDown { broker } => {
                let registration = self.brokers.entry(broker).or_default();
                registration.shutting_down = true;
                registration.since = Some(at);
            }
            BrokerRegistered { broker, broker_epoch, incarnation, fenced } => {
                broker_epochs::check(self, at, broker, (broker_epoch, incarnation), settings, found);
                let known = self.brokers.get(&broker).filter(|known| known.incarnation == incarnation);
                let shutting_down = known.is_some_and(|known| known.shutting_down);
                let came_back_stopping = known.is_some_and(|known| known.came_back_stopping);
                let since = fenced.then_some(at);
                let registration =
                    Registration { broker_epoch, incarnation, fenced, shutting_down, came_back_stopping, since };
                self.brokers.insert(broker, registration);
                let last = self.outages.get_mut(&broker).and_then(|o| o.last_mut());
                if let Some(outage) = last.filter(|o| o.registered.is_none()) {
                    outage.registered = Some(seq);
                }
            }
            BrokerCrashed { broker } => self.went_down(at, broker, None),
            BrokerLostPower { broker, lost_bytes } => self.went_down(at, broker, Some(lost_bytes)),
            BrokerRestarted { broker, .. } => {
                self.restarts.entry(broker).or_default().push(seq);
                for outage in self.outages.entry(broker).or_default().iter_mut().rev() {
                    if outage.restarted.is_some() {
                        break;
                    }
                    outage.restarted = Some((at, seq));
                }
            }
            Said { node, word, partition, said, truth } => {
                words_of_nodes::check(at, &node, word, partition.as_ref(), (&said, &truth), found);
            }
            FaultTookEffect { kind } => self.disk_faults += u64::from(is_disk_fault(&kind)),
            _ => {} // of clients, or of the metadata quorum
        }
    }

    /// Disks of controllers lost what they had answered to have synced, and committed metadata with it.
    pub(crate) fn quorum_forgets(&mut self) {
        self.quorum_forgot.get_or_insert(self.seq);
    }

    /// Records with which producers began in the middle, with leaders that knew nothing of them.
    pub(crate) fn unknown_starts(&self) -> impl Iterator<Item = u64> {
        let starts = self.partitions.iter().flat_map(|truth| &truth.unknown_starts);
        starts.filter(|start| start.in_the_middle).filter_map(|start| start.record)
    }

    /// Registered, neither fenced nor shutting down (`BrokerRegistration`, `ClusterControlManager.isActive`).
    fn is_active(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(|known| !known.fenced && !known.shutting_down)
    }

    /// Has a broker gone down uncleanly and not registered since? The record that takes it out of the in-sync and the
    /// eligible leader replicas, before its registration, may elect another (`handleBrokerUncleanShutdown`).
    fn is_out(&self, broker: i32) -> bool {
        self.outages.get(&broker).and_then(|outages| outages.last()).is_some_and(|last| last.registered.is_none())
    }

    #[allow(clippy::too_many_arguments)]
    fn appended(
        &mut self,
        at: EventRef,
        number: usize,
        broker: i32,
        as_leader: bool,
        entries: &[Entry],
        settings: &Settings,
        found: &mut Findings,
    ) {
        let seq = self.seq;
        let has_forgotten = self.quorum_forgot.is_some();
        let truth = &mut self.partitions[number];
        let replica = truth.replicas.entry(broker).or_default();
        // It runs: what it lost before, it has been told to have lost.
        replica.outages_seen = self.outages.get(&broker).map_or(0, Vec::len);
        let restarted = self.restarts.get(&broker).and_then(|restarts| restarts.last()).copied();
        for entry in entries {
            let (first, last) = (entry.first_offset, entry.last_offset.max(entry.first_offset));
            let batch = Batch { first, last, epoch: entry.epoch, hash: entry.hash, producer: entry.producer };
            let record = entry.records.first().copied();
            let unknown_start = as_leader.then(|| UnknownStart::of(replica, &batch, seq, record, restarted)).flatten();
            truth.unknown_starts.extend(unknown_start);
            replica.append(batch, seq);
            if !as_leader {
                continue;
            }
            truth.produced.push(Produced { batch, broker, at, seq });
            let Some(batch) = u32::try_from(truth.produced.len()).ok().and_then(NonZeroU32::new) else { continue };
            for (nth, record) in (0..).zip(&entry.records) {
                note_place(&mut self.record_places, &mut self.more_places, *record, Place { batch, nth });
            }
        }
        replica.forgotten.clear();
        if let (true, Some(entry)) = (as_leader, entries.first()) {
            two_leaders_one_epoch::check(truth, broker, entry.epoch, at, has_forgotten, settings, found);
        }
    }

    fn lost(&mut self, at: EventRef, number: usize, broker: i32, log_end: i64) {
        let outages = self.outages.get(&broker).map(Vec::as_slice).unwrap_or_default();
        let replica = self.partitions[number].replica(broker);
        // Any loss of power that this log has not answered for yet; a crash leaves the page cache.
        let power = (replica.outages_seen..outages.len()).rev().find(|n| outages[*n].power.is_some());
        replica.outages_seen = outages.len();
        if log_end < replica.log_end {
            if power.is_some() {
                self.reached.unsynced_records_lost += log_end.abs_diff(replica.log_end);
            }
            let kind = power.map_or(CutKind::Recovery, |outage| CutKind::PowerLoss { outage });
            replica.cut(log_end, at, self.seq, kind);
            replica.lost_data = true;
        }
    }

    fn went_down(&mut self, at: EventRef, broker: i32, power: Option<u64>) {
        let outage = Outage { at, seq: self.seq, power, restarted: None, registered: None };
        self.outages.entry(broker).or_default().push(outage);
        for truth in &mut self.partitions {
            if let Some(replica) = truth.replicas.get_mut(&broker) {
                // What it will know when it comes back stands in its checkpoint.
                (replica.high_watermark, replica.leader_epoch, replica.fetched) = (0, -1, None);
            }
            truth.forget_known_to(broker);
        }
    }

    /// The controller deleted a topic: what was known of its partitions says nothing of a later topic of that name.
    pub(crate) fn topic_deleted(&mut self, topic: &str, settings: &Settings) {
        self.promised.remove(topic);
        for number in self.names.forget(topic) {
            if let Some(truth) = self.partitions.get_mut(number as usize) {
                *truth = PartitionTruth::new(truth.name.clone(), settings.topic(topic));
            }
        }
    }

    /// Invariants of the quiet cluster.
    pub(crate) fn finish(&mut self, at: EventRef, settings: &Settings, found: &mut Findings) {
        for truth in &mut self.partitions {
            let brokers: Vec<i32> = truth.replicas.keys().copied().collect();
            for broker in brokers {
                log_mismatch::check_at_rest(truth, broker, at, settings, found);
            }
        }
    }
}

fn note_place(places: &mut Vec<Option<Place>>, more: &mut BTreeMap<u64, Vec<Place>>, record: u64, place: Place) {
    let Ok(index) = usize::try_from(record) else { return };
    if index >= places.len() {
        if index > places.len() + (1 << 20) {
            return; // not dense: such a record is found by its acknowledged offset instead
        }
        places.resize(index + 1, None);
    }
    if let Some(before) = places[index].replace(place) {
        more.entry(record).or_default().push(before);
    }
}

/// Kinds of fault that may take what a disk was told to keep. A disk that is slow, stalled or full loses nothing.
fn is_disk_fault(kind: &str) -> bool {
    ["lost-sync", "torn-write", "bit-rot", "misdirected-write", "lost-checkpoint", "write-error", "read-error"]
        .contains(&kind)
}
