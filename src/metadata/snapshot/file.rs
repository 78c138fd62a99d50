//! The bytes of a snapshot. Source: `RecordsSnapshotWriter`, `RecordsSnapshotReader`.
//!
//! ```text
//!   control batch   SnapshotHeader (3): when the last record in it was appended;
//!                   KRaftVersion (5) and Voters (6): the voters in force at its end (kraft.version 1, KIP-853)
//!   batches         metadata records
//!   control batch   SnapshotFooter (4): it is whole
//! ```
//!
//! Offsets begin at 0 and mean nothing; every batch bears the snapshot's epoch. The times of all records are that of the
//! last record in the snapshot, where Kafka has the time of writing: so two snapshots of one id are the same bytes.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{SnapshotFooterRecord, SnapshotHeaderRecord};
use kafka_protocol::protocol::{Decodable, Encodable};
use trial_storage::{BatchBuilder, BatchError, Batches, BuildOptions, NewRecord, build_batch, check_batch};

use super::SnapshotId;
use crate::controller::Voter;
use crate::metadata::voters_record::{
    KRAFT_VERSION, KRAFT_VOTERS, control_key, control_type, decode_voters, encode_kraft_version, encode_voters,
};
use crate::metadata::{MetadataImage, MetadataRecord, RecordError};
use crate::node::Millis;

/// `ControlRecordType.SNAPSHOT_HEADER`.
const HEADER: i16 = 3;
/// `ControlRecordType.SNAPSHOT_FOOTER`.
const FOOTER: i16 = 4;
/// Version of both records.
const VERSION: i16 = 0;
/// Most records of one batch (`RaftSnapshotWriter`, `SnapshotEmitter.DEFAULT_BATCH_SIZE`).
const BATCH_RECORDS: usize = 1_024;
/// Largest batch, but for a record that is larger by itself (`KafkaRaftClient.MAX_BATCH_SIZE_BYTES`).
const BATCH_BYTES: usize = 8 << 20;

/// A snapshot that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When the last record in it was appended to the log.
    pub last_contained_log_timestamp: Millis,
    /// The metadata as of its end.
    pub image: MetadataImage,
    /// The voters in force at its end; empty if it does not tell.
    pub voters: Vec<Voter>,
}

/// Why bytes are not the snapshot they should be. None of it may be used then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// They end too early, or are corrupt.
    #[error("snapshot: {0}")]
    Batch(#[from] BatchError),
    /// A record is not one of metadata.
    #[error("snapshot: {0}")]
    Record(#[from] RecordError),
    /// The batches are sound, and not those of this snapshot.
    #[error("snapshot: {0}")]
    Malformed(&'static str),
}

/// The bytes of the image's snapshot, without a word about voters (kraft.version 0).
pub fn encode(id: SnapshotId, image: &MetadataImage, last_contained_log_timestamp: Millis) -> Bytes {
    encode_with_voters(id, image, last_contained_log_timestamp, &[])
}

/// The bytes of the image's snapshot. `last_contained_log_timestamp` is that of the last record below the end, `voters` are
/// those in force there. Source: `RecordsSnapshotWriter.Builder.build`.
pub fn encode_with_voters(
    id: SnapshotId,
    image: &MetadataImage,
    last_contained_log_timestamp: Millis,
    voters: &[Voter],
) -> Bytes {
    let header = SnapshotHeaderRecord::default().with_version(VERSION);
    let header = header.with_last_contained_log_timestamp(last_contained_log_timestamp);
    let mut writer = Writer { id, timestamp: last_contained_log_timestamp, next_offset: 0, bytes: BytesMut::new() };
    let mut head = vec![(HEADER, message_bytes(&header))];
    if !voters.is_empty() {
        head.extend([(KRAFT_VERSION, encode_kraft_version()), (KRAFT_VOTERS, encode_voters(voters))]);
    }
    writer.control(head);
    for records in image.to_records().chunks(BATCH_RECORDS) {
        writer.metadata(records);
    }
    writer.control(vec![(FOOTER, message_bytes(&SnapshotFooterRecord::default().with_version(VERSION)))]);
    writer.bytes.freeze()
}

/// Reads a snapshot back. Whatever is not exactly a whole snapshot of this id is refused.
pub fn decode(id: SnapshotId, bytes: &Bytes) -> Result<Snapshot, SnapshotError> {
    let (mut records, mut voters) = (Vec::new(), Vec::new());
    let (mut header, mut footer) = (None, None);
    let mut next_offset = 0;
    for batch in Batches::new(bytes.clone()) {
        let batch = batch?;
        check_batch(&batch.bytes)?;
        if batch.header.base_offset != next_offset || batch.header.partition_leader_epoch != id.epoch {
            return Err(SnapshotError::Malformed("a batch does not continue the one before, or is of another epoch"));
        }
        next_offset = batch.header.next_offset();
        if footer.is_some() {
            return Err(SnapshotError::Malformed("it goes on behind its footer"));
        }
        for record in trial_storage::records(&batch.bytes)? {
            let value = record.value.unwrap_or_default();
            let kind = batch.header.is_control().then(|| control_type(record.key.as_deref()));
            match (kind, header) {
                (Some(Some(HEADER)), None) => header = Some(read_header(value)?),
                (_, None) => return Err(SnapshotError::Malformed("it does not begin with a header")),
                (Some(Some(FOOTER)), Some(_)) => footer = Some(read_footer(value)?),
                (Some(Some(KRAFT_VERSION)), Some(_)) => {}
                (Some(Some(KRAFT_VOTERS)), Some(_)) => voters = decode_voters(&value)?,
                (Some(_), Some(_)) => return Err(SnapshotError::Malformed("an unknown control record")),
                (None, Some(_)) => records.push(MetadataRecord::decode(&value)?),
            }
        }
    }
    match (header, footer) {
        (Some(last_contained_log_timestamp), Some(())) => {
            let image = MetadataImage::from_records(id.end_offset, &records);
            Ok(Snapshot { last_contained_log_timestamp, image, voters })
        }
        _ => Err(SnapshotError::Malformed("it ends without a footer")),
    }
}

struct Writer {
    id: SnapshotId,
    timestamp: Millis,
    next_offset: i64,
    bytes: BytesMut,
}

impl Writer {
    fn options(&self, control: bool) -> BuildOptions {
        BuildOptions {
            partition_leader_epoch: self.id.epoch,
            base_offset: self.next_offset,
            control,
            ..BuildOptions::default()
        }
    }

    /// One batch of control records, each with its type and value.
    fn control(&mut self, records: Vec<(i16, Bytes)>) {
        let timestamp = self.timestamp;
        let record =
            |(kind, value)| NewRecord { timestamp, key: Some(control_key(kind)), value: Some(value), headers: vec![] };
        let records: Vec<NewRecord> = records.into_iter().map(record).collect();
        let batch = build_batch(&records, self.options(true));
        self.bytes.extend_from_slice(&batch);
        self.next_offset += records.len() as i64;
    }

    fn metadata(&mut self, records: &[MetadataRecord]) {
        let mut builder = BatchBuilder::new();
        for record in records {
            let record = NewRecord { timestamp: self.timestamp, value: Some(record.encode()), ..NewRecord::default() };
            if !builder.try_push(&record, BATCH_BYTES) {
                self.flush(std::mem::take(&mut builder));
                builder.try_push(&record, BATCH_BYTES);
            }
        }
        self.flush(builder);
    }

    fn flush(&mut self, builder: BatchBuilder) {
        let records = i64::from(builder.records_count());
        let batch = builder.build(self.options(false));
        self.bytes.extend_from_slice(&batch);
        self.next_offset += records;
    }
}

fn message_bytes(message: &impl Encodable) -> Bytes {
    let mut value = BytesMut::new();
    message.encode(&mut value, VERSION).expect("version 0 holds every field there is");
    value.freeze()
}

fn read_header(mut value: Bytes) -> Result<Millis, SnapshotError> {
    // Version and timestamp: before that nothing is decoded.
    if value.len() < 10 {
        return Err(SnapshotError::Malformed("its header is too short"));
    }
    let header = SnapshotHeaderRecord::decode(&mut value, VERSION);
    header.map(|h| h.last_contained_log_timestamp).map_err(|_| SnapshotError::Malformed("its header is unreadable"))
}

fn read_footer(mut value: Bytes) -> Result<(), SnapshotError> {
    if value.len() < 2 {
        return Err(SnapshotError::Malformed("its footer is too short"));
    }
    let footer = SnapshotFooterRecord::decode(&mut value, VERSION);
    footer.map(|_| ()).map_err(|_| SnapshotError::Malformed("its footer is unreadable"))
}
