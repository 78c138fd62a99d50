//! Where does a follower go on whose offset the leader does not have?
//!
//! OFFSET_OUT_OF_RANGE means a log that ends behind the leader's end or before its start: the follower asks for the
//! leader's latest offset, then perhaps for its earliest. Source: `AbstractFetcherThread.fetchOffsetAndTruncate`.

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, RequestKind};
use trial_storage::Disk;

use super::{About, Asked, EARLIEST, LATEST, State};
use crate::broker::Broker;
use crate::broker::replicas::PartitionIx;
use crate::event::{Event, TruncationReason};
use crate::ids::BrokerId;
use crate::node::{Effects, Now};
use crate::protocol::{topic_name, versions};

impl Broker {
    pub(super) fn ask_leader_offset(
        &mut self,
        now: Now,
        leader: BrokerId,
        ix: PartitionIx,
        timestamp: i64,
        fx: &mut Effects<'_>,
    ) {
        let partition = self.replicas.get(ix);
        let fetch_offset = partition.log_end_offset();
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        let Some(followed) = fetcher.partitions.get(&ix) else { return };
        let wanted = ListOffsetsPartition::default()
            .with_partition_index(partition.id.partition)
            .with_current_leader_epoch(followed.leader_epoch)
            .with_timestamp(timestamp);
        let topic =
            ListOffsetsTopic::default().with_name(topic_name(&partition.id.topic)).with_partitions(vec![wanted]);
        let request = ListOffsetsRequest::default().with_replica_id(self.setup.node_id.into()).with_topics(vec![topic]);
        let asked = Asked { ix, leader_epoch: followed.leader_epoch, fetch_offset };
        let about = About::ListOffset(asked, timestamp);
        fetcher.channel.call(now.mono, fx, versions::LIST_OFFSETS, RequestKind::ListOffsets(request), about);
    }

    /// `AbstractFetcherThread.fetchOffsetAndTruncate`: the leader's latest offset lies below our log end: cut to it. Else
    /// its earliest lies above: start there with an empty log. Else fetch on.
    #[allow(clippy::too_many_arguments)] // one parameter per part of the answered question
    pub(super) fn on_leader_offset(
        &mut self,
        now: Now,
        leader: BrokerId,
        asked: Asked,
        timestamp: i64,
        response: &ListOffsetsResponse,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        if !self.is_current(leader, asked, State::NeedsOffset { timestamp }) {
            return;
        }
        let answer = response.topics.iter().flat_map(|t| &t.partitions).next();
        let offset = match answer.map(|answer| (answer.error_code.err(), answer.offset)) {
            Some((None, offset)) => offset,
            // The whole lookup begins again after a pause; a fenced one does not (`handleOutOfRangeError`).
            Some((Some(error), _)) => return self.on_fetch_error(now, leader, asked.ix, error),
            None => return self.on_fetch_error(now, leader, asked.ix, ResponseError::UnknownServerError),
        };
        let next = match timestamp {
            LATEST if offset < asked.fetch_offset => {
                self.truncate_follower(asked.ix, offset, TruncationReason::OutOfRange, disk, fx);
                State::Fetching
            }
            LATEST => State::NeedsOffset { timestamp: EARLIEST },
            _ if offset > asked.fetch_offset => {
                self.start_log_at(asked.ix, offset, disk, fx);
                State::Fetching
            }
            _ => State::Fetching,
        };
        if let Some(fetcher) = self.fetchers.get_mut(&leader) {
            fetcher.set(asked.ix, next);
        }
    }

    fn start_log_at(&mut self, ix: PartitionIx, offset: i64, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let partition = self.replicas.get_mut(ix);
        let (id, from) = (partition.id.clone(), partition.log_end_offset());
        let high_watermark = partition.high_watermark();
        match partition.truncate_fully_and_start_at(disk, offset) {
            Ok(()) => {
                let reason = TruncationReason::BehindLogStart;
                fx.record(Event::Truncated { partition: id.clone(), from, to: offset, reason });
                if high_watermark != offset {
                    fx.record(Event::HighWatermark { partition: id, from: high_watermark, to: offset });
                }
                self.checkpoint_after_cut(ix, disk, fx);
            }
            Err(error) => self.log_failed(&id, &error, fx),
        }
    }
}
