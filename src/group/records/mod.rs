//! What stands in `__consumer_offsets`: committed offsets, and what is known of groups of both protocols.
//!
//! A record is a key, which says what it is about, and a value, or none: a tombstone, which says that it is no more. Here
//! each kind of record is one variant, so that no key stands with the value of another kind. The bytes are Kafka's own,
//! from the schemas in `group-coordinator/src/main/resources/common/message/*.json`: each begins with a version of two
//! bytes, and in a key that version is the kind. A value is written at the version that Kafka 4.1 writes, and every
//! version that it reads is read; a key of a kind that is not known here is passed over by whoever loads the log.

mod decode;
mod encode;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use uuid::Uuid;

use crate::ids::Topic;
use crate::metadata::RecordError;

/// Partitions by topic id.
pub type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// One record of `__consumer_offsets`; a value that is `None` is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A committed offset (`OffsetCommitKey`, type 1; 0 was the same).
    Offset {
        /// Group.
        group: String,
        /// Topic.
        topic: Topic,
        /// Partition.
        partition: i32,
        /// What was committed.
        value: Option<OffsetValue>,
    },
    /// A group of the classic protocol (`GroupMetadataKey`, type 2).
    ClassicGroup {
        /// Group.
        group: String,
        /// Its last generation that was agreed on.
        value: Option<ClassicGroupValue>,
    },
    /// The epoch of a group of the consumer protocol (`ConsumerGroupMetadataKey`, type 3).
    GroupEpoch {
        /// Group.
        group: String,
        /// Its epoch.
        value: Option<GroupEpochValue>,
    },
    /// What was known of the topics that a group is subscribed to (`ConsumerGroupPartitionMetadataKey`, type 4). Kafka 4.1
    /// keeps a hash in the group's epoch instead, and writes nothing but tombstones here.
    PartitionMetadata {
        /// Group.
        group: String,
        /// The topics.
        value: Option<Vec<TopicMetadata>>,
    },
    /// A member of a group: what it is subscribed to (`ConsumerGroupMemberMetadataKey`, type 5).
    Member {
        /// Group.
        group: String,
        /// Member.
        member: String,
        /// The subscription.
        value: Option<MemberValue>,
    },
    /// The epoch of a group's target assignment (`ConsumerGroupTargetAssignmentMetadataKey`, type 6).
    TargetEpoch {
        /// Group.
        group: String,
        /// The epoch.
        value: Option<i32>,
    },
    /// What a member is to have (`ConsumerGroupTargetAssignmentMemberKey`, type 7).
    TargetAssignment {
        /// Group.
        group: String,
        /// Member.
        member: String,
        /// The partitions.
        value: Option<Partitions>,
    },
    /// What a member has (`ConsumerGroupCurrentMemberAssignmentKey`, type 8).
    CurrentAssignment {
        /// Group.
        group: String,
        /// Member.
        member: String,
        /// The partitions, and the epoch in which it has them.
        value: Option<CurrentAssignmentValue>,
    },
    /// Which topics a regular expression means (`ConsumerGroupRegularExpressionKey`, type 16).
    RegularExpression {
        /// Group.
        group: String,
        /// The expression.
        expression: String,
        /// The topics.
        value: Option<ResolvedExpression>,
    },
}

/// A committed offset (`OffsetCommitValue`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetValue {
    /// The next offset to consume.
    pub offset: i64,
    /// Epoch of the leader that the consumer had the last record from, -1 if it did not say.
    pub leader_epoch: i32,
    /// What the consumer wants to be told again.
    pub metadata: String,
    /// When it was committed, by the wall clock.
    pub commit_timestamp: i64,
    /// When it expires, -1 unless the consumer said so (before OffsetCommit version 5).
    pub expire_timestamp: i64,
}

/// A generation of a group of the classic protocol (`GroupMetadataValue`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicGroupValue {
    /// What kind of clients, "consumer" for consumers.
    pub protocol_type: String,
    /// The generation.
    pub generation: i32,
    /// The assignor that was agreed on.
    pub protocol: Option<String>,
    /// The member that assigns.
    pub leader: Option<String>,
    /// Since when the group is in its state, -1 if that is not known.
    pub current_state_timestamp: i64,
    /// The members.
    pub members: Vec<ClassicMemberValue>,
}

/// A member of a generation (`GroupMetadataValue.MemberMetadata`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMemberValue {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it was.
    pub client_host: String,
    /// How long it is waited for in a rebalance, -1 if that is not known.
    pub rebalance_timeout: i32,
    /// How long it may be silent.
    pub session_timeout: i32,
    /// Its subscription, in the format of the protocol.
    pub subscription: Bytes,
    /// Its assignment, in the format of the protocol.
    pub assignment: Bytes,
}

/// Epoch of a group of the consumer protocol (`ConsumerGroupMetadataValue`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupEpochValue {
    /// The epoch.
    pub epoch: i32,
    /// Hash of what is known of the topics that the group is subscribed to; 0 is nothing (since 4.1).
    pub metadata_hash: i64,
}

/// A topic as a group knew it (`ConsumerGroupPartitionMetadataValue.TopicMetadata`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Id.
    pub topic_id: Uuid,
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Racks of partitions; not written since 4.0.
    pub racks: Vec<(i32, Vec<String>)>,
}

/// Subscription of a member (`ConsumerGroupMemberMetadataValue`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberValue {
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// The topics it names.
    pub subscribed_topic_names: Vec<String>,
    /// The topics it describes.
    pub subscribed_topic_regex: Option<String>,
    /// How long it may take to give partitions back, -1 if it did not say.
    pub rebalance_timeout_ms: i32,
    /// The assignor it would like.
    pub server_assignor: Option<String>,
    /// What a member has that speaks the classic protocol with a group of the consumer protocol.
    pub classic: Option<ClassicProtocols>,
}

/// Of a member that speaks the classic protocol (`ConsumerGroupMemberMetadataValue.ClassicMemberMetadata`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicProtocols {
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// Assignors it can do, with its subscription in their format.
    pub supported: Vec<(String, Bytes)>,
}

/// What a member has (`ConsumerGroupCurrentMemberAssignmentValue`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentAssignmentValue {
    /// Its epoch.
    pub member_epoch: i32,
    /// The epoch it had before: it is accepted once more, if the answer that told the new one was lost.
    pub previous_member_epoch: i32,
    /// `MemberState` as a number.
    pub state: i8,
    /// Partitions it has.
    pub assigned: Partitions,
    /// Partitions it is to give back.
    pub pending_revocation: Partitions,
}

/// Which topics a regular expression meant, and when (`ConsumerGroupRegularExpressionValue`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedExpression {
    /// Names of the topics.
    pub topics: BTreeSet<String>,
    /// The metadata's offset at which it was resolved.
    pub version: i64,
    /// When it was resolved, by the wall clock.
    pub timestamp: i64,
}

/// Why a record of `__consumer_offsets` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupRecordError {
    /// A kind of record that this code does not know: whoever loads the log passes it over.
    #[error("a record of kind {0} in __consumer_offsets, which is not known: expected 0 to 8 or 16")]
    UnknownKind(i16),
    /// A version of a value that this code does not speak.
    #[error("a value of version {version} in __consumer_offsets for a key of kind {kind}: expected 0 to {newest}")]
    UnknownVersion {
        /// The kind.
        kind: i16,
        /// The version.
        version: i16,
        /// The newest version that is known.
        newest: i16,
    },
    /// The bytes are not what they say.
    #[error("a record of __consumer_offsets is broken: {0}")]
    Broken(RecordError),
}

impl From<RecordError> for GroupRecordError {
    fn from(error: RecordError) -> Self {
        GroupRecordError::Broken(error)
    }
}

impl Record {
    /// The group that it is about.
    pub fn group(&self) -> &str {
        match self {
            Record::Offset { group, .. }
            | Record::ClassicGroup { group, .. }
            | Record::GroupEpoch { group, .. }
            | Record::PartitionMetadata { group, .. }
            | Record::Member { group, .. }
            | Record::TargetEpoch { group, .. }
            | Record::TargetAssignment { group, .. }
            | Record::CurrentAssignment { group, .. }
            | Record::RegularExpression { group, .. } => group,
        }
    }
    /// Does it say that something is no more?
    pub fn is_tombstone(&self) -> bool {
        match self {
            Record::Offset { value, .. } => value.is_none(),
            Record::ClassicGroup { value, .. } => value.is_none(),
            Record::GroupEpoch { value, .. } => value.is_none(),
            Record::PartitionMetadata { value, .. } => value.is_none(),
            Record::Member { value, .. } => value.is_none(),
            Record::TargetEpoch { value, .. } => value.is_none(),
            Record::TargetAssignment { value, .. } => value.is_none(),
            Record::CurrentAssignment { value, .. } => value.is_none(),
            Record::RegularExpression { value, .. } => value.is_none(),
        }
    }
    /// The type of its key.
    fn kind(&self) -> i16 {
        match self {
            Record::Offset { .. } => 1,
            Record::ClassicGroup { .. } => 2,
            Record::GroupEpoch { .. } => 3,
            Record::PartitionMetadata { .. } => 4,
            Record::Member { .. } => 5,
            Record::TargetEpoch { .. } => 6,
            Record::TargetAssignment { .. } => 7,
            Record::CurrentAssignment { .. } => 8,
            Record::RegularExpression { .. } => 16,
        }
    }
}
