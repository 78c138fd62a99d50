//! Metadata that reaches a broker late: which answers of the metadata quorum wait, and until when.
//!
//! ```text
//!   controller ── Fetch response: records 40..43 ──▶ is there a leader-changed among them? ──▶ broker
//!                                                      yes: not before it was under way for so long
//! ```
//!
//! A delay belongs to a record, not to an answer: a broker whose fetch has timed out, and who asks another controller,
//! gets the record at the time at which it would have had it. What comes after the record on the log comes after it here
//! too, for a broker applies metadata in order.

use kafka_protocol::messages::ResponseKind;
use trial_kafka::metadata::{METADATA_TOPIC_ID, MetadataRecord};
use trial_kafka::node::Nanos;
use trial_storage::{Batches, records};

use crate::fault::MetadataKind;

/// One fault of this kind while it lasts.
#[derive(Clone, Debug)]
pub(crate) struct LateMetadata {
    /// Tells it from others.
    pub(crate) number: u32,
    pub(crate) by: Nanos,
    /// Empty: any record but a NoOp.
    pub(crate) of: Vec<MetadataKind>,
    /// It has held something back.
    pub(crate) felt: bool,
    /// Records below were looked at before.
    looked_below: i64,
    /// From these offsets on, nothing arrives before these instants.
    held: Vec<(i64, Nanos)>,
}

impl LateMetadata {
    pub(crate) fn new(number: u32, by: Nanos, of: Vec<MetadataKind>) -> Self {
        LateMetadata { number, by, of, felt: false, looked_below: 0, held: Vec::new() }
    }

    fn is_concerned(&self, record: &MetadataRecord) -> bool {
        match self.of.as_slice() {
            [] => *record != MetadataRecord::NoOp,
            kinds => kinds.iter().any(|kind| kind.is_told_by(record)),
        }
    }

    /// An answer leaves at this instant: before which one must it not arrive?
    pub(crate) fn holds_until(&mut self, answer: &MetadataAnswer, now: Nanos) -> Option<Nanos> {
        self.held.retain(|(_, until)| *until > now);
        let end = match answer {
            MetadataAnswer::Snapshot => i64::MAX,
            MetadataAnswer::Records(records) => {
                let new = |(offset, _): &&(i64, MetadataRecord)| *offset >= self.looked_below;
                let first = records.iter().filter(new).find(|(_, record)| self.is_concerned(record));
                if let Some((offset, _)) = first {
                    self.held.push((*offset, now.saturating_add(self.by)));
                }
                let end = records.last().map_or(0, |(offset, _)| offset + 1);
                self.looked_below = self.looked_below.max(end);
                end
            }
        };
        self.held.iter().filter(|(offset, _)| *offset < end).map(|(_, until)| *until).max()
    }
}

/// What an answer of the metadata quorum brings a broker.
pub(crate) enum MetadataAnswer {
    /// Records with their offsets, in order.
    Records(Vec<(i64, MetadataRecord)>),
    /// A part of a snapshot, which may tell of anything.
    Snapshot,
}

impl MetadataAnswer {
    /// `None` if it brings no metadata.
    pub(crate) fn of(response: &ResponseKind) -> Option<Self> {
        match response {
            ResponseKind::FetchSnapshot(_) => Some(MetadataAnswer::Snapshot),
            ResponseKind::Fetch(response) => {
                let metadata = response.responses.iter().filter(|topic| topic.topic_id == METADATA_TOPIC_ID);
                let bytes = metadata.flat_map(|topic| &topic.partitions).find_map(|data| data.records.clone())?;
                let batches = Batches::new(bytes).map_while(Result::ok).filter(|batch| !batch.header.is_control());
                let told = batches.flat_map(|batch| records(&batch.bytes).unwrap_or_default());
                let decoded = told.filter_map(|record| {
                    let decoded = MetadataRecord::decode(record.value.as_deref().unwrap_or_default()).ok()?;
                    Some((record.offset, decoded))
                });
                Some(MetadataAnswer::Records(decoded.collect()))
            }
            _ => None,
        }
    }
}
