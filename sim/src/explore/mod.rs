//! What does a setting of `acks` save, and what does it cost? Configurations × classes of faults, the same seeds in each.
//!
//! ```text
//!   configuration × fault class ─▶ cell: a built-in scenario and overrides ──seed──▶ trial ─▶ Outcome ─▶ sum of the cell
//! ```
//!
//! The unit is the run, not the record: records of one run share its faults. Every fault of these scenarios stands at an
//! instant that the seed draws, and the seed does not know the configuration: what differs between two cells of a row of seeds
//! is the configuration, so runs can be compared pair by pair. A "leader" is whoever leads when the fault comes.
//!
//! A cell of this table says how likely a loss is under these faults, not how likely the faults are.

mod cell;
mod configuration;
mod table;
mod told;

use std::sync::Arc;

use trial_checker::{BeliefTruth, Class};

pub use cell::{Cell, Pairs, Worst};
pub use configuration::{AcksSetting, Configuration};
pub use table::{Exploration, Plan};
pub use told::Told;

use crate::scenario::{Scenario, ScenarioError, builtin, parse};
use crate::trial::run_while;
use crate::world::Carriage;

/// The classes of faults: each is the built-in scenario `acks-NAME`.
pub const FAULT_CLASSES: [&str; 7] = [
    "leader-crash",
    "host-power-loss",
    "rack-power-loss",
    "leader-cut-off",
    "slow-follower",
    "controller-loss",
    "rolling-restart",
];

/// The built-in scenario of a class of faults.
pub fn scenario_name(fault: &str) -> String {
    format!("acks-{fault}")
}

/// A class of faults under a configuration, as a scenario.
pub fn scenario(fault: &str, configuration: &Configuration) -> Result<Scenario, ScenarioError> {
    let name = scenario_name(fault);
    let text = builtin().iter().find(|(known, _)| *known == name).map_or("", |(_, text)| *text);
    parse(&format!("{name}.toml"), text, &configuration.overrides())
}

/// What one run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Records given to producers.
    pub sent: u64,
    /// Records that were acknowledged, with acks=1 or all: they are promised to be there.
    pub promised: u64,
    /// Of those, records that are not there.
    pub lost: u64,
    /// Records sent with acks=0 that are not there.
    pub dropped: u64,
    /// Findings that no configuration allows.
    pub bugs: u64,
    /// Did nothing happen?
    pub is_vacuous: bool,
    /// What producers were told against what is true.
    pub belief_truth: BeliefTruth,
    /// When producers were told.
    pub told: Told,
}

/// Runs one; `None` if it was stopped before its end.
pub fn run(scenario: &Arc<Scenario>, seed: u64, go_on: &dyn Fn() -> bool) -> Option<Outcome> {
    let mut told = Told::default();
    let report = run_while(scenario, seed, Carriage::Typed, &mut told, go_on);
    let counter = |name: &str| report.verdict.counters.get(name).copied().unwrap_or_default();
    let bugs = report.verdict.groups.iter().filter(|group| group.class == Class::Bug).map(|group| group.count).sum();
    go_on().then(|| Outcome {
        seed,
        sent: counter("sends"),
        promised: counter("acked_sends"),
        lost: report.verdict.groups.iter().filter(|group| group.code == "lost-write").map(|group| group.count).sum(),
        dropped: counter("dropped_unpromised"),
        bugs,
        is_vacuous: report.is_vacuous(),
        belief_truth: report.verdict.belief_truth,
        told,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::timeline;

    fn outcome(fault: &str, configuration: &Configuration, seed: u64) -> Outcome {
        let scenario = Arc::new(scenario(fault, configuration).unwrap_or_else(|error| panic!("{error}")));
        run(&scenario, seed, &|| true).expect("nobody stops it")
    }

    #[test]
    fn a_configuration_moves_no_fault_and_nothing_else_than_itself() {
        for fault in FAULT_CLASSES {
            let base = scenario(fault, &Configuration::default()).expect("it reads");
            for configuration in Configuration::grid() {
                let mut other = scenario(fault, &configuration).expect("it reads");
                for seed in [1, 2, 77] {
                    assert_eq!(timeline(&other, seed), timeline(&base, seed), "{fault}, {configuration}");
                }
                other.producers[0].config.acks = base.producers[0].config.acks;
                other.cluster.config = base.cluster.config.clone();
                other.topics[0].config = base.topics[0].config.clone();
                assert_eq!(other, base, "{fault}, {configuration}");
            }
        }
    }

    #[test]
    fn all_classes_have_the_same_cluster_and_workload() {
        let plain = |fault| {
            let scenario = scenario(fault, &Configuration::default()).expect("it reads");
            assert!(scenario.faults.iter().all(|fault| matches!(fault.when, crate::fault::When::At(_))));
            assert!(!scenario.producers[0].config.enable_idempotence);
            Scenario { name: String::new(), about: String::new(), faults: Vec::new(), ..scenario }
        };
        for fault in FAULT_CLASSES {
            assert_eq!(plain(fault), plain("leader-crash"), "{fault}");
        }
    }

    /// Twenty seeds are enough for what is lost in most runs, and for what must never be.
    #[test]
    fn acks_1_loses_what_a_leader_that_is_cut_off_answers_for_alone_and_acks_all_does_not() {
        let acks_1 = Configuration { acks: AcksSetting::One, ..Configuration::default() };
        let lost = |configuration: &Configuration| -> Vec<u64> {
            (1..=3).map(|seed| outcome("leader-cut-off", configuration, seed).lost).collect()
        };
        assert!(lost(&acks_1).iter().all(|lost| *lost > 50), "{:?}", lost(&acks_1));
        assert_eq!(lost(&Configuration::default()), [0, 0, 0]);
    }

    #[test]
    fn acks_0_is_promised_nothing_and_what_is_not_there_was_dropped() {
        let acks_0 = Configuration { acks: AcksSetting::Zero, ..Configuration::default() };
        let outcome = outcome("leader-cut-off", &acks_0, 1);
        assert_eq!((outcome.promised, outcome.lost, outcome.bugs), (0, 0, 0));
        assert!(outcome.dropped > 50, "{outcome:?}");
        assert_eq!(outcome.belief_truth.unpromised.absent, outcome.dropped);
    }

    #[test]
    fn an_outage_is_the_time_without_an_answer_and_min_insync_replicas_3_pays_for_a_slow_follower() {
        let strict = Configuration { min_insync_replicas: 3, ..Configuration::default() };
        let (strict, base) =
            (outcome("slow-follower", &strict, 1), outcome("slow-follower", &Configuration::default(), 1));
        assert!(strict.told.unavailable_ms() > base.told.unavailable_ms() + 1_000, "{strict:?}, {base:?}");
        let acks_1 = Configuration { acks: AcksSetting::One, ..Configuration::default() };
        assert_eq!(outcome("slow-follower", &acks_1, 1).told.unavailable_ms(), 0);
    }
}
