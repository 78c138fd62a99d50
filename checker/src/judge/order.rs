//! Violations of order and of content: which of them a producer without idempotence has asked for, and which never.

use super::Judge;
use super::story::Story;
use crate::cluster::forgotten_producers;
use crate::cluster::loss::Judgement;
use crate::cluster::partition::Produced;
use crate::findings::{Findings, Headline};
use crate::history::Violation;
use crate::history::history_skip::HistorySkip;
use crate::history::records::{Record, Told};
use crate::observation::{EventRef, Partition};
use crate::verdict::{Class, Step};
use crate::words::{seconds, step};

/// Judges a violation that is not a loss.
pub(super) fn judge(judge: &mut Judge<'_>, violation: Violation, found: &mut Findings) {
    use Violation::*;
    match violation {
        Duplicate { partition, record, offsets, at } => duplicate(judge, &partition, record, &offsets, at, found),
        AckOffsetMismatch { partition, record, acked_offset, found_at, at } => {
            mismatch(judge, &partition, record, acked_offset, found_at, at, found);
        }
        NonmonotonicSend { partition, producer, earlier, earlier_offset, later, later_offset, at } => {
            let settings = judge.settings.producer(producer);
            let mut headline = Headline::bug("nonmonotonic-send", &partition, Some(later_offset), at);
            headline.record = Some(later);
            if !settings.idempotent && settings.max_in_flight > 1 {
                allow(&mut headline, "several-in-flight-without-idempotence");
            } else if began_in_the_middle(judge, &partition, later, later_offset) {
                allow(&mut headline, forgotten_producers::FIRST_SEQUENCE);
            }
            found.add(headline, || {
                let name = judge.settings.producer_name(producer);
                let summary = format!(
                    "{name} sent record r{earlier} to {partition} before record r{later}, but they lie at offsets \
                     {earlier_offset} and {later_offset}"
                );
                (summary, both(judge, earlier, later))
            });
        }
        RealtimeAppendInversion { partition, earlier, earlier_offset, later, later_offset, at } => {
            let headline = Headline::bug("realtime-append-inversion", &partition, Some(later_offset), at);
            found.add(Headline { record: Some(later), ..headline }, || {
                let summary = format!(
                    "record r{earlier} of {partition} was acknowledged before record r{later} was sent, but lies above it: \
                     offsets {earlier_offset} and {later_offset}"
                );
                (summary, both(judge, earlier, later))
            });
        }
        PollSkip { partition, consumer, after, skipped, read, at } => {
            found.add(Headline::bug("poll-skip", &partition, Some(skipped), at), || {
                let name = judge.settings.consumer_name(consumer);
                let summary =
                    format!("{name} went from offset {after} of {partition} to {read} over the record at {skipped}");
                (summary, poll(&name, &partition, after, read, at))
            });
        }
        HistorySkip(skip) => history_skip(judge, skip, found),
        NonmonotonicPoll { partition, consumer, after, read, at } => {
            found.add(Headline::bug("nonmonotonic-poll", &partition, Some(read), at), || {
                let name = judge.settings.consumer_name(consumer);
                let summary = format!("{name} went back from offset {after} of {partition} to {read}");
                (summary, poll(&name, &partition, after, read, at))
            });
        }
        // Somebody wrote a record there, and it was read as what is none: its bytes are others.
        PhantomRead { partition, offset, record: None, at } if is_written(judge, &partition, offset) => {
            found.add(Headline::bug("corrupt-record", &partition, Some(offset), at), || {
                let summary =
                    format!("offset {offset} of {partition} was read as what nobody wrote, where a record lies");
                let sentence = format!("offset {offset} of {partition} was read at {}", seconds(at.time));
                (summary, vec![step(at, "reader", sentence)])
            });
        }
        PhantomRead { partition, offset, record, at } => {
            found.add(Headline::bug("phantom-read", &partition, Some(offset), at), || {
                let what = record.map_or_else(|| "a value of nobody's form".to_owned(), |r| format!("record r{r}"));
                let summary = format!("offset {offset} of {partition} holds {what}, which nobody sent");
                let sentence = format!("{what} was read at offset {offset} of {partition} at {}", seconds(at.time));
                (summary, vec![step(at, "reader", sentence)])
            });
        }
        WrongPartition { partition, offset, record, sent_to, at } => {
            let headline = Headline::bug("wrong-partition", &partition, Some(offset), at);
            found.add(Headline { record: Some(record), ..headline }, || {
                let summary =
                    format!("record r{record} was sent to {sent_to} and read at offset {offset} of {partition}");
                (summary, judge.told_to_send(record))
            });
        }
        FailedButVisible { partition, offset, record, at } => {
            let headline = Headline::bug("g1a", &partition, Some(offset), at);
            found.add(Headline { record: Some(record), ..headline }, || {
                let summary = format!(
                    "record r{record} was read at offset {offset} of {partition} though its send definitely failed"
                );
                let mut chain = appended(judge, &partition, record);
                chain.extend(judge.told_result(record));
                let sentence =
                    format!("record r{record} was read at offset {offset} of {partition} at {}", seconds(at.time));
                chain.push(step(at, "reader", sentence));
                (summary, chain)
            });
        }
        // Judged by the parent.
        InconsistentOffsets { .. } | LostWrite { .. } | Unseen { .. } | Undecided { .. } => {}
        Stuck { .. } | DroppedUnpromised { .. } | Group(_) => {}
    }
}

/// Did a leader write records of producers to that offset?
fn is_written(judge: &Judge<'_>, partition: &Partition, offset: i64) -> bool {
    let truth = judge.cluster.partition(partition);
    let covers = |p: &Produced| p.batch.first <= offset && offset <= p.batch.last;
    truth.is_some_and(|truth| truth.produced.iter().any(covers))
}

fn allow(headline: &mut Headline, rule: &'static str) {
    (headline.class, headline.rule) = (Class::Allowed, Some(rule));
}

/// A retry of a producer without idempotence may append again what an earlier attempt did (KIP-98).
const RETRY: &str = "retry-without-idempotence";

fn duplicate(
    judge: &mut Judge<'_>,
    partition: &Partition,
    record: u64,
    offsets: &[i64],
    at: EventRef,
    found: &mut Findings,
) {
    let headline = Headline::bug("duplicate", partition, offsets.get(1).copied(), at);
    let mut headline = Headline { record: Some(record), ..headline };
    if let Some(state) = judge.record(record).filter(|r| !judge.settings.producer(r.producer).idempotent) {
        match (state.told, state.attempts) {
            (Told::Pending, _) => headline.class = Class::Unknown, // how often it was sent is not known
            // An attempt appends at most once.
            (_, attempts) if attempts > 1 && offsets.len() as u64 <= u64::from(attempts) => allow(&mut headline, RETRY),
            _ => {}
        }
    }
    if let Some(rule) = forgotten_copies(judge, partition, record, offsets) {
        allow(&mut headline, rule);
    }
    if headline.class == Class::Bug
        && let Some(loss) = lost_copy(judge, partition, record, offsets)
    {
        (headline.class, headline.rule) = (loss.class, loss.rule);
    }
    found.add(headline, || {
        let list: Vec<String> = offsets.iter().map(i64::to_string).collect();
        let attempts = judge.record(record).map_or(0, |r| r.attempts);
        let summary = format!(
            "record r{record} lies at offsets {} of {partition}; it was sent {attempts} times",
            list.join(" and ")
        );
        let mut chain = appended(judge, partition, record);
        chain.extend(judge.told_result(record));
        (summary, chain)
    });
}

/// Where at most one of the copies is part of the partition's history, the others were lost, and the record was written anew: no log ever
/// had it twice. Such copies are told of below where the log begins by now, for nobody can read there any more what is left.
fn lost_copy(judge: &mut Judge<'_>, partition: &Partition, record: u64, offsets: &[i64]) -> Option<Judgement> {
    let cluster = judge.cluster;
    let truth = cluster.partition(partition)?;
    let (mut kept, mut lost) = (0, None);
    for offset in offsets {
        let copies = cluster.copies_at(truth, record, *offset);
        match copies.iter().any(|copy| truth.keeps(&copy.batch)) {
            true => kept += 1,
            false => lost = lost.or(Some(*copies.first()?)),
        }
    }
    let lost = lost.filter(|_| kept <= 1)?;
    Some(judge.loss(truth, lost, -1, true).judgement)
}

/// The rule by which an idempotent producer's record lies at all these offsets.
fn forgotten_copies(judge: &Judge<'_>, partition: &Partition, record: u64, offsets: &[i64]) -> Option<&'static str> {
    // As with losses, no rule excuses a cluster with a zoo switch on.
    let truth = judge.cluster.partition(partition).filter(|_| !judge.settings.zoo_on)?;
    let written = judge.cluster.written(truth, record).filter(|written| offsets.contains(&written.offset));
    // A copy that a deposed leader put there, and that went again, is none that anybody read. One that was deleted was there.
    let is_there = |produced: &&Produced| {
        truth.keeps(&produced.batch) || truth.deleted_by(&produced.batch, produced.batch.last).is_some()
    };
    let mut copies: Vec<&Produced> = written.map(|written| written.produced).filter(is_there).collect();
    copies.sort_by_key(|produced| produced.seq);
    let all = copies.len() == offsets.len();
    let was_refused = |until: EventRef| was_refused_meanwhile(judge, record, until);
    let was_in_flight = |from: EventRef, until: EventRef| was_in_flight(judge, record, from, until);
    forgotten_producers::allows_copies(judge.cluster, truth, &copies, was_refused, was_in_flight).filter(|_| all)
}

/// Had the record been sent, and its producer been told nothing of it, from the one instant to the other?
fn was_in_flight(judge: &Judge<'_>, record: u64, from: EventRef, until: EventRef) -> bool {
    let was = |sent: &Record| sent.invoked.id < from.id && (sent.told == Told::Pending || until.id < sent.settled.id);
    judge.record(record).is_some_and(was)
}

/// Was a record of the same producer and partition, which had been sent, refused for good while this one was on its way?
fn was_refused_meanwhile(judge: &Judge<'_>, record: u64, until: EventRef) -> bool {
    let Some(sent) = judge.record(record) else { return false };
    let is_of_the_same = |other: &Record| (other.producer, other.partition) == (sent.producer, sent.partition);
    let is_refused = |other: &Record| other.told == Told::Failed && other.attempts > 0;
    let until = if sent.told == Told::Pending { until.id } else { until.id.min(sent.settled.id) };
    let meanwhile = |at: EventRef| sent.invoked.id < at.id && at.id < until;
    let mut others = judge.history.records.iter().map(|(_, other)| other);
    others.any(|other| is_of_the_same(other) && is_refused(other) && meanwhile(other.settled))
}

/// Was the record's batch at this offset written by a leader that took its producer's batches from the middle on?
fn began_in_the_middle(judge: &Judge<'_>, partition: &Partition, record: u64, offset: i64) -> bool {
    let truth = judge.cluster.partition(partition).filter(|_| !judge.settings.zoo_on);
    let Some(truth) = truth else { return false };
    let written = judge.cluster.written_at(truth, record, offset).next();
    written.is_some_and(|written| forgotten_producers::began_in_the_middle(truth, written))
}

/// ack-offset-mismatch: allowed where a retry left two copies and the acknowledged one was deleted before it was read, or lost in
/// an allowed way. Of several that were written there it is the one which is not there any more.
fn mismatch(
    judge: &mut Judge<'_>,
    partition: &Partition,
    record: u64,
    acked_offset: i64,
    found_at: i64,
    at: EventRef,
    found: &mut Findings,
) {
    let headline = Headline::bug("ack-offset-mismatch", partition, Some(acked_offset), at);
    let mut headline = Headline { record: Some(record), ..headline };
    let state = judge.record(record).copied();
    let retried = state.is_some_and(|r| r.attempts > 1);
    match judge.cluster.partition(partition) {
        Some(truth) if retried => {
            // No copy was ever where the acknowledgement said: no loss explains that.
            let copies = judge.cluster.copies_at(truth, record, acked_offset);
            let deleted = copies.iter().find_map(|copy| truth.deleted_by(&copy.batch, acked_offset));
            if let Some(rule) = deleted {
                allow(&mut headline, rule);
            } else if let Some(acked) = copies.into_iter().find(|copy| !truth.keeps(&copy.batch)) {
                let loss = judge.loss(truth, acked, judge.acks(truth, record, acked), false);
                (headline.class, headline.rule) = (loss.judgement.class, loss.judgement.rule);
            }
        }
        None if retried && state.is_some_and(|r| !judge.settings.producer(r.producer).idempotent) => {
            allow(&mut headline, RETRY);
        }
        _ => {}
    }
    found.add(headline, || {
        let summary = format!(
            "record r{record} of {partition} was acknowledged at offset {acked_offset}, but lies at {found_at}"
        );
        let mut chain = appended(judge, partition, record);
        chain.extend(judge.told_result(record));
        (summary, chain)
    });
}

fn appended(judge: &Judge<'_>, partition: &Partition, record: u64) -> Vec<Step> {
    let mut chain = judge.told_to_send(record);
    if let Some(truth) = judge.cluster.partition(partition) {
        let story = Story { cluster: judge.cluster, truth, settings: judge.settings };
        chain.extend(story.of_appends(&judge.cluster.batches_of(truth, record)));
    }
    chain
}

fn both(judge: &Judge<'_>, earlier: u64, later: u64) -> Vec<Step> {
    let mut chain: Vec<Step> = [earlier, later]
        .into_iter()
        .flat_map(|record| {
            let mut steps = match judge.record(record) {
                Some(state) => appended(judge, judge.history.partitions.name(state.partition), record),
                None => Vec::new(),
            };
            steps.extend(judge.told_result(record));
            steps
        })
        .collect();
    chain.sort_by_key(|step| (step.virtual_ns, step.event));
    chain
}

/// poll-skip between histories. A consumer finds out that what it has read is lost when it asks the new leader where the epoch
/// ends in which it read last (`OffsetsForLeaderEpochClient`, KIP-320). A leader whose log has an older epoch at its position
/// answers with the end of that one, beyond the position, and the consumer goes on: Kafka as it is. Nor does it ask about what an
/// earlier leader's answer brings when it has asked. So a skip that no validation could show is what the loss of the records read
/// is; any other is a BUG.
fn history_skip(judge: &mut Judge<'_>, skip: HistorySkip, found: &mut Findings) {
    let HistorySkip { partition, consumer, after, epoch, skipped, read, read_epoch, shows_in_validation, at } = skip;
    let mut headline = Headline::bug("poll-skip", &partition, Some(skipped), at);
    let truth = judge.cluster.partition(&partition).filter(|_| !shows_in_validation);
    let was_read = |p: &&Produced| p.batch.epoch == epoch && p.batch.first <= skipped && skipped <= p.batch.last;
    let lost = truth.and_then(|truth| Some((truth, truth.produced.iter().find(was_read)?)));
    let loss = lost.map(|(truth, lost)| judge.loss(truth, lost, -1, true).judgement);
    if let Some(loss) = &loss {
        (headline.class, headline.rule) = (loss.class, loss.rule);
    }
    found.add(headline, || {
        let name = judge.settings.consumer_name(consumer);
        let because = loss.map_or(String::new(), |loss| {
            format!(". That shows in no validation, and what it had read was lost: {}", loss.because)
        });
        let summary = format!(
            "{name} read {partition} up to offset {after} in epoch {epoch} and on from {read} in epoch {read_epoch}, in \
             whose history offset {skipped} holds another record: it was never told, and went over that one{because}"
        );
        (summary, poll(&name, &partition, after, read, at))
    });
}

fn poll(name: &str, partition: &Partition, after: i64, read: i64, at: EventRef) -> Vec<Step> {
    let sentence =
        format!("{name}, having read offset {after} of {partition}, read offset {read} at {}", seconds(at.time));
    vec![step(at, name, sentence)]
}
