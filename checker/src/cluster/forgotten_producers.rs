//! What an idempotent producer cannot be protected from, because of what brokers do not know of it. Kafka as it is has these
//! windows open; here they are facts of the logs and of what the producer was told, by which the judge allows what came of them.
//!
//! - A leader whose log knows nothing of a producer takes whatever sequence comes first (`ProducerAppendInfo.checkSequence`,
//!   KIP-360, KAFKA-14359). If an earlier batch was refused, or is still on its way to a former leader, the later one stands
//!   before it; the earlier one is refused from then on, until the producer raises its epoch and sends again all that it was
//!   not told the end of, or gives it up after delivery.timeout.ms.
//! - A broker that starts, or cuts its log, begins with a snapshot that has the last batch of each producer alone
//!   (`ProducerStateManager.writeSnapshot`). An earlier one that stands in the log and is sent again is out of order to
//!   it; the producer raises its epoch and sends it under another sequence.
//! - A broker forgets who was silent for producer.id.expiration.ms (`ProducerStateManager.removeExpiredProducers`). Where that
//!   is less than delivery.timeout.ms a producer may still send again what stands in the log, and it is taken anew, under the
//!   same epoch and sequence; or the next batch is taken first, and the one before it is out of order from then on.
//! - So does a broker that starts, or cuts its log, when all batches of a producer lie below where the log begins: the snapshots
//!   up to there are deleted (`ProducerStateManager.truncateAndReload`).
//! - A batch that is refused for good (RECORD_LIST_TOO_LARGE, say) makes the producer raise its epoch, and all that is still in
//!   flight to the partition is given sequences of the new one at once, whether a former leader has written it or not
//!   (`TransactionManager.handleFailedBatch`, `bumpIdempotentProducerEpoch`, `TxnPartitionEntry.startSequencesAtBeginning`). Sent
//!   again, it is new to whoever has it.
//! - The size of a batch is checked before its producer's state (`UnifiedLog.append`), so that one that stands in the log is
//!   refused as too large where max.message.bytes is less by the time at which it is sent again. The producer splits it, and the
//!   parts, which keep their sequences, are no batch that the broker knows: out of order (`Sender.completeBatch`,
//!   `ProducerBatch.split`). All of them are written again in the next epoch.
//! - A leader that was deposed and has not heard of it lacks what was written since, and refuses what follows on that as out of
//!   order. A producer that had not heard of its reign, having had nothing to send meanwhile, believes its metadata where the
//!   leaders after it are down: the epoch is newer than what it knows. It raises its producer epoch and sends again what it was
//!   not told the end of, which stands in the log (`Metadata.updateLatestMetadata`, `TransactionManager.canRetry`). So does one whose
//!   batch a deposed leader wrote, and that the leader after it refuses, lacking the batch; the deposed one brings it back when it
//!   is elected again.

use super::Cluster;
use super::partition::{PartitionTruth, Produced};
use super::replica::{Batch, Cut, CutKind, LogEntry, Replica};
use crate::observation::{EventRef, ProducerBatch};
use crate::settings::Settings;

/// Why a leader knew nothing of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    /// Its log had never held anything of it.
    New,
    /// It had forgotten the producer for its age.
    Expired,
    /// The same, but the batch is the next in its log: what is lost is only that those before it stand there.
    ExpiredBefore,
    /// What its log had held, or would have held if it had been there before, was deleted before it started, or cut its log.
    Deleted,
}

/// A leader took a batch out of sequence from a producer that it did not know: one that does not begin at sequence 0 where its log
/// had never held anything of the producer, or any where it had forgotten what the log holds or held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnknownStart {
    /// The observation.
    pub(crate) seq: u64,
    /// The producer's id.
    producer: i64,
    epoch: i16,
    why: Unknown,
    /// Something may have had to come before.
    pub(crate) in_the_middle: bool,
    /// The batch's first offset and leader epoch.
    place: (i64, i32),
    /// A record of the batch, where the host told.
    pub(crate) record: Option<u64>,
}

/// The rule of the first window.
pub(crate) const FIRST_SEQUENCE: &str = "first-sequence-of-an-unknown-producer";
/// The rule of the second window.
pub(crate) const ONE_BATCH: &str = "snapshot-has-the-last-batch-alone";
/// The rule of the third window.
pub(crate) const EXPIRED: &str = "producer.id.expiration.ms";
/// The rule of the fourth window.
pub(crate) const DELETED: &str = "producer-forgotten-with-its-records";
/// The rule of the fifth window.
pub(crate) const RENUMBERED: &str = "refused-batch-renumbers-those-in-flight";
/// The rule of the sixth window.
pub(crate) const SPLIT: &str = "split-after-it-was-written";
/// The rule of the seventh window.
pub(crate) const DEPOSED: &str = "out-of-order-to-a-deposed-leader";

/// A broker refused a batch as out of order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutOfOrder {
    /// The observation.
    pub(crate) seq: u64,
    pub(crate) at: EventRef,
    pub(crate) broker: i32,
    /// The epoch in which it took itself for the leader.
    pub(crate) leader_epoch: i32,
}

impl UnknownStart {
    /// What a leader is about to append to this log, if it is such a start. `restarted`: when the broker last started again. Who
    /// starts, or cuts its log, builds its producers' state from where the log begins, and knows no more of what was deleted
    /// before; one that goes on keeps it (`ProducerStateManager.truncateAndReload`).
    pub(crate) fn of(
        log: &Replica,
        batch: &Batch,
        seq: u64,
        record: Option<u64>,
        restarted: Option<u64>,
    ) -> Option<Self> {
        let producer = batch.producer?;
        let rebuilt = restarted.max(log.cuts.last().map(|cut| cut.seq)).unwrap_or(0);
        let is_kept = |entry: &&LogEntry| entry.batch.last >= log.log_start || entry.seq > rebuilt;
        let is_next = |last: ProducerBatch| {
            last.epoch == producer.epoch && next_sequence(last.last_sequence) == producer.first_sequence
        };
        let of_same = |entry: &&LogEntry| entry.batch.producer.is_some_and(|p| p.id == producer.id);
        let last = log.log.iter().rev().filter(of_same).find(is_kept).and_then(|entry| entry.batch.producer);
        let was_deleted = || log.log.iter().any(|entry| of_same(&entry));
        let is_forgotten = log.forgotten.contains(&producer.id);
        let why = match last {
            Some(last) => is_forgotten.then_some(if is_next(last) { Unknown::ExpiredBefore } else { Unknown::Expired }),
            None if log.log_start > 0 || was_deleted() => Some(Unknown::Deleted),
            None => (is_forgotten || producer.first_sequence != 0).then_some(Unknown::New),
        }?;
        let in_the_middle = why != Unknown::ExpiredBefore && (is_forgotten || producer.first_sequence != 0);
        let (place, producer, epoch) = ((batch.first, batch.epoch), producer.id, producer.epoch);
        Some(UnknownStart { seq, producer, epoch, why, in_the_middle, place, record })
    }

    /// A broker that the bug zoo has changed forgets nobody by right.
    pub(crate) fn is_excused(&self, settings: &Settings) -> bool {
        !(self.why == Unknown::Expired && settings.zoo_on)
    }

    /// Is it the start with this batch?
    pub(crate) fn is_with(&self, batch: &Batch) -> bool {
        self.place == (batch.first, batch.epoch)
    }
}

/// Had the producer of this batch begun in the middle by then, with a leader that knew nothing of it?
pub(crate) fn began_in_the_middle(truth: &PartitionTruth, batch: &Produced) -> bool {
    let Some(producer) = batch.batch.producer else { return false };
    let same =
        |start: &&UnknownStart| start.in_the_middle && start.producer == producer.id && start.epoch <= producer.epoch;
    truth.unknown_starts.iter().filter(same).any(|start| start.seq <= batch.seq)
}

/// Was the newer copy taken anew under the same epoch, its leader having forgotten the producer since the older one? By which rule.
fn was_taken_anew(truth: &PartitionTruth, older: &Produced, newer: &Produced) -> Option<&'static str> {
    let (before, after) = (older.batch.producer?, newer.batch.producer?);
    let of_both = |start: &&UnknownStart| start.producer == before.id && start.epoch == after.epoch;
    let since = |start: &&UnknownStart| older.seq < start.seq && start.seq <= newer.seq;
    if (before.id, before.epoch) != (after.id, after.epoch) {
        return None;
    }
    truth.unknown_starts.iter().filter(of_both).filter(since).find_map(|start| match start.why {
        Unknown::New | Unknown::ExpiredBefore => None,
        Unknown::Expired => Some(EXPIRED),
        Unknown::Deleted => Some(DELETED),
    })
}

/// Had a leader forgotten the producer for its age, and refused a batch as out of order since, between the two copies? To that
/// leader what stands before the first batch it took since is out of order, when it is sent again; the producer raises its
/// epoch and sends again all that it was not told the end of.
fn had_expired_meanwhile(truth: &PartitionTruth, older: &Produced, newer: &Produced) -> bool {
    let Some(before) = older.batch.producer else { return false };
    let is_expired = |why| matches!(why, Unknown::Expired | Unknown::ExpiredBefore);
    let same =
        |start: &&UnknownStart| is_expired(start.why) && (start.producer, start.epoch) == (before.id, before.epoch);
    let mut refusals = truth.out_of_order.iter().map(|refused| refused.seq);
    let Some(expired) = truth.unknown_starts.iter().find(same) else { return false };
    refusals.any(|refused| older.seq.max(expired.seq) < refused && refused < newer.seq)
}

/// Behind the largest sequence comes 0.
pub(super) fn next_sequence(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

/// The rule by which a record may stand in the log twice: a later copy was written under another producer epoch, by a
/// leader that had taken a batch out of the middle, or had forgotten the earlier copy, or because a batch of the producer
/// `was_refused` for good before that instant, or, when the record `was_in_flight` from the one instant to the other, in a smaller
/// batch or after a deposed leader had refused what it lacks; or under the same, by one that had forgotten the producer. Copies
/// in the order of appending.
pub(crate) fn allows_copies(
    cluster: &Cluster,
    truth: &PartitionTruth,
    copies: &[&Produced],
    was_refused: impl Fn(EventRef) -> bool,
    was_in_flight: impl Fn(EventRef, EventRef) -> bool,
) -> Option<&'static str> {
    let mut rule = None;
    for pair in copies.windows(2) {
        let [older, newer] = pair else { return None };
        let (before, after) = (older.batch.producer?, newer.batch.producer?);
        if let Some(forgotten) = was_taken_anew(truth, older, newer) {
            rule = Some(forgotten);
            continue;
        }
        if before.id != after.id || before.epoch >= after.epoch {
            return None;
        }
        rule = match () {
            () if began_in_the_middle(truth, older) => Some(FIRST_SEQUENCE),
            () if had_expired_meanwhile(truth, older, newer) => Some(EXPIRED),
            () if has_forgotten(cluster, truth, older, newer) => Some(ONE_BATCH),
            () if was_refused(newer.at) => Some(RENUMBERED),
            () if was_refused_by_a_deposed_leader(truth, older, newer) && was_in_flight(older.at, newer.at) => {
                Some(DEPOSED)
            }
            () if is_part_of(newer, older) && was_in_flight(older.at, newer.at) => Some(SPLIT),
            () => return None,
        };
    }
    rule
}

/// Did one who led before the older copy was written, or since, but before it was committed, and has it not, refuse a batch as out
/// of order between the two?
fn was_refused_by_a_deposed_leader(truth: &PartitionTruth, older: &Produced, newer: &Produced) -> bool {
    let between = |refused: &&OutOfOrder| older.seq < refused.seq && refused.seq < newer.seq;
    let committed = truth.ghost.ever(&older.batch);
    truth.out_of_order.iter().filter(between).any(|refused| {
        let log = truth.replicas.get(&refused.broker);
        let has_it = log.is_some_and(|log| log.held_at(&older.batch, refused.seq));
        let may_lack_it = refused.leader_epoch < older.batch.epoch
            || refused.leader_epoch > older.batch.epoch && committed.is_none_or(|it| refused.at.id < it.at.id);
        may_lack_it && !has_it
    })
}

/// Has the batch fewer records than the other one that its record was in before? Nothing but a refusal as too large makes a
/// producer put a record into another batch.
fn is_part_of(part: &Produced, whole: &Produced) -> bool {
    let records = |produced: &Produced| produced.batch.last - produced.batch.first;
    records(part) < records(whole)
}

/// Did one that led between the two copies begin with a snapshot, while its log had the older one and another batch of the
/// producer? The snapshot has not the earlier of two, so that it is refused as out of order there, and the newer copy is written
/// by that leader or by the next. Where the older copy is the later of them it is known, and is sent anew because the other was
/// refused, which therefore comes first in the new epoch.
fn has_forgotten(cluster: &Cluster, truth: &PartitionTruth, older: &Produced, newer: &Produced) -> bool {
    let (Some(before), Some(after)) = (older.batch.producer, newer.batch.producer) else { return false };
    let is_its = |entry: &&LogEntry| entry.batch.producer.is_some_and(|p| (p.id, p.epoch) == (before.id, before.epoch));
    reigns_until(truth, newer.seq).filter(|(_, end)| *end > older.seq).any(|(leader, end)| {
        let Some(log) = truth.replicas.get(&leader) else { return false };
        let restarts = cluster.restarts.get(&leader).into_iter().flatten().copied();
        let is_truncation = |cut: &&Cut| matches!(cut.kind, CutKind::Truncated { .. });
        let truncations = log.cuts.iter().filter(is_truncation).map(|cut| cut.seq);
        restarts.chain(truncations).filter(|began| *began < end).any(|began| {
            // As the log was when it began so, for it may have dropped all of that since.
            let mut of_producer: Vec<&LogEntry> = log.entries_at(began).filter(is_its).collect();
            of_producer.sort_by_key(|entry| entry.batch.first);
            let Some(place) = of_producer.iter().position(|entry| entry.batch == older.batch) else { return false };
            let is_earlier_of_two = place + 1 < of_producer.len();
            let is_later_of_two = place > 0 && after.first_sequence > 0;
            is_earlier_of_two || is_later_of_two
        })
    })
}

/// Who led before an observation, and each until when: the next reign, or that observation.
fn reigns_until(truth: &PartitionTruth, seq: u64) -> impl Iterator<Item = (i32, u64)> {
    let until = truth.reigns.partition_point(|reign| reign.seq < seq);
    let ends = truth.reigns[..until].iter().skip(1).map(|next| next.seq).chain([seq]);
    truth.reigns[..until].iter().zip(ends).map(|(reign, end)| (reign.leader, end))
}
