//! Fetch: reads for consumers up to the high watermark and for followers up to the log end, with epochs checked.
//!
//! Source: `KafkaApis.handleFetchRequest`, `ReplicaManager.fetchMessages`, `Partition.fetchRecords`, `DelayedFetch`.
//! A follower's fetch is also its acknowledgement of everything below the offset it asks for.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::{
    EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use kafka_protocol::messages::{BrokerId as WireBrokerId, FetchRequest, FetchResponse, ResponseKind, TopicName};
use trial_storage::{Disk, LogError};
use uuid::Uuid;

use super::Broker;
use super::fetch_session::{FetchContext, PartitionKey, SessionRequest};
use super::partition::{Partition, Role};
use super::replicas::PartitionIx;
use crate::conformance::{ConsumerRule, FollowerRule, HighWatermarkRule, ReplicaRule, ThrottleRule};
use crate::event::Event;
use crate::ids::{BrokerId, TopicPartition};
use crate::node::{Effects, Nanos, Now, ReqId, ms};
use crate::zoo::{Switch, Zoo};

/// One partition of a fetch request.
#[derive(Clone, Debug)]
pub(super) struct AskedPartition {
    topic: TopicName,
    topic_id: Uuid,
    index: i32,
    ix: Option<PartitionIx>,
    current_leader_epoch: i32,
    fetch_offset: i64,
    last_fetched_epoch: i32,
    /// Where the follower's log begins; -1 of a consumer.
    log_start_offset: i64,
    max_bytes: i32,
}

impl AskedPartition {
    /// How a session finds it again.
    pub(super) fn key(&self) -> PartitionKey {
        key_of(&self.topic, self.topic_id, self.index)
    }
}

fn key_of(topic: &TopicName, topic_id: Uuid, index: i32) -> PartitionKey {
    let name = if topic_id.is_nil() { topic.as_str().to_string() } else { String::new() };
    (index, topic_id, name)
}

/// The follower that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Follower {
    broker: BrokerId,
    broker_epoch: i64,
}

/// Who asks (`FetchParams`).
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asker {
    Follower(Follower),
    /// A consumer, with its rack, perhaps empty (`client.rack`). Before version 11 it could not tell one, and may read
    /// from leaders only (KIP-392).
    Consumer {
        rack: Option<String>,
    },
}

impl Asker {
    fn follower(&self) -> Option<Follower> {
        match self {
            Asker::Follower(follower) => Some(*follower),
            Asker::Consumer { .. } => None,
        }
    }
    /// `FetchParams.fetchOnlyLeader`.
    fn reads_from_leaders_only(&self) -> bool {
        !matches!(self, Asker::Consumer { rack: Some(_) }) || !ConsumerRule::FollowersServeConsumers.holds()
    }
}

/// A fetch request that waits for data.
#[derive(Clone, Debug)]
pub(super) struct DelayedFetch {
    req: ReqId,
    pub(super) deadline: Nanos,
    asker: Asker,
    context: FetchContext,
    min_bytes: i32,
    max_bytes: i32,
    parts: Vec<AskedPartition>,
}

/// What a read of one partition gave. The offsets were taken before the data was read.
#[derive(Clone, Debug)]
struct Read {
    high_watermark: i64,
    log_start_offset: i64,
    log_end_offset: i64,
    records: Bytes,
    diverging: Option<trial_storage::EpochEndOffset>,
    /// Answered in another leader epoch than the fetch's, which only the zoo does: what it says of the follower's position
    /// counts for nothing.
    of_other_epoch: bool,
    /// Who is nearer to the consumer than this leader; nothing was read then.
    preferred: Option<BrokerId>,
}

impl Read {
    /// Is there nothing to wait for?
    fn is_to_be_told(&self) -> bool {
        self.diverging.is_some() || self.preferred.is_some() || self.of_other_epoch
    }
}

impl Broker {
    pub(super) fn on_fetch(
        &mut self,
        now: Now,
        req: ReqId,
        api_version: i16,
        request: FetchRequest,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        fx.charge(4_000);
        let (replica, broker_epoch) = if api_version >= 15 {
            (request.replica_state.replica_id.0, request.replica_state.replica_epoch)
        } else {
            (request.replica_id.0, -1)
        };
        let asker = match replica {
            0.. => Asker::Follower(Follower { broker: replica, broker_epoch }),
            _ => Asker::Consumer { rack: (api_version >= 11).then(|| request.rack_id.to_string()) },
        };
        let mut asked = Vec::new();
        for topic in request.topics {
            asked.extend(topic.partitions.into_iter().map(|asked| AskedPartition {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                index: asked.partition,
                ix: None,
                current_leader_epoch: asked.current_leader_epoch,
                fetch_offset: asked.fetch_offset,
                last_fetched_epoch: asked.last_fetched_epoch,
                log_start_offset: asked.log_start_offset,
                max_bytes: asked.partition_max_bytes,
            }));
        }
        let forgotten = request.forgotten_topics_data.iter();
        let forgotten = forgotten.flat_map(|t| t.partitions.iter().map(|index| key_of(&t.topic, t.topic_id, *index)));
        let session = SessionRequest {
            id: request.session_id,
            epoch: request.session_epoch,
            privileged: asker.follower().is_some(),
            uses_topic_ids: api_version >= 13,
            forgotten: forgotten.collect(),
        };
        let (context, mut parts) = match self.fetch_sessions.context(now.mono, session, asked) {
            Ok(context) => context,
            Err(error) => {
                let refusal = FetchResponse::default().with_error_code(error.code());
                return fx.answer(req, ResponseKind::Fetch(refusal));
            }
        };
        for part in &mut parts {
            part.ix = if part.topic_id.is_nil() {
                self.replicas.find(&TopicPartition::new(&part.topic.as_str().into(), part.index))
            } else {
                self.replicas.find_by_id(part.topic_id, part.index)
            };
        }
        let deadline = now.mono + ms(i64::from(request.max_wait_ms));
        let max_bytes = i64::from(request.max_bytes).min(self.setup.config.fetch_max_bytes) as i32;
        // Nobody waits for more than will be sent (`KafkaApis.handleFetchRequest`).
        let min_bytes = request.min_bytes.min(max_bytes);
        let fetch = DelayedFetch { req, deadline, asker, context, min_bytes, max_bytes, parts };
        let reads = self.read_all(now, &fetch, true, disk, fx);
        let bytes: usize = reads.iter().flatten().map(|r| r.records.len()).sum();
        let at_once = request.max_wait_ms <= 0
            || fetch.parts.is_empty()
            || bytes as i64 >= i64::from(min_bytes)
            || reads.iter().any(|read| read.as_ref().map_or(true, Read::is_to_be_told))
            || fetch.parts.iter().any(|part| self.is_beyond_readable_end(&fetch.asker, part))
            || fetch.parts.iter().any(|part| self.reads_an_older_segment(now, &fetch.asker, part));
        if at_once {
            self.answer_reads(now, &fetch, reads, fx);
        } else {
            let ixs: Vec<_> = fetch.parts.iter().filter_map(|p| p.ix).collect();
            let id = self.purgatory.park_fetch(fetch);
            ixs.into_iter().for_each(|ix| self.replicas.get_mut(ix).fetch_waiters.push(id));
        }
    }

    /// Something changed where this fetch waits: answers it if it is an error, a divergence or enough data now.
    pub(super) fn try_complete_fetch(&mut self, now: Now, id: u64, disk: &mut dyn Disk, fx: &mut Effects<'_>) {
        let Some(fetch) = self.purgatory.fetch(id) else { return };
        let complete = if fetch.min_bytes <= 1 {
            fetch.parts.iter().any(|part| self.has_news(now, &fetch.asker, part))
        } else {
            let fetch = fetch.clone();
            let reads = self.read_all(now, &fetch, false, disk, fx);
            let bytes: usize = reads.iter().flatten().map(|r| r.records.len()).sum();
            bytes as i64 >= i64::from(fetch.min_bytes)
                || reads.iter().any(|r| r.as_ref().map_or(true, Read::is_to_be_told))
                || fetch.parts.iter().any(|part| self.reads_an_older_segment(now, &fetch.asker, part))
        };
        if complete {
            let fetch = self.purgatory.take_fetch(id).expect("just seen");
            self.answer_fetch(now, id, fetch, disk, fx);
        }
    }

    /// Nothing is waited for behind the end of what the asker may read (`DelayedFetch`, case F): a consumer that knows a
    /// higher high watermark than this leader does is answered at once, with nothing.
    fn is_beyond_readable_end(&self, asker: &Asker, part: &AskedPartition) -> bool {
        let partition = part.ix.and_then(|ix| self.replicas.try_get(ix));
        partition.is_some_and(|partition| part.fetch_offset > readable_end(partition, asker.follower()))
    }

    /// A read ends where its segment does, whatever there is behind it: to wait for more would be to wait for nothing
    /// (`DelayedFetch`, case F).
    fn reads_an_older_segment(&self, now: Now, asker: &Asker, part: &AskedPartition) -> bool {
        let Some(partition) = part.ix.and_then(|ix| self.replicas.try_get(ix)) else { return false };
        let end = readable_end(partition, asker.follower());
        part.fetch_offset < end
            && partition.log.is_on_older_segment(part.fetch_offset, end)
            && ConsumerRule::OlderSegmentIsNotWaitedFor.holds()
            && !self.is_leader_throttled(now, partition, asker.follower())
    }

    /// Does this leader send nothing to a follower for now, since it has sent more than it may to replicas that are not in
    /// sync (KIP-73, `ReplicaManager.shouldLeaderThrottle`)?
    fn is_leader_throttled(&self, now: Now, partition: &Partition, follower: Option<Follower>) -> bool {
        let Some(follower) = follower.filter(|_| partition.throttled.as_leader) else { return false };
        let is_member = partition.leader_state().is_some_and(|state| state.isr.committed().contains(&follower.broker));
        let is_spared = is_member && ThrottleRule::LeaderDoesNotThrottleMembers.holds();
        !is_spared && self.leader_quota.is_exceeded(now.mono) && ThrottleRule::LeaderAnswersNothing.holds()
    }

    /// Is there data beyond the asked offset, or an error to tell?
    fn has_news(&self, now: Now, asker: &Asker, part: &AskedPartition) -> bool {
        let Some(partition) = part.ix.and_then(|ix| self.replicas.try_get(ix)) else { return true };
        let end = readable_end(partition, asker.follower());
        let is_throttled = || self.is_leader_throttled(now, partition, asker.follower());
        check_replica(partition, part.current_leader_epoch, asker).is_err()
            || part.fetch_offset > end
            || (part.fetch_offset < end && !is_throttled())
    }

    /// Answers a parked fetch with what is there now.
    pub(super) fn answer_fetch(
        &mut self,
        now: Now,
        id: u64,
        fetch: DelayedFetch,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) {
        for part in &fetch.parts {
            if let Some(partition) = part.ix.and_then(|ix| self.replicas.try_get_mut(ix)) {
                partition.fetch_waiters.retain(|w| *w != id);
            }
        }
        let reads = self.read_all(now, &fetch, false, disk, fx);
        self.answer_reads(now, &fetch, reads, fx);
    }

    fn read_all(
        &mut self,
        now: Now,
        fetch: &DelayedFetch,
        update_follower: bool,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Vec<Result<Read, ResponseError>> {
        let mut left = usize::try_from(fetch.max_bytes).unwrap_or(0);
        let mut any = false;
        let mut reads = Vec::with_capacity(fetch.parts.len());
        for part in &fetch.parts {
            let at_least_one = !any && ConsumerRule::FirstBatchIsSentWhole.holds();
            let mut read = self.read_one(now, &fetch.asker, part, left, at_least_one, disk, fx);
            if update_follower
                && let (Some(follower), Some(ix)) = (fetch.asker.follower(), part.ix)
                && let Some(leader_end) = self.leader_end_if_it_counts(ix, &read)
                && let Err(error) = self.on_follower_position(now, ix, follower, part, leader_end, fx)
            {
                read = Err(error);
            }
            if let (Ok(read), Some(ix), false) =
                (&mut read, part.ix, HighWatermarkRule::AnswerHasTheOffsetsFromBeforeTheRead.holds())
            {
                read.high_watermark = self.replicas.get(ix).high_watermark();
            }
            if let Ok(read) = &read {
                any |= !read.records.is_empty();
                left = left.saturating_sub(read.records.len());
            }
            reads.push(read);
        }
        reads
    }

    /// Says a follower's fetch where it is? Then the leader's log end from before the read. A fetch that is answered with an
    /// error does not, nor one answered with a diverging epoch: its offset is one of another history (KAFKA-13141, brought
    /// back by the zoo switch `count-diverging-fetch`; `Partition.fetchRecords`).
    fn leader_end_if_it_counts(&self, ix: PartitionIx, read: &Result<Read, ResponseError>) -> Option<i64> {
        let counts_diverging =
            self.setup.zoo.on(Switch::CountDivergingFetch) || !FollowerRule::DivergingFetchDoesNotCount.holds();
        match read {
            Ok(read) if read.of_other_epoch => None,
            Ok(read) => (read.diverging.is_none() || counts_diverging).then_some(read.log_end_offset),
            Err(_) if ReplicaRule::RefusedFetchDoesNotCount.holds() => None,
            Err(_) => self.replicas.try_get(ix).map(Partition::log_end_offset),
        }
    }

    /// `Partition.fetchRecords` and `readRecords`: checks of role and epochs, divergence, then the read.
    #[allow(clippy::too_many_arguments)] // a read is all of these
    fn read_one(
        &mut self,
        now: Now,
        asker: &Asker,
        part: &AskedPartition,
        max_bytes: usize,
        at_least_one: bool,
        disk: &mut dyn Disk,
        fx: &mut Effects<'_>,
    ) -> Result<Read, ResponseError> {
        let Some(ix) = part.ix else { return Err(self.error_for_absent(&part.topic, part.topic_id, part.index)) };
        let partition = self.replicas.try_get(ix).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let follower = asker.follower();
        // The zoo switch `hw-counts-other-epoch` brings back the fetch before KIP-320, which told no epoch.
        let tells_no_epoch = follower.is_some() && self.setup.zoo.on(Switch::HwCountsOtherEpoch);
        let current_leader_epoch = if tells_no_epoch { -1 } else { part.current_leader_epoch };
        let mut of_other_epoch = false;
        if let Err(error) = check_replica(partition, current_leader_epoch, asker) {
            of_other_epoch = answers_in_other_epoch(partition, part, follower, error, self.setup.zoo);
            if !of_other_epoch {
                return Err(error);
            }
        }
        if let Some(follower) = follower {
            check_follower(partition, follower, part.current_leader_epoch)?;
        }
        let mut read = Read {
            high_watermark: partition.high_watermark(),
            log_start_offset: partition.log.log_start_offset(),
            log_end_offset: partition.log_end_offset(),
            records: Bytes::new(),
            diverging: None,
            of_other_epoch,
            preferred: None,
        };
        if let Asker::Consumer { rack: Some(rack) } = asker {
            read.preferred = self.preferred_read_replica(partition, rack, part.fetch_offset, now.wall);
            if read.preferred.is_some() {
                return Ok(read);
            }
        }
        // Of the two switches that answer in another epoch one serves data, and the other compares histories.
        let compares = !of_other_epoch || self.setup.zoo.on(Switch::TruncateFromOtherEpoch);
        if compares && let Some(diverging) = diverging_epoch(partition, part, self.setup.zoo)? {
            if let Some(follower) = follower {
                fx.record(Event::DivergenceFound {
                    partition: partition.id.clone(),
                    replica: follower.broker,
                    epoch: diverging.epoch,
                    end_offset: diverging.end_offset,
                });
            }
            read.diverging = Some(diverging);
            return Ok(read);
        }
        if of_other_epoch && compares {
            return Ok(read);
        }
        let beyond_the_end = part.fetch_offset > read.log_end_offset && FollowerRule::BeyondTheEndIsOutOfRange.holds();
        if part.fetch_offset < read.log_start_offset || beyond_the_end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let end = readable_end(partition, follower);
        if part.fetch_offset < end && !self.is_leader_throttled(now, partition, follower) {
            let most = max_bytes.min(usize::try_from(part.max_bytes).unwrap_or(0));
            read.records =
                partition.log.read(disk, part.fetch_offset, end, most, at_least_one).map_err(|e| read_error(&e))?;
            fx.charge(1_000 + read.records.len() as u64 / 8);
        }
        Ok(read)
    }

    /// A follower's fetch must not be of an earlier incarnation than the one the metadata shows alive (KIP-903,
    /// `Replica.updateFetchStateOrThrow`); -1 is not checked.
    fn check_broker_epoch(&self, follower: Follower) -> Result<(), ResponseError> {
        let alive = self.image.brokers.get(&follower.broker).filter(|registered| !registered.fenced);
        let stale =
            follower.broker_epoch != -1 && alive.is_some_and(|alive| follower.broker_epoch < alive.broker_epoch);
        let stale = stale && ReplicaRule::EarlierIncarnationIsRefused.holds();
        if stale { Err(ResponseError::NotLeaderOrFollower) } else { Ok(()) }
    }

    /// A valid fetch of a follower: its position, the ISR it may join, the high watermark that may follow
    /// (`Partition.updateFollowerFetchState`).
    fn on_follower_position(
        &mut self,
        now: Now,
        ix: PartitionIx,
        follower: Follower,
        part: &AskedPartition,
        leader_log_end_offset: i64,
        fx: &mut Effects<'_>,
    ) -> Result<(), ResponseError> {
        let fetch_offset = part.fetch_offset;
        let (me, zoo) = (self.as_isr_member(), self.setup.zoo);
        self.check_broker_epoch(follower)?;
        let partition = self.replicas.get_mut(ix);
        let Role::Leader(state) = &mut partition.role else { return Err(ResponseError::NotLeaderOrFollower) };
        let Some(remote) = state.remote_mut(follower.broker) else { return Err(ResponseError::UnknownLeaderEpoch) };
        let known = remote.log_end_offset;
        remote.update_fetch_state(fetch_offset, leader_log_end_offset, follower.broker_epoch, now.wall);
        remote.log_start_offset = part.log_start_offset;
        if known != fetch_offset {
            let (id, replica) = (partition.id.clone(), follower.broker);
            fx.record(Event::ReplicaCaughtUpTo { partition: id, replica, log_end_offset: fetch_offset });
        }
        if partition.maybe_expand_isr(me, follower.broker, &self.image, zoo) {
            self.ask_for_isr_change(now, ix, fx);
        }
        // Only a position that moved can move the high watermark.
        let moved = known != fetch_offset;
        let tries = moved && HighWatermarkRule::MovedPositionTries.holds();
        if tries || (!moved && !HighWatermarkRule::OldPositionDoesNotTry.holds()) {
            self.try_high_watermark(now, ix, fx);
        }
        Ok(())
    }

    fn answer_reads(
        &mut self,
        now: Now,
        fetch: &DelayedFetch,
        reads: Vec<Result<Read, ResponseError>>,
        fx: &mut Effects<'_>,
    ) {
        for (part, read) in fetch.parts.iter().zip(&reads).filter(|_| fetch.asker.follower().is_some()) {
            let is_throttled = |ix| self.replicas.try_get(ix).is_some_and(|partition| partition.throttled.as_leader);
            if let (true, Ok(read)) = (part.ix.is_some_and(is_throttled), read) {
                self.leader_quota.record(now.mono, read.records.len());
            }
        }
        let answers: Vec<_> =
            fetch.parts.iter().zip(reads).map(|(part, read)| self.partition_data(part, read)).collect();
        let told = self.fetch_sessions.respond(now.mono, &fetch.context, &fetch.parts, &answers, fx);
        let (session_id, told) = match told {
            Ok(told) => told,
            Err(error) => {
                let refusal = FetchResponse::default().with_error_code(error.code());
                return fx.answer(fetch.req, ResponseKind::Fetch(refusal));
            }
        };
        let mut topics: Vec<FetchableTopicResponse> = Vec::new();
        for ((part, data), _) in fetch.parts.iter().zip(answers).zip(told).filter(|(_, told)| *told) {
            match topics.last_mut() {
                Some(topic) if topic.topic == part.topic && topic.topic_id == part.topic_id => {
                    topic.partitions.push(data)
                }
                _ => topics.push(
                    FetchableTopicResponse::default()
                        .with_topic(part.topic.clone())
                        .with_topic_id(part.topic_id)
                        .with_partitions(vec![data]),
                ),
            }
        }
        let response = FetchResponse::default().with_session_id(session_id).with_responses(topics);
        fx.answer(fetch.req, ResponseKind::Fetch(response));
    }

    fn partition_data(&self, part: &AskedPartition, read: Result<Read, ResponseError>) -> PartitionData {
        // An empty partition is a zero-length field, not null: librdkafka trips over null.
        let data = PartitionData::default().with_partition_index(part.index).with_records(Some(Bytes::new()));
        match read {
            Ok(read) => {
                let mut data = data
                    .with_high_watermark(read.high_watermark)
                    .with_last_stable_offset(read.high_watermark)
                    .with_log_start_offset(read.log_start_offset)
                    .with_records(Some(read.records));
                if let Some(preferred) = read.preferred {
                    data.preferred_read_replica = WireBrokerId(preferred);
                }
                if let Some(diverging) = read.diverging {
                    data.diverging_epoch =
                        EpochEndOffset::default().with_epoch(diverging.epoch).with_end_offset(diverging.end_offset);
                }
                data
            }
            Err(error) => {
                let mut data = data
                    .with_error_code(error.code())
                    .with_high_watermark(-1)
                    .with_last_stable_offset(-1)
                    .with_log_start_offset(-1);
                // KIP-951: tell who leads, where that is what the asker got wrong.
                let asks_a_wrong_leader =
                    matches!(error, ResponseError::NotLeaderOrFollower | ResponseError::FencedLeaderEpoch);
                if asks_a_wrong_leader && let Some(partition) = part.ix.and_then(|ix| self.replicas.try_get(ix)) {
                    data.current_leader = LeaderIdAndEpoch::default()
                        .with_leader_id(partition.leader.into())
                        .with_leader_epoch(partition.leader_epoch);
                }
                data
            }
        }
    }
}

/// What may be read ends at the log end for a follower and at the high watermark for a consumer (`FetchIsolation`).
fn readable_end(partition: &Partition, follower: Option<Follower>) -> i64 {
    let to_the_end = match follower {
        Some(_) => HighWatermarkRule::FollowersReadToTheEnd.holds(),
        None => !HighWatermarkRule::ConsumersReadToTheHighWatermark.holds(),
    };
    if to_the_end { partition.log_end_offset() } else { partition.high_watermark() }
}

/// Is this broker the leader, in the epoch the caller believes in (`Partition.getLocalLog`)?
pub(super) fn check_leader_and_epoch(partition: &Partition, current_leader_epoch: i32) -> Result<(), ResponseError> {
    check_epoch(partition, current_leader_epoch)?;
    if partition.is_leader() || !FollowerRule::OnlyTheLeaderAnswers.holds() {
        Ok(())
    } else {
        Err(ResponseError::NotLeaderOrFollower)
    }
}

/// Is the partition in the epoch the caller believes in (KIP-320, `Partition.checkCurrentLeaderEpoch`)? A negative epoch is
/// not checked.
pub(super) fn check_epoch(partition: &Partition, current_leader_epoch: i32) -> Result<(), ResponseError> {
    let is_older = current_leader_epoch >= 0 && current_leader_epoch < partition.leader_epoch;
    if is_older && FollowerRule::OlderLeaderEpochIsFenced.holds() {
        return Err(ResponseError::FencedLeaderEpoch);
    }
    if current_leader_epoch > partition.leader_epoch && FollowerRule::NewerLeaderEpochIsUnknown.holds() {
        return Err(ResponseError::UnknownLeaderEpoch);
    }
    Ok(())
}

/// May the asker read from this replica (`Partition.getLocalLog`)? A consumer that could tell its rack may from a
/// follower too, if both are of one epoch (KIP-392).
fn check_replica(partition: &Partition, current_leader_epoch: i32, asker: &Asker) -> Result<(), ResponseError> {
    match check_leader_and_epoch(partition, current_leader_epoch) {
        Err(ResponseError::NotLeaderOrFollower) if !asker.reads_from_leaders_only() => Ok(()),
        checked => checked,
    }
}

/// Is the follower assigned (`Partition.followerReplicaOrThrow`)? If not, this leader may not have seen the assignment
/// yet, so the follower shall try again. One that tells no leader epoch may as well be of the past.
fn check_follower(partition: &Partition, follower: Follower, current_leader_epoch: i32) -> Result<(), ResponseError> {
    let assigned = partition.leader_state().is_some_and(|s| s.remote(follower.broker).is_some());
    match () {
        () if assigned || !FollowerRule::UnassignedReplicaTriesAgain.holds() => Ok(()),
        () if current_leader_epoch < 0 => Err(ResponseError::NotLeaderOrFollower),
        () => Err(ResponseError::UnknownLeaderEpoch),
    }
}

/// Is a follower of another leader epoch answered nevertheless? Only by two of the zoo's switches, which take KIP-320
/// (KAFKA-7395) apart: `serve-fetch-other-epoch` gives it records, `truncate-from-other-epoch` tells it where its history
/// diverges from that of a leader who may be the leader of the past.
fn answers_in_other_epoch(
    partition: &Partition,
    part: &AskedPartition,
    follower: Option<Follower>,
    error: ResponseError,
    zoo: Zoo,
) -> bool {
    let is_of_epoch = matches!(error, ResponseError::FencedLeaderEpoch | ResponseError::UnknownLeaderEpoch);
    let tells_where_to_cut = zoo.on(Switch::TruncateFromOtherEpoch) && part.last_fetched_epoch >= 0;
    let switched = zoo.on(Switch::ServeFetchOtherEpoch) || tells_where_to_cut;
    switched && is_of_epoch && follower.is_some() && partition.is_leader()
}

/// Where the asker's history parts from the leader's, if it does (KIP-595; `Partition.readRecords`).
fn diverging_epoch(
    partition: &Partition,
    part: &AskedPartition,
    zoo: Zoo,
) -> Result<Option<trial_storage::EpochEndOffset>, ResponseError> {
    if part.last_fetched_epoch < 0 {
        return Ok(None);
    }
    let end = match partition.log.end_offset_for(part.last_fetched_epoch) {
        // Zoo switch `epoch-answer-without-epoch` (KAFKA-6361, before KIP-279): only the end is told, where the first epoch
        // begins that is larger than the one asked for, whether or not this leader ever had the one asked for.
        Some(end) if zoo.on(Switch::EpochAnswerWithoutEpoch) => {
            trial_storage::EpochEndOffset { epoch: part.last_fetched_epoch, ..end }
        }
        Some(end) => end,
        None if FollowerRule::UnknownLastEpochIsOutOfRange.holds() => return Err(ResponseError::OffsetOutOfRange),
        None => return Ok(None),
    };
    if part.fetch_offset < partition.log.log_start_offset() && FollowerRule::BelowTheStartIsOutOfRange.holds() {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let lower_epoch = end.epoch < part.last_fetched_epoch && FollowerRule::LowerEpochDiverges.holds();
    let longer_history = end.end_offset < part.fetch_offset && FollowerRule::LongerHistoryDiverges.holds();
    Ok((lower_epoch || longer_history).then_some(end))
}

fn read_error(error: &LogError) -> ResponseError {
    match error {
        LogError::OffsetOutOfRange { .. } => ResponseError::OffsetOutOfRange,
        LogError::Disk(_) => ResponseError::KafkaStorageError,
        _ => ResponseError::UnknownServerError,
    }
}
