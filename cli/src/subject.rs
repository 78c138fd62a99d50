//! What a campaign runs: one scenario with every seed, or with each seed the scenario that the seed draws (swarm).

use std::collections::BTreeMap;
use std::sync::Arc;

use trial_kafka::zoo::Switch;
use trial_sim::build_id::ThisBuild;
use trial_sim::scenario::Scenario;
use trial_sim::swarm::{self, Draw};

use crate::failure::Failure;
use crate::source::{Source, shell_word};

/// See the module documentation.
#[derive(Clone, Debug)]
pub enum Subject {
    /// One scenario.
    Scenario(Source),
    /// Whatever a seed draws, with these overrides.
    Swarm {
        /// As `--set` takes them.
        set: Vec<String>,
        /// Of seeds that drew a variation of something else: what.
        drawn: BTreeMap<u64, Draw>,
    },
}

impl Subject {
    /// The scenario that was asked for, or none, with overrides and with these switches of the zoo turned on besides its own.
    pub fn load(scenario: Option<&str>, set: &[String], zoo: &[Switch]) -> Result<Self, Failure> {
        let Some(given) = scenario else {
            let mut set = set.to_vec();
            set.extend((!zoo.is_empty()).then(|| turn_on(|switch| zoo.contains(&switch))));
            return Ok(Subject::Swarm { set, drawn: BTreeMap::new() });
        };
        let source = Source::load(given, set)?;
        if zoo.is_empty() {
            return Ok(Subject::Scenario(source));
        }
        let mut set = source.set;
        set.push(turn_on(|switch| zoo.contains(&switch) || source.scenario.zoo.on(switch)));
        Source::load(given, &set).map(Subject::Scenario)
    }

    /// The scenario of this seed. Overrides that fit one seed's cluster may not fit another's.
    pub fn scenario(&self, seed: u64) -> Result<Arc<Scenario>, Failure> {
        match self {
            Subject::Scenario(source) => Ok(Arc::clone(&source.scenario)),
            Subject::Swarm { set, drawn } => match drawn.get(&seed) {
                Some(draw) => Ok(Arc::new(draw.scenario(set)?)),
                None => Ok(Arc::new(swarm::scenario(seed, set)?)),
            },
        }
    }

    /// The seed drew this, which is a variation of something else.
    pub fn remember(&mut self, seed: u64, draw: &Draw) {
        if let Subject::Swarm { drawn, .. } = self
            && !draw.variations.is_empty()
        {
            drawn.insert(seed, draw.clone());
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Subject::Scenario(source) => &source.scenario.name,
            Subject::Swarm { .. } => "swarm",
        }
    }

    /// The line that brings the run of this seed back, in this build.
    pub fn reproduce(&self, seed: u64) -> String {
        match self {
            Subject::Scenario(source) => source.reproduce(seed),
            Subject::Swarm { set, drawn } => {
                let set: String = set.iter().map(|set| format!(" --set {}", shell_word(set))).collect();
                let draw = drawn.get(&seed).cloned().unwrap_or_else(|| Draw::of(seed));
                let file = format!("{}.toml", draw.name());
                format!("trial scenario swarm {draw}{set} > {file}; trial run {file} --seed {seed}   # {ThisBuild}")
            }
        }
    }
}

/// An override that says which switches are on, so that reproduction lines say it.
fn turn_on(on: impl Fn(Switch) -> bool) -> String {
    let names: Vec<String> =
        Switch::ALL.into_iter().filter(|s| on(*s)).map(|switch| format!("{:?}", switch.name())).collect();
    format!("zoo=[{}]", names.join(", "))
}
