//! producer-sequence: within (producer id, epoch, partition) the sequences of what was committed are contiguous, a higher
//! epoch begins at 0, and no epoch goes back (KIP-98, `ProducerAppendInfo`). So nothing stands there twice either.
//!
//! Where the log says nothing of a producer, it may begin anywhere: a partition that has forgotten it cannot know better. So
//! may one whose batches retention has removed, with a leader that began anew behind them (`truncateFullyAndStartAt`), and one
//! that its leader has forgotten for its age, as `producer.id.expiration.ms` permits.

use crate::invariants::Invariant;
use std::collections::BTreeMap;

use super::forgotten_producers::next_sequence;
use super::partition::PartitionTruth;
use super::replica::Batch;
use crate::findings::{Findings, Headline};
use crate::observation::{EventRef, ProducerBatch};
use crate::settings::Settings;
use crate::words::{seconds, step};

/// See the table of invariants.
pub(super) const INVARIANT: Invariant = Invariant {
    code: "producer-sequence",
    rule: None,
    what: "sequences of what is committed are contiguous by producer id, epoch and partition, and epochs begin at 0",
    source: "KIP-98, `ProducerAppendInfo`",
};

/// Each producer's last batch among those that were committed.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProducerSequences {
    last: BTreeMap<i64, ProducerBatch>,
    /// Everything below was looked at.
    end: i64,
    /// How often a leader had taken over without some of it.
    rebases: usize,
}

impl ProducerSequences {
    /// Passes the next batch over: its producer may go on anywhere.
    fn forget(&mut self, batch: &Batch) {
        self.end = batch.last.saturating_add(1);
        if let Some(producer) = batch.producer {
            self.last.remove(&producer.id);
        }
    }

    /// Takes the next batch. What had to come instead, if it does not fit.
    fn take(&mut self, batch: &Batch) -> Option<(ProducerBatch, ProducerBatch, String)> {
        self.end = batch.last.saturating_add(1);
        let now = batch.producer?;
        let before = self.last.insert(now.id, now)?;
        let instead = match now.epoch.cmp(&before.epoch) {
            std::cmp::Ordering::Less => format!("epoch {} or a later one", before.epoch),
            std::cmp::Ordering::Greater if now.first_sequence == 0 => return None,
            std::cmp::Ordering::Greater => format!("sequence 0 of epoch {}", now.epoch),
            std::cmp::Ordering::Equal if now.first_sequence == next_sequence(before.last_sequence) => return None,
            std::cmp::Ordering::Equal => format!("sequence {}", next_sequence(before.last_sequence)),
        };
        Some((before, now, instead))
    }
}

/// More was committed, by that leader.
pub(crate) fn check(truth: &mut PartitionTruth, broker: i32, at: EventRef, settings: &Settings, found: &mut Findings) {
    let PartitionTruth { name, ghost, producers, unknown_starts, replicas, .. } = truth;
    if ghost.rebases() != producers.rebases {
        // A leader took over without some of it, which is told elsewhere: the rest counts from its beginning.
        *producers = ProducerSequences { rebases: ghost.rebases(), ..ProducerSequences::default() };
        for committed in ghost.committed_from(0).iter().filter(|committed| committed.at < at) {
            producers.take(&committed.batch);
        }
    }
    // What lies below where its log begins a leader has deleted: whether it stood in its own log, or on another branch, the
    // log does not say any more, so that the producers of it may go on anywhere.
    let log_start = replicas.get(&broker).map_or(0, |leader| leader.log_start);
    for committed in ghost.committed_from(producers.end) {
        if committed.batch.last < log_start {
            producers.forget(&committed.batch);
            continue;
        }
        let Some((before, now, instead)) = producers.take(&committed.batch) else { continue };
        if unknown_starts.iter().any(|start| start.is_with(&committed.batch) && start.is_excused(settings)) {
            continue;
        }
        let offset = committed.batch.first;
        found.add(Headline::bug(INVARIANT.code, name, Some(offset), at), || {
            let leader = settings.broker_name(broker);
            let has = format!("sequence {} of epoch {}", now.first_sequence, now.epoch);
            let summary = format!("producer {} has {has} at offset {offset} of {name}, where {instead} had to come", now.id);
            let sentence = format!(
                "{leader} committed {has} of producer {} at offset {offset} of {name} at {}, behind sequence {} of epoch {}",
                now.id,
                seconds(at.time),
                before.last_sequence,
                before.epoch
            );
            (summary, vec![step(at, leader, sentence)])
        });
    }
}
