//! When were producers told, and how long were they not?

use std::collections::BTreeMap;

use trial_kafka::node::{Belief, Nanos};

use crate::trace::TraceEvent;
use crate::world::{Note, Sink, World};

const MILLISECOND: Nanos = 1_000_000;
/// Without a good answer for so long, though somebody waits for one, a producer is unavailable.
const OUTAGE: Nanos = 1_000_000_000;

/// Watches a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Records nobody has been told of, and since when they wait.
    waiting: BTreeMap<u64, Nanos>,
    /// Since when there has been no good answer; `None` while nobody waits and all is well.
    since: Option<Nanos>,
    /// When somebody was told last.
    last: Nanos,
    unavailable: Nanos,
    /// From a send to the word on it, good or bad, in milliseconds: how many records.
    latencies: BTreeMap<u64, u64>,
}

impl Told {
    /// Virtual time without a good answer while records waited, in stretches of at least a second. With acks=0 it is a good
    /// answer that the record was handed to the network.
    pub fn unavailable_ms(&self) -> u64 {
        // One that lasted until the end ended with the last bad answer.
        let rest = self.since.map_or(0, |since| self.last.saturating_sub(since));
        (self.unavailable + if rest >= OUTAGE { rest } else { 0 }) / MILLISECOND
    }

    /// From a send to the word on it, good or bad, in milliseconds, rounded up: how many records took so long.
    pub fn latencies_ms(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.latencies.iter().map(|(latency, records)| (*latency, *records))
    }

    fn invoked(&mut self, record: u64, now: Nanos) {
        self.waiting.insert(record, now);
        self.since.get_or_insert(now);
    }

    fn settled(&mut self, record: u64, is_good: bool, now: Nanos) {
        let Some(invoked) = self.waiting.remove(&record) else { return };
        *self.latencies.entry((now - invoked).div_ceil(MILLISECOND)).or_default() += 1;
        self.last = now;
        if !is_good {
            return;
        }
        let outage = self.since.map_or(0, |since| now - since);
        if outage >= OUTAGE {
            self.unavailable += outage;
        }
        self.since = (!self.waiting.is_empty()).then_some(now);
    }
}

impl Sink for Told {
    fn after_step(&mut self, world: &World, _events: &[TraceEvent], notes: &[Note]) {
        for note in notes {
            match note {
                Note::SendInvoked { record, .. } => self.invoked(*record, world.now()),
                Note::SendSettled { record, belief, .. } => {
                    let is_good = matches!(belief, Belief::Acked { .. } | Belief::Unpromised);
                    self.settled(*record, is_good, world.now());
                }
                _ => {}
            }
        }
    }
}

/// The latency that all but one of a hundred records do not exceed (nearest rank); `None` of no record.
pub(super) fn p99(latencies: &BTreeMap<u64, u64>) -> Option<u64> {
    let all: u64 = latencies.values().sum();
    let rank = all - all / 100;
    let mut so_far = 0;
    let reaches = |(_, records): &(&u64, &u64)| {
        so_far += **records;
        so_far >= rank
    };
    latencies.iter().find(reaches).map(|(latency, _)| *latency)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn an_outage_goes_on_through_bad_answers_and_ends_with_a_good_one() {
        let mut told = Told::default();
        told.invoked(1, SECOND);
        told.settled(1, true, SECOND + 1);
        assert_eq!((told.unavailable_ms(), told.since), (0, None));
        told.invoked(2, 5 * SECOND);
        told.invoked(3, 6 * SECOND);
        told.settled(2, false, 8 * SECOND);
        assert_eq!(told.unavailable_ms(), 3_000, "should it end here");
        told.settled(3, true, 9 * SECOND);
        assert_eq!(told.unavailable_ms(), 4_000);
        told.invoked(4, 20 * SECOND);
        told.settled(4, true, 20 * SECOND + SECOND / 2);
        assert_eq!(told.unavailable_ms(), 4_000, "half a second is no outage, and a pause is none");
    }

    #[test]
    fn one_of_a_hundred_is_not_counted_and_two_are() {
        assert_eq!(p99(&BTreeMap::from([(5, 99), (70, 1)])), Some(5));
        assert_eq!(p99(&BTreeMap::from([(5, 98), (70, 2)])), Some(70));
        assert_eq!(p99(&BTreeMap::from([(5, 1)])), Some(5));
        assert_eq!(p99(&BTreeMap::new()), None);
    }
}
