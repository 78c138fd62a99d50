//! What coordinators write.

use kafka_protocol::ResponseError;
use trial_storage::{BuildOptions, Disk, NewRecord, build_batch, parse_header};

use super::offsets_partition;
use crate::broker::Broker;
use crate::conformance::CoordinatorRule;
use crate::group::records::Record;
use crate::node::{Effects, EventId, Now};

/// A coordinator appends as a producer with acks=1 does: `min.insync.replicas` does not stop it. Below that the high
/// watermark stands still (KIP-966), so what is written is not answered before `offsets.commit.timeout.ms` has passed, and
/// may be committed later. Source: `CoordinatorPartitionWriter.append` (`requiredAcks = 1`).
const ACKS: i16 = 1;

impl Broker {
    /// Appends the records of one write as one batch. Gives the end of the log then, and the event.
    pub(super) fn append_group_records(
        &mut self,
        now: Now,
        partition: i32,
        records: &[Record],
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<(i64, EventId), ResponseError> {
        let ix = self.replicas.find(&offsets_partition(partition)).ok_or(ResponseError::NotLeaderOrFollower)?;
        let new = |record: &Record| {
            let (key, value) = record.encode();
            NewRecord { timestamp: now.wall, key: Some(key), value, ..NewRecord::default() }
        };
        let batch = build_batch(&records.iter().map(new).collect::<Vec<_>>(), BuildOptions::default());
        let header = parse_header(&batch).map_err(|_| ResponseError::UnknownServerError)?;
        let acks = if CoordinatorRule::CoordinatorsDoNotAskForMinIsr.holds() { ACKS } else { -1 };
        let appended =
            self.append_as_leader(now, ix, acks, batch, &header, disk, fx).map_err(|refused| refused.error)?;
        let event = self.note_appended(now, ix, &appended, fx);
        Ok((appended.last_offset + 1, event))
    }
}
