//! What does a follower do with a fetch response: append, cut, or pause?
//!
//! Source: `AbstractFetcherThread.processFetchRequest`, `ReplicaFetcherThread.processPartitionData`,
//! `truncateOnFetchResponse`.

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_response::PartitionData;
use trial_storage::{Disk, LogError};

use super::{Asked, FetcherKey, State};
use crate::broker::partition::Partition;
use crate::broker::replicas::PartitionIx;
use crate::broker::{Broker, Step};
use crate::conformance::FollowerRule;
use crate::event::{Event, TruncationReason};
use crate::node::{Effects, LocalStep, Now, ms};
use crate::zoo::Switch;

/// What a leader has said of the end of a follower's log: the largest epoch of its own that is not above the follower's last
/// one, and where that ends.
#[derive(Clone, Copy, Debug)]
pub struct DivergingTail {
    asked: Asked,
    epoch: i32,
    end_offset: i64,
}

impl Broker {
    pub(super) fn on_fetched(
        &mut self,
        now: Now,
        key: FetcherKey,
        asked: &[Asked],
        response: FetchResponse,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        fx.charge(3_000);
        let Some(fetcher) = self.fetchers.get_mut(&key) else { return };
        if !fetcher.session.on_response(&response) {
            // Nothing of it counts, and the next fetch is a full one: at once, unless topic ids are what the two sides
            // disagree about (`RemoteLeaderEndPoint.fetch`).
            if response.error_code == ResponseError::FetchSessionTopicIdError.code() {
                let until = now.mono + ms(self.setup.config.replica_fetch_backoff_ms);
                asked.iter().for_each(|a| fetcher.delay(a.ix, until));
            }
            return;
        }
        let mut untold = asked.to_vec();
        for topic in response.responses {
            for data in topic.partitions {
                let Some(ix) = self.replicas.find_by_id(topic.topic_id, data.partition_index) else { continue };
                let Some(asked) = asked.iter().find(|a| a.ix == ix) else { continue };
                untold.retain(|other| other.ix != ix);
                self.process_partition_data(now, key, *asked, data, disk, fx);
            }
        }
        // What a session leaves out has no news, so no divergence either.
        for asked in untold {
            self.nothing_diverges(key, asked);
        }
    }

    /// `AbstractFetcherThread.processFetchRequest` for one partition.
    fn process_partition_data(
        &mut self,
        now: Now,
        key: FetcherKey,
        asked: Asked,
        data: PartitionData,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        if !self.is_current(key, asked, State::Fetching) {
            return;
        }
        match data.error_code.err() {
            None if data.diverging_epoch.end_offset >= 0 => {
                if !FollowerRule::DivergenceIsCutFirst.holds() {
                    self.take_leader_offsets(asked.ix, &data, disk, fx);
                }
                let (epoch, end_offset) = (data.diverging_epoch.epoch, data.diverging_epoch.end_offset);
                if self.setup.zoo.on(Switch::ProcessBeforeTruncate) {
                    return self.process_before_truncate(key, DivergingTail { asked, epoch, end_offset }, &data, fx);
                }
                self.truncate_on_divergence(now, asked.ix, epoch, end_offset, disk, fx);
            }
            None => {
                self.nothing_diverges(key, asked);
                let was_given_nothing = data.records.as_ref().is_none_or(|records| records.is_empty());
                self.append_fetched(now, key, asked, data, disk, fx);
                self.drop_last_fetched_epoch(key, asked.ix, was_given_nothing);
            }
            Some(error) => self.on_fetch_error(now, key, asked.ix, error),
        }
    }

    /// Zoo switch `process-before-truncate` (KAFKA-14704, `AbstractFetcherThread.processFetchRequest` up to 3.4.0): the high
    /// watermark of the response is taken over first, perhaps into the tail that diverges; that is cut after the other
    /// partitions of the response had their turn. Requests are served meanwhile, but who waits at this follower is woken only
    /// then.
    fn process_before_truncate(
        &mut self,
        key: FetcherKey,
        tail: DivergingTail,
        data: &PartitionData,
        fx: &mut Effects<'_>,
    ) {
        let partition = self.replicas.get_mut(tail.asked.ix);
        if let Some((from, to)) = partition.set_follower_high_watermark(data.high_watermark) {
            fx.record(Event::HighWatermark { partition: partition.id.clone(), from, to });
        }
        if let Some(fetcher) = self.fetchers.get_mut(&key) {
            fetcher.set(tail.asked.ix, State::Cutting);
            fx.defer(fetcher.lane(), LocalStep::Broker(Step::Cut(key, tail)));
        }
    }

    /// What `process-before-truncate` has put off.
    pub(in crate::broker) fn cut_diverging_tail(
        &mut self,
        now: Now,
        key: FetcherKey,
        DivergingTail { asked, epoch, end_offset }: DivergingTail,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        if self.is_current(key, asked, State::Cutting) {
            self.truncate_on_divergence(now, asked.ix, epoch, end_offset, disk, fx);
            self.note_fetches(asked.ix);
            if let Some(fetcher) = self.fetchers.get_mut(&key) {
                fetcher.set(asked.ix, State::Fetching);
            }
        }
        self.run_fetcher(now, key, fx);
    }

    fn nothing_diverges(&mut self, key: FetcherKey, asked: Asked) {
        let zoo = self.setup.zoo;
        if self.is_current(key, asked, State::Fetching)
            && let Some(fetcher) = self.fetchers.get_mut(&key)
        {
            fetcher.settle_history(asked.ix, zoo);
        }
    }

    /// `ReplicaFetcherThread.processPartitionData`.
    fn append_fetched(
        &mut self,
        now: Now,
        key: FetcherKey,
        asked: Asked,
        mut data: PartitionData,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let records = data.records.take().unwrap_or_default();
        if self.replicas.get(asked.ix).throttled.as_follower {
            self.follower_quota.record(now.mono, records.len());
        }
        if !records.is_empty() {
            fx.charge(4_000 + records.len() as u64 / 4);
            let up_to_epoch =
                if FollowerRule::LaterEpochsAreNotAppended.holds() { asked.leader_epoch } else { i32::MAX };
            let partition = self.replicas.get_mut(asked.ix);
            let mut latest_epoch = partition.log.latest_epoch();
            let mut appended = partition.log.append_as_follower(disk, records.clone(), up_to_epoch);
            if let Err(error) = &appended
                && let Some(offset) = begins_with_the_batch_at(partition, error)
            {
                // All that was known of epochs went with the log.
                latest_epoch = None;
                appended = self
                    .start_log_at(asked.ix, offset, TruncationReason::BatchSpansLogStart, disk, fx)
                    .and_then(|()| self.replicas.get_mut(asked.ix).log.append_as_follower(disk, records, up_to_epoch));
            }
            let partition = self.replicas.get(asked.ix);
            match appended {
                Ok(appended) if appended.batches == 0 => {}
                Ok(appended) => {
                    fx.record(Event::Appended {
                        partition: partition.id.clone(),
                        first_offset: appended.first_offset,
                        last_offset: appended.last_offset,
                        leader_epoch: partition.leader_epoch,
                        as_leader: false,
                    });
                    let is_new_epoch = partition.log.latest_epoch() != latest_epoch;
                    if is_new_epoch && FollowerRule::AssignedEpochIsFlushed.holds() {
                        self.sync_epoch_checkpoint(asked.ix, fx);
                    }
                    self.after_append(asked.ix, appended.first_offset, appended.rolled, fx);
                }
                Err(error) => return self.append_failed(now, key, asked.ix, &error, fx),
            }
        }
        let lag = data.high_watermark.saturating_sub(self.replicas.get(asked.ix).log_end_offset()).max(0);
        if let Some(followed) = self.fetchers.get_mut(&key).and_then(|fetcher| fetcher.partitions.get_mut(&asked.ix)) {
            followed.lag = Some(lag);
        }
        self.take_leader_offsets(asked.ix, &data, disk, fx);
    }

    /// A corrupt batch may be right the next time, and is nobody's mistake here: the partition pauses and is fetched again.
    /// With anything else the partition is given up until new metadata comes, and this partition only
    /// (`AbstractFetcherThread.processFetchRequest`).
    ///
    /// Batches that begin before the log's end are nobody's mistake either. A leader that deleted records up to the middle of
    /// a batch says that all earlier epochs end there; a follower whose history differs below cuts its log to that offset,
    /// asks for it, and is sent the whole batch (`LeaderEpochFileCache.truncateFromStart`, `endOffsetFor`).
    fn append_failed(&mut self, now: Now, key: FetcherKey, ix: PartitionIx, error: &LogError, fx: &mut Effects<'_>) {
        let is_corrupt = matches!(error, LogError::InvalidBatch(_));
        if let Some(fetcher) = self.fetchers.get_mut(&key) {
            if is_corrupt && FollowerRule::CorruptRecordsPauseTheFetch.holds() {
                fetcher.delay(ix, now.mono + ms(self.setup.config.replica_fetch_backoff_ms));
            } else if !is_corrupt && FollowerRule::FailedAppendEndsTheFetch.holds() {
                fetcher.set(ix, State::Failed);
            }
        }
        let id = self.replicas.get(ix).id.clone();
        match error {
            LogError::InvalidBatch(_) => {}
            LogError::UnexpectedAppendOffset { first_offset, last_offset, log_end_offset } => {
                let (first_offset, last_offset, log_end_offset) = (*first_offset, *last_offset, *log_end_offset);
                fx.record(Event::FetchGivenUp { partition: id, first_offset, last_offset, log_end_offset });
            }
            _ if self.setup.zoo.on(Switch::AcceptStaleFetchResponse) => {}
            _ => self.log_failed(&id, error, fx),
        }
    }

    /// Takes the leader's high watermark and log start along, each within the own log.
    fn take_leader_offsets(
        &mut self,
        ix: PartitionIx,
        data: &PartitionData,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let partition = self.replicas.get_mut(ix);
        if FollowerRule::HighWatermarkComesWithTheData.holds()
            && let Some((from, to)) = partition.set_follower_high_watermark(data.high_watermark)
        {
            fx.record(Event::HighWatermark { partition: partition.id.clone(), from, to });
            // Consumers may wait at a follower too (KIP-392; `ReplicaFetcherThread.completeDelayedFetchRequests`).
            self.note_fetches(ix);
        }
        self.follow_log_start(ix, data.log_start_offset, disk, fx);
    }

    /// Cuts the log back to where the leader's history and ours agree, or nearer to it
    /// (`AbstractFetcherThread.getOffsetTruncationState`, `ReplicaFetcherThread.truncateOnFetchResponse`).
    fn truncate_on_divergence(
        &mut self,
        now: Now,
        ix: PartitionIx,
        epoch: i32,
        end_offset: i64,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let partition = self.replicas.get_mut(ix);
        let to = truncation_offset(partition, epoch, end_offset);
        self.truncate_follower(now, ix, to, TruncationReason::DivergingEpoch, disk, fx);
    }

    pub(super) fn truncate_follower(
        &mut self,
        now: Now,
        ix: PartitionIx,
        to: i64,
        reason: TruncationReason,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        let partition = self.replicas.get_mut(ix);
        let (from, high_watermark) = (partition.log_end_offset(), partition.high_watermark());
        match partition.truncate_to(disk, to, now.wall) {
            Ok(end) => {
                if end < from {
                    fx.record(Event::Truncated { partition: partition.id.clone(), from, to: end, reason });
                }
                self.flush_cut_epochs(ix, fx);
                let partition = self.replicas.get(ix);
                let now_at = partition.high_watermark();
                if now_at != high_watermark {
                    fx.record(Event::HighWatermark {
                        partition: partition.id.clone(),
                        from: high_watermark,
                        to: now_at,
                    });
                }
                self.sync_producer_snapshots(ix, fx);
                if end < from {
                    self.checkpoint_after_cut(ix, disk, fx);
                }
            }
            Err(error) => {
                let id = partition.id.clone();
                self.log_failed(&id, &error, fx);
            }
        }
    }
}

/// The leader's log may start within a batch, after DeleteRecords, and what a follower without any record asks for there
/// comes with the whole batch: then the log begins with that batch. Its start follows the leader's as always. What is
/// appended before the recovery points are durable lies in the log's only segment, which the next start looks at whatever
/// they say; nothing is fetched before they are (`Partition.appendRecordsToFollowerOrFutureReplica`).
fn begins_with_the_batch_at(partition: &Partition, error: &LogError) -> Option<i64> {
    let LogError::UnexpectedAppendOffset { first_offset, last_offset, log_end_offset } = *error else { return None };
    let is_empty = partition.log.log_start_offset() == log_end_offset;
    let spans = first_offset < log_end_offset && last_offset >= log_end_offset;
    (is_empty && spans && FollowerRule::BatchThatSpansTheStartBeginsTheLog.holds()).then_some(first_offset)
}

/// Where to cut: with (e', o') what our own epoch cache says about the leader's epoch: if e' is another epoch, to o' (and
/// another round will follow), else to the lesser of both ends.
fn truncation_offset(partition: &Partition, epoch: i32, end_offset: i64) -> i64 {
    let log_end_offset = partition.log_end_offset();
    match partition.log.end_offset_for(epoch) {
        None => end_offset.min(log_end_offset),
        Some(own) if own.epoch != epoch && FollowerRule::UnknownEpochIsCutToTheOneBelow.holds() => {
            own.end_offset.min(log_end_offset)
        }
        Some(own) if FollowerRule::KnownEpochIsCutToTheLesserEnd.holds() => {
            own.end_offset.min(end_offset).min(log_end_offset)
        }
        Some(_) => end_offset.min(log_end_offset),
    }
}
