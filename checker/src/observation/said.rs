//! What nodes say to each other, as far as it can be judged: of themselves in a request, of what they were asked in an answer.

use serde::{Deserialize, Serialize};

/// One kind of word. What was said and what is so are told with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Word {
    /// A follower's fetch: the leader epoch in which it follows.
    FetchLeaderEpoch,
    /// A follower's fetch: the end of its log.
    FetchOffset,
    /// A follower's fetch: the latest epoch of its log.
    FetchLastEpoch,
    /// A follower's fetch: where its log begins.
    FetchLogStart,
    /// A follower's fetch: the broker epoch of its incarnation.
    FetchBrokerEpoch,
    /// AlterPartition: the leader epoch in which the change was decided.
    IsrLeaderEpoch,
    /// AlterPartition: the partition epoch on which the change is based.
    IsrPartitionEpoch,
    /// AlterPartition: the leader's own broker epoch.
    IsrBrokerEpoch,
    /// AlterPartition: the members that were decided on, each with the broker epoch of its last fetch.
    IsrMembers,
    /// AlterPartition: how many requests of a leader wait for their answers.
    IsrRequestsAtATime,
    /// A broker's heartbeat: its broker epoch.
    HeartbeatBrokerEpoch,
    /// A broker's heartbeat: how far it has replayed the metadata.
    HeartbeatMetadataOffset,
    /// A broker's heartbeat: whether it wants to shut down.
    HeartbeatShutDown,
    /// A broker's heartbeat: whether it wants to stay fenced.
    HeartbeatFence,
    /// A controller's fetch of the metadata log: its epoch.
    RaftFetchEpoch,
    /// A controller's fetch of the metadata log: the end of its own.
    RaftFetchOffset,
    /// A controller's fetch of the metadata log: the epoch of its last record.
    RaftFetchLastEpoch,
    /// A candidate's epoch.
    VoteEpoch,
    /// The end of a candidate's log.
    VoteLastOffset,
    /// The epoch of a candidate's last record.
    VoteLastEpoch,
    /// The answer to a fetch: an error, where histories part, or records.
    FetchAnswer,
    /// The answer to a fetch: how far the high watermark is.
    FetchedHighWatermark,
    /// The answer to a fetch: where the log begins.
    FetchedLogStart,
    /// The answer to a consumer's fetch: records behind the high watermark.
    FetchedRecords,
    /// The answer to a fetch: which batches.
    FetchedSlice,
    /// The answer to a fetch: records of a partition that it did not ask for.
    FetchedUnasked,
    /// The answer to a leader that asks for another ISR.
    IsrAnswer,
    /// The answer to a heartbeat of a broker.
    HeartbeatAnswer,
    /// The answer to a broker that asks for producer ids.
    ProducerIdsAnswer,
    /// The answer to who wants a producer id.
    ProducerIdAnswer,
    /// The answer to a producer.
    ProduceAnswer,
    /// The answer to who deletes records.
    DeletionAnswer,
    /// The answer to a consumer that asks for an offset.
    OffsetAnswer,
    /// The answer to a fetch of the metadata log.
    RaftFetchAnswer,
    /// The answer to who asks for a vote.
    VoteAnswer,
    /// The answer to a broker that registers.
    RegistrationAnswer,
    /// The answer to who wants other voters.
    VotersAnswer,
    /// The answer to a fetch of the metadata log: how far the high watermark is.
    RaftFetchedHighWatermark,
    /// The answer of a coordinator to a member of a group.
    GroupAnswer,
    /// The members of a group begin anew, or they do not.
    GroupRebalance,
    /// A member of a group is removed.
    MemberRemoval,
    /// The answer to a static member that leads and comes again: whether to leave the assignment as it is.
    SkipAssignment,
    /// The epoch of a group behind a heartbeat of a member (KIP-848).
    GroupEpoch,
    /// The epoch of a group's target assignment behind a heartbeat of a member (KIP-848).
    TargetEpoch,
    /// What a member has behind its heartbeat, and in which epoch (KIP-848).
    MemberStep,
    /// The answer to a member's heartbeat: its epoch (KIP-848).
    ToldEpoch,
    /// The answer to a member's heartbeat: what it has (KIP-848).
    ToldAssignment,
    /// A member is still in its group, long after it was to be removed.
    LateMember,
    /// A leader: for how long somebody was not caught up.
    IsrLateness,
    /// A broker's registration: the broker epoch of its last life, if that came to an orderly end.
    PreviousBrokerEpoch,
    /// A leader of the metadata quorum that resigns: who should follow it.
    Successors,
    /// A controller: what has become of a broker.
    BrokerStep,
    /// A controller: whose session has run out.
    SessionStep,
    /// A controller: what has become of a partition whose leader asked for that.
    PartitionStep,
    /// A controller: the order of the records of one decision.
    BatchOrder,
    /// A controller: what it tells before it is committed, or not at all.
    CommitWait,
    /// A node of the metadata quorum: what it is.
    QuorumStep,
    /// A node of the metadata quorum: how far it takes the log for committed.
    QuorumHighWatermark,
    /// A node of the metadata quorum: who the voters are.
    VotersStep,
    /// A node of the metadata quorum: what it tells of itself, and what its disk would keep of that.
    DurableState,
    /// A broker: what it leaves on its disk, and takes from it.
    DiskStep,
    /// A replica: who leads it, in which epochs, among which replicas.
    StepOfReign,
    /// A leader: what it knows of a follower.
    StepOfFollower,
    /// A leader: the ISR, committed or about to change.
    StepOfIsr,
    /// A leader: how often it looks for late members.
    StepOfIsrLook,
    /// A replica: its high watermark.
    StepOfHighWatermark,
    /// A replica: the high watermark on its disk.
    StepOfCheckpoint,
    /// A replica: where its log begins.
    StepOfLogStart,
    /// A replica: where its log ends.
    StepOfLogEnd,
    /// A replica: the latest epoch of its cache.
    StepOfEpochs,
    /// A replica: what of its epochs is on its way to the disk.
    StepOfEpochFlush,
    /// A follower: what it asks its leader for next, and when.
    StepOfFetcher,
    /// A leader: a producer that waits though what it waits for has come.
    StepOfProduce,
    /// A producer: what follows for it from what it is answered.
    StepOfProducer,
    /// A consumer: what follows for it from what it is answered.
    StepOfConsumer,
}

impl Word {
    /// Is it an answer, which follows from what was asked and what is?
    pub fn is_answer(self) -> bool {
        use Word::*;
        matches!(
            self,
            FetchAnswer
                | FetchedHighWatermark
                | FetchedLogStart
                | FetchedRecords
                | FetchedSlice
                | FetchedUnasked
                | IsrAnswer
                | HeartbeatAnswer
                | ProducerIdsAnswer
                | ProducerIdAnswer
                | ProduceAnswer
                | DeletionAnswer
                | OffsetAnswer
                | RaftFetchAnswer
                | VoteAnswer
                | RegistrationAnswer
                | VotersAnswer
                | RaftFetchedHighWatermark
                | GroupAnswer
                | GroupRebalance
                | MemberRemoval
                | SkipAssignment
                | GroupEpoch
                | TargetEpoch
                | MemberStep
                | ToldEpoch
                | ToldAssignment
                | LateMember
        )
    }

    /// Is it what a node did, and no word?
    pub fn is_step(self) -> bool {
        use Word::*;
        matches!(
            self,
            BrokerStep
                | SessionStep
                | PartitionStep
                | BatchOrder
                | CommitWait
                | QuorumStep
                | QuorumHighWatermark
                | VotersStep
                | DurableState
                | DiskStep
                | StepOfReign
                | StepOfFollower
                | StepOfIsr
                | StepOfIsrLook
                | StepOfHighWatermark
                | StepOfCheckpoint
                | StepOfLogStart
                | StepOfLogEnd
                | StepOfEpochs
                | StepOfEpochFlush
                | StepOfFetcher
                | StepOfProduce
                | StepOfProducer
                | StepOfConsumer
        )
    }

    /// What it is about, as the object of "said", and where Kafka says so.
    pub fn named(self) -> (&'static str, &'static str) {
        match self {
            Word::FetchLeaderEpoch => ("the leader epoch of a fetch", "KIP-320, `RemoteLeaderEndPoint.buildFetch`"),
            Word::FetchOffset => ("the offset of a fetch", "`AbstractFetcherThread.processFetchRequest`"),
            Word::FetchLastEpoch => ("the last fetched epoch of a fetch", "KIP-595, `RemoteLeaderEndPoint.buildFetch`"),
            Word::FetchLogStart => ("the log start of a fetch", "KIP-107, `RemoteLeaderEndPoint.buildFetch`"),
            Word::FetchBrokerEpoch => ("the broker epoch of a fetch", "KIP-903, `RemoteLeaderEndPoint.buildFetch`"),
            Word::IsrLeaderEpoch => ("the leader epoch of a change of the ISR", "KIP-497, `AlterPartitionManager`"),
            Word::IsrPartitionEpoch => {
                ("the partition epoch of a change of the ISR", "KIP-497, `AlterPartitionManager`")
            }
            Word::IsrBrokerEpoch => ("the leader's broker epoch in AlterPartition", "KIP-497, `AlterPartitionManager`"),
            Word::IsrMembers => ("the members of an ISR that is asked for", "KIP-903, `Partition.addBrokerEpochToIsr`"),
            Word::IsrRequestsAtATime => {
                ("how many AlterPartition requests are in flight", "`AlterPartitionManager.maybePropagateIsrChanges`")
            }
            Word::HeartbeatBrokerEpoch => ("the broker epoch of a heartbeat", "KIP-631, `BrokerLifecycleManager`"),
            Word::HeartbeatMetadataOffset => {
                ("the metadata offset of a heartbeat", "KIP-631, `BrokerLifecycleManager`")
            }
            Word::HeartbeatShutDown => ("whether a heartbeat asks to shut down", "KIP-631, `BrokerLifecycleManager`"),
            Word::HeartbeatFence => ("whether a heartbeat asks to stay fenced", "KIP-631, `BrokerLifecycleManager`"),
            Word::RaftFetchEpoch => {
                ("the epoch of a fetch of metadata", "KIP-595, `KafkaRaftClient.buildFetchRequest`")
            }
            Word::RaftFetchOffset => {
                ("the offset of a fetch of metadata", "KIP-595, `KafkaRaftClient.buildFetchRequest`")
            }
            Word::RaftFetchLastEpoch => {
                ("the last fetched epoch of a fetch of metadata", "KIP-595, `KafkaRaftClient.buildFetchRequest`")
            }
            Word::VoteEpoch => ("the epoch of a candidate", "KIP-595, `KafkaRaftClient.buildVoteRequest`"),
            Word::VoteLastOffset => ("the log end of a candidate", "KIP-595, `KafkaRaftClient.buildVoteRequest`"),
            Word::VoteLastEpoch => ("the last epoch of a candidate", "KIP-595, `KafkaRaftClient.buildVoteRequest`"),
            Word::FetchAnswer => ("to a fetch", "KIP-320, KIP-595, `Partition.fetchRecords`, `readRecords`"),
            Word::FetchedHighWatermark => ("with a high watermark", "`Partition.fetchRecords`"),
            Word::FetchedLogStart => ("with a log start", "`Partition.fetchRecords`"),
            Word::FetchedRecords => ("to a consumer's fetch", "`FetchIsolation`, `UnifiedLog.read`"),
            Word::FetchedSlice => ("to a fetch, in its slice of the log", "`UnifiedLog.read`, `LogSegment.read`"),
            Word::FetchedUnasked => ("to a fetch of other partitions", "KIP-227, `FetchSession`"),
            Word::IsrAnswer => {
                ("to AlterPartition", "KIP-497, KIP-903, `ReplicationControlManager.validateAlterPartitionData`")
            }
            Word::HeartbeatAnswer => ("to a heartbeat", "`ClusterControlManager.checkBrokerEpoch`"),
            Word::ProducerIdsAnswer => ("to AllocateProducerIds", "`ClusterControlManager.checkBrokerEpoch`"),
            Word::ProducerIdAnswer => ("to who wants a producer id", "KIP-360, KIP-730, `RPCProducerIdManager`"),
            Word::ProduceAnswer => ("to a producer", "`Partition.appendRecordsToLeader`"),
            Word::DeletionAnswer => {
                ("to who deletes records", "KIP-107, `Partition.deleteRecordsOnLeader`, `DelayedDeleteRecords`")
            }
            Word::OffsetAnswer => ("to ListOffsets", "KIP-207, `Partition.fetchOffsetForTimestamp`"),
            Word::RaftFetchAnswer => ("to a fetch of metadata", "KIP-595, `KafkaRaftClient.validateLeaderOnlyRequest`"),
            Word::VoteAnswer => ("to who asks for its vote", "KIP-595, `EpochState.canGrantVote`"),
            Word::GroupAnswer => ("to a member of a group", "KIP-345, KIP-394, KIP-848, `GroupMetadataManager`"),
            Word::GroupRebalance => {
                ("to a member, whether its group begins anew", "`GroupMetadataManager`, `ClassicGroup`")
            }
            Word::MemberRemoval => {
                ("to a group, of a member", "KIP-345, `GroupMetadataManager.expireClassicGroupMemberHeartbeat`")
            }
            Word::SkipAssignment => ("to a leader that comes again", "KIP-814, `GroupMetadataManager`"),
            Word::GroupEpoch => ("as the group's epoch", "KIP-848, `GroupMetadataManager.consumerGroupHeartbeat`"),
            Word::TargetEpoch => {
                ("as the epoch of the target assignment", "KIP-848, `GroupMetadataManager.consumerGroupHeartbeat`")
            }
            Word::MemberStep => ("as the member's state", "KIP-848, `CurrentAssignmentBuilder.build`"),
            Word::ToldEpoch => ("as the member's epoch", "KIP-848, `GroupMetadataManager.consumerGroupHeartbeat`"),
            Word::ToldAssignment => {
                ("as the member's assignment", "KIP-848, `GroupMetadataManager.consumerGroupHeartbeat`")
            }
            Word::LateMember => {
                ("to a group, of a member", "`GroupMetadataManager.scheduleConsumerGroupSessionTimeout`")
            }
            Word::IsrLateness => {
                ("who is to leave the ISR", "`Partition.getOutOfSyncReplicas`, `Replica.resetReplicaState`")
            }
            Word::RegistrationAnswer => {
                ("to a broker that registers", "KIP-631, `ClusterControlManager.registerBroker`")
            }
            Word::VotersAnswer => {
                ("to who changes the voters", "KIP-853, `AddVoterHandler`, `RemoveVoterHandler`, `UpdateVoterHandler`")
            }
            Word::RaftFetchedHighWatermark => {
                ("to a fetch of metadata, as the high watermark", "KIP-595, `KafkaRaftClient.buildFetchResponse`")
            }
            Word::Successors => ("its successors", "KIP-595, `LeaderState.nonLeaderVotersByDescendingFetchOffset`"),
            Word::BrokerStep => (
                "a broker",
                "KIP-631, `BrokerHeartbeatManager.calculateNextBrokerState`, `ClusterControlManager.registerBroker`",
            ),
            Word::SessionStep => ("the brokers' sessions", "KIP-631, `BrokerHeartbeatManager.findOneStaleBroker`"),
            Word::PartitionStep => ("what a leader asked for", "KIP-497, `ReplicationControlManager.alterPartition`"),
            Word::BatchOrder => ("the records of one batch", "`ReplicationControlManager.handleBrokerFenced`"),
            Word::CommitWait => ("those who wait for a commit", "`QuorumController`, `DeferredEventQueue`"),
            Word::QuorumStep => ("its part in the quorum", "KIP-595, KIP-853, `KafkaRaftClient`, `QuorumState`"),
            Word::QuorumHighWatermark => {
                ("the metadata's high watermark", "KIP-595, `LeaderState.maybeUpdateHighWatermark`")
            }
            Word::VotersStep => ("the voters", "KIP-853, `KRaftControlRecordStateMachine`"),
            Word::DurableState => ("what it tells of its epoch", "KIP-595, `QuorumState.durableTransitionTo`"),
            Word::DiskStep => ("its disk", "KIP-966, `LogManager`, `LogLoader`, `BrokerServer.shutdown`"),
            Word::PreviousBrokerEpoch => ("the broker epoch of the life before", "KIP-966, `CleanShutdownFileHandler`"),
            Word::StepOfReign => ("who leads", "`Partition.makeLeader`, `makeFollower`"),
            Word::StepOfFollower => {
                ("what it knows of a follower", "`Replica.updateFetchStateOrThrow`, `resetReplicaState`")
            }
            Word::StepOfIsr => {
                ("the ISR", "KIP-497, `Partition.maybeExpandIsr`, `maybeShrinkIsr`, `submitAlterPartition`")
            }
            Word::StepOfIsrLook => ("how often it looks for late members", "`ReplicaManager.startup`"),
            Word::StepOfHighWatermark => {
                ("the high watermark", "`Partition.maybeIncrementLeaderHW`, `UnifiedLog.maybeUpdateHighWatermark`")
            }
            Word::StepOfCheckpoint => {
                ("the high watermark on the disk", "`ReplicaManager.checkpointHighWatermarks`, `Partition.createLog`")
            }
            Word::StepOfLogStart => ("the start of the log", "`ReplicaFetcherThread.processPartitionData`"),
            Word::StepOfLogEnd => {
                ("the end of the log", "KIP-101, KIP-279, `AbstractFetcherThread.getOffsetTruncationState`")
            }
            Word::StepOfEpochs => ("the latest epoch of the log", "KIP-101, `LeaderEpochFileCache`"),
            Word::StepOfEpochFlush => ("the epochs on their way to the disk", "KAFKA-16541, `LeaderEpochFileCache`"),
            Word::StepOfFetcher => ("what is asked of the leader next", "`AbstractFetcherThread.processFetchRequest`"),
            Word::StepOfProduce => ("who waits for the high watermark", "`DelayedProduce.tryComplete`"),
            Word::StepOfConsumer => (
                "what it makes of answers",
                "KIP-227, KIP-320, KIP-392, `AbstractFetch`, `FetchCollector`, `OffsetFetcher`",
            ),
            Word::StepOfProducer => {
                ("what it makes of answers", "KIP-98, KIP-360, `TransactionManager`, `Sender.completeBatch`")
            }
        }
    }
}
