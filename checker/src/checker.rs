//! The checker: routes observations to its two sides, counts, and judges at the end.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cross_check;
use crate::findings::{Findings, Headline};
use crate::groups::Groups;
use crate::history::History;
use crate::history::belief_truth::BeliefTruth;
use crate::history::groups::delivery::Delivery;
use crate::judge::Judge;
use crate::observation::{Belief, EventRef, Observation, Partition, Time, Waiting};
use crate::quorum::{self, Quorum};
use crate::settings::Settings;
use crate::still_waiting::StillWaiting;
use crate::vacuity;
use crate::verdict::{Class, Outcome, Verdict};
use crate::words::{seconds, step};

/// Checks one trial while it runs. A plain value: a fork of the trial takes a clone along.
#[derive(Clone, Debug)]
pub struct Checker {
    settings: Settings,
    history: History,
    cluster: Cluster,
    quorum: Quorum,
    groups: Groups,
    waiting: StillWaiting,
    found: Findings,
    phases: Phases,
    pub(crate) counts: Counts,
    pub(crate) fault_kinds: BTreeMap<String, u64>,
}

/// When the phases of a trial that matter for its metrics began.
#[derive(Clone, Copy, Debug, Default)]
struct Phases {
    /// All faults had ended.
    healed: Option<Time>,
    /// Every partition was read from its start: what is read from here on no consumer had read.
    final_read: Option<Time>,
}

impl Phases {
    fn began(&mut self, name: &str, at: Time) {
        match name {
            "heal" => self.healed = Some(at),
            "read" => self.final_read = Some(at),
            _ => {}
        }
    }
}

/// What happened how often.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sends: u64,
    pub(crate) acked: u64,
    pub(crate) failed: u64,
    pub(crate) unknown: u64,
    pub(crate) unpromised: u64,
    pub(crate) retried: u64,
    pub(crate) batches: u64,
    pub(crate) acknowledgements: u64,
    pub(crate) elections: u64,
    pub(crate) unclean_elections: u64,
    pub(crate) leaderless: u64,
    pub(crate) isr_changes: u64,
    pub(crate) truncations: u64,
    pub(crate) position_resets: u64,
    pub(crate) crashes: u64,
    pub(crate) power_losses: u64,
    pub(crate) restarts: u64,
    pub(crate) quorum_leaders: u64,
    pub(crate) metadata_truncations: u64,
    pub(crate) metadata_snapshots: u64,
    pub(crate) fencings: u64,
    pub(crate) topics_deleted: u64,
}

impl Checker {
    /// A checker of a trial with these promises.
    pub fn new(settings: Settings) -> Self {
        Checker {
            settings,
            history: History::new(),
            cluster: Cluster::default(),
            quorum: Quorum::default(),
            groups: Groups::default(),
            waiting: StillWaiting::default(),
            found: Findings::default(),
            phases: Phases::default(),
            counts: Counts::default(),
            fault_kinds: BTreeMap::new(),
        }
    }

    /// One fact, in the order in which they happened.
    pub fn observe(&mut self, at: EventRef, what: Observation) {
        self.count(&what);
        use Observation::*;
        match what {
            SendInvoked { record, producer, partition } => self.send_invoked(at, record, producer, &partition),
            SendSettled { record, belief, attempts } => self.history.send_settled(at, record, belief, attempts),
            Read { consumer, partition, offset, leader_epoch, record } => {
                self.read(at, consumer, &partition, (offset, leader_epoch), record);
            }
            LeaderFollowed { consumer, partition, leader_epoch } => {
                self.history.leader_followed(consumer, &partition, leader_epoch);
            }
            PositionReset { consumer, partition, to, cause } => match self.settings.members.get(&consumer) {
                Some(member) => self.history.member_reset(at, consumer, member, &partition, to, cause),
                None => self.history.position_reset(consumer, &partition),
            },
            Member { consumer, what } => {
                if let Some(member) = self.settings.members.get(&consumer) {
                    self.history.member_step(at, consumer, member, &what);
                }
                let what = Member { consumer, what };
                if Groups::concerns(&what) {
                    self.groups.observe(at, &what, &self.cluster, &self.settings, &mut self.found);
                }
            }
            Coordinator { .. } => self.groups.observe(at, &what, &self.cluster, &self.settings, &mut self.found),
            FinalRead { partition, offset, leader_epoch, record } => {
                self.final_read(at, &partition, (offset, leader_epoch), record);
            }
            FinalReadEnd { partition, log_start, log_end, complete } => {
                self.history.final_read_end(at, &partition, log_start, log_end, complete);
            }
            InternalAssertion { node, message } => self.internal_assertion(at, node, message),
            Phase { name } => self.phases.began(&name, at.time),
            StillWaiting { what, since } => {
                let excuse = self.excuse(&what);
                let has_forgotten = self.quorum.has_forgotten();
                self.waiting.check(at, &what, since, excuse, has_forgotten, &self.settings, &mut self.found);
            }
            AppendedToDeleted { records } => self.history.forget(&records),
            what if quorum::concerns(&what) => {
                self.quorum.observe(at, &what, &self.settings, &mut self.found);
                if self.quorum.has_forgotten() {
                    self.cluster.quorum_forgets();
                }
            }
            TopicDeleted { topic } => {
                self.history.topic_deleted(&topic);
                self.cluster.topic_deleted(&topic, &self.settings);
                let what = TopicDeleted { topic };
                self.groups.observe(at, &what, &self.cluster, &self.settings, &mut self.found);
            }
            truth => {
                self.groups.log_grew(&truth);
                let of_groups = Groups::concerns(&truth).then(|| truth.clone());
                self.cluster.observe(at, truth, &self.settings, &mut self.found);
                if let Some(what) = of_groups {
                    self.groups.observe(at, &what, &self.cluster, &self.settings, &mut self.found);
                }
            }
        }
    }

    /// [`Observation::SendInvoked`]. For the many of these, the partition is lent.
    pub fn send_invoked(&mut self, at: EventRef, record: u64, producer: u32, partition: &Partition) {
        self.counts.sends += 1;
        self.history.send_invoked(at, record, producer, partition);
    }

    /// [`Observation::Read`] of a record at this offset and leader epoch. For the many of these, the partition is lent.
    pub fn read(
        &mut self,
        at: EventRef,
        consumer: u32,
        partition: &Partition,
        position: (i64, i32),
        record: Option<u64>,
    ) {
        if self.settings.members.contains_key(&consumer) {
            return self.history.read_as_member(at, consumer, partition, position, record);
        }
        let manual = self.settings.consumer(consumer).manual;
        self.history.read(at, consumer, manual, partition, position, record);
    }

    /// [`Observation::FinalRead`] of a record at this offset and leader epoch. For the many of these, the partition is lent.
    pub fn final_read(&mut self, at: EventRef, partition: &Partition, position: (i64, i32), record: Option<u64>) {
        self.history.final_read(at, partition, position, record);
    }

    /// A producer of which a leader took a batch out of the middle may have to give up the batches before it, which takes
    /// delivery.timeout.ms: until then nothing behind them is sent. So much longer it may take.
    fn excuse(&self, what: &Waiting) -> Time {
        let Waiting::Acknowledgement { producer } = what else { return 0 };
        let is_its = |record: u64| self.history.records.get(record).is_some_and(|r| r.producer == *producer);
        match !self.settings.zoo_on && self.cluster.unknown_starts().any(is_its) {
            true => self.settings.producer(*producer).delivery_timeout,
            false => 0,
        }
    }

    /// The verdict on all that was observed; `at` is the end of the trial.
    pub fn finish(mut self, at: Time) -> Verdict {
        let end = EventRef { id: u64::MAX, time: at };
        self.cluster.finish(end, &self.settings, &mut self.found);
        self.groups.finish(end, &self.cluster, &self.settings, &mut self.found);
        let violations = self.history.violations();
        // Whom controllers have forgotten nobody knows to lead, nor with what.
        if !self.quorum.has_forgotten() {
            cross_check::check(&self.history, &self.cluster, &violations, &mut self.found);
        }
        Judge::new(&self.history, &self.cluster, &self.groups, &self.quorum, &self.settings)
            .judge(violations, &mut self.found);
        if self.history.malformed() > 0 {
            let message = format!("{} observations of records made no sense", self.history.malformed());
            self.internal_assertion(end, "checker".to_owned(), message);
        }
        let belief_truth = BeliefTruth::of(&self.history);
        let delivery = Delivery::of(&self.history, &self.settings);
        let reads = self.history.reads();
        let processed = self.history.groups.counts.processed;
        let vacuous_because = vacuity::reasons(&self.settings, &self.counts, reads, processed, &self.fault_kinds);
        let outcome = match (self.found.any_bug(), vacuous_because.is_empty()) {
            (true, _) => Outcome::Fail,
            (false, false) => Outcome::Vacuous,
            (false, true) => Outcome::Pass,
        };
        let (findings, groups) = self.found.finish();
        let mut counters = self.counts.named(reads, &self.fault_kinds);
        let reached = self.cluster.reached;
        for (name, count) in [
            ("leader_elections", reached.leader_elections),
            ("isr_of_one", reached.isr_of_one),
            ("unsynced_records_lost", reached.unsynced_records_lost),
        ] {
            counters.insert(name.to_owned(), count);
        }
        if !self.settings.members.is_empty() {
            let (members, coordinators) = (self.history.groups.counts, self.groups.counts);
            for (name, count) in [
                ("group_joins", members.joins),
                ("rebalances", coordinators.rebalances),
                ("members_removed", coordinators.members_removed),
                ("partitions_lost_by_members", members.partitions_lost),
                ("coordinator_failovers", coordinators.failovers),
                ("commits", members.commits),
                ("commits_failed", members.commits_failed),
                ("commits_refused", coordinators.commits_refused),
                ("offsets_removed", coordinators.offsets_removed),
                ("records_processed", members.processed),
                ("records_redelivered", members.redelivered),
                ("records_processed_again", delivery.iter().map(|d| d.twice_or_more).sum()),
                ("records_skipped", delivery.iter().map(|d| d.never).sum()),
            ] {
                counters.insert(name.to_owned(), count);
            }
        }
        for (class, code, name) in [
            (Class::Info, "dropped-unpromised", "dropped_unpromised"),
            (Class::Allowed, "lost-write", "lost_allowed"),
            (Class::Bug, "lost-write", "lost_bug"),
        ] {
            let count = groups.iter().filter(|g| g.class == class && g.code == code).map(|g| g.count).sum();
            counters.insert(name.to_owned(), count);
        }
        let mut metrics = self.history.metrics(self.phases.healed, self.phases.final_read.unwrap_or(at));
        metrics.rebalances = self.groups.counts.rebalances;
        Verdict { outcome, findings, groups, counters, belief_truth, delivery, metrics, vacuous_because }
    }

    /// Is there a BUG already, of those that need no end of the trial to be known?
    pub fn has_bug(&self) -> bool {
        self.found.any_bug()
    }

    fn internal_assertion(&mut self, at: EventRef, node: String, message: String) {
        let headline = Headline {
            class: Class::Bug,
            code: "internal-assertion",
            rule: None,
            partition: None,
            offset: None,
            record: None,
            at,
        };
        self.found.add(headline, || {
            let sentence = format!("an assertion of {node} failed at {}: {message}", seconds(at.time));
            (format!("an assertion of {node} failed: {message}"), vec![step(at, node, sentence)])
        });
    }

    fn count(&mut self, what: &Observation) {
        use Observation::*;
        let counts = &mut self.counts;
        match what {
            SendSettled { belief, attempts, .. } => {
                counts.retried += u64::from(*attempts > 1);
                *match belief {
                    Belief::Acked { .. } => &mut counts.acked,
                    Belief::Failed => &mut counts.failed,
                    Belief::Unknown => &mut counts.unknown,
                    Belief::Unpromised => &mut counts.unpromised,
                } += 1;
            }
            PositionReset { .. } => counts.position_resets += 1,
            LogAppended { as_leader: true, entries, .. } => counts.batches += entries.len() as u64,
            LogTruncated { .. } => counts.truncations += 1,
            Acknowledged { .. } => counts.acknowledgements += 1,
            LeaderElected { leader, clean, .. } => {
                counts.elections += u64::from(*leader >= 0);
                counts.leaderless += u64::from(*leader < 0);
                counts.unclean_elections += u64::from(*leader >= 0 && !clean);
            }
            IsrChanged { .. } => counts.isr_changes += 1,
            BrokerCrashed { .. } => counts.crashes += 1,
            BrokerLostPower { .. } => counts.power_losses += 1,
            BrokerRestarted { .. } => counts.restarts += 1,
            QuorumLeader { .. } => counts.quorum_leaders += 1,
            MetadataTruncated { .. } => counts.metadata_truncations += 1,
            MetadataSnapshot { .. } => counts.metadata_snapshots += 1,
            BrokerFenced { fenced: true, .. } => counts.fencings += 1,
            TopicDeleted { .. } => counts.topics_deleted += 1,
            FaultTookEffect { kind } => *self.fault_kinds.entry(kind.clone()).or_default() += 1,
            _ => {}
        }
    }
}

impl Counts {
    /// By name.
    fn named(&self, reads: (u64, u64), fault_kinds: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let named = [
            ("sends", self.sends),
            ("acked_sends", self.acked),
            ("failed_sends", self.failed),
            ("unknown_sends", self.unknown),
            ("unpromised_sends", self.unpromised),
            ("retried_sends", self.retried),
            ("appended_batches", self.batches),
            ("acknowledgements", self.acknowledgements),
            ("reads", reads.0),
            ("final_reads", reads.1),
            ("elections", self.elections),
            ("unclean_elections", self.unclean_elections),
            ("leaderless", self.leaderless),
            ("isr_changes", self.isr_changes),
            ("truncations", self.truncations),
            ("position_resets", self.position_resets),
            ("crashes", self.crashes),
            ("power_losses", self.power_losses),
            ("restarts", self.restarts),
            ("quorum_leaders", self.quorum_leaders),
            ("metadata_truncations", self.metadata_truncations),
            ("metadata_snapshots", self.metadata_snapshots),
            ("fencings", self.fencings),
            ("topics_deleted", self.topics_deleted),
        ];
        let faults = fault_kinds.iter().map(|(kind, count)| (format!("fault:{kind}"), *count));
        named.into_iter().map(|(name, count)| (name.to_owned(), count)).chain(faults).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Entry, Partition};

    /// The leader has cut what it had acknowledged, and the final read has it no more. If H said nothing of that, X would.
    #[test]
    fn a_loss_that_clients_could_see_is_not_passed_over_in_silence() {
        let partition = Partition::new("orders", 0);
        let entry = |first_offset: i64, record: u64| Entry {
            first_offset,
            last_offset: first_offset,
            epoch: 0,
            hash: record,
            records: vec![record],
            producer: None,
        };
        let (broker, entries) = (1, vec![entry(0, 0), entry(1, 1)]);
        let mut checker = Checker::new(Settings::default());
        let (leader, leader_epoch, partition_epoch, isr) = (1, 0, 0, vec![1]);
        let name = || partition.clone();
        for (id, what) in (1..).zip([
            Observation::LeaderElected {
                partition: name(),
                leader,
                leader_epoch,
                partition_epoch,
                isr,
                previous: -1,
                clean: true,
            },
            Observation::SendInvoked { record: 0, producer: 1, partition: name() },
            Observation::SendInvoked { record: 1, producer: 1, partition: name() },
            Observation::LogAppended { broker, partition: name(), as_leader: true, entries },
            Observation::SendSettled { record: 0, belief: Belief::Acked { offset: Some(0) }, attempts: 1 },
            Observation::SendSettled { record: 1, belief: Belief::Acked { offset: Some(1) }, attempts: 1 },
            Observation::LogTruncated { broker, partition: name(), to: 1, why: String::new() },
            Observation::FinalRead { partition: name(), offset: 0, leader_epoch: 0, record: Some(0) },
            Observation::FinalReadEnd { partition: name(), log_start: 0, log_end: 1, complete: true },
        ]) {
            checker.observe(EventRef { id, time: id }, what);
        }
        let disagreements = |violations: &[crate::history::Violation]| {
            let mut found = Findings::default();
            cross_check::check(&checker.history, &checker.cluster, violations, &mut found);
            found.finish().1.iter().map(|group| (group.code, group.rule, group.count)).collect::<Vec<_>>()
        };
        assert_eq!(disagreements(&checker.history.violations()), []);
        assert_eq!(disagreements(&[]), [("checker-disagreement", Some("lost-but-not-told"), 1)]);
    }
}
