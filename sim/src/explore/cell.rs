//! The sum of a cell: many runs of one configuration under one class of faults.

use std::collections::{BTreeMap, BTreeSet};

use super::Outcome;
use super::told::p99;
use crate::proportion::Proportion;

/// See the module documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Runs.
    pub runs: u64,
    /// Of those, runs in which nothing happened.
    pub vacuous: u64,
    /// Records given to producers.
    pub sent: u64,
    /// Records that were acknowledged, with acks=1 or all.
    pub promised: u64,
    /// Of those, records that are not there.
    pub lost: u64,
    /// Records sent with acks=0 that are not there.
    pub dropped: u64,
    /// Seeds with a finding that no configuration allows.
    pub with_bug: BTreeSet<u64>,
    /// Seeds of runs that lost an acknowledged record.
    pub with_loss: BTreeSet<u64>,
    /// The run to look at.
    pub worst: Option<Worst>,
    unavailable_ms: u64,
    latencies: BTreeMap<u64, u64>,
}

/// The run that lost most; of those that lost nothing, the one that dropped most; of those, the longest unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worst {
    /// Its seed, the least of equals.
    pub seed: u64,
    /// Acknowledged records that it lost.
    pub lost: u64,
    /// Records sent with acks=0 that it dropped.
    pub dropped: u64,
    /// How long it was unavailable.
    pub unavailable_ms: u64,
}

impl Worst {
    fn rank(&self) -> impl Ord + use<> {
        (self.lost, self.dropped, self.unavailable_ms, std::cmp::Reverse(self.seed))
    }
}

/// Two cells run by run, with the same seeds: what McNemar's test counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs {
    /// Runs in which the other loses and this one does not.
    pub saved: u64,
    /// Runs in which this one loses and the other does not.
    pub broke: u64,
}

impl Cell {
    /// Takes a run in.
    pub fn add(&mut self, outcome: &Outcome) {
        let Outcome { seed, sent, promised, lost, dropped, bugs, is_vacuous, .. } = *outcome;
        let unavailable_ms = outcome.told.unavailable_ms();
        self.runs += 1;
        self.vacuous += u64::from(is_vacuous);
        self.sent += sent;
        self.promised += promised;
        self.lost += lost;
        self.dropped += dropped;
        self.with_bug.extend((bugs > 0).then_some(seed));
        self.with_loss.extend((lost > 0).then_some(seed));
        self.unavailable_ms += unavailable_ms;
        for (latency, records) in outcome.told.latencies_ms() {
            *self.latencies.entry(latency).or_default() += records;
        }
        let this = Worst { seed, lost, dropped, unavailable_ms };
        if self.worst.is_none_or(|worst| this.rank() > worst.rank()) {
            self.worst = Some(this);
        }
    }

    /// How likely a run is to lose an acknowledged record; `None` where nothing is ever promised.
    pub fn loss(&self) -> Option<Proportion> {
        (self.promised > 0).then(|| Proportion::new(self.with_loss.len() as u64, self.runs))
    }

    /// How long producers were without a good answer, in the mean run, rounded.
    pub fn unavailable_ms(&self) -> u64 {
        (self.unavailable_ms + self.runs / 2) / self.runs.max(1)
    }

    /// How long the word on a record took, of all but one of a hundred records of all runs.
    pub fn produce_p99_ms(&self) -> u64 {
        p99(&self.latencies).unwrap_or_default()
    }

    /// Against another cell of the same seeds.
    pub fn against(&self, other: &Cell) -> Pairs {
        let without = |a: &Cell, b: &Cell| a.with_loss.difference(&b.with_loss).count() as u64;
        Pairs { saved: without(other, self), broke: without(self, other) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::Told;

    fn outcome(seed: u64, lost: u64) -> Outcome {
        Outcome {
            seed,
            sent: 100,
            promised: 90,
            lost,
            dropped: 0,
            bugs: 0,
            is_vacuous: false,
            belief_truth: Default::default(),
            told: Told::default(),
        }
    }

    #[test]
    fn runs_are_counted_and_not_records_and_pairs_tell_who_saved_whom() {
        let (mut one, mut other) = (Cell::default(), Cell::default());
        for (seed, lost_of_one, lost_of_other) in [(1, 0, 7), (2, 5, 5), (3, 9, 0), (4, 0, 0), (5, 9, 1), (6, 0, 2)] {
            one.add(&outcome(seed, lost_of_one));
            other.add(&outcome(seed, lost_of_other));
        }
        assert_eq!((one.runs, one.lost, one.with_loss.len()), (6, 23, 3));
        assert_eq!(one.worst.map(|worst| (worst.seed, worst.lost)), Some((3, 9)), "the least seed of equals");
        assert_eq!(one.against(&other), Pairs { saved: 2, broke: 1 });
        assert_eq!(one.loss().map(|p| (p.hits, p.of)), Some((3, 6)));
        assert_eq!(Cell::default().loss(), None);
    }
}
