//! Hunting the bugs of the zoo: how many seeds it takes until a switch is convicted of what it must be convicted of.

use std::collections::{BTreeMap, BTreeSet};

use trial_checker::Class;
use trial_kafka::zoo::Switch;

use crate::campaign::Campaign;

/// A hunt is repeated this often, with the seeds that follow, to say a median and a worst case.
pub const FINDS: usize = 5;

/// The name of the built-in scenario made for a switch.
pub fn scenario_of(switch: Switch) -> String {
    format!("zoo-{switch}")
}

/// One switch and what the seeds so far have shown.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The switch.
    pub switch: Switch,
    /// Seeds that each find took.
    pub needed: Vec<u64>,
    /// The seed of the first find.
    pub first_find: Option<u64>,
    /// Codes of all BUGs that were found.
    pub codes: BTreeSet<&'static str>,
    /// BUGs that the switch may not cause, with the first seed of each.
    pub unexpected: BTreeMap<&'static str, u64>,
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

    /// Takes in the trial of the next seed. True if it is a find: a BUG with one of the codes the switch must show.
    pub fn take(&mut self, seed: u64, trial: &Campaign) -> bool {
        let bugs = trial.findings.keys().filter(|identity| identity.class == Class::Bug).map(|identity| identity.code);
        let bugs: BTreeSet<&'static str> = bugs.collect();
        let is_find = bugs.iter().any(|code| self.switch.must_any().contains(code));
        let expected = |code: &&str| self.switch.must_any().contains(code) || self.switch.may().contains(code);
        for code in bugs.iter().filter(|code| !expected(code)) {
            self.unexpected.entry(code).or_insert(seed);
        }
        self.codes.extend(bugs);
        self.since_last_find += 1;
        if is_find {
            self.needed.push(self.since_last_find);
            self.first_find.get_or_insert(seed);
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
    /// Was the switch found, and nothing else?
    pub fn is_good(&self) -> bool {
        self.first_find.is_some() && self.unexpected.is_empty()
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

    #[test]
    fn every_switch_has_its_scenario_and_the_scenario_its_switch() {
        for switch in Switch::ALL {
            let name = scenario_of(switch);
            let text = crate::scenario::builtin().iter().find(|(n, _)| *n == name).map(|(_, text)| *text);
            let text = text.unwrap_or_else(|| panic!("{name} is not built in"));
            let scenario = crate::scenario::parse(&name, text, &[]).unwrap_or_else(|error| panic!("{error}"));
            assert!(scenario.zoo.on(switch), "{name} does not turn on {switch}");
        }
    }
}
