//! All cells of an exploration.

use std::sync::Arc;

use trial_checker::{BeliefTruth, Row};

use super::{AcksSetting, Cell, Configuration, FAULT_CLASSES, Outcome, Pairs, run, scenario};
use crate::scenario::{Scenario, ScenarioError};

/// What is run: configurations by classes of faults.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The rows.
    pub configurations: Vec<Configuration>,
    scenarios: Vec<Arc<Scenario>>,
}

impl Plan {
    /// These configurations under all classes of faults.
    pub fn new(configurations: Vec<Configuration>) -> Result<Self, ScenarioError> {
        let cells = configurations.iter().flat_map(|row| FAULT_CLASSES.map(|fault| scenario(fault, row).map(Arc::new)));
        let scenarios = cells.collect::<Result<_, _>>()?;
        Ok(Plan { configurations, scenarios })
    }

    /// How many cells there are, and so how many runs of each seed.
    pub fn runs_per_seed(&self) -> u64 {
        self.scenarios.len() as u64
    }

    /// Run number `nth` of all, from 0: every seed, from 1, goes through all cells before the next one does.
    pub fn run(&self, nth: u64, go_on: &dyn Fn() -> bool) -> Option<Outcome> {
        let (seed, cell) = (1 + nth / self.runs_per_seed(), nth % self.runs_per_seed());
        run(&self.scenarios[cell as usize], seed, go_on)
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// The rows.
    pub configurations: Vec<Configuration>,
    /// What producers were told against what is true, in all runs.
    pub belief_truth: BeliefTruth,
    /// Seeds that are done, from 1.
    pub seeds: u64,
    cells: Vec<Cell>,
}

impl Exploration {
    /// Nothing yet.
    pub fn of(plan: &Plan) -> Self {
        let cells = vec![Cell::default(); plan.scenarios.len()];
        let configurations = plan.configurations.clone();
        Exploration { configurations, belief_truth: BeliefTruth::default(), seeds: 0, cells }
    }

    /// Takes in what a seed came to in all cells, in their order.
    pub fn take(&mut self, outcomes: &[Outcome]) {
        self.seeds += 1;
        for (cell, outcome) in self.cells.iter_mut().zip(outcomes) {
            cell.add(outcome);
            add(&mut self.belief_truth, &outcome.belief_truth);
        }
    }

    /// A row: the cells of a configuration, with their classes of faults.
    pub fn row(&self, nth: usize) -> impl Iterator<Item = (&'static str, &Cell)> {
        FAULT_CLASSES.into_iter().zip(self.cells.iter().skip(nth * FAULT_CLASSES.len()))
    }

    /// Against acks=1 and otherwise default settings, pair by pair; `None` for that row itself, for rows that promise
    /// nothing, and where that row is not there.
    pub fn against_acks_1(&self, nth: usize, fault: &str) -> Option<Pairs> {
        let plain = Configuration { acks: AcksSetting::One, ..Configuration::default() };
        let of = |row: usize| self.row(row).find(|(name, _)| *name == fault).map(|(_, cell)| cell);
        let other = self.configurations.iter().position(|row| *row == plain)?;
        if other == nth || self.configurations.get(nth)?.acks == AcksSetting::Zero {
            return None;
        }
        Some(of(nth)?.against(of(other)?))
    }
}

fn add(to: &mut BeliefTruth, from: &BeliefTruth) {
    let rows = [
        (&mut to.ok, from.ok),
        (&mut to.info, from.info),
        (&mut to.fail, from.fail),
        (&mut to.unpromised, from.unpromised),
    ];
    for (to, from) in rows {
        let Row { once, twice_or_more, absent, unjudged } = from;
        to.once += once;
        to.twice_or_more += twice_or_more;
        to.absent += absent;
        to.unjudged += unjudged;
    }
}
