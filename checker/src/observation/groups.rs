//! What a host tells of groups: what their members did and were told, and what stands in `__consumer_offsets`.
//!
//! A generation is that of a classic group, or a member epoch (KIP-848).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Partition;

/// One step of a consumer that is a member of a group, or would be. Its group stands in the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberStep {
    /// It learnt that it is a member of this generation.
    Joined {
        /// Its member id.
        member: Arc<str>,
        /// The generation.
        generation: i32,
    },
    /// It left, or learnt that it is no member any more.
    Left,
    /// It was told that another has its `group.instance.id`.
    Fenced {
        /// Its member id.
        member: Arc<str>,
        /// The broker that it took for its coordinator.
        coordinator: i32,
    },
    /// It gave up the generation that it is in, or is joining, because something that it had asked was refused.
    GaveUp {
        /// Its member id; empty: it is to be given one.
        member: Arc<str>,
        /// The generation; -1: the one that it is joining.
        generation: i32,
        /// The member id that it had when it asked.
        asked_as: Arc<str>,
        /// The generation in which it asked.
        asked_in: i32,
    },
    /// It was given these partitions, in addition to what it has.
    Assigned {
        /// The generation.
        generation: i32,
        /// The partitions.
        partitions: Vec<Partition>,
    },
    /// It gave these partitions up, as it was asked to.
    Revoked {
        /// The generation.
        generation: i32,
        /// The partitions.
        partitions: Vec<Partition>,
    },
    /// It learnt that these partitions are its own no longer: others may have them already.
    Lost {
        /// The generation.
        generation: i32,
        /// The partitions.
        partitions: Vec<Partition>,
    },
    /// A poll gave these records of a partition. The records themselves are told as reads, perhaps a little later.
    HandedOut {
        /// The partition.
        partition: Partition,
        /// The first of the records.
        first_offset: i64,
        /// The last of them, inclusive.
        last_offset: i64,
    },
    /// The application behind it has processed these of the records that it was handed. What one poll gave it has processed, or
    /// given up, when it polls again.
    Processed {
        /// The partition.
        partition: Partition,
        /// The first of the records.
        first_offset: i64,
        /// The last of them, inclusive.
        last_offset: i64,
    },
    /// It asked for offsets to be committed: the next to read, per partition.
    CommitSent {
        /// The generation.
        generation: i32,
        /// The offsets.
        offsets: Vec<(Partition, i64)>,
    },
    /// It was told how that ended.
    CommitAnswered {
        /// The generation.
        generation: i32,
        /// The offsets.
        offsets: Vec<(Partition, i64)>,
        /// Why it failed. Whether it was written all the same, nobody knows: it may have been sent more than once.
        error: Option<String>,
    },
    /// Its process ended, in whatever way; one that is started anew owns nothing.
    Stopped,
}

/// What the coordinator of groups on a broker did, or what stands in its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoordinatorStep {
    /// As the leader of a partition of `__consumer_offsets` it appended one batch: what it says, record by record. Told
    /// after the append itself.
    Appended {
        /// Which partition.
        partition: Partition,
        /// Offset of the batch's first record.
        first_offset: i64,
        /// Offset of its last record, inclusive.
        last_offset: i64,
        /// The leader epoch it was appended in.
        epoch: i32,
        /// Its records that are about offsets, generations and epochs; others are left out.
        records: Vec<GroupRecord>,
    },
    /// It wrote an offset that this member asked for; empty where none was named. Told after the append.
    OffsetWritten {
        /// The group.
        group: Arc<str>,
        /// Of which partition.
        partition: Partition,
        /// The offset.
        offset: i64,
        /// The member's id.
        member: Arc<str>,
        /// The generation that it named; -1: none.
        generation: i32,
    },
    /// It told a member that the offset is committed.
    CommitAcknowledged {
        /// The group.
        group: Arc<str>,
        /// Of which partition.
        partition: Partition,
        /// The offset.
        offset: i64,
    },
    /// It refused a commit.
    CommitRefused,
    /// It has replayed the log of a partition of `__consumer_offsets` and coordinates its groups.
    Loaded {
        /// Which partition.
        partition: Partition,
    },
    /// What it knows of the groups of a partition of `__consumer_offsets`, compared with what its own log says.
    State {
        /// Which partition.
        partition: Partition,
        /// How the offsets that it would answer differ, as a clause.
        offsets_differ: Option<String>,
        /// How groups, their generations, epochs and members differ, as a clause.
        groups_differ: Option<String>,
    },
    /// A group begins a rebalance, or has another epoch.
    Rebalancing {
        /// The group.
        group: Arc<str>,
    },
    /// A member is removed: another has come in its place, or it is gone.
    MemberRemoved {
        /// The group.
        group: Arc<str>,
        /// The member's id.
        member: Arc<str>,
    },
}

/// A record of `__consumer_offsets`; `None` for a value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupRecord {
    /// A committed offset.
    Offset {
        /// The group.
        group: Arc<str>,
        /// Of which partition.
        partition: Partition,
        /// The offset.
        offset: Option<i64>,
    },
    /// A generation of a classic group: its number, and what each member is assigned.
    Generation {
        /// The group.
        group: Arc<str>,
        /// Number and members.
        value: Option<Generation>,
    },
    /// The epoch of a group of the consumer protocol.
    GroupEpoch {
        /// The group.
        group: Arc<str>,
        /// The epoch.
        epoch: Option<i32>,
    },
    /// What a member of such a group has.
    Member {
        /// The group.
        group: Arc<str>,
        /// The member's id.
        member: Arc<str>,
        /// What it has.
        value: Option<MemberAssignment>,
    },
}

/// A generation of a classic group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Its number.
    pub number: i32,
    /// Its members, each with what it is assigned.
    pub members: Vec<(Arc<str>, Vec<Partition>)>,
}

/// What a member of a group of the consumer protocol has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAssignment {
    /// Its epoch.
    pub epoch: i32,
    /// The partitions that are its own.
    pub assigned: Vec<Partition>,
    /// Those that it has still to give back.
    pub revoking: Vec<Partition>,
}
