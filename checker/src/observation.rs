//! What a host tells the checker: facts, in the order in which they happened.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::settings::TopicSettings;

mod groups;
mod partitions;
mod said;

pub use groups::{CoordinatorStep, Generation, GroupRecord, MemberAssignment, MemberStep};
pub use partitions::{Going, PartitionChange, PartitionState};
pub use said::Word;

/// Virtual time in nanoseconds.
pub type Time = u64;

/// The event of the trace that an observation came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventRef {
    /// The event's number in the trace.
    pub id: u64,
    /// When it happened.
    pub time: Time,
}

/// One partition of one topic. Shown as `orders-0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Partition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index in its topic, from 0.
    pub index: i32,
}

impl Partition {
    /// Partition `index` of `topic`.
    pub fn new(topic: &str, index: i32) -> Self {
        Partition { topic: Arc::from(topic), index }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

/// What a producer was told of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Belief {
    /// Written, at this offset if the answer said so.
    Acked {
        /// The acknowledged offset.
        offset: Option<i64>,
    },
    /// Definitely not written: every attempt was refused before the append could happen.
    Failed,
    /// Nobody knows: a time-out, a disconnect, an ambiguous error.
    Unknown,
    /// Sent with acks=0: nothing was promised.
    Unpromised,
}

/// One record batch as it lies in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Offset of its first record.
    pub first_offset: i64,
    /// Offset of its last record, inclusive.
    pub last_offset: i64,
    /// The leader epoch it was appended in.
    pub epoch: i32,
    /// A hash of its content: the same on every replica that has the same batch.
    pub hash: u64,
    /// The ids of its records in order of offset. A follower's may be left empty.
    pub records: Vec<u64>,
    /// The idempotent producer it is from, if it is from one.
    pub producer: Option<ProducerBatch>,
}

/// Which of a producer's batches it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProducerBatch {
    /// The producer's id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence of the first record.
    pub first_sequence: i32,
    /// Sequence of the last record; behind the largest comes 0.
    pub last_sequence: i32,
}

/// Why a log begins elsewhere than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartCause {
    /// By age or size.
    Retention,
    /// A client asked for it.
    DeleteRecords,
    /// The leader's log begins there.
    Leader,
    /// A broker that started found it so: a crash may take back what was not written down yet.
    Recovered,
}

/// Why a replica may not join the in-sync replicas, by the metadata of the leader that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Barred {
    /// Its broker is not registered.
    Unregistered,
    /// Its broker is fenced.
    Fenced,
    /// Its broker is in controlled shutdown.
    Stopping,
}

impl Barred {
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Barred::Unregistered => "not registered",
            Barred::Fenced => "fenced",
            Barred::Stopping => "stopping",
        }
    }
}

/// Something that happens in a bounded time once all faults have healed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Waiting {
    /// The quorum has no leader that decides, though a majority of the voters runs.
    ActiveController,
    /// A broker that runs is not unfenced in its present incarnation.
    BrokerUnfenced {
        /// The broker.
        broker: i32,
    },
    /// A partition has no leader that knows it, though a replica that may lead runs.
    PartitionLeader {
        /// The partition.
        partition: Partition,
    },
    /// A replica of a partition that has a leader is not in sync, though its broker runs.
    InSync {
        /// The partition.
        partition: Partition,
        /// The broker.
        broker: i32,
    },
    /// A partition is not led by its preferred replica, though that is in sync, its broker runs, and the controller looks for
    /// such partitions from time to time.
    PreferredLeader {
        /// The partition.
        partition: Partition,
    },
    /// The high watermark of a partition stands still below the log end, though enough of its in-sync replicas run.
    Committed {
        /// The partition.
        partition: Partition,
    },
    /// A member of the in-sync replicas has been late for `replica.lag.time.max.ms`, and its leader does not ask to be rid of it.
    Leaves {
        /// The partition.
        partition: Partition,
        /// The member's broker.
        broker: i32,
    },
    /// A producer's record, sent after everything had healed, is not acknowledged.
    Acknowledgement {
        /// The producer.
        producer: u32,
    },
    /// A consumer does not come to a record that was acknowledged after everything had healed.
    Reading {
        /// The consumer.
        consumer: u32,
        /// The partition.
        partition: Partition,
    },
    /// A group whose members run does not come to rest: it rebalances, or has no coordinator.
    GroupStable {
        /// The group.
        group: Arc<str>,
    },
    /// A consumer runs, polls, and is not in its group.
    Membership {
        /// The consumer.
        consumer: u32,
    },
    /// A consumer asks its coordinator to be let in, and is refused time and again.
    LetIn {
        /// The consumer.
        consumer: u32,
    },
    /// A group does not come to a record that was acknowledged.
    GroupReading {
        /// The group.
        group: Arc<str>,
        /// The partition.
        partition: Partition,
    },
}

/// Why a consumer's position was set from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResetCause {
    /// Its group had committed that offset.
    Committed,
    /// Its group had committed none, so auto.offset.reset decided.
    NothingCommitted,
    /// It was asked to go there, or the log did not have its position any more.
    #[default]
    Other,
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observation {
    // ── clients: all that the history checker sees ───────────────────────────────────────────────────────────────
    /// A record was handed to a producer.
    SendInvoked {
        /// The record's unique id, dense from 0.
        record: u64,
        /// The producer's number.
        producer: u32,
        /// Where it is to go.
        partition: Partition,
    },
    /// The producer was told how it went.
    SendSettled {
        /// The record.
        record: u64,
        /// What it was told.
        belief: Belief,
        /// How often the record left in a request.
        attempts: u32,
    },
    /// A consumer was handed a record.
    Read {
        /// The consumer's number.
        consumer: u32,
        /// Where from.
        partition: Partition,
        /// At which offset.
        offset: i64,
        /// The leader epoch the record carried.
        leader_epoch: i32,
        /// The record, `None` if its value has nobody's form.
        record: Option<u64>,
    },
    /// A consumer has found its position in the history of a leader of that epoch, and is handed what follows as that leader's
    /// (KIP-320); it need not be: an answer of the leader before may come late.
    LeaderFollowed {
        /// The consumer's number.
        consumer: u32,
        /// Where.
        partition: Partition,
        /// The leader's epoch.
        leader_epoch: i32,
    },
    /// A consumer's position was set from outside: assignment, seek, reset.
    PositionReset {
        /// The consumer's number.
        consumer: u32,
        /// Where.
        partition: Partition,
        /// The next offset it will ask for.
        to: i64,
        /// Why.
        cause: ResetCause,
    },
    /// A step of a consumer that is a member of a group.
    Member {
        /// The consumer's number.
        consumer: u32,
        /// What it did, or was told.
        what: MemberStep,
    },
    /// One record of the read of a partition from its start, after all faults healed and all sends settled.
    FinalRead {
        /// Where from.
        partition: Partition,
        /// At which offset.
        offset: i64,
        /// The leader epoch the record carried.
        leader_epoch: i32,
        /// The record, `None` if its value has nobody's form.
        record: Option<u64>,
    },
    /// That read is over.
    FinalReadEnd {
        /// Where from.
        partition: Partition,
        /// The first offset of the log.
        log_start: i64,
        /// The end it was read to.
        log_end: i64,
        /// Did it reach the end? If not, nothing can be said of what it did not find.
        complete: bool,
    },

    // ── the truth in the World ───────────────────────────────────────────────────────────────────────────────────
    /// A replica appended batches.
    LogAppended {
        /// The broker.
        broker: i32,
        /// The partition.
        partition: Partition,
        /// From producers as leader, or copied from the leader.
        as_leader: bool,
        /// The batches in order.
        entries: Vec<Entry>,
    },
    /// A leader is about to append a batch of a producer that it has forgotten, as `producer.id.expiration.ms` permits: the last
    /// batch of the producer that its log holds is so old by its wall clock.
    ProducerForgotten {
        /// The leader.
        broker: i32,
        /// The partition.
        partition: Partition,
        /// The producer's id.
        producer: i64,
    },
    /// A broker refused a batch of a producer as out of order, as the leader that it took itself for.
    OutOfOrderSequence {
        /// The broker.
        broker: i32,
        /// The partition.
        partition: Partition,
        /// The epoch in which it took itself for the leader.
        leader_epoch: i32,
    },
    /// A replica cut its log. A `to` above the log's end means: dropped all and starts there.
    LogTruncated {
        /// The broker.
        broker: i32,
        /// The partition.
        partition: Partition,
        /// The new log end offset.
        to: i64,
        /// Why, as the end of a sentence: `because the leader's history differs from there`.
        why: String,
    },
    /// The start of a replica's log moved (retention, DeleteRecords).
    LogStartMoved {
        /// The broker.
        broker: i32,
        /// The partition.
        partition: Partition,
        /// The new log start offset.
        to: i64,
        /// Why.
        cause: StartCause,
    },
    /// What a broker's disk had kept when it came back.
    LogLost {
        /// The broker.
        broker: i32,
        /// The partition.
        partition: Partition,
        /// The log end offset after recovery.
        log_end: i64,
    },
    /// A replica's high watermark moved, or was read from its checkpoint.
    HighWatermarkMoved {
        /// The broker.
        broker: i32,
        /// The partition.
        partition: Partition,
        /// The new high watermark.
        to: i64,
        /// The leader epoch the replica lives in.
        leader_epoch: i32,
        /// Is it the leader, in the controller's own epoch?
        legitimate_leader: bool,
    },
    /// A leader answered a produce request with success.
    Acknowledged {
        /// The broker.
        broker: i32,
        /// The partition.
        partition: Partition,
        /// First offset.
        first_offset: i64,
        /// Last offset, inclusive.
        last_offset: i64,
        /// As the request said: 1 or -1.
        acks: i16,
        /// The leader's epoch.
        leader_epoch: i32,
        /// The leader's ISR together with replicas it has asked to add (KIP-497).
        maximal_isr: Vec<i32>,
        /// The effective `min.insync.replicas` that the leader knows of, which may hear late of a change; `None`: what
        /// the topic promises at this moment.
        min_insync_replicas: Option<i32>,
    },
    /// A broker told a client the end offset of a partition (ListOffsets, latest), as if it were the leader.
    EndOffsetTold {
        /// The broker.
        broker: i32,
        /// The partition.
        partition: Partition,
        /// The end offset.
        offset: i64,
    },
    /// The controller chose a leader, or took it away.
    LeaderElected {
        /// The partition.
        partition: Partition,
        /// The leader; -1: none.
        leader: i32,
        /// The new leader epoch.
        leader_epoch: i32,
        /// The new partition epoch.
        partition_epoch: i32,
        /// The in-sync replicas from here on.
        isr: Vec<i32>,
        /// The leader before; -1: none.
        previous: i32,
        /// From the in-sync or eligible leader replicas.
        clean: bool,
    },
    /// The controller changed the in-sync replicas and left the leader.
    IsrChanged {
        /// The partition.
        partition: Partition,
        /// The in-sync replicas from here on.
        isr: Vec<i32>,
        /// The leader epoch.
        leader_epoch: i32,
        /// The new partition epoch.
        partition_epoch: i32,
    },
    /// A broker began to lead.
    BecameLeader {
        /// The broker.
        broker: i32,
        /// The partition.
        partition: Partition,
        /// In this epoch.
        leader_epoch: i32,
        /// With this log end offset.
        log_end: i64,
    },
    /// A broker began to follow.
    BecameFollower {
        /// The broker.
        broker: i32,
        /// The partition.
        partition: Partition,
        /// In this epoch.
        leader_epoch: i32,
        /// With this log end offset.
        log_end: i64,
        /// And this high watermark.
        high_watermark: i64,
    },
    /// A leader learnt a follower's position.
    ReplicaFetched {
        /// The leader.
        leader: i32,
        /// The follower.
        replica: i32,
        /// The partition.
        partition: Partition,
        /// The follower has everything below.
        log_end: i64,
    },
    /// A leader asks the controller for other in-sync replicas (`AlterPartition`).
    IsrChangeAsked {
        /// The leader.
        leader: i32,
        /// The partition.
        partition: Partition,
        /// As it has them committed.
        from: Vec<i32>,
        /// Asked for.
        isr: Vec<i32>,
        /// A joiner that may not join by the leader's own metadata, and why.
        barred: Option<(i32, Barred)>,
    },
    /// The controller accepted a registration: of a new incarnation, or of the same one again.
    BrokerRegistered {
        /// The broker.
        broker: i32,
        /// Its broker epoch from here on.
        broker_epoch: i64,
        /// A hash of the incarnation's random id.
        incarnation: u64,
        /// It is fenced from here on.
        fenced: bool,
    },
    /// The controller fenced a broker, or took the fence away.
    BrokerFenced {
        /// The broker.
        broker: i32,
        /// True: fenced.
        fenced: bool,
    },
    /// The controller began a broker's controlled shutdown.
    BrokerShuttingDown {
        /// The broker.
        broker: i32,
    },
    /// Who may lead a partition besides its in-sync replicas (KIP-966), and which replicas it has at all. Follows the
    /// election or change of the same record.
    EligibleLeaders {
        /// The partition.
        partition: Partition,
        /// The assigned replicas.
        replicas: Vec<i32>,
        /// The eligible leader replicas.
        elr: Vec<i32>,
        /// The last known eligible leader replicas.
        last_known_elr: Vec<i32>,
    },
    /// The whole of a change of a partition, after what else is told of the same record. Not told of a new partition, nor where
    /// a change of configuration empties the eligible leader replicas.
    PartitionChanged(Box<PartitionChange>),
    /// The controller has decided what becomes of a broker, and of all partitions with it: everything of that batch is told.
    BrokersSettled {
        /// It took a fence away, and so looked at every partition without leader.
        unfenced: bool,
    },
    /// What a topic promises from here on: its configuration and that of the cluster, as the metadata log has them. Told
    /// in the order of that log, so before the elections that it decides.
    TopicSettingsChanged {
        /// Its name.
        topic: Arc<str>,
        /// What it promises.
        settings: TopicSettings,
    },
    /// The controller deleted a topic: nothing of it is promised any more. One of the same name is another.
    TopicDeleted {
        /// Its name.
        topic: Arc<str>,
    },
    /// A leader that had not heard of it yet appended these to a topic that is deleted.
    AppendedToDeleted {
        /// The records.
        records: Vec<u64>,
    },

    /// A node said something that is not so. What is so is not told.
    Said {
        /// The node.
        node: String,
        /// What it spoke of.
        word: Word,
        /// Of which partition.
        partition: Option<Partition>,
        /// What it said.
        said: String,
        /// What is so, or follows.
        truth: String,
    },

    /// What the coordinator of groups on a broker did.
    Coordinator {
        /// The broker.
        broker: i32,
        /// What.
        what: CoordinatorStep,
    },

    // ── the metadata quorum, told when it happened in a controller ───────────────────────────────────────────────
    /// A controller's process started.
    ControllerStarted {
        /// Its node id.
        controller: i32,
        /// It is a voter: by node id and directory id.
        voter: bool,
        /// Its disk is another than before.
        new_disk: bool,
    },
    /// A controller's process ended, or its machine lost power.
    ControllerStopped {
        /// The controller.
        controller: i32,
    },
    /// Whom a controller takes for the voters from now on: the last set in its log, committed or not (KIP-853). Until one is
    /// told, those of the settings.
    QuorumVoters {
        /// The controller.
        controller: i32,
        /// Their node ids.
        voters: Vec<i32>,
    },
    /// A controller told others, or acted on it, that this is the epoch it lives in.
    QuorumEpoch {
        /// The controller.
        controller: i32,
        /// The epoch.
        epoch: i32,
    },
    /// A voter gave its vote; a candidate's own counts.
    QuorumVoted {
        /// The voter.
        controller: i32,
        /// In this epoch.
        epoch: i32,
        /// For this voter.
        candidate: i32,
    },
    /// A voter stood for election, with the consent (KIP-996) of so many voters, itself included.
    QuorumCandidate {
        /// The voter.
        controller: i32,
        /// In this epoch, which it raised.
        epoch: i32,
        /// Voters that would vote for it.
        consents: u32,
    },
    /// A voter began to lead the quorum.
    QuorumLeader {
        /// The voter.
        controller: i32,
        /// In this epoch.
        epoch: i32,
    },
    /// It does not lead any more.
    QuorumLeaderGone {
        /// The controller.
        controller: i32,
    },
    /// A leader runs and cannot be reached by a majority of the voters, since then.
    QuorumLeaderCutOff {
        /// The leader.
        controller: i32,
        /// Its epoch.
        epoch: i32,
        /// Since when without a break.
        since: Time,
    },
    /// A controller's metadata log grew.
    MetadataAppended {
        /// The controller.
        controller: i32,
        /// The batches in order; their records are not told.
        entries: Vec<Entry>,
    },
    /// A controller cut its metadata log.
    MetadataTruncated {
        /// The controller.
        controller: i32,
        /// The new log end offset.
        to: i64,
    },
    /// A loss of power took from a controller's disk what syncs had been answered to be durable.
    MetadataDiskLied {
        /// The controller.
        controller: i32,
    },
    /// What a controller's disk had kept of the metadata log when it came back.
    MetadataLost {
        /// The controller.
        controller: i32,
        /// The log end offset after recovery.
        log_end: i64,
    },
    /// A controller's metadata log begins here now.
    MetadataLogStart {
        /// The controller.
        controller: i32,
        /// The new log start offset.
        to: i64,
    },
    /// A controller wrote a snapshot of everything below `end_offset`, or replaced its log by one that it had fetched.
    MetadataSnapshot {
        /// The controller.
        controller: i32,
        /// The end of the snapshot, exclusive.
        end_offset: i64,
        /// The epoch of the last record in it.
        epoch: i32,
        /// It was fetched and loaded.
        loaded: bool,
    },
    /// The metadata log's high watermark moved, as this controller knows it.
    MetadataHighWatermark {
        /// The controller.
        controller: i32,
        /// The new high watermark.
        to: i64,
        /// It leads, in this epoch.
        leads: Option<i32>,
        /// What the disk of each voter would keep in a loss of power, as far as it equals this controller's log: log
        /// end offsets by node id. Asked for only of a leader.
        durable: Vec<(i32, i64)>,
    },
    /// An active controller's own image of what is committed, compared with the committed log.
    ActiveControllerMetadata {
        /// The controller.
        controller: i32,
        /// Everything below is committed.
        next_offset: i64,
        /// How it differs from what the committed log gives at this offset, if it does: a clause.
        differs: Option<String>,
    },
    /// A broker has replayed the metadata below an offset.
    BrokerMetadata {
        /// The broker.
        broker: i32,
        /// The next offset it will replay.
        next_offset: i64,
        /// How it differs from what the committed log gives there, as a clause.
        differs: Option<String>,
    },

    // ── liveness ─────────────────────────────────────────────────────────────────────────────────────────────────
    /// Something that nothing hinders any more has not happened since then.
    StillWaiting {
        /// What.
        what: Waiting,
        /// Since when without a break, at the earliest since the faults healed.
        since: Time,
    },

    // ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────
    /// A broker's process died; its page cache stays. A stop in order counts too if it came before the broker knew its
    /// broker epoch: the controller cannot be told that it was in order (`previousBrokerEpoch` of KIP-966).
    BrokerCrashed {
        /// The broker.
        broker: i32,
    },
    /// A broker's host lost power: what was not durable is gone.
    BrokerLostPower {
        /// The broker.
        broker: i32,
        /// How much was gone, in bytes.
        lost_bytes: u64,
    },
    /// A broker's process started again.
    BrokerRestarted {
        /// The broker.
        broker: i32,
        /// It had shut down in order.
        clean: bool,
    },
    /// A fault did something.
    FaultTookEffect {
        /// Its kind, as in [`crate::Settings::expected_fault_kinds`].
        kind: String,
    },

    // ── internal ─────────────────────────────────────────────────────────────────────────────────────────────────
    /// A node's own assertion failed.
    InternalAssertion {
        /// The node's name.
        node: String,
        /// What it said.
        message: String,
    },
    /// The trial entered a phase of its life.
    Phase {
        /// Its name.
        name: String,
    },
}
