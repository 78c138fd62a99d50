//! The judge: what a violation of the history means under this configuration, given what truly happened.
//!
//! Every rule of checker.md's "Configuration decides" that concerns clients is one function here; why a batch was lost,
//! and by which rule that is allowed, is the cluster side's `loss`.

mod groups;
mod order;
mod story;

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::loss::{self, Loss};
use crate::cluster::partition::{PartitionTruth, Produced};
use crate::findings::{Findings, Headline};
use crate::groups::Groups;
use crate::history::records::{Record, Told};
use crate::history::{History, Violation};
use crate::observation::{EventRef, Partition};
use crate::quorum::Quorum;
use crate::settings::Settings;
use crate::verdict::{Class, Step};
use crate::words::{seconds, step};
use story::Story;

/// All that is known at the end.
pub(crate) struct Judge<'a> {
    pub(crate) history: &'a History,
    pub(crate) cluster: &'a Cluster,
    pub(crate) groups: &'a Groups,
    pub(crate) quorum: &'a Quorum,
    pub(crate) settings: &'a Settings,
    /// Records of one batch share their fate: (partition, observation of the append, first offset, acks, exposed).
    losses: BTreeMap<(Partition, u64, i64, i16, bool), Loss>,
}

/// What became of an acknowledged record that is not delivered.
enum Fate<'a> {
    /// No leader ever appended it.
    NeverAppended,
    /// The leader has it below its high watermark, and yet it was not delivered.
    Hidden(&'a Produced),
    /// The leader has it, but it was not committed until the end.
    Late(&'a Produced),
    /// The leader's log does not have it.
    Lost(&'a Produced),
}

impl<'a> Judge<'a> {
    /// A judge of a finished run.
    pub(crate) fn new(
        history: &'a History,
        cluster: &'a Cluster,
        groups: &'a Groups,
        quorum: &'a Quorum,
        settings: &'a Settings,
    ) -> Self {
        Judge { history, cluster, groups, quorum, settings, losses: BTreeMap::new() }
    }

    /// Judges every violation.
    pub(crate) fn judge(&mut self, violations: Vec<Violation>, found: &mut Findings) {
        for violation in violations {
            self.one(violation, found);
        }
    }

    fn one(&mut self, violation: Violation, found: &mut Findings) {
        use Violation::*;
        match violation {
            InconsistentOffsets { partition, offset, first, first_at, then, then_at } => {
                self.inconsistent(&partition, offset, (first, first_at), (then, then_at), found);
            }
            LostWrite { partition, record, acked_offset, log_start, log_end, at } => {
                let end = format!("the final read of {partition} from {log_start} to {log_end}");
                let below = acked_offset.filter(|offset| *offset < log_start);
                match below.and_then(|offset| self.deletion(&partition, record, offset)) {
                    Some(rule) => self.deleted(&partition, record, rule, acked_offset, log_start, at, found),
                    None => self.lost(&partition, record, acked_offset, end, at, found),
                }
            }
            Unseen { partition, record, acked_offset, read_up_to, at } => {
                let end = format!("readers of {partition}, who came to offset {read_up_to},");
                self.lost(&partition, record, Some(acked_offset), end, at, found);
            }
            Undecided { partition, records, at } => {
                let headline = Headline { class: Class::Unknown, ..Headline::bug("lost-write", &partition, None, at) };
                found.add(headline, || {
                    let summary = format!(
                        "{records} acknowledged records of {partition} were not found, but its final read did not reach the end"
                    );
                    (summary, Vec::new())
                });
            }
            Stuck { partition, read_up_to, log_end, at } => self.stuck(&partition, read_up_to, log_end, at, found),
            DroppedUnpromised { partition, record, at } => self.dropped(&partition, record, at, found),
            Group(violation) => groups::judge(self, violation, found),
            other => order::judge(self, other, found),
        }
    }

    /// The rule by which a record below the log's start went: retention, or a client's DeleteRecords. `None` if no replica
    /// that deleted had it: it was lost before. Where nobody saw who deleted what, the log's start says enough.
    fn deletion(&self, partition: &Partition, record: u64, acked_offset: i64) -> Option<&'static str> {
        let Some(truth) = self.cluster.partition(partition).filter(|truth| !truth.deletions.is_empty()) else {
            return Some("retention");
        };
        match self.cluster.copies_at(truth, record, acked_offset).first() {
            // The start may lie inside the batch.
            Some(produced) => truth.deleted_by(&produced.batch, acked_offset),
            None => truth.deletions.iter().find(|deletion| deletion.to > acked_offset).map(|deletion| deletion.rule),
        }
    }

    /// lost-write, by retention or DeleteRecords: what lies below the log's start was meant to go.
    #[allow(clippy::too_many_arguments)] // a finding is all of these
    fn deleted(
        &self,
        partition: &Partition,
        record: u64,
        rule: &'static str,
        offset: Option<i64>,
        log_start: i64,
        at: EventRef,
        found: &mut Findings,
    ) {
        let headline = Headline {
            class: Class::Allowed,
            rule: Some(rule),
            record: Some(record),
            ..Headline::bug("lost-write", partition, offset, at)
        };
        found.add(headline, || {
            (format!("record r{record} of {partition} lies below the log start offset {log_start}"), Vec::new())
        });
    }

    /// stuck: a BUG of liveness where the host has healed the cluster and waited; of a foreign history nobody knows that. A quorum
    /// that was robbed of its metadata by its disks may not know the partition any more.
    fn stuck(&self, partition: &Partition, read_up_to: i64, log_end: i64, at: EventRef, found: &mut Findings) {
        let truth = self.cluster.partition(partition);
        let (class, rule) = match truth {
            None => (Class::Unknown, None),
            Some(_) if self.quorum.has_forgotten() => (Class::Allowed, Some("disk-fault")),
            Some(_) => (Class::Bug, None),
        };
        found.add(Headline { class, rule, ..Headline::bug("stuck", partition, Some(read_up_to), at) }, || {
            let (reached, when) = (format!("{read_up_to} of {log_end}"), seconds(at.time));
            let who = match truth.map(|truth| truth.leader) {
                Some(leader) if leader >= 0 => format!("{} leads it", self.settings.broker_name(leader)),
                Some(_) => "nobody leads it".to_owned(),
                None => "who leads it is not known".to_owned(),
            };
            let summary =
                format!("{partition} is stuck: long after healing it was read up to {reached} only, and {who}");
            let sentence = format!("the final read of {partition} gave up at {when}, at offset {reached}; {who}");
            (summary, vec![step(at, "reader", sentence)])
        });
    }

    /// Records of acks=0 that are not there: never promised, and counted apart.
    fn dropped(&self, partition: &Partition, record: u64, at: EventRef, found: &mut Findings) {
        let headline = Headline {
            class: Class::Info,
            record: Some(record),
            ..Headline::bug("dropped-unpromised", partition, None, at)
        };
        found.add(headline, || {
            let summary =
                format!("record r{record} was sent to {partition} with acks=0 and is not there: nothing was promised");
            let sentence = format!("record r{record} left for {partition} at {} with acks=0", seconds(at.time));
            (summary, vec![step(at, self.producer_of(record), sentence)])
        });
    }

    /// lost-write: an acknowledged record is not there.
    fn lost(
        &mut self,
        partition: &Partition,
        record: u64,
        acked_offset: Option<i64>,
        reader: String,
        at: EventRef,
        found: &mut Findings,
    ) {
        let mut headline =
            Headline { record: Some(record), ..Headline::bug("lost-write", partition, acked_offset, at) };
        let (cluster, settings) = (self.cluster, self.settings);
        let Some(truth) = cluster.partition(partition) else {
            headline.class = Class::Unknown;
            found.add(headline, || (format!("acknowledged record r{record} of {partition} is not there"), Vec::new()));
            return;
        };
        let last = step(at, "reader", format!("{reader} did not find record r{record}, at {}", seconds(at.time)));
        let what = format!("acknowledged record r{record} of {partition}");
        let (produced, fate, loss) = match self.fate(truth, record, acked_offset) {
            Fate::NeverAppended => {
                found.add(headline, || (format!("{what} was never appended by any leader"), vec![last]));
                return;
            }
            Fate::Hidden(produced) => {
                (produced, "is hidden: the leader has it as committed, but it is not delivered", None)
            }
            Fate::Late(produced) => {
                let promised = self.acks(truth, record, produced) < 0;
                headline.class = if promised { Class::Bug } else { Class::Unknown };
                (produced, "is late: the leader has it, but it was not committed by the end", None)
            }
            Fate::Lost(produced) => {
                let loss = self.loss(truth, produced, self.acks(truth, record, produced), false);
                (headline.class, headline.rule) = (loss.judgement.class, loss.judgement.rule);
                if let Some(reign) = &loss.reign {
                    headline.at = reign.at;
                }
                (produced, "is lost", Some(loss))
            }
        };
        headline.offset = Some(acked_offset.unwrap_or(produced.batch.first));
        found.add(headline, || {
            let story = Story { cluster, truth, settings };
            let mut chain = self.told_to_send(record);
            chain.extend(story.of_batches(&cluster.batches_of(truth, record), produced, acked_offset));
            let mut summary = format!("{what} {fate}");
            if let Some(loss) = &loss {
                let left: Vec<i32> = truth.holders(&produced.batch).collect();
                summary.push_str(&format!(": {}", loss.judgement.because));
                summary.push_str(&story.copies_left(&left));
                chain.extend(story.of_loss(produced, loss, acked_offset));
            }
            chain.push(last);
            (summary, chain)
        });
    }

    /// inconsistent-offsets: BUG unless the record that had to give way was lost in an allowed way. Consumers saw both,
    /// so that the promise of acks does not matter: what a consumer reads is committed.
    fn inconsistent(
        &mut self,
        partition: &Partition,
        offset: i64,
        (first, first_at): (u64, EventRef),
        (then, then_at): (u64, EventRef),
        found: &mut Findings,
    ) {
        let mut headline = Headline::bug("inconsistent-offsets", partition, Some(offset), then_at);
        let (cluster, settings) = (self.cluster, self.settings);
        let at_offset = |truth: &'a PartitionTruth, record| cluster.copies_at(truth, record, offset).first().copied();
        let truth = cluster.partition(partition);
        let sides = truth.and_then(|truth| Some((truth, at_offset(truth, first)?, at_offset(truth, then)?)));
        let loser = sides.map(|(truth, one, other)| {
            let kept = |p: &Produced| truth.replicas.get(&truth.leader).is_some_and(|r| r.has(&p.batch));
            let older_is_first = (one.batch.epoch, one.seq) <= (other.batch.epoch, other.seq);
            let (older, newer) = if older_is_first { (one, other) } else { (other, one) };
            let neither = !kept(older) && !kept(newer);
            (truth, if kept(older) { newer } else { older }, neither.then_some(newer))
        });
        let loss = loser.map(|(truth, loser, other)| {
            // Where the one took the place of the other and is gone since, as it may be, neither tells at the end what it was that
            // gave way. What was lost was judged when that came about.
            let gave_way = |other: &Produced| {
                let losses = [loser, other].into_iter().filter_map(|p| truth.ghost.why_lost(&p.batch));
                losses.min_by_key(|judgement| judgement.class).cloned()
            };
            let loss = match other.and_then(gave_way) {
                Some(judgement) => Loss { judgement, reign: None },
                None => self.loss(truth, loser, -1, true),
            };
            (truth, loser, loss)
        });
        match &loss {
            Some((.., loss)) => (headline.class, headline.rule) = (loss.judgement.class, loss.judgement.rule),
            None if truth.is_none() => headline.class = Class::Unknown,
            None => {}
        }
        found.add(headline, || {
            let because = loss.as_ref().map_or(String::new(), |(.., loss)| format!(": {}", loss.judgement.because));
            let summary =
                format!("offset {offset} of {partition} was read as record r{first} and as record r{then}{because}");
            let read = |record: u64, at: EventRef| {
                step(
                    at,
                    "reader",
                    format!("offset {offset} of {partition} was read as record r{record} at {}", seconds(at.time)),
                )
            };
            let mut chain = Vec::new();
            match &loss {
                Some((truth, loser, loss)) => {
                    let story = Story { cluster, truth, settings };
                    chain.extend(story.of_batches(&[*loser], loser, Some(offset)));
                    chain.push(read(first, first_at));
                    chain.extend(story.of_loss(loser, loss, Some(offset)));
                }
                None => chain.push(read(first, first_at)),
            }
            chain.push(read(then, then_at));
            (summary, chain)
        });
    }

    fn fate(&self, truth: &'a PartitionTruth, record: u64, acked_offset: Option<i64>) -> Fate<'a> {
        let batches = self.cluster.batches_of(truth, record);
        let covers = |p: &&Produced| acked_offset.is_none_or(|o| p.batch.first <= o && o <= p.batch.last);
        let acked = acked_offset.and_then(|offset| self.cluster.copies_at(truth, record, offset).first().copied());
        let acked = acked.or(batches.first().copied());
        // Where the host did not tell what is in a batch, the acknowledged offset says which one it was.
        let settled = self.history.records.get(record).map_or(u64::MAX, |r| r.settled.time);
        let by_offset =
            || truth.produced.iter().rev().find(|p| acked_offset.is_some() && covers(p) && p.at.time <= settled);
        let Some(acked) = acked.or_else(by_offset) else { return Fate::NeverAppended };
        let leader = truth.replicas.get(&truth.leader);
        let there = leader.is_some_and(|leader| {
            leader.has(&acked.batch) || batches.iter().any(|produced| leader.has(&produced.batch))
        });
        if !there {
            return Fate::Lost(acked);
        }
        let offset = acked_offset.unwrap_or(acked.batch.first);
        if leader.is_some_and(|leader| offset < leader.high_watermark) {
            Fate::Hidden(acked)
        } else {
            Fate::Late(acked)
        }
    }

    /// The acks a record was promised with: as its request said, or as its producer is configured.
    fn acks(&self, truth: &PartitionTruth, record: u64, produced: &Produced) -> i16 {
        let configured = || self.history.records.get(record).map_or(-1, |r| self.settings.producer(r.producer).acks);
        loss::ack_of(truth, produced).map_or_else(configured, |ack| ack.acks)
    }

    /// Why a batch was lost; told once per batch.
    fn loss(&mut self, truth: &PartitionTruth, produced: &Produced, acks: i16, exposed: bool) -> Loss {
        let key = (truth.name.clone(), produced.seq, produced.batch.first, acks, exposed);
        let (cluster, settings) = (self.cluster, self.settings);
        let judge = || loss::judge(cluster, truth, produced, acks, exposed, settings);
        self.losses.entry(key).or_insert_with(judge).clone()
    }

    fn record(&self, record: u64) -> Option<&'a Record> {
        self.history.records.get(record)
    }

    fn producer_of(&self, record: u64) -> String {
        self.record(record).map_or_else(|| "producer".to_owned(), |r| self.settings.producer_name(r.producer))
    }

    /// The beginning of a record's story.
    fn told_to_send(&self, record: u64) -> Vec<Step> {
        let Some(state) = self.record(record) else { return Vec::new() };
        let (name, partition) = (self.producer_of(record), self.history.partitions.name(state.partition));
        let sentence = format!("{name} was given record r{record} for {partition} at {}", seconds(state.invoked.time));
        vec![step(state.invoked, name, sentence)]
    }

    /// What its producer was told, if it was.
    fn told_result(&self, record: u64) -> Vec<Step> {
        let Some(state) = self.record(record) else { return Vec::new() };
        let (name, when) = (self.producer_of(record), seconds(state.settled.time));
        let sentence = match state.told {
            Told::Acked if state.acked_offset >= 0 => {
                format!("{name} was told at {when} that record r{record} is at offset {}", state.acked_offset)
            }
            Told::Acked => format!("{name} was told at {when} that record r{record} is written"),
            Told::Failed => format!("{name} was told at {when} that record r{record} was not written"),
            Told::Unknown => {
                format!("{name} gave up on record r{record} at {when} without knowing whether it was written")
            }
            Told::Unpromised => format!("{name} sent record r{record} with acks=0 at {when}"),
            Told::Pending | Told::NeverSent => return Vec::new(),
        };
        vec![step(state.settled, name, sentence)]
    }
}
