//! From where on may a leader delete, and when does it answer? Copies are asked.
//!
//! Sources: KIP-107, `Partition.deleteRecordsOnLeader`, `lowWatermarkIfLeader`, `DelayedDeleteRecords`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_records_response::DeleteRecordsPartitionResult;
use kafka_protocol::messages::{DeleteRecordsRequest, ResponseKind};
use trial_checker::Word;
use trial_kafka::broker::partition::Partition;
use trial_kafka::broker::{Broker, BrokerTimer};
use trial_kafka::protocol::errors::code_name;
use trial_kafka::protocol::{topic_name, versions};

use super::Speaker;
use super::broker_copy::Settled;
use super::leader_rehearsal::{PATIENCE_MS, Scene, Stage};

/// Up to the high watermark.
const ALL: i64 = -1;
const NO_LOW_WATERMARK: i64 = -1;

/// The least log start of the followers that are alive, as far as the leader was told; `None`: there are none.
pub(super) fn others(broker: &Broker, replica: &Partition) -> Option<i64> {
    let remotes = &replica.leader_state()?.remotes;
    let is_alive = |id: i32| broker.image().brokers.get(&id).is_some_and(|registered| !registered.fenced);
    remotes.iter().filter(|remote| is_alive(remote.broker)).map(|remote| remote.log_start_offset).min()
}

pub(super) fn rehearse(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let replica = stage.replica;
    let (start, high_watermark) = (replica.log.log_start_offset(), replica.high_watermark());
    let refusal = match (replica.is_offsets, replica.is_leader()) {
        (true, _) => Some(ResponseError::InvalidTopicException),
        (false, false) => Some(ResponseError::NotLeaderOrFollower),
        (false, true) => None,
    };
    for (what, before, bound) in [
        ("to delete what is not committed", high_watermark + 1, None),
        ("to delete everything", ALL, Some(high_watermark)),
        ("to delete up to the high watermark", high_watermark, Some(high_watermark)),
    ] {
        let mut scene = stage.scene();
        let error = refusal.or(bound.is_none().then_some(ResponseError::OffsetOutOfRange));
        let low = others(scene.copy.broker(), replica).unwrap_or(i64::MAX);
        let begins = bound.filter(|_| error.is_none()).unwrap_or(start);
        let due = match (error, bound) {
            (Some(error), _) => (code_name(error.code()), NO_LOW_WATERMARK),
            (None, Some(bound)) if low < bound => (code_name(ResponseError::RequestTimedOut.code()), low),
            (None, _) => (code_name(0), begins),
        };
        let said = delete(&mut scene, before);
        let words = |(error, low): (String, i64)| format!("{error} and low watermark {low}");
        let said = said.map(|said| words((code_name(said.error_code), said.low_watermark)));
        scene.says(Word::DeletionAnswer, said.unwrap_or("nothing".to_string()), words(due), what, speaker);
        let words = |start: i64| format!("log start {start}");
        let said = scene.replica().map_or(-1, |replica| replica.log.log_start_offset());
        scene.says(Word::StepOfLogStart, words(said), words(begins), what, speaker);
    }
}

/// Deletes below that offset. Its answer, at once or when its time is up.
pub(super) fn delete(scene: &mut Scene, before: i64) -> Option<DeleteRecordsPartitionResult> {
    let asked = DeleteRecordsPartition::default().with_partition_index(scene.id.partition).with_offset(before);
    let topic = DeleteRecordsTopic::default().with_name(topic_name(&scene.id.topic)).with_partitions(vec![asked]);
    let request = DeleteRecordsRequest::default().with_timeout_ms(PATIENCE_MS).with_topics(vec![topic]);
    let (req, mut settled) = scene.copy.ask(versions::DELETE_RECORDS, request);
    if let Settled::Waits = settled {
        settled = scene.copy.pass(i64::from(PATIENCE_MS) + 1, BrokerTimer::Purgatory, req);
    }
    let Settled::Answered(response) = settled else { return None };
    let ResponseKind::DeleteRecords(response) = *response else { return None };
    response.topics.into_iter().next()?.partitions.into_iter().next()
}
