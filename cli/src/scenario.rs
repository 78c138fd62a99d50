//! `trial scenario schema|new|swarm`: the format of scenario files, a commented starting point, and what a seed draws.

use serde::Serialize;
use trial_sim::scenario::{schema, schema_entries, to_toml};
use trial_sim::swarm::Draw;

use crate::args::ScenarioCommand;
use crate::failure::Failure;
use crate::output::{Ending, Out};

/// A commented scenario that runs as it is.
const NEW: &str = include_str!("new.toml");

#[derive(Serialize)]
struct ScenarioJson<'a> {
    scenario: &'a str,
}

/// Prints what was asked for.
pub fn scenario(command: &ScenarioCommand, json: bool, out: &mut Out) -> Result<Ending, Failure> {
    match (command, json) {
        (ScenarioCommand::Schema, true) => schema_entries().iter().try_for_each(|entry| out.json(entry))?,
        (ScenarioCommand::Schema, false) => out.line(schema().trim_end())?,
        (ScenarioCommand::New, true) => out.json(&ScenarioJson { scenario: NEW })?,
        (ScenarioCommand::New, false) => out.line(NEW.trim_end())?,
        (ScenarioCommand::Swarm(args), json) => {
            let draw = Draw { seed: args.seed, variations: args.vary.clone() };
            let text = to_toml(&draw.scenario(&args.changes.set)?);
            match json {
                true => out.json(&ScenarioJson { scenario: &text })?,
                false => out.line(text.trim_end())?,
            }
        }
    }
    Ok(Ending::GOOD)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_starting_point_is_a_valid_scenario() {
        let scenario =
            trial_sim::scenario::parse("new.toml", super::NEW, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert!(!scenario.faults.is_empty());
    }
}
