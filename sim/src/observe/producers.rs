//! Is what a log knows of its producers what the log itself says? The state must be the fold of the batches, whatever
//! snapshots, starts and truncations made of it.
//!
//! A producer may be forgotten, by its age or because an orderly stop left no snapshot, and one whose batches were deleted
//! may be known. But whoever is known is known as the log has it.

use std::collections::BTreeMap;

use trial_checker::{Entry, ProducerBatch};
use trial_kafka::ids::TopicPartition;
use trial_storage::{BatchHeader, Log, ProducerStates};

use super::logs::{KnownLogs, producer_of};
use crate::trace::NodeIx;
use crate::world::World;

/// Where they differ, in words.
pub(super) fn difference(id: &TopicPartition, log: &Log, headers: &[BatchHeader]) -> Option<String> {
    let states = log.producers().filter(|states| !states.entries().is_empty())?;
    difference_to(states, headers, log.log_start_offset())
        .map(|what| format!("what its log of {id} knows of producers is not what the log says: {what}"))
}

/// Had the leader that has just appended this batch forgotten its producer for its age? Then what it knows begins with it, and
/// the producer's last batch before it is as old as `producer.id.expiration.ms`, by the leader's wall clock.
pub(super) fn had_forgotten(
    known: &KnownLogs,
    world: &World,
    (node, broker): (NodeIx, i32),
    id: &TopicPartition,
    appended: &Entry,
) -> Option<i64> {
    let (producer, log) = (appended.producer?.id, &world.broker_at(node)?.partition(id)?.log);
    let states = log.producers()?;
    let first = states.entries().get(&producer)?.batches().next()?;
    if first.last_offset != appended.last_offset {
        return None;
    }
    let last = known.timestamp_before(world, (node, broker), id, log, (producer, appended.first_offset))?;
    (world.clocks(node).wall.saturating_sub(last) >= states.expiration_ms()).then_some(producer)
}

fn difference_to(states: &ProducerStates, headers: &[BatchHeader], log_start: i64) -> Option<String> {
    let mut last: BTreeMap<i64, (ProducerBatch, i64)> = BTreeMap::new();
    for header in headers {
        last.extend(producer_of(header).map(|batch| (batch.id, (batch, header.last_offset()))));
    }
    states.entries().iter().find_map(|(producer, known)| {
        let known = known.last_batch().map(|batch| (known.epoch(), batch.last_sequence, batch.last_offset));
        let said = last.get(producer).map(|(batch, offset)| (batch.epoch, batch.last_sequence, *offset));
        let is_right = known == said || (said.is_none() && known.is_none_or(|(.., offset)| offset < log_start));
        (!is_right).then(|| {
            format!("the last epoch, sequence and offset of producer {producer} are {known:?} there and {said:?} here")
        })
    })
}
