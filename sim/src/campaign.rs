//! Many trials summed up: how they ended, what was found and by which seed first, what they reached.
//!
//! A sum does not depend on the order in which trials end, so that it is the same however many ran at a time.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use trial_checker::Class;

use crate::trial::Report;

/// What makes two findings the same: their class, code and rule. The gravest comes first: by class, then what touches
/// data or replication, then what is out of order, then the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// How bad it is.
    pub class: Class,
    /// What it is.
    pub code: &'static str,
    /// The rule that allows it.
    pub rule: Option<&'static str>,
}

/// What a reader must see first; codes that are not here stand between these and [`LIGHT`].
const GRAVE: [&str; 13] = [
    "internal-assertion",
    "lost-write",
    "inconsistent-offsets",
    "log-mismatch",
    "unsafe-election",
    "committed-truncated",
    "ack-before-committed",
    "producer-sequence",
    "group-skip",
    "dual-ownership",
    "zombie-commit",
    "commit-regression",
    "stuck",
];
/// What a reader may see last.
const LIGHT: [&str; 5] = ["duplicate", "ack-offset-mismatch", "nonmonotonic-send", "dropped-unpromised", "redelivery"];

impl Identity {
    /// Is it of the kind that comes by the hundred and is understood without a story?
    pub fn is_light(&self) -> bool {
        self.class > Class::Unknown && LIGHT.contains(&self.code)
    }

    fn gravity(&self) -> usize {
        let grave = GRAVE.iter().position(|code| *code == self.code);
        let light = || LIGHT.iter().position(|code| *code == self.code).map(|at| GRAVE.len() + 1 + at);
        grave.or_else(light).unwrap_or(GRAVE.len())
    }
}

impl Ord for Identity {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |id: &Identity| (id.class, id.gravity(), id.code, id.rule);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Identity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How often a finding was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// So many times, in all trials.
    pub count: u64,
    /// In so many trials.
    pub trials: u64,
    /// The smallest seed of these.
    pub first_seed: u64,
}

/// The sum of any number of trials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Campaign {
    /// Trials.
    pub trials: u64,
    /// Those without a BUG, in which something happened, and with everything that `[expect]` asks for.
    pub passed: u64,
    /// Those with a BUG or with something else than `[expect]` asks for.
    pub failed: u64,
    /// Those in which nothing happened that could have gone wrong.
    pub vacuous: u64,
    /// Events of all.
    pub events: u64,
    /// Virtual time of all, in milliseconds.
    pub virtual_ms: u64,
    /// Everything that was found, the worst first.
    pub findings: BTreeMap<Identity, Tally>,
    /// What `[expect]` asked for and was not so, with its smallest seed.
    pub unmet: BTreeMap<String, Tally>,
    /// The counters of all, by name: the checker's, those of the World, and in how many trials some of them were reached
    /// ([`REACHED`]). What stands at 0 was never reached.
    pub coverage: BTreeMap<String, u64>,
    /// The rare states ([`crate::world::RARE`], and those that only the checker sees), each with how many trials reached it.
    pub reached: BTreeMap<String, u64>,
    /// How many trials had so many elections of a controller.
    pub controller_elections: BTreeMap<u64, u64>,
    /// How many trials had so many elections of a partition's leader, besides the first of each partition.
    pub leader_elections: BTreeMap<u64, u64>,
    /// How many trials had so many rebalances of groups; empty where there are no groups.
    pub rebalances: BTreeMap<u64, u64>,
}

/// States of which a campaign also counts the trials that reached them: the counter of a trial, and of its trials.
pub const REACHED: [(&str, &str); 3] = [
    ("diverging_tails_truncated", "trials_that_truncated_a_diverging_tail"),
    ("isr_of_one", "trials_with_an_isr_of_one"),
    ("unsynced_records_lost", "trials_that_lost_unsynced_records"),
];

/// Rare states that only the checker sees: its counter, and what the state is called.
const RARE_TO_THE_CHECKER: [(&str, &str); 2] =
    [("isr_of_one", "isr-of-one"), ("unsynced_records_lost", "unsynced-records-lost")];

impl Campaign {
    /// The sum of one trial.
    pub fn of(report: &Report) -> Self {
        let one = |count| Tally { count, trials: 1, first_seed: report.seed };
        let mut findings: BTreeMap<Identity, Tally> = BTreeMap::new();
        for group in &report.verdict.groups {
            let identity = Identity { class: group.class, code: group.code, rule: group.rule };
            findings.entry(identity).or_insert(one(0)).count += group.count;
        }
        let counters = &report.verdict.counters;
        let so_many = |name| counters.get(name).map(|count| (*count, 1)).into_iter().collect();
        let reached = REACHED
            .iter()
            .filter_map(|(counter, trials)| Some((trials.to_string(), u64::from(*counters.get(*counter)? > 0))));
        let told = RARE_TO_THE_CHECKER.iter().map(|(counter, name)| (*name, counters.get(*counter).copied()));
        let told = told.map(|(name, count)| (name, count.unwrap_or_default()));
        let rare = report.rare.iter().map(|(name, count)| (*name, *count)).chain(told);
        let rare = rare.map(|(name, count)| (name.to_string(), u64::from(count > 0)));
        let (failed, vacuous) = (report.failed(), report.is_vacuous() && !report.failed());
        Campaign {
            trials: 1,
            passed: u64::from(!failed && !vacuous),
            failed: u64::from(failed),
            vacuous: u64::from(vacuous),
            events: report.events,
            virtual_ms: report.virtual_ns / 1_000_000,
            findings,
            unmet: report.unmet.iter().map(|what| (what.clone(), one(1))).collect(),
            coverage: counters.clone().into_iter().chain(reached).collect(),
            reached: rare.collect(),
            controller_elections: so_many("controller_elections"),
            leader_elections: so_many("leader_elections"),
            rebalances: so_many("rebalances"),
        }
    }

    /// Elections of a controller in the median trial, of two middle ones the lesser; 0 of no trial.
    pub fn median_controller_elections(&self) -> u64 {
        median(&self.controller_elections)
    }

    /// Elections of a partition's leader, besides the first of each partition, in the median trial; as above.
    pub fn median_leader_elections(&self) -> u64 {
        median(&self.leader_elections)
    }

    /// Rebalances of groups in the median trial, as above; `None` where there are no groups.
    pub fn median_rebalances(&self) -> Option<u64> {
        (!self.rebalances.is_empty()).then(|| median(&self.rebalances))
    }

    /// Adds another sum to this one.
    pub fn add(&mut self, other: Campaign) {
        self.trials += other.trials;
        self.passed += other.passed;
        self.failed += other.failed;
        self.vacuous += other.vacuous;
        self.events += other.events;
        self.virtual_ms += other.virtual_ms;
        add_tallies(&mut self.findings, other.findings);
        add_tallies(&mut self.unmet, other.unmet);
        for (name, count) in other.coverage {
            *self.coverage.entry(name).or_default() += count;
        }
        for (name, trials) in other.reached {
            *self.reached.entry(name).or_default() += trials;
        }
        for (elections, trials) in other.controller_elections {
            *self.controller_elections.entry(elections).or_default() += trials;
        }
        for (elections, trials) in other.leader_elections {
            *self.leader_elections.entry(elections).or_default() += trials;
        }
        for (rebalances, trials) in other.rebalances {
            *self.rebalances.entry(rebalances).or_default() += trials;
        }
    }

    /// Is there a BUG?
    pub fn has_bug(&self) -> bool {
        self.findings.keys().any(|identity| identity.class == Class::Bug)
    }
}

/// The count of the middle trial, of two middle ones the lesser; 0 of no trial.
fn median(trials_by_count: &BTreeMap<u64, u64>) -> u64 {
    let half = trials_by_count.values().sum::<u64>().div_ceil(2);
    let mut so_far = 0;
    let reaches = |(_, trials): &(&u64, &u64)| {
        so_far += **trials;
        so_far >= half
    };
    trials_by_count.iter().find(reaches).map_or(0, |(count, _)| *count)
}

fn add_tallies<K: Ord>(to: &mut BTreeMap<K, Tally>, from: BTreeMap<K, Tally>) {
    for (key, more) in from {
        to.entry(key)
            .and_modify(|tally| {
                tally.count += more.count;
                tally.trials += more.trials;
                tally.first_seed = tally.first_seed.min(more.first_seed);
            })
            .or_insert(more);
    }
}
