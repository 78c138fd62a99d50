//! Hunting the bugs of the zoo: how many seeds it takes until a switch is convicted of what it must be convicted of.

use std::collections::{BTreeMap, BTreeSet};

use trial_checker::Class;
use trial_kafka::zoo::Switch;

use crate::campaign::Campaign;
use crate::scenario::builtin;

/// A hunt is repeated this often, with the seeds that follow, to say a median and a worst case.
pub const FINDS: usize = 5;

/// The built-in scenarios made for a switch: `zoo-SWITCH`, and `zoo-SWITCH-…` where one schedule or configuration is not
/// enough to show it. None if nobody has made one yet.
pub fn scenarios_of(switch: Switch) -> Vec<&'static str> {
    let names = builtin().iter().map(|(name, _)| *name);
    names.filter(|name| switch_of(name) == Some(switch)).collect()
}

/// The switch that a built-in scenario is made for. A switch whose name goes on where another's ends comes first.
fn switch_of(scenario: &str) -> Option<Switch> {
    let name = scenario.strip_prefix("zoo-")?;
    let is_of = |switch: &Switch| {
        name.strip_prefix(switch.name()).is_some_and(|variant| variant.is_empty() || variant.starts_with('-'))
    };
    Switch::ALL.into_iter().filter(is_of).max_by_key(|switch| switch.name().len())
}

/// Where something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Find {
    /// The seed.
    pub seed: u64,
    /// Which of the switch's scenarios, counted from 0.
    pub scenario: usize,
}

/// One switch and what the seeds so far have shown.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The switch.
    pub switch: Switch,
    /// Seeds that each find took.
    pub needed: Vec<u64>,
    /// The first find.
    pub first_find: Option<Find>,
    /// Codes of all BUGs that were found.
    pub codes: BTreeSet<&'static str>,
    /// BUGs that the switch may not cause, with the first seed of each.
    pub unexpected: BTreeMap<&'static str, Find>,
    since_last_find: u64,
}

impl Hunt {
    /// A hunt that begins.
    pub fn new(switch: Switch) -> Self {
        Hunt {
            switch,
            needed: Vec::new(),
            first_find: None,
            codes: BTreeSet::new(),
            unexpected: BTreeMap::new(),
            since_last_find: 0,
        }
    }

    /// Takes in the trials of the next seed, one of each scenario of the switch. True if they are a find: a BUG with one
    /// of the codes the switch must show.
    pub fn take(&mut self, seed: u64, trials: &[Campaign]) -> bool {
        let mut is_find = false;
        for (scenario, trial) in trials.iter().enumerate() {
            let at = Find { seed, scenario };
            let bugs = trial.findings.keys().filter(|identity| identity.class == Class::Bug);
            for code in bugs.map(|identity| identity.code) {
                self.codes.insert(code);
                if self.switch.must_any().contains(&code) {
                    is_find = true;
                    self.first_find.get_or_insert(at);
                } else if !self.switch.may().contains(&code) {
                    self.unexpected.entry(code).or_insert(at);
                }
            }
        }
        self.since_last_find += 1;
        if is_find {
            self.needed.push(self.since_last_find);
            self.since_last_find = 0;
        }
        is_find
    }

    /// How many seeds were tried.
    pub fn seeds(&self) -> u64 {
        self.needed.iter().sum::<u64>() + self.since_last_find
    }
    /// Is enough known?
    pub fn is_over(&self) -> bool {
        self.needed.len() >= FINDS
    }
    /// Was the switch found, or is it harmless, and was nothing else found?
    pub fn is_good(&self) -> bool {
        (self.first_find.is_some() || self.switch.is_harmless()) && self.unexpected.is_empty()
    }
    /// The median number of seeds of a find.
    pub fn seeds_median(&self) -> Option<u64> {
        let mut sorted = self.needed.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
    /// The worst number of seeds of a find.
    pub fn seeds_worst(&self) -> Option<u64> {
        self.needed.iter().copied().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::campaign::{Identity, Tally};

    fn trial(bugs: &[&'static str]) -> Campaign {
        let tally = Tally { count: 1, trials: 1, first_seed: 0 };
        let identity = |code: &&'static str| (Identity { class: Class::Bug, code, rule: None }, tally);
        Campaign { trials: 1, findings: bugs.iter().map(identity).collect(), ..Campaign::default() }
    }

    #[test]
    fn every_switch_has_its_scenario_and_the_scenario_its_switch() {
        for switch in Switch::ALL {
            let names = scenarios_of(switch);
            assert!(!names.is_empty(), "zoo-{switch} is not built in");
            for name in names {
                let text = builtin().iter().find(|(n, _)| *n == name).map(|(_, text)| *text).unwrap_or_default();
                let scenario = crate::scenario::parse(name, text, &[]).unwrap_or_else(|error| panic!("{error}"));
                assert!(scenario.zoo.on(switch), "{name} does not turn on {switch}");
            }
        }
    }

    #[test]
    fn a_scenario_belongs_to_one_switch() {
        assert_eq!(switch_of("zoo-raft-no-flush"), Some(Switch::RaftNoFlush));
        assert_eq!(switch_of("zoo-raft-no-flush-three-voters"), Some(Switch::RaftNoFlush));
        assert_eq!(switch_of("zoo-raft-no-flusher"), None);
        assert_eq!(switch_of("raft-no-flush"), None);
    }

    #[test]
    fn a_negative_control_is_good_as_long_as_nothing_is_found() {
        let mut hunt = Hunt::new(Switch::ServeFetchOtherEpoch);
        assert!(!hunt.take(1, &[trial(&[])]));
        assert!(hunt.is_good());
        assert!(!hunt.take(2, &[trial(&["lost-write"])]));
        assert!(!hunt.is_good());
    }

    #[test]
    fn a_hunt_counts_the_seeds_of_each_find_and_knows_its_scenario() {
        let mut hunt = Hunt::new(Switch::AckBeforeHighWatermark);
        assert!(!hunt.take(1, &[trial(&[]), trial(&["ack-before-committed"])]), "allowed, but no find");
        assert!(hunt.take(2, &[trial(&[]), trial(&["lost-write"])]));
        assert!(hunt.take(3, &[trial(&["lost-write"]), trial(&["lost-write"])]));
        assert_eq!((hunt.seeds_median(), hunt.seeds_worst(), hunt.seeds()), (Some(2), Some(2), 3));
        assert_eq!(hunt.first_find, Some(Find { seed: 2, scenario: 1 }));
        assert!(hunt.is_good());
        hunt.take(4, &[trial(&["two-leaders-one-epoch"]), trial(&["two-leaders-one-epoch"])]);
        assert_eq!(hunt.unexpected["two-leaders-one-epoch"], Find { seed: 4, scenario: 0 });
        assert!(!hunt.is_good(), "a BUG that the switch may not cause");
    }
}
