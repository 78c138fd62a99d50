//! Where a scenario comes from, and the line that brings a run back.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use trial_sim::build_id::ThisBuild;
use trial_sim::scenario::{Scenario, builtin, nearest, parse};

use crate::failure::Failure;

/// A scenario as it was asked for.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file or name, as given.
    pub given: String,
    /// The overrides, as given.
    pub set: Vec<String>,
    /// What they say.
    pub scenario: Arc<Scenario>,
}

impl Source {
    /// Reads a file or a built-in scenario. A bare name is built in if there is such a one; anything else is a file.
    pub fn load(given: &str, set: &[String]) -> Result<Self, Failure> {
        let built_in = builtin().iter().find(|(name, _)| *name == given);
        let scenario = match built_in {
            Some((name, text)) => parse(&format!("{name}.toml"), text, set)?,
            None => parse(given, &read(given)?, set)?,
        };
        Ok(Source { given: given.to_string(), set: set.to_vec(), scenario: Arc::new(scenario) })
    }

    /// The line that brings this run back, in this build.
    pub fn reproduce(&self, seed: u64) -> String {
        format!("trial run {}   # {ThisBuild}", self.arguments(seed))
    }

    /// The line that tells how each of its findings came to be.
    pub fn explain(&self, seed: u64) -> String {
        format!("trial explain {}", self.arguments(seed))
    }

    fn arguments(&self, seed: u64) -> String {
        let set: String = self.set.iter().map(|set| format!(" --set {}", shell_word(set))).collect();
        format!("{} --seed {seed}{set}", shell_word(&self.given))
    }
}

fn read(given: &str) -> Result<String, Failure> {
    let path = Path::new(given);
    let looks_like_a_file = given.ends_with(".toml") || given.contains(['/', '\\']) || path.exists();
    if looks_like_a_file {
        return fs::read_to_string(path).map_err(|error| Failure::File { path: path.to_path_buf(), error });
    }
    let names: Vec<&str> = builtin().iter().map(|(name, _)| *name).collect();
    let nearest = nearest(given, names.iter().copied()).map(|name| format!("did you mean {name:?}?"));
    let help = nearest.into_iter().chain([format!("valid: a file, or {}", names.join(", "))]);
    Err(Failure::usage(format!("there is no built-in scenario and no file {given:?}"), help))
}

/// A word as a POSIX shell takes it.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
