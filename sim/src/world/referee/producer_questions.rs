//! What does a leader know of producers? A copy is sent the batches of producers that lost their way.
//!
//! Sources: KIP-98, KIP-360, `ProducerAppendInfo`, `ProducerStateEntry`, `ProducerStateManager`.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use trial_checker::Word;
use trial_kafka::broker::BrokerTimer;
use trial_kafka::protocol::versions;

use super::Speaker;
use super::delete_questions;
use super::leader_rehearsal::{Scene, Stage};
use super::made_batches::{ProducerSays, of_producer};

/// A producer whose id nobody was given.
const STRANGER: i64 = i64::MAX - 1_000;
/// Batches of a producer that are remembered (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
const REMEMBERED: i32 = 5;
const LAST_SEQUENCE: i32 = i32::MAX;
const EXPIRATION_MS: i32 = 10_000;

pub(super) fn rehearse(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    of_the_known(stage, speaker);
    of_a_stranger(stage, speaker);
    of_the_last_sequence(stage, speaker);
    of_deleted_records(stage, speaker);
    of_the_silent(stage, speaker);
}

fn says(id: i64, epoch: i16, sequence: i32) -> ProducerSays {
    ProducerSays { id, epoch, sequence }
}

/// The sequence behind this one.
fn after(sequence: i32) -> i32 {
    if sequence == LAST_SEQUENCE { 0 } else { sequence + 1 }
}

/// Those that have produced in this run.
fn of_the_known(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let entries = stage.replica.log.producers().map(|producers| producers.entries());
    let known = entries.into_iter().flatten().map(|(id, entry)| (*id, entry.epoch(), entry.last_batch().copied()));
    // Of those with the highest epoch the youngest.
    let Some((id, epoch, Some(last))) = known.max_by_key(|(id, epoch, _)| (*epoch, *id)) else { return };
    let mut scene = stage.scene();
    let now = scene.wall();
    let one = |epoch: i16, sequence: i32| of_producer(now, 1, says(id, epoch, sequence));
    if epoch > 0 {
        let what = "to append in an epoch of the past";
        scene.refuses(what, one(epoch - 1, 0), ResponseError::InvalidProducerEpoch, speaker);
    }
    let next = after(last.last_sequence);
    let out_of_order = ResponseError::OutOfOrderSequenceNumber;
    scene.refuses("to append behind a gap", one(epoch, after(next)), out_of_order, speaker);
    if epoch < i16::MAX {
        scene.refuses("to begin an epoch with sequence 1", one(epoch + 1, 1), out_of_order, speaker);
    }
    if scene.takes("to append what comes next", one(epoch, next), speaker).is_some() {
        let end = scene.end();
        let entries = scene.replica().and_then(|replica| replica.log.producers()).map(|producers| producers.entries());
        let heard_at = entries.and_then(|entries| entries.get(&id)).map_or(-1, |entry| entry.last_timestamp());
        let words = |time: i64| format!("a producer that is silent since {time}");
        scene.says(Word::StepOfLogEnd, words(heard_at), words(now), "to append what comes next", speaker);
        is_known(&mut scene, "to append what it has just appended", one(epoch, next), end - 1, speaker);
    }
}

/// It is answered with the place of the first attempt, and not appended again.
fn is_known(scene: &mut Scene, what: &str, batch: Bytes, at: i64, speaker: &mut Speaker<'_>) {
    let end = scene.end();
    if scene.succeeds(what, batch, at, speaker).is_some() {
        let words = |end: i64| format!("log end {end}");
        scene.says(trial_checker::Word::StepOfLogEnd, words(scene.end()), words(end), what, speaker);
    }
}

/// One that comes with whatever sequence is believed, and then held to it.
fn of_a_stranger(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut scene = stage.scene();
    let now = scene.wall();
    let one = |epoch: i16, sequence: i32| of_producer(now, 1, says(STRANGER, epoch, sequence));
    let first = scene.end();
    for sequence in 7..=7 + REMEMBERED {
        if scene.takes("to append of an unknown producer, and what comes next", one(3, sequence), speaker).is_none() {
            return;
        }
    }
    let out_of_order = ResponseError::OutOfOrderSequenceNumber;
    scene.refuses(
        "to append in an epoch of the past",
        one(2, 8 + REMEMBERED),
        ResponseError::InvalidProducerEpoch,
        speaker,
    );
    scene.refuses("to append the sixth batch before this one", one(3, 7), out_of_order, speaker);
    is_known(&mut scene, "to append the fifth batch before this one", one(3, 8), first + 1, speaker);
    if scene.takes("to begin an epoch", one(4, 0), speaker).is_some() {
        scene.refuses("to append sequences of the epoch before", one(4, 7 + REMEMBERED), out_of_order, speaker);
        scene.takes("to begin an epoch with the sequences of the one before", one(5, 0), speaker);
    }
}

/// Behind the last sequence comes 0, between batches and within one.
fn of_the_last_sequence(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut scene = stage.scene();
    let now = scene.wall();
    let some = |id: i64, count: usize, sequence: i32| of_producer(now, count, says(id, 0, sequence));
    if scene.takes("to append the last sequence", some(STRANGER, 1, LAST_SEQUENCE), speaker).is_some() {
        scene.takes("to append what comes behind the last sequence", some(STRANGER, 1, 0), speaker);
    }
    let other = STRANGER + 1;
    let around = some(other, 3, LAST_SEQUENCE - 1);
    if scene.takes("to append what goes beyond the last sequence", around.clone(), speaker).is_some() {
        let end = scene.end();
        is_known(&mut scene, "to append that again", around, end - 3, speaker);
        scene.takes("to append what comes behind it", some(other, 1, 1), speaker);
    }
}

/// A producer whose batches were all deleted is known (KIP-360).
fn of_deleted_records(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    let mut scene = stage.scene();
    let now = scene.wall();
    let one = |epoch: i16, sequence: i32| of_producer(now, 1, says(STRANGER, epoch, sequence));
    if scene.takes("to append of an unknown producer", one(3, 7), speaker).is_none() {
        return;
    }
    let end = scene.end();
    if scene.replica().is_none_or(|replica| replica.high_watermark() < end) {
        return;
    }
    delete_questions::delete(&mut scene, end);
    if scene.replica().is_some_and(|replica| replica.log.log_start_offset() == end) {
        let what = "to append in an epoch of the past, of a producer whose records are deleted";
        scene.refuses(what, one(2, 8), ResponseError::InvalidProducerEpoch, speaker);
    }
}

/// A producer that has long been silent is forgotten, and not before.
fn of_the_silent(stage: &Stage<'_>, speaker: &mut Speaker<'_>) {
    if stage.replica.log.producers().is_none() {
        return;
    }
    let mut scene = stage.scene_with(|config| {
        if let Some(producers) = &mut config.producers {
            producers.expiration_ms = i64::from(EXPIRATION_MS);
        }
    });
    let one = |time: i64, epoch: i16, sequence: i32| of_producer(time, 1, says(STRANGER, epoch, sequence));
    let time = scene.wall();
    if scene.takes("to append of an unknown producer", one(time, 3, 7), speaker).is_none() {
        return;
    }
    let (req, _) = scene.produce(versions::PRODUCE, 1, one(time, 3, 8));
    scene.copy.pass(i64::from(EXPIRATION_MS), BrokerTimer::ProducerExpiration, req);
    let time = scene.wall();
    scene.takes("to append of a producer that was silent for too long", one(time, 2, 3), speaker);
}
