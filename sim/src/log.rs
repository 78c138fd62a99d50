//! The log for people: one line per event, in fixed columns.
//!
//! ```text
//! t=     9034.000 c1     ^ orders-0  e6    LEO      - HW      - ISR 2,3     elected broker 2 … #31 cause=#28
//! t=    12007.000 b1     X orders-0  e6    LEO      5 HW      5 ISR -       truncated orders-0 … #57 cause=#31
//! ```
//!
//! The columns are what the node itself holds to be true of the partition, or of the metadata log, folded from its own
//! events: nothing but the trace is needed, so that a recording prints as the run did.

use std::collections::BTreeMap;
use std::fmt;

use trial_kafka::event::{Event, Fault, Weight, broker_list};
use trial_kafka::ids::TopicPartition;
use trial_kafka::node::Nanos;

use crate::scenario::Scenario;
use crate::trace::{NodeIx, TraceEvent};

/// What a node holds to be true of one partition; `None` where it has not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaView {
    /// The leader epoch.
    pub leader_epoch: Option<i32>,
    /// Its own log end offset.
    pub log_end_offset: Option<i64>,
    /// Its own high watermark.
    pub high_watermark: Option<i64>,
    /// The in-sync replicas, where it leads or is the controller.
    pub isr: Option<Vec<i32>>,
}

/// Every node's view of every partition and of the metadata log, folded from the trace.
#[derive(Clone, Debug, Default)]
pub struct Views {
    of: BTreeMap<(NodeIx, TopicPartition), ReplicaView>,
    of_metadata: BTreeMap<NodeIx, ReplicaView>,
}

/// What stands in the column of partitions where an event is about the metadata log.
const METADATA: &str = "metadata";

/// Is it about the metadata log and its quorum?
fn is_about_metadata(event: &Event) -> bool {
    use Event::*;
    matches!(
        event,
        ControllerActive { .. }
            | ControllerStoodDown { .. }
            | BecameUnattached { .. }
            | BecameProspective { .. }
            | BecameCandidate { .. }
            | BecameQuorumLeader { .. }
            | BecameQuorumFollower { .. }
            | ResignedAsQuorumLeader { .. }
            | VoteGranted { .. }
            | VoteRefused { .. }
            | VotersChanged { .. }
            | MetadataAppended { .. }
            | MetadataHighWatermark { .. }
            | MetadataTruncated { .. }
            | MetadataDivergenceFound { .. }
            | SnapshotWritten { .. }
            | SnapshotLoaded { .. }
            | MetadataLogStart { .. }
    )
}

impl Views {
    /// The view of a node after the events so far.
    pub fn view(&self, node: NodeIx, partition: &TopicPartition) -> ReplicaView {
        self.of.get(&(node, partition.clone())).cloned().unwrap_or_default()
    }

    /// What a node knows of the metadata log after the events so far; its leader epoch is the quorum's.
    pub fn metadata_view(&self, node: NodeIx) -> ReplicaView {
        self.of_metadata.get(&node).cloned().unwrap_or_default()
    }

    fn apply_to_metadata(&mut self, event: &TraceEvent) {
        let view = self.of_metadata.entry(event.node).or_default();
        match &event.event {
            Event::ControllerActive { epoch, log_end_offset } => {
                (view.leader_epoch, view.log_end_offset) = (Some(*epoch), Some(*log_end_offset));
            }
            Event::BecameUnattached { epoch }
            | Event::BecameProspective { epoch }
            | Event::BecameCandidate { epoch }
            | Event::BecameQuorumFollower { epoch, .. }
            | Event::ResignedAsQuorumLeader { epoch, .. } => view.leader_epoch = Some(*epoch),
            // It asks about an epoch that has not begun; a vote that was given or refused in one has.
            Event::VoteGranted { epoch, pre_vote: false, .. } | Event::VoteRefused { epoch, pre_vote: false, .. } => {
                view.leader_epoch = view.leader_epoch.max(Some(*epoch));
            }
            Event::BecameQuorumLeader { epoch, epoch_start_offset, .. } => {
                (view.leader_epoch, view.log_end_offset) = (Some(*epoch), Some(*epoch_start_offset));
            }
            Event::MetadataAppended { last_offset, .. } => view.log_end_offset = Some(last_offset + 1),
            Event::MetadataTruncated { to, .. } => view.log_end_offset = Some(*to),
            Event::MetadataHighWatermark { to, .. } => view.high_watermark = Some(*to),
            // A broker has no metadata log of its own: what it has replayed stands for it.
            Event::SnapshotLoaded { end_offset, .. } => {
                view.log_end_offset = view.log_end_offset.max(Some(*end_offset));
            }
            _ => {}
        }
    }

    /// Takes the next event in.
    pub fn apply(&mut self, event: &TraceEvent) {
        if let Event::Fault(Fault::ReplaceDisk { .. }) = event.event {
            // A new disk has nothing that the old one had.
            self.of.retain(|(node, _), _| *node != event.node);
            self.of_metadata.remove(&event.node);
        }
        if let Event::Fault(Fault::Crash | Fault::PowerLoss { .. } | Fault::DiskFailed | Fault::RestoreDisk { .. })
        | Event::ShutDownCleanly = event.event
        {
            // What a process believed dies with it.
            for ((_, _), view) in self.of.iter_mut().filter(|((node, _), _)| *node == event.node) {
                *view = ReplicaView { log_end_offset: view.log_end_offset, ..ReplicaView::default() };
            }
            if let Some(view) = self.of_metadata.get_mut(&event.node) {
                *view = ReplicaView { log_end_offset: view.log_end_offset, ..ReplicaView::default() };
            }
        }
        if is_about_metadata(&event.event) {
            return self.apply_to_metadata(event);
        }
        let Some(partition) = event.event.partition() else { return };
        let view = self.of.entry((event.node, partition.clone())).or_default();
        match &event.event {
            Event::PartitionCreated { replicas, leader_epoch, .. } => {
                (view.leader_epoch, view.isr) = (Some(*leader_epoch), Some(replicas.clone()));
            }
            Event::LeaderChanged { leader_epoch, isr, .. } | Event::IsrChanged { leader_epoch, isr, .. } => {
                (view.leader_epoch, view.isr) = (Some(*leader_epoch), Some(isr.clone()));
            }
            Event::BecameLeader { leader_epoch, isr, leader_epoch_start_offset, high_watermark, .. } => {
                *view = ReplicaView {
                    leader_epoch: Some(*leader_epoch),
                    log_end_offset: Some(*leader_epoch_start_offset),
                    high_watermark: Some(*high_watermark),
                    isr: Some(isr.clone()),
                };
            }
            Event::BecameFollower { leader_epoch, log_end_offset, high_watermark, .. } => {
                *view = ReplicaView {
                    leader_epoch: Some(*leader_epoch),
                    log_end_offset: Some(*log_end_offset),
                    high_watermark: Some(*high_watermark),
                    isr: None,
                };
            }
            Event::Appended { last_offset, .. } => view.log_end_offset = Some(last_offset + 1),
            Event::Truncated { to, .. } => {
                view.log_end_offset = Some(*to);
                view.high_watermark = view.high_watermark.map(|mark| mark.min(*to));
            }
            Event::HighWatermark { to, .. } => view.high_watermark = Some(*to),
            Event::IsrAdopted { isr, .. } => view.isr = Some(isr.clone()),
            Event::Recovered { log_end_offset, .. } => view.log_end_offset = Some(*log_end_offset),
            _ => {}
        }
    }
}

/// The one character by which a kind of line is found again.
pub fn glyph(event: &Event) -> char {
    use Event::*;
    match event {
        Phase { .. } | LeftOut { .. } => '=',
        Fault(_) => '!',
        Dropped { .. } => 'x',
        AssertionFailed { .. } => '#',
        Halted { .. } | ShutDownCleanly | BrokerFenced { .. } | BrokerShuttingDown { .. } => '-',
        Started { .. }
        | Recovered { .. }
        | RegisteredWith { .. }
        | BrokerRegistered { .. }
        | BrokerUnfenced { .. }
        | ControllerActive { .. }
        | ConfigChanged { .. }
        | ProducerIdsAllocated { .. }
        | TopicCreated { .. }
        | PartitionCreated { .. } => '+',
        LeaderChanged { .. } | BecameLeader { .. } | BecameQuorumLeader { .. } => '^',
        BecameFollower { .. } | BecameQuorumFollower { .. } => 'v',
        BecameUnattached { .. } | BecameProspective { .. } | BecameCandidate { .. } | VoteGranted { .. } => '%',
        VoteRefused { .. } | VotersChanged { .. } => '%',
        ControllerStoodDown { .. } | ResignedAsQuorumLeader { .. } => '-',
        TopicDeleted { .. } | ReplicaDeleted { .. } => '-',
        MetadataTruncated { .. } | MetadataDivergenceFound { .. } => 'X',
        EligibleLeadersChanged { .. } | ReassignmentChanged { .. } => '~',
        SnapshotWritten { .. } | SnapshotLoaded { .. } | MetadataLogStart { .. } => '+',
        MetadataAppended { .. } | MetadataHighWatermark { .. } => '.',
        IsrChanged { .. } | IsrChangeAsked { .. } | IsrAdopted { .. } | AlterPartitionRefused { .. } => '~',
        Truncated { .. } | LogStartMoved { .. } | DivergenceFound { .. } | FetchGivenUp { .. } => 'X',
        DuplicateFound { .. } => '=',
        ProduceAnswered { error: Some(_), .. } | BatchFailed { .. } | BatchRetried { .. } | PositionReset { .. } => '?',
        ReadReplicaChosen { .. } | BatchSplit { .. } => '~',
        Appended { .. }
        | ReplicaCaughtUpTo { .. }
        | HighWatermark { .. }
        | ProduceAnswered { .. }
        | SendInvoked { .. }
        | BatchSent { .. }
        | BatchAcked { .. }
        | OffsetWritten { .. }
        | OffsetCommitAnswered { error: None, .. }
        | CommitSent { .. }
        | CommitAnswered { error: None, .. }
        | Processed { .. }
        | Consumed { .. } => '.',
        OffsetCommitAnswered { .. } | CommitAnswered { .. } => '?',
        CoordinatorLoaded { .. } | CoordinatorFound { .. } | GroupJoined { .. } | PartitionsAssigned { .. } => '+',
        CoordinatorUnloaded { .. } | MemberRemoved { .. } | GroupRemoved { .. } | OffsetRemoved { .. } => '-',
        GroupLeft { .. } | GenerationGivenUp { .. } | PartitionsRevoked { .. } | PartitionsLost { .. } => '-',
        GroupGeneration { .. } | GroupRebalancing { .. } | GroupEpochRaised { .. } => '@',
        TargetAssigned { .. } | MemberChanged { .. } => '@',
        ProducerIdGiven { .. } | ProducerEpochRaised { .. } => '+',
    }
}

/// What the columns and characters mean.
pub const LEGEND: &str = "\
One line per event, in fixed columns:

  t=       virtual time in milliseconds since the start of the trial
  node     c1 controller, b1 broker, p1 producer, k1 consumer, trial the trial itself
  kind     =  phase of the trial          !  fault                      #  failed assertion
           +  started, registered, made   -  stopped, fenced            x  message dropped
           ^  leader elected, leads       v  follows                    ~  in-sync replicas (ISR)
           X  log truncated, diverged     ?  refused, retried, failed   .  traffic (--log full)
           %  vote, election of a quorum leader under way
           @  consumer group: generation, rebalance, assignment
  metadata in the column of partitions: the metadata log, __cluster_metadata-0; e is then the quorum's epoch
  e        leader epoch, as this node knows it
  LEO      this node's log end offset of the partition: the offset of the next record
  HW       this node's high watermark: everything below it is committed, as far as it knows
  ISR      in-sync replicas, as the leader or the controller has them
  #N       the event's number; cause=#M names the events that led to it

A dash stands for what the node does not know or have.
";

/// The width of the columns, so that all lines of a trial stand below each other.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    node: usize,
    partition: usize,
    isr: usize,
}

impl Columns {
    /// For a trial of this scenario.
    pub fn of(scenario: &Scenario) -> Self {
        let partition = |t: &crate::scenario::TopicSpec| t.name.len() + 1 + (t.partitions - 1).to_string().len();
        let replicas = scenario.topics.iter().map(|t| t.replication_factor.max(1) as usize).max().unwrap_or(1);
        let digits = scenario.cluster.brokers.to_string().len();
        Columns {
            node: "reader".len(),
            partition: scenario.topics.iter().map(partition).max().unwrap_or(0).max(METADATA.len()),
            isr: (replicas * (digits + 1) - 1).max(5),
        }
    }
}

/// One line of the log, without its end.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The columns' widths.
    pub columns: Columns,
    /// The node's name.
    pub node: &'a str,
    /// The event.
    pub event: &'a TraceEvent,
    /// The views, the event included.
    pub views: &'a Views,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Columns { node, partition, isr } = self.columns;
        let TraceEvent { id, time, causes, event, .. } = self.event;
        write!(f, "t={:>13} {:<node$} {}", Milliseconds(*time).to_string(), self.node, glyph(event))?;
        let (mut name, mut view) = ("-".to_string(), ReplicaView::default());
        if let Some(partition) = event.partition() {
            (name, view) = (partition.to_string(), self.views.view(self.event.node, partition));
        } else if is_about_metadata(event) {
            (name, view) = (METADATA.to_string(), self.views.metadata_view(self.event.node));
        }
        let epoch = view.leader_epoch.map_or("-".to_string(), |e| e.to_string());
        let offset = |o: Option<i64>| o.map_or("-".to_string(), |o| o.to_string());
        let in_sync = view.isr.map_or("-".to_string(), |isr| broker_list(&isr));
        write!(
            f,
            " {name:<partition$} e{epoch:<3} LEO {:>6} HW {:>6} ISR {in_sync:<isr$}  {event}  #{}",
            offset(view.log_end_offset),
            offset(view.high_watermark),
            id.0
        )?;
        for (nth, cause) in causes.iter().enumerate() {
            write!(f, "{}#{}", if nth == 0 { " cause=" } else { "," }, cause.0)?;
        }
        Ok(())
    }
}

/// A virtual time as `9034.000`: milliseconds with three places, the rest cut off.
#[derive(Clone, Copy, Debug)]
pub struct Milliseconds(pub Nanos);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000_000, self.0 / 1_000 % 1_000)
    }
}

/// Which events are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events of these nodes; empty: of all.
    pub nodes: Vec<String>,
    /// Only events about these partitions; empty: about all and none.
    pub partitions: Vec<TopicPartition>,
    /// Not before this virtual time.
    pub from: Nanos,
    /// Not after this virtual time.
    pub to: Option<Nanos>,
}

impl Filter {
    /// Is this event shown, from this weight up? Phases are, whatever the node and the partition: they say where one is.
    pub fn shows(&self, least: Weight, node: &str, event: &TraceEvent) -> bool {
        let in_time = event.time >= self.from && self.to.is_none_or(|to| event.time <= to);
        let of_node = self.nodes.is_empty() || self.nodes.iter().any(|wanted| wanted == node);
        let of_partition =
            self.partitions.is_empty() || event.event.partition().is_some_and(|p| self.partitions.contains(p));
        let wanted = matches!(event.event, Event::Phase { .. }) || (of_node && of_partition);
        in_time && wanted && event.event.weight() >= least
    }
}
