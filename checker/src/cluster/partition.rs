//! What truly happened to one partition: its replicas, the controller's view of it, and the history of both.

use std::collections::BTreeMap;

use super::end_offset::TheEnd;
use super::forgotten_producers::{OutOfOrder, UnknownStart};
use super::ghost::Ghost;
use super::producer_sequences::ProducerSequences;
use super::replica::{Batch, Replica};
use crate::observation::{EventRef, Partition};
use crate::settings::TopicSettings;

/// The controller chose a leader or took it away.
#[derive(Clone, Debug)]
pub(crate) struct Election {
    pub(crate) at: EventRef,
    pub(crate) seq: u64,
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) previous: i32,
    pub(crate) isr_before: Vec<i32>,
    pub(crate) isr: Vec<i32>,
    pub(crate) clean: bool,
    pub(crate) elr_before: Vec<i32>,
    /// It took the last known leader, the in-sync and the eligible leader replicas being exhausted (KIP-966). Kafka
    /// counts that as unclean, and permits it without `unclean.leader.election.enable`.
    pub(crate) last_known_leader: bool,
}

/// A broker began to lead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reign {
    pub(crate) at: EventRef,
    pub(crate) seq: u64,
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    /// Where its log began then.
    pub(crate) log_start: i64,
    pub(crate) log_end: i64,
    /// The high watermark that its leader moved it to last; `None` before it moved it at all.
    pub(crate) high_watermark: Option<i64>,
    /// Its leader has become a follower since: in the same epoch too, where controllers forgot whom they had given it.
    pub(crate) is_over: bool,
}

/// A produce request was answered with success.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    pub(crate) at: EventRef,
    pub(crate) seq: u64,
    pub(crate) broker: i32,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) acks: i16,
    /// The effective `min.insync.replicas` that the leader went by.
    pub(crate) min_insync_replicas: i32,
    /// Its part of [`PartitionTruth::positions`].
    positions: (u32, u32),
}

/// A replica of the maximal ISR, and what the leader knew of its log when it acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) broker: i32,
    /// Log end offset and when the leader learnt it, if it ever did in this epoch.
    pub(crate) fetched: Option<(i64, EventRef)>,
}

/// What a leader knows of a follower's log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) log_end: i64,
    /// The observation that told.
    pub(crate) seq: u64,
}

/// A batch that a leader appended for a producer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Produced {
    pub(crate) batch: Batch,
    pub(crate) broker: i32,
    pub(crate) at: EventRef,
    pub(crate) seq: u64,
}

/// A replica deleted the beginning of its log on its own account, or a client's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deletion {
    pub(crate) at: EventRef,
    pub(crate) seq: u64,
    pub(crate) broker: i32,
    /// Where its log begins since.
    pub(crate) to: i64,
    /// The rule that allows it.
    pub(crate) rule: &'static str,
}

/// One partition.
#[derive(Clone, Debug)]
pub(crate) struct PartitionTruth {
    pub(crate) name: Partition,
    /// What is promised now.
    pub(crate) topic: TopicSettings,
    /// What was promised before, each until that observation.
    promised_until: Vec<(u64, TopicSettings)>,
    pub(crate) replicas: BTreeMap<i32, Replica>,
    pub(crate) ghost: Ghost,
    pub(crate) producers: ProducerSequences,
    // ── the controller's view ──
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) partition_epoch: i32,
    pub(crate) isr: Vec<i32>,
    /// Assigned replicas; empty while not told.
    pub(crate) assigned: Vec<i32>,
    /// How many were assigned, each since that observation.
    assigned_since: Vec<(u64, i32)>,
    /// Eligible leader replicas (KIP-966).
    pub(crate) elr: Vec<i32>,
    pub(crate) last_known_elr: Vec<i32>,
    /// (leader, replica): what that leader knows of it.
    pub(crate) known_to: BTreeMap<(i32, i32), Known>,
    // ── history ──
    pub(crate) isr_history: Vec<(u64, Vec<i32>)>,
    /// (observation, broker): joined the in-sync replicas.
    pub(crate) joined: Vec<(u64, i32)>,
    /// (observation, broker): left the in-sync replicas.
    pub(crate) left: Vec<(u64, i32)>,
    pub(crate) elections: Vec<Election>,
    pub(crate) reigns: Vec<Reign>,
    pub(crate) appenders: BTreeMap<i32, i32>,
    pub(crate) acks: Vec<Ack>,
    positions: Vec<Position>,
    pub(crate) produced: Vec<Produced>,
    pub(crate) deletions: Vec<Deletion>,
    pub(crate) unknown_starts: Vec<UnknownStart>,
    /// Batches that were refused as out of order.
    pub(crate) out_of_order: Vec<OutOfOrder>,
    /// What clients were last told of its end.
    pub(crate) end_told: Option<TheEnd>,
}

impl PartitionTruth {
    /// The rule by which an offset of this batch was deleted, by a replica that had it then. The start of a log may lie inside
    /// a batch.
    pub(crate) fn deleted_by(&self, batch: &Batch, offset: i64) -> Option<&'static str> {
        let had_it = |deletion: &&Deletion| {
            deletion.to > offset
                && self.replicas.get(&deletion.broker).is_some_and(|replica| replica.held_at(batch, deletion.seq))
        };
        self.deletions.iter().find(had_it).map(|deletion| deletion.rule)
    }

    /// Where a follower can be compared with its leader from: a leader cannot tell it of histories that it has no more. It cuts
    /// to the leader's log start at most, and then begins there itself, until a crash takes that back.
    pub(crate) fn comparable_from(&self, follower: &Replica) -> i64 {
        let leader = self.replicas.get(&self.leader).map_or(0, |leader| leader.log_start);
        leader.max(follower.once_began_at)
    }

    /// A partition of which nothing is known yet.
    pub(crate) fn new(name: Partition, topic: TopicSettings) -> Self {
        PartitionTruth {
            name,
            topic,
            promised_until: Vec::new(),
            replicas: BTreeMap::new(),
            ghost: Ghost::default(),
            producers: ProducerSequences::default(),
            leader: -1,
            leader_epoch: -1,
            partition_epoch: -1,
            isr: Vec::new(),
            assigned: Vec::new(),
            assigned_since: Vec::new(),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            known_to: BTreeMap::new(),
            isr_history: Vec::new(),
            joined: Vec::new(),
            left: Vec::new(),
            elections: Vec::new(),
            reigns: Vec::new(),
            appenders: BTreeMap::new(),
            acks: Vec::new(),
            positions: Vec::new(),
            produced: Vec::new(),
            deletions: Vec::new(),
            unknown_starts: Vec::new(),
            out_of_order: Vec::new(),
            end_told: None,
        }
    }

    /// The topic promises something else from this observation on.
    pub(crate) fn promise(&mut self, seq: u64, settings: TopicSettings) {
        let before = std::mem::replace(&mut self.topic, settings);
        if before != settings {
            self.promised_until.push((seq, before));
        }
    }

    /// What the topic promised at an observation.
    pub(crate) fn promised_at(&self, seq: u64) -> TopicSettings {
        let place = self.promised_until.partition_point(|(until, _)| *until <= seq);
        self.promised_until.get(place).map_or(self.topic, |(_, promised)| *promised)
    }

    /// The controller has assigned these replicas.
    pub(crate) fn assign(&mut self, seq: u64, replicas: Vec<i32>) {
        if self.assigned.len() != replicas.len() {
            self.assigned_since.push((seq, replicas.len() as i32));
        }
        self.assigned = replicas;
    }

    /// The smallest `min.insync.replicas` that was in force from one observation to another, never more than replicas were
    /// assigned: the promise is as weak as the configuration was at its weakest.
    pub(crate) fn weakest_min_insync_replicas(&self, from: u64, to: u64) -> i32 {
        let first = self.assigned_since.partition_point(|(since, _)| *since <= from).saturating_sub(1);
        let assigned = self.assigned_since[first..].iter().take_while(|(since, _)| *since <= to);
        let least = assigned.map(|(_, replicas)| *replicas).min().unwrap_or(i32::MAX).max(1);
        let in_between = self.promised_until.iter().filter(|(until, _)| *until > from && *until <= to);
        let in_between = in_between.map(|(_, promised)| promised.effective_min_insync_replicas());
        in_between.fold(self.promised_at(to).effective_min_insync_replicas(), i32::min).min(least)
    }

    /// A replica, made when first seen.
    pub(crate) fn replica(&mut self, broker: i32) -> &mut Replica {
        self.replicas.entry(broker).or_default()
    }

    /// The controller's in-sync replicas are these from now on.
    pub(crate) fn set_isr(&mut self, seq: u64, isr: &[i32]) {
        self.joined.extend(isr.iter().filter(|b| !self.isr.contains(b)).map(|b| (seq, *b)));
        self.left.extend(self.isr.iter().filter(|b| !isr.contains(b)).map(|b| (seq, *b)));
        if self.isr != isr || self.isr_history.is_empty() {
            self.isr = isr.to_vec();
            self.isr_history.push((seq, self.isr.clone()));
        }
    }

    /// A broker leads no more: it knows nothing of its followers.
    pub(crate) fn forget_known_to(&mut self, leader: i32) {
        self.known_to.retain(|(by, _), _| *by != leader);
    }

    /// Are these in-sync replicas one of several that there were?
    pub(crate) fn is_left_with_one(&self, isr: &[i32]) -> bool {
        isr.len() == 1 && self.isr.len() > 1
    }

    /// The controller's in-sync replicas at an observation.
    pub(crate) fn isr_at(&self, seq: u64) -> &[i32] {
        match self.isr_history.partition_point(|(since, _)| *since <= seq) {
            0 => &[],
            n => &self.isr_history[n - 1].1,
        }
    }

    /// The election that opened a leader epoch.
    pub(crate) fn election(&self, leader: i32, leader_epoch: i32) -> Option<&Election> {
        self.elections.iter().rev().find(|e| e.leader_epoch == leader_epoch && e.leader == leader)
    }

    /// A produce request was answered; what the leader knew of its in-sync replicas is kept with it.
    pub(crate) fn acknowledged(&mut self, mut ack: Ack, maximal_isr: &[i32]) {
        let from = self.positions.len() as u32;
        for broker in maximal_isr.iter().filter(|b| **b != ack.broker) {
            let known = self.replicas.get(broker).and_then(|r| r.fetched);
            let fetched = known.filter(|(leader, ..)| *leader == ack.broker).map(|(_, end, at)| (end, at));
            self.positions.push(Position { broker: *broker, fetched });
        }
        ack.positions = (from, self.positions.len() as u32);
        self.acks.push(ack);
    }

    /// What the leader knew of its other in-sync replicas when it acknowledged.
    pub(crate) fn positions(&self, ack: &Ack) -> &[Position] {
        &self.positions[ack.positions.0 as usize..ack.positions.1 as usize]
    }

    /// Was that offset acknowledged by a broker that had this batch then? Not always in the epoch that wrote it: what is sent again
    /// a later leader answers for.
    pub(crate) fn was_acknowledged(&self, batch: &Batch, offset: i64) -> bool {
        let covers = |ack: &&Ack| ack.first <= offset && offset <= ack.last;
        let held = |ack: &Ack| self.replicas.get(&ack.broker).is_some_and(|replica| replica.held_at(batch, ack.seq));
        self.acks.iter().filter(covers).any(held)
    }

    /// Is this batch part of the history that the partition has now? The leader holds it, or it was committed, and no leader has
    /// taken over without it since: one that began anew at another's log start holds nothing of what lies below.
    pub(crate) fn keeps(&self, batch: &Batch) -> bool {
        self.replicas.get(&self.leader).is_some_and(|leader| leader.holds(batch)) || self.ghost.has(batch)
    }

    /// The replicas that have this batch now.
    pub(crate) fn holders(&self, batch: &Batch) -> impl Iterator<Item = i32> {
        self.replicas.iter().filter(|(_, r)| r.has(batch)).map(|(broker, _)| *broker)
    }
}

impl Ack {
    /// An ack whose positions are yet to be noted.
    #[allow(clippy::too_many_arguments)] // an acknowledgement is all of these
    pub(crate) fn new(
        at: EventRef,
        seq: u64,
        broker: i32,
        (first, last): (i64, i64),
        leader_epoch: i32,
        acks: i16,
        min_insync_replicas: i32,
    ) -> Self {
        Ack { at, seq, broker, first, last, leader_epoch, acks, min_insync_replicas, positions: (0, 0) }
    }
}
