//! What does a follower do with a fetch response: append, cut, or back off?
//!
//! Source: `AbstractFetcherThread.processFetchRequest`, `ReplicaFetcherThread.processPartitionData`,
//! `truncateOnFetchResponse`.

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_response::PartitionData;
use trial_storage::Disk;

use super::{Asked, State};
use crate::broker::Broker;
use crate::broker::partition::Partition;
use crate::broker::replicas::PartitionIx;
use crate::event::{Event, TruncationReason};
use crate::ids::BrokerId;
use crate::node::{Effects, Now, ms};

impl Broker {
    pub(super) fn on_fetched(
        &mut self,
        now: Now,
        leader: BrokerId,
        asked: &[Asked],
        response: FetchResponse,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        fx.charge(3_000);
        if response.error_code != 0 {
            let until = now.mono + ms(self.setup.config.replica_fetch_backoff_ms);
            if let Some(fetcher) = self.fetchers.get_mut(&leader) {
                asked.iter().for_each(|a| fetcher.delay(a.ix, until));
            }
            return;
        }
        for topic in response.responses {
            for data in topic.partitions {
                let Some(ix) = self.replicas.find_by_id(topic.topic_id, data.partition_index) else { continue };
                let Some(asked) = asked.iter().find(|a| a.ix == ix) else { continue };
                self.process_partition_data(now, leader, *asked, data, disk, fx);
            }
        }
    }

    /// `AbstractFetcherThread.processFetchRequest` for one partition.
    fn process_partition_data(
        &mut self,
        now: Now,
        leader: BrokerId,
        asked: Asked,
        data: PartitionData,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        if !self.is_current(leader, asked, State::Fetching) {
            return;
        }
        match data.error_code.err() {
            None if data.diverging_epoch.end_offset >= 0 => {
                self.truncate_on_divergence(
                    asked.ix,
                    data.diverging_epoch.epoch,
                    data.diverging_epoch.end_offset,
                    disk,
                    fx,
                );
            }
            None => self.append_fetched(now, asked.ix, data, disk, fx),
            Some(error) => self.on_fetch_error(now, leader, asked.ix, error),
        }
    }

    fn append_fetched(
        &mut self,
        now: Now,
        ix: PartitionIx,
        data: PartitionData,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let records = data.records.unwrap_or_default();
        if !records.is_empty() {
            fx.charge(4_000 + records.len() as u64 / 4);
            let partition = self.replicas.get_mut(ix);
            let leader_epoch = partition.leader_epoch;
            match partition.log.append_as_follower(disk, records) {
                Ok(appended) => {
                    fx.record(Event::Appended {
                        partition: partition.id.clone(),
                        first_offset: appended.first_offset,
                        last_offset: appended.last_offset,
                        leader_epoch,
                        as_leader: false,
                    });
                    self.after_append(ix, appended.first_offset, appended.rolled, fx);
                }
                Err(error) => {
                    let (leader, id) = (partition.leader, partition.id.clone());
                    if let Some(fetcher) = self.fetchers.get_mut(&leader) {
                        fetcher.delay(ix, now.mono + ms(self.setup.config.replica_fetch_backoff_ms));
                    }
                    return self.log_failed(&id, &error, fx);
                }
            }
        }
        let partition = self.replicas.get_mut(ix);
        if let Some((from, to)) = partition.set_follower_high_watermark(data.high_watermark) {
            fx.record(Event::HighWatermark { partition: partition.id.clone(), from, to });
        }
        self.follow_log_start(ix, data.log_start_offset, disk, fx);
    }

    /// Cuts the log back to where the leader's history and ours agree, or nearer to it
    /// (`AbstractFetcherThread.getOffsetTruncationState`, `ReplicaFetcherThread.truncateOnFetchResponse`).
    fn truncate_on_divergence(
        &mut self,
        ix: PartitionIx,
        epoch: i32,
        end_offset: i64,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let partition = self.replicas.get_mut(ix);
        let to = truncation_offset(partition, epoch, end_offset);
        self.truncate_follower(ix, to, TruncationReason::DivergingEpoch, disk, fx);
    }

    pub(super) fn truncate_follower(
        &mut self,
        ix: PartitionIx,
        to: i64,
        reason: TruncationReason,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let partition = self.replicas.get_mut(ix);
        let (from, high_watermark) = (partition.log_end_offset(), partition.high_watermark());
        match partition.truncate_to(disk, to) {
            Ok(end) => {
                if end < from {
                    fx.record(Event::Truncated { partition: partition.id.clone(), from, to: end, reason });
                    self.checkpoint_after_cut(ix, disk, fx);
                }
                let partition = self.replicas.get(ix);
                let now_at = partition.high_watermark();
                if now_at != high_watermark {
                    fx.record(Event::HighWatermark {
                        partition: partition.id.clone(),
                        from: high_watermark,
                        to: now_at,
                    });
                }
            }
            Err(error) => {
                let id = partition.id.clone();
                self.log_failed(&id, &error, fx);
            }
        }
    }
}

/// Where to cut: with (e', o') what our own epoch cache says about the leader's epoch: if e' is another epoch, to o' (and
/// another round will follow), else to the lesser of both ends.
fn truncation_offset(partition: &Partition, epoch: i32, end_offset: i64) -> i64 {
    let log_end_offset = partition.log_end_offset();
    match partition.log.end_offset_for(epoch) {
        None => end_offset.min(log_end_offset),
        Some(own) if own.epoch != epoch => own.end_offset.min(log_end_offset),
        Some(own) => own.end_offset.min(end_offset).min(log_end_offset),
    }
}
