//! Which batches does a leader take, and as what? A copy is sent what no client of ours makes.
//!
//! Sources: `KafkaApis.handleProduceRequest`, `ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords`,
//! `LogValidator`, KIP-32, KIP-110, KIP-467, `DelayedProduce`.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use trial_checker::Word;
use trial_kafka::broker::BrokerTimer;
use trial_kafka::protocol::errors::code_name;
use trial_kafka::protocol::versions;
use trial_storage::{BatchHeader, Compression, TargetCompression, parse_header, records};

use super::Speaker;
use super::leader_rehearsal::{PATIENCE_MS, Scene, Stage, produced};
use super::made_batches::{
    ATTRIBUTES, CHECKSUM, CONTROL, COUNT, LARGEST_TIMESTAMP, LAST_OFFSET_DELTA, LOG_APPEND_TIME, MAGIC, ProducerSays,
    altered, at_times, of_producer, one_large, out_of_order, overwritten, two_of,
};
use super::replicas::min_isr;

/// The last version of Produce that may not bring zstd.
const BEFORE_ZSTD: i16 = 6;
/// No acks at all.
const SEVEN_ACKS: i16 = 7;
const SEGMENT_MS: i64 = 1_000;
/// So many segments are not all rolled at the same age, if that is drawn for each.
const SEGMENTS: i64 = 8;

/// The brokers' own topics are written by the brokers.
pub(super) fn of_internal_topic(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut scene = stage.scene();
    let batch = two_of(scene.wall());
    scene.refuses("to write to a topic of the brokers", batch, ResponseError::InvalidTopicException, speaker);
}

pub(super) fn rehearse(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    of_form(stage, speaker);
    of_sizes(stage, speaker);
    of_timestamps(stage, speaker);
    of_compression(stage, speaker);
    of_segments(stage, speaker);
}

/// What is refused whatever the topic.
fn of_form(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    use ResponseError::{CorruptMessage, InvalidRecord, InvalidRequiredAcks, UnsupportedCompressionType};
    let mut scene = stage.scene();
    let good = two_of(scene.wall());
    let twice = Bytes::from(good.repeat(2));
    let seven = (versions::PRODUCE, SEVEN_ACKS);
    scene.refuses_as(seven, "to append two batches with seven acks", twice.clone(), InvalidRecord, speaker);
    scene.refuses_as(seven, "to append with seven acks", good.clone(), InvalidRequiredAcks, speaker);
    if Compression::Zstd.is_built() {
        let zstd = one_large(scene.wall(), Compression::Zstd, 10);
        let old = (BEFORE_ZSTD, 1);
        scene.refuses_as(old, "to append zstd by an old request", zstd, UnsupportedCompressionType, speaker);
    }
    let nameless = ProducerSays { id: 7, epoch: 0, sequence: -1 };
    let bad = [
        ("to append nothing", Bytes::new(), InvalidRecord),
        ("to append format 1", altered(&good, MAGIC, &[1]), InvalidRecord),
        ("to append two batches", twice, InvalidRecord),
        ("to append at offset 5", overwritten(&good, 0, &5_i64.to_be_bytes()).freeze(), InvalidRecord),
        (
            "to append what does not fit its checksum",
            overwritten(&good, CHECKSUM, &[!good[CHECKSUM]]).freeze(),
            CorruptMessage,
        ),
        (
            "to append two records at four offsets",
            altered(&good, LAST_OFFSET_DELTA, &3_i32.to_be_bytes()),
            InvalidRecord,
        ),
        ("to append a control batch", altered(&good, ATTRIBUTES, &CONTROL.to_be_bytes()), InvalidRecord),
        ("to append of a producer without sequence", of_producer(scene.wall(), 2, nameless), InvalidRecord),
        ("to append three records that are two", three_that_are_two(&good), InvalidRecord),
    ];
    for (what, batch, error) in bad {
        scene.refuses(what, batch, error, speaker);
    }
    if let Some(batch) = out_of_order(&good, Compression::None) {
        scene.refuses("to append records that do not follow one another", batch, InvalidRecord, speaker);
    }
    scene.takes("to append two records", good, speaker);
}

fn three_that_are_two(two: &Bytes) -> Bytes {
    altered(&altered(two, LAST_OFFSET_DELTA, &2_i32.to_be_bytes()), COUNT, &3_i32.to_be_bytes())
}

fn of_sizes(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut scene = stage.scene_with(|config| config.max_batch_bytes = 100);
    let batch = one_large(scene.wall(), Compression::None, 100);
    let too_large = ResponseError::MessageTooLarge;
    scene.refuses("to append more than max.message.bytes", batch.clone(), too_large, speaker);
    let mut scene = stage.scene_with(|config| config.segment_bytes = 100);
    let too_large = ResponseError::RecordListTooLarge;
    scene.refuses("to append more than segment.bytes", batch, too_large, speaker);
}

fn of_timestamps(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut scene = stage.scene_with(|config| {
        config.appends.timestamp_before_max_ms = 1_000;
        config.appends.timestamp_after_max_ms = 2_000;
    });
    let now = scene.wall();
    for (what, fault, right) in [
        ("to append records that are too old", now - 1_001, now - 1_000),
        ("to append records of the future", now + 2_001, now + 2_000),
    ] {
        let batch = at_times(&[fault, right, fault]);
        if let Some(answer) = scene.refuses(what, batch, ResponseError::InvalidTimestamp, speaker) {
            let told: Vec<_> = answer.record_errors.iter().map(|error| error.batch_index).collect();
            let truth = "records [0, 2], in words".to_string();
            let in_words = if answer.error_message.is_some() { ", in words" } else { "" };
            scene.says(Word::ProduceAnswer, format!("records {told:?}{in_words}"), truth, what, speaker);
        }
    }

    let mut scene = stage.scene();
    let what = "to append records that are older than their batch says";
    let batch = altered(&two_of(now), LARGEST_TIMESTAMP, &(now + 5_000).to_be_bytes());
    if let Some(stands) = header_of(scene.takes(what, batch, speaker)) {
        scene.says(Word::StepOfProduce, largest(stands.max_timestamp), largest(now), what, speaker);
    }

    let mut scene = stage.scene_with(|config| config.appends.log_append_time = true);
    let what = "to append what says that its times are those of the append";
    let batch = altered(&two_of(now), ATTRIBUTES, &LOG_APPEND_TIME.to_be_bytes());
    scene.refuses(what, batch, ResponseError::InvalidTimestamp, speaker);
    let what = "to append where the brokers give the time";
    if let Some(stands) = header_of(scene.takes(what, two_of(now - 5_000), speaker)) {
        let said = (stands.max_timestamp, stands.log_append_time());
        let words = |(time, is_appends): (i64, bool)| format!("{}, of the append: {is_appends}", largest(time));
        scene.says(Word::StepOfProduce, words(said), words((now, true)), what, speaker);
    }
}

fn largest(timestamp: i64) -> String {
    format!("largest timestamp {timestamp}")
}

fn header_of(batch: Option<Bytes>) -> Option<BatchHeader> {
    parse_header(&batch?).ok()
}

/// Topics have a compression of their own, and what is packed wrong is packed anew.
fn of_compression(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    if !Compression::Gzip.is_built() {
        return;
    }
    let packs = |codec: Compression| TargetCompression { codec, gzip_level: 6 };
    let mut scene = stage.scene_with(|config| config.appends.compression = Some(packs(Compression::Gzip)));
    let now = scene.wall();
    let what = "to append to a topic of gzip";
    if let Some(stands) = header_of(scene.takes(what, two_of(now), speaker)) {
        let named = |codec: Option<Compression>| format!("a batch of {}", codec.map_or("no codec", Compression::name));
        let (said, truth) = (named(stands.compression()), named(Some(Compression::Gzip)));
        scene.says(Word::StepOfProduce, said, truth, what, speaker);
    }

    let mut scene = stage.scene_with(|config| {
        config.appends.compression = Some(packs(Compression::None));
        config.max_batch_bytes = 1_000;
    });
    let what = "to append what is larger than max.message.bytes when it is unpacked";
    let batch = one_large(now, Compression::Gzip, 2_000);
    scene.refuses(what, batch, ResponseError::MessageTooLarge, speaker);

    let mut scene = stage.scene();
    let what = "to append packed records that do not follow one another";
    if let Some(batch) = out_of_order(&two_of(now), Compression::Gzip)
        && let Some(stands) = scene.takes(what, batch, speaker)
    {
        let end = scene.end();
        let offsets = |found: Vec<i64>| format!("offsets {found:?}");
        let said = records(&stands).map(|found| found.iter().map(|record| record.offset).collect()).unwrap_or_default();
        scene.says(Word::StepOfProduce, offsets(said), offsets(vec![end - 2, end - 1]), what, speaker);
    }
}

/// A segment is rolled when its first batch is older than segment.ms, and earlier by what is drawn for it.
fn of_segments(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut scene = stage.scene_with(|config| config.segment_ms = SEGMENT_MS);
    // Younger than all that is there: whatever it finds, its segment is as old as it is.
    let mut first = scene.wall() + (1 << 42);
    let segments = |scene: &Scene| scene.replica().map_or(0, |replica| replica.log.segment_count());
    for (what, after, rolls) in [
        ("to append a batch of the future", 0, None),
        ("to append to a segment that is as old as segment.ms", SEGMENT_MS, Some(0)),
        ("to append to a segment that is older than segment.ms", SEGMENT_MS + 1, Some(1)),
    ] {
        let before = segments(&scene);
        if scene.takes(what, two_of(first + after), speaker).is_none() {
            return;
        }
        if let Some(rolls) = rolls {
            let (said, truth) = (segments(&scene), before + rolls);
            let words = |segments: usize| format!("{segments} segments");
            scene.says(Word::StepOfProduce, words(said), words(truth), what, speaker);
            if rolls > 0 {
                has_snapshot(&scene, scene.end() - 2, what, speaker);
            }
        }
    }

    let mut scene = stage.scene_with(|config| (config.segment_ms, config.segment_jitter_ms) = (SEGMENT_MS, SEGMENT_MS));
    let what = "to append to segments that are nearly as old as segment.ms";
    let mut rolled = false;
    for _ in 0..SEGMENTS {
        first += 1 << 42;
        if scene.takes(what, two_of(first), speaker).is_none() {
            return;
        }
        let before = segments(&scene);
        if scene.takes(what, two_of(first + SEGMENT_MS - 1), speaker).is_none() {
            return;
        }
        rolled |= segments(&scene) > before;
    }
    if !rolled {
        let (said, truth) = ("none that was rolled".to_string(), "some, by segment.jitter.ms".to_string());
        scene.is_wrong(Word::StepOfProduce, said, truth, what, speaker);
    }
}

/// Where a segment begins, what is known of producers is written down.
fn has_snapshot(scene: &Scene, at: i64, what: &str, speaker: &mut Speaker<'_>) {
    let Some(producers) = scene.replica().and_then(|replica| replica.log.producers()) else { return };
    let said = producers.snapshot_offsets().any(|offset| offset == at);
    let words = |is_there: bool| format!("a snapshot of producers at offset {at}: {is_there}");
    scene.says(Word::DiskStep, words(said), words(true), what, speaker);
}

/// With acks=all a batch waits for the high watermark. If its time is up before, its place is told nevertheless.
pub(super) fn of_waiting(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let Some(members) = stage.replica.leader_state().map(|state| state.isr.committed().len()) else { return };
    let mut scene = stage.scene();
    let all = (versions::PRODUCE, -1);
    let batch = two_of(scene.wall());
    if members < min_isr(stage.replica) {
        let what = "to append with acks=all while members are missing";
        if let Some(answer) = scene.refuses_as(all, what, batch, ResponseError::NotEnoughReplicas, speaker) {
            let begins = scene.replica().map_or(-1, |replica| replica.log.log_start_offset());
            let words = |start: i64| format!("log start {start}");
            scene.says(Word::ProduceAnswer, words(answer.log_start_offset), words(begins), what, speaker);
        }
        return;
    }
    let what = "to append with acks=all, and to answer in time";
    let place = scene.end();
    let (req, mut answer) = scene.produce(all.0, all.1, batch);
    let is_committed = scene.replica().is_some_and(|replica| replica.high_watermark() >= place + 2);
    if answer.is_none() && !is_committed {
        answer = produced(scene.copy.pass(i64::from(PATIENCE_MS) + 1, BrokerTimer::Purgatory, req));
    }
    let due = if is_committed { 0 } else { ResponseError::RequestTimedOut.code() };
    let words = |error: i16, offset: i64| format!("{} and offset {offset}", code_name(error));
    let said = answer.map_or_else(|| "nothing".to_string(), |answer| words(answer.error_code, answer.base_offset));
    scene.says(Word::ProduceAnswer, said, words(due, place), what, speaker);
}
