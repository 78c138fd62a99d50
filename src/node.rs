//! The one contract of a node: what a host feeds it, what it may ask of the host, and what each side promises.
//!
//! # What the host promises a node
//!
//! 1. `Input::Start` comes first and once. Nothing that was meant for an earlier incarnation reaches this one: no
//!    response, no sync, no step, no request from a connection opened to a predecessor.
//! 2. Inputs of one [`Lane`] are handled in the order in which they became ready; inputs of different lanes interleave
//!    freely. A lane is busy while its last handler's charged work and disk time last; others go on.
//! 3. A connection is an ordered byte stream. The accepting side gets one [`Input::Request`] of a connection at a time:
//!    the next is handled only after this one was answered, settled or hung up (Kafka mutes the channel). The dialing
//!    side gets responses in the order of its calls. When a connection ends, every call in flight on it is answered
//!    with [`CallError::Disconnected`], in order, *before* [`Input::Closed`].
//! 4. Each `sync` is answered by one [`Input::Synced`] with its ticket: the targets' state *as of the moment of
//!    asking* is then durable, or the error says that it may not be.
//! 5. `Input::Deadline` comes no earlier than the node's `next_deadline` and is not lost; it may come late.
//! 6. `Now::mono` never goes back within an incarnation. `Now::wall` may jump either way at any time.
//! 7. Effects are carried out in the order of their making, and only if the handler returned: a node that dies inside
//!    a handler (its disk dies at operation k) has done its disk operations up to k and none of its effects.
//!
//! # What a node promises the host
//!
//! 1. `handle` is a pure function of the node, the input, the time, the disk's answers and the host's randomness. It
//!    terminates, never blocks and never panics on anything that comes from outside.
//! 2. Each request is settled exactly once: by `answer`, `settle_silently` (acks=0) or `hang_up` of its connection.
//! 3. Timeouts use `mono`; record timestamps and replica lag use `wall`.
//! 4. The node is `Clone`, and a clone behaves like the original: deferred work stands in plain enums in its state.
//! 5. Everything random is asked of the host with a purpose, so that a forked run can be reseeded.
//! 6. Every state change is recorded as an [`Event`]; its causes are the input's cause and those named explicitly.

use bytes::Bytes;
use kafka_protocol::messages::{RequestKind, ResponseKind};
use serde::{Deserialize, Serialize};
use trial_storage::{Disk, DiskError, SyncTarget};
use uuid::Uuid;

use crate::event::Event;
use crate::ids::{Topic, TopicPartition};

/// A span or instant of monotonic time, in nanoseconds. The zero is the host's.
pub type Nanos = u64;
/// Wall-clock time in milliseconds since the Unix epoch.
pub type Millis = i64;

/// Nanoseconds of `ms` milliseconds; negative values (Kafka's "none") count as zero.
pub const fn ms(ms: i64) -> Nanos {
    if ms < 0 { 0 } else { (ms as u64).saturating_mul(1_000_000) }
}

/// The two clocks of a node at the moment of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time in nanoseconds: for timeouts.
    pub mono: Nanos,
    /// Wall time in milliseconds: for record timestamps and replica lag.
    pub wall: Millis,
}

/// Kafka's threads as far as they can stand still independently. FIFO inside a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Timers only look at the clock and defer steps to the lane concerned. Never busy, but paused with the process.
    Timer,
    /// Request handlers (`KafkaRequestHandlerPool`), and a client's only lane.
    Request,
    /// Broker registration and heartbeats (`BrokerLifecycleManager`).
    Heartbeat,
    /// A replica fetcher (`ReplicaFetcherThread`), by a number below [`Lane::FETCHERS`] that the broker gives it while it
    /// lives: each is a thread of its own, and one that is stuck does not stop the others.
    Fetcher(u8),
    /// Replay and publishing of metadata (`MetadataLoader`), and AlterPartition (`AlterPartitionManager`).
    Metadata,
    /// Log maintenance: flush, checkpoints, recovery (`LogManager`).
    Log,
    /// The metadata quorum (`KafkaRaftClient`) and the controller's event queue.
    Raft,
    /// The coordinators of consumer groups (`MultiThreadedEventProcessor`, `group.coordinator.threads`).
    Groups,
}

impl Lane {
    /// How many replica fetchers can have a lane of their own. Where a broker has more, some share one.
    pub const FETCHERS: u8 = 8;
    /// How many lanes there are.
    pub const COUNT: usize = 7 + Lane::FETCHERS as usize;
    /// All lanes; [`Lane::index`] is the place of each.
    pub const ALL: [Lane; Lane::COUNT] = {
        let mut all = [Lane::Timer; Lane::COUNT];
        (all[1], all[2], all[3], all[4], all[5]) =
            (Lane::Request, Lane::Heartbeat, Lane::Metadata, Lane::Log, Lane::Raft);
        let mut n = 0;
        while n < Lane::FETCHERS {
            all[6 + n as usize] = Lane::Fetcher(n);
            n += 1;
        }
        all[6 + Lane::FETCHERS as usize] = Lane::Groups;
        all
    };
    /// Its place in [`Lane::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Lane::Timer => 0,
            Lane::Request => 1,
            Lane::Heartbeat => 2,
            Lane::Metadata => 3,
            Lane::Log => 4,
            Lane::Raft => 5,
            Lane::Fetcher(n) => 6 + (n % Lane::FETCHERS) as usize,
            Lane::Groups => 6 + Lane::FETCHERS as usize,
        }
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);
    };
}
id!(
    /// A connection as one of its two ends knows it; given by the host, never used twice by one incarnation.
    ConnId
);
id!(
    /// A request that a node must settle.
    ReqId
);
id!(
    /// A call whose response a node waits for.
    CallId
);
id!(
    /// A sync under way.
    Ticket
);
id!(
    /// An operation of a client, from a workload, an application or the command line.
    OpId
);
id!(
    /// An event of the trace, numbered from 1 in the order of recording. 0 is "no cause".
    EventId
);

impl EventId {
    /// The id that stands for "no event".
    pub const NONE: EventId = EventId(0);
}

/// Where to dial: a name the host resolves and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// What a connection is for. Nodes use separate connections by purpose, since each may be slow on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// A client's connection to a broker.
    Client,
    /// A follower's fetches.
    Fetcher,
    /// Broker registration and heartbeat.
    Heartbeat,
    /// A leader's AlterPartition.
    AlterPartition,
    /// An observer's or voter's fetches of the metadata log, votes.
    Raft,
    /// A request a broker forwards to the controller (CreateTopics and the like).
    Forwarding,
}

impl Purpose {
    /// All, with the names that scenario files and logs use.
    pub const NAMES: [(&'static str, Purpose); 6] = [
        ("client", Purpose::Client),
        ("fetcher", Purpose::Fetcher),
        ("heartbeat", Purpose::Heartbeat),
        ("alter-partition", Purpose::AlterPartition),
        ("raft", Purpose::Raft),
        ("forwarding", Purpose::Forwarding),
    ];

    /// The name in scenario files and logs.
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Client => "client",
            Purpose::Fetcher => "fetcher",
            Purpose::Heartbeat => "heartbeat",
            Purpose::AlterPartition => "alter-partition",
            Purpose::Raft => "raft",
            Purpose::Forwarding => "forwarding",
        }
    }
}

/// What randomness is for; part of the draw, so that changing one use does not reshuffle another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RandomFor {
    /// A new topic's id.
    TopicId,
    /// Replica placement's starting point and shift.
    Placement,
    /// The sticky partitioner's next partition.
    StickyPartition,
    /// Jitter of a retry or reconnect backoff.
    Backoff,
    /// Which broker to ask for metadata.
    LeastLoadedBroker,
    /// Election timeouts.
    Election,
    /// A member id of a consumer group.
    MemberId,
    /// A fetch session's id.
    FetchSession,
}

/// On which of a process's listeners a connection was accepted: a process with both roles has one for each
/// (`controller.listener.names`). The host knows it by the port; on a process with one role it is always that role's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listener {
    /// The broker's: clients and other brokers.
    Broker,
    /// The controller's: brokers and other controllers.
    Controller,
}

/// Header of a request, as far as a handler needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The listener it came in by.
    pub listener: Listener,
    /// Version of the request and of its response.
    pub api_version: i16,
    /// What the client calls itself, possibly empty.
    pub client_id: String,
    /// Where the client is, as Kafka shows it: `/127.0.0.1`.
    pub client_host: String,
}

/// Why a call has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The connection ended before the response came.
    Disconnected,
    /// The peer's answer could not be decoded.
    Undecodable,
}

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Input {
    /// The process starts, with a fresh incarnation id, on the disk its predecessors left.
    Start {
        /// Random id of this incarnation (KIP-631).
        incarnation: Uuid,
    },
    /// The time named by `next_deadline` has come.
    Deadline,
    /// A connection this node dialed is open.
    Opened {
        /// Which one.
        conn: ConnId,
    },
    /// A connection this node dialed could not be opened.
    DialFailed {
        /// Which one.
        conn: ConnId,
    },
    /// A connection this node dialed has ended. Its calls were answered before.
    Closed {
        /// Which one.
        conn: ConnId,
    },
    /// A request to settle.
    Request {
        /// Name of the request, for settling it.
        req: ReqId,
        /// The accepted connection it came on.
        conn: ConnId,
        /// Version and client id.
        header: RequestHeader,
        /// The request.
        body: Box<RequestKind>,
    },
    /// The end of a call.
    Response {
        /// Which call.
        call: CallId,
        /// The connection it was made on.
        conn: ConnId,
        /// The response or why there is none.
        result: Result<Box<ResponseKind>, CallError>,
    },
    /// The end of a sync.
    Synced {
        /// Which sync.
        ticket: Ticket,
        /// Whether its targets are durable.
        result: Result<(), DiskError>,
    },
    /// A step this node deferred to itself.
    Local(LocalStep),
    /// An operation asked of a client.
    Command {
        /// Name of the operation, for delivering its outcome.
        op: OpId,
        /// What is asked.
        command: Command,
    },
}

/// A deferred step of whichever node; each kind of node has its own.
#[derive(Clone, Debug)]
pub enum LocalStep {
    /// A broker's.
    Broker(crate::broker::Step),
    /// A controller's.
    Controller(crate::controller::Step),
    /// A client's.
    Client(crate::client::Step),
    /// A process's with both roles.
    Combined(crate::combined::Step),
}

/// What a workload, an application or the command line asks of a client.
#[derive(Clone, Debug)]
pub enum Command {
    /// Send one record. Settled by [`Outcome::Produced`].
    Produce {
        /// The topic.
        topic: Topic,
        /// The partition, or `None` to let the partitioner choose.
        partition: Option<i32>,
        /// The key: same key, same partition.
        key: Option<Bytes>,
        /// The value.
        value: Option<Bytes>,
        /// Record headers, in order.
        headers: Vec<(String, Bytes)>,
    },
    /// Consume these partitions from now on, from the given offsets (`None`: by auto.offset.reset). Answered by
    /// [`Outcome::Done`].
    Assign {
        /// Partitions and positions.
        partitions: Vec<(TopicPartition, Option<i64>)>,
    },
    /// Go on elsewhere in a partition that is assigned. Answered by [`Outcome::Done`] at once: where an offset must be
    /// found first, the next poll waits for it.
    Seek {
        /// The partition.
        partition: TopicPartition,
        /// Where to.
        to: SeekTo,
    },
    /// Consume as a member of the group of `group.id`, in place of what was assigned or subscribed to before. Answered by
    /// [`Outcome::Done`] at once: the group is joined by the next polls. Refused without a `group.id`.
    Subscribe {
        /// To what.
        to: Subscription,
    },
    /// Leave the group and consume nothing (`KafkaConsumer.unsubscribe`). Answered by [`Outcome::Done`].
    Unsubscribe,
    /// Hand out nothing of these partitions until they are resumed; they stay assigned. Answered by [`Outcome::Done`], or
    /// refused where one is not assigned.
    Pause {
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// Take the pause of these partitions back. Answered as [`Command::Pause`].
    Resume {
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// Commit offsets to the group. Answered by [`Outcome::Done`] when they are committed, or [`Outcome::Refused`].
    Commit {
        /// The next offset to read, per partition; `None`: the positions of everything assigned.
        offsets: Option<Vec<(TopicPartition, i64)>>,
        /// As `commitSync`: tried again until the time-out of `default.api.timeout.ms`; else as `commitAsync`: once.
        wait: bool,
    },
    /// The group's committed offsets. Answered by [`Outcome::Committed`], or [`Outcome::Refused`].
    Committed {
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// Hand out what was fetched; waits up to `max_wait_ms` for at least one record. Answered by
    /// [`Outcome::Polled`], or by [`Outcome::Refused`] where Kafka's poll throws: the member is fenced for good, or the group
    /// does not take it. At most one poll may be pending.
    Poll {
        /// Longest wait, in milliseconds.
        max_wait_ms: i64,
    },
    /// Create a topic. Answered by [`Outcome::Done`] or [`Outcome::Refused`].
    CreateTopic {
        /// Its name.
        topic: Topic,
        /// Number of partitions.
        partitions: i32,
        /// Replicas of each partition.
        replication_factor: i16,
        /// Explicit replica assignment per partition, or empty to let the controller place them.
        assignments: Vec<Vec<i32>>,
        /// Topic configs by Kafka's names.
        configs: Vec<(String, String)>,
    },
    /// Delete a topic. Answered by [`Outcome::Done`] or [`Outcome::Refused`].
    DeleteTopic {
        /// Its name.
        topic: Topic,
    },
    /// Give a topic more partitions. Answered by [`Outcome::Done`] or [`Outcome::Refused`].
    CreatePartitions {
        /// Its name.
        topic: Topic,
        /// Partitions it is to have in all.
        count: i32,
    },
    /// Change configs at run time. Answered by [`Outcome::Done`] or [`Outcome::Refused`].
    AlterConfigs {
        /// Whose.
        resource: ConfigResource,
        /// Names and values; without a value the config is removed, and the next default holds.
        changes: Vec<(String, Option<String>)>,
    },
    /// Elect leaders. Answered by [`Outcome::Done`], also where none is needed, or [`Outcome::Refused`].
    ElectLeaders {
        /// Which kind of election.
        election: ElectionType,
        /// Of these partitions; empty: of all.
        partitions: Vec<TopicPartition>,
    },
    /// Move a partition to other brokers (KIP-455). [`Outcome::Done`] says that it has begun.
    Reassign {
        /// The partition.
        partition: TopicPartition,
        /// Its replicas, the preferred leader first; `None` cancels the reassignment under way.
        replicas: Option<Vec<i32>>,
    },
    /// Delete a group that has no members, with its offsets. Answered by [`Outcome::Done`] or [`Outcome::Refused`].
    DeleteGroup {
        /// Its id.
        group: String,
    },
    /// Delete a group's offsets of a topic that it does not consume. Answered by [`Outcome::Done`] or [`Outcome::Refused`].
    DeleteOffsets {
        /// The group's id.
        group: String,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// Delete the records of a partition below an offset (KIP-107). Answered by [`Outcome::Offset`] with the low watermark,
    /// or [`Outcome::Refused`].
    DeleteRecords {
        /// The partition.
        partition: TopicPartition,
        /// Where its log is to begin; -1 at the high watermark.
        before: i64,
    },
    /// Make a controller a voter of the metadata quorum (KIP-853). Answered by [`Outcome::Done`] or [`Outcome::Refused`].
    AddVoter {
        /// Its `node.id`.
        id: i32,
        /// The `directory.id` of its metadata log directory.
        directory_id: Uuid,
        /// Where controllers reach it.
        endpoint: Endpoint,
    },
    /// Make a voter of the metadata quorum none (KIP-853). Answered by [`Outcome::Done`] or [`Outcome::Refused`].
    RemoveVoter {
        /// Its `node.id`.
        id: i32,
        /// The `directory.id` by which it is a voter.
        directory_id: Uuid,
    },
    /// Earliest (-2) or latest (-1) offset of a partition. Answered by [`Outcome::Offset`].
    ListOffset {
        /// The partition.
        partition: TopicPartition,
        /// -2 earliest, -1 latest, -3 the record with the largest timestamp, else the first offset at or after this timestamp in milliseconds.
        timestamp: i64,
    },
    /// Settle everything pending as it stands and stop. Answered by [`Outcome::Done`].
    Close,
    /// To a server: shut down in an orderly way, as on SIGTERM. It ends with [`Effect::Halt`]; no outcome is delivered.
    ShutDown,
}

/// What a consumer of a group is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// These topics.
    Topics(Vec<Topic>),
    /// The topics whose whole names match a regular expression. With `group.protocol=classic` the client looks which these
    /// are (`java.util.regex.Pattern`), with `consumer` the coordinator does (KIP-848, `SubscriptionPattern`).
    Pattern(String),
}

/// What a rebalance listener is told (`ConsumerRebalanceListener`). The listener is whoever polls: a poll that tells of a
/// change is answered at once, and the consumer goes on with the rebalance when the next one comes. What is done between
/// the two (a [`Command::Commit`], say) is done inside the callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalanced {
    /// `onPartitionsRevoked`: they still belong to the consumer until the next poll.
    Revoked {
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// `onPartitionsLost`: they belong to somebody else already, perhaps.
    Lost {
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// `onPartitionsAssigned`: these are added to what it has.
    Assigned {
        /// The partitions, possibly none.
        partitions: Vec<TopicPartition>,
        /// The generation, or the member epoch.
        generation: i32,
    },
}

/// A place in a partition, for a consumer (`seek`, `seekToBeginning`, `seekToEnd`, `offsetsForTimes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// This offset.
    Offset(i64),
    /// The log's start.
    Earliest,
    /// The high watermark.
    Latest,
    /// The first record at or after this time; the high watermark if there is none.
    Timestamp(Millis),
}

/// Whose configs are changed (`ConfigResource`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic's.
    Topic(Topic),
    /// A broker's.
    Broker(i32),
    /// Those that hold for every broker without one of its own.
    AllBrokers,
}

/// What an election may do (`org.apache.kafka.common.ElectionType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionType {
    /// Give leadership to the first assigned replica, if it is in sync.
    Preferred = 0,
    /// Make a replica leader that may lack committed records, where there is no leader.
    Unclean = 1,
}

/// A record as a consumer hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// Where it stands.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: i64,
    /// Leader epoch of its batch.
    pub leader_epoch: i32,
    /// Timestamp in milliseconds.
    pub timestamp: Millis,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
}

/// What a producer was told, folded over all attempts of a record (checker.md, "A client's belief").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belief {
    /// Acknowledged: at this offset, if the protocol told one.
    Acked {
        /// The offset, -1 if not told.
        offset: i64,
    },
    /// Every attempt was refused before the append could happen.
    Failed,
    /// At least one attempt ended without the client knowing whether it was written.
    Unknown,
    /// Sent with acks=0: nothing was ever promised.
    Unpromised,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A send is settled.
    Produced {
        /// Where it was sent; `None` if no partition was ever chosen.
        partition: Option<TopicPartition>,
        /// What the producer knows.
        belief: Belief,
        /// Requests this record was part of.
        attempts: u32,
        /// The last error's Kafka name, if any.
        error: Option<String>,
    },
    /// Records, possibly none if the wait ran out.
    Polled {
        /// In order per partition.
        records: Vec<ConsumedRecord>,
        /// Partitions whose position had to be reset, with Kafka's error name.
        errors: Vec<(TopicPartition, String)>,
        /// What the rebalance listener is told, in order.
        rebalanced: Vec<Rebalanced>,
    },
    /// Committed offsets; -1 where there is none.
    Committed {
        /// In the order of the question.
        offsets: Vec<(TopicPartition, i64)>,
    },
    /// An offset.
    Offset {
        /// The offset asked for, -1 if there is none.
        offset: i64,
        /// Leader epoch of that offset, -1 if unknown.
        leader_epoch: i32,
    },
    /// Done.
    Done,
    /// Refused, with Kafka's error name.
    Refused {
        /// For instance `TOPIC_ALREADY_EXISTS`.
        error: String,
    },
}

/// An effect for the host to carry out.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Open a connection.
    Dial {
        /// Its name on this side.
        conn: ConnId,
        /// Where to.
        endpoint: Endpoint,
        /// What for.
        purpose: Purpose,
    },
    /// End a connection this node dialed.
    Close {
        /// Which one.
        conn: ConnId,
    },
    /// Send a request on a dialed connection.
    Call {
        /// Its name.
        call: CallId,
        /// On which connection.
        conn: ConnId,
        /// At which version.
        version: i16,
        /// The request.
        request: Box<RequestKind>,
        /// False for acks=0: the peer will not answer, and the call ends with sending.
        wants_response: bool,
    },
    /// Answer a request.
    Answer {
        /// Which one.
        req: ReqId,
        /// The response, encoded at the request's version.
        response: Box<ResponseKind>,
    },
    /// The request is handled and gets no answer (acks=0).
    SettleSilently {
        /// Which one.
        req: ReqId,
    },
    /// End an accepted connection; its open request counts as settled.
    HangUp {
        /// Which one.
        conn: ConnId,
    },
    /// Make these durable.
    Sync {
        /// Name of the sync.
        ticket: Ticket,
        /// Files and directories.
        targets: Vec<SyncTarget>,
    },
    /// Come back in that lane, after what stands there already.
    Defer {
        /// The lane.
        lane: Lane,
        /// The step.
        step: LocalStep,
    },
    /// An operation of a client has ended.
    Deliver {
        /// Which one.
        op: OpId,
        /// How.
        outcome: Outcome,
    },
    /// The process ends itself.
    Halt {
        /// Why, for the trace.
        why: String,
    },
}

/// What a host answers at once while a node handles an input.
pub trait Host {
    /// A number never given before to this incarnation, for connections, calls and tickets.
    fn fresh(&mut self) -> u64;
    /// 64 random bits for a purpose.
    fn random(&mut self, purpose: RandomFor) -> u64;
    /// Writes an event into the trace, caused by the current cause and by these; it becomes the current cause of what
    /// follows in this handler.
    fn record(&mut self, event: Event, also_because: &[EventId]) -> EventId;
    /// Carries out an effect after the handler has returned.
    fn effect(&mut self, effect: Effect);
    /// The handler used this much CPU time.
    fn charge(&mut self, work: Nanos);
}

/// What a node may ask while it handles an input.
pub struct Effects<'a> {
    host: &'a mut dyn Host,
}

impl<'a> Effects<'a> {
    /// Effects that go to this host.
    pub fn new(host: &'a mut dyn Host) -> Self {
        Effects { host }
    }
    /// Whom the effects go to, for a node that puts something between a part of it and its host.
    pub(crate) fn host(&mut self) -> &mut dyn Host {
        self.host
    }
    /// Opens a connection; answered by `Opened` or `DialFailed`.
    pub fn dial(&mut self, endpoint: Endpoint, purpose: Purpose) -> ConnId {
        let conn = ConnId(self.host.fresh());
        self.host.effect(Effect::Dial { conn, endpoint, purpose });
        conn
    }
    /// Ends a connection this node dialed; answered by its calls' errors and `Closed`.
    pub fn close(&mut self, conn: ConnId) {
        self.host.effect(Effect::Close { conn });
    }
    /// Sends a request; answered by `Response`.
    pub fn call(&mut self, conn: ConnId, version: i16, request: RequestKind) -> CallId {
        self.send(conn, version, request, true)
    }
    /// Sends a request that the peer does not answer (Produce with acks=0). No `Response` comes.
    pub fn call_without_response(&mut self, conn: ConnId, version: i16, request: RequestKind) -> CallId {
        self.send(conn, version, request, false)
    }
    fn send(&mut self, conn: ConnId, version: i16, request: RequestKind, wants_response: bool) -> CallId {
        let call = CallId(self.host.fresh());
        self.host.effect(Effect::Call { call, conn, version, request: Box::new(request), wants_response });
        call
    }
    /// Answers a request.
    pub fn answer(&mut self, req: ReqId, response: ResponseKind) {
        self.host.effect(Effect::Answer { req, response: Box::new(response) });
    }
    /// Settles a request that gets no answer.
    pub fn settle_silently(&mut self, req: ReqId) {
        self.host.effect(Effect::SettleSilently { req });
    }
    /// Ends an accepted connection.
    pub fn hang_up(&mut self, conn: ConnId) {
        self.host.effect(Effect::HangUp { conn });
    }
    /// Asks that the targets' present state become durable; answered by `Synced`.
    pub fn sync(&mut self, targets: Vec<SyncTarget>) -> Ticket {
        let ticket = Ticket(self.host.fresh());
        self.host.effect(Effect::Sync { ticket, targets });
        ticket
    }
    /// Comes back in a lane, after what stands there already.
    pub fn defer(&mut self, lane: Lane, step: LocalStep) {
        self.host.effect(Effect::Defer { lane, step });
    }
    /// Tells the outcome of an operation.
    pub fn deliver(&mut self, op: OpId, outcome: Outcome) {
        self.host.effect(Effect::Deliver { op, outcome });
    }
    /// 64 random bits for a purpose.
    pub fn random(&mut self, purpose: RandomFor) -> u64 {
        self.host.random(purpose)
    }
    /// A random number below `bound` (at least 1), without caring for the bias of at most bound / 2^64.
    pub fn random_below(&mut self, purpose: RandomFor, bound: u64) -> u64 {
        ((u128::from(self.host.random(purpose)) * u128::from(bound)) >> 64) as u64
    }
    /// Accounts for CPU time: the lane is busy that much longer.
    pub fn charge(&mut self, work: Nanos) {
        self.host.charge(work);
    }
    /// Writes an event into the trace.
    pub fn record(&mut self, event: Event) -> EventId {
        self.host.record(event, &[])
    }
    /// Writes an event into the trace, with causes beyond the input's.
    pub fn record_because(&mut self, event: Event, also_because: &[EventId]) -> EventId {
        self.host.record(event, also_because)
    }
    /// Ends this process.
    pub fn halt(&mut self, why: String) {
        self.host.effect(Effect::Halt { why });
    }
}

/// A broker, a controller or a client. See the module documentation for the contract.
pub trait Node: Clone {
    /// The lane in which this input is to be handled.
    fn lane(&self, input: &Input) -> Lane;
    /// Handles one input.
    fn handle(&mut self, now: Now, input: Input, disk: &mut dyn Disk, fx: &mut Effects<'_>);
    /// When to send `Input::Deadline`, in monotonic time; `None`: not at all.
    fn next_deadline(&self) -> Option<Nanos>;
}
