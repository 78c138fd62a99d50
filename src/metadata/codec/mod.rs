//! Metadata records as bytes, in Kafka's own format.
//!
//! Source of the frame: `AbstractApiMessageSerde`; of the messages: `metadata/src/main/resources/common/metadata/*.json`.
//! A record is written at the lowest version that can hold it. Every version that Kafka 4.1 knows is read; fields this
//! model does not have (log directories, features, further listeners) are passed over.

#[cfg(test)]
mod tests;
pub(crate) mod wire;

use bytes::Bytes;

use self::wire::{Reader, Writer, field};
use super::record::{BrokerRegistrationChange, MetadataRecord, PartitionChange, RecordError};
use crate::ids::Topic;

const FRAME_VERSION: u32 = 1;

const REGISTER_BROKER: u32 = 0;
const UNREGISTER_BROKER: u32 = 1;
const TOPIC: u32 = 2;
const PARTITION: u32 = 3;
const CONFIG: u32 = 4;
const PARTITION_CHANGE: u32 = 5;
const REMOVE_TOPIC: u32 = 9;
const FEATURE_LEVEL: u32 = 12;
const PRODUCER_IDS: u32 = 15;
const BROKER_REGISTRATION_CHANGE: u32 = 17;
const NO_OP: u32 = 20;
const CLEAR_ELR: u32 = 28;

/// `PartitionChangeRecord.Leader`: "no change".
const NO_LEADER_CHANGE: i32 = -2;
/// `PartitionChangeRecord.LeaderRecoveryState`: "no change".
const NO_RECOVERY_CHANGE: i8 = -1;

impl MetadataRecord {
    /// The bytes of this record, as the value of a record of the metadata log.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        let (api_key, version) = self.key_and_version();
        out.unsigned_varint(FRAME_VERSION);
        out.unsigned_varint(api_key);
        out.unsigned_varint(version);
        self.write_message(&mut out);
        Bytes::from(out.bytes)
    }

    /// Reads a record back. Never panics and never allocates more than the bytes warrant.
    pub fn decode(bytes: &[u8]) -> Result<MetadataRecord, RecordError> {
        let mut input = Reader::new(bytes);
        let frame = input.unsigned_varint()?;
        let api_key = input.unsigned_varint()?;
        let version = input.unsigned_varint()?;
        let unknown = RecordError::Unknown { frame, api_key, version };
        let Some(highest) = highest_version(api_key) else { return Err(unknown) };
        if frame != FRAME_VERSION || version > highest {
            return Err(unknown);
        }
        let record = read_message(api_key, version, &mut input)?;
        if !input.is_empty() {
            return Err(RecordError::Malformed("length: bytes are left over"));
        }
        Ok(record)
    }

    fn key_and_version(&self) -> (u32, u32) {
        match self {
            MetadataRecord::RegisterBroker { .. } => (REGISTER_BROKER, 1),
            MetadataRecord::UnregisterBroker { .. } => (UNREGISTER_BROKER, 0),
            MetadataRecord::Topic { .. } => (TOPIC, 0),
            MetadataRecord::Partition { eligible_leader_replicas, last_known_elr, .. } => {
                let has_elr = !eligible_leader_replicas.is_empty() || !last_known_elr.is_empty();
                (PARTITION, if has_elr { 2 } else { 0 })
            }
            MetadataRecord::Config { .. } => (CONFIG, 0),
            MetadataRecord::PartitionChange(change) => {
                let has_elr = change.eligible_leader_replicas.is_some() || change.last_known_elr.is_some();
                (PARTITION_CHANGE, if has_elr { 2 } else { 0 })
            }
            MetadataRecord::RemoveTopic { .. } => (REMOVE_TOPIC, 0),
            MetadataRecord::FeatureLevel { .. } => (FEATURE_LEVEL, 0),
            MetadataRecord::BrokerRegistrationChange(change) => {
                (BROKER_REGISTRATION_CHANGE, u32::from(change.in_controlled_shutdown.is_some()))
            }
            MetadataRecord::ProducerIds { .. } => (PRODUCER_IDS, 0),
            MetadataRecord::NoOp => (NO_OP, 0),
            MetadataRecord::ClearElr { .. } => (CLEAR_ELR, 0),
        }
    }

    fn write_message(&self, out: &mut Writer) {
        match self {
            MetadataRecord::RegisterBroker {
                broker,
                incarnation,
                broker_epoch,
                host,
                port,
                rack,
                fenced,
                in_controlled_shutdown,
            } => {
                out.i32(*broker);
                out.uuid(*incarnation);
                out.i64(*broker_epoch);
                out.array_of(&[(host, port)], |out, (host, port)| {
                    out.string("PLAINTEXT");
                    out.string(host);
                    out.u16(**port);
                    out.i16(0);
                    out.no_tagged_fields();
                });
                out.array_of::<()>(&[], |_, _| {});
                out.nullable_string(rack.as_deref());
                out.bool(*fenced);
                out.bool(*in_controlled_shutdown);
                out.no_tagged_fields();
            }
            MetadataRecord::UnregisterBroker { broker, broker_epoch } => {
                out.i32(*broker);
                out.i64(*broker_epoch);
                out.no_tagged_fields();
            }
            MetadataRecord::Topic { name, topic_id } => {
                out.string(name.as_str());
                out.uuid(*topic_id);
                out.no_tagged_fields();
            }
            MetadataRecord::Partition {
                topic_id,
                partition,
                replicas,
                isr,
                removing_replicas,
                adding_replicas,
                leader,
                leader_epoch,
                partition_epoch,
                leader_recovery_state,
                eligible_leader_replicas,
                last_known_elr,
            } => {
                out.i32(*partition);
                out.uuid(*topic_id);
                out.ids(replicas);
                out.ids(isr);
                out.ids(removing_replicas);
                out.ids(adding_replicas);
                out.i32(*leader);
                out.i32(*leader_epoch);
                out.i32(*partition_epoch);
                if self.key_and_version().1 >= 1 {
                    // Log directories are not modelled.
                    out.array_of::<()>(&[], |_, _| {});
                }
                let ids = |tag, ids: &Vec<i32>| (!ids.is_empty()).then(|| (tag, field(|w| w.ids(ids))));
                let recovery = (*leader_recovery_state != 0).then(|| (0, field(|w| w.i8(*leader_recovery_state))));
                let fields = [recovery, ids(1, eligible_leader_replicas), ids(2, last_known_elr)];
                let fields: Vec<_> = fields.into_iter().flatten().collect();
                out.tagged_fields(&fields);
            }
            MetadataRecord::Config { resource_type, resource_name, name, value } => {
                out.i8(*resource_type);
                out.string(resource_name);
                out.string(name);
                out.nullable_string(value.as_deref());
                out.no_tagged_fields();
            }
            MetadataRecord::PartitionChange(change) => write_partition_change(change, out),
            MetadataRecord::RemoveTopic { topic_id } => {
                out.uuid(*topic_id);
                out.no_tagged_fields();
            }
            MetadataRecord::FeatureLevel { name, level } => {
                out.string(name);
                out.i16(*level);
                out.no_tagged_fields();
            }
            MetadataRecord::BrokerRegistrationChange(change) => write_registration_change(change, out),
            MetadataRecord::ProducerIds { broker, broker_epoch, next_producer_id } => {
                out.i32(*broker);
                out.i64(*broker_epoch);
                out.i64(*next_producer_id);
                out.no_tagged_fields();
            }
            MetadataRecord::NoOp => out.no_tagged_fields(),
            // An empty name stands for all topics.
            MetadataRecord::ClearElr { topic } => {
                out.string(topic.as_ref().map_or("", Topic::as_str));
                out.no_tagged_fields();
            }
        }
    }
}

/// The highest version of each kind that is read (`validVersions` of the schemas).
fn highest_version(api_key: u32) -> Option<u32> {
    match api_key {
        REGISTER_BROKER => Some(3),
        PARTITION | PARTITION_CHANGE | BROKER_REGISTRATION_CHANGE => Some(2),
        UNREGISTER_BROKER | TOPIC | CONFIG | REMOVE_TOPIC | FEATURE_LEVEL | PRODUCER_IDS | NO_OP | CLEAR_ELR => Some(0),
        _ => None,
    }
}

fn read_message(api_key: u32, version: u32, input: &mut Reader<'_>) -> Result<MetadataRecord, RecordError> {
    let record = match api_key {
        REGISTER_BROKER => return read_register_broker(version, input),
        PARTITION => return read_partition(version, input),
        PARTITION_CHANGE => return read_partition_change(input).map(MetadataRecord::PartitionChange),
        BROKER_REGISTRATION_CHANGE => {
            return read_registration_change(input).map(MetadataRecord::BrokerRegistrationChange);
        }
        UNREGISTER_BROKER => MetadataRecord::UnregisterBroker { broker: input.i32()?, broker_epoch: input.i64()? },
        TOPIC => MetadataRecord::Topic { name: Topic::new(&input.string()?), topic_id: input.uuid()? },
        CONFIG => MetadataRecord::Config {
            resource_type: input.i8()?,
            resource_name: input.string()?,
            name: input.string()?,
            value: input.nullable_string()?,
        },
        REMOVE_TOPIC => MetadataRecord::RemoveTopic { topic_id: input.uuid()? },
        FEATURE_LEVEL => MetadataRecord::FeatureLevel { name: input.string()?, level: input.i16()? },
        PRODUCER_IDS => MetadataRecord::ProducerIds {
            broker: input.i32()?,
            broker_epoch: input.i64()?,
            next_producer_id: input.i64()?,
        },
        CLEAR_ELR => {
            let name = input.string()?;
            MetadataRecord::ClearElr { topic: (!name.is_empty()).then(|| Topic::new(&name)) }
        }
        // NO_OP: `highest_version` lets no other key through.
        _ => MetadataRecord::NoOp,
    };
    input.skip_tagged_fields()?;
    Ok(record)
}

fn read_register_broker(version: u32, input: &mut Reader<'_>) -> Result<MetadataRecord, RecordError> {
    let broker = input.i32()?;
    if version >= 2 && input.bool()? {
        return Err(RecordError::Malformed("broker: migrating from ZooKeeper"));
    }
    let incarnation = input.uuid()?;
    let broker_epoch = input.i64()?;
    let endpoints = input.array_of(7, |input| {
        input.string()?;
        let endpoint = (input.string()?, input.u16()?);
        input.i16()?;
        input.skip_tagged_fields()?;
        Ok(endpoint)
    })?;
    let (host, port) = endpoints.into_iter().next().ok_or(RecordError::Malformed("broker: no endpoint"))?;
    input.array_of(6, |input| {
        input.string()?;
        input.i16()?;
        input.i16()?;
        input.skip_tagged_fields()
    })?;
    let rack = input.nullable_string()?;
    let fenced = input.bool()?;
    let in_controlled_shutdown = version >= 1 && input.bool()?;
    input.skip_tagged_fields()?;
    Ok(MetadataRecord::RegisterBroker {
        broker,
        incarnation,
        broker_epoch,
        host,
        port,
        rack,
        fenced,
        in_controlled_shutdown,
    })
}

fn read_partition(version: u32, input: &mut Reader<'_>) -> Result<MetadataRecord, RecordError> {
    let partition = input.i32()?;
    let topic_id = input.uuid()?;
    let replicas = input.ids()?;
    let isr = input.ids()?;
    let removing_replicas = input.ids()?;
    let adding_replicas = input.ids()?;
    let leader = input.i32()?;
    let leader_epoch = input.i32()?;
    let partition_epoch = input.i32()?;
    if version >= 1 {
        input.array_of(16, Reader::uuid)?;
    }
    let (mut leader_recovery_state, mut eligible_leader_replicas, mut last_known_elr) = (0, Vec::new(), Vec::new());
    input.tagged_fields(|tag, value| {
        match tag {
            0 => leader_recovery_state = value.i8()?,
            1 => eligible_leader_replicas = value.nullable_ids()?.unwrap_or_default(),
            2 => last_known_elr = value.nullable_ids()?.unwrap_or_default(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(MetadataRecord::Partition {
        topic_id,
        partition,
        replicas,
        isr,
        removing_replicas,
        adding_replicas,
        leader,
        leader_epoch,
        partition_epoch,
        leader_recovery_state,
        eligible_leader_replicas,
        last_known_elr,
    })
}

/// All fields but the first two are tagged; a field that does not change is not there.
fn write_partition_change(change: &PartitionChange, out: &mut Writer) {
    out.i32(change.partition);
    out.uuid(change.topic_id);
    let ids = |tag: u32, ids: &Option<Vec<i32>>| ids.as_ref().map(|ids| (tag, field(|w| w.ids(ids))));
    let fields = [
        ids(0, &change.isr),
        change.leader.filter(|l| *l != NO_LEADER_CHANGE).map(|leader| (1, field(|w| w.i32(leader)))),
        ids(2, &change.replicas),
        ids(3, &change.removing_replicas),
        ids(4, &change.adding_replicas),
        change.leader_recovery_state.filter(|s| *s != NO_RECOVERY_CHANGE).map(|state| (5, field(|w| w.i8(state)))),
        ids(6, &change.eligible_leader_replicas),
        ids(7, &change.last_known_elr),
    ];
    let fields: Vec<_> = fields.into_iter().flatten().collect();
    out.tagged_fields(&fields);
}

fn read_partition_change(input: &mut Reader<'_>) -> Result<PartitionChange, RecordError> {
    let partition = input.i32()?;
    let topic_id = input.uuid()?;
    let mut change = PartitionChange { topic_id, partition, ..PartitionChange::default() };
    input.tagged_fields(|tag, value| {
        match tag {
            0 => change.isr = value.nullable_ids()?,
            1 => change.leader = Some(value.i32()?).filter(|leader| *leader != NO_LEADER_CHANGE),
            2 => change.replicas = value.nullable_ids()?,
            3 => change.removing_replicas = value.nullable_ids()?,
            4 => change.adding_replicas = value.nullable_ids()?,
            5 => change.leader_recovery_state = Some(value.i8()?).filter(|state| *state != NO_RECOVERY_CHANGE),
            6 => change.eligible_leader_replicas = value.nullable_ids()?,
            7 => change.last_known_elr = value.nullable_ids()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(change)
}

/// Fenced is 1, unfenced -1, unchanged absent. A controlled shutdown can only be entered: "left" has no encoding.
fn write_registration_change(change: &BrokerRegistrationChange, out: &mut Writer) {
    out.i32(change.broker);
    out.i64(change.broker_epoch);
    let fenced = change.fenced.map(|fenced| (0, field(|w| w.i8(if fenced { 1 } else { -1 }))));
    let shutdown = change.in_controlled_shutdown.filter(|entered| *entered).map(|_| (1, field(|w| w.i8(1))));
    let fields: Vec<_> = [fenced, shutdown].into_iter().flatten().collect();
    out.tagged_fields(&fields);
}

fn read_registration_change(input: &mut Reader<'_>) -> Result<BrokerRegistrationChange, RecordError> {
    let broker = input.i32()?;
    let broker_epoch = input.i64()?;
    let mut change = BrokerRegistrationChange { broker, broker_epoch, fenced: None, in_controlled_shutdown: None };
    input.tagged_fields(|tag, value| {
        match (tag, if tag <= 1 { value.i8()? } else { 0 }) {
            (0, 1) => change.fenced = Some(true),
            (0, -1) => change.fenced = Some(false),
            (1, 1) => change.in_controlled_shutdown = Some(true),
            (0 | 1, 0) => {}
            (0 | 1, _) => return Err(RecordError::Malformed("registration change")),
            _ => {}
        }
        Ok(())
    })?;
    Ok(change)
}
