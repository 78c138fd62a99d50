//! What a broker answers to who fetches from it, and to who produces.

use std::fmt;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchResponse, ProduceRequest, ProduceResponse};
use trial_checker::Word;
use trial_kafka::broker::Broker;
use trial_kafka::broker::partition::Partition;
use trial_kafka::ids::{Topic, TopicPartition};
use trial_kafka::protocol::errors::code_name;

use super::asked::{AskedPartition, Fetch};
use super::replicas::min_isr;
use super::{Due, Speaker, slice};
use crate::world::slot::Slot;

/// What a fetch of one partition comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Records,
    /// The asker's history parts from this one where this epoch ends here.
    Diverging {
        epoch: i32,
        end_offset: i64,
    },
    Error(i16),
}

impl Outcome {
    fn of_error(error: ResponseError) -> Self {
        Outcome::Error(error.code())
    }
    pub(super) fn of(answer: &PartitionData) -> Self {
        let diverging = &answer.diverging_epoch;
        match answer.error_code {
            0 if diverging.end_offset >= 0 => {
                Outcome::Diverging { epoch: diverging.epoch, end_offset: diverging.end_offset }
            }
            0 => Outcome::Records,
            error => Outcome::Error(error),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Records => f.write_str("as to one of the same history"),
            Outcome::Diverging { epoch, end_offset } => write!(f, "that epoch {epoch} ends at {end_offset}"),
            Outcome::Error(code) => f.write_str(&code_name(*code)),
        }
    }
}

/// Is each partition answered as Kafka's rules want it, by what the broker is now?
pub(super) fn judge_fetch(fetch: &Fetch, response: &FetchResponse, speaker: &mut Speaker<'_>) {
    let Some(broker) = speaker.slot.broker() else { return };
    if response.error_code != 0 {
        return;
    }
    for topic in &response.responses {
        for answer in &topic.partitions {
            let id = (topic.topic_id, answer.partition_index);
            let Some(replica) = broker.replica(id.0, id.1) else { continue };
            let records = answer.records.as_ref().filter(|records| !records.is_empty());
            let Some(asked) = fetch.partitions.get(&id) else {
                if fetch.is_known_whole && records.is_some() {
                    let (said, truth) = ("with records".to_string(), "nothing".to_string());
                    speaker.wrong(Word::FetchedUnasked, Some(&replica.id), said, truth);
                }
                continue;
            };
            let told = Outcome::of(answer);
            let is_of_the_disk = told == Outcome::of_error(ResponseError::KafkaStorageError);
            // A consumer was sent to another replica, and nothing was looked at.
            if is_of_the_disk || answer.preferred_read_replica.0 >= 0 {
                continue;
            }
            let mut due = outcome(replica, fetch, asked);
            if told == Outcome::of_error(ResponseError::NotLeaderOrFollower) && is_of_the_past(broker, fetch) {
                due = told;
            }
            speaker.says(Word::FetchAnswer, Some(&replica.id), told, due);
            if let Outcome::Error(_) = told {
                continue;
            }
            let high_watermark = replica.high_watermark();
            if answer.high_watermark > high_watermark {
                speaker.says(Word::FetchedHighWatermark, Some(&replica.id), answer.high_watermark, high_watermark);
            }
            // Without transactions all that is committed is stable.
            if answer.last_stable_offset > answer.high_watermark {
                let (said, truth) = (answer.last_stable_offset, answer.high_watermark);
                speaker.says(Word::FetchedHighWatermark, Some(&replica.id), said, truth);
            }
            let log_start = replica.log.log_start_offset();
            if answer.log_start_offset > log_start {
                speaker.says(Word::FetchedLogStart, Some(&replica.id), answer.log_start_offset, log_start);
            }
            if let Some(records) = records {
                let end = if fetch.replica < 0 { high_watermark } else { i64::MAX };
                slice::judge(replica, asked.fetch_offset, records, end, speaker);
            }
        }
    }
}

/// Does the metadata have a later incarnation of this follower alive (KIP-903, `Replica.updateFetchStateOrThrow`)? That is
/// looked at once, when the fetch comes.
pub(super) fn is_of_the_past(broker: &Broker, fetch: &Fetch) -> bool {
    let alive = broker.image().brokers.get(&fetch.replica).filter(|registered| !registered.fenced);
    fetch.broker_epoch != -1 && alive.is_some_and(|alive| fetch.broker_epoch < alive.broker_epoch)
}

/// The checks of a fetch, in Kafka's order. Sources: `Partition.checkCurrentLeaderEpoch`, `getLocalLog`,
/// `followerReplicaOrThrow`, `readRecords`, `UnifiedLog.read`.
pub(super) fn outcome(replica: &Partition, fetch: &Fetch, asked: &AskedPartition) -> Outcome {
    let told_epoch = asked.current_leader_epoch;
    let is_follower = fetch.replica >= 0;
    let leads = replica.is_leader();
    if told_epoch >= 0 && told_epoch < replica.leader_epoch {
        return Outcome::of_error(ResponseError::FencedLeaderEpoch);
    }
    if told_epoch > replica.leader_epoch {
        return Outcome::of_error(ResponseError::UnknownLeaderEpoch);
    }
    if !leads && (is_follower || !fetch.tells_rack) {
        return Outcome::of_error(ResponseError::NotLeaderOrFollower);
    }
    if is_follower && !replica.replicas.contains(&fetch.replica) {
        return Outcome::of_error(match told_epoch {
            0.. => ResponseError::UnknownLeaderEpoch,
            _ => ResponseError::NotLeaderOrFollower,
        });
    }
    let (log_start, log_end) = (replica.log.log_start_offset(), replica.log.log_end_offset());
    let last_epoch = asked.last_fetched_epoch;
    if last_epoch >= 0 {
        let Some((epoch, end_offset)) = end_of_epoch(replica, last_epoch, log_end) else {
            return Outcome::of_error(ResponseError::OffsetOutOfRange);
        };
        if asked.fetch_offset < log_start {
            return Outcome::of_error(ResponseError::OffsetOutOfRange);
        }
        if epoch < last_epoch || end_offset < asked.fetch_offset {
            return Outcome::Diverging { epoch, end_offset };
        }
    }
    match (log_start..=log_end).contains(&asked.fetch_offset) {
        true => Outcome::Records,
        false => Outcome::of_error(ResponseError::OffsetOutOfRange),
    }
}

/// The largest epoch at or below this one, and where it ends; `None` if the replica knows nothing of it or of later ones.
/// Source: `LeaderEpochFileCache.endOffsetFor`.
pub(super) fn end_of_epoch(replica: &Partition, epoch: i32, log_end: i64) -> Option<(i32, i64)> {
    let epochs = replica.log.epochs();
    let latest = epochs.last()?;
    if latest.epoch == epoch {
        return Some((epoch, log_end));
    }
    let next = epochs.iter().position(|entry| entry.epoch > epoch)?;
    let floor = next.checked_sub(1).map_or(epoch, |floor| epochs[floor].epoch);
    Some((floor, epochs[next].start_offset))
}

/// To which partitions must nothing be appended? Source: `Partition.appendRecordsToLeader`.
pub(super) fn to_produce(slot: &Slot, request: &ProduceRequest) -> Option<Due> {
    let broker = slot.broker()?;
    let mut refused = Vec::new();
    for topic in &request.topic_data {
        for data in &topic.partition_data {
            let by_name = || broker.partition(&TopicPartition::new(&Topic::new(&topic.name), data.index));
            let replica = if topic.topic_id.is_nil() { by_name() } else { broker.replica(topic.topic_id, data.index) };
            let Some(replica) = replica else { continue };
            let error = match replica.leader_state() {
                None => ResponseError::NotLeaderOrFollower,
                Some(state) if request.acks == -1 && state.isr.committed().len() < min_isr(replica) => {
                    ResponseError::NotEnoughReplicas
                }
                Some(_) => continue,
            };
            refused.push((replica.id.clone(), error.code()));
        }
    }
    (!refused.is_empty()).then_some(Due::NoAppend(refused))
}

/// An answer that means that there was an append where none may be.
pub(super) fn judge_produce(refused: &[(TopicPartition, i16)], response: &ProduceResponse, speaker: &mut Speaker<'_>) {
    let broker = speaker.slot.broker();
    for topic in &response.responses {
        for answer in &topic.partition_responses {
            let by_id =
                broker.and_then(|broker| broker.replica(topic.topic_id, answer.index)).map(|replica| &replica.id);
            let is_it = |id: &TopicPartition| {
                by_id.map_or(id.topic.as_str() == topic.name.as_str() && id.partition == answer.index, |by_id| {
                    by_id == id
                })
            };
            let appended = answer.error_code == 0
                || answer.error_code == ResponseError::RequestTimedOut.code()
                || answer.error_code == ResponseError::NotEnoughReplicasAfterAppend.code();
            if let Some((id, error)) = refused.iter().find(|(id, _)| is_it(id)).filter(|_| appended) {
                speaker.wrong(Word::ProduceAnswer, Some(id), code_name(answer.error_code), code_name(*error));
            }
        }
    }
}
