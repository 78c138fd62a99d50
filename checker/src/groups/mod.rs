//! Groups, as `__consumer_offsets` has them: the truth of coordinators, and what must hold of it.
//!
//! ```text
//!   batches as they are appended ─► written: fold of the leader's log ─┐
//!   the ghost log of the partition ► committed: fold below it ─────────┼─► invariants (one file each) ─► findings
//!   acknowledged commits, coordinators' own state ─────────────────────┘
//! ```
//!
//! What must hold stands in the table of [`crate::invariants`].
//!
//! What is committed is decided by the ghost log of the partition ([`crate::cluster`]), and whether a loss is allowed by the
//! same rules as for any record.

mod answered_when_committed;
mod current_generation;
mod epochs_rise;
mod fenced_for_another;
mod fold;
mod gives_up_what_was_refused;
mod live_offsets_stay;
mod one_owner;
mod violation;
mod within_log;

use crate::invariants::Invariant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::cluster::loss::{self, Judgement, Loss};
use crate::cluster::partition::{PartitionTruth, Produced};
use crate::cluster::replica::Replica;
use crate::findings::Findings;
use crate::observation::{CoordinatorStep, EventRef, GroupRecord, MemberStep, Observation, Partition};
use crate::settings::Settings;
use crate::verdict::Class;
use fold::Fold;
use violation::Violation;

/// See the table of invariants.
const COMMIT_LOST: Invariant = Invariant {
    code: "commit-regression",
    rule: Some("acknowledged-commit-lost"),
    what: "an acknowledged commit is never lost, unless the configuration allows the loss",
    source: "`CoordinatorRuntime`",
};

/// See the table of invariants.
const OFFSETS: Invariant = Invariant {
    code: "commit-regression",
    rule: Some("coordinator"),
    what: "a coordinator answers the offsets that its log has",
    source: "KAFKA-5600",
};

/// See the table of invariants.
const STATE: Invariant = Invariant {
    code: "coordinator-divergence",
    rule: None,
    what: "a coordinator knows the groups that its log has",
    source: "KAFKA-10284",
};

/// `Topic.GROUP_METADATA_TOPIC_NAME`
const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// What is checked here.
pub(crate) const INVARIANTS: [Invariant; 13] = [
    one_owner::INVARIANT,
    epochs_rise::GENERATION,
    epochs_rise::GROUP_EPOCH,
    epochs_rise::MEMBER_EPOCH,
    current_generation::INVARIANT,
    within_log::INVARIANT,
    live_offsets_stay::INVARIANT,
    COMMIT_LOST,
    OFFSETS,
    STATE,
    answered_when_committed::INVARIANT,
    gives_up_what_was_refused::INVARIANT,
    fenced_for_another::INVARIANT,
];

/// A group, and a partition that it reads.
type Key = (Arc<str>, Partition);

/// One batch of the log, as its leader appended it.
#[derive(Clone, Debug)]
struct Batch {
    at: EventRef,
    broker: i32,
    records: Vec<GroupRecord>,
}

/// Where a commit stands in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    offset: i64,
    /// Offset and epoch of its batch.
    batch: (i64, i32),
    /// Offset of the last record of its batch.
    last: i64,
}

/// The last commit of a partition that was acknowledged.
#[derive(Clone, Copy, Debug)]
struct Acknowledged {
    offset: i64,
    at: EventRef,
    batch: (i64, i32),
    told_lost: bool,
}

/// One partition of `__consumer_offsets`.
#[derive(Clone, Debug, Default)]
struct Log {
    /// By first offset and epoch.
    batches: BTreeMap<(i64, i32), Batch>,
    /// What is committed: everything below `end`, after so many rebases of the ghost log.
    committed: Fold,
    end: i64,
    rebases: usize,
    /// What the leader's log has, and who that is.
    written: Fold,
    leader: Option<(i32, i32)>,
    /// Commits that were written and not acknowledged, by the broker that wrote them.
    waiting: BTreeMap<(i32, Key), VecDeque<Written>>,
    acknowledged: BTreeMap<Key, Acknowledged>,
    /// Commits that a deposed leader acknowledged, which knew nothing of that: they never were part of the log's history.
    aside: Vec<(Key, Acknowledged)>,
    /// Those of them that were lost as the configuration allows.
    lost_aside: Vec<(Key, Acknowledged, Judgement)>,
    loads: u64,
}

/// An offset was removed, and whether that was right.
#[derive(Clone, Copy, Debug)]
struct Removed {
    at: EventRef,
    right: bool,
}

/// What happened how often.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) rebalances: u64,
    pub(crate) members_removed: u64,
    /// Times that a coordinator took over from another.
    pub(crate) failovers: u64,
    pub(crate) commits_refused: u64,
    pub(crate) offsets_removed: u64,
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    logs: BTreeMap<Partition, Log>,
    /// Where each group was seen.
    home: BTreeMap<Arc<str>, Partition>,
    /// The highest log end offset that each partition ever had.
    log_ends: BTreeMap<Partition, i64>,
    deleted: BTreeSet<Arc<str>>,
    removed: BTreeMap<Key, Vec<Removed>>,
    /// The member id under which each consumer joined last, until it is told that another has its name.
    joined: BTreeMap<u32, Arc<str>>,
    /// Members that coordinators removed, by group and id.
    gone: BTreeSet<(Arc<str>, Arc<str>)>,
    /// When each group began a rebalance.
    rebalances: BTreeMap<Arc<str>, Vec<EventRef>>,
    pub(crate) counts: Counts,
}

impl Groups {
    /// Does it say anything of groups, besides what it says of partitions?
    pub(crate) fn concerns(what: &Observation) -> bool {
        match what {
            Observation::HighWatermarkMoved { partition, .. } => &*partition.topic == OFFSETS_TOPIC,
            Observation::Member { what, .. } => {
                matches!(what, MemberStep::GaveUp { .. } | MemberStep::Joined { .. } | MemberStep::Fenced { .. })
            }
            _ => false,
        }
    }

    /// Did the group begin a rebalance between these two? `None` where no rebalance of the group was ever told of.
    pub(crate) fn began_a_rebalance(&self, group: &str, from: EventRef, to: EventRef) -> Option<bool> {
        let all = self.rebalances.get(group)?;
        Some(all.iter().any(|at| from.id < at.id && at.id < to.id))
    }

    /// A leader appended: so far at most a group can come.
    pub(crate) fn log_grew(&mut self, what: &Observation) {
        let Observation::LogAppended { partition, entries, as_leader: true, .. } = what else { return };
        let Some(last) = entries.last().filter(|_| &*partition.topic != OFFSETS_TOPIC) else { return };
        let reached = last.last_offset.saturating_add(1);
        match self.log_ends.get_mut(partition) {
            Some(end) => *end = reached.max(*end),
            None => drop(self.log_ends.insert(partition.clone(), reached.max(0))),
        }
    }

    /// One fact, which the cluster has taken in already.
    pub(crate) fn observe(
        &mut self,
        at: EventRef,
        what: &Observation,
        cluster: &Cluster,
        settings: &Settings,
        found: &mut Findings,
    ) {
        match what {
            Observation::TopicDeleted { topic } => {
                self.log_ends.retain(|partition, _| partition.topic != *topic);
                self.deleted.insert(topic.clone());
            }
            Observation::HighWatermarkMoved { broker, partition, .. } if &*partition.topic == OFFSETS_TOPIC => {
                self.advance(at, *broker, partition, cluster, settings, found);
            }
            Observation::Member { consumer, what } => {
                let Some(group) = settings.members.get(consumer).map(|member| &member.group) else { return };
                let violation = match what {
                    MemberStep::Joined { member, .. } => {
                        if self.joined.get(consumer) != Some(member) {
                            self.joined.insert(*consumer, member.clone());
                        }
                        None
                    }
                    MemberStep::Fenced { member, coordinator } => {
                        self.fenced(*consumer, group, member, *coordinator, cluster, settings)
                    }
                    what => gives_up_what_was_refused::check(group, *consumer, what),
                };
                violation.into_iter().for_each(|violation| violation.tell(at, None, settings, found));
            }
            Observation::Coordinator { broker, what } => self.coordinator(at, *broker, what, cluster, settings, found),
            _ => {}
        }
    }

    fn coordinator(
        &mut self,
        at: EventRef,
        broker: i32,
        what: &CoordinatorStep,
        cluster: &Cluster,
        settings: &Settings,
        found: &mut Findings,
    ) {
        match what {
            CoordinatorStep::Appended { partition, first_offset, last_offset, epoch, records } => {
                let batch = (*first_offset, *epoch);
                self.appended(at, broker, partition, batch, *last_offset, records, cluster);
            }
            CoordinatorStep::OffsetWritten { group, partition, offset, member, generation } => {
                let log = self.home.get(group).and_then(|home| self.logs.get(home));
                let stale = log.and_then(|log| {
                    current_generation::check(&log.written, group, partition, *offset, (member, *generation))
                });
                stale.into_iter().for_each(|violation| violation.tell(at, Some(broker), settings, found));
            }
            CoordinatorStep::CommitAcknowledged { group, partition, offset } => {
                let violation = self.acknowledged(at, broker, group, partition, *offset, cluster);
                violation.into_iter().for_each(|violation| violation.tell(at, Some(broker), settings, found));
            }
            CoordinatorStep::CommitRefused => self.counts.commits_refused += 1,
            CoordinatorStep::Loaded { partition } => {
                let log = self.logs.entry(partition.clone()).or_default();
                log.loads += 1;
                self.counts.failovers += u64::from(log.loads > 1);
            }
            CoordinatorStep::State { partition, offsets_differ, groups_differ } => {
                let log = || partition.clone();
                if let Some(how) = offsets_differ.clone() {
                    Violation::OffsetsDiffer { log: log(), how }.tell(at, Some(broker), settings, found);
                }
                if let Some(how) = groups_differ.clone() {
                    Violation::GroupsDiffer { log: log(), how }.tell(at, Some(broker), settings, found);
                }
            }
            CoordinatorStep::Rebalancing { group } => {
                self.counts.rebalances += 1;
                self.rebalances.entry(group.clone()).or_default().push(at);
            }
            CoordinatorStep::MemberRemoved { group, member } => {
                self.counts.members_removed += 1;
                self.gone.insert((group.clone(), member.clone()));
            }
        }
    }

    /// A consumer was told by this coordinator that another has its name: once for each time that it has joined.
    fn fenced(
        &mut self,
        consumer: u32,
        group: &Arc<str>,
        member: &Arc<str>,
        coordinator: i32,
        cluster: &Cluster,
        settings: &Settings,
    ) -> Option<Violation> {
        self.joined.remove(&consumer).filter(|joined| joined == member)?;
        if self.gone.contains(&(group.clone(), member.clone())) {
            return None;
        }
        let home = self.home.get(group);
        let home = home.and_then(|home| self.logs.get(home).zip(cluster.partition(home)));
        let why = fenced_for_another::judge((group, member), coordinator, home, cluster, settings);
        Some(Violation::FencedForNobody { group: group.clone(), consumer, member: member.clone(), why })
    }

    /// A leader appended a batch.
    #[allow(clippy::too_many_arguments)] // a batch is all of these
    fn appended(
        &mut self,
        at: EventRef,
        broker: i32,
        partition: &Partition,
        batch: (i64, i32),
        last: i64,
        records: &[GroupRecord],
        cluster: &Cluster,
    ) {
        let log = self.logs.entry(partition.clone()).or_default();
        if log.leader != Some((broker, batch.1)) {
            log.leader = Some((broker, batch.1));
            log.written = cluster.partition(partition).map(|truth| log.fold_of(truth, broker)).unwrap_or_default();
        }
        for record in records {
            log.written.apply(record);
            self.home.insert(group_of(record).clone(), partition.clone());
            if let GroupRecord::Offset { group, partition, offset: Some(offset) } = record {
                let key = (broker, (group.clone(), partition.clone()));
                let written = Written { offset: *offset, batch, last };
                log.waiting.entry(key).or_default().push_back(written);
            }
        }
        log.batches.insert(batch, Batch { at, broker, records: records.to_vec() });
    }

    /// A commit is acknowledged: the first of its broker that waits with that offset and is still in its log, for they are
    /// answered in order. What was written before it timed out.
    fn acknowledged(
        &mut self,
        at: EventRef,
        broker: i32,
        group: &Arc<str>,
        partition: &Partition,
        offset: i64,
        cluster: &Cluster,
    ) -> Option<Violation> {
        let home = self.home.get(group).cloned();
        let log = home.as_ref().and_then(|home| self.logs.get_mut(home));
        let key: Key = (group.clone(), partition.clone());
        let Some((home, log)) = home.as_ref().zip(log) else {
            return answered_when_committed::check(group, partition, offset, None, 0);
        };
        let replica = cluster.partition(home).and_then(|truth| truth.replicas.get(&broker));
        let has = |written: &Written| replica.is_some_and(|replica| has_batch(replica, written.batch));
        let waiting = log.waiting.entry((broker, key.clone())).or_default();
        waiting.retain(has);
        let place = waiting.iter().position(|written| written.offset == offset);
        let written = place.and_then(|place| waiting.drain(..=place).next_back());
        if let Some(written) = &written {
            let acknowledged = Acknowledged { offset, at, batch: written.batch, told_lost: false };
            if cluster.partition(home).is_some_and(|truth| !is_committed(truth, written.batch)) {
                log.aside.push((key.clone(), acknowledged));
            }
            let last = log.acknowledged.entry(key).or_insert(acknowledged);
            // By epoch first: a later leader may write at lower offsets.
            if (last.batch.1, last.batch.0) <= (written.batch.1, written.batch.0) {
                *last = acknowledged;
            }
        }
        let high_watermark = replica.map_or(0, |replica| replica.high_watermark);
        answered_when_committed::check(group, partition, offset, written.as_ref(), high_watermark)
    }

    /// More is committed, or a leader took over without what was.
    fn advance(
        &mut self,
        at: EventRef,
        broker: i32,
        partition: &Partition,
        cluster: &Cluster,
        settings: &Settings,
        found: &mut Findings,
    ) {
        let Some(truth) = cluster.partition(partition) else { return };
        let log = self.logs.entry(partition.clone()).or_default();
        if truth.ghost.rebases() != log.rebases {
            log.rebases = truth.ghost.rebases();
            for violation in log.find_lost(cluster, truth, settings) {
                violation.tell(at, Some(broker), settings, found);
            }
            log.committed = Fold::default();
            log.end = truth.ghost.end;
            for committed in truth.ghost.committed_from(0) {
                let key = (committed.batch.first, committed.batch.epoch);
                let records = log.batches.get(&key).map(|batch| batch.records.as_slice()).unwrap_or_default();
                records.iter().for_each(|record| log.committed.apply(record));
            }
            return;
        }
        let mut violations = Vec::new();
        for committed in truth.ghost.committed_from(log.end) {
            log.end = committed.batch.last.saturating_add(1);
            let Some(batch) = log.batches.get(&(committed.batch.first, committed.batch.epoch)) else { continue };
            let mut touched = BTreeSet::new();
            for record in &batch.records {
                epochs_rise::check(&log.committed, record, &mut violations);
                violations.extend(within_log::check(record, |p| self.log_ends.get(p).copied()));
                let wrong = live_offsets_stay::check(&log.committed, record, |topic| self.deleted.contains(topic));
                if let GroupRecord::Offset { group, partition, offset: None } = record {
                    self.counts.offsets_removed += 1;
                    let key = (group.clone(), partition.clone());
                    self.removed.entry(key).or_default().push(Removed { at: batch.at, right: wrong.is_none() });
                }
                violations.extend(wrong);
                log.committed.apply(record);
                if !matches!(record, GroupRecord::Offset { .. }) {
                    touched.insert(group_of(record));
                }
            }
            for group in touched {
                if let Some(state) = log.committed.groups.get(group) {
                    one_owner::check(group, state, &mut violations);
                }
            }
            for violation in violations.drain(..) {
                violation.tell(batch.at, Some(batch.broker), settings, found);
            }
        }
    }

    /// The end of the trial: was anything lost that was acknowledged?
    pub(crate) fn finish(&mut self, at: EventRef, cluster: &Cluster, settings: &Settings, found: &mut Findings) {
        for partition in self.logs.keys().cloned().collect::<Vec<_>>() {
            let leader = cluster.partition(&partition).map_or(-1, |truth| truth.leader);
            self.advance(at, leader, &partition, cluster, settings, found);
            let (log, truth) = (self.logs.get_mut(&partition), cluster.partition(&partition));
            let Some((log, truth)) = log.zip(truth) else { continue };
            for violation in log.find_lost_aside(cluster, truth, settings) {
                violation.tell(at, Some(leader), settings, found);
            }
        }
    }

    /// Was the member given that epoch before it was removed, never after it, and a higher one when it had come again, until then?
    pub(crate) fn gave_before_it_left(&self, group: &str, member: &str, epoch: i32, until: EventRef) -> bool {
        let Some(log) = self.home.get(group).and_then(|home| self.logs.get(home)) else { return false };
        let (mut is_given, mut is_removed, mut comes_again) = (false, false, false);
        let batches = log.batches.values().filter(|batch| batch.at.id < until.id);
        for record in batches.flat_map(|batch| &batch.records) {
            let GroupRecord::Member { group: of, member: id, value } = record else { continue };
            if (&**of, &**id) != (group, member) {
                continue;
            }
            match value.as_ref().map(|value| value.epoch) {
                None => (is_removed, comes_again) = (is_given, false),
                Some(now) if now == epoch => (is_given, is_removed, comes_again) = (true, false, false),
                Some(now) => comes_again = is_removed && now > epoch,
            }
        }
        comes_again
    }

    /// Was the member given the partition in an earlier epoch, and had it no more in this one, the last that it was given until
    /// then?
    pub(crate) fn took_back(
        &self,
        group: &str,
        member: &str,
        partition: &Partition,
        epoch: i32,
        until: EventRef,
    ) -> bool {
        let Some(log) = self.home.get(group).and_then(|home| self.logs.get(home)) else { return false };
        let (mut had_it, mut was_taken) = (false, false);
        let batches = log.batches.values().filter(|batch| batch.at.id < until.id);
        for record in batches.flat_map(|batch| &batch.records) {
            let GroupRecord::Member { group: of, member: id, value } = record else { continue };
            if (&**of, &**id) != (group, member) {
                continue;
            }
            let Some(value) = value else {
                (had_it, was_taken) = (false, false);
                continue;
            };
            let has_it = value.assigned.contains(partition) || value.revoking.contains(partition);
            was_taken = had_it && !has_it && value.epoch == epoch;
            had_it |= has_it && value.epoch < epoch;
        }
        was_taken
    }

    /// By what rule was this very commit lost, which a deposed leader had acknowledged? `sent` and `answered`: as its member saw it.
    pub(crate) fn was_lost_aside(
        &self,
        group: &Arc<str>,
        partition: &Partition,
        offset: i64,
        (sent, answered): (EventRef, EventRef),
    ) -> Option<&Judgement> {
        let log = self.logs.get(self.home.get(group)?)?;
        let is_it = |(key, commit, _): &&(Key, Acknowledged, Judgement)| {
            (&key.0, &key.1, commit.offset) == (group, partition, offset)
                && sent.id < commit.at.id
                && commit.at.id < answered.id
        };
        log.lost_aside.iter().find(is_it).map(|(_, _, loss)| loss)
    }

    /// What excuses that a group forgot: it lost part of `__consumer_offsets` by a rule that allows that.
    pub(crate) fn forgot(&self, group: &str, cluster: &Cluster) -> Option<Judgement> {
        let truth = cluster.partition(self.home.get(group)?)?;
        loss::of_committed(truth).filter(|loss| loss.class == Class::Allowed)
    }

    /// Was the offset removed as it may be (by its age, by an administrator, with its topic), after that event?
    pub(crate) fn was_removed(&self, group: &Arc<str>, partition: &Partition, after: EventRef) -> bool {
        let removed = self.removed.get(&(group.clone(), partition.clone()));
        removed.is_some_and(|all| all.iter().any(|removed| removed.right && removed.at.id > after.id))
    }
}

impl Log {
    /// The fold of all that a replica has.
    fn fold_of(&self, truth: &PartitionTruth, broker: i32) -> Fold {
        let mut fold = Fold::default();
        for entry in truth.replicas.get(&broker).map(|replica| replica.log.as_slice()).unwrap_or_default() {
            let batch = self.batches.get(&(entry.batch.first, entry.batch.epoch));
            batch.into_iter().flat_map(|batch| &batch.records).for_each(|record| fold.apply(record));
        }
        fold
    }

    /// The acknowledged commits that are not among what is committed any more, each once.
    fn find_lost(&mut self, cluster: &Cluster, truth: &PartitionTruth, settings: &Settings) -> Vec<Violation> {
        let mut lost = Vec::new();
        for ((group, partition), last) in &mut self.acknowledged {
            let key = last.batch;
            let Some(produced) = truth.produced.iter().find(|p| (p.batch.first, p.batch.epoch) == key) else {
                continue;
            };
            if last.told_lost || truth.ghost.has(&produced.batch) {
                continue;
            }
            last.told_lost = true;
            lost.push(Violation::CommitLost {
                group: group.clone(),
                partition: partition.clone(),
                offset: last.offset,
                acknowledged: last.at,
                loss: match truth.ghost.why_lost(&produced.batch) {
                    Some(why) => why.clone(),
                    None => loss::judge(cluster, truth, produced, -1, true, settings).judgement,
                },
            });
        }
        lost
    }

    /// What deposed leaders had acknowledged, and no leader after them has: each that was not told already.
    fn find_lost_aside(&mut self, cluster: &Cluster, truth: &PartitionTruth, settings: &Settings) -> Vec<Violation> {
        let mut lost = Vec::new();
        for (key, commit) in std::mem::take(&mut self.aside) {
            let is_it = |p: &&Produced| (p.batch.first, p.batch.epoch) == commit.batch;
            let Some(produced) = truth.produced.iter().find(is_it).filter(|p| !truth.ghost.has(&p.batch)) else {
                continue;
            };
            // A later leader may have it all the same.
            let Loss { judgement: loss, reign: Some(_) } = loss::judge(cluster, truth, produced, -1, true, settings)
            else {
                continue;
            };
            let last = self.acknowledged.get_mut(&key).filter(|last| last.batch == commit.batch);
            let is_told = last.is_some_and(|last| std::mem::replace(&mut last.told_lost, true));
            if !is_told {
                lost.push(Violation::CommitLost {
                    group: key.0.clone(),
                    partition: key.1.clone(),
                    offset: commit.offset,
                    acknowledged: commit.at,
                    loss: loss.clone(),
                });
            }
            if loss.class == Class::Allowed {
                self.lost_aside.push((key, commit, loss));
            }
        }
        lost
    }
}

/// Is the batch part of what the partition has committed, by first offset and epoch?
fn is_committed(truth: &PartitionTruth, place: (i64, i32)) -> bool {
    let mut of_place = truth.produced.iter().rev().filter(|p| (p.batch.first, p.batch.epoch) == place);
    of_place.any(|produced| truth.ghost.has(&produced.batch))
}

/// Has its log this batch, by first offset and epoch?
fn has_batch(replica: &Replica, (first, epoch): (i64, i32)) -> bool {
    let place = replica.log.partition_point(|entry| entry.batch.first < first);
    replica.log.get(place).is_some_and(|entry| (entry.batch.first, entry.batch.epoch) == (first, epoch))
}

fn group_of(record: &GroupRecord) -> &Arc<str> {
    match record {
        GroupRecord::Offset { group, .. }
        | GroupRecord::Generation { group, .. }
        | GroupRecord::GroupEpoch { group, .. }
        | GroupRecord::Member { group, .. } => group,
    }
}
