//! Does everybody get on again? Once everything has healed, every producer sends one more record, and every consumer has to
//! come to it. A record that was given up (its batch is too large, say, or its producer never sends again) is no answer: the
//! producer sends another. One whose records are larger than its topics are configured to take is not asked.
//!
//! A group has to come to the end of every partition it means to read: to have processed, or committed if that comes first,
//! everything below the high watermark; one that begins at the end of the log (`auto.offset.reset=latest`), those records at
//! least, unless it began behind them. A group of which no member runs is not asked; members that were fenced
//! before they joined do not count.
//!
//! All of that is asked of the core too, where a part has to get on before the rest is healed, and then anew of everybody.
//!
//! A producer is not asked while it waits for a batch that was overtaken ([`Client::has_been_overtaken`]).
//!
//! The drain goes on until that has happened, or its bound is reached. A producer with acks=0 is promised nothing and is
//! not asked; nor is a consumer with `auto.offset.reset=none`, which may rightly stand still.

use std::collections::{BTreeMap, BTreeSet};

use trial_kafka::client::Client;
use trial_kafka::config::{Acks, OffsetReset};
use trial_kafka::ids::{NO_BROKER, TopicPartition};
use trial_kafka::node::{Belief, ConsumedRecord, Nanos};

use super::application::{Doing, Reader};
use super::{Power, World};
use crate::scenario::CommitStyle;

/// A batch with one record has at most so many bytes beside the record's value: its header, the key, and lengths.
const ONE_RECORD: i64 = 61 + 39;

/// What a producer or a consumer has still not done, though nothing hinders it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The producer's record was not acknowledged.
    Acknowledgement {
        /// The producer's number, from 0.
        producer: u32,
    },
    /// The consumer has not come to an acknowledged record.
    Reading {
        /// The consumer's number, from 0.
        consumer: u32,
        /// The partition where it is.
        partition: TopicPartition,
    },
    /// The group has not processed everything that is committed.
    GroupReading {
        /// The group's id.
        group: String,
        /// The partition where it has not.
        partition: TopicPartition,
    },
}

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Probes {
    sent: Vec<Probe>,
    since: Nanos,
    /// When each producer was last told that a record is written.
    acknowledged: BTreeMap<u32, Nanos>,
    /// Where each consumer is.
    read: BTreeMap<(u32, TopicPartition), i64>,
    /// When each consumer came anywhere last. It reads so much at a time, and one partition after another.
    got_on: BTreeMap<u32, Nanos>,
    /// How far each group has come, and when it got there.
    groups: BTreeMap<(String, TopicPartition), (i64, Nanos)>,
}

#[derive(Clone, Debug)]
struct Probe {
    record: u64,
    producer: u32,
    acknowledged: Option<(TopicPartition, i64)>,
}

impl Probes {
    /// Nobody is asked any more, until there are other records to come to.
    pub(super) fn end(&mut self) {
        self.sent.clear();
    }
    pub(super) fn sent(&mut self, record: u64, producer: u32, at: Nanos) {
        match self.sent.iter_mut().find(|probe| probe.producer == producer) {
            Some(again) => again.record = record,
            None => {
                self.since = at;
                self.sent.push(Probe { record, producer, acknowledged: None });
            }
        }
    }
    /// A producer was told what came of a record. True if it has to send another.
    pub(super) fn settled(
        &mut self,
        producer: u32,
        record: u64,
        partition: Option<&TopicPartition>,
        belief: &Belief,
        now: Nanos,
    ) -> bool {
        if matches!(belief, Belief::Acked { .. }) {
            self.acknowledged.insert(producer, now);
        }
        let Some(probe) = self.sent.iter_mut().find(|probe| probe.record == record) else { return false };
        if let (Some(partition), Belief::Acked { offset }) = (partition, belief) {
            probe.acknowledged = Some((partition.clone(), *offset));
        }
        matches!(belief, Belief::Failed | Belief::Unknown)
    }
    pub(super) fn polled(&mut self, consumer: u32, records: &[ConsumedRecord], now: Nanos) {
        for last in records.chunk_by(|a, b| a.partition == b.partition).filter_map(<[_]>::last) {
            self.read.insert((consumer, last.partition.clone()), last.offset);
        }
        self.got_on.insert(consumer, now);
    }
    /// A consumer has moved its position, say to the end of the log by `auto.offset.reset=latest`: what lies below it does not
    /// come to it any more, and is not asked for.
    pub(super) fn moved(&mut self, consumer: u32, partition: &TopicPartition, to: i64, now: Nanos) {
        let key = (consumer, partition.clone());
        if self.read.get(&key).is_none_or(|read| *read < to - 1) {
            self.read.insert(key, to - 1);
            self.got_on.insert(consumer, now);
        }
    }
    /// When a group came anywhere last: its members, too, read one partition after another.
    fn group_got_on_at(&self, group: &str) -> Option<Nanos> {
        self.groups.iter().filter(|((of, _), _)| of == group).map(|(_, (_, at))| *at).max()
    }
    /// A group wants these offsets next. Whoever processes again what was processed before, after a rebalance or as a zombie,
    /// takes nothing of that back.
    pub(super) fn group_got_on(
        &mut self,
        group: Option<&str>,
        next: impl Iterator<Item = (TopicPartition, i64)>,
        now: Nanos,
    ) {
        let Some(group) = group else { return };
        for (partition, next) in next {
            let farthest = self.groups.entry((group.to_owned(), partition)).or_insert((next, now));
            if next > farthest.0 {
                *farthest = (next, now);
            }
        }
    }
}

impl World {
    /// The record that shows whether a producer gets on, to a topic that is there and takes records of its size: the number of
    /// the topic among the producer's. `None` if it need not show it.
    pub(super) fn probe_topic(&self, producer: usize) -> Option<usize> {
        let spec = &self.scenario.producers[self.life.writers[producer].spec];
        let there = self.all_partitions();
        let is_there = |name: &str| there.iter().any(|partition| partition.topic.as_str() == name);
        let takes_it = |name: &String| is_there(name) && self.takes_records_of(name, spec.value_bytes);
        let runs = self.power(self.life.writers[producer].node) == Power::Running;
        if spec.config.acks == Acks(0) || !runs { None } else { spec.topics.iter().position(takes_it) }
    }

    /// A producer whose next batches went to another leader while one was on its way may be refused that one until it is too old.
    fn has_been_overtaken(&self, producer: usize) -> bool {
        let node = self.life.writers[producer].node;
        self.slots[node.0 as usize].client().is_some_and(Client::has_been_overtaken)
    }

    /// May a batch with one record of so many bytes be written to this topic, as it is configured now?
    fn takes_records_of(&self, topic: &str, value_bytes: u32) -> bool {
        let Some((image, topic)) = self.controller_image().and_then(|image| Some((image, image.topic(topic)?))) else {
            return true;
        };
        let config = image.effective_config_of_topic(NO_BROKER, &self.scenario.cluster.config, topic);
        ONE_RECORD + i64::from(value_bytes) <= config.max_message_bytes.min(config.segment_bytes)
    }

    /// What the producers and consumers that run have still not done, and since when.
    pub fn unanswered(&self) -> Vec<(Unanswered, Nanos)> {
        let probes = &self.life.probes;
        let mut unanswered = Vec::new();
        for Probe { producer, acknowledged, .. } in &probes.sent {
            let Some((partition, offset)) = acknowledged else {
                if self.probe_topic(*producer as usize).is_some() && !self.has_been_overtaken(*producer as usize) {
                    // What it still had to send comes first, and with each acknowledgement it gets on.
                    let last = probes.acknowledged.get(producer).copied().unwrap_or(0);
                    unanswered.push((Unanswered::Acknowledgement { producer: *producer }, probes.since.max(last)));
                }
                continue;
            };
            // What retention has taken nobody can read any more, nor what was lost; whether that may be is for others to say.
            let is_there =
                |log: &trial_storage::log::Log| (log.log_start_offset()..log.log_end_offset()).contains(offset);
            if self.leader_replica(partition).is_some_and(|leader| !is_there(&leader.log)) {
                continue;
            }
            for (consumer, reader) in (0..).zip(&self.life.readers) {
                let spec = &self.scenario.consumers[reader.spec];
                let is_asked = spec.group().is_none()
                    && self.is_asked(reader)
                    && self.partitions_of(&spec.topics).contains(partition);
                let read = probes.read.get(&(consumer, partition.clone()));
                if is_asked && read.is_none_or(|read| read < offset) {
                    let since = probes.got_on.get(&consumer).map_or(probes.since, |at| probes.since.max(*at));
                    unanswered.push((Unanswered::Reading { consumer, partition: partition.clone() }, since));
                }
            }
        }
        if !probes.sent.is_empty() {
            self.groups_behind(&mut unanswered);
        }
        unanswered
    }

    /// Does it run, and must it get on?
    pub(super) fn is_asked(&self, reader: &Reader) -> bool {
        let resets = self.scenario.consumers[reader.spec].config.auto_offset_reset != OffsetReset::None;
        resets && !reader.has_left && reader.doing != Doing::Ended && self.takes_part(reader.node)
    }

    /// How far groups have committed, where a member commits before it processes: it may die before it is told of the commit, and
    /// nobody processes those records then. Nothing where nobody does so.
    fn committed_before_it_is_processed(&self) -> BTreeMap<(String, TopicPartition), i64> {
        let mut committed = BTreeMap::new();
        if self.scenario.consumers.iter().any(|spec| spec.commit == CommitStyle::Before) {
            for (_, group) in self.groups() {
                for (partition, next) in group.offsets {
                    committed.insert((group.id.clone(), partition), next);
                }
            }
        }
        committed
    }

    /// The groups that have not come to the end of what they read.
    fn groups_behind(&self, unanswered: &mut Vec<(Unanswered, Nanos)>) {
        let probes = &self.life.probes;
        let partitions = self.all_partitions();
        let mut seen = BTreeSet::new();
        let committed = self.committed_before_it_is_processed();
        for reader in self.life.readers.iter().filter(|reader| self.is_asked(reader)) {
            let spec = &self.scenario.consumers[reader.spec];
            let Some(group) = spec.group() else { continue };
            let begins_at_end = spec.config.auto_offset_reset == OffsetReset::Latest;
            for partition in partitions.iter().filter(|partition| spec.reads(partition.topic.as_str())) {
                let key = (group.to_owned(), partition.clone());
                let probed = probes.sent.iter().filter_map(|probe| probe.acknowledged.as_ref());
                let log_end = self.leader_replica(partition).map(|leader| leader.log.log_end_offset());
                let is_there = |offset: &i64| log_end.is_none_or(|log_end| *offset < log_end);
                let probed = probed.filter(|(of, offset)| of == partition && is_there(offset));
                let probed = probed.map(|(_, offset)| offset + 1).max();
                let end = match begins_at_end {
                    true => probed,
                    false => self.leader_replica(partition).map(|leader| leader.high_watermark()),
                };
                let progress = probes.groups.get(&key);
                // What retention has taken nobody can read any more.
                let start = self.leader_replica(partition).map_or(0, |leader| leader.log.log_start_offset());
                let committed = committed.get(&key).filter(|_| spec.commit == CommitStyle::Before).copied();
                let has_come = progress.map_or(0, |(next, _)| *next).max(committed.unwrap_or(0));
                let is_behind = has_come.max(start) < end.unwrap_or(0);
                if is_behind && seen.insert(key) {
                    let since = probes.group_got_on_at(group).map_or(probes.since, |at| probes.since.max(at));
                    let partition = partition.clone();
                    unanswered.push((Unanswered::GroupReading { group: group.to_owned(), partition }, since));
                }
            }
        }
    }
}
