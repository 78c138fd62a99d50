//! An application behind a consumer: what its thread is doing, and what it has processed and not committed.

use std::collections::{BTreeMap, VecDeque};

use trial_kafka::ids::TopicPartition;
use trial_kafka::node::{ConsumedRecord, EventId, Nanos, Rebalanced};

use crate::fault::Stream;
use crate::scenario::Scenario;
use crate::trace::NodeIx;

/// An application and where its thread is.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) node: NodeIx,
    pub(super) spec: usize,
    pub(super) join_at: Nanos,
    pub(super) leave_at: Option<Nanos>,
    pub(super) doing: Doing,
    /// Processed, not committed: the next offset to read.
    pub(super) uncommitted: BTreeMap<TopicPartition, i64>,
    /// Its next step fell due while its process stood still.
    pub(super) is_held: bool,
    /// It is to close its client before it polls again.
    pub(super) is_ending: bool,
    /// It is gone for good.
    pub(super) has_left: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It has not begun, or its process is dead.
    Nothing,
    /// A step is scheduled.
    Due(Act),
    Polling,
    Committing {
        offsets: Vec<(TopicPartition, i64)>,
        then: Box<Act>,
    },
    Closing,
    /// By an exception, and its process stays.
    Ended,
    /// By an exception, and its process ends with it.
    Thrown {
        error: String,
    },
}

/// What a thread does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Poll,
    /// Pause, then poll.
    Rest,
    Commit {
        offsets: Vec<(TopicPartition, i64)>,
        then: Box<Act>,
    },
    Process(Vec<Stretch>),
    /// The first of what is left is processed; each takes this long.
    Work {
        left: VecDeque<Stretch>,
        done: Vec<Stretch>,
        each: Nanos,
    },
    /// Its commit was refused: these are read again.
    GoBack(Vec<Stretch>),
}

/// Records of one poll in one partition, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) partition: TopicPartition,
    /// At least one.
    pub(super) offsets: Vec<i64>,
    /// The event by which they were handed out.
    pub(super) polled: EventId,
}

impl Stretch {
    /// What one poll gave, by partition.
    pub(super) fn of(records: &[ConsumedRecord], polled: EventId) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for ConsumedRecord { partition, offset, .. } in records {
            match stretches.iter_mut().find(|stretch| stretch.partition == *partition) {
                Some(stretch) => stretch.offsets.push(*offset),
                None => stretches.push(Stretch { partition: partition.clone(), offsets: vec![*offset], polled }),
            }
        }
        stretches
    }
    /// What is to be committed when it is processed.
    pub(super) fn next(&self) -> (TopicPartition, i64) {
        (self.partition.clone(), self.last_offset() + 1)
    }
    pub(super) fn first_offset(&self) -> i64 {
        self.offsets.first().copied().unwrap_or(0)
    }
    pub(super) fn last_offset(&self) -> i64 {
        self.offsets.last().copied().unwrap_or(0)
    }
    /// The same records in at most so many pieces of about the same size, and one more for each partition but the first.
    pub(super) fn pieces(stretches: &[Stretch], most: usize) -> VecDeque<Stretch> {
        let records: usize = stretches.iter().map(|stretch| stretch.offsets.len()).sum();
        let size = records.div_ceil(most).max(1);
        let of = |stretch: &Stretch| {
            let Stretch { partition, offsets, polled } = stretch.clone();
            let piece =
                move |offsets: &[i64]| Stretch { partition: partition.clone(), offsets: offsets.to_vec(), polled };
            offsets.chunks(size).map(piece).collect::<Vec<_>>()
        };
        stretches.iter().flat_map(of).collect()
    }
}

/// The applications of a scenario, none of them begun. `node` gives each its machine.
pub(super) fn readers_of(scenario: &Scenario, seed: u64, mut node: impl FnMut() -> NodeIx) -> Vec<Reader> {
    let stays = stays_of(scenario, seed).into_iter();
    let reader = |Stay { spec, join_at, leave_at, .. }| Reader {
        node: node(),
        spec,
        join_at: join_at.unwrap_or(scenario.phases.warm_up),
        leave_at,
        doing: Doing::Nothing,
        uncommitted: BTreeMap::new(),
        is_held: false,
        is_ending: false,
        has_left: false,
    };
    stays.map(reader).collect()
}

/// When a consumer comes and goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stay {
    /// Which of the scenario's groups of equal consumers it is of, and which of these, both from 0.
    pub(crate) spec: usize,
    pub(crate) nth: u32,
    pub(crate) join_at: Option<Nanos>,
    pub(crate) leave_at: Option<Nanos>,
}

/// When each consumer comes and goes in the trial of this seed, in the order of the scenario.
pub(crate) fn stays_of(scenario: &Scenario, seed: u64) -> Vec<Stay> {
    let mut stays = Vec::new();
    for (spec, consumers) in scenario.consumers.iter().enumerate() {
        for nth in 0..consumers.count {
            let mut stream = Stream::new(seed, "consumer", stays.len() as u32);
            let mut drawn = |range| stream.within(range);
            let join_at = consumers.join_at.map(&mut drawn);
            stays.push(Stay { spec, nth, join_at, leave_at: consumers.leave_at.map(&mut drawn) });
        }
    }
    stays
}

impl Reader {
    /// The rebalance listener. What is processed of partitions that are about to go is to be committed; what is lost cannot be.
    pub(super) fn listen(&mut self, rebalanced: &[Rebalanced]) -> Vec<(TopicPartition, i64)> {
        let mut to_commit = Vec::new();
        for change in rebalanced {
            match change {
                Rebalanced::Revoked { partitions } => {
                    to_commit
                        .extend(partitions.iter().filter_map(|partition| self.uncommitted.remove_entry(partition)));
                }
                Rebalanced::Lost { partitions } => {
                    self.uncommitted.retain(|partition, _| !partitions.contains(partition));
                }
                Rebalanced::Assigned { .. } => {}
            }
        }
        to_commit
    }
}

#[cfg(test)]
mod tests {
    use trial_kafka::ids::Topic;

    use super::*;

    fn orders(partition: i32) -> TopicPartition {
        TopicPartition::new(&Topic::new("orders"), partition)
    }
    fn record(partition: i32, offset: i64) -> ConsumedRecord {
        let partition = orders(partition);
        ConsumedRecord { partition, offset, leader_epoch: 0, timestamp: 0, key: None, value: None }
    }
    fn with_uncommitted(partitions: &[i32]) -> Reader {
        let scenario =
            crate::scenario::parse("a.toml", "format = 1\ntopic = { name = \"orders\" }\nconsumer = {}\n", &[]);
        let mut reader = readers_of(&scenario.expect("a scenario"), 1, || NodeIx(0)).remove(0);
        reader.uncommitted = partitions.iter().map(|p| (orders(*p), 10 + i64::from(*p))).collect();
        reader
    }

    #[test]
    fn the_records_of_a_poll_are_committed_behind_the_last_of_each_partition() {
        // Offsets 6 and 7 are missing: the log was compacted, or they were control records.
        let stretches = Stretch::of(&[record(0, 5), record(1, 3), record(0, 8)], EventId(7));
        let told: Vec<_> = stretches.iter().map(|s| (s.first_offset(), s.last_offset(), s.next())).collect();
        assert_eq!(told, [(5, 8, (orders(0), 9)), (3, 3, (orders(1), 4))]);
    }

    #[test]
    fn the_records_of_a_poll_are_processed_in_pieces_that_keep_their_order() {
        let polled: Vec<_> = (0..7).map(|n| record(0, n)).chain((0..4).map(|n| record(1, n))).collect();
        let stretches = Stretch::of(&polled, EventId(7));
        for most in 1..15 {
            let pieces = Stretch::pieces(&stretches, most);
            assert!(pieces.len() <= most + 1, "{} pieces instead of {most}", pieces.len());
            let records = pieces.iter().flat_map(|p| p.offsets.iter().map(|offset| (p.partition.partition, *offset)));
            assert!(records.eq(polled.iter().map(|record| (record.partition.partition, record.offset))));
        }
    }

    #[test]
    fn what_is_about_to_go_is_committed_and_what_is_lost_is_not() {
        let mut reader = with_uncommitted(&[0, 1, 2]);
        let to_commit = reader.listen(&[
            Rebalanced::Lost { partitions: vec![orders(2)] },
            Rebalanced::Revoked { partitions: vec![orders(0), orders(7)] },
            Rebalanced::Assigned { partitions: vec![orders(4)], generation: 3 },
        ]);
        assert_eq!(to_commit, [(orders(0), 10)]);
        assert_eq!(reader.uncommitted.keys().collect::<Vec<_>>(), [&orders(1)], "it keeps this one");
    }
}
