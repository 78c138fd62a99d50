//! The bytes of a snapshot. Source: `RecordsSnapshotWriter`, `RecordsSnapshotReader`.
//!
//! ```text
//!   control batch   SnapshotHeader (3): when the last record in it was appended
//!   batches         metadata records
//!   control batch   SnapshotFooter (4): it is whole
//! ```
//!
//! Offsets begin at 0 and mean nothing; every batch bears the snapshot's epoch. The times of all records are that of the
//! last record in the snapshot, where Kafka has the time of writing: so two snapshots of one id are the same bytes. The
//! control records of kraft.version 1 that tell the voters are not modelled: the voters do not change.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{SnapshotFooterRecord, SnapshotHeaderRecord};
use kafka_protocol::protocol::{Decodable, Encodable};
use trial_storage::{BatchBuilder, BatchError, Batches, BuildOptions, NewRecord, build_batch, check_batch};

use super::SnapshotId;
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

/// The bytes of the image's snapshot. `last_contained_log_timestamp` is that of the last record below the end.
pub fn encode(id: SnapshotId, image: &MetadataImage, last_contained_log_timestamp: Millis) -> Bytes {
    let header = SnapshotHeaderRecord::default().with_version(VERSION);
    let header = header.with_last_contained_log_timestamp(last_contained_log_timestamp);
    let mut writer = Writer { id, timestamp: last_contained_log_timestamp, next_offset: 0, bytes: BytesMut::new() };
    writer.control(HEADER, &header);
    for records in image.to_records().chunks(BATCH_RECORDS) {
        writer.metadata(records);
    }
    writer.control(FOOTER, &SnapshotFooterRecord::default().with_version(VERSION));
    writer.bytes.freeze()
}

/// Reads a snapshot back. Whatever is not exactly a whole snapshot of this id is refused.
pub fn decode(id: SnapshotId, bytes: &Bytes) -> Result<Snapshot, SnapshotError> {
    let mut records = Vec::new();
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
                (Some(_), Some(_)) => return Err(SnapshotError::Malformed("an unknown control record")),
                (None, Some(_)) => records.push(MetadataRecord::decode(&value)?),
            }
        }
    }
    match (header, footer) {
        (Some(last_contained_log_timestamp), Some(())) => {
            let image = MetadataImage::from_records(id.end_offset, &records);
            Ok(Snapshot { last_contained_log_timestamp, image })
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

    fn control(&mut self, kind: i16, message: &impl Encodable) {
        let mut value = BytesMut::new();
        message.encode(&mut value, VERSION).expect("version 0 holds every field there is");
        let record = NewRecord {
            timestamp: self.timestamp,
            key: Some(control_key(kind)),
            value: Some(value.freeze()),
            headers: vec![],
        };
        let batch = build_batch(&[record], self.options(true));
        self.bytes.extend_from_slice(&batch);
        self.next_offset += 1;
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

/// Key of a control record: version, then type.
fn control_key(kind: i16) -> Bytes {
    let mut key = BytesMut::new();
    key.put_i16(0);
    key.put_i16(kind);
    key.freeze()
}

fn control_type(key: Option<&[u8]>) -> Option<i16> {
    let kind: [u8; 2] = key?.get(2..4)?.try_into().ok()?;
    Some(i16::from_be_bytes(kind))
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
