//! Where does a follower go on whose offset the leader does not have?
//!
//! OFFSET_OUT_OF_RANGE means a log that ends behind the leader's end or before its start: the follower asks for the
//! leader's latest offset, then perhaps for its earliest. Source: `AbstractFetcherThread.fetchOffsetAndTruncate`.

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, RequestKind};
use trial_storage::{Disk, LogError};

use super::{About, Asked, EARLIEST, FetcherKey, LATEST, State};
use crate::broker::Broker;
use crate::broker::replicas::PartitionIx;
use crate::conformance::FollowerRule;
use crate::event::{Event, TruncationReason};
use crate::node::{Effects, Now};
use crate::protocol::{topic_name, versions};
use crate::zoo::Switch;

impl Broker {
    pub(super) fn ask_leader_offset(
        &mut self,
        now: Now,
        key: FetcherKey,
        ix: PartitionIx,
        timestamp: i64,
        fx: &mut Effects<'_>,
    ) {
        let partition = self.replicas.get(ix);
        let fetch_offset = partition.log_end_offset();
        let Some(fetcher) = self.fetchers.get_mut(&key) else { return };
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
        key: FetcherKey,
        asked: Asked,
        timestamp: i64,
        response: &ListOffsetsResponse,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        if !self.is_current(key, asked, State::NeedsOffset { timestamp }) {
            return;
        }
        let answer = response.topics.iter().flat_map(|t| &t.partitions).next();
        let offset = match answer.map(|answer| (answer.error_code.err(), answer.offset)) {
            Some((None, offset)) => offset,
            // The whole lookup begins again after a pause; a fenced one does not (`handleOutOfRangeError`).
            Some((Some(error), _)) => return self.on_fetch_error(now, key, asked.ix, error),
            None => return self.on_fetch_error(now, key, asked.ix, ResponseError::UnknownServerError),
        };
        let next = match timestamp {
            LATEST if offset < asked.fetch_offset && FollowerRule::ShorterLeaderLogCuts.holds() => {
                self.truncate_follower(now, asked.ix, offset, TruncationReason::OutOfRange, disk, fx);
                State::Fetching
            }
            LATEST => State::NeedsOffset { timestamp: EARLIEST },
            _ if self.begins_anew_at(offset, asked.fetch_offset) => {
                if let Err(error) = self.start_log_at(asked.ix, offset, TruncationReason::BehindLogStart, disk, fx) {
                    let id = self.replicas.get(asked.ix).id.clone();
                    self.log_failed(&id, &error, fx);
                }
                State::Fetching
            }
            _ => State::Fetching,
        };
        if let Some(fetcher) = self.fetchers.get_mut(&key) {
            fetcher.set(asked.ix, next);
        }
    }

    /// Does the leader's log begin where ours has not come yet? Zoo switch `oor-truncate-fully` (KAFKA-2143,
    /// `ReplicaFetcherThread.handleOffsetOutOfRange` up to 0.9.0.0): that is taken for granted of a leader whose log is not
    /// shorter than ours.
    fn begins_anew_at(&self, leader_start_offset: i64, log_end_offset: i64) -> bool {
        if self.setup.zoo.on(Switch::OorTruncateFully) || !FollowerRule::ElseItGoesOnAtItsEnd.holds() {
            return true;
        }
        leader_start_offset > log_end_offset && FollowerRule::LaterLeaderStartBeginsAnew.holds()
    }

    /// Empties the log, to go on at `offset`, and writes the recovery points (`LogManager.truncateFullyAndStartAt`).
    pub(super) fn start_log_at(
        &mut self,
        ix: PartitionIx,
        offset: i64,
        reason: TruncationReason,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<(), LogError> {
        let partition = self.replicas.get_mut(ix);
        let (id, from) = (partition.id.clone(), partition.log_end_offset());
        let high_watermark = partition.high_watermark();
        partition.truncate_fully_and_start_at(disk, offset)?;
        self.flush_cut_epochs(ix, fx);
        fx.record(Event::Truncated { partition: id.clone(), from, to: offset, reason });
        if high_watermark != offset {
            fx.record(Event::HighWatermark { partition: id, from: high_watermark, to: offset });
        }
        self.checkpoint_after_cut(ix, disk, fx);
        Ok(())
    }
}
