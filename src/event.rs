//! The trace's vocabulary: every state change is one typed event with one English sentence.
//!
//! A sentence speaks of its subject in the third person without naming it; whoever prints it puts the node's name in
//! front: `b1` + `appended offsets 40 to 42 of orders-0 as leader in epoch 3`.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{BrokerId, NO_BROKER, TopicPartition};
use crate::node::{OpId, Purpose};

/// Why a log was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TruncationReason {
    /// The leader's history ended this epoch earlier (KIP-101, KIP-595 diverging epoch).
    DivergingEpoch,
    /// Offset out of range on the leader: its log end is below ours.
    OutOfRange,
    /// Offset out of range: everything we have is below the leader's log start.
    BehindLogStart,
    /// The leader's log starts within a batch, and an empty log that starts there too takes that batch whole.
    BatchSpansLogStart,
    /// The rule before KIP-101 (zoo switch `truncate-to-hw`).
    ToHighWatermark,
}

/// Why a log begins later than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LogStartReason {
    /// A client had the records below deleted (KIP-107).
    DeleteRecords,
    /// They were older than `retention.ms`.
    RetentionTime,
    /// The log was larger than `retention.bytes`.
    RetentionSize,
    /// The leader's log begins there.
    Leader,
}

/// How a partition got its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ElectionKind {
    /// From the in-sync replicas.
    Clean,
    /// The preferred (first assigned) replica took over again.
    Preferred,
    /// From the eligible leader replicas (KIP-966).
    Eligible,
    /// The last known leader, ISR and ELR being empty (KIP-966).
    LastKnownLeader,
    /// From outside, by unclean.leader.election.enable.
    Unclean,
}

/// A fault as the World carries it out; nodes are named as in scenario files (`b1`, `c1`, `p1` …).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The process dies; the page cache stays.
    Crash,
    /// The host loses power: what was not durable is lost.
    PowerLoss {
        /// Bytes that were written and are gone.
        lost_bytes: u64,
    },
    /// The process starts again.
    Restart,
    /// The process stands still (garbage collection, SIGSTOP).
    Pause,
    /// It goes on.
    Resume,
    /// Nothing passes from this node to the other.
    Cut {
        /// The other node.
        to: String,
    },
    /// What was cut passes again.
    Mend {
        /// The other node.
        to: String,
    },
    /// Messages from this node to the other take this much longer.
    SlowLink {
        /// The other node.
        to: String,
        /// Only on connections of this purpose; all, if none is named.
        purpose: Option<Purpose>,
        /// Added delay in milliseconds.
        by_ms: u64,
    },
    /// Disk operations take this much longer.
    SlowDisk {
        /// Added time per operation in microseconds; 0: back to normal.
        by_us: u64,
    },
    /// Disk operations do not end for a while.
    StallDisk {
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The node's fetches are slow.
    SlowFetch {
        /// Added delay of each fetch in milliseconds; 0: back to normal.
        by_ms: u64,
    },
    /// The wall clock jumps.
    ClockJump {
        /// By so many milliseconds, possibly back.
        by_ms: i64,
    },
    /// The process is dead, its disk replaced by an empty one.
    ReplaceDisk {
        /// Bytes that were on the old one.
        lost_bytes: u64,
    },
    /// The process is dead, its disk as it was some time ago.
    RestoreDisk {
        /// How long ago, in milliseconds.
        age_ms: u64,
        /// So many bytes fewer than it had.
        lost_bytes: u64,
        /// Only the checkpoint files are of that age.
        checkpoints_only: bool,
    },
    /// The disk failed in the middle of an operation, and the process died of it.
    DiskFailed,
    /// Syncs are answered, and nothing becomes durable.
    LostSync {
        /// It begins; else syncs are true again.
        begins: bool,
    },
    /// A loss of power took what the disk had said it holds.
    SyncedBytesLost {
        /// So many bytes.
        lost_bytes: u64,
    },
    /// Metadata reaches the broker late.
    LateMetadata {
        /// By so many milliseconds; 0: in time again.
        by_ms: u64,
        /// The delay begins with records of these kinds; empty: of any.
        of: Vec<String>,
    },
}

/// One state change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the fields are Kafka's terms; each variant says what happened
pub enum Event {
    // ── the trial ────────────────────────────────────────────────────────────────────────────────────────────────
    /// The trial entered a phase of its life (warm-up, faults, perhaps core, heal, drain, read).
    Phase { name: String },
    /// A fault took effect.
    Fault(Fault),
    /// A message was lost because its connection was cut or its receiver dead.
    Dropped { what: String, to: String },
    /// A node's own assertion failed; it is dead.
    AssertionFailed { message: String },
    /// A node ended itself.
    Halted { why: String },

    // ── broker lifecycle ─────────────────────────────────────────────────────────────────────────────────────────
    /// The process is up, its logs are loaded.
    Started { incarnation: Uuid, clean: bool },
    /// A partition's log was scanned after an unclean stop.
    Recovered { partition: TopicPartition, log_end_offset: i64, discarded_bytes: u64 },
    /// The controller knows this incarnation.
    RegisteredWith { broker_epoch: i64 },
    /// An orderly shutdown has ended: logs flushed, clean-shutdown marker written.
    ShutDownCleanly,

    // ── controller ───────────────────────────────────────────────────────────────────────────────────────────────
    /// Registered a broker.
    BrokerRegistered { broker: BrokerId, broker_epoch: i64, incarnation: Uuid, clean: bool },
    /// Fenced a broker: its session ran out, or it asked for it.
    BrokerFenced { broker: BrokerId, broker_epoch: i64 },
    /// Unfenced a broker.
    BrokerUnfenced { broker: BrokerId, broker_epoch: i64 },
    /// A broker began its controlled shutdown.
    BrokerShuttingDown { broker: BrokerId, broker_epoch: i64 },
    /// Created a topic.
    TopicCreated { topic: String, topic_id: Uuid, partitions: i32, replication_factor: i16 },
    /// Placed a partition at its creation.
    PartitionCreated {
        partition: TopicPartition,
        replicas: Vec<BrokerId>,
        leader: BrokerId,
        leader_epoch: i32,
        partition_epoch: i32,
    },
    /// Changed leader (or lost it: `leader` -1).
    LeaderChanged {
        partition: TopicPartition,
        previous: BrokerId,
        leader: BrokerId,
        leader_epoch: i32,
        partition_epoch: i32,
        isr: Vec<BrokerId>,
        /// `None` if the partition has no leader now.
        election: Option<ElectionKind>,
    },
    /// Changed the in-sync replicas without changing the leader.
    IsrChanged {
        partition: TopicPartition,
        from: Vec<BrokerId>,
        isr: Vec<BrokerId>,
        leader_epoch: i32,
        partition_epoch: i32,
    },
    /// Refused an AlterPartition.
    AlterPartitionRefused { partition: TopicPartition, leader: BrokerId, error: String },
    /// The controller became active and replayed its log.
    ControllerActive { epoch: i32, log_end_offset: i64 },
    /// The controller is no longer active: what it had decided and not committed is undone.
    ControllerStoodDown { epoch: i32, reverted_to: i64 },
    /// Deleted a topic.
    TopicDeleted { topic: String, topic_id: Uuid },
    /// Changed a configuration; `resource` is `topic orders`, `broker 1` or `all brokers`.
    ConfigChanged { resource: String, name: String, value: Option<String> },
    /// Gave a broker producer ids to hand out, both ends included.
    ProducerIdsAllocated { broker: BrokerId, first: i64, last: i64 },
    /// Changed who may lead a partition whose in-sync replicas are too few (KIP-966).
    EligibleLeadersChanged {
        partition: TopicPartition,
        elr: Vec<BrokerId>,
        last_known_elr: Vec<BrokerId>,
        partition_epoch: i32,
    },
    /// Began, went on with or ended a reassignment (KIP-455).
    ReassignmentChanged {
        partition: TopicPartition,
        replicas: Vec<BrokerId>,
        adding: Vec<BrokerId>,
        removing: Vec<BrokerId>,
    },

    // ── metadata quorum (`KafkaRaftClient`); ids are node ids of controllers ─────────────────────────────────────
    /// Knows of an epoch and of no leader in it.
    BecameUnattached { epoch: i32 },
    /// Asks whether it could win before it raises the epoch (KIP-996).
    BecameProspective { epoch: i32 },
    /// Stands for election, its vote for itself being durable.
    BecameCandidate { epoch: i32 },
    /// Won the election.
    BecameQuorumLeader { epoch: i32, epoch_start_offset: i64, granted_by: Vec<i32> },
    /// Follows the leader of the epoch.
    BecameQuorumFollower { epoch: i32, leader: i32 },
    /// Gave up the leadership and will not lead in this epoch again.
    ResignedAsQuorumLeader { epoch: i32, why: String },
    /// Gave its vote, or said that it would (`pre_vote`).
    VoteGranted { epoch: i32, candidate: i32, pre_vote: bool },
    /// Refused its vote.
    VoteRefused { epoch: i32, candidate: i32, pre_vote: bool, why: String },
    /// Another set of voters is in force for this node: the last in its metadata log, committed or not (KIP-853). `offset` is
    /// that of its record, -1 for the voters that the cluster was formatted with. Each is a node id and a directory id.
    VotersChanged { offset: i64, voters: Vec<(i32, Uuid)> },
    /// Appended to the metadata log. Offsets are inclusive.
    MetadataAppended { first_offset: i64, last_offset: i64, epoch: i32, as_leader: bool },
    /// The metadata log's high watermark moved, as this node knows it.
    MetadataHighWatermark { from: i64, to: i64 },
    /// Cut the metadata log: `to` is the new log end offset.
    MetadataTruncated { from: i64, to: i64 },
    /// The leader told a replica that its metadata log differs.
    MetadataDivergenceFound { replica: i32, epoch: i32, end_offset: i64 },
    /// Wrote a snapshot of everything below `end_offset`, the last of which stands in `epoch`.
    SnapshotWritten { end_offset: i64, epoch: i32 },
    /// Replaced its state by a snapshot it fetched.
    SnapshotLoaded { end_offset: i64, epoch: i32 },
    /// The metadata log begins here now.
    MetadataLogStart { to: i64 },

    // ── partition on a broker ────────────────────────────────────────────────────────────────────────────────────
    /// Leads from here on.
    BecameLeader {
        partition: TopicPartition,
        leader_epoch: i32,
        partition_epoch: i32,
        isr: Vec<BrokerId>,
        leader_epoch_start_offset: i64,
        high_watermark: i64,
    },
    /// Follows.
    BecameFollower {
        partition: TopicPartition,
        leader: BrokerId,
        leader_epoch: i32,
        log_end_offset: i64,
        high_watermark: i64,
    },
    /// Appended one or more batches. Offsets are inclusive.
    Appended { partition: TopicPartition, first_offset: i64, last_offset: i64, leader_epoch: i32, as_leader: bool },
    /// An idempotent producer sent a batch that stands in the log already. Offsets are inclusive.
    DuplicateFound {
        partition: TopicPartition,
        producer_id: i64,
        producer_epoch: i16,
        first_sequence: i32,
        first_offset: i64,
        last_offset: i64,
    },
    /// Cut the log: `to` is the new log end offset.
    Truncated { partition: TopicPartition, from: i64, to: i64, reason: TruncationReason },
    /// The log begins at `to` from now on.
    LogStartMoved { partition: TopicPartition, from: i64, to: i64, why: LogStartReason },
    /// The leader told a follower that its history differs.
    DivergenceFound { partition: TopicPartition, replica: BrokerId, epoch: i32, end_offset: i64 },
    /// A follower was sent what its log cannot take, and fetches the partition no more before a new leader epoch (KIP-461).
    FetchGivenUp { partition: TopicPartition, first_offset: i64, last_offset: i64, log_end_offset: i64 },
    /// The leader learnt that a follower has everything below `log_end_offset`.
    ReplicaCaughtUpTo { partition: TopicPartition, replica: BrokerId, log_end_offset: i64 },
    /// The high watermark moved.
    HighWatermark { partition: TopicPartition, from: i64, to: i64 },
    /// The leader asks the controller to change the in-sync replicas.
    IsrChangeAsked { partition: TopicPartition, from: Vec<BrokerId>, isr: Vec<BrokerId>, partition_epoch: i32 },
    /// The leader uses new in-sync replicas, as the controller confirmed them.
    IsrAdopted { partition: TopicPartition, isr: Vec<BrokerId>, partition_epoch: i32 },
    /// Deleted a replica and its log: its topic is gone, or another one bears its name.
    ReplicaDeleted { partition: TopicPartition, topic_id: Uuid },
    /// The answer to a produce request is known for one partition; it leaves when those of all its partitions are.
    ProduceAnswered { partition: TopicPartition, acks: i16, first_offset: i64, last_offset: i64, error: Option<String> },

    // ── group coordinator (on a broker); a generation is that of a classic group, or a member epoch (KIP-848) ────
    /// Coordinates the groups of this partition of `__consumer_offsets`, having replayed its log.
    CoordinatorLoaded { partition: TopicPartition, leader_epoch: i32, log_end_offset: i64, groups: u32 },
    /// Coordinates the groups of this partition no more.
    CoordinatorUnloaded { partition: TopicPartition },
    /// A classic group agreed on a generation, or lost its last member. The leader assigns; members are their ids.
    GroupGeneration { group: String, generation: i32, leader: Option<String>, members: Vec<String> },
    /// A classic group begins a rebalance: its members have to join again.
    GroupRebalancing { group: String, generation: i32, why: String },
    /// A group of the consumer protocol has another epoch: a member came or went, or subscriptions or topics changed (KIP-848).
    GroupEpochRaised { group: String, epoch: i32 },
    /// The coordinator assigned anew what the members of a group are to have (KIP-848).
    TargetAssigned { group: String, epoch: i32 },
    /// A member of a group of the consumer protocol has another epoch, or another assignment (KIP-848).
    MemberChanged {
        group: String,
        member: String,
        epoch: i32,
        assigned: Vec<TopicPartition>,
        revoking: Vec<TopicPartition>,
    },
    /// A member is none any more.
    MemberRemoved { group: String, member: String, why: String },
    /// A group is gone, with its offsets.
    GroupRemoved { group: String },
    /// A committed offset was written, and is told when it is replicated. `member` is empty where none was told.
    OffsetWritten { group: String, partition: TopicPartition, offset: i64, member: String, generation: i32 },
    /// The answer to a commit of an offset left.
    OffsetCommitAnswered {
        group: String,
        partition: TopicPartition,
        offset: i64,
        member: String,
        generation: i32,
        error: Option<String>,
    },
    /// A committed offset is gone: it expired, or was deleted.
    OffsetRemoved { group: String, partition: TopicPartition },

    // ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────
    /// A record was handed to the producer.
    SendInvoked { op: OpId, partition: TopicPartition },
    /// A batch of records left in a produce request.
    BatchSent { partition: TopicPartition, first_op: OpId, records: u32, attempt: u32, acks: i16, to: BrokerId },
    /// A batch was acknowledged.
    BatchAcked { partition: TopicPartition, first_op: OpId, records: u32, first_offset: i64 },
    /// A batch failed for good.
    BatchFailed { partition: TopicPartition, first_op: OpId, records: u32, error: String, unknown: bool },
    /// A batch was refused or its answer lost, and will be sent again.
    BatchRetried { partition: TopicPartition, first_op: OpId, records: u32, error: String },
    /// A batch was too large for its broker, and will be sent again as so many smaller ones.
    BatchSplit { partition: TopicPartition, first_op: OpId, records: u32, into: u32 },
    /// A producer was given its id.
    ProducerIdGiven { producer_id: i64, epoch: i16 },
    /// A producer raised its own epoch; its sequences begin anew in these partitions at once, in others when they are idle.
    ProducerEpochRaised { producer_id: i64, epoch: i16, partitions: Vec<TopicPartition> },
    /// Records were handed out. Offsets are inclusive.
    Consumed { partition: TopicPartition, first_offset: i64, last_offset: i64, records: u32 },
    /// A consumer's position was reset.
    PositionReset { partition: TopicPartition, to: i64, why: String },
    /// A consumer reads from another replica than before (KIP-392).
    ReadReplicaChosen { partition: TopicPartition, broker: BrokerId, why: String },
    /// A consumer learnt who coordinates its group.
    CoordinatorFound { group: String, broker: BrokerId },
    /// A consumer is a member of this generation, or in this member epoch.
    GroupJoined { group: String, member: String, generation: i32 },
    /// A consumer is no member any more: it left, or was told so.
    GroupLeft { group: String, member: String, why: String },
    /// A consumer gave its generation up, or the one that it was joining, for a refusal of what it had asked as that member and in
    /// that generation.
    GenerationGivenUp { group: String, member: String, generation: i32, asked_as: String, asked_in: i32, error: String },
    /// A consumer was given these partitions, in addition to what it has.
    PartitionsAssigned { group: String, generation: i32, partitions: Vec<TopicPartition> },
    /// A consumer gave these partitions up.
    PartitionsRevoked { group: String, generation: i32, partitions: Vec<TopicPartition> },
    /// A consumer lost these partitions without having given them up: others may have them already.
    PartitionsLost { group: String, generation: i32, partitions: Vec<TopicPartition> },
    /// A consumer asked for these offsets to be committed: the next to read, per partition.
    CommitSent { group: String, generation: i32, offsets: Vec<(TopicPartition, i64)> },
    /// A consumer was told how a commit ended.
    CommitAnswered { group: String, generation: i32, offsets: Vec<(TopicPartition, i64)>, error: Option<String> },
    /// The application behind a consumer has processed these records. Offsets are inclusive.
    Processed { partition: TopicPartition, first_offset: i64, last_offset: i64, records: u32 },

    // ── the end of a trial ───────────────────────────────────────────────────────────────────────────────────────
    /// The faults are over, and these stay away while the rest gets on without them.
    LeftOut { nodes: Vec<String> },
}

/// How an event stands out in the short log, which shows [`Weight::State`] and above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Traffic: appends, fetch positions, acks.
    Traffic,
    /// A state change worth a line.
    State,
    /// A fault or its direct consequence.
    Fault,
}

impl Event {
    /// The partition the event is about, if it is about one.
    pub fn partition(&self) -> Option<&TopicPartition> {
        use Event::*;
        match self {
            Recovered { partition, .. }
            | PartitionCreated { partition, .. }
            | LeaderChanged { partition, .. }
            | IsrChanged { partition, .. }
            | AlterPartitionRefused { partition, .. }
            | BecameLeader { partition, .. }
            | BecameFollower { partition, .. }
            | Appended { partition, .. }
            | DuplicateFound { partition, .. }
            | Truncated { partition, .. }
            | LogStartMoved { partition, .. }
            | DivergenceFound { partition, .. }
            | FetchGivenUp { partition, .. }
            | ReplicaCaughtUpTo { partition, .. }
            | HighWatermark { partition, .. }
            | IsrChangeAsked { partition, .. }
            | IsrAdopted { partition, .. }
            | EligibleLeadersChanged { partition, .. }
            | ReassignmentChanged { partition, .. }
            | ReplicaDeleted { partition, .. }
            | ProduceAnswered { partition, .. }
            | SendInvoked { partition, .. }
            | BatchSent { partition, .. }
            | BatchAcked { partition, .. }
            | BatchFailed { partition, .. }
            | BatchRetried { partition, .. }
            | BatchSplit { partition, .. }
            | Consumed { partition, .. }
            | PositionReset { partition, .. }
            | ReadReplicaChosen { partition, .. }
            | CoordinatorLoaded { partition, .. }
            | CoordinatorUnloaded { partition, .. }
            | OffsetWritten { partition, .. }
            | OffsetCommitAnswered { partition, .. }
            | OffsetRemoved { partition, .. }
            | Processed { partition, .. } => Some(partition),
            Phase { .. }
            | LeftOut { .. }
            | Fault(_)
            | Dropped { .. }
            | AssertionFailed { .. }
            | Halted { .. }
            | Started { .. }
            | RegisteredWith { .. }
            | ShutDownCleanly
            | BrokerRegistered { .. }
            | BrokerFenced { .. }
            | BrokerUnfenced { .. }
            | BrokerShuttingDown { .. }
            | TopicCreated { .. }
            | ControllerActive { .. }
            | ControllerStoodDown { .. }
            | TopicDeleted { .. }
            | ConfigChanged { .. }
            | ProducerIdsAllocated { .. }
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
            | ProducerIdGiven { .. }
            | ProducerEpochRaised { .. }
            | GroupGeneration { .. }
            | GroupRebalancing { .. }
            | GroupEpochRaised { .. }
            | TargetAssigned { .. }
            | MemberChanged { .. }
            | MemberRemoved { .. }
            | GroupRemoved { .. }
            | CoordinatorFound { .. }
            | GroupJoined { .. }
            | GroupLeft { .. }
            | GenerationGivenUp { .. }
            | PartitionsAssigned { .. }
            | PartitionsRevoked { .. }
            | PartitionsLost { .. }
            | CommitSent { .. }
            | CommitAnswered { .. } => None,
        }
    }

    /// How much it matters to a reader.
    pub fn weight(&self) -> Weight {
        use Event::*;
        match self {
            Appended { .. }
            | ReplicaCaughtUpTo { .. }
            | HighWatermark { .. }
            | ProduceAnswered { error: None, .. }
            | SendInvoked { .. }
            | BatchSent { .. }
            | BatchAcked { .. }
            | Consumed { .. }
            | MetadataAppended { .. }
            | MetadataHighWatermark { .. }
            | Dropped { .. }
            | OffsetWritten { .. }
            | OffsetCommitAnswered { error: None, .. }
            | CommitSent { .. }
            | CommitAnswered { error: None, .. }
            | Processed { .. } => Weight::Traffic,
            Phase { .. }
            | LeftOut { .. }
            | Fault(_)
            | AssertionFailed { .. }
            | Halted { .. }
            | Truncated { .. }
            | FetchGivenUp { .. }
            | MetadataTruncated { .. }
            | BecameQuorumLeader { .. }
            | LeaderChanged { .. } => Weight::Fault,
            _ => Weight::State,
        }
    }

    /// Every name that [`Self::name`] can give, in the order of declaration.
    pub const NAMES: &'static [&'static str] = &[
        "phase",
        "fault",
        "dropped",
        "assertion-failed",
        "halted",
        "started",
        "recovered",
        "registered",
        "shut-down",
        "broker-registered",
        "broker-fenced",
        "broker-unfenced",
        "broker-shutting-down",
        "topic-created",
        "partition-created",
        "leader-changed",
        "isr-changed",
        "alter-partition-refused",
        "controller-active",
        "controller-stood-down",
        "topic-deleted",
        "config-changed",
        "producer-ids-allocated",
        "eligible-leaders-changed",
        "reassignment-changed",
        "became-unattached",
        "became-prospective",
        "became-candidate",
        "became-quorum-leader",
        "became-quorum-follower",
        "resigned",
        "vote-granted",
        "vote-refused",
        "voters-changed",
        "metadata-appended",
        "metadata-high-watermark",
        "metadata-truncated",
        "metadata-divergence-found",
        "snapshot-written",
        "snapshot-loaded",
        "metadata-log-start",
        "became-leader",
        "became-follower",
        "appended",
        "duplicate-found",
        "truncated",
        "log-start-moved",
        "divergence-found",
        "fetch-given-up",
        "replica-caught-up-to",
        "high-watermark",
        "isr-change-asked",
        "isr-adopted",
        "replica-deleted",
        "produce-answered",
        "coordinator-loaded",
        "coordinator-unloaded",
        "group-generation",
        "group-rebalancing",
        "group-epoch-raised",
        "target-assigned",
        "member-changed",
        "member-removed",
        "group-removed",
        "offset-written",
        "offset-commit-answered",
        "offset-removed",
        "send-invoked",
        "batch-sent",
        "batch-acked",
        "batch-failed",
        "batch-retried",
        "batch-split",
        "producer-id-given",
        "producer-epoch-raised",
        "consumed",
        "position-reset",
        "read-replica-chosen",
        "coordinator-found",
        "group-joined",
        "group-left",
        "generation-given-up",
        "partitions-assigned",
        "partitions-revoked",
        "partitions-lost",
        "commit-sent",
        "commit-answered",
        "processed",
        "left-out",
    ];

    /// The event's name in fixed columns and in exports: lower case, with hyphens.
    pub fn name(&self) -> &'static str {
        use Event::*;
        match self {
            Phase { .. } => "phase",
            Fault(_) => "fault",
            Dropped { .. } => "dropped",
            AssertionFailed { .. } => "assertion-failed",
            Halted { .. } => "halted",
            Started { .. } => "started",
            Recovered { .. } => "recovered",
            RegisteredWith { .. } => "registered",
            ShutDownCleanly => "shut-down",
            BrokerRegistered { .. } => "broker-registered",
            BrokerFenced { .. } => "broker-fenced",
            BrokerUnfenced { .. } => "broker-unfenced",
            BrokerShuttingDown { .. } => "broker-shutting-down",
            TopicCreated { .. } => "topic-created",
            PartitionCreated { .. } => "partition-created",
            LeaderChanged { .. } => "leader-changed",
            IsrChanged { .. } => "isr-changed",
            AlterPartitionRefused { .. } => "alter-partition-refused",
            ControllerActive { .. } => "controller-active",
            ControllerStoodDown { .. } => "controller-stood-down",
            TopicDeleted { .. } => "topic-deleted",
            ConfigChanged { .. } => "config-changed",
            ProducerIdsAllocated { .. } => "producer-ids-allocated",
            EligibleLeadersChanged { .. } => "eligible-leaders-changed",
            ReassignmentChanged { .. } => "reassignment-changed",
            BecameUnattached { .. } => "became-unattached",
            BecameProspective { .. } => "became-prospective",
            BecameCandidate { .. } => "became-candidate",
            BecameQuorumLeader { .. } => "became-quorum-leader",
            BecameQuorumFollower { .. } => "became-quorum-follower",
            ResignedAsQuorumLeader { .. } => "resigned",
            VoteGranted { .. } => "vote-granted",
            VoteRefused { .. } => "vote-refused",
            VotersChanged { .. } => "voters-changed",
            MetadataAppended { .. } => "metadata-appended",
            MetadataHighWatermark { .. } => "metadata-high-watermark",
            MetadataTruncated { .. } => "metadata-truncated",
            MetadataDivergenceFound { .. } => "metadata-divergence-found",
            SnapshotWritten { .. } => "snapshot-written",
            SnapshotLoaded { .. } => "snapshot-loaded",
            MetadataLogStart { .. } => "metadata-log-start",
            BecameLeader { .. } => "became-leader",
            BecameFollower { .. } => "became-follower",
            Appended { .. } => "appended",
            DuplicateFound { .. } => "duplicate-found",
            Truncated { .. } => "truncated",
            LogStartMoved { .. } => "log-start-moved",
            DivergenceFound { .. } => "divergence-found",
            FetchGivenUp { .. } => "fetch-given-up",
            ReplicaCaughtUpTo { .. } => "replica-caught-up-to",
            HighWatermark { .. } => "high-watermark",
            IsrChangeAsked { .. } => "isr-change-asked",
            IsrAdopted { .. } => "isr-adopted",
            ReplicaDeleted { .. } => "replica-deleted",
            ProduceAnswered { .. } => "produce-answered",
            CoordinatorLoaded { .. } => "coordinator-loaded",
            CoordinatorUnloaded { .. } => "coordinator-unloaded",
            GroupGeneration { .. } => "group-generation",
            GroupRebalancing { .. } => "group-rebalancing",
            GroupEpochRaised { .. } => "group-epoch-raised",
            TargetAssigned { .. } => "target-assigned",
            MemberChanged { .. } => "member-changed",
            MemberRemoved { .. } => "member-removed",
            GroupRemoved { .. } => "group-removed",
            OffsetWritten { .. } => "offset-written",
            OffsetCommitAnswered { .. } => "offset-commit-answered",
            OffsetRemoved { .. } => "offset-removed",
            SendInvoked { .. } => "send-invoked",
            BatchSent { .. } => "batch-sent",
            BatchAcked { .. } => "batch-acked",
            BatchFailed { .. } => "batch-failed",
            BatchRetried { .. } => "batch-retried",
            BatchSplit { .. } => "batch-split",
            ProducerIdGiven { .. } => "producer-id-given",
            ProducerEpochRaised { .. } => "producer-epoch-raised",
            Consumed { .. } => "consumed",
            PositionReset { .. } => "position-reset",
            ReadReplicaChosen { .. } => "read-replica-chosen",
            CoordinatorFound { .. } => "coordinator-found",
            GroupJoined { .. } => "group-joined",
            GroupLeft { .. } => "group-left",
            GenerationGivenUp { .. } => "generation-given-up",
            PartitionsAssigned { .. } => "partitions-assigned",
            PartitionsRevoked { .. } => "partitions-revoked",
            PartitionsLost { .. } => "partitions-lost",
            CommitSent { .. } => "commit-sent",
            CommitAnswered { .. } => "commit-answered",
            Processed { .. } => "processed",
            LeftOut { .. } => "left-out",
        }
    }
}

/// `1,2,3` as Kafka prints replica lists.
pub fn broker_list(brokers: &[BrokerId]) -> String {
    brokers.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

/// `orders-0, orders-1`.
fn partition_list(partitions: &[TopicPartition]) -> String {
    match partitions {
        [] => "nothing".to_string(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// `5 of orders-0, 7 of orders-1`.
fn offset_list(offsets: &[(TopicPartition, i64)]) -> String {
    match offsets {
        [] => "nothing".to_string(),
        some => some.iter().map(|(id, offset)| format!("{offset} of {id}")).collect::<Vec<_>>().join(", "),
    }
}

fn member_name(member: &str) -> &str {
    if member.is_empty() { "nobody" } else { member }
}

struct Offsets(i64, i64);
impl fmt::Display for Offsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == self.1 { write!(f, "offset {}", self.0) } else { write!(f, "offsets {} to {}", self.0, self.1) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Crash => write!(f, "crashed; its page cache survives"),
            Fault::PowerLoss { lost_bytes } => {
                write!(f, "lost power, and {lost_bytes} bytes that were not yet on its disk")
            }
            Fault::Restart => write!(f, "was started again"),
            Fault::Pause => write!(f, "stands still"),
            Fault::Resume => write!(f, "goes on"),
            Fault::Cut { to } => write!(f, "can no longer reach {to}"),
            Fault::Mend { to } => write!(f, "can reach {to} again"),
            Fault::SlowLink { to, purpose: None, by_ms } => write!(f, "reaches {to} only {by_ms} ms later"),
            Fault::SlowLink { to, purpose: Some(purpose), by_ms } => {
                write!(f, "reaches {to} only {by_ms} ms later on connections for {}", purpose.name())
            }
            Fault::SlowDisk { by_us: 0 } => write!(f, "has a disk of normal speed again"),
            Fault::SlowDisk { by_us } => write!(f, "has a slow disk: {by_us} µs more per operation"),
            Fault::StallDisk { for_ms } => write!(f, "has a disk that hangs for {for_ms} ms"),
            Fault::SlowFetch { by_ms: 0 } => write!(f, "fetches at normal speed again"),
            Fault::SlowFetch { by_ms } => write!(f, "fetches slowly: {by_ms} ms more per fetch"),
            Fault::ClockJump { by_ms } => write!(f, "has a wall clock that jumped by {by_ms} ms"),
            Fault::ReplaceDisk { lost_bytes } => {
                write!(f, "lost its disk with {lost_bytes} bytes and has an empty one now")
            }
            Fault::RestoreDisk { age_ms, checkpoints_only: true, .. } => {
                write!(f, "died and finds its checkpoint files as they were {age_ms} ms ago")
            }
            Fault::RestoreDisk { age_ms, lost_bytes, checkpoints_only: false } => {
                write!(f, "died and finds its disk as it was {age_ms} ms ago, with {lost_bytes} bytes less")
            }
            Fault::DiskFailed => write!(f, "died in the middle of an operation of its disk"),
            Fault::LostSync { begins: true } => write!(f, "has a disk that answers syncs and keeps nothing"),
            Fault::LostSync { begins: false } => write!(f, "has a disk that keeps what it syncs again"),
            Fault::SyncedBytesLost { lost_bytes } => {
                write!(f, "lost {lost_bytes} bytes that its disk had answered to have synced")
            }
            Fault::LateMetadata { by_ms: 0, .. } => write!(f, "hears of metadata in time again"),
            Fault::LateMetadata { by_ms, of } if of.is_empty() => write!(f, "hears of metadata {by_ms} ms late"),
            Fault::LateMetadata { by_ms, of } => {
                write!(f, "hears of metadata {by_ms} ms late from each {} on", of.join(" or "))
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Event::*;
        match self {
            Phase { name } => write!(f, "phase {name} begins"),
            LeftOut { nodes } => write!(
                f,
                "{} {} away, and the rest is to get on",
                nodes.join(", "),
                if nodes.len() == 1 { "stays" } else { "stay" }
            ),
            Fault(fault) => fault.fmt(f),
            Dropped { what, to } => write!(f, "lost a message to {to}: {what}"),
            AssertionFailed { message } => write!(f, "failed an assertion of its own: {message}"),
            Halted { why } => write!(f, "halted: {why}"),
            Started { clean: true, .. } => write!(f, "started after a clean shutdown or on an empty disk"),
            Started { clean: false, .. } => write!(f, "started after an unclean stop and scanned its logs"),
            Recovered { partition, log_end_offset, discarded_bytes } => {
                write!(
                    f,
                    "recovered {partition} up to log end offset {log_end_offset}, discarding {discarded_bytes} bytes"
                )
            }
            RegisteredWith { broker_epoch } => write!(f, "is registered with broker epoch {broker_epoch}"),
            ShutDownCleanly => write!(f, "shut down cleanly"),
            BrokerRegistered { broker, broker_epoch, clean, .. } => {
                write!(
                    f,
                    "registered broker {broker} with broker epoch {broker_epoch} after {} stop",
                    if *clean { "a clean" } else { "an unclean" }
                )
            }
            BrokerFenced { broker, .. } => write!(f, "fenced broker {broker}"),
            BrokerUnfenced { broker, .. } => write!(f, "unfenced broker {broker}"),
            BrokerShuttingDown { broker, .. } => write!(f, "began the controlled shutdown of broker {broker}"),
            TopicCreated { topic, partitions, replication_factor, .. } => {
                write!(f, "created topic {topic} with {partitions} partitions of {replication_factor} replicas")
            }
            PartitionCreated { partition, replicas, leader, .. } => {
                write!(f, "placed {partition} on brokers {} with leader {leader}", broker_list(replicas))
            }
            LeaderChanged { partition, previous, leader, leader_epoch, isr, election, .. } => {
                if *leader == NO_BROKER {
                    return write!(
                        f,
                        "took {partition} from its leader {previous} and has nobody to elect: no leader in epoch {leader_epoch}, in-sync replicas {}",
                        broker_list(isr)
                    );
                }
                let how = match election {
                    Some(ElectionKind::Unclean) => "uncleanly, from outside the in-sync replicas,",
                    Some(ElectionKind::Preferred) => "as preferred replica",
                    Some(ElectionKind::Eligible) => "from the eligible leader replicas",
                    Some(ElectionKind::LastKnownLeader) => "as last known leader",
                    _ => "from the in-sync replicas",
                };
                write!(
                    f,
                    "elected broker {leader} {how} to lead {partition} in epoch {leader_epoch} after {previous}; in-sync replicas {}",
                    broker_list(isr)
                )
            }
            IsrChanged { partition, from, isr, partition_epoch, .. } => {
                write!(
                    f,
                    "changed the in-sync replicas of {partition} from {} to {} (partition epoch {partition_epoch})",
                    broker_list(from),
                    broker_list(isr)
                )
            }
            AlterPartitionRefused { partition, leader, error } => {
                write!(f, "refused broker {leader}'s AlterPartition of {partition}: {error}")
            }
            ControllerActive { epoch, log_end_offset } => {
                write!(f, "is the active controller in epoch {epoch}, metadata log end {log_end_offset}")
            }
            ControllerStoodDown { epoch, reverted_to } => {
                write!(
                    f,
                    "is no longer the active controller of epoch {epoch} and went back to metadata offset {reverted_to}"
                )
            }
            TopicDeleted { topic, topic_id } => write!(f, "deleted topic {topic} (id {topic_id})"),
            ConfigChanged { resource, name, value: Some(value) } => write!(f, "set {name}={value} for {resource}"),
            ProducerIdsAllocated { broker, first, last } => {
                write!(f, "gave broker {broker} the producer ids {first} to {last}")
            }
            ConfigChanged { resource, name, value: None } => write!(f, "removed {name} from {resource}"),
            EligibleLeadersChanged { partition, elr, last_known_elr, .. } => write!(
                f,
                "holds for eligible leaders of {partition}: [{}], last known: [{}]",
                broker_list(elr),
                broker_list(last_known_elr)
            ),
            ReassignmentChanged { partition, replicas, adding, removing } => write!(
                f,
                "assigns {partition} to brokers {}, adding [{}], removing [{}]",
                broker_list(replicas),
                broker_list(adding),
                broker_list(removing)
            ),
            BecameUnattached { epoch } => write!(f, "knows no quorum leader of epoch {epoch}"),
            BecameProspective { epoch } => write!(f, "asks the voters whether it could lead after epoch {epoch}"),
            BecameCandidate { epoch } => write!(f, "stands for election in quorum epoch {epoch}"),
            BecameQuorumLeader { epoch, epoch_start_offset, granted_by } => write!(
                f,
                "leads the quorum in epoch {epoch} from metadata offset {epoch_start_offset}, by the votes of {}",
                broker_list(granted_by)
            ),
            BecameQuorumFollower { epoch, leader } => write!(f, "follows {leader} in quorum epoch {epoch}"),
            ResignedAsQuorumLeader { epoch, why } => write!(f, "resigned as quorum leader of epoch {epoch}: {why}"),
            VoteGranted { epoch, candidate, pre_vote: false } => {
                write!(f, "voted for {candidate} in quorum epoch {epoch}")
            }
            VoteGranted { epoch, candidate, pre_vote: true } => {
                write!(f, "would vote for {candidate} after quorum epoch {epoch}")
            }
            VoteRefused { epoch, candidate, pre_vote: false, why } => {
                write!(f, "refused {candidate} its vote in quorum epoch {epoch}: {why}")
            }
            VoteRefused { epoch, candidate, pre_vote: true, why } => {
                write!(f, "would not vote for {candidate} after quorum epoch {epoch}: {why}")
            }
            VotersChanged { offset, voters } => {
                let voters: Vec<i32> = voters.iter().map(|(id, _)| *id).collect();
                let since = if *offset < 0 {
                    "as formatted".to_string()
                } else {
                    format!("by offset {offset} of the metadata log")
                };
                write!(f, "takes {} for the quorum's voters, {since}", broker_list(&voters))
            }
            MetadataAppended { first_offset, last_offset, epoch, as_leader } => write!(
                f,
                "appended {} of the metadata log as {} in epoch {epoch}",
                Offsets(*first_offset, *last_offset),
                if *as_leader { "leader" } else { "follower" }
            ),
            MetadataHighWatermark { from, to } => {
                write!(f, "moved the metadata log's high watermark from {from} to {to}")
            }
            MetadataTruncated { from, to } => {
                write!(
                    f,
                    "truncated the metadata log from {from} to {to} because the leader's history differs from there"
                )
            }
            MetadataDivergenceFound { replica, epoch, end_offset } => {
                write!(f, "told {replica} that its metadata log differs: epoch {epoch} ends at offset {end_offset}")
            }
            SnapshotWritten { end_offset, epoch } => {
                write!(f, "wrote a snapshot of the metadata below offset {end_offset}, epoch {epoch}")
            }
            SnapshotLoaded { end_offset, epoch } => {
                write!(f, "loaded the snapshot of the metadata below offset {end_offset}, epoch {epoch}")
            }
            MetadataLogStart { to } => write!(f, "begins its metadata log at offset {to}"),
            ReplicaDeleted { partition, topic_id } => {
                write!(f, "deleted its replica of {partition} (topic id {topic_id})")
            }
            BecameLeader { partition, leader_epoch, leader_epoch_start_offset, high_watermark, .. } => {
                write!(
                    f,
                    "leads {partition} in epoch {leader_epoch} from log end offset {leader_epoch_start_offset}, high watermark {high_watermark}"
                )
            }
            BecameFollower { partition, leader, leader_epoch, log_end_offset, .. } => {
                write!(
                    f,
                    "follows broker {leader} for {partition} in epoch {leader_epoch}, log end offset {log_end_offset}"
                )
            }
            Appended { partition, first_offset, last_offset, leader_epoch, as_leader } => {
                write!(
                    f,
                    "appended {} of {partition} as {} in epoch {leader_epoch}",
                    Offsets(*first_offset, *last_offset),
                    if *as_leader { "leader" } else { "follower" }
                )
            }
            DuplicateFound { partition, producer_id, producer_epoch, first_sequence, first_offset, last_offset } => {
                write!(
                    f,
                    "has the batch of {partition} from producer {producer_id}, epoch {producer_epoch}, sequence {first_sequence} already, at {}",
                    Offsets(*first_offset, *last_offset)
                )
            }
            Truncated { partition, from, to, reason } => {
                let why = match reason {
                    TruncationReason::DivergingEpoch => "because the leader's history differs from there",
                    TruncationReason::OutOfRange => "because the leader's log ends there",
                    TruncationReason::BehindLogStart => "because the leader's log starts later",
                    TruncationReason::BatchSpansLogStart => "because the batch that holds its log start begins there",
                    TruncationReason::ToHighWatermark => "to its own high watermark",
                };
                write!(f, "truncated {partition} from log end offset {from} to {to} {why}")
            }
            LogStartMoved { partition, from, to, why } => {
                let why = match why {
                    LogStartReason::DeleteRecords => "because a client deleted the records below",
                    LogStartReason::RetentionTime => "because the records below are older than retention.ms",
                    LogStartReason::RetentionSize => "because the log was larger than retention.bytes",
                    LogStartReason::Leader => "because the leader's log starts there",
                };
                write!(f, "moved the log start of {partition} from {from} to {to} {why}")
            }
            FetchGivenUp { partition, first_offset, last_offset, log_end_offset } => {
                write!(
                    f,
                    "fetches {partition} no more in this leader epoch: batches from offset {first_offset} to {last_offset} \
                     begin before {log_end_offset}, where the log continues"
                )
            }
            DivergenceFound { partition, replica, epoch, end_offset } => {
                write!(
                    f,
                    "told broker {replica} that its history of {partition} differs: epoch {epoch} ends at offset {end_offset}"
                )
            }
            ReplicaCaughtUpTo { partition, replica, log_end_offset } => {
                write!(f, "knows that broker {replica} has {partition} below offset {log_end_offset}")
            }
            HighWatermark { partition, from, to } => {
                write!(f, "moved the high watermark of {partition} from {from} to {to}")
            }
            IsrChangeAsked { partition, from, isr, .. } => write!(
                f,
                "asks for in-sync replicas {} of {partition} instead of {}",
                broker_list(isr),
                broker_list(from)
            ),
            IsrAdopted { partition, isr, .. } => write!(f, "uses in-sync replicas {} of {partition}", broker_list(isr)),
            ProduceAnswered { partition, acks, first_offset, last_offset, error: None } => {
                write!(
                    f,
                    "acknowledged {} of {partition} with acks={}",
                    Offsets(*first_offset, *last_offset),
                    acks_name(*acks)
                )
            }
            ProduceAnswered { partition, acks, error: Some(error), .. } => {
                write!(f, "refused a batch for {partition} with acks={}: {error}", acks_name(*acks))
            }
            SendInvoked { op, partition } => write!(f, "is to send record r{} to {partition}", op.0),
            BatchSent { partition, first_op, records, attempt, acks, to } => {
                write!(
                    f,
                    "sent {} for {partition} to broker {to} with acks={}, attempt {attempt}",
                    Records(first_op.0, *records),
                    acks_name(*acks)
                )
            }
            BatchAcked { partition, first_op, records, first_offset } => {
                write!(
                    f,
                    "was told that {} is written to {partition} from offset {first_offset}",
                    Records(first_op.0, *records)
                )
            }
            BatchFailed { partition, first_op, records, error, unknown } => {
                let end =
                    if *unknown { "without knowing whether it was written" } else { "knowing that it was not written" };
                write!(f, "gave up on {} for {partition} {end}: {error}", Records(first_op.0, *records))
            }
            BatchRetried { partition, first_op, records, error } => {
                write!(f, "will send {} to {partition} again: {error}", Records(first_op.0, *records))
            }
            BatchSplit { partition, first_op, records, into } => {
                let records = Records(first_op.0, *records);
                write!(f, "splits {records} for {partition} into {into} batches, for one is too large")
            }
            ProducerIdGiven { producer_id, epoch } => {
                write!(f, "is producer {producer_id} from now on, in epoch {epoch}")
            }
            ProducerEpochRaised { producer_id, epoch, partitions } => {
                let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
                let names = names.join(", ");
                write!(
                    f,
                    "raised the epoch of producer {producer_id} to {epoch}: its sequences in {names} begin anew at 0"
                )
            }
            Consumed { partition, first_offset, last_offset, .. } => {
                write!(f, "consumed {} of {partition}", Offsets(*first_offset, *last_offset))
            }
            PositionReset { partition, to, why } => write!(f, "moved its position in {partition} to {to}: {why}"),
            ReadReplicaChosen { partition, broker, why } => write!(f, "reads {partition} from broker {broker}: {why}"),
            CoordinatorLoaded { partition, leader_epoch, log_end_offset, groups } => write!(
                f,
                "coordinates the {groups} groups of {partition} in epoch {leader_epoch}, having replayed its log up to {log_end_offset}"
            ),
            CoordinatorUnloaded { partition } => write!(f, "coordinates the groups of {partition} no more"),
            GroupGeneration { group, generation, leader, members } => {
                let members = members.len();
                match leader {
                    Some(leader) => {
                        write!(f, "has group {group} in generation {generation}: {members} members, {leader} leads")
                    }
                    None => write!(f, "has group {group} without members in generation {generation}"),
                }
            }
            GroupRebalancing { group, generation, why } => {
                write!(f, "asks the members of group {group} to join again after generation {generation}: {why}")
            }
            GroupEpochRaised { group, epoch } => write!(f, "raised the epoch of group {group} to {epoch}"),
            TargetAssigned { group, epoch } => {
                write!(f, "assigned the partitions of group {group} anew, for epoch {epoch}")
            }
            MemberChanged { group, member, epoch, assigned, revoking } => {
                write!(f, "has member {member} of group {group} in epoch {epoch} with {}", partition_list(assigned))?;
                if revoking.is_empty() { Ok(()) } else { write!(f, "; it is to give up {}", partition_list(revoking)) }
            }
            MemberRemoved { group, member, why } => write!(f, "removed member {member} from group {group}: {why}"),
            GroupRemoved { group } => write!(f, "removed group {group}"),
            OffsetWritten { group, partition, offset, member, generation } => write!(
                f,
                "wrote offset {offset} of {partition} for group {group}, from {} in generation {generation}",
                member_name(member)
            ),
            OffsetCommitAnswered { group, partition, offset, member, generation, error } => {
                let member = member_name(member);
                match error {
                    None => write!(
                        f,
                        "committed offset {offset} of {partition} for group {group}, from {member} in generation {generation}"
                    ),
                    Some(error) => write!(
                        f,
                        "refused to commit offset {offset} of {partition} for group {group}, from {member} in generation {generation}: {error}"
                    ),
                }
            }
            OffsetRemoved { group, partition } => write!(f, "removed the offset of {partition} of group {group}"),
            CoordinatorFound { group, broker } => write!(f, "learnt that broker {broker} coordinates group {group}"),
            GroupJoined { group, member, generation } => {
                write!(f, "is member {member} of group {group} in generation {generation}")
            }
            GroupLeft { group, member, why } => write!(f, "is no longer member {member} of group {group}: {why}"),
            GenerationGivenUp { group, member, generation, asked_as, asked_in, error } => {
                match generation {
                    -1 => write!(f, "gave up joining group {group}")?,
                    _ => write!(f, "gave up generation {generation} of group {group}, as {}", member_name(member))?,
                }
                let asker = member_name(asked_as);
                write!(f, ": {error} was the answer to what it had asked as {asker} in generation {asked_in}")
            }
            PartitionsAssigned { group, generation, partitions } => {
                write!(f, "was assigned {} in generation {generation} of group {group}", partition_list(partitions))
            }
            PartitionsRevoked { group, generation, partitions } => {
                write!(f, "gave up {} of generation {generation} of group {group}", partition_list(partitions))
            }
            PartitionsLost { group, generation, partitions } => {
                write!(f, "lost {} of generation {generation} of group {group}", partition_list(partitions))
            }
            CommitSent { group, generation, offsets } => {
                write!(f, "asks to commit {} for group {group} in generation {generation}", offset_list(offsets))
            }
            CommitAnswered { group, generation, offsets, error } => {
                let offsets = offset_list(offsets);
                match error {
                    None => {
                        write!(f, "was told that {offsets} is committed for group {group} in generation {generation}")
                    }
                    Some(error) => write!(
                        f,
                        "was told that {offsets} is not committed for group {group} in generation {generation}: {error}"
                    ),
                }
            }
            Processed { partition, first_offset, last_offset, .. } => {
                write!(f, "processed {} of {partition}", Offsets(*first_offset, *last_offset))
            }
        }
    }
}

/// `acks` as the configuration spells it.
pub fn acks_name(acks: i16) -> &'static str {
    match acks {
        0 => "0",
        1 => "1",
        _ => "all",
    }
}

struct Records(u64, u32);
impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 == 1 { write!(f, "record r{}", self.0) } else { write!(f, "{} records from r{}", self.1, self.0) }
    }
}
