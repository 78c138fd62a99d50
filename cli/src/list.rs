//! `trial list`: what is built in, one line each.

use serde::Serialize;
use trial_kafka::zoo::Switch;
use trial_sim::scenario::{builtin, parse};

use crate::failure::Failure;
use crate::output::{Ending, Out};

#[derive(Serialize)]
struct Entry {
    kind: &'static str,
    name: &'static str,
    about: String,
}

/// Prints the list.
pub fn list(json: bool, out: &mut Out) -> Result<Ending, Failure> {
    let mut entries = Vec::new();
    for (name, text) in builtin() {
        entries.push(Entry { kind: "scenario", name, about: parse(&format!("{name}.toml"), text, &[])?.about });
    }
    entries.extend(Switch::ALL.map(|s| Entry { kind: "zoo", name: s.name(), about: s.about().to_string() }));
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    for entry in &entries {
        if json {
            out.json(entry)?;
        } else {
            out.line(format_args!("{:<9} {:<width$}  {}", entry.kind, entry.name, entry.about))?;
        }
    }
    Ok(Ending::GOOD)
}
