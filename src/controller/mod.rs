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
//! Not modelled: quotas.

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
use self::quorum::{Io, Quorum, QuorumError, QuorumEvent};
use self::requests::Request;
use self::rules::sessions::Sessions;
use self::rules::{Cluster, Decision};
use crate::config::BrokerConfig;
use crate::conformance::{BrokerRule, QuorumRule};
use crate::event::Event;
use crate::ids::BrokerId;
use crate::metadata::{METADATA_TOPIC, MetadataImage, MetadataRecord};
use crate::node::{Command, Effects, Endpoint, Input, Lane, LocalStep, Nanos, Node, Now, ReqId, ms};
use crate::zoo::{Switch, Zoo};

pub use self::api::SERVED;
pub(crate) use self::api::error_response;
pub use self::quorum::QuorumLook;

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
    /// Follows the log: another decides, or nobody.
    Standby,
    /// Leads the quorum, and does not know yet everything that is committed.
    Claiming,
    /// Decides.
    Active,
    /// The disk failed it, or it has shut down.
    Halted,
}

/// An answer that waits until this offset is committed. If this controller is deposed before, it is refused instead: the
/// request may or may not have been carried out.
#[derive(Clone, Debug)]
struct Deferred {
    offset: i64,
    req: ReqId,
    response: ResponseKind,
    refusal: ResponseKind,
}

/// Offset of each broker's registration record, which it must have replayed before it is unfenced.
type RegistrationOffsets = BTreeMap<BrokerId, i64>;

/// See the module documentation.
#[derive(Clone, Debug)]
pub struct Controller {
    setup: ControllerSetup,
    phase: Phase,
    quorum: Option<Quorum>,
    /// After all records appended; only while it decides.
    image: MetadataImage,
    registration_offsets: RegistrationOffsets,
    /// After all records committed.
    committed_image: MetadataImage,
    committed_registration_offsets: RegistrationOffsets,
    /// What lies between the two.
    uncommitted: VecDeque<(i64, MetadataRecord)>,
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
            registration_offsets: BTreeMap::new(),
            committed_image: MetadataImage::default(),
            committed_registration_offsets: BTreeMap::new(),
            uncommitted: VecDeque::new(),
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
    /// The same, but that it waits for no tick of which only its host knows: it asks for its next deadline anew.
    pub fn without_deferred_tick(mut self) -> Self {
        self.tick_is_deferred = false;
        self
    }
    /// The same, reached elsewhere than it was.
    pub fn at_endpoint(mut self, endpoint: Endpoint) -> Self {
        if let Some(quorum) = &mut self.quorum {
            quorum.move_to(endpoint);
        }
        self
    }
    /// The metadata that decisions are based on: after every record appended, committed or not. A controller that does
    /// not decide has only what is committed.
    pub fn image(&self) -> &MetadataImage {
        if self.phase == Phase::Active { &self.image } else { &self.committed_image }
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
    pub fn describe_quorum(&self, now: Now) -> Option<PartitionData> {
        let topic = TopicData::default()
            .with_topic_name(TopicName(METADATA_TOPIC.into()))
            .with_partitions(vec![Default::default()]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let response = self.quorum.as_ref()?.describe(now, &request);
        response.topics.into_iter().flat_map(|topic| topic.partitions).find(|partition| partition.error_code == 0)
    }
    /// The voters in force for it, by node id: the last set in its log, or those the cluster was formatted with.
    pub fn voters(&self) -> Vec<Voter> {
        self.quorum.as_ref().map_or_else(|| self.setup.voters.clone(), |quorum| quorum.voters().cloned().collect())
    }
    /// When it heard of a broker last, or gave it a fresh session. `None` unless it decides.
    pub fn last_contact(&self, broker: BrokerId) -> Option<Nanos> {
        self.sessions.last_contact(broker).filter(|_| self.is_active())
    }
    /// What it is in the quorum, in full. `None` before the start, and once it is dead.
    pub fn look(&self) -> Option<QuorumLook> {
        self.quorum.as_ref().filter(|_| self.phase != Phase::Halted).map(Quorum::look)
    }
    /// As the leader of the quorum: each voter, and how far it has the log as far as the leader knows; -1 where it does not.
    pub fn ends_of_voters(&self) -> impl Iterator<Item = (i32, i64)> {
        self.quorum.iter().flat_map(Quorum::ends_of_voters)
    }
    /// Where the registration of a broker stands in the log, as far as it knows: at this offset or before it.
    pub fn registration_offset(&self, broker: BrokerId) -> Option<i64> {
        self.registration_offsets.get(&broker).copied()
    }
    /// The metadata log, once it is open.
    pub fn log(&self) -> Option<&Log> {
        self.quorum.as_ref().map(Quorum::log)
    }

    fn start(&mut self, incarnation: Uuid, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let quorum = Quorum::start(&self.setup, io)?;
        // A controller always scans its whole log; "clean" is only a disk without one.
        io.fx.record(Event::Started { incarnation, clean: quorum.log().log_end_offset() == 0 });
        self.quorum = Some(quorum);
        self.phase = Phase::Standby;
        self.on_quorum_events(io)
    }

    /// What the quorum has come to, in the order of happening. Deciding upon one may bring the next.
    fn on_quorum_events(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        loop {
            let events = self.quorum.as_mut().map(Quorum::take_events).unwrap_or_default();
            if events.is_empty() {
                return Ok(());
            }
            for event in events {
                match event {
                    QuorumEvent::SnapshotLoaded => self.on_snapshot_loaded(),
                    QuorumEvent::Committed { high_watermark } => {
                        self.on_committed(high_watermark, io)?;
                        if let Some(quorum) = &mut self.quorum {
                            quorum.maybe_generate_snapshot(&self.committed_image, high_watermark, io)?;
                        }
                    }
                    QuorumEvent::BecameLeader { .. } => {
                        self.phase = Phase::Claiming;
                        if self.may_activate() {
                            self.activate(io)?;
                        }
                    }
                    QuorumEvent::LostLeadership { epoch } => self.stand_down(epoch, io),
                }
            }
        }
    }

    /// The state begins anew at a snapshot, and goes on with the log behind it. The records that registered the brokers
    /// are not known any more; they stand somewhere before its end. Source: `QuorumController.handleLoadSnapshot`.
    fn on_snapshot_loaded(&mut self) {
        let Some(loaded) = self.quorum.as_mut().and_then(Quorum::take_loaded_snapshot) else { return };
        let last_contained_log_offset = loaded.id.end_offset - 1;
        self.committed_image = loaded.image;
        let brokers = self.committed_image.brokers.keys();
        self.committed_registration_offsets = brokers.map(|broker| (*broker, last_contained_log_offset)).collect();
    }

    /// Everything below the high watermark is committed: applies it, and sends the answers that waited for it.
    fn on_committed(&mut self, high_watermark: i64, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        if self.phase == Phase::Active {
            let committed = self.uncommitted.partition_point(|(offset, _)| *offset < high_watermark);
            for (offset, record) in self.uncommitted.drain(..committed) {
                note_registration(&mut self.committed_registration_offsets, offset, &record);
                self.committed_image.apply(offset, &record);
            }
            // As in `replay`: control records, of voters for instance, are committed too.
            self.committed_image.next_offset = self.committed_image.next_offset.max(high_watermark);
            let committed = self.deferred.partition_point(|deferred| deferred.offset < high_watermark);
            for deferred in self.deferred.drain(..committed) {
                io.fx.answer(deferred.req, deferred.response);
            }
            return Ok(());
        }
        self.replay(high_watermark, io)?;
        if self.phase == Phase::Claiming && self.may_activate() {
            self.activate(io)?;
        }
        Ok(())
    }

    /// Applies what another controller decided, or this one in an earlier life.
    fn replay(&mut self, end: i64, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let Some(quorum) = &self.quorum else { return Ok(()) };
        let from = self.committed_image.next_offset;
        // What lies below the log is in the snapshot that it begins at, which is to be loaded next.
        if end <= from.max(quorum.log().log_start_offset()) {
            return Ok(());
        }
        for (offset, record) in quorum.read_records(io.disk, from, end)? {
            note_registration(&mut self.committed_registration_offsets, offset, &record);
            self.committed_image.apply(offset, &record);
        }
        // Control records carry no metadata, but the image has seen their offsets: a snapshot may end behind one, and
        // the log before it be gone.
        self.committed_image.next_offset = self.committed_image.next_offset.max(end);
        Ok(())
    }

    /// A new leader decides only once everything of the epochs before is committed and replayed.
    /// Source: `KafkaRaftClient.maybeFireLeaderChange`. Zoo: `leader-callback-before-catchup` (KAFKA-15345) decides at
    /// once, on what it happens to know.
    fn may_activate(&self) -> bool {
        self.setup.zoo.on(Switch::LeaderCallbackBeforeCatchup)
            || !QuorumRule::NewControllerReplaysFirst.holds()
            || self.quorum.as_ref().is_some_and(Quorum::has_committed_in_own_epoch)
    }

    /// Begins to decide. Every broker gets a fresh session: how long it was silent is unknown.
    /// Source: `QuorumController.claim`, `ClusterControlManager.activate`.
    fn activate(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let Some(quorum) = &self.quorum else { return Ok(()) };
        self.image = self.committed_image.clone();
        self.registration_offsets = self.committed_registration_offsets.clone();
        self.sessions = Sessions::new(ms(self.setup.config.broker_session_timeout_ms));
        for (broker, registration) in &self.image.brokers {
            let since = if BrokerRule::NewControllerBeginsSessionsAnew.holds() { io.now.mono } else { 0 };
            self.sessions.restart(since, *broker, registration.fenced);
        }
        self.phase = Phase::Active;
        self.last_append = io.now.mono;
        io.fx.record(Event::ControllerActive { epoch: quorum.epoch(), log_end_offset: quorum.log().log_end_offset() });
        self.periodic.activate(io.now.mono, &self.setup.config);
        if !self.cluster().has_bootstrap_records() {
            let bootstrap = rules::eligible_leaders::bootstrap_records(&self.setup.config);
            self.write(Decision::of(bootstrap), io)?;
        }
        Ok(())
    }

    /// Another leads, or nobody: what was decided and not committed is undone here, whatever may become of it in the log.
    /// Source: `QuorumController.renounce`.
    fn stand_down(&mut self, epoch: i32, io: &mut Io<'_, '_>) {
        if !QuorumRule::LostLeadershipReverts.holds() {
            return;
        }
        let was_active = self.phase == Phase::Active;
        self.phase = Phase::Standby;
        self.image = MetadataImage::default();
        self.registration_offsets.clear();
        self.uncommitted.clear();
        self.sessions = Sessions::new(ms(self.setup.config.broker_session_timeout_ms));
        if was_active {
            let reverted_to = self.high_watermark().max(0);
            io.fx.record(Event::ControllerStoodDown { epoch, reverted_to });
        }
        for deferred in self.deferred.drain(..).filter(|_| QuorumRule::LostLeadershipRefusesWhatWaits.holds()) {
            io.fx.answer(deferred.req, deferred.refusal);
        }
    }

    /// Makes a decision come true: records appended, applied to the speculative image, told to the trace.
    fn write(&mut self, decision: Decision, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        for refusal in &decision.refusals {
            io.fx.record(refusal.clone());
        }
        let Some(quorum) = &mut self.quorum else { return Ok(()) };
        if decision.records.is_empty() {
            return Ok(());
        }
        let base_offset = match QuorumRule::OneEventIsOneBatch.holds() {
            true => quorum.append(&decision.records, io)?,
            false => {
                let base_offset = quorum.log().log_end_offset();
                decision.records.chunks(1).try_for_each(|record| quorum.append(record, io).map(|_| ()))?;
                base_offset
            }
        };
        self.last_append = io.now.mono;
        events::apply_and_record(&mut self.image, base_offset, &decision, io.fx);
        for (offset, record) in (base_offset..).zip(decision.records) {
            note_registration(&mut self.registration_offsets, offset, &record);
            if let MetadataRecord::RegisterBroker { broker, fenced, .. } = &record {
                self.sessions.restart(io.now.mono, *broker, *fenced);
            }
            self.uncommitted.push_back((offset, record));
        }
        Ok(())
    }

    /// Answers once everything appended so far is committed: even an answer that wrote nothing may tell of what an
    /// earlier request did. Source: `QuorumController.ControllerWriteEvent.run`, `DeferredEventQueue`.
    fn answer_when_committed(
        &mut self,
        req: ReqId,
        response: ResponseKind,
        refusal: ResponseKind,
        fx: &mut Effects<'_>,
    ) {
        let offset = self.last_offset();
        if offset < self.high_watermark() || !QuorumRule::AnswersWaitForTheCommit.holds() {
            fx.answer(req, response);
        } else {
            self.deferred.push_back(Deferred { offset, req, response, refusal });
        }
    }

    /// What the rules see.
    fn cluster(&self) -> Cluster<'_> {
        Cluster { image: &self.image, config: &self.setup.config, zoo: self.setup.zoo }
    }

    fn last_offset(&self) -> i64 {
        self.log().map_or(0, Log::log_end_offset) - 1
    }

    fn on_tick(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        self.tick_is_deferred = false;
        if let Some(quorum) = &mut self.quorum {
            quorum.on_tick(io)?;
            self.on_quorum_events(io)?;
        }
        if self.phase == Phase::Active {
            self.maybe_fence_one_stale_broker(io)?;
            self.run_periodic_tasks(io)?;
            if self.no_op_is_due_at().is_some_and(|due| due <= io.now.mono) {
                self.write(Decision::of(vec![MetadataRecord::NoOp]), io)?;
            }
            self.on_quorum_events(io)?;
        }
        if let Some(why) = self.quorum.as_ref().and_then(|quorum| quorum.shutdown_is_complete(io.now.mono)) {
            self.phase = Phase::Halted;
            io.fx.record(Event::ShutDownCleanly);
            io.fx.halt(why.to_string());
        }
        Ok(())
    }

    /// One broker per controller event, so that the elections for the next see what became of this one.
    /// Source: `ReplicationControlManager.maybeFenceOneStaleBroker`.
    fn maybe_fence_one_stale_broker(&mut self, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        let Some(broker) = self.sessions.find_one_stale_broker(io.now.mono) else { return Ok(()) };
        let mut records = self.cluster().handle_broker_fenced(broker);
        self.sessions.fence(broker);
        while !BrokerRule::OneBrokerIsFencedPerEvent.holds()
            && let Some(next) = self.sessions.find_one_stale_broker(io.now.mono)
        {
            records.extend(self.cluster().handle_broker_fenced(next));
            self.sessions.fence(next);
        }
        self.write(Decision::of(records), io)
    }

    /// When an idle controller writes a NoOp record, whose commit shows brokers that it is alive (KIP-835).
    fn no_op_is_due_at(&self) -> Option<Nanos> {
        let interval = self.setup.config.metadata_max_idle_interval_ms;
        (interval > 0).then(|| self.last_append.saturating_add(ms(interval)))
    }

    fn try_handle(&mut self, input: Input, io: &mut Io<'_, '_>) -> Result<(), QuorumError> {
        match input {
            Input::Start { incarnation } if self.phase == Phase::NotStarted => self.start(incarnation, io),
            Input::Deadline => {
                if !self.tick_is_deferred {
                    self.tick_is_deferred = true;
                    io.fx.defer(Lane::Raft, LocalStep::Controller(Step::Tick));
                }
                Ok(())
            }
            Input::Local(LocalStep::Controller(Step::Tick)) => self.on_tick(io),
            Input::Request { req, conn, header, body } => {
                let request = Request { req, conn, api_version: header.api_version, body };
                self.on_request(request, io)?;
                self.on_quorum_events(io)
            }
            Input::Synced { .. }
            | Input::Opened { .. }
            | Input::DialFailed { .. }
            | Input::Closed { .. }
            | Input::Response { .. } => {
                let Some(quorum) = &mut self.quorum else { return Ok(()) };
                quorum.on_input(input, io)?;
                self.on_quorum_events(io)
            }
            Input::Command { command: Command::ShutDown, .. } => {
                let Some(quorum) = &mut self.quorum else { return Ok(()) };
                quorum.begin_shutdown(io)?;
                self.on_quorum_events(io)
            }
            Input::Start { .. } | Input::Local(_) | Input::Command { .. } => Ok(()),
        }
    }
}

fn note_registration(offsets: &mut RegistrationOffsets, offset: i64, record: &MetadataRecord) {
    if let MetadataRecord::RegisterBroker { broker, .. } = record {
        offsets.insert(*broker, offset);
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
        let mut io = Io { now, disk, fx };
        if let Err(error) = self.try_handle(input, &mut io) {
            self.phase = Phase::Halted;
            io.fx.halt(error.to_string());
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
