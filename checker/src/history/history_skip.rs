//! poll-skip between histories: a consumer with a manual assignment read on in another history than before and was not
//! told (KIP-320). Its offsets follow each other, and yet it went over every record that took the place of what it had
//! read where the two histories part.
//!
//! A record is told from another at its offset by the leader epoch of its batch. What was read is of the final history
//! if the final log has that epoch at that offset, and then so is everything before it: who read something that is not
//! in the final log and, without a reset, something later that is, has crossed.

use std::collections::BTreeMap;

use super::{History, Violation};
use crate::observation::{EventRef, Partition};

/// Offsets of one leader epoch, one after the other.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    epoch: i32,
    from: i64,
    to: i64,
    /// When its first record was read.
    at: EventRef,
    /// The epoch of the leader that its reader followed, at its first record and at its last; -1 if nobody knows.
    followed: (i32, i32),
}

/// A consumer read on in another history than before, over what took the place of what it had read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistorySkip {
    /// Where.
    pub partition: Partition,
    /// Who.
    pub consumer: u32,
    /// It had read up to there in an epoch that the final log does not have there.
    pub after: i64,
    /// That epoch.
    pub epoch: i32,
    /// The first offset at which the other history has another record.
    pub skipped: i64,
    /// It read on there.
    pub read: i64,
    /// In that epoch.
    pub read_epoch: i32,
    /// A leader with the other history that is asked where the epoch ends which the consumer read last tells an offset below
    /// its position.
    pub shows_in_validation: bool,
    /// When it read on.
    pub at: EventRef,
}

/// What consumers read between two settings of their positions, and what the final log holds, by epochs.
#[derive(Clone, Debug, Default)]
pub(crate) struct HistorySkips {
    runs: BTreeMap<(u32, u32), Vec<Stretch>>,
    ended: Vec<(u32, u32, Vec<Stretch>)>,
    followed: BTreeMap<(u32, u32), i32>,
    last: BTreeMap<u32, Vec<Stretch>>,
}

impl HistorySkips {
    /// A consumer read a record of that epoch; -1 if nobody knows.
    pub(crate) fn read(&mut self, at: EventRef, consumer: u32, partition: u32, offset: i64, epoch: i32) {
        let followed = self.followed.get(&(consumer, partition)).map_or((-1, -1), |epoch| (*epoch, *epoch));
        let read = Stretch { epoch, from: offset, to: offset, at, followed };
        extend(self.runs.entry((consumer, partition)).or_default(), read);
    }

    /// A consumer follows a leader of that epoch.
    pub(crate) fn followed(&mut self, consumer: u32, partition: u32, leader_epoch: i32) {
        self.followed.insert((consumer, partition), leader_epoch);
    }

    /// A consumer's position was set: what it reads next follows nothing.
    pub(crate) fn reset(&mut self, consumer: u32, partition: u32) {
        let run = self.runs.remove(&(consumer, partition)).unwrap_or_default();
        // Within one epoch there is one history.
        if run.len() > 1 {
            self.ended.push((consumer, partition, run));
        }
    }

    /// The final log holds a record of that epoch there.
    pub(crate) fn final_read(&mut self, at: EventRef, partition: u32, offset: i64, epoch: i32) {
        let read = Stretch { epoch, from: offset, to: offset, at, followed: (-1, -1) };
        extend(self.last.entry(partition).or_default(), read);
    }

    /// The first crossing of each run.
    pub(crate) fn finish(&self, history: &History, found: &mut Vec<Violation>) {
        let going_on = self.runs.iter().map(|((consumer, partition), run)| (*consumer, *partition, run));
        let ended = self.ended.iter().map(|(consumer, partition, run)| (*consumer, *partition, run));
        for (consumer, partition, run) in ended.chain(going_on) {
            let log = &history.logs[partition as usize];
            let (Some(end), true) = (log.final_end, log.complete()) else { continue };
            let none = Vec::new();
            let truth = self.last.get(&partition).unwrap_or(&none);
            let Some((lost, first_lost)) = run.iter().enumerate().find_map(|(i, stretch)| {
                let lost = first_missing(truth, stretch)?;
                (stretch.epoch >= 0 && lost >= end.log_start).then_some((i, lost))
            }) else {
                continue;
            };
            let after = run[lost].to;
            let is_there = |stretch: &&Stretch| {
                stretch.epoch >= 0 && stretch.from > first_lost && first_missing(truth, stretch) != Some(stretch.from)
            };
            if let Some(crossed) = (lost + 1..run.len()).find(|i| is_there(&&run[*i])) {
                let (last, crossed) = (&run[crossed - 1], &run[crossed]);
                found.push(Violation::HistorySkip(HistorySkip {
                    partition: history.partitions.name(partition).clone(),
                    consumer,
                    after,
                    epoch: run[lost].epoch,
                    skipped: first_lost,
                    read: crossed.from,
                    read_epoch: crossed.epoch,
                    shows_in_validation: shows_in_validation(truth, last) && !came_late(last, crossed),
                    at: crossed.at,
                }));
            }
        }
    }
}

fn extend(run: &mut Vec<Stretch>, read: Stretch) {
    match run.last_mut() {
        Some(last) if last.epoch == read.epoch && last.to < read.to => {
            (last.to, last.followed.1) = (read.to, read.followed.1);
        }
        Some(last) if last.epoch == read.epoch && (last.from..=last.to).contains(&read.to) => {}
        _ => run.push(read),
    }
}

/// Would a leader with the final log tell who has read this stretch, and asks where its epoch ends, of an end before that? It
/// answers with the end of the highest epoch that is not above (`LeaderEpochFileCache.endOffsetFor`). That lies behind what was
/// read where the log has that epoch, or an older one, at the last offset read or beyond.
fn shows_in_validation(truth: &[Stretch], last: &Stretch) -> bool {
    !truth.iter().any(|t| t.to >= last.to && (0..=last.epoch).contains(&t.epoch))
}

/// Did its reader follow the leader with the other history already when it was handed this? Then its position was found there
/// before, and what a fetch from an earlier leader brings after that is taken for the later one's, if it only begins where the
/// position is (`FetchCollector.handleInitializeSuccess`): until there is another leader nothing is asked any more.
fn came_late(last: &Stretch, crossed: &Stretch) -> bool {
    crossed.epoch >= 0 && last.followed.1 >= crossed.epoch && crossed.followed.0 == last.followed.1
}

/// The first offset of a stretch that the final log does not have in that epoch.
fn first_missing(truth: &[Stretch], stretch: &Stretch) -> Option<i64> {
    let same = truth.iter().find(|t| t.epoch == stretch.epoch && t.from <= stretch.from);
    match same {
        Some(same) if same.to >= stretch.to => None,
        Some(same) => Some(stretch.from.max(same.to.saturating_add(1))),
        None => Some(stretch.from),
    }
}
