//! Bytes as records. Nothing is trusted; what follows a value is left alone, as in Kafka.

use super::wire::{compact_bytes, long_array, long_bytes, nullable_short_string, partitions, short_string};
use super::{
    ClassicGroupValue, ClassicMemberValue, ClassicProtocols, CurrentAssignmentValue, GroupEpochValue, GroupRecordError,
    MemberValue, OffsetValue, Record, ResolvedExpression, TopicMetadata,
};
use crate::ids::Topic;
use crate::metadata::RecordError;
use crate::metadata::codec::wire::Reader;

/// The newest version of `OffsetCommitValue` and of `GroupMetadataValue`, the first flexible one of each.
const FLEXIBLE: i16 = 4;

impl Record {
    /// Reads key and value; no value is a tombstone. Source: `GroupCoordinatorRecordSerde`.
    ///
    /// # Errors
    ///
    /// A kind or version that is not known, and bytes that are not what they say.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Record, GroupRecordError> {
        let mut key = Reader::new(key);
        let kind = key.i16()?;
        if !matches!(kind, 0..=8 | 16) {
            return Err(GroupRecordError::UnknownKind(kind));
        }
        let group = short_string(&mut key)?;
        let newest = if kind <= 2 { FLEXIBLE } else { 0 };
        let value = &mut match value {
            None => None,
            Some(bytes) => {
                let mut reader = Reader::new(bytes);
                let version = reader.i16()?;
                if !(0..=newest).contains(&version) {
                    return Err(GroupRecordError::UnknownVersion { kind, version, newest });
                }
                Some((version, reader))
            }
        };
        Ok(match kind {
            0 | 1 => Record::Offset {
                group,
                topic: Topic::new(&short_string(&mut key)?),
                partition: key.i32()?,
                value: read(value, offset)?,
            },
            2 => Record::ClassicGroup { group, value: read(value, classic_group)? },
            3 => Record::GroupEpoch { group, value: read(value, group_epoch)? },
            4 => Record::PartitionMetadata { group, value: read(value, topics)? },
            5 => Record::Member { group, member: short_string(&mut key)?, value: read(value, member)? },
            6 => Record::TargetEpoch { group, value: read(value, |_, r| r.i32())? },
            7 => Record::TargetAssignment {
                group,
                member: short_string(&mut key)?,
                value: read(value, |_, r| partitions(r))?,
            },
            8 => Record::CurrentAssignment {
                group,
                member: short_string(&mut key)?,
                value: read(value, current_assignment)?,
            },
            _ => Record::RegularExpression {
                group,
                expression: short_string(&mut key)?,
                value: read(value, expression)?,
            },
        })
    }
}

fn read<T>(
    value: &mut Option<(i16, Reader<'_>)>,
    what: impl FnOnce(i16, &mut Reader<'_>) -> Result<T, RecordError>,
) -> Result<Option<T>, RecordError> {
    value.as_mut().map(|(version, reader)| what(*version, reader)).transpose()
}

fn offset(version: i16, r: &mut Reader<'_>) -> Result<OffsetValue, RecordError> {
    let offset = r.i64()?;
    let leader_epoch = if version >= 3 { r.i32()? } else { -1 };
    let metadata = if version >= FLEXIBLE { r.string()? } else { short_string(r)? };
    let commit_timestamp = r.i64()?;
    let expire_timestamp = if version == 1 { r.i64()? } else { -1 };
    Ok(OffsetValue { offset, leader_epoch, metadata, commit_timestamp, expire_timestamp })
}

fn classic_group(version: i16, r: &mut Reader<'_>) -> Result<ClassicGroupValue, RecordError> {
    let flexible = version >= FLEXIBLE;
    let nullable = |r: &mut Reader<'_>| if flexible { r.nullable_string() } else { nullable_short_string(r) };
    let protocol_type = if flexible { r.string()? } else { short_string(r)? };
    let generation = r.i32()?;
    let (protocol, leader) = (nullable(r)?, nullable(r)?);
    let current_state_timestamp = if version >= 2 { r.i64()? } else { -1 };
    let one = |r: &mut Reader<'_>| classic_member(version, r);
    let members = if flexible { r.array_of(12, one)? } else { long_array(r, one)? };
    Ok(ClassicGroupValue { protocol_type, generation, protocol, leader, current_state_timestamp, members })
}

fn classic_member(version: i16, r: &mut Reader<'_>) -> Result<ClassicMemberValue, RecordError> {
    let flexible = version >= FLEXIBLE;
    let string = |r: &mut Reader<'_>| if flexible { r.string() } else { short_string(r) };
    let nullable = |r: &mut Reader<'_>| if flexible { r.nullable_string() } else { nullable_short_string(r) };
    let bytes = |r: &mut Reader<'_>| if flexible { compact_bytes(r) } else { long_bytes(r) };
    let member_id = string(r)?;
    let group_instance_id = if version >= 3 { nullable(r)? } else { None };
    let (client_id, client_host) = (string(r)?, string(r)?);
    let rebalance_timeout = if version >= 1 { r.i32()? } else { -1 };
    let session_timeout = r.i32()?;
    let (subscription, assignment) = (bytes(r)?, bytes(r)?);
    if flexible {
        r.skip_tagged_fields()?;
    }
    Ok(ClassicMemberValue {
        member_id,
        group_instance_id,
        client_id,
        client_host,
        rebalance_timeout,
        session_timeout,
        subscription,
        assignment,
    })
}

fn group_epoch(_: i16, r: &mut Reader<'_>) -> Result<GroupEpochValue, RecordError> {
    let (epoch, mut metadata_hash) = (r.i32()?, 0);
    r.tagged_fields(|tag, r| {
        if tag == 0 {
            metadata_hash = r.i64()?;
        }
        Ok(())
    })?;
    Ok(GroupEpochValue { epoch, metadata_hash })
}

fn topics(_: i16, r: &mut Reader<'_>) -> Result<Vec<TopicMetadata>, RecordError> {
    r.array_of(22, |r| {
        let (topic_id, name, partitions) = (r.uuid()?, r.string()?, r.i32()?);
        let racks = r.array_of(6, |r| {
            let racks = (r.i32()?, r.array_of(1, Reader::string)?);
            r.skip_tagged_fields()?;
            Ok(racks)
        })?;
        r.skip_tagged_fields()?;
        Ok(TopicMetadata { topic_id, name, partitions, racks })
    })
}

fn member(_: i16, r: &mut Reader<'_>) -> Result<MemberValue, RecordError> {
    let mut value = MemberValue {
        instance_id: r.nullable_string()?,
        rack_id: r.nullable_string()?,
        client_id: r.string()?,
        client_host: r.string()?,
        subscribed_topic_names: r.array_of(1, Reader::string)?,
        subscribed_topic_regex: r.nullable_string()?,
        rebalance_timeout_ms: r.i32()?,
        server_assignor: r.nullable_string()?,
        classic: None,
    };
    r.tagged_fields(|tag, r| {
        if tag == 0 && r.i8()? > 0 {
            value.classic = Some(classic_protocols(r)?);
        }
        Ok(())
    })?;
    Ok(value)
}

fn classic_protocols(r: &mut Reader<'_>) -> Result<ClassicProtocols, RecordError> {
    let session_timeout_ms = r.i32()?;
    let supported = r.array_of(3, |r| {
        let protocol = (r.string()?, compact_bytes(r)?);
        r.skip_tagged_fields()?;
        Ok(protocol)
    })?;
    Ok(ClassicProtocols { session_timeout_ms, supported })
}

fn current_assignment(_: i16, r: &mut Reader<'_>) -> Result<CurrentAssignmentValue, RecordError> {
    Ok(CurrentAssignmentValue {
        member_epoch: r.i32()?,
        previous_member_epoch: r.i32()?,
        state: r.i8()?,
        assigned: partitions(r)?,
        pending_revocation: partitions(r)?,
    })
}

fn expression(_: i16, r: &mut Reader<'_>) -> Result<ResolvedExpression, RecordError> {
    let topics = r.array_of(1, Reader::string)?.into_iter().collect();
    Ok(ResolvedExpression { topics, version: r.i64()?, timestamp: r.i64()? })
}
