//! What a scenario of the swarm is drawn from: a seed, or a seed and variations of what it drew.

use std::fmt;

use crate::fault::Stream;
use crate::scenario::{Scenario, ScenarioError, parse};

/// Of a hundred keys a variation draws so many anew.
const VARIED: u64 = 15;

/// A seed, and perhaps seeds of variations, each of what came before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Draw {
    /// From which everything was drawn first.
    pub seed: u64,
    /// From which some keys were drawn anew, in this order.
    pub variations: Vec<u64>,
}

impl Draw {
    /// What a seed draws by itself.
    pub fn of(seed: u64) -> Self {
        Draw { seed, variations: Vec::new() }
    }

    /// The same with some keys drawn anew.
    pub fn varied(&self, by: u64) -> Self {
        Draw { seed: self.seed, variations: self.variations.iter().copied().chain([by]).collect() }
    }

    /// The seed that its trial runs with: of the last variation, so that faults come at other times too.
    pub fn run_seed(&self) -> u64 {
        self.variations.last().copied().unwrap_or(self.seed)
    }

    /// What its scenario is called.
    pub fn name(&self) -> String {
        let variations: String = self.variations.iter().map(|by| format!("-{by}")).collect();
        format!("swarm-{}{variations}", self.seed)
    }

    /// The scenario, with overrides as `--set` takes them.
    pub fn scenario(&self, overrides: &[String]) -> Result<Scenario, ScenarioError> {
        let text = super::text_of(self);
        parse(&format!("{}.toml", self.name()), &text, overrides).map(|scenario| scenario.drawn_by(self.run_seed()))
    }

    /// From which of its seeds the draw of this name comes: the last variation that has it.
    pub(super) fn seed_of(&self, id: u32) -> u64 {
        let has = |by: &&u64| Stream::new(**by, "vary", id).below(100) < VARIED;
        self.variations.iter().rev().find(has).copied().unwrap_or(self.seed)
    }
}

/// As the command line takes it.
impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--seed {}", self.seed)?;
        for (nth, by) in self.variations.iter().enumerate() {
            write!(f, "{}{by}", if nth == 0 { " --vary " } else { "," })?;
        }
        Ok(())
    }
}
