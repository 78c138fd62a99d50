//! Records as bytes: a key, and a value unless it is a tombstone.

use bytes::Bytes;

use super::wire::{
    write_compact_bytes, write_long_bytes, write_nullable_short_string, write_partitions, write_short_string,
};
use super::{
    ClassicGroupValue, ClassicProtocols, CurrentAssignmentValue, GroupEpochValue, MemberValue, OffsetValue, Record,
    ResolvedExpression, TopicMetadata,
};
use crate::metadata::codec::wire::{Writer, field};

/// `OffsetCommitValue` with a leader epoch, and without an expiry.
const OFFSET_VERSION: i16 = 3;
/// The version with an expiry, and without a leader epoch. Source: `MetadataVersion.offsetCommitValueVersion`.
const EXPIRING_OFFSET_VERSION: i16 = 1;
/// `GroupMetadataValue` as Kafka writes it since 2.3; version 4 is read only.
const CLASSIC_GROUP_VERSION: i16 = 3;

impl Record {
    /// Key and value. Source: `GroupCoordinatorRecordSerde`, `GroupCoordinatorRecordHelpers`.
    pub fn encode(&self) -> (Bytes, Option<Bytes>) {
        (self.encode_key(), self.encode_value())
    }

    fn encode_key(&self) -> Bytes {
        let mut out = Writer::default();
        out.i16(self.kind());
        write_short_string(&mut out, self.group());
        match self {
            Record::Offset { topic, partition, .. } => {
                write_short_string(&mut out, topic.as_str());
                out.i32(*partition);
            }
            Record::Member { member, .. }
            | Record::TargetAssignment { member, .. }
            | Record::CurrentAssignment { member, .. } => write_short_string(&mut out, member),
            Record::RegularExpression { expression, .. } => write_short_string(&mut out, expression),
            Record::ClassicGroup { .. }
            | Record::GroupEpoch { .. }
            | Record::PartitionMetadata { .. }
            | Record::TargetEpoch { .. } => {}
        }
        out.bytes.into()
    }

    fn encode_value(&self) -> Option<Bytes> {
        let mut out = Writer::default();
        match self {
            Record::Offset { value, .. } => write_offset(&mut out, value.as_ref()?),
            Record::ClassicGroup { value, .. } => write_classic_group(&mut out, value.as_ref()?),
            Record::GroupEpoch { value, .. } => write_group_epoch(&mut out, value.as_ref()?),
            Record::PartitionMetadata { value, .. } => write_topics(&mut out, value.as_ref()?),
            Record::Member { value, .. } => write_member(&mut out, value.as_ref()?),
            Record::TargetEpoch { value, .. } => {
                out.i16(0);
                out.i32((*value)?);
                out.no_tagged_fields();
            }
            Record::TargetAssignment { value, .. } => {
                out.i16(0);
                write_partitions(&mut out, value.as_ref()?);
                out.no_tagged_fields();
            }
            Record::CurrentAssignment { value, .. } => write_current_assignment(&mut out, value.as_ref()?),
            Record::RegularExpression { value, .. } => write_expression(&mut out, value.as_ref()?),
        }
        Some(out.bytes.into())
    }
}

fn write_offset(out: &mut Writer, value: &OffsetValue) {
    let expires = value.expire_timestamp != -1;
    out.i16(if expires { EXPIRING_OFFSET_VERSION } else { OFFSET_VERSION });
    out.i64(value.offset);
    if !expires {
        out.i32(value.leader_epoch);
    }
    write_short_string(out, &value.metadata);
    out.i64(value.commit_timestamp);
    if expires {
        out.i64(value.expire_timestamp);
    }
}

fn write_classic_group(out: &mut Writer, value: &ClassicGroupValue) {
    out.i16(CLASSIC_GROUP_VERSION);
    write_short_string(out, &value.protocol_type);
    out.i32(value.generation);
    write_nullable_short_string(out, value.protocol.as_deref());
    write_nullable_short_string(out, value.leader.as_deref());
    out.i64(value.current_state_timestamp);
    out.i32(i32::try_from(value.members.len()).unwrap_or(i32::MAX));
    for member in &value.members {
        write_short_string(out, &member.member_id);
        write_nullable_short_string(out, member.group_instance_id.as_deref());
        write_short_string(out, &member.client_id);
        write_short_string(out, &member.client_host);
        out.i32(member.rebalance_timeout);
        out.i32(member.session_timeout);
        write_long_bytes(out, &member.subscription);
        write_long_bytes(out, &member.assignment);
    }
}

fn write_group_epoch(out: &mut Writer, value: &GroupEpochValue) {
    out.i16(0);
    out.i32(value.epoch);
    match value.metadata_hash {
        0 => out.no_tagged_fields(),
        hash => out.tagged_fields(&[(0, field(|w| w.i64(hash)))]),
    }
}

fn write_topics(out: &mut Writer, topics: &[TopicMetadata]) {
    out.i16(0);
    out.array_of(topics, |w, topic| {
        w.uuid(topic.topic_id);
        w.string(&topic.name);
        w.i32(topic.partitions);
        w.array_of(&topic.racks, |w, (partition, racks)| {
            w.i32(*partition);
            w.array_of(racks, |w, rack| w.string(rack));
            w.no_tagged_fields();
        });
        w.no_tagged_fields();
    });
    out.no_tagged_fields();
}

fn write_member(out: &mut Writer, value: &MemberValue) {
    out.i16(0);
    out.nullable_string(value.instance_id.as_deref());
    out.nullable_string(value.rack_id.as_deref());
    out.string(&value.client_id);
    out.string(&value.client_host);
    out.array_of(&value.subscribed_topic_names, |w, name| w.string(name));
    out.nullable_string(value.subscribed_topic_regex.as_deref());
    out.i32(value.rebalance_timeout_ms);
    out.nullable_string(value.server_assignor.as_deref());
    match &value.classic {
        None => out.no_tagged_fields(),
        Some(classic) => out.tagged_fields(&[(0, field(|w| write_classic_protocols(w, classic)))]),
    }
}

/// A nullable structure: a byte says that it is there.
fn write_classic_protocols(out: &mut Writer, classic: &ClassicProtocols) {
    out.i8(1);
    out.i32(classic.session_timeout_ms);
    out.array_of(&classic.supported, |w, (name, metadata)| {
        w.string(name);
        write_compact_bytes(w, metadata);
        w.no_tagged_fields();
    });
    out.no_tagged_fields();
}

fn write_current_assignment(out: &mut Writer, value: &CurrentAssignmentValue) {
    out.i16(0);
    out.i32(value.member_epoch);
    out.i32(value.previous_member_epoch);
    out.i8(value.state);
    write_partitions(out, &value.assigned);
    write_partitions(out, &value.pending_revocation);
    out.no_tagged_fields();
}

fn write_expression(out: &mut Writer, value: &ResolvedExpression) {
    out.i16(0);
    let topics: Vec<_> = value.topics.iter().collect();
    out.array_of(&topics, |w, topic| w.string(topic));
    out.i64(value.version);
    out.i64(value.timestamp);
    out.no_tagged_fields();
}
