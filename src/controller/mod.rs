//! The controller: a state machine over the metadata log, and the quorum that keeps the log. Sources: KIP-500, KIP-631,
//! `QuorumController`.
//!
//! ```text
//!   request, session timeout
//!        │                      ┌───────────────────────── rules: image + request ─▶ records + answer
//!        ▼                      │
//!   Controller ── Decision ◀────┘     applies the records to its image at once (speculatively),
//!        │                            and lets the answer wait
//!        ▼
//!   Quorum: append ─▶ sync ─▶ Committed ─▶ the answers that waited; observers' fetches
//! ```
//!
//! - One thread: everything happens in [`Lane::Raft`]. Timers only defer [`Step::Tick`] there.
//! - What a request decided is applied before it is committed, so that the next request sees it; its answer, and any
//!   answer that could tell of it, is sent when it is committed. If the disk fails the node halts, and nothing was told.
//! - Broker sessions are in memory only; a controller that starts gives every broker a fresh one.
//!
//! Not modelled: deletion of topics, reassignment, further partitions, incremental configs, quotas.

mod api;
mod events;
mod periodic;
mod quorum;
mod requests;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use kafka_protocol::messages::describe_quorum_request::TopicData;
use kafka_protocol::messages::describe_quorum_response::PartitionData;
use kafka_protocol::messages::{DescribeQuorumRequest, ResponseKind, TopicName};
use trial_storage::{Disk, Log};
use uuid::Uuid;

use self::periodic::PeriodicTasks;
use self::quorum::{Quorum, QuorumError, QuorumEvent};
use self::requests::Request;
use self::rules::sessions::Sessions;
use self::rules::{Cluster, Decision};
use crate::config::BrokerConfig;
use crate::conformance::BrokerRule;
use crate::event::Event;
use crate::ids::BrokerId;
use crate::metadata::{METADATA_TOPIC, MetadataImage, MetadataRecord};
use crate::node::{Effects, Endpoint, Input, Lane, LocalStep, Nanos, Node, Now, ReqId, ms};
use crate::zoo::Zoo;

pub use self::api::SERVED;

/// A voter of the metadata quorum. It is this voter only with this directory id: the same node on another disk is not
/// (KIP-853, `ReplicaKey`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// `node.id`.
    pub id: i32,
    /// `directory.id` of its metadata log directory.
    pub directory_id: Uuid,
    /// Where it is reached.
    pub endpoint: Endpoint,
}

/// What a controller is in the metadata quorum. Source: the `EpochState` classes of `org.apache.kafka.raft`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumRole {
    /// Not started, or dead.
    None,
    /// Knows the epoch and no leader in it; may have voted in it.
    Unattached,
    /// Asks whether it could win (KIP-996).
    Prospective,
    /// Stands for election.
    Candidate,
    /// Leads the epoch.
    Leader,
    /// Follows this voter.
    Follower {
        /// Its node id.
        leader: i32,
    },
    /// Led this epoch and will not again.
    Resigned,
    /// Not a voter: replicates only.
    Observer,
}

/// What a controller is told at its making.
#[derive(Clone, Debug)]
pub struct ControllerSetup {
    /// `node.id`.
    pub node_id: i32,
    /// The `directory.id` with which an empty disk is formatted at the first start; later the disk's own counts.
    pub directory_id: Uuid,
    /// The voters the cluster was formatted with (`--initial-controllers`), itself included.
    pub voters: Vec<Voter>,
    /// Where it is reached.
    pub endpoint: Endpoint,
    /// Its configuration; also the default for topics.
    pub config: BrokerConfig,
    /// Switches of the bug zoo.
    pub zoo: Zoo,
    /// The cluster's id, which every broker must name.
    pub cluster_id: String,
}

/// A controller's deferred steps.
#[derive(Clone, Debug)]
pub enum Step {
    /// A deadline has come: see what is due.
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// `Input::Start` has not come.
    NotStarted,
    /// The quorum is opening its epoch; nothing is decided yet.
    Claiming,
    /// Decides.
    Active,
    /// The disk failed it.
    Halted,
}

/// An answer that waits until this offset is committed.
#[derive(Clone, Debug)]
struct Deferred {
    offset: i64,
    req: ReqId,
    response: ResponseKind,
}

/// See the module documentation.
#[derive(Clone, Debug)]
pub struct Controller {
    setup: ControllerSetup,
    phase: Phase,
    quorum: Option<Quorum>,
    /// After all records appended.
    image: MetadataImage,
    /// After all records committed.
    committed_image: MetadataImage,
    /// What lies between the two.
    uncommitted: VecDeque<(i64, MetadataRecord)>,
    /// Offset of each broker's registration record, which it must have replayed before it is unfenced.
    registration_offsets: BTreeMap<BrokerId, i64>,
    sessions: Sessions,
    /// In order of their offsets.
    deferred: VecDeque<Deferred>,
    /// A tick stands in the raft lane already.
    tick_is_deferred: bool,
    last_append: Nanos,
    periodic: PeriodicTasks,
}

impl Controller {
    /// A controller that has not started.
    pub fn new(setup: ControllerSetup) -> Self {
        let sessions = Sessions::new(ms(setup.config.broker_session_timeout_ms));
        Controller {
            setup,
            phase: Phase::NotStarted,
            quorum: None,
            image: MetadataImage::default(),
            committed_image: MetadataImage::default(),
            uncommitted: VecDeque::new(),
            registration_offsets: BTreeMap::new(),
            sessions,
            deferred: VecDeque::new(),
            tick_is_deferred: false,
            last_append: 0,
            periodic: PeriodicTasks::default(),
        }
    }

    /// What it was made from.
    pub fn setup(&self) -> &ControllerSetup {
        &self.setup
    }
    /// The metadata after every record appended, committed or not: what decisions are based on.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }
    /// The metadata after every committed record: what brokers may see.
    pub fn committed_image(&self) -> &MetadataImage {
        &self.committed_image
    }
    /// Does it decide?
    pub fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }
    /// The quorum's epoch, 0 before the start.
    pub fn epoch(&self) -> i32 {
        self.quorum.as_ref().map_or(0, Quorum::epoch)
    }
    /// What it is in the quorum.
    pub fn role(&self) -> QuorumRole {
        self.quorum.as_ref().filter(|_| self.phase != Phase::Halted).map_or(QuorumRole::None, Quorum::role)
    }
    /// The metadata log's high watermark, -1 while unknown.
    pub fn high_watermark(&self) -> i64 {
        self.quorum.as_ref().and_then(Quorum::high_watermark).unwrap_or(-1)
    }
    /// What it tells of the quorum if it leads it, as it answers DescribeQuorum.
    pub fn describe_quorum(&self) -> Option<PartitionData> {
        let topic = TopicData::default()
            .with_topic_name(TopicName(METADATA_TOPIC.into()))
            .with_partitions(vec![Default::default()]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let response = self.quorum.as_ref()?.describe(&request);
        response.topics.into_iter().flat_map(|topic| topic.partitions).find(|partition| partition.error_code == 0)
    }
    /// The metadata log, once it is open.
    pub fn log(&self) -> Option<&Log> {
        self.quorum.as_ref().map(Quorum::log)
    }

    fn start(&mut self, incarnation: Uuid, disk: &mut dyn Disk, fx: &mut Effects<'_>) -> Result<(), QuorumError> {
        let quorum = Quorum::start(self.setup.node_id, self.setup.cluster_id.clone(), disk, fx)?;
        // A controller always scans its whole log; "clean" is only a disk without one.
        fx.record(Event::Started { incarnation, clean: quorum.log().log_end_offset() == 0 });
        self.quorum = Some(quorum);
        self.phase = Phase::Claiming;
        Ok(())
    }

    /// Everything below the high watermark is committed: applies it, and sends the answers that waited for it.
    fn on_committed(
        &mut self,
        now: Now,
        high_watermark: i64,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<(), QuorumError> {
        let committed = self.uncommitted.partition_point(|(offset, _)| *offset < high_watermark);
        for (offset, record) in self.uncommitted.drain(..committed) {
            self.committed_image.apply(offset, &record);
        }
        let committed = self.deferred.partition_point(|deferred| deferred.offset < high_watermark);
        for deferred in self.deferred.drain(..committed) {
            fx.answer(deferred.req, deferred.response);
        }
        if let Some(quorum) = &mut self.quorum {
            quorum.complete_fetches(now, disk, fx);
            if self.phase == Phase::Claiming && quorum.has_committed_in_own_epoch() {
                self.activate(now, high_watermark, disk, fx)?;
            }
        }
        Ok(())
    }

    /// Replays the log and begins to decide. Every broker gets a fresh session: how long it was silent is unknown.
    /// Source: `QuorumController.claim`, `ClusterControlManager.activate`.
    fn activate(
        &mut self,
        now: Now,
        high_watermark: i64,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<(), QuorumError> {
        let Some(quorum) = &self.quorum else { return Ok(()) };
        for (offset, record) in quorum.read_records(disk, self.image.next_offset, high_watermark)? {
            if let MetadataRecord::RegisterBroker { broker, .. } = &record {
                self.registration_offsets.insert(*broker, offset);
            }
            self.image.apply(offset, &record);
        }
        self.committed_image = self.image.clone();
        for (broker, registration) in &self.image.brokers {
            let since = if BrokerRule::NewControllerBeginsSessionsAnew.holds() { now.mono } else { 0 };
            self.sessions.restart(since, *broker, registration.fenced);
        }
        self.phase = Phase::Active;
        self.last_append = now.mono;
        fx.record(Event::ControllerActive { epoch: quorum.epoch(), log_end_offset: quorum.log().log_end_offset() });
        self.periodic.activate(now.mono, &self.setup.config);
        if !self.cluster().has_bootstrap_records() {
            let bootstrap = rules::eligible_leaders::bootstrap_records(&self.setup.config);
            self.write(now, Decision::of(bootstrap), disk, fx)?;
        }
        Ok(())
    }

    /// Makes a decision come true: records appended, applied to the speculative image, told to the trace.
    fn write(
        &mut self,
        now: Now,
        decision: Decision,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<(), QuorumError> {
        for refusal in &decision.refusals {
            fx.record(refusal.clone());
        }
        let Some(quorum) = &mut self.quorum else { return Ok(()) };
        if decision.records.is_empty() {
            return Ok(());
        }
        let base_offset = quorum.append(now.wall, &decision.records, disk, fx)?;
        self.last_append = now.mono;
        events::apply_and_record(&mut self.image, base_offset, &decision, fx);
        for (offset, record) in (base_offset..).zip(decision.records) {
            if let MetadataRecord::RegisterBroker { broker, fenced, .. } = &record {
                self.registration_offsets.insert(*broker, offset);
                self.sessions.restart(now.mono, *broker, *fenced);
            }
            self.uncommitted.push_back((offset, record));
        }
        Ok(())
    }

    /// Answers once everything appended so far is committed: even an answer that wrote nothing may tell of what an
    /// earlier request did. Source: `QuorumController.ControllerWriteEvent.run`, `DeferredEventQueue`.
    fn answer_when_committed(&mut self, req: ReqId, response: ResponseKind, fx: &mut Effects<'_>) {
        let offset = self.last_offset();
        if offset < self.high_watermark() {
            fx.answer(req, response);
        } else {
            self.deferred.push_back(Deferred { offset, req, response });
        }
    }

    /// What the rules see.
    fn cluster(&self) -> Cluster<'_> {
        Cluster { image: &self.image, config: &self.setup.config, zoo: self.setup.zoo }
    }

    fn last_offset(&self) -> i64 {
        self.log().map_or(0, Log::log_end_offset) - 1
    }

    fn on_tick(&mut self, now: Now, disk: &mut dyn Disk, fx: &mut Effects<'_>) -> Result<(), QuorumError> {
        self.tick_is_deferred = false;
        if let Some(quorum) = &mut self.quorum {
            quorum.expire_fetches(now, fx);
        }
        if self.phase == Phase::Active {
            self.maybe_fence_one_stale_broker(now, disk, fx)?;
            self.run_periodic_tasks(now, disk, fx)?;
            if self.no_op_is_due_at().is_some_and(|due| due <= now.mono) {
                self.write(now, Decision::of(vec![MetadataRecord::NoOp]), disk, fx)?;
            }
        }
        Ok(())
    }

    /// One broker per controller event, so that the elections for the next see what became of this one.
    /// Source: `ReplicationControlManager.maybeFenceOneStaleBroker`.
    fn maybe_fence_one_stale_broker(
        &mut self,
        now: Now,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<(), QuorumError> {
        let Some(broker) = self.sessions.find_one_stale_broker(now.mono) else { return Ok(()) };
        let mut records = self.cluster().handle_broker_fenced(broker);
        self.sessions.fence(broker);
        while !BrokerRule::OneBrokerIsFencedPerEvent.holds()
            && let Some(next) = self.sessions.find_one_stale_broker(now.mono)
        {
            records.extend(self.cluster().handle_broker_fenced(next));
            self.sessions.fence(next);
        }
        self.write(now, Decision::of(records), disk, fx)
    }

    /// When an idle controller writes a NoOp record, whose commit shows brokers that it is alive (KIP-835).
    fn no_op_is_due_at(&self) -> Option<Nanos> {
        let interval = self.setup.config.metadata_max_idle_interval_ms;
        (interval > 0).then(|| self.last_append.saturating_add(ms(interval)))
    }

    fn try_handle(
        &mut self,
        now: Now,
        input: Input,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<(), QuorumError> {
        match input {
            Input::Start { incarnation } if self.phase == Phase::NotStarted => self.start(incarnation, disk, fx),
            Input::Deadline => {
                if !self.tick_is_deferred {
                    self.tick_is_deferred = true;
                    fx.defer(Lane::Raft, LocalStep::Controller(Step::Tick));
                }
                Ok(())
            }
            Input::Local(LocalStep::Controller(Step::Tick)) => self.on_tick(now, disk, fx),
            Input::Request { req, conn, header, body } => {
                let request = Request { req, conn, api_version: header.api_version, body: &body };
                self.on_request(now, request, disk, fx)
            }
            Input::Synced { ticket, result } => {
                let Some(quorum) = &mut self.quorum else { return Ok(()) };
                match quorum.on_synced(now.wall, ticket, result, disk, fx)? {
                    Some(QuorumEvent::Committed { high_watermark }) => self.on_committed(now, high_watermark, disk, fx),
                    None => Ok(()),
                }
            }
            // It dials nobody and takes no commands.
            Input::Start { .. }
            | Input::Opened { .. }
            | Input::DialFailed { .. }
            | Input::Closed { .. }
            | Input::Response { .. }
            | Input::Local(_)
            | Input::Command { .. } => Ok(()),
        }
    }
}

impl Node for Controller {
    fn lane(&self, input: &Input) -> Lane {
        match input {
            Input::Deadline => Lane::Timer,
            _ => Lane::Raft,
        }
    }

    fn handle(&mut self, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        if self.phase == Phase::Halted {
            return;
        }
        if let Err(error) = self.try_handle(now, input, disk, fx) {
            self.phase = Phase::Halted;
            fx.halt(error.to_string());
        }
    }

    fn next_deadline(&self) -> Option<Nanos> {
        if self.tick_is_deferred || self.phase == Phase::Halted {
            return None;
        }
        let active = |deadline: Option<Nanos>| deadline.filter(|_| self.phase == Phase::Active);
        let deadlines = [
            self.quorum.as_ref().and_then(Quorum::next_deadline),
            active(self.sessions.next_check()),
            active(self.no_op_is_due_at()),
            active(self.periodic.next_deadline()),
        ];
        deadlines.into_iter().flatten().min()
    }
}
